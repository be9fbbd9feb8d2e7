/* What the compilers of the kinds share: faults and their places, paths and values, rules by event type. */
#include "partition/view_compile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "partition/array.h"
#include "partition/view_members.h"

/* --- faults ------------------------------------------------------------------------------------------------------ */

void compiler_text(struct span s, char text[64])
{
	size_t size = s.size < 63 ? s.size : 63;

	for (size_t i = 0; i < size; i++)
		text[i] = s.data[i] < 0x20 || s.data[i] == 0x7f ? '?' : (char)s.data[i];
	text[size] = '\0';
}

int compiler_fault(struct compiler *c, const char *format, ...)
{
	va_list arguments;
	int used = snprintf(c->why, VIEW_WHY_BYTES, "%s%s", c->place, c->place[0] == '\0' ? "" : ": ");

	va_start(arguments, format);
	if (used >= 0 && (size_t)used < VIEW_WHY_BYTES)
		vsnprintf(c->why + used, VIEW_WHY_BYTES - (size_t)used, format, arguments);
	va_end(arguments);
	return ERROR_BAD_VIEW;
}

size_t compiler_enter(struct compiler *c, struct span member)
{
	size_t used = strlen(c->place);
	char text[64];

	compiler_text(member, text);
	snprintf(c->place + used, VIEW_PLACE_BYTES - used, "%s%s", used == 0 ? "" : ".", text);
	return used;
}

void compiler_leave(struct compiler *c, size_t place)
{
	c->place[place] = '\0';
}

/* --- the plan's arrays ------------------------------------------------------------------------------------------- */

static int plan_add_name(struct view_plan *plan, struct span name)
{
	void *names = plan->names;
	int rv = array_grow(&names, plan->name_count, sizeof *plan->names);

	plan->names = names;
	if (rv == 0)
		plan->names[plan->name_count++] = name;
	return rv;
}

int plan_add_operation(struct view_plan *plan, const struct view_operation *operation)
{
	void *operations = plan->operations;
	int rv = array_grow(&operations, plan->operation_count, sizeof *plan->operations);

	plan->operations = operations;
	if (rv == 0)
		plan->operations[plan->operation_count++] = *operation;
	return rv;
}

int plan_add_rule(struct view_plan *plan, const struct view_rule *rule)
{
	void *rules = plan->rules;
	int rv = array_grow(&rules, plan->rule_count, sizeof *plan->rules);

	plan->rules = rules;
	if (rv == 0)
		plan->rules[plan->rule_count++] = *rule;
	return rv;
}

int plan_add_pick(struct view_plan *plan, struct span name)
{
	void *picks = plan->picks;
	int rv = array_grow(&picks, plan->pick_count, sizeof *plan->picks);

	plan->picks = picks;
	if (rv == 0)
		plan->picks[plan->pick_count++] = (struct view_pick){name, members_pick_bit(name)};
	return rv;
}

/* --- values: what a member is set to ----------------------------------------------------------------------------- */

int compile_path(struct compiler *c, struct span path, uint32_t *first, uint32_t *count)
{
	size_t from = 0;
	int rv = 0;

	*first = c->plan->name_count;
	*count = 0;
	for (size_t i = 0; i <= path.size && rv == 0; i++) {
		if (i < path.size && path.data[i] != '.')
			continue;
		if (i == from)
			return compiler_fault(c, "a path has an empty name");
		if (++*count > VIEW_PATH_MAX)
			return compiler_fault(c, "a path has more than %u names", VIEW_PATH_MAX);
		rv = plan_add_name(c->plan, span_of(path.data + from, i - from));
		from = i + 1;
	}
	return rv;
}

int compile_value(struct compiler *c, struct reader *in, struct view_operation *operation)
{
	enum msgpack_type type = msgpack_peek(in);
	struct span member;
	uint32_t count;

	if (type == MSGPACK_STR)
		return compile_path(c, msgpack_read_str(in), &operation->path_first, &operation->path_count);
	if (type == MSGPACK_MAP) {
		count = msgpack_read_map(in);
		member = msgpack_read_str(in);
		if (in->failed || count != 1 || !is_text(member, "value"))
			return compiler_fault(c, "a map here has the one member 'value'");
		type = msgpack_peek(in);
		operation->constant = msgpack_skip(in);
	} else if (type == MSGPACK_ARRAY) {
		return compiler_fault(c, "a list as a constant is written {value: [...]}");
	} else {
		operation->constant = msgpack_skip(in);
	}
	if ((operation->verb == VIEW_ADD || operation->verb == VIEW_SUBTRACT) && type != MSGPACK_UINT &&
	    type != MSGPACK_INT && type != MSGPACK_DOUBLE)
		return compiler_fault(c, "a number, or a path to one, is wanted");
	return 0;
}

/* --- rules by event type ------------------------------------------------------------------------------------------ */

static int compare_spans(struct span a, struct span b)
{
	size_t common = a.size < b.size ? a.size : b.size;
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

	return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_rules(const void *a, const void *b)
{
	return compare_spans(((const struct view_rule *)a)->type, ((const struct view_rule *)b)->type);
}

static int sort_rules(struct compiler *c)
{
	struct view_plan *plan = c->plan;

	qsort(plan->rules, plan->rule_count, sizeof *plan->rules, compare_rules);
	for (uint32_t i = 1; i < plan->rule_count; i++) {
		if (compare_rules(&plan->rules[i - 1], &plan->rules[i]) == 0) {
			compiler_enter(c, plan->rules[i].type);
			return compiler_fault(c, "the event type stands there twice");
		}
	}
	return 0;
}

static int compile_type(struct compiler *c, struct reader *in, struct view_rule *rule)
{
	*rule = (struct view_rule){.first = c->plan->operation_count};
	rule->type = msgpack_read_str(in);
	if (in->failed)
		return compiler_fault(c, "an event type is text");
	if (rule->type.size == 0 || rule->type.size > NAME_MAX_BYTES)
		return compiler_fault(c, "an event type has 1 to %u bytes", NAME_MAX_BYTES);
	return 0;
}

int compile_rules(struct compiler *c, struct reader *in, compile_rule_fn compile_rule)
{
	uint32_t count = msgpack_peek(in) == MSGPACK_MAP ? msgpack_read_map(in) : 0;
	int rv = 0;

	if (count == 0 || count > VIEW_RULES_MAX)
		return compiler_fault(c, "a map of 1 to %u event types is wanted", VIEW_RULES_MAX);
	for (uint32_t i = 0; i < count && rv == 0; i++) {
		struct view_rule rule;
		size_t place;

		rv = compile_type(c, in, &rule);
		if (rv != 0)
			return rv;
		place = compiler_enter(c, rule.type);
		rv = compile_rule(c, in, &rule);
		if (rv == 0)
			rv = plan_add_rule(c->plan, &rule);
		if (rv == 0)
			compiler_leave(c, place);
	}
	return rv != 0 ? rv : sort_rules(c);
}

int compile_types(struct compiler *c, struct reader *in)
{
	uint32_t count = msgpack_peek(in) == MSGPACK_ARRAY ? msgpack_read_array(in) : 0;
	int rv = 0;

	if (count == 0 || count > VIEW_RULES_MAX)
		return compiler_fault(c, "a list of 1 to %u event types is wanted", VIEW_RULES_MAX);
	for (uint32_t i = 0; i < count && rv == 0; i++) {
		struct view_rule rule;

		rv = compile_type(c, in, &rule);
		if (rv == 0)
			rv = plan_add_rule(c->plan, &rule);
	}
	return rv != 0 ? rv : sort_rules(c);
}

const struct view_rule *view_plan_rule(const struct view_plan *plan, struct span type)
{
	uint32_t low = 0;
	uint32_t high = plan->rule_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = compare_spans(type, plan->rules[middle].type);

		if (order == 0)
			return &plan->rules[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

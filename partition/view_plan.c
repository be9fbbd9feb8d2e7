/* Compiles a definition. A fault is named by the path of the member that bears it. */
#include "partition/view_plan.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "partition/array.h"
#include "proto/error.h"
#include "proto/msgpack.h"

#define WHY_BYTES 160u
#define PLACE_BYTES 100u

struct compiler {
	struct view_plan *plan;
	char *why;
	char place[PLACE_BYTES]; /* "on.OrderCreated.set": where the compiler is */
};

/* --- faults ------------------------------------------------------------------------------------------------------ */

/* Text from the definition, cut to what a message can hold and without bytes that a terminal would obey. */
static void text_of(struct span s, char text[64])
{
	size_t size = s.size < 63 ? s.size : 63;

	for (size_t i = 0; i < size; i++)
		text[i] = s.data[i] < 0x20 || s.data[i] == 0x7f ? '?' : (char)s.data[i];
	text[size] = '\0';
}

__attribute__((format(printf, 2, 3))) static int compiler_fault(struct compiler *c, const char *format, ...)
{
	va_list arguments;
	int used = snprintf(c->why, WHY_BYTES, "%s%s", c->place, c->place[0] == '\0' ? "" : ": ");

	va_start(arguments, format);
	if (used >= 0 && (size_t)used < WHY_BYTES)
		vsnprintf(c->why + used, WHY_BYTES - (size_t)used, format, arguments);
	va_end(arguments);
	return ERROR_BAD_VIEW;
}

/* Enters a member; gives the length to which the place is cut when it is left. */
static size_t compiler_enter(struct compiler *c, struct span member)
{
	size_t used = strlen(c->place);
	char text[64];

	text_of(member, text);
	snprintf(c->place + used, PLACE_BYTES - used, "%s%s", used == 0 ? "" : ".", text);
	return used;
}

static void compiler_leave(struct compiler *c, size_t place)
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

static int plan_add_operation(struct view_plan *plan, const struct view_operation *operation)
{
	void *operations = plan->operations;
	int rv = array_grow(&operations, plan->operation_count, sizeof *plan->operations);

	plan->operations = operations;
	if (rv == 0)
		plan->operations[plan->operation_count++] = *operation;
	return rv;
}

static int plan_add_rule(struct view_plan *plan, const struct view_rule *rule)
{
	void *rules = plan->rules;
	int rv = array_grow(&rules, plan->rule_count, sizeof *plan->rules);

	plan->rules = rules;
	if (rv == 0)
		plan->rules[plan->rule_count++] = *rule;
	return rv;
}

/* --- values: what a member is set to ----------------------------------------------------------------------------- */

static int compile_path(struct compiler *c, struct span path, struct view_operation *operation)
{
	size_t from = 0;
	int rv = 0;

	operation->path_first = c->plan->name_count;
	for (size_t i = 0; i <= path.size && rv == 0; i++) {
		if (i < path.size && path.data[i] != '.')
			continue;
		if (i == from)
			return compiler_fault(c, "a path has an empty name");
		if (++operation->path_count > VIEW_PATH_MAX)
			return compiler_fault(c, "a path has more than %u names", VIEW_PATH_MAX);
		rv = plan_add_name(c->plan, span_of(path.data + from, i - from));
		from = i + 1;
	}
	return rv;
}

static bool is_text(struct span a, const char *text)
{
	return span_equal(a, span_of_text(text));
}

/* A string is a path into the payload, {value: X} the constant X, any other scalar itself. */
static int compile_value(struct compiler *c, struct reader *in, struct view_operation *operation)
{
	enum msgpack_type type = msgpack_peek(in);
	struct span member;
	uint32_t count;

	if (type == MSGPACK_STR)
		return compile_path(c, msgpack_read_str(in), operation);
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

/* --- operations -------------------------------------------------------------------------------------------------- */

static int rule_add_operation(struct compiler *c, struct view_rule *rule, struct view_operation *operation)
{
	if (operation->target.size == 0 || operation->target.size > KEY_MAX_BYTES)
		return compiler_fault(c, "a member's name has 1 to %u bytes", KEY_MAX_BYTES);
	if (is_text(operation->target, VIEW_UPDATED_AT))
		return compiler_fault(c, "every change sets this member; a rule cannot");
	if (rule->count == VIEW_OPERATIONS_MAX)
		return compiler_fault(c, "a rule names more than %u members", VIEW_OPERATIONS_MAX);
	for (uint32_t i = rule->first; i < rule->first + rule->count; i++)
		if (span_equal(c->plan->operations[i].target, operation->target))
			return compiler_fault(c, "the rule names this member twice");
	if (operation->verb != VIEW_REMOVE && operation->constant.size == 0)
		rule->reads_payload = true;
	rule->count++;
	return plan_add_operation(c->plan, operation);
}

static int compile_mapping(struct compiler *c, struct reader *in, struct view_rule *rule, enum view_verb verb)
{
	uint32_t count = msgpack_peek(in) == MSGPACK_MAP ? msgpack_read_map(in) : 0;
	int rv = 0;

	if (count == 0)
		return compiler_fault(c, "a map of members is wanted, such as {status: newStatus}");
	for (uint32_t i = 0; i < count && rv == 0; i++) {
		struct view_operation operation = {.verb = verb, .target = msgpack_read_str(in)};
		size_t place = compiler_enter(c, operation.target);

		rv = in->failed ? compiler_fault(c, "a member's name is text") : compile_value(c, in, &operation);
		if (rv == 0)
			rv = rule_add_operation(c, rule, &operation);
		if (rv == 0)
			compiler_leave(c, place);
	}
	return rv;
}

static int compile_removed(struct compiler *c, struct reader *in, struct view_rule *rule)
{
	struct view_operation operation = {.verb = VIEW_REMOVE};
	uint32_t count = msgpack_peek(in) == MSGPACK_ARRAY ? msgpack_read_array(in) : 1;
	int rv = 0;

	for (uint32_t i = 0; i < count && rv == 0; i++) {
		operation.target = msgpack_read_str(in);
		if (in->failed)
			return compiler_fault(c, "a member's name, or a list of names, is wanted");
		rv = rule_add_operation(c, rule, &operation);
	}
	return rv == 0 && count == 0 ? compiler_fault(c, "an empty list removes nothing") : rv;
}

/* --- rules ------------------------------------------------------------------------------------------------------- */

enum rule_part { PART_PUT, PART_MERGE, PART_SET, PART_ADD, PART_SUBTRACT, PART_REMOVE, PART_COUNT };

static const char *const part_names[PART_COUNT] = {"put", "merge", "set", "add", "subtract", "remove"};

static int compile_whole(struct compiler *c, struct reader *in, struct view_rule *rule, enum rule_part part)
{
	struct reader ahead = *in;

	if (msgpack_peek(in) == MSGPACK_STR && is_text(msgpack_read_str(&ahead), "all")) {
		*in = ahead;
		rule->base = part == PART_PUT ? VIEW_PUT : VIEW_MERGE;
		rule->reads_payload = true;
		return 0;
	}
	if (part == PART_MERGE)
		return compiler_fault(c, "only 'all' can be merged; to pick members use 'set'");
	if (msgpack_peek(in) != MSGPACK_MAP)
		return compiler_fault(c, "'all' or a map of members is wanted");
	rule->base = VIEW_EMPTY;
	return compile_mapping(c, in, rule, VIEW_SET);
}

static int compile_part(struct compiler *c, struct reader *in, struct view_rule *rule, enum rule_part part)
{
	switch (part) {
	case PART_PUT:
	case PART_MERGE: return compile_whole(c, in, rule, part);
	case PART_SET: return compile_mapping(c, in, rule, VIEW_SET);
	case PART_ADD: return compile_mapping(c, in, rule, VIEW_ADD);
	case PART_SUBTRACT: return compile_mapping(c, in, rule, VIEW_SUBTRACT);
	case PART_REMOVE: return compile_removed(c, in, rule);
	case PART_COUNT: break;
	}
	return compiler_fault(c, "not a part of a rule");
}

static enum rule_part part_of(struct span name)
{
	unsigned part = 0;

	while (part < PART_COUNT && !is_text(name, part_names[part]))
		part++;
	return (enum rule_part)part;
}

/* Finds the rule's parts, then compiles them in the order in which they are carried out. */
static int compile_parts(struct compiler *c, struct reader *in, struct view_rule *rule)
{
	struct reader parts[PART_COUNT];
	bool present[PART_COUNT] = {false};
	uint32_t count = msgpack_read_map(in);
	int rv = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct span name = msgpack_read_str(in);
		enum rule_part part = part_of(name);
		size_t place = compiler_enter(c, name);

		if (in->failed || part == PART_COUNT)
			return compiler_fault(c, "a rule has put, merge, set, add, subtract, remove, or is 'delete'");
		if (present[part])
			return compiler_fault(c, "stands there twice");
		compiler_leave(c, place);
		present[part] = true;
		parts[part] = *in;
		msgpack_skip(in);
	}
	if (count == 0)
		return compiler_fault(c, "an empty rule does nothing; leave the event type out");
	if (present[PART_PUT] && present[PART_MERGE])
		return compiler_fault(c, "put and merge exclude each other");
	for (unsigned part = 0; part < PART_COUNT && rv == 0; part++) {
		size_t place = compiler_enter(c, span_of_text(part_names[part]));

		rv = present[part] ? compile_part(c, &parts[part], rule, (enum rule_part)part) : 0;
		if (rv == 0)
			compiler_leave(c, place);
	}
	return rv;
}

static int compile_rule(struct compiler *c, struct reader *in, struct span type)
{
	struct view_rule rule = {.type = type, .base = VIEW_CHANGE, .first = c->plan->operation_count};
	int rv = 0;

	if (type.size == 0 || type.size > NAME_MAX_BYTES)
		return compiler_fault(c, "an event type has 1 to %u bytes", NAME_MAX_BYTES);
	switch (msgpack_peek(in)) {
	case MSGPACK_MAP: rv = compile_parts(c, in, &rule); break;
	case MSGPACK_STR:
		if (!is_text(msgpack_read_str(in), "delete"))
			return compiler_fault(c, "the only rule of one word is 'delete'");
		rule.base = VIEW_DELETE;
		break;
	default: return compiler_fault(c, "a rule is 'delete' or a map such as {put: all}");
	}
	return rv != 0 ? rv : plan_add_rule(c->plan, &rule);
}

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

static int compile_rules(struct compiler *c, struct reader *in)
{
	uint32_t count = msgpack_peek(in) == MSGPACK_MAP ? msgpack_read_map(in) : 0;
	struct view_plan *plan = c->plan;
	int rv = 0;

	if (count == 0 || count > VIEW_RULES_MAX)
		return compiler_fault(c, "a map of 1 to %u event types is wanted", VIEW_RULES_MAX);
	for (uint32_t i = 0; i < count && rv == 0; i++) {
		struct span type = msgpack_read_str(in);
		size_t place = compiler_enter(c, type);

		rv = in->failed ? compiler_fault(c, "an event type is text") : compile_rule(c, in, type);
		if (rv == 0)
			compiler_leave(c, place);
	}
	if (rv != 0)
		return rv;
	qsort(plan->rules, plan->rule_count, sizeof *plan->rules, compare_rules);
	for (uint32_t i = 1; i < plan->rule_count; i++) {
		if (compare_rules(&plan->rules[i - 1], &plan->rules[i]) == 0) {
			compiler_enter(c, plan->rules[i].type);
			return compiler_fault(c, "the event type stands there twice");
		}
	}
	return 0;
}

/* --- the definition ---------------------------------------------------------------------------------------------- */

enum head { HEAD_VIEW, HEAD_STREAM, HEAD_KIND, HEAD_ON, HEAD_DESCRIPTION, HEAD_COUNT };

static const char *const head_names[HEAD_COUNT] = {"view", "stream", "kind", "on", "description"};

static int compile_name(struct compiler *c, struct reader *in, struct span *name)
{
	if (msgpack_peek(in) != MSGPACK_STR)
		return compiler_fault(c, "text is wanted");
	*name = msgpack_read_str(in);
	if (name->size == 0 || name->size > NAME_MAX_BYTES)
		return compiler_fault(c, "a name has 1 to %u bytes", NAME_MAX_BYTES);
	return 0;
}

static int compile_head(struct compiler *c, struct reader *in, enum head head)
{
	struct span kind = SPAN_NULL;
	int rv = 0;

	switch (head) {
	case HEAD_VIEW: return compile_name(c, in, &c->plan->name);
	case HEAD_STREAM: return compile_name(c, in, &c->plan->stream);
	case HEAD_ON: return compile_rules(c, in);
	case HEAD_KIND:
		rv = compile_name(c, in, &kind);
		return rv == 0 && !is_text(kind, "entity") ? compiler_fault(c, "the kind is 'entity'") : rv;
	case HEAD_DESCRIPTION: return msgpack_peek(in) == MSGPACK_STR ? 0 : compiler_fault(c, "text is wanted");
	case HEAD_COUNT: break;
	}
	return compiler_fault(c, "a definition has view, stream, kind, on, description");
}

static int compile_definition(struct compiler *c, struct span definition)
{
	struct reader in = reader_of(definition);
	uint32_t count = msgpack_peek(&in) == MSGPACK_MAP ? msgpack_read_map(&in) : 0;
	bool present[HEAD_COUNT] = {false};
	int rv = 0;

	for (uint32_t i = 0; i < count && rv == 0; i++) {
		struct span name = msgpack_read_str(&in);
		struct reader value = in;
		unsigned head = 0;

		compiler_enter(c, name);
		while (head < HEAD_COUNT && !is_text(name, head_names[head]))
			head++;
		if (head < HEAD_COUNT && present[head])
			return compiler_fault(c, "stands there twice");
		rv = compile_head(c, &value, (enum head)head);
		if (rv == 0) {
			present[head] = true;
			compiler_leave(c, 0);
			msgpack_skip(&in);
		}
	}
	for (unsigned head = 0; head < HEAD_DESCRIPTION && rv == 0; head++)
		if (!present[head])
			rv = compiler_fault(c, "the member '%s' is missing", head_names[head]);
	return rv;
}

int view_plan_new(struct span definition, uint32_t (*resolve_stream)(void *data, struct span name), void *data,
		  struct view_plan **plan, char why[160])
{
	struct compiler c = {.plan = calloc(1, sizeof *c.plan), .why = why};
	char stream[64];
	int rv = ERROR_MEMORY;

	*plan = NULL;
	snprintf(why, WHY_BYTES, "out of memory");
	if (c.plan != NULL)
		c.plan->definition = malloc(definition.size + 1);
	if (c.plan == NULL || c.plan->definition == NULL)
		goto done;
	if (definition.size > (size_t)DEFINITION_MAX_BYTES || msgpack_validate(definition) != 0) {
		rv = compiler_fault(&c, "not a MessagePack map of at most %u bytes", DEFINITION_MAX_BYTES);
		goto done;
	}
	memcpy(c.plan->definition, definition.data, definition.size);
	rv = compile_definition(&c, span_of(c.plan->definition, definition.size));
	if (rv != 0)
		goto done;
	c.plan->stream_id = resolve_stream(data, c.plan->stream);
	if (c.plan->stream_id == 0) {
		text_of(c.plan->stream, stream);
		rv = compiler_fault(&c, "stream: there is no stream '%s'", stream);
		goto done;
	}
	*plan = c.plan;
	c.plan = NULL;
	why[0] = '\0';
done:
	view_plan_free(c.plan);
	return rv;
}

struct view_plan *view_plan_free(struct view_plan *plan)
{
	if (plan == NULL)
		return NULL;
	free(plan->definition);
	free(plan->rules);
	free(plan->operations);
	free(plan->names);
	free(plan);
	return NULL;
}

struct view_rule *view_plan_rule(const struct view_plan *plan, struct span type)
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

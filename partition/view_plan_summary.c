/* The rules of a summary view, compiled. One event type may count up some members and take away from others: its parts
 * are count, sum, min, max, average, first, last, and reverse, which holds count, sum and average again. */
#include <stdlib.h>

#include "partition/view_compile.h"
#include "partition/view_members.h"

static const struct summary_part {
	const char *name;
	enum view_verb verb;
	bool reversible;
} parts[] = {
	{"count", VIEW_COUNT, true}, {"sum", VIEW_SUM, true},         {"min", VIEW_MIN, false},
	{"max", VIEW_MAX, false},    {"average", VIEW_AVERAGE, true}, {"first", VIEW_FIRST, false},
	{"last", VIEW_LAST, false},
};

#define PARTS (sizeof parts / sizeof parts[0])

static const char *verb_name(enum view_verb verb)
{
	size_t i = 0;

	while (i < PARTS - 1 && parts[i].verb != verb)
		i++;
	return parts[i].name;
}

/* The member of the state that an operation works on, made if it is new. */
static int plan_member(struct compiler *c, struct view_operation *operation)
{
	struct view_plan *plan = c->plan;
	uint32_t i = 0;

	while (i < plan->member_count && !span_equal(plan->members[i].name, operation->target))
		i++;
	if (i == VIEW_SUMMARY_MEMBERS_MAX)
		return compiler_fault(c, "a summary has more than %u members", VIEW_SUMMARY_MEMBERS_MAX);
	if (i < plan->member_count && plan->members[i].verb != operation->verb)
		return compiler_fault(c, "this member is '%s' elsewhere; a member is of one sort",
				      verb_name(plan->members[i].verb));
	if (i == plan->member_count)
		plan->members[plan->member_count++] =
			(struct summary_member){.name = operation->target, .verb = operation->verb};
	operation->member = i;
	return 0;
}

/* The member of the payload that an operation's path begins with, made if it is new to the rule. */
static int rule_pick(struct compiler *c, struct view_rule *rule, struct view_operation *operation)
{
	struct span name = c->plan->names[operation->path_first];
	uint32_t i = 0;

	while (i < rule->pick_count && !span_equal(c->plan->picks[rule->pick_first + i].name, name))
		i++;
	operation->pick = i;
	if (i < rule->pick_count)
		return 0;
	rule->pick_count++;
	rule->reads_payload = true;
	return plan_add_pick(c->plan, name);
}

static int rule_add(struct compiler *c, struct view_rule *rule, struct view_operation *operation)
{
	int rv;

	if (operation->target.size == 0 || operation->target.size > KEY_MAX_BYTES)
		return compiler_fault(c, "a member's name has 1 to %u bytes", KEY_MAX_BYTES);
	if (is_text(operation->target, VIEW_UPDATED_AT))
		return compiler_fault(c, "every change sets this member; a rule cannot");
	for (uint32_t i = rule->first; i < rule->first + rule->count; i++)
		if (span_equal(c->plan->operations[i].target, operation->target))
			return compiler_fault(c, "the rule names this member twice");
	if (rule->count == VIEW_OPERATIONS_MAX)
		return compiler_fault(c, "a rule names more than %u members", VIEW_OPERATIONS_MAX);
	rv = plan_member(c, operation);
	if (rv != 0)
		return rv;
	if (operation->path_count > 0)
		rv = rule_pick(c, rule, operation);
	if (rv != 0)
		return rv;
	rule->count++;
	return plan_add_operation(c->plan, operation);
}

/* count: a member's name, or a list of names. */
static int compile_counted(struct compiler *c, struct reader *in, struct view_rule *rule, bool reverse)
{
	uint32_t count = msgpack_peek(in) == MSGPACK_ARRAY ? msgpack_read_array(in) : 1;
	int rv = 0;

	for (uint32_t i = 0; i < count && rv == 0; i++) {
		struct view_operation operation = {.verb = VIEW_COUNT, .reverse = reverse};

		operation.target = msgpack_read_str(in);
		if (in->failed)
			return compiler_fault(c, "a member's name, or a list of names, is wanted");
		rv = rule_add(c, rule, &operation);
	}
	return rv == 0 && count == 0 ? compiler_fault(c, "an empty list counts nothing") : rv;
}

static int check_constant(struct compiler *c, const struct view_operation *operation)
{
	struct reader in = reader_of(operation->constant);
	enum msgpack_type type = msgpack_peek(&in);
	bool number = type == MSGPACK_UINT || type == MSGPACK_INT || type == MSGPACK_DOUBLE;
	bool ordered = operation->verb == VIEW_MIN || operation->verb == VIEW_MAX;

	if (operation->constant.size == 0 || operation->verb == VIEW_FIRST || operation->verb == VIEW_LAST || number)
		return 0;
	if (ordered && type == MSGPACK_STR)
		return 0;
	return compiler_fault(c, ordered ? "a number, a text, or a path to one, is wanted"
					 : "a number, or a path to one, is wanted");
}

static int compile_mapping(struct compiler *c, struct reader *in, struct view_rule *rule,
			   const struct summary_part *part, bool reverse)
{
	uint32_t count = msgpack_peek(in) == MSGPACK_MAP ? msgpack_read_map(in) : 0;
	int rv = 0;

	if (count == 0)
		return compiler_fault(c, "a map of members is wanted, such as {total: amount}");
	for (uint32_t i = 0; i < count && rv == 0; i++) {
		struct view_operation operation = {.verb = part->verb, .reverse = reverse};
		size_t place;

		operation.target = msgpack_read_str(in);
		place = compiler_enter(c, operation.target);
		rv = in->failed ? compiler_fault(c, "a member's name is text") : compile_value(c, in, &operation);
		if (rv == 0)
			rv = check_constant(c, &operation);
		if (rv == 0)
			rv = rule_add(c, rule, &operation);
		if (rv == 0)
			compiler_leave(c, place);
	}
	return rv;
}

static int compile_part(struct compiler *c, struct reader *in, struct view_rule *rule, struct span name, bool reverse)
{
	size_t i = 0;

	while (i < PARTS && !is_text(name, parts[i].name))
		i++;
	if (i == PARTS)
		return compiler_fault(c, reverse ? "reverse has count, sum, average"
						 : "a rule has count, sum, min, max, average, first, last, reverse, "
						   "or is 'delete'");
	if (reverse && !parts[i].reversible)
		return compiler_fault(c, "cannot be reversed: what it replaced is not kept; count, sum, average can");
	return parts[i].verb == VIEW_COUNT ? compile_counted(c, in, rule, reverse)
					   : compile_mapping(c, in, rule, &parts[i], reverse);
}

static int compile_parts(struct compiler *c, struct reader *in, struct view_rule *rule, bool reverse)
{
	uint32_t count = msgpack_peek(in) == MSGPACK_MAP ? msgpack_read_map(in) : 0;
	int rv = 0;

	if (count == 0)
		return compiler_fault(c, reverse ? "a map is wanted, such as {sum: {total: amount}}"
						 : "a rule is 'delete' or a map such as {count: orders}");
	for (uint32_t i = 0; i < count && rv == 0; i++) {
		struct span name = msgpack_read_str(in);
		struct reader value = *in;
		size_t place = compiler_enter(c, name);

		if (!reverse && is_text(name, "reverse"))
			rv = compile_parts(c, &value, rule, true);
		else
			rv = compile_part(c, &value, rule, name, reverse);
		if (rv == 0) {
			compiler_leave(c, place);
			msgpack_skip(in);
		}
	}
	return rv;
}

static int compile_summary_rule(struct compiler *c, struct reader *in, struct view_rule *rule)
{
	struct reader ahead = *in;

	rule->base = VIEW_EMPTY;
	rule->pick_first = c->plan->pick_count;
	if (msgpack_peek(in) != MSGPACK_STR)
		return compile_parts(c, in, rule, false);
	if (!is_text(msgpack_read_str(&ahead), "delete"))
		return compiler_fault(c, "the only rule of one word is 'delete'");
	*in = ahead;
	rule->base = VIEW_DELETE;
	return 0;
}

/* The members' names as they stand in every state. */
static int plan_write_keys(struct view_plan *plan)
{
	size_t size = 0;
	uint8_t *at;

	for (uint32_t i = 0; i < plan->member_count; i++)
		size += view_name_size(plan->members[i].name);
	at = plan->keys = malloc(size + 1);
	if (at == NULL)
		return ERROR_MEMORY;
	for (uint32_t i = 0; i < plan->member_count; i++) {
		struct summary_member *member = &plan->members[i];

		member->key = span_of(at, view_name_size(member->name));
		at = view_write_name(at, member->name);
	}
	return 0;
}

int compile_summary(struct compiler *c, struct reader *in)
{
	int rv = compile_rules(c, in, compile_summary_rule);

	return rv != 0 ? rv : plan_write_keys(c->plan);
}

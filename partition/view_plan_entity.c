/* The rules of an entity view, compiled: delete, put, merge, set, add, subtract, remove. */
#include "partition/view_compile.h"

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

int compile_entity_rule(struct compiler *c, struct reader *in, struct view_rule *rule)
{
	rule->base = VIEW_CHANGE;
	switch (msgpack_peek(in)) {
	case MSGPACK_MAP: return compile_parts(c, in, rule);
	case MSGPACK_STR:
		if (!is_text(msgpack_read_str(in), "delete"))
			return compiler_fault(c, "the only rule of one word is 'delete'");
		rule->base = VIEW_DELETE;
		return 0;
	default: return compiler_fault(c, "a rule is 'delete' or a map such as {put: all}");
	}
}

/* Summary views: what the events of a key add up to.
 *
 * A state is a map of all members of the definition, in its order: counts and sums begin at 0, an average is a map of
 * average, count and sum, anything else is nil until there is a value; and last the tail (view_members.h). Numbers are
 * in their shortest form. What an event does not carry, or carries as nil, leaves the member alone. An event is
 * applied whole or not at all. */
#include <assert.h>
#include <float.h>

#include "partition/view.h"
#include "partition/view_members.h"
#include "partition/view_value.h"

static const uint8_t zero[] = {0x00};
static const uint8_t one[] = {0x01};
static const uint8_t nil[] = {0xc0};
static const uint8_t average_head[] = "\x83\xa7"
				      "average";
static const uint8_t average_count[] = "\xa5"
				       "count";
static const uint8_t average_sum[] = "\xa3"
				     "sum";
static const uint8_t no_average[] = "\x83\xa7"
				    "average\xc0\xa5"
				    "count\x00\xa3"
				    "sum";

#define HEAD_BYTES (sizeof average_head - 1)
#define COUNT_BYTES (sizeof average_count - 1)
#define SUM_BYTES (sizeof average_sum - 1)
#define AVERAGE_MAX_BYTES (HEAD_BYTES + COUNT_BYTES + SUM_BYTES + 3 * VIEW_NUMBER_BYTES)

struct average {
	struct span count;
	struct span sum;
};

struct summary {
	struct span values[VIEW_SUMMARY_MEMBERS_MAX];
	struct average averages[VIEW_SUMMARY_MEMBERS_MAX];            /* inside the values that are averages */
	bool resized;                                                 /* a value is of another size than in the state */
	uint8_t numbers[VIEW_SUMMARY_MEMBERS_MAX][AVERAGE_MAX_BYTES]; /* what values point to once they were changed */
};

/* Takes what stands where this text belongs; whether it is the text is looked at where `strict`: a cell of this
 * process bears what it was given (view_summary_state_holds, summary_write). */
__attribute__((always_inline)) static inline bool take_text(struct reader *in, const uint8_t *text, size_t size,
							    bool strict)
{
	struct span found = reader_bytes(in, size);

	return found.data != NULL && (!strict || view_value_equal(found.data, text, size));
}

/* Takes an average's map as this file writes it; SPAN_NULL: it is none. */
__attribute__((always_inline)) static inline struct span average_take(struct reader *in, struct average *average,
								      bool strict)
{
	const uint8_t *from = in->at;
	bool nested = false;

	if (!take_text(in, average_head, HEAD_BYTES, strict))
		return SPAN_NULL;
	view_value_take(in, &nested);
	if (!take_text(in, average_count, COUNT_BYTES, strict))
		return SPAN_NULL;
	average->count = view_value_take(in, &nested);
	if (!take_text(in, average_sum, SUM_BYTES, strict))
		return SPAN_NULL;
	average->sum = view_value_take(in, &nested);
	return in->failed || nested ? SPAN_NULL : span_of(from, (size_t)(in->at - from));
}

/* --- the state --------------------------------------------------------------------------------------------------- */

static void summary_begin(const struct view_plan *plan, struct summary *summary)
{
	for (uint32_t i = 0; i < plan->member_count; i++)
		switch (plan->members[i].verb) {
		case VIEW_COUNT:
		case VIEW_SUM: summary->values[i] = span_of(zero, 1); break;
		case VIEW_AVERAGE:
			summary->values[i] = span_of(no_average, sizeof no_average);
			summary->averages[i] = (struct average){span_of(zero, 1), span_of(zero, 1)};
			break;
		default: summary->values[i] = span_of(nil, 1); break;
		}
}

/* False: not a state of this definition. */
__attribute__((always_inline)) static inline bool summary_read(const struct view_plan *plan, struct span state,
							       struct summary *summary, bool strict)
{
	struct reader in = reader_of(state);
	bool nested = false;

	if (msgpack_read_map(&in) != plan->member_count + 1)
		return false;
	for (uint32_t i = 0; i < plan->member_count; i++) {
		const struct summary_member *member = &plan->members[i];
		struct span *value = &summary->values[i];

		if (!take_text(&in, member->key.data, member->key.size, strict))
			return false;
		*value = member->verb == VIEW_AVERAGE ? average_take(&in, &summary->averages[i], strict)
						      : view_value_take(&in, &nested);
		if (value->size == 0)
			return false;
	}
	return reader_left(&in) == VIEW_TAIL_BYTES;
}

static size_t summary_size(const struct view_plan *plan, const struct summary *summary)
{
	size_t size = view_map_header_size(plan->member_count + 1) + VIEW_TAIL_BYTES;

	for (uint32_t i = 0; i < plan->member_count; i++)
		size += plan->members[i].key.size + summary->values[i].size;
	return size;
}

static void summary_write(const struct view_plan *plan, const struct summary *summary, uint64_t updated_at_us,
			  uint8_t *at)
{
	at = view_write_map_header(at, plan->member_count + 1);
	for (uint32_t i = 0; i < plan->member_count; i++)
		at = view_value_put(view_value_put(at, plan->members[i].key), summary->values[i]);
	view_write_tail(at, updated_at_us);
}

/* Over a state whose values are as long: what has not changed points to its own place. */
static void summary_write_over(const struct view_plan *plan, const struct summary *summary, uint64_t updated_at_us,
			       uint8_t *at)
{
	at += view_map_header_size(plan->member_count + 1);
	for (uint32_t i = 0; i < plan->member_count; i++) {
		at += plan->members[i].key.size;
		if (summary->values[i].data != at)
			view_value_put(at, summary->values[i]);
		at += summary->values[i].size;
	}
	view_write_tail(at, updated_at_us);
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

/* One division of two doubles, each the nearest to what it stands for: the same on every machine. */
static uint8_t *put_quotient(uint8_t *at, struct span sum, struct span count)
{
	double divisor = view_value_real(count);
	double quotient;
	uint64_t bits;

	if (divisor == 0) {
		*at = 0xc0;
		return at + 1;
	}
	quotient = view_value_real(sum) / divisor;
	memcpy(&bits, &quotient, sizeof bits);
	*at = 0xcb;
	store_big(at + 1, 8, bits);
	return at + VIEW_NUMBER_BYTES;
}

static void summary_set(struct summary *summary, uint32_t member, struct span value)
{
	summary->resized |= value.size != summary->values[member].size;
	summary->values[member] = value;
}

/* Gives the size of the new value in `number`; 0: it cannot be. */
static size_t average_add(const struct average *old, struct span operand, bool reverse, uint8_t *number)
{
	uint8_t counted[VIEW_NUMBER_BYTES] = {0};
	uint8_t summed[VIEW_NUMBER_BYTES] = {0};
	struct span count = span_of(counted, view_value_add(old->count, span_of(one, 1), reverse, counted));
	struct span sum = span_of(summed, view_value_add(old->sum, operand, reverse, summed));
	uint8_t *at = number;

	if (count.size == 0 || sum.size == 0)
		return 0;
	memcpy(at, average_head, HEAD_BYTES);
	at = put_quotient(at + HEAD_BYTES, sum, count);
	memcpy(at, average_count, COUNT_BYTES);
	memcpy(at + COUNT_BYTES, counted, VIEW_NUMBER_BYTES); /* what is too much is written over */
	at += COUNT_BYTES + count.size;
	memcpy(at, average_sum, SUM_BYTES);
	memcpy(at + SUM_BYTES, summed, VIEW_NUMBER_BYTES);
	at += SUM_BYTES + sum.size;
	return (size_t)(at - number);
}

/* --- applying ---------------------------------------------------------------------------------------------------- */

/* Numbers, but not what is none, and texts have an order that means something. */
static bool has_order(struct span value)
{
	struct reader in = reader_of(value);
	uint64_t bits;
	double real;

	if (view_value_unsigned(value, &bits))
		return true;
	switch (msgpack_number(value, &bits)) {
	case MSGPACK_UINT:
	case MSGPACK_INT: return true;
	case MSGPACK_DOUBLE: memcpy(&real, &bits, sizeof real); return real >= -DBL_MAX && real <= DBL_MAX;
	default: return msgpack_peek(&in) == MSGPACK_STR;
	}
}

static bool is_nil(struct span value)
{
	return value.size == 1 && value.data[0] == 0xc0;
}

static bool goes_before(struct span a, struct span b, bool least)
{
	uint64_t integers[2];

	if (view_value_unsigned(a, &integers[0]) && view_value_unsigned(b, &integers[1]))
		return least ? integers[0] < integers[1] : integers[0] > integers[1];
	return msgpack_compare(a, b) == (least ? -1 : 1);
}

static bool summary_add(struct summary *summary, const struct view_operation *operation, struct span operand)
{
	uint32_t member = operation->member;
	struct span value = summary->values[member];
	uint8_t *number = summary->numbers[member];
	size_t size;

	switch (operation->verb) {
	case VIEW_COUNT:
	case VIEW_SUM:
	case VIEW_AVERAGE:
		if (operation->verb == VIEW_AVERAGE)
			size = average_add(&summary->averages[member], operand, operation->reverse, number);
		else
			size = view_value_add(value, operand, operation->reverse, number);
		if (size > 0)
			summary_set(summary, member, span_of(number, size));
		return size > 0;
	case VIEW_MIN:
	case VIEW_MAX:
		if (!has_order(operand))
			return false;
		if (is_nil(value) || goes_before(operand, value, operation->verb == VIEW_MIN))
			summary_set(summary, member, operand);
		return true;
	case VIEW_FIRST:
		if (is_nil(value))
			summary_set(summary, member, operand);
		return true;
	default: summary_set(summary, member, operand); return true;
	}
}

/* What the event brings; empty or nil: nothing. */
static struct span operation_operand(const struct view_plan *plan, const struct view_operation *operation,
				     const struct span *picked)
{
	struct span operand = operation->constant;

	if (operation->verb == VIEW_COUNT)
		return span_of(one, 1);
	if (operation->path_count > 0)
		operand = picked[operation->pick];
	for (uint32_t i = 1; i < operation->path_count && operand.size > 0; i++)
		operand = msgpack_member(operand, plan->names[operation->path_first + i]);
	return operand;
}

static int operation_carry_out(struct view *view, const struct view_operation *operation, const struct span *picked,
			       struct summary *summary)
{
	struct span operand = operation_operand(view->plan, operation, picked);
	struct span name;

	if (operand.size == 0 || is_nil(operand))
		return 0;
	if (summary_add(summary, operation, operand))
		return 0;
	name = view->plan->members[operation->member].name;
	return view_fault(view, "member '%.*s': %s", (int)(name.size < 60 ? name.size : 60), (const char *)name.data,
			  operation->verb == VIEW_MIN || operation->verb == VIEW_MAX
				  ? "neither a finite number nor a text"
				  : "not a number, or the result does not fit into 64 bits");
}

/* The members of the payload that the rule reads. False: not a payload with members. */
static bool payload_pick(const struct view_plan *plan, const struct view_rule *rule, const struct view_event *event,
			 struct span *picked)
{
	static const uint8_t no_members[] = {0x80};
	struct span payload = event->payload.size == 0 ? span_of(no_members, 1) : event->payload;
	const struct view_pick *picks = rule->pick_count == 0 ? NULL : plan->picks + rule->pick_first;

	return view_payload_is_msgpack(event) && members_pick(payload, picks, rule->pick_count, picked);
}

static int summary_put(struct view *view, struct key_entry *entry, struct view_cell *old,
		       const struct view_event *event, const struct summary *summary, struct buffer *scratch)
{
	struct view_cell *cell;
	size_t size;
	uint8_t *at;

	if (old != NULL && !summary->resized) {
		view_cell_begin_over(view, old);
		summary_write_over(view->plan, summary, event->ingest_time_us, old->bytes);
		view_cell_done(view, entry, old, event->offset);
		return 0;
	}
	size = summary_size(view->plan, summary);
	if (size > VIEW_STATE_MAX_BYTES)
		return view_fault(view, "the state would exceed %zu bytes", VIEW_STATE_MAX_BYTES);
	buffer_clear(scratch);
	at = buffer_extend(scratch, size);
	if (at == NULL)
		return ERROR_MEMORY;
	summary_write(view->plan, summary, event->ingest_time_us, at); /* aside: values point into the cell */
	cell = view_cell_begin(view, entry, size);
	if (cell == NULL)
		return ERROR_MEMORY;
	memcpy(cell->bytes, at, size);
	view_cell_done(view, entry, cell, event->offset);
	return 0;
}

int view_summary_apply(struct view *view, struct key_entry *entry, const struct view_event *event,
		       struct buffer *scratch)
{
	const struct view_rule *rule = view_plan_rule(view->plan, event->type);
	struct view_cell *old;
	struct summary summary;
	struct span picked[VIEW_OPERATIONS_MAX];
	int rv = 0;

	if (rule == NULL)
		return 0;
	old = view_cell_find(entry, view->generation);
	if (rule->base == VIEW_DELETE) {
		view->counts.missing += old == NULL;
		if (old != NULL)
			view_cell_delete(view, entry, old);
		return 0;
	}
	if (rule->reads_payload && !payload_pick(view->plan, rule, event, picked))
		return view_fault(view,
				  "the payload is not a MessagePack map of at most %u members with text for names",
				  VIEW_MEMBERS_MAX);
	summary.resized = false;
	if (old == NULL) {
		summary_begin(view->plan, &summary);
	} else {
		bool read = summary_read(view->plan, view_cell_state(old), &summary, false);

		assert(read);
	}
	for (uint32_t i = rule->first; i < rule->first + rule->count && rv == 0; i++)
		rv = operation_carry_out(view, &view->plan->operations[i], picked, &summary);
	return rv != 0 ? rv : summary_put(view, entry, old, event, &summary, scratch);
}

/* --- snapshots --------------------------------------------------------------------------------------------------- */

static bool is_number(struct span value)
{
	uint8_t number[VIEW_NUMBER_BYTES];

	return view_value_add(SPAN_NULL, value, false, number) > 0;
}

bool view_summary_state_holds(const struct view_plan *plan, struct span state)
{
	struct summary summary;

	if (msgpack_validate(state) != 0 || !summary_read(plan, state, &summary, true) ||
	    summary_size(plan, &summary) != state.size || !view_tail_holds(state))
		return false;
	for (uint32_t i = 0; i < plan->member_count; i++) {
		enum view_verb verb = plan->members[i].verb;
		struct span value = summary.values[i];

		if ((verb == VIEW_COUNT || verb == VIEW_SUM) && !is_number(value))
			return false;
		if (verb == VIEW_AVERAGE &&
		    (!is_number(summary.averages[i].count) || !is_number(summary.averages[i].sum)))
			return false;
		if ((verb == VIEW_MIN || verb == VIEW_MAX) && !is_nil(value) && !has_order(value))
			return false;
	}
	return true;
}

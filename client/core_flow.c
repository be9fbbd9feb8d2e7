/* The events of one partition on their way: what is promised in core.h is kept here.
 *
 *   core_publish --> open --(full, or its shard can take more)--> queue --(room: at most 8)--> window --> completions
 *
 * In the window a batch has a number, and bytes that do not change as long as it is unsettled (outgoing.h). What an
 * answer to one copy does:
 *
 *   done                       completions; the window's front moves on
 *   refused for a while        nothing was journalled: it and all behind it are sent again after a pause, or at once
 *                              when the map names another primary or epoch
 *   faults                     the named events end as not applied; the rest is built anew under the same number, in
 *                              front of everything later (settled, or the fault lasts: then no open copy can be
 *                              stored either)
 *   nothing left of a number   a cut: the later ones bear wrong numbers. None is sent; once all of them are settled
 *                              they are numbered anew. Should answers fail to come, the producer retires here: the
 *                              number was never used, so under the old producer nothing behind it can ever be stored
 *   producer unknown           settled batches go on under a new producer, others end as unknown
 *   numbers given up           a forced election took earlier batches away, and their numbers with them: the same
 *   unknown at the deadline    the producer retires here: what was sent behind it and is unsettled is unknown too,
 *                              the rest goes on under a new producer
 *
 * Retiring waits until the window is empty, because only the numbers of one producer keep order on the node. */
#include <assert.h>

#include "client/core_state.h"

static const struct append_done no_answer = {0};

/* --- telling ------------------------------------------------------------------------------------------------------ */

static void flow_tell(struct core *core, struct flow *flow, struct outgoing *outgoing, uint32_t record, uint16_t error,
		      enum core_outcome outcome, const struct append_done *done)
{
	struct core_completion *completion = core_complete(core);

	*completion = (struct core_completion){
		.tag = outgoing->events[record].tag,
		.error = error,
		.outcome = (uint8_t)outcome,
		.duplicate = done->duplicate,
		.partition = flow->partition,
		.stages = done->stages,
		.history = done->history,
		.published_ms = (uint32_t)outgoing->events[record].published_ms,
	};
	memcpy(completion->stage_us, done->stage_us, sizeof completion->stage_us);
	if (outcome == CORE_APPLIED) {
		completion->offset = done->base_offset + record;
		completion->sequence = done->base_sequence + record;
	}
}

static void flow_tell_rest(struct core *core, struct flow *flow, struct outgoing *outgoing, uint16_t error,
			   enum core_outcome outcome, const struct append_done *done)
{
	assert((error == ERROR_NONE) == (outcome == CORE_APPLIED));
	while (outgoing->told < outgoing_count(outgoing))
		flow_tell(core, flow, outgoing, outgoing->told++, error, outcome, done);
}

static bool flow_expired(const struct core *core, const struct outgoing *outgoing, uint32_t record)
{
	return core->now_ms - outgoing->events[record].published_ms >= core->deadline_ms;
}

/* The events whose deadline has passed: they are the first ones. */
static void flow_tell_expired(struct core *core, struct flow *flow, struct outgoing *outgoing, uint16_t error,
			      enum core_outcome outcome)
{
	while (outgoing->told < outgoing_count(outgoing) && flow_expired(core, outgoing, outgoing->told))
		flow_tell(core, flow, outgoing, outgoing->told++, error, outcome, &no_answer);
}

static uint16_t flow_why_not(const struct core *core, const struct flow *flow)
{
	if (flow->last_error != ERROR_NONE)
		return flow->last_error;
	if (core->foreign)
		return ERROR_FOREIGN;
	return core->reached ? ERROR_TIMEOUT : ERROR_CONNECT;
}

/* --- window and queue --------------------------------------------------------------------------------------------- */

bool flow_idle(const struct flow *flow)
{
	return flow->window_count == 0 && flow->queue_head == NULL && flow->open == NULL;
}

static void flow_remove(struct core *core, struct flow *flow, uint32_t at)
{
	struct outgoing *outgoing = flow->window[at];

	assert(outgoing->told == outgoing_count(outgoing));
	flow->window_count--;
	memmove(flow->window + at, flow->window + at + 1, (flow->window_count - at) * sizeof *flow->window);
	core_outgoing_put(core, outgoing);
}

static struct outgoing *flow_rebuilt(struct core *core, struct flow *flow, const struct outgoing *from,
				     const struct outgoing_drops *drops)
{
	struct outgoing *to = core_outgoing_get(core, flow->partition);

	if (to == NULL)
		return NULL;
	if (outgoing_rebuild(from, drops, to) != 0) {
		core_outgoing_put(core, to);
		return NULL;
	}
	to->charge = to->builder.bytes.size;
	core->pending_bytes += to->charge;
	return to;
}

static void flow_queue_front(struct flow *flow, struct outgoing *outgoing)
{
	assert(outgoing->number == 0 && outgoing_count(outgoing) > 0);
	outgoing->next = flow->queue_head;
	flow->queue_head = outgoing;
	if (flow->queue_tail == NULL)
		flow->queue_tail = outgoing;
}

/* Takes everything from `at` on out of the window, unnumbered, to the queue's front. None may be stored any more. */
static void flow_requeue(struct core *core, struct flow *flow, uint32_t at)
{
	while (flow->window_count > at) {
		struct outgoing *last = flow->window[flow->window_count - 1];
		struct outgoing *again = NULL;
		if (last->told < outgoing_count(last)) {
			again = flow_rebuilt(core, flow, last, NULL);
			if (again == NULL)
				flow_tell_rest(core, flow, last, ERROR_MEMORY, CORE_NOT_APPLIED, &no_answer);
		}
		last->told = outgoing_count(last);
		flow_remove(core, flow, flow->window_count - 1);
		if (again != NULL)
			flow_queue_front(flow, again);
	}
}

static void flow_pop_done(struct core *core, struct flow *flow)
{
	while (flow->window_count > 0 && flow->window[0]->done)
		flow_remove(core, flow, 0);
}

static struct outgoing *flow_next_unnumbered(struct flow *flow)
{
	struct outgoing *next = flow->queue_head;

	if (next != NULL) {
		flow->queue_head = next->next;
		if (flow->queue_head == NULL)
			flow->queue_tail = NULL;
	} else if (flow->open != NULL && outgoing_count(flow->open) > 0) {
		next = flow->open;
		flow->open = NULL;
	}
	return next;
}

/* --- producers ---------------------------------------------------------------------------------------------------- */

static void flow_retire(struct core *core, struct flow *flow)
{
	flow->retire = true;
	if (core->producer.wanted <= flow->generation)
		core->producer.wanted = flow->generation + 1;
}

/* Takes up the newest producer if the flow needs one. false: it has to wait for it. */
static bool flow_produces(const struct core *core, const struct flow *flow)
{
	if (flow->generation != 0 && !flow->retire)
		return true;
	return flow->window_count == 0 && core->producer.generation > flow->generation;
}

static void flow_adopt(struct core *core, struct flow *flow)
{
	if (flow->generation != 0 && !flow->retire)
		return;
	assert(flow->window_count == 0 && core->producer.generation > flow->generation);
	flow->generation = core->producer.generation;
	flow->producer_id = core->producer.id;
	flow->next_number = 1;
	flow->cut_number = 0;
	flow->retire = false;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static bool flow_beyond_cut(const struct flow *flow, const struct outgoing *outgoing)
{
	return flow->cut_number != 0 && outgoing->number > flow->cut_number;
}

static bool flow_has_due(const struct flow *flow)
{
	for (uint32_t i = 0; i < flow->window_count; i++) {
		if (flow->window[i]->due && !flow->window[i]->done)
			return true;
	}
	return false;
}

static bool flow_may_number(const struct core *core, const struct flow *flow)
{
	return flow->cut_number == 0 && flow->window_count < CORE_BATCHES_IN_FLIGHT && flow_produces(core, flow);
}

static bool flow_has_unnumbered(const struct flow *flow)
{
	return flow->queue_head != NULL || (flow->open != NULL && outgoing_count(flow->open) > 0);
}

bool flow_sendable(const struct core *core, const struct flow *flow)
{
	if (flow->resume_ms > core->now_ms)
		return false;
	return flow_has_due(flow) || (flow_has_unnumbered(flow) && flow_may_number(core, flow));
}

void flow_fill_window(struct core *core, struct flow *flow)
{
	const struct map_partition *row = &core->map.partitions[flow->partition];

	while (flow_has_unnumbered(flow) && flow_may_number(core, flow)) {
		struct outgoing *next;
		flow_adopt(core, flow);
		next = flow_next_unnumbered(flow);
		outgoing_finish(next, flow->producer_id, flow->next_number++, core->compress);
		if (flow->next_number == UINT32_MAX)
			flow_retire(core, flow); /* this producer has no more numbers here */
		next->resend_ms = RESEND_MS;
		flow->window[flow->window_count++] = next;
	}
	flow->route_node = row->primary;
	flow->route_epoch = row->epoch;
}

static void flow_mark_due(struct flow *flow, uint32_t from)
{
	for (uint32_t i = from; i < flow->window_count; i++)
		flow->window[i]->due = !flow->window[i]->done && !flow_beyond_cut(flow, flow->window[i]);
}

void flow_resend(struct core *core, struct flow *flow)
{
	flow->lost_ticket = core->ticket;
	flow_mark_due(flow, 0);
	flow->resume_ms = 0;
	lane_wait(core, flow);
}

void flow_unsent(struct core *core, struct flow *flow, struct core_copies copies)
{
	bool any = false;

	for (uint32_t i = 0; i < flow->window_count; i++) {
		struct outgoing *outgoing = flow->window[i];
		if (!outgoing_copies_take(outgoing, copies.first, copies.count) || outgoing->done)
			continue;
		outgoing->due = !flow_beyond_cut(flow, outgoing);
		any = true;
	}
	if (any)
		lane_wait(core, flow);
}

void flow_route_changed(struct core *core, struct flow *flow)
{
	const struct map_partition *row = &core->map.partitions[flow->partition];

	if (flow->window_count == 0 || row->primary == 0 ||
	    (row->primary == flow->route_node && row->epoch == flow->route_epoch))
		return;
	flow->route_node = row->primary;
	flow->route_epoch = row->epoch;
	flow->pause_ms = 0;
	core->counts.reroutes++;
	flow_resend(core, flow);
}

/* Everything from `at` on goes out again after a pause that grows with every round of refusals: those of the window's
 * other batches come while it lasts. */
static void flow_pause(struct core *core, struct flow *flow, uint32_t at, uint32_t least_ms)
{
	uint32_t pause_ms = 0;

	flow_mark_due(flow, at);
	if (flow->resume_ms <= core->now_ms) {
		pause_ms = flow->pause_ms == 0 ? RETRY_MS : flow->pause_ms;
		flow->pause_ms = pause_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : pause_ms * 2;
	}
	if (least_ms > pause_ms)
		pause_ms = least_ms > RESEND_MAX_MS ? RESEND_MAX_MS : least_ms;
	if (flow->resume_ms < core->now_ms + pause_ms)
		flow->resume_ms = core->now_ms + pause_ms;
}

/* --- a number without content ------------------------------------------------------------------------------------- */

static uint32_t flow_first_beyond_cut(const struct flow *flow)
{
	uint32_t at = 0;

	while (at < flow->window_count && flow->window[at]->number < flow->cut_number)
		at++;
	return at;
}

static void flow_settle_cut(struct core *core, struct flow *flow)
{
	uint32_t at = flow_first_beyond_cut(flow);

	for (uint32_t i = at; i < flow->window_count; i++) {
		if (!outgoing_unsettled(flow->window[i]))
			continue;
		if (core->now_ms < flow->cut_by_ms)
			return;
		flow_retire(core, flow);
		break;
	}
	flow_requeue(core, flow, at);
	flow->next_number = flow->cut_number;
	flow->cut_number = 0;
	lane_wait(core, flow);
}

static void flow_cut(struct core *core, struct flow *flow, uint32_t number)
{
	if (flow->cut_number == 0) {
		flow->cut_by_ms = core->now_ms + CUT_PATIENCE_MS;
		flow->cut_number = number;
	} else if (number < flow->cut_number) {
		flow->cut_number = number;
	}
	for (uint32_t i = flow_first_beyond_cut(flow); i < flow->window_count; i++)
		flow->window[i]->due = false;
	flow_settle_cut(core, flow);
}

/* No copy of this batch can be stored any more: its events end, its number is free. */
static void flow_drop(struct core *core, struct flow *flow, uint32_t at, uint16_t error)
{
	struct outgoing *outgoing = flow->window[at];
	uint32_t number = outgoing->number;

	flow_tell_rest(core, flow, outgoing, error, CORE_NOT_APPLIED, &no_answer);
	flow_remove(core, flow, at);
	flow_cut(core, flow, number);
}

static void flow_tell_kept(struct core *core, struct flow *flow, struct outgoing *outgoing,
			   const struct outgoing_drops *drops, uint16_t error)
{
	for (; outgoing->told < outgoing_count(outgoing); outgoing->told++) {
		if (drops == NULL || !outgoing_drops_has(drops, outgoing->told))
			flow_tell(core, flow, outgoing, outgoing->told, error, CORE_NOT_APPLIED, &no_answer);
	}
}

/* The batch keeps its number and gets other bytes: what is neither told nor dropped. The dropped ones were told. */
static void flow_replace(struct core *core, struct flow *flow, uint32_t at, const struct outgoing_drops *drops)
{
	struct outgoing *old = flow->window[at];
	struct outgoing *again = flow_rebuilt(core, flow, old, drops);

	if (again == NULL) {
		flow_tell_kept(core, flow, old, drops, ERROR_MEMORY);
		flow_drop(core, flow, at, ERROR_MEMORY);
		return;
	}
	assert(outgoing_count(again) > 0);
	outgoing_finish(again, flow->producer_id, old->number, core->compress);
	again->resend_ms = RESEND_MS;
	again->due = !flow_beyond_cut(flow, again);
	flow->window[at] = again;
	core_outgoing_put(core, old);
}

/* --- outcomes that stay unknown ----------------------------------------------------------------------------------- */

static void flow_give_up(struct core *core, struct flow *flow, uint32_t at)
{
	if (flow->cut_number >= flow->window[at]->number)
		flow->cut_number = 0;
	for (uint32_t i = at; i < flow->window_count;) {
		struct outgoing *outgoing = flow->window[i];
		if (i > at && !outgoing->done && !outgoing_unsettled(outgoing)) {
			i++;
			continue;
		}
		if (!outgoing->done) {
			flow_tell_rest(core, flow, outgoing, ERROR_OUTCOME_UNKNOWN, CORE_UNKNOWN, &no_answer);
			core->counts.given_up++;
		}
		flow_remove(core, flow, i);
	}
	flow_requeue(core, flow, at);
	flow_retire(core, flow);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void flow_done(struct core *core, struct flow *flow, uint32_t at, const struct append_done *done)
{
	struct outgoing *outgoing = flow->window[at];

	flow_tell_rest(core, flow, outgoing, ERROR_NONE, CORE_APPLIED, done);
	outgoing->done = true;
	outgoing->due = false;
	flow->pause_ms = 0;
	flow->refused = false;
	flow->last_error = ERROR_NONE;
	flow->history = done->history;
	flow_pop_done(core, flow);
}

/* Refusals that a later state of the cluster takes back, but not soon: told after a while, design.md 6.8. */
static bool flow_patience_over(struct core *core, struct flow *flow)
{
	if (!flow->refused || core->now_ms - flow->refused_ms > REFUSAL_MEMORY_MS)
		flow->refused_since_ms = core->now_ms;
	flow->refused = true;
	flow->refused_ms = core->now_ms;
	return core->now_ms - flow->refused_since_ms >= core->below_minimum_ms;
}

static bool error_wants_patience(uint16_t error)
{
	return error == ERROR_NOT_ENOUGH_REPLICAS || error == ERROR_DISK_FULL || error == ERROR_UNKNOWN_STREAM;
}

static void flow_later(struct core *core, struct flow *flow, uint32_t at, const struct append_done *done)
{
	struct outgoing *outgoing = flow->window[at];
	bool earlier = at > 0 && (done->error == ERROR_OUT_OF_ORDER || done->error == ERROR_UNKNOWN_PRODUCER);

	flow->last_error = done->error;
	if (done->error == ERROR_NOT_PRIMARY)
		core->map_wanted = true;
	if (outgoing->copy_count > 0 && outgoing->copies[outgoing->copy_count - 1] > flow->lost_ticket)
		return; /* another copy is out: its answer decides */
	if (error_wants_patience(done->error) && !outgoing_unsettled(outgoing) && flow_patience_over(core, flow)) {
		flow_drop(core, flow, at, done->error);
		return;
	}
	flow_pause(core, flow, earlier ? 0 : at, done->retry_ms);
}

static void flow_unknown_producer(struct core *core, struct flow *flow, uint32_t at)
{
	struct outgoing *outgoing = flow->window[at];

	if (outgoing_unsettled(outgoing)) {
		flow_give_up(core, flow, at);
		return;
	}
	flow->last_error = ERROR_UNKNOWN_PRODUCER;
	flow_requeue(core, flow, at);
	flow_retire(core, flow);
	flow_pause(core, flow, at, 0);
}

/* Whether the fault will be found in every later copy too, so that none of them can be stored. */
static bool fault_lasts(const struct outgoing *outgoing, const struct fault *fault)
{
	struct check check;

	switch (fault->error) {
	case ERROR_MALFORMED:
	case ERROR_LIMIT:
	case ERROR_EMPTY:
	case ERROR_WRONG_PARTITION:
	case ERROR_BAD_EVENT:
	case ERROR_VERSION: return true;
	case ERROR_CHECK_FAILED:
		if (!outgoing_check(outgoing, fault->record, &check))
			return false;
		return check.kind == CHECK_NONE ||
		       (check.kind == CHECK_VERSION && fault->actual_version > check.version);
	default: return false;
	}
}

struct verdict { /* over a list of faults */
	uint32_t dropped;
	bool lasts;
};

/* Marks what the faults drop; unknown streams stay as long as there is patience: metadata may know them already. */
static struct verdict flow_judge(struct core *core, struct flow *flow, const struct outgoing *outgoing,
				 const struct append_done *done)
{
	struct reader in = reader_of(done->faults);
	struct verdict verdict = {0, false};
	struct fault fault;

	memset(core->drops, 0, sizeof *core->drops);
	for (uint16_t i = 0; i < done->fault_count; i++) {
		if (fault_decode(&in, &fault) != 0 || fault.record >= outgoing_count(outgoing))
			continue;
		if (fault.error == ERROR_UNKNOWN_STREAM && !flow_patience_over(core, flow))
			continue;
		verdict.lasts |= fault_lasts(outgoing, &fault);
		verdict.dropped += !outgoing_drops_has(core->drops, fault.record);
		outgoing_drop(core->drops, fault.record);
	}
	return verdict;
}

static void flow_tell_faults(struct core *core, struct flow *flow, struct outgoing *outgoing,
			     const struct append_done *done)
{
	struct reader in = reader_of(done->faults);
	struct fault fault;

	for (uint16_t i = 0; i < done->fault_count; i++) {
		if (fault_decode(&in, &fault) != 0 || fault.record >= outgoing_count(outgoing) ||
		    fault.record < outgoing->told || !outgoing_drops_has(core->drops, fault.record))
			continue;
		core->drops->bits[fault.record / 8] &= (uint8_t) ~(1u << fault.record % 8);
		flow_tell(core, flow, outgoing, fault.record, fault.error == 0 ? ERROR_INTERNAL : fault.error,
			  CORE_NOT_APPLIED, done);
		core->out.completions[core->out.completion_count - 1].actual_version = fault.actual_version;
	}
}

static uint32_t flow_left(const struct core *core, const struct outgoing *outgoing)
{
	uint32_t left = 0;

	for (uint32_t i = outgoing->told; i < outgoing_count(outgoing); i++)
		left += !outgoing_drops_has(core->drops, i);
	return left;
}

static void flow_faults(struct core *core, struct flow *flow, uint32_t at, const struct append_done *done)
{
	struct outgoing *outgoing = flow->window[at];
	struct verdict verdict = flow_judge(core, flow, outgoing, done);
	struct outgoing_drops drops = *core->drops;

	if (verdict.dropped == 0) {
		flow_later(core, flow, at, done);
		return;
	}
	if (outgoing_unsettled(outgoing) && !verdict.lasts) {
		flow_give_up(core, flow, at);
		return;
	}
	flow_tell_faults(core, flow, outgoing, done);
	*core->drops = drops;
	if (flow_left(core, outgoing) == 0) {
		outgoing->told = outgoing_count(outgoing);
		flow_drop(core, flow, at, done->error);
		return;
	}
	flow_replace(core, flow, at, &drops);
	flow_mark_due(flow, at);
}

/* A refusal of the whole batch that trying again does not change. */
static void flow_refused(struct core *core, struct flow *flow, uint32_t at, const struct append_done *done)
{
	struct outgoing *outgoing = flow->window[at];
	struct fault whole = {.error = done->error};

	core->counts.conflicts += done->error == ERROR_CONFLICT;
	if (done->error == ERROR_UNKNOWN_STREAM) {
		flow_later(core, flow, at, done);
	} else if (done->error == ERROR_CONFLICT || done->error == ERROR_PRODUCER_FENCED ||
		   (outgoing_unsettled(outgoing) && !fault_lasts(outgoing, &whole))) {
		flow_give_up(core, flow, at);
	} else {
		flow_drop(core, flow, at, done->error);
	}
}

/* The numbers before this one were answered in a history that was given up, so the log lacks them for good. */
static bool numbers_given_up(const struct flow *flow, const struct append_done *done)
{
	return done->error == ERROR_OUT_OF_ORDER && done->history > flow->history;
}

static void flow_refusal(struct core *core, struct flow *flow, uint32_t at, const struct append_done *done)
{
	bool first = at == 0; /* what is done was popped, so the front is the first unanswered one */

	if (first && (done->error == ERROR_UNKNOWN_PRODUCER || numbers_given_up(flow, done)))
		flow_unknown_producer(core, flow, at);
	else if (done->error == ERROR_UNKNOWN_PRODUCER)
		flow_later(core, flow, at, done);
	else if (done->fault_count > 0)
		flow_faults(core, flow, at, done);
	else if (error_find(done->error)->retry == RETRY_NEVER && error_find(done->error)->code == done->error)
		flow_refused(core, flow, at, done);
	else
		flow_later(core, flow, at, done);
}

void flow_answer(struct core *core, const struct append_done *done)
{
	struct flow *flow = &core->flows[done->partition];
	uint32_t at = 0;

	while (at < flow->window_count && !outgoing_copy_take(flow->window[at], done->ticket))
		at++;
	if (at == flow->window_count)
		return; /* a repeated answer, or one that came after the end */
	if (flow->window[at]->done)
		return;
	if (error_find(done->error)->retry == RETRY_UNKNOWN && done->error != ERROR_UNKNOWN_PRODUCER)
		flow->window[at]->forgotten = true; /* journalled somewhere, perhaps */
	if (done->error == ERROR_NONE)
		flow_done(core, flow, at, done);
	else
		flow_refusal(core, flow, at, done);
	if (flow->cut_number != 0)
		flow_settle_cut(core, flow);
	lane_wait(core, flow);
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static void flow_scan_deadlines(struct core *core, struct flow *flow)
{
	for (uint32_t i = 0; i < flow->window_count;) {
		struct outgoing *outgoing = flow->window[i];
		if (outgoing->done || flow_beyond_cut(flow, outgoing) || outgoing->told == outgoing_count(outgoing) ||
		    !flow_expired(core, outgoing, outgoing->told)) {
			i++;
			continue;
		}
		if (outgoing_unsettled(outgoing)) {
			flow_tell_expired(core, flow, outgoing, ERROR_OUTCOME_UNKNOWN, CORE_UNKNOWN);
			if (outgoing->told == outgoing_count(outgoing)) {
				flow_give_up(core, flow, i);
				return;
			}
			i++;
			continue;
		}
		flow_tell_expired(core, flow, outgoing, flow_why_not(core, flow), CORE_NOT_APPLIED);
		if (outgoing->told == outgoing_count(outgoing))
			flow_drop(core, flow, i, flow_why_not(core, flow));
		else
			flow_replace(core, flow, i++, NULL);
	}
}

/* What was never numbered: the expired ones leave, the rest is built anew. NULL: nothing is left. */
static struct outgoing *flow_without_expired(struct core *core, struct flow *flow, struct outgoing *outgoing)
{
	struct outgoing *rest = NULL;

	if (outgoing_count(outgoing) == 0 || !flow_expired(core, outgoing, 0))
		return outgoing;
	flow_tell_expired(core, flow, outgoing, flow_why_not(core, flow), CORE_NOT_APPLIED);
	if (outgoing->told < outgoing_count(outgoing)) {
		rest = flow_rebuilt(core, flow, outgoing, NULL);
		if (rest == NULL)
			flow_tell_rest(core, flow, outgoing, ERROR_MEMORY, CORE_NOT_APPLIED, &no_answer);
	}
	core_outgoing_put(core, outgoing);
	return rest;
}

static void flow_scan_unsent(struct core *core, struct flow *flow)
{
	struct outgoing **link = &flow->queue_head;
	struct outgoing *tail = NULL;

	while (*link != NULL) {
		struct outgoing *next = (*link)->next;
		struct outgoing *rest = flow_without_expired(core, flow, *link);
		if (rest == NULL) {
			*link = next;
			continue;
		}
		rest->next = next;
		*link = tail = rest;
		link = &rest->next;
	}
	flow->queue_tail = tail;
	if (flow->open != NULL)
		flow->open = flow_without_expired(core, flow, flow->open);
}

static void flow_scan_resends(struct core *core, struct flow *flow)
{
	for (uint32_t i = 0; i < flow->window_count; i++) {
		struct outgoing *outgoing = flow->window[i];
		if (outgoing->done || outgoing->due || flow_beyond_cut(flow, outgoing) ||
		    core->now_ms - outgoing->sent_ms < outgoing->resend_ms)
			continue;
		for (uint32_t j = i; j < flow->window_count; j++) {
			uint32_t doubled = flow->window[j]->resend_ms * 2;
			flow->window[j]->resend_ms = doubled > RESEND_MAX_MS ? RESEND_MAX_MS : doubled;
		}
		flow_mark_due(flow, i);
		core->map_wanted = true;
		return;
	}
}

/* Nobody is left who could refuse: what was never sent, or refused so far, is told here as a primary below its minimum
 * would tell it. What may be journalled waits for its deadline (design.md 6.8). */
static void flow_refuse_unstored(struct core *core, struct flow *flow)
{
	for (uint32_t i = 0; i < flow->window_count;) {
		struct outgoing *outgoing = flow->window[i];
		if (outgoing->done || flow_beyond_cut(flow, outgoing) || outgoing_unsettled(outgoing))
			i++;
		else
			flow_drop(core, flow, i, ERROR_NOT_ENOUGH_REPLICAS);
	}
	for (struct outgoing *next; (next = flow_next_unnumbered(flow)) != NULL;) {
		flow_tell_rest(core, flow, next, ERROR_NOT_ENOUGH_REPLICAS, CORE_NOT_APPLIED, &no_answer);
		core_outgoing_put(core, next);
	}
}

static void flow_scan_stranded(struct core *core, struct flow *flow)
{
	if (!session_stranded(core, flow->partition))
		return;
	if (flow_patience_over(core, flow) && core->now_ms - flow->refused_since_ms >= FAIL_OVER_MS)
		flow_refuse_unstored(core, flow);
}

void flow_scan(struct core *core, struct flow *flow)
{
	flow_scan_deadlines(core, flow);
	flow_scan_stranded(core, flow);
	flow_scan_unsent(core, flow);
	if (flow->cut_number != 0)
		flow_settle_cut(core, flow);
	flow_scan_resends(core, flow);
	lane_wait(core, flow);
}

void flow_abort(struct core *core, struct flow *flow)
{
	while (flow->window_count > 0) {
		struct outgoing *outgoing = flow->window[0];
		bool unsettled = outgoing_unsettled(outgoing);
		if (!outgoing->done)
			flow_tell_rest(core, flow, outgoing, ERROR_CLOSED, unsettled ? CORE_UNKNOWN : CORE_NOT_APPLIED,
				       &no_answer);
		flow_remove(core, flow, 0);
	}
	flow->cut_number = 0;
	if (flow->generation != 0)
		flow_retire(core, flow);
	for (struct outgoing *next; (next = flow_next_unnumbered(flow)) != NULL;) {
		flow_tell_rest(core, flow, next, ERROR_CLOSED, CORE_NOT_APPLIED, &no_answer);
		core_outgoing_put(core, next);
	}
}

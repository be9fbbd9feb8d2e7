/* Three nodes: epochs, the in-sync set, leases, hand-over. Names R, L, X are those of the schedules that break a
 * careless implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/shard_harness.h"

static int three_nodes(void **state)
{
	struct harness *harness = harness_new(3);

	harness_settle(harness, 0);
	*state = harness;
	return 0;
}

static int free_harness(void **state)
{
	*state = harness_free(*state);
	return 0;
}

static bool drop_data(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	(void)packet;
	return true;
}

static bool drop_acknowledgements(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->kind == MESSAGE_ACK;
}

static bool drop_greetings(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->kind == MESSAGE_REPLICATE;
}

static bool drop_first_nodes(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->from == 1 || packet->to == 1;
}

static bool drop_from_third(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->from == 3;
}

static void inject_ack(struct harness *harness, uint32_t from, uint64_t node_epoch, uint32_t epoch, uint64_t end)
{
	struct ack_item item = {.partition = harness->partition, .epoch = epoch, .end = end, .received = end};
	struct buffer body = BUFFER_NULL;
	bool (*drop)(struct harness *, const struct harness_packet *) = harness->drop;

	harness->drop = NULL;
	ack_item_encode(&item, &body);
	harness_inject(harness, from, 1, MESSAGE_ACK, node_epoch, buffer_span(&body));
	buffer_deinit(&body);
	harness->drop = drop;
}

/* --- acknowledgements --------------------------------------------------------------------------------------------- */

/* R5, R6: only acknowledgements of this epoch, from the replica's present process, count. */
static void foreign_acknowledgements_do_not_count(void **state)
{
	struct harness *harness = *state;
	uint32_t epoch = harness_row(harness)->epoch;
	uint64_t commit = harness_status(harness, 0).commit;
	uint64_t ticket;

	harness->drop = drop_data;
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 3);
	for (uint32_t node = 2; node <= 3; node++) {
		uint64_t node_epoch = harness->nodes[node - 1].node_epoch;

		inject_ack(harness, node, node_epoch, epoch - 1, commit + 1); /* an epoch ago */
		inject_ack(harness, node, node_epoch - 1, epoch, commit + 1); /* its former process */
		inject_ack(harness, node, node_epoch + 1, epoch, commit + 1); /* one the map does not know */
		inject_ack(harness, node, node_epoch, epoch, commit + 1000);  /* beyond the log */
	}
	harness_run(harness, 5);
	assert_int_equal(harness_status(harness, 0).commit, commit);
	inject_ack(harness, 2, harness->nodes[1].node_epoch, epoch, commit + 1);
	inject_ack(harness, 3, harness->nodes[2].node_epoch, epoch, commit + 1);
	harness_run(harness, 5);
	harness_expect(harness, ticket, ERROR_NONE);
}

/* R5: the end told when joining is what was received, maybe not durable: it counts for nothing. */
static void an_end_told_when_joining_is_no_acknowledgement(void **state)
{
	struct harness *harness = *state;
	uint64_t commit = harness_status(harness, 0).commit;
	uint64_t ticket;

	harness->nodes[1].disk.hold = true;
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	assert_int_equal(harness_status(harness, 1).end, commit + 1);
	harness->drop = drop_greetings; /* so that the second asks */
	harness_elect(harness, 1, 7, 0);
	harness_run(harness, 100);
	assert_int_equal(harness_status(harness, 0).commit, commit);
	harness->drop = NULL;
	harness->nodes[1].disk.hold = false;
	harness_run(harness, 400);
	harness_expect(harness, ticket, ERROR_NONE);
}

/* R6: what a process acknowledged counts no more once the map shows another process of that node. */
static void a_restarted_replica_counts_for_nothing_yet(void **state)
{
	struct harness *harness = *state;
	uint64_t commit;
	uint64_t ticket;

	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	harness_expect(harness, ticket, ERROR_NONE);
	commit = harness_status(harness, 0).commit;
	harness_kill(harness, 2);
	harness->drop = drop_from_third;
	harness_start(harness, 2);
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 100);
	assert_int_equal(harness_status(harness, 0).commit, commit);
	harness->drop = NULL;
	harness_run(harness, 600);
	harness_expect(harness, ticket, ERROR_NONE);
}

/* Rule 4: the ISR at its largest counts; a proposed addition at once, a proposed removal until it is committed. */
static void the_maximal_isr_commits(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	harness_kill(harness, 2);
	harness_run(harness, 50);
	harness->apply_proposals = false;
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 1500);
	assert_int_equal(harness->proposal.kind, PROPOSE_ISR);
	assert_int_equal(harness->proposal.isr, 3);
	assert_null(harness_answer(harness, ticket)); /* removed, but not committed yet */
	harness->apply_proposals = true;
	harness_run(harness, 400);
	harness_expect(harness, ticket, ERROR_NONE);
	harness->apply_proposals = false;
	harness_start(harness, 2);
	harness_run(harness, 300);
	assert_int_equal(harness->proposal.isr, 7);
	assert_int_equal(harness->proposal.added_epochs[2], harness->nodes[2].node_epoch);
	harness->drop = drop_from_third;
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 200);
	assert_null(harness_answer(harness, ticket)); /* added, though not committed yet */
	harness->apply_proposals = true;
	harness_run(harness, 1500); /* withdrawn */
	harness_expect(harness, ticket, ERROR_NONE);
	assert_int_equal(harness_row(harness)->isr, 3);
}

/* It acknowledges until it is let go, and the others are enough; of two none is let go. */
static void a_member_that_stops_leaves_the_isr_before_it_is_silent(void **state)
{
	struct harness *harness = *state;
	struct contact_table *contacts = &harness->nodes[0].contacts;

	harness_run(harness, 50);
	assert_int_equal(harness_row(harness)->isr, 7);
	contacts->nodes[2].stopping = true;
	harness_run(harness, 120);
	assert_int_equal(harness_row(harness)->isr, 3);
	contacts->nodes[1].stopping = true;
	harness_run(harness, 300);
	assert_int_equal(harness_row(harness)->isr, 3);
	shard_handover_wish(harness->nodes[0].shard, harness->partition, 2);
	harness_run(harness, 100);
	assert_int_equal(harness_row(harness)->primary, 1); /* nor does it take over */
	contacts->nodes[1].stopping = contacts->nodes[2].stopping = false;
	harness_run(harness, 400);
	assert_int_equal(harness_row(harness)->isr, 7);
}

/* --- below the minimum -------------------------------------------------------------------------------------------- */

/* R16: nothing fresh before the epoch start is committed; reads marked with their offset go on. */
static void a_new_primary_below_the_minimum_answers_nothing_fresh(void **state)
{
	struct harness *harness = *state;
	uint64_t fresh, local, append;

	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 50);
	harness_kill(harness, 0);
	harness_kill(harness, 2);
	harness_elect(harness, 2, 2, 5);
	harness_run(harness, 600);
	fresh = harness_read(harness, 1, READ_LINEARIZABLE, "k", 0, 20);
	local = harness_read(harness, 1, READ_LOCAL, "k", 0, 0);
	append = harness_append_next(harness, 1, "k");
	harness_run(harness, 100);
	harness_expect(harness, fresh, ERROR_NOT_READY);
	harness_expect(harness, local, ERROR_NONE);
	assert_int_equal(harness_answer(harness, local)->read.version, 1);
	harness_expect(harness, append, ERROR_NOT_READY);
}

/* Rules 2 and 5: an epoch that began below the minimum comes out of it when a replica has acknowledged past its
 * start. */
static void below_the_minimum_a_returning_replica_is_won_back(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 50);
	harness_kill(harness, 0);
	harness_kill(harness, 2);
	harness_elect(harness, 2, 2, 5);
	harness_run(harness, 600);
	assert_false(harness_status(harness, 1).active);
	harness_start(harness, 2);
	harness_settle(harness, 1);
	assert_int_equal(harness_row(harness)->isr, 6);
	assert_int_equal(harness_row(harness)->elr, 0);
	harness_run(harness, HEARTBEAT_INTERVAL_MS); /* until it is heard */
	ticket = harness_append_next(harness, 1, "k");
	harness_run(harness, 20);
	harness_expect(harness, ticket, ERROR_NONE);
}

/* Rule 8 when no controller is left to shrink the row: who was not heard for a fence time does not count. */
static void without_a_controller_the_unheard_do_not_count(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	harness->apply_proposals = false;
	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 50);
	harness_kill(harness, 1);
	harness_kill(harness, 2);
	harness_run(harness, FENCE_TIMEOUT_MS + HEARTBEAT_INTERVAL_MS);
	assert_int_equal(harness_row(harness)->isr, 7);
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	harness_expect(harness, ticket, ERROR_NOT_ENOUGH_REPLICAS);
	harness_start(harness, 1);
	harness_settle(harness, 0);
	harness_run(harness, HEARTBEAT_INTERVAL_MS);
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	assert_true(harness_answer(harness, ticket) == NULL ||
		    harness_answer(harness, ticket)->append.error != ERROR_NOT_ENOUGH_REPLICAS);
}

/* Rule 5: acknowledging what was there before the epoch is not enough. */
static void nobody_is_added_before_the_epochs_start(void **state)
{
	struct harness *harness = *state;

	harness_kill(harness, 0);
	harness_kill(harness, 2);
	harness_elect(harness, 2, 2, 5);
	harness_run(harness, 50);
	harness->drop = drop_greetings; /* data too: the third joins at the end it has */
	harness_start(harness, 2);
	harness_run(harness, 300);
	assert_int_equal(harness_row(harness)->isr, 2);
	harness->drop = NULL;
	harness_settle(harness, 1);
}

/* Rule 7: who is added may be elected next, and would not wait: it never answered the earlier primary, which may still
 * hold a lease by our answer. */
static void nobody_is_added_while_an_earlier_lease_may_hold(void **state)
{
	struct harness *harness = *state;
	uint64_t answered_ms, grown_ms;

	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 50);
	harness_kill(harness, 2);
	harness_run(harness, 20);
	harness_kill(harness, 0);
	answered_ms = harness->nodes[1].contacts.nodes[0].our_answer_ms;
	harness_elect(harness, 2, 2, 5);
	harness_start(harness, 2);
	while (harness_row(harness)->isr != 6 && harness->now_ms < answered_ms + 2000)
		harness_run(harness, 1);
	grown_ms = harness->now_ms;
	assert_int_equal(harness_row(harness)->isr, 6);
	print_message("added %llu ms after the last answer\n", (unsigned long long)(grown_ms - answered_ms));
	assert_true(grown_ms >= answered_ms + LEASE_MS + LEASE_MS / 10);
	harness_settle(harness, 1);
}

/* R17: new writes are refused at once; what is journalled ends as applied, never as not applied. */
static void journalled_writes_are_never_told_not_applied(void **state)
{
	struct harness *harness = *state;
	uint64_t stored, refused;

	harness->drop = drop_first_nodes;
	stored = harness_append_next(harness, 0, "k");
	harness_run(harness, 600);
	assert_int_equal(harness_row(harness)->isr, 1);
	assert_int_equal(harness_row(harness)->elr, 6);
	refused = harness_append(harness, 0, 2, "k", 1, NULL);
	harness_run(harness, 10);
	harness_expect(harness, refused, ERROR_NOT_ENOUGH_REPLICAS);
	assert_null(harness_answer(harness, stored));
	harness->drop = NULL;
	harness_run(harness, 2000);
	harness_expect(harness, stored, ERROR_NONE);
	assert_int_equal(harness_row(harness)->isr, 7);
}

/* X10: a lost primacy makes what is pending unknown. */
static void a_lost_primacy_makes_it_unknown(void **state)
{
	struct harness *harness = *state;
	uint64_t stored, parked;
	struct check none = {0, CHECK_NONE, 0};

	harness->drop = drop_data;
	stored = harness_append(harness, 0, 1, "k", 1, NULL);
	parked = harness_append(harness, 0, 2, "k", 1, &none);
	harness_run(harness, 5);
	assert_null(harness_answer(harness, parked));
	harness->drop = NULL;
	harness_elect(harness, 2, 7, 0);
	harness_run(harness, 5);
	harness_expect(harness, stored, ERROR_OUTCOME_UNKNOWN);
	harness_expect(harness, parked, ERROR_OUTCOME_UNKNOWN);
}

/* A new epoch of the same primary (its replicas changed) keeps what is pending: it is in its log and will be
 * committed. */
static void the_same_primary_keeps_its_pending_answers(void **state)
{
	struct harness *harness = *state;
	uint64_t stored;

	harness->drop = drop_data;
	stored = harness_append_next(harness, 0, "k");
	harness_run(harness, 5);
	harness->drop = NULL;
	harness_elect(harness, 1, 7, 0);
	harness_settle(harness, 0);
	harness_run(harness, 10);
	harness_expect(harness, stored, ERROR_NONE);
	stored = harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	harness_expect(harness, stored, ERROR_NONE);
}

/* R19: a primary that reaches nobody, while the others are live, hands over. */
static void a_grey_primary_hands_over(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	harness->drop = drop_first_nodes;
	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 1800);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_SEALED], 1);
	assert_int_equal(harness_row(harness)->primary, 2);
	harness_settle(harness, 1);
	ticket = harness_append(harness, 1, 1, "other", 1, NULL);
	harness_run(harness, 50);
	harness_expect(harness, ticket, ERROR_NONE);
	harness->drop = NULL;
	harness_run(harness, 2000);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_TRUNCATED], 1);
	assert_int_equal(harness_status(harness, 0).digest, harness_status(harness, 1).digest);
}

/* --- leases ------------------------------------------------------------------------------------------------------- */

/* L7: refusals that rest on state need the lease; other writes do not. */
static void without_a_lease_nothing_fresh_is_answered(void **state)
{
	struct harness *harness = *state;
	struct check none = {0, CHECK_NONE, 0};
	const struct history whole = {.until = UINT64_MAX, .max_bytes = 1000, .key = span_of_text("k")};
	const struct history before = {.until = 1, .max_bytes = 1000, .key = span_of_text("k")};
	uint64_t read, refused, plain, replay, history, of_old;

	harness->fresh = true;
	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	harness->nodes[0].cut = true;
	harness_run(harness, LEASE_MS + 50);
	read = harness_read(harness, 0, READ_LINEARIZABLE, "k", 0, 20);
	refused = harness_append(harness, 0, 2, "k", 1, &none);
	plain = harness_append(harness, 0, 2, "k", 1, NULL);
	replay = harness_replay(harness, 0, 0, 1000);
	history = harness_history(harness, 0, &whole);
	of_old = harness_history(harness, 0, &before);
	harness_run(harness, 30);
	harness_expect(harness, replay, ERROR_STALE_LEASE);
	harness_expect(harness, history, ERROR_STALE_LEASE);
	harness_expect(harness, of_old, ERROR_NONE);
	harness_expect(harness, read, ERROR_STALE_LEASE);
	harness_expect(harness, refused, ERROR_STALE_LEASE);
	harness_expect(harness, plain, ERROR_NONE);
}

static void a_renewed_contact_answers_a_waiting_read(void **state)
{
	struct harness *harness = *state;
	uint64_t read;

	harness->nodes[0].cut = true;
	harness_run(harness, LEASE_MS + 50);
	read = harness_read(harness, 0, READ_LINEARIZABLE, "k", 0, 200);
	harness_run(harness, 20);
	assert_null(harness_answer(harness, read));
	harness->nodes[0].cut = false;
	harness_run(harness, 60);
	harness_expect(harness, read, ERROR_NONE);
}

/* A member that this primary alone does not hear would keep it from reading: nothing is written, so nothing lags. */
static void a_member_that_is_not_heard_is_let_go_where_a_lease_is_wanted(void **state)
{
	struct harness *harness = *state;
	uint64_t read;

	harness_run(harness, 100);
	harness->nodes[2].cut = true;
	harness_run(harness, LEASE_MS + 2 * FENCE_TIMEOUT_MS);
	assert_int_equal(harness_row(harness)->isr, 7); /* nobody asked */
	read = harness_read(harness, 0, READ_LINEARIZABLE, "k", 0, 3000);
	harness_run(harness, FENCE_TIMEOUT_MS / 2);
	assert_int_equal(harness_row(harness)->isr, 7);
	harness_run(harness, FENCE_TIMEOUT_MS);
	assert_int_equal(harness_row(harness)->isr, 3);
	harness_expect(harness, read, ERROR_NONE);
	harness_run(harness, 2 * FENCE_TIMEOUT_MS);
	assert_int_equal(harness_row(harness)->isr, 3);
	harness->nodes[2].cut = false;
	harness_run(harness, FENCE_TIMEOUT_MS);
	assert_int_equal(harness_row(harness)->isr, 7);
}

/* However long a read waits for the lease, the shard sleeps between looks. */
static void a_read_that_waits_for_the_lease_lets_the_shard_sleep(void **state)
{
	struct harness *harness = *state;

	harness->apply_proposals = false;
	harness->nodes[0].cut = true;
	harness_run(harness, LEASE_MS + 50);
	(void)harness_read(harness, 0, READ_LINEARIZABLE, "k", 0, 30000);
	for (uint32_t i = 0; i < 3 * FENCE_TIMEOUT_MS; i += HEARTBEAT_INTERVAL_MS) {
		struct shard_time time;

		harness_run(harness, HEARTBEAT_INTERVAL_MS);
		time = (struct shard_time){.now_ms = harness->now_ms};
		assert_int_equal(shard_turn(harness->nodes[0].shard, &time), 0);
		assert_true(shard_outbox(harness->nodes[0].shard)->next_timer_ms > harness->now_ms);
	}
}

/* L6: stopped between the arrival of the request and the turn: the turn's clock decides. */
static void a_stopped_process_reads_nothing_stale(void **state)
{
	struct harness *harness = *state;
	uint64_t read = harness_read(harness, 0, READ_LINEARIZABLE, "k", 0, 0);

	harness->now_ms += 10000;
	harness_turn(harness, 0);
	harness_expect(harness, read, ERROR_STALE_LEASE);
}

/* Answers under a newer map than the primary's own may come from one who knows its successor. */
static void answers_of_a_newer_map_feed_no_lease(void **state)
{
	struct harness *harness = *state;
	uint64_t read;

	harness->nodes[0].deaf = true;
	harness_elect(harness, 2, 7, 0);
	harness_run(harness, LEASE_MS + 50);
	read = harness_read(harness, 0, READ_LINEARIZABLE, "k", 0, 10);
	harness_run(harness, 30);
	harness_expect(harness, read, ERROR_STALE_LEASE);
}

/* Rule 7: a new primary waits 1.1 L after its own last answer to the earlier one. */
static void a_new_primary_waits_for_the_old_lease(void **state)
{
	struct harness *harness = *state;
	uint64_t answered_ms, active_ms;

	harness_run(harness, 1000 - harness->now_ms % 50);
	answered_ms = harness->nodes[1].contacts.nodes[0].our_answer_ms;
	harness->nodes[0].deaf = true;
	harness->nodes[0].cut = true;
	harness_elect(harness, 2, 7, 0);
	harness_run(harness, 1);
	harness->drop = drop_first_nodes;
	harness_row(harness)->isr = 6;
	harness_row(harness)->version++;
	harness_publish(harness);
	harness_settle(harness, 1);
	active_ms = harness->now_ms;
	assert_true(active_ms >= answered_ms + LEASE_MS + LEASE_MS / 10);
	assert_true(active_ms < answered_ms + LEASE_MS + 100);
}

/* A replay ends where the first answer says, which nobody but a primary in office knows. */
static void expect_replays(struct harness *harness, bool fresh, enum error of_the_primary, enum error of_another)
{
	uint64_t tickets[2];

	harness->fresh = fresh;
	tickets[0] = harness_replay(harness, 1, 0, 1000);
	tickets[1] = harness_replay(harness, 2, 0, 1000);
	harness_run(harness, 1);
	harness_expect(harness, tickets[0], of_the_primary);
	harness_expect(harness, tickets[1], of_another);
}

/* Rule 7: what is committed is shown, to subscribers of any replica, and the earlier primary's reads would not show it.
 */
static void nothing_is_committed_while_an_earlier_lease_may_hold(void **state)
{
	struct harness *harness = *state;
	uint64_t answered_ms, committed, until_ms;

	harness->drop = drop_acknowledgements;
	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	committed = harness_status(harness, 0).commit;
	assert_true(harness_status(harness, 1).end > committed);
	harness->drop = NULL;
	harness_kill(harness, 0);
	answered_ms = harness->nodes[1].contacts.nodes[0].our_answer_ms;
	harness_elect(harness, 2, 6, 0);
	until_ms = answered_ms + LEASE_MS + LEASE_MS / 10;
	harness_run(harness, 1);
	expect_replays(harness, true, ERROR_NOT_READY, ERROR_NOT_PRIMARY);
	expect_replays(harness, false, ERROR_NONE, ERROR_NONE);
	while (harness->now_ms + 1 < until_ms) {
		harness_run(harness, 1);
		assert_int_equal(harness_status(harness, 1).commit, committed);
		assert_int_equal(harness_status(harness, 2).commit, committed);
	}
	assert_true(harness_status(harness, 1).end > committed);
	harness_run(harness, 20);
	assert_true(harness_status(harness, 1).active);
	assert_int_equal(harness_status(harness, 1).commit, harness_status(harness, 1).end);
	expect_replays(harness, true, ERROR_NONE, ERROR_NOT_PRIMARY);
}

/* --- hand-over ---------------------------------------------------------------------------------------------------- */

/* L8: sealed, the target at the end, asked for; the next primary does not wait. */
static void a_planned_hand_over_is_short(void **state)
{
	struct harness *harness = *state;
	uint64_t pending = harness_append_next(harness, 0, "k");
	uint64_t begun_ms = harness->now_ms;
	uint64_t ticket;

	harness_turn(harness, 0);
	shard_handover_wish(harness->nodes[0].shard, harness->partition, 2);
	harness_turn(harness, 0);
	assert_int_equal(harness_status(harness, 0).role, ROLE_PRIMARY); /* an append is on its way */
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_SEALED], 0);
	harness_settle(harness, 1);
	assert_true(harness->now_ms - begun_ms < 50);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_SEALED], 1);
	assert_int_equal(harness_row(harness)->primary, 2);
	harness_expect(harness, pending, ERROR_NONE);
	ticket = harness_append_next(harness, 1, "k");
	harness_run(harness, 20);
	harness_expect(harness, ticket, ERROR_NONE);
}

/* A move's next entry begins an epoch right after the hand-over: the former primary was sealed all the same. */
static void an_epoch_after_a_hand_over_waits_for_no_lease(void **state)
{
	struct harness *harness = *state;
	uint64_t begun_ms = harness->now_ms;
	uint64_t ticket;

	shard_handover_wish(harness->nodes[0].shard, harness->partition, 2);
	harness_run(harness, 5);
	harness_settle(harness, 1);
	harness_elect(harness, 2, 7, 0);
	ticket = harness_append_next(harness, 1, "k"); /* nor is it refused before the epoch's start is committed */
	harness_settle(harness, 1);
	harness_run(harness, 20);
	assert_true(harness->now_ms - begun_ms < LEASE_MS / 2);
	harness_expect(harness, ticket, ERROR_NONE);
}

static void a_view_that_is_filled_tells_how_far_it_is(void **state)
{
	struct harness *harness = *state;
	const struct read_done *done;
	uint64_t ticket = 0;

	for (uint32_t i = 0; i < 20; i++)
		ticket = harness_append(harness, 0, ++harness->number, "k", 1000, NULL);
	harness_run(harness, 100);
	harness_expect(harness, ticket, ERROR_NONE);
	harness_define_view(harness);
	while (harness_status(harness, 0).applied == harness_answer(harness, ticket)->append.base_offset + 1000)
		harness_run(harness, 1);
	harness_turn(harness, 0);
	ticket = harness_view_read(harness, 0, READ_LOCAL, "k", 0, 0);
	harness_turn(harness, 0);
	harness_run(harness, 1);
	done = &harness_answer(harness, ticket)->read;
	assert_int_equal(done->error, ERROR_NOT_READY);
	assert_true(done->changed_at > 0);
	assert_true(done->changed_at < done->applied);
	harness_run(harness, 100);
	ticket = harness_view_read(harness, 0, READ_LOCAL, "k", 0, 0);
	harness_run(harness, 1);
	assert_int_not_equal(harness_answer(harness, ticket)->read.error, ERROR_NOT_READY);
}

static void a_sealed_primary_stays_sealed_until_the_version_changes(void **state)
{
	struct harness *harness = *state;
	uint64_t read, append;
	uint32_t asked;

	harness->apply_proposals = false;
	shard_handover_wish(harness->nodes[0].shard, harness->partition, 2);
	harness_run(harness, 3000);
	assert_int_equal(harness_status(harness, 0).role, ROLE_SEALED);
	assert_int_equal(harness->proposal.kind, PROPOSE_HANDOVER);
	asked = harness->nodes[0].events[SHARD_EVENT_SEALED];
	assert_int_equal(asked, 1);
	read = harness_read(harness, 0, READ_LINEARIZABLE, "k", 0, 20);
	append = harness_append_next(harness, 0, "k");
	harness_run(harness, 30);
	harness_expect(harness, read, ERROR_NOT_READY);
	harness_expect(harness, append, ERROR_NOT_READY);
	harness_row(harness)->version++; /* something else was taken: the hand-over never will be */
	harness_row(harness)->changed_at = ++harness->map.version;
	harness_publish(harness);
	harness_run(harness, 5);
	assert_true(harness_status(harness, 0).active);
}

/* Its clock is off since it was asked for: the controller refuses it for as long as that lasts. */
static void a_hand_over_that_is_refused_is_taken_back(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	harness->apply_proposals = false;
	shard_handover_wish(harness->nodes[0].shard, harness->partition, 2);
	harness_run(harness, 100);
	assert_int_equal(harness->proposal.kind, PROPOSE_HANDOVER);
	harness->map.nodes[1].clock_off = true;
	harness->map.nodes[1].changed_at = ++harness->map.version;
	harness_publish(harness);
	harness_run(harness, 5);
	assert_int_equal(harness->proposal.kind, PROPOSE_ISR);
	assert_int_equal(harness->proposal.isr, harness_row(harness)->isr);
	harness->apply_proposals = true;
	harness_run(harness, 1000);
	assert_int_equal(harness_row(harness)->primary, 1);
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	harness_expect(harness, ticket, ERROR_NONE);
}

static void an_unfit_target_is_refused(void **state)
{
	struct harness *harness = *state;

	harness_kill(harness, 2);
	harness->map.nodes[2].fenced = true;
	harness->map.nodes[2].changed_at = ++harness->map.version;
	harness_publish(harness);
	shard_handover_wish(harness->nodes[0].shard, harness->partition, 3);
	shard_handover_wish(harness->nodes[0].shard, harness->partition, 1);
	shard_handover_wish(harness->nodes[0].shard, harness->partition, 0);
	harness_run(harness, 5);
	assert_true(harness_status(harness, 0).active);
}

/* --- fail-over ---------------------------------------------------------------------------------------------------- */

static void fail_over_loses_and_doubles_nothing(void **state)
{
	struct harness *harness = *state;
	uint64_t again;

	for (uint32_t i = 0; i < 10; i++)
		(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	harness_kill(harness, 0);
	harness_elect(harness, 2, 6, 0);
	harness_settle(harness, 1);
	again = harness_append(harness, 1, 10, "k", 1, NULL);
	harness_run(harness, 20);
	assert_int_equal(harness_answer(harness, again)->append.duplicate, 1);
	again = harness_read(harness, 1, READ_LINEARIZABLE, "k", 0, 0);
	harness_run(harness, 5);
	assert_int_equal(harness_answer(harness, again)->read.version, 10);
}

static void suspects_report_what_they_hold(void **state)
{
	struct harness *harness = *state;

	harness->apply_proposals = false;
	harness_row(harness)->suspects = 7;
	harness_elect(harness, 0, 0, 0);
	harness_run(harness, 10);
	assert_int_equal(harness->proposal.kind, PROPOSE_SUSPECT_REPORT);
	assert_int_equal(harness->proposal.end, harness_status(harness, 2).end);
	assert_int_equal(harness->proposal.last_epoch, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, three_nodes, free_harness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(foreign_acknowledgements_do_not_count),
		CASE(a_view_that_is_filled_tells_how_far_it_is),
		CASE(an_end_told_when_joining_is_no_acknowledgement),
		CASE(a_restarted_replica_counts_for_nothing_yet),
		CASE(a_member_that_stops_leaves_the_isr_before_it_is_silent),
		CASE(the_maximal_isr_commits),
		CASE(a_new_primary_below_the_minimum_answers_nothing_fresh),
		CASE(below_the_minimum_a_returning_replica_is_won_back),
		CASE(without_a_controller_the_unheard_do_not_count),
		CASE(nobody_is_added_before_the_epochs_start),
		CASE(nobody_is_added_while_an_earlier_lease_may_hold),
		CASE(journalled_writes_are_never_told_not_applied),
		CASE(a_lost_primacy_makes_it_unknown),
		CASE(the_same_primary_keeps_its_pending_answers),
		CASE(a_grey_primary_hands_over),
		CASE(without_a_lease_nothing_fresh_is_answered),
		CASE(a_renewed_contact_answers_a_waiting_read),
		CASE(a_member_that_is_not_heard_is_let_go_where_a_lease_is_wanted),
		CASE(a_stopped_process_reads_nothing_stale),
		CASE(a_read_that_waits_for_the_lease_lets_the_shard_sleep),
		CASE(answers_of_a_newer_map_feed_no_lease),
		CASE(a_new_primary_waits_for_the_old_lease),
		CASE(nothing_is_committed_while_an_earlier_lease_may_hold),
		CASE(a_planned_hand_over_is_short),
		CASE(an_epoch_after_a_hand_over_waits_for_no_lease),
		CASE(a_sealed_primary_stays_sealed_until_the_version_changes),
		CASE(a_hand_over_that_is_refused_is_taken_back),
		CASE(an_unfit_target_is_refused),
		CASE(fail_over_loses_and_doubles_nothing),
		CASE(suspects_report_what_they_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

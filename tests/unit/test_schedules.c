/* Schedules of steps, each of which loses, doubles or diverges acknowledged events where a rule of design.md section 6
 * is missing or read loosely: played message by message on three real shards and the real metadata machine. Names as in
 * docs/reference/schedules.md, which says which rule each one is about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/shard_world.h"

static int of_three(void **state)
{
	*state = world_new(3, false);
	return 0;
}

static int of_three_by_interval(void **state)
{
	*state = world_new(3, true);
	return 0;
}

static int of_two(void **state)
{
	*state = world_new(2, false);
	return 0;
}

static int free_world(void **state)
{
	*state = world_free(*state);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static void run(struct world *world, uint64_t ms)
{
	harness_run(world->harness, ms);
}

static uint64_t put(struct world *world, uint32_t node, uint32_t number, const char *key)
{
	return harness_append(world->harness, node, number, key, 1, NULL);
}

static void expect_put(struct world *world, uint32_t node, uint32_t number, const char *key)
{
	uint64_t ticket = put(world, node, number, key);

	run(world, 50);
	harness_expect(world->harness, ticket, ERROR_NONE);
}

static bool is_answered(struct world *world, uint64_t ticket)
{
	return harness_answer(world->harness, ticket) != NULL;
}

static uint64_t end_of(struct world *world, uint32_t node)
{
	return harness_status(world->harness, node).end;
}

/* The ISR has all that should be in it, within a bound. */
static void await_isr(struct world *world, node_set isr)
{
	for (uint32_t i = 0; i < 5000 && world_row(world)->isr != isr; i++)
		run(world, 1);
	assert_int_equal(world_row(world)->isr, isr);
	run(world, 100);
}

/* A alone writes two events to C, dies, and B is elected without them: C has a tail of epoch 1 that nobody else has. */
static void leave_a_tail_on_third(struct world *world)
{
	world_cut(world, A, B, true);
	(void)put(world, A, 1, "tail");
	(void)put(world, A, 2, "tail");
	run(world, 5);
	world_cut(world, A, B, false);
	assert_int_equal(end_of(world, C), end_of(world, B) + 2);
	world_cut(world, B, C, true);
	world_cut(world, C, B, true);
	world_lose(world, A);
	assert_int_equal(world_row(world)->primary, B + 1);
}

static void heal_links(struct world *world)
{
	for (uint32_t i = 0; i < WORLD_NODES; i++)
		for (uint32_t k = 0; k < WORLD_NODES; k++)
			world_cut(world, i, k, false);
}

/* --- replication -------------------------------------------------------------------------------------------------- */

static void r1_a_primary_restarts_faster_than_it_is_fenced(void **state)
{
	struct world *world = *state;
	uint32_t primary;

	world_tape(world, A, WORLD_NOBODY, MESSAGE_REPLICATE);
	world_cut(world, A, B, true);
	world_cut(world, A, C, true);
	world->harness->nodes[A].disk.hold = true;
	(void)put(world, A, 1, "v1");
	run(world, 3);
	world_kill(world, A); /* before its own sync */
	world_tape_stop(world);
	heal_links(world);
	world_start(world, A);
	world_play(world); /* they would fit, but for their epoch */
	primary = world_settle(world);
	expect_put(world, primary, 1, "v2");
	world_play(world);
	run(world, 100);
	world_expect_same(world, primary, (primary + 1) % WORLD_NODES);
	world_expect_same(world, primary, (primary + 2) % WORLD_NODES);
	world_lose(world, primary);
	primary = world_settle(world);
	assert_int_equal(world_events(world, primary, "v2"), 1);
	assert_int_equal(world_events(world, primary, "v1"), 0);
}

/* The others are cut off from the controller when it comes back, so that it is elected again: they are there for what
 * it has sent before. */
static void r1_the_same_primary_again(void **state)
{
	struct world *world = *state;

	world_tape(world, A, WORLD_NOBODY, MESSAGE_REPLICATE);
	world_cut(world, A, B, true);
	world_cut(world, A, C, true);
	world->harness->nodes[A].disk.hold = true;
	(void)put(world, A, 1, "v1");
	run(world, 3);
	world_fence(world, B);
	world_fence(world, C);
	world_kill(world, A);
	world_tape_stop(world);
	world_start(world, A);
	assert_int_equal(world_row(world)->primary, A + 1);
	world_play(world);
	run(world, 20);
	world_unfence(world, B);
	world_unfence(world, C);
	world_play(world);
	heal_links(world);
	assert_int_equal(world_settle(world), A);
	expect_put(world, A, 1, "v2");
	world_expect_same(world, A, B);
	world_expect_same(world, A, C);
	assert_int_equal(world_events(world, B, "v1"), 0);
}

static void r2_an_order_to_truncate_comes_twice(void **state)
{
	struct world *world = *state;
	uint64_t ticket, end, commit;

	leave_a_tail_on_third(world);
	world_tape(world, B, C, MESSAGE_JOIN_ANSWER);
	heal_links(world);
	assert_int_equal(world_settle(world), B);
	world_tape_stop(world);
	assert_int_equal(world->harness->nodes[C].events[SHARD_EVENT_TRUNCATED], 1);
	world_start(world, A);
	await_isr(world, 7);
	commit = harness_status(world->harness, C).commit;
	ticket = put(world, B, 1, "kept");
	while (end_of(world, C) == commit)
		run(world, 1);
	world_cut(world, B, C, true); /* C acknowledges, and does not hear that this is committed */
	run(world, 50);
	harness_expect(world->harness, ticket, ERROR_NONE);
	assert_int_equal(harness_status(world->harness, C).commit, commit);
	end = end_of(world, C);
	world_play(world);
	run(world, 5);
	assert_int_equal(end_of(world, C), end);
	world_lose(world, A);
	world_lose(world, B);
	assert_int_equal(world_row(world)->primary, C + 1);
	world_start(world, A);
	heal_links(world);
	assert_int_equal(world_settle(world), C);
	assert_int_equal(world_events(world, C, "kept"), 1);
}

static void r3_offsets_fit_and_the_epoch_before_does_not(void **state)
{
	struct world *world = *state;

	world_cut(world, A, B, true);
	(void)put(world, A, 1, "v1"); /* C has it where B's epoch starts */
	run(world, 5);
	world_lose(world, A);
	world_cut(world, C, B, true); /* C says nothing of its end before B's first message is there */
	run(world, 600);
	assert_int_equal(end_of(world, B), end_of(world, C));
	heal_links(world);
	assert_int_equal(world_settle(world), B);
	expect_put(world, B, 1, "v2");
	run(world, 100);
	world_expect_same(world, B, C);
	assert_int_equal(world_events(world, C, "v1"), 0);
	assert_int_equal(world->harness->nodes[C].events[SHARD_EVENT_TRUNCATED], 1);
}

/* B's log has one record of epoch 2 where C's has three of epoch 1; then C leads. */
static void r4_the_ends_of_two_epochs_are_compared_on_both_sides(void **state)
{
	struct world *world = *state;

	leave_a_tail_on_third(world);
	run(world, 20);
	assert_int_equal(end_of(world, B), end_of(world, C) - 1);
	world_lose(world, B);
	assert_int_equal(world_row(world)->primary, C + 1);
	world_start(world, B);
	heal_links(world);
	assert_int_equal(world_settle(world), C);
	run(world, 200);
	assert_int_equal(world->harness->nodes[B].events[SHARD_EVENT_TRUNCATED], 1);
	world_expect_same(world, B, C);
	assert_int_equal(world_events(world, B, "tail"), 2);
}

/* What C acknowledged to A in epoch 1 arrives when the same two processes are in epoch 3: C has cut it, and A holds a
 * tail of epoch 2 there that C does not have. */
static void r5_an_acknowledgement_of_an_earlier_epoch(void **state)
{
	struct world *world = *state;
	uint64_t commit;

	world_cut(world, A, B, true);
	world_tape(world, C, A, MESSAGE_ACK);
	for (uint32_t number = 1; number <= 6; number++)
		(void)put(world, A, number, "gone");
	run(world, 10);
	world_tape_stop(world);
	assert_true(world->tape.count > 0);
	world_cut_around(world, A, true);
	world_fence(world, A);
	assert_int_equal(world_settle(world), B);
	world_cut_around(world, A, false);
	world_unfence(world, A);
	await_isr(world, 7);
	assert_int_equal(world->harness->nodes[C].events[SHARD_EVENT_TRUNCATED], 1);
	world_cut(world, A, C, true);
	world_cut(world, C, A, true);
	world_cut(world, B, C, true);
	for (uint32_t number = 1; number <= 6; number++)
		(void)put(world, B, number, "tail");
	run(world, 10);
	assert_true(end_of(world, A) > end_of(world, C) + 5);
	world_lose(world, B);
	assert_int_equal(world_row(world)->primary, A + 1);
	run(world, 20);
	commit = harness_status(world->harness, A).commit;
	world_play(world);
	run(world, 400);
	assert_int_equal(harness_status(world->harness, A).commit, commit);
	heal_links(world);
	assert_int_equal(world_settle(world), A);
	expect_put(world, A, 7, "kept");
	world_expect_same(world, A, C);
	assert_int_equal(world_events(world, C, "tail"), 6);
}

/* C acknowledges, loses its unsynced tail with the power, and is back before what A proposed is taken. */
static void r6_the_process_that_acknowledged_is_another_by_now(void **state)
{
	struct world *world = *state;
	struct world_copy copy;
	uint64_t ticket;

	world_cut(world, A, C, true);
	ticket = put(world, A, 1, "first");
	await_isr(world, 3);
	harness_expect(world->harness, ticket, ERROR_NONE);
	world_copy_take(world, C, &copy);
	world->waits = true;
	world_cut(world, A, C, false);
	for (uint32_t i = 0; i < 3000 && world->waiting_count == 0; i++)
		run(world, 1);
	assert_int_equal(world->waiting_count, 1);
	world_kill(world, C);
	world_copy_restore(world, C, &copy, false);
	world_cut(world, A, C, true);
	world_start(world, C);
	assert_int_equal(world_row(world)->isr, 3);
	assert_int_equal(world_take(world), REFUSAL_NODE_EPOCH);
	assert_int_equal(world_row(world)->isr, 3);
	run(world, 200);
	assert_int_equal(world_row(world)->isr, 3); /* nor does A believe it any more */
	world_cut(world, A, C, false);
	await_isr(world, 7);
	world_lose(world, A);
	world_lose(world, B);
	assert_int_equal(world_row(world)->primary, C + 1);
	world_start(world, B);
	assert_int_equal(world_settle(world), C);
	assert_int_equal(world_events(world, C, "first"), 1);
}

/* C is a learner at the end, taken away, and given the partition again: empty, under the same node epoch. */
static void r7_removed_and_added_again(void **state)
{
	struct world *world = *state;
	uint32_t epoch = world_row(world)->epoch;

	expect_put(world, A, 1, "first");
	world->waits = true;
	assert_int_equal(world_place(world, 2, node_bit(C + 1)), REFUSAL_NONE);
	assert_int_equal(world_row(world)->epoch, epoch + 1);
	assert_int_equal(world_settle(world), A);
	for (uint32_t i = 0; i < 3000 && world->waiting_count == 0; i++)
		run(world, 1);
	assert_int_equal(world->waiting_count, 1); /* C is to be added */
	assert_int_equal(world_place(world, 2, 0), REFUSAL_NONE);
	run(world, 5);
	assert_int_equal(end_of(world, C), 0);
	world_cut(world, A, C, true);
	world_cut(world, C, A, true);
	assert_int_equal(world_place(world, 2, node_bit(C + 1)), REFUSAL_NONE);
	assert_int_equal(world_take(world), REFUSAL_PARTITION_VERSION);
	run(world, 400);
	assert_int_equal(world_row(world)->isr, 3); /* nor does A remember where C was */
	assert_int_equal(end_of(world, C), 0);
	heal_links(world);
	await_isr(world, 7);
	world_expect_same(world, A, C);
}

/* C comes back with a new disk: nothing of the tail before the whole history, and no place in the ISR before that. */
static void r8_the_tail_without_the_history(void **state)
{
	struct world *world = *state;

	for (uint32_t number = 1; number <= 50; number++)
		expect_put(world, A, number, "history");
	world_lose(world, C);
	world_wipe(world, C);
	world_tape(world, A, B, MESSAGE_REPLICATE);
	expect_put(world, A, 51, "history");
	world_tape_stop(world);
	world_cut(world, A, C, true);
	world_start(world, C);
	for (size_t i = 0; i < world->tape.count; i++)
		world->tape.packets[i].to = C + 1; /* as A would have sent them, too */
	world_play(world);
	run(world, 300);
	assert_int_equal(end_of(world, C), 0);
	assert_int_equal(world_row(world)->isr, 3);
	heal_links(world);
	await_isr(world, 7);
	world_expect_same(world, A, C);
	assert_int_equal(world_events(world, C, "history"), 51);
}

/* The minimum is lowered while somebody is eligible; what is committed alone from then on is not his. */
static void r9_the_minimum_falls_while_somebody_is_eligible(void **state)
{
	struct world *world = *state;

	world_lose(world, B);
	world_lose(world, C);
	run(world, 20);
	assert_int_equal(world_row(world)->minimum_isr, 2); /* the number of nodes changes nothing */
	assert_int_equal(world_row(world)->elr, node_bit(C + 1));
	assert_int_equal(world_minimum(world, 1), REFUSAL_NONE);
	expect_put(world, A, 1, "alone");
	world_lose(world, A);
	world_start(world, C);
	world_start(world, B);
	run(world, 1000);
	assert_int_equal(world_row(world)->primary, 0);
	world_start(world, A);
	assert_int_equal(world_settle(world), A);
	assert_int_equal(world_events(world, A, "alone"), 1);
}

/* Power is lost everywhere; A, whose tail is gone, is back first. B has been seen, and died again. */
static void r11_the_first_one_back_has_less_than_another(void **state)
{
	struct world *world = *state;
	struct world_copy copy;

	world_lose(world, C);
	world_copy_take(world, A, &copy);
	expect_put(world, A, 1, "kept");
	world_kill(world, A);
	world_kill(world, B);
	world_copy_restore(world, A, &copy, false);
	world_fence(world, A);
	world_fence(world, B);
	world_start(world, B);
	world_lose(world, B);
	world_start(world, A);
	world_start(world, C);
	assert_int_equal(world_row(world)->suspects, 3);
	run(world, 2000);
	assert_int_equal(world_row(world)->primary, 0);
	world_start(world, B);
	assert_int_equal(world_settle(world), B);
	assert_int_equal(world_events(world, B, "kept"), 1);
	await_isr(world, 7);
	world_expect_same(world, A, B);
}

/* B wins with A's tail: batches keep the epoch that they were first written in, messages bear the new one. */
static void r12_a_tail_of_an_earlier_epoch_is_sent_on(void **state)
{
	struct world *world = *state;
	const struct log *log;
	uint64_t at;

	world_cut(world, A, C, true);
	at = end_of(world, A);
	(void)put(world, A, 1, "tail");
	run(world, 5);
	world_lose(world, A);
	heal_links(world);
	assert_int_equal(world_settle(world), B);
	run(world, 100);
	log = shard_log(world->harness->nodes[C].shard, world->harness->partition);
	assert_int_equal(log_find(log, at)->epoch, 1);
	world_expect_same(world, B, C);
	world_start(world, A);
	await_isr(world, 7);
	world_expect_same(world, A, B); /* the bytes that A wrote first */
	assert_int_equal(world_events(world, A, "tail"), 1);
}

/* C was eligible, and comes back as a copy of its directory of before. */
static void r13_an_old_copy_of_a_directory(void **state)
{
	struct world *world = *state;
	struct world_copy copy;

	world_copy_take(world, C, &copy);
	world_lose(world, C);
	world_start(world, C);
	await_isr(world, 7);
	expect_put(world, A, 1, "since");
	world_lose(world, A);
	assert_int_equal(world_settle(world), B);
	world_lose(world, C);
	assert_int_equal(world_row(world)->elr, node_bit(C + 1));
	world_copy_restore(world, C, &copy, true);
	world_start(world, C);
	world_lose(world, B);
	run(world, 500);
	assert_int_equal(world_row(world)->primary, 0);
	world_start(world, B);
	assert_int_equal(world_settle(world), B);
	assert_int_equal(world_events(world, B, "since"), 1);
	await_isr(world, 6);
	world_expect_same(world, B, C);
}

/* A commits by B's acknowledgement and dies before it can say so; B has no minimum. */
static void r16_a_new_primary_does_not_know_what_was_committed(void **state)
{
	struct world *world = *state;
	uint64_t commit = harness_status(world->harness, B).commit;
	uint64_t ticket, fresh, local;

	world_lose(world, C);
	ticket = put(world, A, 1, "first");
	while (end_of(world, B) == commit)
		run(world, 1);
	world_cut(world, A, B, true);
	run(world, 50);
	harness_expect(world->harness, ticket, ERROR_NONE);
	assert_int_equal(harness_status(world->harness, B).commit, commit);
	world_lose(world, A);
	heal_links(world);
	run(world, 600);
	assert_int_equal(world_row(world)->primary, B + 1);
	fresh = harness_read(world->harness, B, READ_LINEARIZABLE, "first", 0, 20);
	local = harness_read(world->harness, B, READ_LOCAL, "first", 0, 0);
	run(world, 50);
	harness_expect(world->harness, fresh, ERROR_NOT_READY);
	harness_expect(world->harness, local, ERROR_NONE); /* and says as of when */
	assert_int_equal(harness_answer(world->harness, local)->read.version, 0);
	world_start(world, C);
	assert_int_equal(world_settle(world), B);
	run(world, 100);
	fresh = harness_read(world->harness, B, READ_LINEARIZABLE, "first", 0, 20);
	run(world, 50);
	assert_int_equal(harness_answer(world->harness, fresh)->read.version, 1);
}

/* A, alone in its ISR and cut off from everything but a client, while an operator elects B. */
static void r20_an_operator_elects_while_the_old_primary_lives(void **state)
{
	struct world *world = *state;
	uint64_t early, late;

	assert_int_equal(world_minimum(world, 1), REFUSAL_NONE);
	world_lose(world, B);
	world_lose(world, C);
	run(world, 20);
	world_start(world, B);
	world_cut_around(world, A, true); /* before B has joined */
	early = put(world, A, 1, "early");
	run(world, 20);
	harness_expect(world->harness, early, ERROR_NONE);
	world_fence(world, A);
	assert_int_equal(world_row(world)->primary, 0);
	assert_int_equal(world_elect(world, B), REFUSAL_TOO_EARLY);
	run(world, METADATA_HEADLESS_MS);
	late = put(world, A, 2, "late");
	assert_int_equal(world_elect(world, B), REFUSAL_NONE);
	assert_int_equal(world_settle(world), B);
	expect_put(world, B, 1, "other");
	assert_false(is_answered(world, late));
	world_cut_around(world, A, false);
	world_unfence(world, A);
	await_isr(world, 3);
	assert_int_equal(world->harness->nodes[A].events[SHARD_EVENT_BELOW_COMMIT], 0); /* the history permits it */
	assert_true(!is_answered(world, late) || harness_answer(world->harness, late)->append.error != ERROR_NONE);
	world_expect_same(world, A, B);
	assert_int_equal(world_events(world, A, "early"), 0);
}

/* C's answers leave in the turn in which it got the batch, and name what is synced only. */
static void r22_an_acknowledgement_in_the_turn_of_the_write(void **state)
{
	struct world *world = *state;
	uint64_t ticket;

	world_lose(world, B);
	ticket = put(world, A, 1, "before"); /* C tells soon how far it has applied, whatever else it has to say */
	while (!is_answered(world, ticket))
		run(world, 1);
	world->harness->nodes[C].disk.hold = true;
	ticket = put(world, A, 2, "first");
	run(world, 400);
	assert_false(is_answered(world, ticket));
	world_kill(world, C); /* it is lost there */
	world_start(world, C);
	run(world, 200);
	assert_int_equal(world_events(world, C, "first"), harness_answer(world->harness, ticket) != NULL);
}

/* --- duplicates --------------------------------------------------------------------------------------------------- */

static void x1_a_duplicate_of_what_is_not_committed(void **state)
{
	struct world *world = *state;
	uint64_t again, third;

	world_cut(world, A, B, true);
	world_cut(world, A, C, true);
	(void)put(world, A, 1, "first");
	run(world, 5);
	again = put(world, A, 1, "first");
	run(world, 50);
	assert_false(is_answered(world, again));
	world_lose(world, A);
	heal_links(world);
	assert_int_equal(world_settle(world), B);
	assert_int_equal(world_events(world, B, "first"), 0);
	third = put(world, B, 1, "first");
	run(world, 50);
	harness_expect(world->harness, third, ERROR_NONE);
	assert_int_equal(harness_answer(world->harness, third)->append.duplicate, 0);
	assert_int_equal(world_events(world, B, "first"), 1);
}

/* C appended it, cut it, and is elected: its table must not know it any more. */
static void x2_the_table_of_a_tail_that_was_cut(void **state)
{
	struct world *world = *state;
	uint64_t ticket;

	leave_a_tail_on_third(world);
	heal_links(world);
	assert_int_equal(world_settle(world), B);
	world_start(world, A);
	await_isr(world, 7);
	world_lose(world, A);
	world_lose(world, B);
	world_start(world, A);
	assert_int_equal(world_settle(world), C);
	ticket = put(world, C, 1, "tail");
	run(world, 50);
	harness_expect(world->harness, ticket, ERROR_NONE);
	assert_int_equal(harness_answer(world->harness, ticket)->append.duplicate, 0);
	assert_int_equal(world_events(world, C, "tail"), 1);
}

/* The same for who wrote it: A decided at the end of its tail, cut that, and leads again in the same process. */
static void x2_the_table_of_a_former_primary(void **state)
{
	struct world *world = *state;

	world_cut(world, A, B, true);
	world_cut(world, A, C, true);
	(void)put(world, A, 1, "tail");
	run(world, 5);
	world_cut_around(world, A, true);
	world_fence(world, A);
	assert_int_equal(world_settle(world), B);
	world_cut_around(world, A, false);
	world_unfence(world, A);
	await_isr(world, 7);
	assert_int_equal(world->harness->nodes[A].events[SHARD_EVENT_TRUNCATED], 1);
	world_lose(world, B);
	assert_int_equal(world_settle(world), A);
	expect_put(world, A, 1, "tail");
	assert_int_equal(world_events(world, A, "tail"), 1);
	assert_int_equal(world_events(world, C, "tail"), 1);
}

/* B wins with it in its tail, not committed; the retry comes in every turn from its election on. */
static void x2_the_table_of_a_tail_that_wins(void **state)
{
	struct world *world = *state;
	uint64_t tickets[400];
	uint32_t count = 0, stored = 0;

	world_cut(world, A, C, true);
	(void)put(world, A, 1, "tail");
	run(world, 5);
	world_lose(world, A);
	world_cut(world, B, C, true);
	for (; count < 200; count++) {
		tickets[count] = put(world, B, 1, "tail");
		run(world, 1);
	}
	heal_links(world);
	for (; count < 400; count++) {
		tickets[count] = put(world, B, 1, "tail");
		run(world, 1);
	}
	assert_int_equal(world_settle(world), B);
	run(world, 50);
	for (uint32_t i = 0; i < count; i++)
		stored += is_answered(world, tickets[i]) &&
			  harness_answer(world->harness, tickets[i])->append.error == ERROR_NONE &&
			  !harness_answer(world->harness, tickets[i])->append.duplicate;
	assert_int_equal(stored, 0);
	expect_put(world, B, 1, "tail");
	assert_int_equal(world_events(world, B, "tail"), 1);
}

static void x4_a_refusal_inside_a_window(void **state)
{
	struct world *world = *state;
	struct check wrong = {0, CHECK_VERSION, 9};
	uint64_t one = put(world, A, 1, "a");
	uint64_t two = harness_append(world->harness, A, 2, "b", 1, &wrong);
	uint64_t three = put(world, A, 3, "c");
	uint64_t again;

	run(world, 50);
	harness_expect(world->harness, one, ERROR_NONE);
	harness_expect(world->harness, two, ERROR_CHECK_FAILED);
	harness_expect(world->harness, three, ERROR_OUT_OF_ORDER);
	again = put(world, A, 2, "b");
	three = put(world, A, 3, "c");
	run(world, 50);
	harness_expect(world->harness, again, ERROR_NONE);
	harness_expect(world->harness, three, ERROR_NONE);
	assert_int_equal(harness_answer(world->harness, again)->append.duplicate, 0);
	assert_int_equal(harness_answer(world->harness, again)->append.base_offset + 1,
			 harness_answer(world->harness, three)->append.base_offset);
}

/* Copy one of number 1 is refused; copy two comes late, before or after what the client made of the number since. */
static void x5_the_same_number_with_other_bytes(void **state)
{
	struct world *world = *state;
	struct check wrong = {0, CHECK_VERSION, 9};
	uint64_t refused = harness_append(world->harness, A, 1, "b", 1, &wrong);
	uint64_t late, corrected;

	run(world, 50);
	harness_expect(world->harness, refused, ERROR_CHECK_FAILED);
	expect_put(world, A, 1, "corrected");
	late = put(world, A, 1, "b");
	run(world, 50);
	harness_expect(world->harness, late, ERROR_CONFLICT);
	assert_int_equal(world_events(world, A, "b"), 0);
	expect_put(world, A, 2, "late");
	corrected = put(world, A, 2, "corrected");
	run(world, 50);
	harness_expect(world->harness, corrected, ERROR_CONFLICT); /* never a duplicate */
}

#define CASE(name, world) cmocka_unit_test_setup_teardown(name, world, free_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(r1_a_primary_restarts_faster_than_it_is_fenced, of_three),
		CASE(r1_the_same_primary_again, of_three),
		CASE(r2_an_order_to_truncate_comes_twice, of_three),
		CASE(r3_offsets_fit_and_the_epoch_before_does_not, of_three),
		CASE(r4_the_ends_of_two_epochs_are_compared_on_both_sides, of_three),
		CASE(r5_an_acknowledgement_of_an_earlier_epoch, of_three),
		CASE(r6_the_process_that_acknowledged_is_another_by_now, of_three_by_interval),
		CASE(r7_removed_and_added_again, of_two),
		CASE(r8_the_tail_without_the_history, of_three),
		CASE(r9_the_minimum_falls_while_somebody_is_eligible, of_three),
		CASE(r11_the_first_one_back_has_less_than_another, of_three_by_interval),
		CASE(r12_a_tail_of_an_earlier_epoch_is_sent_on, of_three),
		CASE(r13_an_old_copy_of_a_directory, of_three),
		CASE(r16_a_new_primary_does_not_know_what_was_committed, of_three),
		CASE(r20_an_operator_elects_while_the_old_primary_lives, of_three),
		CASE(r22_an_acknowledgement_in_the_turn_of_the_write, of_three),
		CASE(x1_a_duplicate_of_what_is_not_committed, of_three),
		CASE(x2_the_table_of_a_tail_that_was_cut, of_three),
		CASE(x2_the_table_of_a_former_primary, of_three),
		CASE(x2_the_table_of_a_tail_that_wins, of_three),
		CASE(x4_a_refusal_inside_a_window, of_three),
		CASE(x5_the_same_number_with_other_bytes, of_three),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

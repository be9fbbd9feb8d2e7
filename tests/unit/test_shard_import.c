/* Three nodes that restore a partition: the primary takes another cluster's log, the replicas follow, some die. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/random.h"
#include "tests/unit/shard_harness.h"

#define BATCHES_MAX 512u
#define FLOOR 9u /* the epochs of what is restored are below the target's */

struct fixture {
	struct harness *target;
	struct buffer log; /* what is restored, end to end */
	struct batch batches[BATCHES_MAX];
	uint32_t count;
	uint64_t cut;
	uint64_t digest; /* of the source's state there */
	uint64_t producer;
	uint32_t number; /* of its producer's last batch */
	uint64_t ticket;
	struct import_done done; /* the newest answer */
	uint32_t answers;
};

/* --- the source --------------------------------------------------------------------------------------------------- */

static void keep_log(struct fixture *fixture, struct harness *source, uint32_t node)
{
	uint64_t ticket = harness_replay(source, node, 0, 4 * 1024 * 1024);
	const struct replay_data *data;
	struct span left;

	harness_run(source, 20);
	harness_expect(source, ticket, ERROR_NONE);
	data = &harness_answer(source, ticket)->replay;
	assert_int_equal(data->next, data->commit);
	buffer_bytes(&fixture->log, data->batches.data, data->batches.size);
	for (left = buffer_span(&fixture->log); left.size > 0; fixture->count++) {
		struct batch *batch = &fixture->batches[fixture->count];

		assert_true(fixture->count < BATCHES_MAX);
		assert_int_equal(batch_decode_stamped(left, batch), 0);
		left = span_of(left.data + batch->size, left.size - batch->size);
	}
	fixture->cut = data->commit;
	assert_int_equal(harness_status(source, node).applied, fixture->cut);
	fixture->digest = harness_status(source, node).digest;
}

/* Two epochs, a view over both, and a control batch amid events. */
static void make_log(struct fixture *fixture)
{
	struct harness *source = harness_new(3);

	harness_settle(source, 0);
	for (uint32_t i = 0; i < 20; i++)
		(void)harness_append_next(source, 0, i % 2 == 0 ? "k" : "l");
	harness_run(source, 20);
	harness_define_view(source);
	harness_run(source, 20);
	harness_elect(source, 2, 7, 0);
	harness_settle(source, 1);
	for (uint32_t i = 0; i < 30; i++)
		(void)harness_append_next(source, 1, "k");
	harness_run(source, 50);
	fixture->producer = source->producer;
	fixture->number = source->number;
	keep_log(fixture, source, 1);
	source = harness_free(source);
}

/* --- fixture ------------------------------------------------------------------------------------------------------ */

static void hear(struct harness *harness, uint32_t node, const struct message *message)
{
	struct fixture *fixture = harness->owner;
	struct reader in = reader_of(message->body);

	(void)node;
	if (message->kind != MESSAGE_IMPORT_DONE)
		return;
	assert_int_equal(import_done_decode(&in, &fixture->done), 0);
	assert_true(reader_done(&in));
	fixture->answers++;
}

static int begin(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	struct map_partition *row;

	make_log(fixture);
	fixture->target = harness_new(3);
	fixture->target->owner = fixture;
	fixture->target->hear = hear;
	row = harness_row(fixture->target);
	row->restoring = true;
	row->restored_to = fixture->cut;
	row->epoch = FLOOR;
	harness_elect(fixture->target, 1, 7, 0);
	harness_run(fixture->target, 600); /* nobody waits for a lease any more */
	*state = fixture;
	return 0;
}

static int end(void **state)
{
	struct fixture *fixture = *state;

	fixture->target = harness_free(fixture->target);
	buffer_deinit(&fixture->log);
	free(fixture);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static void send_import(struct fixture *fixture, uint32_t node, uint64_t base, struct span batches)
{
	struct import import = {
		.ticket = ++fixture->ticket, .partition = fixture->target->partition, .base = base, .batches = batches};
	struct buffer body = BUFFER_NULL;

	import_encode(&import, &body);
	harness_send(fixture->target, node, MESSAGE_IMPORT, buffer_span(&body));
	buffer_deinit(&body);
}

/* Up to `count` batches from the one on that begins at `base`. */
static struct span batches_from(const struct fixture *fixture, uint64_t base, uint32_t count)
{
	struct span some = SPAN_NULL;

	for (uint32_t i = 0; i < fixture->count && count > 0; i++) {
		if (fixture->batches[i].base_offset < base)
			continue;
		if (some.data == NULL)
			some.data = fixture->batches[i].bytes.data;
		some.size += fixture->batches[i].size;
		count--;
	}
	return some;
}

/* Asks where the log ends, and sends what follows. The answer's error. */
static enum error import_some(struct fixture *fixture, uint32_t node, uint32_t count, uint64_t wait_ms)
{
	uint32_t answers = fixture->answers;

	send_import(fixture, node, 0, SPAN_NULL);
	harness_run(fixture->target, 5);
	if (fixture->answers == answers || fixture->done.error != ERROR_NONE || fixture->done.end == fixture->cut)
		return (enum error)fixture->done.error;
	answers = fixture->answers;
	send_import(fixture, node, fixture->done.end, batches_from(fixture, fixture->done.end, count));
	for (uint64_t i = 0; i < wait_ms && fixture->answers == answers; i++)
		harness_run(fixture->target, 1);
	return (enum error)fixture->done.error;
}

static void import_all(struct fixture *fixture, uint32_t node)
{
	for (uint32_t i = 0; i < 400 && harness_status(fixture->target, node).commit < fixture->cut; i++)
		(void)import_some(fixture, node, 7, 100);
	assert_int_equal(harness_status(fixture->target, node).commit, fixture->cut);
	harness_run(fixture->target, 200);
}

static enum error answer_of(struct fixture *fixture, uint32_t node, uint64_t base, struct span batches)
{
	uint32_t answers = fixture->answers;

	send_import(fixture, node, base, batches);
	harness_run(fixture->target, 20);
	assert_int_equal(fixture->answers, answers + 1);
	return (enum error)fixture->done.error;
}

static void expect_restored(struct fixture *fixture, uint32_t node)
{
	struct partition_status status = harness_status(fixture->target, node);

	assert_int_equal(status.end, fixture->cut);
	assert_int_equal(status.applied, fixture->cut);
	assert_int_equal(status.digest, fixture->digest);
	assert_false(status.active);
}

/* The entry that ends the restore: an ordinary epoch. */
static void finish(struct fixture *fixture, uint32_t node)
{
	struct map_partition *row = harness_row(fixture->target);

	row->restoring = false;
	harness_elect(fixture->target, node + 1, row->isr | node_bit(node + 1), row->elr & ~node_bit(node + 1));
	fixture->target->hear = NULL;
	harness_settle(fixture->target, node);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void all_replicas_take_the_log_as_it_was(void **state)
{
	struct fixture *fixture = *state;

	import_all(fixture, 0);
	for (uint32_t i = 0; i < 3; i++)
		expect_restored(fixture, i);
}

static void afterwards_it_goes_on_behind_it(void **state)
{
	struct fixture *fixture = *state;
	struct harness *target = fixture->target;
	uint64_t ticket;

	import_all(fixture, 0);
	finish(fixture, 0);
	target->producer = fixture->producer;
	ticket = harness_append(target, 0, fixture->number, "k", 1, NULL);
	harness_run(target, 20);
	harness_expect(target, ticket, ERROR_NONE);
	assert_true(harness_answer(target, ticket)->append.duplicate); /* the source had taken it */
	assert_true(harness_answer(target, ticket)->append.base_offset < fixture->cut);
	ticket = harness_append(target, 0, fixture->number + 1, "k", 1, NULL);
	harness_run(target, 20);
	harness_expect(target, ticket, ERROR_NONE);
	assert_false(harness_answer(target, ticket)->append.duplicate);
	assert_true(harness_answer(target, ticket)->append.base_offset > fixture->cut); /* behind an epoch start */
	assert_true(harness_answer(target, ticket)->append.base_sequence >
		    fixture->batches[fixture->count - 1].base_sequence);
}

static void meanwhile_nobody_is_served(void **state)
{
	struct fixture *fixture = *state;
	struct harness *target = fixture->target;
	uint64_t append, read;

	import_all(fixture, 0);
	target->hear = NULL;
	append = harness_append_next(target, 0, "k");
	read = harness_read(target, 1, READ_LOCAL, "k", 0, 0);
	harness_run(target, 20);
	harness_expect(target, append, ERROR_NOT_READY);
	harness_expect(target, read, ERROR_NOT_READY);
}

static void it_is_answered_when_the_isr_has_it(void **state)
{
	struct fixture *fixture = *state;
	uint32_t answers = fixture->answers;

	fixture->target->nodes[2].disk.hold = true;
	send_import(fixture, 0, 0, batches_from(fixture, 0, 4));
	harness_run(fixture->target, 50);
	assert_int_equal(fixture->answers, answers);
	fixture->target->nodes[2].disk.hold = false;
	harness_run(fixture->target, 20);
	assert_int_equal(fixture->answers, answers + 1);
	assert_int_equal(fixture->done.error, ERROR_NONE);
	assert_int_equal(fixture->done.end, fixture->batches[4].base_offset);
	assert_int_equal(fixture->done.commit, fixture->done.end);
}

static void what_begins_elsewhere_is_told_where_the_log_ends(void **state)
{
	struct fixture *fixture = *state;
	uint64_t third = fixture->batches[3].base_offset;

	assert_int_equal(answer_of(fixture, 0, third, batches_from(fixture, third, 2)), ERROR_NONE);
	assert_int_equal(fixture->done.end, 0);
	assert_int_equal(answer_of(fixture, 0, 0, batches_from(fixture, 0, 5)), ERROR_NONE);
	assert_int_equal(fixture->done.end, fixture->batches[5].base_offset);
	assert_int_equal(answer_of(fixture, 0, 0, batches_from(fixture, 0, 5)), ERROR_NONE); /* once more */
	assert_int_equal(fixture->done.end, fixture->batches[5].base_offset);
}

static void what_does_not_follow_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct map_partition *row = harness_row(fixture->target);
	struct buffer bad = BUFFER_NULL;
	struct span two = batches_from(fixture, 0, 2);

	buffer_bytes(&bad, two.data, two.size);
	bad.data[two.size - 1] ^= 1;                                               /* of the second */
	assert_int_equal(answer_of(fixture, 0, 0, buffer_span(&bad)), ERROR_NONE); /* the first is taken */
	assert_int_equal(fixture->done.end, fixture->batches[1].base_offset);
	bad.size -= 1;
	assert_int_equal(answer_of(fixture, 0, fixture->done.end,
				   span_of(bad.data + fixture->batches[0].size, bad.size - fixture->batches[0].size)),
			 ERROR_MALFORMED);
	assert_int_equal(answer_of(fixture, 0, fixture->done.end, batches_from(fixture, 0, 1)), ERROR_MALFORMED);
	assert_int_equal(
		answer_of(fixture, 0, fixture->done.end, batches_from(fixture, fixture->batches[3].base_offset, 1)),
		ERROR_MALFORMED);
	row->restored_to = fixture->batches[2].base_offset;
	harness_elect(fixture->target, 1, 7, 0);
	assert_int_equal(answer_of(fixture, 0, fixture->done.end, batches_from(fixture, fixture->done.end, 1)),
			 ERROR_NONE);
	assert_int_equal(answer_of(fixture, 0, fixture->done.end, batches_from(fixture, fixture->done.end, 1)),
			 ERROR_REFUSED); /* more than was said to come */
	buffer_deinit(&bad);
}

static void only_a_primary_that_restores_takes_it(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(answer_of(fixture, 1, 0, batches_from(fixture, 0, 1)), ERROR_NOT_PRIMARY);
	import_all(fixture, 0);
	finish(fixture, 0);
	fixture->target->hear = hear;
	assert_int_equal(answer_of(fixture, 0, 0, batches_from(fixture, 0, 1)), ERROR_REFUSED);
}

static void an_epoch_that_is_not_below_the_rows_is_refused(void **state)
{
	struct fixture *fixture = *state;

	harness_row(fixture->target)->epoch = 0;
	for (uint32_t i = 0; i < 3; i++) { /* rows of lower epochs are not taken: these nodes begin anew */
		harness_kill(fixture->target, i);
		harness_start(fixture->target, i);
	}
	harness_elect(fixture->target, 1, 7, 0);
	harness_run(fixture->target, 600);
	assert_int_equal(answer_of(fixture, 0, 0, batches_from(fixture, 0, 1)), ERROR_MALFORMED);
}

static void the_next_primary_goes_on_where_it_stands(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(import_some(fixture, 0, 5, 100), ERROR_NONE);
	send_import(fixture, 0, fixture->done.end, batches_from(fixture, fixture->done.end, 5));
	harness_run(fixture->target, 1); /* on its way to some */
	harness_kill(fixture->target, 0);
	harness_elect(fixture->target, 2, 6, 0);
	harness_run(fixture->target, 600);
	import_all(fixture, 1);
	harness_start(fixture->target, 0);
	harness_run(fixture->target, 1000);
	for (uint32_t i = 0; i < 3; i++)
		expect_restored(fixture, i);
	assert_int_equal(harness_row(fixture->target)->isr, 7); /* in sync again before it is over */
	finish(fixture, 2);
}

static bool lost_to_first(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->to == 1;
}

static bool lost_to_third(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->to == 3;
}

static bool batches_lost_to_third(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->to == 3 && packet->kind == MESSAGE_REPLICATE;
}

/* A restoring epoch has no first record: who is to be in sync must hold what its primary held when it began (R2). */
static void who_lacks_what_the_primary_began_with_is_not_in_sync(void **state)
{
	struct fixture *fixture = *state;
	struct harness *target = fixture->target;
	uint64_t common;

	assert_int_equal(import_some(fixture, 0, 5, 100), ERROR_NONE);
	common = fixture->done.end;
	target->drop = lost_to_third;
	target->nodes[0].disk.hold = true; /* so that nothing of it is committed */
	send_import(fixture, 0, common, batches_from(fixture, common, 5));
	harness_run(target, 20);
	assert_true(harness_status(target, 1).end > common);
	harness_kill(target, 0);
	target->map.nodes[0].fenced = true;
	target->map.nodes[0].changed_at = ++target->map.version;
	target->drop = batches_lost_to_third;
	harness_elect(target, 2, 2, 0);
	harness_run(target, 3000);
	assert_int_equal(harness_status(target, 1).commit, common);
	assert_false(node_set_has(harness_row(target)->isr, 3));
	target->drop = NULL;
	harness_run(target, 3000);
	assert_true(node_set_has(harness_row(target)->isr, 3));
	import_all(fixture, harness_row(target)->primary - 1);
}

/* Its tail was never committed: it is cut, as any tail is, and sent again. */
static void a_tail_that_only_one_holds_is_cut(void **state)
{
	struct fixture *fixture = *state;
	struct harness *target = fixture->target;
	uint64_t common;

	assert_int_equal(import_some(fixture, 0, 5, 100), ERROR_NONE);
	common = fixture->done.end;
	target->drop = lost_to_first;
	target->nodes[1].disk.hold = true;
	target->nodes[2].disk.hold = true;
	send_import(fixture, 0, common, batches_from(fixture, common, 30));
	harness_run(target, 20);
	harness_kill(target, 0);
	harness_kill(target, 1);
	harness_kill(target, 2);
	target->nodes[1].disk.hold = false;
	target->nodes[2].disk.hold = false;
	target->drop = NULL;
	for (uint32_t i = 0; i < 3; i++)
		harness_start(target, i);
	assert_true(harness_status(target, 0).end > common);
	harness_elect(target, 2, 2, 0);
	harness_run(target, 600);
	assert_int_equal(harness_status(target, 1).end, common);
	assert_int_equal(harness_status(target, 0).end, common);
	import_all(fixture, 1);
	for (uint32_t i = 0; i < 3; i++)
		expect_restored(fixture, i);
}

static void who_waits_for_a_lost_primacy_hears_of_it(void **state)
{
	struct fixture *fixture = *state;
	uint32_t answers = fixture->answers;

	fixture->target->nodes[2].disk.hold = true;
	send_import(fixture, 0, 0, batches_from(fixture, 0, 4));
	harness_run(fixture->target, 20);
	assert_int_equal(fixture->answers, answers);
	harness_elect(fixture->target, 2, 7, 0);
	harness_run(fixture->target, 10);
	assert_int_equal(fixture->answers, answers + 1);
	assert_int_equal(fixture->done.error, ERROR_NOT_PRIMARY);
}

/* Kills, elections and a network that loses, repeats and reorders. */
static void whatever_happens_all_of_it_arrives(void **state)
{
	struct fixture *fixture = *state;
	struct harness *target = fixture->target;
	uint64_t seed = 77;

	target->chaos_percent = 5;
	target->chaos_state = 5;
	for (uint32_t round = 0; round < 25; round++) {
		uint32_t primary = harness_row(target)->primary - 1;
		uint32_t victim = (uint32_t)random_below(&seed, 3);

		(void)import_some(fixture, primary, 1 + (uint32_t)random_below(&seed, 3), 40);
		if (random_below(&seed, 3) != 0)
			continue;
		harness_kill(target, victim);
		if (victim == primary) { /* the controller elects of those who are in sync */
			node_set others = harness_row(target)->isr & ~node_bit(victim + 1);

			if (others == 0)
				others = node_bit(victim + 1);
			harness_start(target, victim);
			harness_elect(target, (uint32_t)__builtin_ctzll(others) + 1, harness_row(target)->isr, 0);
		} else {
			harness_start(target, victim);
		}
		harness_run(target, 300);
	}
	target->chaos_percent = 0;
	harness_run(target, 1000);
	import_all(fixture, harness_row(target)->primary - 1);
	harness_run(target, 2000);
	for (uint32_t i = 0; i < 3; i++)
		expect_restored(fixture, i);
	finish(fixture, harness_row(target)->primary - 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(all_replicas_take_the_log_as_it_was),
		CASE(afterwards_it_goes_on_behind_it),
		CASE(meanwhile_nobody_is_served),
		CASE(it_is_answered_when_the_isr_has_it),
		CASE(what_begins_elsewhere_is_told_where_the_log_ends),
		CASE(what_does_not_follow_is_refused),
		CASE(only_a_primary_that_restores_takes_it),
		CASE(an_epoch_that_is_not_below_the_rows_is_refused),
		CASE(the_next_primary_goes_on_where_it_stands),
		CASE(who_lacks_what_the_primary_began_with_is_not_in_sync),
		CASE(a_tail_that_only_one_holds_is_cut),
		CASE(who_waits_for_a_lost_primacy_hears_of_it),
		CASE(whatever_happens_all_of_it_arrives),
	};

	return cmocka_run_group_tests_name("shard_import", tests, NULL, NULL);
}

/* Whole shards where the n-th allocation of one node fails, for n all along a life of appends, views, reads of the
 * past, a subscription, sealing, snapshots, fail-over and restart. A shard that cannot go on says so with a negative
 * result, upon which its process ends (partition/shard.c, S4): the test then starts it again. Nothing that was
 * acknowledged may be lost or doubled, and in the end all replicas are equal.
 *
 * Every n takes minutes; EVGRID_FAULT_STRIDE=1 does it (tests/run.sh --nightly). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/memory_fault.h"
#include "tests/unit/shard_harness.h"

#include "proto/msgpack.h"

#include <stdlib.h>

#define SMALL_SEGMENT (32u * 1024)
#define VICTIM_JOURNAL 42u /* node 1's */
#define TRIES 40
#define STRIDE 41 /* without EVGRID_FAULT_STRIDE; a prime, so that runs of like allocations are met everywhere */

/* --- faults only inside one shard --------------------------------------------------------------------------------- */

static struct {
	struct shard *shard; /* NULL: none lives */
	bool dead;           /* it has said that it cannot go on */
	uint32_t deaths;
} victim;

static void enter(const struct shard *shard)
{
	memory_fault_paused = shard != victim.shard;
}

/* A negative result is the end of its process: nothing more is asked of it. */
static int leave(const struct shard *shard, int rv)
{
	memory_fault_paused = true;
	if (rv >= 0 || shard != victim.shard)
		return rv;
	assert_int_equal(rv, -ERROR_MEMORY);
	victim.dead = true;
	victim.deaths++;
	return 0;
}

static bool is_dead(const struct shard *shard)
{
	return victim.dead && shard == victim.shard;
}

#define WRAPPED(result, name, ...)         \
	result __real_##name(__VA_ARGS__); \
	result __wrap_##name(__VA_ARGS__); \
	result __wrap_##name(__VA_ARGS__)

WRAPPED(struct shard *, shard_new, const struct shard_config *config)
{
	struct shard *shard;

	if (config->journal_id != VICTIM_JOURNAL)
		return __real_shard_new(config);
	memory_fault_paused = false;
	shard = __real_shard_new(config);
	memory_fault_paused = true;
	if (shard == NULL) { /* the node would not start; it is started again */
		victim.deaths++;
		shard = __real_shard_new(config);
	}
	victim.shard = shard;
	victim.dead = false;
	return shard;
}

WRAPPED(int, shard_start, struct shard *shard, const struct disk_segment *segments, uint32_t count)
{
	enter(shard);
	return leave(shard, __real_shard_start(shard, segments, count));
}

WRAPPED(bool, shard_recovered, const struct shard *shard)
{
	return is_dead(shard) || __real_shard_recovered(shard);
}

WRAPPED(void, shard_register, struct shard *shard, uint32_t node_id, uint64_t node_epoch)
{
	if (is_dead(shard))
		return;
	enter(shard);
	__real_shard_register(shard, node_id, node_epoch);
	(void)leave(shard, 0);
}

WRAPPED(void, shard_map, struct shard *shard, const struct cluster_map *map)
{
	if (is_dead(shard))
		return;
	enter(shard);
	__real_shard_map(shard, map);
	(void)leave(shard, 0);
}

WRAPPED(void, shard_contacts, struct shard *shard, const struct contact_table *contacts)
{
	if (is_dead(shard))
		return;
	enter(shard);
	__real_shard_contacts(shard, contacts);
	(void)leave(shard, 0);
}

WRAPPED(int, shard_receive_peer, struct shard *shard, const struct message *message)
{
	if (is_dead(shard))
		return 0;
	enter(shard);
	return leave(shard, __real_shard_receive_peer(shard, message));
}

WRAPPED(int, shard_receive_client, struct shard *shard, uint64_t client, const struct message *message)
{
	if (is_dead(shard))
		return 0;
	enter(shard);
	return leave(shard, __real_shard_receive_client(shard, client, message));
}

WRAPPED(int, shard_disk_done, struct shard *shard, uint64_t ticket, enum disk_outcome outcome, struct span bytes)
{
	if (is_dead(shard))
		return 0;
	enter(shard);
	return leave(shard, __real_shard_disk_done(shard, ticket, outcome, bytes));
}

WRAPPED(int, shard_turn, struct shard *shard, const struct shard_time *time)
{
	if (is_dead(shard))
		return 0;
	enter(shard);
	return leave(shard, __real_shard_turn(shard, time));
}

/* What a turn that ended the process would have sent is never sent. */
void __real_shard_outbox_clear(struct shard *shard);

WRAPPED(struct shard_outbox *, shard_outbox, struct shard *shard)
{
	if (is_dead(shard))
		__real_shard_outbox_clear(shard);
	return __real_shard_outbox(shard);
}

WRAPPED(void, shard_outbox_clear, struct shard *shard)
{
	__real_shard_outbox_clear(shard);
}

/* --- a life ------------------------------------------------------------------------------------------------------- */

static uint32_t leader(struct harness *harness)
{
	return harness_row(harness)->primary - 1;
}

/* As metadata do when a node's process is gone: it is fenced, out of the ISR, and another leads. */
static void begin_again(struct harness *harness)
{
	struct map_partition *row = harness_row(harness);
	node_set isr = row->isr & ~node_bit(1);
	node_set elr = row->elr;

	if (isr == 0)
		isr = row->isr; /* the last one: rule 1 */
	else if (node_set_count(isr) < row->minimum_isr)
		elr |= row->isr & node_bit(1);
	harness_kill(harness, 0);
	harness_start(harness, 0);
	harness_elect(harness, (uint32_t)__builtin_ctzll(isr) + 1, isr, elr & ~isr);
}

static void step(struct harness *harness, uint32_t duration_ms)
{
	while (duration_ms-- > 0) {
		harness_run(harness, 1);
		if (victim.dead)
			begin_again(harness);
	}
}

/* The same number until it is acknowledged, as a client does. */
static void append(struct harness *harness, uint32_t count)
{
	static const char *const keys[] = {"k", "a", "b"};
	uint32_t number = ++harness->number;

	for (int tries = 0; tries < TRIES; tries++) {
		uint64_t ticket = harness_append(harness, leader(harness), number, keys[number % 3], count, NULL);
		const struct harness_answer *answer = NULL;

		for (int i = 0; i < 200 && answer == NULL; i++) {
			step(harness, 1);
			answer = harness_answer(harness, ticket);
		}
		if (answer != NULL && answer->append.error == ERROR_NONE)
			return;
		step(harness, 20);
	}
	fail_msg("batch %u is not acknowledged", number);
}

static void define(struct harness *harness, uint32_t version)
{
	static const char function[] = "function apply(e, s) s = s or {n = 0}; s.n = s.n + 1; return s end";
	struct buffer definition = BUFFER_NULL;
	const char *const members[][2] = {{"view", "v"}, {"stream", "Customer"}, {"kind", "lua"}, {"apply", function}};

	if (version == 1) {
		harness_define_view(harness);
		return;
	}
	msgpack_write_map(&definition, 4);
	for (size_t i = 0; i < 4; i++) {
		msgpack_write_str(&definition, span_of_text(members[i][0]));
		msgpack_write_str(&definition, span_of_text(members[i][1]));
	}
	harness_define(harness, version, buffer_span(&definition));
	buffer_deinit(&definition);
}

static void subscribe(struct harness *harness)
{
	struct subscribe subscribe = {
		.subscription = 9, .generation = 1, .credit = 1024 * 1024, .type_count = 1, .place_count = 1};
	struct buffer place = BUFFER_NULL, type = BUFFER_NULL, body = BUFFER_NULL;

	buffer_string(&type, span_of_text("Created"));
	subscribe_place_encode(&(struct subscribe_place){harness->partition, 0, HISTORY_ANY}, &place);
	subscribe.types = buffer_span(&type);
	subscribe.places = buffer_span(&place);
	subscribe_encode(&subscribe, &body);
	harness_send(harness, leader(harness), MESSAGE_SUBSCRIBE, buffer_span(&body));
	buffer_deinit(&type);
	buffer_deinit(&place);
	buffer_deinit(&body);
}

/* Questions of all kinds; without memory they may be refused or lost, or end the process. */
static void ask(struct harness *harness)
{
	struct history history = {.history = HISTORY_ANY, .until = UINT64_MAX, .max_bytes = 65536};
	struct scan scan = {
		.mode = READ_LINEARIZABLE, .view_id = HARNESS_VIEW, .history = HISTORY_ANY, .max_bytes = 65536};
	uint32_t node = leader(harness);

	history.key = span_of_text("a");
	(void)harness_view_read(harness, node, READ_LINEARIZABLE, "a", 0, 100);
	(void)harness_view_read(harness, node, READ_AS_OF_OFFSET, "b", 10, 100);
	(void)harness_view_read(harness, 0, READ_LOCAL, "k", 0, 100);
	(void)harness_replay(harness, node, 0, 3000);
	(void)harness_history(harness, node, &history);
	(void)harness_scan(harness, node, &scan);
	step(harness, 60);
}

static void live(struct harness *harness)
{
	step(harness, 20);
	define(harness, 1);
	for (int i = 0; i < 12; i++)
		append(harness, 3);
	subscribe(harness);
	ask(harness);
	define(harness, 2);
	step(harness, 150);
	for (int i = 0; i < 6; i++)
		append(harness, 60); /* segments fill, and are sealed */
	step(harness, 200);
	ask(harness);
	harness_elect(harness, 2, harness_row(harness)->isr | node_bit(2), 0);
	append(harness, 2); /* the victim follows */
	if (!victim.dead)
		begin_again(harness); /* from its snapshots, without a fault as with one */
	append(harness, 2);
	step(harness, 300);
	ask(harness);
}

/* --- what must be so ---------------------------------------------------------------------------------------------- */

static void read_batches(struct span left, uint64_t *from, uint32_t *seen)
{
	while (left.size > 0) {
		struct batch batch;

		assert_int_equal(batch_decode_stamped(left, &batch), 0);
		assert_int_equal(batch.base_offset, *from);
		if (batch.producer_id != 0 && batch.number < 256)
			seen[batch.number]++;
		*from = batch_end_offset(&batch);
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
}

/* Every batch acknowledged is there, once. */
static void expect_all_once(struct harness *harness)
{
	uint32_t seen[256] = {0};
	uint64_t from = 0, commit = harness_status(harness, leader(harness)).commit;

	for (int round = 0; round < 200 && from < commit; round++) {
		uint64_t ticket = harness_replay(harness, leader(harness), from, 60000);

		step(harness, 10);
		assert_non_null(harness_answer(harness, ticket));
		assert_int_equal(harness_answer(harness, ticket)->replay.error, ERROR_NONE);
		read_batches(harness_answer(harness, ticket)->replay.batches, &from, seen);
		harness_forget_answers(harness);
	}
	assert_int_equal(from, commit);
	for (uint32_t number = 1; number <= harness->number; number++)
		assert_int_equal(seen[number], 1);
}

static void expect_equal(struct harness *harness)
{
	struct partition_status first = harness_status(harness, 0);

	for (uint32_t i = 0; i < harness->count; i++) {
		struct partition_status status = harness_status(harness, i);

		assert_int_equal(status.end, first.end);
		assert_int_equal(status.applied, first.end);
		assert_int_equal(status.digest, first.digest);
		assert_int_equal(state_digest_recompute(shard_state(harness->nodes[i].shard, harness->partition)),
				 status.digest);
		assert_int_equal(
			state_view_version(shard_state(harness->nodes[i].shard, harness->partition), HARNESS_VIEW), 2);
	}
	assert_int_equal(harness_row(harness)->isr, 7);
}

/* One life with that fault; true: it was met. */
static bool live_with_fault(size_t n)
{
	struct harness *harness;
	bool met;

	victim.shard = NULL;
	victim.dead = false;
	memory_fault_paused = true;
	memory_fault_once(n);
	harness = harness_new_sized(3, SMALL_SEGMENT);
	harness->snapshot_interval_bytes = 16 * 1024; /* for processes from the next start on */
	live(harness);
	met = memory_fault_off();
	for (int i = 0; i < 100 && harness_row(harness)->isr != 7; i++)
		step(harness, 50);
	step(harness, 600);
	expect_all_once(harness);
	expect_equal(harness);
	harness_free(harness);
	return met;
}

static void a_shard_without_memory_loses_nothing(void **state)
{
	const char *text = getenv("EVGRID_FAULT_STRIDE");
	size_t stride = text == NULL ? STRIDE : strtoul(text, NULL, 10), n = 1;

	(void)state;
	victim.deaths = 0;
	for (; live_with_fault(n); n += stride)
		continue;
	assert_true(n > 1000); /* the life is not an empty one */
	print_message("%zu allocations, %u ends of the process\n", n, victim.deaths);
	assert_true(victim.deaths >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shard_without_memory_loses_nothing),
	};

	return cmocka_run_group_tests_name("shard_memory", tests, NULL, NULL);
}

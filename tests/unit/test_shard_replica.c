/* Three nodes: pushing, joining, truncation. Names R and X are those of the schedules that break a careless
 * implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "partition/partition.h"
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

/* --- what the network loses --------------------------------------------------------------------------------------- */

static bool drop_acks(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->kind == MESSAGE_ACK;
}

static bool drop_replicate(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->kind == MESSAGE_REPLICATE;
}

static bool drop_to_third(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->to == 3;
}

static bool drop_to_second(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->to == 2;
}

static bool drop_data(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	(void)packet;
	return true;
}

static bool drop_join_answers(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	return packet->kind == MESSAGE_JOIN_ANSWER || packet->kind == MESSAGE_REPLICATE;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static void expect_equal_replicas(struct harness *harness)
{
	struct partition_status first = harness_status(harness, 0);

	for (uint32_t i = 1; i < harness->count; i++) {
		struct partition_status other = harness_status(harness, i);

		assert_int_equal(other.end, first.end);
		assert_int_equal(other.commit, first.commit);
		assert_int_equal(other.applied, first.applied);
		assert_int_equal(other.digest, first.digest);
		assert_int_equal(other.bytes, first.bytes);
	}
}

static void inject_join_answer(struct harness *harness, uint32_t to, uint32_t answer_epoch, uint64_t answer_end)
{
	const struct log *log = shard_log(harness->nodes[to - 1].shard, harness->partition);
	struct join_item item = {harness->partition,  harness_row(harness)->epoch,
				 log_last_epoch(log), log->end,
				 answer_epoch,        answer_end};
	struct buffer body = BUFFER_NULL;

	join_item_encode(&item, &body);
	harness_inject(harness, harness_row(harness)->primary, to, MESSAGE_JOIN_ANSWER,
		       harness->nodes[harness_row(harness)->primary - 1].node_epoch, buffer_span(&body));
	buffer_deinit(&body);
}

/* Appends whose answers do not count: only node 1 has them. */
static void append_only_on_first(struct harness *harness, uint32_t count)
{
	harness->drop = drop_replicate;
	for (uint32_t i = 0; i < count; i++)
		(void)harness_append_next(harness, 0, "lost");
	harness_run(harness, 5);
	harness->drop = NULL;
	harness_kill(harness, 0);
	harness->number -= count;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void what_is_acknowledged_is_on_all_three(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket = 0;

	for (uint32_t i = 0; i < 20; i++)
		ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 10);
	harness_expect(harness, ticket, ERROR_NONE);
	harness_run(harness, 10);
	expect_equal_replicas(harness);
}

static void acknowledged_only_when_durable_on_the_isr(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	harness->nodes[2].disk.hold = true;
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 50);
	assert_null(harness_answer(harness, ticket));
	harness->nodes[2].disk.hold = false;
	harness_run(harness, 10);
	harness_expect(harness, ticket, ERROR_NONE);
}

/* R18: the commit offset is carried on though nothing else is sent, also when that message is lost. */
static void commit_offset_reaches_idle_replicas(void **state)
{
	struct harness *harness = *state;

	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 2);
	harness->drop = drop_replicate;
	harness_run(harness, 8);
	harness->drop = NULL;
	assert_true(harness_status(harness, 1).applied < harness_status(harness, 0).applied);
	harness_run(harness, 400);
	expect_equal_replicas(harness);
}

static void a_bad_network_only_delays(void **state)
{
	struct harness *harness = *state;
	uint64_t tickets[100];

	harness->chaos_percent = 15;
	for (uint32_t i = 0; i < 100; i++) {
		tickets[i] = harness_append_next(harness, 0, "k");
		harness_run(harness, 5);
	}
	harness_run(harness, 4000);
	harness->chaos_percent = 0;
	harness_run(harness, 3000);
	for (uint32_t i = 0; i < 100; i++)
		harness_expect(harness, tickets[i], ERROR_NONE);
	expect_equal_replicas(harness);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_TRUNCATED], 0);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_REFUSED_GARBAGE], 0);
}

static void a_replica_that_was_away_catches_up_from_disk(void **state)
{
	struct harness *harness = *state;

	harness_kill(harness, 2);
	for (uint32_t i = 0; i < 30; i++) {
		(void)harness_append(harness, 0, ++harness->number, "k", 2000, NULL);
		harness_run(harness, 30);
	}
	harness_run(harness, 700);
	assert_int_equal(harness_row(harness)->isr, 3);
	harness_start(harness, 2);
	harness_run(harness, 2000);
	assert_int_equal(harness_row(harness)->isr, 7);
	expect_equal_replicas(harness);
}

/* R12: a new primary's tail bears the old epoch; the message bears the new one. The retry is a duplicate (X2). */
static void a_tail_of_the_old_epoch_is_committed(void **state)
{
	struct harness *harness = *state;
	uint64_t lost, again;
	uint32_t old_epoch = harness_row(harness)->epoch;
	const struct log *log;

	harness->drop = drop_acks;
	lost = harness_append_next(harness, 0, "k");
	harness_run(harness, 10);
	assert_null(harness_answer(harness, lost));
	harness_kill(harness, 0);
	harness->drop = NULL;
	harness_elect(harness, 2, 6, 0);
	harness_settle(harness, 1);
	log = shard_log(harness->nodes[1].shard, harness->partition);
	assert_int_equal(log_find(log, 2)->epoch, old_epoch);
	assert_int_equal(log_find(log, 3)->epoch, old_epoch + 1);
	again = harness_append(harness, 1, harness->number, "k", 1, NULL);
	harness_run(harness, 10);
	harness_expect(harness, again, ERROR_NONE);
	assert_int_equal(harness_answer(harness, again)->append.duplicate, 1);
	assert_int_equal(harness_answer(harness, again)->append.base_offset, 2);
}

/* R4, X2: what only the fallen primary had is cut when it comes back; its duplicates are forgotten with it. */
static void a_divergent_tail_is_cut(void **state)
{
	struct harness *harness = *state;
	uint64_t again;

	append_only_on_first(harness, 5);
	harness_elect(harness, 2, 6, 0);
	harness_settle(harness, 1);
	again = harness_append_next(harness, 1, "kept");
	harness_run(harness, 10);
	harness_expect(harness, again, ERROR_NONE);
	assert_int_equal(harness_answer(harness, again)->append.duplicate, 0);
	harness_start(harness, 0);
	harness_run(harness, 1000);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_TRUNCATED], 1);
	assert_int_equal(harness_row(harness)->isr, 7);
	expect_equal_replicas(harness);
}

/* The truncation stands in the journal: a start replays it in order (J1). */
static void a_cut_tail_stays_cut_after_a_restart(void **state)
{
	struct harness *harness = *state;
	struct partition_status before;

	append_only_on_first(harness, 5);
	harness_elect(harness, 2, 6, 0);
	harness_settle(harness, 1);
	harness_start(harness, 0);
	harness_run(harness, 1000);
	(void)harness_append_next(harness, 1, "kept");
	harness_run(harness, 50);
	before = harness_status(harness, 0);
	harness_kill(harness, 0);
	harness_recover(harness, 0);
	assert_int_equal(harness_status(harness, 0).end, before.end);
	assert_int_equal(log_last_epoch(shard_log(harness->nodes[0].shard, harness->partition)),
			 harness_row(harness)->epoch);
}

/* The same when nothing of the new epoch was accepted behind it yet: the record itself cuts. */
static void the_truncation_record_cuts_by_itself(void **state)
{
	struct harness *harness = *state;

	append_only_on_first(harness, 5);
	harness_elect(harness, 2, 6, 0);
	harness_settle(harness, 1);
	harness->drop = drop_replicate;
	harness_start(harness, 0);
	harness_run(harness, 20);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_TRUNCATED], 1);
	assert_int_equal(harness_status(harness, 0).end, 2);
	harness_kill(harness, 0);
	harness_recover(harness, 0);
	assert_int_equal(harness_status(harness, 0).end, 2);
}

/* R4: the epoch that the answer names may be longer there than here: what is here beyond its own end is foreign. */
static void both_ends_of_an_epoch_decide_where_to_cut(void **state)
{
	struct harness *harness = *state;

	harness->drop = drop_to_second;
	for (uint32_t i = 0; i < 3; i++)
		(void)harness_append_next(harness, 0, "on the first and the third");
	harness_run(harness, 5);
	harness_kill(harness, 0);
	harness->drop = drop_data;
	harness_elect(harness, 2, 6, 0); /* the second begins its epoch at 2, alone */
	harness_run(harness, 20);
	assert_int_equal(harness_status(harness, 1).end, 3);
	harness_kill(harness, 1);
	harness->drop = NULL;
	harness_elect(harness, 3, 6, 0);
	harness_start(harness, 1);
	harness_settle(harness, 2);
	harness_run(harness, 100);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_TRUNCATED], 1);
	assert_int_equal(harness_status(harness, 1).end, harness_status(harness, 2).end);
	assert_int_equal(harness_status(harness, 1).digest, harness_status(harness, 2).digest);
	assert_int_equal(harness_status(harness, 1).applied, harness_status(harness, 2).applied);
}

/* R2: an answer that comes late, after the replica has joined, cuts nothing. */
static void a_late_join_answer_cuts_nothing(void **state)
{
	struct harness *harness = *state;
	uint64_t end;

	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 50);
	end = harness_status(harness, 1).end;
	inject_join_answer(harness, 2, harness_row(harness)->epoch, 1);
	inject_join_answer(harness, 2, 0, 0);
	harness_run(harness, 20);
	assert_int_equal(harness_status(harness, 1).end, end);
	assert_int_equal(harness->nodes[1].events[SHARD_EVENT_TRUNCATED], 0);
}

/* While joining, never below what is known committed: alarm, and the partition stops and asks to be taken out. */
static void nothing_is_cut_below_the_commit_offset(void **state)
{
	struct harness *harness = *state;
	const struct shard_event *told;
	uint64_t end;

	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 50);
	end = harness_status(harness, 2).end;
	harness->drop = drop_join_answers;
	harness_elect(harness, 1, 7, 0);
	harness_run(harness, 5);
	harness->drop = NULL;
	harness->apply_proposals = false;
	inject_join_answer(harness, 3, 0, 0);
	harness_run(harness, 5);
	assert_int_equal(harness->nodes[2].events[SHARD_EVENT_BELOW_COMMIT], 1);
	told = &harness->nodes[2].last[SHARD_EVENT_BELOW_COMMIT];
	assert_int_equal(told->observed, 0);
	assert_true(told->expected > 0 && told->expected <= end);
	assert_int_equal(told->history, told->row_history);
	assert_int_equal(harness_status(harness, 2).end, end);
	assert_int_equal(harness_status(harness, 2).role, ROLE_NONE);
	assert_int_equal(harness->proposal.kind, PROPOSE_OUT);
}

/* R3: the offset fits, the epoch of the record before does not. */
static void the_epoch_before_must_fit_too(void **state)
{
	struct harness *harness = *state;
	const struct log *log = shard_log(harness->nodes[1].shard, harness->partition);
	struct replicate_item item = {
		.partition = harness->partition,
		.epoch = harness_row(harness)->epoch,
		.version = harness_row(harness)->version,
		.previous_epoch = log_last_epoch(log) + 1,
		.base = log->end,
	};
	struct batch_builder builder;
	struct buffer body = BUFFER_NULL;
	struct event event = {.stream_id = 1,
			      .type = span_of_text("t"),
			      .key = span_of_text("k"),
			      .partition_key = span_of_text("k"),
			      .id = span_of_text("i")};
	uint64_t end = log->end;

	batch_builder_init(&builder, harness->partition);
	assert_int_equal(batch_builder_add(&builder, &event), 0);
	assert_int_equal(batch_builder_finish(&builder, 5, 1, 1, 0, false), 0);
	batch_stamp(builder.bytes.data, end, sequence_next(log_last_sequence(log), 1800000000000, item.partition, 1),
		    item.epoch, 1);
	item.batches = buffer_span(&builder.bytes);
	replicate_item_encode(&item, &body);
	harness_inject(harness, 1, 2, MESSAGE_REPLICATE, harness->nodes[0].node_epoch, buffer_span(&body));
	harness_run(harness, 5);
	assert_int_equal(harness_status(harness, 1).end, end);
	buffer_deinit(&body);
	batch_builder_deinit(&builder);
}

/* R1: what the fallen primary sent is of an old epoch when it arrives. */
static struct buffer held_back;

static bool hold_replicate(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	if (packet->kind != MESSAGE_REPLICATE)
		return false;
	buffer_clear(&held_back);
	buffer_bytes(&held_back, packet->frame.data, packet->frame.size);
	return true;
}

static void late_messages_of_the_old_epoch_are_refused(void **state)
{
	struct harness *harness = *state;
	struct message message;
	uint64_t ticket;

	harness->drop = hold_replicate;
	harness->nodes[0].disk.hold = true;
	(void)harness_append(harness, 0, 1, "first", 1, NULL);
	harness_run(harness, 3);
	harness_kill(harness, 0);
	harness->drop = NULL;
	harness->nodes[0].disk.hold = false;
	harness_start(harness, 0);
	harness_elect(harness, 1, 7, 0); /* the restart raises the epoch though it is elected again */
	assert_int_equal(message_decode(buffer_span(&held_back), &message), 0);
	assert_int_equal(shard_receive_peer(harness->nodes[1].shard, &message), 0); /* it would fit but for its epoch */
	assert_int_equal(shard_receive_peer(harness->nodes[2].shard, &message), 0);
	assert_int_equal(harness_status(harness, 1).end, 2);
	harness_settle(harness, 0);
	ticket = harness_append(harness, 0, 1, "second", 1, NULL);
	assert_int_equal(shard_receive_peer(harness->nodes[1].shard, &message), 0);
	harness_run(harness, 100);
	harness_expect(harness, ticket, ERROR_NONE);
	expect_equal_replicas(harness);
	buffer_deinit(&held_back);
}

static void a_higher_epoch_asks_for_the_map(void **state)
{
	struct harness *harness = *state;
	struct replicate_item item = {.partition = harness->partition, .epoch = harness_row(harness)->epoch + 1};
	struct buffer body = BUFFER_NULL;
	struct sender sender = {1, harness->nodes[1].node_epoch, 2, 0};
	struct message message;

	message_begin(&body);
	replicate_item_encode(&item, &body);
	assert_int_equal(message_end(&body, &sender, MESSAGE_REPLICATE, 1), 0);
	assert_int_equal(message_decode(buffer_span(&body), &message), 0);
	assert_int_equal(shard_receive_peer(harness->nodes[2].shard, &message), 0);
	assert_true(shard_outbox(harness->nodes[2].shard)->map_wanted);
	buffer_deinit(&body);
}

/* A node whose map is late joins as soon as it has it. */
static void a_deaf_node_joins_later(void **state)
{
	struct harness *harness = *state;

	harness->nodes[2].deaf = true;
	harness_elect(harness, 2, 7, 0);
	harness_run(harness, 100);
	assert_false(harness_status(harness, 1).active);
	harness->nodes[2].deaf = false;
	harness_publish(harness);
	harness_settle(harness, 1);
	harness_run(harness, 100);
	expect_equal_replicas(harness);
}

/* --- links that come up ------------------------------------------------------------------------------------------- */

static bool unlinked[2];    /* what the third sends, and what it is sent, is lost */
static uint32_t third_told; /* acknowledgements of the third that were not */

static bool drop_unlinked(struct harness *harness, const struct harness_packet *packet)
{
	bool lost = (packet->from == 3 && unlinked[0]) || (packet->to == 3 && unlinked[1]);

	(void)harness;
	third_told += !lost && packet->from == 3 && packet->kind == MESSAGE_ACK;
	return lost;
}

/* The third has come back, asked, and was greeted: in vain. */
static void third_comes_back_unlinked(struct harness *harness, bool to_primary, bool from_primary)
{
	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 500);
	harness_kill(harness, 2);
	harness->drop = drop_unlinked;
	unlinked[0] = to_primary;
	unlinked[1] = from_primary;
	harness_start(harness, 2);
	harness_run(harness, 20);
	unlinked[0] = unlinked[1] = false;
	third_told = 0;
	harness_run(harness, 2);
	assert_int_equal(third_told, 0);
}

static void who_was_not_heard_asks_again_when_its_link_is_up(void **state)
{
	struct harness *harness = *state;

	third_comes_back_unlinked(harness, true, true);
	shard_link_up(harness->nodes[2].shard, 1, 0);
	harness_run(harness, 5);
	assert_true(third_told > 0);
}

static void who_joined_unheard_acknowledges_again_when_its_link_is_up(void **state)
{
	struct harness *harness = *state;

	third_comes_back_unlinked(harness, true, false);
	shard_link_up(harness->nodes[2].shard, 1, 0);
	harness_run(harness, 5);
	assert_true(third_told > 0);
}

static void who_was_greeted_in_vain_is_greeted_again_when_the_link_is_up(void **state)
{
	struct harness *harness = *state;

	third_comes_back_unlinked(harness, true, true);
	shard_link_up(harness->nodes[0].shard, 3, 0);
	harness_run(harness, 5 + ASK_SPACING_MS);
	assert_true(third_told > 0);
}

/* It was heard, and answered; the answer, and what came with it, went nowhere. */
static void who_was_answered_in_vain_is_greeted_again_when_the_link_is_up(void **state)
{
	struct harness *harness = *state;

	third_comes_back_unlinked(harness, false, true);
	shard_link_up(harness->nodes[0].shard, 3, 0);
	harness_run(harness, 5 + ASK_SPACING_MS);
	assert_true(third_told > 0);
}

/* It asks before the primary's map has it, and what it asks is dropped. */
static void who_comes_back_is_greeted_as_soon_as_the_map_has_it(void **state)
{
	struct harness *harness = *state;

	harness->drop = drop_unlinked;
	harness_kill(harness, 2);
	harness_elect(harness, 1, 3, 0);
	harness_run(harness, 5000); /* greeted ever more seldom */
	unlinked[0] = true;
	harness_start(harness, 2);
	harness_run(harness, 3);
	unlinked[0] = false;
	third_told = 0;
	harness_run(harness, 2 * ASK_SPACING_MS);
	assert_true(third_told > 0);
}

static void a_link_to_another_says_nothing(void **state)
{
	struct harness *harness = *state;

	third_comes_back_unlinked(harness, true, true);
	shard_link_up(harness->nodes[2].shard, 2, 0);
	shard_link_up(harness->nodes[2].shard, 1, 1);
	shard_link_up(harness->nodes[2].shard, 9, 0);
	harness_run(harness, 5);
	assert_int_equal(third_told, 0);
}

/* --- silence ------------------------------------------------------------------------------------------------------ */

static struct {
	bool acks;            /* of the third are lost */
	uint32_t batches;     /* so many messages with batches to the third are lost yet */
	uint64_t third_bytes; /* of messages to the third */
} silence;

#define EVENT_BYTES 8192u

static uint64_t append_large(struct harness *harness)
{
	static uint8_t payload[EVENT_BYTES];
	const struct event event = {.stream_id = 1,
				    .type = span_of("t", 1),
				    .key = span_of("k", 1),
				    .partition_key = span_of("k", 1),
				    .payload = span_of(payload, sizeof payload)};

	return harness_append_event(harness, 0, 1, &event, 1, NULL);
}

static bool drop_of_third(struct harness *harness, const struct harness_packet *packet)
{
	(void)harness;
	if (packet->from == 3)
		return silence.acks && packet->kind == MESSAGE_ACK;
	if (packet->to != 3 || packet->kind != MESSAGE_REPLICATE)
		return false;
	silence.third_bytes += packet->frame.size;
	if (silence.batches == 0 || packet->frame.size < EVENT_BYTES)
		return false;
	silence.batches--;
	return true;
}

/* It is slow, or its answers are lost: what it has is not sent twice. */
static void who_is_silent_is_asked_and_not_sent_all_again(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	silence.acks = true;
	silence.third_bytes = 0;
	harness->drop = drop_of_third;
	ticket = append_large(harness);
	harness_run(harness, 450);
	assert_in_range(silence.third_bytes, EVENT_BYTES, EVENT_BYTES * 3 / 2);
	silence.acks = false;
	harness_run(harness, 1000);
	harness_expect(harness, ticket, ERROR_NONE);
	assert_in_range(silence.third_bytes, EVENT_BYTES, EVENT_BYTES * 3 / 2);
	expect_equal_replicas(harness);
}

/* So many that no more may be on their way, while it holds them all. */
static void who_was_not_heard_for_long_is_asked_and_comes_back(void **state)
{
	struct harness *harness = *state;

	silence.acks = true;
	harness->drop = drop_of_third;
	for (uint32_t i = 0; i < 2 * FLIGHTS_MAX; i++) {
		uint64_t ticket = harness_append_next(harness, 0, "k");

		harness_run(harness, 30);
		if (i > FLIGHTS_MAX)
			harness_expect(harness, ticket, ERROR_NONE);
	}
	assert_int_equal(harness_row(harness)->isr, 3);
	silence.acks = false;
	harness_run(harness, 3000);
	assert_int_equal(harness_row(harness)->isr, 7);
	expect_equal_replicas(harness);
}

static void what_was_lost_is_sent_again_once_it_says_so(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	silence.batches = 1;
	silence.third_bytes = 0;
	harness->drop = drop_of_third;
	ticket = append_large(harness);
	harness_run(harness, 450);
	harness_expect(harness, ticket, ERROR_NONE);
	assert_in_range(silence.third_bytes, EVENT_BYTES * 2, EVENT_BYTES * 5 / 2);
	expect_equal_replicas(harness);
}

static void a_lagging_third_does_not_stop_the_others_for_long(void **state)
{
	struct harness *harness = *state;
	uint64_t ticket;

	harness->drop = drop_to_third;
	ticket = harness_append_next(harness, 0, "k");
	harness_run(harness, 300);
	assert_null(harness_answer(harness, ticket));
	harness_run(harness, 400);
	harness_expect(harness, ticket, ERROR_NONE);
	assert_int_equal(harness_row(harness)->isr, 3);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_ISR_SHRINK], 1);
	harness->drop = NULL;
	harness_run(harness, 3000);
	assert_int_equal(harness_row(harness)->isr, 7);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_ISR_GROW], 1);
	expect_equal_replicas(harness);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, three_nodes, free_harness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_acknowledged_is_on_all_three),
		CASE(acknowledged_only_when_durable_on_the_isr),
		CASE(commit_offset_reaches_idle_replicas),
		CASE(a_bad_network_only_delays),
		CASE(a_replica_that_was_away_catches_up_from_disk),
		CASE(a_tail_of_the_old_epoch_is_committed),
		CASE(a_divergent_tail_is_cut),
		CASE(a_cut_tail_stays_cut_after_a_restart),
		CASE(the_truncation_record_cuts_by_itself),
		CASE(both_ends_of_an_epoch_decide_where_to_cut),
		CASE(a_late_join_answer_cuts_nothing),
		CASE(nothing_is_cut_below_the_commit_offset),
		CASE(the_epoch_before_must_fit_too),
		CASE(late_messages_of_the_old_epoch_are_refused),
		CASE(a_higher_epoch_asks_for_the_map),
		CASE(a_deaf_node_joins_later),
		CASE(who_was_not_heard_asks_again_when_its_link_is_up),
		CASE(who_joined_unheard_acknowledges_again_when_its_link_is_up),
		CASE(who_was_greeted_in_vain_is_greeted_again_when_the_link_is_up),
		CASE(who_was_answered_in_vain_is_greeted_again_when_the_link_is_up),
		CASE(who_comes_back_is_greeted_as_soon_as_the_map_has_it),
		CASE(a_link_to_another_says_nothing),
		CASE(who_is_silent_is_asked_and_not_sent_all_again),
		CASE(who_was_not_heard_for_long_is_asked_and_comes_back),
		CASE(what_was_lost_is_sent_again_once_it_says_so),
		CASE(a_lagging_third_does_not_stop_the_others_for_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

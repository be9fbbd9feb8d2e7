/* Subscriptions at a shard: what is sent, when, and how they end (partition/subscribe.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/shard_harness.h"

#define PLENTY (1ull << 30)
#define SUBSCRIPTION 7u

struct seen { /* by the one client, of the one partition */
	uint32_t number;
	uint64_t from; /* where it began */
	uint64_t next;
	uint64_t end;
	uint32_t history;
	uint32_t items;
	uint32_t events;
	uint32_t batches;
	uint64_t bytes;
	uint16_t error;
	uint64_t error_end;
	uint32_t answers;
	struct credit_done answer;
	bool ahead; /* something was sent that was not committed and applied */
};

static void take_batches(struct harness *harness, struct seen *seen, const struct events_item *item)
{
	struct span left = item->batches;
	struct batch batch;

	while (left.size > 0) {
		assert_int_equal(batch_decode_stamped(left, &batch), 0);
		assert_true(batch.base_offset >= item->from);
		assert_true(batch_end_offset(&batch) <= item->next);
		assert_int_equal(batch.flags & BATCH_CONTROL, 0);
		seen->events += batch.record_count;
		seen->batches++;
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
	for (uint32_t i = 0; i < harness->count; i++) {
		struct partition_status status = harness_status(harness, i);
		if (harness->nodes[i].shard != NULL && status.role == ROLE_PRIMARY)
			seen->ahead |= item->next > status.commit || item->next > status.applied;
	}
}

static void take_item(struct harness *harness, struct seen *seen, const struct events_item *item)
{
	assert_int_equal(item->subscription, SUBSCRIPTION);
	assert_int_equal(item->number, seen->number + 1);
	seen->number = item->number;
	seen->items++;
	seen->bytes += EVENTS_ITEM_BYTES + item->batches.size;
	seen->end = item->end;
	seen->history = item->history;
	if (item->error != ERROR_NONE) {
		seen->error = item->error;
		seen->error_end = item->next;
		return;
	}
	if (seen->items == 1)
		seen->from = seen->next = item->from;
	assert_int_equal(item->from, seen->next); /* without gap, nothing twice */
	seen->next = item->next;
	take_batches(harness, seen, item);
}

static void take(struct harness *harness, const struct message *message)
{
	struct seen *seen = harness->subscriber_state;
	struct reader body = reader_of(message->body);
	struct events_item item;

	if (message->kind == MESSAGE_CREDIT_DONE) {
		assert_int_equal(credit_done_decode(&body, &seen->answer), 0);
		assert_true(seen->answer.number <= seen->number); /* rule 7 */
		seen->answers++;
		return;
	}
	assert_int_equal(message->kind, MESSAGE_EVENTS);
	for (uint32_t i = 0; i < message->items; i++) {
		assert_int_equal(events_item_decode(&body, &item), 0);
		take_item(harness, seen, &item);
	}
	assert_true(reader_done(&body));
}

static int nodes_up(void **state, uint32_t count)
{
	struct harness *harness = harness_new(count);

	harness->subscriber = take;
	harness->subscriber_state = calloc(1, sizeof(struct seen));
	harness_settle(harness, 0);
	*state = harness;
	return 0;
}

static int one_node(void **state)
{
	return nodes_up(state, 1);
}

static int three_nodes(void **state)
{
	return nodes_up(state, 3);
}

static int free_harness(void **state)
{
	struct harness *harness = *state;

	free(harness->subscriber_state);
	*state = harness_free(harness);
	return 0;
}

struct wish {
	uint32_t generation;
	uint64_t credit;
	uint64_t from;
	uint32_t history;
	uint32_t stream;
	const char *type;
	uint64_t subscription;
};

/* Begins with a clean slate of what was seen. */
static struct seen *subscribe(struct harness *harness, uint32_t node, const struct wish *wish)
{
	struct seen *seen = harness->subscriber_state;
	uint8_t stream[4];
	struct buffer type = BUFFER_NULL;
	struct buffer place = BUFFER_NULL;
	struct buffer body = BUFFER_NULL;
	struct subscribe subscribe = {.subscription = wish->subscription == 0 ? SUBSCRIPTION : wish->subscription,
				      .generation = wish->generation,
				      .credit = wish->credit,
				      .stream_count = wish->stream != 0,
				      .type_count = wish->type != NULL,
				      .place_count = 1};

	store_little(stream, 4, wish->stream);
	subscribe.streams = span_of(stream, wish->stream != 0 ? 4 : 0);
	if (wish->type != NULL)
		buffer_string(&type, span_of_text(wish->type));
	subscribe.types = buffer_span(&type);
	subscribe_place_encode(&(struct subscribe_place){harness->partition, wish->from, wish->history}, &place);
	subscribe.places = buffer_span(&place);
	subscribe_encode(&subscribe, &body);
	*seen = (struct seen){0};
	harness_send(harness, node, MESSAGE_SUBSCRIBE, buffer_span(&body));
	buffer_deinit(&type);
	buffer_deinit(&place);
	buffer_deinit(&body);
	return seen;
}

static void give_credit(struct harness *harness, uint32_t node, uint32_t generation, uint64_t credit)
{
	struct credit_item item = {SUBSCRIPTION, generation, credit};
	struct buffer body = BUFFER_NULL;

	credit_item_encode(&item, &body);
	harness_send(harness, node, MESSAGE_CREDIT, buffer_span(&body));
	buffer_deinit(&body);
}

static void append_many(struct harness *harness, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 5);
}

/* So that the past lies on the disk only. */
static void restart(struct harness *harness)
{
	harness_kill(harness, 0);
	harness_start(harness, 0);
	harness_elect(harness, 1, 1, 0);
	harness_settle(harness, 0);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void from_the_start_then_live_without_gap(void **state)
{
	struct harness *harness = *state;
	struct seen *seen;

	append_many(harness, 20);
	restart(harness);
	seen = subscribe(harness, 0, &(struct wish){.generation = 1, .credit = PLENTY});
	harness_run(harness, 10);
	assert_int_equal(seen->from, 0);
	assert_int_equal(seen->events, 20);
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_SUBSCRIBER_LIVE], 1); /* the disk was read */
	append_many(harness, 5);
	assert_int_equal(seen->events, 25);
	assert_int_equal(seen->next, harness_status(harness, 0).commit);
	assert_false(seen->ahead);
}

/* The answer to the append is first, the event leaves in the same turn. */
static void live_events_leave_in_the_turn_of_the_completion(void **state)
{
	struct harness *harness = *state;
	struct seen *seen = subscribe(harness, 0, &(struct wish){.generation = 1, .credit = PLENTY});
	uint64_t ticket;

	harness_run(harness, 5);
	ticket = harness_append_next(harness, 0, "k");
	for (uint32_t i = 0; i < 100 && harness_answer(harness, ticket) == NULL; i++) {
		assert_int_equal(seen->events, 0);
		harness_run(harness, 1);
	}
	harness_expect(harness, ticket, ERROR_NONE);
	assert_int_equal(seen->events, 1);
}

static void what_is_not_committed_is_not_sent(void **state)
{
	struct harness *harness = *state;
	struct seen *seen = subscribe(harness, 0, &(struct wish){.generation = 1, .credit = PLENTY});

	harness_run(harness, 5);
	harness->nodes[0].disk.hold = true;
	(void)harness_append_next(harness, 0, "k");
	harness_run(harness, 20);
	assert_int_equal(seen->events, 0);
	harness->nodes[0].disk.hold = false;
	harness_run(harness, 5);
	assert_int_equal(seen->events, 1);
}

static void from_now_and_from_an_offset(void **state)
{
	struct harness *harness = *state;
	struct seen *seen;

	append_many(harness, 10);
	seen = subscribe(harness, 0, &(struct wish){.generation = 1, .credit = PLENTY, .from = SUBSCRIBE_FROM_NOW});
	append_many(harness, 3);
	assert_int_equal(seen->events, 3);
	assert_int_equal(seen->from, 12);
	assert_int_equal(seen->history, harness_row(harness)->history);
	seen = subscribe(harness, 0, &(struct wish){.generation = 2, .credit = PLENTY, .from = 5});
	harness_run(harness, 5);
	assert_int_equal(seen->events, 10);
}

static void without_credit_the_cursor_stays(void **state)
{
	struct harness *harness = *state;
	struct seen *seen;
	uint64_t before;

	append_many(harness, 50);
	seen = subscribe(harness, 0, &(struct wish){.generation = 1, .credit = 400});
	harness_run(harness, 20);
	assert_in_range(seen->events, 1, 10);
	assert_in_range(seen->bytes, 400, 800); /* at most one batch beyond it */
	assert_int_equal(harness->nodes[0].events[SHARD_EVENT_SUBSCRIBER_STARVED], 1);
	before = seen->events;
	append_many(harness, 50);
	assert_int_equal(seen->events, before);
	for (uint64_t credit = 400; seen->events < 100 && credit < 100000; credit += 400) {
		give_credit(harness, 0, 1, credit);
		harness_run(harness, 2);
		assert_in_range(seen->bytes, 0, credit + 400);
	}
	assert_int_equal(seen->events, 100);
}

static void batches_without_a_wanted_event_are_passed_over(void **state)
{
	struct harness *harness = *state;
	struct seen *seen;

	append_many(harness, 10);
	seen = subscribe(harness, 0, &(struct wish){.generation = 1, .credit = PLENTY, .type = "Other"});
	harness_run(harness, 5);
	assert_int_equal(seen->batches, 0);
	assert_int_equal(seen->next, 0);
	give_credit(harness, 0, 1, PLENTY);
	harness_run(harness, 5);
	assert_int_equal(seen->answers, 1);
	assert_int_equal(seen->answer.number, seen->number);
	assert_int_equal(seen->next, harness_status(harness, 0).commit); /* but the cursor moves */
	seen = subscribe(harness, 0, &(struct wish){.generation = 2, .credit = PLENTY, .stream = 99});
	harness_run(harness, 5);
	assert_int_equal(seen->batches, 0);
	seen = subscribe(
		harness, 0,
		&(struct wish){.generation = 3, .credit = PLENTY, .stream = HARNESS_STREAM, .type = "Created"});
	harness_run(harness, 5);
	assert_int_equal(seen->events, 10);
}

static void refusals_say_why(void **state)
{
	struct harness *harness = *state;
	uint64_t end = harness_status(harness, 0).end;
	struct seen *seen = subscribe(harness, 0, &(struct wish){.generation = 1, .credit = PLENTY, .from = end + 1});

	harness_run(harness, 2);
	assert_int_equal(seen->error, ERROR_BEYOND_END);
	assert_int_equal(seen->error_end, end);
	harness_row(harness)->history = 2;
	harness_elect(harness, 1, 1, 0);
	harness_settle(harness, 0);
	seen = subscribe(harness, 0, &(struct wish){.generation = 2, .credit = PLENTY, .history = 1});
	harness_run(harness, 2);
	assert_int_equal(seen->error, ERROR_HISTORY);
	seen = subscribe(harness, 0, &(struct wish){.generation = 3, .credit = PLENTY, .history = 0});
	harness_run(harness, 2);
	assert_int_equal(seen->error, ERROR_HISTORY); /* the first one is one, too */
	seen = subscribe(harness, 0, &(struct wish){.generation = 4, .credit = PLENTY, .history = HISTORY_ANY});
	harness_run(harness, 2);
	assert_int_equal(seen->error, ERROR_NONE);
	seen = subscribe(harness, 0, &(struct wish){.generation = 5, .credit = PLENTY, .history = 3});
	harness_run(harness, 2);
	assert_int_equal(seen->error, ERROR_NOT_PRIMARY); /* somebody else must know more */
	give_credit(harness, 0, 9, PLENTY);
	harness_run(harness, 2);
	assert_int_equal(seen->answer.error, ERROR_NOT_FOUND);
}

/* A raised history ends what counts in the former one. */
static void another_history_ends_it(void **state)
{
	struct harness *harness = *state;
	struct seen *seen = subscribe(harness, 0, &(struct wish){.generation = 1, .credit = PLENTY});

	append_many(harness, 3);
	assert_int_equal(seen->error, ERROR_NONE);
	harness_row(harness)->history = 2;
	harness_elect(harness, 1, 1, 0);
	harness_run(harness, 10);
	assert_int_equal(seen->error, ERROR_HISTORY);
}

/* It goes on at the next primary where it ended, whatever was sent by whom. */
static void lost_primacy_ends_it_and_the_next_primary_goes_on(void **state)
{
	struct harness *harness = *state;
	struct seen *seen = subscribe(harness, 0, &(struct wish){.generation = 1, .credit = PLENTY});
	uint64_t next;

	append_many(harness, 10);
	assert_int_equal(seen->events, 10);
	next = seen->next;
	seen = subscribe(harness, 1, &(struct wish){.generation = 1, .credit = PLENTY});
	harness_run(harness, 5);
	assert_int_equal(seen->error, ERROR_NOT_PRIMARY);
	seen = subscribe(harness, 0, &(struct wish){.generation = 2, .credit = PLENTY});
	harness_run(harness, 5);
	harness_elect(harness, 2, 7, 0);
	harness_settle(harness, 1);
	assert_int_equal(seen->error, ERROR_NOT_PRIMARY);
	(void)harness_append_next(harness, 1, "k");
	harness_run(harness, 20);
	seen = subscribe(harness, 1, &(struct wish){.generation = 2, .credit = PLENTY, .from = next});
	harness_run(harness, 20);
	assert_int_equal(seen->events, 1);
	assert_int_equal(seen->next, harness_status(harness, 1).commit);
	assert_false(seen->ahead);
}

/* "Now" and "beyond the end" need to know the end: a primary without a lease says neither. */
static void without_a_lease_the_end_is_not_told(void **state)
{
	struct harness *harness = *state;
	struct seen *seen;

	harness->nodes[0].cut = true;
	harness->nodes[0].deaf = true;
	harness_run(harness, 400);
	seen = subscribe(harness, 0, &(struct wish){.generation = 1, .credit = PLENTY, .from = SUBSCRIBE_FROM_NOW});
	harness_run(harness, 2);
	assert_int_equal(seen->error, ERROR_NOT_READY);
	seen = subscribe(harness, 0, &(struct wish){.generation = 2, .credit = PLENTY, .from = 1000});
	harness_run(harness, 2);
	assert_int_equal(seen->error, ERROR_NOT_READY);
	seen = subscribe(harness, 0, &(struct wish){.generation = 3, .credit = PLENTY}); /* what is committed is safe */
	harness_run(harness, 2);
	assert_int_equal(seen->error, ERROR_NONE);
}

static void who_is_silent_is_forgotten(void **state)
{
	struct harness *harness = *state;
	struct seen *seen = subscribe(harness, 0, &(struct wish){.generation = 1, .credit = PLENTY});

	for (uint32_t i = 0; i < 30; i++) {
		give_credit(harness, 0, 1, PLENTY);
		harness_run(harness, 500);
	}
	assert_int_equal(seen->answers, 30);
	assert_int_equal(seen->answer.error, ERROR_NONE);
	harness_run(harness, 11000);
	append_many(harness, 1);
	assert_int_equal(seen->events, 0);
	give_credit(harness, 0, 1, PLENTY);
	harness_run(harness, 2);
	assert_int_equal(seen->answer.error, ERROR_NOT_FOUND);
}

static void unsubscribed_and_gone_get_nothing(void **state)
{
	struct harness *harness = *state;
	struct unsubscribe_item item = {SUBSCRIPTION, 1};
	struct seen *seen = subscribe(harness, 0, &(struct wish){.generation = 1, .credit = PLENTY});
	struct buffer body = BUFFER_NULL;

	harness_run(harness, 2);
	unsubscribe_item_encode(&item, &body);
	harness_send(harness, 0, MESSAGE_UNSUBSCRIBE, buffer_span(&body));
	buffer_deinit(&body);
	append_many(harness, 1);
	assert_int_equal(seen->events, 0);
	seen = subscribe(harness, 0, &(struct wish){.generation = 2, .credit = PLENTY, .from = SUBSCRIBE_FROM_NOW});
	append_many(harness, 1);
	assert_int_equal(seen->events, 1);
	shard_client_gone(harness->nodes[0].shard, HARNESS_CLIENT);
	append_many(harness, 1);
	assert_int_equal(seen->events, 1);
}

static void subscriptions_are_bounded(void **state)
{
	struct harness *harness = *state;
	struct seen *seen = harness->subscriber_state;

	for (uint32_t i = 0; i < 256; i++) {
		harness->subscriber = NULL;
		(void)subscribe(harness, 0,
				&(struct wish){.generation = 1, .credit = PLENTY, .subscription = 1000 + i});
		harness_run(harness, 1);
	}
	harness->subscriber = take;
	(void)subscribe(harness, 0, &(struct wish){.generation = 1, .credit = PLENTY, .subscription = 2000});
	harness_run(harness, 2);
	assert_int_equal(seen->answers, 1);
	assert_int_equal(seen->answer.error, ERROR_BUSY);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, one_node, free_harness)
#define CASE3(name) cmocka_unit_test_setup_teardown(name, three_nodes, free_harness)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(from_the_start_then_live_without_gap),
		CASE(live_events_leave_in_the_turn_of_the_completion),
		CASE(what_is_not_committed_is_not_sent),
		CASE(from_now_and_from_an_offset),
		CASE(without_credit_the_cursor_stays),
		CASE(batches_without_a_wanted_event_are_passed_over),
		CASE(refusals_say_why),
		CASE(another_history_ends_it),
		CASE3(lost_primacy_ends_it_and_the_next_primary_goes_on),
		CASE3(without_a_lease_the_end_is_not_told),
		CASE(who_is_silent_is_forgotten),
		CASE(unsubscribed_and_gone_get_nothing),
		CASE(subscriptions_are_bounded),
	};

	return cmocka_run_group_tests_name("shard_subscribe", tests, NULL, NULL);
}

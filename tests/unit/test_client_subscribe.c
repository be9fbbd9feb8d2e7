/* Subscriptions of the client core against make-believe shards: whatever is lost, repeated, late or moved, what is
 * handed out has no gap and no doubling, and never more than its window. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/client_model.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/random.h"

#define ENDPOINTS 4096u
#define ITEM_BYTES 1000u
#define SHARE_BYTES (64u * 1024)

struct shard_side { /* of the one subscription at one endpoint */
	uint32_t generation;
	uint32_t number;
	uint64_t credit;
	uint64_t sent;
	uint32_t node;
	bool follows[PARTITION_COUNT];
	uint64_t next[PARTITION_COUNT];
};

struct fixture {
	struct core *core;
	struct model *model;
	struct core_outbox out;
	uint64_t id;
	struct shard_side sides[ENDPOINTS];
	uint64_t end[PARTITION_COUNT];   /* of the logs: every offset is an item of ITEM_BYTES */
	uint64_t got[PARTITION_COUNT];   /* handed out up to here */
	uint64_t began[PARTITION_COUNT]; /* first from */
	uint64_t held[PARTITION_COUNT];  /* not consumed */
	uint64_t most_held;
	uint32_t unsubscribed;
	uint16_t refuse; /* every place, with this error */
	int error;       /* the subscription ended with it */
	bool consumes;
};

static struct fixture *the; /* the model's hook has no user's pointer */

/* --- the shards' side --------------------------------------------------------------------------------------------- */

static void say_item(struct shard_side *side, uint32_t endpoint, struct events_item *item)
{
	static const uint8_t zeros[ITEM_BYTES];
	struct buffer frame = BUFFER_NULL;

	item->subscription = the->id;
	item->generation = side->generation;
	item->number = ++side->number;
	item->end = the->end[item->partition];
	item->history = 1;
	if (item->next > item->from)
		item->batches = span_of(zeros, ITEM_BYTES);
	side->sent += EVENTS_ITEM_BYTES + item->batches.size;
	message_begin(&frame);
	events_item_encode(item, &frame);
	model_answer(the->model, side->node, endpoint, MESSAGE_EVENTS, 1, &frame);
}

static void take_place(struct shard_side *side, uint32_t endpoint, const struct subscribe_place *place)
{
	struct events_item item = {.partition = place->partition, .from = place->from, .next = place->from};

	if (the->model->map.partitions[place->partition].primary != side->node)
		item.error = ERROR_NOT_PRIMARY;
	else
		item.error = the->refuse;
	if (place->from == SUBSCRIBE_FROM_NOW)
		item.from = item.next = the->end[place->partition];
	side->follows[place->partition] = item.error == ERROR_NONE;
	side->next[place->partition] = item.next;
	say_item(side, endpoint, &item);
}

static void take_subscribe(uint32_t node, uint32_t endpoint, const struct message *message)
{
	struct shard_side *side = &the->sides[endpoint];
	struct reader in = reader_of(message->body);
	struct subscribe subscribe;
	struct subscribe_place place;

	assert_int_equal(subscribe_decode(&in, &subscribe), 0);
	if (subscribe.generation < side->generation)
		return;
	if (subscribe.generation > side->generation)
		*side = (struct shard_side){.generation = subscribe.generation, .node = node};
	if (subscribe.credit > side->credit)
		side->credit = subscribe.credit;
	in = reader_of(subscribe.places);
	for (uint32_t i = 0; i < subscribe.place_count; i++) {
		assert_int_equal(subscribe_place_decode(&in, &place), 0);
		take_place(side, endpoint, &place);
	}
}

static void take_credit(uint32_t node, uint32_t endpoint, const struct message *message)
{
	struct shard_side *side = &the->sides[endpoint];
	struct reader in = reader_of(message->body);
	struct buffer frame = BUFFER_NULL;
	struct credit_done done = {0};
	struct credit_item item;

	assert_int_equal(credit_item_decode(&in, &item), 0);
	if (item.generation < side->generation)
		return;
	if (item.credit > side->credit && item.generation == side->generation)
		side->credit = item.credit;
	done.subscription = item.subscription;
	done.generation = item.generation;
	done.error = item.generation == side->generation ? ERROR_NONE : ERROR_NOT_FOUND;
	done.number = side->number;
	message_begin(&frame);
	credit_done_encode(&done, &frame);
	model_answer(the->model, node, endpoint, MESSAGE_CREDIT_DONE, 0, &frame);
}

static void take(struct model *model, uint32_t node, uint32_t endpoint, const struct message *message)
{
	(void)model;
	switch ((int)message->kind) {
	case MESSAGE_SUBSCRIBE: take_subscribe(node, endpoint, message); break;
	case MESSAGE_CREDIT: take_credit(node, endpoint, message); break;
	case MESSAGE_UNSUBSCRIBE:
		the->unsubscribed++;
		the->sides[endpoint] = (struct shard_side){0};
		break;
	default: fail();
	}
}

/* What a primary has and credit allows. */
static void shards_send(void)
{
	for (uint32_t endpoint = 0; endpoint < ENDPOINTS; endpoint++) {
		struct shard_side *side = &the->sides[endpoint];
		for (uint16_t p = 0; side->generation != 0 && p < PARTITION_COUNT; p++) {
			if (!side->follows[p])
				continue;
			if (the->model->map.partitions[p].primary != side->node) {
				struct events_item item = {.partition = p,
							   .error = ERROR_NOT_PRIMARY,
							   .from = side->next[p],
							   .next = side->next[p]};
				side->follows[p] = false;
				say_item(side, endpoint, &item);
				continue;
			}
			while (side->next[p] < the->end[p] && side->sent < side->credit) {
				struct events_item item = {
					.partition = p, .from = side->next[p], .next = side->next[p] + 1};
				side->next[p]++;
				say_item(side, endpoint, &item);
			}
		}
	}
}

/* --- the user's side ---------------------------------------------------------------------------------------------- */

static void take_delivery(const struct core_delivery *delivery)
{
	uint16_t p = delivery->partition;
	uint64_t held = 0;

	if (delivery->error != ERROR_NONE) {
		the->error = delivery->error;
		return;
	}
	assert_int_equal(the->error, 0);
	if (the->got[p] == UINT64_MAX)
		the->got[p] = the->began[p] = delivery->from;
	assert_int_equal(delivery->from, the->got[p]); /* no gap, nothing twice */
	assert_true(delivery->next > delivery->from && delivery->next <= the->end[p]);
	the->got[p] = delivery->next;
	the->held[p] += delivery->batches.size;
	for (uint32_t i = 0; i < PARTITION_COUNT; i++)
		held += the->held[i];
	if (held > the->most_held)
		the->most_held = held;
}

static void consume(void)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		core_consumed(the->core, the->id, p, the->held[p], the->model->now_ms);
		the->held[p] = 0;
	}
}

static void steps(uint32_t count)
{
	while (count-- > 0) {
		model_step(the->model, the->core, &the->out);
		for (size_t i = 0; i < the->out.delivery_count; i++)
			take_delivery(&the->out.deliveries[i]);
		core_outbox_clear(&the->out);
		if (the->consumes)
			consume();
		shards_send();
	}
}

static bool has_everything(void)
{
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		if (the->end[p] > 0 && the->got[p] != the->end[p])
			return false;
	return true;
}

static void steps_until_everything(uint32_t most)
{
	while (!has_everything() && most-- > 0)
		steps(1);
	assert_true(has_everything());
}

static void begin(uint64_t seed, const struct model_faults *faults, uint64_t from)
{
	static const char *const addresses[] = {"h1:7400", "h2:7400"};
	struct core_config config = {.incarnation = 4711, .addresses = addresses, .address_count = 2};
	struct core_subscribe wanted = {.window_bytes = 1};

	the = calloc(1, sizeof *the);
	assert_non_null(the);
	the->core = core_new(&config);
	the->model = model_new(seed, faults);
	the->model->subscriber = take;
	the->out = CORE_OUTBOX_NULL;
	the->consumes = true;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		wanted.cursor.next[p] = from;
		the->got[p] = from == SUBSCRIBE_FROM_NOW ? UINT64_MAX : from;
		the->end[p] = 20;
	}
	assert_int_equal(core_subscribe(the->core, &wanted, 1, 0, &the->id), 0);
}

static void end(void)
{
	core_outbox_deinit(&the->out);
	core_free(the->core);
	model_free(the->model);
	free(the);
	the = NULL;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static const struct model_faults no_faults;

static void what_is_stored_comes_then_what_is_new(void **state)
{
	struct core_subscription_state now;

	(void)state;
	begin(1, &no_faults, 0);
	steps_until_everything(2000);
	assert_int_equal(core_subscription_state(the->core, the->id, &now), 0);
	assert_int_equal(now.behind, 0);
	assert_int_equal(now.history[5], 1);
	the->end[5] += 10;
	steps_until_everything(20); /* pushed: nobody asks */
	end();
}

static void losses_and_moves_leave_no_gap_and_no_doubling(void **state)
{
	static const struct model_faults faults = {.lost = 30, .repeated = 20, .delayed = 5, .restart_every_ms = 700};

	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		begin(seed, &faults, 0);
		for (uint32_t round = 0; round < 20; round++) {
			steps(150);
			for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
				the->end[p] += random_below(&the->model->random, 3);
				if (random_below(&the->model->random, 10) == 0)
					model_move(the->model, p, 1 + (uint32_t)random_below(&the->model->random, 3),
						   false);
			}
		}
		the->model->faults = no_faults;
		steps_until_everything(20000);
		assert_true(core_counts(the->core).items_lost > 0);
		end();
	}
}

static void without_consuming_no_more_than_the_window_comes(void **state)
{
	uint64_t stuck;

	(void)state;
	begin(3, &no_faults, 0);
	the->consumes = false;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		the->end[p] = 1000;
	steps(3000);
	stuck = the->most_held;
	assert_true(stuck >= SHARE_BYTES / 2);
	assert_true(stuck <= 3 * MODEL_NODES * SHARE_BYTES); /* a share for each shard there may be */
	steps(3000);
	assert_int_equal(the->most_held, stuck);
	the->consumes = true;
	steps_until_everything(30000);
	end();
}

static void now_is_where_the_shard_says(void **state)
{
	struct core_subscription_state now;

	(void)state;
	begin(4, &no_faults, SUBSCRIBE_FROM_NOW);
	assert_int_equal(core_subscription_state(the->core, the->id, &now), 0);
	assert_int_equal(now.unknown, PARTITION_COUNT);
	steps(200);
	assert_int_equal(core_subscription_state(the->core, the->id, &now), 0);
	assert_int_equal(now.unknown, 0);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		the->end[p]++;
	steps_until_everything(200);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		assert_int_equal(the->began[p], 20);
	end();
}

/* A cursor taken between what came and the turn that hands it out must not pass it over. */
static void what_the_next_turn_hands_out_is_not_counted_yet(void **state)
{
	struct core_subscription_state now;
	struct buffer frame = BUFFER_NULL;
	struct sender sender = {.incarnation = 9};
	uint32_t endpoint = 0;
	uint32_t counted = 0;
	const uint16_t p = 5;

	(void)state;
	begin(9, &no_faults, 0);
	steps_until_everything(1000);
	while (!the->sides[endpoint].follows[p])
		endpoint++;
	sender.node_id = the->sides[endpoint].node;
	the->end[p]++;
	message_begin(&frame);
	events_item_encode(&(struct events_item){.subscription = the->id,
						 .generation = the->sides[endpoint].generation,
						 .number = ++the->sides[endpoint].number,
						 .partition = p,
						 .from = 20,
						 .next = 21,
						 .end = 21,
						 .history = 1,
						 .batches = span_of("x", 1)},
			   &frame);
	the->sides[endpoint].next[p]++;
	assert_int_equal(message_end(&frame, &sender, MESSAGE_EVENTS, 1), 0);
	core_receive(the->core, endpoint, buffer_span(&frame), the->model->now_ms);
	buffer_deinit(&frame);
	for (uint32_t turn = 0; turn < 2; turn++) {
		assert_int_equal(core_subscription_state(the->core, the->id, &now), 0);
		assert_int_equal(now.next[p], the->got[p]);
		counted += now.next[p] == 21;
		steps(1);
	}
	assert_int_equal(counted, 1);
	end();
}

static void what_cannot_be_mended_ends_it(void **state)
{
	(void)state;
	begin(5, &no_faults, 0);
	the->refuse = ERROR_HISTORY;
	steps(300);
	assert_int_equal(the->error, ERROR_HISTORY);
	the->refuse = 0;
	steps(3000);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		assert_int_equal(the->got[p], 0);
	end();
}

static void what_passes_is_asked_for_again(void **state)
{
	(void)state;
	begin(6, &no_faults, 0);
	the->refuse = ERROR_NOT_READY;
	steps(1000);
	assert_int_equal(the->error, 0);
	the->refuse = 0;
	steps_until_everything(1000);
	end();
}

static void unsubscribing_is_said(void **state)
{
	(void)state;
	begin(7, &no_faults, 0);
	steps_until_everything(1000);
	core_unsubscribe(the->core, the->id, the->model->now_ms);
	core_unsubscribe(the->core, the->id, the->model->now_ms);
	steps(100);
	assert_true(the->unsubscribed >= MODEL_NODES);
	core_consumed(the->core, the->id, 0, 1, the->model->now_ms); /* late: nothing happens */
	end();
}

static void wrong_wishes_are_refused(void **state)
{
	static uint32_t streams[SUBSCRIBE_FILTERS_MAX + 1];
	struct span empty = SPAN_NULL;
	struct core_subscribe many = {.stream_ids = streams, .stream_count = SUBSCRIBE_FILTERS_MAX + 1};
	struct core_subscribe nothing = {.types = &empty, .type_count = 1};
	struct core_subscribe plain = {.window_bytes = 0};
	uint64_t id;

	(void)state;
	begin(8, &no_faults, 0);
	assert_int_equal(core_subscribe(the->core, &many, 0, 0, &id), ERROR_LIMIT);
	assert_int_equal(core_subscribe(the->core, &nothing, 0, 0, &id), ERROR_EMPTY);
	memory_fault_at(1);
	assert_int_equal(core_subscribe(the->core, &plain, 0, 0, &id), ERROR_MEMORY);
	(void)memory_fault_off();
	for (uint32_t i = 1; i < CORE_SUBSCRIPTIONS_MAX; i++)
		assert_int_equal(core_subscribe(the->core, &plain, 0, 0, &id), 0);
	assert_int_equal(core_subscribe(the->core, &plain, 0, 0, &id), ERROR_BUSY);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_stored_comes_then_what_is_new),
		cmocka_unit_test(losses_and_moves_leave_no_gap_and_no_doubling),
		cmocka_unit_test(without_consuming_no_more_than_the_window_comes),
		cmocka_unit_test(now_is_where_the_shard_says),
		cmocka_unit_test(what_the_next_turn_hands_out_is_not_counted_yet),
		cmocka_unit_test(what_cannot_be_mended_ends_it),
		cmocka_unit_test(what_passes_is_asked_for_again),
		cmocka_unit_test(unsubscribing_is_said),
		cmocka_unit_test(wrong_wishes_are_refused),
	};

	return cmocka_run_group_tests_name("client_subscribe", tests, NULL, NULL);
}

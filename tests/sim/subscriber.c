/* A subscriber's life: subscribe, consume at its own pace, die, resume from the cursor's text (subscriber.h). */
#include "tests/sim/subscriber.h"

#include <assert.h>
#include <stdlib.h>

#include "client/core.h"
#include "tests/sim/edge.h"
#include "tests/sim/host.h"
#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

#define LIVES_MAX 4u  /* a new process is another connection: its ports are its own */
#define PORTS_MAX 64u /* of one life */
#define PARTY(index) (SIM_HOSTS_MAX + SIM_CLIENTS_MAX + (index))

struct heard { /* what was consumed of one partition */
	uint64_t *offsets;
	size_t count;
	size_t capacity;
	size_t checked;
	uint64_t start; /* SUBSCRIBE_FROM_NOW: not known yet */
	uint32_t host;  /* the primary's when it last consumed, + 1 */
};

struct queued {
	struct queued *next;
	struct core_delivery delivery;
};

struct subscriber {
	struct subscribers *all;
	uint32_t index;
	uint32_t life;
	struct core *core; /* NULL: dead */
	struct core_outbox outbox;
	bool awake;
	bool consuming; /* an appointment is made */
	bool outlived;  /* its history is given up: it must be refused, */
	bool refused;   /* and was */
	uint64_t timer_ms;
	uint64_t id;
	struct span type;   /* empty: all */
	bool by_stream;     /* of the other stream only, once there is one */
	uint32_t stream_id; /* 0: of all */
	uint32_t slowness;  /* per mille of deliveries before which it rests for long */
	uint32_t pace_us;
	struct cursor cursor; /* consumed up to */
	struct queued *head;
	struct queued *tail;
	uint32_t queued[PARTITION_COUNT];
	struct heard heard[PARTITION_COUNT];
};

struct subscribers {
	struct sim *sim;
	bool calm;
	struct subscriber list[SIM_SUBSCRIBERS_MAX];
	struct buffer scratch;
};

static void wake(struct subscriber *subscriber, uint64_t delay_us);
static void consume_later(struct subscriber *subscriber);
static void begin_anew(struct subscriber *subscriber);

static void later(struct subscriber *subscriber, uint64_t delay_us, void (*run)(void *, struct appointment *),
		  uint64_t a)
{
	struct sim *sim = subscriber->all->sim;

	clockwork_add(&sim->clockwork, (struct appointment){.at_us = sim->clockwork.now_us + delay_us,
							    .run = run,
							    .owner = subscriber,
							    .generation = subscriber->life,
							    .a = a});
}

static bool is_void(const struct subscriber *subscriber, const struct appointment *appointment)
{
	return subscriber->all->sim->failed || subscriber->core == NULL || appointment->generation != subscriber->life;
}

/* --- consuming ---------------------------------------------------------------------------------------------------- */

static void remember(struct heard *heard, uint64_t offset)
{
	if (heard->count == heard->capacity) {
		heard->capacity = heard->capacity == 0 ? 16 : heard->capacity * 2;
		heard->offsets = realloc(heard->offsets, heard->capacity * sizeof *heard->offsets);
		assert(heard->offsets != NULL);
	}
	heard->offsets[heard->count++] = offset;
}

static bool wants(const struct subscriber *subscriber, const struct event *event)
{
	if (subscriber->stream_id != 0 && event->stream_id != subscriber->stream_id)
		return false;
	return subscriber->type.size == 0 || span_equal(subscriber->type, event->type);
}

static void consume_batch(struct subscriber *subscriber, const struct core_delivery *delivery,
			  const struct batch *batch)
{
	struct heard *heard = &subscriber->heard[delivery->partition];
	struct sim *sim = subscriber->all->sim;
	struct span records;
	struct reader in;

	oracle_delivered(sim->oracle, delivery->partition, batch);
	if ((batch->flags & BATCH_CONTROL) == 0)
		edge_shown(sim->edge, delivery->partition, batch->base_offset + batch->record_count);
	if (batch_records(batch, &subscriber->all->scratch, &records) != 0) {
		sim_fail(sim, "O10: subscriber %u: a batch does not open", subscriber->index);
		return;
	}
	in = reader_of(records);
	for (uint32_t i = 0; i < batch->record_count; i++) {
		uint64_t offset = batch->base_offset + i;
		struct event event;

		if (event_decode(&in, &event) != 0)
			sim_fail(sim, "O10: subscriber %u: an event does not decode", subscriber->index);
		else if (offset >= delivery->from && wants(subscriber, &event))
			remember(heard, offset);
	}
}

static void consume(struct subscriber *subscriber, const struct core_delivery *delivery)
{
	struct sim *sim = subscriber->all->sim;
	struct heard *heard = &subscriber->heard[delivery->partition];
	struct span left = buffer_span(&delivery->batches);
	uint32_t host = oracle_primary_host(sim->oracle, delivery->partition) + 1;
	struct batch batch;

	if (delivery->error != ERROR_NONE)
		sim_fail(sim, "O10: subscriber %u: partition %u ended with %s at %llu, end %llu", subscriber->index,
			 delivery->partition, error_name(delivery->error), (unsigned long long)delivery->from,
			 (unsigned long long)delivery->end);
	if (subscriber->cursor.next[delivery->partition] != SUBSCRIBE_FROM_NOW &&
	    delivery->from < subscriber->cursor.next[delivery->partition])
		sim_fail(sim, "O10: subscriber %u: partition %u is handed out from %llu, consumed up to %llu",
			 subscriber->index, delivery->partition, (unsigned long long)delivery->from,
			 (unsigned long long)subscriber->cursor.next[delivery->partition]);
	while (left.size > 0 && !sim->failed) {
		if (batch_decode_stamped(left, &batch) != 0) {
			sim_fail(sim, "O10: subscriber %u: a batch does not decode", subscriber->index);
			return;
		}
		consume_batch(subscriber, delivery, &batch);
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
	if (heard->host != 0 && heard->host != host)
		marks_reach(&sim->marks, MARK_SUBSCRIBER_FAILOVER);
	heard->host = host;
	subscriber->cursor.next[delivery->partition] = delivery->next;
	core_consumed(subscriber->core, subscriber->id, delivery->partition, delivery->batches.size, sim_now_ms(sim));
}

static void queue_drop(struct subscriber *subscriber)
{
	struct queued *first = subscriber->head;

	subscriber->head = first->next;
	if (subscriber->head == NULL)
		subscriber->tail = NULL;
	subscriber->queued[first->delivery.partition]--;
	buffer_deinit(&first->delivery.batches);
	free(first);
}

static void consume_now(void *owner, struct appointment *appointment)
{
	struct subscriber *subscriber = owner;

	if (is_void(subscriber, appointment))
		return;
	subscriber->consuming = false;
	if (subscriber->head == NULL)
		return;
	if (subscriber->outlived && subscriber->head->delivery.error == ERROR_HISTORY) {
		begin_anew(subscriber);
		return;
	}
	consume(subscriber, &subscriber->head->delivery);
	queue_drop(subscriber);
	wake(subscriber, 5);
	consume_later(subscriber);
}

static void consume_later(struct subscriber *subscriber)
{
	struct sim *sim = subscriber->all->sim;
	uint64_t delay_us = subscriber->all->calm ? 1 : random_between(&sim->random, 1, subscriber->pace_us);

	if (subscriber->consuming || subscriber->head == NULL)
		return;
	if (!subscriber->all->calm && random_chance(&sim->random, subscriber->slowness))
		delay_us += random_between(&sim->random, 500000, 4000000);
	subscriber->consuming = true;
	later(subscriber, delay_us, consume_now, 0);
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static struct endpoint party_of(const struct subscriber *subscriber, const struct core_endpoint *endpoint)
{
	const struct map_node *node = cluster_map_node(core_map(subscriber->core), endpoint->node_id);
	const char *control = endpoint->control || node == NULL ? endpoint->address : node->control_address;
	uint8_t port = endpoint->control ? 0 : (uint8_t)(1 + endpoint->shard);

	for (uint32_t i = 0; i < subscriber->all->sim->options.hosts; i++)
		if (strcmp(control, host_address(i)) == 0)
			return (struct endpoint){(uint8_t)i, port};
	return (struct endpoint){(uint8_t)PARTY(subscriber->index), 0}; /* nobody */
}

static void send(struct subscriber *subscriber, const struct core_send *send)
{
	const struct core_endpoint *endpoint = core_endpoint(subscriber->core, send->endpoint);
	struct endpoint from = {(uint8_t)PARTY(subscriber->index),
				(uint8_t)(subscriber->life * PORTS_MAX + send->endpoint)};
	struct endpoint to;

	assert(send->endpoint < PORTS_MAX);
	if (send->close || endpoint == NULL)
		return;
	to = party_of(subscriber, endpoint);
	if (to.party < SIM_HOSTS_MAX)
		network_send(subscriber->all->sim, from, to, buffer_span(&send->frame));
}

/* Where "now" was: the first delivery's beginning, or where it stands if there was none. */
static void note_starts(struct subscriber *subscriber)
{
	struct core_subscription_state state;

	for (size_t i = 0; i < subscriber->outbox.delivery_count; i++) {
		const struct core_delivery *delivery = &subscriber->outbox.deliveries[i];
		if (subscriber->heard[delivery->partition].start == SUBSCRIBE_FROM_NOW)
			subscriber->heard[delivery->partition].start = delivery->from;
	}
	assert(core_subscription_state(subscriber->core, subscriber->id, &state) == 0);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		if (subscriber->heard[p].start == SUBSCRIBE_FROM_NOW)
			subscriber->heard[p].start = state.next[p];
}

static void take_deliveries(struct subscriber *subscriber)
{
	note_starts(subscriber);
	for (size_t i = 0; i < subscriber->outbox.delivery_count; i++) {
		struct queued *queued = calloc(1, sizeof *queued);

		assert(queued != NULL);
		queued->delivery = subscriber->outbox.deliveries[i];
		subscriber->outbox.deliveries[i].batches = BUFFER_NULL;
		subscriber->queued[queued->delivery.partition]++;
		if (subscriber->tail != NULL)
			subscriber->tail->next = queued;
		else
			subscriber->head = queued;
		subscriber->tail = queued;
	}
	consume_later(subscriber);
}

static void turn(void *owner, struct appointment *appointment)
{
	struct subscriber *subscriber = owner;
	struct sim *sim = subscriber->all->sim;
	uint64_t now_ms = sim_now_ms(sim);

	if (is_void(subscriber, appointment))
		return;
	subscriber->awake = false;
	if (core_turn(subscriber->core, now_ms, &subscriber->outbox) != 0)
		sim_fail(sim, "subscriber %u: turn failed", subscriber->index);
	for (size_t i = 0; i < subscriber->outbox.send_count; i++)
		send(subscriber, &subscriber->outbox.sends[i]);
	take_deliveries(subscriber);
	subscriber->timer_ms = subscriber->outbox.next_timer_ms;
	core_outbox_clear(&subscriber->outbox);
	if (subscriber->timer_ms != UINT64_MAX)
		wake(subscriber, subscriber->timer_ms > now_ms ? (subscriber->timer_ms - now_ms) * 1000 : 1000);
}

static void timer(void *owner, struct appointment *appointment)
{
	struct subscriber *subscriber = owner;

	if (appointment->a == subscriber->timer_ms && !subscriber->awake)
		turn(owner, appointment);
}

static void wake(struct subscriber *subscriber, uint64_t delay_us)
{
	bool is_timer = delay_us >= 1000;

	if (subscriber->core == NULL || (!is_timer && subscriber->awake))
		return;
	subscriber->awake = subscriber->awake || !is_timer;
	later(subscriber, delay_us, is_timer ? timer : turn, subscriber->timer_ms);
}

/* --- lives -------------------------------------------------------------------------------------------------------- */

static void die_later(struct subscriber *subscriber);

/* 0: nobody knows it. */
static uint32_t other_stream(const struct sim *sim)
{
	const struct map_stream *stream = NULL;

	for (uint32_t i = 0; i < sim->options.hosts && stream == NULL; i++)
		if (host_map(sim->hosts[i]) != NULL)
			stream = cluster_map_stream_by_name(host_map(sim->hosts[i]),
							    span_of_text(WORKLOAD_OTHER_STREAM));
	return stream == NULL ? 0 : stream->id;
}

static void be_born(struct subscriber *subscriber)
{
	struct sim *sim = subscriber->all->sim;
	const char *members[SIM_HOSTS_MAX];
	struct core_config config = {.incarnation = random_next(&sim->random) | 1,
				     .addresses = members,
				     .address_count = sim->options.hosts};
	struct core_subscribe wanted = {.stream_ids = &subscriber->stream_id,
					.types = &subscriber->type,
					.type_count = subscriber->type.size > 0,
					.cursor = subscriber->cursor,
					.window_bytes = 1};

	for (uint32_t i = 0; i < sim->options.hosts; i++)
		members[i] = host_address(i);
	if (subscriber->by_stream && subscriber->life == 0)
		subscriber->stream_id = other_stream(sim);
	wanted.stream_count = subscriber->stream_id != 0;
	subscriber->core = core_new(&config);
	assert(subscriber->core != NULL);
	subscriber->outbox = CORE_OUTBOX_NULL;
	subscriber->timer_ms = UINT64_MAX;
	subscriber->awake = subscriber->consuming = false;
	assert(core_subscribe(subscriber->core, &wanted, 0, sim_now_ms(sim), &subscriber->id) == 0);
	wake(subscriber, 5);
	die_later(subscriber);
}

static void be_born_again(void *owner, struct appointment *appointment)
{
	struct subscriber *subscriber = owner;

	if (!subscriber->all->sim->failed && appointment->generation == subscriber->life && subscriber->core == NULL)
		be_born(subscriber);
}

/* Where it stands: what is queued has not been consumed. */
static void move_cursor(struct subscriber *subscriber, struct core_subscription_state *state)
{
	assert(core_subscription_state(subscriber->core, subscriber->id, state) == 0);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		if (subscriber->queued[p] == 0 && state->next[p] != SUBSCRIBE_FROM_NOW)
			subscriber->cursor.next[p] = state->next[p];
		subscriber->cursor.history[p] = state->history[p];
	}
	for (const struct queued *q = subscriber->head; q != NULL; q = q->next)
		if (subscriber->cursor.next[q->delivery.partition] == SUBSCRIBE_FROM_NOW)
			subscriber->cursor.next[q->delivery.partition] = q->delivery.from;
}

static void end_life(struct subscriber *subscriber)
{
	while (subscriber->head != NULL)
		queue_drop(subscriber);
	core_outbox_deinit(&subscriber->outbox);
	subscriber->core = core_free(subscriber->core);
}

/* It ends, and what is left of it is its cursor's text. false: a place is not known yet, and a cursor has one in every
 * partition. */
static bool leave_cursor(struct subscriber *subscriber)
{
	struct core_subscription_state state;
	struct buffer text = BUFFER_NULL;

	move_cursor(subscriber, &state);
	if (state.unknown > 0)
		return false;
	assert(cursor_encode(&subscriber->cursor, &text) == 0);
	memset(&subscriber->cursor, 0xff, sizeof subscriber->cursor);
	assert(cursor_decode(buffer_span(&text), &subscriber->cursor) == 0);
	buffer_deinit(&text);
	end_life(subscriber);
	subscriber->life++;
	return true;
}

static void die(void *owner, struct appointment *appointment)
{
	struct subscriber *subscriber = owner;
	struct sim *sim = subscriber->all->sim;

	if (is_void(subscriber, appointment) || subscriber->all->calm)
		return;
	if (!leave_cursor(subscriber)) {
		die_later(subscriber);
		return;
	}
	marks_reach(&sim->marks, MARK_SUBSCRIBER_RESUMED);
	later(subscriber, random_between(&sim->random, 1000, 3000000), be_born_again, 0);
}

static void die_later(struct subscriber *subscriber)
{
	struct sim *sim = subscriber->all->sim;

	if (subscriber->life + 1 < LIVES_MAX)
		later(subscriber, random_between(&sim->random, 1000000, 25000000), die, 0);
}

static void subscriber_draw(struct subscriber *subscriber)
{
	static const char *const types[] = {"Put", "Merged", "Deleted"};
	struct random *random = &subscriber->all->sim->random;
	bool now = subscriber->index > 0 && random_chance(random, 400);

	if (random_chance(random, 300))
		subscriber->type = span_of_text(types[random_between(random, 0, 2)]);
	subscriber->by_stream = random_chance(random, 600);
	subscriber->slowness = random_chance(random, 500) ? 0 : (uint32_t)random_between(random, 1, 30);
	subscriber->pace_us = (uint32_t)random_between(random, 10, subscriber->slowness > 0 ? 20000 : 500);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		subscriber->heard[p].start = subscriber->cursor.next[p] = now ? SUBSCRIBE_FROM_NOW : 0;
		subscriber->cursor.history[p] = HISTORY_ANY;
	}
}

struct subscribers *subscribers_new(struct sim *sim)
{
	struct subscribers *all = calloc(1, sizeof *all);

	assert(all != NULL);
	all->sim = sim;
	for (uint32_t i = 0; i < SIM_SUBSCRIBERS_MAX; i++) {
		all->list[i].all = all;
		all->list[i].index = i;
		subscriber_draw(&all->list[i]);
	}
	return all;
}

struct subscribers *subscribers_free(struct subscribers *all)
{
	if (all == NULL)
		return NULL;
	for (uint32_t i = 0; i < SIM_SUBSCRIBERS_MAX; i++) {
		end_life(&all->list[i]);
		for (uint32_t p = 0; p < PARTITION_COUNT; p++)
			free(all->list[i].heard[p].offsets);
	}
	buffer_deinit(&all->scratch);
	free(all);
	return NULL;
}

/* The first one from the beginning, the others when there is a past. */
void subscribers_start(struct subscribers *all)
{
	uint64_t half_us = all->sim->options.seconds * 500000;

	for (uint32_t i = 0; i < SIM_SUBSCRIBERS_MAX; i++)
		later(&all->list[i], i == 0 ? 0 : random_between(&all->sim->random, half_us / 2, half_us + 1),
		      be_born_again, 0);
}

void subscribers_calm(struct subscribers *all)
{
	all->calm = true;
	for (uint32_t i = 0; i < SIM_SUBSCRIBERS_MAX; i++)
		if (all->list[i].core == NULL && !all->sim->failed)
			be_born(&all->list[i]);
}

/* It was refused: what it heard counts no more, and it asks for everything there is. */
static void begin_anew(struct subscriber *subscriber)
{
	subscriber->outlived = false;
	subscriber->refused = true;
	end_life(subscriber);
	subscriber->life++;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		struct heard *heard = &subscriber->heard[p];

		*heard = (struct heard){.offsets = heard->offsets, .capacity = heard->capacity};
		subscriber->cursor.next[p] = 0;
		subscriber->cursor.history[p] = HISTORY_ANY;
	}
	later(subscriber, 1000, be_born_again, 0);
}

void subscribers_given_up(struct subscribers *all)
{
	for (uint32_t i = 0; i < SIM_SUBSCRIBERS_MAX; i++) {
		struct subscriber *subscriber = &all->list[i];

		subscriber->outlived = true;
		if (i % 2 != 0 && leave_cursor(subscriber))
			later(subscriber, random_between(&all->sim->random, 1000, 3000000), be_born_again, 0);
	}
}

bool subscribers_refused(const struct subscribers *all)
{
	for (uint32_t i = 0; i < SIM_SUBSCRIBERS_MAX; i++)
		if (!all->list[i].refused)
			return false;
	return true;
}

bool subscribers_quiet(struct subscribers *all)
{
	struct core_subscription_state state;

	for (uint32_t i = 0; all->calm && i < SIM_SUBSCRIBERS_MAX; i++) {
		struct subscriber *subscriber = &all->list[i];

		if (subscriber->core == NULL || subscriber->head != NULL)
			return false;
		assert(core_subscription_state(subscriber->core, subscriber->id, &state) == 0);
		for (uint16_t p = 0; p < PARTITION_COUNT; p++)
			if (state.next[p] != oracle_committed(all->sim->oracle, p))
				return false;
	}
	return true;
}

void subscribers_receive(struct subscribers *all, uint32_t index, struct endpoint at, struct span bytes)
{
	struct subscriber *subscriber = &all->list[index];

	if (subscriber->core == NULL || at.port / PORTS_MAX != subscriber->life)
		return;
	core_receive(subscriber->core, at.port % PORTS_MAX, bytes, sim_now_ms(all->sim));
	wake(subscriber, random_between(&all->sim->random, 5, 100));
}

/* --- the last look ------------------------------------------------------------------------------------------------ */

void subscribers_expect(struct subscribers *all, uint16_t partition, uint64_t offset, const struct event *event)
{
	for (uint32_t i = 0; all->calm && i < SIM_SUBSCRIBERS_MAX; i++) {
		struct subscriber *subscriber = &all->list[i];
		struct heard *heard = &subscriber->heard[partition];

		if (subscriber->stream_id != 0 && event->stream_id != subscriber->stream_id)
			marks_reach(&all->sim->marks, MARK_SUBSCRIBER_STREAM);
		if (offset < heard->start || !wants(subscriber, event))
			continue;
		if (heard->checked == heard->count || heard->offsets[heard->checked] != offset)
			sim_fail(all->sim, "O10: subscriber %u: partition %u: consumed %lld where %llu was to come", i,
				 partition,
				 heard->checked == heard->count ? -1LL : (long long)heard->offsets[heard->checked],
				 (unsigned long long)offset);
		heard->checked++;
	}
}

void subscribers_expect_end(struct subscribers *all, uint16_t partition)
{
	for (uint32_t i = 0; i < SIM_SUBSCRIBERS_MAX; i++) {
		const struct heard *heard = &all->list[i].heard[partition];

		if (heard->checked < heard->count)
			sim_fail(all->sim,
				 "O10: subscriber %u: partition %u: consumed %llu, which the log does not end with", i,
				 partition, (unsigned long long)heard->offsets[heard->checked]);
	}
}

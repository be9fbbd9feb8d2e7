/* The bare ZeroMQ round trip that a view read is held against: one DEALER a node on one thread, which waits for each
 * answer before it asks again. */
#include "bench/floor.h"

#include <errno.h>
#include <string.h>
#include <zmq.h>

struct asker {
	void *context;
	void *dealers[FLOOR_NODES];
	uint64_t number; /* of the last ask */
	void (*watch)(void);
};

static void ask(struct asker *asker)
{
	void *dealer = asker->dealers[++asker->number % FLOOR_NODES];
	struct floor_header header = {FLOOR_ASK, FLOOR_NODES, asker->number, FLOOR_ASK_BYTES, 0};
	zmq_msg_t message;

	floor_expect(zmq_msg_init_size(&message, FLOOR_ASK_BYTES) == 0, "memory for an ask");
	memset(zmq_msg_data(&message), 0, FLOOR_ASK_BYTES);
	memcpy(zmq_msg_data(&message), &header, sizeof header);
	floor_expect(zmq_msg_send(&message, dealer, ZMQ_DONTWAIT) >= 0, "ask");
}

static void wait_for_reply(const struct asker *asker)
{
	zmq_pollitem_t items[FLOOR_NODES];
	struct floor_header header;
	zmq_msg_t message;
	int waited_ms = 0;

	for (uint32_t i = 0; i < FLOOR_NODES; i++)
		items[i] = (zmq_pollitem_t){.socket = asker->dealers[i], .events = ZMQ_POLLIN};
	while (zmq_poll(items, FLOOR_NODES, 1000) == 0) {
		waited_ms += 1000;
		asker->watch();
		if (waited_ms >= FLOOR_STUCK_MS)
			floor_fail("no reply for %d ms", waited_ms);
	}
	zmq_msg_init(&message);
	floor_expect(zmq_msg_recv(&message, asker->dealers[asker->number % FLOOR_NODES], ZMQ_DONTWAIT) >= 0,
		     "receive from the node that was asked");
	assert(zmq_msg_size(&message) == FLOOR_REPLY_BYTES);
	memcpy(&header, zmq_msg_data(&message), sizeof header);
	assert(header.kind == FLOOR_REPLY && header.number == asker->number);
	zmq_msg_close(&message);
}

static void run(struct asker *asker, uint64_t seconds, const struct witness *witness, struct floor_figures *figures)
{
	uint64_t now_ns = floor_now_ns(), end_ns = now_ns + seconds * 1000000000u;
	uint64_t begin_ns = now_ns + seconds * 100000000u;
	struct floor_slice slice = {0};

	while (now_ns < end_ns) {
		uint64_t asked_ns = now_ns;

		ask(asker);
		wait_for_reply(asker);
		now_ns = floor_now_ns();
		if (asked_ns < begin_ns || now_ns >= end_ns)
			continue;
		histogram_add(&slice.times, now_ns - asked_ns, 1);
		figures->events++;
		floor_slice_turn(&slice, witness, figures, now_ns);
	}
	floor_slice_end(&slice, witness, figures);
	figures->seconds = (double)(end_ns - begin_ns) / 1e9;
}

void floor_rtt_run(const struct floor_config *config, const uint16_t ports[FLOOR_NODES], void (*watch)(void),
		   struct floor_figures *figures)
{
	struct asker asker = {.context = zmq_ctx_new(), .watch = watch};
	struct witness *witness = witness_start();
	uint64_t steal_before_ms = steal_ms();

	floor_expect(asker.context != NULL, "memory");
	*figures = (struct floor_figures){0};
	for (uint32_t i = 0; i < FLOOR_NODES; i++)
		asker.dealers[i] = floor_dealer(asker.context, "asker", ports[i], watch);
	run(&asker, config->seconds, witness, figures);
	figures->witness = witness_read(witness);
	figures->steal_ms = steal_ms() - steal_before_ms;
	witness_end(witness);
	for (uint32_t i = 0; i < FLOOR_NODES; i++)
		zmq_close(asker.dealers[i]);
	zmq_ctx_term(asker.context);
}

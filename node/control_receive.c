/* Messages that arrive at the control port: peers' go to the cluster, clients' to control_clients.c. Control thread. */
#include "node/control.h"

#include "node/clock.h"

#include <errno.h>
#include <zmq.h>

static int answer_id(struct control *control, struct span id, struct buffer *frame)
{
	zmq_msg_t part;
	int rv = 0;

	if (zmq_msg_init_size(&part, id.size) != 0)
		return ENOMEM;
	memcpy(zmq_msg_data(&part), id.data, id.size);
	if (zmq_msg_send(&part, control->router, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
		rv = errno;
	zmq_msg_close(&part);
	if (rv == 0)
		rv = socket_send(control->router, frame, 0);
	control->counters.answer_drops += rv == 0 ? 0 : 1;
	return rv;
}

int control_answer(struct control *control, struct guest *guest, struct buffer *frame)
{
	int rv = answer_id(control, guest_id(guest), frame);

	if (rv == EHOSTUNREACH)
		guests_remove(&control->guests, guest);
	return rv;
}

static void garbage(struct control *control, struct span id, const char *why)
{
	struct guest *guest = guests_find(&control->guests, id);

	LOG_LIMITED(control->log, &control->counters.garbage, control->now_ms, control_garbage, .observed = why);
	if (guest != NULL)
		guests_remove(&control->guests, guest);
}

/* A client of another cluster has the wrong address, and learns it from the answer. A peer is a node of somebody's. */
static void refuse_hello(struct control *control, const struct message *message, enum hello_outcome outcome,
			 const char *address)
{
	struct reader in = reader_of(message->body);
	struct hello hello;

	control->counters.version_refusals += outcome == HELLO_VERSION;
	if (outcome == HELLO_FOREIGN && hello_decode(&in, &hello) == 0 && hello.role == HELLO_PEER)
		control_foreign_peer(control, hello.cluster_id, hello.name, address);
	else if (outcome == HELLO_VERSION && hello_decode(&in, &hello) == 0 && hello.role == HELLO_PEER)
		control_strange_version(control, (struct version_range){hello.version_min, hello.version_max},
					hello.name, address);
	else
		LOG_LIMITED(control->log, &control->counters.refused, control->now_ms, control_hello_refused,
			    .observed = hello_outcome_text(outcome));
}

static void take_hello(struct control *control, const struct hello_from *from, const struct message *message,
		       const char *address)
{
	struct buffer frame = BUFFER_NULL;
	enum hello_outcome outcome;
	struct guest *guest;
	uint64_t gone;

	outcome = hello_take(&control->guests, &control->self, from, message, control->now_ms, &guest, &gone);
	if (outcome == HELLO_MALFORMED) {
		garbage(control, from->id, "a HELLO that does not decode");
		return;
	}
	if (outcome == HELLO_OVERREACHED)
		LOG_LIMITED(control->log, &control->counters.overreached, control->now_ms, keys_overreached,
			    .holder = from->visitor.holder, .address = address,
			    .observed = hello_outcome_text(outcome));
	else if (outcome != HELLO_TAKEN)
		refuse_hello(control, message, outcome, address);
	if (outcome == HELLO_TAKEN && guest->role == GUEST_PEER)
		return;
	hello_welcome_frame(&control->self, &frame);
	answer_id(control, from->id, &frame);
	buffer_deinit(&frame);
}

static bool is_for_cluster(enum message_kind kind)
{
	return kind >= MESSAGE_FORMATION && kind <= MESSAGE_NODE_JOIN_ANSWER && kind != MESSAGE_PRODUCER_OPEN &&
	       kind != MESSAGE_PRODUCER_OPENED;
}

static void overreached(struct control *control, const struct hello_from *from)
{
	LOG_LIMITED(control->log, &control->counters.overreached, control->now_ms, keys_overreached,
		    .holder = from->visitor.holder, .observed = "a kind of message that only nodes send");
}

static void take_peer_message(struct control *control, const struct guest *guest, struct message message)
{
	message.versions = guest->versions;
	if (control->cluster != NULL)
		cluster_receive(control->cluster, &message, control->now_ms);
}

static void take_message(struct control *control, struct guest *guest, const struct message *message)
{
	guests_touch(&control->guests, guest, control->now_ms);
	if (guest->role == GUEST_CLIENT) {
		control_client_message(control, guest, message);
	} else if (is_for_cluster(message->kind) && message->incarnation == guest->incarnation) {
		take_peer_message(control, guest, *message);
	} else {
		garbage(control, guest_id(guest), "a kind of message that does not belong here");
	}
}

/* Clients propose and ask for the map too: who they are is what they said in HELLO. */
static bool only_nodes_send(enum message_kind kind)
{
	return is_for_cluster(kind) && kind != MESSAGE_PROPOSE && kind != MESSAGE_MAP_REQUEST;
}

static bool overreaches(const struct visitor *visitor, enum message_kind kind)
{
	return visitor->role == VISITOR_NOBODY ||
	       (only_nodes_send(kind) && !visitor_may_be_node(visitor, visitor->name));
}

/* address: where it comes from, as far as ZeroMQ knows. */
static void take_frame(struct control *control, const struct hello_from *from, struct span bytes, const char *address)
{
	struct buffer frame = BUFFER_NULL;
	struct message message;
	struct guest *guest;

	if (message_decode(bytes, &message) != 0) {
		garbage(control, from->id, "a message that does not decode");
		return;
	}
	if (message.kind == MESSAGE_HELLO) {
		take_hello(control, from, &message, address);
		return;
	}
	guest = hello_guest(&control->guests, from);
	if (overreaches(&from->visitor, message.kind)) {
		overreached(control, from);
	} else if (guest != NULL) {
		take_message(control, guest, &message);
	} else if (message.kind != MESSAGE_HELLO_WANTED) {
		hello_wanted_frame(&control->self, &frame);
		answer_id(control, from->id, &frame);
		buffer_deinit(&frame);
	}
}

/* One message of two parts: routing id, frame. False: none waits. */
static bool receive_one(struct control *control)
{
	zmq_msg_t id, frame;
	struct hello_from from;
	bool any = false;

	zmq_msg_init(&id);
	zmq_msg_init(&frame);
	if (zmq_msg_recv(&id, control->router, ZMQ_DONTWAIT) < 0)
		goto done;
	any = true;
	from.id = span_of(zmq_msg_data(&id), zmq_msg_size(&id));
	if (!zmq_msg_more(&id) || zmq_msg_recv(&frame, control->router, ZMQ_DONTWAIT) < 0)
		goto done;
	if (!zmq_msg_more(&frame)) {
		from.visitor = visitor_of(&frame, control->factory->keyring != NULL);
		take_frame(control, &from, span_of(zmq_msg_data(&frame), zmq_msg_size(&frame)),
			   zmq_msg_gets(&frame, "Peer-Address"));
		goto done;
	}
	while (zmq_msg_more(&frame) && zmq_msg_recv(&frame, control->router, ZMQ_DONTWAIT) >= 0)
		continue;
	garbage(control, from.id, "a message of more than one part");
done:
	zmq_msg_close(&frame);
	zmq_msg_close(&id);
	return any;
}

void control_receive(struct control *control)
{
	control->now_ms = clock_boot_ms();
	for (uint32_t i = 0; i < CONTROL_MESSAGES_MAX; i++) {
		if (!receive_one(control))
			return;
	}
}

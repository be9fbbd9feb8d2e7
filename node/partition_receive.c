/* Messages that arrive at a shard's ROUTER: sorted by who sent them, checked, handed to the shard. What does not
 * decode or does not belong here is counted and dropped, and its sender has to say HELLO again. Partition thread. */
#include "node/partition_thread.h"

#include <assert.h>
#include <errno.h>
#include <zmq.h>

static void answer(struct partition_thread *thread, struct span id, struct buffer *frame)
{
	zmq_msg_t part;

	if (zmq_msg_init_size(&part, id.size) == 0) {
		memcpy(zmq_msg_data(&part), id.data, id.size);
		if (zmq_msg_send(&part, thread->router, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
			socket_send(thread->router, frame, 0);
		else
			thread->counters.answer_drops++;
		zmq_msg_close(&part);
	}
	buffer_deinit(frame);
}

static void forget(struct partition_thread *thread, struct guest *guest)
{
	if (guest->role == GUEST_CLIENT)
		shard_client_gone(thread->shard, guest->name);
	guests_remove(&thread->guests, guest);
}

static void garbage(struct partition_thread *thread, struct span id, const char *why)
{
	struct guest *guest = guests_find(&thread->guests, id);

	LOG_LIMITED(thread->config.log, &thread->counters.garbage, thread->now_ms, shard_garbage,
		    .shard = thread->config.shard.index, .observed = why);
	if (guest != NULL)
		forget(thread, guest);
}

static void overreached(struct partition_thread *thread, const struct hello_from *from, const char *why)
{
	LOG_LIMITED(thread->config.log, &thread->counters.overreached, thread->now_ms, keys_overreached,
		    .holder = from->visitor.holder, .observed = why);
}

static void take_hello(struct partition_thread *thread, const struct hello_from *from, const struct message *message)
{
	struct buffer frame = BUFFER_NULL;
	enum hello_outcome outcome;
	struct guest *guest;
	uint64_t gone;

	outcome = hello_take(&thread->guests, &thread->self, from, message, thread->now_ms, &guest, &gone);
	if (gone != 0)
		shard_client_gone(thread->shard, gone);
	if (outcome == HELLO_MALFORMED) {
		garbage(thread, from->id, "a HELLO that does not decode");
		return;
	}
	if (outcome == HELLO_OVERREACHED)
		overreached(thread, from, hello_outcome_text(outcome));
	else if (outcome != HELLO_TAKEN)
		LOG_LIMITED(thread->config.log, &thread->counters.refused, thread->now_ms, shard_hello_refused,
			    .shard = thread->config.shard.index, .observed = hello_outcome_text(outcome));
	if (outcome == HELLO_TAKEN && guest->role == GUEST_PEER)
		return;
	/* A client learns from the answer whom it has reached, also when that is somebody else. */
	hello_welcome_frame(&thread->self, &frame);
	answer(thread, from->id, &frame);
}

static void want_hello(struct partition_thread *thread, struct span id)
{
	struct buffer frame = BUFFER_NULL;

	LOG_LIMITED(thread->config.log, &thread->counters.hello, thread->now_ms, shard_hello_wanted,
		    .shard = thread->config.shard.index);
	hello_wanted_frame(&thread->self, &frame);
	answer(thread, id, &frame);
}

static bool comes_from_clients(enum message_kind kind)
{
	switch (kind) {
	case MESSAGE_APPEND:
	case MESSAGE_READ:
	case MESSAGE_REPLAY:
	case MESSAGE_STATUS:
	case MESSAGE_HISTORY:
	case MESSAGE_SCAN:
	case MESSAGE_DECIDE:
	case MESSAGE_SUBSCRIBE:
	case MESSAGE_CREDIT:
	case MESSAGE_UNSUBSCRIBE:
	case MESSAGE_PROGRESS:
	case MESSAGE_IMPORT: return true;
	default: return false;
	}
}

static bool comes_from_peers(enum message_kind kind)
{
	return kind >= MESSAGE_REPLICATE && kind <= MESSAGE_AUDIT;
}

static void take_message(struct partition_thread *thread, struct guest *guest, const struct message *message)
{
	int rv = 0;

	guests_touch(&thread->guests, guest, thread->now_ms);
	if (guest->role == GUEST_PEER && comes_from_peers(message->kind) &&
	    message->incarnation == guest->incarnation) {
		/* A process that registered after its HELLO has its id only now. */
		rv = thread->registered ? shard_receive_peer(thread->shard, message) : 0;
	} else if (guest->role == GUEST_CLIENT && comes_from_clients(message->kind)) {
		rv = thread->registered ? shard_receive_client(thread->shard, guest->name, message) : 0;
	} else {
		garbage(thread, guest_id(guest), "a kind of message that does not belong here");
	}
	if (rv < 0)
		partition_fatal(thread, "taking a message", rv);
}

static bool overreaches(const struct visitor *visitor, enum message_kind kind)
{
	return visitor->role == VISITOR_NOBODY ||
	       (comes_from_peers(kind) && !visitor_may_be_node(visitor, visitor->name));
}

static void take_frame(struct partition_thread *thread, const struct hello_from *from, struct span bytes)
{
	struct message message;
	struct guest *guest;

	if (message_decode(bytes, &message) != 0) {
		garbage(thread, from->id, "a message that does not decode");
		return;
	}
	if (message.kind == MESSAGE_HELLO) {
		take_hello(thread, from, &message);
		return;
	}
	guest = hello_guest(&thread->guests, from);
	if (overreaches(&from->visitor, message.kind))
		overreached(thread, from, "a kind of message that only nodes send");
	else if (guest != NULL)
		take_message(thread, guest, &message);
	else if (message.kind != MESSAGE_HELLO_WANTED)
		want_hello(thread, from->id);
}

static bool has_more(zmq_msg_t *part)
{
	return zmq_msg_more(part) != 0;
}

/* Takes the parts of a message that are left; false: there were some. */
static bool skip_rest(void *router, zmq_msg_t *last)
{
	bool clean = true;

	while (has_more(last)) {
		clean = false;
		if (zmq_msg_recv(last, router, ZMQ_DONTWAIT) < 0)
			break;
	}
	return clean;
}

/* One message of two parts: routing id, frame. Its size; 0: none waits. */
static size_t receive_one(struct partition_thread *thread)
{
	zmq_msg_t id, frame;
	struct hello_from from;
	size_t size = 0;

	zmq_msg_init(&id);
	zmq_msg_init(&frame);
	if (zmq_msg_recv(&id, thread->router, ZMQ_DONTWAIT) < 0)
		goto done;
	from.id = span_of(zmq_msg_data(&id), zmq_msg_size(&id));
	size = from.id.size + 1;
	if (!has_more(&id) || zmq_msg_recv(&frame, thread->router, ZMQ_DONTWAIT) < 0)
		goto done;
	size += zmq_msg_size(&frame);
	if (has_more(&frame)) {
		skip_rest(thread->router, &frame);
		garbage(thread, from.id, "a message of more than one part");
		goto done;
	}
	from.visitor = visitor_of(&frame, thread->config.factory->keyring != NULL);
	take_frame(thread, &from, span_of(zmq_msg_data(&frame), zmq_msg_size(&frame)));
done:
	zmq_msg_close(&frame);
	zmq_msg_close(&id);
	return size;
}

size_t partition_receive(struct partition_thread *thread)
{
	size_t count = 0, bytes = 0, size;

	while (bytes < TURN_MAX_BYTES && count < PARTITION_MESSAGES_MAX && (size = receive_one(thread)) > 0) {
		bytes += size;
		count++;
	}
	return count;
}

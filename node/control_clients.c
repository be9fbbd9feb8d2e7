/* What clients ask of the control port: the cluster map and its changes, producer ids, metadata commands. Control
 * thread. */
#include "node/control.h"

#include "node/clock.h"

#include "raft/command.h"

#include <assert.h>
#include <errno.h>

/* --- map ------------------------------------------------------------------------------------------------ */

/* Sends what changed since the guest's version. 0, or errno: it is still behind. */
static int send_map(struct control *control, struct guest *guest)
{
	const struct cluster_map *map = cluster_map(control->cluster);
	struct buffer frame = BUFFER_NULL;
	int rv;

	message_begin(&frame);
	rv = cluster_map_encode(map, guest->map_version, &frame) == 0 ? 0 : ENOMEM;
	if (rv == 0)
		rv = message_end(&frame, &control->self.sender, MESSAGE_MAP, 0) == 0 ? 0 : ENOMEM;
	if (rv == 0) {
		uint64_t version = map->version;

		rv = control_answer(control, guest, &frame);
		if (rv == 0)
			guest->map_version = version;
	}
	buffer_deinit(&frame);
	return rv;
}

static void take_map_request(struct control *control, struct guest *guest, const struct message *message)
{
	struct reader reader = reader_of(message->body);
	uint64_t since = reader_u64(&reader);

	if (!reader_done(&reader) || control->cluster == NULL)
		return;
	guest->subscribed = true;
	guest->map_version = since > cluster_map(control->cluster)->version ? 0 : since;
	if (send_map(control, guest) == EAGAIN)
		control->maps_due = true;
}

void control_push_maps(struct control *control)
{
	uint64_t version = cluster_map(control->cluster)->version;

	if (!control->maps_due)
		return;
	control->maps_due = false;
	for (uint32_t i = 0; i < control->guests.used; i++) {
		struct guest *guest = &control->guests.list[i];

		if (guest->name != 0 && guest->subscribed && guest->map_version < version &&
		    send_map(control, guest) == EAGAIN)
			control->maps_due = true; /* it is slow: tried again with the next tick */
	}
}

/* --- producers ------------------------------------------------------------------------------------------ */

/* Never the same twice, also when the clock goes back while the process lives. */
static uint64_t next_producer_id(struct control *control)
{
	uint64_t unix_ms = clock_unix_us() / 1000u;

	if (unix_ms > control->producer_ms) {
		control->producer_ms = unix_ms;
		control->producer_count = 0;
	} else if (++control->producer_count == 1u << 12) {
		control->producer_ms++;
		control->producer_count = 0;
	}
	return producer_id_make(control->producer_ms, control->self.sender.node_id, control->producer_count);
}

static void take_producer_open(struct control *control, struct guest *guest, const struct message *message)
{
	struct reader reader = reader_of(message->body);
	uint64_t ticket = reader_u64(&reader);
	struct buffer frame = BUFFER_NULL;

	/* Not registered: no id that is ours. The client asks again, here or elsewhere. */
	if (!reader_done(&reader) || control->self.sender.node_id == 0)
		return;
	message_begin(&frame);
	buffer_u64(&frame, ticket);
	buffer_u64(&frame, next_producer_id(control));
	if (message_end(&frame, &control->self.sender, MESSAGE_PRODUCER_OPENED, 0) == 0)
		control_answer(control, guest, &frame);
	buffer_deinit(&frame);
}

/* --- commands ------------------------------------------------------------------------------------------- */

static void send_result(struct control *control, struct guest *guest, const struct propose_result *result)
{
	struct buffer frame = BUFFER_NULL;

	message_begin(&frame);
	propose_result_encode(result, &frame);
	if (message_end(&frame, &control->self.sender, MESSAGE_PROPOSE_RESULT, 0) == 0)
		control_answer(control, guest, &frame);
	buffer_deinit(&frame);
}

static void refuse(struct control *control, struct guest *guest, uint64_t ticket, enum error error, const char *why)
{
	struct propose_result result = {.ticket = ticket, .error = (uint16_t)error, .detail = span_of_text(why)};

	send_result(control, guest, &result);
}

/* What a client may change; everything else is the nodes' own business. */
static bool is_for_clients(enum command_kind kind)
{
	return kind == COMMAND_STREAM_CREATE || kind == COMMAND_VIEW_APPLY || kind == COMMAND_MINIMUM_ISR ||
	       kind == COMMAND_ELECT;
}

static struct control_request *free_request(struct control *control)
{
	for (uint32_t i = 0; i < CONTROL_REQUESTS_MAX; i++) {
		struct control_request *request = &control->requests[control->next_request];

		control->next_request = (control->next_request + 1) % CONTROL_REQUESTS_MAX;
		if (request->ticket == 0)
			return request;
	}
	return NULL;
}

static void take_propose(struct control *control, struct guest *guest, const struct message *message)
{
	struct reader reader = reader_of(message->body);
	uint64_t ticket = reader_u64(&reader);
	struct span bytes = reader_bytes(&reader, reader_left(&reader));
	struct reader peek = reader_of(bytes);
	struct command command;
	struct control_request *request;

	if (reader.failed || command_decode(&peek, &command) != 0 || command_check(bytes) != 0) {
		refuse(control, guest, ticket, ERROR_MALFORMED, "the command does not decode");
		return;
	}
	if (!is_for_clients(command.kind)) {
		refuse(control, guest, ticket, ERROR_REFUSED, "not a client's command");
		return;
	}
	request = free_request(control);
	if (control->cluster == NULL || request == NULL) {
		refuse(control, guest, ticket, control->cluster == NULL ? ERROR_NOT_READY : ERROR_BUSY, "");
		return;
	}
	request->ticket = ++control->next_ticket;
	request->guest = guest->name;
	request->guest_ticket = ticket;
	cluster_propose(control->cluster, request->ticket, bytes, control->now_ms);
}

void control_client_result(struct control *control, const struct propose_result *result)
{
	struct propose_result answer = *result;
	struct guest *guest;

	if (result->ticket == 0)
		return; /* a shard's: it looks at the row */
	for (uint32_t i = 0; i < CONTROL_REQUESTS_MAX; i++) {
		struct control_request *request = &control->requests[i];

		if (request->ticket != result->ticket)
			continue;
		answer.ticket = request->guest_ticket;
		guest = guests_by_name(&control->guests, request->guest);
		*request = (struct control_request){.ticket = 0};
		if (guest != NULL)
			send_result(control, guest, &answer);
		return;
	}
}

void control_client_message(struct control *control, struct guest *guest, const struct message *message)
{
	switch (message->kind) {
	case MESSAGE_MAP_REQUEST: take_map_request(control, guest, message); break;
	case MESSAGE_PRODUCER_OPEN: take_producer_open(control, guest, message); break;
	case MESSAGE_PROPOSE: take_propose(control, guest, message); break;
	default:
		logging_limited(control->log, &control->counters.garbage, control->now_ms, LOGGING_WARN,
				"control.garbage", "a client's message of a kind that does not belong here");
		guests_remove(&control->guests, guest);
		break;
	}
}

/* What clients ask of the control port (raft/client_service.h): their messages in, the answers out, and the map's
 * changes to those who subscribed. Control thread. */
#include "node/control.h"

#include "node/clock.h"

#include <errno.h>

/* --- map ------------------------------------------------------------------------------------------------ */

/* Sends what changed since the guest's version. 0, or errno: it is still behind. */
static int send_map(struct control *control, struct guest *guest)
{
	const struct cluster_map *map = cluster_map(control->cluster);
	struct buffer frame = BUFFER_NULL;
	int rv;

	message_begin(&frame);
	rv = cluster_map_encode_for(map, guest->versions.highest, guest->map_version, &frame) == 0 ? 0 : ENOMEM;
	if (rv == 0)
		rv = message_end(&frame, &control->self.sender, MESSAGE_MAP, 0) == 0 ? 0 : ENOMEM;
	if (rv == 0) {
		uint64_t version = map->version;

		rv = control_answer(control, guest, &frame);
		if (rv == 0) {
			guest->map_version = version;
			guest->map_heard = map->heard;
		}
	}
	buffer_deinit(&frame);
	return rv;
}

void control_push_maps(struct control *control)
{
	const struct cluster_map *map = cluster_map(control->cluster);

	if (!control->maps_due)
		return;
	control->maps_due = false;
	for (uint32_t i = 0; i < control->guests.used; i++) {
		struct guest *guest = &control->guests.list[i];

		if (guest->name != 0 && guest->subscribed &&
		    (guest->map_version < map->version || guest->map_heard != map->heard) &&
		    send_map(control, guest) == EAGAIN)
			control->maps_due = true; /* it is slow: tried again with the next tick */
	}
}

/* --- messages ------------------------------------------------------------------------------------------- */

static void send_answer(struct control *control, struct guest *guest, const struct service_answer *answer)
{
	struct buffer frame = BUFFER_NULL;

	message_begin(&frame);
	buffer_bytes(&frame, answer->body.data, answer->body.size);
	if (message_end(&frame, &control->self.sender, answer->kind, 0) == 0)
		control_answer(control, guest, &frame);
	buffer_deinit(&frame);
}

void control_client_result(struct control *control, const struct propose_result *result)
{
	struct service_answer answer;
	struct guest *guest;
	uint64_t client;

	if (!service_result(&control->service, result, &client, &answer))
		return; /* a shard's: it looks at the row */
	guest = guests_by_name(&control->guests, client);
	if (guest != NULL)
		send_answer(control, guest, &answer);
	buffer_deinit(&answer.body);
}

void control_client_message(struct control *control, struct guest *guest, const struct message *message)
{
	struct service_ask ask = {message, guest->name, control->cluster, control->now_ms, clock_unix_us() / 1000u};
	struct service_answer answer;

	switch (service_take(&control->service, &ask, &answer)) {
	case SERVICE_NOTHING: break;
	case SERVICE_ANSWER: send_answer(control, guest, &answer); break;
	case SERVICE_MAP:
		guest->subscribed = true;
		guest->map_version = answer.since;
		if (send_map(control, guest) == EAGAIN)
			control->maps_due = true;
		break;
	case SERVICE_STRANGER:
		LOG_LIMITED(control->log, &control->counters.garbage, control->now_ms, control_garbage,
			    .observed = "a client's message of a kind that does not belong here");
		guests_remove(&control->guests, guest);
		break;
	}
	buffer_deinit(&answer.body);
}

/* What comes to a control port, as a node takes it (cluster_receive) and as clients are served (service_take), on a
 * formed cluster of one. Raft's own messages are left out: fuzz_raft_message has their bytes, and libraft trusts what
 * they say.
 *
 * Input: messages: u8 kind (and 128: from a client), u8 node id, u8 how the body begins (a ticket, nothing), u16 size,
 * body. */
#include <assert.h>
#include <stdlib.h>

#include "raft/client_service.h"
#include "tests/sim/control.h"

#define MESSAGES_MAX 32u
#define LIMIT_MS 1000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void from_client(struct control *control, struct client_service *service, const struct message *message)
{
	struct service_ask ask = {message, 7, control->nodes[0].cluster, control->now_ms, 1790000000000u};
	struct service_answer answer = {0};

	if (service_take(service, &ask, &answer) == SERVICE_ANSWER)
		assert(!answer.body.failed);
	buffer_deinit(&answer.body);
}

static void message_take(struct control *control, struct client_service *service, struct reader *in)
{
	uint8_t kind = reader_u8(in);
	struct message message = {.kind = (enum message_kind)(kind & 127)};
	uint16_t size;

	message.node_id = reader_u8(in);
	message.node_epoch = reader_u8(in);
	size = reader_u16(in);
	message.body = reader_bytes(in, size < reader_left(in) ? size : reader_left(in));
	if (in->failed || message.kind == MESSAGE_RAFT)
		return;
	if (kind & 128)
		from_client(control, service, &message);
	else if (control->nodes[0].cluster != NULL)
		cluster_receive(control->nodes[0].cluster, &message, control->now_ms);
	control_run(control, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_of(span_of(data, size_bytes));
	struct control *control = malloc(sizeof(*control));
	struct client_service *service = calloc(1, sizeof(*service));

	assert(control != NULL && service != NULL);
	control_init(control, 1, 1, false);
	control_start(control, 0);
	assert(control_until(control, control_all_in_sync, LIMIT_MS) < LIMIT_MS);
	for (uint32_t i = 0; i < MESSAGES_MAX && reader_left(&in) > 0; i++)
		message_take(control, service, &in);
	control_run(control, 20);
	control_deinit(control);
	free(service);
	free(control);
	return 0;
}

/* A Raft message from a peer. What was taken is encoded, taken again, and encodes to the same bytes. */
#include <assert.h>

#include "raft/raft_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void encode(struct raft_message *message, struct raft_route *route, struct buffer *out)
{
	message->server_id = route->to;
	assert(raft_codec_encode(message, route, out) == 0);
	raft_codec_discard(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct raft_message message;
	struct raft_route route;
	struct buffer first = BUFFER_NULL;
	struct buffer second = BUFFER_NULL;

	if (size_bytes > RAFT_CODEC_ENTRIES_MAX_BYTES ||
	    raft_codec_decode(span_of(data, size_bytes), &message, &route) != 0)
		return 0;
	encode(&message, &route, &first);
	assert(raft_codec_decode(buffer_span(&first), &message, &route) == 0);
	encode(&message, &route, &second);
	assert(span_equal(buffer_span(&first), buffer_span(&second)));
	buffer_deinit(&first);
	buffer_deinit(&second);
	return 0;
}

/* A frame from a socket: envelope, then the body by its kind. The first byte says what is made right before decoding:
 * 1 magic and body size, 2 the check; the rest is the frame. */
#include <assert.h>
#include <stdlib.h>

#include "proto/checksum.h"
#include "proto/message.h"
#include "tests/unit/message_samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void frame_mend(uint8_t mode, uint8_t *frame, size_t size)
{
	const struct span parts[] = {span_of(frame, 12), span_of(frame + 16, size - 16)};

	if (mode & 1) {
		memcpy(frame, "EVG1", 4);
		store_little(frame + 8, 4, size - MESSAGE_ENVELOPE_BYTES);
	}
	if (mode & 2)
		store_little(frame + 12, 4, checksum_parts(parts, 2) & UINT32_MAX);
}

/* What was read is written, and that reads and writes the same. */
static void body_round_trip(struct message message)
{
	struct buffer again = BUFFER_NULL;
	struct buffer twice = BUFFER_NULL;

	if (message_body_walk(&message, &again) == 0) {
		message.body = buffer_span(&again);
		assert(message_body_walk(&message, &twice) == 0);
		assert(span_equal(buffer_span(&again), buffer_span(&twice)));
	}
	buffer_deinit(&again);
	buffer_deinit(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct message message;
	size_t size = size_bytes == 0 ? 0 : size_bytes - 1;
	uint8_t *frame;

	if (size == 0)
		return 0;
	frame = malloc(size);
	assert(frame != NULL);
	memcpy(frame, data + 1, size);
	if (size >= MESSAGE_ENVELOPE_BYTES)
		frame_mend(data[0], frame, size);
	if (message_decode(span_of(frame, size), &message) == 0)
		body_round_trip(message);
	free(frame);
	return 0;
}

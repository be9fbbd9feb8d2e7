/* A view's definition and the payloads it meets, both from outside. Input: u16 size of the definition, the definition,
 * then events: u8 which type, u16 size of the payload, payload. The definition is compiled, defined in a log, and each
 * event is applied; the state must stay MessagePack of one map, and the digest must hold. */
#include <assert.h>
#include <stdlib.h>

#include "partition/state.h"
#include "proto/msgpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEYS 3u

static const char *const types[] = {"T", "U", "V", "W"};

struct run {
	struct state *state;
	struct batch_builder builder;
	uint64_t end;
};

static void run_batch(struct run *run, uint8_t flags)
{
	struct batch batch;

	batch_builder_finish(&run->builder, 0, 0, 0, flags, false);
	batch_stamp(run->builder.bytes.data, run->end, run->end, 1, 1700000000000000u + run->end);
	assert(batch_decode_stamped(buffer_span(&run->builder.bytes), &batch) == 0);
	run->end = batch_end_offset(&batch);
	assert(state_apply(run->state, &batch) == 0);
	batch_builder_reset(&run->builder, 1);
}

static void run_control(struct run *run, const struct control *control)
{
	struct buffer record = BUFFER_NULL;

	if (control_encode(control, &record) == 0 && batch_builder_add_raw(&run->builder, buffer_span(&record)) == 0)
		run_batch(run, BATCH_CONTROL);
	buffer_deinit(&record);
}

static void run_event(struct run *run, uint8_t choice, struct span payload)
{
	struct view_entry entry;
	struct event event = {
		.stream_id = 1,
		.type = span_of_text(types[choice % 4]),
		.key = span_of(&"abc"[choice / 4 % KEYS], 1),
		.id = span_of("1", 1),
		.payload = payload,
	};

	event.partition_key = event.key;
	if (batch_builder_add(&run->builder, &event) != 0)
		return;
	run_batch(run, 0);
	if (state_view_get(run->state, 1, event.key, event.key, &entry) == 0) {
		struct reader in = reader_of(entry.state);

		assert(msgpack_validate(entry.state) == 0);
		assert(msgpack_read_map(&in) >= 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = reader_of(span_of(data, size));
	struct run run = {.state = state_new(1)};
	struct span definition = reader_bytes(&in, reader_u16(&in));

	batch_builder_init(&run.builder, 1);
	run_control(&run, &(struct control){.kind = CONTROL_STREAM_DEFINED, .id = 1, .name = span_of_text("S")});
	run_control(&run, &(struct control){.kind = CONTROL_VIEW_DEFINED,
					    .id = 1,
					    .version = 1,
					    .name = span_of_text("v"),
					    .definition = definition});
	while (!in.failed && reader_left(&in) > 0) {
		uint8_t choice = reader_u8(&in);
		struct span payload = reader_bytes(&in, reader_u16(&in));

		if (!in.failed)
			run_event(&run, choice, payload);
	}
	assert(state_digest(run.state) == state_digest_recompute(run.state));
	batch_builder_deinit(&run.builder);
	state_free(run.state);
	return 0;
}

/* Control records, end to end, as they lie in a control batch. */
#include <assert.h>

#include "proto/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void control_round_trip(const struct control *control)
{
	struct buffer record = BUFFER_NULL;
	struct control again;
	struct reader in;

	assert(control_encode(control, &record) == 0);
	in = reader_of(buffer_span(&record));
	assert(control_decode(&in, &again) == 0);
	assert(reader_done(&in));
	assert(control->kind == again.kind && control->id == again.id && control->version == again.version);
	assert(span_equal(control->name, again.name) && span_equal(control->definition, again.definition));
	assert(span_equal(control->key, again.key) && span_equal(control->partition_key, again.partition_key));
	assert(control->offset == again.offset);
	buffer_deinit(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_of(span_of(data, size_bytes));
	struct control control;

	while (!in.failed && !reader_done(&in)) {
		if (control_decode(&in, &control) == 0)
			control_round_trip(&control);
	}
	return 0;
}

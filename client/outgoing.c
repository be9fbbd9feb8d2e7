/* Gathering events into a batch, keeping count of its copies, building it anew without some of its records. */
#include "client/outgoing.h"

#include <assert.h>
#include <stdlib.h>

struct outgoing *outgoing_new(uint16_t partition)
{
	struct outgoing *outgoing = calloc(1, sizeof *outgoing);

	if (outgoing != NULL)
		batch_builder_init(&outgoing->builder, partition);
	return outgoing;
}

struct outgoing *outgoing_free(struct outgoing *outgoing)
{
	if (outgoing != NULL) {
		batch_builder_deinit(&outgoing->builder);
		buffer_deinit(&outgoing->checks);
		free(outgoing->events);
		free(outgoing);
	}
	return NULL;
}

void outgoing_reset(struct outgoing *outgoing, uint16_t partition)
{
	struct outgoing fresh = {.builder = outgoing->builder, .events = outgoing->events, .checks = outgoing->checks};

	fresh.event_capacity = outgoing->event_capacity;
	batch_builder_reset(&fresh.builder, partition);
	buffer_clear(&fresh.checks);
	*outgoing = fresh;
}

/* --- gathering ---------------------------------------------------------------------------------------------------- */

static int outgoing_reserve(struct outgoing *outgoing)
{
	uint32_t capacity = outgoing->event_capacity;
	struct outgoing_event *events;

	if (outgoing_count(outgoing) < capacity)
		return 0;
	capacity = capacity == 0 ? 8 : capacity * 2;
	events = realloc(outgoing->events, capacity * sizeof *events);
	if (events == NULL)
		return ERROR_MEMORY;
	outgoing->events = events;
	outgoing->event_capacity = capacity;
	return 0;
}

/* Room for one more encoded check, so that nothing can fail after the record is in. */
static int outgoing_reserve_check(struct outgoing *outgoing)
{
	size_t size = outgoing->checks.size;
	struct check none = {0};

	check_encode(&none, &outgoing->checks);
	if (outgoing->checks.failed) {
		outgoing->checks.failed = false;
		return ERROR_MEMORY;
	}
	outgoing->checks.size = size;
	return 0;
}

static void outgoing_note(struct outgoing *outgoing, uint32_t record, const struct check *check,
			  struct outgoing_event event)
{
	struct check own;

	outgoing->events[record] = event;
	if (check == NULL || check->kind == CHECK_ANY)
		return;
	own = *check;
	own.record = (uint16_t)record;
	check_encode(&own, &outgoing->checks);
	assert(!outgoing->checks.failed);
	outgoing->check_count++;
}

int outgoing_add(struct outgoing *outgoing, const struct event *event, const struct check *check, uint64_t tag,
		 uint64_t now_ms)
{
	uint32_t record = outgoing_count(outgoing);
	int rv = outgoing_reserve(outgoing);

	assert(outgoing->number == 0);
	if (rv == 0 && check != NULL)
		rv = outgoing_reserve_check(outgoing);
	if (rv == 0)
		rv = batch_builder_add(&outgoing->builder, event);
	if (rv == 0)
		outgoing_note(outgoing, record, check, (struct outgoing_event){tag, now_ms});
	return rv;
}

void outgoing_finish(struct outgoing *outgoing, uint64_t producer_id, uint32_t number, bool compress)
{
	assert(outgoing->number == 0 && number > 0);
	assert(producer_id != 0);
	(void)batch_builder_finish(&outgoing->builder, producer_id, 0, number, 0, compress);
	outgoing->number = number;
	outgoing->due = true;
}

/* --- copies ------------------------------------------------------------------------------------------------------- */

void outgoing_copy_add(struct outgoing *outgoing, uint64_t ticket, uint64_t now_ms)
{
	assert(outgoing->number > 0);
	assert(!outgoing->done);
	if (outgoing->copy_count == OUTGOING_COPIES) {
		memmove(outgoing->copies, outgoing->copies + 1, (OUTGOING_COPIES - 1) * sizeof *outgoing->copies);
		outgoing->copy_count--;
		outgoing->forgotten = true;
	}
	outgoing->copies[outgoing->copy_count++] = ticket;
	outgoing->sent_ms = now_ms;
	outgoing->due = false;
}

bool outgoing_copy_take(struct outgoing *outgoing, uint64_t ticket)
{
	for (uint8_t i = 0; i < outgoing->copy_count; i++) {
		if (outgoing->copies[i] != ticket)
			continue;
		outgoing->copy_count--;
		memmove(outgoing->copies + i, outgoing->copies + i + 1,
			(size_t)(outgoing->copy_count - i) * sizeof *outgoing->copies);
		return true;
	}
	return false;
}

bool outgoing_copies_take(struct outgoing *outgoing, uint64_t first, uint32_t count)
{
	uint8_t left = 0;
	bool any;

	for (uint8_t i = 0; i < outgoing->copy_count; i++) {
		if (outgoing->copies[i] - first >= count)
			outgoing->copies[left++] = outgoing->copies[i];
	}
	any = left < outgoing->copy_count;
	outgoing->copy_count = left;
	return any;
}

/* --- building anew ------------------------------------------------------------------------------------------------ */

/* Checks lie in the order of their records and are of one size. */
bool outgoing_check(const struct outgoing *outgoing, uint32_t record, struct check *check)
{
	uint32_t low = 0;
	uint32_t high = outgoing->check_count;
	size_t width = high == 0 ? 0 : outgoing->checks.size / high;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		struct reader in = reader_of(span_of(outgoing->checks.data + middle * width, width));
		if (check_decode(&in, check) != 0)
			return false;
		if (check->record == record)
			return true;
		if (check->record < record)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static int outgoing_copy_record(struct outgoing *to, struct span record, struct outgoing_event event,
				const struct check *check)
{
	uint32_t at = outgoing_count(to);
	int rv = outgoing_reserve(to);

	if (rv == 0)
		rv = outgoing_reserve_check(to);
	if (rv == 0)
		rv = batch_builder_add_raw(&to->builder, record);
	if (rv == 0)
		outgoing_note(to, at, check, event);
	return rv;
}

/* The records of a finished batch may be compressed; those of an open one lie behind the header's place. */
static int outgoing_records(const struct outgoing *outgoing, struct buffer *scratch, struct span *records)
{
	struct span bytes = buffer_span(&outgoing->builder.bytes);
	struct batch batch;

	if (outgoing->number == 0) {
		*records = span_of(bytes.data + BATCH_HEADER_BYTES, bytes.size - BATCH_HEADER_BYTES);
		return 0;
	}
	if (batch_decode_trusted(bytes, &batch) != 0)
		return ERROR_INTERNAL;
	return batch_records(&batch, scratch, records);
}

int outgoing_rebuild(const struct outgoing *from, const struct outgoing_drops *drops, struct outgoing *to)
{
	struct buffer scratch = BUFFER_NULL;
	struct span records;
	struct reader in;
	int rv;

	assert(outgoing_count(to) == 0 && to->number == 0);
	rv = outgoing_records(from, &scratch, &records);
	in = reader_of(rv == 0 ? records : SPAN_NULL);
	for (uint32_t i = 0; rv == 0 && i < outgoing_count(from); i++) {
		const uint8_t *at = in.at;
		struct check check;
		bool checked;

		reader_string(&in, BATCH_MAX_BYTES);
		assert(!in.failed);
		if (i < from->told || (drops != NULL && outgoing_drops_has(drops, i)))
			continue;
		checked = outgoing_check(from, i, &check);
		rv = outgoing_copy_record(to, span_of(at, (size_t)(in.at - at)), from->events[i],
					  checked ? &check : NULL);
	}
	buffer_deinit(&scratch);
	return rv;
}

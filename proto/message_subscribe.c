/* Bodies of SUBSCRIBE and what belongs to it. */
#include <assert.h>

#include "proto/message.h"

#define PLACE_BYTES 14u

/* --- subscribe: u64 subscription, u32 generation, u64 credit, u8 n, n x u32 stream id, u8 n, n x string type, u16 n,
 *     n x place; place: u16 partition, u64 from, u32 history */

void subscribe_encode(const struct subscribe *subscribe, struct buffer *out)
{
	assert(subscribe->stream_count <= SUBSCRIBE_FILTERS_MAX);
	assert(subscribe->type_count <= SUBSCRIBE_FILTERS_MAX);
	assert(subscribe->place_count <= PARTITION_COUNT);
	buffer_u64(out, subscribe->subscription);
	buffer_u32(out, subscribe->generation);
	buffer_u64(out, subscribe->credit);
	buffer_u8(out, (uint8_t)subscribe->stream_count);
	buffer_bytes(out, subscribe->streams.data, subscribe->streams.size);
	buffer_u8(out, (uint8_t)subscribe->type_count);
	buffer_bytes(out, subscribe->types.data, subscribe->types.size);
	buffer_u16(out, (uint16_t)subscribe->place_count);
	buffer_bytes(out, subscribe->places.data, subscribe->places.size);
}

/* What the reader passes over, as one span. */
static struct span passed(const uint8_t *from, const struct reader *in)
{
	return in->failed || in->at == from ? SPAN_NULL : span_of(from, (size_t)(in->at - from));
}

int subscribe_decode(struct reader *in, struct subscribe *subscribe)
{
	const uint8_t *from;

	subscribe->subscription = reader_u64(in);
	subscribe->generation = reader_u32(in);
	subscribe->credit = reader_u64(in);
	subscribe->stream_count = reader_u8(in);
	subscribe->streams = reader_bytes(in, subscribe->stream_count * 4u);
	subscribe->type_count = reader_u8(in);
	from = in->at;
	for (uint32_t i = 0; i < subscribe->type_count && !in->failed; i++)
		(void)reader_string(in, NAME_MAX_BYTES);
	subscribe->types = passed(from, in);
	subscribe->place_count = reader_u16(in);
	if (in->failed || subscribe->stream_count > SUBSCRIBE_FILTERS_MAX ||
	    subscribe->type_count > SUBSCRIBE_FILTERS_MAX || subscribe->place_count > PARTITION_COUNT)
		return ERROR_MALFORMED;
	from = in->at;
	for (uint32_t i = 0; i < subscribe->place_count; i++) {
		struct subscribe_place place;
		if (subscribe_place_decode(in, &place) != 0)
			return ERROR_MALFORMED;
	}
	subscribe->places = passed(from, in);
	return 0;
}

void subscribe_place_encode(const struct subscribe_place *place, struct buffer *out)
{
	buffer_u16(out, place->partition);
	buffer_u64(out, place->from);
	buffer_u32(out, place->history);
}

int subscribe_place_decode(struct reader *in, struct subscribe_place *place)
{
	place->partition = reader_u16(in);
	place->from = reader_u64(in);
	place->history = reader_u32(in);
	return in->failed || place->partition >= PARTITION_COUNT ? ERROR_MALFORMED : 0;
}

/* --- events: u64 subscription, u32 generation, u32 number, u16 partition, u16 error, u64 from, u64 next, u64 end, u32
 *     history, u32 size, batches */

void events_item_encode(const struct events_item *item, struct buffer *out)
{
	assert(item->batches.size <= MESSAGE_MAX_BYTES);
	buffer_u64(out, item->subscription);
	buffer_u32(out, item->generation);
	buffer_u32(out, item->number);
	buffer_u16(out, item->partition);
	buffer_u16(out, item->error);
	buffer_u64(out, item->from);
	buffer_u64(out, item->next);
	buffer_u64(out, item->end);
	buffer_u32(out, item->history);
	buffer_u32(out, (uint32_t)item->batches.size);
	buffer_bytes(out, item->batches.data, item->batches.size);
}

int events_item_decode(struct reader *in, struct events_item *item)
{
	item->subscription = reader_u64(in);
	item->generation = reader_u32(in);
	item->number = reader_u32(in);
	item->partition = reader_u16(in);
	item->error = reader_u16(in);
	item->from = reader_u64(in);
	item->next = reader_u64(in);
	item->end = reader_u64(in);
	item->history = reader_u32(in);
	item->batches = reader_bytes(in, reader_u32(in));
	if (in->failed || item->partition >= PARTITION_COUNT || item->next < item->from)
		return ERROR_MALFORMED;
	return 0;
}

/* --- credit: u64 subscription, u32 generation, u64 credit. credit done: u64 subscription, u32 generation, u16 error,
 *     u32 number. unsubscribe: u64 subscription, u32 generation */

void credit_item_encode(const struct credit_item *item, struct buffer *out)
{
	buffer_u64(out, item->subscription);
	buffer_u32(out, item->generation);
	buffer_u64(out, item->credit);
}

int credit_item_decode(struct reader *in, struct credit_item *item)
{
	item->subscription = reader_u64(in);
	item->generation = reader_u32(in);
	item->credit = reader_u64(in);
	return in->failed ? ERROR_MALFORMED : 0;
}

void credit_done_encode(const struct credit_done *done, struct buffer *out)
{
	buffer_u64(out, done->subscription);
	buffer_u32(out, done->generation);
	buffer_u16(out, done->error);
	buffer_u32(out, done->number);
}

int credit_done_decode(struct reader *in, struct credit_done *done)
{
	done->subscription = reader_u64(in);
	done->generation = reader_u32(in);
	done->error = reader_u16(in);
	done->number = reader_u32(in);
	return in->failed ? ERROR_MALFORMED : 0;
}

void unsubscribe_item_encode(const struct unsubscribe_item *item, struct buffer *out)
{
	buffer_u64(out, item->subscription);
	buffer_u32(out, item->generation);
}

int unsubscribe_item_decode(struct reader *in, struct unsubscribe_item *item)
{
	item->subscription = reader_u64(in);
	item->generation = reader_u32(in);
	return in->failed ? ERROR_MALFORMED : 0;
}

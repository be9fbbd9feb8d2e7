/* Partitioner, sequences, positions, UUIDs and producer ids. */
#include "proto/identity.h"

#include <assert.h>
#include <xxhash.h>

#define SEQUENCE_MS_BITS 42u
#define SEQUENCE_MS_MAX (((uint64_t)1 << SEQUENCE_MS_BITS) - 1)
#define SEQUENCE_COUNTER_END (1u << SEQUENCE_COUNTER_BITS)

_Static_assert(SEQUENCE_MS_BITS + SEQUENCE_PARTITION_BITS + SEQUENCE_COUNTER_BITS == 64, "a sequence is 64 bits");
_Static_assert(PARTITION_COUNT <= 1u << SEQUENCE_PARTITION_BITS, "every partition fits a sequence");

uint16_t partition_of(struct span partition_key)
{
	return (uint16_t)(XXH64(partition_key.data, partition_key.size, 0) % PARTITION_COUNT);
}

/* --- sequence ----------------------------------------------------------------------------------------------- */

/* A clock before 2020 counts as the first millisecond, so that no sequence is 0. */
static uint64_t ms_since_2020(uint64_t unix_ms)
{
	return unix_ms <= SEQUENCE_EPOCH_UNIX_MS ? 1 : unix_ms - SEQUENCE_EPOCH_UNIX_MS;
}

static uint64_t sequence_pack(uint64_t ms, uint16_t partition, uint32_t counter)
{
	assert(ms <= SEQUENCE_MS_MAX);
	assert(partition < PARTITION_COUNT);
	assert(counter < SEQUENCE_COUNTER_END);
	return ms << (SEQUENCE_PARTITION_BITS + SEQUENCE_COUNTER_BITS) | (uint64_t)partition << SEQUENCE_COUNTER_BITS |
	       counter;
}

uint64_t sequence_make(uint64_t unix_ms, uint16_t partition, uint16_t counter)
{
	return sequence_pack(ms_since_2020(unix_ms), partition, counter);
}

uint64_t sequence_unix_ms(uint64_t sequence)
{
	return (sequence >> (SEQUENCE_PARTITION_BITS + SEQUENCE_COUNTER_BITS)) + SEQUENCE_EPOCH_UNIX_MS;
}

uint16_t sequence_partition(uint64_t sequence)
{
	return (uint16_t)(sequence >> SEQUENCE_COUNTER_BITS & ((1u << SEQUENCE_PARTITION_BITS) - 1));
}

uint64_t sequence_next(uint64_t last, uint64_t unix_ms, uint16_t partition, uint16_t count)
{
	uint64_t now_ms = ms_since_2020(unix_ms);
	uint64_t last_ms = last >> (SEQUENCE_PARTITION_BITS + SEQUENCE_COUNTER_BITS);
	uint32_t counter = (uint32_t)(last & (SEQUENCE_COUNTER_END - 1)) + 1;

	assert(count >= 1 && count <= SEQUENCE_COUNTER_END / 2);
	assert(last == 0 || sequence_partition(last) == partition);
	if (last == 0 || now_ms > last_ms)
		return sequence_pack(now_ms, partition, 0);
	if (counter + count > SEQUENCE_COUNTER_END)
		return sequence_pack(last_ms + 1, partition, 0);
	return sequence_pack(last_ms, partition, counter);
}

bool sequence_is_sound(uint64_t base, uint16_t partition, uint16_t count)
{
	uint64_t ms = base >> (SEQUENCE_PARTITION_BITS + SEQUENCE_COUNTER_BITS);

	return sequence_partition(base) == partition &&
	       (base & (SEQUENCE_COUNTER_END - 1)) + count <= SEQUENCE_COUNTER_END && ms < SEQUENCE_MS_MAX - UINT32_MAX;
}

/* --- position ----------------------------------------------------------------------------------------------- */

void position_format(struct position p, char text[POSITION_TEXT_BYTES])
{
	size_t size = decimal_format(p.partition, text);

	text[size++] = ':';
	size += decimal_format(p.offset, text + size);
	if (p.history != HISTORY_ANY) {
		text[size++] = '@';
		size += decimal_format(p.history, text + size);
	}
	assert(size < POSITION_TEXT_BYTES);
	text[size] = '\0';
}

/* Only the canonical form: digits, no leading zero, at most `max`. */
static int decimal_parse(struct span text, uint64_t max, uint64_t *value)
{
	uint64_t sum = 0;

	if (text.size == 0 || (text.size > 1 && text.data[0] == '0'))
		return 1;
	for (size_t i = 0; i < text.size; i++) {
		uint64_t digit = (uint64_t)text.data[i] - '0';
		if (digit > 9 || sum > max / 10 || sum * 10 > max - digit)
			return 1;
		sum = sum * 10 + digit;
	}
	*value = sum;
	return 0;
}

int position_parse(struct span text, struct position *position)
{
	const uint8_t *colon = text.size == 0 ? NULL : memchr(text.data, ':', text.size);
	const uint8_t *at = text.size == 0 ? NULL : memchr(text.data, '@', text.size);
	const uint8_t *end;
	uint64_t partition = 0;
	uint64_t history = HISTORY_ANY;
	uint64_t offset = 0;

	if (colon == NULL || (at != NULL && at < colon))
		return 1;
	end = text.data + text.size;
	if (at != NULL && decimal_parse(span_of(at + 1, (size_t)(end - at - 1)), HISTORY_ANY - 1, &history) != 0)
		return 1;
	end = at == NULL ? end : at;
	if (decimal_parse(span_of(text.data, (size_t)(colon - text.data)), PARTITION_COUNT - 1, &partition) != 0 ||
	    decimal_parse(span_of(colon + 1, (size_t)(end - colon - 1)), UINT64_MAX, &offset) != 0)
		return 1;
	*position = (struct position){(uint16_t)partition, (uint32_t)history, offset};
	return 0;
}

/* --- UUIDv7 ------------------------------------------------------------------------------------------------- */

void uuid_v7(uint64_t unix_ms, const uint8_t random[10], uint8_t uuid[UUID_BYTES])
{
	for (unsigned i = 0; i < 6; i++)
		uuid[i] = (uint8_t)(unix_ms >> (40 - 8 * i)); /* big-endian: RFC 9562, 5.7 */
	memcpy(uuid + 6, random, 10);
	uuid[6] = (uint8_t)(0x70 | (uuid[6] & 0x0f));
	uuid[8] = (uint8_t)(0x80 | (uuid[8] & 0x3f));
}

static bool uuid_dash_at(size_t place)
{
	return place == 8 || place == 13 || place == 18 || place == 23;
}

void uuid_format(const uint8_t uuid[UUID_BYTES], char text[UUID_TEXT_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	size_t place = 0;

	for (size_t i = 0; i < UUID_BYTES; i++) {
		if (uuid_dash_at(place))
			text[place++] = '-';
		text[place++] = digits[uuid[i] >> 4];
		text[place++] = digits[uuid[i] & 0x0f];
	}
	assert(place == UUID_TEXT_BYTES - 1);
	text[place] = '\0';
}

/* Lower case only: what is parsed is printed the same, so an id in this form may be kept as 16 bytes. */
static int hex_digit(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

int uuid_parse(struct span text, uint8_t uuid[UUID_BYTES])
{
	uint8_t bytes[UUID_BYTES];
	size_t place = 0;

	if (text.size != UUID_TEXT_BYTES - 1)
		return 1;
	for (size_t i = 0; i < UUID_BYTES; i++) {
		int high;
		int low;
		if (uuid_dash_at(place) && text.data[place++] != '-')
			return 1;
		high = hex_digit(text.data[place]);
		low = hex_digit(text.data[place + 1]);
		if (high < 0 || low < 0)
			return 1;
		bytes[i] = (uint8_t)(high << 4 | low);
		place += 2;
	}
	memcpy(uuid, bytes, UUID_BYTES);
	return 0;
}

/* --- producer id -------------------------------------------------------------------------------------------- */

#define PRODUCER_NODE_BITS 10u
#define PRODUCER_COUNTER_BITS 12u

_Static_assert(NODES_MAX < 1u << PRODUCER_NODE_BITS, "every node id fits a producer id");

uint64_t producer_id_make(uint64_t unix_ms, uint32_t node_id, uint32_t counter)
{
	uint64_t ms = ms_since_2020(unix_ms);

	assert(ms <= SEQUENCE_MS_MAX);
	assert(node_id < 1u << PRODUCER_NODE_BITS);
	return ms << (PRODUCER_NODE_BITS + PRODUCER_COUNTER_BITS) | (uint64_t)node_id << PRODUCER_COUNTER_BITS |
	       (counter & ((1u << PRODUCER_COUNTER_BITS) - 1));
}

uint64_t producer_id_unix_ms(uint64_t producer_id)
{
	return (producer_id >> (PRODUCER_NODE_BITS + PRODUCER_COUNTER_BITS)) + SEQUENCE_EPOCH_UNIX_MS;
}

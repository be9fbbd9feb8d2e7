/* A cursor's text: "evc2." and base64url (RFC 4648, 5; no padding) of
 *   16 bytes cluster id
 *   271 x varint: next[p] - next[p - 1] modulo 2^64, zigzag coded (next[-1] is 0): small when partitions fill alike
 *   histories as runs, until all partitions are covered: varint partitions (1 or more), varint history (32 bits);
 *     runs that follow each other differ
 *   u32 check: low half of XXH3-64 of all bytes before it */
#include "proto/checksum.h"
#include "proto/error.h"
#include "proto/identity.h"

#define CURSOR_PREFIX "evc2."
#define CURSOR_MIN_BYTES (16u + PARTITION_COUNT + 3u + 4u)
#define CURSOR_MAX_BYTES (16u + PARTITION_COUNT * (10u + 2u + 5u) + 4u)
#define BASE64_SIZE(bytes) (((bytes)*4u + 2u) / 3u)

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static uint64_t zigzag(uint64_t difference)
{
	return difference << 1 ^ (0 - (difference >> 63));
}

static uint64_t zigzag_undo(uint64_t coded)
{
	return coded >> 1 ^ (0 - (coded & 1));
}

static void base64_encode(struct span bytes, uint8_t *text)
{
	uint32_t bits = 0;
	unsigned held = 0;

	for (size_t i = 0; i < bytes.size; i++) {
		bits = bits << 8 | bytes.data[i];
		for (held += 8; held >= 6; held -= 6)
			*text++ = (uint8_t)base64_digits[bits >> (held - 6) & 0x3f];
	}
	if (held > 0)
		*text = (uint8_t)base64_digits[bits << (6 - held) & 0x3f];
}

static int base64_digit(uint8_t character)
{
	const char *at = character == 0 ? NULL : strchr(base64_digits, character);

	return at == NULL ? -1 : (int)(at - base64_digits);
}

/* 0, or 1: another character, or a last digit whose unused bits are set. `bytes` holds text.size * 3 / 4. */
static int base64_decode(struct span text, uint8_t *bytes)
{
	uint32_t bits = 0;
	unsigned held = 0;

	for (size_t i = 0; i < text.size; i++) {
		int digit = base64_digit(text.data[i]);
		if (digit < 0)
			return 1;
		bits = bits << 6 | (uint32_t)digit;
		held += 6;
		if (held >= 8) {
			held -= 8;
			*bytes++ = (uint8_t)(bits >> held);
		}
	}
	return held >= 6 || (bits & ((1u << held) - 1)) != 0;
}

static size_t runs_write(const uint32_t history[PARTITION_COUNT], uint8_t *bytes)
{
	size_t size = 0;
	size_t end;

	for (size_t p = 0; p < PARTITION_COUNT; p = end) {
		for (end = p + 1; end < PARTITION_COUNT && history[end] == history[p];)
			end++;
		size += varint_store(bytes + size, end - p);
		size += varint_store(bytes + size, history[p]);
	}
	return size;
}

/* 0, or 1: not what runs_write makes. */
static int runs_read(struct reader *in, uint32_t history[PARTITION_COUNT])
{
	for (size_t p = 0; p < PARTITION_COUNT;) {
		uint64_t count = reader_varint(in);
		uint64_t value = reader_varint(in);

		if (in->failed || count == 0 || count > PARTITION_COUNT - p || value > UINT32_MAX ||
		    (p > 0 && value == history[p - 1]))
			return 1;
		for (; count > 0; count--)
			history[p++] = (uint32_t)value;
	}
	return 0;
}

int cursor_encode(const struct cursor *cursor, struct buffer *text)
{
	uint8_t bytes[CURSOR_MAX_BYTES];
	size_t size = sizeof cursor->cluster_id;
	uint64_t before = 0;
	struct span whole;
	uint8_t *at;

	memcpy(bytes, cursor->cluster_id, size);
	for (size_t p = 0; p < PARTITION_COUNT; p++) {
		size += varint_store(bytes + size, zigzag(cursor->next[p] - before));
		before = cursor->next[p];
	}
	size += runs_write(cursor->history, bytes + size);
	whole = span_of(bytes, size);
	store_little(bytes + size, 4, checksum_parts_low(&whole, 1));
	size += 4;
	at = buffer_extend(text, strlen(CURSOR_PREFIX) + BASE64_SIZE(size));
	if (at == NULL)
		return ERROR_MEMORY;
	memcpy(at, CURSOR_PREFIX, strlen(CURSOR_PREFIX));
	base64_encode(span_of(bytes, size), at + strlen(CURSOR_PREFIX));
	return 0;
}

static int cursor_read(struct span bytes, struct cursor *cursor)
{
	struct span checked = span_of(bytes.data, bytes.size - 4);
	struct reader in = reader_of(checked);
	uint64_t before = 0;

	if (load_little(bytes.data + checked.size, 4) != checksum_parts_low(&checked, 1))
		return 1;
	memcpy(cursor->cluster_id, reader_bytes(&in, sizeof cursor->cluster_id).data, sizeof cursor->cluster_id);
	for (size_t p = 0; p < PARTITION_COUNT; p++) {
		before += zigzag_undo(reader_varint(&in));
		cursor->next[p] = before;
	}
	return runs_read(&in, cursor->history) == 0 && reader_done(&in) ? 0 : 1;
}

int cursor_decode(struct span text, struct cursor *cursor)
{
	uint8_t bytes[CURSOR_MAX_BYTES];
	struct cursor decoded = {{0}, {0}, {0}};
	struct reader in = reader_of(text);
	struct span prefix = reader_bytes(&in, strlen(CURSOR_PREFIX));
	size_t size;

	if (!span_equal(prefix, span_of_text(CURSOR_PREFIX)))
		return 1;
	size = reader_left(&in) * 3 / 4;
	if (size < CURSOR_MIN_BYTES || size > CURSOR_MAX_BYTES)
		return 1;
	if (base64_decode(span_of(in.at, reader_left(&in)), bytes) != 0 ||
	    cursor_read(span_of(bytes, size), &decoded) != 0)
		return 1;
	*cursor = decoded;
	return 0;
}

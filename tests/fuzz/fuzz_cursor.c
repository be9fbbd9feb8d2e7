/* Texts that users hand in: cursor, position, UUID. The input is taken as such a text, and as a cursor's bytes, to
 * which the harness adds check and base64 so that the fuzzer comes past them. */
#include <assert.h>

#include "proto/checksum.h"
#include "proto/identity.h"

#define BYTES_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void cursor_read(struct span text)
{
	struct cursor cursor;
	struct cursor again;
	struct buffer written = BUFFER_NULL;

	if (cursor_decode(text, &cursor) != 0)
		return;
	assert(cursor_encode(&cursor, &written) == 0);
	assert(cursor_decode(buffer_span(&written), &again) == 0);
	assert(memcmp(cursor.cluster_id, again.cluster_id, sizeof cursor.cluster_id) == 0);
	assert(memcmp(cursor.next, again.next, sizeof cursor.next) == 0);
	assert(memcmp(cursor.history, again.history, sizeof cursor.history) == 0);
	buffer_deinit(&written);
}

static void short_texts_read(struct span text)
{
	struct position position;
	uint8_t uuid[UUID_BYTES];
	char position_text[POSITION_TEXT_BYTES];
	char uuid_text[UUID_TEXT_BYTES];

	if (position_parse(text, &position) == 0) {
		position_format(position, position_text);
		assert(span_equal(text, span_of_text(position_text)));
	}
	if (uuid_parse(text, uuid) == 0) {
		uuid_format(uuid, uuid_text);
		assert(span_equal(text, span_of_text(uuid_text)));
	}
}

static size_t text_of(struct span bytes, uint8_t *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t size = 5;

	memcpy(text, "evc2.", size);
	for (size_t bit = 0; bit < bytes.size * 8; bit += 6) {
		size_t at = bit / 8;
		uint32_t pair = (uint32_t)bytes.data[at] << 8 | (at + 1 < bytes.size ? bytes.data[at + 1] : 0u);
		text[size++] = (uint8_t)digits[pair >> (10 - bit % 8) & 0x3f];
	}
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	static uint8_t bytes[BYTES_MAX + 4];
	static uint8_t text[2 * BYTES_MAX];
	struct span whole = span_of(data, size_bytes);

	cursor_read(whole);
	short_texts_read(whole);
	if (size_bytes == 0 || size_bytes > BYTES_MAX)
		return 0;
	memcpy(bytes, data, size_bytes);
	store_little(bytes + size_bytes, 4, checksum_parts_low(&whole, 1));
	cursor_read(span_of(text, text_of(span_of(bytes, size_bytes + 4), text)));
	return 0;
}

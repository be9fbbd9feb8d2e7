/* LZ4 blocks; bounds are checked before memory is taken. */
#include "proto/compress.h"

#include <assert.h>
#include <lz4.h>

#include "proto/error.h"

#define LZ4_GREATEST_RATIO 255u /* one length byte stands for at most 255 bytes */

int compress_block(struct span in, size_t max_bytes, struct buffer *out, bool *paid)
{
	size_t before = out->size;
	uint8_t *at;
	int written;

	assert(!out->failed);
	assert(in.size > 0 && in.size <= LZ4_MAX_INPUT_SIZE);
	*paid = false;
	if (max_bytes > in.size)
		max_bytes = in.size;
	at = buffer_extend(out, max_bytes);
	if (at == NULL) {
		out->failed = false;
		return ERROR_MEMORY;
	}
	written = LZ4_compress_default((const char *)in.data, (char *)at, (int)in.size, (int)max_bytes);
	*paid = written > 0;
	out->size = before + (written > 0 ? (size_t)written : 0);
	return 0;
}

int decompress_block(struct span block, size_t size_bytes, struct buffer *out)
{
	size_t before = out->size;
	uint8_t *at;
	int opened;

	assert(!out->failed);
	if (block.size == 0 || block.size > LZ4_MAX_INPUT_SIZE || size_bytes > LZ4_MAX_INPUT_SIZE ||
	    size_bytes > block.size * LZ4_GREATEST_RATIO)
		return ERROR_MALFORMED;
	at = buffer_extend(out, size_bytes);
	if (at == NULL) {
		out->failed = false;
		return ERROR_MEMORY;
	}
	opened = LZ4_decompress_safe((const char *)block.data, (char *)at, (int)block.size, (int)size_bytes);
	if (opened < 0 || (size_t)opened != size_bytes) {
		out->size = before;
		return ERROR_MALFORMED;
	}
	return 0;
}

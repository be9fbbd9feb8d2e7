/* XXH3-64 over parts: in one call when they are small, else streamed. */
#include "proto/checksum.h"

/* Inlined: the state lies on the stack, so its layout must be the compiled code's, whatever library is installed. */
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Up to here the parts are copied and hashed in one call: setting up the streaming state costs more than that. */
#define ONE_CALL_MAX_BYTES 512u

static uint64_t checksum_small(const struct span *parts, size_t count)
{
	uint8_t whole[ONE_CALL_MAX_BYTES];
	size_t size = 0;

	for (size_t i = 0; i < count; i++) {
		if (parts[i].size > 0)
			memcpy(whole + size, parts[i].data, parts[i].size);
		size += parts[i].size;
	}
	return XXH3_64bits(whole, size);
}

uint64_t checksum_parts(const struct span *parts, size_t count)
{
	XXH3_state_t state;
	size_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += parts[i].size;
	if (total <= ONE_CALL_MAX_BYTES)
		return checksum_small(parts, count);
	XXH3_64bits_reset(&state);
	for (size_t i = 0; i < count; i++)
		if (parts[i].size > 0)
			XXH3_64bits_update(&state, parts[i].data, parts[i].size);
	return XXH3_64bits_digest(&state);
}

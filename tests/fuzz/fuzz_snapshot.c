/* A snapshot's bytes from a disk that lies: state_restore must refuse or restore, never crash, and what it has restored
 * must have the digest it claims. The input stands for the snapshot without its checksum, which is put right, so that
 * the fuzzer gets past it; the first byte says whether to do that. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "partition/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void restore(struct span snapshot)
{
	struct state *state = state_new(11);
	struct buffer again = BUFFER_NULL;
	uint64_t digest;

	if (state == NULL)
		return;
	digest = state_digest(state);
	if (state_restore(state, snapshot) != 0) {
		assert(state_digest(state) == digest);
		assert(state_applied(state) == 0);
	} else {
		assert(state_digest(state) == state_digest_recompute(state));
		assert(state_snapshot(state, &again) == 0);
		digest = state_digest(state);
		assert(state_restore(state, buffer_span(&again)) == 0);
		assert(state_digest(state) == digest);
	}
	buffer_deinit(&again);
	state_free(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes;

	if (size == 0)
		return 0;
	bytes = malloc(size - 1 + 8);
	if (bytes == NULL)
		return 0;
	memcpy(bytes, data + 1, size - 1);
	if (data[0] & 1) {
		store_little(bytes + size - 1, 8, XXH3_64bits(bytes, size - 1));
		restore(span_of(bytes, size - 1 + 8));
	} else {
		restore(span_of(bytes, size - 1));
	}
	free(bytes);
	return 0;
}

/* Metadata commands, one after the other, on a machine of three nodes: what command_check lets pass is applied
 * without an error, and leaves every row sound (metadata_apply asserts it). */
#include <stdlib.h>

#include "tests/fuzz/metadata_made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct metadata *metadata = malloc(sizeof(*metadata));
	struct reader in = reader_of(span_of(data, size_bytes));

	assert(metadata != NULL);
	metadata_init(metadata);
	metadata_make_nodes(metadata);
	metadata_make_rows(metadata);
	while (reader_left(&in) > 0) {
		const uint8_t *begin = in.at;
		struct command command;

		if (command_decode(&in, &command) != 0)
			break;
		if (command_check(span_of(begin, (size_t)(in.at - begin))) == 0)
			metadata_take(metadata, span_of(begin, (size_t)(in.at - begin)));
	}
	metadata_deinit(metadata);
	free(metadata);
	return 0;
}

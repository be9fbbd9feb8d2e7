/* Texts that a node reads when it starts: its configuration, the identity in its data directory, the names of its
 * segments. An identity and a name that were taken are written as they were.
 *
 * Input: u8 what: 0 the configuration's file, 1 a flag, 2 an identity, 3 a file's name; text. */
#include <assert.h>
#include <stdlib.h>

#include "node/config.h"
#include "node/directory.h"
#include "node/segment_names.h"
#include "proto/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void config_take(const char *text, size_t size, bool flag)
{
	struct config *config = malloc(sizeof *config);

	assert(config != NULL);
	config_init(config);
	if (flag)
		config_read_flag(config, text);
	else
		config_read_text(config, "file", text, size);
	config_finish(config);
	config_deinit(config);
	free(config);
}

static void identity_take(const char *text, size_t size)
{
	struct directory_identity identity;
	struct directory_identity again;
	char why[DIRECTORY_TEXT_BYTES];
	char written[DIRECTORY_TEXT_BYTES];
	char second[DIRECTORY_TEXT_BYTES];
	size_t length;

	if (directory_identity_parse(text, size, &identity, why) != 0)
		return;
	length = directory_identity_format(&identity, written);
	assert(directory_identity_parse(written, length, &again, why) == 0);
	assert(directory_identity_format(&again, second) == length && memcmp(written, second, length) == 0);
}

static void name_take(const char *text)
{
	struct segment_name name = segment_name_parse(text);
	char again[SEGMENT_NAME_BYTES];

	if (name.kind == SEGMENT_NAME_FOREIGN)
		return;
	segment_name_print(name.kind, name.segment, name.generation, again);
	assert(strcmp(text, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	char *text;

	if (size_bytes == 0)
		return 0;
	text = malloc(size_bytes + 2);
	assert(text != NULL);
	memcpy(text, data + 1, size_bytes - 1);
	text[size_bytes - 1] = 0;
	switch (data[0] % 4) {
	case 0: config_take(text, size_bytes - 1, false); break;
	case 1:
		memmove(text + 2, text, size_bytes);
		memcpy(text, "--", 2); /* else it is no flag (options.c) */
		config_take(text, size_bytes + 1, true);
		break;
	case 2: identity_take(text, size_bytes - 1); break;
	default: name_take(text); break;
	}
	free(text);
	return 0;
}

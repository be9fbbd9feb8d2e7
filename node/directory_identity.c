/* The identity file's text and back. Main or control thread. */
#include "node/directory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <xxhash.h>

#include "proto/versions.h"

static void hex_format(const uint8_t bytes[16], char text[33])
{
	for (size_t i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static size_t add(char text[DIRECTORY_TEXT_BYTES], size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static size_t add(char text[DIRECTORY_TEXT_BYTES], size_t size, const char *format, ...)
{
	va_list arguments;
	int added;

	va_start(arguments, format);
	added = vsnprintf(text + size, DIRECTORY_TEXT_BYTES - size, format, arguments);
	va_end(arguments);
	assert(added > 0 && size + (size_t)added < DIRECTORY_TEXT_BYTES);
	return size + (size_t)added;
}

/* As low as may be: older binaries read what they can serve. */
static unsigned format_of(const struct directory_identity *identity)
{
	if (identity->gone)
		return DIRECTORY_FORMAT_GONE;
	return identity->cluster_version > CLUSTER_VERSION_FIRST ? DIRECTORY_FORMAT_VERSION : DIRECTORY_FORMAT;
}

size_t directory_identity_format(const struct directory_identity *identity, char text[DIRECTORY_TEXT_BYTES])
{
	char own[33], cluster[33];
	size_t size = 0;

	hex_format(identity->identity, own);
	hex_format(identity->cluster_id, cluster);
	size = add(text, size, "evgrid-directory %u\nidentity %s\nname %s\nshards %u\ncluster %s\n",
		   format_of(identity), own, identity->name, identity->shards, cluster);
	for (uint16_t i = 0; i < identity->shards; i++)
		size = add(text, size, "journal %016" PRIx64 "\n", identity->journals[i]);
	size = add(text, size, "node-epoch %" PRIu64 "\nsync %s\nproof %" PRIu64 "\n", identity->node_epoch,
		   identity->interval_sync ? "interval" : "commit", identity->proof_epoch);
	if (identity->gone)
		size = add(text, size, "gone\n");
	else if (identity->cluster_version > CLUSTER_VERSION_FIRST)
		size = add(text, size, "cluster-version %u\n", identity->cluster_version);
	return add(text, size, "check %016" PRIx64 "\n", (uint64_t)XXH64(text, size, 0));
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

struct lines {
	const char *at;
	const char *end;
	bool failed;
};

/* The value of the next line, which must bear this key; empty and failed otherwise. */
static void next_value(struct lines *lines, const char *key, char value[CONFIG_TEXT_BYTES])
{
	size_t key_size = strlen(key);
	const char *newline = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
	size_t size;

	value[0] = '\0';
	if (lines->failed || newline == NULL || (size_t)(newline - lines->at) < key_size + 2 ||
	    memcmp(lines->at, key, key_size) != 0 || lines->at[key_size] != ' ') {
		lines->failed = true;
		return;
	}
	size = (size_t)(newline - lines->at) - key_size - 1;
	if (size >= CONFIG_TEXT_BYTES) {
		lines->failed = true;
		return;
	}
	memcpy(value, lines->at + key_size + 1, size);
	value[size] = '\0';
	lines->at = newline + 1;
}

static void next_word(struct lines *lines, const char *word)
{
	size_t size = strlen(word);

	if (lines->failed || (size_t)(lines->end - lines->at) <= size || memcmp(lines->at, word, size) != 0 ||
	    lines->at[size] != '\n')
		lines->failed = true;
	else
		lines->at += size + 1;
}

static uint64_t next_number(struct lines *lines, const char *key, int base)
{
	char value[CONFIG_TEXT_BYTES];
	char *end = value;
	uint64_t number;

	next_value(lines, key, value);
	number = strtoull(value, &end, base);
	if (end == value || *end != '\0')
		lines->failed = true;
	return number;
}

static void next_identity(struct lines *lines, const char *key, uint8_t bytes[16])
{
	char value[CONFIG_TEXT_BYTES];

	next_value(lines, key, value);
	if (strlen(value) != 32 || strspn(value, "0123456789abcdef") != 32) {
		lines->failed = true;
		return;
	}
	for (size_t i = 0; i < 16; i++) {
		char pair[3] = {value[2 * i], value[2 * i + 1], '\0'};

		bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
}

static uint16_t next_version(struct lines *lines)
{
	uint64_t version = next_number(lines, "cluster-version", 10);

	lines->failed = lines->failed || version <= CLUSTER_VERSION_FIRST || version > UINT16_MAX;
	return lines->failed ? 0 : (uint16_t)version;
}

static bool check_holds(const char *text, const struct lines *lines)
{
	struct lines rest = *lines;
	uint64_t check = next_number(&rest, "check", 16);

	return !rest.failed && rest.at == rest.end && check == (uint64_t)XXH64(text, (size_t)(lines->at - text), 0);
}

int directory_identity_parse(const char *text, size_t size, struct directory_identity *identity,
			     char why[DIRECTORY_TEXT_BYTES])
{
	struct lines lines = {text, text + size, false};
	struct directory_identity read = {.shards = 0};
	char value[CONFIG_TEXT_BYTES];
	uint64_t format, shards;

	format = next_number(&lines, "evgrid-directory", 10);
	if (!lines.failed && (format < DIRECTORY_FORMAT || format > DIRECTORY_FORMAT_VERSION)) {
		snprintf(why, DIRECTORY_TEXT_BYTES,
			 "its format is %" PRIu64 ", this evgridd knows %u: use a newer evgridd", format,
			 DIRECTORY_FORMAT_VERSION);
		return DIRECTORY_REFUSED;
	}
	next_identity(&lines, "identity", read.identity);
	next_value(&lines, "name", value);
	lines.failed = lines.failed || strlen(value) > NAME_MAX_BYTES;
	snprintf(read.name, sizeof read.name, "%.*s", (int)NAME_MAX_BYTES, value);
	shards = next_number(&lines, "shards", 10);
	lines.failed = lines.failed || shards == 0 || shards > SHARDS_MAX;
	read.shards = (uint16_t)shards;
	next_identity(&lines, "cluster", read.cluster_id);
	for (uint16_t i = 0; !lines.failed && i < read.shards; i++)
		read.journals[i] = next_number(&lines, "journal", 16);
	read.node_epoch = next_number(&lines, "node-epoch", 10);
	next_value(&lines, "sync", value);
	read.interval_sync = strcmp(value, "interval") == 0;
	lines.failed = lines.failed || (!read.interval_sync && strcmp(value, "commit") != 0);
	read.proof_epoch = next_number(&lines, "proof", 10);
	read.gone = format == DIRECTORY_FORMAT_GONE;
	if (read.gone)
		next_word(&lines, "gone");
	if (format == DIRECTORY_FORMAT_VERSION)
		read.cluster_version = next_version(&lines);
	if (lines.failed || !check_holds(text, &lines)) {
		snprintf(why, DIRECTORY_TEXT_BYTES, "its identity file is damaged");
		return DIRECTORY_REFUSED;
	}
	*identity = read;
	return DIRECTORY_DONE;
}

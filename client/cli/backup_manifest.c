/* The manifest of a back-up: JSON for people, and all that a restore needs to know before it begins.
 *
 * {"format":1,"cluster":HEX,"created":TIME,"created_us":U64,
 *  "partitions":[{"partition":N,"history":N,"digest":HEX64,
 *    "files":[{"first":U64,"end":U64,"epoch":N,"last_sequence":U64,"bytes":U64,"checksum":HEX64},...]},...],
 *  "streams":[{"id":N,"name":TEXT,"settings":BASE64},...],
 *  "views":[{"id":N,"version":N,"active_version":N,"dropped_version":N,"name":TEXT,"definition":BASE64},...],
 *  "cursor":CURSOR,"check":HEX64}
 *
 * U64 is a decimal string, HEX64 16 hexadecimal digits; a digest that is not known is an empty string. The check is
 * XXH3-64 of the text before it, and ends it. A partition's first file begins at 0, each other one where the one before
 * ends: the last one's end is the cut. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "client/cli/backup_data.h"
#include "client/json.h"
#include "proto/checksum.h"
#include "proto/msgpack.h"

#define FORMAT 1u
#define CHECK_MEMBER "\"check\":\""
#define CHECK_BYTES 16u
#define CHECK_TAIL_BYTES (sizeof CHECK_MEMBER - 1 + CHECK_BYTES + 3) /* to the end of the text */
#define LINE_BYTES 320u
#define FILES_MAX (1u << 20) /* of one partition */

/* --- life --------------------------------------------------------------------------------------------------------- */

void backup_manifest_deinit(struct backup_manifest *manifest)
{
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		free(manifest->partitions[p].entries);
	free(manifest->streams);
	free(manifest->views);
	buffer_deinit(&manifest->texts);
	*manifest = BACKUP_MANIFEST_NULL;
}

static const struct backup_entry *last_entry(const struct backup_partition *partition)
{
	return partition->entry_count == 0 ? NULL : &partition->entries[partition->entry_count - 1];
}

uint64_t backup_end(const struct backup_partition *partition)
{
	return partition->entry_count == 0 ? 0 : last_entry(partition)->end;
}

uint32_t backup_epoch(const struct backup_partition *partition)
{
	return partition->entry_count == 0 ? 0 : last_entry(partition)->epoch;
}

uint64_t backup_last_sequence(const struct backup_partition *partition)
{
	return partition->entry_count == 0 ? 0 : last_entry(partition)->last_sequence;
}

int backup_add_entry(struct backup_partition *partition, const struct backup_entry *entry)
{
	if (partition->entry_count == partition->entry_capacity) {
		uint32_t capacity = partition->entry_capacity == 0 ? 4 : 2 * partition->entry_capacity;
		struct backup_entry *entries = reallocarray(partition->entries, capacity, sizeof *entries);

		if (entries == NULL)
			return ERROR_MEMORY;
		partition->entries = entries;
		partition->entry_capacity = capacity;
	}
	partition->entries[partition->entry_count++] = *entry;
	return 0;
}

bool backup_has_room(const struct backup_manifest *manifest, uint32_t files)
{
	uint64_t all = files;
	bool has = true;

	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		all += manifest->partitions[p].entry_count;
		has = has && (uint64_t)manifest->partitions[p].entry_count + files <= FILES_MAX;
	}
	return has && all <= BACKUP_FILES_MAX;
}

/* --- the catalogue ------------------------------------------------------------------------------------------------ */

/* Texts lie in one buffer, which moves while it grows: spans are offsets until all are in. */
static struct span keep(struct buffer *texts, struct span text)
{
	size_t at = texts->size;

	buffer_bytes(texts, text.data, text.size);
	return (struct span){(const uint8_t *)(uintptr_t)at, text.size};
}

static void settle(const struct buffer *texts, struct span *text)
{
	text->data = text->size == 0 ? NULL : texts->data + (uintptr_t)text->data;
}

static int catalogue_settle(struct backup_manifest *manifest)
{
	if (manifest->texts.failed)
		return ERROR_MEMORY;
	for (uint32_t i = 0; i < manifest->stream_count; i++) {
		settle(&manifest->texts, &manifest->streams[i].name);
		settle(&manifest->texts, &manifest->streams[i].settings);
	}
	for (uint32_t i = 0; i < manifest->view_count; i++) {
		settle(&manifest->texts, &manifest->views[i].name);
		settle(&manifest->texts, &manifest->views[i].definition);
	}
	return 0;
}

static int catalogue_begin(struct backup_manifest *manifest, uint32_t stream_count, uint32_t view_count)
{
	free(manifest->streams);
	free(manifest->views);
	buffer_clear(&manifest->texts);
	manifest->stream_count = 0;
	manifest->view_count = 0;
	manifest->streams = calloc(stream_count + 1, sizeof *manifest->streams);
	manifest->views = calloc(view_count + 1, sizeof *manifest->views);
	return manifest->streams == NULL || manifest->views == NULL ? ERROR_MEMORY : 0;
}

int backup_take_catalogue(struct backup_manifest *manifest, const struct cluster_map *map)
{
	int rv = catalogue_begin(manifest, map->stream_count, map->view_count);

	for (uint32_t i = 0; i < map->stream_count && rv == 0; i++) {
		const struct map_stream *from = &map->streams[i];

		manifest->streams[manifest->stream_count++] = (struct restore_stream){
			.id = from->id,
			.name = keep(&manifest->texts, span_of_text(from->name)),
			.settings = keep(&manifest->texts, from->settings),
		};
	}
	for (uint32_t i = 0; i < map->view_count && rv == 0; i++) {
		const struct map_view *from = &map->views[i];

		manifest->views[manifest->view_count++] = (struct restore_view){
			.id = from->id,
			.version = from->version,
			.active_version = from->active_version,
			.dropped_version = from->dropped_version,
			.name = keep(&manifest->texts, span_of_text(from->name)),
			.definition = keep(&manifest->texts, from->definition),
		};
	}
	return rv == 0 ? catalogue_settle(manifest) : rv;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void put(struct buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct buffer *out, const char *format, ...)
{
	char line[LINE_BYTES];
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (size < 0 || (size_t)size >= sizeof line)
		out->failed = true;
	else
		buffer_bytes(out, line, (size_t)size);
}

static void put_base64(struct buffer *out, const char *name, struct span bytes)
{
	put(out, "\"%s\":\"", name);
	base64_encode(bytes, out);
	put(out, "\"");
}

static void put_head(const struct backup_manifest *manifest, struct buffer *out)
{
	time_t seconds = (time_t)(manifest->created_us / 1000000);
	char time[32] = "";
	struct tm parts;

	if (gmtime_r(&seconds, &parts) != NULL)
		(void)strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &parts);
	put(out, "{\"format\":%u,\n\"cluster\":\"", FORMAT);
	for (size_t i = 0; i < 16; i++)
		put(out, "%02x", manifest->cluster_id[i]);
	put(out, "\",\n\"created\":\"%s\",\n\"created_us\":\"%" PRIu64 "\",\n", time, manifest->created_us);
}

static void put_partition(const struct backup_partition *partition, uint32_t number, struct buffer *out)
{
	put(out, "{\"partition\":%u,\"history\":%u,\"digest\":\"", number, partition->history);
	if (partition->digested)
		put(out, "%016" PRIx64, partition->digest);
	put(out, "\",\"files\":[");
	for (uint32_t i = 0; i < partition->entry_count; i++) {
		const struct backup_entry *entry = &partition->entries[i];

		put(out,
		    "%s\n {\"first\":\"%" PRIu64 "\",\"end\":\"%" PRIu64 "\",\"epoch\":%u,\"last_sequence\":\"%" PRIu64
		    "\",\"bytes\":\"%" PRIu64 "\",\"checksum\":\"%016" PRIx64 "\"}",
		    i == 0 ? "" : ",", entry->first, entry->end, entry->epoch, entry->last_sequence, entry->size_bytes,
		    entry->checksum);
	}
	put(out, "]}%s\n", number + 1 < PARTITION_COUNT ? "," : "");
}

static void put_stream(const struct restore_stream *stream, bool last, struct buffer *out)
{
	put(out, "{\"id\":%u,\"name\":", stream->id);
	json_write_string(stream->name, out);
	put(out, ",");
	put_base64(out, "settings", stream->settings);
	put(out, "}%s\n", last ? "" : ",");
}

static void put_view(const struct restore_view *view, bool last, struct buffer *out)
{
	put(out, "{\"id\":%u,\"version\":%u,\"active_version\":%u,\"dropped_version\":%u,\"name\":", view->id,
	    view->version, view->active_version, view->dropped_version);
	json_write_string(view->name, out);
	put(out, ",");
	put_base64(out, "definition", view->definition);
	put(out, "}%s\n", last ? "" : ",");
}

static int put_cursor(const struct backup_manifest *manifest, struct buffer *out)
{
	struct cursor cursor;

	memcpy(cursor.cluster_id, manifest->cluster_id, sizeof cursor.cluster_id);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		cursor.next[p] = backup_end(&manifest->partitions[p]);
		cursor.history[p] = manifest->partitions[p].history;
	}
	return cursor_encode(&cursor, out);
}

static uint64_t check_of(struct span text)
{
	uint64_t check = checksum_parts(&text, 1);

	return check == 0 ? 1 : check;
}

int backup_manifest_write(struct backup_manifest *manifest, struct buffer *out)
{
	size_t begin = out->size;
	int rv;

	if (!backup_has_room(manifest, 0))
		return ERROR_LIMIT;
	put_head(manifest, out);
	put(out, "\"partitions\":[\n");
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		put_partition(&manifest->partitions[p], p, out);
	put(out, "],\n\"streams\":[\n");
	for (uint32_t i = 0; i < manifest->stream_count; i++)
		put_stream(&manifest->streams[i], i + 1 == manifest->stream_count, out);
	put(out, "],\n\"views\":[\n");
	for (uint32_t i = 0; i < manifest->view_count; i++)
		put_view(&manifest->views[i], i + 1 == manifest->view_count, out);
	put(out, "],\n\"cursor\":\"");
	rv = put_cursor(manifest, out);
	put(out, "\",\n");
	if (rv != 0 || out->failed)
		return ERROR_MEMORY;
	manifest->check = check_of(span_of(out->data + begin, out->size - begin));
	put(out, CHECK_MEMBER "%016" PRIx64 "\"}\n", manifest->check);
	if (out->failed)
		return ERROR_MEMORY;
	return out->size - begin > BACKUP_MANIFEST_MAX_BYTES ? ERROR_LIMIT : 0;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Reads members of one object; the first that is not there, or not of its kind, shows in `failed`. */
struct members {
	struct span map;
	bool failed;
};

static struct span member_text(struct members *members, const char *name)
{
	struct span value = msgpack_member(members->map, span_of_text(name));
	struct reader in = reader_of(value);
	struct span text = SPAN_NULL;

	if (value.size > 0 && msgpack_peek(&in) == MSGPACK_STR)
		text = msgpack_read_str(&in);
	members->failed |= value.size == 0 || !reader_done(&in);
	return text;
}

static uint64_t member_wide(struct members *members, const char *name)
{
	struct span text = member_text(members, name);
	uint64_t value = 0;

	members->failed |= text.size == 0 || text.size > 20;
	for (size_t i = 0; i < text.size && !members->failed; i++) {
		uint8_t digit = (uint8_t)(text.data[i] - '0');

		members->failed |= digit > 9 || value > (UINT64_MAX - digit) / 10;
		value = value * 10 + digit;
	}
	return members->failed ? 0 : value;
}

static uint32_t member_number(struct members *members, const char *name)
{
	uint64_t value = 0;

	members->failed |= msgpack_number(msgpack_member(members->map, span_of_text(name)), &value) != MSGPACK_UINT ||
			   value > UINT32_MAX;
	return members->failed ? 0 : (uint32_t)value;
}

static void hex_read(struct members *members, const char *name, uint8_t *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	struct span text = member_text(members, name);

	members->failed |= text.size != 2 * size;
	for (size_t i = 0; i < 2 * size && !members->failed; i++) {
		const char *at = text.data[i] == 0 ? NULL : strchr(digits, text.data[i]);

		members->failed |= at == NULL;
		if (at != NULL)
			bytes[i / 2] = (uint8_t)(bytes[i / 2] << 4 | (at - digits));
	}
}

static uint64_t member_hex64(struct members *members, const char *name)
{
	uint8_t bytes[8] = {0};

	hex_read(members, name, bytes, sizeof bytes);
	return members->failed ? 0 : load_big(bytes, sizeof bytes);
}

static struct span member_base64(struct members *members, const char *name, struct buffer *texts)
{
	struct span text = member_text(members, name);
	size_t at = texts->size;

	members->failed |= base64_decode(text, texts) != 0;
	return (struct span){(const uint8_t *)(uintptr_t)at, texts->size - at};
}

/* The elements of an array: how many, and a reader before the first. */
static uint32_t member_array(struct members *members, const char *name, struct reader *in)
{
	*in = reader_of(msgpack_member(members->map, span_of_text(name)));
	if (reader_left(in) == 0 || msgpack_peek(in) != MSGPACK_ARRAY) {
		members->failed = true;
		return 0;
	}
	return msgpack_read_array(in);
}

static int read_entry(struct span map, struct backup_partition *partition)
{
	struct members members = {.map = map};
	struct backup_entry entry = {
		.first = member_wide(&members, "first"),
		.end = member_wide(&members, "end"),
		.epoch = member_number(&members, "epoch"),
		.last_sequence = member_wide(&members, "last_sequence"),
		.size_bytes = member_wide(&members, "bytes"),
		.checksum = member_hex64(&members, "checksum"),
	};

	if (members.failed || entry.first != backup_end(partition) || entry.end <= entry.first ||
	    entry.epoch < backup_epoch(partition) || entry.epoch == 0 || entry.epoch > RESTORE_EPOCH_MAX ||
	    entry.last_sequence <= backup_last_sequence(partition) || entry.size_bytes > BACKUP_FILE_MAX_BYTES ||
	    partition->entry_count == FILES_MAX)
		return ERROR_MALFORMED;
	return backup_add_entry(partition, &entry);
}

static int read_partition(struct span map, uint32_t number, struct backup_partition *partition)
{
	struct members members = {.map = map};
	uint32_t count;
	struct reader in;
	int rv = 0;

	partition->history = member_number(&members, "history");
	partition->digested = member_text(&members, "digest").size > 0;
	partition->digest = partition->digested ? member_hex64(&members, "digest") : 0;
	count = member_array(&members, "files", &in);
	if (member_number(&members, "partition") != number || members.failed || partition->history > RESTORE_EPOCH_MAX)
		return ERROR_MALFORMED;
	for (uint32_t i = 0; i < count && rv == 0; i++)
		rv = read_entry(msgpack_skip(&in), partition);
	return rv;
}

static bool is_name(struct span name)
{
	return name.size > 0 && name.size <= NAME_MAX_BYTES && memchr(name.data, 0, name.size) == NULL;
}

static int read_stream(struct span map, struct backup_manifest *manifest)
{
	struct members members = {.map = map};
	struct restore_stream stream = {.id = member_number(&members, "id")};
	struct span name = member_text(&members, "name");

	stream.name = keep(&manifest->texts, name);
	stream.settings = member_base64(&members, "settings", &manifest->texts);
	if (members.failed || !is_name(name) || stream.id != manifest->stream_count + 1 ||
	    stream.settings.size > DEFINITION_MAX_BYTES)
		return ERROR_MALFORMED;
	manifest->streams[manifest->stream_count++] = stream;
	return 0;
}

static int read_view(struct span map, struct backup_manifest *manifest)
{
	struct members members = {.map = map};
	struct restore_view view = {
		.id = member_number(&members, "id"),
		.version = member_number(&members, "version"),
		.active_version = member_number(&members, "active_version"),
		.dropped_version = member_number(&members, "dropped_version"),
	};
	struct span name = member_text(&members, "name");

	view.name = keep(&manifest->texts, name);
	view.definition = member_base64(&members, "definition", &manifest->texts);
	if (members.failed || !is_name(name) || view.id != manifest->view_count + 1 || view.version == 0 ||
	    view.version > RESTORE_EPOCH_MAX || view.active_version > view.version ||
	    view.dropped_version > view.version || view.definition.size > DEFINITION_MAX_BYTES ||
	    (view.dropped_version == view.version) != (view.definition.size == 0))
		return ERROR_MALFORMED;
	manifest->views[manifest->view_count++] = view;
	return 0;
}

static int read_catalogue(struct members *members, struct backup_manifest *manifest)
{
	struct reader streams, views;
	uint32_t stream_count = member_array(members, "streams", &streams);
	uint32_t view_count = member_array(members, "views", &views);
	int rv;

	if (members->failed || stream_count > STREAMS_MAX || view_count > VIEWS_MAX)
		return ERROR_MALFORMED;
	rv = catalogue_begin(manifest, stream_count, view_count);
	for (uint32_t i = 0; i < stream_count && rv == 0; i++)
		rv = read_stream(msgpack_skip(&streams), manifest);
	for (uint32_t i = 0; i < view_count && rv == 0; i++)
		rv = read_view(msgpack_skip(&views), manifest);
	return rv == 0 ? catalogue_settle(manifest) : rv;
}

static int read_value(struct span value, struct backup_manifest *manifest, const char **why)
{
	struct members members = {.map = value};
	uint32_t format = member_number(&members, "format");
	struct reader in;
	uint32_t count;
	int rv = 0;

	*why = "its format is of another release";
	if (!members.failed && format != FORMAT)
		return ERROR_VERSION;
	*why = "a member is missing or not what it should be";
	hex_read(&members, "cluster", manifest->cluster_id, sizeof manifest->cluster_id);
	manifest->created_us = member_wide(&members, "created_us");
	count = member_array(&members, "partitions", &in);
	if (members.failed || count != PARTITION_COUNT)
		return ERROR_MALFORMED;
	*why = "a partition's files do not follow each other";
	for (uint32_t p = 0; p < count && rv == 0; p++)
		rv = read_partition(msgpack_skip(&in), p, &manifest->partitions[p]);
	if (rv != 0)
		return rv;
	*why = "its streams or views are not what they should be";
	return read_catalogue(&members, manifest);
}

static int check_tail(struct span text, uint64_t *check, const char **why)
{
	char expected[CHECK_TAIL_BYTES + 1];

	*why = "it is cut short";
	if (text.size < CHECK_TAIL_BYTES)
		return ERROR_MALFORMED;
	*check = check_of(span_of(text.data, text.size - CHECK_TAIL_BYTES));
	(void)snprintf(expected, sizeof expected, CHECK_MEMBER "%016" PRIx64 "\"}\n", *check);
	*why = "its check does not match: it was changed, or is cut short";
	return memcmp(text.data + text.size - CHECK_TAIL_BYTES, expected, CHECK_TAIL_BYTES) == 0 ? 0 : ERROR_CHECKSUM;
}

int backup_manifest_read(struct span text, struct backup_manifest *manifest, const char **why)
{
	struct buffer value = BUFFER_NULL;
	struct json_error error;
	int rv = check_tail(text, &manifest->check, why);

	if (rv != 0)
		return rv;
	*why = "it is not JSON";
	rv = json_to_msgpack(text, &value, &error);
	if (rv == 0)
		rv = read_value(buffer_span(&value), manifest, why);
	buffer_deinit(&value);
	return rv;
}

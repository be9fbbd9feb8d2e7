/* See raft_codec.h for the format. Reading never trusts a count or a size: each is held against the bytes that are left
 * before anything is allocated. */
#include "raft/raft_codec.h"

#include <assert.h>

#include "proto/error.h"

#define ENTRY_HEAD_BYTES 13u  /* u64 term, u8 type, u32 size */
#define SERVER_HEAD_BYTES 10u /* u64 id, u8 role, at least one byte of address length */

#define FLAG_DISRUPT 1u
#define FLAG_PRE_VOTE 2u
#define FLAG_GRANTED 1u

/* --- writing ------------------------------------------------------------------------------------------------------ */

static unsigned entries_that_fit(const struct raft_append_entries *args)
{
	size_t size = 0;
	unsigned n = 0;

	while (n < args->n_entries && n < RAFT_CODEC_ENTRIES_MAX) {
		size += args->entries[n].buf.len + ENTRY_HEAD_BYTES;
		if (n > 0 && size > RAFT_CODEC_ENTRIES_MAX_BYTES)
			break;
		n++;
	}
	return n;
}

static void append_entries_encode(const struct raft_append_entries *args, struct buffer *out)
{
	unsigned n = entries_that_fit(args);

	buffer_u64(out, args->term);
	buffer_u64(out, args->prev_log_index);
	buffer_u64(out, args->prev_log_term);
	buffer_u64(out, args->leader_commit);
	buffer_u32(out, n);
	for (unsigned i = 0; i < n; i++) {
		buffer_u64(out, args->entries[i].term);
		buffer_u8(out, (uint8_t)args->entries[i].type);
		buffer_u32(out, (uint32_t)args->entries[i].buf.len);
	}
	for (unsigned i = 0; i < n; i++)
		buffer_bytes(out, args->entries[i].buf.base, args->entries[i].buf.len);
}

static void append_entries_result_encode(const struct raft_append_entries_result *result, struct buffer *out)
{
	buffer_u64(out, result->term);
	buffer_u64(out, result->rejected);
	buffer_u64(out, result->last_log_index);
	buffer_u16(out, result->features);
	buffer_u16(out, result->capacity);
}

static void request_vote_encode(const struct raft_request_vote *args, struct buffer *out)
{
	buffer_u64(out, args->term);
	buffer_u64(out, args->candidate_id);
	buffer_u64(out, args->last_log_index);
	buffer_u64(out, args->last_log_term);
	buffer_u8(out, (uint8_t)((args->disrupt_leader ? FLAG_DISRUPT : 0u) | (args->pre_vote ? FLAG_PRE_VOTE : 0u)));
}

static void request_vote_result_encode(const struct raft_request_vote_result *result, struct buffer *out)
{
	buffer_u64(out, result->term);
	buffer_u8(out, (uint8_t)((result->vote_granted ? FLAG_GRANTED : 0u) | (result->pre_vote ? FLAG_PRE_VOTE : 0u)));
	buffer_u16(out, result->features);
	buffer_u16(out, result->capacity);
}

static void install_snapshot_encode(const struct raft_install_snapshot *args, struct buffer *out)
{
	buffer_u64(out, args->term);
	buffer_u64(out, args->last_index);
	buffer_u64(out, args->last_term);
	buffer_u64(out, args->conf_index);
	buffer_u32(out, args->conf.n);
	for (unsigned i = 0; i < args->conf.n; i++) {
		buffer_u64(out, args->conf.servers[i].id);
		buffer_u8(out, (uint8_t)args->conf.servers[i].role);
		buffer_string(out, span_of_text(args->conf.servers[i].address));
	}
	buffer_u32(out, (uint32_t)args->data.len);
	buffer_bytes(out, args->data.base, args->data.len);
}

static void timeout_now_encode(const struct raft_timeout_now *args, struct buffer *out)
{
	buffer_u64(out, args->term);
	buffer_u64(out, args->last_log_index);
	buffer_u64(out, args->last_log_term);
}

static uint8_t message_version(const struct raft_message *message)
{
	/* Every kind has its version first. */
	return message->request_vote.version;
}

int raft_codec_encode(const struct raft_message *message, const struct raft_route *route, struct buffer *out)
{
	int result = 0;

	assert(message->server_id != 0);
	assert(route->from != 0);
	buffer_u8(out, RAFT_CODEC_FORMAT);
	buffer_u8(out, (uint8_t)message->type);
	buffer_u8(out, message_version(message));
	buffer_u8(out, 0);
	buffer_u64(out, message->server_id);
	buffer_u64(out, route->from);
	buffer_u64(out, route->life);
	buffer_u64(out, route->number);
	buffer_string(out, span_of_text(route->address));
	switch (message->type) {
	case RAFT_APPEND_ENTRIES: append_entries_encode(&message->append_entries, out); break;
	case RAFT_APPEND_ENTRIES_RESULT: append_entries_result_encode(&message->append_entries_result, out); break;
	case RAFT_REQUEST_VOTE: request_vote_encode(&message->request_vote, out); break;
	case RAFT_REQUEST_VOTE_RESULT: request_vote_result_encode(&message->request_vote_result, out); break;
	case RAFT_INSTALL_SNAPSHOT:
		if (message->install_snapshot.data.len > RAFT_CODEC_SNAPSHOT_MAX_BYTES)
			result = ERROR_LIMIT;
		else
			install_snapshot_encode(&message->install_snapshot, out);
		break;
	case RAFT_TIMEOUT_NOW: timeout_now_encode(&message->timeout_now, out); break;
	default: result = ERROR_MALFORMED; break;
	}
	return result == 0 && out->failed ? ERROR_MEMORY : result;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* libraft's own encoding of a configuration: u8 1, u64 count, each u64 id, NUL-ended address, u8 role; zeros to a
 * multiple of 8. libraft reads it without looking at the end. */
static bool configuration_is_sound(struct span bytes)
{
	struct reader in = reader_of(bytes);
	uint8_t format = reader_u8(&in);
	uint64_t count = reader_u64(&in);
	uint64_t i;

	if (in.failed || format != 1 || count == 0 || count > reader_left(&in) / SERVER_HEAD_BYTES)
		return false;
	for (i = 0; i < count && !in.failed; i++) {
		uint64_t id = reader_u64(&in);
		const uint8_t *end = reader_left(&in) == 0 ? NULL : memchr(in.at, 0, reader_left(&in));
		size_t length = end == NULL ? reader_left(&in) : (size_t)(end - in.at);
		uint8_t role;

		reader_bytes(&in, length + 1);
		role = reader_u8(&in);
		if (id == 0 || length == 0 || length > ADDRESS_MAX_BYTES || role > RAFT_SPARE)
			return false;
	}
	return !in.failed && reader_left(&in) < 8;
}

static bool entry_is_sound(const struct raft_entry *entry)
{
	if (entry->term == 0)
		return false;
	if (entry->type == RAFT_CHANGE)
		return configuration_is_sound(span_of(entry->buf.base, entry->buf.len));
	return entry->type == RAFT_COMMAND || entry->type == RAFT_BARRIER;
}

/* Heads first, then one copy of all bytes: libraft wants an array and one batch. */
static int entries_decode(struct reader *in, uint32_t count, struct raft_append_entries *args)
{
	struct raft_entry *entries = NULL;
	uint8_t *batch = NULL;
	size_t size = 0;
	size_t at = 0;
	struct span bytes;
	int result = ERROR_MEMORY;

	assert(count > 0);
	entries = raft_calloc(count, sizeof(*entries));
	if (entries == NULL)
		goto done;
	for (uint32_t i = 0; i < count; i++) {
		entries[i].term = reader_u64(in);
		entries[i].type = (enum raft_entry_type)reader_u8(in);
		entries[i].buf.len = reader_u32(in);
		size += entries[i].buf.len;
	}
	result = ERROR_MALFORMED;
	bytes = reader_bytes(in, size);
	if (in->failed)
		goto done;
	result = ERROR_MEMORY;
	batch = raft_malloc(size + 1); /* never NULL for entries without bytes */
	if (batch == NULL)
		goto done;
	if (size > 0)
		memcpy(batch, bytes.data, size);
	result = ERROR_MALFORMED;
	for (uint32_t i = 0; i < count; i++) {
		entries[i].batch = batch;
		entries[i].buf.base = batch + at;
		at += entries[i].buf.len;
		if (!entry_is_sound(&entries[i]))
			goto done;
	}
	args->entries = entries;
	args->n_entries = count;
	result = 0;
done:
	if (result != 0) {
		raft_free(entries);
		raft_free(batch);
	}
	return result;
}

static int append_entries_decode(struct reader *in, struct raft_append_entries *args)
{
	uint32_t count;

	args->term = reader_u64(in);
	args->prev_log_index = reader_u64(in);
	args->prev_log_term = reader_u64(in);
	args->leader_commit = reader_u64(in);
	count = reader_u32(in);
	if (in->failed || args->term == 0 || (args->prev_log_index == 0) != (args->prev_log_term == 0))
		return ERROR_MALFORMED;
	if (count > RAFT_CODEC_ENTRIES_MAX || count > reader_left(in) / ENTRY_HEAD_BYTES)
		return ERROR_MALFORMED;
	return count == 0 ? 0 : entries_decode(in, count, args);
}

static int append_entries_result_decode(struct reader *in, struct raft_append_entries_result *result)
{
	result->term = reader_u64(in);
	result->rejected = reader_u64(in);
	result->last_log_index = reader_u64(in);
	result->features = reader_u16(in);
	result->capacity = reader_u16(in);
	return in->failed || result->term == 0 ? ERROR_MALFORMED : 0;
}

static int request_vote_decode(struct reader *in, struct raft_request_vote *args)
{
	uint8_t flags;

	args->term = reader_u64(in);
	args->candidate_id = reader_u64(in);
	args->last_log_index = reader_u64(in);
	args->last_log_term = reader_u64(in);
	flags = reader_u8(in);
	args->disrupt_leader = (flags & FLAG_DISRUPT) != 0;
	args->pre_vote = (flags & FLAG_PRE_VOTE) != 0;
	return in->failed || args->term == 0 || args->candidate_id == 0 ? ERROR_MALFORMED : 0;
}

static int request_vote_result_decode(struct reader *in, struct raft_request_vote_result *result)
{
	uint8_t flags;

	result->term = reader_u64(in);
	flags = reader_u8(in);
	result->vote_granted = (flags & FLAG_GRANTED) != 0;
	result->pre_vote = (flags & FLAG_PRE_VOTE) != 0;
	result->features = reader_u16(in);
	result->capacity = reader_u16(in);
	return in->failed || result->term == 0 ? ERROR_MALFORMED : 0;
}

static int server_decode(struct reader *in, struct raft_configuration *configuration)
{
	char address[ADDRESS_MAX_BYTES + 1] = "";
	uint64_t id = reader_u64(in);
	uint8_t role = reader_u8(in);
	struct span text = reader_string(in, ADDRESS_MAX_BYTES);

	if (in->failed || id == 0 || role > RAFT_SPARE || text.size == 0 || memchr(text.data, 0, text.size) != NULL)
		return ERROR_MALFORMED;
	memcpy(address, text.data, text.size);
	return raft_configuration_add(configuration, id, address, role) == 0 ? 0 : ERROR_MALFORMED;
}

static int install_snapshot_decode(struct reader *in, struct raft_install_snapshot *args)
{
	struct span data = SPAN_NULL;
	int result = ERROR_MALFORMED;
	uint32_t count;

	raft_configuration_init(&args->conf);
	args->term = reader_u64(in);
	args->last_index = reader_u64(in);
	args->last_term = reader_u64(in);
	args->conf_index = reader_u64(in);
	count = reader_u32(in);
	if (in->failed || args->term == 0 || args->last_index == 0 || args->last_term == 0)
		goto done;
	if (count == 0 || count > reader_left(in) / SERVER_HEAD_BYTES)
		goto done;
	for (uint32_t i = 0; i < count; i++) {
		result = server_decode(in, &args->conf);
		if (result != 0)
			goto done;
	}
	result = ERROR_MALFORMED;
	data = reader_bytes(in, reader_u32(in));
	if (in->failed || data.size == 0)
		goto done;
	result = ERROR_MEMORY;
	args->data.base = raft_malloc(data.size);
	if (args->data.base == NULL)
		goto done;
	memcpy(args->data.base, data.data, data.size);
	args->data.len = data.size;
	result = 0;
done:
	if (result != 0)
		raft_configuration_close(&args->conf);
	return result;
}

static int timeout_now_decode(struct reader *in, struct raft_timeout_now *args)
{
	args->term = reader_u64(in);
	args->last_log_index = reader_u64(in);
	args->last_log_term = reader_u64(in);
	return in->failed || args->term == 0 ? ERROR_MALFORMED : 0;
}

static int body_decode(struct reader *in, struct raft_message *message)
{
	switch (message->type) {
	case RAFT_APPEND_ENTRIES: return append_entries_decode(in, &message->append_entries);
	case RAFT_APPEND_ENTRIES_RESULT: return append_entries_result_decode(in, &message->append_entries_result);
	case RAFT_REQUEST_VOTE: return request_vote_decode(in, &message->request_vote);
	case RAFT_REQUEST_VOTE_RESULT: return request_vote_result_decode(in, &message->request_vote_result);
	case RAFT_INSTALL_SNAPSHOT: return install_snapshot_decode(in, &message->install_snapshot);
	case RAFT_TIMEOUT_NOW: return timeout_now_decode(in, &message->timeout_now);
	default: return ERROR_MALFORMED;
	}
}

static int route_decode(struct reader *in, struct raft_route *route)
{
	struct span address;

	route->to = reader_u64(in);
	route->from = reader_u64(in);
	route->life = reader_u64(in);
	route->number = reader_u64(in);
	address = reader_string(in, ADDRESS_MAX_BYTES);
	if (in->failed || route->to == 0 || route->from == 0 || address.size == 0)
		return ERROR_MALFORMED;
	if (memchr(address.data, 0, address.size) != NULL)
		return ERROR_MALFORMED;
	memcpy(route->address, address.data, address.size);
	route->address[address.size] = '\0';
	return 0;
}

int raft_codec_decode(struct span body, struct raft_message *message, struct raft_route *route)
{
	struct reader in = reader_of(body);
	uint8_t version;
	int result;

	memset(message, 0, sizeof(*message));
	if (reader_u8(&in) != RAFT_CODEC_FORMAT)
		return body.size == 0 ? ERROR_MALFORMED : ERROR_VERSION;
	message->type = (enum raft_message_type)reader_u8(&in);
	version = reader_u8(&in);
	reader_u8(&in);
	result = route_decode(&in, route);
	if (result != 0)
		return result;
	message->server_id = route->from;
	message->server_address = route->address;
	message->request_vote.version = version; /* the first member of every kind */
	result = body_decode(&in, message);
	if (result == 0 && !reader_done(&in)) {
		raft_codec_discard(message);
		result = ERROR_MALFORMED;
	}
	return result;
}

void raft_codec_discard(struct raft_message *message)
{
	if (message->type == RAFT_APPEND_ENTRIES && message->append_entries.n_entries > 0) {
		raft_free(message->append_entries.entries[0].batch);
		raft_free(message->append_entries.entries);
		message->append_entries.entries = NULL;
		message->append_entries.n_entries = 0;
	}
	if (message->type == RAFT_INSTALL_SNAPSHOT) {
		raft_configuration_close(&message->install_snapshot.conf);
		raft_configuration_init(&message->install_snapshot.conf);
		raft_free(message->install_snapshot.data.base);
		message->install_snapshot.data.base = NULL;
	}
}

_Static_assert(offsetof(struct raft_request_vote, version) == 0 && offsetof(struct raft_append_entries, version) == 0 &&
		       offsetof(struct raft_install_snapshot, version) == 0,
	       "message_version() rests on it");

/* CloudEvents JSON lines and RFC 3339 times. */
#include "client/cloudevent.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/error.h"
#include "proto/msgpack.h"

/* --- time --------------------------------------------------------------------------------------------------------- */

/* Days since 1970-01-01 of a day of the Gregorian calendar, counted in years that begin in March. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
	int64_t z = days + 719468;
	int64_t era = z / 146097;
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t part = (5 * day_of_year + 2) / 153;

	*day = day_of_year - (153 * part + 2) / 5 + 1;
	*month = part < 10 ? part + 3 : part - 9;
	*year = year_of_era + era * 400 + (*month <= 2);
}

void time_format(uint64_t time_us, char text[TIME_TEXT_BYTES])
{
	uint64_t seconds = time_us / 1000000;
	uint32_t fraction = (uint32_t)(time_us % 1000000);
	uint32_t of_day = (uint32_t)(seconds % 86400);
	int64_t year;
	int64_t month;
	int64_t day;
	int size;

	date_of((int64_t)(seconds / 86400 % 3652059), &year, &month, &day); /* four digits of year at most */
	size = snprintf(text, TIME_TEXT_BYTES, "%04d-%02d-%02dT%02u:%02u:%02u", (int)(year % 10000), (int)month,
			(int)day, of_day / 3600, of_day / 60 % 60, of_day % 60);
	if (fraction != 0) {
		size += snprintf(text + size, TIME_TEXT_BYTES - (size_t)size, ".%06u", fraction);
		while (text[size - 1] == '0')
			size--;
	}
	memcpy(text + size, "Z", 2);
}

/* `count` digits; false: others. */
static bool take_digits(struct reader *in, size_t count, int64_t most, int64_t *value)
{
	struct span digits = reader_bytes(in, count);

	*value = 0;
	for (size_t i = 0; i < digits.size; i++) {
		if (digits.data[i] < '0' || digits.data[i] > '9')
			return false;
		*value = *value * 10 + (digits.data[i] - '0');
	}
	return !in->failed && *value <= most;
}

static bool take_char(struct reader *in, char c)
{
	return (reader_u8(in) | 0x20) == (c | 0x20) && !in->failed;
}

static bool take_fraction(struct reader *in, int64_t *micros)
{
	int64_t scale = 100000;
	bool any = false;

	while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
		*micros += scale * (*in->at - '0');
		scale /= 10;
		in->at++;
		any = true;
	}
	return any;
}

static bool take_zone(struct reader *in, int64_t *seconds)
{
	uint8_t sign = reader_u8(in);
	int64_t hours;
	int64_t minutes;

	*seconds = 0;
	if (sign == 'Z' || sign == 'z')
		return true;
	if ((sign != '+' && sign != '-') || !take_digits(in, 2, 23, &hours) || !take_char(in, ':') ||
	    !take_digits(in, 2, 59, &minutes))
		return false;
	*seconds = (hours * 3600 + minutes * 60) * (sign == '+' ? 1 : -1);
	return true;
}

static bool date_exists(int64_t year, int64_t month, int64_t day)
{
	static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month >= 1 && day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

int time_parse(struct span text, uint64_t *time_us)
{
	struct reader in = reader_of(text);
	int64_t year, month, day, hour, minute, second, zone, micros = 0, seconds;

	if (!take_digits(&in, 4, 9999, &year) || !take_char(&in, '-') || !take_digits(&in, 2, 12, &month) ||
	    !take_char(&in, '-') || !take_digits(&in, 2, 31, &day) || !take_char(&in, 'T') ||
	    !take_digits(&in, 2, 23, &hour) || !take_char(&in, ':') || !take_digits(&in, 2, 59, &minute) ||
	    !take_char(&in, ':') || !take_digits(&in, 2, 60, &second) || !date_exists(year, month, day))
		return ERROR_MALFORMED;
	if (in.at < in.end && *in.at == '.') {
		in.at++;
		if (!take_fraction(&in, &micros))
			return ERROR_MALFORMED;
	}
	if (!take_zone(&in, &zone) || !reader_done(&in))
		return ERROR_MALFORMED;
	seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone;
	if (seconds < 0)
		return ERROR_MALFORMED;
	*time_us = (uint64_t)seconds * 1000000 + (uint64_t)micros;
	return 0;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

struct pieces { /* of one object, before it is judged */
	struct span specversion;
	struct span time;
	struct span content_type;
	struct span data; /* MessagePack of `data` */
	struct span data_base64;
	uint64_t header_count;
};

void cloudevent_init(struct cloudevent *cloudevent)
{
	*cloudevent = (struct cloudevent){.value = BUFFER_NULL, .headers = BUFFER_NULL, .data = BUFFER_NULL};
}

void cloudevent_deinit(struct cloudevent *cloudevent)
{
	buffer_deinit(&cloudevent->value);
	buffer_deinit(&cloudevent->headers);
	buffer_deinit(&cloudevent->data);
}

static int bad(struct json_error *error, const char *why)
{
	*error = (struct json_error){0, 0, why};
	return ERROR_BAD_EVENT;
}

static bool is(struct span name, const char *text)
{
	return span_equal(name, span_of_text(text));
}

static bool is_the_grids(struct span name)
{
	return is(name, "partition") || is(name, "offset") || is(name, "sequence") || is(name, "ingesttime");
}

/* Where an attribute that must be a string goes; NULL: it is an extension. */
static struct span *attribute(struct cloudevent *cloudevent, struct pieces *pieces, struct span name)
{
	const struct {
		const char *name;
		struct span *place;
	} attributes[] = {
		{"specversion", &pieces->specversion},
		{"id", &cloudevent->event.id},
		{"source", &cloudevent->event.source},
		{"type", &cloudevent->event.type},
		{"subject", &cloudevent->event.key},
		{"time", &pieces->time},
		{"datacontenttype", &pieces->content_type},
		{"partitionkey", &cloudevent->event.partition_key},
		{"correlationid", &cloudevent->event.correlation_id},
		{"causationid", &cloudevent->event.causation_id},
		{"data_base64", &pieces->data_base64},
		{"stream", &cloudevent->stream},
	};

	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
		if (is(name, attributes[i].name))
			return attributes[i].place;
	}
	return NULL;
}

/* An extension: a string as it is, a number or boolean as its JSON text. */
static int read_extension(struct cloudevent *cloudevent, struct pieces *pieces, struct span name, struct span value,
			  struct json_error *error)
{
	struct reader in = reader_of(value);
	enum msgpack_type type = msgpack_peek(&in);
	struct buffer text = BUFFER_NULL;
	int rv = 0;

	if (type == MSGPACK_NIL)
		return 0;
	if (type == MSGPACK_ARRAY || type == MSGPACK_MAP)
		return bad(error, "an extension must be a string, a number or a boolean");
	if (name.size == 0 || name.size > NAME_MAX_BYTES)
		return bad(error, "an extension's name has 1 to 63 bytes");
	if (type == MSGPACK_STR)
		value = msgpack_read_str(&in);
	else
		rv = json_from_msgpack(value, &text);
	if (rv == 0) {
		buffer_string(&cloudevent->headers, name);
		buffer_string(&cloudevent->headers, type == MSGPACK_STR ? value : buffer_span(&text));
		pieces->header_count++;
	}
	buffer_deinit(&text);
	return rv;
}

static int read_member(struct cloudevent *cloudevent, struct pieces *pieces, struct reader *in,
		       struct json_error *error)
{
	struct span name = msgpack_read_str(in);
	struct span value = msgpack_skip(in);
	struct reader text = reader_of(value);
	struct span *place;

	if (is(name, "data")) {
		pieces->data = value;
		return 0;
	}
	if (is_the_grids(name))
		return 0;
	place = attribute(cloudevent, pieces, name);
	if (place == NULL)
		return read_extension(cloudevent, pieces, name, value, error);
	if (msgpack_peek(&text) == MSGPACK_NIL)
		return 0;
	if (msgpack_peek(&text) != MSGPACK_STR)
		return bad(error, "an attribute that must be a string is none");
	*place = msgpack_read_str(&text);
	return 0;
}

static int check_required(const struct cloudevent *cloudevent, const struct pieces *pieces, struct json_error *error)
{
	if (!is(pieces->specversion, "1.0"))
		return bad(error, "specversion must be \"1.0\"");
	if (cloudevent->event.id.size == 0)
		return bad(error, "id is missing");
	if (cloudevent->event.source.size == 0)
		return bad(error, "source is missing");
	if (cloudevent->event.type.size == 0)
		return bad(error, "type is missing");
	if (cloudevent->event.key.size == 0)
		return bad(error, "subject (the key) is missing");
	return 0;
}

static bool ends_with(struct span text, const char *end)
{
	size_t size = strlen(end);

	return text.size >= size && memcmp(text.data + text.size - size, end, size) == 0;
}

/* The media type without its parameters. */
static bool is_json_type(struct span type)
{
	const uint8_t *semicolon = type.size == 0 ? NULL : memchr(type.data, ';', type.size);

	if (semicolon != NULL)
		type.size = (size_t)(semicolon - type.data);
	while (type.size > 0 && type.data[type.size - 1] == ' ')
		type.size--;
	return type.size == 0 || is(type, "application/json") || is(type, "text/json") || ends_with(type, "+json");
}

static int read_data(struct cloudevent *cloudevent, const struct pieces *pieces, struct json_error *error)
{
	struct event *event = &cloudevent->event;
	struct reader in = reader_of(pieces->data);
	bool json = is_json_type(pieces->content_type);

	if (pieces->data.size > 0 && pieces->data_base64.size > 0)
		return bad(error, "data and data_base64 exclude each other");
	if (pieces->data_base64.size > 0) {
		if (base64_decode(pieces->data_base64, &cloudevent->data) != 0)
			return bad(error, "data_base64 is not base64");
		if (json && pieces->content_type.size > 0)
			return bad(error, "data_base64 with a JSON content type: give data instead");
		event->content_type = json ? span_of_text("application/octet-stream") : pieces->content_type;
		event->payload = buffer_span(&cloudevent->data);
	} else if (json) {
		event->payload = pieces->data;
	} else if (pieces->data.size > 0 && msgpack_peek(&in) != MSGPACK_STR) {
		return bad(error, "data of this content type must be a string");
	} else {
		event->content_type = pieces->content_type;
		event->payload = pieces->data.size == 0 ? SPAN_NULL : msgpack_read_str(&in);
	}
	return 0;
}

/* A UUID in its canonical form takes 16 bytes and reads back the same. */
static void shorten_id(struct cloudevent *cloudevent)
{
	char text[UUID_TEXT_BYTES];

	if (uuid_parse(cloudevent->event.id, cloudevent->uuid) != 0)
		return;
	uuid_format(cloudevent->uuid, text);
	if (!is(cloudevent->event.id, text))
		return;
	cloudevent->event.id = span_of(cloudevent->uuid, UUID_BYTES);
	cloudevent->event.id_is_uuid = true;
}

static int read_rest(struct cloudevent *cloudevent, const struct pieces *pieces, struct json_error *error)
{
	struct event *event = &cloudevent->event;
	struct buffer counted = BUFFER_NULL;
	int rv = check_required(cloudevent, pieces, error);

	if (rv == 0 && pieces->time.size > 0 && time_parse(pieces->time, &event->time_us) != 0)
		rv = bad(error, "time is not RFC 3339, or before 1970");
	if (rv == 0 && pieces->header_count > HEADERS_MAX)
		rv = bad(error, "more than 32 extensions");
	if (rv == 0)
		rv = read_data(cloudevent, pieces, error);
	if (rv != 0)
		return rv;
	if (event->partition_key.size == 0)
		event->partition_key = event->key;
	shorten_id(cloudevent);
	if (pieces->header_count == 0)
		return 0;
	buffer_varint(&counted, pieces->header_count);
	buffer_bytes(&counted, cloudevent->headers.data, cloudevent->headers.size);
	buffer_deinit(&cloudevent->headers);
	cloudevent->headers = counted;
	event->headers = buffer_span(&counted);
	return counted.failed ? ERROR_MEMORY : 0;
}

int cloudevent_read(struct cloudevent *cloudevent, struct span json, struct json_error *error)
{
	struct pieces pieces = {0};
	struct reader in;
	uint32_t count;
	int rv;

	buffer_clear(&cloudevent->value);
	buffer_clear(&cloudevent->headers);
	buffer_clear(&cloudevent->data);
	cloudevent->event = (struct event){0};
	cloudevent->stream = SPAN_NULL;
	rv = json_to_msgpack(json, &cloudevent->value, error);
	if (rv != 0)
		return rv == ERROR_MALFORMED ? ERROR_BAD_EVENT : rv;
	in = reader_of(buffer_span(&cloudevent->value));
	if (msgpack_peek(&in) != MSGPACK_MAP)
		return bad(error, "expected an object");
	count = msgpack_read_map(&in);
	for (uint32_t i = 0; rv == 0 && i < count; i++)
		rv = read_member(cloudevent, &pieces, &in, error);
	if (rv == 0 && cloudevent->headers.failed)
		rv = ERROR_MEMORY;
	return rv == 0 ? read_rest(cloudevent, &pieces, error) : rv;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void write_member(struct buffer *out, struct span name, struct span text)
{
	if (text.size == 0)
		return;
	buffer_u8(out, ',');
	json_write_string(name, out);
	buffer_u8(out, ':');
	json_write_string(text, out);
}

static void write_text(struct buffer *out, const char *name, const char *text)
{
	write_member(out, span_of_text(name), span_of_text(text));
}

static void write_u64(struct buffer *out, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%" PRIu64, value);
	write_text(out, name, text);
}

static void write_time(struct buffer *out, const char *name, uint64_t time_us)
{
	char text[TIME_TEXT_BYTES];

	if (time_us == 0)
		return;
	time_format(time_us, text);
	write_text(out, name, text);
}

static void write_headers(struct buffer *out, struct span headers)
{
	struct reader in = reader_of(headers);
	uint64_t count = headers.size == 0 ? 0 : reader_varint(&in);

	for (uint64_t i = 0; i < count && !in.failed; i++) {
		struct span name = reader_string(&in, NAME_MAX_BYTES);
		struct span value = reader_string(&in, KEY_MAX_BYTES);
		write_member(out, name, value);
	}
}

static int write_data(struct buffer *out, const struct event *event)
{
	if (event->payload.size == 0)
		return 0;
	if (event->content_type.size == 0) {
		buffer_bytes(out, ",\"data\":", 8);
		return json_from_msgpack(event->payload, out);
	}
	buffer_bytes(out, ",\"data_base64\":\"", 16);
	base64_encode(event->payload, out);
	buffer_u8(out, '"');
	return 0;
}

struct span cloudevent_id(const struct event *event, char text[UUID_TEXT_BYTES])
{
	if (!event->id_is_uuid)
		return event->id;
	uuid_format(event->id.data, text);
	return span_of_text(text);
}

static void write_place(struct buffer *out, const struct cloudevent_place *place)
{
	char text[32];

	write_member(out, span_of_text("stream"), place->stream);
	(void)snprintf(text, sizeof text, ",\"partition\":%u", place->partition);
	buffer_bytes(out, text, strlen(text));
	write_u64(out, "offset", place->offset);
	write_u64(out, "sequence", place->sequence);
	write_time(out, "ingesttime", place->ingest_us);
}

int cloudevent_write(const struct event *event, const struct cloudevent_place *place, struct buffer *out)
{
	char uuid[UUID_TEXT_BYTES];
	int rv;

	buffer_bytes(out, "{\"specversion\":\"1.0\"", 20);
	write_member(out, span_of_text("id"), cloudevent_id(event, uuid));
	write_member(out, span_of_text("source"), event->source);
	write_member(out, span_of_text("type"), event->type);
	write_member(out, span_of_text("subject"), event->key);
	write_time(out, "time", event->time_us);
	if (!span_equal(event->partition_key, event->key))
		write_member(out, span_of_text("partitionkey"), event->partition_key);
	write_member(out, span_of_text("correlationid"), event->correlation_id);
	write_member(out, span_of_text("causationid"), event->causation_id);
	write_member(out, span_of_text("datacontenttype"), event->content_type);
	write_headers(out, event->headers);
	write_place(out, place);
	rv = write_data(out, event);
	buffer_u8(out, '}');
	return out->failed ? ERROR_MEMORY : rv;
}

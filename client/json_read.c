/* Reads JSON into MessagePack in one pass: a container's header is put in front once its count is known. */
#include <assert.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "client/json.h"
#include "proto/error.h"
#include "proto/msgpack.h"

#define NUMBER_MAX_BYTES 512u
#define FEW_MEMBERS 12u /* compared one with each other; more are sorted */

struct name { /* of a member: where it lies in the output */
	size_t at;
	size_t size;
};

struct json_reader {
	const uint8_t *begin;
	const uint8_t *at;
	const uint8_t *end;
	struct buffer *out;
	struct buffer names; /* struct name of every open object, a stack */
	struct buffer text;  /* the string being read */
	const char *why;
	uint32_t depth;
};

static bool json_value(struct json_reader *r);

static bool json_fail(struct json_reader *r, const char *why)
{
	if (r->why == NULL)
		r->why = why;
	return false;
}

static bool json_expected(struct json_reader *r, const char *what)
{
	return json_fail(r, r->at == r->end ? "the text ends too soon" : what);
}

static void json_space(struct json_reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

static bool json_take(struct json_reader *r, char c)
{
	if (r->at == r->end || *r->at != (uint8_t)c)
		return false;
	r->at++;
	return true;
}

static bool json_word(struct json_reader *r, const char *word)
{
	size_t size = strlen(word);

	if ((size_t)(r->end - r->at) < size || memcmp(r->at, word, size) != 0)
		return json_expected(r, "expected a value");
	r->at += size;
	return true;
}

/* --- strings ------------------------------------------------------------------------------------------------------ */

static void text_put(struct json_reader *r, uint32_t c)
{
	if (c < 0x80) {
		buffer_u8(&r->text, (uint8_t)c);
	} else if (c < 0x800) {
		buffer_u8(&r->text, (uint8_t)(0xc0 | c >> 6));
		buffer_u8(&r->text, (uint8_t)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buffer_u8(&r->text, (uint8_t)(0xe0 | c >> 12));
		buffer_u8(&r->text, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buffer_u8(&r->text, (uint8_t)(0x80 | (c & 0x3f)));
	} else {
		buffer_u8(&r->text, (uint8_t)(0xf0 | c >> 18));
		buffer_u8(&r->text, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		buffer_u8(&r->text, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buffer_u8(&r->text, (uint8_t)(0x80 | (c & 0x3f)));
	}
}

static bool json_hex4(struct json_reader *r, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < 4; i++) {
		uint8_t c = r->at < r->end ? *r->at : 0;
		uint32_t digit;
		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (c | 0x20u) - 'a' + 10;
		else
			return json_expected(r, "expected four hexadecimal digits");
		*value = *value << 4 | digit;
		r->at++;
	}
	return true;
}

static bool json_unicode(struct json_reader *r)
{
	uint32_t high;
	uint32_t low;

	if (!json_hex4(r, &high))
		return false;
	if (high >= 0xdc00 && high < 0xe000)
		return json_fail(r, "half of a surrogate pair");
	if (high >= 0xd800 && high < 0xdc00) {
		if (!json_take(r, '\\') || !json_take(r, 'u') || !json_hex4(r, &low) || low < 0xdc00 || low >= 0xe000)
			return json_fail(r, "half of a surrogate pair");
		high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	}
	text_put(r, high);
	return true;
}

static bool json_escape(struct json_reader *r)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint8_t c;

	if (r->at == r->end)
		return json_fail(r, "the string does not end");
	c = *r->at++;
	if (c == 'u')
		return json_unicode(r);
	found = c == 0 ? NULL : strchr(from, c);
	if (found == NULL)
		return json_fail(r, "no such escape");
	buffer_u8(&r->text, (uint8_t)to[found - from]);
	return true;
}

/* The size of the UTF-8 sequence at the front; 0: it is none (overlong, surrogate, cut, beyond U+10FFFF). */
static size_t utf8_size(const uint8_t *at, const uint8_t *end)
{
	uint8_t c = *at;
	size_t size = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (size == 0 || (size_t)(end - at) < size)
		return 0;
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] >= 0xa0) || (c == 0xf0 && at[1] < 0x90) ||
	    (c == 0xf4 && at[1] >= 0x90))
		return 0;
	return size;
}

/* The text between the quotes: points into the input, or into r->text where something was escaped. */
static bool json_text(struct json_reader *r, struct span *text)
{
	const uint8_t *from = r->at;
	bool escaped = false;

	buffer_clear(&r->text);
	while (r->at < r->end && *r->at != '"') {
		size_t size;
		if (*r->at < 0x20)
			return json_fail(r, "a control character in a string must be escaped");
		if (*r->at == '\\') {
			if (!escaped)
				buffer_bytes(&r->text, from, (size_t)(r->at - from));
			escaped = true;
			r->at++;
			if (!json_escape(r))
				return false;
			continue;
		}
		size = utf8_size(r->at, r->end);
		if (size == 0)
			return json_fail(r, "not UTF-8");
		if (escaped)
			buffer_bytes(&r->text, r->at, size);
		r->at += size;
	}
	*text = escaped ? buffer_span(&r->text) : span_of(from, (size_t)(r->at - from));
	return json_take(r, '"') || json_fail(r, "the string does not end");
}

/* --- numbers ------------------------------------------------------------------------------------------------------ */

static bool json_digits(struct json_reader *r)
{
	const uint8_t *from = r->at;

	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		r->at++;
	return r->at > from || json_expected(r, "expected a digit");
}

/* Passes over a number; *whole: neither point nor exponent. */
static bool json_number_text(struct json_reader *r, bool *whole)
{
	*whole = true;
	(void)json_take(r, '-');
	if (!json_take(r, '0') && !json_digits(r))
		return false;
	if (json_take(r, '.')) {
		*whole = false;
		if (!json_digits(r))
			return false;
	}
	if (json_take(r, 'e') || json_take(r, 'E')) {
		*whole = false;
		if (!json_take(r, '-'))
			(void)json_take(r, '+');
		return json_digits(r);
	}
	return true;
}

static bool json_integer(const char *text, struct buffer *out)
{
	char *end;

	errno = 0;
	if (text[0] == '-') {
		long long value = strtoll(text, &end, 10);
		if (errno == 0)
			msgpack_write_int(out, value);
	} else {
		unsigned long long value = strtoull(text, &end, 10);
		if (errno == 0)
			msgpack_write_uint(out, value);
	}
	return errno == 0;
}

double json_strtod(const char *text, char **end)
{
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	double value;

	if (plain == (locale_t)0)
		return strtod(text, end);
	value = strtod_l(text, end, plain);
	freelocale(plain);
	return value;
}

static bool json_number(struct json_reader *r)
{
	const uint8_t *from = r->at;
	char text[NUMBER_MAX_BYTES];
	size_t size;
	double value;
	bool whole;

	if (!json_number_text(r, &whole))
		return false;
	size = (size_t)(r->at - from);
	if (size >= sizeof text)
		return json_fail(r, "the number is too long");
	memcpy(text, from, size);
	text[size] = '\0';
	if (whole && json_integer(text, r->out))
		return true;
	value = json_strtod(text, NULL);
	if (!isfinite(value))
		return json_fail(r, "the number is out of range");
	msgpack_write_double(r->out, value);
	return true;
}

/* --- arrays and objects ------------------------------------------------------------------------------------------- */

/* Puts the header of an array or map in front of what was written since `from`: its count is known only now. */
static void json_close(struct json_reader *r, size_t from, uint32_t count, bool map)
{
	struct buffer *out = r->out;
	struct buffer header = BUFFER_NULL;

	if (map)
		msgpack_write_map(&header, count);
	else
		msgpack_write_array(&header, count);
	if (header.failed || buffer_extend(out, header.size) == NULL) {
		out->failed = true;
	} else {
		memmove(out->data + from + header.size, out->data + from, out->size - header.size - from);
		memcpy(out->data + from, header.data, header.size);
	}
	buffer_deinit(&header);
}

static bool json_open(struct json_reader *r)
{
	r->at++;
	if (++r->depth > MSGPACK_DEPTH_MAX)
		return json_fail(r, "nested too deep");
	json_space(r);
	return true;
}

static bool json_array(struct json_reader *r)
{
	size_t from = r->out->size;
	uint32_t count = 0;

	if (!json_open(r))
		return false;
	while (!json_take(r, ']')) {
		if (count > 0 && !json_take(r, ','))
			return json_expected(r, "expected ',' or ']'");
		if (!json_value(r))
			return false;
		count++;
		json_space(r);
	}
	r->depth--;
	json_close(r, from, count, false);
	return true;
}

static int name_compare(const void *a, const void *b, void *data)
{
	const struct name *left = a;
	const struct name *right = b;
	const uint8_t *out = data;

	if (left->size != right->size)
		return left->size < right->size ? -1 : 1;
	return left->size == 0 ? 0 : memcmp(out + left->at, out + right->at, left->size);
}

static bool names_differ(struct json_reader *r, size_t base)
{
	size_t count = (r->names.size - base) / sizeof(struct name);
	struct name *names;

	if (count < 2)
		return true;
	names = (struct name *)(void *)(r->names.data + base);
	if (count > FEW_MEMBERS)
		qsort_r(names, count, sizeof *names, name_compare, r->out->data);
	for (size_t i = 1; i < count; i++) {
		for (size_t j = count > FEW_MEMBERS ? i - 1 : 0; j < i; j++) {
			if (name_compare(&names[i], &names[j], r->out->data) == 0)
				return json_fail(r, "two members have the same name");
		}
	}
	return true;
}

static bool json_name(struct json_reader *r)
{
	struct span text;
	struct name name;

	json_space(r);
	if (!json_take(r, '"'))
		return json_expected(r, "expected a member's name in quotes");
	if (!json_text(r, &text))
		return false;
	msgpack_write_str(r->out, text);
	name.size = text.size;
	name.at = r->out->size - text.size;
	buffer_bytes(&r->names, &name, sizeof name);
	json_space(r);
	return json_take(r, ':') || json_expected(r, "expected ':'");
}

static bool json_object(struct json_reader *r)
{
	size_t base = r->names.size;
	size_t from = r->out->size;
	uint32_t count = 0;

	if (!json_open(r))
		return false;
	while (!json_take(r, '}')) {
		if (count > 0 && !json_take(r, ','))
			return json_expected(r, "expected ',' or '}'");
		if (!json_name(r) || !json_value(r))
			return false;
		count++;
		json_space(r);
	}
	r->depth--;
	if (r->out->failed || r->names.failed || !names_differ(r, base))
		return false;
	r->names.size = base;
	json_close(r, from, count, true);
	return true;
}

static bool json_value(struct json_reader *r)
{
	struct span text;

	json_space(r);
	switch (r->at == r->end ? 0 : *r->at) {
	case '{': return json_object(r);
	case '[': return json_array(r);
	case '"':
		r->at++;
		if (!json_text(r, &text))
			return false;
		msgpack_write_str(r->out, text);
		return true;
	case 't': msgpack_write_bool(r->out, true); return json_word(r, "true");
	case 'f': msgpack_write_bool(r->out, false); return json_word(r, "false");
	case 'n': msgpack_write_nil(r->out); return json_word(r, "null");
	case '-':
	case '0' ... '9': return json_number(r);
	default: return json_expected(r, "expected a value");
	}
}

static void json_place(const struct json_reader *r, struct json_error *error)
{
	error->line = 1;
	error->column = 1;
	for (const uint8_t *at = r->begin; at < r->at; at++) {
		error->column++;
		if (*at == '\n') {
			error->line++;
			error->column = 1;
		}
	}
	error->why = r->why;
}

int json_to_msgpack(struct span json, struct buffer *out, struct json_error *error)
{
	struct json_reader r = {.begin = json.data, .at = json.data, .out = out};
	size_t before = out->size;
	bool read;
	int rv = 0;

	r.end = json.data == NULL ? NULL : json.data + json.size;
	read = json_value(&r);
	if (read) {
		json_space(&r);
		read = r.at == r.end || json_fail(&r, "something follows the value");
	}
	if (out->failed || r.names.failed || r.text.failed)
		rv = ERROR_MEMORY;
	else if (!read)
		rv = ERROR_MALFORMED;
	if (rv == ERROR_MALFORMED)
		json_place(&r, error);
	if (rv != 0)
		out->size = before;
	buffer_deinit(&r.names);
	buffer_deinit(&r.text);
	return rv;
}

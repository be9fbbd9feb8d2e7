/* MessagePack read by one table of first bytes; whole values are passed over without recursion. */
#include <assert.h>

#include "proto/error.h"
#include "proto/msgpack.h"

/* --- lead bytes --------------------------------------------------------------------------------------------- */

/* What the first byte of a value says. */
struct lead {
	uint8_t type;      /* enum msgpack_type */
	uint8_t wide;      /* bytes of the number or length after the lead byte */
	uint8_t immediate; /* the count or length it holds itself; for ext without length: the size */
};

#define LEAD(type, wide, immediate) ((struct lead){MSGPACK_##type, wide, immediate})

static struct lead lead_of_high(uint8_t byte)
{
	static const struct lead leads[32] = {
		[0x00] = {MSGPACK_NIL, 0, 0},  [0x01] = {MSGPACK_INVALID, 0, 0}, [0x02] = {MSGPACK_BOOL, 0, 0},
		[0x03] = {MSGPACK_BOOL, 0, 0}, [0x04] = {MSGPACK_BIN, 1, 0},     [0x05] = {MSGPACK_BIN, 2, 0},
		[0x06] = {MSGPACK_BIN, 4, 0},  [0x07] = {MSGPACK_EXT, 1, 0},     [0x08] = {MSGPACK_EXT, 2, 0},
		[0x09] = {MSGPACK_EXT, 4, 0},  [0x0a] = {MSGPACK_DOUBLE, 4, 0},  [0x0b] = {MSGPACK_DOUBLE, 8, 0},
		[0x0c] = {MSGPACK_UINT, 1, 0}, [0x0d] = {MSGPACK_UINT, 2, 0},    [0x0e] = {MSGPACK_UINT, 4, 0},
		[0x0f] = {MSGPACK_UINT, 8, 0}, [0x10] = {MSGPACK_INT, 1, 0},     [0x11] = {MSGPACK_INT, 2, 0},
		[0x12] = {MSGPACK_INT, 4, 0},  [0x13] = {MSGPACK_INT, 8, 0},     [0x14] = {MSGPACK_EXT, 0, 1},
		[0x15] = {MSGPACK_EXT, 0, 2},  [0x16] = {MSGPACK_EXT, 0, 4},     [0x17] = {MSGPACK_EXT, 0, 8},
		[0x18] = {MSGPACK_EXT, 0, 16}, [0x19] = {MSGPACK_STR, 1, 0},     [0x1a] = {MSGPACK_STR, 2, 0},
		[0x1b] = {MSGPACK_STR, 4, 0},  [0x1c] = {MSGPACK_ARRAY, 2, 0},   [0x1d] = {MSGPACK_ARRAY, 4, 0},
		[0x1e] = {MSGPACK_MAP, 2, 0},  [0x1f] = {MSGPACK_MAP, 4, 0},
	};

	return leads[byte - 0xc0];
}

static inline struct lead lead_of(uint8_t byte)
{
	if (byte < 0x80)
		return LEAD(UINT, 0, byte);
	if (byte < 0x90)
		return LEAD(MAP, 0, byte & 0x0f);
	if (byte < 0xa0)
		return LEAD(ARRAY, 0, byte & 0x0f);
	if (byte < 0xc0)
		return LEAD(STR, 0, byte & 0x1f);
	if (byte >= 0xe0)
		return LEAD(INT, 0, byte);
	return lead_of_high(byte);
}

const uint8_t msgpack_plain_size_bytes[256] = {
	[0x00 ... 0x7f] = 1, [0xc0] = 1,  [0xc2 ... 0xc3] = 1, [0xca] = 5,  [0xcb] = 9,  [0xcc] = 2,
	[0xcd] = 3,          [0xce] = 5,  [0xcf] = 9,          [0xd0] = 2,  [0xd1] = 3,  [0xd2] = 5,
	[0xd3] = 9,          [0xd4] = 3,  [0xd5] = 4,          [0xd6] = 6,  [0xd7] = 10, [0xd8] = 18,
	[0xe0 ... 0xff] = 1, [0xa0] = 1,  [0xa1] = 2,          [0xa2] = 3,  [0xa3] = 4,  [0xa4] = 5,
	[0xa5] = 6,          [0xa6] = 7,  [0xa7] = 8,          [0xa8] = 9,  [0xa9] = 10, [0xaa] = 11,
	[0xab] = 12,         [0xac] = 13, [0xad] = 14,         [0xae] = 15, [0xaf] = 16, [0xb0] = 17,
	[0xb1] = 18,         [0xb2] = 19, [0xb3] = 20,         [0xb4] = 21, [0xb5] = 22, [0xb6] = 23,
	[0xb7] = 24,         [0xb8] = 25, [0xb9] = 26,         [0xba] = 27, [0xbb] = 28, [0xbc] = 29,
	[0xbd] = 30,         [0xbe] = 31, [0xbf] = 32,
};

/* The number behind a lead byte. */
static inline uint64_t load_wide(const uint8_t *at, size_t width)
{
	switch (width) {
	case 1: return at[0];
	case 2: return load_big(at, 2);
	case 4: return load_big(at, 4);
	default: assert(width == 8); return load_big(at, 8);
	}
}

static inline int64_t sign_extended(uint64_t value, size_t width)
{
	unsigned unused = (unsigned)(64 - 8 * width);

	return (int64_t)(value << unused) >> unused;
}

/* One value without what it contains: the header of an array or map, the bytes of everything else. */
struct token {
	enum msgpack_type type;
	uint64_t number; /* uint, int (two's complement), double's bits, bool, count of an array or map */
	struct span bytes;
	int8_t ext_type;
};

static double double_of(uint64_t bits, size_t width)
{
	double value;
	float narrow;
	uint32_t narrow_bits = (uint32_t)bits;

	if (width == 4) {
		memcpy(&narrow, &narrow_bits, sizeof narrow);
		return (double)narrow;
	}
	memcpy(&value, &bits, sizeof value);
	return value;
}

/* Inline: a lead of three bytes written to memory and read back as four waits for the store. */
static inline void token_number(struct token *token, struct lead lead)
{
	double value;

	if (lead.type == MSGPACK_DOUBLE) {
		value = double_of(token->number, lead.wide);
		memcpy(&token->number, &value, sizeof value);
		return;
	}
	if (lead.wide == 0)
		token->number = lead.type == MSGPACK_INT ? (uint64_t)sign_extended(lead.immediate, 1) : lead.immediate;
	else if (lead.type == MSGPACK_INT)
		token->number = (uint64_t)sign_extended(token->number, lead.wide);
	if (lead.type == MSGPACK_INT && (int64_t)token->number >= 0)
		token->type = MSGPACK_UINT;
}

/* Takes the next token. False, and failed: cut off, 0xc1, or a count that the bytes left cannot hold. */
static bool token_read(struct reader *in, struct token *token)
{
	struct lead lead;
	size_t left;

	if (in->failed || in->at == in->end)
		goto failed;
	lead = lead_of(*in->at);
	left = reader_left(in) - 1;
	if (lead.type == MSGPACK_INVALID || left < lead.wide)
		goto failed;
	token->type = (enum msgpack_type)lead.type;
	token->number = lead.wide == 0 ? lead.immediate : load_wide(in->at + 1, lead.wide);
	left -= lead.wide;
	switch (token->type) {
	case MSGPACK_BOOL: token->number = *in->at & 1; break;
	case MSGPACK_UINT:
	case MSGPACK_INT:
	case MSGPACK_DOUBLE: token_number(token, lead); break;
	case MSGPACK_STR:
	case MSGPACK_BIN:
		if (token->number > left)
			goto failed;
		token->bytes = span_of(in->at + 1 + lead.wide, (size_t)token->number);
		in->at += token->bytes.size;
		break;
	case MSGPACK_EXT:
		if (token->number >= left)
			goto failed;
		token->ext_type = (int8_t)in->at[1 + lead.wide];
		token->bytes = span_of(in->at + 2 + lead.wide, (size_t)token->number);
		in->at += 1 + token->bytes.size;
		break;
	case MSGPACK_ARRAY:
		if (token->number > left)
			goto failed;
		break;
	case MSGPACK_MAP:
		if (token->number > left / 2)
			goto failed;
		break;
	case MSGPACK_END:
	case MSGPACK_INVALID:
	case MSGPACK_NIL: break;
	}
	in->at += 1 + lead.wide;
	return true;
failed:
	in->failed = true;
	return false;
}

/* --- typed reads -------------------------------------------------------------------------------------------- */

enum msgpack_type msgpack_peek(const struct reader *in)
{
	struct lead lead;

	if (in->failed || in->at == in->end)
		return MSGPACK_END;
	lead = lead_of(*in->at);
	if (lead.type == MSGPACK_INT && lead.wide > 0 && reader_left(in) > 1 && in->at[1] < 0x80)
		return MSGPACK_UINT;
	return (enum msgpack_type)lead.type;
}

const char *msgpack_type_name(enum msgpack_type type)
{
	static const char *const names[] = {
		[MSGPACK_END] = "end",       [MSGPACK_INVALID] = "invalid", [MSGPACK_NIL] = "nil",
		[MSGPACK_BOOL] = "boolean",  [MSGPACK_UINT] = "integer",    [MSGPACK_INT] = "integer",
		[MSGPACK_DOUBLE] = "double", [MSGPACK_STR] = "string",      [MSGPACK_BIN] = "binary",
		[MSGPACK_ARRAY] = "array",   [MSGPACK_MAP] = "map",         [MSGPACK_EXT] = "extension",
	};

	assert(type <= MSGPACK_EXT);
	return names[type];
}

/* A token of the type wanted, or an empty one with failed set. */
static struct token token_expect(struct reader *in, enum msgpack_type type)
{
	struct token token = {MSGPACK_END, 0, SPAN_NULL, 0};

	if (!token_read(in, &token) || token.type != type) {
		in->failed = true;
		return (struct token){MSGPACK_END, 0, SPAN_NULL, 0};
	}
	return token;
}

void msgpack_read_nil(struct reader *in)
{
	token_expect(in, MSGPACK_NIL);
}

bool msgpack_read_bool(struct reader *in)
{
	return token_expect(in, MSGPACK_BOOL).number != 0;
}

uint64_t msgpack_read_uint_slow(struct reader *in)
{
	return token_expect(in, MSGPACK_UINT).number;
}

int64_t msgpack_read_int(struct reader *in)
{
	struct token token = {MSGPACK_END, 0, SPAN_NULL, 0};
	bool whole = token_read(in, &token);

	if (whole && (token.type == MSGPACK_INT || (token.type == MSGPACK_UINT && token.number <= INT64_MAX)))
		return (int64_t)token.number;
	in->failed = true;
	return 0;
}

double msgpack_read_double_slow(struct reader *in)
{
	return double_of(token_expect(in, MSGPACK_DOUBLE).number, 8);
}

struct span msgpack_read_str_slow(struct reader *in)
{
	return token_expect(in, MSGPACK_STR).bytes;
}

struct span msgpack_read_bin(struct reader *in)
{
	return token_expect(in, MSGPACK_BIN).bytes;
}

uint32_t msgpack_read_array(struct reader *in)
{
	return (uint32_t)token_expect(in, MSGPACK_ARRAY).number;
}

uint32_t msgpack_read_map_slow(struct reader *in)
{
	return (uint32_t)token_expect(in, MSGPACK_MAP).number;
}

struct span msgpack_read_ext(struct reader *in, int8_t *type)
{
	struct token token = token_expect(in, MSGPACK_EXT);

	*type = token.ext_type;
	return token.bytes;
}

static enum msgpack_type number_of_int(int64_t value, uint64_t *bits)
{
	*bits = (uint64_t)value;
	return value < 0 ? MSGPACK_INT : MSGPACK_UINT;
}

static enum msgpack_type number_of_double(double value, uint64_t *bits)
{
	memcpy(bits, &value, sizeof value);
	return MSGPACK_DOUBLE;
}

/* Beside token_read for the sake of views, whose arithmetic reads a dozen numbers an event. */
enum msgpack_type msgpack_number(struct span value, uint64_t *bits)
{
	const uint8_t *at = value.data;

	*bits = 0;
	if (value.size == 0 || value.size != msgpack_plain_size_bytes[*at])
		return MSGPACK_INVALID;
	if (value.size == 1 && (int8_t)*at >= -32)
		return number_of_int((int8_t)*at, bits);
	switch (*at) {
	case 0xca: return number_of_double(double_of(load_big(at + 1, 4), 4), bits);
	case 0xcb: *bits = load_big(at + 1, 8); return MSGPACK_DOUBLE;
	case 0xcc: *bits = at[1]; return MSGPACK_UINT;
	case 0xcd: *bits = load_big(at + 1, 2); return MSGPACK_UINT;
	case 0xce: *bits = load_big(at + 1, 4); return MSGPACK_UINT;
	case 0xcf: *bits = load_big(at + 1, 8); return MSGPACK_UINT;
	case 0xd0: return number_of_int((int8_t)at[1], bits);
	case 0xd1: return number_of_int((int16_t)load_big(at + 1, 2), bits);
	case 0xd2: return number_of_int((int32_t)load_big(at + 1, 4), bits);
	case 0xd3: return number_of_int((int64_t)load_big(at + 1, 8), bits);
	default: return MSGPACK_INVALID;
	}
}

/* --- whole values ------------------------------------------------------------------------------------------- */

/* Values still to come inside the containers that are open. */
struct nesting {
	uint64_t left[MSGPACK_DEPTH_MAX];
	unsigned depth;
};

static void nesting_close(struct nesting *nesting)
{
	while (nesting->depth > 0 && nesting->left[nesting->depth - 1] == 0)
		nesting->depth--;
}

/* Opens what the token opens and closes what it completes. False: nested too deep. */
static bool nesting_take(struct nesting *nesting, const struct token *token)
{
	bool opens = token->type == MSGPACK_ARRAY || token->type == MSGPACK_MAP;

	if (nesting->depth > 0)
		nesting->left[nesting->depth - 1]--;
	if (opens && nesting->depth == MSGPACK_DEPTH_MAX)
		return false;
	if (opens)
		nesting->left[nesting->depth++] = token->type == MSGPACK_MAP ? 2 * token->number : token->number;
	nesting_close(nesting);
	return true;
}

/* Passes over plain values inside the innermost open container, which loses as many. */
static void nesting_take_plain(struct nesting *nesting, struct reader *in)
{
	uint64_t left = nesting->left[nesting->depth - 1];
	const uint8_t *at = in->at;

	while (left > 0 && at != in->end) {
		size_t size = msgpack_plain_size_bytes[*at];
		if (size == 0 || size > (size_t)(in->end - at))
			break;
		at += size;
		left--;
	}
	in->at = at;
	nesting->left[nesting->depth - 1] = left;
	nesting_close(nesting);
}

struct span msgpack_skip_slow(struct reader *in)
{
	const uint8_t *from = in->at;
	struct nesting nesting;
	struct token token;

	nesting.depth = 0;
	do {
		if (!token_read(in, &token))
			return SPAN_NULL;
		if (!nesting_take(&nesting, &token)) {
			in->failed = true;
			return SPAN_NULL;
		}
		if (nesting.depth > 0)
			nesting_take_plain(&nesting, in);
	} while (nesting.depth > 0);
	return span_of(from, (size_t)(in->at - from));
}

int msgpack_validate(struct span value)
{
	struct reader in = reader_of(value);

	msgpack_skip(&in);
	return reader_done(&in) ? 0 : ERROR_MALFORMED;
}

struct span msgpack_member(struct span map, struct span key)
{
	struct reader in = reader_of(map);
	uint32_t count = msgpack_read_map(&in);

	for (uint32_t i = 0; i < count && !in.failed; i++) {
		bool found = false;
		if (msgpack_peek(&in) == MSGPACK_STR)
			found = span_equal(msgpack_read_str(&in), key);
		else
			msgpack_skip(&in);
		if (found)
			return msgpack_skip(&in);
		msgpack_skip(&in);
	}
	return SPAN_NULL;
}

/* --- order -------------------------------------------------------------------------------------------------- */

static int order_of(bool below, bool above)
{
	return (int)above - (int)below;
}

static int compare_bytes(struct span a, struct span b)
{
	size_t common = a.size < b.size ? a.size : b.size;
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

	if (order != 0)
		return order_of(order<0, order> 0);
	return order_of(a.size<b.size, a.size> b.size);
}

static int type_rank(enum msgpack_type type)
{
	return type == MSGPACK_INT || type == MSGPACK_DOUBLE ? MSGPACK_UINT : (int)type;
}

/* An integer against a double that is no NaN, exactly: the double's whole part is compared as an integer. */
static int compare_integer_double(const struct token *integer, double value)
{
	bool negative = integer->type == MSGPACK_INT;
	int64_t whole;
	uint64_t unsigned_whole;

	if (value >= 18446744073709551616.0)
		return -1;
	if (value < -9223372036854775808.0)
		return 1;
	if (value >= 9223372036854775808.0) {
		unsigned_whole = (uint64_t)value; /* no fraction at this size */
		return negative ? -1 : order_of(integer->number<unsigned_whole, integer->number> unsigned_whole);
	}
	whole = (int64_t)value;
	if (!negative && integer->number > INT64_MAX)
		return 1;
	if ((int64_t)integer->number != whole)
		return order_of((int64_t)integer->number<whole, (int64_t)integer->number> whole);
	return order_of((double)whole<value, (double)whole> value);
}

static int compare_doubles(double a, double b)
{
	bool a_is_nan = a != a;
	bool b_is_nan = b != b;

	if (a_is_nan || b_is_nan)
		return order_of(a_is_nan && !b_is_nan, b_is_nan && !a_is_nan);
	return order_of(a<b, a> b);
}

static int compare_numbers(const struct token *a, const struct token *b)
{
	double value;

	if (a->type == MSGPACK_DOUBLE && b->type == MSGPACK_DOUBLE)
		return compare_doubles(double_of(a->number, 8), double_of(b->number, 8));
	if (a->type == MSGPACK_DOUBLE)
		return -compare_numbers(b, a);
	if (b->type == MSGPACK_DOUBLE) {
		value = double_of(b->number, 8);
		return value != value ? 1 : compare_integer_double(a, value);
	}
	if (a->type != b->type)
		return a->type == MSGPACK_INT ? -1 : 1;
	return a->type == MSGPACK_INT
		       ? order_of((int64_t)a->number<(int64_t)b->number, (int64_t)a->number>(int64_t) b->number)
		       : order_of(a->number<b->number, a->number> b->number);
}

static int compare_tokens(const struct token *a, const struct token *b)
{
	int rank_a = type_rank(a->type);
	int rank_b = type_rank(b->type);

	if (rank_a != rank_b)
		return order_of(rank_a<rank_b, rank_a> rank_b);
	switch (a->type) {
	case MSGPACK_STR:
	case MSGPACK_BIN: return compare_bytes(a->bytes, b->bytes);
	case MSGPACK_EXT:
		if (a->ext_type != b->ext_type)
			return order_of(a->ext_type<b->ext_type, a->ext_type> b->ext_type);
		return compare_bytes(a->bytes, b->bytes);
	case MSGPACK_UINT:
	case MSGPACK_INT:
	case MSGPACK_DOUBLE: return compare_numbers(a, b);
	case MSGPACK_BOOL:
	case MSGPACK_ARRAY:
	case MSGPACK_MAP: return order_of(a->number<b->number, a->number> b->number);
	case MSGPACK_END:
	case MSGPACK_INVALID:
	case MSGPACK_NIL: break;
	}
	return 0;
}

/* Containers of unequal count differ at their headers, so two values that are equal so far are nested alike: one count
 * of values still to come is enough. */
static int compare_nested(struct span a, struct span b)
{
	struct reader in_a = reader_of(a);
	struct reader in_b = reader_of(b);
	uint64_t left = 1;

	while (left > 0) {
		struct token token_a;
		struct token token_b;
		bool has_a = token_read(&in_a, &token_a);
		bool has_b = token_read(&in_b, &token_b);
		int order;
		if (!has_a || !has_b) /* not validated: what is cut off comes first */
			return order_of(!has_a && has_b, has_a && !has_b);
		order = compare_tokens(&token_a, &token_b);
		if (order != 0)
			return order;
		left--;
		if (token_a.type == MSGPACK_ARRAY)
			left += token_a.number;
		if (token_a.type == MSGPACK_MAP)
			left += 2 * token_a.number;
	}
	return 0;
}

int msgpack_compare(struct span a, struct span b)
{
	struct token token_a;
	struct token token_b;

	token_a.type = msgpack_number(a, &token_a.number);
	token_b.type = msgpack_number(b, &token_b.number);
	if (token_a.type != MSGPACK_INVALID && token_b.type != MSGPACK_INVALID)
		return compare_numbers(&token_a, &token_b);
	return compare_nested(a, b);
}

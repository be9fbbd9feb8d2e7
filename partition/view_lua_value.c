/* Values between MessagePack and Lua, and the order of a table's keys. */
#include <assert.h>
#include <stdlib.h>

#include "partition/array.h"
#include "partition/view_lua_internal.h"
#include "partition/view_members.h"

#define STEP_NUMBERS 64u /* names that are numbers, gone through in one step */

/* --- reading ------------------------------------------------------------------------------------------------------ */

static void decode_array(lua_State *L, struct reader *in)
{
	uint32_t count = msgpack_read_array(in);

	lua_push_list(L, count);
	for (uint32_t i = 0; i < count && !in->failed; i++) {
		lua_decode(L, in);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_rawgetp(L, LUA_REGISTRYINDEX, &lua_key_array);
	lua_setmetatable(L, -2);
}

/* Numbers can be chosen such that they fall into one place of a table, texts cannot: each is looked for among those
 * before it. */
static void decode_map(lua_State *L, struct reader *in)
{
	uint32_t count = msgpack_read_map(in);
	uint32_t numbers = 0;
	struct lua_key key;

	lua_charge_memory(L, (uint64_t)count * 2 * LUA_VALUE_BYTES);
	lua_createtable(L, 0, (int)count);
	for (uint32_t i = 0; i < count && !in->failed; i++) {
		lua_decode(L, in);
		if (!lua_key_read(L, -1, &key))
			luaL_error(L, "the payload has a member whose name is neither text, number nor truth value");
		if (key.rank == LUA_KEY_NUMBER)
			lua_charge_steps(L, numbers++ / STEP_NUMBERS);
		lua_decode(L, in);
		lua_rawset(L, -3);
	}
}

static void decode_double(lua_State *L, double value)
{
	static const uint64_t nan_bits = 0x7ff8000000000000u;

	if (value != value)
		memcpy(&value, &nan_bits, sizeof value);
	lua_pushnumber(L, value);
}

static void decode_unsigned(lua_State *L, uint64_t value)
{
	if (value > INT64_MAX)
		luaL_error(L, "an integer above 2^63 - 1 cannot be held");
	lua_pushinteger(L, (lua_Integer)value);
}

/* The depth is that of a validated value, at most MSGPACK_DEPTH_MAX. */
void lua_decode(lua_State *L, struct reader *in)
{
	luaL_checkstack(L, 4, "values nested too deep");
	lua_charge_steps(L, 1);
	switch (msgpack_peek(in)) {
	case MSGPACK_NIL:
		msgpack_read_nil(in);
		lua_pushlightuserdata(L, NULL);
		return;
	case MSGPACK_BOOL: lua_pushboolean(L, msgpack_read_bool(in)); return;
	case MSGPACK_UINT: decode_unsigned(L, msgpack_read_uint(in)); return;
	case MSGPACK_INT: lua_pushinteger(L, msgpack_read_int(in)); return;
	case MSGPACK_DOUBLE: decode_double(L, msgpack_read_double(in)); return;
	case MSGPACK_STR: lua_push_text(L, msgpack_read_str(in)); return;
	case MSGPACK_BIN: lua_push_text(L, msgpack_read_bin(in)); return;
	case MSGPACK_ARRAY: decode_array(L, in); return;
	case MSGPACK_MAP: decode_map(L, in); return;
	case MSGPACK_EXT: luaL_error(L, "a MessagePack extension type cannot be read"); return;
	default: luaL_error(L, "the payload is not MessagePack"); return;
	}
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

bool lua_key_read(lua_State *L, int index, struct lua_key *key)
{
	size_t size;

	*key = (struct lua_key){.rank = LUA_KEY_BOOLEAN};
	switch (lua_type(L, index)) {
	case LUA_TNUMBER:
		key->rank = LUA_KEY_NUMBER;
		key->is_integer = lua_isinteger(L, index) != 0;
		if (key->is_integer)
			key->integer = lua_tointeger(L, index);
		else
			key->real = lua_tonumber(L, index);
		return key->is_integer || key->real == key->real;
	case LUA_TSTRING:
		key->rank = LUA_KEY_STRING;
		key->text.data = (const uint8_t *)lua_tolstring(L, index, &size);
		key->text.size = size;
		return true;
	case LUA_TBOOLEAN: key->truth = lua_toboolean(L, index) != 0; return true;
	default: return false;
	}
}

void lua_key_push(lua_State *L, const struct lua_key *key)
{
	switch (key->rank) {
	case LUA_KEY_STRING: lua_pushlstring(L, (const char *)key->text.data, key->text.size); break;
	case LUA_KEY_BOOLEAN: lua_pushboolean(L, key->truth); break;
	case LUA_KEY_NUMBER:
		if (key->is_integer)
			lua_pushinteger(L, key->integer);
		else
			lua_pushnumber(L, key->real);
		break;
	}
}

/* Exactly, whatever both are. A key that is a double has no integer that equals it. */
static int compare_numbers(const struct lua_key *a, const struct lua_key *b)
{
	if (a->is_integer && b->is_integer)
		return (a->integer > b->integer) - (a->integer < b->integer);
	if (!a->is_integer && !b->is_integer)
		return (a->real > b->real) - (a->real < b->real);
	if (!a->is_integer)
		return -compare_numbers(b, a);
	if (b->real >= 0x1p63)
		return -1;
	if (b->real < -0x1p63)
		return 1;
	/* the double lies between two integers: cutting it towards zero keeps it on its side of each */
	if (a->integer == (lua_Integer)b->real)
		return b->real > 0 ? -1 : 1;
	return a->integer < (lua_Integer)b->real ? -1 : 1;
}

int lua_key_compare(const struct lua_key *a, const struct lua_key *b)
{
	size_t common = a->text.size < b->text.size ? a->text.size : b->text.size;
	int order;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->rank == LUA_KEY_NUMBER)
		return compare_numbers(a, b);
	if (a->rank == LUA_KEY_BOOLEAN)
		return (int)a->truth - (int)b->truth;
	order = common == 0 ? 0 : memcmp(a->text.data, b->text.data, common);
	return order != 0 ? order : (a->text.size > b->text.size) - (a->text.size < b->text.size);
}

static int compare_keys(const void *a, const void *b)
{
	return lua_key_compare(a, b);
}

void lua_sort_keys(struct view_lua *self, uint32_t first)
{
	if (self->key_count - first < 2)
		return;
	qsort(self->keys + first, self->key_count - first, sizeof *self->keys, compare_keys);
}

int lua_collect_keys(lua_State *L, int index, uint32_t *first)
{
	struct view_lua *self = lua_self(L);
	int rv = 0;

	*first = self->key_count;
	lua_pushnil(L);
	while (lua_next(L, index) != 0) {
		void *keys = self->keys;

		lua_pop(L, 1);
		rv = array_grow(&keys, self->key_count, sizeof *self->keys);
		self->keys = keys;
		if (rv == 0 && !lua_key_read(L, -1, &self->keys[self->key_count]))
			rv = ERROR_LIMIT;
		if (rv != 0) {
			lua_pop(L, 1);
			return rv;
		}
		self->key_count++;
	}
	return 0;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

struct encoder {
	lua_State *L;
	struct buffer *out;
	const char *why;
};

static int encode_fault(struct encoder *e, const char *why)
{
	e->why = why;
	return ERROR_LIMIT;
}

static int encode_value(struct encoder *e, uint32_t depth);

/* Overlong forms, surrogates and what lies beyond U+10FFFF are no UTF-8. */
static size_t utf8_size(const uint8_t *at, size_t left)
{
	uint32_t least;
	uint32_t point;
	size_t size;

	if (*at < 0x80)
		return 1;
	size = *at >= 0xf0 && *at < 0xf8 ? 4 : *at >= 0xe0 && *at < 0xf0 ? 3 : *at >= 0xc0 && *at < 0xe0 ? 2 : 0;
	if (size == 0 || size > left)
		return 0;
	point = *at & (0xffu >> (size + 1));
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (at[i] & 0x3fu);
	}
	least = size == 2 ? 0x80 : size == 3 ? 0x800 : 0x10000;
	return point < least || point > 0x10ffff || (point >= 0xd800 && point < 0xe000) ? 0 : size;
}

static void encode_string(struct encoder *e, struct span s)
{
	size_t at = 0;

	while (at < s.size) {
		size_t size = utf8_size(s.data + at, s.size - at);

		if (size == 0) {
			msgpack_write_bin(e->out, s);
			return;
		}
		at += size;
	}
	msgpack_write_str(e->out, s);
}

static bool is_marked_array(lua_State *L)
{
	bool marked = false;

	if (lua_getmetatable(L, -1) != 0) {
		lua_rawgetp(L, LUA_REGISTRYINDEX, &lua_key_array);
		marked = lua_rawequal(L, -1, -2) != 0;
		lua_pop(L, 2);
	}
	return marked;
}

/* Keys are exactly 1 to n: distinct integers of which the least is 1 and the greatest n. */
static bool keys_are_array(const struct view_lua *self, uint32_t first)
{
	uint32_t count = self->key_count - first;

	for (uint32_t i = first; i < self->key_count; i++) {
		const struct lua_key *key = &self->keys[i];

		if (key->rank != LUA_KEY_NUMBER || !key->is_integer || key->integer < 1 || key->integer > count)
			return false;
	}
	return count > 0;
}

static int encode_array(struct encoder *e, uint32_t count, uint32_t depth)
{
	int rv = 0;

	msgpack_write_array(e->out, count);
	for (uint32_t i = 0; i < count && rv == 0; i++) {
		lua_rawgeti(e->L, -1, (lua_Integer)i + 1);
		rv = encode_value(e, depth);
		lua_pop(e->L, 1);
	}
	return rv;
}

static void encode_key(struct encoder *e, const struct lua_key *key)
{
	if (key->rank == LUA_KEY_STRING)
		encode_string(e, key->text);
	else if (key->rank == LUA_KEY_BOOLEAN)
		msgpack_write_bool(e->out, key->truth);
	else if (key->is_integer)
		msgpack_write_int(e->out, key->integer);
	else
		msgpack_write_double(e->out, key->real);
}

static bool is_updated_at(const struct lua_key *key)
{
	return key->rank == LUA_KEY_STRING && span_equal(key->text, span_of_text(VIEW_UPDATED_AT));
}

/* The members from `first` on, which are the stack's last; `top`: of the state itself, without the tail's. */
static int encode_members(struct encoder *e, uint32_t first, bool top, uint32_t depth)
{
	struct view_lua *self = lua_self(e->L);
	int rv = 0;

	lua_sort_keys(self, first);
	for (uint32_t i = first; i < self->key_count && rv == 0; i++) {
		struct lua_key key = self->keys[i]; /* the stack may move */

		if (top && is_updated_at(&key))
			continue;
		encode_key(e, &key);
		lua_key_push(e->L, &key);
		lua_rawget(e->L, -2);
		rv = encode_value(e, depth);
		lua_pop(e->L, 1);
	}
	return rv;
}

static int encode_table(struct encoder *e, uint32_t depth)
{
	struct view_lua *self = lua_self(e->L);
	uint32_t first = 0;
	int rv;

	if (depth > LUA_DEPTH_MAX - 1 || !lua_checkstack(e->L, 6))
		return encode_fault(e, "the state has tables nested too deep, or inside themselves");
	rv = lua_collect_keys(e->L, lua_gettop(e->L), &first);
	if (rv == ERROR_LIMIT)
		rv = encode_fault(e, "the state has a key that is neither a number, a string nor a boolean");
	if (rv == 0 && (keys_are_array(self, first) || (self->key_count == first && is_marked_array(e->L)))) {
		uint32_t count = self->key_count - first;

		self->key_count = first;
		return encode_array(e, count, depth + 1);
	}
	if (rv == 0) {
		msgpack_write_map(e->out, self->key_count - first);
		rv = encode_members(e, first, false, depth + 1);
	}
	self->key_count = first;
	return rv;
}

static int encode_value(struct encoder *e, uint32_t depth)
{
	size_t size;
	const char *text;

	if (e->out->size > VIEW_STATE_MAX_BYTES)
		return encode_fault(e, "the state would be larger than 1 MiB");
	switch (lua_type(e->L, -1)) {
	case LUA_TBOOLEAN: msgpack_write_bool(e->out, lua_toboolean(e->L, -1) != 0); return 0;
	case LUA_TNUMBER:
		if (lua_isinteger(e->L, -1))
			msgpack_write_int(e->out, lua_tointeger(e->L, -1));
		else
			msgpack_write_double(e->out, lua_tonumber(e->L, -1));
		return 0;
	case LUA_TSTRING:
		text = lua_tolstring(e->L, -1, &size);
		encode_string(e, span_of(text, size));
		return 0;
	case LUA_TLIGHTUSERDATA: msgpack_write_nil(e->out); return 0;
	case LUA_TTABLE: return encode_table(e, depth);
	default: return encode_fault(e, "the state holds a function");
	}
}

static int encode_top(struct encoder *e)
{
	struct view_lua *self = lua_self(e->L);
	uint32_t first = 0;
	uint32_t count;
	int rv = lua_collect_keys(e->L, lua_gettop(e->L), &first);

	assert(first == 0);
	if (rv == ERROR_LIMIT)
		return encode_fault(e, "the state has a key that is neither a number, a string nor a boolean");
	if (rv != 0)
		return rv;
	if (keys_are_array(self, 0) || (self->key_count == 0 && is_marked_array(e->L)))
		return encode_fault(e, "the state is a list; a table with names is wanted");
	count = self->key_count + 1;
	for (uint32_t i = 0; i < self->key_count; i++)
		count -= is_updated_at(&self->keys[i]);
	msgpack_write_map(e->out, count);
	return encode_members(e, 0, true, 1);
}

int lua_encode_state(lua_State *L, struct buffer *out, uint64_t updated_at_us, const char **why)
{
	struct encoder e = {L, out, NULL};
	uint8_t *tail;
	int rv = encode_top(&e);

	lua_self(L)->key_count = 0;
	if (rv == 0 && out->size > VIEW_STATE_MAX_BYTES - VIEW_TAIL_BYTES)
		rv = encode_fault(&e, "the state would be larger than 1 MiB");
	*why = e.why;
	if (rv != 0)
		return rv;
	tail = buffer_extend(out, VIEW_TAIL_BYTES);
	if (tail == NULL)
		return ERROR_MEMORY;
	view_write_tail(tail, updated_at_us);
	return 0;
}

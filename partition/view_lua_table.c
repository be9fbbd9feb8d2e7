/* The table functions of scripts. Sorting is ours: Lua's picks pivots by the clock in large tables, which shows when
 * the comparison is no order. */
#include "partition/view_lua_internal.h"

#define UNPACK_MAX 200

static int table_insert_value(lua_State *L)
{
	lua_Integer length;
	lua_Integer at;

	luaL_checktype(L, 1, LUA_TTABLE);
	length = lua_length(L, 1);
	at = length + 1;
	if (lua_gettop(L) == 3) {
		at = luaL_checkinteger(L, 2);
		luaL_argcheck(L, at >= 1 && at <= length + 1, 2, "position out of bounds");
		lua_charge_steps(L, (uint64_t)(length + 1 - at) / 4);
		for (lua_Integer i = length; i >= at; i--) {
			lua_rawgeti(L, 1, i);
			lua_rawseti(L, 1, i + 1);
		}
	} else if (lua_gettop(L) != 2) {
		return luaL_error(L, "wrong number of arguments to 'insert'");
	}
	lua_charge_memory(L, LUA_VALUE_BYTES);
	lua_rawseti(L, 1, at);
	return 0;
}

static int table_remove_value(lua_State *L)
{
	lua_Integer length;
	lua_Integer at;

	luaL_checktype(L, 1, LUA_TTABLE);
	length = lua_length(L, 1);
	at = luaL_optinteger(L, 2, length);
	if (length == 0 && at >= 0 && at <= 1) {
		lua_pushnil(L);
		return 1;
	}
	luaL_argcheck(L, at >= 1 && at <= length + 1, 2, "position out of bounds");
	lua_charge_steps(L, (uint64_t)(length + 1 - at) / 4);
	lua_rawgeti(L, 1, at);
	for (lua_Integer i = at; i < length; i++) {
		lua_rawgeti(L, 1, i + 1);
		lua_rawseti(L, 1, i);
	}
	if (at <= length) {
		lua_pushnil(L);
		lua_rawseti(L, 1, length);
	}
	return 1;
}

static int table_concat(lua_State *L)
{
	struct view_lua *self = lua_self(L);
	struct buffer *out = &self->text;
	size_t size;
	const char *between = luaL_optlstring(L, 2, "", &size);
	lua_Integer from = luaL_optinteger(L, 3, 1);
	lua_Integer to;

	luaL_checktype(L, 1, LUA_TTABLE);
	to = lua_isnoneornil(L, 4) ? lua_length(L, 1) : luaL_checkinteger(L, 4);
	buffer_clear(out);
	for (lua_Integer i = from; i <= to; i++) {
		size_t before = out->size;
		int type = lua_rawgeti(L, 1, i);

		if (type != LUA_TSTRING && type != LUA_TNUMBER)
			return luaL_error(L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT)i);
		lua_text_of(L, -1, out);
		if (i < to)
			buffer_bytes(out, between, size);
		lua_pop(L, 1);
		lua_charge_memory(L, out->size - before);
		lua_charge_steps(L, 1 + (out->size - before) / 64);
		if (i == LUA_MAXINTEGER)
			break;
	}
	if (out->failed)
		return lua_fail_memory(L);
	lua_pushlstring(L, out->size == 0 ? "" : (const char *)out->data, out->size);
	return 1;
}

static int table_unpack(lua_State *L)
{
	lua_Integer from = luaL_optinteger(L, 2, 1);
	lua_Integer to;

	luaL_checktype(L, 1, LUA_TTABLE);
	to = lua_isnoneornil(L, 3) ? lua_length(L, 1) : luaL_checkinteger(L, 3);
	if (from > to)
		return 0;
	if ((lua_Unsigned)to - (lua_Unsigned)from >= UNPACK_MAX || !lua_checkstack(L, UNPACK_MAX))
		return luaL_error(L, "more than %d values to unpack", UNPACK_MAX);
	lua_charge_steps(L, (uint64_t)(to - from) / 4);
	for (lua_Integer i = from; i < to; i++)
		lua_rawgeti(L, 1, i);
	lua_rawgeti(L, 1, to);
	return (int)(to - from + 1);
}

/* --- sort: merging runs of 1, 2, 4, ... from one table into the other --------------------------------------------- */

/* Is the value on top less than the one below it? Pops neither. */
static bool top_is_less(lua_State *L)
{
	bool less;

	lua_charge_comparisons(L, 4);
	if (lua_isnil(L, 2))
		return lua_compare(L, -1, -2, LUA_OPLT) != 0;
	lua_pushvalue(L, 2);
	lua_pushvalue(L, -2);
	lua_pushvalue(L, -4);
	lua_call(L, 2, 1);
	less = lua_toboolean(L, -1) != 0;
	lua_pop(L, 1);
	return less;
}

/* Merges [low, middle) and [middle, high) of the table at `from` into the one at `to`. Equal values keep their
 * order. */
static void merge(lua_State *L, int from, int to, lua_Integer low, lua_Integer middle, lua_Integer high)
{
	lua_Integer left = low;
	lua_Integer right = middle;

	for (lua_Integer at = low; at < high; at++) {
		bool second = left == middle;

		if (left < middle && right < high) {
			lua_rawgeti(L, from, left);
			lua_rawgeti(L, from, right);
			second = top_is_less(L);
			lua_pop(L, 2);
		}
		lua_rawgeti(L, from, second ? right++ : left++);
		lua_rawseti(L, to, at);
	}
}

static lua_Integer least(lua_Integer a, lua_Integer b)
{
	return a < b ? a : b;
}

static int table_sort(lua_State *L)
{
	lua_Integer length;
	int from = 3;
	int to = 4;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 2);
	if (!lua_isnil(L, 2))
		luaL_checktype(L, 2, LUA_TFUNCTION);
	luaL_checkstack(L, 10, "sort");
	length = lua_length(L, 1);
	lua_push_list(L, length);
	lua_push_list(L, length);
	for (lua_Integer i = 1; i <= length; i++) {
		lua_rawgeti(L, 1, i);
		lua_rawseti(L, from, i);
	}
	for (lua_Integer width = 1; width < length; width *= 2) {
		for (lua_Integer low = 1; low <= length; low += 2 * width)
			merge(L, from, to, low, least(low + width, length + 1), least(low + 2 * width, length + 1));
		from ^= 3 ^ 4;
		to ^= 3 ^ 4;
	}
	for (lua_Integer i = 1; i <= length; i++) {
		lua_rawgeti(L, from, i);
		lua_rawseti(L, 1, i);
	}
	return 0;
}

void lua_open_tables(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"concat", table_concat}, {"insert", table_insert_value}, {"remove", table_remove_value},
		{"sort", table_sort},     {"unpack", table_unpack},       {NULL, NULL},
	};

	lua_newtable(L);
	luaL_setfuncs(L, functions, 0);
}

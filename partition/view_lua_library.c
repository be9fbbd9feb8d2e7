/* What a script can call: Lua's basic functions and math as far as they are the same everywhere. All of it is ours;
 * each function that loops or allocates charges for it. */
#include <assert.h>
#include <stdio.h>

#include "partition/view_lua_internal.h"

#define UNPACK_MAX 200

const char lua_key_environment;
const char lua_key_array;
const char lua_key_main;
const char lua_key_thread;

/* --- text and length ---------------------------------------------------------------------------------------------- */

static void text_of_real(lua_Number value, struct buffer *out)
{
	char text[40];
	int size = snprintf(text, sizeof text, "%.14g", value);

	if (value != value)
		size = snprintf(text, sizeof text, "nan"); /* its sign is the processor's */
	buffer_bytes(out, text, (size_t)size);
	if (text[strspn(text, "-0123456789")] == '\0')
		buffer_bytes(out, ".0", 2);
}

static void put_text(struct buffer *out, const char *text)
{
	buffer_bytes(out, text, strlen(text));
}

void lua_text_of(lua_State *L, int index, struct buffer *out)
{
	char text[24];
	size_t size;
	const char *s;

	switch (lua_type(L, index)) {
	case LUA_TNIL:
	case LUA_TNONE: put_text(out, "nil"); break;
	case LUA_TBOOLEAN: put_text(out, lua_toboolean(L, index) ? "true" : "false"); break;
	case LUA_TSTRING:
		s = lua_tolstring(L, index, &size);
		buffer_bytes(out, s, size);
		break;
	case LUA_TNUMBER:
		if (lua_isinteger(L, index)) {
			snprintf(text, sizeof text, "%lld", lua_tointeger(L, index));
			put_text(out, text);
		} else {
			text_of_real(lua_tonumber(L, index), out);
		}
		break;
	case LUA_TLIGHTUSERDATA: put_text(out, "null"); break;
	default: put_text(out, lua_typename(L, lua_type(L, index))); break; /* never an address */
	}
}

lua_Integer lua_length(lua_State *L, int index)
{
	lua_Integer n = 0;

	while (lua_rawgeti(L, index, n + 1) != LUA_TNIL) {
		lua_pop(L, 1);
		n++;
		if (n % 4 == 0)
			lua_charge_steps(L, 1);
	}
	lua_pop(L, 1);
	lua_charge_steps(L, 1);
	return n;
}

/* __pow of nil: what `#` calls (view_lua_text.c). */
static int length_of(lua_State *L)
{
	if (lua_type(L, 2) == LUA_TSTRING)
		lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 2));
	else if (lua_type(L, 2) == LUA_TTABLE)
		lua_pushinteger(L, lua_length(L, 2));
	else
		return luaL_error(L, "attempt to get length of a %s value", luaL_typename(L, 2));
	return 1;
}

static int library_tostring(lua_State *L)
{
	struct buffer *out = &lua_self(L)->text;

	luaL_checkany(L, 1);
	buffer_clear(out);
	lua_text_of(L, 1, out);
	if (out->failed)
		return lua_fail_memory(L);
	lua_charge_memory(L, out->size);
	lua_pushlstring(L, (const char *)out->data, out->size);
	return 1;
}

static int library_tonumber(lua_State *L)
{
	size_t size;
	const char *text;

	luaL_checkany(L, 1);
	if (lua_gettop(L) > 1)
		return luaL_error(L, "tonumber takes no base here");
	if (lua_type(L, 1) == LUA_TNUMBER) {
		lua_settop(L, 1);
		return 1;
	}
	text = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &size) : NULL;
	if (text == NULL || size > 200 || lua_stringtonumber(L, text) != size + 1)
		lua_pushnil(L);
	return 1;
}

/* --- walking tables ----------------------------------------------------------------------------------------------- */

static uint32_t collect(lua_State *L, int index)
{
	struct view_lua *self = lua_self(L);
	uint32_t first = 0;
	int rv = lua_collect_keys(L, index, &first);
	uint32_t count = self->key_count - first;

	self->key_count = first; /* what was collected stays readable until the next collecting */
	if (rv == ERROR_LIMIT)
		luaL_error(L, "a table with keys that are neither numbers, strings nor booleans has no order");
	if (rv != 0)
		lua_fail_memory(L);
	lua_charge_comparisons(L, 1 + count);
	return count;
}

/* next(table, key): in the order of keys. Each call looks at all of them: pairs is what to walk with. */
static int library_next(lua_State *L)
{
	struct view_lua *self = lua_self(L);
	const struct lua_key *found = NULL;
	struct lua_key after;
	bool bounded;
	uint32_t count;

	luaL_checktype(L, 1, LUA_TTABLE);
	bounded = !lua_isnoneornil(L, 2);
	if (bounded && !lua_key_read(L, 2, &after))
		return luaL_error(L, "a key that is neither a number, a string nor a boolean has no order");
	count = collect(L, 1);
	for (uint32_t i = 0; i < count; i++) {
		const struct lua_key *key = &self->keys[self->key_count + i];

		if (bounded && lua_key_compare(key, &after) <= 0)
			continue;
		if (found == NULL || lua_key_compare(key, found) < 0)
			found = key;
	}
	if (found == NULL) {
		lua_pushnil(L);
		return 1;
	}
	lua_key_push(L, found);
	lua_pushvalue(L, -1);
	lua_rawget(L, 1);
	return 2;
}

/* Upvalues: the table, its keys in order, how many have been seen. Those removed meanwhile are left out. */
static int pairs_step(lua_State *L)
{
	lua_Integer seen = lua_tointeger(L, lua_upvalueindex(3));

	for (;;) {
		lua_charge_steps(L, 1);
		if (lua_rawgeti(L, lua_upvalueindex(2), ++seen) == LUA_TNIL)
			return 1;
		lua_pushvalue(L, -1);
		if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
			break;
		lua_pop(L, 2);
	}
	lua_pushinteger(L, seen);
	lua_replace(L, lua_upvalueindex(3));
	return 2;
}

static int library_pairs(lua_State *L)
{
	struct view_lua *self = lua_self(L);
	uint32_t count;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	count = collect(L, 1);
	self->key_count += count;
	lua_sort_keys(self, self->key_count - count);
	self->key_count -= count;
	lua_push_list(L, count);
	for (uint32_t i = 0; i < count; i++) {
		lua_key_push(L, &self->keys[self->key_count + i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, pairs_step, 3);
	return 1;
}

static int ipairs_step(lua_State *L)
{
	lua_Integer i = luaL_checkinteger(L, 2) + 1;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_pushinteger(L, i);
	return lua_rawgeti(L, 1, i) == LUA_TNIL ? 1 : 2;
}

static int library_ipairs(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_pushcfunction(L, ipairs_step);
	lua_pushvalue(L, 1);
	lua_pushinteger(L, 0);
	return 3;
}

/* --- the rest of the basic functions ------------------------------------------------------------------------------ */

static int library_type(lua_State *L)
{
	luaL_checkany(L, 1);
	lua_pushstring(L, lua_type(L, 1) == LUA_TLIGHTUSERDATA ? "null" : luaL_typename(L, 1));
	return 1;
}

static int library_error(lua_State *L)
{
	lua_settop(L, 1);
	if (lua_type(L, 1) == LUA_TSTRING) {
		luaL_where(L, 1);
		lua_insert(L, 1);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

static int library_assert(lua_State *L)
{
	luaL_checkany(L, 1);
	if (lua_toboolean(L, 1))
		return lua_gettop(L);
	lua_remove(L, 1);
	if (lua_gettop(L) == 0)
		lua_pushliteral(L, "assertion failed!");
	lua_settop(L, 1);
	return library_error(L);
}

static int library_select(lua_State *L)
{
	lua_Integer count = lua_gettop(L) - 1;
	lua_Integer from;

	if (lua_type(L, 1) == LUA_TSTRING && strcmp(lua_tostring(L, 1), "#") == 0) {
		lua_pushinteger(L, count);
		return 1;
	}
	from = luaL_checkinteger(L, 1);
	if (from < 0)
		from = count + from + 1;
	luaL_argcheck(L, from >= 1, 1, "index out of range");
	return from > count ? 0 : (int)(count - from + 1);
}

static int library_array(lua_State *L)
{
	if (lua_isnoneornil(L, 1)) {
		lua_settop(L, 0);
		lua_newtable(L);
	}
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &lua_key_array);
	lua_setmetatable(L, 1);
	return 1;
}

/* --- math --------------------------------------------------------------------------------------------------------- */

static bool is_small(lua_Number x)
{
	return x >= -0x1p63 && x < 0x1p63;
}

/* Doubles beyond 2^53 are whole, so cutting off and stepping back is exact. */
static int round_to(lua_State *L, bool up)
{
	lua_Number x;
	lua_Integer whole;

	if (lua_isinteger(L, 1)) {
		lua_settop(L, 1);
		return 1;
	}
	x = luaL_checknumber(L, 1);
	if (!is_small(x)) {
		lua_pushnumber(L, x);
		return 1;
	}
	whole = (lua_Integer)x;
	if (up && (lua_Number)whole < x)
		whole++;
	if (!up && (lua_Number)whole > x)
		whole--;
	lua_pushinteger(L, whole);
	return 1;
}

static int math_floor(lua_State *L)
{
	return round_to(L, false);
}

static int math_ceil(lua_State *L)
{
	return round_to(L, true);
}

static int math_abs(lua_State *L)
{
	if (lua_isinteger(L, 1)) {
		lua_Integer n = lua_tointeger(L, 1);

		lua_pushinteger(L, n < 0 ? (lua_Integer)(0u - (lua_Unsigned)n) : n);
	} else {
		lua_Number x = luaL_checknumber(L, 1);

		lua_pushnumber(L, x < 0 ? -x : x == 0 ? 0.0 : x);
	}
	return 1;
}

static int extreme(lua_State *L, bool most)
{
	int count = lua_gettop(L);
	int best = 1;

	luaL_checknumber(L, 1);
	lua_charge_steps(L, (uint64_t)count / 8);
	for (int i = 2; i <= count; i++) {
		luaL_checknumber(L, i);
		if (lua_compare(L, most ? best : i, most ? i : best, LUA_OPLT))
			best = i;
	}
	lua_pushvalue(L, best);
	return 1;
}

static int math_max(lua_State *L)
{
	return extreme(L, true);
}

static int math_min(lua_State *L)
{
	return extreme(L, false);
}

static int math_tointeger(lua_State *L)
{
	int is_integer = 0;
	lua_Integer n = lua_type(L, 1) == LUA_TNUMBER ? lua_tointegerx(L, 1, &is_integer) : 0;

	luaL_checkany(L, 1);
	if (is_integer)
		lua_pushinteger(L, n);
	else
		lua_pushnil(L);
	return 1;
}

static int math_type(lua_State *L)
{
	luaL_checkany(L, 1);
	if (lua_type(L, 1) == LUA_TNUMBER)
		lua_pushstring(L, lua_isinteger(L, 1) ? "integer" : "float");
	else
		lua_pushnil(L);
	return 1;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int refuse_change(lua_State *L)
{
	return luaL_error(L, "the libraries cannot be changed");
}

void lua_freeze(lua_State *L, const char *name)
{
	lua_newtable(L); /* the stand-in */
	lua_newtable(L); /* its metatable */
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, refuse_change);
	lua_setfield(L, -2, "__newindex");
	lua_setmetatable(L, -2);
	lua_setfield(L, -3, name);
	lua_pop(L, 1);
}

static void open_math(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"abs", math_abs}, {"ceil", math_ceil},           {"floor", math_floor}, {"max", math_max},
		{"min", math_min}, {"tointeger", math_tointeger}, {"type", math_type},   {NULL, NULL},
	};

	lua_newtable(L);
	luaL_setfuncs(L, functions, 0);
	lua_pushinteger(L, LUA_MAXINTEGER);
	lua_setfield(L, -2, "maxinteger");
	lua_pushinteger(L, LUA_MININTEGER);
	lua_setfield(L, -2, "mininteger");
	lua_pushnumber(L, __builtin_huge_val());
	lua_setfield(L, -2, "huge");
}

static void open_length(lua_State *L)
{
	lua_pushnil(L);
	lua_newtable(L);
	lua_pushcfunction(L, length_of);
	lua_setfield(L, -2, "__pow");
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

/* Text by which every string finds its functions: s:upper(). */
static void open_string_methods(lua_State *L)
{
	lua_pushliteral(L, "");
	lua_newtable(L);
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

void lua_open_library(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"array", library_array},
		{"assert", library_assert},
		{"error", library_error},
		{"ipairs", library_ipairs},
		{"next", library_next},
		{"pairs", library_pairs},
		{"select", library_select},
		{"tonumber", library_tonumber},
		{"tostring", library_tostring},
		{"type", library_type},
		{NULL, NULL},
	};

	lua_newtable(L); /* what environments fall back to */
	luaL_setfuncs(L, functions, 0);
	lua_pushlightuserdata(L, NULL);
	lua_setfield(L, -2, "null");
	open_length(L);
	lua_open_strings(L);
	open_string_methods(L);
	lua_freeze(L, "string");
	lua_open_tables(L);
	lua_freeze(L, "table");
	open_math(L);
	lua_freeze(L, "math");
	lua_newtable(L);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, "__index");
	lua_rawsetp(L, LUA_REGISTRYINDEX, &lua_key_environment);
	lua_pop(L, 1);
	lua_newtable(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &lua_key_array);
}

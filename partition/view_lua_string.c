/* The string functions of scripts: bytes, as in the C locale, and no patterns, whose matching has no bound worth the
 * name. What a function puts together is charged before it is made. */
#include <stdio.h>

#include "partition/view_lua_internal.h"

static struct span check_string(lua_State *L, int index)
{
	size_t size;
	const char *text = luaL_checklstring(L, index, &size);

	lua_charge_steps(L, size / 64);
	return span_of(text, size);
}

/* The buffer for `size` bytes that are about to be made. */
static struct buffer *begin(lua_State *L, uint64_t size)
{
	struct buffer *out = &lua_self(L)->text;

	lua_charge_memory(L, size);
	lua_charge_steps(L, size / 64);
	buffer_clear(out);
	return out;
}

static int finish(lua_State *L)
{
	struct buffer *out = &lua_self(L)->text;

	if (out->failed)
		return lua_fail_memory(L);
	lua_pushlstring(L, out->size == 0 ? "" : (const char *)out->data, out->size);
	return 1;
}

/* A place counted from the end when negative. */
static lua_Integer place(lua_Integer at, size_t size)
{
	if (at >= 0)
		return at;
	return (lua_Unsigned)0 - (lua_Unsigned)at > size ? 0 : (lua_Integer)size + at + 1;
}

/* The part from i to j, both within. */
static struct span part(lua_State *L, struct span s, lua_Integer i, lua_Integer j)
{
	(void)L;
	i = place(i, s.size);
	j = place(j, s.size);
	if (i < 1)
		i = 1;
	if (j > (lua_Integer)s.size)
		j = (lua_Integer)s.size;
	return i > j ? SPAN_NULL : span_of(s.data + (i - 1), (size_t)(j - i + 1));
}

static int string_len(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)check_string(L, 1).size);
	return 1;
}

static int string_sub(lua_State *L)
{
	struct span s = check_string(L, 1);
	struct span found = part(L, s, luaL_checkinteger(L, 2), luaL_optinteger(L, 3, -1));

	lua_charge_memory(L, found.size);
	lua_pushlstring(L, found.size == 0 ? "" : (const char *)found.data, found.size);
	return 1;
}

static int string_byte(lua_State *L)
{
	struct span s = check_string(L, 1);
	lua_Integer i = luaL_optinteger(L, 2, 1);
	struct span found = part(L, s, i, luaL_optinteger(L, 3, i));

	luaL_argcheck(L, found.size <= 100, 3, "more than 100 bytes at once");
	luaL_checkstack(L, 101, "too many bytes");
	for (size_t k = 0; k < found.size; k++)
		lua_pushinteger(L, found.data[k]);
	return (int)found.size;
}

static int string_char(lua_State *L)
{
	int count = lua_gettop(L);
	struct buffer *out = begin(L, (uint64_t)count * 4);

	for (int i = 1; i <= count; i++) {
		lua_Integer c = luaL_checkinteger(L, i);

		luaL_argcheck(L, c >= 0 && c <= 255, i, "value out of range");
		lua_self(L)->zeros_seen |= c == 0;
		buffer_u8(out, (uint8_t)c);
	}
	return finish(L);
}

static int map_bytes(lua_State *L, char from, char to, int distance)
{
	struct span s = check_string(L, 1);
	struct buffer *out = begin(L, s.size);

	for (size_t i = 0; i < s.size; i++) {
		bool hit = s.data[i] >= (uint8_t)from && s.data[i] <= (uint8_t)to;

		buffer_u8(out, (uint8_t)(hit ? s.data[i] + distance : s.data[i]));
	}
	return finish(L);
}

static int string_lower(lua_State *L)
{
	return map_bytes(L, 'A', 'Z', 'a' - 'A');
}

static int string_upper(lua_State *L)
{
	return map_bytes(L, 'a', 'z', 'A' - 'a');
}

static int string_reverse(lua_State *L)
{
	struct span s = check_string(L, 1);
	struct buffer *out = begin(L, s.size);

	for (size_t i = s.size; i > 0; i--)
		buffer_u8(out, s.data[i - 1]);
	return finish(L);
}

static int string_rep(lua_State *L)
{
	struct span s = check_string(L, 1);
	lua_Integer count = luaL_checkinteger(L, 2);
	struct span between = lua_isnoneornil(L, 3) ? SPAN_NULL : check_string(L, 3);
	uint64_t one = s.size + between.size;
	struct buffer *out;

	if (count <= 0 || one == 0) {
		lua_pushliteral(L, "");
		return 1;
	}
	lua_charge_steps(L, (uint64_t)count / 16);
	out = begin(L, one * (uint64_t)count); /* each below 2^32 once the steps are paid */
	for (lua_Integer i = 0; i < count; i++) {
		if (i > 0)
			buffer_bytes(out, between.data, between.size);
		buffer_bytes(out, s.data, s.size);
	}
	return finish(L);
}

/* find(s, text, from): where the text stands; a fourth argument is let pass, since there are no patterns. */
static int string_find(lua_State *L)
{
	struct span s = check_string(L, 1);
	struct span wanted = check_string(L, 2);
	lua_Integer from = place(luaL_optinteger(L, 3, 1), s.size);
	const uint8_t *found = NULL;

	if (from < 1)
		from = 1;
	if ((lua_Unsigned)from <= s.size + 1) {
		const uint8_t *at = s.data + (from - 1);

		found = wanted.size == 0 ? at : memmem(at, s.size - (size_t)(from - 1), wanted.data, wanted.size);
	}
	if (found == NULL) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushinteger(L, found - s.data + 1);
	lua_pushinteger(L, found - s.data + (lua_Integer)wanted.size);
	return 2;
}

/* --- format ------------------------------------------------------------------------------------------------------- */

struct conversion {
	char text[16]; /* "%-08.3" and the letter */
	size_t size;
	char letter;
};

/* Flags, at most two digits of width, at most two of precision, a letter. Gives what comes after. */
static const char *read_conversion(lua_State *L, const char *at, const char *end, struct conversion *c)
{
	static const char flags[] = "-+ #0";
	size_t digits = 0;

	*c = (struct conversion){.text = "%", .size = 1};
	while (at < end && *at != '\0' && strchr(flags, *at) != NULL && c->size < 6)
		c->text[c->size++] = *at++;
	for (digits = 0; at < end && *at >= '0' && *at <= '9' && digits < 2; digits++)
		c->text[c->size++] = *at++;
	if (at < end && *at == '.') {
		c->text[c->size++] = *at++;
		for (digits = 0; at < end && *at >= '0' && *at <= '9' && digits < 2; digits++)
			c->text[c->size++] = *at++;
	}
	if (at == end)
		luaL_error(L, "invalid conversion '%s' to 'format'", c->text);
	c->letter = *at;
	return at + 1;
}

static void format_integer(lua_State *L, struct conversion *c, int argument, struct buffer *out)
{
	lua_Integer value = luaL_checkinteger(L, argument);
	char text[128];
	int size;

	memcpy(c->text + c->size, "ll", 2);
	c->text[c->size + 2] = c->letter;
	c->text[c->size + 3] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	size = snprintf(text, sizeof text, c->text, value);
#pragma GCC diagnostic pop
	buffer_bytes(out, text, (size_t)size);
}

/* At most 308 digits before the point and 99 after it. */
static void format_real(lua_State *L, struct conversion *c, int argument, struct buffer *out)
{
	lua_Number value = luaL_checknumber(L, argument);
	char text[480];
	int size;

	if (value != value) {
		buffer_bytes(out, "nan", 3); /* its sign is the processor's */
		return;
	}
	c->text[c->size] = c->letter;
	c->text[c->size + 1] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	size = snprintf(text, sizeof text, c->text, value);
#pragma GCC diagnostic pop
	buffer_bytes(out, text, (size_t)size);
}

static void format_one(lua_State *L, struct conversion *c, int argument, struct buffer *out)
{
	luaL_checkany(L, argument);
	switch (c->letter) {
	case 'd':
	case 'i':
	case 'o':
	case 'x':
	case 'X': format_integer(L, c, argument, out); return;
	case 'e':
	case 'E':
	case 'f':
	case 'g':
	case 'G': format_real(L, c, argument, out); return;
	case 's':
		if (c->size > 1)
			luaL_error(L, "'format' takes no width with %%s here");
		lua_text_of(L, argument, out);
		return;
	default: luaL_error(L, "invalid conversion '%%%c' to 'format'", c->letter);
	}
}

static int string_format(lua_State *L)
{
	struct span form = check_string(L, 1);
	struct buffer *out = begin(L, form.size);
	const char *at = (const char *)form.data;
	const char *end = at + form.size;
	int argument = 1;

	while (at < end) {
		size_t before = out->size;
		struct conversion c;

		if (*at != '%') {
			buffer_u8(out, (uint8_t)*at++);
			continue;
		}
		if (end - at > 1 && at[1] == '%') {
			buffer_u8(out, '%');
			at += 2;
			continue;
		}
		at = read_conversion(L, at + 1, end, &c);
		format_one(L, &c, ++argument, out);
		lua_charge_memory(L, out->size - before); /* a %s makes no more than its argument's size at a time */
		lua_charge_steps(L, 4 + (out->size - before) / 64);
	}
	return finish(L);
}

void lua_open_strings(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"byte", string_byte}, {"char", string_char},   {"find", string_find}, {"format", string_format},
		{"len", string_len},   {"lower", string_lower}, {"rep", string_rep},   {"reverse", string_reverse},
		{"sub", string_sub},   {"upper", string_upper}, {NULL, NULL},
	};

	lua_newtable(L);
	luaL_setfuncs(L, functions, 0);
}

/* A script's text before it is compiled. Strings and comments aside, two characters matter:
 *
 * `^`  is refused: it would call pow, whose last bits differ between machines.
 * `#`  becomes `__length^`, which asks the library for the length (view_lua_library.c). Lua's own gives any border of a
 *      table with holes, and which one can depend on the seed of its hashes. `^` binds tighter than the unary
 *      operators, so that any operand of `#` is as well one of `__length^`. Lines stay where they are. */
#include <stdio.h>

#include "partition/view_lua_internal.h"

struct scan {
	const uint8_t *at;
	const uint8_t *end;
	uint32_t line;
};

static bool scan_is(const struct scan *scan, size_t ahead, char c)
{
	return (size_t)(scan->end - scan->at) > ahead && scan->at[ahead] == (uint8_t)c;
}

static void scan_step(struct scan *scan)
{
	scan->line += *scan->at == '\n';
	scan->at++;
}

/* The level of a long bracket that opens here; -1: none does. */
static int bracket_level(const struct scan *scan)
{
	size_t level = 0;

	if (!scan_is(scan, 0, '['))
		return -1;
	while (scan_is(scan, 1 + level, '='))
		level++;
	return scan_is(scan, 1 + level, '[') ? (int)level : -1;
}

static bool bracket_closes(const struct scan *scan, size_t level)
{
	for (size_t i = 0; i < level; i++)
		if (!scan_is(scan, 1 + i, '='))
			return false;
	return scan_is(scan, 0, ']') && scan_is(scan, 1 + level, ']');
}

/* To the bracket's end, or the text's: the compiler will say that it is not closed. */
static void skip_bracket(struct scan *scan, size_t level)
{
	scan->at += level + 2;
	while (scan->at < scan->end && !bracket_closes(scan, level))
		scan_step(scan);
	if (scan->at < scan->end)
		scan->at += level + 2;
}

static void skip_string(struct scan *scan)
{
	uint8_t quote = *scan->at++;

	while (scan->at < scan->end && *scan->at != quote && *scan->at != '\n') {
		if (*scan->at == '\\' && scan->end - scan->at > 1)
			scan_step(scan);
		scan_step(scan);
	}
	if (scan->at < scan->end)
		scan_step(scan);
}

static void skip_comment(struct scan *scan)
{
	int level;

	scan->at += 2;
	level = bracket_level(scan);
	if (level >= 0) {
		skip_bracket(scan, (size_t)level);
		return;
	}
	while (scan->at < scan->end && *scan->at != '\n')
		scan->at++;
}

/* Passes over a comment, a string, or one character. */
static void skip_token(struct scan *scan)
{
	int level = bracket_level(scan);

	if (scan_is(scan, 0, '-') && scan_is(scan, 1, '-'))
		skip_comment(scan);
	else if (scan_is(scan, 0, '"') || scan_is(scan, 0, '\''))
		skip_string(scan);
	else if (level >= 0)
		skip_bracket(scan, (size_t)level);
	else
		scan_step(scan);
}

int lua_prepare_text(struct span text, struct buffer *out, char why[VIEW_WHY_BYTES])
{
	static const char length[] = " " LUA_LENGTH_NAME "^";
	struct scan scan = {text.data, text.data + text.size, 1};

	while (scan.at < scan.end) {
		const uint8_t *from = scan.at;

		if (*from == '^') {
			snprintf(why, VIEW_WHY_BYTES, "line:%u: '^' is not there: powers differ between machines",
				 scan.line);
			return ERROR_BAD_VIEW;
		}
		skip_token(&scan);
		if (*from == '#')
			buffer_bytes(out, length, sizeof length - 1);
		else
			buffer_bytes(out, from, (size_t)(scan.at - from));
	}
	return out->failed ? ERROR_MEMORY : 0;
}

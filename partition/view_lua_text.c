/* A script's text before it is compiled. Strings and comments aside, two characters matter:
 *
 * `^`  is refused: it would call pow, whose last bits differ between machines.
 * `#`  becomes `nil^`, which asks the library for the length (view_lua_library.c). Lua's own gives any border of a
 *      table with holes, and which one can depend on the seed of its hashes. `^` binds tighter than the unary
 *      operators, so that any operand of `#` is as well one of `nil^`; and nil can be nothing else. Lines stay where
 *      they are.
 *
 * What is a string and what a comment must be read as Lua does. Two things are refused since they are easy to read
 * otherwise: carriage returns, which Lua takes for line ends too, and `\z`, which lets a string go on behind one. */
#include <stdio.h>

#include "partition/view_lua_internal.h"

struct scan {
	const uint8_t *at;
	const uint8_t *end;
	uint32_t line;
	bool zeros; /* a string may have zero bytes */
	bool skips; /* one has a `\z` */
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

/* At a backslash. */
static void note_escape(struct scan *scan)
{
	scan->skips |= scan_is(scan, 1, 'z');
	scan->zeros |= scan_is(scan, 1, '0') || (scan_is(scan, 1, 'x') && scan_is(scan, 2, '0')) ||
		       (scan_is(scan, 1, 'u') && scan_is(scan, 3, '0'));
}

static void skip_string(struct scan *scan)
{
	uint8_t quote = *scan->at++;

	while (scan->at < scan->end && *scan->at != quote && *scan->at != '\n' && !scan->skips) {
		if (*scan->at == '\\') {
			note_escape(scan);
			if (scan->end - scan->at > 1)
				scan_step(scan);
		}
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

static int refuse(const struct scan *scan, const char *what, char why[VIEW_WHY_BYTES])
{
	snprintf(why, VIEW_WHY_BYTES, "line:%u: %s", scan->line, what);
	return ERROR_BAD_VIEW;
}

static int refuse_carriage_returns(struct span text, char why[VIEW_WHY_BYTES])
{
	struct scan scan = {.at = text.data, .end = text.data + text.size, .line = 1};

	while (scan.at < scan.end && *scan.at != '\r')
		scan_step(&scan);
	return scan.at == scan.end ? 0 : refuse(&scan, "a carriage return is not there: lines end in a line feed", why);
}

int lua_prepare_text(struct span text, struct buffer *out, bool *zeros, char why[VIEW_WHY_BYTES])
{
	static const char length[] = " nil^";
	struct scan scan = {.at = text.data, .end = text.data + text.size, .line = 1};

	if (refuse_carriage_returns(text, why) != 0)
		return ERROR_BAD_VIEW;
	scan.zeros = text.size > 0 && memchr(text.data, 0, text.size) != NULL;
	while (scan.at < scan.end) {
		struct scan before = scan;
		const uint8_t *from = scan.at;

		if (*from == '^')
			return refuse(&scan, "'^' is not there: powers differ between machines", why);
		skip_token(&scan);
		if (scan.skips)
			return refuse(&before, "'\\z' is not there", why);
		if (*from == '#')
			buffer_bytes(out, length, sizeof length - 1);
		else
			buffer_bytes(out, from, (size_t)(scan.at - from));
	}
	*zeros = scan.zeros;
	return out->failed ? ERROR_MEMORY : 0;
}

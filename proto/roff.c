/* See roff.h. */
#include "proto/roff.h"

static void put(struct buffer *page, const char *text)
{
	buffer_bytes(page, text, strlen(text));
}

static bool at_line_start(const struct buffer *page)
{
	return page->size == 0 || page->data[page->size - 1] == '\n';
}

void roff_text(struct buffer *page, const char *text)
{
	for (; *text != '\0'; text++) {
		if ((*text == '.' || *text == '\'') && at_line_start(page))
			put(page, "\\&");
		switch (*text) {
		case '\\': put(page, "\\e"); break;
		case '-': put(page, "\\-"); break;
		case '\'': put(page, "\\(aq"); break;
		case '^': put(page, "\\(ha"); break;
		case '~': put(page, "\\(ti"); break;
		case '`': put(page, "\\(ga"); break;
		case '"': put(page, "\\(dq"); break;
		default: buffer_bytes(page, text, 1);
		}
	}
}

void roff_line(struct buffer *page, const char *text)
{
	roff_text(page, text);
	put(page, "\n");
}

void roff_macro(struct buffer *page, const char *macro, const char *text)
{
	put(page, ".");
	put(page, macro);
	if (text != NULL) {
		put(page, " \"");
		roff_text(page, text);
		put(page, "\"");
	}
	put(page, "\n");
}

void roff_item(struct buffer *page, const char *term, const char *text)
{
	roff_macro(page, "TP", NULL);
	roff_macro(page, "B", term);
	roff_line(page, text);
}

void roff_begin(struct buffer *page, const char *name, char section, const char *version, const char *summary)
{
	const char digit[2] = {section, '\0'};

	put(page, ".TH ");
	roff_text(page, name);
	put(page, " ");
	put(page, digit);
	put(page, " \"\" \"Evgrid ");
	roff_text(page, version);
	put(page, "\" \"Evgrid\"\n");
	roff_macro(page, "SH", "NAME");
	roff_text(page, name);
	put(page, " \\- ");
	roff_line(page, summary);
}

/* Text for manual pages, in the man macros of roff: what evgrid(1) and evgridd(8) are written with.
 *
 * 1. Text from a table never becomes a request: backslashes are escaped, a point or an apostrophe at a line's start is
 *    hidden, a hyphen is one that can be copied. */
#ifndef EVGRID_PROTO_ROFF_H
#define EVGRID_PROTO_ROFF_H

#include "proto/bytes.h"

void roff_text(struct buffer *page, const char *text); /* within a line; lines of the text stay lines */
void roff_line(struct buffer *page, const char *text); /* a whole line */
/* ".MACRO "text"" on a line of its own; text NULL: without. */
void roff_macro(struct buffer *page, const char *macro, const char *text);
void roff_item(struct buffer *page, const char *term, const char *text); /* .TP */
void roff_begin(struct buffer *page, const char *name, char section, const char *version, const char *summary);

#endif

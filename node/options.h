/* evgridd's own options, in one table: what is parsed, the usage text and evgridd(8) come from it. Keys of the
 * configuration are options too (--section.key=VALUE); their table is config_schema.c. Main thread. */
#ifndef EVGRID_NODE_OPTIONS_H
#define EVGRID_NODE_OPTIONS_H

#include "proto/bytes.h"

#include <stdio.h>

enum node_action {
	ACTION_RUN,
	ACTION_CHECK,
	ACTION_PRINT,
	ACTION_REFERENCE,
	ACTION_MAN,
	ACTION_VERSION,
	ACTION_HELP,
};

struct node_options {
	enum node_action action;
	bool dev;
	const char *config; /* NULL: none */
	const char *ports_file;
};

/* Everything but keys, which are handed to `key` (NULL: passed over) in their order. 0, or 1 with what is wrong and
 * what was expected in `why`. */
int options_read(struct node_options *options, int argc, char **argv, void (*key)(void *data, const char *argument),
		 void *data, char *why, size_t why_size);

void options_print_usage(FILE *to);
void options_man_page(struct buffer *page, const char *version); /* evgridd(8), in roff */

#endif

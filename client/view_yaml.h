/* A view's YAML file to the MessagePack that travels as its definition: structure one to one, members in their order,
 * scalars by YAML 1.2's core schema (plain null, true, integers and floats; everything else, and what is quoted, a
 * string). What the members mean is partition/view_definition.h's to judge; the path it names is found again here. */
#ifndef EVGRID_CLIENT_VIEW_YAML_H
#define EVGRID_CLIENT_VIEW_YAML_H

#include "proto/bytes.h"

struct view_yaml_error {
	uint32_t line; /* from 1 */
	uint32_t column;
	char why[200];
};

/* Appends the file's one document, which must be a mapping; `members` names those expected, for people. 0,
 * with the mapping's place in *error; ERROR_BAD_VIEW with *error set; ERROR_MEMORY. */
int yaml_read(struct span yaml, const char *members, struct buffer *out, struct view_yaml_error *error);
/* The same with a view's members, and a name. */
int view_yaml_read(struct span yaml, struct buffer *definition, struct view_yaml_error *error);

/* The definition's member `view`: its name. SPAN_NULL: it has none. */
struct span view_definition_name(struct span definition);

/* Where the member at a path such as "on.OrderCreated.set" stands in the file; the nearest one above it that exists.
 * The path ends at ':' or the text's end. */
void view_yaml_place(struct span yaml, const char *path, uint32_t *line, uint32_t *column);

#endif

/* Walks libyaml's document of a view file. Aliases repeat what they name, so the definition's size is watched. */
#include "client/view_yaml.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "client/json.h"
#include "proto/error.h"
#include "proto/limits.h"
#include "proto/msgpack.h"

struct yaml_reader {
	yaml_document_t *document;
	struct buffer *out;
	struct view_yaml_error *error;
	const char *members; /* that the root is expected to have */
};

static bool read_node(struct yaml_reader *r, const yaml_node_t *node, uint32_t depth);

static bool fault(struct yaml_reader *r, const yaml_mark_t *mark, const char *why)
{
	r->error->line = (uint32_t)mark->line + 1;
	r->error->column = (uint32_t)mark->column + 1;
	(void)snprintf(r->error->why, sizeof r->error->why, "%s", why);
	return false;
}

/* --- scalars ------------------------------------------------------------------------------------------------------ */

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++) {
		if (strcmp(text, *words) == 0)
			return true;
	}
	return false;
}

static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const true_words[] = {"true", "True", "TRUE", NULL};
static const char *const false_words[] = {"false", "False", "FALSE", NULL};

static bool write_integer(const char *text, struct buffer *out)
{
	const char *digits = text + (text[0] == '-' || text[0] == '+');
	char *end;

	if (digits[0] == '\0' || strspn(digits, "0123456789") != strlen(digits))
		return false;
	errno = 0;
	if (text[0] == '-') {
		long long value = strtoll(text, &end, 10);
		if (errno == 0)
			msgpack_write_int(out, value);
	} else {
		unsigned long long value = strtoull(digits, &end, 10);
		if (errno == 0)
			msgpack_write_uint(out, value);
	}
	return errno == 0;
}

/* Digits with a point or an exponent; the rest of what strtod takes (nan, hexadecimal) stays text. */
static bool write_float(const char *text, struct buffer *out)
{
	char *end;
	double value;

	if (strpbrk(text, "0123456789") == NULL || strspn(text, "+-.eE0123456789") != strlen(text))
		return false;
	value = json_strtod(text, &end);
	if (*end != '\0' || !isfinite(value))
		return false;
	msgpack_write_double(out, value);
	return true;
}

static bool read_scalar(struct yaml_reader *r, const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;
	struct span whole = span_of(text, node->data.scalar.length);

	if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || strlen(text) != whole.size)
		msgpack_write_str(r->out, whole);
	else if (is_one_of(text, null_words))
		msgpack_write_nil(r->out);
	else if (is_one_of(text, true_words))
		msgpack_write_bool(r->out, true);
	else if (is_one_of(text, false_words))
		msgpack_write_bool(r->out, false);
	else if (!write_integer(text, r->out) && !write_float(text, r->out))
		msgpack_write_str(r->out, whole);
	return true;
}

/* --- sequences and mappings --------------------------------------------------------------------------------------- */

static bool read_sequence(struct yaml_reader *r, const yaml_node_t *node, uint32_t depth)
{
	const yaml_node_item_t *begin = node->data.sequence.items.start;
	const yaml_node_item_t *end = node->data.sequence.items.top;

	msgpack_write_array(r->out, (uint32_t)(end - begin));
	for (const yaml_node_item_t *item = begin; item < end; item++) {
		if (!read_node(r, yaml_document_get_node(r->document, *item), depth + 1))
			return false;
	}
	return true;
}

static bool same_scalar(const yaml_node_t *a, const yaml_node_t *b)
{
	return span_equal(span_of(a->data.scalar.value, a->data.scalar.length),
			  span_of(b->data.scalar.value, b->data.scalar.length));
}

static bool read_key(struct yaml_reader *r, const yaml_node_t *mapping, const yaml_node_pair_t *pair)
{
	const yaml_node_t *key = yaml_document_get_node(r->document, pair->key);

	if (key->type != YAML_SCALAR_NODE)
		return fault(r, &key->start_mark, "a member's name must be text");
	for (const yaml_node_pair_t *other = mapping->data.mapping.pairs.start; other < pair; other++) {
		if (same_scalar(key, yaml_document_get_node(r->document, other->key)))
			return fault(r, &key->start_mark, "this member stands here twice");
	}
	msgpack_write_str(r->out, span_of(key->data.scalar.value, key->data.scalar.length));
	return true;
}

static bool read_mapping(struct yaml_reader *r, const yaml_node_t *node, uint32_t depth)
{
	const yaml_node_pair_t *begin = node->data.mapping.pairs.start;
	const yaml_node_pair_t *end = node->data.mapping.pairs.top;

	msgpack_write_map(r->out, (uint32_t)(end - begin));
	for (const yaml_node_pair_t *pair = begin; pair < end; pair++) {
		if (!read_key(r, node, pair) ||
		    !read_node(r, yaml_document_get_node(r->document, pair->value), depth + 1))
			return false;
	}
	return true;
}

static bool read_node(struct yaml_reader *r, const yaml_node_t *node, uint32_t depth)
{
	if (depth > MSGPACK_DEPTH_MAX)
		return fault(r, &node->start_mark, "nested too deep");
	if (r->out->size > DEFINITION_MAX_BYTES)
		return fault(r, &node->start_mark, "the definition is larger than 64 KiB");
	switch (node->type) {
	case YAML_SCALAR_NODE: return read_scalar(r, node);
	case YAML_SEQUENCE_NODE: return read_sequence(r, node, depth);
	case YAML_MAPPING_NODE: return read_mapping(r, node, depth);
	default: return fault(r, &node->start_mark, "expected a value");
	}
}

static bool read_root(struct yaml_reader *r)
{
	static const yaml_mark_t begin;
	const yaml_node_t *root = yaml_document_get_root_node(r->document);
	char why[sizeof r->error->why];

	if (root != NULL && root->type == YAML_MAPPING_NODE) {
		r->error->line = (uint32_t)root->start_mark.line + 1;
		r->error->column = (uint32_t)root->start_mark.column + 1;
		return read_node(r, root, 0);
	}
	(void)snprintf(why, sizeof why, "%sexpected a mapping with the members %s",
		       root == NULL ? "the file is empty; " : "", r->members);
	return fault(r, root == NULL ? &begin : &root->start_mark, why);
}

/* --- documents ---------------------------------------------------------------------------------------------------- */

static void parser_fault(const yaml_parser_t *parser, struct view_yaml_error *error)
{
	const yaml_mark_t *mark = &parser->problem_mark;

	error->line = (uint32_t)mark->line + 1;
	error->column = (uint32_t)mark->column + 1;
	(void)snprintf(error->why, sizeof error->why, "not YAML: %s%s%s",
		       parser->problem == NULL ? "unreadable" : parser->problem, parser->context == NULL ? "" : ", ",
		       parser->context == NULL ? "" : parser->context);
}

/* Loads the only document. 0 with a document to delete; else nothing is left. */
static int document_load(struct span yaml, yaml_document_t *document, struct view_yaml_error *error)
{
	yaml_document_t second;
	yaml_parser_t parser;
	int rv = 0;

	if (yaml_parser_initialize(&parser) == 0)
		return ERROR_MEMORY;
	yaml_parser_set_input_string(&parser, yaml.data, yaml.size);
	if (yaml_parser_load(&parser, document) == 0) {
		rv = parser.error == YAML_MEMORY_ERROR ? ERROR_MEMORY : ERROR_BAD_VIEW;
		parser_fault(&parser, error);
		yaml_parser_delete(&parser);
		return rv;
	}
	if (yaml_parser_load(&parser, &second) == 0) {
		rv = ERROR_BAD_VIEW;
		parser_fault(&parser, error);
	} else {
		const yaml_node_t *root = yaml_document_get_root_node(&second);
		if (root != NULL) {
			struct yaml_reader at = {.error = error};
			(void)fault(&at, &root->start_mark,
				    "one file holds one document; a second document begins here");
			rv = ERROR_BAD_VIEW;
		}
		yaml_document_delete(&second);
	}
	if (rv != 0)
		yaml_document_delete(document);
	yaml_parser_delete(&parser);
	return rv;
}

int yaml_read(struct span yaml, const char *members, struct buffer *out, struct view_yaml_error *error)
{
	struct yaml_reader r = {.out = out, .error = error, .members = members};
	size_t before = out->size;
	yaml_document_t document;
	int rv;

	*error = (struct view_yaml_error){0};
	rv = document_load(yaml, &document, error);
	if (rv != 0)
		return rv;
	r.document = &document;
	if (!read_root(&r))
		rv = ERROR_BAD_VIEW;
	if (out->failed)
		rv = ERROR_MEMORY;
	if (rv != 0)
		out->size = before;
	yaml_document_delete(&document);
	return rv;
}

int view_yaml_read(struct span yaml, struct buffer *definition, struct view_yaml_error *error)
{
	size_t before = definition->size;
	int rv = yaml_read(yaml, "view, stream, kind, on", definition, error);
	struct span name;

	if (rv != 0)
		return rv;
	name = view_definition_name(span_of(definition->data + before, definition->size - before));
	if (name.size > 0 && name.size <= NAME_MAX_BYTES)
		return 0;
	definition->size = before;
	(void)snprintf(error->why, sizeof error->why, "expected the member 'view' with a name of 1 to 63 bytes");
	return ERROR_BAD_VIEW;
}

struct span view_definition_name(struct span definition)
{
	struct reader in = reader_of(msgpack_member(definition, span_of_text("view")));
	struct span name = msgpack_peek(&in) == MSGPACK_STR ? msgpack_read_str(&in) : SPAN_NULL;

	return in.failed ? SPAN_NULL : name;
}

/* --- places ------------------------------------------------------------------------------------------------------- */

static const yaml_node_pair_t *find_member(yaml_document_t *document, const yaml_node_t *node, struct span name)
{
	if (node->type != YAML_MAPPING_NODE)
		return NULL;
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
	     pair++) {
		const yaml_node_t *key = yaml_document_get_node(document, pair->key);
		if (key->type == YAML_SCALAR_NODE &&
		    span_equal(span_of(key->data.scalar.value, key->data.scalar.length), name))
			return pair;
	}
	return NULL;
}

void view_yaml_place(struct span yaml, const char *path, uint32_t *line, uint32_t *column)
{
	struct view_yaml_error ignored;
	const yaml_node_pair_t *pair;
	const yaml_node_t *node;
	yaml_document_t document;

	*line = *column = 1;
	if (document_load(yaml, &document, &ignored) != 0)
		return;
	node = yaml_document_get_root_node(&document);
	while (node != NULL && *path != '\0' && *path != ':') {
		size_t size = strcspn(path, ".:");
		pair = find_member(&document, node, span_of(path, size));
		if (pair == NULL)
			break;
		node = yaml_document_get_node(&document, pair->key);
		*line = (uint32_t)node->start_mark.line + 1;
		*column = (uint32_t)node->start_mark.column + 1;
		node = yaml_document_get_node(&document, pair->value);
		path += size + (path[size] == '.');
	}
	yaml_document_delete(&document);
}

/* The configuration's file: YAML through libyaml's document API, so that every key has its line and column.
 * The root is a mapping of sections, a section a mapping of keys; what is no known key is an error, with the nearest
 * one. Main thread. */
#include "node/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define FILE_MAX_BYTES (1024u * 1024)

struct place {
	struct config *config;
	yaml_document_t *document;
	const char *file;
};

static void error_at(struct place *place, const yaml_node_t *node, const char *next, const char *text)
{
	config_error(place->config, ERROR_BAD_CONFIG, next, "%s:%zu:%zu: %s", place->file, node->start_mark.line + 1,
		     node->start_mark.column + 1, text);
}

static void unknown_key(struct place *place, const yaml_node_t *node, const char *name)
{
	const char *nearest = config_schema_nearest(name);
	char text[2 * CONFIG_TEXT_BYTES];

	if (nearest != NULL)
		snprintf(text, sizeof text, "unknown key '%s': the nearest is '%s'", name, nearest);
	else
		snprintf(text, sizeof text, "unknown key '%s'", name);
	error_at(place, node, nearest == NULL ? CONFIG_NEXT_KEY : CONFIG_NEXT_NEAREST, text);
}

/* What stands there, for "expected ..., found ...". */
static void shape_wanted(const yaml_node_t *node, const char *wanted, char text[CONFIG_TEXT_BYTES])
{
	if (node->type == YAML_SEQUENCE_NODE)
		snprintf(text, CONFIG_TEXT_BYTES, "expected %s, found a list", wanted);
	else if (node->type == YAML_MAPPING_NODE)
		snprintf(text, CONFIG_TEXT_BYTES, "expected %s, found keys", wanted);
	else
		snprintf(text, CONFIG_TEXT_BYTES, "expected %s, found '%.100s'", wanted,
			 (const char *)node->data.scalar.value);
}

/* A scalar's text, or a sequence's scalars joined by commas. 0, 1: another shape, or too long. */
static int node_text(struct place *place, const yaml_node_t *node, bool list, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	if (node->type == YAML_SCALAR_NODE) {
		if (node->data.scalar.length >= size ||
		    memchr(node->data.scalar.value, 0, node->data.scalar.length) != NULL)
			return 1;
		memcpy(text, node->data.scalar.value, node->data.scalar.length + 1);
		return 0;
	}
	if (node->type != YAML_SEQUENCE_NODE || !list)
		return 1;
	for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
		yaml_node_t *entry = yaml_document_get_node(place->document, *item);

		if (entry->type != YAML_SCALAR_NODE || used + entry->data.scalar.length + 2 > size)
			return 1;
		if (used > 0)
			text[used++] = ',';
		memcpy(text + used, entry->data.scalar.value, entry->data.scalar.length + 1);
		used += entry->data.scalar.length;
	}
	return 0;
}

static void take_value(struct place *place, const char *name, const yaml_node_t *key_node, const yaml_node_t *node)
{
	char text[NODES_MAX * (NAME_MAX_BYTES + ADDRESS_MAX_BYTES + 3)];
	char why[CONFIG_TEXT_BYTES], line[2 * CONFIG_TEXT_BYTES + 64];
	size_t count, index = config_schema_find(name);
	const struct config_key *key;

	if (index == SIZE_MAX) {
		unknown_key(place, key_node, name);
		return;
	}
	key = config_schema(&count) + index;
	if (place->config->origins[index].source == CONFIG_FILE) {
		snprintf(line, sizeof line, "key '%s' stands twice, first in line %u", name,
			 place->config->origins[index].line);
		error_at(place, key_node, "leave one of them", line);
		return;
	}
	if (node_text(place, node, key->type == CONFIG_MEMBERS, text, sizeof text) != 0)
		shape_wanted(node, key->type == CONFIG_MEMBERS ? "a list of name=host:port" : "one value", why);
	else if (config_value_parse(key, text, &place->config->values, why) == 0)
		why[0] = '\0';
	if (why[0] != '\0') {
		snprintf(line, sizeof line, "%s: %s", name, why);
		error_at(place, node, CONFIG_NEXT_VALUE, line);
		return;
	}
	place->config->origins[index] = (struct config_origin){CONFIG_FILE, (uint32_t)key_node->start_mark.line + 1,
							       (uint32_t)key_node->start_mark.column + 1};
}

static bool section_exists(const char *name)
{
	size_t count, size = strlen(name);
	const struct config_key *schema = config_schema(&count);

	for (size_t i = 0; i < count; i++) {
		if (strncmp(schema[i].name, name, size) == 0 && schema[i].name[size] == '.')
			return true;
	}
	return false;
}

/* The root (section NULL) or one section. */
static void take_mapping(struct place *place, const char *section, const yaml_node_t *mapping)
{
	char name[CONFIG_TEXT_BYTES], why[CONFIG_TEXT_BYTES];
	yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;

	for (; pair < mapping->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = yaml_document_get_node(place->document, pair->key);
		yaml_node_t *value = yaml_document_get_node(place->document, pair->value);

		if (key->type != YAML_SCALAR_NODE || key->data.scalar.length > CONFIG_TEXT_BYTES / 4) {
			shape_wanted(key, "the name of a key", why);
			error_at(place, key, CONFIG_NEXT_KEY, why);
			continue;
		}
		snprintf(name, sizeof name, "%s%s%s", section == NULL ? "" : section, section == NULL ? "" : ".",
			 (const char *)key->data.scalar.value);
		if (section == NULL && section_exists(name)) {
			shape_wanted(value, "a section: its keys, indented", why);
			if (value->type == YAML_MAPPING_NODE)
				take_mapping(place, name, value);
			else if (value->type != YAML_SCALAR_NODE || value->data.scalar.length > 0)
				error_at(place, value, CONFIG_NEXT_KEY, why);
		} else {
			take_value(place, name, key, value);
		}
	}
}

static void take_document(struct config *config, const char *file, yaml_document_t *document)
{
	struct place place = {config, document, file};
	yaml_node_t *root = yaml_document_get_root_node(document);
	char why[CONFIG_TEXT_BYTES];

	if (root == NULL || (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0))
		return; /* empty, or comments only */
	if (root->type != YAML_MAPPING_NODE) {
		shape_wanted(root, "sections and keys", why);
		error_at(&place, root, CONFIG_NEXT_KEY, why);
		return;
	}
	take_mapping(&place, NULL, root);
}

void config_read_text(struct config *config, const char *name, const char *text, size_t size)
{
	yaml_parser_t parser;
	yaml_document_t document;

	if (!yaml_parser_initialize(&parser)) {
		config_error(config, ERROR_MEMORY, "give the process more memory", "%s: no memory to read it", name);
		return;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	if (yaml_parser_load(&parser, &document)) {
		take_document(config, name, &document);
		yaml_document_delete(&document);
	} else {
		config_error(config, ERROR_BAD_CONFIG, "mend the line named", "%s:%zu:%zu: not YAML: %s", name,
			     parser.problem_mark.line + 1, parser.problem_mark.column + 1,
			     parser.problem == NULL ? "unreadable" : parser.problem);
	}
	yaml_parser_delete(&parser);
}

void config_read_file(struct config *config, const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size;

	config->file = path;
	if (file == NULL) {
		config_error(config, ERROR_IO, "check the path and its rights", "%s: cannot be read: %s", path,
			     strerror(errno));
		return;
	}
	text = malloc(FILE_MAX_BYTES + 1);
	if (text == NULL) {
		config_error(config, ERROR_MEMORY, "give the process more memory", "%s: no memory to read it", path);
		goto done;
	}
	size = fread(text, 1, FILE_MAX_BYTES + 1, file);
	if (ferror(file))
		config_error(config, ERROR_IO, "check the path and its rights", "%s: cannot be read: %s", path,
			     strerror(errno));
	else if (size > FILE_MAX_BYTES)
		config_error(config, ERROR_BAD_CONFIG, "name the configuration's file",
			     "%s: expected at most %u bytes, found more", path, FILE_MAX_BYTES);
	else
		config_read_text(config, path, text, size);
done:
	free(text);
	fclose(file);
}

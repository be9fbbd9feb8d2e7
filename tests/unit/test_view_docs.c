/* Every YAML example of docs/reference/views.md compiles; EVGRID_SOURCE_ROOT is the repository. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "partition/view_definition.h"
#include "proto/msgpack.h"

#define EXAMPLES_MIN 4u

static char *read_text(const char *path)
{
	FILE *file = fopen(path, "rb");
	char *text = calloc(1, 1u << 20);

	assert_non_null(file);
	assert_non_null(text);
	assert_true(fread(text, 1, (1u << 20) - 1, file) > 0);
	fclose(file);
	return text;
}

/* Plain integers and booleans are such, everything else is text: all that the examples use. */
static void pack_scalar(const yaml_node_t *node, struct buffer *out)
{
	const char *text = (const char *)node->data.scalar.value;
	bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	char *end;
	long long number = strtoll(text, &end, 10);

	if (plain && end != text && *end == '\0')
		msgpack_write_int(out, number);
	else if (plain && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
		msgpack_write_bool(out, text[0] == 't');
	else
		msgpack_write_str(out, span_of_text(text));
}

static void pack_node(yaml_document_t *document, int index, struct buffer *out)
{
	yaml_node_t *node = yaml_document_get_node(document, index);

	assert_non_null(node);
	if (node->type == YAML_SCALAR_NODE) {
		pack_scalar(node, out);
	} else if (node->type == YAML_SEQUENCE_NODE) {
		msgpack_write_array(out, (uint32_t)(node->data.sequence.items.top - node->data.sequence.items.start));
		for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++)
			pack_node(document, *i, out);
	} else {
		msgpack_write_map(out, (uint32_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start));
		for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
			pack_node(document, p->key, out);
			pack_node(document, p->value, out);
		}
	}
}

static struct buffer pack_yaml(const char *text, size_t size)
{
	struct buffer out = BUFFER_NULL;
	yaml_parser_t parser;
	yaml_document_t document;

	assert_int_equal(yaml_parser_initialize(&parser), 1);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	assert_int_equal(yaml_parser_load(&parser, &document), 1);
	pack_node(&document, 1, &out);
	yaml_document_delete(&document);
	yaml_parser_delete(&parser);
	return out;
}

static uint32_t resolve(void *data, struct span name)
{
	(void)data;
	(void)name;
	return 1;
}

static void test_the_examples_compile(void **data)
{
	char *text = read_text(EVGRID_SOURCE_ROOT "/docs/reference/views.md");
	const char *at = text;
	unsigned examples = 0;

	(void)data;
	while ((at = strstr(at, "```yaml\n")) != NULL) {
		const char *from = at + strlen("```yaml\n");
		struct view_plan *plan = NULL;
		struct buffer definition;
		char why[160];

		at = strstr(from, "```\n");
		assert_non_null(at);
		definition = pack_yaml(from, (size_t)(at - from));
		if (view_plan_new(buffer_span(&definition), resolve, NULL, &plan, why) != 0)
			fail_msg("example %u: %s", examples + 1, why);
		view_plan_free(plan);
		buffer_deinit(&definition);
		examples++;
	}
	assert_true(examples >= EXAMPLES_MIN);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_examples_compile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

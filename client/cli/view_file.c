/* Reading view files, and the scripts that they name. */
#include "client/cli/view_file.h"

#include <errno.h>
#include <stdlib.h>

#include "client/view_yaml.h"
#include "proto/msgpack.h"

#define VIEW_FILE_MAX_BYTES (4u * DEFINITION_MAX_BYTES) /* comments and spaces are no part of a definition */

/* All of it: what is longer than any definition is refused, never cut. */
static int read_file(const char *path, struct buffer *out)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	uint8_t bytes[4096];
	bool unread;
	size_t size;

	if (file == NULL)
		return cli_refuse(ERROR_USAGE, "name another file", "%s: %s", path, strerror(errno));
	while ((size = fread(bytes, 1, sizeof bytes, file)) > 0 && out->size <= VIEW_FILE_MAX_BYTES)
		buffer_bytes(out, bytes, size);
	unread = ferror(file) != 0;
	if (file != stdin)
		(void)fclose(file);
	if (out->failed)
		return cli_fail(ERROR_MEMORY, "%s", path);
	if (unread)
		return cli_refuse(ERROR_IO, "name another file", "%s cannot be read", path);
	if (out->size > VIEW_FILE_MAX_BYTES)
		return cli_refuse(ERROR_LIMIT, "shorten it", "%s is longer than %u bytes, the most that is read", path,
				  VIEW_FILE_MAX_BYTES);
	return 0;
}

/* Beside the YAML file, unless it is an absolute path. */
static char *script_path(const char *yaml_path, struct span name)
{
	const char *slash = strrchr(yaml_path, '/');
	int folder = slash == NULL || name.data[0] == '/' ? 0 : (int)(slash - yaml_path) + 1;
	char *path = NULL;

	if (asprintf(&path, "%.*s%.*s", folder, yaml_path, (int)name.size, (const char *)name.data) < 0)
		return NULL;
	return path;
}

/* The definition with `apply: text` in place of `file`. */
static void replace_member(struct span definition, struct span text, struct buffer *out)
{
	struct reader in = reader_of(definition);
	uint32_t count = msgpack_read_map(&in);

	msgpack_write_map(out, count);
	for (uint32_t i = 0; i < count; i++) {
		struct span name = msgpack_read_str(&in);
		struct span value = msgpack_skip(&in);
		bool here = span_equal(name, span_of_text("file"));

		msgpack_write_str(out, here ? span_of_text("apply") : name);
		if (here)
			msgpack_write_str(out, text);
		else
			buffer_bytes(out, value.data, value.size);
	}
}

static int resolve_script(struct view_file *file)
{
	struct span definition = buffer_span(&file->definition);
	struct reader named = reader_of(msgpack_member(definition, span_of_text("file")));
	struct buffer resolved = BUFFER_NULL;
	struct buffer text = BUFFER_NULL;
	struct span name;
	int rv;

	if (msgpack_peek(&named) != MSGPACK_STR)
		return 0;
	name = msgpack_read_str(&named);
	file->script = name.size == 0 ? NULL : script_path(file->path, name);
	if (file->script == NULL)
		return cli_fail(name.size == 0 ? ERROR_USAGE : ERROR_MEMORY, "%s: member 'file'", file->path);
	rv = read_file(file->script, &text);
	if (rv == 0) {
		replace_member(definition, buffer_span(&text), &resolved);
		buffer_deinit(&file->definition);
		file->definition = resolved;
		if (resolved.failed)
			rv = cli_fail(ERROR_MEMORY, "%s", file->script);
	}
	buffer_deinit(&text);
	return rv;
}

int view_file_read(struct view_file *file, const char *path)
{
	struct view_yaml_error error = {0};
	int rv;

	*file = (struct view_file){.path = path};
	rv = read_file(path, &file->yaml);
	if (rv != 0)
		return rv;
	rv = view_yaml_read(buffer_span(&file->yaml), &file->definition, &error);
	if (rv == 0)
		rv = resolve_script(file);
	if (rv == 0)
		return cli_check_size("the view's definition, with its function,", file->definition.size,
				      DEFINITION_MAX_BYTES);
	if (file->definition.size > 0)
		return rv; /* said already */
	if (rv != ERROR_BAD_VIEW)
		return cli_fail(rv, "%s", path);
	return cli_refuse(rv, "mend that line", "%s:%u:%u: %s", path, error.line, error.column, error.why);
}

void view_file_deinit(struct view_file *file)
{
	buffer_deinit(&file->yaml);
	buffer_deinit(&file->definition);
	free(file->script);
	file->script = NULL;
}

int view_file_fault(const struct view_file *file, int error, const char *why)
{
	static const char in_script[] = "apply: line:";
	uint32_t column;
	uint32_t line;

	if (error != ERROR_BAD_VIEW)
		return cli_fail(error, "%s", file->path);
	if (file->script != NULL && strncmp(why, in_script, sizeof in_script - 1) == 0) {
		const char *number = why + sizeof in_script - 1;
		const char *text = number + strspn(number, "0123456789");

		return cli_refuse(error, "mend that line", "%s:%.*s:1%s", file->script, (int)(text - number), number,
				  text);
	}
	view_yaml_place(buffer_span(&file->yaml), why, &line, &column);
	return cli_refuse(error, "mend that line", "%s:%u:%u: %s", file->path, line, column, why);
}

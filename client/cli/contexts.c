/* Reading and writing contexts.yaml, and which server a command talks to. */
#include "client/cli/contexts.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/view_yaml.h"
#include "proto/msgpack.h"

#define FILE_MAX_BYTES 65536u

/* --- values ------------------------------------------------------------------------------------------------------- */

bool context_name_is_valid(const char *text, size_t size)
{
	if (size == 0 || size > CONTEXT_NAME_MAX_BYTES || !isalnum((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < size; i++) {
		if (!isalnum((unsigned char)text[i]) && text[i] != '-' && text[i] != '_')
			return false;
	}
	return true;
}

/* What stands in a host's name or address, and between quotes as it is. */
static bool host_is_valid(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (!isgraph((unsigned char)text[i]) || text[i] == '"' || text[i] == '\\')
			return false;
	}
	return size > 0;
}

bool context_path_is_valid(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (iscntrl((unsigned char)text[i]) || text[i] == '"' || text[i] == '\\')
			return false;
	}
	return size > 0 && size < CLI_PATH_BYTES && text[0] == '/';
}

static bool address_is_valid(const char *text, size_t size)
{
	const char *colon = memrchr(text, ':', size);
	char port[8] = "";
	uint64_t number;
	size_t digits = colon == NULL ? 0 : size - (size_t)(colon - text) - 1;

	if (digits == 0 || digits >= sizeof port || !host_is_valid(text, size - digits - 1))
		return false;
	memcpy(port, colon + 1, digits);
	return strlen(port) == digits && text_to_u64(port, &number) && number > 0 && number <= UINT16_MAX;
}

bool addresses_are_valid(const char *text, size_t size)
{
	uint32_t count = 0;

	if (size == 0 || size >= CLI_SERVER_BYTES)
		return false;
	for (;;) {
		const char *comma = memchr(text, ',', size);
		size_t one = comma == NULL ? size : (size_t)(comma - text);
		if (!address_is_valid(text, one) || ++count > CORE_SEEDS_MAX)
			return false;
		if (comma == NULL)
			return true;
		text += one + 1;
		size -= one + 1;
	}
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

struct file { /* being read */
	struct contexts *contexts;
	struct span yaml;
};

static int fault(struct file *file, const char *path, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fault(struct file *file, const char *path, const char *format, ...)
{
	struct contexts *contexts = file->contexts;
	char text[160];
	va_list arguments;
	uint32_t column;
	uint32_t line;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	view_yaml_place(file->yaml, path, &line, &column);
	(void)snprintf(contexts->why, sizeof contexts->why, "%.400s:%u:%u: %s%s%s", contexts->path, line, column, path,
		       path[0] == '\0' ? "" : ": ", text);
	return ERROR_USAGE;
}

static int read_path(struct file *file, const char *path, struct span value, char to[CLI_PATH_BYTES])
{
	if (!context_path_is_valid((const char *)value.data, value.size))
		return fault(file, path, "the absolute path of a file is wanted");
	memcpy(to, value.data, value.size);
	to[value.size] = '\0';
	return 0;
}

/* value SPAN_NULL: it is no text. */
static int read_member(struct file *file, const char *path, struct span member, struct span value,
		       struct context *context)
{
	if (span_equal(member, span_of_text("key")))
		return read_path(file, path, value, context->key);
	if (span_equal(member, span_of_text("node_keys")))
		return read_path(file, path, value, context->node_keys);
	if (!span_equal(member, span_of_text("server")))
		return fault(file, path, "no such member: server, key and node_keys are known");
	if (!addresses_are_valid((const char *)value.data, value.size))
		return fault(file, path, "host:port[,host:port...] is wanted");
	memcpy(context->server, value.data, value.size);
	context->server[value.size] = '\0';
	return 0;
}

static int read_context(struct file *file, struct span name, struct reader *in)
{
	struct contexts *contexts = file->contexts;
	struct context *context = &contexts->list[contexts->count];
	char path[2 * CONTEXT_NAME_MAX_BYTES + 32];
	uint32_t members;

	if (!context_name_is_valid((const char *)name.data, name.size))
		return fault(file, "contexts", "a name of 1 to %u letters, digits, '-' and '_' is wanted, not '%.*s'",
			     CONTEXT_NAME_MAX_BYTES, (int)(name.size < 80 ? name.size : 80), (const char *)name.data);
	if (contexts->count == CONTEXTS_MAX)
		return fault(file, "contexts", "more than %u contexts", CONTEXTS_MAX);
	memcpy(context->name, name.data, name.size);
	context->name[name.size] = '\0';
	(void)snprintf(path, sizeof path, "contexts.%s", context->name);
	if (msgpack_peek(in) != MSGPACK_MAP)
		return fault(file, path, "a mapping with the member server is wanted, not %s",
			     msgpack_type_name(msgpack_peek(in)));
	members = msgpack_read_map(in);
	for (uint32_t i = 0; i < members; i++) {
		struct span member = msgpack_read_str(in);
		bool named = msgpack_peek(in) == MSGPACK_STR;
		struct span value = named ? msgpack_read_str(in) : msgpack_skip(in);
		(void)snprintf(path, sizeof path, "contexts.%s.%.*s", context->name,
			       (int)(member.size < CONTEXT_NAME_MAX_BYTES ? member.size : CONTEXT_NAME_MAX_BYTES),
			       (const char *)member.data);
		int rv = read_member(file, path, member, named ? value : SPAN_NULL, context);
		if (rv != 0)
			return rv;
	}
	(void)snprintf(path, sizeof path, "contexts.%s", context->name);
	if (context->server[0] == '\0')
		return fault(file, path, "the member server is missing");
	if ((context->key[0] == '\0') != (context->node_keys[0] == '\0'))
		return fault(file, path, "of the members key and node_keys both are wanted, or neither");
	contexts->count++;
	return 0;
}

static int read_members(struct file *file, struct reader *in)
{
	uint32_t members = msgpack_read_map(in);
	int rv = 0;

	for (uint32_t i = 0; i < members && rv == 0; i++) {
		struct span member = msgpack_read_str(in);
		char name[CONTEXT_NAME_MAX_BYTES + 1];
		(void)snprintf(name, sizeof name, "%.*s", (int)member.size, (const char *)member.data);
		if (span_equal(member, span_of_text("current"))) {
			struct span value = msgpack_peek(in) == MSGPACK_STR ? msgpack_read_str(in) : SPAN_NULL;
			if (!context_name_is_valid((const char *)value.data, value.size))
				return fault(file, name, "a context's name is wanted");
			memcpy(file->contexts->current, value.data, value.size);
		} else if (!span_equal(member, span_of_text("contexts"))) {
			return fault(file, name, "no such member: current and contexts are known");
		} else if (msgpack_peek(in) != MSGPACK_MAP) {
			return fault(file, name, "a mapping of names is wanted, not %s",
				     msgpack_type_name(msgpack_peek(in)));
		} else {
			uint32_t count = msgpack_read_map(in);
			for (uint32_t c = 0; c < count && rv == 0; c++) {
				struct span key = msgpack_read_str(in);
				rv = read_context(file, key, in);
			}
		}
	}
	return rv;
}

static int read_text(struct contexts *contexts, struct span yaml)
{
	struct file file = {.contexts = contexts, .yaml = yaml};
	struct buffer members = BUFFER_NULL;
	struct view_yaml_error error;
	struct reader in;
	int rv = yaml_read(yaml, "current, contexts", &members, &error);

	if (rv == ERROR_BAD_VIEW) {
		(void)snprintf(contexts->why, sizeof contexts->why, "%s:%u:%u: %s", contexts->path, error.line,
			       error.column, error.why);
		rv = ERROR_USAGE;
	}
	if (rv == 0) {
		in = reader_of(buffer_span(&members));
		rv = read_members(&file, &in);
	}
	if (rv == 0 && contexts->current[0] != '\0' && contexts_find(contexts, contexts->current) == NULL)
		rv = fault(&file, "current", "no context '%s' is defined here", contexts->current);
	buffer_deinit(&members);
	return rv;
}

static void find_path(struct contexts *contexts)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	int size = 0;

	if (config != NULL && config[0] == '/') /* the specification: others are to be ignored */
		size = snprintf(contexts->path, sizeof contexts->path, "%s/evgrid/contexts.yaml", config);
	else if (home != NULL && home[0] == '/')
		size = snprintf(contexts->path, sizeof contexts->path, "%s/.config/evgrid/contexts.yaml", home);
	if (size < 0 || (size_t)size >= sizeof contexts->path)
		contexts->path[0] = '\0';
}

int contexts_read(struct contexts *contexts)
{
	char *text;
	FILE *file;
	size_t size;
	int rv = 0;

	*contexts = (struct contexts){.count = 0};
	find_path(contexts);
	file = contexts->path[0] == '\0' ? NULL : fopen(contexts->path, "rb");
	if (file == NULL) {
		if (contexts->path[0] == '\0' || errno == ENOENT || errno == ENOTDIR)
			return 0;
		(void)snprintf(contexts->why, sizeof contexts->why, "%s: %s", contexts->path, strerror(errno));
		return ERROR_IO;
	}
	text = malloc(FILE_MAX_BYTES + 1);
	size = text == NULL ? 0 : fread(text, 1, FILE_MAX_BYTES + 1, file);
	if (text == NULL)
		rv = ERROR_MEMORY;
	else if (ferror(file) != 0 || size > FILE_MAX_BYTES)
		rv = ERROR_IO;
	if (rv != 0)
		(void)snprintf(contexts->why, sizeof contexts->why, "%s: cannot be read, or larger than 64 KiB",
			       contexts->path);
	(void)fclose(file);
	if (rv == 0 && size > 0)
		rv = read_text(contexts, span_of(text, size));
	free(text);
	return rv;
}

struct context *contexts_find(struct contexts *contexts, const char *name)
{
	for (uint32_t i = 0; i < contexts->count; i++) {
		if (strcmp(contexts->list[i].name, name) == 0)
			return &contexts->list[i];
	}
	return NULL;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void make_directories(const char *path)
{
	char text[sizeof((struct contexts *)0)->path];

	(void)snprintf(text, sizeof text, "%s", path);
	for (char *at = strchr(text + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
		*at = '\0';
		(void)mkdir(text, 0700); /* what is missing is told when the file is opened */
		*at = '/';
	}
}

static bool write_keys(const struct context *context, FILE *file)
{
	return context->key[0] == '\0' ||
	       fprintf(file, "    key: \"%s\"\n    node_keys: \"%s\"\n", context->key, context->node_keys) > 0;
}

static bool write_members(const struct contexts *contexts, FILE *file)
{
	bool good = fputs("# Written by evgrid context; comments are not kept.\n", file) >= 0;

	if (contexts->current[0] != '\0')
		good = fprintf(file, "current: \"%s\"\n", contexts->current) > 0 && good;
	good = fputs(contexts->count == 0 ? "contexts: {}\n" : "contexts:\n", file) >= 0 && good;
	for (uint32_t i = 0; i < contexts->count; i++)
		good = fprintf(file, "  \"%s\":\n    server: \"%s\"\n", contexts->list[i].name,
			       contexts->list[i].server) > 0 &&
		       write_keys(&contexts->list[i], file) && good;
	return fflush(file) == 0 && fsync(fileno(file)) == 0 && good;
}

int contexts_write(struct contexts *contexts)
{
	char aside[sizeof contexts->path + 8];
	FILE *file;
	bool good;

	if (contexts->path[0] == '\0') {
		(void)snprintf(contexts->why, sizeof contexts->why, "neither XDG_CONFIG_HOME nor HOME names a folder");
		return ERROR_IO;
	}
	make_directories(contexts->path);
	(void)snprintf(aside, sizeof aside, "%s.new", contexts->path);
	file = fopen(aside, "wb");
	good = file != NULL && write_members(contexts, file);
	if (file != NULL)
		good = fclose(file) == 0 && good;
	if (good && rename(aside, contexts->path) == 0)
		return 0;
	(void)snprintf(contexts->why, sizeof contexts->why, "%s: %s", contexts->path, strerror(errno));
	if (file != NULL)
		(void)unlink(aside);
	return ERROR_IO;
}

/* --- which server ------------------------------------------------------------------------------------------------- */

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value == NULL || value[0] == '\0' ? NULL : value;
}

static int take_context(struct cli *cli, struct contexts *contexts, const char *name, char why[CLI_WHY_BYTES])
{
	const struct context *context = contexts_find(contexts, name);
	const char *words[CONTEXTS_MAX];
	const char *nearest;

	if (context != NULL) {
		(void)snprintf(cli->address, sizeof cli->address, "%s", context->server);
		cli->server = cli->address;
		(void)snprintf(cli->key_path, sizeof cli->key_path, "%s", context->key);
		(void)snprintf(cli->node_keys_path, sizeof cli->node_keys_path, "%s", context->node_keys);
		return 0;
	}
	for (uint32_t i = 0; i < contexts->count; i++)
		words[i] = contexts->list[i].name;
	nearest = nearest_word(name, words, contexts->count);
	(void)snprintf(why, CLI_WHY_BYTES, "no context '%s' in %s%s%s%s", name, contexts->path,
		       nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
		       nearest == NULL ? "" : "'?");
	return ERROR_NOT_FOUND;
}

static void find_keys(struct cli *cli)
{
	if (cli->key_file == NULL)
		cli->key_file = environment("EVGRID_KEY");
	if (cli->node_keys_file == NULL)
		cli->node_keys_file = environment("EVGRID_NODE_KEYS");
	if (cli->key_file == NULL && cli->key_path[0] != '\0')
		cli->key_file = cli->key_path;
	if (cli->node_keys_file == NULL && cli->node_keys_path[0] != '\0')
		cli->node_keys_file = cli->node_keys_path;
}

static int find_server(struct cli *cli, char why[CLI_WHY_BYTES])
{
	struct contexts *contexts;
	const char *name = cli->context;
	int rv;

	if (cli->server != NULL && cli->context != NULL) {
		(void)snprintf(why, CLI_WHY_BYTES, "--server and --context are both there, one is wanted");
		return ERROR_USAGE;
	}
	cli->server_from = cli->server != NULL ? "--server" : "--context";
	if (cli->server == NULL && name == NULL) {
		cli->server = environment("EVGRID_SERVER");
		cli->server_from = "EVGRID_SERVER";
	}
	if (cli->server != NULL)
		return 0;
	if (name == NULL) {
		name = environment("EVGRID_CONTEXT");
		cli->server_from = "EVGRID_CONTEXT";
	}
	contexts = malloc(sizeof *contexts);
	if (contexts == NULL)
		return ERROR_MEMORY;
	rv = contexts_read(contexts);
	if (rv != 0) {
		(void)snprintf(why, CLI_WHY_BYTES, "%s", contexts->why);
	} else if (name != NULL) {
		rv = take_context(cli, contexts, name, why);
	} else if (contexts->current[0] != '\0') {
		cli->server_from = "the current context";
		rv = take_context(cli, contexts, contexts->current, why);
	} else {
		cli->server_from = "the default";
		cli->server = CLI_DEFAULT_SERVER;
	}
	free(contexts);
	return rv;
}

int cli_find_server(struct cli *cli, char why[CLI_WHY_BYTES])
{
	int rv = find_server(cli, why);

	if (rv == 0)
		find_keys(cli);
	return rv;
}

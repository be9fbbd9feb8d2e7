/* The command's contexts.yaml, from a folder of its own: what is read is sound, and what is written of it reads the
 * same; what is refused says why. */
#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/contexts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static char folder[] = "/tmp/evgrid-fuzz-contexts.XXXXXX";
static char path[sizeof folder + sizeof "/evgrid/contexts.yaml"];

static void folder_remove(void)
{
	(void)unlink(path);
	*strrchr(path, '/') = '\0';
	(void)rmdir(path);
	(void)rmdir(folder);
}

static void folder_make(void)
{
	assert(mkdtemp(folder) != NULL);
	(void)snprintf(path, sizeof path, "%s/evgrid", folder);
	assert(mkdir(path, 0700) == 0);
	(void)snprintf(path, sizeof path, "%s/evgrid/contexts.yaml", folder);
	assert(setenv("XDG_CONFIG_HOME", folder, 1) == 0);
	assert(atexit(folder_remove) == 0);
}

static void file_write(struct span text)
{
	FILE *file = fopen(path, "wb");

	assert(file != NULL);
	assert(fwrite(text.data, 1, text.size, file) == text.size);
	assert(fclose(file) == 0);
}

static void check_sound(struct contexts *contexts)
{
	for (uint32_t i = 0; i < contexts->count; i++) {
		const struct context *context = &contexts->list[i];

		assert(context_name_is_valid(context->name, strlen(context->name)));
		assert(addresses_are_valid(context->server, strlen(context->server)));
		assert(contexts_find(contexts, context->name) == context);
	}
	assert(contexts->current[0] == '\0' || contexts_find(contexts, contexts->current) != NULL);
}

static void check_read_again(struct contexts *contexts)
{
	static struct contexts again;

	assert(contexts_write(contexts) == 0);
	assert(contexts_read(&again) == 0);
	assert(again.count == contexts->count);
	assert(strcmp(again.current, contexts->current) == 0);
	for (uint32_t i = 0; i < again.count; i++) {
		assert(strcmp(again.list[i].name, contexts->list[i].name) == 0);
		assert(strcmp(again.list[i].server, contexts->list[i].server) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	static struct contexts contexts;

	if (path[0] == '\0')
		folder_make();
	file_write(span_of(data, size_bytes));
	if (contexts_read(&contexts) == 0) {
		check_sound(&contexts);
		check_read_again(&contexts);
	} else {
		assert(strncmp(contexts.why, path, strlen(path)) == 0);
	}
	return 0;
}

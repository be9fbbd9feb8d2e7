/* libraft's disk code as the daemon opens it: a store that is damaged is refused, never mended by forgetting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/control.h"
#include "raft/raft_node.h"

#define NAME_BYTES 256u

extern void raft_uv_set_auto_recovery(struct raft_io *io, bool flag); /* <raft/uv.h> is one file's of node/ */

struct store {
	struct control *control;
	struct directory directory;
	struct raft_node node;
	uint64_t applied;
	char fatal[256];
};

/* --- host --------------------------------------------------------------------------------------------------------- */

static void host_send(void *host, uint64_t to, const char *address, struct buffer *body)
{
	(void)host;
	(void)to;
	(void)address;
	(void)body;
}

static int host_apply(void *host, uint64_t index, struct span entry)
{
	struct store *store = host;

	(void)entry;
	store->applied = index;
	return 0;
}

static int host_snapshot(void *host, struct buffer *out)
{
	(void)host;
	buffer_u64(out, 1);
	return 0;
}

static int host_restore(void *host, struct span snapshot)
{
	(void)host;
	(void)snapshot;
	return 0;
}

static void host_fatal(void *host, const char *text)
{
	struct store *store = host;

	snprintf(store->fatal, sizeof(store->fatal), "%s", text);
}

static const struct raft_node_host host = {host_send, host_apply, host_snapshot, host_restore, host_fatal};

/* --- store -------------------------------------------------------------------------------------------------------- */

static struct store *store_new(void)
{
	struct store *store = calloc(1, sizeof(*store));
	char path[CONFIG_PATH_BYTES + 16];

	assert_non_null(store);
	snprintf(store->directory.path, sizeof(store->directory.path), "/tmp/evgrid-raft-XXXXXX");
	assert_non_null(mkdtemp(store->directory.path));
	snprintf(path, sizeof(path), "%s/raft", store->directory.path);
	assert_int_equal(mkdir(path, 0700), 0);
	return store;
}

static int store_open(struct store *store, bool mends)
{
	struct raft_node_server one = {.id = 1, .address = "n:1", .role = RAFT_NODE_VOTER};
	struct raft_node_config config = {.id = 1, .address = "n:1", .life = 1, .seed = 1, .callbacks = &host};

	config.host = store;
	store->control = calloc(1, sizeof(*store->control));
	assert_non_null(store->control);
	store->control->directory = &store->directory;
	assert_int_equal(uv_loop_init(&store->control->loop), 0);
	control_raft_open(store->control);
	if (mends)
		raft_uv_set_auto_recovery(&store->control->io, true);
	memset(&store->node, 0, sizeof(store->node));
	store->fatal[0] = '\0';
	assert_int_equal(raft_node_init(&store->node, &store->control->io, &config, 1000), 0);
	raft_node_bootstrap(&store->node, &one, 1);
	return raft_node_start(&store->node, 1000);
}

static void store_close(struct store *store)
{
	raft_node_close(&store->node);
	while (!raft_node_closed(&store->node))
		uv_run(&store->control->loop, UV_RUN_ONCE);
	raft_node_deinit(&store->node);
	control_raft_close(store->control);
	uv_run(&store->control->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&store->control->loop), 0);
	free(store->control);
}

static void entries_write(struct store *store, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t before = store->applied;

		assert_int_equal(raft_node_submit(&store->node, span_of_text("an entry")), RAFT_NODE_DONE);
		while (store->applied == before)
			uv_run(&store->control->loop, UV_RUN_ONCE);
	}
}

/* The last closed segment, whose name is digits and a dash. Its path; false: none. */
static bool segment_find(const struct store *store, char *path, size_t size)
{
	char folder[CONFIG_PATH_BYTES + 16];
	char last[NAME_BYTES] = "";
	struct dirent *entry;
	DIR *listing;

	snprintf(folder, sizeof(folder), "%s/raft", store->directory.path);
	listing = opendir(folder);
	assert_non_null(listing);
	while ((entry = readdir(listing)) != NULL) {
		if (entry->d_name[strspn(entry->d_name, "0123456789-")] != '\0' || strchr(entry->d_name, '-') == NULL)
			continue;
		if (strcmp(entry->d_name, last) > 0)
			snprintf(last, sizeof(last), "%s", entry->d_name);
	}
	closedir(listing);
	snprintf(path, size, "%s/%s", folder, last);
	return last[0] != '\0';
}

static void byte_flip(const char *path, off_t at)
{
	int file = open(path, O_RDWR);
	uint8_t byte;

	assert_true(file >= 0);
	assert_int_equal(pread(file, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(file, &byte, 1, at), 1);
	close(file);
}

static void store_remove(struct store *store)
{
	char command[CONFIG_PATH_BYTES + 16];

	snprintf(command, sizeof(command), "rm -rf %s", store->directory.path);
	assert_int_equal(system(command), 0);
	free(store);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static struct store *damaged(char *path, size_t size)
{
	struct store *store = store_new();
	struct stat status;

	assert_int_equal(store_open(store, false), 0);
	entries_write(store, 20);
	store_close(store);
	assert_true(segment_find(store, path, size));
	assert_int_equal(stat(path, &status), 0);
	byte_flip(path, status.st_size / 2);
	return store;
}

static void a_damaged_segment_is_refused_and_left_alone(void **state)
{
	char path[CONFIG_PATH_BYTES + 300];
	struct store *store = damaged(path, sizeof(path));

	(void)state;
	assert_int_not_equal(store_open(store, false), 0);
	assert_non_null(strstr(store->fatal, "be loaded"));
	store_close(store);
	assert_int_equal(access(path, F_OK), 0);
	store_remove(store);
}

/* What the daemon switches off: the library would go on without what it had acknowledged. */
static void the_library_would_forget(void **state)
{
	char path[CONFIG_PATH_BYTES + 300];
	struct store *store = damaged(path, sizeof(path));

	(void)state;
	store_open(store, true);
	store_close(store);
	assert_int_not_equal(access(path, F_OK), 0);
	store_remove(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_damaged_segment_is_refused_and_left_alone),
		cmocka_unit_test(the_library_would_forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

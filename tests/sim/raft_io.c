/* See raft_io.h. */
#include "tests/sim/raft_io.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum operation_kind { OPERATION_APPEND, OPERATION_TRUNCATE, OPERATION_PUT, OPERATION_GET };

struct sim_raft_operation {
	enum operation_kind kind;
	uint64_t due_ms;
	struct sim_raft_operation *next;
	struct raft_io_append *append;
	struct sim_raft_entry *entries;
	size_t count;
	raft_index index;
	struct raft_io_snapshot_put *put;
	struct raft_snapshot *snapshot;
	unsigned trailing;
	struct raft_io_snapshot_get *get;
};

/* splitmix64 */
static uint64_t random_next(struct sim_raft_io *sim)
{
	uint64_t z = sim->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void *must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

/* --- the disk ----------------------------------------------------------------------------------------------------- */

static void entries_free(struct sim_raft_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(entries[i].data);
	free(entries);
}

static void snapshot_free(struct raft_snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	raft_configuration_close(&snapshot->configuration);
	for (unsigned i = 0; i < snapshot->n_bufs; i++)
		raft_free(snapshot->bufs[i].base);
	raft_free(snapshot->bufs);
	raft_free(snapshot);
}

/* All buffers become one, as libraft wants it back. */
static struct raft_snapshot *snapshot_copy(const struct raft_snapshot *from)
{
	struct raft_snapshot *to = must(raft_calloc(1, sizeof(*to)));
	size_t size = 0;
	size_t at = 0;

	to->index = from->index;
	to->term = from->term;
	to->configuration_index = from->configuration_index;
	raft_configuration_init(&to->configuration);
	for (unsigned i = 0; i < from->configuration.n; i++)
		raft_configuration_add(&to->configuration, from->configuration.servers[i].id,
				       from->configuration.servers[i].address, from->configuration.servers[i].role);
	for (unsigned i = 0; i < from->n_bufs; i++)
		size += from->bufs[i].len;
	to->bufs = must(raft_calloc(1, sizeof(*to->bufs)));
	to->n_bufs = 1;
	to->bufs[0].base = must(raft_malloc(size));
	to->bufs[0].len = size;
	for (unsigned i = 0; i < from->n_bufs; i++) {
		memcpy((uint8_t *)to->bufs[0].base + at, from->bufs[i].base, from->bufs[i].len);
		at += from->bufs[i].len;
	}
	return to;
}

void sim_raft_disk_init(struct sim_raft_disk *disk)
{
	*disk = (struct sim_raft_disk){.first = 1};
}

void sim_raft_disk_deinit(struct sim_raft_disk *disk)
{
	entries_free(disk->entries, disk->count);
	snapshot_free(disk->snapshot);
	sim_raft_disk_init(disk);
}

bool sim_raft_disk_empty(const struct sim_raft_disk *disk)
{
	return disk->term == 0;
}

static void disk_append(struct sim_raft_disk *disk, struct sim_raft_entry *entries, size_t count)
{
	disk->entries = must(realloc(disk->entries, (disk->count + count) * sizeof(*entries)));
	memcpy(disk->entries + disk->count, entries, count * sizeof(*entries));
	disk->count += count;
}

static void disk_truncate(struct sim_raft_disk *disk, raft_index index)
{
	while (disk->count > 0 && disk->first + disk->count > index)
		free(disk->entries[--disk->count].data);
}

static void disk_trim(struct sim_raft_disk *disk, raft_index first)
{
	size_t gone = 0;

	if (first <= disk->first)
		return;
	gone = (size_t)(first - disk->first);
	gone = gone < disk->count ? gone : disk->count;
	for (size_t i = 0; i < gone; i++)
		free(disk->entries[i].data);
	if (disk->count > gone)
		memmove(disk->entries, disk->entries + gone, (disk->count - gone) * sizeof(*disk->entries));
	disk->count -= gone;
	disk->first += gone;
}

static void disk_put(struct sim_raft_disk *disk, struct raft_snapshot *snapshot, unsigned trailing)
{
	snapshot_free(disk->snapshot);
	disk->snapshot = snapshot;
	if (trailing == 0) {
		disk_truncate(disk, 0);
		disk->first = snapshot->index + 1;
	} else if (snapshot->index > trailing) {
		disk_trim(disk, snapshot->index - trailing);
	}
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

static struct sim_raft_operation *queue_push(struct sim_raft_io *sim, enum operation_kind kind)
{
	struct sim_raft_operation *operation = must(calloc(1, sizeof(*operation)));
	uint64_t spread = sim->latency_max_ms - sim->latency_min_ms + 1;

	operation->kind = kind;
	operation->due_ms = sim->now_ms + sim->latency_min_ms + random_next(sim) % spread;
	if (sim->tail != NULL && operation->due_ms < sim->tail->due_ms)
		operation->due_ms = sim->tail->due_ms;
	if (sim->tail != NULL)
		sim->tail->next = operation;
	else
		sim->head = operation;
	sim->tail = operation;
	return operation;
}

static struct sim_raft_operation *queue_pop(struct sim_raft_io *sim)
{
	struct sim_raft_operation *operation = sim->head;

	assert(operation != NULL);
	sim->head = operation->next;
	if (sim->head == NULL)
		sim->tail = NULL;
	return operation;
}

static void watch_cut(struct sim_raft_io *sim, raft_index from)
{
	if (sim->watch.cut != NULL)
		sim->watch.cut(sim->watch.watcher, from);
}

/* What an operation does to the disk; its memory becomes the disk's. */
static void operation_write(struct sim_raft_io *sim, struct sim_raft_operation *operation)
{
	sim->writes++;
	if (operation->kind == OPERATION_APPEND) {
		disk_append(sim->disk, operation->entries, operation->count);
		free(operation->entries);
		operation->entries = NULL;
		operation->count = 0;
	} else if (operation->kind == OPERATION_TRUNCATE) {
		watch_cut(sim, operation->index);
		disk_truncate(sim->disk, operation->index);
	} else if (operation->kind == OPERATION_PUT) {
		if (operation->trailing == 0)
			watch_cut(sim, operation->snapshot->index + 1);
		disk_put(sim->disk, operation->snapshot, operation->trailing);
		operation->snapshot = NULL;
	}
}

static void operation_tell(struct sim_raft_io *sim, struct sim_raft_operation *operation, int status)
{
	if (operation->append != NULL)
		operation->append->cb(operation->append, status);
	if (operation->put != NULL)
		operation->put->cb(operation->put, status);
	if (operation->get != NULL)
		operation->get->cb(operation->get, status == 0 ? snapshot_copy(sim->disk->snapshot) : NULL, status);
}

static void operation_free(struct sim_raft_operation *operation)
{
	entries_free(operation->entries, operation->count);
	snapshot_free(operation->snapshot);
	free(operation);
}

/* --- the verbs ---------------------------------------------------------------------------------------------------- */

static bool fails(struct sim_raft_io *sim)
{
	if (sim->fail_after == 0)
		return false;
	if (sim->fail_after > 1) {
		sim->fail_after--;
		return false;
	}
	strcpy(sim->io.errmsg, "simulated");
	return true;
}

static int verb_init(struct raft_io *io, raft_id id, const char *address)
{
	(void)io;
	(void)id;
	(void)address;
	return 0;
}

static void verb_close(struct raft_io *io, raft_io_close_cb cb)
{
	struct sim_raft_io *sim = io->impl;

	while (sim->head != NULL) {
		struct sim_raft_operation *operation = queue_pop(sim);

		operation_tell(sim, operation, RAFT_CANCELED);
		operation_free(operation);
	}
	cb(io);
}

static void entries_load(const struct sim_raft_disk *disk, struct raft_entry **entries)
{
	size_t size = 1;
	uint8_t *batch;

	*entries = NULL;
	if (disk->count == 0)
		return;
	for (size_t i = 0; i < disk->count; i++)
		size += disk->entries[i].size;
	batch = must(raft_malloc(size));
	*entries = must(raft_calloc(disk->count, sizeof(**entries)));
	for (size_t i = 0, at = 0; i < disk->count; i++) {
		struct raft_entry *entry = &(*entries)[i];

		entry->term = disk->entries[i].term;
		entry->type = disk->entries[i].type;
		entry->batch = batch;
		entry->buf = (struct raft_buffer){.base = batch + at, .len = disk->entries[i].size};
		memcpy(batch + at, disk->entries[i].data, disk->entries[i].size);
		at += disk->entries[i].size;
	}
}

/* --- the state machine's verbs, watched --------------------------------------------------------------------------- */

static int watched_apply(struct raft_fsm *fsm, const struct raft_buffer *entry, void **result)
{
	struct sim_raft_io *sim = fsm->data;
	const struct raft *raft = sim->io.data;
	raft_index index = raft->last_applied + 1;
	int status = sim->theirs->apply(sim->theirs, entry, result);

	sim->watch.applied(sim->watch.watcher, index, entry);
	return status;
}

static int watched_snapshot(struct raft_fsm *fsm, struct raft_buffer *buffers[], unsigned *count)
{
	struct sim_raft_io *sim = fsm->data;

	return sim->theirs->snapshot(sim->theirs, buffers, count);
}

static int watched_restore(struct raft_fsm *fsm, struct raft_buffer *bytes)
{
	struct sim_raft_io *sim = fsm->data;

	return sim->theirs->restore(sim->theirs, bytes);
}

/* Nothing is applied or restored before the first load. */
static void watch_machine(struct sim_raft_io *sim)
{
	struct raft *raft = sim->io.data;

	if (sim->watch.applied == NULL || raft->fsm == &sim->fsm)
		return;
	assert(raft->fsm->version == 1);
	sim->theirs = raft->fsm;
	sim->fsm = (struct raft_fsm){.version = 1,
				     .data = sim,
				     .apply = watched_apply,
				     .snapshot = watched_snapshot,
				     .restore = watched_restore};
	raft->fsm = &sim->fsm;
}

/* --- the verbs, again --------------------------------------------------------------------------------------------- */

static int verb_load(struct raft_io *io, raft_term *term, raft_id *voted_for, struct raft_snapshot **snapshot,
		     raft_index *start_index, struct raft_entry *entries[], size_t *n_entries)
{
	struct sim_raft_io *sim = io->impl;

	if (fails(sim))
		return RAFT_IOERR;
	watch_machine(sim);
	*term = sim->disk->term;
	*voted_for = sim->forgets_vote ? 0 : sim->disk->vote;
	*snapshot = sim->disk->snapshot == NULL ? NULL : snapshot_copy(sim->disk->snapshot);
	*start_index = sim->disk->first;
	*n_entries = sim->disk->count;
	entries_load(sim->disk, entries);
	return 0;
}

static int verb_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
	(void)io;
	(void)msecs;
	(void)tick;
	(void)recv;
	return 0;
}

static int verb_bootstrap(struct raft_io *io, const struct raft_configuration *configuration)
{
	struct sim_raft_io *sim = io->impl;
	struct sim_raft_entry entry = {.term = 1, .type = RAFT_CHANGE};
	struct raft_buffer bytes;

	if (fails(sim))
		return RAFT_IOERR;
	if (!sim_raft_disk_empty(sim->disk))
		return RAFT_CANTBOOTSTRAP;
	if (raft_configuration_encode(configuration, &bytes) != 0)
		return RAFT_NOMEM;
	entry.data = must(malloc(bytes.len));
	memcpy(entry.data, bytes.base, bytes.len);
	entry.size = bytes.len;
	raft_free(bytes.base);
	sim->disk->term = 1;
	disk_append(sim->disk, &entry, 1);
	return 0;
}

static int verb_recover(struct raft_io *io, const struct raft_configuration *configuration)
{
	(void)io;
	(void)configuration;
	return RAFT_INVALID; /* an operator's tool, never used by a running node */
}

static int verb_set_term(struct raft_io *io, raft_term term)
{
	struct sim_raft_io *sim = io->impl;

	if (fails(sim))
		return RAFT_IOERR;
	assert(!sim->dead);
	sim->disk->term = term;
	sim->disk->vote = 0;
	return 0;
}

static int verb_set_vote(struct raft_io *io, raft_id server_id)
{
	struct sim_raft_io *sim = io->impl;

	if (fails(sim))
		return RAFT_IOERR;
	assert(!sim->dead);
	sim->disk->vote = server_id;
	return 0;
}

static int verb_append(struct raft_io *io, struct raft_io_append *req, const struct raft_entry entries[], unsigned n,
		       raft_io_append_cb cb)
{
	struct sim_raft_io *sim = io->impl;
	struct sim_raft_operation *operation;

	if (fails(sim))
		return RAFT_IOERR;
	operation = queue_push(sim, OPERATION_APPEND);
	req->cb = cb;
	operation->append = req;
	operation->entries = must(calloc(n, sizeof(*operation->entries)));
	operation->count = n;
	for (unsigned i = 0; i < n; i++) {
		struct sim_raft_entry *entry = &operation->entries[i];

		*entry = (struct sim_raft_entry){
			.term = entries[i].term, .type = entries[i].type, .size = entries[i].buf.len};
		entry->data = must(malloc(entry->size + 1));
		memcpy(entry->data, entries[i].buf.base, entry->size);
	}
	return 0;
}

static int verb_truncate(struct raft_io *io, raft_index index)
{
	struct sim_raft_io *sim = io->impl;

	if (fails(sim))
		return RAFT_IOERR;
	queue_push(sim, OPERATION_TRUNCATE)->index = index;
	return 0;
}

static int verb_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
			     const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
	struct sim_raft_io *sim = io->impl;
	struct sim_raft_operation *operation;

	if (fails(sim) || sim->put_refused)
		return RAFT_IOERR;
	operation = queue_push(sim, OPERATION_PUT);
	req->cb = cb;
	operation->put = req;
	operation->snapshot = snapshot_copy(snapshot);
	operation->trailing = trailing;
	return 0;
}

static int verb_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb)
{
	struct sim_raft_io *sim = io->impl;

	if (fails(sim) || sim->disk->snapshot == NULL)
		return RAFT_IOERR;
	req->cb = cb;
	queue_push(sim, OPERATION_GET)->get = req;
	return 0;
}

/* --- from outside ------------------------------------------------------------------------------------------------- */

void sim_raft_io_init(struct sim_raft_io *sim, struct sim_raft_disk *disk, uint64_t seed, uint32_t latency_min_ms,
		      uint32_t latency_max_ms)
{
	assert(latency_min_ms <= latency_max_ms);
	*sim = (struct sim_raft_io){
		.disk = disk, .random = seed, .latency_min_ms = latency_min_ms, .latency_max_ms = latency_max_ms};
	sim->io = (struct raft_io){
		.version = 2,
		.capacity = UINT16_MAX, /* KiB kept ready: libraft refuses entries below 4096 */
		.impl = sim,
		.init = verb_init,
		.close = verb_close,
		.load = verb_load,
		.start = verb_start,
		.bootstrap = verb_bootstrap,
		.recover = verb_recover,
		.set_term = verb_set_term,
		.set_vote = verb_set_vote,
		.append = verb_append,
		.truncate = verb_truncate,
		.snapshot_put = verb_snapshot_put,
		.snapshot_get = verb_snapshot_get,
	};
}

void sim_raft_io_watch(struct sim_raft_io *sim, const struct sim_raft_watch *watch)
{
	sim->watch = *watch;
}

uint64_t sim_raft_io_next(const struct sim_raft_io *sim)
{
	return sim->head == NULL ? UINT64_MAX : sim->head->due_ms;
}

/* The lie: completions overtake the writes. */
static void appends_tell_early(struct sim_raft_io *sim)
{
	for (struct sim_raft_operation *operation = sim->head; operation != NULL; operation = operation->next) {
		struct raft_io_append *append = operation->append;

		operation->append = NULL;
		if (append != NULL)
			append->cb(append, 0);
	}
}

void sim_raft_io_run(struct sim_raft_io *sim, uint64_t now_ms)
{
	sim->now_ms = now_ms;
	if (sim->lies_stored && !sim->dead)
		appends_tell_early(sim);
	while (sim->head != NULL && sim->head->due_ms <= now_ms && !sim->dead) {
		struct sim_raft_operation *operation = queue_pop(sim);
		int status = operation->kind != OPERATION_GET && fails(sim) ? RAFT_IOERR : 0;

		if (operation->kind == OPERATION_PUT && sim->put_fails)
			status = RAFT_IOERR;
		if (status == 0)
			operation_write(sim, operation);
		operation_tell(sim, operation, status);
		operation_free(operation);
	}
}

void sim_raft_io_kill(struct sim_raft_io *sim)
{
	struct sim_raft_operation *operation = sim->head;
	uint64_t survivors = random_next(sim) % 3;

	sim->dead = true;
	if (sim->fail_after == 1)
		survivors = 0; /* what comes after a failed write must not take its place */
	for (; operation != NULL && survivors > 0; operation = operation->next, survivors--)
		operation_write(sim, operation);
	if (sim->forgets_stored && sim->disk->count > 1)
		disk_truncate(sim->disk, sim->disk->first + sim->disk->count - 1);
}

const struct sim_raft_entry *sim_raft_io_entry(const struct sim_raft_io *sim, raft_index index)
{
	const struct sim_raft_disk *disk = sim->disk;
	const struct sim_raft_entry *found = NULL;
	raft_index last = disk->first + disk->count - 1;

	if (index >= disk->first && index <= last)
		found = &disk->entries[index - disk->first];
	for (const struct sim_raft_operation *operation = sim->head; operation != NULL; operation = operation->next) {
		if (operation->kind == OPERATION_APPEND) {
			if (index > last && index <= last + operation->count)
				found = &operation->entries[index - last - 1];
			last += operation->count;
		} else if (operation->kind == OPERATION_TRUNCATE) {
			found = index >= operation->index ? NULL : found;
			last = last >= operation->index ? operation->index - 1 : last;
		} else if (operation->kind == OPERATION_PUT && operation->trailing == 0) {
			found = NULL;
			last = operation->snapshot->index;
		}
	}
	return found;
}

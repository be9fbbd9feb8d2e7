/* The store, watched. libraft 0.22.1 drops what its store reports: an append that failed is forgotten, a term that
 * could not be written is used all the same, a snapshot that could not be read frees memory that was never set. "Any
 * error of its store ends the process" (design.md 5) is therefore made here: the first error fails the node, and from
 * then on the verbs pretend success, do nothing, and let nothing leave, until the host has ended the process. */
#include <assert.h>
#include <stdlib.h>

#include "raft/raft_node.h"

/* An append on its way: libraft's request behind ours. Kept in a list once it can no longer be completed. */
struct raft_stuck {
	struct raft_io_append request;
	struct raft_node *node;
	struct raft_io_append *outer;
	raft_io_append_cb cb;
	struct raft_stuck *next;
};

struct guarded_get {
	struct raft_io_snapshot_get request;
	struct raft_node *node;
	struct raft_io_snapshot_get *outer;
	raft_io_snapshot_get_cb cb;
};

static void append_keep(struct raft_stuck *append)
{
	append->next = append->node->stuck;
	append->node->stuck = append;
}

static void append_done(struct raft_io_append *request, int status)
{
	struct raft_stuck *append = request->data;
	struct raft_node *node = append->node;

	if (status != 0 && !node->closing) {
		raft_node_fail(node, "append", node->io->errmsg);
		append_keep(append);
		return;
	}
	append->cb(append->outer, status);
	free(append);
}

static int guard_append(struct raft_io *io, struct raft_io_append *request, const struct raft_entry entries[],
			unsigned n, raft_io_append_cb cb)
{
	struct raft_node *node = raft_node_of(io);
	struct raft_stuck *append = malloc(sizeof(*append));

	if (append == NULL)
		return RAFT_NOMEM; /* before anything happened: libraft undoes it */
	*append = (struct raft_stuck){.node = node, .outer = request, .cb = cb};
	append->request.data = append;
	if (!node->failed && node->inner.append(io, &append->request, entries, n, append_done) != 0)
		raft_node_fail(node, "append", io->errmsg);
	if (node->failed)
		append_keep(append);
	return 0;
}

static int guard_truncate(struct raft_io *io, raft_index index)
{
	struct raft_node *node = raft_node_of(io);

	if (!node->failed && node->inner.truncate(io, index) != 0)
		raft_node_fail(node, "truncate", io->errmsg);
	return 0;
}

static int guard_set_term(struct raft_io *io, raft_term term)
{
	struct raft_node *node = raft_node_of(io);

	if (!node->failed && node->inner.set_term(io, term) != 0)
		raft_node_fail(node, "set the term", io->errmsg);
	return 0;
}

static int guard_set_vote(struct raft_io *io, raft_id server)
{
	struct raft_node *node = raft_node_of(io);

	if (!node->failed && node->inner.set_vote(io, server) != 0)
		raft_node_fail(node, "set the vote", io->errmsg);
	return 0;
}

static void put_complete(struct raft_node *node, int status)
{
	struct raft_io_snapshot_put *outer = node->put.outer;

	node->put.outer = NULL;
	node->put.cb(outer, status);
}

static void put_done(struct raft_io_snapshot_put *request, int status)
{
	struct raft_node *node = request->data;

	if (status != 0 && !node->closing) {
		raft_node_fail(node, "write a snapshot", node->io->errmsg);
		node->put.stuck = true;
		return;
	}
	put_complete(node, status);
}

/* A snapshot that could not be written leaves libraft refusing all entries for ever, or, told at once, with memory
 * that it frees twice: it hears of neither before it closes. */
static int guard_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *request,
			      const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
	struct raft_node *node = raft_node_of(io);

	assert(node->put.outer == NULL);
	node->put = (struct raft_node_put){.outer = request, .cb = cb};
	node->put.request.data = node;
	if (!node->failed && node->inner.snapshot_put(io, trailing, &node->put.request, snapshot, put_done) != 0)
		raft_node_fail(node, "write a snapshot", io->errmsg);
	node->put.stuck = node->failed;
	return 0;
}

/* libraft's error path frees a configuration it never set, so it does not hear of errors: it gets a snapshot of
 * nothing, which a node that has failed or closes does not send. */
static struct raft_snapshot *snapshot_of_nothing(void)
{
	struct raft_snapshot *snapshot = raft_calloc(1, sizeof(*snapshot));
	struct raft_buffer *buffers = raft_calloc(1, sizeof(*buffers));

	if (snapshot == NULL || buffers == NULL)
		abort();
	snapshot->index = UINT64_MAX;
	raft_configuration_init(&snapshot->configuration);
	snapshot->bufs = buffers;
	snapshot->n_bufs = 1;
	return snapshot;
}

static void snapshot_get_done(struct raft_io_snapshot_get *request, struct raft_snapshot *snapshot, int status)
{
	struct guarded_get *get = request->data;
	struct raft_node *node = get->node;

	if (status != 0 && !node->closing)
		raft_node_fail(node, "read a snapshot", node->io->errmsg);
	if (status == 0) {
		node->read_index = snapshot->index; /* sent from within the callback: raft_node.h, 5 */
		node->read_term = snapshot->term;
	}
	get->cb(get->outer, status == 0 ? snapshot : snapshot_of_nothing(), 0);
	free(get);
}

/* Refused at once libraft frees its request, and reads there what it says of the error: so it is not. */
static int guard_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *request, raft_io_snapshot_get_cb cb)
{
	struct raft_node *node = raft_node_of(io);
	struct guarded_get *get = malloc(sizeof(*get));

	if (get == NULL)
		abort();
	*get = (struct guarded_get){.node = node, .outer = request, .cb = cb};
	get->request.data = get;
	if (node->failed || node->inner.snapshot_get(io, &get->request, snapshot_get_done) != 0)
		snapshot_get_done(&get->request, NULL, RAFT_IOERR);
	return 0;
}

/* What a failed store left behind is completed here, while libraft closes: it expects no completion at another time. */
static void guard_close(struct raft_io *io, raft_io_close_cb cb)
{
	struct raft_node *node = raft_node_of(io);

	while (node->stuck != NULL) {
		struct raft_stuck *append = node->stuck;

		node->stuck = append->next;
		append->cb(append->outer, RAFT_CANCELED);
		free(append);
	}
	if (node->put.stuck)
		put_complete(node, RAFT_CANCELED);
	node->inner.close(io, cb);
}

void raft_guard_install(struct raft_node *node)
{
	assert(node->inner.append != NULL);
	node->io->append = guard_append;
	node->io->truncate = guard_truncate;
	node->io->set_term = guard_set_term;
	node->io->set_vote = guard_set_vote;
	node->io->snapshot_put = guard_snapshot_put;
	node->io->snapshot_get = guard_snapshot_get;
	node->io->close = guard_close;
}

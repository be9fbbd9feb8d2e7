/* What an answer to a fresh read is held against: fresh_read.h. */
#include "tests/sim/fresh_read.h"

#include "proto/msgpack.h"

struct answer {
	const struct fresh_read *read;
	const struct core_result *result;
	const struct operation *operations;
	size_t operation_count;
	struct sim *sim;
};

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void acknowledged_add(struct acknowledged *of, const struct operation *operation)
{
	uint64_t end = operation->offset + 1;

	of->end = later(of->end, end);
	if (operation->other)
		return;
	of->count++;
	if (operation->kind == OPERATION_DELETE)
		of->deleted_end = later(of->deleted_end, end);
	else
		of->changed_end = later(of->changed_end, end);
	if (operation->kind == OPERATION_PUT)
		of->put_end = later(of->put_end, end);
}

static void stale(const struct answer *answer, const char *what)
{
	const struct fresh_read *read = answer->read;
	const struct core_result *result = answer->result;

	sim_fail(answer->sim,
		 "linearizability: the view's key %u, read by client %u from node %u at applied %llu, changed at %llu: "
		 "%s; "
		 "before it was asked ends of what was acknowledged: %llu, changes %llu, deletes %llu",
		 read->key, read->client, result->node_id, (unsigned long long)result->read.applied,
		 (unsigned long long)result->read.changed_at, what, (unsigned long long)read->before.end,
		 (unsigned long long)read->before.changed_end, (unsigned long long)read->before.deleted_end);
}

static uint64_t state_number(struct span state, const char *name)
{
	struct reader in = reader_of(msgpack_member(state, span_of_text(name)));

	return msgpack_read_uint(&in);
}

/* The event that the state is of was published; if it is acknowledged, it is where the entry was last changed: in this
 * history, since one that was given up there may stand elsewhere in this one. */
static void check_source(const struct answer *answer)
{
	const struct core_result *result = answer->result;
	uint64_t serial = state_number(result->read.state, "n");
	uint64_t by = state_number(result->read.state, "client");

	for (size_t i = 0; i < answer->operation_count; i++) {
		const struct operation *operation = &answer->operations[i];

		if (operation->key != answer->read->key || operation->client != by || operation->serial != serial ||
		    operation->other)
			continue;
		if (operation->outcome == OUTCOME_REFUSED || operation->kind == OPERATION_DELETE)
			stale(answer, "its state is of an event that cannot be in it");
		if (operation->outcome == OUTCOME_ACKNOWLEDGED && operation->history == result->read.history &&
		    operation->offset != result->read.changed_at)
			stale(answer, "its state is of an event at another offset");
		return;
	}
	stale(answer, "its state is of an event that nobody published");
}

/* Some delete of the key may lie behind every put that was acknowledged. */
static bool may_be_deleted(const struct answer *answer)
{
	for (size_t i = 0; i < answer->operation_count; i++) {
		const struct operation *operation = &answer->operations[i];

		if (operation->key == answer->read->key && operation->kind == OPERATION_DELETE && !operation->other &&
		    operation->outcome != OUTCOME_REFUSED &&
		    (operation->outcome != OUTCOME_ACKNOWLEDGED || operation->offset >= answer->read->before.put_end))
			return true;
	}
	return false;
}

static void check_view(const struct answer *answer)
{
	const struct fresh_read *read = answer->read;
	const struct core_result *result = answer->result;

	if (result->read.applied < read->before.end)
		stale(answer, "something acknowledged is not applied");
	if (result->error == ERROR_NOT_FOUND) {
		if (read->before.put_end > 0 && !may_be_deleted(answer))
			stale(answer, "it is not found, and nobody deleted it");
		return;
	}
	if (result->read.changed_at + 1 < read->before.changed_end ||
	    result->read.changed_at < read->before.deleted_end)
		stale(answer, "it is older than what was acknowledged");
	check_source(answer);
}

bool fresh_read_check(const struct fresh_read *read, const struct core_result *result,
		      const struct operation *operations, size_t operation_count, uint64_t invoked, struct sim *sim)
{
	struct answer answer = {read, result, operations, operation_count, sim};

	if (result->error != ERROR_NONE && (!read->of_view || result->error != ERROR_NOT_FOUND))
		return false;
	if (sim->corruption.host != 0 && sim->corruption.partition == partition_of(workload_key(read->key)))
		return false; /* its primary may be the one */
	if (read->of_view) {
		marks_reach(&sim->marks, MARK_VIEW_READ);
		check_view(&answer);
	}
	if (result->read.version < read->before.count || result->read.version > invoked)
		sim_fail(sim,
			 "linearizability: key %u read as version %llu by client %u from node %u; acknowledged before "
			 "it was asked: %llu, published so far: %llu",
			 read->key, (unsigned long long)result->read.version, read->client, result->node_id,
			 (unsigned long long)read->before.count, (unsigned long long)invoked);
	return true;
}

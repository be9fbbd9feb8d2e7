/* See edge.h. */
#include "tests/sim/edge.h"

#include "tests/sim/host.h"
#include "tests/sim/linear.h"
#include "tests/sim/workload.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define STEPS_MAX 100000u /* a history whose places are known takes a step a write */

struct edge {
	struct sim *sim;
	uint64_t now;
	uint64_t shown[PARTITION_COUNT];
	uint64_t unsound_at[PARTITION_COUNT]; /* last seen so */
	bool given_up[PARTITION_COUNT];
	uint32_t rebuilds[SIM_HOSTS_MAX][PARTITION_COUNT]; /* each is as a process of its own */
	struct edge_local local[SIM_CLIENTS_MAX][SIM_HOSTS_MAX][PARTITION_COUNT];
	struct edge_seen *seen;
	size_t seen_count;
	size_t seen_capacity;
};

struct edge *edge_new(struct sim *sim)
{
	struct edge *edge = calloc(1, sizeof *edge);

	assert(edge != NULL);
	edge->sim = sim;
	return edge;
}

struct edge *edge_free(struct edge *edge)
{
	if (edge != NULL)
		free(edge->seen);
	free(edge);
	return NULL;
}

/* Of what answers for the partition on this host: another one after each start, and each rebuilding. */
static uint64_t generation_of(const struct edge *edge, uint32_t host, uint16_t partition)
{
	return host_generation(edge->sim->hosts[host]) << 16 | edge->rebuilds[host][partition];
}

uint64_t edge_now(struct edge *edge)
{
	uint64_t now = edge->sim->clockwork.now_us * 1000;

	edge->now = now > edge->now ? now : edge->now + 1;
	if (edge->sim->corruption.host != 0)
		edge->unsound_at[edge->sim->corruption.partition] = edge->now;
	return edge->now;
}

bool edge_is_sound(struct edge *edge, uint16_t partition, uint64_t invoked)
{
	(void)edge_now(edge);
	return edge->unsound_at[partition] < invoked;
}

/* --- what was shown ----------------------------------------------------------------------------------------------- */

struct edge_question edge_ask(struct edge *edge, uint32_t client, uint16_t partition)
{
	struct edge_question question = {
		.invoked = edge_now(edge),
		.shown = edge->shown[partition],
		.partition = partition,
		.client = (uint8_t)client,
	};

	for (uint32_t i = 0; i < edge->sim->options.hosts; i++) {
		const struct edge_local *local = &edge->local[client][i][partition];

		question.local[i].generation = generation_of(edge, i, partition);
		if (local->generation == question.local[i].generation)
			question.local[i].applied = local->applied;
	}
	return question;
}

void edge_shown(struct edge *edge, uint16_t partition, uint64_t end)
{
	if (end > edge->shown[partition])
		edge->shown[partition] = end;
}

/* By a process that lived when it was asked, and lives: else nobody knows which one answered. */
static void answered_by(struct edge *edge, const struct edge_question *question, uint32_t host, uint64_t applied)
{
	struct edge_local *local = &edge->local[question->client][host][question->partition];
	uint64_t generation = generation_of(edge, host, question->partition);

	if (generation != question->local[host].generation)
		return;
	if (applied < question->local[host].applied)
		sim_fail(edge->sim, "shown: client %u was answered by host %u of partition %u at %llu, before at %llu",
			 question->client, host, question->partition, (unsigned long long)applied,
			 (unsigned long long)question->local[host].applied);
	if (local->generation != generation || local->applied < applied)
		*local = (struct edge_local){generation, applied};
}

void edge_answered(struct edge *edge, const struct edge_question *question, uint32_t node_id, bool linearizable,
		   uint64_t applied)
{
	struct sim *sim = edge->sim;

	if (edge->given_up[question->partition])
		return;
	if (linearizable && applied < question->shown)
		sim_fail(sim,
			 "linearizability: client %u was answered by node %u of partition %u at %llu; shown before it "
			 "was asked: %llu",
			 question->client, node_id, question->partition, (unsigned long long)applied,
			 (unsigned long long)question->shown);
	if (linearizable)
		edge_shown(edge, question->partition, applied);
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (host_node_id(sim->hosts[i]) == node_id && node_id != 0)
			answered_by(edge, question, i, applied);
}

void edge_rebuilt(struct edge *edge, uint32_t host, uint16_t partition)
{
	edge->rebuilds[host][partition]++;
}

void edge_given_up(struct edge *edge, uint16_t partition)
{
	edge->given_up[partition] = true;
}

void edge_seen(struct edge *edge, const struct edge_seen *seen)
{
	if (!edge_is_sound(edge, partition_of(workload_key(seen->key)), seen->invoked))
		return;
	if (edge->seen_count == edge->seen_capacity) {
		edge->seen_capacity = edge->seen_capacity == 0 ? 1024 : edge->seen_capacity * 2;
		edge->seen = realloc(edge->seen, edge->seen_capacity * sizeof *edge->seen);
		assert(edge->seen != NULL);
	}
	edge->seen[edge->seen_count] = *seen;
	edge->seen[edge->seen_count++].returned = edge_now(edge);
}

/* --- histories ---------------------------------------------------------------------------------------------------- */

struct histories {
	const struct edge *edge;
	const struct operation *operations;
	size_t operation_count;
	struct linear_operation *list; /* of one key */
	size_t count;
};

static bool name_of(const struct histories *histories, const struct edge_seen *seen, uint64_t *name)
{
	*name = 0;
	for (size_t i = 0; i < histories->operation_count && seen->present; i++) {
		const struct operation *operation = &histories->operations[i];

		if (operation->key == seen->key && operation->client == seen->client &&
		    operation->serial == seen->serial && !operation->other)
			*name = operation->id + 1;
	}
	return *name != 0 || !seen->present;
}

static void add_seen(struct histories *histories, const struct edge_seen *seen)
{
	struct linear_operation read = {
		.invoked = seen->invoked,
		.returned = seen->returned,
		.value = LINEAR_UNKNOWN,
		.version = seen->version,
		.place = LINEAR_UNKNOWN,
		.kind = LINEAR_READ,
	};

	if (seen->of_view && !name_of(histories, seen, &read.value))
		sim_fail(histories->edge->sim, "linearizability: key %u shows event %llu of client %llu, which is none",
			 seen->key, (unsigned long long)seen->serial, (unsigned long long)seen->client);
	if (seen->of_view && seen->present)
		read.place = seen->changed_at;
	histories->list[histories->count++] = read;
}

static void add_publish(struct histories *histories, const struct operation *operation)
{
	static const enum linear_kind kinds[] = {
		[OPERATION_PUT] = LINEAR_PUT,
		[OPERATION_MERGE] = LINEAR_MERGE,
		[OPERATION_DELETE] = LINEAR_DELETE,
	};

	if (operation->other || !operation->found)
		return;
	histories->list[histories->count++] = (struct linear_operation){
		.invoked = operation->invoked_at,
		.returned = operation->outcome == OUTCOME_ACKNOWLEDGED ? operation->answered_at : LINEAR_UNKNOWN,
		.value = operation->id + 1,
		.version = operation->expected,
		.place = operation->found_offset,
		.kind = kinds[operation->kind],
	};
}

static void make_history(struct histories *histories, uint32_t key)
{
	histories->count = 0;
	for (size_t i = 0; i < histories->operation_count; i++)
		if (histories->operations[i].key == key)
			add_publish(histories, &histories->operations[i]);
	for (size_t i = 0; i < histories->edge->seen_count; i++)
		if (histories->edge->seen[i].key == key)
			add_seen(histories, &histories->edge->seen[i]);
}

/* In the words of linear.h, for a run that is traced. */
static void print_number(char *text, size_t size, uint64_t number)
{
	if (number == LINEAR_UNKNOWN)
		snprintf(text, size, "-");
	else
		snprintf(text, size, "%" PRIu64, number);
}

static void print_history(const struct histories *histories, uint32_t key)
{
	static const char *const names[] = {"put", "merge", "delete", "read"};

	for (size_t i = 0; i < histories->count && histories->edge->sim->options.trace; i++) {
		const struct linear_operation *operation = &histories->list[i];
		uint64_t numbers[] = {operation->invoked, operation->returned, operation->value, operation->version,
				      operation->place};
		char words[sizeof numbers / sizeof numbers[0]][24];

		for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++)
			print_number(words[n], sizeof words[n], numbers[n]);
		printf("k%02u %s %s %s %s %s %s\n", key, names[operation->kind], words[0], words[1], words[2], words[3],
		       words[4]);
	}
}

/* A run that has none of these has proved little. */
static void mark_order(const struct histories *histories)
{
	bool read = false;
	bool unknown = false;

	for (size_t i = 0; i < histories->count; i++) {
		read = read || histories->list[i].kind == LINEAR_READ;
		unknown = unknown || histories->list[i].returned == LINEAR_UNKNOWN;
	}
	if (read && unknown)
		marks_reach(&histories->edge->sim->marks, MARK_ORDER_FOUND);
}

static void check_key(struct histories *histories, uint32_t key)
{
	struct sim *sim = histories->edge->sim;
	struct linear_report report;
	const struct linear_operation *stuck;
	enum linear_outcome outcome;

	make_history(histories, key);
	outcome = linear_check(histories->list, histories->count, STEPS_MAX, &report);
	if (outcome == LINEAR_YES) {
		mark_order(histories);
		return;
	}
	print_history(histories, key);
	if (outcome == LINEAR_UNDECIDED || report.stuck == SIZE_MAX) {
		sim_fail(sim, "linearizability: key %u is undecided after %llu steps", key,
			 (unsigned long long)report.steps);
		return;
	}
	stuck = &histories->list[report.stuck];
	sim_fail(sim,
		 "linearizability: key %u has no order: %s of [%.6f, %.6f] event %lld version %lld offset %lld, where "
		 "%llu of %llu are in order, event %lld, version %llu (-1: not told; events are numbered from 1)",
		 key, stuck->kind == LINEAR_READ ? "a read" : "a write", (double)stuck->invoked / 1e9,
		 (double)stuck->returned / 1e9, (long long)stuck->value, (long long)stuck->version,
		 (long long)stuck->place, (unsigned long long)report.explained, (unsigned long long)histories->count,
		 (long long)report.value, (unsigned long long)report.version);
}

void edge_check(struct edge *edge, const struct operation *operations, size_t count)
{
	struct histories histories = {.edge = edge, .operations = operations, .operation_count = count};

	histories.list = calloc(count + edge->seen_count + 1, sizeof *histories.list);
	assert(histories.list != NULL);
	for (uint32_t key = 0; key < WORKLOAD_KEYS && !edge->sim->failed; key++)
		if (!edge->given_up[partition_of(workload_key(key))])
			check_key(&histories, key);
	free(histories.list);
}

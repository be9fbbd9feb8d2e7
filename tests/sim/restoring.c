/* See restoring.h. */
#include "tests/sim/restoring.h"

#include "partition/state.h"
#include "raft/command.h"
#include "tests/sim/faults.h"
#include "tests/sim/oracle.h"
#include "tests/sim/scenarios/scenario.h"

#include <assert.h>
#include <stdlib.h>

#define IMPORTER (SIM_HOSTS_MAX + SIM_CLIENTS_MAX - 1) /* a party that is no client of the workload */
#define CHUNK_BATCHES 4u

/* --- the metadata ------------------------------------------------------------------------------------------------- */

static const struct cluster_map *controller_map(const struct sim *sim)
{
	uint32_t controller = scenario_controller(sim);

	return controller == sim->options.hosts ? NULL : host_map(sim->hosts[controller]);
}

static void propose(struct sim *sim, struct buffer *command)
{
	uint32_t controller = scenario_controller(sim);

	assert(!command->failed);
	if (controller != sim->options.hosts)
		host_command(sim->hosts[controller], buffer_span(command));
	buffer_deinit(command);
}

static void propose_part(struct sim *sim, struct restore *restore)
{
	struct buffer command = BUFFER_NULL;

	restore_encode(restore, &command);
	propose(sim, &command);
}

static void propose_table(struct sim *sim, struct restore *restore)
{
	const struct restoring *restoring = sim->script;

	restore->part = RESTORE_TABLE;
	memcpy(restore->cluster_id, restoring->cluster_id, sizeof restore->cluster_id);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		const struct restoring_partition *of = &restoring->partitions[p];

		restore->rows[p] = (struct restore_row){of->cut, of->epoch, of->history};
	}
	propose_part(sim, restore);
}

static void propose_catalogue(struct sim *sim, struct restore *restore)
{
	const struct restoring *restoring = sim->script;

	restore->part = RESTORE_STREAM;
	for (uint32_t i = 0; i < restoring->stream_count; i++) {
		restore->stream = restoring->streams[i];
		propose_part(sim, restore);
	}
	restore->part = RESTORE_VIEW;
	for (uint32_t i = 0; i < restoring->view_count; i++) {
		restore->view = restoring->views[i];
		propose_part(sim, restore);
	}
}

static bool has_begun(struct sim *sim)
{
	const struct restoring *restoring = sim->script;
	const struct cluster_map *map = controller_map(sim);
	struct restore *restore = calloc(1, sizeof *restore);
	bool begun = map != NULL && map->restore_check == restoring->check;

	assert(restore != NULL);
	restore->check = restoring->check;
	if (begun)
		propose_catalogue(sim, restore);
	else
		propose_table(sim, restore);
	free(restore);
	return begun && map->stream_count == restoring->stream_count && map->view_count == restoring->view_count;
}

static bool has_ended(struct sim *sim)
{
	const struct restoring *restoring = sim->script;
	const struct restored restored = {.check = restoring->check,
					  .stream_count = restoring->stream_count,
					  .view_count = restoring->view_count};
	const struct cluster_map *map = controller_map(sim);
	struct buffer command = BUFFER_NULL;

	restored_encode(&restored, &command);
	propose(sim, &command);
	return map != NULL && !map->restoring;
}

/* --- importing ---------------------------------------------------------------------------------------------------- */

/* Up to CHUNK_BATCHES batches from `base` on. */
static struct span chunk_of(const struct restoring_partition *kept, uint64_t base)
{
	struct span left = buffer_span(&kept->log);
	struct span chunk = SPAN_NULL;
	uint32_t count = 0;

	while (left.size > 0 && count < CHUNK_BATCHES) {
		struct batch batch;

		assert(batch_decode_trusted(left, &batch) == 0);
		if (batch.base_offset == base)
			chunk.data = left.data;
		if (chunk.data != NULL) {
			chunk.size += batch.size;
			count++;
		}
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
	return chunk;
}

static void send(struct sim *sim, uint32_t host, uint16_t partition, enum message_kind kind, const struct buffer *body)
{
	const struct sender sender = {.incarnation = 1};
	const struct endpoint from = {IMPORTER, 1};
	const struct endpoint to = {(uint8_t)host, (uint8_t)(1 + partition % sim->options.shards)};
	struct buffer frame = BUFFER_NULL;

	message_begin(&frame);
	buffer_bytes(&frame, body->data, body->size);
	assert(message_end(&frame, &sender, kind, 0) == 0);
	network_send(sim, from, to, buffer_span(&frame));
	buffer_deinit(&frame);
}

static void send_import(struct sim *sim, uint32_t host, uint16_t partition, uint64_t base)
{
	const struct restoring *restoring = sim->script;
	const struct hello hello = {
		.version_min = CLUSTER_VERSION_FIRST, .version_max = CLUSTER_VERSION_HIGHEST, .role = HELLO_CLIENT};
	const struct import import = {.ticket = 1,
				      .partition = partition,
				      .base = base,
				      .batches = chunk_of(&restoring->partitions[partition], base)};
	struct buffer body = BUFFER_NULL;

	hello_encode(&hello, &body);
	send(sim, host, partition, MESSAGE_HELLO, &body);
	buffer_clear(&body);
	import_encode(&import, &body);
	send(sim, host, partition, MESSAGE_IMPORT, &body);
	buffer_deinit(&body);
}

/* The in-sync set has all of the partition; else its primary is sent what follows. */
static bool is_there(struct sim *sim, uint16_t partition)
{
	const struct restoring *restoring = sim->script;
	uint32_t primary = scenario_primary(sim, partition);
	struct partition_status status;
	struct shard *shard;

	if (primary == sim->options.hosts || !host_up(sim->hosts[primary]))
		return false;
	shard = host_shard(sim->hosts[primary], partition);
	if (shard == NULL || shard_status(shard, partition, &status) != 0)
		return false;
	if (status.end > restoring->partitions[partition].cut)
		sim_fail(sim, "restore: partition %u has more than was restored", partition);
	else if (status.end < restoring->partitions[partition].cut)
		send_import(sim, primary, partition, status.end);
	return status.commit == restoring->partitions[partition].cut;
}

static bool enough_are_there(struct sim *sim)
{
	const struct restoring *restoring = sim->script;
	uint32_t there = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		there += is_there(sim, p);
	return there >= restoring->wanted;
}

/* All replicas in sync have the state that the back-up says. One that wants a fill has no digest that says so yet
 * (state_digest): the log's end has been applied, a view that was defined or activated before it is still being filled
 * from the log's beginning. It is waited for, and compared then. */
static bool digests_agree(struct sim *sim)
{
	const struct restoring *restoring = sim->script;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct restoring_partition *kept = &restoring->partitions[p];
		const struct map_partition *row = scenario_row(sim, p);

		if (row == NULL || row->isr == 0) /* nobody to ask proves nothing */
			return false;
		for (uint32_t i = 0; i < sim->options.hosts; i++) {
			struct shard *shard = host_shard(sim->hosts[i], p);
			struct partition_status status = {0};
			uint64_t from;

			if (!node_set_has(row->isr, host_node_id(sim->hosts[i])))
				continue;
			if (shard == NULL || shard_status(shard, p, &status) != 0 || status.applied != kept->cut)
				return false;
			if (status.active)
				sim_fail(sim, "restore: partition %u is served before all of it is there", p);
			if (kept->digested && state_wants_fill(shard_state(shard, p), &from))
				return false;
			if (kept->digested && status.digest != kept->digest)
				sim_fail(sim, "restore: host %u has another digest of partition %u", i, p);
		}
	}
	return true;
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

/* A part of it arrives, then somebody dies: a primary, the controller, or whoever. */
static bool import_and_kill(struct sim *sim, struct restoring *restoring)
{
	for (uint32_t i = 1; i <= restoring->kills; i++) {
		uint32_t victim = i % 3 == 1   ? scenario_primary(sim, (uint16_t)random_between(&sim->random, 0, 270))
				  : i % 3 == 2 ? scenario_controller(sim)
					       : (uint32_t)random_between(&sim->random, 0, sim->options.hosts - 1);

		restoring->wanted = i * PARTITION_COUNT / (restoring->kills + 1);
		if (!scenario_step(sim, enough_are_there, "that a part is there"))
			return false;
		if (victim != sim->options.hosts && host_up(sim->hosts[victim]))
			faults_kill(sim, victim, random_chance(&sim->random, 500));
	}
	restoring->wanted = PARTITION_COUNT;
	return scenario_step(sim, enough_are_there, "that all is there");
}

bool restoring_run(struct sim *sim, struct restoring *restoring)
{
	sim->script = restoring;
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		network_cut(sim, i, IMPORTER, true);
	sim->network.loss_per_mille = 50;
	sim->network.double_per_mille = 50;
	if (!scenario_step(sim, has_begun, "the table and the catalogue") || !import_and_kill(sim, restoring) ||
	    !scenario_step(sim, digests_agree, "that digests agree") ||
	    !scenario_step(sim, has_ended, "the end of the restore"))
		return false;
	sim->network.loss_per_mille = 0;
	sim->network.double_per_mille = 0;
	return true;
}

/* --- afterwards --------------------------------------------------------------------------------------------------- */

/* Its primary serves an epoch of its own. */
static bool serves(struct sim *sim, uint16_t partition)
{
	uint32_t primary = scenario_primary(sim, partition);
	struct partition_status status;
	struct shard *shard = primary == sim->options.hosts ? NULL : host_shard(sim->hosts[primary], partition);

	return shard != NULL && shard_status(shard, partition, &status) == 0 && status.active;
}

static bool all_serve(struct sim *sim)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (!serves(sim, p))
			return false;
	return oracle_settled(sim->oracle);
}

static void check_partition(struct sim *sim, const struct restoring_partition *kept, uint16_t partition)
{
	struct span left = buffer_span(&kept->log);

	while (left.size > 0 && !sim->failed) {
		struct batch batch;

		assert(batch_decode_trusted(left, &batch) == 0);
		if (!oracle_holds(sim->oracle, partition, &batch))
			sim_fail(sim, "restore: partition %u offset %llu is not what was backed up", partition,
				 (unsigned long long)batch.base_offset);
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
}

void restoring_check(struct sim *sim, struct restoring *restoring)
{
	if (!scenario_step(sim, all_serve, "that all partitions serve, all replicas being equal"))
		return;
	for (uint16_t p = 0; p < PARTITION_COUNT && !sim->failed; p++)
		check_partition(sim, &restoring->partitions[p], p);
}

void restoring_deinit(struct restoring *restoring)
{
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		buffer_deinit(&restoring->partitions[p].log);
}

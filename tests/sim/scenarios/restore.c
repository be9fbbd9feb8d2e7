/* A back-up is restored into a cluster that was formed for it, while messages are lost and doubled, and primaries,
 * the controller and replicas die, with and without their power: every replica in sync ends with the log and the
 * digest that the back-up says, and then the cluster works like any other. The log that is restored is made here, of
 * control records of three epochs, so that what the oracle knows of clients' events holds as always. Who imports
 * hears nothing: it looks at the primaries, and sends again. */
#include "tests/sim/scenarios/scenario.h"

#include "partition/state.h"
#include "proto/control.h"
#include "proto/restore.h"
#include "raft/command.h"
#include "tests/sim/faults.h"
#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

#include <assert.h>
#include <stdlib.h>

#define IMPORTER (SIM_HOSTS_MAX + SIM_CLIENTS_MAX - 1) /* a party that is no client of the workload */
#define CHECK 0x0123456789abcdefull
#define STREAM "Restored"
#define EPOCHS 3u
#define BATCHES 6u /* of each epoch */
#define SETTINGS_MAX_BYTES 700u
#define CHUNK_BATCHES 4u
#define KILLS 5u

struct kept { /* of one partition */
	struct buffer log;
	uint64_t cut;
	uint64_t digest;
	uint64_t sequence;
};

struct script {
	struct kept partitions[PARTITION_COUNT];
	uint32_t wanted; /* partitions that are to be there */
};

/* --- the back-up -------------------------------------------------------------------------------------------------- */

static void write_batch(struct kept *kept, uint16_t partition, uint32_t epoch, const struct control *control,
			uint16_t records)
{
	struct buffer record = BUFFER_NULL;
	struct batch_builder builder;

	assert(control_encode(control, &record) == 0);
	batch_builder_init(&builder, partition);
	for (uint16_t i = 0; i < records; i++)
		assert(batch_builder_add_raw(&builder, buffer_span(&record)) == 0);
	assert(batch_builder_finish(&builder, 0, 0, 0, BATCH_CONTROL, false) == 0);
	kept->sequence = sequence_next(kept->sequence, SEQUENCE_EPOCH_UNIX_MS + 1000, partition, records);
	batch_stamp(builder.bytes.data, kept->cut, kept->sequence, epoch, 1700000000000000ull);
	kept->sequence += records - 1u;
	kept->cut += records;
	buffer_bytes(&kept->log, builder.bytes.data, builder.bytes.size);
	batch_builder_deinit(&builder);
	buffer_deinit(&record);
}

static void write_partition(struct sim *sim, struct kept *kept, uint16_t partition)
{
	static const uint8_t settings[SETTINGS_MAX_BYTES] = {0xc5}; /* opaque here */
	struct control start = {.kind = CONTROL_EPOCH_START, .node_id = 1};
	struct control stream = {.kind = CONTROL_STREAM_DEFINED, .id = 1, .name = span_of_text(STREAM)};

	for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
		write_batch(kept, partition, 1 + 2 * epoch, &start, 1);
		for (uint32_t i = 0; i < BATCHES; i++) {
			stream.definition = span_of(settings, random_between(&sim->random, 1, SETTINGS_MAX_BYTES));
			write_batch(kept, partition, 1 + 2 * epoch, &stream,
				    (uint16_t)random_between(&sim->random, 1, 5));
		}
	}
}

/* What the log makes of a state. */
static uint64_t digest_of(const struct kept *kept, uint16_t partition)
{
	struct state *state = state_new(partition);
	struct span left = buffer_span(&kept->log);
	uint64_t digest;

	while (left.size > 0) {
		struct batch batch;

		assert(batch_decode_stamped(left, &batch) == 0 && state_apply(state, &batch) == 0);
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
	digest = state_digest(state);
	state = state_free(state);
	return digest;
}

/* Up to CHUNK_BATCHES batches from `base` on. */
static struct span chunk_of(const struct kept *kept, uint64_t base)
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

static bool has_begun(struct sim *sim)
{
	const struct script *script = sim->script;
	const struct cluster_map *map = controller_map(sim);
	struct restore *restore = calloc(1, sizeof *restore);
	struct buffer command = BUFFER_NULL;
	bool begun = map != NULL && map->restore_check == CHECK;

	assert(restore != NULL);
	*restore = (struct restore){.part = RESTORE_TABLE, .check = CHECK, .cluster_id = {1}};
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		restore->rows[p] = (struct restore_row){.end = script->partitions[p].cut, .epoch = 2 * EPOCHS - 1};
	if (begun) {
		restore->part = RESTORE_STREAM;
		restore->stream = (struct restore_stream){1, span_of_text(STREAM), span_of("\x80", 1)};
	}
	restore_encode(restore, &command);
	free(restore);
	propose(sim, &command);
	return begun && map->stream_count == 1;
}

static bool has_ended(struct sim *sim)
{
	const struct restored restored = {.check = CHECK, .stream_count = 1};
	const struct cluster_map *map = controller_map(sim);
	struct buffer command = BUFFER_NULL;

	restored_encode(&restored, &command);
	propose(sim, &command);
	return map != NULL && !map->restoring;
}

/* --- importing ---------------------------------------------------------------------------------------------------- */

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
	const struct script *script = sim->script;
	const struct hello hello = {
		.version_min = PROTOCOL_VERSION, .version_max = PROTOCOL_VERSION, .role = HELLO_CLIENT};
	const struct import import = {.ticket = 1,
				      .partition = partition,
				      .base = base,
				      .batches = chunk_of(&script->partitions[partition], base)};
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
	const struct script *script = sim->script;
	uint32_t primary = scenario_primary(sim, partition);
	struct partition_status status;
	struct shard *shard;

	if (primary == sim->options.hosts || !host_up(sim->hosts[primary]))
		return false;
	shard = host_shard(sim->hosts[primary], partition);
	if (shard == NULL || shard_status(shard, partition, &status) != 0)
		return false;
	if (status.end > script->partitions[partition].cut)
		sim_fail(sim, "scenario: partition %u has more than was restored", partition);
	else if (status.end < script->partitions[partition].cut)
		send_import(sim, primary, partition, status.end);
	return status.commit == script->partitions[partition].cut;
}

static bool enough_are_there(struct sim *sim)
{
	const struct script *script = sim->script;
	uint32_t there = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		there += is_there(sim, p);
	return there >= script->wanted;
}

/* All replicas in sync have the state that the back-up says. */
static bool digests_agree(struct sim *sim)
{
	const struct script *script = sim->script;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct kept *kept = &script->partitions[p];
		const struct map_partition *row = scenario_row(sim, p);

		for (uint32_t i = 0; i < sim->options.hosts; i++) {
			struct shard *shard = host_shard(sim->hosts[i], p);
			struct partition_status status = {0};

			if (row == NULL || !node_set_has(row->isr, host_node_id(sim->hosts[i])))
				continue;
			if (shard == NULL || shard_status(shard, p, &status) != 0 || status.applied != kept->cut)
				return false;
			if (status.digest != kept->digest)
				sim_fail(sim, "scenario: host %u has another digest of partition %u", i, p);
			if (status.active)
				sim_fail(sim, "scenario: partition %u is served before all of it is there", p);
		}
	}
	return true;
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static void make_backup(struct sim *sim, struct script *script)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		write_partition(sim, &script->partitions[p], p);
		script->partitions[p].digest = digest_of(&script->partitions[p], p);
	}
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		network_cut(sim, i, IMPORTER, true);
}

/* A part of it arrives, then somebody dies: a primary, the controller, or whoever. */
static bool import_and_kill(struct sim *sim, struct script *script)
{
	for (uint32_t i = 1; i <= KILLS; i++) {
		uint32_t victim = i % 3 == 1   ? scenario_primary(sim, (uint16_t)random_between(&sim->random, 0, 270))
				  : i % 3 == 2 ? scenario_controller(sim)
					       : (uint32_t)random_between(&sim->random, 0, sim->options.hosts - 1);

		script->wanted = i * PARTITION_COUNT / (KILLS + 1);
		if (!scenario_step(sim, enough_are_there, "that a part is there"))
			return false;
		if (victim != sim->options.hosts && host_up(sim->hosts[victim]))
			faults_kill(sim, victim, random_chance(&sim->random, 500));
	}
	script->wanted = PARTITION_COUNT;
	return scenario_step(sim, enough_are_there, "that all is there");
}

static void restore(struct sim *sim, struct script *script)
{
	make_backup(sim, script);
	sim->network.loss_per_mille = 50;
	sim->network.double_per_mille = 50;
	if (!scenario_step(sim, has_begun, "the table and the catalogue") || !import_and_kill(sim, script) ||
	    !scenario_step(sim, digests_agree, "that digests agree") ||
	    !scenario_step(sim, has_ended, "the end of the restore"))
		return;
	sim->network.loss_per_mille = 0;
	sim->network.double_per_mille = 0;
	workload_start(sim->workload);
	scenario_wait(sim, 3 * SCENARIO_SECOND_US);
	scenario_wait_quiet(sim);
	if (!sim->failed && workload_acknowledged(sim->workload) == 0)
		sim_fail(sim, "scenario: nothing was published afterwards");
}

void scenario_restore(struct sim *sim)
{
	struct script *script = calloc(1, sizeof *script);

	assert(script != NULL);
	sim->script = script;
	restore(sim, script);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		buffer_deinit(&script->partitions[p].log);
	sim->script = NULL;
	free(script);
}

/* A back-up is restored (restoring.h): every replica in sync ends with the log and the digest that the back-up says,
 * and then the cluster works like any other. The log that is restored is made here, of control records of three
 * epochs, so that what the oracle knows of clients' events holds as always. */
#include "tests/sim/scenarios/scenario.h"

#include "partition/state.h"
#include "proto/control.h"
#include "tests/sim/restoring.h"
#include "tests/sim/workload.h"

#include <assert.h>
#include <stdlib.h>

#define CHECK 0x0123456789abcdefull
#define STREAM "Restored"
#define EPOCHS 3u
#define BATCHES 6u /* of each epoch */
#define SETTINGS_MAX_BYTES 700u
#define KILLS 5u

/* --- the back-up -------------------------------------------------------------------------------------------------- */

static void write_batch(struct restoring_partition *kept, uint16_t partition, uint32_t epoch,
			const struct control *control, uint16_t records, uint64_t *sequence)
{
	struct buffer record = BUFFER_NULL;
	struct batch_builder builder;

	assert(control_encode(control, &record) == 0);
	batch_builder_init(&builder, partition);
	for (uint16_t i = 0; i < records; i++)
		assert(batch_builder_add_raw(&builder, buffer_span(&record)) == 0);
	assert(batch_builder_finish(&builder, 0, 0, 0, BATCH_CONTROL, false) == 0);
	*sequence = sequence_next(*sequence, SEQUENCE_EPOCH_UNIX_MS + 1000, partition, records);
	batch_stamp(builder.bytes.data, kept->cut, *sequence, epoch, 1700000000000000ull);
	*sequence += records - 1u;
	kept->cut += records;
	buffer_bytes(&kept->log, builder.bytes.data, builder.bytes.size);
	batch_builder_deinit(&builder);
	buffer_deinit(&record);
}

static void write_partition(struct sim *sim, struct restoring_partition *kept, uint16_t partition)
{
	static const uint8_t settings[SETTINGS_MAX_BYTES] = {0xc5}; /* opaque here */
	uint64_t sequence = 0;
	struct control start = {.kind = CONTROL_EPOCH_START, .node_id = 1};
	struct control stream = {.kind = CONTROL_STREAM_DEFINED, .id = 1, .name = span_of_text(STREAM)};

	for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
		write_batch(kept, partition, 1 + 2 * epoch, &start, 1, &sequence);
		for (uint32_t i = 0; i < BATCHES; i++) {
			stream.definition = span_of(settings, random_between(&sim->random, 1, SETTINGS_MAX_BYTES));
			write_batch(kept, partition, 1 + 2 * epoch, &stream,
				    (uint16_t)random_between(&sim->random, 1, 5), &sequence);
		}
	}
}

/* What the log makes of a state. */
static uint64_t digest_of(const struct restoring_partition *kept, uint16_t partition)
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

/* --- the run ------------------------------------------------------------------------------------------------------ */

static void make_backup(struct sim *sim, struct restoring *restoring)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct restoring_partition *kept = &restoring->partitions[p];

		write_partition(sim, kept, p);
		kept->epoch = 2 * EPOCHS - 1;
		kept->digest = digest_of(kept, p);
		kept->digested = true;
	}
}

static void serve(struct sim *sim)
{
	workload_start(sim->workload);
	scenario_wait(sim, 3 * SCENARIO_SECOND_US);
	scenario_wait_quiet(sim);
	if (!sim->failed && workload_acknowledged(sim->workload) == 0)
		sim_fail(sim, "scenario: nothing was published afterwards");
}

void scenario_restore(struct sim *sim)
{
	const struct restore_stream stream = {1, span_of_text(STREAM), span_of("\x80", 1)};
	struct restoring *restoring = calloc(1, sizeof *restoring);

	assert(restoring != NULL);
	*restoring = (struct restoring){
		.cluster_id = {1}, .check = CHECK, .streams = &stream, .stream_count = 1, .kills = KILLS};
	make_backup(sim, restoring);
	if (restoring_run(sim, restoring))
		serve(sim);
	restoring_deinit(restoring);
	sim->script = NULL;
	free(restoring);
}

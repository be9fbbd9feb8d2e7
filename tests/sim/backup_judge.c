/* O15: what a back-up holds, by the oracle's own reckoning, and what becomes of it in another cluster (backup.h). */
#include "tests/sim/backup_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "tests/sim/oracle.h"
#include "tests/sim/restoring.h"
#include "tests/sim/workload.h"

#define RESTORED_SEED 0x726573746f7265ull
#define RESTORED_HOSTS 3u
#define RESTORED_KILLS 2u

struct judgement {
	struct backups *backups;
	const struct backup_manifest *manifest;
	const struct operation *operations;
	size_t operation_count;
	bool *found;
	uint16_t partition;
	uint64_t end; /* of what was read of it */
	struct buffer scratch;
};

/* --- before ------------------------------------------------------------------------------------------------------- */

void backup_note_before(struct backups *backups)
{
	struct backup_before *before = &backups->before;
	const struct operation *operations = workload_operations(backups->sim->workload, &before->count);

	free(before->acknowledged);
	before->acknowledged = calloc(before->count + 1, sizeof *before->acknowledged);
	assert(before->acknowledged != NULL);
	for (size_t i = 0; i < before->count; i++)
		before->acknowledged[i] = operations[i].outcome == OUTCOME_ACKNOWLEDGED;
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static void judge_event(struct judgement *judgement, const struct event *event, uint64_t offset)
{
	struct sim *sim = judgement->backups->sim;
	uint64_t number = event->id.size == WORKLOAD_ID_BYTES ? load_little(event->id.data, 8) : UINT64_MAX;
	const struct operation *operation = &judgement->operations[number];

	if (number >= judgement->operation_count) {
		sim_fail(sim, "O15: partition %u offset %llu: an event that nobody published", judgement->partition,
			 (unsigned long long)offset);
		return;
	}
	if (judgement->found[number] || operation->outcome == OUTCOME_REFUSED)
		sim_fail(sim, "O15: partition %u offset %llu: event %llu, which %s", judgement->partition,
			 (unsigned long long)offset, (unsigned long long)number,
			 judgement->found[number] ? "is there before" : "was refused");
	if (operation->outcome == OUTCOME_ACKNOWLEDGED &&
	    (operation->offset != offset || operation->partition != judgement->partition))
		sim_fail(sim, "O15: event %llu at partition %u offset %llu, acknowledged for %u:%llu",
			 (unsigned long long)number, judgement->partition, (unsigned long long)offset,
			 operation->partition, (unsigned long long)operation->offset);
	judgement->found[number] = true;
}

static void judge_batch(struct judgement *judgement, const struct batch *batch)
{
	struct sim *sim = judgement->backups->sim;
	struct span records;
	struct reader in;

	if (batch->partition != judgement->partition || batch->base_offset != judgement->end ||
	    !oracle_holds(sim->oracle, judgement->partition, batch)) {
		sim_fail(sim, "O15: partition %u offset %llu (where %llu was to come): no batch of the history",
			 judgement->partition, (unsigned long long)batch->base_offset,
			 (unsigned long long)judgement->end);
		return;
	}
	judgement->end = batch->base_offset + batch->record_count;
	if ((batch->flags & BATCH_CONTROL) != 0)
		return;
	if (batch_records(batch, &judgement->scratch, &records) != 0) {
		sim_fail(sim, "O15: partition %u: a batch does not open", judgement->partition);
		return;
	}
	in = reader_of(records);
	for (uint32_t i = 0; i < batch->record_count && !sim->failed; i++) {
		struct event event;

		if (event_decode(&in, &event) != 0)
			sim_fail(sim, "O15: partition %u: an event does not decode", judgement->partition);
		else
			judge_event(judgement, &event, batch->base_offset + i);
	}
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static void judge_file(struct judgement *judgement, const struct backup_entry *entry, struct span bytes)
{
	struct sim *sim = judgement->backups->sim;
	struct span left = SPAN_NULL;

	if (bytes.size != entry->size_bytes || entry->first != judgement->end)
		sim_fail(sim, "O15: partition %u: the file from %llu is not what the manifest says",
			 judgement->partition, (unsigned long long)entry->first);
	else
		left = backup_file_batches(bytes);
	while (left.size > 0 && !sim->failed) {
		struct batch batch;

		if (batch_decode_stamped(left, &batch) != 0) {
			sim_fail(sim, "O15: partition %u: a batch does not decode", judgement->partition);
			return;
		}
		judge_batch(judgement, &batch);
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
	if (judgement->end != entry->end)
		sim_fail(sim, "O15: partition %u: the file from %llu ends at %llu, the manifest says %llu",
			 judgement->partition, (unsigned long long)entry->first, (unsigned long long)judgement->end,
			 (unsigned long long)entry->end);
}

static bool was_corrupted(const struct sim *sim, uint16_t partition)
{
	return (sim->corrupted[partition / 64] >> partition % 64 & 1) != 0;
}

static void judge_partition(struct judgement *judgement, uint16_t partition)
{
	const struct backup_partition *of = &judgement->manifest->partitions[partition];
	const struct backup_files *files = &judgement->backups->files[partition];
	struct sim *sim = judgement->backups->sim;
	uint64_t digest = 0;

	judgement->partition = partition;
	judgement->end = 0;
	if (of->entry_count != files->count)
		sim_fail(sim, "O15: partition %u: %u files, the manifest names %u", partition, files->count,
			 of->entry_count);
	for (uint32_t i = 0; i < of->entry_count && !sim->failed; i++)
		judge_file(judgement, &of->entries[i], buffer_span(&files->list[i]));
	if (of->digested && !was_corrupted(sim, partition) &&
	    oracle_digest_at(sim->oracle, partition, judgement->end, &digest) && digest != of->digest)
		sim_fail(sim, "O15: partition %u: the digest at %llu is not what replicas had there", partition,
			 (unsigned long long)judgement->end);
}

void backup_judge(struct backups *backups, const struct backup_manifest *manifest)
{
	struct judgement judgement = {.backups = backups, .manifest = manifest, .scratch = BUFFER_NULL};
	struct sim *sim = backups->sim;

	judgement.operations = workload_operations(sim->workload, &judgement.operation_count);
	judgement.found = calloc(judgement.operation_count + 1, sizeof *judgement.found);
	assert(judgement.found != NULL);
	for (uint16_t p = 0; p < PARTITION_COUNT && !sim->failed; p++)
		judge_partition(&judgement, p);
	for (size_t i = 0; i < backups->before.count && !sim->failed; i++)
		if (backups->before.acknowledged[i] && !judgement.found[i])
			sim_fail(sim,
				 "O15: event %zu (%u:%llu) was acknowledged before the back-up began, and is not there",
				 i, judgement.operations[i].partition,
				 (unsigned long long)judgement.operations[i].offset);
	free(judgement.found);
	buffer_deinit(&judgement.scratch);
}

/* --- restored ----------------------------------------------------------------------------------------------------- */

static void fill_partition(const struct backups *backups, uint16_t partition, struct restoring_partition *to)
{
	const struct backup_partition *of = &backups->manifest.partitions[partition];

	for (uint32_t i = 0; i < of->entry_count; i++) {
		struct span batches = backup_file_batches(buffer_span(&backups->files[partition].list[i]));

		buffer_bytes(&to->log, batches.data, batches.size);
	}
	to->cut = backup_end(of);
	to->epoch = backup_epoch(of);
	to->history = of->history;
	to->digest = of->digest;
	to->digested = of->digested && !was_corrupted(backups->sim, partition);
}

static struct restoring *restoring_of(const struct backups *backups)
{
	const struct backup_manifest *manifest = &backups->manifest;
	struct restoring *restoring = calloc(1, sizeof *restoring);

	assert(restoring != NULL);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		fill_partition(backups, p, &restoring->partitions[p]);
	memcpy(restoring->cluster_id, manifest->cluster_id, sizeof restoring->cluster_id);
	restoring->check = manifest->check;
	restoring->streams = manifest->streams;
	restoring->stream_count = manifest->stream_count;
	restoring->views = manifest->views;
	restoring->view_count = manifest->view_count;
	restoring->kills = RESTORED_KILLS;
	return restoring;
}

void backup_restore(struct backups *backups)
{
	struct sim *sim = backups->sim;
	const struct sim_options options = {.seed = sim->options.seed ^ RESTORED_SEED,
					    .hosts = RESTORED_HOSTS,
					    .shards = sim->options.shards,
					    .clients = 1,
					    .trace = sim->options.trace,
					    .restore = true};
	struct restoring *restoring = restoring_of(backups);
	struct sim *other = calloc(1, sizeof *other);

	assert(other != NULL);
	sim_trace(sim, "backup   restored into another cluster from here on");
	if (sim_form(other, &options)) {
		oracle_restores(other->oracle, sim->oracle);
		if (restoring_run(other, restoring))
			restoring_check(other, restoring);
	}
	if (other->failed)
		sim_fail(sim, "O15: restored, after %.3f seconds of the other cluster: %s",
			 (double)other->clockwork.now_us / 1e6, other->why);
	else
		marks_reach(&sim->marks, MARK_RESTORED);
	sim->messages += other->messages;
	sim->trace_hash ^= other->trace_hash;
	sim_deinit(other);
	restoring_deinit(restoring);
	free(restoring);
	free(other);
}

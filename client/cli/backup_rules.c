/* What a back-up decides, without I/O: whose replica is read, where the cut lies (backup_cut.c), what goes into which
 * file, whether it follows what is there, when the catalogue is as new as the logs (backup_create.c), and whether a
 * cluster is restored (backup_restore.c). The simulator's back-ups decide by the same. */
#include "client/cli/backup_data.h"
#include "proto/control.h"

/* --- whose replica ------------------------------------------------------------------------------------------------ */

/* One of the set, another for each partition. */
static uint32_t pick(node_set set, uint16_t partition)
{
	uint32_t skip = set == 0 ? 0 : partition % node_set_count(set);

	for (; skip > 0; skip--)
		set &= set - 1;
	return set == 0 ? 0 : (uint32_t)__builtin_ctzll(set) + 1;
}

uint32_t backup_source(const struct cluster_map *map, uint16_t partition, uint32_t former)
{
	const struct map_partition *row = &map->partitions[partition];
	node_set in_sync = row->isr & cluster_map_live(map);
	node_set best = in_sync & ~node_bit(row->primary) & ~node_bit(former);

	if (best == 0)
		best = in_sync & ~node_bit(former);
	return pick(best == 0 ? in_sync : best, partition);
}

/* --- the cut ------------------------------------------------------------------------------------------------------ */

uint32_t backup_cut_source(const struct cluster_map *map, uint16_t partition, uint32_t preferred, node_set filling)
{
	const struct map_partition *row = &map->partitions[partition];
	node_set in_sync = row->isr & cluster_map_live(map);
	node_set filled = in_sync & ~filling;

	if (node_set_has(in_sync, preferred))
		return preferred;
	if (filled != 0)
		in_sync = filled;
	return pick((in_sync & ~node_bit(row->primary)) == 0 ? in_sync : in_sync & ~node_bit(row->primary), partition);
}

void backup_filling_note(node_set filling[PARTITION_COUNT], uint32_t node_id, int error,
			 const struct progress_done *progress)
{
	struct reader in = reader_of(progress->items);
	struct progress_item item;

	for (uint32_t p = 0; error != 0 && p < PARTITION_COUNT; p++)
		filling[p] |= node_bit(node_id);
	for (uint32_t i = 0; error == 0 && i < progress->count; i++)
		if (progress_item_decode(&in, &item) == 0 && item.status == PROGRESS_FILLING)
			filling[item.partition] |= node_bit(node_id);
}

bool backup_point_take(struct backup_point *point, const struct cluster_map *map, uint32_t source,
		       const struct partition_status *status, bool filling, bool patient)
{
	filling = filling || (status != NULL && status->unsettled != 0);
	if (status == NULL || (status->role != ROLE_REPLICA && status->role != ROLE_PRIMARY) ||
	    status->epoch != map->partitions[status->partition].epoch || status->applied < point->acknowledged ||
	    (filling && patient))
		return false;
	point->end = status->applied;
	point->node_id = source;
	point->epoch = status->epoch;
	point->digested = !filling;
	point->digest = filling ? 0 : status->digest;
	return true;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

struct backup_place backup_next_place(const struct backup_manifest *manifest, uint16_t partition)
{
	const struct backup_partition *of = &manifest->partitions[partition];
	struct backup_place place = {
		.partition = partition,
		.history = of->history,
		.first = backup_end(of),
		.epoch_before = backup_epoch(of),
	};

	memcpy(place.cluster_id, manifest->cluster_id, sizeof place.cluster_id);
	return place;
}

struct backup_entry backup_entry_of(uint64_t first, const struct backup_facts *facts)
{
	return (struct backup_entry){
		.first = first,
		.end = facts->end,
		.epoch = facts->epoch,
		.last_sequence = facts->last_sequence,
		.size_bytes = facts->size_bytes,
		.checksum = facts->checksum,
	};
}

void backup_writer_next(struct backup_writer *writer, const struct backup_manifest *manifest, uint16_t partition)
{
	struct backup_place place = backup_next_place(manifest, partition);

	backup_writer_begin(writer, &place);
	writer->facts.last_sequence = backup_last_sequence(&manifest->partitions[partition]);
}

/* --- what the logs define ----------------------------------------------------------------------------------------- */

void backup_defined_begin(struct backup_defined *defined, const struct backup_manifest *former)
{
	*defined = (struct backup_defined){.stream_seen = former->stream_count};
	for (uint32_t i = 0; i < former->view_count; i++)
		if (former->views[i].id <= VIEWS_MAX)
			defined->view_seen[former->views[i].id] = former->views[i].version;
}

int backup_defined_note(struct backup_defined *defined, const struct batch *batch, struct buffer *scratch)
{
	struct span records;
	struct reader in;
	int rv = (batch->flags & BATCH_CONTROL) == 0 ? 1 : batch_records(batch, scratch, &records);

	if (rv != 0)
		return rv == 1 ? 0 : rv;
	in = reader_of(records);
	for (uint32_t i = 0; i < batch->record_count; i++) {
		struct control control;

		if (control_decode(&in, &control) != 0)
			return ERROR_VERSION;
		if (control.kind == CONTROL_STREAM_DEFINED && control.id > defined->stream_seen)
			defined->stream_seen = control.id;
		if (control.kind == CONTROL_VIEW_DEFINED && control.id <= VIEWS_MAX &&
		    control.version > defined->view_seen[control.id])
			defined->view_seen[control.id] = control.version;
	}
	return 0;
}

int backup_defined_note_file(struct backup_defined *defined, struct span bytes, struct buffer *scratch)
{
	struct span left = backup_file_batches(bytes);
	int rv = 0;

	while (rv == 0 && left.size > 0) {
		struct batch batch;

		rv = batch_decode_trusted(left, &batch);
		if (rv == 0)
			rv = backup_defined_note(defined, &batch, scratch);
		if (rv == 0)
			left = span_of(left.data + batch.size, left.size - batch.size);
	}
	return rv;
}

bool backup_defined_covered(const struct backup_defined *defined, const struct cluster_map *map)
{
	bool covered = defined->stream_seen <= map->stream_count;

	for (uint32_t id = 1; id <= VIEWS_MAX && covered; id++) {
		const struct map_view *view = cluster_map_view(map, id);

		covered = defined->view_seen[id] == 0 || (view != NULL && view->version >= defined->view_seen[id]);
	}
	return covered;
}

/* --- batches ------------------------------------------------------------------------------------------------------ */

enum backup_seam backup_seam_begin(const struct backup_writer *writer)
{
	return writer->facts.end == 0 ? BACKUP_SEAM_SEEN : BACKUP_SEAM_UNSEEN;
}

uint64_t backup_ask_from(const struct backup_writer *writer, enum backup_seam seam)
{
	return seam == BACKUP_SEAM_UNSEEN ? writer->facts.end - 1 : writer->facts.end;
}

/* Of one cluster: an epoch that comes again where all disks were put back has another time in its sequences. */
static bool is_last(const struct backup_facts *stored, const struct batch *batch)
{
	return batch_end_offset(batch) == stored->end && batch->epoch == stored->epoch &&
	       batch->base_sequence + batch->record_count - 1 == stored->last_sequence;
}

int backup_follow(const struct backup_writer *writer, enum backup_seam *seam, struct span *batches)
{
	struct batch batch;
	int rv = batches->size == 0 ? 0 : batch_decode_stamped(*batches, &batch);

	if (rv != 0 || batches->size == 0)
		return rv;
	if (*seam == BACKUP_SEAM_UNSEEN) {
		if (!is_last(&writer->facts, &batch))
			return ERROR_HISTORY;
		*batches = span_of(batches->data + batch.size, batches->size - batch.size);
		*seam = batches->size == 0 ? BACKUP_SEAM_SEEN : BACKUP_SEAM_EPOCH;
	} else if (*seam == BACKUP_SEAM_EPOCH && batch.epoch != writer->facts.epoch) {
		*batches = SPAN_NULL;
		*seam = BACKUP_SEAM_UNSEEN;
	} else {
		*seam = BACKUP_SEAM_EPOCH;
	}
	return 0;
}

bool backup_cut_holds(const struct backup_writer *writer, const struct backup_point *point)
{
	return writer->facts.epoch <= point->epoch;
}

int backup_take(struct backup_writer *writer, struct span *left, uint64_t cut, size_t full_bytes,
		struct backup_defined *defined, struct buffer *scratch)
{
	while (left->size > 0 && writer->facts.end < cut) {
		struct batch batch;
		int rv = batch_decode_stamped(*left, &batch);

		if (rv == 0)
			rv = backup_writer_add(writer, &batch);
		if (rv == 0)
			rv = backup_defined_note(defined, &batch, scratch);
		if (rv != 0)
			return rv;
		*left = span_of(left->data + batch.size, left->size - batch.size);
		if (writer->bytes.size >= full_bytes || writer->facts.end == cut)
			return 1;
	}
	return writer->facts.end > cut ? ERROR_MALFORMED : 0;
}

/* --- restored ----------------------------------------------------------------------------------------------------- */

void backup_judge_partition(struct backup_verdict *verdict, node_set in_sync)
{
	verdict->nobody += in_sync == 0;
}

void backup_judge_replica(struct backup_verdict *verdict, const struct backup_manifest *manifest, uint16_t partition,
			  const struct partition_status *status, bool filling)
{
	const struct backup_partition *of = &manifest->partitions[partition];

	if (status == NULL || status->applied != backup_end(of)) {
		verdict->behind++;
	} else if (!of->digested) {
		verdict->unknown++;
	} else if (status->digest == of->digest) {
		verdict->equal++;
	} else {
		if (verdict->different++ == 0)
			verdict->first_different = partition;
		verdict->filling += filling || status->unsettled != 0;
	}
}

bool backup_is_restored(const struct backup_verdict *verdict)
{
	return verdict->nobody == 0 && verdict->behind == 0 && verdict->different == 0;
}

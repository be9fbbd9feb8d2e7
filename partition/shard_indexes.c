/* Sealed segments at start: which files count, and what their indexes say of the logs (design.md 7, sealed.h).
 *
 *   for each segment, ascending, its highest generation first: footer -> index -> logs; lower generations are stale
 *
 * 1. Nothing but footers and indexes is read: the start costs what was written since, not the history.
 * 2. A file whose footer or index is no good counts as quarantined (rule 6.6): it is set aside, and the former
 *    generation stands in for it if it is still there. Else the logs that it held end at the gap.
 * 3. A file of a later format or of another journal fails the start: nothing is guessed, nothing changed. */
#include <assert.h>
#include <stdlib.h>

#include "partition/shard_internal.h"

struct sealed_start {
	struct disk_segment *files; /* the sealed ones, by segment, highest generation first; then the journal's own */
	uint32_t sealed_count;
	uint32_t own_count;
	uint32_t next;
	uint32_t taken; /* segment taken last */
	bool has_footer;
	struct sealed_footer footer; /* of files[next] */
};

struct sealed_start *sealed_start_free(struct sealed_start *start)
{
	if (start != NULL)
		free(start->files);
	free(start);
	return NULL;
}

void sealed_start_progress(const struct shard *shard, uint64_t *done, uint64_t *total)
{
	*done = shard->start == NULL ? 0 : shard->start->next;
	*total = shard->start == NULL ? 0 : shard->start->sealed_count;
}

static int by_file(const void *a, const void *b)
{
	const struct disk_segment *left = a;
	const struct disk_segment *right = b;

	if ((left->generation == 0) != (right->generation == 0))
		return left->generation == 0 ? 1 : -1;
	if (left->segment != right->segment)
		return left->segment < right->segment ? -1 : 1;
	return (left->generation < right->generation) - (left->generation > right->generation);
}

int sealed_start_begin(struct shard *shard, const struct disk_segment *segments, uint32_t count)
{
	struct sealed_start *start = calloc(1, sizeof *start);

	assert(shard->start == NULL);
	shard->start = start;
	if (start == NULL)
		return -ERROR_MEMORY;
	start->files = calloc((size_t)count + 1, sizeof *start->files);
	if (start->files == NULL)
		return -ERROR_MEMORY;
	if (count > 0)
		memcpy(start->files, segments, count * sizeof *segments);
	qsort(start->files, count, sizeof *start->files, by_file);
	while (start->sealed_count < count && start->files[start->sealed_count].generation > 0)
		start->sealed_count++;
	start->own_count = count - start->sealed_count;
	return 0;
}

const struct disk_segment *sealed_start_own(const struct shard *shard, uint32_t *count)
{
	*count = shard->start->own_count;
	return shard->start->files + shard->start->sealed_count;
}

/* --- extents ------------------------------------------------------------------------------------------------------ */

int shard_extent_of(const struct sealed_entry *entry, uint32_t segment, uint32_t generation, struct log_extent *extent)
{
	*extent = (struct log_extent){
		.from = entry->from,
		.to = entry->to,
		.segment = segment,
		.generation = generation,
		.place = (uint32_t)entry->place,
		.size = (uint32_t)entry->size,
		.keys_place = entry->keys_place,
		.keys_checksum = entry->keys_checksum,
		.keys = entry->keys,
		.occurrences = entry->occurrences,
		.mark_count = entry->mark_count,
	};
	assert(entry->place + entry->size <= UINT32_MAX);
	if (entry->mark_count == 0)
		return 0;
	extent->marks = calloc(entry->mark_count, sizeof *extent->marks);
	if (extent->marks == NULL)
		return ERROR_MEMORY;
	for (uint32_t i = 0; i < entry->mark_count; i++) {
		uint64_t offset;
		uint64_t place;

		sealed_mark(entry, i, &offset, &place);
		extent->marks[i] =
			(struct log_mark){(uint32_t)(offset - entry->from), (uint32_t)(place - entry->place)};
	}
	return 0;
}

static int extend(struct shard *shard, struct log *log, const struct sealed_entry *entry,
		  const struct sealed_footer *footer, struct log_epoch *epochs)
{
	struct log_extent extent;
	bool added = false;
	int rv;

	for (uint32_t i = 0; i < entry->epoch_count; i++)
		sealed_epoch(entry, i, &epochs[i].epoch, &epochs[i].start);
	if (shard_extent_of(entry, footer->segment, footer->generation, &extent) != 0)
		return -ERROR_MEMORY;
	rv = log_extend(log, &extent, epochs, entry->epoch_count, entry->last_sequence, shard->journal, &added);
	if (added)
		journal_keep(shard->journal, footer->segment, entry->size);
	else
		free(extent.marks);
	return rv == 0 ? 0 : -rv;
}

static int take_entry(struct shard *shard, const struct sealed_entry *entry, const struct sealed_footer *footer)
{
	struct partition *partition = shard_partition(shard, entry->partition);
	struct log_epoch *epochs;
	int rv;

	if (partition == NULL)
		return 0;
	if (entry->left)
		log_clear(&partition->log, shard->journal);
	epochs = calloc((size_t)entry->epoch_count + 1, sizeof *epochs);
	if (epochs == NULL)
		return -ERROR_MEMORY;
	rv = extend(shard, &partition->log, entry, footer, epochs);
	free(epochs);
	return rv;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static void next_file(struct sealed_start *start)
{
	start->next++;
	start->has_footer = false;
}

static int set_aside(struct shard *shard)
{
	const struct disk_segment *file = &shard->start->files[shard->start->next];

	shard->rotten++;
	shard_tell(shard, (struct shard_event){.kind = SHARD_EVENT_SEALED_DAMAGED,
					       .segment = file->segment,
					       .generation = file->generation});
	next_file(shard->start);
	return journal_add_stale(shard->journal, file->segment, file->generation, true) != 0 ? -ERROR_MEMORY : 0;
}

static int take_index(struct shard *shard, struct span index)
{
	struct sealed_start *start = shard->start;
	struct reader reader = reader_of(index);
	struct sealed_entry entry;
	uint64_t total = 0;
	int rv = 0;

	while (sealed_entry_next(&reader, &entry))
		total += entry.size;
	if (journal_add_sealed(shard->journal, start->footer.segment, start->footer.generation, total) != 0)
		return -ERROR_MEMORY;
	reader = reader_of(index);
	while (rv == 0 && sealed_entry_next(&reader, &entry))
		rv = take_entry(shard, &entry, &start->footer);
	start->taken = start->footer.segment;
	next_file(start);
	return rv;
}

static int take_footer(struct shard *shard, struct span bytes)
{
	struct sealed_start *start = shard->start;
	const struct disk_segment *file = &start->files[start->next];
	int rv = sealed_footer_decode(bytes, file->size_bytes, &start->footer);

	if (rv == ERROR_VERSION)
		return -rv;
	if (rv != 0 || start->footer.segment != file->segment || start->footer.generation != file->generation)
		return set_aside(shard);
	if (start->footer.journal_id != shard->config.journal_id)
		return -ERROR_FOREIGN;
	start->has_footer = true;
	return 0;
}

int sealed_start_feed(struct shard *shard, struct span bytes)
{
	struct sealed_start *start = shard->start;
	int rv;

	assert(start->next < start->sealed_count);
	if (!start->has_footer)
		return take_footer(shard, bytes);
	rv = sealed_index_check(bytes, &start->footer);
	return rv != 0 ? set_aside(shard) : take_index(shard, bytes);
}

int sealed_start_next(struct shard *shard, struct disk_request *read)
{
	struct sealed_start *start = shard->start;

	*read = (struct disk_request){.verb = DISK_READ};
	while (start->next < start->sealed_count) {
		const struct disk_segment *file = &start->files[start->next];

		read->segment = file->segment;
		read->generation = file->generation;
		if (file->segment == start->taken) {
			if (journal_add_stale(shard->journal, file->segment, file->generation, false) != 0)
				return -ERROR_MEMORY;
			next_file(start);
			continue;
		}
		if (file->size_bytes < SEALED_HEADER_BYTES + SEALED_FOOTER_BYTES || file->size_bytes > UINT32_MAX) {
			if (set_aside(shard) != 0)
				return -ERROR_MEMORY;
			continue;
		}
		read->place = start->has_footer ? start->footer.index_place : file->size_bytes - SEALED_FOOTER_BYTES;
		read->length = start->has_footer ? (uint32_t)start->footer.index_size : SEALED_FOOTER_BYTES;
		if (read->length > 0)
			return 1;
		if (sealed_start_feed(shard, SPAN_NULL) != 0) /* an index without an entry */
			return -ERROR_MEMORY;
	}
	return 0;
}

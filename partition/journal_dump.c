/* Sealed segments verified one by one, then recovery with a watch: turns what they see into lines. */

#include "partition/journal_dump.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/journal_internal.h"
#include "partition/sealed_internal.h"
#include "partition/sealed_verify.h"
#include "proto/error.h"

struct journal_dump {
	struct journal *journal;
	struct recovery_watch watch;
	uint64_t journal_id;
	struct disk_segment *segments; /* sealed ones first, by number and generation, then the journal's own */
	uint32_t count;
	uint32_t sealed_count;
	uint32_t sealed_next; /* the one being read */
	journal_dump_print *print;
	void *data;
};

static void print_line(const struct journal_dump *dump, const struct journal_dump_line *line)
{
	dump->print(dump->data, line);
}

static void see_segments(void *data, const struct recovery_segment *segments, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		print_line(data, &(struct journal_dump_line){.kind = DUMP_SEGMENT,
							     .segment = segments[i].segment,
							     .counts = segments[i].counts,
							     .place = segments[i].counts ? segments[i].end : 0,
							     .number = segments[i].first_number,
							     .size_bytes = segments[i].size});
	}
}

static void see_block(void *data, const struct journal_block *block)
{
	print_line(data, &(struct journal_dump_line){.kind = DUMP_BLOCK,
						     .segment = block->segment,
						     .place = block->place,
						     .number = block->number,
						     .size_bytes = block->size,
						     .items = block->items,
						     .run = block->run,
						     .synced = block->synced,
						     .checksum = block->checksum});
}

static void fill_item(struct journal_dump_line *line, const struct journal_item_view *item)
{
	struct reader reader = reader_of(item->content);

	switch (item->kind) {
	case JOURNAL_BATCH:
		line->kind = DUMP_BATCH;
		(void)batch_decode_trusted(item->content, &line->batch); /* has been checked with its block */
		break;
	case JOURNAL_TRUNCATE:
		line->kind = DUMP_TRUNCATE;
		line->epoch = reader_u32(&reader);
		line->offset = reader_u64(&reader);
		break;
	case JOURNAL_SETTLED:
		line->kind = DUMP_SETTLED;
		line->items = reader_u32(&reader);
		line->offset = reader_u64(&reader);
		break;
	case JOURNAL_LEFT: line->kind = DUMP_LEFT; break;
	case JOURNAL_COMMIT:
		line->kind = DUMP_COMMIT;
		line->offset = reader_u64(&reader);
		break;
	case JOURNAL_SEGMENT_START:
		line->kind = DUMP_START;
		line->before = reader_u32(&reader);
		line->place = reader_u64(&reader);
		line->offset = reader_u64(&reader);
		break;
	}
}

static void see_item(void *data, const struct journal_block *block, const struct journal_item_view *item)
{
	struct journal_dump_line line = {.partition = item->partition,
					 .segment = block->segment,
					 .place = block->place + item->at,
					 .number = block->number,
					 .size_bytes = item->content.size};

	fill_item(&line, item);
	print_line(data, &line);
}

static void see_corrupt(void *data, uint32_t segment, uint64_t place, uint64_t first_missing, uint64_t missing)
{
	print_line(data, &(struct journal_dump_line){.kind = DUMP_CORRUPT,
						     .segment = segment,
						     .place = place,
						     .number = first_missing,
						     .items = missing});
}

static void see_tail(void *data, uint32_t segment, uint64_t place, uint64_t bytes)
{
	print_line(data, &(struct journal_dump_line){
				 .kind = DUMP_TAIL, .segment = segment, .place = place, .size_bytes = bytes});
}

/* --- sealed segments ---------------------------------------------------------------------------------------------- */

static const struct disk_segment *sealed_at(const struct journal_dump *dump)
{
	return &dump->segments[dump->sealed_next];
}

static void see_entry(void *data, const struct sealed_entry *entry)
{
	const struct journal_dump *dump = data;

	print_line(dump, &(struct journal_dump_line){.kind = DUMP_PARTITION,
						     .segment = sealed_at(dump)->segment,
						     .generation = sealed_at(dump)->generation,
						     .partition = entry->partition,
						     .left = entry->left,
						     .place = entry->place,
						     .size_bytes = entry->size,
						     .items = entry->batches,
						     .offset = entry->from,
						     .end = entry->to,
						     .keys = entry->keys});
}

static void see_sealed_batch(void *data, const struct batch *batch, uint64_t place)
{
	const struct journal_dump *dump = data;

	print_line(dump, &(struct journal_dump_line){.kind = DUMP_BATCH,
						     .segment = sealed_at(dump)->segment,
						     .generation = sealed_at(dump)->generation,
						     .partition = batch->partition,
						     .place = place,
						     .size_bytes = batch->size,
						     .batch = *batch});
}

static void see_fault(void *data, uint16_t partition, uint64_t place, const char *what)
{
	const struct journal_dump *dump = data;

	print_line(dump, &(struct journal_dump_line){.kind = DUMP_FAULT,
						     .segment = sealed_at(dump)->segment,
						     .generation = sealed_at(dump)->generation,
						     .partition = partition,
						     .place = place,
						     .what = what});
}

/* A segment has been rewritten when a later generation of it stands behind. */
static bool is_latest(const struct journal_dump *dump, uint32_t i)
{
	return i + 1 == dump->sealed_count || dump->segments[i + 1].segment != dump->segments[i].segment;
}

/* Tells of sealed segments up to the next one that is to be read. False: there is none. */
static bool next_sealed(struct journal_dump *dump, struct disk_request *read)
{
	for (; dump->sealed_next < dump->sealed_count; dump->sealed_next++) {
		const struct disk_segment *segment = sealed_at(dump);
		bool counts = is_latest(dump, dump->sealed_next);

		print_line(dump, &(struct journal_dump_line){.kind = DUMP_SEALED,
							     .segment = segment->segment,
							     .generation = segment->generation,
							     .counts = counts,
							     .size_bytes = segment->size_bytes});
		if (counts && segment->size_bytes > 0 && segment->size_bytes <= UINT32_MAX) {
			*read = (struct disk_request){.verb = DISK_READ,
						      .segment = segment->segment,
						      .generation = segment->generation,
						      .length = (uint32_t)segment->size_bytes};
			return true;
		}
		if (counts)
			see_fault(dump, 0, 0, "size");
	}
	return false;
}

static int feed_sealed(struct journal_dump *dump, struct span bytes)
{
	const struct sealed_watch watch = {dump, see_entry, see_sealed_batch, see_fault};
	int rv = sealed_verify(bytes, dump->journal_id, sealed_at(dump)->segment, sealed_at(dump)->generation, &watch);

	dump->sealed_next++;
	return -rv;
}

static int by_number(const void *a, const void *b)
{
	const struct disk_segment *first = a;
	const struct disk_segment *second = b;

	if ((first->generation == 0) != (second->generation == 0))
		return first->generation == 0 ? 1 : -1;
	if (first->segment != second->segment)
		return first->segment < second->segment ? -1 : 1;
	return first->generation < second->generation ? -1 : first->generation > second->generation;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

struct journal_dump *journal_dump_new(uint64_t journal_id, journal_dump_print *print, void *data)
{
	struct journal_config config = {.journal_id = journal_id, .segment_bytes = JOURNAL_SEGMENT_BYTES_MIN};
	struct journal_dump *dump = calloc(1, sizeof *dump);

	assert(print != NULL);
	if (dump == NULL)
		return NULL;
	dump->journal_id = journal_id;
	dump->print = print;
	dump->data = data;
	dump->watch = (struct recovery_watch){dump, see_segments, see_block, see_item, see_corrupt, see_tail};
	dump->journal = journal_new(&config);
	if (dump->journal == NULL)
		return journal_dump_free(dump);
	dump->journal->recovery.watch = &dump->watch;
	return dump;
}

struct journal_dump *journal_dump_free(struct journal_dump *dump)
{
	if (dump == NULL)
		return NULL;
	journal_free(dump->journal);
	free(dump->segments);
	free(dump);
	return NULL;
}

/* Segments of the journal not above the greatest sealed one are there still, and do not count. */
static int recover_begin(struct journal_dump *dump)
{
	const struct journal_visitor none = {0};
	uint32_t greatest = dump->sealed_count > 0 ? dump->segments[dump->sealed_count - 1].segment : 0;
	uint32_t first = dump->sealed_count;

	for (; first < dump->count && dump->segments[first].segment <= greatest; first++) {
		print_line(dump, &(struct journal_dump_line){.kind = DUMP_SEGMENT,
							     .segment = dump->segments[first].segment,
							     .size_bytes = dump->segments[first].size_bytes});
	}
	return journal_recover_begin(dump->journal, dump->segments + first, dump->count - first, &none);
}

int journal_dump_begin(struct journal_dump *dump, const struct disk_segment *segments, uint32_t count)
{
	assert(dump->segments == NULL);
	dump->segments = calloc((size_t)count + 1, sizeof *segments);
	if (dump->segments == NULL)
		return -ERROR_MEMORY;
	if (count > 0)
		memcpy(dump->segments, segments, count * sizeof *segments);
	qsort(dump->segments, count, sizeof *segments, by_number);
	dump->count = count;
	while (dump->sealed_count < count && dump->segments[dump->sealed_count].generation != 0)
		dump->sealed_count++;
	return recover_begin(dump);
}

bool journal_dump_next(struct journal_dump *dump, struct disk_request *read)
{
	return next_sealed(dump, read) || journal_recover_next(dump->journal, read);
}

int journal_dump_feed(struct journal_dump *dump, struct span bytes)
{
	return dump->sealed_next < dump->sealed_count ? feed_sealed(dump, bytes)
						      : journal_recover_feed(dump->journal, bytes);
}

const struct journal_damage *journal_dump_damage(const struct journal_dump *dump)
{
	return journal_damage(dump->journal);
}

bool journal_dump_identify(struct span bytes, uint64_t *journal_id)
{
	struct journal_block block;

	if (bytes.size < JOURNAL_BLOCK_HEADER_BYTES)
		return false;
	journal_block_load(bytes.data, &block);
	if (block.magic != JOURNAL_MAGIC && block.magic != SEALED_MAGIC)
		return false;
	*journal_id = block.journal_id; /* a sealed segment's stands at the same place */
	return true;
}

const char *journal_dump_kind_name(enum journal_dump_kind kind)
{
	switch (kind) {
	case DUMP_SEALED: return "sealed";
	case DUMP_PARTITION: return "partition";
	case DUMP_FAULT: return "fault";
	case DUMP_SEGMENT: return "segment";
	case DUMP_BLOCK: return "block";
	case DUMP_BATCH: return "batch";
	case DUMP_TRUNCATE: return "truncate";
	case DUMP_LEFT: return "left";
	case DUMP_COMMIT: return "commit";
	case DUMP_SETTLED: return "settled";
	case DUMP_START: return "segment start";
	case DUMP_CORRUPT: return "corrupt";
	case DUMP_TAIL: return "tail";
	}
	return "unknown";
}

/* Recovery with a watch: turns what it sees into lines. */

#include "partition/journal_dump.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/journal_internal.h"

struct journal_dump {
	struct journal *journal;
	struct recovery_watch watch;
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

struct journal_dump *journal_dump_new(uint64_t journal_id, journal_dump_print *print, void *data)
{
	struct journal_config config = {.journal_id = journal_id, .segment_bytes = JOURNAL_SEGMENT_BYTES_MIN};
	struct journal_dump *dump = calloc(1, sizeof *dump);

	assert(print != NULL);
	if (dump == NULL)
		return NULL;
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
	free(dump);
	return NULL;
}

int journal_dump_begin(struct journal_dump *dump, const struct disk_segment *segments, uint32_t count)
{
	const struct journal_visitor none = {0};

	return journal_recover_begin(dump->journal, segments, count, &none);
}

bool journal_dump_next(struct journal_dump *dump, struct disk_request *read)
{
	return journal_recover_next(dump->journal, read);
}

int journal_dump_feed(struct journal_dump *dump, struct span bytes)
{
	return journal_recover_feed(dump->journal, bytes);
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
	if (block.magic != JOURNAL_MAGIC)
		return false;
	*journal_id = block.journal_id;
	return true;
}

const char *journal_dump_kind_name(enum journal_dump_kind kind)
{
	switch (kind) {
	case DUMP_SEGMENT: return "segment";
	case DUMP_BLOCK: return "block";
	case DUMP_BATCH: return "batch";
	case DUMP_TRUNCATE: return "truncate";
	case DUMP_LEFT: return "left";
	case DUMP_COMMIT: return "commit";
	case DUMP_START: return "segment start";
	case DUMP_CORRUPT: return "corrupt";
	case DUMP_TAIL: return "tail";
	}
	return "unknown";
}

/* Appending and writing: the open block, the block in flight, the roll to the next segment. The format, the items and
 * the invariants stand in journal.h; where the bytes lie, in journal_ring.c.
 *
 * The open block's place is fixed when its first item is appended, since an append answers with the batch's place: so
 * the block in flight is closed by then, and its end known. A block that does not fit the rest of its segment cannot
 * move any more; the append says "no room" and comes again when the block has been closed. */

#include "partition/journal_internal.h"

#include <assert.h>
#include <stdlib.h>

static_assert(JOURNAL_BLOCK_HEADER_BYTES == JOURNAL_CHECKED_BYTES + sizeof(uint64_t), "the checksum ends the header");

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

struct journal *journal_new(const struct journal_config *config)
{
	struct journal *journal;

	assert(config->segment_bytes % DISK_BLOCK_BYTES == 0);
	assert(config->segment_bytes >= JOURNAL_SEGMENT_BYTES_MIN);
	journal = calloc(1, sizeof *journal);
	if (journal == NULL)
		return NULL;
	journal->config = *config;
	journal->phase = JOURNAL_READY;
	journal->block_max = smaller(JOURNAL_BLOCK_MAX_BYTES, config->segment_bytes);
	journal->segment = 1;
	journal->next_number = 1;
	journal->first_of_run = 1;
	journal->run = 1;
	if (journal_ring_init(&journal->ring, config->cache_bytes, journal->block_max, config->segment_bytes) != 0)
		return journal_free(journal);
	return journal;
}

struct journal *journal_free(struct journal *journal)
{
	if (journal == NULL)
		return NULL;
	journal_ring_deinit(&journal->ring);
	journal_segments_deinit(&journal->segments);
	free(journal->recovery.segments);
	free(journal->recovery.window.memory);
	free(journal);
	return NULL;
}

void journal_recovered(struct journal *journal)
{
	const struct recovery *recovery = &journal->recovery;
	size_t count = recovery->count;

	journal->segment = journal_segments_greatest_sealed(&journal->segments) + 1;
	if (count > 0)
		journal->segment = recovery->segments[count - 1].segment + 1;
	journal->synced_below = journal->segment;
	journal->place = 0;
	journal->last = recovery->kept;
	journal->previous = recovery->previous;
	journal->next_number = recovery->kept.last + 1;
	journal->first_of_run = journal->next_number;
	journal->durable = recovery->kept.last; /* J3 */
	journal->synced = recovery->kept.last;
	journal->run = recovery->run + 1;
	journal->damage.last_block = recovery->kept.last;
	journal->phase = JOURNAL_READY;
}

const struct journal_damage *journal_damage(const struct journal *journal)
{
	return &journal->damage;
}

/* --- the open block --------------------------------------------------------------------------------------------- */

/* Does an item of `size` bytes fit into a block that begins a segment? Then it fits somewhere. */
static bool fits_anywhere(const struct journal *journal, size_t size)
{
	return size <= journal->block_max - JOURNAL_BLOCK_HEADER_BYTES - JOURNAL_START_ITEM_BYTES;
}

static bool must_roll(const struct journal *journal, size_t size)
{
	uint64_t left;

	if (journal->place == 0)
		return false;
	left = journal->config.segment_bytes - journal->place;
	return left < journal->config.segment_bytes / JOURNAL_ROLL_SHARE || left < JOURNAL_BLOCK_HEADER_BYTES + size;
}

/* The caller has checked that there is room. */
static uint8_t *item_put(struct journal *journal, enum journal_item kind, uint16_t partition, uint32_t content_size)
{
	uint32_t size = JOURNAL_ITEM_HEADER_BYTES + content_size;
	uint8_t *at = journal_ring_claim(&journal->ring, size);

	assert(journal->open.limit - journal->open.used >= size);
	store_little(at, 4, size);
	store_little(at + 4, 2, (uint64_t)kind);
	store_little(at + 6, 2, partition);
	journal->open.used += size;
	journal->open.items++;
	return at + JOURNAL_ITEM_HEADER_BYTES;
}

static void start_put(struct journal *journal)
{
	uint8_t *at = item_put(journal, JOURNAL_SEGMENT_START, 0, JOURNAL_START_ITEM_BYTES - JOURNAL_ITEM_HEADER_BYTES);

	assert(journal->last.last + 1 == journal->open.number);
	store_little(at, 4, journal->last.segment);
	store_little(at + 4, 8, journal->last.end);
	store_little(at + 12, 8, journal->last.last);
}

/* Begins the open block, in the next segment when the item does not fit into this one. 0, -1: no memory. */
static int open_begin(struct journal *journal, size_t item_size)
{
	bool roll = must_roll(journal, item_size);
	uint32_t segment = journal->segment + roll;
	uint32_t place = roll ? 0 : (uint32_t)journal->place;

	assert(journal->open.used == 0);
	if (place == 0 && journal_segments_add(&journal->segments, segment) != 0)
		return -1;
	journal->segment = segment;
	journal->place = place;
	journal_ring_begin(&journal->ring, segment, place, journal->block_max);
	journal->open = (struct journal_open){
		.bytes = journal_ring_claim(&journal->ring, JOURNAL_BLOCK_HEADER_BYTES),
		.number = journal->next_number++,
		.place = place,
		.used = JOURNAL_BLOCK_HEADER_BYTES,
		.limit = smaller(journal->block_max, journal->config.segment_bytes - place),
	};
	if (place == 0)
		start_put(journal);
	return 0;
}

bool journal_has_room(const struct journal *journal, size_t size)
{
	if (journal->phase != JOURNAL_READY || !fits_anywhere(journal, size + JOURNAL_ITEM_HEADER_BYTES))
		return false;
	return journal->open.used == 0 || journal->open.limit - journal->open.used >= size + JOURNAL_ITEM_HEADER_BYTES;
}

/* 0 with *content to be filled, 1: no room, -1: no memory. */
static int item_begin(struct journal *journal, enum journal_item kind, uint16_t partition, size_t size,
		      uint8_t **content)
{
	assert(partition < PARTITION_COUNT);
	if (!journal_has_room(journal, size))
		return 1;
	if (journal->open.used == 0 && open_begin(journal, size + JOURNAL_ITEM_HEADER_BYTES) != 0)
		return -1;
	*content = item_put(journal, kind, partition, (uint32_t)size);
	return 0;
}

int journal_append_batch(struct journal *journal, uint16_t partition, struct span batch, struct journal_place *place,
			 uint64_t *block)
{
	uint8_t *content;
	uint32_t at;
	struct journal_segment *segment;
	int rv = item_begin(journal, JOURNAL_BATCH, partition, batch.size, &content);

	if (rv != 0)
		return rv;
	memcpy(content, batch.data, batch.size);
	at = journal->open.used - (uint32_t)batch.size;
	segment = &journal->segments.list[journal->segments.count - 1];
	assert(segment->segment == journal->segment);
	segment->live_bytes += batch.size + JOURNAL_ITEM_HEADER_BYTES;
	segment->total_bytes += batch.size + JOURNAL_ITEM_HEADER_BYTES;
	*place = (struct journal_place){journal->segment, journal->open.place + at};
	*block = journal->open.number;
	return 0;
}

/* A kind whose content is u32, u64. */
static int append_pair(struct journal *journal, enum journal_item kind, uint16_t partition, uint32_t first,
		       uint64_t second, uint64_t *block)
{
	uint8_t *content;
	int rv = item_begin(journal, kind, partition, 12, &content);

	if (rv != 0)
		return rv;
	store_little(content, 4, first);
	store_little(content + 4, 8, second);
	*block = journal->open.number;
	return 0;
}

int journal_append_truncate(struct journal *journal, uint16_t partition, uint32_t epoch, uint64_t offset,
			    uint64_t *block)
{
	return append_pair(journal, JOURNAL_TRUNCATE, partition, epoch, offset, block);
}

int journal_append_settled(struct journal *journal, uint16_t partition, uint64_t offset, uint64_t *block)
{
	return append_pair(journal, JOURNAL_SETTLED, partition, journal->damage.quarantined, offset, block);
}

int journal_append_left(struct journal *journal, uint16_t partition, uint64_t *block)
{
	uint8_t *content;
	int rv = item_begin(journal, JOURNAL_LEFT, partition, 0, &content);

	if (rv != 0)
		return rv;
	*block = journal->open.number;
	return 0;
}

int journal_append_commit(struct journal *journal, uint16_t partition, uint64_t offset)
{
	uint8_t *content;
	int rv = item_begin(journal, JOURNAL_COMMIT, partition, 8, &content);

	if (rv != 0)
		return rv;
	store_little(content, 8, offset);
	return 0;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static void pad(struct journal *journal, uint32_t size)
{
	uint32_t padding = (uint32_t)journal_padded(size) - size;

	if (padding > 0)
		memset(journal_ring_claim(&journal->ring, padding), 0, padding);
}

static void open_close(struct journal *journal)
{
	struct journal_open *open = &journal->open;
	struct journal_block block = {
		.magic = JOURNAL_MAGIC,
		.size = open->used,
		.journal_id = journal->config.journal_id,
		.number = open->number,
		.previous = journal->previous,
		.synced = journal->synced,
		.segment = journal->segment,
		.place = open->place,
		.items = open->items,
		.run = journal->run,
	};
	uint32_t size = (uint32_t)journal_padded(open->used);

	assert(journal->flight.state == FLIGHT_NONE);
	journal_block_seal(open->bytes, &block);
	pad(journal, open->used);
	journal->flight = (struct journal_flight){
		.state = FLIGHT_READY,
		.bytes = open->bytes,
		.number = open->number,
		.segment = journal->segment,
		.place = open->place,
		.size = size,
	};
	journal->previous = block.checksum;
	journal->place = (uint64_t)open->place + size;
	journal->last = (struct journal_start){journal->segment, journal->place, open->number};
	*open = (struct journal_open){0};
	assert(journal->place <= journal->config.segment_bytes);
}

bool journal_next_write(struct journal *journal, struct disk_request *write)
{
	struct journal_flight *flight = &journal->flight;

	if (journal->phase != JOURNAL_READY || flight->state == FLIGHT_WRITING)
		return false;
	if (flight->state == FLIGHT_NONE) {
		if (journal->open.used == 0)
			return false;
		open_close(journal);
	}
	flight->state = FLIGHT_WRITING;
	*write = (struct disk_request){
		.verb = DISK_WRITE,
		.segment = flight->segment,
		.place = flight->place,
		.length = flight->size,
		.durable = journal->config.durable,
		.bytes = span_of(flight->bytes, flight->size),
	};
	return true;
}

void journal_write_done(struct journal *journal, enum disk_outcome outcome)
{
	struct journal_flight *flight = &journal->flight;

	assert(flight->state == FLIGHT_WRITING);
	if (outcome == DISK_FULL) {
		flight->state = FLIGHT_READY;
		return;
	}
	if (outcome != DISK_DONE) {
		journal->phase = JOURNAL_FAILED;
		return;
	}
	assert(flight->number == journal->durable + 1);
	journal->durable = flight->number;
	if (journal->config.durable)
		journal->synced = flight->number;
	else if (flight->place == 0)
		journal->synced = flight->number - 1; /* the driver syncs a segment before it goes on to the next */
	if (flight->place == 0 && journal->config.durable)
		journal->synced_below = flight->segment;
	else if (flight->place == 0 && journal->written > 0)
		journal->synced_below = journal->written;
	journal->written = flight->segment;
	*flight = (struct journal_flight){0};
}

bool journal_write_in_flight(const struct journal *journal)
{
	return journal->flight.state == FLIGHT_WRITING;
}

uint64_t journal_durable_block(const struct journal *journal)
{
	return journal->durable;
}

uint64_t journal_pending_bytes(const struct journal *journal)
{
	return (uint64_t)journal->open.used + journal->flight.size;
}

struct span journal_cached(const struct journal *journal, struct journal_place place, uint32_t size)
{
	return journal_ring_find(&journal->ring, place, size);
}

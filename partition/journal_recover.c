/* Recovery: which blocks count, and what is damage (J2, J3).
 *
 *   STARTS   The first good block of each segment. A segment's first item says which segment stood before it and where
 *            that ended. From the newest segment backwards this gives the chain of segments that count, with each one's
 *            end; what lies behind an end, or in a segment between two of the chain, does not count, good or not:
 *            an earlier start has cut it.
 *   WALK     The chain block by block, each checked and visited. Numbers are dense and each block names the checksum of
 *            the one before it.
 *   AHEAD    At the first block that does not fit: reads on, at multiples of 4096, for good blocks. One whose `synced`
 *            mark covers the missing number proves that it was durable: corruption. Then WALK goes on with the first
 *            good block found. What was skipped is counted by numbers.
 *   TAIL     No such mark up to the end: the tail. What is good behind it does not count either. The page where the
 *            next block would stand, in this segment and at the front of newer ones, tells whether something was cut
 *            or the journal simply ends there.
 *
 * A healthy journal is read once, and the rest of its last segment once more. A block is visited only when it is known
 * to count, and whole: its items are all checked before the first is shown. */

#include "partition/journal_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/error.h"

enum step { STEP_AGAIN = 0, STEP_READ = 1, STEP_DONE = 2 }; /* or a negative error */

static void recovery_move(struct recovery *r, enum recovery_phase phase, size_t index, uint64_t place)
{
	assert(phase >= r->phase || (r->phase == RECOVERY_AHEAD && phase == RECOVERY_WALK));
	r->phase = phase;
	r->index = index;
	r->place = place;
}

static void next_segment(struct recovery *r)
{
	r->index++;
	r->place = 0;
}

/* --- STARTS ------------------------------------------------------------------------------------------------------- */

/* Segments below `index` and above `before` were cut by an earlier start. Index of the next link: the greatest segment
 * not above `before`; count when there is none. */
static size_t link_before(const struct recovery *r, size_t index, uint32_t before)
{
	for (size_t i = index; i > 0; i--) {
		if (r->segments[i - 1].segment <= before)
			return i - 1;
	}
	return r->count;
}

/* The link below segment i, with its end set as far as segment i tells it. */
static size_t link_next(struct recovery *r, size_t i)
{
	const struct recovery_segment *upper = &r->segments[i];
	struct recovery_segment *lower;
	size_t next;

	if (!upper->has_start) {
		/* Its first block is bad, so at least one number before its first good one is its own. */
		next = i > 0 ? i - 1 : r->count;
		if (next < r->count)
			r->segments[next].last = upper->first_number > 1 ? upper->first_number - 2 : upper->last;
		return next;
	}
	next = link_before(r, i, upper->start.segment);
	if (next == r->count)
		return next;
	lower = &r->segments[next];
	lower->last = upper->start.last;
	if (lower->segment == upper->start.segment && lower->end > upper->start.end)
		lower->end = upper->start.end;
	lower->counts = lower->segment == upper->start.segment;
	return next;
}

/* Marks the chain, from the newest segment with a good block downwards. */
static void link_all(struct recovery *r)
{
	size_t i = r->count;

	while (i > 0 && r->segments[i - 1].first_number == 0)
		i--;
	if (i == 0)
		return;
	i--;
	while (i < r->count) {
		struct recovery_segment *segment = &r->segments[i];

		segment->counts = segment->counts || segment->first_number != 0;
		i = link_next(r, i);
	}
}

/* A segment that begins with another journal's block: somebody mixed up directories. Files are reused within a journal
 * only, so this is never our own old content. GOOD: it is one. */
static enum recovery_probe probe_foreign(struct recovery *r, uint64_t journal_id, int *failure)
{
	struct journal_block block;
	struct journal_start start;
	struct span bytes;

	if (r->place != 0)
		return PROBE_BAD;
	if (!recovery_bytes(r, 0, DISK_BLOCK_BYTES, DISK_BLOCK_BYTES, &bytes))
		return PROBE_READ;
	if (bytes.size < JOURNAL_BLOCK_HEADER_BYTES)
		return PROBE_BAD;
	journal_block_load(bytes.data, &block);
	if (block.magic != JOURNAL_MAGIC || block.journal_id == journal_id)
		return PROBE_BAD;
	return recovery_probe(r, block.journal_id, DISK_BLOCK_BYTES, &block, &start, &bytes, failure);
}

static int starts_bad(struct journal *journal)
{
	struct recovery *r = &journal->recovery;
	int failure = 0;

	switch (probe_foreign(r, journal->config.journal_id, &failure)) {
	case PROBE_READ: return STEP_READ;
	case PROBE_FAILED: return failure;
	case PROBE_GOOD: return -ERROR_FOREIGN;
	case PROBE_BAD: break;
	}
	r->place += DISK_BLOCK_BYTES;
	return STEP_AGAIN;
}

static int starts_step(struct journal *journal)
{
	struct recovery *r = &journal->recovery;
	struct recovery_segment *segment;
	struct journal_block block;
	struct span bytes;
	int failure = 0;

	if (r->index == r->count) {
		link_all(r);
		if (r->watch != NULL)
			r->watch->segments(r->watch->data, r->segments, r->count);
		recovery_move(r, RECOVERY_WALK, 0, 0);
		return STEP_AGAIN;
	}
	segment = &r->segments[r->index];
	if (r->place >= segment->end) {
		next_segment(r);
		return STEP_AGAIN;
	}
	switch (recovery_probe(r, journal->config.journal_id, r->place == 0 ? DISK_BLOCK_BYTES : JOURNAL_READ_MAX_BYTES,
			       &block, &segment->start, &bytes, &failure)) {
	case PROBE_READ: return STEP_READ;
	case PROBE_FAILED: return failure;
	case PROBE_BAD: return starts_bad(journal);
	case PROBE_GOOD: break;
	}
	segment->first_number = block.number;
	segment->has_start = r->place == 0;
	if (block.run > r->run)
		r->run = block.run;
	next_segment(r);
	return STEP_AGAIN;
}

/* --- WALK --------------------------------------------------------------------------------------------------------- */

static void accept_block(struct recovery *r, const struct journal_block *block)
{
	r->place += journal_padded(block->size);
	r->expected = block->number + 1;
	r->previous = block->checksum;
	r->resync = false;
	if (block->synced > r->mark)
		r->mark = block->synced;
	if (block->run > r->run)
		r->run = block->run;
	r->kept = (struct journal_start){block->segment, r->place, block->number};
}

static void ahead_begin(struct recovery *r)
{
	r->bad_index = r->index;
	r->bad_place = r->place;
	r->bad_zero = false;
	r->later_nonzero = false;
	r->found = false;
	r->found_bytes = 0;
	recovery_move(r, RECOVERY_AHEAD, r->index, r->place);
}

static bool follows(const struct recovery *r, const struct journal_block *block)
{
	if (r->resync || r->expected == 0)
		return true;
	return block->number == r->expected && block->previous == r->previous;
}

static int walk_step(struct journal *journal)
{
	struct recovery *r = &journal->recovery;
	const struct recovery_segment *segment;
	struct journal_block block;
	struct journal_start start;
	struct span bytes;
	int failure = 0;

	if (r->index == r->count) {
		r->bad_index = r->count;
		recovery_move(r, RECOVERY_TAIL, 0, 0);
		return STEP_AGAIN;
	}
	segment = &r->segments[r->index];
	/* At a segment's end the numbers it should hold must be there, or blocks are missing. */
	if (!segment->counts || (r->place >= segment->end &&
				 (segment->last == UINT64_MAX || r->expected == 0 || r->expected > segment->last))) {
		next_segment(r);
		return STEP_AGAIN;
	}
	switch (recovery_probe(r, journal->config.journal_id, JOURNAL_READ_MAX_BYTES, &block, &start, &bytes,
			       &failure)) {
	case PROBE_READ: return STEP_READ;
	case PROBE_FAILED: return failure;
	case PROBE_BAD: ahead_begin(r); return STEP_AGAIN;
	case PROBE_GOOD: break;
	}
	if (!follows(r, &block)) {
		ahead_begin(r);
		return STEP_AGAIN;
	}
	failure = journal_visit(journal, &block, bytes);
	accept_block(r, &block);
	return failure;
}

/* --- AHEAD -------------------------------------------------------------------------------------------------------- */

/* A page without a good block, on the way ahead. */
static void ahead_page(struct recovery *r, struct span page)
{
	if (r->index == r->bad_index && r->place == r->bad_place)
		r->bad_zero = recovery_zero(page);
	else if (r->index == r->bad_index && r->bad_zero && !r->later_nonzero)
		r->later_nonzero = !recovery_zero(page);
}

/* Can this good block be the first behind the bad one? The block at the bad place itself only if it is a later one. */
static bool ahead_accepts(const struct recovery *r, const struct journal_block *block)
{
	bool at_bad_place = r->index == r->bad_index && r->place == r->bad_place;

	return r->expected == 0 || block->number > r->expected || (block->number == r->expected && !at_bad_place);
}

/* The segments from the bad place to the good block found; that block's own only when something before it is bad. */
static void pin_damaged(struct journal *journal)
{
	const struct recovery *r = &journal->recovery;

	for (size_t i = r->bad_index; i <= r->found_index; i++) {
		bool damaged = i < r->found_index || r->found_place > 0;

		if (r->segments[i].counts && damaged)
			journal_segments_find(&journal->segments, r->segments[i].segment)->state = SEGMENT_PINNED;
	}
}

static void quarantine(struct journal *journal, uint64_t first_missing)
{
	struct recovery *r = &journal->recovery;
	uint64_t missing = r->found_number > first_missing ? r->found_number - first_missing : 1;
	uint64_t total = journal->damage.quarantined + missing;

	if (journal->damage.quarantined == 0) {
		journal->damage.bad_block = first_missing;
		journal->damage.bad_segment = r->segments[r->bad_index].segment;
		journal->damage.bad_place = r->bad_place;
	}
	journal->damage.quarantined = total < UINT32_MAX ? (uint32_t)total : UINT32_MAX;
	pin_damaged(journal);
	if (r->watch != NULL)
		r->watch->corrupt(r->watch->data, r->segments[r->bad_index].segment, r->bad_place, first_missing,
				  missing);
	r->resync = true;
	recovery_move(r, RECOVERY_WALK, r->found_index, r->found_place);
}

static void ahead_good(struct journal *journal, const struct journal_block *block)
{
	struct recovery *r = &journal->recovery;
	uint64_t missing;

	if (!r->found) {
		r->found = true;
		r->found_index = r->index;
		r->found_place = r->place;
		r->found_number = block->number;
	}
	if (block->synced > r->mark)
		r->mark = block->synced;
	r->found_bytes += journal_padded(block->size);
	r->place += journal_padded(block->size);
	missing = r->expected != 0 ? r->expected : r->found_number - 1;
	if (r->mark >= missing)
		quarantine(journal, missing);
}

static int ahead_step(struct journal *journal)
{
	struct recovery *r = &journal->recovery;
	struct journal_block block;
	struct journal_start start;
	struct span bytes;
	int failure = 0;

	if (r->index == r->count) {
		recovery_move(r, RECOVERY_TAIL, r->bad_index, r->bad_place);
		return STEP_AGAIN;
	}
	if (!r->segments[r->index].counts || r->place >= r->segments[r->index].end) {
		next_segment(r);
		return STEP_AGAIN;
	}
	switch (recovery_probe(r, journal->config.journal_id, JOURNAL_READ_MAX_BYTES, &block, &start, &bytes,
			       &failure)) {
	case PROBE_READ: return STEP_READ;
	case PROBE_FAILED: return failure;
	case PROBE_BAD: break;
	case PROBE_GOOD:
		if (ahead_accepts(r, &block)) {
			ahead_good(journal, &block);
			return STEP_AGAIN;
		}
		break;
	}
	if (bytes.size > DISK_BLOCK_BYTES)
		bytes.size = DISK_BLOCK_BYTES;
	ahead_page(r, bytes);
	r->place += DISK_BLOCK_BYTES;
	return STEP_AGAIN;
}

/* --- TAIL --------------------------------------------------------------------------------------------------------- */

/* Segments whose end is not known yet and in which nothing was good: a torn first block may stand there. */
static bool tail_looks_into(const struct recovery *r)
{
	if (r->index == r->bad_index)
		return true;
	return r->segments[r->index].segment > r->kept.segment && r->segments[r->index].first_number == 0 &&
	       !r->segments[r->index].counts;
}

static uint64_t claimed_bytes(struct span page)
{
	struct journal_block block;

	if (page.size < JOURNAL_BLOCK_HEADER_BYTES)
		return DISK_BLOCK_BYTES;
	journal_block_load(page.data, &block);
	if (block.size < JOURNAL_BLOCK_HEADER_BYTES || block.size > JOURNAL_BLOCK_MAX_BYTES)
		return DISK_BLOCK_BYTES;
	return journal_padded(block.size);
}

/* Segments that later ones do not name, from before the present end of the chain, may go; those that never held a good
 * block and are named by nobody are kept. */
static int settle_segments(struct journal *journal)
{
	const struct recovery *r = &journal->recovery;
	uint32_t first = 0;

	for (size_t i = r->count; i > 0; i--) {
		if (r->segments[i - 1].counts)
			first = r->segments[i - 1].segment;
	}
	for (size_t i = 0; i < r->count; i++) {
		uint32_t number = r->segments[i].segment;
		struct journal_segment *segment = journal_segments_find(&journal->segments, number);
		bool kept = r->segments[i].counts && number <= r->kept.segment;

		if (kept || segment->state == SEGMENT_PINNED)
			continue;
		if (first == 0 || number <= first)
			segment->state = SEGMENT_PINNED;
		else if (journal_segments_void(&journal->segments, number) != 0)
			return -ERROR_MEMORY;
	}
	return 0;
}

static int tail_end(struct journal *journal)
{
	struct recovery *r = &journal->recovery;

	if (r->kept.last >= JOURNAL_NUMBER_MAX || r->run >= JOURNAL_RUN_MAX)
		return -ERROR_LIMIT;
	/* `torn` has been counted; of a block whose first page is missing no more is known than that it was there. */
	if (r->later_nonzero && !r->torn)
		journal->damage.cut_bytes += DISK_BLOCK_BYTES;
	journal->damage.cut_bytes += r->found_bytes;
	journal->damage.tail_cut = r->torn || r->found || r->later_nonzero;
	journal->damage.cut_segment = r->bad_index < r->count ? r->segments[r->bad_index].segment : 0;
	journal->damage.cut_place = r->bad_place;
	if (r->watch != NULL && journal->damage.tail_cut)
		r->watch->tail(r->watch->data, journal->damage.cut_segment, r->bad_place, journal->damage.cut_bytes);
	if (settle_segments(journal) != 0)
		return -ERROR_MEMORY;
	journal_recovered(journal);
	free(r->window.memory);
	free(r->segments);
	*r = (struct recovery){.phase = RECOVERY_DONE};
	return STEP_DONE;
}

static int tail_step(struct journal *journal)
{
	struct recovery *r = &journal->recovery;
	struct span page;

	if (r->index >= r->count)
		return tail_end(journal);
	if (!tail_looks_into(r)) {
		next_segment(r);
		return STEP_AGAIN;
	}
	if (!recovery_bytes(r, r->place, DISK_BLOCK_BYTES, DISK_BLOCK_BYTES, &page))
		return STEP_READ;
	if (r->place < r->segments[r->index].end && recovery_resembles(r, journal->config.journal_id, page)) {
		r->torn = true;
		journal->damage.cut_bytes += claimed_bytes(page);
	}
	next_segment(r);
	return STEP_AGAIN;
}

/* --- the machine -------------------------------------------------------------------------------------------------- */

static int recovery_run(struct journal *journal)
{
	int rv = STEP_AGAIN;

	while (rv == STEP_AGAIN) {
		switch (journal->recovery.phase) {
		case RECOVERY_STARTS: rv = starts_step(journal); break;
		case RECOVERY_WALK: rv = walk_step(journal); break;
		case RECOVERY_AHEAD: rv = ahead_step(journal); break;
		case RECOVERY_TAIL: rv = tail_step(journal); break;
		case RECOVERY_DONE: rv = STEP_DONE; break;
		}
	}
	if (rv < 0)
		journal->phase = JOURNAL_FAILED;
	return rv < 0 ? rv : 0;
}

static int by_number(const void *a, const void *b)
{
	const struct recovery_segment *left = a;
	const struct recovery_segment *right = b;

	return (left->segment > right->segment) - (left->segment < right->segment);
}

/* Files of segments that have been sealed since are stale. */
static int segment_take(struct journal *journal, const struct disk_segment *segment)
{
	struct recovery *r = &journal->recovery;

	assert(segment->generation == 0);
	if (segment->segment == 0 || segment->segment == UINT32_MAX)
		return -ERROR_LIMIT;
	if (segment->segment <= journal_segments_greatest_sealed(&journal->segments))
		return journal_add_stale(journal, segment->segment, 0, false) != 0 ? -ERROR_MEMORY : 0;
	r->segments[r->count] = (struct recovery_segment){
		.segment = segment->segment,
		.size = segment->size_bytes < UINT32_MAX ? segment->size_bytes : UINT32_MAX,
		.last = UINT64_MAX,
	};
	r->segments[r->count].end = r->segments[r->count].size;
	r->count++;
	return 0;
}

static int segments_take(struct journal *journal, const struct disk_segment *segments, uint32_t count)
{
	struct recovery *r = &journal->recovery;
	int rv = 0;

	r->segments = calloc(count > 0 ? count : 1, sizeof *r->segments);
	if (r->segments == NULL)
		return -ERROR_MEMORY;
	for (uint32_t i = 0; i < count && rv == 0; i++)
		rv = segment_take(journal, &segments[i]);
	if (rv != 0)
		return rv;
	qsort(r->segments, r->count, sizeof *r->segments, by_number);
	for (size_t i = 0; i < r->count; i++) {
		if (i > 0 && r->segments[i].segment == r->segments[i - 1].segment)
			return -ERROR_MALFORMED;
		if (journal_segments_add(&journal->segments, r->segments[i].segment) != 0)
			return -ERROR_MEMORY;
	}
	return 0;
}

static int window_make(struct recovery *r)
{
	uint64_t largest = DISK_BLOCK_BYTES;
	uint64_t capacity;

	for (size_t i = 0; i < r->count; i++) {
		if (r->segments[i].size > largest)
			largest = r->segments[i].size;
	}
	largest = journal_padded(largest);
	capacity = largest < JOURNAL_BLOCK_MAX_BYTES ? largest : JOURNAL_BLOCK_MAX_BYTES;
	capacity += largest < JOURNAL_READ_MAX_BYTES ? largest : JOURNAL_READ_MAX_BYTES;
	r->window.memory = malloc((size_t)capacity);
	r->window.capacity = (size_t)capacity;
	return r->window.memory != NULL ? 0 : -ERROR_MEMORY;
}

int journal_recover_begin(struct journal *journal, const struct disk_segment *segments, uint32_t count,
			  const struct journal_visitor *visitor)
{
	struct recovery *r = &journal->recovery;
	int rv;

	assert(journal->phase == JOURNAL_READY && journal->next_number == 1);
	assert(journal->segments.count == journal->segments.sealed_count && r->segments == NULL);
	journal->phase = JOURNAL_RECOVERING;
	*r = (struct recovery){.phase = RECOVERY_STARTS, .visitor = *visitor, .watch = r->watch};
	rv = segments_take(journal, segments, count);
	if (rv == 0)
		rv = window_make(r);
	if (rv != 0) {
		journal->phase = JOURNAL_FAILED;
		return rv;
	}
	return recovery_run(journal);
}

bool journal_recover_next(struct journal *journal, struct disk_request *read)
{
	const struct recovery *r = &journal->recovery;

	if (journal->phase != JOURNAL_RECOVERING)
		return false;
	assert(r->wanted);
	*read = (struct disk_request){
		.verb = DISK_READ,
		.segment = r->segments[r->index].segment,
		.place = r->wanted_place,
		.length = r->wanted_length,
	};
	return true;
}

int journal_recover_feed(struct journal *journal, struct span bytes)
{
	struct recovery *r = &journal->recovery;
	struct recovery_window *window = &r->window;

	assert(journal->phase == JOURNAL_RECOVERING);
	assert(r->wanted && bytes.size <= r->wanted_length);
	assert(window->index == r->index && window->place + window->size == r->wanted_place);
	if (bytes.size > 0)
		memcpy(window->memory + window->size, bytes.data, bytes.size);
	window->size += bytes.size;
	r->wanted = false;
	if (bytes.size < r->wanted_length) { /* the file ends there */
		struct recovery_segment *segment = &r->segments[r->index];

		segment->size = r->wanted_place + bytes.size;
		if (segment->end > segment->size)
			segment->end = segment->size;
	}
	return recovery_run(journal);
}

void journal_recover_progress(const struct journal *journal, uint64_t *done, uint64_t *total)
{
	const struct recovery *r = &journal->recovery;
	size_t index = r->phase == RECOVERY_AHEAD ? r->bad_index : r->index;
	uint64_t place = r->phase == RECOVERY_AHEAD ? r->bad_place : r->place;

	*done = 0;
	*total = 0;
	for (size_t i = 0; i < r->count; i++) {
		if (i < index || r->phase >= RECOVERY_TAIL)
			*done += r->segments[i].size;
		else if (i == index)
			*done += place;
		*total += r->segments[i].size;
	}
	if (r->phase == RECOVERY_STARTS)
		*done = 0;
}

/* A partition's index against an array that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "partition/log.h"
#include "proto/error.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/random.h"

struct model {
	struct log_entry list[4096];
	size_t sealed;         /* so many of them */
	uint32_t segment;      /* in which entries are put */
	uint32_t places[4096]; /* of the sealed ones, in their file */
	size_t count;
	uint64_t cut_sequence; /* a cut went into the sealed part: this is what stays; 0: none since sealing */
};

static struct log_entry entry_of(uint64_t base, uint16_t count, uint32_t epoch, uint64_t *random)
{
	return (struct log_entry){
		.base = base,
		.place = {(uint32_t)random_next(random), (uint32_t)random_next(random)},
		.epoch = epoch,
		.size = 64 + (uint32_t)random_below(random, 5000),
		.last_sequence = random_next(random),
		.block = random_next(random),
		.count = count,
	};
}

static uint64_t model_end(const struct model *model)
{
	if (model->count == 0)
		return 0;
	return model->list[model->count - 1].base + model->list[model->count - 1].count;
}

static const struct log_entry *model_find(const struct model *model, uint64_t offset)
{
	for (size_t i = 0; i < model->count; i++) {
		if (offset >= model->list[i].base && offset - model->list[i].base < model->list[i].count)
			return &model->list[i];
	}
	return NULL;
}

static void model_epoch_end(const struct model *model, uint32_t epoch, uint32_t *found, uint64_t *end)
{
	*found = 0;
	*end = 0;
	for (size_t i = 0; i < model->count && model->list[i].epoch <= epoch; i++) {
		*found = model->list[i].epoch;
		*end = model->list[i].base + model->list[i].count;
	}
}

static void assert_same(const struct log_entry *a, const struct log_entry *b)
{
	if (a == NULL || b == NULL) {
		assert_ptr_equal(a, b);
		return;
	}
	assert_int_equal(a->base, b->base);
	assert_int_equal(a->place.segment, b->place.segment);
	assert_int_equal(a->place.place, b->place.place);
	assert_int_equal(a->epoch, b->epoch);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->last_sequence, b->last_sequence);
	assert_int_equal(a->block, b->block);
	assert_int_equal(a->count, b->count);
}

static uint64_t model_sealed(const struct model *model)
{
	return model->sealed < model->count ? model->list[model->sealed].base : model_end(model);
}

static size_t model_index(const struct model *model, uint64_t offset)
{
	size_t i = 0;

	while (i < model->count && model->list[i].base + model->list[i].count <= offset)
		i++;
	return i;
}

/* The place is a batch's, at or before the one that holds the offset, in its file, and reaches over it. */
static void assert_place(const struct log *log, const struct model *model, uint64_t offset)
{
	size_t i = model_index(model, offset);
	size_t at;
	struct log_place place;

	assert_int_equal(log_place_of(log, offset, &place), i < model->count);
	if (i == model->count) {
		assert_int_equal(log_cut_base(log, offset), model_end(model));
		return;
	}
	at = model_index(model, place.base);
	assert_int_equal(model->list[at].base, place.base);
	assert_int_equal(log_cut_base(log, offset), place.base);
	assert_true(at <= i && place.to > offset);
	if (i >= model->sealed) {
		assert_int_equal(at, i);
		assert_int_equal(place.generation, 0);
		assert_int_equal(place.place, model->list[i].place.place);
		assert_true(place.exact);
		return;
	}
	assert_int_equal(place.segment, model->list[i].place.segment);
	assert_int_equal(place.segment, model->list[at].place.segment);
	assert_int_equal(place.place, model->places[at]);
	assert_true(place.place + place.length >= model->places[i] + model->list[i].size);
	assert_true(place.generation > 0);
	assert_int_equal(place.exact, place.base == offset);
}

static void assert_unsealed(const struct log *log, const struct model *model, uint32_t segment)
{
	size_t i = model->sealed;
	uint64_t to;
	uint32_t batches;

	while (i < model->count && model->list[i].place.segment <= segment)
		i++;
	log_unsealed(log, segment, &to, &batches);
	assert_int_equal(batches, i - model->sealed);
	assert_int_equal(to, i < model->count ? model->list[i].base : model_end(model));
}

/* Seals the oldest segment, if all of it is committed: batches back to back, a mark for some. */
static void seal(struct log *log, struct model *model, uint64_t *random)
{
	struct log_extent extent = {.from = log->sealed, .generation = 1, .place = 64};
	uint32_t place = extent.place;
	size_t end = model->sealed;

	if (end == model->count || model->list[end].place.segment == model->segment)
		return;
	extent.segment = model->list[end].place.segment;
	extent.marks = calloc(4096, sizeof *extent.marks);
	assert_non_null(extent.marks);
	for (; end < model->count && model->list[end].place.segment == extent.segment; end++) {
		if (end > model->sealed && random_below(random, 3) == 0)
			extent.marks[extent.mark_count++] = (struct log_mark){
				(uint32_t)(model->list[end].base - extent.from), place - extent.place};
		model->places[end] = place;
		place += model->list[end].size;
		extent.to = model->list[end].base + model->list[end].count;
	}
	if (extent.to > log->commit) {
		free(extent.marks);
		return;
	}
	extent.size = place - extent.place;
	if (random_below(random, 4) == 0) { /* the file holds more than the log does by now */
		extent.to += 5;
		extent.size += 500;
		extent.marks[extent.mark_count++] =
			(struct log_mark){(uint32_t)(extent.to - 5 - extent.from), place - extent.place};
	}
	assert_int_equal(log_seal(log, &extent, end < model->count ? model->list[end].base : model_end(model)), 0);
	assert_int_equal(log->extents[log->extent_count - 1].size, place - extent.place);
	model->sealed = end;
	model->cut_sequence = 0;
}

/* To the byte, but for what a cut between two marks left in the sealed part. */
static void assert_bytes(const struct log *log, const struct model *model)
{
	uint64_t extents = 0;
	uint64_t sealed = 0;
	uint64_t tail = 0;

	for (size_t i = 0; i < log->extent_count; i++)
		extents += log->extents[i].size;
	for (size_t i = 0; i < model->count; i++)
		*(i < model->sealed ? &sealed : &tail) += model->list[i].size;
	assert_int_equal(log->bytes, extents + tail);
	assert_true(extents >= sealed);
}

static void assert_answers(const struct log *log, const struct model *model, uint64_t *random)
{
	uint64_t end = model_end(model);
	uint64_t offset = random_below(random, end + 3);
	const struct log_entry *before = offset > 0 ? model_find(model, offset - 1) : NULL;
	uint32_t epoch = (uint32_t)random_below(random, log_last_epoch(log) + 3ull);
	uint32_t found[2];
	uint64_t ends[2];

	assert_int_equal(log->end, end);
	assert_bytes(log, model);
	assert_int_equal(log->entry_count, model->count - model->sealed);
	assert_int_equal(log->sealed, model_sealed(model));
	if (offset < log->sealed)
		assert_null(log_find(log, offset));
	else
		assert_same(log_find(log, offset), model_find(model, offset));
	assert_place(log, model, offset);
	assert_unsealed(log, model, (uint32_t)random_below(random, model->segment + 2ull));
	if (offset <= end)
		assert_int_equal(log_epoch_before(log, offset), before != NULL ? before->epoch : 0);
	log_epoch_end(log, epoch, &found[0], &ends[0]);
	model_epoch_end(model, epoch, &found[1], &ends[1]);
	assert_int_equal(found[0], found[1]);
	assert_int_equal(ends[0], ends[1]);
	assert_int_equal(log_last_epoch(log), model->count > 0 ? model->list[model->count - 1].epoch : 0);
	if (model->count > model->sealed || model->cut_sequence == 0)
		assert_int_equal(log_last_sequence(log),
				 model->count > 0 ? model->list[model->count - 1].last_sequence : 0);
	else if (model->count > 0)
		assert_int_equal(log_last_sequence(log), model->cut_sequence);
	else
		assert_int_equal(log_last_sequence(log), 0);
}

static void assert_walk(const struct log *log, const struct model *model)
{
	const struct log_entry *entry = log_find(log, log->sealed);

	for (size_t i = model->sealed; i < model->count; i++) {
		assert_same(entry, &model->list[i]);
		entry = log_next(log, entry);
	}
	assert_null(entry);
}

static void step(struct log *log, struct model *model, uint64_t *random)
{
	struct log_entry entry;
	size_t keep;

	switch (random_below(random, 28)) {
	case 0: /* cut */
		keep = (size_t)random_below(random, model->count + 1);
		keep = random_below(random, 8) == 0 ? keep : (keep > 0 ? model->count - model->count / keep / 64 : 0);
		if (keep < model->count && model->list[keep].base < log->commit) {
			if (random_below(random, 8) != 0)
				break;
			log->commit = model->list[keep].base; /* rule 10 */
		}
		model->count = keep;
		if (keep < model->sealed) {
			model->sealed = keep;
			model->cut_sequence = log->sealed_sequence;
		}
		log_truncate(log, model_end(model), NULL);
		break;
	case 24:
	case 25: model->segment++; break;
	case 26:
	case 27: seal(log, model, random); break;
	case 1: log_advance_commit(log, log->commit + random_below(random, (log->end - log->commit) / 4 + 1)); break;
	case 2: assert_walk(log, model); break;
	default:
		if (model->count == sizeof model->list / sizeof model->list[0])
			break;
		entry = entry_of(log->end, (uint16_t)(1 + random_below(random, 5)),
				 log_last_epoch(log) + (random_below(random, 9) == 0 || log->end == 0), random);
		entry.place.segment = model->segment;
		assert_int_equal(log_append(log, &entry), 0);
		model->list[model->count++] = entry;
		break;
	}
}

static void it_answers_like_an_array(void **state)
{
	struct model *model = calloc(1, sizeof *model);
	uint64_t random = 5;

	(void)state;
	assert_non_null(model);
	for (int round = 0; round < 20; round++) {
		struct log log = LOG_NULL;

		*model = (struct model){.segment = 1};
		for (int i = 0; i < 2500; i++) {
			step(&log, model, &random);
			assert_answers(&log, model, &random);
		}
		assert_walk(&log, model);
		log_deinit(&log);
		log_deinit(&log);
	}
	free(model);
}

static void entries_do_not_move_when_it_grows(void **state)
{
	struct log log = LOG_NULL;
	uint64_t random = 1;
	const struct log_entry *first;
	struct log_entry copy;

	(void)state;
	copy = entry_of(0, 1, 1, &random);
	assert_int_equal(log_append(&log, &copy), 0);
	first = log_find(&log, 0);
	for (uint64_t i = 1; i < 10000; i++) {
		struct log_entry entry = entry_of(i, 1, 1, &random);

		assert_int_equal(log_append(&log, &entry), 0);
	}
	assert_ptr_equal(log_find(&log, 0), first);
	assert_same(first, &copy);
	log_deinit(&log);
}

static void no_memory_is_answered_and_changes_nothing(void **state)
{
	struct log log = LOG_NULL;
	uint64_t random = 1;

	(void)state;
	for (uint64_t i = 0; i < 600; i++) {
		struct log_entry entry = entry_of(i, 1, (uint32_t)i + 1, &random);
		int rv = ERROR_MEMORY;

		for (size_t n = 1; rv != 0; n++) {
			assert_true(n < 5);
			memory_fault_at(n);
			rv = log_append(&log, &entry);
			(void)memory_fault_off();
			assert_int_equal(log.end, rv == 0 ? i + 1 : i);
			assert_int_equal(log.epoch_count, rv == 0 ? i + 1 : i);
		}
	}
	log_deinit(&log);
}

/* Appends to a real journal, so that what is dropped is seen there. */
static void append_through(struct log *log, struct journal *journal, uint32_t epoch)
{
	uint8_t bytes[100] = {0};
	uint64_t random = log->end;
	struct log_entry entry = entry_of(log->end, 2, epoch, &random);

	entry.size = sizeof bytes;
	assert_int_equal(journal_append_batch(journal, 3, span_of(bytes, sizeof bytes), &entry.place, &entry.block), 0);
	assert_int_equal(log_append(log, &entry), 0);
}

static void write_all(struct journal *journal)
{
	struct disk_request write;

	while (journal_next_write(journal, &write))
		journal_write_done(journal, DISK_DONE);
}

static void what_is_cut_is_dead_in_the_journal(void **state)
{
	struct journal_config config = {.journal_id = 1, .segment_bytes = 2 * DISK_BLOCK_BYTES, .durable = true};
	struct journal *journal = journal_new(&config);
	struct log_extent extent = {.from = 0, .to = 4, .segment = 1, .generation = 1, .place = 64, .size = 200};
	struct log log = LOG_NULL;
	uint32_t generation;
	uint32_t segment;
	bool keep;

	(void)state;
	assert_non_null(journal);
	for (int i = 0; i < 6; i++) { /* three segments */
		append_through(&log, journal, 1);
		write_all(journal);
	}
	log_advance_commit(&log, 4);
	journal_seal_begin(journal, 1);
	assert_int_equal(journal_sealed(journal, 1, 200), 0);
	assert_int_equal(log_seal(&log, &extent, 4), 0);
	assert_int_equal(log.extents[0].size, 200);
	log_truncate(&log, 4, journal); /* segments 2 and 3: dropped with their items' headers */
	assert_true(journal_next_delete(journal, &segment, &generation, &keep));
	assert_int_equal(generation, 0);
	journal_delete_done(journal, 1, 0);
	assert_false(journal_next_delete(journal, &segment, &generation, &keep));
	log_clear(&log, journal);
	assert_int_equal(log.end, 0);
	assert_true(journal_next_delete(journal, &segment, &generation, &keep));
	assert_int_equal(generation, 1);
	log_deinit(&log);
	journal_free(journal);
}

/* --- at start ----------------------------------------------------------------------------------------------------- */

static bool extend(struct log *log, uint32_t segment, uint64_t from, uint64_t to, uint32_t epoch, uint64_t sequence)
{
	struct log_extent extent = {
		.from = from, .to = to, .segment = segment, .generation = 1, .place = 64, .size = 100};
	struct log_epoch epochs[2] = {{epoch, from}, {epoch + 1, to - 1}};
	bool added = true;

	assert_int_equal(log_extend(log, &extent, epochs, 2, sequence, NULL, &added), 0);
	return added;
}

static void a_start_puts_extents_end_to_end(void **state)
{
	struct log log = LOG_NULL;
	uint64_t random = 1;
	struct log_entry entry;

	(void)state;
	assert_true(extend(&log, 1, 0, 10, 1, 1000));
	assert_true(extend(&log, 2, 10, 20, 2, 2000));
	assert_int_equal(log.end, 20);
	assert_int_equal(log.commit, 20);
	assert_int_equal(log_last_sequence(&log), 2000);
	assert_int_equal(log_last_epoch(&log), 3);
	assert_int_equal(log_epoch_before(&log, 10), 2);
	assert_int_equal(log_epoch_before(&log, 19), 2);
	assert_int_equal(log.epoch_count, 3); /* 2 goes on from one into the other */
	entry = entry_of(20, 2, 3, &random);
	assert_int_equal(log_append(&log, &entry), 0);
	assert_int_equal(log_last_sequence(&log), entry.last_sequence);
	log_deinit(&log);
}

static void a_start_ends_at_a_gap_and_goes_on_where_a_later_one_fits(void **state)
{
	struct log log = LOG_NULL;

	(void)state;
	assert_true(extend(&log, 1, 0, 10, 1, 1000));
	assert_false(extend(&log, 3, 20, 30, 3, 3000));
	assert_int_equal(log.end, 10);
	assert_true(extend(&log, 9, 10, 25, 2, 2500));
	assert_int_equal(log.end, 25);
	log_deinit(&log);
}

static void a_start_cuts_where_a_segment_did(void **state)
{
	struct log log = LOG_NULL;

	(void)state;
	assert_true(extend(&log, 1, 0, 10, 1, 1000));
	assert_true(extend(&log, 2, 10, 20, 3, 2000));
	assert_true(extend(&log, 4, 15, 17, 7, 4000));
	assert_int_equal(log.end, 17);
	assert_int_equal(log.commit, 17);
	assert_int_equal(log.extents[1].to, 15);
	assert_int_equal(log_epoch_before(&log, 15), 3);
	assert_int_equal(log_epoch_before(&log, 16), 7);
	log_deinit(&log);
}

static void an_extent_of_lower_epochs_is_as_good_as_a_gap(void **state)
{
	struct log log = LOG_NULL;

	(void)state;
	assert_true(extend(&log, 1, 0, 10, 5, 1000));
	assert_false(extend(&log, 2, 10, 20, 3, 2000));
	assert_int_equal(log.end, 10);
	log_deinit(&log);
}

static void a_rewritten_extent_is_cut_as_the_former_was(void **state)
{
	struct log log = LOG_NULL;
	struct log_extent next = {.from = 0, .to = 10, .segment = 1, .generation = 2, .place = 64, .size = 100};

	(void)state;
	assert_true(extend(&log, 1, 0, 10, 1, 1000));
	log.commit = 6;
	log_truncate(&log, 6, NULL);
	next.mark_count = 2;
	next.marks = calloc(2, sizeof *next.marks);
	assert_non_null(next.marks);
	next.marks[0] = (struct log_mark){4, 40};
	next.marks[1] = (struct log_mark){8, 80};
	log_move_extent(&log, &next);
	assert_int_equal(log_extent_in(&log, 1)->generation, 2);
	assert_int_equal(log_extent_in(&log, 1)->to, 6);
	assert_int_equal(log_extent_in(&log, 1)->size, 80);
	assert_int_equal(log_extent_in(&log, 1)->mark_count, 1);
	log_deinit(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_answers_like_an_array),
		cmocka_unit_test(entries_do_not_move_when_it_grows),
		cmocka_unit_test(no_memory_is_answered_and_changes_nothing),
		cmocka_unit_test(what_is_cut_is_dead_in_the_journal),
		cmocka_unit_test(a_start_puts_extents_end_to_end),
		cmocka_unit_test(a_start_ends_at_a_gap_and_goes_on_where_a_later_one_fits),
		cmocka_unit_test(a_start_cuts_where_a_segment_did),
		cmocka_unit_test(an_extent_of_lower_epochs_is_as_good_as_a_gap),
		cmocka_unit_test(a_rewritten_extent_is_cut_as_the_former_was),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}

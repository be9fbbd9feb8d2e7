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
	size_t count;
};

static struct log_entry entry_of(uint64_t base, uint16_t count, uint32_t epoch, uint64_t *random)
{
	return (struct log_entry){
		.base = base,
		.place = {(uint32_t)random_next(random), (uint32_t)random_next(random)},
		.epoch = epoch,
		.size = (uint32_t)random_next(random),
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

static void assert_answers(const struct log *log, const struct model *model, uint64_t *random)
{
	uint64_t end = model_end(model);
	uint64_t offset = random_below(random, end + 3);
	const struct log_entry *before = offset > 0 ? model_find(model, offset - 1) : NULL;
	uint32_t epoch = (uint32_t)random_below(random, log_last_epoch(log) + 3ull);
	uint32_t found[2];
	uint64_t ends[2];

	assert_int_equal(log->end, end);
	assert_int_equal(log->entry_count, model->count);
	assert_same(log_find(log, offset), model_find(model, offset));
	if (offset <= end)
		assert_int_equal(log_epoch_before(log, offset), before != NULL ? before->epoch : 0);
	log_epoch_end(log, epoch, &found[0], &ends[0]);
	model_epoch_end(model, epoch, &found[1], &ends[1]);
	assert_int_equal(found[0], found[1]);
	assert_int_equal(ends[0], ends[1]);
	assert_int_equal(log_last_epoch(log), model->count > 0 ? model->list[model->count - 1].epoch : 0);
	assert_int_equal(log_last_sequence(log), model->count > 0 ? model->list[model->count - 1].last_sequence : 0);
}

static void assert_walk(const struct log *log, const struct model *model)
{
	const struct log_entry *entry = log_find(log, 0);

	for (size_t i = 0; i < model->count; i++) {
		assert_same(entry, &model->list[i]);
		entry = log_next(log, entry);
	}
	assert_null(entry);
}

static void step(struct log *log, struct model *model, uint64_t *random)
{
	struct log_entry entry;
	size_t keep;

	switch (random_below(random, 24)) {
	case 0: /* cut */
		keep = (size_t)random_below(random, model->count + 1);
		keep = random_below(random, 8) == 0 ? keep : (keep > 0 ? model->count - model->count / keep / 64 : 0);
		if (keep < model->count && model->list[keep].base < log->commit)
			break;
		model->count = keep;
		log_truncate(log, model_end(model), NULL);
		break;
	case 1: log_advance_commit(log, log->commit + random_below(random, (log->end - log->commit) / 4 + 1)); break;
	case 2: assert_walk(log, model); break;
	default:
		if (model->count == sizeof model->list / sizeof model->list[0])
			break;
		entry = entry_of(log->end, (uint16_t)(1 + random_below(random, 5)),
				 log_last_epoch(log) + (random_below(random, 9) == 0 || log->end == 0), random);
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

		model->count = 0;
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
	struct log log = LOG_NULL;

	(void)state;
	assert_non_null(journal);
	for (int i = 0; i < 6; i++) { /* three segments */
		append_through(&log, journal, 1);
		write_all(journal);
	}
	log_advance_commit(&log, 2);
	log_truncate(&log, 2, journal);
	assert_int_equal(journal_next_delete(journal), 0);
	log_clear(&log, journal);
	assert_int_equal(log.end, 0);
	assert_int_equal(journal_next_delete(journal), 1);
	journal_delete_done(journal, 1);
	assert_int_equal(journal_next_delete(journal), 2);
	log_deinit(&log);
	journal_free(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_answers_like_an_array),
		cmocka_unit_test(entries_do_not_move_when_it_grows),
		cmocka_unit_test(no_memory_is_answered_and_changes_nothing),
		cmocka_unit_test(what_is_cut_is_dead_in_the_journal),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}

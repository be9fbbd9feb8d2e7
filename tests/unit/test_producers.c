/* Duplicates: which batch a partition takes next, and from whom (research schedules X1 to X9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "partition/producers.h"
#include "tests/unit/state_samples.h"

#define NOW SAMPLE_UNIX_MS
#define HOUR_MS (3600ull * 1000)

struct fixture {
	struct producers producers;
	uint64_t offset;
	uint64_t time_ms;
};

static int fixture_setup(void **data)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->time_ms = NOW;
	*data = f;
	return 0;
}

static int fixture_teardown(void **data)
{
	struct fixture *f = *data;

	assert_int_equal(f->producers.digest, producers_digest_recompute(&f->producers));
	producers_deinit(&f->producers);
	producers_deinit(&f->producers);
	free(f);
	return 0;
}

/* A batch of two records whose bytes are told by `checksum`. */
static struct batch batch_of(struct fixture *f, uint64_t id, uint16_t epoch, uint32_t number, uint64_t checksum)
{
	return (struct batch){
		.producer_id = id,
		.producer_epoch = epoch,
		.number = number,
		.checksum = checksum,
		.record_count = 2,
		.base_offset = f->offset,
		.base_sequence = f->offset * 10,
		.ingest_time_us = f->time_ms * 1000,
	};
}

static struct batch apply(struct fixture *f, uint64_t id, uint16_t epoch, uint32_t number)
{
	struct batch batch = batch_of(f, id, epoch, number, number * 100);

	f->offset += 2;
	assert_int_equal(producers_apply(&f->producers, &batch), 0);
	return batch;
}

static struct batch append(struct fixture *f, uint64_t id, uint16_t epoch, uint32_t number)
{
	struct batch batch = batch_of(f, id, epoch, number, number * 100);

	f->offset += 2;
	assert_int_equal(producers_tail_add(&f->producers, &batch), 0);
	return batch;
}

static enum producer_verdict check_bytes(struct fixture *f, uint64_t id, uint16_t epoch, uint32_t number,
					 uint64_t checksum, uint64_t *offset)
{
	struct batch batch = batch_of(f, id, epoch, number, checksum);
	struct producer_answer answer;
	enum producer_verdict verdict = producers_check(&f->producers, &batch, f->time_ms, &answer);

	*offset = answer.base_offset;
	if (verdict == PRODUCER_DUPLICATE) {
		assert_int_equal(answer.record_count, 2);
		assert_int_equal(answer.base_sequence, answer.base_offset * 10);
	}
	return verdict;
}

static enum producer_verdict check(struct fixture *f, uint64_t id, uint16_t epoch, uint32_t number)
{
	uint64_t offset;

	return check_bytes(f, id, epoch, number, number * 100, &offset);
}

static uint64_t id_at(uint64_t unix_ms)
{
	return producer_id_make(unix_ms, 1, 1);
}

static void test_only_the_next_number_is_taken(void **data)
{
	struct fixture *f = *data;
	uint64_t id = id_at(NOW);

	assert_int_equal(check(f, id, 0, 1), PRODUCER_NEXT);
	assert_int_equal(check(f, id, 0, 2), PRODUCER_UNKNOWN);
	apply(f, id, 0, 1);
	assert_int_equal(check(f, id, 0, 2), PRODUCER_NEXT);
	assert_int_equal(check(f, id, 0, 3), PRODUCER_GAP);
	assert_int_equal(check(f, id, 0, 0), PRODUCER_GAP);
	assert_int_equal(check(f, 0, 0, 0), PRODUCER_NEXT);
}

static void test_a_duplicate_gets_the_originals_answer(void **data)
{
	struct fixture *f = *data;
	uint64_t id = id_at(NOW);
	uint64_t offset;

	for (uint32_t n = 1; n <= 20; n++)
		apply(f, id, 0, n);
	for (uint32_t n = 13; n <= 20; n++) {
		assert_int_equal(check_bytes(f, id, 0, n, n * 100, &offset), PRODUCER_DUPLICATE);
		assert_int_equal(offset, (n - 1) * 2);
		assert_int_equal(check_bytes(f, id, 0, n, n * 100 + 1, &offset), PRODUCER_CONFLICT);
	}
	assert_int_equal(check(f, id, 0, 12), PRODUCER_UNKNOWN);
}

static void test_a_higher_epoch_fences_and_goes_on_counting(void **data)
{
	struct fixture *f = *data;
	uint64_t id = id_at(NOW);

	apply(f, id, 3, 1);
	apply(f, id, 3, 2);
	assert_int_equal(check(f, id, 4, 1), PRODUCER_GAP);
	assert_int_equal(check(f, id, 4, 2), PRODUCER_GAP);
	assert_int_equal(check(f, id, 4, 4), PRODUCER_GAP);
	assert_int_equal(check(f, id, 4, 3), PRODUCER_NEXT);
	apply(f, id, 4, 3);
	assert_int_equal(check(f, id, 3, 4), PRODUCER_FENCED);
	assert_int_equal(check(f, id, 3, 2), PRODUCER_FENCED);
	assert_int_equal(check(f, id, 4, 4), PRODUCER_NEXT);
}

static void test_the_tail_decides_and_is_dropped(void **data)
{
	struct fixture *f = *data;
	uint64_t id = id_at(NOW);
	uint64_t other = id_at(NOW + 1);
	uint64_t digest;
	uint64_t offset;
	struct batch third;

	apply(f, id, 0, 1);
	apply(f, id, 0, 2);
	digest = f->producers.digest;
	third = append(f, id, 0, 3);
	append(f, id, 1, 4);
	append(f, other, 0, 1);
	assert_int_equal(check(f, id, 1, 5), PRODUCER_NEXT);
	assert_int_equal(check(f, id, 0, 5), PRODUCER_FENCED);
	assert_int_equal(check_bytes(f, id, 1, 4, 400, &offset), PRODUCER_DUPLICATE);
	assert_int_equal(check_bytes(f, id, 1, 2, 200, &offset), PRODUCER_DUPLICATE);
	assert_int_equal(check(f, other, 0, 2), PRODUCER_NEXT);
	assert_int_equal(f->producers.digest, digest);
	producers_tail_clear(&f->producers);
	assert_int_equal(check(f, id, 0, 3), PRODUCER_NEXT);
	assert_int_equal(check(f, id, 0, 5), PRODUCER_GAP);
	assert_int_equal(check(f, other, 0, 2), PRODUCER_UNKNOWN);
	assert_int_equal(check(f, other, 0, 1), PRODUCER_NEXT);
	assert_int_equal(f->producers.table.count, 1);
	assert_int_equal(producers_tail_add(&f->producers, &third), 0);
	assert_int_equal(producers_apply(&f->producers, &third), 0);
	assert_null(f->producers.tails);
	assert_int_equal(check(f, id, 0, 4), PRODUCER_NEXT);
}

static void test_what_has_expired_is_never_adopted(void **data)
{
	struct fixture *f = *data;
	uint64_t id = id_at(NOW);
	uint64_t ahead = id_at(NOW + 30 * HOUR_MS); /* from a clock that runs ahead */

	apply(f, id, 0, 1);
	apply(f, ahead, 0, 1);
	f->time_ms = NOW + 24 * HOUR_MS;
	assert_int_equal(check(f, id, 0, 2), PRODUCER_NEXT);
	f->time_ms = NOW + 24 * HOUR_MS + 1;
	assert_int_equal(check(f, id, 0, 2), PRODUCER_NEXT); /* the log's own time stands still */
	apply(f, id_at(f->time_ms), 0, 1);
	assert_int_equal(check(f, id, 0, 2), PRODUCER_UNKNOWN);
	assert_int_equal(check(f, id, 0, 1), PRODUCER_UNKNOWN);
	assert_int_equal(check(f, ahead, 0, 2), PRODUCER_NEXT);
	assert_int_equal(check(f, id_at(NOW), 0, 1), PRODUCER_UNKNOWN);
	assert_int_equal(f->producers.count, 2);
	f->time_ms = NOW + 54 * HOUR_MS + 1;
	apply(f, id_at(f->time_ms), 0, 1);
	assert_int_equal(check(f, ahead, 0, 1), PRODUCER_UNKNOWN);
}

static void test_use_keeps_a_producer(void **data)
{
	struct fixture *f = *data;
	uint64_t id = id_at(NOW);

	for (uint32_t n = 1; n <= 10; n++) {
		apply(f, id, 0, n);
		f->time_ms += 20 * HOUR_MS;
	}
	assert_int_equal(check(f, id, 0, 11), PRODUCER_NEXT);
	assert_int_equal(f->producers.count, 1);
}

/* Time that runs backward, from a primary to the next, does not move the log's time. */
static void test_the_logs_time_never_falls(void **data)
{
	struct fixture *f = *data;

	apply(f, id_at(NOW), 0, 1);
	f->time_ms -= 10 * HOUR_MS;
	apply(f, id_at(NOW + 1), 0, 1);
	assert_int_equal(f->producers.log_ms, NOW);
	assert_int_equal(f->producers.newest->used_ms, NOW);
}

static void test_many_expire_in_small_steps(void **data)
{
	struct fixture *f = *data;

	for (uint32_t i = 0; i < 1000; i++)
		apply(f, producer_id_make(NOW, 1, i), 0, 1);
	f->time_ms += 30 * HOUR_MS;
	apply(f, id_at(f->time_ms), 0, 1);
	assert_int_equal(f->producers.count, 1001 - PRODUCER_EXPIRED_MAX);
	assert_int_equal(check(f, producer_id_make(NOW, 1, 999), 0, 2), PRODUCER_UNKNOWN);
	for (uint32_t i = 2; i < 20; i++)
		apply(f, id_at(f->time_ms), 0, i);
	assert_int_equal(f->producers.count, 1);
}

static void test_a_full_table_refuses_new_producers_until_old_ones_expire(void **data)
{
	struct fixture *f = *data;

	for (uint32_t i = 0; i < PRODUCERS_MAX; i++)
		apply(f, producer_id_make(NOW + i / 4096, i % 4096 / 1024 + 1, i % 4096), 0, 1);
	assert_int_equal(f->producers.count, PRODUCERS_MAX);
	assert_int_equal(check(f, producer_id_make(NOW + 50, 9, 1), 0, 1), PRODUCER_FULL);
	assert_int_equal(check(f, producer_id_make(NOW, 1, 0), 0, 2), PRODUCER_NEXT);
	f->time_ms += 25 * HOUR_MS;
	assert_int_equal(check(f, id_at(f->time_ms), 0, 1), PRODUCER_NEXT);
}

static void test_encoding_keeps_everything(void **data)
{
	struct fixture *f = *data;
	struct producers copy = {0};
	struct buffer bytes = BUFFER_NULL;
	struct reader in;

	for (uint32_t i = 0; i < 50; i++)
		for (uint32_t n = 1; n <= i % 12 + 1; n++, f->time_ms += 7)
			apply(f, producer_id_make(NOW, 1, i), (uint16_t)(i % 3), n);
	append(f, producer_id_make(NOW, 1, 3), 0, 5);
	producers_encode(&f->producers, &bytes);
	in = reader_of(buffer_span(&bytes));
	assert_int_equal(producers_decode(&copy, &in), 0);
	assert_true(reader_done(&in));
	assert_int_equal(copy.digest, f->producers.digest);
	assert_int_equal(producers_digest_recompute(&copy), f->producers.digest);
	assert_int_equal(copy.oldest->id, f->producers.oldest->id);
	assert_int_equal(copy.log_ms, f->producers.log_ms);
	for (size_t cut = 0; cut < bytes.size; cut++) {
		struct producers part = {0};

		in = reader_of(span_of(bytes.data, cut));
		assert_int_equal(producers_decode(&part, &in), ERROR_MALFORMED);
		producers_deinit(&part);
	}
	producers_deinit(&copy);
	buffer_deinit(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		CASE(test_only_the_next_number_is_taken),
		CASE(test_a_duplicate_gets_the_originals_answer),
		CASE(test_a_higher_epoch_fences_and_goes_on_counting),
		CASE(test_the_tail_decides_and_is_dropped),
		CASE(test_what_has_expired_is_never_adopted),
		CASE(test_use_keeps_a_producer),
		CASE(test_the_logs_time_never_falls),
		CASE(test_many_expire_in_small_steps),
		CASE(test_a_full_table_refuses_new_producers_until_old_ones_expire),
		CASE(test_encoding_keeps_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The search in a sealed segment's key index, against the list it was made from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "partition/key_probe.h"
#include "proto/checksum.h"
#include "proto/error.h"
#include "tests/unit/random.h"

#define PLACE 4096u

struct sample { /* an index and what it was made from */
	struct buffer bytes;
	struct key_index index;
	uint64_t *hashes;
	uint32_t *counts;
	uint32_t reads; /* of the last search */
};

static int compare_hashes(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return (*x > *y) - (*x < *y);
}

/* Key i has counts[i] offsets: i, i + keys, i + 2 keys, ... */
static void sample_make(struct sample *sample, uint32_t keys, uint32_t most, uint64_t seed)
{
	uint32_t list = 0;

	*sample = (struct sample){.index = {.place = PLACE, .keys = keys}};
	sample->hashes = calloc(keys, sizeof *sample->hashes);
	sample->counts = calloc(keys, sizeof *sample->counts);
	assert_true(sample->hashes != NULL && sample->counts != NULL);
	for (uint32_t i = 0; i < keys; i++)
		sample->hashes[i] = random_next(&seed);
	qsort(sample->hashes, keys, sizeof *sample->hashes, compare_hashes);
	for (uint32_t i = 0; i < keys; i++) {
		uint32_t count = 1 + (uint32_t)random_below(&seed, most);

		sample->counts[i] = count;
		buffer_u64(&sample->bytes, sample->hashes[i]);
		buffer_u32(&sample->bytes, count);
		buffer_u32(&sample->bytes, count == 1 ? i : list);
		list += count == 1 ? 0 : count;
	}
	for (uint32_t i = 0; i < keys; i++)
		for (uint32_t k = 0; sample->counts[i] > 1 && k < sample->counts[i]; k++)
			buffer_u32(&sample->bytes, i + k * keys);
	sample->index.occurrences = list;
	sample->index.checksum = checksum_parts(&(struct span){sample->bytes.data, sample->bytes.size}, 1);
}

static void sample_free(struct sample *sample)
{
	buffer_deinit(&sample->bytes);
	free(sample->hashes);
	free(sample->counts);
}

static int search(struct sample *sample, struct key_probe *probe, uint64_t hash, uint32_t bound, bool reverse)
{
	uint64_t place;
	uint32_t length;
	int rv = 0;

	sample->reads = 0;
	key_probe_begin(probe, &sample->index, hash, bound, reverse);
	while (rv == 0 && key_probe_wants(probe, &place, &length)) {
		assert_true(place >= PLACE && place - PLACE + length <= sample->bytes.size);
		assert_true(length <= KEY_PROBE_WHOLE_BYTES);
		rv = key_probe_take(probe, span_of(sample->bytes.data + (place - PLACE), length));
		sample->reads++;
	}
	return rv;
}

/* All offsets of a key, run by run, in either direction. */
static void check_key(struct sample *sample, uint32_t key, bool reverse)
{
	struct key_probe probe = KEY_PROBE_NULL;
	uint32_t bound = reverse ? UINT32_MAX : 0;
	uint32_t seen = 0;
	bool more = true;

	while (more) {
		uint32_t count;

		assert_int_equal(search(sample, &probe, sample->hashes[key], bound, reverse), 0);
		count = key_probe_count(&probe);
		for (uint32_t i = 0; i < count; i++) {
			uint32_t hit = key_probe_hit(&probe, reverse ? count - 1 - i : i);
			uint32_t at = reverse ? sample->counts[key] - 1 - seen : seen;

			assert_int_equal(hit, key + at * sample->index.keys);
			bound = reverse ? hit : hit + 1;
			seen++;
		}
		more = probe.more;
		assert_true(!more || count > 0);
	}
	assert_int_equal(seen, sample->counts[key]);
	key_probe_deinit(&probe);
}

static void every_key_of_an_index_is_found(void **state)
{
	static const uint32_t sizes[] = {1, 2, 300, 5000, 40000, 120000};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct sample sample;

		sample_make(&sample, sizes[i], 5, i + 1);
		for (uint32_t key = 0; key < sizes[i]; key += 1 + sizes[i] / 700) {
			check_key(&sample, key, false);
			check_key(&sample, key, true);
		}
		sample_free(&sample);
	}
}

static void a_hash_that_is_not_there_has_no_hits_after_few_reads(void **state)
{
	struct key_probe probe = KEY_PROBE_NULL;
	struct sample sample;
	uint64_t seed = 5;
	uint32_t reads = 0;

	(void)state;
	sample_make(&sample, 100000, 3, 9);
	for (uint32_t i = 0; i < 2000; i++) {
		assert_int_equal(search(&sample, &probe, random_next(&seed), 0, false), 0);
		assert_int_equal(key_probe_count(&probe), 0);
		reads += sample.reads;
		assert_true(sample.reads <= 6);
	}
	assert_true(reads < 2400); /* mostly the first page */
	key_probe_deinit(&probe);
	sample_free(&sample);
}

static void a_key_of_many_events_is_found_by_halving(void **state)
{
	struct key_probe probe = KEY_PROBE_NULL;
	struct sample sample;

	(void)state;
	sample_make(&sample, 2, 1, 3);
	sample.counts[1] = 300000;
	sample.index.occurrences = 300000;
	buffer_clear(&sample.bytes);
	buffer_u64(&sample.bytes, sample.hashes[0]);
	buffer_u32(&sample.bytes, 1);
	buffer_u32(&sample.bytes, 0);
	buffer_u64(&sample.bytes, sample.hashes[1]);
	buffer_u32(&sample.bytes, 300000);
	buffer_u32(&sample.bytes, 0);
	for (uint32_t k = 0; k < 300000; k++)
		buffer_u32(&sample.bytes, 1 + 2 * k);
	check_key(&sample, 1, false);
	check_key(&sample, 1, true);
	for (uint32_t bound = 0; bound < 600010; bound += 997) {
		assert_int_equal(search(&sample, &probe, sample.hashes[1], bound, false), 0);
		assert_true(sample.reads <= 8);
		if (bound <= 599999)
			assert_int_equal(key_probe_hit(&probe, 0), bound | 1);
		else
			assert_int_equal(key_probe_count(&probe), 0);
		assert_int_equal(search(&sample, &probe, sample.hashes[1], bound, true), 0);
		if (bound >= 2 && bound < 600000)
			assert_int_equal(key_probe_hit(&probe, key_probe_count(&probe) - 1), (bound - 2) | 1);
	}
	key_probe_deinit(&probe);
	sample_free(&sample);
}

static void a_rotten_index_is_refused_or_ends(void **state)
{
	static const uint32_t sizes[] = {500, 60000};
	struct key_probe probe = KEY_PROBE_NULL;
	uint64_t seed = 77;

	(void)state;
	for (size_t s = 0; s < 2; s++) {
		struct sample sample;

		sample_make(&sample, sizes[s], 4, s);
		for (uint32_t i = 0; i < 500; i++) {
			size_t at = (size_t)random_below(&seed, sample.bytes.size);
			uint8_t held = sample.bytes.data[at];
			int rv;

			sample.bytes.data[at] ^= (uint8_t)(1 + random_below(&seed, 255));
			rv = search(&sample, &probe, sample.hashes[random_below(&seed, sizes[s])], 0, i % 2 == 0);
			assert_true(s == 1 ? rv == 0 || rv == ERROR_MALFORMED : rv == ERROR_CHECKSUM);
			sample.bytes.data[at] = held;
		}
		sample_free(&sample);
	}
	key_probe_deinit(&probe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_of_an_index_is_found),
		cmocka_unit_test(a_hash_that_is_not_there_has_no_hits_after_few_reads),
		cmocka_unit_test(a_key_of_many_events_is_found_by_halving),
		cmocka_unit_test(a_rotten_index_is_refused_or_ends),
	};

	return cmocka_run_group_tests_name("key_probe", tests, NULL, NULL);
}

/* Sets of bits against an array of bool: members, walks in order and in a round, from everywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "partition/bits.h"
#include "tests/unit/random.h"

#define COUNT 271u

struct world {
	uint64_t random;
	uint64_t set[BIT_WORDS(COUNT)];
	bool model[COUNT];
};

static void fill(struct world *world, uint32_t members)
{
	memset(world->set, 0, sizeof world->set);
	memset(world->model, 0, sizeof world->model);
	for (uint32_t n = 0; n < members; n++) {
		uint32_t i = (uint32_t)random_below(&world->random, COUNT);

		bit_set(world->set, i);
		world->model[i] = true;
		i = (uint32_t)random_below(&world->random, COUNT);
		if (n % 4 == 0) {
			bit_clear(world->set, i);
			world->model[i] = false;
		}
	}
}

static uint32_t model_next(const struct world *world, uint32_t first, uint32_t from, uint32_t count)
{
	while (from < count && !world->model[(first + from) % count])
		from++;
	return from;
}

static void walks_meet_the_members_in_order(void **state)
{
	static const uint32_t counts[] = {1, 63, 64, 65, 128, 135, 256, COUNT};
	struct world world = {.random = 1};

	(void)state;
	for (uint32_t members = 0; members < 400; members += 1 + members / 4) {
		fill(&world, members);
		for (uint32_t i = 0; i < COUNT; i++)
			assert_int_equal(bit_is_set(world.set, i), world.model[i]);
		for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
			uint32_t count = counts[c];

			assert_int_equal(bit_any(world.set, count), model_next(&world, 0, 0, count) < count);
			for (uint32_t from = 0; from <= count; from++)
				assert_int_equal(bit_next(world.set, from, count), model_next(&world, 0, from, count));
			for (uint32_t first = 0; first < count; first++)
				for (uint32_t from = 0; from <= count; from += 1 + from % 7)
					assert_int_equal(bit_next_round(world.set, first, from, count),
							 model_next(&world, first, from, count));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_meet_the_members_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

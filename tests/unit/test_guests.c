/* Guests of a ROUTER: found by routing id and by name, forgotten by silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/guests.h"

#include <stdio.h>

#define CAPACITY 8u

static int set_up(void **state)
{
	static struct guests guests;

	*state = &guests;
	return guests_init(&guests, CAPACITY);
}

static int tear_down(void **state)
{
	guests_deinit(*state);
	return 0;
}

static struct guest *put(struct guests *guests, uint32_t number, uint64_t *gone)
{
	char id[16];

	snprintf(id, sizeof id, "guest-%u", number);
	return guests_put(guests, span_of_text(id), gone);
}

static struct guest *find(struct guests *guests, uint32_t number)
{
	char id[16];

	snprintf(id, sizeof id, "guest-%u", number);
	return guests_find(guests, span_of_text(id));
}

static void a_guest_is_found_by_id_and_by_name(void **state)
{
	uint64_t gone;
	struct guest *guest = put(*state, 1, &gone);

	assert_non_null(guest);
	assert_ptr_equal(find(*state, 1), guest);
	assert_ptr_equal(guests_by_name(*state, guest->name), guest);
	assert_null(find(*state, 2));
	assert_null(guests_by_name(*state, guest->name + (1ull << 32)));
	assert_null(guests_by_name(*state, 0));
}

static void a_known_guest_keeps_its_name(void **state)
{
	uint64_t gone;
	uint64_t name = put(*state, 1, &gone)->name;

	assert_true(put(*state, 1, &gone)->name == name);
	assert_int_equal(gone, 0);
}

static void a_name_is_never_used_again(void **state)
{
	uint64_t gone;
	uint64_t name = put(*state, 1, &gone)->name;

	guests_remove(*state, find(*state, 1));
	assert_null(guests_by_name(*state, name));
	assert_true(put(*state, 1, &gone)->name != name);
}

static void the_longest_silent_one_leaves_for_a_new_one(void **state)
{
	uint64_t gone, first;

	for (uint32_t i = 0; i < CAPACITY; i++)
		put(*state, i, &gone);
	first = find(*state, 1)->name;
	guests_touch(*state, find(*state, 0), 5);
	put(*state, 100, &gone);
	assert_true(gone == first);
	assert_null(find(*state, 1));
	assert_non_null(find(*state, 0));
}

static void ids_too_long_or_empty_are_refused(void **state)
{
	uint8_t id[GUEST_ID_BYTES + 1] = {1};
	uint64_t gone;

	assert_null(guests_put(*state, span_of(id, sizeof id), &gone));
	assert_null(guests_put(*state, SPAN_NULL, &gone));
	assert_non_null(guests_put(*state, span_of(id, GUEST_ID_BYTES), &gone));
}

/* Random puts, touches and removals against a list in order of silence. */
static void it_behaves_like_a_list(void **state)
{
	uint32_t model[CAPACITY], count = 0, seed = 7;
	uint64_t gone;

	for (uint32_t step = 0; step < 20000; step++) {
		uint32_t number = (seed = seed * 1664525u + 1013904223u) >> 27, place = 0;
		struct guest *guest = find(*state, number);

		while (place < count && model[place] != number)
			place++;
		assert_int_equal(guest != NULL, place < count);
		if (guest != NULL) { /* leaves its place, and comes back last unless it is removed */
			memmove(model + place, model + place + 1, (--count - place) * sizeof model[0]);
		} else if (count == CAPACITY) {
			memmove(model, model + 1, --count * sizeof model[0]);
		}
		if (guest != NULL && (seed & 0x10000) != 0) {
			guests_remove(*state, guest);
			continue;
		}
		guest = put(*state, number, &gone);
		guests_touch(*state, guest, step);
		model[count++] = number;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_guest_is_found_by_id_and_by_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_known_guest_keeps_its_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_name_is_never_used_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_longest_silent_one_leaves_for_a_new_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ids_too_long_or_empty_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_behaves_like_a_list, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

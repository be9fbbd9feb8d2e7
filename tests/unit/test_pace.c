/* Copies give way to events, and come to an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "partition/pace.h"

#define MIB (UINT64_C(1) << 20)

struct situation {
	struct pace pace;
	struct histogram completions;
	uint64_t appended;
	uint64_t now_ms;
};

static struct situation begun(uint64_t fixed)
{
	struct situation situation = {.now_ms = 1000};

	pace_init(&situation.pace, fixed);
	pace_turn(&situation.pace, situation.now_ms, &situation.completions, 0);
	return situation;
}

/* A second of turns in which 1000 completions take so long each, and all is sent that may be. What was sent. */
static uint64_t second(struct situation *situation, uint64_t completion_us, uint64_t appended, bool copies)
{
	uint64_t sent = 0;

	for (uint32_t i = 0; i < 100; i++) {
		for (uint32_t k = 0; k < 10; k++)
			histogram_count(&situation->completions, completion_us);
		situation->appended += appended / 100;
		situation->now_ms += 10;
		pace_turn(&situation->pace, situation->now_ms, &situation->completions, situation->appended);
		for (; copies && pace_permits(&situation->pace); sent += 65536)
			pace_take(&situation->pace, 65536);
	}
	return sent;
}

static void a_fixed_rate_is_kept(void **state)
{
	struct situation situation = begun(8 * MIB);
	uint64_t sent = 0;

	(void)state;
	for (uint32_t i = 0; i < 10; i++)
		sent += second(&situation, 1000 * (i + 1), 0, true);
	assert_in_range(sent, 79 * MIB, 82 * MIB);
}

static void what_is_not_used_is_not_saved_up(void **state)
{
	struct situation situation = begun(8 * MIB);

	(void)state;
	second(&situation, 1000, 0, false);
	second(&situation, 1000, 0, false);
	assert_in_range(second(&situation, 1000, 0, true), 8 * MIB, 9 * MIB);
}

static void slower_completions_slow_the_copies_down_and_others_let_them_grow(void **state)
{
	struct situation situation = begun(0);
	uint64_t first = 0;
	uint64_t slow = 0;

	(void)state;
	second(&situation, 1000, 0, false);
	second(&situation, 1000, 0, false);
	for (uint32_t i = 0; i < 6; i++)
		first = second(&situation, 1000, 0, true);
	for (uint32_t i = 0; i < 8; i++)
		slow = second(&situation, 100000, 0, true);
	assert_true(slow * 10 < first);
	for (uint32_t i = 0; i < 30; i++)
		slow = second(&situation, 1000, 0, true);
	assert_true(slow > first);
}

static void copies_outrun_what_is_published(void **state)
{
	struct situation situation = begun(0);
	uint64_t sent = 0;

	(void)state;
	second(&situation, 1000, 10 * MIB, false);
	for (uint32_t i = 0; i < 20; i++)
		sent = second(&situation, 500000, 10 * MIB, true);
	assert_true(sent > 39 * MIB);
	situation = begun(MIB);
	second(&situation, 1000, 10 * MIB, true);
	assert_true(second(&situation, 1000, 10 * MIB, true) > 39 * MIB);
}

static void copies_begin_slowly_after_a_pause_and_go_on_after_a_short_one(void **state)
{
	struct situation situation = begun(0);
	uint64_t first = second(&situation, 1000, 0, true);
	uint64_t later = 0;

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		later = second(&situation, 1000, 0, true);
	assert_true(later > 16 * first);
	for (uint32_t i = 0; i < 3; i++)
		second(&situation, 1000, 0, false);
	assert_true(second(&situation, 1000, 0, true) >= later);
	for (uint32_t i = 0; i <= PACE_QUIET_SECONDS; i++)
		second(&situation, 1000, 0, false);
	assert_in_range(second(&situation, 1000, 0, true), first - MIB, first + MIB);
}

static void what_a_bulk_load_permitted_ends_with_it(void **state)
{
	struct situation situation = begun(0);
	uint64_t first;

	(void)state;
	second(&situation, 1000, 0, false);
	first = second(&situation, 1000, 0, true);
	for (uint32_t i = 0; i < 3; i++)
		second(&situation, 1000, 100 * MIB, false);
	second(&situation, 1000, 0, false);
	assert_true(second(&situation, 1000, 0, true) < 4 * first);
}

/* Neither a second of luck nor the few of a fail-over. */
static void what_is_usual_is_no_single_second(void **state)
{
	struct situation situation = begun(0);
	uint64_t sent = 0;
	uint64_t first;

	(void)state;
	for (uint32_t i = 0; i < 6; i++)
		second(&situation, 20000, 0, false);
	second(&situation, 400000, 0, false);
	second(&situation, 1000, 0, false);
	first = second(&situation, 20000, 0, true);
	for (uint32_t i = 0; i < 8; i++)
		sent = second(&situation, 20000, 0, true);
	assert_true(sent > first);
	first = sent;
	for (uint32_t i = 0; i < 12; i++)
		sent = second(&situation, 400000, 0, true);
	assert_true(sent * 10 < first);
}

static void without_events_copies_go_on(void **state)
{
	struct situation situation = begun(0);

	(void)state;
	for (uint32_t i = 0; i < 400; i++) {
		situation.now_ms += 10;
		pace_turn(&situation.pace, situation.now_ms, &situation.completions, 0);
		while (pace_permits(&situation.pace))
			pace_take(&situation.pace, MIB);
	}
	assert_true(situation.pace.sent_total > 32 * MIB);
}

static void a_wait_is_as_long_as_it_must_be(void **state)
{
	struct situation situation = begun(MIB);

	(void)state;
	situation.now_ms += 10;
	pace_turn(&situation.pace, situation.now_ms, &situation.completions, 0);
	pace_take(&situation.pace, 2 * MIB);
	situation.now_ms += pace_wait_ms(&situation.pace) - 1;
	assert_in_range(situation.now_ms, 2900, 3010);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fixed_rate_is_kept),
		cmocka_unit_test(what_is_not_used_is_not_saved_up),
		cmocka_unit_test(slower_completions_slow_the_copies_down_and_others_let_them_grow),
		cmocka_unit_test(copies_outrun_what_is_published),
		cmocka_unit_test(copies_begin_slowly_after_a_pause_and_go_on_after_a_short_one),
		cmocka_unit_test(what_a_bulk_load_permitted_ends_with_it),
		cmocka_unit_test(what_is_usual_is_no_single_second),
		cmocka_unit_test(without_events_copies_go_on),
		cmocka_unit_test(a_wait_is_as_long_as_it_must_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

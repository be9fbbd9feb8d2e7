/* Who is limited for what fails, and until when: node/handshakes.h. */
#include "node/handshakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LIMIT 100u

static struct peer_address of(uint32_t number)
{
	return (struct peer_address){.bits = 0x0a000000u + number, .family = 4};
}

static int start(void **state)
{
	static struct handshakes handshakes;

	handshakes_init(&handshakes, LIMIT);
	*state = &handshakes;
	return 0;
}

/* From `source`, one after the other, in so many milliseconds. */
static void fail_some(struct handshakes *handshakes, const struct peer_address *source, uint32_t count,
		      uint64_t *now_ms, uint64_t in_ms)
{
	for (uint32_t i = 1; i <= count; i++)
		handshakes_failed(handshakes, source, *now_ms + in_ms * i / count);
	*now_ms += in_ms;
}

static void expect(struct handshakes *handshakes, uint32_t limited, bool all)
{
	struct syn_filter filter;

	handshakes_filter(handshakes, &filter);
	assert_int_equal(filter.limited_count, limited);
	assert_int_equal(filter.all, all);
	assert_int_equal(filter.share<SYN_FILTER_WHOLE, limited> 0 || all);
	assert_false(handshakes->changed);
}

static void who_fails_seldom_is_left_alone(void **state)
{
	struct handshakes *handshakes = *state;
	struct peer_address source = of(1);
	uint64_t now_ms = 1000;

	fail_some(handshakes, &source, LIMIT, &now_ms, 0); /* all at once, a deployment with the wrong key */
	for (uint32_t second = 0; second < 100; second++)
		fail_some(handshakes, &source, LIMIT, &now_ms, 1001);
	assert_false(handshakes->changed);
	expect(handshakes, 0, false);
	assert_int_equal(handshakes->failed, LIMIT * 101u);
}

static void who_fails_often_is_limited_alone(void **state)
{
	struct handshakes *handshakes = *state;
	struct peer_address bad = of(1), clumsy = of(2);
	uint64_t now_ms = 1000;

	for (uint32_t i = 0; i < 6; i++) {
		fail_some(handshakes, &bad, 20, &now_ms, 20);
		fail_some(handshakes, &clumsy, 1, &now_ms, 0);
	}
	assert_true(handshakes->changed);
	expect(handshakes, 1, false);
	assert_true(peer_address_equal(&handshakes->limited[0], &bad));
}

/* Of a flood of `offered` a second from there what the share lets in fails. The seconds until nobody is limited, or
 * `seconds`. */
static uint32_t flood(struct handshakes *handshakes, uint32_t sources, uint32_t offered, uint32_t seconds,
		      uint64_t *now_ms)
{
	for (uint32_t second = 0; second < seconds; second++) {
		uint32_t let_in = (uint32_t)((uint64_t)offered * handshakes->share / SYN_FILTER_WHOLE);

		if (!handshakes_limits(handshakes))
			return second;
		for (uint32_t i = 0; i < let_in; i++) {
			struct peer_address source = of(i % sources);

			handshakes_failed(handshakes, &source, ++*now_ms);
		}
		*now_ms += let_in < HANDSHAKES_MEASURE_MS ? HANDSHAKES_MEASURE_MS - let_in : 0;
		handshakes_measure(handshakes, *now_ms);
	}
	return seconds;
}

static void of_a_flood_as_much_is_let_in_as_the_limit_says(void **state)
{
	struct handshakes *handshakes = *state;
	struct peer_address source = of(0);
	uint64_t now_ms = 1000;
	uint32_t let_in;

	for (uint32_t offered = 200; offered <= 200000; offered *= 10) {
		fail_some(handshakes, &source, 2 * LIMIT, &now_ms, 10);
		expect(handshakes, 1, false);
		assert_int_equal(flood(handshakes, 1, offered, 20, &now_ms), 20);
		let_in = (uint32_t)((uint64_t)offered * handshakes->share / SYN_FILTER_WHOLE);
		assert_in_range(let_in, LIMIT / 8 - 1, LIMIT / 4);
		assert_in_range(flood(handshakes, 1, 0, 30, &now_ms), 1, 17); /* the end is seen */
		expect(handshakes, 0, false);
	}
}

static void of_a_flood_from_everywhere_the_known_are_spared(void **state)
{
	struct handshakes *handshakes = *state;
	struct peer_address member = of(5000), newcomer = of(5001);
	uint64_t now_ms = 1000;
	struct syn_filter filter;

	handshakes_known(handshakes, &member, now_ms);
	for (uint32_t i = 0; i <= HANDSHAKES_ALL_FACTOR * LIMIT; i++) {
		struct peer_address source = of(i);

		fail_some(handshakes, &source, 1, &now_ms, 0);
	}
	expect(handshakes, 0, true);
	handshakes_filter(handshakes, &filter);
	assert_int_equal(filter.known_count, 1);
	assert_true(peer_address_equal(&filter.known[0], &member));
	assert_int_equal(flood(handshakes, 4000, 10000, 20, &now_ms), 20);
	expect(handshakes, 0, true);
	handshakes_known(handshakes, &newcomer, now_ms); /* who got in once */
	assert_true(handshakes->changed);
	handshakes_filter(handshakes, &filter);
	assert_int_equal(filter.known_count, 2);
	assert_in_range(flood(handshakes, 1, 0, 30, &now_ms), 1, 17);
	expect(handshakes, 0, false);
}

/* A node that is overrun looks too late to see whose the failures are; with fewer it does. */
static void a_source_that_shows_late_frees_the_others(void **state)
{
	const struct peer_address unknown = PEER_ADDRESS_UNKNOWN;
	struct handshakes *handshakes = *state;
	uint64_t now_ms = 1000;

	fail_some(handshakes, &unknown, HANDSHAKES_ALL_FACTOR * LIMIT + 10, &now_ms, 10);
	expect(handshakes, 0, true);
	flood(handshakes, 1, 10000, 3, &now_ms);
	expect(handshakes, 1, false);
}

/* It tries the keys of a cluster's nodes in turn. */
static void a_client_that_gets_in_in_the_end_is_not_limited(void **state)
{
	struct handshakes *handshakes = *state;
	struct peer_address source = of(1);
	uint64_t now_ms = 1000;

	for (uint32_t i = 0; i < 100; i++) {
		fail_some(handshakes, &source, LIMIT * 3 / 5, &now_ms, 320);
		handshakes_proven(handshakes, &source, now_ms);
	}
	expect(handshakes, 0, false);
}

static void a_known_source_is_limited_for_its_own_failures(void **state)
{
	struct handshakes *handshakes = *state;
	struct peer_address source = of(1);
	uint64_t now_ms = 1000;

	handshakes_known(handshakes, &source, now_ms);
	fail_some(handshakes, &source, LIMIT + 2, &now_ms, 10);
	expect(handshakes, 1, false);
}

/* ZeroMQ does not tell of each failure: who ends soon without having proven a key is one as well. */
static void who_proved_a_key_may_end(void **state)
{
	struct handshakes *handshakes = *state;
	struct peer_address client = of(1), silent = of(2);

	for (uint32_t i = 0; i < 1000; i++) {
		handshakes_proven(handshakes, &client, 1000);
		handshakes_ended(handshakes, &client, false, true, 1000);
	}
	assert_int_equal(handshakes->failed, 0);
	handshakes_ended(handshakes, &client, false, false, 1000); /* of long ago, forgotten meanwhile */
	assert_int_equal(handshakes->failed, 0);
	handshakes_ended(handshakes, &client, false, true, 1000); /* another than those */
	handshakes_ended(handshakes, &silent, false, true, 1000);
	handshakes_proven(handshakes, &client, 1000);
	handshakes_ended(handshakes, &client, true, true, 1000);
	assert_int_equal(handshakes->failed, 3);
}

static void more_sources_than_can_be_named_are_everybody(void **state)
{
	struct handshakes *handshakes = *state;
	uint64_t now_ms = 1000;

	for (uint32_t i = 0; i < SYN_FILTER_LIMITED_MAX + 10; i++) {
		struct peer_address source = of(i);

		fail_some(handshakes, &source, LIMIT + 2, &now_ms, 10);
	}
	expect(handshakes, SYN_FILTER_LIMITED_MAX, true);
}

static void without_a_limit_nobody_is_limited(void **state)
{
	struct handshakes *handshakes = *state;
	struct peer_address source = of(1);
	uint64_t now_ms = 1000;

	handshakes_init(handshakes, 0);
	fail_some(handshakes, &source, 100000, &now_ms, 1000);
	expect(handshakes, 0, false);
	assert_int_equal(handshakes->failed, 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(who_fails_seldom_is_left_alone, start),
		cmocka_unit_test_setup(who_fails_often_is_limited_alone, start),
		cmocka_unit_test_setup(of_a_flood_as_much_is_let_in_as_the_limit_says, start),
		cmocka_unit_test_setup(of_a_flood_from_everywhere_the_known_are_spared, start),
		cmocka_unit_test_setup(a_source_that_shows_late_frees_the_others, start),
		cmocka_unit_test_setup(a_client_that_gets_in_in_the_end_is_not_limited, start),
		cmocka_unit_test_setup(a_known_source_is_limited_for_its_own_failures, start),
		cmocka_unit_test_setup(who_proved_a_key_may_end, start),
		cmocka_unit_test_setup(more_sources_than_can_be_named_are_everybody, start),
		cmocka_unit_test_setup(without_a_limit_nobody_is_limited, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

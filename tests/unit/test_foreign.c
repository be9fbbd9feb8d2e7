/* Peers of other clusters are told of once each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "node/foreign.h"

static const uint8_t one[16] = {1};
static const uint8_t other[16] = {2};

static void each_is_told_once(void **state)
{
	struct foreign_peers peers = {0};

	(void)state;
	assert_true(foreign_peers_add(&peers, one, span_of_text("n1")));
	assert_false(foreign_peers_add(&peers, one, span_of_text("n1")));
	assert_true(foreign_peers_add(&peers, one, span_of_text("n2")));
	assert_true(foreign_peers_add(&peers, other, span_of_text("n1")));
	assert_false(foreign_peers_add(&peers, one, span_of_text("n2")));
	assert_int_equal(peers.count, 3);
}

static void beyond_the_bound_nobody_is_told(void **state)
{
	struct foreign_peers peers = {0};
	uint32_t told = 0;
	char name[16];

	(void)state;
	for (uint32_t i = 0; i < 2 * FOREIGN_PEERS_MAX; i++) {
		snprintf(name, sizeof name, "n%u", i);
		told += foreign_peers_add(&peers, one, span_of_text(name));
	}
	assert_int_equal(told, FOREIGN_PEERS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_told_once),
		cmocka_unit_test(beyond_the_bound_nobody_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

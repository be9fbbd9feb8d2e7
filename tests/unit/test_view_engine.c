/* The check that a node makes before it starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "partition/view_engine.h"
#include "proto/error.h"
#include "tests/unit/memory_fault.h"

static void test_this_machine_is_what_the_engine_says(void **data)
{
	(void)data;
	assert_int_equal(view_engine_check(), 0);
	assert_int_equal(view_engine_check(), 0);
}

/* Whatever memory is missing, the answer is never that all is well, nor that Lua is another. */
static void test_failing_memory_is_said_as_such(void **data)
{
	(void)data;
	for (size_t n = 1;; n += 1 + n / 64) {
		int rv;

		memory_fault_at(n);
		rv = view_engine_check();
		if (!memory_fault_off()) {
			assert_int_equal(rv, 0);
			break;
		}
		if (rv != ERROR_MEMORY)
			print_error("allocation %zu\n", n);
		assert_int_equal(rv, ERROR_MEMORY);
	}
}

/* Lua asks a second time for what it did not get: what that counts is not held against the function. */
static void test_memory_that_comes_back_is_no_other_lua(void **data)
{
	bool reached = true;

	(void)data;
	for (size_t n = 1; reached; n += 1 + n / 512) {
		int rv;

		memory_fault_once(n);
		rv = view_engine_check();
		reached = memory_fault_off();
		assert_true(rv == ERROR_MEMORY || rv == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_this_machine_is_what_the_engine_says),
		cmocka_unit_test(test_failing_memory_is_said_as_such),
		cmocka_unit_test(test_memory_that_comes_back_is_no_other_lua),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The checker of histories: what is linearizable, what is not and why, its bound, its text; and that it agrees with
 * trying every order on many small histories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/sim/linear.h"
#include "tests/unit/random.h"

#include <string.h>

#define STEPS 100000u
#define NO LINEAR_UNKNOWN
#define SMALL 7u

#define PUT(from, to, name) ((struct linear_operation){(from), (to), (name), NO, NO, LINEAR_PUT})
#define PUT_AT(from, to, name, place) ((struct linear_operation){(from), (to), (name), NO, (place), LINEAR_PUT})
#define PUT_IF(from, to, name, version) ((struct linear_operation){(from), (to), (name), (version), NO, LINEAR_PUT})
#define MERGE(from, to, name) ((struct linear_operation){(from), (to), (name), NO, NO, LINEAR_MERGE})
#define DELETE(from, to, name) ((struct linear_operation){(from), (to), (name), NO, NO, LINEAR_DELETE})
#define READ(from, to, name) ((struct linear_operation){(from), (to), (name), NO, NO, LINEAR_READ})
#define READ_VERSION(from, to, version) ((struct linear_operation){(from), (to), NO, (version), NO, LINEAR_READ})
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static enum linear_outcome outcome_of(const struct linear_operation *list, size_t count)
{
	struct linear_report report;

	return linear_check(list, count, STEPS, &report);
}

#define assert_linear(outcome, ...)                                       \
	do {                                                              \
		const struct linear_operation list[] = {__VA_ARGS__};     \
		assert_int_equal(outcome_of(list, COUNT(list)), outcome); \
	} while (0)

static void test_accepts(void **state)
{
	(void)state;
	assert_int_equal(outcome_of(NULL, 0), LINEAR_YES);
	assert_linear(LINEAR_YES, READ(1, 2, 0), READ_VERSION(1, 2, 0));
	assert_linear(LINEAR_YES, PUT(1, 2, 7), READ(3, 4, 7), READ_VERSION(3, 4, 1));
	assert_linear(LINEAR_YES, PUT(1, 5, 7), READ(2, 3, 0), READ(3, 4, 7)); /* while it is on its way: either */
	assert_linear(LINEAR_YES, PUT(1, 5, 7), PUT(2, 5, 8), READ(6, 7, 7), READ(6, 8, 7));
	assert_linear(LINEAR_YES, PUT(1, 2, 7), PUT(2, 3, 8), READ(4, 5, 7)); /* equal times overlap */
	assert_linear(LINEAR_YES, PUT_IF(1, 9, 7, 0), PUT_IF(2, 8, 8, 1), READ(9, 10, 8));
	assert_linear(LINEAR_YES, PUT(1, 2, 7), READ(1, NO, 9)); /* a question that was never answered */
}

static void test_refuses(void **state)
{
	(void)state;
	assert_linear(LINEAR_NO, PUT(1, 2, 7), PUT(3, 4, 8), READ(5, 6, 7));         /* a stale read */
	assert_linear(LINEAR_NO, PUT(1, 2, 7), PUT(3, 4, 8), READ_VERSION(5, 6, 1)); /* the same, by version */
	assert_linear(LINEAR_NO, PUT(1, 2, 7), READ(3, 4, 0));                       /* a lost write */
	assert_linear(LINEAR_NO, PUT(1, 9, 7), READ(2, 3, 7), READ(4, 5, 0));        /* seen, then unseen */
	assert_linear(LINEAR_NO, PUT(1, NO, 7), READ(2, 3, 7), READ(4, 5, 0));       /* the same, not answered */
	assert_linear(LINEAR_NO, PUT_IF(1, 9, 7, 3), PUT_IF(1, 9, 8, 3), PUT(1, 9, 1), PUT(1, 9, 2), PUT(1, 9, 3));
	assert_linear(LINEAR_NO, PUT_IF(1, 9, 7, 0), PUT_IF(1, 9, 8, 0)); /* both found the same version */
	assert_linear(LINEAR_NO, READ(1, 2, 7), PUT(3, 4, 7));            /* from the future */
	assert_linear(LINEAR_NO, READ(1, 2, 7));                          /* from nowhere */
	assert_linear(LINEAR_NO, PUT(1, 9, 7), PUT(1, 9, 8), READ(2, 3, 7), READ(4, 5, 8), READ(6, 7, 7));
	assert_linear(LINEAR_NO, PUT(1, 2, 7), READ_VERSION(3, 4, 2)); /* applied twice */
}

static void test_unknown_outcomes(void **state)
{
	(void)state;
	assert_linear(LINEAR_YES, PUT(1, NO, 7), READ(2, 3, 0), READ(90, 91, 7)); /* seen late */
	assert_linear(LINEAR_YES, PUT(1, NO, 7), READ(2, 3, 0), READ(90, 91, 0)); /* never */
	assert_linear(LINEAR_YES, PUT(1, NO, 7), PUT(1, NO, 8), PUT(1, NO, 9), READ_VERSION(5, 6, 2), READ(7, 8, 7));
	assert_linear(LINEAR_NO, PUT(1, NO, 7), PUT(1, NO, 8), READ_VERSION(5, 6, 2), READ(7, 8, 8), READ(9, 10, 7));
	assert_linear(LINEAR_NO, READ(1, 2, 7), PUT(3, NO, 7));
	assert_linear(LINEAR_NO, PUT_IF(1, NO, 7, 3), READ(2, 3, 7));
}

static void test_kinds(void **state)
{
	(void)state;
	assert_linear(LINEAR_YES, MERGE(1, 2, 7), READ(3, 4, 0), READ_VERSION(3, 4, 1));
	assert_linear(LINEAR_YES, PUT(1, 2, 6), MERGE(3, 4, 7), READ(5, 6, 7));
	assert_linear(LINEAR_YES, PUT(1, 2, 6), DELETE(3, 4, 7), READ(5, 6, 0), READ_VERSION(5, 6, 2));
	assert_linear(LINEAR_NO, MERGE(1, 2, 7), READ(3, 4, 7));
	assert_linear(LINEAR_NO, PUT(1, 2, 6), DELETE(3, 4, 7), READ(5, 6, 6));
	assert_linear(LINEAR_NO, PUT(1, 2, 6), DELETE(3, 4, 7), MERGE(5, 6, 8), READ(7, 8, 8));
}

static void test_places(void **state)
{
	struct linear_operation told = {5, 6, 8, NO, 31, LINEAR_READ};

	(void)state;
	assert_linear(LINEAR_YES, PUT_AT(1, 9, 7, 40), PUT_AT(1, 9, 8, 30), READ(10, 11, 7));
	assert_linear(LINEAR_NO, PUT_AT(1, 9, 7, 40), PUT_AT(1, 9, 8, 30), READ(10, 11, 8));
	assert_linear(LINEAR_NO, PUT_AT(1, 2, 7, 40), PUT_AT(3, 4, 8, 30)); /* against the order of time */
	assert_linear(LINEAR_YES, PUT_AT(1, NO, 7, 40), READ(2, 3, 0), PUT_AT(4, 5, 8, 41), READ_VERSION(6, 7, 2));
	assert_linear(LINEAR_NO, PUT_AT(1, NO, 7, 40), PUT_AT(4, 5, 8, 41), READ_VERSION(6, 7, 1)); /* it did */
	assert_linear(LINEAR_YES, PUT_AT(1, 2, 8, 31), told);
	assert_linear(LINEAR_NO, PUT_AT(1, 2, 8, 30), told);
}

static void test_says_where(void **state)
{
	static const struct linear_operation list[] = {READ(9, 10, 7), PUT(1, 2, 7), PUT(3, 4, 8), READ(5, 6, 8)};
	struct linear_report report;

	(void)state;
	assert_int_equal(linear_check(list, COUNT(list), STEPS, &report), LINEAR_NO);
	assert_int_equal(report.stuck, 0);
	assert_int_equal(report.explained, 3);
	assert_int_equal(report.version, 2);
	assert_int_equal(report.value, 8);
}

/* Forty writes whose outcome nobody knows, and a read that none of them explains: more orders than there is time. */
static void test_bound(void **state)
{
	struct linear_operation list[41];
	struct linear_report report;

	(void)state;
	for (uint64_t i = 0; i < 40; i++)
		list[i] = PUT(1, NO, i + 1);
	list[40] = READ(2, 3, 99);
	assert_int_equal(linear_check(list, COUNT(list), 1000, &report), LINEAR_UNDECIDED);
	assert_true(report.steps > 1000);
	list[40] = READ_VERSION(2, 3, 40); /* found at once */
	assert_int_equal(linear_check(list, COUNT(list), 1000, &report), LINEAR_YES);
	assert_true(report.steps <= 40);
}

/* As long as they come, and known places: a step a write. */
static void test_long(void **state)
{
	static struct linear_operation list[3000];
	struct linear_report report;

	(void)state;
	for (uint64_t i = 0; i < COUNT(list); i += 3) {
		list[i] = PUT_AT(i, i % 2 == 0 ? NO : i + 90, i + 1, i);
		list[i + 1] = READ(i + 1, i + 100, i + 1);
		list[i + 2] = READ_VERSION(i + 2, i + 80, i / 3 + 1);
	}
	assert_int_equal(linear_check(list, COUNT(list), COUNT(list), &report), LINEAR_YES);
	assert_int_equal(report.steps, COUNT(list) / 3);
}

static void test_text(void **state)
{
	struct linear_operation operation;
	char key[LINEAR_KEY_MAX];
	char longest[LINEAR_KEY_MAX + 40];

	(void)state;
	assert_true(linear_parse("probe-7 put 10 - 3 - 4711", key, &operation));
	assert_string_equal(key, "probe-7");
	assert_int_equal(operation.kind, LINEAR_PUT);
	assert_int_equal(operation.invoked, 10);
	assert_true(operation.returned == NO && operation.version == NO);
	assert_int_equal(operation.value, 3);
	assert_int_equal(operation.place, 4711);
	assert_true(linear_parse("k read 1 18446744073709551614 0 12 -", key, &operation));
	assert_true(operation.kind == LINEAR_READ && operation.value == 0 && operation.version == 12);
	assert_true(linear_parse("k merge 1 2 3 - -", key, &operation) && operation.kind == LINEAR_MERGE);
	assert_true(linear_parse("k delete 1 2 3 - -", key, &operation) && operation.kind == LINEAR_DELETE);
	assert_false(linear_parse("", key, &operation));
	assert_false(linear_parse("# k put 1 2 3 - -", key, &operation));
	assert_false(linear_parse("k puts 1 2 3 - -", key, &operation));
	assert_false(linear_parse("k put 1 2 3 -", key, &operation));
	assert_false(linear_parse("k put 1 2 3 - - 5", key, &operation));
	assert_false(linear_parse("k put - 2 3 - -", key, &operation));
	assert_false(linear_parse("k put 1 2 0 - -", key, &operation));
	assert_false(linear_parse("k put 1 2 - - -", key, &operation));
	assert_false(linear_parse("k put 1 2x 3 - -", key, &operation));
	assert_false(linear_parse("k put 1 -2 3 - -", key, &operation));
	assert_false(linear_parse("k put 1 18446744073709551616 3 - -", key, &operation));
	memset(longest, 'k', sizeof longest);
	strcpy(longest + LINEAR_KEY_MAX, " put 1 2 3 - -");
	assert_false(linear_parse(longest, key, &operation));
	assert_true(linear_parse(longest + 1, key, &operation));
}

/* --- every order ------------------------------------------------------------------------------------------------- */

struct object {
	uint64_t version;
	uint64_t value;
	uint64_t place_of_value;
	uint64_t last_place;
	bool has_place;
};

/* Whether it may be this operation's turn, and what is then. */
static bool perform(const struct linear_operation *operation, struct object *object)
{
	bool known = operation->place != NO;

	if (operation->version != NO && operation->version != object->version)
		return false;
	if (operation->kind == LINEAR_READ) {
		if (operation->value != NO && operation->value != object->value)
			return false;
		return object->value == 0 || !known || object->place_of_value == NO ||
		       object->place_of_value == operation->place;
	}
	if (known && object->has_place && operation->place < object->last_place)
		return false;
	if (known) {
		object->last_place = operation->place;
		object->has_place = true;
	}
	object->version++;
	if (operation->kind == LINEAR_DELETE)
		object->value = 0;
	else if (operation->kind == LINEAR_PUT || object->value > 0) {
		object->value = operation->value;
		object->place_of_value = operation->place;
	}
	return true;
}

static bool took_effect(const struct linear_operation *operation)
{
	return operation->returned != NO || (operation->kind != LINEAR_READ && operation->place != NO);
}

static bool some_order(const struct linear_operation *list, size_t count, uint32_t left, const struct object *object)
{
	bool whole = true;

	for (size_t i = 0; i < count; i++)
		whole = whole && ((left >> i & 1) == 0 || !took_effect(&list[i]));
	for (size_t i = 0; i < count && !whole; i++) {
		struct object next = *object;
		bool first = (left >> i & 1) != 0 && (list[i].kind != LINEAR_READ || list[i].returned != NO);

		for (size_t j = 0; j < count; j++)
			if ((left >> j & 1) != 0 && list[j].returned < list[i].invoked)
				first = false;
		if (first && perform(&list[i], &next) && some_order(list, count, left & ~(1u << i), &next))
			return true;
	}
	return whole;
}

static struct linear_operation any_operation(uint64_t *random, uint64_t name)
{
	struct linear_operation operation = {
		.invoked = random_below(random, 12),
		.kind = (enum linear_kind)random_below(random, 5),
		.value = name,
		.version = NO,
		.place = NO,
	};

	if (operation.kind > LINEAR_READ)
		operation.kind = LINEAR_READ;
	operation.returned = random_below(random, 5) == 0 ? NO : operation.invoked + random_below(random, 8);
	if (operation.kind == LINEAR_READ)
		operation.value = random_below(random, 2) == 0 ? NO : random_below(random, SMALL + 1);
	if (random_below(random, operation.kind == LINEAR_READ ? 2 : 4) == 0)
		operation.version = random_below(random, 4);
	if (random_below(random, 3) == 0)
		operation.place = operation.kind == LINEAR_READ ? random_below(random, SMALL) : name * 5 % SMALL;
	return operation;
}

/* What an object in one place makes of operations, each at an instant of its own: linearizable. Some of the answers are
 * kept, some writes are never answered. */
static void true_history(uint64_t *random, struct linear_operation *list, size_t count)
{
	struct object object = {0};

	for (size_t i = 0; i < count; i++) {
		struct linear_operation *operation = &list[i];

		*operation = any_operation(random, i + 1);
		operation->invoked = 10 * i - random_below(random, 10 * i + 1);
		operation->returned = 10 * i + random_below(random, 40);
		operation->version = random_below(random, 2) == 0 ? object.version : NO;
		operation->place = NO;
		if (operation->kind == LINEAR_READ) {
			operation->value = object.value;
			operation->place = object.value == 0 ? NO : object.place_of_value;
		} else if (random_below(random, 2) == 0) {
			operation->place = 100 + i;
		}
		assert_true(perform(operation, &object));
		if (operation->kind != LINEAR_READ && random_below(random, 4) == 0)
			operation->returned = NO;
		if (operation->kind != LINEAR_READ && operation->returned == NO && random_below(random, 2) == 0)
			operation->place = NO;
	}
}

static void assert_agree(const struct linear_operation *list, size_t count, uint32_t *yes, uint32_t *no)
{
	struct object object = {0};
	bool expected = some_order(list, count, (1u << count) - 1, &object);
	enum linear_outcome outcome = outcome_of(list, count);

	if (outcome != (expected ? LINEAR_YES : LINEAR_NO))
		for (size_t i = 0; i < count; i++)
			print_error("kind %d [%llu, %llu] value %lld version %lld place %lld\n", (int)list[i].kind,
				    (unsigned long long)list[i].invoked, (unsigned long long)list[i].returned,
				    (long long)list[i].value, (long long)list[i].version, (long long)list[i].place);
	assert_int_equal(outcome, expected ? LINEAR_YES : LINEAR_NO);
	*yes += expected;
	*no += !expected;
}

static void test_agrees_with_every_order(void **state)
{
	struct linear_operation list[SMALL];
	uint64_t random = 4;
	uint32_t yes = 0;
	uint32_t no = 0;

	(void)state;
	for (uint32_t run = 0; run < 60000; run++) {
		size_t count = 1 + random_below(&random, SMALL - 1);

		for (size_t i = 0; i < count; i++)
			list[i] = any_operation(&random, i + 1);
		assert_agree(list, count, &yes, &no);
	}
	for (uint32_t run = 0; run < 20000; run++) {
		struct linear_operation *changed;
		uint32_t before = no;

		true_history(&random, list, SMALL);
		assert_agree(list, SMALL, &yes, &no);
		assert_int_equal(no, before);
		changed = &list[random_below(&random, SMALL)];
		*changed = any_operation(&random, changed->kind == LINEAR_READ ? 1 : changed->value);
		changed->invoked *= 5;
		changed->returned = changed->returned == NO ? NO : changed->returned * 5;
		assert_agree(list, SMALL, &yes, &no);
	}
	assert_true(yes > 20000 && no > 20000);
}

/* Longer ones, of which it is known that they are. */
static void test_finds_what_is_there(void **state)
{
	static struct linear_operation list[200];
	uint64_t random = 9;

	(void)state;
	for (uint32_t run = 0; run < 50; run++) {
		true_history(&random, list, COUNT(list));
		for (size_t i = 0; i < COUNT(list); i++)
			if (list[i].kind != LINEAR_READ && list[i].place == NO)
				list[i].place = 100 + i;
		assert_int_equal(outcome_of(list, COUNT(list)), LINEAR_YES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_unknown_outcomes),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_says_where),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_agrees_with_every_order),
		cmocka_unit_test(test_finds_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

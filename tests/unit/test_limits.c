/* The page of limits against proto/limits.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "proto/limits.h"

#define PAGE EVGRID_SOURCE_ROOT "/docs/reference/limits.md"

static char page[1 << 14];

static int page_load(void **state)
{
	FILE *in = fopen(PAGE, "rb");

	(void)state;
	if (in == NULL) {
		print_error("%s: cannot be opened\n", PAGE);
		return 1;
	}
	page[fread(page, 1, sizeof page - 1, in)] = '\0';
	return fclose(in);
}

static void assert_limit_is(const char *name, unsigned value)
{
	char row[80];

	snprintf(row, sizeof row, "\n| %s | %u |", name, value);
	if (strstr(page, row) == NULL)
		fail_msg("docs/reference/limits.md lacks: %s", row + 1);
}

#define LIMIT_IS(name) assert_limit_is(#name, name)

static void page_of_the_reference_has_every_limit(void **state)
{
	(void)state;
	LIMIT_IS(PARTITION_COUNT);
	LIMIT_IS(KEY_MAX_BYTES);
	LIMIT_IS(NAME_MAX_BYTES);
	LIMIT_IS(PAYLOAD_MAX_BYTES);
	LIMIT_IS(HEADERS_MAX);
	LIMIT_IS(BATCH_MAX_RECORDS);
	LIMIT_IS(BATCH_MAX_BYTES);
	LIMIT_IS(MESSAGE_MAX_BYTES);
	LIMIT_IS(TURN_MAX_BYTES);
	LIMIT_IS(CHUNK_MAX_BYTES);
	LIMIT_IS(SUBSCRIBE_FILTERS_MAX);
	LIMIT_IS(NODES_MAX);
	LIMIT_IS(REPLICAS_MAX);
	LIMIT_IS(MEMBERS_MAX);
	LIMIT_IS(SHARDS_MAX);
	LIMIT_IS(STREAMS_MAX);
	LIMIT_IS(VIEWS_MAX);
	LIMIT_IS(ADDRESS_MAX_BYTES);
	LIMIT_IS(DEFINITION_MAX_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_of_the_reference_has_every_limit),
	};

	return cmocka_run_group_tests_name("limits", tests, page_load, NULL);
}

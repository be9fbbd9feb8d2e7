/* What the public functions refuse by themselves, as evgrid.h says: on a handle that has no cluster and waits for none.
 * A name that a handle does not know yet is waited for a second, so those cases are few. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/evgrid.h"

#define SOON_MS 50

static evg *grid;

static int open_without_cluster(void **state)
{
	evg_options options = {.connect_ms = UINT32_MAX, .deadline_ms = SOON_MS};

	(void)state;
	return evg_open("127.0.0.1:1", &options, &grid);
}

static int close_it(void **state)
{
	(void)state;
	evg_close(grid);
	return 0;
}

static char long_key[2000];

static evg_bytes too_long(void)
{
	memset(long_key, 'k', sizeof long_key);
	return evg_bytes_of(long_key, sizeof long_key);
}

static void opening(void **state)
{
	evg_options soon = {.connect_ms = SOON_MS};
	evg *other = NULL;

	(void)state;
	assert_int_equal(evg_open(NULL, NULL, &other), EVG_USAGE);
	assert_int_equal(evg_open("", NULL, &other), EVG_USAGE);
	assert_int_equal(evg_open("127.0.0.1:1", &soon, &other), EVG_CONNECT);
	assert_null(other);
}

static void publishing(void **state)
{
	static const evg_header headers[33];
	evg_event event = {.type = evg_text("T"), .key = evg_text("k")};
	evg_expect expect = {.kind = (evg_expect_kind)9};
	evg_completion done;

	(void)state;
	assert_int_equal(evg_publish(grid, &event, NULL, NULL, NULL), EVG_USAGE);
	event.stream = "S";
	assert_int_equal(evg_publish(grid, &event, &expect, NULL, NULL), EVG_USAGE);
	assert_int_equal(evg_publish(grid, &event, NULL, NULL, NULL), EVG_UNKNOWN_STREAM);
	assert_int_equal(evg_publish_sync(grid, &event, NULL, &done), EVG_UNKNOWN_STREAM);
	assert_int_equal(done.outcome, EVG_NOT_APPLIED);
	event.headers = headers;
	event.header_count = 33;
	assert_int_equal(evg_publish(grid, &event, NULL, NULL, NULL), EVG_LIMIT);
	assert_int_equal(evg_wait_room(grid, SOON_MS), EVG_OK);
	assert_int_equal(evg_flush(grid, SOON_MS), EVG_OK);
}

static void got(void *user, const evg_entry *entry)
{
	(void)user;
	(void)entry;
	fail_msg("an error was returned and told");
}

static void reading(void **state)
{
	evg_read read = {.key = evg_text("k"), .mode = (evg_read_mode)9};
	evg_decide decide = {.key = evg_text("k"), .offset = EVG_WHAT_BLOCKS};
	uint64_t version = 1;
	evg_entry entry;

	(void)state;
	assert_int_equal(evg_view_get(grid, "v", &read, &entry), EVG_USAGE);
	assert_int_equal(entry.error, EVG_USAGE);
	assert_int_equal(evg_view_get_async(grid, "v", &read, got, NULL), EVG_USAGE);
	read.mode = EVG_READ_AS_OF_OFFSET;
	assert_int_equal(evg_key_version(grid, "S", &read, &version), EVG_USAGE);
	assert_int_equal(version, 0);
	read.mode = EVG_READ_LINEARIZABLE;
	assert_int_equal(evg_view_get_many(grid, "v", &read, 1, &entry), EVG_UNKNOWN_VIEW);
	assert_int_equal(entry.error, EVG_UNKNOWN_VIEW);
	assert_int_equal(evg_view_decide(grid, "v", &decide, &entry), EVG_UNKNOWN_VIEW);
	evg_entry_free(&entry);
	evg_entry_free(&entry);
}

static void scanning(void **state)
{
	evg_scan_options options = {.partition = EVG_PARTITIONS};
	evg_scan *scan = NULL;

	(void)state;
	assert_int_equal(evg_view_scan_open(grid, "v", &options, &scan), EVG_USAGE);
	options.partition = EVG_ALL_PARTITIONS;
	options.mode = EVG_READ_AT_LEAST;
	assert_int_equal(evg_view_scan_open(grid, "v", &options, &scan), EVG_USAGE);
	options.mode = EVG_READ_LOCAL;
	options.page = 4097;
	assert_int_equal(evg_view_scan_open(grid, "v", &options, &scan), EVG_LIMIT);
	options.page = 0;
	options.prefix = too_long();
	assert_int_equal(evg_view_scan_open(grid, "v", &options, &scan), EVG_LIMIT);
	assert_null(scan);
	evg_view_scan_close(NULL);
}

static void replaying(void **state)
{
	evg_replay_options options = {.partition = EVG_PARTITIONS};
	evg_replay *replay = NULL;
	evg_replay *again = NULL;
	char *cursor = NULL;

	(void)state;
	assert_int_equal(evg_replay_open(grid, &options, &replay), EVG_USAGE);
	options = EVG_REPLAY_OPTIONS;
	options.stream = "S";
	assert_int_equal(evg_replay_open(grid, &options, &replay), EVG_UNKNOWN_STREAM);
	options = EVG_REPLAY_OPTIONS;
	options.node = "n";
	assert_int_equal(evg_replay_open(grid, &options, &replay), EVG_USAGE);
	options = EVG_REPLAY_OPTIONS;
	options.cursor = "nonsense";
	assert_int_equal(evg_replay_open(grid, &options, &replay), EVG_USAGE);
	assert_int_equal(evg_replay_open(grid, NULL, &replay), EVG_OK);
	assert_int_equal(evg_replay_cursor(replay, &cursor), EVG_OK);
	evg_replay_close(replay);
	options.cursor = cursor;
	assert_int_equal(evg_replay_open(grid, &options, &again), EVG_OK);
	evg_replay_close(again);
	evg_replay_close(NULL);
	evg_free(cursor);
}

static void history(void **state)
{
	evg_history_options options = EVG_HISTORY_OPTIONS;
	evg_history *history = NULL;

	(void)state;
	assert_int_equal(evg_history_open(grid, &options, &history), EVG_EMPTY);
	options.key = too_long();
	assert_int_equal(evg_history_open(grid, &options, &history), EVG_LIMIT);
	options.key = evg_text("k");
	options.page = 4097;
	assert_int_equal(evg_history_open(grid, &options, &history), EVG_LIMIT);
	assert_null(history);
	evg_history_close(NULL);
}

static void subscribing(void **state)
{
	const char *names[65] = {""};
	evg_subscribe_options options = {.types = names, .type_count = 65};
	evg_subscription_status status;
	evg_subscription *subscription = NULL;
	evg_record record;
	char *cursor = NULL;

	(void)state;
	assert_int_equal(evg_subscribe(grid, &options, &subscription), EVG_LIMIT);
	options.type_count = 1;
	assert_int_equal(evg_subscribe(grid, &options, &subscription), EVG_EMPTY);
	options = (evg_subscribe_options){.streams = names, .stream_count = 1};
	assert_int_equal(evg_subscribe(grid, &options, &subscription), EVG_UNKNOWN_STREAM);
	options = (evg_subscribe_options){.cursor = "nonsense"};
	assert_int_equal(evg_subscribe(grid, &options, &subscription), EVG_USAGE);
	options = (evg_subscribe_options){.from = EVG_FROM_NOW, .timeout_ms = SOON_MS};
	assert_int_equal(evg_subscribe(grid, &options, &subscription), EVG_TIMEOUT);
	assert_null(subscription);
	assert_int_equal(evg_subscribe(grid, NULL, &subscription), EVG_OK);
	assert_int_equal(evg_subscription_next(subscription, SOON_MS, &record), EVG_TIMEOUT);
	assert_int_equal(evg_subscription_status_get(subscription, &status), EVG_OK);
	assert_int_equal(status.partitions_behind, EVG_PARTITIONS);
	assert_int_equal(evg_subscription_cursor(subscription, &cursor), EVG_OK);
	evg_free(cursor);
	evg_subscription_close(subscription);
	evg_subscription_close(NULL);
}

static void defining(void **state)
{
	static const char yaml[] = "view: [\n";
	char *why = NULL;

	(void)state;
	assert_int_equal(evg_stream_create(grid, "", SOON_MS), EVG_EMPTY);
	(void)too_long();
	long_key[64] = '\0';
	assert_int_equal(evg_stream_create(grid, long_key, SOON_MS), EVG_LIMIT);
	assert_int_equal(evg_stream_create(grid, "S", SOON_MS), EVG_CONNECT);
	assert_int_equal(evg_view_apply(grid, yaml, sizeof yaml - 1, SOON_MS, &why), EVG_BAD_VIEW);
	assert_non_null(why);
	assert_memory_equal(why, "line 2, ", 8);
	evg_free(why);
	assert_int_equal(evg_view_drop(grid, "", SOON_MS, &why), EVG_EMPTY);
	assert_null(why);
	assert_int_equal(evg_view_drop(grid, "v", SOON_MS, &why), EVG_UNKNOWN_VIEW);
	assert_null(why);
	assert_int_equal(evg_view_drop(grid, "v", SOON_MS, NULL), EVG_UNKNOWN_VIEW);
}

static void listing(void **state)
{
	evg_view_progress progress;
	evg_catalogue *catalogue = NULL;
	evg_stream_info stream;
	evg_view_info view;
	evg_status status;

	(void)state;
	assert_int_equal(evg_catalogue_open(grid, &catalogue), EVG_OK);
	assert_int_equal(evg_catalogue_stream(catalogue, 0, &stream), EVG_NOT_FOUND);
	assert_int_equal(evg_catalogue_view(catalogue, 0, &view), EVG_NOT_FOUND);
	evg_catalogue_close(catalogue);
	evg_catalogue_close(NULL);
	assert_int_equal(evg_view_progress_get(grid, "", SOON_MS, &progress), EVG_EMPTY);
	assert_int_equal(evg_view_progress_get(grid, "v", SOON_MS, &progress), EVG_UNKNOWN_VIEW);
	assert_int_equal(evg_status_get(grid, &status), EVG_OK);
	assert_int_equal(status.map_version, 0);
}

static void json(void **state)
{
	void *payload = NULL;
	char *text = NULL;
	size_t size;

	(void)state;
	assert_int_equal(evg_json_to_payload("{", 1, &payload, &size), EVG_MALFORMED);
	assert_int_equal(evg_payload_to_json("\xc1", 1, &text, &size), EVG_MALFORMED);
	assert_null(text);
	assert_int_equal(evg_json_to_payload("[1]", 3, &payload, &size), EVG_OK);
	assert_int_equal(evg_payload_to_json(payload, size, &text, &size), EVG_OK);
	assert_string_equal(text, "[1]");
	evg_free(text);
	evg_free(payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opening),     cmocka_unit_test(publishing), cmocka_unit_test(reading),
		cmocka_unit_test(scanning),    cmocka_unit_test(replaying),  cmocka_unit_test(history),
		cmocka_unit_test(subscribing), cmocka_unit_test(defining),   cmocka_unit_test(listing),
		cmocka_unit_test(json),
	};

	return cmocka_run_group_tests_name("client_usage", tests, open_without_cluster, close_it);
}

/* What shards and the cluster tell becomes the right line: every kind of event and notice, its values in the fields
 * that name them (node/shard_events.c, node/control_notices.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/control.h"

#include <stdlib.h>
#include <unistd.h>

static struct logging log_all = {LOGGING_DEBUG, LOGGING_LOGFMT, NULL};

/* --- what goes to stderr ---------------------------------------------------------------------------------------- */

struct capture {
	int saved;
	int ends[2];
};

static void begin(struct capture *capture)
{
	assert_int_equal(pipe(capture->ends), 0);
	capture->saved = dup(STDERR_FILENO);
	dup2(capture->ends[1], STDERR_FILENO);
}

static void end(struct capture *capture, char text[LOGGING_LINE_BYTES + 1])
{
	ssize_t got;

	dup2(capture->saved, STDERR_FILENO);
	close(capture->saved);
	close(capture->ends[1]);
	got = read(capture->ends[0], text, LOGGING_LINE_BYTES);
	text[got > 0 ? got : 0] = '\0';
	close(capture->ends[0]);
}

/* The line bears the event, and each of the parts that stand behind it, in this order. */
static void expect_line(const char *line, const char *wanted)
{
	char part[200];

	while (*wanted != '\0') {
		size_t size = strcspn(wanted, "|");

		snprintf(part, sizeof part, " %.*s", (int)size, wanted);
		if (strstr(line, part) == NULL)
			fail_msg("no '%s' in: %s", part, line);
		line = strstr(line, part) + strlen(part) - 1;
		wanted += size + (wanted[size] == '|' ? 1 : 0);
	}
}

/* --- shards ------------------------------------------------------------------------------------------------------- */

#define SHARDS UINT16_MAX /* instead of a partition */
#define VALUES                                                                                                  \
	.epoch = 3, .node_id = 4, .offset = 50, .observed = 60, .expected = 70, .history = 8, .row_history = 9, \
	.number = 100, .segment = 110, .generation = 120, .place = 130, .size_bytes = 140
#define AT "partition=5|epoch=3|"

struct sample {
	enum shard_event_kind kind;
	uint16_t partition;
	const char *line; /* its parts */
};

static const struct sample samples[] = {
	{SHARD_EVENT_PRIMARY, 5, "event=partition.primary|" AT "from_offset=50"},
	{SHARD_EVENT_TRUNCATED, 5, "level=info|event=partition.truncated|" AT "end_offset=60|cut_offset=50"},
	{SHARD_EVENT_ISR_SHRINK, 5,
	 "event=partition.isr_shrink|" AT "present_nodes=000000000000003c|wanted_nodes=0000000000000046"},
	{SHARD_EVENT_ISR_GROW, 5, "event=partition.isr_grow|" AT "present_nodes=000000000000003c"},
	{SHARD_EVENT_DUPLICATE, 5, "event=partition.duplicate|" AT "offset=50"},
	{SHARD_EVENT_TAIL_CUT, SHARDS,
	 "level=warn|event=journal.tail_cut|shard=1|segment=110|place_bytes=130|observed_bytes=60|expected_bytes=0"},
	{SHARD_EVENT_QUARANTINED, SHARDS,
	 "level=error|event=journal.quarantined|code=CHECKSUM|shard=1|segment=110|place_bytes=130|block=100|"
	 "observed_blocks=60|expected_blocks=0|outcome=\"|next=\""},
	{SHARD_EVENT_QUARANTINED, 5,
	 "level=error|event=partition.unreadable|code=CHECKSUM|" AT "reader=\"a replay\"|offset=50|observed=\""},
	{SHARD_EVENT_RECOVERED, SHARDS, "level=debug|event=journal.recovered|shard=1|last_block=100"},
	{SHARD_EVENT_SEALED, 5, "event=partition.sealed|" AT "to_node=4"},
	{SHARD_EVENT_SNAPSHOT, 5, "event=partition.snapshot|" AT "offset=50|size_bytes=140"},
	{SHARD_EVENT_SNAPSHOT_LOADED, 5, "event=partition.snapshot_loaded|partition=5|offset=50|slot=100"},
	{SHARD_EVENT_DISK_FULL, SHARDS,
	 "level=error|event=journal.disk_full|code=DISK_FULL|shard=1|observed=\"no room\"|expected_bytes=140"},
	{SHARD_EVENT_DISK_HAS_ROOM, SHARDS, "level=info|event=journal.writes_again|shard=1"},
	{SHARD_EVENT_BELOW_COMMIT, 5,
	 "level=error|event=partition.below_commit|code=HISTORY|" AT "observed_offset=60|expected_offset=70|history=8|"
	 "row_history=9"},
	{SHARD_EVENT_DIGEST_DIFFERS, 5,
	 "level=error|event=partition.digest_differs|" AT "with_node=4|offset=50|observed_digest=000000000000003c|"
	 "expected_digest=0000000000000046"},
	{SHARD_EVENT_STATE_FAILED, 5,
	 "level=error|event=partition.state_failed|code=MEMORY|" AT "reader=\"a replay\"|offset=50"},
	{SHARD_EVENT_REFUSED_GARBAGE, 5,
	 "level=warn|event=shard.garbage|shard=1|observed=\"|from_node=4|suppressed=0|total=1"},
	{SHARD_EVENT_SEALED_SEGMENT, SHARDS, "event=journal.segment_sealed|shard=1|segment=110|batches_bytes=140"},
	{SHARD_EVENT_REWRITTEN_SEGMENT, SHARDS,
	 "event=journal.segment_rewritten|shard=1|segment=110|batches_bytes=140"},
	{SHARD_EVENT_SEAL_FAILED, SHARDS, "level=error|event=journal.seal_failed|shard=1|segment=110|generation=120"},
	{SHARD_EVENT_SEALED_DAMAGED, SHARDS,
	 "level=error|event=journal.sealed_damaged|shard=1|segment=110|generation=120"},
	{SHARD_EVENT_REBUILD, 5,
	 "event=partition.rebuild|" AT "observed=partition.state_differs|expected=\"|end_offset=50"},
	{SHARD_EVENT_REBUILT, 5, "level=info|event=partition.rebuilt|" AT "end_offset=50"},
	{SHARD_EVENT_LEFT, 5, "event=partition.left|" AT "end_offset=50"},
	{SHARD_EVENT_AUDITED, 5, "level=info|event=partition.audited|" AT "offset=50|sound=no"},
	{SHARD_EVENT_STATE_DIFFERS, 5,
	 "level=error|event=partition.state_differs|" AT "offset=50|observed_digest=000000000000003c|"
	 "expected_digest=0000000000000046"},
	{SHARD_EVENT_SUBSCRIBER_LIVE, SHARDS, "event=subscriber.live|shard=1|subscription=100"},
	{SHARD_EVENT_SUBSCRIBER_STARVED, SHARDS, "event=subscriber.starved|shard=1|subscription=100"},
};

#define SAMPLE_COUNT (sizeof samples / sizeof samples[0])

static void every_event_of_a_shard_has_its_line(void **state)
{
	struct partition_thread *thread = calloc(1, sizeof *thread);
	bool seen[SHARD_EVENT_SUBSCRIBER_STARVED + 1] = {false};
	char line[LOGGING_LINE_BYTES + 1];
	struct capture capture;

	(void)state;
	assert_non_null(thread);
	thread->config.log = &log_all;
	thread->config.shard.index = 1;
	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		const struct shard_event event = {.kind = samples[i].kind,
						  .partition = samples[i].partition,
						  .reader = SHARD_READER_REPLAY,
						  .reason = SHARD_EVENT_STATE_DIFFERS,
						  VALUES};

		begin(&capture);
		partition_tell_event(thread, &event);
		end(&capture, line);
		expect_line(line, samples[i].line);
		seen[event.kind] = true;
	}
	for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++) {
		if (!seen[i])
			fail_msg("no sample of event %zu", i);
	}
	free(thread);
}

static void a_replica_that_asks_to_be_left_out_is_told(void **state)
{
	struct partition_thread *thread = calloc(1, sizeof *thread);
	const struct shard_proposal out = {.kind = PROPOSE_OUT, .partition = 5, .version = 6};
	const struct shard_proposal other = {.kind = PROPOSE_ISR, .partition = 5};
	char line[LOGGING_LINE_BYTES + 1];
	struct capture capture;

	(void)state;
	assert_non_null(thread);
	thread->config.log = &log_all;
	begin(&capture);
	partition_tell_out(thread, &other);
	partition_tell_out(thread, &out);
	end(&capture, line);
	expect_line(line, "level=error|event=partition.unsound|partition=5|version=6");
	free(thread);
}

/* --- the cluster -------------------------------------------------------------------------------------------------- */

static const char suspect_elected[] = "level=error|event=cluster.suspect_elected|code=POSSIBLE_LOSS|"
				      "observed_elections=2|expected_elections=0|total=7";
static const char forced_election[] = "level=error|event=cluster.forced_election|code=POSSIBLE_LOSS|reason=what|"
				      "observed_elections=2|expected_elections=0|total=7";
static const char clock_off[] = "level=warn|event=cluster.clock_off|name=what|direction=behind|observed_ms=1500|"
				"expected_ms=1000";

static const char *const notices[NOTICE_COUNT] = {
	[NOTICE_FORMED] = "level=info|event=cluster.formed|founders=2",
	[NOTICE_TWO_NODES] = "level=warn|event=cluster.two_nodes|observed_nodes=2|expected_nodes=3",
	[NOTICE_FOUNDERS_DIFFER] = "level=error|event=cluster.founders_differ|code=BAD_CONFIG",
	[NOTICE_OUTSIDER] = "level=error|event=cluster.outsider|code=FOREIGN|name=n1",
	[NOTICE_REGISTRATION_REFUSED] = "level=warn|event=cluster.registration_refused|observed=what",
	[NOTICE_SUSPECT_ELECTED] = suspect_elected,
	[NOTICE_FORCED_ELECTION] = forced_election,
	[NOTICE_CLOCK_OFF] = clock_off,
	[NOTICE_CLOCK_RIGHT] = "level=info|event=cluster.clock_right|name=what",
	[NOTICE_OWN_CLOCK_OFF] = "level=warn|event=cluster.own_clock_off",
	[NOTICE_OWN_CLOCK_RIGHT] = "level=info|event=cluster.own_clock_right",
	[NOTICE_MEMBER_LIVE] = "level=info|event=cluster.member_live|name=what",
	[NOTICE_MEMBER_LOST] = "level=warn|event=cluster.member_lost|name=what",
	[NOTICE_MEMBER_STOPPED] = "level=info|event=cluster.member_stopped|name=what",
	[NOTICE_MEMBER_GONE] = "level=info|event=cluster.member_gone|name=what",
	[NOTICE_GONE] = "level=info|event=cluster.gone|name=n1",
	[NOTICE_JOINING] = "level=info|event=cluster.joining|founders=2",
	[NOTICE_JOINED] = "level=info|event=cluster.joined|cluster=what|node_id=2",
	[NOTICE_ZONES_CROWDED] = "level=warn|event=cluster.zones_crowded|observed_partitions=2|expected_partitions=0",
	[NOTICE_ZONES_SPREAD] = "level=info|event=cluster.zones_spread",
	[NOTICE_RESTORING] = "level=info|event=cluster.restoring",
	[NOTICE_RESTORED] = "level=info|event=cluster.restored",
	[NOTICE_NEWCOMER_REFUSED] = "level=warn|event=cluster.newcomer_refused|code=REFUSED|name=what|observed=",
	[NOTICE_JOIN_REFUSED] = "level=error|event=cluster.join_refused|code=REFUSED|observed=what",
};

static void every_notice_of_the_cluster_has_its_line(void **state)
{
	static const struct config_values values = {.node_name = "n1"};
	struct control *control = calloc(1, sizeof *control);
	char line[LOGGING_LINE_BYTES + 1];
	struct capture capture;

	(void)state;
	assert_non_null(control);
	control->log = &log_all;
	control->values = &values;
	for (int kind = NOTICE_FORMED; kind < NOTICE_COUNT; kind++) {
		const struct cluster_output output = {
			.notice = {(enum cluster_notice_kind)kind, .count = 2, .total = 7, .distance_ms = -1500},
			.text = "what",
		};

		begin(&capture);
		control_notice(control, &output);
		end(&capture, line);
		assert_non_null(notices[kind]);
		expect_line(line, notices[kind]);
	}
	free(control);
}

/* It is asked again several times a second, for as long as it is refused. */
static void a_registration_that_is_refused_is_told_once_a_second(void **state)
{
	const struct cluster_output output = {.notice = {.kind = NOTICE_REGISTRATION_REFUSED}, .text = "what"};
	struct control *control = calloc(1, sizeof *control);
	char line[LOGGING_LINE_BYTES + 1];
	struct capture capture;

	(void)state;
	assert_non_null(control);
	control->log = &log_all;
	begin(&capture);
	for (control->now_ms = 5000; control->now_ms <= 6200; control->now_ms += 300)
		control_notice(control, &output);
	end(&capture, line);
	expect_line(line, "observed=what|suppressed=0|total=1|observed=what|suppressed=3|total=5");
	assert_null(strstr(line, "total=2"));
	free(control);
}

/* Each time it asks, each of up to 271 partitions. */
static void a_replica_that_asks_again_is_told_once_a_second(void **state)
{
	struct partition_thread *thread = calloc(1, sizeof *thread);
	const struct shard_proposal out = {.kind = PROPOSE_OUT, .partition = 5, .version = 6};
	char line[LOGGING_LINE_BYTES + 1];
	struct capture capture;

	(void)state;
	assert_non_null(thread);
	thread->config.log = &log_all;
	begin(&capture);
	for (thread->now_ms = 5000; thread->now_ms <= 6200; thread->now_ms += 300)
		partition_tell_out(thread, &out);
	end(&capture, line);
	expect_line(line, "suppressed=0|total=1|suppressed=3|total=5");
	assert_null(strstr(line, "total=2"));
	free(thread);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_of_a_shard_has_its_line),
		cmocka_unit_test(a_replica_that_asks_to_be_left_out_is_told),
		cmocka_unit_test(every_notice_of_the_cluster_has_its_line),
		cmocka_unit_test(a_registration_that_is_refused_is_told_once_a_second),
		cmocka_unit_test(a_replica_that_asks_again_is_told_once_a_second),
	};

	return cmocka_run_group_tests_name("log_lines", tests, NULL, NULL);
}

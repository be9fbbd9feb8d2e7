/* L16, L17: all nodes are stopped cleanly and started again, one after the other, under load. Nobody waits for the
 * failure detector: each partition has an active primary again, and each operation its answer, long before a silent
 * node would be fenced. Each node ends with its proof, has no in-sync set wait for it, nothing acknowledged goes with
 * it, and on its return it is sent what it missed and no more. */
#include "tests/sim/scenarios/scenario.h"

#include "partition/log.h"
#include "partition/shard_figures.h"
#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

#define STORED_BURSTS 100u
#define STORED_EVERY_US 20000u
#define BURST_EVENTS 8u
#define LIMIT_MS 10000u
#define NEVER_US (2 * LIMIT_MS * 1000ull)
#define AWAY_US (2 * SCENARIO_SECOND_US)
#define LOOK_US 1000u
#define SERVED_AGAIN_US (FENCE_TIMEOUT_MS * 1000 / 4) /* a primary is missed after four times that at the earliest */
#define SENT_TIMES 4u /* the network disorders what is sent, and what does not fit is sent again */
#define BURST_EVERY_LOOKS 100u
#define ENDED_US (2 * SCENARIO_SECOND_US)
#define BACK_US (10 * SCENARIO_SECOND_US)

struct roll {
	uint32_t host;
	uint64_t generation;
	uint64_t served_us[PARTITION_COUNT]; /* when somebody was last seen to be active primary */
	uint64_t stored_bytes;               /* of its logs, when it was told to stop */
	uint32_t looks;
	uint64_t longest_us; /* that a partition was not served */
};

/* --- who serves --------------------------------------------------------------------------------------------------- */

static bool serves(const struct host *host, uint16_t partition)
{
	struct partition_status status;
	struct shard *shard = host_shard(host, partition);

	return shard != NULL && !host_is_at_rest(host) && shard_status(shard, partition, &status) == 0 &&
	       status.active != 0;
}

static void look_at(struct sim *sim, uint16_t partition)
{
	struct roll *roll = sim->script;
	uint64_t gap_us;

	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (serves(sim->hosts[i], partition))
			roll->served_us[partition] = sim->clockwork.now_us;
	gap_us = sim->clockwork.now_us - roll->served_us[partition];
	roll->longest_us = gap_us > roll->longest_us ? gap_us : roll->longest_us;
	if (gap_us > SERVED_AGAIN_US)
		sim_fail(sim, "scenario: partition %u has had no active primary for %.3f s, while host %u restarts",
			 partition, (double)gap_us / 1e6, roll->host);
}

/* Every partition, every LOOK_US, until it is so. */
static bool watch_until(struct sim *sim, bool (*done)(struct sim *sim), uint64_t limit_us, const char *what)
{
	struct roll *roll = sim->script;
	uint64_t end_us = sim->clockwork.now_us + limit_us;

	while (!sim->failed && !done(sim)) {
		scenario_wait(sim, LOOK_US);
		for (uint16_t p = 0; p < PARTITION_COUNT && !sim->failed; p++)
			look_at(sim, p);
		if (++roll->looks % BURST_EVERY_LOOKS == 0)
			workload_burst(sim->workload, 1);
		if (sim->clockwork.now_us > end_us)
			sim_fail(sim, "scenario: host %u: %s did not come about within %.0f s", roll->host, what,
				 (double)limit_us / 1e6);
	}
	return !sim->failed;
}

/* --- what is held against what ------------------------------------------------------------------------------------ */

static uint64_t bytes_stored(const struct host *host)
{
	uint64_t bytes = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		bytes += shard_log(host_shard(host, p), p)->bytes;
	return bytes;
}

static void expect_let_go(struct sim *sim, uint32_t id)
{
	for (uint16_t p = 0; p < PARTITION_COUNT && !sim->failed; p++)
		if (node_set_has(scenario_row(sim, p)->isr, id))
			sim_fail(sim, "scenario: node %u has ended, and partition %u counts on it", id, p);
}

/* Whoever leads now has what was acknowledged before. */
static void expect_acknowledged(struct sim *sim)
{
	size_t count;
	const struct operation *operations = workload_operations(sim->workload, &count);

	for (size_t i = 0; i < count && !sim->failed; i++) {
		uint16_t p = operations[i].partition;
		uint32_t primary = scenario_primary(sim, p);

		if (operations[i].outcome == OUTCOME_ACKNOWLEDGED &&
		    (primary == sim->options.hosts || host_shard(sim->hosts[primary], p) == NULL ||
		     shard_log(host_shard(sim->hosts[primary], p), p)->end <= operations[i].offset))
			sim_fail(sim, "scenario: event %llu was acknowledged, and is not in its primary's log",
				 (unsigned long long)operations[i].id);
	}
}

static void expect_no_copies(struct sim *sim)
{
	struct roll *roll = sim->script;
	uint64_t missed = bytes_stored(sim->hosts[roll->host]) - roll->stored_bytes;
	uint64_t may = SENT_TIMES * missed;
	uint64_t sent = 0;

	for (uint32_t s = 0; s < sim->options.shards; s++)
		sent += shard_counters(host_shard(sim->hosts[roll->host], (uint16_t)s))->catch_up_bytes;
	sim_trace(sim, "scenario          host %u: %llu bytes stored, %llu missed, %llu sent", roll->host,
		  (unsigned long long)roll->stored_bytes, (unsigned long long)missed, (unsigned long long)sent);
	if (may >= roll->stored_bytes)
		sim_fail(sim, "scenario: %llu bytes may be sent, %llu are stored, so nothing was shown",
			 (unsigned long long)may, (unsigned long long)roll->stored_bytes);
	if (sent > may)
		sim_fail(sim, "scenario: host %u missed at most %llu bytes, and was sent %llu", roll->host,
			 (unsigned long long)may, (unsigned long long)sent);
	if (sim->marks.count[MARK_TAKEN_OUT] > 0 || sim->marks.count[MARK_TRUNCATED] > 0)
		sim_fail(sim, "scenario: a replica began anew, or was cut");
}

static void expect_prompt_answers(struct sim *sim, uint64_t began_us)
{
	const struct roll *roll = sim->script;
	uint64_t longest_us = 0;
	size_t count, acknowledged = 0;
	const struct operation *operations = workload_operations(sim->workload, &count);

	for (size_t i = 0; i < count && !sim->failed; i++) {
		const struct operation *operation = &operations[i];

		if (operation->invoked_us < began_us)
			continue;
		acknowledged += operation->outcome == OUTCOME_ACKNOWLEDGED;
		if (operation->outcome != OUTCOME_ACKNOWLEDGED && (int)operation->error != ERROR_CHECK_FAILED)
			sim_fail(sim, "scenario: event %llu was given up with %s", (unsigned long long)operation->id,
				 error_name((int)operation->error));
		else if (operation->answered_us - operation->invoked_us > longest_us)
			longest_us = operation->answered_us - operation->invoked_us;
	}
	sim_trace(sim, "scenario          at most %llu us without a primary, %llu us without an answer",
		  (unsigned long long)roll->longest_us, (unsigned long long)longest_us);
	if (longest_us > SERVED_AGAIN_US)
		sim_fail(sim, "scenario: an event waited for %.3f s", (double)longest_us / 1e6);
	if (acknowledged == 0)
		sim_fail(sim, "scenario: nothing was published, so nothing was shown");
}

/* --- the steps ---------------------------------------------------------------------------------------------------- */

static bool has_ended(struct sim *sim)
{
	const struct roll *roll = sim->script;

	return !host_up(sim->hosts[roll->host]);
}

static bool is_back(struct sim *sim)
{
	const struct roll *roll = sim->script;
	const struct host *host = sim->hosts[roll->host];

	return host_up(host) && oracle_in_sync_everywhere(sim->oracle, host_node_id(host));
}

static bool is_quiet(struct sim *sim)
{
	return workload_quiet(sim->workload);
}

static void restart(struct sim *sim, uint32_t index)
{
	struct roll *roll = sim->script;
	uint32_t id = host_node_id(sim->hosts[index]);

	roll->host = index;
	roll->stored_bytes = bytes_stored(sim->hosts[index]);
	fault_stop(sim, index, LIMIT_MS, NEVER_US);
	if (!watch_until(sim, has_ended, ENDED_US, "its end"))
		return;
	if (!host_has_proof(sim->hosts[index]))
		sim_fail(sim, "scenario: host %u has ended without consent", index);
	expect_let_go(sim, id);
	expect_acknowledged(sim);
	if (watch_until(sim, is_back, BACK_US, "its return"))
		expect_no_copies(sim);
}

void scenario_rolling(struct sim *sim)
{
	struct roll roll = {0};
	uint64_t began_us;

	sim->script = &roll;
	sim->stops.away_us = AWAY_US;
	workload_start(sim->workload);
	for (uint32_t i = 0; i < STORED_BURSTS; i++) {
		scenario_wait(sim, STORED_EVERY_US);
		workload_burst(sim->workload, BURST_EVENTS);
	}
	scenario_wait(sim, SCENARIO_SECOND_US);
	began_us = sim->clockwork.now_us;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		roll.served_us[p] = began_us;
	for (uint32_t i = 0; i < sim->options.hosts && !sim->failed; i++)
		restart(sim, i);
	workload_stop(sim->workload);
	if (scenario_step(sim, is_quiet, "the last answers"))
		expect_prompt_answers(sim, began_us);
	scenario_wait_quiet(sim);
}

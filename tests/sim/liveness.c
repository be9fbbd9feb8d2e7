/* What stays bad, and what must go well all the same. */
#include "tests/sim/liveness.h"

#include "tests/sim/faults.h"
#include "tests/sim/host.h"
#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

#include "proto/error.h"

#define SECOND_US 1000000ull
#define GRACE_US (10 * SECOND_US)
#define GIVE_WAY_US (4 * SECOND_US) /* a write lags, twice a fence time below the minimum, a hand-over */
#define WATCHED_US (5 * SECOND_US)
#define LIMIT_US (35 * SECOND_US) /* the longest deadline of a client, and some */
#define PAUSE_US (GRACE_US + WATCHED_US + LIMIT_US)

enum bad { BAD_DEAD, BAD_CUT_OFF, BAD_DEAF, BAD_MUTE, BAD_PAUSED, BAD_GREY, BAD_LINK, BAD_COUNT };

static const char *const names[BAD_COUNT] = {"is dead",   "is cut off", "hears nobody",          "is heard by nobody",
					     "is paused", "is grey",    "has no link to another"};

static struct { /* of the one run; a predicate has no other way to know it */
	enum bad bad;
	uint32_t host;
} left_out;

/* Whose journal is damaged at the end of the faults has no vote: it is the one. */
static uint32_t choose_host(struct sim *sim)
{
	uint32_t drawn = (uint32_t)random_between(&sim->random, 0, sim->options.hosts - 1);

	return sim->rot.host != 0 ? sim->rot.host - 1 : drawn;
}

static void cut_from(struct sim *sim, uint32_t host, uint32_t other)
{
	if (left_out.bad != BAD_MUTE)
		network_cut(sim, other, host, true);
	if (left_out.bad != BAD_DEAF)
		network_cut(sim, host, other, true);
}

static void hurt(struct sim *sim)
{
	uint32_t host = left_out.host;
	uint32_t other =
		(host + (uint32_t)random_between(&sim->random, 1, sim->options.hosts - 1)) % sim->options.hosts;

	sim_trace(sim, "from now on host %u %s", host, names[left_out.bad]);
	switch (left_out.bad) {
	case BAD_DEAD: faults_kill_for_good(sim, host); return;
	case BAD_PAUSED: host_pause(sim->hosts[host], sim->clockwork.now_us + PAUSE_US); return;
	case BAD_LINK: cut_from(sim, host, other); return;
	default: break;
	}
	for (other = 0; other < sim->options.hosts; other++) {
		if (other == host)
			continue;
		if (left_out.bad != BAD_GREY) {
			cut_from(sim, host, other);
			continue;
		}
		network_cut_data(sim, host, other, true);
		network_cut_data(sim, other, host, true);
	}
}

static bool others_are_in_sync(struct sim *sim)
{
	if (left_out.bad == BAD_GREY || left_out.bad == BAD_LINK)
		return true;
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (i != left_out.host && !host_is_gone(sim->hosts[i]) &&
		    !oracle_in_sync_everywhere(sim->oracle, host_node_id(sim->hosts[i])))
			return false;
	return true;
}

static bool is_quiet(struct sim *sim)
{
	return workload_quiet(sim->workload) && others_are_in_sync(sim);
}

/* This very process is registered, and live. */
static bool is_live(const struct cluster_map *map, const struct host *host)
{
	const struct map_node *node = cluster_map_node(map, host_node_id(host));

	return host_up(host) && node != NULL && !node->fenced && node->incarnation == host_incarnation(host);
}

/* Whoever alone has all of a partition cannot be missed: nobody else may be elected (rules 1 and 10). One whose journal
 * rots does not count. Nor can a voter be missed before the successor of a lost one votes. That all are registered and
 * live is waited for, and that a state that was made wrong is mended: only what is written shows it, and the clients
 * stop later. */
static bool all_can_be_missed(struct sim *sim)
{
	const struct cluster_map *newest = NULL;
	uint32_t rotten = sim->rot.host == 0 ? 0 : host_node_id(sim->hosts[sim->rot.host - 1]);
	node_set sound = rotten == 0 ? ~(node_set)0 : ~node_bit(rotten);

	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		const struct cluster_map *map = host_map(sim->hosts[i]);

		if (map != NULL && (newest == NULL || map->version > newest->version))
			newest = map;
	}
	for (uint32_t i = 0; newest != NULL && i < sim->options.hosts; i++)
		if (!host_is_gone(sim->hosts[i]) && !is_live(newest, sim->hosts[i]))
			return false;
	for (uint16_t p = 0; newest != NULL && p < PARTITION_COUNT; p++)
		if (node_set_count((newest->partitions[p].isr | newest->partitions[p].elr) & sound) < 2)
			return false;
	return newest != NULL && sim_is_sound(sim) && oracle_voter_can_be_missed(sim->oracle);
}

/* Heartbeats pass a grey node and a lost link: a primary finds out by the first event of its partition that does not
 * reach its replicas (one that a check refuses goes nowhere), refuses by rule 8 from then on, and gives way (R19). Soon
 * is counted from that event. */
static bool is_found_out_only_now(const struct operation *operations, const struct operation *refused, uint64_t bad_us)
{
	if (left_out.bad != BAD_GREY && left_out.bad != BAD_LINK)
		return false;
	if (refused->error != ERROR_NOT_ENOUGH_REPLICAS)
		return false;
	for (const struct operation *first = operations; first < refused; first++)
		if (first->invoked_us >= bad_us && (int)first->error != ERROR_CHECK_FAILED &&
		    partition_of(workload_key(first->key)) == partition_of(workload_key(refused->key)))
			return refused->invoked_us - first->invoked_us < GIVE_WAY_US;
	return false;
}

static void check_answers(struct sim *sim, uint64_t bad_us)
{
	uint64_t since_us = bad_us + GRACE_US;
	size_t count, acknowledged = 0;
	const struct operation *operations = workload_operations(sim->workload, &count);

	for (size_t i = 0; i < count; i++) {
		const struct operation *operation = &operations[i];

		if (operation->invoked_us < since_us)
			continue;
		acknowledged += operation->outcome == OUTCOME_ACKNOWLEDGED;
		if (operation->outcome != OUTCOME_ACKNOWLEDGED && (int)operation->error != ERROR_CHECK_FAILED &&
		    !is_found_out_only_now(operations, operation, bad_us))
			sim_fail(sim,
				 "L1: host %u %s; event %llu of partition %u, published %.3f s after that, was given "
				 "up with %s",
				 left_out.host, names[left_out.bad], (unsigned long long)operation->id,
				 partition_of(workload_key(operation->key)),
				 (double)(operation->invoked_us - bad_us) / 1e6, error_name((int)operation->error));
	}
	if (acknowledged == 0)
		sim_fail(sim, "L1: nothing was published, so nothing was shown");
}

void liveness_run(struct sim *sim)
{
	uint64_t began_us;

	faults_heal(sim);
	if (!sim->failed && !sim_run_until(sim, all_can_be_missed, LIMIT_US))
		sim_fail(sim, "L0: %.0f s after the faults one replica alone has all of a partition", LIMIT_US / 1e6);
	left_out.bad = (enum bad)random_between(&sim->random, 0, BAD_COUNT - 1);
	left_out.host = choose_host(sim);
	began_us = sim->clockwork.now_us;
	hurt(sim);
	clockwork_run(&sim->clockwork, began_us + GRACE_US + WATCHED_US);
	workload_stop(sim->workload);
	if (!sim->failed && !sim_run_until(sim, is_quiet, LIMIT_US))
		sim_fail(sim,
			 workload_quiet(sim->workload) ? "L2: host %u %s; of the others one is not in sync"
						       : "L1: host %u %s; operations of clients are still pending",
			 left_out.host, names[left_out.bad]);
	if (!sim->failed)
		check_answers(sim, began_us);
}

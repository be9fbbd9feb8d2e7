/* One run: form a cluster, let clients work while faults happen, heal everything, wait until it is quiet, look. */
#include "tests/sim/sim.h"

#include "tests/sim/backup.h"
#include "tests/sim/edge.h"
#include "tests/sim/fault_member.h"
#include "tests/sim/faults.h"
#include "tests/sim/host.h"
#include "tests/sim/liveness.h"
#include "tests/sim/oracle.h"
#include "tests/sim/subscriber.h"
#include "tests/sim/workload.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define SECOND_US 1000000ull
#define JOINERS_RANDOM 0x6a6f696eull
#define FORMATION_LIMIT_US (20 * SECOND_US)
#define SETTLE_LIMIT_US (60 * SECOND_US)
#define SEGMENT_BYTES_MIN (64u * 1024) /* the largest batch that clients here build fits a quarter of it */
#define SNAPSHOT_BYTES_MIN (32u * 1024)

void sim_fail(struct sim *sim, const char *format, ...)
{
	va_list arguments;

	if (sim->failed)
		return;
	sim->failed = true;
	va_start(arguments, format);
	vsnprintf(sim->why, sizeof sim->why, format, arguments);
	va_end(arguments);
}

void sim_trace(struct sim *sim, const char *format, ...)
{
	va_list arguments;

	if (!sim->options.trace)
		return;
	printf("%12.6f ", (double)sim->clockwork.now_us / 1e6);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

/* Runs until `done` or the limit; false: the limit came first. */
bool sim_run_until(struct sim *sim, bool (*done)(struct sim *sim), uint64_t limit_us)
{
	uint64_t end = sim->clockwork.now_us + limit_us;

	while (!sim->failed && sim->clockwork.now_us < end) {
		clockwork_run(&sim->clockwork, sim->clockwork.now_us + SECOND_US / 50);
		if (done(sim))
			return !sim->failed;
	}
	return false;
}

const struct cluster_map *sim_map(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (!host_is_gone(sim->hosts[i]))
			return host_map(sim->hosts[i]);
	return NULL;
}

static bool all_have_primaries(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		const struct cluster_map *map = host_map(sim->hosts[i]);

		if (map == NULL || host_node_id(sim->hosts[i]) == 0)
			return false;
		for (uint32_t p = 0; p < PARTITION_COUNT; p++)
			if (map->partitions[p].primary == 0)
				return false;
	}
	return true;
}

bool sim_is_sound(struct sim *sim)
{
	struct corruption *corruption = &sim->corruption;

	if (corruption->host != 0 && corruption->left &&
	    !sim_disk_has_snapshot(host_disk(sim->hosts[corruption->host - 1], corruption->partition),
				   corruption->partition))
		corruption->host = 0;
	return corruption->host == 0 || corruption->left;
}

static bool is_settled(struct sim *sim)
{
	return workload_quiet(sim->workload) && oracle_settled(sim->oracle) && subscribers_quiet(sim->subscribers);
}

static void sim_init(struct sim *sim, const struct sim_options *options)
{
	*sim = (struct sim){.options = *options, .random = {.state = options->seed * 0x2545f4914f6cdd1dull + 1}};
	sim->network.delay_min_us = (uint32_t)random_between(&sim->random, 20, 200);
	sim->network.delay_max_us = sim->network.delay_min_us + (uint32_t)random_between(&sim->random, 50, 3000);
	sim->segment_bytes = SEGMENT_BYTES_MIN << random_between(&sim->random, 0, 2);
	sim->snapshot_bytes = SNAPSHOT_BYTES_MIN << random_between(&sim->random, 0, 4);
	sim->options.founders = options->hosts;
	zones_draw(sim);
	sim->oracle = oracle_new(sim);
	sim->edge = edge_new(sim);
	for (uint32_t i = 0; i < options->hosts; i++)
		sim->hosts[i] = host_new(sim, i);
	sim->workload = workload_new(sim);
	sim->subscribers = subscribers_new(sim);
	sim->backups = backups_new(sim);
}

/* The partition on this host, if it is a replica there and not where it should be. */
static void explain_replica(struct sim *sim, const struct cluster_map *map, uint16_t partition, uint32_t index)
{
	const struct map_partition *row = &map->partitions[partition];
	struct shard *shard = host_shard(sim->hosts[index], partition);
	uint32_t id = host_node_id(sim->hosts[index]);
	struct partition_status status = {0};
	node_set replicas = row_replicas(row);

	if (host_is_gone(sim->hosts[index]))
		return;
	if (shard != NULL)
		shard_status(shard, partition, &status);
	if (id != 0 && (!node_set_has(replicas, id) ||
			(shard != NULL && status.applied == oracle_committed(sim->oracle, partition) &&
			 status.end == status.applied && node_set_has(row->isr, id))))
		return;
	sim_fail(sim,
		 "liveness: partition %u on host %u: role %u active %u epoch %u end %llu commit %llu applied %llu, "
		 "committed anywhere %llu, row epoch %u primary %u isr %llx elr %llx",
		 partition, index, status.role, status.active, status.epoch, (unsigned long long)status.end,
		 (unsigned long long)status.commit, (unsigned long long)status.applied,
		 (unsigned long long)oracle_committed(sim->oracle, partition), row->epoch, row->primary,
		 (unsigned long long)row->isr, (unsigned long long)row->elr);
}

static void explain_unsettled(struct sim *sim)
{
	const struct cluster_map *map = sim_map(sim);
	char why[256];

	if (map == NULL)
		sim_fail(sim, "liveness: the first host has no map");
	for (uint16_t p = 0; p < PARTITION_COUNT && !sim->failed; p++)
		for (uint32_t i = 0; i < sim->options.hosts && !sim->failed; i++)
			explain_replica(sim, map, p, i);
	if (!workload_quiet(sim->workload))
		sim_fail(sim, "liveness: operations of clients are still pending");
	if (!subscribers_quiet(sim->subscribers))
		sim_fail(sim, "liveness: a subscriber has not consumed everything");
	for (uint32_t id = 1; id <= NODES_MAX && !sim->failed; id++)
		if (map->nodes[id - 1].state == NODE_DRAINING)
			sim_fail(sim, "liveness: node %u is draining still", id);
	if (!oracle_views_active(sim->oracle))
		sim_fail(sim, "liveness: the newest version of a view is not active");
	if (!sim->failed && sim->zones.on && !oracle_zones_balanced(sim, map, why, sizeof why))
		sim_fail(sim, "O17: %s", why);
	sim_fail(sim, "liveness: not settled");
}

bool sim_form(struct sim *sim, const struct sim_options *options)
{
	sim_init(sim, options);
	for (uint32_t i = 0; i < options->hosts; i++)
		host_start(sim->hosts[i]);
	if (!sim_run_until(sim, all_have_primaries, FORMATION_LIMIT_US))
		sim_fail(sim, "liveness: no cluster was formed");
	return !sim->failed;
}

uint32_t sim_add_host(struct sim *sim)
{
	uint32_t index = sim->options.hosts;

	assert(index < SIM_HOSTS_MAX);
	sim->hosts[index] = host_new(sim, index);
	sim->options.hosts++;
	host_start(sim->hosts[index]);
	return index;
}

static void join(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	(void)appointment;
	if (!sim->failed)
		sim_add_host(sim);
}

/* Not from the run's own random: what a seed without joiners draws is what it always drew. */
static void joiners_start(struct sim *sim)
{
	struct random random = {.state = sim->options.seed ^ JOINERS_RANDOM};

	for (uint32_t i = 0; i < sim->options.joiners; i++)
		clockwork_add(
			&sim->clockwork,
			(struct appointment){.at_us = sim->clockwork.now_us +
						      random_between(&random, 0, sim->options.seconds * SECOND_US),
					     .run = join,
					     .owner = sim});
}

static bool is_whole(struct sim *sim)
{
	struct journal_rot rot;

	return oracle_verify_journals(sim->oracle, &rot);
}

static void explain_rot(struct sim *sim)
{
	struct journal_rot rot;

	if (!oracle_verify_journals(sim->oracle, &rot))
		sim_fail(sim, "O9: host %u shard %u segment %u: %llu blocks from %llu are corrupt", rot.host, rot.shard,
			 rot.segment, (unsigned long long)rot.blocks, (unsigned long long)rot.number);
}

void sim_settle(struct sim *sim)
{
	if (!sim->failed && !sim_run_until(sim, is_settled, SETTLE_LIMIT_US))
		explain_unsettled(sim);
	if (!sim->failed)
		oracle_final(sim->oracle);
	if (!sim->failed && !sim_run_until(sim, is_whole, SETTLE_LIMIT_US))
		explain_rot(sim);
}

int sim_run(struct sim *sim, const struct sim_options *options)
{
	if (!sim_form(sim, options))
		return 1;
	workload_start(sim->workload);
	subscribers_start(sim->subscribers);
	joiners_start(sim);
	if (options->faults)
		members_start(sim);
	if (options->faults)
		faults_start(sim, sim->clockwork.now_us + options->seconds * SECOND_US);
	if (options->faults)
		stops_start(sim, sim->clockwork.now_us + options->seconds * SECOND_US);
	if (options->faults)
		backups_start(sim->backups);
	clockwork_run(&sim->clockwork, sim->clockwork.now_us + options->seconds * SECOND_US);
	if (options->liveness)
		liveness_run(sim);
	faults_heal(sim);
	if (!sim->failed && !sim_run_until(sim, sim_is_sound, SETTLE_LIMIT_US))
		sim_fail(sim, "O2: the corrupted state of partition %u on host %u was not mended",
			 sim->corruption.partition, sim->corruption.host - 1);
	workload_stop(sim->workload);
	subscribers_calm(sim->subscribers);
	sim_settle(sim);
	backups_finish(sim->backups);
	return sim->failed ? 1 : 0;
}

void sim_deinit(struct sim *sim)
{
	sim->failed = true; /* nothing runs any more */
	echo_end(sim);
	client_lives_end(sim);
	sim->workload = workload_free(sim->workload);
	sim->subscribers = subscribers_free(sim->subscribers);
	sim->backups = backups_free(sim->backups);
	for (uint32_t i = 0; i < SIM_HOSTS_MAX; i++)
		sim->hosts[i] = host_free(sim->hosts[i]);
	sim->oracle = oracle_free(sim->oracle);
	sim->edge = edge_free(sim->edge);
	clockwork_deinit(&sim->clockwork);
}

/* R20: a partition whose complete replicas die, and an operator who elects the one that lacks what they acknowledged
 * (design.md 6.10). Exactly that is lost, and all replicas are equal again. */
#include "tests/sim/scenarios/scenario.h"

#include "tests/sim/oracle.h"
#include "tests/sim/subscriber.h"
#include "tests/sim/workload.h"

#include "raft/command.h"

struct script {         /* hosts, by index */
	uint32_t first; /* primary */
	uint32_t second;
	uint32_t third; /* lacks what the two acknowledged */
	uint16_t partition;
};

static const struct map_partition *row_seen(const struct sim *sim)
{
	const struct script *script = sim->script;

	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (i != script->first && i != script->second && i != script->third && host_map(sim->hosts[i]) != NULL)
			return &host_map(sim->hosts[i])->partitions[script->partition];
	return NULL;
}

static bool third_is_out(struct sim *sim)
{
	const struct script *script = sim->script;
	const struct map_partition *row = row_seen(sim);
	uint32_t id = host_node_id(sim->hosts[script->third]);

	return row != NULL && id != 0 && node_set_count(row->isr) == 2 && !node_set_has(row->isr | row->elr, id);
}

/* Nothing is open, and the subscribers stand behind all that will be given up. */
static bool is_quiet(struct sim *sim)
{
	return workload_quiet(sim->workload) && subscribers_quiet(sim->subscribers);
}

static bool has_no_primary(struct sim *sim)
{
	const struct map_partition *row = row_seen(sim);

	return row != NULL && row->primary == 0;
}

/* Proposes the election of `third` for every partition that has nobody else, as a client of another node would. */
static bool all_have_primaries(struct sim *sim)
{
	const struct script *script = sim->script;
	uint32_t id = host_node_id(sim->hosts[script->third]);
	bool complete = true;

	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		const struct cluster_map *map = host_map(sim->hosts[i]);

		if (map == NULL || !host_is_controller(sim->hosts[i]))
			continue;
		for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
			struct command_elect elect = {p, map->partitions[p].version, id, span_of_text("scripted")};
			struct buffer command = BUFFER_NULL;

			if (map->partitions[p].primary != 0)
				continue;
			complete = false;
			command_elect_encode(&elect, &command);
			host_command(sim->hosts[i], buffer_span(&command));
			buffer_deinit(&command);
		}
		return complete;
	}
	return false;
}

static bool choose(struct sim *sim)
{
	struct script *script = sim->script;
	const struct map_partition *row;
	uint32_t others[2] = {0};
	uint32_t count = 0;

	script->partition = partition_of(workload_key(0));
	row = &host_map(sim->hosts[0])->partitions[script->partition];
	script->first = host_index_of(sim->hosts[0], row->primary);
	for (uint32_t i = 0; i < row->replica_count && i < 3; i++)
		if (row->replicas[i] != row->primary && count < 2)
			others[count++] = host_index_of(sim->hosts[0], row->replicas[i]);
	/* A controller that hears neither of the others would fence them. */
	script->third = others[host_is_controller(sim->hosts[others[0]])];
	script->second = others[!host_is_controller(sim->hosts[others[0]])];
	return count == 2;
}

static void cut_third(struct sim *sim, bool cut)
{
	const struct script *script = sim->script;

	scenario_cut(sim, script->first, script->third, cut);
	scenario_cut(sim, script->second, script->third, cut);
}

/* The clients know of what was given up, and hold positions in it. */
static void give_up(struct sim *sim)
{
	const struct script *script = sim->script;
	const struct cluster_map *map = host_map(sim->hosts[script->third]);

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (map->partitions[p].history > 0)
			workload_given_up(sim->workload, p);
}

static bool third_knows(struct sim *sim)
{
	const struct script *script = sim->script;
	const struct cluster_map *map = host_map(sim->hosts[script->third]);

	return map != NULL && map->partitions[script->partition].history > 0;
}

/* Others are published where what was given up stood, and positions of both histories are asked for. */
static void go_on(struct sim *sim)
{
	struct workload_went_on went_on;

	give_up(sim);
	workload_resume(sim->workload);
	clockwork_run(&sim->clockwork, sim->clockwork.now_us + 10 * SCENARIO_SECOND_US);
	workload_stop(sim->workload);
	sim_settle(sim);
	went_on = workload_went_on(sim->workload);
	if (!sim->failed && (went_on.refused == 0 || went_on.answered == 0 || went_on.published == 0))
		sim_fail(sim,
			 "scenario: %llu positions were refused, %llu answered, events of %llu keys acknowledged: so "
			 "nothing was shown",
			 (unsigned long long)went_on.refused, (unsigned long long)went_on.answered,
			 (unsigned long long)went_on.published);
	if (!sim->failed && !subscribers_refused(sim->subscribers))
		sim_fail(sim, "scenario: a subscriber of a history that was given up was not refused");
}

void scenario_forced_election(struct sim *sim)
{
	struct script script = {0};

	sim->script = &script;
	if (!choose(sim))
		return sim_fail(sim, "scenario: the partition has not three replicas");
	workload_start(sim->workload);
	scenario_wait(sim, 5 * SCENARIO_SECOND_US);
	subscribers_calm(sim->subscribers);
	cut_third(sim, true);
	if (!scenario_step(sim, third_is_out, "an in-sync set without the third"))
		return;
	scenario_wait(sim, 5 * SCENARIO_SECOND_US);
	workload_stop(sim->workload);
	if (!scenario_step(sim, is_quiet, "an end of the clients' and subscribers' work"))
		return;
	subscribers_given_up(sim->subscribers);
	host_kill(sim->hosts[script.first], true);
	host_kill(sim->hosts[script.second], true);
	cut_third(sim, false);
	if (!scenario_step(sim, has_no_primary, "the loss of the primary") ||
	    !scenario_step(sim, all_have_primaries, "the election by force") ||
	    !scenario_step(sim, third_knows, "word of it to the one elected"))
		return;
	oracle_restarted(sim->oracle, script.first);
	oracle_restarted(sim->oracle, script.second);
	host_start(sim->hosts[script.first]);
	host_start(sim->hosts[script.second]);
	go_on(sim);
	if (!sim->failed && (oracle_lost(sim->oracle) == 0 || sim->marks.count[MARK_TRUNCATED] == 0))
		sim_fail(sim, "scenario: nothing was lost, so nothing was shown");
}

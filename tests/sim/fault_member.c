/* See fault_member.h. */
#include "tests/sim/fault_member.h"

#include "raft/command.h"
#include "tests/sim/faults_internal.h"
#include "tests/sim/host.h"
#include "tests/sim/oracle.h"

#include <stdio.h>

#define SECOND_US 1000000ull
#define MEMBERS_RANDOM 0x6c65617665ull
#define REPLICAS 3u
#define ASK_AGAIN_US 400000u
#define TRIES 20u

static uint64_t draw(struct sim *sim, uint64_t low, uint64_t high)
{
	return random_between(&sim->members, low, high);
}

static const struct map_node *node_of(const struct cluster_map *map, uint32_t index)
{
	char name[NAME_MAX_BYTES + 1];

	snprintf(name, sizeof name, "n%u", index + 1);
	return map == NULL ? NULL : cluster_map_node_by_name(map, name);
}

static const struct cluster_map *controllers_map(struct sim *sim)
{
	const struct host *controller = faults_controller(sim);

	return controller == NULL ? NULL : host_map(controller);
}

/* --- leaving for good --------------------------------------------------------------------------------------------- */

/* Its name comes back, with an empty directory. */
static void come_again(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t index = (uint32_t)appointment->a;

	if (sim->failed || sim->calm || appointment->b == 0)
		return;
	if (!host_is_gone(sim->hosts[index])) {
		faults_at(sim, ASK_AGAIN_US, come_again, index, appointment->b - 1);
		return;
	}
	host_lose_directory(sim->hosts[index]);
	marks_reach(&sim->marks, MARK_CAME_AGAIN);
	faults_restart(sim, index, draw(sim, 0, SECOND_US));
}

/* Asked again until it is on its way. */
static void leave(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t index = (uint32_t)appointment->a;
	struct host *asked = faults_controller(sim);
	const struct map_node *node = node_of(controllers_map(sim), index);

	if (sim->failed || sim->calm || appointment->b == 0)
		return;
	if (node != NULL && node->state >= NODE_DRAINING) {
		if (draw(sim, 0, 1) == 0)
			faults_at(sim, ASK_AGAIN_US, come_again, index, 100 * TRIES);
		return;
	}
	if (node != NULL)
		faults_decommission(asked, index, false);
	faults_at(sim, ASK_AGAIN_US, leave, index, appointment->b - 1);
}

static void leave_begin(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	(void)appointment;
	faults_at(sim, 0, leave, draw(sim, 0, sim->options.hosts - 1), TRIES);
}

/* --- a lost directory --------------------------------------------------------------------------------------------- */

static bool others_are_up(const struct sim *sim, uint32_t index)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (i != index && !host_is_gone(sim->hosts[i]) && !host_up(sim->hosts[i]))
			return false;
	return true;
}

bool member_can_be_lost(const struct sim *sim, uint32_t index)
{
	const struct cluster_map *map = controllers_map((struct sim *)(uintptr_t)sim);
	const struct map_node *node = node_of(map, index);

	if (host_up(sim->hosts[index]) || node == NULL || !node->fenced || sim->rot.host != 0 ||
	    sim->corruption.host != 0 || !others_are_up(sim, index))
		return false;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &map->partitions[p];

		if (row->replica_count == 0 || node_set_has(row->isr | row->elr | row->suspects, node->id))
			return false;
	}
	return true;
}

/* The directory that was lost is found, and a process runs on it until it is told so. */
static void former_swap(struct sim *sim, uint32_t index, uint64_t restart_us)
{
	if (host_up(sim->hosts[index]))
		host_kill(sim->hosts[index], false);
	host_swap_directory(sim->hosts[index]);
	faults_forget_host(sim, index);
	faults_restart(sim, index, restart_us);
}

static void former_keep(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t index = (uint32_t)appointment->a;

	if (sim->failed)
		return;
	if ((sim->calm && sim->options.liveness) || appointment->b == 0 || !host_up(sim->hosts[index]))
		former_swap(sim, index, draw(sim, 0, SECOND_US));
	else
		faults_at(sim, ASK_AGAIN_US, former_keep, index, appointment->b - 1);
}

static void former_begin(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t index = (uint32_t)appointment->a;
	struct host *host = sim->hosts[index];

	if (sim->failed || sim->calm || host_is_gone(host) || appointment->b == 0)
		return;
	if (!host_up(host) || !oracle_in_sync_everywhere(sim->oracle, host_node_id(host))) {
		faults_at(sim, ASK_AGAIN_US, former_begin, index, appointment->b - 1);
		return;
	}
	former_swap(sim, index, 0);
	faults_at(sim, SECOND_US, former_keep, index, TRIES);
}

static void lose(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t index = (uint32_t)appointment->a;

	if (sim->failed || sim->calm || host_up(sim->hosts[index]) || host_is_gone(sim->hosts[index]))
		return;
	if (member_can_be_lost(sim, index)) {
		host_lose_directory(sim->hosts[index]);
		faults_forget_host(sim, index);
		sim->lost = index + 1;
		marks_reach(&sim->marks, MARK_LOST_DIRECTORY);
		if (draw(sim, 0, 1) == 0)
			faults_at(sim, SECOND_US, former_begin, index, 2 * TRIES);
	}
	faults_restart(sim, index, draw(sim, 0, 2 * SECOND_US));
}

static void lose_begin(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t index = (uint32_t)draw(sim, 0, sim->options.hosts - 1);

	(void)appointment;
	if (sim->failed || sim->calm || sim->lost != 0 || !host_up(sim->hosts[index]))
		return;
	host_kill(sim->hosts[index], false);
	faults_at(sim, draw(sim, SECOND_US, 4 * SECOND_US), lose, index, 0);
}

/* --- draining ----------------------------------------------------------------------------------------------------- */

static void drain(struct host *asked, uint32_t index, bool on)
{
	char name[NAME_MAX_BYTES + 1];
	struct command_drain command = {.on = on};
	struct buffer bytes = BUFFER_NULL;

	snprintf(name, sizeof name, "n%u", index + 1);
	command.name = span_of_text(name);
	command_drain_encode(&command, &bytes);
	host_command(asked, buffer_span(&bytes));
	buffer_deinit(&bytes);
}

static void mark_drained(struct sim *sim, const struct cluster_map *map, const struct map_node *node)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &map->partitions[p];

		if (row->primary == node->id ||
		    (node_set_has(row_replicas(row), node->id) && !node_set_has(row->isr, node->id)))
			return;
	}
	marks_reach(&sim->marks, MARK_DRAINED);
}

/* On while b lasts, off then: asked again until it is seen. */
static void drain_keep(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t index = (uint32_t)appointment->a;
	const struct cluster_map *map = controllers_map(sim);
	const struct map_node *node = node_of(map, index);
	bool on = appointment->b > 0 && !sim->calm;

	if (sim->failed || host_is_gone(sim->hosts[index]))
		return;
	if (node != NULL && node->drained && on)
		mark_drained(sim, map, node);
	if (node != NULL && !node->drained && !on)
		return;
	if (node != NULL && node->drained != on)
		drain(faults_controller(sim), index, on);
	faults_at(sim, ASK_AGAIN_US, drain_keep, index, on ? appointment->b - 1 : 0);
}

static void drain_begin(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint64_t index = draw(sim, 0, sim->options.hosts - 1);

	(void)appointment;
	faults_at(sim, 0, drain_keep, index, draw(sim, 2, TRIES));
}

/* --- the plan ----------------------------------------------------------------------------------------------------- */

static void plan(struct sim *sim, uint32_t per_mille, void (*run)(void *, struct appointment *))
{
	uint64_t at_us = draw(sim, 0, sim->options.seconds * SECOND_US / 2);

	if (random_chance(&sim->members, per_mille))
		faults_at(sim, at_us, run, 0, 0);
}

void members_start(struct sim *sim)
{
	sim->members = (struct random){.state = sim->options.seed * 0x9e3779b97f4a7c15ull ^ MEMBERS_RANDOM};
	if (sim->options.hosts + sim->options.joiners > REPLICAS) {
		plan(sim, 400, leave_begin);
		plan(sim, 200, leave_begin);
	}
	plan(sim, 150, lose_begin);
	plan(sim, 150, drain_begin);
}

/* A node is to give away all that it holds, and stays after all, unless it is gone by then: partitions move off it and
 * back, under whatever else goes wrong. One node at a time, as the metadata has it. */
#include "tests/sim/faults_internal.h"
#include "tests/sim/host.h"

#include "raft/command.h"

#include <stdio.h>

#define ASK_AGAIN_US 300000u

struct host *faults_controller(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (host_up(sim->hosts[i]) && host_is_controller(sim->hosts[i]))
			return sim->hosts[i];
	return NULL;
}

void faults_decommission(struct host *asked, uint32_t index, bool stays)
{
	char name[NAME_MAX_BYTES + 1];
	struct command_decommission command = {.stays = stays};
	struct buffer bytes = BUFFER_NULL;

	snprintf(name, sizeof name, "n%u", index + 1);
	command.name = span_of_text(name);
	command_decommission_encode(&command, &bytes);
	host_command(asked, buffer_span(&bytes));
	buffer_deinit(&bytes);
}

/* Asked again until it is seen. */
static void keep(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	struct host *asked = faults_controller(sim);
	char name[NAME_MAX_BYTES + 1];
	const struct map_node *node = NULL;

	if (sim->failed)
		return;
	snprintf(name, sizeof name, "n%u", (uint32_t)appointment->a + 1);
	if (asked != NULL && host_map(asked) != NULL)
		node = cluster_map_node_by_name(host_map(asked), name);
	if (node != NULL && (node->state == NODE_ACTIVE || node->state == NODE_GONE))
		return;
	if (node != NULL)
		faults_decommission(asked, (uint32_t)appointment->a, true);
	faults_at(sim, ASK_AGAIN_US, keep, appointment->a, 0);
}

void fault_move(struct sim *sim)
{
	struct host *asked = faults_controller(sim);
	uint32_t index = faults_any_host(sim);

	if (asked == NULL)
		return;
	faults_decommission(asked, index, false);
	faults_at(sim, random_between(&sim->random, 200000, 15000000), keep, index, 0);
}

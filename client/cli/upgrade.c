/* cluster upgrade: the last step of a rolling upgrade, behind which no older binary starts (docs/decisions/0029). What
 * is asked for names every member's process as the map has it; the cluster decides (raft/controller_version.c). */
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "proto/admin.h"

#define UPGRADE_PAUSE_US 50000u

const struct cli_option cluster_upgrade_options[] = {
	{"to", "VERSION", "the cluster version; default the highest that all members know"},
	{"check", NULL, "say whether it can be done, and change nothing"},
	{NULL, NULL, NULL},
};

static bool is_member(const struct map_node *node)
{
	return node->id != 0 && node->state != NODE_GONE;
}

uint16_t versions_common(const struct cluster_map *map)
{
	uint16_t common = UINT16_MAX;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (is_member(&map->nodes[i]) && map->versions[i].highest < common)
			common = map->versions[i].highest;
	return common == UINT16_MAX ? 0 : common;
}

/* The highest that some member knows. */
static uint16_t versions_newest(const struct cluster_map *map)
{
	uint16_t newest = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (is_member(&map->nodes[i]) && map->versions[i].highest > newest)
			newest = map->versions[i].highest;
	return newest;
}

/* What is meant where nothing is said: what all know, or what hinders that others' is switched on. */
static uint16_t version_meant(const struct cluster_map *map)
{
	uint16_t newest = versions_newest(map);

	if (versions_common(map) > map->cluster_version)
		return versions_common(map);
	if (newest == 0) /* the node that was asked is older than versions are */
		newest = CLUSTER_VERSION_HIGHEST;
	return newest > map->cluster_version ? newest : map->cluster_version;
}

/* Members that hinder it, a line each. False: there are some. */
static bool all_know(const struct cluster_map *map, uint16_t version)
{
	node_set present = cluster_map_present(map);
	bool all = true;

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &map->nodes[i];
		struct version_range range = map->versions[i];

		if (!is_member(node) || (node_set_has(present, node->id) && version_known(range, version)))
			continue;
		all = false;
		if (!node_set_has(present, node->id))
			cli_say("node %s is not live: every member has to be", node->name);
		else if (range.highest == 0)
			cli_say("what the evgridd of node %s knows is not known", node->name);
		else
			cli_say("the evgridd of node %s knows versions %u to %u", node->name, range.lowest,
				range.highest);
	}
	return all;
}

static int propose(struct cli *cli, const struct cluster_map *map, uint16_t version, char **why)
{
	struct admin_version raise = {.version = version};
	uint64_t deadline_ms = grid_now_ms() + cli->timeout_ms;
	struct buffer command = BUFFER_NULL;
	int error;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		raise.node_epochs[i] = is_member(&map->nodes[i]) ? map->nodes[i].epoch : 0;
	error = admin_version_encode(&raise, &command);
	while (error == 0) {
		error = grid_propose(cli->grid, buffer_span(&command), cli->timeout_ms, why);
		if (error != ERROR_BUSY || grid_now_ms() >= deadline_ms)
			break;
		error = 0; /* other commands are on their way */
		free(*why);
		*why = NULL;
		(void)usleep(UPGRADE_PAUSE_US);
	}
	buffer_deinit(&command);
	return error;
}

static int raise_to(struct cli *cli, const struct cluster_map *map, uint16_t version)
{
	char *why = NULL;
	int error = propose(cli, map, version, &why);

	if (error == 0)
		cli_say("the cluster is at version %u; no evgridd starts in it that does not know that", version);
	else
		error = cli_fail_change(error, "version %u%s%s", version, why == NULL ? "" : ": ",
					why == NULL ? "" : why);
	free(why);
	return error;
}

static int upgrade(struct cli *cli, const struct cluster_map *map, uint64_t wanted)
{
	uint16_t version = wanted == 0 ? version_meant(map) : (uint16_t)wanted;

	if (version == map->cluster_version) {
		cli_say("the cluster is at version %u: there is nothing to do", map->cluster_version);
		return 0;
	}
	if (version < map->cluster_version)
		return cli_refuse(ERROR_REFUSED, "start evgridd that know the cluster's version: there is no way back",
				  "the cluster is at version %u, and never goes back to %u", map->cluster_version,
				  version);
	if (!all_know(map, version))
		return cli_refuse(ERROR_REFUSED, "upgrade these nodes, or decommission them: docs/how-to/upgrade.md",
				  "the cluster stays at version %u: not all of its members are there and know %u",
				  map->cluster_version, version);
	if (!cli_has(cli, "check"))
		return raise_to(cli, map, version);
	cli_say("the cluster can go from version %u to %u", map->cluster_version, version);
	return 0;
}

int run_cluster_upgrade(struct cli *cli)
{
	struct cluster_map map;
	uint64_t wanted;
	int rv = cli_number(cli, "to", 1, UINT16_MAX, 0, &wanted);

	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv != 0)
		return rv;
	rv = grid_map(cli->grid, &map);
	if (rv != 0)
		return cli_fail(rv, "cluster upgrade");
	rv = upgrade(cli, &map, wanted);
	cluster_map_deinit(&map);
	return rv;
}

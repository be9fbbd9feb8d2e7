/* partition elect: an operator's election by force (design.md 6.10). It says beforehand what it knows of the others. */
#include <stdlib.h>

#include "client/cli/cli.h"
#include "proto/admin.h"

const struct cli_option partition_elect_options[] = {
	{"node", "NODE", "the replica that becomes primary"},
	{"reason", "TEXT", "for the nodes' logs"},
	{"accept-loss", NULL, "required: what only others hold is given up"},
	{NULL, NULL, NULL},
};

static int elect(struct cli *cli, const struct cluster_map *map, uint16_t partition, const struct map_node *node)
{
	const char *reason = cli_value(cli, "reason");
	struct admin_elect admin = {
		.partition = partition,
		.expected_version = map->partitions[partition].version,
		.node_id = node->id,
		.reason = span_of_text(reason == NULL ? "no reason given" : reason),
	};
	struct buffer command = BUFFER_NULL;
	char *why = NULL;
	int error = admin_elect_encode(&admin, &command);

	if (error == 0)
		error = grid_propose(cli->grid, buffer_span(&command), cli->timeout_ms, &why);
	buffer_deinit(&command);
	if (error == 0)
		cli_say("%s is primary of partition %u in history %u; the others cut what it lacks when they come back",
			node->name, partition, map->partitions[partition].history + 1);
	else
		error = cli_fail_change(error, "partition %u%s%s", partition, why == NULL ? "" : ": ",
					why == NULL ? "" : why);
	free(why);
	return error;
}

int run_partition_elect(struct cli *cli)
{
	const char *name = cli_value(cli, "node");
	const struct map_node *node;
	struct cluster_map map;
	uint64_t partition = 0;
	char wanted[80];
	int rv;

	(void)snprintf(wanted, sizeof wanted, "a partition from 0 to %u and --node NAME", PARTITION_COUNT - 1);
	if (!text_to_u64(cli->positionals[0], &partition) || partition >= PARTITION_COUNT || name == NULL)
		return cli_usage(cli, wanted, "'%s'%s", cli->positionals[0], name == NULL ? " without --node" : "");
	if (!cli_has(cli, "accept-loss"))
		return cli_usage(cli, "--accept-loss", "events that only other replicas hold will be gone");
	rv = cli_open(cli, NULL);
	if (rv != 0)
		return rv;
	rv = grid_map(cli->grid, &map);
	if (rv != 0)
		return cli_fail(rv, "partition elect");
	node = cluster_map_node_by_name(&map, name);
	if (node == NULL) {
		rv = cli_unknown_live(cli, ERROR_NOT_FOUND, "node", name);
	} else {
		rv = elect(cli, &map, (uint16_t)partition, node);
	}
	cluster_map_deinit(&map);
	return rv;
}

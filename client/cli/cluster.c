/* cluster status, cluster wait, partition ls. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/cli.h"

const struct cli_option cluster_status_options[] = {
	{"check-digests", NULL, "compare the digests of all replicas, waiting until they stand at equal offsets"},
	{NULL, NULL, NULL},
};

const struct cli_option cluster_wait_options[] = {
	{"for", "serving|healthy|balanced|restoring", "the state; default healthy"},
	{"nodes", "N", "and at least N members are live"},
	{"in-sync", NULL, "and all replicas of each partition have applied the same"},
	{NULL, NULL, NULL},
};

const struct cli_option partition_ls_options[] = {
	{"partition", "N", "only this one"},
	{"node", "NODE", "only this node's replicas"},
	{NULL, NULL, NULL},
};

/* --- cluster status ----------------------------------------------------------------------------------------------- */

static void cell_cluster_id(struct table *table, const uint8_t id[16])
{
	char text[33];

	for (size_t i = 0; i < 16; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", id[i]);
	table_cell(table, "%s", text);
}

static void status_row(struct table *table, const struct cluster_map *map, const struct health *health)
{
	table_column(table, "state", CELL_TEXT);
	table_cell(table, "%s", health_name(health));
	table_column(table, "cluster_id", CELL_TEXT);
	cell_cluster_id(table, map->cluster_id);
	table_column(table, "controller", CELL_TEXT);
	if (map->controller == 0)
		table_cell_none(table);
	else
		table_cell(table, "%s", node_name(map, map->controller));
	table_column(table, "nodes", CELL_NUMBER);
	table_cell(table, "%u", health->members);
	table_column(table, "nodes_live", CELL_NUMBER);
	table_cell(table, "%u", health->live);
	table_column(table, "partitions", CELL_NUMBER);
	table_cell(table, "%u", PARTITION_COUNT);
	table_column(table, "partitions_writable", CELL_NUMBER);
	table_cell(table, "%u", health->writable);
	table_column(table, "partitions_fully_replicated", CELL_NUMBER);
	table_cell(table, "%u", health->full);
	table_column(table, "primaries_preferred", CELL_NUMBER);
	table_cell(table, "%u", health->preferred);
	table_column(table, "partitions_moving", CELL_NUMBER);
	table_cell(table, "%u", health->moving);
	table_column(table, "replication_factor", CELL_NUMBER);
	table_cell(table, "%u", map->replication_factor);
	table_column(table, "minimum_isr", CELL_NUMBER);
	table_cell(table, "%u", map->minimum_isr);
	table_column(table, "node_names", CELL_NUMBER);
	table_cell(table, "%u", health->names);
	table_column(table, "node_names_max", CELL_NUMBER);
	table_cell(table, "%u", NODES_MAX);
	table_column(table, "map_version", CELL_WIDE);
	table_cell(table, "%" PRIu64, map->version);
	table_column(table, "cluster_version", CELL_NUMBER);
	table_cell(table, "%u", map->cluster_version);
	table_column(table, "cluster_version_known_to_all", CELL_NUMBER);
	if (versions_common(map) == 0)
		table_cell_none(table);
	else
		table_cell(table, "%u", versions_common(map));
}

/* Whoever goes keeps the name, so they run out where each newcomer brings another one. */
static void names_say(const struct health *health)
{
	uint32_t gone = health->names - health->members;

	if (health_lacks_names(health) && gone > 0)
		cli_say("%u of %u names of nodes are taken, %u of them by nodes that are gone: give newcomers one of "
			"those (evgrid node ls)",
			health->names, NODES_MAX, gone);
	else if (health_lacks_names(health))
		cli_say("%u of %u names of nodes are taken: a cluster has no more", health->names, NODES_MAX);
}

static void digest_row(struct table *table, const struct digest_verdict *verdict)
{
	table_column(table, "digests", CELL_TEXT);
	table_cell(table, "%s", verdict->different > 0 ? "different" : verdict->open > 0 ? "open" : "equal");
	table_column(table, "digests_compared", CELL_NUMBER);
	table_cell(table, "%u", verdict->compared);
	table_column(table, "digests_different", CELL_NUMBER);
	table_cell(table, "%u", verdict->different);
}

static int digest_code(const struct digest_verdict *verdict)
{
	if (verdict->different > 0) {
		return cli_refuse(ERROR_CHECKSUM, "see evgrid partition ls and the nodes' logs",
				  "replicas of partition %u stand at one offset with different digests",
				  verdict->first_different);
	}
	if (verdict->open == 0)
		return 0;
	return cli_refuse(ERROR_NOT_READY, "ask again, or give a longer --timeout",
			  "%u partitions have in-sync replicas at different offsets still", verdict->open);
}

int run_cluster_status(struct cli *cli)
{
	struct digest_verdict verdict = {0};
	struct table table = {0};
	struct cluster_map map;
	struct health health;
	int rv = cli_open(cli, NULL);
	int error;

	if (rv != 0)
		return rv;
	error = grid_map(cli->grid, &map);
	if (error != 0)
		return cli_fail(error, "cluster status");
	health = health_of(&map);
	status_row(&table, &map, &health);
	zones_cells(&table, &map);
	zones_say(&map);
	names_say(&health);
	cluster_map_deinit(&map);
	if (cli_has(cli, "check-digests")) {
		error = digests_compare(cli->grid, cli->timeout_ms, &verdict);
		digest_row(&table, &verdict);
	}
	rv = error != 0 ? cli_fail(error, "comparing digests") : table_print_one(&table, cli->json);
	table_deinit(&table);
	if (rv == 0 && cli_has(cli, "check-digests"))
		rv = digest_code(&verdict);
	if (!health.controlled)
		(void)cli_refuse(ERROR_NOT_READY, "start the nodes that are down: evgrid node ls",
				 "no controller is known: more than half of the voters must run");
	return rv == 0 && !health_takes_writes(&health) ? EXIT_UNHEALTHY : rv;
}

/* --- cluster wait ------------------------------------------------------------------------------------------------- */

enum wait_state { WAIT_SERVING, WAIT_HEALTHY, WAIT_BALANCED, WAIT_RESTORING };

struct wait {
	enum wait_state state;
	uint32_t nodes;
	struct health last;
};

static bool wait_is_over(void *data, const struct cluster_map *map)
{
	struct wait *wait = data;
	struct health health = health_of(map);

	wait->last = health;
	if (wait->state == WAIT_RESTORING)
		return health.restoring && health.controlled && health.full == PARTITION_COUNT &&
		       health.live >= wait->nodes;
	if (!health_takes_writes(&health) || health.live < wait->nodes)
		return false;
	if (wait->state == WAIT_SERVING)
		return true;
	if (health.full < PARTITION_COUNT || health.live < health.members)
		return false;
	return wait->state == WAIT_HEALTHY || (health.preferred == PARTITION_COUNT && health_is_settled(&health));
}

static int wait_state_of(const struct cli *cli, enum wait_state *state)
{
	static const char *const names[] = {"serving", "healthy", "balanced", "restoring"};
	const char *text = cli_value(cli, "for");

	*state = WAIT_HEALTHY;
	for (uint32_t i = 0; text != NULL && i < 4; i++) {
		if (strcmp(text, names[i]) == 0) {
			*state = (enum wait_state)i;
			return 0;
		}
	}
	if (text == NULL)
		return 0;
	return cli_usage(cli, "serving, healthy, balanced or restoring", "--for '%s'", text);
}

static uint32_t left_ms(uint64_t deadline_ms)
{
	uint64_t now_ms = grid_now_ms();

	return now_ms >= deadline_ms ? 0 : (uint32_t)(deadline_ms - now_ms);
}

/* Equal offsets are waited for by comparing digests; a difference is told here too. */
static int wait_in_sync(struct cli *cli, uint64_t deadline_ms)
{
	struct digest_verdict verdict;
	int error = digests_compare(cli->grid, left_ms(deadline_ms), &verdict);

	return error != 0 ? cli_fail(error, "asking the replicas") : digest_code(&verdict);
}

int run_cluster_wait(struct cli *cli)
{
	uint64_t deadline_ms = grid_now_ms() + cli->timeout_ms;
	struct wait wait = {0};
	uint64_t nodes;
	char expected[80];
	char with[40] = "";
	int rv = wait_state_of(cli, &wait.state);

	if (rv == 0)
		rv = cli_number(cli, "nodes", 1, NODES_MAX, 0, &nodes);
	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv != 0)
		return rv;
	wait.nodes = (uint32_t)nodes;
	rv = grid_wait_map(cli->grid, wait_is_over, &wait, left_ms(deadline_ms));
	if (rv == 0)
		return cli_has(cli, "in-sync") ? wait_in_sync(cli, deadline_ms) : 0;
	if (nodes > 0)
		(void)snprintf(with, sizeof with, " with %" PRIu64 " nodes", nodes);
	(void)snprintf(expected, sizeof expected, "%s%s", cli_has(cli, "for") ? cli_value(cli, "for") : "healthy",
		       with);
	return cli_fault(&(struct cli_fault){.error = ERROR_NOT_READY,
					     .expected = expected,
					     .next = "see evgrid cluster status, or give a longer --timeout"},
			 "not in time: %s; %u of %u members live; of %u partitions %u take writes, %u are fully "
			 "replicated, %u have their preferred primary, %u move",
			 wait.last.controlled ? "a controller leads" : "no controller is known", wait.last.live,
			 wait.last.members, PARTITION_COUNT, wait.last.writable, wait.last.full, wait.last.preferred,
			 wait.last.moving);
}

/* --- partition ls ------------------------------------------------------------------------------------------------- */

static const char *role_name(uint8_t role)
{
	static const char *const names[] = {"none", "replica", "primary", "sealed"};

	return role <= ROLE_SEALED ? names[role] : "unknown";
}

static void replica_cells(struct table *table, const struct cluster_map *map, uint16_t partition, uint32_t node_id,
			  const struct partition_status *status)
{
	const struct map_partition *row = &map->partitions[partition];

	table_cell(table, "%u", partition);
	table_cell(table, "%s", node_name(map, node_id));
	table_cell(table, "%s", row->primary == node_id ? "true" : "false");
	table_cell(table, "%s", row->replicas[0] == node_id ? "true" : "false");
	table_cell(table, "%s", node_set_has(row->isr, node_id) ? "true" : "false");
	table_cell(table, "%u", status == NULL ? row->epoch : status->epoch);
	if (status == NULL) {
		for (uint32_t i = 0; i < 7; i++)
			table_cell_none(table);
		return;
	}
	table_cell(table, "%s", role_name(status->role));
	table_cell(table, "%s", status->role != ROLE_PRIMARY || status->active ? "true" : "false");
	table_cell(table, "%" PRIu64, status->end);
	table_cell(table, "%" PRIu64, status->commit);
	table_cell(table, "%" PRIu64, status->applied);
	table_cell(table, "%" PRIu64, status->key_count);
	table_cell(table, "%016" PRIx64, status->digest);
}

static void partition_columns(struct table *table)
{
	table_column(table, "partition", CELL_NUMBER);
	table_column(table, "node", CELL_TEXT);
	table_column(table, "primary", CELL_BOOL);
	table_column(table, "preferred", CELL_BOOL);
	table_column(table, "in_sync", CELL_BOOL);
	table_column(table, "epoch", CELL_NUMBER);
	table_column(table, "role", CELL_TEXT);
	table_column(table, "active", CELL_BOOL);
	table_column(table, "end", CELL_WIDE);
	table_column(table, "commit", CELL_WIDE);
	table_column(table, "applied", CELL_WIDE);
	table_column(table, "entries", CELL_WIDE);
	table_column(table, "digest", CELL_TEXT);
}

static void partition_rows(struct table *table, const struct cluster_map *map, const struct replica_rows *rows,
			   uint64_t only, uint32_t only_node)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &map->partitions[p];
		if (only != PARTITION_COUNT && only != p)
			continue;
		for (uint32_t i = 0; i < row->replica_count; i++) {
			if (only_node == 0 || only_node == row->replicas[i])
				replica_cells(table, map, p, row->replicas[i],
					      replica_status(rows, p, row->replicas[i]));
		}
		for (node_set left = row->learners; left != 0; left &= left - 1) {
			uint32_t learner = (uint32_t)__builtin_ctzll(left) + 1;
			if (only_node == 0 || only_node == learner)
				replica_cells(table, map, p, learner, replica_status(rows, p, learner));
		}
	}
}

int run_partition_ls(struct cli *cli)
{
	const char *name = cli_value(cli, "node");
	const struct map_node *node = NULL;
	struct replica_rows rows = {0};
	struct table table = {0};
	struct cluster_map map;
	uint64_t only;
	int rv = cli_number(cli, "partition", 0, PARTITION_COUNT - 1, PARTITION_COUNT, &only);
	int error;

	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv != 0)
		return rv;
	error = grid_map(cli->grid, &map);
	if (error == 0 && name != NULL && (node = cluster_map_node_by_name(&map, name)) == NULL) {
		cluster_map_deinit(&map);
		return cli_unknown_live(cli, ERROR_NOT_FOUND, "node", name);
	}
	if (error == 0)
		error = replica_rows_get(cli->grid, &map, cli->timeout_ms, &rows);
	if (error != 0)
		return cli_fail(error, "partition ls");
	partition_columns(&table);
	partition_rows(&table, &map, &rows, only, node == NULL ? 0 : node->id);
	rv = table_print(&table, cli->json);
	if (rv == 0 && rows.unanswered > 0)
		rv = cli_unanswered(&rows);
	free(rows.rows);
	table_deinit(&table);
	cluster_map_deinit(&map);
	return rv;
}

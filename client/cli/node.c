/* node ls, node decommission, node drain. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/plan.h"
#include "proto/admin.h"

#define ROOM_ASKED_MS 5000u

const struct cli_option node_decommission_options[] = {
	{"abort", NULL, "it stays after all: what is on its way turns round"},
	{"wait", NULL, "until it is gone, at most --timeout"},
	{NULL, NULL, NULL},
};

const struct cli_option node_drain_options[] = {
	{"end", NULL, "it is primary again where it is preferred"},
	{"wait", NULL, "until it is primary of nothing, at most --timeout"},
	{NULL, NULL, NULL},
};

static const char *const state_names[] = {"none", "joining", "active", "draining", "gone"};

/* --- node ls ------------------------------------------------------------------------------------------------------ */

static void node_row(struct table *table, const struct cluster_map *map, const struct map_node *node)
{
	struct node_roles roles = node_roles_of(map, node->id);

	table_cell(table, "%s", node->name);
	table_cell(table, "%u", node->id);
	table_cell(table, "%s", state_names[node->state]);
	table_cell(table, "%s", node->fenced ? "false" : "true");
	table_cell(table, "%s", node->clock_off ? "off" : "right");
	table_cell(table, "%s", node->drained ? "true" : "false");
	if (map->voters == 0)
		table_cell_none(table); /* not known */
	else
		table_cell(table, "%s", node_set_has(map->voters, node->id) ? "true" : "false");
	table_cell(table, "%s", map->controller == node->id ? "true" : "false");
	table_cell(table, "%u", roles.primaries);
	table_cell(table, "%u", roles.replicas);
	table_cell(table, "%u", roles.in_sync);
	table_cell(table, "%u", node->shard_count);
	table_cell(table, "%" PRIu64, node->epoch);
	table_cell(table, "%s", node->zone);
	table_cell(table, "%u", map_node_weight(node));
	table_cell(table, "%s", node->control_address);
	if (map->versions[node->id - 1].highest == 0)
		table_cell_none(table); /* not known */
	else
		table_cell(table, "%u-%u", map->versions[node->id - 1].lowest, map->versions[node->id - 1].highest);
}

int run_node_ls(struct cli *cli)
{
	struct table table = {0};
	struct cluster_map map;
	int rv = cli_open(cli, NULL);
	int error;

	if (rv != 0)
		return rv;
	error = grid_map(cli->grid, &map);
	if (error != 0)
		return cli_fail(error, "node ls");
	table_column(&table, "name", CELL_TEXT);
	table_column(&table, "id", CELL_NUMBER);
	table_column(&table, "state", CELL_TEXT);
	table_column(&table, "live", CELL_BOOL);
	table_column(&table, "clock", CELL_TEXT);
	table_column(&table, "drained", CELL_BOOL);
	table_column(&table, "voter", CELL_BOOL);
	table_column(&table, "controller", CELL_BOOL);
	table_column(&table, "primaries", CELL_NUMBER);
	table_column(&table, "replicas", CELL_NUMBER);
	table_column(&table, "in_sync", CELL_NUMBER);
	table_column(&table, "shards", CELL_NUMBER);
	table_column(&table, "epoch", CELL_WIDE);
	table_column(&table, "zone", CELL_TEXT);
	table_column(&table, "weight", CELL_NUMBER);
	table_column(&table, "address", CELL_TEXT);
	table_column(&table, "versions", CELL_TEXT);
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		if (map.nodes[i].id != 0)
			node_row(&table, &map, &map.nodes[i]);
	}
	rv = table_print(&table, cli->json);
	table_deinit(&table);
	cluster_map_deinit(&map);
	return rv;
}

/* --- node decommission, node drain -------------------------------------------------------------------------------- */

/* Nodes that could keep what this one gives away. */
static uint32_t takers(const struct cluster_map *map, uint32_t node_id)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		count += map->nodes[i].id != 0 && map->nodes[i].id != node_id && map->nodes[i].state == NODE_ACTIVE &&
			 !map->nodes[i].fenced;
	return count;
}

static int propose(struct cli *cli, const struct cluster_map *map, const struct map_node *node,
		   const struct admin_node *admin)
{
	struct buffer command = BUFFER_NULL;
	char *why = NULL;
	int error = admin_node_encode(admin, &command);

	if (error == 0)
		error = grid_propose(cli->grid, buffer_span(&command), cli->timeout_ms, &why);
	buffer_deinit(&command);
	if (error != 0)
		error = cli_fail_change(
			error, "node %s%s%s (%u other nodes are active and live, the replication factor is %u)",
			node->name, why == NULL ? "" : ": ", why == NULL ? "" : why, takers(map, node->id),
			map->replication_factor);
	free(why);
	return error;
}

/* The room of who did not say is not known: then it is said, and nothing refused. */
static int judge_room(const struct plan *plan, const struct replica_rows *rows, const char *name)
{
	struct plan_room rooms[NODES_MAX];
	char text[PLAN_ROOM_TEXT_BYTES];

	if (plan_rooms(plan, rows, rooms) > 0) {
		plan_room_text(plan, rooms, text);
		return cli_refuse(ERROR_REFUSED,
				  "make room there, or let more nodes join first: evgrid cluster plan --with NAME",
				  "node %s: the disks of those who stay are too small: %s", name, text);
	}
	plan_room_unknown_text(plan, rooms, text);
	if (text[0] != '\0')
		cli_say("how much room these have is not known: %s", text);
	return 0;
}

/* Can those who stay take what it holds? Where there is no plan, the cluster will say why. Who has just gone answers no
 * more, and --timeout may be as long as copying takes. */
static int check_room(struct cli *cli, const struct cluster_map *map, const struct map_node *node)
{
	uint32_t within_ms = cli->timeout_ms < ROOM_ASKED_MS ? cli->timeout_ms : ROOM_ASKED_MS;
	struct plan *plan = malloc(sizeof *plan);
	struct replica_rows rows = {0};
	int error = plan == NULL ? ERROR_MEMORY : replica_rows_get(cli->grid, map, within_ms, &rows);
	enum plan_outcome outcome = PLAN_OUT_OF_MEMORY;
	int rv = 0;

	if (error == 0) {
		outcome = plan_init(plan, map);
		if (outcome == PLAN_DONE)
			outcome = plan_without(plan, node->name);
		if (outcome == PLAN_DONE)
			outcome = plan_make(plan);
		if (outcome == PLAN_DONE)
			rv = judge_room(plan, &rows, node->name);
		plan_deinit(plan);
	}
	if (error == 0 && outcome == PLAN_OUT_OF_MEMORY)
		error = ERROR_MEMORY;
	free(plan);
	free(rows.rows);
	return error != 0 ? cli_fail(error, "node %s: asking for room", node->name) : rv;
}

/* What a node still has that it is to give away. */
typedef uint32_t (*burden)(const struct cluster_map *map, uint32_t node_id);

/* It is gone when nothing is left of it, and counts until then. */
static uint32_t burden_of_leaving(const struct cluster_map *map, uint32_t node_id)
{
	const struct map_node *node = cluster_map_node(map, node_id);
	uint32_t left = node != NULL && node->state != NODE_GONE;

	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		left += node_set_has(row_members(&map->partitions[p]), node_id);
	return left;
}

static uint32_t burden_of_leading(const struct cluster_map *map, uint32_t node_id)
{
	return node_roles_of(map, node_id).primaries;
}

struct change {
	enum admin_kind kind;
	const char *undo; /* the option that takes it back */
	const char *begun;
	const char *done;
	const char *undone;
	const char *doing;
	burden burden;
};

struct wait {
	burden burden;
	uint32_t node_id;
	uint32_t first;
	uint32_t left;
	struct progress shown;
};

static bool wait_is_over(void *data, const struct cluster_map *map)
{
	struct wait *wait = data;

	wait->left = wait->burden(map, wait->node_id);
	progress_update(&wait->shown, wait->left < wait->first ? wait->first - wait->left : 0);
	return wait->left == 0;
}

static int wait_until_free(struct cli *cli, const struct cluster_map *map, const struct map_node *node,
			   const struct change *change)
{
	struct wait wait = {.burden = change->burden, .node_id = node->id, .first = change->burden(map, node->id)};
	int error;

	progress_begin(&wait.shown, change->doing, wait.first);
	error = grid_wait_map(cli->grid, wait_is_over, &wait, cli->timeout_ms);
	progress_end(&wait.shown);
	if (error == 0)
		return 0;
	return cli_fail_outcome(
		error, EVG_APPLIED, "see evgrid node ls and evgrid cluster migrations, or give a longer --timeout",
		"not in time: node %s has %u of %u partitions still", node->name, wait.left, wait.first);
}

static int change_node(struct cli *cli, const struct change *change)
{
	struct admin_node admin = {
		.kind = change->kind, .name = span_of_text(cli->positionals[0]), .undo = cli_has(cli, change->undo)};
	const struct map_node *node;
	struct cluster_map map;
	int rv = cli_open(cli, NULL);
	int error;

	if (rv != 0)
		return rv;
	error = grid_map(cli->grid, &map);
	if (error != 0)
		return cli_fail(error, "node %s", cli->positionals[0]);
	node = cluster_map_node_by_name(&map, cli->positionals[0]);
	if (node == NULL)
		rv = cli_unknown_live(cli, ERROR_NOT_FOUND, "node", cli->positionals[0]);
	else if (change->kind == ADMIN_DECOMMISSION && !admin.undo && node->state == NODE_ACTIVE)
		rv = check_room(cli, &map, node);
	else if (change->kind == ADMIN_DECOMMISSION)
		admin.unregistered = node->epoch == 0;
	if (rv == 0)
		rv = propose(cli, &map, node, &admin);
	if (rv == 0 && !admin.undo && cli_has(cli, "wait"))
		rv = wait_until_free(cli, &map, node, change);
	if (rv == 0)
		cli_say("node %s %s", node->name,
			admin.undo             ? change->undone
			: cli_has(cli, "wait") ? change->done
					       : change->begun);
	cluster_map_deinit(&map);
	return rv;
}

int run_node_decommission(struct cli *cli)
{
	static const struct change leaving = {
		.kind = ADMIN_DECOMMISSION,
		.undo = "abort",
		.begun = "gives its partitions to others and then leaves: see evgrid cluster migrations",
		.done = "is gone; its process ends by itself",
		.undone = "stays",
		.doing = "emptying",
		.burden = burden_of_leaving,
	};

	return change_node(cli, &leaving);
}

int run_node_drain(struct cli *cli)
{
	static const struct change draining = {
		.kind = ADMIN_DRAIN,
		.undo = "end",
		.begun = "hands its primaries over, and gets none until it starts again",
		.done = "is primary of nothing, until it starts again",
		.undone = "may be primary again",
		.doing = "draining",
		.burden = burden_of_leading,
	};

	return change_node(cli, &draining);
}

/* cluster plan: what would move if members came or went, before it is done. Nothing is changed. */
#include <stdlib.h>

#include "client/cli/plan.h"

const struct cli_option cluster_plan_options[] = {
	{"without", "NODE...", "as if this member were taken away; may be given again"},
	{"with", "NAME[:ZONE[:WEIGHT]]...", "as if a node of this name joined; may be given again"},
	{"copies", NULL, "one line for each replica that would be copied, instead of one for each node"},
	{NULL, NULL, NULL},
};

static int refused(struct cli *cli, const struct plan *plan, enum plan_outcome outcome, const char *name)
{
	switch (outcome) {
	case PLAN_DONE: return 0;
	case PLAN_UNKNOWN_NODE: return cli_unknown_live(cli, ERROR_NOT_FOUND, "node", name);
	case PLAN_IS_MEMBER:
		return cli_refuse(ERROR_EXISTS, "see evgrid node ls, or leave --with out", "%s is a member already",
				  name);
	case PLAN_FULL:
		return cli_refuse(ERROR_LIMIT, "take the name of a node that is gone: evgrid node ls",
				  "no room for %s: all %u names are taken, those of nodes that are gone included", name,
				  NODES_MAX);
	case PLAN_TOO_FEW:
		return cli_refuse(ERROR_REFUSED, "let more nodes join first: evgrid cluster plan --with NAME",
				  "%u members would be left for %u replicas of each partition", plan->takers,
				  plan->map.replication_factor);
	case PLAN_NOT_PLACED:
		return cli_refuse(ERROR_NOT_READY, "wait until all founders are live: evgrid cluster status",
				  "the cluster has not placed its partitions yet");
	case PLAN_OUT_OF_MEMORY: break;
	}
	return cli_fail(ERROR_MEMORY, "cluster plan");
}

/* "NAME[:ZONE[:WEIGHT]]" */
static int take_with(struct cli *cli, struct plan *plan, const char *value)
{
	char text[2 * NAME_MAX_BYTES + 16];
	char *zone;
	char *weight = NULL;
	uint64_t number = 0;

	(void)snprintf(text, sizeof text, "%s", value);
	zone = strchr(text, ':');
	if (zone != NULL) {
		*zone++ = '\0';
		weight = strchr(zone, ':');
	}
	if (weight != NULL)
		*weight++ = '\0';
	if (strlen(value) >= sizeof text || text[0] == '\0' || strlen(text) > NAME_MAX_BYTES ||
	    (zone != NULL && strlen(zone) > NAME_MAX_BYTES) ||
	    (weight != NULL && (!text_to_u64(weight, &number) || number < 1 || number > NODE_WEIGHT_MAX)))
		return cli_usage(cli, "NAME, NAME:ZONE or NAME:ZONE:WEIGHT with a weight of 1 to 100", "--with '%s'",
				 value);
	return refused(cli, plan, plan_with(plan, text, zone, (uint32_t)number), text);
}

static int take_wishes(struct cli *cli, struct plan *plan)
{
	uint32_t leaving = 0;
	int rv = 0;

	for (uint32_t i = 0; i < cli->value_count && rv == 0; i++) {
		if (strcmp(cli->values[i].name, "with") == 0)
			rv = take_with(cli, plan, cli->values[i].value);
	}
	for (uint32_t i = 0; i < cli->value_count && rv == 0; i++) {
		if (strcmp(cli->values[i].name, "without") != 0)
			continue;
		rv = refused(cli, plan, plan_without(plan, cli->values[i].value), cli->values[i].value);
		leaving++;
	}
	if (rv == 0 && leaving > 1)
		cli_say("one member at a time can be taken away; this is what comes of all together");
	return rv;
}

static void say_sum(const struct plan *plan, const struct plan_room rooms[NODES_MAX], uint32_t too_small)
{
	uint32_t copies = plan_copies(plan, NULL, NULL);
	char text[PLAN_ROOM_TEXT_BYTES];

	plan_room_text(plan, rooms, text);
	if (copies == 0)
		cli_say("no replica would be copied; %u primaries would change", plan_primary_changes(plan));
	else
		cli_say("%u replicas would be copied, at most 16 partitions at a time; %u primaries would change",
			copies, plan_primary_changes(plan));
	if (too_small > 0)
		cli_say("disks are too small for it: %s", text);
}

static int print_plan(struct cli *cli, const struct plan *plan, const struct replica_rows *rows)
{
	struct plan_room rooms[NODES_MAX];
	uint32_t too_small = plan_rooms(plan, rows, rooms);
	struct table table = {0};
	int rv;

	if (cli_has(cli, "copies"))
		plan_copies_table(&table, plan);
	else
		plan_nodes_table(&table, plan, rooms);
	rv = table_print(&table, cli->json);
	table_deinit(&table);
	if (!cli->quiet)
		say_sum(plan, rooms, too_small);
	return rv;
}

static int plan_of(struct cli *cli, const struct cluster_map *map, const struct replica_rows *rows)
{
	struct plan *plan = malloc(sizeof *plan);
	int rv;

	if (plan == NULL)
		return cli_fail(ERROR_MEMORY, "cluster plan");
	rv = refused(cli, plan, plan_init(plan, map), NULL);
	if (rv == 0)
		rv = take_wishes(cli, plan);
	if (rv == 0)
		rv = refused(cli, plan, plan_make(plan), NULL);
	if (rv == 0)
		rv = print_plan(cli, plan, rows);
	plan_deinit(plan);
	free(plan);
	return rv;
}

int run_cluster_plan(struct cli *cli)
{
	struct replica_rows rows = {0};
	struct cluster_map map;
	int rv = cli_open(cli, NULL);

	if (rv != 0)
		return rv;
	rv = grid_map(cli->grid, &map);
	if (rv != 0)
		return cli_fail(rv, "cluster plan");
	rv = replica_rows_get(cli->grid, &map, cli->timeout_ms, &rows);
	rv = rv != 0 ? cli_fail(rv, "cluster plan") : plan_of(cli, &map, &rows);
	if (rv == 0 && rows.unanswered > 0)
		rv = cli_unanswered(&rows);
	free(rows.rows);
	cluster_map_deinit(&map);
	return rv;
}

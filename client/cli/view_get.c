/* view get: one key, or many from a file, pipelined. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/cli.h"
#include "client/json.h"

#define READS_AT_A_TIME 4096u
#define FAILURES_NAMED 100u

const struct cli_option view_get_options[] = {
	{"partition-key", "KEY",
	 "the partition key; without it: the key, and where that finds nothing all shards are asked"},
	{"node", "NODE", "read this node's replica, whatever it has applied"},
	{"local", NULL, "read the primary's replica without waiting for freshness"},
	{"all", NULL, "read every live node's replica, one line each"},
	{"at-least", "POSITION", "wait until this offset, or position such as 17:4711@0, is applied"},
	{"as-of", "TIME|OFFSET", "the state at that time, or right after that offset"},
	{"keys-from", "FILE", "read many: KEY or KEY<Tab>PARTITION-KEY a line; - is standard input"},
	{NULL, NULL, NULL},
};

/* --- what goes together ------------------------------------------------------------------------------------------- */

static const struct {
	const char *one;
	const char *other;
} apart[] = {
	{"keys-from", "as-of"}, {"keys-from", "all"}, {"keys-from", "at-least"}, {"keys-from", "partition-key"},
	{"all", "at-least"},    {"all", "as-of"},     {"all", "node"},           {"as-of", "at-least"},
	{"as-of", "local"},
};

static const char *const of_one_key[] = {"all", "as-of", "at-least"};

/* Nothing that was asked for is left out silently. 0, or EXIT_USAGE after saying what does not fit. */
static int get_fits(const struct cli *cli)
{
	if (cli_has(cli, "keys-from") == (cli->positional_count > 1))
		return cli_usage(cli, "either a KEY or --keys-from FILE",
				 cli_has(cli, "keys-from") ? "there are a KEY and --keys-from" : "there is no KEY");
	for (size_t i = 0; i < sizeof apart / sizeof apart[0]; i++)
		if (cli_has(cli, apart[i].one) && cli_has(cli, apart[i].other))
			return cli_usage(cli, "one of them", "--%s and --%s do not go together", apart[i].one,
					 apart[i].other);
	for (size_t i = 0; i < sizeof of_one_key / sizeof of_one_key[0]; i++)
		if (cli->positional_count > 2 && cli_has(cli, of_one_key[i]))
			return cli_usage(cli, "one KEY", "--%s with %u keys", of_one_key[i], cli->positional_count - 1);
	return 0;
}

/* --- one key ------------------------------------------------------------------------------------------------------ */

static int get_mode(const struct cli *cli, evg_read *read)
{
	const char *at_least = cli_value(cli, "at-least");

	read->node = cli_value(cli, "node");
	read->timeout_ms = cli->timeout_ms;
	read->mode = read->node != NULL || cli_has(cli, "local") ? EVG_READ_LOCAL : EVG_READ_LINEARIZABLE;
	if (at_least == NULL)
		return 0;
	read->mode = EVG_READ_AT_LEAST;
	return cli_position(cli, "at-least", at_least,
			    cli_partition(cli->positionals[1], cli_value(cli, "partition-key")), &read->at_least);
}

static void get_columns(struct table *table)
{
	table_column(table, "key", CELL_TEXT);
	table_column(table, "node", CELL_TEXT);
	table_column(table, "state", CELL_JSON);
	table_column(table, "applied", CELL_WIDE);
	table_column(table, "changed_at", CELL_WIDE);
	table_column(table, "age_ms", CELL_NUMBER);
}

void cli_say_searched(const char *key, const evg_entry *entry)
{
	if (entry->found == 0)
		cli_say("all shards were asked for key %s; with --partition-key one is", key);
	else if (entry->found == 1)
		cli_say("all shards were asked for key %s; --partition-key %.*s avoids that", key,
			(int)entry->partition_key.size, (const char *)entry->partition_key.data);
	else
		cli_say("all shards were asked: %u entries have key %s, this one has --partition-key %.*s",
			entry->found, key, (int)entry->partition_key.size, (const char *)entry->partition_key.data);
}

uint16_t cli_entry_partition(const struct cli *cli, const char *key, const evg_entry *entry)
{
	if (entry->partition_key.size > 0)
		return partition_of(span_of(entry->partition_key.data, entry->partition_key.size));
	return cli_partition(key, cli_value(cli, "partition-key"));
}

int cli_find_entry(struct cli *cli, const char *key, evg_entry *entry)
{
	const evg_read read = {.key = evg_text(key), .timeout_ms = cli->timeout_ms};

	(void)evg_view_get(cli->grid, cli->positionals[0], &read, entry);
	if (entry->found > 1)
		return cli_usage(cli, "--partition-key with the one that is meant", "%u entries have key %s",
				 entry->found, key);
	if (entry->searched != 0)
		cli_say_searched(key, entry);
	return 0;
}

/* Of one replica, or of the primary. 0, or an exit code. */
static int get_one(struct cli *cli, const char *view, const char *key, const evg_read *read, struct table *table)
{
	struct cli_asked asked;
	evg_entry entry;
	int error = evg_view_get(cli->grid, view, read, &entry);
	bool good = error == 0 || (error == EVG_NOT_FOUND && cli_has(cli, "all"));
	int rv = 0;

	if (good)
		cli_entry_row(table, read->node, key, &entry);
	if (entry.searched != 0)
		cli_say_searched(key, &entry);
	asked = cli_asked_of(cli, key, read, &entry);
	if (!good)
		rv = cli_fail_entry(cli, error, &asked, &entry);
	evg_entry_free(&entry);
	return rv;
}

static int get_all(struct cli *cli, const char *view, const char *key, evg_read *read, struct table *table)
{
	struct cluster_map map;
	int error = grid_map(cli->grid, &map);
	int rv = 0;

	if (error != 0)
		return cli_fail(error, "view %s, key %s", view, key);
	read->mode = EVG_READ_LOCAL;
	for (uint32_t i = 0; i < NODES_MAX && rv == 0; i++) {
		if (!cluster_map_is_live(&map, i + 1))
			continue;
		read->node = map.nodes[i].name;
		rv = get_one(cli, view, key, read, table);
	}
	cluster_map_deinit(&map);
	return rv;
}

static int get_key(struct cli *cli)
{
	const char *partition_key = cli_value(cli, "partition-key");
	const char *view = cli->positionals[0];
	const char *key = cli->positionals[1];
	evg_read read = {.key = evg_text(key), .partition_key = evg_text(partition_key)};
	struct table table = {0};
	int rv = get_mode(cli, &read);

	if (rv == 0 && cli_has(cli, "as-of"))
		return cli_get_as_of(cli, &read);
	if (rv != 0)
		return rv;
	get_columns(&table);
	if (cli->positional_count > 2) {
		rv = cli_get_many(cli, &read, &table);
		table_deinit(&table);
		return rv;
	}
	if (cli_has(cli, "all"))
		rv = get_all(cli, view, key, &read, &table);
	else
		rv = get_one(cli, view, key, &read, &table);
	if (rv == 0 && cli_has(cli, "all"))
		rv = table_print(&table, cli->json);
	else if (rv == 0)
		rv = table_print_one(&table, cli->json);
	table_deinit(&table);
	return rv;
}

/* --- many keys ---------------------------------------------------------------------------------------------------- */

struct bulk {
	struct cli *cli;
	pthread_mutex_t lock;
	pthread_cond_t room;
	uint32_t open;
	uint64_t found;
	uint64_t missing;
	uint64_t bare; /* of the missing: no partition key was named */
	uint64_t failed;
	int error; /* the first */
};

struct bulk_key {
	struct bulk *bulk;
	uint16_t partition;
	bool bare;
	size_t size;
	char key[]; /* NUL behind it */
};

static void print_state(const struct bulk_key *key, const evg_entry *entry)
{
	struct buffer line = BUFFER_NULL;

	buffer_bytes(&line, "{\"key\":", 7);
	json_write_string(span_of(key->key, key->size), &line);
	buffer_bytes(&line, ",\"state\":", 9);
	if (entry->error != 0 || json_from_msgpack(span_of(entry->state.data, entry->state.size), &line) != 0)
		buffer_bytes(&line, "null", 4);
	buffer_bytes(&line, "}\n", 2);
	(void)fwrite(line.data, 1, line.size, stdout);
	buffer_deinit(&line);
}

/* Each by its name, as far as a screen may hold them. */
static void say_failed(const struct bulk_key *key, const evg_entry *entry)
{
	struct bulk *bulk = key->bulk;
	struct cli_asked asked = {.view = bulk->cli->positionals[0],
				  .key = key->key,
				  .position = {.partition = key->partition, .history = EVG_ANY_HISTORY}};

	if (bulk->failed < FAILURES_NAMED)
		(void)cli_fail_entry(bulk->cli, entry->error, &asked, entry);
}

static void bulk_got(void *user, const evg_entry *entry)
{
	struct bulk_key *key = user;
	struct bulk *bulk = key->bulk;

	pthread_mutex_lock(&bulk->lock);
	if (entry->error == 0 || entry->error == EVG_NOT_FOUND)
		print_state(key, entry);
	bulk->found += entry->error == 0;
	bulk->missing += entry->error == EVG_NOT_FOUND;
	bulk->bare += entry->error == EVG_NOT_FOUND && key->bare;
	if (entry->error != 0 && entry->error != EVG_NOT_FOUND) {
		say_failed(key, entry);
		bulk->failed++;
		bulk->error = bulk->error == 0 ? entry->error : bulk->error;
	}
	bulk->open--;
	pthread_cond_signal(&bulk->room);
	pthread_mutex_unlock(&bulk->lock);
	free(key);
}

static void bulk_wait(struct bulk *bulk, uint32_t most)
{
	pthread_mutex_lock(&bulk->lock);
	while (bulk->open > most)
		(void)pthread_cond_wait(&bulk->room, &bulk->lock);
	pthread_mutex_unlock(&bulk->lock);
}

static int bulk_ask(struct bulk *bulk, const char *view, evg_read *read, char *line, size_t size)
{
	char *tab = memchr(line, '\t', size);
	struct bulk_key *key = malloc(sizeof *key + size + 1);
	int error;

	if (key == NULL)
		return EVG_MEMORY;
	key->bulk = bulk;
	key->size = tab == NULL ? size : (size_t)(tab - line);
	key->bare = tab == NULL;
	memcpy(key->key, line, key->size);
	key->key[key->size] = '\0';
	read->key = evg_bytes_of(line, key->size);
	read->partition_key = tab == NULL ? read->key : evg_bytes_of(tab + 1, size - key->size - 1);
	key->partition = partition_of(span_of(read->partition_key.data, read->partition_key.size));
	bulk_wait(bulk, READS_AT_A_TIME - 1);
	pthread_mutex_lock(&bulk->lock);
	bulk->open++;
	pthread_mutex_unlock(&bulk->lock);
	error = evg_view_get_async(bulk->cli->grid, view, read, bulk_got, key);
	if (error != 0) {
		pthread_mutex_lock(&bulk->lock);
		bulk->open--;
		pthread_mutex_unlock(&bulk->lock);
		free(key);
	}
	return error;
}

static int bulk_run(struct bulk *bulk, FILE *file, const char *view, evg_read *read)
{
	size_t capacity = 0;
	char *line = NULL;
	ssize_t size;
	int error = 0;

	while (error == 0 && (size = getline(&line, &capacity, file)) > 0) {
		while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
			size--;
		if (size > 0)
			error = bulk_ask(bulk, view, read, line, (size_t)size);
	}
	free(line);
	bulk_wait(bulk, 0);
	return error == 0 ? bulk->error : error;
}

static int get_keys(struct cli *cli, const char *path)
{
	struct bulk bulk = {.cli = cli, .lock = PTHREAD_MUTEX_INITIALIZER, .room = PTHREAD_COND_INITIALIZER};
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	evg_read read = {0};
	int rv = get_mode(cli, &read);
	int error;

	if (file == NULL)
		return cli_refuse(ERROR_USAGE, "name another file", "%s: %s", path, strerror(errno));
	error = rv == 0 ? bulk_run(&bulk, file, cli->positionals[0], &read) : 0;
	if (rv == 0 && error == 0)
		rv = cli_input_ended(file, path);
	if (file != stdin)
		(void)fclose(file);
	if (rv == 0 || bulk.found + bulk.missing + bulk.failed > 0)
		cli_say("%" PRIu64 " found, %" PRIu64 " not there, %" PRIu64 " not answered", bulk.found, bulk.missing,
			bulk.failed);
	if (bulk.bare > 0)
		cli_say("%" PRIu64
			" of them were asked for under themselves as partition key; where it is another, write "
			"KEY<Tab>PARTITION-KEY",
			bulk.bare);
	if (error == 0)
		return rv;
	if (bulk.error == 0)
		rv = cli_fail_view(cli, error, cli->positionals[0], NULL);
	else
		rv = exit_code_of(error);
	return bulk.found + bulk.missing > 0 ? EXIT_PARTIAL : rv;
}

int run_view_get(struct cli *cli)
{
	const char *keys = cli_value(cli, "keys-from");
	int rv = get_fits(cli);

	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv != 0)
		return rv;
	return keys == NULL ? get_key(cli) : get_keys(cli, keys);
}

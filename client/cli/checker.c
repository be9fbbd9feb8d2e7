/* What publishers were told, against what is stored: the one checker of histories. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/json.h"
#include "proto/checksum.h"
#include "proto/msgpack.h"

struct identity {      /* all that was told of one (source, id) */
	uint64_t hash; /* 0: free */
	uint64_t key;
	uint64_t number;
	uint32_t attempts;
	uint32_t applied;
	uint32_t not_applied;
	uint32_t found;
};

struct last {         /* the last number found of a key */
	uint64_t key; /* 0: free */
	uint64_t number;
};

struct checker {
	struct identity *identities; /* open addressing; a power of two of them */
	size_t capacity;
	size_t count;
	struct last *keys;
	size_t key_capacity;
	size_t key_count;
	uint64_t stored;    /* events replayed */
	uint64_t strangers; /* of which no history tells */
	uint64_t disorder;
};

uint64_t identity_hash(struct span source, struct span id)
{
	const uint8_t nothing = 0;
	struct span parts[] = {source, span_of(&nothing, 1), id};
	uint64_t hash = checksum_parts(parts, 3);

	return hash == 0 ? 1 : hash;
}

struct checker *checker_new(void)
{
	return calloc(1, sizeof(struct checker));
}

struct checker *checker_free(struct checker *checker)
{
	if (checker != NULL) {
		free(checker->identities);
		free(checker->keys);
		free(checker);
	}
	return NULL;
}

/* --- tables ------------------------------------------------------------------------------------------------------- */

static struct identity *identity_place(struct identity *table, size_t capacity, uint64_t hash)
{
	size_t at = hash & (capacity - 1);

	while (table[at].hash != 0 && table[at].hash != hash)
		at = (at + 1) & (capacity - 1);
	return &table[at];
}

static int identities_grow(struct checker *checker)
{
	size_t capacity = checker->capacity == 0 ? 4096 : checker->capacity * 2;
	struct identity *table = calloc(capacity, sizeof *table);

	if (table == NULL)
		return ERROR_MEMORY;
	for (size_t i = 0; i < checker->capacity; i++) {
		if (checker->identities[i].hash != 0)
			*identity_place(table, capacity, checker->identities[i].hash) = checker->identities[i];
	}
	free(checker->identities);
	checker->identities = table;
	checker->capacity = capacity;
	return 0;
}

static struct last *last_place(struct last *table, size_t capacity, uint64_t key)
{
	size_t at = key & (capacity - 1);

	while (table[at].key != 0 && table[at].key != key)
		at = (at + 1) & (capacity - 1);
	return &table[at];
}

static struct last *last_of(struct checker *checker, uint64_t key)
{
	if ((checker->key_count + 1) * 2 > checker->key_capacity) {
		size_t capacity = checker->key_capacity == 0 ? 4096 : checker->key_capacity * 2;
		struct last *table = calloc(capacity, sizeof *table);
		if (table == NULL)
			return NULL;
		for (size_t i = 0; i < checker->key_capacity; i++) {
			if (checker->keys[i].key != 0)
				*last_place(table, capacity, checker->keys[i].key) = checker->keys[i];
		}
		free(checker->keys);
		checker->keys = table;
		checker->key_capacity = capacity;
	}
	return last_place(checker->keys, checker->key_capacity, key);
}

int checker_add(struct checker *checker, const struct checker_event *event)
{
	struct identity *identity;

	if ((checker->count + 1) * 2 > checker->capacity && identities_grow(checker) != 0)
		return ERROR_MEMORY;
	identity = identity_place(checker->identities, checker->capacity, event->identity);
	if (identity->hash == 0) {
		*identity = (struct identity){.hash = event->identity, .key = event->key, .number = event->number};
		checker->count++;
	}
	identity->attempts++;
	identity->applied += event->outcome == EVG_APPLIED;
	identity->not_applied += event->outcome == EVG_NOT_APPLIED;
	return 0;
}

/* --- comparing ---------------------------------------------------------------------------------------------------- */

/* Only events that were published once and acknowledged have a place in their key's order. */
static int check_order(struct checker *checker, const struct identity *identity)
{
	struct last *last;

	if (identity->attempts != 1 || identity->applied != 1)
		return 0;
	last = last_of(checker, identity->key);
	if (last == NULL)
		return ERROR_MEMORY;
	if (last->key == 0) {
		*last = (struct last){identity->key, identity->number};
		checker->key_count++;
		return 0;
	}
	checker->disorder += identity->number <= last->number;
	last->number = identity->number;
	return 0;
}

static int check_record(struct checker *checker, const evg_record *record)
{
	uint64_t hash = identity_hash(span_of(record->event.source.data, record->event.source.size),
				      span_of(record->event.id.data, record->event.id.size));
	struct identity *identity = NULL;

	checker->stored++;
	if (checker->capacity > 0)
		identity = identity_place(checker->identities, checker->capacity, hash);
	if (identity == NULL || identity->hash == 0) {
		checker->strangers++;
		return 0;
	}
	identity->found++;
	return identity->found == 1 ? check_order(checker, identity) : 0;
}

int checker_run(struct checker *checker, evg *grid, const char *stream, uint32_t timeout_ms)
{
	evg_replay_options options = EVG_REPLAY_OPTIONS;
	uint64_t deadline_ms = grid_now_ms() + timeout_ms;
	evg_replay *replay;
	int error;

	options.stream = stream;
	options.timeout_ms = timeout_ms;
	error = evg_replay_open(grid, &options, &replay);
	if (error != 0)
		return error;
	for (;;) {
		evg_record record;
		error = evg_replay_next(replay, &record);
		if (error == 0) {
			deadline_ms = grid_now_ms() + timeout_ms;
			error = check_record(checker, &record);
		} else if (error != EVG_NOT_FOUND && error_find(error)->retry != RETRY_NEVER &&
			   grid_now_ms() < deadline_ms) {
			(void)usleep(20000);
			continue;
		}
		if (error != 0)
			break;
	}
	evg_replay_close(replay);
	return error == EVG_NOT_FOUND ? 0 : error;
}

struct findings {
	uint64_t acknowledged;
	uint64_t found;
	uint64_t lost;
	uint64_t doubled;
	uint64_t refused_found;
	uint64_t unknown;
	uint64_t unknown_found;
};

static void find_identity(const struct identity *identity, struct findings *findings)
{
	uint32_t unknown = identity->attempts - identity->applied - identity->not_applied;
	uint32_t most = identity->applied + unknown;
	uint32_t least = identity->applied;

	findings->acknowledged += identity->applied;
	findings->unknown += unknown;
	findings->found += identity->found < least ? identity->found : least;
	findings->lost += identity->found < least ? least - identity->found : 0;
	findings->unknown_found +=
		identity->found > least ? (identity->found < most ? identity->found : most) - least : 0;
	if (identity->found > most && most == 0)
		findings->refused_found += identity->found;
	else if (identity->found > most)
		findings->doubled += identity->found - most;
}

static void cell(struct table *table, const char *key, uint64_t value)
{
	table_column(table, key, CELL_WIDE);
	table_cell(table, "%" PRIu64, value);
}

int checker_cells(const struct checker *checker, struct table *table)
{
	struct findings findings = {0};

	for (size_t i = 0; i < checker->capacity; i++) {
		if (checker->identities[i].hash != 0)
			find_identity(&checker->identities[i], &findings);
	}
	cell(table, "acknowledged", findings.acknowledged);
	cell(table, "found", findings.found);
	cell(table, "lost", findings.lost);
	cell(table, "doubled", findings.doubled);
	cell(table, "refused_found", findings.refused_found);
	cell(table, "disorder", checker->disorder);
	cell(table, "unknown_found", findings.unknown_found);
	cell(table, "stored", checker->stored);
	cell(table, "of_others", checker->strangers);
	return findings.lost + findings.doubled + findings.refused_found + checker->disorder > 0 ? EXIT_VERIFICATION
												 : 0;
}

/* --- history check ------------------------------------------------------------------------------------------------ */

static struct span text_member(struct span map, const char *name)
{
	struct reader in = reader_of(msgpack_member(map, span_of_text(name)));

	return msgpack_peek(&in) == MSGPACK_STR ? msgpack_read_str(&in) : SPAN_NULL;
}

static bool outcome_of(struct span text, evg_outcome *outcome)
{
	static const char *const names[] = {"applied", "not_applied", "unknown"};

	for (int i = 0; i < 3; i++) {
		if (!span_equal(text, span_of_text(names[i])))
			continue;
		*outcome = (evg_outcome)i;
		return true;
	}
	return false;
}

/* 0; ERROR_BAD_EVENT: no line of a history. */
static int read_history_line(struct checker *checker, struct span line, uint32_t file, struct buffer *value)
{
	struct checker_event event = {0};
	struct json_error error;
	struct span map;
	char number[24] = "";
	struct span text;

	buffer_clear(value);
	if (json_to_msgpack(line, value, &error) != 0)
		return ERROR_BAD_EVENT;
	map = buffer_span(value);
	text = text_member(map, "number");
	if (text.size == 0 || text.size >= sizeof number || !outcome_of(text_member(map, "outcome"), &event.outcome))
		return ERROR_BAD_EVENT;
	memcpy(number, text.data, text.size);
	if (!text_to_u64(number, &event.number))
		return ERROR_BAD_EVENT;
	event.identity = identity_hash(text_member(map, "source"), text_member(map, "id"));
	event.key = identity_hash(text_member(map, "stream"), text_member(map, "key")) ^
		    identity_hash(text_member(map, "partitionkey"), span_of(&file, sizeof file));
	event.key = event.key == 0 ? 1 : event.key;
	return checker_add(checker, &event);
}

static int read_history(struct checker *checker, const char *path, uint32_t number)
{
	FILE *file = fopen(path, "r");
	struct buffer value = BUFFER_NULL;
	size_t capacity = 0;
	uint64_t lines = 0;
	char *line = NULL;
	ssize_t size;
	int rv = 0;

	if (file == NULL)
		return cli_refuse(ERROR_USAGE, "name another file", "%s: %s", path, strerror(errno));
	while (rv == 0 && (size = getline(&line, &capacity, file)) > 0) {
		lines++;
		rv = read_history_line(checker, span_of(line, (size_t)size), number, &value);
		if (rv == ERROR_BAD_EVENT)
			cli_say("%s:%" PRIu64 ": no line of a history [BAD_EVENT]; name what --history wrote", path,
				lines);
		if (rv != 0)
			rv = exit_code_of(rv);
	}
	if (rv == 0)
		rv = cli_input_ended(file, path);
	free(line);
	buffer_deinit(&value);
	(void)fclose(file);
	return rv;
}

int run_history_check(struct cli *cli)
{
	struct checker *checker = checker_new();
	struct table table = {0};
	int error;
	int rv = checker == NULL ? cli_fail(EVG_MEMORY, "history check") : 0;

	for (uint32_t i = 0; i < cli->positional_count && rv == 0; i++)
		rv = read_history(checker, cli->positionals[i], i);
	if (rv == 0)
		rv = cli_open(cli, NULL);
	if (rv == 0) {
		error = checker_run(checker, cli->grid, NULL, cli->timeout_ms);
		rv = error == 0 ? 0 : cli_fail(error, "replaying");
	}
	if (rv == 0) {
		rv = checker_cells(checker, &table);
		error = table_print_one(&table, cli->json);
		rv = error == 0 ? rv : error;
	}
	table_deinit(&table);
	checker_free(checker);
	return rv;
}

/* The evgrid command: what its verbs share. One table of verbs (main.c) gives parsing, help and dispatch.
 *
 * Rules: stdout holds data only, everything for people goes to stderr; every verb that prints knows -o table and -o
 * json; 64-bit numbers are strings in JSON; exit codes are those of exit.h. */
#ifndef EVGRID_CLIENT_CLI_H
#define EVGRID_CLIENT_CLI_H

#include <stdio.h>

#include "client/grid.h"

#define CLI_POSITIONALS_MAX 64u
#define CLI_VALUES_MAX 160u /* two options may be given SUBSCRIBE_FILTERS_MAX times */
#define CLI_DEFAULT_SERVER "127.0.0.1:7400"
#define CLI_DEFAULT_TIMEOUT_MS 10000u
#define CLI_SERVER_BYTES 1024u /* CORE_SEEDS_MAX addresses of common length */
#define CLI_WHY_BYTES 768u
#define CLI_PATH_BYTES 1024u

/* Stable: scripts rely on them (evgrid help exit-codes). */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_CONNECT = 3,
	EXIT_NOT_FOUND = 4,
	EXIT_DENIED = 5,
	EXIT_PRECONDITION = 6,
	EXIT_TIMED_OUT = 7,
	EXIT_PARTIAL = 8,
	EXIT_UNHEALTHY = 9,
	EXIT_VERSION = 10,
	EXIT_VERIFICATION = 11,
	EXIT_INTERRUPTED = 130,
};

/* What stands for a value in the help says what completion offers: words in small letters, apart by '|', are the
 * values themselves; STREAM, VIEW, NODE, CONTEXT, ERROR, TOPIC, FILE and DIR are names of such things; other words in
 * capitals are anything. */
struct cli_option {
	const char *name;  /* without the dashes */
	const char *value; /* what stands for its value in the help; NULL: a flag; "X...": it may be given again */
	const char *help;
};

struct cli;

struct verb {
	const char *noun; /* "cluster"; NULL: a verb of its own */
	const char *name;
	const char *arguments; /* "VIEW [KEY]", for the help and completion */
	uint32_t positionals_min;
	uint32_t positionals_max;
	const char *summary;
	const struct cli_option *options; /* ended by a NULL name; NULL: none */
	const char *details;              /* NULL: none */
	int (*run)(struct cli *cli);
	const char *examples; /* command lines as a shell takes them, one a line; the tests parse them */
	bool changes;         /* the cluster or a file: each of its faults says the outcome */
};

struct cli {
	const struct verb *verb;
	const char *positionals[CLI_POSITIONALS_MAX];
	uint32_t positional_count;
	struct {
		const char *name;
		const char *value; /* "" for flags */
	} values[CLI_VALUES_MAX];
	uint32_t value_count;
	const char *server;             /* --server; after cli_find_server: whom to talk to, */
	const char *server_from;        /* and why */
	const char *context;            /* --context */
	char address[CLI_SERVER_BYTES]; /* of the context */
	const char *key_file;       /* --key; after cli_find_server: this or EVGRID_KEY or the context's; NULL: none */
	const char *node_keys_file; /* the same of --node-keys, EVGRID_NODE_KEYS */
	char key_path[CLI_PATH_BYTES]; /* of the context */
	char node_keys_path[CLI_PATH_BYTES];
	bool json;
	bool quiet;
	uint32_t timeout_ms;
	evg *grid; /* opened by cli_open, closed by main */
};

extern const struct verb cli_verbs[]; /* ended by a NULL name */
extern const struct cli_option cli_common_options[];

struct cli_fact { /* a line of the help and the manual page */
	const char *name;
	const char *text;
};
extern const struct cli_fact cli_exit_codes[]; /* ended by a NULL name */
extern const struct cli_fact cli_environment[];
extern const struct cli_fact cli_files[];

/* The option's value, "" for a flag that is there, NULL when it is not. */
const char *cli_value(const struct cli *cli, const char *name);

static inline bool cli_has(const struct cli *cli, const char *name)
{
	return cli_value(cli, name) != NULL;
}

/* A number from the option or `otherwise`. 0, or EXIT_USAGE after saying why. */
int cli_number(const struct cli *cli, const char *name, uint64_t lowest, uint64_t most, uint64_t otherwise,
	       uint64_t *number);
bool text_to_u64(const char *text, uint64_t *value);
/* "10s", "500ms", "2m", or plain seconds. */
bool text_to_ms(const char *text, uint32_t *ms);

/* Whom to talk to: --server or --context, EVGRID_SERVER, EVGRID_CONTEXT, the current context, the default; and with
 * what keys. 0 or an error code with the text for people (contexts.c). */
int cli_find_server(struct cli *cli, char why[CLI_WHY_BYTES]);

/* Connects. 0, or the exit code after saying why. options: NULL for the defaults. */
int cli_open(struct cli *cli, const evg_options *options);

/* Parsing; for main and the tests. 0; EXIT_USAGE after saying why on stderr; -1: help was asked for and printed. */
int cli_parse(struct cli *cli, int argc, char **argv);
const struct verb *cli_find_verb(const char *first, const char *second);    /* NULL: none; second may be NULL */
const struct verb *cli_find_command(const char *first, const char *second); /* that both words name; NULL: none */
bool cli_is_noun(const char *word);
int cli_no_such_verb(const char *first, const char *second); /* EXIT_USAGE, after saying so */
const struct cli_option *cli_find_option(const struct cli_option *options, const char *name, size_t size);
bool cli_may_repeat(const struct cli_option *option);
const char *cli_long_form(const char *argument); /* of -o, -s, ...; else the argument */

/* What the words of an unfinished command line may go on with, one a line, each with a tab and what it is; ":files" and
 * ":directories" stand for those. The last word is the one that is being typed; "" when it has not been begun. */
void cli_complete(FILE *to, int count, char **words);
void man_page(struct buffer *page); /* evgrid(1), in roff */

void cli_help(FILE *to, const char *noun); /* the verbs of a noun; NULL: all */
void cli_help_verb(FILE *to, const struct verb *verb);
int cli_help_topic(FILE *to, const char *topic); /* 0, or EXIT_USAGE: no such topic */
/* The closest of the words, at most two edits away, or NULL. */
const char *nearest_word(const char *word, const char *const *words, size_t count);

/* Every fault goes through cli_fault, which sees to its form (say.c). They return the exit code of the error. */
enum fault_outcome {
	OUTCOME_OF_VERB, /* one that changes something: not applied, for nothing was sent yet; another: none */
	OUTCOME_NONE,    /* it is told otherwise, each line's for itself */
	OUTCOME_APPLIED,
	OUTCOME_NOT_APPLIED,
	OUTCOME_UNKNOWN,
};

struct cli_fault {
	int error;
	enum fault_outcome outcome;
	const char *expected; /* "at most 1024 bytes": what goes before "is wanted"; NULL: it follows from the error */
	const char *next;     /* NULL: the error's */
};

/* What verb speaks, and how, before there is another thread. */
void cli_voice(const struct cli *cli);

/* format: what was observed. */
int cli_fault(const struct cli_fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What the format says, and the error's own text behind it. */
int cli_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* 0: everything printed so far is out. Else ERROR_IO, now and ever after: some of it is lost. Says nothing. */
int cli_flush(void);
/* What is said of that: an exit code. */
int cli_fail_output(void);
/* Nothing more came from there. 0: it ended; else an exit code, said: it could not be read further. */
int cli_input_ended(FILE *input, const char *name);
/* With a text and a next step of its own. */
int cli_refuse(int error, const char *next, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* What became of a change. next NULL: the error's. */
int cli_fail_outcome(int error, evg_outcome outcome, const char *next, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The same of a change of streams, views or partitions, whose outcome follows from the error, and with its text. */
int cli_fail_change(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Wrong use: what is wanted, and what was given; the next step is the verb's help. EXIT_USAGE. */
int cli_usage(const struct cli *cli, const char *expected, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#define CLI_TIME_WANTED "a time such as 500ms, 10s or 2m"
/* A name or key that is empty or longer than it may be: 0, or an exit code after saying so. */
int cli_check_size(const char *what, size_t size, size_t most);
/* "see evgrid help VERB"; verb NULL: "see evgrid help". */
#define CLI_HELP_NEXT_BYTES 64u
void cli_help_next(const struct verb *verb, char next[CLI_HELP_NEXT_BYTES]);
/* There is no such thing; the nearest of the words is proposed. */
int cli_unknown(int error, const char *what, const char *name, const char *const *words, size_t count,
		const char *next);
/* The same of a stream, view or node of the cluster; `what` says which. The grid is open. */
int cli_unknown_live(struct cli *cli, int error, const char *what, const char *name);
int cli_unknown_live_at(struct cli *cli, int error, const char *what, const char *name, const char *place);
/* explain.c: faults that say what is known of a view (or, key not NULL, one of its entries; of a view that is not there
 * as above), of an entry, of a position, and of a cursor (text NULL: there is none). */
int cli_fail_view(struct cli *cli, int error, const char *view, const char *key);
struct cli_asked {
	const char *view;
	const char *key;
	const char *partition_key; /* NULL: the key */
	evg_position position;     /* the entry's partition, and the position that was demanded */
	bool by_time;
	enum fault_outcome outcome;
};
int cli_fail_entry(struct cli *cli, int error, const struct cli_asked *asked, const evg_entry *entry);
int cli_fail_scan(struct cli *cli, int error, const char *view, const evg_position *at_least);
int cli_fail_position(struct cli *cli, int error, const evg_position *position, const char *what);
int cli_fail_cursor(struct cli *cli, int error, const char *what, const char *text);
bool cli_knows(struct cli *cli, const char *what, const char *name); /* at most 512 of a kind are looked at */
/* What to do next: on a terminal only, and not with -o json or --quiet. */
void cli_hint(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Whether this file shows colours: a terminal, NO_COLOR (--no-color sets it) is not there, TERM is not dumb. */
bool cli_colours(FILE *file);
bool cli_is_quiet(void); /* --quiet sets EVGRID_QUIET */
int exit_code_of(int error);

/* --- output ------------------------------------------------------------------------------------------------------- */

enum cell_kind {
	CELL_TEXT,
	CELL_NUMBER, /* at most 53 bits: a JSON number */
	CELL_WIDE,   /* 64 bits: a JSON string */
	CELL_BOOL,   /* "true" or "false" */
	CELL_JSON,   /* JSON text as it is */
};

#define TABLE_COLUMNS_MAX 40u

/* Rows of cells; printed as an aligned table or as a JSON array of objects, one a line. */
struct table {
	struct {
		const char *key;
		enum cell_kind kind;
	} columns[TABLE_COLUMNS_MAX];
	uint32_t column_count;
	char **cells; /* owned; row after row; NULL: no value */
	size_t cell_count;
	size_t cell_capacity;
	bool failed; /* no memory */
};

void table_column(struct table *table, const char *key, enum cell_kind kind);
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_cell_none(struct table *table);
int table_print(const struct table *table, bool json);     /* 0 or EXIT_FAILED */
int table_print_one(const struct table *table, bool json); /* its one row: "key: value" lines or one object */
void table_deinit(struct table *table);

struct listing {                                                           /* of what the catalogue holds under names */
	const char *what;                                                  /* singular */
	int unknown;                                                       /* the error for a name that is not there */
	const char *(*name)(const evg_catalogue *catalogue, size_t index); /* NULL: there are no more */
	void (*columns)(struct table *table, bool whole);
	void (*row)(struct cli *cli, struct table *table, const evg_catalogue *catalogue, size_t index, bool whole);
};

/* All of them, or the one named `only`, whole. An exit code. */
int print_listing(struct cli *cli, const struct listing *listing, const char *only);
/* --- stored events ------------------------------------------------------------------------------------------------ */

/* One line on stdout: CloudEvents JSON, or columns. `line` is scratch. 0 or an error code. */
int record_print(const evg_record *record, bool columns, struct buffer *line);
/* The next one; an error is tried again until nothing has come for the whole time-out (replay.c). */
int cli_replay_next(struct cli *cli, evg_replay *replay, evg_record *record);

/* --- history ------------------------------------------------------------------------------------------------------ */

/* One JSON line per published event: docs/reference/cli.md. NULL file: nothing is written. Safe from several
 * threads. */
struct history_event {
	uint64_t number; /* line of the input, or number in the run */
	struct span id;
	struct span source;
	struct span stream;
	struct span key;
	struct span partition_key;
	uint64_t invoked_us; /* since 1970 */
	uint64_t completed_us;
	const evg_completion *completion;
};
/* NULL: it cannot be written, which was said; EXIT_USAGE. */
FILE *history_open(const char *path);
void history_write(FILE *file, const struct history_event *event);
/* 0, or an exit code, said: it lacks lines. */
int history_close(FILE *file);

/* --- points in a log and in time (history.c) ---------------------------------------------------------------------- */

/* An offset (of whatever history), or a position that must be of this partition. 0, or EXIT_USAGE after saying why. */
int cli_position(const struct cli *cli, const char *option, const char *text, uint16_t partition,
		 evg_position *position);
/* The same, or a time: then *time_us is not 0. */
int cli_point(const struct cli *cli, const char *option, const char *text, uint16_t partition, evg_position *position,
	      uint64_t *time_us);
uint16_t cli_partition(const char *key, const char *partition_key); /* partition key NULL: the key */

/* --- entries of views (view_scan.c) ------------------------------------------------------------------------------- */

void cli_entry_row(struct table *table, const char *node, const char *key, const evg_entry *entry);
/* Rows of those that are there, or not; a fault for each other one. An exit code: PARTIAL when there are both. */
int cli_get_many(struct cli *cli, const evg_read *read, struct table *table);
void cli_say_searched(const char *key, const evg_entry *entry); /* all shards were asked */
uint16_t cli_entry_partition(const struct cli *cli, const char *key, const evg_entry *entry);
/* The present entry of a key, whatever its partition key, for what goes on with that: entry->partition_key, empty where
 * it is the key. The entry is to be freed. 0, or an exit code after saying that several bear the key. */
int cli_find_entry(struct cli *cli, const char *key, evg_entry *entry);
int cli_get_as_of(struct cli *cli, evg_read *read); /* an exit code */
/* What was asked of an entry, for cli_fail_entry. */
struct cli_asked cli_asked_of(const struct cli *cli, const char *key, const evg_read *read, const evg_entry *entry);

/* --- figures ------------------------------------------------------------------------------------------------------ */

#define FIGURE_UNKNOWN UINT64_MAX
void table_cell_figure(struct table *table, uint64_t figure); /* nothing where it is unknown */
/* "1.5 MiB"; "unknown" */
#define BYTES_TEXT_BYTES 32u
const char *bytes_text(uint64_t bytes, char text[BYTES_TEXT_BYTES]);

/* A histogram of microseconds: 64 buckets to each doubling, so within 1.6 %. */
#define HISTOGRAM_BUCKETS (64u * 36)
struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t count;
	uint64_t most;
};
void histogram_add(struct histogram *histogram, uint64_t us);
uint64_t histogram_at(const struct histogram *histogram, double share); /* 0.5: the median; 0 when empty */
/* Appends a column and its cell: {"p50":...,"p99":...,"p999":...,"max":...}. */
void table_histogram(struct table *table, const char *key, const struct histogram *histogram);

/* What became of many events: counts, times, gaps. The handle's thread adds; the rest is read when it is idle. */
struct tally {
	atomic_uint_least64_t told; /* may be read at any time */
	uint64_t began_us;
	uint64_t ended_us; /* of the last completion */
	uint64_t applied;
	uint64_t not_applied;
	uint64_t unknown;
	uint64_t duplicates;
	uint64_t payload_bytes;     /* of the applied ones */
	uint64_t longest_gap_us;    /* without a completion, from the first event on */
	uint64_t longest_gap_at_us; /* when it ended, from the beginning */
	int first_error;
	struct histogram total;
	struct histogram stages[EVG_STAGES];
	uint32_t *per_second; /* completions applied */
	uint32_t seconds;
};
struct tally *tally_new(void); /* NULL: no memory */
struct tally *tally_free(struct tally *tally);
void tally_add(struct tally *tally, const evg_completion *completion, uint64_t total_us, uint64_t payload_bytes);
/* Appends columns and cells to a table of one row. */
void tally_cells(struct tally *tally, struct table *table);

/* One line on a terminal, with rate and, where the end is known, time left; nothing elsewhere. */
struct progress {
	const char *what;
	bool shown;
	uint64_t began_us;
	uint64_t last_us;
	uint64_t total; /* 0: unknown */
};
void progress_begin(struct progress *progress, const char *what, uint64_t total);
void progress_update(struct progress *progress, uint64_t done);
void progress_end(struct progress *progress);

/* --- what bench publish writes (bench.c) -------------------------------------------------------------------------- */

#define BENCH_KEY_BYTES 16u

uint64_t bench_random(uint64_t *state);
struct span bench_key(uint32_t number, char text[BENCH_KEY_BYTES]);

/* --- what was told, against what is stored ------------------------------------------------------------------------ */

struct checker;

struct checker_event {
	uint64_t identity; /* identity_hash */
	uint64_t key;      /* hash of stream, key, partition key and who published */
	uint64_t number;   /* rising in the order of publishing */
	evg_outcome outcome;
};

struct checker *checker_new(void); /* NULL: no memory */
struct checker *checker_free(struct checker *checker);
int checker_add(struct checker *checker, const struct checker_event *event); /* 0 or ERROR_MEMORY */
/* Replays the stream (NULL: all) and compares. 0 or an error code. */
int checker_run(struct checker *checker, evg *grid, const char *stream, uint32_t timeout_ms);
/* Appends columns and cells to a table of one row; EXIT_VERIFICATION if anything is wrong, else 0. */
int checker_cells(const struct checker *checker, struct table *table);
uint64_t identity_hash(struct span source, struct span id);

extern volatile int cli_interrupted; /* set by SIGINT and SIGTERM once cli_catch_signals was called */
void cli_catch_signals(void);

/* --- health ------------------------------------------------------------------------------------------------------- */

/* As live, or in sync, counts who was heard: cluster_map_present. */
struct health {
	bool controlled; /* some node leads; else the map may be old, and nothing of it changes */
	bool restoring;  /* a back-up is to be restored first: no partition takes writes */
	uint32_t members;
	uint32_t names; /* of NODES_MAX: members', and of nodes that are gone */
	uint32_t live;
	uint32_t served;
	uint32_t writable;
	uint32_t full;
	uint32_t preferred;
	uint32_t moving;    /* partitions with somebody who learns */
	uint32_t misplaced; /* members that keep nothing and should, or should not and do */
};
struct health health_of(const struct cluster_map *map);
bool health_takes_writes(const struct health *health);
bool health_lacks_names(const struct health *health); /* few are left for nodes to come */
bool health_is_settled(const struct health *health);  /* nothing moves, and nothing is to */
const char *health_name(const struct health *health); /* "healthy", "degraded", "unhealthy", "restoring" */

struct node_roles {
	uint32_t primaries;
	uint32_t replicas;
	uint32_t in_sync;
};
struct node_roles node_roles_of(const struct cluster_map *map, uint32_t id);
const char *node_name(const struct cluster_map *map, uint32_t id); /* "-": no such node */

/* restart_check.c: the answer as one row. */
struct restart_check;
void restart_check_table(struct table *table, const struct cluster_map *map, const struct map_node *node, bool after,
			 const struct restart_check *check, bool json);

/* zones.c: of cluster status. */
void zones_cells(struct table *table, const struct cluster_map *map); /* appends columns and cells */
void zones_say(const struct cluster_map *map);                        /* what is amiss, for people; else nothing */

/* --- status of all replicas --------------------------------------------------------------------------------------- */

struct replica_row {
	uint32_t node_id;
	struct partition_status status;
};

struct replica_rows {
	struct replica_row *rows; /* by partition, then node */
	size_t count;
	uint32_t unanswered; /* shards that did not answer */
};

/* Asks every shard of every live node. 0 or an error code; free rows. */
int replica_rows_get(evg *grid, const struct cluster_map *map, uint32_t timeout_ms, struct replica_rows *rows);
struct sample { /* of the whole cluster at one moment */
	uint64_t at_us;
	struct replica_rows rows; /* owned */
};
/* EXIT_PARTIAL, after saying that shards did not answer. */
int cli_unanswered(const struct replica_rows *rows);
/* What this node's replica answered; NULL: nothing. */
const struct partition_status *replica_status(const struct replica_rows *rows, uint16_t partition, uint32_t node_id);

/* Whether replicas at equal offsets have equal digests: waits until, of every partition, all in-sync replicas are at
 * one offset, or the time is up. */
struct digest_verdict {
	uint32_t compared; /* partitions all of whose in-sync replicas stood at one offset */
	uint32_t different;
	uint32_t open; /* not comparable in time */
	uint16_t first_different;
};
int digests_compare(evg *grid, uint32_t timeout_ms, struct digest_verdict *verdict);

/* --- verbs -------------------------------------------------------------------------------------------------------- */

int run_context_ls(struct cli *cli);
int run_context_show(struct cli *cli);
int run_context_use(struct cli *cli);
int run_context_set(struct cli *cli);
int run_context_rm(struct cli *cli);
int run_cluster_status(struct cli *cli);
int run_cluster_wait(struct cli *cli);
int run_cluster_migrations(struct cli *cli);
int run_cluster_plan(struct cli *cli);
int run_cluster_upgrade(struct cli *cli);
uint16_t versions_common(const struct cluster_map *map); /* the highest that all members know; 0: not known */
int run_node_ls(struct cli *cli);
int run_restart_check(struct cli *cli);
int run_top(struct cli *cli);
int run_partition_ls(struct cli *cli);
int run_node_decommission(struct cli *cli);
int run_node_drain(struct cli *cli);
int run_partition_elect(struct cli *cli);
int run_stream_create(struct cli *cli);
int run_stream_ls(struct cli *cli);
int run_stream_describe(struct cli *cli);
int run_view_apply(struct cli *cli);
int run_view_drop(struct cli *cli);
int run_view_test(struct cli *cli);
int run_view_ls(struct cli *cli);
int run_view_describe(struct cli *cli);
int run_view_get(struct cli *cli);
int run_view_scan(struct cli *cli);
int run_view_errors(struct cli *cli);
int run_view_retry(struct cli *cli);
int run_view_skip(struct cli *cli);
int run_history(struct cli *cli);
int run_publish(struct cli *cli);
int run_replay(struct cli *cli);
int run_subscribe(struct cli *cli);
int run_history_check(struct cli *cli);
int run_bench_publish(struct cli *cli);
int run_bench_get(struct cli *cli);
int run_bench_replay(struct cli *cli);
int run_backup_create(struct cli *cli);
int run_backup_verify(struct cli *cli);
int run_backup_restore(struct cli *cli);
int run_journal_verify(struct cli *cli);
int run_journal_dump(struct cli *cli);
int run_keygen(struct cli *cli);
int run_errors(struct cli *cli);
int run_completion(struct cli *cli);
int run_man(struct cli *cli);
int run_version(struct cli *cli);
int run_help(struct cli *cli);

extern const struct cli_option context_use_options[];
extern const struct cli_option keygen_options[];
extern const struct cli_option cluster_migrations_options[];
extern const struct cli_option cluster_status_options[];
extern const struct cli_option cluster_wait_options[];
extern const struct cli_option restart_check_options[];
extern const struct cli_option cluster_plan_options[];
extern const struct cli_option cluster_upgrade_options[];
extern const struct cli_option top_options[];
extern const struct cli_option partition_ls_options[];
extern const struct cli_option node_decommission_options[];
extern const struct cli_option node_drain_options[];
extern const struct cli_option partition_elect_options[];
extern const struct cli_option view_apply_options[];
extern const struct cli_option view_test_options[];
extern const struct cli_option view_get_options[];
extern const struct cli_option view_scan_options[];
extern const struct cli_option view_errors_options[];
extern const struct cli_option view_decide_options[];
extern const struct cli_option history_options[];
extern const struct cli_option publish_options[];
extern const struct cli_option replay_options[];
extern const struct cli_option subscribe_options[];
extern const struct cli_option backup_create_options[];
extern const struct cli_option backup_restore_options[];
extern const struct cli_option bench_publish_options[];
extern const struct cli_option bench_get_options[];
extern const struct cli_option bench_replay_options[];

#endif

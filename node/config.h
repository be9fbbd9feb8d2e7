/* The daemon's configuration: one table-driven schema (config_schema.c), read from a YAML file, then the environment
 * (EVGRID_SECTION__KEY), then flags (--section.key=value); the later source wins. Every problem is collected, with its
 * place, before any is reported. Used by the main thread before others exist; read-only afterwards. */
#ifndef EVGRID_NODE_CONFIG_H
#define EVGRID_NODE_CONFIG_H

#include "net/key_file.h"
#include "node/logging.h"
#include "proto/bytes.h"
#include "proto/error.h"
#include "proto/limits.h"

#include <stdio.h>

#define CONFIG_CONTROL_PORT 7400u /* the shards take the next W */
#define CONFIG_HTTP_PORT 7480u    /* as far above the control port */
#define CONFIG_ERRORS_MAX 64u     /* of one run; what comes behind is counted */
#define CONFIG_TEXT_BYTES 256u
#define CONFIG_PATH_BYTES 1024u

/* Next steps of faults in a configuration. */
#define CONFIG_NEXT_VALUE "give a value of that form"
#define CONFIG_NEXT_NEAREST "write it so, if that is meant"
#define CONFIG_NEXT_KEY "see docs/reference/configuration.md"

struct config_member {
	char name[NAME_MAX_BYTES + 1];
	char address[ADDRESS_MAX_BYTES + 1]; /* control: host:port */
};

struct config_members {
	uint32_t count;
	struct config_member list[NODES_MAX];
};

/* What the process runs with. Sizes in bytes, durations in milliseconds. */
struct config_values {
	char node_name[NAME_MAX_BYTES + 1];
	char node_zone[NAME_MAX_BYTES + 1];
	uint64_t node_weight;
	char data_directory[CONFIG_PATH_BYTES];
	char listen_address[ADDRESS_MAX_BYTES + 1];
	char listen_advertise[ADDRESS_MAX_BYTES + 1];
	uint64_t listen_control;
	bool http_enabled;
	char http_address[ADDRESS_MAX_BYTES + 1];
	uint64_t http_port;
	char http_tokens[CONFIG_PATH_BYTES];
	char http_certificate[CONFIG_PATH_BYTES];
	char http_key[CONFIG_PATH_BYTES];
	struct config_members members;
	uint64_t replication_factor;
	uint64_t minimum_isr;
	uint64_t reassign_delay_ms;
	bool restore;
	uint64_t shards;
	uint64_t sync_ms; /* 0: commit */
	uint64_t segment_bytes;
	uint64_t cache_bytes;
	uint64_t snapshot_bytes;
	uint64_t pending_bytes;
	uint64_t replica_window_bytes;
	uint64_t migration_rate;
	uint64_t clients;
	uint64_t disk_reserve_bytes;
	uint64_t io_threads;
	uint64_t failed_handshakes;
	uint64_t stop_timeout_ms;
	enum logging_format log_format;
	enum logging_level log_level;
	char keys_secret[CONFIG_PATH_BYTES]; /* "": no keys */
	char keys_trusted[CONFIG_PATH_BYTES];
	bool insecure;
};

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_FLAG, CONFIG_DERIVED };

/* Where a key's value came from. */
struct config_origin {
	enum config_source source;
	uint32_t line; /* CONFIG_FILE: 1.. */
	uint32_t column;
};

#define CONFIG_KEYS_MAX 40u

struct config {
	struct config_values values;
	struct config_origin origins[CONFIG_KEYS_MAX]; /* by place in the schema */
	const char *file;                              /* as named by the user; NULL: none */
	char fingerprint[KEY_FINGERPRINT_BYTES];       /* of keys.secret; "": none, or no good */
	char *errors[CONFIG_ERRORS_MAX];
	uint32_t error_count; /* may exceed CONFIG_ERRORS_MAX */
};

void config_init(struct config *config); /* all defaults */
void config_deinit(struct config *config);

/* Each collects its errors in config->errors. */
void config_read_file(struct config *config, const char *path);
void config_read_text(struct config *config, const char *name, const char *text, size_t size);
void config_read_environment(struct config *config, char *const *environment);
void config_read_flag(struct config *config, const char *argument); /* "--section.key=value" */

/* For --dev: one node, no file needed. Fills in only what no other source gave. */
void config_apply_dev(struct config *config);

/* Fills in what follows from other keys, then checks what spans keys. */
void config_finish(struct config *config);

/* Keeps "cause, wanted and found [CODE]; next step". */
void config_error(struct config *config, int code, const char *next, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void config_print_errors(const struct config *config, FILE *out); /* and the outcome */
void config_print(const struct config *config, FILE *out);        /* YAML, each value with its source */
void config_print_reference(FILE *out);                           /* docs/reference/configuration.md */

/* --- the schema, for the readers and printers -------------------------------------------------------------------- */

enum config_type {
	CONFIG_NAME,
	CONFIG_STRING,
	CONFIG_PATH,
	CONFIG_NUMBER,
	CONFIG_BYTES,
	CONFIG_DURATION,
	CONFIG_SYNC,
	CONFIG_BOOLEAN,
	CONFIG_CHOICE,
	CONFIG_MEMBERS
};

struct config_key {
	const char *name; /* "section.key", or "key" at the top level */
	enum config_type type;
	size_t place; /* in struct config_values */
	size_t size_bytes;
	const char *standard; /* as it would be written; NULL: empty */
	uint64_t minimum;
	uint64_t maximum;
	const char *choices; /* CONFIG_CHOICE: "a|b|c", stored as their number */
	const char *help;
};

const struct config_key *config_schema(size_t *count);
size_t config_schema_find(const char *name);         /* SIZE_MAX: no such key */
const char *config_schema_nearest(const char *name); /* NULL: nothing comes near */

/* Parses text as the key's type into the values. 0, or 1 with what was expected, and found, in `why`. */
int config_value_parse(const struct config_key *key, const char *text, struct config_values *values,
		       char why[CONFIG_TEXT_BYTES]);
/* Writes the value as a file would hold it, lists as [a, b]. */
void config_value_format(const struct config_key *key, const struct config_values *values, char *text, size_t size);

#endif

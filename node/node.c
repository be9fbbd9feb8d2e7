/* Putting a node together, running it, taking it apart. Main thread, which becomes the control thread. */
#include "node/node.h"

#include "node/clock.h"
#include "node/control.h"
#include "node/http.h"
#include "node/ports_file.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>

struct node {
	struct logging log;
	const struct config_values *values;
	uint64_t incarnation;
	struct directory directory;
	struct keyring keyring;
	bool keyed;
	struct socket_factory factory;
	struct partition_thread *shards;
	struct control *control;
	struct metrics *metrics;
	struct health *health;
	struct http http;
};

static enum node_exit refuse(const struct node *node, const char *operation, int error)
{
	LOG_EVENT(&node->log, node_refused, .operation = operation, .observed = strerror(error));
	return NODE_EXIT_FAULT;
}

/* False: they are no good any more, which is said; the configuration was checked with them a moment ago. */
static bool take_keys(struct node *node)
{
	const struct config_values *values = node->values;
	char why[KEY_WHY_BYTES], fingerprint[KEY_FINGERPRINT_BYTES];

	if (values->keys_secret[0] == '\0')
		return true;
	if (keyring_init(&node->keyring, &node->log, values->node_name, values->keys_secret, values->keys_trusted,
			 why) != KEY_DONE) {
		LOG_EVENT(&node->log, keys_refused_files, .observed = why);
		return false;
	}
	node->keyring.failed_handshakes = (uint32_t)values->failed_handshakes;
	node->keyed = true;
	keyring_fingerprint(&node->keyring, fingerprint);
	LOG_EVENT(&node->log, keys_taken, .fingerprint = fingerprint, .trusted = keyring_count(&node->keyring));
	return true;
}

/* Memory is asked for once, at start. */
static enum node_exit node_init(struct node *node, const struct config_values *values)
{
	char why[DIRECTORY_TEXT_BYTES];
	int rv;

	memset(node, 0, sizeof *node);
	node->values = values;
	node->log = (struct logging){values->log_level, values->log_format, values->node_name};
	node->directory = DIRECTORY_NULL;
	node->http = HTTP_NULL;
	node->shards = calloc(values->shards, sizeof *node->shards);
	node->control = calloc(1, sizeof *node->control);
	node->metrics = calloc(1, sizeof *node->metrics);
	node->health = calloc(1, sizeof *node->health);
	if (node->shards == NULL || node->control == NULL || node->metrics == NULL || node->health == NULL)
		return refuse(node, "memory for the shards", ENOMEM);
	metrics_init(node->metrics, (uint16_t)values->shards, values->data_directory, clock_unix_us());
	node->health->shard_count = (uint16_t)values->shards;
	while (node->incarnation == 0) {
		if (getrandom(&node->incarnation, sizeof node->incarnation, 0) != sizeof node->incarnation)
			return refuse(node, "taking random bytes", errno);
	}
	if (directory_open(&node->directory, values->data_directory, values->node_name, (uint16_t)values->shards,
			   why) != DIRECTORY_DONE) {
		LOG_EVENT(&node->log, directory_refused, .path = values->data_directory, .observed = why);
		return NODE_EXIT_DIRECTORY;
	}
	if (!take_keys(node))
		return NODE_EXIT_FAULT;
	rv = socket_factory_init(&node->factory, node->incarnation, (int)values->io_threads,
				 node->keyed ? &node->keyring : NULL);
	return rv == 0 ? NODE_EXIT_DONE : refuse(node, "starting ZeroMQ", rv);
}

static enum node_exit make_control(struct node *node)
{
	struct control_config config = {
		.log = &node->log,
		.values = node->values,
		.directory = &node->directory,
		.factory = &node->factory,
		.shards = node->shards,
		.metrics = node->metrics,
		.health = node->health,
		.incarnation = node->incarnation,
		.notify_socket = getenv("NOTIFY_SOCKET"),
	};

	return control_init(node->control, &config) == 0 ? NODE_EXIT_DONE : NODE_EXIT_LISTEN;
}

/* Before the shards are: their recovery shows there. */
static enum node_exit open_http(struct node *node)
{
	const struct config_values *values = node->values;
	const struct http_options options = {
		.log = &node->log,
		.host = values->http_address,
		.port = (uint16_t)values->http_port,
		.tokens = values->http_tokens,
		.certificate = values->http_certificate,
		.key = values->http_key,
	};
	char why[HTTP_SECRETS_WHY_BYTES];

	if (!values->http_enabled)
		return NODE_EXIT_DONE;
	switch (http_open(&node->http, node->metrics, node->health, &options, why)) {
	case HTTP_OPEN: return NODE_EXIT_DONE;
	case HTTP_NOT_STARTED: return refuse(node, "opening the operations port", errno);
	case HTTP_NO_SECRETS: LOG_EVENT(&node->log, node_http_secrets, .observed = why); return NODE_EXIT_LISTEN;
	case HTTP_NOT_BOUND: break;
	}
	LOG_EVENT(&node->log, node_not_bound, .socket = "http", .host = values->http_address, .port = values->http_port,
		  .observed = strerror(errno));
	return NODE_EXIT_LISTEN;
}

static enum node_exit make_shard(struct node *node, uint16_t index)
{
	const struct config_values *values = node->values;
	struct partition_thread_config config = {
		.log = &node->log,
		.factory = &node->factory,
		.control = &node->control->inbox,
		.host = values->listen_address,
		.node_name = values->node_name,
		.data_directory = node->directory.path,
		.clients = (uint32_t)values->clients,
		.reserve_bytes = values->disk_reserve_bytes,
		.sync_ms = values->sync_ms,
		.metrics = &node->metrics->shards[index],
		.beats = node->health->shards[index],
		.recovery = &node->health->recovery[index],
		.shard =
			{
				.index = index,
				.shard_count = (uint16_t)values->shards,
				.incarnation = node->incarnation,
				.journal_id = node->directory.identity.journals[index],
				.segment_bytes = (uint32_t)values->segment_bytes,
				.cache_bytes = values->cache_bytes,
				.durable = values->sync_ms == 0,
				.pending_limit_bytes = values->pending_bytes,
				.replica_window_bytes = values->replica_window_bytes,
				.migration_rate = (values->migration_rate + values->shards - 1) / values->shards,
				.snapshot_interval_bytes = values->snapshot_bytes,
				.digest_interval = SHARD_DIGEST_INTERVAL,
				.stage_clock_us = clock_boot_us,
			},
	};
	uint16_t port = values->listen_control == 0 ? 0 : (uint16_t)(node->control->port + 1 + index);

	switch (partition_thread_init(&node->shards[index], &config, port)) {
	case 0: return NODE_EXIT_DONE;
	case PARTITION_NOT_BOUND: return NODE_EXIT_LISTEN;
	default: return NODE_EXIT_FAULT;
	}
}

static enum node_exit tell_ports(const struct node *node, const char *ports_file)
{
	uint16_t shard_ports[SHARDS_MAX];
	struct ports ports = {
		.node = node->values->node_name,
		.host = node->values->listen_advertise,
		.control = node->control->port,
		.shards = shard_ports,
		.shard_count = (uint16_t)node->values->shards,
		.http = node->http.port,
	};
	int rv = 0;

	for (uint16_t i = 0; i < ports.shard_count; i++)
		shard_ports[i] = node->shards[i].port;
	LOG_EVENT(&node->log, node_listening, .host = ports.host, .control = ports.control,
		  .first_shard = shard_ports[0], .shards = ports.shard_count, .http = ports.http,
		  .version = EVGRID_VERSION);
	if (ports_file != NULL)
		rv = ports_file_write(ports_file, &ports);
	return rv == 0 ? NODE_EXIT_DONE : refuse(node, "writing the ports file", rv);
}

static enum node_exit start_shards(struct node *node)
{
	for (uint64_t i = 0; i < node->values->shards; i++) {
		int rv = partition_thread_start(&node->shards[i]);

		if (rv != 0)
			return refuse(node, "starting threads", rv);
	}
	return NODE_EXIT_DONE;
}

/* Signals are the control thread's: libuv opens them there, all other threads inherit them closed. */
static void block_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

enum node_exit node_run(const struct config_values *values, const char *ports_file)
{
	struct node node;
	enum node_exit result;

	block_signals();
	result = node_init(&node, values);
	if (result == NODE_EXIT_DONE)
		result = make_control(&node);
	if (result == NODE_EXIT_DONE)
		result = open_http(&node);
	for (uint16_t i = 0; result == NODE_EXIT_DONE && i < values->shards; i++)
		result = make_shard(&node, i);
	if (result == NODE_EXIT_DONE)
		result = start_shards(&node);
	if (result == NODE_EXIT_DONE)
		result = tell_ports(&node, ports_file);
	if (result != NODE_EXIT_DONE) {
		http_close(&node.http);
		exit((int)result); /* threads may run: nothing was promised to anyone yet */
	}
	open_signals();
	control_run(node.control);
	control_deinit(node.control);
	for (uint64_t i = 0; i < values->shards; i++)
		partition_thread_deinit(&node.shards[i]);
	http_close(&node.http);
	metrics_deinit(node.metrics);
	socket_factory_deinit(&node.factory);
	if (node.keyed)
		keyring_deinit(&node.keyring);
	directory_deinit(&node.directory);
	free(node.shards);
	free(node.control);
	free(node.metrics);
	free(node.health);
	LOG_EVENT(&node.log, node_stopped);
	return NODE_EXIT_DONE;
}

/* The schema: every key the daemon knows, with its type, default, range and help; the reference page is printed from
 * it. Main thread. */
#include "node/config.h"

#include <stdlib.h>
#include <string.h>

#define KEY_TEXT(key, kind, member, value, text)                                                             \
	{                                                                                                    \
		.name = (key), .type = (kind), .place = offsetof(struct config_values, member),              \
		.size_bytes = sizeof((struct config_values *)0)->member, .standard = (value), .help = (text) \
	}
#define KEY_RANGE(key, kind, member, value, low, high, text)                                                    \
	{                                                                                                       \
		.name = (key), .type = (kind), .place = offsetof(struct config_values, member),                 \
		.size_bytes = sizeof((struct config_values *)0)->member, .standard = (value), .minimum = (low), \
		.maximum = (high), .help = (text)                                                               \
	}
#define KEY_CHOICE(key, member, value, options, text)                                                               \
	{                                                                                                           \
		.name = (key), .type = CONFIG_CHOICE, .place = offsetof(struct config_values, member),              \
		.size_bytes = sizeof((struct config_values *)0)->member, .standard = (value), .choices = (options), \
		.help = (text)                                                                                      \
	}

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define HOUR_MS 3600000u

/* In the order of the page and of --print-config; keys of one section stand together. */
static const struct config_key schema[] = {
	KEY_TEXT(
		"node.name", CONFIG_NAME, node_name, NULL,
		"The node's name in the cluster: letters, digits, '-', '_', '.'. It is written into the data directory "
		"and stays. Where cluster.members does not hold it, the node joins the cluster of those."),
	KEY_TEXT("node.zone", CONFIG_NAME, node_zone, NULL,
		 "Failure zone. Replicas of a partition are spread over zones as far as they go."),
	KEY_RANGE("node.weight", CONFIG_NUMBER, node_weight, "1", 1, NODE_WEIGHT_MAX,
		  "The node's share of replicas and primaries, compared with the other nodes': one of weight 2 gets "
		  "twice "
		  "as many as one of weight 1. Zones come first."),
	KEY_TEXT("data.dir", CONFIG_PATH, data_directory, NULL,
		 "Directory of everything this node keeps. It is made when missing, locked while the node runs, and "
		 "belongs to this node alone."),
	KEY_TEXT("listen.address", CONFIG_STRING, listen_address, "127.0.0.1",
		 "Address to bind. Without keys (keys.secret) only a loopback address is accepted, unless insecure is "
		 "set."),
	KEY_TEXT("listen.advertise", CONFIG_STRING, listen_advertise, NULL,
		 "Host that other nodes and clients are told. Default: the host of this node's entry in "
		 "cluster.members, "
		 "else listen.address."),
	KEY_RANGE("listen.control", CONFIG_NUMBER, listen_control, "7400", 0, 65535 - SHARDS_MAX,
		  "Port of the control thread; shard i listens on the port i + 1 above it. 0: any free ports, see "
		  "--ports-file. Default: the port of this node's entry in cluster.members, else 7400."),
	KEY_TEXT("http.enabled", CONFIG_BOOLEAN, http_enabled, "true",
		 "Whether the operations port is opened: health and metrics over HTTP, for probes and scrapers."),
	KEY_TEXT("http.address", CONFIG_STRING, http_address, "127.0.0.1",
		 "Address of the operations port. Without http.certificate and http.tokens only a loopback address is "
		 "accepted, unless insecure is set. It tells, and takes no commands."),
	KEY_RANGE("http.port", CONFIG_NUMBER, http_port, "7480", 0, 65535,
		  "Operations port. 0: any free one, see --ports-file. Default: 80 above listen.control, any free one "
		  "where that is 0."),
	KEY_TEXT("http.tokens", CONFIG_PATH, http_tokens, NULL,
		 "File of bearer tokens, one a line: whoever asks for metrics or a restart check brings one. Probes "
		 "need none. Read at each question, so a file that is replaced counts at once."),
	KEY_TEXT("http.certificate", CONFIG_PATH, http_certificate, NULL,
		 "File of the certificate that the operations port shows, PEM, its issuers behind it; with http.key. "
		 "It speaks TLS alone then. A file that is replaced is shown within seconds."),
	KEY_TEXT("http.key", CONFIG_PATH, http_key, NULL,
		 "File of the certificate's key, PEM. Others on the machine must not be able to read it."),
	KEY_TEXT("cluster.members", CONFIG_MEMBERS, members, NULL,
		 "The founders, the same list in the same order on all of them: name=host:port of each control port. "
		 "Read when the cluster is formed, and by a node that is not in it: it joins these. Default: this node "
		 "alone."),
	KEY_RANGE("cluster.replication_factor", CONFIG_NUMBER, replication_factor, "0", 0, REPLICAS_MAX,
		  "Copies of each partition, fixed when the cluster is formed. 0: 3, or the number of founders if that "
		  "is smaller. With more than there are founders each partition has fewer until as many nodes are "
		  "there."),
	KEY_RANGE("cluster.minimum_isr", CONFIG_NUMBER, minimum_isr, "0", 0, REPLICAS_MAX,
		  "In-sync copies without which nothing is acknowledged. 0: 2 of 3 copies, else 1; 1 of a single "
		  "founder. An operator's command changes it later."),
	KEY_TEXT("cluster.restore", CONFIG_BOOLEAN, restore, "false",
		 "On all founders: the cluster is formed to restore a back-up into (evgrid backup restore), and serves "
		 "nobody before that is done. Read when the cluster is formed."),
	KEY_RANGE("replica.reassign_delay", CONFIG_DURATION, reassign_delay_ms, "10m", 0, 7 * 24 * HOUR_MS,
		  "So long a member may be away before others get copies of its replicas, if there are enough others. "
		  "The controller's counts. 0: for ever."),
	KEY_RANGE(
		"shards", CONFIG_NUMBER, shards, "0", 0, SHARDS_MAX,
		"Partition threads, W. 0: half the cores, at least 1, at most 8. Written into the data directory when "
		"that is made; another number is refused afterwards."),
	KEY_RANGE("sync", CONFIG_SYNC, sync_ms, "commit", 1, 60000,
		  "commit: an acknowledgement means on disk, on every in-sync replica. A duration (10ms): the disk is "
		  "synced that often, and a power cut may lose that much on a node."),
	KEY_RANGE("journal.segment_bytes", CONFIG_BYTES, segment_bytes, "64MiB", 8 * MIB, GIB,
		  "Size of a journal file. They are written with zeros ahead of use."),
	KEY_RANGE("journal.cache_bytes", CONFIG_BYTES, cache_bytes, "64MiB", MIB, 64 * GIB,
		  "Memory per shard for the newest batches, for replicas and readers that follow closely."),
	KEY_RANGE("snapshot.interval_bytes", CONFIG_BYTES, snapshot_bytes, "256MiB", 0, 1024 * GIB,
		  "Journal bytes after which all of a shard's partitions have written a new snapshot. 0: never."),
	KEY_RANGE("limits.pending_bytes", CONFIG_BYTES, pending_bytes, "64MiB", 4 * MIB, 16 * GIB,
		  "Per shard: what is accepted and not yet committed. Beyond it writers get BUSY."),
	KEY_RANGE("limits.replica_window_bytes", CONFIG_BYTES, replica_window_bytes, "8MiB", 4 * MIB, GIB,
		  "Per partition and replica: what is sent and not yet acknowledged."),
	KEY_RANGE("limits.clients", CONFIG_NUMBER, clients, "4096", 1, 65536,
		  "Connections remembered per port. The longest silent one is forgotten for a new one, and says HELLO "
		  "again when it comes back."),
	KEY_RANGE("limits.disk_reserve_bytes", CONFIG_BYTES, disk_reserve_bytes, "128MiB", 0, 1024 * GIB,
		  "Free space below which journals take no more, so that metadata and snapshots still have room."),
	KEY_RANGE(
		"migration.rate", CONFIG_BYTES, migration_rate, "0", 0, 1024 * GIB,
		"Bytes a second that a node sends to replicas that are not in sync: those that partitions move to, and "
		"those that were away. 0: as many as make completions no slower. In any case four times what is "
		"published, so that copies come to an end."),
	KEY_RANGE("network.io_threads", CONFIG_NUMBER, io_threads, "1", 1, 16,
		  "ZeroMQ's own threads. One moves about a gigabyte a second."),
	KEY_RANGE(
		"stop.timeout", CONFIG_DURATION, stop_timeout_ms, "10s", 0, 600000,
		"How long a clean stop waits for hand-over and the cluster's consent before the process ends anyway."),
	KEY_CHOICE("log.format", log_format, "logfmt", "logfmt|json", "Form of the lines on stderr."),
	KEY_CHOICE("log.level", log_level, "info", "debug|info|warn|error", "Lines below this level are not written."),
	KEY_TEXT("keys.secret", CONFIG_PATH, keys_secret, NULL,
		 "File with this node's secret key, as evgrid keygen writes it; others must not be able "
		 "to "
		 "read it. With it, and keys.trusted, every connection needs a key. Read anew at SIGHUP."),
	KEY_TEXT("keys.trusted", CONFIG_PATH, keys_trusted, NULL,
		 "File with the public keys that are trusted, the same on all nodes, this node's among them: lines "
		 "`node NAME KEY`, `node * KEY`, `client NAME KEY`. Several lines of one name are good: each of its "
		 "keys "
		 "is. Read anew at SIGHUP."),
	KEY_RANGE("keys.failed_handshakes", CONFIG_NUMBER, failed_handshakes, "100", 0, 1000000,
		  "With keys: how many handshakes a second may fail from one address before this node's kernel drops "
		  "a share of that address's attempts to connect; from all together, twice as many, before it "
		  "does so "
		  "with whoever has not proven a key lately. 0: it never does."),
	KEY_TEXT("insecure", CONFIG_BOOLEAN, insecure, "false",
		 "Bind to other than loopback addresses without keys: whoever reaches the ports can read, write and "
		 "command. With keys it is about http.address alone."),
};

#define SCHEMA_COUNT (sizeof schema / sizeof schema[0])
_Static_assert(SCHEMA_COUNT <= CONFIG_KEYS_MAX, "origins has one entry a key");

const struct config_key *config_schema(size_t *count)
{
	*count = SCHEMA_COUNT;
	return schema;
}

size_t config_schema_find(const char *name)
{
	for (size_t i = 0; i < SCHEMA_COUNT; i++) {
		if (strcmp(schema[i].name, name) == 0)
			return i;
	}
	return SIZE_MAX;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance; names longer than the row are as far as can be. */
static size_t distance(const char *a, const char *b)
{
	size_t row[CONFIG_TEXT_BYTES];
	size_t width = strlen(b);

	if (width + 1 > CONFIG_TEXT_BYTES || strlen(a) + 1 > CONFIG_TEXT_BYTES)
		return SIZE_MAX;
	for (size_t j = 0; j <= width; j++)
		row[j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < width; j++) {
			size_t above = row[j + 1];
			size_t change = diagonal + (a[i] == b[j] ? 0 : 1);

			row[j + 1] = smaller(change, smaller(above, row[j]) + 1);
			diagonal = above;
		}
	}
	return row[width];
}

const char *config_schema_nearest(const char *name)
{
	const char *nearest = NULL;
	size_t best = smaller(strlen(name) / 2, 8) + 1; /* further away it is no misspelling */

	for (size_t i = 0; i < SCHEMA_COUNT; i++) {
		size_t d = distance(name, schema[i].name);

		if (d < best) {
			best = d;
			nearest = schema[i].name;
		}
	}
	return nearest;
}

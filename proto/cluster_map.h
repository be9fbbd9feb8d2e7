/* The cluster map: the readable form of the cluster's metadata, the same on every node, shard and client.
 * The metadata machine (raft/) writes it; everyone else only reads. Every entity bears the map version (the Raft index
 * of the entry that changed it last), so that a delta "all that changed since V" can be sent and merged in any order:
 * an entity is taken when its changed_at is greater than the one held. */
#ifndef EVGRID_PROTO_CLUSTER_MAP_H
#define EVGRID_PROTO_CLUSTER_MAP_H

#include "proto/bytes.h"
#include "proto/limits.h"
#include "proto/partition_set.h"
#include "proto/versions.h"

enum node_state { NODE_NONE = 0, NODE_JOINING = 1, NODE_ACTIVE = 2, NODE_DRAINING = 3, NODE_GONE = 4 };

/* Node ids are 1..NODES_MAX; sets of nodes are masks with bit (id - 1). */
typedef uint64_t node_set;

static inline node_set node_bit(uint32_t node_id)
{
	return node_id == 0 ? 0 : (node_set)1 << (node_id - 1);
}

static inline bool node_set_has(node_set set, uint32_t node_id)
{
	return (set & node_bit(node_id)) != 0;
}

static inline uint32_t node_set_count(node_set set)
{
	return (uint32_t)__builtin_popcountll(set);
}

struct map_node {
	uint32_t id; /* 0: free slot */
	uint64_t changed_at;
	uint64_t epoch; /* node epoch: new at every process start, given by the registering entry; 0: never seen */
	uint64_t incarnation; /* the random number this process showed when it registered */
	enum node_state state;
	bool fenced;          /* not live: takes no primaries, counts for no addition */
	bool clock_off;       /* more than a second off the voters' median: takes no primaries */
	bool drained;         /* an operator's wish: takes no primaries where another can; until it registers again */
	uint8_t weight;       /* its share of the replicas, compared with the others'; 0: it has not registered */
	uint16_t shard_count; /* W */
	uint16_t shard_port;  /* shard i listens on shard_port + i unless shard_ports says otherwise */
	uint16_t shard_ports[SHARDS_MAX];
	char name[NAME_MAX_BYTES + 1];
	char zone[NAME_MAX_BYTES + 1];
	char host[ADDRESS_MAX_BYTES + 1];            /* data traffic */
	char control_address[ADDRESS_MAX_BYTES + 1]; /* host:port */
};

struct map_partition {
	uint64_t changed_at;
	uint64_t version; /* partition version: one up at every change of the row */
	uint32_t epoch;   /* a batch bears the one it was first written in */
	uint32_t history; /* raised by an operator's forced election only */
	uint8_t minimum_isr;
	bool planned;   /* this epoch began by a hand-over: its former primary was sealed, no lease lives on (6.7) */
	bool restoring; /* this epoch takes a back-up's log and nothing else (docs/decisions/0025) */
	uint64_t restored_to; /* end of that log; 0: none was ever said to come */
	uint8_t replica_count;
	uint32_t primary;                /* 0: none */
	uint32_t replicas[REPLICAS_MAX]; /* the first is the preferred primary */
	node_set isr;
	node_set elr;
	node_set suspects;
	node_set learners; /* follow, and become replicas once they are in sync */
	node_set leaving;  /* replicas that go then; none while nobody learns */
};

struct map_stream {
	uint32_t id; /* 1.. */
	uint64_t changed_at;
	char name[NAME_MAX_BYTES + 1];
	struct span settings; /* MessagePack map; owned by the map */
};

struct map_view {
	uint32_t id; /* 1.. */
	uint64_t changed_at;
	uint32_t version;         /* the newest */
	uint32_t active_version;  /* the newest that an entry made active, when all partitions had it; 0: none */
	uint32_t dropped_version; /* it and those before it were dropped; 0: none; `version`: there is no such view */
	struct partition_set filled; /* partitions that have `version`; empty once it is active */
	char name[NAME_MAX_BYTES + 1];
	struct span definition; /* canonical text; owned by the map; SPAN_NULL where the view is dropped */
};

struct cluster_map {
	uint64_t version; /* greatest changed_at */
	uint8_t cluster_id[16];
	uint32_t controller; /* node id as far as known, 0: unknown; a hint, not versioned */
	node_set voters;     /* who votes on the metadata, as far as known; none: unknown; a hint as well */
	node_set heard; /* whom its sender, or owner, heard lately as the process that is registered; a hint as well */
	struct version_range versions[NODES_MAX]; /* of its members' processes, as its owner heard; a hint as well */
	uint16_t cluster_version;                 /* 0: not known */
	uint8_t replication_factor;
	uint8_t minimum_isr;
	bool restoring;                   /* formed to be restored into, and not done yet: it serves nobody */
	uint8_t restored_from[16];        /* id of the cluster that was backed up; zero: none */
	uint64_t restore_check;           /* of that back-up; 0: none was begun */
	struct map_node nodes[NODES_MAX]; /* nodes[i].id is i + 1 or 0 */
	struct map_partition partitions[PARTITION_COUNT];
	struct map_stream *streams; /* stream_count of them, by id */
	uint32_t stream_count;
	struct map_view *views;
	uint32_t view_count;
};

void cluster_map_init(struct cluster_map *map);
void cluster_map_deinit(struct cluster_map *map);                             /* may be called twice */
int cluster_map_copy(struct cluster_map *to, const struct cluster_map *from); /* deep; 0 or ERROR_MEMORY */
/* `to` holds what `from`, of malloc, held; `from` is freed. */
void cluster_map_move(struct cluster_map *to, struct cluster_map *from);

/* Appends everything that changed after `since` (0: everything), for whoever knows the map's cluster version, or for
 * whoever knows `version` at most. 0 or ERROR_MEMORY. */
int cluster_map_encode(const struct cluster_map *map, uint64_t since, struct buffer *out);
int cluster_map_encode_for(const struct cluster_map *map, uint16_t version, uint64_t since, struct buffer *out);

/* Merges an encoded delta: entities with a greater changed_at replace the held ones. Nothing is changed when the bytes
 * are malformed or of another cluster (unless the held cluster id is zero). *changed: whether anything was taken.
 * A delta whose `since` is above map->version is refused with ERROR_NOT_READY: something between is missing. */
int cluster_map_merge(struct cluster_map *map, struct span bytes, bool *changed);

/* The controller that whoever encoded this delta knows of; 0: none, or the bytes are too short for one. */
uint32_t cluster_map_delta_controller(struct span bytes);
/* The cluster's version when it was made; 0: the bytes are too short for one. */
uint16_t cluster_map_delta_version(struct span bytes);

const struct map_node *cluster_map_node(const struct cluster_map *map, uint32_t node_id); /* NULL: no such node */
const struct map_node *cluster_map_node_by_name(const struct cluster_map *map, const char *name);

/* "host:port"; an IPv6 address in brackets. What is too long for it is cut off. */
void address_join(const char *host, uint16_t port, char address[ADDRESS_MAX_BYTES + 1]);
/* Where a node's shard listens. false: it has not said so. */
bool map_node_shard_address(const struct map_node *node, uint16_t shard, char address[ADDRESS_MAX_BYTES + 1]);
const struct map_stream *cluster_map_stream(const struct cluster_map *map, uint32_t id);
const struct map_stream *cluster_map_stream_by_name(const struct cluster_map *map, struct span name);
const struct map_view *cluster_map_view(const struct cluster_map *map, uint32_t id);
const struct map_view *cluster_map_view_by_name(const struct cluster_map *map, struct span name);
int cluster_map_add_stream(struct cluster_map *map, const struct map_stream *stream); /* copies; for raft/ */
int cluster_map_put_view(struct cluster_map *map, const struct map_view *view);       /* copies, by id; for raft/ */

node_set row_replicas(const struct map_partition *row);
node_set row_members(const struct map_partition *row); /* replicas and learners */
bool row_is_full(const struct map_partition *row);     /* placed, and all replicas are in sync */

/* 1..NODE_WEIGHT_MAX. */
static inline uint32_t map_node_weight(const struct map_node *node)
{
	return node->weight == 0 ? 1 : node->weight;
}

/* Live: registered, active or draining, not fenced. Of one node no other is looked at. */
bool cluster_map_is_live(const struct cluster_map *map, uint32_t node_id);
node_set cluster_map_live(const struct cluster_map *map);
/* Those of them who were heard: a map of before all died names as live who has not come back yet. */
node_set cluster_map_present(const struct cluster_map *map);
/* Live, and its clock is right: may become primary. */
node_set cluster_map_able(const struct cluster_map *map);
/* Those of them who are asked to: they are not drained. */
node_set cluster_map_electable(const struct cluster_map *map);

/* There is none of this name, until it is defined again. */
static inline bool map_view_dropped(const struct map_view *view)
{
	return view->dropped_version == view->version;
}

/* Whether the partition is known to have the view's newest version, and how many are. */
static inline bool map_view_filled_in(const struct map_view *view, uint16_t partition)
{
	return view->active_version == view->version || partition_set_has(&view->filled, partition);
}

static inline uint32_t map_view_filled_count(const struct map_view *view)
{
	return view->active_version == view->version ? PARTITION_COUNT : partition_set_count(&view->filled);
}

/* --- contact: what heartbeats told, for the leases of design.md 6.7 ----------------------------------------- */

struct contact {
	uint64_t sent_ms;        /* when we sent the newest heartbeat that this node answered; 0: never */
	uint64_t answer_version; /* the answerer's map version in that answer */
	uint64_t answer_node_epoch;
	uint64_t our_answer_ms; /* when we last answered a heartbeat of this node; 0: never */
	bool stopping;          /* it said so in its last heartbeat */
};

/* Times are milliseconds of this machine's CLOCK_BOOTTIME. nodes[id - 1]. */
struct contact_table {
	struct contact nodes[NODES_MAX];
	uint64_t controller_ms; /* when a controller was last heard of; our own controller's: always now */
};

#endif

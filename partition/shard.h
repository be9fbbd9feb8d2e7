/* A shard: the partitions p with p mod W = index of one node, as one deterministic machine.
 *
 * The driver (node's partition thread, the simulator) runs turns:
 *   1. hand in everything that has arrived: shard_receive_peer, shard_receive_client, shard_disk_done, shard_map,
 *      shard_contacts (at most TURN_MAX_BYTES a turn),
 *   2. THEN read the clock and call shard_turn(now): the shard steps what was touched and what is due,
 *   3. carry out the outbox: sends, disk requests, proposals; then shard_outbox_clear.
 * Nothing is sent between turns. Acknowledgements name completed writes only. The shard owns no clock: monotonic time
 * (CLOCK_BOOTTIME, ms and us) and wall time come in with the turn.
 *
 * Start: shard_new, shard_start(segments found); run turns, carrying out reads, until shard_recovered; then, once the
 * node's registration has been applied, shard_register(node epoch) and shard_map. Before that it sends and accepts
 * nothing (design.md 6.6).
 *
 * A partition moves: NONE -> REPLICA (in `replicas` or `learners` of the row, another is primary) -> joining, joined;
 *                    NONE/REPLICA -> PRIMARY (waiting for the lease of earlier primaries, starting, active) -> SEALED
 *                    (hand-over asked for; until the partition version changes); any -> NONE (removed by the row).
 * Each new epoch of the row begins anew at REPLICA(joining) or PRIMARY(waiting). */
#ifndef EVGRID_PARTITION_SHARD_H
#define EVGRID_PARTITION_SHARD_H

#include "partition/disk.h"
#include "proto/cluster_map.h"
#include "proto/message.h"

#define SHARD_DIGEST_INTERVAL 4096u /* records; part of the protocol between nodes */

struct shard_config {
	uint32_t node_id; /* may be 0 until shard_register */
	uint16_t index;
	uint16_t shard_count; /* W */
	uint64_t incarnation;
	uint64_t journal_id;
	uint32_t segment_bytes;
	uint64_t cache_bytes;
	bool durable;                     /* sync: commit */
	uint64_t pending_limit_bytes;     /* appended, not yet committed; beyond it BUSY */
	uint64_t replica_window_bytes;    /* unacknowledged bytes per replica and partition */
	uint64_t migration_rate;          /* bytes a second to replicas that are not in sync; 0: see pace.h */
	uint64_t snapshot_interval_bytes; /* journal bytes between snapshots of all partitions; 0: none */
	uint64_t digest_interval; /* records between digests that are compared: the same on all nodes; 0: none */
	/* Microseconds of CLOCK_BOOTTIME within a turn, for stage times alone: nothing is decided by it. NULL: the
	 * turn's own time. */
	uint64_t (*stage_clock_us)(void);
};

struct shard_time {
	uint64_t now_ms;   /* CLOCK_BOOTTIME */
	uint64_t now_us;   /* the same clock, for stage times */
	uint64_t unix_us;  /* wall clock */
	uint64_t taken_us; /* of now_us's clock: when the driver began to take what this turn works on */
};

/* A request to the controller, to be encoded as a metadata command by the node and proposed. Lost ones are repeated by
 * the shard after a while as long as the row has not changed. */
enum shard_proposal_kind {
	PROPOSE_ISR,            /* the new maximal ISR: rule 5 */
	PROPOSE_HANDOVER,       /* to `target`; the primary is sealed */
	PROPOSE_SUSPECT_REPORT, /* rule 10: last epoch and end of this suspect replica */
	PROPOSE_OUT,            /* this replica is unsound: out of ISR and ELR, in a new epoch (rebuild.h) */
	PROPOSE_FILLED,         /* these partitions have filled a version of a view (primary_definitions.c) */
};

struct shard_proposal {
	enum shard_proposal_kind kind;
	uint16_t partition;
	uint64_t version;                 /* expected partition version */
	uint64_t node_epoch;              /* ours: the primary's, or the reporting replica's */
	node_set isr;                     /* wanted */
	uint64_t added_epochs[NODES_MAX]; /* node epoch that gave the acknowledgement, for each added member */
	uint32_t target;
	uint32_t last_epoch;
	uint64_t end;
	uint32_t view_id; /* PROPOSE_FILLED: of all of a turn, node_epoch and these alone */
	uint32_t view_version;
	struct partition_set partitions;
};

struct shard_send {
	uint32_t node_id;    /* 0: to a client */
	uint16_t shard;      /* peers: which shard of that node */
	uint64_t client;     /* the driver's name for the client's connection */
	struct buffer frame; /* complete message; the outbox owns it */
};

/* Named events of a run: marks for the simulator, log lines for the node. Behind each: what of struct shard_event it
 * sets beside partition and epoch. */
enum shard_event_kind {
	SHARD_EVENT_PRIMARY,         /* became active primary: offset, where its epoch begins */
	SHARD_EVENT_TRUNCATED,       /* cut a divergent tail: observed, its end; offset, the end now */
	SHARD_EVENT_ISR_SHRINK,      /* proposed: observed, the present set; expected, the wanted one */
	SHARD_EVENT_ISR_GROW,        /* the same */
	SHARD_EVENT_DUPLICATE,       /* a duplicate was answered with the original's answer: offset, of that one */
	SHARD_EVENT_TAIL_CUT,        /* recovery cut a torn tail: observed, bytes; segment, place */
	SHARD_EVENT_QUARANTINED,     /* alarm: recovery found corrupt blocks: observed, how many; number, segment and
					 * place of the first. Of a partition: a batch cannot be read: offset, reader */
	SHARD_EVENT_RECOVERED,       /* number, of the last block */
	SHARD_EVENT_SEALED,          /* hand-over asked for: node_id */
	SHARD_EVENT_SNAPSHOT,        /* written: offset, number (which of the two), size_bytes */
	SHARD_EVENT_SNAPSHOT_LOADED, /* the same */
	SHARD_EVENT_DISK_FULL,       /* size_bytes, that wait */
	SHARD_EVENT_DISK_HAS_ROOM,   /* a write has found room again */
	SHARD_EVENT_BELOW_COMMIT,    /* alarm: asked to truncate (observed) below the commit offset (expected): history,
					 * of the log; row_history */
	SHARD_EVENT_DIGEST_DIFFERS,  /* alarm, on the primary: node_id, offset, observed, expected */
	SHARD_EVENT_STATE_FAILED,    /* alarm: offset, reader */
	SHARD_EVENT_REFUSED_GARBAGE, /* a message that does not decode or does not belong here: node_id */
	SHARD_EVENT_SEALED_SEGMENT,  /* segment, generation, size_bytes of batches in it */
	SHARD_EVENT_REWRITTEN_SEGMENT, /* the same */
	SHARD_EVENT_SEAL_FAILED,       /* segment, generation; it does not hold what the logs say: not tried again */
	SHARD_EVENT_SEALED_DAMAGED,    /* at start, a sealed file that is no good: segment, generation */
	SHARD_EVENT_REBUILD,         /* alarm: taken out as unsound; begins anew: reason; offset, the end of its log */
	SHARD_EVENT_REBUILT,         /* and is in the ISR again: offset, the end of its log */
	SHARD_EVENT_LEFT,            /* its row no longer names this node: forgotten: offset, the end of its log */
	SHARD_EVENT_AUDITED,         /* the own log was applied anew: offset; observed, expected: equal if sound */
	SHARD_EVENT_STATE_DIFFERS,   /* alarm: the state is not the fold of the own log: the same */
	SHARD_EVENT_SUBSCRIBER_LIVE, /* a subscription that read from the disk has caught up: number */
	SHARD_EVENT_SUBSCRIBER_STARVED, /* a subscription has used up its credit and has more to get: number */
};

/* What needed a batch that cannot be read, or an event that cannot be applied. */
enum shard_reader {
	SHARD_READER_APPLY, /* the views */
	SHARD_READER_FILL,  /* views that are filled */
	SHARD_READER_TAIL,  /* a new primary, its log's tail */
	SHARD_READER_PEER,  /* what is sent to a replica */
	SHARD_READER_REPLAY,
	SHARD_READER_HISTORY, /* of one key, and reads as of then */
	SHARD_READER_SUBSCRIBER,
	SHARD_READER_AUDIT,
	SHARD_READER_JOIN, /* a replica, its log's history */
};

struct shard_event {
	enum shard_event_kind kind;
	uint16_t partition; /* UINT16_MAX: the shard's */
	uint32_t epoch;
	uint32_t node_id; /* another node; 0: none */
	enum shard_reader reader;
	enum shard_event_kind reason;
	uint64_t offset;
	uint64_t observed; /* what was, */
	uint64_t expected; /* and what should have been: offsets, node_sets, digests */
	uint64_t history;
	uint64_t row_history;
	uint64_t number;
	uint64_t segment;
	uint64_t generation;
	uint64_t place;
	uint64_t size_bytes;
};

struct shard_outbox {
	struct shard_send *sends;
	size_t send_count;
	struct disk_request *disk;
	size_t disk_count;
	struct shard_proposal *proposals;
	size_t proposal_count;
	struct shard_event *events;
	size_t event_count;
	uint64_t next_timer_ms; /* run a turn at this time at the latest; UINT64_MAX: no timer */
	bool map_wanted;        /* a message told of a newer row or node epoch than the map at hand: fetch it */
};

struct shard;
struct log;
struct state;

struct shard *shard_new(const struct shard_config *config); /* NULL: no memory */
struct shard *shard_free(struct shard *shard);

int shard_start(struct shard *shard, const struct disk_segment *segments, uint32_t count);
bool shard_recovered(const struct shard *shard);
/* What recovery found: the node shows it when it registers (suspect). */
bool shard_cut_tail(const struct shard *shard);
uint32_t shard_quarantined(const struct shard *shard);

/* The entry that registered this process has been applied. */
void shard_register(struct shard *shard, uint32_t node_id, uint64_t node_epoch);

/* The newest map. The pointer must stay valid until the next shard_map or shard_free. Hand in the
 * contacts of that moment right behind it: a new primary's wait for leases is counted from them, and as long as none
 * come after a map it is counted from the map. */
void shard_map(struct shard *shard, const struct cluster_map *map);
void shard_contacts(struct shard *shard, const struct contact_table *contacts); /* copied */

/* The controller wishes the primary to hand over (preferred primary, drain); refused silently where it is not safe. */
void shard_handover_wish(struct shard *shard, uint16_t partition, uint32_t target);

/* What was sent to that shard of another node until now may be lost for want of a connection; there is one now. Who has
 * not joined asks again, or is greeted again, at once. */
void shard_link_up(struct shard *shard, uint32_t node_id, uint16_t peer_shard);

/* So many bytes the disk may still take, for STATUS alone; until told it is PARTITION_ROOM_UNKNOWN. */
void shard_room(struct shard *shard, uint64_t room_bytes);

/* A decoded, HELLO-checked message. The body is copied where it must outlive the call. */
int shard_receive_peer(struct shard *shard, const struct message *message);
/* 0; ERROR_BUSY: not taken, run a turn first; negative: fatal. */
int shard_receive_client(struct shard *shard, uint64_t client, const struct message *message);
void shard_client_gone(struct shard *shard, uint64_t client);

/* A disk request's outcome; bytes for reads. Negative result: fatal. */
int shard_disk_done(struct shard *shard, uint64_t ticket, enum disk_outcome outcome, struct span bytes);

/* 0, or negative: fatal, the process ends. */
int shard_turn(struct shard *shard, const struct shard_time *time);

struct shard_outbox *shard_outbox(struct shard *shard);
void shard_outbox_clear(struct shard *shard); /* frees the frames */

/* For tests, the simulator's invariants and STATUS. 0 or ERROR_WRONG_PARTITION. */
int shard_status(const struct shard *shard, uint16_t partition, struct partition_status *status);
uint64_t shard_bytes_pending(const struct shard *shard);
/* The log's index and the state, read-only, for the simulator's invariants: it reads batches through its own disk. */
const struct log *shard_log(const struct shard *shard, uint16_t partition);
/* The partitions index + i * shard_count stepped in the last turn, by i (bits.h): what a turn does to log or state is
 * seen in one of its steps. */
const uint64_t *shard_stepped(const struct shard *shard);
struct state *shard_state(struct shard *shard, uint16_t partition);

#endif

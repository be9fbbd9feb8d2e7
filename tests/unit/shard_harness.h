/* Up to three shards (W = 1) around one scripted controller, with an in-memory disk each and a network the test rules:
 * everything is stepped by hand, nothing sleeps. One partition matters: HARNESS_PARTITION. */
#ifndef EVGRID_TESTS_SHARD_HARNESS_H
#define EVGRID_TESTS_SHARD_HARNESS_H

#include "partition/log.h"
#include "partition/shard.h"
#include "partition/state.h"

#define HARNESS_NODES 3u
#define HARNESS_SEGMENTS 64u
#define HARNESS_GENERATIONS 5u /* of a sealed segment: 1 and up */
#define HARNESS_SEGMENT_BYTES (1024u * 1024)
#define HARNESS_PACKETS 4096u
#define HARNESS_ANSWERS 1024u
#define HARNESS_READS 64u /* held at once */
#define HARNESS_STREAM 1u
#define HARNESS_VIEW 1u
#define HARNESS_DIGEST_INTERVAL 8u
#define HARNESS_SOURCE_US 7u /* what a turn works on was taken so long before it, */
#define HARNESS_STEP_US 3u   /* and the clock of stage times goes on so much whenever it is read */
#define HARNESS_CLIENT 77u   /* the one there is */

struct harness_write { /* the one in flight */
	bool open;
	struct disk_request request;
};

struct harness_disk {
	struct buffer segments[HARNESS_SEGMENTS];
	struct buffer sealed[HARNESS_SEGMENTS][HARNESS_GENERATIONS];
	uint32_t set_aside; /* files deleted with `keep` */
	struct buffer snapshots[PARTITION_COUNT][2];
	bool hold; /* writes are not answered */
	bool full;
	bool hold_seal;
	bool hold_deletes; /* for ever: what a crash before them leaves */
	bool hold_reads;   /* until harness_finish_read */
	struct disk_request reads[HARNESS_READS];
	uint32_t read_count;
	struct harness_write write;
	struct harness_write seal;
};

struct harness_node {
	struct shard *shard; /* NULL: down */
	uint64_t node_epoch;
	uint64_t incarnation;
	uint64_t journal_id;
	struct harness_disk disk;
	bool deaf;         /* receives no map */
	bool cut;          /* answers and gets no heartbeats */
	bool stranded;     /* hears of no controller */
	uint64_t heard_ms; /* last heartbeat round it took part in */
	bool touched;
	struct cluster_map map;
	struct contact_table contacts;
	uint32_t events[32];
	struct shard_event last[32]; /* of each kind */
};

struct harness_packet {
	uint32_t from;
	uint32_t to;
	enum message_kind kind;
	struct buffer frame;
};

struct harness_answer {
	uint32_t node;
	uint64_t client;
	enum message_kind kind;
	struct append_done append;
	struct read_done read;
	struct replay_data replay;
	struct history_data history;
	struct scan_done scan;
	struct decided decided;
	struct buffer frame; /* spans of the above point into it */
};

struct harness {
	uint32_t count;
	uint64_t now_ms;
	uint64_t snapshot_interval_bytes;
	uint64_t pending_limit_bytes;
	uint32_t segment_bytes;
	uint16_t shard_count; /* W */
	bool interval_sync;
	struct cluster_map map;
	uint16_t partition;
	bool apply_proposals; /* the controller takes what is proposed */
	void (*controller)(struct harness *harness, uint32_t node, const struct shard_proposal *proposal); /* another */
	void *owner;                                                                /* of controller and drop */
	bool (*drop)(struct harness *harness, const struct harness_packet *packet); /* true: lost */
	uint32_t chaos_percent; /* packets lost, repeated, put off: each */
	uint64_t chaos_state;
	void (*subscriber)(struct harness *harness, const struct message *message); /* gets EVENTS and CREDIT_DONE */
	void *subscriber_state;
	/* Not NULL: gets all answers. */
	void (*hear)(struct harness *harness, uint32_t node, const struct message *message);
	struct harness_node nodes[HARNESS_NODES]; /* node i has id i + 1 */
	struct harness_packet packets[HARNESS_PACKETS];
	size_t packet_count;
	struct harness_answer answers[HARNESS_ANSWERS];
	size_t answer_count;
	uint32_t demanded;              /* history of the reads, replays and scans from now on; HISTORY_ANY at first */
	bool fresh;                     /* so are replays and histories asked from now on */
	struct shard_proposal proposal; /* the newest but for PROPOSE_FILLED */
	struct shard_proposal filled;   /* the newest PROPOSE_FILLED; taken, it is as if all partitions had said so */
	uint32_t filled_reports;
	bool holds_entry; /* the controller waits for other partitions */
	uint32_t proposals;
	uint64_t producer;
	uint32_t number;
};

struct harness *harness_new(uint32_t nodes);
struct harness *harness_new_sized(uint32_t nodes, uint32_t segment_bytes); /* of the journals */
struct harness *harness_bare(uint32_t nodes, uint32_t segment_bytes);      /* disks and clock; nothing runs */
/* Of W shards, so that the one that matters has fewer partitions, and is made sooner. */
struct harness *harness_new_shards(uint32_t nodes, uint32_t segment_bytes, uint16_t shard_count);
struct harness *harness_free(struct harness *harness);

/* --- the controller ----------------------------------------------------------------------------------------------- */

struct map_partition *harness_row(struct harness *harness);
/* A change of the row: one version up; a new epoch where asked for; told to every node that is not deaf. */
void harness_elect(struct harness *harness, uint32_t primary, node_set isr, node_set elr);
void harness_publish(struct harness *harness);

/* --- nodes -------------------------------------------------------------------------------------------------------- */

void harness_start(struct harness *harness, uint32_t node); /* recover, register with a new node epoch, take the map */
void harness_recover(struct harness *harness, uint32_t node);        /* recover only */
void harness_begin_recovery(struct harness *harness, uint32_t node); /* begin to recover: turns are the caller's */
void harness_kill(struct harness *harness, uint32_t node);           /* a write in flight is lost */
void harness_turn(struct harness *harness, uint32_t node);
void harness_finish_write(struct harness *harness, uint32_t node);
/* One of the reads that are held, any but the oldest out of turn; nothing where there is none. */
void harness_finish_read(struct harness *harness, uint32_t node, uint32_t index);
/* The DISK_SEAL under way, if there is one: the file is made, and, unless the process is to die before, answered. */
void harness_finish_seal(struct harness *harness, uint32_t node, bool answer);

/* Delivers, answers disks, turns, in rounds of 1 ms. */
void harness_run(struct harness *harness, uint64_t duration_ms);
/* Until the node is an active primary (bounded). */
void harness_settle(struct harness *harness, uint32_t node);

struct partition_status harness_status(struct harness *harness, uint32_t node);
void harness_inject(struct harness *harness, uint32_t from, uint32_t to, enum message_kind kind, uint64_t node_epoch,
		    struct span item);

/* --- clients ------------------------------------------------------------------------------------------------------ */

/* A batch of `count` events of one key, numbered as given; check NULL: none. Returns the ticket. */
uint64_t harness_append(struct harness *harness, uint32_t node, uint32_t number, const char *key, uint32_t count,
			const struct check *check);
uint64_t harness_append_checked(struct harness *harness, uint32_t node, uint32_t number, const char *key,
				uint32_t count, const struct check *checks,
				uint16_t check_count); /* in the order of records */
/* The same of any event, `count` times. */
uint64_t harness_append_event(struct harness *harness, uint32_t node, uint32_t number, const struct event *event,
			      uint32_t count, const struct check *check);
uint64_t harness_append_next(struct harness *harness, uint32_t node, const char *key); /* one event, next number */
uint64_t harness_read(struct harness *harness, uint32_t node, enum read_mode mode, const char *key, uint64_t at_least,
		      uint32_t wait_ms);
uint64_t harness_replay(struct harness *harness, uint32_t node, uint64_t from, uint32_t max_bytes);

/* Ticket, partition and partition key are filled in. */
uint64_t harness_history(struct harness *harness, uint32_t node, const struct history *history);
uint64_t harness_scan(struct harness *harness, uint32_t node, const struct scan *scan);
uint64_t harness_decide(struct harness *harness, uint32_t node, const struct decide *decide); /* and the view */
/* A read of HARNESS_VIEW. */
uint64_t harness_view_read(struct harness *harness, uint32_t node, enum read_mode mode, const char *key,
			   uint64_t at_least, uint32_t wait_ms);
/* Defines HARNESS_VIEW: an entity of the stream's events; told to every node. */
void harness_define_view(struct harness *harness);
/* Any other definition of it. */
void harness_define(struct harness *harness, uint32_t version, struct span definition);
void harness_drop(struct harness *harness); /* it, in its newest version */
/* The entry that makes this version active; told to every node. */
void harness_activate(struct harness *harness, uint32_t version);
void harness_filled(struct harness *harness, const struct shard_proposal *proposal); /* a PROPOSE_FILLED comes */
/* A message of one item, or none, as the client sends it. */
void harness_send(struct harness *harness, uint32_t node, enum message_kind kind, struct span body);

/* The answer of a ticket, NULL: none yet. */
const struct harness_answer *harness_answer(struct harness *harness, uint64_t ticket);
void harness_forget_answers(struct harness *harness);
void harness_expect(struct harness *harness, uint64_t ticket, enum error error); /* asserts */

#endif

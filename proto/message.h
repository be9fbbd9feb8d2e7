/* Messages: what one ZeroMQ frame holds. Every message is an envelope and a body; data messages are containers of many
 * items, so that no batch has a message of its own.
 *
 * Envelope, 40 bytes, little-endian:
 *    0 u32 magic             "EVG1"
 *    4 u8  kind              enum message_kind
 *    5 u8  reserved          0
 *    6 u16 items             count of items in the body where the kind has items, else 0
 *    8 u32 body size         bytes after the envelope; must be exactly what follows
 *   12 u32 check             low half of XXH3-64 of bytes 0..11, 16..39 and the body
 *   16 u64 incarnation       of the sending process (random, new at every start)
 *   24 u64 node epoch        of the sender, 0 for clients and before registration
 *   32 u32 node id           of the sender, 0 for clients
 *   36 u16 shard             of the sender, 0 for clients and control
 *   38 u16 reserved          0
 *
 * Links: one direction each. A peer's DEALER connects to our ROUTER; we answer through our own DEALER to it. A client's
 * DEALER is answered through the ROUTER it reached. Every connection begins with HELLO; anything else from a routing id
 * that has not said HELLO to this very process is dropped and answered with HELLO_WANTED. */
#ifndef EVGRID_PROTO_MESSAGE_H
#define EVGRID_PROTO_MESSAGE_H

#include "proto/batch.h"
#include "proto/bytes.h"
#include "proto/cluster_map.h"
#include "proto/error.h"
#include "proto/identity.h"

#define MESSAGE_ENVELOPE_BYTES 40u
#define PROTOCOL_VERSION 1u /* of the envelope */

enum message_kind {
	MESSAGE_HELLO = 1,        /* any -> any: struct hello */
	MESSAGE_HELLO_WANTED = 2, /* empty body */
	MESSAGE_WELCOME = 3,      /* node -> client: answer to HELLO: struct hello of the node */
	/* control port */
	MESSAGE_FORMATION = 10, /* node <-> node before a cluster exists; body is raft/'s */
	MESSAGE_RAFT = 11,      /* node <-> node: one raft_message in raft/'s codec */
	MESSAGE_HEARTBEAT = 12, /* node -> node: struct heartbeat */
	MESSAGE_HEARTBEAT_ANSWER = 13,
	MESSAGE_PROPOSE = 14,         /* node or client -> node: u64 ticket, then a metadata command in raft/'s codec */
	MESSAGE_PROPOSE_RESULT = 15,  /* struct propose_result */
	MESSAGE_MAP_REQUEST = 16,     /* u64 since: answered by MAP; also subscribes a client to pushes until it goes */
	MESSAGE_MAP = 17,             /* a cluster map delta */
	MESSAGE_PRODUCER_OPEN = 18,   /* client -> node: u64 ticket */
	MESSAGE_PRODUCER_OPENED = 19, /* u64 ticket, u64 producer id */
	MESSAGE_HANDOVER_WISH = 20,   /* controller -> primary's node: items u16 partition, u32 node to hand over to */
	MESSAGE_NODE_JOIN = 21,       /* newcomer -> member: struct node_join */
	MESSAGE_NODE_JOIN_ANSWER = 22, /* member -> newcomer: struct node_join_answer */
	/* shard ports, client -> shard -> client */
	MESSAGE_APPEND = 30,       /* items: struct append_item */
	MESSAGE_APPEND_DONE = 31,  /* items: struct append_done */
	MESSAGE_READ = 32,         /* items: struct read_item */
	MESSAGE_READ_DONE = 33,    /* items: struct read_done */
	MESSAGE_REPLAY = 34,       /* one struct replay */
	MESSAGE_REPLAY_DATA = 35,  /* one struct replay_data */
	MESSAGE_STATUS = 36,       /* items: u16 partition (0xffff: all of the shard) */
	MESSAGE_STATUS_DONE = 37,  /* items: struct partition_status */
	MESSAGE_HISTORY = 38,      /* one struct history */
	MESSAGE_HISTORY_DATA = 39, /* one struct history_data */
	/* shard ports, replica traffic */
	MESSAGE_REPLICATE = 40,   /* primary -> replica, items: struct replicate_item */
	MESSAGE_ACK = 41,         /* replica -> primary, items: struct ack_item */
	MESSAGE_JOIN_ASK = 42,    /* replica -> primary, items: struct join_item; design.md 6.3 */
	MESSAGE_JOIN_ANSWER = 43, /* primary -> replica, items: struct join_item */
	MESSAGE_AUDIT = 44,       /* primary -> replica, items: struct audit_item; design.md 6.9 */
	/* shard ports, client -> shard -> client */
	MESSAGE_SCAN = 46,      /* one struct scan */
	MESSAGE_SCAN_DONE = 47, /* one struct scan_done */
	MESSAGE_DECIDE = 48,    /* one struct decide */
	MESSAGE_DECIDED = 49,   /* one struct decided */
	/* shard ports, subscriptions: partition/subscribe.c has the protocol */
	MESSAGE_SUBSCRIBE = 50,   /* client -> shard: one struct subscribe */
	MESSAGE_EVENTS = 51,      /* shard -> client, items: struct events_item */
	MESSAGE_CREDIT = 52,      /* client -> shard, items: struct credit_item */
	MESSAGE_CREDIT_DONE = 53, /* its answer: one struct credit_done */
	MESSAGE_UNSUBSCRIBE = 54, /* client -> shard, items: struct unsubscribe_item */
	/* shard ports, client -> shard -> client: how far versions of a view are filled */
	MESSAGE_PROGRESS = 56,      /* u64 ticket, u32 view id */
	MESSAGE_PROGRESS_DONE = 57, /* one struct progress_done */
	/* shard ports, client -> shard -> client: a restore (docs/decisions/0025) */
	MESSAGE_IMPORT = 58,      /* one struct import */
	MESSAGE_IMPORT_DONE = 59, /* one struct import_done */
};

struct message {
	enum message_kind kind;
	uint16_t items;
	uint64_t incarnation;
	uint64_t node_epoch;
	uint32_t node_id;
	uint16_t shard;
	struct span body;
	struct version_range
		versions; /* of the sender's process, by its HELLO, as who received it adds; highest 0: not known */
};

/* Verifies envelope, size and check. 0, ERROR_MALFORMED, ERROR_CHECKSUM, ERROR_VERSION. */
int message_decode(struct span frame, struct message *message);

/* Who sends: what goes into every envelope of one sender. */
struct sender {
	uint64_t incarnation;
	uint64_t node_epoch;
	uint32_t node_id;
	uint16_t shard;
};

/* Writing: begin leaves room for the envelope in an empty buffer, then the body is appended, then end fills it in. */
void message_begin(struct buffer *frame);
int message_end(struct buffer *frame, const struct sender *sender, enum message_kind kind, uint16_t items);

const char *message_kind_name(enum message_kind kind);

/* --- bodies ------------------------------------------------------------------------------------------------------
 * Each has an encode (appends to the buffer; failure shows in buffer.failed) and a decode (takes one from the reader;
 * 0 or ERROR_MALFORMED; spans point into the frame). */

enum hello_role { HELLO_CLIENT = 0, HELLO_PEER = 1 };

/* The versions that the sender may come to use with this connection: proto/versions.h. */
struct hello {
	uint16_t version_min;
	uint16_t version_max;
	uint8_t role;
	uint8_t cluster_id[16];        /* zero: not known yet */
	uint64_t receiver_incarnation; /* whom the sender means to reach; 0: whoever answers */
	struct span name;
};
void hello_encode(const struct hello *hello, struct buffer *out);
int hello_decode(struct reader *in, struct hello *hello);

enum heartbeat_stop {
	HEARTBEAT_STAYS = 0,
	HEARTBEAT_STOPPING = 1, /* the sender means to stop and wants the cluster's consent */
	HEARTBEAT_STOPPED = 2,  /* it has it */
};

struct heartbeat {            /* and its answer, which repeats sent_ms */
	uint64_t sent_ms;     /* the sender's clock; opaque to the answerer */
	uint64_t map_version; /* of whoever sends this message */
	uint64_t clock_unix_ms;
	uint64_t registered_epoch; /* the node epoch the sender believes to hold */
	uint8_t stop;              /* enum heartbeat_stop */
};
void heartbeat_encode(const struct heartbeat *heartbeat, struct buffer *out);
int heartbeat_decode(struct reader *in, struct heartbeat *heartbeat);

struct node_join {        /* asked again until the asker finds itself in the metadata, and when nobody leads it */
	uint64_t raft_id; /* digest of its directory's identity */
	bool member;      /* it was one, or forms: it does not ask to be taken in, but whether it is one */
	struct span name;
	struct span control_address; /* where others reach it */
};
void node_join_encode(const struct node_join *join, struct buffer *out);
int node_join_decode(struct reader *in, struct node_join *join);

enum node_join_state {
	NODE_JOIN_NOT_FORMED = 0, /* there is no cluster yet, as far as is known here */
	NODE_JOIN_ELSEWHERE = 1,  /* ask the controller: text is its control address */
	NODE_JOIN_WAITS = 2,      /* heard; ask again; text may say why */
	NODE_JOIN_TAKEN = 3,      /* a member, whose registration is awaited */
	NODE_JOIN_REFUSED = 4,    /* text says why */
	NODE_JOIN_GONE = 5,       /* the asker's node was decommissioned, and is no server of Raft any more */
	NODE_JOIN_REPLACED = 6,   /* another directory has taken the place of the asker's */
};

struct node_join_answer {
	uint64_t raft_id;       /* of the question */
	uint8_t cluster_id[16]; /* zero when not formed */
	uint64_t map_version;   /* of the metadata that the answer rests on */
	uint8_t state;          /* enum node_join_state */
	struct span text;
};
void node_join_answer_encode(const struct node_join_answer *answer, struct buffer *out);
int node_join_answer_decode(struct reader *in, struct node_join_answer *answer);

struct propose_result {
	uint64_t ticket;
	uint16_t error;       /* ERROR_NONE, REFUSED, NOT_CONTROLLER, OUTCOME_UNKNOWN, ... */
	uint32_t controller;  /* hint */
	uint64_t map_version; /* at which the outcome is visible */
	struct span detail;   /* text for people, may be empty */
};
void propose_result_encode(const struct propose_result *result, struct buffer *out);
int propose_result_decode(struct reader *in, struct propose_result *result);

/* Expected versions: a key's version is the count of its events in its stream (0: none yet). */
enum check_kind { CHECK_ANY = 0, CHECK_NONE = 1, CHECK_EXISTS = 2, CHECK_VERSION = 3 };

struct check {
	uint16_t record; /* index in the batch that the check belongs to */
	uint8_t kind;
	uint64_t version; /* CHECK_VERSION: the key's version before this record */
};

struct append_item {
	uint64_t ticket; /* the client's, returned in append_done */
	uint16_t check_count;
	struct span checks; /* encoded; read by check_decode */
	struct span batch;
};
void check_encode(const struct check *check, struct buffer *out);
int check_decode(struct reader *in, struct check *check);
void append_item_encode(const struct append_item *item, struct buffer *out);
int append_item_decode(struct reader *in, struct append_item *item);

enum stage { STAGE_SOURCE, STAGE_ENRICH, STAGE_PERSIST, STAGE_VIEW, STAGE_PUBLISH, STAGE_COMPLETE, STAGE_COUNT };

struct fault {
	uint16_t record;
	uint16_t error;
	uint64_t actual_version; /* CHECK_FAILED: the key's version */
};

struct append_done {
	uint64_t ticket;
	uint16_t partition;
	uint16_t error;    /* ERROR_NONE: all six stages done */
	uint8_t duplicate; /* 1: the answer of an earlier copy */
	uint8_t stages;    /* bit per enum stage that was done */
	uint32_t retry_ms; /* BUSY and other LATER answers */
	uint64_t base_offset;
	uint64_t base_sequence;
	uint32_t history;               /* done, and OUT_OF_ORDER: where it rose, earlier numbers may be gone */
	uint32_t stage_us[STAGE_COUNT]; /* time spent in each */
	uint16_t fault_count;
	struct span faults; /* encoded; read by fault_decode */
};
void fault_encode(const struct fault *fault, struct buffer *out);
int fault_decode(struct reader *in, struct fault *fault);
void append_done_encode(const struct append_done *done, struct buffer *out);
int append_done_decode(struct reader *in, struct append_done *done);

enum read_mode {
	READ_LINEARIZABLE = 0,
	READ_AT_LEAST = 1,
	READ_LOCAL = 2,
	READ_AS_OF_OFFSET = 3, /* the state right after the record at this offset, from the entry's events */
	READ_AS_OF_TIME = 4,   /* the state of the entry's events before the first with a later ingest time */
};

struct read_item {
	uint64_t ticket;
	uint16_t partition;
	uint8_t mode;
	uint32_t view_id; /* 0: the key's version in stream_id, no view */
	uint32_t stream_id;
	uint64_t at_least; /* READ_AT_LEAST, READ_AS_OF_OFFSET: an offset, waited for; READ_AS_OF_TIME: us since 1970 */
	uint32_t history;  /* that the offset counts in, or HISTORY_ANY; not looked at in other modes */
	uint32_t wait_ms;  /* how long to wait for it; as of a point, 0: as long as the answer takes */
	struct span key;
	struct span partition_key;
	uint8_t any; /* 1: the view's entry of this key under whatever partition key; partition_key is empty */
};
void read_item_encode(const struct read_item *item, struct buffer *out);
int read_item_decode(struct reader *in, struct read_item *item);

struct read_done {
	uint64_t ticket;
	uint16_t error;      /* ERROR_NONE, NOT_FOUND, NOT_YET, NOT_PRIMARY, STALE_LEASE, UNKNOWN_VIEW, HISTORY,
			      * NOT_READY: changed_at is how far the view is filled here, applied how far it must be;
			      * BEFORE_FIRST: changed_at and changed_us are those of the key's first event;
 			      * BLOCKED: changed_at is the first offset not applied, state says why, as text */
	uint64_t applied;    /* everything before this offset is in the state that answered; NOT_YET: as far as it is */
	uint32_t history;    /* that applied and changed_at count in */
	uint64_t changed_at; /* offset that last changed the entry */
	uint64_t version;    /* the key's version when view_id is 0; as of: how many of its events were folded */
	uint64_t changed_us; /* as of: ingest time of the event at changed_at; else 0 */
	uint32_t age_ms;     /* since this replica last advanced or heard its primary; 0: fresh; UINT32_MAX: never */
	struct span state;   /* MessagePack */
	struct span partition_key; /* asked for any: the found one, that was changed last; */
	uint32_t found;            /* and how many there are */
};
void read_done_encode(const struct read_done *done, struct buffer *out);
int read_done_decode(struct reader *in, struct read_done *done);

struct replay {
	uint64_t ticket;
	uint16_t partition;
	uint64_t from;      /* offset */
	uint32_t history;   /* that it counts in: then it may not lie beyond the end; or HISTORY_ANY */
	uint32_t max_bytes; /* at least one batch is sent, if there is one */
	uint8_t fresh;      /* 1: `commit` counts all that was acknowledged before: a primary with its lease says */
};
void replay_encode(const struct replay *replay, struct buffer *out);
int replay_decode(struct reader *in, struct replay *replay);

struct replay_data {
	uint64_t ticket;
	uint16_t partition;
	uint16_t error;      /* ERROR_NONE, NOT_PRIMARY, HISTORY, BEYOND_END: of `next`, NOT_YET, NOT_READY, ... */
	uint32_t history;    /* that all offsets here count in */
	uint64_t from;       /* offset the batches begin at or before (a batch is never cut) */
	uint64_t next;       /* offset to ask for next */
	uint64_t commit;     /* everything before it is committed */
	struct span batches; /* whole stamped batches, end to end; all committed */
};
void replay_data_encode(const struct replay_data *data, struct buffer *out);
int replay_data_decode(struct reader *in, struct replay_data *data);

#define HISTORY_PAGE_MAX 4096u /* records of one answer */

struct history { /* one key's events, forwards or backwards, a page at a time */
	uint64_t ticket;
	uint16_t partition;
	uint32_t stream_id; /* 0: of every stream */
	uint8_t reverse;
	uint32_t history;   /* that offsets count in, or HISTORY_ANY */
	uint64_t from;      /* forwards: the first offset looked at; backwards: the one behind the last looked at */
	uint64_t until;     /* forwards: the offset behind the last one wanted; backwards: the least one wanted */
	uint64_t until_us;  /* ends before the first event ingested later (backwards: earlier); 0: not by time */
	uint16_t limit;     /* most records, 0: HISTORY_PAGE_MAX */
	uint32_t max_bytes; /* one record is sent in any case */
	uint8_t fresh;      /* as of replay, where the bounds do not lie before what is committed */
	struct span key;
	struct span partition_key; /* empty: the key */
};
void history_encode(const struct history *history, struct buffer *out);
int history_decode(struct reader *in, struct history *history);

struct history_data {
	uint64_t ticket;
	uint16_t partition;
	uint16_t error;
	uint8_t done;     /* 1: nothing more within the bounds as far as is committed here */
	uint32_t history; /* that all offsets here count in */
	uint64_t next;    /* `from` of the next page */
	uint64_t commit;  /* everything before it is committed, and was looked at */
	uint16_t count;
	struct span records; /* encoded; read by history_record_decode */
};
void history_data_encode(const struct history_data *data, struct buffer *out);
int history_data_decode(struct reader *in, struct history_data *data);

struct history_record {
	uint64_t offset;
	uint64_t sequence;
	uint64_t ingest_us;
	uint32_t epoch;
	struct span event; /* the record as it stands in its batch (event.h) */
};
void history_record_encode(const struct history_record *record, struct buffer *out);
int history_record_decode(struct reader *in, struct history_record *record);

#define SCAN_PAGE_MAX 4096u /* entries of one answer */

struct scan { /* entries of a view in one partition, ascending by (key, partition key), a page at one offset */
	uint64_t ticket;
	uint16_t partition;
	uint8_t mode; /* READ_LINEARIZABLE, READ_AT_LEAST or READ_LOCAL */
	uint32_t view_id;
	uint64_t at_least;
	uint32_t history; /* that at_least counts in, or HISTORY_ANY */
	uint32_t wait_ms;
	uint16_t limit;     /* most entries, 0: SCAN_PAGE_MAX */
	uint8_t blocked;    /* 1: only keys that are blocked */
	uint32_t max_bytes; /* one entry is sent in any case */
	struct span prefix; /* of the key */
	struct span after;  /* the last key of the page before; empty: from the beginning */
	struct span after_partition_key;
};
void scan_encode(const struct scan *scan, struct buffer *out);
int scan_decode(struct reader *in, struct scan *scan);

struct scan_done {
	uint64_t ticket;
	uint16_t partition;
	uint16_t error;
	uint8_t done;     /* 1: nothing more behind this page */
	uint64_t applied; /* the offset the page stands at */
	uint32_t age_ms;
	uint16_t count;
	struct span entries; /* encoded; read by scan_entry_decode */
};
void scan_done_encode(const struct scan_done *done, struct buffer *out);
int scan_done_decode(struct reader *in, struct scan_done *done);

struct scan_entry {
	struct span key;
	struct span partition_key; /* empty: the key */
	uint64_t changed_at;
	uint16_t error;      /* ERROR_NONE, BLOCKED, CATCHING_UP */
	uint64_t blocked_at; /* not NONE: the first offset not applied, */
	struct span why;     /* and why, as text */
	struct span state;   /* MessagePack; not NONE: as it was before, empty: there was none */
};
void scan_entry_encode(const struct scan_entry *entry, struct buffer *out);
int scan_entry_decode(struct reader *in, struct scan_entry *entry);
/* A subscription at one shard. Everything a client sends and is sent bears the subscription (the client's number) and
 * the generation: a client that has lost something begins a new one, and what belongs to an older one is void. */

#define SUBSCRIBE_FROM_NOW UINT64_MAX /* the committed end at the moment the primary takes it */

struct subscribe { /* begins a generation, or adds partitions to it */
	uint64_t subscription;
	uint32_t generation;
	uint64_t credit;       /* bytes (EVENTS_ITEM_BYTES and batches, per item) that may be sent in this generation */
	uint32_t stream_count; /* 0: all */
	struct span streams;   /* u32 each */
	uint32_t type_count;   /* 0: all */
	struct span types;     /* strings */
	uint32_t place_count;
	struct span places; /* encoded; read by subscribe_place_decode */
};
struct subscribe_place {
	uint16_t partition;
	uint64_t from;
	uint32_t history; /* that `from` counts in, or HISTORY_ANY */
};
void subscribe_encode(const struct subscribe *subscribe, struct buffer *out);
int subscribe_decode(struct reader *in, struct subscribe *subscribe);
void subscribe_place_encode(const struct subscribe_place *place, struct buffer *out);
int subscribe_place_decode(struct reader *in, struct subscribe_place *place);

#define EVENTS_ITEM_BYTES 64u /* what an item costs beside its batches, by agreement */

struct events_item {
	uint64_t subscription;
	uint32_t generation;
	uint32_t number; /* of the items of this generation, from 1: a gap tells of a loss */
	uint16_t partition;
	uint16_t error;      /* not NONE: this partition is not sent (any more) from here */
	uint64_t from;       /* the first batch begins there or before */
	uint64_t next;       /* where the next item goes on; what the filter left out lies between, too */
	uint64_t end;        /* committed end of the partition */
	uint32_t history;    /* of the partition */
	struct span batches; /* whole stamped batches, end to end, rising, maybe with gaps; all committed and applied */
};
void events_item_encode(const struct events_item *item, struct buffer *out);
int events_item_decode(struct reader *in, struct events_item *item);

struct credit_item { /* also a sign of life, answered by credit_done */
	uint64_t subscription;
	uint32_t generation;
	uint64_t credit; /* in all, as in struct subscribe: it never falls */
};
struct credit_done {
	uint64_t subscription;
	uint32_t generation;
	uint16_t error;  /* NOT_FOUND: unknown here; BUSY: too many subscriptions */
	uint32_t number; /* of the newest item sent */
};
struct unsubscribe_item {
	uint64_t subscription;
	uint32_t generation; /* and older ones */
};
void credit_item_encode(const struct credit_item *item, struct buffer *out);
int credit_item_decode(struct reader *in, struct credit_item *item);
void credit_done_encode(const struct credit_done *done, struct buffer *out);
int credit_done_decode(struct reader *in, struct credit_done *done);
void unsubscribe_item_encode(const struct unsubscribe_item *item, struct buffer *out);
int unsubscribe_item_decode(struct reader *in, struct unsubscribe_item *item);

#define WHY_MAX_BYTES 255u /* of the text that says why a key is blocked */

enum decision { DECIDE_RETRY = 1, DECIDE_SKIP = 2 };

/* What to do about a key that is blocked at this offset in the active version of a view. The primary writes it into its
 * log; whoever asked reads the key as of `decided` and sees what came of it: a primary that is lost takes its answer's
 * word with it. */
struct decide {
	uint64_t ticket;
	uint16_t partition;
	uint8_t decision; /* enum decision */
	uint32_t view_id;
	uint64_t offset;
	struct span key;
	struct span partition_key; /* empty: the key */
};
void decide_encode(const struct decide *decide, struct buffer *out);
int decide_decode(struct reader *in, struct decide *decide);

struct decided {
	uint64_t ticket;
	uint16_t partition;
	uint16_t error; /* ERROR_NONE; REFUSED: it is not blocked there; CATCHING_UP, NOT_PRIMARY, UNKNOWN_VIEW, ... */
	uint64_t at;    /* NONE: the offset of the record, not committed yet */
};
void decided_encode(const struct decided *decided, struct buffer *out);
int decided_decode(struct reader *in, struct decided *decided);

/* How far the versions of a view are, in every partition of a shard. */
struct progress_ask {
	uint64_t ticket;
	uint32_t view_id;
};
void progress_ask_encode(const struct progress_ask *progress, struct buffer *out);
int progress_ask_decode(struct reader *in, struct progress_ask *progress);

struct progress_done {
	uint64_t ticket;
	uint16_t count;
	struct span items; /* encoded; read by progress_item_decode */
};
void progress_done_encode(const struct progress_done *done, struct buffer *out);
int progress_done_decode(struct reader *in, struct progress_done *done);

enum progress_status { PROGRESS_BROKEN, PROGRESS_FILLING, PROGRESS_FILLED, PROGRESS_ANSWERS };

struct progress_item { /* one version in one partition */
	uint16_t partition;
	uint8_t status;  /* enum progress_status */
	uint8_t primary; /* 1: of this partition's primary */
	uint32_t version;
	uint64_t filled_to; /* offset */
	uint64_t applied;
	uint64_t entries;
	uint64_t blocked; /* keys */
	uint64_t missing; /* events that changed nothing (partition/view.h), of an entity view, so far */
	uint64_t unreadable;
	uint64_t refused;
};
void progress_item_encode(const struct progress_item *item, struct buffer *out);
int progress_item_decode(struct reader *in, struct progress_item *item);

/* A part of a backed-up partition's log, for its primary in a cluster that is being restored. Answered when the in-sync
 * set has all that was taken of it; without batches, at once. */
struct import {
	uint64_t ticket;
	uint16_t partition;
	uint64_t base;       /* offset of the first batch: another one than the log's end is answered with that */
	struct span batches; /* whole stamped batches, end to end; may be empty: where does it end? */
};
void import_encode(const struct import *import, struct buffer *out);
int import_decode(struct reader *in, struct import *import);

struct import_done {
	uint64_t ticket;
	uint16_t partition;
	uint16_t error;  /* ERROR_NONE, NOT_PRIMARY, NOT_READY, BUSY, DISK_FULL; REFUSED: nothing is being restored,
			  * or it is more than was said to come; MALFORMED: it does not follow what is there */
	uint64_t end;    /* of the primary's log */
	uint64_t commit; /* so much of it the in-sync set has */
};
void import_done_encode(const struct import_done *done, struct buffer *out);
int import_done_decode(struct reader *in, struct import_done *done);

enum replica_role { ROLE_NONE = 0, ROLE_REPLICA = 1, ROLE_PRIMARY = 2, ROLE_SEALED = 3 };

struct partition_status {
	uint16_t partition;
	uint8_t role;   /* enum replica_role */
	uint8_t active; /* primary: its epoch start is committed and it answers */
	uint32_t epoch;
	uint64_t version;
	uint64_t end;
	uint64_t commit;
	uint64_t applied;
	uint64_t digest;    /* of views and duplicate state at `applied`, where nothing is unsettled */
	uint64_t key_count; /* entries over all views */
	uint64_t bytes;     /* of the log's batches */
	uint64_t room;      /* bytes that the shard's disk may still take; PARTITION_ROOM_UNKNOWN */
	uint8_t unsettled; /* UNSETTLED_*: the digest may yet change where it stands, and is to be compared with none */
};
#define UNSETTLED_FILLING 1u   /* a view is being filled; the digest of the others may be compared all the same */
#define UNSETTLED_RETURNING 2u /* a blocked key is on its way back, after a skip or a retry */
#define PARTITION_ROOM_UNKNOWN UINT64_MAX
void partition_status_encode(const struct partition_status *status, struct buffer *out);
int partition_status_decode(struct reader *in, struct partition_status *status);

struct replicate_item {
	uint16_t partition;
	uint32_t epoch; /* the message's: the present one; batches keep their own */
	uint32_t history;
	uint64_t version; /* partition version the primary acts under */
	uint64_t commit;
	uint32_t previous_epoch; /* epoch of the record before base; 0 at offset 0 */
	uint64_t base;           /* offset of the first batch, or the primary's send position when there is none */
	struct span batches;     /* whole stamped batches, end to end; may be empty: commit only */
};
void replicate_item_encode(const struct replicate_item *item, struct buffer *out);
int replicate_item_decode(struct reader *in, struct replicate_item *item);

struct ack_item {
	uint16_t partition;
	uint32_t epoch;
	uint64_t end;           /* acknowledged: synced, or received with an interval */
	uint64_t applied;       /* view lag, for the election's sake */
	uint8_t filling;        /* 1: a view is being filled */
	uint8_t misfit;         /* 1: the last message did not fit; send again from `received` */
	uint64_t received;      /* end of what is journalled or on its way to the disk */
	uint64_t digest_offset; /* a fixed offset; 0: none is told */
	uint64_t digest;        /* of the state there */
};
void ack_item_encode(const struct ack_item *item, struct buffer *out);
int ack_item_decode(struct reader *in, struct ack_item *item);

struct join_item { /* question: answer_* zero; the answer repeats the question */
	uint16_t partition;
	uint32_t epoch;       /* present epoch of the partition */
	uint32_t asked_epoch; /* epoch of the replica's last record; 0: empty */
	uint64_t asked_end;
	uint32_t answer_epoch; /* the primary's greatest epoch not above asked_epoch; 0: none */
	uint64_t answer_end;   /* that epoch's end in the primary's log */
};
void join_item_encode(const struct join_item *item, struct buffer *out);
int join_item_decode(struct reader *in, struct join_item *item);

struct audit_item { /* your digest at `offset` is not mine: is your state the fold of your log? */
	uint16_t partition;
	uint32_t epoch;
	uint64_t offset;
};
void audit_item_encode(const struct audit_item *item, struct buffer *out);
int audit_item_decode(struct reader *in, struct audit_item *item);

#endif

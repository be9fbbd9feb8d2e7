/* The client's core: what publishes, reads, replays and subscribes, as one deterministic machine without I/O.
 *
 * The driver (libevgrid's thread, the simulator) runs turns:
 *   1. hand in what has arrived: core_receive, core_unsent; and what the user wants: core_publish, core_read, ...
 *   2. core_turn: what is due is sent, what is overdue ends; everything to be done comes out in an outbox,
 *   3. send the outbox's frames, tell the user its completions and results, core_outbox_clear.
 * The next turn is due when anything has been handed in, and at next_timer_ms at the latest. Time is a monotonic
 * clock's milliseconds, the driver's; the core has no clock, no random source, no thread and no socket.
 *
 * Endpoints are small numbers. One is a node's control port (a seed address, or a member's from the map) or a shard's
 * port; core_endpoint tells which. The driver connects to an endpoint when the first frame for it comes out, and
 * closes it when told. Frames may be lost and delayed for ever so long, answers may come twice, order is used but not
 * needed. One thing is required of the way to a node: it delivers a frame at most once, as ZeroMQ over TCP does (a
 * refusal of the only copy sent proves that nothing was stored).
 *
 * What is promised of events (core_flow.c has the machine):
 *   1. Events of one partition reach its log in the order of the core_publish calls, over all retries and fail-overs.
 *   2. No event is stored twice: batches to a partition are numbered without a gap; an unanswered one is sent again
 *      with the same number and the same bytes; a number gets other bytes only when no copy of the first can be
 *      stored any more.
 *   3. Every accepted event ends in exactly one completion: applied, not applied, or unknown. NOT_APPLIED is said only
 *      when it was never sent or every copy was refused. APPLIED means that all six stages are done.
 *      Where a partition has no primary that can be reached and no controller is known that could elect one, what was
 *      never sent ends as NOT_ENOUGH_REPLICAS after below_minimum_ms; what may be stored keeps its deadline.
 *   4. A number whose outcome stays unknown ends the producer's work in that partition: the events behind it that
 *      were not sent yet go on under a new producer, so the unknown ones may be stored before or after them, once or
 *      not at all. */
#ifndef EVGRID_CLIENT_CORE_H
#define EVGRID_CLIENT_CORE_H

#include "proto/cluster_map.h"
#include "proto/event.h"
#include "proto/message.h"

#define CORE_DEADLINE_MS 30000u /* from publish to completion, whatever happens */
#define CORE_BELOW_MINIMUM_MS \
	2000u /* how long NOT_ENOUGH_REPLICAS and DISK_FULL are tried again before they are told */
#define CORE_WINDOW_BYTES (64ull << 20) /* events accepted and not completed; beyond it BUSY */
#define CORE_WINDOW_EVENTS 262144u
#define CORE_BATCHES_IN_FLIGHT 8u    /* per partition: as many answers a node keeps (PRODUCER_WINDOW) */
#define CORE_CONTAINERS_IN_FLIGHT 2u /* per shard; the next one fills meanwhile */
#define CORE_REQUESTS_MAX \
	16384u /* reads, replays, histories, scans, status and proposals open at a time; beyond it BUSY */
#define CORE_SEEDS_MAX 16u

struct core;

struct core_config {
	uint64_t incarnation;         /* random, not 0, new for every core */
	const char *const *addresses; /* control addresses "host:port" of some members; copied */
	size_t address_count;         /* 1..CORE_SEEDS_MAX */
	const char *name;             /* shown to nodes; NULL: none */
	uint32_t deadline_ms;         /* 0: CORE_DEADLINE_MS */
	uint32_t below_minimum_ms;    /* UINT32_MAX: until the deadline; 0: told at once */
	uint64_t window_bytes;        /* 0: CORE_WINDOW_BYTES */
	uint32_t window_events;       /* 0: CORE_WINDOW_EVENTS */
	bool compress;                /* LZ4 for batches where it pays */
};

struct core *core_new(const struct core_config *config); /* NULL: no memory, or no address */
struct core *core_free(struct core *core);               /* NULL; what is open ends without a word: core_abort first */

/* --- endpoints ---------------------------------------------------------------------------------------------------- */

#define CORE_ADDRESS_BYTES (ADDRESS_MAX_BYTES + 8)

struct core_endpoint {
	bool control;     /* a node's control port; else a shard's */
	uint32_t node_id; /* 0: a seed whose node has not answered yet */
	uint16_t shard;
	char address[CORE_ADDRESS_BYTES]; /* "host:port" */
};

/* Valid until the endpoint is closed. NULL: no such endpoint. */
const struct core_endpoint *core_endpoint(const struct core *core, uint32_t endpoint);

/* --- publishing --------------------------------------------------------------------------------------------------- */

/* Takes one event: it is copied. check: NULL for none; its `record` is ignored. tag: the user's, comes back in the
 * completion. stream_id comes from the map (core_map); an empty partition key means the key.
 * 0; ERROR_BUSY (the window is full: wait for completions), ERROR_UNKNOWN_STREAM (stream id 0), ERROR_MEMORY, or
 * event_encode's error. An error is final: there will be no completion. */
int core_publish(struct core *core, const struct event *event, const struct check *check, uint64_t tag,
		 uint64_t now_ms);

bool core_has_room(const struct core *core);           /* core_publish would not say BUSY */
uint64_t core_pending_events(const struct core *core); /* accepted, not completed */
uint64_t core_pending_bytes(const struct core *core);

enum core_outcome { CORE_APPLIED, CORE_NOT_APPLIED, CORE_UNKNOWN };

struct core_completion {
	uint64_t tag;
	uint16_t error;    /* enum error; NONE exactly when applied */
	uint8_t outcome;   /* enum core_outcome */
	uint8_t duplicate; /* 1: the answer of an earlier copy */
	uint16_t partition;
	uint8_t stages; /* bit per enum stage done */
	uint8_t reserved;
	uint32_t history;
	uint32_t published_ms; /* low half of core_publish's now_ms */
	uint64_t offset;       /* APPLIED: its place in the partition */
	uint64_t sequence;
	uint64_t actual_version; /* ERROR_CHECK_FAILED: the key's version */
	uint32_t stage_us[STAGE_COUNT];
};

/* --- requests ----------------------------------------------------------------------------------------------------- */

/* Each is tried again (another node, a newer map) until its time-out, then ends with the last error seen, CONNECT when
 * nobody was reached, or TIMEOUT. 0, ERROR_BUSY, ERROR_MEMORY, ERROR_LIMIT. */

struct core_read {
	uint8_t mode;     /* enum read_mode */
	uint32_t node_id; /* READ_LOCAL, AT_LEAST, AS_OF_OFFSET: the replica to ask; 0: the primary */
	uint32_t view_id; /* 0: the key's version in stream_id */
	uint32_t stream_id;
	uint64_t at_least; /* READ_AS_OF_TIME: us since 1970 */
	uint32_t history;  /* that the offset counts in, or HISTORY_ANY */
	struct span key;
	struct span partition_key; /* empty: the key */
	bool any;                  /* the view's entry of this key in `partition`, under whatever partition key */
	uint16_t partition;
	uint32_t timeout_ms; /* 0: the deadline */
};
int core_read(struct core *core, const struct core_read *read, uint64_t tag, uint64_t now_ms);

struct core_replay {
	uint16_t partition;
	uint32_t node_id; /* 0: the primary, another replica when it does not answer */
	uint64_t from;
	uint32_t history; /* that from counts in, or HISTORY_ANY */
	bool fresh;       /* without a node: as the message says; only the primary is asked */
	uint32_t max_bytes;
	uint32_t timeout_ms;
};
int core_replay(struct core *core, const struct core_replay *replay, uint64_t tag, uint64_t now_ms);

/* A page of one key's history. The spans are copied. */
struct core_history {
	uint32_t node_id;       /* whose replica; 0: the primary's, fresh */
	struct history history; /* ticket, partition and fresh are filled in; partition key empty: the key */
	uint32_t timeout_ms;
};
int core_history(struct core *core, const struct core_history *history, uint64_t tag, uint64_t now_ms);

/* A page of a view's entries in one partition. The spans are copied. */
struct core_scan {
	uint32_t node_id; /* READ_LOCAL, READ_AT_LEAST: the replica to ask; 0: the primary */
	struct scan scan; /* ticket and wait_ms are filled in */
	uint32_t timeout_ms;
};
int core_scan_view(struct core *core, const struct core_scan *scan, uint64_t tag, uint64_t now_ms);

/* What to do about a blocked key: asked of its partition's primary. The spans are copied. */
struct core_decide {
	struct decide decide; /* ticket and partition are filled in; partition key empty: the key */
	uint32_t timeout_ms;
};
int core_decide(struct core *core, const struct core_decide *decide, uint64_t tag, uint64_t now_ms);

/* A part of a back-up's log, for its partition's primary. The batches are copied. */
int core_import(struct core *core, const struct import *import, uint32_t timeout_ms, uint64_t tag, uint64_t now_ms);

/* All partitions of one node's shard. */
int core_status(struct core *core, uint32_t node_id, uint16_t shard, uint32_t timeout_ms, uint64_t tag,
		uint64_t now_ms);

/* How far the versions of a view are, in all partitions of one node's shard. */
int core_progress(struct core *core, uint32_t node_id, uint16_t shard, uint32_t view_id, uint32_t timeout_ms,
		  uint64_t tag, uint64_t now_ms);

/* One metadata command (proto/admin.h). Sent again after a lost answer: commands are conditional, that is safe. */
int core_propose(struct core *core, struct span command, uint32_t timeout_ms, uint64_t tag, uint64_t now_ms);

/* Asks for a newer map at once; it also comes by itself. */
void core_refresh(struct core *core, uint64_t now_ms);
const struct cluster_map *core_map(const struct core *core); /* version 0: none yet */

enum core_kind {
	CORE_READ = 1,
	CORE_REPLAY,
	CORE_STATUS,
	CORE_PROPOSE,
	CORE_HISTORY,
	CORE_SCAN,
	CORE_DECIDE,
	CORE_PROGRESS,
	CORE_IMPORT
};

struct core_result {
	enum core_kind kind;
	uint64_t tag;
	int error;  /* enum error */
	bool again; /* PROPOSE, DECIDE: it was sent more than once, so a refusal may speak of its own first copy */
	uint32_t node_id; /* who answered */
	struct read_done read;
	struct replay_data replay;
	struct history_data history;
	struct scan_done scan;
	struct decided decided;
	struct progress_done progress;
	struct import_done import;
	struct propose_result propose;
	struct partition_status *statuses; /* STATUS: status_count of them */
	uint32_t status_count;
	struct buffer bytes; /* what the spans above point into; the outbox owns it */
};

/* --- subscriptions ------------------------------------------------------------------------------------------------ */

#define CORE_SUBSCRIPTIONS_MAX 64u                /* of one core; beyond it BUSY */
#define CORE_SUBSCRIBE_WINDOW_BYTES (16ull << 20) /* handed out and not consumed; at least 64 KiB a shard */

struct core_subscribe {
	const uint32_t *stream_ids; /* stream_count of them; none: all */
	size_t stream_count;
	const struct span *types; /* type_count of them; none: all */
	size_t type_count;
	struct cursor
		cursor; /* where to begin; SUBSCRIBE_FROM_NOW is an offset, too. The cluster id is not looked at */
	uint64_t window_bytes; /* 0: CORE_SUBSCRIBE_WINDOW_BYTES */
};

/* Whole stamped batches of one partition: every committed event between `from` and `next` that was asked for, and
 * others beside it: whoever reads them passes over records before `from`, and over what was not asked for. Deliveries
 * of a partition follow each other in the order of offsets and do not overlap. */
struct core_delivery {
	uint64_t subscription;
	uint64_t tag;
	uint16_t partition;
	uint16_t error; /* enum error; not NONE: the subscription has ended: BEYOND_END (of `end`), HISTORY */
	uint64_t from;
	uint64_t next;
	uint64_t end; /* the partition's committed end when it was sent */
	uint32_t history;
	struct buffer batches; /* the outbox owns it; the driver may take it (leave BUFFER_NULL) */
};

/* What a subscription knows of each partition; next counts what has been handed out. */
struct core_subscription_state {
	uint64_t next[PARTITION_COUNT];
	uint32_t history[PARTITION_COUNT];
	uint32_t unknown;  /* partitions whose "now" is not known yet */
	uint32_t not_live; /* that no primary has taken at the moment */
	uint32_t behind;   /* that are not live, or have committed more than was handed out */
	uint64_t held_bytes;
};

/* 0 and *id; ERROR_BUSY, ERROR_MEMORY, ERROR_LIMIT, ERROR_EMPTY. It lives until core_unsubscribe. */
int core_subscribe(struct core *core, const struct core_subscribe *wanted, uint64_t tag, uint64_t now_ms, uint64_t *id);
/* So many bytes of deliveries' batches of this partition are done with: there is room for more. */
void core_consumed(struct core *core, uint64_t id, uint16_t partition, uint64_t size_bytes, uint64_t now_ms);
void core_unsubscribe(struct core *core, uint64_t id, uint64_t now_ms);
/* 0 or ERROR_NOT_FOUND. */
int core_subscription_state(const struct core *core, uint64_t id, struct core_subscription_state *state);

/* --- driving ------------------------------------------------------------------------------------------------------ */

/* A frame that came from an endpoint. Bytes are checked; what does not fit is dropped and counted. */
void core_receive(struct core *core, uint32_t endpoint, struct span frame, uint64_t now_ms);

struct core_copies { /* of batches, in one frame: tickets first..first + count - 1 */
	uint64_t first;
	uint32_t count;
};

/* A frame to this endpoint was not sent, and never will be: the copies in it cannot be stored, and the session there is
 * begun anew. */
void core_unsent(struct core *core, uint32_t endpoint, struct core_copies copies, uint64_t now_ms);

struct core_send {
	uint32_t endpoint;
	struct core_copies copies; /* in the frame: for core_unsent */
	bool close;                /* no frame: this endpoint will not be used again, its number may be */
	struct buffer frame; /* a complete message; the outbox owns it, the driver may take it (leave BUFFER_NULL) */
};

struct core_outbox {
	struct core_send *sends;
	size_t send_count;
	size_t send_capacity;
	struct core_completion *completions;
	size_t completion_count;
	size_t completion_capacity;
	struct core_result *results;
	size_t result_count;
	size_t result_capacity;
	struct core_delivery *deliveries;
	size_t delivery_count;
	size_t delivery_capacity;
	bool map_changed;
	uint64_t next_timer_ms; /* run a turn then at the latest; UINT64_MAX: none */
};

#define CORE_OUTBOX_NULL ((struct core_outbox){.next_timer_ms = UINT64_MAX})

/* `out` must be null or cleared; it receives everything since the last turn. 0 or ERROR_MEMORY (try again later). */
int core_turn(struct core *core, uint64_t now_ms, struct core_outbox *out);
void core_outbox_clear(struct core_outbox *out);  /* frees frames and bytes, keeps the arrays */
void core_outbox_deinit(struct core_outbox *out); /* may be called twice */

/* Ends everything open with ERROR_CLOSED: sent events as unknown, others as not applied. A turn brings them out. */
void core_abort(struct core *core, uint64_t now_ms);

struct core_counts {
	uint64_t frames_dropped; /* received and not understood */
	uint64_t resends;        /* batches sent again */
	uint64_t reroutes;       /* batches sent again because the primary changed */
	uint64_t producers;      /* opened */
	uint64_t given_up;       /* batches whose outcome stayed unknown */
	uint64_t items_lost;     /* of subscriptions: gaps seen, and asked for again */
	uint64_t conflicts;      /* a live number had other bytes on a node: a defect of the core; stays 0 */
};
struct core_counts core_counts(const struct core *core);

#endif

/* What the core is made of, shared by its own files only: core.c (life, publishing, turns), core_flow.c (events of one
 * partition), core_lane.c (containers to a shard), core_session.c (endpoints, HELLO, map, producer), core_request.c,
 * core_history.c (histories and scans), core_subscribe.c. */
#ifndef EVGRID_CLIENT_CORE_STATE_H
#define EVGRID_CLIENT_CORE_STATE_H

#include "client/core.h"
#include "client/outgoing.h"

#define ENDPOINTS_MAX (NODES_MAX * (SHARDS_MAX + 1) + CORE_SEEDS_MAX)
#define ENDPOINT_NONE UINT32_MAX
#define CONTROLS 3u /* control ports held open at a time: one may die, two may disagree for a moment */

#define SCAN_MS 10u        /* how often deadlines, pauses and resends are looked at while anything is open */
#define IDLE_SCAN_MS 1000u /* and while nothing is */
#define RESEND_MS 1000u    /* an unanswered batch is sent again; doubles up to the next */
#define RESEND_MAX_MS 8000u
#define RETRY_MS 10u /* a refused batch is sent again; doubles up to the next */
#define RETRY_MAX_MS 100u
#define FAIL_OVER_MS 1000u       /* an election and a fail-over take less */
#define REFUSAL_MEMORY_MS 10000u /* an older refusal says nothing about now */
#define HELLO_MS 4u              /* an unanswered HELLO is said again; doubles up to the next */
#define HELLO_MAX_MS 200u
#define CUT_PATIENCE_MS 500u      /* how long a dropped number waits for the answers of the later ones */
#define CONTAINER_PATIENCE_MS 50u /* a container counts no longer, so that stuck partitions stop no other: */
#define STRAGGLER_PATIENCE_MS 10u /* the same when some of it was answered, and nothing since */
#define CONTAINER_BYTES TURN_MAX_BYTES
#define CONTAINER_ITEMS 8192u
#define BATCH_TARGET_BYTES (256u * 1024) /* an open batch is closed beyond it, so that containers stay even */

#define MAP_ASK_MS 1000u        /* keeps the subscription alive */
#define MAP_URGENT_MS 50u       /* while something has no route */
#define CONTROL_SILENCE_MS 600u /* without an answer for so long: the session counts as lost */
#define CONTROL_ROTATE_MS 1000u /* without a WELCOME for so long: another node's control port is tried */
#define PRODUCER_ASK_MS 300u
#define GREETING_MAX_MS 5000u /* a shard that does not answer for so long is left alone until it is wanted again */

struct flow;
struct request;
struct subscription;

enum session {
	SESSION_FREE,     /* the slot names no endpoint */
	SESSION_IDLE,     /* nothing was wanted of it yet */
	SESSION_GREETING, /* HELLO is said until WELCOME comes */
	SESSION_UP,
};

struct container { /* an APPEND in flight: its copies have the tickets first..first + count - 1 */
	uint64_t first;
	uint32_t count; /* 0: free */
	uint32_t answered;
	uint64_t sent_ms;
	uint64_t answered_ms; /* the last answer */
};

struct endpoint {
	struct core_endpoint name;
	enum session session;
	bool used;                 /* the driver has seen a frame for it: it must be told of the end */
	uint64_t node_incarnation; /* shards: the map's when the session came up */
	uint64_t greeting_since_ms;
	uint64_t hello_ms; /* when HELLO is due */
	uint32_t hello_pause_ms;
	/* control port */
	bool map_asked;        /* in this session */
	uint64_t map_asked_ms; /* last time */
	bool map_open;         /* asked and not answered, since */
	uint64_t map_open_ms;
	bool map_told;       /* a map came in this session, */
	uint32_t controller; /* and the last one named this controller; 0: none */
	/* shard port */
	struct container containers[CORE_CONTAINERS_IN_FLIGHT];
	struct flow *waiting_head; /* flows with something to send here, in order of arrival */
	struct flow *waiting_tail;
	struct buffer reads; /* the READ being filled in this turn */
	uint16_t read_count;
	struct request *status; /* the one STATUS in flight: its answer bears no ticket */
};

/* The events of one partition: core_flow.c. */
struct flow {
	uint16_t partition;
	uint32_t generation; /* of the producer it numbers under; 0: none yet */
	uint64_t producer_id;
	uint32_t next_number;
	uint32_t history;                                /* of the partition, in the newest answer of something done */
	struct outgoing *window[CORE_BATCHES_IN_FLIGHT]; /* numbered, not all answered, in order */
	uint32_t window_count;
	struct outgoing *queue_head; /* closed, not numbered */
	struct outgoing *queue_tail;
	struct outgoing *open; /* filling */
	uint64_t resume_ms;    /* refused: nothing is sent before */
	uint32_t pause_ms;
	bool refused;              /* NOT_ENOUGH_REPLICAS and their like, and nothing was done since */
	uint64_t refused_since_ms; /* first and last refusal */
	uint64_t refused_ms;
	uint16_t last_error; /* what the events hear if their deadline passes now */
	uint32_t cut_number; /* dropped inside the window: nothing beyond it is sent under its number; 0: none */
	uint64_t cut_by_ms;
	bool retire;         /* this producer's work here is over once the window is empty */
	uint32_t route_node; /* what the window was last sent under */
	uint32_t route_epoch;
	uint64_t lost_ticket; /* copies up to this one went another way: their answers are not waited for */
	bool listed;          /* in its endpoint's waiting list */
	struct flow *next_waiting;
};

struct request {
	enum core_kind kind;
	uint64_t tag;
	uint64_t ticket;
	bool sent;
	bool again;
	bool unanswered;   /* it was sent before, and nobody said what became of that */
	uint32_t endpoint; /* where it was sent */
	uint64_t deadline_ms;
	uint64_t due_ms; /* queued: when to send; sent: when to send again */
	uint32_t pause_ms;
	uint32_t attempts;
	uint16_t last_error;
	uint32_t node_id;
	struct read_item read;      /* spans into bytes */
	struct read_done not_ready; /* READ: the newest such answer, without its spans */
	struct replay replay;
	struct history history;
	struct scan scan;
	struct decide decide;
	struct progress_ask progress;
	struct import import;
	uint16_t shard;       /* STATUS */
	struct span command;  /* PROPOSE */
	struct request *next; /* all open ones, a ring with a head */
	struct request *previous;
	uint8_t *bytes; /* behind it, in the same piece of memory: what its spans point to */
	size_t kept;    /* of them; request_keep adds */
};

struct producer {
	uint32_t generation; /* of the newest id; 0: none yet */
	uint64_t id;
	uint32_t wanted; /* generation that some flow needs */
	uint64_t ticket; /* of the question; 0: none open */
	uint64_t asked_ms;
	uint32_t turn; /* which control port is asked next */
};

struct core {
	struct sender sender;
	char client_name[NAME_MAX_BYTES + 1];
	char seeds[CORE_SEEDS_MAX][CORE_ADDRESS_BYTES];
	size_t seed_count;
	uint32_t deadline_ms;
	uint32_t below_minimum_ms;
	uint64_t window_bytes;
	uint32_t window_events;
	bool compress;

	uint64_t now_ms;
	uint64_t ticket;  /* last one given */
	uint64_t scan_ms; /* when the next scan is due */
	uint64_t pending_events;
	uint64_t pending_bytes;
	struct cluster_map map;
	bool map_wanted; /* urgently */
	uint8_t cluster_id[16];
	bool reached; /* some node has welcomed us */
	bool foreign; /* the last one that answered belongs to another cluster */

	struct endpoint endpoints[ENDPOINTS_MAX];
	uint32_t endpoint_count;
	uint32_t shard_endpoints[NODES_MAX][SHARDS_MAX]; /* index + 1; 0: none yet */
	uint32_t controls[CONTROLS];
	uint32_t candidate; /* next control address to try */
	struct producer producer;
	struct flow flows[PARTITION_COUNT];
	struct request requests;        /* head of the ring */
	struct request **request_slots; /* CORE_REQUESTS_MAX, by the ticket's low bits */
	uint32_t *request_free;
	uint32_t request_free_count;

	struct subscription *subscriptions;
	uint32_t subscription_count;

	struct outgoing *pool;
	uint32_t pool_count;
	struct outgoing_drops *drops; /* scratch */
	struct core_outbox out;
	struct core_counts counts;
};

/* --- core.c ------------------------------------------------------------------------------------------------------- */

/* A completion or result always has room: it was reserved when the event or request was accepted. */
struct core_completion *core_complete(struct core *core);
struct core_result *core_result_add(struct core *core);
/* NULL: no memory. core_delivery_drop takes back the newest. */
struct core_delivery *core_delivery_add(struct core *core);
void core_delivery_drop(struct core *core);
/* The frame is taken. Without memory it is lost, as on the wire. */
void core_emit_take(struct core *core, uint32_t endpoint, struct buffer *frame);
void core_emit_copies_take(struct core *core, uint32_t endpoint, struct buffer *frame, struct core_copies copies);
void core_emit_close(struct core *core, uint32_t endpoint);
struct outgoing *core_outgoing_get(struct core *core, uint16_t partition); /* NULL: no memory */
void core_outgoing_put(struct core *core, struct outgoing *outgoing);      /* with its charge */

/* --- core_flow.c -------------------------------------------------------------------------------------------------- */

void flow_answer(struct core *core, const struct append_done *done);
bool flow_sendable(const struct core *core, const struct flow *flow);
bool flow_idle(const struct flow *flow);
/* Numbers what may be sent, as far as the window has room. */
void flow_fill_window(struct core *core, struct flow *flow);
void flow_unsent(struct core *core, struct flow *flow, struct core_copies copies);
/* All that is unanswered is to be sent again, at once. */
void flow_resend(struct core *core, struct flow *flow);
void flow_route_changed(struct core *core, struct flow *flow);
void flow_scan(struct core *core, struct flow *flow); /* deadlines, resends, cuts */
void flow_abort(struct core *core, struct flow *flow);

/* --- core_lane.c -------------------------------------------------------------------------------------------------- */

void lane_wait(struct core *core, struct flow *flow); /* lists the flow if it has something to send and a route */
void lanes_relist(struct core *core);
void lanes_send(struct core *core);
void lane_answered(struct core *core, struct endpoint *endpoint, uint64_t ticket);
void lane_forget(struct endpoint *endpoint);     /* its containers are lost */
uint64_t lanes_next_ms(const struct core *core); /* when a waiting flow can go on; UINT64_MAX: not by time */

/* --- core_session.c ----------------------------------------------------------------------------------------------- */

uint32_t session_shard(struct core *core, uint32_t node_id, uint16_t shard); /* ENDPOINT_NONE: not in the map */
uint32_t session_partition(struct core *core, uint16_t partition);           /* its primary's shard */
bool session_up(struct core *core, uint32_t endpoint);                       /* begins greeting where it is not */
/* Some control port answers, and none of those that do knows of a controller: nothing is elected while that is so. */
bool session_headless(const struct core *core);
/* The partition has no primary that could be reached, and will not get one soon. */
bool session_stranded(const struct core *core, uint16_t partition);
uint32_t session_control(struct core *core, uint32_t turn); /* a control port that is up, or ENDPOINT_NONE */
uint32_t session_control_of(struct core *core, uint32_t node_id);
void session_receive(struct core *core, uint32_t endpoint_index, const struct message *message);
void session_lost(struct core *core, uint32_t endpoint_index);
void session_turn(struct core *core);   /* control ports, map, producer */
void session_hellos(struct core *core); /* last in a turn */
uint64_t session_next_ms(const struct core *core);

/* --- core_request.c ----------------------------------------------------------------------------------------------- */

void requests_send(struct core *core);
void requests_scan(struct core *core);
void requests_lost(struct core *core, uint32_t endpoint); /* what was sent there is sent again */
void requests_rerouted(struct core *core);
void requests_abort(struct core *core);
void request_read_done(struct core *core, const struct message *message);
void request_replay_data(struct core *core, const struct message *message);
void request_status_done(struct core *core, uint32_t endpoint, const struct message *message);
void request_propose_result(struct core *core, const struct message *message);
uint64_t requests_next_ms(const struct core *core);

/* For core_history.c, core_decide.c, core_import.c and core_progress.c. `size_bytes` may be kept with the request: the
 * caller's bytes do not outlive the call. */
int request_new(struct core *core, enum core_kind kind, size_t size_bytes, uint64_t tag, uint64_t now_ms,
		uint32_t timeout_ms, struct request **created);
struct span request_keep(struct request *request, struct span bytes); /* a copy, within size_bytes */
struct request *request_find(struct core *core, uint64_t ticket, enum core_kind kind);
struct core_result *request_end(struct core *core, struct request *request, int error);
void request_refused(struct core *core, struct request *request, uint16_t error);
bool request_retries(uint16_t error); /* an answer that says: ask again */
/* A node does not know the view: it may be new to it, unless the map, which is asked for, says that it was dropped. */
bool request_view_may_come(struct core *core, uint32_t view_id);
struct span result_keep(struct core_result *result, struct span bytes);
/* How long a node may wait for a position, so that its NOT_YET comes before the request's deadline. */
uint32_t request_wait_ms(const struct core *core, const struct request *request);

/* --- core_history.c ----------------------------------------------------------------------------------------------- */

void request_history_data(struct core *core, const struct message *message);
void request_scan_done(struct core *core, const struct message *message);
void request_decided(struct core *core, const struct message *message);
void request_progress_done(struct core *core, const struct message *message);
void request_import_done(struct core *core, const struct message *message);

/* --- core_subscribe.c --------------------------------------------------------------------------------------------- */

void subscriptions_turn(struct core *core);
void subscriptions_events(struct core *core, uint32_t index, const struct message *message);
void subscriptions_credit_done(struct core *core, uint32_t index, const struct message *message);
void subscriptions_lost(struct core *core, uint32_t index); /* what was under way there may be lost */
void subscriptions_rerouted(struct core *core);
uint64_t subscriptions_next_ms(const struct core *core);
void subscriptions_free(struct core *core);

#endif

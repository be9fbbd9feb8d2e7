/* One node's part in the cluster's control plane: formation, metadata on Raft, heartbeats, and, on the Raft leader, the
 * controller. Deterministic: time, randomness, messages and disk completions come in; what is to be sent or told waits
 * as outputs until the host takes them. The only header of raft/ (with command.h) that other folders include.
 *
 * States, and who moves them (cluster.c):
 *
 *   FORMING ---------> JOINED ------> REGISTERED ---------> SERVING ----------> STOPPING --------> STOPPED
 *      |   all founders   ^ own entry      |   cluster_serve      cluster_stop        entry applied
 *      |   agreed, or     | applied        v
 *      |   Raft has state |                FAILED when another process registers under this name
 *      +--> JOINING ------+ cluster_admit
 *           a newcomer: not among the founders of its own list, or founder whose directory was lost, Raft's directory
 *           empty; it asks members to be taken in
 *   GONE, from JOINED to STOPPING: this node was decommissioned. It stays a server of Raft until Raft's configuration
 *   does not need it, then CLUSTER_IS_GONE is given
 *   FAILED, from any: the store failed, or an entry was not understood. CLUSTER_FATAL was given; nothing leaves the
 *   node any more.
 *
 * The host (node/ in production, tests/sim in the simulator)
 *   1. takes what has arrived, then reads its clock, then calls cluster_receive for each message and cluster_tick every
 *      CLUSTER_TICK_MS; between calls it may complete the raft_io's requests;
 *   2. after each of these, and after the raft_io completed anything, drains cluster_next (commands that came
 *      together leave as one entry then);
 *   3. on CLUSTER_REGISTERED_AS writes the node epoch and sync mode durably into its directory, then calls
 *      cluster_serve;
 *   4. on CLUSTER_ADMITTED writes the cluster id durably into its directory, then calls cluster_admit;
 *   5. on CLUSTER_IS_GONE marks its directory durably as decommissioned, and ends the process: it never starts again;
 *   6. on CLUSTER_AT_VERSION notes the version durably in its directory;
 *   7. on CLUSTER_FATAL ends the process.
 * All times are milliseconds of CLOCK_BOOTTIME, unless named unix. Not thread-safe: one thread owns it. */
#ifndef EVGRID_RAFT_CLUSTER_H
#define EVGRID_RAFT_CLUSTER_H

#include "proto/cluster_map.h"
#include "proto/error.h"
#include "proto/message.h"

#define CLUSTER_TICK_MS 10u
#define CLUSTER_IDENTITY_BYTES 16u
#define CLUSTER_PROPOSALS_MAX 1024u /* of this node's own, unanswered: more is BUSY */
#define CLUSTER_TEXT_BYTES 256u

struct raft_io;

struct cluster_founder {
	char name[NAME_MAX_BYTES + 1];
	char control_address[ADDRESS_MAX_BYTES + 1];
};

/* What the data directory says about itself and the process that used it before. */
struct cluster_directory {
	uint8_t identity[CLUSTER_IDENTITY_BYTES]; /* random, durable before cluster_init */
	uint8_t cluster_id[16];                   /* of the cluster it belongs to; zero: not known yet */
	bool raft_empty;                          /* Raft's own directory holds no state */
	uint64_t node_epoch;                      /* it last served under; 0: it never did */
	bool interval_sync;                       /* the sync mode of that time */
	uint64_t proof_epoch;                     /* clean-stop proof: the node epoch it names; 0: none */
	uint16_t cluster_version;                 /* of the cluster, as far as it was noted; 0: the first */
	uint8_t damaged; /* bit per shard whose journal had a tail cut or a block quarantined at this start */
};

struct cluster_config {
	char name[NAME_MAX_BYTES + 1];
	char zone[NAME_MAX_BYTES + 1];
	char host[ADDRESS_MAX_BYTES + 1];
	char control_address[ADDRESS_MAX_BYTES + 1];
	uint8_t weight; /* 1..NODE_WEIGHT_MAX, or 0, as 1 */
	uint16_t shard_count;
	uint16_t shard_ports[SHARDS_MAX];
	bool interval_sync;         /* the mode of this run */
	uint8_t replication_factor; /* of the cluster if this node forms it; 0: 3, or as many as there are founders */
	uint8_t minimum_isr;        /* the same; 0: 2 of 3 and more replicas, else 1 */
	bool restore;               /* the same: form it to restore a back-up into */
	struct cluster_founder founders[NODES_MAX]; /* the same list, in the same order, on all; a node that is not
						     * in it joins the cluster that these formed */
	uint32_t founder_count;
	uint64_t reassign_delay_ms;    /* so long a member may be away before others get its replicas; 0: for ever */
	uint64_t incarnation;          /* random, not 0, new at every start */
	uint8_t cluster_id[16];        /* random: becomes the cluster's if this node is its first controller */
	struct version_range versions; /* that this process knows */
	uint32_t seed;                 /* of Raft's election timer and nothing else */
	struct cluster_directory directory;
};

enum cluster_state {
	CLUSTER_FORMING,
	CLUSTER_JOINING,
	CLUSTER_JOINED,
	CLUSTER_REGISTERED,
	CLUSTER_SERVING,
	CLUSTER_STOPPING,
	CLUSTER_STOPPED,
	CLUSTER_GONE,
	CLUSTER_FAILED,
};

/* --- outputs ------------------------------------------------------------------------------------------------------ */

enum cluster_output_kind {
	CLUSTER_SEND = 1,      /* body to a node's control port; the host puts the envelope around it */
	CLUSTER_MAP_CHANGED,   /* cluster->map is newer; at most one waits at a time */
	CLUSTER_CONTACTS,      /* cluster->contacts is newer; at most one waits at a time */
	CLUSTER_ADMITTED,      /* body: the cluster's id; make it durable, then cluster_admit */
	CLUSTER_REGISTERED_AS, /* own entry applied: node_id, node_epoch; make it durable, then cluster_serve */
	CLUSTER_RESULT,        /* of cluster_propose: result (detail points into body) */
	CLUSTER_WISH,       /* the controller asks this primary to hand `partition` over to node_id (design.md 6.7) */
	CLUSTER_IS_STOPPED, /* the clean stop is committed: the directory may write its proof for node_epoch and end */
	CLUSTER_AT_VERSION, /* the cluster's version has risen: note it durably, so that no older binary starts there */
	CLUSTER_IS_GONE,    /* the node is no member and no server of Raft any more: mark the directory, end */
	CLUSTER_NOTICE,     /* for the log: notice, and text where that says so */
	CLUSTER_FATAL,      /* the process must end; fatal says why, text what was found */
};

enum cluster_notice_kind {
	NOTICE_FORMED = 1,           /* count: founders */
	NOTICE_TWO_NODES,            /* formed by two: not much is survived */
	NOTICE_FOUNDERS_DIFFER,      /* another node has another list: no cluster is formed */
	NOTICE_OUTSIDER,             /* this directory is not the one that founded the cluster: it asks for its place */
	NOTICE_REGISTRATION_REFUSED, /* text: why; asked again */
	NOTICE_SUSPECT_ELECTED,      /* count: new ones; total: ever. Acknowledged events may be lost */
	NOTICE_FORCED_ELECTION,      /* the same, by an operator; text: the last one and its reason */
	NOTICE_CLOCK_OFF,            /* text: the node; distance_ms from the voters' median */
	NOTICE_CLOCK_RIGHT,          /* text: the node */
	NOTICE_OWN_CLOCK_OFF,
	NOTICE_OWN_CLOCK_RIGHT,
	NOTICE_MEMBER_LIVE,      /* text: the node; it takes part in the cluster */
	NOTICE_MEMBER_LOST,      /* text: the node; silent, or another process now: no clean stop */
	NOTICE_MEMBER_STOPPED,   /* text: the node; cleanly */
	NOTICE_JOINING,          /* count: founders, of whom this node is none; it asks them */
	NOTICE_JOINED,           /* count: the node id that was given to this newcomer; text: the cluster's id */
	NOTICE_JOIN_REFUSED,     /* text: why; asked again */
	NOTICE_ZONES_CROWDED,    /* by the controller; count: partitions with replicas in one zone, none in another */
	NOTICE_ZONES_SPREAD,     /* by the controller: there are none any more */
	NOTICE_MEMBER_GONE,      /* text: the node; decommissioned, for good */
	NOTICE_GONE,             /* this node was decommissioned */
	NOTICE_RESTORING,        /* a back-up is awaited: nobody is served before all of it is there */
	NOTICE_RESTORED,         /* and now it is */
	NOTICE_NEWCOMER_REFUSED, /* by the controller; text: the name it asks under; count: enum refusal */
	NOTICE_COUNT
};

struct cluster_notice {
	enum cluster_notice_kind kind;
	uint64_t count;
	uint64_t total;
	int64_t distance_ms;
};

enum cluster_fatal {
	FATAL_MEMORY = 1,
	FATAL_STORE,      /* of Raft: cannot be opened, read or written */
	FATAL_ENTRY,      /* of the metadata: not understood */
	FATAL_SNAPSHOT,   /* of the metadata: not understood */
	FATAL_MAP,        /* cannot be made of the metadata */
	FATAL_NAME_TAKEN, /* another process registered under this name */
	FATAL_VERSION,    /* the cluster is at a version that this binary does not know */
	FATAL_REPLACED,   /* another data directory has this name now */
};

struct cluster_output {
	enum cluster_output_kind kind;
	enum message_kind message; /* SEND */
	uint32_t node_id;          /* SEND: 0 while the receiver has no id yet */
	uint64_t node_epoch;
	uint16_t partition;
	uint16_t items;                      /* SEND: for the envelope */
	uint16_t version;                    /* AT_VERSION */
	char address[ADDRESS_MAX_BYTES + 1]; /* SEND: control address, always set */
	struct propose_result result;
	struct buffer body;
	struct cluster_notice notice;
	enum cluster_fatal fatal;
	char text[CLUSTER_TEXT_BYTES];
};

void cluster_output_deinit(struct cluster_output *output);

/* --- the cluster -------------------------------------------------------------------------------------------------- */

struct cluster; /* in raft/cluster_state.h: big, and holds libraft's structs; hosts keep a pointer */

/* `io` is complete (raft_uv_init, or the simulator's) and stays the host's; cluster_new replaces its start, send,
 * time and random, and watches its store. It must outlive the cluster. NULL when memory is short. */
struct cluster *cluster_new(const struct cluster_config *config, struct raft_io *io, uint64_t now_ms);

/* Begins; a single founder forms here at once. Trouble shows as CLUSTER_FATAL. */
void cluster_start(struct cluster *cluster, uint64_t now_ms);

void cluster_tick(struct cluster *cluster, uint64_t now_ms, uint64_t unix_ms);

/* A message of the control port from a peer, kinds FORMATION to NODE_JOIN_ANSWER but for PRODUCER_*; others are
 * ignored. message->node_id is trusted as far as HELLO and the link's keys made it so. Bytes are checked. */
void cluster_receive(struct cluster *cluster, const struct message *message, uint64_t now_ms);

/* The host made the cluster id of CLUSTER_ADMITTED durable: Raft runs from now on. */
void cluster_admit(struct cluster *cluster);

/* The host made the node epoch of CLUSTER_REGISTERED_AS durable: heartbeats bear it from now on. */
void cluster_serve(struct cluster *cluster, uint64_t node_epoch);

/* A metadata command (command.h) from this node's shards, clients or operator. Sent to the controller, wherever it is.
 * Answered exactly once by CLUSTER_RESULT with this ticket: NONE, REFUSED and other outcomes of apply, NOT_CONTROLLER
 * (none known), BUSY, or OUTCOME_UNKNOWN after CLUSTER_PROPOSAL_TIMEOUT_MS; every command is conditional, so that
 * asking again after OUTCOME_UNKNOWN is safe. */
#define CLUSTER_PROPOSAL_TIMEOUT_MS 2000u
void cluster_propose(struct cluster *cluster, uint64_t ticket, struct span command, uint64_t now_ms);

/* This node means to stop: its heartbeats say so from now on, the next one at once. */
void cluster_stop_announce(struct cluster *cluster);

/* Clean stop, after the shards have handed over, stopped writing and synced. Ends in CLUSTER_IS_STOPPED, if a
 * controller can be found; the host bounds its patience. The Raft leader passes leadership on first. */
void cluster_stop(struct cluster *cluster, uint64_t now_ms);

/* A connection to this node broke: fence it sooner (rule 7 makes that safe) unless it is heard within a heartbeat. */
void cluster_connection_lost(struct cluster *cluster, uint32_t node_id, uint64_t now_ms);

/* Takes the oldest output; false: none. The caller calls cluster_output_deinit. */
bool cluster_next(struct cluster *cluster, struct cluster_output *output);

/* Closing: cluster_close once, then complete the raft_io's requests until cluster_closed, then cluster_free (NULL). */
void cluster_close(struct cluster *cluster);
bool cluster_closed(const struct cluster *cluster);
struct cluster *cluster_free(struct cluster *cluster);

/* --- looking ------------------------------------------------------------------------------------------------------ */

enum cluster_state cluster_state(const struct cluster *cluster);
const struct cluster_map *cluster_map(const struct cluster *cluster); /* newest of applied and pushed */
const struct contact_table *cluster_contacts(const struct cluster *cluster);
struct sender cluster_sender(const struct cluster *cluster); /* for the envelopes of this node's messages */
bool cluster_is_controller(const struct cluster *cluster);   /* leads, and has applied everything before its term */
node_set cluster_stopping(const struct cluster *cluster);    /* other nodes that lately said that they stop, or have */
node_set cluster_stops_open(const struct cluster *cluster);  /* those of them that still want consent */
uint64_t cluster_raft_id(const struct cluster *cluster);
uint64_t cluster_raft_term(const struct cluster *cluster);
uint64_t cluster_applied(const struct cluster *cluster); /* index of the last entry applied here */
uint64_t cluster_digest(const struct cluster *cluster);  /* of the applied metadata: equal at equal index everywhere */

/* How this node's part stands, for the host's metrics; nothing is decided by it. */
struct cluster_figures {
	bool has_leader;
	bool leads;
	uint64_t term;
	uint64_t leader_changes; /* leaders seen that were not the one before */
	uint64_t commit_index;
	uint64_t applied_index;
	uint64_t last_index;
	uint32_t proposals_pending;
	uint64_t proposals_failed[ERROR_NUMBERS]; /* by the error they were answered with */
	uint64_t waiting_bytes;                   /* commands that wait on the controller, of waiting_limit_bytes */
	uint64_t waiting_limit_bytes;
};

void cluster_figures(struct cluster *cluster, struct cluster_figures *figures);

#endif

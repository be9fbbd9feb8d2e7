/* Metadata commands: what is proposed to the controller and, batched into entries, replicated by Raft. Every command is
 * conditional: it names what it expects, apply decides, and a refusal is a result like any other. None carries the
 * meaning of "now" but the entry's time, stamped by the controller.
 *
 * Command: u16 kind, u32 body size, body by kind (little-endian, strings with varint length). A kind or an extra byte
 * that a node does not know ends its process (design.md 5): so no new kind is proposed before all members know it. */
#ifndef EVGRID_RAFT_COMMAND_H
#define EVGRID_RAFT_COMMAND_H

#include "proto/cluster_map.h"
#include "proto/error.h"

#define COMMAND_MAX_BYTES (256u * 1024) /* one VIEW_APPLY, or a PLACE of all partitions, fits */
#define ENTRY_MAX_BYTES (1024u * 1024)
#define ENTRY_FORMAT 2u
#define ENTRY_FORMER 1u /* the same bytes; what format 2 alone means stands in metadata.c */

enum command_kind {
	COMMAND_FORM = 1,           /* struct command_form: the first entry */
	COMMAND_NODE_REGISTER = 2,  /* struct command_register */
	COMMAND_NODE_FENCE = 3,     /* items: struct command_node */
	COMMAND_NODE_UNFENCE = 4,   /* items: struct command_node */
	COMMAND_NODE_STOPPED = 5,   /* one struct command_node */
	COMMAND_ISR_CHANGE = 6,     /* items: struct command_isr */
	COMMAND_HANDOVER = 7,       /* items: struct command_handover */
	COMMAND_PLACE = 8,          /* items: struct command_place */
	COMMAND_REPORT_ENDS = 9,    /* struct command_ends */
	COMMAND_STREAM_CREATE = 10, /* struct command_stream */
	COMMAND_VIEW_APPLY = 11,    /* struct command_view */
	COMMAND_MINIMUM_ISR = 12,   /* struct command_minimum: an operator's */
	COMMAND_REPLICA_OUT = 13,   /* items: struct command_out */
	COMMAND_ELECT = 14,         /* struct command_elect: an operator's */
	COMMAND_NODE_CLOCK = 15,    /* items: struct command_clock */
	COMMAND_VIEW_FILLED = 16,   /* items: struct command_filled */
	COMMAND_VIEW_DROP = 17,     /* struct command_drop */
	COMMAND_NODE_JOIN = 18,     /* struct command_join: the controller's, for a newcomer that asked */
	COMMAND_DECOMMISSION = 19,  /* struct command_decommission: an operator's */
	COMMAND_NODE_GONE = 20,     /* struct command_gone: the controller's, for a draining node that is empty */
	COMMAND_DRAIN = 21,         /* struct command_drain: an operator's */
	COMMAND_RESTORE = 22,       /* struct restore (proto/restore.h): an operator's, while restoring */
	COMMAND_RESTORED = 23,      /* struct restored: an operator's, the last of a restore */
	COMMAND_RAISE_VERSION =
		24, /* struct command_version: an operator's; the controller's while nothing is stored */
};

/* Why apply refused: beside the error code, for people and tests. The table of texts is in command.c. */
enum refusal {
	REFUSAL_NONE = 0,
	REFUSAL_FORMED, /* the cluster is formed already, or not yet */
	REFUSAL_UNKNOWN_NODE,
	REFUSAL_FOREIGN_DIRECTORY, /* another identity than the one registered under this name */
	REFUSAL_NODE_EPOCH,        /* not the registered one */
	REFUSAL_FENCED,            /* a node named is fenced, or is not when it should be */
	REFUSAL_PARTITION_VERSION,
	REFUSAL_NOT_PRIMARY,
	REFUSAL_NOT_REPLICA,
	REFUSAL_NOT_IN_SYNC, /* neither in ISR nor ELR, or a replica is removed that must not be */
	REFUSAL_BELOW_MINIMUM,
	REFUSAL_EXISTS,
	REFUSAL_LIMIT,
	REFUSAL_REGISTERED,    /* this incarnation has registered before: nothing is changed */
	REFUSAL_LAST_COMPLETE, /* nobody else is in ISR or ELR: it is the best copy there is */
	REFUSAL_HAS_PRIMARY,   /* somebody complete is there */
	REFUSAL_TOO_EARLY,     /* the last primary may not know yet that it is none */
	REFUSAL_CLOCK,         /* its clock is off, or is marked as it is already */
	REFUSAL_OVERTAKEN,     /* another process of the node has registered since it was asked */
	REFUSAL_VIEW,          /* no such view, or it has another version by now */
	REFUSAL_DRAINING,      /* another node is being drained or decommissioned, or this one is not */
	REFUSAL_TOO_FEW,       /* fewer live nodes than replicas would be left */
	REFUSAL_JOINED,        /* this node is a member already */
	REFUSAL_DIRECTORY,     /* its data directory is, or was, a member's under another name or in another life */
	REFUSAL_NOT_EMPTY,     /* it is replica or learner of a partition */
	REFUSAL_HOLDER_LIVES,  /* the process that has this name is live */
	REFUSAL_HOLDER_NEEDED, /* nobody but the name's former directory has all of some partition */
	REFUSAL_RESTORING,     /* a back-up is being restored */
	REFUSAL_NOT_RESTORING, /* the cluster was not formed for a restore, or it is over */
	REFUSAL_BACKUP,        /* another back-up than the one that is being restored, or not all of it */
	REFUSAL_NO_MEMBER,     /* a founder of its own list asks, under a name that no member has or had */
	REFUSAL_NAMES,         /* as many names of nodes as there can be in a cluster's life */
	REFUSAL_VERSION,       /* its binary does not know the cluster's version */
	REFUSAL_VERSION_FALLS, /* the cluster is at a higher version */
	REFUSAL_COUNT,
};

const char *refusal_text(enum refusal refusal);

struct command_result {
	uint16_t error; /* enum error: NONE, REFUSED, EXISTS, LIMIT */
	uint16_t refusal;
	uint32_t refused_items; /* of the lists; the others were done */
};

/* --- bodies ------------------------------------------------------------------------------------------------------- */

struct command_founder {
	struct span name;
	struct span control_address;
	uint64_t raft_id; /* digest of the directory's identity */
};

struct command_form {
	uint8_t cluster_id[16];
	uint8_t replication_factor;
	uint8_t minimum_isr;
	uint32_t founder_count; /* node ids are 1.. in this order */
	struct command_founder founders[NODES_MAX];
	bool restoring; /* a back-up is to be restored first */
};

struct command_join {
	struct span name;
	struct span control_address;
	uint64_t raft_id;
	bool moved; /* it has the place, and never registered from the address there; written last, and only if so */
};

struct command_register {
	struct span name;
	uint64_t raft_id;
	uint64_t incarnation;
	uint64_t shown_epoch; /* the directory's: node epoch it last served under, 0 never */
	uint64_t proof_epoch; /* the directory's clean-stop proof, 0 none */
	uint64_t known_epoch; /* the registered one, as far as the process knows: a later one overtakes it */
	bool shown_interval;  /* sync mode of that time */
	bool interval;        /* sync mode of this run */
	uint8_t damaged;      /* bit per shard */
	uint8_t weight;       /* 1..NODE_WEIGHT_MAX, or 0, as 1; written only above 1, or where versions follow */
	struct version_range versions; /* written last, from CLUSTER_VERSION_TOLD on; highest 0: they are not told */
	uint16_t shard_count;
	uint16_t shard_ports[SHARDS_MAX];
	struct span zone;
	struct span host;
	struct span control_address;
};

struct command_node {
	uint32_t node_id;
	uint64_t node_epoch;
};

/* The controller's judgement of a node's clock. */
struct command_clock {
	struct command_node node;
	bool off;
};

/* The primary's wish for a new ISR. Added replicas bear the node epoch that gave their acknowledgement; those of kept
 * ones are not looked at. */
struct command_isr {
	uint16_t partition;
	uint64_t expected_version;
	uint32_t primary;
	uint64_t primary_node_epoch;
	uint8_t count;
	struct command_node isr[MEMBERS_MAX]; /* learners too: a move ends when they are in sync */
};

struct command_handover {
	uint16_t partition;
	uint64_t expected_version;
	uint32_t primary;
	uint64_t primary_node_epoch;
	uint32_t to;
};

/* A replica says that its own copy is unsound (rule 9): it leaves ISR and ELR, and the epoch rises, so that nothing it
 * acknowledged before counts when it comes back empty. */
struct command_out {
	uint16_t partition;
	uint64_t expected_version;
	uint32_t node_id;
	uint64_t node_epoch;
};

struct command_place {
	uint16_t partition;
	uint64_t expected_version; /* 0: the row is empty */
	uint8_t replica_count;
	uint32_t replicas[REPLICAS_MAX];
	node_set learners;
	node_set leaving; /* of the replicas; none without learners */
};

struct command_end {
	uint16_t partition;
	uint64_t expected_version; /* of its row, which has no primary: what is told holds as long as it has none */
	uint32_t last_epoch;       /* of its last record; 0: empty */
	uint64_t end;
};

/* A node's answer to being a suspect (design.md 6.10): what its journals hold, synced. */
struct command_ends {
	uint32_t node_id;
	uint64_t node_epoch;
	uint32_t count;
	struct command_end ends[PARTITION_COUNT];
};

struct command_stream {
	struct span name;
	struct span settings;
};

struct command_view {
	struct span name;
	uint32_t expected_version; /* the present version; 0: there is none (any more). UINT32_MAX: whatever it is */
	struct span definition;
};

/* Dropped as this version already: it is so. */
struct command_drop {
	struct span name;
	uint32_t expected_version; /* the present version. UINT32_MAX: whatever it is */
};

/* A primary's word for its partitions: their in-sync replicas have filled this version of the view, or their logs have
 * chosen it already. The entry that completes the 271 makes the version active. */
struct command_filled {
	struct command_node primary;
	uint32_t view_id;
	uint32_t version;
	struct partition_set partitions; /* not empty */
};

struct command_minimum {
	uint8_t minimum_isr; /* of every row */
};

/* An operator's decision (rule 10): this replica becomes primary although others hold more. It raises the history. */
struct command_elect {
	uint16_t partition;
	uint64_t expected_version;
	uint32_t node_id;
	struct span reason; /* for the log */
};

/* An operator's decision: the node gives away all that it holds; or stays after all. */
struct command_decommission {
	struct span name;
	bool stays;
	bool unregistered; /* asked of a node that never registered: without this such a one is refused */
};

/* It has given away all, and is no member any more. */
struct command_gone {
	uint32_t node_id;
	uint64_t raft_id;
};

/* An operator's decision: the process that has registered under this name is primary of nothing; or may be again. */
struct command_drain {
	struct span name;
	bool on;
};

/* An operator's decision, or the controller's in a cluster that holds nothing: docs/decisions/0029. */
struct command_version {
	uint16_t version;
	uint32_t count;
	struct command_node members[NODES_MAX]; /* every one, as the process that knows this version */
};

/* Writing: each appends one whole command. Failure shows in out->failed. */
void command_form_encode(const struct command_form *form, struct buffer *out);
void command_join_encode(const struct command_join *join, struct buffer *out);
void command_register_encode(const struct command_register *reg, struct buffer *out);
void command_nodes_encode(enum command_kind kind, const struct command_node *nodes, uint32_t count, struct buffer *out);
void command_clock_encode(const struct command_clock *items, uint32_t count, struct buffer *out);
/* All of the set; epochs by node id - 1. */
void command_isr_set(struct command_isr *item, node_set isr, const uint64_t added_epochs[NODES_MAX]);
void command_isr_encode(const struct command_isr *items, uint32_t count, struct buffer *out);
void command_handover_encode(const struct command_handover *items, uint32_t count, struct buffer *out);
void command_out_encode(const struct command_out *items, uint32_t count, struct buffer *out);
void command_place_encode(const struct command_place *items, uint32_t count, struct buffer *out);
void command_ends_encode(const struct command_ends *ends, struct buffer *out);
void command_stream_encode(const struct command_stream *stream, struct buffer *out);
void command_view_encode(const struct command_view *view, struct buffer *out);
void command_drop_encode(const struct command_drop *drop, struct buffer *out);
void command_filled_encode(const struct command_filled *items, uint32_t count, struct buffer *out);
void command_elect_encode(const struct command_elect *elect, struct buffer *out);
void command_minimum_encode(const struct command_minimum *minimum, struct buffer *out);
void command_decommission_encode(const struct command_decommission *decommission, struct buffer *out);
void command_gone_encode(const struct command_gone *gone, struct buffer *out);
void command_drain_encode(const struct command_drain *drain, struct buffer *out);
void command_version_encode(const struct command_version *raise, struct buffer *out);

/* Reading: the frame of the next command, then its body. Lists are read item by item until reader_done.
 * 0, or ERROR_MALFORMED. Spans point into the input. */
struct command {
	enum command_kind kind;
	struct span body;
};

int command_decode(struct reader *in, struct command *command);
bool command_kind_known(uint16_t kind);
const char *command_kind_name(enum command_kind kind);

int command_form_decode(struct span body, struct command_form *form);
int command_join_decode(struct span body, struct command_join *join);
int command_register_decode(struct span body, struct command_register *reg);
int command_node_decode(struct reader *in, struct command_node *node);
int command_clock_decode(struct reader *in, struct command_clock *item);
int command_isr_decode(struct reader *in, struct command_isr *item);
int command_handover_decode(struct reader *in, struct command_handover *item);
int command_out_decode(struct reader *in, struct command_out *item);
int command_place_decode(struct reader *in, struct command_place *item);
int command_ends_decode(struct span body, struct command_ends *ends);
int command_stream_decode(struct span body, struct command_stream *stream);
int command_view_decode(struct span body, struct command_view *view);
int command_drop_decode(struct span body, struct command_drop *drop);
int command_filled_decode(struct reader *in, struct command_filled *item);
int command_elect_decode(struct span body, struct command_elect *elect);
int command_minimum_decode(struct span body, struct command_minimum *minimum);
int command_decommission_decode(struct span body, struct command_decommission *decommission);
int command_gone_decode(struct span body, struct command_gone *gone);
int command_drain_decode(struct span body, struct command_drain *drain);
int command_version_decode(struct span body, struct command_version *raise);

/* Decodes the whole command and throws the result away: whether a peer's or client's bytes may be proposed at all. */
int command_check(struct span bytes);

/* Who may propose a sound command: a node on its own behalf; a client or operator. The rest is the controller's. */
bool command_from_node(struct span bytes);
bool command_from_client(struct span bytes);

/* --- entries: what one Raft entry holds --------------------------------------------------------------------------- */

/* u8 format, u8 0, u16 command count, u64 proposer's incarnation, u64 number, u64 unix ms, commands. An entry without
 * commands is the barrier of a new controller. */
struct entry {
	uint8_t format; /* as decoded */
	uint16_t count;
	uint64_t incarnation;
	uint64_t number;
	uint64_t unix_ms;
	struct span commands;
};

#define ENTRY_HEADER_BYTES 28u

void entry_header_encode(const struct entry *entry, uint8_t bytes[ENTRY_HEADER_BYTES]);
int entry_decode(struct span bytes, struct entry *entry); /* 0, ERROR_MALFORMED, ERROR_VERSION */

#endif

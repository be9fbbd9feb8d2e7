/* The metadata machine: what Raft's committed entries make of the cluster. The same entries give the same machine on
 * every node, byte for byte: apply sees the index and the bytes and nothing else, and never fails but for bytes that
 * this binary does not understand (ERROR_VERSION, ERROR_MALFORMED) or lack of memory, which end the process.
 *
 * Invariants of a row (partition), after every command; rules are design.md section 6's:
 *  1. ISR, ELR and suspects are disjoint, and within replicas and learners; learners and replicas are disjoint. Some of
 *     the replicas are leaving only while somebody learns.
 *  2. The primary, if there is one, is in the ISR and live. Fenced nodes are in no ISR.
 *  3. ISR at or above its minimum: ELR and suspects are empty (rule 1).
 *  4. The version rises with every change; the epoch with every change of primary, replicas or learners, and when the
 *     primary's node starts anew.
 *  5. Somebody of the ISR, else of the ELR, is live and its clock is right: there is a primary. It is a drained node
 *     only where that is the only one. */
#ifndef EVGRID_RAFT_METADATA_H
#define EVGRID_RAFT_METADATA_H

#include "proto/cluster_map.h"
#include "raft/command.h"

/* Between the loss of a primary and an operator's decision: one fence time, after which a primary that is alone and cut
 * off has stopped (rules 7 and 10), and a second for a clock that is corrected meanwhile. By one clock: metadata.c. */
#define METADATA_HEADLESS_MS (FENCE_TIMEOUT_MS + 1000u)

/* Settings and definitions together, so that a snapshot fits into one message. */
#define METADATA_TEXT_MAX_BYTES (2u * 1024 * 1024)

struct metadata_node {
	uint64_t raft_id;
	uint64_t served_epoch; /* last unfenced under: its directory shows this one or a later one */
	uint64_t proof_epoch;  /* of its last clean stop */
	bool interval;         /* sync mode it registered with */
};

/* What a suspect said its journal holds. */
struct metadata_report {
	uint32_t node_id; /* 0: none */
	uint64_t node_epoch;
	uint32_t last_epoch;
	uint64_t end;
};

struct metadata_partition {
	struct metadata_report reports[MEMBERS_MAX];
	uint64_t possible_loss_at; /* index of the entry that elected a suspect, or by force; 0: never */
	uint64_t headless_ms;      /* when it lost its primary, by the present controller's clock; 0: it has one */
};

struct metadata {
	struct cluster_map map;     /* map.controller stays 0: who leads is not metadata */
	uint64_t applied;           /* index of the last entry */
	struct version_range knows; /* this binary; of the metadata, one that it has not is not applied */
	uint64_t suspect_elections;
	uint64_t forced_elections;
	struct metadata_node nodes[NODES_MAX];
	struct metadata_partition partitions[PARTITION_COUNT];
	uint8_t touched[PARTITION_COUNT];       /* scratch of one command: enum touch, */
	uint16_t touched_from;                  /* none below it was touched */
	uint16_t touched_end;                   /* none from it on; 0: none was */
	uint64_t entry_ms;                      /* scratch of one entry: the proposer's Unix time */
	char forced_reason[NAME_MAX_BYTES + 1]; /* of the last forced election that was applied here */
};

enum touch { TOUCH_NONE = 0, TOUCH_ROW = 1, TOUCH_EPOCH = 2 };

void metadata_init(struct metadata *metadata);
void metadata_deinit(struct metadata *metadata); /* may be called twice */

/* Applies an entry. results receives one per command, up to max. 0, or why the process must end. */
int metadata_apply(struct metadata *metadata, uint64_t index, struct span entry, struct command_result *results,
		   uint32_t max, uint32_t *count);

bool metadata_formed(const struct metadata *metadata);

/* Whether a directory of this Raft id may join under this name, new, or in the place of one that is lost:
 * REFUSAL_NONE, or why not. */
enum refusal metadata_may_join(const struct metadata *metadata, struct span name, uint64_t raft_id);

/* A member's: neither unknown nor gone. 0: of nobody. */
uint32_t metadata_member(const struct metadata *metadata, uint64_t raft_id);

bool metadata_node_empty(const struct metadata *metadata, uint32_t node_id); /* in no row */

/* The whole machine with a checksum. Decoding replaces it, or leaves it as it was: 0, ERROR_MEMORY, ERROR_MALFORMED,
 * ERROR_CHECKSUM, ERROR_VERSION. */
int metadata_encode(const struct metadata *metadata, struct buffer *out);
int metadata_decode(struct metadata *metadata, struct span bytes);
/* The cluster's version when it was made, also where nothing else of it can be read; 0: it is no snapshot. */
uint16_t metadata_snapshot_version(struct span bytes);

/* Equal on all nodes at equal index. 0 when memory is short. */
uint64_t metadata_digest(const struct metadata *metadata);

/* --- rows (metadata_row.c): what several commands do -------------------------------------------------------------- */

bool metadata_has_node(const struct metadata *metadata, const struct command_node *node); /* known, and of this epoch */

/* Out of ISR: into the ELR if the ISR thereby falls below its minimum. */
void row_leave(struct metadata *metadata, uint16_t partition, node_set leaving);
/* Out of ISR and ELR: a suspect, as far as rule 10 needs it. */
void row_suspect(struct metadata *metadata, uint16_t partition, uint32_t node_id);
/* Out of everything: its journal is gone. */
void row_forget(struct metadata *metadata, uint16_t partition, uint32_t node_id);
/* Invariant 3. */
void row_settle(struct metadata *metadata, uint16_t partition);
void row_depose(struct metadata *metadata, uint16_t partition);
void row_touch(struct metadata *metadata, uint16_t partition, enum touch touch);
/* Gives a primary to every row that has none and can have one (rules 1 and 10). */
void rows_elect(struct metadata *metadata);
bool row_is_sound(const struct metadata *metadata, uint16_t partition); /* the invariants; for assertions and tests */

/* --- nodes: what several commands do (metadata_member.c) ---------------------------------------------------------- */

struct map_node *metadata_node_of(struct metadata *metadata, uint32_t node_id);
struct map_node *metadata_node_by_name(struct metadata *metadata, struct span name); /* NULL: no such node */
void metadata_node_touch(struct metadata *metadata, struct map_node *node);
void metadata_text_keep(char *to, struct span text);

/* --- commands (metadata_node.c, metadata_member.c, metadata_partition.c, metadata_definition.c) ------------------- */

int metadata_form(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_join(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_register(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_fence(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_unfence(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_clock(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_stopped(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_gone(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_drain(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_decommission(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_isr_change(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_handover(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_replica_out(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_place(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_report_ends(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_elect(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_minimum(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_stream_create(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_view_apply(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_view_drop(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_view_filled(struct metadata *metadata, struct span body, struct command_result *result);

int metadata_raise_version(struct metadata *metadata, struct span body, struct command_result *result);

/* --- a restore (metadata_restore.c) ------------------------------------------------------------------------------- */

int metadata_restore(struct metadata *metadata, struct span body, struct command_result *result);
int metadata_restored(struct metadata *metadata, struct span body, struct command_result *result);
bool metadata_waits_for_restore(enum command_kind kind); /* it is refused while a back-up is being restored */

/* Notes a refusal: of the command, or of one item of its list. */
void command_refuse(struct command_result *result, uint16_t error, enum refusal refusal);

#endif

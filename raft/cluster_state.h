/* What a struct cluster holds, for the files of raft/ that make it up and for their tests; hosts use cluster.h.
 *
 * cluster.c            life, ticks, what arrives, settling
 * cluster_output.c     outputs
 * cluster_notice.c     what people should hear of
 * cluster_formation.c  from an empty directory to a running Raft
 * cluster_join.c       a newcomer's way into a formed cluster, and what members answer it
 * cluster_contact.c    heartbeats, leases' contacts, the map's way to all nodes
 * cluster_propose.c    this node's own proposals, registration, clean stop
 * controller.c         the leader's queue of commands and entries
 * controller_duty.c    what the leader does by itself: fence, unfence, place, wish
 * cluster_leave.c      a node that is no member any more: how it learns that, and ends
 * controller_join.c    newcomers and leavers, in the metadata
 * controller_members.c Raft's configuration follows; voters
 * controller_clock.c   whose clock is off
 * controller_version.c when the cluster's version may rise
 * controller_moves.c   partitions on their way from node to node */
#ifndef EVGRID_RAFT_CLUSTER_STATE_H
#define EVGRID_RAFT_CLUSTER_STATE_H

#include "raft/cluster.h"
#include "raft/controller.h"
#include "raft/metadata.h"
#include "raft/raft_node.h"

#define FORMATION_INTERVAL_MS 100u
#define JOIN_INTERVAL_MS 300u
#define JOIN_LED_MS 3000u /* a member that nobody has led for so long asks whether it is one */
#define GONE_MS 5000u     /* patience of a node that is gone and does not vote to be told that Raft is done with it */
#define FORMING_ASKS_MS 3000u  /* a founder that has not heard all others for so long asks whether there is a cluster */
#define JOIN_WAITS_MS 5000u    /* a newcomer that is kept waiting for a reason says so */
#define JOIN_REQUESTS_MAX 4u   /* kept by a controller; the others ask again */
#define JOIN_TOLD_MAX 16u      /* newcomers whose refusal a controller remembers having told */
#define PROPOSAL_RETRY_MS 300u /* registration and clean stop ask again */
#define STOP_HEARD_MS (3 * HEARTBEAT_INTERVAL_MS) /* who said that it stops and is silent for longer has ended */
#define STOP_TRANSFER_MS 1000u /* patience for another leader before a stopping leader proposes to itself */

struct output_link {
	struct cluster_output output;
	struct output_link *next;
};

/* A founder as this node knows it. */
struct formation_peer {
	uint64_t raft_id;         /* 0: not heard */
	bool has_state;           /* has Raft state: the cluster was formed */
	uint64_t list[NODES_MAX]; /* the founders' Raft ids as it knows them, in founder order */
};

struct formation {
	struct formation_peer peers[NODES_MAX]; /* by founder; our own too */
	uint32_t self;
	uint64_t digest; /* of the founder list: must be the same on all */
	uint64_t next_ms;
	bool differed; /* said once */
};

/* A newcomer that has asked this controller. */
struct join_request {
	uint64_t raft_id; /* 0: free */
	char name[NAME_MAX_BYTES + 1];
	char control_address[ADDRESS_MAX_BYTES + 1];
};

/* A newcomer's refusal that people were told of. */
struct join_told {
	uint64_t raft_id; /* 0: free */
	enum refusal refusal;
};

struct join {
	bool newcomer; /* this node is none of the founders, or has not the directory that was */
	bool admitted; /* CLUSTER_ADMITTED was given */
	uint32_t turn; /* of the founders and members: who is asked next */
	uint64_t next_ms;
	uint64_t led_ms;                                /* when somebody led last, as far as is known here */
	uint64_t waits_ms;                              /* told so since then, with a reason; 0: not */
	bool asked_controller;                          /* the last question went where it was sent to */
	char controller_address[ADDRESS_MAX_BYTES + 1]; /* where it is sent to next; empty: the founders in turn */
	char refused[CLUSTER_TEXT_BYTES];               /* what was told last */
	struct join_request requests[JOIN_REQUESTS_MAX];
	struct join_told told[JOIN_TOLD_MAX]; /* the oldest gives way */
	uint32_t told_turn;
	uint64_t members_ms; /* when Raft's configuration is looked at again */
};

struct leave {
	uint64_t since_ms; /* of being GONE */
	bool released;     /* Raft is done with it */
	bool told;         /* CLUSTER_IS_GONE was given */
};

/* What a node's heartbeats told. */
struct peer_contact {
	uint64_t heard_ms;      /* last answer that bore its registered node epoch */
	uint64_t lost_ms;       /* its connection broke and no heartbeat came since; 0: no */
	uint64_t claimed_epoch; /* the node epoch its heartbeats bear */
	uint64_t map_version;   /* it has this map */
	uint64_t live_since_ms;
	int64_t clock_ahead_ms;        /* of ours, as its last prompt answer showed */
	uint64_t clock_at_ms;          /* when that was; 0: never */
	uint64_t clock_since_ms;       /* judged otherwise than marked since then; 0: no */
	struct version_range versions; /* what its HELLO told, */
	uint64_t versions_of;          /* and of which incarnation */
	uint64_t stop_ms;              /* its last message that said so, */
	uint8_t stop;                  /* and what: enum heartbeat_stop */
};

struct proposal {
	uint64_t number; /* on the wire; 0: free */
	uint64_t ticket; /* the host's */
	uint64_t deadline_ms;
};

struct cluster {
	struct cluster_config config;
	enum cluster_state state;
	uint64_t now_ms;
	uint64_t unix_ms;
	uint64_t started_ms;
	uint64_t ticked_ms;
	uint64_t raft_id;
	uint32_t node_id; /* 0: not known yet */
	uint64_t node_epoch;
	bool raft_ready; /* raft_init succeeded: it must be closed */
	bool memory_short;
	struct raft_node raft;
	struct metadata metadata; /* applied */
	struct cluster_map map;   /* published: newest of applied and pushed */
	uint32_t nodes_end;       /* ids of both maps are at most this, */
	uint64_t nodes_end_of[2]; /* in these versions of them */
	uint64_t leader_id;       /* Raft id last seen */
	uint64_t leader_changes;
	uint64_t proposals_failed[ERROR_NUMBERS];
	struct contact_table contacts;
	struct peer_contact peers[NODES_MAX];
	uint64_t next_heartbeat_ms;
	bool stop_announced;
	struct formation formation;
	struct join join;
	struct leave leave;
	struct proposal proposals[CLUSTER_PROPOSALS_MAX];
	uint64_t proposals_expire_ms; /* not before; one that was answered may have been the first */
	uint64_t next_number;
	uint64_t next_retry_ms;
	uint64_t stop_transfer_until_ms;
	uint64_t own_number;              /* of the last registration or stop proposed */
	uint64_t known_epoch;             /* in the last registration */
	uint64_t members_told[NODES_MAX]; /* by node: the epoch it was told live under; 0: not live */
	uint64_t suspect_elections_told;
	uint64_t forced_elections_told;
	uint64_t zones_seen;   /* version of the map whose zones were looked at; 0: not as this controller */
	uint32_t crowded_told; /* partitions that crowd a zone, as told last */
	bool clock_told;       /* that this node's own clock is off */
	uint16_t version_told;
	bool restoring_told; /* and that a back-up is awaited */
	struct controller controller;
	struct output_link *outputs;
	struct output_link *outputs_last;
	bool map_waits; /* a MAP_CHANGED output waits */
	bool contacts_wait;
};

/* --- cluster.c ---------------------------------------------------------------------------------------------------- */

void cluster_move(struct cluster *cluster, enum cluster_state state);
void cluster_settle(struct cluster *cluster);
int cluster_raft_begin(struct cluster *cluster); /* Raft has state now: run it */

/* --- cluster_output.c --------------------------------------------------------------------------------------------- */

/* Appends an output of this kind; NULL when memory is short (that is fatal by itself). */
struct cluster_output *output_push(struct cluster *cluster, enum cluster_output_kind kind);
/* A message to a node's control port; takes the body. */
void output_send(struct cluster *cluster, enum message_kind message, uint32_t node_id, const char *address,
		 uint16_t items, struct buffer *body);
void output_send_node(struct cluster *cluster, enum message_kind message, uint32_t node_id, uint16_t items,
		      struct buffer *body);
void output_notice(struct cluster *cluster, struct cluster_notice notice, struct span text);
void output_fatal(struct cluster *cluster, enum cluster_fatal fatal, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void output_map_changed(struct cluster *cluster);
void output_contacts(struct cluster *cluster);
void outputs_free(struct cluster *cluster);

/* --- cluster_notice.c --------------------------------------------------------------------------------------------- */

void notices_tell(struct cluster *cluster);

/* --- cluster_formation.c ------------------------------------------------------------------------------------------ */

uint64_t raft_id_of(const uint8_t identity[CLUSTER_IDENTITY_BYTES]);
void formation_init(struct cluster *cluster);
uint32_t formation_voters(uint32_t nodes); /* how many of so many vote */
void formation_start(struct cluster *cluster);
void formation_tick(struct cluster *cluster);
void formation_receive(struct cluster *cluster, const struct message *message);
bool formation_lacks(const struct cluster *cluster); /* a founder that shows this node's list was not heard yet */
/* The founders' Raft ids in founder order, from Raft's configuration; 0 where it does not name one. */
void formation_founders(const struct cluster *cluster, uint64_t list[NODES_MAX]);

/* --- cluster_join.c ----------------------------------------------------------------------------------------------- */

void join_begin(struct cluster *cluster, enum cluster_notice_kind why);
void join_tick(struct cluster *cluster);
void join_receive(struct cluster *cluster, const struct message *message);
void join_answer_receive(struct cluster *cluster, const struct message *message);
void join_find_own_id(struct cluster *cluster);       /* a newcomer's, in what was applied */
bool join_has_cluster(const struct cluster *cluster); /* its directory belongs to one */

/* --- cluster_leave.c ---------------------------------------------------------------------------------------------- */

void leave_look(struct cluster *cluster); /* what was applied or pushed: is this node gone? */
void leave_tick(struct cluster *cluster);
void leave_receive(struct cluster *cluster, const struct node_join_answer *answer); /* GONE or REPLACED */

/* --- controller_duty.c, controller_join.c, controller_members.c --------------------------------------------------- */

bool duty_propose(struct cluster *cluster, struct buffer *command); /* takes the command; false: not now */
void duty_join(struct cluster *cluster);
void duty_gone(struct cluster *cluster);
void duty_members(struct cluster *cluster);

/* --- cluster_contact.c -------------------------------------------------------------------------------------------- */

void contact_tick(struct cluster *cluster);
void contact_restart(struct cluster *cluster); /* all timers anew */
/* This process stood still for so long: that is neither silence of the others nor a sign of life. */
void contact_stood_still(struct cluster *cluster, uint64_t for_ms);
void contact_heartbeat(struct cluster *cluster, const struct message *message);
void contact_answer(struct cluster *cluster, const struct message *message);
void contact_notice(struct cluster *cluster);            /* whom this node hears has changed: the map says so */
uint64_t contact_unix_ms(const struct cluster *cluster); /* the wall clock now */
void contact_controller(struct cluster *cluster, uint32_t node_id);
void map_publish(struct cluster *cluster); /* the published map takes what was applied */
void map_receive(struct cluster *cluster, const struct message *message);
void map_send(struct cluster *cluster, uint32_t node_id, uint64_t since);
void map_push(struct cluster *cluster); /* to all nodes that do not have it */

/* --- controller_clock.c ------------------------------------------------------------------------------------------- */

void clock_note(struct cluster *cluster, uint32_t node_id, const struct heartbeat *answer);
/* The command that marks whom it is time to mark; false: nobody. */
bool clock_judge(struct cluster *cluster, struct buffer *command);
void clock_tell(struct cluster *cluster); /* of this node, when its mark has changed */

/* --- controller_version.c ----------------------------------------------------------------------------------------- */

void version_hear(struct cluster *cluster, const struct message *message);
void version_notice(struct cluster *cluster); /* what was heard has changed: the map says so */
void version_tell(struct cluster *cluster);   /* the host, when the cluster's version has risen */
/* Whether a command that raises the version may go into the queue: 0, ERROR_REFUSED with why, ERROR_BUSY. */
int version_check(const struct cluster *cluster, struct span body, char why[CLUSTER_TEXT_BYTES]);
void duty_version(struct cluster *cluster);

/* --- controller_moves.c ------------------------------------------------------------------------------------------- */

/* The command that begins and ends the moves which it is time for; false: none. */
bool moves_next(struct cluster *cluster, struct buffer *command);
/* Whom the primary of a partition is to hand over to, since it goes when the move ends; 0: it need not. */
uint32_t moves_wish(const struct cluster *cluster, uint16_t partition);

/* --- cluster_propose.c -------------------------------------------------------------------------------------------- */

void propose_tick(struct cluster *cluster);
void propose_receive(struct cluster *cluster, const struct message *message); /* PROPOSE of another node */
void propose_result_receive(struct cluster *cluster,
			    const struct message *message); /* PROPOSE_RESULT for one of ours */
void propose_answer(struct cluster *cluster, uint32_t node_id, const struct propose_result *result);
void propose_applied(struct cluster *cluster); /* something was applied: is it our registration or stop? */

#endif

/* Up to five servers in one process: the linked libraft under raft_node with the metadata machine, on simulated
 * disks, one clock and a network that a case or a storm commands. No partitions, no controller, no heartbeats of ours.
 *
 * The network is the wire below raft_node: letters may be lost, repeated and reordered at will. libraft's own contract
 * is narrower (between two servers in order, each once, or not at all, as on one TCP connection; disorder only from
 * one connection to the next); raft_node's numbering keeps it (raft_node.h, 4), and is tormented here with it.
 *
 * Whoever is asked sends a proposal to the leader it believes in; the leader answers when its own entry is applied.
 *
 * 1. A run is a function of its seed: nothing else is random, no time but now_ms.
 * 2. After every call into a server oracle.h looks; the first breach ends the run, which is told, never aborted. */
#ifndef EVGRID_TESTS_RAFT_WORLD_H
#define EVGRID_TESTS_RAFT_WORLD_H

#include "raft/metadata.h"
#include "raft/raft_codec.h"
#include "raft/raft_node.h"
#include "tests/raft/oracle.h"
#include "tests/sim/raft_io.h"
#include "tests/sim/random.h"

#define SERVERS_MAX 5u
#define PENDING_MAX 64u
#define WORLD_VIEWS 4u
#define ASK_TIMEOUT_MS 400u

enum world_lie {
	LIE_NONE,
	LIE_STORED,        /* an append is told as stored before it is */
	LIE_VOTE,          /* votes are forgotten at a restart */
	LIE_FORGETS,       /* the newest stored entry is gone after a kill */
	LIE_APPLY,         /* a server's state machine makes something else of an entry */
	LIE_ANSWER,        /* a proposal is answered when it is submitted */
	LIE_SILENT_LEADER, /* no proposal is answered any more: nothing is alive */
	LIE_COUNT
};

enum member_wish { WISH_ABSENT, WISH_STAND_BY, WISH_VOTE };

enum letter_kind { LETTER_RAFT, LETTER_PROPOSE, LETTER_RESULT };

struct letter {
	struct letter *next;
	uint64_t due_ms;
	uint32_t from;
	uint32_t to;
	enum letter_kind kind;
	uint64_t ticket;
	uint64_t index;
	uint16_t error;
	struct buffer body;
};

struct pending {
	uint64_t number; /* the entry's; 0: free */
	uint64_t ticket;
	uint32_t from;
};

/* Of one server's own proposals at most one is under way. */
struct asker {
	uint64_t ticket; /* 0: none */
	uint64_t deadline_ms;
	uint64_t next_ms;
	uint64_t told;            /* the last one that was answered */
	uint64_t answered_before; /* the highest index that anybody had been told of when it was asked */
};

struct server {
	struct world *world;
	uint32_t place;
	uint64_t id; /* Raft's: another one after each wipe */
	enum member_wish wish;
	bool belonged; /* under this id */
	struct raft_node node;
	struct sim_raft_io io;
	struct sim_raft_disk disk;
	struct metadata metadata;
	struct pending pending[PENDING_MAX];
	struct asker asker;
	uint64_t life;
	uint64_t next_number;
	uint64_t paused_until_ms;
	uint64_t slow_until_ms;
	uint64_t restart_ms; /* when a dead one is started again; 0: when somebody does it */
	uint64_t writes_seen;
	bool runs;
	bool starting;
	bool failed; /* its store failed: it is killed after this call */
};

/* What a case changes about a letter of Raft that is about to be sent. False: it is lost. */
typedef bool (*world_filter)(struct world *world, uint32_t from, struct raft_message *message);

struct world_marks {
	uint64_t leaders; /* terms that had one */
	uint64_t applied;
	uint64_t accepted;
	uint64_t refused; /* by the machine: another was first */
	uint64_t unknown;
	uint64_t kills;
	uint64_t unsynced; /* writes that a kill took */
	uint64_t store_errors;
	uint64_t installs; /* snapshots sent to a server and stored there */
	uint64_t snapshots;
	uint64_t cut_tails; /* stored entries that gave way to others */
	uint64_t transfers;
	uint64_t lost;
	uint64_t repeated;
	uint64_t pauses;
	uint64_t cuts;
	uint64_t added; /* to the configuration */
	uint64_t promoted;
	uint64_t demoted;
	uint64_t removed;
};

struct world {
	uint64_t seed;
	struct random random;
	uint64_t now_ms;
	uint32_t count;
	uint32_t founders; /* the first of them, who vote from the beginning; the others begin empty */
	struct server servers[SERVERS_MAX];
	struct letter *mail;                /* by time */
	bool cut[SERVERS_MAX][SERVERS_MAX]; /* from, to */
	uint32_t loss_permille;
	uint32_t repeat_permille;
	uint32_t delay_max_ms;
	uint32_t disk_max_ms;
	uint32_t snapshot_entries;
	uint32_t trailing_entries;
	bool asks; /* servers propose by themselves */
	world_filter filter;
	void *script; /* the case's */
	enum world_lie lie;
	uint32_t ignored; /* bits of enum breach that end nothing */
	bool verbose;
	uint64_t next_ticket;
	uint64_t trace;
	struct world_marks marks;
	struct oracle oracle;
};

struct world *world_new(uint64_t seed, uint32_t count);
void world_free(struct world *world);

void world_start(struct world *world, uint32_t i);
void world_kill(struct world *world, uint32_t i); /* unsynced writes are lost, but for a prefix */
void world_wipe(struct world *world, uint32_t i); /* a dead one: an empty disk, and another id */
void world_look(struct world *world, struct server *server);
void world_step(struct world *world); /* one millisecond */
void world_run(struct world *world, uint64_t ms);
bool world_broken(const struct world *world);

/* The leader of the highest term, or NULL. */
struct server *world_leader(struct world *world);
bool world_member(const struct server *server); /* runs, and is not paused */

/* Submits to this server; 0: it does not lead. Else the entry's number. */
uint64_t world_submit(struct world *world, uint32_t i, struct span command);
/* Any command, by itself harmless: a stream of this number. */
uint64_t world_submit_stream(struct world *world, uint32_t i, uint32_t number);

void world_cut_all(struct world *world, bool cut);
void world_link(struct world *world, uint32_t a, uint32_t b, bool open);

void world_say(const struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

uint32_t world_place(uint64_t id); /* of the server that has or had this id */
void world_address(uint32_t i, char address[16]);

/* Posts a letter; takes the body. */
void world_post(struct world *world, struct letter letter);

#endif

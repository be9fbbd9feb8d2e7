/* libraft, owned and watched: the only way in and out of it. With raft_receive.c, raft_codec.c and raft_guard.c the
 * only files that know <raft.h>.
 *
 * What is taken over from the given raft_io (its `impl` stays as it is): start, so that we tick and deliver; send, so
 * that messages leave through our links; time and random, so that a run is a function of its inputs; and every verb
 * of the store, through raft_guard.c.
 *
 * Invariants
 *  1. After the store has failed once nothing reaches libraft and nothing leaves this node: it is told by `fatal`,
 *     once.
 *  2. libraft's request callbacks are not used: it queues them and fires them only from its libuv backend. Whether an
 *     entry of ours was applied shows in `apply`, which knows the entry by its own number; leadership lost means
 *     unknown.
 *  3. libraft is never called from within one of its own callbacks, but by close.
 *  4. What arrives from a server is taken in the order it was sent, each message once, and nothing of a former life
 *     once a later one was heard: libraft believes its links to be like one TCP connection. A rejection that comes
 *     late or twice makes its leader's next index fall below its match index, and that follower gets no entry any
 *     more until another leads (found by seed 57 of tests/unit/test_cluster.c). Links that reorder become links that
 *     lose. Lives bear no order: a process that began after its peer's restart and hears the later life first takes a
 *     late message of the one before for a newer life. So a life that was taken to be over comes back when it is heard
 *     and nothing of the other one was for RAFT_NODE_LIFE_OVER_MS (found by seed 188 of the simulator: a follower that
 *     heard its leader no more, for ever).
 *  5. A snapshot leaves under the term of its own last entry. libraft decides to send its newest one, then reads the
 *     newest there is by then, and corrects the index only: under the earlier one's term a follower would refuse its
 *     leader for ever, and vote for one that lacks what was committed (found by evgrid-raft-torture).
 *  6. The commit index never falls. libraft takes the lesser of the leader's and of what one message covers, also
 *     where that is less than it had: the next snapshot would bear an index below what it holds, and a start apply an
 *     entry twice (found by evgrid-raft-torture). A message that covers less tells of no more than is known already.
 *  7. The answer to a leader of an earlier term acknowledges nothing. libraft leaves the index in it unset, and does
 *     not say that it rejects a snapshot: if that leader leads again in the answer's term, it would count entries as
 *     stored that are not (found by evgrid-raft-torture).
 *  8. Send requests are completed at the next call from outside, never within send.
 *  9. A change of the configuration is given to libraft as the first entry of a message, and after the one before it
 *     is committed here: that it was committed somewhere the later one shows, whatever its message says. Libraft notes
 *     a change under the index of the message's first new entry, and one change at most: the commit of any other would
 *     pass unnoticed, its snapshots bear an older configuration, and a cut tail roll back to one. Nor is a snapshot
 *     taken between the commit of a change and its being noted (all found by evgrid-raft-torture).
 * 10. A server votes for who asks, though it does not know yet that it is a voter (Ongaro's thesis, 4.2.1: who asks
 *     has the newer configuration). libraft refuses, and a stand-by believes in the last leader it heard for ever:
 *     where one voter's store alone has the change that makes it two, nobody would lead any more.
 * 11. A leader changes the configuration only when an entry of its own term is applied: two changes of one server each,
 *     by leaders of two terms, might else have majorities that do not meet. One change at a time, and never of the
 *     leader itself. Whether a change is done shows in the configuration: raft_node_settled.
 * 12. A sole voter leads in a new term whenever it begins to lead. libraft lets it lead in the old one: after a crash
 *     two entries of one index and term, where stand-bys had stored the one that was lost here (found by
 *     evgrid-raft-torture); and in a term in which it voted for another.
 * 13. The answer to a request for a vote reaches a candidate only. libraft asks of anybody whether that was a pre-vote,
 *     which only a candidate knows: a follower has a byte of a pointer in that place, and now and then takes the term
 *     of an answer that came late, with which it deposes its leader (found by evgrid-raft-torture, whose seed 25 went
 *     one way or the other by where its memory lay).
 * 14. A change of the configuration leaves its leader when it is on the leader's disk. Of two voters one may be made a
 *     stand-by: if it has that entry, and the leader died before it had, then one has the longer log and votes no
 *     more, the other may not lead without its vote, and nobody would lead ever after (found by evgrid-raft-torture,
 *     seed 76).
 * 15. Entries from the log's very beginning, for who has a snapshot in place of it, begin behind that snapshot: what it
 *     has is committed, so the leader has the same. libraft takes them for new ones, and reads and keeps what lies
 *     behind them in memory (found by evgrid-raft-torture, seed 446). */
#ifndef EVGRID_RAFT_RAFT_NODE_H
#define EVGRID_RAFT_RAFT_NODE_H

#include <raft.h>

#include "proto/bytes.h"
#include "proto/limits.h"

#if RAFT_VERSION_NUMBER < 2201
#error "libraft before 0.22.1 loses committed entries"
#endif

#define RAFT_NODE_TICK_MS 10u
#define RAFT_NODE_HEARTBEAT_MS 50u
#define RAFT_NODE_ELECTION_MS 250u
#define RAFT_NODE_INSTALL_MS 5000u
#define RAFT_NODE_LIFE_OVER_MS 1000u
#define RAFT_NODE_LIVES_MAX 4u          /* of a server, remembered to be over */
#define RAFT_NODE_DRAWS_MAX 256u        /* tries to draw an election time from a voter's own window */
#define RAFT_NODE_INFLIGHT_MAX 64u      /* entries submitted and neither applied nor lost */
#define RAFT_NODE_SNAPSHOT_ENTRIES 512u /* log entries from one snapshot to the next */
#define RAFT_NODE_TRAILING_ENTRIES 256u /* kept behind a snapshot for followers that lag; never 0: that means install */

enum raft_node_outcome { RAFT_NODE_DONE = 0, RAFT_NODE_NOT_LEADER = 1, RAFT_NODE_BUSY = 2, RAFT_NODE_MEMORY = 3 };

/* What libraft asks of its owner. None may call back into the node. */
struct raft_node_host {
	void (*send)(void *host, uint64_t to, const char *address,
		     struct buffer *body);                           /* may take the body's memory */
	int (*apply)(void *host, uint64_t index, struct span entry); /* 0, or fatal: the host has said why */
	int (*snapshot)(void *host, struct buffer *out);             /* 0 or an error code: not now */
	int (*restore)(void *host, struct span snapshot);            /* 0, or fatal */
	void (*fatal)(void *host, const char *text);
};

enum raft_node_role {
	RAFT_NODE_SPARE,   /* named, and sent nothing */
	RAFT_NODE_STANDBY, /* follows the log */
	RAFT_NODE_VOTER,
};

struct raft_node_server {
	uint64_t id;
	const char *address;
	enum raft_node_role role;
};

struct raft_node_slot {
	struct raft_apply request;
	bool busy;
};

struct raft_node_life {
	uint64_t life;   /* 0: none */
	uint64_t number; /* of its last message */
};

/* What was heard of a server last. */
struct raft_node_peer {
	uint64_t id; /* 0: free */
	struct raft_node_life life;
	uint64_t heard_ms;
	struct raft_node_life former[RAFT_NODE_LIVES_MAX]; /* that are over */
	uint32_t former_next;
};

struct raft_stuck; /* raft_guard.c */

/* The one snapshot that libraft writes at a time: its request behind ours. */
struct raft_node_put {
	struct raft_io_snapshot_put request;
	struct raft_io_snapshot_put *outer; /* NULL: none */
	raft_io_snapshot_put_cb cb;
	bool stuck; /* a failed store left it behind */
};

struct raft_node {
	struct raft raft;
	struct raft_fsm fsm;
	struct raft_io *io;
	struct raft_io inner; /* the verbs as they were given */
	raft_io_tick_cb tick;
	raft_io_recv_cb receive;
	const struct raft_node_host *callbacks;
	void *host;
	uint64_t id;
	uint64_t now_ms;
	uint64_t life;
	uint64_t next_number;
	struct raft_node_peer peers[NODES_MAX];
	uint32_t seed;
	bool started;
	bool failed;
	bool closing;
	bool closed;
	bool receives_stale; /* while libraft is given what an earlier term's leader sent */
	bool mute;           /* nothing leaves */
	bool rejects;        /* entries that libraft was given last */
	uint64_t read_index; /* of the snapshot that was read last, to be sent */
	uint64_t read_term;
	struct raft_io_send **sends; /* waiting for their completion */
	size_t send_count;
	size_t send_capacity;
	struct raft_stuck *stuck; /* appends that a failed store left behind */
	struct raft_node_put put;
	struct raft_transfer transfer;
	struct raft_change change; /* libraft keeps one at a time, and what it keeps of a refused one hurts nobody */
	uint64_t leader_heard_ms;
	uint64_t slot_term;
	uint64_t slot_first; /* index of the first entry submitted in that term */
	struct raft_node_slot slots[RAFT_NODE_INFLIGHT_MAX];
};

struct raft_node_config {
	uint64_t id;
	const char *address;
	uint64_t life; /* random, new at every start */
	uint32_t seed; /* of the election timer */
	const struct raft_node_host *callbacks;
	void *host;
};

/* Takes the io over; nothing is loaded yet. The node must not move in memory. 0 or an error code. */
int raft_node_init(struct raft_node *node, struct raft_io *io, const struct raft_node_config *config, uint64_t now_ms);

/* Writes the first configuration: 0; 1: there is state already; ERROR_IO. Before start. */
int raft_node_bootstrap(struct raft_node *node, const struct raft_node_server *servers, uint32_t count);

int raft_node_start(struct raft_node *node, uint64_t now_ms); /* loads, restores; 0 or ERROR_IO */
void raft_node_tick(struct raft_node *node, uint64_t now_ms);
void raft_node_receive(struct raft_node *node, struct span body, uint64_t now_ms);

/* One entry; copied. enum raft_node_outcome. */
int raft_node_submit(struct raft_node *node, struct span entry);

void raft_node_transfer(struct raft_node *node); /* leadership to any voter; a no-op where there is none */
void raft_node_transfer_to(struct raft_node *node, uint64_t id);

/* Changes of the configuration, by the leader. DONE: begun. BUSY: another is under way, or it is too early (9 to 11).
 * A server is added as a spare; assigned the stand-by's role it follows the log, and as a stand-by that has all of it
 * it becomes a voter at once, else when it has caught up. A voter that is assigned the stand-by's role votes no more as
 * soon as the leader has stored that: by the configuration that every later majority knows. Who is removed is sent
 * nothing any more, not even that. */
int raft_node_add(struct raft_node *node, uint64_t id, const char *address);
int raft_node_assign(struct raft_node *node, uint64_t id, enum raft_node_role role);
int raft_node_remove(struct raft_node *node, uint64_t id);
bool raft_node_settled(const struct raft_node *node);            /* no change is under way, as far as is known here */
bool raft_node_caught_up(struct raft_node *node, uint64_t id);   /* the leader's: has all that is stored here */
bool raft_node_hears(const struct raft_node *node, uint64_t id); /* within an election time; itself always */

bool raft_node_leads(const struct raft_node *node);
bool raft_node_led(const struct raft_node *node); /* leads, or has heard a leader within an election time */
uint64_t raft_node_term(const struct raft_node *node);
uint64_t raft_node_applied(const struct raft_node *node);
uint64_t raft_node_commit(const struct raft_node *node);
uint64_t raft_node_last(struct raft_node *node);   /* index of the log's last entry */
uint64_t raft_node_leader(struct raft_node *node); /* raft id, 0: unknown */
uint32_t raft_node_servers(const struct raft_node *node, struct raft_node_server *servers, uint32_t max);

void raft_node_close(struct raft_node *node);
bool raft_node_closed(const struct raft_node *node);
void raft_node_deinit(struct raft_node *node); /* after closed */

/* raft_guard.c: puts the watching verbs into node->io. */
void raft_guard_install(struct raft_node *node);

/* For raft_receive.c: one call into libraft is prepared, and settled. */
bool raft_node_runs(const struct raft_node *node);
void raft_node_draw(struct raft_node *node);
void raft_node_settle(struct raft_node *node);
bool raft_node_sole_voter(const struct raft_configuration *configuration, uint64_t id);

/* For raft_guard.c: what libraft left in its raft_io. */
struct raft_node *raft_node_of(const struct raft_io *io);
void raft_node_fail(struct raft_node *node, const char *verb, const char *why);

#endif

/* libevgrid's inside, for its own files and the evgrid command: one handle, its core under a lock, its thread.
 *
 * The core (client/core.h) is pure and has no thread of its own; whoever holds the lock may call it. Users' threads
 * hand in events and requests; the handle's thread does the rest: receives, runs turns, sends, calls back (without
 * the lock). It sleeps in epoll on one eventfd and the sockets' descriptors; whoever hands something in while it
 * sleeps wakes it.
 *
 * A tag given to the core is the number of a slot that says whom to tell. */
#ifndef EVGRID_CLIENT_GRID_H
#define EVGRID_CLIENT_GRID_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/core.h"

#include "client/evgrid.h"
#include "client/grid_keys.h"
#include "net/resolver.h"

/* Called on the handle's thread; the result is valid during the call, but a callee may take its bytes and statuses. */
typedef void (*grid_result)(void *user, struct core_result *result);

struct slot {
	evg_done done;      /* of an event; */
	grid_result result; /* or of a request */
	void *user;
	uint64_t began_us;
	uint32_t next_free;
};

struct endpoint_socket {
	void *socket; /* NULL: none */
	int descriptor;
	char number[RESOLVER_ADDRESS_BYTES]; /* where its address leads; empty: not known yet */
	uint64_t sought_ms;                  /* when it was asked where that is */
	bool unsent;                         /* something could not leave since */
	bool dirty;                          /* may have something to receive: asked before the next sleep */
	struct key_try attempt;
};

#define GRID_ENDPOINTS_MAX 1024u
#define GRID_CURVE_BYTES 64 /* room for what CURVE adds to a message on the wire: 33 bytes */

struct evg {
	pthread_mutex_t lock;
	pthread_cond_t told; /* something was completed, or the map changed, or the handle closes */
	pthread_t thread;
	bool thread_runs;
	bool closing;
	bool sleeping;  /* the thread sleeps, or is about to: it must be woken */
	bool handed_in; /* something waits for its next turn */
	struct core *core;
	struct slot *slots;
	uint32_t slot_count;
	uint32_t slot_free;     /* head of the free list, from 1; 0: none */
	uint64_t open;          /* slots in use: not told yet */
	uint32_t waiting;       /* threads that wait for `told` */
	uint32_t stream_cached; /* index of the stream published to last */
	uint64_t id_state[2];   /* of the identifiers' random bits */
	uint32_t deadline_ms;
	struct grid_keys keys;

	int epoll;
	int wake;
	void *context;
	struct resolver *resolver;
	struct endpoint_socket sockets[GRID_ENDPOINTS_MAX]; /* the thread's alone */
	uint32_t sockets_used;                              /* none from here on */
	atomic_uint_least64_t frames_sent;
	struct core_outbox out;
	struct evg_subscription *subscriptions; /* subscribe.c; a list, under the lock */
};

uint64_t grid_now_ms(void);
uint64_t grid_now_us(void);
uint64_t grid_unix_us(void);

/* With the lock held. grid_wake: something was handed in. */
void grid_wake(struct evg *grid);
/* Unlocks, and gives back rv; 0: something was handed in. Who is woken takes the lock first thing: so it wakes last. */
int grid_unlock(struct evg *grid, int rv);
int grid_slot_take(struct evg *grid, struct slot slot, uint64_t *tag); /* 0 or ERROR_MEMORY */
void grid_slot_give_back(struct evg *grid, uint64_t tag);
/* Waits for `told` until deadline_ms. false: it is past. */
bool grid_wait(struct evg *grid, uint64_t deadline_ms);
bool grid_is_own_thread(const struct evg *grid);

/* evg_publish of an event as the codec has it; its stream id is filled in. */
int grid_publish(struct evg *grid, const char *stream, struct event *event, const struct check *check, evg_done done,
		 void *user);

/* One request that somebody waits for: given as `user` with grid_answer_told, then waited for. */
struct grid_answer {
	struct evg *grid;
	bool told;
	struct core_result result; /* with its memory */
};
void grid_answer_told(void *user, struct core_result *result);
void grid_answer_wait(struct grid_answer *answer);
void grid_answer_deinit(struct grid_answer *answer);

/* Requests: each is told exactly once by `result`, on the handle's thread. 0 or an error code (then it is not told). */
int grid_read(struct evg *grid, const struct core_read *read, grid_result result, void *user);
int grid_replay(struct evg *grid, const struct core_replay *replay, grid_result result, void *user);
int grid_history(struct evg *grid, const struct core_history *history, grid_result result, void *user);
int grid_progress(struct evg *grid, uint32_t node_id, uint16_t shard, uint32_t view_id, uint32_t timeout_ms,
		  grid_result result, void *user);
int grid_decide(struct evg *grid, const struct core_decide *decide, grid_result result, void *user);
int grid_import(struct evg *grid, const struct import *import, uint32_t timeout_ms, grid_result result, void *user);
int grid_scan(struct evg *grid, const struct core_scan *scan, grid_result result, void *user);
int grid_status(struct evg *grid, uint32_t node_id, uint16_t shard, uint32_t timeout_ms, grid_result result,
		void *user);
/* Ids of names, waited for a while since a name that is unknown may be new. view, stream, node: empty or NULL: none. */
struct grid_names {
	struct span view;
	struct span stream;
	const char *node;
	uint32_t view_id;
	uint32_t stream_id;
	uint32_t node_id;
};
int grid_resolve(struct evg *grid, struct grid_names *names);

/* A metadata command, waited for, and for the map that shows its outcome. *why: text for people, or NULL; free it. */
int grid_propose(struct evg *grid, struct span command, uint32_t timeout_ms, char **why);

/* A copy of the present map; cluster_map_deinit it. */
int grid_map(struct evg *grid, struct cluster_map *map);
/* Waits until wanted(data, map) or the time is up: EVG_OK, EVG_TIMEOUT. */
int grid_wait_map(struct evg *grid, bool (*wanted)(void *data, const struct cluster_map *map), void *data,
		  uint32_t timeout_ms);

/* grid_thread.c */
void *grid_run(void *grid_data);
int grid_open_sockets(struct evg *grid); /* epoll, eventfd, ZeroMQ's context */
void grid_close_sockets(struct evg *grid);

#endif

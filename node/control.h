/* The control thread: a libuv loop with the cluster's control plane (raft/cluster.h) on libraft's disk code, the
 * control port, and the clients' requests that are no data: map, producers, metadata commands. It never touches events.
 *
 * Each pass of the loop: what arrived is taken (bounded), libraft's finished disk work called back, on a tick the
 * clock is read after the port was drained (the controller takes its inbox before its timers), then everything the
 * cluster wants done is carried out, and ZMQ_EVENTS is asked before the loop sleeps.
 *
 * States of the thread:
 *   RECOVERING --all shards recovered--> RUNNING
 * and from each of them, with the first signal, the steps of a clean stop (raft/clean_stop.h).
 * A node that is gone for good goes the same way, without a signal.
 * A second signal ends the process at once; any fatal error with exit code 1. SIGUSR1: a verbose log for a while.
 * SIGHUP: keys are read anew (control_keys.c), which ends and remakes the connections that must not be as they were. */
#ifndef EVGRID_NODE_CONTROL_H
#define EVGRID_NODE_CONTROL_H

#include "node/directory.h"
#include "node/foreign.h"
#include "node/notify.h"
#include "node/partition_thread.h"
#include "raft/clean_stop.h"
#include "raft/client_service.h"
#include "raft/cluster.h"

#include <raft.h>
#include <uv.h>

#define CONTROL_MESSAGES_MAX 256u /* taken from the port in one pass of the loop */
#define CONTROL_LINKS_MAX (2 * NODES_MAX)
#define CONTROL_METRICS_MS 100u

struct control_link {
	struct link link;
	uint32_t node_id; /* 0: not known */
	bool open;
};

struct control_counters {
	struct logging_limit garbage;
	struct logging_limit hello;
	struct logging_limit refused;
	struct logging_limit unregistered;
	struct logging_limit overreached;
	struct logging_limit versions;  /* peers of no common version */
	struct logging_limit strangers; /* peers of whom no key is trusted */
	uint64_t link_drops;
	uint64_t answer_drops;
	uint64_t version_refusals;
};

struct control {
	struct logging *log;
	const struct config_values *values;
	struct directory *directory;
	struct socket_factory *factory;
	struct partition_thread *shards; /* values->shards of them */
	struct metrics *metrics;
	struct health *health;
	uint64_t incarnation;
	uint8_t fresh_cluster_id[16];
	uint16_t port;

	struct clean_stop stop;
	uv_loop_t loop;
	uv_poll_t poll;
	uv_timer_t timer;
	uv_async_t async;
	uv_prepare_t prepare;
	uv_idle_t idle;
	uv_signal_t signals[2];
	uv_signal_t hangup;
	uv_signal_t usr1;
	struct raft_io io;
	struct control_disk *disk; /* what control_raft.c needs beside it */
	struct cluster *cluster;   /* NULL while shards recover */
	struct control_inbox inbox;
	uint8_t recovered; /* bit per shard */
	uint8_t damaged;
	uint8_t stopped;

	void *router;
	struct socket_renewal renewal;
	struct guests guests;
	struct self self;
	struct control_link links[CONTROL_LINKS_MAX];
	struct foreign_peers foreign;
	struct client_service service;
	struct control_counters counters;
	struct histogram lag_us;
	uint64_t tick_due_us;
	uint64_t metrics_ms; /* when they are set again */
	bool maps_due;       /* a subscriber could not be told, or the map changed */
	uint64_t now_ms;
	struct notify notify;
	struct logging_verbose verbose;
};

struct control_config {
	struct logging *log;
	const struct config_values *values;
	struct directory *directory;
	struct socket_factory *factory;
	struct partition_thread *shards;
	struct metrics *metrics;
	struct health *health;
	uint64_t incarnation;
	const char *notify_socket; /* of the service manager; NULL: none */
};

/* Binds the port and makes the loop. 0, or 1 with the reason logged. */
int control_init(struct control *control, const struct control_config *config);
void control_run(struct control *control); /* returns when the node has stopped cleanly */
void control_deinit(struct control *control);

/* --- for the files of this thread only ------------------------------------------------------------------ */

_Noreturn void control_directory_failed(const struct control *control, const char *why);
_Noreturn void control_out_of_memory(const struct control *control, const char *operation);

/* control_raft.c: the only file that knows libraft's disk code. */
void control_raft_open(struct control *control); /* what goes wrong ends the process */
void control_raft_close(struct control *control);

/* control_receive.c */
void control_receive(struct control *control); /* messages of the port, up to CONTROL_MESSAGES_MAX */
int control_answer(struct control *control, struct guest *guest, struct buffer *frame); /* 0, or errno */

/* control_clients.c */
void control_client_message(struct control *control, struct guest *guest, const struct message *message);
void control_client_result(struct control *control, const struct propose_result *result);
void control_push_maps(struct control *control); /* to every subscriber that lacks something */

/* control_notices.c */
void control_notice(struct control *control, const struct cluster_output *output);
_Noreturn void control_cluster_failed(const struct control *control, const struct cluster_output *output);

void control_set_metrics(struct control *control); /* control_metrics.c */

/* control_keys.c */
void control_reload_keys(struct control *control);
void control_renew_port(struct control *control); /* as the keyring wants it; to be called at each tick */

/* control_outputs.c */
void control_carry_out(struct control *control); /* all that the cluster has for us */
void control_upkeep_links(struct control *control);
/* A peer of another cluster was met: the first time it is said. */
void control_foreign_peer(struct control *control, const uint8_t cluster_id[16], struct span name, const char *address);

/* A peer has no cluster version in common with this process. */
void control_strange_version(struct control *control, struct version_range versions, struct span name,
			     const char *address);

/* control_start.c */
void control_start_cluster(struct control *control); /* when all shards have recovered */

/* control_stop.c */
void control_stop_begin(struct control *control);
void control_stop_tick(struct control *control);
void control_gone(struct control *control); /* decommissioned: the directory is marked, the process ends */
void control_stopped(struct control *control, uint64_t node_epoch); /* the cluster has agreed */

#endif

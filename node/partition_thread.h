/* One shard's thread: the only one that touches its partitions. It waits on one epoll of two descriptors, the ROUTER on
 * which everything arrives and the inbox, beside them on each link that a message could not leave by, until it is up
 * (the shard then asks again at once); and runs turns:
 *   1. take the inbox and up to TURN_MAX_BYTES of messages, 2. read the clock, shard_turn, 3. carry out the outbox.
 * Before it sleeps it asks ZMQ_EVENTS: ZeroMQ's descriptor tells of changes, not of states, and sending eats them too.
 *
 * Start: the thread recovers the journal, then tells the control thread (control_inbox.h) and waits for registration;
 * until then it takes HELLOs and drops the rest. Stop: it takes no more messages, waits for the write in flight,
 * ends. */
#ifndef EVGRID_NODE_PARTITION_THREAD_H
#define EVGRID_NODE_PARTITION_THREAD_H

#include "node/control_inbox.h"
#include "node/health.h"
#include "node/inbox.h"
#include "node/link.h"
#include "node/logging.h"
#include "node/metrics.h"
#include "node/shard_disk.h"
#include "partition/disk_rest.h"
#include "partition/shard.h"

#define PARTITION_UPKEEP_MS 1000u    /* idle links are closed, HELLO_WANTEDs taken in, metrics set */
#define PARTITION_RENEWAL_MS 2u      /* a port that is to be opened again is tried this often */
#define PARTITION_SLICE_MS 10u       /* from one slice of the views' metrics to the next */
#define PARTITION_MESSAGES_MAX 4096u /* of one turn: many tiny ones must not make it long */

struct partition_thread_config {
	const struct logging *log;
	struct socket_factory *factory;
	struct control_inbox *control;
	const char *host;
	const char *node_name;
	const char *data_directory;
	uint32_t clients;
	uint64_t reserve_bytes;
	uint64_t sync_ms;
	struct metrics_table *metrics; /* the thread's, and its disk's */
	struct health_beat *beats;     /* by enum health_thread */
	struct health_recovery *recovery;
	struct shard_config shard;
};

/* What strangers and links cause, and what is said again and again, by kind. */
struct partition_counters {
	struct logging_limit garbage;
	struct logging_limit hello;
	struct logging_limit refused;
	struct logging_limit unsound;
	struct logging_limit overreached;
	uint64_t link_drops;
	uint64_t answer_drops;
};

struct partition_thread {
	struct partition_thread_config config;
	pthread_t thread;
	uint16_t port;
	struct inbox inbox;
	struct shard_disk disk;
	char journal_path[CONFIG_PATH_BYTES + 32]; /* the disk borrows them */
	char snapshot_path[CONFIG_PATH_BYTES + 32];
	struct disk_segment *segments; /* found at start; freed once the shard has them */
	uint32_t segment_count;

	/* the thread's own from here on */
	struct shard *shard;
	void *router;
	struct socket_renewal renewal;
	int router_descriptor;
	int epoll;
	struct guests guests;
	struct self self;
	struct link *links[NODES_MAX][SHARDS_MAX]; /* NULL: none needed yet */
	uint32_t links_awaited;
	struct map_share *map;
	struct partition_counters counters;
	struct histogram turns_us;
	struct shard_view_figures views[VIEWS_MAX]; /* being gathered */
	uint32_t views_place;
	bool recovered;
	bool registered;
	struct disk_rest rest; /* a clean stop waits for it */
	uint64_t now_ms;
	uint64_t next_timer_ms;
	uint64_t upkeep_ms;
	uint64_t views_ms; /* the next slice */
};

enum partition_thread_outcome { PARTITION_MADE = 0, PARTITION_NOT_MADE = 1, PARTITION_NOT_BOUND = 2 };

/* Binds (port 0: any; told in thread->port), opens and syncs the journal. What went wrong is logged. */
int partition_thread_init(struct partition_thread *thread, const struct partition_thread_config *config, uint16_t port);
int partition_thread_start(struct partition_thread *thread); /* 0, or an errno value */
void partition_thread_join(struct partition_thread *thread); /* after inbox_put_stop */
void partition_thread_deinit(struct partition_thread *thread);

/* --- for the files of this thread only ---------------------------------------------------------------------------- */

size_t partition_receive(struct partition_thread *thread); /* messages of one turn; their count */
void partition_carry_out(struct partition_thread *thread); /* the shard's outbox */
void partition_upkeep(struct partition_thread *thread);
bool partition_links_up(struct partition_thread *thread); /* whether one that was awaited is up: the shard was told */
/* What the shard gave back, negative, of this operation: said, then the process ends. */
_Noreturn void partition_fatal(const struct partition_thread *thread, const char *operation, int result);

/* shard_metrics.c */
void partition_set_metrics(struct partition_thread *thread);
void partition_set_views(struct partition_thread *thread); /* a slice; says when the next one is due */

/* shard_events.c */
void partition_tell_event(struct partition_thread *thread, const struct shard_event *event);
void partition_tell_out(struct partition_thread *thread, const struct shard_proposal *proposal);

#endif

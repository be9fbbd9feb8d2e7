/* The parts of a simulated node, for host.c and host_control.c only. */
#ifndef EVGRID_TESTS_SIM_HOST_INTERNAL_H
#define EVGRID_TESTS_SIM_HOST_INTERNAL_H

#include "partition/disk_rest.h"
#include "raft/clean_stop.h"
#include "tests/sim/host.h"

#define SIM_UNIX_US 1700000000000000ull /* what a right wall clock shows at the beginning */

struct host_control; /* the cluster core and its Raft store: host_control.c */

struct part { /* a partition thread: one shard and its journal's disk */
	struct host *host;
	uint16_t index;
	struct shard *shard;
	struct sim_disk disk;
	bool recovered;
	bool awake; /* a turn is on its way */
	struct disk_rest rest;
	bool ended; /* at rest: the thread is gone, nothing reaches the shard any more */
	uint64_t timer_ms;
	uint64_t appointed_ms; /* of the earliest appointment there is for it; UINT64_MAX: none */
	/* To which process of another host's shard it is connected, and is being connected: by its host_generation. */
	uint64_t connected[SIM_HOSTS_MAX][SHARDS_MAX];
	uint64_t connecting[SIM_HOSTS_MAX][SHARDS_MAX];
	struct cluster_map maps[2]; /* the one in use and the next */
	uint32_t map_in_use;
};

struct host {
	struct sim *sim;
	uint32_t index;
	bool up;
	uint64_t generation;
	uint64_t incarnation;
	struct version_range versions; /* that this process knows, */
	struct version_range next;     /* and the next one */
	uint64_t clock_offset_ms;      /* CLOCK_BOOTTIME differs from host to host */
	int32_t drift_ppm;             /* and its rate, by so much */
	int64_t unix_skew_us;
	uint64_t paused_until_us;
	uint32_t disk_min_us;
	uint32_t disk_max_us;
	struct host_directory directory;
	struct host_spare *spare; /* NULL: it has its first directory */
	bool swapped;             /* the former is in use, the newer one is spare */
	bool gone;
	bool anew;              /* its directory has never served */
	struct clean_stop stop; /* of this process */
	struct part parts[SHARDS_MAX];
	struct host_control *control;
	bool greeted[1 + SHARDS_MAX][SIM_GUESTS_MAX][256]; /* connections that said HELLO to this process, by port */
};

void host_later(struct host *host, void *owner, void (*run)(void *, struct appointment *), uint64_t delay_us,
		uint64_t a);
/* False: the appointment is void, or has been put off because the process is stopped. */
bool host_may_run(struct host *host, struct appointment *appointment);

void part_wake(struct part *part);
void part_timer(void *owner, struct appointment *appointment);

uint64_t host_now_us(const struct host *host);
uint64_t host_now_ms(const struct host *host);
uint64_t host_unix_us(const struct host *host);
uint32_t host_index_of_node(const struct host *host, uint32_t node_id);

void host_draw_versions(struct host *host); /* of the process that starts */
void host_control_init(struct host *host);
void host_control_deinit(struct host *host);
/* Raft's store of the host goes there, and that one's comes here. */
void host_control_swap(struct host *host, struct sim_raft_disk *other);
void host_control_kill(struct host *host, bool power_loss);
void host_shard_recovered(struct host *host); /* when all have, the control plane starts */
void host_propose(struct host *host, const struct shard_proposal *proposal);
struct cluster *host_cluster(const struct host *host); /* NULL: there is none yet */
void host_carry_out(struct host *host);                /* all that the cluster core wants */

/* host_stop.c: the cluster has agreed. */
void host_stopped(struct host *host, uint64_t node_epoch);
bool host_stopped_cleanly(const struct host *host);

#endif

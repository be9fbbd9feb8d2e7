/* A simulated node: what node/ does with threads, sockets and files is done here with appointments. The directory and
 * the disks outlive the process; everything else is made anew at every start. */
#ifndef EVGRID_TESTS_SIM_HOST_H
#define EVGRID_TESTS_SIM_HOST_H

#include "partition/shard.h"
#include "raft/cluster.h"
#include "tests/sim/disk.h"
#include "tests/sim/sim.h"

struct host_directory { /* what the data directory holds besides journals and Raft's store */
	uint8_t identity[CLUSTER_IDENTITY_BYTES];
	uint8_t cluster_id[16];
	uint64_t journal_id[SHARDS_MAX];
	uint64_t node_epoch;
	uint64_t proof_epoch;
	uint16_t cluster_version;
};

/* What a host keeps when it is given another directory: it may have it back. */
struct host_spare;

struct host *host_new(struct sim *sim, uint32_t index);
struct host *host_free(struct host *host);

void host_start(struct host *host);
/* The cluster versions that its next process knows. */
void host_set_versions(struct host *host, struct version_range versions);
/* The process is gone at once. power_loss: unsynced bytes may be lost or torn. */
void host_kill(struct host *host, bool power_loss);
/* SIGTERM: the process hands over what it leads, and ends by itself. */
void host_stop(struct host *host, uint64_t limit_ms);
bool host_is_stopping(const struct host *host);
bool host_is_at_rest(const struct host *host); /* its shards take nothing any more */
bool host_has_proof(const struct host *host);  /* of a clean stop: its directory */
/* SIGSTOP until then: everything that arrives waits. */
void host_pause(struct host *host, uint64_t until_us);
void host_set_disk_full(struct host *host, bool full);
/* A bit of one of its disks rots; and whether one has that only shows to who reads there. */
enum disk_rot host_rot(struct host *host);
bool host_is_rotten(const struct host *host);
void host_set_disk_latency(struct host *host, uint32_t min_us, uint32_t max_us);

/* The next request of its journals' disks fails; of Raft's store, the `after`-th verb, 0: none. */
void host_fail_disk(struct host *host, bool failing);
void host_fail_store(struct host *host, uint32_t after);
void host_set_clock(struct host *host, int64_t ahead_us); /* the wall clock */
/* The client's or subscriber's connections to it are gone. */
void host_forget_guest(struct host *host, uint32_t party);

/* While it is down: an empty directory, with another identity; or the one it had before that again, and back. */
void host_lose_directory(struct host *host);
void host_swap_directory(struct host *host);
bool host_is_former(const struct host *host); /* it runs on a directory that another has replaced */
bool host_is_gone(const struct host *host);   /* decommissioned: its directory is marked, it never starts again on it */
uint64_t host_raft_id(const struct host *host); /* of its directory */

bool host_is_writing(const struct host *host); /* a journal write is in flight */
bool host_is_sealing(const struct host *host); /* a segment is being sealed */
bool host_up(const struct host *host);
uint64_t host_incarnation(const struct host *host);
uint64_t host_generation(const struct host *host);                 /* counts starts: messages name whom they mean */
uint32_t host_node_id(const struct host *host);                    /* 0 before registration */
uint32_t host_index_of(const struct host *host, uint32_t node_id); /* whose host has that id, by this one's map */
void host_command(struct host *host, struct span command);         /* proposes it, as a client would */
bool host_is_controller(const struct host *host);
void host_connection_lost(struct host *host, uint32_t node_id); /* its connection to that node broke */

void host_receive(struct host *host, struct endpoint from, uint8_t port, uint64_t generation, struct span bytes);

/* For the oracle; NULL while the process is down or not recovered. */
struct shard *host_shard(const struct host *host, uint16_t partition);
const struct sim_disk *host_disk(const struct host *host, uint16_t partition);
const struct cluster_map *host_map(const struct host *host); /* the control thread's; NULL */

/* What its Raft store holds; the process may be down. */
struct sim_raft_disk;
struct sim_raft_entry;
const struct sim_raft_disk *host_raft_disk(const struct host *host);
/* The same, and what a living process has on its way there; NULL: none at that index. */
const struct sim_raft_entry *host_raft_entry(const struct host *host, uint64_t index);
/* The store of that server: of the directory in use, or of the newer one that is aside for a former one; else NULL. */
const struct sim_raft_disk *host_raft_disk_of(const struct host *host, uint64_t raft_id);
uint64_t host_metadata_digest(const struct host *host); /* of what is applied */

const char *host_address(uint32_t index); /* control address */

#endif

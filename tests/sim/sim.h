/* The simulator: hosts that run the real shards and the real cluster core (with the real libraft), clients that run the
 * real client core, one virtual network, disk and clock, and an oracle that watches. One seed is one run.
 *
 *   main.c      seeds from the command line, one process or many, marks summed up
 *   clockwork   virtual time
 *   network     messages: delay, loss, doubling, disorder, cuts
 *   disk        journals that outlive a process; raft_io: the same for Raft's store
 *   host        a node: start, kill, restart; what node/ does with threads is done here with appointments
 *   workload    clients: publish, read, remember what they were told
 *   subscriber  what is subscribed to, by quick and slow ones that die and resume
 *   backup      back-ups, taken while faults go on, judged and restored: restoring
 *   edge        what clients saw, key by key: linear: is it linearizable
 *   faults      who is hurt, when and how; fault_network, fault_machine, fault_move: more kinds;
 *               fault_member: who leaves for good, loses a directory, is drained; fault_echo: a long schedule
 *   fault_stop  clean stops: one, one after the other, all
 *   zones       zones and weights of the nodes
 *   client_death  clients that die and come back
 *   ambush      faults that wait for a dangerous moment
 *   scenarios   scripted runs
 *   liveness    what must go on while something stays bad
 *   echo        messages that arrive once more, much later
 *   oracle      the invariants of design.md section 10
 *   trace       what --trace prints
 *   marks       which named events a run has reached */
#ifndef EVGRID_TESTS_SIM_SIM_H
#define EVGRID_TESTS_SIM_SIM_H

#include "proto/cluster_map.h"
#include "tests/sim/ambush.h"
#include "tests/sim/client_death.h"
#include "tests/sim/clockwork.h"
#include "tests/sim/echo.h"
#include "tests/sim/fault_stop.h"
#include "tests/sim/marks.h"
#include "tests/sim/random.h"
#include "tests/sim/zones.h"

#define SIM_HOSTS_MAX 8u
#define SIM_DRAWN_HOSTS_MAX 5u /* of runs that are drawn; scripted ones may have more */
#define SIM_CLIENTS_MAX 4u
#define SIM_SUBSCRIBERS_MAX 2u
#define SIM_GUESTS_MAX (SIM_CLIENTS_MAX + SIM_SUBSCRIBERS_MAX + 1) /* whose connections say HELLO: and who backs up */

struct sim;
struct backups;
struct edge;
struct host;
struct oracle;
struct subscribers;
struct workload;

/* Where a message comes from or goes to: hosts are 0..SIM_HOSTS_MAX-1, clients and
 * subscribers follow them. */
struct endpoint {
	uint8_t party;
	uint8_t port; /* hosts: 0 control, 1 + i shard i; clients: their number of the connection */
};

#define PARTIES_MAX (SIM_HOSTS_MAX + SIM_GUESTS_MAX)

struct network {
	bool cut[PARTIES_MAX][PARTIES_MAX];          /* from, to */
	bool data_cut[SIM_HOSTS_MAX][SIM_HOSTS_MAX]; /* between shards only: heartbeats pass */
	uint32_t loss_per_mille;
	uint32_t double_per_mille;
	uint32_t delay_min_us;
	uint32_t delay_max_us;
	uint32_t late_per_mille; /* of messages that arrive much later */
	uint32_t late_max_us;
	uint32_t corrupt_per_mille;
	uint32_t far_us[PARTIES_MAX];                /* so much longer to it and from it, at most */
	uint64_t reset_us[PARTIES_MAX][PARTIES_MAX]; /* from, to: what was sent before then is lost */
	uint64_t last_us[SIM_GUESTS_MAX][256]
			[2]; /* newest arrival on a client's connection: to the host, to the client */
};

/* What a run is made of; drawn from the seed, or set by the command line. */
struct sim_options {
	uint64_t seed;
	uint32_t hosts; /* that there are: sim_add_host makes more */
	uint32_t founders;
	uint32_t joiners; /* hosts that begin later and join, drawn in time */
	uint32_t shards;
	uint32_t clients;
	uint64_t seconds;
	bool faults;
	bool liveness;              /* when the faults stop something stays bad: liveness.h */
	bool trace;                 /* print every message and decision */
	bool restore;               /* the cluster is formed to restore a back-up into */
	uint8_t replication_factor; /* 0: 3 */
	bool former;                /* hosts begin as the former release: they know the first cluster version only */
};

struct sim {
	struct sim_options options;
	struct clockwork clockwork;
	struct random random;
	struct random members; /* who leaves, and the like */
	struct stops stops;
	struct zones zones;
	struct network network;
	struct host *hosts[SIM_HOSTS_MAX];
	struct workload *workload;
	struct subscribers *subscribers;
	struct backups *backups;
	struct oracle *oracle;
	struct edge *edge;
	struct marks marks;
	uint32_t segment_bytes;  /* of the journals: small, so that many are sealed */
	uint32_t snapshot_bytes; /* of a journal from one snapshot to the next */
	struct corruption {      /* of one state in memory, until its digest is right again */
		uint32_t host;   /* index + 1; 0: none */
		uint16_t partition;
		bool left;        /* the partition has left the host, and its state with it */
		uint64_t applied; /* what it showed last */
		uint64_t digest;
	} corruption;
	struct rot {           /* one host at a time, until a start has read its journals and it is in sync again */
		uint32_t host; /* index + 1; 0: none */
		bool read;
	} rot;
	uint64_t corrupted[(PARTITION_COUNT + 63) / 64]; /* partitions of which some state was wrong at some time */
	uint32_t dead_for_good;                          /* host, index + 1 */
	uint32_t lost;                                   /* host whose directory was lost, index + 1: one a run */
	bool calm; /* the faults are over: none that was planned comes about any more */
	struct echo echo;
	void *script; /* of a scenario: what its steps must know */
	struct ambush ambush;
	struct client_life lives[SIM_CLIENTS_MAX];
	struct swarm {       /* what the seed has drawn */
		uint64_t on; /* bit per kind of fault */
		uint32_t gap_min_us;
		uint32_t gap_max_us;
	} swarm;
	uint64_t traced_version; /* of the map that --trace has told */
	uint64_t trace_hash;     /* of every message delivered: equal for equal seeds */
	uint64_t messages;
	bool failed;
	char why[512];
};

/* Runs one seed. 0: all invariants held; 1: violated, sim->why says what. */
int sim_run(struct sim *sim, const struct sim_options *options);
void sim_deinit(struct sim *sim);

/* The parts of a run, for scripts. */
bool sim_form(struct sim *sim, const struct sim_options *options); /* hosts up, every partition has a primary */
bool sim_run_until(struct sim *sim, bool (*done)(struct sim *sim), uint64_t limit_us); /* false: not in time */
/* No wrong state is in use: it was mended, or its partition has left the host, which is no mending but leaves nothing
 * to mend. Where a snapshot of it stays behind, it counts again when it is used again. */
bool sim_is_sound(struct sim *sim);
uint32_t sim_add_host(struct sim *sim); /* a new one, that joins: by index */
void sim_settle(struct sim *sim);       /* until clients and replicas are quiet; the oracle's last look */

/* The first violation stops the run. */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

const struct cluster_map *sim_map(const struct sim *sim); /* of the first host that is a member; NULL */

static inline uint64_t sim_now_ms(const struct sim *sim)
{
	return sim->clockwork.now_us / 1000;
}

/* Sends a copy of the bytes; it arrives, or not, as the network pleases. */
void network_send(struct sim *sim, struct endpoint from, struct endpoint to, struct span bytes);
void network_cut(struct sim *sim, uint32_t from, uint32_t to, bool cut);      /* one way */
void network_cut_data(struct sim *sim, uint32_t from, uint32_t to, bool cut); /* one way, shards only */
void network_heal(struct sim *sim);
/* The connections between the two break: what is on its way is lost; a client's begins with HELLO again. */
void network_reset(struct sim *sim, uint32_t a, uint32_t b);

#endif

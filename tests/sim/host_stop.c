/* A simulated node's clean stop: what node/control_stop.c does with threads and files, by the same machine
 * (raft/clean_stop.h). O16: when all shards are at rest nothing is being written, so that no loss of power takes
 * anything from a node that has ended. */
#include "tests/sim/fault_stop.h"
#include "tests/sim/host_internal.h"
#include "tests/sim/oracle.h"

#define PROOF_US 200u /* until it is on the disk */

bool host_is_stopping(const struct host *host)
{
	return host->stop.state != CLEAN_STOP_NOT;
}

bool host_stopped_cleanly(const struct host *host)
{
	return host->stop.state == CLEAN_STOP_ENDED && host->stop.consented;
}

bool host_has_proof(const struct host *host)
{
	return host->directory.proof_epoch != 0;
}

bool host_is_at_rest(const struct host *host)
{
	return host->stop.state >= CLEAN_STOP_QUIETING;
}

static bool shards_rest(const struct host *host)
{
	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		if (!host->parts[i].ended)
			return false;
	return true;
}

static void check_disks(const struct host *host)
{
	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		if (host->parts[i].disk.writing || host->parts[i].disk.putting)
			sim_fail(host->sim, "O16: host %u shard %u is at rest, and a write is on its way", host->index,
				 i);
}

static void quiet(struct host *host)
{
	for (uint32_t i = 0; i < host->sim->options.shards; i++) {
		host->parts[i].rest.wanted = true;
		part_wake(&host->parts[i]);
	}
}

static void process_ends(void *owner, struct appointment *appointment)
{
	struct host *host = owner;

	if (host_may_run(host, appointment))
		fault_stop_ended(host->sim, host->index, host_stopped_cleanly(host));
}

static void moved(struct host *host, enum clean_stop_state from)
{
	static const char *const names[] = {"up", "handing over", "quieting", "leaving", "ended"};

	sim_trace(host->sim, "process  stops    h%-16u%s -> %s%s", host->index, names[from], names[host->stop.state],
		  host->stop.unconfirmed != CLEAN_STOP_NOT ? ", unconfirmed" : "");
	if (host->stop.state == CLEAN_STOP_QUIETING)
		quiet(host);
	if (from == CLEAN_STOP_QUIETING && host->stop.unconfirmed == CLEAN_STOP_NOT)
		check_disks(host);
	if (from == CLEAN_STOP_HANDING_OVER)
		fault_stop_quiet(host->sim, host->index);
	if (host->stop.state == CLEAN_STOP_ENDED)
		host_later(host, host, process_ends, 0, 0);
}

static void stop_tick(void *owner, struct appointment *appointment)
{
	struct host *host = owner;
	enum clean_stop_state from;

	if (!host_may_run(host, appointment))
		return;
	for (from = host->stop.state;
	     clean_stop_step(&host->stop, host_cluster(host), host_now_ms(host), shards_rest(host));
	     from = host->stop.state)
		moved(host, from);
	host_carry_out(host);
	if (host->stop.state != CLEAN_STOP_ENDED)
		host_later(host, host, stop_tick, CLUSTER_TICK_MS * 1000, 0);
}

void host_stop(struct host *host, uint64_t limit_ms)
{
	if (!host->up || host_is_stopping(host))
		return;
	clean_stop_begin(&host->stop, host_cluster(host), limit_ms, host_now_ms(host));
	moved(host, CLEAN_STOP_NOT);
	host_later(host, host, stop_tick, 0, 0);
}

static void proof_written(void *owner, struct appointment *appointment)
{
	struct host *host = owner;

	if (!host_may_run(host, appointment) || host->stop.state != CLEAN_STOP_LEAVING ||
	    appointment->a != host->directory.node_epoch)
		return;
	host->directory.proof_epoch = appointment->a;
	clean_stop_consented(&host->stop);
}

void host_stopped(struct host *host, uint64_t node_epoch)
{
	host_later(host, host, proof_written, PROOF_US, node_epoch);
}

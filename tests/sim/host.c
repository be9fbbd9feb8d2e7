/* A simulated node: start, death, and the appointments between its parts. */
#include "tests/sim/host.h"

#include "raft/cluster_state.h"
#include "raft/command.h"
#include "tests/sim/faults.h"
#include "tests/sim/host_internal.h"
#include "tests/sim/oracle.h"
#include "tests/sim/trace.h"

#include "tests/sim/raft_io.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define SEAL_SLOWNESS 20u /* a seal takes so many times as long as a read */
#define DIGEST_INTERVAL 8u
#define DRIFT_MAX_PPM 40000
#define DRIFT_QUARTZ_PPM 200
#define TURN_MIN_US 10u
#define TURN_MAX_US 60u
#define CONNECT_MIN_US 500u /* three trips, and two processes that wake for them */
#define CONNECT_MAX_US 5000u

static const char *const addresses[SIM_HOSTS_MAX] = {"n1:7400", "n2:7400", "n3:7400", "n4:7400",
						     "n5:7400", "n6:7400", "n7:7400", "n8:7400"};

const char *host_address(uint32_t index)
{
	return addresses[index];
}

/* Of a seed in two clocks run as quartz does; of the others, as badly as rule 7's margin of a tenth still bears. */
static int32_t draw_drift(struct sim *sim)
{
	int32_t most = sim->options.seed % 2 == 0 ? DRIFT_MAX_PPM : DRIFT_QUARTZ_PPM;

	return (int32_t)random_between(&sim->random, 0, 2 * (uint64_t)most) - most;
}

struct host_spare {
	struct host_directory directory;
	struct sim_disk disks[SHARDS_MAX];
	struct sim_raft_disk raft_disk;
	bool anew;
};

static void directory_make(struct host *host)
{
	for (uint32_t i = 0; i < CLUSTER_IDENTITY_BYTES; i++)
		host->directory.identity[i] = (uint8_t)random_next(&host->sim->random);
	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		host->directory.journal_id[i] = random_next(&host->sim->random) | 1;
}

struct host *host_new(struct sim *sim, uint32_t index)
{
	struct host *host = calloc(1, sizeof *host);

	assert(host != NULL);
	host->sim = sim;
	host->index = index;
	host->clock_offset_ms = random_between(&sim->random, 1000, 100000000);
	host->drift_ppm = draw_drift(sim);
	host->disk_min_us = 50;
	host->disk_max_us = 400;
	host->next = (struct version_range){CLUSTER_VERSION_FIRST,
					    sim->options.former ? CLUSTER_VERSION_FIRST : CLUSTER_VERSION_HIGHEST};
	for (uint32_t i = 0; i < sim->options.shards; i++) {
		host->parts[i].host = host;
		host->parts[i].index = (uint16_t)i;
	}
	directory_make(host);
	host_control_init(host);
	return host;
}

static void spare_free(struct host *host)
{
	if (host->spare == NULL)
		return;
	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		sim_disk_deinit(&host->spare->disks[i]);
	sim_raft_disk_deinit(&host->spare->raft_disk);
	free(host->spare);
	host->spare = NULL;
}

void host_swap_directory(struct host *host)
{
	struct host_directory directory = host->directory;
	struct host_spare *spare = host->spare;
	bool anew = host->anew;

	assert(!host->up && spare != NULL);
	host->directory = spare->directory;
	spare->directory = directory;
	host->anew = spare->anew;
	spare->anew = anew;
	for (uint32_t i = 0; i < host->sim->options.shards; i++) {
		struct sim_disk disk = host->parts[i].disk;

		host->parts[i].disk = spare->disks[i];
		spare->disks[i] = disk;
	}
	host_control_swap(host, &spare->raft_disk);
	host->swapped = !host->swapped;
}

void host_lose_directory(struct host *host)
{
	assert(!host->up);
	sim_trace(host->sim, "process  lost     h%-16uits directory", host->index);
	spare_free(host);
	host->spare = calloc(1, sizeof *host->spare);
	assert(host->spare != NULL);
	sim_raft_disk_init(&host->spare->raft_disk);
	host_swap_directory(host);
	host->swapped = false;
	host->gone = false;
	host->anew = true;
	directory_make(host);
}

const struct sim_raft_disk *host_raft_disk_of(const struct host *host, uint64_t raft_id)
{
	if (host_raft_id(host) == raft_id)
		return host_raft_disk(host);
	return host->swapped && raft_id_of(host->spare->directory.identity) == raft_id ? &host->spare->raft_disk : NULL;
}

bool host_is_former(const struct host *host)
{
	return host->swapped;
}

bool host_is_gone(const struct host *host)
{
	return host->gone;
}

struct host *host_free(struct host *host)
{
	if (host == NULL)
		return NULL;
	host_kill(host, false);
	host_control_deinit(host);
	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		sim_disk_deinit(&host->parts[i].disk);
	spare_free(host);
	free(host);
	return NULL;
}

/* --- appointments: none outlives its process, none runs while it is stopped --------------------------------------- */

void host_later(struct host *host, void *owner, void (*run)(void *, struct appointment *), uint64_t delay_us,
		uint64_t a)
{
	clockwork_add(&host->sim->clockwork, (struct appointment){.at_us = host->sim->clockwork.now_us + delay_us,
								  .run = run,
								  .owner = owner,
								  .generation = host->generation,
								  .a = a});
}

bool host_may_run(struct host *host, struct appointment *appointment)
{
	struct appointment again = *appointment;

	if (!host->up || appointment->generation != host->generation || host->sim->failed)
		return false;
	if (host->sim->clockwork.now_us >= host->paused_until_us)
		return true;
	again.at_us = host->paused_until_us;
	appointment->bytes = BUFFER_NULL;
	clockwork_add(&host->sim->clockwork, again);
	return false;
}

/* --- shards ----------------------------------------------------------------------------------------------------- */

static void mark_disk(const struct part *part, const struct disk_request *request, enum disk_outcome outcome,
		      bool answered)
{
	struct marks *marks = &part->host->sim->marks;

	if (outcome == DISK_FULL)
		marks_reach(marks, MARK_DISK_FULL);
	if (outcome == DISK_FAILED)
		marks_reach(marks, MARK_IO_ERROR);
	if (outcome == DISK_DONE && request->verb == DISK_WRITE)
		ambush_reach(part->host->sim, WINDOW_APPENDED, part->host->index);
	if (request->verb == DISK_SNAPSHOT_GET && part->disk.snapshot_rotten[request->partition][request->slot])
		marks_reach(marks, MARK_ROT_SNAPSHOT_READ);
	if (request->verb == DISK_SEAL && answered)
		marks_reach(marks, MARK_SEGMENT_SEALED);
	if (request->verb == DISK_READ && request->generation != 0 && answered && part->recovered)
		marks_reach(marks, MARK_SEALED_READ);
}

static void part_disk_done(void *owner, struct appointment *appointment)
{
	struct part *part = owner;
	struct host *host = part->host;
	struct disk_request request;
	struct buffer answer = BUFFER_NULL;
	enum disk_outcome outcome;
	bool fatal;

	if (!host_may_run(host, appointment) || part->ended)
		return;
	assert(appointment->bytes.size == sizeof request);
	memcpy(&request, appointment->bytes.data, sizeof request);
	disk_rest_answered(&part->rest, &request);
	outcome = sim_disk_finish(&part->disk, &host->sim->random, &request, &answer);
	trace_disk(host->sim, host->index, part->index, &request, trace_outcome(outcome));
	mark_disk(part, &request, outcome, answer.size > 0);
	fatal = shard_disk_done(part->shard, request.ticket, outcome, buffer_span(&answer)) < 0;
	buffer_deinit(&answer);
	if (fatal != (outcome == DISK_FAILED))
		sim_fail(host->sim, "host %u shard %u: a disk request that %s is %sfatal", host->index, part->index,
			 trace_outcome(outcome), fatal ? "" : "not ");
	else if (fatal)
		faults_process_ended(host->sim, host->index);
	else
		part_wake(part);
}

static void part_disk(struct part *part, const struct disk_request *request)
{
	struct host *host = part->host;
	uint64_t latency_us = random_between(&host->sim->random, host->disk_min_us, host->disk_max_us);
	struct appointment done = {
		.at_us = host->sim->clockwork.now_us +
			 (request->verb == DISK_SEAL ? latency_us * SEAL_SLOWNESS : latency_us),
		.run = part_disk_done,
		.owner = part,
		.generation = host->generation,
	};

	buffer_bytes(&done.bytes, request, sizeof *request);
	trace_disk(host->sim, host->index, part->index, request, "asked");
	disk_rest_submitted(&part->rest, request);
	sim_disk_issue(&part->disk, request);
	if (request->verb == DISK_SEAL || request->verb == DISK_SNAPSHOT_PUT)
		ambush_reach(host->sim, request->verb == DISK_SEAL ? WINDOW_SEAL : WINDOW_SNAPSHOT, host->index);
	clockwork_add(&host->sim->clockwork, done);
}

/* A connection takes its time, and what is sent before it is there is lost, as with the daemon's links. Loss and cuts
 * do not end it: a process does. */
static void part_connected(void *owner, struct appointment *appointment)
{
	struct part *part = owner;
	struct host *host = part->host;
	uint32_t to = (uint32_t)(appointment->a >> 8);
	uint32_t shard = (uint32_t)(appointment->a & 0xff);
	uint64_t meant = part->connecting[to][shard];

	if (!host_may_run(host, appointment))
		return;
	part->connecting[to][shard] = 0;
	if (!host_up(host->sim->hosts[to]) || host_generation(host->sim->hosts[to]) != meant)
		return;
	part->connected[to][shard] = meant;
	for (uint32_t id = 1; id <= host->sim->options.hosts; id++)
		if (host_index_of_node(host, id) == to)
			shard_link_up(part->shard, id, (uint16_t)shard);
	part_wake(part);
}

static bool is_connected(struct part *part, uint32_t to, uint32_t shard)
{
	struct host *host = part->host;
	const struct host *other = host->sim->hosts[to];

	if (to == host->index)
		return true; /* nobody's address is known */
	if (host_up(other) && part->connected[to][shard] == host_generation(other))
		return true;
	if (host_up(other) && part->connecting[to][shard] == 0) {
		part->connecting[to][shard] = host_generation(other);
		host_later(host, part, part_connected,
			   random_between(&host->sim->random, CONNECT_MIN_US, CONNECT_MAX_US), to << 8 | shard);
	}
	return false;
}

static void part_send(struct part *part, const struct shard_send *send)
{
	struct host *host = part->host;
	struct endpoint from = {(uint8_t)host->index, (uint8_t)(1 + part->index)};
	struct endpoint to = {(uint8_t)(send->node_id - 1), (uint8_t)(1 + send->shard)};

	if (send->node_id == 0)
		to = (struct endpoint){(uint8_t)(send->client >> 8), (uint8_t)send->client};
	else if (send->node_id > host->sim->options.hosts)
		return;
	else
		to.party = (uint8_t)host_index_of_node(host, send->node_id);
	if (send->node_id != 0 && !is_connected(part, to.party, send->shard)) {
		marks_reach(&host->sim->marks, MARK_UNCONNECTED);
		trace_message(host->sim, "unlinked", from, to, buffer_span(&send->frame));
		return;
	}
	network_send(host->sim, from, to, buffer_span(&send->frame));
	if (send->node_id == 0)
		oracle_answer(host->sim->oracle, host, buffer_span(&send->frame));
}

static void mark_loaded(struct part *part, const struct shard_event *event)
{
	struct sim *sim = part->host->sim;

	marks_reach(&sim->marks, MARK_SNAPSHOT_RESTART);
	if (part->disk.snapshot_rotten[event->partition][event->number % 2])
		sim_fail(sim, "host %u partition %u: a snapshot in which a bit has rotted is taken", part->host->index,
			 event->partition);
}

/* Found at a start, or by who needed a batch. */
static void mark_quarantined(struct part *part, const struct shard_event *event)
{
	struct marks *marks = &part->host->sim->marks;

	if (event->kind == SHARD_EVENT_SEALED_DAMAGED)
		marks_reach(marks, MARK_ROT_INDEX_FOUND);
	else if (event->partition == UINT16_MAX)
		marks_reach(marks, MARK_QUARANTINED);
	else if (sim_disk_sealed_rotten(&part->disk))
		marks_reach(marks, MARK_ROT_SEALED_FOUND);
}

static void part_mark(struct part *part, const struct shard_event *event)
{
	struct sim *sim = part->host->sim;

	trace_event(sim, part->host->index, part->index, event);
	switch (event->kind) {
	case SHARD_EVENT_TRUNCATED: marks_reach(&sim->marks, MARK_TRUNCATED); break;
	case SHARD_EVENT_ISR_SHRINK: marks_reach(&sim->marks, MARK_ISR_SHRINK); break;
	case SHARD_EVENT_ISR_GROW: marks_reach(&sim->marks, MARK_ISR_GROW); break;
	case SHARD_EVENT_TAIL_CUT: marks_reach(&sim->marks, MARK_TORN_TAIL); break;
	case SHARD_EVENT_SNAPSHOT: marks_reach(&sim->marks, MARK_SNAPSHOT); break;
	case SHARD_EVENT_SNAPSHOT_LOADED: mark_loaded(part, event); break;
	case SHARD_EVENT_SEALED: ambush_reach(sim, WINDOW_HANDOVER, part->host->index); break;
	case SHARD_EVENT_QUARANTINED:
	case SHARD_EVENT_SEALED_DAMAGED: mark_quarantined(part, event); break;
	case SHARD_EVENT_REBUILD: oracle_rebuild(sim->oracle, part->host, event); break;
	case SHARD_EVENT_LEFT: oracle_left(sim->oracle, part->host, event); break;
	case SHARD_EVENT_REBUILT: marks_reach(&sim->marks, MARK_REBUILT); break;
	case SHARD_EVENT_SUBSCRIBER_LIVE: marks_reach(&sim->marks, MARK_SUBSCRIBER_LIVE); break;
	case SHARD_EVENT_SUBSCRIBER_STARVED: marks_reach(&sim->marks, MARK_CREDIT_OUT); break;
	case SHARD_EVENT_DUPLICATE: oracle_duplicate(sim->oracle, part->host, event); break;
	case SHARD_EVENT_PRIMARY: oracle_primary(sim->oracle, part->host, event); break;
	case SHARD_EVENT_DIGEST_DIFFERS:
	case SHARD_EVENT_STATE_DIFFERS: oracle_unsound(sim->oracle, part->host, event); break;
	case SHARD_EVENT_BELOW_COMMIT:
	case SHARD_EVENT_STATE_FAILED:
		sim_fail(sim, "host %u partition %u: alarm %d in epoch %u (%llu, %llu)", part->host->index,
			 event->partition, (int)event->kind, event->epoch, (unsigned long long)event->observed,
			 (unsigned long long)event->expected);
		break;
	default: break;
	}
}

/* An appointment at the timer, unless there is an earlier one: that one makes the next. */
static void part_wait(struct part *part)
{
	uint64_t now_ms = host_now_ms(part->host);

	if (part->timer_ms >= part->appointed_ms)
		return;
	part->appointed_ms = part->timer_ms;
	host_later(part->host, part, part_timer, part->timer_ms > now_ms ? (part->timer_ms - now_ms) * 1000 : 0,
		   part->timer_ms);
}

static void part_outbox(struct part *part)
{
	struct shard_outbox *outbox = shard_outbox(part->shard);

	for (size_t i = 0; i < outbox->event_count; i++)
		part_mark(part, &outbox->events[i]);
	for (size_t i = 0; i < outbox->send_count; i++)
		part_send(part, &outbox->sends[i]);
	for (size_t i = 0; i < outbox->disk_count && !disk_rest_reached(&part->rest); i++)
		part_disk(part, &outbox->disk[i]);
	for (size_t i = 0; i < outbox->proposal_count; i++)
		host_propose(part->host, &outbox->proposals[i]);
	part->timer_ms = outbox->next_timer_ms;
	shard_outbox_clear(part->shard);
	part_wait(part);
}

static void part_turn(void *owner, struct appointment *appointment)
{
	struct part *part = owner;
	struct host *host = part->host;
	struct shard_time time;
	bool recovered;

	if (!host_may_run(host, appointment) || part->ended)
		return;
	part->awake = false;
	time = (struct shard_time){
		.now_ms = host_now_ms(host),
		.now_us = host_now_us(host),
		.unix_us = host_unix_us(host),
	};
	time.taken_us = time.now_us;
	if (shard_turn(part->shard, &time) < 0) {
		sim_fail(host->sim, "host %u shard %u: turn is fatal", host->index, part->index);
		return;
	}
	recovered = !part->recovered && shard_recovered(part->shard);
	part->recovered = part->recovered || recovered;
	oracle_turn(host->sim->oracle, host, part->index);
	part_outbox(part);
	part->ended = disk_rest_reached(&part->rest);
	if (recovered)
		host_shard_recovered(host);
}

void part_wake(struct part *part)
{
	if (part->awake)
		return;
	part->awake = true;
	host_later(part->host, part, part_turn, random_between(&part->host->sim->random, TURN_MIN_US, TURN_MAX_US), 0);
}

void part_timer(void *owner, struct appointment *appointment)
{
	struct part *part = owner;

	if (!host_may_run(part->host, appointment) || appointment->a != part->appointed_ms)
		return;
	part->appointed_ms = UINT64_MAX;
	if (part->timer_ms <= host_now_ms(part->host))
		part_wake(part);
	else
		part_wait(part);
}

static void part_start(struct part *part)
{
	struct host *host = part->host;
	struct shard_config config = {
		.index = part->index,
		.shard_count = (uint16_t)host->sim->options.shards,
		.incarnation = host->incarnation,
		.journal_id = host->directory.journal_id[part->index],
		.segment_bytes = host->sim->segment_bytes,
		.cache_bytes = 256 * 1024,
		.durable = true,
		.pending_limit_bytes = 1024 * 1024,
		.replica_window_bytes = 256 * 1024,
		.snapshot_interval_bytes = host->sim->snapshot_bytes,
		.digest_interval = DIGEST_INTERVAL,
	};
	struct disk_segment *segments = calloc(part->disk.file_count + 1, sizeof *segments);
	uint32_t count = sim_disk_list(&part->disk, segments);
	bool sealed = false;

	for (uint32_t i = 0; i < count; i++)
		sealed = sealed || segments[i].generation > 0;
	if (sealed)
		marks_reach(&host->sim->marks, MARK_SEALED_RESTART);
	part->shard = shard_new(&config);
	part->recovered = false;
	part->awake = false;
	part->rest = (struct disk_rest){.wanted = false};
	part->ended = false;
	part->timer_ms = UINT64_MAX;
	part->appointed_ms = UINT64_MAX;
	memset(part->connected, 0, sizeof part->connected);
	memset(part->connecting, 0, sizeof part->connecting);
	assert(part->shard != NULL);
	if (shard_start(part->shard, segments, count) < 0)
		sim_fail(host->sim, "host %u shard %u: start failed", host->index, part->index);
	free(segments);
	part_outbox(part);
	part_wake(part);
}

/* --- the process ------------------------------------------------------------------------------------------------ */

void host_set_versions(struct host *host, struct version_range versions)
{
	host->next = versions;
}

void host_start(struct host *host)
{
	assert(!host->up);
	host->up = true;
	host->generation++;
	host->incarnation = random_next(&host->sim->random) | 1;
	host_draw_versions(host);
	host->paused_until_us = 0;
	memset(host->greeted, 0, sizeof host->greeted);
	sim_trace(host->sim, "process  starts   h%u", host->index);
	if (host_has_proof(host))
		marks_reach(&host->sim->marks, MARK_PROOF_SHOWN);
	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		part_start(&host->parts[i]);
}

static void mark_crash(struct part *part, struct disk_crash crash)
{
	struct marks *marks = &part->host->sim->marks;

	if (crash.sealing)
		marks_reach(marks, MARK_SEAL_INTERRUPTED);
	if (crash.snapshot)
		marks_reach(marks, MARK_SNAPSHOT_INTERRUPTED);
	if (crash.lost)
		marks_reach(marks, MARK_UNSYNCED_LOST);
	if (crash.torn)
		marks_reach(marks, MARK_TORN_WRITE);
}

void host_kill(struct host *host, bool power_loss)
{
	if (!host->up)
		return;
	sim_trace(host->sim, "process  dies     h%u%s", host->index, power_loss ? " with the power" : "");
	host->up = false;
	host->stop = (struct clean_stop){.state = CLEAN_STOP_NOT};
	host->generation++;
	host_control_kill(host, power_loss);
	for (uint32_t i = 0; i < host->sim->options.shards; i++) {
		struct part *part = &host->parts[i];

		part->shard = shard_free(part->shard);
		mark_crash(part, sim_disk_crash(&part->disk, &host->sim->random, power_loss));
		cluster_map_deinit(&part->maps[0]);
		cluster_map_deinit(&part->maps[1]);
	}
}

void host_pause(struct host *host, uint64_t until_us)
{
	host->paused_until_us = until_us;
}

void host_set_disk_full(struct host *host, bool full)
{
	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		host->parts[i].disk.full = full;
}

void host_fail_disk(struct host *host, bool failing)
{
	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		host->parts[i].disk.failing = failing && host->up;
}

void host_set_clock(struct host *host, int64_t ahead_us)
{
	host->unix_skew_us = ahead_us;
}

void host_forget_guest(struct host *host, uint32_t party)
{
	for (uint32_t port = 0; port <= host->sim->options.shards; port++)
		memset(host->greeted[port][party - SIM_HOSTS_MAX], 0, sizeof host->greeted[port][0]);
	for (uint32_t i = 0; i < host->sim->options.shards && host->up; i++)
		for (uint32_t port = 0; port < 256 && host->parts[i].recovered; port++)
			shard_client_gone(host->parts[i].shard, (uint64_t)party << 8 | port);
}

enum disk_rot host_rot(struct host *host)
{
	uint32_t shard = (uint32_t)random_between(&host->sim->random, 0, host->sim->options.shards - 1);

	return sim_disk_rot(&host->parts[shard].disk, &host->sim->random);
}

bool host_is_rotten(const struct host *host)
{
	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		if (sim_disk_sealed_rotten(&host->parts[i].disk) || sim_disk_snapshot_rotten(&host->parts[i].disk))
			return true;
	return false;
}

void host_set_disk_latency(struct host *host, uint32_t min_us, uint32_t max_us)
{
	host->disk_min_us = min_us;
	host->disk_max_us = max_us;
}

bool host_is_writing(const struct host *host)
{
	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		if (host->parts[i].disk.writing)
			return true;
	return false;
}

bool host_is_sealing(const struct host *host)
{
	for (uint32_t i = 0; i < host->sim->options.shards; i++)
		if (host->parts[i].disk.sealing)
			return true;
	return false;
}

bool host_up(const struct host *host)
{
	return host->up;
}

uint64_t host_incarnation(const struct host *host)
{
	return host->incarnation;
}

uint64_t host_generation(const struct host *host)
{
	return host->generation;
}

struct shard *host_shard(const struct host *host, uint16_t partition)
{
	const struct part *part = &host->parts[partition % host->sim->options.shards];

	return host->up && part->recovered ? part->shard : NULL;
}

const struct sim_disk *host_disk(const struct host *host, uint16_t partition)
{
	return &host->parts[partition % host->sim->options.shards].disk;
}

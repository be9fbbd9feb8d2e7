/* A partition thread's life: start, turns, stop. */
#include "node/partition_thread.h"

#include "node/clock.h"
#include "node/versions.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

_Noreturn void partition_fatal(const struct partition_thread *thread, const char *operation, int result)
{
	const struct logging *log = thread->config.log;
	uint16_t shard = thread->config.shard.index;

	switch (-result) {
	case ERROR_MEMORY: LOG_FATAL(log, node_out_of_memory, .operation = operation);
	case ERROR_VERSION: LOG_FATAL(log, journal_unknown_version, .shard = shard, .journal = thread->journal_path);
	case ERROR_FOREIGN: LOG_FATAL(log, journal_foreign, .shard = shard, .journal = thread->journal_path);
	default: LOG_FATAL(log, shard_fatal, .shard = shard, .operation = operation, .observed = error_name(-result));
	}
}

/* --- the inbox ---------------------------------------------------------------------------------------------------- */

/* On a disk thread. */
static void disk_done(void *owner, struct disk_job *job)
{
	struct partition_thread *thread = owner;

	inbox_put_job_take(&thread->inbox, job);
}

static void take_jobs(struct partition_thread *thread, struct disk_job *jobs)
{
	while (jobs != NULL) {
		struct disk_job *job = jobs;
		int rv;

		jobs = job->next;
		disk_rest_answered(&thread->rest, &job->request);
		rv = shard_disk_done(thread->shard, job->request.ticket, job->outcome,
				     span_of(job->bytes, job->size_bytes));
		if (rv < 0)
			partition_fatal(thread, "taking what was read or written", rv);
		disk_job_free(job);
	}
}

static void take_map(struct partition_thread *thread, struct map_share *map)
{
	memcpy(thread->self.cluster_id, map->map.cluster_id, sizeof thread->self.cluster_id);
	thread->self.cluster_version = map->map.cluster_version;
	shard_map(thread->shard, &map->map);
	map_share_drop(thread->map);
	thread->map = map;
}

static void take_registration(struct partition_thread *thread, const struct inbox_content *content)
{
	thread->registered = true;
	thread->self.sender.node_id = content->node_id;
	thread->self.sender.node_epoch = content->node_epoch;
	shard_register(thread->shard, content->node_id, content->node_epoch);
}

static void take_inbox(struct partition_thread *thread)
{
	struct inbox_content content;

	if (!inbox_take(&thread->inbox, &content))
		return;
	take_jobs(thread, content.jobs);
	if (content.registered)
		take_registration(thread, &content);
	if (content.map != NULL)
		take_map(thread, content.map);
	if (content.contacts_changed)
		shard_contacts(thread->shard, &content.contacts);
	for (uint16_t i = 0; content.wish_count > 0 && i < PARTITION_COUNT; i++) {
		if (content.wishes[i] != 0)
			shard_handover_wish(thread->shard, i, content.wishes[i]);
	}
	thread->rest.wanted = thread->rest.wanted || content.stop;
}

/* --- turns ---------------------------------------------------------------------------------------------- */

static void tell_recovered(struct partition_thread *thread)
{
	bool damaged = shard_cut_tail(thread->shard) || shard_quarantined(thread->shard) > 0;

	thread->recovered = true;
	LOG_EVENT(thread->config.log, shard_recovered, .shard = thread->config.shard.index,
		  .segments = thread->segment_count, .tail_cut = shard_cut_tail(thread->shard) ? "yes" : "no",
		  .quarantined = shard_quarantined(thread->shard));
	health_recovers(thread->config.recovery, shard_progress(thread->shard));
	control_inbox_put_recovered(thread->config.control, thread->config.shard.index, damaged);
}

static void turn(struct partition_thread *thread)
{
	struct shard_time time = {.taken_us = clock_boot_us()};
	int rv;

	take_inbox(thread);
	socket_renew(thread->config.factory, thread->router, &thread->renewal);
	if (!thread->rest.wanted)
		partition_receive(thread);
	time.now_us = clock_boot_us();
	time.now_ms = time.now_us / 1000u;
	time.unix_us = clock_unix_us();
	thread->now_ms = time.now_ms;
	rv = shard_turn(thread->shard, &time);
	if (rv < 0)
		partition_fatal(thread, "a turn", rv);
	if (!thread->recovered && shard_recovered(thread->shard))
		tell_recovered(thread);
	partition_carry_out(thread);
	health_beat(&thread->config.beats[HEALTH_TURN]);
	histogram_count(&thread->turns_us, clock_boot_us() - time.taken_us);
	if (time.now_ms >= thread->upkeep_ms) {
		partition_upkeep(thread);
		shard_room(thread->shard, shard_disk_room_bytes(&thread->disk));
		partition_set_metrics(thread);
		thread->upkeep_ms = time.now_ms + PARTITION_UPKEEP_MS;
	}
	if (thread->recovered && time.now_ms >= thread->views_ms)
		partition_set_views(thread);
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Until a descriptor tells, or the shard's next timer, the upkeep or a slice of metrics is due. */
static void rest(struct partition_thread *thread)
{
	struct epoll_event events[2];
	uint64_t until_ms = lesser(thread->next_timer_ms, thread->upkeep_ms);
	uint64_t now_ms;

	if (!thread->rest.wanted && (socket_readable(thread->router) || partition_links_up(thread)))
		return;
	if (thread->recovered)
		until_ms = lesser(until_ms, thread->views_ms);
	now_ms = clock_boot_ms();
	if (thread->renewal.unbound)
		until_ms = lesser(until_ms, now_ms + PARTITION_RENEWAL_MS);
	if (until_ms <= now_ms)
		return;
	epoll_wait(thread->epoll, events, 2, (int)(until_ms - now_ms));
}

static void *thread_run(void *argument)
{
	struct partition_thread *thread = argument;
	int rv = shard_start(thread->shard, thread->segments, thread->segment_count);

	if (rv < 0)
		partition_fatal(thread, "beginning recovery", rv);
	do {
		turn(thread);
		if (!disk_rest_reached(&thread->rest))
			rest(thread);
	} while (!disk_rest_reached(&thread->rest));
	partition_set_metrics(thread);
	health_end(&thread->config.beats[HEALTH_TURN]);
	control_inbox_put_stopped(thread->config.control, thread->config.shard.index);
	return NULL;
}

/* --- start and stop ------------------------------------------------------------------------------------- */

static int open_disk(struct partition_thread *thread)
{
	struct shard_disk_config config = {
		.log = thread->config.log,
		.journal_path = thread->journal_path,
		.snapshot_path = thread->snapshot_path,
		.segment_bytes = thread->config.shard.segment_bytes,
		.reserve_bytes = thread->config.reserve_bytes,
		.sync_ms = thread->config.sync_ms,
		.metrics = thread->config.metrics,
		.beats = thread->config.beats,
		.done = disk_done,
		.owner = thread,
	};

	snprintf(thread->journal_path, sizeof thread->journal_path, "%s/journal-%u", thread->config.data_directory,
		 thread->config.shard.index);
	snprintf(thread->snapshot_path, sizeof thread->snapshot_path, "%s/snapshots", thread->config.data_directory);
	return shard_disk_init(&thread->disk, &config, &thread->segments, &thread->segment_count);
}

static int open_epoll(struct partition_thread *thread)
{
	struct epoll_event router = {.events = EPOLLIN}, inbox = {.events = EPOLLIN};

	thread->epoll = epoll_create1(EPOLL_CLOEXEC);
	thread->router_descriptor = socket_descriptor(thread->router);
	if (thread->epoll < 0 || epoll_ctl(thread->epoll, EPOLL_CTL_ADD, thread->router_descriptor, &router) != 0 ||
	    epoll_ctl(thread->epoll, EPOLL_CTL_ADD, thread->inbox.event, &inbox) != 0)
		return errno;
	return 0;
}

static int refuse(const struct partition_thread *thread, const char *operation, int error)
{
	LOG_EVENT(thread->config.log, node_refused, .operation = operation, .observed = strerror(error));
	return PARTITION_NOT_MADE;
}

static int refuse_journal(const struct partition_thread *thread, int error)
{
	LOG_EVENT(thread->config.log, journal_refused, .shard = thread->config.shard.index,
		  .journal = thread->journal_path, .observed = strerror(error));
	return PARTITION_NOT_MADE;
}

static int refuse_port(const struct partition_thread *thread, uint16_t port, int error)
{
	char socket[32];

	snprintf(socket, sizeof socket, "shard %u", thread->config.shard.index);
	LOG_EVENT(thread->config.log, node_not_bound, .socket = socket, .host = thread->config.host, .port = port,
		  .observed = strerror(error));
	return PARTITION_NOT_BOUND;
}

int partition_thread_init(struct partition_thread *thread, const struct partition_thread_config *config, uint16_t port)
{
	int rv;

	memset(thread, 0, sizeof *thread);
	thread->config = *config;
	thread->epoll = -1;
	thread->self.name = config->node_name;
	thread->self.versions = node_versions();
	thread->self.sender.incarnation = config->shard.incarnation;
	thread->self.sender.shard = config->shard.index;
	thread->port = port;
	rv = inbox_init(&thread->inbox);
	if (rv != 0)
		return refuse(thread, "making an eventfd", rv);
	rv = open_disk(thread);
	if (rv != 0)
		return refuse_journal(thread, rv);
	thread->router = socket_bind(config->factory, config->host, &thread->port);
	if (thread->router == NULL)
		return refuse_port(thread, port, errno);
	rv = open_epoll(thread);
	if (rv != 0)
		return refuse(thread, "making an epoll set", rv);
	thread->shard = shard_new(&config->shard);
	if (thread->shard == NULL || guests_init(&thread->guests, config->clients + NODES_MAX * SHARDS_MAX) != 0)
		return refuse(thread, "memory for a shard", ENOMEM);
	return PARTITION_MADE;
}

int partition_thread_start(struct partition_thread *thread)
{
	int rv = shard_disk_start(&thread->disk);

	return rv == 0 ? pthread_create(&thread->thread, NULL, thread_run, thread) : rv;
}

void partition_thread_join(struct partition_thread *thread)
{
	pthread_join(thread->thread, NULL);
	shard_disk_stop(&thread->disk);
}

static void close_links(struct partition_thread *thread)
{
	for (uint32_t node = 0; node < NODES_MAX; node++) {
		for (uint32_t shard = 0; shard < SHARDS_MAX; shard++) {
			struct link *link = thread->links[node][shard];

			if (link != NULL)
				link_close(link);
			free(link);
			thread->links[node][shard] = NULL;
		}
	}
}

void partition_thread_deinit(struct partition_thread *thread)
{
	thread->shard = shard_free(thread->shard);
	thread->map = map_share_drop(thread->map);
	close_links(thread);
	guests_deinit(&thread->guests);
	thread->router = socket_close(thread->router);
	if (thread->epoll >= 0)
		close(thread->epoll);
	thread->epoll = -1;
	shard_disk_deinit(&thread->disk);
	inbox_deinit(&thread->inbox);
	free(thread->segments);
	thread->segments = NULL;
}

/* The control thread's loop: handles, passes, the end. */
#include "node/control.h"

#include "node/clock.h"
#include "node/versions.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

_Noreturn void control_directory_failed(const struct control *control, const char *why)
{
	LOG_FATAL(control->log, directory_failed, .path = control->directory->path, .observed = why);
}

_Noreturn void control_out_of_memory(const struct control *control, const char *operation)
{
	LOG_FATAL(control->log, node_out_of_memory, .operation = operation);
}

/* --- the inbox ------------------------------------------------------------------------------------------ */

/* On a partition thread. */
static void wake(void *owner)
{
	struct control *control = owner;

	uv_async_send(&control->async);
}

static void take_inbox(struct control *control)
{
	struct control_content content;

	if (!control_inbox_take(&control->inbox, &content))
		return;
	control->recovered |= content.recovered;
	control->damaged |= content.damaged;
	control->stopped |= content.stopped;
	for (uint32_t i = 0; i < content.command_count; i++) {
		/* Ticket 0: the shard looks at the row, not at an answer, and asks again. */
		if (control->cluster != NULL)
			cluster_propose(control->cluster, 0, buffer_span(&content.commands[i].bytes), control->now_ms);
		buffer_deinit(&content.commands[i].bytes);
	}
	if (control->cluster == NULL && control->stop.state == CLEAN_STOP_NOT &&
	    control->recovered == (1u << control->values->shards) - 1)
		control_start_cluster(control);
}

/* --- callbacks of the loop ------------------------------------------------------------------------------ */

static void close_handles(struct control *control);

static void after_work(struct control *control)
{
	if (control->cluster != NULL)
		control_carry_out(control);
	if (control->stop.state != CLEAN_STOP_NOT)
		control_stop_tick(control);
	if (control->stop.state == CLEAN_STOP_ENDED && !uv_is_closing((uv_handle_t *)&control->timer))
		close_handles(control);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct control *control = poll->data;

	(void)status;
	(void)events;
	control_receive(control);
}

static void on_async(uv_async_t *async)
{
	struct control *control = async->data;

	control->now_ms = clock_boot_ms();
	take_inbox(control);
}

/* By how much this tick is late. */
static void note_lag(struct control *control)
{
	uint64_t now_us = clock_boot_us();

	if (control->tick_due_us != 0)
		histogram_count(&control->lag_us, now_us > control->tick_due_us ? now_us - control->tick_due_us : 0);
	control->tick_due_us = now_us + CLUSTER_TICK_MS * 1000u;
}

static void on_tick(uv_timer_t *timer)
{
	struct control *control = timer->data;

	note_lag(control);
	health_beat(&control->health->control);
	control_renew_port(control);
	control_receive(control);
	control->now_ms = clock_boot_ms();
	take_inbox(control);
	if (control->cluster != NULL) {
		control_upkeep_links(control);
		cluster_tick(control->cluster, control->now_ms, clock_unix_us() / 1000u);
	}
	if (control->now_ms >= control->metrics_ms) {
		control_set_metrics(control);
		control->metrics_ms = control->now_ms + CONTROL_METRICS_MS;
	}
	logging_verbose_tick(control->log, &control->verbose, control->now_ms);
	notify_tick(&control->notify, control->health, control->now_ms);
}

static void on_idle(uv_idle_t *idle)
{
	struct control *control = idle->data;

	control_receive(control);
}

/* Before the loop sleeps: carry out, then ask whether messages wait, since sending may have eaten the descriptor's
 * edge. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct control *control = prepare->data;

	after_work(control);
	if (control->stop.state == CLEAN_STOP_ENDED)
		return;
	if (socket_readable(control->router))
		uv_idle_start(&control->idle, on_idle);
	else
		uv_idle_stop(&control->idle);
}

static void on_hangup(uv_signal_t *handle, int number)
{
	struct control *control = handle->data;

	(void)number;
	control->now_ms = clock_boot_ms();
	control_reload_keys(control);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct control *control = handle->data;

	LOG_EVENT(control->log, node_signal, .signal = strsignal(number));
	if (control->stop.state != CLEAN_STOP_NOT)
		_exit(128 + number); /* the second one: at once */
	control->now_ms = clock_boot_ms();
	control_stop_begin(control);
}

static void on_usr1(uv_signal_t *handle, int number)
{
	struct control *control = handle->data;

	(void)number;
	control->now_ms = clock_boot_ms();
	logging_verbose_toggle(control->log, &control->verbose, control->now_ms);
}

/* --- start ---------------------------------------------------------------------------------------------- */

static int refuse(const struct control *control, const char *operation, const char *why)
{
	LOG_EVENT(control->log, node_refused, .operation = operation, .observed = why);
	return 1;
}

static int start_handles(struct control *control)
{
	const int numbers[2] = {SIGTERM, SIGINT};
	int rv = uv_poll_init(&control->loop, &control->poll, socket_descriptor(control->router));

	control->poll.data = control;
	control->timer.data = control;
	control->async.data = control;
	control->prepare.data = control;
	control->idle.data = control;
	rv = rv != 0 ? rv : uv_timer_init(&control->loop, &control->timer);
	rv = rv != 0 ? rv : uv_async_init(&control->loop, &control->async, on_async);
	rv = rv != 0 ? rv : uv_prepare_init(&control->loop, &control->prepare);
	rv = rv != 0 ? rv : uv_idle_init(&control->loop, &control->idle);
	for (size_t i = 0; rv == 0 && i < 2; i++) {
		rv = uv_signal_init(&control->loop, &control->signals[i]);
		control->signals[i].data = control;
		rv = rv != 0 ? rv : uv_signal_start(&control->signals[i], on_signal, numbers[i]);
	}
	control->hangup.data = control;
	rv = rv != 0 ? rv : uv_signal_init(&control->loop, &control->hangup);
	rv = rv != 0 ? rv : uv_signal_start(&control->hangup, on_hangup, SIGHUP);
	control->usr1.data = control;
	rv = rv != 0 ? rv : uv_signal_init(&control->loop, &control->usr1);
	rv = rv != 0 ? rv : uv_signal_start(&control->usr1, on_usr1, SIGUSR1);
	rv = rv != 0 ? rv : uv_poll_start(&control->poll, UV_READABLE, on_readable);
	rv = rv != 0 ? rv : uv_timer_start(&control->timer, on_tick, CLUSTER_TICK_MS, CLUSTER_TICK_MS);
	return rv != 0 ? rv : uv_prepare_start(&control->prepare, on_prepare);
}

int control_init(struct control *control, const struct control_config *config)
{
	int rv;

	memset(control, 0, sizeof *control);
	control->log = config->log;
	control->values = config->values;
	control->directory = config->directory;
	control->factory = config->factory;
	control->shards = config->shards;
	control->metrics = config->metrics;
	control->health = config->health;
	control->incarnation = config->incarnation;
	control->port = (uint16_t)config->values->listen_control;
	control->self.name = config->values->node_name;
	control->self.sender.incarnation = config->incarnation;
	memcpy(control->self.cluster_id, config->directory->identity.cluster_id, 16);
	control->self.versions = node_versions();
	control->self.cluster_version = config->directory->identity.cluster_version;
	control_inbox_init(&control->inbox, wake, control);
	if (getrandom(control->fresh_cluster_id, 16, 0) != 16)
		return refuse(control, "taking random bytes", strerror(errno));
	if (guests_init(&control->guests, (uint32_t)config->values->clients + NODES_MAX) != 0)
		return refuse(control, "memory for connections", strerror(ENOMEM));
	control->router = socket_bind(config->factory, config->values->listen_address, &control->port);
	if (control->router == NULL) {
		LOG_EVENT(control->log, node_not_bound, .socket = "control", .host = config->values->listen_address,
			  .port = config->values->listen_control, .observed = strerror(errno));
		return 1;
	}
	rv = notify_open(&control->notify, config->notify_socket, config->values->stop_timeout_ms);
	if (rv != 0)
		LOG_EVENT(control->log, node_notify_refused, .socket = config->notify_socket, .observed = strerror(rv));
	rv = uv_loop_init(&control->loop);
	rv = rv != 0 ? rv : start_handles(control);
	return rv == 0 ? 0 : refuse(control, "making the event loop", uv_strerror(rv));
}

/* --- the end -------------------------------------------------------------------------------------------- */

static void close_handles(struct control *control)
{
	if (control->cluster != NULL)
		cluster_close(control->cluster); /* libraft's handles close themselves */
	uv_close((uv_handle_t *)&control->hangup, NULL);
	uv_close((uv_handle_t *)&control->usr1, NULL);
	uv_close((uv_handle_t *)&control->poll, NULL);
	uv_close((uv_handle_t *)&control->timer, NULL);
	uv_close((uv_handle_t *)&control->async, NULL);
	uv_close((uv_handle_t *)&control->idle, NULL);
	uv_close((uv_handle_t *)&control->prepare, NULL);
	for (size_t i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&control->signals[i], NULL);
}

void control_run(struct control *control)
{
	uv_run(&control->loop, UV_RUN_DEFAULT); /* until no handle is left */
	assert(control->stop.state == CLEAN_STOP_ENDED);
}

void control_deinit(struct control *control)
{
	if (control->cluster != NULL) {
		assert(cluster_closed(control->cluster));
		control->cluster = cluster_free(control->cluster);
	}
	control_raft_close(control);
	for (uint32_t i = 0; i < CONTROL_LINKS_MAX; i++)
		link_close(&control->links[i].link);
	control->router = socket_close(control->router);
	notify_close(&control->notify);
	guests_deinit(&control->guests);
	control_inbox_deinit(&control->inbox);
	if (uv_loop_close(&control->loop) != 0)
		LOG_EVENT(control->log, node_loop_open);
}

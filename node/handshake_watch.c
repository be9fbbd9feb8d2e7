/* Watching handshakes: see the header for who does what. */
#include "node/handshake_watch.h"

#include "node/clock.h"
#include "node/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define BACKLOG 100 /* as ZeroMQ has it */
#define WATCHED                                                                                            \
	(ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | \
	 ZMQ_EVENT_DISCONNECTED)

/* --- the thread --------------------------------------------------------------------------------------------------- */

static void accepted(struct handshake_watch *watch, uint32_t descriptor, uint64_t now_ms)
{
	if (descriptor < HANDSHAKE_WATCH_DESCRIPTORS_MAX)
		watch->accepted[descriptor] =
			(struct accepted){.from = peer_address_of_descriptor((int)descriptor), .at_ms = now_ms};
}

static void ended(struct handshake_watch *watch, struct watched_port *port, uint32_t descriptor, uint64_t now_ms)
{
	struct accepted connection = {.from = PEER_ADDRESS_UNKNOWN, .at_ms = now_ms};

	if (descriptor < HANDSHAKE_WATCH_DESCRIPTORS_MAX)
		connection = watch->accepted[descriptor];
	handshakes_ended(&watch->handshakes, &connection.from, port->failed,
			 now_ms - connection.at_ms < HANDSHAKE_WATCH_YOUNG_MS, now_ms);
	port->failed = false;
}

static void take_event(struct handshake_watch *watch, struct watched_port *port, zmq_msg_t *message, uint64_t now_ms)
{
	const uint8_t *bytes = zmq_msg_data(message);
	uint32_t value;
	uint16_t event;

	memcpy(&event, bytes, sizeof event);
	memcpy(&value, bytes + sizeof event, sizeof value);
	if (event == ZMQ_EVENT_ACCEPTED)
		accepted(watch, value, now_ms);
	else if (event == ZMQ_EVENT_DISCONNECTED)
		ended(watch, port, value, now_ms);
	else
		port->failed = true;
}

/* An event has two parts: number and value, then the port's own address. */
static void drain(struct handshake_watch *watch, struct watched_port *port, uint64_t now_ms)
{
	zmq_msg_t message;

	zmq_msg_init(&message);
	while (zmq_msg_recv(&message, port->monitor, ZMQ_DONTWAIT) >= 0) {
		if (zmq_msg_more(&message))
			take_event(watch, port, &message, now_ms);
	}
	zmq_msg_close(&message);
}

/* Who is limited that was not before. */
static void tell(const struct handshake_watch *watch, const struct syn_filter *before, const struct syn_filter *filter)
{
	char address[PEER_ADDRESS_TEXT_BYTES];

	for (uint32_t i = before->limited_count; i < filter->limited_count; i++) {
		peer_address_print(&filter->limited[i], address);
		LOG_EVENT(watch->log, keys_flooded, .address = address, .expected_per_second = watch->handshakes.limit);
	}
	if (filter->all && !before->all)
		LOG_EVENT(watch->log, keys_flooded, .address = "everywhere",
			  .expected_per_second = watch->handshakes.limit);
	if (before->share < SYN_FILTER_WHOLE && filter->share == SYN_FILTER_WHOLE)
		LOG_EVENT(watch->log, keys_flood_over, .failed = watch->handshakes.failed);
}

static void set_filter(struct handshake_watch *watch)
{
	struct syn_filter before = watch->filter;
	int rv = 0;

	handshakes_filter(&watch->handshakes, &watch->filter);
	for (uint32_t i = 0; i < watch->port_count && rv == 0; i++)
		rv = syn_filter_set(&watch->filter, watch->ports[i].listener);
	tell(watch, &before, &watch->filter);
	if (rv != 0)
		LOG_LIMITED(watch->log, &watch->refused, clock_boot_ms(), keys_flood_unbounded,
			    .observed = strerror(rv));
}

/* False: the end. */
static bool turn(struct handshake_watch *watch)
{
	uint64_t now_ms = clock_boot_ms();
	bool more;

	pthread_mutex_lock(&watch->lock);
	for (uint32_t i = 0; i < watch->port_count; i++)
		drain(watch, &watch->ports[i], now_ms);
	handshakes_measure(&watch->handshakes, now_ms);
	if (watch->handshakes.changed)
		set_filter(watch);
	more = !watch->ending;
	pthread_mutex_unlock(&watch->lock);
	return more;
}

/* Ports that are opened meanwhile are seen a turn later. */
static void wait_for_events(struct handshake_watch *watch)
{
	zmq_pollitem_t items[HANDSHAKE_WATCH_PORTS_MAX];
	uint32_t count;

	pthread_mutex_lock(&watch->lock);
	count = watch->port_count;
	for (uint32_t i = 0; i < count; i++)
		items[i] = (zmq_pollitem_t){.socket = watch->ports[i].monitor, .events = ZMQ_POLLIN};
	pthread_mutex_unlock(&watch->lock);
	(void)zmq_poll(items, (int)count, HANDSHAKE_WATCH_TURN_MS);
}

static void *watch_run(void *argument)
{
	struct handshake_watch *watch = argument;

	while (turn(watch))
		wait_for_events(watch);
	for (uint32_t i = 0; i < watch->port_count; i++)
		zmq_close(watch->ports[i].monitor);
	return NULL;
}

/* --- beginning and end -------------------------------------------------------------------------------------------- */

int handshake_watch_init(struct handshake_watch *watch, const struct logging *log, uint32_t limit)
{
	int rv;

	memset(watch, 0, sizeof *watch);
	watch->log = log;
	pthread_mutex_init(&watch->lock, NULL);
	handshakes_init(&watch->handshakes, limit);
	handshakes_filter(&watch->handshakes, &watch->filter);
	watch->accepted = calloc(HANDSHAKE_WATCH_DESCRIPTORS_MAX, sizeof *watch->accepted);
	if (watch->accepted == NULL)
		return ENOMEM;
	rv = pthread_create(&watch->thread, NULL, watch_run, watch);
	watch->started = rv == 0;
	return rv;
}

void handshake_watch_deinit(struct handshake_watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	watch->ending = true;
	pthread_mutex_unlock(&watch->lock);
	if (watch->started)
		pthread_join(watch->thread, NULL);
	for (uint32_t i = 0; i < watch->port_count; i++)
		close(watch->ports[i].listener);
	free(watch->accepted);
	pthread_mutex_destroy(&watch->lock);
	memset(watch, 0, sizeof *watch);
}

/* --- ports -------------------------------------------------------------------------------------------------------- */

/* Connected before there are events: they would wait for who takes them. */
static void *open_monitor(void *context, void *router)
{
	void *monitor = zmq_socket(context, ZMQ_PAIR);
	int none = 0, error;
	char name[64];

	if (monitor == NULL)
		return NULL;
	snprintf(name, sizeof name, "inproc://handshakes-%p", router);
	if (zmq_setsockopt(monitor, ZMQ_RCVHWM, &none, sizeof none) == 0 &&
	    zmq_setsockopt(monitor, ZMQ_LINGER, &none, sizeof none) == 0 &&
	    zmq_socket_monitor(router, name, WATCHED) == 0 && zmq_connect(monitor, name) == 0)
		return monitor;
	error = errno;
	zmq_close(monitor);
	errno = error;
	return NULL;
}

static int copy_of(int listener)
{
	return fcntl(listener, F_DUPFD_CLOEXEC, 0);
}

int handshake_watch_open(struct handshake_watch *watch, void *context, void *router, const char *host, uint16_t *port)
{
	struct watched_port made = {.router = router, .listener = listener_open(host, port, BACKLOG)};
	int error;

	if (made.listener < 0)
		return -1;
	made.monitor = open_monitor(context, router);
	if (made.monitor == NULL) {
		error = errno;
		close(made.listener);
		errno = error;
		return -1;
	}
	pthread_mutex_lock(&watch->lock);
	assert(watch->port_count < HANDSHAKE_WATCH_PORTS_MAX);
	watch->ports[watch->port_count++] = made;
	watch->handshakes.changed = true; /* the filter may be set by now */
	pthread_mutex_unlock(&watch->lock);
	return copy_of(made.listener);
}

int handshake_watch_again(struct handshake_watch *watch, void *router)
{
	int listener = -1;

	pthread_mutex_lock(&watch->lock);
	for (uint32_t i = 0; i < watch->port_count; i++) {
		if (watch->ports[i].router == router)
			listener = watch->ports[i].listener;
	}
	pthread_mutex_unlock(&watch->lock);
	return listener < 0 ? -1 : copy_of(listener);
}

/* --- what others tell --------------------------------------------------------------------------------------------- */

typedef void note_handshake(struct handshakes *handshakes, const struct peer_address *address, uint64_t now_ms);

static void note(struct handshake_watch *watch, const char *address, note_handshake *what)
{
	struct peer_address peer = peer_address_of_text(address);

	pthread_mutex_lock(&watch->lock);
	what(&watch->handshakes, &peer, clock_boot_ms());
	pthread_mutex_unlock(&watch->lock);
}

void handshake_watch_known(struct handshake_watch *watch, const char *address)
{
	note(watch, address, handshakes_known);
}

void handshake_watch_proven(struct handshake_watch *watch, const char *address)
{
	note(watch, address, handshakes_proven);
}

void handshake_watch_refused(struct handshake_watch *watch, const char *address)
{
	note(watch, address, handshakes_failed);
}

void handshake_watch_figures(struct handshake_watch *watch, struct handshake_figures *figures)
{
	pthread_mutex_lock(&watch->lock);
	figures->failed = watch->handshakes.failed;
	figures->limited = watch->handshakes.limited_count;
	figures->all = watch->handshakes.all;
	pthread_mutex_unlock(&watch->lock);
}

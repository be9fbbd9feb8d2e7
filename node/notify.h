/* Telling a service manager how the node stands, by the protocol of sd_notify(3): a datagram to the socket that
 * $NOTIFY_SOCKET names. Control thread.
 *
 *   EXTEND_TIMEOUT_USEC   while the node starts, every second
 *   READY=1               once: when /readyz says yes for the first time
 *   WATCHDOG=1            every second, from the start on
 *   STOPPING=1            once, with the time that the clean stop may take at most
 *   STATUS                with each of them: what /readyz says
 *
 * 1. Signs of life are given as long as /livez would say yes: every thread turns. A node that waits for a quorum, a
 *    controller or its disk's recovery goes on giving them.
 * 2. Nothing waits for the manager: what it cannot take now is told at the next look. */
#ifndef EVGRID_NODE_NOTIFY_H
#define EVGRID_NODE_NOTIFY_H

#include "node/health.h"

#include <sys/socket.h>
#include <sys/un.h>

#define NOTIFY_START_MS 60000u       /* of a start, from the last sign of life on */
#define NOTIFY_STOP_MARGIN_MS 20000u /* for what follows the steps of the clean stop: joining threads, closing */

struct notify {
	int fd; /* -1: nobody is to be told */
	struct sockaddr_un address;
	socklen_t address_size;
	uint64_t stop_timeout_ms;
	uint64_t due_ms;
	struct health_view view;
	bool told_ready;
	bool told_stopping;
};

#define NOTIFY_NULL ((struct notify){.fd = -1})

/* name: a path, or @ and an abstract name; NULL: nobody is to be told. 0, or errno. */
int notify_open(struct notify *notify, const char *name, uint64_t stop_timeout_ms);
void notify_tick(struct notify *notify, const struct health *health, uint64_t now_ms); /* as often as one likes */
void notify_close(struct notify *notify);

#endif

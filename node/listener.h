/* Listening sockets that the node opens itself: HTTP's, and with keys those it hands to ZeroMQ. Any thread. */
#ifndef EVGRID_NODE_LISTENER_H
#define EVGRID_NODE_LISTENER_H

#include <stdint.h>

/* A TCP socket that listens on host:*port, never blocks and is not inherited; port 0 takes a free one and tells it. The
 * descriptor, or -1 with errno. */
int listener_open(const char *host, uint16_t *port, int backlog);

#endif

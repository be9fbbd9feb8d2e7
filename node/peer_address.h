/* Where a connection comes from, as handshakes are counted: an IPv4 address, or the first 64 bits of an IPv6 one, since
 * whoever has one of its addresses has them all. Any thread. */
#ifndef EVGRID_NODE_PEER_ADDRESS_H
#define EVGRID_NODE_PEER_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct peer_address {
	uint64_t bits;  /* in the order of numbers: 127.0.0.1 is 0x7f000001 */
	uint8_t family; /* 4, 6, or 0: not known */
};

#define PEER_ADDRESS_UNKNOWN ((struct peer_address){.family = 0})
#define PEER_ADDRESS_TEXT_BYTES 64u

/* IPv4 addresses in IPv6's form are IPv4's. */
struct peer_address peer_address_of(const struct sockaddr_storage *address);
/* The other end of a connection, also of one that was reset. */
struct peer_address peer_address_of_descriptor(int descriptor);
/* "1.2.3.4", "fe80::1%eth0", or as in an end point, "1.2.3.4:7400", "[::1]:7400". */
struct peer_address peer_address_of_text(const char *text);
void peer_address_print(const struct peer_address *address, char text[PEER_ADDRESS_TEXT_BYTES]);

static inline bool peer_address_equal(const struct peer_address *a, const struct peer_address *b)
{
	return a->family == b->family && a->bits == b->bits;
}

#endif

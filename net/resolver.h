/* Names of hosts, looked up without anybody waiting. libzmq would look a name up on its thread for input and output, at
 * every attempt to connect, and where the answer takes seconds all others would stand still for so long:
 * so sockets are given numbers only.
 *
 * 1. A name is looked up by a thread of its own, one at a time, when it is asked for; an answer that is younger than
 *    RESOLVER_FRESH_MS is not asked for again. Only who asks for a name first waits, RESOLVER_PATIENCE_MS at most: most
 *    names are in a file.
 * 2. What was found stays until something else is found: a look-up that fails takes nothing away.
 * Any thread. */
#ifndef EVGRID_NET_RESOLVER_H
#define EVGRID_NET_RESOLVER_H

#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>

#define RESOLVER_FRESH_MS 500u
#define RESOLVER_PATIENCE_MS 10u
#define RESOLVER_NUMBERS 8u                                 /* kept of one name */
#define RESOLVER_NUMBER_BYTES 64u                           /* of one, with its end: an IPv6 address with its zone */
#define RESOLVER_ADDRESS_BYTES (RESOLVER_NUMBER_BYTES + 8u) /* [number]:port */

struct resolver;

/* What is looked up: the numbers of a host, IPv4 first; how many, 0: none known. */
typedef size_t resolver_lookup(const char *host, char numbers[RESOLVER_NUMBERS][RESOLVER_NUMBER_BYTES]);

resolver_lookup resolver_system; /* the system's: hosts file, DNS, what it is told to ask */

struct resolver *resolver_new(resolver_lookup *lookup); /* NULL: no memory */
/* NULL. Look-ups on their way are not waited for, they find nobody to tell. */
struct resolver *resolver_free(struct resolver *resolver);

/* "host:port" in numbers. `current` if that is among what was found: a name with several is not changed over to
 * another for nothing. False: nothing is known of it yet, ask again. */
bool resolver_find(struct resolver *resolver, const char *address, const char *current,
		   char found[RESOLVER_ADDRESS_BYTES]);

#endif

/* When a connection is to be tried with the peer's next key. ZeroMQ ends a connection for good when its handshake is
 * refused, or when the peer is not who has the key that was expected; nothing tells the sender but that nothing leaves.
 * So after a while of that the connection is made anew, with the next of the peer's keys: a peer may change its key at
 * any time, as long as both are known. The while doubles with each round of the keys: the peer may only be away, or
 * far. */
#ifndef EVGRID_NET_KEY_TRY_H
#define EVGRID_NET_KEY_TRY_H

#include <stdbool.h>
#include <stdint.h>

#define KEY_TRY_MS 200u
#define KEY_TRY_DOUBLINGS 4u

struct key_try {             /* of one peer; all zero: begun */
	uint64_t failing_ms; /* since then nothing could be sent; 0: the last message could */
	uint32_t number;     /* of the peer's keys, as trusted_node_key counts; for whoever connects anew */
	uint32_t count;      /* how many there were when it was connected */
	uint32_t tried;      /* in vain, one after the other */
};

void key_try_begin(struct key_try *attempt, uint32_t count); /* connected */
void key_try_note(struct key_try *attempt, bool sent, uint64_t now_ms);
bool key_try_next(struct key_try *attempt, uint64_t now_ms); /* true: connect anew, with the key of `number` */

#endif

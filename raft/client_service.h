/* What a node's control port does for clients: maps, producer ids, metadata commands. Values in, values out: the daemon
 * and the simulator carry them on their own wires.
 *
 * 1. A command is answered once: by service_take when it is refused here, else by service_result.
 * 2. A producer id is never issued twice by a node, also when its clock goes back while the process lives.
 * 3. Nothing is answered that needs a node id before there is one: the client asks again, here or elsewhere. */
#ifndef EVGRID_RAFT_CLIENT_SERVICE_H
#define EVGRID_RAFT_CLIENT_SERVICE_H

#include "raft/cluster.h"

#define SERVICE_REQUESTS_MAX CLUSTER_PROPOSALS_MAX /* clients' commands under way; more is BUSY */

struct service_request {
	uint64_t ticket; /* the cluster's; 0: free */
	uint64_t client;
	uint64_t client_ticket;
};

struct client_service { /* all zero: begun */
	struct service_request requests[SERVICE_REQUESTS_MAX];
	uint32_t next_request;
	uint64_t next_ticket;
	uint64_t producer_ms;
	uint32_t producer_count;
};

struct service_ask {
	const struct message *message;
	uint64_t client;         /* the host's name for it */
	struct cluster *cluster; /* NULL: not there yet */
	uint64_t now_ms;
	uint64_t unix_ms;
};

enum service_outcome {
	SERVICE_NOTHING = 0,  /* to be sent now */
	SERVICE_ANSWER = 1,   /* kind and body are for the client */
	SERVICE_MAP = 2,      /* it wants the map, all that changed after `since`, now and whenever it changes */
	SERVICE_STRANGER = 3, /* a kind of message that no client sends to a control port */
};

struct service_answer {
	enum message_kind kind;
	uint64_t since;
	struct buffer body; /* the caller's: buffer_deinit */
};

enum service_outcome service_take(struct client_service *service, const struct service_ask *ask,
				  struct service_answer *answer);

/* A result of the cluster. True: the answer is for this client; false: no client asked. */
bool service_result(struct client_service *service, const struct propose_result *result, uint64_t *client,
		    struct service_answer *answer);

#endif

/* The bounds every part of Evgrid shares. Each number has its reason; a decoder refuses what exceeds them. */
#ifndef EVGRID_PROTO_LIMITS_H
#define EVGRID_PROTO_LIMITS_H

#define PARTITION_COUNT 271u /* prime, fixed when a cluster is formed; the partitioner's modulus */

#define KEY_MAX_BYTES 1024u              /* key, partition key, event id, source: identifiers, not payloads */
#define NAME_MAX_BYTES 63u               /* node, stream, view and event type names; fits a DNS label */
#define PAYLOAD_MAX_BYTES (1024u * 1024) /* one event's payload */
#define HEADERS_MAX 32u                  /* extension attributes of one event */

#define BATCH_MAX_RECORDS 4096u              /* so that base + i stays inside the sequence's 13-bit counter */
#define BATCH_MAX_BYTES (2u * 1024 * 1024)   /* one largest event with its attributes fits; uncompressed body too */
#define MESSAGE_MAX_BYTES (4u * 1024 * 1024) /* ZMQ_MAXMSGSIZE of every socket */
#define TURN_MAX_BYTES (1024u * 1024)        /* what one turn of a partition thread takes in */
#define CHUNK_MAX_BYTES (1024u * 1024)       /* one push of catch-up data; a larger batch travels alone */

#define SUBSCRIBE_FILTERS_MAX 64u /* streams, and event types, that one subscription names */

#define NODES_MAX 64u        /* names of nodes in a cluster's life: node sets are 64-bit masks */
#define NODE_WEIGHT_MAX 100u /* a node's share of the replicas, compared with the others' */
#define REPLICAS_MAX 7u      /* replicas of one partition */
#define MEMBERS_MAX 14u      /* the same with its learners, who may all be in sync: each replica may be moving */
#define SHARDS_MAX 8u        /* partition threads of one node: W */
#define STREAMS_MAX 1024u
#define VIEWS_MAX 256u
#define ADDRESS_MAX_BYTES 255u            /* host:port; [host]:port where the host is an IPv6 address */
#define DEFINITION_MAX_BYTES (64u * 1024) /* a view's or a schema's text */

#define FENCE_TIMEOUT_MS 500u
#define HEARTBEAT_INTERVAL_MS 100u
#define LEASE_MS 250u /* L of design.md 6.7 */

#endif

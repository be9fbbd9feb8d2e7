/* Raft's messages on our wire (MESSAGE_RAFT's body), instead of libraft's own format, whose decoder believes the
 * lengths it reads. Everything is checked here, also what libraft decodes itself and does not check: the
 * configurations in entries.
 *
 * Body, little-endian: u8 format 1, u8 type, u8 libraft's version of that message, u8 0, u64 to, u64 from, u64 life
 * (random, new at every start of the sender), u64 number (rising within a life), string address of the sender, then
 * by type:
 *   1 append entries         u64 term, previous index, previous term, commit; u32 count; each u64 term, u8 type, u32
 *                            size; then their bytes
 *   2 append entries result  u64 term, rejected, last index; u16 features, capacity
 *   3 request vote           u64 term, candidate, last index, last term; u8 flags: 1 disrupts the leader, 2 pre-vote
 *   4 request vote result    u64 term; u8 flags: 1 granted, 2 pre-vote; u16 features, capacity
 *   5 install snapshot       u64 term, last index, last term, configuration's index; u32 servers; each u64 id, u8 role,
 *                            string address; u32 size; bytes
 *   6 timeout now            u64 term, last index, last term */
#ifndef EVGRID_RAFT_RAFT_CODEC_H
#define EVGRID_RAFT_RAFT_CODEC_H

#include <raft.h>

#include "proto/bytes.h"
#include "proto/limits.h"

#define RAFT_CODEC_FORMAT 1u
#define RAFT_CODEC_ENTRIES_MAX 1024u
/* Entries beyond it wait for the next message (a prefix of append entries is a sound one); one is always sent. */
#define RAFT_CODEC_ENTRIES_MAX_BYTES (2u * 1024 * 1024)
#define RAFT_CODEC_SNAPSHOT_MAX_BYTES (3u * 1024 * 1024)

struct raft_route {
	uint64_t to;
	uint64_t from;
	uint64_t life;
	uint64_t number;
	char address[ADDRESS_MAX_BYTES + 1]; /* the sender's */
};

/* The receiver is message->server_id; route->to is not looked at.
 * 0, ERROR_MEMORY, ERROR_LIMIT (a snapshot too large), ERROR_MALFORMED (a kind unknown here). */
int raft_codec_encode(const struct raft_message *message, const struct raft_route *route, struct buffer *out);

/* On success message->server_id is the sender's and server_address points into *route. What hangs on the message was
 * made by raft_malloc and becomes libraft's when it receives it; otherwise raft_codec_discard it.
 * 0, ERROR_MALFORMED, ERROR_VERSION, ERROR_MEMORY; nothing is allocated then. */
int raft_codec_decode(struct span body, struct raft_message *message, struct raft_route *route);
void raft_codec_discard(struct raft_message *message);

#endif

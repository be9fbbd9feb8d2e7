/* The members of a MessagePack map as spans: how a payload is read, and how an entity's next state is put together
 * before it is written out. Nothing is copied until then.
 *
 * A state is a map of members in the order of their first appearance, names and the map's header in their shortest
 * form, values byte for byte as the events carried them, and last VIEW_UPDATED_AT with the ingest time in microseconds
 * as a 64-bit unsigned integer: the tail, of fixed size. */
#ifndef EVGRID_PARTITION_VIEW_MEMBERS_H
#define EVGRID_PARTITION_VIEW_MEMBERS_H

#include "partition/view_plan.h"
#include "proto/bytes.h"

#define VIEW_TAIL_BYTES 20u /* 0xaa "_updatedAt" 0xcf, 8 bytes */
#define VIEW_NUMBER_BYTES 9u

struct member {
	struct span name;  /* without header */
	struct span value; /* whole */
	uint32_t tag;      /* of the name: unequal tags, unequal names */
};

struct members {
	uint32_t count;
	uint32_t number_count;
	bool reshaped;          /* a member was added or removed since it was read */
	bool resized;           /* a value was replaced by one of another size */
	struct span updated_at; /* value of the VIEW_UPDATED_AT read last, which is no member; SPAN_NULL: none */
	struct member list[VIEW_MEMBERS_MAX];
	uint8_t numbers[VIEW_OPERATIONS_MAX][VIEW_NUMBER_BYTES]; /* results of arithmetic, which members point to */
};

void members_clear(struct members *members);

/* Reads a map. False: not a map with text for names, malformed, nested too deep, too many members, bytes behind it. */
bool members_read(struct members *members, struct span map);
/* The same for a state, whose tail is left out. */
bool members_read_state(struct members *members, struct span state);

/* One pass over a map for a few of its members: values[i] is that of the first one named picks[i].name, SPAN_NULL where
 * there is none. False: as members_read. */
bool members_pick(struct span map, const struct view_pick *picks, uint32_t count, struct span *values);

/* One bit of 64: names of unequal bits are unequal. None: a name too long, or too short, for the short way. */
uint64_t members_pick_bit(struct span name);

/* Index of the member, or `count`; `hint` is tried first. */
uint32_t members_find(const struct members *members, struct span name, uint32_t hint);

/* Replaces the value, or adds the member at the end. False: too many members. */
bool members_set(struct members *members, struct span name, struct span value);
void members_remove(struct members *members, struct span name);

/* Lays `from` over `members`. False: a name stands twice in `from`, or too many members. */
bool members_merge(struct members *members, const struct members *from);

/* members[name] := old value (0 if missing) + or - `operand`. Integers are added exactly, to the range of 64 bits
 * signed or unsigned; where either is a double, as doubles. False: not numbers, or the result is out of range. */
bool members_add(struct members *members, struct span name, struct span operand, bool subtract);

/* Size of the state, tail included, and writing it. */
size_t members_state_size(const struct members *members);
void members_write_state(const struct members *members, uint64_t updated_at_us, uint8_t *at);

/* Over the state that they were read from, neither reshaped nor resized since. */
void members_write_over(const struct members *members, uint64_t updated_at_us, uint8_t *state, size_t size);

size_t view_map_header_size(uint32_t count);
uint8_t *view_write_map_header(uint8_t *at, uint32_t count);
size_t view_name_size(struct span name); /* as MessagePack */
uint8_t *view_write_name(uint8_t *at, struct span name);
uint8_t *view_write_tail(uint8_t *at, uint64_t updated_at_us);
bool view_tail_holds(struct span state); /* the last bytes of a map are those of a tail */

/* The value at the end of a path into members; SPAN_NULL: the payload does not carry it. */
struct span members_path(const struct members *members, const struct span *names, uint32_t count);

#endif

/* Reading, changing and writing the members of a map. */
#include "partition/view_members.h"

#include <assert.h>

#include "partition/view_value.h"
#include "proto/msgpack.h"

#define NAME_PLAIN_BYTES 31u /* with a header of one byte */

void members_clear(struct members *members)
{
	members->count = 0;
	members->number_count = 0;
	members->reshaped = false;
	members->resized = false;
	members->updated_at = SPAN_NULL;
}

static inline uint32_t name_tag(struct span name)
{
	uint32_t tail = 0;

	if (name.size >= 4)
		memcpy(&tail, name.data + name.size - 4, 4);
	else
		for (size_t i = 0; i < name.size; i++)
			tail = tail << 8 | name.data[i];
	return tail ^ (uint32_t)name.size << 26;
}

static bool is_updated_at(struct span name)
{
	return name.size == sizeof VIEW_UPDATED_AT - 1 && memcmp(name.data, VIEW_UPDATED_AT, name.size) == 0;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

bool members_read(struct members *members, struct span map)
{
	struct reader in = reader_of(map);
	uint32_t count = msgpack_read_map(&in);
	bool nested = false;

	members_clear(members);
	if (count > VIEW_MEMBERS_MAX)
		return false;
	for (uint32_t i = 0; i < count && !in.failed; i++) {
		struct member *member = &members->list[members->count];

		member->name = msgpack_read_str(&in);
		member->value = view_value_take(&in, &nested);
		member->tag = name_tag(member->name);
		if (is_updated_at(member->name))
			members->updated_at = member->value;
		else
			members->count++;
	}
	return reader_done(&in) && (!nested || msgpack_validate(map) == 0);
}

static inline void pick_named(struct span name, struct span value, const struct view_pick *picks, uint32_t count,
			      struct span *values)
{
	for (uint32_t i = 0; i < count; i++)
		if (picks[i].name.size == name.size && values[i].size == 0 &&
		    view_value_equal(picks[i].name.data, name.data, name.size) && !is_updated_at(name))
			values[i] = value;
}

static bool pick_any(struct span map, const struct view_pick *picks, uint32_t count, struct span *values)
{
	struct reader in = reader_of(map);
	uint32_t left = msgpack_read_map(&in);
	bool nested = false;

	if (left > VIEW_MEMBERS_MAX)
		return false;
	for (uint32_t i = 0; i < count; i++)
		values[i] = SPAN_NULL;
	for (; left > 0 && !in.failed; left--) {
		struct span name = msgpack_read_str(&in);
		struct span value = view_value_take(&in, &nested);

		pick_named(name, value, picks, count, values);
	}
	return reader_done(&in) && (!nested || msgpack_validate(map) == 0);
}

/* Of a name behind a header of one byte, with a byte behind it. */
static inline uint64_t name_bit(const uint8_t *header)
{
	uint32_t size = *header & 0x1fu;
	uint32_t seen = size | (uint32_t)header[1] << 8 | (uint32_t)header[size] << 16;

	return (uint64_t)1 << (seen * 0x9e3779b1u >> 26);
}

uint64_t members_pick_bit(struct span name)
{
	uint8_t header[2 + NAME_PLAIN_BYTES] = {0};

	if (name.size == 0 || name.size > NAME_PLAIN_BYTES)
		return 0;
	view_write_name(header, name);
	return name_bit(header);
}

/* The short way, of a map of at most 15 names of 1 to 31 bytes, whose values are numbers, short texts and the like.
 * False: not such a map, or not a sound one. */
static bool pick_plain(struct span map, const struct view_pick *picks, uint32_t count, uint64_t wanted,
		       struct span *values)
{
	const uint8_t *at = map.data;
	const uint8_t *end;
	uint32_t left;

	if (map.size == 0 || (*at & 0xf0) != 0x80)
		return false;
	end = map.data + map.size;
	for (left = *at++ & 0x0fu; left > 0; left--) {
		const uint8_t *value;
		size_t size;

		if (end - at < 2 || *at <= 0xa0 || *at > 0xbf || end - at < 2 + (*at & 0x1f))
			return false;
		value = at + 1 + (*at & 0x1f);
		size = msgpack_plain_size_bytes[*value];
		if (*value == 0xd9 && end - value > 1)
			size = 2u + value[1];
		if (size == 0 || size > (size_t)(end - value))
			return false;
		if ((wanted & name_bit(at)) != 0)
			pick_named(span_of(at + 1, *at & 0x1fu), span_of(value, size), picks, count, values);
		at = value + size;
	}
	return at == end;
}

bool members_pick(struct span map, const struct view_pick *picks, uint32_t count, struct span *values)
{
	uint64_t wanted = 0;

	for (uint32_t i = 0; i < count; i++) {
		values[i] = SPAN_NULL;
		wanted |= picks[i].bit;
	}
	return pick_plain(map, picks, count, wanted, values) || pick_any(map, picks, count, values);
}

bool members_read_state(struct members *members, struct span state)
{
	return members_read(members, state) && members->updated_at.size == VIEW_NUMBER_BYTES &&
	       members->updated_at.data + VIEW_NUMBER_BYTES == state.data + state.size;
}

/* --- finding and changing ---------------------------------------------------------------------------------------- */

uint32_t members_find(const struct members *members, struct span name, uint32_t hint)
{
	uint32_t tag = name_tag(name);

	if (hint < members->count && members->list[hint].tag == tag && span_equal(members->list[hint].name, name))
		return hint;
	for (uint32_t i = 0; i < members->count; i++)
		if (members->list[i].tag == tag && span_equal(members->list[i].name, name))
			return i;
	return members->count;
}

/* Writes member i, which may be the one behind the last. */
static bool members_put(struct members *members, uint32_t i, struct span name, struct span value)
{
	assert(i <= members->count);
	if (i < members->count) {
		members->resized |= value.size != members->list[i].value.size;
		members->list[i].value = value;
		return true;
	}
	if (members->count == VIEW_MEMBERS_MAX - 1) /* one is kept for the tail */
		return false;
	members->list[members->count++] = (struct member){name, value, name_tag(name)};
	members->reshaped = true;
	return true;
}

bool members_set(struct members *members, struct span name, struct span value)
{
	return members_put(members, members_find(members, name, members->count), name, value);
}

void members_remove(struct members *members, struct span name)
{
	uint32_t i = members_find(members, name, members->count);

	if (i == members->count)
		return;
	members->count--;
	members->reshaped = true;
	memmove(&members->list[i], &members->list[i + 1], (members->count - i) * sizeof members->list[0]);
}

bool members_merge(struct members *members, const struct members *from)
{
	bool touched[VIEW_MEMBERS_MAX] = {false};
	uint32_t hint = 0;

	for (uint32_t i = 0; i < from->count; i++) {
		uint32_t at = members_find(members, from->list[i].name, hint);

		if (touched[at] || !members_put(members, at, from->list[i].name, from->list[i].value))
			return false;
		touched[at] = true;
		hint = at + 1;
	}
	return true;
}

bool members_add(struct members *members, struct span name, struct span operand, bool subtract)
{
	uint32_t i = members_find(members, name, members->count);
	struct span old = i < members->count ? members->list[i].value : SPAN_NULL;
	uint8_t *number;
	size_t size;

	assert(members->number_count < VIEW_OPERATIONS_MAX);
	number = members->numbers[members->number_count++];
	size = view_value_add(old, operand, subtract, number);
	return size > 0 && members_put(members, i, name, span_of(number, size));
}

struct span members_path(const struct members *members, const struct span *names, uint32_t count)
{
	uint32_t i = members_find(members, names[0], members->count);
	struct span value = i < members->count ? members->list[i].value : SPAN_NULL;

	for (i = 1; i < count && value.size > 0; i++)
		value = msgpack_member(value, names[i]);
	return value;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

size_t view_map_header_size(uint32_t count)
{
	return count < 16 ? 1 : count < 65536 ? 3 : 5;
}

uint8_t *view_write_map_header(uint8_t *at, uint32_t count)
{
	assert(count < 65536);
	if (count < 16) {
		*at++ = (uint8_t)(0x80 | count);
		return at;
	}
	*at++ = 0xde;
	*at++ = (uint8_t)(count >> 8);
	*at++ = (uint8_t)count;
	return at;
}

size_t view_name_size(struct span name)
{
	return name.size + (name.size < 32 ? 1 : name.size < 256 ? 2 : name.size < 65536 ? 3 : 5);
}

uint8_t *view_write_name(uint8_t *at, struct span name)
{
	if (name.size < 32) {
		*at++ = (uint8_t)(0xa0 | name.size);
	} else if (name.size < 256) {
		*at++ = 0xd9;
		*at++ = (uint8_t)name.size;
	} else {
		bool wide = name.size >= 65536;

		*at++ = wide ? 0xdb : 0xda;
		for (unsigned shift = wide ? 32 : 16; shift > 0; shift -= 8)
			*at++ = (uint8_t)(name.size >> (shift - 8));
	}
	if (name.size > 0)
		memcpy(at, name.data, name.size);
	return at + name.size;
}

uint8_t *view_write_tail(uint8_t *at, uint64_t updated_at_us)
{
	at = view_write_name(at, span_of(VIEW_UPDATED_AT, sizeof VIEW_UPDATED_AT - 1));
	*at++ = 0xcf;
	updated_at_us = __builtin_bswap64(updated_at_us);
	memcpy(at, &updated_at_us, 8);
	return at + 8;
}

bool view_tail_holds(struct span state)
{
	uint8_t tail[VIEW_TAIL_BYTES];

	view_write_tail(tail, 0);
	return state.size > VIEW_TAIL_BYTES &&
	       memcmp(state.data + state.size - VIEW_TAIL_BYTES, tail, VIEW_TAIL_BYTES - 8) == 0;
}

size_t members_state_size(const struct members *members)
{
	size_t size = view_map_header_size(members->count + 1) + VIEW_TAIL_BYTES;

	for (uint32_t i = 0; i < members->count; i++)
		size += view_name_size(members->list[i].name) + members->list[i].value.size;
	return size;
}

/* Name with its header and value, when they lie end to end in their source as they are to be written. Every name comes
 * from MessagePack text, so that a byte of header stands before it. */
static struct span member_run(const struct member *member)
{
	struct span name = member->name;

	if (member->value.data != name.data + name.size || name.size >= 32 || name.data[-1] != (0xa0 | name.size))
		return SPAN_NULL;
	return span_of(name.data - 1, 1 + name.size + member->value.size);
}

static uint8_t *write_bytes(uint8_t *at, struct span s)
{
	if (s.size > 0)
		memcpy(at, s.data, s.size);
	return at + s.size;
}

/* Neighbours that stay neighbours are copied together. */
void members_write_state(const struct members *members, uint64_t updated_at_us, uint8_t *at)
{
	struct span run = SPAN_NULL;

	at = view_write_map_header(at, members->count + 1);
	for (uint32_t i = 0; i < members->count; i++) {
		const struct member *member = &members->list[i];
		struct span whole = member_run(member);

		if (whole.size > 0 && run.data != NULL && whole.data == run.data + run.size) {
			run.size += whole.size;
			continue;
		}
		at = write_bytes(at, run);
		run = whole;
		if (whole.size == 0)
			at = write_bytes(view_write_name(at, member->name), member->value);
	}
	at = write_bytes(at, run);
	view_write_tail(at, updated_at_us);
}

void members_write_over(const struct members *members, uint64_t updated_at_us, uint8_t *state, size_t size)
{
	assert(!members->reshaped);
	assert(!members->resized);
	for (uint32_t i = 0; i < members->count; i++) {
		const struct member *member = &members->list[i];
		uint8_t *at = state + (member->name.data + member->name.size - state);

		if (member->value.data != at)
			memcpy(at, member->value.data, member->value.size);
	}
	view_write_tail(state + size - VIEW_TAIL_BYTES, updated_at_us);
}

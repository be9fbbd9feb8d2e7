/* A search in the key index of one partition in a sealed segment (sealed.h), page by page: it asks for places of the
 * file and takes their bytes. Entries ascend by a uniform hash, so the place of one is guessed to within the square
 * root of their number, and mostly the first page has it; where guesses fail it halves. The offsets of a key that has
 * many are halved by pages too. So a key costs a few reads, however large the index and however many its events.
 *
 * It gives one run of the key's offsets: forwards the first ones not below `bound`, backwards the last ones below it,
 * at most KEY_PROBE_LIST_PAGE; a further run is a further search.
 *
 * 1. Bytes are those of a disk that may have rotted. An index of up to KEY_PROBE_WHOLE_BYTES is read at once and
 *    answers only when its checksum holds. Of a larger one single pages are read, which no checksum covers: what does
 *    not ascend or points outside is ERROR_MALFORMED, and whoever asks holds each hit against the record it names.
 * 2. At most KEY_PROBE_READS_MAX reads, then ERROR_MALFORMED: a sound index is never that deep. */
#ifndef EVGRID_PARTITION_KEY_PROBE_H
#define EVGRID_PARTITION_KEY_PROBE_H

#include "proto/bytes.h"

#define KEY_PROBE_ENTRY_BYTES 16u
#define KEY_PROBE_WHOLE_BYTES (256u * 1024)
#define KEY_PROBE_PAGE_KEYS 256u  /* the least that is read of a larger one */
#define KEY_PROBE_LIST_PAGE 8192u /* offsets read at once */
#define KEY_PROBE_READS_MAX 64u

struct key_index { /* where it lies: sealed_entry's keys_place, keys, occurrences, keys_checksum */
	uint64_t place;
	uint32_t keys;
	uint32_t occurrences;
	uint64_t checksum;
};

enum key_probe_step { KEY_PROBE_WHOLE, KEY_PROBE_KEYS, KEY_PROBE_LIST, KEY_PROBE_DONE };

struct key_probe {
	struct key_index index;
	uint64_t hash;
	uint32_t bound; /* relative, as the offsets of the index are */
	bool reverse;
	enum key_probe_step step;
	uint32_t reads;
	uint32_t low; /* entries, or pages of the list, that may still hold it: [low, high) */
	uint32_t high;
	uint64_t low_hash; /* no entry from low on is below it, none before high above */
	uint64_t high_hash;
	uint32_t at; /* what is asked for: entries [at, at + count), or offsets */
	uint32_t count;
	uint32_t list_at; /* the key's occurrences */
	uint32_t list_count;
	struct buffer hits; /* u32 each, host order, ascending */
	uint32_t first;     /* of the hits that are within the bound */
	uint32_t end;
	bool more; /* further ones lie beyond this run */
};

#define KEY_PROBE_NULL ((struct key_probe){.step = KEY_PROBE_DONE})

/* Keeps the memory of a former search. */
void key_probe_begin(struct key_probe *probe, const struct key_index *index, uint64_t hash, uint32_t bound,
		     bool reverse);
void key_probe_deinit(struct key_probe *probe);

/* What is to be read next; false: done. */
bool key_probe_wants(struct key_probe *probe, uint64_t *place, uint32_t *length);
/* The bytes asked for, all of them. 0, ERROR_MALFORMED, ERROR_CHECKSUM, ERROR_MEMORY. */
int key_probe_take(struct key_probe *probe, struct span bytes);

static inline uint32_t key_probe_count(const struct key_probe *probe)
{
	return probe->end - probe->first;
}

static inline uint32_t key_probe_hit(const struct key_probe *probe, uint32_t i)
{
	uint32_t hit;

	memcpy(&hit, probe->hits.data + 4 * (size_t)(probe->first + i), 4);
	return hit;
}

#endif

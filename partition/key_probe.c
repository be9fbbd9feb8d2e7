/* Guess, read, narrow. */
#include "partition/key_probe.h"

#include <assert.h>

#include "proto/checksum.h"
#include "proto/error.h"

#define GUESSES 6u /* reads after which the middle is taken instead of a guess */

static uint64_t index_size(const struct key_index *index)
{
	return (uint64_t)index->keys * KEY_PROBE_ENTRY_BYTES + 4 * (uint64_t)index->occurrences;
}

void key_probe_begin(struct key_probe *probe, const struct key_index *index, uint64_t hash, uint32_t bound,
		     bool reverse)
{
	struct buffer hits = probe->hits;

	buffer_clear(&hits);
	*probe = (struct key_probe){
		.index = *index,
		.hash = hash,
		.bound = bound,
		.reverse = reverse,
		.high = index->keys,
		.high_hash = UINT64_MAX,
		.hits = hits,
	};
	if (index->keys == 0)
		probe->step = KEY_PROBE_DONE;
	else if (index_size(index) > KEY_PROBE_WHOLE_BYTES)
		probe->step = KEY_PROBE_KEYS;
}

void key_probe_deinit(struct key_probe *probe)
{
	buffer_deinit(&probe->hits);
	*probe = KEY_PROBE_NULL;
}

/* --- what to read ------------------------------------------------------------------------------------------------- */

static uint32_t root_of(uint32_t value)
{
	uint32_t root = 1;

	while ((uint64_t)root * root < value)
		root *= 2;
	return root;
}

/* A page around the place where the hash should stand among the entries that are left. */
static void ask_keys(struct key_probe *probe)
{
	uint32_t left = probe->high - probe->low;
	uint32_t page = KEY_PROBE_PAGE_KEYS + 2 * root_of(left);
	uint64_t span = probe->high_hash - probe->low_hash;
	uint32_t guess = probe->low + left / 2;

	if (probe->reads < GUESSES && span > 0)
		guess = probe->low + (uint32_t)((__uint128_t)(probe->hash - probe->low_hash) * left / span);
	if (left <= page) {
		probe->at = probe->low;
		probe->count = left;
		return;
	}
	probe->at = guess > probe->low + page / 2 ? guess - page / 2 : probe->low;
	if (probe->at > probe->high - page)
		probe->at = probe->high - page;
	probe->count = page;
}

static void ask_list(struct key_probe *probe)
{
	uint32_t left = probe->high - probe->low;
	uint32_t page = probe->low + (probe->reverse ? left : left - 1) / 2;

	probe->at = page * KEY_PROBE_LIST_PAGE;
	probe->count = probe->list_count - probe->at;
	if (probe->count > KEY_PROBE_LIST_PAGE)
		probe->count = KEY_PROBE_LIST_PAGE;
}

bool key_probe_wants(struct key_probe *probe, uint64_t *place, uint32_t *length)
{
	uint64_t lists = probe->index.place + (uint64_t)probe->index.keys * KEY_PROBE_ENTRY_BYTES;

	if (probe->step == KEY_PROBE_DONE)
		return false;
	assert(probe->low < probe->high);
	if (probe->step == KEY_PROBE_WHOLE) {
		*place = probe->index.place;
		*length = (uint32_t)index_size(&probe->index);
	} else if (probe->step == KEY_PROBE_KEYS) {
		ask_keys(probe);
		*place = probe->index.place + (uint64_t)probe->at * KEY_PROBE_ENTRY_BYTES;
		*length = probe->count * KEY_PROBE_ENTRY_BYTES;
	} else {
		ask_list(probe);
		*place = lists + 4 * ((uint64_t)probe->list_at + probe->at);
		*length = probe->count * 4;
	}
	return true;
}

/* --- taking entries ----------------------------------------------------------------------------------------------- */

static uint64_t hash_at(struct span bytes, uint32_t i)
{
	return load_little(bytes.data + (size_t)i * KEY_PROBE_ENTRY_BYTES, 8);
}

/* The first entry of the page whose hash is not below. */
static uint32_t entry_place(struct span bytes, uint32_t count, uint64_t hash)
{
	uint32_t low = 0;
	uint32_t high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (hash_at(bytes, middle) < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int put_hits(struct key_probe *probe, const uint8_t *at, uint32_t count, uint32_t page)
{
	uint32_t *hits = (uint32_t *)(void *)buffer_extend(&probe->hits, (size_t)count * 4);
	uint32_t below = 0; /* how many are below the bound */

	if (hits == NULL)
		return ERROR_MEMORY;
	for (uint32_t i = 0; i < count; i++) {
		hits[i] = (uint32_t)load_little(at + (size_t)i * 4, 4);
		if (i > 0 && hits[i] <= hits[i - 1])
			return ERROR_MALFORMED;
		below += hits[i] < probe->bound;
	}
	probe->first = probe->reverse ? 0 : below;
	probe->end = probe->reverse ? below : count;
	probe->more = probe->reverse ? page > 0 : (uint64_t)(page + 1) * KEY_PROBE_LIST_PAGE < probe->list_count;
	probe->step = KEY_PROBE_DONE;
	return 0;
}

/* The key's entry. 0, or ERROR_MALFORMED. */
static int read_entry(struct key_probe *probe, const uint8_t *entry)
{
	probe->list_count = (uint32_t)load_little(entry + 8, 4);
	probe->list_at = (uint32_t)load_little(entry + 12, 4);
	if (probe->list_count == 0 ||
	    (probe->list_count > 1 && (uint64_t)probe->list_at + probe->list_count > probe->index.occurrences))
		return ERROR_MALFORMED;
	return 0;
}

static int take_entry(struct key_probe *probe, const uint8_t *entry)
{
	uint32_t count;
	int rv = read_entry(probe, entry);

	if (rv != 0)
		return rv;
	count = probe->list_count;
	if (count == 1)
		return put_hits(probe, entry + 12, 1, 0);
	probe->step = KEY_PROBE_LIST;
	probe->low = 0;
	probe->high = (count + KEY_PROBE_LIST_PAGE - 1) / KEY_PROBE_LIST_PAGE;
	return 0;
}

static int take_whole(struct key_probe *probe, struct span bytes)
{
	uint32_t place = entry_place(bytes, probe->index.keys, probe->hash);
	const uint8_t *entry = bytes.data + (size_t)place * KEY_PROBE_ENTRY_BYTES;
	const uint8_t *lists = bytes.data + (size_t)probe->index.keys * KEY_PROBE_ENTRY_BYTES;
	int rv;

	probe->step = KEY_PROBE_DONE;
	if (checksum_parts(&bytes, 1) != probe->index.checksum)
		return ERROR_CHECKSUM;
	if (place == probe->index.keys || hash_at(bytes, place) != probe->hash)
		return 0;
	rv = read_entry(probe, entry);
	if (rv == 0 && probe->list_count == 1)
		rv = put_hits(probe, entry + 12, 1, 0);
	else if (rv == 0)
		rv = put_hits(probe, lists + 4 * (size_t)probe->list_at, probe->list_count, 0);
	probe->more = false;
	return rv;
}

static int take_keys(struct key_probe *probe, struct span bytes)
{
	uint32_t place = entry_place(bytes, probe->count, probe->hash);

	if (place < probe->count && hash_at(bytes, place) == probe->hash)
		return take_entry(probe, bytes.data + (size_t)place * KEY_PROBE_ENTRY_BYTES);
	if (place == 0 && probe->at > probe->low) { /* before this page */
		probe->high = probe->at;
		probe->high_hash = hash_at(bytes, 0);
	} else if (place == probe->count && probe->at + probe->count < probe->high) { /* behind it */
		probe->low = probe->at + probe->count;
		probe->low_hash = hash_at(bytes, probe->count - 1);
	} else {
		probe->step = KEY_PROBE_DONE; /* it would stand here */
	}
	return probe->low_hash <= probe->hash && probe->hash <= probe->high_hash ? 0 : ERROR_MALFORMED;
}

/* --- taking offsets ----------------------------------------------------------------------------------------------- */

/* Forwards the first page whose last offset is not below the bound is wanted, backwards the last page whose first one
 * is below it. True: it is this page; else what is left has become less. */
static bool is_the_page(struct key_probe *probe, uint32_t page, uint32_t first, uint32_t last)
{
	if (!probe->reverse && last < probe->bound) {
		probe->low = page + 1;
	} else if (!probe->reverse) {
		if (page == probe->low || first <= probe->bound)
			return true;
		probe->high = page + 1;
	} else if (first >= probe->bound) {
		probe->high = page;
	} else {
		if (page + 1 == probe->high || last >= probe->bound)
			return true;
		probe->low = page;
	}
	return false;
}

static int take_list(struct key_probe *probe, struct span bytes)
{
	uint32_t page = probe->at / KEY_PROBE_LIST_PAGE;
	uint32_t first = (uint32_t)load_little(bytes.data, 4);
	uint32_t last = (uint32_t)load_little(bytes.data + bytes.size - 4, 4);

	if (is_the_page(probe, page, first, last))
		return put_hits(probe, bytes.data, probe->count, page);
	if (probe->low >= probe->high)
		probe->step = KEY_PROBE_DONE; /* none within the bound */
	return 0;
}

int key_probe_take(struct key_probe *probe, struct span bytes)
{
	uint32_t unit = probe->step == KEY_PROBE_KEYS ? KEY_PROBE_ENTRY_BYTES : 4;

	assert(probe->step != KEY_PROBE_DONE);
	if (probe->step == KEY_PROBE_WHOLE)
		return bytes.size == index_size(&probe->index) ? take_whole(probe, bytes) : ERROR_MALFORMED;
	if (bytes.size != (size_t)probe->count * unit || ++probe->reads > KEY_PROBE_READS_MAX)
		return ERROR_MALFORMED;
	return probe->step == KEY_PROBE_KEYS ? take_keys(probe, bytes) : take_list(probe, bytes);
}

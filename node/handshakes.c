/* Failed handshakes, counted by source. Whoever holds the struct. */
#include "node/handshakes.h"

#include <assert.h>
#include <string.h>

void handshakes_init(struct handshakes *handshakes, uint32_t limit)
{
	memset(handshakes, 0, sizeof *handshakes);
	handshakes->limit = limit;
	handshakes->share = SYN_FILTER_WHOLE;
}

/* One more; the leak is so many a second. True: it holds more than that. */
static bool bucket_pour(struct bucket *bucket, uint64_t leak, uint64_t now_ms)
{
	uint64_t leaked = now_ms > bucket->leaked_ms ? (now_ms - bucket->leaked_ms) * leak : 0;

	bucket->level -= leaked < bucket->level ? leaked : bucket->level;
	bucket->level += 1000u;
	bucket->leaked_ms = now_ms;
	return bucket->level > leak * 1000u;
}

/* The source's, or the one that makes room for it. */
static struct suspect *suspect_or_emptiest(struct handshakes *handshakes, const struct peer_address *address)
{
	struct suspect *emptiest = &handshakes->suspects[0];

	for (uint32_t i = 0; i < HANDSHAKES_SUSPECTS_MAX; i++) {
		struct suspect *suspect = &handshakes->suspects[i];

		if (peer_address_equal(&suspect->address, address))
			return suspect;
		if (suspect->bucket.level < emptiest->bucket.level)
			emptiest = suspect;
	}
	return emptiest;
}

static struct known_peer *known_of(struct handshakes *handshakes, const struct peer_address *address)
{
	struct known_peer *oldest = &handshakes->known[0];

	for (uint32_t i = 0; i < SYN_FILTER_KNOWN_MAX; i++) {
		struct known_peer *known = &handshakes->known[i];

		if (peer_address_equal(&known->address, address))
			return known;
		if (known->proven_ms < oldest->proven_ms)
			oldest = known;
	}
	return oldest;
}

static bool is_known(struct handshakes *handshakes, const struct peer_address *address)
{
	return address->family != 0 && peer_address_equal(&known_of(handshakes, address)->address, address);
}

static bool is_limited(const struct handshakes *handshakes, const struct peer_address *address)
{
	for (uint32_t i = 0; i < handshakes->limited_count; i++) {
		if (peer_address_equal(&handshakes->limited[i], address))
			return true;
	}
	return false;
}

/* Before the first one is. */
static void begin(struct handshakes *handshakes, uint64_t now_ms)
{
	handshakes->changed = true;
	if (handshakes_limits(handshakes))
		return;
	handshakes->share = HANDSHAKES_FIRST_SHARE;
	handshakes->let_in = handshakes->strays = 0;
	handshakes->measured_ms = now_ms;
}

static void limit_one(struct handshakes *handshakes, struct suspect *suspect, uint64_t now_ms)
{
	begin(handshakes, now_ms);
	handshakes->limited[handshakes->limited_count++] = suspect->address;
	handshakes->together = (struct bucket){.level = 0};
	*suspect = (struct suspect){.address = PEER_ADDRESS_UNKNOWN};
}

static void limit_all(struct handshakes *handshakes, uint64_t now_ms)
{
	begin(handshakes, now_ms);
	handshakes->all = true;
	handshakes->together = (struct bucket){.level = 0};
}

/* Of a source that is not limited by name. True: it is now. */
static bool suspect_fails(struct handshakes *handshakes, const struct peer_address *address, uint64_t now_ms)
{
	uint64_t limit = handshakes->all ? handshakes->limit / 16 + 1 : handshakes->limit;
	struct suspect *suspect;

	if (address->family == 0 || handshakes->limited_count == SYN_FILTER_LIMITED_MAX)
		return false;
	suspect = suspect_or_emptiest(handshakes, address);
	if (!peer_address_equal(&suspect->address, address))
		*suspect = (struct suspect){.address = *address};
	if (!bucket_pour(&suspect->bucket, limit, now_ms))
		return false;
	limit_one(handshakes, suspect, now_ms);
	return true;
}

void handshakes_failed(struct handshakes *handshakes, const struct peer_address *address, uint64_t now_ms)
{
	bool limited = is_limited(handshakes, address);

	handshakes->failed++;
	if (handshakes->limit == 0)
		return;
	if (limited || address->family == 0 || (handshakes->all && !is_known(handshakes, address)))
		handshakes->let_in++;
	if (limited)
		return;
	handshakes->strays++;
	if (!suspect_fails(handshakes, address, now_ms) && !handshakes->all &&
	    bucket_pour(&handshakes->together, (uint64_t)HANDSHAKES_ALL_FACTOR * handshakes->limit, now_ms))
		limit_all(handshakes, now_ms);
}

void handshakes_ended(struct handshakes *handshakes, const struct peer_address *address, bool told, bool young,
		      uint64_t now_ms)
{
	struct known_peer *known = known_of(handshakes, address);

	if (!told && is_known(handshakes, address) && known->open > 0)
		known->open--;
	else if (told || young)
		handshakes_failed(handshakes, address, now_ms);
}

static void note(struct handshakes *handshakes, const struct peer_address *address, uint32_t opened, uint64_t now_ms)
{
	struct known_peer *known = known_of(handshakes, address);

	if (address->family == 0)
		return;
	if (!peer_address_equal(&known->address, address)) {
		*known = (struct known_peer){.address = *address};
		handshakes->changed = handshakes->changed || handshakes->all;
	}
	known->proven_ms = now_ms;
	known->open += opened;
}

void handshakes_known(struct handshakes *handshakes, const struct peer_address *address, uint64_t now_ms)
{
	note(handshakes, address, 0, now_ms);
}

void handshakes_proven(struct handshakes *handshakes, const struct peer_address *address, uint64_t now_ms)
{
	struct suspect *suspect = suspect_or_emptiest(handshakes, address);

	note(handshakes, address, 1, now_ms);
	if (peer_address_equal(&suspect->address, address))
		suspect->bucket.level = 0;
}

static void end(struct handshakes *handshakes)
{
	memset(handshakes->suspects, 0, sizeof handshakes->suspects);
	handshakes->together = (struct bucket){.level = 0};
	handshakes->limited_count = 0;
	handshakes->all = false;
	handshakes->share = SYN_FILTER_WHOLE;
}

/* By so many failures a second of the limited. */
static uint32_t share_after(const struct handshakes *handshakes, uint64_t rate)
{
	uint64_t share = handshakes->share;

	if (rate * 4 > handshakes->limit)
		share = share * handshakes->limit / (rate * 4);
	else if (rate * 8 < handshakes->limit)
		share *= 2;
	return share < 1 ? 1 : (uint32_t)share;
}

void handshakes_measure(struct handshakes *handshakes, uint64_t now_ms)
{
	uint64_t spent_ms = now_ms - handshakes->measured_ms;
	uint32_t share;

	if (!handshakes_limits(handshakes) || spent_ms < HANDSHAKES_MEASURE_MS)
		return;
	share = share_after(handshakes, handshakes->let_in * 1000u / spent_ms);
	if (share != handshakes->share)
		handshakes->changed = true;
	handshakes->share = share;
	if (handshakes->all && handshakes->strays * 8 < handshakes->let_in) {
		handshakes->all = false;
		handshakes->changed = true;
	}
	if (share >= SYN_FILTER_WHOLE)
		end(handshakes);
	handshakes->let_in = handshakes->strays = 0;
	handshakes->measured_ms = now_ms;
}

void handshakes_filter(struct handshakes *handshakes, struct syn_filter *filter)
{
	memset(filter, 0, sizeof *filter);
	filter->share = handshakes->share;
	filter->all = handshakes->all;
	filter->limited_count = handshakes->limited_count;
	memcpy(filter->limited, handshakes->limited, sizeof filter->limited);
	for (uint32_t i = 0; i < SYN_FILTER_KNOWN_MAX; i++) {
		if (handshakes->known[i].address.family != 0)
			filter->known[filter->known_count++] = handshakes->known[i].address;
	}
	handshakes->changed = false;
}

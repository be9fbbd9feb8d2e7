/* Claims against the log. */
#include "tests/sim/claims.h"

#include <assert.h>
#include <stdlib.h>

static void *grow(void *list, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return list;
	*capacity = *capacity == 0 ? 64 : 2 * *capacity;
	list = realloc(list, *capacity * size);
	assert(list != NULL);
	return list;
}

void claims_add(struct claims *claims, const struct claim *claim)
{
	claims->list = grow(claims->list, claims->count, &claims->capacity, sizeof *claims->list);
	claims->list[claims->count++] = *claim;
}

void claims_event(struct claims *claims, uint32_t key, uint64_t offset, uint64_t ingest_us, uint64_t operation)
{
	struct claims_key *of = &claims->keys[key];

	of->events = grow(of->events, of->count, &of->capacity, sizeof *of->events);
	of->events[of->count++] = (struct claims_event){offset, ingest_us, operation};
}

void claims_deinit(struct claims *claims)
{
	for (size_t i = 0; i < claims->count; i++)
		free(claims->list[i].offsets);
	for (uint32_t key = 0; key < WORKLOAD_KEYS; key++)
		free(claims->keys[key].events);
	free(claims->list);
	*claims = (struct claims){0};
}

static void check_history(const struct claims_key *key, struct sim *sim, const struct claim *claim)
{
	uint32_t seen = 0;

	for (size_t i = 0; i < key->count; i++) {
		uint64_t offset = key->events[i].offset;

		if (offset < claim->from || offset >= claim->to)
			continue;
		if (seen == claim->count || claim->offsets[seen] != offset)
			sim_fail(sim, "history: key %u: offset %llu of [%llu, %llu) was left out", claim->key,
				 (unsigned long long)offset, (unsigned long long)claim->from,
				 (unsigned long long)claim->to);
		seen++;
		if (sim->failed)
			return;
	}
	if (seen != claim->count)
		sim_fail(sim, "history: key %u: %u events in [%llu, %llu) were told that are not in the log",
			 claim->key, claim->count - seen, (unsigned long long)claim->from,
			 (unsigned long long)claim->to);
}

/* Of a group: what views.c says of SIM_VIEW_GROUPS. */
static bool is_the_entrys(const struct operation *operation, const struct claim *claim)
{
	if (operation->other)
		return false;
	return claim->group == 0 || (operation->kind != OPERATION_MERGE && operation->group + 1u == claim->group);
}

static bool counts(const struct claims_event *event, const struct claim *claim)
{
	if (claim->kind == CLAIM_STATE)
		return event->offset < claim->to;
	return event->offset < claim->from && event->ingest_us <= claim->to; /* a slow clock may add others later */
}

static void check_state(const struct claims_key *key, struct sim *sim, const struct claim *claim,
			const struct operation *operations)
{
	const struct operation *last = NULL; /* that left an entry */
	uint64_t changed_at = 0;
	uint64_t version = 0;
	uint64_t puts = 0; /* since it was made */

	for (size_t i = 0; i < key->count; i++) {
		const struct operation *operation = &operations[key->events[i].operation];

		if (!is_the_entrys(operation, claim))
			continue;
		if (!counts(&key->events[i], claim))
			break;
		version++;
		puts = operation->kind == OPERATION_DELETE ? 0 : puts + 1;
		if (operation->kind == OPERATION_DELETE)
			last = NULL;
		else if (operation->kind == OPERATION_PUT || last != NULL)
			last = operation;
		if (last == operation)
			changed_at = key->events[i].offset;
	}
	if (claim->present != (last != NULL))
		sim_fail(sim, "past: key %u, group %u, at %llu was told as %s, the log says it was not", claim->key,
			 claim->group, (unsigned long long)claim->to, claim->present ? "there" : "not there");
	else if (last != NULL &&
		 (claim->serial != last->serial || claim->client != (claim->group == 0 ? last->client : puts) ||
		  claim->changed_at != changed_at))
		sim_fail(sim,
			 "past: key %u, group %u, at %llu was told as n = %llu of offset %llu, the log says %llu of "
			 "%llu",
			 claim->key, claim->group, (unsigned long long)claim->to, (unsigned long long)claim->serial,
			 (unsigned long long)claim->changed_at, (unsigned long long)last->serial,
			 (unsigned long long)changed_at);
	if (claim->version != UINT64_MAX && claim->version != version)
		sim_fail(sim, "past: key %u, group %u, at %llu was told to be of %llu events, the log says %llu",
			 claim->key, claim->group, (unsigned long long)claim->to, (unsigned long long)claim->version,
			 (unsigned long long)version);
}

static void check_before_first(const struct claims_key *key, struct sim *sim, const struct claim *claim,
			       const struct operation *operations)
{
	size_t first = 0;

	while (first < key->count && !is_the_entrys(&operations[key->events[first].operation], claim))
		first++;
	if (first == key->count || key->events[first].offset != claim->from || claim->from < claim->to)
		sim_fail(sim,
			 "past: the first event of key %u, group %u was told as %llu, not before %llu; the log says "
			 "%llu",
			 claim->key, claim->group, (unsigned long long)claim->from, (unsigned long long)claim->to,
			 first == key->count ? 0ull : (unsigned long long)key->events[first].offset);
}

/* What was said of offsets that an operator's forced election gave up is of another log. */
static bool is_given_up(const struct claims_key *key, const struct claim *claim)
{
	bool by_from = claim->kind == CLAIM_STATE_AT || claim->kind == CLAIM_BEFORE_FIRST;

	return claim->history < key->history && (by_from ? claim->from : claim->to) > key->lost_from;
}

void claims_check(const struct claims *claims, struct sim *sim, const struct operation *operations)
{
	for (size_t i = 0; i < claims->count && !sim->failed; i++) {
		const struct claim *claim = &claims->list[i];
		const struct claims_key *key = &claims->keys[claim->key];

		if (is_given_up(key, claim))
			continue;
		switch (claim->kind) {
		case CLAIM_HISTORY: check_history(key, sim, claim); break;
		case CLAIM_STATE:
		case CLAIM_STATE_AT: check_state(key, sim, claim, operations); break;
		case CLAIM_BEFORE_FIRST: check_before_first(key, sim, claim, operations); break;
		}
	}
}

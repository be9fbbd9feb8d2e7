/* O14: metadata change by quorum only. Read from Raft's stores and from what the machines apply; libraft's own commit
 * index is not asked.
 *
 *   1. When the first machine applies an entry, a majority of the voters' disks hold it at that index, in one term, and
 *      byte for byte.
 *   2. No two machines apply different entries at one index.
 *   3. Machines that have applied equally many are equal, whether they came there by entries or by a snapshot.
 *   4. No disk that holds what was applied cuts it away, but for a snapshot that has it.
 *
 * The voters are those of the newest configuration up to that entry, or of a newer one that some log has, be it only on
 * its way to the disk: a leader counts by the newest that it has. From one to the next one voter comes or goes. A
 * server is who has its Raft id: a directory that was lost holds nothing; one that is aside while the lost one is found
 * holds what it held, and what it has answered may be on its way. */
#include "tests/sim/host.h"
#include "tests/sim/oracle_internal.h"
#include "tests/sim/raft_io.h"

#include <assert.h>
#include <stdlib.h>

#define DIGEST_EVERY 32u /* entries: a digest encodes the whole machine */

struct agreed { /* what was applied at an index; term 0: nothing, by anybody */
	raft_term term;
	uint64_t hash;
	uint64_t digest; /* of the machine that has applied it; 0: not known */
	size_t size;
};

struct voters {
	raft_id ids[NODES_MAX];
	uint32_t count;
};

struct quorum {
	struct voters voters; /* up to `last` */
	raft_index voters_at; /* where that configuration was applied */
	struct agreed *list;  /* by index */
	size_t capacity;
	raft_index last;
};

struct quorum *quorum_new(void)
{
	struct quorum *quorum = calloc(1, sizeof *quorum);

	assert(quorum != NULL);
	return quorum;
}

struct quorum *quorum_free(struct quorum *quorum)
{
	if (quorum != NULL)
		free(quorum->list);
	free(quorum);
	return NULL;
}

/* FNV-1a: nobody here means harm. */
static uint64_t hash_of(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash;
}

static struct agreed *agreed_at(struct quorum *quorum, raft_index index)
{
	while (index >= quorum->capacity) {
		size_t capacity = quorum->capacity == 0 ? 1024 : 2 * quorum->capacity;

		quorum->list = realloc(quorum->list, capacity * sizeof *quorum->list);
		assert(quorum->list != NULL);
		memset(quorum->list + quorum->capacity, 0, (capacity - quorum->capacity) * sizeof *quorum->list);
		quorum->capacity = capacity;
	}
	return &quorum->list[index];
}

static const struct sim_raft_entry *entry_at(const struct sim_raft_disk *disk, raft_index index)
{
	if (index < disk->first || index - disk->first >= disk->count)
		return NULL;
	return &disk->entries[index - disk->first];
}

static bool is_among(const struct voters *voters, raft_id id)
{
	for (uint32_t i = 0; i < voters->count; i++)
		if (voters->ids[i] == id)
			return true;
	return false;
}

static bool voters_of(const struct sim_raft_entry *held, struct voters *voters)
{
	struct raft_buffer bytes = {.base = held->data, .len = held->size};
	struct raft_configuration configuration;

	*voters = (struct voters){0};
	if (raft_configuration_decode(&bytes, &configuration) != 0)
		return false;
	for (unsigned i = 0; i < configuration.n && voters->count < NODES_MAX; i++)
		if (configuration.servers[i].role == RAFT_VOTER)
			voters->ids[voters->count++] = configuration.servers[i].id;
	raft_configuration_close(&configuration);
	return voters->count > 0;
}

/* The disk of the voter holds the entry: in this term; 0: it does not. */
static raft_term held_by(const struct oracle *oracle, raft_id voter, raft_index index, struct span entry)
{
	for (uint32_t i = 0; i < oracle->sim->options.hosts; i++) {
		const struct sim_raft_disk *disk = host_raft_disk_of(oracle->sim->hosts[i], voter);
		const struct sim_raft_entry *held = disk == NULL ? NULL : entry_at(disk, index);

		if (held != NULL && held->type == RAFT_COMMAND && span_equal(span_of(held->data, held->size), entry))
			return held->term;
	}
	return 0;
}

/* Most of them hold the entry, in one term. */
static bool majority_holds(const struct oracle *oracle, const struct voters *voters, raft_index index,
			   struct span entry, raft_term *term)
{
	raft_term terms[NODES_MAX] = {0};

	for (uint32_t i = 0; i < voters->count; i++)
		terms[i] = held_by(oracle, voters->ids[i], index, entry);
	for (uint32_t i = 0; i < voters->count; i++) {
		uint32_t count = 0;

		for (uint32_t j = 0; j < voters->count; j++)
			count += terms[i] != 0 && terms[j] == terms[i];
		*term = terms[i];
		if (2 * count > voters->count)
			return true;
	}
	return false;
}

/* The same by a configuration behind the entry. */
static bool newer_majority_holds(const struct oracle *oracle, raft_index index, struct span entry, raft_term *term)
{
	for (uint32_t i = 0; i < oracle->sim->options.hosts; i++) {
		const struct sim_raft_entry *held;
		struct voters voters;

		for (raft_index at = index + 1; (held = host_raft_entry(oracle->sim->hosts[i], at)) != NULL; at++)
			if (held->type == RAFT_CHANGE && voters_of(held, &voters) &&
			    majority_holds(oracle, &voters, index, entry, term))
				return true;
	}
	return false;
}

static void voters_take(struct oracle *oracle, uint32_t host, raft_index index, const struct voters *now)
{
	struct voters *before = &oracle->quorum->voters;
	uint32_t changes = 0;

	for (uint32_t i = 0; i < now->count; i++)
		changes += !is_among(before, now->ids[i]);
	for (uint32_t i = 0; i < before->count; i++)
		changes += !is_among(now, before->ids[i]);
	if (before->count > 0 && changes > 1)
		sim_fail(oracle->sim, "O14: host %u stores a change of %u voters at once, at index %llu", host, changes,
			 (unsigned long long)index);
	*before = *now;
	oracle->quorum->voters_at = index;
}

/* At `index`, of a log that has the entry that is applied, and so all before it. The one of the host that applies may
 * begin behind `index`, by a snapshot. */
static const struct sim_raft_entry *find_before(const struct oracle *oracle, uint32_t host, raft_index index,
						raft_index applied)
{
	const struct sim_raft_entry *newest = host_raft_entry(oracle->sim->hosts[host], applied);

	for (uint32_t i = 0; newest != NULL && i < oracle->sim->options.hosts; i++) {
		const struct host *other = oracle->sim->hosts[(host + i) % oracle->sim->options.hosts];
		const struct sim_raft_entry *same = host_raft_entry(other, applied);
		const struct sim_raft_entry *before = host_raft_entry(other, index);

		if (same != NULL && same->term == newest->term && before != NULL)
			return before;
	}
	return NULL;
}

/* What machines are not shown: barriers, and configurations. The host has applied what is behind them. */
static void check_between(struct oracle *oracle, uint32_t host, raft_index from, raft_index to)
{
	for (raft_index index = from; index < to; index++) {
		const struct sim_raft_entry *held = find_before(oracle, host, index, to);
		struct voters voters;

		if (held == NULL)
			sim_fail(oracle->sim, "O14: host %u applies entry %llu, and no log has entry %llu before it",
				 host, (unsigned long long)to, (unsigned long long)index);
		else if (held->type == RAFT_CHANGE && voters_of(held, &voters))
			voters_take(oracle, host, index, &voters);
	}
}

static void decide(struct oracle *oracle, uint32_t host, raft_index index, struct span entry, struct agreed *agreed)
{
	struct quorum *quorum = oracle->quorum;

	check_between(oracle, host, quorum->last + 1, index);
	if (!majority_holds(oracle, &quorum->voters, index, entry, &agreed->term) &&
	    !newer_majority_holds(oracle, index, entry, &agreed->term))
		sim_fail(oracle->sim,
			 "O14: host %u applies entry %llu, which no majority of %u voters holds on its disks", host,
			 (unsigned long long)index, quorum->voters.count);
	agreed->hash = hash_of(entry.data, entry.size);
	agreed->size = entry.size;
	if (index > quorum->last)
		quorum->last = index;
}

void oracle_applied(struct oracle *oracle, uint32_t host, uint64_t index, struct span entry)
{
	struct agreed *agreed = agreed_at(oracle->quorum, index);
	uint64_t digest;

	if (agreed->term == 0)
		decide(oracle, host, index, entry, agreed);
	else if (agreed->size != entry.size || agreed->hash != hash_of(entry.data, entry.size))
		sim_fail(oracle->sim, "O14: host %u applies another entry at index %llu than was applied there", host,
			 (unsigned long long)index);
	if (index % DIGEST_EVERY != 0)
		return;
	digest = host_metadata_digest(oracle->sim->hosts[host]);
	if (agreed->digest != 0 && digest != agreed->digest)
		sim_fail(oracle->sim, "O14: host %u: its metadata after entry %llu differ", host,
			 (unsigned long long)index);
	agreed->digest = digest;
}

void oracle_cut(struct oracle *oracle, uint32_t host, uint64_t from)
{
	const struct sim_raft_disk *disk = host_raft_disk(oracle->sim->hosts[host]);

	for (raft_index index = from > disk->first ? from : disk->first; index <= oracle->quorum->last; index++) {
		const struct sim_raft_entry *held = entry_at(disk, index);
		const struct agreed *agreed = agreed_at(oracle->quorum, index);

		if (held != NULL && agreed->term == held->term && held->type == RAFT_COMMAND)
			sim_fail(oracle->sim, "O14: host %u cuts entry %llu from its disk, which was applied", host,
				 (unsigned long long)index);
	}
}

void oracle_quorum_final(const struct oracle *oracle)
{
	if (oracle->quorum->last == 0 || oracle->quorum->voters.count == 0)
		sim_fail(oracle->sim, "O14: no entry was watched");
}

/* The newest configuration, and its index: what was applied last, unless a disk holds a later one. An earlier one may
 * be all that disks hold: who left keeps what the others' snapshots have in them. */
static raft_index newest_voters(const struct oracle *oracle, struct voters *voters)
{
	raft_index newest = oracle->quorum->voters_at;

	*voters = oracle->quorum->voters;
	for (uint32_t i = 0; i < oracle->sim->options.hosts; i++) {
		const struct sim_raft_disk *disk = host_raft_disk(oracle->sim->hosts[i]);

		for (raft_index at = disk->first; at < disk->first + disk->count; at++) {
			const struct sim_raft_entry *held = entry_at(disk, at);

			if (at > newest && held != NULL && held->type == RAFT_CHANGE && voters_of(held, voters))
				newest = at;
		}
	}
	return newest;
}

static bool votes_by(const struct host *host, raft_id voter, raft_index newest)
{
	const struct sim_raft_disk *disk = host_raft_disk(host);

	return host_raft_id(host) == voter && host_up(host) && disk->first + disk->count > newest;
}

bool oracle_voter_can_be_missed(const struct oracle *oracle)
{
	struct voters voters;
	raft_index newest = newest_voters(oracle, &voters);
	uint32_t voting = 0;

	for (uint32_t v = 0; v < voters.count; v++)
		for (uint32_t i = 0; i < oracle->sim->options.hosts; i++)
			voting += votes_by(oracle->sim->hosts[i], voters.ids[v], newest);
	return voters.count >= 3 && voting == voters.count;
}

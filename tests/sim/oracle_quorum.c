/* O14: metadata change by quorum only. Read from Raft's stores and from what the machines apply; libraft's own commit
 * index is not asked.
 *
 *   1. When the first machine applies an entry, a majority of the voters' disks hold it at that index, in one term, and
 *      byte for byte.
 *   2. No two machines apply different entries at one index.
 *   3. Machines that have applied equally many are equal, whether they came there by entries or by a snapshot.
 *   4. No disk that holds what was applied cuts it away, but for a snapshot that has it.
 *
 * The founders are the voters, from the first entry on; who joins follows the log. A configuration with other voters
 * fails the run. */
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

struct quorum {
	struct agreed *list; /* by index */
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

/* The term in which most disks hold the entry, and how many do. */
static uint32_t most_agree(const struct oracle *oracle, raft_index index, struct span entry, raft_term *term)
{
	uint32_t most = 0;
	uint32_t hosts = oracle->sim->options.founders;
	raft_term terms[SIM_HOSTS_MAX] = {0};

	*term = 0;
	for (uint32_t i = 0; i < hosts; i++) {
		const struct sim_raft_entry *held = entry_at(host_raft_disk(oracle->sim->hosts[i]), index);

		if (held != NULL && held->type == RAFT_COMMAND && span_equal(span_of(held->data, held->size), entry))
			terms[i] = held->term;
	}
	for (uint32_t i = 0; i < hosts; i++) {
		uint32_t count = 0;

		for (uint32_t j = 0; j < hosts; j++)
			count += terms[i] != 0 && terms[j] == terms[i];
		if (count > most) {
			most = count;
			*term = terms[i];
		}
	}
	return most;
}

static bool has_other_voters(const struct oracle *oracle, const struct sim_raft_entry *held)
{
	struct raft_buffer bytes = {.base = held->data, .len = held->size};
	struct raft_configuration configuration;
	uint32_t voters = 0;
	bool other = false;

	if (raft_configuration_decode(&bytes, &configuration) != 0)
		return true;
	for (unsigned i = 0; i < configuration.n; i++) {
		bool founder = false;

		if (configuration.servers[i].role != RAFT_VOTER)
			continue;
		for (uint32_t host = 0; host < oracle->sim->options.founders; host++)
			founder |= strcmp(configuration.servers[i].address, host_address(host)) == 0;
		other |= !founder;
		voters++;
	}
	raft_configuration_close(&configuration);
	return other || voters != oracle->sim->options.founders;
}

/* What machines are not shown: barriers, and configurations. */
static void check_between(struct oracle *oracle, raft_index from, raft_index to)
{
	for (raft_index index = from; index < to; index++)
		for (uint32_t i = 0; i < oracle->sim->options.hosts; i++) {
			const struct sim_raft_entry *held = entry_at(host_raft_disk(oracle->sim->hosts[i]), index);

			if (held != NULL && held->type == RAFT_CHANGE && has_other_voters(oracle, held))
				sim_fail(oracle->sim, "O14: host %u stores other voters at index %llu", i,
					 (unsigned long long)index);
		}
}

static void decide(struct oracle *oracle, uint32_t host, raft_index index, struct span entry, struct agreed *agreed)
{
	uint32_t hosts = oracle->sim->options.founders;
	uint32_t count = most_agree(oracle, index, entry, &agreed->term);

	if (2 * count <= hosts)
		sim_fail(oracle->sim, "O14: host %u applies entry %llu, which %u of %u voters hold on their disks",
			 host, (unsigned long long)index, count, hosts);
	agreed->hash = hash_of(entry.data, entry.size);
	agreed->size = entry.size;
	check_between(oracle, oracle->quorum->last + 1, index);
	if (index > oracle->quorum->last)
		oracle->quorum->last = index;
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

/* The oracle's watch: O1 to O5; O11 is oracle_versions.c's. */
#include "tests/sim/oracle.h"

#include "partition/bits.h"
#include "partition/log.h"
#include "partition/state.h"
#include "tests/sim/edge.h"
#include "tests/sim/host.h"
#include "tests/sim/oracle_internal.h"

#include <assert.h>
#include <stdlib.h>

static uint32_t host_index(const struct oracle *oracle, const struct host *host)
{
	for (uint32_t i = 0; i < oracle->sim->options.hosts; i++)
		if (oracle->sim->hosts[i] == host)
			return i;
	abort();
}

struct oracle *oracle_new(struct sim *sim)
{
	struct oracle *oracle = calloc(1, sizeof *oracle);

	assert(oracle != NULL);
	oracle->sim = sim;
	oracle->quorum = quorum_new();
	return oracle;
}

struct oracle *oracle_free(struct oracle *oracle)
{
	if (oracle == NULL)
		return NULL;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		free(oracle->partitions[p].facts);
		free(oracle->partitions[p].digests);
	}
	quorum_free(oracle->quorum);
	free(oracle);
	return NULL;
}

void oracle_restarted(struct oracle *oracle, uint32_t index)
{
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		oracle->partitions[p].seen[index] = 0;
		oracle->partitions[p].sealed[index] = 0;
		oracle->partitions[p].applied[index] = 0;
	}
}

static struct fact *fact_at(const struct chronicle *chronicle, uint64_t base)
{
	size_t low = 0;
	size_t high = chronicle->fact_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (chronicle->facts[middle].base < base)
			low = middle + 1;
		else
			high = middle;
	}
	return low < chronicle->fact_count && chronicle->facts[low].base == base ? &chronicle->facts[low] : NULL;
}

/* The order of sequences is the order of offsets, across fail-overs too. */
static bool sequences_rise(const struct chronicle *chronicle, const struct fact *fact)
{
	return chronicle->fact_count == 0 ||
	       fact->last_sequence >= chronicle->facts[chronicle->fact_count - 1].last_sequence + fact->count;
}

static void chronicle_add(struct chronicle *chronicle, const struct fact *fact)
{
	if (chronicle->fact_count == chronicle->fact_capacity) {
		chronicle->fact_capacity = chronicle->fact_capacity == 0 ? 16 : chronicle->fact_capacity * 2;
		chronicle->facts = realloc(chronicle->facts, chronicle->fact_capacity * sizeof *chronicle->facts);
		assert(chronicle->facts != NULL);
	}
	chronicle->facts[chronicle->fact_count++] = *fact;
	chronicle->committed = fact->base + fact->count;
}

static bool facts_agree(const struct fact *old, const struct fact *new)
{
	return old->epoch == new->epoch && old->count == new->count && old->size == new->size &&
	       old->last_sequence == new->last_sequence &&
	       (old->checksum == 0 || new->checksum == 0 || old->checksum == new->checksum);
}

/* O1; batch: NULL when it cannot be read. */
static void compare_fact(struct oracle *oracle, uint16_t partition, const struct fact *new, const struct batch *batch)
{
	struct chronicle *chronicle = &oracle->partitions[partition];
	struct fact *fact;

	if (new->base == chronicle->committed) {
		if (!sequences_rise(chronicle, new))
			sim_fail(oracle->sim, "O1: partition %u offset %llu: the sequence does not rise", partition,
				 (unsigned long long)new->base);
		chronicle_add(chronicle, new);
		oracle_versions_batch(oracle, partition, batch);
		return;
	}
	fact = fact_at(chronicle, new->base);
	if (fact == NULL || !facts_agree(fact, new))
		sim_fail(oracle->sim,
			 "O1: host %u calls committed at partition %u offset %llu: epoch %u count %u; host %d: epoch "
			 "%u count %u",
			 new->host, partition, (unsigned long long)new->base, new->epoch, new->count,
			 fact == NULL ? -1 : fact->host, fact == NULL ? 0 : fact->epoch,
			 fact == NULL ? 0 : fact->count);
	else if (fact->checksum == 0)
		fact->checksum = new->checksum;
}

/* Whether this state is the one that a fault made wrong, and still differs from what others had at that offset. */
static bool is_corrupted(struct oracle *oracle, uint32_t host, uint16_t partition, uint64_t applied, uint64_t digest)
{
	struct corruption *corruption = &oracle->sim->corruption;
	const struct chronicle *chronicle = &oracle->partitions[partition];

	if (corruption->host != host + 1 || corruption->partition != partition)
		return false;
	corruption->left = corruption->left && applied == 0;
	for (size_t at = chronicle->digest_count; at > 0 && chronicle->digests[at - 1].applied >= applied; at--)
		if (chronicle->digests[at - 1].applied == applied && chronicle->digests[at - 1].digest == digest)
			corruption->host = 0;
	corruption->applied = applied;
	corruption->digest = digest;
	return corruption->host != 0;
}

/* Another has come to the same offset with the same digest. */
static void note_agreement(struct oracle *oracle, uint16_t partition, uint64_t applied, uint64_t digest)
{
	struct corruption *corruption = &oracle->sim->corruption;

	if (corruption->host != 0 && corruption->partition == partition && applied != 0 &&
	    corruption->applied == applied && corruption->digest == digest)
		corruption->host = 0;
}

/* O2 */
static void compare_digest(struct oracle *oracle, uint32_t host, uint16_t partition, uint64_t applied, uint64_t digest)
{
	struct chronicle *chronicle = &oracle->partitions[partition];
	size_t at = chronicle->digest_count;

	while (at > 0 && chronicle->digests[at - 1].applied > applied)
		at--;
	if (at > 0 && chronicle->digests[at - 1].applied == applied) {
		if (chronicle->digests[at - 1].digest != digest)
			sim_fail(oracle->sim, "O2: host %u partition %u applied %llu: digest differs", host, partition,
				 (unsigned long long)applied);
		return;
	}
	if (chronicle->digest_count == chronicle->digest_capacity) {
		chronicle->digest_capacity = chronicle->digest_capacity == 0 ? 16 : chronicle->digest_capacity * 2;
		chronicle->digests =
			realloc(chronicle->digests, chronicle->digest_capacity * sizeof *chronicle->digests);
		assert(chronicle->digests != NULL);
	}
	memmove(&chronicle->digests[at + 1], &chronicle->digests[at],
		(chronicle->digest_count - at) * sizeof *chronicle->digests);
	chronicle->digests[at] = (struct digest_fact){applied, digest};
	chronicle->digest_count++;
}

/* The batch if its bytes are on the disk or on their way; false when what stands there is an older life's, or has
 * rotted: the replica must find that by itself (rule 9). */
static bool batch_on_disk(const struct sim_disk *disk, uint16_t partition, const struct log_entry *entry,
			  struct batch *batch)
{
	struct span bytes = sim_disk_bytes(disk, entry->place.segment, 0, entry->place.place, entry->size);

	return bytes.data != NULL && batch_decode_stamped(bytes, batch) == 0 && batch->partition == partition &&
	       batch->base_offset == entry->base && batch->epoch == entry->epoch && batch->size == entry->size;
}

/* What the journal's index says. */
static struct fact fact_of_entry(uint32_t host, const struct log_entry *entry, const struct batch *batch)
{
	return (struct fact){
		.base = entry->base,
		.checksum = batch == NULL ? 0 : batch->checksum,
		.last_sequence = entry->last_sequence,
		.epoch = entry->epoch,
		.size = entry->size,
		.count = entry->count,
		.host = (uint8_t)host,
	};
}

struct sealed_watch {
	struct oracle *oracle;
	uint32_t host;
	uint16_t partition;
};

static struct fact fact_of_batch(uint32_t host, const struct batch *batch)
{
	return (struct fact){
		.base = batch->base_offset,
		.checksum = batch->checksum,
		.last_sequence = batch->base_sequence + batch->record_count - 1,
		.epoch = batch->epoch,
		.size = batch->size,
		.count = batch->record_count,
		.host = (uint8_t)host,
	};
}

bool oracle_holds(const struct oracle *oracle, uint16_t partition, const struct batch *batch)
{
	struct fact fact = fact_of_batch(0, batch);
	const struct fact *held = fact_at(&oracle->partitions[partition], fact.base);

	return held != NULL && facts_agree(held, &fact);
}

bool oracle_digest_at(const struct oracle *oracle, uint16_t partition, uint64_t applied, uint64_t *digest)
{
	const struct chronicle *chronicle = &oracle->partitions[partition];

	for (size_t at = 0; at < chronicle->digest_count; at++) {
		if (chronicle->digests[at].applied != applied)
			continue;
		*digest = chronicle->digests[at].digest;
		return true;
	}
	return false;
}

static bool compare_sealed(void *data, const struct batch *batch)
{
	const struct sealed_watch *watch = data;
	struct fact fact = fact_of_batch(watch->host, batch);

	compare_fact(watch->oracle, watch->partition, &fact, batch);
	return !watch->oracle->sim->failed;
}

/* Whatever is sealed anew is read back and compared, byte by byte through its checksums. */
static void watch_sealed(struct oracle *oracle, uint32_t host, uint16_t partition, const struct log *log)
{
	struct chronicle *chronicle = &oracle->partitions[partition];
	struct sealed_watch watch = {oracle, host, partition};
	uint64_t at;

	if (log->sealed > log->commit)
		sim_fail(oracle->sim, "O1: host %u sealed partition %u up to %llu, committed is %llu", host, partition,
			 (unsigned long long)log->sealed, (unsigned long long)log->commit);
	if (!oracle_walk_sealed(log, host_disk(oracle->sim->hosts[host], partition), chronicle->sealed[host],
				compare_sealed, &watch, &at))
		sim_fail(oracle->sim, "O1: host %u partition %u offset %llu is not in its sealed segment", host,
			 partition, (unsigned long long)at);
	chronicle->sealed[host] = log->sealed;
	if (chronicle->seen[host] < log->sealed)
		chronicle->seen[host] = log->sealed;
}

static void watch_log(struct oracle *oracle, uint32_t host, uint16_t partition, const struct log *log)
{
	struct chronicle *chronicle = &oracle->partitions[partition];
	const struct sim_disk *disk = host_disk(oracle->sim->hosts[host], partition);

	if (log->sealed != chronicle->sealed[host])
		watch_sealed(oracle, host, partition, log);
	if (chronicle->seen[host] < log->sealed)
		chronicle->seen[host] = log->sealed; /* a new process, whose sealed part has been compared before */
	if (log->commit <= chronicle->seen[host])
		return;
	for (const struct log_entry *entry = log_find(log, chronicle->seen[host]);
	     entry != NULL && entry->base + entry->count <= log->commit; entry = log_next(log, entry)) {
		struct batch batch;
		bool readable = batch_on_disk(disk, partition, entry, &batch);
		struct fact fact = fact_of_entry(host, entry, readable ? &batch : NULL);

		compare_fact(oracle, partition, &fact, readable ? &batch : NULL);
		chronicle->seen[host] = entry->base + entry->count;
	}
}

/* O5 for one member. */
static void check_member(struct oracle *oracle, uint16_t partition, uint32_t node_id)
{
	struct chronicle *chronicle = &oracle->partitions[partition];
	const struct member *member = &oracle->members[node_id - 1];
	struct sim *sim = oracle->sim;

	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		struct shard *shard = host_shard(sim->hosts[i], partition);
		const struct log *log;

		if (host_node_id(sim->hosts[i]) != node_id || shard == NULL || !member->live ||
		    member->incarnation != host_incarnation(sim->hosts[i])) /* the one that is registered is dead */
			continue;
		log = shard_log(shard, partition);
		if (log == NULL || log->end < chronicle->committed ||
		    log_epoch_before(log, chronicle->committed) !=
			    (chronicle->fact_count == 0 ? 0 : chronicle->facts[chronicle->fact_count - 1].epoch))
			sim_fail(sim, "O5: host %u is in ISR or ELR of partition %u at end %llu, committed is %llu", i,
				 partition, (unsigned long long)(log == NULL ? 0 : log->end),
				 (unsigned long long)chronicle->committed);
		else if (!oracle_is_durable(oracle, i, partition, log, chronicle->committed))
			sim_fail(sim, "O5: host %u is in ISR or ELR of partition %u, and its disk ends before %llu", i,
				 partition, (unsigned long long)chronicle->committed);
	}
}

/* O5 */
static void check_members(struct oracle *oracle, uint16_t partition)
{
	node_set set = oracle->partitions[partition].isr | oracle->partitions[partition].elr;

	for (; set != 0; set &= set - 1)
		check_member(oracle, partition, (uint32_t)__builtin_ctzll(set) + 1);
}

static void watch_partition(struct oracle *oracle, uint32_t host, struct shard *shard, uint16_t partition)
{
	struct chronicle *chronicle = &oracle->partitions[partition];
	const struct log *log = shard_log(shard, partition);
	struct state *state = shard_state(shard, partition);
	uint64_t committed = chronicle->committed;

	if (log == NULL || (chronicle->history_epoch > 0 && log->commit > chronicle->lost_from &&
			    log_last_epoch(log) < chronicle->history_epoch))
		return; /* it has not learned yet that its tail was given up */
	watch_log(oracle, host, partition, log);
	if (chronicle->committed > committed)
		check_members(oracle, partition);
	else if (log->end < chronicle->committed &&
		 node_set_has(chronicle->isr | chronicle->elr, host_node_id(oracle->sim->hosts[host])))
		check_member(oracle, partition, host_node_id(oracle->sim->hosts[host]));
	if (state != NULL && state_applied(state) != chronicle->applied[host]) {
		uint64_t from;

		chronicle->applied[host] = state_applied(state);
		if (state_wants_fill(state, &from) ||
		    is_corrupted(oracle, host, partition, state_applied(state), state_digest(state)))
			return;
		note_agreement(oracle, partition, state_applied(state), state_digest(state));
		compare_digest(oracle, host, partition, state_applied(state), state_digest(state));
	}
}

#define LOOK_AT_ALL 16u /* turns; in between only at what was stepped */

void oracle_turn(struct oracle *oracle, struct host *host, uint16_t shard_index)
{
	uint32_t index = host_index(oracle, host);
	struct shard *shard = host_shard(host, shard_index);
	uint32_t shards = oracle->sim->options.shards;
	uint32_t count = (PARTITION_COUNT - shard_index + shards - 1) / shards;
	bool all = ++oracle->turns % LOOK_AT_ALL == 0;

	if (shard == NULL)
		return;
	for (uint32_t i = all ? 0 : bit_next(shard_stepped(shard), 0, count); i < count;
	     i = all ? i + 1 : bit_next(shard_stepped(shard), i + 1, count))
		watch_partition(oracle, index, shard, (uint16_t)(shard_index + i * shards));
}

/* O3 */
void oracle_primary(struct oracle *oracle, struct host *host, const struct shard_event *event)
{
	struct chronicle *chronicle = &oracle->partitions[event->partition];
	uint32_t index = host_index(oracle, host);

	if (event->epoch == chronicle->primary_epoch && index != chronicle->primary_host)
		sim_fail(oracle->sim, "O3: hosts %u and %u are both active primaries of partition %u in epoch %u",
			 index, chronicle->primary_host, event->partition, event->epoch);
	if (event->epoch <= chronicle->primary_epoch)
		return;
	if (chronicle->primary_epoch != 0)
		marks_reach(&oracle->sim->marks,
			    index == chronicle->primary_host ? MARK_RESTART_PRIMARY : MARK_FAILOVER);
	chronicle->primary_epoch = event->epoch;
	chronicle->primary_host = index;
}

/* It begins anew: what it calls committed from here on is compared again. */
void oracle_rebuild(struct oracle *oracle, struct host *host, const struct shard_event *event)
{
	struct chronicle *chronicle = &oracle->partitions[event->partition];
	uint32_t index = host_index(oracle, host);

	marks_reach(&oracle->sim->marks, MARK_TAKEN_OUT);
	edge_rebuilt(oracle->sim->edge, index, event->partition);
	if (node_set_has(chronicle->isr | chronicle->elr, host_node_id(host)) &&
	    oracle->map_version == host_map(host)->version)
		sim_fail(oracle->sim, "O5: host %u forgets partition %u and is in its ISR or ELR", index,
			 event->partition);
	chronicle->seen[index] = 0;
	chronicle->applied[index] = 0;
}

/* It may come again, and begins anew then. */
void oracle_left(struct oracle *oracle, struct host *host, const struct shard_event *event)
{
	struct chronicle *chronicle = &oracle->partitions[event->partition];
	uint32_t index = host_index(oracle, host);

	edge_rebuilt(oracle->sim->edge, index, event->partition);
	if (node_set_has(chronicle->replicas | chronicle->learners, host_node_id(host)) &&
	    oracle->map_version == host_map(host)->version)
		sim_fail(oracle->sim, "O5: host %u forgets partition %u and is to hold it", index, event->partition);
	chronicle->seen[index] = 0;
	chronicle->applied[index] = 0;
	if (oracle->sim->corruption.host == index + 1 && oracle->sim->corruption.partition == event->partition)
		oracle->sim->corruption.left = true;
}

/* O2: only what a fault has made wrong differs, and only its own node condemns it. */
void oracle_unsound(struct oracle *oracle, struct host *host, const struct shard_event *event)
{
	struct sim *sim = oracle->sim;
	bool condemned = event->kind == SHARD_EVENT_STATE_DIFFERS;

	if (sim->corruption.host == 0 || sim->corruption.partition != event->partition ||
	    (condemned && sim->corruption.host != host_index(oracle, host) + 1))
		sim_fail(sim, "O2: host %u partition %u: alarm %d at offset %llu, and nothing was corrupted there",
			 host_index(oracle, host), event->partition, (int)event->kind,
			 (unsigned long long)event->offset);
	marks_reach(&sim->marks, condemned ? MARK_STATE_CONDEMNED : MARK_DIGEST_DIFFERED);
}

void oracle_duplicate(struct oracle *oracle, struct host *host, const struct shard_event *event)
{
	const struct chronicle *chronicle = &oracle->partitions[event->partition];
	const struct fact *fact = fact_at(chronicle, event->offset);

	(void)host;
	marks_reach(&oracle->sim->marks, MARK_DUPLICATE);
	if (fact != NULL && fact->epoch < event->epoch)
		marks_reach(&oracle->sim->marks, MARK_DUPLICATE_FAILOVER);
}

/* O4 */
void oracle_answer(struct oracle *oracle, struct host *host, struct span frame)
{
	struct message message;
	struct reader body;

	if (message_decode(frame, &message) != 0 || message.kind != MESSAGE_APPEND_DONE)
		return;
	body = reader_of(message.body);
	for (uint32_t i = 0; i < message.items; i++) {
		struct append_done done;

		if (append_done_decode(&body, &done) != 0) {
			sim_fail(oracle->sim, "O4: an answer does not decode");
			return;
		}
		if (done.error == ERROR_NOT_ENOUGH_REPLICAS)
			marks_reach(&oracle->sim->marks, MARK_NOT_ENOUGH_REPLICAS);
		if (done.error != ERROR_NONE)
			continue;
		if (fact_at(&oracle->partitions[done.partition], done.base_offset) == NULL)
			sim_fail(oracle->sim,
				 "O4: host %u acknowledges partition %u offset %llu, which is not committed",
				 host_index(oracle, host), done.partition, (unsigned long long)done.base_offset);
	}
}

void oracle_delivered(struct oracle *oracle, uint16_t partition, const struct batch *batch)
{
	const struct fact *fact = fact_at(&oracle->partitions[partition], batch->base_offset);

	if (batch->partition != partition || fact == NULL || fact->epoch != batch->epoch ||
	    fact->count != batch->record_count || fact->size != batch->size)
		sim_fail(oracle->sim, "O10: a subscriber is handed partition %u offset %llu, which is not committed so",
			 partition, (unsigned long long)batch->base_offset);
}

uint32_t oracle_primary_host(const struct oracle *oracle, uint16_t partition)
{
	return oracle->partitions[partition].primary_host;
}

/* Of what is sealed the log knows epochs only: one offset of one epoch is one record (rule 3), and watch_sealed has
 * compared its bytes. */
static bool log_holds(const struct log *log, const struct fact *fact)
{
	const struct log_entry *entry = log_find(log, fact->base);
	uint64_t end = fact->base + fact->count;

	if (end <= log->sealed)
		return log_epoch_before(log, end) == fact->epoch;
	return entry != NULL && entry->base == fact->base && entry->epoch == fact->epoch &&
	       entry->count == fact->count && entry->last_sequence == fact->last_sequence;
}

/* An operator elected a replica that may lack what was committed: where its log parts from it the chronicle begins
 * anew. */
static void note_history(struct oracle *oracle, uint16_t partition, const struct map_partition *row)
{
	struct chronicle *chronicle = &oracle->partitions[partition];
	struct sim *sim = oracle->sim;
	const struct log *log = NULL;

	for (uint32_t i = 0; i < sim->options.hosts; i++)
		if (host_node_id(sim->hosts[i]) == row->primary && host_shard(sim->hosts[i], partition) != NULL)
			log = shard_log(host_shard(sim->hosts[i], partition), partition);
	assert(log != NULL && row->history == chronicle->history + 1);
	chronicle->history = row->history;
	chronicle->history_epoch = row->epoch;
	while (chronicle->fact_count > 0 && !log_holds(log, &chronicle->facts[chronicle->fact_count - 1]))
		chronicle->committed = chronicle->facts[--chronicle->fact_count].base;
	chronicle->lost_from = chronicle->committed;
	while (chronicle->digest_count > 0 &&
	       chronicle->digests[chronicle->digest_count - 1].applied > chronicle->committed)
		chronicle->digest_count--;
	for (uint32_t i = 0; i < SIM_HOSTS_MAX; i++)
		if (chronicle->seen[i] > chronicle->committed)
			chronicle->seen[i] = chronicle->committed;
}

uint64_t oracle_lost(const struct oracle *oracle)
{
	return oracle->lost;
}

/* The members that are live by this map in a process that was not so by the one before. */
static node_set note_members(struct oracle *oracle, const struct cluster_map *map)
{
	node_set came = 0;

	for (uint32_t id = 1; id <= NODES_MAX; id++) {
		const struct map_node *node = cluster_map_node(map, id);
		struct member *member = &oracle->members[id - 1];
		struct member now = {0};

		if (node != NULL)
			now = (struct member){node->incarnation, !node->fenced};
		if (now.live && (!member->live || member->incarnation != now.incarnation))
			came |= node_bit(id);
		*member = now;
	}
	return came;
}

static bool somebody_is_away(const struct oracle *oracle, node_set nodes)
{
	for (; nodes != 0; nodes &= nodes - 1)
		if (!oracle->members[__builtin_ctzll(nodes)].live)
			return true;
	return false;
}

static void note_move(struct oracle *oracle, uint16_t partition, const struct map_partition *row)
{
	struct chronicle *chronicle = &oracle->partitions[partition];
	struct marks *marks = &oracle->sim->marks;
	node_set ended = chronicle->learners & ~row->learners;
	node_set replicas = row_replicas(row);

	if ((row->learners & ~chronicle->learners) != 0)
		marks_reach(marks, MARK_MOVE_BEGUN);
	if ((ended & replicas) != 0)
		marks_reach(marks, MARK_MOVED);
	if ((ended & replicas) != 0 && somebody_is_away(oracle, chronicle->replicas & ~replicas))
		marks_reach(marks, MARK_REASSIGNED);
	if ((ended & ~replicas) != 0)
		marks_reach(marks, MARK_MOVE_GIVEN_UP);
	chronicle->learners = row->learners;
	chronicle->replicas = replicas;
}

static void note_emptied(struct oracle *oracle, const struct cluster_map *map)
{
	node_set kept = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		kept |= oracle->partitions[p].replicas | oracle->partitions[p].learners;
	for (uint32_t id = 1; id <= NODES_MAX; id++)
		if (map->nodes[id - 1].state == NODE_DRAINING && !node_set_has(kept, id))
			marks_reach(&oracle->sim->marks, MARK_EMPTIED);
}

void oracle_map(struct oracle *oracle, const struct cluster_map *map)
{
	node_set came;

	if (map->version <= oracle->map_version)
		return;
	came = note_members(oracle, map);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &map->partitions[p];

		if (row->changed_at <= oracle->map_version && ((row->isr | row->elr) & came) != 0)
			check_members(oracle, p);
		if (row->changed_at <= oracle->map_version)
			continue;
		if (row->primary != 0 && (row->elr & node_bit(row->primary)) != 0)
			sim_fail(oracle->sim, "metadata: the primary of partition %u is in its ELR", p);
		if (row->history > oracle->partitions[p].history)
			note_history(oracle, p, row);
		if (row->planned)
			marks_reach(&oracle->sim->marks, MARK_HANDOVER);
		if (row->primary != 0 && node_set_has(oracle->partitions[p].elr, row->primary))
			marks_reach(&oracle->sim->marks, MARK_ELECTED_FROM_ELR);
		oracle->partitions[p].elr = row->elr;
		oracle->partitions[p].isr = row->isr;
		oracle->partitions[p].restored_to = row->restored_to;
		note_move(oracle, p, row);
		check_members(oracle, p);
	}
	note_emptied(oracle, map);
	oracle_zones_map(oracle->sim, map);
	oracle_versions_map(oracle, map);
	oracle->map_version = map->version;
}

bool oracle_in_sync_everywhere(const struct oracle *oracle, uint32_t node_id)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (node_set_has(oracle->partitions[p].replicas & ~oracle->partitions[p].isr, node_id))
			return false;
	return node_id != 0;
}

void oracle_controller(struct oracle *oracle, uint32_t host)
{
	if (oracle->controller != 0 && oracle->controller != host + 1)
		marks_reach(&oracle->sim->marks, MARK_CONTROLLER_CHANGED);
	oracle->controller = host + 1;
}

uint64_t oracle_committed(const struct oracle *oracle, uint16_t partition)
{
	return oracle->partitions[partition].committed;
}

uint64_t oracle_committed_events(const struct oracle *oracle)
{
	uint64_t sum = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		sum += oracle->partitions[p].committed;
	return sum;
}

bool oracle_views_active(const struct oracle *oracle)
{
	return oracle->views_active;
}

/* Nobody is to go, nothing is on its way, and every node keeps its share, within one. */
static bool is_balanced(const struct cluster_map *map)
{
	uint32_t kept[NODES_MAX] = {0};
	uint32_t least = UINT32_MAX;
	uint32_t most = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		if (map->partitions[p].learners != 0)
			return false;
		for (uint32_t i = 0; i < map->partitions[p].replica_count; i++)
			kept[map->partitions[p].replicas[i] - 1]++;
	}
	for (uint32_t id = 1; id <= NODES_MAX; id++) {
		if (map->nodes[id - 1].state == NODE_DRAINING)
			return false;
		if (map->nodes[id - 1].state != NODE_ACTIVE)
			continue;
		least = kept[id - 1] < least ? kept[id - 1] : least;
		most = kept[id - 1] > most ? kept[id - 1] : most;
	}
	return most - least <= 1;
}

static bool replica_is_settled(const struct oracle *oracle, const struct cluster_map *map, struct shard *shard,
			       uint16_t p)
{
	struct partition_status status;
	uint64_t from;

	return shard_status(shard, p, &status) == 0 && status.applied == oracle->partitions[p].committed &&
	       status.end == status.applied && !state_wants_fill(shard_state(shard, p), &from) &&
	       !state_wants_activation(shard_state(shard, p)) && oracle_versions_gone(map, shard_state(shard, p));
}

static bool partition_is_settled(const struct oracle *oracle, const struct cluster_map *map, uint16_t p)
{
	const struct map_partition *row = &map->partitions[p];
	struct sim *sim = oracle->sim;

	for (uint32_t i = 0; i < sim->options.hosts; i++) {
		struct shard *shard = host_shard(sim->hosts[i], p);
		uint32_t id = host_node_id(sim->hosts[i]);

		if (host_is_gone(sim->hosts[i]))
			continue;
		if (shard == NULL || id == 0)
			return false;
		if (node_set_has(row_replicas(row), id) &&
		    (!node_set_has(row->isr, id) || !replica_is_settled(oracle, map, shard, p)))
			return false;
	}
	return row->primary != 0;
}

/* Asked again and again: begins where it failed last. */
bool oracle_settled(struct oracle *oracle)
{
	struct sim *sim = oracle->sim;
	const struct cluster_map *map = sim_map(sim);
	char why[256];

	if (!oracle->views_active || map == NULL)
		return false;
	if (sim->zones.on ? !oracle_zones_balanced(sim, map, why, sizeof why) : !is_balanced(map))
		return false;
	for (uint16_t i = 0; i < PARTITION_COUNT; i++) {
		uint16_t p = (uint16_t)((oracle->unsettled + i) % PARTITION_COUNT);

		if (!partition_is_settled(oracle, map, p)) {
			oracle->unsettled = p;
			return false;
		}
	}
	return true;
}

/* The oracle's last look, but for O9: from the disks of every replica. */
#include "partition/log.h"
#include "partition/state.h"
#include "proto/batch.h"
#include "proto/msgpack.h"
#include "tests/sim/edge.h"
#include "tests/sim/host.h"
#include "tests/sim/oracle_internal.h"
#include "tests/sim/oracle_views.h"
#include "tests/sim/subscriber.h"
#include "tests/sim/workload.h"

#include <stdlib.h>

struct fold { /* of one key, by the oracle's own reckoning */
	uint64_t version;
	bool present;
	uint64_t serial; /* payload member n of the last event that left one */
	uint64_t client;
};

struct inspection {
	struct oracle *oracle;
	struct operation *operations;
	size_t operation_count;
	struct fold folds[WORKLOAD_KEYS];
	uint64_t last_acknowledged[WORKLOAD_KEYS][SIM_CLIENTS_MAX];
	uint16_t partition;
	uint32_t stream_id;
	struct buffer scratch;
	struct claims *claims;
	struct decisions_made decisions; /* of this partition */
	struct producer_lines producers; /* the same */
};

/* Acknowledged in an earlier history, at or beyond where the present one parts from it: gone, or at another place. */
static bool given_up(const struct oracle *oracle, const struct operation *operation)
{
	const struct chronicle *chronicle = &oracle->partitions[operation->partition];

	return operation->history < chronicle->history && operation->offset >= chronicle->lost_from;
}

static void inspect_operation(struct inspection *inspection, struct operation *operation, const struct batch *batch,
			      uint64_t offset)
{
	struct sim *sim = inspection->oracle->sim;
	uint64_t *last = &inspection->last_acknowledged[operation->key][operation->client];

	if (operation->found)
		sim_fail(sim,
			 "O6: event %llu is in partition %u twice: offset %llu (producer %llx number %u) and offset "
			 "%llu "
			 "(producer %llx number %u); published %.3f answered %.3f",
			 (unsigned long long)operation->id, inspection->partition,
			 (unsigned long long)operation->found_offset, (unsigned long long)operation->found_producer,
			 operation->found_number, (unsigned long long)offset, (unsigned long long)batch->producer_id,
			 batch->number, (double)operation->invoked_us / 1e6, (double)operation->answered_us / 1e6);
	operation->found_offset = offset;
	operation->found_producer = batch->producer_id;
	operation->found_number = batch->number;
	operation->found = true;
	if (operation->outcome == OUTCOME_REFUSED)
		sim_fail(sim, "O6: event %llu was refused and is in the log at partition %u offset %llu",
			 (unsigned long long)operation->id, inspection->partition, (unsigned long long)offset);
	if (operation->outcome != OUTCOME_ACKNOWLEDGED)
		return;
	if ((operation->partition != inspection->partition || operation->offset != offset) &&
	    !given_up(inspection->oracle, operation))
		sim_fail(sim, "O6: event %llu was acknowledged at %u:%llu and stands at %u:%llu",
			 (unsigned long long)operation->id, operation->partition, (unsigned long long)operation->offset,
			 inspection->partition, (unsigned long long)offset);
	if (operation->beside)
		return;
	if (operation->serial <= *last)
		sim_fail(sim, "O6: events of key %u by client %u are out of order: %llu behind %llu", operation->key,
			 operation->client, (unsigned long long)operation->serial, (unsigned long long)*last);
	*last = operation->serial;
}

static void fold_operation(struct fold *fold, const struct operation *operation)
{
	if (operation->other)
		return;
	fold->version++;
	if (operation->kind == OPERATION_DELETE) {
		fold->present = false;
		return;
	}
	if (operation->kind == OPERATION_MERGE && !fold->present)
		return; /* an update for an unknown entity is reported, not invented */
	fold->present = true;
	fold->serial = operation->serial;
	fold->client = operation->client;
}

static void inspect_batch(struct inspection *inspection, const struct batch *batch)
{
	struct span records;
	struct reader reader;

	if (batch->flags & BATCH_CONTROL) {
		oracle_views_control(&inspection->decisions, inspection->oracle->sim, batch);
		return;
	}
	oracle_producers_batch(inspection->oracle, &inspection->producers, batch);
	if (batch_records(batch, &inspection->scratch, &records) != 0) {
		sim_fail(inspection->oracle->sim, "O6: a stored batch does not open");
		return;
	}
	reader = reader_of(records);
	for (uint32_t i = 0; i < batch->record_count; i++) {
		struct event event;
		uint64_t number;

		if (event_decode(&reader, &event) != 0 || event.id.size != WORKLOAD_ID_BYTES) {
			sim_fail(inspection->oracle->sim, "O6: a stored event does not decode");
			return;
		}
		number = load_little(event.id.data, 8);
		if (number >= inspection->operation_count) {
			sim_fail(inspection->oracle->sim, "O6: an event that nobody published");
			return;
		}
		if (!inspection->operations[number].other)
			inspection->stream_id = event.stream_id;
		subscribers_expect(inspection->oracle->sim->subscribers, inspection->partition, batch->base_offset + i,
				   &event);
		inspect_operation(inspection, &inspection->operations[number], batch, batch->base_offset + i);
		claims_event(inspection->claims, inspection->operations[number].key, batch->base_offset + i,
			     batch->ingest_time_us, number);
		fold_operation(&inspection->folds[inspection->operations[number].key], &inspection->operations[number]);
	}
}

static bool inspect_sealed(void *data, const struct batch *batch)
{
	inspect_batch(data, batch);
	return true;
}

static bool pass_sealed(void *data, const struct batch *batch)
{
	(void)data;
	(void)batch;
	return true;
}

/* The replica's committed log, read from its disk; inspects it when `deep`, else only that it is readable. */
static void inspect_log(struct inspection *inspection, struct host *host, bool deep)
{
	struct sim *sim = inspection->oracle->sim;
	const struct log *log = shard_log(host_shard(host, inspection->partition), inspection->partition);
	const struct sim_disk *disk = host_disk(host, inspection->partition);
	uint64_t at;

	if (!oracle_walk_sealed(log, disk, 0, deep ? inspect_sealed : pass_sealed, inspection, &at))
		sim_fail(sim, "O7: partition %u offset %llu is not in its sealed segment", inspection->partition,
			 (unsigned long long)at);
	for (const struct log_entry *entry = log_find(log, log->sealed); entry != NULL && !sim->failed;
	     entry = log_next(log, entry)) {
		struct span bytes = sim_disk_bytes(disk, entry->place.segment, 0, entry->place.place, entry->size);
		struct batch batch;

		if (bytes.data == NULL || batch_decode_stamped(bytes, &batch) != 0 || batch.base_offset != entry->base)
			sim_fail(sim, "O7: partition %u offset %llu is not on the disk", inspection->partition,
				 (unsigned long long)entry->base);
		else if (deep)
			inspect_batch(inspection, &batch);
	}
}

/* The member `name` of a MessagePack map as an unsigned number; false when there is none. */
static bool map_number(struct span map, const char *name, uint64_t *value)
{
	struct span member = msgpack_member(map, span_of_text(name));
	struct reader reader = reader_of(member);

	if (member.data == NULL)
		return false;
	*value = msgpack_read_uint(&reader);
	return reader_done(&reader);
}

/* O8 for one key on one replica. */
static void check_fold(struct inspection *inspection, struct host *host, uint32_t key, uint32_t view_id)
{
	struct sim *sim = inspection->oracle->sim;
	struct state *state = shard_state(host_shard(host, inspection->partition), inspection->partition);
	const struct fold *fold = &inspection->folds[key];
	struct span name = workload_key(key);
	struct view_entry entry;
	uint64_t serial = 0;
	uint64_t version = state_key_version(state, inspection->stream_id, name, name);
	int error;

	if (version != fold->version)
		sim_fail(sim, "O8: key %u has version %llu, the log says %llu", key, (unsigned long long)version,
			 (unsigned long long)fold->version);
	if (view_id == 0)
		return;
	error = state_view_get(state, view_id, name, name, &entry);
	if (error != (fold->present ? ERROR_NONE : ERROR_NOT_FOUND))
		sim_fail(sim, "O8: key %u: view says %s, the log says %s", key, error_name(error),
			 fold->present ? "present" : "absent");
	else if (fold->present && (!map_number(entry.state, "n", &serial) || serial != fold->serial))
		sim_fail(sim, "O8: key %u: view has n = %llu, the log says %llu", key, (unsigned long long)serial,
			 (unsigned long long)fold->serial);
}

/* O7 between replicas, O8 on each. */
static void inspect_replica(struct inspection *inspection, struct host *host, const struct cluster_map *map)
{
	struct sim *sim = inspection->oracle->sim;
	struct state *state = shard_state(host_shard(host, inspection->partition), inspection->partition);
	const struct map_view *view = cluster_map_view_by_name(map, span_of_text(WORKLOAD_VIEW));

	if (state_digest(state) != state_digest_recompute(state))
		sim_fail(sim, "O7: partition %u: the digest kept is not the digest of the state",
			 inspection->partition);
	for (uint32_t key = 0; key < WORKLOAD_KEYS && !sim->failed; key++)
		if (partition_of(workload_key(key)) == inspection->partition && inspection->stream_id != 0)
			check_fold(inspection, host, key, view == NULL ? 0 : view->id);
	oracle_views_check(sim, host, inspection->partition, map, inspection->claims, &inspection->decisions);
}

static void inspect_partition(struct inspection *inspection, const struct cluster_map *map)
{
	struct sim *sim = inspection->oracle->sim;
	const struct map_partition *row = &map->partitions[inspection->partition];
	bool deep = true;

	for (uint32_t i = 0; i < sim->options.hosts && !sim->failed; i++) {
		uint32_t id = host_node_id(sim->hosts[i]);

		if (!node_set_has(row->isr, id) || host_shard(sim->hosts[i], inspection->partition) == NULL)
			continue;
		inspect_log(inspection, sim->hosts[i], deep);
		deep = false;
	}
	subscribers_expect_end(sim->subscribers, inspection->partition);
	for (uint32_t i = 0; i < sim->options.hosts && !sim->failed; i++)
		if (node_set_has(row->isr, host_node_id(sim->hosts[i])))
			inspect_replica(inspection, sim->hosts[i], map);
}

void oracle_final(struct oracle *oracle)
{
	struct sim *sim = oracle->sim;
	const struct cluster_map *map = sim_map(sim);
	struct inspection inspection = {.oracle = oracle, .scratch = BUFFER_NULL};

	oracle_quorum_final(oracle);
	inspection.operations = workload_operations(sim->workload, &inspection.operation_count);
	inspection.claims = workload_claims(sim->workload);
	for (uint16_t p = 0; p < PARTITION_COUNT && !sim->failed; p++) {
		inspection.partition = p;
		inspection.decisions.count = 0;
		inspection.producers.count = 0;
		inspect_partition(&inspection, map);
	}
	for (size_t i = 0; i < inspection.operation_count && !sim->failed; i++) {
		const struct operation *operation = &inspection.operations[i];

		if (operation->outcome != OUTCOME_ACKNOWLEDGED || operation->found)
			continue;
		if (given_up(oracle, operation))
			oracle->lost++;
		else
			sim_fail(sim, "O6: event %llu (key %u, %u:%llu) was acknowledged and is gone",
				 (unsigned long long)operation->id, operation->key, operation->partition,
				 (unsigned long long)operation->offset);
	}
	buffer_deinit(&inspection.scratch);
	free(inspection.decisions.list);
	free(inspection.producers.list);
	for (uint32_t key = 0; key < WORKLOAD_KEYS; key++) {
		const struct chronicle *chronicle = &oracle->partitions[partition_of(workload_key(key))];

		inspection.claims->keys[key].lost_from = chronicle->lost_from;
		inspection.claims->keys[key].history = chronicle->history;
	}
	if (!sim->failed)
		claims_check(inspection.claims, sim, inspection.operations);
	if (!sim->failed)
		edge_check(sim->edge, inspection.operations, inspection.operation_count);
}

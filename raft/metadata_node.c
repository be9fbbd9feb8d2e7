/* Commands about nodes: forming, registering (rule 6), fencing and its end (rule 1), clean stops, clocks. */
#include <assert.h>

#include "raft/metadata.h"

int metadata_form(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_form form;
	int rv = command_form_decode(body, &form);

	if (rv != 0)
		return rv;
	if (metadata_formed(metadata)) {
		command_refuse(result, ERROR_EXISTS, REFUSAL_FORMED);
		return 0;
	}
	memcpy(metadata->map.cluster_id, form.cluster_id, sizeof(form.cluster_id));
	metadata->map.replication_factor = form.replication_factor;
	metadata->map.minimum_isr = form.minimum_isr;
	metadata->map.restoring = form.restoring;
	for (uint32_t i = 0; i < form.founder_count; i++) {
		struct map_node *node = metadata_node_of(metadata, i + 1);

		node->id = i + 1;
		node->state = NODE_JOINING;
		node->fenced = true;
		metadata_text_keep(node->name, form.founders[i].name);
		metadata_text_keep(node->control_address, form.founders[i].control_address);
		metadata->nodes[i].raft_id = form.founders[i].raft_id;
		metadata_node_touch(metadata, node);
	}
	return 0;
}

/* --- registering -------------------------------------------------------------------------------------------------- */

/* The directory is older than what this node last served with: a new disk, or a restored copy. */
static bool directory_lost(const struct map_node *node, const struct metadata_node *private,
			   const struct command_register *reg)
{
	return node->epoch != 0 && (reg->shown_epoch < private->served_epoch || reg->shown_epoch > node->epoch);
}

static bool stopped_cleanly(const struct metadata_node *private, const struct command_register *reg)
{
	return reg->proof_epoch == reg->shown_epoch || private->proof_epoch == reg->shown_epoch;
}

static bool partition_suspect(const struct metadata_node *private, const struct command_register *reg,
			      uint16_t partition)
{
	bool damaged = (reg->damaged >> (partition % reg->shard_count) & 1) != 0;

	return damaged || (reg->shown_epoch != 0 && reg->shown_interval && !stopped_cleanly(private, reg));
}

/* What the former self held: primaries go, and so does what it cannot prove to have. The rest leaves the ISR as if
 * fenced: complete, if nothing can be committed without it. */
static void rows_take_from(struct metadata *metadata, const struct map_node *node, const struct metadata_node *private,
			   const struct command_register *reg)
{
	bool lost = directory_lost(node, private, reg);

	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		if (metadata->map.partitions[p].primary == node->id)
			row_depose(metadata, p);
		if (lost)
			row_forget(metadata, p, node->id);
		else if (partition_suspect(private, reg, p))
			row_suspect(metadata, p, node->id);
		else
			row_leave(metadata, p, node_bit(node->id));
	}
}

static void node_describe(struct map_node *node, const struct command_register *reg)
{
	node->incarnation = reg->incarnation;
	if (node->state != NODE_DRAINING)
		node->state = NODE_ACTIVE;
	node->fenced = true; /* until its heartbeats bear the new node epoch */
	node->weight = reg->weight;
	node->drained = false;
	node->shard_count = reg->shard_count;
	node->shard_port = reg->shard_ports[0];
	memcpy(node->shard_ports, reg->shard_ports, sizeof(node->shard_ports));
	metadata_text_keep(node->zone, reg->zone);
	metadata_text_keep(node->host, reg->host);
	metadata_text_keep(node->control_address, reg->control_address);
}

/* Before versions were told, whoever applied the entries that were there knew them. */
static bool version_is_known(const struct metadata *metadata, const struct command_register *reg)
{
	return metadata->map.cluster_version < CLUSTER_VERSION_TOLD ||
	       version_known(reg->versions, metadata->map.cluster_version);
}

int metadata_register(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct command_register reg;
	struct metadata_node *private;
	struct map_node *node;
	int rv = command_register_decode(body, &reg);

	if (rv != 0)
		return rv;
	node = metadata_node_by_name(metadata, reg.name);
	if (node == NULL || node->state == NODE_GONE) {
		command_refuse(result, ERROR_REFUSED, REFUSAL_UNKNOWN_NODE);
		return 0;
	}
	private = &metadata->nodes[node->id - 1];
	if (private->raft_id != reg.raft_id) {
		command_refuse(result, ERROR_REFUSED, REFUSAL_FOREIGN_DIRECTORY);
		return 0;
	}
	if (!version_is_known(metadata, &reg)) {
		command_refuse(result, ERROR_REFUSED, REFUSAL_VERSION);
		return 0;
	}
	if (node->incarnation == reg.incarnation) {
		command_refuse(result, ERROR_REFUSED, REFUSAL_REGISTERED);
		return 0;
	}
	if (node->epoch != reg.known_epoch) { /* it may be of a process that is dead, and come late */
		command_refuse(result, ERROR_REFUSED, REFUSAL_OVERTAKEN);
		return 0;
	}
	rows_take_from(metadata, node, private, &reg);
	node_describe(node, &reg);
	node->epoch = metadata->applied; /* an index is given once */
	private->interval = reg.interval;
	metadata_node_touch(metadata, node);
	rows_elect(metadata);
	return 0;
}

/* --- fencing ------------------------------------------------------------------------------------------------------ */

static void rows_fence(struct metadata *metadata, uint32_t node_id)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		if (metadata->map.partitions[p].primary == node_id)
			row_depose(metadata, p);
		row_leave(metadata, p, node_bit(node_id));
	}
}

static void node_fence(struct metadata *metadata, struct map_node *node)
{
	node->fenced = true;
	metadata_node_touch(metadata, node);
	rows_fence(metadata, node->id);
}

/* All are fenced before anyone is elected, so that none of them is. */
int metadata_fence(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct reader in = reader_of(body);
	struct command_node item;

	while (!reader_done(&in)) {
		if (command_node_decode(&in, &item) != 0)
			return ERROR_MALFORMED;
		if (!metadata_has_node(metadata, &item))
			command_refuse(result, ERROR_REFUSED, REFUSAL_NODE_EPOCH);
		else if (metadata_node_of(metadata, item.node_id)->fenced)
			command_refuse(result, ERROR_REFUSED, REFUSAL_FENCED);
		else
			node_fence(metadata, metadata_node_of(metadata, item.node_id));
	}
	rows_elect(metadata);
	return 0;
}

/* Its process has neither stopped nor left for good nor lost its name to another directory since it registered. */
static bool may_unfence(const struct metadata *metadata, const struct map_node *node)
{
	return node->state != NODE_GONE && node->fenced && node->incarnation != 0 &&
	       metadata->nodes[node->id - 1].proof_epoch != node->epoch;
}

static void node_unfence(struct metadata *metadata, struct map_node *node)
{
	node->fenced = false;
	metadata->nodes[node->id - 1].served_epoch = node->epoch;
	metadata_node_touch(metadata, node);
}

int metadata_unfence(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct reader in = reader_of(body);
	struct command_node item;

	while (!reader_done(&in)) {
		if (command_node_decode(&in, &item) != 0)
			return ERROR_MALFORMED;
		if (!metadata_has_node(metadata, &item))
			command_refuse(result, ERROR_REFUSED, REFUSAL_NODE_EPOCH);
		else if (!may_unfence(metadata, metadata_node_of(metadata, item.node_id)))
			command_refuse(result, ERROR_REFUSED, REFUSAL_FENCED);
		else
			node_unfence(metadata, metadata_node_of(metadata, item.node_id));
	}
	rows_elect(metadata);
	return 0;
}

/* The proof names the node epoch, so it is void for every later life; under this one nothing is unfenced any more. */
int metadata_stopped(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct reader in = reader_of(body);
	struct command_node item;

	if (command_node_decode(&in, &item) != 0 || !reader_done(&in))
		return ERROR_MALFORMED;
	if (!metadata_has_node(metadata, &item)) {
		command_refuse(result, ERROR_REFUSED, REFUSAL_NODE_EPOCH);
		return 0;
	}
	metadata->nodes[item.node_id - 1].proof_epoch = item.node_epoch;
	node_fence(metadata, metadata_node_of(metadata, item.node_id));
	rows_elect(metadata);
	return 0;
}

/* --- clocks ------------------------------------------------------------------------------------------------------- */

/* Its primaries go to who may have them. What nobody else can take stays: a partition without a primary helps
 * nobody. */
static void rows_relieve(struct metadata *metadata, uint32_t node_id)
{
	node_set others = cluster_map_able(&metadata->map) & ~node_bit(node_id);

	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &metadata->map.partitions[p];

		if (row->primary == node_id && ((row->isr | row->elr) & others) != 0)
			row_depose(metadata, p);
	}
}

int metadata_clock(struct metadata *metadata, struct span body, struct command_result *result)
{
	struct reader in = reader_of(body);
	struct command_clock item;

	while (!reader_done(&in)) {
		if (command_clock_decode(&in, &item) != 0)
			return ERROR_MALFORMED;
		if (!metadata_has_node(metadata, &item.node)) {
			command_refuse(result, ERROR_REFUSED, REFUSAL_NODE_EPOCH);
		} else if (metadata_node_of(metadata, item.node.node_id)->clock_off == item.off) {
			command_refuse(result, ERROR_REFUSED, REFUSAL_CLOCK);
		} else {
			metadata_node_of(metadata, item.node.node_id)->clock_off = item.off;
			metadata_node_touch(metadata, metadata_node_of(metadata, item.node.node_id));
		}
	}
	for (uint32_t id = 1; id <= NODES_MAX; id++)
		if (metadata->map.nodes[id - 1].clock_off)
			rows_relieve(metadata, id);
	rows_elect(metadata);
	return 0;
}

/* See command.h for the frames. Writers go through command_begin and command_end; readers refuse a byte too many. */
#include "raft/command.h"

#include <assert.h>

static const char *const refusal_texts[REFUSAL_COUNT] = {
	[REFUSAL_NONE] = "",
	[REFUSAL_FORMED] = "the cluster is formed already, or not yet",
	[REFUSAL_UNKNOWN_NODE] = "no such node",
	[REFUSAL_FOREIGN_DIRECTORY] = "this name is registered with another data directory",
	[REFUSAL_NODE_EPOCH] = "the node epoch is not the registered one",
	[REFUSAL_FENCED] = "a node is fenced, or is not when it should be",
	[REFUSAL_PARTITION_VERSION] = "the partition has changed since",
	[REFUSAL_NOT_PRIMARY] = "the proposer is not the primary",
	[REFUSAL_NOT_REPLICA] = "a node named is no replica or learner of the partition",
	[REFUSAL_NOT_IN_SYNC] = "a replica named is not in sync, or one is left out that must not be",
	[REFUSAL_BELOW_MINIMUM] = "the in-sync set is, or would be, below its minimum",
	[REFUSAL_EXISTS] = "it exists already with other contents",
	[REFUSAL_LIMIT] = "a limit is exceeded",
	[REFUSAL_REGISTERED] = "this incarnation has registered before",
	[REFUSAL_LAST_COMPLETE] = "no other replica is complete: this copy stays, unsound as it is",
	[REFUSAL_HAS_PRIMARY] = "a complete replica is live: there is nothing to decide",
	[REFUSAL_TOO_EARLY] = "the partition has lost its primary only now: ask again in two seconds",
	[REFUSAL_CLOCK] = "the node's clock is off, or marked so already",
	[REFUSAL_OVERTAKEN] = "another process of this node has registered meanwhile",
	[REFUSAL_JOINED] = "this node is a member already",
	[REFUSAL_DIRECTORY] = "this data directory belongs, or belonged, to another member",
	[REFUSAL_VIEW] = "there is no such view, or it has another version by now",
	[REFUSAL_DRAINING] = "another node is being drained or decommissioned, or this one is not",
	[REFUSAL_TOO_FEW] = "fewer live nodes than replicas of a partition would be left",
	[REFUSAL_NOT_EMPTY] = "the node holds partitions still",
	[REFUSAL_HOLDER_LIVES] =
		"a live node with another data directory has this name: end its process, or use another name",
	[REFUSAL_HOLDER_NEEDED] =
		"the former data directory alone has all of a partition: use it, or evgrid partition elect, at a loss",
	[REFUSAL_RESTORING] = "a back-up is being restored: nothing else is taken until it is done",
	[REFUSAL_NOT_RESTORING] = "the cluster was not formed with cluster.restore, or what it was formed for is done",
	[REFUSAL_NO_MEMBER] =
		"no member has this name: to join, leave it out of cluster.members here; to form, give all the same",
	[REFUSAL_NAMES] = "all 64 names are taken: use the name of a node that is gone (evgrid node ls)",
	[REFUSAL_VERSION] = "its evgridd does not know the cluster's version: start one that does",
	[REFUSAL_VERSION_FALLS] = "the cluster is at a higher version, and never goes back",
	[REFUSAL_BACKUP] = "this is another back-up than the one that was begun with, or something of it is missing",
};

static const char *const kind_names[] = {
	[COMMAND_FORM] = "FORM",
	[COMMAND_NODE_REGISTER] = "NODE_REGISTER",
	[COMMAND_NODE_FENCE] = "NODE_FENCE",
	[COMMAND_NODE_UNFENCE] = "NODE_UNFENCE",
	[COMMAND_NODE_STOPPED] = "NODE_STOPPED",
	[COMMAND_ISR_CHANGE] = "ISR_CHANGE",
	[COMMAND_HANDOVER] = "HANDOVER",
	[COMMAND_PLACE] = "PLACE",
	[COMMAND_REPORT_ENDS] = "REPORT_ENDS",
	[COMMAND_STREAM_CREATE] = "STREAM_CREATE",
	[COMMAND_VIEW_APPLY] = "VIEW_APPLY",
	[COMMAND_MINIMUM_ISR] = "MINIMUM_ISR",
	[COMMAND_REPLICA_OUT] = "REPLICA_OUT",
	[COMMAND_ELECT] = "ELECT",
	[COMMAND_NODE_CLOCK] = "NODE_CLOCK",
	[COMMAND_VIEW_FILLED] = "VIEW_FILLED",
	[COMMAND_VIEW_DROP] = "VIEW_DROP",
	[COMMAND_DECOMMISSION] = "DECOMMISSION",
	[COMMAND_NODE_JOIN] = "NODE_JOIN",
	[COMMAND_NODE_GONE] = "NODE_GONE",
	[COMMAND_DRAIN] = "DRAIN",
	[COMMAND_RESTORE] = "RESTORE",
	[COMMAND_RESTORED] = "RESTORED",
	[COMMAND_RAISE_VERSION] = "RAISE_VERSION",
};

#define KIND_COUNT (sizeof(kind_names) / sizeof(kind_names[0]))

const char *refusal_text(enum refusal refusal)
{
	return (size_t)refusal < REFUSAL_COUNT ? refusal_texts[refusal] : "unknown";
}

bool command_kind_known(uint16_t kind)
{
	return kind < KIND_COUNT && kind_names[kind] != NULL;
}

const char *command_kind_name(enum command_kind kind)
{
	return command_kind_known((uint16_t)kind) ? kind_names[kind] : "unknown";
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

/* Returns where the size is to be written. */
static size_t command_begin(enum command_kind kind, struct buffer *out)
{
	buffer_u16(out, (uint16_t)kind);
	buffer_u32(out, 0);
	return out->size;
}

static void command_end(size_t begin, struct buffer *out)
{
	if (out->failed)
		return;
	assert(begin >= 4 && out->size >= begin);
	store_little(out->data + begin - 4, 4, out->size - begin);
}

int command_decode(struct reader *in, struct command *command)
{
	uint16_t kind = reader_u16(in);
	uint32_t size = reader_u32(in);

	command->kind = (enum command_kind)kind;
	command->body = reader_bytes(in, size);
	return in->failed ? ERROR_MALFORMED : 0;
}

/* A text that will be kept with a NUL behind it. */
static struct span text_decode(struct reader *in, size_t max_bytes)
{
	struct span text = reader_string(in, max_bytes);

	if (text.size > 0 && memchr(text.data, 0, text.size) != NULL)
		in->failed = true;
	return text;
}

static int whole(const struct reader *in)
{
	return reader_done(in) ? 0 : ERROR_MALFORMED;
}

/* --- form --------------------------------------------------------------------------------------------------------- */

void command_form_encode(const struct command_form *form, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_FORM, out);

	buffer_bytes(out, form->cluster_id, sizeof(form->cluster_id));
	buffer_u8(out, form->replication_factor);
	buffer_u8(out, form->minimum_isr);
	buffer_u8(out, (uint8_t)form->founder_count);
	for (uint32_t i = 0; i < form->founder_count; i++) {
		buffer_string(out, form->founders[i].name);
		buffer_string(out, form->founders[i].control_address);
		buffer_u64(out, form->founders[i].raft_id);
	}
	if (form->restoring)
		buffer_u8(out, 1);
	command_end(begin, out);
}

int command_form_decode(struct span body, struct command_form *form)
{
	struct reader in = reader_of(body);
	struct span id = reader_bytes(&in, sizeof(form->cluster_id));

	memset(form, 0, sizeof(*form));
	if (in.failed)
		return ERROR_MALFORMED;
	memcpy(form->cluster_id, id.data, id.size);
	form->replication_factor = reader_u8(&in);
	form->minimum_isr = reader_u8(&in);
	form->founder_count = reader_u8(&in);
	if (form->founder_count == 0 || form->founder_count > NODES_MAX)
		return ERROR_MALFORMED;
	if (form->minimum_isr == 0 || form->minimum_isr > form->replication_factor ||
	    form->replication_factor > REPLICAS_MAX)
		return ERROR_MALFORMED;
	for (uint32_t i = 0; i < form->founder_count; i++) {
		form->founders[i].name = text_decode(&in, NAME_MAX_BYTES);
		form->founders[i].control_address = text_decode(&in, ADDRESS_MAX_BYTES);
		form->founders[i].raft_id = reader_u64(&in);
	}
	form->restoring = !in.failed && reader_left(&in) > 0;
	if (form->restoring && reader_u8(&in) != 1)
		return ERROR_MALFORMED;
	return whole(&in);
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

void command_join_encode(const struct command_join *join, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_NODE_JOIN, out);

	buffer_string(out, join->name);
	buffer_string(out, join->control_address);
	buffer_u64(out, join->raft_id);
	if (join->moved)
		buffer_u8(out, 1);
	command_end(begin, out);
}

int command_join_decode(struct span body, struct command_join *join)
{
	struct reader in = reader_of(body);

	join->name = text_decode(&in, NAME_MAX_BYTES);
	join->control_address = text_decode(&in, ADDRESS_MAX_BYTES);
	join->raft_id = reader_u64(&in);
	join->moved = !in.failed && !reader_done(&in);
	if (join->moved && reader_u8(&in) != 1)
		return ERROR_MALFORMED;
	if (join->name.size == 0 || join->control_address.size == 0 || join->raft_id == 0)
		return ERROR_MALFORMED;
	return whole(&in);
}

void command_register_encode(const struct command_register *reg, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_NODE_REGISTER, out);

	buffer_string(out, reg->name);
	buffer_u64(out, reg->raft_id);
	buffer_u64(out, reg->incarnation);
	buffer_u64(out, reg->shown_epoch);
	buffer_u64(out, reg->proof_epoch);
	buffer_u64(out, reg->known_epoch);
	buffer_u8(out, reg->shown_interval);
	buffer_u8(out, reg->interval);
	buffer_u8(out, reg->damaged);
	buffer_u16(out, reg->shard_count);
	for (uint32_t i = 0; i < SHARDS_MAX; i++)
		buffer_u16(out, reg->shard_ports[i]);
	buffer_string(out, reg->zone);
	buffer_string(out, reg->host);
	buffer_string(out, reg->control_address);
	assert(reg->weight <= NODE_WEIGHT_MAX);
	if (reg->versions.highest != 0) {
		buffer_u8(out, reg->weight == 0 ? 1 : reg->weight);
		buffer_u16(out, reg->versions.lowest);
		buffer_u16(out, reg->versions.highest);
	} else if (reg->weight > 1) {
		buffer_u8(out, reg->weight);
	}
	command_end(begin, out);
}

/* What came later than the rest, each with those before it. */
static void register_decode_tail(struct reader *in, struct command_register *reg)
{
	reg->weight = 1;
	if (in->failed || reader_done(in))
		return;
	reg->weight = reader_u8(in);
	in->failed |= reg->weight < 1 || reg->weight > NODE_WEIGHT_MAX;
	if (reader_left(in) == 0) {
		in->failed |= reg->weight < 2;
		return;
	}
	reg->versions.lowest = reader_u16(in);
	reg->versions.highest = reader_u16(in);
	in->failed |= reg->versions.highest == 0 || reg->versions.lowest > reg->versions.highest;
}

int command_register_decode(struct span body, struct command_register *reg)
{
	struct reader in = reader_of(body);

	memset(reg, 0, sizeof(*reg));
	reg->name = text_decode(&in, NAME_MAX_BYTES);
	reg->raft_id = reader_u64(&in);
	reg->incarnation = reader_u64(&in);
	reg->shown_epoch = reader_u64(&in);
	reg->proof_epoch = reader_u64(&in);
	reg->known_epoch = reader_u64(&in);
	reg->shown_interval = reader_u8(&in) != 0;
	reg->interval = reader_u8(&in) != 0;
	reg->damaged = reader_u8(&in);
	reg->shard_count = reader_u16(&in);
	for (uint32_t i = 0; i < SHARDS_MAX; i++)
		reg->shard_ports[i] = reader_u16(&in);
	reg->zone = text_decode(&in, NAME_MAX_BYTES);
	reg->host = text_decode(&in, ADDRESS_MAX_BYTES);
	reg->control_address = text_decode(&in, ADDRESS_MAX_BYTES);
	register_decode_tail(&in, reg);
	if (reg->shard_count == 0 || reg->shard_count > SHARDS_MAX || reg->incarnation == 0 || reg->name.size == 0)
		return ERROR_MALFORMED;
	return whole(&in);
}

static void node_encode(const struct command_node *node, struct buffer *out)
{
	buffer_u8(out, (uint8_t)node->node_id);
	buffer_u64(out, node->node_epoch);
}

void command_nodes_encode(enum command_kind kind, const struct command_node *nodes, uint32_t count, struct buffer *out)
{
	size_t begin = command_begin(kind, out);

	assert(kind == COMMAND_NODE_FENCE || kind == COMMAND_NODE_UNFENCE || kind == COMMAND_NODE_STOPPED);
	assert(count > 0 && count <= NODES_MAX);
	for (uint32_t i = 0; i < count; i++)
		node_encode(&nodes[i], out);
	command_end(begin, out);
}

/* A node id in range, or 0 with the reader failed. */
static uint32_t node_id_decode(struct reader *in)
{
	uint32_t id = reader_u8(in);

	if (id == 0 || id > NODES_MAX)
		in->failed = true;
	return in->failed ? 0 : id;
}

int command_node_decode(struct reader *in, struct command_node *node)
{
	node->node_id = node_id_decode(in);
	node->node_epoch = reader_u64(in);
	return in->failed ? ERROR_MALFORMED : 0;
}

void command_clock_encode(const struct command_clock *items, uint32_t count, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_NODE_CLOCK, out);

	for (uint32_t i = 0; i < count; i++) {
		node_encode(&items[i].node, out);
		buffer_u8(out, items[i].off);
	}
	command_end(begin, out);
}

int command_clock_decode(struct reader *in, struct command_clock *item)
{
	uint8_t off;

	command_node_decode(in, &item->node);
	off = reader_u8(in);
	item->off = off == 1;
	return in->failed || off > 1 ? ERROR_MALFORMED : 0;
}

/* --- partitions --------------------------------------------------------------------------------------------------- */

static uint16_t partition_decode(struct reader *in)
{
	uint16_t partition = reader_u16(in);

	if (partition >= PARTITION_COUNT)
		in->failed = true;
	return in->failed ? 0 : partition;
}

void command_isr_set(struct command_isr *item, node_set isr, const uint64_t added_epochs[NODES_MAX])
{
	assert(isr != 0 && node_set_count(isr) <= MEMBERS_MAX);
	item->count = 0;
	for (uint32_t id = 1; id <= NODES_MAX; id++)
		if (node_set_has(isr, id))
			item->isr[item->count++] = (struct command_node){id, added_epochs[id - 1]};
}

void command_isr_encode(const struct command_isr *items, uint32_t count, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_ISR_CHANGE, out);

	for (uint32_t i = 0; i < count; i++) {
		const struct command_isr *item = &items[i];

		assert(item->count > 0 && item->count <= MEMBERS_MAX);
		buffer_u16(out, item->partition);
		buffer_u64(out, item->expected_version);
		buffer_u8(out, (uint8_t)item->primary);
		buffer_u64(out, item->primary_node_epoch);
		buffer_u8(out, item->count);
		for (uint32_t k = 0; k < item->count; k++)
			node_encode(&item->isr[k], out);
	}
	command_end(begin, out);
}

int command_isr_decode(struct reader *in, struct command_isr *item)
{
	item->partition = partition_decode(in);
	item->expected_version = reader_u64(in);
	item->primary = node_id_decode(in);
	item->primary_node_epoch = reader_u64(in);
	item->count = reader_u8(in);
	if (in->failed || item->count == 0 || item->count > MEMBERS_MAX)
		return ERROR_MALFORMED;
	for (uint32_t k = 0; k < item->count; k++)
		command_node_decode(in, &item->isr[k]);
	return in->failed ? ERROR_MALFORMED : 0;
}

void command_handover_encode(const struct command_handover *items, uint32_t count, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_HANDOVER, out);

	for (uint32_t i = 0; i < count; i++) {
		buffer_u16(out, items[i].partition);
		buffer_u64(out, items[i].expected_version);
		buffer_u8(out, (uint8_t)items[i].primary);
		buffer_u64(out, items[i].primary_node_epoch);
		buffer_u8(out, (uint8_t)items[i].to);
	}
	command_end(begin, out);
}

int command_handover_decode(struct reader *in, struct command_handover *item)
{
	item->partition = partition_decode(in);
	item->expected_version = reader_u64(in);
	item->primary = node_id_decode(in);
	item->primary_node_epoch = reader_u64(in);
	item->to = node_id_decode(in);
	return in->failed ? ERROR_MALFORMED : 0;
}

void command_out_encode(const struct command_out *items, uint32_t count, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_REPLICA_OUT, out);

	for (uint32_t i = 0; i < count; i++) {
		buffer_u16(out, items[i].partition);
		buffer_u64(out, items[i].expected_version);
		buffer_u8(out, (uint8_t)items[i].node_id);
		buffer_u64(out, items[i].node_epoch);
	}
	command_end(begin, out);
}

int command_out_decode(struct reader *in, struct command_out *item)
{
	item->partition = partition_decode(in);
	item->expected_version = reader_u64(in);
	item->node_id = node_id_decode(in);
	item->node_epoch = reader_u64(in);
	return in->failed ? ERROR_MALFORMED : 0;
}

void command_place_encode(const struct command_place *items, uint32_t count, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_PLACE, out);

	for (uint32_t i = 0; i < count; i++) {
		const struct command_place *item = &items[i];

		assert(item->replica_count > 0 && item->replica_count <= REPLICAS_MAX);
		buffer_u16(out, item->partition);
		buffer_u64(out, item->expected_version);
		buffer_u8(out, item->replica_count);
		for (uint32_t k = 0; k < item->replica_count; k++)
			buffer_u8(out, (uint8_t)item->replicas[k]);
		buffer_u64(out, item->learners);
		buffer_u64(out, item->leaving);
	}
	command_end(begin, out);
}

int command_place_decode(struct reader *in, struct command_place *item)
{
	node_set seen = 0;

	item->partition = partition_decode(in);
	item->expected_version = reader_u64(in);
	item->replica_count = reader_u8(in);
	if (in->failed || item->replica_count == 0 || item->replica_count > REPLICAS_MAX)
		return ERROR_MALFORMED;
	for (uint32_t k = 0; k < item->replica_count; k++) {
		item->replicas[k] = node_id_decode(in);
		if (node_set_has(seen, item->replicas[k]))
			in->failed = true;
		seen |= node_bit(item->replicas[k]);
	}
	item->learners = reader_u64(in);
	item->leaving = reader_u64(in);
	if (in->failed || (item->learners & seen) != 0 || (item->leaving & ~seen) != 0)
		return ERROR_MALFORMED;
	return item->learners == 0 && item->leaving != 0 ? ERROR_MALFORMED : 0;
}

void command_ends_encode(const struct command_ends *ends, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_REPORT_ENDS, out);

	assert(ends->count <= PARTITION_COUNT);
	buffer_u8(out, (uint8_t)ends->node_id);
	buffer_u64(out, ends->node_epoch);
	buffer_u16(out, (uint16_t)ends->count);
	for (uint32_t i = 0; i < ends->count; i++) {
		buffer_u16(out, ends->ends[i].partition);
		buffer_u64(out, ends->ends[i].expected_version);
		buffer_u32(out, ends->ends[i].last_epoch);
		buffer_u64(out, ends->ends[i].end);
	}
	command_end(begin, out);
}

int command_ends_decode(struct span body, struct command_ends *ends)
{
	struct reader in = reader_of(body);

	ends->node_id = node_id_decode(&in);
	ends->node_epoch = reader_u64(&in);
	ends->count = reader_u16(&in);
	if (in.failed || ends->count > PARTITION_COUNT)
		return ERROR_MALFORMED;
	for (uint32_t i = 0; i < ends->count; i++) {
		ends->ends[i].partition = partition_decode(&in);
		ends->ends[i].expected_version = reader_u64(&in);
		ends->ends[i].last_epoch = reader_u32(&in);
		ends->ends[i].end = reader_u64(&in);
	}
	return whole(&in);
}

/* --- streams, views, settings ------------------------------------------------------------------------------------- */

void command_stream_encode(const struct command_stream *stream, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_STREAM_CREATE, out);

	buffer_string(out, stream->name);
	buffer_string(out, stream->settings);
	command_end(begin, out);
}

int command_stream_decode(struct span body, struct command_stream *stream)
{
	struct reader in = reader_of(body);

	stream->name = text_decode(&in, NAME_MAX_BYTES);
	stream->settings = reader_string(&in, DEFINITION_MAX_BYTES);
	return stream->name.size == 0 ? ERROR_MALFORMED : whole(&in);
}

void command_view_encode(const struct command_view *view, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_VIEW_APPLY, out);

	buffer_string(out, view->name);
	buffer_u32(out, view->expected_version);
	buffer_string(out, view->definition);
	command_end(begin, out);
}

int command_view_decode(struct span body, struct command_view *view)
{
	struct reader in = reader_of(body);

	view->name = text_decode(&in, NAME_MAX_BYTES);
	view->expected_version = reader_u32(&in);
	view->definition = reader_string(&in, DEFINITION_MAX_BYTES);
	return view->name.size == 0 ? ERROR_MALFORMED : whole(&in);
}

void command_drop_encode(const struct command_drop *drop, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_VIEW_DROP, out);

	buffer_string(out, drop->name);
	buffer_u32(out, drop->expected_version);
	command_end(begin, out);
}

int command_drop_decode(struct span body, struct command_drop *drop)
{
	struct reader in = reader_of(body);

	drop->name = text_decode(&in, NAME_MAX_BYTES);
	drop->expected_version = reader_u32(&in);
	return drop->name.size == 0 || drop->expected_version == 0 ? ERROR_MALFORMED : whole(&in);
}

void command_filled_encode(const struct command_filled *items, uint32_t count, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_VIEW_FILLED, out);

	for (uint32_t i = 0; i < count; i++) {
		node_encode(&items[i].primary, out);
		buffer_u32(out, items[i].view_id);
		buffer_u32(out, items[i].version);
		partition_set_encode(&items[i].partitions, out);
	}
	command_end(begin, out);
}

int command_filled_decode(struct reader *in, struct command_filled *item)
{
	command_node_decode(in, &item->primary);
	item->view_id = reader_u32(in);
	item->version = reader_u32(in);
	partition_set_decode(in, &item->partitions);
	return in->failed || partition_set_count(&item->partitions) == 0 ? ERROR_MALFORMED : 0;
}

void command_elect_encode(const struct command_elect *elect, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_ELECT, out);

	buffer_u16(out, elect->partition);
	buffer_u64(out, elect->expected_version);
	buffer_u8(out, (uint8_t)elect->node_id);
	buffer_string(out, elect->reason);
	command_end(begin, out);
}

int command_elect_decode(struct span body, struct command_elect *elect)
{
	struct reader in = reader_of(body);

	elect->partition = partition_decode(&in);
	elect->expected_version = reader_u64(&in);
	elect->node_id = node_id_decode(&in);
	elect->reason = text_decode(&in, NAME_MAX_BYTES);
	return whole(&in);
}

void command_minimum_encode(const struct command_minimum *minimum, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_MINIMUM_ISR, out);

	buffer_u8(out, minimum->minimum_isr);
	command_end(begin, out);
}

int command_minimum_decode(struct span body, struct command_minimum *minimum)
{
	struct reader in = reader_of(body);

	minimum->minimum_isr = reader_u8(&in);
	if (minimum->minimum_isr == 0 || minimum->minimum_isr > REPLICAS_MAX)
		return ERROR_MALFORMED;
	return whole(&in);
}

/* A name and a decision about it, as bits. */
static void named_encode(enum command_kind kind, struct span name, uint8_t bits, struct buffer *out)
{
	size_t begin = command_begin(kind, out);

	buffer_string(out, name);
	buffer_u8(out, bits);
	command_end(begin, out);
}

static int named_decode(struct span body, struct span *name, uint8_t bits_max, uint8_t *bits)
{
	struct reader in = reader_of(body);

	*name = text_decode(&in, NAME_MAX_BYTES);
	*bits = reader_u8(&in);
	return name->size == 0 || *bits > bits_max ? ERROR_MALFORMED : whole(&in);
}

#define DECOMMISSION_STAYS 1u
#define DECOMMISSION_UNREGISTERED 2u

void command_decommission_encode(const struct command_decommission *decommission, struct buffer *out)
{
	uint8_t bits = decommission->stays ? DECOMMISSION_STAYS : 0;

	if (decommission->unregistered)
		bits |= DECOMMISSION_UNREGISTERED;
	named_encode(COMMAND_DECOMMISSION, decommission->name, bits, out);
}

int command_decommission_decode(struct span body, struct command_decommission *decommission)
{
	uint8_t bits;
	int rv = named_decode(body, &decommission->name, DECOMMISSION_STAYS | DECOMMISSION_UNREGISTERED, &bits);

	decommission->stays = (bits & DECOMMISSION_STAYS) != 0;
	decommission->unregistered = (bits & DECOMMISSION_UNREGISTERED) != 0;
	return rv;
}

void command_drain_encode(const struct command_drain *drain, struct buffer *out)
{
	named_encode(COMMAND_DRAIN, drain->name, drain->on, out);
}

int command_drain_decode(struct span body, struct command_drain *drain)
{
	uint8_t bits;
	int rv = named_decode(body, &drain->name, 1, &bits);

	drain->on = bits != 0;
	return rv;
}

void command_gone_encode(const struct command_gone *gone, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_NODE_GONE, out);

	buffer_u8(out, (uint8_t)gone->node_id);
	buffer_u64(out, gone->raft_id);
	command_end(begin, out);
}

int command_gone_decode(struct span body, struct command_gone *gone)
{
	struct reader in = reader_of(body);

	gone->node_id = node_id_decode(&in);
	gone->raft_id = reader_u64(&in);
	return whole(&in);
}

/* --- versions ----------------------------------------------------------------------------------------------------- */

void command_version_encode(const struct command_version *raise, struct buffer *out)
{
	size_t begin = command_begin(COMMAND_RAISE_VERSION, out);

	assert(raise->count <= NODES_MAX);
	buffer_u16(out, raise->version);
	for (uint32_t i = 0; i < raise->count; i++)
		node_encode(&raise->members[i], out);
	command_end(begin, out);
}

int command_version_decode(struct span body, struct command_version *raise)
{
	struct reader in = reader_of(body);

	raise->version = reader_u16(&in);
	raise->count = 0;
	while (!reader_done(&in)) {
		if (raise->count == NODES_MAX || command_node_decode(&in, &raise->members[raise->count]) != 0)
			return ERROR_MALFORMED;
		raise->count++;
	}
	return raise->version == 0 || raise->count == 0 ? ERROR_MALFORMED : 0;
}

/* --- entries ------------------------------------------------------------------------------------------------------ */

void entry_header_encode(const struct entry *entry, uint8_t bytes[ENTRY_HEADER_BYTES])
{
	bytes[0] = ENTRY_FORMAT;
	bytes[1] = 0;
	store_little(bytes + 2, 2, entry->count);
	store_little(bytes + 4, 8, entry->incarnation);
	store_little(bytes + 12, 8, entry->number);
	store_little(bytes + 20, 8, entry->unix_ms);
}

int entry_decode(struct span bytes, struct entry *entry)
{
	struct reader in = reader_of(bytes);
	entry->format = reader_u8(&in);
	reader_u8(&in);
	entry->count = reader_u16(&in);
	entry->incarnation = reader_u64(&in);
	entry->number = reader_u64(&in);
	entry->unix_ms = reader_u64(&in);
	if (in.failed)
		return ERROR_MALFORMED;
	entry->commands =
		span_of(in.at, reader_left(&in)); /* up to 7 zeros may follow the last: Raft's files want them */
	return entry->format == ENTRY_FORMAT || entry->format == ENTRY_FORMER ? 0 : ERROR_VERSION;
}

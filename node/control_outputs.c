/* Carrying out what the cluster asks for: messages to other control ports, maps, contacts and wishes for the shards,
 * our registration made durable. Control thread. */
#include "node/control.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

/* --- links ---------------------------------------------------------------------------------------------- */

static struct control_link *free_link(struct control *control)
{
	struct control_link *oldest = &control->links[0];

	for (uint32_t i = 0; i < CONTROL_LINKS_MAX; i++) {
		if (!control->links[i].open)
			return &control->links[i];
		if (control->links[i].link.used_ms < oldest->link.used_ms)
			oldest = &control->links[i];
	}
	link_close(&oldest->link); /* twice as many as members can be: addresses that nobody has any more */
	oldest->open = false;
	return oldest;
}

/* Of whom the configuration or the map say that it is there. NULL: they do not. */
static const char *name_at(const struct control *control, const char *address)
{
	const struct config_members *members = &control->values->members;
	const struct cluster_map *map = cluster_map(control->cluster);

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		if (map->nodes[i].id != 0 && strcmp(map->nodes[i].control_address, address) == 0)
			return map->nodes[i].name;
	}
	for (uint32_t i = 0; i < members->count; i++) {
		if (strcmp(members->list[i].address, address) == 0)
			return members->list[i].name;
	}
	return NULL;
}

static struct control_link *open_link(struct control *control, struct control_link *link, const char *address)
{
	const struct link_peer peer = {.address = address, .name = name_at(control, address)};

	int rv = link_open(&link->link, control->factory, &peer, true);

	if (rv == EACCES)
		LOG_LIMITED(control->log, &control->counters.strangers, control->now_ms, keys_stranger,
			    .peer = peer.name, .address = address, .path = control->values->keys_trusted);
	link->open = rv == 0;
	return link->open ? link : NULL;
}

static struct control_link *link_to(struct control *control, const char *address)
{
	struct control_link *free;

	for (uint32_t i = 0; i < CONTROL_LINKS_MAX; i++) {
		struct control_link *link = &control->links[i];

		if (!link->open || strcmp(link->link.address, address) != 0)
			continue;
		if (!link_outdated(&link->link, control->factory, control->now_ms))
			return link;
		link_close(&link->link);
		return open_link(control, link, address);
	}
	free = free_link(control);
	free->node_id = 0;
	return open_link(control, free, address);
}

static void send_to(struct control *control, struct cluster_output *output)
{
	struct control_link *link = link_to(control, output->address);
	struct buffer frame = BUFFER_NULL;

	if (link == NULL) {
		control->counters.link_drops++;
		return;
	}
	if (output->node_id != 0)
		link->node_id = output->node_id;
	message_begin(&frame);
	buffer_bytes(&frame, output->body.data, output->body.size);
	if (message_end(&frame, &control->self.sender, output->message, output->items) != 0 ||
	    link_send(&link->link, &control->self, &frame, control->now_ms) != 0)
		control->counters.link_drops++;
	buffer_deinit(&frame);
}

static void id_text(const uint8_t id[16], char text[33])
{
	for (size_t i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
}

void control_foreign_peer(struct control *control, const uint8_t cluster_id[16], struct span name, const char *address)
{
	char peer[NAME_MAX_BYTES + 1], theirs[33], ours[33];

	if (!foreign_peers_add(&control->foreign, cluster_id, name))
		return;
	snprintf(peer, sizeof peer, "%.*s", (int)name.size, (const char *)name.data);
	id_text(cluster_id, theirs);
	id_text(control->self.cluster_id, ours);
	LOG_EVENT(control->log, cluster_peer_foreign, .peer = peer, .address = address, .observed_cluster = theirs,
		  .expected_cluster = ours);
	atomic_store_explicit(&control->health->foreign_peers, control->foreign.count, memory_order_relaxed);
}

void control_strange_version(struct control *control, struct version_range versions, struct span name,
			     const char *address)
{
	struct version_range own = hello_versions(&control->self);
	char peer[NAME_MAX_BYTES + 1];

	snprintf(peer, sizeof peer, "%.*s", (int)name.size, (const char *)name.data);
	LOG_LIMITED(control->log, &control->counters.versions, control->now_ms, cluster_peer_version, .peer = peer,
		    .address = address, .observed_lowest = versions.lowest, .observed_highest = versions.highest,
		    .expected_lowest = own.lowest, .expected_highest = own.highest);
}

static bool is_zero(const uint8_t id[16])
{
	static const uint8_t zero[16];

	return memcmp(id, zero, 16) == 0;
}

/* A member has refused this process. One that is at home in no cluster yet binds nobody: it may be the one that is too
 * old, or too new. */
static void refused_for_version(struct control *control, const struct link *link)
{
	struct version_range theirs = link->welcome_versions;
	char text[CLUSTER_TEXT_BYTES];

	control->counters.version_refusals++;
	control_strange_version(control, theirs, span_of_text(link->welcome_name), link->address);
	if (is_zero(link->welcome_cluster) || cluster_state(control->cluster) > CLUSTER_JOINED ||
	    theirs.lowest <= control->self.versions.highest)
		return;
	snprintf(text, sizeof text, "member %s speaks versions %u to %u, this evgridd %u to %u", link->welcome_name,
		 theirs.lowest, theirs.highest, control->self.versions.lowest, control->self.versions.highest);
	LOG_FATAL(control->log, cluster_version_unknown, .observed = text);
}

static void look_at_welcome(struct control *control, struct link *link)
{
	if (link->welcomed && hello_is_foreign(&control->self, link->welcome_cluster))
		control_foreign_peer(control, link->welcome_cluster, span_of_text(link->welcome_name), link->address);
	else if (link->welcomed && !versions_meet(link->welcome_versions, hello_versions(&control->self)))
		refused_for_version(control, link);
	link->welcomed = false;
}

void control_upkeep_links(struct control *control)
{
	for (uint32_t i = 0; i < CONTROL_LINKS_MAX; i++) {
		struct control_link *link = &control->links[i];

		if (!link->open)
			continue;
		link_listen(&link->link);
		look_at_welcome(control, &link->link);
		if (!link_broke(&link->link))
			continue;
		link->link.introduced = false; /* whoever answers next may be a new process */
		if (link->node_id != 0)
			cluster_connection_lost(control->cluster, link->node_id, control->now_ms);
	}
}

/* --- what shards and directory are told ----------------------------------------------------------------- */

static uint16_t shard_of(const struct control *control, uint16_t partition)
{
	return (uint16_t)(partition % control->values->shards);
}

static _Noreturn void refuse_cluster(const struct control *control, const uint8_t id[16])
{
	char members[33], held[33];

	id_text(id, members);
	id_text(control->directory->identity.cluster_id, held);
	LOG_FATAL(control->log, directory_foreign, .path = control->directory->path, .observed_cluster = members,
		  .expected_cluster = held);
}

/* The directory belongs to the cluster it first served in, for ever. */
static void check_cluster_id(struct control *control, const uint8_t id[16])
{
	uint8_t *held = control->directory->identity.cluster_id;

	if (is_zero(id))
		return;
	if (!is_zero(held) && memcmp(held, id, 16) != 0)
		refuse_cluster(control, id);
	memcpy(control->self.cluster_id, id, 16);
}

static void tell_map(struct control *control)
{
	const struct cluster_map *map = cluster_map(control->cluster);
	struct map_share *share;

	check_cluster_id(control, map->cluster_id);
	if (map->cluster_version > control->self.cluster_version)
		control->self.cluster_version = map->cluster_version;
	share = map_share_new(map);
	if (share == NULL)
		control_out_of_memory(control, "the cluster map");
	for (uint64_t i = 0; i < control->values->shards; i++)
		inbox_put_map(&control->shards[i].inbox, share);
	metrics_put_map(control->metrics, share);
	map_share_drop(share);
	control->maps_due = true;
}

static void tell_contacts(struct control *control)
{
	for (uint64_t i = 0; i < control->values->shards; i++)
		inbox_put_contacts(&control->shards[i].inbox, cluster_contacts(control->cluster));
}

/* Durable before Raft runs: the directory is that cluster's from then on. */
static void take_admission(struct control *control, const struct cluster_output *output)
{
	char why[DIRECTORY_TEXT_BYTES];

	assert(output->body.size == 16);
	check_cluster_id(control, output->body.data);
	memcpy(control->directory->identity.cluster_id, output->body.data, 16);
	if (directory_write(control->directory, why) != DIRECTORY_DONE)
		control_directory_failed(control, why);
	cluster_admit(control->cluster);
}

/* Behind the entry itself, which an older binary does not get past: this says so before anything is opened. */
static void take_version(struct control *control, uint16_t version)
{
	char why[DIRECTORY_TEXT_BYTES];

	control->directory->identity.cluster_version = version;
	if (directory_write(control->directory, why) != DIRECTORY_DONE)
		control_directory_failed(control, why);
	LOG_EVENT(control->log, cluster_at_version, .version = version);
}

/* Durable before the node serves: epoch, sync mode, cluster (design.md 6.6). */
static void take_registration(struct control *control, const struct cluster_output *output)
{
	struct directory_identity *identity = &control->directory->identity;
	char why[DIRECTORY_TEXT_BYTES];

	control->self.sender = cluster_sender(control->cluster);
	check_cluster_id(control, cluster_map(control->cluster)->cluster_id);
	memcpy(identity->cluster_id, control->self.cluster_id, 16);
	identity->node_epoch = output->node_epoch;
	identity->interval_sync = control->values->sync_ms != 0;
	identity->proof_epoch = 0;
	if (directory_write(control->directory, why) != DIRECTORY_DONE)
		control_directory_failed(control, why);
	cluster_serve(control->cluster, output->node_epoch);
	control->self.sender = cluster_sender(control->cluster);
	for (uint64_t i = 0; i < control->values->shards; i++)
		inbox_put_registration(&control->shards[i].inbox, output->node_id, output->node_epoch);
	tell_map(control);
	tell_contacts(control);
	LOG_EVENT(control->log, node_serving, .node_id = output->node_id, .node_epoch = output->node_epoch);
}

/* --- the whole ------------------------------------------------------------------------------------------ */

static void carry_out_one(struct control *control, struct cluster_output *output)
{
	switch (output->kind) {
	case CLUSTER_SEND: send_to(control, output); break;
	case CLUSTER_MAP_CHANGED: tell_map(control); break;
	case CLUSTER_CONTACTS: tell_contacts(control); break;
	case CLUSTER_ADMITTED: take_admission(control, output); break;
	case CLUSTER_REGISTERED_AS: take_registration(control, output); break;
	case CLUSTER_RESULT: control_client_result(control, &output->result); break;
	case CLUSTER_WISH:
		if (output->partition < PARTITION_COUNT)
			inbox_put_wish(&control->shards[shard_of(control, output->partition)].inbox, output->partition,
				       output->node_id);
		break;
	case CLUSTER_AT_VERSION: take_version(control, output->version); break;
	case CLUSTER_IS_STOPPED: control_stopped(control, output->node_epoch); break;
	case CLUSTER_IS_GONE: control_gone(control); break;
	case CLUSTER_NOTICE: control_notice(control, output); break;
	case CLUSTER_FATAL: control_cluster_failed(control, output);
	}
}

void control_carry_out(struct control *control)
{
	struct cluster_output output;

	while (cluster_next(control->cluster, &output)) {
		control->self.sender = cluster_sender(control->cluster);
		carry_out_one(control, &output);
		cluster_output_deinit(&output);
	}
	control_push_maps(control);
}

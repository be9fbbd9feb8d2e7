/* See control.h. */
#include "tests/sim/control.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define EPOCHS_MAX 4096u
#define INDEXES_MAX 65536u
#define TICKET_STREAM 1000u /* and the stream's number */

struct control_mail {
	uint64_t due_ms;
	uint32_t to;
	struct buffer frame;
	struct version_range versions; /* that its sender's HELLO told */
	struct control_mail *next;
};

uint64_t control_random(struct control *control, uint64_t below)
{
	uint64_t z = control->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return below == 0 ? z : z % below;
}

static void breach(const struct control *control, const char *what, uint64_t a, uint64_t b)
{
	fprintf(stderr, "seed %llu, %llu ms: %s (%llu, %llu)\n", (unsigned long long)control->seed,
		(unsigned long long)control->now_ms, what, (unsigned long long)a, (unsigned long long)b);
	abort();
}

static void note(struct control *control, uint64_t value)
{
	control->trace = (control->trace ^ value) * 0x100000001b3ull;
	control->trace ^= control->trace >> 29;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void identity_make(struct control *control, struct control_node *node)
{
	for (uint32_t i = 0; i < CLUSTER_IDENTITY_BYTES; i++)
		node->config.directory.identity[i] = (uint8_t)control_random(control, 256);
}

static void config_make(struct control *control, uint32_t i, bool interval_sync)
{
	struct cluster_config *config = &control->nodes[i].config;

	snprintf(config->name, sizeof(config->name), "n%u", i + 1);
	snprintf(config->host, sizeof(config->host), "host%u", i + 1);
	snprintf(config->control_address, sizeof(config->control_address), "host%u:7000", i + 1);
	config->versions = (struct version_range){CLUSTER_VERSION_FIRST, CLUSTER_VERSION_HIGHEST};
	config->shard_count = 2;
	config->shard_ports[0] = 7001;
	config->shard_ports[1] = 7002;
	config->interval_sync = interval_sync;
	config->founder_count = control->founders;
	for (uint32_t k = 0; k < control->founders; k++) {
		snprintf(config->founders[k].name, sizeof(config->founders[k].name), "n%u", k + 1);
		snprintf(config->founders[k].control_address, sizeof(config->founders[k].control_address),
			 "host%u:7000", k + 1);
	}
	identity_make(control, &control->nodes[i]);
}

void control_init(struct control *control, uint64_t seed, uint32_t count, bool interval_sync)
{
	assert(count >= 1 && count <= CONTROL_NODES_MAX);
	memset(control, 0, sizeof(*control));
	control->seed = seed;
	control->random = seed * 0x2545f4914f6cdd1dull + 1;
	control->now_ms = 1000000;
	control->count = count;
	control->founders = count;
	control->delay_min_ms = 0;
	control->delay_max_ms = 2;
	control->plays_shards = true;
	control->index_digest = calloc(INDEXES_MAX, sizeof(uint64_t));
	control->epoch_primary = calloc((size_t)PARTITION_COUNT * EPOCHS_MAX, sizeof(uint32_t));
	if (control->index_digest == NULL || control->epoch_primary == NULL)
		abort();
	for (uint32_t i = 0; i < count; i++) {
		sim_raft_disk_init(&control->nodes[i].disk);
		config_make(control, i, interval_sync);
	}
}

uint32_t control_add(struct control *control)
{
	uint32_t i = control->count++;

	assert(i < CONTROL_NODES_MAX);
	sim_raft_disk_init(&control->nodes[i].disk);
	config_make(control, i, control->nodes[0].config.interval_sync);
	return i;
}

void control_deinit(struct control *control)
{
	for (uint32_t i = 0; i < control->count; i++) {
		if (control->nodes[i].cluster != NULL)
			control_kill(control, i);
		sim_raft_disk_deinit(&control->nodes[i].disk);
	}
	while (control->mail != NULL) {
		struct control_mail *mail = control->mail;

		control->mail = mail->next;
		buffer_deinit(&mail->frame);
		free(mail);
	}
	free(control->index_digest);
	free(control->epoch_primary);
}

void control_start(struct control *control, uint32_t i)
{
	struct control_node *node = &control->nodes[i];
	struct cluster_config *config = &node->config;

	assert(node->cluster == NULL && !node->gone);
	config->incarnation = control_random(control, 0) | 1;
	config->seed = (uint32_t)control_random(control, UINT32_MAX);
	for (uint32_t k = 0; k < sizeof(config->cluster_id); k++)
		config->cluster_id[k] = (uint8_t)control_random(control, 256);
	config->directory.raft_empty = sim_raft_disk_empty(&node->disk);
	sim_raft_io_init(&node->io, &node->disk, control_random(control, 0), 1, 4);
	node->io.now_ms = control->now_ms;
	node->fatal[0] = '\0';
	node->reported = false;
	node->stopped = false;
	node->serve_at_ms = 0;
	node->admit_at_ms = 0;
	node->paused_until_ms = 0;
	node->cluster = cluster_new(config, &node->io.io, control->now_ms);
	if (node->cluster == NULL)
		abort();
	cluster_start(node->cluster, control->now_ms);
}

void control_kill(struct control *control, uint32_t i)
{
	struct control_node *node = &control->nodes[i];

	assert(node->cluster != NULL);
	(void)control;
	sim_raft_io_kill(&node->io);
	cluster_close(node->cluster);
	if (!cluster_closed(node->cluster))
		abort();
	node->cluster = cluster_free(node->cluster);
}

void control_replace_disk(struct control *control, uint32_t i)
{
	struct control_node *node = &control->nodes[i];

	assert(node->cluster == NULL);
	sim_raft_disk_deinit(&node->disk);
	memset(&node->config.directory, 0, sizeof(node->config.directory));
	node->gone = false;
	identity_make(control, node);
}

void control_pause(struct control *control, uint32_t i, uint64_t ms)
{
	control->nodes[i].paused_until_ms = control->now_ms + ms;
}

void control_isolate(struct control *control, uint32_t i, bool cut)
{
	for (uint32_t k = 0; k < control->count; k++) {
		control->cut[i][k] = cut;
		control->cut[k][i] = cut;
	}
}

/* --- the network -------------------------------------------------------------------------------------------------- */

static uint32_t node_at(const struct control *control, const char *address)
{
	for (uint32_t i = 0; i < control->count; i++)
		if (strcmp(control->nodes[i].config.control_address, address) == 0)
			return i;
	if (!control->address_lost)
		breach(control, "a message to nobody", 0, 0);
	return UINT32_MAX;
}

static void mail_post(struct control *control, uint32_t from, uint32_t to, const struct buffer *frame)
{
	struct control_mail *mail = calloc(1, sizeof(*mail));
	struct control_mail **at = &control->mail;

	if (mail == NULL)
		abort();
	mail->due_ms = control->now_ms + control->delay_min_ms +
		       control_random(control, control->delay_max_ms - control->delay_min_ms + 1);
	mail->to = to;
	mail->versions = control->nodes[from].config.versions;
	buffer_bytes(&mail->frame, frame->data, frame->size);
	while (*at != NULL && (*at)->due_ms <= mail->due_ms)
		at = &(*at)->next;
	mail->next = *at;
	*at = mail;
}

static void send(struct control *control, uint32_t from, const struct cluster_output *output)
{
	struct sender sender = cluster_sender(control->nodes[from].cluster);
	uint32_t to = node_at(control, output->address);
	struct buffer frame = BUFFER_NULL;

	note(control, (uint64_t)output->message << 32 | output->body.size << 8 | from << 4 | to);
	if (to == UINT32_MAX || control->cut[from][to] || control_random(control, 1000) < control->loss_permille)
		return;
	message_begin(&frame);
	buffer_bytes(&frame, output->body.data, output->body.size);
	if (message_end(&frame, &sender, output->message, output->items) != 0)
		breach(control, "a message cannot be encoded", output->message, output->body.size);
	mail_post(control, from, to, &frame);
	if (control_random(control, 1000) < control->duplicate_permille)
		mail_post(control, from, to, &frame);
	buffer_deinit(&frame);
}

static bool node_runs(const struct control *control, uint32_t i)
{
	return control->nodes[i].cluster != NULL && control->now_ms >= control->nodes[i].paused_until_ms;
}

/* Mail for a process that stands still waits in its inbox. */
static void mail_deliver(struct control *control)
{
	struct control_mail **at = &control->mail;

	while (*at != NULL && (*at)->due_ms <= control->now_ms) {
		struct control_mail *mail = *at;
		struct control_node *node = &control->nodes[mail->to];
		struct message message;

		if (node->cluster != NULL && !node_runs(control, mail->to)) {
			at = &mail->next;
			continue;
		}
		*at = mail->next;
		if (node->cluster != NULL) {
			if (message_decode(buffer_span(&mail->frame), &message) != 0)
				breach(control, "a message cannot be decoded", mail->frame.size, 0);
			message.versions = mail->versions;
			cluster_receive(node->cluster, &message, control->now_ms);
		}
		buffer_deinit(&mail->frame);
		free(mail);
	}
}

/* --- hosts -------------------------------------------------------------------------------------------------------- */

static void output_take(struct control *control, uint32_t i, struct cluster_output *output)
{
	struct control_node *node = &control->nodes[i];
	struct command_handover handover;
	const struct map_partition *row;
	struct buffer command = BUFFER_NULL;

	switch (output->kind) {
	case CLUSTER_SEND: send(control, i, output); break;
	case CLUSTER_ADMITTED:
		memcpy(node->config.directory.cluster_id, output->body.data, 16);
		node->admit_at_ms = control->now_ms + 1 + control_random(control, 5);
		break;
	case CLUSTER_REGISTERED_AS:
		node->serve_epoch = output->node_epoch;
		node->serve_at_ms = control->now_ms + 1 + control_random(control, 5);
		break;
	case CLUSTER_RESULT:
		node->results[output->result.error]++;
		node->last_ticket = output->result.ticket;
		node->last_error = output->result.error;
		if (output->result.ticket >= TICKET_STREAM && output->result.error == ERROR_NONE)
			control->stream_done[output->result.ticket - TICKET_STREAM] = true;
		break;
	case CLUSTER_WISH:
		row = &cluster_map(node->cluster)->partitions[output->partition];
		handover = (struct command_handover){.partition = output->partition,
						     .expected_version = row->version,
						     .primary = node->cluster->node_id,
						     .primary_node_epoch = node->cluster->node_epoch,
						     .to = output->node_id};
		command_handover_encode(&handover, 1, &command);
		cluster_propose(node->cluster, 1, buffer_span(&command), control->now_ms);
		break;
	case CLUSTER_IS_STOPPED:
		node->config.directory.proof_epoch = output->node_epoch;
		node->stopped = true;
		break;
	case CLUSTER_AT_VERSION: node->config.directory.cluster_version = output->version; break;
	case CLUSTER_IS_GONE: node->gone = true; break;
	case CLUSTER_NOTICE: node->notices[output->notice.kind]++; break;
	case CLUSTER_FATAL: snprintf(node->fatal, sizeof(node->fatal), "%s", output->text); break;
	default: break;
	}
	buffer_deinit(&command);
}

static void outputs_drain(struct control *control, uint32_t i)
{
	struct cluster_output output;

	while (cluster_next(control->nodes[i].cluster, &output)) {
		output_take(control, i, &output);
		cluster_output_deinit(&output);
	}
}

static void directory_serve(struct control *control, struct control_node *node)
{
	if (node->admit_at_ms != 0 && control->now_ms >= node->admit_at_ms) {
		node->admit_at_ms = 0;
		cluster_admit(node->cluster);
	}
	if (node->serve_at_ms == 0 || control->now_ms < node->serve_at_ms)
		return;
	node->serve_at_ms = 0;
	node->config.directory.node_epoch = node->serve_epoch;
	node->config.directory.interval_sync = node->config.interval_sync;
	cluster_serve(node->cluster, node->serve_epoch);
}

/* --- the played shards -------------------------------------------------------------------------------------------- */

static bool isr_wish(const struct cluster *cluster, uint16_t p, bool learners, struct command_isr *item)
{
	const struct map_partition *row = &cluster->map.partitions[p];
	node_set live = cluster_map_live(&cluster->map);
	node_set left = learners ? row->learners : 0;
	bool grows = false;

	*item = (struct command_isr){.partition = p,
				     .expected_version = row->version,
				     .primary = cluster->node_id,
				     .primary_node_epoch = cluster->node_epoch};
	for (uint32_t k = 0; k < row->replica_count || left != 0; k++) {
		uint32_t id = k < row->replica_count ? row->replicas[k] : (uint32_t)__builtin_ctzll(left) + 1;

		left &= ~node_bit(id);
		if (!node_set_has(row->isr, id) && !node_set_has(live, id))
			continue;
		grows |= !node_set_has(row->isr, id);
		item->isr[item->count++] =
			(struct command_node){.node_id = id, .node_epoch = cluster->map.nodes[id - 1].epoch};
	}
	return grows;
}

static void primaries_ask(struct control *control, struct cluster *cluster)
{
	struct command_isr items[PARTITION_COUNT];
	struct buffer command = BUFFER_NULL;
	uint32_t count = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (cluster->map.partitions[p].primary == cluster->node_id &&
		    isr_wish(cluster, p, control->plays_learners, &items[count]))
			count++;
	if (count > 0) {
		command_isr_encode(items, count, &command);
		cluster_propose(cluster, 2, buffer_span(&command), control->now_ms);
	}
	buffer_deinit(&command);
}

static void suspect_reports(struct control *control, struct control_node *node)
{
	struct command_ends ends = {.node_id = node->cluster->node_id, .node_epoch = node->cluster->node_epoch};
	struct buffer command = BUFFER_NULL;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (node_set_has(node->cluster->map.partitions[p].suspects, ends.node_id))
			ends.ends[ends.count++] =
				(struct command_end){.partition = p,
						     .expected_version = node->cluster->map.partitions[p].version,
						     .last_epoch = 1,
						     .end = 100 + (p * 7u + ends.node_id * 13u) % 50};
	if (ends.count > 0) {
		command_ends_encode(&ends, &command);
		cluster_propose(node->cluster, 3, buffer_span(&command), control->now_ms);
	}
	buffer_deinit(&command);
}

static void shards_play(struct control *control, struct control_node *node)
{
	if (!control->plays_shards || control->now_ms < node->ask_at_ms)
		return;
	node->ask_at_ms = control->now_ms + 40 + control_random(control, 40);
	if (cluster_state(node->cluster) != CLUSTER_SERVING)
		return;
	primaries_ask(control, node->cluster);
	suspect_reports(control, node);
}

void control_create_stream(struct control *control, uint32_t i)
{
	char name[16];
	struct command_stream stream = {.settings = SPAN_NULL};
	struct buffer command = BUFFER_NULL;

	assert(control->stream_count < CONTROL_STREAMS_MAX);
	snprintf(name, sizeof(name), "s%u", control->stream_count);
	stream.name = span_of_text(name);
	command_stream_encode(&stream, &command);
	cluster_propose(control->nodes[i].cluster, TICKET_STREAM + control->stream_count++, buffer_span(&command),
			control->now_ms);
	buffer_deinit(&command);
}

/* --- what must hold ----------------------------------------------------------------------------------------------- */

static void check_digest(struct control *control, const struct cluster *cluster)
{
	uint64_t index = cluster->metadata.applied;
	uint64_t digest;

	if (index == 0)
		return;
	if (index >= INDEXES_MAX)
		breach(control, "the run is too long", index, 0);
	digest = cluster_digest(cluster);
	if (control->index_digest[index] == 0) {
		control->index_digest[index] = digest;
		note(control, digest);
	} else if (control->index_digest[index] != digest) {
		breach(control, "metadata differ at index", index, cluster->node_id);
	}
}

static void check_rows(struct control *control, const struct cluster *cluster)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &cluster->metadata.map.partitions[p];
		uint32_t *seen;

		if (row->replica_count > 0 && !row_is_sound(&cluster->metadata, p))
			breach(control, "a row is not sound", p, cluster->metadata.applied);
		if (row->primary == 0)
			continue;
		if (row->epoch >= EPOCHS_MAX)
			breach(control, "the run has too many epochs", p, row->epoch);
		seen = &control->epoch_primary[(size_t)p * EPOCHS_MAX + row->epoch];
		if (*seen != 0 && *seen != row->primary)
			breach(control, "two primaries under one epoch", p, row->epoch);
		*seen = row->primary;
	}
}

static void node_check(struct control *control, struct control_node *node, uint64_t applied_before)
{
	if (node->cluster->metadata.applied == applied_before)
		return;
	check_digest(control, node->cluster);
	check_rows(control, node->cluster);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static void node_step(struct control *control, uint32_t i)
{
	struct control_node *node = &control->nodes[i];
	uint64_t applied = node->cluster->metadata.applied;

	sim_raft_io_run(&node->io, control->now_ms);
	directory_serve(control, node);
	if (control->now_ms % CLUSTER_TICK_MS == i || control->now_ms - node->cluster->ticked_ms > CLUSTER_TICK_MS)
		cluster_tick(node->cluster, control->now_ms,
			     (uint64_t)(1700000000000ll + (int64_t)control->now_ms + node->clock_ahead_ms));
	shards_play(control, node);
	outputs_drain(control, i);
	node_check(control, node, applied);
	if (node->fatal[0] != '\0' || node->gone)
		control_kill(control, i);
}

void control_step(struct control *control)
{
	control->now_ms++;
	mail_deliver(control);
	for (uint32_t i = 0; i < control->count; i++)
		if (node_runs(control, i))
			node_step(control, i);
}

void control_run(struct control *control, uint64_t ms)
{
	for (uint64_t i = 0; i < ms; i++)
		control_step(control);
}

uint64_t control_until(struct control *control, control_condition condition, uint64_t limit_ms)
{
	uint64_t begin = control->now_ms;

	while (!condition(control)) {
		if (control->now_ms - begin >= limit_ms)
			return UINT64_MAX;
		control_step(control);
	}
	return control->now_ms - begin;
}

uint32_t control_controller(const struct control *control)
{
	uint32_t controller = UINT32_MAX;

	for (uint32_t i = 0; i < control->count; i++)
		if (node_runs(control, i) && cluster_is_controller(control->nodes[i].cluster) &&
		    (controller == UINT32_MAX || cluster_raft_term(control->nodes[i].cluster) >
							 cluster_raft_term(control->nodes[controller].cluster)))
			controller = i;
	return controller;
}

static const struct cluster_map *controller_map(const struct control *control)
{
	uint32_t controller = control_controller(control);

	return controller == UINT32_MAX ? NULL : cluster_map(control->nodes[controller].cluster);
}

/* A founder's is its place; a newcomer has none before it is a member. */
static uint32_t own_id(const struct control *control, uint32_t i)
{
	uint32_t id = control->nodes[i].cluster->node_id;

	return id != 0 ? id : i + 1;
}

static node_set running_nodes(const struct control *control)
{
	node_set set = 0;

	for (uint32_t i = 0; i < control->count; i++)
		if (node_runs(control, i))
			set |= node_bit(own_id(control, i));
	return set;
}

bool control_all_serve(const struct control *control)
{
	const struct cluster_map *map = controller_map(control);

	if (map == NULL || cluster_map_live(map) != running_nodes(control))
		return false;
	for (uint32_t i = 0; i < control->count; i++)
		if (node_runs(control, i) &&
		    map->nodes[own_id(control, i) - 1].epoch != control->nodes[i].cluster->node_epoch)
			return false;
	return true;
}

bool control_all_primaries(const struct control *control)
{
	const struct cluster_map *map = controller_map(control);
	node_set running = running_nodes(control);

	if (map == NULL)
		return false;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		uint32_t primary = map->partitions[p].primary;

		if (primary == 0 || !node_set_has(running, primary))
			return false;
		if (map->nodes[primary - 1].epoch != control->nodes[primary - 1].cluster->node_epoch)
			return false;
	}
	return true;
}

bool control_all_in_sync(const struct control *control)
{
	const struct cluster_map *map = controller_map(control);

	if (!control_all_primaries(control))
		return false;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (map->partitions[p].isr != row_replicas(&map->partitions[p]))
			return false;
	return true;
}

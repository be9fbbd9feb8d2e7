/* Outputs wait in a list, oldest first. MAP_CHANGED and CONTACTS wait at most once: they say "look", not what. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "raft/cluster_state.h"

void cluster_output_deinit(struct cluster_output *output)
{
	buffer_deinit(&output->body);
}

struct cluster_output *output_push(struct cluster *cluster, enum cluster_output_kind kind)
{
	struct output_link *link = calloc(1, sizeof(*link));

	if (link == NULL) {
		cluster->memory_short = true; /* told by the next cluster_next */
		return NULL;
	}
	link->output.kind = kind;
	if (cluster->outputs_last != NULL)
		cluster->outputs_last->next = link;
	else
		cluster->outputs = link;
	cluster->outputs_last = link;
	return &link->output;
}

void output_send(struct cluster *cluster, enum message_kind message, uint32_t node_id, const char *address,
		 uint16_t items, struct buffer *body)
{
	struct cluster_output *output = NULL;

	assert(address != NULL && address[0] != '\0');
	if (body->failed)
		cluster->memory_short = true;
	else if (cluster->state != CLUSTER_FAILED)
		output = output_push(cluster, CLUSTER_SEND);
	if (output == NULL) {
		buffer_deinit(body);
		return;
	}
	output->message = message;
	output->node_id = node_id;
	output->items = items;
	snprintf(output->address, sizeof(output->address), "%s", address);
	output->body = *body;
	*body = BUFFER_NULL;
}

void output_send_node(struct cluster *cluster, enum message_kind message, uint32_t node_id, uint16_t items,
		      struct buffer *body)
{
	const struct map_node *node = cluster_map_node(&cluster->map, node_id);

	if (node != NULL && node->control_address[0] != '\0')
		output_send(cluster, message, node_id, node->control_address, items, body);
	else
		buffer_deinit(body);
}

void output_notice(struct cluster *cluster, struct cluster_notice notice, struct span text)
{
	struct cluster_output *output = output_push(cluster, CLUSTER_NOTICE);

	if (output == NULL)
		return;
	output->notice = notice;
	snprintf(output->text, sizeof(output->text), "%.*s", (int)text.size,
		 text.size == 0 ? "" : (const char *)text.data);
}

void output_fatal(struct cluster *cluster, enum cluster_fatal fatal, const char *format, ...)
{
	struct cluster_output *output;
	va_list arguments;

	if (cluster->state == CLUSTER_FAILED)
		return;
	cluster_move(cluster, CLUSTER_FAILED);
	output = output_push(cluster, CLUSTER_FATAL);
	if (output == NULL)
		return;
	output->fatal = fatal;
	va_start(arguments, format);
	vsnprintf(output->text, sizeof(output->text), format, arguments);
	va_end(arguments);
}

void output_map_changed(struct cluster *cluster)
{
	if (!cluster->map_waits)
		cluster->map_waits = output_push(cluster, CLUSTER_MAP_CHANGED) != NULL;
}

void output_contacts(struct cluster *cluster)
{
	if (!cluster->contacts_wait)
		cluster->contacts_wait = output_push(cluster, CLUSTER_CONTACTS) != NULL;
}

static bool output_memory_short(struct cluster *cluster, struct cluster_output *output)
{
	if (!cluster->memory_short || cluster->state == CLUSTER_FAILED)
		return false;
	cluster_move(cluster, CLUSTER_FAILED);
	*output = (struct cluster_output){.kind = CLUSTER_FATAL, .fatal = FATAL_MEMORY, .text = "out of memory"};
	return true;
}

bool cluster_next(struct cluster *cluster, struct cluster_output *output)
{
	struct output_link *link;

	if (cluster->outputs == NULL)
		cluster_settle(cluster);
	if (output_memory_short(cluster, output))
		return true;
	link = cluster->outputs;
	if (link == NULL)
		return false;
	cluster->outputs = link->next;
	if (cluster->outputs == NULL)
		cluster->outputs_last = NULL;
	*output = link->output;
	free(link);
	if (output->kind == CLUSTER_MAP_CHANGED)
		cluster->map_waits = false;
	if (output->kind == CLUSTER_CONTACTS)
		cluster->contacts_wait = false;
	return true;
}

void outputs_free(struct cluster *cluster)
{
	while (cluster->outputs != NULL) {
		struct output_link *link = cluster->outputs;

		cluster->outputs = link->next;
		cluster_output_deinit(&link->output);
		free(link);
	}
	cluster->outputs_last = NULL;
}

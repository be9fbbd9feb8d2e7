/* See controller.h. An entry's number is this process's; with the incarnation in the entry's head it tells, when it is
 * applied, whose results these are. */
#include "raft/controller.h"

#include <assert.h>
#include <stdlib.h>

#include "raft/cluster_state.h"

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void origin_answer(struct cluster *cluster, const struct command_origin *origin, uint16_t error,
			  const char *detail)
{
	struct propose_result result = {.ticket = origin->number,
					.error = error,
					.controller = cluster->map.controller,
					.map_version = cluster->map.version,
					.detail = span_of_text(detail)};

	if (origin->node_id == 0)
		cluster->controller.duty_on_its_way = false;
	else
		propose_answer(cluster, origin->node_id, &result);
}

static void entry_free(struct controller_entry *entry)
{
	free(entry->origins);
	*entry = (struct controller_entry){0};
}

void controller_applied(struct cluster *cluster, uint64_t number, const struct command_result *results, uint32_t count)
{
	struct controller *controller = &cluster->controller;

	if (controller->phase == CONTROLLER_WAITING && number == controller->barrier)
		controller->phase = CONTROLLER_ACTIVE;
	for (uint32_t i = 0; i < CONTROLLER_ENTRIES_MAX; i++) {
		struct controller_entry *entry = &controller->entries[i];

		if (entry->number != number)
			continue;
		assert(entry->count == count);
		/* The answer names a map that has it. */
		map_publish(cluster);
		for (uint32_t k = 0; k < count; k++)
			origin_answer(cluster, &entry->origins[k], results[k].error,
				      refusal_text((enum refusal)results[k].refusal));
		entry_free(entry);
	}
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

static int origins_grow(struct controller *controller)
{
	uint32_t capacity = controller->origin_capacity == 0 ? 64 : controller->origin_capacity * 2;
	struct command_origin *origins;

	if (controller->origin_count < controller->origin_capacity)
		return 0;
	origins = realloc(controller->origins, capacity * sizeof(*origins));
	if (origins == NULL)
		return ERROR_MEMORY;
	controller->origins = origins;
	controller->origin_capacity = capacity;
	return 0;
}

/* False: it was answered, or `*rv` says why it cannot be taken. */
static bool may_raise_version(struct cluster *cluster, const struct command_origin *origin, struct span bytes, int *rv)
{
	struct reader in = reader_of(bytes);
	char why[CLUSTER_TEXT_BYTES] = "";
	struct command command;

	*rv = command_decode(&in, &command);
	if (*rv != 0 || command.kind != COMMAND_RAISE_VERSION)
		return *rv == 0;
	*rv = version_check(cluster, command.body, why);
	if (*rv != ERROR_REFUSED)
		return *rv == 0;
	origin_answer(cluster, origin, ERROR_REFUSED, why);
	*rv = 0;
	return false;
}

int controller_take(struct cluster *cluster, struct command_origin origin, struct span command)
{
	struct controller *controller = &cluster->controller;
	int rv;

	if (!raft_node_leads(&cluster->raft))
		return ERROR_NOT_CONTROLLER;
	if (!may_raise_version(cluster, &origin, command, &rv))
		return rv;
	if (controller->origin_count >= CONTROLLER_WAITING_MAX ||
	    controller->waiting.size + command.size > CONTROLLER_WAITING_MAX_BYTES)
		return ERROR_BUSY;
	if (origins_grow(controller) != 0)
		return ERROR_MEMORY;
	buffer_bytes(&controller->waiting, command.data, command.size);
	if (controller->waiting.failed) {
		controller->waiting.failed = false;
		return ERROR_MEMORY;
	}
	controller->origins[controller->origin_count++] = origin;
	return 0;
}

/* How many of the waiting commands go into the next entry, and their bytes. */
static uint32_t batch_measure(const struct controller *controller, size_t *size)
{
	struct reader in = reader_of(buffer_span(&controller->waiting));
	uint32_t count = 0;

	*size = 0;
	while (count < controller->origin_count && count < CONTROLLER_COMMANDS_MAX) {
		struct command command;

		if (command_decode(&in, &command) != 0)
			break;
		if (count > 0 && controller->waiting.size - reader_left(&in) > ENTRY_MAX_BYTES)
			break;
		*size = controller->waiting.size - reader_left(&in);
		count++;
	}
	assert(count > 0 || controller->origin_count == 0);
	return count;
}

static void batch_remove(struct controller *controller, uint32_t count, size_t size)
{
	controller->origin_count -= count;
	memmove(controller->origins, controller->origins + count,
		controller->origin_count * sizeof(controller->origins[0]));
	controller->waiting.size -= size;
	memmove(controller->waiting.data, controller->waiting.data + size, controller->waiting.size);
}

/* Hands one entry to Raft. enum raft_node_outcome. */
static int entry_submit(struct cluster *cluster, uint64_t number, uint32_t count, struct span commands)
{
	struct entry entry = {.count = (uint16_t)count,
			      .incarnation = cluster->config.incarnation,
			      .number = number,
			      .unix_ms = cluster->unix_ms};
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	int outcome = RAFT_NODE_MEMORY;

	entry_header_encode(&entry, head);
	buffer_bytes(&bytes, head, sizeof(head));
	if (commands.size > 0)
		buffer_bytes(&bytes, commands.data, commands.size);
	if (!bytes.failed)
		outcome = raft_node_submit(&cluster->raft, buffer_span(&bytes));
	buffer_deinit(&bytes);
	return outcome;
}

static struct controller_entry *entry_slot(struct controller *controller)
{
	for (uint32_t i = 0; i < CONTROLLER_ENTRIES_MAX; i++)
		if (controller->entries[i].number == 0)
			return &controller->entries[i];
	return NULL;
}

/* The slot is filled before Raft has the entry: a single server may apply it on the way. */
static bool batch_send(struct cluster *cluster)
{
	struct controller *controller = &cluster->controller;
	struct controller_entry *slot = entry_slot(controller);
	struct command_origin *origins = NULL;
	uint32_t count;
	size_t size;

	if (slot == NULL || controller->origin_count == 0)
		return false;
	count = batch_measure(controller, &size);
	origins = malloc(count * sizeof(*origins));
	if (origins == NULL)
		return false;
	memcpy(origins, controller->origins, count * sizeof(*origins));
	*slot = (struct controller_entry){.number = ++controller->next_number, .count = count, .origins = origins};
	if (entry_submit(cluster, slot->number, count, span_of(controller->waiting.data, size)) != RAFT_NODE_DONE) {
		entry_free(slot);
		return false;
	}
	batch_remove(controller, count, size);
	return true;
}

/* --- leading ------------------------------------------------------------------------------------------------------ */

static void lead_begin(struct cluster *cluster)
{
	struct controller *controller = &cluster->controller;

	assert(controller->phase == CONTROLLER_IDLE);
	controller->phase = CONTROLLER_WAITING;
	controller->term = raft_node_term(&cluster->raft);
	controller->barrier = 0;
	controller->pushed_version = 0;
	controller->next_wish_ms = cluster->now_ms + CONTROLLER_SETTLED_MS;
	controller->plan.made = false;
}

static void lead_end(struct cluster *cluster)
{
	struct controller *controller = &cluster->controller;

	controller->phase = CONTROLLER_IDLE;
	for (uint32_t i = 0; i < CONTROLLER_ENTRIES_MAX; i++) {
		struct controller_entry *entry = &controller->entries[i];

		for (uint32_t k = 0; k < entry->count; k++)
			origin_answer(cluster, &entry->origins[k], ERROR_OUTCOME_UNKNOWN,
				      "the controller lost its office");
		entry_free(entry);
	}
	for (uint32_t k = 0; k < controller->origin_count; k++)
		origin_answer(cluster, &controller->origins[k], ERROR_NOT_CONTROLLER, "");
	controller->origin_count = 0;
	buffer_clear(&controller->waiting);
	controller->duty_on_its_way = false;
}

static void barrier_send(struct cluster *cluster)
{
	struct controller *controller = &cluster->controller;

	if (controller->phase != CONTROLLER_WAITING || controller->barrier != 0)
		return;
	controller->barrier = ++controller->next_number;
	if (entry_submit(cluster, controller->barrier, 0, SPAN_NULL) != RAFT_NODE_DONE)
		controller->barrier = 0;
}

static void push_when_new(struct cluster *cluster)
{
	struct controller *controller = &cluster->controller;

	if (controller->phase != CONTROLLER_ACTIVE || controller->pushed_version == cluster->map.version)
		return;
	controller->pushed_version = cluster->map.version;
	map_push(cluster);
}

void controller_settle(struct cluster *cluster)
{
	struct controller *controller = &cluster->controller;
	bool leads = raft_node_leads(&cluster->raft) && cluster->state != CLUSTER_FAILED;

	if (controller->phase != CONTROLLER_IDLE && (!leads || controller->term != raft_node_term(&cluster->raft)))
		lead_end(cluster);
	if (leads && controller->phase == CONTROLLER_IDLE)
		lead_begin(cluster);
	barrier_send(cluster);
	while (controller->phase == CONTROLLER_ACTIVE && batch_send(cluster))
		;
	push_when_new(cluster);
}

void controller_deinit(struct controller *controller)
{
	for (uint32_t i = 0; i < CONTROLLER_ENTRIES_MAX; i++)
		entry_free(&controller->entries[i]);
	free(controller->origins);
	buffer_deinit(&controller->waiting);
	*controller = (struct controller){0};
}

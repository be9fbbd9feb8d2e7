/* What the copies of a plan need on the disks of those who are to take them, and whether it is there. */
#include "client/cli/plan.h"

#include <stdarg.h>

static void take_answers(const struct replica_rows *rows, uint64_t bytes[PARTITION_COUNT],
			 struct plan_room rooms[NODES_MAX])
{
	for (size_t i = 0; i < rows->count; i++) {
		const struct partition_status *status = &rows->rows[i].status;
		struct plan_room *room = &rooms[rows->rows[i].node_id - 1];

		if (status->bytes > bytes[status->partition])
			bytes[status->partition] = status->bytes;
		if (status->room < room->room)
			room->room = status->room; /* of a node's shards the one that has least */
	}
}

struct needs {
	const struct replica_rows *rows;
	const uint64_t *bytes;
	struct plan_room *rooms;
};

/* A copy that was begun has some of it already. */
static void add_need(void *data, const struct plan_copy *copy)
{
	const struct needs *needs = data;
	const struct partition_status *held = replica_status(needs->rows, copy->partition, copy->to);
	uint64_t bytes = needs->bytes[copy->partition];

	needs->rooms[copy->to - 1].needed += held == NULL ? bytes : bytes - held->bytes;
}

uint32_t plan_rooms(const struct plan *plan, const struct replica_rows *rows, struct plan_room rooms[NODES_MAX])
{
	uint64_t bytes[PARTITION_COUNT] = {0};
	struct needs needs = {rows, bytes, rooms};
	uint32_t too_small = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		rooms[i] = (struct plan_room){.room = PARTITION_ROOM_UNKNOWN};
	take_answers(rows, bytes, rooms);
	(void)plan_copies(plan, add_need, &needs);
	for (uint32_t i = 0; i < NODES_MAX; i++)
		too_small += rooms[i].needed > rooms[i].room;
	return too_small;
}

static void add_text(char text[PLAN_ROOM_TEXT_BYTES], const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_text(char text[PLAN_ROOM_TEXT_BYTES], const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text + used, PLAN_ROOM_TEXT_BYTES - used, format, arguments);
	va_end(arguments);
}

void plan_room_text(const struct plan *plan, const struct plan_room rooms[NODES_MAX], char text[PLAN_ROOM_TEXT_BYTES])
{
	char needed[BYTES_TEXT_BYTES];
	char room[BYTES_TEXT_BYTES];

	text[0] = '\0';
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (rooms[i].needed > rooms[i].room)
			add_text(text, "%s%s is to take %s and has room for %s", text[0] == '\0' ? "" : ", ",
				 plan->map.nodes[i].name, bytes_text(rooms[i].needed, needed),
				 bytes_text(rooms[i].room, room));
}

void plan_room_unknown_text(const struct plan *plan, const struct plan_room rooms[NODES_MAX],
			    char text[PLAN_ROOM_TEXT_BYTES])
{
	text[0] = '\0';
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (rooms[i].room == PARTITION_ROOM_UNKNOWN && plan_node_of(plan, i + 1).copies > 0)
			add_text(text, "%s%s", text[0] == '\0' ? "" : ", ", plan->map.nodes[i].name);
}

/* See restart_check.h. */
#include "proto/restart_check.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static struct restart_finding *found(struct restart_check *check, enum restart_finding_kind kind)
{
	struct restart_finding *finding = &check->findings[check->count++];

	assert(check->count <= RESTART_KINDS);
	finding->kind = kind;
	return finding;
}

static void found_nodes(struct restart_check *check, enum restart_finding_kind kind, node_set nodes)
{
	if (nodes != 0)
		found(check, kind)->nodes = nodes;
}

static void found_partitions(struct restart_check *check, enum restart_finding_kind kind,
			     const struct partition_set *partitions)
{
	if (partition_set_count(partitions) > 0)
		found(check, kind)->partitions = *partitions;
}

/* --- before ------------------------------------------------------------------------------------------------------- */

static node_set keepers(const struct cluster_map *map)
{
	node_set keep = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		keep |= row_members(&map->partitions[p]);
	return keep;
}

static void check_others(const struct cluster_map *map, uint32_t node_id, struct restart_check *check)
{
	node_set keep = keepers(map);
	node_set live = cluster_map_present(map);
	node_set away = 0;
	node_set draining = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		const struct map_node *node = &map->nodes[i];

		if (node->id == 0 || node->id == node_id || node->state == NODE_GONE)
			continue;
		if (!node_set_has(live, node->id))
			away |= node_bit(node->id);
		else if (node->state == NODE_DRAINING && node_set_has(keep, node->id))
			draining |= node_bit(node->id);
	}
	found_nodes(check, RESTART_OTHERS_AWAY, away);
	found_nodes(check, RESTART_OTHERS_DRAINING, draining);
}

static void check_quorum(const struct cluster_map *map, uint32_t node_id, struct restart_check *check)
{
	uint32_t wanted = node_set_count(map->voters) / 2 + 1;
	uint32_t left = node_set_count(map->voters & cluster_map_present(map) & ~node_bit(node_id));
	struct restart_finding *finding;

	if (map->voters == 0) {
		(void)found(check, RESTART_VOTERS_UNKNOWN);
		return;
	}
	if (left >= wanted)
		return;
	finding = found(check, RESTART_QUORUM);
	finding->voters = left;
	finding->voters_wanted = wanted;
}

static void check_rows(const struct cluster_map *map, uint32_t node_id, struct restart_check *check)
{
	node_set left = cluster_map_present(map) & ~node_bit(node_id);
	struct partition_set below = {{0}};
	struct partition_set last = {{0}};

	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &map->partitions[p];

		if (!node_set_has(row->isr | row->elr, node_id))
			continue;
		if (((row->isr | row->elr) & left) == 0)
			partition_set_add(&last, p);
		if (node_set_has(row->isr, node_id) && node_set_count(row->isr & left) < row->minimum_isr)
			partition_set_add(&below, p);
	}
	found_partitions(check, RESTART_BELOW_MINIMUM_ISR, &below);
	found_partitions(check, RESTART_LAST_IN_SYNC, &last);
}

void restart_before(const struct cluster_map *map, uint32_t node_id, struct restart_check *check)
{
	assert(cluster_map_node(map, node_id) != NULL);
	memset(check, 0, sizeof(*check));
	if (map->controller == 0)
		(void)found(check, RESTART_NO_CONTROLLER);
	check_others(map, node_id, check);
	check_quorum(map, node_id, check);
	check_rows(map, node_id, check);
}

/* --- after -------------------------------------------------------------------------------------------------------- */

void restart_after(const struct cluster_map *map, uint32_t node_id, struct restart_check *check)
{
	struct partition_set behind = {{0}};
	struct partition_set led_by_others = {{0}};

	assert(cluster_map_node(map, node_id) != NULL);
	memset(check, 0, sizeof(*check));
	if (map->controller == 0)
		(void)found(check, RESTART_NO_CONTROLLER);
	if (!node_set_has(cluster_map_present(map), node_id))
		(void)found(check, RESTART_NOT_LIVE);
	if (map->nodes[node_id - 1].clock_off)
		(void)found(check, RESTART_CLOCK_OFF);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		const struct map_partition *row = &map->partitions[p];

		if (node_set_has(row_replicas(row) & ~row->isr, node_id))
			partition_set_add(&behind, p);
		if (row->replica_count > 0 && row->replicas[0] == node_id && row->primary != node_id)
			partition_set_add(&led_by_others, p);
	}
	found_partitions(check, RESTART_NOT_IN_SYNC, &behind);
	found_partitions(check, RESTART_NOT_PREFERRED, &led_by_others);
}

/* --- telling ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	const char *text; /* before what the finding lists */
} kinds[RESTART_KINDS] = {
	[RESTART_NO_CONTROLLER] = {"no_controller", "no controller is known: the cluster map may be old"},
	[RESTART_OTHERS_AWAY] = {"others_away", "other members are not live"},
	[RESTART_OTHERS_DRAINING] = {"others_draining", "other members are to go, and still hold partitions"},
	[RESTART_QUORUM] = {"quorum", "the metadata would lose its majority"},
	[RESTART_VOTERS_UNKNOWN] = {"voters_unknown", "who votes on the metadata is not known"},
	[RESTART_BELOW_MINIMUM_ISR] = {"below_minimum_isr", "partitions would fall below their minimum ISR"},
	[RESTART_LAST_IN_SYNC] = {"last_in_sync", "partitions would lose their last complete live replica"},
	[RESTART_NOT_LIVE] = {"not_live", "the node is not live: it has not registered, or is fenced"},
	[RESTART_CLOCK_OFF] = {"clock_off", "the node's clock is off: it takes no primaries"},
	[RESTART_NOT_IN_SYNC] = {"not_in_sync", "the node's replicas of partitions are not in sync"},
	[RESTART_NOT_PREFERRED] = {"not_preferred", "other nodes lead partitions that the node is preferred for"},
};

const char *restart_finding_name(enum restart_finding_kind kind)
{
	assert(kind < RESTART_KINDS);
	return kinds[kind].name;
}

struct words {
	char *text;
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void say(struct words *words, const char *format, ...)
{
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(words->text + words->used, RESTART_TEXT_BYTES - words->used, format, arguments);
	va_end(arguments);
	if (size > 0)
		words->used += (size_t)size;
	if (words->used >= RESTART_TEXT_BYTES)
		words->used = RESTART_TEXT_BYTES - 1;
}

static void say_nodes(struct words *words, node_set nodes, const struct cluster_map *map)
{
	const char *before = ": ";

	for (; nodes != 0; nodes &= nodes - 1) {
		const struct map_node *node = &map->nodes[__builtin_ctzll(nodes)];

		say(words, "%s%s", before, node->name);
		before = ", ";
	}
}

static void say_partitions(struct words *words, const struct partition_set *partitions)
{
	uint32_t count = partition_set_count(partitions);
	uint32_t listed = 0;

	if (count == 0)
		return;
	say(words, " (%u)", count);
	for (uint16_t p = 0; p < PARTITION_COUNT && listed < RESTART_LISTED; p++)
		if (partition_set_has(partitions, p))
			say(words, "%s%u", listed++ == 0 ? ": " : ", ", p);
	if (count > listed)
		say(words, ", ...");
}

void restart_finding_text(const struct restart_finding *finding, const struct cluster_map *map,
			  char text[RESTART_TEXT_BYTES])
{
	struct words words = {.text = text};

	text[0] = '\0';
	say(&words, "%s", kinds[finding->kind].text);
	if (finding->kind == RESTART_QUORUM)
		say(&words, ": %u of its voters would be live, %u are wanted", finding->voters, finding->voters_wanted);
	say_nodes(&words, finding->nodes, map);
	say_partitions(&words, &finding->partitions);
}

static void put(struct buffer *out, const char *text)
{
	buffer_bytes(out, text, strlen(text));
}

/* Names have no character that JSON would escape; from a map that came over the wire they may, and then it is '?'. */
static void put_quoted(struct buffer *out, const char *text)
{
	buffer_u8(out, '"');
	for (; *text != '\0'; text++) {
		bool plain =
			(unsigned char)*text >= 0x20 && (unsigned char)*text < 0x7f && *text != '"' && *text != '\\';

		buffer_u8(out, (uint8_t)(plain ? *text : '?'));
	}
	buffer_u8(out, '"');
}

static void put_nodes(struct buffer *out, node_set nodes, const struct cluster_map *map)
{
	put(out, ",\"nodes\":[");
	for (bool first = true; nodes != 0; nodes &= nodes - 1, first = false) {
		if (!first)
			put(out, ",");
		put_quoted(out, map->nodes[__builtin_ctzll(nodes)].name);
	}
	put(out, "]");
}

static void put_partitions(struct buffer *out, const struct partition_set *partitions)
{
	bool first = true;
	char number[16];

	put(out, ",\"partitions\":[");
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		if (!partition_set_has(partitions, p))
			continue;
		(void)snprintf(number, sizeof number, "%s%u", first ? "" : ",", p);
		put(out, number);
		first = false;
	}
	put(out, "]");
}

void restart_findings_json(const struct restart_check *check, const struct cluster_map *map, struct buffer *out)
{
	char text[RESTART_TEXT_BYTES];

	put(out, "[");
	for (uint32_t i = 0; i < check->count; i++) {
		const struct restart_finding *finding = &check->findings[i];

		restart_finding_text(finding, map, text);
		put(out, i == 0 ? "{\"name\":" : ",{\"name\":");
		put_quoted(out, kinds[finding->kind].name);
		put(out, ",\"text\":");
		put_quoted(out, text);
		put_nodes(out, finding->nodes, map);
		put_partitions(out, &finding->partitions);
		put(out, "}");
	}
	put(out, "]");
}

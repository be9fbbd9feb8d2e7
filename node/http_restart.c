/* GET /restart-check/before and /restart-check/after: the node answers for itself, from its own cluster map; it says no
 * as long as it is not ready: then its map may be old. HTTP thread. */
#include "node/http.h"

#include <stdio.h>

#include "proto/restart_check.h"

static void put(struct buffer *body, const char *text)
{
	buffer_bytes(body, text, strlen(text));
}

/* Names of checks and nodes, and texts of ours: nothing in them is to be escaped. */
static void put_not_ready(struct buffer *body, const struct health_check *checks, uint32_t count)
{
	bool first = true;

	put(body, ",\"not_ready\":[");
	for (uint32_t i = 0; i < count; i++) {
		char text[HEALTH_NAME_BYTES + HEALTH_WHY_BYTES + 8];

		if (checks[i].good)
			continue;
		(void)snprintf(text, sizeof text, "%s\"%s: %s\"", first ? "" : ",", checks[i].name, checks[i].why);
		put(body, text);
		first = false;
	}
	put(body, "]");
}

bool http_restart_judged(const struct cluster_map *map, uint32_t self, bool after, const struct health_check *checks,
			 uint32_t count, struct buffer *body)
{
	const struct map_node *node = map == NULL ? NULL : cluster_map_node(map, self);
	struct restart_check check = {.count = 0};
	bool good = node != NULL;
	char head[NAME_MAX_BYTES + 80];

	for (uint32_t i = 0; i < count; i++)
		good &= checks[i].good;
	if (node != NULL && after)
		restart_after(map, self, &check);
	else if (node != NULL)
		restart_before(map, self, &check);
	good &= check.count == 0;
	(void)snprintf(head, sizeof head, "{\"node\":\"%s\",\"check\":\"%s\",\"answer\":\"%s\"",
		       node == NULL ? "" : node->name, after ? "after" : "before", good ? "yes" : "no");
	put(body, head);
	put_not_ready(body, checks, count);
	put(body, ",\"findings\":");
	restart_findings_json(&check, map, body);
	put(body, "}\n");
	return good;
}

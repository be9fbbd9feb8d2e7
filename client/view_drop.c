/* Dropping a view.
 *
 * The command names the version that is to go: sent again after a controller was lost, it does not drop what was
 * applied behind it, and is no error where it was done. Where another version is there by now, that one is next. */
#include <stdlib.h>

#include "client/grid.h"
#include "proto/admin.h"

#define PATIENCE_MS 1000u /* for the map to show why a version was refused */

struct dropping {
	evg *grid;
	struct span name;
	uint64_t deadline_ms;
	uint32_t version; /* that the map knows; 0: there is none */
	uint32_t tried;
	char *why;
};

/* Whether the map knows another version than the one that was tried. */
static bool knows_another(void *data, const struct cluster_map *map)
{
	struct dropping *dropping = data;
	const struct map_view *view = cluster_map_view_by_name(map, dropping->name);

	dropping->version = view == NULL || map_view_dropped(view) ? 0 : view->version;
	return dropping->version != dropping->tried;
}

static uint32_t left_ms(const struct dropping *dropping)
{
	uint64_t now_ms = grid_now_ms();

	return now_ms < dropping->deadline_ms ? (uint32_t)(dropping->deadline_ms - now_ms) : 1;
}

static int drop_known(struct dropping *dropping)
{
	struct admin admin = {.kind = ADMIN_VIEW_DROP, .name = dropping->name, .expected_version = dropping->version};
	struct buffer command = BUFFER_NULL;
	int rv = admin_encode(&admin, &command);

	dropping->tried = dropping->version;
	free(dropping->why);
	dropping->why = NULL;
	if (rv == 0)
		rv = grid_propose(dropping->grid, buffer_span(&command), left_ms(dropping), &dropping->why);
	buffer_deinit(&command);
	return rv;
}

/* The version was refused: 0, the map shows another one; or why not. */
static int find_another(struct dropping *dropping)
{
	evg *grid = dropping->grid;

	if (grid_now_ms() >= dropping->deadline_ms)
		return ERROR_REFUSED;
	pthread_mutex_lock(&grid->lock);
	core_refresh(grid->core, grid_now_ms());
	grid_wake(grid);
	pthread_mutex_unlock(&grid->lock);
	if (grid_wait_map(grid, knows_another, dropping, PATIENCE_MS) != 0)
		return ERROR_REFUSED;
	return dropping->version == 0 ? ERROR_UNKNOWN_VIEW : 0;
}

int evg_view_drop(evg *grid, const char *view, uint32_t timeout_ms, char **why)
{
	struct grid_names names = {.view = span_of_text(view)};
	struct dropping dropping = {.grid = grid, .name = span_of_text(view)};
	int rv = grid_is_own_thread(grid) ? ERROR_USAGE : view[0] == '\0' ? ERROR_EMPTY : grid_resolve(grid, &names);

	dropping.deadline_ms = grid_now_ms() + (timeout_ms == 0 ? grid->deadline_ms : timeout_ms);
	if (rv == 0 && grid_wait_map(grid, knows_another, &dropping, 0) != 0)
		rv = ERROR_UNKNOWN_VIEW; /* dropped just now */
	while (rv == 0) {
		rv = drop_known(&dropping);
		if (rv != ERROR_REFUSED)
			break;
		rv = find_another(&dropping);
	}
	if (why != NULL) {
		*why = rv == ERROR_REFUSED ? dropping.why : NULL;
		dropping.why = *why == NULL ? dropping.why : NULL;
	}
	free(dropping.why);
	return rv;
}

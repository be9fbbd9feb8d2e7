/* What the harness's controller does with views: defines them, hears who has filled them, makes them active. */
#include "tests/unit/shard_harness.h"

#include <assert.h>

/* {"view": "v", "stream": "Customer", "kind": "entity", "on": {"Created": {"put": "all"}}} */
void harness_define_view(struct harness *harness)
{
	static const uint8_t definition[] = "\x84"
					    "\xa4view\xa1v"
					    "\xa6stream\xa8"
					    "Customer"
					    "\xa4kind\xa6"
					    "entity"
					    "\xa2on\x81\xa7"
					    "Created\x81\xa3put\xa3"
					    "all";

	harness_define(harness, 1, span_of(definition, sizeof definition - 1));
}

void harness_define(struct harness *harness, uint32_t version, struct span definition)
{
	const struct map_view *held = cluster_map_view(&harness->map, HARNESS_VIEW);
	struct map_view view = {.id = HARNESS_VIEW, .version = version, .name = "v", .definition = definition};

	view.active_version = held == NULL ? 0 : held->active_version;
	view.dropped_version = held == NULL ? 0 : held->dropped_version;
	view.changed_at = ++harness->map.version;
	assert(cluster_map_put_view(&harness->map, &view) == 0);
	harness_publish(harness);
}

void harness_drop(struct harness *harness)
{
	const struct map_view *held = cluster_map_view(&harness->map, HARNESS_VIEW);
	struct map_view view = {.id = HARNESS_VIEW, .version = held->version, .name = "v"};

	view.dropped_version = held->version;
	view.changed_at = ++harness->map.version;
	assert(cluster_map_put_view(&harness->map, &view) == 0);
	harness_publish(harness);
}

void harness_activate(struct harness *harness, uint32_t version)
{
	struct map_view view = *cluster_map_view(&harness->map, HARNESS_VIEW);

	view.active_version = version;
	view.changed_at = ++harness->map.version;
	assert(cluster_map_put_view(&harness->map, &view) == 0);
	harness_publish(harness);
}

void harness_filled(struct harness *harness, const struct shard_proposal *proposal)
{
	const struct map_view *view = cluster_map_view(&harness->map, proposal->view_id);

	harness->filled = *proposal;
	harness->filled_reports++;
	if (harness->apply_proposals && !harness->holds_entry && proposal->view_id == HARNESS_VIEW && view != NULL &&
	    view->version == proposal->view_version && partition_set_has(&proposal->partitions, harness->partition))
		harness_activate(harness, proposal->view_version);
}

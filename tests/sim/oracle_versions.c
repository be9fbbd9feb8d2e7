/* O11. Read from what is committed: the versions that a partition's log has chosen, by CONTROL_VIEW_ACTIVATED, or a
 * first version where there were no events. One that takes an older one's place must have been made active by metadata;
 * a log whose first choice it is (the older one was dropped before it was filled) waits for nobody. What metadata made
 * active is chosen before a newer version is defined. A restored log made its choices under the metadata of the cluster
 * that was backed up, and the catalogue does not say what these made active and dropped since: up to the back-up's end
 * it is held against what that cluster's oracle has seen, beyond it against the new metadata alone.
 *
 * O12. A log drops a view only in versions that metadata dropped, and none of those is in it when a newer one is
 * defined. */
#include "partition/state.h"
#include "proto/control.h"
#include "tests/sim/oracle_internal.h"

/* Where a version is active, every log has chosen it; else this log may have chosen one, and others not yet. */
static void note_choice(struct oracle *oracle, uint16_t partition, uint64_t offset, const struct control *control)
{
	const struct chronicle *chronicle = &oracle->partitions[partition];
	uint32_t active = oracle->active_versions[control->id % ORACLE_VIEWS];
	uint32_t made_active = oracle->made_active[control->id % ORACLE_VIEWS];
	uint32_t made_before = oracle->made_active_before[control->id % ORACLE_VIEWS];
	uint32_t *chosen = &oracle->partitions[partition].chosen[control->id % ORACLE_VIEWS];
	bool older_answers = *chosen != 0 || active != 0;

	if (offset < chronicle->restored_to && made_before > made_active)
		made_active = made_before;
	if (older_answers && control->version > *chosen && control->version > made_active && chronicle->history == 0)
		sim_fail(oracle->sim,
			 "O11: partition %u chooses version %u of view %u behind %u, metadata made %u active",
			 partition, control->version, control->id, *chosen, made_active);
	if (control->version > *chosen)
		*chosen = control->version;
}

/* O12. */
static void check_dropped(const struct oracle *oracle, uint16_t partition, const struct control *control)
{
	const struct chronicle *chronicle = &oracle->partitions[partition];
	uint32_t defined = chronicle->defined[control->id % ORACLE_VIEWS];
	uint32_t dropped = oracle->dropped_versions[control->id % ORACLE_VIEWS];

	if (defined != 0 && defined <= dropped && dropped < control->version && !chronicle->unread &&
	    chronicle->history == 0)
		sim_fail(oracle->sim, "O12: partition %u defines version %u of view %u, has %u, dropped are up to %u",
			 partition, control->version, control->id, defined, dropped);
}

static void note_defined(struct oracle *oracle, uint16_t partition, const struct control *control)
{
	uint32_t *defined = &oracle->partitions[partition].defined[control->id % ORACLE_VIEWS];

	if (control->version > *defined)
		*defined = control->version;
}

/* A version that is older than this one and active was active before this one was defined. Of a first version it is not
 * always known that it was chosen. */
static void note_definition(struct oracle *oracle, uint16_t partition, const struct control *control)
{
	const struct chronicle *chronicle = &oracle->partitions[partition];
	uint32_t active = oracle->active_versions[control->id % ORACLE_VIEWS];
	uint32_t chosen = chronicle->chosen[control->id % ORACLE_VIEWS];

	if (active > 1 && active < control->version && chosen < active && !chronicle->unread && chronicle->history == 0)
		sim_fail(oracle->sim, "O11: partition %u defines version %u of view %u, has chosen %u, active is %u",
			 partition, control->version, control->id, chosen, active);
	check_dropped(oracle, partition, control);
	note_defined(oracle, partition, control);
}

/* O12. */
static void note_drop(struct oracle *oracle, uint16_t partition, const struct control *control)
{
	struct chronicle *chronicle = &oracle->partitions[partition];
	uint32_t place = control->id % ORACLE_VIEWS;

	if (chronicle->defined[place] > oracle->dropped_versions[place] && chronicle->history == 0)
		sim_fail(oracle->sim, "O12: partition %u drops view %u in version %u, metadata up to %u", partition,
			 control->id, chronicle->defined[place], oracle->dropped_versions[place]);
	marks_reach(&oracle->sim->marks, MARK_VIEW_DROPPED);
	if (chronicle->defined[place] > chronicle->chosen[place])
		marks_reach(&oracle->sim->marks, MARK_VIEW_DROPPED_OPEN);
	chronicle->chosen[place] = 0;
	chronicle->defined[place] = 0;
}

void oracle_versions_batch(struct oracle *oracle, uint16_t partition, const struct batch *batch)
{
	struct chronicle *chronicle = &oracle->partitions[partition];
	struct reader in;

	chronicle->unread |= batch == NULL;
	if (batch == NULL || (batch->flags & BATCH_CONTROL) == 0) {
		chronicle->has_events = true;
		return;
	}
	in = reader_of(batch->body);
	for (uint32_t i = 0; i < batch->record_count; i++) {
		struct control control;

		if (control_decode(&in, &control) != 0) {
			sim_fail(oracle->sim, "O11: a stored control record does not decode");
			return;
		}
		if (control.kind == CONTROL_VIEW_DEFINED)
			note_definition(oracle, partition, &control);
		if (control.kind == CONTROL_VIEW_DROPPED)
			note_drop(oracle, partition, &control);
		if (control.kind == CONTROL_VIEW_ACTIVATED ||
		    (control.kind == CONTROL_VIEW_DEFINED && control.version == 1 && !chronicle->has_events))
			note_choice(oracle, partition, batch->base_offset, &control);
	}
}

void oracle_versions_map(struct oracle *oracle, const struct cluster_map *map)
{
	oracle->views_active = true;
	for (uint32_t i = 0; i < map->view_count; i++) {
		const struct map_view *view = &map->views[i];
		uint32_t *active = &oracle->active_versions[view->id % ORACLE_VIEWS];
		uint32_t *newest = &oracle->newest_versions[view->id % ORACLE_VIEWS];

		if (view->active_version < *active && view->dropped_version < *active)
			sim_fail(oracle->sim, "O11: version %u of view %u was active, now %u is", *active, view->id,
				 view->active_version);
		if (view->active_version > *active && *active != 0)
			marks_reach(&oracle->sim->marks, MARK_VIEW_MADE_ACTIVE);
		if (view->version > *newest && view->active_version < *newest && view->dropped_version < *newest)
			marks_reach(&oracle->sim->marks, MARK_VIEW_OVERTAKEN);
		*active = view->active_version;
		if (*active > oracle->made_active[view->id % ORACLE_VIEWS])
			oracle->made_active[view->id % ORACLE_VIEWS] = *active;
		*newest = view->version;
		oracle->dropped_versions[view->id % ORACLE_VIEWS] = view->dropped_version;
		oracle->views_active &= map_view_dropped(view) || view->active_version == view->version;
	}
}

void oracle_restores(struct oracle *oracle, const struct oracle *former)
{
	memcpy(oracle->made_active_before, former->made_active, sizeof oracle->made_active_before);
}

bool oracle_versions_gone(const struct cluster_map *map, const struct state *state)
{
	bool gone = true;

	for (uint32_t i = 0; i < map->view_count; i++)
		gone &= !state_has_dropped(state, map->views[i].id, map->views[i].dropped_version);
	return gone;
}

/* Definitions and folds. */
#include "tests/sim/views.h"

#include "proto/msgpack.h"
#include "tests/sim/workload.h"

#include <assert.h>
#include <stdio.h>

#define HASH_MODULUS 65521u

static const char *const names[SIM_VIEW_COUNT] = {"sums", "hash", "groups"};

static const char *const members[SIM_VIEW_COUNT][4] = {
	{"puts", "merges", "s", NULL},
	{"h", "n", NULL, NULL},
	{"count", "last", NULL, NULL},
};

const char *views_name(enum sim_view view)
{
	return names[view];
}

const char *const *views_members(enum sim_view view)
{
	return members[view];
}

struct span views_group(uint32_t group)
{
	static const char groups[SIM_VIEW_GROUPS_MAX][4] = {"g0", "g1", "g2"};

	return span_of(groups[group], 2);
}

/* --- definitions -------------------------------------------------------------------------------------------------- */

static void write_pair(struct buffer *out, const char *name, const char *value)
{
	msgpack_write_str(out, span_of_text(name));
	msgpack_write_str(out, span_of_text(value));
}

static void write_head(struct buffer *out, uint32_t size, enum sim_view view, const char *kind)
{
	msgpack_write_map(out, size);
	write_pair(out, "view", names[view]);
	msgpack_write_str(out, span_of_text("streams"));
	msgpack_write_array(out, view == SIM_VIEW_GROUPS ? 1 : 2);
	msgpack_write_str(out, span_of_text(WORKLOAD_STREAM));
	if (view != SIM_VIEW_GROUPS)
		msgpack_write_str(out, span_of_text(WORKLOAD_OTHER_STREAM));
	write_pair(out, "kind", kind);
}

static void write_map_of_one(struct buffer *out, const char *name, const char *member, const char *value)
{
	msgpack_write_str(out, span_of_text(name));
	msgpack_write_map(out, 1);
	write_pair(out, member, value);
}

static const char *const version_members[VIEWS_VERSIONS + 1] = {[2] = "second", [3] = "third"};

uint32_t views_version(struct span state)
{
	for (uint32_t version = 2; version <= VIEWS_VERSIONS; version++)
		if (msgpack_member(state, span_of_text(version_members[version])).data != NULL)
			return version;
	return 1;
}

/* The values' sum; later versions have one more member, which names them. */
static void write_sums(struct buffer *out, uint32_t version)
{
	assert(version > 0 && version <= VIEWS_VERSIONS);
	write_head(out, 4, SIM_VIEW_SUMS, "summary");
	msgpack_write_str(out, span_of_text("on"));
	msgpack_write_map(out, 3);
	msgpack_write_str(out, span_of_text("Put"));
	msgpack_write_map(out, version > 1 ? 3 : 2);
	write_pair(out, "count", "puts");
	write_map_of_one(out, "sum", "s", "x");
	if (version > 1)
		write_map_of_one(out, "last", version_members[version], "n");
	msgpack_write_str(out, span_of_text("Merged"));
	msgpack_write_map(out, 2);
	write_pair(out, "count", "merges");
	write_map_of_one(out, "sum", "s", "x");
	write_pair(out, "Deleted", "delete");
}

static uint64_t hash_factor(uint32_t version)
{
	return version % 2 == 0 ? 37 : 31;
}

static void write_hash(struct buffer *out, uint32_t version)
{
	char text[400];

	(void)snprintf(text, sizeof text,
		       "function apply(event, state) if event.type == 'Deleted' then return nil end "
		       "if type(event.data.x) ~= 'number' then error('bad') end state = state or {h = 7, n = 0} "
		       "state.h = (state.h * %u + event.data.n) %% %u state.n = state.n + 1 return state end",
		       (unsigned)hash_factor(version), HASH_MODULUS);
	write_head(out, 5, SIM_VIEW_HASH, "lua");
	msgpack_write_str(out, span_of_text("on"));
	msgpack_write_array(out, 2);
	msgpack_write_str(out, span_of_text("Merged"));
	msgpack_write_str(out, span_of_text("Deleted"));
	write_pair(out, "apply", text);
}

static void write_groups(struct buffer *out, uint32_t version)
{
	write_head(out, 5, SIM_VIEW_GROUPS, "summary");
	write_map_of_one(out, "key", "payload", "g");
	msgpack_write_str(out, span_of_text("on"));
	msgpack_write_map(out, 2);
	msgpack_write_str(out, span_of_text("Put"));
	msgpack_write_map(out, version % 2 == 0 ? 3 : 2);
	write_pair(out, "count", "count");
	write_map_of_one(out, "last", "last", "n");
	if (version % 2 == 0)
		write_map_of_one(out, "first", "oldest", "n");
	write_pair(out, "Deleted", "delete");
}

void views_first_definition(struct buffer *out)
{
	msgpack_write_map(out, 4);
	write_pair(out, "view", WORKLOAD_VIEW);
	write_pair(out, "stream", WORKLOAD_STREAM);
	write_pair(out, "kind", "entity");
	msgpack_write_str(out, span_of_text("on"));
	msgpack_write_map(out, 3);
	msgpack_write_str(out, span_of_text("Put"));
	msgpack_write_map(out, 1);
	write_pair(out, "put", "all");
	msgpack_write_str(out, span_of_text("Merged"));
	msgpack_write_map(out, 1);
	write_pair(out, "merge", "all");
	write_pair(out, "Deleted", "delete");
}

void views_definition(enum sim_view view, uint32_t version, struct buffer *out)
{
	switch (view) {
	case SIM_VIEW_SUMS: write_sums(out, version); break;
	case SIM_VIEW_HASH: write_hash(out, version); break;
	case SIM_VIEW_GROUPS: write_groups(out, version); break;
	case SIM_VIEW_COUNT: assert(false);
	}
}

/* --- folds -------------------------------------------------------------------------------------------------------- */

struct folding {
	enum sim_view view;
	uint32_t version;
	uint32_t group;
	const struct claims_key *events;
	const struct operation *operations;
	size_t next; /* the first event not applied */
	struct view_fold fold;
};

static void put_sums(struct view_fold *fold, const struct operation *operation)
{
	if (!fold->present)
		*fold = (struct view_fold){.present = true};
	fold->numbers[operation->kind == OPERATION_PUT ? 0 : 1]++;
	fold->numbers[2] += operation->value;
}

static void put_hash(struct view_fold *fold, const struct operation *operation, uint32_t version)
{
	if (!fold->present)
		*fold = (struct view_fold){.present = true, .numbers = {7}};
	fold->numbers[0] = (fold->numbers[0] * hash_factor(version) + operation->serial) % HASH_MODULUS;
	fold->numbers[1]++;
}

static void put_group(struct view_fold *fold, const struct operation *operation)
{
	if (!fold->present)
		*fold = (struct view_fold){.present = true};
	fold->numbers[0]++;
	fold->numbers[1] = operation->serial;
}

static bool matters(const struct folding *f, const struct operation *operation)
{
	switch (f->view) {
	case SIM_VIEW_SUMS: return true;
	case SIM_VIEW_HASH: return operation->kind != OPERATION_PUT;
	default: return !operation->other && operation->kind != OPERATION_MERGE && operation->group == f->group;
	}
}

/* False: it cannot be applied. */
static bool apply(struct folding *f, const struct operation *operation)
{
	if (!matters(f, operation))
		return true;
	if (operation->kind == OPERATION_DELETE) {
		f->fold = (struct view_fold){0};
		return true;
	}
	if (f->view != SIM_VIEW_GROUPS && operation->value == OPERATION_BAD_VALUE)
		return false;
	if (f->view == SIM_VIEW_SUMS)
		put_sums(&f->fold, operation);
	else if (f->view == SIM_VIEW_HASH)
		put_hash(&f->fold, operation, f->version);
	else
		put_group(&f->fold, operation);
	return true;
}

static void advance(struct folding *f, uint64_t until)
{
	while (!f->fold.blocked && f->next < f->events->count && f->events->events[f->next].offset < until) {
		const struct claims_event *event = &f->events->events[f->next];

		if (apply(f, &f->operations[event->operation])) {
			f->next++;
			continue;
		}
		f->fold.blocked = true;
		f->fold.blocked_at = event->offset;
	}
}

struct view_fold views_fold(enum sim_view view, uint32_t view_id, uint32_t version, uint32_t key, uint32_t group,
			    const struct claims_key *events, const struct operation *operations,
			    const struct decisions_made *decisions)
{
	struct folding f = {
		.view = view, .version = version, .group = group, .events = events, .operations = operations};

	for (size_t i = 0; i < decisions->count; i++) {
		const struct decision_made *made = &decisions->list[i];

		if (made->key != key || made->control.id != view_id || made->control.version != version)
			continue;
		advance(&f, made->at);
		if (!f.fold.blocked || f.fold.blocked_at != made->control.offset)
			continue;
		f.fold.blocked = false;
		f.next += made->control.kind == CONTROL_VIEW_SKIP;
	}
	advance(&f, UINT64_MAX);
	return f.fold;
}

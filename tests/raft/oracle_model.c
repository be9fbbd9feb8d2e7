/* Views' versions by other code than the machine's: who expects the present version is done, and it rises by one. */
#include "tests/raft/oracle.h"
#include "tests/raft/world.h"

uint64_t oracle_hash(const void *data, size_t size, uint64_t more)
{
	const uint8_t *at = data;
	uint64_t hash = 0xcbf29ce484222325ull ^ more * 0x9e3779b97f4a7c15ull;
	uint64_t word;

	for (; size >= sizeof(word); size -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = (hash ^ word) * 0x9fb21c651e98df25ull;
		hash ^= hash >> 32;
	}
	for (; size > 0; size--)
		hash = (hash ^ *at++) * 0x100000001b3ull;
	hash ^= hash >> 29;
	return hash | 1; /* 0 means none */
}

static struct oracle_view *view_of(struct world *world, struct span name)
{
	for (uint32_t i = 0; i < ORACLE_VIEWS_MAX; i++) {
		struct oracle_view *view = &world->oracle.views[i];

		if (view->name[0] == '\0' && name.size < sizeof(view->name))
			memcpy(view->name, name.data, name.size);
		if (span_equal(span_of_text(view->name), name))
			return view;
	}
	breach(world, BREACH_RUN, "too many views for the tables");
	return &world->oracle.views[0];
}

static bool apply_expected(struct world *world, struct span body)
{
	struct command_view command;
	struct oracle_view *view;
	uint64_t definition;

	if (command_view_decode(body, &command) != 0)
		return false;
	view = view_of(world, command.name);
	definition = oracle_hash(command.definition.data, command.definition.size, 0);
	if (view->there && view->definition == definition)
		return true; /* a letter that came twice */
	if (command.expected_version != (view->there ? view->version : 0))
		return false;
	view->there = true;
	view->version++;
	view->definition = definition;
	return true;
}

static bool drop_expected(struct world *world, struct span body)
{
	struct command_drop command;
	struct oracle_view *view;

	if (command_drop_decode(body, &command) != 0)
		return false;
	view = view_of(world, command.name);
	if (!view->there && view->version == command.expected_version)
		return true;
	if (!view->there || command.expected_version != view->version)
		return false;
	view->there = false;
	return true;
}

void model_apply(struct world *world, struct span bytes, const struct command_result *result)
{
	struct entry entry;
	struct command command;
	struct reader in;
	bool done = result->error == 0;

	if (entry_decode(bytes, &entry) != 0 || entry.count != 1)
		return;
	in = reader_of(entry.commands);
	if (command_decode(&in, &command) != 0)
		return;
	if (command.kind == COMMAND_VIEW_APPLY && result->error != ERROR_NOT_READY)
		done = apply_expected(world, command.body);
	if (command.kind == COMMAND_VIEW_DROP && result->error != ERROR_NOT_READY)
		done = drop_expected(world, command.body);
	if (done != (result->error == 0))
		breach(world, BREACH_MODEL, "index %llu: the machine says %u", (unsigned long long)world->oracle.last,
		       result->error);
}

void model_compare(struct world *world, const struct server *server)
{
	for (uint32_t i = 0; i < ORACLE_VIEWS_MAX; i++) {
		const struct oracle_view *view = &world->oracle.views[i];
		const struct map_view *held = cluster_map_view_by_name(&server->metadata.map, span_of_text(view->name));

		if (view->version == 0 || view->name[0] == '\0')
			continue;
		if (held == NULL || held->version != view->version || map_view_dropped(held) == view->there)
			breach(world, BREACH_MODEL, "n%u: view %s is not at version %u", server->place + 1, view->name,
			       view->version);
	}
}

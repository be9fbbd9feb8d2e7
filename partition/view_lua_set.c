/* Machines by their texts, counted by the views that use them. */
#include <assert.h>

#include "partition/view_lua_internal.h"

static struct view_lua *set_find(const struct view_lua_set *set, struct span text)
{
	struct view_lua *found = set->first;

	while (found != NULL && !span_equal(buffer_span(&found->source), text))
		found = found->next;
	return found;
}

static int set_add(struct view_lua_set *set, struct view_lua *machine, struct span text)
{
	buffer_bytes(&machine->source, text.data, text.size);
	if (machine->source.failed)
		return ERROR_MEMORY;
	machine->set = set;
	machine->next = set->first;
	set->first = machine;
	return 0;
}

static void set_remove(struct view_lua_set *set, const struct view_lua *machine)
{
	struct view_lua **link = &set->first;

	while (*link != machine) {
		assert(*link != NULL);
		link = &(*link)->next;
	}
	*link = machine->next;
}

int view_lua_new(struct view_lua_set *set, struct span text, struct view_lua **lua, char why[VIEW_WHY_BYTES])
{
	struct view_lua *machine = set == NULL ? NULL : set_find(set, text);
	int rv = 0;

	*lua = NULL;
	if (machine == NULL) {
		rv = lua_machine_new(text, &machine, why);
		if (rv != 0)
			return rv;
		if (set != NULL)
			rv = set_add(set, machine, text);
	}
	machine->users++;
	if (rv != 0)
		machine = view_lua_free(machine);
	*lua = machine;
	return rv;
}

struct view_lua *view_lua_free(struct view_lua *lua)
{
	if (lua == NULL)
		return NULL;
	assert(lua->users > 0);
	if (--lua->users > 0)
		return NULL;
	if (lua->set != NULL)
		set_remove(lua->set, lua);
	lua_machine_free(lua);
	return NULL;
}

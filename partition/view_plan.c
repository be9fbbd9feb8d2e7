/* Compiles a definition: its head here, what follows from the kind in view_plan_entity.c, view_plan_summary.c,
 * view_lua.c. */
#include "partition/view_plan.h"

#include <stdio.h>
#include <stdlib.h>

#include "partition/view_compile.h"
#include "partition/view_lua.h"

enum head {
	HEAD_VIEW,
	HEAD_STREAM,
	HEAD_STREAMS,
	HEAD_KIND,
	HEAD_ENGINE,
	HEAD_KEY,
	HEAD_ON,
	HEAD_APPLY,
	HEAD_DESCRIPTION,
	HEAD_COUNT,
};

static const char *const head_names[HEAD_COUNT] = {"view", "stream", "streams", "kind",       "engine",
						   "key",  "on",     "apply",   "description"};
static const char *const kind_names[] = {"entity", "summary", "lua"};

#define KINDS (sizeof kind_names / sizeof kind_names[0])

struct heads {
	bool present[HEAD_COUNT];
	struct reader values[HEAD_COUNT];
};

static int compile_name(struct compiler *c, struct reader *in, struct span *name)
{
	if (msgpack_peek(in) != MSGPACK_STR)
		return compiler_fault(c, "text is wanted");
	*name = msgpack_read_str(in);
	if (name->size == 0 || name->size > NAME_MAX_BYTES)
		return compiler_fault(c, "a name has 1 to %u bytes", NAME_MAX_BYTES);
	return 0;
}

static int compile_stream(struct compiler *c, struct reader *in)
{
	struct view_plan *plan = c->plan;
	struct span name;
	int rv = compile_name(c, in, &name);

	for (uint32_t i = 0; i < plan->source_count && rv == 0; i++)
		if (span_equal(plan->sources[i].name, name))
			rv = compiler_fault(c, "the list names a stream twice");
	if (rv == 0)
		plan->sources[plan->source_count++].name = name;
	return rv;
}

static int compile_streams(struct compiler *c, struct reader *in)
{
	uint32_t count = msgpack_peek(in) == MSGPACK_ARRAY ? msgpack_read_array(in) : 0;
	int rv = 0;

	if (count == 0 || count > VIEW_STREAMS_MAX)
		return compiler_fault(c, "a list of 1 to %u streams is wanted", VIEW_STREAMS_MAX);
	for (uint32_t i = 0; i < count && rv == 0; i++)
		rv = compile_stream(c, in);
	return rv;
}

static int compile_kind(struct compiler *c, struct reader *in)
{
	struct span name = SPAN_NULL;
	int rv = compile_name(c, in, &name);
	unsigned kind = 0;

	while (kind < KINDS && !is_text(name, kind_names[kind]))
		kind++;
	if (rv == 0 && kind == KINDS)
		return compiler_fault(c, "the kind is 'entity', 'summary' or 'lua'");
	c->plan->kind = (enum view_kind)kind;
	return rv;
}

static int compile_engine(struct compiler *c, struct reader *in)
{
	uint64_t engine = msgpack_read_uint(in);

	if (in->failed)
		return compiler_fault(c, "a number is wanted");
	return engine == VIEW_ENGINE ? 0 : compiler_fault(c, "this release knows engine %u only", VIEW_ENGINE);
}

/* "key", "partitionkey", or {payload: PATH}: a member of the payload, within the partition key. */
static int compile_key(struct compiler *c, struct reader *in)
{
	struct view_plan *plan = c->plan;
	bool map = msgpack_peek(in) == MSGPACK_MAP && msgpack_read_map(in) == 1;
	struct span word = msgpack_read_str(in);

	if (map && is_text(word, "payload") && msgpack_peek(in) == MSGPACK_STR) {
		plan->key = VIEW_KEY_MEMBER;
		return compile_path(c, msgpack_read_str(in), &plan->key_path_first, &plan->key_path_count);
	}
	if (map || in->failed || (!is_text(word, "key") && !is_text(word, "partitionkey")))
		return compiler_fault(c,
				      "entries are kept by 'key', by 'partitionkey', or by {payload: PATH} within the "
				      "partition key; others would not lie where a reader looks");
	plan->key = is_text(word, "key") ? VIEW_KEY_OF_EVENT : VIEW_KEY_PARTITION;
	return 0;
}

static int compile_on(struct compiler *c, struct reader *in)
{
	switch (c->plan->kind) {
	case VIEW_ENTITY: return compile_rules(c, in, compile_entity_rule);
	case VIEW_SUMMARY: return compile_summary(c, in);
	case VIEW_LUA: return compile_types(c, in);
	}
	return ERROR_BAD_VIEW;
}

static int compile_apply(struct compiler *c, struct reader *in)
{
	char why[VIEW_WHY_BYTES];
	struct span text;
	int rv;

	if (c->plan->kind != VIEW_LUA)
		return compiler_fault(c, "a function belongs to kind 'lua'");
	if (msgpack_peek(in) != MSGPACK_STR)
		return compiler_fault(c, "the text of a Lua function is wanted");
	text = msgpack_read_str(in);
	rv = view_lua_new(text, &c->plan->lua, why);
	return rv == ERROR_BAD_VIEW ? compiler_fault(c, "%s", why) : rv;
}

static int compile_head(struct compiler *c, struct reader *in, enum head head)
{
	switch (head) {
	case HEAD_VIEW: return compile_name(c, in, &c->plan->name);
	case HEAD_STREAM: return compile_stream(c, in);
	case HEAD_STREAMS: return compile_streams(c, in);
	case HEAD_KIND: return compile_kind(c, in);
	case HEAD_ENGINE: return compile_engine(c, in);
	case HEAD_KEY: return compile_key(c, in);
	case HEAD_ON: return compile_on(c, in);
	case HEAD_APPLY: return compile_apply(c, in);
	case HEAD_DESCRIPTION: return msgpack_peek(in) == MSGPACK_STR ? 0 : compiler_fault(c, "text is wanted");
	case HEAD_COUNT: break;
	}
	return ERROR_BAD_VIEW;
}

/* Finds the members, which may stand in any order. */
static int find_heads(struct compiler *c, struct span definition, struct heads *heads)
{
	struct reader in = reader_of(definition);
	uint32_t count = msgpack_peek(&in) == MSGPACK_MAP ? msgpack_read_map(&in) : 0;

	for (uint32_t i = 0; i < count; i++) {
		struct span name = msgpack_read_str(&in);
		unsigned head = 0;

		compiler_enter(c, name);
		while (head < HEAD_COUNT && !is_text(name, head_names[head]))
			head++;
		if (head == HEAD_COUNT)
			return compiler_fault(c,
					      "a definition has view, stream or streams, kind, engine, key, on, apply, "
					      "description");
		if (heads->present[head])
			return compiler_fault(c, "stands there twice");
		compiler_leave(c, 0);
		heads->present[head] = true;
		heads->values[head] = in;
		msgpack_skip(&in);
	}
	return heads->present[HEAD_STREAM] && heads->present[HEAD_STREAMS]
		       ? compiler_fault(c, "stream and streams exclude each other")
		       : 0;
}

static int check_heads(struct compiler *c, const struct heads *heads)
{
	static const enum head wanted[] = {HEAD_VIEW, HEAD_STREAM, HEAD_KIND};
	enum head body = c->plan->kind == VIEW_LUA ? HEAD_APPLY : HEAD_ON;

	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
		if (!heads->present[wanted[i]] && !(wanted[i] == HEAD_STREAM && heads->present[HEAD_STREAMS]))
			return compiler_fault(c, "the member '%s' is missing", head_names[wanted[i]]);
	return heads->present[body] ? 0 : compiler_fault(c, "the member '%s' is missing", head_names[body]);
}

static int compile_definition(struct compiler *c, struct span definition)
{
	struct heads heads = {.present = {false}};
	int rv = find_heads(c, definition, &heads);

	for (unsigned head = 0; head < HEAD_COUNT && rv == 0; head++) {
		if (!heads.present[head])
			continue;
		compiler_enter(c, span_of_text(head_names[head]));
		rv = compile_head(c, &heads.values[head], (enum head)head);
		if (rv == 0)
			compiler_leave(c, 0);
	}
	return rv != 0 ? rv : check_heads(c, &heads);
}

static int resolve_sources(struct compiler *c, uint32_t (*resolve_stream)(void *data, struct span name), void *data)
{
	struct view_plan *plan = c->plan;
	char text[64];

	for (uint32_t i = 0; i < plan->source_count; i++) {
		plan->sources[i].id = resolve_stream(data, plan->sources[i].name);
		if (plan->sources[i].id != 0)
			continue;
		compiler_text(plan->sources[i].name, text);
		return compiler_fault(c, "%s: there is no stream '%s'", plan->source_count == 1 ? "stream" : "streams",
				      text);
	}
	plan->own_keys = plan->source_count > 1 || plan->key != VIEW_KEY_OF_EVENT;
	return 0;
}

int view_plan_new(struct span definition, resolve_stream_fn resolve, void *data, struct view_plan **plan,
		  char why[VIEW_WHY_BYTES])
{
	struct compiler c = {.plan = calloc(1, sizeof *c.plan), .why = why};
	int rv = ERROR_MEMORY;

	*plan = NULL;
	snprintf(why, VIEW_WHY_BYTES, "out of memory");
	if (c.plan != NULL)
		c.plan->definition = malloc(definition.size + 1);
	if (c.plan == NULL || c.plan->definition == NULL)
		goto done;
	if (definition.size > (size_t)DEFINITION_MAX_BYTES || msgpack_validate(definition) != 0) {
		rv = compiler_fault(&c, "not a MessagePack map of at most %u bytes", DEFINITION_MAX_BYTES);
		goto done;
	}
	memcpy(c.plan->definition, definition.data, definition.size);
	c.plan->definition_size = definition.size;
	rv = compile_definition(&c, span_of(c.plan->definition, definition.size));
	if (rv == 0)
		rv = resolve_sources(&c, resolve, data);
	if (rv != 0)
		goto done;
	c.plan->users = 1;
	*plan = c.plan;
	c.plan = NULL;
	why[0] = '\0';
done:
	if (c.plan != NULL)
		view_plan_discard(c.plan);
	return rv;
}

void view_plan_discard(struct view_plan *plan)
{
	view_lua_free(plan->lua);
	free(plan->definition);
	free(plan->rules);
	free(plan->operations);
	free(plan->names);
	free(plan->keys);
	free(plan->picks);
	free(plan);
}

bool view_plan_wants(const struct view_plan *plan, struct span type)
{
	return plan->rule_count == 0 || view_plan_rule(plan, type) != NULL;
}

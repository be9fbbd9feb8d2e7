/* A Lua machine for one view: made once, called for each event, within a budget (view_lua.h). */
#include "partition/view_lua.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "partition/view.h"
#include "partition/view_lua_internal.h"
#include "partition/view_members.h"
#include "proto/identity.h"

#define HOOK_STEPS 100         /* instructions of Lua's machine between two looks at the budget */
#define HOOK_STEPS_DEAR 10     /* the same where steps are dear */
#define LONG_STRING_BYTES 128u /* a string object of this size is never shared, and so is made anew each time */
#define SMALL_PART_BYTES 64u   /* of a table: four values; Lua keeps notes of calls in blocks like these */
#define STEP_TEXT_BYTES 4096u  /* that a step's price lets it look at */
#define NAME_BYTES 24u         /* of a table, with its value */
#define STEP_NAMES 256u        /* of one table, which may be laid out anew, or be all in one place */
#define STEP_ZEROS 32u         /* the same of zero bytes: texts are compared from one to the next */
#define BUFFER_KEPT_BYTES 65536u

/* --- memory and budget -------------------------------------------------------------------------------------------- */

static bool go_over(struct view_lua *self, enum lua_over over)
{
	if (self->over == LUA_WITHIN)
		self->over = over;
	return false;
}

static bool within(struct view_lua *self, uint64_t bytes)
{
	self->made += bytes;
	if (self->made > LUA_MADE_MAX_BYTES)
		go_over(self, LUA_OVER_MEMORY);
	return self->over == LUA_WITHIN;
}

/* What an instruction may cost where texts as long and tables as large as those of this call are at hand. */
static uint64_t step_price(const struct view_lua *self)
{
	return 1 + self->longest / STEP_TEXT_BYTES + self->zeros / STEP_ZEROS + self->names / STEP_NAMES;
}

static void count_steps(lua_State *L, lua_Debug *debug)
{
	(void)debug;
	lua_charge_steps(L, lua_self(L)->hook_steps * step_price(lua_self(L)));
}

/* Dear steps are looked at more often. */
static void note_price(struct view_lua *self)
{
	if (self->counting && self->hook_steps == HOOK_STEPS && step_price(self) > HOOK_STEPS / HOOK_STEPS_DEAR) {
		self->hook_steps = HOOK_STEPS_DEAR;
		lua_sethook(self->state, count_steps, LUA_MASKCOUNT, HOOK_STEPS_DEAR);
	}
}

static void note_text(struct view_lua *self, uint64_t size, uint64_t zeros)
{
	if (size > LONG_STRING_BYTES && size > self->longest)
		self->longest = size;
	if (zeros > self->zeros)
		self->zeros = zeros;
	note_price(self);
}

static bool count_part(struct view_lua *self, size_t size)
{
	self->held += (int64_t)size;
	if (self->held > LUA_HELD_MAX_BYTES)
		go_over(self, LUA_OVER_HELD);
	if (!self->listing && size / NAME_BYTES > self->names)
		self->names = size / NAME_BYTES;
	note_price(self);
	return self->over == LUA_WITHIN;
}

/* A new block, of an object whose kind stands in place of an old size, or of no kind: a part of a table. Tables and
 * functions are always made anew; short strings may be there already, so they do not count here but by the step. */
static bool count_new(struct view_lua *self, size_t kind, size_t size)
{
	if (kind == LUA_TSTRING && size > LONG_STRING_BYTES)
		note_text(self, size, self->zeros_seen ? size : 0);
	if (!self->counting)
		return true;
	if (kind == LUA_TTABLE || kind == LUA_TFUNCTION || (kind == LUA_TSTRING && size > LONG_STRING_BYTES))
		return within(self, size);
	return kind != 0 || size <= SMALL_PART_BYTES || count_part(self, size);
}

/* Lua's stack has the size that it was given. Where a call wants more, Lua makes another one: it has the block grown or
 * gives it up for the last one made, as the release has it. */
static void note_stack(struct view_lua *self, void *stack)
{
	self->stack = stack;
	if (!self->counting)
		return;
	self->stack_moved = true;
	go_over(self, LUA_OVER_DEPTH);
}

static void release(struct view_lua *self, void *block, size_t size)
{
	if (block == NULL)
		return;
	self->used -= size;
	if (self->counting && size > SMALL_PART_BYTES)
		self->held -= (int64_t)size;
	if (block == self->stack)
		note_stack(self, self->newest);
	free(block);
}

static void *allocate(void *data, void *block, size_t old_size, size_t size)
{
	struct view_lua *self = data;
	size_t held = block == NULL ? 0 : old_size;
	bool is_stack = self->sizing || (block != NULL && block == self->stack);
	void *moved;

	if (size == 0) {
		release(self, block, held);
		return NULL;
	}
	if (block == NULL && !count_new(self, old_size, size))
		return NULL;
	if (self->used - held + size > LUA_HARD_MAX_BYTES) {
		go_over(self, LUA_OVER_HELD);
		return NULL;
	}
	moved = realloc(block, size);
	if (moved == NULL) {
		self->out_of_memory = true; /* Lua frees garbage and tries again: what is counted is wrong then */
		return NULL;
	}
	self->used += size - held;
	if (block == NULL)
		self->newest = moved;
	if (is_stack)
		note_stack(self, moved);
	return moved;
}

/* Calls run in a thread whose stack is new, and so has the same size in every process. */
static int push_thread(lua_State *L)
{
	struct view_lua *self = lua_self(L);
	bool sized;

	self->state = lua_newthread(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &lua_key_thread);
	self->sizing = true;
	sized = lua_checkstack(self->state, LUA_STACK_SLOTS) != 0;
	self->sizing = false;
	if (!sized)
		return lua_fail_memory(L);
	assert(self->stack != NULL);
	return 0;
}

static bool renew_thread(struct view_lua *self)
{
	lua_pushcfunction(self->main, push_thread);
	self->stack_moved = lua_pcall(self->main, 0, 0, 0) != LUA_OK;
	lua_settop(self->main, 0);
	return !self->stack_moved;
}

static int fail_over(lua_State *L)
{
	return luaL_error(L, "beyond the budget"); /* run() says which */
}

void lua_charge_steps(lua_State *L, uint64_t steps)
{
	struct view_lua *self = lua_self(L);

	self->steps += steps;
	if (self->steps > LUA_STEPS_MAX)
		go_over(self, LUA_OVER_STEPS);
	if (self->over != LUA_WITHIN)
		fail_over(L);
}

void lua_charge_comparisons(lua_State *L, uint64_t count)
{
	lua_charge_steps(L, count * step_price(lua_self(L)));
}

void lua_charge_memory(lua_State *L, uint64_t bytes)
{
	if (!within(lua_self(L), bytes))
		fail_over(L);
}

int lua_fail_memory(lua_State *L)
{
	lua_self(L)->out_of_memory = true;
	return luaL_error(L, "out of memory");
}

void lua_push_list(lua_State *L, lua_Integer count)
{
	struct view_lua *self = lua_self(L);

	lua_charge_memory(L, (uint64_t)count * LUA_VALUE_BYTES);
	self->listing = true;
	lua_createtable(L, (int)count, 0);
	self->listing = false;
}

static uint64_t count_zeros(struct span text)
{
	const uint8_t *at = text.data;
	const uint8_t *end = text.data + text.size;
	uint64_t zeros = 0;

	while (at < end && (at = memchr(at, 0, (size_t)(end - at))) != NULL) {
		zeros++;
		at++;
	}
	return zeros;
}

/* Its zero bytes are counted; a text that is made of others may be all of them. */
void lua_push_text(lua_State *L, struct span text)
{
	struct view_lua *self = lua_self(L);
	uint64_t zeros = text.size == 0 ? 0 : count_zeros(text);
	bool seen = self->zeros_seen || zeros > 0;

	lua_charge_memory(L, text.size);
	lua_charge_steps(L, text.size / 64);
	self->zeros_seen = false;
	lua_pushlstring(L, text.size == 0 ? "" : (const char *)text.data, text.size);
	self->zeros_seen = seen;
	note_text(self, text.size, zeros);
}

static void begin_budget(struct view_lua *self)
{
	self->steps = 0;
	self->made = 0;
	self->held = 0;
	self->names = 0;
	self->listing = false;
	self->over = LUA_WITHIN;
	self->out_of_memory = false;
	self->key_count = 0;
	self->hook_steps = HOOK_STEPS;
	self->zeros_seen = self->text_zeros;
	self->longest = self->text_longest;
	self->zeros = self->text_zeros ? self->text_longest : 0;
}

static void say_over(const struct view_lua *self, char why[VIEW_WHY_BYTES])
{
	switch (self->over) {
	case LUA_WITHIN: break;
	case LUA_OVER_STEPS:
		snprintf(why, VIEW_WHY_BYTES, "the function takes more than %u steps", LUA_STEPS_MAX);
		break;
	case LUA_OVER_MEMORY:
		snprintf(why, VIEW_WHY_BYTES, "the function makes more than %u bytes of values", LUA_MADE_MAX_BYTES);
		break;
	case LUA_OVER_HELD:
		snprintf(why, VIEW_WHY_BYTES, "the function's tables hold more than %u bytes", LUA_HELD_MAX_BYTES);
		break;
	case LUA_OVER_DEPTH:
		snprintf(why, VIEW_WHY_BYTES, "the function calls too deep, or has too many values in hand");
		break;
	}
}

/* Runs the function on top without arguments under the budget. 0 with `results` values on the stack; ERROR_BLOCKED with
 * *why, what stopped it; ERROR_MEMORY. */
static int run(struct view_lua *self, int results, char why[VIEW_WHY_BYTES])
{
	lua_State *L = self->state;
	bool failed;
	int status;

	begin_budget(self);
	self->counting = true;
	lua_sethook(L, count_steps, LUA_MASKCOUNT, HOOK_STEPS);
	status = lua_pcall(L, 0, results, 0);
	self->counting = false;
	lua_sethook(L, NULL, 0, 0);
	failed = self->out_of_memory || (self->over == LUA_WITHIN && status == LUA_ERRMEM);
	if (status == LUA_OK && self->over == LUA_WITHIN && !failed)
		return 0;
	if (self->over != LUA_WITHIN)
		say_over(self, why);
	else if (!failed)
		snprintf(why, VIEW_WHY_BYTES, "%s",
			 lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "the function failed");
	lua_settop(L, 0);
	if (self->stack_moved && !renew_thread(self))
		failed = true;
	return failed ? ERROR_MEMORY : ERROR_BLOCKED;
}

/* Garbage goes when there is much of it: when that is cannot be seen from a script. */
static void tidy(struct view_lua *self)
{
	if (self->used > self->idle + LUA_KEPT_MAX_BYTES)
		lua_gc(self->state, LUA_GCCOLLECT);
	if (self->text.capacity > BUFFER_KEPT_BYTES)
		buffer_deinit(&self->text);
	if (self->output.capacity > BUFFER_KEPT_BYTES)
		buffer_deinit(&self->output);
	buffer_clear(&self->text);
}

/* --- the text ----------------------------------------------------------------------------------------------------- */

/* Runs the text in a fresh environment and pushes the function that it calls apply. */
static void push_apply(lua_State *L)
{
	lua_newtable(L);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &lua_key_environment);
	lua_setmetatable(L, -2);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &lua_key_main);
	lua_pushvalue(L, -2);
	lua_setupvalue(L, -2, 1);
	lua_call(L, 0, 0);
	lua_pushliteral(L, "apply");
	if (lua_rawget(L, -2) != LUA_TFUNCTION)
		luaL_error(L, "the text defines no function apply(event, state)");
	lua_remove(L, -2);
}

static int try_text(lua_State *L)
{
	push_apply(L);
	return 0;
}

static int open_library(lua_State *L)
{
	lua_open_library(L);
	return 0;
}

/* The C locale, by what a script would see of another. */
static void assert_locale(lua_State *L)
{
	static const char *const rising[] = {"A", "B", "Z", "_", "a", "b", "z", "\xc3\xa4"};
	char text[8];

	snprintf(text, sizeof text, "%.1f", 0.5);
	assert(strcmp(text, "0.5") == 0);
	for (size_t i = 1; i < sizeof rising / sizeof rising[0]; i++) {
		bool less;

		lua_pushstring(L, rising[i - 1]);
		lua_pushstring(L, rising[i]);
		less = lua_compare(L, -2, -1, LUA_OPLT) != 0;
		assert(less);
		lua_pop(L, 2);
	}
}

static int keep_text(lua_State *L)
{
	assert_locale(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &lua_key_main);
	return 0;
}

/* "[string...]"-like prefixes are ours to choose: "line:3: ..." is what a chunk named =line gives. */
static int load(struct view_lua *self, struct span text, char why[VIEW_WHY_BYTES])
{
	lua_State *L = self->state;
	int rv = lua_prepare_text(text, &self->text, &self->text_zeros, why);
	int status;

	if (rv != 0)
		return rv;
	status = luaL_loadbufferx(L, self->text.size == 0 ? "" : (const char *)self->text.data, self->text.size,
				  "=line", "t");
	self->text_longest = self->longest;
	if (status == LUA_ERRMEM)
		return ERROR_MEMORY;
	if (status != LUA_OK) {
		snprintf(why, VIEW_WHY_BYTES, "%s", lua_tostring(L, -1));
		lua_pop(L, 1);
		return ERROR_BAD_VIEW;
	}
	lua_pushcfunction(L, keep_text);
	lua_insert(L, -2);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK)
		return ERROR_MEMORY;
	lua_pushcfunction(L, try_text);
	rv = run(self, 0, why);
	return rv == ERROR_BLOCKED ? ERROR_BAD_VIEW : rv;
}

int view_lua_new(struct span text, struct view_lua **lua, char why[VIEW_WHY_BYTES])
{
	struct view_lua *self = calloc(1, sizeof *self);
	int rv = ERROR_MEMORY;

	*lua = NULL;
	if (self == NULL)
		return ERROR_MEMORY;
	self->main = lua_newstate(allocate, self);
	if (self->main == NULL)
		goto done;
	*(struct view_lua **)lua_getextraspace(self->main) = self;
	lua_gc(self->main, LUA_GCSTOP);
	lua_pushcfunction(self->main, open_library);
	if (lua_pcall(self->main, 0, 0, 0) != LUA_OK || !renew_thread(self))
		goto done;
	rv = load(self, text, why);
	if (rv != 0)
		goto done;
	buffer_deinit(&self->text);
	lua_gc(self->state, LUA_GCCOLLECT);
	self->idle = self->used;
	*lua = self;
	self = NULL;
done:
	view_lua_free(self);
	return rv;
}

struct view_lua *view_lua_free(struct view_lua *lua)
{
	if (lua == NULL)
		return NULL;
	if (lua->main != NULL)
		lua_close(lua->main);
	buffer_deinit(&lua->text);
	buffer_deinit(&lua->output);
	free(lua->keys);
	free(lua);
	return NULL;
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

static void set_text(lua_State *L, const char *name, struct span text)
{
	lua_push_text(L, text);
	lua_setfield(L, -2, name);
}

static void push_event(lua_State *L, const struct view_event *event)
{
	char uuid[UUID_TEXT_BYTES];
	struct reader payload = reader_of(event->payload);

	lua_createtable(L, 0, 8);
	set_text(L, "stream", event->stream);
	set_text(L, "type", event->type);
	set_text(L, "key", event->key);
	set_text(L, "partitionKey", event->partition_key);
	if (event->id_is_uuid)
		uuid_format(event->id.data, uuid);
	set_text(L, "id", event->id_is_uuid ? span_of_text(uuid) : event->id);
	lua_pushinteger(L, (lua_Integer)event->ingest_time_us);
	lua_setfield(L, -2, "time");
	if (!view_payload_is_msgpack(event) || event->payload.size == 0)
		return;
	if (msgpack_validate(event->payload) != 0)
		luaL_error(L, "the payload is not MessagePack");
	lua_decode(L, &payload);
	lua_setfield(L, -2, "data");
}

/* Pushes true when there is a state, in self->output; false when the entry is to go. */
static int call_apply(lua_State *L)
{
	struct view_lua *self = lua_self(L);
	struct reader old = reader_of(self->old);
	const char *why;
	int rv;

	push_apply(L);
	push_event(L, self->event);
	if (self->old.size == 0)
		lua_pushnil(L);
	else
		lua_decode(L, &old);
	lua_call(L, 2, 1);
	lua_pushboolean(L, !lua_isnil(L, -1));
	if (!lua_toboolean(L, -1))
		return 1;
	lua_pop(L, 1);
	if (lua_type(L, -1) != LUA_TTABLE)
		return luaL_error(L, "apply returned a %s; a table or nil is wanted", luaL_typename(L, -1));
	buffer_clear(&self->output);
	rv = lua_encode_state(L, &self->output, self->event->ingest_time_us, &why);
	if (rv == ERROR_LIMIT)
		return luaL_error(L, "%s", why);
	if (rv != 0 || self->output.failed)
		return lua_fail_memory(L);
	lua_pushboolean(L, true);
	return 1;
}

/* The same members: the time alone is no change. */
static bool same_content(struct span old, struct span next)
{
	return old.size == next.size && memcmp(old.data, next.data, old.size - VIEW_NUMBER_BYTES) == 0;
}

static int put_state(struct view *view, struct key_entry *entry, const struct view_cell *old, struct span next,
		     uint64_t offset)
{
	struct view_cell *cell;

	if (old != NULL && same_content(view_cell_state(old), next))
		return 0;
	cell = view_cell_begin(view, entry, next.size);
	if (cell == NULL)
		return ERROR_MEMORY;
	memcpy(cell->bytes, next.data, next.size);
	view_cell_done(view, entry, cell, offset);
	return 0;
}

int view_lua_apply(struct view *view, struct key_entry *entry, const struct view_event *event, struct buffer *scratch)
{
	struct view_lua *self = view->plan->lua;
	const struct view_cell *old;
	bool keep;
	int rv;

	(void)scratch;
	if (!view_plan_wants(view->plan, event->type))
		return 0;
	if (self->stack_moved && !renew_thread(self)) /* there was no memory for it */
		return ERROR_MEMORY;
	old = view_cell_find(entry, view->generation);
	self->event = event;
	self->old = old == NULL ? SPAN_NULL : view_cell_state(old);
	lua_pushcfunction(self->state, call_apply);
	rv = run(self, 1, view->why);
	view->work += LUA_WORK_OF_CALL + self->steps / LUA_STEPS_PER_WORK;
	if (rv == 0) {
		keep = lua_toboolean(self->state, -1) != 0;
		lua_pop(self->state, 1);
		if (keep)
			rv = put_state(view, entry, old, buffer_span(&self->output), event->offset);
		else if (old != NULL)
			view_cell_delete(view, entry, old);
	}
	tidy(self);
	return rv;
}

bool view_lua_state_holds(struct span state)
{
	struct reader in = reader_of(state);

	return msgpack_validate(state) == 0 && msgpack_peek(&in) == MSGPACK_MAP && state.size > VIEW_TAIL_BYTES &&
	       view_tail_holds(state);
}

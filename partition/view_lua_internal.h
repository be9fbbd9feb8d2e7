/* The inside of a Lua view, for partition/view_lua*.c only. */
#ifndef EVGRID_PARTITION_VIEW_LUA_INTERNAL_H
#define EVGRID_PARTITION_VIEW_LUA_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>

#include "partition/view_lua.h"
#include "proto/error.h"
#include "proto/msgpack.h"

#define LUA_VALUE_BYTES 16u /* what any value in a table counts for */

enum lua_over { LUA_WITHIN, LUA_OVER_STEPS, LUA_OVER_MEMORY, LUA_OVER_HELD, LUA_OVER_DEPTH };

struct lua_key { /* of a table, in its order: numbers by value, strings by bytes, false, true */
	enum { LUA_KEY_NUMBER, LUA_KEY_STRING, LUA_KEY_BOOLEAN } rank;
	bool is_integer;
	bool truth;
	lua_Integer integer;
	lua_Number real;
	struct span text;
};

struct view_event;

struct view_lua {
	lua_State *main;
	lua_State *state; /* the thread that calls run in */
	size_t used;      /* bytes that the machine holds */
	size_t idle;      /* of them, without any garbage */
	bool counting;    /* a call is on its way */
	bool sizing;      /* the thread's stack is given its size */
	bool stack_moved; /* a call wanted a larger one */
	void *stack;      /* the thread's */
	void *newest;     /* block */
	bool out_of_memory;
	enum lua_over over;
	uint64_t steps;
	uint64_t made;
	int64_t held;        /* in parts of tables */
	bool listing;        /* a list is being made, of values without names */
	uint64_t names;      /* that the largest table of this call has room for */
	uint32_t hook_steps; /* instructions from look to look at the budget */
	bool zeros_seen;     /* in some text of this call */
	uint64_t longest;    /* text of this call, without short ones */
	uint64_t zeros;      /* that one text of this call may have */
	bool text_zeros;     /* the same three of the view's own text */
	uint64_t text_longest;
	struct buffer text;   /* what library functions put together */
	struct buffer output; /* the next state */
	struct lua_key *keys; /* a stack of tables' keys */
	uint32_t key_count;
	const struct view_event *event; /* of the call */
	struct span old;
};

static inline struct view_lua *lua_self(lua_State *L)
{
	return *(struct view_lua **)lua_getextraspace(L);
}

/* Charges; beyond the budget it does not return. */
void lua_charge_steps(lua_State *L, uint64_t steps);
void lua_charge_comparisons(lua_State *L, uint64_t count); /* of values that may be texts */
void lua_charge_memory(lua_State *L, uint64_t bytes);
/* Pushes a table with room for a list. Charged. */
void lua_push_list(lua_State *L, lua_Integer count);
/* For a buffer that could not grow; does not return. */
int lua_fail_memory(lua_State *L);

/* Opens the libraries: leaves nothing on the stack, LUA_META_* in the registry. */
void lua_open_library(lua_State *L);
void lua_open_strings(lua_State *L); /* leaves the table of string functions on the stack */
void lua_open_tables(lua_State *L);  /* the same for table functions */
/* Puts an unchangeable stand-in for the table on top into it[name], it being below; pops the table. */
void lua_freeze(lua_State *L, const char *name);

/* Keys in the registry, by address. */
extern const char lua_key_environment; /* metatable of environments */
extern const char lua_key_array;       /* metatable that marks arrays */
extern const char lua_key_main;        /* the compiled text */
extern const char lua_key_thread;      /* what calls run in */

/* Pushes a text that comes from outside. Charged. */
void lua_push_text(lua_State *L, struct span text);

/* The text of a value, as tostring gives it, appended. False: no memory. */
void lua_text_of(lua_State *L, int index, struct buffer *out);

/* The length of a table: the least n such that there is no n + 1. Charged. */
lua_Integer lua_length(lua_State *L, int index);

/* Puts the keys of the table at this index onto self->keys, from *first on, in no order. 0; ERROR_MEMORY; ERROR_LIMIT:
 * a key has no order. Raises nothing. */
int lua_collect_keys(lua_State *L, int index, uint32_t *first);
void lua_sort_keys(struct view_lua *self, uint32_t first);
int lua_key_compare(const struct lua_key *a, const struct lua_key *b);
bool lua_key_read(lua_State *L, int index, struct lua_key *key); /* false: it has no order */
void lua_key_push(lua_State *L, const struct lua_key *key);

/* Pushes the next value of the reader. Raises errors. */
void lua_decode(lua_State *L, struct reader *in);

/* Appends the table on top as a state without its tail, which is `tail_members` more members. 0; ERROR_MEMORY;
 * ERROR_LIMIT with *why. Raises nothing. */
int lua_encode_state(lua_State *L, struct buffer *out, uint64_t updated_at_us, const char **why);

/* The text as it is compiled: `#` replaced. *zeros: its strings may have zero bytes. 0; ERROR_BAD_VIEW with *why;
 * ERROR_MEMORY. */
int lua_prepare_text(struct span text, struct buffer *out, bool *zeros, char why[VIEW_WHY_BYTES]);

#endif

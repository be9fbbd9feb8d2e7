/* Lua views: apply(event, state) gives the new state, or nil to delete. Whoever runs the same events through the same
 * text gets the same bytes (design.md section 9):
 *
 * 1. Nothing outlives a call: the text is run anew each time, in an environment of its own, with libraries that cannot
 *    be changed. There are no metatables, coroutines, finalizers, weak tables or pcall for a script to reach.
 * 2. There is no clock, random source, file, `load` or address. The order of pairs and next, and the length of a table,
 *    do not depend on hashes, whose seed is each process's own: view_lua_library.c, view_lua_text.c.
 * 3. `^` is refused, since pow is not the same everywhere; strings are ordered byte by byte, numbers are written as in
 *    the C locale: a process that runs views never sets another (asserted).
 * 4. Steps are counted: instructions of Lua's machine, and what the library's functions loop over. Memory is counted as
 *    the sizes of the values made during the call: never what the allocator gave, which depends on what went before.
 *    Beyond either the call ends and the key is blocked; nothing a script can call catches that.
 * 5. A step is bounded. One instruction moves no more values than the stack has, LUA_STACK_SLOTS from the first call
 *    to the last. One comparison goes through two texts, and one access may go through a table, whose keys may all lie
 *    in one place or be laid out anew: so where long texts or large tables are at hand each step counts for more, by
 *    the longest one, by the zero bytes of one (`<` begins anew behind each of them), and by the room for keys of one.
 * 6. What tables hold is made a value or two by a step, which is far below LUA_HELD_MAX_BYTES; or by many at once
 *    ({...}, {f()}, {nil, nil, ...}), which that bounds. It counts what new parts of tables take.
 * 7. How much room the parts of a table have at most follows from how many keys it has held at once. One that mixes a
 *    list with other keys, and loses some and gets others in the same call, is an exception: when its list is laid out
 *    anew may depend on hashes, whose seed is each process's own, and so may be a doubling sooner or later.
 * 8. LUA_HARD_MAX_BYTES is beyond all of it. Memory that the system does not give is no error of a view.
 *
 * Values: nil is `null` inside arrays and maps, binaries are strings, a string that is no UTF-8 becomes a binary; an
 * integer above 2^63 - 1 and extension types cannot be read. A table whose keys are exactly 1 to n is an array; an
 * empty one is a map, unless it was read as an array or made by array(). Maps are written in the order of pairs. */
#ifndef EVGRID_PARTITION_VIEW_LUA_H
#define EVGRID_PARTITION_VIEW_LUA_H

#include "partition/view_plan.h"

#define LUA_STEPS_MAX 200000u                          /* of one call: about two milliseconds */
#define LUA_MADE_MAX_BYTES (8u * 1024 * 1024)          /* of values made during one call */
#define LUA_HELD_MAX_BYTES (32u * 1024 * 1024)         /* in tables made during one call */
#define LUA_HARD_MAX_BYTES ((size_t)512 * 1024 * 1024) /* 200,000 steps can make no more */
#define LUA_STACK_SLOTS 2000                           /* arguments, results and locals of all calls under way */
#define LUA_STEPS_PER_WORK 25u                         /* in the time in which a rule takes an event: view.work */
#define LUA_WORK_OF_CALL 20u                           /* before the first step: the text is run anew */
#define LUA_KEPT_MAX_BYTES (64u * 1024)                /* garbage kept from call to call */
#define LUA_DEPTH_MAX 32u                              /* tables inside each other in a state */

struct view_lua;

/* A machine that runs this text, for the views of one thread: compiles it and runs it once. 0; ERROR_BAD_VIEW with
 * *why, such as "line:3: ..."; ERROR_MEMORY. */
int view_lua_new(struct span text, struct view_lua **lua, char why[VIEW_WHY_BYTES]);
struct view_lua *view_lua_free(struct view_lua *lua);

#endif

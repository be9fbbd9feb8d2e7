/* Whether this process applies views as VIEW_ENGINE says (design.md 9). What Lua makes of a script is up to the library
 * that the process runs with: a node whose library makes something else, or counts otherwise, must not start. The check
 * runs a script over a few events, on both sides of its budgets' edges; tests/unit/lua_vectors.json has many more. */
#ifndef EVGRID_PARTITION_VIEW_ENGINE_H
#define EVGRID_PARTITION_VIEW_ENGINE_H

/* 0, ERROR_VERSION: it does not; ERROR_MEMORY. */
int view_engine_check(void);

#endif

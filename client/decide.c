/* Deciding on a blocked key: what blocks it is read, the decision sent, and what came of it read again.
 *
 * The answer to a decision claims nothing (partition/decide.c): a key that is still blocked at the offset that was to
 * be skipped, as of the record's own, lost its record with a primary, and is decided on again. A retry that fails
 * again looks the same and is told as it is. */
#include "client/grid.h"

static uint32_t left_ms(uint64_t deadline_ms)
{
	uint64_t now_ms = grid_now_ms();

	return now_ms >= deadline_ms ? 1 : (uint32_t)(deadline_ms - now_ms);
}

/* Sends the decision. *at: the offset from which on it shows. */
static int send_decision(evg *grid, struct core_decide *decide, uint64_t deadline_ms, uint64_t *at)
{
	struct grid_answer answer = {.grid = grid};
	int rv;

	decide->timeout_ms = left_ms(deadline_ms);
	*at = decide->decide.offset;
	rv = grid_decide(grid, decide, grid_answer_told, &answer);
	if (rv != 0)
		return rv;
	grid_answer_wait(&answer);
	rv = answer.result.error;
	if (rv == 0)
		*at = answer.result.decided.at;
	if (rv == ERROR_REFUSED && answer.result.again)
		rv = 0; /* it may speak of its own first copy */
	grid_answer_deinit(&answer);
	return rv;
}

static int read_entry(evg *grid, const char *view, evg_read *read, uint64_t deadline_ms, evg_entry *entry)
{
	evg_entry_free(entry);
	read->timeout_ms = left_ms(deadline_ms);
	return evg_view_get(grid, view, read, entry);
}

int evg_view_decide(evg *grid, const char *view, const evg_decide *what, evg_entry *entry)
{
	uint64_t deadline_ms = grid_now_ms() + (what->timeout_ms == 0 ? grid->deadline_ms : what->timeout_ms);
	struct grid_names names = {.view = span_of_text(view)};
	evg_read read = {.key = what->key, .partition_key = what->partition_key};
	struct core_decide decide = {.decide = {.decision = what->skip != 0 ? DECIDE_SKIP : DECIDE_RETRY}};
	int rv = grid_is_own_thread(grid) ? ERROR_USAGE : grid_resolve(grid, &names);

	*entry = (evg_entry){.error = rv};
	if (rv != 0)
		return rv;
	if (read.partition_key.size == 0)
		read.partition_key = read.key; /* and no other is looked for */
	rv = read_entry(grid, view, &read, deadline_ms, entry);
	if (rv == 0 || rv == ERROR_NOT_FOUND)
		return ERROR_REFUSED;
	if (rv == ERROR_BLOCKED && what->offset != EVG_WHAT_BLOCKS && what->offset != entry->changed_at)
		return ERROR_REFUSED;
	if (rv == ERROR_BLOCKED && what->offset != EVG_WHAT_BLOCKS && what->history != EVG_ANY_HISTORY &&
	    what->history != entry->history)
		return ERROR_HISTORY;
	decide.decide.view_id = names.view_id;
	decide.decide.offset = entry->changed_at;
	decide.decide.key = span_of(what->key.data, what->key.size);
	decide.decide.partition_key = span_of(read.partition_key.data, read.partition_key.size);
	read.mode = EVG_READ_AT_LEAST;
	read.at_least.partition = partition_of(decide.decide.partition_key);
	read.at_least.history = entry->history;
	while (rv == ERROR_BLOCKED && entry->changed_at == decide.decide.offset) {
		rv = send_decision(grid, &decide, deadline_ms, &read.at_least.offset);
		if (rv != 0)
			return rv;
		rv = read_entry(grid, view, &read, deadline_ms, entry);
		if (what->skip == 0 || grid_now_ms() >= deadline_ms)
			break;
	}
	return rv == ERROR_NOT_FOUND ? 0 : rv;
}

/* The search. What is left to take effect stands in a list by invocation; its first operations, up to the least return
 * among them, are those whose turn may be now. A read that fits is taken at once: it changes nothing, and waiting never
 * helps it. So only writes are chosen, one by one, each choice undone when nothing comes of it; the same operations
 * done with the same value shown are tried once (Lowe). */
#include "tests/sim/linear.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX
#define BITS 64u

struct shown {
	uint64_t version;
	uint64_t value;
	uint64_t place; /* of the value, LINEAR_UNKNOWN: not known */
};

struct choice { /* of a write, after `done` operations took effect */
	struct shown shown;
	size_t done;
	size_t must_left;
	uint32_t tried; /* position, NOWHERE: none yet */
	bool optional;  /* those that must take effect have all been tried */
};

struct memory { /* of what was tried: sets of `words` words and a value each, found by a table of their numbers + 1 */
	uint64_t *sets;
	size_t count;
	size_t capacity;
	uint32_t *table;
	size_t table_size;
};

struct search {
	const struct linear_operation **by_invocation;
	size_t count;
	uint32_t *next; /* [count]: the head, and the end */
	uint32_t *before;
	uint32_t *placed; /* positions of writes whose place is known, by place */
	size_t placed_count;
	size_t placed_done;
	uint32_t *done; /* in order */
	size_t done_count;
	uint64_t *set; /* of what is done, a bit a position; one more word: the value */
	size_t words;
	size_t must_left;
	struct shown shown;
	struct choice *choices;
	size_t depth;
	struct memory memory;
	struct linear_report *report;
	size_t must_count;
	const struct linear_operation *operations;
};

static void *must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

static bool is_certain(const struct linear_operation *operation)
{
	return operation->returned != LINEAR_UNKNOWN ||
	       (operation->kind != LINEAR_READ && operation->place != LINEAR_UNKNOWN);
}

/* --- one operation ------------------------------------------------------------------------------------------------ */

static bool agrees(uint64_t told, uint64_t is)
{
	return told == LINEAR_UNKNOWN || is == LINEAR_UNKNOWN || told == is;
}

static bool read_fits(const struct linear_operation *read, const struct shown *shown)
{
	return agrees(read->version, shown->version) && agrees(read->value, shown->value) &&
	       (shown->value == 0 || agrees(read->place, shown->place));
}

static void write_on(const struct linear_operation *write, struct shown *shown)
{
	shown->version++;
	if (write->kind == LINEAR_DELETE) {
		shown->value = 0;
	} else if (write->kind == LINEAR_PUT || shown->value != 0) {
		shown->value = write->value;
		shown->place = write->place;
	}
}

/* The version only rises. */
static bool is_too_late(const struct linear_operation *operation, const struct shown *shown)
{
	return is_certain(operation) && operation->version != LINEAR_UNKNOWN && operation->version < shown->version;
}

/* --- the list and the set ----------------------------------------------------------------------------------------- */

static void take(struct search *search, uint32_t at)
{
	const struct linear_operation *operation = search->by_invocation[at];

	search->next[search->before[at]] = search->next[at];
	search->before[search->next[at]] = search->before[at];
	search->set[at / BITS] |= 1ull << at % BITS;
	search->done[search->done_count++] = at;
	search->must_left -= is_certain(operation);
	search->placed_done += operation->kind != LINEAR_READ && operation->place != LINEAR_UNKNOWN;
}

static void put_back(struct search *search, const struct choice *choice)
{
	while (search->done_count > choice->done) {
		uint32_t at = search->done[--search->done_count];
		const struct linear_operation *operation = search->by_invocation[at];

		search->next[search->before[at]] = at;
		search->before[search->next[at]] = at;
		search->set[at / BITS] &= ~(1ull << at % BITS);
		search->placed_done -= operation->kind != LINEAR_READ && operation->place != LINEAR_UNKNOWN;
	}
	search->must_left = choice->must_left;
	search->shown = choice->shown;
}

/* --- Lowe's memory ------------------------------------------------------------------------------------------------ */

static uint64_t hash_of(const uint64_t *words, size_t count)
{
	uint64_t hash = 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < count; i++) {
		hash = (hash ^ words[i]) * 0xbf58476d1ce4e5b9u;
		hash ^= hash >> 31;
	}
	return hash;
}

static void memory_place(struct memory *memory, const uint64_t *set, size_t words, uint32_t number)
{
	size_t at = hash_of(set, words) % memory->table_size;

	while (memory->table[at] != 0)
		at = (at + 1) % memory->table_size;
	memory->table[at] = number + 1;
}

static void memory_grow(struct memory *memory, size_t words)
{
	memory->capacity = memory->capacity == 0 ? 256 : 2 * memory->capacity;
	memory->sets = must(realloc(memory->sets, memory->capacity * words * sizeof *memory->sets));
	free(memory->table);
	memory->table_size = 2 * memory->capacity;
	memory->table = must(calloc(memory->table_size, sizeof *memory->table));
	for (size_t i = 0; i < memory->count; i++)
		memory_place(memory, memory->sets + i * words, words, (uint32_t)i);
}

/* False: it was there. */
static bool memory_add(struct memory *memory, const uint64_t *set, size_t words)
{
	if (memory->count == memory->capacity)
		memory_grow(memory, words);
	for (size_t at = hash_of(set, words) % memory->table_size; memory->table[at] != 0;
	     at = (at + 1) % memory->table_size)
		if (memcmp(memory->sets + (memory->table[at] - 1) * words, set, words * sizeof *set) == 0)
			return false;
	memcpy(memory->sets + memory->count * words, set, words * sizeof *set);
	memory_place(memory, set, words, (uint32_t)memory->count);
	memory->count++;
	return true;
}

/* --- the search --------------------------------------------------------------------------------------------------- */

/* Takes every read that fits now, and those whose turn comes thereby. */
static void take_reads(struct search *search)
{
	uint64_t least = LINEAR_UNKNOWN;
	uint32_t end = (uint32_t)search->count;
	uint32_t at = search->next[end];

	while (at != end && search->by_invocation[at]->invoked <= least) {
		const struct linear_operation *operation = search->by_invocation[at];

		if (operation->kind == LINEAR_READ && read_fits(operation, &search->shown)) {
			take(search, at);
			least = LINEAR_UNKNOWN;
			at = search->next[end];
			continue;
		}
		least = operation->returned < least ? operation->returned : least;
		at = search->next[at];
	}
}

static bool may_write(const struct search *search, uint32_t at)
{
	const struct linear_operation *write = search->by_invocation[at];

	return write->kind != LINEAR_READ && agrees(write->version, search->shown.version) &&
	       (write->place == LINEAR_UNKNOWN || search->placed[search->placed_done] == at);
}

/* The next write that this choice has not tried; NOWHERE: there is none. */
static uint32_t next_write(const struct search *search, const struct choice *choice, bool optional)
{
	uint64_t least = LINEAR_UNKNOWN;
	uint32_t end = (uint32_t)search->count;
	uint32_t found = NOWHERE;

	for (uint32_t at = search->next[end]; at != end && search->by_invocation[at]->invoked <= least;
	     at = search->next[at]) {
		const struct linear_operation *operation = search->by_invocation[at];

		if (is_too_late(operation, &search->shown))
			return NOWHERE;
		if (found == NOWHERE && is_certain(operation) != optional && may_write(search, at) &&
		    (choice->tried == NOWHERE || at > choice->tried))
			found = at;
		least = operation->returned < least ? operation->returned : least;
	}
	return found;
}

/* How far this is, if no order was further: for the report. */
static void note(struct search *search)
{
	uint64_t least = LINEAR_UNKNOWN;
	uint32_t end = (uint32_t)search->count;
	uint32_t stuck = NOWHERE;

	if (search->report->stuck != SIZE_MAX && search->must_count - search->must_left <= search->report->explained)
		return;
	for (uint32_t at = search->next[end]; at != end && search->by_invocation[at]->invoked <= least;
	     at = search->next[at]) {
		const struct linear_operation *operation = search->by_invocation[at];

		if (is_certain(operation) && (stuck == NOWHERE || operation->returned < least))
			stuck = at;
		least = operation->returned < least ? operation->returned : least;
	}
	search->report->explained = search->must_count - search->must_left;
	search->report->version = search->shown.version;
	search->report->value = search->shown.value;
	if (stuck != NOWHERE)
		search->report->stuck = (size_t)(search->by_invocation[stuck] - search->operations);
}

/* A new choice, unless it was there before. */
static void choose(struct search *search)
{
	search->set[search->words - 1] = search->shown.value;
	if (!memory_add(&search->memory, search->set, search->words))
		return;
	note(search);
	search->choices[search->depth++] = (struct choice){
		.shown = search->shown,
		.done = search->done_count,
		.must_left = search->must_left,
		.tried = NOWHERE,
	};
}

static enum linear_outcome run(struct search *search, uint64_t steps_max)
{
	take_reads(search);
	choose(search);
	while (search->must_left > 0 && search->depth > 0) {
		struct choice *choice = &search->choices[search->depth - 1];
		uint32_t at;

		put_back(search, choice);
		at = next_write(search, choice, choice->optional);
		if (at == NOWHERE && choice->optional) {
			search->depth--;
			continue;
		}
		choice->tried = at;
		if (at == NOWHERE) {
			choice->optional = true;
			continue;
		}
		if (++search->report->steps > steps_max)
			return LINEAR_UNDECIDED;
		take(search, at);
		write_on(search->by_invocation[at], &search->shown);
		take_reads(search);
		choose(search);
	}
	return search->must_left == 0 ? LINEAR_YES : LINEAR_NO;
}

/* --- making it ---------------------------------------------------------------------------------------------------- */

static int compare_invocation(const void *a, const void *b)
{
	const struct linear_operation *left = *(const struct linear_operation *const *)a;
	const struct linear_operation *right = *(const struct linear_operation *const *)b;

	if (left->invoked != right->invoked)
		return left->invoked < right->invoked ? -1 : 1;
	return left < right ? -1 : left > right;
}

struct position {
	uint64_t place;
	uint32_t at;
};

static int compare_place(const void *a, const void *b)
{
	const struct position *left = a;
	const struct position *right = b;

	return left->place < right->place ? -1 : left->place > right->place;
}

static void sort_places(struct search *search)
{
	struct position *positions = must(calloc(search->count + 1, sizeof *positions));

	for (size_t i = 0; i < search->count; i++) {
		const struct linear_operation *operation = search->by_invocation[i];

		if (operation->kind != LINEAR_READ && operation->place != LINEAR_UNKNOWN)
			positions[search->placed_count++] = (struct position){operation->place, (uint32_t)i};
	}
	qsort(positions, search->placed_count, sizeof *positions, compare_place);
	for (size_t i = 0; i < search->placed_count; i++)
		search->placed[i] = positions[i].at;
	free(positions);
}

/* Reads that were never answered say nothing. */
static void search_init(struct search *search, const struct linear_operation *operations, size_t count)
{
	search->operations = operations;
	search->by_invocation = must(calloc(count + 1, sizeof *search->by_invocation));
	for (size_t i = 0; i < count; i++)
		if (operations[i].kind != LINEAR_READ || is_certain(&operations[i]))
			search->by_invocation[search->count++] = &operations[i];
	qsort(search->by_invocation, search->count, sizeof *search->by_invocation, compare_invocation);
	search->words = (search->count + BITS - 1) / BITS + 1;
	search->set = must(calloc(search->words, sizeof *search->set));
	search->next = must(calloc(search->count + 1, sizeof *search->next));
	search->before = must(calloc(search->count + 1, sizeof *search->before));
	search->placed = must(calloc(search->count + 1, sizeof *search->placed));
	search->done = must(calloc(search->count + 1, sizeof *search->done));
	search->choices = must(calloc(search->count + 2, sizeof *search->choices));
	for (uint32_t i = 0; i <= search->count; i++) {
		search->next[i] = (uint32_t)((i + 1) % (search->count + 1));
		search->before[search->next[i]] = i;
	}
	for (size_t i = 0; i < search->count; i++)
		search->must_count += is_certain(search->by_invocation[i]);
	search->must_left = search->must_count;
	sort_places(search);
}

static void search_deinit(struct search *search)
{
	free(search->by_invocation);
	free(search->set);
	free(search->next);
	free(search->before);
	free(search->placed);
	free(search->done);
	free(search->choices);
	free(search->memory.sets);
	free(search->memory.table);
}

enum linear_outcome linear_check(const struct linear_operation *operations, size_t count, uint64_t steps_max,
				 struct linear_report *report)
{
	struct search search = {.report = report};
	enum linear_outcome outcome;

	assert(count < NOWHERE);
	*report = (struct linear_report){.stuck = SIZE_MAX};
	search_init(&search, operations, count);
	outcome = run(&search, steps_max);
	search_deinit(&search);
	return outcome;
}

/* --- text --------------------------------------------------------------------------------------------------------- */

/* The next word; its length 0: there is none. */
static size_t word_at(const char **at)
{
	*at += strspn(*at, " \t");
	return strcspn(*at, " \t");
}

static bool take_number(const char **at, uint64_t *value)
{
	size_t size = word_at(at);
	char *end = NULL;

	*value = LINEAR_UNKNOWN;
	if (size == 1 && **at == '-') {
		(*at)++;
		return true;
	}
	if (size == 0 || **at < '0' || **at > '9')
		return false;
	errno = 0;
	*value = strtoull(*at, &end, 10);
	if (errno != 0 || end != *at + size || *value == LINEAR_UNKNOWN)
		return false;
	*at = end;
	return true;
}

static bool take_kind(const char **at, enum linear_kind *kind)
{
	static const char *const names[] = {
		[LINEAR_PUT] = "put",
		[LINEAR_MERGE] = "merge",
		[LINEAR_DELETE] = "delete",
		[LINEAR_READ] = "read",
	};
	size_t size = word_at(at);

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i]) == size && memcmp(names[i], *at, size) == 0) {
			*kind = (enum linear_kind)i;
			*at += size;
			return true;
		}
	return false;
}

bool linear_parse(const char *line, char key[LINEAR_KEY_MAX], struct linear_operation *operation)
{
	size_t size = word_at(&line);

	if (size == 0 || size >= LINEAR_KEY_MAX || *line == '#')
		return false;
	memcpy(key, line, size);
	key[size] = '\0';
	line += size;
	return take_kind(&line, &operation->kind) && take_number(&line, &operation->invoked) &&
	       operation->invoked != LINEAR_UNKNOWN && take_number(&line, &operation->returned) &&
	       take_number(&line, &operation->value) &&
	       (operation->kind == LINEAR_READ || (operation->value != 0 && operation->value != LINEAR_UNKNOWN)) &&
	       take_number(&line, &operation->version) && take_number(&line, &operation->place) && word_at(&line) == 0;
}

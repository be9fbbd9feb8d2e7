/* evgrid-linear: reads a history as text (linear.h) and says whether it is linearizable, key by key.
 *
 *   evgrid-linear FILE [STEPS]      STEPS: at most so many for each operation of a key, 8 if not told; each costs a bit
 *                                   of memory an operation
 *
 * Ends with 0: it is; 1: some key's is not; 2: the file is no history; 3: a key was not decided within its steps. */
#include "tests/sim/linear.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 8u
#define BUCKETS 4096u
#define TOLD_MAX 10u

enum { EXIT_NOT_LINEAR = 1, EXIT_NO_HISTORY = 2, EXIT_NOT_DECIDED = 3 };

struct history {
	char key[LINEAR_KEY_MAX];
	struct history *next;
	struct linear_operation *list;
	size_t count;
	size_t capacity;
};

static void *must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

static struct history *history_of(struct history **buckets, const char *key)
{
	struct history **at;
	uint32_t hash = 2166136261u;

	for (const char *byte = key; *byte != '\0'; byte++)
		hash = (hash ^ (uint8_t)*byte) * 16777619u;
	at = &buckets[hash % BUCKETS];
	while (*at != NULL && strcmp((*at)->key, key) != 0)
		at = &(*at)->next;
	if (*at == NULL) {
		*at = must(calloc(1, sizeof **at));
		memcpy((*at)->key, key, strlen(key) + 1);
	}
	return *at;
}

static void history_add(struct history *history, const struct linear_operation *operation)
{
	if (history->count == history->capacity) {
		history->capacity = history->capacity == 0 ? 256 : 2 * history->capacity;
		history->list = must(realloc(history->list, history->capacity * sizeof *history->list));
	}
	history->list[history->count++] = *operation;
}

/* The number of the first line that is no operation; 0: there is none. */
static size_t read_lines(FILE *file, struct history **buckets, uint64_t *operations)
{
	char *line = NULL;
	size_t room = 0;
	size_t number = 0;
	ssize_t size;
	bool good = true;

	while (good && (size = getline(&line, &room, file)) > 0) {
		char key[LINEAR_KEY_MAX];
		struct linear_operation operation;

		number++;
		if (line[size - 1] == '\n')
			line[size - 1] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		good = linear_parse(line, key, &operation);
		if (good) {
			history_add(history_of(buckets, key), &operation);
			(*operations)++;
		}
	}
	free(line);
	return good ? 0 : number;
}

static void print_number(const char *name, uint64_t number)
{
	if (number == LINEAR_UNKNOWN)
		printf(" %s -", name);
	else
		printf(" %s %" PRIu64, name, number);
}

static void tell(const struct history *history, const struct linear_report *report)
{
	const struct linear_operation *stuck = &history->list[report->stuck];

	printf("%s: no order has this %s: invoked %" PRIu64, history->key,
	       stuck->kind == LINEAR_READ ? "read" : "write", stuck->invoked);
	print_number("returned", stuck->returned);
	print_number("value", stuck->value);
	print_number("version", stuck->version);
	print_number("place", stuck->place);
	printf("; %zu are in order before it, value %" PRIu64 ", version %" PRIu64 "\n", report->explained,
	       report->value, report->version);
}

static int check(struct history **buckets, uint64_t steps, uint64_t operations)
{
	uint64_t keys = 0;
	uint64_t wrong = 0;
	uint64_t undecided = 0;

	for (uint32_t i = 0; i < BUCKETS; i++)
		for (const struct history *history = buckets[i]; history != NULL; history = history->next) {
			struct linear_report report;
			enum linear_outcome outcome =
				linear_check(history->list, history->count, steps * history->count, &report);

			keys++;
			wrong += outcome == LINEAR_NO;
			undecided += outcome == LINEAR_UNDECIDED;
			if (outcome == LINEAR_NO && wrong <= TOLD_MAX)
				tell(history, &report);
			if (outcome == LINEAR_UNDECIDED && undecided <= TOLD_MAX)
				printf("%s: not decided in %" PRIu64 " steps\n", history->key, report.steps);
		}
	printf("%" PRIu64 " operations of %" PRIu64 " keys: %" PRIu64 " keys not linearizable, %" PRIu64
	       " not decided\n",
	       operations, keys, wrong, undecided);
	if (wrong > 0)
		return EXIT_NOT_LINEAR;
	return undecided > 0 ? EXIT_NOT_DECIDED : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct history *buckets[BUCKETS];
	uint64_t operations = 0;
	uint64_t steps = argc > 2 ? strtoull(argv[2], NULL, 10) : STEPS;
	FILE *file = argc > 1 ? fopen(argv[1], "re") : NULL;
	size_t wrong_line;
	int status;

	if (file == NULL || argc > 3) {
		fprintf(stderr, "usage: evgrid-linear FILE [STEPS]: %s\n", argc > 1 ? strerror(errno) : "no file");
		return EXIT_NO_HISTORY;
	}
	wrong_line = read_lines(file, buckets, &operations);
	fclose(file);
	if (wrong_line > 0)
		fprintf(stderr, "%s:%zu: no operation of a history\n", argv[1], wrong_line);
	status = wrong_line > 0 ? EXIT_NO_HISTORY : check(buckets, steps, operations);
	for (uint32_t i = 0; i < BUCKETS; i++)
		while (buckets[i] != NULL) {
			struct history *next = buckets[i]->next;

			free(buckets[i]->list);
			free(buckets[i]);
			buckets[i] = next;
		}
	return status;
}

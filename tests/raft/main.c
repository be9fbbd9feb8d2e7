/* evgrid-raft-torture: the linked libraft with our metadata machine, under named schedules and drawn ones.
 *
 *   evgrid-raft-torture [--case NAME|all] [--seeds A-B] [--lie NAME [--ignore BREACH,...]] [--verbose] [--list]
 *
 * Prints the library's version, and for what fails one command that shows it again. Exit status: 0 all held; 1 not.
 * With --lie something below or beside libraft is broken on purpose, and 0 means that seeds found it. */
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/raft/cases.h"
#include "tests/raft/storm.h"

#define SEEDS_THAT_PROVE 50u /* from so many on a mark that was never reached is a failure */
#define REPLAYED_EVERY 25u   /* seeds that are run twice: a run is a function of its seed */

static const char *const lies[LIE_COUNT] = {
	[LIE_NONE] = "none",
	[LIE_STORED] = "stored",
	[LIE_VOTE] = "vote",
	[LIE_FORGETS] = "forgets",
	[LIE_APPLY] = "apply",
	[LIE_ANSWER] = "answer",
	[LIE_SILENT_LEADER] = "silent",
};

struct options {
	const char *name; /* of the case */
	uint64_t first;
	uint64_t last;
	enum world_lie lie;
	const char *ignore_text;
	uint32_t ignored;
	bool verbose;
};

struct tally {
	struct world_marks marks;
	uint64_t failed;
	uint64_t breaches[BREACH_COUNT];
	uint64_t first_seed[BREACH_COUNT];
};

static void usage(void)
{
	fputs("usage: evgrid-raft-torture [--case NAME|all] [--seeds A-B] [--lie NAME [--ignore BREACH,...]]"
	      " [--verbose] [--list]\n",
	      stderr);
	exit(2);
}

static void list(void)
{
	for (size_t i = 0; i < raft_case_count; i++)
		printf("case %-24s %s\n", raft_cases[i].name, raft_cases[i].says);
	for (int i = LIE_NONE + 1; i < LIE_COUNT; i++)
		printf("lie  %s\n", lies[i]);
}

/* --- options ------------------------------------------------------------------------------------------------------ */

static enum world_lie lie_of(const char *text)
{
	for (int i = 0; i < LIE_COUNT; i++)
		if (strcmp(lies[i], text) == 0)
			return (enum world_lie)i;
	usage();
	return LIE_NONE;
}

static uint32_t breaches_of(const char *text)
{
	uint32_t set = 0;

	for (size_t length = 0; *text != '\0'; text += length + (text[length] == ',')) {
		bool known = false;

		length = strcspn(text, ",");
		for (int i = 1; i < BREACH_COUNT; i++)
			if (strlen(breach_name((enum breach)i)) == length &&
			    strncmp(breach_name((enum breach)i), text, length) == 0) {
				set |= 1u << i;
				known = true;
			}
		if (!known)
			usage();
	}
	return set;
}

static void seeds_of(const char *text, struct options *options)
{
	char *end;

	options->first = strtoull(text, &end, 10);
	options->last = options->first;
	if (*end == '-')
		options->last = strtoull(end + 1, &end, 10);
	if (*end != '\0' || options->first == 0 || options->last < options->first)
		usage();
}

static struct options options_of(int count, char **arguments)
{
	struct options options = {.name = NULL};

	for (int i = 1; i < count; i++) {
		const char *value = i + 1 < count ? arguments[i + 1] : NULL;

		if (strcmp(arguments[i], "--list") == 0) {
			list();
			exit(0);
		}
		if (strcmp(arguments[i], "--verbose") == 0) {
			options.verbose = true;
			continue;
		}
		if (value == NULL)
			usage();
		if (strcmp(arguments[i], "--case") == 0)
			options.name = value;
		else if (strcmp(arguments[i], "--seeds") == 0)
			seeds_of(value, &options);
		else if (strcmp(arguments[i], "--lie") == 0)
			options.lie = lie_of(value);
		else if (strcmp(arguments[i], "--ignore") == 0)
			options.ignored = breaches_of(options.ignore_text = value);
		else
			usage();
		i++;
	}
	if (options.name == NULL && options.first == 0)
		usage();
	return options;
}

/* --- seeds -------------------------------------------------------------------------------------------------------- */

/* A seed that crashes is told, too. */
static char crash_text[64];

static void crash_tell(int number)
{
	ssize_t written = write(STDERR_FILENO, crash_text, strlen(crash_text));

	(void)written;
	signal(number, SIG_DFL);
	raise(number);
}

static void crash_watch(void)
{
	signal(SIGABRT, crash_tell);
	signal(SIGSEGV, crash_tell);
	signal(SIGBUS, crash_tell);
}

static uint64_t *mark(struct world_marks *marks, size_t i)
{
	return (uint64_t *)marks + i;
}

static const char *const mark_names[] = {
	"terms with a leader",
	"entries applied",
	"proposals done",
	"refused",
	"unknown",
	"kills",
	"with writes lost",
	"failed stores",
	"snapshots sent",
	"snapshots taken",
	"tails cut",
	"transfers",
	"letters lost",
	"letters repeated",
	"pauses",
	"cuts",
	"servers added",
	"promoted",
	"demoted",
	"removed",
};

_Static_assert(sizeof(mark_names) / sizeof(mark_names[0]) * sizeof(uint64_t) == sizeof(struct world_marks),
	       "every mark has its name");

static uint64_t seed_trace(const struct options *options, uint64_t seed, struct tally *tally)
{
	struct world *world = storm_world(seed);
	const struct oracle *oracle = &world->oracle;
	uint64_t trace;

	snprintf(crash_text, sizeof(crash_text), "seed %llu crashed\n", (unsigned long long)seed);
	world->lie = options->lie;
	world->ignored = options->ignored;
	world->verbose = options->verbose && tally != NULL;
	storm_run(world);
	trace = world->trace;
	if (tally != NULL) {
		for (size_t i = 0; i < sizeof(mark_names) / sizeof(mark_names[0]); i++)
			*mark(&tally->marks, i) += *mark(&world->marks, i);
		tally->failed += oracle->breach != BREACH_NONE;
		if (tally->breaches[oracle->breach]++ == 0)
			tally->first_seed[oracle->breach] = seed;
		if (oracle->breach != BREACH_NONE && options->lie == LIE_NONE)
			printf("seed %llu FAILED after %llu ms: %s: %s\n  evgrid-raft-torture --seeds %llu --verbose\n",
			       (unsigned long long)seed, (unsigned long long)oracle->breach_ms,
			       breach_name(oracle->breach), oracle->text, (unsigned long long)seed);
	}
	world_free(world);
	return trace;
}

static bool marks_tell(const struct tally *tally, uint64_t seeds)
{
	struct world_marks marks = tally->marks;
	bool good = true;

	for (size_t i = 0; i < sizeof(mark_names) / sizeof(mark_names[0]); i++) {
		printf("%s%llu %s", i == 0 ? "" : ", ", (unsigned long long)*mark(&marks, i), mark_names[i]);
		good &= seeds < SEEDS_THAT_PROVE || *mark(&marks, i) > 0;
	}
	putchar('\n');
	if (!good)
		printf("FAILED: something above was never reached, so nothing is proved\n");
	return good;
}

static bool lie_found(const struct options *options, const struct tally *tally, uint64_t seeds)
{
	printf("lie %s: %llu of %llu seeds failed\n", lies[options->lie], (unsigned long long)tally->failed,
	       (unsigned long long)seeds);
	for (int i = 1; i < BREACH_COUNT; i++)
		if (tally->breaches[i] > 0)
			printf("  %s: %llu, first seed %llu: evgrid-raft-torture --lie %s%s%s --seeds %llu --verbose\n",
			       breach_name((enum breach)i), (unsigned long long)tally->breaches[i],
			       (unsigned long long)tally->first_seed[i], lies[options->lie],
			       options->ignore_text == NULL ? "" : " --ignore ",
			       options->ignore_text == NULL ? "" : options->ignore_text,
			       (unsigned long long)tally->first_seed[i]);
	return tally->failed > 0;
}

static bool seeds_run(const struct options *options)
{
	uint64_t seeds = options->last - options->first + 1;
	struct tally tally = {.failed = 0};
	bool same = true;

	for (uint64_t seed = options->first; seed <= options->last; seed++) {
		uint64_t trace = seed_trace(options, seed, &tally);

		if (seed % REPLAYED_EVERY != 0 || trace == seed_trace(options, seed, NULL))
			continue;
		printf("seed %llu FAILED: run again it went another way\n", (unsigned long long)seed);
		same = false;
	}
	if (options->lie != LIE_NONE)
		return lie_found(options, &tally, seeds) && same;
	printf("seeds %llu-%llu: %llu failed\n", (unsigned long long)options->first, (unsigned long long)options->last,
	       (unsigned long long)tally.failed);
	return marks_tell(&tally, seeds) && same && tally.failed == 0;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static bool cases_run(const struct options *options)
{
	bool all = strcmp(options->name, "all") == 0;
	bool good = true;
	bool any = false;

	for (size_t i = 0; i < raft_case_count; i++) {
		bool held;

		if (!all && strcmp(options->name, raft_cases[i].name) != 0)
			continue;
		any = true;
		held = raft_cases[i].run(options->verbose);
		printf("%s %s: %s\n", held ? "ok" : "FAILED", raft_cases[i].name, raft_cases[i].says);
		good &= held;
	}
	if (!any)
		usage();
	return good;
}

/* The package exports no version of its own: its header's, and the file that was linked. */
static void library_tell(void)
{
	char path[PATH_MAX] = "";
	Dl_info info;

	if (dladdr(dlsym(RTLD_DEFAULT, "raft_init"), &info) == 0 || realpath(info.dli_fname, path) == NULL)
		snprintf(path, sizeof(path), "linked into this program");
	printf("libraft %d.%d.%d, %s\n", RAFT_VERSION_MAJOR, RAFT_VERSION_MINOR, RAFT_VERSION_RELEASE, path);
}

int main(int count, char **arguments)
{
	struct options options = options_of(count, arguments);
	bool good = true;

	setvbuf(stdout, NULL, _IOLBF, 0);
	crash_watch();
	library_tell();
	if (options.name != NULL)
		good &= cases_run(&options);
	if (options.first != 0)
		good &= seeds_run(&options);
	return good ? 0 : 1;
}

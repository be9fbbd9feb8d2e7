/* evgrid-sim: runs seeds, prints what each failing one violated and the command that replays it, and sums up marks.
 *
 *   evgrid-sim --seeds 1-1000 [--seconds 0] [--hosts 0] [--joiners N] [--repeat] [--trace] [--no-faults]
 *              [--marks-per-mille 1]
 *              [--liveness: when the faults stop a node or a link stays bad (liveness.h)]
 *              [--scenario NAME|all|help: scripted runs in place of random faults (scenarios/scenario.h)] */
#include "tests/sim/faults.h"
#include "tests/sim/scenarios/scenario.h"
#include "tests/sim/sim.h"
#include "tests/sim/workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOINERS_DRAWN UINT64_MAX

struct arguments {
	uint64_t first;
	uint64_t last;
	uint64_t seconds; /* of faults; 0: drawn from the seed */
	uint64_t hosts;   /* 0: drawn from the seed, 3 or 5 */
	uint64_t joiners; /* of three founders; JOINERS_DRAWN: drawn from the seed */
	uint64_t marks_per_mille;
	bool repeat; /* each seed twice: the traces must be equal */
	bool trace;
	bool faults;
	bool liveness;
	const char *scenario; /* NULL: none */
};

struct tally {
	uint64_t seeds;
	uint64_t failed;
	uint64_t acknowledged;
	uint64_t messages;
	uint64_t virtual_us;
	uint64_t reached[MARK_COUNT]; /* seeds that reached it */
};

/* Many short runs meet more than few long ones, for each begins with a young cluster and ends with a whole look; what
 * takes long to come about is left to the long ones. */
static uint64_t draw_seconds(struct random *random)
{
	uint64_t drawn = random_between(random, 1, 100);

	if (drawn <= 60)
		return random_between(random, 2, 5);
	if (drawn <= 90)
		return random_between(random, 5, 10);
	return drawn <= 99 ? random_between(random, 10, 30) : 60;
}

/* From a random of its own: the other draws of a seed do not depend on it. */
static uint32_t draw_joiners(const struct arguments *arguments, uint64_t seed)
{
	struct random random = {.state = seed * 0x9e3779b97f4a7c15ull + 7};

	if (arguments->joiners != JOINERS_DRAWN)
		return (uint32_t)arguments->joiners;
	return random_chance(&random, 150) ? (uint32_t)random_between(&random, 1, SIM_DRAWN_HOSTS_MAX - 3) : 0;
}

static struct sim_options options_of(const struct arguments *arguments, uint64_t seed)
{
	struct random random = {.state = seed};
	struct sim_options options = {
		.seed = seed,
		.hosts = arguments->hosts != 0 ? (uint32_t)arguments->hosts : (random_chance(&random, 250) ? 5 : 3),
		.shards = random_chance(&random, 500) ? 1 : 2,
		.clients = (uint32_t)random_between(&random, 1, 3),
		.seconds = arguments->seconds,
		.faults = arguments->faults,
		.liveness = arguments->liveness,
		.trace = arguments->trace,
	};

	options.joiners = options.hosts == 3 ? draw_joiners(arguments, seed) : 0;
	if (options.seconds == 0)
		options.seconds = draw_seconds(&random);
	return options;
}

static void replay_command(const struct arguments *arguments, uint64_t seed)
{
	printf("  replay: build/evgrid-sim --seeds %" PRIu64 "-%" PRIu64 " --seconds %" PRIu64 " --hosts %" PRIu64 "%s",
	       seed, seed, arguments->seconds, arguments->hosts, arguments->faults ? "" : " --no-faults");
	if (arguments->joiners != JOINERS_DRAWN)
		printf(" --joiners %" PRIu64, arguments->joiners);
	printf("%s --trace\n", arguments->liveness ? " --liveness" : "");
}

static void tally_add(struct tally *tally, const struct sim *sim)
{
	tally->seeds++;
	tally->acknowledged += workload_acknowledged(sim->workload);
	tally->messages += sim->messages;
	tally->virtual_us += sim->clockwork.now_us;
	for (uint32_t i = 0; i < MARK_COUNT; i++)
		tally->reached[i] += sim->marks.count[i] > 0;
}

static void run_seed(const struct arguments *arguments, uint64_t seed, struct tally *tally)
{
	struct sim_options options = options_of(arguments, seed);
	static struct sim sim;
	char faults[FAULTS_TEXT_BYTES];
	uint64_t hash;

	if (sim_run(&sim, &options) != 0) {
		tally->failed++;
		printf("seed %" PRIu64 ": FAILED after %.3f virtual seconds: %s\n", seed,
		       (double)sim.clockwork.now_us / 1e6, sim.why);
		if (sim.swarm.on != 0) {
			faults_describe(&sim, faults, sizeof faults);
			printf("  faults: %s\n", faults);
		}
		replay_command(arguments, seed);
	}
	tally_add(tally, &sim);
	hash = sim.trace_hash;
	sim_deinit(&sim);
	if (!arguments->repeat)
		return;
	sim_run(&sim, &options);
	if (sim.trace_hash != hash) {
		tally->failed++;
		printf("seed %" PRIu64 ": FAILED: two runs differ\n", seed);
	}
	sim_deinit(&sim);
}

static void play(const struct arguments *arguments, const struct scenario *scenario, uint64_t seed, struct tally *tally)
{
	static struct sim sim;
	int failed = scenario_run(&sim, scenario, seed, arguments->trace);

	tally->failed += failed != 0;
	if (failed != 0)
		printf("seed %" PRIu64 ": FAILED %s (%s) after %.3f virtual seconds: %s\n"
		       "  replay: build/evgrid-sim --scenario %s --seeds %" PRIu64 "-%" PRIu64 " --trace\n",
		       seed, scenario->name, scenario->shows, (double)sim.clockwork.now_us / 1e6, sim.why,
		       scenario->name, seed, seed);
	tally_add(tally, &sim);
	sim_deinit(&sim);
}

/* One of them, or all. */
static void play_seed(const struct arguments *arguments, uint64_t seed, struct tally *tally)
{
	for (uint32_t i = 0; i < scenario_count; i++)
		if (strcmp(arguments->scenario, "all") == 0 || strcmp(arguments->scenario, scenarios[i].name) == 0)
			play(arguments, &scenarios[i], seed, tally);
}

static int list_scenarios(void)
{
	for (uint32_t i = 0; i < scenario_count; i++)
		printf("%-5s %s\n", scenarios[i].name, scenarios[i].shows);
	return 0;
}

static bool print_marks(const struct tally *tally, uint64_t per_mille)
{
	bool complete = true;

	for (uint32_t i = 0; i < MARK_COUNT; i++) {
		bool enough = tally->reached[i] * 1000 >= per_mille * tally->seeds && tally->reached[i] > 0;

		printf("mark %-45s %6" PRIu64 " seeds%s\n", mark_name((enum mark)i), tally->reached[i],
		       enough || per_mille == 0 ? "" : "  TOO FEW");
		complete = complete && enough;
	}
	return complete || per_mille == 0;
}

static bool parse(int count, char **words, struct arguments *arguments)
{
	for (int i = 1; i < count; i++) {
		const char *value = i + 1 < count ? words[i + 1] : NULL;

		if (strcmp(words[i], "--repeat") == 0) {
			arguments->repeat = true;
		} else if (strcmp(words[i], "--trace") == 0) {
			arguments->trace = true;
		} else if (strcmp(words[i], "--no-faults") == 0) {
			arguments->faults = false;
		} else if (strcmp(words[i], "--liveness") == 0) {
			arguments->liveness = true;
		} else if (value == NULL) {
			return false;
		} else if (strcmp(words[i], "--seeds") == 0) {
			char *end;

			arguments->first = strtoull(value, &end, 10);
			arguments->last = *end == '-' ? strtoull(end + 1, &end, 10) : arguments->first;
			i++;
		} else if (strcmp(words[i], "--scenario") == 0) {
			arguments->scenario = words[++i];
		} else if (strcmp(words[i], "--seconds") == 0) {
			arguments->seconds = strtoull(words[++i], NULL, 10);
		} else if (strcmp(words[i], "--hosts") == 0) {
			arguments->hosts = strtoull(words[++i], NULL, 10);
		} else if (strcmp(words[i], "--joiners") == 0) {
			arguments->joiners = strtoull(words[++i], NULL, 10);
		} else if (strcmp(words[i], "--marks-per-mille") == 0) {
			arguments->marks_per_mille = strtoull(words[++i], NULL, 10);
		} else {
			return false;
		}
	}
	if (arguments->scenario != NULL && strcmp(arguments->scenario, "all") != 0 &&
	    strcmp(arguments->scenario, "help") != 0 && scenario_find(arguments->scenario) == NULL)
		return false;
	return arguments->first > 0 && arguments->first <= arguments->last && arguments->hosts <= SIM_DRAWN_HOSTS_MAX &&
	       (arguments->joiners == JOINERS_DRAWN || arguments->joiners <= SIM_DRAWN_HOSTS_MAX - 3);
}

int main(int count, char **words)
{
	struct arguments arguments = {.first = 1, .last = 10, .faults = true, .joiners = JOINERS_DRAWN};
	struct tally tally = {0};
	bool marks;

	if (!parse(count, words, &arguments)) {
		fprintf(stderr, "usage: evgrid-sim --seeds FIRST[-LAST] [--seconds N] [--hosts 3|5] [--joiners N] "
				"[--repeat] [--trace] "
				"[--no-faults] [--marks-per-mille N] [--liveness] [--scenario NAME|all|help]\n");
		return 2;
	}
	if (arguments.scenario != NULL && strcmp(arguments.scenario, "help") == 0)
		return list_scenarios();
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (uint64_t seed = arguments.first; seed <= arguments.last; seed++)
		if (arguments.scenario != NULL)
			play_seed(&arguments, seed, &tally);
		else
			run_seed(&arguments, seed, &tally);
	marks = arguments.scenario != NULL || print_marks(&tally, arguments.marks_per_mille);
	printf("%" PRIu64 " seeds, %" PRIu64 " failed, %" PRIu64 " events acknowledged, %" PRIu64
	       " messages, %.3f virtual hours\n",
	       tally.seeds, tally.failed, tally.acknowledged, tally.messages, (double)tally.virtual_us / 3.6e9);
	return tally.failed == 0 && marks ? 0 : 1;
}

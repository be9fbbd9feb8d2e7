/* evgrid-placement: placement's promises on random clusters that change, each answer proved (tests/placement/proof.h).
 *
 *   evgrid-placement [--clusters N] [--seed S] [--digest] [--spoil] [--verbose]
 *
 * Cluster number n is made of seed S + n - 1 alone. A fault prints the command that shows it again. --digest prints one
 * number made of all answers, and proves nothing; --spoil spoils each answer in turn, and 0 then means that every
 * spoiled answer was refused. Exit status: 0 all held; 1 not. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/checksum.h"
#include "tests/placement/proof.h"
#include "tests/unit/random.h"

#define CHANGES_PER_CLUSTER 4u
#define ZONES_MOST 8u
#define FACTOR_MOST 5u

struct options {
	uint64_t clusters;
	uint64_t seed;
	bool digest;
	bool spoil;
	bool verbose;
};

struct tally {
	uint64_t clusters;
	uint64_t answers;
	uint64_t weighted;
	uint64_t zoned;
	uint64_t levels;
	uint64_t moves;
	uint64_t moves_least;   /* that the loads demand */
	uint64_t even;          /* answers with equal weights and one zone, from a settled table */
	uint64_t even_at_least; /* of these: as many moves as counting demands, */
	uint64_t even_beyond;   /* and how many more the others took */
	uint64_t primary_moves;
	uint64_t spoilt;
	uint64_t failed;
	uint64_t digest;
	double seconds;
	double slowest;
	uint32_t slowest_nodes;
};

struct cluster {
	uint64_t random;
	uint32_t zones;
	bool weighted;
	bool settled; /* the present table is an answer, whole */
	struct proof_case one;
};

static uint32_t below(struct cluster *cluster, uint32_t limit)
{
	return (uint32_t)random_below(&cluster->random, limit);
}

/* --- clusters ----------------------------------------------------------------------------------------------------- */

/* Of two draws the lower: zones of unequal size. One in sixteen nodes of zoned clusters names none. */
static void node_zone(struct cluster *cluster, struct placement_node *node)
{
	uint32_t a = below(cluster, cluster->zones);
	uint32_t b = below(cluster, cluster->zones);

	memset(node->zone, 0, sizeof(node->zone));
	if (cluster->zones > 1 && below(cluster, 16) > 0)
		(void)snprintf(node->zone, sizeof(node->zone), "z%u", a < b ? a : b);
}

static void node_weight(struct cluster *cluster, struct placement_node *node)
{
	node->weight = cluster->weighted ? 1 + below(cluster, PROOF_WEIGHT_MAX) : 1;
}

static bool node_is(const struct proof_case *one, uint32_t id)
{
	for (uint32_t i = 0; i < one->count; i++)
		if (one->nodes[i].id == id)
			return true;
	return false;
}

static void node_join(struct cluster *cluster)
{
	struct proof_case *one = &cluster->one;
	struct placement_node node = {.id = 1 + below(cluster, PLACEMENT_NODES_MAX)};
	uint32_t at = one->count;

	if (one->count == PLACEMENT_NODES_MAX)
		return;
	while (node_is(one, node.id))
		node.id = node.id % PLACEMENT_NODES_MAX + 1;
	node_zone(cluster, &node);
	node_weight(cluster, &node);
	for (; at > 0 && one->nodes[at - 1].id > node.id; at--)
		one->nodes[at] = one->nodes[at - 1];
	one->nodes[at] = node;
	one->count++;
}

static void node_leave(struct cluster *cluster)
{
	struct proof_case *one = &cluster->one;
	uint32_t at = below(cluster, one->count);

	if (one->count == 1)
		return;
	one->count--;
	memmove(&one->nodes[at], &one->nodes[at + 1], (one->count - at) * sizeof(one->nodes[0]));
}

/* Half of the clusters are small enough for proof_levels. */
static void cluster_make(struct cluster *cluster, uint64_t seed)
{
	uint32_t count;

	memset(cluster, 0, sizeof(*cluster));
	cluster->random = seed;
	count = 1 + below(cluster, below(cluster, 2) == 0 ? PROOF_LEVELS_NODES : PLACEMENT_NODES_MAX);
	cluster->zones = below(cluster, 3) == 0 ? 1 : 1 + below(cluster, ZONES_MOST);
	cluster->weighted = below(cluster, 3) == 0;
	cluster->one.factor = 1 + below(cluster, FACTOR_MOST);
	while (cluster->one.count < count)
		node_join(cluster);
}

static void cluster_change(struct cluster *cluster)
{
	struct proof_case *one = &cluster->one;
	uint32_t times = below(cluster, 4) == 0 ? 1 + below(cluster, 3) : 1;

	while (times-- > 0) {
		struct placement_node *node;

		switch (below(cluster, 5)) {
		case 0:
		case 1: node_join(cluster); break;
		case 2: node_leave(cluster); break;
		case 3:
			node = &one->nodes[below(cluster, one->count)];
			node_zone(cluster, node);
			break;
		default:
			node = &one->nodes[below(cluster, one->count)];
			node_weight(cluster, node);
			break;
		}
	}
}

/* The answer becomes the present table; one time in eight only in part, as a controller may find it. */
static void cluster_settle(struct cluster *cluster)
{
	uint32_t whole = below(cluster, 8);

	cluster->settled = whole > 0;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		if (whole > 0 || below(cluster, 2) == 0)
			cluster->one.present[p] = cluster->one.table[p];
}

/* --- proving ------------------------------------------------------------------------------------------------------ */

static bool proved(const struct proof_case *one, char fault[PROOF_FAULT_BYTES])
{
	return proof_constraints(one, fault) && proof_replicas(one, fault) && proof_primaries(one, fault) &&
	       (one->count > PROOF_LEVELS_NODES || proof_levels(one, fault));
}

static void count_answer(struct tally *tally, const struct cluster *cluster)
{
	const struct proof_case *one = &cluster->one;
	uint32_t moves = proof_moves(one);
	uint32_t least = proof_moves_least_even(one);

	tally->weighted += cluster->weighted;
	tally->zoned += cluster->zones > 1;
	tally->levels += one->count <= PROOF_LEVELS_NODES;
	tally->moves += moves;
	tally->moves_least += proof_moves_least(one);
	tally->primary_moves += proof_primary_moves(one);
	if (cluster->weighted || cluster->zones > 1 || !cluster->settled)
		return;
	tally->even++;
	tally->even_at_least += moves == least;
	tally->even_beyond += moves - least;
}

/* One replica goes to another member, or the primary's place, so that the table is no answer any more. */
static bool spoil(struct cluster *cluster, struct proof_case *spoilt)
{
	struct placement_row *row;

	*spoilt = cluster->one;
	row = &spoilt->table[below(cluster, PARTITION_COUNT)];
	if (row->count > 1 && below(cluster, 2) == 0) {
		uint32_t other = row->replicas[1];

		row->replicas[1] = row->replicas[0];
		row->replicas[0] = other;
	} else if (row->count < spoilt->count) {
		uint32_t id = 0;

		while (id == 0 || proof_holds(row, id))
			id = spoilt->nodes[below(cluster, spoilt->count)].id;
		row->replicas[below(cluster, row->count)] = id;
	} else {
		row->count--;
	}
	/* As the present table: then whatever differs from it either moves in vain or is out of balance. */
	memcpy(spoilt->present, cluster->one.table, sizeof(spoilt->present));
	return true;
}

static void answer_prove(struct tally *tally, struct cluster *cluster, const struct options *options, uint64_t seed)
{
	char fault[PROOF_FAULT_BYTES] = "";
	struct proof_case spoilt;
	bool good;

	if (options->spoil) {
		tally->spoilt += spoil(cluster, &spoilt);
		good = !proved(&spoilt, fault);
		(void)snprintf(fault, sizeof(fault), "a spoilt answer was not refused");
	} else {
		good = proved(&cluster->one, fault);
		count_answer(tally, cluster);
	}
	if (good)
		return;
	tally->failed++;
	printf("FAILED seed %" PRIu64 ", %u nodes, factor %u: %s\n", seed, cluster->one.count, cluster->one.factor,
	       fault);
	printf("  evgrid-placement --seed %" PRIu64 " --clusters 1 --verbose%s\n", seed,
	       options->spoil ? " --spoil" : "");
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static double seconds_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void answer_make(struct tally *tally, struct cluster *cluster)
{
	struct proof_case *one = &cluster->one;
	double begun = seconds_now();
	struct span parts[2];
	double taken;

	if (placement_compute(one->nodes, one->count, one->factor, one->present, one->table) != 0) {
		fputs("no memory\n", stderr);
		exit(1);
	}
	taken = seconds_now() - begun;
	tally->answers++;
	tally->seconds += taken;
	if (taken > tally->slowest) {
		tally->slowest = taken;
		tally->slowest_nodes = one->count;
	}
	parts[0] = span_of(&tally->digest, sizeof(tally->digest));
	parts[1] = span_of(one->table, sizeof(one->table));
	tally->digest = checksum_parts(parts, 2);
}

static void cluster_run(struct tally *tally, const struct options *options, uint64_t seed)
{
	static struct cluster cluster;

	cluster_make(&cluster, seed);
	tally->clusters++;
	for (uint32_t change = 0; change <= CHANGES_PER_CLUSTER; change++) {
		answer_make(tally, &cluster);
		if (options->verbose)
			printf("seed %" PRIu64 ": %u nodes in %u zones%s, factor %u: %u moves\n", seed,
			       cluster.one.count, cluster.zones, cluster.weighted ? ", weighted" : "",
			       cluster.one.factor, proof_moves(&cluster.one));
		if (!options->digest)
			answer_prove(tally, &cluster, options, seed);
		cluster_settle(&cluster);
		cluster_change(&cluster);
	}
}

static void report(const struct tally *tally, const struct options *options)
{
	printf("seeds %" PRIu64 "-%" PRIu64 ": %" PRIu64 " clusters, %" PRIu64 " answers in %.1f s of CPU, the slowest "
	       "%.0f ms (%u nodes)\n",
	       options->seed, options->seed + options->clusters - 1, tally->clusters, tally->answers, tally->seconds,
	       tally->slowest * 1000, tally->slowest_nodes);
	if (options->digest) {
		printf("digest %016" PRIx64 "\n", tally->digest);
		return;
	}
	if (options->spoil) {
		printf("%" PRIu64 " spoilt answers, %" PRIu64 " not refused\n", tally->spoilt, tally->failed);
		return;
	}
	printf("%" PRIu64 " with zones, %" PRIu64 " with weights, %" PRIu64
	       " against the best levels by maximal flow\n",
	       tally->zoned, tally->weighted, tally->levels);
	printf("%" PRIu64 " replicas moved, %" PRIu64 " at least by the loads; %" PRIu64 " primaries moved\n",
	       tally->moves, tally->moves_least, tally->primary_moves);
	printf("equal weights, one zone, from a settled table: %" PRIu64 " of %" PRIu64 " at the bound by counts, the "
	       "others %" PRIu64 " moves beyond it\n",
	       tally->even_at_least, tally->even, tally->even_beyond);
	printf("%" PRIu64 " answers failed\n", tally->failed);
}

static void usage(void)
{
	fputs("usage: evgrid-placement [--clusters N] [--seed S] [--digest] [--spoil] [--verbose]\n", stderr);
	exit(2);
}

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t number = strtoull(text, &end, 10);

	if (*text == '\0' || *end != '\0')
		usage();
	return number;
}

static struct options options_of(int argc, char **argv)
{
	static const struct option known[] = {
		{"clusters", required_argument, NULL, 'c'}, {"seed", required_argument, NULL, 's'},
		{"digest", no_argument, NULL, 'd'},         {"spoil", no_argument, NULL, 'p'},
		{"verbose", no_argument, NULL, 'v'},        {NULL, 0, NULL, 0},
	};
	struct options options = {.clusters = 100, .seed = 1};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'c': options.clusters = number_of(optarg); break;
		case 's': options.seed = number_of(optarg); break;
		case 'd': options.digest = true; break;
		case 'p': options.spoil = true; break;
		case 'v': options.verbose = true; break;
		default: usage();
		}
	}
	if (optind != argc || options.clusters == 0)
		usage();
	return options;
}

int main(int argc, char **argv)
{
	struct options options = options_of(argc, argv);
	struct tally tally = {0};

	for (uint64_t i = 0; i < options.clusters; i++)
		cluster_run(&tally, &options, options.seed + i);
	report(&tally, &options);
	return tally.failed == 0 ? 0 : 1;
}

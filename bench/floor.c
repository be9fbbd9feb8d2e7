/* evgrid-floor: starts three node processes, runs the client, verifies what came of it, prints the figures as JSON. */
#include "bench/floor.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define END_MS 5000u /* for a node to end by itself */

struct child {
	pid_t pid;
	int control;
};

static struct child children[FLOOR_NODES]; /* for end_children, which atexit calls */

static const char usage[] =
	"Usage: evgrid-floor [OPTION...]\n"
	"The least program that does the work of Evgrid's data path: three nodes and a client on this machine.\n"
	"  --mode MODE       throughput, single (one event at a time), rtt (a bare ZeroMQ round trip) or all "
	"(default)\n"
	"  --seconds N       time for each mode (default 5); the first tenth is not measured\n"
	"  --in-flight N     events in flight in mode throughput (default 6544)\n"
	"  --keys N          (default 100000)\n"
	"  --dir DIRECTORY   where the journals lie, on the disk to be measured (default $TMPDIR or /var/tmp)\n"
	"  --file-mib N      size of each node's journal, written with zeros first (default 128)\n"
	"Prints JSON; exit status 0: measured and verified, 1: not, 2: wrong usage.\n";

static uint32_t number_option(const char *name, const char *text, uint32_t least, uint32_t most)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value < least || value > most) {
		fprintf(stderr, "evgrid-floor: --%s: expected %u to %u, got \"%s\"\n", name, least, most, text);
		exit(2);
	}
	return (uint32_t)value;
}

static void mode_option(struct floor_config *config, const char *text)
{
	bool all = strcmp(text, "all") == 0;

	config->throughput = all || strcmp(text, "throughput") == 0;
	config->single = all || strcmp(text, "single") == 0;
	config->rtt = all || strcmp(text, "rtt") == 0;
	if (!config->throughput && !config->single && !config->rtt) {
		fprintf(stderr, "evgrid-floor: --mode: expected throughput, single, rtt or all, got \"%s\"\n", text);
		exit(2);
	}
}

static void parse_options(struct floor_config *config, int count, char **words)
{
	static const struct option options[] = {
		{"mode", required_argument, NULL, 'm'},
		{"seconds", required_argument, NULL, 's'},
		{"in-flight", required_argument, NULL, 'i'},
		{"keys", required_argument, NULL, 'k'},
		{"dir", required_argument, NULL, 'd'},
		{"file-mib", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	while ((option = getopt_long(count, words, "h", options, NULL)) != -1) {
		switch (option) {
		case 'm': mode_option(config, optarg); break;
		case 's': config->seconds = number_option("seconds", optarg, 1, 3600); break;
		case 'i': config->in_flight = number_option("in-flight", optarg, 1, FLOOR_IN_FLIGHT_MAX); break;
		case 'k': config->keys = number_option("keys", optarg, 1, FLOOR_KEYS_MAX); break;
		case 'd': config->directory = optarg; break;
		case 'f': config->file_mib = number_option("file-mib", optarg, 16, 65536); break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (optind < count) {
		fputs(usage, stderr);
		exit(2);
	}
}

/* Closing its socket ends a node; one that does not end is killed. */
static void end_children(void)
{
	const struct timespec pause = {0, 5000000};
	uint64_t end_ns = floor_now_ns() + END_MS * 1000000ull;

	for (uint32_t i = 0; i < FLOOR_NODES; i++) {
		if (children[i].pid > 0)
			close(children[i].control);
	}
	for (uint32_t i = 0; i < FLOOR_NODES; i++) {
		if (children[i].pid <= 0)
			continue;
		while (waitpid(children[i].pid, NULL, WNOHANG) == 0) {
			if (floor_now_ns() > end_ns)
				kill(children[i].pid, SIGKILL);
			nanosleep(&pause, NULL);
		}
		children[i].pid = 0;
	}
}

static void watch_children(void)
{
	for (uint32_t i = 0; i < FLOOR_NODES; i++) {
		if (waitpid(children[i].pid, NULL, WNOHANG) == 0)
			continue;
		children[i].pid = 0;
		close(children[i].control);
		floor_fail("node %u has ended", i);
	}
}

static void start_child(uint32_t index, const struct floor_config *config)
{
	int ends[2];
	pid_t pid;

	floor_expect(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "socket pair");
	pid = fork();
	floor_expect(pid >= 0, "fork");
	if (pid == 0) {
		close(ends[0]);
		for (uint32_t i = 0; i < index; i++)
			close(children[i].control); /* else a node would not see its parent's end */
		exit(floor_node_run(index, ends[1], config));
	}
	close(ends[1]);
	children[index] = (struct child){pid, ends[0]};
}

static void tell_child(uint32_t index, const void *bytes, size_t size)
{
	if (send(children[index].control, bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
		floor_fail("node %u has ended", index);
}

static void read_child(uint32_t index, void *into, size_t size)
{
	if (recv(children[index].control, into, size, 0) != (ssize_t)size)
		floor_fail("node %u has ended", index);
}

static void start_children(const struct floor_config *config, uint16_t ports[FLOOR_NODES])
{
	char ready;

	for (uint32_t i = 0; i < FLOOR_NODES; i++)
		start_child(i, config);
	atexit(end_children);
	for (uint32_t i = 0; i < FLOOR_NODES; i++)
		read_child(i, &ports[i], sizeof ports[i]);
	for (uint32_t i = 0; i < FLOOR_NODES; i++)
		tell_child(i, ports, FLOOR_NODES * sizeof *ports);
	for (uint32_t i = 0; i < FLOOR_NODES; i++)
		read_child(i, &ready, sizeof ready);
}

static void read_counts(struct floor_counts counts[FLOOR_NODES])
{
	for (uint32_t i = 0; i < FLOOR_NODES; i++) {
		tell_child(i, "c", 1);
		read_child(i, &counts[i], sizeof counts[i]);
	}
}

/* Every event that the client sent was applied once, to the same keys, on each node. */
static void verify(const struct floor_client *client, const struct floor_counts counts[FLOOR_NODES])
{
	struct floor_counts sent;

	floor_client_count(client, &sent);
	for (uint32_t i = 0; i < FLOOR_NODES; i++) {
		if (counts[i].events != sent.events || counts[i].keys != sent.keys || counts[i].digest != sent.digest)
			floor_fail("node %u counts %llu events of %llu keys, the client sent %llu of %llu", i,
				   (unsigned long long)counts[i].events, (unsigned long long)counts[i].keys,
				   (unsigned long long)sent.events, (unsigned long long)sent.keys);
	}
}

static void print_nodes(const struct floor_counts before[FLOOR_NODES], const struct floor_counts after[FLOOR_NODES])
{
	for (uint32_t i = 0; i < FLOOR_NODES; i++) {
		uint64_t blocks = after[i].blocks - before[i].blocks;
		double sync_us = (double)(after[i].sync_ns - before[i].sync_ns) / 1000;

		printf("%s\n      {\"journal_bytes\": %llu, \"blocks\": %llu, \"write_mean_us\": %.1f}",
		       i > 0 ? "," : "", (unsigned long long)(after[i].journal_bytes - before[i].journal_bytes),
		       (unsigned long long)blocks, blocks > 0 ? sync_us / (double)blocks : 0.0);
	}
}

static void print_times(const struct floor_figures *figures)
{
	printf("    \"p50_us\": %.1f,\n    \"p99_us\": %.1f,\n    \"p999_us\": %.1f,\n    \"most_us\": %.1f,\n",
	       histogram_us(&figures->times, 0.5), histogram_us(&figures->times, 0.99),
	       histogram_us(&figures->times, 0.999), (double)figures->times.most_ns / 1000);
	printf("    \"apart\": {\"events\": %llu, \"p50_us\": %.1f, \"most_us\": %.1f},\n",
	       (unsigned long long)figures->apart.count, histogram_us(&figures->apart, 0.5),
	       (double)figures->apart.most_ns / 1000);
}

static void print_machine(const struct floor_figures *figures)
{
	printf("    \"witness\": {\"pauses\": %llu, \"stalls\": %llu, \"longest_ms\": %.1f},\n    \"steal_ms\": %llu",
	       (unsigned long long)figures->witness.pauses, (unsigned long long)figures->witness.stalls,
	       (double)figures->witness.longest_ns / 1e6, (unsigned long long)figures->steal_ms);
}

static void print_figures(const char *mode, uint32_t in_flight, const struct floor_figures *figures,
			  const struct floor_counts before[FLOOR_NODES], const struct floor_counts after[FLOOR_NODES])
{
	double containers = figures->containers > 0 ? (double)figures->containers : 1;
	double batches = figures->batches > 0 ? (double)figures->batches : 1;

	printf(",\n  \"%s\": {\n    \"in_flight\": %u,\n    \"events\": %llu,\n    \"seconds\": %.3f,\n"
	       "    \"events_per_second\": %.0f,\n    \"payload_bytes\": %llu,\n",
	       mode, in_flight, (unsigned long long)figures->events, figures->seconds,
	       (double)figures->events / figures->seconds, (unsigned long long)figures->events * FLOOR_EVENT_BYTES);
	print_times(figures);
	printf("    \"events_per_batch\": %.2f,\n    \"batches_per_container\": %.1f,\n",
	       (double)figures->events / batches, (double)figures->batches / containers);
	print_machine(figures);
	printf(",\n    \"nodes\": [");
	print_nodes(before, after);
	printf("\n    ]\n  }");
}

static const char *filesystem_name(const char *directory)
{
	static const struct {
		uint64_t magic;
		const char *name;
	} names[] = {{0xEF53, "ext4"},      {0x58465342, "xfs"},       {0x9123683E, "btrfs"},
		     {0x01021994, "tmpfs"}, {0x794C7630, "overlayfs"}, {0x2FC12FC1, "zfs"}};
	struct statfs status;

	if (statfs(directory, &status) != 0)
		floor_fail("%s: %s", directory, strerror(errno));
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (names[i].magic == (uint64_t)status.f_type)
			return names[i].name;
	}
	return "other";
}

static void run_mode(struct floor_client *client, const char *mode, uint32_t in_flight,
		     struct floor_counts counts[FLOOR_NODES])
{
	struct floor_figures *figures = malloc(sizeof *figures);
	struct floor_counts before[FLOOR_NODES];

	floor_expect(figures != NULL, "memory");
	memcpy(before, counts, sizeof before);
	floor_client_run(client, in_flight, watch_children, figures);
	read_counts(counts);
	print_figures(mode, in_flight, figures, before, counts);
	free(figures);
}

static void run_rtt(const struct floor_config *config, const uint16_t ports[FLOOR_NODES])
{
	struct floor_figures *figures = malloc(sizeof *figures);

	floor_expect(figures != NULL, "memory");
	floor_rtt_run(config, ports, watch_children, figures);
	printf(",\n  \"rtt\": {\n    \"ask_bytes\": %u,\n    \"reply_bytes\": %u,\n    \"round_trips\": %llu,\n"
	       "    \"seconds\": %.3f,\n",
	       FLOOR_ASK_BYTES, FLOOR_REPLY_BYTES, (unsigned long long)figures->events, figures->seconds);
	print_times(figures);
	print_machine(figures);
	printf("\n  }");
	free(figures);
}

int main(int count, char **words)
{
	const char *directory = getenv("TMPDIR");
	struct floor_config config = {
		.seconds = 5,
		.in_flight = 6544,
		.keys = 100000,
		.file_mib = 128,
		.throughput = true,
		.single = true,
		.rtt = true,
		.directory = directory != NULL && *directory != '\0' ? directory : "/var/tmp",
	};
	struct floor_counts counts[FLOOR_NODES] = {{0}};
	uint16_t ports[FLOOR_NODES];
	struct floor_client *client;
	const char *filesystem;

	parse_options(&config, count, words);
	filesystem = filesystem_name(config.directory);
	if (strcmp(filesystem, "tmpfs") == 0)
		fprintf(stderr, "evgrid-floor: %s is in memory: syncing costs nothing there\n", config.directory);
	start_children(&config, ports);
	client = floor_client_new(&config, ports, watch_children);
	printf("{\n  \"program\": \"evgrid-floor\",\n  \"nodes\": %u,\n  \"partitions\": %u,\n  \"keys\": %u,\n"
	       "  \"event_bytes\": %u,\n  \"filesystem\": \"%s\"",
	       FLOOR_NODES, PARTITION_COUNT, config.keys, FLOOR_EVENT_BYTES, filesystem);
	if (config.throughput)
		run_mode(client, "throughput", config.in_flight, counts);
	if (config.single)
		run_mode(client, "single", 1, counts);
	if (config.rtt)
		run_rtt(&config, ports);
	read_counts(counts);
	verify(client, counts);
	printf(",\n  \"verified_events\": %llu\n}\n", (unsigned long long)counts[0].events);
	floor_client_free(client);
	return 0;
}

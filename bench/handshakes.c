/* Bad handshakes at a rate: what a port with keys has to bear from whoever reaches it.
 *
 *   bench-handshakes RATE SECONDS SOURCE ADDRESS PORT...
 *
 * Each is a TCP connection from the address SOURCE (of this machine) to one of the ports in turn, a greeting that asks
 * for CURVE, and a HELLO whose box cannot be opened: the most that a stranger can make a node compute without a key of
 * its own. One that the kernel has not connected when SPEAK_AFTER newer ones have been begun is given up: then its SYN
 * was dropped, or the backlog is full. A connection is given up when OPEN_MAX newer ones have been begun, or ended by
 * the node before. SIGTERM ends it early. Prints one JSON line: how many were begun (SYNs that were offered), connected
 * and spoken to, ended by the node by then, and the first two per second. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OPEN_MAX 2048u
#define SPEAK_AFTER 256u /* connections begun after it: a node has accepted it by then */
#define GREETING_BYTES 64u
#define HELLO_BYTES 200u /* CURVE's */
#define FRAME_BYTES (GREETING_BYTES + 2u + HELLO_BYTES)

struct flood {
	struct sockaddr_in source;
	struct sockaddr_in address;
	uint16_t *ports;
	uint32_t port_count;
	int open[OPEN_MAX]; /* -1: none */
	uint64_t turns;
	uint64_t begun;
	uint64_t connected;
	uint64_t ended_by_node;
	uint8_t frame[FRAME_BYTES];
};

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	stopped = number;
}

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* ZMTP 3.1: signature, version, mechanism, then the command HELLO of 6 + 2 + 72 + 32 + 8 + 80 bytes. */
static void make_frame(uint8_t frame[FRAME_BYTES])
{
	uint8_t *hello = frame + GREETING_BYTES + 2;

	memset(frame, 0, FRAME_BYTES);
	frame[0] = 0xff;
	frame[9] = 0x7f;
	frame[10] = 3;
	frame[11] = 1;
	memcpy(frame + 12, "CURVE", 5);
	frame[GREETING_BYTES] = 4; /* a command, short */
	frame[GREETING_BYTES + 1] = HELLO_BYTES;
	memcpy(hello, "\5HELLO\1\0", 8);
	if (getrandom(hello + 80, HELLO_BYTES - 80, 0) != HELLO_BYTES - 80)
		exit(1);
}

static void give_up(struct flood *flood, int *connection)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0}; /* else ports would soon be used up */
	struct pollfd end = {.fd = *connection, .events = POLLRDHUP};

	if (*connection < 0)
		return;
	flood->ended_by_node += poll(&end, 1, 0) > 0 && (end.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
	(void)setsockopt(*connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	(void)close(*connection);
	*connection = -1;
}

static void speak(struct flood *flood, int *connection)
{
	if (*connection >= 0 && send(*connection, flood->frame, FRAME_BYTES, MSG_NOSIGNAL) == (ssize_t)FRAME_BYTES) {
		flood->connected++;
		return;
	}
	if (*connection >= 0)
		(void)close(*connection);
	*connection = -1;
}

static bool begin(const struct flood *flood, int connection)
{
	const int on = 1;

	return setsockopt(connection, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
	       bind(connection, (const struct sockaddr *)&flood->source, sizeof flood->source) == 0 &&
	       (connect(connection, (const struct sockaddr *)&flood->address, sizeof flood->address) == 0 ||
		errno == EINPROGRESS);
}

static void begin_one(struct flood *flood)
{
	int *place = &flood->open[flood->turns % OPEN_MAX];

	if (flood->turns >= SPEAK_AFTER)
		speak(flood, &flood->open[(flood->turns - SPEAK_AFTER) % OPEN_MAX]);
	give_up(flood, place);
	flood->address.sin_port = htons(flood->ports[flood->turns % flood->port_count]);
	flood->turns++;
	*place = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*place >= 0 && begin(flood, *place)) {
		flood->begun++;
	} else if (*place >= 0) { /* nobody listens, as while a node restarts */
		(void)close(*place);
		*place = -1;
	}
}

/* What a slow turn missed is not made up for beyond a tenth of a second. Its duration in microseconds. */
static uint64_t run(struct flood *flood, uint64_t rate, uint64_t seconds)
{
	uint64_t start_us = now_us(), due_us = start_us, now = start_us;

	while (now < start_us + seconds * 1000000u && stopped == 0) {
		while (due_us <= now) {
			begin_one(flood);
			due_us += 1000000u / rate;
		}
		(void)poll(NULL, 0, 1);
		now = now_us();
		if (due_us + 100000u < now)
			due_us = now - 100000u;
	}
	for (uint32_t i = 0; i < OPEN_MAX; i++)
		give_up(flood, &flood->open[i]);
	return now - start_us;
}

static bool parse(struct sockaddr_in *address, const char *text)
{
	address->sin_family = AF_INET;
	return inet_pton(AF_INET, text, &address->sin_addr) == 1;
}

int main(int argc, char **argv)
{
	static struct flood flood;
	uint16_t ports[64];
	uint64_t rate, seconds, spent_us;

	if (argc < 6 || argc > 5 + (int)(sizeof ports / sizeof ports[0])) {
		fprintf(stderr, "usage: bench-handshakes RATE SECONDS SOURCE ADDRESS PORT...\n");
		return 2;
	}
	rate = strtoull(argv[1], NULL, 10);
	seconds = strtoull(argv[2], NULL, 10);
	if (rate == 0 || rate > 1000000 || !parse(&flood.source, argv[3]) || !parse(&flood.address, argv[4]))
		return 2;
	for (int i = 5; i < argc; i++)
		ports[flood.port_count++] = (uint16_t)strtoul(argv[i], NULL, 10);
	flood.ports = ports;
	for (uint32_t i = 0; i < OPEN_MAX; i++)
		flood.open[i] = -1;
	make_frame(flood.frame);
	(void)signal(SIGTERM, stop);
	spent_us = run(&flood, rate, seconds) + 1;
	printf("{\"begun\":%" PRIu64 ",\"connected\":%" PRIu64 ",\"ended_by_node\":%" PRIu64
	       ",\"begun_per_second\":%" PRIu64 ",\"connected_per_second\":%" PRIu64 "}\n",
	       flood.begun, flood.connected, flood.ended_by_node, flood.begun * 1000000u / spent_us,
	       flood.connected * 1000000u / spent_us);
	return 0;
}

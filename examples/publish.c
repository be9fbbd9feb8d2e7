/* Publishes events without waiting for each, and waits for their completion at the end.
 *
 *   publish ADDRESSES COUNT      for example: publish 127.0.0.1:7400 1000
 *
 * Every event accepted by evg_publish is completed exactly once: applied, not applied, or unknown. Prints how many of
 * each; exit status 0 when all are applied. */
#include <evgrid.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DONE_MS 60000

struct tally { /* touched by the library's thread only, until evg_flush has returned */
	uint64_t outcomes[3];
	uint64_t slowest_us;
};

static void told(void *user, const evg_completion *completion)
{
	struct tally *tally = user;

	tally->outcomes[completion->outcome]++;
	if (completion->total_us > tally->slowest_us)
		tally->slowest_us = completion->total_us;
	if (completion->outcome != EVG_APPLIED)
		fprintf(stderr, "%s: %s\n", evg_error_name(completion->error), evg_error_next(completion->error));
}

/* One event; where the window is full it waits for room. */
static int publish(evg *grid, unsigned number, struct tally *tally)
{
	char key[32];
	char json[64];
	void *payload = NULL;
	size_t size = 0;
	evg_event event = {.stream = "Measurement", .type = evg_text("Measured")};
	int error;

	snprintf(key, sizeof key, "sensor-%u", number % 100);
	snprintf(json, sizeof json, "{\"number\":%u,\"celsius\":%u.5}", number, number % 40);
	error = evg_json_to_payload(json, strlen(json), &payload, &size);
	if (error != EVG_OK)
		return error;
	event.key = evg_text(key);
	event.payload = evg_bytes_of(payload, size);
	while ((error = evg_publish(grid, &event, NULL, told, tally)) == EVG_BUSY) {
		error = evg_wait_room(grid, DONE_MS);
		if (error != EVG_OK)
			break;
	}
	evg_free(payload); /* the event was copied */
	return error;
}

int main(int argc, char **argv)
{
	struct tally tally = {{0}, 0};
	unsigned count;
	evg *grid;
	int error;

	if (argc != 3) {
		fprintf(stderr, "usage: publish ADDRESSES COUNT\n");
		return 2;
	}
	count = (unsigned)strtoul(argv[2], NULL, 10);
	error = evg_open(argv[1], NULL, &grid);
	if (error != EVG_OK) {
		fprintf(stderr, "%s: %s; %s\n", argv[1], evg_error_text(error), evg_error_next(error));
		return 1;
	}
	error = evg_stream_create(grid, "Measurement", DONE_MS);
	for (unsigned i = 0; i < count && error == EVG_OK; i++)
		error = publish(grid, i, &tally);
	if (error == EVG_OK)
		error = evg_flush(grid, DONE_MS); /* all are completed, and told has returned */
	evg_close(grid);
	if (error != EVG_OK)
		fprintf(stderr, "%s; %s\n", evg_error_text(error), evg_error_next(error));
	printf("applied %" PRIu64 ", not applied %" PRIu64 ", unknown %" PRIu64 ", slowest %" PRIu64 " us\n",
	       tally.outcomes[EVG_APPLIED], tally.outcomes[EVG_NOT_APPLIED], tally.outcomes[EVG_UNKNOWN],
	       tally.slowest_us);
	return error == EVG_OK && tally.outcomes[EVG_APPLIED] == count ? 0 : 1;
}

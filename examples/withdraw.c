/* Reads an account, decides, and writes only if nobody wrote meanwhile; else it reads and decides again.
 *
 *   withdraw ADDRESSES ACCOUNT AMOUNT TIMES
 *
 * Stream Account, view accounts (examples/accounts.yaml). However many of these run at once, no account is overdrawn:
 * the version that the decision rests on is read first, and the event is stored only if it still is the account's.
 * Prints how many withdrawals were made and refused, and how often it had to decide again. */
#include <evgrid.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum decision { MADE, REFUSED, AGAIN, FAILED };

static enum decision failed(const char *what, int error)
{
	fprintf(stderr, "%s: %s [%s]; %s\n", what, evg_error_text(error), evg_error_name(error), evg_error_next(error));
	return FAILED;
}

/* The member balance of the account's state. An EVG code. */
static int read_balance(evg *grid, const evg_read *read, long *balance)
{
	evg_entry entry;
	char *json = NULL;
	const char *at;
	size_t size;
	int error = evg_view_get(grid, "accounts", read, &entry);

	if (error != EVG_OK)
		return error;
	error = evg_payload_to_json(entry.state.data, entry.state.size, &json, &size);
	at = error == EVG_OK ? strstr(json, "\"balance\":") : NULL;
	*balance = at == NULL ? 0 : strtol(at + strlen("\"balance\":"), NULL, 10);
	evg_free(json);
	evg_entry_free(&entry);
	return error;
}

/* Stores the withdrawal if the account's version is still the one given. */
static enum decision store(evg *grid, const char *account, long amount, uint64_t version)
{
	evg_expect expect = {.kind = EVG_EXPECT_VERSION, .version = version};
	evg_event event = {.stream = "Account", .type = evg_text("Withdrawn"), .key = evg_text(account)};
	evg_completion done;
	void *payload = NULL;
	char json[64];
	size_t size = 0;
	int error;

	snprintf(json, sizeof json, "{\"amount\":%ld}", amount);
	error = evg_json_to_payload(json, strlen(json), &payload, &size);
	if (error != EVG_OK)
		return failed("payload", error);
	event.payload = evg_bytes_of(payload, size);
	error = evg_publish_sync(grid, &event, &expect, &done);
	evg_free(payload);
	if (error == EVG_CHECK_FAILED) /* somebody was quicker: done.actual_version says by how much */
		return AGAIN;
	/* When the outcome is unknown, the withdrawal may have been made: to try again could make it twice. */
	return error == EVG_OK ? MADE : failed("withdrawing", error);
}

static enum decision withdraw(evg *grid, const char *account, long amount)
{
	evg_read read = {.key = evg_text(account), .mode = EVG_READ_LINEARIZABLE};
	uint64_t version = 0;
	long balance = 0;
	int error = evg_key_version(grid, "Account", &read, &version); /* first: what is read later is not older */

	if (error == EVG_OK)
		error = read_balance(grid, &read, &balance);
	if (error != EVG_OK)
		return failed(account, error);
	return balance < amount ? REFUSED : store(grid, account, amount, version);
}

int main(int argc, char **argv)
{
	unsigned counts[3] = {0, 0, 0};
	unsigned times;
	evg *grid;
	int error;

	if (argc != 5) {
		fprintf(stderr, "usage: withdraw ADDRESSES ACCOUNT AMOUNT TIMES\n");
		return 2;
	}
	error = evg_open(argv[1], NULL, &grid);
	if (error != EVG_OK)
		return failed(argv[1], error) == FAILED;
	times = (unsigned)strtoul(argv[4], NULL, 10);
	while (counts[MADE] + counts[REFUSED] < times) {
		enum decision decision = withdraw(grid, argv[2], strtol(argv[3], NULL, 10));
		if (decision == FAILED)
			break;
		counts[decision]++;
	}
	evg_close(grid);
	printf("made %u, refused %u, decided again %u\n", counts[MADE], counts[REFUSED], counts[AGAIN]);
	return counts[MADE] + counts[REFUSED] == times ? 0 : 1;
}

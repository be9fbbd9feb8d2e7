/* Looking up names. Threads: see the header. */
#include "net/resolver.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RESOLVER_NAMES (2u * NODES_MAX) /* twice as many as members can be: names that nobody has any more */

struct name {
	char host[ADDRESS_MAX_BYTES + 1]; /* empty: free */
	char numbers[RESOLVER_NUMBERS][RESOLVER_NUMBER_BYTES];
	size_t count;
	uint64_t asked_ms;
	uint64_t answered_ms; /* 0: never */
	bool on_its_way;
};

struct resolver {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	resolver_lookup *lookup;
	unsigned holders; /* the owner, and each look-up on its way */
	struct name names[RESOLVER_NAMES];
};

struct question {
	struct resolver *resolver;
	char host[ADDRESS_MAX_BYTES + 1];
};

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- the system's ------------------------------------------------------------------------------------------------- */

static size_t take_family(const struct addrinfo *found, int family, size_t count,
			  char numbers[RESOLVER_NUMBERS][RESOLVER_NUMBER_BYTES])
{
	for (; found != NULL && count < RESOLVER_NUMBERS; found = found->ai_next) {
		if (found->ai_family == family && getnameinfo(found->ai_addr, found->ai_addrlen, numbers[count],
							      RESOLVER_NUMBER_BYTES, NULL, 0, NI_NUMERICHOST) == 0)
			count++;
	}
	return count;
}

size_t resolver_system(const char *host, char numbers[RESOLVER_NUMBERS][RESOLVER_NUMBER_BYTES])
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *found = NULL;
	size_t count;

	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		return 0;
	count = take_family(found, AF_INET, 0, numbers);
	count = take_family(found, AF_INET6, count, numbers);
	freeaddrinfo(found);
	return count;
}

/* --- look-ups ----------------------------------------------------------------------------------------------------- */

static struct name *name_of(struct resolver *resolver, const char *host)
{
	for (size_t i = 0; i < RESOLVER_NAMES; i++) {
		if (strcmp(resolver->names[i].host, host) == 0)
			return &resolver->names[i];
	}
	return NULL;
}

/* A free one, or the one that was asked for longest ago. NULL: all are being looked up. */
static struct name *new_name(struct resolver *resolver, const char *host)
{
	struct name *oldest = NULL;

	for (size_t i = 0; i < RESOLVER_NAMES; i++) {
		struct name *name = &resolver->names[i];

		if (!name->on_its_way && (oldest == NULL || name->asked_ms < oldest->asked_ms))
			oldest = name;
	}
	if (oldest == NULL)
		return NULL;
	memset(oldest, 0, sizeof *oldest);
	snprintf(oldest->host, sizeof oldest->host, "%s", host);
	return oldest;
}

static void drop(struct resolver *resolver) /* with the lock, which it gives back */
{
	bool last = --resolver->holders == 0;

	pthread_mutex_unlock(&resolver->lock);
	if (!last)
		return;
	pthread_cond_destroy(&resolver->answered);
	pthread_mutex_destroy(&resolver->lock);
	free(resolver);
}

static void *look_up(void *argument)
{
	struct question *question = argument;
	struct resolver *resolver = question->resolver;
	char numbers[RESOLVER_NUMBERS][RESOLVER_NUMBER_BYTES] = {{0}};
	size_t count = resolver->lookup(question->host, numbers);
	struct name *name;

	pthread_mutex_lock(&resolver->lock);
	name = name_of(resolver, question->host);
	assert(name != NULL && name->on_its_way);
	name->on_its_way = false;
	name->answered_ms = monotonic_ms();
	if (count > 0) {
		memcpy(name->numbers, numbers, sizeof numbers);
		name->count = count;
	}
	pthread_cond_broadcast(&resolver->answered);
	drop(resolver);
	free(question);
	return NULL;
}

static void ask(struct resolver *resolver, struct name *name) /* with the lock */
{
	struct question *question = malloc(sizeof *question);
	pthread_attr_t detached;
	pthread_t thread;

	if (question == NULL)
		return; /* asked again */
	question->resolver = resolver;
	memcpy(question->host, name->host, sizeof question->host);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &detached, look_up, question) == 0) {
		name->on_its_way = true;
		resolver->holders++;
	} else {
		free(question);
	}
	pthread_attr_destroy(&detached);
}

/* With the lock, which it lets go meanwhile. A name that was forgotten meanwhile is another's, or free. */
static void wait_a_little(struct resolver *resolver, const char *host)
{
	struct name *name = name_of(resolver, host);
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += RESOLVER_PATIENCE_MS * 1000000l;
	if (until.tv_nsec >= 1000000000l) {
		until.tv_nsec -= 1000000000l;
		until.tv_sec++;
	}
	while (name != NULL && name->on_its_way &&
	       pthread_cond_clockwait(&resolver->answered, &resolver->lock, CLOCK_MONOTONIC, &until) == 0)
		name = name_of(resolver, host);
}

/* --- what is known ------------------------------------------------------------------------------------------------ */

struct resolver *resolver_new(resolver_lookup *lookup)
{
	struct resolver *resolver = calloc(1, sizeof *resolver);

	if (resolver == NULL)
		return NULL;
	pthread_mutex_init(&resolver->lock, NULL);
	pthread_cond_init(&resolver->answered, NULL);
	resolver->lookup = lookup;
	resolver->holders = 1;
	return resolver;
}

struct resolver *resolver_free(struct resolver *resolver)
{
	if (resolver != NULL) {
		pthread_mutex_lock(&resolver->lock);
		drop(resolver);
	}
	return NULL;
}

static bool is_number(const char *host)
{
	struct in_addr four;

	return host[0] == '[' || inet_pton(AF_INET, host, &four) == 1;
}

/* With the lock. Whether it was found; `current` if that is one of several. */
static bool tell(const struct name *name, const char *port, const char *current, char found[RESOLVER_ADDRESS_BYTES])
{
	for (size_t i = name->count; i-- > 0;) {
		bool six = strchr(name->numbers[i], ':') != NULL;

		snprintf(found, RESOLVER_ADDRESS_BYTES, six ? "[%s]%s" : "%s%s", name->numbers[i], port);
		if (strcmp(found, current) == 0)
			return true;
	}
	return name->count > 0; /* the first was written last */
}

bool resolver_find(struct resolver *resolver, const char *address, const char *current,
		   char found[RESOLVER_ADDRESS_BYTES])
{
	const char *port = strrchr(address, ':');
	uint64_t now_ms = monotonic_ms();
	char host[ADDRESS_MAX_BYTES + 1];
	struct name *name;
	bool known = false, first;

	if (port == NULL || port == address || strlen(port) > 6)
		return false;
	snprintf(host, sizeof host, "%.*s", (int)(port - address), address);
	if (is_number(host))
		return snprintf(found, RESOLVER_ADDRESS_BYTES, "%s", address) < (int)RESOLVER_ADDRESS_BYTES;
	pthread_mutex_lock(&resolver->lock);
	name = name_of(resolver, host);
	first = name == NULL;
	if (first)
		name = new_name(resolver, host);
	if (name != NULL) {
		name->asked_ms = now_ms;
		if (!name->on_its_way && (name->answered_ms == 0 || now_ms >= name->answered_ms + RESOLVER_FRESH_MS))
			ask(resolver, name);
		if (first)
			wait_a_little(resolver, host);
		name = name_of(resolver, host);
		known = name != NULL && tell(name, port, current, found);
	}
	pthread_mutex_unlock(&resolver->lock);
	return known;
}

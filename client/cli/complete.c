/* What an unfinished command line may go on with: from the table of verbs, and for live names from the cluster.
 *
 * 1. Nothing is said on stderr and nothing waits longer than COMPLETE_MS: who presses Tab must not notice a cluster
 *    that is gone.
 * 2. What is offered begins with what has been typed; the shell need not choose. */
#include <stdlib.h>

#include "client/cli/contexts.h"

#define COMPLETE_MS 300u

struct completion {
	FILE *to;
	int count;
	char **words;
	const struct verb *verb;
	const char *typed;  /* what a candidate must begin with */
	const char *before; /* printed before each candidate: "--output=" where the shell has not parted the word */
	size_t before_size;
};

static void offer(const struct completion *c, const char *word, const char *what)
{
	if (strncmp(word, c->typed, strlen(c->typed)) == 0)
		(void)fprintf(c->to, "%.*s%s\t%s\n", (int)c->before_size, c->before, word, what);
}

/* --- verbs and options -------------------------------------------------------------------------------------------- */

static bool seen_before(const struct verb *verb)
{
	for (const struct verb *other = cli_verbs; other < verb; other++) {
		if (other->noun != NULL && verb->noun != NULL && strcmp(other->noun, verb->noun) == 0)
			return true;
	}
	return false;
}

static void offer_first_words(const struct completion *c)
{
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		char what[120] = "";
		if (verb->noun == NULL) {
			offer(c, verb->name, verb->summary);
			continue;
		}
		if (seen_before(verb))
			continue;
		for (const struct verb *other = verb; other->name != NULL; other++) {
			size_t size = strlen(what);
			if (other->noun != NULL && strcmp(other->noun, verb->noun) == 0)
				(void)snprintf(what + size, sizeof what - size, "%s%s", size == 0 ? "" : ", ",
					       other->name);
		}
		offer(c, verb->noun, what);
	}
}

static void offer_verbs(const struct completion *c, const char *noun)
{
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		if (verb->noun != NULL && strcmp(verb->noun, noun) == 0)
			offer(c, verb->name, verb->summary);
	}
}

static const struct cli_option *option_named(const struct completion *c, const char *name, size_t size)
{
	const struct cli_option *option = cli_find_option(c->verb->options, name, size);

	return option == NULL ? cli_find_option(cli_common_options, name, size) : option;
}

static bool option_is_given(const struct completion *c, const struct cli_option *option)
{
	for (int i = 1; i + 1 < c->count; i++) {
		const char *word = cli_long_form(c->words[i]);
		if (strncmp(word, "--", 2) == 0 && option_named(c, word + 2, strcspn(word + 2, "=")) == option)
			return !cli_may_repeat(option);
	}
	return false;
}

static void offer_options(const struct completion *c, const struct cli_option *options)
{
	for (; options != NULL && options->name != NULL; options++) {
		char word[64];
		(void)snprintf(word, sizeof word, "--%s", options->name);
		if (!option_is_given(c, options))
			offer(c, word, options->help);
	}
}

/* --- live names --------------------------------------------------------------------------------------------------- */

/* The value of a common option among the words, NULL: it is not there. */
static const char *given(const struct completion *c, const char *name)
{
	size_t size = strlen(name);

	for (int i = 0; i + 1 < c->count; i++) {
		const char *word = cli_long_form(c->words[i]);
		if (strncmp(word, "--", 2) != 0 || strncmp(word + 2, name, size) != 0)
			continue;
		if (word[2 + size] == '=')
			return word + size + 3;
		if (word[2 + size] == '\0' && i + 2 < c->count)
			return c->words[i + 1];
	}
	return NULL;
}

static void offer_map(const struct completion *c, const char *kind, const struct cluster_map *map)
{
	for (uint32_t i = 0; i < map->stream_count && strcmp(kind, "STREAM") == 0; i++)
		offer(c, map->streams[i].name, "stream");
	for (uint32_t i = 0; i < map->view_count && strcmp(kind, "VIEW") == 0; i++) {
		if (!map_view_dropped(&map->views[i]))
			offer(c, map->views[i].name, "view");
	}
	for (uint32_t i = 0; i < NODES_MAX && strcmp(kind, "NODE") == 0; i++) {
		if (map->nodes[i].id != 0)
			offer(c, map->nodes[i].name, map->nodes[i].control_address);
	}
}

static void offer_live(const struct completion *c, const char *kind)
{
	evg_options options = {.name = "evgrid", .connect_ms = COMPLETE_MS};
	struct cluster_map map;
	struct cli cli = {.server = given(c, "server"),
			  .context = given(c, "context"),
			  .key_file = given(c, "key"),
			  .node_keys_file = given(c, "node-keys")};
	char why[CLI_WHY_BYTES];

	if (cli_find_server(&cli, why) != 0)
		return;
	options.key_file = cli.key_file;
	options.node_keys_file = cli.node_keys_file;
	if (evg_open(cli.server, &options, &cli.grid) == 0 && grid_map(cli.grid, &map) == 0) {
		offer_map(c, kind, &map);
		cluster_map_deinit(&map);
	}
	evg_close(cli.grid);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static bool kind_is(const char *kind, size_t size, const char *word)
{
	return strlen(word) == size && memcmp(kind, word, size) == 0;
}

static void offer_contexts(const struct completion *c)
{
	struct contexts *contexts = malloc(sizeof *contexts);

	if (contexts != NULL && contexts_read(contexts) == 0) {
		for (uint32_t i = 0; i < contexts->count; i++)
			offer(c, contexts->list[i].name, contexts->list[i].server);
	}
	free(contexts);
}

static void offer_errors(const struct completion *c)
{
	size_t count;
	const struct error_entry *entries = error_all(&count);

	for (size_t i = 0; i < count; i++)
		offer(c, entries[i].name, entries[i].text);
}

/* One of the words that a value's text holds, apart by '|'. */
static void offer_kind(const struct completion *c, const char *kind, size_t size)
{
	static const char *const live[] = {"STREAM", "VIEW", "NODE"};
	char word[64];

	for (size_t i = 0; i < sizeof live / sizeof *live; i++) {
		if (kind_is(kind, size, live[i]))
			offer_live(c, live[i]);
	}
	if (kind_is(kind, size, "FILE"))
		(void)fputs(":files\n", c->to);
	else if (kind_is(kind, size, "DIR"))
		(void)fputs(":directories\n", c->to);
	else if (kind_is(kind, size, "CONTEXT"))
		offer_contexts(c);
	else if (kind_is(kind, size, "ERROR"))
		offer_errors(c);
	else if (kind_is(kind, size, "TOPIC"))
		offer_first_words(c);
	else if (size > 0 && size < sizeof word && kind[0] >= 'a' && kind[0] <= 'z') {
		(void)snprintf(word, sizeof word, "%.*s", (int)size, kind);
		offer(c, word, "");
	}
}

static void offer_value(const struct completion *c, const char *value, size_t size)
{
	while (size > 3 && memcmp(value + size - 3, "...", 3) == 0)
		size -= 3;
	while (size > 0) {
		size_t one = 0;
		while (one < size && value[one] != '|')
			one++;
		offer_kind(c, value, one);
		value += one;
		size -= one;
		if (size > 0) {
			value++;
			size--;
		}
	}
}

/* The argument number `index` of "VIEW [KEY...]"; the last one stands for all behind it if it may repeat. */
static void offer_argument(const struct completion *c, uint32_t index)
{
	const char *at = c->verb->arguments;

	while (index < c->verb->positionals_max && *at != '\0') {
		size_t size;
		at += strspn(at, " [");
		size = strcspn(at, " ]");
		if (index == 0 || at[size + strspn(at + size, "]")] == '\0') {
			offer_value(c, at, size);
			return;
		}
		at += size + strspn(at + size, "]");
		index--;
	}
}

/* --- the line ----------------------------------------------------------------------------------------------------- */

/* Bash hands over "--name", "=", "value" where one word stands: they become one again, whose value alone is offered. */
static bool join_values(struct completion *c, char *joined, size_t size)
{
	int last = c->count - 1;
	const char *value = c->words[last];

	if (last >= 2 && strcmp(value, "=") == 0) {
		value = "";
		last++;
	} else if (last < 3 || strcmp(c->words[last - 1], "=") != 0) {
		return false;
	}
	if (strncmp(c->words[last - 2], "--", 2) != 0)
		return false;
	(void)snprintf(joined, size, "%s=%s", c->words[last - 2], value);
	c->count = last - 1;
	return true;
}

/* The arguments that stand before the last word. */
static uint32_t count_arguments(const struct completion *c, int first)
{
	uint32_t count = 0;

	for (int i = first; i + 1 < c->count; i++) {
		const char *word = cli_long_form(c->words[i]);
		const struct cli_option *option;
		if (strncmp(word, "--", 2) != 0) {
			count++;
			continue;
		}
		option = option_named(c, word + 2, strlen(word + 2));
		if (option != NULL && option->value != NULL)
			i++;
	}
	return count;
}

static void complete_in_verb(struct completion *c, bool parted)
{
	int first = c->verb->noun == NULL ? 1 : 2;
	const char *last = c->words[c->count - 1];
	const char *previous = c->count - 2 >= first ? cli_long_form(c->words[c->count - 2]) : "";
	const struct cli_option *option = NULL;
	const char *equals = strchr(last, '=');

	if (strncmp(last, "--", 2) == 0 && equals != NULL) {
		option = option_named(c, last + 2, (size_t)(equals - last - 2));
		c->before = last;
		c->before_size = parted ? 0 : (size_t)(equals - last + 1);
		last = equals + 1;
	} else if (strncmp(previous, "--", 2) == 0) {
		option = option_named(c, previous + 2, strlen(previous + 2));
	}
	c->typed = last;
	if (option != NULL && option->value != NULL)
		offer_value(c, option->value, strlen(option->value));
	else if (last[0] == '-' && last[1] != '\0') {
		offer_options(c, c->verb->options);
		offer_options(c, cli_common_options);
	} else if (strcmp(c->verb->name, "help") == 0 && c->count == 3) {
		offer_verbs(c, c->words[1]);
	} else {
		offer_argument(c, count_arguments(c, first));
	}
}

void cli_complete(FILE *to, int count, char **words)
{
	char joined[256];
	char *own[64];
	struct completion c = {.to = to, .count = count, .words = own, .before = ""};
	bool parted;

	if (count < 1 || count > (int)(sizeof own / sizeof *own))
		return;
	memcpy(own, words, (size_t)count * sizeof *own);
	c.typed = own[count - 1];
	if (count == 1) {
		offer_first_words(&c);
		return;
	}
	if (count == 2 && cli_is_noun(own[0]))
		offer_verbs(&c, own[0]);
	c.verb = cli_find_verb(own[0], count > 2 ? own[1] : NULL);
	if (c.verb == NULL)
		return;
	parted = join_values(&c, joined, sizeof joined);
	if (parted)
		own[c.count - 1] = joined;
	complete_in_verb(&c, parted);
}

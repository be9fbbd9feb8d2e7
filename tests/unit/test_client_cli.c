/* The evgrid command line: what is parsed, what is refused, what exit codes come of errors; figures; histories. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/cli/cli.h"

#define ARGUMENTS_MAX 16

static int parse(struct cli *cli, const char *line)
{
	static char text[512];
	char *argv[ARGUMENTS_MAX] = {NULL};
	char *rest = NULL;
	int argc = 0;

	*cli = (struct cli){0};
	(void)snprintf(text, sizeof text, "evgrid %s", line);
	for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	return cli_parse(cli, argc, argv);
}

static void options_stand_anywhere(void **state)
{
	struct cli cli;

	(void)state;
	assert_int_equal(parse(&cli, "view get --node n2 orders -o json k --partition-key=p --timeout 250ms --local"),
			 0);
	assert_string_equal(cli.verb->name, "get");
	assert_int_equal(cli.positional_count, 2);
	assert_string_equal(cli.positionals[1], "k");
	assert_string_equal(cli_value(&cli, "node"), "n2");
	assert_string_equal(cli_value(&cli, "partition-key"), "p");
	assert_true(cli_has(&cli, "local"));
	assert_false(cli_has(&cli, "all"));
	assert_true(cli.json);
	assert_int_equal(cli.timeout_ms, 250);
}

/* What waited is thrown away by the write that fails; the next one finds nothing to complain of. */
static void output_that_is_lost_stays_lost(void **state)
{
	int kept = dup(STDOUT_FILENO);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int first, second;

	(void)state;
	assert_int_equal(cli_flush(), 0);
	assert_true(dup2(full, STDOUT_FILENO) >= 0);
	(void)fputs("an event", stdout);
	first = cli_flush();
	second = cli_flush();
	assert_true(dup2(kept, STDOUT_FILENO) >= 0);
	clearerr(stdout);
	(void)close(kept);
	(void)close(full);
	assert_int_equal(first, ERROR_IO);
	assert_int_equal(second, ERROR_IO);
}

/* A folder opens, and cannot be read. */
static void input_that_cannot_be_read_has_not_ended(void **state)
{
	FILE *folder = fopen("/", "r");
	FILE *nothing = fopen("/dev/null", "r");

	(void)state;
	assert_int_equal(fgetc(folder), EOF);
	assert_int_equal(fgetc(nothing), EOF);
	assert_int_equal(cli_input_ended(folder, "/"), EXIT_FAILED);
	assert_int_equal(cli_input_ended(nothing, "nothing"), 0);
	(void)fclose(folder);
	(void)fclose(nothing);
}

/* What would be left out silently is refused before anybody is asked. */
static void reads_that_say_two_things_are_refused(void **state)
{
	static const char *const lines[] = {
		"view get v --keys-from f --as-of 4",
		"view get v --keys-from f --all",
		"view get v --keys-from f --at-least 4",
		"view get v --keys-from f --partition-key p",
		"view get v k --all --at-least 4",
		"view get v k --all --as-of 4",
		"view get v k --all --node n1",
		"view get v k --as-of 4 --at-least 4",
		"view get v k --as-of 4 --local",
		"view get v k l --as-of 4",
		"view get v k l --all",
		"view get v k l --at-least 4",
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		struct cli cli;
		char line[120];

		(void)snprintf(line, sizeof line, "%s --server 127.0.0.1:1 --timeout 1ms", lines[i]);
		assert_int_equal(parse(&cli, line), 0);
		if (cli.verb->run(&cli) != EXIT_USAGE)
			fail_msg("%s: it was not refused", lines[i]);
	}
}

static void words_behind_two_dashes_are_no_options(void **state)
{
	struct cli cli;

	(void)state;
	assert_int_equal(parse(&cli, "view get orders -- --local"), 0);
	assert_string_equal(cli.positionals[1], "--local");
	assert_int_equal(parse(&cli, "publish -"), 0);
	assert_string_equal(cli.positionals[0], "-");
}

static void benches_take_a_view_and_numbers(void **state)
{
	struct cli cli;
	uint64_t value;

	(void)state;
	assert_int_equal(parse(&cli, "bench get orders --keys 7 --reads=9 --callback --in-flight 2 -o json"), 0);
	assert_ptr_equal(cli.verb->run, run_bench_get);
	assert_string_equal(cli.positionals[0], "orders");
	assert_int_equal(cli_number(&cli, "keys", 1, 100, 50, &value), 0);
	assert_int_equal(value, 7);
	assert_int_equal(cli_number(&cli, "seed", 0, 100, 50, &value), 0);
	assert_int_equal(value, 50);
	assert_true(cli_has(&cli, "callback"));
	assert_true(cli.json);
	assert_int_equal(parse(&cli, "bench replay --limit 10 --stream Bench --merge"), 0);
	assert_ptr_equal(cli.verb->run, run_bench_replay);
	assert_string_equal(cli_value(&cli, "stream"), "Bench");
	assert_true(cli_has(&cli, "merge"));
}

/* Refused before anybody is asked: there is no cluster here. */
static void benches_refuse_numbers_out_of_bounds(void **state)
{
	static const char *const lines[] = {
		"bench get orders --in-flight 0", "bench get orders --in-flight 8193",
		"bench get orders --keys 0",      "bench get orders --reads many",
		"bench replay --limit 0",         "bench get orders --as-of yesterday",
	};
	struct cli cli;

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		assert_int_equal(parse(&cli, lines[i]), 0);
		assert_int_equal(cli.verb->run(&cli), EXIT_USAGE);
		assert_null(cli.grid);
	}
}

/* bench get reads what bench publish wrote, with another seed too. */
static void bench_keys_are_the_same_for_the_same_seed(void **state)
{
	uint64_t a = 1;
	uint64_t b = 1;
	char text[BENCH_KEY_BYTES];
	struct span key = bench_key(UINT32_MAX - 1, text);

	(void)state;
	assert_int_equal(key.size, 11);
	assert_memory_equal(key.data, "k4294967294", 11);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(bench_random(&a), bench_random(&b));
	assert_int_not_equal(bench_random(&a), bench_random(&a));
}

static const char *server_of(const char *line)
{
	char why[CLI_WHY_BYTES];
	struct cli cli;

	assert_int_equal(parse(&cli, line), 0);
	assert_int_equal(cli_find_server(&cli, why), 0);
	assert_ptr_not_equal(cli.server, cli.address); /* it points elsewhere: cli goes out of scope */
	return cli.server;
}

static void server_comes_from_option_environment_or_default(void **state)
{
	(void)state;
	assert_int_equal(unsetenv("EVGRID_SERVER"), 0);
	assert_int_equal(setenv("XDG_CONFIG_HOME", "/nowhere", 1), 0);
	assert_string_equal(server_of("node ls"), CLI_DEFAULT_SERVER);
	assert_int_equal(setenv("EVGRID_SERVER", "a:1,b:2", 1), 0);
	assert_string_equal(server_of("node ls"), "a:1,b:2");
	assert_string_equal(server_of("node ls -s c:3"), "c:3");
	assert_int_equal(unsetenv("EVGRID_SERVER"), 0);
}

static void wrong_use_is_refused(void **state)
{
	static const char *const lines[] = {
		"clustr status",
		"cluster statsu",
		"node ls extra",
		"stream create",
		"stream create a b",
		"node ls --nod",
		"node ls --output",
		"node ls -o xml",
		"node ls --timeout 5x",
		"node ls --json=1",
		"node ls -z",
		"view get --local=1 a b",
		"node ls -o json -o table",
		"node ls --timeout 99999999h",
		"bench get",
		"bench get a b",
		"bench replay a",
	};
	struct cli cli;

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		assert_int_equal(parse(&cli, lines[i]), EXIT_USAGE);
}

static uint32_t common_option_count(void)
{
	uint32_t count = 0;

	while (cli_common_options[count].name != NULL)
		count++;
	return count;
}

/* The next word as a shell has it, quotes gone; NULL: the end, or a redirection or pipe. */
static char *shell_word(char **rest)
{
	char *from = *rest + strspn(*rest, " ");
	char *word = from;
	char *to = from;
	bool quoted = false;

	if (*from == '\0' || *from == '>' || *from == '|')
		return NULL;
	for (; *from != '\0' && (quoted || *from != ' '); from++) {
		if (*from == '\'')
			quoted = !quoted;
		else
			*to++ = *from;
	}
	assert_false(quoted);
	*rest = *from == '\0' ? from : from + 1;
	*to = '\0';
	return word;
}

static int parse_example(struct cli *cli, const char *line, size_t size)
{
	static char text[512];
	char *argv[ARGUMENTS_MAX] = {NULL};
	char *rest = text;
	int argc = 0;

	*cli = (struct cli){0};
	assert_true(size < sizeof text);
	memcpy(text, line, size);
	text[size] = '\0';
	for (char *word = shell_word(&rest); word != NULL && argc < ARGUMENTS_MAX; word = shell_word(&rest))
		argv[argc++] = word;
	if (argc == 0 || strcmp(argv[0], "evgrid") != 0)
		return EXIT_USAGE;
	return cli_parse(cli, argc, argv);
}

static void every_verb_has_examples_that_parse(void **state)
{
	struct cli cli;

	(void)state;
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		const char *at = verb->examples;
		if (at == NULL)
			fail_msg("%s %s has no examples", verb->noun == NULL ? "" : verb->noun, verb->name);
		while (*at != '\0') {
			size_t size = strcspn(at, "\n");
			if (parse_example(&cli, at, size) != 0 || cli.verb != verb)
				fail_msg("'%.*s' is no example of %s", (int)size, at, verb->name);
			at += size + (at[size] == '\n');
		}
	}
	assert_int_equal(parse_example(&cli, "evgrid nod ls", 13), EXIT_USAGE);
}

/* What a command line that asks for help prints; with `run`, what its verb prints. */
static const char *printed(const char *line, bool run)
{
	static char said[16384];
	FILE *kept = stdout;
	FILE *memory = fmemopen(said, sizeof said, "w");
	struct cli cli;
	int rv;

	assert_non_null(memory);
	memset(said, 0, sizeof said);
	stdout = memory;
	rv = parse(&cli, line);
	if (run && rv == 0)
		rv = cli.verb->run(&cli);
	stdout = kept;
	assert_int_equal(fclose(memory), 0);
	assert_true(strlen(said) < sizeof said - 1);
	if (rv != (run ? 0 : -1))
		fail_msg("'%s' ended with %d", line, rv);
	return said;
}

static void assert_says(const char *line, const char *said, const char *text, size_t size)
{
	if (memmem(said, strlen(said), text, size) == NULL)
		fail_msg("'%s' does not say '%.*s' but: %s", line, (int)size, text, said);
}

/* Everything that the table says of the verb is in the help, and the help is this verb's. */
static void check_help(const struct verb *verb, const char *line, bool run)
{
	const char *said = printed(line, run);
	char title[120];

	(void)snprintf(title, sizeof title, "evgrid %s%s%s", verb->noun == NULL ? "" : verb->noun,
		       verb->noun == NULL ? "" : " ", verb->name);
	if (strncmp(said, title, strlen(title)) != 0)
		fail_msg("'%s' is no help of %s: %s", line, title, said);
	assert_says(line, said, verb->arguments, strlen(verb->arguments));
	assert_says(line, said, verb->summary, strlen(verb->summary));
	if (verb->details != NULL)
		assert_says(line, said, verb->details, strlen(verb->details));
	for (const struct cli_option *o = verb->options; o != NULL && o->name != NULL; o++) {
		(void)snprintf(title, sizeof title, "  --%s", o->name);
		assert_says(line, said, title, strlen(title));
		assert_says(line, said, o->help, strlen(o->help));
	}
	for (const struct cli_option *o = cli_common_options; o->name != NULL; o++)
		assert_says(line, said, o->help, strlen(o->help));
	for (const char *at = verb->examples; at != NULL && *at != '\0';) {
		size_t size = strcspn(at, "\n");
		assert_says(line, said, at, size);
		at += size + (at[size] == '\n');
	}
}

static void every_verb_has_help(void **state)
{
	char line[120];

	(void)state;
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		const char *noun = verb->noun == NULL ? "" : verb->noun;
		const char *space = verb->noun == NULL ? "" : " ";
		uint32_t options = 0;

		(void)snprintf(line, sizeof line, "%s%s%s --help", noun, space, verb->name);
		check_help(verb, line, false);
		(void)snprintf(line, sizeof line, "%s%s%s word -h", noun, space, verb->name);
		check_help(verb, line, false);
		(void)snprintf(line, sizeof line, "help %s%s%s", noun, space, verb->name);
		check_help(verb, line, true);
		assert_true(verb->positionals_max <= CLI_POSITIONALS_MAX);
		for (const struct cli_option *o = verb->options; o != NULL && o->name != NULL; o++)
			options++;
		assert_true(options + common_option_count() <= CLI_VALUES_MAX);
	}
}

/* A noun lists its verbs and no others; a verb above others names them; two words that name nothing are refused. */
static void nouns_have_help(void **state)
{
	const char *said = printed("view", false);
	struct cli cli;

	(void)state;
	assert_says("view", said, "  view get VIEW", 15);
	assert_null(strstr(said, "  stream create"));
	said = printed("help view", true);
	assert_says("help view", said, "  view get VIEW", 15);
	assert_says("help", printed("help", true), "  stream create NAME", 20);
	assert_says("-h", printed("-h", false), "  stream create NAME", 20);
	assert_says("help history", printed("help history", true), "  history check FILE...", 23);
	assert_null(strstr(printed("help replay", true), "Beneath it"));
	assert_int_equal(parse(&cli, "help publish events"), 0);
	assert_int_equal(cli.verb->run(&cli), EXIT_USAGE);
	assert_int_equal(parse(&cli, "help history chekc"), 0);
	assert_int_equal(cli.verb->run(&cli), EXIT_USAGE);
}

/* What is said on stderr between the two. */
static char said_of_fault[4096];
static FILE *kept_stderr;

static void hear(void)
{
	kept_stderr = stderr;
	memset(said_of_fault, 0, sizeof said_of_fault);
	stderr = fmemopen(said_of_fault, sizeof said_of_fault, "w");
	assert_non_null(stderr);
}

static const char *heard(void)
{
	assert_int_equal(fclose(stderr), 0);
	stderr = kept_stderr;
	return said_of_fault;
}

/* A fault's line on stderr. */
static const char *fault_of(int error, bool change)
{
	hear();
	if (change)
		assert_int_equal(cli_fail_change(error, "stream %s", "Order"), exit_code_of(error));
	else
		assert_int_equal(cli_fail_outcome(error, EVG_UNKNOWN, "look", "line %d", 7), exit_code_of(error));
	return heard();
}

/* Whatever is wrong with the words of a verb: what was given, what is wanted, the code and the verb's own help; and of
 * a verb that changes something what became of that. */
static void every_verb_tells_wrong_use(void **state)
{
	(void)state;
	for (const struct verb *verb = cli_verbs; verb->name != NULL; verb++) {
		char expected[200];
		char line[200];
		struct cli cli;

		(void)snprintf(line, sizeof line, "%s %s --timeout=soon%s", verb->noun == NULL ? "" : verb->noun,
			       verb->name,
			       verb->positionals_min == 2   ? " a b"
			       : verb->positionals_min == 1 ? " a"
							    : "");
		(void)snprintf(expected, sizeof expected,
			       "evgrid: --timeout 'soon': a time such as 500ms, 10s or 2m is wanted%s [USAGE]; see "
			       "evgrid help %s%s%s\n",
			       verb->changes ? " (outcome: not applied)" : "", verb->noun == NULL ? "" : verb->noun,
			       verb->noun == NULL ? "" : " ", verb->name);
		hear();
		assert_int_equal(parse(&cli, line), EXIT_USAGE);
		assert_string_equal(heard(), expected);
	}
}

static void faults_are_objects_with_output_json(void **state)
{
	struct cli cli;

	(void)state;
	hear();
	assert_int_equal(parse(&cli, "stream create -o json"), EXIT_USAGE);
	assert_string_equal(heard(), "{\"number\":31,\"error\":\"USAGE\",\"cause\":\"wrong use\",\"observed\":\"an "
				     "argument is missing\",\"expected\":\"NAME\",\"outcome\":\"not applied\",\"next\":"
				     "\"see evgrid help stream create\"}\n");
	hear();
	assert_int_equal(parse(&cli, "view ls --timeout=x --output=json"), EXIT_USAGE);
	assert_int_equal(cli_fault(&(struct cli_fault){.error = EVG_LIMIT, .expected = "one"}, "\"two\""), EXIT_USAGE);
	assert_non_null(strstr(heard(), "\"observed\":\"\\\"two\\\"\",\"expected\":\"one\",\"next\":\"see "));
	assert_int_equal(parse(&cli, "view ls"), 0); /* the next fault is for people again */
}

static void sizes_are_told_with_their_limit(void **state)
{
	(void)state;
	assert_int_equal(cli_check_size("a name", 63, 63), 0);
	hear();
	assert_int_equal(cli_check_size("a name", 64, 63), EXIT_USAGE);
	assert_int_equal(cli_check_size("a name", 0, 63), EXIT_USAGE);
	assert_string_equal(heard(),
			    "evgrid: a name of 64 bytes: one of 1 to 63 bytes is wanted [LIMIT]; give a shorter "
			    "one\nevgrid: a name of 0 bytes: one of 1 to 63 bytes is wanted [EMPTY]; give one\n");
}

static void changes_tell_their_outcome(void **state)
{
	struct cli cli;

	(void)state;
	assert_int_equal(parse(&cli, "stream create Order --timeout 7s"), 0);
	assert_string_equal(
		fault_of(EVG_OUTCOME_UNKNOWN, true),
		"evgrid: stream Order: the outcome is unknown (outcome: unknown) [OUTCOME_UNKNOWN]; give the "
		"command again: what is done already stays as it is\n");
	assert_string_equal(
		fault_of(EVG_TIMEOUT, true),
		"evgrid: stream Order: the deadline passed (waited 7000 ms) (outcome: applied) [TIMEOUT]; wait "
		"until all members have heard of it\n");
	assert_string_equal(fault_of(EVG_EXISTS, true),
			    "evgrid: stream Order: it exists already with other settings (outcome: not applied) "
			    "[EXISTS]; describe it, or choose another name\n");
	assert_string_equal(fault_of(EVG_OUTCOME_UNKNOWN, false),
			    "evgrid: line 7 (outcome: unknown) [OUTCOME_UNKNOWN]; look\n");
}

static void near_words_are_found(void **state)
{
	static const char *const words[] = {"status", "wait", "publish"};

	(void)state;
	assert_string_equal(nearest_word("statsu", words, 3), "status");
	assert_string_equal(nearest_word("publsh", words, 3), "publish");
	assert_null(nearest_word("entirely", words, 3));
}

static void numbers_and_times_are_read(void **state)
{
	uint64_t value;
	uint32_t ms;

	(void)state;
	assert_true(text_to_u64("18446744073709551615", &value));
	assert_int_equal(value, UINT64_MAX);
	assert_false(text_to_u64("18446744073709551616", &value));
	assert_false(text_to_u64("", &value));
	assert_false(text_to_u64("-1", &value));
	assert_true(text_to_ms("90", &ms) && ms == 90000);
	assert_true(text_to_ms("2m", &ms) && ms == 120000);
	assert_false(text_to_ms("ms", &ms));
	assert_false(text_to_ms("1.5s", &ms));
}

static void errors_have_their_exit_codes(void **state)
{
	(void)state;
	assert_int_equal(exit_code_of(0), EXIT_DONE);
	assert_int_equal(exit_code_of(EVG_CONNECT), EXIT_CONNECT);
	assert_int_equal(exit_code_of(EVG_NOT_FOUND), EXIT_NOT_FOUND);
	assert_int_equal(exit_code_of(EVG_CHECK_FAILED), EXIT_PRECONDITION);
	assert_int_equal(exit_code_of(EVG_OUTCOME_UNKNOWN), EXIT_TIMED_OUT);
	assert_int_equal(exit_code_of(EVG_NOT_ENOUGH_REPLICAS), EXIT_UNHEALTHY);
	assert_int_equal(exit_code_of(ERROR_BAD_VIEW), EXIT_USAGE);
	assert_int_equal(exit_code_of(ERROR_VERSION), EXIT_VERSION);
}

static void histogram_is_within_two_percent(void **state)
{
	struct histogram *histogram = calloc(1, sizeof *histogram);

	(void)state;
	assert_non_null(histogram);
	assert_int_equal(histogram_at(histogram, 0.5), 0);
	for (uint64_t us = 1; us <= 100000; us++)
		histogram_add(histogram, us);
	assert_in_range(histogram_at(histogram, 0.5), 49000, 51000);
	assert_in_range(histogram_at(histogram, 0.999), 98000, 100100);
	histogram_add(histogram, UINT64_MAX);
	assert_true(histogram->most == UINT64_MAX);
	free(histogram);
}

/* --- the checker -------------------------------------------------------------------------------------------------- */

static void tell(struct checker *checker, const char *id, evg_outcome outcome)
{
	struct checker_event event = {.key = 1, .number = 1, .outcome = outcome};

	event.identity = identity_hash(span_of_text("s"), span_of_text(id));
	assert_int_equal(checker_add(checker, &event), 0);
}

static const char *cell_of(const struct table *table, const char *key)
{
	for (uint32_t i = 0; i < table->column_count; i++) {
		if (strcmp(table->columns[i].key, key) == 0)
			return table->cells[i];
	}
	return "";
}

/* Nothing was replayed: what was acknowledged is lost, what was refused or unknown is not. */
static void acknowledged_and_not_stored_is_lost(void **state)
{
	struct checker *checker = checker_new();
	struct table table = {0};

	(void)state;
	tell(checker, "a", EVG_APPLIED);
	tell(checker, "b", EVG_NOT_APPLIED);
	tell(checker, "c", EVG_UNKNOWN);
	tell(checker, "c", EVG_APPLIED);
	assert_int_equal(checker_cells(checker, &table), EXIT_VERIFICATION);
	assert_string_equal(cell_of(&table, "acknowledged"), "2");
	assert_string_equal(cell_of(&table, "lost"), "2");
	assert_string_equal(cell_of(&table, "doubled"), "0");
	table_deinit(&table);
	checker_free(checker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_anywhere),
		cmocka_unit_test(output_that_is_lost_stays_lost),
		cmocka_unit_test(input_that_cannot_be_read_has_not_ended),
		cmocka_unit_test(reads_that_say_two_things_are_refused),
		cmocka_unit_test(words_behind_two_dashes_are_no_options),
		cmocka_unit_test(benches_take_a_view_and_numbers),
		cmocka_unit_test(benches_refuse_numbers_out_of_bounds),
		cmocka_unit_test(bench_keys_are_the_same_for_the_same_seed),
		cmocka_unit_test(server_comes_from_option_environment_or_default),
		cmocka_unit_test(wrong_use_is_refused),
		cmocka_unit_test(every_verb_has_help),
		cmocka_unit_test(nouns_have_help),
		cmocka_unit_test(every_verb_has_examples_that_parse),
		cmocka_unit_test(every_verb_tells_wrong_use),
		cmocka_unit_test(faults_are_objects_with_output_json),
		cmocka_unit_test(sizes_are_told_with_their_limit),
		cmocka_unit_test(changes_tell_their_outcome),
		cmocka_unit_test(near_words_are_found),
		cmocka_unit_test(numbers_and_times_are_read),
		cmocka_unit_test(errors_have_their_exit_codes),
		cmocka_unit_test(histogram_is_within_two_percent),
		cmocka_unit_test(acknowledged_and_not_stored_is_lost),
	};

	return cmocka_run_group_tests_name("client_cli", tests, NULL, NULL);
}

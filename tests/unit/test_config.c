/* The configuration: sources and their order, values and their units, errors with their places, printing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/config.h"

#include <stdlib.h>
#include <string.h>

struct fixture {
	struct config config;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	if (fixture == NULL)
		return 1;
	config_init(&fixture->config);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	config_deinit(&fixture->config);
	free(fixture);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static struct config *config_of(void **state)
{
	struct fixture *fixture = *state;

	return &fixture->config;
}

static void read_file(struct config *config, const char *text)
{
	config->file = "test.yaml";
	config_read_text(config, "test.yaml", text, strlen(text));
}

/* The cause, then its code and a next step. */
static void expect_error(const struct config *config, uint32_t index, const char *cause)
{
	const char *end = " [BAD_CONFIG]; ";
	const char *found;

	assert_true(index < config->error_count);
	found = strstr(config->errors[index], end);
	if (found == NULL)
		fail_msg("no code and next step: %s", config->errors[index]);
	assert_true(strlen(found + strlen(end)) > 5);
	assert_int_equal((size_t)(found - config->errors[index]), strlen(cause));
	assert_memory_equal(config->errors[index], cause, strlen(cause));
}

static void expect_no_errors(const struct config *config)
{
	if (config->error_count > 0)
		fail_msg("%s", config->errors[0]);
}

static char *printed(const struct config *config)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	config_print(config, out);
	fclose(out);
	return text;
}

/* --- sources ------------------------------------------------------------------------------------------------- */

static void a_file_gives_values_and_remembers_their_places(void **state)
{
	struct config *config = config_of(state);
	size_t index = config_schema_find("limits.pending_bytes");

	read_file(config, "node:\n  name: n1\nlimits:\n  pending_bytes: 16MiB\nshards: 2\n");
	expect_no_errors(config);
	assert_string_equal(config->values.node_name, "n1");
	assert_int_equal(config->values.pending_bytes, 16 * 1024 * 1024);
	assert_int_equal(config->values.shards, 2);
	assert_int_equal(config->origins[index].source, CONFIG_FILE);
	assert_int_equal(config->origins[index].line, 4);
	assert_int_equal(config->origins[index].column, 3);
}

static void the_environment_beats_the_file_and_flags_beat_both(void **state)
{
	struct config *config = config_of(state);
	char *environment[] = {"EVGRID_NODE__NAME=from-environment", "EVGRID_SHARDS=3", "EVGRID_SERVER=other:1",
			       "HOME=/", NULL};

	read_file(config, "node: {name: from-file, zone: z1}\nshards: 2\n");
	config_read_environment(config, environment);
	config_read_flag(config, "--shards=4");
	expect_no_errors(config);
	assert_string_equal(config->values.node_name, "from-environment");
	assert_string_equal(config->values.node_zone, "z1");
	assert_int_equal(config->values.shards, 4);
}

static void a_boolean_flag_needs_no_value(void **state)
{
	struct config *config = config_of(state);

	config_read_flag(config, "--insecure");
	expect_no_errors(config);
	assert_true(config->values.insecure);
}

static void dev_needs_nothing(void **state)
{
	struct config *config = config_of(state);

	config_apply_dev(config);
	config_finish(config);
	expect_no_errors(config);
	assert_string_equal(config->values.node_name, "dev");
	assert_int_equal(config->values.listen_control, CONFIG_CONTROL_PORT);
	assert_int_equal(config->values.replication_factor, 1);
	assert_int_equal(config->values.minimum_isr, 1);
	assert_in_range(config->values.shards, 1, SHARDS_MAX);
}

static void a_member_takes_host_and_port_from_the_list(void **state)
{
	struct config *config = config_of(state);

	read_file(config, "node: {name: n2}\ndata: {dir: /tmp/x}\n"
			  "cluster:\n  members: [n1=127.0.0.1:7000, n2=127.0.0.2:7010, n3=127.0.0.3:7020]\n");
	config_finish(config);
	expect_no_errors(config);
	assert_string_equal(config->values.listen_advertise, "127.0.0.2");
	assert_int_equal(config->values.listen_control, 7010);
	assert_int_equal(config->values.members.count, 3);
	assert_string_equal(config->values.members.list[2].address, "127.0.0.3:7020");
	assert_int_equal(config->values.replication_factor, 3);
	assert_int_equal(config->values.minimum_isr, 2);
}

static void a_single_founder_may_plan_for_more_copies(void **state)
{
	struct config *config = config_of(state);

	config_apply_dev(config);
	config_read_flag(config, "--cluster.replication_factor=3");
	config_finish(config);
	expect_no_errors(config);
	assert_int_equal(config->values.replication_factor, 3);
	assert_int_equal(config->values.minimum_isr, 1);
}

static void a_minimum_above_the_founders_is_refused(void **state)
{
	struct config *config = config_of(state);

	config_apply_dev(config);
	config_read_flag(config, "--cluster.replication_factor=3");
	config_read_flag(config, "--cluster.minimum_isr=2");
	config_finish(config);
	expect_error(config, 0, "cluster.minimum_isr: 2 is more than the 1 founders: they would take no writes");
}

/* --- values ---------------------------------------------------------------------------------------------------- */

static void a_member_s_host_may_be_an_ipv6_address(void **state)
{
	struct config *config = *state;

	config_read_flag(config, "--node.name=n1");
	config_read_flag(config, "--cluster.members=n1=[::1]:7400");
	config_read_flag(config, "--data.dir=d");
	config_finish(config);
	expect_no_errors(config);
	assert_string_equal(config->values.listen_advertise, "::1");
	assert_int_equal(config->values.listen_control, 7400);
}

static void shards_need_ports_behind_the_control_port(void **state)
{
	struct config *config = *state;

	config_read_flag(config, "--node.name=n1");
	config_read_flag(config, "--cluster.members=n1=127.0.0.1:65530");
	config_read_flag(config, "--data.dir=d");
	config_read_flag(config, "--shards=8");
	config_finish(config);
	expect_error(config, 0, "listen.control: behind 65530 are no ports for 8 shards");
}

static void sync_is_commit_or_a_duration(void **state)
{
	struct config *config = config_of(state);

	config_read_flag(config, "--sync=10ms");
	assert_int_equal(config->values.sync_ms, 10);
	config_read_flag(config, "--sync=commit");
	assert_int_equal(config->values.sync_ms, 0);
	config_read_flag(config, "--sync=never");
	assert_int_equal(config->error_count, 1);
	expect_error(config, 0,
		     "flag --sync: sync: expected commit, or a duration from 1ms to 1m, as 10ms, found 'never'");
}

static void numbers_keep_to_their_range_and_64_bits(void **state)
{
	struct config *config = config_of(state);

	config_read_flag(config, "--shards=9");
	config_read_flag(config, "--shards=-1");
	config_read_flag(config, "--shards=18446744073709551617");
	config_read_flag(config, "--limits.pending_bytes=99999999999999GiB");
	config_read_flag(config, "--limits.pending_bytes=12parsecs");
	assert_int_equal(config->error_count, 5);
	expect_error(config, 0, "flag --shards: shards: expected a whole number from 0 to 8, found '9'");
	expect_error(config, 4,
		     "flag --limits.pending_bytes: limits.pending_bytes: expected a size from 4MiB to 16GiB, as "
		     "512KiB, 64MiB, 1GiB, found '12parsecs'");
}

static void members_want_name_host_and_port(void **state)
{
	struct config *config = config_of(state);

	config_read_flag(config, "--cluster.members=n1=h:1,n2");
	config_read_flag(config, "--cluster.members=n1=h:0");
	config_read_flag(config, "--cluster.members=n1=h:65536");
	config_read_flag(config, "--cluster.members==h:1");
	assert_int_equal(config->error_count, 4);
	expect_error(config, 0, "flag --cluster.members: cluster.members: expected name=host:port, found 'n2'");
	assert_int_equal(config->values.members.count, 0);
}

/* --- errors ---------------------------------------------------------------------------------------------------- */

static void unknown_keys_are_told_with_place_and_nearest_key(void **state)
{
	struct config *config = config_of(state);

	read_file(config, "node:\n  nmae: n1\nlimits:\n  pendingbytes: 1\nzebra: 1\n");
	assert_int_equal(config->error_count, 3);
	expect_error(config, 0, "test.yaml:2:3: unknown key 'node.nmae': the nearest is 'node.name'");
	expect_error(config, 1,
		     "test.yaml:4:3: unknown key 'limits.pendingbytes': the nearest is 'limits.pending_bytes'");
	expect_error(config, 2, "test.yaml:5:1: unknown key 'zebra'");
}

static void all_errors_are_told_at_once(void **state)
{
	struct config *config = config_of(state);

	read_file(config, "node:\n  name: '?'\nsync: 1\njournal:\n  segment_bytes: 1KiB\n");
	config_finish(config);
	assert_int_equal(config->error_count, 5); /* three of the file, and neither name nor directory */
	expect_error(config, 0,
		     "test.yaml:2:9: node.name: expected a name of 1 to 63 letters, digits, '-', '_' or '.', a "
		     "letter or digit first, found '?'");
}

static void a_key_stands_once(void **state)
{
	struct config *config = config_of(state);

	read_file(config, "shards: 1\nshards: 2\n");
	assert_int_equal(config->error_count, 1);
	expect_error(config, 0, "test.yaml:2:1: key 'shards' stands twice, first in line 1");
}

static void what_is_no_yaml_is_told_with_its_place(void **state)
{
	struct config *config = config_of(state);

	read_file(config, "node:\n  name: [n1\n");
	assert_int_equal(config->error_count, 1);
	assert_non_null(strstr(config->errors[0], "test.yaml:3:1: not YAML: "));
}

static void shapes_that_do_not_fit_are_errors(void **state)
{
	struct config *config = config_of(state);

	read_file(config, "node: n1\n");
	read_file(config, "shards: [1, 2]\n");
	read_file(config, "- a\n- b\n");
	read_file(config, "cluster: {members: {n1: h}}\n");
	assert_int_equal(config->error_count, 4);
	expect_error(config, 0, "test.yaml:1:7: expected a section: its keys, indented, found 'n1'");
	expect_error(config, 1, "test.yaml:1:9: shards: expected one value, found a list");
	expect_error(config, 2, "test.yaml:1:1: expected sections and keys, found a list");
	expect_error(config, 3, "test.yaml:1:20: cluster.members: expected a list of name=host:port, found keys");
}

static void empty_files_and_sections_are_fine(void **state)
{
	struct config *config = config_of(state);

	read_file(config, "");
	read_file(config, "# nothing\n");
	read_file(config, "node:\nlimits:\n");
	expect_no_errors(config);
}

static void more_errors_than_kept_are_counted(void **state)
{
	struct config *config = config_of(state);

	for (uint32_t i = 0; i < CONFIG_ERRORS_MAX + 5; i++)
		config_read_flag(config, "--shards=x");
	assert_int_equal(config->error_count, CONFIG_ERRORS_MAX + 5);
}

static void open_addresses_want_insecure(void **state)
{
	struct config *config = config_of(state);

	config_apply_dev(config);
	config_read_flag(config, "--listen.address=0.0.0.0");
	config_finish(config);
	assert_int_equal(config->error_count, 1);
	config_deinit(config);
	config_read_flag(config, "--insecure");
	config_finish(config);
	expect_no_errors(config);
	config_read_flag(config, "--insecure=false");
	config_read_flag(config, "--listen.address=127.1.2.3");
	config_finish(config);
	expect_no_errors(config);
}

static void members_must_be_distinct(void **state)
{
	struct config *config = config_of(state);

	config_apply_dev(config);
	config_read_flag(config, "--cluster.members=a=h:1,b=h:1,a=h:2");
	config_finish(config);
	assert_int_equal(config->error_count, 2);
	expect_error(config, 0, "cluster.members: 'a' and 'b' have the same address h:1");
	expect_error(config, 1, "cluster.members: 'a' stands twice");
}

static void an_unreadable_file_is_told_with_what_to_do(void **state)
{
	struct config *config = config_of(state);

	config_read_file(config, "/nonexistent/evgrid.yaml");
	assert_string_equal(config->errors[0], "/nonexistent/evgrid.yaml: cannot be read: No such file or directory "
					       "[IO]; check the path and its rights");
}

static void the_last_line_tells_the_outcome(void **state)
{
	struct config *config = config_of(state);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	config_read_flag(config, "--shards=x");
	config_read_flag(config, "--sync=x");
	config_print_errors(config, out);
	fclose(out);
	assert_non_null(strstr(text,
			       "evgridd: refused, 2 faults in the configuration: nothing was started, no data was "
			       "touched\n"));
	free(text);
}

/* --- printing -------------------------------------------------------------------------------------------------- */

static uint64_t http_port_with(void **state, const char *flag)
{
	struct config *config = config_of(state);

	config_init(config);
	config_read_flag(config, flag);
	config_apply_dev(config);
	config_finish(config);
	expect_no_errors(config);
	return config->values.http_port;
}

static void the_operations_port_lies_above_the_control_port(void **state)
{
	struct config *config = config_of(state);

	assert_int_equal(http_port_with(state, "--listen.control=7400"), 7480);
	assert_int_equal(http_port_with(state, "--listen.control=7410"), 7490);
	assert_int_equal(config->origins[config_schema_find("http.port")].source, CONFIG_DERIVED);
	assert_int_equal(http_port_with(state, "--listen.control=65500"), 0);
	assert_int_equal(http_port_with(state, "--listen.control=0"), 0);
	assert_int_equal(http_port_with(state, "--http.port=9000"), 9000);
	assert_int_equal(config->origins[config_schema_find("http.port")].source, CONFIG_FLAG);
}

static void the_operations_port_is_bound_to_loopback(void **state)
{
	struct config *config = config_of(state);

	config_read_flag(config, "--http.address=0.0.0.0");
	config_apply_dev(config);
	config_finish(config);
	expect_error(config, 0,
		     "http.address: 0.0.0.0 is not a loopback address, and everybody who reaches it could read health "
		     "and metrics");
}

static void an_operations_port_with_tls_and_tokens_may_have_any_address(void **state)
{
	struct config *config = config_of(state);

	config_read_flag(config, "--http.address=0.0.0.0");
	config_read_flag(config, "--http.certificate=/etc/c");
	config_read_flag(config, "--http.key=/etc/k");
	config_read_flag(config, "--http.tokens=/etc/t");
	config_apply_dev(config);
	config_finish(config);
	expect_no_errors(config);
}

static void a_certificate_without_its_key_is_refused(void **state)
{
	struct config *config = config_of(state);

	config_read_flag(config, "--http.certificate=/etc/c");
	config_apply_dev(config);
	config_finish(config);
	expect_error(config, 0, "http.certificate and http.key: one without the other");
}

static void an_operations_port_that_is_closed_may_have_any_address(void **state)
{
	struct config *config = config_of(state);

	config_read_flag(config, "--http.address=0.0.0.0");
	config_read_flag(config, "--http.enabled=false");
	config_apply_dev(config);
	config_finish(config);
	expect_no_errors(config);
	assert_false(config->values.http_enabled);
}

static void what_is_printed_reads_back_the_same(void **state)
{
	struct config *config = config_of(state);
	struct config *again = calloc(1, sizeof *again);
	char *first, *second;

	assert_non_null(again);
	read_file(config, "node: {name: n1, zone: a}\ndata: {dir: /d}\nsync: 1500ms\ninsecure: true\n"
			  "cluster: {members: [n1=h:1, n2=h:2]}\nlog: {format: json}\n");
	config_finish(config);
	expect_no_errors(config);
	first = printed(config);
	assert_non_null(strstr(first, "node:\n  name: n1 # test.yaml:1:8\n"));
	assert_non_null(strstr(first, "sync: 1500ms # test.yaml:3:1\n"));
	config_init(again);
	read_file(again, first);
	config_finish(again);
	expect_no_errors(again);
	second = printed(again);
	for (char *a = first, *b = second; *a != '\0' && *b != '\0';) { /* all but the sources */
		size_t size = strcspn(a, "#\n");

		assert_memory_equal(a, b, size);
		a += strcspn(a, "\n") + 1;
		b += strcspn(b, "\n") + 1;
	}
	free(first);
	free(second);
	config_deinit(again);
	free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_gives_values_and_remembers_their_places, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_environment_beats_the_file_and_flags_beat_both, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_boolean_flag_needs_no_value, set_up, tear_down),
		cmocka_unit_test_setup_teardown(dev_needs_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_member_takes_host_and_port_from_the_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_single_founder_may_plan_for_more_copies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_minimum_above_the_founders_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sync_is_commit_or_a_duration, set_up, tear_down),
		cmocka_unit_test_setup_teardown(numbers_keep_to_their_range_and_64_bits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_member_s_host_may_be_an_ipv6_address, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shards_need_ports_behind_the_control_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(members_want_name_host_and_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unknown_keys_are_told_with_place_and_nearest_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(all_errors_are_told_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_key_stands_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_yaml_is_told_with_its_place, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shapes_that_do_not_fit_are_errors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(empty_files_and_sections_are_fine, set_up, tear_down),
		cmocka_unit_test_setup_teardown(more_errors_than_kept_are_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(open_addresses_want_insecure, set_up, tear_down),
		cmocka_unit_test_setup_teardown(members_must_be_distinct, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unreadable_file_is_told_with_what_to_do, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_last_line_tells_the_outcome, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_operations_port_lies_above_the_control_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_operations_port_is_bound_to_loopback, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_operations_port_with_tls_and_tokens_may_have_any_address, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_certificate_without_its_key_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_operations_port_that_is_closed_may_have_any_address, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_is_printed_reads_back_the_same, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The data directory: made once, locked, refused when it is another's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/directory.h"
#include "proto/versions.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char root[64];
	char path[96];
	char why[DIRECTORY_TEXT_BYTES];
	struct directory directory;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture.directory = DIRECTORY_NULL;
	snprintf(fixture.root, sizeof fixture.root, "/tmp/evgrid-test-XXXXXX");
	if (mkdtemp(fixture.root) == NULL)
		return 1;
	snprintf(fixture.path, sizeof fixture.path, "%s/data", fixture.root);
	*state = &fixture;
	return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	directory_deinit(&fixture->directory);
	return nftw(fixture->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static int open_as(struct fixture *fixture, const char *name, uint16_t shards)
{
	return directory_open(&fixture->directory, fixture->path, name, shards, fixture->why);
}

static void write_file(const struct fixture *fixture, const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", fixture->path, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static bool exists(const struct fixture *fixture, const char *name)
{
	char path[160];

	snprintf(path, sizeof path, "%s/%s", fixture->path, name);
	return access(path, F_OK) == 0;
}

static void a_first_start_makes_everything(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(open_as(fixture, "n1", 2), DIRECTORY_DONE);
	assert_true(fixture->directory.created);
	assert_true(exists(fixture, "identity"));
	assert_true(exists(fixture, "raft"));
	assert_true(exists(fixture, "snapshots"));
	assert_true(exists(fixture, "journal-1"));
	assert_true(fixture->directory.identity.journals[0] != fixture->directory.identity.journals[1]);
}

static void what_is_written_is_read_again(void **state)
{
	struct fixture *fixture = *state;
	struct directory_identity before;

	assert_int_equal(open_as(fixture, "n1", 3), DIRECTORY_DONE);
	fixture->directory.identity.node_epoch = UINT64_MAX;
	fixture->directory.identity.proof_epoch = UINT64_MAX;
	fixture->directory.identity.interval_sync = true;
	fixture->directory.identity.cluster_id[15] = 0xab;
	assert_int_equal(directory_write(&fixture->directory, fixture->why), DIRECTORY_DONE);
	before = fixture->directory.identity;
	directory_deinit(&fixture->directory);
	assert_int_equal(open_as(fixture, "n1", 3), DIRECTORY_DONE);
	assert_false(fixture->directory.created);
	assert_memory_equal(&before, &fixture->directory.identity, sizeof before);
}

static void another_name_is_refused_naming_both(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_DONE);
	directory_deinit(&fixture->directory);
	assert_int_equal(open_as(fixture, "n2", 1), DIRECTORY_REFUSED);
	assert_non_null(strstr(fixture->why, "belongs to node 'n1', and this node is 'n2'"));
}

static void another_number_of_shards_is_refused_naming_both(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_DONE);
	directory_deinit(&fixture->directory);
	assert_int_equal(open_as(fixture, "n1", 2), DIRECTORY_REFUSED);
	assert_non_null(strstr(fixture->why, "was made with shards: 1, and this start says 2"));
}

static void a_directory_in_use_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct directory other;

	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_DONE);
	assert_int_equal(directory_open(&other, fixture->path, "n1", 1, fixture->why), DIRECTORY_REFUSED);
	assert_non_null(strstr(fixture->why, "is in use by process"));
}

static void somebody_elses_directory_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(mkdir(fixture->path, 0700), 0);
	write_file(fixture, "thesis.tex", "x");
	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_REFUSED);
	assert_non_null(strstr(fixture->why, "is no node's, and not empty (thesis.tex)"));
}

static void a_newer_format_is_refused_naming_both(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(mkdir(fixture->path, 0700), 0);
	write_file(fixture, "identity", "evgrid-directory 4\nand what only newer ones know\n");
	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_REFUSED);
	assert_non_null(strstr(fixture->why, "its format is 4, this evgridd knows 3"));
}

/* As the format of before, which older binaries read, until the cluster's version rises. */
static void the_clusters_version_is_noted_and_not_fallen_behind(void **state)
{
	struct fixture *fixture = *state;
	struct directory_identity *identity = &fixture->directory.identity;
	struct directory_identity read;
	char text[DIRECTORY_TEXT_BYTES];

	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_DONE);
	identity->cluster_version = CLUSTER_VERSION_FIRST;
	(void)directory_identity_format(identity, text);
	assert_non_null(strstr(text, "evgrid-directory 1\n"));
	assert_null(strstr(text, "cluster-version"));
	identity->cluster_version = CLUSTER_VERSION_HIGHEST;
	assert_int_equal(directory_identity_parse(text, directory_identity_format(identity, text), &read, fixture->why),
			 DIRECTORY_DONE);
	assert_non_null(strstr(text, "evgrid-directory 3\n"));
	assert_int_equal(read.cluster_version, CLUSTER_VERSION_HIGHEST);
	assert_int_equal(directory_write(&fixture->directory, fixture->why), DIRECTORY_DONE);
	directory_deinit(&fixture->directory);
	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_DONE);
	assert_int_equal(identity->cluster_version, CLUSTER_VERSION_HIGHEST);
	identity->cluster_version = CLUSTER_VERSION_HIGHEST + 1;
	assert_int_equal(directory_write(&fixture->directory, fixture->why), DIRECTORY_DONE);
	directory_deinit(&fixture->directory);
	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_REFUSED);
	assert_non_null(strstr(fixture->why, "of a cluster at version 3, and this evgridd knows 1 to 2"));
}

static void an_unfinished_first_start_is_begun_again(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(mkdir(fixture->path, 0700), 0);
	write_file(fixture, "lock", "1\n");
	write_file(fixture, "identity.new", "evgrid-dir");
	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_DONE);
	assert_true(fixture->directory.created);
}

static void who_was_decommissioned_does_not_start_again(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_DONE);
	fixture->directory.identity.gone = true;
	assert_int_equal(directory_write(&fixture->directory, fixture->why), DIRECTORY_DONE);
	directory_deinit(&fixture->directory);
	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_REFUSED);
	assert_non_null(strstr(fixture->why, "which was decommissioned"));
}

/* Every byte of the identity counts: changed or cut off anywhere it is refused, and never read as something else. */
static void a_damaged_identity_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct directory_identity identity;
	char text[DIRECTORY_TEXT_BYTES];
	size_t size;

	assert_int_equal(open_as(fixture, "n1", 2), DIRECTORY_DONE);
	size = directory_identity_format(&fixture->directory.identity, text);
	assert_int_equal(directory_identity_parse(text, size, &identity, fixture->why), DIRECTORY_DONE);
	fixture->directory.identity.gone = true;
	assert_true(directory_identity_format(&fixture->directory.identity, text) > size);
	size = directory_identity_format(&fixture->directory.identity, text);
	assert_int_equal(directory_identity_parse(text, size, &identity, fixture->why), DIRECTORY_DONE);
	assert_true(identity.gone);
	for (size_t i = 0; i < size; i++) {
		text[i] ^= 1;
		assert_int_equal(directory_identity_parse(text, size, &identity, fixture->why), DIRECTORY_REFUSED);
		text[i] ^= 1;
		assert_int_equal(directory_identity_parse(text, i, &identity, fixture->why), DIRECTORY_REFUSED);
	}
}

static bool raft_is_empty(struct fixture *fixture)
{
	bool empty = false;

	assert_int_equal(directory_raft_begin(&fixture->directory, &empty, fixture->why), DIRECTORY_DONE);
	return empty;
}

static void the_store_of_raft_is_empty_until_something_is_in_it(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_DONE);
	assert_true(raft_is_empty(fixture));
	write_file(fixture, "raft/open-1", "x");
	assert_false(raft_is_empty(fixture));
}

static void write_raft_metadata(struct fixture *fixture, const char *name, uint64_t term, uint64_t vote)
{
	const uint64_t words[] = {1, 1, term, vote};
	char path[200];
	FILE *file;

	snprintf(path, sizeof path, "%s/raft/%s", fixture->path, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(words, 1, sizeof words, file), sizeof words);
	assert_int_equal(fclose(file), 0);
}

/* It had voted for nobody and held nothing. Who may have voted is no newcomer, whatever else is lost. */
static void a_bootstrap_that_was_cut_short_begins_anew(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(open_as(fixture, "n1", 1), DIRECTORY_DONE);
	write_raft_metadata(fixture, "metadata1", 1, 0);
	assert_true(raft_is_empty(fixture));
	assert_true(raft_is_empty(fixture)); /* and is */
	write_file(fixture, "raft/metadata1", "");
	assert_true(raft_is_empty(fixture));
	write_raft_metadata(fixture, "metadata1", 1, 77);
	assert_false(raft_is_empty(fixture));
	write_raft_metadata(fixture, "metadata1", 1, 0);
	write_raft_metadata(fixture, "metadata2", 2, 0);
	assert_false(raft_is_empty(fixture));
	write_raft_metadata(fixture, "metadata2", 1, 0);
	write_file(fixture, "raft/0000000000000001-0000000000000001", "x");
	assert_false(raft_is_empty(fixture));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_first_start_makes_everything, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_written_is_read_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_name_is_refused_naming_both, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_number_of_shards_is_refused_naming_both, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_directory_in_use_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(somebody_elses_directory_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_newer_format_is_refused_naming_both, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_clusters_version_is_noted_and_not_fallen_behind, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_was_decommissioned_does_not_start_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unfinished_first_start_is_begun_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_damaged_identity_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_store_of_raft_is_empty_until_something_is_in_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_bootstrap_that_was_cut_short_begins_anew, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

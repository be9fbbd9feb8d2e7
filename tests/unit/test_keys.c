/* Key files and lists of trusted keys: what is taken, what is refused, and that the fault names its line. */
#include "net/key_file.h"
#include "net/key_try.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SOME_KEY "yx7FPQ6%cp53Ujb]y:kqv1zvB]MaSOkWmymdkMV-"
#define OTHER_KEY "-hcj&X2hwf@cGR{o^-l%F$.Kt9FyM<tiCQN+orW3"
#define PUBLISHED_PUBLIC "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define PUBLISHED_SECRET "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"

struct folder {
	char path[64];
	char file[96];
	char why[KEY_WHY_BYTES];
	struct key_pair pair;
	struct trusted_list list;
};

static int make_folder(void **state)
{
	struct folder *folder = calloc(1, sizeof *folder);

	assert_non_null(folder);
	snprintf(folder->path, sizeof folder->path, "/tmp/evgrid-keys.XXXXXX");
	assert_non_null(mkdtemp(folder->path));
	snprintf(folder->file, sizeof folder->file, "%s/key", folder->path);
	*state = folder;
	return 0;
}

static int remove_folder(void **state)
{
	struct folder *folder = *state;
	char public_file[112];

	snprintf(public_file, sizeof public_file, "%s.pub", folder->file);
	(void)unlink(folder->file);
	(void)unlink(public_file);
	assert_int_equal(rmdir(folder->path), 0);
	trusted_deinit(&folder->list);
	free(folder);
	return 0;
}

static void write_secret(struct folder *folder, const char *text)
{
	FILE *file = fopen(folder->file, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(folder->file, 0600), 0);
}

static void expect_bad_secret(struct folder *folder, const char *text, const char *why)
{
	write_secret(folder, text);
	assert_int_equal(key_file_read(folder->file, &folder->pair, folder->why), KEY_BAD);
	assert_non_null(strstr(folder->why, why));
}

static enum key_outcome parse(struct folder *folder, const char *text)
{
	trusted_deinit(&folder->list);
	return trusted_parse("list", text, strlen(text), &folder->list, folder->why);
}

static void expect_bad_list(struct folder *folder, const char *text, const char *why)
{
	assert_int_equal(parse(folder, text), KEY_BAD);
	assert_non_null(strstr(folder->why, why));
	assert_int_equal(folder->list.count, 0);
	assert_null(folder->list.keys);
}

/* --- secret files ------------------------------------------------------------------------------------------------- */

static void what_is_made_is_read(void **state)
{
	struct folder *folder = *state;
	char public_file[112], fingerprint[KEY_FINGERPRINT_BYTES];
	struct key_pair made;
	struct stat status;

	assert_int_equal(key_file_make(folder->file, KEY_NODE, "n1", &made, folder->why), KEY_DONE);
	assert_int_equal(stat(folder->file, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(key_file_read(folder->file, &folder->pair, folder->why), KEY_DONE);
	assert_memory_equal(&made, &folder->pair, sizeof made);
	snprintf(public_file, sizeof public_file, "%s.pub", folder->file);
	assert_int_equal(trusted_read(public_file, &folder->list, folder->why), KEY_DONE);
	assert_int_equal(folder->list.count, 1);
	assert_true(trusted_is_node(&folder->list.keys[0], "n1"));
	assert_memory_equal(folder->list.keys[0].public_key, made.public_key, KEY_BYTES);
	key_fingerprint(made.public_key, fingerprint);
	assert_int_equal(strlen(fingerprint), 16);
}

static void nothing_is_overwritten(void **state)
{
	struct folder *folder = *state;
	struct key_pair again;

	assert_int_equal(key_file_make(folder->file, KEY_CLIENT, "a", &folder->pair, folder->why), KEY_DONE);
	assert_int_equal(key_file_make(folder->file, KEY_CLIENT, "a", &again, folder->why), KEY_UNREADABLE);
	assert_int_equal(key_file_read(folder->file, &again, folder->why), KEY_DONE);
	assert_memory_equal(&again, &folder->pair, sizeof again);
}

static void a_secret_that_others_may_use_is_refused(void **state)
{
	static const mode_t modes[] = {0644, 0604, 0601, 0620, 0602, 0660};
	struct folder *folder = *state;

	assert_int_equal(key_file_make(folder->file, KEY_CLIENT, "a", &folder->pair, folder->why), KEY_DONE);
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		assert_int_equal(chmod(folder->file, modes[i]), 0);
		assert_int_equal(key_file_read(folder->file, &folder->pair, folder->why), KEY_BAD);
		assert_non_null(strstr(folder->why, "chmod g-w,o-rwx "));
	}
	assert_int_equal(chmod(folder->file, 0400), 0);
	assert_int_equal(key_file_read(folder->file, &folder->pair, folder->why), KEY_DONE);
	assert_int_equal(chmod(folder->file, 0440), 0);
	assert_int_equal(key_file_read(folder->file, &folder->pair, folder->why), KEY_DONE);
}

static void published_keys_are_refused(void **state)
{
	struct folder *folder = *state;

	expect_bad_secret(folder, "secret " PUBLISHED_SECRET "\n", "publishes");
	expect_bad_list(folder, "node n1 " SOME_KEY "\nclient a " PUBLISHED_PUBLIC "\n", "list:2: ");
	assert_non_null(strstr(folder->why, "publishes"));
}

static void secret_files_that_are_wrong_are_refused(void **state)
{
	struct folder *folder = *state;

	expect_bad_secret(folder, "", "no key in it");
	expect_bad_secret(folder, "# a comment\nsecret short\n", ":2: ");
	expect_bad_secret(folder, "secret " SOME_KEY " more\n", ":1: ");
	expect_bad_secret(folder, "public " SOME_KEY "\n", ":1: ");
	expect_bad_secret(folder, "secret " SOME_KEY "\n\nsecret " OTHER_KEY "\n", ":3: ");
	expect_bad_secret(folder,
			  "secret \"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\n",
			  ":1: ");
	assert_int_equal(key_file_read(folder->path, &folder->pair, folder->why), KEY_BAD);
	(void)unlink(folder->file);
	assert_int_equal(key_file_read(folder->file, &folder->pair, folder->why), KEY_UNREADABLE);
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

static void lists_that_are_wrong_are_refused_with_the_line(void **state)
{
	struct folder *folder = *state;

	expect_bad_list(folder, "node n1\n", "list:1: ");
	expect_bad_list(folder, "\n# x\nnode n1 " SOME_KEY " y\n", "list:3: ");
	expect_bad_list(folder, "admin n1 " SOME_KEY "\n", "'node' or 'client' first");
	expect_bad_list(folder, "node n/1 " SOME_KEY "\n", "a name of letters");
	expect_bad_list(folder, "client * " SOME_KEY "\n", "a name of letters");
	expect_bad_list(folder, "node n1 " SOME_KEY "x\n", "40 characters");
	expect_bad_list(folder, "node n1 0000000000000000000000000000000000000000\n", "40 characters");
	expect_bad_list(folder, "node n1 " SOME_KEY "\nclient a " SOME_KEY "\n", "list:2: ");
	expect_bad_list(folder,
			"node aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa " SOME_KEY
			"\n",
			"list:1: ");
}

static void several_keys_of_a_node_are_counted_round(void **state)
{
	struct folder *folder = *state;
	uint32_t count;

	assert_int_equal(parse(folder, "node n1 " SOME_KEY "\r\nclient n1 :<24lCrR{l]^1*@TJY1JR4T@TlSEka4EoS$nOZ+h\n"
				       "  node\t*   " OTHER_KEY),
			 KEY_DONE);
	assert_int_equal(folder->list.count, 3);
	assert_ptr_equal(trusted_node_key(&folder->list, "n1", 0, &count), &folder->list.keys[0]);
	assert_int_equal(count, 2);
	assert_ptr_equal(trusted_node_key(&folder->list, "n1", 1, &count), &folder->list.keys[2]);
	assert_ptr_equal(trusted_node_key(&folder->list, "n1", 2, &count), &folder->list.keys[0]);
	assert_ptr_equal(trusted_node_key(&folder->list, "n2", 7, &count), &folder->list.keys[2]);
	assert_int_equal(count, 1);
	assert_int_equal(trusted_node_key(&folder->list, NULL, 0, &count) != NULL, 1);
	assert_int_equal(count, 2);
	assert_ptr_equal(trusted_find(&folder->list, folder->list.keys[1].public_key), &folder->list.keys[1]);
	assert_int_equal(parse(folder, "# nobody\n"), KEY_DONE);
	assert_null(trusted_node_key(&folder->list, "n1", 3, &count));
	assert_int_equal(count, 0);
}

/* --- which key is tried ------------------------------------------------------------------------------------------- */

static void the_next_key_is_tried_when_nothing_leaves_for_a_while(void **state)
{
	struct key_try attempt = {0};

	(void)state;
	key_try_begin(&attempt, 2);
	assert_false(key_try_next(&attempt, 100000));
	key_try_note(&attempt, false, 1000);
	key_try_note(&attempt, false, 1100);
	assert_false(key_try_next(&attempt, 1000 + KEY_TRY_MS - 1));
	assert_true(key_try_next(&attempt, 1000 + KEY_TRY_MS));
	assert_int_equal(attempt.number, 1);
	key_try_begin(&attempt, 2);
	assert_false(key_try_next(&attempt, 100000));
	key_try_note(&attempt, false, 2000);
	assert_true(key_try_next(&attempt, 2000 + KEY_TRY_MS));
	key_try_begin(&attempt, 2); /* the second round: twice as long */
	key_try_note(&attempt, false, 3000);
	assert_false(key_try_next(&attempt, 3000 + KEY_TRY_MS));
	assert_true(key_try_next(&attempt, 3000 + 2 * KEY_TRY_MS));
	key_try_begin(&attempt, 2);
	key_try_note(&attempt, true, 4000);
	assert_false(key_try_next(&attempt, 100000));
	key_try_note(&attempt, false, 5000);
	assert_true(key_try_next(&attempt, 5000 + KEY_TRY_MS)); /* a first round again */
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(what_is_made_is_read),
		IN_FOLDER(nothing_is_overwritten),
		IN_FOLDER(a_secret_that_others_may_use_is_refused),
		IN_FOLDER(published_keys_are_refused),
		IN_FOLDER(secret_files_that_are_wrong_are_refused),
		IN_FOLDER(lists_that_are_wrong_are_refused_with_the_line),
		IN_FOLDER(several_keys_of_a_node_are_counted_round),
		cmocka_unit_test(the_next_key_is_tried_when_nothing_leaves_for_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

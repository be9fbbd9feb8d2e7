/* Tokens, certificate and key of the operations port: which files are taken, and who is admitted. */
#include "node/http_secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOOD "0123456789abcdef"

static char root[64], tokens[96], certificate[96], key[96];

static int set_up(void **state)
{
	(void)state;
	snprintf(root, sizeof root, "/tmp/evgrid-test-XXXXXX");
	if (mkdtemp(root) == NULL)
		return 1;
	snprintf(tokens, sizeof tokens, "%s/tokens", root);
	snprintf(certificate, sizeof certificate, "%s/certificate", root);
	snprintf(key, sizeof key, "%s/key", root);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(tokens);
	unlink(certificate);
	unlink(key);
	return rmdir(root);
}

static void put(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void expect_refused(const char *path, const char *what)
{
	struct http_secrets secrets = {.tokens = path, .certificate = "", .key = ""};
	char why[HTTP_SECRETS_WHY_BYTES] = "", expected[HTTP_SECRETS_WHY_BYTES];

	assert_int_equal(http_secrets_load(&secrets, why), -1);
	snprintf(expected, sizeof expected, what, path);
	assert_string_equal(why, expected);
	http_secrets_deinit(&secrets);
}

static void files_that_cannot_be_tokens_are_refused(void **state)
{
	static char large[HTTP_SECRETS_FILE_BYTES + 2];

	(void)state;
	expect_refused(tokens, "cannot read %s: No such file or directory");
	expect_refused(root, "cannot read %s: it is no file");
	put(tokens, "", 0600);
	expect_refused(tokens, "cannot read %s: it is empty");
	put(tokens, "# nobody\n\n  \n", 0600);
	expect_refused(tokens, "no token in %s: one a line; # begins a comment");
	put(tokens, GOOD "\nshort\n", 0600);
	expect_refused(tokens, "too short a token in %s: openssl rand -hex 32 makes a good one");
	put(tokens, GOOD "\n", 0644);
	expect_refused(tokens, "others may read or change %s: chmod g-w,o-rwx it");
	put(tokens, GOOD "\n", 0620);
	expect_refused(tokens, "others may read or change %s: chmod g-w,o-rwx it");
	memset(large, 'x', sizeof large - 1);
	put(tokens, large, 0600);
	expect_refused(tokens, "cannot read %s: too large");
}

static void who_brings_a_token_is_admitted(void **state)
{
	struct http_secrets secrets = {.tokens = tokens, .certificate = "", .key = ""};
	char why[HTTP_SECRETS_WHY_BYTES];

	(void)state;
	put(tokens, "# two\n" GOOD "\n\n  second-" GOOD "  \r\n", 0640);
	assert_int_equal(http_secrets_load(&secrets, why), 0);
	assert_true(http_secrets_admit(&secrets, "Bearer " GOOD));
	assert_true(http_secrets_admit(&secrets, "bearer second-" GOOD));
	assert_false(http_secrets_admit(&secrets, NULL));
	assert_false(http_secrets_admit(&secrets, ""));
	assert_false(http_secrets_admit(&secrets, GOOD));
	assert_false(http_secrets_admit(&secrets, "Basic " GOOD));
	assert_false(http_secrets_admit(&secrets, "Bearer "));
	assert_false(http_secrets_admit(&secrets, "Bearer " GOOD "0"));
	assert_false(http_secrets_admit(&secrets, "Bearer 0123456789abcdeg"));
	assert_false(http_secrets_admit(&secrets, "Bearer # two"));
	http_secrets_deinit(&secrets);
}

static void a_file_that_is_replaced_counts_at_once(void **state)
{
	struct http_secrets secrets = {.tokens = tokens, .certificate = "", .key = ""};

	(void)state;
	put(tokens, GOOD "\n", 0600);
	assert_true(http_secrets_admit(&secrets, "Bearer " GOOD));
	put(tokens, "another-" GOOD "\nshort\n", 0600);
	assert_false(http_secrets_admit(&secrets, "Bearer " GOOD));
	assert_false(http_secrets_admit(&secrets, "Bearer short"));
	assert_true(http_secrets_admit(&secrets, "Bearer another-" GOOD));
	put(tokens, GOOD "\n", 0644);
	assert_false(http_secrets_admit(&secrets, "Bearer " GOOD));
	unlink(tokens);
	assert_false(http_secrets_admit(&secrets, "Bearer " GOOD));
	secrets.tokens = "";
	assert_true(http_secrets_admit(&secrets, NULL));
}

static void certificate_and_key_go_together(void **state)
{
	struct http_secrets secrets = {.tokens = "", .certificate = certificate, .key = key}, fresh;
	char why[HTTP_SECRETS_WHY_BYTES];

	(void)state;
	put(certificate, "a certificate", 0644);
	assert_int_equal(http_secrets_load(&secrets, why), -1);
	assert_null(secrets.certificate_pem);
	put(key, "a key", 0644);
	assert_int_equal(http_secrets_load(&secrets, why), -1);
	put(key, "a key", 0600);
	assert_int_equal(http_secrets_load(&secrets, why), 0);
	assert_string_equal(secrets.certificate_pem, "a certificate");
	assert_string_equal(secrets.key_pem, "a key");
	assert_false(http_secrets_changed(&secrets, &fresh));
	put(key, "", 0600);
	assert_false(http_secrets_changed(&secrets, &fresh));
	put(key, "another", 0600);
	assert_true(http_secrets_changed(&secrets, &fresh));
	assert_string_equal(fresh.key_pem, "another");
	http_secrets_deinit(&fresh);
	http_secrets_deinit(&secrets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_that_cannot_be_tokens_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_brings_a_token_is_admitted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_is_replaced_counts_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(certificate_and_key_go_together, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

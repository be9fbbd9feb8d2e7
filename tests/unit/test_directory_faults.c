/* The data directory where the n-th open, read, write, sync or rename fails, for every n until a run meets no fault:
 * opening and writing are refused with a reason, never half done. What is there afterwards is the old identity or the
 * new one, and one that was told written is the new one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/directory.h"
#include "tests/unit/io_fault.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>

static const enum io_call calls[] = {IO_OPEN, IO_WRITE, IO_READ, IO_SYNC, IO_RENAME};
static const int errors[] = {EIO, ENOSPC, IO_FAULT_SHORT};

#define CALLS (sizeof calls / sizeof calls[0])
#define ERRORS (sizeof errors / sizeof errors[0])

/* Only what is read or written can be cut short. */
static bool is_a_fault(size_t i)
{
	return errors[i % ERRORS] != IO_FAULT_SHORT || calls[i / ERRORS] == IO_WRITE || calls[i / ERRORS] == IO_READ;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void make_root(char root[64])
{
	snprintf(root, 64, "%s/evgrid-test-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(root));
}

/* A fault is one, and off when it was met; true: it was. */
static bool fault_met(void)
{
	bool met = io_fault_reached;

	io_fault_call = IO_CALLS;
	return met;
}

static void open_again(const char *root, struct directory *directory)
{
	char why[DIRECTORY_TEXT_BYTES];

	if (directory_open(directory, root, "n1", 2, why) != DIRECTORY_DONE)
		fail_msg("%s", why);
}

/* One start of a node with that fault; true: it was met. */
static bool start_with_fault(const char *root, enum io_call call, int error, long n)
{
	char why[DIRECTORY_TEXT_BYTES] = "";
	struct directory directory;
	int rv;

	io_fault_at(call, n, error);
	rv = directory_open(&directory, root, "n1", 2, why);
	if (rv == DIRECTORY_DONE)
		directory_deinit(&directory);
	else
		assert_true(io_fault_reached && why[0] != '\0');
	return fault_met();
}

static void a_start_that_fails_can_be_tried_again(void **state)
{
	struct directory first, second;
	char root[64];

	(void)state;
	for (size_t i = 0; i < CALLS * ERRORS; i++) {
		bool met = is_a_fault(i);

		for (long n = 1; met; n++) {
			make_root(root);
			met = start_with_fault(root, calls[i / ERRORS], errors[i % ERRORS], n);
			open_again(root, &first); /* the identity made first stays, if one was made */
			directory_deinit(&first);
			(void)start_with_fault(root, calls[i / ERRORS], errors[i % ERRORS], n);
			open_again(root, &second);
			assert_memory_equal(&first.identity, &second.identity, sizeof first.identity);
			directory_deinit(&second);
			assert_int_equal(nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
		}
	}
}

static void a_write_that_fails_leaves_the_old_or_the_new(void **state)
{
	char root[64], why[DIRECTORY_TEXT_BYTES];
	struct directory directory, again;
	uint64_t epoch = 5;

	(void)state;
	make_root(root);
	open_again(root, &directory);
	for (size_t i = 0; i < CALLS * ERRORS; i++) {
		bool met = is_a_fault(i);

		for (long n = 1; met; n++) {
			uint64_t former = directory.identity.node_epoch;
			int rv;

			directory.identity.node_epoch = ++epoch;
			directory.identity.proof_epoch = epoch; /* as a clean stop does */
			io_fault_at(calls[i / ERRORS], n, errors[i % ERRORS]);
			rv = directory_write(&directory, why);
			met = fault_met();
			assert_int_equal(rv, met ? DIRECTORY_REFUSED : DIRECTORY_DONE);
			directory_deinit(&directory);
			open_again(root, &again);
			assert_true(again.identity.node_epoch == epoch || (met && again.identity.node_epoch == former));
			assert_true(again.identity.proof_epoch == 0 ||
				    again.identity.proof_epoch == again.identity.node_epoch);
			directory = again;
		}
	}
	directory_deinit(&directory);
	assert_int_equal(nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_that_fails_can_be_tried_again),
		cmocka_unit_test(a_write_that_fails_leaves_the_old_or_the_new),
	};

	return cmocka_run_group_tests_name("directory_faults", tests, NULL, NULL);
}

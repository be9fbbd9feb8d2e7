/* Sealing a segment's file. */
#include "node/segment_seal.h"

#include "node/clock.h"
#include "partition/sealed.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE_ALIGN_BYTES (2u * 1024 * 1024) /* a huge page */

/* --- rests -------------------------------------------------------------------------------------------------------- */

struct pace {
	const struct segment_seal_thread *thread;
	uint64_t since_us; /* the end of the last rest */
	uint64_t left_us;  /* of all rests */
};

static struct pace pace_begin(const struct segment_seal_thread *thread)
{
	return (struct pace){thread, clock_us(CLOCK_MONOTONIC), thread->idle_us / 2};
}

/* A step is done: struct sealer_rest's call. */
static void pace_step(void *owner)
{
	struct pace *pace = owner;
	uint64_t rest_us = (clock_us(CLOCK_MONOTONIC) - pace->since_us) * SEGMENT_SEAL_REST_TIMES;

	if (rest_us > pace->left_us)
		rest_us = pace->left_us;
	if (rest_us < SEGMENT_SEAL_REST_MIN_US || atomic_load(pace->thread->stop))
		return;
	if (rest_us > SEGMENT_SEAL_REST_MAX_US)
		rest_us = SEGMENT_SEAL_REST_MAX_US;
	health_beat(pace->thread->beat);
	nanosleep(&(struct timespec){.tv_nsec = (long)rest_us * 1000}, NULL);
	pace->left_us -= rest_us;
	pace->since_us = clock_us(CLOCK_MONOTONIC);
}

/* --- the source --------------------------------------------------------------------------------------------------- */

struct source {
	uint8_t *bytes;
	size_t size;
};

/* Huge pages where the machine has them: a segment's worth of small ones takes longer to get than its sealing. */
static uint8_t *source_memory(size_t size)
{
	size_t rounded = (size + SOURCE_ALIGN_BYTES) & ~(size_t)(SOURCE_ALIGN_BYTES - 1);
	uint8_t *bytes = aligned_alloc(SOURCE_ALIGN_BYTES, rounded);

	if (bytes != NULL)
		(void)madvise(bytes, rounded, MADV_HUGEPAGE);
	return bytes;
}

/* 0, ECANCELED when stopped, or another errno value. */
static int source_fill(const struct segment_files *files, const struct disk_request *request, size_t size,
		       struct source *source, struct pace *pace)
{
	ssize_t got = 1;

	while (got > 0 && source->size < size) {
		size_t wanted = size - source->size;

		if (atomic_load(pace->thread->stop))
			return ECANCELED;
		got = segment_files_read(files, request->segment, request->generation, source->size,
					 source->bytes + source->size,
					 wanted < SEGMENT_SEAL_SLICE_BYTES ? wanted : SEGMENT_SEAL_SLICE_BYTES);
		if (got < 0)
			return errno;
		source->size += (size_t)got;
		pace_step(pace);
	}
	return 0;
}

/* 0, ECANCELED when stopped, or another errno value. A file that is gone is an empty one: the sealer will refuse it. */
static int source_read(const struct segment_files *files, const struct disk_request *request, struct source *source,
		       struct pace *pace)
{
	char name[SEGMENT_NAME_BYTES];
	struct stat status;

	segment_name_print(SEGMENT_NAME_SEGMENT, request->segment, request->generation, name);
	if (fstatat(files->folder, name, &status, 0) != 0)
		return errno == ENOENT ? 0 : errno;
	source->bytes = source_memory((size_t)status.st_size);
	if (source->bytes == NULL)
		return ENOMEM;
	return source_fill(files, request, (size_t)status.st_size, source, pace);
}

/* --- the result --------------------------------------------------------------------------------------------------- */

/* 0, ECANCELED when stopped, or another errno value. */
static int write_slice(int fd, const uint8_t *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t written = write(fd, bytes + done, size - done);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written == 0 ? ENOSPC : errno;
		done += (size_t)written;
	}
	return fdatasync(fd) == 0 ? 0 : errno;
}

static size_t next_slice(struct sealer *sealer, uint8_t *slice)
{
	size_t size = 0, more = 1;

	while (size < SEGMENT_SEAL_SLICE_BYTES && more > 0) {
		more = sealer_next(sealer, slice + size, SEGMENT_SEAL_SLICE_BYTES - size);
		size += more;
	}
	return size;
}

static int write_slices(int fd, struct sealer *sealer, struct pace *pace)
{
	uint8_t *slice = malloc(SEGMENT_SEAL_SLICE_BYTES);
	size_t size = 1;
	int rv = slice == NULL ? ENOMEM : 0;

	while (rv == 0 && size > 0) {
		health_beat(pace->thread->beat);
		size = next_slice(sealer, slice);
		rv = atomic_load(pace->thread->stop) ? ECANCELED : size == 0 ? 0 : write_slice(fd, slice, size);
		pace_step(pace);
	}
	free(slice);
	return rv;
}

static int write_file(const struct segment_files *files, const struct disk_request *request, struct sealer *sealer,
		      struct pace *pace)
{
	char aside[SEGMENT_NAME_BYTES], name[SEGMENT_NAME_BYTES];
	int fd, rv;

	segment_name_print(SEGMENT_NAME_SEALING, request->segment, request->generation + 1, aside);
	segment_name_print(SEGMENT_NAME_SEGMENT, request->segment, request->generation + 1, name);
	fd = openat(files->folder, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	rv = write_slices(fd, sealer, pace);
	if (rv == 0 && fsync(fd) != 0)
		rv = errno;
	close(fd);
	if (rv == 0 && renameat(files->folder, aside, files->folder, name) != 0)
		rv = errno;
	if (rv != 0)
		unlinkat(files->folder, aside, 0);
	return rv == 0 && fsync(files->folder) != 0 ? errno : rv;
}

static enum segment_seal_outcome outcome_of(int error)
{
	switch (error) {
	case 0: return SEGMENT_SEALED;
	case ENOSPC:
	case EDQUOT: return SEGMENT_SEAL_FULL;
	case ECANCELED: return SEGMENT_SEAL_STOPPED;
	default: return SEGMENT_SEAL_FAILED;
	}
}

static int copy_result(const struct sealer *sealer, uint8_t **bytes, size_t *size)
{
	struct span result = sealer_result(sealer);

	*bytes = malloc(result.size + 1);
	if (*bytes == NULL)
		return ENOMEM;
	memcpy(*bytes, result.data, result.size);
	*size = result.size;
	return 0;
}

enum segment_seal_outcome segment_seal(const struct segment_files *files, const struct disk_request *request,
				       const struct segment_seal_thread *thread, uint8_t **bytes, size_t *size,
				       int *why)
{
	struct pace pace = pace_begin(thread);
	struct sealer_rest rest = {pace_step, &pace};
	struct source source = {0};
	struct sealer *sealer = NULL;
	enum segment_seal_outcome outcome;
	int error = ERROR_NONE;

	*why = atomic_load(thread->stop) ? ECANCELED : source_read(files, request, &source, &pace);
	if (*why == 0 && !segment_files_have_room(files, source.size))
		*why = ENOSPC;
	if (*why == 0) {
		sealer = sealer_new(request->bytes, span_of(source.bytes, source.size), &rest, &error);
		if (sealer == NULL && error == ERROR_MEMORY)
			*why = ENOMEM;
	}
	if (*why == 0 && sealer != NULL)
		*why = write_file(files, request, sealer, &pace);
	if (*why == 0 && sealer != NULL)
		*why = copy_result(sealer, bytes, size);
	outcome = outcome_of(*why);
	if (outcome == SEGMENT_SEALED && sealer == NULL) {
		outcome = SEGMENT_SEAL_REFUSED;
		*why = error;
	}
	sealer_free(sealer);
	free(source.bytes);
	return outcome;
}

/* Sealing a segment's file. */
#include "node/segment_seal.h"

#include "partition/sealed.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct source {
	uint8_t *bytes;
	size_t size;
};

/* 0, or an errno value. A file that is gone is an empty one: the sealer will refuse it. */
static int source_read(const struct segment_files *files, const struct disk_request *request, struct source *source)
{
	char name[SEGMENT_NAME_BYTES];
	struct stat status;
	ssize_t got;

	segment_name_print(SEGMENT_NAME_SEGMENT, request->segment, request->generation, name);
	if (fstatat(files->folder, name, &status, 0) != 0)
		return errno == ENOENT ? 0 : errno;
	source->bytes = malloc((size_t)status.st_size + 1);
	if (source->bytes == NULL)
		return ENOMEM;
	got = segment_files_read(files, request->segment, request->generation, 0, source->bytes,
				 (size_t)status.st_size);
	if (got < 0)
		return errno;
	source->size = (size_t)got;
	return 0;
}

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

static int write_slices(int fd, struct sealer *sealer, const atomic_bool *stop, struct health_beat *beat)
{
	uint8_t *slice = malloc(SEGMENT_SEAL_SLICE_BYTES);
	size_t size = 1;
	int rv = slice == NULL ? ENOMEM : 0;

	while (rv == 0 && size > 0) {
		health_beat(beat);
		size = next_slice(sealer, slice);
		rv = atomic_load(stop) ? ECANCELED : size == 0 ? 0 : write_slice(fd, slice, size);
	}
	free(slice);
	return rv;
}

static int write_file(const struct segment_files *files, const struct disk_request *request, struct sealer *sealer,
		      const atomic_bool *stop, struct health_beat *beat)
{
	char aside[SEGMENT_NAME_BYTES], name[SEGMENT_NAME_BYTES];
	int fd, rv;

	segment_name_print(SEGMENT_NAME_SEALING, request->segment, request->generation + 1, aside);
	segment_name_print(SEGMENT_NAME_SEGMENT, request->segment, request->generation + 1, name);
	fd = openat(files->folder, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	rv = write_slices(fd, sealer, stop, beat);
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
				       const atomic_bool *stop, struct health_beat *beat, uint8_t **bytes, size_t *size,
				       int *why)
{
	struct source source = {0};
	struct sealer *sealer = NULL;
	enum segment_seal_outcome outcome;
	int error = ERROR_NONE;

	*why = atomic_load(stop) ? ECANCELED : source_read(files, request, &source);
	if (*why == 0 && !segment_files_have_room(files, source.size))
		*why = ENOSPC;
	if (*why == 0) {
		sealer = sealer_new(request->bytes, span_of(source.bytes, source.size), &error);
		if (sealer == NULL && error == ERROR_MEMORY)
			*why = ENOMEM;
	}
	if (*why == 0 && sealer != NULL)
		*why = write_file(files, request, sealer, stop, beat);
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

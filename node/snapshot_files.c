/* Writing and reading snapshot files. Disk threads. */
#include "node/snapshot_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 1200u

static void path_of(const char *folder, uint16_t partition, uint8_t slot, const char *suffix, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "%s/%03u.%u%s", folder, partition, slot, suffix);
}

static int write_all(int fd, struct span bytes)
{
	size_t done = 0;

	while (done < bytes.size) {
		ssize_t written = write(fd, bytes.data + done, bytes.size - done);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written == 0 ? ENOSPC : errno;
		done += (size_t)written;
	}
	return fsync(fd) == 0 ? 0 : errno;
}

static int sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rv;

	if (fd < 0)
		return errno;
	rv = fsync(fd) == 0 ? 0 : errno;
	close(fd);
	return rv;
}

int snapshot_file_put(const char *folder, uint16_t partition, uint8_t slot, struct span bytes)
{
	char aside[PATH_BYTES], path[PATH_BYTES];
	int fd, rv;

	path_of(folder, partition, slot, ".new", aside);
	path_of(folder, partition, slot, "", path);
	fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	rv = write_all(fd, bytes);
	close(fd);
	if (rv == 0 && rename(aside, path) != 0)
		rv = errno;
	if (rv != 0)
		unlink(aside);
	return rv == 0 ? sync_folder(folder) : rv;
}

static int read_all(int fd, uint8_t *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = read(fd, bytes + done, size - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0 ? EIO : errno;
		done += (size_t)got;
	}
	return 0;
}

int snapshot_file_get(const char *folder, uint16_t partition, uint8_t slot, uint8_t **bytes, size_t *size_bytes)
{
	char path[PATH_BYTES];
	struct stat status;
	uint8_t *read_bytes = NULL;
	int fd, rv = 0;

	*bytes = NULL;
	*size_bytes = 0;
	path_of(folder, partition, slot, "", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : errno;
	if (fstat(fd, &status) != 0)
		rv = errno;
	else if ((read_bytes = malloc((size_t)status.st_size + 1)) == NULL)
		rv = ENOMEM;
	else
		rv = read_all(fd, read_bytes, (size_t)status.st_size);
	close(fd);
	if (rv != 0) {
		free(read_bytes);
		return rv;
	}
	*bytes = read_bytes;
	*size_bytes = (size_t)status.st_size;
	return 0;
}

/* The files of one journal. Threads: see the header. */
#include "node/segment_files.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SEGMENT_FILE_NULL ((struct segment_file){.fd = -1})

static void file_close(struct segment_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	*file = SEGMENT_FILE_NULL;
}

static struct segment_file *free_spare(struct segment_files *files)
{
	for (size_t i = 0; i < SEGMENT_SPARES_MAX; i++) {
		if (files->spares[i].fd < 0)
			return &files->spares[i];
	}
	return NULL;
}

/* A spare found at start is taken as far as it was prepared; one too many goes. */
static int take_spare(struct segment_files *files, const char *name, uint32_t number)
{
	struct segment_file *spare = free_spare(files);
	struct stat status;

	if (number >= files->next_spare)
		files->next_spare = number + 1;
	if (spare == NULL)
		return unlinkat(files->folder, name, 0) == 0 ? 0 : errno;
	spare->fd = openat(files->folder, name, O_RDWR | O_CLOEXEC);
	if (spare->fd < 0 || fstat(spare->fd, &status) != 0)
		return errno;
	if ((uint64_t)status.st_size > files->segment_bytes) { /* segments were larger in an earlier run */
		file_close(spare);
		return unlinkat(files->folder, name, 0) == 0 ? 0 : errno;
	}
	spare->number = number;
	spare->prepared_bytes = (uint64_t)status.st_size / DISK_BLOCK_BYTES * DISK_BLOCK_BYTES;
	return 0;
}

int segment_files_init(struct segment_files *files, const char *path, uint64_t segment_bytes, uint64_t reserve_bytes)
{
	memset(files, 0, sizeof *files);
	pthread_mutex_init(&files->lock, NULL);
	pthread_cond_init(&files->changed, NULL);
	snprintf(files->path, sizeof files->path, "%s", path);
	files->segment_bytes = segment_bytes;
	files->reserve_bytes = reserve_bytes;
	files->current = SEGMENT_FILE_NULL;
	files->next_spare = 1;
	for (size_t i = 0; i < SEGMENT_SPARES_MAX; i++)
		files->spares[i] = SEGMENT_FILE_NULL;
	files->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return files->folder < 0 ? errno : 0;
}

void segment_files_deinit(struct segment_files *files)
{
	file_close(&files->current);
	for (size_t i = 0; i < SEGMENT_SPARES_MAX; i++)
		file_close(&files->spares[i]);
	if (files->folder >= 0)
		close(files->folder);
	files->folder = -1;
	pthread_cond_destroy(&files->changed);
	pthread_mutex_destroy(&files->lock);
}

/* --- start ------------------------------------------------------------------------------------------------------ */

static int by_number(const void *a, const void *b)
{
	const struct disk_segment *first = a;
	const struct disk_segment *second = b;

	if (first->segment != second->segment)
		return first->segment < second->segment ? -1 : 1;
	return first->generation < second->generation ? -1 : first->generation > second->generation;
}

static int sync_found(const struct segment_files *files, const char *name, uint64_t *size_bytes)
{
	struct stat status;
	int fd = openat(files->folder, name, O_RDONLY | O_CLOEXEC);
	int rv = 0;

	if (fd < 0)
		return errno;
	if (fdatasync(fd) != 0 || fstat(fd, &status) != 0)
		rv = errno;
	else
		*size_bytes = (uint64_t)status.st_size;
	close(fd);
	return rv;
}

static int segment_found(const struct segment_files *files, const char *text, const struct segment_name *name,
			 struct disk_segment **segments, uint32_t *count, uint32_t *capacity)
{
	struct disk_segment *grown;

	if (*count == *capacity) {
		*capacity = *capacity * 2 + 64;
		grown = reallocarray(*segments, *capacity, sizeof *grown);
		if (grown == NULL)
			return ENOMEM;
		*segments = grown;
	}
	grown = &(*segments)[(*count)++];
	*grown = (struct disk_segment){.segment = name->segment, .generation = name->generation};
	return sync_found(files, text, &grown->size_bytes);
}

static int scan_entry(struct segment_files *files, const char *text, struct disk_segment **segments, uint32_t *count,
		      uint32_t *capacity)
{
	struct segment_name name = segment_name_parse(text);

	switch (name.kind) {
	case SEGMENT_NAME_SEGMENT: return segment_found(files, text, &name, segments, count, capacity);
	case SEGMENT_NAME_SPARE: return take_spare(files, text, name.segment);
	case SEGMENT_NAME_SEALING: return unlinkat(files->folder, text, 0) == 0 ? 0 : errno;
	case SEGMENT_NAME_DAMAGED:
	case SEGMENT_NAME_FOREIGN: break; /* left alone */
	}
	return 0;
}

int segment_files_scan(struct segment_files *files, struct disk_segment **segments, uint32_t *count)
{
	uint32_t capacity = 0;
	struct dirent *entry;
	int rv = 0;
	DIR *dir = opendir(files->path);

	*segments = NULL;
	*count = 0;
	if (dir == NULL)
		return errno;
	while (rv == 0 && (entry = readdir(dir)) != NULL)
		rv = scan_entry(files, entry->d_name, segments, count, &capacity);
	closedir(dir);
	if (rv == 0 && fsync(files->folder) != 0)
		rv = errno;
	if (*count > 1)
		qsort(*segments, *count, sizeof **segments, by_number);
	return rv;
}

/* --- preparing: keeper thread ------------------------------------------------------------------------------------ */

static bool is_prepared(const struct segment_files *files, const struct segment_file *file)
{
	return file->prepared_bytes >= files->segment_bytes;
}

static uint64_t ahead_bytes(const struct segment_files *files)
{
	uint64_t ahead = files->current.fd < 0 ? 0 : files->current.prepared_bytes - files->position;

	for (size_t i = 0; i < SEGMENT_SPARES_MAX; i++)
		ahead += files->spares[i].fd < 0 ? 0 : files->spares[i].prepared_bytes;
	return ahead;
}

static uint32_t spare_count(const struct segment_files *files)
{
	uint32_t count = 0;

	for (size_t i = 0; i < SEGMENT_SPARES_MAX; i++)
		count += files->spares[i].fd >= 0;
	return count;
}

static bool wants(const struct segment_files *files)
{
	bool begun = files->current.fd < 0 || is_prepared(files, &files->current) ||
		     files->current.prepared_bytes - files->position >= SEGMENT_AHEAD_BYTES / 2;

	return !files->stopped && (ahead_bytes(files) < SEGMENT_AHEAD_BYTES || spare_count(files) == 0 || !begun);
}

bool segment_files_wants(struct segment_files *files)
{
	bool result;

	pthread_mutex_lock(&files->lock);
	result = wants(files);
	pthread_mutex_unlock(&files->lock);
	return result;
}

bool segment_files_hurries(struct segment_files *files)
{
	bool result;

	pthread_mutex_lock(&files->lock);
	result = ahead_bytes(files) < SEGMENT_HURRY_BYTES ||
		 (files->current.fd >= 0 && !is_prepared(files, &files->current) &&
		  files->current.prepared_bytes - files->position < SEGMENT_HURRY_BYTES);
	pthread_mutex_unlock(&files->lock);
	return result;
}

static int make_spare(struct segment_files *files, struct segment_file *spare)
{
	char name[SEGMENT_NAME_BYTES];

	segment_name_print(SEGMENT_NAME_SPARE, files->next_spare, 0, name);
	spare->fd = openat(files->folder, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (spare->fd < 0)
		return errno;
	spare->number = files->next_spare++;
	spare->prepared_bytes = 0;
	return 0;
}

/* The file whose preparation is next: the segment being written, then a spare begun, then a new spare. */
static int next_file(struct segment_files *files, struct segment_file **file)
{
	int rv = 0;

	*file = NULL;
	if (files->current.fd >= 0 && !is_prepared(files, &files->current))
		*file = &files->current;
	for (size_t i = 0; *file == NULL && i < SEGMENT_SPARES_MAX; i++) {
		if (files->spares[i].fd >= 0 && !is_prepared(files, &files->spares[i]))
			*file = &files->spares[i];
	}
	if (*file == NULL && spare_count(files) < SEGMENT_SPARES_MADE) {
		*file = free_spare(files);
		assert(*file != NULL); /* SEGMENT_SPARES_MADE are fewer than there is room for */
		rv = make_spare(files, *file);
		*file = rv == 0 ? *file : NULL;
	}
	return rv;
}

/* The keeper's own descriptor of a file, so that it syncs none that the writer syncs: the kernel tells an error of
 * writing back once to each open file, and who shares one may be told of none. 0 or errno. */
static int open_to_prepare(const struct segment_files *files, const struct segment_file *file, int *fd)
{
	char name[SEGMENT_NAME_BYTES];

	segment_name_print(file == &files->current ? SEGMENT_NAME_SEGMENT : SEGMENT_NAME_SPARE, file->number, 0, name);
	*fd = openat(files->folder, name, O_WRONLY | O_CLOEXEC);
	return *fd < 0 ? errno : 0;
}

/* Zeros, synced with the size they give the file. 0 or errno. */
static int write_zeros(int fd, uint64_t from, uint64_t size)
{
	static const uint8_t zeros[256 * 1024];
	uint64_t done = 0;

	while (done < size) {
		size_t part = size - done < sizeof zeros ? (size_t)(size - done) : sizeof zeros;
		ssize_t written = pwrite(fd, zeros, part, (off_t)(from + done));

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written == 0 ? ENOSPC : errno;
		done += (uint64_t)written;
	}
	return fdatasync(fd) == 0 ? 0 : errno;
}

uint64_t segment_files_free_bytes(const struct segment_files *files)
{
	struct statvfs status;

	return fstatvfs(files->folder, &status) == 0 ? (uint64_t)status.f_bavail * status.f_frsize : UINT64_MAX;
}

/* Where it is not known the write itself will tell. */
bool segment_files_have_room(const struct segment_files *files, uint64_t size)
{
	return segment_files_free_bytes(files) >= files->reserve_bytes + size;
}

static void set_full(struct segment_files *files, bool full)
{
	files->full = full;
	pthread_cond_broadcast(&files->changed);
}

int segment_files_prepare(struct segment_files *files)
{
	struct segment_file *file = NULL;
	uint64_t from, size;
	int fd, own = -1, rv;

	pthread_mutex_lock(&files->lock);
	rv = wants(files) ? next_file(files, &file) : 0;
	if (file != NULL)
		rv = open_to_prepare(files, file, &own);
	if (file == NULL || rv != 0) {
		if (rv == ENOSPC || rv == EDQUOT)
			set_full(files, true);
		pthread_mutex_unlock(&files->lock);
		errno = rv;
		return rv == 0 ? 0 : rv == ENOSPC || rv == EDQUOT ? 2 : -1;
	}
	fd = file->fd;
	from = file->prepared_bytes;
	size = files->segment_bytes - from < SEGMENT_SLICE_BYTES ? files->segment_bytes - from : SEGMENT_SLICE_BYTES;
	file->busy = true; /* a spare may become current meanwhile: it is found again by its descriptor */
	pthread_mutex_unlock(&files->lock);

	rv = segment_files_have_room(files, size) ? write_zeros(own, from, size) : ENOSPC;
	close(own);

	pthread_mutex_lock(&files->lock);
	if (files->current.fd == fd)
		file = &files->current;
	assert(file->fd == fd);
	file->busy = false;
	if (rv == 0)
		file->prepared_bytes = from + size;
	set_full(files, rv == ENOSPC || rv == EDQUOT);
	pthread_mutex_unlock(&files->lock);
	errno = rv;
	return rv == 0 ? 1 : rv == ENOSPC || rv == EDQUOT ? 2 : -1;
}

void segment_files_stop(struct segment_files *files)
{
	pthread_mutex_lock(&files->lock);
	files->stopped = true;
	pthread_cond_broadcast(&files->changed);
	pthread_mutex_unlock(&files->lock);
}

/* --- writing: writer thread --------------------------------------------------------------------------------------- */

static struct segment_file *best_spare(struct segment_files *files)
{
	struct segment_file *best = NULL;

	for (size_t i = 0; i < SEGMENT_SPARES_MAX; i++) {
		struct segment_file *spare = &files->spares[i];

		if (spare->fd >= 0 && (best == NULL || spare->prepared_bytes > best->prepared_bytes))
			best = spare;
	}
	return best;
}

/* The keeper has nothing of the current file in hand when this is called. */
static int switch_to(struct segment_files *files, struct segment_file *spare, uint32_t segment)
{
	char from[SEGMENT_NAME_BYTES], to[SEGMENT_NAME_BYTES];

	segment_name_print(SEGMENT_NAME_SPARE, spare->number, 0, from);
	segment_name_print(SEGMENT_NAME_SEGMENT, segment, 0, to);
	if (renameat(files->folder, from, files->folder, to) != 0 || fsync(files->folder) != 0)
		return errno;
	file_close(&files->current);
	files->current = *spare;
	files->current.number = segment;
	*spare = SEGMENT_FILE_NULL;
	files->position = 0;
	return 0;
}

static void wait_for_keeper(struct segment_files *files)
{
	if (files->wake_keeper != NULL)
		files->wake_keeper(files->owner);
	pthread_cond_wait(&files->changed, &files->lock);
}

enum disk_outcome segment_files_for_write(struct segment_files *files, uint32_t segment, uint64_t end,
					  int (*before_switch)(int fd), int *fd)
{
	enum disk_outcome outcome = DISK_DONE;
	struct segment_file *spare;
	int rv = 0;

	assert(end <= files->segment_bytes);
	pthread_mutex_lock(&files->lock);
	while (files->current.fd < 0 || files->current.number != segment) {
		assert(files->current.fd < 0 || segment > files->current.number);
		spare = best_spare(files);
		if (spare != NULL && !files->current.busy) {
			if (files->current.fd >= 0)
				rv = before_switch(files->current.fd);
			rv = rv == 0 ? switch_to(files, spare, segment) : rv;
			if (rv != 0)
				goto failed;
		} else if (files->full || files->stopped) {
			outcome = DISK_FULL;
			goto done;
		} else {
			wait_for_keeper(files);
		}
	}
	while (files->current.prepared_bytes < end && !files->full && !files->stopped)
		wait_for_keeper(files);
	outcome = files->current.prepared_bytes < end ? DISK_FULL : DISK_DONE;
	goto done;
failed:
	errno = rv;
	outcome = DISK_FAILED;
done:
	*fd = files->current.fd;
	pthread_mutex_unlock(&files->lock);
	return outcome;
}

void segment_files_written(struct segment_files *files, uint64_t end)
{
	pthread_mutex_lock(&files->lock);
	if (end > files->position)
		files->position = end;
	pthread_mutex_unlock(&files->lock);
}

/* --- deleting and reading ------------------------------------------------------------------------------- */

/* A spare more than may soon be needed would only hold space. */
static bool wants_reuse(struct segment_files *files, uint64_t size_bytes)
{
	return size_bytes == files->segment_bytes && free_spare(files) != NULL &&
	       ahead_bytes(files) < SEGMENT_AHEAD_BYTES + files->segment_bytes;
}

/* Under the lock: a spare may become the next segment at once. */
static int reuse(struct segment_files *files, const char *name)
{
	char spare[SEGMENT_NAME_BYTES];
	uint32_t number = files->next_spare;

	segment_name_print(SEGMENT_NAME_SPARE, number, 0, spare);
	return renameat(files->folder, name, files->folder, spare) == 0 ? take_spare(files, spare, number) : errno;
}

static int set_aside(const struct segment_files *files, const char *name, uint32_t segment, uint32_t generation)
{
	char aside[SEGMENT_NAME_BYTES];

	segment_name_print(SEGMENT_NAME_DAMAGED, segment, generation, aside);
	return renameat(files->folder, name, files->folder, aside) == 0 ? 0 : errno;
}

int segment_files_delete(struct segment_files *files, uint32_t segment, uint32_t generation, bool keep)
{
	char name[SEGMENT_NAME_BYTES];
	struct stat status;
	int rv = 0;

	segment_name_print(SEGMENT_NAME_SEGMENT, segment, generation, name);
	pthread_mutex_lock(&files->lock);
	if (generation == 0 && files->current.fd >= 0 && files->current.number == segment)
		rv = EBUSY;
	else if (fstatat(files->folder, name, &status, 0) != 0)
		rv = errno == ENOENT ? 0 : errno;
	else if (keep)
		rv = set_aside(files, name, segment, generation);
	else if (generation == 0 && wants_reuse(files, (uint64_t)status.st_size))
		rv = reuse(files, name);
	else if (unlinkat(files->folder, name, 0) != 0)
		rv = errno;
	pthread_cond_broadcast(&files->changed);
	pthread_mutex_unlock(&files->lock);
	return rv == 0 && fsync(files->folder) != 0 ? errno : rv;
}

ssize_t segment_files_read(const struct segment_files *files, uint32_t segment, uint32_t generation, uint64_t place,
			   uint8_t *bytes, size_t size)
{
	char name[SEGMENT_NAME_BYTES];
	size_t done = 0;
	ssize_t got = 0;
	int fd, saved;

	segment_name_print(SEGMENT_NAME_SEGMENT, segment, generation, name);
	fd = openat(files->folder, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	do {
		got = pread(fd, bytes + done, size - done, (off_t)(place + done));
		done += got > 0 ? (size_t)got : 0;
	} while ((got > 0 && done < size) || (got < 0 && errno == EINTR));
	saved = errno;
	close(fd);
	errno = saved;
	return got < 0 ? -1 : (ssize_t)done;
}

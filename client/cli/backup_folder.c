/* The directory of a back-up: its files by name, read whole, and written so that a name stands for a whole file. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/backup.h"

#define FOLDER_MODE 0777
#define FILE_MODE 0666
#define OFFSET_DIGITS 20u

/* --- the directory ------------------------------------------------------------------------------------------------ */

int backup_folder_open(struct backup_folder *folder, const char *path, bool make)
{
	*folder = (struct backup_folder){path, -1};
	if (make && mkdir(path, FOLDER_MODE) != 0 && errno != EEXIST)
		return ERROR_IO;
	folder->handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder->handle < 0)
		return errno == ENOENT || errno == ENOTDIR ? ERROR_NOT_FOUND : ERROR_IO;
	if (make && flock(folder->handle, LOCK_EX | LOCK_NB) != 0) {
		int why = errno;

		backup_folder_close(folder);
		return why == EWOULDBLOCK ? ERROR_BUSY : ERROR_IO;
	}
	return 0;
}

void backup_folder_close(struct backup_folder *folder)
{
	if (folder->handle >= 0)
		(void)close(folder->handle);
	folder->handle = -1;
}

void backup_file_name(uint16_t partition, uint64_t first, char name[BACKUP_NAME_BYTES])
{
	(void)snprintf(name, BACKUP_NAME_BYTES, "partition/%03u/%020" PRIu64, partition, first);
}

int backup_folder_make_partition(const struct backup_folder *folder, uint16_t partition)
{
	char name[BACKUP_NAME_BYTES];

	if (mkdirat(folder->handle, "partition", FOLDER_MODE) != 0 && errno != EEXIST)
		return ERROR_IO;
	(void)snprintf(name, sizeof name, "partition/%03u", partition);
	return mkdirat(folder->handle, name, FOLDER_MODE) != 0 && errno != EEXIST ? ERROR_IO : 0;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static bool write_all(int file, struct span bytes)
{
	while (bytes.size > 0) {
		ssize_t wrote = write(file, bytes.data, bytes.size);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return false;
		bytes = span_of(bytes.data + wrote, bytes.size - (size_t)wrote);
	}
	return true;
}

/* 0: it is durable, or there is none. */
static int sync_one(const struct backup_folder *folder, const char *name)
{
	int handle = openat(folder->handle, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced;

	if (handle < 0)
		return errno == ENOENT ? 0 : ERROR_IO;
	synced = fsync(handle) == 0;
	(void)close(handle);
	return synced ? 0 : ERROR_IO;
}

int backup_folder_sync(const struct backup_folder *folder)
{
	char name[BACKUP_NAME_BYTES];
	int rv = 0;

	for (uint32_t p = 0; p < PARTITION_COUNT && rv == 0; p++) {
		(void)snprintf(name, sizeof name, "partition/%03u", p);
		rv = sync_one(folder, name);
	}
	if (rv == 0)
		rv = sync_one(folder, "partition");
	return rv == 0 && fsync(folder->handle) != 0 ? ERROR_IO : rv;
}

int backup_folder_write(const struct backup_folder *folder, const char *name, struct span bytes)
{
	char beside[BACKUP_NAME_BYTES + 8];
	bool written;
	int file;

	(void)snprintf(beside, sizeof beside, "%s.new", name);
	file = openat(folder->handle, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
	if (file < 0)
		return ERROR_IO;
	written = write_all(file, bytes) && fsync(file) == 0;
	if (close(file) != 0 || !written)
		return ERROR_IO;
	return renameat(folder->handle, beside, folder->handle, name) == 0 ? 0 : ERROR_IO;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static int read_all(int file, size_t most, struct buffer *bytes)
{
	struct stat status;
	size_t left;
	uint8_t *at;

	if (fstat(file, &status) != 0)
		return ERROR_IO;
	if (status.st_size < 0 || (uint64_t)status.st_size > most)
		return ERROR_LIMIT;
	buffer_clear(bytes);
	left = (size_t)status.st_size;
	at = left == 0 ? NULL : buffer_extend(bytes, left);
	if (left > 0 && at == NULL)
		return ERROR_MEMORY;
	while (left > 0) {
		ssize_t got = read(file, at, left);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return ERROR_IO;
		at += got;
		left -= (size_t)got;
	}
	return 0;
}

int backup_folder_read(const struct backup_folder *folder, const char *name, size_t most, struct buffer *bytes)
{
	int file = openat(folder->handle, name, O_RDONLY | O_CLOEXEC);
	int rv;

	if (file < 0)
		return errno == ENOENT || errno == ENOTDIR ? ERROR_NOT_FOUND : ERROR_IO;
	rv = read_all(file, most, bytes);
	(void)close(file);
	return rv;
}

static bool parse_offset(const char *name, uint64_t *offset)
{
	return strlen(name) == OFFSET_DIGITS && strspn(name, "0123456789") == OFFSET_DIGITS &&
	       text_to_u64(name, offset);
}

static int compare_offsets(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a;
	uint64_t right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static int list_offsets(DIR *files, uint64_t from, uint64_t **offsets, uint32_t *count)
{
	struct dirent *entry;

	while ((entry = readdir(files)) != NULL) {
		uint64_t offset;
		uint64_t *larger;

		if (!parse_offset(entry->d_name, &offset) || offset < from)
			continue;
		larger = reallocarray(*offsets, *count + 1, sizeof *larger);
		if (larger == NULL)
			return ERROR_MEMORY;
		*offsets = larger;
		larger[(*count)++] = offset;
	}
	if (*count > 0)
		qsort(*offsets, *count, sizeof **offsets, compare_offsets);
	return 0;
}

int backup_folder_list(const struct backup_folder *folder, uint16_t partition, uint64_t from, uint64_t **offsets,
		       uint32_t *count)
{
	char name[BACKUP_NAME_BYTES];
	DIR *files;
	int handle;
	int rv;

	*offsets = NULL;
	*count = 0;
	(void)snprintf(name, sizeof name, "partition/%03u", partition);
	handle = openat(folder->handle, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (handle < 0)
		return errno == ENOENT ? 0 : ERROR_IO;
	files = fdopendir(handle);
	if (files == NULL) {
		(void)close(handle);
		return ERROR_IO;
	}
	rv = list_offsets(files, from, offsets, count);
	(void)closedir(files);
	return rv;
}

/* --- what the manifest names -------------------------------------------------------------------------------------- */

int backup_folder_manifest(const struct backup_folder *folder, struct backup_manifest *manifest, const char **why)
{
	struct buffer text = BUFFER_NULL;
	int rv;

	*why = "it cannot be read";
	rv = backup_folder_read(folder, BACKUP_MANIFEST_NAME, BACKUP_MANIFEST_MAX_BYTES, &text);
	if (rv == 0)
		rv = backup_manifest_read(buffer_span(&text), manifest, why);
	buffer_deinit(&text);
	return rv;
}

static struct backup_place place_of(const struct backup_manifest *manifest, uint16_t partition, uint32_t index)
{
	const struct backup_partition *of = &manifest->partitions[partition];
	struct backup_place place = {
		.partition = partition,
		.history = of->history,
		.first = of->entries[index].first,
		.epoch_before = index == 0 ? 0 : of->entries[index - 1].epoch,
	};

	memcpy(place.cluster_id, manifest->cluster_id, sizeof place.cluster_id);
	return place;
}

static bool ends_are(int file, const struct backup_place *place, const struct backup_entry *entry)
{
	uint8_t head[BACKUP_HEADER_BYTES];
	uint8_t checksum[8];
	struct stat status;
	const char *why;

	return fstat(file, &status) == 0 && (uint64_t)status.st_size == entry->size_bytes &&
	       entry->size_bytes >= BACKUP_HEADER_BYTES + BACKUP_TRAILER_BYTES &&
	       pread(file, head, sizeof head, 0) == (ssize_t)sizeof head &&
	       backup_header_check(span_of(head, sizeof head), place, &why) == 0 &&
	       pread(file, checksum, sizeof checksum, (off_t)entry->size_bytes - 8) == (ssize_t)sizeof checksum &&
	       load_little(checksum, 8) == entry->checksum;
}

int backup_folder_glance(const struct backup_folder *folder, const struct backup_manifest *manifest, uint16_t partition,
			 uint32_t index)
{
	const struct backup_entry *entry = &manifest->partitions[partition].entries[index];
	struct backup_place place = place_of(manifest, partition, index);
	char name[BACKUP_NAME_BYTES];
	bool good;
	int file;

	backup_file_name(partition, entry->first, name);
	file = openat(folder->handle, name, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return ERROR_CHECKSUM;
	good = ends_are(file, &place, entry);
	(void)close(file);
	return good ? 0 : ERROR_CHECKSUM;
}

int backup_folder_entry(const struct backup_folder *folder, const struct backup_manifest *manifest, uint16_t partition,
			uint32_t index, struct buffer *bytes, struct backup_facts *facts, const char **why)
{
	const struct backup_partition *of = &manifest->partitions[partition];
	const struct backup_entry *entry = &of->entries[index];
	struct backup_place place = place_of(manifest, partition, index);
	char name[BACKUP_NAME_BYTES];
	int rv;

	backup_file_name(partition, entry->first, name);
	*why = "it cannot be read";
	rv = backup_folder_read(folder, name, BACKUP_FILE_MAX_BYTES, bytes);
	if (rv == ERROR_NOT_FOUND)
		*why = "it is missing";
	if (rv == 0)
		rv = backup_file_check(buffer_span(bytes), &place,
				       index == 0 ? 0 : of->entries[index - 1].last_sequence, facts, why);
	if (rv != 0)
		return rv;
	*why = "it is another file than the manifest names";
	return facts->end == entry->end && facts->epoch == entry->epoch &&
			       facts->last_sequence == entry->last_sequence && facts->size_bytes == entry->size_bytes &&
			       facts->checksum == entry->checksum
		       ? 0
		       : ERROR_CHECKSUM;
}

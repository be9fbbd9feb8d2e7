/* Opening, locking and writing the data directory. Main thread, later the control thread. */
#include "node/directory.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "node/versions.h"
#include "proto/bytes.h"

#define RAFT_METADATA_BYTES 32

static int refuse(char why[DIRECTORY_TEXT_BYTES], const char *what, const char *path)
{
	snprintf(why, DIRECTORY_TEXT_BYTES, "%s %s: %s", what, path, strerror(errno));
	return DIRECTORY_REFUSED;
}

static void path_of(const struct directory *directory, const char *name, char path[CONFIG_PATH_BYTES + 64])
{
	snprintf(path, CONFIG_PATH_BYTES + 64, "%s/%s", directory->path, name);
}

static int make_folder(const char *path, char why[DIRECTORY_TEXT_BYTES])
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return refuse(why, "cannot make", path);
	return DIRECTORY_DONE;
}

static int sync_folder(const char *path, char why[DIRECTORY_TEXT_BYTES])
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rv = DIRECTORY_DONE;

	if (fd < 0)
		return refuse(why, "cannot open", path);
	if (fsync(fd) != 0)
		rv = refuse(why, "cannot sync", path);
	close(fd);
	return rv;
}

/* A predecessor that was killed may take a while to be gone: its threads finish what they asked of the disk. */
static bool lock_try(int fd)
{
	const struct timespec pause = {0, 20 * 1000 * 1000};

	for (uint32_t waited_ms = 0; waited_ms <= DIRECTORY_LOCK_WAIT_MS; waited_ms += 20) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static int lock_take(struct directory *directory, char why[DIRECTORY_TEXT_BYTES])
{
	char path[CONFIG_PATH_BYTES + 64], holder[32] = "";
	ssize_t size;

	path_of(directory, "lock", path);
	directory->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (directory->lock < 0)
		return refuse(why, "cannot open", path);
	if (!lock_try(directory->lock)) {
		size = read(directory->lock, holder, sizeof holder - 1);
		holder[size > 0 ? size : 0] = '\0';
		holder[strcspn(holder, "\n")] = '\0';
		snprintf(why, DIRECTORY_TEXT_BYTES, "data directory %s is in use by process %s", directory->path,
			 holder[0] == '\0' ? "(unknown)" : holder);
		return DIRECTORY_REFUSED;
	}
	size = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
	if (ftruncate(directory->lock, 0) != 0 || pwrite(directory->lock, holder, (size_t)size, 0) != size)
		return refuse(why, "cannot write", path);
	return DIRECTORY_DONE;
}

/* What a first start may find: nothing, our own unfinished beginnings, or a fresh file system's folder. */
static bool is_foreign(const char *name)
{
	static const char *const ours[] = {".", "..", "lock", "identity.new", "lost+found"};

	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
		if (strcmp(name, ours[i]) == 0)
			return false;
	}
	return true;
}

static int check_empty(const struct directory *directory, char why[DIRECTORY_TEXT_BYTES])
{
	DIR *dir = opendir(directory->path);
	struct dirent *entry;
	int rv = DIRECTORY_DONE;

	if (dir == NULL)
		return refuse(why, "cannot read", directory->path);
	while (rv == DIRECTORY_DONE && (entry = readdir(dir)) != NULL) {
		if (is_foreign(entry->d_name)) {
			snprintf(why, DIRECTORY_TEXT_BYTES,
				 "data directory %s is no node's, and not empty (%s): name an empty or missing one",
				 directory->path, entry->d_name);
			rv = DIRECTORY_REFUSED;
		}
	}
	closedir(dir);
	return rv;
}

static int random_bytes(void *to, size_t size, char why[DIRECTORY_TEXT_BYTES])
{
	if (getrandom(to, size, 0) != (ssize_t)size)
		return refuse(why, "cannot get", "random bytes");
	return DIRECTORY_DONE;
}

static int make_identity(struct directory *directory, const char *name, uint16_t shards, char why[DIRECTORY_TEXT_BYTES])
{
	struct directory_identity *identity = &directory->identity;
	int rv = check_empty(directory, why);

	memset(identity, 0, sizeof *identity);
	snprintf(identity->name, sizeof identity->name, "%s", name);
	identity->shards = shards;
	if (rv == DIRECTORY_DONE)
		rv = random_bytes(identity->identity, sizeof identity->identity, why);
	if (rv == DIRECTORY_DONE)
		rv = random_bytes(identity->journals, shards * sizeof identity->journals[0], why);
	if (rv == DIRECTORY_DONE)
		rv = directory_write(directory, why);
	directory->created = rv == DIRECTORY_DONE;
	return rv;
}

static int compare_identity(const struct directory *directory, const char *name, uint16_t shards,
			    char why[DIRECTORY_TEXT_BYTES])
{
	if (directory->identity.gone) {
		snprintf(why, DIRECTORY_TEXT_BYTES,
			 "data directory %s was node '%s', which was decommissioned: the cluster has all that it held. "
			 "Remove it; a node with an empty or missing directory joins anew, under any free name",
			 directory->path, directory->identity.name);
		return DIRECTORY_REFUSED;
	}
	if (directory->identity.cluster_version > node_versions().highest) {
		snprintf(
			why, DIRECTORY_TEXT_BYTES,
			"data directory %s is of a cluster at version %u, and this evgridd knows %u to %u: there is no "
			"way back from a version, start an evgridd that knows it",
			directory->path, directory->identity.cluster_version, node_versions().lowest,
			node_versions().highest);
		return DIRECTORY_REFUSED;
	}
	if (strcmp(directory->identity.name, name) != 0) {
		snprintf(why, DIRECTORY_TEXT_BYTES,
			 "data directory %s belongs to node '%s', and this node is '%s': give it its own directory",
			 directory->path, directory->identity.name, name);
		return DIRECTORY_REFUSED;
	}
	if (directory->identity.shards != shards) {
		snprintf(why, DIRECTORY_TEXT_BYTES,
			 "data directory %s was made with shards: %u, and this start says %u: set shards: %u",
			 directory->path, directory->identity.shards, shards, directory->identity.shards);
		return DIRECTORY_REFUSED;
	}
	return DIRECTORY_DONE;
}

static int read_identity(struct directory *directory, bool *found, char why[DIRECTORY_TEXT_BYTES])
{
	char path[CONFIG_PATH_BYTES + 64], text[DIRECTORY_TEXT_BYTES], reason[DIRECTORY_TEXT_BYTES];
	ssize_t size;
	int fd;

	*found = false;
	path_of(directory, "identity", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return DIRECTORY_DONE;
	if (fd < 0)
		return refuse(why, "cannot open", path);
	size = read(fd, text, sizeof text);
	close(fd);
	if (size < 0)
		return refuse(why, "cannot read", path);
	if (directory_identity_parse(text, (size_t)size, &directory->identity, reason) != 0) {
		snprintf(why, DIRECTORY_TEXT_BYTES, "data directory %.*s is refused: %.*s", 900, directory->path, 900,
			 reason);
		return DIRECTORY_REFUSED;
	}
	*found = true;
	return DIRECTORY_DONE;
}

static int make_folders(const struct directory *directory, char why[DIRECTORY_TEXT_BYTES])
{
	char path[CONFIG_PATH_BYTES + 64], name[32];
	int rv;

	path_of(directory, "..", path); /* the directory's own entry; what it holds follows at the end */
	rv = sync_folder(path, why);
	path_of(directory, "raft", path);
	if (rv == DIRECTORY_DONE)
		rv = make_folder(path, why);
	path_of(directory, "snapshots", path);
	if (rv == DIRECTORY_DONE)
		rv = make_folder(path, why);
	for (uint16_t i = 0; rv == DIRECTORY_DONE && i < directory->identity.shards; i++) {
		snprintf(name, sizeof name, "journal-%u", i);
		path_of(directory, name, path);
		rv = make_folder(path, why);
	}
	return rv == DIRECTORY_DONE ? sync_folder(directory->path, why) : rv;
}

int directory_open(struct directory *directory, const char *path, const char *name, uint16_t shards,
		   char why[DIRECTORY_TEXT_BYTES])
{
	bool found = false;
	int rv;

	assert(shards > 0 && shards <= SHARDS_MAX);
	*directory = DIRECTORY_NULL;
	snprintf(directory->path, sizeof directory->path, "%s", path);
	rv = make_folder(path, why);
	if (rv == DIRECTORY_DONE)
		rv = lock_take(directory, why);
	if (rv == DIRECTORY_DONE)
		rv = read_identity(directory, &found, why);
	if (rv == DIRECTORY_DONE)
		rv = found ? compare_identity(directory, name, shards, why)
			   : make_identity(directory, name, shards, why);
	if (rv == DIRECTORY_DONE)
		rv = make_folders(directory, why);
	if (rv != DIRECTORY_DONE)
		directory_deinit(directory);
	return rv;
}

void directory_deinit(struct directory *directory)
{
	if (directory->lock >= 0)
		close(directory->lock);
	directory->lock = -1;
}

int directory_write(struct directory *directory, char why[DIRECTORY_TEXT_BYTES])
{
	char text[DIRECTORY_TEXT_BYTES], aside[CONFIG_PATH_BYTES + 64], path[CONFIG_PATH_BYTES + 64];
	size_t size = directory_identity_format(&directory->identity, text);
	int rv = DIRECTORY_DONE;
	int fd;

	assert(directory->lock >= 0);
	assert(directory->identity.proof_epoch == 0 ||
	       directory->identity.proof_epoch == directory->identity.node_epoch);
	path_of(directory, "identity.new", aside);
	path_of(directory, "identity", path);
	fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return refuse(why, "cannot make", aside);
	if (write(fd, text, size) != (ssize_t)size || fsync(fd) != 0)
		rv = refuse(why, "cannot write", aside);
	close(fd);
	if (rv == DIRECTORY_DONE && rename(aside, path) != 0)
		rv = refuse(why, "cannot rename to", path);
	return rv == DIRECTORY_DONE ? sync_folder(directory->path, why) : rv;
}

/* libraft's metadata file: format, version, term and vote, 8 bytes each, little-endian. Who bootstraps stores term 1
 * there before its first segment, and votes from term 2 on: ended in between, or within the file's first write, it has
 * said nothing to anybody. libraft would take it for a server that is to be told who the others are. */
static bool is_unborn(const char *path)
{
	uint8_t bytes[RAFT_METADATA_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);

	if (fd >= 0)
		close(fd);
	if (size < 0)
		return false;
	return size < RAFT_METADATA_BYTES || (load_little(bytes + 16, 8) <= 1 && load_little(bytes + 24, 8) == 0);
}

static int unborn_remove(const struct directory *directory, char why[DIRECTORY_TEXT_BYTES])
{
	static const char *const names[] = {"raft/metadata1", "raft/metadata2"};
	char path[CONFIG_PATH_BYTES + 64];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		path_of(directory, names[i], path);
		if (unlink(path) != 0 && errno != ENOENT)
			return refuse(why, "cannot remove", path);
	}
	path_of(directory, "raft", path);
	return sync_folder(path, why);
}

int directory_raft_begin(const struct directory *directory, bool *empty, char why[DIRECTORY_TEXT_BYTES])
{
	char path[CONFIG_PATH_BYTES + 64];
	bool unborn = false;
	struct dirent *entry;
	DIR *dir;

	path_of(directory, "raft", path);
	dir = opendir(path);
	if (dir == NULL)
		return refuse(why, "cannot read", path);
	*empty = true;
	while ((entry = readdir(dir)) != NULL) {
		char name[32];

		/* what libraft's probe leaves behind when the process dies in it */
		if (entry->d_name[0] == '.' || strncmp(entry->d_name, "tmp", 3) == 0)
			continue;
		snprintf(name, sizeof name, "raft/%.20s", entry->d_name);
		path_of(directory, name, path);
		if (strncmp(entry->d_name, "metadata", 8) == 0 && is_unborn(path))
			unborn = true;
		else
			*empty = false;
	}
	closedir(dir);
	return *empty && unborn ? unborn_remove(directory, why) : DIRECTORY_DONE;
}

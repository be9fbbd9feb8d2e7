/* Runs a fuzz target without libFuzzer: on each file named, and on each file of each directory named. It makes the
 * corpus a regression test in every build, with any compiler. Exits 1 when a file cannot be read or none was given. */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

/* The target gets a block of exactly the file's size, so that a sanitizer sees the first byte read past it. */
static int replay_file(const char *path, off_t size_bytes)
{
	int rv = -1;
	uint8_t *data = NULL;
	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		goto done;
	}
	data = malloc(size_bytes > 0 ? (size_t)size_bytes : 1);
	if (data == NULL || fread(data, 1, (size_t)size_bytes, file) != (size_t)size_bytes) {
		goto done;
	}
	(void)LLVMFuzzerTestOneInput(data, (size_t)size_bytes);
	rv = 0;
done:
	if (rv != 0) {
		fprintf(stderr, "replay: cannot read %s: %s\n", path, strerror(errno));
	}
	free(data);
	if (file != NULL) {
		fclose(file);
	}
	return rv;
}

static int replay_path(const char *path, size_t *count);

static int replay_directory(const char *path, size_t *count)
{
	int rv = 0;
	struct dirent *entry;
	DIR *directory = opendir(path);
	if (directory == NULL) {
		fprintf(stderr, "replay: cannot open %s: %s\n", path, strerror(errno));
		return -1;
	}
	while (rv == 0 && (entry = readdir(directory)) != NULL) {
		char inner[PATH_MAX];
		if (entry->d_name[0] == '.') {
			continue;
		}
		if (snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int)sizeof inner) {
			fprintf(stderr, "replay: name too long in %s\n", path);
			rv = -1;
			break;
		}
		rv = replay_path(inner, count);
	}
	closedir(directory);
	return rv;
}

static int replay_path(const char *path, size_t *count)
{
	struct stat status;
	if (stat(path, &status) != 0) {
		fprintf(stderr, "replay: cannot read %s: %s\n", path, strerror(errno));
		return -1;
	}
	if (S_ISDIR(status.st_mode)) {
		return replay_directory(path, count);
	}
	*count += 1;
	return replay_file(path, status.st_size);
}

int main(int argc, char **argv)
{
	size_t count = 0;
	for (int i = 1; i < argc; i++) {
		if (replay_path(argv[i], &count) != 0) {
			return 1;
		}
	}
	printf("replayed %zu files\n", count);
	return count > 0 ? 0 : 1;
}

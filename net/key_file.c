/* Secret key files: made, read. Any thread. */
#include "net/key_file.h"

#include "net/key_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

/* The pairs of zmq_curve(7), by their public keys: the client's and the server's. */
static const char *const published[] = {
	"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
	"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
};

bool key_is_published(const uint8_t public_key[KEY_BYTES])
{
	uint8_t known[KEY_BYTES];

	for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
		if (zmq_z85_decode(known, published[i]) != NULL && memcmp(known, public_key, KEY_BYTES) == 0)
			return true;
	}
	return false;
}

void key_fingerprint(const uint8_t public_key[KEY_BYTES], char text[KEY_FINGERPRINT_BYTES])
{
	for (size_t i = 0; i < (KEY_FINGERPRINT_BYTES - 1) / 2; i++)
		snprintf(text + 2 * i, 3, "%02x", public_key[i]);
}

void key_pair_forget(struct key_pair *pair)
{
	explicit_bzero(pair, sizeof *pair);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static enum key_outcome open_failed(const char *path, char why[KEY_WHY_BYTES])
{
	snprintf(why, KEY_WHY_BYTES, "%s: %s", path, strerror(errno));
	return KEY_UNREADABLE;
}

static enum key_outcome read_open(int fd, const char *path, char **text, size_t *size, char why[KEY_WHY_BYTES])
{
	ssize_t got;

	*size = 0;
	*text = malloc(KEY_FILE_MAX_BYTES + 1);
	if (*text == NULL) {
		snprintf(why, KEY_WHY_BYTES, "%s: no memory to read it", path);
		return KEY_NO_MEMORY;
	}
	while (*size <= KEY_FILE_MAX_BYTES && (got = read(fd, *text + *size, KEY_FILE_MAX_BYTES + 1 - *size)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return open_failed(path, why);
		*size += (size_t)got;
	}
	if (*size <= KEY_FILE_MAX_BYTES)
		return KEY_DONE;
	snprintf(why, KEY_WHY_BYTES, "%s: larger than %u bytes", path, KEY_FILE_MAX_BYTES);
	return KEY_BAD;
}

static enum key_outcome check_file(const struct stat *status, bool secret, const char *path, char why[KEY_WHY_BYTES])
{
	if (!S_ISREG(status->st_mode)) {
		snprintf(why, KEY_WHY_BYTES, "%s: not a file", path);
		return KEY_BAD;
	}
	if (secret && (status->st_mode & (S_IWGRP | S_IRWXO)) != 0) {
		snprintf(why, KEY_WHY_BYTES, "%s: others may read or change it (mode %04o): chmod g-w,o-rwx %s", path,
			 (unsigned)status->st_mode & 07777u, path);
		return KEY_BAD;
	}
	return KEY_DONE;
}

enum key_outcome key_read_text(const char *path, bool secret, char **text, size_t *size, char why[KEY_WHY_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	enum key_outcome rv = KEY_DONE;
	struct stat status;

	*text = NULL;
	*size = 0;
	if (fd < 0)
		return open_failed(path, why);
	if (fstat(fd, &status) != 0)
		rv = open_failed(path, why);
	if (rv == KEY_DONE)
		rv = check_file(&status, secret, path, why);
	if (rv == KEY_DONE)
		rv = read_open(fd, path, text, size, why);
	close(fd);
	return rv;
}

static enum key_outcome take_secret(const struct key_words *words, struct key_pair *pair, const char *path,
				    char why[KEY_WHY_BYTES])
{
	char secret[KEY_TEXT_BYTES], public_text[KEY_TEXT_BYTES];

	if (words->count != 2 || !key_word_is(&words->list[0], "secret") ||
	    !key_decode(&words->list[1], pair->secret_key)) {
		snprintf(why, KEY_WHY_BYTES, "%s:%u: expected 'secret' and 40 characters of Z85", path, words->line);
		return KEY_BAD;
	}
	key_word_copy(&words->list[1], secret, sizeof secret);
	if (zmq_curve_public(public_text, secret) != 0 || zmq_z85_decode(pair->public_key, public_text) == NULL) {
		explicit_bzero(secret, sizeof secret);
		snprintf(why, KEY_WHY_BYTES, "%s:%u: ZeroMQ makes no public key of it: %s", path, words->line,
			 zmq_strerror(zmq_errno()));
		return KEY_BAD;
	}
	explicit_bzero(secret, sizeof secret);
	return KEY_DONE;
}

static enum key_outcome parse_secret(const char *path, const char *text, size_t size, struct key_pair *pair,
				     char why[KEY_WHY_BYTES])
{
	struct key_lines lines = key_lines_of(text, size);
	enum key_outcome rv = KEY_DONE;
	struct key_words words;
	uint32_t secrets = 0;

	while (rv == KEY_DONE && key_lines_next(&lines, &words)) {
		secrets++;
		if (secrets > 1) {
			snprintf(why, KEY_WHY_BYTES, "%s:%u: a second key: one is wanted", path, words.line);
			return KEY_BAD;
		}
		rv = take_secret(&words, pair, path, why);
	}
	if (rv == KEY_DONE && secrets == 0) {
		snprintf(why, KEY_WHY_BYTES, "%s: no key in it: evgrid keygen makes one", path);
		return KEY_BAD;
	}
	if (rv == KEY_DONE && key_is_published(pair->public_key)) {
		snprintf(why, KEY_WHY_BYTES, "%s: a key that ZeroMQ's documentation publishes: everybody has it", path);
		return KEY_BAD;
	}
	return rv;
}

enum key_outcome key_file_read(const char *path, struct key_pair *pair, char why[KEY_WHY_BYTES])
{
	char *text;
	size_t size;
	enum key_outcome rv = key_read_text(path, true, &text, &size, why);

	if (rv == KEY_DONE)
		rv = parse_secret(path, text, size, pair, why);
	if (rv != KEY_DONE)
		key_pair_forget(pair);
	if (text != NULL)
		explicit_bzero(text, size);
	free(text);
	return rv;
}

/* --- making ------------------------------------------------------------------------------------------------------- */

static enum key_outcome write_new(const char *path, mode_t mode, const char *text, char why[KEY_WHY_BYTES])
{
	size_t size = strlen(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	bool good;

	if (fd < 0)
		return open_failed(path, why);
	good = write(fd, text, size) == (ssize_t)size && fsync(fd) == 0;
	if (!good)
		(void)open_failed(path, why);
	if (close(fd) != 0 && good)
		good = false;
	if (!good)
		(void)unlink(path);
	return good ? KEY_DONE : KEY_UNREADABLE;
}

static enum key_outcome write_pair(const char *path, const char *public_path, enum key_role role, const char *name,
				   const char *public_text, const char *secret_text, char why[KEY_WHY_BYTES])
{
	char text[2 * KEY_TEXT_BYTES + NAME_MAX_BYTES + 64], fingerprint[KEY_FINGERPRINT_BYTES];
	uint8_t public_key[KEY_BYTES];
	enum key_outcome rv;

	zmq_z85_decode(public_key, public_text);
	key_fingerprint(public_key, fingerprint);
	snprintf(text, sizeof text, "%s %s %s\n", role == KEY_NODE ? "node" : "client", name, public_text);
	rv = write_new(public_path, 0644, text, why);
	if (rv != KEY_DONE)
		return rv;
	snprintf(text, sizeof text, "# Evgrid: secret key %s\nsecret %s\n", fingerprint, secret_text);
	rv = write_new(path, 0600, text, why);
	explicit_bzero(text, sizeof text);
	if (rv != KEY_DONE)
		(void)unlink(public_path);
	return rv;
}

enum key_outcome key_file_make(const char *path, enum key_role role, const char *name, struct key_pair *pair,
			       char why[KEY_WHY_BYTES])
{
	char public_text[KEY_TEXT_BYTES], secret_text[KEY_TEXT_BYTES], public_path[4096];
	enum key_outcome rv;

	if ((size_t)snprintf(public_path, sizeof public_path, "%s.pub", path) >= sizeof public_path) {
		snprintf(why, KEY_WHY_BYTES, "the path is longer than %zu bytes", sizeof public_path - 5);
		return KEY_BAD;
	}
	if (zmq_curve_keypair(public_text, secret_text) != 0) {
		snprintf(why, KEY_WHY_BYTES, "ZeroMQ makes no keys: %s", zmq_strerror(zmq_errno()));
		return KEY_UNREADABLE;
	}
	rv = write_pair(path, public_path, role, name, public_text, secret_text, why);
	explicit_bzero(secret_text, sizeof secret_text);
	return rv == KEY_DONE ? key_file_read(path, pair, why) : rv;
}

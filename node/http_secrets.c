/* Tokens, certificate and key of the operations port. Threads: see the header. */
#include "node/http_secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEME "Bearer "

/* --- files -------------------------------------------------------------------------------------------------------- */

static char *refuse(char *why, const char *what, const char *path, const char *more)
{
	snprintf(why, HTTP_SECRETS_WHY_BYTES, "%s %s: %s", what, path, more);
	return NULL;
}

static char *read_open(int fd, const char *path, bool secret, char why[HTTP_SECRETS_WHY_BYTES])
{
	struct stat status;
	char *text;
	size_t size = 0;
	ssize_t count = 1;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return refuse(why, "cannot read", path, "it is no file");
	if (secret && (status.st_mode & (S_IRWXO | S_IWGRP)) != 0)
		return refuse(why, "others may read or change", path, "chmod g-w,o-rwx it");
	text = malloc(HTTP_SECRETS_FILE_BYTES + 1);
	if (text == NULL)
		return refuse(why, "cannot read", path, strerror(ENOMEM));
	while (count > 0 && size <= HTTP_SECRETS_FILE_BYTES) {
		count = read(fd, text + size, HTTP_SECRETS_FILE_BYTES + 1 - size);
		size += count > 0 ? (size_t)count : 0;
	}
	if (count == 0 && size > 0 && size <= HTTP_SECRETS_FILE_BYTES) {
		text[size] = 0;
		return text;
	}
	free(text);
	return refuse(why, "cannot read", path, count < 0 ? strerror(errno) : size == 0 ? "it is empty" : "too large");
}

/* NULL and why. */
static char *read_file(const char *path, bool secret, char why[HTTP_SECRETS_WHY_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text;

	if (fd < 0)
		return refuse(why, "cannot read", path, strerror(errno));
	text = read_open(fd, path, secret, why);
	close(fd);
	return text;
}

static void forget(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* --- tokens ------------------------------------------------------------------------------------------------------- */

/* The next line that is neither blank nor a comment, its blanks cut off; NULL: none. */
static char *next_token(char **text)
{
	char *line;

	while ((line = strsep(text, "\n")) != NULL) {
		line += strspn(line, " \t\r");
		line[strcspn(line, " \t\r")] = 0;
		if (line[0] != 0 && line[0] != '#')
			return line;
	}
	return NULL;
}

static bool equal(const char *token, const char *brought)
{
	size_t size = strlen(token);
	unsigned char differs = 0;

	if (strlen(brought) != size)
		return false;
	for (size_t i = 0; i < size; i++)
		differs |= (unsigned char)(token[i] ^ brought[i]);
	return differs == 0;
}

static int check_tokens(const char *path, char why[HTTP_SECRETS_WHY_BYTES])
{
	char *text = read_file(path, true, why), *rest = text, *token;
	size_t count = 0;
	int rv = 0;

	if (text == NULL)
		return -1;
	while (rv == 0 && (token = next_token(&rest)) != NULL) {
		count++;
		if (strlen(token) < HTTP_TOKEN_BYTES_MIN) {
			refuse(why, "too short a token in", path, "openssl rand -hex 32 makes a good one");
			rv = -1;
		}
	}
	if (rv == 0 && count == 0) {
		refuse(why, "no token in", path, "one a line; # begins a comment");
		rv = -1;
	}
	forget(text);
	return rv;
}

bool http_secrets_admit(const struct http_secrets *secrets, const char *authorization)
{
	char why[HTTP_SECRETS_WHY_BYTES];
	char *text, *rest, *token;
	bool admitted = false;

	if (secrets->tokens[0] == 0)
		return true;
	if (authorization == NULL || strncasecmp(authorization, SCHEME, strlen(SCHEME)) != 0)
		return false;
	text = rest = read_file(secrets->tokens, true, why);
	while (rest != NULL && (token = next_token(&rest)) != NULL)
		admitted |= strlen(token) >= HTTP_TOKEN_BYTES_MIN && equal(token, authorization + strlen(SCHEME));
	forget(text);
	return admitted;
}

/* --- certificate and key ------------------------------------------------------------------------------------------ */

static void forget_pair(struct http_secrets *secrets)
{
	forget(secrets->certificate_pem);
	forget(secrets->key_pem);
	secrets->certificate_pem = secrets->key_pem = NULL;
}

static int load_pair(struct http_secrets *secrets, char why[HTTP_SECRETS_WHY_BYTES])
{
	if (secrets->certificate[0] == 0)
		return 0;
	secrets->certificate_pem = read_file(secrets->certificate, false, why);
	if (secrets->certificate_pem != NULL)
		secrets->key_pem = read_file(secrets->key, true, why);
	if (secrets->key_pem != NULL)
		return 0;
	forget_pair(secrets);
	return -1;
}

int http_secrets_load(struct http_secrets *secrets, char why[HTTP_SECRETS_WHY_BYTES])
{
	if (secrets->tokens[0] != 0 && check_tokens(secrets->tokens, why) != 0)
		return -1;
	return load_pair(secrets, why);
}

void http_secrets_deinit(struct http_secrets *secrets)
{
	forget_pair(secrets);
}

bool http_secrets_changed(const struct http_secrets *secrets, struct http_secrets *fresh)
{
	char why[HTTP_SECRETS_WHY_BYTES];

	*fresh = (struct http_secrets){secrets->tokens, secrets->certificate, secrets->key, NULL, NULL};
	if (secrets->certificate[0] == 0 || load_pair(fresh, why) != 0)
		return false;
	if (strcmp(fresh->certificate_pem, secrets->certificate_pem) != 0 ||
	    strcmp(fresh->key_pem, secrets->key_pem) != 0)
		return true;
	forget_pair(fresh);
	return false;
}

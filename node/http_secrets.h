/* What the operations port asks for and shows, in files of the operator's: tokens of who may read more than probes, and
 * the certificate and key of TLS.
 *
 * 1. A file that others on this machine may read is refused, with what to do; so is one that is empty or too large.
 * 2. Tokens are read when one is asked for: a file that is replaced counts at once, one that cannot be read admits
 *    nobody. Certificate and key are read together; who shows them asks http_secrets_changed now and then.
 * 3. How long a comparison takes tells nothing of a token but its length.
 * The thread that owns it. */
#ifndef EVGRID_NODE_HTTP_SECRETS_H
#define EVGRID_NODE_HTTP_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_SECRETS_FILE_BYTES (64u * 1024u)
#define HTTP_TOKEN_BYTES_MIN 16u /* a shorter one is guessed */
#define HTTP_SECRETS_WHY_BYTES 256u

struct http_secrets {
	const char *tokens;      /* path; empty: nobody is asked for one */
	const char *certificate; /* path of PEM, its issuers behind it; empty: no TLS */
	const char *key;         /* path of PEM */
	char *certificate_pem;   /* as loaded; NULL: not */
	char *key_pem;
};

/* 0, or -1 and why: a sentence with the path. */
int http_secrets_load(struct http_secrets *secrets, char why[HTTP_SECRETS_WHY_BYTES]);
void http_secrets_deinit(struct http_secrets *secrets);

/* Certificate and key as they are now in `fresh`, if they can be read and are others; else false. The caller takes one
 * of the two, and deinits the other. */
bool http_secrets_changed(const struct http_secrets *secrets, struct http_secrets *fresh);

/* Whether who brings this (the field Authorization; NULL: none) may read all. */
bool http_secrets_admit(const struct http_secrets *secrets, const char *authorization);

#endif

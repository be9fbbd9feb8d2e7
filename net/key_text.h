/* Lines of words, as both kinds of key files have them. For the files of this folder only. */
#ifndef EVGRID_NET_KEY_TEXT_H
#define EVGRID_NET_KEY_TEXT_H

#include "net/key_file.h"

#define KEY_WORDS_MAX 3u

struct key_word {
	const char *text; /* not ended by 0 */
	size_t size;
};

struct key_words {      /* of one line that is neither empty nor a comment */
	uint32_t line;  /* 1.. */
	uint32_t count; /* may exceed KEY_WORDS_MAX; those are not kept */
	struct key_word list[KEY_WORDS_MAX];
};

struct key_lines {
	const char *at;
	const char *end;
	uint32_t line;
};

struct key_lines key_lines_of(const char *text, size_t size);
bool key_lines_next(struct key_lines *lines, struct key_words *words); /* false: there are no more */
bool key_word_is(const struct key_word *word, const char *text);
void key_word_copy(const struct key_word *word, char *text, size_t size); /* cut to fit */
bool key_decode(const struct key_word *word, uint8_t key[KEY_BYTES]);     /* false: no key in Z85 */

/* The whole file. The text is the caller's to free, also after a fault. secret: only its owner may use it. */
enum key_outcome key_read_text(const char *path, bool secret, char **text, size_t *size, char why[KEY_WHY_BYTES]);
bool key_is_published(const uint8_t public_key[KEY_BYTES]);

#endif

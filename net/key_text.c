/* Splitting key files into words. Any thread. */
#include "net/key_text.h"

#include <string.h>
#include <zmq.h>

struct key_lines key_lines_of(const char *text, size_t size)
{
	return (struct key_lines){.at = text, .end = text + size};
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void split(const char *at, const char *end, struct key_words *words)
{
	words->count = 0;
	while (at < end) {
		const char *begin;

		while (at < end && is_space(*at))
			at++;
		begin = at;
		while (at < end && !is_space(*at))
			at++;
		if (at == begin)
			return;
		if (words->count < KEY_WORDS_MAX)
			words->list[words->count] = (struct key_word){begin, (size_t)(at - begin)};
		words->count++;
	}
}

bool key_lines_next(struct key_lines *lines, struct key_words *words)
{
	while (lines->at < lines->end) {
		const char *begin = lines->at;
		const char *newline = memchr(begin, '\n', (size_t)(lines->end - begin));

		lines->at = newline == NULL ? lines->end : newline + 1;
		lines->line++;
		if (*begin == '#')
			continue;
		split(begin, newline == NULL ? lines->end : newline, words);
		words->line = lines->line;
		if (words->count > 0)
			return true;
	}
	return false;
}

bool key_word_is(const struct key_word *word, const char *text)
{
	return strlen(text) == word->size && memcmp(text, word->text, word->size) == 0;
}

void key_word_copy(const struct key_word *word, char *text, size_t size)
{
	size_t used = word->size < size ? word->size : size - 1;

	memcpy(text, word->text, used);
	text[used] = '\0';
}

bool key_decode(const struct key_word *word, uint8_t key[KEY_BYTES])
{
	char text[KEY_TEXT_BYTES];
	bool good;

	if (word->size != KEY_TEXT_BYTES - 1 || memchr(word->text, '\0', word->size) != NULL)
		return false;
	key_word_copy(word, text, sizeof text);
	good = zmq_z85_decode(key, text) != NULL;
	explicit_bzero(text, sizeof text);
	return good;
}

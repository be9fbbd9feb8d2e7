/* Lists of public keys that are trusted. Any thread. */
#include "net/key_file.h"

#include "net/key_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool key_name_is_valid(enum key_role role, const char *name)
{
	size_t size = strlen(name);

	if (role == KEY_NODE && strcmp(name, "*") == 0)
		return true;
	for (size_t i = 0; i < size; i++) {
		if (!isalnum((unsigned char)name[i]) && (name[i] == '\0' || strchr("-_.", name[i]) == NULL))
			return false;
	}
	return size > 0 && size <= NAME_MAX_BYTES;
}

void trusted_deinit(struct trusted_list *list)
{
	free(list->keys);
	*list = (struct trusted_list){.keys = NULL};
}

static bool is_zero(const uint8_t key[KEY_BYTES])
{
	static const uint8_t zero[KEY_BYTES];

	return memcmp(key, zero, KEY_BYTES) == 0;
}

/* What is wrong with the line; NULL: it is taken. */
static const char *take_line(const struct key_words *words, struct trusted_key *key)
{
	char name[NAME_MAX_BYTES + 2];

	if (words->count != 3)
		return "expected 'node' or 'client', a name, and a public key";
	if (key_word_is(&words->list[0], "node"))
		key->role = KEY_NODE;
	else if (key_word_is(&words->list[0], "client"))
		key->role = KEY_CLIENT;
	else
		return "expected 'node' or 'client' first";
	key_word_copy(&words->list[1], name, sizeof name);
	if (memchr(words->list[1].text, '\0', words->list[1].size) != NULL || !key_name_is_valid(key->role, name))
		return "expected a name of letters, digits, '-', '_' and '.' (or * for all nodes) behind that";
	memcpy(key->name, name, sizeof key->name);
	if (!key_decode(&words->list[2], key->public_key) || is_zero(key->public_key))
		return "expected a public key last: 40 characters of Z85";
	if (key_is_published(key->public_key))
		return "a key that ZeroMQ's documentation publishes: everybody has its secret";
	return NULL;
}

static enum key_outcome fault(const char *path, uint32_t line, const char *text, char why[KEY_WHY_BYTES])
{
	snprintf(why, KEY_WHY_BYTES, "%s:%u: %s", path, line, text);
	return KEY_BAD;
}

static enum key_outcome parse(const char *path, struct key_lines lines, struct trusted_list *list,
			      char why[KEY_WHY_BYTES])
{
	struct key_words words;
	const char *wrong;

	while (key_lines_next(&lines, &words)) {
		struct trusted_key *key = &list->keys[list->count];
		const struct trusted_key *known;

		if (list->count == TRUSTED_MAX)
			return fault(path, words.line, "more keys than a list may hold", why);
		wrong = take_line(&words, key);
		if (wrong != NULL)
			return fault(path, words.line, wrong, why);
		known = trusted_find(list, key->public_key);
		if (known != NULL)
			return fault(path, words.line, "this key stands in a line above: one holder is wanted", why);
		list->count++;
	}
	return KEY_DONE;
}

enum key_outcome trusted_parse(const char *path, const char *text, size_t size, struct trusted_list *list,
			       char why[KEY_WHY_BYTES])
{
	enum key_outcome rv;

	list->count = 0;
	list->keys = calloc(TRUSTED_MAX, sizeof *list->keys);
	if (list->keys == NULL) {
		snprintf(why, KEY_WHY_BYTES, "%s: no memory for its keys", path);
		return KEY_NO_MEMORY;
	}
	rv = parse(path, key_lines_of(text, size), list, why);
	if (rv != KEY_DONE)
		trusted_deinit(list);
	return rv;
}

enum key_outcome trusted_read(const char *path, struct trusted_list *list, char why[KEY_WHY_BYTES])
{
	char *text;
	size_t size;
	enum key_outcome rv = key_read_text(path, false, &text, &size, why);

	*list = (struct trusted_list){.keys = NULL};
	if (rv == KEY_DONE)
		rv = trusted_parse(path, text, size, list, why);
	free(text);
	return rv;
}

const struct trusted_key *trusted_find(const struct trusted_list *list, const uint8_t public_key[KEY_BYTES])
{
	for (uint32_t i = 0; i < list->count; i++) {
		if (memcmp(list->keys[i].public_key, public_key, KEY_BYTES) == 0)
			return &list->keys[i];
	}
	return NULL;
}

bool trusted_is_node(const struct trusted_key *key, const char *name)
{
	return key->role == KEY_NODE && (name == NULL || strcmp(key->name, "*") == 0 || strcmp(key->name, name) == 0);
}

const struct trusted_key *trusted_node_key(const struct trusted_list *list, const char *name, uint32_t number,
					   uint32_t *count)
{
	uint32_t found = 0, wanted;

	for (uint32_t i = 0; i < list->count; i++)
		found += trusted_is_node(&list->keys[i], name);
	*count = found;
	wanted = found == 0 ? 0 : number % found;
	for (uint32_t i = 0; i < list->count; i++) {
		if (trusted_is_node(&list->keys[i], name) && wanted-- == 0)
			return &list->keys[i];
	}
	return NULL;
}

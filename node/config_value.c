/* One value: text to its type and back. Main thread. */
#include "node/config.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *suffix;
	uint64_t factor;
};

static const struct unit byte_units[] = {
	{"", 1}, {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024ull * 1024 * 1024}, {NULL, 0},
};

static const struct unit time_units[] = {
	{"ms", 1},
	{"s", 1000},
	{"m", 60 * 1000},
	{NULL, 0},
};

static const struct unit no_units[] = {
	{"", 1},
	{NULL, 0},
};

static const struct unit *units_of(enum config_type type)
{
	if (type == CONFIG_BYTES)
		return byte_units;
	return type == CONFIG_DURATION || type == CONFIG_SYNC ? time_units : no_units;
}

static void amount_format(const struct unit *units, uint64_t value, char *text, size_t size)
{
	const struct unit *best = &units[0];

	for (const struct unit *unit = units; unit->suffix != NULL; unit++) {
		if (value > 0 && value % unit->factor == 0)
			best = unit;
	}
	snprintf(text, size, "%" PRIu64 "%s", value / best->factor, best->suffix);
}

/* 0, 1: not of this form or unit, 2: too big for 64 bits. */
static int amount_parse(const struct unit *units, const char *text, uint64_t *value)
{
	uint64_t number = 0;

	if (!isdigit((unsigned char)*text))
		return 1;
	for (; isdigit((unsigned char)*text); text++) {
		if (__builtin_mul_overflow(number, 10u, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return 2;
	}
	for (; units->suffix != NULL; units++) {
		if (strcmp(units->suffix, text) == 0)
			return __builtin_mul_overflow(number, units->factor, value) ? 2 : 0;
	}
	return 1;
}

static int parse_amount(const struct config_key *key, const char *text, uint64_t *value, char why[CONFIG_TEXT_BYTES])
{
	const struct unit *units = units_of(key->type);
	char low[32], high[32];

	if (amount_parse(units, text, value) == 0 && *value >= key->minimum && *value <= key->maximum)
		return 0;
	amount_format(units, key->minimum, low, sizeof low);
	amount_format(units, key->maximum, high, sizeof high);
	if (key->type == CONFIG_BYTES)
		snprintf(why, CONFIG_TEXT_BYTES, "expected a size from %s to %s, as 512KiB, 64MiB, 1GiB", low, high);
	else if (key->type == CONFIG_DURATION)
		snprintf(why, CONFIG_TEXT_BYTES, "expected a duration from %s to %s, as 250ms, 5s, 1m", low, high);
	else if (key->type == CONFIG_SYNC)
		snprintf(why, CONFIG_TEXT_BYTES, "expected commit, or a duration from %s to %s, as 10ms", low, high);
	else
		snprintf(why, CONFIG_TEXT_BYTES, "expected a whole number from %s to %s", low, high);
	return 1;
}

static bool name_is_valid(const char *text, size_t size)
{
	if (size == 0 || size > NAME_MAX_BYTES || !isalnum((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < size; i++) {
		if (!isalnum((unsigned char)text[i]) && strchr("-_.", text[i]) == NULL)
			return false;
	}
	return true;
}

static int parse_text(const struct config_key *key, const char *text, char *to, char why[CONFIG_TEXT_BYTES])
{
	size_t size = strlen(text);

	if (size == 0 && key->standard == NULL) { /* as if it were not given */
		to[0] = '\0';
		return 0;
	}
	if (key->type == CONFIG_NAME && !name_is_valid(text, size)) {
		snprintf(why, CONFIG_TEXT_BYTES,
			 "expected a name of 1 to %u letters, digits, '-', '_' or '.', a letter or digit first",
			 NAME_MAX_BYTES);
		return 1;
	}
	if (size == 0 || size >= key->size_bytes) {
		snprintf(why, CONFIG_TEXT_BYTES, "expected 1 to %zu characters", key->size_bytes - 1);
		return 1;
	}
	memcpy(to, text, size + 1);
	return 0;
}

static int parse_boolean(const char *text, bool *value, char why[CONFIG_TEXT_BYTES])
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
		snprintf(why, CONFIG_TEXT_BYTES, "expected true or false");
		return 1;
	}
	*value = text[0] == 't';
	return 0;
}

/* Choices are stored as enums, whose values are the places in the list. */
static int parse_choice(const struct config_key *key, const char *text, unsigned *value, char why[CONFIG_TEXT_BYTES])
{
	unsigned place = 0;

	for (const char *at = key->choices; *at != '\0'; place++) {
		size_t size = strcspn(at, "|");

		if (strlen(text) == size && memcmp(text, at, size) == 0) {
			*value = place;
			return 0;
		}
		at += size + (at[size] == '|' ? 1 : 0);
	}
	snprintf(why, CONFIG_TEXT_BYTES, "expected one of %s", key->choices);
	return 1;
}

/* name=host:port */
static int parse_member(const char *text, size_t size, struct config_member *member)
{
	const char *equals = memchr(text, '=', size);
	const char *colon = NULL;
	uint64_t port = 0;

	if (equals == NULL || !name_is_valid(text, (size_t)(equals - text)))
		return 1;
	memset(member, 0, sizeof *member);
	memcpy(member->name, text, (size_t)(equals - text));
	size -= (size_t)(equals + 1 - text);
	if (size == 0 || size > ADDRESS_MAX_BYTES)
		return 1;
	memcpy(member->address, equals + 1, size);
	colon = strrchr(member->address, ':');
	if (colon == NULL || colon == member->address)
		return 1;
	return amount_parse(no_units, colon + 1, &port) != 0 || port == 0 || port > 65535;
}

static int parse_members(const char *text, struct config_members *members, char why[CONFIG_TEXT_BYTES])
{
	struct config_members parsed = {.count = 0};

	while (*text != '\0') {
		size_t size;

		text += strspn(text, " ");
		size = strcspn(text, ",");
		if (parsed.count == NODES_MAX) {
			snprintf(why, CONFIG_TEXT_BYTES, "expected at most %u members", NODES_MAX);
			return 1;
		}
		if (parse_member(text, size, &parsed.list[parsed.count]) != 0) {
			snprintf(why, CONFIG_TEXT_BYTES, "expected name=host:port, found '%.*s'",
				 (int)(size > 100 ? 100 : size), text);
			return 1;
		}
		parsed.count++;
		text += size + (text[size] == ',' ? 1 : 0);
	}
	*members = parsed;
	return 0;
}

static int value_parse(const struct config_key *key, const char *text, struct config_values *values,
		       char why[CONFIG_TEXT_BYTES])
{
	void *to = (char *)values + key->place;

	switch (key->type) {
	case CONFIG_NAME:
	case CONFIG_STRING:
	case CONFIG_PATH: return parse_text(key, text, to, why);
	case CONFIG_SYNC:
		if (strcmp(text, "commit") == 0) {
			*(uint64_t *)to = 0;
			return 0;
		}
		return parse_amount(key, text, to, why);
	case CONFIG_NUMBER:
	case CONFIG_BYTES:
	case CONFIG_DURATION: return parse_amount(key, text, to, why);
	case CONFIG_BOOLEAN: return parse_boolean(text, to, why);
	case CONFIG_CHOICE: assert(key->size_bytes == sizeof(unsigned)); return parse_choice(key, text, to, why);
	case CONFIG_MEMBERS: return parse_members(text, to, why);
	}
	return 1;
}

int config_value_parse(const struct config_key *key, const char *text, struct config_values *values,
		       char why[CONFIG_TEXT_BYTES])
{
	size_t used;

	if (value_parse(key, text, values, why) == 0)
		return 0;
	used = strlen(why);
	if (key->type != CONFIG_MEMBERS) /* of a list the member is named */
		snprintf(why + used, CONFIG_TEXT_BYTES - used, ", found '%.100s'", text);
	return 1;
}

static void members_format(const struct config_members *members, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "[");

	for (uint32_t i = 0; i < members->count && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s=%s", i == 0 ? "" : ", ", members->list[i].name,
					 members->list[i].address);
	if (used < size)
		snprintf(text + used, size - used, "]");
}

static void choice_format(const struct config_key *key, unsigned value, char *text, size_t size)
{
	const char *at = key->choices;

	for (; value > 0; value--)
		at += strcspn(at, "|") + 1;
	snprintf(text, size, "%.*s", (int)strcspn(at, "|"), at);
}

void config_value_format(const struct config_key *key, const struct config_values *values, char *text, size_t size)
{
	const void *from = (const char *)values + key->place;

	switch (key->type) {
	case CONFIG_NAME:
	case CONFIG_STRING:
	case CONFIG_PATH: snprintf(text, size, "%s", *(const char *)from == '\0' ? "\"\"" : (const char *)from); break;
	case CONFIG_SYNC:
		if (*(const uint64_t *)from == 0) {
			snprintf(text, size, "commit");
			break;
		}
		amount_format(time_units, *(const uint64_t *)from, text, size);
		break;
	case CONFIG_NUMBER:
	case CONFIG_BYTES:
	case CONFIG_DURATION: amount_format(units_of(key->type), *(const uint64_t *)from, text, size); break;
	case CONFIG_BOOLEAN: snprintf(text, size, "%s", *(const bool *)from ? "true" : "false"); break;
	case CONFIG_CHOICE: choice_format(key, *(const unsigned *)from, text, size); break;
	case CONFIG_MEMBERS: members_format(from, text, size); break;
	}
}

/* The table of errors that error.def lists. */
#include "proto/error.h"

static const struct error_entry entries[] = {
#define ERROR(name, number, retry, text, next) {ERROR_##name, #name, RETRY_##retry, text, next},
#include "proto/error.def"
#undef ERROR
};

#define ERROR(name, number, retry, text, next) \
	_Static_assert(ERROR_##name > 0 && ERROR_##name < ERROR_NUMBERS, "raise ERROR_NUMBERS");
#include "proto/error.def"
#undef ERROR

#define ENTRY_COUNT (sizeof(entries) / sizeof(entries[0]))

const struct error_entry *error_all(size_t *count)
{
	*count = ENTRY_COUNT;
	return entries;
}

const struct error_entry *error_find(int code)
{
	const struct error_entry *internal = &entries[0];

	for (size_t i = 0; i < ENTRY_COUNT; i++) {
		if ((int)entries[i].code == code)
			return &entries[i];
		if (entries[i].code == ERROR_INTERNAL)
			internal = &entries[i];
	}
	return internal;
}

const char *error_name(int code)
{
	return code == ERROR_NONE ? "NONE" : error_find(code)->name;
}

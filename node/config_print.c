/* Printing the configuration: as a file that could be read again, each value with its source; and the reference page.
 * Main thread. */
#include "node/config.h"

#include <string.h>

static void source_format(const struct config *config, size_t index, char *text, size_t size)
{
	const struct config_origin *origin = &config->origins[index];

	switch (origin->source) {
	case CONFIG_DEFAULT: snprintf(text, size, "default"); break;
	case CONFIG_FILE: snprintf(text, size, "%s:%u:%u", config->file, origin->line, origin->column); break;
	case CONFIG_ENVIRONMENT: snprintf(text, size, "environment"); break;
	case CONFIG_FLAG: snprintf(text, size, "flag"); break;
	case CONFIG_DERIVED: snprintf(text, size, "derived"); break;
	}
}

/* Prints the section's head when a new one begins; returns the key's own name. */
static const char *begin_key(const char *name, char section[CONFIG_TEXT_BYTES], const char *head, FILE *out)
{
	const char *dot = strchr(name, '.');

	if (dot == NULL) {
		section[0] = '\0';
		return name;
	}
	if (strncmp(section, name, (size_t)(dot - name)) != 0 || section[dot - name] != '\0') {
		snprintf(section, CONFIG_TEXT_BYTES, "%.*s", (int)(dot - name), name);
		fprintf(out, head, section);
	}
	return dot + 1;
}

void config_print(const struct config *config, FILE *out)
{
	char section[CONFIG_TEXT_BYTES] = "", text[NODES_MAX * (NAME_MAX_BYTES + ADDRESS_MAX_BYTES + 4)];
	char source[CONFIG_PATH_BYTES + 32];
	size_t count;
	const struct config_key *schema = config_schema(&count);

	for (size_t i = 0; i < count; i++) {
		const char *key = begin_key(schema[i].name, section, "%s:\n", out);

		config_value_format(&schema[i], &config->values, text, sizeof text);
		source_format(config, i, source, sizeof source);
		fprintf(out, "%s%s: %s # %s", key == schema[i].name ? "" : "  ", key, text, source);
		if (strcmp(schema[i].name, "keys.secret") == 0 && config->fingerprint[0] != '\0')
			fprintf(out, ", fingerprint %s", config->fingerprint);
		fputc('\n', out);
	}
}

static const char *type_text(enum config_type type)
{
	switch (type) {
	case CONFIG_NAME: return "name";
	case CONFIG_STRING: return "text";
	case CONFIG_PATH: return "path";
	case CONFIG_NUMBER: return "number";
	case CONFIG_BYTES: return "size";
	case CONFIG_DURATION: return "duration";
	case CONFIG_SYNC: return "commit or duration";
	case CONFIG_BOOLEAN: return "true or false";
	case CONFIG_CHOICE: return "one of";
	case CONFIG_MEMBERS: return "list of name=host:port";
	}
	return "";
}

static void print_range(const struct config_key *key, FILE *out)
{
	struct config_values low, high;
	char low_text[64], high_text[64];

	if (key->type == CONFIG_CHOICE) {
		fprintf(out, " `%s`", key->choices);
		return;
	}
	if (key->maximum == 0)
		return;
	memcpy((char *)&low + key->place, &key->minimum, sizeof key->minimum);
	memcpy((char *)&high + key->place, &key->maximum, sizeof key->maximum);
	config_value_format(key, &low, low_text, sizeof low_text);
	config_value_format(key, &high, high_text, sizeof high_text);
	fprintf(out, ", %s to %s", low_text, high_text);
}

static const char *const reference_head =
	"# Configuration of evgridd\n"
	"\n"
	"This page is printed by `evgridd --print-config-reference`; do not edit it.\n"
	"\n"
	"A value is looked for in this order, and the last one found counts: the default, the file (`--config FILE`, "
	"YAML),\nthe environment (`EVGRID_SECTION__KEY`, as `EVGRID_LIMITS__PENDING_BYTES`; keys without a section as "
	"`EVGRID_SHARDS`),\nand flags (`--section.key=value`). An unknown key is an error. `evgridd --check-config` "
	"tells "
	"every error with its place\nand ends with 0 or 2; `evgridd --print-config` prints every value with its "
	"source.\n"
	"Sizes are written as `512KiB`, `64MiB`, `1GiB`, durations as `250ms`, `5s`, `1m`, lists in the environment "
	"and in "
	"flags\nwith commas.\n"
	"\n"
	"The least a node of a cluster needs:\n"
	"\n"
	"```yaml\n"
	"node:\n"
	"  name: n1\n"
	"data:\n"
	"  dir: /var/lib/evgrid\n"
	"cluster:\n"
	"  members: [n1=10.0.0.1:7400, n2=10.0.0.2:7400, n3=10.0.0.3:7400]\n"
	"listen:\n"
	"  address: 10.0.0.1\n"
	"insecure: true\n"
	"```\n"
	"\n"
	"Exit codes of evgridd: 0 stopped cleanly; 1 a fault at run time, told by the last line of the log; 2 wrong "
	"configuration\nor use; 3 the data directory was refused; 4 a port could not be bound; 130 or 143 the second "
	"SIGINT "
	"or SIGTERM ended it at\nonce.\n";

void config_print_reference(FILE *out)
{
	char section[CONFIG_TEXT_BYTES] = "";
	size_t count;
	const struct config_key *schema = config_schema(&count);

	fputs(reference_head, out);
	for (size_t i = 0; i < count; i++) {
		if (begin_key(schema[i].name, section, "\n## %s\n", out) == schema[i].name)
			fprintf(out, "\n## %s\n", schema[i].name);
		fprintf(out, "\n`%s` (%s", schema[i].name, type_text(schema[i].type));
		print_range(&schema[i], out);
		if (schema[i].standard != NULL)
			fprintf(out, "; default `%s`", schema[i].standard);
		fprintf(out, ")\n: %s\n", schema[i].help);
	}
}

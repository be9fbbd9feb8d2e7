/* The configuration as a whole: defaults, environment, flags, what follows from other keys, and checks that span keys.
 * Main thread. */
#include "node/config.h"

#include "node/keyring.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENVIRONMENT_PREFIX "EVGRID_"

void config_error(struct config *config, int code, const char *next, const char *format, ...)
{
	uint32_t index = config->error_count++;
	char *cause = NULL;
	va_list arguments;

	if (index >= CONFIG_ERRORS_MAX)
		return;
	va_start(arguments, format);
	if (vasprintf(&cause, format, arguments) < 0)
		cause = NULL;
	va_end(arguments);
	if (cause == NULL || asprintf(&config->errors[index], "%s [%s]; %s", cause, error_name(code), next) < 0)
		config->errors[index] = NULL;
	free(cause);
}

void config_init(struct config *config)
{
	char why[CONFIG_TEXT_BYTES];
	size_t count;
	const struct config_key *schema = config_schema(&count);

	memset(config, 0, sizeof *config);
	for (size_t i = 0; i < count; i++) {
		/* 0 stands for "derived" where the range begins higher; such defaults are written as in the file. */
		int rv = schema[i].standard == NULL
				 ? 0
				 : config_value_parse(&schema[i], schema[i].standard, &config->values, why);

		assert(rv == 0);
		(void)rv;
	}
}

void config_deinit(struct config *config)
{
	for (size_t i = 0; i < CONFIG_ERRORS_MAX; i++) {
		free(config->errors[i]);
		config->errors[i] = NULL;
	}
	config->error_count = 0;
}

static void take(struct config *config, const char *name, const char *text, enum config_source source,
		 const char *shown)
{
	char why[CONFIG_TEXT_BYTES];
	size_t count, index = config_schema_find(name);
	const struct config_key *schema = config_schema(&count);
	const char *nearest;

	if (index == SIZE_MAX) {
		nearest = config_schema_nearest(name);
		config_error(config, ERROR_BAD_CONFIG, nearest == NULL ? CONFIG_NEXT_KEY : CONFIG_NEXT_NEAREST,
			     "%s: unknown key '%s'%s%s%s", shown, name, nearest == NULL ? "" : ": the nearest is '",
			     nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'");
		return;
	}
	if (config_value_parse(&schema[index], text, &config->values, why) != 0) {
		config_error(config, ERROR_BAD_CONFIG, CONFIG_NEXT_VALUE, "%s: %s: %s", shown, name, why);
		return;
	}
	config->origins[index] = (struct config_origin){source, 0, 0};
}

/* EVGRID_LIMITS__PENDING_BYTES -> limits.pending_bytes. Without "__" only keys of the top level are meant: other
 * programs of the family have variables of their own. */
void config_read_environment(struct config *config, char *const *environment)
{
	for (; environment != NULL && *environment != NULL; environment++) {
		const char *at = *environment;
		const char *equals = strchr(at, '=');
		char name[CONFIG_TEXT_BYTES], shown[CONFIG_TEXT_BYTES + 16];
		size_t size = 0;

		if (strncmp(at, ENVIRONMENT_PREFIX, strlen(ENVIRONMENT_PREFIX)) != 0 || equals == NULL ||
		    (size_t)(equals - at) >= sizeof name)
			continue;
		snprintf(shown, sizeof shown, "environment %.*s", (int)(equals - at), at);
		for (at += strlen(ENVIRONMENT_PREFIX); at < equals; at++) {
			bool separator = at[0] == '_' && at[1] == '_';

			name[size++] = separator ? '.' : (char)tolower((unsigned char)*at);
			at += separator ? 1 : 0;
		}
		name[size] = '\0';
		if (strchr(name, '.') != NULL || config_schema_find(name) != SIZE_MAX)
			take(config, name, equals + 1, CONFIG_ENVIRONMENT, shown);
	}
}

void config_read_flag(struct config *config, const char *argument)
{
	const char *equals = strchr(argument, '=');
	char name[CONFIG_TEXT_BYTES], shown[CONFIG_TEXT_BYTES + 8];
	size_t count, index;
	size_t size = equals == NULL ? strlen(argument + 2) : (size_t)(equals - argument - 2);

	assert(strncmp(argument, "--", 2) == 0);
	if (size >= sizeof name)
		size = sizeof name - 1;
	memcpy(name, argument + 2, size);
	name[size] = '\0';
	snprintf(shown, sizeof shown, "flag --%s", name);
	index = config_schema_find(name);
	if (equals == NULL && index != SIZE_MAX && config_schema(&count)[index].type == CONFIG_BOOLEAN)
		take(config, name, "true", CONFIG_FLAG, shown);
	else if (equals == NULL && index != SIZE_MAX)
		config_error(config, ERROR_BAD_CONFIG, "give it a value", "%s: expected --%s=VALUE, found no value",
			     shown, name);
	else
		take(config, name, equals == NULL ? "" : equals + 1, CONFIG_FLAG, shown);
}

static bool given(const struct config *config, const char *name)
{
	return config->origins[config_schema_find(name)].source != CONFIG_DEFAULT;
}

static void derived(struct config *config, const char *name)
{
	config->origins[config_schema_find(name)].source = CONFIG_DERIVED;
}

static void derive_text(struct config *config, const char *name, char *to, size_t size, const char *value)
{
	if (to[0] != '\0')
		return;
	snprintf(to, size, "%s", value);
	derived(config, name);
}

void config_apply_dev(struct config *config)
{
	struct config_values *v = &config->values;

	derive_text(config, "node.name", v->node_name, sizeof v->node_name, "dev");
	derive_text(config, "data.dir", v->data_directory, sizeof v->data_directory, "evgrid-data");
}

static const struct config_member *own_member(const struct config_values *v)
{
	for (uint32_t i = 0; i < v->members.count; i++) {
		if (strcmp(v->members.list[i].name, v->node_name) == 0)
			return &v->members.list[i];
	}
	return NULL;
}

static void derive_from_member(struct config *config)
{
	struct config_values *v = &config->values;
	const struct config_member *own = own_member(v);
	const char *colon;

	if (own == NULL)
		return;
	colon = strrchr(own->address, ':');
	assert(colon != NULL);
	if (v->listen_advertise[0] == '\0') {
		int six = own->address[0] == '[';

		snprintf(v->listen_advertise, sizeof v->listen_advertise, "%.*s", (int)(colon - own->address) - 2 * six,
			 own->address + six);
		derived(config, "listen.advertise");
	}
	if (!given(config, "listen.control")) {
		v->listen_control = strtoul(colon + 1, NULL, 10);
		derived(config, "listen.control");
	}
}

/* So nodes with ports of their own on one machine have one of these, too. */
static void derive_http_port(struct config *config)
{
	struct config_values *v = &config->values;
	uint64_t port = v->listen_control + (CONFIG_HTTP_PORT - CONFIG_CONTROL_PORT);

	if (given(config, "http.port") || v->listen_control == CONFIG_CONTROL_PORT)
		return;
	v->http_port = v->listen_control == 0 || port > UINT16_MAX ? 0 : port;
	derived(config, "http.port");
}

static uint64_t shards_of_machine(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t half = cores < 2 ? 1 : (uint64_t)cores / 2;

	return half > SHARDS_MAX ? SHARDS_MAX : half;
}

static void derive_numbers(struct config *config)
{
	struct config_values *v = &config->values;
	uint64_t founders = v->members.count == 0 ? 1 : v->members.count;

	if (v->replication_factor == 0) {
		v->replication_factor = founders < 3 ? founders : 3;
		derived(config, "cluster.replication_factor");
	}
	if (v->minimum_isr == 0) {
		v->minimum_isr = v->replication_factor >= 3 && founders >= 2 ? 2 : 1;
		derived(config, "cluster.minimum_isr");
	}
	if (v->shards == 0) {
		v->shards = shards_of_machine();
		derived(config, "shards");
	}
}

static bool is_loopback(const char *host)
{
	struct in_addr four;
	struct in6_addr six;

	if (strcmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static void check_members(struct config *config)
{
	const struct config_members *members = &config->values.members;

	for (uint32_t i = 0; i < members->count; i++) {
		for (uint32_t j = 0; j < i; j++) {
			if (strcmp(members->list[i].name, members->list[j].name) == 0)
				config_error(config, ERROR_BAD_CONFIG, "give each member a name of its own",
					     "cluster.members: '%s' stands twice", members->list[i].name);
			if (strcmp(members->list[i].address, members->list[j].address) == 0)
				config_error(config, ERROR_BAD_CONFIG, "give each member an address of its own",
					     "cluster.members: '%s' and '%s' have the same address %s",
					     members->list[j].name, members->list[i].name, members->list[i].address);
		}
	}
}

static void check_http(struct config *config)
{
	const struct config_values *v = &config->values;
	bool guarded = v->http_tokens[0] != 0 && v->http_certificate[0] != 0;

	if ((v->http_certificate[0] == 0) != (v->http_key[0] == 0))
		config_error(config, ERROR_BAD_CONFIG, "give both, or neither",
			     "http.certificate and http.key: one without the other");
	if (!v->insecure && v->http_enabled && !guarded && !is_loopback(v->http_address))
		config_error(config, ERROR_BAD_CONFIG,
			     "give http.tokens, http.certificate and http.key, or set insecure: true if that is meant",
			     "http.address: %s is not a loopback address, and everybody who reaches it could read "
			     "health and metrics",
			     v->http_address);
}

/* Both files are read: what is wrong with them is better known before a node runs. */
static void check_keys(struct config *config)
{
	const struct config_values *v = &config->values;
	bool secret = v->keys_secret[0] != '\0', trusted = v->keys_trusted[0] != '\0';
	struct trusted_list list;
	struct key_pair own;
	char why[KEY_WHY_BYTES];

	if (secret != trusted)
		config_error(config, ERROR_BAD_CONFIG, "give both, or neither",
			     "keys.%s: it is there, and keys.%s is not", secret ? "secret" : "trusted",
			     secret ? "trusted" : "secret");
	if (!secret || !trusted || v->node_name[0] == '\0')
		return;
	if (keyring_read(v->node_name, v->keys_secret, v->keys_trusted, &own, &list, why) != KEY_DONE) {
		config_error(config, ERROR_BAD_CONFIG, "see docs/how-to/secure.md", "keys: %s", why);
		return;
	}
	key_fingerprint(own.public_key, config->fingerprint);
	key_pair_forget(&own);
	trusted_deinit(&list);
}

static void check(struct config *config)
{
	const struct config_values *v = &config->values;
	uint64_t founders = v->members.count == 0 ? 1 : v->members.count;

	if (v->node_name[0] == '\0')
		config_error(config, ERROR_BAD_CONFIG, "give the node a name, or use --dev for a single node",
			     "node.name: missing");
	if (v->data_directory[0] == '\0')
		config_error(config, ERROR_BAD_CONFIG, "name a directory, or use --dev for a single node",
			     "data.dir: missing");
	check_members(config);
	if (v->minimum_isr > founders)
		config_error(config, ERROR_BAD_CONFIG, "lower it, or name more founders in cluster.members",
			     "cluster.minimum_isr: %lu is more than the %lu founders: they would take no writes",
			     (unsigned long)v->minimum_isr, (unsigned long)founders);
	if (v->minimum_isr > v->replication_factor)
		config_error(config, ERROR_BAD_CONFIG, "lower it, or raise cluster.replication_factor",
			     "cluster.minimum_isr: %lu is more than the replication factor %lu",
			     (unsigned long)v->minimum_isr, (unsigned long)v->replication_factor);
	if (v->listen_control + v->shards > UINT16_MAX)
		config_error(config, ERROR_BAD_CONFIG, "lower it: each shard listens on a port behind it",
			     "listen.control: behind %lu are no ports for %lu shards", (unsigned long)v->listen_control,
			     (unsigned long)v->shards);
	check_keys(config);
	if (!v->insecure && v->keys_secret[0] == '\0' && !is_loopback(v->listen_address))
		config_error(config, ERROR_BAD_CONFIG,
			     "give it keys (keys.secret), or set insecure: true if that is meant",
			     "listen.address: %s is not a loopback address, and without keys everybody who reaches "
			     "it could read, write and command",
			     v->listen_address);
	check_http(config);
}

void config_finish(struct config *config)
{
	struct config_values *v = &config->values;

	derive_from_member(config);
	derive_text(config, "listen.advertise", v->listen_advertise, sizeof v->listen_advertise, v->listen_address);
	derive_http_port(config);
	derive_numbers(config);
	check(config);
}

void config_print_errors(const struct config *config, FILE *out)
{
	for (uint32_t i = 0; i < config->error_count && i < CONFIG_ERRORS_MAX; i++)
		fprintf(out, "evgridd: %s\n", config->errors[i] == NULL ? "out of memory" : config->errors[i]);
	if (config->error_count > CONFIG_ERRORS_MAX)
		fprintf(out, "evgridd: and %u more\n", config->error_count - CONFIG_ERRORS_MAX);
	fprintf(out, "evgridd: refused, %u fault%s in the configuration: nothing was started, no data was touched\n",
		config->error_count, config->error_count == 1 ? "" : "s");
}

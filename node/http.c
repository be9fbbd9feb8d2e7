/* The operations port. Opened and closed by the main thread; all else on the HTTP thread. */
#include "node/http.h"

#include "node/clock.h"
#include "node/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"
#define TYPE_JSON "application/json"
#define PATHS "/livez /readyz /healthz /startupz /metrics /restart-check/before /restart-check/after"

static void put(struct buffer *text, const char *more)
{
	buffer_bytes(text, more, strlen(more));
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* Takes the body. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type, struct buffer *body)
{
	struct MHD_Response *response = NULL;
	enum MHD_Result result = MHD_NO;

	if (!body->failed)
		response = MHD_create_response_from_buffer(body->size, body->data, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		buffer_deinit(body);
		return MHD_NO; /* no memory: the connection is closed */
	}
	*body = BUFFER_NULL;
	if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
	    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES &&
	    (status != MHD_HTTP_UNAUTHORIZED ||
	     MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer") == MHD_YES) &&
	    (status != MHD_HTTP_METHOD_NOT_ALLOWED ||
	     MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES))
		result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
	struct buffer body = BUFFER_NULL;

	put(&body, text);
	return answer(connection, status, TYPE_TEXT, &body);
}

static enum MHD_Result answer_metrics(struct http *http, struct MHD_Connection *connection)
{
	struct buffer body = BUFFER_NULL;

	metrics_scrape(http->metrics, clock_boot_ms());
	metrics_print(http->metrics, &body);
	return answer(connection, MHD_HTTP_OK, TYPE_METRICS, &body);
}

/* --- probes ------------------------------------------------------------------------------------------------------- */

struct query {
	bool verbose;
	const char *excluded[HEALTH_CHECKS_MAX]; /* more than there are leave nothing more out */
	uint32_t count;
};

static enum MHD_Result take_argument(void *data, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct query *query = data;

	(void)kind;
	if (strcmp(key, "verbose") == 0)
		query->verbose = true;
	else if (strcmp(key, "exclude") == 0 && value != NULL && query->count < HEALTH_CHECKS_MAX)
		query->excluded[query->count++] = value;
	return MHD_YES;
}

static bool is_excluded(const void *data, const char *name)
{
	const struct query *query = data;

	for (uint32_t i = 0; i < query->count; i++) {
		if (strcmp(query->excluded[i], name) == 0)
			return true;
	}
	return false;
}

bool http_judged(const struct health_check *checks, uint32_t count, bool verbose,
		 bool (*excluded)(const void *data, const char *name), const void *data, struct buffer *text)
{
	bool good = true;

	for (uint32_t i = 0; i < count; i++) {
		bool left_out = excluded(data, checks[i].name);
		char line[HEALTH_NAME_BYTES + HEALTH_WHY_BYTES + 16];

		good &= checks[i].good || left_out;
		if (left_out)
			snprintf(line, sizeof line, "[+]%s excluded\n", checks[i].name);
		else
			snprintf(line, sizeof line, "[%c]%s %s\n", checks[i].good ? '+' : '-', checks[i].name,
				 checks[i].good ? "ok" : checks[i].why);
		if (verbose || (!checks[i].good && !left_out))
			put(text, line);
	}
	put(text, good ? "ok\n" : "not ok\n");
	return good;
}

static enum MHD_Result answer_probe(struct http *http, struct MHD_Connection *connection, enum health_probe probe)
{
	struct health_check checks[HEALTH_CHECKS_MAX];
	struct query query = {.count = 0};
	struct buffer body = BUFFER_NULL;
	uint32_t count;
	bool good;

	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_argument, &query);
	health_look(&http->view, http->health, clock_boot_ms());
	count = health_judge(&http->view, probe, checks);
	good = http_judged(checks, count, query.verbose, is_excluded, &query, &body);
	return answer(connection, good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, TYPE_TEXT, &body);
}

static enum MHD_Result answer_restart(struct http *http, struct MHD_Connection *connection, bool after)
{
	struct map_share *map = metrics_hold_map(http->metrics);
	uint32_t self = atomic_load_explicit(&http->metrics->self, memory_order_relaxed);
	struct health_check checks[HEALTH_CHECKS_MAX];
	struct buffer body = BUFFER_NULL;
	uint32_t count;
	bool good;

	health_look(&http->view, http->health, clock_boot_ms());
	count = health_judge(&http->view, HEALTH_READY, checks);
	good = http_restart_judged(map == NULL ? NULL : &map->map, self, after, checks, count, &body);
	if (map != NULL)
		(void)map_share_drop(map);
	return answer(connection, good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, TYPE_JSON, &body);
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static bool is_admitted(const struct http *http, struct MHD_Connection *connection)
{
	return http_secrets_admit(&http->secrets, MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
									      MHD_HTTP_HEADER_AUTHORIZATION));
}

/* Probes are asked by what has no token: kubelets, load balancers. */
static enum MHD_Result route(struct http *http, struct MHD_Connection *connection, const char *path)
{
	if (strcmp(path, "/livez") == 0)
		return answer_probe(http, connection, HEALTH_LIVE);
	if (strcmp(path, "/readyz") == 0 || strcmp(path, "/healthz") == 0)
		return answer_probe(http, connection, HEALTH_READY);
	if (strcmp(path, "/startupz") == 0)
		return answer_probe(http, connection, HEALTH_STARTED);
	if (!is_admitted(http, connection))
		return answer_text(connection, MHD_HTTP_UNAUTHORIZED, "a token is wanted: Authorization: Bearer ...\n");
	if (strcmp(path, "/metrics") == 0)
		return answer_metrics(http, connection);
	if (strcmp(path, "/restart-check/before") == 0 || strcmp(path, "/restart-check/after") == 0)
		return answer_restart(http, connection, strcmp(path, "/restart-check/after") == 0);
	return answer_text(connection, MHD_HTTP_NOT_FOUND, "not found; there are " PATHS "\n");
}

/* Called once when the head is there, again for what of a body has come, and at its end. Another method is refused at
 * once: the connection closes, so that nobody's body is read. */
static enum MHD_Result take_request(void *data, struct MHD_Connection *connection, const char *path, const char *method,
				    const char *version, const char *body, size_t *body_size, void **seen)
{
	(void)version;
	(void)body;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	if (*seen == NULL || *body_size > 0) {
		*seen = data;
		*body_size = 0;
		return MHD_YES;
	}
	return route(data, connection, path);
}

/* --- the daemon --------------------------------------------------------------------------------------------------- */

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

static int start_daemon(struct http *http)
{
	const bool tls = http->secrets.certificate_pem != NULL;
	struct MHD_OptionItem secrets[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, http->secrets.certificate_pem},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, http->secrets.key_pem},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, TLS_PRIORITIES},
		{MHD_OPTION_END, 0, NULL},
	};
	const union MHD_DaemonInfo *info;
	int listener = fcntl(http->listener, F_DUPFD_CLOEXEC, 0);

	if (listener < 0)
		return 1;
	errno = 0;
	if (!tls)
		secrets[0].option = MHD_OPTION_END;
	http->daemon = MHD_start_daemon(MHD_USE_EPOLL | (tls ? MHD_USE_TLS : 0), 0, NULL, NULL, take_request, http,
					MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
					HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, HTTP_TIMEOUT_SECONDS,
					MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_BYTES,
					MHD_OPTION_ARRAY, secrets, MHD_OPTION_END);
	if (http->daemon == NULL)
		return 1;
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	http->ready = info == NULL ? -1 : info->epoll_fd;
	return http->ready >= 0 ? 0 : 1;
}

static void stop_daemon(struct http *http)
{
	if (http->daemon == NULL)
		return;
	MHD_stop_daemon(http->daemon);
	http->daemon = NULL;
	http->ready = -1;
}

/* --- the thread --------------------------------------------------------------------------------------------------- */

static int wait_ms(const struct http *http)
{
	MHD_UNSIGNED_LONG_LONG wanted_ms;

	if (http->daemon != NULL && MHD_get_timeout(http->daemon, &wanted_ms) == MHD_YES && wanted_ms < HEALTH_LOOK_MS)
		return (int)wanted_ms;
	return (int)HEALTH_LOOK_MS;
}

/* Another certificate than the one that is shown? Who replaces two files does it one after the other: what TLS does not
 * take is tried again. */
static void look_at_secrets(struct http *http)
{
	uint64_t now_ms = clock_boot_ms();
	struct http_secrets fresh, former = http->secrets;

	if (now_ms - http->looked_ms < HTTP_SECRETS_LOOK_MS)
		return;
	http->looked_ms = now_ms;
	if (http_secrets_changed(&http->secrets, &fresh)) {
		stop_daemon(http);
		http->secrets = fresh;
		if (start_daemon(http) == 0) {
			LOG_EVENT(http->log, http_certificate_changed, .path = fresh.certificate);
			http_secrets_deinit(&former);
			return;
		}
		LOG_LIMITED(http->log, &http->refused, now_ms, http_certificate_refused, .path = fresh.certificate);
		stop_daemon(http);
		http_secrets_deinit(&fresh);
		http->secrets = former;
	}
	if (http->daemon == NULL && start_daemon(http) != 0) /* no memory or descriptors: tried again */
		stop_daemon(http);
}

static void *thread_run(void *argument)
{
	struct http *http = argument;
	struct pollfd ready[2] = {{.events = POLLIN}, {.fd = http->stop, .events = POLLIN}};

	while (ready[1].revents == 0) {
		ready[0].fd = http->ready;
		health_look(&http->view, http->health, clock_boot_ms());
		(void)poll(ready, 2, wait_ms(http));
		if (http->daemon != NULL)
			MHD_run(http->daemon);
		look_at_secrets(http);
	}
	return NULL;
}

/* --- opening and closing ------------------------------------------------------------------------------------------ */

static int start(struct http *http)
{
	http->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (http->stop < 0)
		return errno;
	if (start_daemon(http) != 0)
		return errno == 0 ? ENOMEM : errno;
	return pthread_create(&http->thread, NULL, thread_run, http);
}

enum http_outcome http_open(struct http *http, struct metrics *metrics, const struct health *health,
			    const struct http_options *options, char why[HTTP_SECRETS_WHY_BYTES])
{
	uint16_t port = options->port;
	bool bound;
	int error;

	http->log = options->log;
	http->metrics = metrics;
	http->health = health;
	http->looked_ms = clock_boot_ms();
	http->secrets = (struct http_secrets){
		.tokens = options->tokens, .certificate = options->certificate, .key = options->key};
	if (http_secrets_load(&http->secrets, why) != 0) {
		*http = HTTP_NULL;
		return HTTP_NO_SECRETS;
	}
	http->listener = listener_open(options->host, &port, (int)HTTP_CONNECTIONS_MAX);
	bound = http->listener >= 0;
	error = bound ? start(http) : errno;
	if (error == 0) {
		http->port = port;
		return HTTP_OPEN;
	}
	http_close(http);
	errno = error;
	return bound ? HTTP_NOT_STARTED : HTTP_NOT_BOUND;
}

void http_close(struct http *http)
{
	const uint64_t one = 1;

	if (http->port != 0) {
		while (write(http->stop, &one, sizeof one) < 0 && errno == EINTR)
			continue;
		pthread_join(http->thread, NULL);
	}
	stop_daemon(http);
	if (http->listener >= 0)
		close(http->listener);
	if (http->stop >= 0)
		close(http->stop);
	http_secrets_deinit(&http->secrets);
	*http = HTTP_NULL;
}

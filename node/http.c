/* The operations port. Opened and closed by the main thread; all else on the HTTP thread. */
#include "node/http.h"

#include "node/clock.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
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

static enum MHD_Result route(struct http *http, struct MHD_Connection *connection, const char *path)
{
	if (strcmp(path, "/metrics") == 0)
		return answer_metrics(http, connection);
	if (strcmp(path, "/livez") == 0)
		return answer_probe(http, connection, HEALTH_LIVE);
	if (strcmp(path, "/readyz") == 0 || strcmp(path, "/healthz") == 0)
		return answer_probe(http, connection, HEALTH_READY);
	if (strcmp(path, "/startupz") == 0)
		return answer_probe(http, connection, HEALTH_STARTED);
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

/* --- the thread --------------------------------------------------------------------------------------------------- */

static int wait_ms(const struct http *http)
{
	MHD_UNSIGNED_LONG_LONG wanted_ms;

	if (MHD_get_timeout(http->daemon, &wanted_ms) == MHD_YES && wanted_ms < HEALTH_LOOK_MS)
		return (int)wanted_ms;
	return (int)HEALTH_LOOK_MS;
}

static void *thread_run(void *argument)
{
	struct http *http = argument;
	struct pollfd ready[2] = {{.fd = http->ready, .events = POLLIN}, {.fd = http->stop, .events = POLLIN}};

	while (ready[1].revents == 0) {
		health_look(&http->view, http->health, clock_boot_ms());
		(void)poll(ready, 2, wait_ms(http));
		MHD_run(http->daemon);
	}
	return NULL;
}

/* --- opening and closing ------------------------------------------------------------------------------------------ */

static int try_listen(const struct addrinfo *address)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, error;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, (int)HTTP_CONNECTIONS_MAX) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof address;
	uint16_t port = 0;

	if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
		return 0;
	if (address.ss_family == AF_INET)
		port = ((const struct sockaddr_in *)&address)->sin_port;
	else if (address.ss_family == AF_INET6)
		port = ((const struct sockaddr_in6 *)&address)->sin6_port;
	return ntohs(port);
}

/* The descriptor, or -1 with errno. */
static int listen_on(const char *host, uint16_t *port)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *found = NULL;
	char service[8];
	int fd, error;

	snprintf(service, sizeof service, "%u", *port);
	if (getaddrinfo(host, service, &hints, &found) != 0) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	fd = try_listen(found);
	error = errno;
	freeaddrinfo(found);
	errno = error;
	if (fd >= 0)
		*port = port_of(fd);
	return fd;
}

static int start_daemon(struct http *http, int fd)
{
	const union MHD_DaemonInfo *info;

	errno = 0;
	http->daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, take_request, http, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, HTTP_TIMEOUT_SECONDS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_BYTES, MHD_OPTION_END);
	if (http->daemon == NULL) {
		close(fd);
		return 1;
	}
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	http->ready = info == NULL ? -1 : info->epoll_fd;
	http->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return http->ready >= 0 && http->stop >= 0 ? 0 : 1;
}

enum http_outcome http_open(struct http *http, struct metrics *metrics, const struct health *health, const char *host,
			    uint16_t port)
{
	int fd, error = 0;

	http->metrics = metrics;
	http->health = health;
	fd = listen_on(host, &port);
	if (fd < 0)
		return HTTP_NOT_BOUND;
	if (start_daemon(http, fd) != 0)
		error = errno == 0 ? ENOMEM : errno;
	if (error == 0)
		error = pthread_create(&http->thread, NULL, thread_run, http);
	if (error == 0) {
		http->port = port;
		return HTTP_OPEN;
	}
	http_close(http);
	errno = error;
	return HTTP_NOT_STARTED;
}

void http_close(struct http *http)
{
	const uint64_t one = 1;

	if (http->port != 0) {
		while (write(http->stop, &one, sizeof one) < 0 && errno == EINTR)
			continue;
		pthread_join(http->thread, NULL);
	}
	if (http->daemon != NULL)
		MHD_stop_daemon(http->daemon); /* the listening socket with it */
	if (http->stop >= 0)
		close(http->stop);
	*http = HTTP_NULL;
}

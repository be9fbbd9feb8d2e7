/* The operations port: health and metrics over HTTP, for probes and scrapers. It only tells. Without TLS and tokens it
 * binds to loopback, like the other ports without keys (config.c).
 *
 *   GET /livez, /readyz (/healthz), /startupz   200 or 503 (health.h); ?verbose shows every check, ?exclude=NAME (more
 *                                               than once) leaves one out
 *   GET /metrics                                the page of metrics.h
 *   GET /restart-check/before, .../after        200 or 503, JSON: may this node stop now, and is it back
 *
 * Where tokens are configured all but the probes want one (401). HEAD is as GET; another method is 405, another path
 * 404. With a certificate it speaks TLS only; one that is replaced is shown within seconds.
 *
 * libmicrohttpd runs in one thread of ours, which also looks at the other threads' beats. It opens before data is
 * recovered, and is the last thing to end. */
#ifndef EVGRID_NODE_HTTP_H
#define EVGRID_NODE_HTTP_H

#include "node/health.h"
#include "node/http_secrets.h"
#include "node/logging.h"
#include "node/metrics.h"

#include <pthread.h>

#define HTTP_CONNECTIONS_MAX 64u
#define HTTP_SECRETS_LOOK_MS 5000u          /* how often certificate and key are read anew */
#define HTTP_TIMEOUT_SECONDS 5u             /* a connection that is silent for so long is closed */
#define HTTP_CONNECTION_BYTES (16u * 1024u) /* for a request's head: beyond it 431 or 414 */

struct MHD_Daemon;

struct http {
	struct metrics *metrics;
	const struct health *health;
	struct health_view view; /* the thread's own */
	const struct logging *log;
	struct logging_limit refused;
	struct http_secrets secrets;
	uint64_t looked_ms; /* at certificate and key */
	struct MHD_Daemon *daemon;
	int listener;  /* each daemon gets a copy and closes it, even where it does not start */
	int ready;     /* epoll descriptor of the daemon */
	int stop;      /* eventfd */
	uint16_t port; /* 0: closed */
	pthread_t thread;
};

#define HTTP_NULL ((struct http){.ready = -1, .stop = -1, .listener = -1})

enum http_outcome { HTTP_OPEN = 0, HTTP_NOT_BOUND = 1, HTTP_NOT_STARTED = 2, HTTP_NO_SECRETS = 3 };

struct http_options {
	const struct logging *log;
	const char *host;
	uint16_t port;      /* 0: any; told in http->port */
	const char *tokens; /* these three as in http_secrets.h */
	const char *certificate;
	const char *key;
};

/* Binds and starts the thread; http is HTTP_NULL. Not open: errno says why, of secrets the text. */
enum http_outcome http_open(struct http *http, struct metrics *metrics, const struct health *health,
			    const struct http_options *options, char why[HTTP_SECRETS_WHY_BYTES]);
void http_close(struct http *http); /* may be called on what is not open */

/* The text for a probe that was judged; true: 200. `exclude` may be NULL: nothing is. For http.c and its test. */
bool http_judged(const struct health_check *checks, uint32_t count, bool verbose,
		 bool (*excluded)(const void *data, const char *name), const void *data, struct buffer *text);

/* http_restart.c: the JSON for a restart check; true: 200. map NULL: there is none yet. `checks`: of readiness. */
bool http_restart_judged(const struct cluster_map *map, uint32_t self, bool after, const struct health_check *checks,
			 uint32_t count, struct buffer *body);

#endif

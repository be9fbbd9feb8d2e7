/* What the service manager is told, and when. Control thread. */
#include "node/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOTIFY_TEXT_BYTES (HEALTH_NAME_BYTES + HEALTH_WHY_BYTES + 128u)

/* --- the socket --------------------------------------------------------------------------------------------------- */

static int set_address(struct notify *notify, const char *name)
{
	size_t size = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || size < 2)
		return EINVAL;
	if (size >= sizeof notify->address.sun_path)
		return ENAMETOOLONG;
	notify->address.sun_family = AF_UNIX;
	memcpy(notify->address.sun_path, name, size);
	if (name[0] == '@')
		notify->address.sun_path[0] = '\0';
	notify->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (name[0] == '/'));
	return 0;
}

int notify_open(struct notify *notify, const char *name, uint64_t stop_timeout_ms)
{
	int rv;

	*notify = NOTIFY_NULL;
	notify->stop_timeout_ms = stop_timeout_ms;
	if (name == NULL)
		return 0;
	rv = set_address(notify, name);
	if (rv != 0)
		return rv;
	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return notify->fd >= 0 ? 0 : errno;
}

void notify_close(struct notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	*notify = NOTIFY_NULL;
}

static bool send_text(const struct notify *notify, const char *text)
{
	return sendto(notify->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
		      (const struct sockaddr *)&notify->address, notify->address_size) >= 0;
}

/* --- what is told ------------------------------------------------------------------------------------------------- */

/* The first check that fails; NULL: all are good. */
static const struct health_check *failing(const struct health_view *view, enum health_probe probe,
					  struct health_check checks[HEALTH_CHECKS_MAX])
{
	uint32_t count = health_judge(view, probe, checks);

	for (uint32_t i = 0; i < count; i++) {
		if (!checks[i].good)
			return &checks[i];
	}
	return NULL;
}

static void tell_stopping(struct notify *notify)
{
	char text[NOTIFY_TEXT_BYTES];

	if (notify->told_stopping)
		return;
	snprintf(text, sizeof text, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=the node stops\n",
		 (notify->stop_timeout_ms + NOTIFY_STOP_MARGIN_MS) * 1000u);
	notify->told_stopping = send_text(notify, text);
}

static void tell_alive(struct notify *notify)
{
	struct health_check checks[HEALTH_CHECKS_MAX];
	const struct health_check *missing;
	char text[NOTIFY_TEXT_BYTES], extension[48] = "";
	bool ready;

	if (failing(&notify->view, HEALTH_LIVE, checks) != NULL)
		return;
	missing = failing(&notify->view, HEALTH_READY, checks);
	ready = notify->told_ready || missing == NULL;
	if (!ready)
		snprintf(extension, sizeof extension, "EXTEND_TIMEOUT_USEC=%u\n", NOTIFY_START_MS * 1000u);
	snprintf(text, sizeof text, "WATCHDOG=1\n%s%sSTATUS=%s%s%s%s\n", extension,
		 ready && !notify->told_ready ? "READY=1\n" : "",
		 missing == NULL ? "ready" : "not ready: ", missing == NULL ? "" : missing->name,
		 missing == NULL ? "" : ": ", missing == NULL ? "" : missing->why);
	if (send_text(notify, text))
		notify->told_ready = ready;
}

void notify_tick(struct notify *notify, const struct health *health, uint64_t now_ms)
{
	bool stopping = atomic_load_explicit(&health->stopping, memory_order_relaxed);

	if (notify->fd < 0 || (now_ms < notify->due_ms && (!stopping || notify->view.stopping)))
		return;
	notify->due_ms = now_ms + HEALTH_LOOK_MS;
	health_look(&notify->view, health, now_ms);
	if (notify->view.stopping)
		tell_stopping(notify);
	else
		tell_alive(notify);
}

/* libraft's disk code under the cluster: raft_uv_init with a transport that never connects, since messages travel over
 * ZeroMQ (cluster_new replaces start and send). The only file that includes <raft/uv.h>. Control thread. */
#include "node/control.h"

#include <raft/uv.h>
#include <stdlib.h>

struct control_disk {
	struct raft_uv_transport transport;
};

static int transport_init(struct raft_uv_transport *transport, raft_id id, const char *address)
{
	(void)transport;
	(void)id;
	(void)address;
	return 0;
}

static int transport_listen(struct raft_uv_transport *transport, raft_uv_accept_cb accept)
{
	(void)transport;
	(void)accept;
	return 0;
}

static int transport_connect(struct raft_uv_transport *transport, struct raft_uv_connect *request, raft_id id,
			     const char *address, raft_uv_connect_cb done)
{
	(void)transport;
	(void)request;
	(void)id;
	(void)address;
	(void)done;
	return RAFT_NOCONNECTION;
}

static void transport_close(struct raft_uv_transport *transport, raft_uv_transport_close_cb done)
{
	done(transport);
}

void control_raft_open(struct control *control)
{
	char path[CONFIG_PATH_BYTES + 16];
	int rv;

	snprintf(path, sizeof path, "%s/raft", control->directory->path);
	control->disk = calloc(1, sizeof *control->disk);
	if (control->disk == NULL)
		control_out_of_memory(control, "the metadata's store");
	control->disk->transport.version = 1;
	control->disk->transport.init = transport_init;
	control->disk->transport.listen = transport_listen;
	control->disk->transport.connect = transport_connect;
	control->disk->transport.close = transport_close;
	memset(&control->io, 0, sizeof control->io);
	rv = raft_uv_init(&control->io, &control->loop, path, &control->disk->transport);
	if (rv != 0)
		LOG_FATAL(control->log, metadata_store_failed, .observed = raft_strerror(rv));
	control->io.version = 2;
	raft_uv_set_auto_recovery(&control->io, false); /* a corrupt store is an operator's matter, never guessed at */
}

void control_raft_close(struct control *control)
{
	if (control->disk == NULL)
		return;
	raft_uv_close(&control->io);
	free(control->disk);
	control->disk = NULL;
}

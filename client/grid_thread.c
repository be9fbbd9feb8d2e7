/* The handle's thread: ZeroMQ sockets, turns, callbacks.
 *
 * One DEALER per endpoint. ZMQ_FD is edge-triggered and any call on a socket may eat its edge, so a socket that was
 * touched stays dirty until it has been asked and had nothing; the thread sleeps only when none is dirty. Nothing
 * ever blocks: what cannot be sent is lost, and the core hears of it. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "client/grid.h"
#include "client/subscribe.h"

#define FRAMES_PER_TURN 64u
#define BYTES_PER_TURN TURN_MAX_BYTES
#define WAKE_MARK UINT32_MAX
#define EVENTS_MAX 64
#define SEEK_MS 30000u
#define LOST_MAX (4 * GRID_ENDPOINTS_MAX) /* more are told as lost on the way */

struct arrival {
	uint32_t endpoint;
	zmq_msg_t message;
};

struct unsent {
	uint32_t endpoint;
	struct core_copies copies;
};

struct call { /* to be made without the lock */
	struct slot slot;
	size_t index; /* in the outbox */
};

struct run {
	struct evg *grid;
	struct arrival arrivals[FRAMES_PER_TURN];
	uint32_t arrival_count;
	struct unsent lost[LOST_MAX]; /* frames that were not taken in the last turn */
	uint32_t lost_count;
	struct call *calls;
	size_t call_count;
	size_t call_capacity;
	bool more;   /* some socket has more than fitted into this turn */
	bool closed; /* the last turn has been */
};

/* --- sockets ------------------------------------------------------------------------------------------------------ */

int grid_open_sockets(struct evg *grid)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = WAKE_MARK};

	grid->context = zmq_ctx_new();
	grid->resolver = resolver_new(resolver_system);
	grid->epoll = epoll_create1(EPOLL_CLOEXEC);
	grid->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (grid->context == NULL || grid->resolver == NULL || grid->epoll < 0 || grid->wake < 0 ||
	    epoll_ctl(grid->epoll, EPOLL_CTL_ADD, grid->wake, &event) != 0)
		return ERROR_IO;
	return 0;
}

static void socket_close(struct evg *grid, uint32_t endpoint)
{
	struct endpoint_socket *socket = &grid->sockets[endpoint];

	if (socket->socket == NULL)
		return;
	(void)epoll_ctl(grid->epoll, EPOLL_CTL_DEL, socket->descriptor, NULL);
	(void)zmq_close(socket->socket);
	*socket = (struct endpoint_socket){0};
}

void grid_close_sockets(struct evg *grid)
{
	for (uint32_t i = 0; i < GRID_ENDPOINTS_MAX; i++)
		socket_close(grid, i);
	if (grid->context != NULL)
		(void)zmq_ctx_term(grid->context);
	grid->resolver = resolver_free(grid->resolver);
	if (grid->epoll >= 0)
		(void)close(grid->epoll);
	if (grid->wake >= 0)
		(void)close(grid->wake);
}

static void socket_set(void *socket, int option, int value)
{
	(void)zmq_setsockopt(socket, option, &value, sizeof value);
}

/* Every socket is made here: one place for what all must have. */
static void *socket_new(struct evg *grid, const char *node, struct key_try *attempt)
{
	void *socket = zmq_socket(grid->context, ZMQ_DEALER);
	int64_t most = MESSAGE_MAX_BYTES + (grid_keys_given(&grid->keys) ? GRID_CURVE_BYTES : 0);

	if (socket == NULL)
		return NULL;
	socket_set(socket, ZMQ_LINGER, 0);
	socket_set(socket, ZMQ_IMMEDIATE, 1);
	socket_set(socket, ZMQ_RECONNECT_IVL, 10);
	socket_set(socket, ZMQ_RECONNECT_IVL_MAX, 200);
	socket_set(socket, ZMQ_CONNECT_TIMEOUT, 1000);
	socket_set(socket, ZMQ_TCP_MAXRT, 3000); /* no ZMTP pings: docs/decisions/0019 */
	socket_set(socket, ZMQ_TCP_KEEPALIVE, 1);
	socket_set(socket, ZMQ_TCP_KEEPALIVE_IDLE, 1);
	socket_set(socket, ZMQ_TCP_KEEPALIVE_INTVL, 1);
	(void)zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
	if (grid_keys_apply(&grid->keys, socket, node, attempt))
		return socket;
	(void)zmq_close(socket);
	return NULL;
}

/* An open one that does not come up with its key is opened anew, with the next. */
static bool socket_is_current(struct evg *grid, uint32_t endpoint)
{
	struct endpoint_socket *socket = &grid->sockets[endpoint];
	struct key_try attempt;

	if (!grid_keys_outdated(&grid->keys, &socket->attempt, grid_now_ms()))
		return socket->socket != NULL;
	attempt = socket->attempt;
	socket_close(grid, endpoint);
	socket->attempt = attempt;
	return false;
}

/* Connects to where the address leads, unless it is connected there or that is not known yet. Asked anew while nothing
 * can leave, and now and then. */
static bool socket_seek(struct evg *grid, struct endpoint_socket *socket, const char *address)
{
	char number[RESOLVER_ADDRESS_BYTES], name[RESOLVER_ADDRESS_BYTES + 8];

	if (socket->sought_ms != 0 && !socket->unsent && grid_now_ms() - socket->sought_ms < SEEK_MS)
		return true;
	socket->sought_ms = grid_now_ms();
	socket->unsent = false;
	if (!resolver_find(grid->resolver, address, socket->number, number) || strcmp(number, socket->number) == 0)
		return true;
	(void)snprintf(name, sizeof name, "tcp://%s", socket->number);
	if (socket->number[0] != 0)
		(void)zmq_disconnect(socket->socket, name);
	socket_set(socket->socket, ZMQ_IPV6, number[0] == '[');
	socket->number[0] = '\0';
	(void)snprintf(name, sizeof name, "tcp://%s", number);
	if (zmq_connect(socket->socket, name) != 0)
		return false;
	memcpy(socket->number, number, sizeof number);
	return true;
}

static bool socket_open(struct evg *grid, uint32_t endpoint)
{
	struct endpoint_socket *socket = &grid->sockets[endpoint];
	const struct core_endpoint *name = core_endpoint(grid->core, endpoint);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = endpoint};
	size_t size = sizeof socket->descriptor;
	const struct map_node *node;

	if (socket_is_current(grid, endpoint))
		return name == NULL || socket_seek(grid, socket, name->address);
	if (name == NULL)
		return false;
	node = cluster_map_node(core_map(grid->core), name->node_id);
	socket->socket = socket_new(grid, node == NULL ? NULL : node->name, &socket->attempt);
	if (socket->socket == NULL) {
		key_try_note(&socket->attempt, false, grid_now_ms());
		return false;
	}
	if (zmq_getsockopt(socket->socket, ZMQ_FD, &socket->descriptor, &size) != 0 ||
	    !socket_seek(grid, socket, name->address) ||
	    epoll_ctl(grid->epoll, EPOLL_CTL_ADD, socket->descriptor, &event) != 0) {
		(void)zmq_close(socket->socket);
		*socket = (struct endpoint_socket){0};
		return false;
	}
	socket->dirty = true;
	if (endpoint >= grid->sockets_used)
		grid->sockets_used = endpoint + 1;
	return true;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* On a thread of ZeroMQ's. What was written before send_frame's release happened before this. */
static void free_frame(void *data, void *hint)
{
	(void)atomic_load_explicit((atomic_uint_least64_t *)hint, memory_order_acquire);
	free(data);
}

static bool send_frame(struct evg *grid, struct endpoint_socket *socket, struct buffer *frame)
{
	zmq_msg_t message;

	(void)atomic_fetch_add_explicit(&grid->frames_sent, 1, memory_order_release);
	if (zmq_msg_init_data(&message, frame->data, frame->size, free_frame, &grid->frames_sent) != 0)
		return false;
	*frame = BUFFER_NULL;
	socket->dirty = true;
	if (zmq_msg_send(&message, socket->socket, ZMQ_DONTWAIT) < 0) {
		socket->unsent = true;
		key_try_note(&socket->attempt, false, grid_now_ms());
		(void)zmq_msg_close(&message);
		return false;
	}
	key_try_note(&socket->attempt, true, 0);
	return true;
}

static void run_note_lost(struct run *run, const struct core_send *send)
{
	if (run->lost_count < LOST_MAX)
		run->lost[run->lost_count++] = (struct unsent){send->endpoint, send->copies};
}

static void run_send(struct run *run)
{
	struct evg *grid = run->grid;

	for (size_t i = 0; i < grid->out.send_count; i++) {
		struct core_send *send = &grid->out.sends[i];
		assert(send->endpoint < GRID_ENDPOINTS_MAX);
		if (!send->close && (grid->sockets[send->endpoint].socket == NULL ||
				     !send_frame(grid, &grid->sockets[send->endpoint], &send->frame)))
			run_note_lost(run, send);
	}
}

/* With the lock held: the core's table tells the addresses. */
static void run_open_sockets(struct run *run)
{
	struct evg *grid = run->grid;

	for (size_t i = 0; i < grid->out.send_count; i++) {
		if (grid->out.sends[i].close) /* its number may be another's already, later in this outbox */
			socket_close(grid, grid->out.sends[i].endpoint);
		else
			(void)socket_open(grid, grid->out.sends[i].endpoint);
	}
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static bool socket_readable(void *socket)
{
	int events = 0;
	size_t size = sizeof events;

	return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
}

/* Takes what is there, as far as the turn has room. */
static void run_receive_from(struct run *run, uint32_t endpoint, size_t *bytes)
{
	struct endpoint_socket *socket = &run->grid->sockets[endpoint];

	socket->dirty = false;
	while (socket_readable(socket->socket)) {
		struct arrival *arrival = &run->arrivals[run->arrival_count];
		if (run->arrival_count == FRAMES_PER_TURN || *bytes >= BYTES_PER_TURN) {
			socket->dirty = run->more = true;
			return;
		}
		(void)zmq_msg_init(&arrival->message);
		if (zmq_msg_recv(&arrival->message, socket->socket, ZMQ_DONTWAIT) < 0) {
			(void)zmq_msg_close(&arrival->message);
			return;
		}
		arrival->endpoint = endpoint;
		*bytes += zmq_msg_size(&arrival->message);
		run->arrival_count++;
	}
}

static void run_receive(struct run *run)
{
	size_t bytes = 0;

	run->more = false;
	for (uint32_t i = 0; i < run->grid->sockets_used; i++) {
		if (run->grid->sockets[i].dirty)
			run_receive_from(run, i, &bytes);
	}
}

static void run_hand_in(struct run *run, uint64_t now_ms)
{
	struct core *core = run->grid->core;

	for (uint32_t i = 0; i < run->lost_count; i++)
		core_unsent(core, run->lost[i].endpoint, run->lost[i].copies, now_ms);
	run->lost_count = 0;
	for (uint32_t i = 0; i < run->arrival_count; i++) {
		zmq_msg_t *message = &run->arrivals[i].message;
		core_receive(core, run->arrivals[i].endpoint, span_of(zmq_msg_data(message), zmq_msg_size(message)),
			     now_ms);
		(void)zmq_msg_close(message);
	}
	run->arrival_count = 0;
}

/* --- telling ------------------------------------------------------------------------------------------------------ */

static bool run_reserve_calls(struct run *run, size_t count)
{
	struct call *calls;

	if (count <= run->call_capacity)
		return true;
	calls = realloc(run->calls, count * 2 * sizeof *calls);
	if (calls == NULL)
		return false;
	run->calls = calls;
	run->call_capacity = count * 2;
	return true;
}

/* With the lock held: whom to tell; their slots are free again. Without memory it is tried again. */
static bool run_resolve(struct run *run)
{
	struct evg *grid = run->grid;
	const struct core_outbox *out = &grid->out;

	run->call_count = 0;
	if (!run_reserve_calls(run, out->completion_count + out->result_count))
		return false;
	for (size_t i = 0; i < out->completion_count; i++) {
		run->calls[run->call_count++] = (struct call){grid->slots[out->completions[i].tag - 1], i};
		grid_slot_give_back(grid, out->completions[i].tag);
	}
	for (size_t i = 0; i < out->result_count; i++) {
		run->calls[run->call_count++] = (struct call){grid->slots[out->results[i].tag - 1], i};
		grid_slot_give_back(grid, out->results[i].tag);
	}
	return true;
}

/* What the stages on the primary leave of the whole: the client's queue, both ways, the telling. */
static uint32_t rest_us(const evg_completion *completion)
{
	uint64_t left_us = completion->total_us;

	for (uint32_t i = 0; i < EVG_STAGES; i++)
		left_us -= completion->stage_us[i] < left_us ? completion->stage_us[i] : left_us;
	return left_us > UINT32_MAX ? UINT32_MAX : (uint32_t)left_us;
}

static void tell_completion(const struct slot *slot, const struct core_completion *from, uint64_t now_us)
{
	evg_completion completion = {
		.error = from->error,
		.outcome = (evg_outcome)from->outcome,
		.duplicate = from->duplicate != 0,
		.partition = from->partition,
		.offset = from->offset,
		.sequence = from->sequence,
		.actual_version = from->actual_version,
		.history = from->history,
		.total_us = now_us - slot->began_us,
		.told_us = now_us,
	};

	memcpy(completion.stage_us, from->stage_us, sizeof completion.stage_us);
	if (completion.error == EVG_OK)
		completion.stage_us[STAGE_COMPLETE] = rest_us(&completion);
	slot->done(slot->user, &completion);
}

static void run_tell(struct run *run)
{
	struct core_outbox *out = &run->grid->out;
	uint64_t now_us = run->call_count == 0 ? 0 : grid_now_us();

	for (size_t i = 0; i < run->call_count; i++) {
		struct call *call = &run->calls[i];
		if (i >= out->completion_count)
			call->slot.result(call->slot.user, &out->results[call->index]);
		else if (call->slot.done != NULL)
			tell_completion(&call->slot, &out->completions[call->index], now_us);
	}
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static uint64_t run_turn(struct run *run)
{
	struct evg *grid = run->grid;
	uint64_t next_ms;
	bool changed;

	pthread_mutex_lock(&grid->lock);
	grid->sleeping = false;
	grid->handed_in = false;
	if (grid->closing)
		core_abort(grid->core, grid_now_ms());
	run->closed = grid->closing;
	run_hand_in(run, grid_now_ms());
	/* Without memory nothing is lost: the same turn comes again. */
	next_ms = core_turn(grid->core, grid_now_ms(), &grid->out) == 0 ? grid->out.next_timer_ms : grid_now_ms() + 10;
	changed = grid->out.map_changed;
	changed |= subscriptions_take(grid);
	while (!run_resolve(run))
		(void)usleep(1000);
	run_open_sockets(run);
	pthread_mutex_unlock(&grid->lock);
	run_send(run);
	run_tell(run);
	if (run->call_count > 0 || changed) {
		bool waited_for;
		pthread_mutex_lock(&grid->lock);
		grid->open -= run->call_count;
		waited_for = grid->waiting > 0;
		pthread_mutex_unlock(&grid->lock);
		if (waited_for)
			pthread_cond_broadcast(&grid->told);
	}
	core_outbox_clear(&grid->out);
	subscriptions_tell(grid);
	return next_ms;
}

static void run_sleep(struct run *run, uint64_t next_ms)
{
	struct epoll_event events[EVENTS_MAX];
	struct evg *grid = run->grid;
	uint64_t now_ms = grid_now_ms();
	uint64_t count;
	int timeout = 0;
	int ready;

	if (!run->more && run->lost_count == 0 && next_ms > now_ms)
		timeout = next_ms - now_ms > 10000 ? 10000 : (int)(next_ms - now_ms);
	ready = epoll_wait(grid->epoll, events, EVENTS_MAX, timeout);
	for (int i = 0; i < ready; i++) {
		if (events[i].data.u32 == WAKE_MARK)
			(void)!read(grid->wake, &count, sizeof count);
		else
			grid->sockets[events[i].data.u32].dirty = true;
	}
}

/* Says that it sleeps from now on; false: something was handed in since the turn. */
static bool run_may_sleep(struct run *run)
{
	bool may;

	pthread_mutex_lock(&run->grid->lock);
	may = run->grid->sleeping = !run->grid->handed_in;
	pthread_mutex_unlock(&run->grid->lock);
	return may;
}

void *grid_run(void *data)
{
	struct run *run = calloc(1, sizeof *run);

	while (run == NULL) { /* nothing is lost while memory is short, only late */
		(void)usleep(1000);
		run = calloc(1, sizeof *run);
	}
	run->grid = data;
	while (!run->closed) {
		uint64_t next_ms = run_turn(run);
		run_receive(run);
		if (run->arrival_count == 0 && !run->closed && run_may_sleep(run)) {
			run_sleep(run, next_ms);
			run_receive(run);
		}
	}
	for (uint32_t i = 0; i < run->arrival_count; i++)
		(void)zmq_msg_close(&run->arrivals[i].message);
	free(run->calls);
	free(run);
	return NULL;
}

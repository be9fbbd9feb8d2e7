/* A handle's life, slots, waiting, and the calls that only ask the core. */
#include "client/grid.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_MS 10000u
#define SLOTS_FIRST 1024u

/* --- clocks ------------------------------------------------------------------------------------------------------- */

static uint64_t clock_us(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t grid_now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t grid_now_ms(void)
{
	return grid_now_us() / 1000u;
}

uint64_t grid_unix_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

/* --- errors ------------------------------------------------------------------------------------------------------- */

_Static_assert(EVG_STAGES == STAGE_COUNT, "evgrid.h knows all stages");
_Static_assert(EVG_PARTITIONS == PARTITION_COUNT, "evgrid.h knows all partitions");
_Static_assert((int)EVG_APPLIED == (int)CORE_APPLIED && (int)EVG_UNKNOWN == (int)CORE_UNKNOWN,
	       "outcomes are the core's");

const char *evg_error_name(int error)
{
	return error == EVG_OK ? "OK" : error_name(error);
}

const char *evg_error_text(int error)
{
	return error == EVG_OK ? "done" : error_find(error)->text;
}

const char *evg_error_next(int error)
{
	return error == EVG_OK ? "" : error_find(error)->next;
}

const char *evg_version(void)
{
	return EVGRID_VERSION;
}

_Static_assert(EVG_POSITION_TEXT_BYTES == POSITION_TEXT_BYTES && EVG_ANY_HISTORY == HISTORY_ANY,
	       "one text, one number");

void evg_position_format(const evg_position *position, char text[EVG_POSITION_TEXT_BYTES])
{
	position_format((struct position){position->partition, position->history, position->offset}, text);
}

int evg_position_parse(const char *text, evg_position *position)
{
	struct position read;

	if (position_parse(span_of_text(text), &read) != 0)
		return EVG_USAGE;
	*position = (evg_position){read.partition, read.history, read.offset};
	return EVG_OK;
}

void evg_free(void *memory)
{
	free(memory);
}

/* --- slots -------------------------------------------------------------------------------------------------------- */

static int slots_grow(struct evg *grid)
{
	uint32_t count = grid->slot_count == 0 ? SLOTS_FIRST : grid->slot_count * 2;
	struct slot *slots = realloc(grid->slots, count * sizeof *slots);

	if (slots == NULL)
		return ERROR_MEMORY;
	grid->slots = slots;
	for (uint32_t i = count; i > grid->slot_count; i--) {
		slots[i - 1].next_free = grid->slot_free;
		grid->slot_free = i;
	}
	grid->slot_count = count;
	return 0;
}

int grid_slot_take(struct evg *grid, struct slot slot, uint64_t *tag)
{
	uint32_t number;

	if (grid->slot_free == 0 && slots_grow(grid) != 0)
		return ERROR_MEMORY;
	number = grid->slot_free;
	grid->slot_free = grid->slots[number - 1].next_free;
	grid->slots[number - 1] = slot;
	grid->open++;
	*tag = number;
	return 0;
}

void grid_slot_give_back(struct evg *grid, uint64_t tag)
{
	assert(tag >= 1 && tag <= grid->slot_count);
	grid->slots[tag - 1] = (struct slot){.next_free = grid->slot_free};
	grid->slot_free = (uint32_t)tag;
}

/* --- waking and waiting ------------------------------------------------------------------------------------------- */

/* true: the thread sleeps, and this call is the one to wake it. */
static bool hand_in(struct evg *grid)
{
	bool sleeping = grid->sleeping;

	grid->handed_in = true;
	grid->sleeping = false;
	return sleeping;
}

static void wake(struct evg *grid)
{
	uint64_t one = 1;

	while (write(grid->wake, &one, sizeof one) < 0 && errno == EINTR)
		continue;
}

void grid_wake(struct evg *grid)
{
	if (hand_in(grid))
		wake(grid);
}

int grid_unlock(struct evg *grid, int rv)
{
	bool sleeping = rv == 0 && hand_in(grid);

	pthread_mutex_unlock(&grid->lock);
	if (sleeping)
		wake(grid);
	return rv;
}

bool grid_wait(struct evg *grid, uint64_t deadline_ms)
{
	struct timespec until = {
		.tv_sec = (time_t)(deadline_ms / 1000u),
		.tv_nsec = (long)(deadline_ms % 1000u) * 1000000,
	};
	int rv;

	grid->waiting++;
	rv = pthread_cond_timedwait(&grid->told, &grid->lock, &until);
	grid->waiting--;
	return rv != ETIMEDOUT;
}

bool grid_is_own_thread(const struct evg *grid)
{
	return grid->thread_runs && pthread_equal(pthread_self(), grid->thread) != 0;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* The addresses, in place, between commas; their count, or 0: one is empty, or there are too many. */
static size_t split_addresses(char *text, const char *addresses[CORE_SEEDS_MAX])
{
	size_t count = 0;
	char *rest = NULL;

	for (char *one = strtok_r(text, ", ", &rest); one != NULL; one = strtok_r(NULL, ", ", &rest)) {
		if (count == CORE_SEEDS_MAX || strlen(one) > ADDRESS_MAX_BYTES || strchr(one, ':') == NULL)
			return 0;
		addresses[count++] = one;
	}
	return count;
}

static int grid_make_core(struct evg *grid, const char *addresses, const evg_options *options)
{
	const char *list[CORE_SEEDS_MAX];
	char *text = strdup(addresses);
	struct core_config config = {
		.addresses = list,
		.name = options->name,
		.deadline_ms = options->deadline_ms,
		.below_minimum_ms = options->below_minimum_ms == 0 ? CORE_BELOW_MINIMUM_MS : options->below_minimum_ms,
		.window_bytes = options->window_bytes,
		.window_events = options->window_events,
		.compress = !options->no_compression,
	};
	int rv = 0;

	if (text == NULL)
		return ERROR_MEMORY;
	while (config.incarnation == 0) {
		if (getrandom(&config.incarnation, sizeof config.incarnation, 0) != sizeof config.incarnation)
			config.incarnation = 0;
	}
	config.address_count = split_addresses(text, list);
	if (config.address_count == 0)
		rv = ERROR_USAGE;
	else if ((grid->core = core_new(&config)) == NULL)
		rv = ERROR_MEMORY;
	grid->deadline_ms = options->deadline_ms == 0 ? CORE_DEADLINE_MS : options->deadline_ms;
	free(text);
	return rv;
}

static int grid_make_lock(struct evg *grid)
{
	pthread_condattr_t attributes;
	int rv = pthread_mutex_init(&grid->lock, NULL);

	if (rv == 0 && (rv = pthread_condattr_init(&attributes)) == 0) {
		(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
		rv = pthread_cond_init(&grid->told, &attributes);
		(void)pthread_condattr_destroy(&attributes);
	}
	return rv == 0 ? 0 : ERROR_MEMORY;
}

static bool map_is_there(void *data, const struct cluster_map *map)
{
	(void)data;
	return map->version > 0;
}

int evg_open(const char *addresses, const evg_options *options, evg **grid_out)
{
	static const evg_options none;
	struct evg *grid;
	int rv;

	options = options == NULL ? &none : options;
	if (addresses == NULL)
		return EVG_USAGE;
	grid = calloc(1, sizeof *grid);
	if (grid == NULL)
		return EVG_MEMORY;
	grid->out = CORE_OUTBOX_NULL;
	grid->epoll = grid->wake = -1;
	rv = grid_make_lock(grid);
	if (rv == 0 && getrandom(grid->id_state, sizeof grid->id_state, 0) != sizeof grid->id_state)
		rv = ERROR_IO;
	if (rv == 0)
		rv = grid_make_core(grid, addresses, options);
	if (rv == 0)
		rv = grid_keys_open(&grid->keys, options->key_file, options->node_keys_file);
	if (rv == 0)
		rv = grid_open_sockets(grid);
	if (rv == 0 && pthread_create(&grid->thread, NULL, grid_run, grid) != 0)
		rv = ERROR_MEMORY;
	grid->thread_runs = rv == 0;
	if (rv == 0 && options->connect_ms != UINT32_MAX)
		rv = grid_wait_map(grid, map_is_there, NULL,
				   options->connect_ms == 0 ? CONNECT_MS : options->connect_ms);
	if (rv != 0) {
		evg_close(grid);
		return rv == ERROR_TIMEOUT ? EVG_CONNECT : rv;
	}
	*grid_out = grid;
	return EVG_OK;
}

void evg_close(evg *grid)
{
	if (grid == NULL)
		return;
	assert(!grid_is_own_thread(grid));
	if (grid->thread_runs) {
		pthread_mutex_lock(&grid->lock);
		grid->closing = true;
		grid_wake(grid);
		pthread_cond_broadcast(&grid->told);
		pthread_mutex_unlock(&grid->lock);
		(void)pthread_join(grid->thread, NULL);
	}
	grid_close_sockets(grid);
	core_outbox_deinit(&grid->out);
	core_free(grid->core);
	grid_keys_close(&grid->keys);
	free(grid->slots);
	(void)pthread_cond_destroy(&grid->told);
	(void)pthread_mutex_destroy(&grid->lock);
	free(grid);
}

/* --- the map ------------------------------------------------------------------------------------------------------ */

int grid_map(struct evg *grid, struct cluster_map *map)
{
	int rv;

	pthread_mutex_lock(&grid->lock);
	rv = cluster_map_copy(map, core_map(grid->core));
	pthread_mutex_unlock(&grid->lock);
	return rv;
}

int grid_wait_map(struct evg *grid, bool (*wanted)(void *data, const struct cluster_map *map), void *data,
		  uint32_t timeout_ms)
{
	uint64_t deadline_ms = grid_now_ms() + timeout_ms;
	int rv = 0;

	pthread_mutex_lock(&grid->lock);
	while (rv == 0 && !wanted(data, core_map(grid->core))) {
		if (grid->closing)
			rv = ERROR_CLOSED;
		else if (!grid_wait(grid, deadline_ms))
			rv = ERROR_TIMEOUT;
	}
	pthread_mutex_unlock(&grid->lock);
	return rv;
}

static void status_partition(const struct map_partition *row, node_set present, evg_status *status)
{
	bool served = row->primary != 0 && node_set_has(present, row->primary);
	uint32_t in_sync = node_set_count(row->isr & present);

	status->partitions_served += served;
	status->partitions_writable += served && in_sync >= row->minimum_isr;
	status->partitions_full += row_is_full(row) && (row->isr & ~present) == 0;
}

int evg_status_get(evg *grid, evg_status *status)
{
	const struct cluster_map *map;
	node_set present;

	*status = (evg_status){0};
	pthread_mutex_lock(&grid->lock);
	map = core_map(grid->core);
	memcpy(status->cluster_id, map->cluster_id, sizeof status->cluster_id);
	status->map_version = map->version;
	for (uint32_t i = 0; i < NODES_MAX; i++)
		status->nodes += map->nodes[i].id != 0 && map->nodes[i].state != NODE_GONE;
	present = cluster_map_present(map);
	status->nodes_live = node_set_count(present);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		status_partition(&map->partitions[p], present, status);
	status->replication_factor = map->replication_factor;
	status->streams = map->stream_count;
	for (uint32_t i = 0; i < map->view_count; i++)
		status->views += !map_view_dropped(&map->views[i]);
	status->pending_events = core_pending_events(grid->core);
	status->pending_bytes = core_pending_bytes(grid->core);
	status->resends = core_counts(grid->core).resends;
	pthread_mutex_unlock(&grid->lock);
	return EVG_OK;
}

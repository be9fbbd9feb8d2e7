/* A back-up's life: when one begins, what it asks for its cut, and how it ends (backup.h). */
#include "tests/sim/backup_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "tests/sim/host.h"

#define SECOND_US 1000000ull
#define BACKUPS_RANDOM 0x6261636b7570ull
#define ON_PER_MILLE 250u
#define RESTORE_PER_MILLE 400u
#define INTERRUPTED_PER_MILLE 250u
#define FRESH_PER_MILLE 300u /* not added to the one before */
#define PULSE_US 50000u
#define ROUND_PAUSE_MS 50u
#define LAST_TIMEOUT_MS 30000u
#define FINISH_LIMIT_US (60 * SECOND_US)
#define PARTY (SIM_HOSTS_MAX + SIM_CLIENTS_MAX + SIM_SUBSCRIBERS_MAX)

static void step(struct backups *backups);
static void wake(struct backups *backups, uint64_t delay_us);
static void begin_later(struct backups *backups);

static uint64_t draw(struct backups *backups, uint64_t low, uint64_t high)
{
	return random_between(&backups->random, low, high);
}

static void later(struct backups *backups, uint64_t delay_us, void (*run)(void *, struct appointment *), uint64_t a)
{
	struct sim *sim = backups->sim;

	clockwork_add(
		&sim->clockwork,
		(struct appointment){.at_us = sim->clockwork.now_us + delay_us, .run = run, .owner = backups, .a = a});
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* Files beyond the manifest's stay where they are, or are lost with what had not been synced. */
static void give_up(struct backups *backups, int error)
{
	bool kept = random_chance(&backups->random, 500);

	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		backups->manifest.partitions[p].entry_count = backups->files[p].named;
		if (!kept)
			backup_files_drop(&backups->files[p], backups->files[p].named);
	}
	marks_reach(&backups->sim->marks, MARK_BACKUP_FAILED);
	sim_trace(backups->sim, "backup   fails    %s", error_name(error));
	if (backups->is_last)
		sim_fail(backups->sim, "liveness: the last back-up failed: %s", error_name(error));
}

static void end(struct backups *backups, int error)
{
	backup_copy_end(backups);
	backups->stage = BACKUP_IDLE;
	backups->wave++;
	backups->open = 0;
	backups->error = 0;
	if (error != 0)
		give_up(backups, error);
	if (!backups->is_last)
		begin_later(backups);
}

static uint64_t moves_so_far(const struct sim *sim)
{
	static const enum mark marks[] = {MARK_MOVED, MARK_NODE_JOINED, MARK_NODE_GONE, MARK_REPLACED, MARK_DRAINED};
	uint64_t moves = 0;

	for (uint32_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
		moves += sim->marks.count[marks[i]];
	return moves;
}

static void mark_done(struct backups *backups)
{
	struct marks *marks = &backups->sim->marks;
	bool added = false;

	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		added |= backups->files[p].named > 0;
		backups->files[p].named = backups->files[p].count;
	}
	backups->done++;
	if (!backups->is_last)
		marks_reach(marks, MARK_BACKUP);
	if (added)
		marks_reach(marks, MARK_BACKUP_ADDED);
	if (backups->adopted)
		marks_reach(marks, MARK_BACKUP_ADOPTED);
	if (backups->elsewhere)
		marks_reach(marks, MARK_BACKUP_ELSEWHERE);
	if (moves_so_far(backups->sim) > backups->before.moves)
		marks_reach(marks, MARK_BACKUP_MOVES);
}

static void finish(struct backups *backups)
{
	struct backup_manifest *manifest = calloc(1, sizeof *manifest);
	struct buffer text = BUFFER_NULL;
	const char *why = "";

	assert(manifest != NULL);
	*manifest = BACKUP_MANIFEST_NULL;
	backups->manifest.created_us = backups->sim->clockwork.now_us + 1;
	if (backup_take_catalogue(&backups->manifest, core_map(backups->core)) != 0 ||
	    backup_manifest_write(&backups->manifest, &text) != 0)
		abort();
	if (backup_manifest_read(buffer_span(&text), manifest, &why) != 0)
		sim_fail(backups->sim, "O15: the manifest cannot be read back: %s", why);
	else
		backup_judge(backups, manifest);
	sim_trace(backups->sim, "backup   done     %u", backups->done + 1);
	backup_manifest_deinit(manifest);
	free(manifest);
	buffer_deinit(&text);
	mark_done(backups);
	end(backups, 0);
}

/* --- questions ---------------------------------------------------------------------------------------------------- */

static uint32_t left_ms(const struct backups *backups)
{
	uint64_t now_ms = sim_now_ms(backups->sim);

	return now_ms >= backups->deadline_ms ? 1 : (uint32_t)(backups->deadline_ms - now_ms);
}

/* Of one look. */
static uint32_t round_ms(const struct backups *backups)
{
	uint32_t left = left_ms(backups);

	return left < BACKUP_ROUND_MS ? left : BACKUP_ROUND_MS;
}

static void asked(struct backups *backups, int error)
{
	if (error == 0)
		backups->open++;
	else if (backups->error == 0)
		backups->error = error;
}

static uint64_t tag_of(const struct backups *backups, uint32_t of)
{
	return (uint64_t)backups->wave << 32 | of;
}

static void ask_commits(struct backups *backups)
{
	backups->stage = BACKUP_COMMITS;
	backups->wave++;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		struct core_replay ask = {.partition = p,
					  .from = UINT64_MAX,
					  .history = HISTORY_ANY,
					  .fresh = true,
					  .max_bytes = 1,
					  .timeout_ms = left_ms(backups)};

		asked(backups, core_replay(backups->core, &ask, tag_of(backups, p), sim_now_ms(backups->sim)));
	}
}

/* Of every live node's shards: `view_id` 0 asks for the states of replicas. */
static void ask_nodes(struct backups *backups, uint32_t view_id)
{
	node_set live = cluster_map_live(&backups->map);
	uint64_t now_ms = sim_now_ms(backups->sim);

	for (; live != 0; live &= live - 1) {
		uint32_t id = (uint32_t)__builtin_ctzll(live) + 1;
		uint64_t tag = tag_of(backups, id);

		for (uint16_t shard = 0; shard < backups->map.nodes[id - 1].shard_count; shard++)
			asked(backups, view_id == 0
					       ? core_status(backups->core, id, shard, round_ms(backups), tag, now_ms)
					       : core_progress(backups->core, id, shard, view_id, round_ms(backups),
							       tag, now_ms));
	}
}

static void ask_views(struct backups *backups)
{
	cluster_map_deinit(&backups->map);
	if (cluster_map_copy(&backups->map, core_map(backups->core)) != 0)
		abort();
	backups->stage = BACKUP_FILLING;
	backups->wave++;
	memset(backups->filling, 0, sizeof backups->filling);
	for (uint32_t v = 0; v < backups->map.view_count; v++)
		if (!map_view_dropped(&backups->map.views[v]))
			ask_nodes(backups, backups->map.views[v].id);
}

static void ask_states(struct backups *backups)
{
	backups->stage = BACKUP_STATES;
	backups->wave++;
	memset(backups->states, 0, NODES_MAX * PARTITION_COUNT * sizeof *backups->states);
	ask_nodes(backups, 0);
}

static struct partition_status *state_of(struct backups *backups, uint32_t node_id, uint16_t partition)
{
	return &backups->states[(node_id - 1) * PARTITION_COUNT + partition];
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void told_commit(struct backups *backups, const struct core_result *result)
{
	const struct replay_data *data = &result->replay;

	if (result->error != 0)
		backups->error = backups->error == 0 ? result->error : backups->error;
	else
		backups->points[data->partition] =
			(struct backup_point){.history = data->history, .acknowledged = data->commit};
}

static void told_progress(struct backups *backups, const struct core_result *result)
{
	backup_filling_note(backups->filling, (uint32_t)result->tag, result->error, &result->progress);
}

static void told_states(struct backups *backups, const struct core_result *result)
{
	for (uint32_t i = 0; result->error == 0 && i < result->status_count; i++)
		*state_of(backups, (uint32_t)result->tag, result->statuses[i].partition) = result->statuses[i];
}

static void take_result(struct backups *backups, struct core_result *result)
{
	if (result->tag >> 32 != backups->wave || backups->stage == BACKUP_IDLE)
		return;
	if (backups->stage == BACKUP_COPY) {
		backup_copy_told(backups, result);
		return;
	}
	backups->open--;
	if (backups->stage == BACKUP_COMMITS)
		told_commit(backups, result);
	else if (backups->stage == BACKUP_FILLING)
		told_progress(backups, result);
	else if (backups->stage == BACKUP_STATES)
		told_states(backups, result);
}

/* --- the cut ------------------------------------------------------------------------------------------------------ */

static bool take_points(struct backups *backups)
{
	bool patient = sim_now_ms(backups->sim) < backups->patient_ms;
	uint32_t left = 0;

	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		uint32_t source = backup_cut_source(&backups->map, p, 0, backups->filling[p]);
		const struct partition_status *state = source == 0 ? NULL : state_of(backups, source, p);

		backups->found[p] =
			backups->found[p] || backup_point_take(&backups->points[p], &backups->map, source,
							       state == NULL || state->epoch == 0 ? NULL : state,
							       node_set_has(backups->filling[p], source), patient);
		left += !backups->found[p];
	}
	return left == 0;
}

static void after_states(struct backups *backups)
{
	uint64_t now_ms = sim_now_ms(backups->sim);

	if (take_points(backups)) {
		memcpy(backups->manifest.cluster_id, backups->map.cluster_id, sizeof backups->manifest.cluster_id);
		backups->stage = BACKUP_COPY;
		backups->wave++;
		backup_copy_begin(backups);
	} else if (now_ms >= backups->deadline_ms) {
		end(backups, ERROR_NOT_READY);
	} else {
		backups->stage = BACKUP_PAUSE;
		backups->resume_ms = now_ms + ROUND_PAUSE_MS;
	}
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static void copy(struct backups *backups)
{
	int error = backup_copy_step(backups);

	if (error != 0) {
		end(backups, error);
	} else if (backups->running == 0) {
		backups->stage = BACKUP_CATALOGUE;
		backups->deadline_ms = sim_now_ms(backups->sim) + backups->timeout_ms;
		core_refresh(backups->core, sim_now_ms(backups->sim));
	}
}

static void step_answered(struct backups *backups)
{
	int error = backups->error;

	backups->error = 0;
	if (error != 0) {
		end(backups, error);
	} else if (backups->stage == BACKUP_COMMITS) {
		backups->deadline_ms = sim_now_ms(backups->sim) + backups->timeout_ms;
		backups->patient_ms = sim_now_ms(backups->sim) + backups->timeout_ms / 2;
		ask_views(backups);
	} else if (backups->stage == BACKUP_FILLING) {
		ask_states(backups);
	} else {
		after_states(backups);
	}
}

static void step(struct backups *backups)
{
	uint64_t now_ms = sim_now_ms(backups->sim);

	if (backups->stage != BACKUP_IDLE && now_ms >= backups->interrupt_ms) {
		end(backups, ERROR_CLOSED);
		return;
	}
	switch (backups->stage) {
	case BACKUP_IDLE: break;
	case BACKUP_COMMITS:
	case BACKUP_FILLING:
	case BACKUP_STATES:
		if (backups->open == 0)
			step_answered(backups);
		break;
	case BACKUP_PAUSE:
		if (now_ms >= backups->resume_ms)
			ask_views(backups);
		break;
	case BACKUP_COPY: copy(backups); break;
	case BACKUP_CATALOGUE:
		if (backup_defined_covered(&backups->defined, core_map(backups->core)))
			finish(backups);
		else if (now_ms >= backups->deadline_ms)
			end(backups, ERROR_TIMEOUT);
		break;
	}
	wake(backups, 10);
}

/* Pauses end, deadlines pass. */
static void pulse(void *owner, struct appointment *appointment)
{
	struct backups *backups = owner;

	(void)appointment;
	if (backups->sim->failed || backups->stage == BACKUP_IDLE)
		return;
	step(backups);
	later(backups, PULSE_US, pulse, 0);
}

/* --- turns of the client core ------------------------------------------------------------------------------------- */

static struct endpoint party_of(const struct backups *backups, const struct core_endpoint *endpoint)
{
	const struct map_node *node = cluster_map_node(core_map(backups->core), endpoint->node_id);
	const char *control = endpoint->control || node == NULL ? endpoint->address : node->control_address;
	uint8_t port = endpoint->control ? 0 : (uint8_t)(1 + endpoint->shard);

	for (uint32_t i = 0; i < backups->sim->options.hosts; i++)
		if (strcmp(control, host_address(i)) == 0)
			return (struct endpoint){(uint8_t)i, port};
	return (struct endpoint){PARTY, 0}; /* nobody */
}

static void send(struct backups *backups, const struct core_send *send)
{
	const struct core_endpoint *endpoint = core_endpoint(backups->core, send->endpoint);
	struct endpoint from = {PARTY, (uint8_t)send->endpoint};
	struct endpoint to;

	if (send->close || endpoint == NULL)
		return;
	to = party_of(backups, endpoint);
	if (to.party < SIM_HOSTS_MAX)
		network_send(backups->sim, from, to, buffer_span(&send->frame));
}

static void turn(void *owner, struct appointment *appointment)
{
	struct backups *backups = owner;
	uint64_t now_ms = sim_now_ms(backups->sim);
	bool told = false;

	(void)appointment;
	backups->awake = false;
	if (backups->sim->failed)
		return;
	if (core_turn(backups->core, now_ms, &backups->outbox) != 0)
		abort();
	for (size_t i = 0; i < backups->outbox.send_count; i++)
		send(backups, &backups->outbox.sends[i]);
	for (size_t i = 0; i < backups->outbox.result_count; i++)
		take_result(backups, &backups->outbox.results[i]);
	told = backups->outbox.result_count > 0 || backups->outbox.map_changed;
	backups->timer_ms = backups->outbox.next_timer_ms;
	core_outbox_clear(&backups->outbox);
	if (told)
		step(backups);
	if (backups->timer_ms != UINT64_MAX)
		wake(backups, backups->timer_ms > now_ms ? (backups->timer_ms - now_ms) * 1000 : 1000);
}

static void timer(void *owner, struct appointment *appointment)
{
	struct backups *backups = owner;

	if (appointment->a == backups->timer_ms && !backups->awake)
		turn(owner, appointment);
}

static void wake(struct backups *backups, uint64_t delay_us)
{
	bool is_timer = delay_us >= 1000;

	if (!is_timer && backups->awake)
		return;
	backups->awake = backups->awake || !is_timer;
	later(backups, delay_us, is_timer ? timer : turn, backups->timer_ms);
}

void backups_receive(struct backups *backups, struct endpoint at, struct span bytes)
{
	if (backups->core == NULL)
		return;
	core_receive(backups->core, at.port, bytes, sim_now_ms(backups->sim));
	wake(backups, draw(backups, 5, 100));
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static struct core *new_core(struct backups *backups)
{
	const char *members[SIM_HOSTS_MAX];
	const struct core_config config = {.incarnation = random_next(&backups->random) | 1,
					   .addresses = members,
					   .address_count = backups->sim->options.hosts};

	for (uint32_t i = 0; i < backups->sim->options.hosts; i++)
		members[i] = host_address(i);
	return core_new(&config);
}

static void begin_fresh(struct backups *backups)
{
	backup_manifest_deinit(&backups->manifest);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		backups->files[p].named = 0;
		backup_files_drop(&backups->files[p], 0);
	}
}

static void begin(struct backups *backups)
{
	uint64_t now_ms = sim_now_ms(backups->sim);

	if (random_chance(&backups->random, FRESH_PER_MILLE))
		begin_fresh(backups);
	memset(backups->found, 0, sizeof backups->found);
	backups->timeout_ms = backups->is_last ? LAST_TIMEOUT_MS : (uint32_t)draw(backups, 2000, 10000);
	backups->deadline_ms = now_ms + backups->timeout_ms;
	backups->interrupt_ms = !backups->is_last && random_chance(&backups->random, INTERRUPTED_PER_MILLE)
					? now_ms + draw(backups, 1, 250)
					: UINT64_MAX;
	backups->elsewhere = false;
	backups->adopted = false;
	backup_note_before(backups);
	backups->before.moves = moves_so_far(backups->sim);
	sim_trace(backups->sim, "backup   begins   time-out %u ms", backups->timeout_ms);
	ask_commits(backups);
	wake(backups, 10);
	later(backups, PULSE_US, pulse, 0);
}

static void begin_now(void *owner, struct appointment *appointment)
{
	struct backups *backups = owner;

	(void)appointment;
	if (!backups->sim->failed && !backups->sim->calm && backups->stage == BACKUP_IDLE)
		begin(backups);
}

static void begin_later(struct backups *backups)
{
	if (!backups->sim->calm)
		later(backups, draw(backups, 10000, 2 * SECOND_US), begin_now, 0);
}

struct backups *backups_new(struct sim *sim)
{
	struct backups *backups = calloc(1, sizeof *backups);

	assert(backups != NULL);
	backups->sim = sim;
	backups->random = (struct random){.state = sim->options.seed * 0x9e3779b97f4a7c15ull ^ BACKUPS_RANDOM};
	backups->manifest = BACKUP_MANIFEST_NULL;
	backups->outbox = CORE_OUTBOX_NULL;
	backups->timer_ms = UINT64_MAX;
	return backups;
}

struct backups *backups_free(struct backups *backups)
{
	if (backups == NULL)
		return NULL;
	backup_copy_end(backups);
	begin_fresh(backups);
	core_outbox_deinit(&backups->outbox);
	backups->core = core_free(backups->core);
	cluster_map_deinit(&backups->map);
	buffer_deinit(&backups->scratch);
	free(backups->states);
	free(backups->before.acknowledged);
	free(backups);
	return NULL;
}

void backups_start(struct backups *backups)
{
	struct sim *sim = backups->sim;

	backups->is_on = random_chance(&backups->random, ON_PER_MILLE);
	backups->restores = random_chance(&backups->random, RESTORE_PER_MILLE);
	if (!backups->is_on)
		return;
	backups->states = calloc(NODES_MAX * PARTITION_COUNT, sizeof *backups->states);
	backups->core = new_core(backups);
	assert(backups->states != NULL && backups->core != NULL);
	cluster_map_init(&backups->map);
	later(backups, draw(backups, 0, sim->options.seconds * SECOND_US / 2), begin_now, 0);
}

static bool is_idle(struct sim *sim)
{
	return sim->backups->stage == BACKUP_IDLE;
}

void backups_finish(struct backups *backups)
{
	struct sim *sim = backups->sim;

	if (!backups->is_on || sim->failed)
		return;
	if (!sim_run_until(sim, is_idle, FINISH_LIMIT_US))
		sim_fail(sim, "liveness: a back-up does not end");
	backups->is_last = true;
	if (!sim->failed)
		begin(backups);
	if (!sim_run_until(sim, is_idle, FINISH_LIMIT_US))
		sim_fail(sim, "liveness: the last back-up does not end");
	if (!sim->failed && backups->restores)
		backup_restore(backups);
}

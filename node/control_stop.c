/* The clean stop (raft/clean_stop.h has its steps) with threads and a directory: shards are told and joined, the proof
 * is written, what happens is logged. Control thread. */
#include "node/control.h"

static const char *state_name(const struct control *control, enum clean_stop_state state)
{
	switch (state) {
	case CLEAN_STOP_HANDING_OVER: return "handing-over";
	case CLEAN_STOP_QUIETING: return "quieting";
	case CLEAN_STOP_LEAVING: return "leaving";
	case CLEAN_STOP_ENDED: return "ended";
	case CLEAN_STOP_NOT: break;
	}
	return control->cluster == NULL ? "recovering" : "running";
}

static void quiet_shards(struct control *control)
{
	for (uint64_t i = 0; i < control->values->shards; i++)
		inbox_put_stop(&control->shards[i].inbox);
}

static void given_up(const struct control *control)
{
	const struct clean_stop *stop = &control->stop;

	if (stop->unconfirmed == CLEAN_STOP_QUIETING)
		LOG_FATAL(control->log, node_shard_not_resting,
			  .observed_shards = (uint64_t)__builtin_popcount(control->stopped),
			  .expected_shards = control->values->shards);
	LOG_EVENT(control->log, node_stop_unconfirmed, .step = state_name(control, stop->unconfirmed),
		  .observed_ms = stop->spent_ms, .expected_ms = stop->limit_ms);
}

static void moved(struct control *control, enum clean_stop_state from)
{
	if (control->stop.unconfirmed != CLEAN_STOP_NOT)
		given_up(control);
	LOG_EVENT(control->log, node_stopping, .from = state_name(control, from),
		  .to = state_name(control, control->stop.state));
	if (control->stop.state == CLEAN_STOP_QUIETING)
		quiet_shards(control);
	else if (from == CLEAN_STOP_QUIETING)
		for (uint64_t i = 0; i < control->values->shards; i++)
			partition_thread_join(&control->shards[i]);
}

void control_stop_begin(struct control *control)
{
	atomic_store_explicit(&control->health->stopping, true, memory_order_relaxed);
	clean_stop_begin(&control->stop, control->cluster, control->values->stop_timeout_ms, control->now_ms);
	moved(control, CLEAN_STOP_NOT);
}

static bool shards_rest(const struct control *control)
{
	return control->stopped == (uint8_t)((1u << control->values->shards) - 1);
}

static bool step(struct control *control, enum clean_stop_state *from)
{
	*from = control->stop.state;
	return clean_stop_step(&control->stop, control->cluster, control->now_ms, shards_rest(control));
}

void control_stop_tick(struct control *control)
{
	enum clean_stop_state from;

	while (step(control, &from))
		moved(control, from);
	if (control->cluster != NULL)
		control_carry_out(control); /* successors are wished for, consent is asked for */
}

void control_stopped(struct control *control, uint64_t node_epoch)
{
	char why[DIRECTORY_TEXT_BYTES];

	if (control->stop.state != CLEAN_STOP_LEAVING || node_epoch != control->directory->identity.node_epoch)
		return;
	control->directory->identity.proof_epoch = node_epoch;
	if (directory_write(control->directory, why) != DIRECTORY_DONE)
		control_directory_failed(control, why);
	clean_stop_consented(&control->stop);
}

void control_gone(struct control *control)
{
	char why[DIRECTORY_TEXT_BYTES];

	control->directory->identity.gone = true;
	if (directory_write(control->directory, why) != DIRECTORY_DONE)
		control_directory_failed(control, why);
	LOG_EVENT(control->log, node_decommissioned, .path = control->directory->path);
	if (control->stop.state == CLEAN_STOP_NOT)
		control_stop_begin(control);
	else
		clean_stop_gone(&control->stop);
}

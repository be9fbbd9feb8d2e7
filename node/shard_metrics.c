/* What a shard counts, set in its table of metrics about once a second. Partition thread. */
#include "node/partition_thread.h"

static void set_appends(struct metrics_table *table, const struct shard_counters *counters)
{
	METRIC_SET(table, evgrid_append_batches_total, counters->append_batches);
	METRIC_SET(table, evgrid_append_events_total, counters->append_events);
	METRIC_SET(table, evgrid_append_bytes_total, counters->append_bytes);
	METRIC_SET(table, evgrid_append_duplicates_total, counters->append_duplicates);
	METRIC_SET_CODES(table, evgrid_append_errors_total, counters->append_errors);
	METRIC_SET_HISTOGRAM(table, evgrid_append_duration_seconds, 0, &counters->append_us);
	for (uint32_t stage = 0; stage < SHARD_STAGES; stage++)
		METRIC_SET_HISTOGRAM(table, evgrid_append_stage_duration_seconds, stage, &counters->stage_us[stage]);
}

static void set_reads(struct metrics_table *table, const struct shard_counters *counters)
{
	for (uint32_t mode = 0; mode < SHARD_READ_MODES; mode++) {
		for (uint32_t outcome = 0; outcome < SHARD_READ_OUTCOMES; outcome++)
			METRIC_SET_AT(table, evgrid_reads_total, mode * SHARD_READ_OUTCOMES + outcome,
				      counters->reads[mode][outcome]);
	}
	METRIC_SET_CODES(table, evgrid_read_errors_total, counters->read_errors);
	METRIC_SET(table, evgrid_subscription_events_total, counters->subscription_events);
	METRIC_SET(table, evgrid_subscription_sent_bytes_total, counters->subscription_bytes);
}

static void set_replicas(struct metrics_table *table, const struct shard_counters *counters)
{
	METRIC_SET(table, evgrid_replica_received_bytes_total, counters->replica_bytes);
	METRIC_SET(table, evgrid_replica_catch_up_bytes_total, counters->catch_up_bytes);
}

static void set_queues(struct metrics_table *table, const struct shard_config *config,
		       const struct shard_figures *figures)
{
	METRIC_SET_AT(table, evgrid_queue_bytes, METRIC_QUEUE_APPEND, figures->pending_bytes);
	METRIC_SET_AT(table, evgrid_queue_bytes, METRIC_QUEUE_OTHER, figures->window_bytes);
	METRIC_SET_AT(table, evgrid_queue_limit_bytes, METRIC_QUEUE_APPEND, config->pending_limit_bytes);
	METRIC_SET_AT(table, evgrid_queue_limit_bytes, METRIC_QUEUE_OTHER, config->replica_window_bytes);
	METRIC_SET_AT(table, evgrid_queue_entries, METRIC_QUEUE_APPEND, figures->answers);
	METRIC_SET_AT(table, evgrid_queue_entries, METRIC_QUEUE_OTHER, figures->reads);
	METRIC_SET_AT(table, evgrid_queue_limit_entries, METRIC_QUEUE_APPEND, figures->answers_limit);
	METRIC_SET_AT(table, evgrid_queue_limit_entries, METRIC_QUEUE_OTHER, figures->reads_limit);
}

static void set_figures(struct metrics_table *table, const struct shard_figures *figures)
{
	for (uint32_t role = 0; role < SHARD_ROLES; role++)
		METRIC_SET_AT(table, evgrid_partition_roles, role, figures->roles[role]);
	METRIC_SET(table, evgrid_apply_lag_records, figures->apply_lag);
	METRIC_SET(table, evgrid_replica_lag_records, figures->replica_lag);
	METRIC_SET(table, evgrid_replicas_unacknowledged, figures->replicas_unacknowledged);
	METRIC_SET(table, evgrid_subscriptions, figures->subscriptions);
	METRIC_SET(table, evgrid_subscriptions_starved, figures->subscriptions_starved);
	METRIC_SET(table, evgrid_subscription_lag_records, figures->subscription_lag);
	METRIC_SET(table, evgrid_disk_full, figures->disk_full);
	METRIC_SET(table, evgrid_copy_rate_bytes, figures->copy_rate);
	METRIC_SET(table, evgrid_copy_sent_bytes_total, figures->copy_bytes);
}

static void set_view(struct metrics_table *table, uint32_t place, const struct shard_view_figures *view)
{
	uint32_t faults = place * METRIC_VIEW_FAULTS;

	for (uint32_t state = 0; state < SHARD_VIEW_STATES; state++)
		METRIC_SET_AT(table, evgrid_view_partitions, place * SHARD_VIEW_STATES + state,
			      view->partitions[state]);
	METRIC_SET_AT(table, evgrid_view_lag_records, place, view->lag);
	METRIC_SET_AT(table, evgrid_view_entries, place, view->entries);
	METRIC_SET_AT(table, evgrid_view_blocked_keys, place, view->blocked);
	METRIC_SET_AT(table, evgrid_view_faults, faults + METRIC_MISSING, view->missing);
	METRIC_SET_AT(table, evgrid_view_faults, faults + METRIC_UNREADABLE, view->unreadable);
	METRIC_SET_AT(table, evgrid_view_faults, faults + METRIC_REFUSED, view->refused);
}

void partition_set_views(struct partition_thread *thread)
{
	bool done = shard_view_figures(thread->shard, &thread->views_place, thread->views);

	for (uint32_t i = 0; done && i < VIEWS_MAX; i++)
		set_view(thread->config.metrics, i, &thread->views[i]);
	thread->views_place = done ? 0 : thread->views_place;
	thread->views_ms = thread->now_ms + (done ? PARTITION_UPKEEP_MS : PARTITION_SLICE_MS);
}

void partition_set_metrics(struct partition_thread *thread)
{
	struct metrics_table *table = thread->config.metrics;
	const struct shard_counters *counters = shard_counters(thread->shard);
	struct shard_figures figures;

	health_recovers(thread->config.recovery, shard_progress(thread->shard));
	METRIC_SET_HISTOGRAM(table, evgrid_turn_duration_seconds, 0, &thread->turns_us);
	METRIC_SET(table, evgrid_peer_messages_dropped_total, thread->counters.link_drops);
	METRIC_SET(table, evgrid_client_messages_dropped_total, thread->counters.answer_drops);
	METRIC_SET(table, evgrid_messages_malformed_total, thread->counters.garbage.total);
	METRIC_SET(table, evgrid_keys_overreached_total, thread->counters.overreached.total);
	set_appends(table, counters);
	set_reads(table, counters);
	set_replicas(table, counters);
	if (!thread->recovered)
		return;
	shard_figures(thread->shard, &figures);
	set_queues(table, &thread->config.shard, &figures);
	set_figures(table, &figures);
}

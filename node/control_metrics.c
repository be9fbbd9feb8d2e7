/* What the control thread tells of itself and of the cluster: metrics, and how the node stands. Control thread. */
#include "node/control.h"

static void set_raft(struct metrics_table *table, const struct cluster_figures *figures)
{
	METRIC_SET(table, evgrid_raft_has_leader, figures->has_leader);
	METRIC_SET(table, evgrid_raft_is_leader, figures->leads);
	METRIC_SET(table, evgrid_raft_term, figures->term);
	METRIC_SET(table, evgrid_raft_leader_changes_total, figures->leader_changes);
	METRIC_SET(table, evgrid_raft_commit_index, figures->commit_index);
	METRIC_SET(table, evgrid_raft_applied_index, figures->applied_index);
	METRIC_SET(table, evgrid_raft_last_index, figures->last_index);
	METRIC_SET(table, evgrid_raft_proposals_pending, figures->proposals_pending);
	METRIC_SET_CODES(table, evgrid_raft_proposals_failed_total, figures->proposals_failed);
	METRIC_SET(table, evgrid_controller_queue_bytes, figures->waiting_bytes);
	METRIC_SET(table, evgrid_controller_queue_limit_bytes, figures->waiting_limit_bytes);
}

static void set_contacts(struct metrics *metrics, const struct contact_table *contacts)
{
	for (uint32_t i = 0; i < NODES_MAX; i++)
		atomic_store_explicit(&metrics->contact_ms[i], contacts->nodes[i].sent_ms, memory_order_relaxed);
}

static enum health_member member_of(const struct control *control)
{
	enum cluster_state state = cluster_state(control->cluster);
	uint32_t self = control->self.sender.node_id;

	if (state != CLUSTER_SERVING && state != CLUSTER_STOPPING)
		return HEALTH_NOT_MEMBER;
	return cluster_map_is_live(cluster_map(control->cluster), self) ? HEALTH_MEMBER_LIVE : HEALTH_MEMBER_FENCED;
}

static void tell_health(struct control *control)
{
	struct health *health = control->health;

	atomic_store_explicit(&health->member, (uint32_t)member_of(control), memory_order_relaxed);
	atomic_store_explicit(&health->map_version, cluster_map(control->cluster)->version, memory_order_relaxed);
	atomic_store_explicit(&health->controller_ms, cluster_contacts(control->cluster)->controller_ms,
			      memory_order_relaxed);
}

static void set_handshakes(struct metrics_table *table, struct keyring *keyring)
{
	struct handshake_figures figures = {.failed = 0};

	if (keyring != NULL)
		handshake_watch_figures(&keyring->watch, &figures);
	METRIC_SET(table, evgrid_handshakes_failed_total, figures.failed);
	METRIC_SET(table, evgrid_handshake_sources_limited, figures.limited);
	METRIC_SET(table, evgrid_handshakes_limited, figures.all);
	METRIC_SET(table, evgrid_keys_refused_total, keyring_refused(keyring));
}

void control_set_metrics(struct control *control)
{
	struct metrics *metrics = control->metrics;
	struct metrics_table *table = &metrics->control;
	struct cluster_figures figures;

	METRIC_SET_HISTOGRAM(table, evgrid_control_lag_seconds, 0, &control->lag_us);
	METRIC_SET(table, evgrid_peer_messages_dropped_total, control->counters.link_drops);
	METRIC_SET(table, evgrid_client_messages_dropped_total, control->counters.answer_drops);
	METRIC_SET(table, evgrid_messages_malformed_total, control->counters.garbage.total);
	METRIC_SET(table, evgrid_version_known, control->self.versions.highest);
	METRIC_SET(table, evgrid_version_refusals_total, control->counters.version_refusals);
	set_handshakes(table, control->factory->keyring);
	METRIC_SET(table, evgrid_keys_overreached_total, control->counters.overreached.total);
	if (control->cluster == NULL)
		return;
	cluster_figures(control->cluster, &figures);
	set_raft(table, &figures);
	set_contacts(metrics, cluster_contacts(control->cluster));
	atomic_store_explicit(&metrics->self, control->self.sender.node_id, memory_order_relaxed);
	tell_health(control);
}

/* What the cluster has to tell, as lines of the log. Control thread. */
#include "node/control.h"

#include <stdlib.h>

#include "raft/command.h"

void control_notice(struct control *control, const struct cluster_output *output)
{
	const struct cluster_notice *notice = &output->notice;
	const struct logging *log = control->log;

	switch (notice->kind) {
	case NOTICE_FORMED: LOG_EVENT(log, cluster_formed, .founders = notice->count); break;
	case NOTICE_TWO_NODES: LOG_EVENT(log, cluster_two_nodes, .observed_nodes = 2); break;
	case NOTICE_FOUNDERS_DIFFER: LOG_EVENT(log, cluster_founders_differ); break;
	case NOTICE_OUTSIDER: LOG_EVENT(log, cluster_outsider, .name = control->values->node_name); break;
	case NOTICE_REGISTRATION_REFUSED:
		LOG_LIMITED(log, &control->counters.unregistered, control->now_ms, cluster_registration_refused,
			    .observed = output->text);
		break;
	case NOTICE_SUSPECT_ELECTED:
		LOG_EVENT(log, cluster_suspect_elected, .observed_elections = notice->count, .total = notice->total);
		break;
	case NOTICE_FORCED_ELECTION:
		LOG_EVENT(log, cluster_forced_election, .reason = output->text, .observed_elections = notice->count,
			  .total = notice->total);
		break;
	case NOTICE_CLOCK_OFF:
		LOG_EVENT(log, cluster_clock_off, .name = output->text,
			  .direction = notice->distance_ms < 0 ? "behind" : "ahead",
			  .observed_ms = (uint64_t)llabs(notice->distance_ms));
		break;
	case NOTICE_CLOCK_RIGHT: LOG_EVENT(log, cluster_clock_right, .name = output->text); break;
	case NOTICE_OWN_CLOCK_OFF: LOG_EVENT(log, cluster_own_clock_off); break;
	case NOTICE_OWN_CLOCK_RIGHT: LOG_EVENT(log, cluster_own_clock_right); break;
	case NOTICE_MEMBER_LIVE: LOG_EVENT(log, cluster_member_live, .name = output->text); break;
	case NOTICE_MEMBER_LOST: LOG_EVENT(log, cluster_member_lost, .name = output->text); break;
	case NOTICE_MEMBER_STOPPED: LOG_EVENT(log, cluster_member_stopped, .name = output->text); break;
	case NOTICE_MEMBER_GONE: LOG_EVENT(log, cluster_member_gone, .name = output->text); break;
	case NOTICE_GONE: LOG_EVENT(log, cluster_gone, .name = control->values->node_name); break;
	case NOTICE_JOINED: LOG_EVENT(log, cluster_joined, .cluster = output->text, .node_id = notice->count); break;
	case NOTICE_JOIN_REFUSED: LOG_EVENT(log, cluster_join_refused, .observed = output->text); break;
	case NOTICE_NEWCOMER_REFUSED:
		LOG_EVENT(log, cluster_newcomer_refused, .name = output->text,
			  .observed = refusal_text((enum refusal)notice->count));
		break;
	case NOTICE_JOINING: LOG_EVENT(log, cluster_joining, .founders = notice->count); break;
	case NOTICE_ZONES_CROWDED: LOG_EVENT(log, cluster_zones_crowded, .observed_partitions = notice->count); break;
	case NOTICE_ZONES_SPREAD: LOG_EVENT(log, cluster_zones_spread); break;
	case NOTICE_RESTORING: LOG_EVENT(log, cluster_restoring); break;
	case NOTICE_RESTORED: LOG_EVENT(log, cluster_restored); break;
	case NOTICE_COUNT: abort();
	}
}

_Noreturn void control_cluster_failed(const struct control *control, const struct cluster_output *output)
{
	const struct logging *log = control->log;

	switch (output->fatal) {
	case FATAL_MEMORY: control_out_of_memory(control, "the cluster's metadata");
	case FATAL_STORE: LOG_FATAL(log, metadata_store_failed, .observed = output->text);
	case FATAL_ENTRY: LOG_FATAL(log, metadata_entry_unknown, .observed = output->text);
	case FATAL_SNAPSHOT: LOG_FATAL(log, metadata_snapshot_unreadable, .observed = output->text);
	case FATAL_MAP: LOG_FATAL(log, metadata_map_failed, .observed = output->text);
	case FATAL_NAME_TAKEN: LOG_FATAL(log, cluster_name_taken, .observed = output->text);
	case FATAL_VERSION: LOG_FATAL(log, cluster_version_unknown, .observed = output->text);
	case FATAL_REPLACED:
		LOG_FATAL(log, cluster_replaced, .path = control->directory->path, .observed = output->text);
	}
	abort();
}

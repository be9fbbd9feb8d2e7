/* What the values of labels are called. Sets are fixed, but for nodes and views, whose names are in the cluster map. */
#include "node/metrics.h"

#include <stdio.h>

static const char *const stage_names[SHARD_STAGES] = {"source", "enrich", "persist", "view"};
static const char *const mode_names[SHARD_READ_MODES] = {
	[READ_LINEARIZABLE] = "linearizable", [READ_AT_LEAST] = "at_least",     [READ_LOCAL] = "local",
	[READ_AS_OF_OFFSET] = "as_of_offset", [READ_AS_OF_TIME] = "as_of_time",
};
static const char *const outcome_names[SHARD_READ_OUTCOMES] = {"found", "not_found", "failed"};
static const char *const role_names[SHARD_ROLES] = {"none",   "joining", "joined", "starting",
						    "active", "sealed",  "stopped"};
static const char *const queue_names[METRIC_COUNT_QUEUE] = {"append", "replica"};
static const char *const waiting_names[METRIC_COUNT_WAITING] = {"append", "read"};
static const char *const member_names[METRIC_MEMBER_STATES] = {"live", "fenced", "joining", "draining", "gone"};
static const char *const view_state_names[SHARD_VIEW_STATES] = {"broken", "filling", "active"};
static const char *const view_fault_names[METRIC_VIEW_FAULTS] = {"missing", "unreadable", "refused"};

/* The format's escapes: backslash, quote, end of line. */
static void put_label(struct buffer *out, const char *name, const char *value)
{
	buffer_bytes(out, name, strlen(name));
	buffer_bytes(out, "=\"", 2);
	for (; *value != '\0'; value++) {
		if (*value == '\n')
			buffer_bytes(out, "\\n", 2);
		else if (*value == '"' || *value == '\\')
			buffer_bytes(out, (const char[]){'\\', *value}, 2);
		else
			buffer_bytes(out, value, 1);
	}
	buffer_bytes(out, "\"", 1);
}

static bool put_node(uint32_t value, const struct metric_names *names, bool others, struct buffer *out)
{
	const struct map_node *node = names->map == NULL ? NULL : cluster_map_node(names->map, value + 1);

	if (node == NULL || node->state == NODE_GONE || (others && node->id == names->self))
		return false;
	put_label(out, "node", node->name);
	return true;
}

static bool put_view(uint32_t value, const struct metric_names *names, struct buffer *out)
{
	const struct map_view *view = names->map == NULL ? NULL : cluster_map_view(names->map, value + 1);

	if (view == NULL || map_view_dropped(view))
		return false;
	put_label(out, "view", view->name);
	return true;
}

static bool put_view_and(uint32_t value, uint32_t count, const char *name, const char *const *values,
			 const struct metric_names *names, struct buffer *out)
{
	if (!put_view(value / count, names, out))
		return false;
	buffer_bytes(out, ",", 1);
	put_label(out, name, values[value % count]);
	return true;
}

bool metric_labels_print(enum metric_labels labels, uint32_t value, const struct metric_names *names,
			 struct buffer *out)
{
	switch (labels) {
	case METRIC_LABELS_NOTHING: break;
	case METRIC_LABELS_VERSION: put_label(out, "version", EVGRID_VERSION); break;
	case METRIC_LABELS_CODE:
		if (error_find((int)value)->code != value)
			return false; /* another version's */
		put_label(out, "code", error_name((int)value));
		break;
	case METRIC_LABELS_STAGE: put_label(out, "stage", stage_names[value]); break;
	case METRIC_LABELS_READ:
		put_label(out, "mode", mode_names[value / SHARD_READ_OUTCOMES]);
		buffer_bytes(out, ",", 1);
		put_label(out, "outcome", outcome_names[value % SHARD_READ_OUTCOMES]);
		break;
	case METRIC_LABELS_ROLE: put_label(out, "role", role_names[value]); break;
	case METRIC_LABELS_QUEUE: put_label(out, "queue", queue_names[value]); break;
	case METRIC_LABELS_WAITING: put_label(out, "queue", waiting_names[value]); break;
	case METRIC_LABELS_MEMBER: put_label(out, "state", member_names[value]); break;
	case METRIC_LABELS_NODE: return put_node(value, names, false, out);
	case METRIC_LABELS_PEER: return put_node(value, names, true, out);
	case METRIC_LABELS_VIEW: return put_view(value, names, out);
	case METRIC_LABELS_VIEW_STATE:
		return put_view_and(value, SHARD_VIEW_STATES, "state", view_state_names, names, out);
	case METRIC_LABELS_VIEW_FAULT:
		return put_view_and(value, METRIC_VIEW_FAULTS, "fault", view_fault_names, names, out);
	}
	return true;
}

const char *metric_labels_name(enum metric_labels labels)
{
	switch (labels) {
	case METRIC_LABELS_NOTHING: return "";
	case METRIC_LABELS_VERSION: return "version";
	case METRIC_LABELS_CODE: return "code";
	case METRIC_LABELS_STAGE: return "stage";
	case METRIC_LABELS_READ: return "mode, outcome";
	case METRIC_LABELS_ROLE: return "role";
	case METRIC_LABELS_QUEUE:
	case METRIC_LABELS_WAITING: return "queue";
	case METRIC_LABELS_MEMBER: return "state";
	case METRIC_LABELS_NODE:
	case METRIC_LABELS_PEER: return "node";
	case METRIC_LABELS_VIEW: return "view";
	case METRIC_LABELS_VIEW_STATE: return "view, state";
	case METRIC_LABELS_VIEW_FAULT: return "view, fault";
	}
	return "";
}

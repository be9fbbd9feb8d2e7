/* Decisions on blocked keys.
 *
 * 1. What is refused rests on committed state, under the lease, like a linearizable read (rule 11).
 * 2. The answer names the offset of the record and claims nothing: it may be lost with this primary. A decision names
 *    the offset at which the key is blocked, so one that comes twice, or too late, changes nothing. */
#include "partition/decide.h"

#include "partition/primary.h"
#include "partition/read.h"
#include "partition/shard_internal.h"

/* Why not; ERROR_NONE: the key is blocked there. */
static enum error judge(struct partition *partition, const struct decide *decide)
{
	struct shard *shard = partition->shard;
	enum error error = ERROR_NONE;
	struct view_entry entry;
	int rv;

	if (read_readiness(partition, READ_LINEARIZABLE, 0, HISTORY_ANY, &error) != READ_NOW)
		return error;
	if (node_set_count(partition->row.isr) < partition->row.minimum_isr)
		return ERROR_NOT_ENOUGH_REPLICAS; /* rule 8 */
	if (shard->disk_full)
		return ERROR_DISK_FULL;
	rv = state_view_get(partition->state, decide->view_id, decide->key, decide->partition_key, &entry);
	if (rv != ERROR_BLOCKED)
		return rv == 0 || rv == ERROR_NOT_FOUND ? ERROR_REFUSED : (enum error)rv;
	if (entry.catching)
		return ERROR_CATCHING_UP;
	return entry.blocked_at == decide->offset ? ERROR_NONE : ERROR_REFUSED;
}

int decide_request(struct shard *shard, uint64_t client, const struct decide *decide)
{
	struct partition *partition = shard_partition(shard, decide->partition);
	struct decided decided = {.ticket = decide->ticket, .partition = decide->partition};
	struct control control = {
		.kind = decide->decision == DECIDE_SKIP ? CONTROL_VIEW_SKIP : CONTROL_VIEW_RETRY,
		.id = decide->view_id,
		.key = decide->key,
		.partition_key = decide->partition_key,
		.offset = decide->offset,
	};
	struct buffer *out;
	int result = 0;

	decided.error = (uint16_t)(partition == NULL ? ERROR_WRONG_PARTITION : judge(partition, decide));
	if (decided.error == ERROR_NONE) {
		decided.at = partition->log.end;
		control.version = state_view_version(partition->state, decide->view_id);
		result = primary_append_control(partition, &control);
		if (result == 1)
			decided.error = ERROR_BUSY;
	}
	if (result < 0)
		return result;
	out = outbox_client_body(&shard->outbox, client, MESSAGE_DECIDED);
	if (out != NULL)
		decided_encode(&decided, out);
	return 0;
}

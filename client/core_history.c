/* Requests for a page of a key's history and of a view's entries by key; core_request.c asks them again until they are
 * answered or late. */
#include "client/core_state.h"

int core_history(struct core *core, const struct core_history *history, uint64_t tag, uint64_t now_ms)
{
	struct span key = history->history.key;
	struct span partition_key = history->history.partition_key;
	struct request *request;
	int rv;

	if (key.size == 0)
		return ERROR_EMPTY;
	if (key.size > KEY_MAX_BYTES || partition_key.size > KEY_MAX_BYTES || history->history.limit > HISTORY_PAGE_MAX)
		return ERROR_LIMIT;
	rv = request_new(core, CORE_HISTORY, key.size + partition_key.size, tag, now_ms, history->timeout_ms, &request);
	if (rv != 0)
		return rv;
	request->node_id = history->node_id;
	request->history = history->history;
	request->history.ticket = request->ticket;
	request->history.partition = partition_of(partition_key.size == 0 ? key : partition_key);
	request->history.key = request_keep(request, key);
	request->history.partition_key = request_keep(request, partition_key);
	request->history.fresh = history->node_id == 0;
	return 0;
}

int core_scan_view(struct core *core, const struct core_scan *scan, uint64_t tag, uint64_t now_ms)
{
	const struct scan *from = &scan->scan;
	struct request *request;
	int rv;

	if (from->partition >= PARTITION_COUNT || from->limit > SCAN_PAGE_MAX || from->prefix.size > KEY_MAX_BYTES ||
	    from->after.size > KEY_MAX_BYTES || from->after_partition_key.size > KEY_MAX_BYTES)
		return ERROR_LIMIT;
	rv = request_new(core, CORE_SCAN, from->prefix.size + from->after.size + from->after_partition_key.size, tag,
			 now_ms, scan->timeout_ms, &request);
	if (rv != 0)
		return rv;
	request->node_id = from->mode == READ_LINEARIZABLE ? 0 : scan->node_id;
	request->scan = *from;
	request->scan.ticket = request->ticket;
	request->scan.prefix = request_keep(request, from->prefix);
	request->scan.after = request_keep(request, from->after);
	request->scan.after_partition_key = request_keep(request, from->after_partition_key);
	return 0;
}

void request_history_data(struct core *core, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct history_data data;
	struct core_result *result;
	struct request *request;

	if (history_data_decode(&in, &data) != 0 || !reader_done(&in)) {
		core->counts.frames_dropped++;
		return;
	}
	request = request_find(core, data.ticket, CORE_HISTORY);
	if (request == NULL)
		return;
	if (request_retries(data.error)) {
		request_refused(core, request, data.error);
		return;
	}
	result = request_end(core, request, data.error);
	result->history = data;
	result->history.records = result_keep(result, data.records);
}

/* NOT_YET comes after the node waited as long as it was told to. A view may be new to the node. */
void request_scan_done(struct core *core, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct scan_done done;
	struct core_result *result;
	struct request *request;

	if (scan_done_decode(&in, &done) != 0 || !reader_done(&in)) {
		core->counts.frames_dropped++;
		return;
	}
	request = request_find(core, done.ticket, CORE_SCAN);
	if (request == NULL)
		return;
	if (done.error == ERROR_UNKNOWN_VIEW ? request_view_may_come(core, request->scan.view_id)
					     : request_retries(done.error) && done.error != ERROR_NOT_YET) {
		request_refused(core, request, done.error);
		return;
	}
	result = request_end(core, request, done.error);
	result->scan = done;
	result->scan.entries = result_keep(result, done.entries);
}

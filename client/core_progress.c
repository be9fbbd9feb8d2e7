/* Requests for how far a view is, of one shard each; core_request.c asks them again until they are answered or late. */
#include "client/core_state.h"

int core_progress(struct core *core, uint32_t node_id, uint16_t shard, uint32_t view_id, uint32_t timeout_ms,
		  uint64_t tag, uint64_t now_ms)
{
	struct request *request;
	int rv;

	if (node_id == 0 || node_id > NODES_MAX || shard >= SHARDS_MAX || view_id == 0)
		return ERROR_LIMIT;
	rv = request_new(core, CORE_PROGRESS, 0, tag, now_ms, timeout_ms, &request);
	if (rv != 0)
		return rv;
	request->node_id = node_id;
	request->shard = shard;
	request->progress = (struct progress_ask){request->ticket, view_id};
	return 0;
}

void request_progress_done(struct core *core, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct core_result *result;
	struct progress_done done;
	struct request *request;

	if (progress_done_decode(&in, &done) != 0 || !reader_done(&in)) {
		core->counts.frames_dropped++;
		return;
	}
	request = request_find(core, done.ticket, CORE_PROGRESS);
	if (request == NULL)
		return;
	result = request_end(core, request, ERROR_NONE);
	result->progress = done;
	result->progress.items = result_keep(result, done.items);
}

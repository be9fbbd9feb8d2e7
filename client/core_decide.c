/* Requests to retry or skip what blocks a key; core_request.c asks them again until they are answered or late: a
 * decision that comes twice changes nothing. */
#include "client/core_state.h"

int core_decide(struct core *core, const struct core_decide *decide, uint64_t tag, uint64_t now_ms)
{
	struct span key = decide->decide.key;
	struct span partition_key = decide->decide.partition_key;
	struct request *request;
	int rv;

	if (key.size == 0)
		return ERROR_EMPTY;
	if (key.size > KEY_MAX_BYTES || partition_key.size > KEY_MAX_BYTES)
		return ERROR_LIMIT;
	rv = request_new(core, CORE_DECIDE, key.size + partition_key.size, tag, now_ms, decide->timeout_ms, &request);
	if (rv != 0)
		return rv;
	request->decide = decide->decide;
	request->decide.ticket = request->ticket;
	request->decide.partition = partition_of(partition_key.size == 0 ? key : partition_key);
	request->decide.key = request_keep(request, key);
	request->decide.partition_key = request_keep(request, partition_key);
	return 0;
}

void request_decided(struct core *core, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct core_result *result;
	struct request *request;
	struct decided decided;

	if (decided_decode(&in, &decided) != 0 || !reader_done(&in)) {
		core->counts.frames_dropped++;
		return;
	}
	request = request_find(core, decided.ticket, CORE_DECIDE);
	if (request == NULL)
		return;
	if (request_retries(decided.error)) {
		request_refused(core, request, decided.error);
		return;
	}
	result = request_end(core, request, decided.error);
	result->decided = decided;
}

/* Requests that bring a back-up's log to its partition's primary; core_request.c asks them again until they are
 * answered or late: an import that comes twice takes nothing the second time. */
#include "client/core_state.h"

int core_import(struct core *core, const struct import *import, uint32_t timeout_ms, uint64_t tag, uint64_t now_ms)
{
	struct request *request;
	int rv;

	if (import->partition >= PARTITION_COUNT || import->batches.size > MESSAGE_MAX_BYTES / 2 + CHUNK_MAX_BYTES)
		return ERROR_LIMIT;
	rv = request_new(core, CORE_IMPORT, import->batches.size, tag, now_ms, timeout_ms, &request);
	if (rv != 0)
		return rv;
	request->import = *import;
	request->import.ticket = request->ticket;
	request->import.batches = request_keep(request, import->batches);
	return 0;
}

void request_import_done(struct core *core, const struct message *message)
{
	struct reader in = reader_of(message->body);
	struct core_result *result;
	struct request *request;
	struct import_done done;

	if (import_done_decode(&in, &done) != 0 || !reader_done(&in)) {
		core->counts.frames_dropped++;
		return;
	}
	request = request_find(core, done.ticket, CORE_IMPORT);
	if (request == NULL)
		return;
	if (request_retries(done.error)) {
		request_refused(core, request, done.error);
		return;
	}
	result = request_end(core, request, done.error);
	result->import = done;
}

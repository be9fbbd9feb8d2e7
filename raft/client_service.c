/* See client_service.h. */
#include "raft/client_service.h"

#include "raft/command.h"

/* --- the map ------------------------------------------------------------------------------------------------------ */

static enum service_outcome take_map_request(const struct service_ask *ask, struct service_answer *answer)
{
	struct reader in = reader_of(ask->message->body);
	uint64_t since = reader_u64(&in);

	if (!reader_done(&in) || ask->cluster == NULL)
		return SERVICE_NOTHING;
	answer->since = since > cluster_map(ask->cluster)->version ? 0 : since; /* it has seen more than is here */
	return SERVICE_MAP;
}

/* --- producers ---------------------------------------------------------------------------------------------------- */

static uint64_t next_producer_id(struct client_service *service, uint32_t node_id, uint64_t unix_ms)
{
	if (unix_ms > service->producer_ms) {
		service->producer_ms = unix_ms;
		service->producer_count = 0;
	} else if (++service->producer_count == 1u << 12) {
		service->producer_ms++;
		service->producer_count = 0;
	}
	return producer_id_make(service->producer_ms, node_id, service->producer_count);
}

static enum service_outcome take_producer_open(struct client_service *service, const struct service_ask *ask,
					       struct service_answer *answer)
{
	struct reader in = reader_of(ask->message->body);
	uint64_t ticket = reader_u64(&in);
	uint32_t node_id = ask->cluster == NULL ? 0 : cluster_sender(ask->cluster).node_id;

	if (!reader_done(&in) || node_id == 0)
		return SERVICE_NOTHING;
	answer->kind = MESSAGE_PRODUCER_OPENED;
	buffer_u64(&answer->body, ticket);
	buffer_u64(&answer->body, next_producer_id(service, node_id, ask->unix_ms));
	return SERVICE_ANSWER;
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

static enum service_outcome refuse(struct service_answer *answer, uint64_t ticket, enum error error, const char *why)
{
	struct propose_result result = {.ticket = ticket, .error = (uint16_t)error, .detail = span_of_text(why)};

	answer->kind = MESSAGE_PROPOSE_RESULT;
	propose_result_encode(&result, &answer->body);
	return SERVICE_ANSWER;
}

static struct service_request *free_request(struct client_service *service)
{
	for (uint32_t i = 0; i < SERVICE_REQUESTS_MAX; i++) {
		struct service_request *request = &service->requests[service->next_request];

		service->next_request = (service->next_request + 1) % SERVICE_REQUESTS_MAX;
		if (request->ticket == 0)
			return request;
	}
	return NULL;
}

static enum service_outcome take_propose(struct client_service *service, const struct service_ask *ask,
					 struct service_answer *answer)
{
	struct reader in = reader_of(ask->message->body);
	uint64_t ticket = reader_u64(&in);
	struct span bytes = reader_bytes(&in, reader_left(&in));
	struct reader peek = reader_of(bytes);
	struct service_request *request;
	struct command command;

	if (in.failed || command_decode(&peek, &command) != 0 || command_check(bytes) != 0)
		return refuse(answer, ticket, ERROR_MALFORMED, "the command does not decode");
	if (!command_from_client(bytes))
		return refuse(answer, ticket, ERROR_REFUSED, "not a client's command");
	if (ask->cluster == NULL)
		return refuse(answer, ticket, ERROR_NOT_READY, "");
	request = free_request(service);
	if (request == NULL)
		return refuse(answer, ticket, ERROR_BUSY, "");
	*request = (struct service_request){++service->next_ticket, ask->client, ticket};
	cluster_propose(ask->cluster, request->ticket, bytes, ask->now_ms);
	return SERVICE_NOTHING;
}

bool service_result(struct client_service *service, const struct propose_result *result, uint64_t *client,
		    struct service_answer *answer)
{
	struct propose_result own = *result;

	for (uint32_t i = 0; result->ticket != 0 && i < SERVICE_REQUESTS_MAX; i++) {
		struct service_request *request = &service->requests[i];

		if (request->ticket != result->ticket)
			continue;
		own.ticket = request->client_ticket;
		*client = request->client;
		*request = (struct service_request){.ticket = 0};
		*answer = (struct service_answer){.kind = MESSAGE_PROPOSE_RESULT, .body = BUFFER_NULL};
		propose_result_encode(&own, &answer->body);
		return true;
	}
	return false;
}

enum service_outcome service_take(struct client_service *service, const struct service_ask *ask,
				  struct service_answer *answer)
{
	*answer = (struct service_answer){.body = BUFFER_NULL};
	switch (ask->message->kind) {
	case MESSAGE_MAP_REQUEST: return take_map_request(ask, answer);
	case MESSAGE_PRODUCER_OPEN: return take_producer_open(service, ask, answer);
	case MESSAGE_PROPOSE: return take_propose(service, ask, answer);
	default: return SERVICE_STRANGER;
	}
}

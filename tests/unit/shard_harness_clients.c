/* The harness's clients: what they send, and the answers they got. */
#include "tests/unit/shard_harness.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t next_ticket(struct harness *harness)
{
	return 1000 + (++harness->proposals) + harness->now_ms * 1000;
}

static void client_sends(struct harness *harness, uint32_t node, enum message_kind kind, const struct buffer *body)
{
	struct message message = {.kind = kind, .items = 1, .body = buffer_span(body)};
	struct harness_node *at = &harness->nodes[node];

	if (at->shard == NULL)
		return;
	assert(shard_receive_client(at->shard, HARNESS_CLIENT, &message) == 0);
	at->touched = true;
}

void harness_send(struct harness *harness, uint32_t node, enum message_kind kind, struct span body)
{
	struct buffer bytes = BUFFER_NULL;

	buffer_bytes(&bytes, body.data, body.size);
	client_sends(harness, node, kind, &bytes);
	buffer_deinit(&bytes);
}

static uint64_t append_event(struct harness *harness, uint32_t node, uint32_t number, const struct event *event,
			     uint32_t count, const struct check *check, uint16_t check_count)
{
	struct batch_builder builder;
	struct buffer checks = BUFFER_NULL;
	struct buffer body = BUFFER_NULL;
	struct append_item item = {.ticket = next_ticket(harness)};

	batch_builder_init(&builder, harness->partition);
	for (uint32_t i = 0; i < count; i++)
		assert(batch_builder_add(&builder, event) == 0);
	assert(batch_builder_finish(&builder, harness->producer, 1, number, 0, false) == 0);
	for (uint16_t i = 0; i < check_count; i++)
		check_encode(&check[i], &checks);
	item.check_count = check_count;
	item.checks = buffer_span(&checks);
	item.batch = buffer_span(&builder.bytes);
	append_item_encode(&item, &body);
	client_sends(harness, node, MESSAGE_APPEND, &body);
	buffer_deinit(&body);
	buffer_deinit(&checks);
	batch_builder_deinit(&builder);
	return item.ticket;
}

uint64_t harness_append_checked(struct harness *harness, uint32_t node, uint32_t number, const char *key,
				uint32_t count, const struct check *checks, uint16_t check_count)
{
	const struct event event = {
		.stream_id = HARNESS_STREAM,
		.type = span_of_text("Created"),
		.key = span_of_text(key),
		.partition_key = span_of_text("k"),
		.id = span_of_text("id"),
		.payload = span_of("\x80", 1),
	};

	return append_event(harness, node, number, &event, count, checks, check_count);
}

uint64_t harness_append(struct harness *harness, uint32_t node, uint32_t number, const char *key, uint32_t count,
			const struct check *check)
{
	return harness_append_checked(harness, node, number, key, count, check, check != NULL);
}

uint64_t harness_append_event(struct harness *harness, uint32_t node, uint32_t number, const struct event *event,
			      uint32_t count, const struct check *check)
{
	return append_event(harness, node, number, event, count, check, check != NULL);
}

uint64_t harness_append_next(struct harness *harness, uint32_t node, const char *key)
{
	return harness_append(harness, node, ++harness->number, key, 1, NULL);
}

static uint64_t read_of(struct harness *harness, uint32_t node, uint32_t view_id, enum read_mode mode, const char *key,
			uint64_t at_least, uint32_t wait_ms)
{
	struct read_item item = {
		.ticket = next_ticket(harness),
		.partition = harness->partition,
		.mode = (uint8_t)mode,
		.view_id = view_id,
		.stream_id = view_id == 0 ? HARNESS_STREAM : 0,
		.at_least = at_least,
		.history = harness->demanded,
		.wait_ms = wait_ms,
		.key = span_of_text(key),
		.partition_key = span_of_text("k"),
	};
	struct buffer body = BUFFER_NULL;

	read_item_encode(&item, &body);
	client_sends(harness, node, MESSAGE_READ, &body);
	buffer_deinit(&body);
	return item.ticket;
}

uint64_t harness_read(struct harness *harness, uint32_t node, enum read_mode mode, const char *key, uint64_t at_least,
		      uint32_t wait_ms)
{
	return read_of(harness, node, 0, mode, key, at_least, wait_ms);
}

uint64_t harness_replay(struct harness *harness, uint32_t node, uint64_t from, uint32_t max_bytes)
{
	struct replay item = {
		.ticket = next_ticket(harness),
		.partition = harness->partition,
		.from = from,
		.history = harness->demanded,
		.max_bytes = max_bytes,
		.fresh = harness->fresh,
	};
	struct buffer body = BUFFER_NULL;

	replay_encode(&item, &body);
	client_sends(harness, node, MESSAGE_REPLAY, &body);
	buffer_deinit(&body);
	return item.ticket;
}

uint64_t harness_history(struct harness *harness, uint32_t node, const struct history *history)
{
	struct history item = *history;
	struct buffer body = BUFFER_NULL;

	item.ticket = next_ticket(harness);
	item.partition = harness->partition;
	item.history = harness->demanded;
	item.fresh = harness->fresh;
	item.partition_key = span_of_text("k");
	history_encode(&item, &body);
	client_sends(harness, node, MESSAGE_HISTORY, &body);
	buffer_deinit(&body);
	return item.ticket;
}

uint64_t harness_scan(struct harness *harness, uint32_t node, const struct scan *scan)
{
	struct scan item = *scan;
	struct buffer body = BUFFER_NULL;

	item.ticket = next_ticket(harness);
	item.partition = harness->partition;
	item.history = harness->demanded;
	item.view_id = HARNESS_VIEW;
	scan_encode(&item, &body);
	client_sends(harness, node, MESSAGE_SCAN, &body);
	buffer_deinit(&body);
	return item.ticket;
}

uint64_t harness_decide(struct harness *harness, uint32_t node, const struct decide *decide)
{
	struct decide item = *decide;
	struct buffer body = BUFFER_NULL;

	item.ticket = next_ticket(harness);
	item.partition = harness->partition;
	item.view_id = HARNESS_VIEW;
	item.partition_key = span_of_text("k");
	decide_encode(&item, &body);
	client_sends(harness, node, MESSAGE_DECIDE, &body);
	buffer_deinit(&body);
	return item.ticket;
}

uint64_t harness_view_read(struct harness *harness, uint32_t node, enum read_mode mode, const char *key,
			   uint64_t at_least, uint32_t wait_ms)
{
	return read_of(harness, node, HARNESS_VIEW, mode, key, at_least, wait_ms);
}

const struct harness_answer *harness_answer(struct harness *harness, uint64_t ticket)
{
	for (size_t i = 0; i < harness->answer_count; i++) {
		const struct harness_answer *answer = &harness->answers[i];

		if (answer->append.ticket == ticket || answer->read.ticket == ticket ||
		    answer->replay.ticket == ticket || answer->history.ticket == ticket ||
		    answer->scan.ticket == ticket || answer->decided.ticket == ticket)
			return answer;
	}
	return NULL;
}

void harness_forget_answers(struct harness *harness)
{
	for (size_t i = 0; i < harness->answer_count; i++)
		buffer_deinit(&harness->answers[i].frame);
	harness->answer_count = 0;
}

void harness_expect(struct harness *harness, uint64_t ticket, enum error error)
{
	const struct harness_answer *answer = harness_answer(harness, ticket);

	assert_non_null(answer);
	assert_string_equal(error_name(answer->append.error | answer->read.error | answer->replay.error |
				       answer->history.error | answer->scan.error | answer->decided.error),
			    error_name((int)error));
}

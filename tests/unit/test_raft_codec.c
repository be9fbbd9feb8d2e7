/* raft_codec: every kind comes back as it went; nothing that arrives is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "proto/error.h"
#include "raft/raft_codec.h"

#define FROM 77u
#define TO 88u
#define ADDRESS "sender:7000"

static const struct raft_route sender = {.from = FROM, .life = 5, .number = 6, .address = ADDRESS};

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static struct raft_message message_of(enum raft_message_type type)
{
	struct raft_message message;

	memset(&message, 0, sizeof(message));
	message.type = type;
	message.server_id = TO;
	message.server_address = "receiver:7000";
	return message;
}

static struct raft_message append_entries(struct raft_entry entries[3], struct raft_buffer *configuration)
{
	struct raft_message message = message_of(RAFT_APPEND_ENTRIES);
	struct raft_configuration servers;

	raft_configuration_init(&servers);
	assert_int_equal(raft_configuration_add(&servers, 5, "a:1", RAFT_VOTER), 0);
	assert_int_equal(raft_configuration_add(&servers, 6, "b:1", RAFT_STANDBY), 0);
	assert_int_equal(raft_configuration_encode(&servers, configuration), 0);
	raft_configuration_close(&servers);
	entries[0] = (struct raft_entry){.term = 3, .type = RAFT_COMMAND, .buf = {.base = "command!", .len = 8}};
	entries[1] = (struct raft_entry){.term = 4, .type = RAFT_CHANGE, .buf = *configuration};
	entries[2] = (struct raft_entry){.term = 4, .type = RAFT_BARRIER, .buf = {.base = "barrier!", .len = 8}};
	message.append_entries = (struct raft_append_entries){.version = 0,
							      .term = 4,
							      .prev_log_index = 9,
							      .prev_log_term = 2,
							      .leader_commit = 8,
							      .entries = entries,
							      .n_entries = 3};
	return message;
}

static struct raft_message install_snapshot(void)
{
	struct raft_message message = message_of(RAFT_INSTALL_SNAPSHOT);
	struct raft_install_snapshot *args = &message.install_snapshot;

	args->term = 7;
	args->last_index = 100;
	args->last_term = 6;
	args->conf_index = 1;
	raft_configuration_init(&args->conf);
	assert_int_equal(raft_configuration_add(&args->conf, 5, "a:1", RAFT_VOTER), 0);
	args->data = (struct raft_buffer){.base = "a snapshot", .len = 10};
	return message;
}

/* Each of the six kinds in turn; the caller frees what hangs on it with release(). */
static struct raft_message sample(enum raft_message_type type, struct raft_entry entries[3], struct raft_buffer *memory)
{
	struct raft_message message = message_of(type);

	*memory = (struct raft_buffer){0};
	switch (type) {
	case RAFT_APPEND_ENTRIES: return append_entries(entries, memory);
	case RAFT_INSTALL_SNAPSHOT: return install_snapshot();
	case RAFT_APPEND_ENTRIES_RESULT:
		message.append_entries_result = (struct raft_append_entries_result){
			.version = 2, .term = 5, .rejected = 6, .last_log_index = 7, .features = 1, .capacity = 9};
		return message;
	case RAFT_REQUEST_VOTE:
		message.request_vote = (struct raft_request_vote){.version = 2,
								  .term = 5,
								  .candidate_id = FROM,
								  .last_log_index = 6,
								  .last_log_term = 4,
								  .disrupt_leader = true,
								  .pre_vote = false};
		return message;
	case RAFT_REQUEST_VOTE_RESULT:
		message.request_vote_result = (struct raft_request_vote_result){
			.version = 2, .term = 5, .vote_granted = true, .pre_vote = true, .features = 1, .capacity = 3};
		return message;
	default:
		message.timeout_now =
			(struct raft_timeout_now){.version = 0, .term = 5, .last_log_index = 6, .last_log_term = 4};
		return message;
	}
}

static void release(struct raft_message *message, struct raft_buffer *memory)
{
	if (message->type == RAFT_INSTALL_SNAPSHOT)
		raft_configuration_close(&message->install_snapshot.conf);
	raft_free(memory->base);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void every_kind_comes_back(void **state)
{
	(void)state;
	for (int type = RAFT_APPEND_ENTRIES; type <= RAFT_TIMEOUT_NOW; type++) {
		struct raft_entry entries[3];
		struct raft_buffer memory;
		struct raft_message sent = sample((enum raft_message_type)type, entries, &memory);
		struct buffer first = BUFFER_NULL;
		struct buffer again = BUFFER_NULL;
		struct raft_message got;
		struct raft_route route;

		assert_int_equal(raft_codec_encode(&sent, &sender, &first), 0);
		assert_int_equal(raft_codec_decode(buffer_span(&first), &got, &route), 0);
		assert_int_equal(got.type, type);
		assert_int_equal(route.to, TO);
		assert_int_equal(got.server_id, FROM);
		assert_string_equal(got.server_address, ADDRESS);
		assert_int_equal(route.life, 5);
		assert_int_equal(route.number, 6);
		got.server_id = TO;
		assert_int_equal(raft_codec_encode(&got, &sender, &again), 0);
		assert_true(span_equal(buffer_span(&first), buffer_span(&again)));
		raft_codec_discard(&got);
		release(&sent, &memory);
		buffer_deinit(&first);
		buffer_deinit(&again);
	}
}

static void received_entries_are_one_batch(void **state)
{
	struct raft_entry entries[3];
	struct raft_buffer memory;
	struct raft_message sent = append_entries(entries, &memory);
	struct buffer bytes = BUFFER_NULL;
	struct raft_message got;
	struct raft_route route;

	(void)state;
	assert_int_equal(raft_codec_encode(&sent, &sender, &bytes), 0);
	assert_int_equal(raft_codec_decode(buffer_span(&bytes), &got, &route), 0);
	assert_int_equal(got.append_entries.n_entries, 3);
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(got.append_entries.entries[i].batch, got.append_entries.entries[0].batch);
		assert_int_equal(got.append_entries.entries[i].term, entries[i].term);
	}
	assert_ptr_equal(got.append_entries.entries[0].buf.base, got.append_entries.entries[0].batch);
	raft_codec_discard(&got);
	release(&sent, &memory);
	buffer_deinit(&bytes);
}

static void a_cut_or_longer_message_is_refused(void **state)
{
	(void)state;
	for (int type = RAFT_APPEND_ENTRIES; type <= RAFT_TIMEOUT_NOW; type++) {
		struct raft_entry entries[3];
		struct raft_buffer memory;
		struct raft_message sent = sample((enum raft_message_type)type, entries, &memory);
		struct buffer bytes = BUFFER_NULL;
		struct raft_message got;
		struct raft_route route;

		assert_int_equal(raft_codec_encode(&sent, &sender, &bytes), 0);
		for (size_t size = 0; size < bytes.size; size++) {
			/* A copy of just that size, so that the sanitizer sees a read beyond. */
			uint8_t *cut = malloc(size + 1);

			memcpy(cut, bytes.data, size);
			assert_int_not_equal(raft_codec_decode(span_of(cut, size), &got, &route), 0);
			free(cut);
		}
		buffer_u8(&bytes, 0);
		assert_int_not_equal(raft_codec_decode(buffer_span(&bytes), &got, &route), 0);
		release(&sent, &memory);
		buffer_deinit(&bytes);
	}
}

/* Any byte may be anything: the decoder refuses, or gives something whose encoding it would read again. */
static void flipped_bytes_do_no_harm(void **state)
{
	(void)state;
	for (int type = RAFT_APPEND_ENTRIES; type <= RAFT_TIMEOUT_NOW; type++) {
		struct raft_entry entries[3];
		struct raft_buffer memory;
		struct raft_message sent = sample((enum raft_message_type)type, entries, &memory);
		struct buffer bytes = BUFFER_NULL;
		struct raft_message got;
		struct raft_route route;

		assert_int_equal(raft_codec_encode(&sent, &sender, &bytes), 0);
		for (size_t at = 0; at < bytes.size; at++) {
			static const uint8_t flips[] = {0x01, 0x02, 0x80, 0xff};
			uint8_t kept = bytes.data[at];

			for (size_t i = 0; i < sizeof(flips); i++) {
				bytes.data[at] = kept ^ flips[i];
				if (raft_codec_decode(buffer_span(&bytes), &got, &route) == 0)
					raft_codec_discard(&got);
			}
			bytes.data[at] = kept;
		}
		release(&sent, &memory);
		buffer_deinit(&bytes);
	}
}

static void what_libraft_would_not_check_is_checked(void **state)
{
	struct raft_entry entries[3];
	struct raft_buffer memory;
	struct raft_message sent = append_entries(entries, &memory);
	struct buffer bytes = BUFFER_NULL;
	struct raft_message got;
	struct raft_route route;

	(void)state;
	entries[1].buf.len = 12; /* a configuration that ends within a server */
	assert_int_equal(raft_codec_encode(&sent, &sender, &bytes), 0);
	assert_int_equal(raft_codec_decode(buffer_span(&bytes), &got, &route), ERROR_MALFORMED);
	buffer_clear(&bytes);
	entries[1] = entries[0];
	entries[0].term = 0;
	assert_int_equal(raft_codec_encode(&sent, &sender, &bytes), 0);
	assert_int_equal(raft_codec_decode(buffer_span(&bytes), &got, &route), ERROR_MALFORMED);
	buffer_clear(&bytes);
	entries[0].term = 3;
	sent.append_entries.prev_log_term = 0;
	assert_int_equal(raft_codec_encode(&sent, &sender, &bytes), 0);
	assert_int_equal(raft_codec_decode(buffer_span(&bytes), &got, &route), ERROR_MALFORMED);
	release(&sent, &memory);
	buffer_deinit(&bytes);
}

/* Entries too many for a message are cut to a prefix: sound, since the follower acknowledges what it got. */
static void a_large_message_carries_a_prefix(void **state)
{
	static uint8_t large[RAFT_CODEC_ENTRIES_MAX_BYTES / 2];
	struct raft_message sent = message_of(RAFT_APPEND_ENTRIES);
	struct raft_entry entries[4];
	struct buffer bytes = BUFFER_NULL;
	struct raft_message got;
	struct raft_route route;

	(void)state;
	for (int i = 0; i < 4; i++)
		entries[i] = (struct raft_entry){
			.term = 1, .type = RAFT_COMMAND, .buf = {.base = large, .len = sizeof(large)}};
	sent.append_entries = (struct raft_append_entries){.term = 1, .entries = entries, .n_entries = 4};
	assert_int_equal(raft_codec_encode(&sent, &sender, &bytes), 0);
	assert_int_equal(raft_codec_decode(buffer_span(&bytes), &got, &route), 0);
	assert_int_equal(got.append_entries.n_entries, 1);
	raft_codec_discard(&got);
	buffer_deinit(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_comes_back),
		cmocka_unit_test(received_entries_are_one_batch),
		cmocka_unit_test(a_cut_or_longer_message_is_refused),
		cmocka_unit_test(flipped_bytes_do_no_harm),
		cmocka_unit_test(what_libraft_would_not_check_is_checked),
		cmocka_unit_test(a_large_message_carries_a_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Messages: the envelope, and the body of every kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/message.h"

#include "proto/checksum.h"
#include "tests/unit/memory_fault.h"
#include "tests/unit/message_samples.h"
#include "tests/unit/random.h"

/* --- helpers ------------------------------------------------------------------------------------------------ */

static const struct sender sender = {0xabcdef0123456789u, 7, 3, 1};

static void frame_of(enum message_kind kind, struct buffer *frame)
{
	uint16_t items;

	buffer_clear(frame);
	message_begin(frame);
	message_sample_body(kind, frame, &items);
	assert_int_equal(message_end(frame, &sender, kind, items), 0);
}

static int decode_result(const struct buffer *frame)
{
	struct message message = {.node_id = 4711};
	int rv = message_decode(buffer_span(frame), &message);

	if (rv != 0)
		assert_int_equal(message.node_id, 4711); /* untouched */
	return rv;
}

static void reseal(struct buffer *frame)
{
	const struct span parts[] = {span_of(frame->data, 12), span_of(frame->data + 16, frame->size - 16)};

	store_little(frame->data + 12, 4, checksum_parts(parts, 2) & UINT32_MAX);
}

static int set_and_decode(struct buffer *frame, size_t at, size_t width, uint64_t value)
{
	uint64_t before = load_little(frame->data + at, width);
	int rv;

	store_little(frame->data + at, width, value);
	reseal(frame);
	rv = decode_result(frame);
	store_little(frame->data + at, width, before);
	reseal(frame);
	return rv;
}

/* --- envelope ----------------------------------------------------------------------------------------------- */

static void every_kind_is_read_back(void **state)
{
	struct buffer frame = BUFFER_NULL;
	struct buffer again = BUFFER_NULL;
	struct message message;

	(void)state;
	for (size_t i = 0; message_kinds[i] != 0; i++) {
		frame_of(message_kinds[i], &frame);
		assert_int_equal(message_decode(buffer_span(&frame), &message), 0);
		assert_int_equal(message.kind, message_kinds[i]);
		assert_true(message.incarnation == sender.incarnation);
		assert_int_equal(message.node_epoch, 7);
		assert_int_equal(message.node_id, 3);
		assert_int_equal(message.shard, 1);
		buffer_clear(&again);
		assert_int_equal(message_body_walk(&message, &again), 0);
		assert_true(span_equal(buffer_span(&again), message.body));
	}
	buffer_deinit(&frame);
	buffer_deinit(&again);
}

static void every_cut_and_every_flipped_bit_is_refused(void **state)
{
	struct buffer frame = BUFFER_NULL;

	(void)state;
	frame_of(MESSAGE_APPEND, &frame);
	for (size_t bit = 0; bit < frame.size * 8; bit++) {
		frame.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(decode_result(&frame), 0);
		frame.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	while (frame.size > 0) {
		frame.size--;
		assert_int_equal(decode_result(&frame), ERROR_MALFORMED);
	}
	buffer_deinit(&frame);
}

static void envelope_fields_are_checked(void **state)
{
	struct buffer frame = BUFFER_NULL;

	(void)state;
	frame_of(MESSAGE_ACK, &frame);
	assert_int_equal(set_and_decode(&frame, 0, 1, 'F'), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(&frame, 3, 1, '2'), ERROR_VERSION);
	assert_int_equal(set_and_decode(&frame, 4, 1, 255), ERROR_VERSION);
	assert_int_equal(set_and_decode(&frame, 4, 1, 0), ERROR_VERSION);
	assert_int_equal(set_and_decode(&frame, 5, 1, 1), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(&frame, 38, 2, 1), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(&frame, 8, 4, frame.size), ERROR_MALFORMED);
	assert_int_equal(set_and_decode(&frame, 36, 2, 5), 0);
	frame.data[12] ^= 1;
	assert_int_equal(decode_result(&frame), ERROR_CHECKSUM);
	buffer_deinit(&frame);
}

static void message_above_the_limit_is_neither_sent_nor_taken(void **state)
{
	struct buffer frame = BUFFER_NULL;
	uint8_t *rest;

	(void)state;
	message_begin(&frame);
	rest = buffer_extend(&frame, MESSAGE_MAX_BYTES - MESSAGE_ENVELOPE_BYTES);
	assert_non_null(rest);
	memset(rest, 0, MESSAGE_MAX_BYTES - MESSAGE_ENVELOPE_BYTES);
	assert_int_equal(message_end(&frame, &sender, MESSAGE_RAFT, 0), 0);
	assert_int_equal(decode_result(&frame), 0);
	buffer_u8(&frame, 0);
	assert_int_equal(message_end(&frame, &sender, MESSAGE_RAFT, 0), ERROR_LIMIT);
	store_little(frame.data + 8, 4, frame.size - MESSAGE_ENVELOPE_BYTES);
	reseal(&frame);
	assert_int_equal(decode_result(&frame), ERROR_MALFORMED);
	buffer_deinit(&frame);
}

static void message_without_memory_says_so_at_its_end(void **state)
{
	struct buffer frame = BUFFER_NULL;

	(void)state;
	memory_fault_at(1);
	message_begin(&frame);
	assert_true(memory_fault_off());
	assert_int_equal(message_end(&frame, &sender, MESSAGE_HELLO_WANTED, 0), ERROR_MEMORY);
	buffer_deinit(&frame);
}

static void every_kind_has_a_name_and_no_other_number_has(void **state)
{
	unsigned named = 0;
	unsigned listed = 0;

	(void)state;
	for (unsigned kind = 0; kind < 256; kind++)
		named += message_kind_name((enum message_kind)kind) != NULL;
	while (message_kinds[listed] != 0)
		listed++;
	assert_int_equal(named, listed);
	assert_string_equal(message_kind_name(MESSAGE_JOIN_ASK), "JOIN_ASK");
}

/* --- bodies ------------------------------------------------------------------------------------------------- */

static bool body_is_proto(enum message_kind kind)
{
	return kind != MESSAGE_FORMATION && kind != MESSAGE_RAFT && kind != MESSAGE_PROPOSE && kind != MESSAGE_MAP &&
	       kind != MESSAGE_HELLO_WANTED;
}

static void every_cut_body_is_refused(void **state)
{
	struct buffer frame = BUFFER_NULL;
	struct buffer again = BUFFER_NULL;
	struct message message;

	(void)state;
	for (size_t i = 0; message_kinds[i] != 0; i++) {
		if (!body_is_proto(message_kinds[i]))
			continue;
		frame_of(message_kinds[i], &frame);
		assert_int_equal(message_decode(buffer_span(&frame), &message), 0);
		while (message.body.size > 0) {
			message.body.size--;
			buffer_clear(&again);
			assert_int_equal(message_body_walk(&message, &again), ERROR_MALFORMED);
		}
	}
	buffer_deinit(&frame);
	buffer_deinit(&again);
}

static void every_altered_body_is_refused_or_reads_as_another(void **state)
{
	struct buffer frame = BUFFER_NULL;
	struct buffer again = BUFFER_NULL;
	struct message message;

	(void)state;
	for (size_t i = 0; message_kinds[i] != 0; i++) {
		frame_of(message_kinds[i], &frame);
		assert_int_equal(message_decode(buffer_span(&frame), &message), 0);
		for (size_t bit = MESSAGE_ENVELOPE_BYTES * 8; bit < frame.size * 8; bit++) {
			int rv;
			frame.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			buffer_clear(&again);
			rv = message_body_walk(&message, &again);
			assert_true(rv == 0 || rv == ERROR_MALFORMED);
			frame.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
	buffer_deinit(&frame);
	buffer_deinit(&again);
}

static void random_bodies_are_read_within_their_bounds(void **state)
{
	static uint8_t bytes[512];
	struct buffer again = BUFFER_NULL;
	uint64_t seed = 21;
	size_t count = 0;

	(void)state;
	while (message_kinds[count] != 0)
		count++;
	for (int round = 0; round < 20000; round++) {
		size_t kind = random_below(&seed, count);
		struct message message = {.kind = message_kinds[kind], .items = (uint16_t)random_below(&seed, 3)};
		random_fill(&seed, bytes, sizeof bytes);
		message.body = span_of(bytes, random_below(&seed, sizeof bytes));
		buffer_clear(&again);
		(void)message_body_walk(&message, &again);
	}
	buffer_deinit(&again);
}

static void subscriptions_beyond_their_bounds_are_refused(void **state)
{
	static const struct {
		enum message_kind kind;
		size_t place;
		size_t width;
		uint64_t value;
	} cases[] = {
		{MESSAGE_EVENTS, 16, 2, PARTITION_COUNT},
		{MESSAGE_EVENTS, 28, 8, 98}, /* next before from */
		{MESSAGE_EVENTS, 48, 4, UINT32_MAX},
		{MESSAGE_SUBSCRIBE, 20, 1, SUBSCRIBE_FILTERS_MAX + 1},
		{MESSAGE_SUBSCRIBE, 29, 1, SUBSCRIBE_FILTERS_MAX + 1},
		{MESSAGE_SUBSCRIBE, 30, 1, NAME_MAX_BYTES + 1},
		{MESSAGE_SUBSCRIBE, 46, 2, PARTITION_COUNT + 1},
		{MESSAGE_SUBSCRIBE, 46, 2, 3},
		{MESSAGE_SUBSCRIBE, 48, 2, PARTITION_COUNT},
	};
	struct buffer frame = BUFFER_NULL;
	struct buffer again = BUFFER_NULL;
	struct message message;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		frame_of(cases[i].kind, &frame);
		assert_int_equal(message_decode(buffer_span(&frame), &message), 0);
		assert_int_equal(message_body_walk(&message, &again), 0);
		store_little(frame.data + MESSAGE_ENVELOPE_BYTES + cases[i].place, cases[i].width, cases[i].value);
		assert_int_equal(message_body_walk(&message, &again), ERROR_MALFORMED);
	}
	buffer_deinit(&frame);
	buffer_deinit(&again);
}

static void partitions_beyond_the_last_are_refused(void **state)
{
	static const enum message_kind kinds[] = {
		MESSAGE_REPLICATE, MESSAGE_ACK,          MESSAGE_JOIN_ASK,    MESSAGE_READ,
		MESSAGE_REPLAY,    MESSAGE_REPLAY_DATA,  MESSAGE_STATUS_DONE, MESSAGE_APPEND_DONE,
		MESSAGE_HISTORY,   MESSAGE_HISTORY_DATA, MESSAGE_SCAN,        MESSAGE_SCAN_DONE,
		MESSAGE_DECIDE,    MESSAGE_DECIDED,      MESSAGE_IMPORT,      MESSAGE_IMPORT_DONE};
	struct buffer frame = BUFFER_NULL;
	struct buffer again = BUFFER_NULL;
	struct message message;

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		bool has_ticket =
			(kinds[i] < MESSAGE_REPLICATE && kinds[i] != MESSAGE_STATUS_DONE) || kinds[i] >= MESSAGE_SCAN;
		frame_of(kinds[i], &frame);
		assert_int_equal(message_decode(buffer_span(&frame), &message), 0);
		store_little(frame.data + MESSAGE_ENVELOPE_BYTES + (has_ticket ? 8 : 0), 2, PARTITION_COUNT);
		assert_int_equal(message_body_walk(&message, &again), ERROR_MALFORMED);
	}
	buffer_deinit(&frame);
	buffer_deinit(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_is_read_back),
		cmocka_unit_test(every_cut_and_every_flipped_bit_is_refused),
		cmocka_unit_test(envelope_fields_are_checked),
		cmocka_unit_test(message_above_the_limit_is_neither_sent_nor_taken),
		cmocka_unit_test(message_without_memory_says_so_at_its_end),
		cmocka_unit_test(every_kind_has_a_name_and_no_other_number_has),
		cmocka_unit_test(every_cut_body_is_refused),
		cmocka_unit_test(every_altered_body_is_refused_or_reads_as_another),
		cmocka_unit_test(random_bodies_are_read_within_their_bounds),
		cmocka_unit_test(partitions_beyond_the_last_are_refused),
		cmocka_unit_test(subscriptions_beyond_their_bounds_are_refused),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}

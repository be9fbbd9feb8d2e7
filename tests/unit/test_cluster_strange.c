/* What comes to a control plane and should not: another list of founders, another process under its name, messages that
 * are cut; and a store that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "proto/message.h"
#include "tests/sim/control.h"

#define LIMIT_MS 20000u

/* --- fixture ------------------------------------------------------------------------------------------------------ */

static int one_node(void **state)
{
	struct control *control = malloc(sizeof *control);

	assert_non_null(control);
	control_init(control, 1, 1, false);
	control_start(control, 0);
	assert_true(control_until(control, control_all_in_sync, LIMIT_MS) < LIMIT_MS);
	*state = control;
	return 0;
}

static int three_nodes(void **state)
{
	struct control *control = malloc(sizeof *control);

	assert_non_null(control);
	control_init(control, 1, 3, false);
	*state = control;
	return 0;
}

static int free_nodes(void **state)
{
	control_deinit(*state);
	free(*state);
	return 0;
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static struct cluster *cluster_of(const struct control *control)
{
	return control->nodes[0].cluster;
}

static void receive(struct control *control, enum message_kind kind, uint32_t node_id, struct span body)
{
	struct message message = {.kind = kind, .node_id = node_id, .node_epoch = 1, .body = body};

	cluster_receive(cluster_of(control), &message, control->now_ms);
}

/* The next thing said to the host that is of this kind; false: none of what waits. */
static bool says(struct control *control, enum cluster_output_kind kind, struct cluster_output *output)
{
	while (cluster_next(cluster_of(control), output)) {
		if (output->kind == kind)
			return true;
		cluster_output_deinit(output);
	}
	return false;
}

static void hear_everything(struct control *control)
{
	struct cluster_output output;

	while (cluster_next(cluster_of(control), &output))
		cluster_output_deinit(&output);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void founders_with_different_lists_form_nothing(void **state)
{
	struct control *control = *state;
	struct cluster_config *config = &control->nodes[1].config;

	strcpy(config->founders[2].name, "another");
	for (uint32_t i = 0; i < 3; i++)
		control_start(control, i);
	control_run(control, 8000);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(cluster_state(control->nodes[i].cluster), CLUSTER_FORMING);
		assert_int_equal(control->nodes[i].notices[NOTICE_FOUNDERS_DIFFER], 1); /* said once */
		assert_true(sim_raft_disk_empty(&control->nodes[i].disk));
	}
}

/* One would be restored into, the others not. */
static void founders_with_different_ends_form_nothing(void **state)
{
	struct control *control = *state;

	control->nodes[2].config.restore = true;
	for (uint32_t i = 0; i < 3; i++)
		control_start(control, i);
	control_run(control, 8000);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(cluster_state(control->nodes[i].cluster), CLUSTER_FORMING);
		assert_int_equal(control->nodes[i].notices[NOTICE_FOUNDERS_DIFFER], 1);
	}
}

static void a_cluster_that_awaits_a_back_up_says_so(void **state)
{
	struct control *control = *state;

	for (uint32_t i = 0; i < 3; i++) {
		control->nodes[i].config.restore = true;
		control_start(control, i);
	}
	control_run(control, 5000);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(cluster_map(control->nodes[i].cluster)->restoring);
		assert_int_equal(control->nodes[i].notices[NOTICE_RESTORING], 1);
		assert_int_equal(control->nodes[i].notices[NOTICE_RESTORED], 0);
	}
}

static void a_store_that_fails_ends_the_process(void **state)
{
	struct control *control = *state;

	control->nodes[0].io.fail_after = 1;
	control_create_stream(control, 0);
	control_run(control, 500);
	assert_null(cluster_of(control)); /* it has ended */
	assert_true(strlen(control->nodes[0].fatal) > 0);
}

static void who_asks_for_the_map_gets_it(void **state)
{
	struct control *control = *state;
	struct cluster_output output;
	struct buffer body = BUFFER_NULL;

	hear_everything(control);
	buffer_u64(&body, 0);
	receive(control, MESSAGE_MAP_REQUEST, 1, span_of(body.data, body.size - 1));
	assert_false(says(control, CLUSTER_SEND, &output));
	receive(control, MESSAGE_MAP_REQUEST, 1, buffer_span(&body));
	assert_true(says(control, CLUSTER_SEND, &output));
	assert_int_equal(output.message, MESSAGE_MAP);
	cluster_output_deinit(&output);
	buffer_deinit(&body);
}

/* Kinds whose bodies begin with numbers, of every length that is too short, and one that is nobody's. */
static void messages_that_are_cut_change_nothing(void **state)
{
	static const enum message_kind kinds[] = {MESSAGE_FORMATION, MESSAGE_RAFT,           MESSAGE_HEARTBEAT,
						  MESSAGE_PROPOSE,   MESSAGE_PROPOSE_RESULT, MESSAGE_MAP_REQUEST,
						  MESSAGE_MAP,       MESSAGE_HANDOVER_WISH,  MESSAGE_HEARTBEAT_ANSWER,
						  MESSAGE_STATUS};
	struct control *control = *state;
	struct cluster_output output;
	static const uint8_t bytes[16];
	uint64_t digest = cluster_digest(cluster_of(control));
	uint64_t version = cluster_map(cluster_of(control))->version;

	hear_everything(control);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		for (size_t size = 0; size < 8; size++)
			if (kinds[i] != MESSAGE_HANDOVER_WISH || size < 6)
				receive(control, kinds[i], 2, span_of(bytes, size));
	assert_false(says(control, CLUSTER_WISH, &output));
	assert_false(says(control, CLUSTER_FATAL, &output));
	assert_int_equal(cluster_state(cluster_of(control)), CLUSTER_SERVING);
	assert_int_equal(cluster_digest(cluster_of(control)), digest);
	assert_int_equal(cluster_map(cluster_of(control))->version, version);
}

/* A wish for a partition, or from a node, that there is not. */
static void a_wish_for_what_is_not_is_dropped(void **state)
{
	struct control *control = *state;
	struct cluster_output output;
	struct buffer body = BUFFER_NULL;

	hear_everything(control);
	buffer_u16(&body, PARTITION_COUNT);
	buffer_u32(&body, 1);
	receive(control, MESSAGE_HANDOVER_WISH, 1, buffer_span(&body));
	buffer_clear(&body);
	buffer_u16(&body, 3);
	buffer_u32(&body, 9);
	receive(control, MESSAGE_HANDOVER_WISH, 1, buffer_span(&body));
	assert_false(says(control, CLUSTER_WISH, &output));
	buffer_clear(&body);
	buffer_u16(&body, 3);
	buffer_u32(&body, 1);
	receive(control, MESSAGE_HANDOVER_WISH, 1, buffer_span(&body));
	assert_true(says(control, CLUSTER_WISH, &output));
	assert_int_equal(output.partition, 3);
	cluster_output_deinit(&output);
	buffer_deinit(&body);
}

#define CASE(name, setup) cmocka_unit_test_setup_teardown(name, setup, free_nodes)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(founders_with_different_lists_form_nothing, three_nodes),
		CASE(founders_with_different_ends_form_nothing, three_nodes),
		CASE(a_cluster_that_awaits_a_back_up_says_so, three_nodes),
		CASE(a_store_that_fails_ends_the_process, one_node),
		CASE(who_asks_for_the_map_gets_it, one_node),
		CASE(messages_that_are_cut_change_nothing, one_node),
		CASE(a_wish_for_what_is_not_is_dropped, one_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

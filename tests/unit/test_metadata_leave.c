/* The metadata machine when nodes leave for good, are drained, or are replaced under their names
 * (raft/metadata_member.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "raft/metadata.h"

#define NODES 4u
#define FACTOR 3u

struct fixture {
	struct metadata metadata;
	uint64_t index;
	struct command_result result;
};

static const char *const names[] = {"a", "b", "c", "d", "e"};

/* --- fixture ------------------------------------------------------------------------------------------------------ */

/* Applies and empties the buffer; gives the refusal. */
static enum refusal apply(struct fixture *f, struct buffer *command)
{
	struct entry entry = {.count = 1, .incarnation = 1, .number = f->index, .unix_ms = 1000 * f->index};
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	uint32_t got = 0;

	assert_int_equal(command_check(buffer_span(command)), 0);
	entry_header_encode(&entry, head);
	buffer_bytes(&bytes, head, sizeof(head));
	buffer_bytes(&bytes, command->data, command->size);
	assert_int_equal(metadata_apply(&f->metadata, ++f->index, buffer_span(&bytes), &f->result, 1, &got), 0);
	assert_int_equal(got, 1);
	buffer_deinit(&bytes);
	buffer_deinit(command);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		assert_true(row_is_sound(&f->metadata, p));
	return (enum refusal)f->result.refusal;
}

static struct map_node *node(struct fixture *f, uint32_t id)
{
	return &f->metadata.map.nodes[id - 1];
}

static struct map_partition *row(struct fixture *f, uint16_t partition)
{
	return &f->metadata.map.partitions[partition];
}

static enum refusal join(struct fixture *f, const char *name, uint64_t raft_id)
{
	struct command_join command = {span_of_text(name), span_of_text("h:1"), raft_id, false};
	struct buffer bytes = BUFFER_NULL;

	command_join_encode(&command, &bytes);
	assert_false(command_from_node(buffer_span(&bytes)));
	return apply(f, &bytes);
}

static enum refusal registers(struct fixture *f, uint32_t id, uint64_t raft_id, uint64_t shown_epoch)
{
	struct command_register reg = {.name = span_of_text(names[id - 1]),
				       .raft_id = raft_id,
				       .incarnation = 1000 + f->index,
				       .known_epoch = node(f, id)->epoch,
				       .shown_epoch = shown_epoch,
				       .shard_count = 1,
				       .host = span_of_text("h"),
				       .control_address = span_of_text("h:1")};
	struct buffer bytes = BUFFER_NULL;

	command_register_encode(&reg, &bytes);
	return apply(f, &bytes);
}

static enum refusal for_node(struct fixture *f, enum command_kind kind, uint32_t id)
{
	struct command_node item = {.node_id = id, .node_epoch = node(f, id)->epoch};
	struct buffer bytes = BUFFER_NULL;

	command_nodes_encode(kind, &item, 1, &bytes);
	return apply(f, &bytes);
}

static enum refusal fence(struct fixture *f, uint32_t id)
{
	return for_node(f, COMMAND_NODE_FENCE, id);
}

static enum refusal decommission(struct fixture *f, const char *name, bool stays)
{
	struct command_decommission command = {.name = span_of_text(name), .stays = stays};
	struct buffer bytes = BUFFER_NULL;

	command_decommission_encode(&command, &bytes);
	return apply(f, &bytes);
}

static enum refusal decommission_unregistered(struct fixture *f, const char *name, bool stays)
{
	struct command_decommission command = {.name = span_of_text(name), .stays = stays, .unregistered = true};
	struct buffer bytes = BUFFER_NULL;

	command_decommission_encode(&command, &bytes);
	assert_true(command_from_client(buffer_span(&bytes)));
	return apply(f, &bytes);
}

static enum refusal gone(struct fixture *f, uint32_t id, uint64_t raft_id)
{
	struct command_gone command = {.node_id = id, .raft_id = raft_id};
	struct buffer bytes = BUFFER_NULL;

	command_gone_encode(&command, &bytes);
	assert_false(command_from_node(buffer_span(&bytes)));
	return apply(f, &bytes);
}

static enum refusal drain(struct fixture *f, const char *name, bool on)
{
	struct command_drain command = {.name = span_of_text(name), .on = on};
	struct buffer bytes = BUFFER_NULL;

	command_drain_encode(&command, &bytes);
	assert_true(command_from_client(buffer_span(&bytes)));
	return apply(f, &bytes);
}

static enum refusal place(struct fixture *f, struct command_place item)
{
	struct buffer bytes = BUFFER_NULL;

	item.expected_version = row(f, item.partition)->version;
	command_place_encode(&item, 1, &bytes);
	return apply(f, &bytes);
}

static enum refusal isr(struct fixture *f, uint16_t partition, node_set wanted)
{
	struct command_isr item = {.partition = partition,
				   .expected_version = row(f, partition)->version,
				   .primary = row(f, partition)->primary};
	struct buffer bytes = BUFFER_NULL;

	item.primary_node_epoch = node(f, item.primary)->epoch;
	for (uint32_t id = 1; id <= NODES; id++)
		if (node_set_has(wanted, id))
			item.isr[item.count++] = (struct command_node){id, node(f, id)->epoch};
	command_isr_encode(&item, 1, &bytes);
	return apply(f, &bytes);
}

/* Four founders are live, and partition 0 lies on the first three. */
static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct command_form command = {.replication_factor = FACTOR, .minimum_isr = 2, .founder_count = NODES};
	struct buffer bytes = BUFFER_NULL;

	metadata_init(&f->metadata);
	for (uint32_t i = 0; i < NODES; i++)
		command.founders[i] = (struct command_founder){
			.name = span_of_text(names[i]), .control_address = span_of_text("h:1"), .raft_id = 100 + i};
	command_form_encode(&command, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
	for (uint32_t id = 1; id <= NODES; id++) {
		assert_int_equal(registers(f, id, 99 + id, 0), REFUSAL_NONE);
		assert_int_equal(for_node(f, COMMAND_NODE_UNFENCE, id), REFUSAL_NONE);
	}
	assert_int_equal(place(f, (struct command_place){.replica_count = 3, .replicas = {1, 2, 3}}), REFUSAL_NONE);
	assert_int_equal(row(f, 0)->primary, 1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	metadata_deinit(&f->metadata);
	free(f);
	return 0;
}

/* --- leaving for good --------------------------------------------------------------------------------------------- */

static void who_is_empty_and_draining_is_gone(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch = node(f, 4)->epoch;

	assert_int_equal(gone(f, 4, 103), REFUSAL_DRAINING); /* nobody asked for it */
	assert_int_equal(gone(f, 9, 103), REFUSAL_UNKNOWN_NODE);
	assert_int_equal(decommission(f, "d", false), REFUSAL_NONE);
	assert_int_equal(gone(f, 4, 104), REFUSAL_FOREIGN_DIRECTORY);
	assert_int_equal(gone(f, 4, 103), REFUSAL_NONE);
	assert_int_equal(node(f, 4)->state, NODE_GONE);
	assert_true(node(f, 4)->fenced);
	assert_int_equal(node(f, 4)->epoch, epoch);
	assert_int_equal(f->metadata.map.version, f->metadata.applied);
	assert_int_equal(metadata_member(&f->metadata, 103), 0);
	assert_int_equal(metadata_member(&f->metadata, 102), 3);
	assert_int_equal(gone(f, 4, 103), REFUSAL_UNKNOWN_NODE);
	assert_false(node_set_has(cluster_map_live(&f->metadata.map), 4));
}

static void who_holds_anything_stays(void **state)
{
	struct fixture *f = *state;
	struct command_place item = {
		.replica_count = 3, .replicas = {1, 2, 3}, .learners = node_bit(4), .leaving = node_bit(3)};

	assert_int_equal(decommission(f, "c", false), REFUSAL_NONE);
	assert_int_equal(gone(f, 3, 102), REFUSAL_NOT_EMPTY);
	assert_int_equal(place(f, item), REFUSAL_NONE);
	assert_int_equal(gone(f, 3, 102), REFUSAL_NOT_EMPTY); /* it is leaving */
	assert_int_equal(isr(f, 0, 15), REFUSAL_NONE);
	assert_int_equal(place(f, (struct command_place){.replica_count = 3, .replicas = {1, 2, 4}}), REFUSAL_NONE);
	assert_int_equal(gone(f, 3, 102), REFUSAL_NONE);
}

static void who_learns_stays(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		place(f, (struct command_place){.replica_count = 3, .replicas = {1, 2, 3}, .learners = node_bit(4)}),
		REFUSAL_NONE);
	assert_int_equal(decommission(f, "d", false), REFUSAL_NONE);
	assert_int_equal(gone(f, 4, 103), REFUSAL_NOT_EMPTY);
}

/* It holds nothing: how many others are live is not asked. */
static void who_never_registered_leaves(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(join(f, "e", 104), REFUSAL_NONE);
	assert_int_equal(fence(f, 1), REFUSAL_NONE);
	assert_int_equal(fence(f, 2), REFUSAL_NONE);
	assert_int_equal(decommission(f, "e", false), REFUSAL_FENCED); /* as before this was thought of */
	assert_int_equal(decommission(f, "e", true), REFUSAL_FENCED);
	assert_int_equal(node(f, 5)->state, NODE_JOINING);
	assert_int_equal(decommission_unregistered(f, "d", false),
			 REFUSAL_TOO_FEW); /* it has, since it was looked at */
	assert_int_equal(decommission_unregistered(f, "e", false), REFUSAL_NONE);
	assert_int_equal(node(f, 5)->state, NODE_DRAINING);
	assert_int_equal(decommission_unregistered(f, "e", false), REFUSAL_NONE); /* it is so */
	assert_int_equal(decommission_unregistered(f, "e", true), REFUSAL_NONE);
	assert_int_equal(decommission_unregistered(f, "e", true), REFUSAL_NONE);
	assert_int_equal(node(f, 5)->state, NODE_JOINING);
	assert_int_equal(decommission_unregistered(f, "e", false), REFUSAL_NONE);
	assert_int_equal(for_node(f, COMMAND_NODE_UNFENCE, 5), REFUSAL_NODE_EPOCH);
	assert_int_equal(gone(f, 5, 104), REFUSAL_NONE);
	assert_int_equal(decommission_unregistered(f, "e", true), REFUSAL_UNKNOWN_NODE);
	assert_int_equal(join(f, "e", 104), REFUSAL_DIRECTORY);
	assert_int_equal(join(f, "e", 204), REFUSAL_NONE);
	assert_int_equal(node(f, 5)->state, NODE_JOINING);
}

/* One that registers on its way out goes on its way. */
static void who_registers_while_it_leaves_leaves(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(join(f, "e", 104), REFUSAL_NONE);
	assert_int_equal(decommission(f, "d", false), REFUSAL_NONE);
	assert_int_equal(decommission_unregistered(f, "e", false), REFUSAL_DRAINING); /* one at a time */
	assert_int_equal(decommission(f, "d", true), REFUSAL_NONE);
	assert_int_equal(decommission_unregistered(f, "e", false), REFUSAL_NONE);
	assert_int_equal(registers(f, 5, 104, 0), REFUSAL_NONE);
	assert_int_equal(node(f, 5)->state, NODE_DRAINING);
	assert_int_equal(decommission_unregistered(f, "e", true), REFUSAL_NONE);
	assert_int_equal(node(f, 5)->state, NODE_ACTIVE);
	assert_int_equal(decommission(f, "e", false), REFUSAL_NONE);
	assert_int_equal(gone(f, 5, 104), REFUSAL_NONE);
}

static void who_is_gone_is_nobody(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(decommission(f, "d", false), REFUSAL_NONE);
	assert_int_equal(gone(f, 4, 103), REFUSAL_NONE);
	assert_int_equal(registers(f, 4, 103, node(f, 4)->epoch), REFUSAL_UNKNOWN_NODE);
	assert_int_equal(for_node(f, COMMAND_NODE_UNFENCE, 4), REFUSAL_FENCED);
	assert_false(node_set_has(cluster_map_live(&f->metadata.map), 4));
	assert_int_equal(decommission(f, "d", true), REFUSAL_UNKNOWN_NODE);
	assert_int_equal(drain(f, "d", true), REFUSAL_UNKNOWN_NODE);
	assert_int_equal(
		place(f, (struct command_place){.replica_count = 3, .replicas = {1, 2, 3}, .learners = node_bit(4)}),
		REFUSAL_NOT_REPLICA);
	assert_int_equal(join(f, "d", 103), REFUSAL_DIRECTORY);
	assert_int_equal(join(f, "d", 203), REFUSAL_NONE);
	assert_int_equal(node(f, 4)->state, NODE_JOINING);
	assert_int_equal(node(f, 4)->epoch, 0);
}

/* --- replacement -------------------------------------------------------------------------------------------------- */

static void a_lost_directory_is_replaced(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch = node(f, 3)->epoch;

	assert_int_equal(join(f, "c", 202), REFUSAL_HOLDER_LIVES);
	assert_int_equal(fence(f, 3), REFUSAL_NONE);
	assert_int_equal(join(f, "c", 101), REFUSAL_DIRECTORY);
	assert_int_equal(join(f, "c", 102), REFUSAL_JOINED);
	assert_int_equal(join(f, "c", 202), REFUSAL_NONE);
	assert_int_equal(node(f, 3)->id, 3);
	assert_int_equal(node(f, 3)->state, NODE_ACTIVE);
	assert_int_equal(node(f, 3)->epoch, epoch);
	assert_true(node(f, 3)->fenced);
	assert_int_equal(metadata_member(&f->metadata, 102), 0);
	assert_int_equal(metadata_member(&f->metadata, 202), 3);
	assert_true(node_set_has(row_replicas(row(f, 0)), 3));
	assert_int_equal(row(f, 0)->isr, 3);
}

static void the_former_process_is_nobody(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch = node(f, 3)->epoch;

	assert_int_equal(fence(f, 3), REFUSAL_NONE);
	assert_int_equal(join(f, "c", 202), REFUSAL_NONE);
	assert_int_equal(for_node(f, COMMAND_NODE_UNFENCE, 3), REFUSAL_FENCED); /* its heartbeats came back */
	assert_int_equal(registers(f, 3, 102, epoch), REFUSAL_FOREIGN_DIRECTORY);
	assert_int_equal(registers(f, 3, 202, 0), REFUSAL_NONE);
	assert_true(node(f, 3)->epoch > epoch);
	assert_int_equal(for_node(f, COMMAND_NODE_UNFENCE, 3), REFUSAL_NONE);
	assert_false(node_set_has(row(f, 0)->isr, 3)); /* it has to copy everything first */
	assert_int_equal(isr(f, 0, 7), REFUSAL_NONE);
}

static void the_last_complete_replica_is_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(isr(f, 0, 3), REFUSAL_NONE); /* 3 lags */
	assert_int_equal(fence(f, 1), REFUSAL_NONE);
	assert_int_equal(row(f, 0)->elr, node_bit(1));
	assert_int_equal(fence(f, 2), REFUSAL_NONE);
	assert_int_equal(row(f, 0)->elr, 3);
	assert_int_equal(join(f, "c", 202), REFUSAL_HOLDER_LIVES);
	assert_int_equal(join(f, "a", 200), REFUSAL_NONE); /* 2 has all */
	assert_int_equal(row(f, 0)->elr, node_bit(2));
	assert_int_equal(join(f, "b", 201), REFUSAL_HOLDER_NEEDED);
	assert_int_equal(f->result.error, ERROR_REFUSED);
	assert_int_equal(for_node(f, COMMAND_NODE_UNFENCE, 2), REFUSAL_NONE);
	assert_int_equal(row(f, 0)->primary, 2);
}

static void a_suspect_that_others_wait_for_is_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fence(f, 2), REFUSAL_NONE);
	assert_int_equal(fence(f, 3), REFUSAL_NONE);
	assert_int_equal(fence(f, 1), REFUSAL_NONE);
	row(f, 0)->elr = 0;
	row(f, 0)->suspects = 7;
	assert_int_equal(join(f, "a", 200), REFUSAL_HOLDER_NEEDED);
	row(f, 0)->elr = node_bit(2);
	row(f, 0)->suspects = 5;
	assert_int_equal(join(f, "a", 200), REFUSAL_NONE);
	assert_int_equal(row(f, 0)->suspects, node_bit(3));
}

static void a_draining_node_is_replaced_and_drains_on(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(decommission(f, "c", false), REFUSAL_NONE);
	assert_int_equal(fence(f, 3), REFUSAL_NONE);
	assert_int_equal(join(f, "c", 202), REFUSAL_NONE);
	assert_int_equal(node(f, 3)->state, NODE_DRAINING);
	assert_int_equal(registers(f, 3, 202, 0), REFUSAL_NONE);
	assert_int_equal(node(f, 3)->state, NODE_DRAINING);
	assert_int_equal(gone(f, 3, 202), REFUSAL_NOT_EMPTY);
}

/* --- draining ----------------------------------------------------------------------------------------------------- */

static void who_is_drained_is_elected_last(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(drain(f, "nobody", true), REFUSAL_UNKNOWN_NODE);
	assert_int_equal(drain(f, "b", true), REFUSAL_NONE);
	assert_int_equal(drain(f, "b", true), REFUSAL_NONE); /* it is so */
	assert_true(node(f, 2)->drained);
	assert_true(node_set_has(cluster_map_able(&f->metadata.map), 2));
	assert_false(node_set_has(cluster_map_electable(&f->metadata.map), 2));
	assert_int_equal(row(f, 0)->isr, 7);
	assert_int_equal(fence(f, 1), REFUSAL_NONE);
	assert_int_equal(row(f, 0)->primary, 3); /* the second is passed over */
	assert_int_equal(fence(f, 3), REFUSAL_NONE);
	assert_int_equal(row(f, 0)->primary, 2); /* rather it than nobody */
}

static void one_at_a_time_is_drained(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(drain(f, "a", true), REFUSAL_NONE);
	assert_int_equal(drain(f, "b", true), REFUSAL_DRAINING);
	assert_int_equal(decommission(f, "d", false), REFUSAL_DRAINING);
	assert_int_equal(decommission(f, "a", false), REFUSAL_NONE);
	assert_int_equal(drain(f, "a", false), REFUSAL_NONE);
	assert_int_equal(drain(f, "b", true), REFUSAL_DRAINING);
	assert_int_equal(drain(f, "b", false), REFUSAL_NONE); /* it is so */
	assert_int_equal(decommission(f, "a", true), REFUSAL_NONE);
	assert_int_equal(drain(f, "b", true), REFUSAL_NONE);
}

static void a_restart_ends_the_drain(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(drain(f, "b", true), REFUSAL_NONE);
	assert_int_equal(registers(f, 2, 101, node(f, 2)->epoch), REFUSAL_NONE);
	assert_false(node(f, 2)->drained);
	assert_int_equal(join(f, "e", 300), REFUSAL_NONE);
	assert_int_equal(drain(f, "e", true), REFUSAL_FENCED); /* no process of it has registered */
}

static void a_snapshot_keeps_it_all(void **state)
{
	struct fixture *f = *state;
	struct metadata other;
	struct buffer bytes = BUFFER_NULL;

	assert_int_equal(decommission(f, "d", false), REFUSAL_NONE);
	assert_int_equal(gone(f, 4, 103), REFUSAL_NONE);
	assert_int_equal(drain(f, "b", true), REFUSAL_NONE);
	metadata_init(&other);
	assert_int_equal(metadata_encode(&f->metadata, &bytes), 0);
	assert_int_equal(metadata_decode(&other, buffer_span(&bytes)), 0);
	assert_int_equal(metadata_digest(&other), metadata_digest(&f->metadata));
	assert_true(other.map.nodes[1].drained);
	assert_int_equal(other.map.nodes[3].state, NODE_GONE);
	buffer_deinit(&bytes);
	metadata_deinit(&other);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(who_is_empty_and_draining_is_gone),
		CASE(who_holds_anything_stays),
		CASE(who_learns_stays),
		CASE(who_never_registered_leaves),
		CASE(who_registers_while_it_leaves_leaves),
		CASE(who_is_gone_is_nobody),
		CASE(a_lost_directory_is_replaced),
		CASE(the_former_process_is_nobody),
		CASE(the_last_complete_replica_is_kept),
		CASE(a_suspect_that_others_wait_for_is_kept),
		CASE(a_draining_node_is_replaced_and_drains_on),
		CASE(who_is_drained_is_elected_last),
		CASE(one_at_a_time_is_drained),
		CASE(a_restart_ends_the_drain),
		CASE(a_snapshot_keeps_it_all),
	};

	return cmocka_run_group_tests_name("metadata_leave", tests, NULL, NULL);
}

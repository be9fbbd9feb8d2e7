/* The metadata machine: what each command does to a row, and each refusal. Rules are design.md section 6's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "raft/metadata.h"

#define P 5u /* the partition looked at */

/* --- fixture: three nodes, placed, live; replicas of P are 1, 2, 3, primary 1 ------------------------------------- */

struct fixture {
	struct metadata metadata;
	uint64_t index;
	struct command_result result; /* of the last command */
};

static int apply_bytes(struct fixture *f, struct span commands, uint16_t count)
{
	struct entry entry = {.count = count, .incarnation = 1, .number = f->index, .unix_ms = 1};
	struct command_result results[4];
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	uint32_t got = 0;
	int rv;

	entry_header_encode(&entry, head);
	buffer_bytes(&bytes, head, sizeof(head));
	buffer_bytes(&bytes, commands.data, commands.size);
	while (bytes.size % 8 != 0)
		buffer_u8(&bytes, 0); /* as Raft's files want it */
	rv = metadata_apply(&f->metadata, ++f->index, buffer_span(&bytes), results, 4, &got);
	if (rv == 0 && got > 0)
		f->result = results[got - 1];
	buffer_deinit(&bytes);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (f->metadata.map.partitions[p].replica_count > 0)
			assert_true(row_is_sound(&f->metadata, p));
	return rv;
}

/* Applies and empties the buffer; gives the refusal. */
static enum refusal apply(struct fixture *f, struct buffer *command)
{
	assert_int_equal(command_check(buffer_span(command)), 0);
	assert_int_equal(apply_bytes(f, buffer_span(command), 1), 0);
	buffer_deinit(command);
	assert_int_equal(f->result.refusal != REFUSAL_NONE, f->result.error != ERROR_NONE);
	return (enum refusal)f->result.refusal;
}

static struct map_partition *row(struct fixture *f)
{
	return &f->metadata.map.partitions[P];
}

static uint64_t node_epoch(struct fixture *f, uint32_t id)
{
	return f->metadata.map.nodes[id - 1].epoch;
}

static enum refusal form(struct fixture *f, uint32_t count, uint8_t factor, uint8_t minimum)
{
	struct command_form command = {.replication_factor = factor, .minimum_isr = minimum, .founder_count = count};
	static const char *const names[] = {"a", "b", "c", "d", "e"};
	struct buffer bytes = BUFFER_NULL;

	command.cluster_id[0] = 9;
	for (uint32_t i = 0; i < count; i++)
		command.founders[i] = (struct command_founder){
			.name = span_of_text(names[i]), .control_address = span_of_text("h:1"), .raft_id = 100 + i};
	command_form_encode(&command, &bytes);
	return apply(f, &bytes);
}

static struct command_register registration(struct fixture *f, uint32_t id, uint64_t incarnation)
{
	static const char *const names[] = {"a", "b", "c", "d", "e"};

	return (struct command_register){.name = span_of_text(names[id - 1]),
					 .raft_id = 100 + id - 1,
					 .incarnation = incarnation,
					 .shown_epoch = node_epoch(f, id),
					 .known_epoch = node_epoch(f, id),
					 .shard_count = 2,
					 .host = span_of_text("h"),
					 .control_address = span_of_text("h:1")};
}

static enum refusal register_with(struct fixture *f, const struct command_register *reg)
{
	struct buffer bytes = BUFFER_NULL;

	command_register_encode(reg, &bytes);
	return apply(f, &bytes);
}

static enum refusal node_command(struct fixture *f, enum command_kind kind, uint32_t id, uint64_t epoch)
{
	struct command_node node = {.node_id = id, .node_epoch = epoch};
	struct buffer bytes = BUFFER_NULL;

	command_nodes_encode(kind, &node, 1, &bytes);
	return apply(f, &bytes);
}

static enum refusal fence(struct fixture *f, uint32_t id)
{
	return node_command(f, COMMAND_NODE_FENCE, id, node_epoch(f, id));
}

static enum refusal unfence(struct fixture *f, uint32_t id)
{
	return node_command(f, COMMAND_NODE_UNFENCE, id, node_epoch(f, id));
}

static void restart(struct fixture *f, uint32_t id)
{
	struct command_register reg = registration(f, id, 1000 + f->index);

	assert_int_equal(register_with(f, &reg), REFUSAL_NONE);
	assert_int_equal(unfence(f, id), REFUSAL_NONE);
}

static enum refusal place(struct fixture *f, uint64_t version, uint8_t count, const uint32_t *replicas,
			  node_set learners)
{
	struct command_place item = {
		.partition = P, .expected_version = version, .replica_count = count, .learners = learners};
	struct buffer bytes = BUFFER_NULL;

	memcpy(item.replicas, replicas, count * sizeof(replicas[0]));
	command_place_encode(&item, 1, &bytes);
	return apply(f, &bytes);
}

static const uint32_t replicas_123[] = {1, 2, 3};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	metadata_init(&f->metadata);
	assert_int_equal(form(f, 5, 3, 2), REFUSAL_NONE);
	for (uint32_t id = 1; id <= 5; id++)
		restart(f, id);
	assert_int_equal(place(f, 0, 3, replicas_123, 0), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 1);
	assert_int_equal(row(f)->isr, 7);
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

/* A request of P's primary as it should be; cases spoil it. `set`: the wanted ISR. */
static struct command_isr isr_of(struct fixture *f, node_set set)
{
	struct command_isr item = {.partition = P,
				   .expected_version = row(f)->version,
				   .primary = row(f)->primary,
				   .primary_node_epoch = row(f)->primary == 0 ? 0 : node_epoch(f, row(f)->primary)};

	for (uint32_t id = 1; id <= 5; id++)
		if (node_set_has(set, id))
			item.isr[item.count++] = (struct command_node){.node_id = id, .node_epoch = node_epoch(f, id)};
	return item;
}

static enum refusal isr_change(struct fixture *f, const struct command_isr *item)
{
	struct buffer bytes = BUFFER_NULL;

	command_isr_encode(item, 1, &bytes);
	return apply(f, &bytes);
}

static enum refusal shrink(struct fixture *f, node_set set)
{
	struct command_isr item = isr_of(f, set);

	return isr_change(f, &item);
}

static enum refusal handover(struct fixture *f, uint32_t to)
{
	struct command_handover item = {.partition = P,
					.expected_version = row(f)->version,
					.primary = row(f)->primary,
					.primary_node_epoch = node_epoch(f, row(f)->primary),
					.to = to};
	struct buffer bytes = BUFFER_NULL;

	command_handover_encode(&item, 1, &bytes);
	return apply(f, &bytes);
}

static enum refusal report_at(struct fixture *f, uint64_t version, uint32_t id, uint32_t last_epoch, uint64_t end)
{
	struct command_ends ends = {.node_id = id, .node_epoch = node_epoch(f, id), .count = 1};
	struct buffer bytes = BUFFER_NULL;

	ends.ends[0] =
		(struct command_end){.partition = P, .expected_version = version, .last_epoch = last_epoch, .end = end};
	command_ends_encode(&ends, &bytes);
	return apply(f, &bytes);
}

static enum refusal report(struct fixture *f, uint32_t id, uint32_t last_epoch, uint64_t end)
{
	return report_at(f, row(f)->version, id, last_epoch, end);
}

/* --- rule 1: leaving and electing --------------------------------------------------------------------------------- */

static void fencing_elects_in_replica_order(void **state)
{
	struct fixture *f = *state;
	uint32_t epoch = row(f)->epoch;

	assert_int_equal(fence(f, 1), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 2);
	assert_int_equal(row(f)->isr, 6);
	assert_int_equal(row(f)->elr, 0);
	assert_int_equal(row(f)->epoch, epoch + 1);
}

static void who_leaves_below_the_minimum_stays_eligible(void **state)
{
	struct fixture *f = *state;

	fence(f, 1);
	fence(f, 2);
	assert_int_equal(row(f)->primary, 3);
	assert_int_equal(row(f)->isr, 4);
	assert_int_equal(row(f)->elr, 2);
	fence(f, 3);
	assert_int_equal(row(f)->primary, 0);
	assert_int_equal(row(f)->isr, 0);
	assert_int_equal(row(f)->elr, 6);
	assert_int_equal(unfence(f, 1), REFUSAL_NONE); /* it left while the ISR was at its minimum: not eligible */
	assert_int_equal(row(f)->primary, 0);
	assert_int_equal(unfence(f, 3), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 3);
	assert_int_equal(row(f)->isr, 4);
	assert_int_equal(row(f)->elr, 2);
}

static void an_isr_at_its_minimum_empties_the_elr(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(shrink(f, 1), REFUSAL_NONE);
	assert_int_equal(row(f)->elr, 6);
	assert_int_equal(shrink(f, 3), REFUSAL_NONE);
	assert_int_equal(row(f)->isr, 3);
	assert_int_equal(row(f)->elr, 0);
}

static void all_of_one_command_are_fenced_before_anyone_is_elected(void **state)
{
	struct fixture *f = *state;
	struct command_node nodes[2] = {{1, node_epoch(f, 1)}, {2, node_epoch(f, 2)}};
	struct buffer bytes = BUFFER_NULL;
	uint32_t epoch = row(f)->epoch;

	command_nodes_encode(COMMAND_NODE_FENCE, nodes, 2, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 3);
	assert_int_equal(row(f)->epoch, epoch + 1);
}

static void fencing_is_refused_for_another_life_or_twice(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(node_command(f, COMMAND_NODE_FENCE, 1, node_epoch(f, 1) + 1), REFUSAL_NODE_EPOCH);
	assert_int_equal(node_command(f, COMMAND_NODE_FENCE, 9, 1), REFUSAL_NODE_EPOCH);
	fence(f, 1);
	assert_int_equal(fence(f, 1), REFUSAL_FENCED);
	assert_int_equal(unfence(f, 2), REFUSAL_FENCED);
	assert_int_equal(node_command(f, COMMAND_NODE_UNFENCE, 1, 1), REFUSAL_NODE_EPOCH);
}

static void the_minimum_is_an_operators(void **state)
{
	struct fixture *f = *state;
	struct command_minimum minimum = {.minimum_isr = 1};
	struct buffer bytes = BUFFER_NULL;

	shrink(f, 1);
	assert_int_equal(row(f)->elr, 6);
	command_minimum_encode(&minimum, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
	assert_int_equal(row(f)->minimum_isr, 1);
	assert_int_equal(row(f)->elr, 0);
	minimum.minimum_isr = 4;
	command_minimum_encode(&minimum, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_LIMIT);
}

/* --- rule 5: changes of the ISR ----------------------------------------------------------------------------------- */

static void isr_changes_are_checked(void **state)
{
	struct fixture *f = *state;
	struct command_isr item;

	shrink(f, 3);
	item = isr_of(f, 7);
	item.expected_version--;
	assert_int_equal(isr_change(f, &item), REFUSAL_PARTITION_VERSION);
	item = isr_of(f, 7);
	item.primary = 2;
	assert_int_equal(isr_change(f, &item), REFUSAL_NOT_PRIMARY);
	item = isr_of(f, 7);
	item.primary_node_epoch--;
	assert_int_equal(isr_change(f, &item), REFUSAL_NODE_EPOCH);
	item = isr_of(f, 7);
	item.isr[2].node_epoch--; /* R6: not the life that acknowledged */
	assert_int_equal(isr_change(f, &item), REFUSAL_NODE_EPOCH);
	item = isr_of(f, 1 | 2 | 8);
	assert_int_equal(isr_change(f, &item), REFUSAL_NOT_REPLICA);
	item = isr_of(f, 2);
	assert_int_equal(isr_change(f, &item), REFUSAL_NOT_IN_SYNC);
	fence(f, 3);
	item = isr_of(f, 7);
	assert_int_equal(isr_change(f, &item), REFUSAL_FENCED);
	unfence(f, 3);
	item = isr_of(f, 7);
	assert_int_equal(isr_change(f, &item), REFUSAL_NONE);
	assert_int_equal(row(f)->isr, 7);
}

static void one_item_refused_others_done(void **state)
{
	struct fixture *f = *state;
	struct command_isr items[2] = {isr_of(f, 3), isr_of(f, 3)};
	struct buffer bytes = BUFFER_NULL;

	command_isr_encode(items, 2, &bytes); /* the second expects what the first changed */
	assert_int_equal(apply(f, &bytes), REFUSAL_PARTITION_VERSION);
	assert_int_equal(f->result.refused_items, 1);
	assert_int_equal(row(f)->isr, 3);
}

static void every_change_raises_the_version(void **state)
{
	struct fixture *f = *state;
	uint64_t version = row(f)->version;

	shrink(f, 7); /* nothing changes, but the proposal is over */
	assert_int_equal(row(f)->version, version + 1);
	assert_int_equal(row(f)->changed_at, f->index);
	assert_int_equal(f->metadata.map.version, f->index);
}

/* --- rule 6: registering ------------------------------------------------------------------------------------------ */

static void a_restart_takes_primaries_and_raises_epochs(void **state)
{
	struct fixture *f = *state;
	struct command_register reg = registration(f, 1, 77);
	uint32_t epoch = row(f)->epoch;
	uint64_t before = node_epoch(f, 1);

	assert_int_equal(register_with(f, &reg), REFUSAL_NONE);
	assert_true(node_epoch(f, 1) > before);
	assert_int_equal(row(f)->primary, 2);
	assert_int_equal(row(f)->isr, 6);
	assert_int_equal(row(f)->epoch, epoch + 1);
	assert_int_equal(register_with(f, &reg), REFUSAL_REGISTERED);
}

static void weight_is(struct fixture *f, uint32_t id, uint8_t shown, uint32_t kept)
{
	struct command_register reg = registration(f, id, 2000 + f->index);

	reg.weight = shown;
	assert_int_equal(register_with(f, &reg), REFUSAL_NONE);
	assert_int_equal(map_node_weight(&f->metadata.map.nodes[id - 1]), kept);
}

static void a_node_weighs_what_it_showed_last(void **state)
{
	struct fixture *f = *state;

	weight_is(f, 1, 0, 1);
	weight_is(f, 1, 1, 1);
	weight_is(f, 1, NODE_WEIGHT_MAX, NODE_WEIGHT_MAX);
	weight_is(f, 1, 2, 2);
	weight_is(f, 1, 1, 1);
}

static void the_only_one_is_elected_again_under_a_new_epoch(void **state)
{
	struct fixture *f = *state;
	uint32_t epoch;

	shrink(f, 1);
	fence(f, 2);
	fence(f, 3);
	epoch = row(f)->epoch;
	restart(f, 1);
	assert_int_equal(row(f)->primary, 1);
	assert_true(row(f)->epoch > epoch);
}

static void a_foreign_directory_is_refused(void **state)
{
	struct fixture *f = *state;
	struct command_register reg = registration(f, 1, 77);

	reg.raft_id = 5;
	assert_int_equal(register_with(f, &reg), REFUSAL_FOREIGN_DIRECTORY);
	reg = registration(f, 1, 77);
	reg.name = span_of_text("nobody");
	assert_int_equal(register_with(f, &reg), REFUSAL_UNKNOWN_NODE);
}

/* A process asks, dies, and its successor registers before the message arrives, or a copy of it. */
static void a_registration_that_comes_late_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct command_register late = registration(f, 1, 77);
	struct command_register next = registration(f, 1, 88);
	uint64_t epoch;
	uint64_t version;

	assert_int_equal(register_with(f, &next), REFUSAL_NONE);
	epoch = node_epoch(f, 1);
	version = row(f)->version;
	assert_int_equal(register_with(f, &late), REFUSAL_OVERTAKEN);
	assert_int_equal(node_epoch(f, 1), epoch);
	assert_int_equal(f->metadata.map.nodes[0].incarnation, 88);
	assert_int_equal(row(f)->version, version);
	late.known_epoch = epoch; /* once it knows */
	assert_int_equal(register_with(f, &late), REFUSAL_NONE);
}

static void an_old_copy_of_the_directory_has_lost_everything(void **state)
{
	struct fixture *f = *state;
	uint64_t old = node_epoch(f, 1);
	struct command_register reg;

	restart(f, 1);
	shrink(f, 6 | 1);
	reg = registration(f, 1, 88);
	reg.shown_epoch = old;
	shrink(f, node_bit(row(f)->primary) | 1);
	assert_int_equal(register_with(f, &reg), REFUSAL_NONE);
	assert_int_equal((row(f)->isr | row(f)->elr | row(f)->suspects) & 1, 0);
}

/* The node epoch was committed, but the process died before its directory had it: nothing is lost. */
static void an_epoch_that_never_served_may_be_missing(void **state)
{
	struct fixture *f = *state;
	struct command_register reg = registration(f, 1, 88);
	uint64_t served = node_epoch(f, 1);

	shrink(f, 1);
	assert_int_equal(register_with(f, &reg), REFUSAL_NONE); /* not unfenced: it never served */
	reg = registration(f, 1, 99);
	reg.shown_epoch = served;
	assert_int_equal(register_with(f, &reg), REFUSAL_NONE);
	assert_int_equal(row(f)->elr | row(f)->isr, 7);
}

static void interval_sync_without_proof_makes_a_suspect(void **state)
{
	struct fixture *f = *state;
	struct command_register reg;

	shrink(f, 1); /* ISR {1}, ELR {2, 3} */
	reg = registration(f, 2, 88);
	reg.shown_interval = true;
	assert_int_equal(register_with(f, &reg), REFUSAL_NONE);
	assert_int_equal(row(f)->elr, 4);
	assert_int_equal(row(f)->suspects, 2);
	reg = registration(f, 3, 89);
	reg.shown_interval = true;
	reg.proof_epoch = reg.shown_epoch;
	assert_int_equal(register_with(f, &reg), REFUSAL_NONE);
	assert_int_equal(row(f)->elr, 4);
}

static void a_committed_stop_is_proof_for_that_life_only(void **state)
{
	struct fixture *f = *state;
	struct command_register reg;

	shrink(f, 1);
	assert_int_equal(node_command(f, COMMAND_NODE_STOPPED, 2, node_epoch(f, 2)), REFUSAL_NONE);
	assert_int_equal(unfence(f, 2), REFUSAL_FENCED);
	reg = registration(f, 2, 88);
	reg.shown_interval = true;
	assert_int_equal(register_with(f, &reg), REFUSAL_NONE);
	assert_int_equal(row(f)->elr, 6);
	unfence(f, 2);
	reg = registration(f, 2, 89);
	reg.shown_interval = true;
	assert_int_equal(register_with(f, &reg), REFUSAL_NONE);
	assert_int_equal(row(f)->suspects, 2);
}

static void damage_makes_a_suspect_of_that_journals_partitions(void **state)
{
	struct fixture *f = *state;
	struct command_register reg;

	shrink(f, 1);
	reg = registration(f, 2, 88);
	reg.damaged = 1 << ((P + 1) % 2); /* the other shard's journal */
	assert_int_equal(register_with(f, &reg), REFUSAL_NONE);
	assert_int_equal(row(f)->suspects, 0);
	reg = registration(f, 3, 89);
	reg.damaged = 1 << (P % 2);
	assert_int_equal(register_with(f, &reg), REFUSAL_NONE);
	assert_int_equal(row(f)->suspects, 4);
}

/* --- rule 10 ------------------------------------------------------------------------------------------------------ */

static void suspect_restart(struct fixture *f, uint32_t id)
{
	struct command_register reg = registration(f, id, 500 + f->index);

	reg.shown_interval = true;
	assert_int_equal(register_with(f, &reg), REFUSAL_NONE);
}

static void all_suspects_are_waited_for(void **state)
{
	struct fixture *f = *state;

	shrink(f, 1);
	for (uint32_t id = 1; id <= 3; id++)
		suspect_restart(f, id);
	assert_int_equal(row(f)->suspects, 7);
	assert_int_equal(row(f)->primary, 0);
	unfence(f, 1);
	unfence(f, 2);
	report(f, 1, 2, 100);
	report(f, 2, 3, 90);
	assert_int_equal(row(f)->primary, 0); /* the third is not even here */
	unfence(f, 3);
	assert_int_equal(row(f)->primary, 0);
	report(f, 3, 3, 80);
	assert_int_equal(row(f)->primary, 2); /* the greatest (last epoch, end) */
	assert_int_equal(row(f)->isr, 2);
	assert_int_equal(row(f)->suspects, 5);
	assert_int_equal(f->metadata.suspect_elections, 1);
	assert_int_equal(f->metadata.partitions[P].possible_loss_at, f->index);
}

/* Who is elected below the minimum gives its log to the others: what these told before says too little of them
 * (docs/model, 10_RENEWED). */
static void an_election_voids_what_suspects_told(void **state)
{
	struct fixture *f = *state;
	uint64_t version;

	shrink(f, 1);
	for (uint32_t id = 1; id <= 3; id++)
		suspect_restart(f, id);
	for (uint32_t id = 1; id <= 3; id++)
		unfence(f, id);
	version = row(f)->version;
	report(f, 1, 2, 100);
	report(f, 2, 3, 90);
	report(f, 3, 3, 80);
	assert_int_equal(row(f)->primary, 2);
	suspect_restart(f, 2); /* and has lost its tail */
	unfence(f, 2);
	assert_int_equal(row(f)->suspects, 7);
	report(f, 2, 3, 85);
	assert_int_equal(row(f)->primary, 0);
	report_at(f, version, 1, 2, 100); /* on its way since before the election */
	report_at(f, version, 3, 3, 80);
	assert_int_equal(row(f)->primary, 0);
	report(f, 1, 4, 95);
	report(f, 3, 3, 80);
	assert_int_equal(row(f)->primary, 1);
}

static void a_report_of_a_former_life_does_not_count(void **state)
{
	struct fixture *f = *state;

	shrink(f, 1);
	for (uint32_t id = 1; id <= 3; id++)
		suspect_restart(f, id);
	for (uint32_t id = 1; id <= 3; id++)
		unfence(f, id);
	report(f, 1, 2, 100);
	report(f, 2, 2, 100);
	suspect_restart(f, 1);
	unfence(f, 1);
	report(f, 3, 2, 100);
	assert_int_equal(row(f)->primary, 0);
	report(f, 1, 2, 50);
	assert_int_equal(row(f)->primary, 2);
}

/* --- hand-over, placement ----------------------------------------------------------------------------------------- */

static void handover_goes_to_live_complete_replicas(void **state)
{
	struct fixture *f = *state;
	uint32_t epoch = row(f)->epoch;

	assert_int_equal(handover(f, 4), REFUSAL_NOT_IN_SYNC);
	assert_int_equal(handover(f, 1), REFUSAL_NOT_IN_SYNC);
	assert_int_equal(handover(f, 3), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 3);
	assert_int_equal(row(f)->epoch, epoch + 1);
	shrink(f, 4);
	assert_int_equal(row(f)->elr, 3);
	assert_int_equal(handover(f, 2), REFUSAL_NONE); /* of the ELR, and that makes the minimum */
	assert_int_equal(row(f)->isr, 6);
	assert_int_equal(row(f)->elr, 0);
	shrink(f, 2);
	fence(f, 3);
	assert_int_equal(handover(f, 3), REFUSAL_FENCED);
}

static void a_move_goes_through_learners_in_sync(void **state)
{
	struct fixture *f = *state;
	static const uint32_t replicas_234[] = {2, 3, 4};
	uint32_t epoch = row(f)->epoch;
	struct command_isr item;

	assert_int_equal(place(f, row(f)->version + 1, 3, replicas_123, 8), REFUSAL_PARTITION_VERSION);
	assert_int_equal(place(f, row(f)->version, 3, replicas_234, 0), REFUSAL_NOT_IN_SYNC);
	assert_int_equal(place(f, row(f)->version, 3, replicas_123, node_bit(9)), REFUSAL_NOT_REPLICA);
	assert_int_equal(place(f, row(f)->version, 3, replicas_123, 8), REFUSAL_NONE);
	assert_int_equal(row(f)->epoch, epoch + 1);
	assert_int_equal(row(f)->learners, 8);
	assert_int_equal(place(f, row(f)->version, 3, replicas_234, 0), REFUSAL_NOT_IN_SYNC);
	item = isr_of(f, 15);
	assert_int_equal(isr_change(f, &item), REFUSAL_NONE);
	assert_int_equal(place(f, row(f)->version, 3, replicas_234, 0), REFUSAL_NONE);
	assert_int_equal(row(f)->isr, 14);
	assert_int_equal(row(f)->primary, 2);
	assert_int_equal(row(f)->epoch, epoch + 2);
}

static void nobody_is_removed_below_the_minimum(void **state)
{
	struct fixture *f = *state;
	static const uint32_t replicas_12[] = {1, 2};

	shrink(f, 1);
	assert_int_equal(place(f, row(f)->version, 2, replicas_12, 0), REFUSAL_BELOW_MINIMUM);
}

/* --- definitions, entries, snapshots ------------------------------------------------------------------------------ */

static enum refusal stream(struct fixture *f, const char *name, const char *settings)
{
	struct command_stream command = {.name = span_of_text(name), .settings = span_of_text(settings)};
	struct buffer bytes = BUFFER_NULL;

	command_stream_encode(&command, &bytes);
	return apply(f, &bytes);
}

static enum refusal view(struct fixture *f, const char *name, uint32_t expected, const char *definition)
{
	struct command_view command = {
		.name = span_of_text(name), .expected_version = expected, .definition = span_of_text(definition)};
	struct buffer bytes = BUFFER_NULL;

	command_view_encode(&command, &bytes);
	return apply(f, &bytes);
}

static void streams_and_views(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(stream(f, "Customer", "x"), REFUSAL_NONE);
	assert_int_equal(stream(f, "Customer", "x"), REFUSAL_NONE);
	assert_int_equal(stream(f, "Customer", "y"), REFUSAL_EXISTS);
	assert_int_equal(f->metadata.map.stream_count, 1);
	assert_int_equal(view(f, "v", 1, "one"), REFUSAL_EXISTS);
	assert_int_equal(view(f, "v", 0, "one"), REFUSAL_NONE);
	assert_int_equal(view(f, "v", 0, "one"), REFUSAL_NONE);
	assert_int_equal(view(f, "v", 0, "two"), REFUSAL_EXISTS);
	assert_int_equal(view(f, "v", 1, "two"), REFUSAL_NONE);
	assert_int_equal(view(f, "v", UINT32_MAX, "three"), REFUSAL_NONE);
	assert_int_equal(f->metadata.map.views[0].version, 3);
}

static void an_unknown_command_ends_the_process(void **state)
{
	struct fixture *f = *state;
	struct buffer bytes = BUFFER_NULL;

	buffer_u16(&bytes, 999);
	buffer_u32(&bytes, 0);
	assert_int_equal(apply_bytes(f, buffer_span(&bytes), 1), ERROR_VERSION);
	assert_int_equal(command_check(buffer_span(&bytes)), ERROR_VERSION);
	buffer_deinit(&bytes);
}

static void forming_happens_once_and_first(void **state)
{
	struct fixture *f = *state;
	struct fixture empty = {0};

	metadata_init(&empty.metadata);
	assert_int_equal(stream(&empty, "Customer", "x"), REFUSAL_FORMED);
	assert_int_equal(form(f, 3, 3, 2), REFUSAL_FORMED);
	metadata_deinit(&empty.metadata);
}

static void a_snapshot_is_the_whole_machine(void **state)
{
	struct fixture *f = *state;
	struct metadata copy;
	struct buffer bytes = BUFFER_NULL;

	stream(f, "Customer", "x");
	view(f, "v", 0, "one");
	shrink(f, 1);
	suspect_restart(f, 2);
	unfence(f, 2);
	report(f, 2, 1, 5);
	metadata_init(&copy);
	assert_int_equal(metadata_encode(&f->metadata, &bytes), 0);
	assert_int_equal(metadata_decode(&copy, buffer_span(&bytes)), 0);
	assert_true(metadata_digest(&copy) != 0);
	assert_true(metadata_digest(&copy) == metadata_digest(&f->metadata));
	for (size_t at = 0; at < bytes.size; at += 97) {
		bytes.data[at] ^= 1;
		assert_int_not_equal(metadata_decode(&copy, buffer_span(&bytes)), 0);
		bytes.data[at] ^= 1;
	}
	for (size_t size = 0; size < bytes.size; size += 501)
		assert_int_not_equal(metadata_decode(&copy, span_of(bytes.data, size)), 0);
	assert_true(metadata_digest(&copy) == metadata_digest(&f->metadata)); /* a bad one changes nothing */
	metadata_deinit(&copy);
	buffer_deinit(&bytes);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(fencing_elects_in_replica_order),
		CASE(who_leaves_below_the_minimum_stays_eligible),
		CASE(an_isr_at_its_minimum_empties_the_elr),
		CASE(all_of_one_command_are_fenced_before_anyone_is_elected),
		CASE(fencing_is_refused_for_another_life_or_twice),
		CASE(the_minimum_is_an_operators),
		CASE(isr_changes_are_checked),
		CASE(one_item_refused_others_done),
		CASE(every_change_raises_the_version),
		CASE(a_restart_takes_primaries_and_raises_epochs),
		CASE(the_only_one_is_elected_again_under_a_new_epoch),
		CASE(a_foreign_directory_is_refused),
		CASE(a_node_weighs_what_it_showed_last),
		CASE(a_registration_that_comes_late_changes_nothing),
		CASE(an_old_copy_of_the_directory_has_lost_everything),
		CASE(an_epoch_that_never_served_may_be_missing),
		CASE(interval_sync_without_proof_makes_a_suspect),
		CASE(a_committed_stop_is_proof_for_that_life_only),
		CASE(damage_makes_a_suspect_of_that_journals_partitions),
		CASE(all_suspects_are_waited_for),
		CASE(an_election_voids_what_suspects_told),
		CASE(a_report_of_a_former_life_does_not_count),
		CASE(handover_goes_to_live_complete_replicas),
		CASE(a_move_goes_through_learners_in_sync),
		CASE(nobody_is_removed_below_the_minimum),
		CASE(streams_and_views),
		CASE(an_unknown_command_ends_the_process),
		CASE(forming_happens_once_and_first),
		CASE(a_snapshot_is_the_whole_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

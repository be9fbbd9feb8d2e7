/* The metadata machine's rarer rules: an unsound replica goes out (rule 9), an operator elects (rule 10). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "raft/metadata.h"

#define P 7u /* the partition looked at */
#define BEGAN_MS 10000000u
#define HOUR_MS 3600000

/* --- fixture: three live nodes; replicas of P are 1, 2, 3, primary 1, minimum 2 ----------------------------------- */

struct fixture {
	struct metadata metadata;
	uint64_t index;
	uint64_t unix_ms;
	bool former; /* the next entries are of the former format */
};

static enum refusal apply_entry(struct fixture *f, uint16_t commands, struct span command)
{
	struct entry entry = {.count = commands, .incarnation = 1, .number = f->index, .unix_ms = f->unix_ms};
	struct command_result result = {0};
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	uint32_t count = 0;

	entry_header_encode(&entry, head);
	if (f->former)
		head[0] = 1;
	buffer_bytes(&bytes, head, sizeof(head));
	if (command.size > 0)
		buffer_bytes(&bytes, command.data, command.size);
	assert_int_equal(metadata_apply(&f->metadata, ++f->index, buffer_span(&bytes), &result, 1, &count), 0);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		assert_true(f->metadata.map.partitions[p].replica_count == 0 || row_is_sound(&f->metadata, p));
	buffer_deinit(&bytes);
	return (enum refusal)result.refusal;
}

static enum refusal apply(struct fixture *f, struct buffer *command)
{
	enum refusal refusal;

	assert_int_equal(command_check(buffer_span(command)), 0);
	refusal = apply_entry(f, 1, buffer_span(command));
	buffer_deinit(command);
	return refusal;
}

static struct map_partition *row(struct fixture *f)
{
	return &f->metadata.map.partitions[P];
}

static uint64_t node_epoch(struct fixture *f, uint32_t id)
{
	return f->metadata.map.nodes[id - 1].epoch;
}

static enum refusal node_command(struct fixture *f, enum command_kind kind, uint32_t id)
{
	struct command_node node = {.node_id = id, .node_epoch = node_epoch(f, id)};
	struct buffer bytes = BUFFER_NULL;

	command_nodes_encode(kind, &node, 1, &bytes);
	return apply(f, &bytes);
}

static void start(struct fixture *f, uint32_t id)
{
	static const char *const names[] = {"a", "b", "c"};
	struct command_register reg = {.name = span_of_text(names[id - 1]),
				       .raft_id = 100 + id - 1,
				       .incarnation = 50 + f->index,
				       .shown_epoch = node_epoch(f, id),
				       .known_epoch = node_epoch(f, id),
				       .shard_count = 1,
				       .host = span_of_text("h"),
				       .control_address = span_of_text("h:1")};
	struct buffer bytes = BUFFER_NULL;

	command_register_encode(&reg, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
	assert_int_equal(node_command(f, COMMAND_NODE_UNFENCE, id), REFUSAL_NONE);
}

static void form(struct fixture *f)
{
	static const char *const names[] = {"a", "b", "c"};
	struct command_form form = {.replication_factor = 3, .minimum_isr = 2, .founder_count = 3};
	struct buffer bytes = BUFFER_NULL;

	for (uint32_t i = 0; i < 3; i++)
		form.founders[i] = (struct command_founder){
			.name = span_of_text(names[i]), .control_address = span_of_text("h:1"), .raft_id = 100 + i};
	command_form_encode(&form, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct command_place place = {.partition = P, .replica_count = 3, .replicas = {1, 2, 3}};
	struct buffer bytes = BUFFER_NULL;

	metadata_init(&f->metadata);
	f->unix_ms = BEGAN_MS;
	form(f);
	for (uint32_t id = 1; id <= 3; id++)
		start(f, id);
	command_place_encode(&place, 1, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
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

static void shrink(struct fixture *f, node_set wanted)
{
	struct command_isr item = {.partition = P,
				   .expected_version = row(f)->version,
				   .primary = row(f)->primary,
				   .primary_node_epoch = node_epoch(f, row(f)->primary)};
	struct buffer bytes = BUFFER_NULL;

	for (uint32_t id = 1; id <= 3; id++)
		if (node_set_has(wanted, id))
			item.isr[item.count++] = (struct command_node){id, node_epoch(f, id)};
	command_isr_encode(&item, 1, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
}

static enum refusal out_with(struct fixture *f, uint32_t id, uint64_t version, uint64_t epoch)
{
	struct command_out item = {.partition = P, .expected_version = version, .node_id = id, .node_epoch = epoch};
	struct buffer bytes = BUFFER_NULL;

	command_out_encode(&item, 1, &bytes);
	return apply(f, &bytes);
}

static enum refusal out(struct fixture *f, uint32_t id)
{
	return out_with(f, id, row(f)->version, node_epoch(f, id));
}

/* --- rule 9: an unsound replica goes ------------------------------------------------------------------------------ */

static void an_unsound_replica_leaves_and_the_epoch_rises(void **state)
{
	struct fixture *f = *state;
	uint32_t epoch = row(f)->epoch;

	assert_int_equal(out(f, 2), REFUSAL_NONE);
	assert_int_equal(row(f)->isr, 5);
	assert_int_equal(row(f)->elr | row(f)->suspects, 0);
	assert_int_equal(row(f)->primary, 1);
	assert_int_equal(row(f)->epoch, epoch + 1);
}

static void an_unsound_primary_is_replaced_in_the_same_entry(void **state)
{
	struct fixture *f = *state;
	uint32_t epoch = row(f)->epoch;

	assert_int_equal(out(f, 1), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 2);
	assert_int_equal(row(f)->isr, 6);
	assert_int_equal(row(f)->epoch, epoch + 1);
	assert_false(row(f)->planned);
}

static void it_is_not_complete_so_it_goes_to_no_elr(void **state)
{
	struct fixture *f = *state;

	shrink(f, 3);
	assert_int_equal(out(f, 1), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 2);
	assert_int_equal(row(f)->isr, 2);
	assert_int_equal(row(f)->elr | row(f)->suspects, 0);
}

static void an_eligible_one_leaves_the_elr(void **state)
{
	struct fixture *f = *state;

	shrink(f, 1);
	assert_int_equal(row(f)->elr, 6);
	assert_int_equal(out(f, 3), REFUSAL_NONE);
	assert_int_equal(row(f)->elr, 2);
	assert_int_equal(row(f)->primary, 1);
}

static void an_unsound_primary_gives_way_to_the_elr(void **state)
{
	struct fixture *f = *state;

	shrink(f, 1);
	assert_int_equal(out(f, 1), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 2);
	assert_int_equal(row(f)->isr, 2);
	assert_int_equal(row(f)->elr, 4);
}

/* Who is complete is dead: nobody else is elected; it is waited for. */
static void a_dead_complete_replica_is_waited_for(void **state)
{
	struct fixture *f = *state;

	shrink(f, 1);
	node_command(f, COMMAND_NODE_FENCE, 2);
	assert_int_equal(out(f, 3), REFUSAL_NONE);
	assert_int_equal(out(f, 1), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 0);
	assert_int_equal(row(f)->elr, 2);
	node_command(f, COMMAND_NODE_UNFENCE, 2);
	assert_int_equal(row(f)->primary, 2);
}

static void the_last_complete_replica_stays(void **state)
{
	struct fixture *f = *state;
	struct map_partition before;

	shrink(f, 1);
	assert_int_equal(out(f, 2), REFUSAL_NONE);
	assert_int_equal(out(f, 3), REFUSAL_NONE);
	before = *row(f);
	assert_int_equal(out(f, 1), REFUSAL_LAST_COMPLETE);
	assert_memory_equal(row(f), &before, sizeof before);
}

static void going_out_is_checked(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(out_with(f, 2, row(f)->version - 1, node_epoch(f, 2)), REFUSAL_PARTITION_VERSION);
	assert_int_equal(out_with(f, 2, row(f)->version, node_epoch(f, 2) - 1), REFUSAL_NODE_EPOCH);
	assert_int_equal(out_with(f, 9, row(f)->version, 1), REFUSAL_NODE_EPOCH);
	assert_int_equal(row(f)->isr, 7);
}

/* Outside ISR and ELR already: what it acknowledged before must not count for what it becomes (R7). */
static void one_that_is_out_already_gets_its_new_epoch(void **state)
{
	struct fixture *f = *state;
	uint32_t epoch = row(f)->epoch;

	shrink(f, 3);
	assert_int_equal(out(f, 3), REFUSAL_NONE);
	assert_int_equal(row(f)->epoch, epoch + 1);
	assert_int_equal(row(f)->isr, 3);
}

/* --- rule 10: an operator elects ---------------------------------------------------------------------------------- */

static enum refusal elect_with(struct fixture *f, uint32_t id, uint64_t version)
{
	struct command_elect elect = {
		.partition = P, .expected_version = version, .node_id = id, .reason = span_of_text("disks burnt")};
	struct buffer bytes = BUFFER_NULL;

	command_elect_encode(&elect, &bytes);
	assert_true(command_from_client(buffer_span(&bytes)));
	return apply(f, &bytes);
}

static enum refusal elect(struct fixture *f, uint32_t id)
{
	return elect_with(f, id, row(f)->version);
}

/* ISR {1, 2}, then both are dead; 3 lives and lacks what they acknowledged. */
static void lose_the_complete(struct fixture *f)
{
	shrink(f, 3);
	node_command(f, COMMAND_NODE_FENCE, 1);
	node_command(f, COMMAND_NODE_FENCE, 2);
	assert_int_equal(row(f)->primary, 0);
	assert_int_equal(row(f)->elr, 3);
}

static void an_operator_elects_when_the_complete_are_dead(void **state)
{
	struct fixture *f = *state;
	uint32_t epoch;

	lose_the_complete(f);
	epoch = row(f)->epoch;
	f->unix_ms += METADATA_HEADLESS_MS;
	assert_int_equal(elect(f, 3), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 3);
	assert_int_equal(row(f)->isr, 4);
	assert_int_equal(row(f)->elr | row(f)->suspects, 0);
	assert_int_equal(row(f)->history, 1);
	assert_int_equal(row(f)->epoch, epoch + 1);
	assert_true(f->metadata.partitions[P].possible_loss_at == f->index);
	assert_int_equal(f->metadata.forced_elections, 1);
	node_command(f, COMMAND_NODE_UNFENCE, 1); /* back, but complete no more */
	assert_int_equal(row(f)->primary, 3);
	assert_int_equal(row(f)->isr, 4);
}

static void not_before_the_last_primary_has_stopped(void **state)
{
	struct fixture *f = *state;

	lose_the_complete(f);
	f->unix_ms += METADATA_HEADLESS_MS - 1;
	assert_int_equal(elect(f, 3), REFUSAL_TOO_EARLY);
	f->unix_ms += 1;
	assert_int_equal(elect(f, 3), REFUSAL_NONE);
}

static void not_while_a_complete_one_lives(void **state)
{
	struct fixture *f = *state;

	f->unix_ms += 10 * METADATA_HEADLESS_MS;
	assert_int_equal(elect(f, 3), REFUSAL_HAS_PRIMARY);
	lose_the_complete(f);
	node_command(f, COMMAND_NODE_UNFENCE, 2);
	f->unix_ms += METADATA_HEADLESS_MS;
	assert_int_equal(elect(f, 3), REFUSAL_HAS_PRIMARY);
	assert_int_equal(row(f)->history, 0);
}

static void only_live_replicas_and_the_row_as_it_was_seen(void **state)
{
	struct fixture *f = *state;

	lose_the_complete(f);
	f->unix_ms += METADATA_HEADLESS_MS;
	assert_int_equal(elect(f, 9), REFUSAL_NOT_REPLICA);
	assert_int_equal(elect(f, 1), REFUSAL_FENCED);
	assert_int_equal(elect_with(f, 3, row(f)->version - 1), REFUSAL_PARTITION_VERSION);
}

/* Losing it again, the time begins anew. */
static void the_wait_begins_with_each_loss(void **state)
{
	struct fixture *f = *state;

	lose_the_complete(f);
	f->unix_ms += METADATA_HEADLESS_MS;
	node_command(f, COMMAND_NODE_UNFENCE, 1);
	assert_int_equal(row(f)->primary, 1);
	node_command(f, COMMAND_NODE_FENCE, 1);
	assert_int_equal(elect(f, 3), REFUSAL_TOO_EARLY);
}

static void a_snapshot_keeps_the_wait(void **state)
{
	struct fixture *f = *state;
	struct buffer bytes = BUFFER_NULL;

	lose_the_complete(f);
	assert_int_equal(metadata_encode(&f->metadata, &bytes), 0);
	assert_int_equal(metadata_decode(&f->metadata, buffer_span(&bytes)), 0);
	buffer_deinit(&bytes);
	assert_int_equal(elect(f, 3), REFUSAL_TOO_EARLY);
	f->unix_ms += METADATA_HEADLESS_MS;
	assert_int_equal(elect(f, 3), REFUSAL_NONE);
}

/* By a clock that is off by so much, in milliseconds; it begins with the barrier. */
static void another_controller(struct fixture *f, int64_t off_ms)
{
	f->unix_ms = (uint64_t)((int64_t)f->unix_ms + off_ms);
	assert_int_equal(apply_entry(f, 0, SPAN_NULL), REFUSAL_NONE);
}

static void waits_in_full(struct fixture *f)
{
	assert_int_equal(elect(f, 3), REFUSAL_TOO_EARLY);
	f->unix_ms += METADATA_HEADLESS_MS - 1;
	assert_int_equal(elect(f, 3), REFUSAL_TOO_EARLY);
	f->unix_ms += 1;
	assert_int_equal(elect(f, 3), REFUSAL_NONE);
}

static void a_controller_whose_clock_is_behind_waits_no_longer(void **state)
{
	struct fixture *f = *state;

	f->unix_ms += HOUR_MS;
	lose_the_complete(f);
	another_controller(f, -HOUR_MS);
	waits_in_full(f);
}

static void a_controller_whose_clock_is_ahead_waits_no_shorter(void **state)
{
	struct fixture *f = *state;

	lose_the_complete(f);
	another_controller(f, HOUR_MS);
	waits_in_full(f);
}

static void a_clock_that_was_set_back_waits_no_longer(void **state)
{
	struct fixture *f = *state;

	f->unix_ms += HOUR_MS;
	lose_the_complete(f);
	f->unix_ms -= HOUR_MS;
	waits_in_full(f);
}

static void entries_of_the_former_format_mean_what_they_meant(void **state)
{
	struct fixture *f = *state;

	f->former = true;
	lose_the_complete(f);
	another_controller(f, -HOUR_MS);
	f->unix_ms += METADATA_HEADLESS_MS;
	assert_int_equal(elect(f, 3), REFUSAL_TOO_EARLY);
	another_controller(f, 2 * HOUR_MS);
	assert_int_equal(elect(f, 3), REFUSAL_NONE);
}

/* --- clocks ------------------------------------------------------------------------------------------------------- */

static enum refusal mark_clock(struct fixture *f, uint32_t id, bool off)
{
	struct command_clock item = {.node = {.node_id = id, .node_epoch = node_epoch(f, id)}, .off = off};
	struct buffer bytes = BUFFER_NULL;

	command_clock_encode(&item, 1, &bytes);
	assert_false(command_from_node(buffer_span(&bytes)));
	return apply(f, &bytes);
}

static void a_clock_that_is_off_gives_the_primary_away(void **state)
{
	struct fixture *f = *state;
	uint32_t epoch = row(f)->epoch;

	assert_int_equal(mark_clock(f, 1, true), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 2);
	assert_int_equal(row(f)->isr, 7);
	assert_int_equal(row(f)->epoch, epoch + 1);
	assert_int_equal(mark_clock(f, 1, true), REFUSAL_CLOCK);
	node_command(f, COMMAND_NODE_FENCE, 2);
	assert_int_equal(row(f)->primary, 3); /* passed over */
}

static void what_nobody_else_can_take_stays(void **state)
{
	struct fixture *f = *state;

	shrink(f, 1);
	node_command(f, COMMAND_NODE_FENCE, 2);
	node_command(f, COMMAND_NODE_FENCE, 3);
	assert_int_equal(mark_clock(f, 1, true), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 1);
	node_command(f, COMMAND_NODE_UNFENCE, 2); /* it does not take it over: nothing was lost */
	assert_int_equal(row(f)->primary, 1);
}

static void it_takes_nothing_until_its_clock_is_right(void **state)
{
	struct fixture *f = *state;

	shrink(f, 3);
	assert_int_equal(mark_clock(f, 2, true), REFUSAL_NONE);
	node_command(f, COMMAND_NODE_FENCE, 1);
	assert_int_equal(row(f)->primary, 0);
	assert_int_equal(mark_clock(f, 2, false), REFUSAL_NONE);
	assert_int_equal(row(f)->primary, 2);
}

static void no_handover_goes_to_it(void **state)
{
	struct fixture *f = *state;
	struct command_handover item;
	struct buffer bytes = BUFFER_NULL;

	assert_int_equal(mark_clock(f, 2, true), REFUSAL_NONE);
	item = (struct command_handover){P, row(f)->version, 1, node_epoch(f, 1), 2};
	command_handover_encode(&item, 1, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_CLOCK);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_unsound_replica_leaves_and_the_epoch_rises),
		CASE(an_unsound_primary_is_replaced_in_the_same_entry),
		CASE(it_is_not_complete_so_it_goes_to_no_elr),
		CASE(an_eligible_one_leaves_the_elr),
		CASE(an_unsound_primary_gives_way_to_the_elr),
		CASE(a_dead_complete_replica_is_waited_for),
		CASE(the_last_complete_replica_stays),
		CASE(going_out_is_checked),
		CASE(one_that_is_out_already_gets_its_new_epoch),
		CASE(an_operator_elects_when_the_complete_are_dead),
		CASE(not_before_the_last_primary_has_stopped),
		CASE(not_while_a_complete_one_lives),
		CASE(only_live_replicas_and_the_row_as_it_was_seen),
		CASE(the_wait_begins_with_each_loss),
		CASE(a_snapshot_keeps_the_wait),
		CASE(a_controller_whose_clock_is_behind_waits_no_longer),
		CASE(a_controller_whose_clock_is_ahead_waits_no_shorter),
		CASE(a_clock_that_was_set_back_waits_no_longer),
		CASE(entries_of_the_former_format_mean_what_they_meant),
		CASE(a_clock_that_is_off_gives_the_primary_away),
		CASE(what_nobody_else_can_take_stays),
		CASE(it_takes_nothing_until_its_clock_is_right),
		CASE(no_handover_goes_to_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

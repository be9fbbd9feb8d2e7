/* The cluster's version in the metadata: when it rises, what is written before and after, who reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/admin.h"
#include "raft/metadata.h"

#define NODES 3u
#define NEXT_VERSION (CLUSTER_VERSION_HIGHEST + 1)
/* metadata_digest of the fixture, as the commit 83deb443 of tests/cluster/upgrade-base gives it: the same entries, the
 * same bytes, so that a node of either reads the other's snapshots. */
#define FIRST_DIGEST 0x97837ad88ad303d0ull

/* --- fixture: three nodes, registered and live, a stream and a view ----------------------------------------------- */

struct fixture {
	struct metadata metadata;
	uint64_t index;
	struct command_result result;
};

static int apply_bytes(struct fixture *f, struct span command)
{
	struct entry entry = {.count = 1, .incarnation = 1, .number = f->index, .unix_ms = 1};
	uint8_t head[ENTRY_HEADER_BYTES];
	struct buffer bytes = BUFFER_NULL;
	uint32_t got = 0;
	int rv;

	entry_header_encode(&entry, head);
	buffer_bytes(&bytes, head, sizeof(head));
	buffer_bytes(&bytes, command.data, command.size);
	rv = metadata_apply(&f->metadata, ++f->index, buffer_span(&bytes), &f->result, 1, &got);
	buffer_deinit(&bytes);
	return rv;
}

static enum refusal apply(struct fixture *f, struct buffer *command)
{
	assert_int_equal(command_check(buffer_span(command)), 0);
	assert_int_equal(apply_bytes(f, buffer_span(command)), 0);
	buffer_deinit(command);
	return (enum refusal)f->result.refusal;
}

static struct command_register registration(struct fixture *f, uint32_t id)
{
	static const char *const names[NODES] = {"a", "b", "c"};
	uint64_t epoch = f->metadata.map.nodes[id - 1].epoch;

	return (struct command_register){.name = span_of_text(names[id - 1]),
					 .raft_id = 100 + id,
					 .incarnation = 1000 + f->index,
					 .shown_epoch = epoch,
					 .known_epoch = epoch,
					 .shard_count = 2,
					 .host = span_of_text("h"),
					 .control_address = span_of_text("h:1")};
}

static enum refusal register_as(struct fixture *f, uint32_t id, struct version_range versions)
{
	struct command_register reg = registration(f, id);
	struct buffer bytes = BUFFER_NULL;

	reg.versions = versions;
	command_register_encode(&reg, &bytes);
	return apply(f, &bytes);
}

static void form(struct fixture *f)
{
	struct command_form form = {.replication_factor = 3, .minimum_isr = 2, .founder_count = NODES};
	struct buffer bytes = BUFFER_NULL;

	form.cluster_id[0] = 9;
	for (uint32_t i = 0; i < NODES; i++)
		form.founders[i] = (struct command_founder){.name = registration(f, i + 1).name,
							    .control_address = span_of_text("h:1"),
							    .raft_id = 101 + i};
	command_form_encode(&form, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
}

static void define(struct fixture *f)
{
	struct command_stream stream = {.name = span_of_text("Order"), .settings = span_of_text("\x80")};
	struct command_view view = {.name = span_of_text("orders"), .definition = span_of_text("text")};
	struct buffer bytes = BUFFER_NULL;

	command_stream_encode(&stream, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
	command_view_encode(&view, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
}

static void place(struct fixture *f)
{
	struct command_place item = {.partition = 5, .replica_count = NODES, .replicas = {1, 2, 3}};
	struct buffer bytes = BUFFER_NULL;

	command_place_encode(&item, 1, &bytes);
	assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct buffer bytes = BUFFER_NULL;

	assert_non_null(f);
	metadata_init(&f->metadata);
	form(f);
	for (uint32_t id = 1; id <= NODES; id++) {
		struct command_node node;

		assert_int_equal(register_as(f, id, (struct version_range){0}), REFUSAL_NONE);
		node = (struct command_node){id, f->metadata.map.nodes[id - 1].epoch};
		command_nodes_encode(COMMAND_NODE_UNFENCE, &node, 1, &bytes);
		assert_int_equal(apply(f, &bytes), REFUSAL_NONE);
	}
	place(f);
	define(f);
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

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static struct command_version raise_of(struct fixture *f, uint16_t version)
{
	struct command_version raise = {.version = version, .count = NODES};

	for (uint32_t i = 0; i < NODES; i++)
		raise.members[i] = (struct command_node){i + 1, f->metadata.map.nodes[i].epoch};
	return raise;
}

static enum refusal raise_with(struct fixture *f, const struct command_version *raise)
{
	struct buffer bytes = BUFFER_NULL;

	command_version_encode(raise, &bytes);
	return apply(f, &bytes);
}

static enum refusal raise_to(struct fixture *f, uint16_t version)
{
	struct command_version raise = raise_of(f, version);

	return raise_with(f, &raise);
}

static uint16_t version_of(const struct fixture *f)
{
	return f->metadata.map.cluster_version;
}

/* --- the first version -------------------------------------------------------------------------------------------- */

static void at_the_first_version_snapshots_are_the_bases_byte_for_byte(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(version_of(f), CLUSTER_VERSION_FIRST);
	assert_int_equal(metadata_digest(&f->metadata), FIRST_DIGEST);
}

static void a_map_for_who_knows_the_first_version_hides_the_others(void **state)
{
	struct fixture *f = *state;
	struct cluster_map map;
	struct buffer before = BUFFER_NULL, after = BUFFER_NULL;
	bool changed;

	assert_int_equal(cluster_map_encode(&f->metadata.map, 0, &before), 0);
	assert_int_equal(raise_to(f, CLUSTER_VERSION_TOLD), REFUSAL_NONE);
	f->metadata.map.versions[1] = (struct version_range){1, 2};
	assert_int_equal(cluster_map_encode_for(&f->metadata.map, CLUSTER_VERSION_FIRST, 0, &after), 0);
	assert_int_equal(after.size, before.size);
	assert_int_equal(after.data[0], before.data[0]);
	cluster_map_init(&map);
	assert_int_equal(cluster_map_merge(&map, buffer_span(&after), &changed), 0);
	assert_int_equal(map.cluster_version, CLUSTER_VERSION_FIRST);
	assert_int_equal(map.versions[1].highest, 0);
	buffer_clear(&after);
	assert_int_equal(cluster_map_encode(&f->metadata.map, 0, &after), 0);
	assert_int_equal(cluster_map_merge(&map, buffer_span(&after), &changed), 0);
	assert_int_equal(map.cluster_version, CLUSTER_VERSION_TOLD);
	assert_int_equal(map.versions[1].highest, 2);
	cluster_map_deinit(&map);
	buffer_deinit(&before);
	buffer_deinit(&after);
}

/* --- rising ------------------------------------------------------------------------------------------------------- */

static void it_rises_when_every_member_is_named_as_it_is_registered(void **state)
{
	struct fixture *f = *state;
	struct command_version raise = raise_of(f, CLUSTER_VERSION_TOLD);

	raise.count = 2;
	assert_int_equal(raise_with(f, &raise), REFUSAL_NODE_EPOCH);
	raise = raise_of(f, CLUSTER_VERSION_TOLD);
	assert_int_equal(register_as(f, 2, (struct version_range){0}), REFUSAL_NONE); /* by another process */
	assert_int_equal(raise_with(f, &raise), REFUSAL_NODE_EPOCH);
	assert_int_equal(version_of(f), CLUSTER_VERSION_FIRST);
	assert_int_equal(raise_to(f, CLUSTER_VERSION_TOLD), REFUSAL_NONE);
	assert_int_equal(version_of(f), CLUSTER_VERSION_TOLD);
	assert_int_equal(f->metadata.map.version, f->index);
}

static void one_that_is_named_twice_stands_for_nobody_else(void **state)
{
	struct fixture *f = *state;
	struct command_version raise = raise_of(f, CLUSTER_VERSION_TOLD);

	raise.members[2] = raise.members[1];
	assert_int_equal(raise_with(f, &raise), REFUSAL_NODE_EPOCH);
}

static void who_is_gone_is_not_asked(void **state)
{
	struct fixture *f = *state;
	struct command_version raise = raise_of(f, CLUSTER_VERSION_TOLD);

	f->metadata.map.nodes[2].state = NODE_GONE;
	assert_int_equal(raise_with(f, &raise), REFUSAL_NODE_EPOCH);
	raise.count = 2;
	assert_int_equal(raise_with(f, &raise), REFUSAL_NONE);
}

static void it_never_falls(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(raise_to(f, CLUSTER_VERSION_TOLD), REFUSAL_NONE);
	assert_int_equal(raise_to(f, CLUSTER_VERSION_TOLD), REFUSAL_NONE); /* asked again */
	assert_int_equal(raise_to(f, CLUSTER_VERSION_FIRST), REFUSAL_VERSION_FALLS);
	assert_int_equal(version_of(f), CLUSTER_VERSION_TOLD);
}

static void who_does_not_know_it_applies_nothing_behind_it(void **state)
{
	struct fixture *f = *state;
	struct command_version raise = raise_of(f, NEXT_VERSION);
	struct buffer bytes = BUFFER_NULL;

	command_version_encode(&raise, &bytes);
	assert_int_equal(apply_bytes(f, buffer_span(&bytes)), ERROR_VERSION);
	assert_int_equal(version_of(f), NEXT_VERSION); /* what it is too old for can be said */
	buffer_deinit(&bytes);
}

/* A refused entry binds nobody, so nobody has to end for it. */
static void what_is_refused_may_be_of_any_version(void **state)
{
	struct fixture *f = *state;
	struct command_version raise = raise_of(f, NEXT_VERSION);

	raise.count = 1;
	assert_int_equal(raise_with(f, &raise), REFUSAL_NODE_EPOCH);
}

static void an_unknown_command_is_never_passed_over(void **state)
{
	struct fixture *f = *state;
	const uint8_t command[] = {0xff, 0x00, 0, 0, 0, 0};

	assert_int_equal(apply_bytes(f, span_of(command, sizeof command)), ERROR_VERSION);
}

/* --- registering -------------------------------------------------------------------------------------------------- */

static void behind_it_a_process_registers_only_if_it_knows_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(raise_to(f, CLUSTER_VERSION_TOLD), REFUSAL_NONE);
	assert_int_equal(register_as(f, 1, (struct version_range){0}), REFUSAL_VERSION);
	assert_int_equal(register_as(f, 1, (struct version_range){1, 1}), REFUSAL_VERSION);
	assert_int_equal(register_as(f, 1, (struct version_range){3, 4}), REFUSAL_VERSION);
	assert_int_equal(register_as(f, 1, (struct version_range){1, 2}), REFUSAL_NONE);
}

static void a_registration_is_read_with_and_without_versions_and_weight(void **state)
{
	static const struct version_range ranges[] = {{0, 0}, {1, 2}, {2, 2}};
	struct fixture *f = *state;

	for (uint32_t weight = 1; weight <= 3; weight++) {
		for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
			struct command_register reg = registration(f, 1), read;
			struct buffer bytes = BUFFER_NULL;

			reg.weight = (uint8_t)weight;
			reg.versions = ranges[i];
			command_register_encode(&reg, &bytes);
			assert_int_equal(command_register_decode(span_of(bytes.data + 6, bytes.size - 6), &read), 0);
			assert_int_equal(read.weight, weight);
			assert_int_equal(read.versions.lowest, ranges[i].lowest);
			assert_int_equal(read.versions.highest, ranges[i].highest);
			buffer_deinit(&bytes);
		}
	}
}

/* --- snapshots ---------------------------------------------------------------------------------------------------- */

static void snapshots_bear_it_and_who_does_not_know_it_reads_none(void **state)
{
	struct fixture *f = *state;
	struct buffer bytes = BUFFER_NULL;
	struct metadata read;

	assert_int_equal(metadata_encode(&f->metadata, &bytes), 0);
	assert_int_equal(metadata_snapshot_version(buffer_span(&bytes)), CLUSTER_VERSION_FIRST);
	buffer_clear(&bytes);
	assert_int_equal(raise_to(f, CLUSTER_VERSION_TOLD), REFUSAL_NONE);
	assert_int_equal(metadata_encode(&f->metadata, &bytes), 0);
	metadata_init(&read);
	read.knows = (struct version_range){1, 1};
	assert_int_equal(metadata_decode(&read, buffer_span(&bytes)), ERROR_VERSION);
	assert_false(metadata_formed(&read));
	assert_int_equal(metadata_snapshot_version(buffer_span(&bytes)), CLUSTER_VERSION_TOLD);
	read.knows = f->metadata.knows;
	assert_int_equal(metadata_decode(&read, buffer_span(&bytes)), 0);
	assert_int_equal(read.map.cluster_version, CLUSTER_VERSION_TOLD);
	assert_int_equal(metadata_digest(&read), metadata_digest(&f->metadata));
	metadata_deinit(&read);
	bytes.data[4]++; /* a later format, of which only the beginning is known */
	assert_int_equal(metadata_decode(&f->metadata, buffer_span(&bytes)), ERROR_VERSION);
	assert_int_equal(metadata_snapshot_version(buffer_span(&bytes)), CLUSTER_VERSION_TOLD);
	buffer_deinit(&bytes);
}

/* --- clients ------------------------------------------------------------------------------------------------------ */

static void a_client_writes_the_same_command(void **state)
{
	struct fixture *f = *state;
	struct command_version raise = raise_of(f, CLUSTER_VERSION_TOLD);
	struct admin_version admin = {.version = CLUSTER_VERSION_TOLD};
	struct buffer here = BUFFER_NULL, there = BUFFER_NULL;

	for (uint32_t i = 0; i < NODES; i++)
		admin.node_epochs[i] = raise.members[i].node_epoch;
	command_version_encode(&raise, &here);
	assert_int_equal(admin_version_encode(&admin, &there), 0);
	assert_true(span_equal(buffer_span(&here), buffer_span(&there)));
	assert_true(command_from_client(buffer_span(&there)));
	buffer_deinit(&here);
	buffer_deinit(&there);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(at_the_first_version_snapshots_are_the_bases_byte_for_byte),
		CASE(a_map_for_who_knows_the_first_version_hides_the_others),
		CASE(it_rises_when_every_member_is_named_as_it_is_registered),
		CASE(one_that_is_named_twice_stands_for_nobody_else),
		CASE(who_is_gone_is_not_asked),
		CASE(it_never_falls),
		CASE(who_does_not_know_it_applies_nothing_behind_it),
		CASE(what_is_refused_may_be_of_any_version),
		CASE(an_unknown_command_is_never_passed_over),
		CASE(behind_it_a_process_registers_only_if_it_knows_it),
		CASE(a_registration_is_read_with_and_without_versions_and_weight),
		CASE(snapshots_bear_it_and_who_does_not_know_it_reads_none),
		CASE(a_client_writes_the_same_command),
#undef CASE
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

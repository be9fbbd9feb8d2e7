/* What applying committed events to a view costs on one core: no network, no disk, only state_apply_group. First an
 * entity view, then a summary (by key, and by partition key in a key space of its own), then a Lua view.
 *
 *   bench-view_bench [EVENTS [KEYS [KIND]]]  defaults 2,000,000, 100,000, all of: entity summary sum/own lua
 *
 * Events of eight members (about 200 bytes) for random keys over 271 partitions, in batches of 1, 10 and 100 events,
 * applied in groups of 64 batches: what one turn of a partition thread commits (and one by one, to show what looking
 * ahead is worth). The whole run is timed, in CPU time; every line
 * prints ns an event, millions of events a second and the digest check's outcome. The same events are applied again
 * and again (with new offsets) until EVENTS have been applied. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "partition/state.h"
#include "partition/view_lua.h"
#include "proto/identity.h"
#include "proto/msgpack.h"

#define GROUP_BATCHES 64u
#define STREAM 1u
#define VIEW 1u

struct load {
	const char *type;
	unsigned members; /* of the payload */
	uint32_t events_a_batch;
	uint32_t batches_a_group;
};

struct bench {
	uint64_t random;
	uint32_t keys;
	struct state *states[PARTITION_COUNT];
	struct view_plan_set plans;
	struct batch_builder builders[PARTITION_COUNT];
	uint64_t ends[PARTITION_COUNT];
	struct batch *batches;
	uint32_t batch_count;
	uint64_t event_count; /* in batches */
	const char *kind;
};

static uint64_t bench_random(struct bench *bench)
{
	uint64_t z = bench->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void bench_need(int rv, const char *what)
{
	if (rv == 0)
		return;
	fprintf(stderr, "view_bench: %s: error %d\n", what, rv);
	exit(1);
}

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- payloads ---------------------------------------------------------------------------------------------------- */

static void write_member(struct buffer *out, const char *name, const char *format, uint64_t value)
{
	char text[64];

	msgpack_write_str(out, span_of_text(name));
	snprintf(text, sizeof text, format, value);
	msgpack_write_str(out, span_of_text(text));
}

static void write_payload(struct bench *bench, struct buffer *out, unsigned members)
{
	uint64_t value = bench_random(bench);

	buffer_clear(out);
	msgpack_write_map(out, members);
	write_member(out, "status", "S%02" PRIu64, value % 100);
	msgpack_write_str(out, span_of_text("points"));
	msgpack_write_uint(out, value % 1000000);
	if (members == 2)
		return;
	write_member(out, "name", "Customer %016" PRIx64, value);
	write_member(out, "email", "c%016" PRIx64 "@example.org", value);
	write_member(out, "street", "%08" PRIu64 " Long Street", value % 100000000);
	write_member(out, "city", "City %04" PRIu64, value % 10000);
	msgpack_write_str(out, span_of_text("active"));
	msgpack_write_bool(out, value % 2 == 0);
	msgpack_write_str(out, span_of_text("balance"));
	msgpack_write_double(out, (double)(value % 100000) / 8);
}

/* --- the log ----------------------------------------------------------------------------------------------------- */

static void bench_close_batch(struct bench *bench, uint16_t partition, uint8_t flags)
{
	struct batch_builder *builder = &bench->builders[partition];
	uint8_t *bytes;

	if (builder->record_count == 0)
		return;
	bench_need(batch_builder_finish(builder, 0, 0, 0, flags, false), "batch");
	bytes = malloc(builder->bytes.size);
	bench->batches = realloc(bench->batches, (bench->batch_count + 1) * sizeof *bench->batches);
	if (bytes == NULL || bench->batches == NULL)
		bench_need(ERROR_MEMORY, "batch");
	memcpy(bytes, builder->bytes.data, builder->bytes.size);
	batch_stamp(bytes, 0, 0, 1, 1700000000000000u);
	bench_need(batch_decode_stamped(span_of(bytes, builder->bytes.size), &bench->batches[bench->batch_count]),
		   "batch");
	bench->event_count += builder->record_count;
	bench->batch_count++;
	batch_builder_reset(builder, partition);
}

static void bench_drop_batches(struct bench *bench)
{
	for (uint32_t i = 0; i < bench->batch_count; i++)
		free((void *)(uintptr_t)bench->batches[i].bytes.data);
	bench->batch_count = 0;
	bench->event_count = 0;
}

/* One event for each key in turn (`all`) or for as many random keys. */
static void bench_make_events(struct bench *bench, const struct load *load, bool all)
{
	struct buffer payload = BUFFER_NULL;

	bench_drop_batches(bench);
	for (uint32_t i = 0; i < bench->keys; i++) {
		char key[32];
		uint16_t partition;
		struct event event = {.stream_id = STREAM, .type = span_of_text(load->type), .id = span_of_text("id")};

		snprintf(key, sizeof key, "customer-%012" PRIu64, all ? i : bench_random(bench) % bench->keys);
		write_payload(bench, &payload, load->members);
		event.key = span_of_text(key);
		event.partition_key = event.key;
		event.payload = buffer_span(&payload);
		partition = partition_of(event.key);
		bench_need(batch_builder_add(&bench->builders[partition], &event), "event");
		if (bench->builders[partition].record_count == load->events_a_batch)
			bench_close_batch(bench, partition, 0);
	}
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		bench_close_batch(bench, p, 0);
	buffer_deinit(&payload);
}

/* --- applying ---------------------------------------------------------------------------------------------------- */

static void bench_apply(struct bench *bench, size_t group)
{
	struct state_step steps[GROUP_BATCHES];
	size_t count = 0;

	for (uint32_t i = 0; i < bench->batch_count; i++) {
		struct batch *batch = &bench->batches[i];

		batch->base_offset = bench->ends[batch->partition];
		bench->ends[batch->partition] = batch_end_offset(batch);
		steps[count++] = (struct state_step){.state = bench->states[batch->partition], .batch = batch};
		if (count == group || i + 1 == bench->batch_count) {
			bench_need(state_apply_group(steps, count), "apply");
			count = 0;
		}
	}
}

static void bench_define(struct bench *bench, const struct control *control)
{
	struct buffer record = BUFFER_NULL;

	bench_drop_batches(bench);
	bench_need(control_encode(control, &record), "control");
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		bench_need(batch_builder_add_raw(&bench->builders[p], buffer_span(&record)), "control");
		bench_close_batch(bench, p, BATCH_CONTROL);
	}
	buffer_deinit(&record);
	bench_apply(bench, GROUP_BATCHES);
}

/* A definition in YAML's place: pairs of names and values, a value that is no text being MessagePack already. */
struct kind {
	const char *label;
	const char *name;
	const char *type; /* of events */
	const char *parts[6][2];
	const char *apply;
	bool by_partition_key;
};

static const struct kind kinds[] = {
	{"summary",
	 "summary",
	 "Put",
	 {{"sum", "points"}, {"min", "points"}, {"max", "points"}, {"average", "balance"}},
	 NULL,
	 false},
	{"sum/own",
	 "summary",
	 "Put",
	 {{"sum", "points"}, {"min", "points"}, {"max", "points"}, {"average", "balance"}},
	 NULL,
	 true},
	{"lua",
	 "lua",
	 "Put",
	 {{NULL, NULL}},
	 "function apply(event, state)\n"
	 "  state = state or {n = 0, points = 0}\n"
	 "  state.n = state.n + 1\n"
	 "  state.points = state.points + event.data.points\n"
	 "  state.status = event.data.status\n"
	 "  return state\n"
	 "end",
	 false},
};

static void write_text(struct buffer *out, const char *text)
{
	msgpack_write_str(out, span_of_text(text));
}

static void write_summary_rules(const struct kind *kind, struct buffer *out)
{
	uint32_t count = 0;

	while (kind->parts[count][0] != NULL)
		count++;
	write_text(out, "on");
	msgpack_write_map(out, 1);
	write_text(out, kind->type);
	msgpack_write_map(out, count + 1);
	write_text(out, "count");
	write_text(out, "events");
	for (uint32_t i = 0; i < count; i++) {
		write_text(out, kind->parts[i][0]);
		msgpack_write_map(out, 1);
		write_text(out, kind->parts[i][0]);
		write_text(out, kind->parts[i][1]);
	}
}

static void write_entity_rules(struct buffer *out)
{
	static const char *const rules[][2] = {{"Put", "put"}, {"Merge", "merge"}};

	write_text(out, "on");
	msgpack_write_map(out, 2);
	for (size_t i = 0; i < 2; i++) {
		write_text(out, rules[i][0]);
		msgpack_write_map(out, 1);
		write_text(out, rules[i][1]);
		write_text(out, "all");
	}
}

/* kind: NULL for the entity view. */
static void bench_define_view(struct bench *bench, const struct kind *kind)
{
	struct buffer definition = BUFFER_NULL;

	msgpack_write_map(&definition, kind != NULL && kind->by_partition_key ? 5 : 4);
	write_text(&definition, "view");
	write_text(&definition, "customers");
	write_text(&definition, "stream");
	write_text(&definition, "Customer");
	write_text(&definition, "kind");
	write_text(&definition, kind == NULL ? "entity" : kind->name);
	if (kind == NULL) {
		write_entity_rules(&definition);
	} else if (kind->apply == NULL) {
		write_summary_rules(kind, &definition);
	} else {
		write_text(&definition, "apply");
		write_text(&definition, kind->apply);
	}
	if (kind != NULL && kind->by_partition_key) {
		write_text(&definition, "key");
		write_text(&definition, "partitionkey");
	}
	bench_define(bench, &(struct control){.kind = CONTROL_VIEW_DEFINED,
					      .id = VIEW,
					      .version = 1,
					      .name = span_of_text("customers"),
					      .definition = buffer_span(&definition)});
	buffer_deinit(&definition);
}

static bool bench_digests_hold(const struct bench *bench)
{
	for (uint16_t p = 0; p < PARTITION_COUNT; p++)
		if (state_digest(bench->states[p]) != state_digest_recompute(bench->states[p]))
			return false;
	return true;
}

static void bench_run(struct bench *bench, const struct load *load, uint64_t events)
{
	double began;
	double took;
	uint64_t done = 0;

	bench_make_events(bench, load, false);
	bench_apply(bench, load->batches_a_group); /* warm */
	began = cpu_seconds();
	while (done < events) {
		bench_apply(bench, load->batches_a_group);
		done += bench->event_count;
	}
	took = cpu_seconds() - began;
	printf("%-7s %-6s %u of 8 members, %3u events a batch, %2u batches a group: %6.1f ns an event, %5.2f M "
	       "events/s, "
	       "digests %s\n",
	       bench->kind, load->type, load->members, load->events_a_batch, load->batches_a_group,
	       took * 1e9 / (double)done, (double)done / took / 1e6, bench_digests_hold(bench) ? "hold" : "DIFFER");
}

/* Fresh states with one view, an event for each key in it. */
static void bench_open(struct bench *bench, const struct kind *kind)
{
	bench->kind = kind == NULL ? "entity" : kind->label;
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		bench->states[p] = state_new(p);
		if (bench->states[p] == NULL)
			bench_need(ERROR_MEMORY, "state");
		state_share_plans(bench->states[p], &bench->plans);
		bench->ends[p] = 0;
		batch_builder_init(&bench->builders[p], p);
	}
	bench_define(bench,
		     &(struct control){.kind = CONTROL_STREAM_DEFINED, .id = STREAM, .name = span_of_text("Customer")});
	bench_define_view(bench, kind);
	bench_make_events(bench, &(struct load){"Put", 8, 10, GROUP_BATCHES}, true);
	bench_apply(bench, GROUP_BATCHES);
}

static void bench_close(struct bench *bench)
{
	bench_drop_batches(bench);
	for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
		bench->states[p] = state_free(bench->states[p]);
		batch_builder_deinit(&bench->builders[p]);
	}
}

static void bench_entity(struct bench *bench, uint64_t events)
{
	static const unsigned members[] = {8, 2};
	static const uint32_t batch_sizes[] = {1, 10, 100};

	bench_open(bench, NULL);
	bench_run(bench, &(struct load){"Put", 8, 1, 1}, events);
	for (size_t b = 0; b < 3; b++) {
		bench_run(bench, &(struct load){"Put", 8, batch_sizes[b], GROUP_BATCHES}, events);
		for (size_t m = 0; m < 2; m++)
			bench_run(bench, &(struct load){"Merge", members[m], batch_sizes[b], GROUP_BATCHES}, events);
	}
	bench_close(bench);
}

int main(int argc, char **argv)
{
	struct bench *bench = calloc(1, sizeof *bench);
	uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
	const char *only = argc > 3 ? argv[3] : NULL;

	if (bench == NULL)
		return 1;
	bench->random = 1;
	bench->keys = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 100000;
	if (only == NULL || strcmp(only, "entity") == 0)
		bench_entity(bench, events);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (only != NULL && strcmp(only, kinds[i].label) != 0)
			continue;
		bench_open(bench, &kinds[i]);
		for (unsigned m = 0; m < 2; m++)
			bench_run(bench, &(struct load){"Put", m == 0 ? 8 : 2, 10, GROUP_BATCHES},
				  kinds[i].apply == NULL ? events : events / 10);
		bench_close(bench);
	}
	free(bench->batches);
	free(bench);
	return 0;
}

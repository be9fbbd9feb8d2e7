/* What a back-up's files and its manifest hold: read back, cut, flipped, out of place, and as another run finds it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/cli/backup.h"
#include "client/record.h"

#define PARTITION 17u

/* --- fixture ------------------------------------------------------------------------------------------------------ */

struct made { /* batches of one partition, in order */
	struct buffer bytes;
	uint64_t end;
	uint64_t sequence;
};

static const struct backup_place first_place = {.cluster_id = {9, 8, 7}, .partition = PARTITION, .history = 2};

static void add_batch(struct made *made, uint16_t partition, uint32_t epoch, uint16_t records, struct batch *batch)
{
	const struct event event = {.stream_id = 1,
				    .type = span_of_text("Created"),
				    .key = span_of_text("k"),
				    .id = span_of_text("1"),
				    .source = span_of_text("s"),
				    .payload = span_of("\x80", 1)};
	struct batch_builder builder;
	size_t at = made->bytes.size;

	batch_builder_init(&builder, partition);
	for (uint16_t i = 0; i < records; i++)
		assert_int_equal(batch_builder_add(&builder, &event), 0);
	assert_int_equal(batch_builder_finish(&builder, 77, 1, 1, 0, false), 0);
	made->sequence = sequence_next(made->sequence, 1700000000000u, partition, records);
	batch_stamp(builder.bytes.data, made->end, made->sequence, epoch, 1700000000000000u);
	made->sequence += records - 1u;
	made->end += records;
	buffer_bytes(&made->bytes, builder.bytes.data, builder.bytes.size);
	assert_int_equal(batch_decode_stamped(span_of(made->bytes.data + at, made->bytes.size - at), batch), 0);
	batch_builder_deinit(&builder);
}

/* A file of three batches, in two epochs. */
static void make_file(struct backup_writer *writer)
{
	struct made made = {.bytes = BUFFER_NULL};
	struct batch batch;

	backup_writer_begin(writer, &first_place);
	add_batch(&made, PARTITION, 1, 2, &batch);
	assert_int_equal(backup_writer_add(writer, &batch), 0);
	add_batch(&made, PARTITION, 1, 1, &batch);
	assert_int_equal(backup_writer_add(writer, &batch), 0);
	add_batch(&made, PARTITION, 3, 4, &batch);
	assert_int_equal(backup_writer_add(writer, &batch), 0);
	assert_int_equal(backup_writer_end(writer), 0);
	buffer_deinit(&made.bytes);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static void a_file_is_read_back(void **state)
{
	struct backup_writer writer = {.bytes = BUFFER_NULL};
	struct backup_facts facts;
	const char *why;

	(void)state;
	make_file(&writer);
	assert_int_equal(backup_file_check(buffer_span(&writer.bytes), &first_place, 0, &facts, &why), 0);
	assert_int_equal(facts.end, 7);
	assert_int_equal(facts.epoch, 3);
	assert_int_equal(facts.batches, 3);
	assert_int_equal(facts.records, 7);
	assert_int_equal(facts.events, 7);
	assert_memory_equal(&facts, &writer.facts, sizeof facts);
	assert_int_equal(backup_file_batches(buffer_span(&writer.bytes)).size,
			 writer.bytes.size - BACKUP_HEADER_BYTES - BACKUP_TRAILER_BYTES);
	buffer_deinit(&writer.bytes);
}

static void every_cut_and_every_flipped_bit_is_found(void **state)
{
	struct backup_writer writer = {.bytes = BUFFER_NULL};
	struct backup_facts facts;
	const char *why;

	(void)state;
	make_file(&writer);
	for (size_t size = 0; size < writer.bytes.size; size++)
		assert_int_not_equal(backup_file_check(span_of(writer.bytes.data, size), &first_place, 0, &facts, &why),
				     0);
	for (size_t bit = 0; bit < 8 * writer.bytes.size; bit++) {
		writer.bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(backup_file_check(buffer_span(&writer.bytes), &first_place, 0, &facts, &why), 0);
		writer.bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buffer_deinit(&writer.bytes);
}

static void a_file_of_another_place_is_refused(void **state)
{
	struct backup_place places[] = {first_place, first_place, first_place, first_place, first_place};
	struct backup_writer writer = {.bytes = BUFFER_NULL};
	struct backup_facts facts;
	const char *why;

	(void)state;
	make_file(&writer);
	places[0].cluster_id[15] = 1;
	places[1].partition++;
	places[2].history++;
	places[3].first++;
	places[4].epoch_before++;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		assert_int_equal(backup_file_check(buffer_span(&writer.bytes), &places[i], 0, &facts, &why),
				 ERROR_MALFORMED);
	assert_int_equal(backup_file_check(buffer_span(&writer.bytes), &first_place, UINT64_MAX, &facts, &why),
			 ERROR_MALFORMED); /* sequences do not rise */
	buffer_deinit(&writer.bytes);
}

static void only_what_follows_is_written(void **state)
{
	struct backup_writer writer = {.bytes = BUFFER_NULL};
	struct made made = {.bytes = BUFFER_NULL};
	struct made other = {.bytes = BUFFER_NULL};
	struct batch first, second;

	(void)state;
	backup_writer_begin(&writer, &first_place);
	add_batch(&made, PARTITION, 4, 2, &first);
	assert_int_equal(backup_writer_add(&writer, &first), 0);
	assert_int_equal(backup_writer_add(&writer, &first), ERROR_MALFORMED);
	add_batch(&made, PARTITION, 3, 2, &second); /* an epoch that falls */
	assert_int_equal(backup_writer_add(&writer, &second), ERROR_MALFORMED);
	other.end = 2;
	add_batch(&other, PARTITION + 1, 4, 2, &second);
	assert_int_equal(backup_writer_add(&writer, &second), ERROR_MALFORMED);
	buffer_deinit(&made.bytes);
	buffer_deinit(&other.bytes);
	buffer_deinit(&writer.bytes);
}

/* --- the manifest ------------------------------------------------------------------------------------------------- */

static void make_manifest(struct backup_manifest *manifest)
{
	struct backup_entry entries[] = {{0, 10, 1, 500, 100, 0xfedcba9876543210u}, {10, 12, 4, 700, 90, 1}};
	struct cluster_map map;
	struct map_stream stream = {.id = 1, .name = "Order \"1\"", .settings = {(const uint8_t *)"\x81\xa1k\x01", 4}};
	struct map_view view = {.id = 1,
				.version = 3,
				.active_version = 2,
				.dropped_version = 1,
				.name = "orders",
				.definition = {(const uint8_t *)"\x80\x00\xff", 3}};

	*manifest = BACKUP_MANIFEST_NULL;
	memcpy(manifest->cluster_id, "0123456789abcdef", 16);
	manifest->created_us = 1795000000123456u;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		manifest->partitions[p].history = p % 2;
		manifest->partitions[p].digested = p != 5;
		manifest->partitions[p].digest = p == 5 ? 0 : 0x123456789abcdefu + p;
		for (uint32_t i = 0; i < p % 3; i++)
			assert_int_equal(backup_add_entry(&manifest->partitions[p], &entries[i]), 0);
	}
	cluster_map_init(&map);
	stream.changed_at = view.changed_at = 1;
	assert_int_equal(cluster_map_add_stream(&map, &stream), 0);
	assert_int_equal(cluster_map_put_view(&map, &view), 0);
	view = (struct map_view){.id = 2, .changed_at = 2, .version = 2, .dropped_version = 2, .name = "gone"};
	assert_int_equal(cluster_map_put_view(&map, &view), 0);
	assert_int_equal(backup_take_catalogue(manifest, &map), 0);
	cluster_map_deinit(&map);
}

static void a_manifest_is_read_back(void **state)
{
	struct backup_manifest *manifests = calloc(2, sizeof *manifests);
	struct buffer text = BUFFER_NULL, again = BUFFER_NULL;
	const char *why;

	(void)state;
	make_manifest(&manifests[0]);
	manifests[1] = BACKUP_MANIFEST_NULL;
	assert_int_equal(backup_manifest_write(&manifests[0], &text), 0);
	assert_int_equal(backup_manifest_read(buffer_span(&text), &manifests[1], &why), 0);
	assert_int_equal(manifests[1].check, manifests[0].check);
	assert_int_equal(manifests[1].partitions[5].entry_count, 2);
	assert_int_equal(backup_end(&manifests[1].partitions[5]), 12);
	assert_int_equal(backup_epoch(&manifests[1].partitions[5]), 4);
	assert_false(manifests[1].partitions[5].digested);
	assert_int_equal(manifests[1].partitions[6].digest, 0x123456789abcdefu + 6);
	assert_int_equal(manifests[1].view_count, 2);
	assert_true(span_equal(manifests[1].views[0].definition, span_of("\x80\x00\xff", 3)));
	assert_true(span_equal(manifests[1].streams[0].name, span_of_text("Order \"1\"")));
	assert_int_equal(backup_manifest_write(&manifests[1], &again), 0);
	assert_true(span_equal(buffer_span(&text), buffer_span(&again)));
	backup_manifest_deinit(&manifests[0]);
	backup_manifest_deinit(&manifests[1]);
	buffer_deinit(&text);
	buffer_deinit(&again);
	free(manifests);
}

static void a_changed_manifest_is_refused(void **state)
{
	struct backup_manifest *manifest = calloc(2, sizeof *manifest);
	struct buffer text = BUFFER_NULL;
	const char *why;

	(void)state;
	make_manifest(&manifest[0]);
	manifest[1] = BACKUP_MANIFEST_NULL;
	assert_int_equal(backup_manifest_write(&manifest[0], &text), 0);
	for (size_t at = 0; at < text.size; at += at < 400 || at + 400 > text.size ? 1 : 97) {
		text.data[at] ^= 1;
		assert_int_not_equal(backup_manifest_read(buffer_span(&text), &manifest[1], &why), 0);
		backup_manifest_deinit(&manifest[1]);
		text.data[at] ^= 1;
		assert_int_not_equal(backup_manifest_read(span_of(text.data, at), &manifest[1], &why), 0);
		backup_manifest_deinit(&manifest[1]);
	}
	backup_manifest_deinit(&manifest[0]);
	buffer_deinit(&text);
	free(manifest);
}

/* It would take the place of one that can be read. */
static void a_manifest_that_cannot_be_read_back_is_not_written(void **state)
{
	enum { OF_EACH = BACKUP_FILES_MAX / PARTITION_COUNT, OF_ONE = 1 << 20 };
	struct backup_manifest *manifest = calloc(1, sizeof *manifest);
	struct backup_entry *entries = calloc(OF_ONE + 1, sizeof *entries);
	struct buffer text = BUFFER_NULL;

	(void)state;
	assert_true(manifest != NULL && entries != NULL);
	*manifest = BACKUP_MANIFEST_NULL;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		manifest->partitions[p].entries = entries;
		manifest->partitions[p].entry_count = OF_EACH;
	}
	assert_true(backup_has_room(manifest, BACKUP_FILES_MAX % PARTITION_COUNT));
	assert_false(backup_has_room(manifest, BACKUP_FILES_MAX % PARTITION_COUNT + 1));
	manifest->partitions[5].entry_count += BACKUP_FILES_MAX % PARTITION_COUNT + 1;
	assert_int_equal(backup_manifest_write(manifest, &text), ERROR_LIMIT);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		manifest->partitions[p].entry_count = 0;
	manifest->partitions[5].entry_count = OF_ONE + 1;
	assert_int_equal(backup_manifest_write(manifest, &text), ERROR_LIMIT);
	assert_int_equal(text.size, 0);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		manifest->partitions[p].entries = NULL;
	buffer_deinit(&text);
	free(manifest);
	free(entries);
}

/* The longest line of each file that BACKUP_FILES_MAX counts on. */
static void a_file_takes_no_more_of_the_manifest_than_is_reckoned(void **state)
{
	struct backup_manifest *manifest = calloc(1, sizeof *manifest);
	const struct backup_entry entry = {UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT64_MAX, BACKUP_FILE_MAX_BYTES,
					   UINT64_MAX};
	struct buffer text = BUFFER_NULL;
	size_t without;

	(void)state;
	*manifest = BACKUP_MANIFEST_NULL;
	assert_int_equal(backup_add_entry(&manifest->partitions[5], &entry), 0);
	assert_int_equal(backup_manifest_write(manifest, &text), 0);
	without = text.size;
	buffer_clear(&text);
	assert_int_equal(backup_add_entry(&manifest->partitions[5], &entry), 0);
	assert_int_equal(backup_manifest_write(manifest, &text), 0);
	assert_true((text.size - without) * BACKUP_FILES_MAX < BACKUP_MANIFEST_MAX_BYTES - 1024 * 1024);
	backup_manifest_deinit(manifest);
	buffer_deinit(&text);
	free(manifest);
}

/* What the check does not find: it was written so. */
static void a_manifest_that_contradicts_itself_is_refused(void **state)
{
	struct backup_manifest *manifest = calloc(2, sizeof *manifest);
	struct buffer text = BUFFER_NULL;
	const char *why;

	(void)state;
	for (uint32_t fault = 0; fault < 9; fault++) {
		struct backup_entry *entry;

		make_manifest(&manifest[0]);
		entry = &manifest[0].partitions[5].entries[1];
		switch (fault) {
		case 0: entry->first = 11; break;
		case 1: entry->end = 10; break;
		case 2: entry->epoch = 0; break;
		case 3: entry->last_sequence = 500; break;
		case 4: manifest[0].streams[0].id = 2; break;
		case 5: manifest[0].views[1].id = 1; break;
		case 6: manifest[0].views[0].active_version = 4; break;
		case 7: manifest[0].views[0].dropped_version = 3; break;
		default: entry->size_bytes = BACKUP_FILE_MAX_BYTES + 1; break;
		}
		manifest[1] = BACKUP_MANIFEST_NULL;
		buffer_clear(&text);
		assert_int_equal(backup_manifest_write(&manifest[0], &text), 0);
		assert_int_equal(backup_manifest_read(buffer_span(&text), &manifest[1], &why), ERROR_MALFORMED);
		backup_manifest_deinit(&manifest[0]);
		backup_manifest_deinit(&manifest[1]);
	}
	buffer_deinit(&text);
	free(manifest);
}

/* --- the directory ------------------------------------------------------------------------------------------------ */

static int make_folder(void **state)
{
	static char path[64];

	(void)snprintf(path, sizeof path, "/tmp/evgrid-backup-%d", (int)getpid());
	*state = path;
	return 0;
}

static int remove_folder(void **state)
{
	char command[100];

	(void)snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
	return system(command);
}

static void a_directory_keeps_files_by_partition_and_offset(void **state)
{
	struct backup_folder folder, second;
	struct buffer bytes = BUFFER_NULL;
	char name[BACKUP_NAME_BYTES];
	uint64_t *offsets;
	uint32_t count;

	assert_int_equal(backup_folder_open(&folder, *state, false), ERROR_NOT_FOUND);
	assert_int_equal(backup_folder_open(&folder, *state, true), 0);
	assert_int_equal(backup_folder_open(&second, *state, true), ERROR_BUSY); /* one writes at a time */
	assert_int_equal(backup_folder_open(&second, *state, false), 0);
	assert_int_equal(backup_folder_list(&folder, PARTITION, 0, &offsets, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(backup_folder_make_partition(&folder, PARTITION), 0);
	assert_int_equal(backup_folder_make_partition(&folder, PARTITION), 0);
	for (uint64_t offset = 300; offset > 0; offset -= 100) {
		backup_file_name(PARTITION, offset, name);
		assert_int_equal(backup_folder_write(&folder, name, span_of_text(name)), 0);
	}
	assert_int_equal(backup_folder_write(&folder, "partition/017/note", span_of_text("mine")), 0);
	assert_int_equal(backup_folder_list(&folder, PARTITION, 150, &offsets, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(offsets[0], 200);
	assert_int_equal(offsets[1], 300);
	free(offsets);
	backup_file_name(PARTITION, 200, name);
	assert_string_equal(name, "partition/017/00000000000000000200");
	assert_int_equal(backup_folder_read(&second, name, 1000, &bytes), 0);
	assert_true(span_equal(buffer_span(&bytes), span_of_text(name)));
	assert_int_equal(backup_folder_read(&second, name, 10, &bytes), ERROR_LIMIT);
	assert_int_equal(backup_folder_read(&second, "partition/018/1", 10, &bytes), ERROR_NOT_FOUND);
	buffer_deinit(&bytes);
	backup_folder_close(&second);
	backup_folder_close(&folder);
}

static void a_file_is_held_against_the_manifest(void **state)
{
	struct backup_manifest *manifest = calloc(1, sizeof *manifest);
	struct backup_writer writer = {.bytes = BUFFER_NULL};
	struct buffer bytes = BUFFER_NULL;
	struct backup_folder folder;
	struct backup_facts facts;
	struct backup_entry entry;
	char name[BACKUP_NAME_BYTES];
	const char *why;

	make_file(&writer);
	*manifest = BACKUP_MANIFEST_NULL;
	memcpy(manifest->cluster_id, first_place.cluster_id, 16);
	manifest->partitions[PARTITION].history = first_place.history;
	entry = (struct backup_entry){0,
				      writer.facts.end,
				      writer.facts.epoch,
				      writer.facts.last_sequence,
				      writer.facts.size_bytes,
				      writer.facts.checksum};
	assert_int_equal(backup_add_entry(&manifest->partitions[PARTITION], &entry), 0);
	assert_int_equal(backup_folder_open(&folder, *state, true), 0);
	assert_int_equal(backup_folder_entry(&folder, manifest, PARTITION, 0, &bytes, &facts, &why), ERROR_NOT_FOUND);
	assert_int_equal(backup_folder_glance(&folder, manifest, PARTITION, 0), ERROR_CHECKSUM);
	backup_file_name(PARTITION, 0, name);
	assert_int_equal(backup_folder_make_partition(&folder, PARTITION), 0);
	assert_int_equal(backup_folder_write(&folder, name, buffer_span(&writer.bytes)), 0);
	assert_int_equal(backup_folder_entry(&folder, manifest, PARTITION, 0, &bytes, &facts, &why), 0);
	assert_int_equal(backup_folder_glance(&folder, manifest, PARTITION, 0), 0);
	assert_int_equal(backup_folder_sync(&folder), 0);
	manifest->partitions[PARTITION].entries[0].checksum++;
	assert_int_equal(backup_folder_glance(&folder, manifest, PARTITION, 0), ERROR_CHECKSUM);
	assert_int_equal(backup_folder_entry(&folder, manifest, PARTITION, 0, &bytes, &facts, &why), ERROR_CHECKSUM);
	backup_folder_close(&folder);
	backup_manifest_deinit(manifest);
	buffer_deinit(&writer.bytes);
	buffer_deinit(&bytes);
	free(manifest);
}

/* --- whose replica ------------------------------------------------------------------------------------------------ */

static void a_replica_that_is_no_primary_is_read(void **state)
{
	struct cluster_map *map = calloc(1, sizeof *map);
	struct map_partition *row = &map->partitions[4];

	(void)state;
	cluster_map_init(map);
	for (uint32_t i = 0; i < 3; i++) {
		map->nodes[i].id = i + 1;
		map->nodes[i].epoch = 9;
		map->nodes[i].state = NODE_ACTIVE;
	}
	row->primary = 1;
	row->isr = 1 | 2 | 4;
	assert_int_not_equal(backup_source(map, 4, 0), 1);
	assert_int_equal(backup_source(map, 4, 2), 3);
	row->isr = 1 | 2;
	assert_int_equal(backup_source(map, 4, 0), 2);
	assert_int_equal(backup_source(map, 4, 2), 1); /* it fails: the primary, then */
	map->nodes[1].fenced = true;
	assert_int_equal(backup_source(map, 4, 0), 1);
	assert_int_equal(backup_source(map, 4, 1), 1);
	row->isr = 0;
	assert_int_equal(backup_source(map, 4, 0), 0);
	free(map);
}

/* --- the cut ------------------------------------------------------------------------------------------------------ */

static void a_replica_that_is_behind_is_not_the_cut(void **state)
{
	struct cluster_map *map = calloc(1, sizeof *map);
	struct partition_status status = {.partition = 4, .role = ROLE_REPLICA, .epoch = 7, .applied = 19, .digest = 5};
	struct backup_point point = {.acknowledged = 20};

	(void)state;
	cluster_map_init(map);
	map->partitions[4].epoch = 7;
	assert_false(backup_point_take(&point, map, 2, NULL, false, false));
	assert_false(backup_point_take(&point, map, 2, &status, false, false));
	status.applied = 20;
	status.epoch = 6;
	assert_false(backup_point_take(&point, map, 2, &status, false, false));
	status.epoch = 7;
	status.role = ROLE_NONE;
	assert_false(backup_point_take(&point, map, 2, &status, false, false));
	status.role = ROLE_REPLICA;
	assert_false(backup_point_take(&point, map, 2, &status, true, true)); /* a view is being filled: waited for */
	assert_true(backup_point_take(&point, map, 2, &status, true, false));
	assert_false(point.digested);
	assert_true(backup_point_take(&point, map, 2, &status, false, true));
	assert_true(point.digested && point.digest == 5 && point.end == 20 && point.node_id == 2);
	free(map);
}

/* After a skip or a retry: the digest there is one that no restored replica comes to rest with. */
static void a_key_on_its_way_back_is_waited_for(void **state)
{
	struct cluster_map *map = calloc(1, sizeof *map);
	struct partition_status status = {.partition = 4,
					  .role = ROLE_REPLICA,
					  .epoch = 7,
					  .applied = 20,
					  .digest = 5,
					  .unsettled = UNSETTLED_RETURNING};
	struct backup_point point = {.acknowledged = 20};

	(void)state;
	cluster_map_init(map);
	map->partitions[4].epoch = 7;
	assert_false(backup_point_take(&point, map, 2, &status, false, true));
	assert_true(backup_point_take(&point, map, 2, &status, false, false));
	assert_false(point.digested);
	status.unsettled = 0;
	assert_true(backup_point_take(&point, map, 2, &status, false, true));
	assert_true(point.digested && point.digest == 5);
	free(map);
}

/* Of a node that does not answer nobody knows whether it is filling a view. */
static void a_node_that_does_not_say_may_be_filling(void **state)
{
	node_set filling[PARTITION_COUNT] = {0};
	struct progress_item item = {.partition = 9, .status = PROGRESS_FILLING, .version = 1};
	struct progress_done done = {.count = 1};
	struct buffer items = BUFFER_NULL;

	(void)state;
	progress_item_encode(&item, &items);
	done.items = buffer_span(&items);
	backup_filling_note(filling, 1, ERROR_NONE, &done);
	assert_true(filling[9] == node_bit(1) && filling[8] == 0);
	backup_filling_note(filling, 3, ERROR_TIMEOUT, &(struct progress_done){0});
	assert_true(filling[9] == (node_bit(1) | node_bit(3)) && filling[8] == node_bit(3));
	buffer_deinit(&items);
}

/* A node that has seen less than the one that was asked then does not make it poorer. */
static void a_catalogue_never_falls_behind_the_former_one(void **state)
{
	struct restore_view view = {.id = 2, .version = 3};
	const struct backup_manifest former = {.stream_count = 2, .views = &view, .view_count = 1};
	struct cluster_map *map = calloc(1, sizeof *map);
	struct map_view views[1] = {{.id = 2, .version = 2}};
	struct backup_defined defined;

	(void)state;
	cluster_map_init(map);
	map->views = views;
	map->view_count = 1;
	map->stream_count = 2;
	backup_defined_begin(&defined, &former);
	assert_false(backup_defined_covered(&defined, map));
	views[0].version = 3;
	assert_true(backup_defined_covered(&defined, map));
	map->stream_count = 1;
	assert_false(backup_defined_covered(&defined, map));
	free(map);
}

/* --- what follows what is there ----------------------------------------------------------------------------------- */

static int follow(const struct backup_writer *writer, enum backup_seam *seam, const struct batch *batch, size_t *left)
{
	struct span batches = batch == NULL ? SPAN_NULL : batch->bytes;
	int rv = backup_follow(writer, seam, &batches);

	*left = batches.size;
	return rv;
}

/* Sync by interval: all replicas lose a tail, one is elected, the log grows beyond where it was: the history is the
 * same, epochs and sequences rise. */
static void nothing_is_added_to_a_log_that_lost_its_tail(void **state)
{
	struct backup_manifest *manifest = calloc(1, sizeof *manifest);
	struct backup_writer writer = {.bytes = BUFFER_NULL};
	struct made made = {.bytes = BUFFER_NULL}, other = {.bytes = BUFFER_NULL};
	struct batch stored, lost, next;
	enum backup_seam seam;
	size_t left;

	(void)state;
	*manifest = BACKUP_MANIFEST_NULL;
	backup_writer_next(&writer, manifest, PARTITION);
	assert_int_equal(backup_seam_begin(&writer), BACKUP_SEAM_SEEN); /* nothing is there */
	add_batch(&made, PARTITION, 5, 2, &stored);
	assert_int_equal(backup_writer_add(&writer, &stored), 0);
	add_batch(&made, PARTITION, 5, 1, &lost);
	assert_int_equal(backup_writer_add(&writer, &lost), 0);
	assert_int_equal(backup_add_entry(&manifest->partitions[PARTITION],
					  &(struct backup_entry){.first = 0,
								 .end = writer.facts.end,
								 .epoch = writer.facts.epoch,
								 .last_sequence = writer.facts.last_sequence}),
			 0);
	backup_writer_next(&writer, manifest, PARTITION);
	seam = backup_seam_begin(&writer);
	assert_int_equal(seam, BACKUP_SEAM_UNSEEN);
	assert_int_equal(backup_ask_from(&writer, seam), 2); /* the last record */
	assert_int_equal(follow(&writer, &seam, NULL, &left), 0);
	assert_int_equal(seam, BACKUP_SEAM_UNSEEN);
	assert_int_equal(follow(&writer, &seam, &lost, &left), 0);
	assert_true(seam == BACKUP_SEAM_SEEN && left == 0);
	assert_int_equal(backup_ask_from(&writer, seam), 3);

	other.end = 2;
	other.sequence = made.sequence;
	add_batch(&other, PARTITION, 6, 1, &next);
	seam = BACKUP_SEAM_UNSEEN;
	assert_int_equal(follow(&writer, &seam, &next, &left), ERROR_HISTORY); /* a later epoch there */
	other.end = 2;
	add_batch(&other, PARTITION, 5, 1, &next);
	assert_int_equal(follow(&writer, &seam, &next, &left), ERROR_HISTORY); /* another sequence: disks put back */
	other.end = 2;
	add_batch(&other, PARTITION, 5, 3, &next);
	assert_int_equal(follow(&writer, &seam, &next, &left), ERROR_HISTORY); /* a batch that reaches across */
	backup_manifest_deinit(manifest);
	buffer_deinit(&writer.bytes);
	buffer_deinit(&made.bytes);
	buffer_deinit(&other.bytes);
	free(manifest);
}

/* While a run reads, too: an epoch that begins between two answers has to have begun behind what is there. */
static void a_new_epoch_is_added_behind_what_was_seen_just_now(void **state)
{
	struct backup_writer writer = {.bytes = BUFFER_NULL};
	struct made made = {.bytes = BUFFER_NULL};
	const struct backup_point cut = {.epoch = 5};
	enum backup_seam seam = BACKUP_SEAM_SEEN;
	struct batch batch;
	size_t left;

	(void)state;
	backup_writer_begin(&writer, &first_place);
	add_batch(&made, PARTITION, 5, 2, &batch);
	assert_int_equal(follow(&writer, &seam, &batch, &left), 0);
	assert_true(seam == BACKUP_SEAM_EPOCH && left == batch.size);
	assert_int_equal(backup_writer_add(&writer, &batch), 0);
	assert_true(backup_cut_holds(&writer, &cut));
	add_batch(&made, PARTITION, 6, 1, &batch);
	assert_int_equal(follow(&writer, &seam, &batch, &left), 0);
	assert_true(seam == BACKUP_SEAM_UNSEEN && left == 0);
	seam = BACKUP_SEAM_SEEN;
	assert_int_equal(follow(&writer, &seam, &batch, &left), 0);
	assert_true(seam == BACKUP_SEAM_EPOCH && left == batch.size);
	assert_int_equal(backup_writer_add(&writer, &batch), 0);
	assert_false(backup_cut_holds(&writer, &cut)); /* the log that the cut was taken of had another record there */
	buffer_deinit(&writer.bytes);
	buffer_deinit(&made.bytes);
}

/* --- restored ----------------------------------------------------------------------------------------------------- */

/* All replicas of one partition leave after it was restored, before digests are compared. */
static void a_partition_with_nobody_in_sync_is_not_proved(void **state)
{
	struct backup_manifest *manifest = calloc(1, sizeof *manifest);
	struct partition_status status = {.partition = 4, .applied = 12, .digest = 5};
	const struct backup_entry entry = {.end = 12};
	struct backup_verdict verdict = {0};

	(void)state;
	*manifest = BACKUP_MANIFEST_NULL;
	assert_int_equal(backup_add_entry(&manifest->partitions[4], &entry), 0);
	manifest->partitions[4].digested = true;
	manifest->partitions[4].digest = 5;
	backup_judge_partition(&verdict, node_bit(2));
	backup_judge_replica(&verdict, manifest, 4, &status, false);
	assert_true(backup_is_restored(&verdict) && verdict.equal == 1);
	backup_judge_partition(&verdict, 0);
	assert_false(backup_is_restored(&verdict));
	verdict = (struct backup_verdict){0};
	backup_judge_replica(&verdict, manifest, 4, NULL, false);
	assert_true(!backup_is_restored(&verdict) && verdict.behind == 1);
	verdict = (struct backup_verdict){0};
	status.digest = 6;
	backup_judge_replica(&verdict, manifest, 4, &status, true);
	assert_true(!backup_is_restored(&verdict) && verdict.filling == 1 && verdict.first_different == 4);
	backup_manifest_deinit(manifest);
	free(manifest);
}

/* --- cursors of a cluster that was backed up ---------------------------------------------------------------------- */

static int judge_cursor(const struct cluster_map *map, const uint8_t cluster_id[16], uint64_t next)
{
	struct cursor cursor = {.cluster_id = {0}};
	struct buffer text = BUFFER_NULL;
	struct cursor read;
	int rv;

	memcpy(cursor.cluster_id, cluster_id, 16);
	cursor.next[5] = next;
	assert_int_equal(cursor_encode(&cursor, &text), 0);
	buffer_u8(&text, 0);
	rv = record_cursor((const char *)text.data, map, &read);
	if (rv == 0) {
		assert_memory_equal(read.cluster_id, map->cluster_id, 16);
		assert_int_equal(read.next[5], next);
	}
	buffer_deinit(&text);
	return rv;
}

static void a_restored_cluster_takes_cursors_of_the_one_that_was_backed_up(void **state)
{
	static const uint8_t own[16] = {1}, former[16] = {2}, other[16] = {3};
	struct cluster_map *map = calloc(1, sizeof *map);
	struct cursor read;

	(void)state;
	assert_non_null(map);
	cluster_map_init(map);
	memcpy(map->cluster_id, own, 16);
	assert_int_equal(record_cursor("evc2.none", map, &read), ERROR_USAGE);
	assert_int_equal(judge_cursor(map, own, 1000), 0);
	assert_int_equal(judge_cursor(map, former, 0), ERROR_FOREIGN);
	memcpy(map->restored_from, former, 16);
	map->restore_check = 7;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		map->partitions[p].restored_to = 100;
	assert_int_equal(judge_cursor(map, former, 100), 0);
	assert_int_equal(judge_cursor(map, former, SUBSCRIBE_FROM_NOW), 0);
	assert_int_equal(judge_cursor(map, former, 101), ERROR_BEYOND_END); /* it has seen what was never here */
	assert_int_equal(judge_cursor(map, own, 1000), 0);
	assert_int_equal(judge_cursor(map, other, 0), ERROR_FOREIGN);
	map->restoring = true;
	assert_int_equal(judge_cursor(map, former, 100), ERROR_FOREIGN);
	free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_read_back),
		cmocka_unit_test(every_cut_and_every_flipped_bit_is_found),
		cmocka_unit_test(a_file_of_another_place_is_refused),
		cmocka_unit_test(only_what_follows_is_written),
		cmocka_unit_test(a_manifest_is_read_back),
		cmocka_unit_test(a_changed_manifest_is_refused),
		cmocka_unit_test(a_manifest_that_cannot_be_read_back_is_not_written),
		cmocka_unit_test(a_file_takes_no_more_of_the_manifest_than_is_reckoned),
		cmocka_unit_test(a_manifest_that_contradicts_itself_is_refused),
		cmocka_unit_test_setup_teardown(a_directory_keeps_files_by_partition_and_offset, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(a_file_is_held_against_the_manifest, make_folder, remove_folder),
		cmocka_unit_test(a_replica_that_is_no_primary_is_read),
		cmocka_unit_test(a_replica_that_is_behind_is_not_the_cut),
		cmocka_unit_test(a_key_on_its_way_back_is_waited_for),
		cmocka_unit_test(a_node_that_does_not_say_may_be_filling),
		cmocka_unit_test(a_catalogue_never_falls_behind_the_former_one),
		cmocka_unit_test(nothing_is_added_to_a_log_that_lost_its_tail),
		cmocka_unit_test(a_new_epoch_is_added_behind_what_was_seen_just_now),
		cmocka_unit_test(a_partition_with_nobody_in_sync_is_not_proved),
		cmocka_unit_test(a_restored_cluster_takes_cursors_of_the_one_that_was_backed_up),
	};

	return cmocka_run_group_tests_name("backup", tests, NULL, NULL);
}

/* One journal's disk in memory. */
#include "tests/sim/disk.h"

#include "partition/sealed.h"

#include <assert.h>
#include <stdlib.h>

#define SECTOR_BYTES 512u
#define ROTTEN_SNAPSHOTS_MAX 16u
#define INDEX_BYTES 1024u /* about so long a sealed file's index and footer are */
#define SEAL_SLICE_BYTES (16u * 1024)

static struct disk_file *file_find(const struct sim_disk *disk, uint32_t segment, uint32_t generation)
{
	for (uint32_t i = 0; i < disk->file_count; i++)
		if (disk->files[i].segment == segment && disk->files[i].generation == generation)
			return &disk->files[i];
	return NULL;
}

static struct disk_file *file_open(struct sim_disk *disk, uint32_t segment, uint32_t generation)
{
	struct disk_file *file = file_find(disk, segment, generation);

	if (file != NULL)
		return file;
	disk->files = realloc(disk->files, (disk->file_count + 1) * sizeof *disk->files);
	assert(disk->files != NULL);
	file = &disk->files[disk->file_count++];
	*file = (struct disk_file){.segment = segment, .generation = generation};
	if (generation == 0) {
		file->content = disk->spare;
		disk->spare = BUFFER_NULL;
	}
	return file;
}

static void file_delete(struct sim_disk *disk, uint32_t segment, uint32_t generation, bool keep)
{
	struct disk_file *file = file_find(disk, segment, generation);

	if (file == NULL)
		return;
	buffer_deinit(&file->written);
	if (generation == 0 && !keep) {
		buffer_deinit(&disk->spare);
		disk->spare = file->content;
	} else {
		buffer_deinit(&file->content);
	}
	*file = disk->files[--disk->file_count];
}

static void file_write(struct disk_file *file, uint64_t place, struct span bytes)
{
	if (file->content.size < place + bytes.size) {
		size_t old = file->content.size;
		size_t more = (size_t)(place + bytes.size) - old;
		uint8_t *at = buffer_extend(&file->content, more);

		assert(at != NULL);
		memset(at, 0, more);
	}
	memcpy(file->content.data + place, bytes.data, bytes.size);
}

void sim_disk_deinit(struct sim_disk *disk)
{
	while (disk->file_count > 0)
		file_delete(disk, disk->files[0].segment, disk->files[0].generation, false);
	free(disk->files);
	buffer_deinit(&disk->spare);
	buffer_deinit(&disk->write_bytes);
	buffer_deinit(&disk->seal_plan);
	buffer_deinit(&disk->put_bytes);
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		for (uint32_t slot = 0; slot < 2; slot++)
			buffer_deinit(&disk->snapshots[p][slot]);
	*disk = (struct sim_disk){0};
}

static void issue_write(struct sim_disk *disk, const struct disk_request *request)
{
	assert(!disk->writing);
	assert(request->generation == 0);
	assert(request->place % DISK_BLOCK_BYTES == 0 && request->bytes.size % DISK_BLOCK_BYTES == 0);
	disk->writing = true;
	disk->write_segment = request->segment;
	disk->write_place = request->place;
	buffer_clear(&disk->write_bytes);
	buffer_bytes(&disk->write_bytes, request->bytes.data, request->bytes.size);
}

static void issue_seal(struct sim_disk *disk, const struct disk_request *request)
{
	assert(!disk->sealing);
	disk->sealing = true;
	disk->seal_segment = request->segment;
	disk->seal_generation = request->generation;
	buffer_clear(&disk->seal_plan);
	buffer_bytes(&disk->seal_plan, request->bytes.data, request->bytes.size);
}

static void issue_put(struct sim_disk *disk, const struct disk_request *request)
{
	assert(!disk->putting);
	disk->putting = true;
	disk->put_partition = request->partition;
	disk->put_slot = request->slot;
	buffer_clear(&disk->put_bytes);
	buffer_bytes(&disk->put_bytes, request->bytes.data, request->bytes.size);
}

void sim_disk_issue(struct sim_disk *disk, const struct disk_request *request)
{
	if (request->verb == DISK_WRITE)
		issue_write(disk, request);
	else if (request->verb == DISK_SEAL)
		issue_seal(disk, request);
	else if (request->verb == DISK_SNAPSHOT_PUT && request->bytes.size > 0)
		issue_put(disk, request);
}

static enum disk_outcome finish_write(struct sim_disk *disk)
{
	assert(disk->writing);
	disk->writing = false;
	if (disk->full)
		return DISK_FULL;
	file_write(file_open(disk, disk->write_segment, 0), disk->write_place, buffer_span(&disk->write_bytes));
	disk->written_to = true;
	return DISK_DONE;
}

/* The new file is there all at once. Nothing is made when the sealer refuses the source. */
static void seal(struct sim_disk *disk, struct buffer *answer)
{
	const struct disk_file *source = file_find(disk, disk->seal_segment, disk->seal_generation);
	struct span bytes = source == NULL ? SPAN_NULL : buffer_span(&source->content);
	struct buffer content = BUFFER_NULL;
	uint8_t slice[SEAL_SLICE_BYTES];
	struct disk_file *made;
	size_t size;
	int error;
	struct sealer *sealer = sealer_new(buffer_span(&disk->seal_plan), bytes, NULL, &error);

	if (sealer == NULL)
		return;
	while ((size = sealer_next(sealer, slice, sizeof slice)) > 0)
		buffer_bytes(&content, slice, size);
	made = file_open(disk, disk->seal_segment, disk->seal_generation + 1);
	buffer_deinit(&made->content);
	buffer_deinit(&made->written);
	made->content = content;
	if (answer != NULL)
		buffer_bytes(answer, sealer_result(sealer).data, sealer_result(sealer).size);
	sealer_free(sealer);
}

static enum disk_outcome finish_seal(struct sim_disk *disk, struct buffer *answer)
{
	assert(disk->sealing);
	disk->sealing = false;
	if (disk->full)
		return DISK_FULL;
	seal(disk, answer);
	return DISK_DONE;
}

static void finish_read(struct sim_disk *disk, const struct disk_request *request, struct buffer *answer)
{
	struct disk_file *file = file_find(disk, request->segment, request->generation);
	size_t size = request->length;

	if (file == NULL || file->content.size <= request->place)
		return;
	if (file->content.size - request->place < size)
		size = (size_t)(file->content.size - request->place);
	buffer_bytes(answer, file->content.data + request->place, size);
}

static void put_snapshot(struct sim_disk *disk, uint16_t partition, uint8_t slot, struct span bytes)
{
	struct buffer *snapshot = &disk->snapshots[partition % PARTITION_COUNT][slot % 2];

	buffer_clear(snapshot);
	buffer_bytes(snapshot, bytes.data, bytes.size);
	disk->snapshot_rotten[partition % PARTITION_COUNT][slot % 2] = false;
}

/* One that empties the slots overtakes, by its latency, what was asked for before: that is then as if overwritten. */
static enum disk_outcome finish_put(struct sim_disk *disk, const struct disk_request *request)
{
	bool overtaken = request->bytes.size > 0 && !disk->putting;

	if (request->bytes.size > 0 || request->partition == disk->put_partition)
		disk->putting = false;
	if (overtaken)
		return DISK_DONE;
	if (disk->full)
		return DISK_FULL;
	put_snapshot(disk, request->partition, request->slot, request->bytes);
	return DISK_DONE;
}

/* Sectors in [0, size) land each with a chance of a half. */
static size_t write_sectors(struct sim_disk *disk, struct random *random)
{
	struct disk_file *file = file_open(disk, disk->write_segment, 0);
	size_t sectors = disk->write_bytes.size / SECTOR_BYTES;
	size_t landed = 0;

	for (size_t i = 0; i < sectors; i++) {
		if (random_chance(random, 500))
			continue;
		landed++;
		file_write(file, disk->write_place + i * SECTOR_BYTES,
			   span_of(disk->write_bytes.data + i * SECTOR_BYTES, SECTOR_BYTES));
	}
	return landed;
}

/* After an error nobody knows what has landed. */
static enum disk_outcome fail(struct sim_disk *disk, struct random *random, const struct disk_request *request)
{
	disk->failing = false;
	if (request->verb == DISK_WRITE) {
		disk->writing = false;
		write_sectors(disk, random);
	}
	return DISK_FAILED;
}

enum disk_outcome sim_disk_finish(struct sim_disk *disk, struct random *random, const struct disk_request *request,
				  struct buffer *answer)
{
	const struct buffer *snapshot = &disk->snapshots[request->partition % PARTITION_COUNT][request->slot % 2];

	if (disk->failing)
		return fail(disk, random, request);
	switch (request->verb) {
	case DISK_WRITE: return finish_write(disk);
	case DISK_READ: finish_read(disk, request, answer); return DISK_DONE;
	case DISK_DELETE: file_delete(disk, request->segment, request->generation, request->keep); return DISK_DONE;
	case DISK_SEAL: return finish_seal(disk, answer);
	case DISK_SNAPSHOT_PUT: return finish_put(disk, request);
	case DISK_SNAPSHOT_GET: buffer_bytes(answer, snapshot->data, snapshot->size); return DISK_DONE;
	}
	return DISK_FAILED;
}

static void crash_write(struct sim_disk *disk, struct random *random, bool power_loss, struct disk_crash *crash)
{
	size_t landed;

	disk->writing = false;
	crash->lost = disk->full || random_chance(random, 300);
	if (crash->lost)
		return;
	if (!power_loss || random_chance(random, 200)) {
		file_write(file_open(disk, disk->write_segment, 0), disk->write_place, buffer_span(&disk->write_bytes));
		return;
	}
	landed = write_sectors(disk, random);
	crash->lost = landed == 0;
	crash->torn = landed > 0 && landed < disk->write_bytes.size / SECTOR_BYTES;
}

struct disk_crash sim_disk_crash(struct sim_disk *disk, struct random *random, bool power_loss)
{
	struct disk_crash crash = {.sealing = disk->sealing, .snapshot = disk->putting};

	/* Died after the rename and before the answer. */
	if (disk->sealing && !disk->full && random_chance(random, 300))
		seal(disk, NULL);
	if (disk->putting && !disk->full && random_chance(random, 300))
		put_snapshot(disk, disk->put_partition, disk->put_slot, buffer_span(&disk->put_bytes));
	if (disk->writing)
		crash_write(disk, random, power_loss, &crash);
	disk->sealing = false;
	disk->putting = false;
	disk->failing = false;
	return crash;
}

static void flip(struct buffer *content, struct random *random, size_t from)
{
	content->data[random_between(random, from, content->size - 1)] ^= (uint8_t)(1u << random_between(random, 0, 7));
}

/* Chosen by size. NULL: there are none. */
static struct disk_file *choose_file(struct sim_disk *disk, struct random *random, bool sealed)
{
	uint64_t total = 0;
	uint64_t at;

	for (uint32_t i = 0; i < disk->file_count; i++)
		total += (disk->files[i].generation != 0) == sealed ? disk->files[i].content.size : 0;
	if (total == 0)
		return NULL;
	at = random_between(random, 0, total - 1);
	for (uint32_t i = 0; i < disk->file_count; i++) {
		if ((disk->files[i].generation != 0) != sealed)
			continue;
		if (at < disk->files[i].content.size)
			return &disk->files[i];
		at -= disk->files[i].content.size;
	}
	return NULL;
}

static enum disk_rot rot_file(struct sim_disk *disk, struct random *random, bool sealed)
{
	struct disk_file *file = choose_file(disk, random, sealed);
	size_t from = 0;

	if (file == NULL)
		return ROT_NONE;
	if (sealed && file->written.size == 0)
		buffer_bytes(&file->written, file->content.data, file->content.size);
	if (sealed && file->content.size > INDEX_BYTES && random_chance(random, 500))
		from = file->content.size - INDEX_BYTES;
	flip(&file->content, random, from);
	return sealed ? ROT_SEALED : ROT_JOURNAL;
}

static enum disk_rot rot_snapshots(struct sim_disk *disk, struct random *random)
{
	uint32_t first = (uint32_t)random_between(random, 0, PARTITION_COUNT - 1);
	uint32_t left = (uint32_t)random_between(random, 1, ROTTEN_SNAPSHOTS_MAX);
	enum disk_rot rot = ROT_NONE;

	for (uint32_t i = 0; i < PARTITION_COUNT && left > 0; i++) {
		uint32_t p = (first + i) % PARTITION_COUNT;
		uint32_t slot = (uint32_t)random_between(random, 0, 1);

		if (disk->snapshots[p][slot].size == 0)
			continue;
		flip(&disk->snapshots[p][slot], random, 0);
		disk->snapshot_rotten[p][slot] = true;
		rot = ROT_SNAPSHOT;
		left--;
	}
	return rot;
}

enum disk_rot sim_disk_rot(struct sim_disk *disk, struct random *random)
{
	uint64_t drawn = random_between(random, 0, 2);
	enum disk_rot rot = ROT_NONE;

	if (drawn == 0)
		rot = rot_snapshots(disk, random);
	if (rot == ROT_NONE && drawn <= 1)
		rot = rot_file(disk, random, true);
	return rot == ROT_NONE ? rot_file(disk, random, false) : rot;
}

bool sim_disk_sealed_rotten(const struct sim_disk *disk)
{
	for (uint32_t i = 0; i < disk->file_count; i++)
		if (disk->files[i].written.size > 0)
			return true;
	return false;
}

bool sim_disk_has_snapshot(const struct sim_disk *disk, uint16_t partition)
{
	return disk->snapshots[partition][0].size > 0 || disk->snapshots[partition][1].size > 0 ||
	       (disk->putting && disk->put_partition == partition);
}

bool sim_disk_snapshot_rotten(const struct sim_disk *disk)
{
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		if (disk->snapshot_rotten[p][0] || disk->snapshot_rotten[p][1])
			return true;
	return false;
}

uint32_t sim_disk_list(const struct sim_disk *disk, struct disk_segment *segments)
{
	for (uint32_t i = 0; i < disk->file_count; i++)
		segments[i] = (struct disk_segment){disk->files[i].segment, disk->files[i].generation,
						    disk->files[i].content.size};
	return disk->file_count;
}

struct span sim_disk_bytes(const struct sim_disk *disk, uint32_t segment, uint32_t generation, uint64_t place,
			   size_t size)
{
	struct disk_file *file = file_find(disk, segment, generation);

	if (disk->writing && generation == 0 && disk->write_segment == segment && place >= disk->write_place &&
	    place + size <= disk->write_place + disk->write_bytes.size)
		return span_of(disk->write_bytes.data + (place - disk->write_place), size);
	if (file == NULL || file->content.size < place + size)
		return SPAN_NULL;
	return span_of((file->written.size > 0 ? file->written.data : file->content.data) + place, size);
}

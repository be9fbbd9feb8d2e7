/* One journal's disk in memory. */
#include "tests/sim/disk.h"

#include "partition/sealed.h"

#include <assert.h>
#include <stdlib.h>

#define SECTOR_BYTES 512u
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

void sim_disk_issue(struct sim_disk *disk, const struct disk_request *request)
{
	if (request->verb == DISK_WRITE)
		issue_write(disk, request);
	else if (request->verb == DISK_SEAL)
		issue_seal(disk, request);
}

static enum disk_outcome finish_write(struct sim_disk *disk)
{
	assert(disk->writing);
	disk->writing = false;
	if (disk->full)
		return DISK_FULL;
	file_write(file_open(disk, disk->write_segment, 0), disk->write_place, buffer_span(&disk->write_bytes));
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
	struct sealer *sealer = sealer_new(buffer_span(&disk->seal_plan), bytes, &error);

	if (sealer == NULL)
		return;
	while ((size = sealer_next(sealer, slice, sizeof slice)) > 0)
		buffer_bytes(&content, slice, size);
	made = file_open(disk, disk->seal_segment, disk->seal_generation + 1);
	buffer_deinit(&made->content);
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

enum disk_outcome sim_disk_finish(struct sim_disk *disk, const struct disk_request *request, struct buffer *answer)
{
	struct buffer *snapshot = &disk->snapshots[request->partition % PARTITION_COUNT][request->slot % 2];

	switch (request->verb) {
	case DISK_WRITE: return finish_write(disk);
	case DISK_READ: finish_read(disk, request, answer); return DISK_DONE;
	case DISK_DELETE: file_delete(disk, request->segment, request->generation, request->keep); return DISK_DONE;
	case DISK_SEAL: return finish_seal(disk, answer);
	case DISK_SNAPSHOT_PUT:
		if (disk->full)
			return DISK_FULL;
		buffer_clear(snapshot);
		buffer_bytes(snapshot, request->bytes.data, request->bytes.size);
		return DISK_DONE;
	case DISK_SNAPSHOT_GET: buffer_bytes(answer, snapshot->data, snapshot->size); return DISK_DONE;
	}
	return DISK_FAILED;
}

static bool crash_write(struct sim_disk *disk, struct random *random, bool power_loss)
{
	struct disk_file *file;
	size_t sectors = disk->write_bytes.size / SECTOR_BYTES;
	size_t landed = 0;

	disk->writing = false;
	if (disk->full || random_chance(random, 300))
		return false;
	file = file_open(disk, disk->write_segment, 0);
	if (!power_loss || random_chance(random, 200)) {
		file_write(file, disk->write_place, buffer_span(&disk->write_bytes));
		return false;
	}
	for (size_t i = 0; i < sectors; i++) {
		if (random_chance(random, 500))
			continue;
		landed++;
		file_write(file, disk->write_place + i * SECTOR_BYTES,
			   span_of(disk->write_bytes.data + i * SECTOR_BYTES, SECTOR_BYTES));
	}
	return landed > 0 && landed < sectors;
}

bool sim_disk_crash(struct sim_disk *disk, struct random *random, bool power_loss)
{
	/* Died after the rename and before the answer. */
	if (disk->sealing && !disk->full && random_chance(random, 300))
		seal(disk, NULL);
	disk->sealing = false;
	return disk->writing && crash_write(disk, random, power_loss);
}

bool sim_disk_rot(struct sim_disk *disk, struct random *random)
{
	uint64_t total = 0;
	uint64_t at;

	for (uint32_t i = 0; i < disk->file_count; i++)
		total += disk->files[i].generation == 0 ? disk->files[i].content.size : 0;
	if (total == 0)
		return false;
	at = random_between(random, 0, total - 1);
	for (uint32_t i = 0; i < disk->file_count; i++) {
		struct buffer *content = &disk->files[i].content;

		if (disk->files[i].generation != 0)
			continue;
		if (at < content->size) {
			content->data[at] ^= (uint8_t)(1u << random_between(random, 0, 7));
			return true;
		}
		at -= content->size;
	}
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
	return span_of(file->content.data + place, size);
}

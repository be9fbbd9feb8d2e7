/* A log's sealed part, as its disk holds it; and whole journals. */
#include "partition/journal_dump.h"
#include "partition/log.h"
#include "tests/sim/host.h"
#include "tests/sim/oracle_internal.h"

#include <assert.h>
#include <stdlib.h>

/* From the batch that stands at place.base; *at moves to the end of the last one that lies whole in `bytes`. */
static bool walk_stretch(const struct log_place *place, struct span bytes,
			 bool (*visit)(void *data, const struct batch *batch), void *data, uint64_t *at)
{
	uint64_t next = place->base;
	uint64_t from = *at;
	struct batch batch;

	for (size_t done = 0; done < bytes.size && next < place->to; done += batch.size) {
		if (batch_decode_stamped(span_of(bytes.data + done, bytes.size - done), &batch) != 0 ||
		    batch.base_offset != next)
			break;
		next = batch_end_offset(&batch);
		if (next > from && !visit(data, &batch))
			return false;
	}
	*at = next;
	return next > from;
}

bool oracle_walk_sealed(const struct log *log, const struct sim_disk *disk, uint64_t from,
			bool (*visit)(void *data, const struct batch *batch), void *data, uint64_t *at)
{
	struct log_place place;

	for (*at = from; *at < log->sealed;) {
		struct span bytes;

		if (!log_place_of(log, *at, &place) || place.generation == 0 || place.base > *at)
			return false;
		bytes = sim_disk_bytes(disk, place.segment, place.generation, place.place, place.length);
		if (bytes.data == NULL || !walk_stretch(&place, bytes, visit, data, at))
			return false;
	}
	return true;
}

/* --- O9 --------------------------------------------------------------------------------------------------------- */

struct journal_watch {
	struct oracle *oracle;
	struct journal_rot *rot;
	uint32_t host;
	uint16_t shard;
};

static void see_line(void *data, const struct journal_dump_line *line)
{
	const struct journal_watch *watch = data;

	if (line->kind == DUMP_FAULT)
		sim_fail(watch->oracle->sim, "O9: host %u shard %u segment %u generation %u partition %u: %s",
			 watch->host, watch->shard, line->segment, line->generation, line->partition, line->what);
	else if (line->kind == DUMP_CORRUPT)
		*watch->rot = (struct journal_rot){watch->host, watch->shard, line->segment, line->number, line->items};
}

static bool identify(const struct sim_disk *disk, const struct disk_segment *segments, uint32_t count, uint64_t *id)
{
	for (uint32_t i = 0; i < count; i++) {
		struct span front = sim_disk_bytes(disk, segments[i].segment, segments[i].generation, 0,
						   JOURNAL_BLOCK_HEADER_BYTES);

		if (front.data != NULL && journal_dump_identify(front, id))
			return true;
	}
	return false;
}

static void verify_journal(struct journal_watch *watch, const struct sim_disk *disk)
{
	struct disk_segment *segments = calloc(disk->file_count + 1, sizeof *segments);
	uint32_t count = sim_disk_list(disk, segments);
	struct journal_dump *dump;
	struct disk_request read;
	uint64_t id = 0;
	int rv;

	if (!identify(disk, segments, count, &id) && !disk->written_to) {
		free(segments);
		return; /* no partition has been placed there: its journal has no block */
	}
	if (id == 0)
		sim_fail(watch->oracle->sim, "O9: host %u shard %u: no journal", watch->host, watch->shard);
	dump = journal_dump_new(id, see_line, watch);
	assert(dump != NULL);
	rv = journal_dump_begin(dump, segments, count);
	while (rv == 0 && journal_dump_next(dump, &read))
		rv = journal_dump_feed(dump,
				       sim_disk_bytes(disk, read.segment, read.generation, read.place, read.length));
	if (rv != 0)
		sim_fail(watch->oracle->sim, "O9: host %u shard %u: verifying failed: %d", watch->host, watch->shard,
			 rv);
	journal_dump_free(dump);
	free(segments);
}

bool oracle_verify_journals(struct oracle *oracle, struct journal_rot *rot)
{
	*rot = (struct journal_rot){0};
	for (uint32_t i = 0; i < oracle->sim->options.hosts; i++)
		for (uint16_t shard = 0; shard < oracle->sim->options.shards && !oracle->sim->failed; shard++) {
			struct journal_watch watch = {oracle, rot, i, shard};

			if (host_is_gone(oracle->sim->hosts[i]))
				continue;
			verify_journal(&watch, host_disk(oracle->sim->hosts[i], shard));
		}
	return rot->blocks == 0;
}

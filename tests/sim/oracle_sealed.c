/* A log's sealed part, as its disk holds it. */
#include "partition/log.h"
#include "tests/sim/disk.h"
#include "tests/sim/oracle_internal.h"

/* From the batch that stands at place.base; *at moves to the end of the last one that lies whole in `bytes`. */
static bool walk_stretch(const struct log *log, const struct log_place *place, struct span bytes,
			 bool (*visit)(void *data, const struct batch *batch), void *data, uint64_t *at)
{
	uint64_t next = place->base;
	uint64_t from = *at;
	struct batch batch;

	for (size_t done = 0; done < bytes.size && next < log->sealed; done += batch.size) {
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
		if (bytes.data == NULL || !walk_stretch(log, &place, bytes, visit, data, at))
			return false;
	}
	return true;
}

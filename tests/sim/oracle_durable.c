/* O5, on the disk: whoever counts as complete has what was committed last where a loss of power does not take it. A
 * journal is written in order, one write at a time, so what stands before it is there, too. What a bit flip took is
 * another oracle's (rule 9: the replica must find it). */
#include "partition/log.h"
#include "tests/sim/host.h"
#include "tests/sim/oracle_internal.h"

static bool lies_in_flight(const struct sim_disk *disk, const struct log_entry *entry)
{
	return disk->writing && disk->write_segment == entry->place.segment &&
	       entry->place.place + entry->size > disk->write_place &&
	       entry->place.place < disk->write_place + disk->write_bytes.size;
}

bool oracle_is_durable(const struct oracle *oracle, uint32_t host, uint16_t partition, const struct log *log,
		       uint64_t end)
{
	const struct sim_disk *disk = host_disk(oracle->sim->hosts[host], partition);
	const struct log_entry *entry = end == 0 || end <= log->sealed ? NULL : log_find(log, end - 1);
	struct span bytes;
	struct batch batch;

	if (entry == NULL || oracle->sim->rot.host == host + 1)
		return true; /* sealed, which means synced */
	if (lies_in_flight(disk, entry))
		return false;
	bytes = sim_disk_bytes(disk, entry->place.segment, 0, entry->place.place, entry->size);
	return bytes.data != NULL && batch_decode_stamped(bytes, &batch) == 0 && batch.partition == partition &&
	       batch.base_offset == entry->base && batch.epoch == entry->epoch;
}

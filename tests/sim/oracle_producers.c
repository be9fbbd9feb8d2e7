/* O6 of producers: in each partition's log the batches of one producer are numbered 1, 2, 3, ... without a gap, and the
 * epochs they bear do not fall: once a later self of it has written, no earlier one ever does. */
#include "tests/sim/oracle_internal.h"

#include <assert.h>
#include <stdlib.h>

void oracle_producers_batch(struct oracle *oracle, struct producer_lines *lines, const struct batch *batch)
{
	struct producer_line *line = NULL;

	for (size_t i = 0; i < lines->count && line == NULL; i++)
		if (lines->list[i].id == batch->producer_id)
			line = &lines->list[i];
	if (line == NULL) {
		lines->list = realloc(lines->list, (lines->count + 1) * sizeof *lines->list);
		assert(lines->list != NULL);
		line = &lines->list[lines->count++];
		*line = (struct producer_line){.id = batch->producer_id};
	}
	if (batch->number != line->number + 1 || batch->producer_epoch < line->epoch)
		sim_fail(oracle->sim,
			 "O6: partition %u offset %llu: producer %llx writes number %u in its epoch %u behind number "
			 "%u of epoch %u",
			 batch->partition, (unsigned long long)batch->base_offset,
			 (unsigned long long)batch->producer_id, batch->number, batch->producer_epoch, line->number,
			 line->epoch);
	line->number = batch->number;
	line->epoch = batch->producer_epoch;
}

/* Copies of partitions under way: how far each is, how fast, and what time is left; of each and in sum. Pure: a map and
 * two samples of all replicas in, figures and a table out.
 *
 * 1. A copy is a learner of a row, or a replica that is live and not in sync: it was away, lost its disk, begins anew.
 * 2. What nobody answered is FIGURE_UNKNOWN, and so is what follows from it.
 * 3. Time left is what lacks by the speed at which the lack shrinks, so that what is published meanwhile counts. A lack
 *    that does not shrink gives none. */
#ifndef EVGRID_CLIENT_CLI_MIGRATIONS_H
#define EVGRID_CLIENT_CLI_MIGRATIONS_H

#include "client/cli/cli.h"

struct copy_figures {
	uint64_t bytes;    /* of the copy's log */
	uint64_t of_bytes; /* of the primary's */
	uint64_t bytes_per_s;
	uint64_t seconds_left;
};

struct copy {
	uint16_t partition;
	uint32_t to;
	bool learns; /* else it is a replica */
	bool in_sync;
	uint64_t records; /* of the copy's log */
	uint64_t of_records;
	struct copy_figures figures;
};

struct migrations {
	struct copy *copies; /* owned; by partition, then node */
	uint32_t count;
	uint32_t waiting;        /* that placement asks for and that have not begun */
	struct copy_figures sum; /* over both; where something of one copy is not known, it is not either */
};

/* before NULL, or taken at the same moment: no rates. 0 or ERROR_MEMORY; then migrations_deinit. */
int migrations_make(struct migrations *migrations, const struct cluster_map *map, const struct sample *before,
		    const struct sample *now);
void migrations_deinit(struct migrations *migrations);

void migrations_table(struct table *table, const struct cluster_map *map, const struct migrations *migrations);
void migrations_sum_table(struct table *table, const struct migrations *migrations); /* one row */
/* "3 copies, 2 more wait: 1.5 MiB of 2.0 MiB, 0.5 MiB/s, 1 s left" */
#define MIGRATIONS_TEXT_BYTES 256u
void migrations_text(const struct migrations *migrations, char text[MIGRATIONS_TEXT_BYTES]);

#endif

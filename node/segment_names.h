/* The names of a journal's files. Each is read strictly: what would be written otherwise is foreign, and left alone.
 *   NNNNNNNN.segment           a segment of the journal: generation 0
 *   NNNNNNNN-GGG.sealed        the same sealed, or rewritten: generation G
 *   NNNNNNNN-GGG.sealing       the same, not complete: a start removes it
 *   NNNNNNNN[-GGG].damaged     set aside for a person to look at, never read again
 *   spare-N                    prepared, to become a segment by a rename
 * Numbers are padded with zeros, so that names sort as the journal goes. */
#ifndef EVGRID_NODE_SEGMENT_NAMES_H
#define EVGRID_NODE_SEGMENT_NAMES_H

#include <stdint.h>

#define SEGMENT_NAME_BYTES 40u

enum segment_name_kind {
	SEGMENT_NAME_FOREIGN,
	SEGMENT_NAME_SEGMENT, /* generation 0: .segment, else .sealed */
	SEGMENT_NAME_SEALING,
	SEGMENT_NAME_DAMAGED,
	SEGMENT_NAME_SPARE, /* `segment` is its own row of numbers */
};

struct segment_name {
	enum segment_name_kind kind;
	uint32_t segment;
	uint32_t generation;
};

void segment_name_print(enum segment_name_kind kind, uint32_t segment, uint32_t generation,
			char text[SEGMENT_NAME_BYTES]);
struct segment_name segment_name_parse(const char *text);

#endif

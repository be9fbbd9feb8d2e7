/* One sample of every body that has a struct, and one walk over any body by its message's kind: shared by the unit test
 * of messages, the test vectors and the fuzz target. */
#ifndef EVGRID_TESTS_UNIT_MESSAGE_SAMPLES_H
#define EVGRID_TESTS_UNIT_MESSAGE_SAMPLES_H

#include "proto/message.h"

/* Decodes what the body of a message holds, item by item, and writes it again to `again`. 0 or ERROR_MALFORMED. Kinds
 * whose body is not proto's (FORMATION, RAFT, PROPOSE) are copied; so is a cluster map's. */
int message_body_walk(const struct message *message, struct buffer *again);

/* Appends the sample body of `kind`, with one item where it has items; *items receives their count. */
void message_sample_body(enum message_kind kind, struct buffer *body, uint16_t *items);

/* Every kind, in order of its number; NULL-terminated by kind 0. */
extern const enum message_kind message_kinds[];

#endif

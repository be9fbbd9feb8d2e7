/* What the reader and the writer of sealed segments share: sizes and magics of sealed.h's format, and the sealer's
 * inside.
 *
 *   sealed.c         reading: header, footer, index, key index
 *   sealer.c         the result: header, order, index, footer, and its bytes one after the other
 *   sealer_source.c  which batches of the source count, by partition
 *   sealer_keys.c    a partition's key index */
#ifndef EVGRID_PARTITION_SEALED_INTERNAL_H
#define EVGRID_PARTITION_SEALED_INTERNAL_H

#include "partition/sealed.h"

#define SEALED_MAGIC 0x47535645u        /* "EVSG" */
#define SEALED_FOOTER_MAGIC 0x46535645u /* "EVSF" */
#define SEALED_VERSION 1u
#define SEALED_CHECKED_BYTES 56u /* of header and footer: their part before the checksum */
#define SEALED_ENTRY_BYTES 80u
#define SEALED_EPOCH_ENTRY_BYTES 12u
#define SEALED_MARK_ENTRY_BYTES 8u
#define SEALED_KEY_ENTRY_BYTES 16u

struct sealer_part {             /* of one partition */
	const uint8_t **batches; /* in the source, in offset order; verified */
	uint32_t count;
	uint32_t capacity;
	struct seal_range range; /* the plan's; from == to: none */
	bool named;              /* gets an entry */
	bool left;
	bool cut;
	uint64_t lowest; /* when cut */
};

struct sealer {
	uint64_t journal_id;
	uint32_t segment;
	uint32_t generation; /* the source's */
	struct span source;
	const struct sealer_rest *rest; /* while sealer_new is at work; NULL: none */
	struct sealer_part parts[PARTITION_COUNT];
	uint8_t header[SEALED_HEADER_BYTES];
	struct buffer tail; /* keys, index, footer */
	uint64_t keys_size;
	/* what sealer_next gives next: header, batch `batch` of parts[part], tail */
	struct span piece; /* what is left of the present one */
	uint32_t part;     /* PARTITION_COUNT: the tail is the present piece, or was */
	uint32_t batch;
};

void sealer_step_done(const struct sealer *sealer);

/* A batch that has been verified. */
struct batch sealer_batch(const struct sealer *sealer, const uint8_t *bytes);

/* Fills parts from the source by the plan's ranges (sealer_source.c): what stays of each partition is dense from
 * range.from to range.to. 0, ERROR_MEMORY, ERROR_MALFORMED, ERROR_CHECKSUM, ERROR_VERSION. */
int sealer_read_source(struct sealer *sealer);

struct sealer_pair {
	uint64_t hash;
	uint32_t offset; /* - from */
};

struct sealer_keys { /* memory used for one partition after the other */
	struct sealer_pair *pairs;
	struct sealer_pair *spare;
	size_t capacity; /* of each */
	struct buffer opened;
};

void sealer_keys_deinit(struct sealer_keys *keys);
/* Appends the key index of a part to `out`; counts and checksum go into the entry. 0, ERROR_MEMORY, ERROR_MALFORMED. */
int sealer_keys_add(struct sealer_keys *keys, const struct sealer *sealer, const struct sealer_part *part,
		    struct buffer *out, struct sealed_entry *entry);

#endif

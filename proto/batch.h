/* A batch: what a client builds for one partition, stored whole or not at all, byte for byte as built.
 *
 * Header, 64 bytes, little-endian:
 *    0 u32 size               of the whole batch, header included
 *    4 u16 partition
 *    6 u8  format             1
 *    7 u8  flags              enum batch_flag
 *    8 u64 producer id        0: written by the grid itself (control batch)
 *   16 u32 number             the producer's count of batches to this partition: 1, 2, 3, ... without a gap
 *   20 u16 producer epoch
 *   22 u16 record count       1..BATCH_MAX_RECORDS
 *   24 u64 checksum           XXH3-64 of bytes 0..23 followed by the body: the client's
 *   -- stamped by the primary, once and for ever --
 *   32 u64 base offset        record i has offset base + i
 *   40 u64 base sequence      record i has sequence base + i
 *   48 u32 epoch              the one it was first written in
 *   52 u32 stamp check        low half of XXH3-64 of bytes 24..51 and 56..63
 *   56 u64 ingest time        microseconds since 1970, the primary's clock
 *   64 body: the records (event.h), or with BATCH_LZ4: u32 uncompressed size, LZ4 block
 * A control batch's body holds control records (control.h) instead of events.
 * A client leaves bytes 32..63 zero. */
#ifndef EVGRID_PROTO_BATCH_H
#define EVGRID_PROTO_BATCH_H

#include "proto/event.h"

#define BATCH_HEADER_BYTES 64u
#define BATCH_FORMAT 1u
#define BATCH_COMPRESS_FROM_BYTES 1024u /* below it LZ4 does not pay */

enum batch_flag {
	BATCH_LZ4 = 1,
	BATCH_CONTROL = 2,
};

struct batch {
	uint32_t size;
	uint16_t partition;
	uint8_t flags;
	uint64_t producer_id;
	uint32_t number;
	uint16_t producer_epoch;
	uint16_t record_count;
	uint64_t checksum;
	uint64_t base_offset;
	uint64_t base_sequence;
	uint32_t epoch;
	uint64_t ingest_time_us;
	struct span body;  /* as stored: maybe compressed */
	struct span bytes; /* header and body */
};

static inline uint64_t batch_end_offset(const struct batch *b)
{
	return b->base_offset + b->record_count;
}

/* --- reading ------------------------------------------------------------------------------------------------ */

/* Reads the header at the front of `bytes` (more may follow: batch->bytes tells its extent) and verifies the client's
 * checksum. Does not look into the body. 0, ERROR_MALFORMED or ERROR_CHECKSUM. */
int batch_decode(struct span bytes, struct batch *batch);

/* The same for a batch that has been stamped: verifies the stamp too. */
int batch_decode_stamped(struct span bytes, struct batch *batch);

/* The same without checksums: for bytes this process has verified before (journal cache). Size is still checked. */
int batch_decode_trusted(struct span bytes, struct batch *batch);

/* The records: points into the batch, or decompresses into scratch (cleared first). 0, ERROR_MALFORMED, ERROR_MEMORY.
 * Exactly record_count records are promised only after batch_validate. */
int batch_records(const struct batch *batch, struct buffer *scratch, struct span *records);

/* Stage 2's look into the body: every record decodes, there are record_count of them, each hashes to the partition.
 * 0, or an error code with *record set to the first record at fault. */
int batch_validate(const struct batch *batch, struct buffer *scratch, uint32_t *record);

/* --- writing ------------------------------------------------------------------------------------------------ */

struct batch_builder {
	struct buffer bytes; /* header space, then records */
	uint16_t partition;
	uint16_t record_count;
};

void batch_builder_init(struct batch_builder *builder, uint16_t partition);
void batch_builder_deinit(struct batch_builder *builder);
/* 0, ERROR_BATCH_FULL (nothing added), or event_encode's error. */
int batch_builder_add(struct batch_builder *builder, const struct event *event);
/* Appends ready-made bytes as one record (control records). */
int batch_builder_add_raw(struct batch_builder *builder, struct span record);
/* Closes the batch: compresses when it pays and `compress`, writes the header and checksum. The bytes stay in
 * builder->bytes until reset. */
int batch_builder_finish(struct batch_builder *builder, uint64_t producer_id, uint16_t producer_epoch, uint32_t number,
			 uint8_t flags, bool compress);
void batch_builder_reset(struct batch_builder *builder, uint16_t partition); /* keeps the memory */

/* The primary's stamp, in place. */
void batch_stamp(uint8_t *bytes, uint64_t base_offset, uint64_t base_sequence, uint32_t epoch, uint64_t ingest_time_us);

#endif

/* LZ4 blocks. The caller states the size a block opens to; nothing else is ever allocated or written. */
#ifndef EVGRID_PROTO_COMPRESS_H
#define EVGRID_PROTO_COMPRESS_H

#include "proto/bytes.h"

/* Appends the LZ4 block of `in` to `out` if it takes at most max_bytes; *paid tells whether. 0, or ERROR_MEMORY. On
 * error and when it does not pay `out` is as it was (its memory may have grown; failed is not set). */
int compress_block(struct span in, size_t max_bytes, struct buffer *out, bool *paid);

/* Appends exactly size_bytes opened bytes to `out`. 0, ERROR_MALFORMED (the block opens to another size, or none of its
 * length could open to so much: seen before anything is allocated), ERROR_MEMORY. On error `out` is as it was. */
int decompress_block(struct span block, size_t size_bytes, struct buffer *out);

#endif

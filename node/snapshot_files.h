/* The files of partitions' snapshots: DIR/snapshots/PPP.SLOT, written aside, synced, renamed. Disk threads. */
#ifndef EVGRID_NODE_SNAPSHOT_FILES_H
#define EVGRID_NODE_SNAPSHOT_FILES_H

#include "proto/bytes.h"

/* Each: 0, or an errno value. */
int snapshot_file_put(const char *folder, uint16_t partition, uint8_t slot, struct span bytes);
/* Heap memory for the caller; none and size 0 when there is no such snapshot. */
int snapshot_file_get(const char *folder, uint16_t partition, uint8_t slot, uint8_t **bytes, size_t *size_bytes);

#endif

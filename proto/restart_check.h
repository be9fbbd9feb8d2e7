/* May a node stop for a moment, and is it back as it was? Derived from the cluster map alone: what a stale map says is
 * stale, and whoever asks sees to a fresh one. What is found speaks against a yes; nothing found: yes.
 *
 *   before   nobody else is away or going, a majority of the metadata's voters stays live, and every partition that the
 *            node is in sync with keeps as many live in-sync replicas as its minimum, and at least one
 *   after    the node is live, its clock is right, its replicas are all in sync, it leads what it is preferred for */
#ifndef EVGRID_PROTO_RESTART_CHECK_H
#define EVGRID_PROTO_RESTART_CHECK_H

#include "proto/cluster_map.h"

enum restart_finding_kind {
	RESTART_NO_CONTROLLER,     /* none is known: the map may be old */
	RESTART_OTHERS_AWAY,       /* nodes */
	RESTART_OTHERS_DRAINING,   /* nodes */
	RESTART_QUORUM,            /* voters would be live, of so many that are wanted */
	RESTART_VOTERS_UNKNOWN,    /* so nothing can be said of that */
	RESTART_BELOW_MINIMUM_ISR, /* partitions */
	RESTART_LAST_IN_SYNC,      /* partitions: nobody else has all that was acknowledged */
	RESTART_NOT_LIVE,
	RESTART_CLOCK_OFF,
	RESTART_NOT_IN_SYNC,   /* partitions */
	RESTART_NOT_PREFERRED, /* partitions: another node leads them still */
	RESTART_KINDS
};

struct restart_finding {
	enum restart_finding_kind kind;
	node_set nodes;
	uint32_t voters;
	uint32_t voters_wanted;
	struct partition_set partitions;
};

struct restart_check {
	uint32_t count; /* 0: yes */
	struct restart_finding findings[RESTART_KINDS];
};

/* The node is in the map. */
void restart_before(const struct cluster_map *map, uint32_t node_id, struct restart_check *check);
void restart_after(const struct cluster_map *map, uint32_t node_id, struct restart_check *check);

const char *restart_finding_name(enum restart_finding_kind kind); /* "below_minimum_isr": stable, for scripts */

/* In words, for people; at most RESTART_LISTED partitions are named. */
#define RESTART_TEXT_BYTES 512u
#define RESTART_LISTED 16u
void restart_finding_text(const struct restart_finding *finding, const struct cluster_map *map,
			  char text[RESTART_TEXT_BYTES]);

/* Appends a JSON array: an object {"name":...,"text":...,"nodes":[...],"partitions":[...]} for each finding. */
void restart_findings_json(const struct restart_check *check, const struct cluster_map *map, struct buffer *out);

#endif

/* One definition of a view at work in one partition: applies events to their keys' cells, counts, sums the digest.
 * view_entity.c, view_summary.c and view_lua.c are the kinds.
 *
 * States: VIEW_BROKEN -> VIEW_FILLING -> [VIEW_FILLED ->] VIEW_ACTIVE -> gone. BROKEN: the definition does not compile
 * here, or its stream is not defined yet (a stream's definition tries again). FILLING: takes the log's events from
 * offset 0 on through state_fill. FILLED: caught up; takes each committed event, and waits beside an older version.
 * ACTIVE: answers.
 *
 * A version is `chosen` by the log: by CONTROL_VIEW_ACTIVATED, or, a view's first, when it is defined and there is
 * nothing to fill it with. From that offset on it alone answers, on every replica: NOT_READY where it is being filled
 * still, never as the version before. Until one is chosen, what has been filled first answers. Only a chosen version is
 * in the digest.
 *
 * What a summary's rule or a function cannot do is a fault of that key (stage 4, design.md section 8): view_apply
 * changes nothing, says so and why, and the caller blocks the key (view_block.h).
 *
 * What an entity's rule cannot do leaves the entity as it was and is counted, the same on every replica:
 *   missing     an update or deletion of an entity that is not there
 *   unreadable  a rule needs the payload, which is no MessagePack map with distinct text names, or has too many members
 *   refused     arithmetic on what is no number or out of range, a state that grows too large
 *
 * Shapes: the names of a map in their order. Where a payload has the shape of the state that it replaces, its bytes are
 * taken as they are. Shapes are a cache: with or without them the state has the same bytes. */
#ifndef EVGRID_PARTITION_VIEW_H
#define EVGRID_PARTITION_VIEW_H

#include "partition/table.h"
#include "partition/view_cell.h"
#include "partition/view_plan.h"
#include "proto/bytes.h"
#include "proto/error.h"
#include "proto/event.h"

#define VIEW_SHAPES_MAX 16u        /* remembered per view */
#define VIEW_SHAPE_MEMBERS_MAX 64u /* larger maps go the general way */
#define VIEW_SHAPE_MAX_BYTES 2048u

enum view_status { VIEW_BROKEN, VIEW_FILLING, VIEW_FILLED, VIEW_ACTIVE };

struct view_counts {
	uint64_t missing;
	uint64_t unreadable;
	uint64_t refused;
};

struct view_shape {
	uint32_t count;
	uint32_t size;
	uint8_t *bytes;                         /* names with their headers, end to end */
	uint16_t sizes[VIEW_SHAPE_MEMBERS_MAX]; /* of each */
};

#define VIEW_BIRTHS_MAX 65536u

/* Keys that got a cell or a mark while somebody walks over the keys in slices (state_scan.h). */
struct view_births {
	uint32_t watchers;
	uint32_t count;
	bool lost; /* there were too many, or no memory: whoever watches begins anew */
	struct key_entry **entries;
};

struct view {
	uint32_t id;
	uint32_t version;
	uint32_t generation; /* whose cells are its own */
	enum view_status status;
	bool chosen;         /* by the log */
	uint64_t defined_at; /* by a record at or behind this offset; 0 after a start */
	struct buffer name;
	struct buffer definition;
	struct view_plan *plan; /* NULL: BROKEN */
	uint64_t fill_next;     /* FILLING: offset of the next batch wanted */
	uint64_t work;          /* of its function so far, in events that a rule takes */
	uint64_t entries;
	uint64_t digest; /* of its cells */
	struct view_counts counts;
	struct table blocks;       /* of struct view_block */
	uint32_t catching;         /* of them: on their way back */
	struct view *next_dead;    /* state_drop_view */
	char why[VIEW_WHY_BYTES];  /* of the last fault */
	uint32_t *payload_shapes;  /* of each rule's last payload, 0: not known; a cache; NULL: there was none */
	struct view_shape *shapes; /* VIEW_SHAPES_MAX at most; number n stands at n - 1 */
	uint32_t shape_count;
	struct view_births births;
};

struct view_event {
	struct span stream; /* its name */
	struct span type;
	struct span key;
	struct span partition_key;
	struct span id; /* the text, or 16 bytes when id_is_uuid */
	bool id_is_uuid;
	struct span content_type;
	struct span payload;
	uint64_t offset;
	uint64_t ingest_time_us;
};

static inline struct view_event view_event_of(const struct event *event, struct span stream, uint64_t offset,
					      uint64_t ingest_time_us)
{
	return (struct view_event){
		.stream = stream,
		.type = event->type,
		.key = event->key,
		.partition_key = event->partition_key,
		.id = event->id,
		.id_is_uuid = event->id_is_uuid,
		.content_type = event->content_type,
		.payload = event->payload,
		.offset = offset,
		.ingest_time_us = ingest_time_us,
	};
}

struct view *view_new(uint32_t id, uint32_t version, struct span name, struct span definition); /* NULL: no memory */
struct view *view_free(struct view *view); /* leaves its cells where they are; returns NULL */

/* Applies one event of the view's streams to its entry, which is not blocked. scratch is the caller's, of any content.
 * 0; VIEW_FAULT: nothing has changed, view->why says what is wrong; or ERROR_MEMORY. */
#define VIEW_FAULT ERROR_BLOCKED
int view_apply(struct view *view, struct key_entry *entry, const struct view_event *event, struct buffer *scratch);

/* The first watcher begins the list of births, the last one ends it. A key without cell or mark stays meanwhile. */
void view_watch(struct view *view);
void view_unwatch(struct view *view);
void view_note_birth(struct view *view, struct key_entry *entry); /* it got a cell or a mark */

/* Puts a cell as a snapshot had it. 0, ERROR_MEMORY, or ERROR_MALFORMED: not a state that a view could have made. */
int view_restore_cell(struct view *view, struct key_entry *entry, struct span state, uint64_t changed_at);

uint64_t view_cell_digest(const struct view *view, const struct key_entry *entry, const struct view_cell *cell);

/* --- for the kinds ----------------------------------------------------------------------------------------------- */

/* The cell with room for the new state of `size` bytes, taken out of the sums until view_cell_done. NULL: no memory. */
struct view_cell *view_cell_begin(struct view *view, struct key_entry *entry, size_t size);
/* The same for a new state of the same size: the cell stays where it is. */
void view_cell_begin_over(struct view *view, struct view_cell *cell);
void view_cell_done(struct view *view, struct key_entry *entry, struct view_cell *cell, uint64_t offset);
void view_cell_delete(struct view *view, struct key_entry *entry, const struct view_cell *cell);

/* Writes what is in view->why. VIEW_FAULT. */
__attribute__((format(printf, 2, 3))) int view_fault(struct view *view, const char *format, ...);

struct members;

/* False: no MessagePack map with text for names. An empty payload is a map without members. */
bool view_payload_read(const struct view_event *event, struct members *payload);
bool view_payload_is_msgpack(const struct view_event *event);

int view_entity_apply(struct view *view, struct key_entry *entry, const struct view_event *event,
		      struct buffer *scratch);
int view_summary_apply(struct view *view, struct key_entry *entry, const struct view_event *event,
		       struct buffer *scratch);
int view_lua_apply(struct view *view, struct key_entry *entry, const struct view_event *event, struct buffer *scratch);

/* Whether a view of this kind could have made this state. */
bool view_entity_state_holds(struct span state);
bool view_summary_state_holds(const struct view_plan *plan, struct span state);
bool view_lua_state_holds(struct span state);

/* --- shapes ------------------------------------------------------------------------------------------------------ */

/* The payload's members without the map's header, when it has this shape, and *count; SPAN_NULL: it has not. */
struct span view_shape_match(const struct view_shape *shape, struct span payload);

/* The number of the shape of these members, remembered from now on; 0: it cannot be. */
uint32_t view_shape_of(struct view *view, const struct members *members);

#endif

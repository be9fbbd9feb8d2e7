/* The inside of a state, for partition/state*.c only. */
#ifndef EVGRID_PARTITION_STATE_INTERNAL_H
#define EVGRID_PARTITION_STATE_INTERNAL_H

#include "partition/array.h"
#include "partition/keys.h"
#include "partition/producers.h"
#include "partition/state.h"
#include "partition/view.h"
#include "partition/view_block.h"

#define WINDOW_LAG 4u /* events between asking for memory and reading it: their work hides what a miss takes */
#define WINDOW_EVENTS 16u
#define DEAR_WORK 64u       /* of one event: more than a look ahead is worth */
#define WINDOW_OWN_MAX 4u   /* views with keys of their own that are looked ahead for */
#define STATE_SWEEP_KEYS 16 /* keys rid of dead cells with each batch */
#define STATE_SCRATCH_KEPT_BYTES 65536u
#define STATE_VIEWS_MAX (2 * VIEWS_MAX) /* an old and a new version of each */

struct stream {
	uint32_t id;
	uint64_t events;
	struct buffer name;
	struct buffer settings;
	struct view **views; /* the active ones over this stream */
	uint32_t view_count;
	bool own_keys; /* one of them has keys of its own */
};

struct tail_definition { /* a control record of the tail */
	uint64_t offset;
	enum control_kind kind;
	uint32_t id;
	uint32_t version;
};

struct state {
	uint16_t partition;
	struct view_plan_set *plans; /* NULL: each view has a plan of its own */
	int failure;                 /* 0, or negative and final */
	bool dear;                   /* the last event took a function long */
	uint64_t work;               /* of functions so far (state_work) */
	uint64_t applied;            /* everything before it */
	bool may_want_fill;          /* not: no view is being filled and no key is on its way back */
	uint64_t queued;             /* applied, and what the running group has in its window */
	uint64_t controls;           /* control records applied */
	uint64_t strays;             /* events of streams that the log had not defined */
	struct keys keys;
	struct producers producers;
	struct stream *streams; /* by id */
	uint32_t stream_count;
	struct view **views; /* in the order of their definition */
	uint32_t view_count;
	uint32_t undecided;   /* of them: filled, and not chosen by the log yet */
	uint32_t generations; /* given to views so far */
	uint64_t tail_end;    /* of the overlay; 0: there is none */
	struct tail_definition *tail;
	uint32_t tail_count;
	bool dirty;        /* cells of dead generations may be left, */
	bool heavy;        /* and many: worth a sweep where nothing is applied */
	struct view *dead; /* dropped ones with marks, which are freed in slices */
	size_t dead_place; /* in the marks of the first */
	size_t sweep_place;
	const struct table_slot *sweep_slots; /* the table's when the sweep began */
	struct buffer records;                /* decompressed */
	struct buffer scratch;
};

/* --- the window: events of many batches and partitions, applied in order after a look ahead ---------------------- */

#define NUMBER_TEXT_BYTES 24u

/* Where an event goes in a view's own key space. */
struct window_own {
	const struct view *view;
	struct key_address address;
	char digits[NUMBER_TEXT_BYTES]; /* which address.key may point to */
};

struct window_event {
	struct state *state;
	struct stream *stream; /* NULL: not defined */
	const struct batch *batch;
	struct view_event event;
	struct key_address address;
	struct key_entry *entry;
	bool last; /* of its batch */
	uint32_t own_count;
	struct window_own own[WINDOW_OWN_MAX];
};

enum window_reach {
	WINDOW_KEYS,  /* the stream's keys */
	WINDOW_VIEWS, /* those and what its active views have of them */
};

struct window {
	enum window_reach reach;
	int (*take)(struct window_event *event); /* 0, or ERROR_MEMORY: the state fails */
	uint32_t added;                          /* events so far, and how many have had what */
	uint32_t entries_asked;
	uint32_t cells_asked;
	uint32_t taken;
	uint64_t work; /* of functions, by what was taken */
	struct window_event events[WINDOW_EVENTS];
};

void window_begin(struct window *window, enum window_reach reach, int (*take)(struct window_event *event));
/* Puts a batch's events into the window; the foremost ones are taken meanwhile. A failure stays in state->failure. */
void window_add(struct window *window, struct state *state, const struct batch *batch);
void window_flush(struct window *window);

struct key_entry *window_event_entry(struct window_event *event); /* made if missing; NULL: no memory */

/* --- parts ------------------------------------------------------------------------------------------------------- */

struct stream *state_stream(const struct state *state, uint32_t stream_id); /* NULL: not defined */

/* The version that answers: the active one, or else one that says why there is none; NULL: unknown. */
const struct view *state_reading_view(const struct state *state, uint32_t view_id);

/* Sends a blocked key on its way back (view_block.h). */
void state_send_block(struct state *state, struct view *view, struct view_block *block, uint64_t next,
		      uint64_t decided);

/* What a key's entry holds for this view. 0, ERROR_NOT_FOUND or ERROR_BLOCKED. */
int state_read_entry(const struct view *view, const struct key_entry *found, struct view_entry *entry);

/* A control batch's records, in order. 0, or a positive error: the state fails. */
int state_apply_control(struct state *state, const struct batch *batch);

int state_define_stream(struct state *state, uint32_t id, struct span name, struct span settings, uint64_t events);
/* Compiles; *status is what the definition can do now. 0 or ERROR_MEMORY. */
int state_compile_view(const struct state *state, struct view *view);
int state_add_view(struct state *state, struct view *view_take); /* gives it a generation; frees it on failure */
void state_drop_view(struct state *state, uint32_t index);
/* Makes it active in place of every other version. 0 or ERROR_MEMORY. */
int state_activate_view(struct state *state, struct view *view);
/* It has caught up. 0 or ERROR_MEMORY. */
int state_filled_view(struct state *state, struct view *view);
int state_link_views(struct state *state); /* streams' lists of active views. 0 or ERROR_MEMORY */

/* The key space of a view's entries. */
static inline uint32_t state_view_space(const struct view *view)
{
	return view->plan->own_keys ? keys_view_space(view->id) : view->plan->sources[0].id;
}

/* --- views taking events (state_views.c) -------------------------------------------------------------------------- */

/* One event of a stream that the view takes; a blocked key's waits. 0 or ERROR_MEMORY. */
int state_view_take(struct view *view, struct window_event *e);
/* The same event read again, for a key that is on its way back. */
int state_view_catch_up(struct view *view, struct window_event *e);
/* Where an event goes in the view's own key space. False: the event has no key there. */
bool state_own_address(const struct view *view, const struct view_event *event, char digits[NUMBER_TEXT_BYTES],
		       struct key_address *address);
/* A skip or retry at this offset. `again`: it is read again, after the view or the key took it before. */
void state_decide_block(struct state *state, const struct control *control, uint64_t offset, bool again);
/* Everything before it has been taken by the view, save what waits. */
uint64_t state_view_position(const struct state *state, const struct view *view);
/* Frees an entry of a view's key space that nothing is left of. */
void state_release_entry(struct state *state, struct key_entry *entry);

/* Frees marks of views that are gone, and dead cells: *left keys are looked at, and it falls by what that took. */
void state_sweep(struct state *state, int64_t *left);
void state_bury_view(struct state *state, struct view *view_take); /* it has marks: they go in slices */
void state_free_dead(struct state *state);                         /* now */
void state_tail_covered(struct state *state);

#endif

/* Trying a view: a log of one batch an event, applied as it is made. */
#include "partition/view_trial.h"

#include <assert.h>
#include <stdlib.h>

#include "partition/view_plan.h"
#include "proto/identity.h"

#define TRIAL_PARTITION 0u
#define TRIAL_VIEW 1u

struct view_trial {
	struct view_plan *plan;
	struct state *state;
	struct batch_builder builder;
	uint64_t end;
	uint32_t streams; /* numbered so far */
};

static uint32_t number_stream(void *data, struct span name)
{
	struct view_trial *trial = data;

	(void)name;
	return ++trial->streams;
}

static int trial_batch(struct view_trial *trial, uint8_t flags, uint64_t time_us)
{
	struct batch batch;
	int rv = batch_builder_finish(&trial->builder, 0, 0, 0, flags, false);

	if (rv != 0)
		return rv;
	batch_stamp(trial->builder.bytes.data, trial->end, sequence_make(time_us / 1000, TRIAL_PARTITION, 0), 1,
		    time_us);
	rv = batch_decode_stamped(buffer_span(&trial->builder.bytes), &batch);
	if (rv != 0)
		return rv;
	trial->end = batch_end_offset(&batch);
	rv = state_apply(trial->state, &batch);
	batch_builder_reset(&trial->builder, TRIAL_PARTITION);
	return -rv;
}

static int trial_control(struct view_trial *trial, const struct control *control)
{
	struct buffer record = BUFFER_NULL;
	int rv = control_encode(control, &record);

	if (rv == 0)
		rv = batch_builder_add_raw(&trial->builder, buffer_span(&record));
	buffer_deinit(&record);
	return rv != 0 ? rv : trial_batch(trial, BATCH_CONTROL, 0);
}

static int trial_define(struct view_trial *trial, struct span definition)
{
	int rv = 0;

	for (uint32_t i = 0; i < trial->plan->source_count && rv == 0; i++)
		rv = trial_control(trial, &(struct control){.kind = CONTROL_STREAM_DEFINED,
							    .id = trial->plan->sources[i].id,
							    .name = trial->plan->sources[i].name});
	if (rv == 0)
		rv = trial_control(trial, &(struct control){.kind = CONTROL_VIEW_DEFINED,
							    .id = TRIAL_VIEW,
							    .version = 1,
							    .name = trial->plan->name,
							    .definition = definition});
	return rv;
}

int view_trial_new(struct span definition, struct view_trial **trial, char why[VIEW_WHY_BYTES])
{
	struct view_trial *made = calloc(1, sizeof *made);
	int rv;

	*trial = NULL;
	if (made == NULL)
		return ERROR_MEMORY;
	batch_builder_init(&made->builder, TRIAL_PARTITION);
	made->state = state_new(TRIAL_PARTITION);
	rv = made->state == NULL ? ERROR_MEMORY : view_plan_new(definition, number_stream, made, &made->plan, why);
	if (rv == 0)
		rv = trial_define(made, definition);
	if (rv != 0) {
		view_trial_free(made);
		return rv;
	}
	*trial = made;
	return 0;
}

struct view_trial *view_trial_free(struct view_trial *trial)
{
	if (trial == NULL)
		return NULL;
	view_plan_free(trial->plan);
	state_free(trial->state);
	batch_builder_deinit(&trial->builder);
	free(trial);
	return NULL;
}

int view_trial_event(struct view_trial *trial, struct span stream, const struct event *event, bool *taken)
{
	struct event numbered = *event;
	int rv;

	*taken = false;
	for (uint32_t i = 0; i < trial->plan->source_count; i++) {
		if (!span_equal(trial->plan->sources[i].name, stream))
			continue;
		*taken = true;
		numbered.stream_id = trial->plan->sources[i].id;
	}
	if (!*taken)
		return 0;
	rv = batch_builder_add(&trial->builder, &numbered);
	return rv != 0 ? rv : trial_batch(trial, 0, event->time_us);
}

bool view_trial_next(const struct view_trial *trial, size_t *place, struct view_row *row)
{
	return state_view_next(trial->state, TRIAL_VIEW, place, row);
}

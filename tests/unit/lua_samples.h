/* One event through a Lua view's function, and what must have come of it; include cmocka first. */
#ifndef EVGRID_TESTS_UNIT_LUA_SAMPLES_H
#define EVGRID_TESTS_UNIT_LUA_SAMPLES_H

#include "partition/view_lua.h"
#include "tests/unit/view_samples.h"

#define STEPS "the function takes more than 200000 steps"
#define MADE "the function makes more than 8388608 bytes of values"
#define HELD "the function's tables hold more than 33554432 bytes"
#define DEPTH "the function calls too deep, or has too many values in hand"

static inline void define_text(struct views *v, uint32_t version, const char *text)
{
	struct buffer definition = BUFFER_NULL;
	static const char *const members[][2] = {{"view", "v"}, {"stream", "Order"}, {"kind", "lua"}};

	msgpack_write_map(&definition, 4);
	for (size_t i = 0; i < 3; i++) {
		msgpack_write_str(&definition, span_of_text(members[i][0]));
		msgpack_write_str(&definition, span_of_text(members[i][1]));
	}
	msgpack_write_str(&definition, span_of_text("apply"));
	msgpack_write_str(&definition, span_of_text(text));
	views_apply(v, sample_control(v->log, &(struct control){.kind = CONTROL_VIEW_DEFINED,
								.id = 1,
								.version = version,
								.name = span_of_text("v"),
								.definition = buffer_span(&definition)}));
	buffer_deinit(&definition);
	assert_true(state_view_status(v->state, 0, &(struct view_status_entry){0}));
}

/* One event to a view whose function has this body. */
static inline struct views *run(const char *body, const char *payload)
{
	struct views *v = views_new();
	char text[4096];

	snprintf(text, sizeof text, "function apply(event, state)\n%s\nend", body);
	define_text(v, 1, text);
	views_event(v, ORDER, "T", "k", "k", payload);
	return v;
}

static inline void gives(const char *body, const char *payload, const char *state)
{
	struct views *v = run(body, payload);

	views_state(v, 1, "k", state);
	views_restore(v);
	views_state(v, 1, "k", state);
	views_free(v);
}

/* why: NULL where the words are Lua's, and another release's may differ. */
static inline void fails(const char *body, const char *payload, const char *why)
{
	struct views *v = run(body, payload);

	views_blocked(v, 1, "k", why);
	views_free(v);
}

#endif

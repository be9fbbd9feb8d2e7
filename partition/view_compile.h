/* What the compilers of the kinds share; for partition/view_plan*.c only. A fault is named by the path of the member
 * that bears it, such as "on.OrderCreated.set": compiler_enter and compiler_leave keep it. */
#ifndef EVGRID_PARTITION_VIEW_COMPILE_H
#define EVGRID_PARTITION_VIEW_COMPILE_H

#include "partition/view_plan.h"
#include "proto/error.h"
#include "proto/msgpack.h"

#define VIEW_PLACE_BYTES 100u

struct compiler {
	struct view_plan *plan;
	char *why;                    /* VIEW_WHY_BYTES */
	char place[VIEW_PLACE_BYTES]; /* where the compiler is */
};

/* Text from the definition, cut to what a message can hold and without bytes that a terminal would obey. */
void compiler_text(struct span s, char text[64]);

/* Says what is wrong at this place. ERROR_BAD_VIEW. */
__attribute__((format(printf, 2, 3))) int compiler_fault(struct compiler *c, const char *format, ...);

/* Enters a member; gives the length to which the place is cut when it is left. */
size_t compiler_enter(struct compiler *c, struct span member);
void compiler_leave(struct compiler *c, size_t place);

static inline bool is_text(struct span a, const char *text)
{
	return span_equal(a, span_of_text(text));
}

int plan_add_operation(struct view_plan *plan, const struct view_operation *operation);
int plan_add_rule(struct view_plan *plan, const struct view_rule *rule);
int plan_add_pick(struct view_plan *plan, struct span name);

/* A path into the payload, onto the plan's names. */
int compile_path(struct compiler *c, struct span path, uint32_t *first, uint32_t *count);

/* A string is a path into the payload, {value: X} the constant X, any other scalar itself. */
int compile_value(struct compiler *c, struct reader *in, struct view_operation *operation);

/* The member `on`: each event type with its rule, by the kind's own compiler. */
typedef int (*compile_rule_fn)(struct compiler *c, struct reader *in, struct view_rule *rule);
int compile_rules(struct compiler *c, struct reader *in, compile_rule_fn compile_rule);

/* An entity's rule for one event type. */
int compile_entity_rule(struct compiler *c, struct reader *in, struct view_rule *rule);

/* All of a summary's rules, and what they have in common. */
int compile_summary(struct compiler *c, struct reader *in);

/* A list of the event types that matter, which are all there is to these rules. */
int compile_types(struct compiler *c, struct reader *in);

#endif

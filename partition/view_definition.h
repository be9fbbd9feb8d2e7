/* A view's definition, compiled. The definition travels as canonical MessagePack, made from YAML by the client
 * (client/view_yaml.h); this is the only reader of it, so that a wrong one is refused in one way everywhere. */
#ifndef EVGRID_PARTITION_VIEW_DEFINITION_H
#define EVGRID_PARTITION_VIEW_DEFINITION_H

#include "proto/bytes.h"

#define VIEW_WHY_BYTES 160u

struct view_plan;

typedef uint32_t (*resolve_stream_fn)(void *data, struct span name); /* the stream's id */

/* Compiles. 0 with *plan; ERROR_BAD_VIEW with *why naming the member at fault as a path such as "on.OrderCreated.set";
 * ERROR_MEMORY. */
int view_plan_new(struct span definition, resolve_stream_fn resolve, void *data, struct view_plan **plan,
		  char why[VIEW_WHY_BYTES]);
struct view_plan *view_plan_free(struct view_plan *plan);

#endif

/* Reading whom a key belongs to from what the doorkeeper said of it. Any thread. */
#include "node/visitor.h"

#include <xxhash.h>

struct visitor visitor_of(zmq_msg_t *message, bool keyed)
{
	struct visitor visitor = {.role = VISITOR_ANYBODY, .holder = "nobody"};
	const char *user = keyed ? zmq_msg_gets(message, "User-Id") : NULL;
	const char *name, *end;

	if (!keyed)
		return visitor;
	visitor.role = VISITOR_NOBODY;
	if (user == NULL)
		return visitor;
	visitor.role = VISITOR_CLIENT;
	visitor.holder = user;
	visitor.key = XXH3_64bits(user, strlen(user));
	name = strchr(user, ' ');
	end = name == NULL ? NULL : strchr(name + 1, ' ');
	if (end == NULL || strncmp(user, "node ", 5) != 0)
		return visitor;
	visitor.role = VISITOR_NODE;
	visitor.name = span_of(name + 1, (size_t)(end - name - 1));
	return visitor;
}

bool visitor_may_be_node(const struct visitor *visitor, struct span name)
{
	return visitor->role == VISITOR_ANYBODY ||
	       (visitor->role == VISITOR_NODE &&
		(span_equal(visitor->name, span_of_text("*")) || span_equal(visitor->name, name)));
}

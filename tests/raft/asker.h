/* What servers propose by themselves: conditional commands made of what each knows (often old), sent to the leader it
 * believes in; and the leader's side of it. At most one proposal of a server is under way; one that is not answered
 * in ASK_TIMEOUT_MS is unknown, and its server looks anew. */
#ifndef EVGRID_TESTS_RAFT_ASKER_H
#define EVGRID_TESTS_RAFT_ASKER_H

#include "tests/raft/world.h"

void asker_step(struct world *world, struct server *server);
void asker_proposed(struct world *world, struct server *server, const struct letter *letter);
void asker_result(struct world *world, struct server *server, const struct letter *letter);

#endif

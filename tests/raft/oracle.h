/* What must hold of a Raft group, seen from its disks, its messages and what its machines applied. No code of libraft
 * judges here: of it only accessors are asked (does it lead, which term, how far has it committed and applied).
 *
 *   election      one leader a term (who leads, and whose messages say so)
 *   vote          a server votes once a term, and its vote is on its disk when it leaves
 *   promise       what a server acknowledges is on its disk, and is what that term's leader has there
 *   matching      equal index and term: equal bytes, and an equal term before
 *   majority      when an index is applied first, a majority has it on disk: of the voters of the last configuration
 *                 that was applied before it, or of the one that its leader had by then
 *   cut           nothing that was applied anywhere leaves a disk again, but into a snapshot
 *   completeness  a new leader has all that was applied in earlier terms
 *   applied       no two machines apply different entries at an index; commit and applied indexes do not fall;
 *                its log agrees with the applied history where it has committed
 *   digest        machines are equal at equal index, also after a snapshot
 *   model         views' versions are what thirty lines of other code make of the same entries
 *   members       a server has noted as committed the newest configuration that it has applied
 *   lost          an answer names an applied entry with that outcome, later than whatever was answered before it was
 *                 asked
 *   liveness      after everything is mended, all agree and every server's proposals are answered
 *
 * "Applied history": index by index what the first machine applied, configuration changes and barriers too. */
#ifndef EVGRID_TESTS_RAFT_ORACLE_H
#define EVGRID_TESTS_RAFT_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/bytes.h"
#include "raft/command.h"

#define ORACLE_INDEXES_MAX 16384u
#define ORACLE_TERMS_MAX 8192u
#define ORACLE_SERVERS_MAX 5u
#define ORACLE_VIEWS_MAX 8u
#define ORACLE_PAIRS 65536u /* a power of two */

enum breach {
	BREACH_NONE,
	BREACH_ELECTION,
	BREACH_VOTE,
	BREACH_PROMISE,
	BREACH_MATCHING,
	BREACH_MAJORITY,
	BREACH_CUT,
	BREACH_COMPLETENESS,
	BREACH_APPLIED,
	BREACH_DIGEST,
	BREACH_MODEL,
	BREACH_MEMBERS,
	BREACH_LOST,
	BREACH_LIVENESS,
	BREACH_RUN, /* the run is too long for the tables, or a server died without cause */
	BREACH_COUNT
};

const char *breach_name(enum breach breach);

struct world;
struct server;
struct raft_message;

/* An index of the applied history. */
struct oracle_entry {
	uint64_t hash; /* of term, type and bytes; 0: not applied yet */
	uint64_t term;
	uint64_t applied_term; /* of the server that applied it first: committed in this term or before */
	uint64_t digest;       /* of the machine after it; 0: no command */
	uint64_t change;       /* index of the newest configuration up to it */
	uint16_t error;        /* what the machine answered */
};

/* What was seen stored under an index and a term. */
struct oracle_pair {
	uint64_t index; /* 0: free */
	uint64_t term;
	uint64_t hash;
	uint64_t term_before;
};

struct oracle_view {
	char name[16];
	uint32_t version;
	bool there;
	uint64_t definition; /* hash */
};

struct oracle_server {
	uint64_t held; /* so far its disk has the applied history */
	uint64_t commit;
	uint64_t applied;
	uint64_t term_led; /* last term seen to be led */
	uint64_t stored_last;
};

struct oracle {
	enum breach breach;
	char text[256];
	uint64_t breach_ms;
	uint64_t last; /* of the applied history */
	uint64_t answered;
	struct oracle_entry *entries;
	struct oracle_pair *pairs;
	uint32_t pair_count;
	uint8_t *leaders;                    /* by term: id */
	uint8_t *votes;                      /* by server and term: id */
	uint64_t voters[ORACLE_SERVERS_MAX]; /* ids, of the newest configuration applied */
	uint32_t voter_count;
	struct oracle_server servers[ORACLE_SERVERS_MAX];
	struct oracle_view views[ORACLE_VIEWS_MAX];
};

void oracle_init(struct oracle *oracle);
void oracle_deinit(struct oracle *oracle);

/* The first one counts. */
void breach(struct world *world, enum breach what, const char *format, ...) __attribute__((format(printf, 3, 4)));

void oracle_wiped(struct world *world, const struct server *server); /* another server from now on */
void oracle_started(struct world *world, struct server *server);
void oracle_sent(struct world *world, struct server *from, const struct raft_message *message);
void oracle_applied(struct world *world, struct server *server, uint64_t index, struct span bytes,
		    const struct command_result *result);
void oracle_machine(struct world *world, const struct server *server); /* restored: is it what it was elsewhere? */
void oracle_look(struct world *world, struct server *server);          /* after every call into it */
void oracle_stored(struct world *world, struct server *server);        /* its disk has changed */
void oracle_answered(struct world *world, uint64_t index, uint16_t error, uint64_t answered_before);
bool oracle_agreed(struct world *world); /* all run and have applied the same, to the end */

/* oracle_model.c */
uint64_t oracle_hash(const void *data, size_t size, uint64_t more);
void model_apply(struct world *world, struct span bytes, const struct command_result *result);
void model_compare(struct world *world, const struct server *server);

#endif

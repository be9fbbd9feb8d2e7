/* See cases.h. A script says who may ask for votes and how much of a leader's log may leave it; what a leader appends
 * by itself (the barrier of its term) can so be kept from its followers. Cut append entries are sound ones. */
#include "tests/raft/cases.h"

#include <stdio.h>
#include <string.h>

#define ANYBODY SERVERS_MAX
#define EVERYTHING UINT64_MAX
#define PATIENCE_MS 5000u

enum { S1, S2, S3, S4, S5 };

struct script {
	uint32_t candidate;
	uint64_t limit;    /* entries behind this index leave nobody */
	uint32_t limited;  /* on the way to this one, or to anybody */
	uint64_t covering; /* the index that heartbeats are counted for */
	uint32_t heartbeats;
	uint32_t snapshots; /* sent */
};

static bool script_filter(struct world *world, uint32_t from, struct raft_message *message)
{
	struct script *script = world->script;
	struct raft_append_entries *args = &message->append_entries;
	bool limited = script->limited == ANYBODY || script->limited + 1 == message->server_id;

	if (message->type == RAFT_REQUEST_VOTE)
		return script->candidate == ANYBODY || script->candidate == from;
	script->snapshots += message->type == RAFT_INSTALL_SNAPSHOT;
	if (message->type != RAFT_APPEND_ENTRIES || !limited)
		return true;
	if (args->prev_log_index > script->limit)
		return false;
	if (args->n_entries > script->limit - args->prev_log_index)
		args->n_entries = (unsigned)(script->limit - args->prev_log_index);
	script->heartbeats += args->n_entries == 0 && args->prev_log_index == script->covering &&
			      args->leader_commit > script->covering;
	return true;
}

static struct world *case_begin(struct script *script, uint32_t count, bool verbose)
{
	struct world *world = world_new(1, count);

	*script = (struct script){.candidate = S1, .limit = EVERYTHING, .limited = ANYBODY};
	world->filter = script_filter;
	world->script = script;
	world->verbose = verbose;
	for (uint32_t i = 0; i < count; i++)
		world_start(world, i);
	return world;
}

static bool case_end(struct world *world, const char *missed)
{
	bool good = missed == NULL && !world_broken(world);

	if (world_broken(world))
		printf("  breach of %s: %s\n", breach_name(world->oracle.breach), world->oracle.text);
	else if (missed != NULL)
		printf("  expected: %s\n", missed);
	world_free(world);
	return good;
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

static bool leads(struct world *world, uint32_t i)
{
	for (uint32_t ms = 0; ms < PATIENCE_MS && !world_broken(world); ms++) {
		if (world_leader(world) == &world->servers[i])
			return true;
		world_step(world);
	}
	return false;
}

static uint64_t stored(const struct world *world, uint32_t i)
{
	return world->servers[i].disk.first + world->servers[i].disk.count - 1;
}

static uint64_t stored_term(const struct world *world, uint32_t i, uint64_t index)
{
	const struct sim_raft_disk *disk = &world->servers[i].disk;

	return index < disk->first || index > stored(world, i) ? 0 : disk->entries[index - disk->first].term;
}

static bool agree(struct world *world)
{
	for (uint32_t ms = 0; ms < PATIENCE_MS && !world_broken(world); ms++) {
		if (world_leader(world) != NULL && oracle_agreed(world))
			return true;
		world_step(world);
	}
	return false;
}

static void only(struct world *world, uint32_t a, uint32_t b, uint32_t c)
{
	world_cut_all(world, true);
	world_link(world, a, b, true);
	world_link(world, a, c, true);
}

static void free_all(struct world *world)
{
	struct script *script = world->script;

	world_cut_all(world, false);
	script->limit = EVERYTHING;
	script->candidate = ANYBODY;
	for (uint32_t i = 0; i < world->count; i++)
		if (!world->servers[i].runs)
			world_start(world, i);
}

/* --- figure 8 ----------------------------------------------------------------------------------------------------- */

/* Up to step (c): S1's entry of its first term lies on S1, S2 and S3, S1 leads in a later term, S5 has another entry
 * there of a term between. Gives the entry's index, 0: it did not come to this. */
static uint64_t figure_8_to_c(struct world *world, const char **missed)
{
	struct script *script = world->script;
	uint64_t base;

	*missed = "S1 leads";
	if (!leads(world, S1))
		return 0;
	world_submit_stream(world, S1, 1);
	world_run(world, 300);
	base = world->oracle.last;
	only(world, S1, S2, S2); /* (a) */
	world_submit_stream(world, S1, 2);
	world_run(world, 30);
	*missed = "the entry lies on S1 and S2 only";
	if (stored(world, S1) != base + 1 || stored(world, S2) != base + 1 || stored(world, S3) != base)
		return 0;
	world_kill(world, S1); /* (b) */
	only(world, S5, S3, S4);
	script->candidate = S5;
	script->limit = base;
	*missed = "S5 leads, by S3 and S4";
	if (!leads(world, S5))
		return 0;
	world_submit_stream(world, S5, 3);
	world_run(world, 30);
	*missed = "S5 has an entry of its own there";
	if (stored(world, S5) != base + 1 || stored_term(world, S5, base + 1) == stored_term(world, S2, base + 1))
		return 0;
	world_kill(world, S5); /* (c) */
	world_start(world, S1);
	only(world, S1, S2, S3);
	script->candidate = S1;
	script->limit = base + 1;
	*missed = "S1 leads again, by S2 and S3";
	if (!leads(world, S1))
		return 0;
	world_run(world, 150);
	*missed = "the entry lies on S1, S2 and S3, and nothing behind it on S2 or S3";
	if (stored(world, S2) != base + 1 || stored(world, S3) != base + 1 ||
	    !raft_node_leads(&world->servers[S1].node))
		return 0;
	*missed = "the entry is not committed by counting replicas";
	if (world->oracle.last != base || raft_commit_index(&world->servers[S1].node.raft) > base)
		return 0;
	*missed = NULL;
	return base + 1;
}

/* (d): S5 comes back, leads by S2, S3 and S4, and its entry takes the place. */
static bool figure_8(bool verbose)
{
	struct script script;
	struct world *world = case_begin(&script, 5, verbose);
	const char *missed;
	uint64_t index = figure_8_to_c(world, &missed);
	uint64_t term;

	if (index == 0)
		return case_end(world, missed);
	world_kill(world, S1);
	world_start(world, S5);
	term = stored_term(world, S5, index);
	only(world, S5, S2, S3);
	world_link(world, S5, S4, true);
	script.candidate = S5;
	script.limit = EVERYTHING;
	if (!leads(world, S5))
		return case_end(world, "S5 leads, by S2, S3 and S4");
	world_run(world, 100);
	free_all(world);
	if (!agree(world))
		return case_end(world, "all agree");
	return case_end(world, world->oracle.entries[index].term == term ? NULL : "S5's entry has taken the place");
}

/* (e): the entry behind it, of S1's present term, reaches a majority: both are committed, and S5 cannot lead. */
static bool figure_8_committed(bool verbose)
{
	struct script script;
	struct world *world = case_begin(&script, 5, verbose);
	const char *missed;
	uint64_t index = figure_8_to_c(world, &missed);
	uint64_t term;

	if (index == 0)
		return case_end(world, missed);
	term = stored_term(world, S1, index);
	script.limit = EVERYTHING;
	world_run(world, 200);
	if (world->oracle.last <= index)
		return case_end(world, "both are committed");
	world_kill(world, S1);
	world_start(world, S5);
	world_cut_all(world, false);
	script.candidate = S5;
	world_run(world, 3000);
	if (raft_node_leads(&world->servers[S5].node))
		return case_end(world, "S5 does not lead");
	free_all(world);
	if (!agree(world))
		return case_end(world, "all agree");
	return case_end(world, world->oracle.entries[index].term == term ? NULL : "the entry has stayed");
}

/* --- the divergent tail ------------------------------------------------------------------------------------------- */

/* S1 has three entries that nobody else has; S2 and S3 have gone on without it. Heartbeats of S2 that cover what S1
 * shares, and tell of a commit index beyond it, must move nothing of the tail, and S1 must not count for S2. */
static bool divergent_tail(bool verbose)
{
	struct script script;
	struct world *world = case_begin(&script, 3, verbose);
	uint64_t base;
	uint64_t last;

	if (!leads(world, S1))
		return case_end(world, "S1 leads");
	world_submit_stream(world, S1, 1);
	world_run(world, 300);
	base = world->oracle.last;
	only(world, S2, S3, S3);
	for (uint32_t i = 2; i < 5; i++)
		world_submit_stream(world, S1, i);
	world_run(world, 30);
	if (stored(world, S1) != base + 3)
		return case_end(world, "S1 has a tail of three");
	script.candidate = S2;
	if (!leads(world, S2))
		return case_end(world, "S2 leads");
	for (uint32_t i = 5; i < 9; i++)
		world_submit_stream(world, S2, i);
	world_run(world, 200);
	last = world->oracle.last;
	if (last < base + 4)
		return case_end(world, "S2 and S3 have gone on");
	script.limited = S1;
	script.limit = base;
	script.covering = base;
	world_link(world, S1, S2, true);
	world_run(world, 400);
	if (script.heartbeats == 0)
		return case_end(world, "S1 was sent heartbeats that cover what it shares");
	if (raft_commit_index(&world->servers[S1].node.raft) != base)
		return case_end(world, "S1 has committed nothing of its tail");
	world_link(world, S2, S3, false);
	world_submit_stream(world, S2, 9);
	world_run(world, 200);
	if (world->oracle.last != last)
		return case_end(world, "S1 does not count for what it does not have");
	free_all(world);
	return case_end(world, agree(world) ? NULL : "all agree");
}

/* --- snapshots and restarts --------------------------------------------------------------------------------------- */

/* One that was away is sent a snapshot; `ms` later it, or the leader, is killed. */
static bool snapshot_kill(bool verbose, bool leader, uint32_t ms)
{
	struct script script;
	struct world *world = case_begin(&script, 3, verbose);
	uint32_t victim = leader ? S1 : S3;

	for (uint32_t i = 0; i < 3; i++)
		world_kill(world, i);
	world->snapshot_entries = 8;
	world->trailing_entries = 2;
	world->disk_max_ms = 5;
	for (uint32_t i = 0; i < 3; i++)
		world_start(world, i);
	if (!leads(world, S1))
		return case_end(world, "S1 leads");
	world_kill(world, S3);
	for (uint32_t i = 0; i < 40; i++) {
		world_submit_stream(world, S1, i);
		world_run(world, 15);
	}
	world_start(world, S3);
	for (uint32_t i = 0; i < PATIENCE_MS && script.snapshots == 0; i++)
		world_step(world);
	if (script.snapshots == 0)
		return case_end(world, "a snapshot is sent");
	world_run(world, ms);
	world_kill(world, victim);
	world_run(world, 20);
	free_all(world);
	return case_end(world, agree(world) ? NULL : "all agree");
}

static bool snapshot_restart(bool verbose)
{
	bool good = true;

	for (uint32_t ms = 0; ms < 20; ms++)
		good &= snapshot_kill(verbose, false, ms) && snapshot_kill(verbose, true, ms);
	return good;
}

/* --- pauses, lost disks ------------------------------------------------------------------------------------------- */

/* The leader stands still while another is elected, and goes on with an inbox of old acknowledgements. */
static bool paused_leader(bool verbose)
{
	struct script script;
	struct world *world = case_begin(&script, 3, verbose);
	uint64_t term;

	if (!leads(world, S1))
		return case_end(world, "S1 leads");
	world->asks = true;
	script.candidate = ANYBODY;
	world_run(world, 500);
	term = raft_node_term(&world->servers[S1].node);
	world_submit_stream(world, S1, 1);
	world->servers[S1].paused_until_ms = world->now_ms + 10000;
	world_run(world, 9990);
	if (world_leader(world) == NULL || raft_node_term(&world_leader(world)->node) <= term)
		return case_end(world, "another leads");
	world_run(world, 500);
	world->asks = false;
	if (raft_node_term(&world->servers[S1].node) <= term)
		return case_end(world, "S1 knows of the new term");
	return case_end(world, agree(world) ? NULL : "all agree");
}

/* What our guard forbids (an identity is a directory's, tests/unit/test_cluster.c): a voter whose disk is new comes
 * back under its old id, and the leader of an earlier time leads with its vote, in a term that had another. */
static bool wiped_voter(bool verbose)
{
	struct script script;
	struct world *world = case_begin(&script, 3, verbose);
	bool found;

	world->ignored = 1u << BREACH_CUT | 1u << BREACH_VOTE;
	if (!leads(world, S1))
		return case_end(world, "S1 leads");
	world_run(world, 100);
	only(world, S2, S3, S3);
	script.candidate = S2;
	if (!leads(world, S2))
		return case_end(world, "S2 leads");
	world_submit_stream(world, S2, 1);
	world_run(world, 200);
	world_kill(world, S3);
	sim_raft_disk_deinit(&world->servers[S3].disk);
	world_start(world, S3);
	only(world, S1, S3, S3);
	script.candidate = S1;
	leads(world, S1);
	found = world->oracle.breach == BREACH_ELECTION;
	if (!found)
		return case_end(world, "the oracles see two leaders of one term");
	world_free(world);
	return true;
}

/* The change that makes it two voters is on the disk of one of them alone, who dies: the other must vote for it. */
static bool second_voter(bool verbose)
{
	struct script script = {.candidate = ANYBODY, .limit = EVERYTHING, .limited = ANYBODY};
	struct world *world = world_new(1, 2);

	world->founders = 1;
	world->servers[S2].wish = WISH_STAND_BY;
	world->filter = script_filter;
	world->script = &script;
	world->verbose = verbose;
	world_start(world, S1);
	world_start(world, S2);
	world_run(world, 50);
	world_submit_stream(world, S1, 1);
	world_run(world, 1000);
	if (!raft_node_caught_up(&world->servers[S1].node, world->servers[S2].id))
		return case_end(world, "S2 stands by and has all");
	world_cut_all(world, true);
	if (raft_node_assign(&world->servers[S1].node, world->servers[S2].id, RAFT_NODE_VOTER) != RAFT_NODE_DONE)
		return case_end(world, "S2 is to vote");
	world_run(world, 10);
	world_kill(world, S1);
	world_cut_all(world, false);
	world_run(world, 100);
	world_start(world, S1);
	world_run(world, 3000);
	if (world_leader(world) == NULL)
		return case_end(world, "somebody leads");
	return case_end(world, raft_node_settled(&world->servers[S1].node) ? NULL : "S2 votes");
}

/* Of two voters one becomes a stand-by and does not hear of it: the other commits that alone, and leads alone after its
 * death, too, whatever the spared one asks for. */
static bool spared_voter(bool verbose)
{
	struct script script;
	struct world *world = case_begin(&script, 2, verbose);
	struct raft_node_server servers[SERVERS_MAX];
	uint64_t base;

	if (!leads(world, S1))
		return case_end(world, "S1 leads");
	world_submit_stream(world, S1, 1);
	world_run(world, 500);
	world_cut_all(world, true);
	if (raft_node_assign(&world->servers[S1].node, world->servers[S2].id, RAFT_NODE_STANDBY) != RAFT_NODE_DONE)
		return case_end(world, "S2 is to vote no more");
	world->servers[S2].wish = WISH_STAND_BY;
	world_run(world, 100);
	base = world->oracle.last;
	world_submit_stream(world, S1, 2);
	world_run(world, 100);
	if (!raft_node_settled(&world->servers[S1].node) || world->oracle.last <= base)
		return case_end(world, "S1 commits alone");
	world_kill(world, S1);
	script.candidate = ANYBODY;
	world_run(world, 2000);
	world_start(world, S1);
	world_cut_all(world, false);
	if (!leads(world, S1))
		return case_end(world, "S1 leads again");
	if (!agree(world))
		return case_end(world, "all agree");
	if (raft_node_servers(&world->servers[S2].node, servers, SERVERS_MAX) != 2)
		return case_end(world, "S2 stands by");
	return case_end(world, servers[1].role == RAFT_NODE_STANDBY || servers[0].role == RAFT_NODE_STANDBY
				       ? NULL
				       : "S2 votes no more");
}

/* Of two voters one becomes a stand-by, by an entry that the other sent and dies before it has stored: it must not need
 * the vote of a server that has the longer log, and votes no more. */
static bool unstored_change(bool verbose)
{
	struct script script;
	struct world *world = case_begin(&script, 2, verbose);

	if (!leads(world, S1))
		return case_end(world, "S1 leads");
	world_submit_stream(world, S1, 1);
	world_run(world, 500);
	world->servers[S1].slow_until_ms = world->now_ms + 1000;
	world->servers[S1].io.latency_min_ms = 200;
	world_run(world, 1);
	world->servers[S1].io.fail_after = 4; /* begun: truncate, append; done: truncate, append */
	if (raft_node_assign(&world->servers[S1].node, world->servers[S2].id, RAFT_NODE_STANDBY) != RAFT_NODE_DONE)
		return case_end(world, "S2 is to vote no more");
	script.candidate = ANYBODY;
	world_run(world, 4000);
	if (world->marks.store_errors != 1)
		return case_end(world, "S1 cannot store that");
	if (world_leader(world) == NULL)
		return case_end(world, "somebody leads");
	return case_end(world, agree(world) ? NULL : "all agree");
}

const struct raft_case raft_cases[] = {
	{"figure-8", "an earlier term's entry on a majority is not committed, and may go", figure_8},
	{"figure-8-committed", "with an entry of the present term behind it, it is, and stays", figure_8_committed},
	{"divergent-tail", "a heartbeat commits nothing of a tail that its sender does not have", divergent_tail},
	{"snapshot-restart", "a kill at any moment of a snapshot's way", snapshot_restart},
	{"paused-leader", "a leader that stood still answers for nothing", paused_leader},
	{"second-voter", "a stand-by that does not know yet that it votes gives its vote", second_voter},
	{"spared-voter", "a voter that was made a stand-by and does not know it cannot lead", spared_voter},
	{"unstored-change", "a change of the voters that its leader dies with stops nobody", unstored_change},
	{"wiped-voter", "a lost disk under an old id would make two leaders of one term: the oracles see it",
	 wiped_voter},
};

const size_t raft_case_count = sizeof(raft_cases) / sizeof(raft_cases[0]);

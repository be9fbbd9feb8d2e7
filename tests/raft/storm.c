/* See storm.h. */
#include "tests/raft/storm.h"

#include "tests/raft/members.h"

enum kind {
	KIND_ONE_WAY,   /* a link loses one direction for a while */
	KIND_ALONE,     /* a server hears nobody, is heard by nobody, or both */
	KIND_PAIR,      /* only two are connected */
	KIND_FLAP,      /* a link comes and goes every 30 ms */
	KIND_PAUSE,     /* a process stands still, its inbox fills */
	KIND_KILL,      /* and comes back; unsynced writes are lost */
	KIND_POWER,     /* all at once */
	KIND_STORE,     /* a write fails, as on a full disk: the process ends, and comes back */
	KIND_SLOW_DISK, /* writes take up to 300 ms */
	KIND_TRANSFER,  /* leadership is given away */
	KIND_MEMBER,    /* somebody is to leave, to come, or to vote */
	KIND_FRESH,     /* a new leader is given entries and cut off, paused or killed around them */
	KIND_COUNT
};

struct storm {
	struct world *world;
	uint32_t kinds;
	uint64_t mean_ms; /* from one fault to the next */
	uint64_t links_until_ms;
	uint32_t flap_a;
	uint32_t flap_b;
	uint64_t flap_until_ms;
	uint64_t fresh_ms; /* when the new leader is hurt; 0: none is */
	uint64_t fresh_term;
	uint32_t fresh_kind;
};

static uint64_t draw(const struct storm *storm, uint64_t low, uint64_t high)
{
	return random_between(&storm->world->random, low, high);
}

static uint32_t draw_server(const struct storm *storm)
{
	return (uint32_t)draw(storm, 0, storm->world->count - 1);
}

/* --- links -------------------------------------------------------------------------------------------------------- */

static void links_hold(struct storm *storm, uint64_t longest_ms)
{
	storm->links_until_ms = storm->world->now_ms + draw(storm, 40, longest_ms);
	storm->world->marks.cuts++;
}

static void one_way(struct storm *storm)
{
	uint32_t from = draw_server(storm);
	uint32_t to = (from + (uint32_t)draw(storm, 1, storm->world->count - 1)) % storm->world->count;

	world_say(storm->world, "n%u is not heard by n%u", from + 1, to + 1);
	storm->world->cut[from][to] = true;
	links_hold(storm, 1500);
}

static void alone(struct storm *storm, uint32_t i)
{
	uint64_t sides = draw(storm, 1, 3);

	world_say(storm->world, "n%u is %s", i + 1, sides == 1 ? "deaf" : sides == 2 ? "mute" : "alone");
	for (uint32_t k = 0; k < storm->world->count; k++) {
		storm->world->cut[k][i] |= (sides & 1) != 0;
		storm->world->cut[i][k] |= (sides & 2) != 0;
	}
	links_hold(storm, 1500);
}

static void pair(struct storm *storm)
{
	uint32_t a = draw_server(storm);
	uint32_t b = (a + (uint32_t)draw(storm, 1, storm->world->count - 1)) % storm->world->count;

	world_say(storm->world, "only n%u and n%u are connected", a + 1, b + 1);
	world_cut_all(storm->world, true);
	world_link(storm->world, a, b, true);
	links_hold(storm, 900);
}

static void flap(struct storm *storm)
{
	storm->flap_a = draw_server(storm);
	storm->flap_b = (storm->flap_a + 1) % storm->world->count;
	storm->flap_until_ms = storm->world->now_ms + draw(storm, 300, 2000);
	storm->world->marks.cuts++;
}

static void links_step(struct storm *storm)
{
	struct world *world = storm->world;

	if (storm->links_until_ms != 0 && storm->links_until_ms <= world->now_ms) {
		world_cut_all(world, false);
		storm->links_until_ms = 0;
	}
	if (storm->flap_until_ms > world->now_ms)
		world_link(world, storm->flap_a, storm->flap_b, world->now_ms / 30 % 2 == 0);
	else if (storm->flap_until_ms != 0)
		storm->links_until_ms = world->now_ms;
	if (storm->flap_until_ms <= world->now_ms)
		storm->flap_until_ms = 0;
}

/* --- processes and disks ------------------------------------------------------------------------------------------ */

static void kill_one(struct storm *storm, uint32_t i)
{
	struct world *world = storm->world;

	if (!world->servers[i].runs)
		return;
	world_kill(world, i);
	world->servers[i].restart_ms = world->now_ms + draw(storm, 1, draw(storm, 10, 1500));
}

static void pause_one(struct storm *storm, uint32_t i)
{
	uint64_t ms = draw(storm, 20, draw(storm, 100, 3000));

	world_say(storm->world, "n%u stands still for %llu ms", i + 1, (unsigned long long)ms);
	storm->world->servers[i].paused_until_ms = storm->world->now_ms + ms;
	storm->world->marks.pauses++;
}

static void power_off(struct storm *storm)
{
	for (uint32_t i = 0; i < storm->world->count; i++)
		kill_one(storm, i);
}

static void store_fails(struct storm *storm, uint32_t i)
{
	struct sim_raft_io *io = &storm->world->servers[i].io;

	if (!storm->world->servers[i].runs)
		return;
	switch (draw(storm, 0, 3)) {
	case 0: io->put_refused = true; break;
	case 1: io->put_fails = true; break;
	default: io->fail_after = (uint32_t)draw(storm, 1, 6); break;
	}
}

static void transfer(struct storm *storm)
{
	struct server *leader = world_leader(storm->world);

	if (leader == NULL)
		return;
	world_say(storm->world, "n%u gives leadership away", leader->place + 1);
	raft_node_transfer(&leader->node);
	storm->world->marks.transfers++;
}

/* One voter at least is wished for; of two, one becomes a stand-by and is not removed. */
static void member(struct storm *storm)
{
	struct world *world = storm->world;
	uint32_t i = draw_server(storm);
	uint32_t others = 0;

	for (uint32_t k = 0; k < world->count; k++)
		others += k != i && world->servers[k].wish == WISH_VOTE;
	if (world->founders == world->count || (world->servers[i].wish == WISH_VOTE && others < 1))
		return;
	if (world->servers[i].wish == WISH_STAND_BY && draw(storm, 0, 1) == 0)
		members_wish(world, i, WISH_VOTE);
	else if (world->servers[i].wish == WISH_VOTE && (others < 2 || draw(storm, 0, 1) == 0))
		members_wish(world, i, WISH_STAND_BY);
	else
		members_wish(world, i, world->servers[i].wish == WISH_ABSENT ? WISH_STAND_BY : WISH_ABSENT);
}

/* --- a new leader ------------------------------------------------------------------------------------------------- */

static void fresh_begin(struct storm *storm, struct server *leader)
{
	struct world *world = storm->world;
	uint64_t entries = draw(storm, 1, 4);

	storm->fresh_term = raft_node_term(&leader->node);
	storm->fresh_kind = (uint32_t)draw(storm, 0, 3);
	storm->fresh_ms = world->now_ms + draw(storm, 0, 12);
	if (storm->fresh_kind == 3) {
		alone(storm, leader->place); /* at once: what it is given now lies on its disk alone */
		storm->fresh_ms = 0;
	}
	for (uint64_t k = 0; k < entries; k++)
		world_submit_stream(world, leader->place, (uint32_t)draw(storm, 1, 60));
}

static void fresh_step(struct storm *storm)
{
	struct server *leader = world_leader(storm->world);

	if (leader != NULL && storm->fresh_ms == 0 && raft_node_term(&leader->node) > storm->fresh_term) {
		if (draw(storm, 0, 1) == 0)
			fresh_begin(storm, leader);
		else
			storm->fresh_term = raft_node_term(&leader->node);
	}
	if (leader == NULL || storm->fresh_ms == 0 || storm->fresh_ms > storm->world->now_ms)
		return;
	storm->fresh_ms = 0;
	if (storm->fresh_kind == 0)
		kill_one(storm, leader->place);
	else if (storm->fresh_kind == 1)
		pause_one(storm, leader->place);
	else
		alone(storm, leader->place);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static void fault(struct storm *storm)
{
	enum kind kind = (enum kind)draw(storm, 0, KIND_COUNT - 1);
	uint32_t i = draw_server(storm);
	struct server *leader = world_leader(storm->world);

	if ((storm->kinds >> kind & 1) == 0)
		return;
	if (leader != NULL && draw(storm, 0, 2) == 0)
		i = leader->place;
	switch (kind) {
	case KIND_ONE_WAY: one_way(storm); break;
	case KIND_ALONE: alone(storm, i); break;
	case KIND_PAIR: pair(storm); break;
	case KIND_FLAP: flap(storm); break;
	case KIND_PAUSE: pause_one(storm, i); break;
	case KIND_KILL: kill_one(storm, i); break;
	case KIND_POWER: power_off(storm); break;
	case KIND_STORE: store_fails(storm, i); break;
	case KIND_SLOW_DISK:
		storm->world->servers[i].slow_until_ms = storm->world->now_ms + draw(storm, 50, 1500);
		break;
	case KIND_TRANSFER: transfer(storm); break;
	case KIND_MEMBER: member(storm); break;
	default: break;
	}
}

static void mend(struct world *world)
{
	world_say(world, "all is mended");
	world_cut_all(world, false);
	world->loss_permille = 0;
	world->repeat_permille = 0;
	world->delay_max_ms = 2;
	world->disk_max_ms = 3;
	for (uint32_t i = 0; i < world->count; i++) {
		struct server *server = &world->servers[i];

		server->paused_until_ms = 0;
		server->slow_until_ms = 0;
		if (server->wish == WISH_ABSENT)
			members_wish(world, i, WISH_STAND_BY);
		if (server->runs && (server->io.fail_after != 0 || server->io.put_fails || server->io.put_refused))
			world_kill(world, i);
		if (!server->runs)
			world_start(world, i);
	}
}

/* Every server's proposals are answered; then they end, and all agree. */
static void heal(struct world *world)
{
	uint64_t end = world->now_ms + STORM_HEAL_MS;
	uint64_t tickets = world->next_ticket;
	bool answered = false;

	mend(world);
	while (world->now_ms < end && !world_broken(world)) {
		world_step(world);
		answered = true;
		for (uint32_t i = 0; i < world->count; i++)
			answered &= world->servers[i].asker.told > tickets;
		if (answered)
			world->asks = false;
		if (answered && oracle_agreed(world) && world_leader(world) != NULL)
			break;
	}
	if (world->now_ms < end || world_broken(world))
		return;
	if (answered)
		breach(world, BREACH_LIVENESS, "mended for %u ms, and they do not agree", STORM_HEAL_MS);
	else
		breach(world, BREACH_LIVENESS, "mended for %u ms, and somebody is not answered", STORM_HEAL_MS);
}

struct world *storm_world(uint64_t seed)
{
	struct world *world = world_new(seed, seed % 3 == 0 || seed % 2 == 0 ? 5 : 3);
	struct random *random = &world->random;

	if (seed % 2 == 0) {
		world->founders = seed % 4 == 0 ? 1 : 3;
		for (uint32_t i = world->founders; i < world->count; i++)
			world->servers[i].wish = random_chance(random, 500) ? WISH_VOTE : WISH_STAND_BY;
	}
	world->asks = true;
	world->delay_max_ms = (uint32_t)random_between(random, 1, random_chance(random, 300) ? 120 : 8);
	world->disk_max_ms = (uint32_t)random_between(random, 1, random_chance(random, 300) ? 60 : 6);
	world->loss_permille = random_chance(random, 500) ? (uint32_t)random_between(random, 1, 200) : 0;
	world->repeat_permille = random_chance(random, 500) ? (uint32_t)random_between(random, 1, 200) : 0;
	world->snapshot_entries = (uint32_t)random_between(random, 4, random_chance(random, 500) ? 12 : 64);
	world->trailing_entries = (uint32_t)random_between(random, 1, random_chance(random, 500) ? 4 : 32);
	return world;
}

void storm_run(struct world *world)
{
	struct storm storm = {.world = world};
	uint64_t end = world->now_ms + STORM_FAULTS_MS;

	storm.kinds = (uint32_t)random_next(&world->random);
	storm.kinds |= (uint32_t)random_next(&world->random); /* three in four */
	storm.mean_ms = draw(&storm, 20, 400);
	for (uint32_t i = 0; i < world->count; i++)
		world_start(world, i);
	while (world->now_ms < end && !world_broken(world)) {
		world_step(world);
		links_step(&storm);
		if ((storm.kinds >> KIND_FRESH & 1) != 0)
			fresh_step(&storm);
		if (draw(&storm, 1, storm.mean_ms) == 1)
			fault(&storm);
	}
	if (!world_broken(world))
		heal(world);
}

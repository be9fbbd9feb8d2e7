/* Faults of machines beyond death, pause and slow disks: power that fails for some, stores that fail, clocks that are
 * set. */
#include "tests/sim/faults_internal.h"
#include "tests/sim/host.h"

#define SECOND_US 1000000ll

/* Any subset at one instant, while their disks are slow: what each had written and not synced may be lost, and what the
 * others have stays. */
static void power_fails(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;
	uint32_t lost = 0;

	for (uint32_t i = 0; i < sim->options.hosts && !sim->failed; i++) {
		host_set_disk_latency(sim->hosts[i], 50, 400);
		if ((appointment->a >> i & 1) == 0)
			continue;
		lost += host_up(sim->hosts[i]) && !sim->calm;
		faults_kill(sim, i, true);
	}
	if (lost > 1 && lost < sim->options.hosts)
		marks_reach(&sim->marks, MARK_POWER_SOME);
}

void fault_power_some(struct sim *sim)
{
	uint64_t subset = random_between(&sim->random, 1, (1u << sim->options.hosts) - 1);

	for (uint32_t i = 0; i < sim->options.hosts; i++)
		host_set_disk_latency(sim->hosts[i], 1000, 20000);
	faults_at(sim, random_between(&sim->random, 5000, 200000), power_fails, subset, 0);
}

/* The next request of a disk fails, or the next verb of Raft's store: the process ends, by design. */
void fault_io_error(struct sim *sim)
{
	struct host *host = sim->hosts[faults_controller_or_any(sim)];

	if (random_chance(&sim->random, 700))
		host_fail_disk(host, true);
	else
		host_fail_store(host, (uint32_t)random_between(&sim->random, 1, 20));
}

static void clock_right(void *owner, struct appointment *appointment)
{
	struct sim *sim = owner;

	if (!sim->calm)
		host_set_clock(sim->hosts[appointment->a], 0);
}

static int64_t clock_step_us(struct sim *sim)
{
	int64_t sign = random_chance(&sim->random, 500) ? 1 : -1;

	switch (random_between(&sim->random, 0, 2)) {
	case 0: return sign * (int64_t)random_between(&sim->random, 1000, 900000);
	case 1: return sign * (int64_t)random_between(&sim->random, SECOND_US, 60 * SECOND_US);
	default: return sign * (int64_t)random_between(&sim->random, 60 * SECOND_US, 6 * 3600 * SECOND_US);
	}
}

/* The wall clock is set, and set right again later; the other clock only drifts (host.c). */
void fault_clock(struct sim *sim)
{
	uint64_t length = random_between(&sim->random, 500000, 8000000);
	uint32_t times = random_chance(&sim->random, 200) ? sim->options.hosts : 1;

	for (uint32_t i = 0; i < times; i++) {
		uint32_t host = faults_controller_or_any(sim);

		host_set_clock(sim->hosts[host], clock_step_us(sim));
		faults_at(sim, length, clock_right, host, 0);
	}
	marks_reach(&sim->marks, MARK_CLOCK_STEP);
}

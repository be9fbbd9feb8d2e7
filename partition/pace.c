/* See pace.h. */
#include "partition/pace.h"

#define RATE_FIRST (UINT64_C(8) << 20)
#define RATE_LEAST (UINT64_C(1) << 20)
#define RATE_UNSEEN (UINT64_C(32) << 20) /* nothing completes: there is nobody, or all are stuck */
#define ADAPTED_LEAST (UINT64_C(4) << 20)
#define RATE_MOST (UINT64_C(1) << 30)
#define FLOOR_TIMES 4u
#define JUDGE_MS 1000u
#define STORE_MS 50u /* what is not used for so long is lost */

void pace_init(struct pace *pace, uint64_t fixed)
{
	*pace = (struct pace){.fixed = fixed,
			      .rate = fixed == 0 ? RATE_FIRST : fixed,
			      .judged_rate = RATE_FIRST,
			      .begins = true,
			      .usual = HISTOGRAM_BOUNDS};
}

/* The bucket that the slowest hundredth of what was counted since then begins in; false: nothing was. */
static bool slowest(const struct histogram *now, const struct histogram *then, uint32_t *bucket)
{
	uint64_t count = 0;
	uint64_t above = 0;
	uint32_t i = HISTOGRAM_BOUNDS + 1;

	for (uint32_t k = 0; k <= HISTOGRAM_BOUNDS; k++)
		count += now->counts[k] - then->counts[k];
	if (count == 0)
		return false;
	do {
		i--;
		above += now->counts[i] - then->counts[i];
	} while (above * 100 <= count);
	*bucket = i;
	return true;
}

/* The slowest but a quarter of the seconds seen. */
static void learn(struct pace *pace, uint32_t bucket)
{
	uint32_t count, slower = 0;

	pace->quiet[pace->quiet_count++ % PACE_QUIET_SECONDS] = bucket;
	count = pace->quiet_count < PACE_QUIET_SECONDS ? pace->quiet_count : PACE_QUIET_SECONDS;
	pace->usual = HISTOGRAM_BOUNDS + 1;
	do {
		pace->usual--;
		for (uint32_t i = 0; i < count; i++)
			slower += pace->quiet[i] == pace->usual;
	} while (slower <= count / 4);
}

static void adapt(struct pace *pace, uint32_t bucket)
{
	bool slower = bucket > pace->usual;

	if (slower && bucket > pace->usual + 1)
		pace->judged_rate /= 2;
	else if (slower)
		pace->judged_rate -= pace->judged_rate / 4;
	else
		pace->judged_rate += pace->begins ? pace->judged_rate : pace->judged_rate / 4;
	pace->begins = pace->begins && !slower;
	if (pace->judged_rate < ADAPTED_LEAST)
		pace->judged_rate = ADAPTED_LEAST;
	if (pace->judged_rate > RATE_MOST)
		pace->judged_rate = RATE_MOST;
}

static void judge(struct pace *pace, const struct histogram *completions)
{
	uint32_t bucket;

	pace->idle_seconds = pace->sent == 0 ? pace->idle_seconds + 1 : 0;
	if (pace->idle_seconds == PACE_QUIET_SECONDS) {
		pace->begins = true;
		pace->judged_rate = RATE_FIRST;
	}
	if (!slowest(completions, &pace->completions, &bucket)) {
		if (pace->sent > 0 && pace->judged_rate < RATE_UNSEEN)
			pace->judged_rate *= 2;
	} else if (pace->sent == 0) {
		learn(pace, bucket);
	} else {
		adapt(pace, bucket);
	}
}

static void bound(struct pace *pace, uint64_t appended_a_second)
{
	uint64_t floor = FLOOR_TIMES * appended_a_second;

	pace->rate = pace->fixed != 0 ? pace->fixed : pace->judged_rate;
	if (floor < RATE_LEAST)
		floor = RATE_LEAST;
	if (pace->rate < floor)
		pace->rate = floor;
	if (pace->rate > RATE_MOST)
		pace->rate = RATE_MOST;
}

void pace_turn(struct pace *pace, uint64_t now_ms, const struct histogram *completions, uint64_t appended)
{
	uint64_t passed = now_ms - pace->refilled_ms;
	int64_t store = (int64_t)(pace->rate * STORE_MS / 1000);

	if (now_ms - pace->judged_ms >= JUDGE_MS) {
		judge(pace, completions);
		bound(pace, (appended - pace->appended) * 1000 / (now_ms - pace->judged_ms));
		pace->judged_ms = now_ms;
		pace->completions = *completions;
		pace->appended = appended;
		pace->sent = 0;
	}
	if (passed > JUDGE_MS)
		passed = JUDGE_MS;
	pace->refilled_ms = now_ms;
	pace->left += (int64_t)(pace->rate * passed / 1000);
	if (pace->left > store)
		pace->left = store;
}

bool pace_permits(const struct pace *pace)
{
	return pace->left > 0;
}

void pace_take(struct pace *pace, size_t size)
{
	pace->left -= (int64_t)size;
	pace->sent += size;
	pace->sent_total += size;
}

uint64_t pace_wait_ms(const struct pace *pace)
{
	return pace->left > 0 ? 1 : (uint64_t)-pace->left * 1000 / pace->rate + 1;
}

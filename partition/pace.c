/* See pace.h. */
#include "partition/pace.h"

#define RATE_FIRST (UINT64_C(32) << 20)
#define RATE_LEAST (UINT64_C(1) << 20)
#define RATE_MOST (UINT64_C(1) << 30)
#define FLOOR_TIMES 4u
#define JUDGE_MS 1000u
#define STORE_MS 50u /* what is not used for so long is lost */

void pace_init(struct pace *pace, uint64_t fixed)
{
	*pace = (struct pace){.fixed = fixed, .rate = fixed == 0 ? RATE_FIRST : fixed, .usual = HISTOGRAM_BOUNDS};
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

static void judge(struct pace *pace, const struct histogram *completions)
{
	uint32_t bucket;

	if (!slowest(completions, &pace->completions, &bucket))
		return;
	if (pace->sent == 0)
		pace->usual = bucket;
	else if (bucket > pace->usual + 1)
		pace->rate /= 2;
	else if (bucket > pace->usual)
		pace->rate -= pace->rate / 4;
	else
		pace->rate += pace->rate / 4;
}

static void bound(struct pace *pace, uint64_t appended_a_second)
{
	uint64_t floor = FLOOR_TIMES * appended_a_second;

	if (pace->fixed != 0)
		pace->rate = pace->fixed;
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

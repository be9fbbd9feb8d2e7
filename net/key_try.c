/* Going through a peer's keys. The connection's thread. */
#include "net/key_try.h"

void key_try_begin(struct key_try *attempt, uint32_t count)
{
	attempt->count = count;
	attempt->failing_ms = 0;
}

void key_try_note(struct key_try *attempt, bool sent, uint64_t now_ms)
{
	if (sent)
		attempt->failing_ms = attempt->tried = 0;
	else if (attempt->failing_ms == 0)
		attempt->failing_ms = now_ms;
}

bool key_try_next(struct key_try *attempt, uint64_t now_ms)
{
	uint32_t rounds = attempt->count == 0 ? 0 : attempt->tried / attempt->count;
	uint64_t wait_ms = (uint64_t)KEY_TRY_MS << (rounds > KEY_TRY_DOUBLINGS ? KEY_TRY_DOUBLINGS : rounds);

	if (attempt->failing_ms == 0 || now_ms - attempt->failing_ms < wait_ms)
		return false;
	attempt->number++;
	attempt->tried++;
	return true;
}

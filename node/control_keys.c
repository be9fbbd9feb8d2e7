/* Keys read anew, and what follows for the connections of the control port. Control thread. */
#include "node/control.h"

static void tell(const struct control *control, const struct keyring_change *change)
{
	struct keyring *keyring = control->factory->keyring;
	char fingerprint[KEY_FINGERPRINT_BYTES];

	keyring_fingerprint(keyring, fingerprint);
	LOG_EVENT(control->log, keys_reloaded, .fingerprint = fingerprint, .trusted = keyring_count(keyring),
		  .added = change->added, .removed = change->removed,
		  .renewed = change->own || change->removed > 0 ? "yes" : "no");
}

void control_reload_keys(struct control *control)
{
	struct keyring *keyring = control->factory->keyring;
	struct keyring_change change;
	char why[KEY_WHY_BYTES];

	if (keyring == NULL) {
		LOG_EVENT(control->log, keys_none);
	} else if (keyring_reload(keyring, &change, why) != KEY_DONE) {
		LOG_EVENT(control->log, keys_kept, .observed = why);
	} else {
		tell(control, &change);
		for (uint64_t i = 0; i < control->values->shards; i++)
			inbox_wake(&control->shards[i].inbox);
		control_renew_port(control);
	}
}

void control_renew_port(struct control *control)
{
	socket_renew(control->factory, control->router, &control->renewal);
}

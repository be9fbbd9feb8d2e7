/* Checking and making HELLOs. The ROUTER's or DEALER's thread. */
#include "node/hello.h"

#include <assert.h>

const char *hello_outcome_text(enum hello_outcome outcome)
{
	switch (outcome) {
	case HELLO_TAKEN: return "taken";
	case HELLO_MALFORMED: return "malformed";
	case HELLO_VERSION: return "no cluster version in common";
	case HELLO_FOREIGN: return "of another cluster";
	case HELLO_MISDIRECTED: return "meant for another process";
	case HELLO_REFUSED_ID: return "routing id too long";
	case HELLO_OVERREACHED: return "it speaks as a node that its key is not of";
	}
	return "unknown";
}

static bool is_zero(const uint8_t id[16])
{
	for (size_t i = 0; i < 16; i++) {
		if (id[i] != 0)
			return false;
	}
	return true;
}

bool hello_is_foreign(const struct self *self, const uint8_t cluster_id[16])
{
	return !is_zero(cluster_id) && !is_zero(self->cluster_id) && memcmp(cluster_id, self->cluster_id, 16) != 0;
}

struct version_range hello_versions(const struct self *self)
{
	struct version_range versions = self->versions;

	if (versions.lowest < self->cluster_version)
		versions.lowest = self->cluster_version;
	return versions;
}

/* The cluster's version binds nodes; clients are answered in the one they know. */
static bool has_version(const struct self *self, const struct hello *hello)
{
	struct version_range theirs = {hello->version_min, hello->version_max};

	return versions_meet(theirs, hello->role == HELLO_PEER ? hello_versions(self) : self->versions);
}

static enum hello_outcome hello_check(const struct self *self, const struct visitor *visitor,
				      const struct message *message, struct hello *hello)
{
	struct reader reader = reader_of(message->body);

	if (hello_decode(&reader, hello) != 0 || !reader_done(&reader) || hello->role > HELLO_PEER)
		return HELLO_MALFORMED;
	if (hello->role == HELLO_PEER && !visitor_may_be_node(visitor, hello->name))
		return HELLO_OVERREACHED;
	if (hello_is_foreign(self, hello->cluster_id))
		return HELLO_FOREIGN;
	if (!has_version(self, hello))
		return HELLO_VERSION;
	if (hello->receiver_incarnation != 0 && hello->receiver_incarnation != self->sender.incarnation)
		return HELLO_MISDIRECTED;
	return HELLO_TAKEN;
}

struct guest *hello_guest(struct guests *guests, const struct hello_from *from)
{
	struct guest *guest = guests_find(guests, from->id);

	return guest != NULL && guest->key == from->visitor.key ? guest : NULL;
}

/* The routing id may have been another's: what is sent to that one must not reach this one. */
static struct guest *enter(struct guests *guests, const struct hello_from *from, uint64_t *gone)
{
	struct guest *known = guests_find(guests, from->id);
	uint64_t former = 0;
	struct guest *guest;

	if (known != NULL && known->key != from->visitor.key) {
		former = known->name;
		guests_remove(guests, known);
	}
	guest = guests_put(guests, from->id, gone);
	*gone = former != 0 ? former : *gone; /* never both: its place was free */
	return guest;
}

enum hello_outcome hello_take(struct guests *guests, const struct self *self, const struct hello_from *from,
			      const struct message *message, uint64_t now_ms, struct guest **guest, uint64_t *gone)
{
	struct hello hello;
	enum hello_outcome outcome = hello_check(self, &from->visitor, message, &hello);

	assert(message->kind == MESSAGE_HELLO);
	*guest = NULL;
	*gone = 0;
	if (outcome != HELLO_TAKEN)
		return outcome;
	*guest = enter(guests, from, gone);
	if (*guest == NULL)
		return HELLO_REFUSED_ID;
	(*guest)->role = hello.role == HELLO_PEER ? GUEST_PEER : GUEST_CLIENT;
	(*guest)->node_id = message->node_id;
	(*guest)->incarnation = message->incarnation;
	(*guest)->key = from->visitor.key;
	(*guest)->versions = (struct version_range){hello.version_min, hello.version_max};
	guests_touch(guests, *guest, now_ms);
	return HELLO_TAKEN;
}

static void frame_with_hello(const struct self *self, enum message_kind kind, uint64_t receiver, struct buffer *frame)
{
	struct version_range versions = hello_versions(self);
	struct hello hello = {
		.version_min = versions.lowest,
		.version_max = versions.highest,
		.role = HELLO_PEER,
		.receiver_incarnation = receiver,
		.name = span_of_text(self->name),
	};

	memcpy(hello.cluster_id, self->cluster_id, sizeof hello.cluster_id);
	message_begin(frame);
	hello_encode(&hello, frame);
	message_end(frame, &self->sender, kind, 0);
}

void hello_frame(const struct self *self, uint64_t receiver_incarnation, struct buffer *frame)
{
	frame_with_hello(self, MESSAGE_HELLO, receiver_incarnation, frame);
}

void hello_welcome_frame(const struct self *self, struct buffer *frame)
{
	frame_with_hello(self, MESSAGE_WELCOME, 0, frame);
}

void hello_wanted_frame(const struct self *self, struct buffer *frame)
{
	message_begin(frame);
	message_end(frame, &self->sender, MESSAGE_HELLO_WANTED, 0);
}

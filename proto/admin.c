/* The commands that clients and operators may propose; the same bytes as raft/command.h reads. */
#include "proto/admin.h"

#include <assert.h>

#include "proto/error.h"

#define COMMAND_HEADER_BYTES 6u

/* Those of struct admin. */
static bool kind_is_named(enum admin_kind kind)
{
	return kind == ADMIN_STREAM_CREATE || kind == ADMIN_VIEW_APPLY || kind == ADMIN_VIEW_DROP;
}

static int admin_check(const struct admin *admin)
{
	if (admin->name.size == 0 || (admin->kind == ADMIN_VIEW_DROP && admin->expected_version == 0) ||
	    (admin->kind == ADMIN_VIEW_APPLY && admin->definition.size == 0))
		return ERROR_EMPTY;
	if (admin->name.size > NAME_MAX_BYTES || admin->settings.size > DEFINITION_MAX_BYTES ||
	    admin->definition.size > DEFINITION_MAX_BYTES)
		return ERROR_LIMIT;
	return 0;
}

static size_t command_begin(enum admin_kind kind, struct buffer *out)
{
	size_t begin = out->size;

	buffer_u16(out, (uint16_t)kind);
	buffer_u32(out, 0);
	return begin;
}

static int command_end(size_t begin, struct buffer *out)
{
	if (out->failed)
		return ERROR_MEMORY;
	store_little(out->data + begin + 2, 4, out->size - begin - COMMAND_HEADER_BYTES);
	return 0;
}

static void admin_encode_body(const struct admin *admin, struct buffer *out)
{
	buffer_string(out, admin->name);
	if (admin->kind == ADMIN_STREAM_CREATE) {
		buffer_string(out, admin->settings);
		return;
	}
	buffer_u32(out, admin->expected_version);
	if (admin->kind == ADMIN_VIEW_APPLY)
		buffer_string(out, admin->definition);
}

int admin_encode(const struct admin *admin, struct buffer *out)
{
	size_t begin;
	int rv = admin_check(admin);

	assert(kind_is_named(admin->kind));
	if (rv != 0)
		return rv;
	begin = command_begin(admin->kind, out);
	admin_encode_body(admin, out);
	return command_end(begin, out);
}

int admin_elect_encode(const struct admin_elect *elect, struct buffer *out)
{
	size_t begin;

	if (elect->partition >= PARTITION_COUNT || elect->node_id == 0 || elect->node_id > NODES_MAX ||
	    elect->reason.size > NAME_MAX_BYTES)
		return ERROR_LIMIT;
	begin = command_begin(ADMIN_ELECT, out);
	buffer_u16(out, elect->partition);
	buffer_u64(out, elect->expected_version);
	buffer_u8(out, (uint8_t)elect->node_id);
	buffer_string(out, elect->reason);
	return command_end(begin, out);
}

int admin_node_encode(const struct admin_node *node, struct buffer *out)
{
	size_t begin;

	assert(node->kind == ADMIN_DECOMMISSION || (node->kind == ADMIN_DRAIN && !node->unregistered));
	if (node->name.size == 0)
		return ERROR_EMPTY;
	if (node->name.size > NAME_MAX_BYTES)
		return ERROR_LIMIT;
	begin = command_begin(node->kind, out);
	buffer_string(out, node->name);
	buffer_u8(out, (uint8_t)(((node->kind == ADMIN_DECOMMISSION) == node->undo) | node->unregistered << 1));
	return command_end(begin, out);
}

int admin_version_encode(const struct admin_version *raise, struct buffer *out)
{
	size_t begin = command_begin(ADMIN_RAISE_VERSION, out);
	uint32_t count = 0;

	buffer_u16(out, raise->version);
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		if (raise->node_epochs[i] == 0)
			continue;
		buffer_u8(out, (uint8_t)(i + 1));
		buffer_u64(out, raise->node_epochs[i]);
		count++;
	}
	return raise->version == 0 || count == 0 ? ERROR_EMPTY : command_end(begin, out);
}

int admin_decode(struct span bytes, struct admin *admin)
{
	struct reader in = reader_of(bytes);
	struct admin a = {.kind = (enum admin_kind)reader_u16(&in)};
	uint32_t size = reader_u32(&in);

	if (in.failed || size != reader_left(&in))
		return ERROR_MALFORMED;
	if (!kind_is_named(a.kind))
		return ERROR_VERSION;
	a.name = reader_string(&in, NAME_MAX_BYTES);
	if (a.kind == ADMIN_STREAM_CREATE) {
		a.settings = reader_string(&in, DEFINITION_MAX_BYTES);
	} else {
		a.expected_version = reader_u32(&in);
		if (a.kind == ADMIN_VIEW_APPLY)
			a.definition = reader_string(&in, DEFINITION_MAX_BYTES);
	}
	if (!reader_done(&in) || admin_check(&a) != 0)
		return ERROR_MALFORMED;
	*admin = a;
	return 0;
}

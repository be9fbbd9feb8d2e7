/* A metadata command as clients write it: what admin_decode takes is written and taken the same again, and where the
 * cluster takes it too, it reads the same (raft/command.h and proto/admin.h are one format).
 *
 * Input: u16 kind, body; the size between the two is made. */
#include <assert.h>

#include "proto/admin.h"
#include "raft/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static bool is_of_admin(uint16_t kind)
{
	return kind == ADMIN_STREAM_CREATE || kind == ADMIN_VIEW_APPLY || kind == ADMIN_VIEW_DROP;
}

static void round_trip(const struct admin *admin)
{
	struct buffer bytes = BUFFER_NULL;
	struct admin again;

	assert(admin_encode(admin, &bytes) == 0);
	assert(admin_decode(buffer_span(&bytes), &again) == 0);
	assert(again.kind == admin->kind && again.expected_version == admin->expected_version);
	assert(span_equal(again.name, admin->name));
	assert(span_equal(again.settings, admin->settings));
	assert(span_equal(again.definition, admin->definition));
	buffer_deinit(&bytes);
}

static void read_by_the_cluster(struct span body, const struct admin *admin)
{
	struct command_stream stream;
	struct command_view view;
	struct command_drop drop;

	if (admin->kind == ADMIN_STREAM_CREATE && command_stream_decode(body, &stream) == 0) {
		assert(span_equal(stream.name, admin->name));
		assert(span_equal(stream.settings, admin->settings));
	} else if (admin->kind == ADMIN_VIEW_APPLY && command_view_decode(body, &view) == 0) {
		assert(span_equal(view.name, admin->name));
		assert(view.expected_version == admin->expected_version);
		assert(span_equal(view.definition, admin->definition));
	} else if (admin->kind == ADMIN_VIEW_DROP && command_drop_decode(body, &drop) == 0) {
		assert(span_equal(drop.name, admin->name));
		assert(drop.expected_version == admin->expected_version);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_of(span_of(data, size_bytes));
	struct buffer bytes = BUFFER_NULL;
	uint16_t kind = reader_u16(&in);
	struct admin admin;
	int rv;

	if (in.failed)
		return 0;
	buffer_u16(&bytes, kind);
	buffer_u32(&bytes, (uint32_t)reader_left(&in));
	buffer_bytes(&bytes, in.at, reader_left(&in));
	rv = admin_decode(buffer_span(&bytes), &admin);
	assert(rv == 0 || rv == ERROR_MALFORMED || rv == ERROR_VERSION);
	assert((rv == ERROR_VERSION) == !is_of_admin(kind));
	if (rv == 0) {
		round_trip(&admin);
		read_by_the_cluster(span_of(in.at, reader_left(&in)), &admin);
	}
	buffer_deinit(&bytes);
	return 0;
}

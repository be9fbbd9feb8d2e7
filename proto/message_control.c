/* Bodies of the control port's messages. */
#include <assert.h>

#include "proto/message.h"

/* --- hello: u16 version min, u16 version max, u8 role, 16 bytes cluster id, u64 receiver incarnation, string name */

void hello_encode(const struct hello *hello, struct buffer *out)
{
	assert(hello->name.size <= NAME_MAX_BYTES);
	buffer_u16(out, hello->version_min);
	buffer_u16(out, hello->version_max);
	buffer_u8(out, hello->role);
	buffer_bytes(out, hello->cluster_id, sizeof hello->cluster_id);
	buffer_u64(out, hello->receiver_incarnation);
	buffer_string(out, hello->name);
}

int hello_decode(struct reader *in, struct hello *hello)
{
	struct span cluster_id;

	hello->version_min = reader_u16(in);
	hello->version_max = reader_u16(in);
	hello->role = reader_u8(in);
	cluster_id = reader_bytes(in, sizeof hello->cluster_id);
	hello->receiver_incarnation = reader_u64(in);
	hello->name = reader_string(in, NAME_MAX_BYTES);
	if (in->failed || hello->role > HELLO_PEER || hello->version_min > hello->version_max)
		return ERROR_MALFORMED;
	memcpy(hello->cluster_id, cluster_id.data, cluster_id.size);
	return 0;
}

/* --- heartbeat: four u64, u8 stop ---------------------------------------------------------------------------- */

void heartbeat_encode(const struct heartbeat *heartbeat, struct buffer *out)
{
	buffer_u64(out, heartbeat->sent_ms);
	buffer_u64(out, heartbeat->map_version);
	buffer_u64(out, heartbeat->clock_unix_ms);
	buffer_u64(out, heartbeat->registered_epoch);
	buffer_u8(out, heartbeat->stop);
}

int heartbeat_decode(struct reader *in, struct heartbeat *heartbeat)
{
	heartbeat->sent_ms = reader_u64(in);
	heartbeat->map_version = reader_u64(in);
	heartbeat->clock_unix_ms = reader_u64(in);
	heartbeat->registered_epoch = reader_u64(in);
	heartbeat->stop = reader_u8(in);
	return in->failed || heartbeat->stop > HEARTBEAT_STOPPED ? ERROR_MALFORMED : 0;
}

/* --- propose result: u64 ticket, u16 error, u32 controller, u64 map version, string detail ------------------ */

void propose_result_encode(const struct propose_result *result, struct buffer *out)
{
	assert(result->detail.size <= DEFINITION_MAX_BYTES);
	buffer_u64(out, result->ticket);
	buffer_u16(out, result->error);
	buffer_u32(out, result->controller);
	buffer_u64(out, result->map_version);
	buffer_string(out, result->detail);
}

int propose_result_decode(struct reader *in, struct propose_result *result)
{
	result->ticket = reader_u64(in);
	result->error = reader_u16(in);
	result->controller = reader_u32(in);
	result->map_version = reader_u64(in);
	result->detail = reader_string(in, DEFINITION_MAX_BYTES);
	return in->failed || result->controller > NODES_MAX ? ERROR_MALFORMED : 0;
}

/* --- node join: u64 Raft id, u8 member, string name, string control address ----------------------------------- */

void node_join_encode(const struct node_join *join, struct buffer *out)
{
	assert(join->name.size <= NAME_MAX_BYTES && join->control_address.size <= ADDRESS_MAX_BYTES);
	buffer_u64(out, join->raft_id);
	buffer_u8(out, join->member);
	buffer_string(out, join->name);
	buffer_string(out, join->control_address);
}

static bool is_text(struct span text)
{
	return text.size == 0 || memchr(text.data, 0, text.size) == NULL;
}

int node_join_decode(struct reader *in, struct node_join *join)
{
	uint8_t member;

	join->raft_id = reader_u64(in);
	member = reader_u8(in);
	join->member = member == 1;
	join->name = reader_string(in, NAME_MAX_BYTES);
	join->control_address = reader_string(in, ADDRESS_MAX_BYTES);
	if (in->failed || member > 1 || join->raft_id == 0 || join->name.size == 0 || join->control_address.size == 0)
		return ERROR_MALFORMED;
	return is_text(join->name) && is_text(join->control_address) ? 0 : ERROR_MALFORMED;
}

/* --- its answer: u64 Raft id, 16 bytes cluster id, u64 map version, u8 state, string text --------------------- */

void node_join_answer_encode(const struct node_join_answer *answer, struct buffer *out)
{
	assert(answer->text.size <= ADDRESS_MAX_BYTES);
	buffer_u64(out, answer->raft_id);
	buffer_bytes(out, answer->cluster_id, sizeof answer->cluster_id);
	buffer_u64(out, answer->map_version);
	buffer_u8(out, answer->state);
	buffer_string(out, answer->text);
}

int node_join_answer_decode(struct reader *in, struct node_join_answer *answer)
{
	struct span cluster_id;

	answer->raft_id = reader_u64(in);
	cluster_id = reader_bytes(in, sizeof answer->cluster_id);
	answer->map_version = reader_u64(in);
	answer->state = reader_u8(in);
	answer->text = reader_string(in, ADDRESS_MAX_BYTES);
	if (in->failed || answer->state > NODE_JOIN_REPLACED || !is_text(answer->text))
		return ERROR_MALFORMED;
	memcpy(answer->cluster_id, cluster_id.data, cluster_id.size);
	return 0;
}

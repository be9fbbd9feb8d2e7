/* Bodies of the messages that decide on blocked keys. Little-endian, without padding. */
#include <assert.h>

#include "proto/message.h"

/* --- decide: u64 ticket, u16 partition, u8 decision, u32 view id, u64 offset, string key, string partition key */

void decide_encode(const struct decide *decide, struct buffer *out)
{
	assert(decide->key.size <= KEY_MAX_BYTES);
	assert(decide->partition_key.size <= KEY_MAX_BYTES);
	buffer_u64(out, decide->ticket);
	buffer_u16(out, decide->partition);
	buffer_u8(out, decide->decision);
	buffer_u32(out, decide->view_id);
	buffer_u64(out, decide->offset);
	buffer_string(out, decide->key);
	buffer_string(out, decide->partition_key);
}

int decide_decode(struct reader *in, struct decide *decide)
{
	decide->ticket = reader_u64(in);
	decide->partition = reader_u16(in);
	decide->decision = reader_u8(in);
	decide->view_id = reader_u32(in);
	decide->offset = reader_u64(in);
	decide->key = reader_string(in, KEY_MAX_BYTES);
	decide->partition_key = reader_string(in, KEY_MAX_BYTES);
	if (in->failed || decide->partition >= PARTITION_COUNT || decide->view_id == 0 || decide->key.size == 0 ||
	    (decide->decision != DECIDE_RETRY && decide->decision != DECIDE_SKIP))
		return ERROR_MALFORMED;
	return 0;
}

/* --- decided: u64 ticket, u16 partition, u16 error, u64 at */

void decided_encode(const struct decided *decided, struct buffer *out)
{
	buffer_u64(out, decided->ticket);
	buffer_u16(out, decided->partition);
	buffer_u16(out, decided->error);
	buffer_u64(out, decided->at);
}

int decided_decode(struct reader *in, struct decided *decided)
{
	decided->ticket = reader_u64(in);
	decided->partition = reader_u16(in);
	decided->error = reader_u16(in);
	decided->at = reader_u64(in);
	return in->failed || decided->partition >= PARTITION_COUNT ? ERROR_MALFORMED : 0;
}

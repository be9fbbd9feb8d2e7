/* One file of a back-up (backup_data.h has the format): made in memory, and read back with nothing taken on trust. */
#include "client/cli/backup_data.h"
#include "proto/checksum.h"

static const uint8_t magic[4] = {'E', 'V', 'G', 'B'};

#define FORMAT 1u
#define CHECKED_HEADER_BYTES 40u

/* --- writing ------------------------------------------------------------------------------------------------------ */

static uint64_t checksum_of(struct span bytes)
{
	return checksum_parts(&bytes, 1);
}

void backup_writer_begin(struct backup_writer *writer, const struct backup_place *place)
{
	buffer_clear(&writer->bytes);
	writer->place = *place;
	writer->facts = (struct backup_facts){.end = place->first, .epoch = place->epoch_before};
	buffer_bytes(&writer->bytes, magic, sizeof magic);
	buffer_u16(&writer->bytes, FORMAT);
	buffer_u16(&writer->bytes, place->partition);
	buffer_bytes(&writer->bytes, place->cluster_id, sizeof place->cluster_id);
	buffer_u64(&writer->bytes, place->first);
	buffer_u32(&writer->bytes, place->history);
	buffer_u32(&writer->bytes, place->epoch_before);
	if (!writer->bytes.failed)
		buffer_u64(&writer->bytes, checksum_of(buffer_span(&writer->bytes)));
}

/* Whether the batch is the next one, and what it adds. */
static bool facts_take(struct backup_facts *facts, uint16_t partition, const struct batch *batch)
{
	if (batch->partition != partition || batch->record_count == 0 || batch->base_offset != facts->end ||
	    batch->epoch == 0 || batch->epoch < facts->epoch || batch->base_sequence <= facts->last_sequence ||
	    !sequence_is_sound(batch->base_sequence, batch->partition, batch->record_count))
		return false;
	facts->end = batch_end_offset(batch);
	facts->epoch = batch->epoch;
	facts->last_sequence = batch->base_sequence + batch->record_count - 1;
	facts->batches++;
	facts->records += batch->record_count;
	if ((batch->flags & BATCH_CONTROL) == 0)
		facts->events += batch->record_count;
	return true;
}

int backup_writer_add(struct backup_writer *writer, const struct batch *batch)
{
	if (!facts_take(&writer->facts, writer->place.partition, batch))
		return ERROR_MALFORMED;
	buffer_bytes(&writer->bytes, batch->bytes.data, batch->bytes.size);
	return writer->bytes.failed ? ERROR_MEMORY : 0;
}

int backup_writer_end(struct backup_writer *writer)
{
	struct backup_facts *facts = &writer->facts;

	buffer_u64(&writer->bytes, facts->end);
	buffer_u32(&writer->bytes, facts->epoch);
	buffer_u32(&writer->bytes, facts->batches);
	buffer_u64(&writer->bytes, facts->records);
	if (writer->bytes.failed)
		return ERROR_MEMORY;
	facts->checksum = checksum_of(buffer_span(&writer->bytes));
	buffer_u64(&writer->bytes, facts->checksum);
	facts->size_bytes = writer->bytes.size;
	return writer->bytes.failed ? ERROR_MEMORY : 0;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

int backup_header_check(struct span bytes, const struct backup_place *place, const char **why)
{
	struct reader in = reader_of(bytes);
	struct span head = span_of(bytes.data, CHECKED_HEADER_BYTES);
	bool is_ours = span_equal(reader_bytes(&in, sizeof magic), span_of(magic, sizeof magic));
	uint16_t format = reader_u16(&in);
	bool is_here = reader_u16(&in) == place->partition;

	is_here &= span_equal(reader_bytes(&in, 16), span_of(place->cluster_id, 16));
	is_here &= reader_u64(&in) == place->first;
	is_here &= reader_u32(&in) == place->history;
	is_here &= reader_u32(&in) == place->epoch_before;
	*why = "it is no file of a back-up";
	if (!is_ours)
		return ERROR_MALFORMED;
	*why = "its format is of another release";
	if (format != FORMAT)
		return ERROR_VERSION;
	*why = "its header's checksum does not match";
	if (reader_u64(&in) != checksum_of(head))
		return ERROR_CHECKSUM;
	*why = "it belongs to another place, history or cluster";
	return is_here ? 0 : ERROR_MALFORMED;
}

static int batches_check(struct span left, uint16_t partition, struct backup_facts *facts, const char **why)
{
	while (left.size > 0) {
		struct batch batch;
		int rv = batch_decode_stamped(left, &batch);

		*why = "a batch's checksum does not match, or it is cut short";
		if (rv != 0)
			return rv;
		*why = "a batch does not follow the one before it";
		if (!facts_take(facts, partition, &batch))
			return ERROR_MALFORMED;
		left = span_of(left.data + batch.size, left.size - batch.size);
	}
	return 0;
}

static int trailer_check(struct span bytes, const struct backup_facts *facts, const char **why)
{
	struct reader in = reader_of(span_of(bytes.data + bytes.size - BACKUP_TRAILER_BYTES, BACKUP_TRAILER_BYTES));
	bool agrees = reader_u64(&in) == facts->end;

	agrees &= reader_u32(&in) == facts->epoch;
	agrees &= reader_u32(&in) == facts->batches;
	agrees &= reader_u64(&in) == facts->records;
	*why = "its trailer says something else than its batches";
	return agrees ? 0 : ERROR_MALFORMED;
}

struct span backup_file_batches(struct span bytes)
{
	return span_of(bytes.data + BACKUP_HEADER_BYTES, bytes.size - BACKUP_HEADER_BYTES - BACKUP_TRAILER_BYTES);
}

int backup_file_check(struct span bytes, const struct backup_place *place, uint64_t last_sequence,
		      struct backup_facts *facts, const char **why)
{
	int rv;

	*facts = (struct backup_facts){
		.end = place->first, .epoch = place->epoch_before, .last_sequence = last_sequence};
	*why = "it is cut short";
	if (bytes.size < BACKUP_HEADER_BYTES + BACKUP_TRAILER_BYTES)
		return ERROR_MALFORMED;
	facts->size_bytes = bytes.size;
	facts->checksum = load_little(bytes.data + bytes.size - 8, 8);
	rv = backup_header_check(bytes, place, why);
	if (rv != 0)
		return rv;
	*why = "its checksum does not match";
	if (facts->checksum != checksum_of(span_of(bytes.data, bytes.size - 8)))
		return ERROR_CHECKSUM;
	rv = batches_check(backup_file_batches(bytes), place->partition, facts, why);
	return rv == 0 ? trailer_check(bytes, facts, why) : rv;
}

/* The fold of the log over its producers, and the verdict on the next batch. */
#include "partition/producers.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "proto/identity.h"

static uint64_t producer_hash(uint64_t id)
{
	return XXH3_64bits(&id, sizeof id);
}

static struct producer *producers_find(const struct producers *producers, uint64_t id)
{
	struct table_probe probe = table_probe(&producers->table, producer_hash(id));
	struct producer *producer;

	while ((producer = table_probe_next(&probe)) != NULL)
		if (producer->id == id)
			return producer;
	return NULL;
}

/* --- digest: a sum over entries and over the answers they keep --------------------------------------------------- */

static uint64_t digest_words(const uint64_t *words, size_t count)
{
	uint8_t bytes[64];

	assert(count * 8 <= sizeof bytes);
	for (size_t i = 0; i < count; i++)
		store_little(bytes + 8 * i, 8, words[i]);
	return XXH3_64bits(bytes, count * 8);
}

static uint64_t producer_digest_head(const struct producer *producer)
{
	const uint64_t words[] = {producer->id, (uint64_t)producer->log.last << 16 | producer->log.epoch,
				  producer->used_ms};

	return digest_words(words, 3);
}

static uint64_t producer_digest_kept(const struct producer *producer, const struct producer_kept *kept)
{
	const uint64_t words[] = {producer->id, (uint64_t)kept->number << 16 | kept->answer.record_count,
				  kept->checksum, kept->answer.base_offset, kept->answer.base_sequence};

	return kept->number == 0 ? 0 : digest_words(words, 5);
}

static uint64_t producer_digest(const struct producer *producer)
{
	uint64_t sum = producer_digest_head(producer);

	for (size_t i = 0; i < PRODUCER_WINDOW; i++)
		sum += producer_digest_kept(producer, &producer->log.kept[i]);
	return sum;
}

uint64_t producers_digest_recompute(const struct producers *producers)
{
	uint64_t sum = 0;

	for (const struct producer *p = producers->oldest; p != NULL; p = p->newer)
		sum += producer_digest(p);
	return sum;
}

/* --- entries ----------------------------------------------------------------------------------------------------- */

static void use_list_remove(struct producers *producers, struct producer *producer)
{
	*(producer->older == NULL ? &producers->oldest : &producer->older->newer) = producer->newer;
	*(producer->newer == NULL ? &producers->newest : &producer->newer->older) = producer->older;
	producer->newer = NULL;
	producer->older = NULL;
}

static void use_list_append(struct producers *producers, struct producer *producer)
{
	producer->older = producers->newest;
	producer->newer = NULL;
	*(producers->newest == NULL ? &producers->oldest : &producers->newest->newer) = producer;
	producers->newest = producer;
}

static struct producer *producers_add(struct producers *producers, uint64_t id)
{
	struct producer *producer = calloc(1, sizeof *producer);

	if (producer == NULL)
		return NULL;
	producer->id = id;
	if (table_insert(&producers->table, producer_hash(id), producer) != 0) {
		free(producer);
		return NULL;
	}
	return producer;
}

static void producers_drop(struct producers *producers, struct producer *producer)
{
	assert(!producer->committed);
	assert(producer->tail == NULL);
	table_remove(&producers->table, producer_hash(producer->id), producer);
	free(producer);
}

void producers_deinit(struct producers *producers)
{
	struct producer *producer;
	size_t place = 0;

	while ((producer = table_next(&producers->table, &place)) != NULL) {
		free(producer->tail);
		free(producer);
	}
	table_free_slots(&producers->table);
	*producers = (struct producers){0};
}

/* An id is judged by when it was issued as well as by its last use: what has expired here must also be too old to be
 * taken for new (an id from a clock that runs ahead would be neither). */
static bool producer_expired(const struct producer *producer, uint64_t log_ms)
{
	uint64_t issued_ms = producer_id_unix_ms(producer->id);
	uint64_t since_ms = producer->used_ms > issued_ms ? producer->used_ms : issued_ms;

	return since_ms + PRODUCER_EXPIRY_MS < log_ms;
}

/* --- the committed layer ----------------------------------------------------------------------------------------- */

static uint64_t batch_log_ms(const struct batch *batch)
{
	return batch->ingest_time_us / 1000;
}

static void layer_take(struct producer_layer *layer, const struct batch *batch)
{
	struct producer_kept *kept = &layer->kept[batch->number % PRODUCER_WINDOW];

	layer->epoch = batch->producer_epoch;
	layer->last = batch->number;
	*kept = (struct producer_kept){
		.number = batch->number,
		.checksum = batch->checksum,
		.answer = {batch->base_offset, batch->base_sequence, batch->record_count},
	};
}

static void producers_commit(struct producers *producers, struct producer *producer, const struct batch *batch)
{
	struct producer_kept *kept = &producer->log.kept[batch->number % PRODUCER_WINDOW];
	uint64_t log_ms = batch_log_ms(batch);

	if (producer->committed) {
		producers->digest -= producer_digest_head(producer) + producer_digest_kept(producer, kept);
		use_list_remove(producers, producer);
	} else {
		producer->committed = true;
		producers->count++;
	}
	layer_take(&producer->log, batch);
	producer->used_ms = log_ms > producers->log_ms ? log_ms : producers->log_ms;
	use_list_append(producers, producer);
	producers->digest += producer_digest_head(producer) + producer_digest_kept(producer, kept);
}

static void producers_forget(struct producers *producers, struct producer *producer)
{
	assert(producer->committed);
	producers->digest -= producer_digest(producer);
	use_list_remove(producers, producer);
	producer->committed = false;
	producer->log = (struct producer_layer){0};
	producers->count--;
	if (producer->tail == NULL)
		producers_drop(producers, producer);
	else
		producers->tail_count++;
}

static void producers_expire(struct producers *producers)
{
	for (unsigned i = 0; i < PRODUCER_EXPIRED_MAX && producers->oldest != NULL; i++) {
		if (!producer_expired(producers->oldest, producers->log_ms))
			return;
		producers_forget(producers, producers->oldest);
	}
}

static void tail_list_remove(struct producers *producers, struct producer *producer)
{
	*(producer->tail_before == NULL ? &producers->tails : &producer->tail_before->tail_next) = producer->tail_next;
	if (producer->tail_next != NULL)
		producer->tail_next->tail_before = producer->tail_before;
	producer->tail_next = NULL;
	producer->tail_before = NULL;
	free(producer->tail);
	producer->tail = NULL;
	if (!producer->committed)
		producers->tail_count--;
}

static int tail_list_add(struct producers *producers, struct producer *producer)
{
	producer->tail = calloc(1, sizeof *producer->tail);
	if (producer->tail == NULL)
		return ERROR_MEMORY;
	producer->tail_next = producers->tails;
	if (producers->tails != NULL)
		producers->tails->tail_before = producer;
	producers->tails = producer;
	producers->tail_count += producer->committed ? 0 : 1;
	return 0;
}

/* The tail layer goes with the last batch that it holds. */
static void producers_tail_covered(struct producers *producers, struct producer *producer, const struct batch *batch)
{
	if (producer->tail != NULL && producer->tail_end <= batch_end_offset(batch))
		tail_list_remove(producers, producer);
}

int producers_apply(struct producers *producers, const struct batch *batch)
{
	uint64_t log_ms = batch_log_ms(batch);

	if (batch->producer_id != 0) {
		struct producer *producer = producers_find(producers, batch->producer_id);

		if (producer == NULL)
			producer = producers_add(producers, batch->producer_id);
		if (producer == NULL)
			return ERROR_MEMORY;
		if (!producer->committed && producer->tail != NULL)
			producers->tail_count--;
		producers_commit(producers, producer, batch);
		producers_tail_covered(producers, producer, batch);
	}
	if (log_ms > producers->log_ms)
		producers->log_ms = log_ms;
	producers_expire(producers);
	return 0;
}

/* --- the tail layer ---------------------------------------------------------------------------------------------- */

int producers_tail_add(struct producers *producers, const struct batch *batch)
{
	uint64_t log_ms = batch_log_ms(batch);

	if (batch->producer_id != 0) {
		struct producer *producer = producers_find(producers, batch->producer_id);

		if (producer == NULL)
			producer = producers_add(producers, batch->producer_id);
		if (producer == NULL)
			return ERROR_MEMORY;
		if (producer->tail == NULL && tail_list_add(producers, producer) != 0) {
			if (!producer->committed)
				producers_drop(producers, producer);
			return ERROR_MEMORY;
		}
		layer_take(producer->tail, batch);
		producer->tail_end = batch_end_offset(batch);
	}
	if (log_ms > producers->tail_ms)
		producers->tail_ms = log_ms;
	return 0;
}

void producers_tail_clear(struct producers *producers)
{
	struct producer *producer;

	while ((producer = producers->tails) != NULL) {
		tail_list_remove(producers, producer);
		if (!producer->committed)
			producers_drop(producers, producer);
	}
	producers->tail_ms = 0;
}

/* --- verdict ----------------------------------------------------------------------------------------------------- */

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* A new producer: its first batch, an id that cannot have been here before, and room. A full table has room again when
 * the batch, stamped about now, will let the oldest producer expire. */
static enum producer_verdict producers_check_new(const struct producers *producers, const struct batch *batch,
						 uint64_t log_ms, uint64_t now_unix_ms)
{
	uint64_t latest_ms = larger(log_ms, now_unix_ms);

	if (batch->number != 1 || producer_id_unix_ms(batch->producer_id) + PRODUCER_EXPIRY_MS < latest_ms)
		return PRODUCER_UNKNOWN;
	if (producers->count + producers->tail_count >= PRODUCERS_MAX &&
	    (producers->oldest == NULL || !producer_expired(producers->oldest, latest_ms)))
		return PRODUCER_FULL;
	return PRODUCER_NEXT;
}

static enum producer_verdict producer_check_kept(const struct producer_layer *layer, const struct batch *batch,
						 struct producer_answer *answer)
{
	const struct producer_kept *kept = &layer->kept[batch->number % PRODUCER_WINDOW];

	if (kept->number != batch->number)
		return PRODUCER_UNKNOWN; /* too old to tell */
	if (kept->checksum != batch->checksum)
		return PRODUCER_CONFLICT;
	*answer = kept->answer;
	return PRODUCER_DUPLICATE;
}

enum producer_verdict producers_check(const struct producers *producers, const struct batch *batch,
				      uint64_t now_unix_ms, struct producer_answer *answer)
{
	const struct producer *producer = producers_find(producers, batch->producer_id);
	uint64_t log_ms = larger(producers->log_ms, producers->tail_ms);
	bool committed = producer != NULL && producer->committed && !producer_expired(producer, log_ms);
	const struct producer_layer *layer;

	*answer = (struct producer_answer){0};
	if (batch->producer_id == 0)
		return PRODUCER_NEXT;
	if (producer == NULL || (!committed && producer->tail == NULL))
		return producers_check_new(producers, batch, log_ms, now_unix_ms);
	layer = producer->tail != NULL ? producer->tail : &producer->log;
	if (batch->producer_epoch < layer->epoch)
		return PRODUCER_FENCED;
	if (layer->last < UINT32_MAX && batch->number == layer->last + 1)
		return PRODUCER_NEXT;
	if (batch->number == 0 || batch->number > layer->last || batch->producer_epoch > layer->epoch)
		return PRODUCER_GAP;
	if (layer == producer->tail && layer->kept[batch->number % PRODUCER_WINDOW].number != batch->number &&
	    committed)
		layer = &producer->log;
	return producer_check_kept(layer, batch, answer);
}

/* --- snapshots --------------------------------------------------------------------------------------------------- */

void producers_encode(const struct producers *producers, struct buffer *out)
{
	buffer_u64(out, producers->log_ms);
	buffer_varint(out, producers->count);
	for (const struct producer *p = producers->oldest; p != NULL; p = p->newer) {
		buffer_u64(out, p->id);
		buffer_u64(out, p->used_ms);
		buffer_u16(out, p->log.epoch);
		buffer_u32(out, p->log.last);
		for (size_t i = 0; i < PRODUCER_WINDOW; i++) {
			const struct producer_kept *kept = &p->log.kept[i];

			buffer_varint(out, kept->number);
			if (kept->number == 0)
				continue;
			buffer_u64(out, kept->checksum);
			buffer_u64(out, kept->answer.base_offset);
			buffer_u64(out, kept->answer.base_sequence);
			buffer_u16(out, kept->answer.record_count);
		}
	}
}

static void kept_decode(struct producer_kept *kept, size_t place, struct reader *in)
{
	uint64_t number = reader_varint(in);

	if (number == 0)
		return;
	in->failed |= number > UINT32_MAX || number % PRODUCER_WINDOW != place;
	kept->number = (uint32_t)number;
	kept->checksum = reader_u64(in);
	kept->answer.base_offset = reader_u64(in);
	kept->answer.base_sequence = reader_u64(in);
	kept->answer.record_count = reader_u16(in);
}

static int producer_decode(struct producers *producers, struct reader *in)
{
	uint64_t id = reader_u64(in);
	struct producer *producer;

	if (in->failed || id == 0 || producers_find(producers, id) != NULL)
		return ERROR_MALFORMED;
	producer = producers_add(producers, id);
	if (producer == NULL)
		return ERROR_MEMORY;
	producer->used_ms = reader_u64(in);
	producer->log.epoch = reader_u16(in);
	producer->log.last = reader_u32(in);
	in->failed |= producer->log.last == 0 || producer->used_ms > producers->log_ms;
	in->failed |= producers->newest != NULL && producers->newest->used_ms > producer->used_ms;
	for (size_t i = 0; i < PRODUCER_WINDOW; i++)
		kept_decode(&producer->log.kept[i], i, in);
	producer->committed = true;
	producers->count++;
	use_list_append(producers, producer);
	producers->digest += producer_digest(producer);
	return in->failed ? ERROR_MALFORMED : 0;
}

int producers_decode(struct producers *producers, struct reader *in)
{
	int rv = 0;
	uint64_t count;

	producers->log_ms = reader_u64(in);
	count = reader_varint(in);
	for (uint64_t i = 0; i < count && rv == 0; i++)
		rv = producer_decode(producers, in);
	return rv == 0 && in->failed ? ERROR_MALFORMED : rv;
}

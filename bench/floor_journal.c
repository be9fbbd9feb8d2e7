/* The journal of a floor node and its writer thread.
 *
 * Block: u32 magic, u32 size, u64 number, u64 previous checksum, u64 checksum (XXH3-64 of the bytes before it and of
 * everything after the block header), zeros to FLOOR_BLOCK_HEADER_BYTES, containers, zeros to FLOOR_ALIGN_BYTES. */
#include "bench/floor_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xxhash.h>

#define BLOCK_MAGIC 0x524C4645u /* EFLR */
#define ZERO_BYTES (1024u * 1024)

struct block_header {
	uint32_t magic;
	uint32_t size;
	uint64_t number;
	uint64_t previous;
	uint64_t checksum;
};

_Static_assert(sizeof(struct block_header) <= FLOOR_BLOCK_HEADER_BYTES, "disk");
_Static_assert(FLOOR_NODES *FLOOR_CONTAINERS_OPEN *FLOOR_CONTAINER_BYTES < FLOOR_BLOCK_BYTES, "all in flight fits");

static void file_open(struct floor_journal *journal, const char *directory, uint32_t file_mib)
{
	static const uint8_t zeros[ZERO_BYTES];
	char name[4096];

	snprintf(name, sizeof name, "%s/evgrid-floor-XXXXXX", directory);
	journal->fd = mkostemp(name, O_CLOEXEC);
	if (journal->fd < 0)
		floor_fail("%s: %s", name, strerror(errno));
	floor_expect(unlink(name) == 0, "unlink the journal");
	for (uint32_t i = 0; i < file_mib; i++)
		floor_expect(write(journal->fd, zeros, ZERO_BYTES) == ZERO_BYTES, "write zeros ahead");
	floor_expect(fdatasync(journal->fd) == 0, "sync the zeros");
	journal->file_bytes = (uint64_t)file_mib * ZERO_BYTES;
	assert(journal->file_bytes >= FLOOR_BLOCK_BYTES);
}

/* Writes the block that is not open; any error ends the process, as in Evgrid. */
static uint64_t write_block(const struct floor_journal *journal, size_t size)
{
	const struct floor_block *block = &journal->blocks[journal->open ^ 1];
	uint64_t start_ns = floor_now_ns();
	ssize_t written = pwrite(journal->fd, block->bytes, size, (off_t)journal->place);

	floor_expect(written == (ssize_t)size, "write a block");
	floor_expect(fdatasync(journal->fd) == 0, "sync a block");
	return floor_now_ns() - start_ns;
}

static void *writer_main(void *data)
{
	struct floor_journal *journal = data;
	uint64_t one = 1;

	pthread_mutex_lock(&journal->lock);
	while (true) {
		size_t size;
		uint64_t took_ns;

		while (journal->write_bytes == 0 && !journal->ending)
			pthread_cond_wait(&journal->changed, &journal->lock);
		size = journal->write_bytes;
		if (size == 0)
			break;
		pthread_mutex_unlock(&journal->lock);
		took_ns = write_block(journal, size);
		pthread_mutex_lock(&journal->lock);
		journal->write_bytes = 0;
		journal->write_ns = took_ns;
		floor_expect(write(journal->done_fd, &one, sizeof one) == sizeof one, "tell of a block");
	}
	pthread_mutex_unlock(&journal->lock);
	return NULL;
}

static void block_reset(struct floor_block *block)
{
	block->used = FLOOR_BLOCK_HEADER_BYTES;
	memset(block->last, 0, sizeof block->last);
}

void floor_journal_init(struct floor_journal *journal, const char *directory, uint32_t file_mib)
{
	*journal = (struct floor_journal){.fd = -1, .done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	floor_expect(journal->done_fd >= 0, "eventfd");
	file_open(journal, directory, file_mib);
	for (size_t i = 0; i < 2; i++) {
		journal->blocks[i].bytes = aligned_alloc(FLOOR_ALIGN_BYTES, FLOOR_BLOCK_BYTES);
		floor_expect(journal->blocks[i].bytes != NULL, "memory for a block");
		memset(journal->blocks[i].bytes, 0, FLOOR_BLOCK_BYTES);
		block_reset(&journal->blocks[i]);
	}
	pthread_mutex_init(&journal->lock, NULL);
	pthread_cond_init(&journal->changed, NULL);
	if (pthread_create(&journal->writer, NULL, writer_main, journal) != 0)
		floor_fail("cannot start the writer");
}

void floor_journal_deinit(struct floor_journal *journal)
{
	pthread_mutex_lock(&journal->lock);
	journal->ending = true;
	pthread_mutex_unlock(&journal->lock);
	pthread_cond_signal(&journal->changed);
	pthread_join(journal->writer, NULL);
	pthread_cond_destroy(&journal->changed);
	pthread_mutex_destroy(&journal->lock);
	free(journal->blocks[0].bytes);
	free(journal->blocks[1].bytes);
	close(journal->done_fd);
	close(journal->fd);
	*journal = (struct floor_journal){.fd = -1, .done_fd = -1};
}

void floor_journal_append(struct floor_journal *journal, uint32_t primary, uint64_t number, const void *bytes,
			  size_t size)
{
	struct floor_block *block = &journal->blocks[journal->open];

	assert(primary < FLOOR_NODES);
	assert(block->used + size <= FLOOR_BLOCK_BYTES);
	assert(number > block->last[primary]);
	memcpy(block->bytes + block->used, bytes, size);
	block->used += size;
	block->last[primary] = number;
}

/* Fills in the header and pads; the bytes to write. */
static size_t block_close(struct floor_journal *journal, struct floor_block *block)
{
	struct block_header header = {
		.magic = BLOCK_MAGIC,
		.size = (uint32_t)block->used,
		.number = ++journal->number,
		.previous = journal->previous,
	};
	size_t padded = (block->used + FLOOR_ALIGN_BYTES - 1) / FLOOR_ALIGN_BYTES * FLOOR_ALIGN_BYTES;

	header.checksum =
		XXH3_64bits_withSeed(block->bytes + FLOOR_BLOCK_HEADER_BYTES, block->used - FLOOR_BLOCK_HEADER_BYTES,
				     XXH3_64bits(&header, offsetof(struct block_header, checksum)));
	journal->previous = header.checksum;
	memcpy(block->bytes, &header, sizeof header);
	memset(block->bytes + block->used, 0, padded - block->used);
	return padded;
}

void floor_journal_submit(struct floor_journal *journal)
{
	struct floor_block *block = &journal->blocks[journal->open];
	size_t size;

	if (journal->in_flight || block->used == FLOOR_BLOCK_HEADER_BYTES)
		return;
	size = block_close(journal, block);
	if (journal->place + size > journal->file_bytes)
		journal->place = 0;
	journal->in_flight = true;
	pthread_mutex_lock(&journal->lock);
	assert(journal->write_bytes == 0);
	journal->open ^= 1;
	journal->write_bytes = size;
	pthread_mutex_unlock(&journal->lock);
	pthread_cond_signal(&journal->changed);
}

bool floor_journal_done(struct floor_journal *journal, uint64_t last[FLOOR_NODES])
{
	struct floor_block *block = &journal->blocks[journal->open ^ 1];
	struct block_header header;
	uint64_t writes;
	size_t padded;

	if (read(journal->done_fd, &writes, sizeof writes) != sizeof writes)
		return false;
	assert(writes == 1);
	assert(journal->in_flight);
	memcpy(&header, block->bytes, sizeof header);
	padded = (header.size + FLOOR_ALIGN_BYTES - 1) / FLOOR_ALIGN_BYTES * FLOOR_ALIGN_BYTES;
	journal->place += padded;
	journal->counts.journal_bytes += padded;
	journal->counts.blocks++;
	pthread_mutex_lock(&journal->lock);
	journal->counts.sync_ns += journal->write_ns;
	pthread_mutex_unlock(&journal->lock);
	memcpy(last, block->last, sizeof block->last);
	block_reset(block);
	journal->in_flight = false;
	return true;
}

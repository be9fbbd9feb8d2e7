/* Marks of blocked keys, found by their entry. */
#include "partition/view_block.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

uint64_t view_block_digest(const struct view *view, const struct view_block *block)
{
	const uint64_t words[] = {(uint64_t)view->version << 32 | view->id, block->entry->hash, block->first,
				  block->catching ? block->next : 0, block->catching ? block->decided : 0};
	uint8_t bytes[sizeof words];

	for (size_t i = 0; i < sizeof words / 8; i++)
		store_little(bytes + 8 * i, 8, words[i]);
	return XXH3_64bits_withSeed(bytes, sizeof bytes, sizeof bytes);
}

uint64_t view_blocks_digest_recompute(const struct view *view)
{
	const struct view_block *block;
	uint64_t sum = 0;
	size_t place = 0;

	while ((block = table_next(&view->blocks, &place)) != NULL)
		sum += view_block_digest(view, block);
	return sum;
}

struct view_block *view_block_find(const struct view *view, const struct key_entry *entry)
{
	struct table_probe probe = table_probe(&view->blocks, entry->hash);
	struct view_block *block;

	if (view->blocks.count == 0)
		return NULL;
	while ((block = table_probe_next(&probe)) != NULL)
		if (block->entry == entry)
			return block;
	return NULL;
}

static void set_why(struct view_block *block, struct span why)
{
	size_t size = why.size < sizeof block->why ? why.size : sizeof block->why - 1;

	if (size > 0)
		memcpy(block->why, why.data, size);
	block->why[size] = '\0';
}

struct view_block *view_block_add(struct view *view, struct key_entry *entry, uint64_t first, struct span why)
{
	struct view_block *block = calloc(1, sizeof *block);

	assert(view_block_find(view, entry) == NULL);
	if (block == NULL)
		return NULL;
	block->entry = entry;
	block->first = first;
	set_why(block, why);
	if (table_insert(&view->blocks, entry->hash, block) != 0) {
		free(block);
		return NULL;
	}
	view->digest += view_block_digest(view, block);
	view_note_birth(view, entry);
	return block;
}

void view_block_remove(struct view *view, struct view_block *block)
{
	view->digest -= view_block_digest(view, block);
	view->catching -= block->catching;
	table_remove(&view->blocks, block->entry->hash, block);
	free(block);
}

void view_block_stop(struct view *view, struct view_block *block, uint64_t first, struct span why)
{
	assert(block->catching);
	assert(block->first == VIEW_BLOCK_NONE);
	view->digest -= view_block_digest(view, block);
	block->first = first;
	set_why(block, why);
	view->digest += view_block_digest(view, block);
}

void view_block_send(struct view *view, struct view_block *block, uint64_t next, uint64_t decided)
{
	view->digest -= view_block_digest(view, block);
	view->catching += !block->catching;
	block->catching = true;
	block->first = VIEW_BLOCK_NONE;
	block->next = next;
	block->decided = decided;
	view->digest += view_block_digest(view, block);
}

/* True: it is free. */
static bool block_advance(struct view *view, struct view_block *block, uint64_t from, uint64_t end, uint64_t position)
{
	if (!block->catching)
		return false;
	view->digest -= view_block_digest(view, block);
	if (block->next >= from && block->next < end)
		block->next = end < position ? end : position;
	if (block->next >= position && block->first != VIEW_BLOCK_NONE) {
		block->catching = false;
		view->catching--;
	}
	view->digest += view_block_digest(view, block);
	return block->catching && block->next >= position;
}

bool view_blocks_advance(struct view *view, uint64_t from, uint64_t end, uint64_t position)
{
	struct view_block *block;
	size_t place = 0;
	bool freed = false;

	while (view->catching > 0 && (block = table_next(&view->blocks, &place)) != NULL)
		if (block_advance(view, block, from, end, position)) {
			view_block_remove(view, block);
			freed = true;
		}
	return freed;
}

uint64_t view_blocks_next(const struct view *view)
{
	const struct view_block *block;
	uint64_t next = UINT64_MAX;
	size_t place = 0;

	while (view->catching > 0 && (block = table_next(&view->blocks, &place)) != NULL)
		if (block->catching && block->next < next)
			next = block->next;
	return next;
}

void view_blocks_deinit(struct view *view)
{
	struct view_block *block;
	size_t place = 0;

	while ((block = table_next(&view->blocks, &place)) != NULL)
		free(block);
	table_free_slots(&view->blocks);
	view->catching = 0;
}

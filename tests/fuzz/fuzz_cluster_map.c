/* A cluster map from a peer, merged into an empty map. What was taken is encoded; a map made of that is equal. */
#include <assert.h>
#include <stdlib.h>

#include "proto/cluster_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void map_round_trip(struct cluster_map *map, struct span bytes)
{
	struct cluster_map *second = malloc(sizeof *second);
	struct buffer first_bytes = BUFFER_NULL;
	struct buffer second_bytes = BUFFER_NULL;
	bool changed = true;

	assert(second != NULL);
	cluster_map_init(second);
	assert(cluster_map_merge(map, bytes, &changed) == 0);
	assert(!changed); /* nothing new the second time */
	assert(cluster_map_encode(map, 0, &first_bytes) == 0);
	assert(cluster_map_merge(second, buffer_span(&first_bytes), &changed) == 0);
	assert(cluster_map_encode(second, 0, &second_bytes) == 0);
	assert(span_equal(buffer_span(&first_bytes), buffer_span(&second_bytes)));
	(void)cluster_map_live(second);
	buffer_deinit(&first_bytes);
	buffer_deinit(&second_bytes);
	cluster_map_deinit(second);
	free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct cluster_map *map = malloc(sizeof *map);
	struct span bytes = span_of(data, size_bytes);
	bool changed;

	assert(map != NULL);
	cluster_map_init(map);
	if (cluster_map_merge(map, bytes, &changed) == 0)
		map_round_trip(map, bytes);
	else
		assert(!changed && map->version == 0);
	cluster_map_deinit(map);
	free(map);
	return 0;
}

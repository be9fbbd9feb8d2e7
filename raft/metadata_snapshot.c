/* Snapshots of the metadata machine.
 *
 * u32 magic "EVGM", u16 format 5, u16 cluster version, u64 applied, u64 suspect elections, u64 forced elections;
 * NODES_MAX x: u64 raft id, u64 served epoch, u64 proof epoch, u8 interval;
 * PARTITION_COUNT x: u64 possible loss at, u64 headless since (Unix ms),
 *   MEMBERS_MAX x (u32 node, u64 node epoch, u32 last epoch, u64 end);
 * u32 size, the cluster map as a delta since 0; u64 XXH3-64 of all before it.
 * Format 4 has no cluster version: it is written at cluster version 1, for members that know no other.
 * Format 3 had 7 in place of MEMBERS_MAX. It is read.
 * What comes after format 5 keeps its first eight bytes: who cannot read the rest can say what it is too old for. */
#include <assert.h>
#include <stdlib.h>

#include "proto/checksum.h"
#include "raft/metadata.h"

#define SNAPSHOT_MAGIC 0x4d475645u /* "EVGM" */
#define SNAPSHOT_FORMAT 5u
#define FIRST_FORMAT 4u /* of cluster version 1 */
#define FORMER_FORMAT 3u
#define FORMER_REPORTS 7u
#define CHECKSUM_BYTES 8u

static void private_encode(const struct metadata *metadata, struct buffer *out)
{
	for (uint32_t i = 0; i < NODES_MAX; i++) {
		buffer_u64(out, metadata->nodes[i].raft_id);
		buffer_u64(out, metadata->nodes[i].served_epoch);
		buffer_u64(out, metadata->nodes[i].proof_epoch);
		buffer_u8(out, metadata->nodes[i].interval);
	}
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		buffer_u64(out, metadata->partitions[p].possible_loss_at);
		buffer_u64(out, metadata->partitions[p].headless_ms);
		for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
			const struct metadata_report *report = &metadata->partitions[p].reports[i];

			buffer_u32(out, report->node_id);
			buffer_u64(out, report->node_epoch);
			buffer_u32(out, report->last_epoch);
			buffer_u64(out, report->end);
		}
	}
}

int metadata_encode(const struct metadata *metadata, struct buffer *out)
{
	struct span all;
	size_t at;
	int rv;

	assert(out->size == 0);
	assert(metadata->map.controller == 0);
	buffer_u32(out, SNAPSHOT_MAGIC);
	if (metadata->map.cluster_version < CLUSTER_VERSION_TOLD) {
		buffer_u16(out, FIRST_FORMAT);
	} else {
		buffer_u16(out, SNAPSHOT_FORMAT);
		buffer_u16(out, metadata->map.cluster_version);
	}
	buffer_u64(out, metadata->applied);
	buffer_u64(out, metadata->suspect_elections);
	buffer_u64(out, metadata->forced_elections);
	private_encode(metadata, out);
	at = out->size;
	buffer_u32(out, 0);
	rv = cluster_map_encode(&metadata->map, 0, out);
	if (rv != 0 || out->failed)
		return ERROR_MEMORY;
	store_little(out->data + at, 4, out->size - at - 4);
	all = buffer_span(out);
	buffer_u64(out, checksum_parts(&all, 1));
	return out->failed ? ERROR_MEMORY : 0;
}

static void private_decode(struct reader *in, uint16_t format, struct metadata *metadata)
{
	uint32_t reports = format == FORMER_FORMAT ? FORMER_REPORTS : MEMBERS_MAX;

	for (uint32_t i = 0; i < NODES_MAX; i++) {
		metadata->nodes[i].raft_id = reader_u64(in);
		metadata->nodes[i].served_epoch = reader_u64(in);
		metadata->nodes[i].proof_epoch = reader_u64(in);
		metadata->nodes[i].interval = reader_u8(in) != 0;
	}
	for (uint32_t p = 0; p < PARTITION_COUNT; p++) {
		metadata->partitions[p].possible_loss_at = reader_u64(in);
		metadata->partitions[p].headless_ms = reader_u64(in);
		for (uint32_t i = 0; i < reports; i++) {
			struct metadata_report *report = &metadata->partitions[p].reports[i];

			report->node_id = reader_u32(in);
			report->node_epoch = reader_u64(in);
			report->last_epoch = reader_u32(in);
			report->end = reader_u64(in);
		}
	}
}

static int body_decode(struct reader *in, uint16_t format, struct metadata *metadata)
{
	struct span map;
	bool changed;
	int rv;

	if (format == SNAPSHOT_FORMAT && !version_known(metadata->knows, reader_u16(in)))
		return ERROR_VERSION;
	metadata->applied = reader_u64(in);
	metadata->suspect_elections = reader_u64(in);
	metadata->forced_elections = reader_u64(in);
	private_decode(in, format, metadata);
	map = reader_bytes(in, reader_u32(in));
	if (!reader_done(in))
		return ERROR_MALFORMED;
	rv = cluster_map_merge(&metadata->map, map, &changed);
	metadata->map.controller = 0;
	metadata->map.voters = 0;
	return rv;
}

static int snapshot_check(struct span bytes, uint16_t *format)
{
	struct reader in = reader_of(bytes);
	struct span body = bytes;

	if (reader_u32(&in) != SNAPSHOT_MAGIC || bytes.size < CHECKSUM_BYTES + 6)
		return ERROR_MALFORMED;
	*format = reader_u16(&in);
	if (*format != SNAPSHOT_FORMAT && *format != FIRST_FORMAT && *format != FORMER_FORMAT)
		return ERROR_VERSION;
	body.size -= CHECKSUM_BYTES;
	return checksum_parts(&body, 1) == load_little(bytes.data + body.size, 8) ? 0 : ERROR_CHECKSUM;
}

uint16_t metadata_snapshot_version(struct span bytes)
{
	struct reader in = reader_of(bytes);
	uint32_t magic = reader_u32(&in);
	uint16_t format = reader_u16(&in);
	uint16_t version = format < SNAPSHOT_FORMAT ? CLUSTER_VERSION_FIRST : reader_u16(&in);

	return in.failed || magic != SNAPSHOT_MAGIC ? 0 : version;
}

int metadata_decode(struct metadata *metadata, struct span bytes)
{
	struct metadata *fresh = NULL;
	struct reader in;
	uint16_t format;
	int rv = snapshot_check(bytes, &format);

	if (rv != 0)
		return rv;
	fresh = malloc(sizeof(*fresh));
	if (fresh == NULL)
		return ERROR_MEMORY;
	metadata_init(fresh);
	fresh->knows = metadata->knows;
	in = reader_of(span_of(bytes.data + 6, bytes.size - 6 - CHECKSUM_BYTES));
	rv = body_decode(&in, format, fresh);
	if (rv == 0) {
		metadata_deinit(metadata);
		*metadata = *fresh; /* with the memory its map owns */
	} else {
		metadata_deinit(fresh);
	}
	free(fresh);
	return rv;
}

uint64_t metadata_digest(const struct metadata *metadata)
{
	struct buffer bytes = BUFFER_NULL;
	struct span all;
	uint64_t digest = 0;

	if (metadata_encode(metadata, &bytes) == 0) {
		all = buffer_span(&bytes);
		digest = checksum_parts(&all, 1);
	}
	buffer_deinit(&bytes);
	return digest;
}

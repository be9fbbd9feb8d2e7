/* The shard's own memory; for the files of partition/ and their tests. */
#ifndef EVGRID_PARTITION_SHARD_INTERNAL_H
#define EVGRID_PARTITION_SHARD_INTERNAL_H

#include "partition/bits.h"
#include "partition/journal.h"
#include "partition/outbox.h"
#include "partition/pace.h"
#include "partition/partition.h"
#include "partition/sealed.h"
#include "partition/shard_figures.h"
#include "partition/view_lua.h"

#define TOUCH_WORDS BIT_WORDS(PARTITION_COUNT)
#define PENDINGS_MAX 262144u     /* answers under way in one shard */
#define PENDING_CHUNK 128u       /* allocated at once */
#define READS_WAITING_MAX 16384u /* reads that wait for a position or a lease */
#define REPLAYS_MAX 64u          /* replays that wait for the disk */
#define INBOX_MAX_BYTES (8u * TURN_MAX_BYTES)
#define INBOX_MAX_MESSAGES 65536u
#define APPLY_TURN_RECORDS 4096u /* applied in one turn, functions' work included: about a millisecond */
#define APPLY_STEPS_MAX 4096u    /* batches in one group */
#define FILL_TURN_RECORDS 2048u
#define AUDIT_TURN_RECORDS 1024u
#define TIDY_TURN_KEYS 1024                /* freed where versions of views are gone */
#define FIND_TURN_KEYS 16384               /* about a millisecond; a partition is looked through in one turn */
#define PUSH_TURN_BYTES (4u * 1024 * 1024) /* sent to replicas in one turn */
#define REPLAY_TURN_BYTES (2u * 1024 * 1024)
#define HISTORIES_MAX 32u                  /* histories and reads as of a point under way */
#define HISTORY_TURN_BYTES (512u * 1024)   /* looked at for them in one turn */
#define HELD_MAX_BYTES (64u * 1024 * 1024) /* recovery: batches kept until their commit is read */
#define SNAPSHOT_GETS_MAX 8u               /* reads of snapshots under way at start */
#define DISK_FULL_RETRY_MS 200u
#define RETRY_SOON_MS 10u
#define SEAL_LOOK_MS 100u /* between looks whether a segment can be sealed */

#define SCANS_MAX 32u         /* scans by key under way */
#define SCAN_TURN_SLOTS 8192u /* of key tables, looked at for them in one turn */

enum ticket_use {
	TICKET_JOURNAL = 1,
	TICKET_RECOVERY,
	TICKET_APPLY,
	TICKET_FILL,
	TICKET_PEER,
	TICKET_REPLAY,
	TICKET_SNAPSHOT_PUT,
	TICKET_SNAPSHOT_GET,
	TICKET_SNAPSHOT_DROP,
	TICKET_DELETE,
	TICKET_LOOK,
	TICKET_SEAL,
	TICKET_AUDIT,
	TICKET_HISTORY,
	TICKET_SUBSCRIBE,
};

/* The upper half of a ticket; the lower is a count, so that an answer for a former use is known. */
static inline uint32_t ticket_owner(enum ticket_use use, uint16_t partition, uint8_t detail)
{
	return (uint32_t)use << 24 | (uint32_t)partition << 8 | detail;
}

enum shard_phase {
	SHARD_NEW,
	SHARD_SNAPSHOTS, /* reading snapshots */
	SHARD_INDEXES,   /* reading the indexes of sealed segments */
	SHARD_JOURNAL,   /* reading the journal */
	SHARD_RUNNING,
};

struct inbox_message {
	uint64_t client;
	enum message_kind kind;
	uint16_t items;
	size_t at;
	size_t size;
};

struct replay_job {
	bool used;
	uint64_t client;
	struct replay request;
	uint32_t history; /* of the log when it began */
	uint64_t next;
	struct buffer batches;
	struct fetch fetch;
};

struct sealed_start; /* shard_indexes.c's */
struct history_job;
struct scan_job;

struct key_count { /* pipeline: how often a key stood before in this batch */
	uint32_t stream_id;
	uint32_t count;
	struct span key;
	struct span partition_key;
};

struct shard {
	struct shard_config config;
	struct view_plan_set plans; /* of its partitions' states */
	enum shard_phase phase;
	struct journal *journal;
	struct outbox outbox;
	struct sender sender;
	bool registered;
	bool register_time_wanted;
	uint64_t registered_ms;
	const struct cluster_map *given_map; /* the newest handed in */
	const struct cluster_map *map;       /* the same once it knows this process; else NULL */
	uint64_t node_epochs[NODES_MAX];
	uint64_t definitions_at; /* greatest changed_at of streams and views */
	bool views_open;         /* the newest version of some view is not active yet */
	struct contact_table contacts;
	struct shard_time time;
	uint32_t ticket_count;
	bool fatal;
	struct shard_counters counters;
	struct pace pace; /* of what is sent to replicas that are not in sync */

	struct partition *partitions; /* of p = index + i * W */
	uint32_t partition_count;
	uint64_t deadlines_ms[PARTITION_COUNT]; /* by i */
	uint64_t due_ms;                        /* their least after the last turn; 0: not known */
	uint64_t touched[TOUCH_WORDS];          /* by i */
	uint64_t stepped[TOUCH_WORDS];          /* in this turn */
	uint64_t again[TOUCH_WORDS];            /* not finished in this turn */
	uint64_t roomless[TOUCH_WORDS];         /* wait until the open block goes to the disk */
	uint64_t hints[TOUCH_WORDS];            /* commit offsets the journal does not bear yet */
	uint64_t open_block[TOUCH_WORDS];
	uint64_t written_block[TOUCH_WORDS];
	bool open_items; /* the open block holds something */
	uint32_t first;  /* where the next turn begins, so that budgets are shared */
	uint64_t journal_ticket;
	bool disk_full;
	uint64_t room_bytes; /* told on, decides nothing */
	bool rewrite;        /* the journal holds a block that found no space */
	uint64_t disk_retry_ms;

	struct buffer inbox;
	struct inbox_message *inbox_messages;
	size_t inbox_count;
	size_t inbox_capacity;

	struct pending *pending_free;
	void **pending_chunks;
	size_t pending_chunk_count;
	uint32_t pending_count;
	uint64_t pending_bytes;
	uint32_t reads_waiting;
	struct replay_job *replays;
	uint32_t replays_open;
	struct history_job *histories;
	uint32_t histories_open;
	uint32_t histories_first; /* where the next turn begins */
	struct scan_job *scans;
	uint32_t scans_open;
	struct subscriptions *subscriptions; /* NULL: nobody ever subscribed */
	struct buffer records;               /* scratch: decompressed bodies */
	struct key_count *key_counts;
	struct batch_builder builder; /* control batches */

	struct state_step *steps; /* committed batches of the turn, applied as one group */
	struct batch *step_batches;
	struct partition **step_owners;
	uint32_t step_count;
	int64_t apply_left; /* budgets of the turn */
	int64_t fill_left;
	int64_t audit_left;
	int64_t tidy_left;
	int64_t find_left; /* keys that this turn may still look through */
	int64_t push_left;
	int64_t replay_left;
	int64_t history_left;

	struct {                        /* snapshots */
		uint64_t journal_bytes; /* appended since the last round */
		uint32_t round;         /* next partition of the round; partition_count: none under way */
		uint32_t partition;     /* being written */
		bool in_flight;
		uint64_t ticket;
		uint64_t applied;
		struct buffer bytes;
		uint32_t gets_sent; /* recovery */
		uint32_t gets_open;
	} snapshot;

	struct {                 /* sealing (shard_seal.c) */
		uint64_t ticket; /* 0: nothing under way */
		uint32_t segment;
		uint32_t generation; /* of the source */
		struct buffer plan;
		struct seal_range *ranges; /* PARTITION_COUNT at most, ascending */
		uint32_t range_count;
		uint64_t look_ms; /* not before */
		bool look_wanted;
	} seal;

	struct sealed_start *start; /* recovery: sealed files (shard_indexes.c); NULL afterwards */
	uint32_t rotten;            /* sealed files that are damaged */
	uint64_t recovery_ticket;
	uint64_t held_bytes;
};

static inline uint64_t shard_ticket(struct shard *shard, uint32_t owner)
{
	shard->ticket_count++;
	return (uint64_t)owner << 32 | shard->ticket_count;
}

static inline uint32_t shard_slot(const struct partition *partition)
{
	return (uint32_t)(partition - partition->shard->partitions);
}

/* The partition is stepped in the turn to come, or in this one if its step is still ahead. */
static inline void shard_touch(struct partition *partition)
{
	bit_set(partition->shard->touched, shard_slot(partition));
}

/* It has more to do than this turn has time for. */
static inline void shard_touch_again(struct partition *partition)
{
	bit_set(partition->shard->again, shard_slot(partition));
}

/* The open block has no room for what it appends: it is stepped again when that block goes to the disk. */
static inline void shard_await_room(struct partition *partition)
{
	bit_set(partition->shard->roomless, shard_slot(partition));
}

static inline bool shard_awaits_room(const struct partition *partition)
{
	return bit_is_set(partition->shard->roomless, shard_slot(partition));
}

/* NULL: not of this shard. */
struct partition *shard_partition(const struct shard *shard, uint16_t partition);

/* The node's entry if the map holds it, else NULL. */
const struct map_node *shard_node(const struct shard *shard, uint32_t node_id);
/* The node epoch the map gives this node; 0: unknown. */
uint64_t shard_node_epoch(const struct shard *shard, uint32_t node_id);

void shard_garbage(struct shard *shard, uint16_t partition, uint32_t node_id);
void shard_tell(struct shard *shard, struct shard_event event); /* of no one partition */

/* --- what comes in (shard_messages.c) -------------------------------------------------------------------------- */

/* Clients' requests that came since the last turn. 0, or negative: fatal. */
int shard_take_inbox(struct shard *shard);

/* --- recovery (shard_recovery.c) ---------------------------------------------------------------------------------- */

int shard_recovery_begin(struct shard *shard, const struct disk_segment *segments, uint32_t count);
int shard_recovery_turn(struct shard *shard);
int shard_recovery_done(struct shard *shard, uint64_t ticket, struct span bytes);
int shard_snapshot_got(struct shard *shard, uint64_t ticket, struct span bytes);

/* --- sealed segments at start (shard_indexes.c) ------------------------------------------------------------------- */

struct sealed_start *sealed_start_free(struct sealed_start *start); /* returns NULL */
/* Takes what the driver found, the journal's own files too. 0 or -ERROR_MEMORY. */
int sealed_start_begin(struct shard *shard, const struct disk_segment *segments, uint32_t count);
/* 1: *read is wanted next; 0: all has been taken; negative: the start has failed. */
int sealed_start_next(struct shard *shard, struct disk_request *read);
int sealed_start_feed(struct shard *shard, struct span bytes); /* 0, or negative: the start has failed */
/* The journal's own files, valid until sealed_start_free. */
const struct disk_segment *sealed_start_own(const struct shard *shard, uint32_t *count);

void sealed_start_progress(const struct shard *shard, uint64_t *done, uint64_t *total); /* sealed files looked at */

/* The extent that an index entry tells of, with its marks. 0 or ERROR_MEMORY. */
int shard_extent_of(const struct sealed_entry *entry, uint32_t segment, uint32_t generation, struct log_extent *extent);

/* --- sealing while running (shard_seal.c) ------------------------------------------------------------------------- */

void shard_seal_turn(struct shard *shard);
int shard_seal_done(struct shard *shard, uint64_t ticket, enum disk_outcome outcome, struct span bytes); /* 0, -1 */
uint64_t shard_seal_timer(const struct shard *shard); /* when a look is due; UINT64_MAX: none */
void shard_seal_deinit(struct shard *shard);

/* --- snapshots (shard_snapshot.c) --------------------------------------------------------------------------------- */

void shard_snapshot_turn(struct shard *shard);
void shard_snapshot_done(struct shard *shard, uint64_t ticket, enum disk_outcome outcome);
/* The partition left: its snapshots are overwritten with nothing. */
void shard_snapshot_drop(struct partition *partition);

#endif

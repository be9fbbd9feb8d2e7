/* Evgrid's client library: publish events, read views, replay history, subscribe.
 *
 *   evg *grid;
 *   if (evg_open("127.0.0.1:7400", NULL, &grid) != EVG_OK) ...
 *   evg_event event = {.stream = "Customer", .type = evg_text("CustomerCreated"), .key = evg_text("c-1"),
 *                      .payload = evg_bytes_of(msgpack, size)};
 *   evg_completion done;
 *   int error = evg_publish_sync(grid, &event, NULL, &done);
 *   evg_close(grid);
 *
 * Errors: functions return EVG_OK (0) or a positive code, whose name says what it is: evg_error_name, evg_error_text
 * and evg_error_next explain each; all codes stand in docs/reference/errors.md. Each function names its own. "And a
 * request's" stands for what everything that asks the cluster may end with besides:
 *   EVG_USAGE       called in a callback of the library
 *   EVG_CLOSED      the handle was closed meanwhile
 *   EVG_BUSY        more than 16,384 requests are open on this handle, or the nodes asked to slow down until the time
 *                   was up
 *   EVG_MEMORY      here, or on the node that answered
 *   EVG_TIMEOUT     no answer in time
 *   EVG_CONNECT     no member could be reached in time
 *   EVG_FOREIGN     who answers at the addresses belongs to another cluster than the one this handle began with
 *   EVG_NOT_PRIMARY, EVG_NOT_CONTROLLER, EVG_STALE_LEASE, EVG_NOT_READY
 *                   the cluster was electing or starting until the time was up: ask again
 *   EVG_WRONG_PARTITION   the node that was named has no replica of the partition
 *   EVG_VERSION     the node speaks another version of the protocol
 *   EVG_MALFORMED, EVG_CHECKSUM, EVG_INTERNAL
 *                   a defect, of Evgrid or of a disk: report it
 *
 * Spans and strings given are borrowed for the call, unless said otherwise. Sizes are in bytes, times in the unit their
 * name ends with, offsets and sequences are 64 bits.
 * Threads: a handle may be used by many threads at once; one thread of the library's own does all the network's work
 * and calls the callbacks. Callbacks may publish and begin asynchronous reads, and must not block: blocking calls
 * made there return EVG_USAGE. Iterators (evg_replay) belong to one thread at a time. */
#ifndef EVGRID_H
#define EVGRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EVG_STAGES 6 /* source, enrich, persist, view, publish, complete */
#define EVG_PARTITIONS 271

/* The codes that a program may meet; their numbers never change. */
enum {
	EVG_OK = 0,
	EVG_MEMORY = 1,
	EVG_MALFORMED = 2,
	EVG_CHECKSUM = 3,
	EVG_VERSION = 4,
	EVG_LIMIT = 5,
	EVG_EMPTY = 7,
	EVG_WRONG_PARTITION = 8,
	EVG_UNKNOWN_STREAM = 9,
	EVG_UNKNOWN_VIEW = 10,
	EVG_CHECK_FAILED = 15,
	EVG_NOT_PRIMARY = 16,
	EVG_NOT_READY = 17,
	EVG_NOT_YET = 18,
	EVG_NOT_FOUND = 19,
	EVG_NOT_ENOUGH_REPLICAS = 20,
	EVG_BUSY = 21,
	EVG_DISK_FULL = 22,
	EVG_OUTCOME_UNKNOWN = 23,
	EVG_TIMEOUT = 24,
	EVG_NOT_CONTROLLER = 25,
	EVG_REFUSED = 26,
	EVG_EXISTS = 27,
	EVG_FOREIGN = 29,
	EVG_CONNECT = 30,
	EVG_USAGE = 31,
	EVG_BAD_VIEW = 32,
	EVG_IO = 34,
	EVG_INTERNAL = 35,
	EVG_CLOSED = 36,
	EVG_BLOCKED = 37,
	EVG_STALE_LEASE = 38,
	EVG_BEFORE_FIRST = 45,
	EVG_CATCHING_UP = 47,
	EVG_BEYOND_END = 50,
	EVG_HISTORY = 51
};

/* What a code says, in static text; never NULL. next: what to do about it. */
const char *evg_error_name(int error);
const char *evg_error_text(int error);
const char *evg_error_next(int error);

const char *evg_version(void); /* of the library: "0.1.0" */

typedef struct evg evg;

typedef struct evg_bytes {
	const void *data;
	size_t size;
} evg_bytes;

static inline evg_bytes evg_bytes_of(const void *data, size_t size)
{
	evg_bytes bytes;
	bytes.data = data;
	bytes.size = size;
	return bytes;
}

static inline evg_bytes evg_text(const char *text)
{
	return evg_bytes_of(text, text == NULL ? 0 : strlen(text));
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

typedef struct evg_options {
	const char *name;     /* shown to nodes; NULL: none */
	uint32_t connect_ms;  /* how long evg_open waits for the cluster; 0: 10,000; UINT32_MAX: not at all */
	uint32_t deadline_ms; /* an event's, from publish to completion; 0: 30,000 */
	/* How long too few replicas or a full disk are waited out; 0: 2,000; 1: not at all; UINT32_MAX: until the
	 * deadline. */
	uint32_t below_minimum_ms;
	uint64_t window_bytes;  /* published and not completed; 0: 64 MiB. Beyond it EVG_BUSY */
	uint32_t window_events; /* the same in events; 0: 262,144 */
	bool no_compression;    /* batches from 1 KiB up are LZ4 where that pays; true: never */
	/* Where the cluster wants keys, both of them, else NULL: the program's secret key as evgrid keygen writes it,
	 * and the nodes' public keys, "node NAME KEY" a line. They are read again when a node cannot be reached with
	 * them. */
	const char *key_file;
	const char *node_keys_file;
} evg_options;

/* addresses: control addresses of one or more members, "host:port[,host:port...]". options: NULL for the defaults.
 * On EVG_OK *grid is a handle for evg_close. EVG_USAGE (addresses, or a key file is no good or may be read by
 * others), EVG_MEMORY (no thread either), EVG_IO (no random numbers, no socket, a key file cannot be read), EVG_CONNECT
 * (nobody answered in time, or the nodes have other keys or do not trust this one; never with connect_ms
 * UINT32_MAX). */
int evg_open(const char *addresses, const evg_options *options, evg **grid);

/* Ends what is open with EVG_CLOSED (call evg_flush before, to wait for it), stops the thread, frees. NULL is
 * allowed. */
void evg_close(evg *grid);

/* --- positions ---------------------------------------------------------------------------------------------------- */

/* The place of a record: what publishing tells, and what a read may demand. An operator's forced election gives a
 * partition another history: from where it parts from the one before, the same offsets name other records. So a
 * position is answered by its own history or with EVG_HISTORY. */
typedef struct evg_position {
	uint16_t partition;
	uint32_t history; /* EVG_ANY_HISTORY: whatever record stands there now */
	uint64_t offset;
} evg_position;

#define EVG_ANY_HISTORY UINT32_MAX

/* As text, "17:4711@0" (with EVG_ANY_HISTORY: "17:4711"), for whoever keeps or hands on a position, and back: EVG_OK,
 * or EVG_USAGE: it is none. */
#define EVG_POSITION_TEXT_BYTES 37
void evg_position_format(const evg_position *position, char text[EVG_POSITION_TEXT_BYTES]);
int evg_position_parse(const char *text, evg_position *position);

/* --- publishing --------------------------------------------------------------------------------------------------- */

typedef struct evg_header {
	evg_bytes name;
	evg_bytes value;
} evg_header;

/* CloudEvents attributes. stream, type and key are required; what is empty or 0 is absent. */
typedef struct evg_event {
	const char *stream;      /* its name; it must exist */
	evg_bytes type;          /* at most 63 bytes */
	evg_bytes key;           /* at most 1024 bytes: the entity (CloudEvents: subject) */
	evg_bytes partition_key; /* empty: the key. Events of one partition key have one order */
	evg_bytes id;            /* text; empty: a new UUIDv7. A canonical UUID is stored in 16 bytes */
	evg_bytes source;
	uint64_t time_us; /* since 1970-01-01T00:00:00Z */
	evg_bytes correlation_id;
	evg_bytes causation_id;
	evg_bytes content_type;    /* empty: the payload is MessagePack (evg_json_to_payload makes it) */
	const evg_header *headers; /* other CloudEvents extensions */
	size_t header_count;       /* at most 32 */
	evg_bytes payload;         /* at most 1 MiB */
} evg_event;

/* What must hold of the key, in its stream, at the place in the log where the event goes; a version is the count of the
 * key's events. */
typedef enum evg_expect_kind { EVG_EXPECT_ANY, EVG_EXPECT_NONE, EVG_EXPECT_EXISTS, EVG_EXPECT_VERSION } evg_expect_kind;

typedef struct evg_expect {
	evg_expect_kind kind;
	uint64_t version; /* EVG_EXPECT_VERSION: before this event */
} evg_expect;

typedef enum evg_outcome {
	EVG_APPLIED,     /* on the disks of the in-sync replicas, applied to the views, published */
	EVG_NOT_APPLIED, /* not stored, and it will not be */
	EVG_UNKNOWN      /* perhaps stored, at most once; publishing it again may store it twice */
} evg_outcome;

typedef struct evg_completion {
	int error; /* EVG_OK exactly when applied */
	evg_outcome outcome;
	bool duplicate; /* an earlier copy of it was found stored: it is there once */
	uint16_t partition;
	uint64_t offset;               /* applied: its place in the partition */
	uint64_t sequence;             /* applied: its place in the cluster's order */
	uint64_t actual_version;       /* EVG_CHECK_FAILED: the key's version */
	uint32_t history;              /* applied: see evg_completion_position */
	uint32_t stage_us[EVG_STAGES]; /* time in each stage; applied: total_us in sum */
	uint64_t total_us;             /* from evg_publish to here */
	uint64_t told_us;              /* when: microseconds of CLOCK_MONOTONIC */
} evg_completion;

/* Of an event that was applied: a read at least as new as this shows it. */
static inline evg_position evg_completion_position(const evg_completion *completion)
{
	evg_position position;
	position.partition = completion->partition;
	position.history = completion->history;
	position.offset = completion->offset;
	return position;
}

typedef void (*evg_done)(void *user, const evg_completion *completion);

/* Takes the event (it is copied) and returns at once; done is called exactly once, on the library's thread, unless an
 * error is returned. done may be NULL. Events of one partition key published by one thread are stored in that order.
 * Lost nodes, moved primaries and lost messages are dealt with inside, until the deadline.
 * EVG_BUSY: the window is full (evg_wait_room); EVG_UNKNOWN_STREAM, EVG_EMPTY (no key or type), EVG_LIMIT (a value is
 * larger than it says above), EVG_USAGE (no stream, or no such expectation), EVG_MEMORY, EVG_CLOSED.
 *
 * done is told EVG_OK with EVG_APPLIED, or with another outcome one of
 *   EVG_CHECK_FAILED         what was expected of the key does not hold; actual_version says what does
 *   EVG_NOT_ENOUGH_REPLICAS, EVG_DISK_FULL   beyond below_minimum_ms: publish again when the cluster is well
 *   EVG_OUTCOME_UNKNOWN      the deadline passed while an answer was outstanding
 *   EVG_TIMEOUT, EVG_CONNECT, EVG_FOREIGN    the deadline passed: no answer, no member, or another cluster's
 *   EVG_BUSY, EVG_NOT_PRIMARY, EVG_NOT_READY, EVG_STALE_LEASE   the same; what it was refused for last (seldom another
 *                            code of docs/reference/errors.md)
 *   EVG_UNKNOWN_STREAM, EVG_EMPTY, EVG_LIMIT, EVG_VERSION       refused by the primary
 *   EVG_CLOSED               evg_close was called
 *   EVG_MEMORY, EVG_MALFORMED, EVG_CHECKSUM, EVG_INTERNAL       a defect, or no memory */
int evg_publish(evg *grid, const evg_event *event, const evg_expect *expect, evg_done done, void *user);

/* Waits until evg_publish would have room. EVG_OK, EVG_TIMEOUT, EVG_CLOSED, EVG_USAGE. */
int evg_wait_room(evg *grid, uint32_t timeout_ms);

/* Publishes and waits, for room too (EVG_BUSY: none within the deadline). Returns the completion's error, as
 * evg_publish tells or returns it; EVG_USAGE in a callback as well. completion may be NULL. */
int evg_publish_sync(evg *grid, const evg_event *event, const evg_expect *expect, evg_completion *completion);

/* Waits until nothing is open: every event is completed, every asynchronous read answered, and their callbacks have
 * returned. EVG_OK, EVG_TIMEOUT, EVG_USAGE. */
int evg_flush(evg *grid, uint32_t timeout_ms);

/* --- reading ------------------------------------------------------------------------------------------------------ */

typedef enum evg_read_mode {
	EVG_READ_LINEARIZABLE, /* from the primary: everything acknowledged before is in it */
	EVG_READ_AT_LEAST,     /* from the primary (or `node`'s replica), once at_least is applied; else EVG_NOT_YET.
				* EVG_HISTORY: that history was given up */
	EVG_READ_LOCAL,        /* from any replica (or `node`'s), whatever it has applied */
	EVG_READ_AS_OF_OFFSET, /* as it was right after the record at at_least; views only. NOT_YET, HISTORY as above */
	EVG_READ_AS_OF_TIME    /* as it was at as_of_us, by the log's ingest times; views only. Where a view keeps its
				* entries by another key than the events', both cost a look through the partition */
} evg_read_mode;

typedef struct evg_read {
	evg_bytes key;
	evg_bytes partition_key; /* empty: the key; evg_view_get then asks all shards where there is no such entry */
	evg_read_mode mode;
	const char *node;      /* LOCAL, AT_LEAST, AS_OF_OFFSET: the replica's name; NULL: the primary's */
	evg_position at_least; /* AT_LEAST: what must be in it; AS_OF_OFFSET: the point. EVG_USAGE: it is of another
				* partition than the key's */
	uint64_t as_of_us;     /* AS_OF_TIME: the point, us since 1970 */
	uint32_t timeout_ms;   /* 0: the deadline; AT_LEAST, AS_OF_OFFSET: EVG_NOT_YET comes shortly before it */
} evg_read;

typedef struct evg_entry {
	int error;        /* EVG_OK, EVG_NOT_FOUND, EVG_NOT_YET, EVG_NOT_READY, EVG_BEFORE_FIRST, EVG_BLOCKED, ... */
	evg_bytes state;  /* MessagePack; BLOCKED: text that says what is wrong */
	uint64_t applied; /* everything before this offset of the partition is in it; NOT_YET: as far as it has come */
	uint32_t history; /* that applied and changed_at count in */
	uint64_t changed_at;     /* the offset that last changed this entry; BEFORE_FIRST: of the entry's first event;
				  * NOT_READY, with applied: the view is filled so far here, of applied;
				  * BLOCKED: the first that could not be applied */
	uint64_t changed_us;     /* as of a point: ingest time of that event */
	uint64_t version;        /* the key's count of events; as of a point: of those that are in it */
	uint32_t age_ms;         /* since the replica last advanced or heard its primary; 0: fresh; UINT32_MAX: never */
	int searched;            /* 1: it was not under its own key as partition key, and all shards were asked; */
	uint32_t found;          /* so many entries bear this key, this is the one that was found first, */
	evg_bytes partition_key; /* and this its partition key: with it the read costs one answer */
	void *owned;             /* the memory of state and partition key */
} evg_entry;

typedef void (*evg_got)(void *user, const evg_entry *entry); /* the entry is valid during the call */

/* The state of one entry of a view. On EVG_OK the entry is the caller's: evg_entry_free. Returns entry->error.
 * An entity is addressed by key and partition key. Without a partition key, and where the key is none, every shard is
 * asked once (with EVG_READ_LINEARIZABLE and EVG_READ_LOCAL; the others name a point of one partition): a look through
 * all keys, for people and not for hot paths.
 *
 * EVG_OK; EVG_NOT_FOUND (nothing is stored under the key); EVG_UNKNOWN_VIEW; EVG_BLOCKED, EVG_CATCHING_UP (the key
 * waits in this view, or is on its way back); EVG_NOT_READY (a new view is being filled; and before its first answer);
 * EVG_NOT_YET (AT_LEAST, AS_OF: not applied in time); EVG_BEFORE_FIRST (AS_OF); EVG_BAD_VIEW (the nodes
 * cannot use its definition); EVG_EMPTY (no key), EVG_LIMIT (a key too long, a state too large to send), EVG_USAGE (no
 * such node or mode); and a request's. */
int evg_view_get(evg *grid, const char *view, const evg_read *read, evg_entry *entry);

/* The same without waiting, and of the key's own partition only. An error is either returned, and got is not called, or
 * (EVG_OK) told in the entry: EVG_UNKNOWN_VIEW, EVG_EMPTY, EVG_LIMIT, EVG_USAGE (no such node or mode), EVG_BUSY,
 * EVG_MEMORY and EVG_CLOSED are returned, the others told. It may be called in a callback. */
int evg_view_get_async(evg *grid, const char *view, const evg_read *read, evg_got got, void *user);

/* Many keys of one view in one call: what belongs to one shard travels together. entries: one for each read, each to be
 * freed; `node` is the first one's. A read without a partition key asks the key's own partition only: what is
 * EVG_NOT_FOUND may be found elsewhere, by evg_view_get. EVG_OK when each was found or is not there, else the first
 * other error; every entry has its own, as evg_view_get returns them. */
int evg_view_get_many(evg *grid, const char *view, const evg_read *reads, size_t count, evg_entry *entries);

/* The version of a key in a stream: the count of its events; 0: it has none. EVG_OK; EVG_UNKNOWN_STREAM, EVG_NOT_YET
 * (AT_LEAST), EVG_EMPTY, EVG_LIMIT, EVG_USAGE (no such node, or a mode AS_OF); and a request's. */
int evg_key_version(evg *grid, const char *stream, const evg_read *read, uint64_t *version);

void evg_entry_free(evg_entry *entry); /* may be called twice */

/* --- blocked keys ------------------------------------------------------------------------------------------------- */

#define EVG_WHAT_BLOCKS UINT64_MAX

typedef struct evg_decide {
	evg_bytes key;
	evg_bytes partition_key; /* empty: the key */
	uint64_t offset;         /* of the event that blocks the key; EVG_WHAT_BLOCKS: the one that does */
	uint32_t history;        /* that offset counts in; EVG_ANY_HISTORY: whatever event stands there */
	int skip;                /* 1: leave that event out; 0: try it again. The events behind it follow, in order */
	uint32_t timeout_ms;     /* 0: the deadline */
} evg_decide;

/* What to do about a key that is blocked in a view; waits until it shows. entry: the key's, to be freed. EVG_OK: the
 * key is free (entry->error EVG_NOT_FOUND: and nothing is stored). EVG_BLOCKED: another event, or the same one tried
 * again, cannot be applied; entry says which and why. EVG_REFUSED: the key is not blocked by that event. EVG_HISTORY:
 * the event's history was given up. EVG_CATCHING_UP: the waiting events are being read still. EVG_OUTCOME_UNKNOWN: safe
 * to ask again. EVG_UNKNOWN_VIEW, EVG_EMPTY, EVG_LIMIT, EVG_NOT_ENOUGH_REPLICAS, EVG_DISK_FULL; and a request's. */
int evg_view_decide(evg *grid, const char *view, const evg_decide *what, evg_entry *entry);

/* --- scanning a view by key --------------------------------------------------------------------------------------- */

typedef struct evg_scan evg_scan;

typedef struct evg_scan_options {
	uint16_t partition; /* one, or EVG_ALL_PARTITIONS: one after the other, each sorted by itself */
	evg_bytes prefix;   /* of the key; empty: all */
	evg_bytes after;    /* one partition: begin behind this key (and partition key); empty: at the beginning */
	evg_bytes after_partition_key;
	evg_read_mode mode;    /* LINEARIZABLE, AT_LEAST or LOCAL */
	int only_blocked;      /* 1: only keys that are blocked; costs next to nothing where there are none */
	const char *node;      /* LOCAL, AT_LEAST: the replica's name; NULL: the primary's */
	evg_position at_least; /* AT_LEAST, its partition only: what must be in every page */
	uint32_t page;       /* entries asked for at a time, at most 4096; 0: 4096. A page costs a pass over all keys of
			      * its partition, whatever its size */
	uint32_t timeout_ms; /* of a page; 0: the deadline */
} evg_scan_options;

typedef struct evg_scan_entry {
	uint16_t partition;
	evg_bytes key;
	evg_bytes partition_key;
	int error;       /* EVG_OK, EVG_BLOCKED, EVG_CATCHING_UP */
	evg_bytes state; /* MessagePack; not OK: what it was before, empty: it was not there */
	uint64_t changed_at;
	uint64_t blocked_at; /* not OK: the first offset that has not been applied, */
	evg_bytes why;       /* and why, as text */
	uint64_t applied;    /* the offset at which its page stands: equal for all entries of a page */
	uint32_t age_ms;
} evg_scan_entry;

/* Entries in ascending order of their keys' bytes, partition by partition; a page is what stood there at one offset,
 * pages may be of different ones. EVG_OK; EVG_UNKNOWN_VIEW; EVG_USAGE (a partition, mode or node that is none, `after`
 * or AT_LEAST with all partitions, in a callback), EVG_LIMIT (a key or page too large), EVG_MEMORY, EVG_CLOSED. */
int evg_view_scan_open(evg *grid, const char *view, const evg_scan_options *options, evg_scan **scan);
/* Valid until the next call. EVG_OK; EVG_NOT_FOUND: the end; EVG_NOT_YET (AT_LEAST), EVG_NOT_READY (the view is being
 * filled), EVG_BAD_VIEW (the nodes cannot use its definition), and a request's: may be called again. */
int evg_view_scan_next(evg_scan *scan, evg_scan_entry *entry);
void evg_view_scan_close(evg_scan *scan); /* NULL is allowed */

/* --- replay ------------------------------------------------------------------------------------------------------- */

typedef struct evg_replay evg_replay;

#define EVG_ALL_PARTITIONS UINT16_MAX

typedef struct evg_replay_options {
	const char *stream;  /* NULL: all */
	uint16_t partition;  /* EVG_ALL_PARTITIONS, or one */
	uint64_t from;       /* the offset to begin at, in every partition replayed */
	const char *cursor;  /* text of evg_replay_cursor: where an earlier replay ended; overrides from */
	const char *node;    /* whose replica is read; NULL: primaries say where it ends */
	bool merge;          /* all partitions merged by sequence; else one partition after the other */
	uint32_t timeout_ms; /* without progress; 0: the deadline */
} evg_replay_options;

#define EVG_REPLAY_OPTIONS ((evg_replay_options){.partition = EVG_ALL_PARTITIONS})

typedef struct evg_record {
	uint16_t partition;
	uint32_t history; /* see evg_record_position */
	uint64_t offset;
	uint64_t sequence;
	uint64_t ingest_us; /* when the primary took it */
	evg_event event;    /* event.headers is NULL: see headers; id is text */
	evg_bytes headers;  /* encoded as docs/reference/formats.md says; evg_record_header reads them */
} evg_record;

/* A read at least as new as this shows what the event did. */
static inline evg_position evg_record_position(const evg_record *record)
{
	evg_position position;
	position.partition = record->partition;
	position.history = record->history;
	position.offset = record->offset;
	return position;
}

/* A replay runs over what is committed when it first looks at a partition, and ends there: that counts every event
 * acknowledged before (with a node: what that node knows). NULL options: everything.
 * EVG_OK; EVG_UNKNOWN_STREAM; EVG_FOREIGN (a cursor of another cluster; of the one whose back-up this cluster was
 * restored from, EVG_BEYOND_END where it lies beyond that); EVG_USAGE (no cursor, node or partition of that name, in a
 * callback); EVG_MEMORY. */
int evg_replay_open(evg *grid, const evg_replay_options *options, evg_replay **replay);

/* The next event; what the record points to is valid until the next call. EVG_OK; EVG_NOT_FOUND: the end;
 * EVG_BEYOND_END, EVG_HISTORY: the cursor does not fit what is stored, or an operator gave up the history that is being
 * read; a request's: may be called again, nothing is left out. */
int evg_replay_next(evg_replay *replay, evg_record *record);

/* Header number i of a record, from 0. EVG_OK or EVG_NOT_FOUND. */
int evg_record_header(const evg_record *record, size_t i, evg_header *header);

/* Where the replay stands, as text for evg_replay_options.cursor; evg_free it. EVG_OK, EVG_MEMORY. */
int evg_replay_cursor(const evg_replay *replay, char **text);
void evg_replay_close(evg_replay *replay); /* NULL is allowed */

/* --- history of a key --------------------------------------------------------------------------------------------- */

typedef struct evg_history evg_history;

typedef struct evg_history_options {
	evg_bytes key;
	evg_bytes partition_key; /* empty: the key */
	const char *stream;      /* NULL: of every stream */
	bool reverse;            /* the newest first */
	uint64_t from;           /* the first offset looked at; reverse: UINT64_MAX: the newest */
	uint64_t until;          /* the last offset wanted; UINT64_MAX, or 0 when reverse: no bound */
	uint64_t until_us;       /* ends before the first event ingested later (reverse: earlier); 0: no bound */
	uint32_t history;        /* that from and until count in; EVG_ANY_HISTORY: whatever records stand there */
	const char *node;        /* whose replica is read; NULL: the primary's */
	uint32_t page;           /* events asked for at a time, at most 4096; 0: 1000 */
	uint32_t timeout_ms;     /* of a page; 0: the deadline */
} evg_history_options;

#define EVG_HISTORY_OPTIONS ((evg_history_options){.until = UINT64_MAX, .history = EVG_ANY_HISTORY})
#define EVG_HISTORY_BACKWARDS ((evg_history_options){.reverse = true, .from = UINT64_MAX, .history = EVG_ANY_HISTORY})

/* Exactly this key's committed events, in the order of their log or the other way round, to what is committed when the
 * last page is asked for: that counts every event acknowledged before (with a node: what that node knows). What it
 * costs follows the key's events where the journal is sealed; what is not sealed yet of its partition is read through.
 * EVG_OK; EVG_UNKNOWN_STREAM; EVG_EMPTY (no key), EVG_LIMIT (a key or page too large), EVG_USAGE (no such node, in a
 * callback), EVG_MEMORY, EVG_CLOSED. */
int evg_history_open(evg *grid, const evg_history_options *options, evg_history **history);
/* Valid until the next call. EVG_OK; EVG_NOT_FOUND: the end; EVG_HISTORY: as evg_replay_next; a request's: may be
 * called again. */
int evg_history_next(evg_history *history, evg_record *record);
/* Everything before this offset of the partition was committed and looked at for the present page. */
uint64_t evg_history_commit(const evg_history *history);
uint16_t evg_history_partition(const evg_history *history);
void evg_history_close(evg_history *history); /* NULL is allowed */

/* --- subscriptions ------------------------------------------------------------------------------------------------ */

/* Committed events as they come, from any place on: what is stored first, then what is published, without gap and
 * without doubling, in each partition in the order of its log (between partitions there is no order). Lost nodes and
 * moved primaries are dealt with inside. An event is handed out only when it is in the views: who reads one of them
 * afterwards finds it applied. A slow subscriber slows nobody: what it does not take stays where it is stored. */
typedef struct evg_subscription evg_subscription;

typedef enum evg_from { EVG_FROM_START, EVG_FROM_NOW } evg_from;

typedef void (*evg_on_event)(void *user, const evg_record *record); /* the record is valid during the call */
typedef void (*evg_on_end)(void *user, int error); /* nothing comes any more; see evg_subscription_next */

typedef struct evg_subscribe_options {
	const char *const *streams; /* names; at most 64; none: all */
	size_t stream_count;
	const char *const *types; /* event types; at most 64; none: all */
	size_t type_count;
	evg_from from;
	const char *cursor;    /* text of evg_subscription_cursor or evg_replay_cursor; overrides from */
	evg_on_event on_event; /* called on the library's thread; NULL: evg_subscription_next hands out */
	evg_on_end on_end;     /* may be NULL */
	void *user;
	uint64_t window_bytes; /* received and not handed out yet; 0: 16 MiB. At least 64 KiB for each shard */
	uint32_t timeout_ms;   /* EVG_FROM_NOW: until all partitions are reached; 0: the deadline */
} evg_subscribe_options;

/* NULL options: everything. With EVG_FROM_NOW it returns when every partition has been reached: what is acknowledged
 * from then on is handed out. EVG_OK; EVG_UNKNOWN_STREAM, EVG_USAGE (no cursor), EVG_FOREIGN and EVG_BEYOND_END (a
 * cursor of another cluster, as above), EVG_TIMEOUT (NOW: a partition cannot be reached), EVG_BUSY (too many on this
 * handle), EVG_EMPTY, EVG_LIMIT (filters), EVG_MEMORY, EVG_CLOSED. */
int evg_subscribe(evg *grid, const evg_subscribe_options *options, evg_subscription **subscription);

/* The next event; what the record points to is valid until the next call. By one thread at a time.
 * EVG_OK; EVG_TIMEOUT: none came in time, call again. EVG_USAGE: in a callback, or the subscription calls back itself.
 * All others mean that nothing comes any more, and are returned again: EVG_BEYOND_END, EVG_HISTORY: the cursor does not
 * fit what is stored; EVG_CLOSED: the handle closes; EVG_MALFORMED, EVG_CHECKSUM, EVG_VERSION: a batch cannot be read;
 * EVG_MEMORY. */
int evg_subscription_next(evg_subscription *subscription, uint32_t timeout_ms, evg_record *record);

/* Where to go on behind the last event handed out, as text; evg_free it. By the thread that takes the events. EVG_OK;
 * EVG_NOT_READY: with EVG_FROM_NOW, opened in a callback, and not all partitions are reached yet; EVG_MEMORY. */
int evg_subscription_cursor(const evg_subscription *subscription, char **text);

typedef struct evg_subscription_status {
	uint32_t partitions_followed; /* that a primary sends from at the moment */
	uint32_t partitions_behind;   /* not followed, or with committed events that have not been received; 0: live */
	uint64_t queued_bytes;        /* received and not handed out */
} evg_subscription_status;

/* How far it is, as this handle knows; asks nobody. EVG_OK; EVG_NOT_FOUND: it has ended. */
int evg_subscription_status_get(const evg_subscription *subscription, evg_subscription_status *status);

/* Before the handle is closed. Waits for a callback that runs; may be called in the callback. NULL is allowed. */
void evg_subscription_close(evg_subscription *subscription);

/* --- definitions -------------------------------------------------------------------------------------------------- */

/* Creates a stream with default settings; EVG_OK too when it exists with the same. Waits until this handle may
 * publish to it. EVG_EXISTS (with other settings), EVG_EMPTY, EVG_LIMIT (the name, or too many streams),
 * EVG_OUTCOME_UNKNOWN (perhaps it is there: ask again, it does no harm), EVG_TIMEOUT (it is there, and this handle has
 * not heard so yet); and a request's: then it is not. */
int evg_stream_create(evg *grid, const char *stream, uint32_t timeout_ms);

/* Makes the view what the YAML text says (docs/reference/views.md), as its next version if it exists. The library opens
 * no files: a Lua view's text stands under `apply` (the evgrid command puts it there in place of `file`).
 * The YAML is held against its grammar only; `evgrid view test` finds what else the nodes would not take: such a view
 * answers EVG_BAD_VIEW.
 * EVG_OK; EVG_BAD_VIEW (the YAML); EVG_REFUSED; EVG_LIMIT (too large, or too many views); EVG_EMPTY (no name);
 * EVG_OUTCOME_UNKNOWN (perhaps it is so: ask again, it does no harm), EVG_TIMEOUT (it is
 * so, and this handle has not heard so yet); and a request's: then it is not. On EVG_REFUSED and EVG_BAD_VIEW *why
 * receives a text for people (evg_free it), else NULL; why may be NULL. */
int evg_view_apply(evg *grid, const char *yaml, size_t yaml_size, uint32_t timeout_ms, char **why);

/* Takes the view away, with everything kept for it; events stay. The name may be applied again: that version, the next
 * one, is filled from the log. What is dropped is the version that this handle knows; one that somebody applied
 * meanwhile is dropped in its place. On EVG_OK reads by this handle answer EVG_UNKNOWN_VIEW; by others, as soon as they
 * have heard of it. A partition without a primary drops it when it has one.
 * EVG_OK; EVG_UNKNOWN_VIEW; EVG_REFUSED (others keep applying versions); EVG_EMPTY (no name); EVG_OUTCOME_UNKNOWN
 * (perhaps it is gone: ask again, it does no harm), EVG_TIMEOUT (it is gone, and this handle has not heard so yet),
 * EVG_USAGE (in a callback); and a request's: then it is there. On EVG_REFUSED *why receives a text for people
 * (evg_free it), else NULL; why may be NULL. */
int evg_view_drop(evg *grid, const char *view, uint32_t timeout_ms, char **why);

/* --- what is there ------------------------------------------------------------------------------------------------ */

/* The streams and views that this handle knows at the moment; what it tells is valid until it is closed. */
typedef struct evg_catalogue evg_catalogue;

typedef struct evg_stream_info {
	const char *name;
	uint32_t id;
	uint64_t changed_at; /* the place of its last change in the cluster's metadata: it rises */
	evg_bytes settings;  /* MessagePack; empty: the defaults */
} evg_stream_info;

typedef struct evg_view_info {
	const char *name;
	uint32_t id;
	uint32_t version; /* the newest */
	uint64_t changed_at;
	evg_bytes definition; /* of that version, MessagePack */
} evg_view_info;

/* Asks nobody. EVG_OK, EVG_MEMORY. */
int evg_catalogue_open(evg *grid, evg_catalogue **catalogue);
/* Number i, from 0, in the order of their ids. EVG_OK; EVG_NOT_FOUND: there are no more. */
int evg_catalogue_stream(const evg_catalogue *catalogue, size_t i, evg_stream_info *stream);
int evg_catalogue_view(const evg_catalogue *catalogue, size_t i, evg_view_info *view);
void evg_catalogue_close(evg_catalogue *catalogue); /* NULL is allowed */

typedef struct evg_view_progress {
	uint32_t version;         /* the newest; the rest is */
	uint32_t filled_percent;  /* of the log, on the replica of each partition that is least far */
	uint32_t filled;          /* partitions that have it on all in-sync replicas, as this handle's map knows */
	uint32_t answering;       /* partitions whose primary answers with it; EVG_PARTITIONS: it has taken over */
	uint32_t answering_older; /* with the version before */
	uint64_t entries;         /* of what answers */
	uint64_t blocked;         /* keys of what answers */
	uint64_t missing;         /* events that changed nothing for want of an entry, of what answers */
	uint64_t unreadable;      /* the same: the payload cannot be read */
	uint64_t refused;         /* the same: no number, out of range, or the state too large */
	uint32_t shards_silent;   /* that did not answer in time: the figures lack theirs */
} evg_view_progress;

/* How far the newest version of a view is; asks every shard. EVG_OK (shards that were silent are counted);
 * EVG_UNKNOWN_VIEW, EVG_EMPTY (no name), EVG_USAGE (in a callback), EVG_MEMORY, EVG_CLOSED. */
int evg_view_progress_get(evg *grid, const char *view, uint32_t timeout_ms, evg_view_progress *progress);

/* --- status ------------------------------------------------------------------------------------------------------- */

typedef struct evg_status {
	uint8_t cluster_id[16];
	uint64_t map_version;
	uint32_t nodes; /* members */
	uint32_t nodes_live;
	uint32_t partitions_served;   /* that have a primary */
	uint32_t partitions_writable; /* and at least the minimum of in-sync replicas */
	uint32_t partitions_full;     /* all of whose replicas are in sync */
	uint32_t replication_factor;
	uint32_t streams;
	uint32_t views;
	uint64_t pending_events; /* this handle's */
	uint64_t pending_bytes;
	uint64_t resends; /* batches this handle sent again */
} evg_status;

/* What this handle knows at the moment; asks nobody. Always EVG_OK. */
int evg_status_get(evg *grid, evg_status *status);

/* --- JSON --------------------------------------------------------------------------------------------------------- */

/* JSON text to the MessagePack that payloads hold, and back. Integers to 64 bits stay integers, other numbers are
 * doubles, member order is kept, duplicate members are refused. *out is NUL-terminated in both directions; evg_free it.
 * EVG_OK, EVG_MALFORMED (no JSON, no MessagePack), EVG_MEMORY. */
int evg_json_to_payload(const char *json, size_t json_size, void **out, size_t *out_size);
int evg_payload_to_json(const void *payload, size_t payload_size, char **out, size_t *out_size);

void evg_free(void *memory); /* what the functions above say; NULL is allowed */

#ifdef __cplusplus
}
#endif

#endif

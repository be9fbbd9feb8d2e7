/* What a back-up of the simulator remembers, for the files backup*.c. */
#ifndef EVGRID_TESTS_SIM_BACKUP_INTERNAL_H
#define EVGRID_TESTS_SIM_BACKUP_INTERNAL_H

#include "client/cli/backup_data.h"
#include "client/core.h"
#include "tests/sim/backup.h"

#define BACKUP_JOBS 8u

enum backup_stage {
	BACKUP_IDLE,
	BACKUP_COMMITS,
	BACKUP_FILLING,
	BACKUP_STATES,
	BACKUP_PAUSE, /* until the next look at views and states */
	BACKUP_COPY,
	BACKUP_CATALOGUE,
};

struct backup_files { /* of a partition, in order; the manifest names the first `named` when it is written */
	struct buffer *list;
	uint32_t count;
	uint32_t named;
};

struct backup_job { /* one partition that is being read */
	bool used;
	bool asked;
	bool arrived;
	uint16_t partition;
	struct core_result result;
	uint32_t node_id;
	uint32_t failures;
	uint64_t resume_ms;
	enum backup_seam seam;
	struct backup_writer writer;
};

struct backup_before { /* what was acknowledged when it began, by operation */
	bool *acknowledged;
	size_t count;
	uint64_t moves; /* of partitions and members, so far */
};

struct backups {
	struct sim *sim;
	struct random random;
	bool is_on; /* this seed takes them */
	bool is_last;
	bool restores;
	struct core *core;
	struct core_outbox outbox;
	bool awake;
	uint64_t timer_ms;
	enum backup_stage stage;
	uint32_t wave; /* of questions: answers to former ones are passed over */
	uint32_t open;
	int error;
	uint32_t timeout_ms;
	uint64_t deadline_ms;
	uint64_t patient_ms;
	uint64_t interrupt_ms; /* the tool's process is killed then */
	uint64_t resume_ms;
	struct cluster_map map; /* of this look */
	bool found[PARTITION_COUNT];
	node_set filling[PARTITION_COUNT];
	struct backup_point points[PARTITION_COUNT];
	struct partition_status *states; /* by node and partition; an epoch of 0: not told */
	struct backup_manifest manifest; /* beyond the files that are named: of the run under way */
	struct backup_files files[PARTITION_COUNT];
	struct backup_defined defined;
	struct backup_job jobs[BACKUP_JOBS];
	uint32_t next; /* partition to be begun next */
	uint32_t running;
	bool elsewhere; /* another node was read from, behind a failure */
	bool adopted;
	struct buffer scratch;
	struct backup_before before;
	uint32_t done;
};

/* --- copying (backup_copy.c) -------------------------------------------------------------------------------------- */

void backup_copy_begin(struct backups *backups);
int backup_copy_step(struct backups *backups); /* 0, or what it fails by; done when nothing is running */
void backup_copy_told(struct backups *backups, struct core_result *result);
void backup_copy_end(struct backups *backups); /* none is under way any more */
/* Files beyond those that are named: none of them, or all. */
void backup_files_drop(struct backup_files *files, uint32_t from);

/* --- judging (backup_judge.c) ------------------------------------------------------------------------------------- */

void backup_note_before(struct backups *backups);
/* The manifest as it is read back from its text. */
void backup_judge(struct backups *backups, const struct backup_manifest *manifest);
/* Into a cluster of its own; at the end of a run. */
void backup_restore(struct backups *backups);

#endif

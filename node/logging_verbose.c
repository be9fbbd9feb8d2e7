/* A log that is verbose for a while. The thread that was asked; others see the level with their next line. */
#include "node/logging.h"

static void set_level(struct logging *log, enum logging_level level)
{
	atomic_store_explicit(&log->level, level, memory_order_relaxed);
}

static void verbose_end(struct logging *log, struct logging_verbose *verbose)
{
	LOG_EVENT(log, node_log_level, .from = logging_level_name(LOGGING_DEBUG),
		  .to = logging_level_name(verbose->before));
	set_level(log, verbose->before);
	verbose->until_ms = 0;
}

void logging_verbose_toggle(struct logging *log, struct logging_verbose *verbose, uint64_t now_ms)
{
	if (verbose->until_ms != 0) {
		verbose_end(log, verbose);
		return;
	}
	verbose->before = atomic_load_explicit(&log->level, memory_order_relaxed);
	verbose->until_ms = now_ms + LOGGING_VERBOSE_MS;
	set_level(log, LOGGING_DEBUG);
	LOG_EVENT(log, node_log_level, .from = logging_level_name(verbose->before),
		  .to = logging_level_name(LOGGING_DEBUG), .for_ms = LOGGING_VERBOSE_MS);
}

void logging_verbose_tick(struct logging *log, struct logging_verbose *verbose, uint64_t now_ms)
{
	if (verbose->until_ms != 0 && now_ms >= verbose->until_ms)
		verbose_end(log, verbose);
}

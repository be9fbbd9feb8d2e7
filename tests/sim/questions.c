/* Asking, and judging answers. */
#include "tests/sim/questions.h"

#include "proto/msgpack.h"
#include "tests/sim/host_internal.h"

#include <assert.h>
#include <stdlib.h>

/* --- asking ------------------------------------------------------------------------------------------------------- */

static int ask_history(struct question *question, struct sim *sim, struct core *core, uint64_t tag)
{
	struct random *random = &sim->random;
	struct core_history ask = {.timeout_ms = 3000};

	ask.node_id = random_chance(random, 300) ? (uint32_t)random_between(random, 1, sim->options.hosts) : 0;
	question->history = (struct history){
		.reverse = random_chance(random, 400),
		.history = question->of_history,
		.until = UINT64_MAX,
		.limit = (uint16_t)random_between(random, 1, 200),
		.max_bytes = (uint32_t)random_between(random, 1, 100000),
		.key = workload_key(question->key),
	};
	if (random_chance(random, 500) && question->point > 0)
		question->history.from = random_between(random, 0, question->point);
	if (question->history.reverse) {
		question->history.from = question->history.from == 0 ? UINT64_MAX : question->history.from;
		question->history.until = 0;
	}
	question->linearizable =
		ask.node_id == 0 && (!question->history.reverse || question->history.from == UINT64_MAX);
	ask.history = question->history;
	return core_history(core, &ask, tag, sim_now_ms(sim));
}

/* Every other point of the past is one of an entry that is not kept by the events' key. */
static int draw_group(struct question *question, struct sim *sim, struct core *core, struct core_read *read)
{
	bool of_the_past = question->kind == ASKED_AS_OF || question->kind == ASKED_AS_OF_TIME;
	const struct map_view *view;

	if (!of_the_past || random_chance(&sim->random, 500))
		return 0;
	view = cluster_map_view_by_name(core_map(core), span_of_text(views_name(SIM_VIEW_GROUPS)));
	if (view == NULL)
		return ERROR_UNKNOWN_VIEW;
	question->group = (uint32_t)random_between(&sim->random, 1, SIM_VIEW_GROUPS_MAX);
	read->view_id = view->id;
	read->partition_key = read->key;
	read->key = views_group(question->group - 1);
	return 0;
}

static int ask_read(struct question *question, struct sim *sim, struct core *core, uint32_t view_id, uint64_t tag)
{
	static const uint8_t modes[] = {[ASKED_AS_OF] = READ_AS_OF_OFFSET, [ASKED_AS_OF_TIME] = READ_AS_OF_TIME,
					[ASKED_AT_LEAST] = READ_AT_LEAST,  [ASKED_LOCAL] = READ_LOCAL,
					[ASKED_ANY] = READ_LOCAL,          [ASKED_MANY] = READ_LINEARIZABLE};
	struct core_read read = {
		.mode = modes[question->kind],
		.view_id = view_id,
		.at_least = question->point,
		.history = question->of_history,
		.key = workload_key(question->key),
		.timeout_ms = (uint32_t)random_between(&sim->random, 100, 2000),
	};

	question->linearizable = question->kind == ASKED_MANY || question->kind == ASKED_AS_OF_TIME;
	if (question->kind == ASKED_ANY) {
		read.any = true;
		question->linearizable = random_chance(&sim->random, 500);
		read.mode = question->linearizable ? READ_LINEARIZABLE : READ_LOCAL;
		question->elsewhere = random_chance(&sim->random, 300);
		read.partition = (uint16_t)((question->partition + question->elsewhere) % PARTITION_COUNT);
	}
	if (!question->linearizable && random_chance(&sim->random, 500))
		read.node_id = (uint32_t)random_between(&sim->random, 1, sim->options.hosts);
	if (draw_group(question, sim, core, &read) != 0)
		return ERROR_UNKNOWN_VIEW;
	return core_read(core, &read, tag, sim_now_ms(sim));
}

static int ask_scan(struct question *question, struct sim *sim, struct core *core, const struct tokens *tokens,
		    uint32_t view_id, uint64_t tag)
{
	struct core_scan scan = {.timeout_ms = 2000};

	question->linearizable = random_chance(&sim->random, 600);
	for (uint32_t key = 0; key < WORKLOAD_KEYS; key++)
		if (partition_of(workload_key(key)) == question->partition && tokens->offset[key] > question->least)
			question->least = tokens->offset[key];
	scan.scan = (struct scan){
		.partition = question->partition,
		.mode = question->linearizable ? READ_LINEARIZABLE : READ_LOCAL,
		.view_id = view_id,
		.limit = (uint16_t)random_between(&sim->random, 1, 3),
		.max_bytes = 100000,
	};
	if (!question->linearizable)
		scan.node_id = (uint32_t)random_between(&sim->random, 1, sim->options.hosts);
	return core_scan_view(core, &scan, tag, sim_now_ms(sim));
}

static int ask_view(struct question *question, struct sim *sim, struct core *core, const struct tokens *tokens,
		    uint64_t tag)
{
	struct core_read read = {.mode = READ_LINEARIZABLE, .key = workload_key(question->key), .timeout_ms = 2000};
	const struct map_view *view;

	question->view = (uint32_t)random_between(&sim->random, SIM_VIEW_SUMS, SIM_VIEW_HASH);
	question->point = tokens->seen[question->view][question->key];
	question->version = question->view == SIM_VIEW_SUMS ? tokens->version[question->partition] : 0;
	view = cluster_map_view_by_name(core_map(core), span_of_text(views_name((enum sim_view)question->view)));
	if (view == NULL)
		return ERROR_UNKNOWN_VIEW;
	read.view_id = view->id;
	return core_read(core, &read, tag, sim_now_ms(sim));
}

static int ask_decision(struct question *question, struct sim *sim, struct core *core, uint64_t tag)
{
	struct core_decide decide = {.timeout_ms = 2000};
	const struct map_view *view =
		cluster_map_view_by_name(core_map(core), span_of_text(views_name((enum sim_view)question->view)));

	question->skip = random_chance(&sim->random, 700);
	decide.decide = (struct decide){
		.decision = question->skip ? DECIDE_SKIP : DECIDE_RETRY,
		.view_id = view == NULL ? 1 : view->id,
		.offset = question->point,
		.key = workload_key(question->key),
	};
	return core_decide(core, &decide, tag, sim_now_ms(sim));
}

/* Now and then a position is asked for whose history was given up. */
static void draw_history(struct question *question, struct sim *sim, const struct tokens *tokens)
{
	bool of_offset = question->kind == ASKED_AS_OF || question->kind == ASKED_AT_LEAST;

	question->of_history = of_offset ? tokens->history[question->key] : HISTORY_ANY;
	if (!of_offset || tokens->given_up[question->key] == 0 || random_chance(&sim->random, 500))
		return;
	question->given_up = true;
	question->of_history = tokens->given_up_history[question->key];
	question->point = tokens->given_up[question->key];
}

/* A point near what is acknowledged, sometimes before it, sometimes beyond it. */
static uint64_t draw_point(const struct question *question, struct sim *sim, const struct tokens *tokens)
{
	uint64_t token = tokens->offset[question->key];

	if (question->kind == ASKED_AS_OF_TIME)
		return SIM_UNIX_US + sim->clockwork.now_us - random_between(&sim->random, 0, 3000000);
	if (question->kind == ASKED_AS_OF)
		return random_between(&sim->random, 0, token + 3);
	return question->kind == ASKED_AT_LEAST && random_chance(&sim->random, 100) ? token + 1000 : token;
}

/* Where something was given up, mostly one of those keys. */
static uint32_t draw_key(struct sim *sim, const struct tokens *tokens)
{
	uint32_t drawn = (uint32_t)random_between(&sim->random, 0, WORKLOAD_KEYS - 1);
	uint32_t key = drawn;

	while (tokens->any_given_up && tokens->given_up[key] == 0)
		key = (key + 1) % WORKLOAD_KEYS;
	return tokens->any_given_up && random_chance(&sim->random, 700) ? key : drawn;
}

static int ask(struct questions *questions, struct question *question, struct sim *sim, struct core *core,
	       const struct tokens *tokens, uint32_t view_id, uint64_t tag)
{
	if (questions->blocked.kind == ASKED_DECISION) {
		*question = questions->blocked;
		questions->blocked.kind = ASKED_NOTHING;
		return ask_decision(question, sim, core, tag);
	}
	if (question->kind == ASKED_VIEW)
		return ask_view(question, sim, core, tokens, tag);
	if (question->kind == ASKED_HISTORY)
		return ask_history(question, sim, core, tag);
	if (view_id == 0)
		return ERROR_UNKNOWN_VIEW;
	if (question->kind == ASKED_SCAN)
		return ask_scan(question, sim, core, tokens, view_id, tag);
	return ask_read(question, sim, core, view_id, tag);
}

/* False: there is no room, or it cannot be asked now. */
static bool ask_one(struct questions *questions, struct sim *sim, struct core *core, const struct tokens *tokens,
		    uint32_t view_id, enum question_kind kind, uint32_t key)
{
	struct question question = {.kind = kind, .key = key, .partition = partition_of(workload_key(key))};
	uint64_t tag = 0;

	while (tag < QUESTIONS_MAX && questions->list[tag].kind != ASKED_NOTHING)
		tag++;
	if (tag == QUESTIONS_MAX)
		return false;
	question.point = draw_point(&question, sim, tokens);
	draw_history(&question, sim, tokens);
	question.least = tokens->offset[key];
	question.asked = edge_ask(sim->edge, questions->client, question.partition);
	if (ask(questions, &question, sim, core, tokens, view_id, tag) != 0)
		return false;
	questions->list[tag] = question;
	questions->open++;
	return true;
}

void questions_ask(struct questions *questions, struct sim *sim, struct core *core, const struct tokens *tokens,
		   uint32_t view_id)
{
	enum question_kind kind = (enum question_kind)random_between(&sim->random, ASKED_HISTORY, ASKED_VIEW);
	uint32_t key = draw_key(sim, tokens);
	uint64_t more = kind == ASKED_MANY ? random_between(&sim->random, 1, 7) : 0;

	while (ask_one(questions, sim, core, tokens, view_id, kind, key) && more-- > 0)
		key = (key + 1) % WORKLOAD_KEYS;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static bool map_number(struct span map, const char *name, uint64_t *value)
{
	struct span member = msgpack_member(map, span_of_text(name));
	struct reader reader = reader_of(member);

	if (member.data == NULL)
		return false;
	*value = msgpack_read_uint(&reader);
	return reader_done(&reader);
}

bool questions_state(struct span state, uint32_t group, uint64_t *serial, uint64_t *client)
{
	return map_number(state, group == 0 ? "n" : "last", serial) &&
	       map_number(state, group == 0 ? "client" : "count", client);
}

/* Linearizable, and of the first view. */
static void show_entry(const struct question *question, struct sim *sim, const struct claim *claim)
{
	struct edge_seen seen = {
		.key = claim->key,
		.invoked = question->asked.invoked,
		.version = UINT64_MAX,
		.of_view = true,
		.present = claim->present,
		.serial = claim->serial,
		.client = claim->client,
		.changed_at = claim->changed_at,
	};

	if (question->linearizable && claim->kind == CLAIM_STATE && claim->group == 0)
		edge_seen(sim->edge, &seen);
}

static void claim_state(const struct question *question, struct claims *claims, struct sim *sim, struct claim claim,
			struct span state)
{
	claim.present = state.size > 0;
	if (claim.present && !questions_state(state, claim.group, &claim.serial, &claim.client))
		sim_fail(sim, "past: key %u: a state that no view made", claim.key);
	show_entry(question, sim, &claim);
	claims_add(claims, &claim);
}

/* The offsets of a page, ascending. */
static void take_page(const struct question *question, struct sim *sim, const struct history_data *page,
		      struct claim *claim)
{
	struct reader records = reader_of(page->records);

	claim->offsets = calloc((size_t)page->count + 1, sizeof *claim->offsets);
	assert(claim->offsets != NULL);
	claim->count = page->count;
	for (uint32_t i = 0; i < page->count; i++) {
		uint32_t place = question->history.reverse ? page->count - 1 - i : i;
		struct history_record record;
		struct reader bytes;
		struct event event;

		if (history_record_decode(&records, &record) != 0)
			sim_fail(sim, "history: a page does not decode");
		bytes = reader_of(record.event);
		if (sim->failed || event_decode(&bytes, &event) != 0 ||
		    !span_equal(event.key, workload_key(question->key)))
			sim_fail(sim, "history: key %u: another key's event", question->key);
		claim->offsets[place] = record.offset;
	}
	for (uint32_t i = 1; i < page->count; i++)
		if (claim->offsets[i] <= claim->offsets[i - 1])
			sim_fail(sim, "history: key %u is out of order", question->key);
}

static void told_history(const struct question *question, struct sim *sim, struct claims *claims,
			 const struct core_result *result)
{
	const struct history_data *page = &result->history;
	const struct history *asked = &question->history;
	struct claim claim = {.kind = CLAIM_HISTORY, .key = question->key, .history = page->history};

	if (question->linearizable && question->least > 0 && page->commit <= question->least)
		sim_fail(sim, "linearizability: a history of key %u, committed %llu, misses offset %llu", question->key,
			 (unsigned long long)page->commit, (unsigned long long)question->least);
	take_page(question, sim, page, &claim);
	edge_answered(sim->edge, &question->asked, result->node_id, question->linearizable, page->commit);
	if (asked->reverse) {
		claim.from = page->done ? 0 : page->next;
		claim.to = asked->from < page->commit ? asked->from : page->commit;
	} else {
		claim.from = asked->from;
		claim.to = page->done ? page->commit : page->next;
	}
	marks_reach(&sim->marks, page->done ? MARK_HISTORY : MARK_HISTORY_PAGE);
	claims_add(claims, &claim);
}

/* A position is answered by its history or not at all. One that is given up may still be, by a node that has not heard
 * of that and has what the position names. */
static void told_position(const struct question *question, struct sim *sim, struct tokens *tokens,
			  const struct core_result *result)
{
	bool answered = result->error == ERROR_NONE || result->error == ERROR_NOT_FOUND ||
			result->error == ERROR_BEFORE_FIRST || result->error == ERROR_BLOCKED;

	if (answered && result->read.history != question->of_history)
		sim_fail(sim, "token: key %u: %llu of history %u was demanded, history %u answered", question->key,
			 (unsigned long long)question->point, question->of_history, result->read.history);
	if (result->error == ERROR_HISTORY && !question->given_up)
		sim_fail(sim, "token: key %u: %llu of history %u was refused, and nobody gave it up", question->key,
			 (unsigned long long)question->point, question->of_history);
	tokens->refused += result->error == ERROR_HISTORY;
	tokens->answered += answered && question->of_history > 0;
}

/* The clients' keys are their own partition keys. False: it was asked elsewhere, rightly in vain. */
static bool told_any(const struct question *question, struct sim *sim, const struct core_result *result)
{
	const struct read_done *done = &result->read;

	if (result->error == ERROR_NONE &&
	    (question->elsewhere || done->found != 1 || !span_equal(done->partition_key, workload_key(question->key))))
		sim_fail(sim, "any: key %u: %u entries found in partition %u%s, partition key '%.*s'", question->key,
			 done->found, question->partition, question->elsewhere ? " + 1" : "",
			 (int)done->partition_key.size, (const char *)done->partition_key.data);
	return !question->elsewhere;
}

static const enum mark read_marks[] = {
	[ASKED_AS_OF] = MARK_AS_OF,      [ASKED_AS_OF_TIME] = MARK_AS_OF, [ASKED_AT_LEAST] = MARK_AT_LEAST,
	[ASKED_LOCAL] = MARK_LOCAL_READ, [ASKED_ANY] = MARK_SHARDS_ASKED, [ASKED_MANY] = MARK_MANY_READ,
};

static void told_read(const struct question *question, struct sim *sim, struct tokens *tokens, struct claims *claims,
		      const struct core_result *result)
{
	const struct read_done *done = &result->read;
	struct claim claim = {
		.kind = question->kind == ASKED_AS_OF_TIME ? CLAIM_STATE_AT : CLAIM_STATE,
		.key = question->key,
		.group = question->group,
		.history = done->history,
		.to = question->kind == ASKED_AS_OF_TIME ? question->point : done->applied,
		.changed_at = done->changed_at,
		.from = done->applied,
		.version = question->kind == ASKED_AS_OF || question->kind == ASKED_AS_OF_TIME ? done->version
											       : UINT64_MAX,
	};

	if (result->error == ERROR_NOT_YET)
		marks_reach(&sim->marks, MARK_NOT_YET);
	if (question->kind == ASKED_AS_OF || question->kind == ASKED_AT_LEAST)
		told_position(question, sim, tokens, result);
	if (result->error == ERROR_BEFORE_FIRST) {
		marks_reach(&sim->marks, MARK_BEFORE_FIRST);
		claim.kind = CLAIM_BEFORE_FIRST;
		claim.from = done->changed_at;
		claim.to = question->kind == ASKED_AS_OF ? question->point + 1 : 0;
		claims_add(claims, &claim);
	}
	if (result->error != ERROR_NONE && result->error != ERROR_NOT_FOUND)
		return;
	if (question->kind == ASKED_AT_LEAST && done->applied <= question->point)
		sim_fail(sim, "token: key %u: offset %llu was demanded, applied %llu answered", question->key,
			 (unsigned long long)question->point, (unsigned long long)done->applied);
	if (question->linearizable && !question->elsewhere && question->least > 0 && done->applied <= question->least)
		sim_fail(sim, "linearizability: key %u, asked as %u, misses offset %llu", question->key, question->kind,
			 (unsigned long long)question->least);
	marks_reach(&sim->marks, question->group > 0 ? MARK_OTHER_KEY_AS_OF : read_marks[question->kind]);
	if (question->kind == ASKED_ANY && !told_any(question, sim, result))
		return;
	if (question->kind != ASKED_AS_OF && question->kind != ASKED_AS_OF_TIME)
		edge_answered(sim->edge, &question->asked, result->node_id, question->linearizable, done->applied);
	claim_state(question, claims, sim, claim, done->state);
}

/* Every key of the partition up to the page's last one (all, when it is the last page) is in the page or not there. */
static void told_scan(const struct question *question, struct sim *sim, struct claims *claims,
		      const struct core_result *result)
{
	const struct scan_done *page = &result->scan;
	struct reader entries = reader_of(page->entries);
	struct scan_entry entry = {0};
	uint32_t taken = 0;

	if (question->linearizable && question->least > 0 && page->applied <= question->least)
		sim_fail(sim, "linearizability: a scan of partition %u at %llu misses offset %llu", question->partition,
			 (unsigned long long)page->applied, (unsigned long long)question->least);
	if (page->count > 0 && scan_entry_decode(&entries, &entry) != 0)
		sim_fail(sim, "scan: a page does not decode");
	for (uint32_t key = 0; key < WORKLOAD_KEYS && (page->done || taken < page->count); key++) {
		bool here = taken < page->count && span_equal(entry.key, workload_key(key));
		struct claim claim = {.kind = CLAIM_STATE, .key = key, .to = page->applied, .version = UINT64_MAX};

		if (partition_of(workload_key(key)) != question->partition)
			continue;
		claim.changed_at = here ? entry.changed_at : 0;
		claim_state(question, claims, sim, claim, here ? entry.state : SPAN_NULL);
		taken += here;
		if (here && taken < page->count && scan_entry_decode(&entries, &entry) != 0)
			sim_fail(sim, "scan: a page does not decode");
	}
	if (taken != page->count)
		sim_fail(sim, "scan: partition %u: keys out of order, or not of this partition", question->partition);
	edge_answered(sim->edge, &question->asked, result->node_id, question->linearizable, page->applied);
	marks_reach(&sim->marks, MARK_SCAN);
}

/* Somebody may have deleted the key behind what was seen. */
static bool may_be_deleted(struct sim *sim, uint32_t key, uint64_t seen)
{
	size_t count;
	const struct operation *operations = workload_operations(sim->workload, &count);

	for (size_t i = 0; i < count; i++)
		if (operations[i].key == key && operations[i].kind == OPERATION_DELETE &&
		    operations[i].outcome != OUTCOME_REFUSED &&
		    (operations[i].outcome != OUTCOME_ACKNOWLEDGED || operations[i].offset >= seen))
			return true;
	return false;
}

/* Once a version has answered, an earlier one never does again. */
static void check_version(const struct question *question, struct sim *sim, struct tokens *tokens, struct span state)
{
	uint32_t version = views_version(state);

	if (question->view != SIM_VIEW_SUMS)
		return;
	if (version < question->version)
		sim_fail(sim, "views: partition %u, key %u: version %u answers behind version %u", question->partition,
			 question->key, version, question->version);
	if (version <= tokens->version[question->partition])
		return;
	if (version > 1)
		marks_reach(&sim->marks, MARK_VIEW_SWAPPED);
	tokens->version[question->partition] = version;
}

/* Whatever version answers, and whichever primary: never older than what was seen before it was asked. */
static void told_view(struct questions *questions, const struct question *question, struct sim *sim,
		      struct tokens *tokens, const struct core_result *result)
{
	const struct read_done *done = &result->read;
	uint64_t *seen = &tokens->seen[question->view][question->key];

	if (result->error == ERROR_UNKNOWN_VIEW)
		marks_reach(&sim->marks, MARK_VIEW_UNKNOWN);
	if (result->error == ERROR_BLOCKED) {
		marks_reach(&sim->marks, MARK_BLOCKED);
		questions->blocked = (struct question){.kind = ASKED_DECISION,
						       .key = question->key,
						       .view = question->view,
						       .point = done->changed_at};
	}
	if (result->error != ERROR_NONE && result->error != ERROR_NOT_FOUND)
		return;
	edge_answered(sim->edge, &question->asked, result->node_id, true, done->applied);
	if (question->least > 0 && done->applied <= question->least)
		sim_fail(sim, "linearizability: view %u, key %u misses offset %llu", question->view, question->key,
			 (unsigned long long)question->least);
	if (result->error == ERROR_NOT_FOUND && question->point > 0 &&
	    !may_be_deleted(sim, question->key, question->point))
		sim_fail(sim, "views: view %u, key %u was there at %llu and is not found at %llu", question->view,
			 question->key, (unsigned long long)question->point - 1, (unsigned long long)done->applied);
	if (result->error == ERROR_NONE && done->changed_at + 1 < question->point)
		sim_fail(sim, "views: view %u, key %u goes back from %llu to %llu", question->view, question->key,
			 (unsigned long long)question->point - 1, (unsigned long long)done->changed_at);
	if (result->error == ERROR_NONE)
		check_version(question, sim, tokens, done->state);
	if (result->error == ERROR_NONE && done->changed_at + 1 > *seen)
		*seen = done->changed_at + 1;
}

static void told_decision(const struct question *question, struct sim *sim, const struct core_result *result)
{
	if (result->error == ERROR_NONE)
		marks_reach(&sim->marks, question->skip ? MARK_SKIPPED : MARK_RETRIED);
}

void questions_told(struct questions *questions, struct sim *sim, struct tokens *tokens, struct claims *claims,
		    const struct core_result *result)
{
	struct question *question = &questions->list[result->tag];

	assert(result->tag < QUESTIONS_MAX && question->kind != ASKED_NOTHING);
	if (question->kind == ASKED_HISTORY && result->error == ERROR_NONE)
		told_history(question, sim, claims, result);
	else if (question->kind == ASKED_SCAN && result->error == ERROR_NONE)
		told_scan(question, sim, claims, result);
	else if (question->kind == ASKED_VIEW)
		told_view(questions, question, sim, tokens, result);
	else if (question->kind == ASKED_DECISION)
		told_decision(question, sim, result);
	else if (result->kind == CORE_READ)
		told_read(question, sim, tokens, claims, result);
	question->kind = ASKED_NOTHING;
	questions->open--;
}

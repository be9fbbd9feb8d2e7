/* Part of replication.pml: the log and who holds it (rules 2 to 5), and the election of suspects (rule 10). */

/* --- replication -------------------------------------------------------------------------------------------------- */

inline append_own(n)
{
	at(n, node[n].end) = node[n].seen | mark(n);
	sent(node[n].seen, node[n].end) = at(n, node[n].end);
	node[n].end++;
	sent_end(node[n].seen) = node[n].end
}

/* Rule 2: the epoch start. */
inline begin(n)
{
	d_step {
		has(leads, n) && node[n].start == 0 ->
		printf("node %d begins epoch %d at %d\n", n, node[n].seen, node[n].end);
		append_own(n);
		node[n].start = node[n].end;
		settle()
	}
}

inline append(n)
{
	d_step {
		has(leads, n) && node[n].start != 0 && records < RECORDS ->
		printf("node %d appends %d\n", n, node[n].end);
		records++;
		append_own(n);
		settle()
	}
}

#ifdef INTERVAL
#define reached(n) node[n].end
#else
#define reached(n) node[n].durable
#endif

/* Its present process acknowledges what it has, in its epoch. */
inline acknowledge(n)
{
	if
	:: acks(n, node[n].seen, life(n)) < reached(n) -> acks(n, node[n].seen, life(n)) = reached(n)
	:: else
	fi;
	forget_said()
}

/* Rule 3: only of its epoch, and only if offset and epoch of the record before are its own end. */
#ifdef BREAK_3_BEFORE
#define fits(n, e) true
#else
#define fits(n, e) (node[n].end == 0 || epoch_at(n, node[n].end - 1) == (sent(e, node[n].end - 1) & 7))
#endif
#define follows(n) (has(up & ~leads, n) && node[n].seen > 0)

/* A message with one record. It, and one without, joins who fits. */
inline receive(n, e)
{
	d_step {
		follows(n) && node[n].end < sent_end(e) && fits(n, e) && (sent(e, node[n].end) & 7) >= last(n) ->
		printf("node %d receives %d of epoch %d\n", n, node[n].end, e);
		joined = joined | one(n);
		at(n, node[n].end) = sent(e, node[n].end);
		node[n].end++;
#if defined(INTERVAL)
		acknowledge(n);
#elif defined(AT_ONCE)
		node[n].durable = node[n].end;
		acknowledge(n);
#elif defined(BREAK_4_SYNCED)
		acks(n, node[n].seen, life(n)) = node[n].end;
#endif
		settle()
	}
}

#ifdef BREAK_3_EPOCH
#define receive_any(n) receive(n, 1) :: receive(n, 2) :: receive(n, 3)
#else
#define receive_any(n) receive(n, node[n].seen)
#endif

/* A sync is done, and what it covers acknowledged; or, having joined, what was there already. */
inline sync(n)
{
	d_step {
		follows(n) && has(joined, n) &&
		(reached(n) < node[n].end || acks(n, node[n].seen, life(n)) < reached(n)) ->
		printf("node %d acknowledges %d\n", n, node[n].end);
#ifndef INTERVAL
		node[n].durable = node[n].end;
#endif
		acknowledge(n);
		settle()
	}
}

/* Rule 3: (last epoch, end) is asked, the primary's greatest epoch not above it and that epoch's end is the answer. An
 * answer that does not repeat the present question is dropped, so question and answer are one step. */
inline find_cut(n)
{
	own = last(n);
	cut = 0;
	do
	:: cut < sent_end(node[n].seen) && (sent(node[n].seen, cut) & 7) <= own -> cut++
	:: else -> break
	od;
	k = (cut > 0 -> (sent(node[n].seen, cut - 1) & 7) : 0); /* the answer: epoch k, end cut */
	i = 0;
	do
	:: i < node[n].end && epoch_at(n, i) <= k -> i++
	:: else -> break
	od /* own end of that epoch: i */
}

inline cut_tail(n, to)
{
	i = to;
	do
	:: i < node[n].end ->
		assert(lost || i >= committed_end || at(n, i) != committed[i]); /* nobody cuts what was committed */
		at(n, i) = 0;
		i++
	:: else -> break
	od;
	node[n].end = smaller(node[n].end, to);
	node[n].durable = smaller(node[n].durable, to)
}

inline join(n)
{
	d_step {
		follows(n) && !has(joined, n) && sent_end(node[n].seen) > 0 ->
		find_cut(n);
#ifdef BREAK_3_JOINED
		node[n].answer = smaller(cut, i) + 1;
#endif
		if
#ifdef BREAK_3_AGAIN
		:: true ->
			joined = joined | one(n);
			if
			:: cut < node[n].end -> cut_tail(n, cut)
			:: else
			fi
#else
		:: k == own && cut >= node[n].end -> joined = joined | one(n)
		:: else -> cut = smaller(cut, i); cut_tail(n, cut)
#endif
		fi;
		printf("node %d asks to join: end %d, joined %d\n", n, node[n].end, has(joined, n));
		settle()
	}
}

#ifdef BREAK_3_JOINED
inline late_answer(n)
{
	d_step {
		follows(n) && has(joined, n) && node[n].answer > 0 && node[n].answer <= node[n].end ->
		printf("node %d cuts to %d, late\n", n, node[n].answer - 1);
		k = node[n].answer - 1;
		cut_tail(n, k);
		settle()
	}
}
#endif

/* --- committing (rule 4) ------------------------------------------------------------------------------------------ */

#ifdef LATE
#define row_of(n) node[n].isr
#define commit_of(n) node[n].commit
#define known_life(n, m) node[n].knows[m]
#else
#define row_of(n) isr
#define commit_of(n) committed_end /* at most its epoch start, or its own */
#define known_life(n, m) life(m)
#endif

/* What n counts for m: acknowledged in n's epoch by the process that n knows. They only grow, so hearing one late is
 * acting late. */
#if defined(BREAK_4_EPOCH)
#define greater(a, b) ((a) > (b) -> (a) : (b))
#define heard(n, m) greater(acks(m, 1, life(m)), greater(acks(m, 2, life(m)), acks(m, 3, life(m))))
#elif defined(BREAK_4_PROCESS)
#define greater(a, b) ((a) > (b) -> (a) : (b))
#define heard(n, m) greater(acks(m, node[n].seen, 0), acks(m, node[n].seen, life(m)))
#else
#define heard(n, m) acks(m, node[n].seen, known_life(n, m))
#endif

#if defined(BREAK_4_MAXIMAL)
#define counted(n) row_of(n)
#elif defined(BREAK_5_REMOVED)
#define counted(n) ((row_of(n) | node[n].proposed) & ~node[n].dropped)
#else
#define counted(n) (row_of(n) | node[n].proposed)
#endif
#ifdef BREAK_4_MINIMUM
#define enough(n) true
#else
#define enough(n) (count(row_of(n)) >= MINIMUM)
#endif
#define behind(n, m) (m != n && has(counted(n), m) && heard(n, m) <= commit_of(n))

/* What is committed is acknowledged to clients: it is the truth from now on. */
inline advance(n)
{
	d_step {
		has(leads, n) && enough(n) && commit_of(n) < node[n].end &&
		!behind(n, 0) && !behind(n, 1) && !behind(n, 2) ->
		cut = node[n].end;
		k = 0;
		do
		:: k < NODES ->
			assert(k == n || !has(leads, k) || node[k].seen != node[n].seen);
			if
			:: k != n && has(counted(n), k) && heard(n, k) < cut -> cut = heard(n, k)
			:: else
			fi;
			k++
		:: else -> break
		od;
		printf("node %d commits up to %d\n", n, cut);
		i = 0;
		do
		:: i < cut && i < committed_end -> assert(lost || committed[i] == at(n, i)); i++
		:: i < cut && i >= committed_end -> committed[i] = at(n, i); committed_end++; i++
		:: else -> break
		od;
#ifdef LATE
		node[n].commit = cut;
#endif
#ifndef INTERVAL
		node[n].durable = (node[n].durable < cut -> cut : node[n].durable); /* its own sync came before */
#endif
		check_complete();
		settle()
	}
}

/* --- the in-sync set, by its primary (rule 5) --------------------------------------------------------------------- */

/* Below the minimum before the epoch start is committed, too: docs/decisions/0008. */
#if defined(BREAK_5_BEHIND)
#define may_add(n, m) (heard(n, m) > 0 && node[n].start > 0 && commit_of(n) >= node[n].start)
#elif defined(BREAK_2_START)
#define may_add(n, m) (heard(n, m) > 0 && heard(n, m) >= commit_of_own(n))
#else
#define may_add(n, m) (node[n].start > 0 && heard(n, m) >= node[n].start && heard(n, m) >= commit_of(n) && \
	(commit_of(n) >= node[n].start || count(row_of(n)) < MINIMUM))
#endif
/* A new primary knows less than what was committed before it. */
#define commit_of_own(n) (node[n].start > 0 && committed_end >= node[n].start -> committed_end : 0)

/* A request names the process that gave the acknowledgement; one that is not the present one's is refused. */
#if defined(LATE) && !defined(BREAK_5_PROCESS)
#define names_present(n, m) (known_life(n, m) == life(m))
#else
#define names_present(n, m) true
#endif

inline propose(n, m)
{
	d_step {
		has(leads & current, n) && !has(row_of(n), m) && !has(node[n].asked, m) && may_add(n, m) ->
		printf("node %d proposes to add %d\n", n, m);
		node[n].proposed = node[n].proposed | one(m);
		node[n].asked = (names_present(n, m) -> node[n].asked | one(m) : node[n].asked);
		settle()
	}
}

inline grow(n, m)
{
	d_step {
		has(node[n].asked, m) && primary == n ->
		printf("node %d is added\n", m);
#ifdef BREAK_5_VERSION
		node[n].asked = node[n].asked & ~one(m);
#endif
		enter_isr(m);
		row_changed();
		settle()
	}
}

/* The committed set is proposed again: the proposals under that version are void. */
inline withdraw(n)
{
	d_step {
		has(leads & current, n) && primary == n && node[n].proposed != 0 ->
		printf("node %d withdraws its proposals\n", n);
		row_changed();
		settle()
	}
}

#ifdef BREAK_5_REMOVED
inline drop(n, m)
{
	d_step {
		has(leads, n) && n != m && has(row_of(n) & ~node[n].dropped, m) ->
		printf("node %d proposes to remove %d\n", n, m);
		node[n].dropped = node[n].dropped | one(m);
		settle()
	}
}
#endif

/* --- rule 10: nobody complete is left; all suspects tell how far they reach --------------------------------------- */

inline report(n)
{
	d_step {
		isr == 0 && elr == 0 && has(suspects & up & current, n) &&
		node[n].reach != 1 + (last(n) << 4 | node[n].end) ->
		printf("suspect %d reports epoch %d, end %d\n", n, last(n), node[n].end);
		node[n].reach = 1 + (last(n) << 4 | node[n].end);
		settle()
	}
}

#ifdef BREAK_10_GREATEST
#define further(m, n) false
#else
#define further(m, n) (has(suspects, m) && node[m].reach > node[n].reach)
#endif
#ifdef BREAK_10_ALL
#define silent(n) false
#else
#define silent(n) (has(suspects, n) && (!has(up, n) || node[n].reach == 0))
#endif

/* Nothing is lost that a suspect still holds; with each commit synced, nothing at all. */
inline check_choice(n)
{
	measure_held(n, own);
	k = 0;
	do
	:: k < NODES ->
		if
		:: has(suspects, k) -> measure_held(k, cut); assert(lost || cut <= own)
		:: else
		fi;
		k++
	:: else -> break
	od;
#if !defined(INTERVAL) && !defined(DISK)
	assert(lost || own == committed_end);
#endif
	if /* reported: what is left is the truth now */
	:: own < committed_end ->
#ifdef LATE
		lost = 1
#else
		do
		:: committed_end > own -> committed_end--; committed[committed_end] = 0
		:: else -> break
		od
#endif
	:: else
	fi
}

inline elect_suspect(n)
{
	d_step {
		isr == 0 && elr == 0 && has(suspects & up, n) && node[n].reach != 0 && epoch < EPOCHS &&
		!silent(0) && !silent(1) && !silent(2) && !further(0, n) && !further(1, n) && !further(2, n) ->
		printf("suspect %d is elected\n", n);
		check_choice(n);
#ifndef BREAK_10_RENEWED
		forget_reports();
#endif
		epoch++;
		primary = n;
		enter_isr(n);
		row_changed();
		settle()
	}
}

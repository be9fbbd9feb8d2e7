/* Rules 1 to 6 and 10 of design.md 6: the replication of one partition. README.md beside this file says what it shows
 * and what not.
 *
 * One process; each step is what one node does upon one message, one entry of the metadata, or one fault. Nothing that
 * was said is ever taken off the network: it may arrive late, twice, in any order, or never. So a message needs no
 * queue, it is a fact: the log of each epoch's primary, and the greatest end that each process of each replica
 * acknowledged in each epoch. What nobody can be told any more is forgotten.
 *
 * The metadata is one row, changed by entries that name the version they expect. Who is alive is for the controller to
 * guess: it may fence anybody and elect anybody complete, at any time.
 *
 * A record is known by (epoch, offset): a log is an array of epochs; the first record of an epoch is its start.
 *
 * RECORDS, EPOCHS, CRASHES: the bounds.          MINIMUM: of the in-sync set.
 * LOSS: a crash may lose what was not synced.    INTERVAL: what was received is acknowledged, synced or not.
 * TORN: a start may find a torn tail.            DISK: a crash may cost the whole disk.
 * LATE: a node acts on an old row as long as it likes. Without it a row is learned with its entry: what is done in an
 * old epoch after the entry could as well have been done before, since nothing of a later epoch has a part in it.
 * SORTED: nodes are interchangeable (not with LATE). BREAK_x leaves out a part of rule x. */

#ifndef RECORDS
#define RECORDS 2
#endif
#ifndef EPOCHS
#define EPOCHS 3 /* at most 7 */
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef MINIMUM
#define MINIMUM 2
#endif
#define NODES 3
#define ALL 7
#define NONE NODES
#define LENGTH (RECORDS + EPOCHS) /* of the longest log */

#if defined(LATE) || defined(BREAK_4_PROCESS) || defined(BREAK_6_PRIMARY)
#define PROCESSES /* starts are numbered: someone may be heard as the process that he was */
#define LIVES (CRASHES + 1)
#define life(n) node[n].process
#define mark(n) (node[n].process << 3) /* in a record: which process wrote it. Only the checks look at it */
#else
#define LIVES 1
#define life(n) 0
#define mark(n) 0
#endif

#define one(n) (1 << (n))
#define has(set, n) (((set) >> (n)) & 1)
#define count(set) (((set) & 1) + (((set) >> 1) & 1) + (((set) >> 2) & 1))
#define smaller(a, b) ((a) < (b) -> (a) : (b))

typedef Node {
	byte log[LENGTH];
	byte end;
	byte durable;    /* [0, durable) survives a crash; with INTERVAL: luck decides */
	byte seen;       /* the epoch it acts in; 0: none, or nobody is primary */
	byte acked[EPOCHS * LIVES];
	byte process;    /* its starts */
	byte start;      /* as primary: its epoch start's offset + 1; 0: not appended yet */
	byte proposed;   /* additions, until a higher version of the row is seen */
	byte asked;      /* those of them that the controller may still grant: under way even if the asker died */
	byte reach;      /* as suspect, in the metadata: (last epoch, end) + 1; 0: none */
#ifdef LATE
	byte commit;
	byte isr;        /* of the row that it knows */
	byte knows[NODES]; /* processes, likewise */
#endif
#ifdef BREAK_3_JOINED
	byte answer;     /* an old one, still under way: where to cut, + 1 */
#endif
#ifdef BREAK_5_REMOVED
	byte dropped;
#endif
#ifdef DISK
	byte wiped;
#endif
};
Node node[NODES];
byte up = ALL;
byte leads = 1;         /* act as primary */
byte joined = ALL - 1;  /* agree with the primary of their epoch */

/* --- the row --------------------------------------------------------------------------------------------------------- */
byte epoch = 1;
byte primary = 0;
byte isr = ALL;
byte elr = 0;
byte suspects = 0;
byte current = ALL; /* nodes that have seen the row's newest version; without LATE: all that are up */

/* --- said ------------------------------------------------------------------------------------------------------------ */
byte told[EPOCHS * LENGTH]; /* the log of each epoch's primary */
byte told_end[EPOCHS];
#define sent(e, o) told[((e) - 1) * LENGTH + (o)]
#define sent_end(e) told_end[(e) - 1]
#define acks(n, e, p) node[n].acked[((e) - 1) * LIVES + (p)]

/* --- the truth, and the bounds ---------------------------------------------------------------------------------------- */
byte committed[LENGTH];
byte committed_end;
byte records;
byte crashes;
#ifdef LATE
bit lost; /* rule 10 has reported loss. What an old primary commits after that says nothing any more */
#else
#define lost 0
#endif

#ifdef SHORTEST
byte i, j, k, cut, own; /* scratch, zero between steps */
#else
hidden byte i, j, k, cut, own; /* which spin cannot hide in a search by breadth */
#endif

#define at(n, o) node[n].log[o]
#define epoch_at(n, o) (at(n, o) & 7)
#define last(n) (node[n].end > 0 -> epoch_at(n, node[n].end - 1) : 0)

/* --- checks ----------------------------------------------------------------------------------------------------------- */

#ifdef DISK
#define disk_gone(n) node[n].wiped /* until it registers */
#else
#define disk_gone(n) false
#endif

/* Whoever may be elected holds all that was ever committed, as it was committed. */
inline check_complete()
{
	k = 0;
	do
	:: k < NODES ->
		if
		:: has(isr | elr, k) && !lost && !disk_gone(k) ->
#ifdef INTERVAL
			assert(!has(up, k) || node[k].end >= committed_end);
#else
			assert(node[k].durable >= committed_end);
#endif
			i = 0;
			do
			:: i < committed_end && i < node[k].end -> assert(at(k, i) == committed[i]); i++
			:: else -> break
			od
		:: else
		fi;
		k++
	:: else -> break
	od
}

/* How much of what was committed n holds. */
inline measure_held(n, result)
{
	result = 0;
	do
	:: result < committed_end && result < node[n].end && at(n, result) == committed[result] -> result++
	:: else -> break
	od
}

/* Nodes that differ in their numbers only are one. */
inline settle()
{
#ifdef SORTED
	c_code { sort_nodes(); };
#endif
	i = 0; j = 0; k = 0; cut = 0; own = 0
}

/* --- a row is learned ------------------------------------------------------------------------------------------------- */

/* What was said is forgotten when nobody is left who would listen. */
#define listens(n, e) (node[n].seen == e && !has(leads, n))
#define counts(n, e) (node[n].seen == e && has(leads, n))
inline forget_said()
{
	i = 1;
	do
	:: i <= epoch ->
#ifndef BREAK_3_EPOCH
		if
		:: (i < epoch || primary == NONE) && !listens(0, i) && !listens(1, i) && !listens(2, i) ->
			sent_end(i) = 0;
			j = 0;
			do
			:: j < LENGTH -> sent(i, j) = 0; j++
			:: else -> break
			od
		:: else
		fi;
#endif
#if !defined(BREAK_4_EPOCH) && !defined(BREAK_6_PRIMARY) && !defined(BREAK_6_PROCESS)
		if
		:: !counts(0, i) && !counts(1, i) && !counts(2, i) ->
			j = 0;
			do
			:: j < LIVES -> acks(0, i, j) = 0; acks(1, i, j) = 0; acks(2, i, j) = 0; j++
			:: else -> break
			od
		:: else
		fi;
#endif
		i++
	:: else -> break
	od
}

inline forget_role(n)
{
	leads = leads & ~one(n);
	joined = joined & ~one(n);
	node[n].seen = 0;
	node[n].start = 0;
	node[n].proposed = 0;
#ifdef LATE
	node[n].commit = 0;
	node[n].isr = 0;
	node[n].knows[0] = 0; node[n].knows[1] = 0; node[n].knows[2] = 0;
#endif
#ifdef BREAK_3_JOINED
	node[n].answer = 0;
#endif
#ifdef BREAK_5_REMOVED
	node[n].dropped = 0;
#endif
}

inline tell_log(n)
{
	j = 0;
	do
	:: j < node[n].end -> sent(epoch, j) = at(n, j); j++
	:: else -> break
	od;
	sent_end(epoch) = node[n].end
}

/* A new epoch begins anew, its primary without an epoch start yet. Within an epoch only the sets change. */
inline learn_row(n)
{
	if
	:: node[n].seen != epoch || primary == NONE || (primary == n && !has(leads, n)) ->
		forget_role(n);
		if
		:: primary != NONE -> node[n].seen = epoch
		:: else
		fi;
		if
		:: primary == n -> leads = leads | one(n); tell_log(n)
		:: else
		fi
	:: else -> node[n].proposed = 0
	fi;
#ifdef BREAK_5_REMOVED
	node[n].dropped = 0;
#endif
#ifdef LATE
	current = current | one(n);
	if
	:: has(leads, n) ->
		node[n].isr = isr;
		node[n].knows[0] = node[0].process;
		node[n].knows[1] = node[1].process;
		node[n].knows[2] = node[2].process
	:: else
	fi
#endif
}

#ifdef LATE
inline learn(n)
{
	d_step {
		has(up, n) && (!has(current, n) || (has(leads, n) && (node[n].knows[0] != node[0].process ||
		 node[n].knows[1] != node[1].process || node[n].knows[2] != node[2].process))) ->
		printf("node %d learns the row\n", n);
		if
		:: has(current, n) ->
			node[n].knows[0] = node[0].process;
			node[n].knows[1] = node[1].process;
			node[n].knows[2] = node[2].process
		:: else -> learn_row(n)
		fi;
		forget_said();
		settle()
	}
}
#endif

/* --- entries of the metadata ------------------------------------------------------------------------------------------ */

inline row_changed()
{
	printf("    the row: epoch %d, primary %d, ISR %d, ELR %d, suspects %d\n", epoch, primary, isr, elr, suspects);
#ifndef BREAK_5_VERSION
	node[0].asked = 0; node[1].asked = 0; node[2].asked = 0; /* they expect an older version */
#endif
#ifdef LATE
	current = 0;
#else
	k = 0;
	do
	:: k < NODES ->
		if
		:: has(up, k) -> learn_row(k)
		:: else
		fi;
		k++
	:: else -> break
	od;
#endif
	forget_said();
	check_complete()
}

/* Without primary nobody's log changes: a report holds until somebody is elected. */
inline forget_reports()
{
	node[0].reach = 0; node[1].reach = 0; node[2].reach = 0
}

/* Rule 1: every entry that leaves the in-sync set at its minimum empties the ELR, and the suspects. */
inline settle_row()
{
	if
	:: count(isr) >= MINIMUM ->
#ifndef BREAK_1_ELR
		elr = 0;
#endif
		suspects = 0;
		forget_reports()
	:: else
	fi
}

inline leave_isr(m)
{
	if
	:: has(isr, m) ->
		isr = isr & ~one(m);
		if
#ifdef BREAK_1_ELR
		:: true -> elr = elr | one(m)
#else
		:: count(isr) < MINIMUM -> elr = elr | one(m)
		:: else
#endif
		fi;
		settle_row()
	:: else
	fi
}

inline enter_isr(m)
{
	isr = isr | one(m);
	elr = elr & ~one(m);
	suspects = suspects & ~one(m);
	settle_row()
}

/* Fenced by the controller, or left out by the primary's request: to the row it is the same. */
inline fence(f)
{
	d_step {
		has(isr, f) ->
		printf("node %d is fenced\n", f);
		leave_isr(f);
		if
		:: primary == f -> primary = NONE
		:: else
		fi;
		row_changed();
		settle()
	}
}

/* A hand-over, too: a complete node follows the present primary. */
#ifdef BREAK_1_ELECT
#define electable(n) true
#else
#define electable(n) has(isr | elr, n)
#endif
inline elect(n)
{
	d_step {
		primary != n && epoch < EPOCHS && electable(n) ->
		printf("node %d is elected\n", n);
		epoch++;
		primary = n;
		enter_isr(n);
		row_changed();
		settle()
	}
}

/* --- a node's life ----------------------------------------------------------------------------------------------------- */

inline crash(n)
{
	atomic {
		has(up, n) && crashes < CRASHES ->
		printf("node %d crashes\n", n);
		crashes++;
		up = up & ~one(n);
#ifdef LATE
		current = current & ~one(n);
#endif
#ifdef BREAK_6_PROCESS
		leads = leads & ~one(n);
		joined = joined & ~one(n);
#else
		d_step { forget_role(n) };
#endif
#ifdef LOSS
		do
#ifdef INTERVAL
		:: node[n].end > 0 -> node[n].end--; at(n, node[n].end) = 0
#else
		:: node[n].end > node[n].durable -> node[n].end--; at(n, node[n].end) = 0
#endif
		:: break
		od;
#endif
#ifdef DISK
		if
		:: node[n].wiped = 1; node[n].end = 0; node[n].durable = 0;
			d_step { i = 0; do :: i < LENGTH -> at(n, i) = 0; i++ :: else -> break od }
		:: true
		fi;
#endif
		d_step { printf("    it keeps %d records\n", node[n].end); forget_said(); settle() }
	}
}

#ifdef BREAK_6_PRIMARY
#define deposed(n) false
#else
#define deposed(n) (primary == n)
#endif

/* Rule 6: the entry that registers a new process. Its former self is primary no more; what it cannot prove to have it
 * has not. Nothing is sent or accepted before. What was read is synced before it counts. */
inline register(n, doubtful)
{
	d_step {
		!has(up, n) ->
		printf("node %d starts anew, doubtful %d\n", n, doubtful);
		up = up | one(n);
		cut = epoch; /* 0: the row has changed */
#ifdef PROCESSES
		node[n].process++;
#endif
#ifndef INTERVAL
		node[n].durable = node[n].end;
#endif
#ifndef BREAK_4_PROCESS
		i = 1;
		do /* the new process has acknowledged nothing, and nobody remembers the old one's */
		:: i <= EPOCHS && LIVES == 1 -> acks(n, i, 0) = 0; i++
		:: else -> break
		od;
#endif
		node[n].reach = 0;
#ifndef BREAK_5_PROCESS
		/* Requests under way name the process that gave the acknowledgement. */
		node[0].asked = node[0].asked & ~one(n);
		node[1].asked = node[1].asked & ~one(n);
		node[2].asked = node[2].asked & ~one(n);
#endif
		if
		:: deposed(n) -> primary = NONE; cut = 0
		:: else
		fi;
		if
#if defined(DISK) && !defined(BREAK_6_DISK)
		:: node[n].wiped ->
			if
			:: has(isr | elr | suspects, n) -> cut = 0
			:: else
			fi;
			isr = isr & ~one(n);
			elr = elr & ~one(n);
			suspects = suspects & ~one(n)
#endif
#ifndef BREAK_6_SUSPECT
		:: doubtful && has(isr | elr, n) ->
			isr = isr & ~one(n);
			elr = elr & ~one(n);
			suspects = suspects | one(n);
			settle_row();
			cut = 0
#endif
#ifndef BREAK_6_PRIMARY
		:: else ->
			if
			:: has(isr, n) -> leave_isr(n); cut = 0
			:: else
			fi
#else
		:: else
#endif
		fi;
#ifdef DISK
		node[n].wiped = 0;
#endif
		if
		:: cut == 0 -> row_changed()
		:: else ->
#ifndef LATE
			learn_row(n)
#endif
		fi;
		settle()
	}
}

#ifdef BREAK_6_PROCESS
/* It goes on where it was, and nobody knows. */
inline wake(n)
{
	d_step {
		!has(up, n) && primary != n ->
		printf("node %d is back unregistered\n", n);
		up = up | one(n);
		learn_row(n);
		forget_said();
		settle()
	}
}
#define start_anew(n) wake(n)
#elif defined(INTERVAL)
#define start_anew(n) register(n, 1)
#elif defined(TORN)
#define start_anew(n) register(n, 0) :: register(n, 1)
#else
#define start_anew(n) register(n, 0)
#endif

/* --- replication ------------------------------------------------------------------------------------------------------- */

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
		follows(n) && has(joined, n) && (reached(n) < node[n].end || acks(n, node[n].seen, life(n)) < reached(n)) ->
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

/* --- committing (rule 4) ------------------------------------------------------------------------------------------------ */

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
		has(leads, n) && enough(n) && commit_of(n) < node[n].end && !behind(n, 0) && !behind(n, 1) && !behind(n, 2) ->
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

/* --- the in-sync set, by its primary (rule 5) --------------------------------------------------------------------------- */

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

/* --- rule 10: nobody complete is left; all suspects tell how far they reach ---------------------------------------------- */

inline report(n)
{
	d_step {
		isr == 0 && elr == 0 && has(suspects & up & current, n) && node[n].reach != 1 + (last(n) << 4 | node[n].end) ->
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

/* ------------------------------------------------------------------------------------------------------------------------ */

#ifdef SORTED
c_code {
	static int swap_bits(int set, int a, int b)
	{
		int differ = ((set >> a) ^ (set >> b)) & 1;

		return set ^ (differ << a | differ << b);
	}

	static int rank(int n)
	{
		int asked = now.primary < 3 ? now.node[now.primary].asked : 0;
		int proposed = now.primary < 3 ? now.node[now.primary].proposed : 0;

		return (now.primary == n) << 7 | (now.isr >> n & 1) << 6 | (now.elr >> n & 1) << 5 |
		       (now.suspects >> n & 1) << 4 | (now.up >> n & 1) << 3 | (now.joined >> n & 1) << 2 |
		       (asked >> n & 1) << 1 | (proposed >> n & 1);
	}

	static void swap_nodes(int a, int b)
	{
		struct Node node = now.node[a];

		now.node[a] = now.node[b];
		now.node[b] = node;
		if (now.primary == a || now.primary == b)
			now.primary = (uchar)(a + b - now.primary);
		now.isr = swap_bits(now.isr, a, b);
		now.elr = swap_bits(now.elr, a, b);
		now.suspects = swap_bits(now.suspects, a, b);
		now.up = swap_bits(now.up, a, b);
		now.leads = swap_bits(now.leads, a, b);
		now.joined = swap_bits(now.joined, a, b);
		for (int n = 0; n < 3; n++) {
			now.node[n].asked = swap_bits(now.node[n].asked, a, b);
			now.node[n].proposed = swap_bits(now.node[n].proposed, a, b);
		}
	}

	static void sort_pair(int a, int b)
	{
		int order = rank(b) - rank(a);

		if (order == 0)
			order = memcmp(&now.node[b], &now.node[a], sizeof now.node[a]);
		if (order > 0)
			swap_nodes(a, b);
	}

	static void sort_nodes(void)
	{
		sort_pair(0, 1);
		sort_pair(1, 2);
		sort_pair(0, 1);
	}
};
#endif

init {
	d_step {
		node[0].seen = 1; node[1].seen = 1; node[2].seen = 1;
#ifdef LATE
		node[0].isr = ALL;
#endif
		settle()
	}
end_bounds: /* when the bounds are reached nothing more to do is no fault */
	do
	:: fence(0) :: fence(1) :: fence(2)
	:: elect(0) :: elect(1) :: elect(2)
	:: crash(0) :: crash(1) :: crash(2)
	:: start_anew(0) :: start_anew(1) :: start_anew(2)
#ifdef LATE
	:: learn(0) :: learn(1) :: learn(2)
#endif
	:: begin(0) :: begin(1) :: begin(2)
	:: append(0) :: append(1) :: append(2)
	:: receive_any(0) :: receive_any(1) :: receive_any(2)
	:: sync(0) :: sync(1) :: sync(2)
	:: join(0) :: join(1) :: join(2)
#ifdef BREAK_3_JOINED
	:: late_answer(0) :: late_answer(1) :: late_answer(2)
#endif
	:: advance(0) :: advance(1) :: advance(2)
	:: propose(0, 1) :: propose(0, 2) :: propose(1, 0) :: propose(1, 2) :: propose(2, 0) :: propose(2, 1)
	:: grow(0, 1) :: grow(0, 2) :: grow(1, 0) :: grow(1, 2) :: grow(2, 0) :: grow(2, 1)
	:: withdraw(0) :: withdraw(1) :: withdraw(2)
#ifdef BREAK_5_REMOVED
	:: drop(0, 1) :: drop(0, 2) :: drop(1, 0) :: drop(1, 2) :: drop(2, 0) :: drop(2, 1)
#endif
	:: report(0) :: report(1) :: report(2)
	:: elect_suspect(0) :: elect_suspect(1) :: elect_suspect(2)
	od
}

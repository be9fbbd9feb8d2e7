/* Part of replication.pml: the row and its entries (rules 1 and 6), how a node learns it, crashes and starts. */

/* --- a row is learned --------------------------------------------------------------------------------------------- */

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

/* --- entries of the metadata -------------------------------------------------------------------------------------- */

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

/* --- a node's life ------------------------------------------------------------------------------------------------ */

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

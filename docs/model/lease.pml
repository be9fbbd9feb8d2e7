/* Rule 7 of design.md 6: a primary with a lease answers fresh reads; a later primary acknowledges no write meanwhile.
 * README.md beside this file says what it shows and what not.
 *
 * Time is discrete: a tick is LEASE-th of the lease, all clocks tick at once (drift, the 0.1 of 1.1 L, is left out),
 * and everything else happens between two ticks, in any order.
 * Who is alive is for the controller to guess. No data: that an epoch start is committed is that the in-sync set has
 * acknowledged in that epoch.
 *
 * VERSIONS: of the row. FIRST: the in-sync set at the beginning.
 * BREAK_7_x leaves out a part of the rule. */

#ifndef VERSIONS
#define VERSIONS 5
#endif
#ifndef LEASE
#define LEASE 2
#endif
#ifdef BREAK_7_WAIT
#define WAIT (LEASE - 1)
#else
#define WAIT LEASE
#endif
#define NODES 3
#define ALL 7
#define MINIMUM 2
#ifndef FIRST /* in-sync set */
#define FIRST ALL
#endif

#define one(n) (1 << (n))
#define has(set, n) (((set) >> (n)) & 1)
#define count(set) (((set) & 1) + (((set) >> 1) & 1) + (((set) >> 2) & 1))
#define pair(n, m) ((n) * NODES + (m))

/* --- the row ------------------------------------------------------------------------------------------------------ */
byte version = 1;
byte epoch = 1;
byte primary = 0;
byte isr = FIRST;
byte elr = 0;
bit planned;

/* --- what each node knows of it, and does ------------------------------------------------------------------------- */
byte known_version[NODES];
byte known_epoch[NODES];
byte known_primary[NODES];
byte known_isr[NODES];
byte known_planned;        /* a set */
byte proposed[NODES];      /* additions; in the maximal in-sync set until a higher version is seen */
byte started;              /* primaries whose epoch start is committed */
byte serves;
byte sealed;
byte wait[NODES];          /* before it may become active */
byte since[NODES * NODES]; /* n's own last answer to m, at most WAIT */

byte heard[NODES * NODES]; /* as primary: age, since its sending, of the newest heartbeat whose answer n has from m */

#ifdef SHORTEST
byte k; /* scratch, zero between steps */
#else
hidden byte k; /* which spin cannot hide in a search by breadth */
#endif

#define is_primary(n) (known_primary[n] == n)
#define maximal(n) (known_isr[n] | proposed[n])

#define fresh(n, f) (heard[pair(n, f)] < LEASE)
#ifdef BREAK_7_MAXIMAL
#define asked(n) known_isr[n]
#else
#define asked(n) maximal(n)
#endif
#ifdef BREAK_7_MINIMUM
#define enough(n) true
#else
#define enough(n) (count(known_isr[n]) >= MINIMUM)
#endif
#define answered(n, f) (n == f || !has(asked(n), f) || fresh(n, f))
#define holds_lease(n) (enough(n) && answered(n, 0) && answered(n, 1) && answered(n, 2))
#define may_answer(n) (is_primary(n) && has(serves & ~sealed, n) && holds_lease(n))

/* --- time --------------------------------------------------------------------------------------------------------- */

inline older(what, bound)
{
	if
	:: what < bound -> what++
	:: else
	fi
}

inline tick()
{
	d_step {
		printf("a tick\n");
		k = 0;
		do
		:: k < NODES * NODES ->
			older(heard[k], LEASE);
			older(since[k], WAIT);
			k++
		:: else -> break
		od;
		k = 0;
		do
		:: k < NODES ->
			if
			:: wait[k] > 0 -> wait[k]--
			:: else
			fi;
			k++
		:: else -> break
		od;
		k = 0
	}
}

/* --- heartbeats --------------------------------------------------------------------------------------------------- */

/* Sent, answered and heard between two ticks. One that takes longer feeds the lease less and binds f as much, since it
 * counts from its sending. An answer under a version above n's own counts for nothing. (Once n has learned that version
 * it counts; n might as well have learned it before.) */
#ifdef BREAK_7_VERSION
#define not_above(n, f) true
#else
#define not_above(n, f) (known_version[f] <= known_version[n])
#endif
inline heartbeat(n, f)
{
	d_step {
		is_primary(n) && (heard[pair(n, f)] > 0 || since[pair(f, n)] > 0) && not_above(n, f) ->
		printf("node %d answers node %d's heartbeat\n", f, n);
		heard[pair(n, f)] = 0;
		since[pair(f, n)] = 0
	}
}

#ifdef BREAK_7_SENDING
/* The answer was under way for as long as it liked, and counts from its arrival. */
inline late_answer(n, f)
{
	d_step { is_primary(n) && heard[pair(n, f)] < LEASE -> heard[pair(n, f)] = 0 }
}
#endif

/* --- learning the row --------------------------------------------------------------------------------------------- */

/* Noted row by row, also by who does not become primary: its answers to the one before it. */
inline note(n, f)
{
	if
	:: f != n && wait[n] < WAIT - since[pair(n, f)] -> wait[n] = WAIT - since[pair(n, f)]
	:: else
	fi
}

inline forget_role(n)
{
	started = started & ~one(n);
	serves = serves & ~one(n);
	sealed = sealed & ~one(n)
}

/* Who is no primary asks nobody. */
inline forget_heard(n)
{
	if
	:: !is_primary(n) ->
		k = 0;
		do
		:: k < NODES ->
			heard[pair(n, k)] = LEASE;
			k++
		:: else -> break
		od;
		k = 0
	:: else
	fi
}

inline learn(n)
{
	d_step {
		known_version[n] < version ->
		printf("node %d learns version %d\n", n, version);
		if
		:: known_epoch[n] < epoch ->
			forget_role(n);
#ifndef BREAK_7_EARLIER
			if
			:: known_epoch[n] + 1 == epoch -> note(n, known_primary[n])
			:: else -> /* it has missed an epoch */
#ifdef BREAK_7_MISSED
				note(n, known_primary[n])
#else
				note(n, 0);
				note(n, 1);
				note(n, 2)
#endif
			fi
#endif
		:: else -> sealed = sealed & ~one(n)
		fi;
		proposed[n] = 0;
		known_version[n] = version;
		known_epoch[n] = epoch;
		known_primary[n] = primary;
		known_isr[n] = isr;
		known_planned = (planned -> known_planned | one(n) : known_planned & ~one(n));
		forget_heard(n)
	}
}

/* --- entries of the metadata -------------------------------------------------------------------------------------- */

inline settle_row()
{
	if
	:: count(isr) >= MINIMUM -> elr = 0
	:: else
	fi;
	version++;
	printf("    version %d: epoch %d, primary %d, ISR %d, ELR %d\n", version, epoch, primary, isr, elr)
}

inline leave(f)
{
	isr = isr & ~one(f);
	if
	:: count(isr) < MINIMUM -> elr = elr | one(f)
	:: else -> elr = 0
	fi
}

inline fence(f)
{
	d_step {
		version < VERSIONS && f != primary && has(isr, f) ->
		printf("node %d is left out\n", f);
		leave(f);
		settle_row()
	}
}

inline elect(n)
{
	d_step {
		version < VERSIONS && n != primary && has(isr | elr, n) ->
		printf("node %d is fenced, node %d elected\n", primary, n);
		leave(primary);
		primary = n;
		epoch++;
		planned = 0;
		isr = isr | one(n);
		elr = elr & ~one(n);
		settle_row()
	}
}

/* A start takes it out of the in-sync set. It remembers no answers, so it counts from its start. */
inline restart(n)
{
	d_step {
		version < VERSIONS && n != primary && has(isr, n) ->
		printf("node %d starts anew\n", n);
		leave(n);
		settle_row();
		forget_role(n);
		known_version[n] = version;
		known_epoch[n] = epoch;
		known_primary[n] = primary;
		known_isr[n] = isr;
		known_planned = known_planned & ~one(n);
		proposed[n] = 0;
		forget_heard(n);
		since[pair(n, 0)] = WAIT; since[pair(n, 1)] = WAIT; since[pair(n, 2)] = WAIT;
#ifdef BREAK_7_START
		wait[n] = 0
#else
		wait[n] = WAIT
#endif
	}
}

/* --- the primary -------------------------------------------------------------------------------------------------- */

/* f acknowledges in n's epoch. */
#define with(n, f) (known_epoch[f] == known_epoch[n])
#define in_step(n, f) (!has(maximal(n), f) || with(n, f))

inline start(n)
{
	d_step {
		is_primary(n) && !has(started, n) && count(known_isr[n]) >= MINIMUM &&
		in_step(n, 0) && in_step(n, 1) && in_step(n, 2) ->
		printf("node %d has committed its epoch start\n", n);
		started = started | one(n)
	}
}

inline activate(n)
{
	d_step {
		has(started & ~serves, n) && is_primary(n) && (wait[n] == 0 || has(known_planned, n)) ->
		printf("node %d serves\n", n);
		serves = serves | one(n)
	}
}

/* Growing. BREAK_7_GROWN: rule 2 asks for no more than the committed epoch start. */
#ifdef BREAK_7_GROWN
#define may_grow(n) (has(started, n) || count(known_isr[n]) < MINIMUM)
#else
#define may_grow(n) (has(serves, n) || (count(known_isr[n]) < MINIMUM && wait[n] == 0))
#endif

inline propose(n, f)
{
	d_step {
		is_primary(n) && known_version[n] == version && with(n, f) && !has(maximal(n), f) && may_grow(n) ->
		printf("node %d proposes to add %d\n", n, f);
		proposed[n] = proposed[n] | one(f)
	}
}

inline grow(n, f)
{
	d_step {
		version < VERSIONS && primary == n && known_version[n] == version && has(proposed[n], f) ->
		printf("node %d is added\n", f);
		isr = isr | one(f);
		elr = elr & ~one(f);
		settle_row()
	}
}

inline seal(n)
{
	d_step {
		has(serves & ~sealed, n) && is_primary(n) && known_version[n] == version ->
		printf("node %d is sealed\n", n);
		sealed = sealed | one(n)
	}
}

#ifdef BREAK_7_SEAL
#define asks_to_go(n) has(serves, n)
#else
#define asks_to_go(n) has(sealed, n)
#endif

inline hand_over(n, f)
{
	d_step {
		version < VERSIONS && primary == n && known_version[n] == version && asks_to_go(n) && has(isr, f) &&
		with(n, f) && n != f ->
		printf("node %d hands over to %d\n", n, f);
		primary = f;
		epoch++;
		planned = 1;
		settle_row()
	}
}

/* The property: an earlier primary that would answer now would not know of this write. */
#define misses(n, f) (f != n && known_epoch[f] < known_epoch[n] && may_answer(f))
inline write(n)
{
	d_step {
		is_primary(n) && has(serves & ~sealed, n) && (misses(n, 0) || misses(n, 1) || misses(n, 2)) ->
		printf("node %d acknowledges a write\n", n);
		assert(false)
	}
}

init {
	d_step {
		k = 0;
		do
		:: k < NODES * NODES ->
			heard[k] = LEASE; since[k] = WAIT;
			k++
		:: else -> break
		od;
		k = 0;
		do
		:: k < NODES ->
			known_version[k] = 1; known_epoch[k] = 1; known_primary[k] = 0; known_isr[k] = FIRST;
			k++
		:: else -> break
		od;
		k = 0;
		started = 1;
		serves = 1
	}
	do
	:: tick()
	:: heartbeat(0, 1) :: heartbeat(0, 2) :: heartbeat(1, 0) :: heartbeat(1, 2) :: heartbeat(2, 0)
	:: heartbeat(2, 1)
#ifdef BREAK_7_SENDING
	:: late_answer(0, 1) :: late_answer(0, 2) :: late_answer(1, 0) :: late_answer(1, 2) :: late_answer(2, 0)
	:: late_answer(2, 1)
#endif
	:: learn(0) :: learn(1) :: learn(2)
	:: fence(0) :: fence(1) :: fence(2)
	:: elect(0) :: elect(1) :: elect(2)
	:: restart(0) :: restart(1) :: restart(2)
	:: start(0) :: start(1) :: start(2)
	:: activate(0) :: activate(1) :: activate(2)
	:: propose(0, 1) :: propose(0, 2) :: propose(1, 0) :: propose(1, 2) :: propose(2, 0) :: propose(2, 1)
	:: grow(0, 1) :: grow(0, 2) :: grow(1, 0) :: grow(1, 2) :: grow(2, 0) :: grow(2, 1)
	:: seal(0) :: seal(1) :: seal(2)
	:: hand_over(0, 1) :: hand_over(0, 2) :: hand_over(1, 0) :: hand_over(1, 2) :: hand_over(2, 0)
	:: hand_over(2, 1)
	:: write(0) :: write(1) :: write(2)
	od
}

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

/* --- the row ------------------------------------------------------------------------------------------------------ */
byte epoch = 1;
byte primary = 0;
byte isr = ALL;
byte elr = 0;
byte suspects = 0;
byte current = ALL; /* nodes that have seen the row's newest version; without LATE: all that are up */

/* --- said --------------------------------------------------------------------------------------------------------- */
byte told[EPOCHS * LENGTH]; /* the log of each epoch's primary */
byte told_end[EPOCHS];
#define sent(e, o) told[((e) - 1) * LENGTH + (o)]
#define sent_end(e) told_end[(e) - 1]
#define acks(n, e, p) node[n].acked[((e) - 1) * LIVES + (p)]

/* --- the truth, and the bounds ------------------------------------------------------------------------------------ */
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

/* --- checks ------------------------------------------------------------------------------------------------------- */

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

#include "replication_row.pml"
#include "replication_log.pml"

/* ------------------------------------------------------------------------------------------------------------------ */

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

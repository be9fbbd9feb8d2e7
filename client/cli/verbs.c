/* The table of verbs: everything evgrid can do. Help, completion and the man page are made from it. */
#include "client/cli/cli.h"

const struct verb cli_verbs[] = {
	{"context", "ls", "", 0, 0, "the contexts: names for clusters' addresses", NULL, NULL, run_context_ls,
	 "evgrid context ls", false},
	{"context", "show", "[CONTEXT]", 0, 1, "the address that commands talk to, and why", NULL,
	 "The first of these that is there counts: --server or --context, EVGRID_SERVER, EVGRID_CONTEXT, the current "
	 "context,\n" CLI_DEFAULT_SERVER ".",
	 run_context_show, "evgrid context show\nevgrid context show shop", false},
	{"context", "use", "[CONTEXT]", 0, 1, "make a context the current one", context_use_options, NULL,
	 run_context_use, "evgrid context use shop\nevgrid context use --none", true},
	{"context", "set", "NAME HOST:PORT[,...]", 2, 2, "define a context, or give it another address", NULL,
	 "The addresses are control addresses of one or more members; the others are found. --key and --node-keys are "
	 "kept in it.",
	 run_context_set,
	 "evgrid context set shop 10.0.0.1:7400,10.0.0.2:7400\n"
	 "evgrid context set shop 10.0.0.1:7400 --key ann --node-keys nodes",
	 true},
	{"context", "rm", "CONTEXT", 1, 1, "forget a context", NULL, NULL, run_context_rm, "evgrid context rm shop",
	 true},
	{"cluster", "status", "", 0, 0, "is the cluster well?", cluster_status_options,
	 "Exit code 9 when some partition takes no writes, 11 when digests differ.", run_cluster_status,
	 "evgrid cluster status\n"
	 "evgrid cluster status --check-digests -o json",
	 false},
	{"cluster", "wait", "", 0, 0, "wait for a state of the cluster", cluster_wait_options,
	 "serving: every partition takes writes. healthy: and all members are live, all replicas in sync. balanced: "
	 "and every\n"
	 "primary is the preferred one, and no partition moves. restoring: formed to restore a back-up into, and ready "
	 "for it. Exit\ncode 9 when the state is not reached within --timeout.",
	 run_cluster_wait,
	 "evgrid cluster wait --for serving\n"
	 "evgrid cluster wait --for balanced --nodes 3 --timeout 60s",
	 false},
	{"cluster", "plan", "", 0, 0, "what would move if members came or went", cluster_plan_options,
	 "Nothing is changed. Without options: what is still to move as the members are. Placement decides as the "
	 "controller will:\nzones first, then balance by weight, then as few copies as these permit. --copies says "
	 "why: a node "
	 "joins or leaves, for the\nsake of zones or of balance. Exit code 6 where too few members would be left.",
	 run_cluster_plan,
	 "evgrid cluster plan --with n4\n"
	 "evgrid cluster plan --without n2 --with n6:zone-b:2 -o json\n"
	 "evgrid cluster plan --without n2 --copies",
	 false},
	{"cluster", "migrations", "", 0, 0, "partitions on their way from node to node", cluster_migrations_options,
	 "One line for each node that a partition is copied to: from whom it will go, how far the copy is, how fast, "
	 "and what time is\nleft; replicas that come back or begin anew are among them. Measured over a second. What "
	 "is not known is -; a copy that does\nnot come nearer has no time left. Exit code 8 when shards did not "
	 "answer: their figures are missing.",
	 run_cluster_migrations,
	 "evgrid cluster migrations\n"
	 "evgrid cluster migrations --sum -o json",
	 false},
	{"cluster", "upgrade", "", 0, 0, "switch on what the members' evgridd all know", cluster_upgrade_options,
	 "The last step of a rolling upgrade: the cluster's version rises, for good. Until then every member can go "
	 "back to the\nevgridd it came from; from then on none starts that does not know the version. Exit code 6 when "
	 "a member is down, or its\nevgridd too old; which is said.",
	 run_cluster_upgrade,
	 "evgrid cluster upgrade --check\n"
	 "evgrid cluster upgrade",
	 true},
	{"node", "ls", "", 0, 0, "the members", NULL, NULL, run_node_ls, "evgrid node ls\nevgrid node ls -o json",
	 false},
	{"node", "decommission", "NODE", 1, 1, "let a node leave for good", node_decommission_options,
	 "Others get its replicas first; then it leaves the cluster, and its process ends by itself. One node at a "
	 "time, and only\nwhile as many others are live as a partition has replicas, and their disks have room for "
	 "what "
	 "they are to take.",
	 run_node_decommission,
	 "evgrid node decommission n4 --wait --timeout 30m\n"
	 "evgrid node decommission n4 --abort",
	 true},
	{"node", "drain", "NODE", 1, 1, "take a node's primaries away, for a while", node_drain_options,
	 "Each goes to a replica that is in sync: nothing is copied, nothing waits. It ends with --end or when the "
	 "node "
	 "starts again.\nA node that is stopped by SIGTERM does this by itself.",
	 run_node_drain,
	 "evgrid node drain n2 --wait\n"
	 "evgrid node drain n2 --end",
	 true},
	{"partition", "ls", "", 0, 0, "every replica: role, epoch, offsets, digest", partition_ls_options,
	 "Asks every live node; replicas that did not answer have no offsets.", run_partition_ls,
	 "evgrid partition ls --partition 17\n"
	 "evgrid partition ls --node n2 -o json",
	 false},
	{"partition", "elect", "PARTITION", 1, 1, "make a replica primary though it may lack acknowledged events",
	 partition_elect_options,
	 "The last resort: taken only when no complete replica of the partition is live, and it has had no primary for "
	 "a second and\na half. What the others hold and this one lacks is lost: they cut it away when they come back.",
	 run_partition_elect, "evgrid partition elect 17 --node n2 --accept-loss --reason 'n1 and n3 burnt'", true},
	{"stream", "create", "NAME", 1, 1, "create a stream", NULL, "It is no error if it exists already.",
	 run_stream_create, "evgrid stream create Order", true},
	{"stream", "ls", "", 0, 0, "the streams", NULL, NULL, run_stream_ls, "evgrid stream ls", false},
	{"stream", "describe", "STREAM", 1, 1, "one stream", NULL, NULL, run_stream_describe,
	 "evgrid stream describe Order -o json", false},
	{"view", "apply", "FILE", 1, 1, "create a view, or give it a new version", view_apply_options,
	 "FILE is YAML (docs/reference/views.md); - reads standard input. A new version is filled from the first event "
	 "on; until it\nanswers, the one before does.",
	 run_view_apply, "evgrid view apply orders.yaml\nevgrid view apply orders.yaml --wait --timeout 10m", true},
	{"view", "drop", "VIEW", 1, 1, "take a view away", NULL,
	 "Its entries and blocked keys go; no event does, and no other view. Applied again it is filled from the first "
	 "event on, as its next\nversion; decisions on blocked keys are not taken over.",
	 run_view_drop, "evgrid view drop orders", true},
	{"view", "test", "FILE", 1, 1, "try a view on the events of a file", view_test_options,
	 "Needs no cluster. Prints one JSON line for each entry, in the order of keys, and what blocks a key. Exit "
	 "code 8 "
	 "when a\nkey is blocked or a line is no event.",
	 run_view_test, "evgrid view test orders.yaml --events orders.ndjson", false},
	{"view", "ls", "", 0, 0, "the views", NULL, NULL, run_view_ls, "evgrid view ls", false},
	{"view", "describe", "VIEW", 1, 1, "one view and its definition", NULL, NULL, run_view_describe,
	 "evgrid view describe orders", false},
	{"view", "get", "VIEW [KEY...]", 1, CLI_POSITIONALS_MAX, "the state of one key, or of many", view_get_options,
	 "One KEY without --partition-key is looked for under itself, and where it is not there all shards are asked "
	 "once (said on\nstderr, and what --partition-key would have found it). Several keys, --keys-from, --at-least "
	 "and --as-of ask one partition:\nwithout a partition key, the key's own. --keys-from reads one key a line, "
	 "KEY "
	 "or KEY<Tab>PARTITION-KEY, and prints one JSON\nline for each.",
	 run_view_get,
	 "evgrid view get orders o-1 --partition-key c-7\n"
	 "evgrid view get customers c-7 --all -o json\n"
	 "evgrid view get customers c-7 --as-of 2026-11-14T12:00:00Z\n"
	 "evgrid view get customers --keys-from keys.txt",
	 false},
	{"view", "scan", "VIEW", 1, 1, "entries in the order of their keys, partition by partition", view_scan_options,
	 "A page is what stood there at one offset (column applied). Each page costs a pass over all keys of its "
	 "partition.",
	 run_view_scan, "evgrid view scan customers --prefix c-7", false},
	{"view", "errors", "VIEW", 1, 1, "keys that are blocked, and by what", view_errors_options,
	 "A key is blocked by the first event that the view cannot apply to it; the events behind it wait.",
	 run_view_errors, "evgrid view errors balances", false},
	{"view", "retry", "VIEW KEY", 2, 2, "try again what blocks a key", view_decide_options,
	 "Then the waiting events follow. A better definition needs none of this: it is filled from the first event "
	 "on.",
	 run_view_retry, "evgrid view retry balances a-1", true},
	{"view", "skip", "VIEW KEY", 2, 2, "leave out the event that blocks a key", view_decide_options,
	 "Then the waiting events follow, until another one cannot be applied (exit code 6).", run_view_skip,
	 "evgrid view skip balances a-1", true},
	{NULL, "top", "", 0, 0, "members, partitions, rates and lag, anew each second", top_options,
	 "records/s: what a node commits as primary, events and the few control records. applied/s: what its replicas "
	 "apply.\nlag: committed records that its replicas have not applied yet; worst: the most of one partition. "
	 "Ends "
	 "when interrupted\n(exit code 130). Without a terminal, frames follow each other; -o json prints an object "
	 "for "
	 "each. Exit code 8 of\n--once: some shards did not answer.",
	 run_top, "evgrid top\nevgrid top --once -o json\nevgrid top --interval 5s", false},
	{NULL, "publish", "[FILE]", 0, 1, "publish CloudEvents, one JSON object a line", publish_options,
	 "Reads standard input without FILE. A line that is no event is named on stderr and the rest goes on (exit "
	 "code 8).",
	 run_publish,
	 "evgrid publish events.jsonl\n"
	 "evgrid publish --stream Order --expect-version none new-orders.jsonl",
	 true},
	{NULL, "replay", "", 0, 0, "print the events that are stored", replay_options,
	 "One CloudEvents JSON object a line, in each partition in the order of its log.", run_replay,
	 "evgrid replay --stream Order --limit 10\n"
	 "evgrid replay --merge -o table",
	 false},
	{NULL, "subscribe", "", 0, 0, "print events as they come", subscribe_options,
	 "What is stored first, then what is published, until interrupted (exit code 130): one CloudEvents JSON object "
	 "a "
	 "line, each event\n"
	 "once, in each partition in the order of its log. The cursor where it ended is told on stderr.",
	 run_subscribe,
	 "evgrid subscribe --from now --stream Order --type OrderCreated\n"
	 "evgrid subscribe --cursor-file orders.cursor",
	 false},
	{"history", "check", "FILE...", 1, 8, "compare histories of publishing with what is stored", NULL,
	 "Replays the streams named in the files and counts acknowledged events that are lost or doubled, refused ones "
	 "that\n"
	 "are there, and events of a key out of order. Exit code 11 if there are any.",
	 run_history_check, "evgrid history check published.history", false},
	{NULL, "history", "KEY", 1, 1, "one key's events", history_options,
	 "One CloudEvents JSON object a line, as replay prints them. A key named check: evgrid history -- check.",
	 run_history, "evgrid history c-7\nevgrid history o-1 --partition-key c-7 --reverse --limit 10", false},
	{"bench", "publish", "", 0, 0, "publish made-up events and measure", bench_publish_options,
	 "Exit code 11 when --verify finds an event lost, doubled or out of order.", run_bench_publish,
	 "evgrid bench publish --events 1000000 --verify\n"
	 "evgrid bench publish --rate 5000 --events 100000 -o json",
	 true},
	{"bench", "get", "VIEW", 1, 1, "read a view's entries one by one and measure", bench_get_options,
	 "Reads keys that bench publish writes, chosen at random, linearizable or as of a time. A single read under "
	 "way\n"
	 "is a call that blocks, measured as its caller sees it; more are asynchronous, measured from hand-in to "
	 "call-back.",
	 run_bench_get,
	 "evgrid bench get bench\n"
	 "evgrid bench get bench --keys 1000 --reads 1000000 --in-flight 256 -o json\n"
	 "evgrid bench get bench --keys 1 --reads 100 --as-of 2026-11-14T12:00:00Z",
	 false},
	{"bench", "replay", "", 0, 0, "replay what is stored and measure", bench_replay_options,
	 "One client reads events as evgrid replay does and prints none of them.", run_bench_replay,
	 "evgrid bench replay --limit 1000000\n"
	 "evgrid bench replay --stream Bench --merge -o json",
	 false},
	{"backup", "create", "DIR", 1, 1, "copy what is stored into a directory, or add what is new",
	 backup_create_options,
	 "Everything that was acknowledged before the command begins is in it. Read from replicas, while all goes on; "
	 "a "
	 "second run into\nthe same directory reads only what came since. The cursor printed is where it ends.",
	 run_backup_create,
	 "evgrid backup create /backups/shop\n"
	 "evgrid backup create /backups/shop --rate 20MiB --node n3",
	 true},
	{"backup", "verify", "DIR", 1, 1, "check a back-up's files; needs no cluster", NULL,
	 "Every file, batch and checksum, and that nothing is missing up to the end. Nothing is written. Exit code 11 "
	 "when something is\nwrong.",
	 run_backup_verify, "evgrid backup verify /backups/shop", false},
	{"backup", "restore", "DIR", 1, 1, "restore a back-up into a cluster formed for it", backup_restore_options,
	 "The cluster is new, of any number of nodes, and was formed with cluster.restore: true. It serves nobody "
	 "until "
	 "all is there and the\ndigests of all replicas agree with the back-up's. Interrupted, it is given again. Exit "
	 "code 11 when a file is damaged or digests\ndiffer.",
	 run_backup_restore, "evgrid backup restore /backups/shop --server 10.0.1.1:7400", true},
	{"journal", "verify", "DIR", 1, 1, "check a stopped node's journal files", NULL, "Nothing is written.",
	 run_journal_verify, "evgrid journal verify /var/lib/evgrid", false},
	{"journal", "dump", "DIR", 1, 1, "print what a stopped node's journal files hold", NULL, "Nothing is written.",
	 run_journal_dump, "evgrid journal dump /var/lib/evgrid -o json", false},
	{NULL, "restart-check", "NODE", 1, 1, "may a node stop now, and is it back?", restart_check_options,
	 "yes, or no and why (exit code 9). Before: nobody else is away, a majority of the metadata's voters stays, "
	 "and no "
	 "partition\nfalls below its minimum of in-sync replicas. After: it is live, in sync everywhere, and leads "
	 "what it "
	 "led.",
	 run_restart_check, "evgrid restart-check n2\nevgrid restart-check n2 --after -o json", false},
	{NULL, "keygen", "FILE", 1, 1, "make a key for a node or a client", keygen_options,
	 "The secret key goes into FILE, which only you may read; FILE.pub has the line that keys.trusted of every "
	 "node "
	 "wants.\nNothing is overwritten. The fingerprint printed is what configuration, logs and faults call the key.",
	 run_keygen,
	 "evgrid keygen n1.key --for-node n1\n"
	 "evgrid keygen ann.key --for-client ann",
	 true},
	{NULL, "errors", "[ERROR]", 0, 1, "what the error codes mean", NULL, NULL, run_errors,
	 "evgrid errors\nevgrid errors NOT_ENOUGH_REPLICAS", false},
	{NULL, "completion", "bash|zsh|fish", 1, 1, "print the shell's completion script", NULL,
	 "The script asks evgrid itself, also for the names of live nodes, streams and views; where no cluster answers "
	 "within\n300 ms there are none.",
	 run_completion,
	 "evgrid completion bash >~/.local/share/bash-completion/completions/evgrid\n"
	 "evgrid completion zsh >~/.zfunc/_evgrid\n"
	 "evgrid completion fish >~/.config/fish/completions/evgrid.fish",
	 false},
	{NULL, "man", "", 0, 0, "print the manual page", NULL, "In roff's man macros, as man -l reads it.", run_man,
	 "evgrid man | man -l -", false},
	{NULL, "version", "", 0, 0, "this program's version", NULL, NULL, run_version, "evgrid version", false},
	{NULL, "help", "[TOPIC...]", 0, 2, "help on a command, or exit-codes", NULL, NULL, run_help,
	 "evgrid help view get\nevgrid help exit-codes", false},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, false},
};

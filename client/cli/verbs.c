/* The table of verbs: everything evgrid can do. Help is made from it. */
#include "client/cli/cli.h"

const struct verb cli_verbs[] = {
	{"cluster", "status", "", 0, 0, "is the cluster well?", cluster_status_options,
	 "Exit code 9 when some partition takes no writes, 11 when digests differ.", run_cluster_status},
	{"cluster", "wait", "", 0, 0, "wait for a state of the cluster", cluster_wait_options,
	 "serving: every partition takes writes. healthy: and all members are live, all replicas in sync. balanced: "
	 "and every\n"
	 "primary is the preferred one. Exit code 9 when the state is not reached within --timeout.",
	 run_cluster_wait},
	{"node", "ls", "", 0, 0, "the members", NULL, NULL, run_node_ls},
	{"partition", "ls", "", 0, 0, "every replica: role, epoch, offsets, digest", partition_ls_options,
	 "Asks every live node; replicas that did not answer have no offsets.", run_partition_ls},
	{"partition", "elect", "PARTITION", 1, 1, "make a replica primary though it may lack acknowledged events",
	 partition_elect_options,
	 "The last resort: taken only when no complete replica of the partition is live, and has not been for two "
	 "seconds.\nWhat the others hold and this one lacks is lost: they cut it away when they come back.",
	 run_partition_elect},
	{"stream", "create", "NAME", 1, 1, "create a stream", NULL, "It is no error if it exists already.",
	 run_stream_create},
	{"stream", "ls", "", 0, 0, "the streams", NULL, NULL, run_stream_ls},
	{"stream", "describe", "NAME", 1, 1, "one stream", NULL, NULL, run_stream_describe},
	{"view", "apply", "FILE", 1, 1, "create a view, or give it a new version", NULL,
	 "FILE is YAML (docs/reference/views.md); - reads standard input.", run_view_apply},
	{"view", "test", "FILE", 1, 1, "try a view on the events of a file", view_test_options,
	 "Needs no cluster. Prints one JSON line for each entry, in the order of keys, and what blocks a key. Exit "
	 "code 8 "
	 "when a\nkey is blocked or a line is no event.",
	 run_view_test},
	{"view", "ls", "", 0, 0, "the views", NULL, NULL, run_view_ls},
	{"view", "describe", "NAME", 1, 1, "one view and its definition", NULL, NULL, run_view_describe},
	{"view", "get", "VIEW [KEY...]", 1, CLI_POSITIONALS_MAX, "the state of one key, or of many", view_get_options,
	 "Without --partition-key the key itself is taken for it: a key that was published with another partition key "
	 "is\n"
	 "not found so. --keys-from reads one key a line, KEY or KEY<Tab>PARTITION-KEY, and prints one JSON line for "
	 "each.",
	 run_view_get},
	{"view", "scan", "VIEW", 1, 1, "entries in the order of their keys, partition by partition", view_scan_options,
	 "A page is what stood there at one offset (column applied). Each page costs a pass over all keys of its "
	 "partition.",
	 run_view_scan},
	{"view", "errors", "VIEW", 1, 1, "keys that are blocked, and by what", view_errors_options,
	 "A key is blocked by the first event that the view cannot apply to it; the events behind it wait.",
	 run_view_errors},
	{"view", "retry", "VIEW KEY", 2, 2, "try again what blocks a key", view_decide_options,
	 "Then the waiting events follow. A better definition needs none of this: it is filled from the first event "
	 "on.",
	 run_view_retry},
	{"view", "skip", "VIEW KEY", 2, 2, "leave out the event that blocks a key", view_decide_options,
	 "Then the waiting events follow, until another one cannot be applied (exit code 6).", run_view_skip},
	{NULL, "publish", "[FILE]", 0, 1, "publish CloudEvents, one JSON object a line", publish_options,
	 "Reads standard input without FILE. A line that is no event is named on stderr and the rest goes on (exit "
	 "code 8).",
	 run_publish},
	{NULL, "replay", "", 0, 0, "print the events that are stored", replay_options,
	 "One CloudEvents JSON object a line, in each partition in the order of its log.", run_replay},
	{NULL, "subscribe", "", 0, 0, "print events as they come", subscribe_options,
	 "What is stored first, then what is published, until interrupted (exit code 130): one CloudEvents JSON object "
	 "a "
	 "line, each event\n"
	 "once, in each partition in the order of its log. The cursor where it ended is told on stderr.",
	 run_subscribe},
	{"history", "check", "FILE...", 1, 8, "compare histories of publishing with what is stored", NULL,
	 "Replays the streams named in the files and counts acknowledged events that are lost or doubled, refused ones "
	 "that\n"
	 "are there, and events of a key out of order. Exit code 11 if there are any.",
	 run_history_check},
	{NULL, "history", "KEY", 1, 1, "one key's events", history_options,
	 "One CloudEvents JSON object a line, as replay prints them. A key named check: evgrid history -- check.",
	 run_history},
	{"bench", "publish", "", 0, 0, "publish made-up events and measure", bench_publish_options,
	 "Exit code 11 when --verify finds an event lost, doubled or out of order.", run_bench_publish},
	{"journal", "verify", "DIR", 1, 1, "check a stopped node's journal files", NULL, "Nothing is written.",
	 run_journal_verify},
	{"journal", "dump", "DIR", 1, 1, "print what a stopped node's journal files hold", NULL, "Nothing is written.",
	 run_journal_dump},
	{NULL, "errors", "[NAME]", 0, 1, "what the error codes mean", NULL, NULL, run_errors},
	{NULL, "version", "", 0, 0, "this program's version", NULL, NULL, run_version},
	{NULL, "help", "[TOPIC...]", 0, 2, "help on a command, or exit-codes", NULL, NULL, run_help},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};

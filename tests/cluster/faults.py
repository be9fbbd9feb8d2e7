#!/usr/bin/env python3
"""Faults of the evgrid command, provoked one by one: each is one object on stderr (-o json) with the code, what was
observed, what was expected, the outcome where something may have changed, and a next step; and has its exit code.

faults.py PROGRAM WORK: on one node with stream S, its entity view s, and view l, whose function fails on each event;
key a has one event; WORK has the files."""
import json
import re
import subprocess
import sys

PROGRAM, WORK = sys.argv[1:]
LONG = "k" * 1025
NOT_APPLIED = "not applied"
SIZE = "one of 1 to 1024 bytes"
HELP = "see evgrid help "

# (exit code, code, observed, expected or None, outcome or None, next step, command): regular expressions but the codes.
FAULTS = [
    (2, "USAGE", "no command 'publsh'; did you mean 'publish'", None, None, "evgrid help", "publsh"),
    (2, "USAGE", "no option '--nod'; did you mean '--node'", None, None, HELP + "view get", "view get s a --nod n1"),
    (2, "USAGE", "an argument is missing", "VIEW", None, HELP + "view get", "view get"),
    (2, "USAGE", "an argument is missing", "NAME", NOT_APPLIED, HELP + "stream create", "stream create"),
    (2, "USAGE", "'b' is one argument too many", "NAME", NOT_APPLIED, HELP + "stream create", "stream create a b"),
    (2, "USAGE", "--timeout 'soon'", "a time such as", None, HELP + "view ls", "view ls --timeout soon"),
    (2, "USAGE", "--partition '271'", "a number from 0 to 270", None, HELP, "view scan s --partition 271"),
    (2, "USAGE", "--at-least with 2 keys", "one KEY", None, HELP + "view get", "view get s a b --at-least 1"),
    (2, "USAGE", "of partition [0-9]+$", "one of partition [0-9]+", None, HELP, "view get s a --at-least 270:1@0"),
    (2, "USAGE", "--as-of 'then'", "an offset, a position .* or a time", None, HELP, "view get s a --as-of then"),
    (2, "USAGE", "--from 'then'", "an offset or a cursor", None, HELP + "replay", "replay --from then"),
    (2, "USAGE", "--from 'then'", "start, now or a cursor", None, HELP + "subscribe", "subscribe --from then"),
    (2, "USAGE", "--expect-version 'x'", "any, none", NOT_APPLIED, HELP, "publish {work}/one --expect-version x"),
    (2, "USAGE", "'271'", "a partition from 0 to 270", NOT_APPLIED, HELP, "partition elect 271 --node n1"),
    (2, "USAGE", "will be gone", "--accept-loss", NOT_APPLIED, HELP, "partition elect 3 --node n1"),
    (2, "USAGE", "'nowhere'", "host:port", NOT_APPLIED, HELP + "context set", "context set a nowhere"),
    (2, "USAGE", "No such file", None, NOT_APPLIED, "another file", "publish {work}/none"),
    (4, "NOT_FOUND", "no node 'n2'; did you mean 'n1'", None, None, "evgrid node ls", "view get s a --node n2"),
    (4, "NOT_FOUND", "no node 'n2'", None, None, "evgrid node ls", "view scan s --node n2"),
    (4, "NOT_FOUND", "no node 'n2'", None, None, "evgrid node ls", "view errors s --node n2"),
    (4, "NOT_FOUND", "no node 'n2'", None, NOT_APPLIED, "node ls", "partition elect 3 --node n2 --accept-loss"),
    (4, "NOT_FOUND", "key nobody", None, None, "evgrid view scan s --prefix nobody", "view get s nobody"),
    (4, "NOT_FOUND", "no event of key nobody", None, None, "--partition-key", "history nobody"),
    (4, "UNKNOWN_STREAM", "no stream 'T'.*'S'", None, None, "evgrid stream create", "stream describe T"),
    (4, "UNKNOWN_STREAM", "line 1: no stream 'T'", None, NOT_APPLIED, "create", "publish {work}/one --stream T"),
    (4, "UNKNOWN_VIEW", "no view 'ss'.*'s'", None, None, "evgrid view apply", "view get ss a"),
    (4, "UNKNOWN_VIEW", "no view 'ss'", None, NOT_APPLIED, "evgrid view apply", "view skip ss a"),
    (2, "EMPTY", "a stream's name of 0 bytes", "one of 1 to 63 bytes", NOT_APPLIED, "give one",
     ["stream", "create", ""]),
    (2, "LIMIT", "a stream's name of 64 bytes", "1 to 63", NOT_APPLIED, "shorter", "stream create " + LONG[:64]),
    (2, "EMPTY", "a key of 0 bytes", SIZE, None, "give one", ["view", "get", "s", ""]),
    (2, "LIMIT", "a key of 1025 bytes", SIZE, None, "shorter", "view get s " + LONG),
    (2, "LIMIT", "a key of 1025 bytes", SIZE, None, "shorter", "history " + LONG),
    (2, "LIMIT", "a key of 1025 bytes", SIZE, NOT_APPLIED, "shorter", "view retry l " + LONG),
    (2, "LIMIT", "line 1: a key .subject. of 1025 bytes", SIZE, NOT_APPLIED, "shorter", "publish {work}/key"),
    (2, "LIMIT", "line 1: a type of 64 bytes", "1 to 63 bytes", NOT_APPLIED, "shorter", "publish {work}/type"),
    (2, "LIMIT", "definition.* of [0-9]+ bytes", "1 to 65536 bytes", NOT_APPLIED, "shorter",
     "view apply {work}/big.yaml"),
    (8, "BAD_EVENT", "line 1, column [0-9]+: ", None, NOT_APPLIED, "mend the line", "publish {work}/bad"),
    (2, "BAD_VIEW", "bad.yaml:2:1: .*no stream 'N'", None, NOT_APPLIED, "mend", "view apply {work}/bad.yaml"),
    (6, "CHECK_FAILED", "version is 1", "version 7", NOT_APPLIED, "present", "publish {work}/one --expect-version 7"),
    (6, "CHECK_FAILED", "version is 1", "a key without events", NOT_APPLIED, "present",
     "publish {work}/one --expect-version none"),
    (7, "NOT_YET", "partition [0-9]+ up to offset [0-9]+", "offset 999", None, "--timeout",
     "view get s a --at-least 999 --timeout 300ms"),
    (7, "NOT_YET", "partition [0-9]+ up to offset [0-9]+", "offset 999", None, "--timeout", "view get s a --as-of 999"),
    (7, "NOT_YET", "has not come yet", "a time that has passed", None, "ask again",
     "view get s a --as-of 2999-01-01T00:00:00Z"),
    (7, "NOT_YET", "partition 3 is applied up to offset [0-9]+", "offset 999", None, "--timeout",
     "view scan s --partition 3 --at-least 999 --timeout 300ms"),
    (4, "BEFORE_FIRST", "first event of key a is [0-9]+:[0-9]+, ingested 2", "that or a later", None,
     "evgrid view get s a --as-of [0-9]", "view get s a --as-of 2001-01-01T00:00:00Z"),
    (6, "BLOCKED", "key a is blocked by [0-9]+:[0-9]+: .*nil", None, None,
     "view apply.*evgrid view retry l a,.*evgrid view skip l a; evgrid view errors l", "view get l a"),
    (6, "BLOCKED", "key a is blocked by [0-9]+:[0-9]+: ", None, "applied", "evgrid view skip l a", "view retry l a"),
    (6, "REFUSED", "key a is not blocked by 77", "a blocked key", NOT_APPLIED, "evgrid view errors",
     "view skip l a --offset 77"),
    (6, "REFUSED", "partition 3: ", None, NOT_APPLIED, "evgrid partition ls",
     "partition elect 3 --node n1 --accept-loss"),
    (9, "NOT_READY", "1 of 1 members live", "serving with 2 nodes", None, "evgrid cluster status",
     "cluster wait --for serving --nodes 2 --timeout 300ms"),
    (3, "CONNECT", "127.0.0.1:1, from --server: .*waited 300 ms", None, NOT_APPLIED, "check the address",
     "stream create T --server 127.0.0.1:1 --timeout 300ms"),
    (4, "NOT_FOUND", "no context 'shop'", None, NOT_APPLIED, "evgrid context ls", "context use shop"),
    (1, "IO", "cannot be read to its end", None, None, "another file", "publish {work}"),
    (1, "IO", "cannot be read to its end", None, None, "another file", "history check {work}"),
    (1, "IO", "cannot be read to its end", None, None, "another file", "view get s --keys-from {work}"),
    (1, "IO", "cannot be read to its end", None, None, "another file", "view test {work}/s.yaml --events {work}"),
    (1, "IO", "cannot be written", None, None, "another file", "subscribe --limit 1 --cursor-file {work}/none/cursor"),
]


def faults_of(command):
    words = command.format(work=WORK).split() if isinstance(command, str) else command
    done = subprocess.run([PROGRAM, *words, "-o", "json"], capture_output=True, text=True, timeout=60, check=False)
    lines = done.stderr.splitlines()
    # What goes past the one place where faults are said looks like one and is no object.
    assert not [line for line in lines if line[0] != "{" and re.search(r"\[[A-Z_]+\]", line)], done.stderr
    return done.returncode, [json.loads(line) for line in lines if line[0] == "{"]


def wrong_in(row):
    exit_code, code, observed, expected, outcome, following, command = row
    status, faults = faults_of(command)
    if status != exit_code or len(faults) != 1:
        return f"exit code {status}, wanted {exit_code}; {faults}"
    fault = faults[0]
    wanted = {"error": f"^{code}$", "observed": observed, "expected": expected,
              "outcome": None if outcome is None else f"^{outcome}$", "next": following}
    for name, pattern in wanted.items():
        if (pattern is None) != (name not in fault) or (pattern and not re.search(pattern, fault[name])):
            return f"{name} is not '{pattern}': {fault}"
    return None


failures = 0
for row in FAULTS:
    wrong = wrong_in(row)
    if wrong:
        failures += 1
        print(f"FAILED: {row[-1]}: {wrong}"[:600])
print(f"{len(FAULTS)} faults, {failures} that lack something")
sys.exit(1 if failures else 0)

#!/usr/bin/env python3
"""Histories, reads as of a point and scans, held against a naive look through everything that is stored.

  history.py STORED EVGRID...    STORED: `evgrid replay -o json`; EVGRID...: the command; its server is in the
                                 environment

Ends with status 1 and the first difference, or prints what was compared."""
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "shop"))
import expected  # noqa: E402

VIEWS = {streams[0]: view for view, (streams, kept_by, _) in expected.VIEWS.items() if kept_by == "subject"}
BY_ORDER = {"PaymentProcessed": lambda state, data, key: {
    "payments": (state or {"payments": 0})["payments"] + 1, "paid": (state or {"paid": 0})["paid"] + data["amount"]}}
# views that keep their entries by another key than their events': streams, an entry's key, rules
OTHER_KEYS = {
    "customer-orders": (["Order", "Payment"], lambda event: event["partitionkey"], expected.SUMMARY),
    "open-orders": (["Order", "Payment"], lambda event: event["partitionkey"], expected.OPEN),
    "payments-by-order": (["Payment"], lambda event: event["data"]["orderId"], BY_ORDER),
}
counts = {}


def fail(text):
    sys.exit("failed: " + text)


def evgrid(*words, status=0):
    done = subprocess.run([*sys.argv[2:], *words], capture_output=True, text=True, timeout=60)
    if done.returncode != status:
        fail(f"{words} ended with {done.returncode}, not {status}: {done.stderr}")
    return done


def check(what, got, wanted, words):
    counts[what] = counts.get(what, 0) + 1
    if got != wanted:
        fail(f"{what} {words}: {got!r}, wanted {wanted!r}")


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def fold(events, rules=expected.RULES):
    state = None
    for event in events:
        rule = rules.get(event["type"])
        if rule is not None:
            state = rule(state, event["data"], event["subject"])
    return state


def own(state):
    return None if state is None else {name: value for name, value in state.items() if not name.startswith("_")}


def check_history(key, partition_key, events):
    words = ["history", key, "--partition-key", partition_key, "--timeout", "30s"]
    check("history", lines(evgrid(*words)), events, words)
    check("history backwards", lines(evgrid(*words, "--reverse")), events[::-1], words)
    some = random.choice(events)
    at = events.index(some)
    for direction, page in (([], events[at:at + 3]), (["--reverse"], events[max(0, at - 2):at + 1][::-1])):
        options = ["--from", str(some["offset"]), "--limit", "3", *direction]
        check("page of history", lines(evgrid(*words, *options)), page, options)
    until = [event for event in events if int(event["offset"]) <= int(some["offset"])]
    check("history until an offset", lines(evgrid(*words, "--until", str(some["offset"]))), until, some)
    until = [event for event in events if event["ingesttime"] <= some["ingesttime"]]
    check("history until a time", lines(evgrid(*words, "--until", some["ingesttime"])), until, some)


def check_as_of(view, rules, key, partition_key, events):
    words = ["view", "get", view, key, "--partition-key", partition_key, "-o", "json"]
    for some in random.sample(events, min(4, len(events))):
        for point in (str(some["offset"]), f"{some['partition']}:{some['offset']}", some["ingesttime"]):
            before = [event for event in events if event["ingesttime"] <= point] if "T" in point else \
                [event for event in events if int(event["offset"]) <= int(some["offset"])]
            state = fold(before, rules)
            done = evgrid(*words, "--as-of", point, status=4 if state is None else 0)
            if state is None:
                check("as of, when it was gone", "NOT_FOUND" in done.stderr, True, words)
                continue
            row = json.loads(done.stdout)
            check("as of", own(row["state"]), state, [*words, point])
            check("events as of", int(row["events"]), len(before), [*words, point])
    first = events[0]
    for point in (str(int(first["offset"]) - 1), "2023-01-01T00:00:00Z"):
        done = evgrid(*words, "--as-of", point, status=4)
        told = "BEFORE_FIRST" in done.stderr and f"{first['partition']}:{first['offset']}" in done.stderr
        check("as of before the first event", told, True, done.stderr)
    done = evgrid(*words, "--as-of", "2200-01-01T00:00:00Z", status=7)
    check("as of a time to come", "has not come" in done.stderr, True, done.stderr)


def check_other_keys(view, stored):
    """Entries that are fed by events of several keys."""
    streams, key_of, rules = OTHER_KEYS[view]
    entries = {}
    for event in stored:
        if event["stream"] in streams and event["type"] in rules:
            entries.setdefault((key_of(event), event["partitionkey"]), []).append(event)
    for key, partition_key in random.sample(sorted(entries), 6):
        check_as_of(view, rules, key, partition_key, entries[key, partition_key])
    counts[f"entries of {view} as of"] = 6


def check_scan(view, partition, wanted):
    words = ["view", "scan", view, "--partition", str(partition), "-o", "json"]
    rows = json.loads(evgrid(*words).stdout)
    check("scan", [row["key"] for row in rows], sorted(wanted, key=str.encode), words)
    check("offsets of a page", len({row["applied"] for row in rows}) <= 1, True, words)
    for row in rows:
        check("scanned state", own(row["state"]), wanted[row["key"]], words)
    prefix = min(wanted)[:-1]
    begin = [row for row in rows if row["key"].startswith(prefix)]
    check("scan of a prefix", json.loads(evgrid(*words, "--prefix", prefix).stdout), begin, words)
    check("scan with a limit", json.loads(evgrid(*words, "--limit", "1").stdout), rows[:1], words)


def check_many(states):
    some = random.sample(sorted(states), 20)
    rows = json.loads(evgrid("view", "get", "customers", *some, "-o", "json").stdout)
    check("keys in one call", [(row["key"], own(row["state"])) for row in rows], [(key, states[key]) for key in some],
          some)


def main():
    entities = {}
    with open(sys.argv[1], encoding="utf-8") as lines_of:
        stored = [event for event in map(json.loads, lines_of) if event["stream"] in VIEWS]
    for event in stored:
        partition_key = event.get("partitionkey", event["subject"])
        entities.setdefault((event["stream"], event["subject"], partition_key), []).append(event)
    random.seed(7)
    for view in OTHER_KEYS:
        check_other_keys(view, stored)
    many = [entity for entity, events in entities.items() if len(events) > 2]
    for stream, key, partition_key in random.sample(many, 12):
        events = entities[stream, key, partition_key]
        check_history(key, partition_key, events)
        check_as_of(VIEWS[stream], expected.RULES, key, partition_key, events)
    for stream in ("Customer", "Order"):
        by_partition = {}
        for (of, key, _), events in entities.items():
            state = fold(events)
            if of == stream and state is not None:
                by_partition.setdefault(events[0]["partition"], {})[key] = state
        for partition in random.sample(sorted(by_partition), 3):
            check_scan(VIEWS[stream], partition, by_partition[partition])
    check_many({key: fold(events) for (stream, key, _), events in entities.items() if stream == "Customer"})
    print(", ".join(f"{what}: {count}" for what, count in counts.items()))


main()

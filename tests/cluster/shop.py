#!/usr/bin/env python3
"""What tests/cluster/shop.sh works out: the readers that watch, and what the versions of its views must hold.

  shop.py customers EVENTS...                          "customer<TAB>customer" a line, in the order they first order
  shop.py watch --keys FILE --until FILE [--node N]    reads those entries again and again until the file is there
  shop.py compare --view VIEW --version N EVENTS...    rows of `evgrid view get --keys-from` on standard input"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "deploy" / "shop"), str(ROOT / "tests")]
import expected  # noqa: E402
from wait import pause  # noqa: E402

VERSIONS = ("customer-orders", "activity")


NO_ORDERS = {**expected.NO_ORDERS, "smallest": None}


def with_smallest(kind, rule):
    """Version 2 of customer-orders: the rule of version 1, and the smallest order."""
    def grown(state, data, key):
        state = rule(state or NO_ORDERS, data, key)
        if kind == "OrderCreated":
            known = state["smallest"]
            state["smallest"] = data["total"] if known is None else min(known, data["total"])
        return state
    return grown


def active(version):
    def rule(state, data, key):
        return {"events": (state or {"events": 0})["events"] + 1, "version": version}
    return rule


def rules_of(view, version):
    if view == "activity":
        kinds = [kind for kind in expected.RULES if kind.startswith(("Order", "Payment"))]
        return {kind: active(version) for kind in kinds}
    if version == 1:
        return expected.SUMMARY
    return {kind: with_smallest(kind, rule) for kind, rule in expected.SUMMARY.items()}


def customers(paths):
    seen = {}
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                if event["stream"] in ("Order", "Payment"):
                    seen.setdefault(event["partitionkey"])
    for customer in seen:
        print(f"{customer}\t{customer}")
    return 0


def compare(view, version, paths):
    expected.VIEWS[view] = (["Order", "Payment"], "partitionkey", rules_of(view, version))
    return expected.compare(f"{view}, version {version}", expected.fold(paths, view), sys.stdin, True)


# What of an entry never falls while it is watched.
def marks(view, state):
    if view == "activity":
        return state["version"], state["events"]
    return "smallest" in state, state["orders"] + state["cancelled"], state["cancelled"]


class Watch:
    def __init__(self, arguments):
        self.keys = arguments.keys
        self.node = arguments.node
        self.seen = {}
        self.versions = {view: 0 for view in VERSIONS}

    def look(self, view):
        command = [os.path.join(os.environ["EVGRID_BUILD"], "evgrid"), "view", "get", view, "--keys-from", self.keys]
        done = subprocess.run(command + (["--node", self.node] if self.node else []), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise SystemExit(f"{view} cannot be read: {done.stderr}")
        for line in done.stdout.splitlines():
            self.check(view, json.loads(line))

    def check(self, view, row):
        key, state = row["key"], row["state"]
        before = self.seen.get((view, key))
        if state is None:
            if before is not None:
                raise SystemExit(f"{view} {key} is empty, and was {before}")
            return
        now = marks(view, state)
        if before is not None and any(new < old for new, old in zip(now, before)):
            raise SystemExit(f"{view} {key} was {before} and is {now}")
        self.seen[view, key] = now
        self.versions[view] += before is not None and now[0] > before[0]


def watch(arguments):
    run = Watch(arguments)
    rounds = 0
    while not os.path.exists(arguments.until):
        for view in VERSIONS:
            run.look(view)
        rounds += 1
        pause(0.02)
    took_over = ", ".join(f"{view} {count}" for view, count in run.versions.items())
    print(f"read {arguments.node or 'fresh'}: {rounds} rounds over {len(run.seen)} entries; "
          f"seen to change version: {took_over}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("customers")
    verb.add_argument("events", nargs="+")
    verb = verbs.add_parser("watch")
    verb.add_argument("--keys", required=True)
    verb.add_argument("--until", required=True)
    verb.add_argument("--node")
    verb = verbs.add_parser("compare")
    verb.add_argument("--view", choices=VERSIONS, required=True)
    verb.add_argument("--version", type=int, required=True)
    verb.add_argument("events", nargs="+")
    arguments = parser.parse_args()
    if arguments.verb == "customers":
        return customers(arguments.events)
    if arguments.verb == "watch":
        return watch(arguments)
    return compare(arguments.view, arguments.version, arguments.events)


if __name__ == "__main__":
    sys.exit(main())

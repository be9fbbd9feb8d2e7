#!/usr/bin/env python3
"""What a history of publishing says about speed and about a kill.

  figures.py HISTORY KILLED_AT_UNIX_SECONDS [--led FILE]

HISTORY is written by evgrid publish --history. Prints throughput, completion times by stage, and the fail-over time:
per partition, how long the events waited that were on their way at the kill or came within a second after it, the
longest of them, counted from the kill or from when the event came. FILE is what
`evgrid partition ls -o json --node NODE` said of the killed node before: then only the partitions that it led are
counted; else all."""
import argparse
import collections
import json

STAGES = ["source", "enrich", "persist", "view", "publish", "complete"]
WINDOW_US = 1_000_000


def share(values, part):
    return values[min(len(values) - 1, int(part * len(values)))]


def row(name, values_us):
    values = sorted(values_us)
    print(f"{name:<12}" + "".join(f"{share(values, part) / 1000:>12.3f}" for part in (.5, .99, .999, 1)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("history")
    parser.add_argument("killed_at", type=float)
    parser.add_argument("--led")
    arguments = parser.parse_args()
    killed_us = int(arguments.killed_at * 1e6)
    led = None
    if arguments.led:
        with open(arguments.led, encoding="utf-8") as rows:
            led = {entry["partition"] for entry in json.load(rows) if entry["primary"]}
    outcomes = collections.Counter()
    totals, stages, waits = [], [[] for _ in STAGES], collections.Counter()
    first, last = None, 0
    with open(arguments.history, encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            outcomes[event["outcome"]] += 1
            if event["outcome"] != "applied":
                continue
            invoked, completed = int(event["invoked_us"]), int(event["completed_us"])
            first, last = min(first or invoked, invoked), max(last, completed)
            totals.append(completed - invoked)
            for stage, spent in zip(stages, event["stages_us"]):
                stage.append(spent)
            partition = event["partition"]
            if completed > killed_us and invoked < killed_us + WINDOW_US and (led is None or partition in led):
                waits[partition] = max(waits[partition], completed - max(invoked, killed_us))
    print("outcomes: " + ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())))
    if not totals:
        return
    print(f"throughput: {len(totals) / ((last - first) / 1e6):.0f} events/s over {(last - first) / 1e6:.1f} s")
    print(f"{'completion':<12}{'p50 ms':>12}{'p99 ms':>12}{'p99.9 ms':>12}{'max ms':>12}")
    row("total", totals)
    for name, values in zip(STAGES, stages):
        if values:
            row(name, values)
    if waits:
        longest = sorted(waits.values())
        whose = "of all partitions" if led is None else "that the killed node led"
        print(f"fail-over, {len(longest)} partitions {whose}: an event waited at most "
              f"{share(longest, .5) / 1000:.0f} ms in the median, {longest[-1] / 1000:.0f} ms in the worst")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What a history of publishing says about speed and about a kill.

  figures.py HISTORY KILLED_AT_UNIX_SECONDS [--led FILE]

HISTORY is written by evgrid publish --history. Prints throughput, completion times by stage, and the fail-over time: per
partition, from the kill to the end of the longest silence that began before the kill or within a second after it. FILE
is what `evgrid partition ls -o json --node NODE` said of the killed node before: then only the partitions that it led
are counted; else all."""
import argparse
import collections
import json

STAGES = ["source", "enrich", "persist", "view", "publish", "complete"]
WINDOW_US = 20_000_000


def share(values, part):
    return values[min(len(values) - 1, int(part * len(values)))]


def row(name, values_us):
    values = sorted(values_us)
    print(f"{name:<12}" + "".join(f"{share(values, part) / 1000:>12.3f}" for part in (.5, .99, .999, 1)))


def longest_silence(times, killed_us):
    """Of sorted acknowledgements, in microseconds, counted from the kill; None when there is none afterwards."""
    longest = None
    before = None
    for time in times:
        if time > killed_us and (before is None or before < killed_us + 1_000_000):
            began = killed_us if before is None else max(before, killed_us)
            longest = max(longest or 0, time - began)
        before = time
    return longest


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
    totals, stages, around = [], [[] for _ in STAGES], collections.defaultdict(list)
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
            if abs(completed - killed_us) < WINDOW_US:
                around[event["partition"]].append(completed)
    print("outcomes: " + ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())))
    if not totals:
        return
    print(f"throughput: {len(totals) / ((last - first) / 1e6):.0f} events/s over {(last - first) / 1e6:.1f} s")
    print(f"{'completion':<12}{'p50 ms':>12}{'p99 ms':>12}{'p99.9 ms':>12}{'max ms':>12}")
    row("total", totals)
    for name, values in zip(STAGES, stages):
        if values:
            row(name, values)
    silences = [longest_silence(sorted(times), killed_us) for partition, times in around.items()
                if led is None or partition in led]
    silences = sorted(silence for silence in silences if silence is not None)
    whose = "all partitions" if led is None else "partitions that the killed node led"
    if silences:
        print(f"fail-over: {len(silences)} {whose}: median {share(silences, .5) / 1000:.0f} ms, "
              f"max {silences[-1] / 1000:.0f} ms from the kill to the next acknowledgement")


if __name__ == "__main__":
    main()

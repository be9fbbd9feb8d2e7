"""The part of tests/cluster/kills.sh that kills, waits and works out the figures; run by it, with the cluster up.

A pause is the time from just before kill -9 to the acknowledgement of the first event that was published to the
partition after the process was gone: what the dead node could still have answered does not count, and the probe's
interval is in it.
A sample during which the witness overslept by 50 ms or more is counted apart, and shown."""
import argparse
import bisect
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from wait import Witness, now_us, pause, wait_until  # noqa: E402
import probed  # noqa: E402
from probed import evgrid, share  # noqa: E402

QUIET_SECONDS = 6
BALANCED_SECONDS = 120
MEDIAN_MS, P90_MS, MOST_MS = 1000, 1500, 2000
Kill = collections.namedtuple("Kill", "node kind partitions killed_us gone_us")


def process_state(pid):
    """(state letter, start time), or None when there is no such process."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rsplit(")", 1)[1].split()
    return fields[0], fields[19]


def is_gone(pid):
    state = process_state(pid)
    return state is None or state[0] in "ZX"


class Run:
    def __init__(self, arguments):
        self.directory = pathlib.Path(arguments.dir)
        self.cluster = self.directory / "cluster"
        self.random = random.Random(arguments.seed)
        self.rate = arguments.rate
        self.kills = []

    def wait_balanced(self):
        evgrid("cluster", "wait", "--for", "balanced", "--nodes", "3", "--timeout", f"{BALANCED_SECONDS}s")

    def kill(self, wants_controller):
        controller = json.loads(evgrid("cluster", "status", "-o", "json").stdout)["controller"]
        others = [name for name in ("n1", "n2", "n3") if name != controller]
        node = controller if wants_controller and controller else self.random.choice(others)
        rows = json.loads(evgrid("partition", "ls", "-o", "json", "--node", node).stdout)
        led = {row["partition"] for row in rows if row["primary"]}
        pid, started = (self.cluster / node / "pid").read_text().split()
        if process_state(int(pid))[1] != started:
            raise SystemExit(f"failed: {node} does not run")
        killed_us = now_us()
        os.kill(int(pid), signal.SIGKILL)
        wait_until(10, f"the end of {node}", lambda: is_gone(int(pid)))
        kind = "controller" if node == controller else "other"
        self.kills.append(Kill(node, kind, led, killed_us, now_us()))
        print(f"kill {len(self.kills)}: {node} ({kind}), primary of {len(led)} partitions", flush=True)

    def start_again(self):
        subprocess.run(["deploy/local/cluster", "--dir", str(self.cluster), "start", self.kills[-1].node[1:]],
                       check=True, stdout=subprocess.DEVNULL)
        began = now_us()
        self.wait_balanced()
        print(f"        balanced {(now_us() - began) / 1e6:.1f} s after it listened", flush=True)

    def run(self, kills):
        """Under the probe: a quiet window, then the kills."""
        with probed.published(self.directory, self.rate):
            pause(2)
            self.quiet = now_us(), now_us() + QUIET_SECONDS * 1_000_000
            pause(QUIET_SECONDS)
            for number in range(kills):
                self.kill(number % 3 == 0)
                pause(self.random.uniform(2.0, 4.0))
                self.start_again()
                pause(self.random.uniform(0.5, 1.5))


class Figures(probed.Told):
    """One pass over the history."""

    def __init__(self, run):
        super().__init__()
        self.seconds = 0
        self.pauses = [dict() for _ in run.kills]  # partition -> first acknowledgement
        self.quiet = collections.defaultdict(list)  # partition -> acknowledgements in the quiet window
        gone = [kill.gone_us for kill in run.kills]
        first, last = None, None
        for event in probed.events(run.directory / "history"):
            invoked, completed, partition = int(event["invoked_us"]), int(event["completed_us"]), event["partition"]
            first = invoked if first is None else first
            last = invoked
            self.take(event)
            if event["outcome"] != "applied":
                continue
            if run.quiet[0] <= completed < run.quiet[1]:
                self.quiet[partition].append(completed)
            at = bisect.bisect_right(gone, invoked) - 1
            if at >= 0 and partition in run.kills[at].partitions:
                known = self.pauses[at].get(partition)
                self.pauses[at][partition] = completed if known is None else min(known, completed)
        self.seconds = (last - first) / 1e6


def print_row(name, kills, values):
    if values:
        print(f"{name:<26}{kills:>6}{len(values):>12}{share(values, .5):>9.0f}{share(values, .9):>9.0f}"
              f"{max(values):>9.0f}")


def print_pauses(run, figures, witness):
    """The table; returns whether all partitions went on, and whether the times were kept."""
    samples = collections.defaultdict(list)
    apart = collections.defaultdict(list)
    progress = True
    for kill, acknowledged in zip(run.kills, figures.pauses):
        for partition in kill.partitions:
            if partition not in acknowledged:
                print(f"partition {partition}: nothing was acknowledged after the kill of {kill.node}")
                progress = False
                continue
            ended = acknowledged[partition]
            into = apart if witness.stalled(kill.killed_us, ended) else samples
            into[kill.kind].append((ended - kill.killed_us) / 1000)
    rows = [(kind, samples[kind]) for kind in ("controller", "other")]
    rows.append(("all", samples["controller"] + samples["other"]))
    rows += [(f"{kind}, stalled", apart[kind]) for kind in ("controller", "other") if apart[kind]]
    print(f"{'pause from the kill, ms':<26}{'kills':>6}{'partitions':>12}{'median':>9}{'p90':>9}{'max':>9}")
    for name, values in rows:
        kills = sum(name == "all" or name.startswith(kill.kind) for kill in run.kills)
        print_row(name, kills, values)
    gaps = [max(after - before for before, after in zip(times, times[1:])) / 1000
            for times in map(sorted, figures.quiet.values()) if len(times) > 1]
    print_row("quiet: longest gap", 0, gaps)
    return progress, rows[2][1]


def print_times(values):
    for name, value, most in (("median", share(values, .5), MEDIAN_MS), ("p90", share(values, .9), P90_MS),
                              ("maximum", max(values), MOST_MS)):
        print(f"{name} {value:.0f} ms, wanted at most {most}: {'kept' if value <= most else 'MISSED'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--kills", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=22)
    arguments = parser.parse_args()
    run = Run(arguments)
    run.wait_balanced()
    witness = Witness()
    run.run(arguments.kills)
    witness.end()
    run.wait_balanced()
    figures = Figures(run)
    slowest = min(figures.sent.values()) / figures.seconds
    print(f"{sum(figures.sent.values())} events in {figures.seconds:.0f} s to {len(figures.sent)} partitions, each at "
          f"least {slowest:.1f} a second: {dict(figures.outcomes)}")
    if slowest < 20:
        print("MISSED: the probe wrote less than 20 a second")
    print(witness)
    progress, values = print_pauses(run, figures, witness)
    if values:
        print_times(values)
    figures.check(run.directory, ("n1", "n2", "n3"))
    if not progress:
        raise SystemExit("failed: missing progress")


if __name__ == "__main__":
    main()

"""The part of tests/cluster/elastic.sh that lets nodes come and go and works out the figures; run by it, with three
nodes up.

A gap is the time between two acknowledgements that follow each other in a partition; the probe's interval is in it.
A moved partition's pause is its longest gap while nodes came, or went, less its longest gap of the quiet window. A gap
during which the witness overslept by 50 ms or more is counted apart, and shown."""
import argparse
import collections
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from wait import Witness, now_us, pause, wait_until  # noqa: E402
import probed  # noqa: E402
from probed import evgrid, share  # noqa: E402

QUIET_SECONDS, SETTLE_SECONDS = 6, 2
MEDIAN_MS, P99_MS, QUIET_TIMES, RATE_SHARE = 10, 50, 3, 0.8
LEAVERS = ("n2", "n5")  # a founder, which votes, and one that came later
Phase = collections.namedtuple("Phase", "name began_us ended_us before after")


def table():
    """(replicas as (partition, node), primary by partition)."""
    rows = json.loads(evgrid("partition", "ls", "-o", "json").stdout)
    return {(row["partition"], row["node"]) for row in rows}, {row["partition"]: row["node"] for row in rows
                                                              if row["primary"]}


def counts(replicas):
    return collections.Counter(node for _, node in replicas)


class Run:
    def __init__(self, directory, rate):
        self.directory = directory
        self.rate = rate
        self.phases = []

    def cluster(self, *arguments):
        subprocess.run(["deploy/local/cluster", "--dir", str(self.directory / "cluster"), *arguments], check=True,
                       stdout=subprocess.DEVNULL)

    def is_gone(self, node):
        state = pathlib.Path(f"/proc/{self.pids[node]}/stat")
        return not state.exists() or state.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] in "ZX"

    def grow(self):
        self.cluster("join")
        self.cluster("join")
        evgrid("cluster", "wait", "--for", "balanced", "--nodes", "5", "--timeout", "300s")

    def shrink(self):
        self.pids = {node: (self.directory / "cluster" / node / "pid").read_text().split()[0] for node in LEAVERS}
        for node in LEAVERS:
            evgrid("node", "decommission", node, "--wait", "--timeout", "300s")
        evgrid("cluster", "wait", "--for", "balanced", "--nodes", "3", "--timeout", "300s")
        for node in LEAVERS:
            wait_until(30, f"the end of {node}", lambda node=node: self.is_gone(node))

    def phase(self, name, act):
        before, began = table(), now_us()
        act()
        self.phases.append(Phase(name, began, now_us(), before, table()))
        print(f"{name}: {(self.phases[-1].ended_us - began) / 1e6:.1f} s", flush=True)
        pause(SETTLE_SECONDS)

    def run(self):
        evgrid("cluster", "wait", "--for", "balanced", "--nodes", "3", "--timeout", "120s")
        with probed.published(self.directory, self.rate):
            pause(SETTLE_SECONDS)
            self.phase("quiet", lambda: pause(QUIET_SECONDS))
            self.phase("3 to 5 nodes", self.grow)
            self.phase("5 to 3 nodes", self.shrink)


def check_moves(phase):
    """No more than the nodes' counts before and after require, worked out without placement."""
    before, after = counts(phase.before[0]), counts(phase.after[0])
    moved = len(phase.after[0] - phase.before[0])
    least = sum(max(0, after[node] - before[node]) for node in after)
    spread = max(after.values()) - min(after.values())
    primaries = collections.Counter(phase.after[1].values())
    print(f"{phase.name}: {moved} replicas moved, {least} the least; now {dict(sorted(after.items()))}, primaries "
          f"{dict(sorted(primaries.items()))}")
    if moved != least or spread > 1 or max(primaries.values()) - min(primaries.values()) > 1:
        raise SystemExit("failed: replicas moved that need not, or shares are not even")


def moved_partitions(phase):
    replicas = {partition for partition, _ in phase.before[0] ^ phase.after[0]}
    return replicas | {partition for partition, node in phase.after[1].items()
                       if phase.before[1].get(partition) != node}


def judge(what, value, most):
    print(f"  {what}: {value:.1f}, wanted at most {most:.1f}: {'kept' if value <= most else 'MISSED'}")


def longest(gaps):
    return {partition: max(values) for partition, values in gaps.items()}


def print_row(name, values):
    if values:
        print(f"{name:<26}{len(values):>12}{share(values, .5):>9.1f}{share(values, .99):>9.1f}{max(values):>9.1f}")


def print_gaps(run, times, witness):
    print(f"{'longest gap, ms':<26}{'partitions':>12}{'median':>9}{'p99':>9}{'max':>9}")
    for phase in run.phases:
        gaps, stalled, still = times.gaps(phase.began_us, phase.ended_us, witness)
        if still:
            raise SystemExit(f"failed: {phase.name}: partitions {still[:10]} made no progress")
        gaps = longest(gaps)
        print_row(f"{phase.name}, stalled", list(longest(stalled).values()))
        if phase is run.phases[0]:
            quiet = gaps
            print_row(phase.name, list(gaps.values()))
            continue
        moved = [partition for partition in moved_partitions(phase) if partition in gaps]
        print_row(phase.name, [gaps[partition] for partition in moved])
        pauses = [max(0, gaps[partition] - quiet.get(partition, 0)) for partition in moved]
        judge("pause of a moved partition, median ms", share(pauses, .5), MEDIAN_MS)
        judge("p99 ms", share(pauses, .99), max(P99_MS, QUIET_TIMES * max(quiet.values())))
        slowest = times.slowest_window(phase.began_us, phase.ended_us)
        print(f"  slowest two seconds: {slowest:.2f} of what was offered: "
              f"{'kept' if slowest >= RATE_SHARE else 'MISSED'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", required=True, type=pathlib.Path)
    parser.add_argument("--rate", type=float, required=True)
    arguments = parser.parse_args()
    run = Run(arguments.dir, arguments.rate)
    witness = Witness()
    run.run()
    witness.end()
    times = probed.Times(run.directory)
    print(f"{sum(times.sent.values())} events to {len(times.sent)} partitions: {dict(times.outcomes)}")
    for phase in run.phases[1:]:
        check_moves(phase)
    print(witness)
    print_gaps(run, times, witness)
    times.check(run.directory, [f"n{i}" for i in range(1, 6) if f"n{i}" not in LEAVERS])


if __name__ == "__main__":
    main()

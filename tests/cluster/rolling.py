"""The part of tests/cluster/rolling.sh that restarts one node after the other and works out the figures; run by it,
with five nodes up.

What a returning node received: the batches of partitions in which it was not in sync, by its own metrics, from its
start until all is in sync again. It is held against what was acknowledged meanwhile, from its stop on, in the
partitions that it keeps: a share of the bytes that all nodes acknowledged, since the probe writes to all alike."""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from wait import Witness, now_us, pause  # noqa: E402
import metrics  # noqa: E402
import probed  # noqa: E402
from probed import evgrid, share  # noqa: E402

QUIET_SECONDS, SETTLE_SECONDS = 6, 2
BYTES_TIMES, GAPS_MS = 1.1, 200
PARTITIONS = 271
Restart = collections.namedtuple("Restart", "node began_us ended_us received acknowledged filling")


class Run:
    def __init__(self, directory, rate, away):
        self.directory = directory
        self.rate = rate
        self.away = away
        self.restarts = []
        self.nodes = [f"n{i}" for i in range(1, 6)]
        self.ports = {node: re.search(r"^http:\n  port: (\d+)", self.config(node), re.M)[1] for node in self.nodes}

    def config(self, node):
        return (self.directory / "cluster" / node / "node.yaml").read_text(encoding="utf-8")

    def cluster(self, *arguments):
        subprocess.run(["deploy/local/cluster", "--dir", str(self.directory / "cluster"), *arguments], check=True,
                       stdout=subprocess.DEVNULL)

    def metric(self, node, name, labels=""):
        """The sum of the series whose labels hold these."""
        _, samples = metrics.parse(metrics.fetch(f"http://127.0.0.1:{self.ports[node]}/metrics"))
        return sum(value for (known, texts), value in samples.items() if known == name and labels in (texts or ""))

    def acknowledged(self, nodes):
        return sum(self.metric(node, "evgrid_append_bytes_total") for node in nodes)

    def kept(self, node):
        rows = json.loads(evgrid("partition", "ls", "-o", "json", "--node", node).stdout)
        return len({row["partition"] for row in rows})

    def restart(self, node):
        others = [other for other in self.nodes if other != node]
        kept, began = self.kept(node), now_us()
        before = self.acknowledged(others)
        self.cluster("stop", node[1:])
        pause(self.away)
        self.cluster("start", node[1:])
        evgrid("cluster", "wait", "--for", "healthy", "--nodes", "5", "--timeout", "120s")
        pause(1.2)  # a node's metrics are up to a second old
        acknowledged = (self.acknowledged(others) - before) * kept / PARTITIONS
        self.restarts.append(Restart(node, began, now_us(), self.metric(node, "evgrid_replica_catch_up_bytes_total"),
                                     acknowledged, self.metric(node, "evgrid_view_partitions", 'state="filling"')))
        evgrid("cluster", "wait", "--for", "balanced", "--nodes", "5", "--timeout", "120s")
        pause(SETTLE_SECONDS)

    def run(self):
        evgrid("cluster", "wait", "--for", "balanced", "--nodes", "5", "--timeout", "120s")
        with probed.published(self.directory, self.rate):
            pause(SETTLE_SECONDS)
            self.quiet = now_us(), now_us() + QUIET_SECONDS * 1_000_000
            pause(QUIET_SECONDS)
            for node in self.nodes:
                self.restart(node)


def print_restarts(run):
    failed = False
    print(f"{'restart':<10}{'seconds':>9}{'received, KiB':>15}{'acknowledged, KiB':>19}{'of it':>7}")
    for one in run.restarts:
        part = one.received / one.acknowledged
        print(f"{one.node:<10}{(one.ended_us - one.began_us) / 1e6:>9.1f}{one.received / 1024:>15.0f}"
              f"{one.acknowledged / 1024:>19.0f}{part:>7.2f}")
        failed = failed or part > BYTES_TIMES or one.filling > 0
    if failed:
        raise SystemExit("failed: a node received more than it had missed, or fills a view anew")


def print_gaps(run, times, witness):
    quiet, _, _ = times.gaps(*run.quiet, witness)
    usual = max(max(values) for values in quiet.values())
    seen, stalled, still = times.gaps(run.restarts[0].began_us, run.restarts[-1].ended_us, witness)
    sums = [sum(gap for gap in values if gap > usual) for values in seen.values()]
    beyond = [sum(max(0, gap - usual) for gap in values) for values in seen.values()]
    if still:
        raise SystemExit(f"failed: partitions {still[:10]} made no progress")
    print(f"longest gap of the quiet window: {usual:.1f} ms; while nodes went and came: "
          f"{max(map(max, seen.values())):.1f} ms; with a stall of the machine: "
          f"{max((gap for values in stalled.values() for gap in values), default=0):.1f} ms")
    print(f"a partition's gaps above it, summed: median {share(sums, .5):.1f}, p99 {share(sums, .99):.1f}, most "
          f"{max(sums):.1f} ms, wanted below {GAPS_MS}: {'kept' if max(sums) < GAPS_MS else 'MISSED'}")
    print(f"by which they exceed it: median {share(beyond, .5):.1f}, most {max(beyond):.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", required=True, type=pathlib.Path)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--away", type=float, required=True)
    arguments = parser.parse_args()
    run = Run(arguments.dir, arguments.rate, arguments.away)
    witness = Witness()
    run.run()
    witness.end()
    times = probed.Times(run.directory)
    print(f"{sum(times.sent.values())} events to {len(times.sent)} partitions: {dict(times.outcomes)}")
    print_restarts(run)
    print(witness)
    print_gaps(run, times, witness)
    times.check(run.directory, [])


if __name__ == "__main__":
    main()

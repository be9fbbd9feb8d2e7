"""A probe of every partition, published with a history; what its publisher was told, against the probe's view:
imported, never run."""
import bisect
import collections
import contextlib
import json
import os
import subprocess
import sys

import probe


def evgrid(*arguments, check=True):
    done = subprocess.run([os.path.join(os.environ["EVGRID_BUILD"], "evgrid"), *arguments], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if check and done.returncode != 0:
        said = done.stdout + done.stderr
        raise SystemExit(f"failed: evgrid {' '.join(arguments)} ended with {done.returncode}: {said}")
    return done


@contextlib.contextmanager
def published(directory, rate):
    """While it lasts, `rate` events a second go to each partition; what was told is in directory/history."""
    writer = subprocess.Popen([sys.executable, "tests/cluster/probe.py", "--rate", str(rate)], stdout=subprocess.PIPE)
    with open(directory / "publish.err", "w", encoding="utf-8") as errors:
        publisher = subprocess.Popen(
            [os.path.join(os.environ["EVGRID_BUILD"], "evgrid"), "publish", "-", "--history",
             str(directory / "history")],
            stdin=writer.stdout, stdout=subprocess.DEVNULL, stderr=errors)
    writer.stdout.close()
    try:
        yield
        writer.terminate()
        status = publisher.wait(120)
    finally:
        for process in (writer, publisher):
            if process.poll() is None:
                process.kill()
            process.wait()
    if status not in (0, 8):
        said = (directory / "publish.err").read_text(encoding="utf-8")[-2000:]
        raise SystemExit(f"failed: publish ended with {status}: {said}")


def events(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def share(values, part):
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


class Told:
    """take every event of the history; compare then."""

    def __init__(self):
        self.outcomes = collections.Counter()
        self.sent = collections.Counter()
        self.states = {}  # key -> [count, sum, last] of what was acknowledged
        self.open_keys = collections.Counter()  # key -> events whose outcome is unknown

    def take(self, event):
        self.outcomes[event["outcome"]] += 1
        self.sent[event["key"]] += 1
        state = self.states.setdefault(event["key"], [0, 0, 0])
        number = int(event["id"])
        if event["outcome"] == "unknown":
            self.open_keys[event["key"]] += 1
        elif event["outcome"] == "applied" and number >= probe.PARTITIONS:
            state[0] += 1
            state[1] += number
            state[2] = max(state[2], number)

    def differences(self, row):
        """In words, what a row of the view has that was not told; nothing where it is right."""
        count, total, last = self.states[row["key"]]
        state = row["state"] or {"count": 0, "sum": 0, "last": 0}
        more = state["count"] - count
        wrong = not 0 <= more <= self.open_keys[row["key"]]
        if wrong or (more == 0 and (state["sum"], state["last"]) != (total, last)):
            return f"{row['key']}: the grid says {state}, acknowledged are {count}, {total}, {last}"
        return None

    def check(self, directory, nodes):
        """The history against what is stored, the view (on each of these nodes, or on the primaries), the digests."""
        checked = evgrid("history", "check", str(directory / "history"), check=False)
        print((checked.stdout + checked.stderr).strip())
        if checked.returncode != 0:
            raise SystemExit(f"failed: history check ended with {checked.returncode}")
        self.compare(directory, nodes, lambda *arguments: evgrid(*arguments).stdout)
        print(evgrid("cluster", "status", "--check-digests", "--timeout", "60s").stdout.strip())

    def compare(self, directory, nodes, evgrid):
        """The probe's entries on each of these nodes, or on the primaries; evgrid gives what the command printed."""
        keys = directory / "keys"
        keys.write_text("".join(f"{key}\n" for key in self.states), encoding="utf-8")
        different = 0
        for node in nodes or ["primaries"]:
            rows = evgrid("view", "get", "probe", "--keys-from", str(keys),
                          *(["--node", node] if nodes else [])).splitlines()
            if len(rows) != len(self.states):
                raise SystemExit(f"failed: {node} answered {len(rows)} of {len(self.states)} entries")
            for difference in filter(None, map(self.differences, map(json.loads, rows))):
                different += 1
                print(f"{node} {difference}")
        if different:
            raise SystemExit(f"failed: {different} entries of the view differ from what was acknowledged")
        where = f"each of {len(nodes)} nodes" if nodes else "the primaries"
        print(f"view: {len(self.states)} entries equal on {where}")


class Times(Told):
    """The same, with the time of each acknowledgement; all of them in microseconds."""

    def __init__(self, directory):
        super().__init__()
        self.acknowledged = collections.defaultdict(list)  # partition -> times
        self.offered = []
        self.completed = []  # (invoked, completed)
        for event in events(directory / "history"):
            self.take(event)
            self.offered.append(int(event["invoked_us"]))
            if event["outcome"] == "applied":
                self.acknowledged[event["partition"]].append(int(event["completed_us"]))
                self.completed.append((self.offered[-1], int(event["completed_us"])))
        for times in self.acknowledged.values():
            times.sort()

    def gaps(self, began_us, ended_us, witness):
        """By partition: gaps between acknowledgements that follow each other, in ms, begun in that time; apart from
        them those during which the witness stalled. And the partitions that stood still to its end."""
        seen, stalled, still = collections.defaultdict(list), collections.defaultdict(list), []
        for partition, times in self.acknowledged.items():
            inside = times[bisect.bisect_left(times, began_us):]
            if not inside or inside[-1] < ended_us:
                still.append(partition)
            for before, after in zip(inside, inside[1:]):
                if before > ended_us:
                    break
                into = stalled if witness.stalled(before, after) else seen
                into[partition].append((after - before) / 1000)
        return seen, stalled, still

    def waits(self, began_us, ended_us, witness):
        """How long completions took, in ms, of what was offered in that time; apart from them those during which the
        witness stalled."""
        seen, stalled = [], []
        for invoked, completed in self.completed:
            if began_us <= invoked < ended_us:
                (stalled if witness.stalled(invoked, completed) else seen).append((completed - invoked) / 1000)
        return seen, stalled

    def slowest_window(self, began_us, ended_us, window_us=2_000_000):
        """The least share of what was offered that was acknowledged, of all windows of two seconds."""
        windows = collections.defaultdict(lambda: [0, 0])
        for time in self.offered:
            windows[(time - began_us) // window_us][0] += 1
        for times in self.acknowledged.values():
            for time in times:
                windows[(time - began_us) // window_us][1] += 1
        return min((windows[at][1] / max(1, windows[at][0]) for at in range((ended_us - began_us) // window_us)),
                   default=1)

"""A probe of every partition, published with a history; what its publisher was told, against the probe's view:
imported, never run."""
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
            [os.path.join(os.environ["EVGRID_BUILD"], "evgrid"), "publish", "-", "--history", str(directory / "history")],
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
        """The history against what is stored, the view on every node, the digests."""
        checked = evgrid("history", "check", str(directory / "history"), check=False)
        print((checked.stdout + checked.stderr).strip())
        if checked.returncode != 0:
            raise SystemExit(f"failed: history check ended with {checked.returncode}")
        self.compare(directory, nodes, lambda *arguments: evgrid(*arguments).stdout)
        print(evgrid("cluster", "status", "--check-digests", "--timeout", "60s").stdout.strip())

    def compare(self, directory, nodes, evgrid):
        """The probe's entries on every node; evgrid gives what the command printed."""
        keys = directory / "keys"
        keys.write_text("".join(f"{key}\n" for key in self.states), encoding="utf-8")
        different = 0
        for node in nodes:
            rows = evgrid("view", "get", "probe", "--keys-from", str(keys), "--node", node).splitlines()
            if len(rows) != len(self.states):
                raise SystemExit(f"failed: {node} answered {len(rows)} of {len(self.states)} entries")
            for difference in filter(None, map(self.differences, map(json.loads, rows))):
                different += 1
                print(f"{node} {difference}")
        if different:
            raise SystemExit(f"failed: {different} entries of the view differ from what was acknowledged")
        print(f"view: {len(self.states)} entries equal on each of {len(nodes)} nodes")

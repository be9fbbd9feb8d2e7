"""The load of a chaos run and what must hold of it. A publisher writes to every partition and keeps a history of what
it was told; a subscriber takes every event; a reader asks for all keys again and again. In the end:

1. No acknowledged event is lost, none stored twice, none refused is there, those of a key are in order (`evgrid history
   check`).
2. The view is the fold of the events, on every replica, and replicas' digests are equal.
3. A read has all that was acknowledged before it began, nothing that was published after it ended, and never less than
   a read before it; and the whole is linearizable, key by key (evgrid-linear, the simulator's checker).
4. The subscriber has what is stored, each event once, in each partition in order."""
import array
import bisect
import collections
import json
import subprocess
import sys
import threading
import zlib

from grid import evgrid, must, program
import probe
import probed
from wait import now_us, pause, wait_until

WHOLE_SECONDS = 120
SHOWN = 10


class Publisher:
    def __init__(self, directory, rate):
        self.history = directory / "history"
        self.said = open(directory / "publish.err", "w+", encoding="utf-8")
        self.writer = subprocess.Popen([sys.executable, probe.__file__, "--rate", str(rate)], stdout=subprocess.PIPE)
        self.process = subprocess.Popen([program("evgrid"), "publish", "-", "--history", self.history],
                                        stdin=self.writer.stdout, stdout=subprocess.DEVNULL, stderr=self.said)
        self.writer.stdout.close()

    def finish(self):
        self.writer.terminate()
        self.writer.wait(30)
        status = self.process.wait(WHOLE_SECONDS)
        self.said.seek(0)
        if status not in (0, 8):  # 8: some were refused or in doubt
            raise SystemExit(f"failed: publish ended with {status}: {self.said.read()[-2000:]}")


def entries(keys):
    """The rows of those keys in the file that have an entry and could be read in time."""
    _, out, _ = evgrid("view", "get", "probe", "--keys-from", str(keys), "--timeout", "2s")
    return [row for row in map(json.loads, out.splitlines()) if row.get("state") is not None]


class Reader:
    """Reads of all keys, linearizable; what could not be read in time says nothing."""

    def __init__(self, keys):
        self.keys = keys
        self.reads = []  # (began, ended, key, count, last)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ended.is_set():
            began = now_us()
            rows = entries(self.keys)
            ended = now_us()
            self.reads += ((began, ended, row["key"], row["state"]["count"], row["state"]["last"]) for row in rows)
            pause(0.2)

    def finish(self):
        self.ended.set()
        self.thread.join()


class Subscriber:
    """Keeps of each partition how many events came, and a check sum over them in the order in which they came."""

    def __init__(self):
        self.partitions = {}
        self.count = 0
        self.offsets = array.array("q")  # by event, -1: it is not stored
        self.process = subprocess.Popen([program("evgrid"), "subscribe", "--stream", "Probe", "--quiet"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        for line in self.process.stdout:
            take_stored(self.partitions, line)
            self.count += 1

    def note_offset(self, event):
        number = int(event["id"])
        self.offsets.extend([-1] * (number + 1 - len(self.offsets)))
        self.offsets[number] = int(event["offset"])

    def offset_of(self, number):
        return self.offsets[number] if number < len(self.offsets) else -1

    def finish(self, directory):
        stored = {}
        with open(directory / "replay.err", "w+", encoding="utf-8") as said:
            with subprocess.Popen([program("evgrid"), "replay", "--stream", "Probe"], stdout=subprocess.PIPE,
                                  stderr=said) as replay:
                for line in replay.stdout:
                    self.note_offset(take_stored(stored, line))
            said.seek(0)
            if replay.returncode != 0:
                raise SystemExit(f"failed: replay ended with {replay.returncode}: {said.read()[-2000:]}")
        wanted = sum(count for count, _ in stored.values())
        try:
            wait_until(60, f"the subscriber has {wanted} events", lambda: self.count >= wanted)
        except TimeoutError:
            pass  # what it lacks is told below
        self.process.terminate()
        self.process.wait(30)
        self.thread.join()
        return [f"partition {partition}: the subscriber has {self.partitions.get(partition)} (events, check sum), "
                f"stored are {stored.get(partition)}"
                for partition in sorted(stored.keys() | self.partitions.keys())
                if stored.get(partition) != self.partitions.get(partition)]


def take_stored(partitions, line):
    event = json.loads(line)
    count, total = partitions.get(event["partition"], (0, 0))
    partitions[event["partition"]] = count + 1, zlib.crc32(f"{event['offset']} {event['id']}\n".encode(), total)
    return event


class Told(probed.Told):
    """And when, for the reads."""

    def __init__(self):
        super().__init__()
        self.applied_us = collections.defaultdict(list)  # key -> when the acknowledgements came
        self.possible_us = collections.defaultdict(list)  # key -> when what may be applied was published

    def take(self, event):
        super().take(event)
        if int(event["id"]) < probe.PARTITIONS:
            return
        if event["outcome"] == "applied":
            self.applied_us[event["key"]].append(int(event["completed_us"]))
        if event["outcome"] in ("applied", "unknown"):
            self.possible_us[event["key"]].append(int(event["invoked_us"]))

    def wrong_reads(self, reads):
        for times in (*self.applied_us.values(), *self.possible_us.values()):
            times.sort()
        newest = collections.Counter()
        for began, ended, key, count, _ in reads:
            least = max(bisect.bisect_left(self.applied_us[key], began), newest[key])
            most = bisect.bisect_right(self.possible_us[key], ended)
            if not least <= count <= most:
                yield f"{key}: read {count} between {began} and {ended}, at least {least} and at most {most} are right"
            newest[key] = max(newest[key], count)


def write_linear(path, publishes, reads, offset_of):
    """The history in the words of tests/sim/linear.h: each event of a key is a write that the view shows as `last`, and
    the view's count is the key's version. What is not stored in the end never took effect."""
    with open(path, "w", encoding="utf-8") as lines:
        for event in publishes:
            number = int(event["id"])
            offset = offset_of(number)
            if number < probe.PARTITIONS or offset < 0:
                continue
            ended = event["completed_us"] if event["outcome"] == "applied" else "-"
            lines.write(f"{event['key']} put {event['invoked_us']} {ended} {number} - {offset}\n")
        for began, ended, key, count, last in reads:
            lines.write(f"{key} read {began} {ended} {last} {count} -\n")


def not_linear(path):
    done = subprocess.run([program("evgrid-linear"), path], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout.strip(), flush=True)
    return [] if done.returncode == 0 else [f"evgrid-linear ended with {done.returncode}: {done.stdout}"]


class Claims:
    def __init__(self, grid, rate):
        self.grid = grid
        self.whole()
        self.keys = grid.directory / "read-keys"
        self.keys.write_text("".join(f"{key}\n" for key in probe.keys()), encoding="utf-8")
        must("stream", "create", "Probe")
        (grid.directory / "probe.yaml").write_text(probe.VIEW, encoding="utf-8")
        must("view", "apply", str(grid.directory / "probe.yaml"))
        self.publisher = Publisher(grid.directory, rate)
        wait_until(60, "an entry of each key", self.has_begun)  # a key whose first event is refused never has one
        self.reader = Reader(self.keys)
        self.subscriber = Subscriber()

    def has_begun(self):
        """No fault may come before."""
        return len(entries(self.keys)) == probe.PARTITIONS

    def whole(self):
        """All nodes live, every partition takes writes, all replicas in sync: gives after how many seconds."""
        began = now_us()
        must("cluster", "wait", "--for", "healthy", "--nodes", str(len(self.grid.nodes)), "--timeout",
             f"{WHOLE_SECONDS}s")
        return (now_us() - began) / 1e6

    def finish(self):
        """The violations, in words."""
        self.whole()
        self.publisher.finish()
        self.reader.finish()
        violations = self.subscriber.finish(self.grid.directory)
        told = Told()
        for event in probed.events(self.publisher.history):
            told.take(event)
        violations += told.wrong_reads(self.reader.reads)
        linear = self.grid.directory / "linear"
        write_linear(linear, probed.events(self.publisher.history), self.reader.reads, self.subscriber.offset_of)
        violations += not_linear(linear)
        print(f"{sum(told.sent.values())} events to {len(told.sent)} partitions: {dict(told.outcomes)}; "
              f"{self.subscriber.count} at the subscriber; {len(self.reader.reads)} reads", flush=True)
        status, out, errors = evgrid("history", "check", str(self.publisher.history), seconds=600)
        print((out + errors).strip(), flush=True)
        if status != 0:
            violations.append(f"history check ended with {status}")
        if len(told.applied_us) < probe.PARTITIONS or not self.reader.reads:
            violations.append(f"{len(told.applied_us)} partitions of {probe.PARTITIONS} took events, "
                              f"{len(self.reader.reads)} reads were answered: too few to say anything")
        try:
            told.compare(self.grid.directory, [node.name for node in self.grid.nodes], must)
        except SystemExit as difference:
            violations.append(str(difference))
        status, out, errors = evgrid("cluster", "status", "--check-digests", "--timeout", "60s")
        if status != 0:
            violations.append(f"cluster status --check-digests ended with {status}: {out}{errors}")
        return violations

    def abandon(self):
        """After a failure: nothing of it goes on."""
        self.reader.ended.set()
        for process in (self.publisher.writer, self.publisher.process, self.subscriber.process):
            process.kill()

"""What the publisher of a probe was told, from its history, against the probe's view: imported, never run."""
import collections
import json

import probe


def events(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


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

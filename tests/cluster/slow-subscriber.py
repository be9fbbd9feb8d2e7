#!/usr/bin/env python3
"""What slow-subscriber.sh publishes, keeps and judges.

  slow-subscriber.py blobs FIRST COUNT     COUNT events with numbers from FIRST: BLOB_BYTES that LZ4 cannot make smaller
  slow-subscriber.py keep < JSON           of each event a line "partition offset id", when its bytes are what was
                                           published under its id
  slow-subscriber.py compare TOLD... SEEN  what was kept is all that was told as applied (publish --history), each once,
                                           in each partition in the order of offsets
  slow-subscriber.py begin PID...          each process's VmRSS in KiB, one a line; its peak counts from now
  slow-subscriber.py peak PID...           its peak since then
  slow-subscriber.py nodes SLOW COUNT BEGAN PEAK BEGAN PEAK
                                           whether so many slow subscribers of COUNT events cost a node no more than
                                           they may; the files hold a line a node: without them, and beside them
  slow-subscriber.py client SHARDS COUNT BEGAN PEAK
                                           whether a subscriber that nobody reads took in no more than its window
  slow-subscriber.py self-test             whether what judges finds what is wrong"""
import base64
import json
import os
import random
import sys
import tempfile

BLOB_BYTES = 48 * 1024
KEYS = 500
KIB = 1024

# The formula of docs/how-to/subscribe.md, by the constants of client/core.h, proto/limits.h and partition/fetch.h. What
# of a buffer is not filled is not in VmRSS.
WINDOW_KIB = 16 * KIB
SHARE_LEAST_KIB = 64
BATCH_MOST_KIB = 2 * KIB  # the one that passes the credit
READ_KIB = 256
NOISE_KIB = 8 * KIB  # by which peaks of two runs may differ without: a segment is sealed, or not


def blob(number):
    return random.Random(number).randbytes(BLOB_BYTES)


def blobs(first, count):
    for number in range(first, first + count):
        print(json.dumps({
            "specversion": "1.0", "id": f"blob-{number}", "source": "/slow", "type": "Blobbed", "stream": "Blob",
            "subject": f"b-{number % KEYS}", "datacontenttype": "application/octet-stream",
            "data_base64": base64.b64encode(blob(number)).decode()}))


def keep():
    for line in sys.stdin:
        event = json.loads(line)
        name = event["id"]
        if base64.b64decode(event["data_base64"]) != blob(int(name.removeprefix("blob-"))):
            sys.exit(f"{name} is not what was published")
        print(event["partition"], event["offset"], name, flush=True)


def told_of(path):
    """(partition, offset, id) of what publish --history tells as applied; anything else ends the run."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            event = json.loads(line)
            if event["outcome"] != "applied":
                sys.exit(f"{event['id']}: {event['outcome']}")
            yield int(event["partition"]), int(event["offset"]), event["id"]


def difference(told, seen):
    """Text that says where the two part, or None. Both are lists of (partition, offset, id)."""
    wanted = sorted(told)
    by_partition = sorted(seen, key=lambda one: one[0])  # stable: within a partition as it came
    if wanted == by_partition:
        return None
    at = next((i for i, (a, b) in enumerate(zip(wanted, by_partition)) if a != b),
              min(len(wanted), len(by_partition)))
    return f"{len(wanted)} told, {len(seen)} seen; {wanted[at:at + 2]} / {by_partition[at:at + 2]}"


def compare(told_paths, seen_path):
    told = [one for path in told_paths for one in told_of(path)]
    with open(seen_path, encoding="utf-8") as file:
        seen = [(int(p), int(offset), name) for p, offset, name in map(str.split, file)]
    found = difference(told, seen)
    if found:
        sys.exit(f"{seen_path}: {found}")
    print(f"{len(seen)} events in {len({one[0] for one in seen})} partitions, each once, in order")


def kib(field, pids):
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            print(next(line.split()[1] for line in file if line.startswith(field + ":")))


def begin(pids):
    for pid in pids:
        with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    kib("VmRSS", pids)


def share_kib(shards):
    return max(WINDOW_KIB // shards, SHARE_LEAST_KIB)


def node_bound_kib(slow, shards):
    return slow * (share_kib(shards) + BATCH_MOST_KIB + READ_KIB)


def client_bound_kib(shards):
    return shards * (share_kib(shards) + BATCH_MOST_KIB)


def of_nodes(slow, count, alone, beside):
    """Of each node (one shard each) by how much its peak lay above where it began, in KiB, without slow subscribers and
    beside them: text that says what is wrong, or None."""
    bound = node_bound_kib(slow, len(alone)) + NOISE_KIB
    queued = slow * count * BLOB_BYTES // KIB // len(alone)
    if queued < 3 * bound:
        return f"the load ({queued} KiB a node, in queues) is too small to be told from the bound ({bound} KiB)"
    for node, (one, other) in enumerate(zip(alone, beside), 1):
        if other - max(one, 0) > bound:
            return f"n{node} grew by {other} KiB, by {one} KiB without slow subscribers; they may cost {bound} KiB"
    return None


def of_client(shards, count, grown):
    bound = client_bound_kib(shards) + NOISE_KIB
    if count * BLOB_BYTES // KIB < 3 * bound:
        return f"{count} events are too few to be told from the bound ({bound} KiB)"
    return f"the client grew by {grown} KiB; it may by {bound} KiB" if grown > bound else None


def grown(began_path, peak_path):
    with open(began_path, encoding="ascii") as began, open(peak_path, encoding="ascii") as peak:
        return [int(b) - int(a) for a, b in zip(began, peak)]


def nodes(slow, count, *paths):
    alone, beside = grown(*paths[:2]), grown(*paths[2:])
    print(f"nodes grew by {alone} KiB at most without, by {beside} KiB beside {slow} slow subscribers, "
          f"which may cost {node_bound_kib(slow, len(alone))} KiB each")
    sys.exit(of_nodes(slow, count, alone, beside))


def client(shards, count, *paths):
    by = grown(*paths)[0]
    print(f"the client that nobody reads grew by {by} KiB at most; it may by {client_bound_kib(shards)} KiB")
    sys.exit(of_client(shards, count, by))


def self_test():
    told = [(p, offset, f"blob-{p}-{offset}") for p in range(3) for offset in range(5)]
    turned = told[:1] + told[2:3] + told[1:2] + told[3:]
    for seen in (told[:-1], told[:4] + told[5:], told + told[-1:], told[:2] + told[1:], turned, []):
        assert difference(told, seen), seen
    assert difference(told, told[5:] + told[:5]) is None  # no order between partitions
    part = 2 * 4000 * BLOB_BYTES // KIB // 3  # what queues of two would hold of 4000 events on one of three nodes
    assert of_nodes(2, 4000, [0, 0, 0], [0, part, 0])
    assert of_nodes(2, 4000, [5000, 5000, 5000], [5000, 5000, 5000 + part // 2])
    assert of_nodes(2, 4000, [-9999, 0, 0], [part // 2, 0, 0])
    assert of_nodes(2, 400, [0, 0, 0], [0, 0, 0])  # a load that shows nothing
    assert of_nodes(2, 4000, [5000] * 3, [5000 + node_bound_kib(2, 3)] * 3) is None
    assert of_client(3, 4000, 4000 * BLOB_BYTES // KIB)
    assert of_client(3, 400, 0)
    assert of_client(3, 4000, client_bound_kib(3)) is None
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "told")
        with open(path, "w", encoding="utf-8") as file:
            file.write('{"id": "blob-1", "outcome": "unknown", "partition": "1", "offset": "1"}\n')
        try:
            list(told_of(path))
        except SystemExit:
            return
    raise AssertionError("an event that was not acknowledged was passed over")


def main(verb, *rest):
    if verb == "blobs":
        blobs(*map(int, rest))
    elif verb == "keep":
        keep()
    elif verb == "compare":
        compare(rest[:-1], rest[-1])
    elif verb == "begin":
        begin(rest)
    elif verb == "peak":
        kib("VmHWM", rest)
    elif verb == "nodes":
        nodes(int(rest[0]), int(rest[1]), *rest[2:])
    elif verb == "client":
        client(int(rest[0]), int(rest[1]), *rest[2:])
    elif verb == "self-test":
        self_test()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])

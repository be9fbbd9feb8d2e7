#!/usr/bin/env python3
"""A probe of every partition: NDJSON of events, one key for each of the 271 partitions in turn, at a steady rate.

  probe.py --rate N [--seconds S]   N events a second to each partition, until S seconds are over or SIGTERM comes
  probe.py --keys                   the keys, one a line, in the order of their partitions
  probe.py --view                   the view that counts them

The rate is open-loop: what could not be written in time is written as soon as it can be, a piece at a time, so that the
reader is never without anything while a long row of what is due is made."""
import argparse
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from wait import pause  # noqa: E402

PARTITIONS = 271
PIECE = 5 * PARTITIONS
VIEW = """view: probe
stream: Probe
kind: entity
on:
  ProbeBegun: {put: {count: 0, sum: 0, last: 0}}
  Probe:
    add: {count: 1, sum: n}
    set: {last: n}
"""
P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5, MASK = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5, 2 ** 64 - 1


def rotate(value, by):
    return (value << by | value >> 64 - by) & MASK


def xxh64(data):
    """XXH64 with seed 0 of less than 32 bytes: docs/reference/formats.md."""
    assert len(data) < 32
    value = P5 + len(data)
    while len(data) >= 8:
        word = rotate(int.from_bytes(data[:8], "little") * P2 & MASK, 31) * P1 & MASK
        value = (rotate(value ^ word, 27) * P1 + P4) & MASK
        data = data[8:]
    if len(data) >= 4:
        value = (rotate(value ^ int.from_bytes(data[:4], "little") * P1 & MASK, 23) * P2 + P3) & MASK
        data = data[4:]
    for byte in data:
        value = rotate(value ^ byte * P5 & MASK, 11) * P1 & MASK
    value = (value ^ value >> 33) * P2 & MASK
    value = (value ^ value >> 29) * P3 & MASK
    return value ^ value >> 32


def keys():
    """A key for each partition."""
    assert xxh64(b"") % PARTITIONS == 171 and xxh64(b"abc") % PARTITIONS == 74
    found = {}
    number = 0
    while len(found) < PARTITIONS:
        key = f"probe-{number}"
        found.setdefault(xxh64(key.encode()) % PARTITIONS, key)
        number += 1
    return [found[partition] for partition in range(PARTITIONS)]


def line(number, kind, key):
    return (f'{{"specversion":"1.0","id":"{number}","source":"/probe","type":"{kind}","subject":"{key}",'
            f'"stream":"Probe","data":{{"n":{number}}}}}\n')


def write(rate, seconds):
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    all_keys = keys()
    sys.stdout.write("".join(line(number, "ProbeBegun", key) for number, key in enumerate(all_keys)))
    sys.stdout.flush()
    began, written = time.monotonic(), 0
    while not ended and (seconds is None or time.monotonic() - began < seconds):
        due = int((time.monotonic() - began) * rate * PARTITIONS)
        to = min(due, written + PIECE)
        sys.stdout.write("".join(line(PARTITIONS + number, "Probe", all_keys[number % PARTITIONS])
                                 for number in range(written, to)))
        sys.stdout.flush()
        written = to
        if written == due:
            pause(0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--keys", action="store_true")
    parser.add_argument("--view", action="store_true")
    arguments = parser.parse_args()
    if arguments.view:
        sys.stdout.write(VIEW)
    elif arguments.keys:
        sys.stdout.write("".join(f"{key}\n" for key in keys()))
    elif arguments.rate is None:
        parser.error("--rate, --keys or --view is wanted")
    else:
        write(arguments.rate, arguments.seconds)


if __name__ == "__main__":
    main()

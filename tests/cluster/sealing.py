#!/usr/bin/env python3
"""What sealing.sh publishes beside the shop, and how it compares.

  sealing.py blobs FIRST COUNT       COUNT events of stream Blob with numbers from FIRST: 3000 bytes each that LZ4
                                     cannot make smaller
  sealing.py compare FILE... < JSON  every event of the files is in the replay once, as published, in the files' order
                                     for each partition key, and nothing else is
  sealing.py kill PID FOLDER         kill -9 of the process as soon as a file of the folder is half sealed"""
import base64
import json
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from wait import pause  # noqa: E402

LOOK_SECONDS = 0.0005  # a seal takes some 50 ms
KILL_SECONDS = 60

BLOB_BYTES = 3000
KEYS = 400
MEMBERS = ("type", "subject", "data", "data_base64", "datacontenttype")


def blobs(first, count):
    for number in range(first, first + count):
        blob = base64.b64encode(random.Random(number).randbytes(BLOB_BYTES)).decode()
        print(json.dumps({
            "specversion": "1.0", "id": f"blob-{number}", "source": "/sealing", "type": "Blobbed", "stream": "Blob",
            "subject": f"b-{number % KEYS}", "datacontenttype": "application/octet-stream", "data_base64": blob}))


def known_by(event):
    return event["source"], event["id"]


def events_of(file):
    return (json.loads(line) for line in file if line.strip())


def compare(paths):
    published = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for event in events_of(file):
                published[known_by(event)] = (len(published), event)
    last, found = {}, set()
    for stored in events_of(sys.stdin):
        name = known_by(stored)
        if name not in published or name in found:
            sys.exit(f"{name} at partition {stored['partition']} offset {stored['offset']} is there "
                     f"{'twice' if name in found else 'and was not published'}")
        number, event = published[name]
        for member in MEMBERS:
            if stored.get(member) != event.get(member, "application/json" if member == "datacontenttype"
                                               and stored.get(member) else None):
                sys.exit(f"{name}: {member} differs")
        key = (stored.get("stream"), stored.get("partitionkey", stored["subject"]))
        if last.get(key, -1) > number:
            sys.exit(f"{name} is out of order")
        last[key] = number
        found.add(name)
    if len(found) != len(published):
        gone = [name for name in published if name not in found]
        sys.exit(f"{len(gone)} events are gone, one is {gone[0]}")
    print(f"{len(found)} events replayed as they were published")


def kill(pid, folder):
    end = time.monotonic() + KILL_SECONDS
    while not any(name.endswith(".sealing") for name in os.listdir(folder)):
        if time.monotonic() > end:
            sys.exit(f"nothing was sealed in {folder} for {KILL_SECONDS} s")
        pause(LOOK_SECONDS)
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1:2] == ["blobs"] and len(sys.argv) == 4:
        blobs(int(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["compare"] and len(sys.argv) > 2:
        compare(sys.argv[2:])
    elif sys.argv[1:2] == ["kill"] and len(sys.argv) == 4:
        kill(int(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(__doc__)

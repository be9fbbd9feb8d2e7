#!/usr/bin/env python3
"""Passes lines from standard input to standard output at a steady rate: pace.py LINES_PER_SECOND."""
import sys
import time

rate = float(sys.argv[1])
began = time.monotonic()
for number, line in enumerate(sys.stdin.buffer):
    ahead = number / rate - (time.monotonic() - began)
    if ahead > 0.005:
        sys.stdout.buffer.flush()
        time.sleep(ahead)
    sys.stdout.buffer.write(line)

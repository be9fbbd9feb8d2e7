"""Waiting in tests of whole processes, for Python: imported, never run. With tests/wait.sh the one place of sleep.

wait_until tries a condition every 20 ms with a bound; pause is for pacing a load, not for hoping; Witness tells
afterwards when this machine itself stood still (design.md, "Timing figures")."""
import threading
import time

STALL_US = 50_000


def now_us():
    return time.time_ns() // 1000


def pause(seconds):
    if seconds > 0:
        time.sleep(seconds)


def wait_until(seconds, what, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


class Witness:
    """A thread that sleeps 10 ms again and again and notes by how much it overslept; steal is read beside."""

    def __init__(self):
        self.worst_us = 0
        self.stalls = []  # (from, to) in microseconds since 1970, where it overslept by STALL_US or more
        self.steal = self._steal()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @staticmethod
    def _steal():
        with open("/proc/stat", encoding="ascii") as stat:
            return int(stat.readline().split()[8])

    def _run(self):
        while not self._ended.is_set():
            began = now_us()
            time.sleep(0.01)
            ended = now_us()
            overslept = ended - began - 10_000
            self.worst_us = max(self.worst_us, overslept)
            if overslept >= STALL_US:
                self.stalls.append((began, ended))

    def end(self):
        self._ended.set()
        self._thread.join()
        self.steal = self._steal() - self.steal

    def stalled(self, from_us, to_us):
        return any(began < to_us and ended > from_us for began, ended in self.stalls)

    def __str__(self):
        return (f"witness: {len(self.stalls)} stalls of 50 ms or more, the worst {self.worst_us / 1000:.0f} ms; "
                f"steal {self.steal} ticks")

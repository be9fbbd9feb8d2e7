#!/usr/bin/env python3
"""Nodes are names: under load each of three is killed and comes back under another address, then all three at once; the
others, and the clients, find them again by their names. Nothing is lost or doubled.

Each node is in a network namespace of its own. Uses the build in EVGRID_BUILD (default build/). Ends with 77 where no
namespaces are to be had."""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "chaos")]
os.environ.setdefault("EVGRID_BUILD", str(ROOT / "build"))
from grid import Grid, enter_namespaces, must, program  # noqa: E402
from wait import pause  # noqa: E402

EVENTS, RATE = 60000, 2000


def wait_healthy():
    must("cluster", "wait", "--for", "healthy", "--nodes", "3", "--timeout", "60s")


def main():
    enter_namespaces()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        grid = Grid(pathlib.Path(directory), 3, [], named=True)
        grid.start()
        with open(f"{directory}/published", "w+", encoding="utf-8") as published:
            load = subprocess.Popen([program("evgrid"), "bench", "publish", "--events", str(EVENTS), "--rate",
                                     str(RATE), "--verify"], stdout=published, stderr=subprocess.STDOUT)
            try:
                for number, node in enumerate(grid.nodes, 1):
                    pause(2)
                    node.kill()
                    grid.move(node, f"10.77.0.{10 + number}")
                    node.start()
                    wait_healthy()
                    print(f"{node.name} is {node.address} now, and found", flush=True)
                status = load.wait(120)
            finally:
                load.kill()
                load.wait()
            published.seek(0)
            print(published.read().strip())
        for number, node in enumerate(grid.nodes, 1):
            node.kill()
            grid.move(node, f"10.77.0.{20 + number}")
        for node in grid.nodes:
            node.start()
        wait_healthy()
        print("all three came back under others")
        must("cluster", "wait", "--for", "healthy", "--in-sync", "--timeout", "60s")
        grid.stop()
        for node in grid.nodes:
            subprocess.run(["umount", node.disk.path], stderr=subprocess.DEVNULL, check=False)
        if status != 0:
            raise SystemExit(f"failed: the load ended with {status}")


if __name__ == "__main__":
    main()

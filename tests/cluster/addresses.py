#!/usr/bin/env python3
"""Nodes are names: under load each of three is killed and comes back under another address, then all three at once; the
others, and the clients, find them again by their names. Nothing is lost or doubled. Then one is killed whose name the
resolver gives no answer for: the other two go on as if nothing were, under one leader.

Each node is in a network namespace of its own. Uses the build in EVGRID_BUILD (default build/). Ends with 77 where no
namespaces are to be had."""
import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "chaos")]
os.environ.setdefault("EVGRID_BUILD", str(ROOT / "build"))
from grid import CLIENT, PORT, Grid, enter_namespaces, must, program, run  # noqa: E402
from wait import pause  # noqa: E402

EVENTS, RATE = 60000, 2000
SILENT_SECONDS = 12  # longer than a look-up that nobody answers takes to fail


def wait_healthy():
    must("cluster", "wait", "--for", "healthy", "--nodes", "3", "--timeout", "60s")


def term(node):
    """Raft's, by the node's operations port, which listens inside only."""
    asks = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:7480/metrics').read().decode())"
    lines = node.inside(sys.executable, "-c", asks).splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("evgrid_raft_term "))


def nobody_answers_for(grid, node):
    """Its name is in no file any more, and the resolver, which is there, never answers."""
    hosts = grid.directory / "hosts"
    hosts.write_text("".join(line for line in hosts.read_text().splitlines(True) if grid.host(node) not in line))
    (grid.directory / "resolv.conf").write_text(f"nameserver {CLIENT}\n")
    run("mount", "--bind", str(grid.directory / "resolv.conf"), "/etc/resolv.conf")
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind((CLIENT, 53))
    return silent


def two_go_on(grid):
    killed = next(node for node in grid.nodes if node.name != grid.controller())
    with nobody_answers_for(grid, killed) as silent:
        others = [node for node in grid.nodes if node is not killed]
        os.environ["EVGRID_SERVER"] = ",".join(f"{grid.host(node)}:{PORT}" for node in others)
        killed.kill()
        pause(2)  # fenced
        before = [term(node) for node in others]
        must("bench", "publish", "--events", str(SILENT_SECONDS * RATE), "--rate", str(RATE), "--verify")
        after = [term(node) for node in others]
        silent.setblocking(False)
        asked = 0
        with contextlib.suppress(BlockingIOError):
            while silent.recv(512):
                asked += 1
    if asked == 0:
        raise SystemExit("failed: nobody asked the resolver: this shows nothing")
    if before != after:
        raise SystemExit(f"failed: Raft's term went from {before} to {after} while a name was looked up in vain")
    print(f"{killed.name} is gone, and so is its name: {asked} questions to a resolver that answers none, no election")


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
        two_go_on(grid)
        grid.stop()
        for node in grid.nodes:
            subprocess.run(["umount", node.disk.path], stderr=subprocess.DEVNULL, check=False)
        if status != 0:
            raise SystemExit(f"failed: the load ended with {status}")


if __name__ == "__main__":
    main()

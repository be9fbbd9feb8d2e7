#!/usr/bin/env python3
"""A StatefulSet without Kubernetes (tests/cluster/pods.py), under a probe that writes to every partition: one pod
becomes three and five, and three again; all are updated by deploy/kubernetes/rollout.sh; two are deleted together; a
machine is lost with its volume and without; one node is alone. Nothing is lost or doubled, no probe kills a healthy
node, no stop takes longer than its grace period, and never are two pods away together that need not be.

  tests/cluster/statefulset.py [--keys] [--only STEP,...] [--rate EVENTS-PER-SECOND-AND-PARTITION]

--keys: with components/keys; who has no key is refused.
Uses the build in EVGRID_BUILD (default build/). EVGRID_KEEP=1 keeps the logs.
Ends with 77 where no namespaces are to be had, or no kubectl to render the manifests with."""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "chaos"), str(ROOT / "tests" / "cluster")]
os.environ.setdefault("EVGRID_BUILD", str(ROOT / "build"))
import probe  # noqa: E402
import probed  # noqa: E402
from grid import enter_namespaces, must  # noqa: E402
from pods import StatefulSet, answers  # noqa: E402
from wait import Witness, pause, wait_until  # noqa: E402


def rows():
    return {row["name"]: row for row in json.loads(must("node", "ls", "-o", "json"))}


def cluster_id():
    return json.loads(must("cluster", "status", "-o", "json"))["cluster_id"]


class Run:
    def __init__(self, directory, components):
        self.directory = directory
        self.set = StatefulSet(directory, "overlays/dev", components, os.environ["EVGRID_BUILD"])
        self.began = time.monotonic()
        self.make_kubectl()
        for one in self.set.container["env"]:  # this test is as good as a pod's own evgrid
            if one["name"] in ("EVGRID_KEY", "EVGRID_NODE_KEYS"):
                os.environ[one["name"]] = self.set.outside(one["value"])

    def say(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s: {text}", flush=True)

    def make_kubectl(self):
        """tests/kubernetes/kubectl, whose exec goes into the pods."""
        folder = self.directory / "kubectl"
        folder.mkdir()
        text = (ROOT / "tests" / "kubernetes" / "kubectl").read_text(encoding="ascii").split("\n", 1)[1]
        (folder / "kubectl").write_text(f"#!{sys.executable} -SE\n{text}", encoding="ascii")
        (folder / "kubectl").chmod(0o755)
        (self.directory / "exec").write_text(
            '#!/bin/sh\npod=$1\nshift\naddress=$(ip -n "$pod" -4 -o addr show eth0 | sed "s/.*inet //; s,/.*,,")\n'
            f'PATH={self.directory}/bin:$PATH EVGRID_SERVER=$address:7400 '
            'exec nsenter --net="/run/netns/$pod" "$@"\n', encoding="ascii")
        (self.directory / "exec").chmod(0o755)
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
        os.environ["EVGRID_FAKE_STATE"] = str(self.directory)

    def settle(self, count):
        wait_until(240, f"{count} pods are ready", lambda: self.set.are_ready(count))
        must("cluster", "wait", "--for", "balanced", "--nodes", str(count), "--timeout", "140s")

    def scale(self, count):
        self.set.scale(count)
        self.settle(count)
        self.say(f"{count} pods, balanced")

    def refuses_strangers(self):
        without = {name: value for name, value in os.environ.items() if name not in ("EVGRID_KEY", "EVGRID_NODE_KEYS")}
        asked = subprocess.run([pathlib.Path(os.environ["EVGRID_BUILD"]) / "evgrid", "node", "ls", "--timeout", "2s"],
                               env=without, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if asked.returncode != 3:
            raise SystemExit(f"failed: who has no key is not refused, evgrid node ls ended with {asked.returncode}")
        self.say("who has no key is refused")

    # --- what happens -------------------------------------------------------------------------------------------------

    def grows_more_and_shrinks(self):
        self.scale(5)
        self.set.scale(3)
        wait_until(240, "two pods leave", lambda: self.set.are_ready(3))
        self.settle(3)
        gone = sorted(name for name, row in rows().items() if row["state"] == "gone")
        if gone != ["evgrid-3", "evgrid-4"]:
            raise SystemExit(f"failed: gone are {gone}: {rows()}")
        self.say("3 pods again, evgrid-3 and evgrid-4 left for good")
        self.scale(5)
        self.say("their pods came back with their old volumes, and joined anew")
        subprocess.run([ROOT / "deploy/kubernetes/scale.sh", "--timeout", "200", "3"], check=True)
        self.settle(3)
        self.say("scale.sh: 3 pods")

    def is_updated(self):
        self.set.change(lambda state: state.update(revision="second"))
        script = subprocess.Popen([ROOT / "deploy/kubernetes/rollout.sh", "--timeout", "120"],
                                  env={**os.environ, "EVGRID_ROLLOUT_PAUSE": "0.3"})
        while script.poll() is None:
            away = 3 - self.set.ready_count()
            if away > 1:
                self.set.note(f"{away} pods are away at a time in an update", True)
            pause(0.05)
        if script.returncode != 0 or {pod.revision for pod in self.set.pods.values()} != {"second"}:
            raise SystemExit(f"failed: rollout.sh ended with {script.returncode}")
        self.settle(3)
        self.say("all pods updated, one by one")

    def is_away(self, former):
        """That pod's process has ended, and what comes after it does not serve yet."""
        pod = self.set.pods.get(former.name)
        return not former.runs() and (pod in (None, former) or not answers(f"http://{pod.address}:7480/readyz", 1))

    def two_are_deleted_together(self):
        """Their pre-stop scripts let one go after the other."""
        with self.set.lock:
            pods = [self.set.pods[name] for name in ("evgrid-1", "evgrid-2")]
            for pod in pods:
                self.set.delete(pod.name)
        both = False
        while not all(pod.ended.is_set() for pod in pods):
            both = both or all(map(self.is_away, pods))
            pause(0.05)
        if both:
            self.set.note("two pods that were deleted together were away together", True)
        self.settle(3)
        self.say("two pods deleted together went one after the other")

    def loses(self, name, with_volume):
        before = cluster_id()
        self.set.lose(name, with_volume)
        self.settle(3)
        must("cluster", "wait", "--for", "healthy", "--in-sync", "--nodes", "3", "--timeout", "140s")
        if cluster_id() != before:
            raise SystemExit(f"failed: {name} made a cluster of its own")
        self.say(f"{name} was lost, its volume {'kept' if with_volume else 'lost too'}, and is back in its place")

    def is_alone(self):
        """A node without quorum: not ready, and never killed."""
        self.set.hold("evgrid-1", "evgrid-2")
        pod = self.set.pods["evgrid-0"]
        process = pod.process
        wait_until(20, "evgrid-0 is not ready without quorum", lambda: not pod.ready)
        seconds = pod.liveness.period * (pod.liveness.threshold + 1)  # long enough for a probe that fails to kill
        pause(seconds)
        if pod.process is not process or not answers(f"http://{pod.address}:7480/livez", 3):
            self.set.note("a node without quorum is not live", True)
        self.set.release()
        self.settle(3)
        self.say(f"evgrid-0 was {seconds:.0f} s without quorum: not ready, live")


STEPS = {
    "scale": Run.grows_more_and_shrinks,
    "update": Run.is_updated,
    "together": Run.two_are_deleted_together,
    "volume-kept": lambda run: run.loses("evgrid-1", True),
    "founder-lost": lambda run: run.loses("evgrid-0", False),
    "volume-lost": lambda run: run.loses("evgrid-2", False),
    "alone": Run.is_alone,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", action="store_true")
    parser.add_argument("--only", default=",".join(STEPS))
    parser.add_argument("--rate", type=float, default=1)
    arguments = parser.parse_args()
    steps = arguments.only.split(",")
    if set(steps) - STEPS.keys():
        parser.error(f"steps are {', '.join(STEPS)}")
    enter_namespaces()
    os.chdir(ROOT)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="evgrid-pods."))
    witness = Witness()
    run = Run(directory, ["components/keys"] if arguments.keys else [])
    os.environ["EVGRID_SERVER"] = run.set.server(5)
    done = False
    try:
        run.set.scale(1)
        wait_until(60, "the first pod is ready", lambda: run.set.are_ready(1))
        run.say("one pod is ready")
        if arguments.keys:
            run.refuses_strangers()
        must("stream", "create", "Probe")
        (directory / "probe.yaml").write_text(probe.VIEW, encoding="utf-8")
        must("view", "apply", str(directory / "probe.yaml"))
        with probed.published(directory, arguments.rate):
            run.scale(3)
            for step in steps:
                STEPS[step](run)
            pause(2)
        times = probed.Times(directory)
        print(f"{sum(times.sent.values())} events: {dict(times.outcomes)}")
        times.check(directory, ["evgrid-0", "evgrid-1", "evgrid-2"])
        if run.set.faults:
            raise SystemExit("failed:\n" + "\n".join(run.set.faults))
        done = True
    finally:
        if not done:
            for log in sorted(directory.glob("*.log")):
                print(f"-- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-25:]))
        run.set.end()
        witness.end()
        print(witness)
        if "EVGRID_KEEP" in os.environ:
            print(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()

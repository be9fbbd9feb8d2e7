"""A StatefulSet without Kubernetes: imported, never run. Pods are network namespaces on one bridge, with a new address
at every start, found by names in /etc/hosts, as the headless Service would give them; volumes are folders that stay.
Each pod's container is deploy/container/entrypoint, without rights, under a root that is mounted read-only; its probes,
the pre-stop script and the grace period are carried out as the rendered manifest says, by one thread a pod.

What differs from a cluster: probes come more often than the manifest says, PACE times, so that a run is short; a
container that ended is started again after a second; the API is one answer, the StatefulSet, by HTTP. The state that
tests/kubernetes/kubectl reads and changes is the file `state`; reconcile carries out what it asks for."""
import fcntl
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "chaos")]
from grid import run, skip  # noqa: E402
from wait import pause, wait_until  # noqa: E402

KUBERNETES = ROOT / "deploy" / "kubernetes"
BRIDGE_ADDRESS, API_PORT = "10.78.255.254", 8001
PACE = 5
USER = 10001


def rendered(directory, overlay, components):
    """The overlay's objects, with components; ends the test with 77 where no kubectl can render them."""
    if shutil.which("kubectl") is None:
        skip("needs kubectl (1.27 or later)")
    resource, *added = (os.path.relpath(KUBERNETES / one, directory.resolve()) for one in (overlay, *components))
    (directory / "kustomization.yaml").write_text(json.dumps({"resources": [resource], "components": added}),
                                                  encoding="ascii")
    made = run("kubectl", "kustomize", str(directory))
    text = run("kubectl", "annotate", "--local", "-f", "-", "tried=yes", "-o", "json", text=made)
    decoder, objects = json.JSONDecoder(), []
    while text.strip():
        one, end = decoder.raw_decode(text.lstrip())
        objects.append(one)
        text = text.lstrip()[end:]
    return objects


def answers(url, seconds):
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


class Probe:
    """One probe of a container: failed, passed or not known yet, as its thresholds say."""

    def __init__(self, probe, ports):
        self.path = probe["httpGet"]["path"]
        self.port = ports[probe["httpGet"]["port"]]
        self.period = probe.get("periodSeconds", 10) / PACE
        self.timeout = probe.get("timeoutSeconds", 1)
        self.threshold = probe.get("failureThreshold", 3)
        self.begin()

    def begin(self):
        self.failures, self.good, self.next = 0, False, 0.0

    def look(self, address):
        if time.monotonic() < self.next:
            return
        if answers(f"http://{address}:{self.port}{self.path}", self.timeout):
            self.failures, self.good = 0, True
        else:
            self.failures += 1
            self.good = self.good and self.failures < self.threshold
        self.next = time.monotonic() + self.period

    def has_failed(self):
        return self.failures >= self.threshold


class Pod:
    """One pod from its creation to its end."""

    def __init__(self, stateful_set, ordinal, revision, address):
        self.set = stateful_set
        self.ordinal = ordinal
        self.name = f"{stateful_set.name}-{ordinal}"
        self.revision = revision
        self.address = address
        self.volume = stateful_set.directory / "volumes" / self.name
        self.folder = stateful_set.directory / "pods" / f"{self.name}-{address}"
        for folder in (self.volume, self.folder / "run"):
            folder.mkdir(parents=True, exist_ok=True)
            os.chown(folder, USER, USER)
        self.log = stateful_set.directory / f"{self.name}.log"
        container = stateful_set.container
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        self.startup, self.liveness, self.readiness = (Probe(container[f"{name}Probe"], ports)
                                                       for name in ("startup", "liveness", "readiness"))
        self.environment = self.make_environment()
        self.ready = False
        self.ended = threading.Event()
        self.grace = None  # set: the pod is to end within so many seconds, 0 at once
        self.process = None
        self.make_network()
        self.thread = threading.Thread(target=self.live, daemon=True)

    def make_environment(self):
        fields = {"metadata.name": self.name, "metadata.namespace": "default", "status.podIP": self.address}
        values = {"PATH": f"{self.set.directory / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C.UTF-8"}
        for one in self.set.container["env"]:
            if "value" in one:
                values[one["name"]] = self.set.outside(one["value"].replace("$(POD_IP)", self.address))
            else:
                values[one["name"]] = fields.get(one["valueFrom"]["fieldRef"]["fieldPath"], "")
        return {**values, "EVGRID_CONFIG": str(self.set.directory / "evgridd.yaml"), "EVGRID_DATA": str(self.volume),
                "EVGRID_RUN": str(self.folder / "run"), "EVGRID_PRESTOP_LOG": str(self.log),
                "EVGRID_SERVICE_ACCOUNT": str(self.set.directory / "account"),
                "EVGRID_KUBERNETES_API": f"http://{BRIDGE_ADDRESS}:{API_PORT}"}

    def make_network(self):
        """Its own namespace, by its name, which a predecessor has left; the kernel may yet have its link."""
        end = f"pod{self.set.count}"
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "link", "set", end, "master", "pods", "up")
        for words in (("link", "set", "eth0", "up"), ("link", "set", "lo", "up"),
                      ("addr", "add", f"{self.address}/16", "dev", "eth0")):
            run("ip", "-n", self.name, *words)

    def inside(self, command):
        """The command as it runs in the container: its network, its user without rights, its root read-only."""
        keep = " ".join(f"mount --bind {folder} {folder};" for folder in (self.volume, self.folder / "run"))
        script = (f"{keep} mount --bind {self.log} {self.log}; mount -o remount,bind,ro /; "
                  f"cd /; exec setpriv --reuid {USER} --regid {USER} --clear-groups --bounding-set=-all "
                  '--inh-caps=-all --no-new-privs "$@"')
        return ["nsenter", f"--net=/run/netns/{self.name}", "unshare", "--mount", "bash", "-euc", script, "-", *command]

    # --- the container ------------------------------------------------------------------------------------------------

    def start_container(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.inside(["entrypoint"]), env=self.environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for probe in (self.startup, self.liveness, self.readiness):
            probe.begin()

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def live(self):
        while self.grace is None:
            self.start_container()
            while self.runs() and self.grace is None:
                self.look()
                pause(0.05)
            self.ready = False
            if self.grace is None:
                self.set.note(f"{self.name}: the container ended by itself with {self.process.returncode}",
                              self.process.returncode != 0)
                pause(1)
        self.stop()
        run("ip", "netns", "del", self.name)
        self.ended.set()

    def look(self):
        """The probes, as kubelet orders them: the others count once the first has passed."""
        if not self.startup.good:
            self.startup.look(self.address)
            failed = self.startup
        else:
            self.liveness.look(self.address)
            self.readiness.look(self.address)
            failed = self.liveness
        self.ready = self.startup.good and self.readiness.good
        if failed.has_failed() and self.runs():
            self.set.note(f"{self.name}: killed, since {failed.path} failed", True)
            self.process.kill()
            self.process.wait()

    def stop(self):
        """The pre-stop script, then SIGTERM, within the grace period; then SIGKILL."""
        end = time.monotonic() + self.grace
        if self.grace and self.runs():
            prestop = subprocess.Popen(self.inside(self.set.container["lifecycle"]["preStop"]["exec"]["command"]),
                                       env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            self.wait_for(lambda: prestop.poll() is not None or not self.runs(), end)
            if self.runs() and prestop.poll() != 0:
                self.set.note(f"{self.name}: its pre-stop script ended with {prestop.poll()}", True)
            prestop.kill()
            prestop.wait()
            if self.runs():
                self.process.terminate()
            self.wait_for(lambda: not self.runs(), end)
            if self.runs():
                self.set.note(f"{self.name}: it did not end within its grace period", True)
            elif self.process.returncode not in (0, 143):
                self.set.note(f"{self.name}: stopped, it ended with {self.process.returncode}", True)
        self.kill_container()

    @staticmethod
    def wait_for(condition, end):
        while not condition() and time.monotonic() < end:
            pause(0.05)

    def kill_container(self):
        if self.runs():
            self.process.kill()
        if self.process is not None:
            self.process.wait()


class StatefulSet:
    """The controller and the API: what is wanted, what there is. `faults` are what no healthy run has."""

    def __init__(self, directory, overlay, components, build):
        objects = rendered(directory, overlay, components)
        self.directory = directory
        self.mounted = {}  # where a container finds what is in a folder here
        manifest = next(one for one in objects if one["kind"] == "StatefulSet")
        self.name = manifest["metadata"]["name"]
        self.spec = manifest["spec"]["template"]["spec"]
        self.container = self.spec["containers"][0]
        self.service = next(one["value"] for one in self.container["env"] if one["name"] == "EVGRID_SERVICE")
        self.grace = self.spec["terminationGracePeriodSeconds"]
        self.pods, self.faults, self.holding, self.count = {}, [], set(), 0
        self.lock = threading.RLock()
        self.make_files(objects, build)
        if any(one["name"] == "keys" for one in self.spec["volumes"]):
            self.make_keys(build)
        self.make_network()
        self.write({"replicas": 0, "partition": 64, "revision": "first", "current": "first", "pods": {}})
        self.serve_api()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.reconcile_always, daemon=True)
        self.thread.start()

    def outside(self, path):
        """A path of the container as it is here; what is no path of a mount stays."""
        for mount, folder in self.mounted.items():
            path = path.replace(mount, folder)
        return path

    def make_files(self, objects, build):
        """Where any user may read: programs, the configuration of the ConfigMap, a service account's token."""
        self.directory.chmod(0o755)
        (self.directory / "bin").mkdir()
        for program in ("evgridd", "evgrid"):
            shutil.copy(pathlib.Path(build) / program, self.directory / "bin")
        for script in ("entrypoint", "prestop"):
            shutil.copy(ROOT / "deploy" / "container" / script, self.directory / "bin")
        config = next(one for one in objects if one["kind"] == "ConfigMap")
        (self.directory / "evgridd.yaml").write_text(config["data"]["evgridd.yaml"], encoding="utf-8")
        (self.directory / "account").mkdir()
        for name in ("token", "ca.crt"):
            (self.directory / "account" / name).write_text("tried\n", encoding="ascii")

    def make_keys(self, build):
        """The Secret's volume, as a kubelet lays it for the pods' group, and docs/how-to/kubernetes.md fills it."""
        folder = self.directory / "secret"
        folder.mkdir()
        for file, *role in (("node.key", "--for-node", "*"), ("operator.key", "--for-client", "operator")):
            run(str(pathlib.Path(build) / "evgrid"), "keygen", str(folder / file), *role)
        node, operator = ((folder / f"{name}.key.pub").read_text(encoding="ascii") for name in ("node", "operator"))
        (folder / "nodes").write_text(node, encoding="ascii")
        (folder / "trusted").write_text(node + operator, encoding="ascii")
        for file in folder.iterdir():
            os.chown(file, 0, USER)
            file.chmod(0o440)
        mount = next(one["mountPath"] for one in self.container["volumeMounts"] if one["name"] == "keys")
        self.mounted[mount] = str(folder)

    def make_network(self):
        pathlib.Path("/run/netns").mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "none", "/run/netns")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "pods", "type", "bridge")
        run("ip", "addr", "add", f"{BRIDGE_ADDRESS}/16", "dev", "pods")
        run("ip", "link", "set", "pods", "up")
        for name, text in (("hosts", ""), ("host.conf", "multi on\n"),
                           ("nsswitch.conf", "passwd: files\nhosts: files\n")):
            (self.directory / name).write_text(text, encoding="ascii")
            run("mount", "--bind", str(self.directory / name), f"/etc/{name}")

    def serve_api(self):
        stateful_set = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                found = self.path == f"/apis/apps/v1/namespaces/default/statefulsets/{stateful_set.name}"
                found = found and self.headers["Authorization"] == "Bearer tried"
                self.send_response(200 if found else 404)
                self.end_headers()
                if found:
                    self.wfile.write(json.dumps({"spec": {"replicas": stateful_set.read()["replicas"]}}).encode())

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer((BRIDGE_ADDRESS, API_PORT), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    # --- the state that is shared with tests/kubernetes/kubectl -------------------------------------------------------

    def read(self):
        return json.loads((self.directory / "state").read_text(encoding="ascii"))

    def write(self, state):
        aside = self.directory / "state.new"
        aside.write_text(json.dumps(state), encoding="ascii")
        aside.rename(self.directory / "state")

    def change(self, change):
        with open(self.directory / "state.lock", "a", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self.read()
            change(state)
            self.write(state)

    def note(self, text, is_fault):
        print(text, flush=True)
        if is_fault:
            self.faults.append(text)

    # --- the controller -----------------------------------------------------------------------------------------------

    def reconcile_always(self):
        while not self.ending.is_set():
            try:
                with self.lock:
                    self.reconcile()
            except (SystemExit, OSError) as failure:
                self.note(f"the controller: {failure}", True)
            pause(0.1)

    def reconcile(self):
        wanted = self.read()
        for name, pod in list(self.pods.items()):
            if pod.ended.is_set():
                pod.thread.join()
                del self.pods[name]
        self.write_hosts()
        for ordinal in range(wanted["replicas"]):
            name = f"{self.name}-{ordinal}"
            if name not in self.pods and name not in self.holding:
                revision = wanted["revision"] if ordinal >= wanted["partition"] else wanted["current"]
                self.create(ordinal, revision)
        for pod in self.pods.values():
            if pod.ordinal >= wanted["replicas"] and pod.grace is None:
                self.delete(pod.name)
        self.update_one(wanted)
        self.write_status()

    def update_one(self, wanted):
        """From the highest ordinal down to the partition, one at a time."""
        pods = sorted(self.pods.values(), key=lambda pod: -pod.ordinal)
        if len(pods) == wanted["replicas"] and all(pod.ready for pod in pods):
            for pod in pods:
                if pod.ordinal >= wanted["partition"] and pod.revision != wanted["revision"]:
                    self.delete(pod.name)
                    return

    def create(self, ordinal, revision):
        self.count += 1
        pod = Pod(self, ordinal, revision, f"10.78.{self.count // 250}.{self.count % 250 + 1}")
        self.pods[pod.name] = pod
        self.write_hosts()
        pod.log.touch()
        os.chown(pod.log, USER, USER)
        pod.thread.start()

    def delete(self, name, grace=None):
        self.pods[name].ready = False
        self.pods[name].grace = self.grace if grace is None else grace

    def write_status(self):
        def status(state):
            state["pods"] = {pod.name: {"ready": pod.ready and pod.grace is None, "revision": pod.revision}
                             for pod in self.pods.values()}
            revisions = {pod.revision for pod in self.pods.values()}
            if state["replicas"] == len(self.pods) and revisions == {state["revision"]}:
                state["current"] = state["revision"]
        self.change(status)

    def write_hosts(self):
        """Written over in place: it is mounted."""
        domain = f"{self.service}.default.svc.cluster.local"
        (self.directory / "hosts").write_text("".join(
            f"{pod.address} {pod.name}.{domain} {domain}\n" for pod in self.pods.values()), encoding="ascii")

    # --- what a test does ---------------------------------------------------------------------------------------------

    def hold(self, *names):
        """These pods' machine is gone for now: they die at once, and are not made anew before `release`."""
        with self.lock:
            self.holding.update(names)
            for name in names:
                self.delete(name, 0)

    def release(self):
        with self.lock:
            self.holding.clear()

    def lose(self, name, with_volume):
        """The machine is gone, and its volume with it, or not; a new pod comes elsewhere."""
        self.hold(name)
        wait_until(30, f"{name} has ended", lambda: name not in self.pods)
        if not with_volume:
            shutil.rmtree(self.directory / "volumes" / name)
        self.release()

    def scale(self, replicas):
        self.change(lambda state: state.update(replicas=replicas))

    def are_ready(self, count):
        with self.lock:
            return len(self.pods) == count and all(pod.ready for pod in self.pods.values())

    def ready_count(self):
        with self.lock:
            return sum(pod.ready and pod.grace is None for pod in self.pods.values())

    def server(self, count):
        return ",".join(f"{self.name}-{i}.{self.service}.default.svc.cluster.local:7400" for i in range(count))

    def end(self):
        self.ending.set()
        self.thread.join()
        for pod in self.pods.values():
            self.delete(pod.name, 0)
        for pod in self.pods.values():
            pod.thread.join(30)

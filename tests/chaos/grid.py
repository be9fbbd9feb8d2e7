"""A cluster of evgridd processes, each in a network namespace of its own on one bridge, each with a disk of its own: an
ext4 image on a loop device, or a plain directory where none can be mounted. Everything is made inside the namespaces
that enter_namespaces made, and goes with them. Clients are on the bridge, outside the nodes' namespaces.

Nodes know each other by address, or by names in /etc/hosts, so that one may come back under another address."""
import fcntl
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from wait import wait_until  # noqa: E402

PORT = 7400
CLIENT = "10.77.0.254"
DISK_BYTES = 4 << 30
WITHIN = "EVGRID_WITHIN_NAMESPACES"
SHUTDOWN, WITHOUT_LOG_FLUSH = 0x8004587D, 2


def skip(why):
    print(f"skipped: {why}", file=sys.stderr)
    sys.exit(77)


def enter_namespaces():
    """Runs this program again where nothing it does to network, mounts and processes is seen outside; returns there."""
    if WITHIN in os.environ:
        return
    if os.geteuid() != 0:
        skip("not root: no namespaces can be made")
    for tool in ("unshare", "nsenter", "ip", "nft", "mkfs.ext4"):
        if shutil.which(tool) is None:
            skip(f"needs {tool}")
    wrapper = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*wrapper, "mount", "-t", "tmpfs", "none", "/run"], check=False).returncode != 0:
        skip("no namespaces are to be had")
    sys.exit(subprocess.run([*wrapper, sys.executable, *sys.argv], check=False,
                            env={**os.environ, WITHIN: "1"}).returncode)


def run(*command, text=None):
    done = subprocess.run(command, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise SystemExit(f"failed: {' '.join(command)} ended with {done.returncode}: {done.stdout}")
    return done.stdout


def program(name):
    return os.path.join(os.environ["EVGRID_BUILD"], name)


def evgrid(*arguments, seconds=150):
    """(exit status, what it printed, what it said on stderr)"""
    done = subprocess.run([program("evgrid"), *arguments], text=True, timeout=seconds,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr


def must(*arguments):
    status, out, errors = evgrid(*arguments)
    if status != 0:
        raise SystemExit(f"failed: evgrid {' '.join(arguments)} ended with {status}: {out}{errors}")
    return out


class Disk:
    """Where a node keeps its data. It may lose power (what is not synced is gone) and be full."""

    def __init__(self, directory):
        self.path = directory / "data"
        self.image = directory / "image"
        self.path.mkdir(parents=True)
        with open(self.image, "wb") as image:
            image.truncate(DISK_BYTES)
        run("mkfs.ext4", "-q", str(self.image))
        self.mounted = subprocess.run(["mount", "-o", "loop", self.image, self.path], stderr=subprocess.DEVNULL,
                                      check=False).returncode == 0

    def lose_power(self):
        disk = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(disk, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
        os.close(disk)

    def mount_again(self):
        wait_until(20, f"unmounting {self.path}", lambda: subprocess.run(
            ["umount", self.path], stderr=subprocess.DEVNULL, check=False).returncode == 0)
        run("mount", "-o", "loop", str(self.image), str(self.path))

    def fill(self):
        """To the last block: what is laid out already may still be written."""
        free = os.statvfs(self.path)
        with open(self.path / "lost+found" / "ballast", "wb") as ballast:
            if free.f_bavail > 0:
                os.posix_fallocate(ballast.fileno(), 0, free.f_bavail * free.f_frsize)

    def make_room(self):
        """For good: a power loss right after it does not bring the ballast back."""
        (self.path / "lost+found" / "ballast").unlink()
        folder = os.open(self.path / "lost+found", os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)


class Node:
    def __init__(self, number, directory, flags):
        self.name = f"n{number}"
        self.address = f"10.77.0.{number}"
        self.bridge_end = f"to-{self.name}"
        self.directory = directory / self.name
        self.disk = Disk(self.directory)
        self.flags = flags
        self.drops = set()  # (address that is not heard, what becomes of its packets)
        self.process = None
        self.make_network()

    def make_network(self):
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.bridge_end, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "link", "set", self.bridge_end, "master", "grid", "up")
        self.inside("ip", "link", "set", "eth0", "up")
        self.inside("ip", "link", "set", "lo", "up")
        self.take_address()

    def take_address(self):
        self.inside("ip", "addr", "flush", "dev", "eth0", "scope", "global")
        self.inside("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")

    def configure(self, members, advertised):
        (self.directory / "node.yaml").write_text(
            f"node: {{name: {self.name}}}\ndata: {{dir: {self.disk.path}}}\ncluster: {{members: [{members}]}}\n"
            f"listen: {{address: {self.address}, advertise: {advertised}}}\ninsecure: true\n")

    def inside(self, *command, text=None):
        return run("nsenter", f"--net=/run/netns/{self.name}", *command, text=text)

    def start(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.name}", program("evgridd"), "--config",
                 str(self.directory / "node.yaml"), *self.flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.process = None

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def plug(self, up):
        run("ip", "link", "set", self.bridge_end, "up" if up else "down")

    def hear(self):
        """Puts self.drops into force, all at once."""
        rules = "".join(f"  ip saddr {address} {verdict}\n" for address, verdict in sorted(self.drops))
        self.inside("nft", "-f", "-", text="flush ruleset\ntable ip chaos {\n chain heard {\n"
                    f"  type filter hook input priority 0;\n{rules} }}\n}}\n")

    def end_of_log(self, lines=60, alike=4):
        """Of lines of one event that follow each other only the first few, and how many more there were."""
        shown = []
        event, count = None, 0
        for line in (self.directory / "log").read_text(errors="replace").splitlines():
            word = next((word for word in line.split() if word.startswith("event=")), line)
            count = count + 1 if word == event else 1
            event = word
            if count <= alike:
                shown.append(line)
            elif count == alike + 1:
                shown.append("")
            if count > alike:
                shown[-1] = f"  and {count - alike} more of {event}"
        return "\n".join(shown[-lines:])

    def says(self):
        """What this node, asked alone, tells of the cluster: its map may be another than the others'."""
        questions = (("cluster", "status"), ("node", "ls"),
                     *(("partition", "ls", "--partition", str(partition)) for partition in range(3)))
        return "\n".join("".join(evgrid(*words, "--server", f"{self.address}:{PORT}", "--timeout", "2s")[1:])
                         for words in questions)


class Grid:
    def __init__(self, directory, count, flags, named=False):
        self.directory = directory
        self.named = named
        pathlib.Path("/run/netns").mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "none", "/run/netns")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "grid", "type", "bridge")
        run("ip", "addr", "add", f"{CLIENT}/24", "dev", "grid")
        run("ip", "link", "set", "grid", "up")
        self.nodes = [Node(number, directory, flags) for number in range(1, count + 1)]
        if named:
            (directory / "hosts").write_text("")
            run("mount", "--bind", str(directory / "hosts"), "/etc/hosts")
        self.configure()
        os.environ["EVGRID_SERVER"] = ",".join(f"{self.host(node)}:{PORT}" for node in self.nodes)

    def host(self, node):
        return f"host-{node.name}" if self.named else node.address

    def configure(self):
        """Where nodes listen, and by what names or addresses they are found."""
        members = ", ".join(f"{node.name}={self.host(node)}:{PORT}" for node in self.nodes)
        for node in self.nodes:
            node.configure(members, self.host(node))
        if self.named:
            (self.directory / "hosts").write_text("".join(f"{node.address} {self.host(node)}\n" for node in self.nodes))

    def move(self, node, address):
        """A node that does not run gets another address, under its old name."""
        node.address = address
        node.take_address()
        self.configure()

    def has_disks(self):
        return all(node.disk.mounted for node in self.nodes)

    def start(self):
        for node in self.nodes:
            node.start()
        wait_until(60, "the nodes serve", lambda: evgrid("cluster", "wait", "--timeout", "5s")[0] == 0)

    def controller(self):
        """The name of the one that says it is, or None."""
        status, out, _ = evgrid("cluster", "status", "-o", "json", "--timeout", "1s")
        return json.loads(out).get("controller") if status in (0, 9) and out else None

    def ended(self):
        """Nodes that should run and do not."""
        return [node for node in self.nodes if node.process is not None and node.process.poll() is not None]

    def stop(self):
        for node in self.nodes:
            if node.process is not None:
                node.kill()

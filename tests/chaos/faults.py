"""The kinds of faults of real processes. Each names its targets when it is made, begins, and ends whole: a fault that
has ended has left nothing behind but what the cluster must repair itself."""
import threading

from grid import CLIENT
from wait import pause

KINDS = {}


def kind(name):
    def register(make):
        KINDS[name] = make
        return make
    return register


class Fault:
    needs_process = ()  # nodes whose process it ends, stops or starts: one fault at a time may

    def begin(self):
        raise NotImplementedError

    def end(self):
        raise NotImplementedError


def some(random, grid):
    """One node, mostly; two; all."""
    count = random.choices((1, 2, len(grid.nodes)), (6, 2, 2))[0]
    return random.sample(grid.nodes, count)


def one(random, grid):
    """Every third time the controller."""
    name = grid.controller() if random.randrange(3) == 0 else None
    named = [node for node in grid.nodes if node.name == name]
    return named[0] if named else random.choice(grid.nodes)


def names(nodes):
    return ", ".join(node.name for node in nodes)


@kind("kill")
class Kill(Fault):
    def __init__(self, random, grid):
        nodes = some(random, grid)
        self.needs_process = nodes if len(nodes) > 1 else [one(random, grid)]

    def begin(self):
        for node in self.needs_process:
            node.kill()

    def end(self):
        for node in self.needs_process:
            node.start()

    def __str__(self):
        return f"kill -9 {names(self.needs_process)}"


@kind("power-loss")
class PowerLoss(Kill):
    """What is not synced is gone from the disk."""

    def begin(self):
        for node in self.needs_process:
            node.disk.lose_power()
        super().begin()
        for node in self.needs_process:
            node.disk.mount_again()

    def __str__(self):
        return f"power loss of {names(self.needs_process)}"


@kind("pause")
class Pause(Fault):
    def __init__(self, random, grid):
        self.needs_process = [one(random, grid)]

    def begin(self):
        for node in self.needs_process:
            node.pause()

    def end(self):
        for node in self.needs_process:
            node.resume()

    def __str__(self):
        return f"pause of {names(self.needs_process)}"


class Deafness(Fault):
    """Nodes that do not hear some addresses."""

    def __init__(self, what, deaf, verdict="drop"):
        self.what = what
        self.deaf = [(node, (address, verdict)) for node, address in deaf]

    def set(self, change):
        for node, drop in self.deaf:
            change(node.drops, drop)
        for node in {node for node, _ in self.deaf}:
            node.hear()

    def begin(self):
        self.set(set.add)

    def end(self):
        self.set(set.discard)

    def __str__(self):
        heard = ", ".join(f"{node.name} hears no {'client' if address == CLIENT else address}"
                          for node, (address, _) in self.deaf)
        return f"{self.what}: {heard}"


@kind("one-way")
def one_way(random, grid):
    deaf, unheard = random.sample(grid.nodes, 2)
    return Deafness("one-way cut", [(deaf, unheard.address)])


@kind("cut")
def cut(random, grid):
    a, b = random.sample(grid.nodes, 2)
    return Deafness("cut", [(a, b.address), (b, a.address)])


@kind("ring")
def ring(random, grid):
    nodes = random.sample(grid.nodes, len(grid.nodes))
    return Deafness("ring", [(node, nodes[i - 1].address) for i, node in enumerate(nodes)])


@kind("alone-with-clients")
def alone_with_clients(random, grid):
    alone = one(random, grid)
    others = [node for node in grid.nodes if node is not alone]
    return Deafness(f"{alone.name} alone with the clients",
                    [(alone, node.address) for node in others] + [(node, alone.address) for node in others])


@kind("no-clients")
def no_clients(random, grid):
    return Deafness("no clients", [(one(random, grid), CLIENT)])


@kind("reset")
def reset(random, grid):
    """Connections are refused and reset, not silent."""
    node = one(random, grid)
    others = [other.address for other in grid.nodes if other is not node]
    return Deafness("resets", [(node, address) for address in (*others, CLIENT)], "reject with tcp reset")


@kind("unplugged")
class Unplugged(Fault):
    def __init__(self, random, grid):
        self.node = one(random, grid)

    def begin(self):
        self.node.plug(False)

    def end(self):
        self.node.plug(True)

    def __str__(self):
        return f"{self.node.name} unplugged"


@kind("flapping")
class Flapping(Unplugged):
    """Down and up every 30 ms."""

    def begin(self):
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.flap)
        self.thread.start()

    def flap(self):
        while not self.ended.is_set():
            self.node.plug(False)
            pause(0.03)
            self.node.plug(True)
            pause(0.03)

    def end(self):
        self.ended.set()
        self.thread.join()

    def __str__(self):
        return f"{self.node.name} flapping"


@kind("disk-full")
class DiskFull(Fault):
    def __init__(self, random, grid):
        self.needs_process = [one(random, grid)]

    def begin(self):
        self.needs_process[0].disk.fill()

    def end(self):
        self.needs_process[0].disk.make_room()

    def __str__(self):
        return f"the disk of {names(self.needs_process)} full"


NEEDS_DISK = ("power-loss", "disk-full")

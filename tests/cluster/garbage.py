#!/usr/bin/env python3
"""Throws garbage at every port of a node, and asks whether it is unharmed.

  tests/cluster/garbage.py [--rounds N] [--seed S] [--keys]

Starts one `evgridd --dev` (of EVGRID_BUILD, default build/) on free ports in a directory of its own. Sends it, over
plain TCP: random bytes; other protocols; ZMTP greetings cut off or wrong; handshakes followed by frames that claim to
be huge, by messages of many parts, truncated and random ones, and by messages whose envelope is right and whose body
is not; connections that say nothing. Then the same process must answer HELLO and give its map, have grown by little,
and have logged each kind of garbage at most about once a second.

--keys: the node has keys. Thrown are CURVE's own commands, too, cut, damaged and out of turn, by who has no key; and by
who has a trusted one the damaged messages. Then a client with a key must be answered as before.
"""
import argparse
import ctypes
import json
import os
import pathlib
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import curve  # noqa: E402
from wait import wait_until  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAGIC = b'EVG1'
HELLO, WELCOME, MAP_REQUEST, MAP = 1, 3, 16, 17
KINDS = [1, 2, 3, *range(10, 21), *range(30, 38), *range(40, 44)]
CLAIMS = [0, 1, 4095, 1 << 20, (4 << 20) - 1, (4 << 20) + 1, 1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]
GROWTH_BYTES = 192 << 20
xxhash = ctypes.CDLL('libxxhash.so.0')
xxhash.XXH3_64bits.restype = ctypes.c_uint64


# --- ZMTP 3.0, as far as it is needed -----------------------------------------------------------------------

GREETING = b'\xff' + bytes(8) + b'\x7f' + b'\x03\x00' + b'NULL'.ljust(20, b'\0') + bytes(32)


def frame(body, more=False, command=False):
    flags = (1 if more else 0) | (4 if command else 0)
    if len(body) > 255:
        return struct.pack('>BQ', flags | 2, len(body)) + body
    return struct.pack('>BB', flags, len(body)) + body


def ready(identity):
    def item(name, value):
        return bytes([len(name)]) + name + struct.pack('>I', len(value)) + value
    return frame(b'\x05READY' + item(b'Socket-Type', b'DEALER') + item(b'Identity', identity), command=True)


def take(connection, size):
    got = b''
    while len(got) < size:
        part = connection.recv(size - len(got))
        if not part:
            raise ConnectionError('closed')
        got += part
    return got


def receive(connection):
    """The next message's frame; answers pings on the way."""
    while True:
        flags = take(connection, 1)[0]
        size = struct.unpack('>Q', take(connection, 8))[0] if flags & 2 else take(connection, 1)[0]
        body = take(connection, size)
        if not flags & 4:
            return body
        if body.startswith(b'\x04PING'):
            connection.sendall(frame(b'\x04PONG' + body[7:], command=True))


def dial(port, identity=None):
    connection = socket.create_connection(('127.0.0.1', port), timeout=10)
    if identity is not None:
        connection.sendall(GREETING + ready(identity))
        take(connection, len(GREETING))
    return connection


# --- Evgrid's messages --------------------------------------------------------------------------------------

def message(kind, body=b'', items=0, **wrong):
    """An envelope with a right check, whatever else is wrong."""
    head = wrong.get('magic', MAGIC) + struct.pack('<BBHI', kind, wrong.get('reserved', 0), items,
                                                   wrong.get('size', len(body)))
    rest = struct.pack('<QQIHH', wrong.get('incarnation', 99), wrong.get('node_epoch', 0), wrong.get('node_id', 0),
                       wrong.get('shard', 0), 0)
    checked = head + rest + body
    return head + struct.pack('<I', xxhash.XXH3_64bits(checked, len(checked)) & 0xffffffff) + rest + body


def hello(role=0):
    return message(HELLO, struct.pack('<HHB16sQ', 1, 1, role, bytes(16), 0) + b'\x07garbage')


# --- what is thrown -----------------------------------------------------------------------------------------

def random_bytes(rng, port):
    with dial(port) as connection:
        connection.sendall(rng.randbytes(rng.choice([1, 10, 64, 1000, 100000])))


def other_protocols(rng, port):
    with dial(port) as connection:
        connection.sendall(rng.choice([b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'\x16\x03\x01\x02\x00\x01\x00',
                                       b'SSH-2.0-x\r\n', b'*1\r\n$4\r\nPING\r\n', b'\0' * 5000, b'\xff' * 5000]))


def greetings_cut_off(rng, port):
    whole = GREETING + ready(b'x')
    with dial(port) as connection:
        connection.sendall(whole[:rng.randrange(len(whole))])


def greetings_wrong(rng, port):
    whole = bytearray(GREETING + ready(rng.randbytes(rng.choice([0, 1, 200]))))
    for _ in range(rng.randrange(1, 6)):
        whole[rng.randrange(len(whole))] = rng.randrange(256)
    with dial(port) as connection:
        connection.sendall(bytes(whole) + rng.randbytes(100))


def claims_of_size(rng, port):
    with dial(port, b'G' + rng.randbytes(8)) as connection:
        claim = rng.choice(CLAIMS)
        connection.sendall(struct.pack('>BQ', rng.choice([2, 3, 6]), claim) + rng.randbytes(min(claim, 3000)))


def many_parts(rng, port):
    with dial(port, b'G' + rng.randbytes(8)) as connection:
        for _ in range(rng.randrange(1, 200)):
            connection.sendall(frame(rng.randbytes(rng.choice([0, 1, 40])), more=True))
        connection.sendall(frame(hello()))


def random_frames(rng, port):
    with dial(port, b'G' + rng.randbytes(8)) as connection:
        for _ in range(50):
            connection.sendall(frame(rng.randbytes(rng.choice([0, 1, 39, 40, 41, 300, 5000]))))


def damaged_messages(rng, port):
    with dial(port, b'G' + rng.randbytes(8)) as connection:
        connection.sendall(frame(hello(rng.randrange(2))))
        for _ in range(30):
            whole = bytearray(message(rng.choice(KINDS), rng.randbytes(rng.randrange(100)), rng.randrange(5)))
            if rng.random() < 0.5:
                whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
            else:
                whole = whole[:rng.randrange(len(whole))]
            connection.sendall(frame(bytes(whole)))


def wrong_bodies(rng, port):
    """Every kind, also those that only nodes send, after a HELLO as client or as peer."""
    with dial(port, b'G' + rng.randbytes(8)) as connection:
        role = rng.randrange(2)
        for kind in rng.sample(KINDS, len(KINDS)):
            body = rng.choice([b'', bytes(rng.randrange(1, 300)), b'\xff' * rng.randrange(1, 300),
                               rng.randbytes(rng.randrange(1, 3000))])
            connection.sendall(frame(hello(role)))
            sender = {'node_id': rng.choice([0, 0, 1, 64, 65]), 'shard': rng.choice([0, 0, 7, 0xffff]),
                      'node_epoch': rng.randrange(100)}
            connection.sendall(frame(message(kind, body, rng.choice([0, 1, 3, 0xffff]), **sender)))


def no_hello(rng, port):
    with dial(port, b'G' + rng.randbytes(rng.choice([1, 8, 200]))) as connection:
        for kind in KINDS[1:]:
            connection.sendall(frame(message(kind, rng.randbytes(20), 1)))


def curve_greeting(as_server=False):
    return (b'\xff' + bytes(8) + b'\x7f' + b'\x03\x01' + b'CURVE'.ljust(20, b'\0') + bytes([as_server]) + bytes(31))


def curve_commands(rng, port):
    """HELLO of the right form but for its box, and commands that are cut, too long, or out of turn."""
    with socket.create_connection(('127.0.0.1', port), timeout=10) as connection:
        connection.sendall(curve_greeting(rng.random() < 0.1))
        for _ in range(rng.randrange(1, 4)):
            name, size = rng.choice([(b'\x05HELLO\x01\x00', 200), (b'\x05HELLO', 200), (b'\x08INITIATE', 257),
                                     (b'\x07WELCOME', 168), (b'\x05READY', 30), (b'\x05ERROR', 9),
                                     (b'\x07MESSAGE', 60)])
            body = name + rng.choice([bytes, rng.randbytes])(size - len(name))
            if rng.random() < 0.3:
                body = body[:rng.randrange(len(body))] or b'\x05'
            elif rng.random() < 0.1:
                body += rng.randbytes(rng.choice([1, 1000, 100000]))
            connection.sendall(frame(body, command=rng.random() < 0.9))
        connection.settimeout(0.05)
        try:
            connection.recv(1000)
        except socket.timeout:
            pass


THROWS = [random_bytes, other_protocols, greetings_cut_off, greetings_wrong, claims_of_size, many_parts, random_frames,
          damaged_messages, wrong_bodies, no_hello]


# --- the node -----------------------------------------------------------------------------------------------

class Node:
    def __init__(self, work, keyed):
        build = pathlib.Path(os.environ.get('EVGRID_BUILD', ROOT / 'build'))
        self.keys = work if keyed else None
        flags = []
        if keyed:
            for name, role in (('dev', '--for-node'), ('app', '--for-client')):
                subprocess.run([str(build / 'evgrid'), 'keygen', f'{work}/{name}', role, name], check=True,
                               stdout=subprocess.DEVNULL)
            (work / 'trusted').write_text((work / 'dev.pub').read_text() + (work / 'app.pub').read_text())
            flags = [f'--keys.secret={work}/dev', f'--keys.trusted={work}/trusted']
        self.log = work / 'log'
        ports_file = work / 'ports.json'
        self.process = subprocess.Popen(
            [str(build / 'evgridd'), '--dev', f'--data.dir={work}/data', '--listen.control=0', '--ports-file',
             str(ports_file), *flags], stderr=self.log.open('w'), stdin=subprocess.DEVNULL)
        wait_until(30, 'the node listens', lambda: ports_file.exists() or self.process.poll() is not None)
        if self.process.poll() is not None:
            sys.exit('the node did not start:\n' + self.log.read_text())
        ports = json.loads(ports_file.read_text())
        self.ports = [ports['control'], *ports['shards']]
        wait_until(30, 'the node serves', lambda: 'event=node.serving' in self.log.read_text())

    def resident_bytes(self):
        for line in pathlib.Path(f'/proc/{self.process.pid}/status').read_text().splitlines():
            if line.startswith('VmRSS:'):
                return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=60)


def friend(node, port):
    return curve.Socket(port, curve.secret_of(node.keys / 'app'), curve.public_of(node.keys / 'trusted', 'dev'))


def answers_friend(node, port, control):
    connection = friend(node, port)
    connection.send(hello())
    answer = connection.receive()
    if answer is not None and answer[4] == WELCOME and control:
        connection.send(message(MAP_REQUEST, struct.pack('<Q', 0)))
        answer = connection.receive()
    connection.close()
    return answer is not None and answer[4] == (MAP if control else WELCOME)


def damaged_by_friend(rng, node, port):
    """Who has a key, and damages what it sends; a client's key does not help with what only nodes send."""
    connection = friend(node, port)
    connection.send(hello(rng.randrange(2)))
    for kind in rng.sample(KINDS, len(KINDS)):
        whole = bytearray(message(kind, rng.randbytes(rng.randrange(300)), rng.choice([0, 1, 3, 0xffff])))
        if rng.random() < 0.3:
            whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        connection.send(bytes(whole))
        if rng.random() < 0.2:
            connection.send(hello(rng.randrange(2)))
    connection.close()


def answers(node, port, control):
    """HELLO gives WELCOME; the control port then gives its map."""
    if node.keys:
        return answers_friend(node, port, control)
    with dial(port, b'Tester' + os.urandom(6)) as connection:
        connection.sendall(frame(hello()))
        if receive(connection)[4] != WELCOME:
            return False
        if not control:
            return True
        connection.sendall(frame(message(MAP_REQUEST, struct.pack('<Q', 0))))
        return receive(connection)[4] == MAP


def counted(node):
    """The garbage counted so far. A kind's next line is due a second after its last: one more piece brings it out."""
    kinds = ('control', 'shard')

    def throw_more(port):
        if node.keys:
            connection = friend(node, port)
            connection.send(b'not a message')
            connection.send(hello())
            connection.receive()
            connection.close()
            return
        with dial(port, b'Last' + os.urandom(6)) as connection:
            connection.sendall(frame(b'not a message') + frame(hello()))
            receive(connection)

    def told(kind):
        return [int(re.search(r' total=(\d+) ', line).group(1)) for line in node.log.read_text().splitlines()
                if f'event={kind}.garbage' in line]
    before = {kind: len(told(kind)) for kind in kinds}

    def has_told_again():
        for port in node.ports:
            throw_more(port)
        return all(len(told(kind)) > before[kind] for kind in kinds)
    wait_until(30, 'the log tells of garbage again', has_told_again)
    return {kind: max(told(kind)) for kind in kinds}


def check(node, before, seconds, silent):
    faults = []
    if node.process.poll() is not None:
        return [f'the node ended with {node.process.returncode}:\n' + node.log.read_text()[-3000:]]
    for place, port in enumerate(node.ports):
        if not answers(node, port, place == 0):
            faults.append(f'port {port} does not answer as it should')
    counts = counted(node)
    growth = node.resident_bytes() - before
    if growth > GROWTH_BYTES:
        faults.append(f'the node grew by {growth >> 20} MiB')
    lines = [line for line in node.log.read_text().splitlines() if 'garbage' in line or 'hello' in line]
    if min(counts.values()) < (20 if node.keys else 100):
        faults.append(f'too little garbage was counted: {counts}')
    if len(lines) > (seconds + 3) * 6:  # kinds: garbage, HELLOs refused, HELLO wanted; on two threads
        faults.append(f'{len(lines)} lines about garbage in {seconds:.0f} s')
    print(f'{len(node.ports)} ports, {len(silent)} silent connections, {seconds:.0f} s: grew by {growth >> 20} MiB, '
          f'{len(lines)} log lines, counted {counts}')
    return faults


def throws_of(node):
    if not node.keys:
        return THROWS

    def by_friend(rng, port):
        damaged_by_friend(rng, node, port)
    return [random_bytes, other_protocols, greetings_cut_off, greetings_wrong, curve_commands, by_friend]


def throw_all(node, rng, rounds):
    throws = throws_of(node)
    for _ in range(rounds):
        for port in node.ports:
            for throw in rng.sample(throws, len(throws)):
                try:
                    throw(rng, port)
                except (ConnectionError, socket.timeout, BrokenPipeError):
                    pass  # to be thrown out is what garbage deserves
                if node.process.poll() is not None:
                    print(f'the node ended after {throw.__name__}', file=sys.stderr)
                    return


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=100)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--keys', action='store_true')
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    work = pathlib.Path(tempfile.mkdtemp(prefix='evgrid-garbage.'))
    node = Node(work, arguments.keys)
    try:
        before = node.resident_bytes()
        start = time.monotonic()
        silent = [dial(port) for port in node.ports for _ in range(100)]
        throw_all(node, rng, arguments.rounds)
        faults = check(node, before, time.monotonic() - start, silent)
        if not faults and node.stop() != 0:
            faults.append('the node did not stop cleanly')
    finally:
        if node.process.poll() is None:
            node.process.kill()
            node.process.wait()
        shutil.rmtree(work)
    for fault in faults:
        print(f'failed: {fault}', file=sys.stderr)
    print(f'seed {arguments.seed}, {arguments.rounds} rounds:', 'failed' if faults else 'unharmed')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())

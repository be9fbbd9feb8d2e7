#!/usr/bin/env python3
"""A ZeroMQ socket with a key, for tests of what a holder of one may do; by libzmq alone.

  tests/cluster/curve.py impostor KEY NODE-KEYS NAME PORT...

impostor: with the secret key file KEY, says to each port that it is the node NAME, and sends what only nodes send.
"""
import ctypes
import struct
import sys

CURVE_PUBLICKEY, CURVE_SECRETKEY, CURVE_SERVERKEY, ROUTING_ID, LINGER, RCVTIMEO = 48, 49, 50, 5, 17, 27
DEALER = 5
HELLO, MAGIC = 1, b'EVG1'
ONLY_NODES = [10, 11, 12, 20, 21, 40, 41, 42, 44]
zmq = ctypes.CDLL('libzmq.so.5')
zmq.zmq_ctx_new.restype = zmq.zmq_socket.restype = ctypes.c_void_p
zmq.zmq_socket.argtypes = [ctypes.c_void_p, ctypes.c_int]
zmq.zmq_setsockopt.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
zmq.zmq_connect.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
zmq.zmq_send.argtypes = zmq.zmq_recv.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
zmq.zmq_close.argtypes = [ctypes.c_void_p]
context = ctypes.c_void_p(zmq.zmq_ctx_new())
xxhash = ctypes.CDLL('libxxhash.so.0')
xxhash.XXH3_64bits.restype = ctypes.c_uint64


def secret_of(path):
    words = [line.split() for line in open(path) if not line.startswith('#')]
    return words[0][1].encode()


def public_of(path, node):
    for line in open(path):
        words = line.split()
        if words[:1] == ['node'] and words[1] in (node, '*'):
            return words[2].encode()
    raise SystemExit(f'{path} has no key of {node}')


class Socket:
    """A DEALER that knows the node's key and proves its own. What is not answered in time is None."""

    def __init__(self, port, secret, server):
        self.handle = zmq.zmq_socket(context, DEALER)
        public = ctypes.create_string_buffer(41)
        if zmq.zmq_curve_public(public, secret) != 0:
            raise SystemExit('libzmq makes no public key')
        for option, value in ((CURVE_SERVERKEY, server), (CURVE_PUBLICKEY, public.value), (CURVE_SECRETKEY, secret)):
            if zmq.zmq_setsockopt(self.handle, option, value + b'\0', 41) != 0:
                raise SystemExit('libzmq takes no key')
        for option, value in ((LINGER, 2000), (RCVTIMEO, 10000)):
            number = ctypes.c_int(value)
            zmq.zmq_setsockopt(self.handle, option, ctypes.byref(number), 4)
        zmq.zmq_connect(self.handle, b'tcp://127.0.0.1:%d' % port)

    def send(self, frame):
        if zmq.zmq_send(self.handle, frame, len(frame), 0) < 0:
            raise SystemExit('libzmq sends nothing')

    def receive(self):
        room = ctypes.create_string_buffer(1 << 20)
        size = zmq.zmq_recv(self.handle, room, len(room), 0)
        return None if size < 0 else room.raw[:size]

    def close(self):
        zmq.zmq_close(self.handle)


def message(kind, body=b'', items=0):
    head = MAGIC + struct.pack('<BBHI', kind, 0, items, len(body))
    rest = struct.pack('<QQIHH', 99, 1, 1, 0, 0)
    checked = head + rest + body
    return head + struct.pack('<I', xxhash.XXH3_64bits(checked, len(checked)) & 0xffffffff) + rest + body


def hello(role, name):
    return message(HELLO, struct.pack('<HHB16sQ', 1, 1, role, bytes(16), 0) + bytes([len(name)]) + name)


def impostor(secret, nodes, name, ports):
    for port in ports:
        socket = Socket(port, secret_of(secret), public_of(nodes, 'n1'))
        socket.send(hello(1, name.encode()))
        answer = socket.receive()
        if answer is None or answer[4] != 3:  # a peer that is taken gets no WELCOME
            raise SystemExit(f'port {port} took a client for {name}')
        for kind in ONLY_NODES:
            socket.send(message(kind, bytes(8), 1))
        socket.send(hello(0, b'x'))
        if socket.receive() is None:
            raise SystemExit(f'port {port} does not answer the client')
        socket.close()


if __name__ == '__main__':
    if len(sys.argv) < 6 or sys.argv[1] != 'impostor':
        raise SystemExit(__doc__)
    impostor(sys.argv[2], sys.argv[3], sys.argv[4], [int(port) for port in sys.argv[5:]])

#!/usr/bin/env python3
"""A service manager's ear for tests: binds the datagram socket SOCKET and appends to FILE one line a datagram, with the
sender's pid and what it said, its lines joined by blanks. Ends when it is killed.

  notified.py SOCKET FILE
"""
import socket
import struct
import sys

CREDENTIALS = struct.Struct("iII")


def main():
    path, file = sys.argv[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear, open(file, "a", encoding="utf-8") as heard:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        ear.bind(path)
        while True:
            text, ancillary, _, _ = ear.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
            pid = CREDENTIALS.unpack(ancillary[0][2])[0]
            print(pid, text.decode().strip().replace("\n", " "), file=heard, flush=True)


if __name__ == "__main__":
    main()

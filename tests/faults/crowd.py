"""Thousands of connections that do nothing: ``python -m tests.faults.crowd HOST PORT COUNT SLOW``.

``SLOW`` of the ``COUNT`` send headers that never end, a byte a second; half of the others asked for
something once. Each line on standard input is answered with how many of both sorts still stand.
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import sys

ASK = b"GET /healthz HTTP/1.1\r\nHost: n\r\n\r\n"


def raise_limit() -> None:
    """Have as many descriptors as this machine lets one have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Crowd:
    def __init__(self, host: str, port: int) -> None:
        self.address = (host, port)
        self.idle: list[socket.socket] = []
        self.slow: list[socket.socket] = []

    def come(self, count: int, slow: int) -> None:
        for number in range(count):
            one = socket.create_connection(self.address, timeout=30)
            if number < slow:
                one.sendall(ASK[:-2])
                self.slow.append(one)
                continue
            with contextlib.suppress(OSError):  # the node may have let it go already
                if number % 2:
                    one.sendall(ASK)
                    one.recv(4096)
            self.idle.append(one)

    def drip(self) -> None:
        for one in self.slow:
            with contextlib.suppress(OSError):
                one.send(b"x")

    @staticmethod
    def standing(sockets: list[socket.socket]) -> int:
        return sum(not is_ended(one) for one in sockets)


def is_ended(one: socket.socket) -> bool:
    """Return whether the other side ended it: nothing else ever comes on it."""
    one.setblocking(False)
    try:
        return one.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def main() -> None:
    raise_limit()
    host, port, count, slow = sys.argv[1:]
    crowd = Crowd(host, int(port))
    crowd.come(int(count), int(slow))
    while True:
        sys.stdout.write(f"{crowd.standing(crowd.idle)} {crowd.standing(crowd.slow)}\n")
        sys.stdout.flush()
        while not select.select([sys.stdin], [], [], 1)[0]:
            crowd.drip()
        if not sys.stdin.readline():
            return


if __name__ == "__main__":
    main()

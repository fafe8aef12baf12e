"""`python -m tests.unit.agent.flooding ADDRESS PORT FROM SECONDS`: connects as fast as it can, and prints how often it did."""

import contextlib
import errno
import socket
import sys
import time
from collections import deque

OPEN_MAX = 200
RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"


def main(address: str, port: int, source: str, seconds: float) -> int:
    """Connections begun; the oldest is reset for a new one."""
    ends, begun = time.monotonic() + seconds, 0
    held: deque[socket.socket] = deque()
    while time.monotonic() < ends:
        one = socket.socket()
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with contextlib.suppress(OSError):  # no port left: the oldest gives one back
            one.bind((source, 0))
            begun += one.connect_ex((address, port)) in (0, errno.EINPROGRESS)
        held.append(one)
        if len(held) > OPEN_MAX:
            held.popleft().close()
    return begun


if __name__ == "__main__":
    sys.stdout.write(f"{main(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))}")

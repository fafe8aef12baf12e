"""What an ExaBGP process runs as its helper: carries ExaBGP's JSON lines to the simulator's socket, nothing else.

A program of its own with the standard library only: `bgp_feed.py SOCKET INSTANCE`. It never blocks ExaBGP, ends when
ExaBGP has died (a SIGKILLed ExaBGP leaves its helper alive otherwise), and ends ExaBGP when the simulator has died.
"""

import os
import select
import signal
import socket
import sys

CHUNK = 1 << 16
LOOK_SECONDS = 0.5  # how long a dead parent can go unnoticed
BACKLOG_MAX = 64 << 20  # a simulator that reads nothing for so long is as good as dead


def carry(feed: socket.socket, instance: str) -> None:
    """Returns when ExaBGP or the simulator is gone."""
    parent = os.getppid()
    pending = bytearray(f"{instance}\n".encode())
    own = feed.fileno()
    while os.getppid() == parent:
        readable, writable, _ = select.select([0, own], [own] if pending else [], [], LOOK_SECONDS)
        if 0 in readable:
            try:
                chunk = os.read(0, CHUNK)
            except BlockingIOError:
                continue
            if not chunk:
                return
            pending += chunk
        simulator_gone = (own in readable and not feed.recv(CHUNK)) or len(pending) > BACKLOG_MAX
        if simulator_gone:
            os.kill(parent, signal.SIGTERM)
            return
        if own in writable:
            del pending[: feed.send(pending)]


def main() -> int:
    path, instance = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as feed:
        try:
            feed.connect(path)
            feed.setblocking(False)
            carry(feed, instance)
        except OSError:
            # Without the simulator this ExaBGP has nothing to report to.
            os.kill(os.getppid(), signal.SIGTERM)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

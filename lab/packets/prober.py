"""python -m lab.packets.prober: on the workload, sends numbered UDP packets at a steady pace and files every answer.

One line an answer: `number sent received server`, times of the monotonic clock, which all namespaces share. A packet
without a line is lost. Ends on SIGTERM.
"""

import argparse
import select
import socket
import sys
import time
from typing import TextIO

PORT = 7777
MARK = "probe"


def probe(destination: tuple[str, int], per_second: float, out: TextIO) -> None:
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setblocking(False)
    number, due = 0, time.monotonic()
    while True:
        now = time.monotonic()
        if now >= due:
            _send(sender, destination, f"{MARK} {number} {now:.6f}")
            number += 1
            due = max(due + 1 / per_second, now - 1)
        readable, _, _ = select.select([sender], [], [], max(0.0, due - time.monotonic()))
        if readable:
            _file(sender, out)


def _send(sender: socket.socket, destination: tuple[str, int], text: str) -> None:
    try:
        sender.sendto(text.encode(), destination)
    except OSError:
        return  # no route, or a neighbour that is not there: lost, and that is what is measured


def _file(sender: socket.socket, out: TextIO) -> None:
    while True:
        try:
            answer = sender.recv(2048).decode()
        except OSError:
            return
        _, number, sent, server = answer.split()
        out.write(f"{number} {sent} {time.monotonic():.6f} {server}\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.packets.prober", description=__doc__)
    parser.add_argument("--to", required=True)
    parser.add_argument("--per-second", type=float, default=200.0)
    parser.add_argument("--out", required=True)
    given = parser.parse_args()
    with open(given.out, "w", buffering=1) as out:
        probe((given.to, PORT), given.per_second, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

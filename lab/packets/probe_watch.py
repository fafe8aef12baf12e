"""python -m lab.packets.probe_watch: on an NVA, requests its agent's probe 20 times a second, which cannot be done from outside.

Files `time answer` for every question: 1 for a 200. It stands beside the agent, so it hears it when the NVA is cut off.
"""

import argparse
import http.client
import sys
import time
from typing import TextIO

EVERY = 0.05


def watch(address: str, port: int, path: str, out: TextIO) -> None:
    while True:
        answer = int(_is_200(address, port, path))
        out.write(f"{time.monotonic():.6f} {answer}\n")
        time.sleep(EVERY)


def _is_200(address: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(address, port, timeout=0.5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.packets.probe_watch", description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--out", required=True)
    given = parser.parse_args()
    with open(given.out, "w", buffering=1) as out:
        watch(given.address, given.port, given.path, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""python -m lab.packets.watcher: a watcher loop as Azure's published fast-failover lab describes it, written afresh.

Runs as ExaBGP's helper on the watcher's machine: probes both web servers over HTTP with a limit of 0.1 s, the secondary
first, rests 0.1 s when nothing is to be changed, and announces the VIP with the other next hop after a single failure;
fails back as soon as the primary answers. Standard output is ExaBGP's: every announcement also goes to a file.
"""

import argparse
import http.client
import sys
import time
from pathlib import Path

LIMIT = 0.1
REST = 0.1


def answers(address: str) -> bool:
    """Whether a whole HTTP exchange succeeds in LIMIT seconds, as `curl --max-time 0.1` sees it."""
    end = time.monotonic() + LIMIT
    connection = http.client.HTTPConnection(address, 80, timeout=LIMIT)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return time.monotonic() <= end


def choose(live: int, up: tuple[bool, bool]) -> int:
    """Which of primary (0) and secondary (1) is to be announced, given the one that is and which of them answer."""
    if up[0]:
        return 0
    return 1 if up[1] else live


def watch(prefix: str, servers: tuple[str, str], log: Path) -> None:
    live = 0
    _announce(prefix, servers[live], log)
    while True:
        secondary = answers(servers[1])
        wanted = choose(live, (answers(servers[0]), secondary))
        if wanted == live:
            time.sleep(REST)
            continue
        live = wanted
        _announce(prefix, servers[live], log)


def _announce(prefix: str, hop: str, log: Path) -> None:
    print(f"announce route {prefix} next-hop {hop}", flush=True)
    with log.open("a") as out:
        out.write(f"{time.monotonic():.6f} {hop}\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.packets.watcher", description=__doc__)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--servers", nargs=2, required=True)
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args()
    watch(given.prefix, tuple(given.servers), given.log)
    return 0


if __name__ == "__main__":
    sys.exit(main())

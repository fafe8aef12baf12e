"""`make networks`: the designs of the examples, with real BGP daemons and real packets.

    python -m lab.networks [CASE ...] [--hubs frr bird] [--quick] [--out build/networks.json]

Exit status: 0 when every check of every case holds, 1 when one does not or a case failed (its files are kept), 2 when something
is not installed.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.networks import report
from lab.networks.cases import CASES
from lab.networks.daemons import DAEMONS
from lab.networks.network import Order
from lab.packets import namespaces
from lab.packets.series import machine
from lab.stack import ROOT

AT_ONCE = 2
"""Worlds side by side: most of a case is waiting for timers, and the machine may have two cores."""
CASE_WITHIN = 240.0
PROGRAMS = {p: namespaces.PROGRAMS[p] for p in ("bird", "ip", "mount", "nft", "ping", "setpriv", "unshare")}
HUB_VENDORS = ("frr", "bird", "exabgp")


def main() -> int:
    given = _arguments()
    absent = [daemon.missing for daemon in DAEMONS.values() if daemon.missing is not None]
    if lacking := (*namespaces.missing(PROGRAMS), *absent):
        print("the networks lab needs what is not here:", *lacking, sep="\n  ", file=sys.stderr)
        return 2
    hubs = tuple(given.hubs) if given.hubs else None
    kept = ROOT / "build" / "networks-logs"
    directory = Path(tempfile.mkdtemp(prefix="hopkeeper-"))
    try:
        cases = asyncio.run(_play(given.cases or list(CASES), Order(hubs, given.quick), directory))
        for case in cases:
            if not case.get("passed"):
                _keep(directory / case["case"], kept / case["case"])
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped; nothing is left running", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    document = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "cases": cases}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(document, indent=1) + "\n")
    print(f"everything is in {given.out}")
    return 0 if all(case.get("passed") for case in cases) else 1


def _keep(what: Path, where: Path) -> None:
    """All but the sockets of daemons, which are no files to copy."""
    shutil.copytree(
        what, where, dirs_exist_ok=True, ignore=lambda at, names: [n for n in names if Path(at, n).is_socket()]
    )


async def _play(names: Sequence[str], order: Order, directory: Path) -> list[dict[str, Any]]:
    """Every case in a world of its own. Ends the worlds on SIGTERM, too."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    gate, began = asyncio.Semaphore(AT_ONCE), time.monotonic()

    async def one(name: str) -> dict[str, Any]:
        async with gate:
            found = await _world(name, order, directory / name)
        print(f"--- {time.monotonic() - began:.0f} s", report.text(found), sep="\n", flush=True)
        return found

    return list(await asyncio.gather(*(one(name) for name in names)))


async def _world(name: str, order: Order, directory: Path) -> dict[str, Any]:
    directory.mkdir()
    arguments = [
        name,
        "--directory",
        str(directory),
        *(["--hubs", *order.hubs] if order.hubs else []),
        *(["--quick"] if order.quick else []),
    ]
    with (directory / "world.log").open("wb") as words:
        process = await asyncio.create_subprocess_exec(
            *namespaces.command("lab.networks.world", arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=words,
            cwd=ROOT,
            env={**os.environ, "PATH": namespaces.search_path()},
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(CASE_WITHIN):
            said, _ = await process.communicate()
    except TimeoutError:
        return {"case": name, "failed": f"not within {CASE_WITHIN:g} s"}
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = said.decode().splitlines()
    if not lines:
        return {"case": name, "failed": (directory / "world.log").read_text(errors="replace")[-1500:]}
    return {"case": name, **json.loads(lines[-1])}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.networks", description="The designs of the examples.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--hubs", nargs=2, choices=HUB_VENDORS, help="of hub-a and hub-b, in place of a case's own")
    parser.add_argument("--quick", action="store_true", help="kill only the first of two hubs")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "networks.json")
    given = parser.parse_args()
    if unknown := [name for name in given.cases if name not in CASES]:
        parser.error(f"no case is named {', '.join(unknown)} (there are: {', '.join(CASES)})")
    return given


if __name__ == "__main__":
    sys.exit(main())

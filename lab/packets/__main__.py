"""`make lab`: real BGP daemons and real packets; Hopkeeper beside what users have today.

    python -m lab.packets --runs 10 [--only NAME ...] [--faults silent ...] [--out build/lab.json] [--svg docs/lab.svg]

Exit status: 0 when every run was played, 1 when one failed (its logs are kept), 2 when something is not installed.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from lab.packets import mechanisms, namespaces, report
from lab.packets.fabric import VIP
from lab.packets.faults import FAULTS
from lab.packets.series import Order, Series, machine, names
from lab.stack import ROOT


def main() -> int:
    given = _arguments()
    if lacking := namespaces.missing():
        print("the packet lab needs what is not here:", *lacking, sep="\n  ", file=sys.stderr)
        return 2
    order = Order(
        names(given.only), 1 if given.quick else given.runs, given.faults, given.loss, given.damping, str(given.vip)
    )
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {what}", flush=True)

    series = Series(order, say, ROOT / "build" / "lab-logs")
    try:
        asyncio.run(_play(series))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped; nothing is left running", file=sys.stderr)
        return 130
    _file(series, given.out, given.svg)
    say(f"{len(series.runs)} runs; everything is in {given.out}")
    return 1 if series.failures else 0


async def _play(series: Series) -> None:
    """Ends the worlds on SIGTERM, too."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await series.play()


def _file(series: Series, out: Path, svg: Path | None) -> None:
    titles = {name: mechanisms.BY_NAME[name]().title for name in series.order.names}
    found = report.rows(series.runs, titles)
    now, measured_on = datetime.now(UTC), machine()
    head = {"date": now.isoformat(timespec="seconds"), "machine": measured_on, "order": asdict(series.order)}
    document = report.document(head, found, series.failures, series.runs)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=1) + "\n")
    print(report.table(found))
    if svg is not None:
        where = f"{measured_on['system']}, {measured_on['cores']} cores, {now:%Y-%m-%d}"
        svg.parent.mkdir(parents=True, exist_ok=True)
        svg.write_text(report.chart(found, f"UDP at 200 packets/s; bars are medians, dots are runs. {where}"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m lab.packets", description=__doc__.split("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--runs", type=int, default=10, help="of every contender under each of its faults")
    parser.add_argument("--quick", action="store_true", help="one run each")
    parser.add_argument("--only", nargs="+", default=[], choices=sorted(mechanisms.BY_NAME), metavar="NAME")
    parser.add_argument("--faults", nargs="+", default=[], choices=sorted(FAULTS), metavar="FAULT")
    parser.add_argument("--loss", type=float, default=15.0, help="seconds with 10 %% loss, once; 0 for none")
    parser.add_argument("--damping", type=float, default=0.0, help="seconds between two programmings; Azure: 30")
    parser.add_argument(
        "--vip", type=IPv4Address, default=VIP, help="the address that floats; first published: 10.10.15.15"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "lab.json")
    parser.add_argument("--svg", type=Path, default=ROOT / "build" / "lab.svg")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

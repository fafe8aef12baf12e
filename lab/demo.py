"""`make demo`: two NVAs, a Route Server, a load balancer and the real Function App on this machine, in three acts.

Prints a live timeline, then a table per act; writes `build/demo.json`. Ends with status 0 only if every act did what it
should and never two NVAs answered their probe with 200.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lab import keys
from lab.acts import ACTS, Act, Stage, at_rest
from lab.stack import DATA, ROOT, TIME_FACTOR, Stack
from tools.processes import ToolError, end_as_by_ctrl_c
from tools.release.package import unpacked


class Timeline:
    """Says what happens, with the seconds since the start, under one progress line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = time.monotonic()

    def say(self, what: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._start:6.1f} s[/dim]  {what}", highlight=False)


async def play(stack: Stack, app: Path, console: Console) -> dict[str, Any]:
    """All acts on a fresh stack; gives what was measured. Raises ToolError where something did not happen."""
    timeline = Timeline(console)
    with console.status("starting the simulator, the Function App, the load balancer and two NVAs"):
        timeline.say(f"a simulated Azure, {TIME_FACTOR} times faster than the real one; everything on {stack.net}.0/24")
        await stack.up(app)
        timeline.say(f"the Function App serves on {stack.host_url}")
    stage = Stage.over(stack, timeline.say)
    stage.watch.start()
    try:
        with console.status("peerings are created, both NVAs announce the prefix, both instances are checked"):
            status = await stage.until("peered, announced, verified on both instances", at_rest)
            peerings = _peerings(status)
            timeline.say(
                f"{peerings} peerings; 0.0.0.0/0 with next hop {stack.frontend} on both instances, from both NVAs"
            )
        await stage.traffic.start(stack.frontend, DATA)
        acts = []
        for number, act in enumerate(ACTS, 1):
            console.rule(f"Act {number}: {(act.__doc__ or '').split(':')[1].strip().splitlines()[0]}")
            with console.status(f"act {number} of {len(ACTS)}"):
                played = await act(stage)
            acts.append(played)
            console.print(_table(number, played))
        verified = at_rest(await stack.status())
    finally:
        await stage.traffic.stop()
        await stage.watch.stop()
    good = verified and not stage.watch.both and all(a.two_serving_moments == 0 for a in acts)
    return {
        "outcome": "ok" if good else "failed",
        "peerings": peerings,
        "next_hop_verified": verified,
        "acts": [act.document() for act in acts],
        "probe_rounds": stage.watch.rounds,
        "two_serving_moments": len(stage.watch.both),
        "packets": {"sent": stage.traffic.sent, "answered": len(stage.traffic.replies)},
        "time_factor": TIME_FACTOR,
    }


def _peerings(status: Any) -> int:
    servers = status["lastLook"]["routeServers"].values()
    return sum(state == "Succeeded" for server in servers for state in server["own"].values())


def _table(number: int, act: Act) -> Table:
    table = Table(title=f"Act {number}: {act.name}", title_justify="left")
    for column in ("detection", "decision", "fence", "command", "first packet", "total outage", "two serving"):
        table.add_column(column, justify="right")
    phases = act.phases
    times = [phases.detected, phases.decided, phases.fenced, phases.commanded, phases.first_packet]
    table.add_row(*(f"{t:.3f} s" for t in times), f"{act.outage_seconds:.3f} s", str(act.two_serving_moments))
    table.caption = act.proof + (
        f" (held for {act.held_seconds:.1f} s: nothing could be proven)" if act.held_seconds else ""
    )
    return table


async def run(app: Path, keep: bool, report: Path) -> int:
    console = Console()
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    async with Stack.make() as stack:
        try:
            measured = await play(stack, app, console)
        except ToolError as error:
            console.print(f"[red]the demo failed:[/red] {error}", highlight=False)
            _keep_logs(stack, report.parent / "demo-logs", console)
            report.write_text(json.dumps({"outcome": "failed", "error": str(error)}, indent=1))
            return 1
        report.write_text(json.dumps(measured, indent=1) + "\n")
        console.print(f"outcome: {measured['outcome']}; everything measured is in {report}", highlight=False)
        if keep:
            await _keep_serving(stack, console)
        return 0 if measured["outcome"] == "ok" else 1


async def _keep_serving(stack: Stack, console: Console) -> None:
    key = keys.of_function(stack.keys, "status")
    console.print(f"the page: {stack.host_url}/api/  (with the key {keys.of_role(stack.keys, keys.OPERATE)})")
    console.print(
        f"still serving; Ctrl-C ends it. Try:\n  curl -s -H 'x-functions-key: {key}' {stack.host_url}/api/status"
    )
    await asyncio.Event().wait()


def _keep_logs(stack: Stack, folder: Path, console: Console) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for log in stack.programs.logs.glob("*.log"):
        (folder / log.name).write_bytes(log.read_bytes())
    console.print(f"the logs are in {folder}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep serving afterwards")
    parser.add_argument("--package", type=Path, default=ROOT, help="the app: a directory, or the zip of make package")
    parser.add_argument("--report", type=Path, default=ROOT / "build" / "demo.json")
    given = parser.parse_args(arguments)
    end_as_by_ctrl_c()
    try:
        with unpacked(given.package) as app:
            return asyncio.run(run(app, given.keep, given.report))
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0 if given.keep else 130


if __name__ == "__main__":
    sys.exit(main())

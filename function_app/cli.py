"""The command line: what an operator does by hand. The same use cases as the triggers, over the same settings.

hopkeeper check FILE             is this topology document usable, and what is wrong with it
hopkeeper apply FILE             check it and put it in force
hopkeeper status [TOPOLOGY]      what is in force, who holds what, what is held and why
hopkeeper plan TOPOLOGY          what a pass would do first, and why; changes nothing
hopkeeper reconcile TOPOLOGY     make one pass now
"""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from function_app import wiring
from function_app.domain.errors import BadInput, HopkeeperError
from function_app.domain.topology import Topology
from function_app.domain.topology_document import decode
from function_app.domain.topology_laws import Place
from function_app.reconcile.outcome import Outcome

TROUBLE = 1
WRONG = 2


@click.group(help="Keeps Azure Route Server peerings and NVA advertisements as written down.")
def main() -> None:
    """Entry point of `hopkeeper`."""


@main.command(help="Say whether a topology document can be used, and what is wrong with it.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--lab", is_flag=True, help="Allow loopback addresses, as a lab on one machine has them.")
def check(file: Path, lab: bool) -> None:
    try:
        topology = decode(file.read_text(), Place(allow_loopback=lab))
    except (BadInput, UnicodeDecodeError) as error:
        _refuse(file, error)
    else:
        speakers, services = len(topology.speakers), len(topology.services)
        click.echo(f"{file}: topology {topology.name!r} is usable: {speakers} speakers, {services} services")


@main.command(help="Check a topology document and put it in force.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def apply(file: Path) -> None:
    topology = _run(_apply(file))
    click.echo(f"{file}: topology {topology.name!r} is in force")


@main.command(help="What is in force, who holds what, what is held and why.")
@click.argument("topology", required=False)
def status(topology: str | None) -> None:
    _show(_run(wiring.status(topology)))


@main.command(help="What a pass would do first, and why; changes nothing.")
@click.argument("topology")
def plan(topology: str) -> None:
    async def ask() -> Any:
        return await wiring.use_cases().plan(topology)

    _show(_run(ask()))


@main.command(help="Make one pass over a topology now.")
@click.argument("topology")
def reconcile(topology: str) -> None:
    async def look() -> Outcome:
        return await wiring.use_cases().look(topology, "by hand")

    outcome = _run(look())
    click.echo(outcome.ending.name.lower())
    for reason in outcome.reasons:
        click.echo(f"  {reason}")


async def _apply(file: Path) -> Topology:
    text = await asyncio.to_thread(file.read_bytes)
    try:
        return await wiring.use_cases().topologies.apply(text.decode())
    except (BadInput, UnicodeDecodeError) as error:
        _refuse(file, error)


def _run[T](work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except HopkeeperError as error:
        click.echo(f"hopkeeper: {error}", err=True)
        sys.exit(WRONG if isinstance(error, BadInput) else TROUBLE)


def _show(document: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def _refuse(file: Path, error: BadInput | UnicodeDecodeError) -> NoReturn:
    problems = error.problems if isinstance(error, BadInput) else (f"$: not UTF-8: {error.reason}",)
    click.echo(f"{file}: refused, nothing was written", err=True)
    for problem in problems:
        click.echo(f"  {problem}", err=True)
    sys.exit(WRONG)


if __name__ == "__main__":
    main()

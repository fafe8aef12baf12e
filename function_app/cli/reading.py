"""Commands that read what is in force and on record, and change nothing."""

import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from function_app import wiring
from function_app.cli.app import App
from function_app.cli.connection import reach
from function_app.cli.ends import ENDS, JSON, TROUBLE, run, show
from function_app.cli.files import FILE, LAB, difference, read, text_of
from function_app.cli.parameters import Moment
from function_app.cli.root import main
from function_app.cli.waiting import watch
from function_app.domain.base.errors import Unavailable
from function_app.reconcile.documents.evidence import Evidence
from function_app.reconcile.documents.history import Entry, Explanation
from function_app.reconcile.documents.plan import Plan
from function_app.reconcile.documents.status import Overview, Status
from function_app.views.evidence import learned, table
from function_app.views.explain import explanation_lines
from function_app.views.history import history_lines
from function_app.views.status import overview_lines, status_lines


@main.command(
    help="Who serves, since when and why, who could follow, and what is held. Ends with 0 where all is well, 1 where "
    "something is wrong, 3 where nothing has looked for two sweeps."
)
@click.argument("topology", required=False)
@JSON
@click.option("--watch", "watched", is_flag=True, help="Draw it again and again, until Ctrl-C.")
@click.option(
    "--every", default=2.0, show_default=True, type=click.FloatRange(0.5, 3600), help="With --watch, seconds."
)
def status(topology: str | None, as_json: bool, watched: bool, every: float) -> None:
    if not watched:
        shown = reach(lambda app: _seen(app, topology))
        _print(shown, as_json)
        sys.exit(shown.end)

    async def follow(app: App) -> None:
        async def draw() -> None:
            try:
                shown = await _seen(app, topology)
            except Unavailable as error:
                click.clear()
                click.echo(f"no answer: {error}")
            else:
                click.clear()
                _print(shown, as_json)

        await watch(draw, wiring.clock(), timedelta(seconds=every))

    with suppress(KeyboardInterrupt):
        reach(follow)


@dataclass(frozen=True, slots=True)
class ShownStatus:
    """A status as it is shown, with the status with which the command ends."""

    document: Overview | Status
    lines: tuple[str, ...]
    end: int


async def _seen(app: App, topology: str | None) -> ShownStatus:
    """Of one topology, or of every one in short, each with its verdict."""
    if topology:
        found = await app.status(topology)
        return ShownStatus(found, tuple(status_lines(found)), ENDS[found.verdict])
    overview = await app.overview()
    statuses = [await app.status(each.topology) for each in overview.topologies if each.usable]
    verdicts = {each.topology: each.verdict for each in statuses}
    unusable = len(overview.topologies) > len(statuses)
    end = max((TROUBLE if unusable else 0, *(ENDS[verdict] for verdict in verdicts.values())))
    return ShownStatus(overview, tuple(overview_lines(overview, verdicts)), end)


def _print(shown: ShownStatus, as_json: bool) -> None:
    if as_json:
        show(shown.document)
    else:
        click.echo("\n".join(shown.lines))


@main.command(
    help="What a pass would do first, and why; changes nothing. Of a topology that is in force, or of a document that is not: "
    "then also why it could not be."
)
@click.argument("topology_or_file")
def plan(topology_or_file: str) -> None:
    file = Path(topology_or_file) if Path(topology_or_file).is_file() else None

    async def ask() -> Plan:
        use_cases = wiring.use_cases()
        return await (use_cases.plan_of(text_of(file)) if file is not None else use_cases.plan(topology_or_file))

    show(run(ask(), file))


@main.command(help="Print the document that is in force.")
@click.argument("topology")
def get(topology: str) -> None:
    click.echo(run(_in_force(topology)), nl=False)


@main.command(help="Compare the document that is in force with this one. Ends with 1 where they differ.")
@FILE
@LAB
def diff(file: Path, lab: bool) -> None:
    name = read(file, lab).name
    lines = difference(name, run(_in_force(name)), text_of(file), file)
    if lines:
        click.echo("\n".join(lines))
        sys.exit(TROUBLE)


@main.command(help="What was decided about a service, and why: a line each pass, the newest last.")
@click.argument("topology")
@click.argument("service")
@click.option("--most", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many passes.")
@click.option("--json", "as_json", is_flag=True, help="The entries as JSON.")
def history(topology: str, service: str, most: int, as_json: bool) -> None:
    async def ask() -> tuple[Entry, ...]:
        return await wiring.without_agents().history(topology, service, most)

    entries = run(ask())
    if as_json:
        show(entries)
    else:
        click.echo("\n".join(history_lines(entries)))


@main.command(
    help="Compare learned, advertised and effective routes and network flags with the topology; exit 1 if wrong."
)
@click.argument("topology")
@click.option("--fresh", is_flag=True, help="Take no answer that is there already: ask everything anew.")
@click.option("--routes", is_flag=True, help="List the learned routes too.")
def verify(topology: str, fresh: bool, routes: bool) -> None:
    async def ask() -> Evidence:
        return await wiring.without_agents().verify(topology, fresh)

    evidence = run(ask())
    for line in (*(learned(evidence) if routes else ()), *table(evidence, datetime.now(UTC))):
        click.echo(line)
    if not evidence.sound:
        sys.exit(TROUBLE)


@main.command(help="Why a service is as it is, or was at a moment: evidence, guards, and what was done.")
@click.argument("topology")
@click.argument("service")
@click.option("--at", type=Moment(), help="UTC: as it is printed anywhere here, 03:00 for the last one, or -10m.")
def explain(topology: str, service: str, at: datetime | None) -> None:
    async def ask() -> Explanation:
        return await wiring.without_agents().explain(topology, service, at)

    click.echo("\n".join(explanation_lines(run(ask()))))


async def _in_force(topology: str) -> str:
    return await wiring.without_agents().topologies.text(topology)

"""Commands that read what is in force and on record, and change nothing."""

import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from function_app import wiring
from function_app.cli.app import App
from function_app.cli.connection import reach, reaching
from function_app.cli.ends import ENDS, JSON, TROUBLE, show
from function_app.cli.files import FILE, file_or_topology, read, text_of
from function_app.cli.parameters import Moment
from function_app.cli.root import main
from function_app.cli.waiting import watch
from function_app.domain.base.errors import Unavailable
from function_app.reconcile.changes import changed_lines
from function_app.reconcile.documents.history import History
from function_app.reconcile.documents.plan import Plan
from function_app.reconcile.documents.status import Overview, Status
from function_app.views.evidence import learned, table
from function_app.views.explain import explanation_lines
from function_app.views.history import folded, history_lines
from function_app.views.plan import plan_lines
from function_app.views.status import overview_lines, status_lines


@main.command(
    help="Who serves, since when and why, who could follow, and what is held. Ends with 0 where all is well, 1 where "
    "something is wrong, 3 where nothing has looked for two sweeps."
)
@click.argument("topology", required=False)
@reaching
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
@reaching
@JSON
def plan(topology_or_file: str, as_json: bool) -> None:
    file = file_or_topology(topology_or_file)

    async def ask(app: App) -> Plan:
        return await (app.plan_of(text_of(file)) if file is not None else app.plan(topology_or_file))

    found = reach(ask, file)
    if as_json:
        show(found)
    else:
        click.echo("\n".join(plan_lines(found)))


@main.command(help="Print the document that is in force.")
@click.argument("topology")
@reaching
@click.option("--previous", is_flag=True, help="The one that was in force before it.")
def get(topology: str, previous: bool) -> None:
    click.echo(reach(lambda app: app.document(topology, previous)).text, nl=False)


@main.command(help="Compare the document that is in force with this one. Ends with 1 where they differ.")
@FILE
@reaching
def diff(file: Path) -> None:
    name = read(file, lab=True).name  # whether its addresses may be used here is for `apply` to judge
    lines = tuple(changed_lines(name, reach(lambda app: app.document(name)).text, text_of(file), str(file)))
    if lines:
        click.echo("\n".join(lines))
        sys.exit(TROUBLE)


PASSES_MOST = 1000
"""The most that the app gives of a history at once."""


@main.command(
    help="What was decided about a service, and why: a line each pass, or for many in a row that held the same, the newest last."
)
@click.argument("topology")
@click.argument("service")
@reaching
@click.option(
    "--most",
    default=20,
    show_default=True,
    type=click.IntRange(1, PASSES_MOST),
    help="How many lines; with --json how many passes.",
)
@JSON
def history(topology: str, service: str, most: int, as_json: bool) -> None:
    if as_json:
        show(reach(lambda app: app.history(topology, service, most)))
        return
    found, is_whole = reach(lambda app: _lines_of_passes(app, topology, service, most))
    if not is_whole and len(folded(found.entries)) < most:
        click.echo(f"of the last {PASSES_MOST} passes; what was before is in the storage, below history/")
    click.echo("\n".join(history_lines(found.entries, most)))


async def _lines_of_passes(app: App, topology: str, service: str, most: int) -> tuple[History, bool]:
    """So many passes that they make `most` lines, as far as the app gives them; and whether that is all there is."""
    passes = most
    while True:
        found = await app.history(topology, service, passes)
        is_whole = len(found.entries) < passes
        if is_whole or passes == PASSES_MOST or len(folded(found.entries)) >= most:
            return found, is_whole
        passes = min(4 * passes, PASSES_MOST)


@main.command(
    help="Compare learned, advertised and effective routes and network flags with the topology; exit 1 if wrong."
)
@click.argument("topology")
@reaching
@click.option("--fresh", is_flag=True, help="Take no answer that is there already: ask everything anew.")
@click.option("--routes", is_flag=True, help="List the learned routes too.")
@JSON
def verify(topology: str, fresh: bool, routes: bool, as_json: bool) -> None:
    evidence = reach(lambda app: app.verify(topology, fresh))
    if as_json:
        show(evidence)
    else:
        click.echo("\n".join((*(learned(evidence) if routes else ()), *table(evidence, datetime.now(UTC)))))
    if not evidence.sound:
        sys.exit(TROUBLE)


@main.command(help="Why a service is as it is, or was at a moment: evidence, guards, and what was done.")
@click.argument("topology")
@click.argument("service")
@reaching
@click.option("--at", type=Moment(), help="UTC: as it is printed anywhere here, 03:00 for the last one, or -10m.")
@JSON
def explain(topology: str, service: str, at: datetime | None, as_json: bool) -> None:
    found = reach(lambda app: app.explain(topology, service, at))
    if as_json:
        show(found)
    else:
        click.echo("\n".join(explanation_lines(found, datetime.now(UTC))))

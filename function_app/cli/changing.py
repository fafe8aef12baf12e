"""Commands that change what is in force, or make a pass."""

import sys
from pathlib import Path

import click

from function_app.cli.app import App
from function_app.cli.confirming import YES, is_agreed, need_terminal
from function_app.cli.connection import reach, reaching
from function_app.cli.ends import JSON, TROUBLE, WELL, show, show_outcome
from function_app.cli.files import read, text_of
from function_app.cli.root import main
from function_app.domain.base.errors import Changed, HopkeeperError, NotThere
from function_app.domain.preflight.rule import Severity
from function_app.reconcile.changes import CannotWork, changed_lines
from function_app.reconcile.documents.error import ErrorAnswer, ErrorDetail
from function_app.reconcile.documents.findings import Preflight, PreflightFinding, preflight_finding
from function_app.reconcile.documents.topologies import Applied
from function_app.reconcile.store.topologies import NOTHING, Written
from function_app.views.plan import step_lines
from function_app.views.preflight import report_lines


@main.command(
    help="Check a topology document, show what it changes in the one in force and what the first pass would do, and put it in "
    "force. Refused where `lint` finds an error in it, as it then cannot work, or where another document came meanwhile; that "
    "ends with 1. With --previous, puts back what was in force before."
)
@click.argument("file_or_topology", metavar="FILE|TOPOLOGY")
@reaching
@click.option("--anyway", is_flag=True, help="Also where lint finds an error.")
@click.option("--previous", is_flag=True, help="The TOPOLOGY's document before the one in force.")
@JSON
def apply(file_or_topology: str, anyway: bool, previous: bool, as_json: bool) -> None:
    if previous:
        name, named, file = file_or_topology, f"{file_or_topology}, the document before", None
        text = reach(lambda app: app.document(name, previous=True)).text
    else:
        file = _file(file_or_topology)
        name, named, text = read(file, lab=True).name, str(file), text_of(file)

    async def put(app: App) -> Applied | CannotWork:
        before = await _in_force(app, name)
        if not as_json:
            await _show_change(app, name, before, text, named)
        try:
            return await app.put(name, text, NOTHING if before is None else before.unchanged, anyway)
        except CannotWork as refusal:
            return refusal
        except Changed as race:
            raise Changed(f"{race}; it was another one when the change was shown: run it again") from race

    done = reach(put, file)
    if isinstance(done, CannotWork):
        _show_refusal(done, named, as_json)
        sys.exit(TROUBLE)
    if as_json:
        show(done)
        return
    _show_errors(done.findings)
    click.echo(f"{named}: topology {name!r} is in force")


def _file(given: str) -> Path:
    """Ends with 2 where it is none."""
    if not Path(given).is_file():
        raise click.UsageError(f"{given!r} is no file; apply --previous TOPOLOGY puts back what was in force before")
    return Path(given)


async def _show_change(app: App, name: str, before: Written | None, text: str, named: str) -> None:
    """What differs from the document in force, and what the first pass would do."""
    if before is not None:
        click.echo("".join(f"{line}\n" for line in changed_lines(name, before.text, text, named)), nl=False)
    if before is None or before.text != text:
        try:
            click.echo("\n".join(step_lines(await app.plan_of(text))))
        except HopkeeperError as error:  # what is wrong with the document itself is said when it is put
            click.echo(f"what a pass would do is not known: {error}")


async def _in_force(app: App, topology: str) -> Written | None:
    try:
        return await app.document(topology)
    except NotThere:
        return None


def _show_refusal(refusal: CannotWork, named: str, as_json: bool) -> None:
    findings = tuple(map(preflight_finding, refusal.findings))
    if as_json:
        show(ErrorAnswer(error=ErrorDetail(message=str(refusal), problems=(), causes=(), findings=findings)))
        return
    _show_errors(findings)
    click.echo(f"{named}: not put in force, as it cannot work: mend it, or --anyway", err=True)


def _show_errors(findings: tuple[PreflightFinding, ...]) -> None:
    errors = tuple(found for found in findings if found.severity == Severity.ERROR)
    if errors:
        click.echo("\n".join(report_lines(Preflight(findings=errors, unjudged=()))), err=True)


@main.command(
    help="Take a topology away. Refused while a service of it is managed (`retire` or `release` it first), or a peering that it "
    "made would stay behind; that ends with 1. Its document can be put back by `apply --previous`."
)
@click.argument("topology")
@reaching
@click.option("--anyway", is_flag=True, help="Also where peerings stay behind, or that is not known.")
@YES
def delete(topology: str, anyway: bool, yes: bool) -> None:
    if not yes:
        need_terminal(f"delete takes topology {topology!r} away")
        click.echo(f"topology {topology!r} is taken away: its services and peerings are looked after no more", err=True)
        if not is_agreed():
            sys.exit(TROUBLE)
    reach(lambda app: app.remove(topology, anyway))
    click.echo(f"topology {topology!r} is taken away; hopkeeper apply --previous {topology} puts it back")


@main.command(help="Make one pass over a topology now. Ends with 1 where anything is held, paused or refused.")
@click.argument("topology")
@reaching
@JSON
def reconcile(topology: str, as_json: bool) -> None:
    outcome = reach(lambda app: app.look(topology))
    show_outcome(outcome, as_json)
    if outcome.outcome not in WELL:
        sys.exit(TROUBLE)

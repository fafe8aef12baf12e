"""`hopkeeper lint`: of the document alone, or with what Azure and the agents answer."""

import sys
from pathlib import Path

import click

from function_app import wiring
from function_app.cli.app import App
from function_app.cli.connection import is_app_named, reach, reaching
from function_app.cli.ends import JSON, TROUBLE, show
from function_app.cli.files import LAB, file_or_topology, text_of
from function_app.cli.root import main
from function_app.domain.base.errors import BadInput
from function_app.domain.preflight.facts import Facts
from function_app.domain.preflight.rule import Severity
from function_app.domain.preflight.summary import broken
from function_app.domain.preflight.summary import lint as judged
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.reconcile.documents.findings import Preflight, preflight_document
from function_app.views.preflight import report_lines


@main.command(
    help="Say what would keep a topology, or a document, from working; changes nothing. Ends with 1 where there is an error."
)
@click.argument("topology_or_file")
@click.option(
    "--azure/--offline",
    default=None,
    help="Ask Azure and the agents too; by default where an app is named or settings are there.",
)
@reaching
@JSON
@LAB
def lint(topology_or_file: str, azure: bool | None, as_json: bool, lab: bool) -> None:
    file = file_or_topology(topology_or_file)
    report = _of_the_one_in_force(topology_or_file) if file is None else _report(file, azure, lab)
    if as_json:
        show(report)
    else:
        click.echo("\n".join(report_lines(report)))
    if any(found.severity == Severity.ERROR for found in report.findings):
        sys.exit(TROUBLE)


def _of_the_one_in_force(topology: str) -> Preflight:
    async def ask(app: App) -> Preflight:
        return await app.lint((await app.document(topology)).text)

    return reach(ask)


def _report(file: Path, azure: bool | None, lab: bool) -> Preflight:
    try:
        text = text_of(file)
        topology = decode(text, Place(allow_loopback=lab))
    except BadInput as error:
        return preflight_document(broken(error.problems))
    if is_app_named() or wiring.is_configured() if azure is None else azure:
        return reach(lambda app: app.lint(text), file)
    return preflight_document(judged(topology, Facts()))

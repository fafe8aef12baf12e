"""Commands that change what is in force, or make a pass."""

import sys
from pathlib import Path

import click

from function_app import wiring
from function_app.cli.connection import reach, reaching
from function_app.cli.ends import JSON, TROUBLE, WELL, run, show_outcome
from function_app.cli.files import FILE, difference, text_of
from function_app.cli.root import main
from function_app.domain.preflight.facts import Facts
from function_app.domain.preflight.rule import Severity
from function_app.domain.preflight.summary import Report
from function_app.domain.preflight.summary import lint as judged
from function_app.domain.topology.model import Topology
from function_app.reconcile.documents.findings import preflight_document
from function_app.views.preflight import report_lines


@main.command(
    help="Check a topology document, show what it changes in the one in force, and put it in force. Refused where `lint` finds "
    "an error in it, as it then cannot work; that ends with 1."
)
@FILE
@click.option("--anyway", is_flag=True, help="Also where lint finds an error.")
def apply(file: Path, anyway: bool) -> None:
    text = text_of(file)

    async def put() -> tuple[Topology, Report, str | None]:
        try:
            use_cases = wiring.without_agents()
            proposed = await use_cases.topologies.proposed(text)
            report = judged(proposed.topology, Facts())
            before = await use_cases.topologies.text_or_none(proposed.topology.name)
            if anyway or not report.errors:
                await use_cases.apply(text)
        finally:
            await wiring.close()
        return proposed.topology, report, before

    topology, report, before = run(put(), file)
    if before is not None:
        click.echo("".join(f"{line}\n" for line in difference(topology.name, before, text, str(file))), nl=False)
    if report.errors:
        errors = Report(tuple(found for found in report.findings if found.severity is Severity.ERROR))
        click.echo("\n".join(report_lines(preflight_document(errors))), err=True)
    if report.errors and not anyway:
        click.echo(f"{file}: not put in force, as it cannot work: mend it, or --anyway", err=True)
        sys.exit(TROUBLE)
    click.echo(f"{file}: topology {topology.name!r} is in force")


@main.command(help="Make one pass over a topology now. Ends with 1 where anything is held, paused or refused.")
@click.argument("topology")
@reaching
@JSON
def reconcile(topology: str, as_json: bool) -> None:
    outcome = reach(lambda app: app.look(topology))
    show_outcome(outcome, as_json)
    if outcome.outcome not in WELL:
        sys.exit(TROUBLE)

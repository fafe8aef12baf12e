"""Commands over a document or over Azure alone: none of them reads what is in force."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete
from msgspec import UNSET

from function_app import wiring
from function_app.cli.ends import JSON, TROUBLE, WRONG, refuse, run, show
from function_app.cli.files import FILE, LAB, MASTER_KEY, key_in, read, text_of
from function_app.cli.parameters import Addresses, Language
from function_app.cli.root import main
from function_app.domain.base.errors import BadInput, Problem
from function_app.domain.preflight.summary import broken
from function_app.domain.service.bounds import SWEEP_SILENT, Probe
from function_app.domain.service.kinds import kind_of
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.reconcile.documents.bounds import bounds_document
from function_app.reconcile.documents.findings import preflight_document
from function_app.reconcile.inventory import take_inventory
from function_app.render import render as configuration
from function_app.views.first_topology import first_topology
from function_app.views.topology_schema import schema_text

LEGEND = (
    "F1: the old holder's agent acknowledges that it stands by. F2: our adminState Down, seen in the pool and in its health.",
    "Each part is a ceiling, and a total the worst case; where the app's own host has just died, a row with looks takes "
    f"{SWEEP_SILENT.total_seconds():g} s more.",
    "Large parts come from `timing`: fenceTimeout (F2, lift), sweep, doubtPoll, loadBalancerFall (looks), observeSlow (look),",
    "silence; and from the load balancer's probe as Azure has it (--probe-interval, --probe-threshold).",
)
"""Below the rows of `bounds`."""

SHELLS = {"bash": BashComplete, "fish": FishComplete, "zsh": ZshComplete}


@main.command(
    help="Say whether a topology document can be used, and what is wrong with it; with --app, whether a deployed app has "
    "every function and its sweep runs. Ends with 1 where the app does not."
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@LAB
@click.option("--app", metavar="URL", help="Of the app, https://NAME.azurewebsites.net.")
@click.option("--key-file", type=click.File("rb"), help="Holds the app's master key; - reads it from a pipe.")
@click.option("--wait", default=0.0, help="Ask again for so many seconds, until the app is as it should be.")
@click.option("--sweep-within", default=900.0, help="How old the last sweep may be, seconds.")
@click.option("--json", "as_json", is_flag=True, help="What is wrong with the document, as `lint --json` has it.")
def check(
    file: Path | None,
    lab: bool,
    app: str | None,
    key_file: IO[bytes] | None,
    wait: float,
    sweep_within: float,
    as_json: bool,
) -> None:
    if app is not None and key_file is not None and file is None:
        _check_app(app, key_in(key_file, MASTER_KEY), timedelta(seconds=wait), timedelta(seconds=sweep_within))
        return
    if file is None or app is not None:
        raise click.UsageError("give a topology document, or --app URL with --key-file FILE")
    if as_json:
        _check_for_programs(file, lab)
        return
    topology = read(file, lab)
    parts = {"speaker": topology.speakers, "service": topology.services}
    counts = ", ".join(f"{len(found)} {what}{'s' * (len(found) != 1)}" for what, found in parts.items())
    click.echo(f"{file}: topology {topology.name!r} is usable: {counts}")


@main.command(
    help="Write a first topology from what is in Azure, by the resource id of a Route Server or of the resource group that holds "
    "it: peerings, learned routes, load balancers. Reads only, and needs no settings but a login (az login)."
)
@click.argument("resource", metavar="ID")
@click.option("--group", "groups", multiple=True, metavar="ID", help="Of another resource group with load balancers.")
@click.option("--name", help="Of the topology; by default made from the Route Server's.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file to write; by default it is printed."
)
@click.option("--force", is_flag=True, help="Overwrite the file where it is there already.")
@LAB
def init(resource: str, groups: tuple[str, ...], name: str | None, out: Path | None, force: bool, lab: bool) -> None:
    if out is not None and out.exists() and not force:
        raise click.UsageError(f"{out} is there already: nothing was written (--force overwrites it)")

    async def read() -> str:
        try:
            text = first_topology(await take_inventory(wiring.sources(), resource, groups), name)
        finally:
            await wiring.close()
        decode(text, Place(allow_loopback=lab))
        return text

    text = run(read())
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        with out.open("w" if force else "x") as file:
            file.write(text)
    except OSError as error:
        raise click.UsageError(f"{out} cannot be written: {error.strerror}") from error
    click.echo(f"{out}: written, a first topology of {resource}: read its comments, then hopkeeper check {out}")


@main.command(help="Print the JSON Schema of a topology document, for editors; needs no settings.")
def schema() -> None:
    click.echo(schema_text(), nl=False)


@main.command(help="The worst time that a failover may take, path by path, from a topology document.")
@FILE
@click.option("--probe-interval", default=5.0, help="of the load balancer's probe, seconds")
@click.option("--probe-threshold", default=2, help="of the load balancer's probe")
@LAB
@JSON
def bounds(file: Path, probe_interval: float, probe_threshold: int, lab: bool, as_json: bool) -> None:
    topology = read(file, lab)
    probe = Probe(timedelta(seconds=probe_interval), probe_threshold)
    of_services = (bound for s in topology.services for bound in kind_of(s).bounds(s, topology, probe))
    found = bounds_document(topology.name, sorted(dict.fromkeys(of_services), key=lambda bound: bound.total))
    if as_json:
        show(found)
        return
    for path in found.paths:
        click.echo(f"{path.seconds:7.1f} s  {path.detection}; {path.fence}")
        click.echo("            " + " + ".join(f"{part.what} {part.seconds:g}" for part in path.parts))
        two, none = path.two_admitted_seconds, path.none_admitted_seconds
        if two is not UNSET and none is not UNSET:
            click.echo(
                f"            admitted by the load balancer: two for at most {two:g} s, none for at most {none:g} s"
            )
    click.echo("\n".join(LEGEND))


@main.command(
    help="The BGP configuration that a topology implies for a speaker, at rest, or its agent's; to be looked over and merged."
)
@FILE
@click.argument("speaker")
@click.option("--vendor", required=True, type=Language())
@click.option("--instances", multiple=True, type=Addresses(2), help="of a Route Server: rs-hub=10.0.2.4,10.0.2.5")
@click.option("--frontend", multiple=True, type=Addresses(1), help="of a service's load balancer: fw=10.0.1.100")
@LAB
def render(
    file: Path, speaker: str, vendor: str, instances: tuple[Any, ...], frontend: tuple[Any, ...], lab: bool
) -> None:
    frontends = {service: address for service, (address,) in frontend}
    try:
        click.echo(configuration(read(file, lab), speaker, vendor, dict(instances), frontends), nl=False)
    except BadInput as error:
        refuse(file, error)


def _check_for_programs(file: Path, lab: bool) -> None:
    """The faults of a document as a report of preflight. Ends with 2 where there are some."""
    problems: tuple[Problem, ...] = ()
    try:
        decode(text_of(file), Place(allow_loopback=lab))
    except BadInput as error:
        problems = error.problems
    show(preflight_document(broken(problems)))
    if problems:
        sys.exit(WRONG)


def _check_app(url: str, key: str, wait: timedelta, sweep_within: timedelta) -> None:
    found, said = asyncio.run(wiring.deployed_app(url, key).check(wait, sweep_within))
    for fault in found:
        click.echo(f"{url}: {fault}", err=True)
    if found:
        sys.exit(TROUBLE)
    click.echo(f"{url}: {said}")


@main.command(help='Print what completes commands in a shell: eval "$(hopkeeper completion bash)".')
@click.argument("shell", type=click.Choice(tuple(SHELLS)))
def completion(shell: str) -> None:
    click.echo(SHELLS[shell](main, {}, "hopkeeper", "_HOPKEEPER_COMPLETE").source())

"""The command line: what an operator does by hand. The same use cases as the triggers, over the same settings.

`hopkeeper --help` lists the commands, each with what it does. They end with 0; with 1 where something is wrong with what
was looked at, or an order was refused; with 2 where the command line or a document cannot be used; with 3 where nothing has
looked lately, so that nothing is known.
"""

import asyncio
import getpass
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from difflib import unified_diff
from ipaddress import IPv4Address
from pathlib import Path
from typing import IO, Any, NoReturn

import click
import msgspec

from function_app import wiring
from function_app.domain.base.errors import BadInput, HopkeeperError
from function_app.domain.preflight.facts import Facts
from function_app.domain.preflight.rule import Severity
from function_app.domain.preflight.summary import Report, broken
from function_app.domain.preflight.summary import lint as judged
from function_app.domain.service.bounds import FencedBy, Probe
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.orders import VERBS, Order
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from function_app.reconcile.documents.evidence import Evidence
from function_app.reconcile.documents.findings import preflight_document
from function_app.reconcile.documents.history import Entry, Explanation
from function_app.reconcile.documents.plan import Plan
from function_app.reconcile.documents.status import Overview, Status
from function_app.reconcile.inventory import take_inventory
from function_app.reconcile.passes.outcome import Ending, Outcome
from function_app.render import LANGUAGES, did_you_mean
from function_app.render import render as configuration
from function_app.views.evidence import learned, table
from function_app.views.explain import explanation_lines
from function_app.views.first_topology import first_topology
from function_app.views.history import history_lines
from function_app.views.preflight import report_lines
from function_app.views.status import moment_of, overview_lines, status_lines

TROUBLE = 1
WRONG = 2
STALE = 3
ENDS = {"well": 0, "trouble": TROUBLE, "stale": STALE}


@click.group(
    help="Keeps Azure Route Server peerings and NVA advertisements as written down.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="hopkeeper")
def main() -> None:
    """Entry point of `hopkeeper`."""


@main.command(
    help="Say whether a topology document can be used, and what is wrong with it; with --app, whether a deployed app has "
    "every function and its sweep runs. Ends with 1 where the app does not."
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--lab", is_flag=True, help="Allow loopback addresses, as a lab on one machine has them.")
@click.option("--app", metavar="URL", help="Of the app, https://NAME.azurewebsites.net.")
@click.option("--key-file", type=click.File("rb"), help="Holds the app's master key; - reads it from a pipe.")
@click.option("--wait", default=0.0, help="Ask again for so many seconds, until the app is as it should be.")
@click.option("--sweep-within", default=900.0, help="How old the last sweep may be, seconds.")
def check(
    file: Path | None, lab: bool, app: str | None, key_file: IO[bytes] | None, wait: float, sweep_within: float
) -> None:
    if app is not None and key_file is not None and file is None:
        _check_app(app, _key(key_file), timedelta(seconds=wait), timedelta(seconds=sweep_within))
        return
    if file is None or app is not None:
        raise click.UsageError("give a topology document, or --app URL with --key-file FILE")
    topology = _read(file, lab)
    speakers, services = len(topology.speakers), len(topology.services)
    click.echo(f"{file}: topology {topology.name!r} is usable: {speakers} speakers, {services} services")


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
@click.option("--lab", is_flag=True, help="Allow loopback addresses, as a lab on one machine has them.")
def init(resource: str, groups: tuple[str, ...], name: str | None, out: Path | None, force: bool, lab: bool) -> None:
    if out is not None and out.exists() and not force:
        raise click.UsageError(f"{out} is there already: nothing was written (--force overwrites it)")

    async def read() -> str:
        text = first_topology(await take_inventory(wiring.sources(), resource, groups), name)
        decode(text, Place(allow_loopback=lab))
        return text

    text = _run(read())
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        with out.open("w" if force else "x") as file:
            file.write(text)
    except OSError as error:
        raise click.UsageError(f"{out} cannot be written: {error.strerror}") from error
    click.echo(f"{out}: written, a first topology of {resource}: read its comments, then hopkeeper check {out}")


@main.command(help="Say what would keep a topology from working; changes nothing. Ends with 1 where there is an error.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--azure/--offline", default=None, help="Ask Azure and the agents too; by default where settings are there."
)
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
@click.option("--lab", is_flag=True, help="Allow loopback addresses, as a lab on one machine has them.")
def lint(file: Path, azure: bool | None, as_json: bool, lab: bool) -> None:
    try:
        topology = decode(_text(file), Place(allow_loopback=lab))
    except BadInput as error:
        report = broken(error.problems)
    else:
        asks = wiring.is_configured() if azure is None else azure
        report = _run(_asked(topology)) if asks else judged(topology, Facts())
    if as_json:
        _show(preflight_document(report))
    else:
        click.echo("\n".join(report_lines(report)))
    if report.errors:
        sys.exit(TROUBLE)


@main.command(
    help="Check a topology document, show what it changes in the one in force, and put it in force. Refused where `lint` finds "
    "an error in it, as it then cannot work; that ends with 1."
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--anyway", is_flag=True, help="Also where lint finds an error.")
def apply(file: Path, anyway: bool) -> None:
    text = _text(file)

    async def put() -> tuple[Topology, Report, str | None]:
        use_cases = wiring.without_agents()
        proposed = await use_cases.topologies.proposed(text)
        report = judged(proposed.topology, Facts())
        before = await use_cases.topologies.text_or_none(proposed.topology.name)
        if anyway or not report.errors:
            await use_cases.apply(text)
        return proposed.topology, report, before

    topology, report, before = _run(put(), file)
    if before is not None:
        click.echo("".join(f"{line}\n" for line in _difference(topology.name, before, text, file)), nl=False)
    if report.errors:
        errors = Report(tuple(found for found in report.findings if found.severity is Severity.ERROR))
        click.echo("\n".join(report_lines(errors)), err=True)
    if report.errors and not anyway:
        click.echo(f"{file}: not put in force, as it cannot work: mend it, or --anyway", err=True)
        sys.exit(TROUBLE)
    click.echo(f"{file}: topology {topology.name!r} is in force")


@main.command(
    help="Who serves, since when and why, who could follow, and what is held. Ends with 0 where all is well, 1 where "
    "something is wrong, 3 where nothing has looked for two sweeps."
)
@click.argument("topology", required=False)
@click.option("--json", "as_json", is_flag=True, help="The whole status as JSON.")
def status(topology: str | None, as_json: bool) -> None:
    async def ask() -> tuple[Overview | None, list[Status]]:
        use_cases = wiring.without_agents()
        if topology:
            return None, [await use_cases.status(topology)]
        overview = await use_cases.overview()
        return overview, [await use_cases.status(each.topology) for each in overview.topologies if each.usable]

    overview, found = _run(ask())
    verdicts = {each.topology: each.verdict for each in found}
    lines = overview_lines(overview, verdicts) if overview is not None else status_lines(found[0])
    if as_json:
        _show(overview or found[0])
    else:
        click.echo("\n".join(lines))
    unusable = overview is not None and len(overview.topologies) > len(found)
    sys.exit(max((TROUBLE if unusable else 0, *(ENDS[verdict] for verdict in verdicts.values()))))


@main.command(
    help="What a pass would do first, and why; changes nothing. Of a topology that is in force, or of a document that is not: "
    "then also why it could not be."
)
@click.argument("topology_or_file")
def plan(topology_or_file: str) -> None:
    file = Path(topology_or_file) if Path(topology_or_file).is_file() else None

    async def ask() -> Plan:
        use_cases = wiring.use_cases()
        return await (use_cases.plan_of(_text(file)) if file is not None else use_cases.plan(topology_or_file))

    _show(_run(ask(), file))


@main.command(help="Print the document that is in force.")
@click.argument("topology")
def get(topology: str) -> None:
    click.echo(_run(_in_force(topology)), nl=False)


@main.command(help="Compare the document that is in force with this one. Ends with 1 where they differ.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--lab", is_flag=True, help="Allow loopback addresses, as a lab on one machine has them.")
def diff(file: Path, lab: bool) -> None:
    name = _read(file, lab).name
    lines = _difference(name, _run(_in_force(name)), _text(file), file)
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

    entries = _run(ask())
    if as_json:
        _show(entries)
    else:
        click.echo("\n".join(history_lines(entries)))


@main.command(help="Make one pass over a topology now.")
@click.argument("topology")
def reconcile(topology: str) -> None:
    async def look() -> Outcome:
        return await wiring.use_cases().look(topology, "by hand")

    _show_outcome(_run(look()))


@main.command(
    help="Compare learned, advertised and effective routes and network flags with the topology; exit 1 if wrong."
)
@click.argument("topology")
@click.option("--fresh", is_flag=True, help="Take no answer that is there already: ask everything anew.")
@click.option("--routes", is_flag=True, help="List the learned routes too.")
def verify(topology: str, fresh: bool, routes: bool) -> None:
    async def ask() -> Evidence:
        return await wiring.without_agents().verify(topology, fresh)

    evidence = _run(ask())
    for line in (*(learned(evidence) if routes else ()), *table(evidence, datetime.now(UTC))):
        click.echo(line)
    if not evidence.sound:
        sys.exit(TROUBLE)


@main.command(help="The worst time that a failover may take, path by path, from a topology document.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--probe-interval", default=5.0, help="of the load balancer's probe, seconds")
@click.option("--probe-threshold", default=2, help="of the load balancer's probe")
@click.option("--lab", is_flag=True, help="Allow loopback addresses, as a lab on one machine has them.")
def bounds(file: Path, probe_interval: float, probe_threshold: int, lab: bool) -> None:
    topology = _read(file, lab)
    probe = Probe(timedelta(seconds=probe_interval), probe_threshold)
    of_services = (bound for s in topology.services for bound in kind_of(s).bounds(s, topology, probe))
    for bound in dict.fromkeys(of_services):
        click.echo(f"{bound.total.total_seconds():7.1f} s  {bound.detection}; {bound.fence}")
        click.echo("            " + " + ".join(f"{what} {part.total_seconds():g}" for what, part in bound.parts))
        if bound.fence is not FencedBy.OUTRANKED:
            two, none = (
                bound.overlap.total_seconds(),
                (bound.gap if bound.gap is not None else bound.total).total_seconds(),
            )
            click.echo(
                f"            admitted by the load balancer: two for at most {two:g} s, none for at most {none:g} s"
            )


class Addresses(click.ParamType[tuple[str, tuple[IPv4Address, ...]]]):
    """NAME=ADDRESS, or NAME=ADDRESS,ADDRESS: a name and so many IPv4 addresses."""

    name = "NAME=ADDRESS"

    def __init__(self, count: int) -> None:
        self.count = count

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name, _, listed = str(value).partition("=")
        try:
            addresses = tuple(IPv4Address(text) for text in listed.split(","))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        if not name or len(addresses) != self.count:
            self.fail(f"{value!r} is not a name, = and {self.count} address{'es' * (self.count > 1)}", param, ctx)
        return name, addresses


class Moment(click.ParamType[datetime]):
    """A time in UTC: a date and a time as they are printed, a time of day that was last, or how long ago."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, datetime):
            return value
        try:
            return moment_of(str(value), datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Language(click.Choice[str]):
    """The name of a vendor, or `agent`; where it is none, the nearest one is suggested."""

    def __init__(self) -> None:
        super().__init__(LANGUAGES)

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        return super().get_invalid_choice_message(value, ctx).rstrip(".") + did_you_mean(str(value))


@main.command(
    help="The BGP configuration that a topology implies for a speaker, at rest, or its agent's; to be looked over and merged."
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("speaker")
@click.option("--vendor", required=True, type=Language())
@click.option("--instances", multiple=True, type=Addresses(2), help="of a Route Server: rs-hub=10.0.2.4,10.0.2.5")
@click.option("--frontend", multiple=True, type=Addresses(1), help="of a service's load balancer: fw=10.0.1.100")
@click.option("--lab", is_flag=True, help="Allow loopback addresses, as a lab on one machine has them.")
def render(
    file: Path, speaker: str, vendor: str, instances: tuple[Any, ...], frontend: tuple[Any, ...], lab: bool
) -> None:
    frontends = {service: address for service, (address,) in frontend}
    try:
        click.echo(configuration(_read(file, lab), speaker, vendor, dict(instances), frontends), nl=False)
    except BadInput as error:
        _refuse(file, error)


@main.command(help="Why a service is as it is, or was at a moment: evidence, guards, and what was done.")
@click.argument("topology")
@click.argument("service")
@click.option("--at", type=Moment(), help="UTC: as it is printed anywhere here, 03:00 for the last one, or -10m.")
def explain(topology: str, service: str, at: datetime | None) -> None:
    async def ask() -> Explanation:
        return await wiring.without_agents().explain(topology, service, at)

    click.echo("\n".join(explanation_lines(_run(ask()))))


def _order(topology: str, service: str, verb: str, **said: Any) -> None:
    async def give() -> Outcome:
        words = {key: value for key, value in said.items() if value is not None}
        return await wiring.use_cases().order(topology, service, verb, {"by": getpass.getuser(), **words})

    outcome = _run(give())
    _show_outcome(outcome)
    if outcome.ending in (Ending.REFUSED, Ending.FAILED):
        sys.exit(TROUBLE)


def _order_command(verb: str, form: type[Order]) -> click.Command:
    """The command of one verb, from its form: the member is an argument, everything else an option."""
    parameters: list[click.Parameter] = [click.Argument(["topology"]), click.Argument(["service"])]
    described = msgspec.json.schema_components([form])[1][form.__name__]["properties"]
    for field in msgspec.structs.fields(form):
        if field.name == "by":
            continue
        shape = described[field.name].get("anyOf", [described[field.name]])[0]
        kind = float if shape["type"] == "number" else str
        if field.name == "member":
            parameters.append(click.Argument([field.name], required=field.required, type=kind))
        else:
            help_ = shape.get("description")
            parameters.append(click.Option([f"--{field.name}"], required=field.required, type=kind, help=help_))

    def give(topology: str, service: str, **given: Any) -> None:
        _order(topology, service, verb, **given)

    return click.Command(verb, params=parameters, callback=give, help=form.__doc__)


for _verb, _form in VERBS.items():
    main.add_command(_order_command(_verb, _form))


def _key(file: IO[bytes]) -> str:
    """The key in a file, which HTTP carries in a header. Ends with 2, before any request, where there is none."""
    try:
        key = file.read().decode("ascii").strip()
    except UnicodeDecodeError:
        wrong = "is no key, which is in ASCII"
    else:
        if key.isprintable() and key and " " not in key:
            return key
        wrong = "holds more than one key" if key else "is empty"
    click.echo(f"{file.name} {wrong}: az functionapp keys list --query masterKey --output tsv prints the key", err=True)
    sys.exit(WRONG)


def _check_app(url: str, key: str, wait: timedelta, sweep_within: timedelta) -> None:
    found, said = asyncio.run(wiring.deployed_app(url, key).check(wait, sweep_within))
    for fault in found:
        click.echo(f"{url}: {fault}", err=True)
    if found:
        sys.exit(TROUBLE)
    click.echo(f"{url}: {said}")


def _difference(topology: str, before: str, text: str, file: Path) -> list[str]:
    named = f"{topology}, in force", str(file)
    return list(unified_diff(before.splitlines(), text.splitlines(), *named, lineterm=""))


async def _in_force(topology: str) -> str:
    return await wiring.without_agents().topologies.text(topology)


async def _asked(topology: Topology) -> Report:
    return await wiring.use_cases().lint(topology)


def _run[T](work: Coroutine[Any, Any, T], file: Path | None = None) -> T:
    """`file` is what is said to be wrong, where it is."""

    async def closing() -> T:
        try:
            return await work
        finally:
            await wiring.close()

    try:
        return asyncio.run(closing())
    except HopkeeperError as error:
        if isinstance(error, BadInput) and file is not None:
            _refuse(file, error)
        click.echo(f"hopkeeper: {error}", err=True)
        sys.exit(WRONG if isinstance(error, BadInput) else TROUBLE)


def _show_outcome(outcome: Outcome) -> None:
    click.echo(outcome.ending.word)
    for reason in outcome.reasons:
        click.echo(f"  {reason}")


def _show(document: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def _read(file: Path, lab: bool) -> Topology:
    """Ends with 2 where it is no topology."""
    try:
        return decode(_text(file), Place(allow_loopback=lab))
    except BadInput as error:
        _refuse(file, error)


def _text(file: Path) -> str:
    """Raises BadInput."""
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        is_utf_16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        rule = "UTF-16, as PowerShell's > writes it: save it as UTF-8" if is_utf_16 else f"not UTF-8: {error.reason}"
        raise BadInput.of("$", rule) from error


def _refuse(file: Path, error: BadInput) -> NoReturn:
    many = len(error.problems)
    click.echo(f"{file} cannot be used: {many} fault{'s' * (many > 1)}", err=True)
    for problem in error.problems:
        line = "" if problem.line is None else f"line {problem.line}, "
        click.echo(f"  {line}{problem}", err=True)
    sys.exit(WRONG)


if __name__ == "__main__":
    main()

"""Changes of topology documents that are requested from afar: judged first, conditional, and refused with what to do instead."""

from collections.abc import AsyncIterator, Iterator
from difflib import unified_diff

from function_app.domain.base.errors import BadInput, HopkeeperError, NotNow, Problem
from function_app.domain.peerings.model import Provisioning
from function_app.domain.preflight.facts import Facts
from function_app.domain.preflight.rule import LintFinding, Severity
from function_app.domain.preflight.summary import lint
from function_app.domain.service.record import Record
from function_app.domain.topology.model import RouteServer, Service, Topology
from function_app.domain.topology.peering_names import is_ours
from function_app.reconcile.documents.findings import preflight_finding
from function_app.reconcile.documents.topologies import Applied
from function_app.reconcile.ports import Ports
from function_app.reconcile.store.records import Records
from function_app.reconcile.store.topologies import Expects, Topologies, unquoted


class CannotWork(NotNow):
    """A document in which preflight finds an error by itself."""

    def __init__(self, findings: tuple[LintFinding, ...]) -> None:
        super().__init__(tuple(Problem(f.path, f"{f.rule}: {f.what}: {f.do}") for f in findings))
        self.findings = findings


async def put(topologies: Topologies, name: str, text: str, expects: Expects, anyway: bool) -> Applied:
    """Puts a document in force in place of what is. Raises BadInput for one that is none, or of another topology; CannotWork
    where preflight finds an error and it is not wanted `anyway`; NotNow where it takes away what may serve, or takes what is
    another topology's; Changed where what is there is not what is expected."""
    topology = topologies.decoded(text)
    _check_name(topology, name)
    report = lint(topology, Facts())
    errors = tuple(found for found in report.findings if found.severity is Severity.ERROR)
    if errors and not anyway:
        raise CannotWork(errors)
    before = await topologies.text_or_none(name)
    applied = await topologies.put(text, expects)
    return Applied(
        topology=name,
        etag=unquoted(applied.generation),
        difference="".join(f"{line}\n" for line in changed_lines(name, before or "", text)),
        findings=tuple(map(preflight_finding, report.findings)),
    )


async def difference(topologies: Topologies, name: str, text: str) -> Iterator[str]:
    """Lines of a unified diff from the document in force to this one, none where they are the same. Raises BadInput where there
    is no such topology, and for a document that is none, or another's."""
    before = await topologies.text(name)
    _check_name(topologies.decoded(text), name)
    return changed_lines(name, before, text)


async def remove(ports: Ports, topologies: Topologies, name: str, expects: Expects, anyway: bool) -> None:
    """Takes a topology away. Raises NotNow with what to do first, while a service of it is managed, and, but where it is wanted
    `anyway`, while peerings would stay behind; Changed as `put`."""
    judged = await topologies.newest_etag(name)
    topology = (await topologies.in_force(name)).topology
    problems = [problem async for problem in _managed(ports, topology)]
    if not anyway:
        problems += [problem async for problem in _left_behind(ports, topology)]
    if problems:
        raise NotNow(tuple(problems))
    await topologies.remove(name, judged, expects)


def changed_lines(name: str, before: str, after: str, named: str = "") -> Iterator[str]:
    """A unified diff from the document in force to the one that is `named`, without ends of lines."""
    named = named or f"{name}, proposed"
    return unified_diff(before.splitlines(), after.splitlines(), f"{name}, in force", named, lineterm="")


def _check_name(topology: Topology, name: str) -> None:
    if topology.name != name:
        raise BadInput.of("$.name", f"is {topology.name!r}, and the path names topology {name!r}")


async def _managed(ports: Ports, topology: Topology) -> AsyncIterator[Problem]:
    """Services that something may still be done for, or that may still serve."""
    records = Records(ports.documents)
    for i, service in enumerate(topology.services):
        stored = await records.load(topology, service, ports.clock.now())
        if stored.etag is not None and (why := _why_managed(service, stored.record)):
            yield Problem(f"$.services[{i}]", why)


def _why_managed(service: Service, record: Record) -> str | None:
    leaving = record.leaving
    if leaving is None:
        return f"service {service.name!r} is managed: `retire` it (no member serves any more) or `release` it (roles stay) first"
    return None if leaving.done else f"service {service.name!r} is being {leaving.how}: wait until that is done"


async def _left_behind(ports: Ports, topology: Topology) -> AsyncIterator[Problem]:
    """Route Servers with peerings that this topology made; those that it adopted stay as they are."""
    for i, server in enumerate(topology.route_servers):
        if why := await _why_left(ports, topology, server):
            yield Problem(f"$.routeServers[{i}]", why)


async def _why_left(ports: Ports, topology: Topology, server: RouteServer) -> str | None:
    try:
        reading = await ports.route_servers.read(server)
    except HopkeeperError as error:
        return f"whether peerings would stay behind on {server.name} is not known: {error}"
    there = [peering for peering in reading.peerings if is_ours(peering.name, topology.name)]
    names = sorted(peering.name for peering in there if peering.state is not Provisioning.DELETING)
    if not names:
        return None
    return (
        f"{', '.join(names)} would stay behind on {server.name}: take it out of every `peersWith`, and delete the topology "
        "once passes have deleted them"
    )

"""Preflight of the ids in the document: is there such a thing?"""

from collections.abc import Iterator

from function_app.domain.preflight.facts import Facts
from function_app.domain.preflight.rule import Fault, services, speakers
from function_app.domain.topology.laws.services import pools_of
from function_app.domain.topology.model import Topology


def not_found(topology: Topology, facts: Facts) -> Iterator[Fault]:
    """What ARM answers 404 for. A machine is not read: its network interface says which one it is attached to."""
    missing = facts.arm.missing if facts.arm else {}
    for path, resource in _read(topology):
        if resource.casefold() in missing:
            do = "write it as Azure shows it (az resource list --query [].id), or make what it names"
            yield Fault(path, f"not found: check the id {resource}", do)
    for path, speaker in speakers(topology):
        interface = facts.interface(speaker.name)
        machine = interface.machine if interface is not None else None
        if speaker.vm is not None and machine is not None and machine.casefold() != speaker.vm.casefold():
            what = f"the interface of {speaker.name} is not attached to {speaker.vm}, but to {machine}"
            yield Fault(f"{path}.vm", what, "check both ids: events of the machine are taken for the speaker's")


def _read(topology: Topology) -> Iterator[tuple[str, str]]:
    """Each id that is read, and where the document names it."""
    for i, server in enumerate(topology.route_servers):
        yield f"$.routeServers[{i}].id", server.id
    for path, speaker in speakers(topology):
        if speaker.interface is not None:
            yield f"{path}.interface", speaker.interface
    for i, scale_set in enumerate(topology.scale_sets):
        yield f"$.scaleSets[{i}].id", scale_set.id
    for path, service in services(topology):
        for where, pool in pools_of(service, path):
            yield f"{where}.id", pool.id
    for i, peering in enumerate(topology.network_peerings):
        yield f"$.networkPeerings[{i}].id", peering.id

"""Laws of names and resource ids: every name is one thing's only, and every id is of the right type."""

import re
from collections.abc import Iterator

from function_app.domain.base.azure_limits import RESOURCE_NAME_MAX
from function_app.domain.base.errors import Problem
from function_app.domain.topology.laws.reserved import Place
from function_app.domain.topology.laws.services import pools_of
from function_app.domain.topology.model import RouteServer, Service, Speaker, Topology
from function_app.domain.topology.peering_names import AGAIN, peering_name

ROUTE_SERVER = "Microsoft.Network/virtualHubs/{name}"
LOAD_BALANCER = "Microsoft.Network/loadBalancers/{name}"
INTERFACE = "Microsoft.Network/networkInterfaces/{name}"
NETWORK_PEERING = "Microsoft.Network/virtualNetworks/{network}/virtualNetworkPeerings/{name}"
SCALE_SET = "Microsoft.Compute/virtualMachineScaleSets/{name}"
MACHINE = "Microsoft.Compute/virtualMachines/{name}"
INSTANCE = "Microsoft.Compute/virtualMachineScaleSets/{name}/virtualMachines/{instance}"
"""What an id ends in."""


def names_are_unique(topology: Topology, _: Place) -> Iterator[Problem]:
    kinds: tuple[tuple[str, tuple[RouteServer | Speaker | Service, ...]], ...] = (
        ("routeServers", topology.route_servers),
        ("speakers", topology.speakers),
        ("services", topology.services),
    )
    for key, listed in kinds:
        taken: set[str] = set()
        for i, each in enumerate(listed):
            if each.name in taken:
                yield Problem(f"$.{key}[{i}].name", f"the name {each.name!r} is taken: names are unique")
            taken.add(each.name)


def services_are_known_by_one_name(topology: Topology, _: Place) -> Iterator[Problem]:
    """Records and agents go by `Service.key`: a former name is no other service's, former or not."""
    taken: dict[str, str] = {}
    for i, service in enumerate(topology.services):
        owner = taken.setdefault(service.key, service.name)
        if owner != service.name:
            yield Problem(f"$.services[{i}]", f"{service.key!r} is, or was formerly, the name of service {owner!r}")


def longest_peering_name(topology: Topology, speaker: str) -> str:
    """The name of a speaker's peering where an older one of the same speaker is still there."""
    return peering_name(topology.name, speaker) + AGAIN[0]


def peering_names_are_short(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, speaker in enumerate(topology.speakers):
        if len(longest_peering_name(topology, speaker.name)) > RESOURCE_NAME_MAX:
            rule = f"with the topology's it makes a peering name longer than {RESOURCE_NAME_MAX} characters"
            yield Problem(f"$.speakers[{i}].name", rule)


def route_servers_are_listed_once(topology: Topology, _: Place) -> Iterator[Problem]:
    listed: set[str] = set()
    for i, server in enumerate(topology.route_servers):
        resource = server.id.casefold()
        if resource in listed:
            yield Problem(f"$.routeServers[{i}].id", "this Route Server is already listed")
        listed.add(resource)


def ids_are_of_their_type(topology: Topology, _: Place) -> Iterator[Problem]:
    """Nothing below what is meant either: a backend pool's id is no load balancer's."""
    for i, server in enumerate(topology.route_servers):
        yield from _of_type(f"$.routeServers[{i}].id", server.id, "a Route Server's", ROUTE_SERVER)
    for i, speaker in enumerate(topology.speakers):
        if speaker.vm is not None and not _ends_in(speaker.vm, INSTANCE):
            yield from _of_type(f"$.speakers[{i}].vm", speaker.vm, "a virtual machine's", MACHINE)
        if speaker.interface is not None:
            yield from _of_type(f"$.speakers[{i}].interface", speaker.interface, "its", INTERFACE)
    for i, scale_set in enumerate(topology.scale_sets):
        yield from _of_type(f"$.scaleSets[{i}].id", scale_set.id, "a scale set's", SCALE_SET)
    for i, service in enumerate(topology.services):
        for path, pool in pools_of(service, f"$.services[{i}]"):
            yield from _of_type(f"{path}.id", pool.id, "a load balancer's", LOAD_BALANCER)
    for i, peering in enumerate(topology.network_peerings):
        yield from _of_type(f"$.networkPeerings[{i}].id", peering.id, "its", NETWORK_PEERING)


def _of_type(path: str, resource: str, whose: str, shape: str) -> Iterator[Problem]:
    if not _ends_in(resource, shape):
        yield Problem(path, f"{whose} id ends in {shape}")


def _ends_in(resource: str, shape: str) -> bool:
    """Whether that is all that follows `/providers/`; ids are compared without case."""
    _, _, found = resource.partition("/providers/")
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", shape), found, re.IGNORECASE) is not None


def network_peerings_have_names_of_their_own(topology: Topology, _: Place) -> Iterator[Problem]:
    taken = {server.name for server in topology.route_servers}
    for i, peering in enumerate(topology.network_peerings):
        if peering.name in taken:
            yield Problem(f"$.networkPeerings[{i}].name", f"the name {peering.name!r} is taken: names are unique")
        taken.add(peering.name)

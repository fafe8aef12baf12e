"""Laws of names and resource ids: every name is one thing's only, and every id is of the right type."""

import re
from collections.abc import Iterator

from function_app.domain.base.azure_limits import RESOURCE_NAME_MAX
from function_app.domain.base.errors import Problem
from function_app.domain.topology.laws.reserved import Place
from function_app.domain.topology.model import RouteServer, Service, Speaker, Topology
from function_app.domain.topology.peering_names import AGAIN, peering_name

INTERFACE = re.compile(r"/providers/microsoft\.network/networkinterfaces/[^/]+$")
NETWORK_PEERING = re.compile(r"/providers/microsoft\.network/virtualnetworks/[^/]+/virtualnetworkpeerings/[^/]+$")


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
        if "/providers/microsoft.network/virtualhubs/" not in resource:
            yield Problem(f"$.routeServers[{i}].id", "a Route Server's id ends in Microsoft.Network/virtualHubs/{name}")


def network_ids_fit(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, speaker in enumerate(topology.speakers):
        if speaker.interface is not None and not INTERFACE.search(speaker.interface.casefold()):
            yield Problem(f"$.speakers[{i}].interface", "its id ends in Microsoft.Network/networkInterfaces/{name}")
    taken = {server.name for server in topology.route_servers}
    for i, peering in enumerate(topology.network_peerings):
        if not NETWORK_PEERING.search(peering.id.casefold()):
            shape = "virtualNetworks/{network}/virtualNetworkPeerings/{name}"
            yield Problem(f"$.networkPeerings[{i}].id", f"its id ends in Microsoft.Network/{shape}")
        if peering.name in taken:
            yield Problem(f"$.networkPeerings[{i}].name", f"the name {peering.name!r} is taken: names are unique")
        taken.add(peering.name)

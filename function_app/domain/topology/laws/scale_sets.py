"""Laws of scale sets: their instances can become speakers, each with a name of its own."""

import re
from collections.abc import Iterator

from function_app.domain.base.azure_limits import RESERVED_ASN, RESERVED_ASNS, RESOURCE_NAME_MAX
from function_app.domain.base.errors import Problem, among
from function_app.domain.topology.laws.names import longest_peering_name
from function_app.domain.topology.laws.reserved import Place
from function_app.domain.topology.model import Topology

INSTANCE_DIGITS_MAX = 6


def names_are_free(topology: Topology, _: Place) -> Iterator[Problem]:
    speakers = [speaker.name for speaker in topology.speakers]
    taken = {*speakers, *(server.name for server in topology.route_servers)}
    for i, scale_set in enumerate(topology.scale_sets):
        path = f"$.scaleSets[{i}].name"
        if scale_set.name in taken:
            yield Problem(path, f"the name {scale_set.name!r} is taken: names are unique")
        taken.add(scale_set.name)
        for name in speakers:
            if re.fullmatch(rf"{scale_set.name}-\d+", name):
                yield Problem(path, f"speaker {name!r} has the name of an instance")
        if len(longest_peering_name(topology, f"{scale_set.name}-{'9' * INSTANCE_DIGITS_MAX}")) > RESOURCE_NAME_MAX:
            rule = f"with the topology's and an instance's it makes a peering name longer than {RESOURCE_NAME_MAX}"
            yield Problem(path, rule)


def instances_can_peer(topology: Topology, _: Place) -> Iterator[Problem]:
    servers = {server.name for server in topology.route_servers}
    for i, scale_set in enumerate(topology.scale_sets):
        path = f"$.scaleSets[{i}]"
        if scale_set.asn in RESERVED_ASNS:
            yield Problem(f"{path}.asn", f"ASN {scale_set.asn} {RESERVED_ASN}")
        for j, name in enumerate(scale_set.peers_with):
            if name not in servers:
                yield Problem(f"{path}.peersWith[{j}]", f"no Route Server is named {name!r}{among(name, servers)}")

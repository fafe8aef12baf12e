"""Speakers that come from scale sets: which instances are peered with a Route Server, and which are not, and why.

An instance has no agent and no part in a service: it announces by its own configuration, and its peering is all that is
kept here. Peerings are made and removed by the same plan and guards as everybody's.

| instance                                  | its peering                                                       |
|-------------------------------------------|-------------------------------------------------------------------|
| listed, with an address in the networks   | wanted, as speaker `{scale set}-{instance}`                       |
| listed, Deleting                          | kept if it is there, not made: it withdraws its routes by itself  |
| gone, its session still Connected         | kept: it is not drained yet                                       |
| gone                                      | stale: removed under the guards                                   |
| with the address of a declared speaker    | that speaker's                                                    |
| with an address outside the networks      | none, and a reason says so                                        |
| of a set that cannot be listed            | whatever may be an instance's is neither made nor removed         |

An empty list is a list: what the set announces is kept all the same until somebody else announces it (`coverage`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from msgspec.structs import replace

from function_app.domain.peerings.model import Peering, RouteServerReading
from function_app.domain.topology.model import RouteServer, ScaleSet, Speaker, Topology
from function_app.domain.topology.peering_names import is_ours, speaker_named


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance as Azure lists its primary network interface."""

    id: str
    address: IPv4Address
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """The topology with its instances among the speakers, and what an operator should know of them."""

    topology: Topology
    told: tuple[str, ...]
    unlisted: frozenset[str] = frozenset()
    """Scale sets that could not be listed, by name."""
    possible: Mapping[str, str] = field(default_factory=dict)
    """By name (casefolded) of a connection that may be of an instance of one of these, the scale set's name."""


def with_instances(
    topology: Topology,
    server: RouteServer,
    reading: RouteServerReading,
    listed: Mapping[str, tuple[Instance, ...] | str],
) -> Fleet:
    """The topology as this Route Server's plan needs it; `listed` holds the instances by name of scale set, or why it
    could not be listed: then whoever may be an instance of it is taken for one that stays."""
    speakers: list[Speaker] = []
    told: list[str] = []
    possible: dict[str, str] = {}
    taken = {s.address for s in topology.speakers}
    for scale_set in topology.scale_sets:
        if scale_set.name not in listed:
            continue
        instances = listed[scale_set.name]
        if isinstance(instances, str):
            told.append(f"{instances}: no peering that may be an instance's is made or deleted")
            for peering, name in _possible(topology, server, reading, scale_set):
                possible[peering.name.casefold()] = scale_set.name
                if peering.address is not None and peering.address not in taken:
                    taken.add(peering.address)
                    speaker = _speaker(scale_set, name, peering.address)
                    # As its peering has it; what it announces nobody knows, so it stands in for nobody.
                    speakers.append(replace(speaker, asn=peering.asn or scale_set.asn, announces=()))
            continue
        for instance in sorted(instances, key=lambda i: (len(i.id), i.id)):
            name = instance_name(scale_set, instance.id)
            if instance.address in taken:
                continue
            if not any(instance.address in network for network in topology.networks):
                told.append(f"{name}: {instance.address} is outside the declared networks: not peered")
            elif not instance.leaving or _peered(topology, reading, instance.address):
                taken.add(instance.address)
                speakers.append(_speaker(scale_set, name, instance.address))
        names = {instance_name(scale_set, instance.id) for instance in instances}
        for peering, speaker in _undrained(topology, server, reading, scale_set):
            if speaker.address not in taken and speaker.name not in names:
                taken.add(speaker.address)
                speakers.append(speaker)
                told.append(f"{peering.name}: {speaker.name} is gone, its session is Connected: kept until it is not")
    unlisted = frozenset(name for name, instances in listed.items() if isinstance(instances, str))
    return Fleet(replace(topology, speakers=(*topology.speakers, *speakers)), tuple(told), unlisted, possible)


def instance_name(scale_set: ScaleSet, instance: str) -> str:
    return f"{scale_set.name}-{instance}"


def is_named_for(scale_set: ScaleSet, name: str) -> bool:
    """Whether a speaker of this name is an instance of the set."""
    return re.fullmatch(rf"{re.escape(scale_set.name)}-\d+", name) is not None


def _speaker(scale_set: ScaleSet, name: str, address: IPv4Address) -> Speaker:
    return Speaker(
        name=name,
        address=address,
        asn=scale_set.asn,
        peers_with=scale_set.peers_with,
        priority=scale_set.priority,
        announces=scale_set.announces,
    )


def _peered(topology: Topology, reading: RouteServerReading, address: IPv4Address) -> bool:
    return any(p.address == address and is_ours(p.name, topology.name) for p in reading.peerings)


def _possible(
    topology: Topology, server: RouteServer, reading: RouteServerReading, scale_set: ScaleSet
) -> Iterator[tuple[Peering, str]]:
    """Connections of ours behind which an instance may be, and its name: what is named for one, and what nobody else
    that we know is behind, in the set's AS; an instance may have an address that another speaker had."""
    others = [s for s in topology.scale_sets if s.name != scale_set.name]
    for peering in sorted(reading.peerings, key=lambda p: p.name):
        name = speaker_named(topology, server, peering.name)
        if name is None:
            continue
        known = any(s.name == name for s in topology.speakers) or any(is_named_for(other, name) for other in others)
        if is_named_for(scale_set, name) or (not known and peering.asn in (None, scale_set.asn)):
            yield peering, name


def _undrained(
    topology: Topology, server: RouteServer, reading: RouteServerReading, scale_set: ScaleSet
) -> Iterator[tuple[Peering, Speaker]]:
    """Peerings of instances, listed or not, behind which somebody still speaks."""
    for peering in sorted(reading.peerings, key=lambda p: p.name):
        name = speaker_named(topology, server, peering.name) if is_ours(peering.name, topology.name) else None
        if name is None or not is_named_for(scale_set, name):
            continue
        if peering.connection_state == "Connected" and peering.address and peering.asn == scale_set.asn:
            yield peering, _speaker(scale_set, name, peering.address)

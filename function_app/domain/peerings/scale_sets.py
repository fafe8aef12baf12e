"""Speakers that come from scale sets: which instances are peered with a Route Server, which are not, and why.

An instance has no agent and no part in a service: it announces by its own configuration, and only its peering is kept.
The same plan and guards as for declared speakers make and remove that peering. The first row that fits counts:

| instance                                           | its peering                                                      |
|----------------------------------------------------|------------------------------------------------------------------|
| in a scale set that cannot be listed               | a peering that may be an instance's is neither made nor removed  |
| has the address of a declared speaker              | belongs to that speaker                                          |
| has an address outside the topology's networks     | none, with a note                                                |
| listed as Deleting, not peered                     | none                                                             |
| listed as Deleting, peered                         | kept: it withdraws its routes itself                             |
| listed                                             | wanted, for the speaker `{scale set}-{instance}`                 |
| no longer listed, its BGP session still Connected  | kept until the session is down, with a note                      |
| no longer listed                                   | superfluous: removed under the guards                            |

A list without instances is an answer like any other: what the set announces is kept until another peering announces it
(`coverage`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from msgspec.structs import replace

from function_app.domain.peerings.model import Peering, RouteServerReading
from function_app.domain.topology.model import Announcement, RouteServer, ScaleSet, Speaker, Topology
from function_app.domain.topology.peering_names import is_ours, speaker_named


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a scale set as Azure lists its primary network interface; `leaving`: it is being deleted."""

    id: str
    address: IPv4Address
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """The topology with the instances of scale sets among its speakers, and what an operator should know of them."""

    topology: Topology
    notes: tuple[str, ...]
    unlisted: frozenset[str] = frozenset()
    """Scale sets that could not be listed, by name."""
    possible: Mapping[str, str] = field(default_factory=dict)
    """Peerings that may belong to an instance of such a scale set: the peering's name (casefolded), and the set's."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A speaker that joins unless its address is taken, a note for the operator that goes with it, or a note alone."""

    speaker: Speaker | None
    note: str | None = None


def with_instances(
    topology: Topology,
    server: RouteServer,
    reading: RouteServerReading,
    listed: Mapping[str, tuple[Instance, ...] | str],
) -> Fleet:
    """The topology as the plan of this Route Server needs it. `listed`: by name of scale set its instances, or the error.

    Of a set that could not be listed, every speaker that may be an instance of it stays.
    """
    speakers: list[Speaker] = []
    notes: list[str] = []
    taken = {speaker.address for speaker in topology.speakers}
    for candidate in _candidates(topology, server, reading, listed):
        if candidate.speaker is not None:
            if candidate.speaker.address in taken:
                continue
            taken.add(candidate.speaker.address)
            speakers.append(candidate.speaker)
        if candidate.note is not None:
            notes.append(candidate.note)
    failed = [scale_set for scale_set in topology.scale_sets if isinstance(listed.get(scale_set.name), str)]
    possible = {p.name.casefold(): s.name for s in failed for p, _ in _possible(topology, server, reading, s)}
    grown = replace(topology, speakers=(*topology.speakers, *speakers))
    return Fleet(grown, tuple(notes), frozenset(scale_set.name for scale_set in failed), possible)


def _candidates(
    topology: Topology,
    server: RouteServer,
    reading: RouteServerReading,
    listed: Mapping[str, tuple[Instance, ...] | str],
) -> Iterator[_Candidate]:
    for scale_set in topology.scale_sets:
        answer = listed.get(scale_set.name)
        if isinstance(answer, str):
            yield _Candidate(None, f"{answer}: no peering that may be an instance's is made or deleted")
            yield from _of_unlisted(topology, server, reading, scale_set)
        elif answer is not None:
            yield from _of_listed(topology, reading, scale_set, answer)
            names = frozenset(instance_name(scale_set, instance.id) for instance in answer)
            yield from _undrained(topology, server, reading, scale_set, names)


def _of_listed(
    topology: Topology, reading: RouteServerReading, scale_set: ScaleSet, instances: tuple[Instance, ...]
) -> Iterator[_Candidate]:
    for instance in sorted(instances, key=lambda i: (len(i.id), i.id)):
        name = instance_name(scale_set, instance.id)
        if not any(instance.address in network for network in topology.networks):
            yield _Candidate(None, f"{name}: {instance.address} is outside the declared networks: not peered")
        elif not instance.leaving or _peered(topology, reading, instance.address):
            yield _Candidate(_speaker(scale_set, name, instance.address))


def _of_unlisted(
    topology: Topology, server: RouteServer, reading: RouteServerReading, scale_set: ScaleSet
) -> Iterator[_Candidate]:
    """As the peering has it. What it announces is unknown, so it is no reason to let another peering go."""
    for peering, name in _possible(topology, server, reading, scale_set):
        if peering.address is not None:
            speaker = _speaker(scale_set, name, peering.address)
            yield _Candidate(replace(speaker, asn=peering.asn or scale_set.asn, own=()))


def instance_name(scale_set: ScaleSet, instance: str) -> str:
    """The speaker's name: `{scale set}-{instance id}`."""
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
        own=tuple(Announcement(prefix=prefix) for prefix in scale_set.announces),
    )


def may_be_alive(topology: Topology, server: RouteServer, peering: Peering) -> bool:
    """Whether it is named for an instance that is not among the speakers of `topology` (`Fleet`), and that one listing alone says
    that it is gone: lists of Azure may be a while old, or lack a page."""
    name = speaker_named(topology, server, peering.name)
    if name is None or peering.connection_state is not None or any(s.name == name for s in topology.speakers):
        return False
    return any(is_named_for(scale_set, name) for scale_set in topology.scale_sets)


def _peered(topology: Topology, reading: RouteServerReading, address: IPv4Address) -> bool:
    return any(p.address == address and is_ours(p.name, topology.name) for p in reading.peerings)


def _possible(
    topology: Topology, server: RouteServer, reading: RouteServerReading, scale_set: ScaleSet
) -> Iterator[tuple[Peering, str]]:
    """Peerings of ours behind which an instance may be, each with that instance's name.

    Those named for an instance of the set, and in the set's AS those named for no speaker or other scale set that is
    declared: an instance may have taken over the address of a speaker that left.
    """
    for peering in sorted(reading.peerings, key=lambda p: p.name):
        name = speaker_named(topology, server, peering.name)
        if name is None:
            continue
        declared = any(s.name == name for s in topology.speakers)
        of_a_set = any(is_named_for(each, name) for each in topology.scale_sets)
        in_its_as = peering.asn in (None, scale_set.asn)
        if is_named_for(scale_set, name) or (in_its_as and not declared and not of_a_set):
            yield peering, name


def _undrained(
    topology: Topology, server: RouteServer, reading: RouteServerReading, scale_set: ScaleSet, listed: frozenset[str]
) -> Iterator[_Candidate]:
    """Speakers that are no longer `listed`, by name, whose BGP session with the Route Server is still Connected."""
    for peering in sorted(reading.peerings, key=lambda p: p.name):
        name = speaker_named(topology, server, peering.name)
        if name is None or name in listed or not is_named_for(scale_set, name):
            continue
        if peering.connection_state == "Connected" and peering.address and peering.asn == scale_set.asn:
            note = f"{peering.name}: {name} is gone, its session is Connected: kept until it is not"
            yield _Candidate(_speaker(scale_set, name, peering.address), note)

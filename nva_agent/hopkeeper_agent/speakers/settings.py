"""What every kind of speaker is configured with: the keys of `[speaker]` that all kinds share, and their rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Annotated

from hopkeeper_agent.decoding import (
    PORT_MAX,
    Address,
    Flag,
    Flat,
    Key,
    Prefixes,
    Rule,
    choice,
    seconds,
    whole,
)
from hopkeeper_agent.role import Toward
from hopkeeper_agent.speakers import Session, SessionState

OWN_ASN_MAX = 65534
"""A Route Server peers with 2-byte ASNs only."""

_COMMUNITY = re.compile(r"(\d{1,5}):(\d{1,5})")


def _communities(value: object) -> tuple[str, ...]:
    """In the order in which daemons show them, each once."""
    if not isinstance(value, list):
        raise ValueError
    for text in value:
        match = _COMMUNITY.fullmatch(str(text))
        if match is None or max(int(part) for part in match.groups()) > PORT_MAX:
            raise ValueError(f"{text} is none")
    return tuple(sorted(set(value), key=lambda text: [int(part) for part in text.split(":")]))


Asn = Annotated[int, whole(1, 2**32 - 1)]
OwnAsn = Annotated[int, whole(1, OWN_ASN_MAX)]
Communities = Annotated[tuple[str, ...], Rule("a list of communities, each two numbers, as 65001:100", _communities)]


@dataclass(frozen=True, slots=True)
class BgpNeighbour:
    """A neighbour of the speaker. It is sent only the advertisements of its group `toward`."""

    address: Address
    asn: Asn
    toward: Annotated[Toward, Key("group"), choice({toward.value: toward for toward in Toward})] = Toward.ROUTE_SERVERS


@dataclass(frozen=True, slots=True)
class Client:
    """A speaker whose routes this hub speaker passes on: these prefixes, with nothing but its ASN in the AS path.

    `listen` (ExaBGP only): the client opens the session.
    """

    address: Address
    asn: Asn
    prefixes: Prefixes
    listen: Flag = False


@dataclass(frozen=True, slots=True)
class Budget:
    """How many prefixes a neighbour bears at once: those it holds plus those of the next UPDATE.

    `split`: a change beyond that is announced in batches; otherwise it is refused.
    """

    prefixes: Annotated[int, Key("prefix_budget"), whole(1, 1_000_000)] = 1000
    split: Annotated[bool, Key("over_budget"), choice({"split": True, "refuse": False})] = True


@dataclass(frozen=True, slots=True)
class SpeakerSettings:
    """What all kinds share. `communities` go with every advertisement; `fatal`: without its daemon the appliance is unfit."""

    asn: OwnAsn
    neighbours: Annotated[tuple[BgpNeighbour, ...], Key("neighbors")] = ()
    clients: tuple[Client, ...] = ()
    communities: Communities = ()
    budget: Annotated[Budget, Flat()] = Budget()
    fatal: Flag = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "clients", tuple(sorted(self.clients, key=lambda client: client.address)))

    @property
    def outward(self) -> frozenset[IPv4Address]:
        """The neighbours on-premises."""
        return frozenset(item.address for item in self.neighbours if item.toward is Toward.OUTWARD)

    def next_hop(self, agent: IPv4Address) -> IPv4Address:
        """The next hop of what is announced on-premises: this appliance, as it speaks BGP. `agent` is the agent's address."""
        return agent

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """What is wrong between keys, as (key, rule)."""
        neighbours = [item.address for item in self.neighbours]
        if not neighbours:
            yield "neighbors", "missing, a speaker needs at least one"
        if len(set(neighbours)) != len(neighbours):
            yield "neighbors", "every address must be a different one"
        others = [item.address for item in self.clients]
        if len({*neighbours, *others}) != len(neighbours) + len(others):
            yield "clients", "every address must be a different one, and no neighbour's"


@dataclass(frozen=True, slots=True)
class DaemonSettings(SpeakerSettings):
    """A daemon that the operator configured and started. `address`: the speaker's own, where the agent has another one;
    `poll_seconds`: how often its sessions are read."""

    address: Address | None = None
    poll_seconds: Annotated[float, seconds(0.02, 60)] = 0.2

    def next_hop(self, agent: IPv4Address) -> IPv4Address:
        """The speaker's own address."""
        return self.address or agent

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """What is wrong between keys, as (key, rule)."""
        yield from SpeakerSettings.mistakes(self)
        if any(client.listen for client in self.clients):
            yield "clients", "listen is for kind exabgp: with this kind the operator configures the sessions"


def unknown_sessions(neighbours: Iterable[BgpNeighbour]) -> dict[IPv4Address, Session]:
    """The sessions with these neighbours by address, before the daemon was read."""
    return {item.address: Session(SessionState.UNKNOWN, None, toward=item.toward) for item in neighbours}

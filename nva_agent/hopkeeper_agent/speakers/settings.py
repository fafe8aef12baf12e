"""What every kind of speaker is configured with, whichever daemon it drives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from hopkeeper_agent.role import Toward
from hopkeeper_agent.speakers import Session, SessionState

PREFIX_BUDGET = 1000
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class BgpNeighbour:
    """One neighbour of the speaker, and which advertisements it gets: those of its group alone."""

    address: IPv4Address
    asn: int
    toward: Toward = Toward.ROUTE_SERVERS


@dataclass(frozen=True, slots=True)
class Client:
    """A speaker whose routes this hub speaker passes on: these prefixes with nothing but this ASN in the AS path.

    `listen` (ExaBGP only): the client opens the session.
    """

    address: IPv4Address
    asn: int
    prefixes: tuple[IPv4Network, ...]
    listen: bool = False


@dataclass(frozen=True, slots=True)
class Relay:
    """Routes that are passed on between neighbours, from both instances of one Route Server to both of another."""

    sources: tuple[IPv4Address, ...]
    targets: tuple[IPv4Address, ...]
    prefixes: tuple[IPv4Network, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """How many prefixes a neighbour bears at once: those it holds and those of the next UPDATE, added up.

    `split`: whether what goes beyond is announced in batches, or else refused.
    """

    prefixes: int = PREFIX_BUDGET
    split: bool = True


DEFAULT_BUDGET = Budget()


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """A daemon that the operator configured and started. `fatal`: whether its death makes the appliance unfit."""

    asn: int
    neighbours: tuple[BgpNeighbour, ...]
    clients: tuple[Client, ...] = ()
    communities: tuple[str, ...] = ()
    budget: Budget = DEFAULT_BUDGET
    poll_seconds: float = POLL_SECONDS
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class BirdSettings:
    """BIRD 2: its control socket, and the file that its configuration includes and only we write."""

    daemon: DaemonSettings
    control: Path
    include: Path


@dataclass(frozen=True, slots=True)
class FrrSettings:
    """FRR: the vty socket of its bgpd."""

    daemon: DaemonSettings
    vty: Path


def unknown_sessions(neighbours: Iterable[BgpNeighbour]) -> dict[IPv4Address, Session]:
    """The sessions with these neighbours by address, before the daemon was read."""
    return {item.address: Session(SessionState.UNKNOWN, None, toward=item.toward) for item in neighbours}

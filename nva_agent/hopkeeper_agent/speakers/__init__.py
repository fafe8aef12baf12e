"""The port for BGP speakers: announce, and read the sessions.

An announcement replaces all earlier ones, with one UPDATE per changed prefix and never a withdrawal followed by an
announcement: these are two changes, and a Route Server programs a prefix at most once in 30 s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Protocol

from hopkeeper_agent.peers import Reading
from hopkeeper_agent.role import Advertisement, Toward


class SpeakerError(Exception):
    """It is not certain that the neighbours have been sent the routes."""


class SessionState(StrEnum):
    """Established, or any other state of RFC 4271 (down); unknown until the daemon was read."""

    ESTABLISHED = "established"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Session:
    """The session with one neighbour of the group `toward`; `since` is None while its state is unknown.

    `sent`: our advertisements as the neighbour was last sent them; `hold_seconds`: after which it ends in silence, as
    negotiated, or where only that is known the time that we offer, which is never shorter. Both None where the daemon does
    not report it.
    """

    state: SessionState
    since: datetime | None
    sent: tuple[Advertisement, ...] | None = None
    toward: Toward = Toward.ROUTE_SERVERS
    hold_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a speaker finds out about itself, reported among the self-checks. `detail` is empty while all is well."""

    value: Reading
    detail: str = ""
    fatal: bool = False


class Speaker(Protocol):
    """Announces routes by BGP."""

    async def start(self) -> None:
        """Begin to speak, or take over the daemon that an earlier agent left running."""

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        """Replace everything announced to a group of neighbours.

        Raises SpeakerError unless every established session with a Route Server was certainly sent the change. It waits for
        no outward neighbour, and their failures delay no Route Server.
        """

    def sessions(self) -> Mapping[IPv4Address, Session]:
        """The sessions by neighbour address."""

    def findings(self) -> Mapping[str, Finding]:
        """Whether the daemon runs ("speaker"), and what is wrong with its configuration ("speaker-…")."""

    async def close(self) -> None:
        """Close the connection to the daemon. The routes stay announced: they must outlive an agent that ends."""


class NoSpeaker:
    """The speaker of an appliance that speaks BGP by other means: it announces nothing."""

    async def start(self) -> None:
        """Nothing to start."""

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        """Refuse advertisements, as no neighbour would be sent them. Raises SpeakerError."""
        if advertisements:
            raise SpeakerError("no speaker is configured")

    def sessions(self) -> Mapping[IPv4Address, Session]:
        """None."""
        return {}

    def findings(self) -> Mapping[str, Finding]:
        """None."""
        return {}

    async def close(self) -> None:
        """Nothing to close."""

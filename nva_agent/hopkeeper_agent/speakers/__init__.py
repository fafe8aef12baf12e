"""The speaker port: one verb, `announce`, and the state of the sessions it speaks on.

A speaker replaces all it announces, as one UPDATE per changed prefix and never as a withdraw followed by an announce:
a Route Server programs a prefix at most once in 30 s, and withdraw plus announce are two changes.
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
    """It is not certain that the neighbours have been told."""


class SessionState(StrEnum):
    """Of the RFC 4271 states only what matters here."""

    ESTABLISHED = "established"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Session:
    """The session with one neighbour of the group `toward`; `since` is None while its state is unknown.

    `sent`: our advertisements as the neighbour was last sent them; None where the daemon does not report it.
    """

    state: SessionState
    since: datetime | None
    sent: tuple[Advertisement, ...] | None = None
    toward: Toward = Toward.ROUTE_SERVERS


@dataclass(frozen=True, slots=True)
class Finding:
    """What a speaker found of itself, reported beside the self-checks. `detail` is empty while all is well."""

    value: Reading
    detail: str = ""
    fatal: bool = False


class Speaker(Protocol):
    """What announces."""

    async def start(self) -> None:
        """Begin to speak, or take over the daemon that an earlier agent left speaking."""

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        """Replace everything announced to a group of neighbours.

        Raises SpeakerError if it is not certain that every Route Server was told. Outward neighbours are not waited
        for, and what becomes of them never keeps a Route Server waiting.
        """

    def sessions(self) -> Mapping[IPv4Address, Session]:
        """The sessions by neighbour address."""

    def findings(self) -> Mapping[str, Finding]:
        """Whether the daemon lives ("speaker"), and what is wrong with its configuration ("speaker-…")."""

    async def close(self) -> None:
        """Let go. What is announced stays announced: an agent that ends must not end the routes."""


class Mute:
    """The speaker of an appliance that speaks BGP by other means: there is nothing to announce with."""

    async def start(self) -> None:
        """Nothing to begin."""

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        """Refuse advertisements: nobody would hear them."""
        if advertisements:
            raise SpeakerError("no speaker is configured")

    def sessions(self) -> Mapping[IPv4Address, Session]:
        """None."""
        return {}

    def findings(self) -> Mapping[str, Finding]:
        """None."""
        return {}

    async def close(self) -> None:
        """Nothing to let go."""

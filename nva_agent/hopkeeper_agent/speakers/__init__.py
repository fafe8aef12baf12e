"""The port for BGP speakers: announce, and read the sessions.

An announcement replaces all earlier ones, with one UPDATE per changed prefix and never a withdrawal followed by an
announcement: these are two changes, and a Route Server programs a prefix at most once in 30 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Protocol

from hopkeeper_agent.peers import Reading
from hopkeeper_agent.role import Advertisement, Toward


class SpeakerError(Exception):
    """It is not certain that the neighbours have been sent the routes."""


class Unsent:
    """Why Route Servers are not certainly sent what was ordered last; `why` is empty where they are."""

    def __init__(self, why: str) -> None:
        self.why = why

    @contextmanager
    def noted(self, toward: Toward) -> Iterator[None]:
        """Around a trial to send: one toward Route Servers gives the next reason, or ends it."""
        try:
            yield
        except SpeakerError as error:
            if toward is Toward.ROUTE_SERVERS:
                self.why = str(error)
            raise
        if toward is Toward.ROUTE_SERVERS:
            self.why = ""


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

    def unsent(self) -> str:
        """Why Route Servers are not certainly sent what was ordered last, and nothing else of it; empty where they are."""

    def sessions(self) -> Mapping[IPv4Address, Session]:
        """The sessions by neighbour address."""

    def findings(self) -> Mapping[str, Finding]:
        """Whether the daemon runs ("speaker"), and what is wrong with its configuration ("speaker-…")."""

    async def close(self) -> None:
        """Close the connection to the daemon. The routes stay announced: they must outlive an agent that ends."""


class NoSpeaker:
    """The speaker of an appliance that speaks BGP by other means: it announces nothing, and touches no daemon.

    `announces`: what the operator's own configuration announces, by the operator's word. An order for exactly that is
    obeyed already; that is all that is known here, so every other order is refused: an acceptance is a proof elsewhere.
    """

    def __init__(self, announces: Sequence[Advertisement] = ()) -> None:
        self._announces = frozenset(announces)
        self._refused = ""
        self._why = ""

    async def start(self) -> None:
        """Nothing to start."""

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        """Raises SpeakerError for anything but what is announced already."""
        self._refused = self._why = ""
        if frozenset(advertisements) == self._announces:
            return
        if not self._announces:
            self._why = "no speaker is configured"
            raise SpeakerError(self._why)
        self._why = refused = (
            f"the operator's own configuration announces {_listed(self._announces)}, and no agent changes it"
        )
        # Nothing is commanded until the first order; that is no disagreement.
        self._refused = f"{refused}: commanded is {_listed(advertisements)}" if advertisements else ""
        raise SpeakerError(refused)

    def unsent(self) -> str:
        """Why the last order was refused."""
        return self._why

    def sessions(self) -> Mapping[IPv4Address, Session]:
        """None."""
        return {}

    def findings(self) -> Mapping[str, Finding]:
        """That what is sent is not known here, where something is announced, and whether another order was refused."""
        if not self._announces:
            return {}
        unseen = Finding(Reading.UNKNOWN, "not seen here: the operator's own configuration announces")
        agrees = Finding(Reading.BAD, self._refused) if self._refused else Finding(Reading.OK)
        return {"speaker": unseen, "speaker-announced": agrees}

    async def close(self) -> None:
        """Nothing to close."""


def _listed(advertisements: Iterable[Advertisement]) -> str:
    return ", ".join(sorted(f"{a.prefix} next hop {a.next_hop} prepend {a.prepend}" for a in advertisements))

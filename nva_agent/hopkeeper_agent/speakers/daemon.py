"""Announces through a daemon that the operator runs, such as BIRD or FRR, behind the small port `Daemon`.

The operator starts and stops the daemon. `DaemonSpeaker` keeps the advertisements in force in it (after its restart too),
returns when they are certainly sent, and watches the sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from hopkeeper_agent.peers import Reading
from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers import Finding, Session, SessionState, SpeakerError, Unsent
from hopkeeper_agent.speakers.budget import OverBudget, stages
from hopkeeper_agent.speakers.settings import DaemonSettings, unknown_sessions

log = logging.getLogger(__name__)

Routes = Mapping[IPv4Network, Advertisement]

ANNOUNCE_SECONDS = 1.7
"""The app waits 2 s for a reply. A replaced path is on the wire after 1 ms (BIRD) or 55 ms (FRR)."""

CONNECT_SECONDS = 1.0
SENT_LOOK_SECONDS = 0.002
SENT_LOOK_MAX_SECONDS = 0.05
RETRY_SECONDS = 0.1
RETRY_MAX_SECONDS = 2.0
LOOKS_PER_TENDING = 25
"""Sessions are read every `poll_seconds`; after so many readings the whole configuration is compared too."""

SINCE_SLACK = timedelta(seconds=1.5)
"""Daemons report since when a session is up in whole seconds, rounded anew each time."""


class DaemonRefused(Exception):
    """The daemon answered and did not do it; the message says why."""


@dataclass(frozen=True, slots=True)
class PeerReading:
    """One session as the daemon reports it. `exported`: all prefixes sent, ours and others; `idle`: nothing is queued."""

    established: bool
    since: datetime | None = None
    exported: int = 0
    idle: bool = True
    hold_seconds: int | None = None


class Daemon(Protocol):
    """A daemon's control interface. Every method but `connect` and `close` raises OSError once the daemon is gone."""

    name: str

    async def connect(self) -> asyncio.Event:
        """Reach the daemon; the event is set when it is lost. Raises OSError, DaemonRefused."""

    async def held(self) -> dict[IPv4Network, Advertisement]:
        """The routes under our names in the running configuration; raises DaemonRefused."""

    async def replace(self, held: Routes, wanted: Routes) -> None:
        """Go from `held` to `wanted`, each changed prefix replaced in place; raises DaemonRefused."""

    async def peers(self) -> Mapping[IPv4Address, PeerReading]:
        """The configured neighbours that the daemon knows."""

    async def sent(self, peer: IPv4Address) -> dict[IPv4Network, Advertisement]:
        """The routes that a neighbour was sent, with the attributes it was sent."""

    async def tend(self, wanted: Routes | None) -> Mapping[str, str]:
        """Remove what is ours and not used. Returns what is wrong by topic; an empty text where all is well.

        `wanted` is None until the app orders something; until then nothing that is announced is withdrawn.
        """

    def close(self) -> None:
        """Close the connection."""


class DaemonSpeaker:
    """Announces through a daemon."""

    def __init__(self, daemon: Daemon, settings: DaemonSettings, changed: Callable[[], None]) -> None:
        """`changed` is called when a session's state or a finding changes."""
        self._daemon = daemon
        self._settings = settings
        self._changed = changed
        self._sessions = unknown_sessions(settings.neighbours)
        self._peers: Mapping[IPv4Address, PeerReading] = {}
        self._findings = {"speaker": Finding(Reading.UNKNOWN, "not reached yet")}
        self._outward = settings.outward
        # By group; an order for one changes nothing for the other. None: nothing was ordered since this agent started, so
        # what the daemon announces stays.
        self._wanted: dict[Toward, dict[IPv4Network, Advertisement] | None] = dict.fromkeys(Toward)
        self._outward_is_due = False
        """An outward order came since the configuration was last compared."""
        self._gone: frozenset[IPv4Network] = frozenset()
        """Withdrawn, and not seen to be gone yet: a source of the operator's own may go on announcing it."""
        self._unsent = Unsent(f"{daemon.name} is not reached yet")
        # Our routes that the daemon holds; None when they must be read again.
        self._held: dict[IPv4Network, Advertisement] | None = None
        self._reached = asyncio.Event()
        self._speaking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to connect to the daemon."""
        self._task = asyncio.get_running_loop().create_task(self._keep_watching())

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        """Replace everything announced to a group. Raises SpeakerError.

        Returns once the daemon reports it as sent on every established session with a Route Server; outward, once the
        daemon has taken it.
        """
        if advertisements and toward is Toward.OUTWARD and not self._outward:
            raise SpeakerError("no outward neighbour is configured")
        before, self._wanted[toward] = self._wanted[toward], {item.prefix: item for item in advertisements}
        if toward is Toward.ROUTE_SERVERS:
            self._gone |= frozenset(before or ())
            self._unsent.why = "it is not sent yet"
        self._outward_is_due |= toward is Toward.OUTWARD
        await self._converge(toward)

    def unsent(self) -> str:
        """Why Route Servers are not certainly sent what was ordered last, and nothing else of it; empty where they are."""
        return self._unsent.why

    def sessions(self) -> Mapping[IPv4Address, Session]:
        """The sessions by neighbour address."""
        return self._sessions

    def findings(self) -> Mapping[str, Finding]:
        """Whether the daemon runs, and what is wrong with its configuration."""
        return self._findings

    async def close(self) -> None:
        """Close the connection to the daemon, which goes on announcing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._daemon.close()

    async def _converge(self, toward: Toward) -> None:
        """Raises SpeakerError unless the group was certainly sent what it should be."""
        with self._unsent.noted(toward):
            await self._converged(toward)

    async def _converged(self, toward: Toward) -> None:
        name, unsent = self._daemon.name, ""
        try:
            async with asyncio.timeout(ANNOUNCE_SECONDS):
                await self._reached.wait()
                async with self._speaking:
                    if toward is Toward.OUTWARD:
                        await self._replace_outward()
                        return
                    async for text in self._replace():
                        unsent = text
        except TimeoutError as error:
            reached = f"{name} does not answer" if self._reached.is_set() else f"{name} is not running"
            raise SpeakerError(unsent or reached) from error
        except (DaemonRefused, OverBudget) as error:
            raise SpeakerError(str(error)) from error
        except OSError as error:
            raise SpeakerError(f"{name} closed the connection") from error

    async def _replace(self) -> AsyncIterator[str]:
        """Yields what is not sent yet at each look, and ends once everything is."""
        if (wanted := self._wanted[Toward.ROUTE_SERVERS]) is None:
            return
        all_held = await self._daemon.held() if self._held is None else self._held
        self._held = None  # unless all of this succeeds
        held, outward = _of(all_held, Toward.ROUTE_SERVERS), _of(all_held, Toward.OUTWARD)
        others = max((peer.exported for peer in self._inward_peers().values()), default=0) - len(held)
        self._gone = (self._gone | held.keys()) - wanted.keys()
        for stage in stages(held, wanted, self._settings.budget, max(0, others)):
            gone = (self._gone | held.keys()) - stage.keys()
            if stage != held:
                await self._daemon.replace({**outward, **held}, {**outward, **stage})
            async for unsent in self._until_sent(gone, stage):
                yield unsent
            held = stage
        self._held = {**outward, **held}
        if any(reading.established for reading in self._inward_peers().values()):
            self._gone = frozenset()

    async def _replace_outward(self) -> None:
        """Returns once the daemon has taken it. Whether it is sent is read later, as Route Servers must not wait for it."""
        if (wanted := self._wanted[Toward.OUTWARD]) is None:
            return
        held = await self._daemon.held() if self._held is None else self._held
        self._held = None
        # A prefix that goes to Route Servers goes to no other group.
        target = {**wanted, **_of(held, Toward.ROUTE_SERVERS)}
        if target != held:
            await self._daemon.replace(held, target)
        self._held = target

    def _inward_peers(self) -> Mapping[IPv4Address, PeerReading]:
        return {address: reading for address, reading in self._peers.items() if address not in self._outward}

    async def _until_sent(self, gone: Collection[IPv4Network], stage: Routes) -> AsyncIterator[str]:
        """Yields what is not sent yet at each look, and ends once everything is. Raises DaemonRefused."""
        ordered, pause = self._wanted[Toward.ROUTE_SERVERS], SENT_LOOK_SECONDS
        while True:
            self._note_peers(await self._daemon.peers())
            inward = [peer for peer in self._sessions if peer not in self._outward]
            unsent = [text for peer in inward if (text := await self._unsent_to(peer, gone, stage))]
            if not unsent:
                return
            yield unsent[0]
            await asyncio.sleep(pause)
            pause = min(1.2 * pause, SENT_LOOK_MAX_SECONDS)
            if self._wanted[Toward.ROUTE_SERVERS] is not ordered:
                raise DaemonRefused(f"{unsent[0]}, and another order came")

    async def _unsent_to(self, peer: IPv4Address, gone: Collection[IPv4Network], stage: Routes) -> str | None:
        reading = self._peers.get(peer)
        if reading is None or not reading.established:
            # It is sent with everything else when the session comes up again.
            return None
        sent = await self._daemon.sent(peer)
        self._note_sent(peer, sent, {*stage, *gone})
        for prefix, wanted in stage.items():
            if (now := sent.get(prefix)) != wanted:
                how = f" but next hop {now.next_hop}, prepend {now.prepend}" if now else ""
                return f"{prefix} is not sent to {peer} as ordered{how}"
        for prefix in sorted(sent.keys() & gone):
            left = f"next hop {sent[prefix].next_hop}, prepend {sent[prefix].prepend}"
            return f"{prefix} is withdrawn and still sent to {peer} ({left}): by the operator's own configuration?"
        return None if reading.idle else f"an UPDATE is not sent to {peer} yet"

    async def _keep_watching(self) -> None:
        pause = RETRY_SECONDS
        while True:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    lost = await self._daemon.connect()
                pause = RETRY_SECONDS
                await self._watch(lost)
                reason = f"{self._daemon.name} closed the connection"
            except TimeoutError:
                reason = f"{self._daemon.name} does not answer"
            except OSError as error:
                reason = f"{self._daemon.name} is not running: {error.strerror or error}"
            except DaemonRefused as error:
                reason = str(error)
            except Exception:
                # Nothing that a daemon answers may end the watch over it.
                log.exception(
                    "speaker broke", extra={"daemon": self._daemon.name, "why": "an answer of its cannot be understood"}
                )
                reason = f"{self._daemon.name} cannot be understood"
            self._lost(reason)
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_MAX_SECONDS)

    async def _watch(self, lost: asyncio.Event) -> None:
        """Read the sessions each period and compare everything else now and then, until the connection is lost."""
        self._held = None
        self._note_peers(await self._daemon.peers())
        self._found({"speaker": Finding(Reading.OK)})
        self._reached.set()
        looks = 0
        while not lost.is_set():
            if looks % LOOKS_PER_TENDING == 0 or self._outward_is_due:
                self._outward_is_due = False
                await self._tend()
            looks += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll_seconds):
                    await lost.wait()
            if not lost.is_set() and self._note_peers(await self._daemon.peers()):
                looks = 0

    async def _tend(self) -> None:
        async with self._speaking:
            self._held = None
        failed = {toward: await self._failing(toward) for toward in Toward}
        async with self._speaking:
            topics = {**await self._daemon.tend(self._all_wanted()), "announced": failed[Toward.ROUTE_SERVERS]}
            if self._outward:
                topics["outward"] = failed[Toward.OUTWARD] or await self._leaks()
        found = {f"speaker-{topic}": _finding(detail) for topic, detail in topics.items()}
        strangers = sorted(str(address) for address in self._sessions if address not in self._peers)
        unknown = f"{self._daemon.name} has no neighbour {', '.join(strangers)}" if strangers else ""
        self._found({"speaker": Finding(Reading.OK), "speaker-neighbours": _finding(unknown), **found})

    async def _failing(self, toward: Toward) -> str:
        try:
            await self._converge(toward)
        except SpeakerError as error:
            return str(error)
        return ""

    def _all_wanted(self) -> Routes | None:
        inward, outward = self._wanted[Toward.ROUTE_SERVERS], self._wanted[Toward.OUTWARD]
        if inward is None or (outward is None and self._outward):
            return None
        return {**(outward or {}), **inward}

    async def _leaks(self) -> str:
        """A route sent to the wrong group, in words. What on-premises neighbours were sent is noted as well."""
        groups = {toward: set(self._wanted[toward] or {}) for toward in Toward}
        found = ""
        for peer, reading in sorted(self._peers.items()):
            if not reading.established:
                continue
            sent = await self._daemon.sent(peer)
            own = Toward.OUTWARD if peer in self._outward else Toward.ROUTE_SERVERS
            if own is Toward.OUTWARD:
                self._note_sent(peer, sent, self._wanted[own] or {})
            if strange := sorted(sent.keys() & (set.union(*groups.values()) - groups[own])):
                found = f"{peer} is sent {strange[0]}, which is not for it"
        return found

    def _note_peers(self, peers: Mapping[IPv4Address, PeerReading]) -> bool:
        """Take over the sessions' states; returns whether any changed."""
        self._peers, has_changed = peers, False
        for address, before in self._sessions.items():
            reading = peers.get(address, PeerReading(established=False))
            state = SessionState.ESTABLISHED if reading.established else SessionState.DOWN
            since = reading.since or (before.since if state is before.state else _now())
            if state is before.state and before.since and since and abs(since - before.since) < SINCE_SLACK:
                self._sessions[address] = replace(before, hold_seconds=reading.hold_seconds)  # FRR shows it later
                continue
            self._sessions[address] = replace(
                before, state=state, since=since, sent=None, hold_seconds=reading.hold_seconds
            )
            has_changed = True
        if has_changed:
            self._changed()
        return has_changed

    def _note_sent(self, peer: IPv4Address, sent: Routes, ours: Collection[IPv4Network]) -> None:
        known = tuple(sent[prefix] for prefix in sorted(ours) if prefix in sent)
        self._sessions[peer] = replace(self._sessions[peer], sent=known)

    def _lost(self, reason: str) -> None:
        self._reached.clear()
        self._daemon.close()
        self._peers = {}
        for address, session in self._sessions.items():
            if session.state is not SessionState.DOWN:
                self._sessions[address] = replace(session, state=SessionState.DOWN, since=_now(), sent=None)
        self._found({"speaker": Finding(Reading.BAD, reason, self._settings.fatal)})
        self._changed()

    def _found(self, findings: Mapping[str, Finding]) -> None:
        before, self._findings = self._findings, {**self._findings, **findings}
        for name, finding in self._findings.items():
            if finding != before.get(name) and finding.value is Reading.BAD:
                log.warning("speaker", extra={"check": name, "why": finding.detail})
        if before != self._findings:
            self._changed()


def _of(routes: Routes, toward: Toward) -> dict[IPv4Network, Advertisement]:
    return {prefix: item for prefix, item in routes.items() if item.toward is toward}


def _finding(detail: str) -> Finding:
    return Finding(Reading.BAD, detail) if detail else Finding(Reading.OK)


def _now() -> datetime:
    return datetime.now().astimezone()

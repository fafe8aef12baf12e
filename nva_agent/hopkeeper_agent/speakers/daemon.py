"""Speaks through a daemon that the operator runs: BIRD or FRR, each behind the small port `Daemon`.

The daemon is the operator's, and so is its life: it is never started, stopped or reset here. This file keeps what should
be announced in force (after a restart of the daemon too), tells when it certainly is, and watches the sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from hopkeeper_agent.peers import Reading
from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers import Finding, Session, SessionState, SpeakerError
from hopkeeper_agent.speakers.budget import OverBudget, stages
from hopkeeper_agent.speakers.settings import DaemonSettings, unknown_sessions

log = logging.getLogger(__name__)

Routes = Mapping[IPv4Network, Advertisement]

# The app gives a command up after 2 s. A replaced path is on the wire after 1 ms (BIRD) or 55 ms (FRR).
ANNOUNCE_SECONDS = 1.7
CONNECT_SECONDS = 1.0
SENT_LOOK_SECONDS = 0.002
SENT_LOOK_MAX_SECONDS = 0.05
RETRY_SECONDS = 0.1
RETRY_MAX_SECONDS = 2.0
# At every so many looks at the sessions everything else is compared with what should be, too.
LOOKS_PER_TENDING = 25
# Daemons tell since when a session is up in whole seconds, rounded anew each time.
SINCE_SLACK = timedelta(seconds=1.5)


class DaemonRefused(Exception):
    """The daemon answered, and did not do it; the message says why."""


@dataclass(frozen=True, slots=True)
class PeerReading:
    """One session as the daemon tells it. `exported`: all prefixes sent, ours and others; `idle`: nothing is queued."""

    established: bool
    since: datetime | None = None
    exported: int = 0
    idle: bool = True


class Daemon(Protocol):
    """A daemon's control interface. Every method but `connect` and `close` raises OSError once the daemon is gone."""

    name: str

    async def connect(self) -> asyncio.Event:
        """Reach the daemon; the event is set when it is lost. Raises OSError, DaemonRefused."""

    async def held(self) -> dict[IPv4Network, Advertisement]:
        """What carries our names in the running configuration; raises DaemonRefused."""

    async def replace(self, held: Routes, wanted: Routes) -> None:
        """Go from `held` to `wanted`, each changed prefix replaced in place; raises DaemonRefused."""

    async def peers(self) -> Mapping[IPv4Address, PeerReading]:
        """The configured neighbours that the daemon knows."""

    async def sent(self, peer: IPv4Address) -> dict[IPv4Network, Advertisement]:
        """What a neighbour was sent, as it was sent."""

    async def tend(self, wanted: Routes | None) -> Mapping[str, str]:
        """Remove what is ours and not used, and tell by topic what is wrong; an empty text is all well.

        `wanted` is None while nothing was ordered: then nothing that is announced ends.
        """

    def close(self) -> None:
        """Let go."""


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
        # By group, neither of which ever changes with the other. None: nothing was ordered since this agent started, so
        # whatever the daemon announces stays.
        self._wanted: dict[Toward, dict[IPv4Network, Advertisement] | None] = dict.fromkeys(Toward)
        self._tells_outward = False
        """Whether an order for them came that was not looked after yet."""
        # What the daemon holds of ours; None while that must be read anew.
        self._held: dict[IPv4Network, Advertisement] | None = None
        self._reached = asyncio.Event()
        self._speaking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look for the daemon."""
        self._task = asyncio.get_running_loop().create_task(self._keep_watching())

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        """Replace everything announced to a group.

        Returns once it reads back as sent on every established session with a Route Server; outward, once the daemon
        has taken it.
        """
        if advertisements and toward is Toward.OUTWARD and not self._outward:
            raise SpeakerError("no outward neighbour is configured")
        self._wanted[toward] = {item.prefix: item for item in advertisements}
        self._tells_outward |= toward is Toward.OUTWARD
        await self._converge(toward)

    def sessions(self) -> Mapping[IPv4Address, Session]:
        """The sessions by neighbour address."""
        return self._sessions

    def findings(self) -> Mapping[str, Finding]:
        """Whether the daemon lives, and what is wrong with its configuration."""
        return self._findings

    async def close(self) -> None:
        """Let go of the daemon, which speaks on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._daemon.close()

    async def _converge(self, toward: Toward) -> None:
        name = self._daemon.name
        last: list[str] = []
        try:
            async with asyncio.timeout(ANNOUNCE_SECONDS):
                await self._reached.wait()
                async with self._speaking:
                    await (self._replace_outward() if toward is Toward.OUTWARD else self._replace(last))
        except TimeoutError as error:
            reached = f"{name} does not answer" if self._reached.is_set() else f"{name} is not running"
            raise SpeakerError(last[-1] if last else reached) from error
        except (DaemonRefused, OverBudget) as error:
            raise SpeakerError(str(error)) from error
        except OSError as error:
            raise SpeakerError(f"{name} ended the conversation") from error

    async def _replace(self, last: list[str]) -> None:
        if (wanted := self._wanted[Toward.ROUTE_SERVERS]) is None:
            return
        all_held = await self._daemon.held() if self._held is None else self._held
        self._held = None  # unless all of this succeeds
        held, outward = _of(all_held, Toward.ROUTE_SERVERS), _of(all_held, Toward.OUTWARD)
        others = max((peer.exported for peer in self._inward_peers().values()), default=0) - len(held)
        for stage in stages(held, wanted, self._settings.budget, max(0, others)):
            if stage != held:
                await self._daemon.replace({**outward, **held}, {**outward, **stage})
            await self._until_sent(held, stage, last)
            held = stage
        self._held = {**outward, **held}

    async def _replace_outward(self) -> None:
        """Whether it is sent yet is looked at later: Route Servers must not wait for it."""
        if (wanted := self._wanted[Toward.OUTWARD]) is None:
            return
        held = await self._daemon.held() if self._held is None else self._held
        self._held = None
        # A prefix that goes to Route Servers is theirs.
        target = {**wanted, **_of(held, Toward.ROUTE_SERVERS)}
        if target != held:
            await self._daemon.replace(held, target)
        self._held = target

    def _inward_peers(self) -> Mapping[IPv4Address, PeerReading]:
        return {address: reading for address, reading in self._peers.items() if address not in self._outward}

    async def _until_sent(self, before: Routes, stage: Routes, last: list[str]) -> None:
        """Returns once it is. What is amiss is left in `last` for whoever gives up waiting."""
        ordered, pause = self._wanted[Toward.ROUTE_SERVERS], SENT_LOOK_SECONDS
        while True:
            self._note_peers(await self._daemon.peers())
            told = [peer for peer in self._sessions if peer not in self._outward]
            amiss = [text for peer in told if (text := await self._amiss(peer, before, stage))]
            if not amiss:
                return
            last.append(amiss[0])
            await asyncio.sleep(pause)
            pause = min(1.2 * pause, SENT_LOOK_MAX_SECONDS)
            if self._wanted[Toward.ROUTE_SERVERS] is not ordered:
                raise DaemonRefused(f"{amiss[0]}, and another order came")

    async def _amiss(self, peer: IPv4Address, before: Routes, stage: Routes) -> str | None:
        reading = self._peers.get(peer)
        if reading is None or not reading.established:
            # What was not sent will be, with everything else, when the session comes back.
            return None
        sent = await self._daemon.sent(peer)
        self._note_sent(peer, sent, stage)
        for prefix, wanted in stage.items():
            if (told := sent.get(prefix)) != wanted:
                how = f" but next hop {told.next_hop}, prepend {told.prepend}" if told else ""
                return f"{prefix} is not sent to {peer} as ordered{how}"
        if any(sent.get(prefix) == before[prefix] for prefix in before.keys() - stage.keys()):
            return f"a withdrawal is not sent to {peer} yet"
        return None if reading.idle else f"an UPDATE is not sent to {peer} yet"

    async def _keep_watching(self) -> None:
        pause = RETRY_SECONDS
        while True:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    lost = await self._daemon.connect()
                pause = RETRY_SECONDS
                await self._watch(lost)
                told = f"{self._daemon.name} ended the conversation"
            except TimeoutError:
                told = f"{self._daemon.name} does not answer"
            except OSError as error:
                told = f"{self._daemon.name} is not running: {error.strerror or error}"
            except DaemonRefused as error:
                told = str(error)
            except Exception:
                # What a daemon says may not end the watch over it.
                log.exception("speaker broke", extra={"daemon": self._daemon.name})
                told = f"{self._daemon.name} cannot be understood"
            self._lost(told)
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_MAX_SECONDS)

    async def _watch(self, lost: asyncio.Event) -> None:
        """Look at the sessions each period and at everything else now and then, until the daemon is lost."""
        self._held = None
        self._note_peers(await self._daemon.peers())
        self._found({"speaker": Finding(Reading.OK)})
        self._reached.set()
        looks = 0
        while not lost.is_set():
            if looks % LOOKS_PER_TENDING == 0 or self._tells_outward:
                self._tells_outward = False
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
                topics["outward"] = failed[Toward.OUTWARD] or await self._told_outward()
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

    async def _told_outward(self) -> str:
        """Whether somebody hears what is for the others; what on-premises neighbours were sent is noted on the way."""
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
        """Take over the sessions' states; returns whether one changed."""
        self._peers, turned = peers, False
        for address, before in self._sessions.items():
            reading = peers.get(address, PeerReading(established=False))
            state = SessionState.ESTABLISHED if reading.established else SessionState.DOWN
            since = reading.since or (before.since if state is before.state else _now())
            if state is before.state and before.since and since and abs(since - before.since) < SINCE_SLACK:
                continue
            self._sessions[address] = replace(before, state=state, since=since, sent=None)
            turned = True
        if turned:
            self._changed()
        return turned

    def _note_sent(self, peer: IPv4Address, sent: Routes, ours: Routes) -> None:
        told = tuple(sent[prefix] for prefix in sorted(ours) if prefix in sent)
        self._sessions[peer] = replace(self._sessions[peer], sent=told)

    def _lost(self, told: str) -> None:
        self._reached.clear()
        self._daemon.close()
        self._peers = {}
        for address, session in self._sessions.items():
            if session.state is not SessionState.DOWN:
                self._sessions[address] = replace(session, state=SessionState.DOWN, since=_now(), sent=None)
        self._found({"speaker": Finding(Reading.BAD, told, self._settings.fatal)})
        self._changed()

    def _found(self, findings: Mapping[str, Finding]) -> None:
        before, self._findings = self._findings, {**self._findings, **findings}
        for name, finding in self._findings.items():
            if finding != before.get(name) and finding.value is Reading.BAD:
                log.warning("speaker", extra={"check": name, "detail": finding.detail})
        if before != self._findings:
            self._changed()


def _of(routes: Routes, toward: Toward) -> dict[IPv4Network, Advertisement]:
    return {prefix: item for prefix, item in routes.items() if item.toward is toward}


def _finding(detail: str) -> Finding:
    return Finding(Reading.BAD, detail) if detail else Finding(Reading.OK)


def _now() -> datetime:
    return datetime.now().astimezone()

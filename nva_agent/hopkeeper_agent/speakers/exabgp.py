"""The embedded speaker: ExaBGP as a process of its own, reached over its helper's unix socket.

When the agent ends, sessions and routes stay, and the next agent takes the running ExaBGP over. When ExaBGP ends, it is
started again with what should be announced. `exabgp_process` starts and stops the process, `exabgp_helper` is the other end
of the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from itertools import chain
from typing import Any

from hopkeeper_agent.peers import Reading
from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers import Finding, Session, SessionState, SpeakerError, Unsent
from hopkeeper_agent.speakers.budget import OverBudget, stages
from hopkeeper_agent.speakers.exabgp_configuration import BgpSettings, route
from hopkeeper_agent.speakers.exabgp_helper import note_sent
from hopkeeper_agent.speakers.exabgp_process import ExaBgpProcess
from hopkeeper_agent.speakers.settings import unknown_sessions

log = logging.getLogger(__name__)

HELLO_SECONDS = 3.0

ANNOUNCE_SECONDS = 1.7
"""The app waits 2 s for a reply. ExaBGP takes a command within 3 ms, and sends it within 3 ms more."""

STEP_SECONDS = 1.0

ALIVE_PERIOD_SECONDS = 5.0
ALIVE_MISSED_MAX = 3
"""After so many unanswered keepalives ExaBGP hangs, and the hold time would end its sessions anyway."""

RESTART_FIRST_SECONDS = 0.2
RESTART_MAX_SECONDS = 10.0
RECONCILE_SECONDS = 1.0
LINE_MAX_BYTES = 1 << 20
"""Far more than the longest list of routes that a neighbour takes."""


Changes = Sequence[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class _Request:
    changes: Changes
    refused: asyncio.Future[list[str]]


@dataclass(slots=True)
class _Conversation:
    """One connection with the helper, and what it has reported."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    routes: dict[str, str]
    requests: dict[int, _Request] = field(default_factory=dict)
    # By established neighbour: the changes that ExaBGP has taken and not sent yet, and since when (loop time, seconds).
    unsent: dict[IPv4Address, dict[str, tuple[str | None, float]]] = field(default_factory=dict)
    # By neighbour: the routes it was sent on its present session.
    sent: dict[str, dict[str, str]] = field(default_factory=dict)
    ready: bool = False
    missed: int = 0


class ExaBgpSpeaker:
    """Announces through ExaBGP."""

    def __init__(self, settings: BgpSettings, process: ExaBgpProcess, changed: Callable[[], None]) -> None:
        """`changed` is called when a session's state changes."""
        self._settings = settings
        self._process = process
        self._changed = changed
        self._sessions = unknown_sessions(settings.neighbours)
        self._groups: dict[Toward, list[str]] = {toward: [] for toward in Toward}
        for neighbour in settings.neighbours:
            self._groups[neighbour.toward].append(str(neighbour.address))
        # By group; neither waits for the other. None: nothing was ordered since this agent started, so what a running ExaBGP
        # announces stays.
        self._wanted: dict[Toward, dict[str, str] | None] = dict.fromkeys(Toward)
        self._conversation: _Conversation | None = None
        self._clients = dict.fromkeys((client.address for client in settings.clients), SessionState.UNKNOWN)
        # What else a neighbour may hold from this speaker, for the budget.
        others = set(settings.announces)
        for client in settings.clients:
            others.update(client.prefixes)
        for relay in settings.relays:
            others.update(relay.prefixes)
        self._others = len(others)
        self._finding = Finding(Reading.UNKNOWN, "not reached yet")
        self._unsent = Unsent("ExaBGP is not reached yet")
        self._last_id = 0
        self._pulse = asyncio.Event()
        self._speaking = {toward: asyncio.Lock() for toward in Toward}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take over a running ExaBGP or start one, and keep one running."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep_running()), loop.create_task(self._keep_alive())]
        self._tasks += [loop.create_task(self._keep_announced(toward)) for toward in Toward]

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        """Replace everything announced to a group. Returns once ExaBGP has sent it on its established sessions.

        Raises SpeakerError.
        """
        self._wanted[toward] = {
            _key(toward, item.prefix): route(item, self._settings.asn, self._settings.communities)
            for item in advertisements
        }
        await self._converge(toward)

    def unsent(self) -> str:
        """Why Route Servers are not certainly sent what was ordered last; empty where they are."""
        return self._unsent.why

    def sessions(self) -> Mapping[IPv4Address, Session]:
        """The sessions by neighbour address."""
        sent = {} if self._conversation is None else self._conversation.sent
        return {
            address: replace(session, sent=self._advertisements(sent[str(address)]))
            if str(address) in sent
            else session
            for address, session in self._sessions.items()
        }

    def findings(self) -> Mapping[str, Finding]:
        """Whether ExaBGP runs, and which clients of a hub speaker have no session."""
        if not self._clients:
            return {"speaker": self._finding}
        missing = sorted(address for address, state in self._clients.items() if state is SessionState.DOWN)
        unknown = SessionState.UNKNOWN in self._clients.values()
        detail = f"no session with {', '.join(map(str, missing))}" if missing else ""
        value = Reading.BAD if missing else Reading.UNKNOWN if unknown else Reading.OK
        return {"speaker": self._finding, "speaker-clients": Finding(value, detail)}

    async def close(self) -> None:
        """Close the connection to ExaBGP, which goes on announcing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._conversation is not None:
            self._conversation.writer.close()
            self._conversation = None

    def _advertisements(self, routes: Mapping[str, str]) -> tuple[Advertisement, ...]:
        """The routes in ExaBGP's words, sorted by prefix, without those that are announced by configuration.

        The own ASN is once in every path.
        """
        found = []
        for prefix, route_words in routes.items():
            _, next_hop, _, _, *rest = route_words.split()
            if (network := IPv4Network(prefix)) not in self._settings.announces:
                found.append(Advertisement(network, IPv4Address(next_hop), rest.index("]") - 1))
        return tuple(sorted(found, key=lambda item: item.prefix))

    async def _converge(self, toward: Toward) -> None:
        with self._unsent.noted(toward):
            await self._replace_in_time(toward)

    async def _replace_in_time(self, toward: Toward) -> None:
        try:
            async with asyncio.timeout(ANNOUNCE_SECONDS), self._speaking[toward]:
                await self._replace(toward)
        except TimeoutError as error:
            raise SpeakerError("ExaBGP is busy") from error

    async def _replace(self, toward: Toward) -> None:
        if (target := self._wanted[toward]) is None:
            return
        await self._until(self._can_speak, "ExaBGP is not running")
        conversation = self._conversation
        if conversation is None:
            return
        if target and not self._groups[toward]:
            raise SpeakerError(f"no neighbour of the group {toward} is configured")
        # Changes of one prefix that pile up inside ExaBGP may be sent in the wrong order: each must be sent before the next.
        await self._until(lambda: self._all_sent(conversation, toward), "an earlier UPDATE is not sent yet")
        held = {key: known for key, known in conversation.routes.items() if _toward(key) is toward}
        try:
            others = self._others if toward is Toward.ROUTE_SERVERS else 0
            steps = stages(held, target, self._settings.budget, others)
        except OverBudget as error:
            raise SpeakerError(str(error)) from error
        for wanted in steps:
            if not (changes := _difference(held, wanted)):
                continue
            refused = await self._ask(conversation, changes, toward)
            if refused:
                raise SpeakerError(f"ExaBGP refused {len(refused)} of {len(changes)} changes")
            await self._until(lambda: self._all_sent(conversation, toward), "an UPDATE is not sent yet")
            held = wanted

    async def _ask(
        self, conversation: _Conversation, changes: Changes, toward: Toward = Toward.ROUTE_SERVERS
    ) -> list[str]:
        loop = asyncio.get_running_loop()
        self._last_id += 1
        request = _Request(changes, loop.create_future())
        conversation.requests[self._last_id] = request
        for address in map(IPv4Address, self._groups[toward]):
            if self._sessions[address].state is SessionState.ESTABLISHED:
                waiting = conversation.unsent.setdefault(address, {})
                waiting.update({_prefix(key): (wanted, loop.time()) for key, wanted in changes})
        message = {"id": self._last_id, "changes": changes}
        if self._groups[Toward.OUTWARD]:
            message["neighbors"] = self._groups[toward]
        conversation.writer.write(json.dumps(message).encode() + b"\n")
        await self._until(request.refused.done, "ExaBGP does not answer")
        return request.refused.result()

    def _can_speak(self) -> bool:
        return self._conversation is not None and self._conversation.ready

    def _all_sent(self, conversation: _Conversation, toward: Toward) -> bool:
        if conversation is not self._conversation:
            return True
        # After the hold time either the session has ended or the UPDATE was sent: do not wait for it for ever.
        horizon = asyncio.get_running_loop().time() - self._settings.hold_time
        waiting = chain.from_iterable(
            conversation.unsent.get(IPv4Address(address), {}).values() for address in self._groups[toward]
        )
        return not any(since > horizon for _, since in waiting)

    async def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        try:
            async with asyncio.timeout(STEP_SECONDS):
                while not condition():
                    await self._pulse.wait()
        except TimeoutError as error:
            raise SpeakerError(otherwise) from error

    def _wake(self) -> None:
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()

    async def _keep_running(self) -> None:
        pause = RESTART_FIRST_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._process.ensure()
                await self._converse()
            except (OSError, ValueError, KeyError, TimeoutError) as error:
                log.warning("no connection with ExaBGP", extra={"why": f"{type(error).__name__}: {error}"})
            self._lost()
            await self._process.end()
            pause = RESTART_FIRST_SECONDS if loop.time() - began > RESTART_MAX_SECONDS else pause
            await asyncio.sleep(pause)
            pause = min(2 * pause, RESTART_MAX_SECONDS)

    async def _converse(self) -> None:
        reader, writer = await asyncio.open_unix_connection(str(self._process.socket), limit=LINE_MAX_BYTES)
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                hello = json.loads(await reader.readline())["hello"]
            if hello["fingerprint"] != self._process.fingerprint:
                raise ValueError("a running ExaBGP has another configuration")
            self._process.adopt(int(hello["exabgp_pid"]))
            self._conversation = _Conversation(reader, writer, dict(hello["routes"]))
            for neighbour in (*self._sessions, *self._clients):
                # ExaBGP may not have reported a neighbour that never came up: a session that is not up is down.
                self._note_session(str(neighbour), *hello["sessions"].get(str(neighbour), (SessionState.DOWN, None)))
            self._conversation.sent = {peer: dict(routes) for peer, routes in hello.get("sent", {}).items()}
            self._conversation.ready = True
            self._finding = Finding(Reading.OK)
            self._changed()
            self._wake()
            while line := await reader.readline():
                self._receive(self._conversation, json.loads(line))
                self._wake()
        finally:
            writer.close()

    def _receive(self, conversation: _Conversation, message: dict[str, Any]) -> None:
        conversation.missed = 0
        if "answered" in message:
            self._answered(conversation, conversation.requests.pop(message["answered"], None), message["refused"])
        elif "session" in message:
            self._note_session(*message["session"])
        elif "sent" in message:
            peer, routes = message["sent"]
            note_sent(conversation.sent.setdefault(peer, {}), routes)
            waiting = conversation.unsent.get(IPv4Address(peer), {})
            for prefix, sent in routes.items():
                if prefix in waiting and waiting[prefix][0] == sent:
                    del waiting[prefix]

    def _answered(self, conversation: _Conversation, request: _Request | None, refused: list[str]) -> None:
        if request is None:
            return
        for key, wanted in request.changes:
            if key in refused:
                for address in self._groups[_toward(key)]:
                    conversation.unsent.get(IPv4Address(address), {}).pop(_prefix(key), None)
            elif wanted is None:
                conversation.routes.pop(key, None)
            else:
                conversation.routes[key] = wanted
        if not request.refused.done():
            request.refused.set_result(refused)

    def _note_session(self, address: str, state: str, since: str | None) -> None:
        neighbour = IPv4Address(address)
        if neighbour in self._clients:
            self._clients[neighbour] = SessionState(state)
            self._changed()
        if neighbour in self._sessions:
            changed = datetime.fromisoformat(since) if since else None
            before = self._sessions[neighbour]
            self._sessions[neighbour] = replace(
                before, state=SessionState(state), since=changed, hold_seconds=self._settings.hold_time
            )
            if self._conversation is not None and state != SessionState.ESTABLISHED:
                # It is sent with everything else when the session comes up again.
                self._conversation.unsent.pop(neighbour, None)
                self._conversation.sent.pop(address, None)
            self._changed()

    def _lost(self) -> None:
        self._conversation = None
        self._finding = Finding(Reading.BAD, "ExaBGP is not running", self._settings.fatal)
        now = datetime.now().astimezone()
        self._clients = dict.fromkeys(self._clients, SessionState.DOWN)
        for address, session in self._sessions.items():
            if session.state is not SessionState.DOWN:
                self._sessions[address] = replace(session, state=SessionState.DOWN, since=now)
        self._wake()
        self._changed()

    async def _keep_announced(self, toward: Toward) -> None:
        """Announce what a failed command has left unannounced."""
        while True:
            await asyncio.sleep(RECONCILE_SECONDS)
            with contextlib.suppress(SpeakerError):
                await self._converge(toward)

    async def _keep_alive(self) -> None:
        """Restart an ExaBGP that no longer answers."""
        while True:
            await asyncio.sleep(ALIVE_PERIOD_SECONDS)
            if (conversation := self._conversation) is None:
                continue
            conversation.missed += 1
            with contextlib.suppress(SpeakerError):
                await self._ask(conversation, [])
            if conversation.missed >= ALIVE_MISSED_MAX:
                log.error("ExaBGP is started again", extra={"why": "it hangs"})
                conversation.writer.close()


def _key(toward: Toward, prefix: IPv4Network) -> str:
    """The name of a route between the agent and the helper."""
    return str(prefix) if toward is Toward.ROUTE_SERVERS else f"{toward} {prefix}"


def _toward(key: str) -> Toward:
    return Toward.OUTWARD if key.startswith(Toward.OUTWARD) else Toward.ROUTE_SERVERS


def _prefix(key: str) -> str:
    return key.split()[-1]


def _difference(routes: Mapping[str, str], wanted: Mapping[str, str]) -> Changes:
    # New and changed routes first: a prefix that moves to a longer or shorter one is never without either.
    changes: list[tuple[str, str | None]] = [
        (prefix, target) for prefix, target in sorted(wanted.items()) if routes.get(prefix) != target
    ]
    return changes + [(prefix, None) for prefix in sorted(routes) if prefix not in wanted]

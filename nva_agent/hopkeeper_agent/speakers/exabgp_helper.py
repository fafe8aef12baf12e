"""The process that ExaBGP runs to reach the agent: pipes to ExaBGP, a unix socket in the state directory to the agent.

It runs as long as ExaBGP and outlives agents, so it also stores what a returning agent must know: the state of the sessions
and the routes in force. It decides only what is passed on (`passing`). It must never fall behind in reading its standard
input: ExaBGP writes to it without a time limit, and ends all its sessions when it is gone.

Run as: python -m hopkeeper_agent.speakers.exabgp_helper SOCKET FINGERPRINT [PASSING …]

To the agent, one JSON object a line:
  {"hello": {"exabgp_pid", "fingerprint", "sessions": {address: [state, since]}, "routes": {prefix: route},
             "sent": {address: {prefix: route}}}}
  {"session": [address, state, since]}          {"sent": [address, {prefix: route or null}]}
  {"answered": id, "refused": [prefix, ...]}
From the agent: {"id": n, "changes": [[prefix, route or null], ...]}; without changes it is a keepalive.
With "neighbors": [address, ...] the changes are for these alone. A prefix may follow the name of a group and a blank: the
routes of each group are stored apart.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import Any

from hopkeeper_agent.speakers.passing import Passing

READ_BYTES = 1 << 16
BACKLOG_MAX_BYTES = 4 << 20
"""An agent or an ExaBGP that leaves so much unread is gone."""

PARENT_SECONDS = 1.0
"""The end of ExaBGP closes standard input; its process id is checked as well, as another process may hold the pipe."""

BACKLOG_SECONDS = 0.05
"""How soon a write is tried again that was not taken at once."""


@dataclass(slots=True)
class _Request:
    id: int
    waiting: int
    refused: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Memory:
    """What the helper stores, and the translation both ways. No I/O: `feed_*` take text and return lines to send."""

    exabgp_pid: int
    fingerprint: str
    sessions: dict[str, tuple[str, str]] = field(default_factory=dict)
    routes: dict[str, str] = field(default_factory=dict)
    sent: dict[str, dict[str, str]] = field(default_factory=dict)
    passing: Passing | None = None
    # Commands for ExaBGP that no agent sent: routes that are passed on.
    due: list[str] = field(default_factory=list)
    _pending: deque[tuple[_Request | None, str, str | None]] = field(default_factory=deque)

    def hello(self) -> dict[str, Any]:
        """The first line to an agent."""
        return {
            "hello": {
                "exabgp_pid": self.exabgp_pid,
                "fingerprint": self.fingerprint,
                "sessions": self.sessions,
                "routes": self.routes,
                "sent": self.sent,
            }
        }

    def feed_agent(self, line: str) -> list[str]:
        """Take a request; return the commands for ExaBGP."""
        message = json.loads(line)
        changes = message["changes"]
        request = _Request(message["id"], max(1, len(changes)))
        addressed = message.get("neighbors") or (self.passing.neighbours if self.passing else [])
        listed = " , ".join(f"neighbor {address}" for address in addressed)
        targets = f"{listed} " if listed else ""
        commands = []
        for key, wanted in changes:
            prefix = key.split()[-1]
            # A client's route goes to Route Servers: it replaces no route of another group.
            instead = self.passing.order(prefix, wanted is not None) if self.passing and key == prefix else None
            if (route := wanted or instead) is None:
                commands.append(f"{targets}withdraw route {prefix} {self.routes.get(key, 'next-hop 0.0.0.0')}")
            else:
                commands.append(f"{targets}announce route {prefix} {route}")
            self._pending.append((request, key, wanted))
        if not changes:
            commands.append("# alive")
            self._pending.append((request, "", None))
        return commands

    def feed_exabgp(self, line: str) -> list[dict[str, Any]]:
        """Take a line from ExaBGP; return the lines for the agent."""
        if line in ("done", "error"):
            return self._answered(line == "error")
        try:
            event = json.loads(line)
            neighbor = event["neighbor"]
            peer = neighbor["address"]["peer"]
        except (ValueError, KeyError, TypeError):
            return []
        if event.get("type") == "state":
            return self._session(peer, neighbor.get("state"))
        if event.get("type") != "update":
            return []
        update = neighbor["message"].get("update", {})
        match neighbor.get("direction"):
            case "receive" if self.passing:
                self._pass_on(self.passing.receive(peer, sent_routes(update), update))
                return []
            case "send":
                return self._sent(peer, sent_routes(update))
            case _:
                return []

    def _sent(self, peer: str, routes: dict[str, str | None]) -> list[dict[str, Any]]:
        if self.passing:
            self._pass_on(self.passing.sent(peer, routes))
            # Where a route that is passed on is sent, none of the agent's is.
            ours = {p for p, route in routes.items() if route and self.passing.is_ours(peer, p, route)}
            routes = {prefix: route if prefix in ours else None for prefix, route in routes.items()}
        note_sent(self.sent.setdefault(peer, {}), routes)
        return [{"sent": [peer, routes]}] if routes else []

    def _answered(self, error: bool) -> list[dict[str, Any]]:
        if not self._pending:
            return []
        request, prefix, wanted = self._pending.popleft()
        if request is None:
            if error and self.passing:
                self.passing.refused(prefix)
            return []
        request.waiting -= 1
        if error:
            request.refused.append(prefix)
        elif prefix:
            if wanted is None:
                self.routes.pop(prefix, None)
            else:
                self.routes[prefix] = wanted
        return [] if request.waiting else [{"answered": request.id, "refused": request.refused}]

    def _session(self, peer: str, state: str | None) -> list[dict[str, Any]]:
        # "connected" is a TCP connection only; every failed attempt to come up ends in another "down".
        known = {"up": "established", "down": "down"}.get(state or "")
        if known is None or self.sessions.get(peer, ("", ""))[0] == known:
            return []
        since = datetime.now(timezone.utc).isoformat()
        self.sessions[peer] = (known, since)
        self.sent[peer] = {}
        if self.passing:
            self._pass_on(self.passing.session(peer, known == "established"))
        return [{"session": [peer, known, since]}]

    def _pass_on(self, commands: Sequence[tuple[str, str]]) -> None:
        for prefix, command in commands:
            self.due.append(command)
            self._pending.append((None, prefix, None))


def note_sent(known: dict[str, str], routes: Mapping[str, str | None]) -> None:
    """Apply an UPDATE to the routes known so far."""
    for prefix, route in routes.items():
        if route is None:
            known.pop(prefix, None)
        else:
            known[prefix] = route


def sent_routes(update: dict[str, Any]) -> dict[str, str | None]:
    """The routes of an UPDATE in ExaBGP's JSON, by prefix; None is a withdrawal."""
    segments = update.get("attribute", {}).get("as-path", {})
    asns = chain.from_iterable(segment["value"] for _, segment in sorted(segments.items()))
    path = " ".join(map(str, asns))
    communities = update.get("attribute", {}).get("community", [])
    carried = f" community [ {' '.join(f'{high}:{low}' for high, low in communities)} ]" if communities else ""
    routes: dict[str, str | None] = {
        item["nlri"]: None for item in update.get("withdraw", {}).get("ipv4 unicast", []) if isinstance(item, dict)
    }
    for next_hop, items in update.get("announce", {}).get("ipv4 unicast", {}).items():
        routes |= {item["nlri"]: f"next-hop {next_hop} as-path [ {path} ]{carried}" for item in items}
    return routes


@dataclass(slots=True)
class _Pipe:
    """A descriptor that is written without waiting; `backlog` holds what it has not taken yet."""

    descriptor: int
    backlog: bytearray = field(default_factory=bytearray)

    def write(self, text: str) -> bool:
        """Write as much as possible now. False if the other end is gone or too far behind."""
        self.backlog += text.encode()
        try:
            while self.backlog:
                del self.backlog[: os.write(self.descriptor, self.backlog)]
        except BlockingIOError:
            return len(self.backlog) <= BACKLOG_MAX_BYTES
        except OSError:
            return False
        return True


class Helper:
    """The loop over ExaBGP's pipes, the listening socket and at most one agent."""

    def __init__(self, path: Path, memory: Memory) -> None:
        self._path = path
        self._memory = memory
        self._selector = selectors.DefaultSelector()
        self._listening = self._listen()
        self._exabgp = _Pipe(1)
        self._agent: tuple[socket.socket, _Pipe] | None = None
        self._partial = {"exabgp": b"", "agent": b""}

    def run(self) -> None:
        """Serve until ExaBGP is gone."""
        for descriptor in (0, 1):
            os.set_blocking(descriptor, False)
        self._selector.register(0, selectors.EVENT_READ, self._from_exabgp)
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        while os.getppid() == self._memory.exabgp_pid and self._step():
            pass
        # Only this helper's own: by now another ExaBGP's helper may listen under the same name.
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _step(self) -> bool:
        """Read what has come and write what is waiting; False once ExaBGP is gone."""
        is_behind = bool(self._exabgp.backlog or (self._agent and self._agent[1].backlog))
        ready = self._selector.select(BACKLOG_SECONDS if is_behind else PARENT_SECONDS)
        is_there = [key.data() for key, _ in ready]
        is_there.append(self._exabgp.write(""))
        if self._agent is not None and not self._agent[1].write(""):
            self._drop_agent()
        return all(is_there)

    def _listen(self) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Bound under another name first: the agent must not find a socket that does not listen or is not private yet.
        hidden = self._path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            hidden.unlink()
        listening.bind(str(hidden))
        hidden.chmod(0o600)
        listening.listen(4)
        listening.setblocking(False)
        self._inode = hidden.stat().st_ino
        hidden.replace(self._path)
        return listening

    def _accept(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            connection, _ = self._listening.accept()
            connection.setblocking(False)
            # Only the newest agent still runs.
            self._drop_agent()
            self._agent = (connection, _Pipe(connection.fileno()))
            self._selector.register(connection, selectors.EVENT_READ, self._from_agent)
            self._send([self._memory.hello()])
        return True

    def _from_exabgp(self) -> bool:
        try:
            data = os.read(0, READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        for line in self._lines("exabgp", data):
            self._send(self._memory.feed_exabgp(line))
            due, self._memory.due = self._memory.due, []
            if not self._exabgp.write("".join(f"{command}\n" for command in due)):
                return False
        return bool(data)

    def _from_agent(self) -> bool:
        if self._agent is None:
            return True
        try:
            data = self._agent[0].recv(READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self._drop_agent()
            return True
        for line in self._lines("agent", data):
            try:
                commands = self._memory.feed_agent(line)
            except (ValueError, KeyError, TypeError):
                # Nothing that an agent sends may end the helper, as ExaBGP would then end its sessions.
                self._drop_agent()
                return True
            if not self._exabgp.write("".join(f"{command}\n" for command in commands)):
                return False
        return True

    def _lines(self, source: str, data: bytes) -> list[str]:
        *lines, self._partial[source] = (self._partial[source] + data).split(b"\n")
        return [line.decode(errors="replace").strip() for line in lines]

    def _send(self, messages: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(message) + "\n" for message in messages)
        if self._agent is not None and text and not self._agent[1].write(text):
            self._drop_agent()

    def _drop_agent(self) -> None:
        if self._agent is not None:
            self._selector.unregister(self._agent[0])
            self._agent[0].close()
            self._agent = None
            self._partial["agent"] = b""


def main(arguments: list[str]) -> int:
    """Run the helper."""
    path, fingerprint, *passing = arguments
    Helper(Path(path), Memory(os.getppid(), fingerprint, passing=Passing.from_arguments(passing))).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

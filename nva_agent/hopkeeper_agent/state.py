"""The state file: what an agent stores over a restart, and whether the file that it finds can be trusted.

A write is: temporary file, fsync, rename, fsync of the directory. The file names its machine and counts its writes; the
same count goes to an optional witness on another disk (a tmpfs will do). A lower count in the file than in the witness
shows that the state directory was restored from an older snapshot. Of a whole machine that was, its boot alone shows:
it clears the tmpfs. So a machine that has booted serves by its file only once that is confirmed (`role.believed`).
A file that is not trusted never makes an agent serve.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from hopkeeper_agent.identity import Identity
from hopkeeper_agent.jws import parse_object
from hopkeeper_agent.messages import (
    Malformed,
    decode_advertisements,
    decode_outward,
    encode_advertised,
    encode_outward,
    is_name,
    turn,
    whole,
)
from hopkeeper_agent.role import Advertised, Outward, Role, ServiceState

SCHEMA = 1


class Trust(StrEnum):
    """How far the file found at start-up is trusted."""

    NEW = "there is none"
    WHOLE = "it is ours and the newest"
    BOOTED = "it is ours, and the machine has booted since"
    MOVED = "it is another machine's, agent's or topology's"
    ROLLED_BACK = "it is older than its witness"
    CORRUPT = "it cannot be read"

    @property
    def is_whole(self) -> bool:
        """Whether roles and advertisements may go on as the file has them (an absent file has none)."""
        return self in (Trust.WHOLE, Trust.BOOTED, Trust.NEW)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at start-up; of a file that is not trusted, `states` are `reduced`; after a boot, `unconfirmed`."""

    trust: Trust
    states: Mapping[str, ServiceState]


class StateFile:
    """The state file of one agent. Not for concurrent use: the caller holds a lock."""

    def __init__(self, directory: Path, identity: Identity, machine: str, witness: Path | None = None) -> None:
        """`machine` identifies the VM: a file of another machine, agent or topology is not this agent's."""
        self.path = directory / "state.json"
        self._identity = identity
        self._machine = machine
        self._witness = witness
        self._writes = 0

    def load(self) -> Found:
        """Read the file once, at start-up. Raises OSError only if the directory itself cannot be read."""
        witnessed = self._read_witness()
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            self._writes = witnessed
            return Found(Trust.NEW if not witnessed else Trust.ROLLED_BACK, {})
        try:
            machine, identity, self._writes, states = _decode(raw)
        except Malformed:
            self._writes = witnessed
            os.replace(self.path, self.path.with_suffix(".corrupt"))
            return Found(Trust.CORRUPT, {})
        if (machine, identity) != (self._machine, self._identity):
            self._writes = max(self._writes, witnessed)
            return Found(Trust.MOVED, reduced(states))
        if self._writes < witnessed:
            self._writes = witnessed
            return Found(Trust.ROLLED_BACK, reduced(states))
        if self._witness is not None and not witnessed:
            return Found(Trust.BOOTED, unconfirmed(states))
        return Found(Trust.WHOLE, states)

    def save(self, states: Mapping[str, ServiceState]) -> None:
        """Make the states durable; raises OSError, and then the file holds either the old or the new."""
        writes = self._writes + 1
        temporary = self.path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_encode(self._machine, self._identity, writes, states))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._writes = writes
        if not any(state.unconfirmed for state in states.values()):
            # Else the next start of the agent would take the machine for one that has not booted.
            self._write_witness()

    def _read_witness(self) -> int:
        if self._witness is None:
            return 0
        try:
            return whole(json.loads(self._witness.read_text()), "witness")
        except (OSError, ValueError):
            # A boot clears a tmpfs.
            return 0

    def _write_witness(self) -> None:
        if self._witness is None:
            return
        temporary = self._witness.with_suffix(".new")
        # A count that stays behind raises no alarm, so a witness that cannot be written must not make a fence fail.
        with contextlib.suppress(OSError):
            temporary.write_text(str(self._writes))
            os.replace(temporary, self._witness)


def peek(directory: Path) -> Mapping[str, ServiceState]:
    """What the file in a state directory holds, whoever's it is; changes nothing. Raises OSError, Malformed."""
    return _decode((directory / "state.json").read_bytes())[3]


def reduced(states: Mapping[str, ServiceState]) -> dict[str, ServiceState]:
    """The same states without what makes an agent serve or announce. The turns stay, as a floor against replays."""
    return {name: replace(state, role=Role.STANDBY, advertised=None, outward=None) for name, state in states.items()}


def unconfirmed(states: Mapping[str, ServiceState]) -> dict[str, ServiceState]:
    """The same states, each role of a holder to be confirmed before it is acted on."""
    return {name: replace(state, unconfirmed=state.role is Role.SERVING) for name, state in states.items()}


def _encode(machine: str, identity: Identity, writes: int, states: Mapping[str, ServiceState]) -> bytes:
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": machine,
        "agent": identity.agent,
        "topology": identity.topology,
        "writes": writes,
        "services": {
            name: {
                "epoch": state.turn.epoch,
                "seq": state.turn.seq,
                "role": state.role.value,
                "advertised": encode_advertised(state.advertised),
                **({} if state.outward is None else {"outward": encode_outward(state.outward)}),
                **({"warrant": state.warrant} if state.warrant else {}),
            }
            for name, state in sorted(states.items())
        },
    }
    return json.dumps({"checksum": _checksum(body), **body}, indent=1).encode() + b"\n"


def _decode(raw: bytes) -> tuple[str, Identity, int, dict[str, ServiceState]]:
    try:
        body = parse_object(raw)
        if body.pop("checksum") != _checksum(body) or body["schema"] != SCHEMA:
            raise Malformed("state: wrong checksum or schema")
        identity = Identity(body["agent"], body["topology"])
        states = {name: _decode_service(name, item) for name, item in body["services"].items()}
        return body["machine"], identity, whole(body["writes"], "state.writes"), states
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Malformed("state: not a state file") from error


def _decode_service(name: str, item: Mapping[str, Any]) -> ServiceState:
    if not is_name(name):
        raise Malformed("state: not a service name")
    advertised = None
    if (stored := item["advertised"]) is not None:
        advertised = Advertised(turn(stored, "state"), decode_advertisements(stored["advertisements"]))
    outward = None
    if (stored := item.get("outward")) is not None:
        outward = Outward(turn(stored, "state"), *decode_outward(stored))
    return ServiceState(turn(item, "state"), Role(item["role"]), advertised, outward, str(item.get("warrant", "")))


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()

"""The messages between the app and an agent, from JSON to the domain's types and back (docs/agent-protocol.md, version 2).

Shapes only: whether a message is authentic is `jws`, how it is sent is `http`. Unknown keys of a newer agent are ignored.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, assert_never

import msgspec
from msgspec import Meta, Struct

from function_app.domain.base.addresses import with_or_without_length
from function_app.domain.base.errors import BadInput, NotAuthentic
from function_app.domain.base.moments import moment
from function_app.domain.service.observation import AgentService, AgentStatus, PeerView, Role, Value
from function_app.domain.service.steps import (
    NOTHING_OUTWARD,
    Advertisement,
    OutwardRoutes,
    SendAdvertise,
    SendFence,
    SendOutward,
    SendPromote,
)
from function_app.reconcile.ports import AgentCommand

APP = "hopkeeper"
COMMAND, REPLY, REPORT = "hopkeeper-command", "hopkeeper-reply", "hopkeeper-report"

TEXT_MAX = 200
"""Characters of an agent's own text that are stored: it ends up in logs and in the status."""

AGE_SECONDS_MAX = 24 * 3600.0
"""An age beyond a day says no more than a day does."""

_Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
_Name = Annotated[str, Meta(min_length=1, max_length=63)]
_Aware = Annotated[datetime, Meta(tz=True)]


class _SessionState(StrEnum):
    ESTABLISHED = "established"
    DOWN = "down"
    UNKNOWN = "unknown"


class _Advertisement(Struct, frozen=True):
    prefix: IPv4Network
    next_hop: IPv4Address
    prepend: _Count


class _Advertised(Struct, frozen=True):
    epoch: _Count
    seq: _Count
    advertisements: tuple[_Advertisement, ...]


class _Outward(Struct, frozen=True):
    epoch: _Count
    seq: _Count
    prefixes: tuple[IPv4Network, ...]
    standby_prepend: _Count | None


class _Service(Struct, frozen=True):
    epoch: _Count
    seq: _Count
    role: Role
    answering: bool
    advertised: _Advertised | None
    durable: bool
    unconfirmed: bool = False
    heard: _Count = 0
    outward: _Outward | None = None
    warrant: str = ""
    heard_warrant: str = ""
    unsent: str = ""


class _RoleCommand(Struct, frozen=True):
    kind: str
    service: str = ""
    epoch: _Count = 0


class _Warrant(Struct, frozen=True):
    """Of a command of ours, what makes it the proof of an epoch."""

    sub: str
    command: _RoleCommand


class _Peer(Struct, frozen=True):
    gossip: Value
    probe: Value
    age_seconds: Annotated[float, Meta(ge=0, le=2**53)] | None = None


class _Session(Struct, frozen=True):
    state: _SessionState
    hold_time: Annotated[int, Meta(ge=0, le=65535)] | None = None


class _Maintenance(Struct, frozen=True):
    kind: str
    not_before: _Aware | None = None


class _Check(Struct, frozen=True):
    value: Value
    detail: str = ""


class _Status(Struct, frozen=True):
    agent: _Name
    topology: _Name
    version: str
    boot_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
    time: _Aware
    services: dict[_Name, _Service]
    fatal: tuple[str, ...]
    peers: dict[_Name, _Peer]
    sessions: dict[str, _Session]
    maintenance: _Maintenance | None = None
    outward_sessions: dict[str, _Session] = {}
    excused: tuple[str, ...] = ()
    checks: dict[_Name, _Check] = {}


class ReplyClaims(Struct, frozen=True):
    """An agent's reply to one command, without the registered claims. `status` is decoded apart, by `decode_status`."""

    in_reply_to: str
    accepted: bool
    reason: str | None
    status: dict[str, Any]


class ReportClaims(Struct, frozen=True):
    """A report, without the registered claims. `status` is decoded apart, by `decode_status`."""

    reason: str
    status: dict[str, Any]


def encode_status_query() -> dict[str, object]:
    """The claim `command` that requests the status and changes nothing."""
    return {"kind": "status"}


def encode_command(service: str, command: AgentCommand) -> dict[str, object]:
    """The claim `command` for an effect on one service."""
    ordered: dict[str, object] = {"service": service, "epoch": command.epoch}
    match command:
        case SendFence(seq=seq):
            return {"kind": "fence", **ordered, "seq": seq}
        case SendPromote(seq=seq, boot_id=boot_id):
            return {"kind": "promote", **ordered, "seq": seq, "boot_id": boot_id}
        case SendAdvertise(seq=seq, advertisements=advertisements):
            return {"kind": "advertise", **ordered, "seq": seq, "advertisements": [_encoded(a) for a in advertisements]}
        case SendOutward(seq=seq, routes=routes):
            wanted = {"prefixes": [str(p) for p in routes.prefixes], "standby_prepend": routes.standby_prepend}
            return {"kind": "outward", **ordered, "seq": seq, **wanted}
        case _ as unreachable:
            assert_never(unreachable)


def decode_reply(claims: Mapping[str, Any]) -> ReplyClaims:
    """Raises BadInput naming the first wrong field."""
    return _convert(claims, ReplyClaims)


def decode_report(claims: Mapping[str, Any]) -> ReportClaims:
    """Raises BadInput naming the first wrong field."""
    return _convert(claims, ReportClaims)


type Signed = Callable[[str, str], bytes]
"""(token, type) to the claims, as JSON, of a token that we signed. Raises NotAuthentic."""


def _unsigned(token: str, typ: str) -> bytes:
    raise NotAuthentic("no key of ours at hand")


def decode_status(raw: Mapping[str, Any], topology: str, agent: str, signed: Signed = _unsigned) -> AgentStatus:
    """The domain's value of an agent's `status` object. `signed` reads the commands of ours that it shows.

    Raises BadInput naming the first wrong field, and where it is another agent's or another topology's status.
    """
    status = _convert(raw, _Status)
    if (status.topology, status.agent) != (topology, agent):
        raise BadInput.of("$.status", "is not the status of the agent that signed it")
    shown = status.services.items()
    return AgentStatus(
        boot_id=status.boot_id,
        clock=status.time,
        services={name: _service(each, _warranted(each, topology, name, signed)) for name, each in shown},
        fatal=tuple(plain(reason) for reason in status.fatal),
        excused=tuple(plain(reason) for reason in status.excused),
        alarms=_alarms(status),
        peers={name: PeerView(peer.gossip, peer.probe, _age(peer.age_seconds)) for name, peer in status.peers.items()},
        # A session in an unknown state is not Established: readiness needs no more than that.
        sessions=_sessions(status.sessions),
        unseen=_is_unseen(status),
        hold_time=_hold_time(status.sessions),
        outward_sessions=_sessions(status.outward_sessions),
        version=plain(status.version),
        maintenance=_maintenance(status.maintenance),
    )


def _alarms(status: _Status) -> tuple[str, ...]:
    """Checks that fail and are named neither as fatal nor as excused."""
    named = {reason.partition(":")[0] for reason in (*status.fatal, *status.excused)}
    failing = {name: check.detail for name, check in sorted(status.checks.items()) if check.value is Value.BAD}
    return tuple(
        plain(f"{name}: {detail}" if detail else name) for name, detail in failing.items() if name not in named
    )


def _age(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=min(seconds, AGE_SECONDS_MAX))


def _sessions(sessions: Mapping[str, _Session]) -> dict[IPv4Address, bool]:
    return {
        _address(IPv4Address, neighbour): session.state is _SessionState.ESTABLISHED
        for neighbour, session in sessions.items()
    }


def _is_unseen(status: _Status) -> bool:
    """Whether it lists no session because its speaker is the operator's own: it says that it does not know it."""
    speaker = status.checks.get("speaker")
    return not status.sessions and speaker is not None and speaker.value is Value.UNKNOWN


def _hold_time(sessions: Mapping[str, _Session]) -> timedelta | None:
    """The longest of all sessions that report one."""
    seconds = max((session.hold_time or 0 for session in sessions.values()), default=0)
    return timedelta(seconds=seconds) if seconds else None


def plain(text: str) -> str:
    """A foreign text as one short printable line, safe for logs (safety.md section 8, log injection)."""
    line = "".join(char if char.isprintable() else " " for char in text[:TEXT_MAX]).strip()
    return line + "…" if len(text) > TEXT_MAX else line


def _maintenance(coming: _Maintenance | None) -> str | None:
    if coming is None:
        return None
    return plain(coming.kind) + (f" not before {moment(coming.not_before)}" if coming.not_before else "")


def _warranted(shown: _Service, topology: str, service: str, signed: Signed) -> int:
    """The highest epoch of this service that one of the tokens shown proves; 0 where none does."""
    epochs = [0]
    for token in filter(None, (shown.warrant, shown.heard_warrant)):
        with suppress(NotAuthentic, msgspec.DecodeError):
            warrant = msgspec.json.decode(signed(token, COMMAND), type=_Warrant)
            if (warrant.sub, warrant.command.service) == (topology, service):
                epochs.append(warrant.command.epoch)
    return max(epochs)


def _service(service: _Service, warranted: int) -> AgentService:
    advertised, outward = service.advertised, service.outward
    return AgentService(
        epoch=service.epoch,
        seq=service.seq,
        role=service.role,
        answering=service.answering,
        durable=service.durable,
        unconfirmed=service.unconfirmed,
        heard=service.heard,
        warranted=warranted,
        advertised_turn=(advertised.epoch, advertised.seq) if advertised else (0, 0),
        advertised=tuple(Advertisement(a.prefix, a.next_hop, a.prepend) for a in advertised.advertisements)
        if advertised
        else None,
        unsent=plain(service.unsent),
        # No prefix is the same as no command so far, whatever its other fields are.
        outward=OutwardRoutes(tuple(sorted(outward.prefixes)), outward.standby_prepend)
        if outward and outward.prefixes
        else NOTHING_OUTWARD,
        outward_turn=(outward.epoch, outward.seq) if outward else (0, 0),
    )


def _encoded(advertisement: Advertisement) -> dict[str, object]:
    return {
        "prefix": str(advertisement.prefix),
        "next_hop": str(advertisement.next_hop),
        "prepend": advertisement.prepend,
    }


def _convert[T](raw: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(raw, kind, dec_hook=_address)
    except msgspec.ValidationError as error:
        rule, _, path = str(error).partition(" - at ")
        raise BadInput.of(path.strip("`") or "$", plain(rule)) from error


def _address(kind: type, value: object) -> Any:
    """Dotted decimal, and a network with its length. Raises BadInput, which msgspec lets through."""
    if kind is IPv4Network and "/" not in str(value):
        raise BadInput.of("$.status", "holds an IPv4 network without its length")
    try:
        return with_or_without_length(kind, value)
    except ValueError as error:
        raise BadInput.of("$.status", plain(str(error))) from error

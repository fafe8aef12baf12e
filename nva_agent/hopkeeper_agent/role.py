"""Which commands an agent accepts and when its probe answers 200: the agent's half of the fencing rules. Pure.

Signatures are in `jws` and `commands`, durability is in `state` and `duties`.

Rules, each with the fault it stops:
  a role command counts when its (epoch, seq) is higher than the last accepted one's,
      or equal with the same effect                          replays and late arrivals
  PROMOTE names the boot it is meant for                     an agent that restarted since the app read its status
  PROMOTE below an epoch that a peer reported is refused     a grant that is older than the present holder's
  this agent stands by if a peer serves at a higher epoch    a holder that missed its fence
  it stands by if a peer recorded it at a higher epoch than
      its own                                                a disk that was rolled back
  an epoch leaps by no more than `LEAP_MAX`                  a record that was tampered with
  a role that was stored before the machine booted answers
      once it is confirmed, or after the boot window if no
      peer claims a higher epoch (`believed`)                a machine that was put back to a backup
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

LEAP_MAX = 2**20
"""By how much the epoch of a role command may exceed what this agent or a peer was commanded before; the first may be any."""


class Role(StrEnum):
    """HA role of this agent in one service."""

    SERVING = "serving"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """A command's place in the app's order of commands for one service."""

    epoch: int
    seq: int


class Toward(StrEnum):
    """Which of the speaker's neighbours an advertisement is for."""

    ROUTE_SERVERS = "route-servers"
    OUTWARD = "outward"


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What the speaker should announce: own ASN `1 + prepend` times in the AS path."""

    prefix: IPv4Network
    next_hop: IPv4Address
    prepend: int
    toward: Toward = Toward.ROUTE_SERVERS


@dataclass(frozen=True, slots=True)
class Advertised:
    """The advertisements of one service, sorted by prefix, and the turn that ordered them."""

    turn: Turn
    advertisements: tuple[Advertisement, ...]


@dataclass(frozen=True, slots=True)
class Outward:
    """What on-premises neighbours are sent for a service, sorted by prefix, and the turn that ordered it.

    The next hop is this appliance. While it serves, the AS path is its own ASN once; on standby that is prepended
    `standby_prepend` times more, or nothing is announced (None).
    """

    turn: Turn
    prefixes: tuple[IPv4Network, ...]
    standby_prepend: int | None


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What an agent stores about a service over a restart. `warrant`: the token of the command that gave turn and role.

    `unconfirmed`, which is not stored: it serves by its disk, the machine has booted since, and nothing confirmed it yet.
    """

    turn: Turn = Turn(0, 0)
    role: Role = Role.STANDBY
    advertised: Advertised | None = None
    outward: Outward | None = None
    warrant: str = ""
    unconfirmed: bool = False

    @property
    def is_active(self) -> bool:
        """Whether it serves, and need not wait for that to be confirmed."""
        return self.role is Role.SERVING and not self.unconfirmed


@dataclass(frozen=True, slots=True)
class Status:
    """Requests the status only."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Stop answering the probe for a service. `warrant` is the command's own token."""

    service: str
    turn: Turn
    warrant: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Promote:
    """Answer the probe for a service; `boot_id` is the boot that the app last read. `warrant` is the command's own token."""

    service: str
    turn: Turn
    boot_id: str
    warrant: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Advertise:
    """Announce exactly these to Route Servers for a service, replacing what was announced before."""

    service: str
    turn: Turn
    advertisements: tuple[Advertisement, ...]


@dataclass(frozen=True, slots=True)
class AdvertiseOutward:
    """Announce these prefixes to on-premises neighbours for a service, by its role; no prefix withdraws all."""

    service: str
    turn: Turn
    prefixes: tuple[IPv4Network, ...]
    standby_prepend: int | None


Command = Status | Fence | Promote | Advertise | AdvertiseOutward


@dataclass(frozen=True, slots=True)
class Accepted:
    """The command is accepted; `state` is the service's state once it is carried out."""

    state: ServiceState


@dataclass(frozen=True, slots=True)
class Refused:
    """The command changes nothing; `reason` is for people."""

    reason: str


def fence(command: Fence, state: ServiceState, heard_epoch: int = 0) -> Accepted | Refused:
    """Decide on a FENCE. `heard_epoch` as in `promote`."""
    return _take_role(command, Role.STANDBY, state, heard_epoch)


def promote(command: Promote, state: ServiceState, boot_id: str, heard_epoch: int) -> Accepted | Refused:
    """Decide on a PROMOTE.

    `boot_id` is this agent's; `heard_epoch` the highest epoch that authentic peers reported (0: none), either one at which
    they serve or one at which they recorded this agent.
    """
    if command.boot_id != boot_id:
        return Refused("this agent restarted since it was looked at")
    if command.turn.epoch < heard_epoch:
        return Refused(f"a peer reported epoch {heard_epoch}, which is higher")
    return _take_role(command, Role.SERVING, state, heard_epoch)


def advertise(command: Advertise, state: ServiceState, taken: Mapping[IPv4Network, str]) -> Accepted | Refused:
    """Decide on an ADVERTISE. `taken`: by prefix, the other service that this agent announces it for."""
    wanted = Advertised(command.turn, command.advertisements)
    known = state.advertised
    if known is not None:
        if command.turn < known.turn:
            return Refused(f"{_named(command.turn)} is lower than {_named(known.turn)}, already accepted")
        if command.turn == known.turn and known.advertisements != command.advertisements:
            return Refused(f"{_named(command.turn)} was accepted with other advertisements")
    for advertisement in command.advertisements:
        if advertisement.prefix in taken:
            return Refused(f"{advertisement.prefix} is announced for service {taken[advertisement.prefix]}")
    return Accepted(replace(state, advertised=wanted))


def advertise_outward(
    command: AdvertiseOutward, state: ServiceState, taken: Mapping[IPv4Network, str]
) -> Accepted | Refused:
    """Decide on an OUTWARD. `taken`: by prefix, the service that this agent already announces it for, to either group."""
    wanted = Outward(command.turn, command.prefixes, command.standby_prepend)
    known = state.outward
    if known is not None and command.turn < known.turn:
        return Refused(f"{_named(command.turn)} is lower than {_named(known.turn)}, already accepted")
    if known is not None and command.turn == known.turn and wanted != known:
        return Refused(f"{_named(command.turn)} was accepted with other prefixes or another prepend")
    for prefix in command.prefixes:
        if prefix in taken:
            return Refused(f"{prefix} is announced for service {taken[prefix]}")
    return Accepted(replace(state, outward=wanted))


def outward(state: ServiceState, address: IPv4Address) -> tuple[Advertisement, ...]:
    """What on-premises neighbours should be sent now: it depends on the role alone.

    role    | standby_prepend | announced, next hop `address`
    serving | any             | own ASN once
    standby | a number        | own ASN once and so many times more
    standby | None            | nothing

    Serving that is unconfirmed counts as standby.
    """
    ordered = state.outward
    if ordered is None:
        return ()
    prepend = 0 if state.is_active else ordered.standby_prepend
    if prepend is None:
        return ()
    return tuple(Advertisement(prefix, address, prepend, Toward.OUTWARD) for prefix in ordered.prefixes)


def outranked(state: ServiceState, heard_epoch: int) -> ServiceState:
    """The state once a peer has reported an epoch: standby at its own turn if it serves at a lower one, else unchanged.

    The peer's epoch is not taken over: standing by acknowledges no command.
    """
    if state.role is Role.SERVING and state.turn.epoch < heard_epoch:
        return replace(state, role=Role.STANDBY, unconfirmed=False)
    return state


def believed(state: ServiceState, claimed_epoch: int) -> ServiceState:
    """The state once the boot window is over, `claimed_epoch` being the highest epoch that peers claimed since the boot.

    A claim without the app's command moves no role, but it keeps a disk that may be old from being believed.
    """
    if state.unconfirmed and claimed_epoch <= state.turn.epoch:
        return replace(state, unconfirmed=False)
    return state


def answers(state: ServiceState, fatal: tuple[str, ...]) -> bool:
    """Whether the probe answers 200: active, and no self-check makes the appliance unfit (`fatal` is empty)."""
    return state.is_active and not fatal


def _take_role(command: Fence | Promote, role: Role, state: ServiceState, heard_epoch: int) -> Accepted | Refused:
    turn, newest = command.turn, max(state.turn.epoch, heard_epoch)
    if state.turn.epoch and turn.epoch > newest + LEAP_MAX:
        return Refused(f"{_named(turn)} leaps too far beyond epoch {newest}")
    if turn < state.turn:
        return Refused(f"{_named(turn)} is lower than {_named(state.turn)}, already accepted")
    if turn == state.turn and role is not state.role:
        return Refused(f"{_named(turn)} was accepted with the opposite effect")
    # Sent again, a command has another token and proves the same: what is on disk stays as it is.
    warrant = state.warrant if turn == state.turn and state.warrant else command.warrant
    return Accepted(replace(state, turn=turn, role=role, warrant=warrant, unconfirmed=False))


def _named(turn: Turn) -> str:
    return f"epoch {turn.epoch} seq {turn.seq}"

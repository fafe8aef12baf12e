"""The status: every topology in short, or one in full. Made of stored documents only, so that it is always quick."""

from datetime import datetime
from typing import Literal

from msgspec import UNSET, UnsetType

from function_app.reconcile.documents.look import LastLook
from function_app.reconcile.documents.part import Part


class Sweep(Part, frozen=True, kw_only=True):
    """When the last sweep came through, and how many seconds ago."""

    at: datetime
    age_seconds: int


class TopologySummary(Part, frozen=True, kw_only=True):
    """`usable` is false where no version of the document can be used. `lastLookSeconds`: the age of the last completed
    look, null where there is none or it cannot be read, negative where its time is in the future."""

    topology: str
    usable: bool
    problems: tuple[str, ...]
    services: tuple[str, ...] | UnsetType = UNSET
    last_look_seconds: int | None


class Overview(Part, frozen=True, kw_only=True):
    """Every topology. `sweep` is null until one came through; `observing`: passes are dry runs and orders are refused."""

    schema: Literal["hopkeeper/overview/1"] = "hopkeeper/overview/1"
    product: Literal["hopkeeper"] = "hopkeeper"
    topologies: tuple[TopologySummary, ...]
    sweep: Sweep | None
    observing: bool


class PauseInForce(Part, frozen=True, kw_only=True):
    """Nothing is done to the service until then; `by` names who ordered it, `reason` why, which may be empty."""

    until: datetime
    by: str
    reason: str


class DrainInForce(Part, frozen=True, kw_only=True):
    """The member must not serve until then; `by` names who ordered it."""

    until: datetime
    by: str


class PathOrder(Part, frozen=True, kw_only=True):
    """Of a ranked service: the next hop and AS path length that an announcer was last commanded, null for a withdrawal,
    whether it acknowledged that, and the lengths that it may still announce from earlier commands."""

    next_hop: str | None
    length: int
    acknowledged: bool
    may_still_be: tuple[int, ...]


class MemberAddress(Part, frozen=True, kw_only=True):
    name: str
    address: str


class SpeakerInForce(Part, frozen=True, kw_only=True):
    """A speaker as the document has it: `role` is router, hub or witness, `peersWith` names Route Servers and hubs; `agent`:
    whether it has one."""

    name: str
    address: str
    asn: int
    role: str
    peers_with: tuple[str, ...]
    agent: bool


class OperationUnderWay(Part, frozen=True, kw_only=True):
    """A change of the holder that is under way, or the last one: `kind` failover, switchover, renew, adopt, ..."""

    id: str
    kind: str
    reason: str
    started: datetime


class Left(Part, frozen=True, kw_only=True):
    """An operator retired or released the service (`how`); `done` once it is not managed any more."""

    how: str
    by: str
    done: bool


class ServiceStatus(Part, frozen=True, kw_only=True):
    """A service's record: `holder` serves, `target` is to serve; `mayServe` could still admit new flows; `fenced` cannot,
    and that is proven; `owed` names members whose adminState Down of ours is still to be taken back. `since`: when the operation
    began by which the holder serves, null while one is under way; `operation` is that one, or the one under way. A pause and a
    drain that are over are null, and not there. `balancer` names the load balancer that is its next hop, null where none is."""

    service: str
    mode: str
    balancer: str | None
    phase: str
    since: datetime | None
    left: Left | None
    epoch: int
    holder: str | None
    target: str | None
    may_serve: tuple[str, ...]
    fenced: tuple[str, ...]
    owed: tuple[str, ...]
    paused: PauseInForce | None
    drained: dict[str, DrainInForce]
    automatic_failovers: int
    paths: dict[str, PathOrder] | None
    members: tuple[MemberAddress, ...]
    operation: OperationUnderWay | None


class Status(Part, frozen=True, kw_only=True):
    """One topology: its services as recorded at `asOf`, and what the last slow pass saw, null where none is readable.

    `verdict`: stale where no look was completed for two sweeps (`sweepSeconds`), so that nothing is known of now; else trouble
    where `reasons` says so; else well. `lookedSeconds`: the age of the last look. `sweep` is null until one came through.
    """

    schema: Literal["hopkeeper/status/1"] = "hopkeeper/status/1"
    topology: str
    as_of: datetime
    verdict: Literal["well", "trouble", "stale"]
    reasons: tuple[str, ...]
    looked_seconds: int | None
    sweep: Sweep | None
    sweep_seconds: float
    generation: str
    problems: tuple[str, ...]
    speakers: tuple[SpeakerInForce, ...]
    services: tuple[ServiceStatus, ...]
    last_look: LastLook | None

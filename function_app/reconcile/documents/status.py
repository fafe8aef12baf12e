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
    """Nothing is done to the service until then; `by` names who ordered it."""

    until: datetime
    by: str


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


class OperationUnderWay(Part, frozen=True, kw_only=True):
    """A change of the holder that is under way: `kind` failover, switchover or forced."""

    id: str
    kind: str
    reason: str
    started: datetime


class ServiceStatus(Part, frozen=True, kw_only=True):
    """A service's record: `holder` serves, `target` is to serve; `mayServe` could still admit new flows; `fenced` cannot,
    and that is proven; `owed` names members whose adminState Down of ours is still to be taken back."""

    service: str
    mode: str
    phase: str
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
    """One topology: its services as recorded now, and what the last slow pass saw, null where none is readable."""

    schema: Literal["hopkeeper/status/1"] = "hopkeeper/status/1"
    topology: str
    generation: str
    problems: tuple[str, ...]
    services: tuple[ServiceStatus, ...]
    last_look: LastLook | None

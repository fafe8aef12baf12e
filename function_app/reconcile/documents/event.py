"""What is published as a CloudEvent: the data of each, and the changes of a record that some of them are about."""

from datetime import datetime
from typing import Literal

from msgspec import UNSET, UnsetType

from function_app.reconcile.documents.part import Part

type ChangeKind = Literal["FailoverStarted", "Promoted", "Verified", "FenceUndone"]
type EventKind = Literal[
    "FailoverStarted",
    "Promoted",
    "Verified",
    "FenceUndone",
    "Held",
    "HeldOver",
    "Refused",
    "RedundancyLost",
    "RedundancyBack",
    "DriftRepaired",
    "SlotRefused",
    "TopologyRejected",
    "FindingsChanged",
]


class Change(Part, frozen=True, kw_only=True):
    """A change of a record: `previous` served before, `target` serves or is to serve, `member` is the one whose fence was
    undone. `operation` is what it belongs to: failover, switchover, renew, adopt, ..."""

    kind: ChangeKind
    at: datetime
    epoch: int
    previous: str | None = None
    target: str | None = None
    member: str | None = None
    operation: str = ""
    reasons: tuple[str, ...] = ()


class FoundOrGone(Part, frozen=True, kw_only=True):
    """A finding of preflight that is new, or gone."""

    rule: str
    severity: str
    path: str
    what: str
    do: str


class Event(Part, frozen=True, kw_only=True):
    """The data of a CloudEvent of type `Hopkeeper.{kind}`. `id` is the same each time it is sent; `subject` a service, a Route
    Server or the topology; `at` when it happened; `reasons` say why, as the status and `explain` do. `change` is there where a
    record changed, `found` and `gone` where findings of preflight did."""

    schema: Literal["hopkeeper/event/1"] = "hopkeeper/event/1"
    id: str
    kind: EventKind
    at: datetime
    topology: str
    subject: str
    reasons: tuple[str, ...] = ()
    change: Change | UnsetType = UNSET
    found: tuple[FoundOrGone, ...] | UnsetType = UNSET
    gone: tuple[FoundOrGone, ...] | UnsetType = UNSET

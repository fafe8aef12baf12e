"""The history of a service: one entry for each pass that changed or held something, and what explains a moment.

Entries are stored in `history/{topology}/{service}/`. Those of an earlier release lack `schema` and are read alike.
"""

from datetime import datetime
from typing import Literal

from msgspec import UNSET, UnsetType

from function_app.domain.service.steps import Effect
from function_app.reconcile.documents.event import Change
from function_app.reconcile.documents.part import Part


class EntryStep(Part, frozen=True, kw_only=True):
    """One decision of a pass, and what came of its effects.

    `phase` is `before → after`; `operation` the operation that the record named when the step was decided, empty where
    there was none (another instance may have opened it). `proofs` gives the load balancer's etag by fenced member,
    `failed` the reason by effect. `performed`, `proofs` and `failed` are there once effects were performed. `changes`
    are those of the record that others are informed of, once it is written.
    """

    at: datetime | None = None
    phase: str
    epoch: int
    operation: str
    because: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    performed: datetime | UnsetType = UNSET
    proofs: dict[str, str] | UnsetType = UNSET
    failed: dict[str, str] | UnsetType = UNSET
    changes: tuple[Change, ...] | UnsetType = UNSET


class Entry(Part, frozen=True, kw_only=True):
    """One pass over one service: `woken` when its trigger came, `looked` when its last observation was made."""

    schema: Literal["hopkeeper/history-entry/1"] = "hopkeeper/history-entry/1"
    service: str
    pace: str
    trigger: str
    woken: datetime | None = None
    started: datetime
    looked: datetime | None
    ended: datetime
    outcome: str
    reasons: tuple[str, ...]
    evidence: dict[str, tuple[str, ...]]
    steps: tuple[EntryStep, ...]


class History(Part, frozen=True, kw_only=True):
    """Entries of one service, the newest last."""

    schema: Literal["hopkeeper/history/1"] = "hopkeeper/history/1"
    topology: str
    service: str
    entries: tuple[Entry, ...]


class Explanation(Part, frozen=True, kw_only=True):
    """The entries that explain a service as it was at `at`, or as it is where that is null; the oldest first."""

    schema: Literal["hopkeeper/explanation/1"] = "hopkeeper/explanation/1"
    topology: str
    service: str
    at: datetime | None
    entries: tuple[Entry, ...]


def effect_text(effect: Effect) -> str:
    """An effect as `SendFence nva-a epoch 3`."""
    return f"{type(effect).__name__} {effect.member} epoch {effect.epoch}"

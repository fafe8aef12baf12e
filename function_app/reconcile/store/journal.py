"""What a pass did and why, kept for people: one document a pass that changed or held something, and of passes that say the same
one in a sweep."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from function_app.domain.base.moments import moment
from function_app.domain.base.refusal import Refusal
from function_app.domain.service.decision import Decision
from function_app.domain.service.health import judge
from function_app.domain.service.look import Look
from function_app.domain.service.observation import Observed
from function_app.domain.service.record import Phase, Record
from function_app.domain.service.steps import LiftByBalancer
from function_app.domain.topology.model import Topology
from function_app.reconcile.documents.event import Change
from function_app.reconcile.documents.history import Entry, EntryStep, effect_text
from function_app.reconcile.history import entries
from function_app.reconcile.passes.outcome import Outcome, named
from function_app.reconcile.ports import Documents
from function_app.reconcile.store import keys


@dataclass(slots=True)
class Journal:
    """Collects the steps of one pass over one service, in order."""

    topology: str
    service: str
    pace: str
    trigger: str
    woken: datetime
    started: datetime
    looked: datetime | None = None
    steps: list[EntryStep] = field(default_factory=list)
    evidence: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def look(self, look: Look) -> None:
        # A look may be dated before its pass: one that takes over what a report or an earlier pass has read.
        self.looked, self.started = look.at, min(self.started, look.at)
        judged = {name: judge(look, name) for name in look.members}
        self.evidence = {name: (*j.evidence, f"{j.verdict}: {j.row}: {j.because}") for name, j in judged.items()}

    def decided(self, at: datetime, before: Record, decision: Decision, refusals: tuple[Refusal, ...]) -> None:
        step = EntryStep(
            at=at,
            phase=f"{before.phase} → {decision.record.phase}",
            epoch=decision.record.epoch,
            operation=_operation(before),
            because=named(decision.because, self.topology),
            effects=tuple(map(effect_text, decision.effects)),
            held=named(decision.held, self.topology),
            alarms=named(decision.alarms, self.topology),
            refused=named(map(str, refusals), self.topology),
        )
        self.steps.append(step)

    def written(self, at: datetime, before: Record, decision: Decision) -> None:
        """The record of the last step is durable."""
        if changes := tuple(_changes(at, before, decision)):
            self.steps[-1] = replace(self.steps[-1], changes=changes)

    def performed(self, at: datetime, observed: Observed) -> None:
        """What came of the effects of the last step."""
        self.steps[-1] = replace(
            self.steps[-1],
            performed=at,
            proofs={name: proof.etag for name, proof in observed.proofs.items()},
            failed={effect_text(effect): why for effect, why in observed.tried.items()},
        )

    def entry(self, ended: datetime, outcome: Outcome) -> Entry:
        return Entry(
            service=self.service,
            pace=self.pace,
            trigger=self.trigger,
            woken=self.woken,
            started=self.started,
            looked=self.looked,
            ended=ended,
            outcome=outcome.ending.word,
            reasons=outcome.reasons,
            evidence=self.evidence,
            steps=tuple(self.steps),
        )


def _changes(at: datetime, before: Record, decision: Decision) -> Iterator[Change]:
    """What others are informed of."""
    after = decision.record
    operation = after.operation or before.operation
    if operation is None:
        return
    about = Change(
        kind="FailoverStarted",
        at=at,
        epoch=after.epoch,
        previous=operation.previous,
        target=after.target,
        operation=operation.kind,
        reasons=(operation.reason,),
    )
    for member in _undone(before, decision):
        why = (f"adminState of {member} is no longer Down, and not by us",)
        yield replace(about, kind="FenceUndone", member=member, reasons=why)
    if after.phase is Phase.FENCING and after.epoch != before.epoch:
        yield about
    if after.phase is Phase.GRANTED and (before.phase, before.epoch) != (after.phase, after.epoch):
        yield replace(about, kind="Promoted")
    if before.phase is Phase.GRANTED and after.phase is Phase.STABLE:
        yield replace(about, kind="Verified", reasons=decision.because or about.reasons)


def _undone(before: Record, decision: Decision) -> list[str]:
    """Whose fence another writer undid: not one that we lift ourselves, and none that learning forgets."""
    after = decision.record
    if Phase.LEARN in (before.phase, after.phase):
        return []
    lifted = {effect.member for effect in decision.effects if isinstance(effect, LiftByBalancer)}
    return sorted((before.fenced.keys() - after.fenced.keys() - lifted) & after.owed.keys())


def _operation(record: Record) -> str:
    """The operation that the record named when the step was decided; another instance may have opened it and died before
    it stored an entry."""
    operation = record.operation
    if operation is None:
        return ""
    return f"{operation.kind} to {record.target} at epoch {record.epoch}, opened {moment(operation.started)}: {operation.reason}"


async def repeats(documents: Documents, topology: Topology, entry: Entry) -> bool:
    """Whether the last entry says the same and is no older than a sweep: reports in a flood file no more than sweeps do, and what
    stands is filed anew often enough to be explained at any moment. Raises Unavailable."""
    if any(map(_achieved, entry.steps)):
        return False
    last = await entries(documents, topology.name, entry.service, 1)
    return any(abs(entry.started - one.started) < topology.timing.sweep and _said(one) == _said(entry) for one in last)


def _achieved(step: EntryStep) -> bool:
    return bool(step.changes or set(step.effects) - (step.failed or {}).keys())


def _said(entry: Entry) -> str:
    """What it says without times and ages, which change while nothing else does."""
    steps = [replace(step, at=None, performed=UNSET) for step in entry.steps]
    return re.sub(r"\d+(?= s\b)", "", repr((entry.outcome, entry.reasons, entry.evidence, steps)))


async def keep(documents: Documents, topology: Topology, entry: Entry) -> None:
    """Stores an entry under the time it began, or looked where that was before; entries of one service sort by time. Raises
    Unavailable."""
    began = entry.started if entry.looked is None else min(entry.started, entry.looked)
    key = keys.history_entry(topology.name, entry.service, began, entry.pace)
    await documents.put(key, msgspec.json.encode(entry))

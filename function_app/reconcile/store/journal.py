"""What a pass did and why, kept for people: one document a pass that changed or held something."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from function_app.domain.base.refusal import Refusal
from function_app.domain.service.decision import Decision
from function_app.domain.service.health import judge
from function_app.domain.service.look import Look
from function_app.domain.service.observation import Observed
from function_app.domain.service.record import Record
from function_app.domain.topology.model import Topology
from function_app.reconcile.passes.outcome import Outcome
from function_app.reconcile.ports import Documents
from function_app.reconcile.store import keys


@dataclass(slots=True)
class Journal:
    """Collects the steps of one pass over one service, in order."""

    service: str
    pace: str
    trigger: str
    woken: datetime
    started: datetime
    looked: datetime | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    evidence: dict[str, list[str]] = field(default_factory=dict)

    def look(self, look: Look) -> None:
        self.looked = look.at
        judged = {name: judge(look, name) for name in look.members}
        self.evidence = {name: [*j.evidence, f"{j.verdict}: {j.row}: {j.because}"] for name, j in judged.items()}

    def decided(self, at: datetime, before: Record, decision: Decision, refusals: tuple[Refusal, ...]) -> None:
        self.steps.append(
            {
                "at": at,
                "phase": f"{before.phase} → {decision.record.phase}",
                "epoch": decision.record.epoch,
                "operation": _operation(before),
                "because": list(decision.because),
                "effects": [describe(effect) for effect in decision.effects],
                "held": list(decision.held),
                "alarms": list(decision.alarms),
                "refused": [str(refusal) for refusal in refusals],
            }
        )

    def performed(self, at: datetime, observed: Observed) -> None:
        self.steps[-1]["performed"] = at
        self.steps[-1]["proofs"] = {name: proof.etag for name, proof in observed.proofs.items()}
        self.steps[-1]["failed"] = {describe(effect): why for effect, why in observed.tried.items()}

    def entry(self, ended: datetime, outcome: Outcome) -> Mapping[str, Any]:
        return {
            "service": self.service,
            "pace": self.pace,
            "trigger": self.trigger,
            "woken": self.woken,
            "started": self.started,
            "looked": self.looked,
            "ended": ended,
            "outcome": outcome.ending.name.lower(),
            "reasons": list(outcome.reasons),
            "evidence": self.evidence,
            "steps": self.steps,
        }


def _operation(record: Record) -> str:
    """The operation that the record told of when the step was decided: perhaps somebody else's, who never filed it."""
    operation = record.operation
    if operation is None:
        return ""
    return (
        f"{operation.kind} to {record.target} at epoch {record.epoch}, opened {operation.started}: {operation.reason}"
    )


def describe(effect: object) -> str:
    """`SendFence nva-a epoch 3`: an effect in a person's words."""
    member, epoch = getattr(effect, "member", ""), getattr(effect, "epoch", "")
    return f"{type(effect).__name__} {member} epoch {epoch}"


async def keep(documents: Documents, topology: Topology, entry: Mapping[str, Any]) -> None:
    """Files an entry under the time it began; entries of one service sort by time."""
    key = keys.history_entry(topology.name, entry["service"], entry["started"], entry["pace"])
    await documents.put(key, msgspec.json.encode(entry))

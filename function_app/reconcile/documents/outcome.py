"""How a pass or an order ended, as the HTTP functions answer it."""

from typing import Literal

from msgspec import UNSET, UnsetType

from function_app.reconcile.documents.error import ErrorDetail
from function_app.reconcile.documents.part import Part
from function_app.reconcile.passes.outcome import Outcome


class OutcomeAnswer(Part, frozen=True, kw_only=True):
    """`outcome` is one of `passes.outcome.Ending`; `retryAfterSeconds`: when Hopkeeper looks again by itself, null for the
    next event or sweep. `error` is there where an order was refused: the same reasons, in the shape of every error."""

    schema: Literal["hopkeeper/outcome/1"] = "hopkeeper/outcome/1"
    topology: str
    outcome: str
    reasons: tuple[str, ...]
    retry_after_seconds: float | None
    error: ErrorDetail | UnsetType = UNSET


def outcome_document(topology: str, outcome: Outcome) -> OutcomeAnswer:
    again = outcome.retry_after
    return OutcomeAnswer(
        topology=topology,
        outcome=outcome.ending.word,
        reasons=outcome.reasons,
        retry_after_seconds=None if again is None else again.total_seconds(),
    )


class Outcomes(Part, frozen=True, kw_only=True):
    """One for each topology."""

    schema: Literal["hopkeeper/outcomes/1"] = "hopkeeper/outcomes/1"
    outcomes: tuple[OutcomeAnswer, ...]

"""How a pass or an order ended, as the HTTP functions answer it."""

from typing import Literal

from function_app.reconcile.documents.part import Part


class OutcomeAnswer(Part, frozen=True, kw_only=True):
    """`outcome` is one of `passes.outcome.Ending`; `retryAfterSeconds`: when Hopkeeper looks again by itself, null for the
    next event or sweep."""

    schema: Literal["hopkeeper/outcome/1"] = "hopkeeper/outcome/1"
    topology: str
    outcome: str
    reasons: tuple[str, ...]
    retry_after_seconds: float | None


class Outcomes(Part, frozen=True, kw_only=True):
    """One for each topology."""

    schema: Literal["hopkeeper/outcomes/1"] = "hopkeeper/outcomes/1"
    outcomes: tuple[OutcomeAnswer, ...]

"""What is known about routes: findings, how old the answers are, and what the requests cost."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from function_app.domain.routes.findings import Finding
from function_app.domain.routes.learned import UNVERIFIED, RouteCheck
from function_app.domain.routes.reading import LearnedRoute


class Cost(Struct, frozen=True, kw_only=True):
    """Write tokens: how many were spent in the last `per`, and the most that may be."""

    spent: int = 0
    most: int = 0
    per: timedelta = timedelta(0)


class Verification(Struct, frozen=True, kw_only=True):
    """Evidence, each piece with its age. `answers` says when each question that was answered was asked, None where none was."""

    checks: tuple[RouteCheck, ...] = ()
    findings: tuple[Finding, ...] = ()
    learned: Mapping[str, tuple[LearnedRoute, ...]] = {}
    """The last answers themselves, by `{route server}/{speaker}`."""
    services: int = 0
    """How many there are to judge: while their next hops are not known, there are no checks and nothing is verified."""
    complete: bool = False
    """Whether learned routes of every speaker with an established peering have been asked and answered."""
    answers: Mapping[str, datetime | None] = {}
    under_way: int = 0
    """Questions that were asked and not answered yet."""
    trouble: tuple[str, ...] = ()
    """Why questions could not be asked, or answers not be heard."""
    cost: Cost = Cost()

    @property
    def verified(self) -> bool:
        """Whether every service's routes are there with the right next hop on both instances; of a topology without
        services, whether nothing that it implies is missing."""
        if not self.services:
            return self.complete and not any(f.kind in UNVERIFIED for f in self.wrong)
        return self.complete and bool(self.checks) and all(c.verified for c in self.checks)

    @property
    def wrong(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.wrong)

    @property
    def as_of(self) -> datetime | None:
        """When the oldest answer was asked for; None while one is missing."""
        times = list(self.answers.values())
        return None if None in times else min((at for at in times if at is not None), default=None)

"""What is known about routes: findings, how old the answers are, and what the requests cost."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from function_app.domain.routes.findings import RouteFinding
from function_app.domain.routes.learned import UNVERIFIED, RouteCheck
from function_app.domain.routes.reading import LearnedRoute


class Cost(Struct, frozen=True, kw_only=True):
    """Write tokens: how many were spent in the last `per`, and the most that may be."""

    spent: int = 0
    most: int = 0
    per: timedelta = timedelta(0)


class Verification(Struct, frozen=True, kw_only=True):
    """Evidence, each piece with its age. `answers` gives for each query when its last answer was requested, None without one."""

    checks: tuple[RouteCheck, ...] = ()
    findings: tuple[RouteFinding, ...] = ()
    learned: Mapping[str, tuple[LearnedRoute, ...]] = {}
    """The last answers themselves, by `{route server}/{speaker}`."""
    services: int = 0
    """How many there are to judge: while their next hops are not known, there are no checks and nothing is verified."""
    complete: bool = False
    """Whether there is an answer with the learned routes of every speaker whose peering is in force."""
    answers: Mapping[str, datetime | None] = {}
    under_way: int = 0
    """Queries that were started and are not answered yet."""
    trouble: tuple[str, ...] = ()
    """Why queries could not be started or polled."""
    cost: Cost = Cost()

    @property
    def verified(self) -> bool:
        """Whether every service's routes are there with the right next hop on both instances; of a topology without
        services, whether nothing that it implies is missing."""
        if not self.services:
            return self.complete and not any(f.kind in UNVERIFIED for f in self.wrong)
        return self.complete and bool(self.checks) and all(c.verified for c in self.checks)

    @property
    def wrong(self) -> tuple[RouteFinding, ...]:
        return tuple(f for f in self.findings if f.wrong)

    @property
    def as_of(self) -> datetime | None:
        """When the oldest answer was requested; None while one is missing."""
        times = list(self.answers.values())
        return None if None in times else min((at for at in times if at is not None), default=None)

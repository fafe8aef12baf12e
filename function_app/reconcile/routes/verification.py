"""What is known about routes, as the status tells it: findings, how old the answers are, and what asking cost."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

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
    """Evidence, each piece with its age. `answers` says when each question that was answered was asked, None where none was."""

    checks: tuple[RouteCheck, ...] = ()
    findings: tuple[RouteFinding, ...] = ()
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
    def wrong(self) -> tuple[RouteFinding, ...]:
        return tuple(f for f in self.findings if f.wrong)

    @property
    def as_of(self) -> datetime | None:
        """When the oldest answer was asked for; None while one is missing."""
        times = list(self.answers.values())
        return None if None in times else min((at for at in times if at is not None), default=None)


def told(verification: Verification) -> dict[str, Any]:
    """Under `routes` in the status document; `asOf` is when the oldest answer was asked for."""
    return {
        "verified": verification.verified,
        "complete": verification.complete,
        "asOf": verification.as_of,
        "checks": [
            {"service": c.service, "speaker": c.speaker, "verified": c.verified, "missing": list(c.missing)}
            for c in verification.checks
        ],
        "wrong": len(verification.wrong),
        "findings": [told_finding(f) for f in verification.findings],
        "answers": dict(sorted(verification.answers.items())),
        "underWay": verification.under_way,
        "trouble": list(verification.trouble),
        "cost": {
            "writeTokens": verification.cost.spent,
            "budget": verification.cost.most,
            "perSeconds": verification.cost.per.total_seconds(),
        },
    }


def told_finding(finding: RouteFinding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "wrong": finding.wrong,
        "where": finding.where,
        "speaker": finding.speaker,
        "service": finding.service,
        "prefix": str(finding.prefix) if finding.prefix is not None else None,
        "sentence": finding.sentence,
    }

"""Makes a failing plan small: fewer faults first (delta debugging), then shorter ones. The same law must still break."""

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from proving.storm.faults import Fault, Plan, Point

TRIES_MAX = 400
"""Histories that one shrinking may run: it is for reading, not for a proof of being the smallest."""

type Breaks = Callable[[Plan], str | None]
"""Runs a plan and gives the law that it breaks."""


@dataclass(slots=True)
class Shrinker:
    """Shrinks by trying. `tries` counts the histories that were run."""

    breaks: Breaks
    law: str
    tries: int = field(default=0, init=False)

    def shrink(self, plan: Plan) -> Plan:
        """The smallest plan found that breaks the same law; the plan itself if nothing can go."""
        before: Plan | None = None
        while plan != before and self.tries < TRIES_MAX:
            before = plan
            plan = self._without(plan)
            plan = self._shorter(plan)
        return plan

    def _still(self, plan: Plan) -> bool:
        self.tries += 1
        return self.tries <= TRIES_MAX and self.breaks(plan) == self.law

    def _without(self, plan: Plan) -> Plan:
        """Leaves out halves, then quarters, then single faults and points, as long as the law still breaks."""
        parts: list[Fault | Point] = [*plan.faults, *plan.points]
        size = max(len(parts) // 2, 1)
        while parts:
            for start in range(0, len(parts), size):
                fewer = parts[:start] + parts[start + size :]
                if self._still(_with_parts(plan, fewer)):
                    parts = fewer
                    break
            else:
                if size == 1:
                    break
                size = max(size // 2, 1)
        return _with_parts(plan, parts)

    def _shorter(self, plan: Plan) -> Plan:
        """Halves what lasts, leaves out the crash at the end, and heals as soon as the last fault has begun."""
        for index, fault in enumerate(plan.faults):
            if fault.seconds > 1.0:
                faults = list(plan.faults)
                faults[index] = replace(fault, seconds=round(fault.seconds / 2.0, 3))
                plan = self._rather(replace(plan, faults=tuple(faults)), plan)
        if plan.last_crash:
            plan = self._rather(replace(plan, last_crash=False), plan)
        last = max((fault.at for fault in plan.faults), default=0.0) + 5.0
        for heal_at in (last, (last + plan.heal_at) / 2.0):
            if heal_at < plan.heal_at - 1.0:
                plan = self._rather(replace(plan, heal_at=round(heal_at, 3)), plan)
        return self._rather(replace(plan, hosts=plan.hosts - 1), plan) if plan.hosts > 1 else plan

    def _rather(self, smaller: Plan, plan: Plan) -> Plan:
        return smaller if self._still(smaller) else plan


def _with_parts(plan: Plan, parts: list[Fault | Point]) -> Plan:
    return replace(
        plan,
        faults=tuple(part for part in parts if isinstance(part, Fault)),
        points=tuple(part for part in parts if isinstance(part, Point)),
    )

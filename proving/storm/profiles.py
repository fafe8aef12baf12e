"""The profiles by name: how many histories each has at full size, the plan that a seed stands for, and how it is run."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from proving.storm import exhaustive
from proving.storm.directed import directed_plan
from proving.storm.draw import edits_plan, handover_plan, lasting_plan, random_plan, wide_plan, with_appliances
from proving.storm.faults import Plan
from proving.storm.history import History, Result
from proving.storm.ranked.draw import ranked_plan
from proving.storm.ranked.history import RankedHistory
from proving.storm.wire.draw import wire_plan


class Run(Protocol):
    def __call__(self, plan: Plan, trace: bool = False) -> Result: ...


def _in_virtual_time(plan: Plan, trace: bool = False) -> Result:
    return History(plan, trace=trace).run()


def _by_best_path(plan: Plan, trace: bool = False) -> Result:
    return RankedHistory(plan, trace=trace).run()


def _on_the_wire(plan: Plan, trace: bool = False) -> Result:
    # The simulator, the agent and the Azure adapters take longer to import than a hundred of the other histories last.
    return cast(Run, importlib.import_module("proving.storm.wire.history").run)(plan, trace)


@dataclass(frozen=True, slots=True)
class Profile:
    """`plan` is deterministic; `count` gives the full size, `chunk` how many histories a process runs at once."""

    plan: Callable[[int], Plan]
    count: Callable[[], int]
    run: Run = _in_virtual_time
    chunk: int = 40


PROFILES = {
    "random": Profile(with_appliances(random_plan), lambda: 20_000),
    "directed": Profile(with_appliances(directed_plan), lambda: 5_000),
    "lasting": Profile(with_appliances(lasting_plan), lambda: 5_000),
    "ranked": Profile(ranked_plan, lambda: 5_000, run=_by_best_path),
    "handover": Profile(with_appliances(handover_plan), lambda: 5_000),
    "edits": Profile(with_appliances(edits_plan), lambda: 5_000),
    "wide": Profile(with_appliances(wide_plan), lambda: 5_000),
    "exhaustive": Profile(lambda seed: exhaustive.all_plans()[seed], lambda: len(exhaustive.all_plans())),
    "wire": Profile(wire_plan, lambda: 200, run=_on_the_wire, chunk=10),
}


def run(plan: Plan, trace: bool = False) -> Result:
    """The history of a plan of any profile."""
    return PROFILES[plan.profile].run(plan, trace)

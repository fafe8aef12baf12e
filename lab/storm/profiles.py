"""The profiles by name: how many histories each has at full size, and the plan that a seed stands for in it."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.storm import exhaustive
from lab.storm.directed import directed_plan
from lab.storm.draw import random_plan
from lab.storm.faults import Plan


@dataclass(frozen=True, slots=True)
class Profile:
    """`plan` is deterministic; `count` gives the full size."""

    plan: Callable[[int], Plan]
    count: Callable[[], int]


PROFILES = {
    "random": Profile(random_plan, lambda: 20_000),
    "directed": Profile(directed_plan, lambda: 5_000),
    "exhaustive": Profile(lambda seed: exhaustive.all_plans()[seed], lambda: len(exhaustive.all_plans())),
}

"""The prefix budget: stages from what a neighbour holds to what it should hold, none beyond the neighbour's limit.

A Route Server adds up the prefixes that a peer has sent and those of an UPDATE under way, and ends the session beyond its
limit: replacing the next hop of 2,001 of 4,000 is enough. Pure; the sender waits until each stage is sent.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

from hopkeeper_agent.speakers.settings import Budget

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class OverBudget(Exception):
    """The change cannot be made within the budget; the message has the numbers."""


def stages(  # noqa: UP047 - the agent runs on Python 3.11 too
    held: Mapping[K, V], wanted: Mapping[K, V], budget: Budget, others: int = 0
) -> list[dict[K, V]]:
    """Return the tables (route by prefix) to announce one after another; the last is `wanted`.

    `others` counts prefixes that the neighbour holds of this speaker and that are not ours. Raises OverBudget.

    new or replaced, with what is held | setting | stages
    within the budget                  | any     | one, withdrawals included
    beyond it                          | refuse  | OverBudget
    beyond it                          | split   | replaced first, then new, withdrawals last: no prefix is ever without a route.
                                       |         | Only if nothing fits beside what is held, withdrawals go first
    """
    waiting = _replaced_then_new(held, wanted)
    most = budget.prefixes - others
    if len(held) + len(waiting) <= most or not waiting:
        return [dict(wanted)]
    over = OverBudget(
        f"{others + len(held)} prefixes held and {len(waiting)} to send, {budget.prefixes} allowed at once"
    )
    if not budget.split or len(wanted) > most:
        raise over
    found: list[dict[K, V]] = []
    current = dict(held)
    if len(current) >= most and current.keys() - wanted.keys():
        current = _without_withdrawn(current, wanted)
        found.append(dict(current))
    while waiting:
        room = most - len(current)
        if room < 1:
            raise over
        batch, waiting = waiting[:room], waiting[room:]
        current |= {prefix: wanted[prefix] for prefix in batch}
        found.append(dict(current))
    if current.keys() != wanted.keys():
        found.append(dict(wanted))
    return found


def _replaced_then_new(held: Mapping[K, V], wanted: Mapping[K, V]) -> list[K]:  # noqa: UP047
    """The prefixes whose routes change, those first that have a route now."""
    changed = [prefix for prefix in sorted(wanted, key=str) if held.get(prefix) != wanted[prefix]]
    return sorted(changed, key=lambda prefix: prefix not in held)


def _without_withdrawn(held: Mapping[K, V], wanted: Mapping[K, V]) -> dict[K, V]:  # noqa: UP047
    return {prefix: route for prefix, route in held.items() if prefix in wanted}

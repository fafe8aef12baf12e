"""Operators' verbs: an order for one service, taken or refused within the call, and carried out like any fast pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from function_app.domain.base.errors import BadInput, Problem
from function_app.domain.service.orders import (
    DrainOrder,
    FailoverOrder,
    Order,
    PauseOrder,
    RehearseOrder,
    ResumeOrder,
    SwitchoverOrder,
    UndrainOrder,
)
from function_app.domain.topology.model import Service
from function_app.reconcile import observe
from function_app.reconcile.act.rehearse import rehearse
from function_app.reconcile.passes.come_back import come_back
from function_app.reconcile.passes.outcome import Outcome
from function_app.reconcile.passes.service import ServicePass
from function_app.reconcile.ports import Ports
from function_app.reconcile.store.topologies import InForce

UNTIL = timedelta(hours=1)
"""How long a pause or a drain lasts where nobody says: an order that was forgotten must end by itself."""
UNTIL_MAX = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Words:
    """What came with a verb: who orders, and the rest as sent."""

    by: str
    said: Mapping[str, Any]
    now: datetime

    def text(self, key: str) -> str | None:
        value = self.said.get(key)
        if value is not None and not isinstance(value, str):
            raise _bad(f"$.{key}", "must be text")
        return value

    def required(self, key: str) -> str:
        value = self.text(key)
        if not value:
            raise _bad(f"$.{key}", "is missing")
        return value

    def until(self) -> datetime:
        """`minutes` from now: 60 unless said."""
        minutes = self.said.get("minutes", UNTIL.total_seconds() / 60)
        if (
            isinstance(minutes, bool)
            or not isinstance(minutes, int | float)
            or not 0 < minutes <= UNTIL_MAX.total_seconds() / 60
        ):
            raise _bad("$.minutes", f"must be a number above 0, at most {UNTIL_MAX.total_seconds() / 60:g}")
        return self.now + timedelta(minutes=minutes)


type Reader = Callable[[Words], Order]

VERBS: Mapping[str, tuple[frozenset[str], Reader]] = {
    "pause": (
        frozenset({"minutes", "reason"}),
        lambda words: PauseOrder(words.until(), words.by, words.text("reason") or ""),
    ),
    "resume": (frozenset(), lambda words: ResumeOrder(words.by)),
    "switchover": (frozenset({"to"}), lambda words: SwitchoverOrder(words.required("to"), words.by)),
    "failover": (frozenset({"to"}), lambda words: FailoverOrder(words.by, words.text("to"))),
    "drain": (
        frozenset({"member", "minutes"}),
        lambda words: DrainOrder(words.required("member"), words.until(), words.by),
    ),
    "undrain": (frozenset({"member"}), lambda words: UndrainOrder(words.required("member"), words.by)),
    "rehearse": (frozenset({"member"}), lambda words: RehearseOrder(words.by, words.text("member"))),
}
"""Each verb: the keys that it takes besides `by`, and the order that they make."""


def order_from(verb: str, said: Any, now: datetime) -> Order:
    """The order that a verb and a body make. Raises BadInput naming what is wrong."""
    if verb not in VERBS:
        raise _bad("{verb}", f"{verb!r} is none of {', '.join(VERBS)}")
    if not isinstance(said, dict):
        raise _bad("$", "must be a JSON object")
    keys, reader = VERBS[verb]
    for key in said:
        if key not in keys | {"by"}:
            raise _bad(f"$.{key}", f"{verb} takes {', '.join(sorted(keys | {'by'}))}")
    words = Words(by=str(said.get("by") or "an operator")[:100], said=said, now=now)
    return reader(words)


async def operate(ports: Ports, in_force: InForce, service: Service, order: Order) -> Outcome:
    """Looks at the agents, takes the order or refuses it, and goes on as a fast pass does."""
    if isinstance(order, RehearseOrder):
        return await rehearse(ports, in_force, service, order)
    topology = in_force.topology
    trigger = f"order: {type(order).__name__} by {order.by}"
    service_pass = ServicePass(ports, topology, service, "fast", trigger, ports.clock.now())
    outcome = await service_pass.run(observe.AgentReadings(ports, topology).watch(service), order)
    if outcome.retry_after is not None:
        await come_back(ports, topology.name, outcome.retry_after)
    return outcome


def _bad(path: str, rule: str) -> BadInput:
    return BadInput((Problem(path, rule),))

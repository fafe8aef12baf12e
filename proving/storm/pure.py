"""S16: decisions are pure: independent of the order of messages, of when they are made and of agents' clocks, and idempotent."""

from dataclasses import replace
from datetime import timedelta
from itertools import cycle
from typing import TYPE_CHECKING

from function_app.domain.service.decide import decide
from function_app.domain.service.decision import Decision
from function_app.domain.service.look import Look
from function_app.domain.service.observation import (
    AgentReading,
    AgentStatus,
    Backend,
    BalancerReading,
    Observed,
    Unreachable,
)

if TYPE_CHECKING:
    from proving.storm.world import World


def repeated(world: "World") -> None:
    """Decides on the world as it is now, twice and the other way round."""
    record = world.documents.record
    if record is None:
        return
    at = world.hosts[0].now()
    heard: dict[str, AgentReading] = {
        n: a.reading() if a.talks and not a.rekeyed and n not in world.cut_in else Unreachable("cut")
        for n, a in world.agents.items()
    }
    backends = {name: Backend(state, None) for name, state in world.balancers[0].control.items()}
    balancer = BalancerReading("etag", world.frontend, backends)
    turned_backends = BalancerReading("etag", world.frontend, dict(reversed(backends.items())))

    def decided(seen: Observed, later: timedelta = timedelta(0)) -> Decision:
        return decide(Look(world.service, world.topology.timing, seen, record, at + later, world.named))

    one = decided(Observed(at, heard, balancer))
    again = decided(Observed(at, heard, balancer), later=timedelta(hours=1))
    turned = decided(Observed(at, _turned(heard), turned_backends))
    if world.bugs.is_moody:
        turned = decided(Observed(at, {}, balancer))
    if one != again or one != turned:
        world.checks.broken("S16", f"{one} and then {turned}")


def _turned(heard: dict[str, AgentReading]) -> dict[str, AgentReading]:
    """The other way round, and of agents whose clocks are off."""
    off = cycle(timedelta(minutes=minutes) for minutes in (-10, 10, 0))
    return {
        name: replace(reading, clock=reading.clock + next(off)) if isinstance(reading, AgentStatus) else reading
        for name, reading in reversed(heard.items())
    }

"""S16: a decision depends on what is seen, not on the order in which it was told, nor on having been made before."""

from typing import TYPE_CHECKING

from function_app.domain.service.decide import decide
from function_app.domain.service.observation import Backend, BalancerReading, Observed, Unreachable

if TYPE_CHECKING:
    from proving.storm.world import World


def repeated(world: "World") -> None:
    """Decides on the world as it is now, twice and the other way round."""
    record = world.documents.record
    if record is None:
        return
    at = world.hosts[0].now()
    heard = {
        n: a.reading() if a.talks and n not in world.cut_in else Unreachable("cut") for n, a in world.agents.items()
    }
    backends = {name: Backend(state, None) for name, state in world.balancer.control.items()}
    balancer = BalancerReading("etag", world.frontend, backends)
    turned_backends = BalancerReading("etag", world.frontend, dict(reversed(backends.items())))
    timing, service = world.topology.timing, world.service
    one = decide(service, timing, Observed(at, heard, balancer), record)
    again = decide(service, timing, Observed(at, heard, balancer), record)
    turned = decide(service, timing, Observed(at, dict(reversed(heard.items())), turned_backends), record)
    if world.bugs.is_moody:
        turned = decide(service, timing, Observed(at, {}, balancer), record)
    if one != again or one != turned:
        world.checks.broken("S16", f"{one} and then {turned}")

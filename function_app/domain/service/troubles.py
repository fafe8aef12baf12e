"""What is wrong with a service now, whatever is or is not being done about it: a pause, or a move that waits, hides none of it.

For people alone: nothing here decides, and what a decision says itself (held, refused) is not said again. By what it is about, so
that the status can say since when; the words may hold figures.
"""

from collections.abc import Iterator, Mapping

from function_app.domain.service.alarms import spares
from function_app.domain.service.health import HealthRow, judge
from function_app.domain.service.look import Look
from function_app.domain.service.observation import AdminState, Backend, BalancerReading, Unreachable, Value
from function_app.domain.service.record import Phase
from function_app.domain.topology.model import BackendPool, Mode

LOOKS_DEAD = frozenset({HealthRow.FATAL, HealthRow.APPLIANCE_SILENT, HealthRow.APPLIANCE_UNREACHED})
"""Of a holder. What its probe shows is said pool by pool, and that an agent does not answer with the agents."""


def troubles(look: Look) -> Mapping[str, str]:
    """By what each is about. None of a service that leaves: it is as an operator wants it."""
    if look.record.leaving is not None:
        return {}
    found = list(_at_balancers(look))
    holder = look.record.holder if look.service.mode is Mode.ACTIVE_PASSIVE else None
    if holder is not None and holder in look.members and look.record.phase is Phase.STABLE:
        found += [*_of_holder(look, holder), *_beside(look, holder), *_in_pools(look, holder)]
    return dict(found)


def _at_balancers(look: Look) -> Iterator[tuple[str, str]]:
    """Whoever serves: what makes a probe, a Down or a path mean something else than it should."""
    for pool, reading in _pools(look):
        if reading.unjoined:
            means = "who gets new flows is not shown, and no move can be proven"
            yield f"rule {pool.pool_id}", f"{_name(pool)}: {reading.unjoined}: {means}"
        for name, backend in sorted(reading.backends.items()):
            if backend.admin_state is AdminState.UP:
                always = (
                    f"adminState of {name} is Up in {_named(pool)}: it gets new flows, dead or alive; set it to None"
                )
                yield f"Up {pool.pool_id} {name}", always
    for flaw in look.record.flaws if look.observed.balancer is None else _flaws(look.observed.balancer):
        yield f"flaw {flaw}", flaw


def _flaws(reading: BalancerReading | str) -> tuple[str, ...]:
    return reading.flaws if isinstance(reading, BalancerReading) else ()


def _of_holder(look: Look, holder: str) -> Iterator[tuple[str, str]]:
    judgement = judge(look, holder)
    if judgement.row in LOOKS_DEAD:
        yield f"holder {holder}", f"the holder looks dead: {judgement.because}"


def _beside(look: Look, holder: str) -> Iterator[tuple[str, str]]:
    """Who gets new flows and should not. One that acknowledged its FENCE answers 503: the load balancer shows that late."""
    for name in look.members:
        if name != holder and look.is_admitted(name) and not look.acked(name):
            yield (
                f"beside {name}",
                f"{name} gets new flows as well as {holder}: the load balancer's probe of both succeeds",
            )


def _in_pools(look: Look, holder: str) -> Iterator[tuple[str, str]]:
    """Pools in which the holder gets no new flows: in one of several that moves nothing (safety.md section 4a)."""
    is_silent = isinstance(look.observed.agents.get(holder), Unreachable)  # then no probe gets an answer either
    for pool, reading in _pools(look):
        backend = reading.backends.get(holder)
        if backend is not None and backend.probed is Value.BAD and is_silent:
            continue
        if (why := _why_not_there(reading, holder, pool)) is not None:
            admitted = [name for name, backend in reading.backends.items() if backend.probed is Value.OK]
            instead = f"{', '.join(admitted)} gets them" if admitted else "no member gets new flows there"
            yield f"pool {pool.pool_id}", f"{why}: {instead}. {_way_out(look, reading, holder)}"


def _why_not_there(reading: BalancerReading, holder: str, pool: BackendPool) -> str | None:
    backend = reading.backends.get(holder)
    if backend is None:
        return f"{_named(pool)} does not list {holder}, which serves" if reading.complete else None
    if backend.probed is Value.BAD:
        return f"{_name(pool)}: the probe of {holder}, which serves, fails ({backend.reason})"
    return f"{holder}, which serves, is Down in {_named(pool)}" if backend.admin_state is AdminState.DOWN else None


def _way_out(look: Look, reading: BalancerReading, holder: str) -> str:
    mend = {
        None: f"Put {holder} back into that pool",
        Value.BAD: "Mend the probe's path (NSG, 168.63.129.16), or what answers it",
    }.get(_probed(reading.backends.get(holder)), "Set it to None there")
    able = [name for name, why in spares(look).items() if why is None and name in reading.backends]
    return f"{mend}, or `switchover` to {able[0]}" if able else mend


def _probed(backend: Backend | None) -> Value | None:
    return None if backend is None else backend.probed


def _pools(look: Look) -> Iterator[tuple[BackendPool, BalancerReading]]:
    """Each pool of the service with what was read there; nothing where the load balancers were not read."""
    reading = look.observed.balancer
    if isinstance(reading, BalancerReading):
        behind = (each.load_balancer for each in look.service.at_each_pool)
        yield from zip((pool for pool in behind if pool is not None), reading.each_pool, strict=False)


def _name(pool: BackendPool) -> str:
    """Of its load balancer."""
    return pool.id.rpartition("/")[2]


def _named(pool: BackendPool) -> str:
    return f"pool {pool.backend_pool} of {_name(pool)}"

"""active-active: every fit member serves. Exclusivity is not promised; the load balancer's probe decides who gets flows."""

from msgspec.structs import replace

from function_app.domain.service.decision import Decision
from function_app.domain.service.election import is_drained
from function_app.domain.service.health import has_failed, judge
from function_app.domain.service.look import Look
from function_app.domain.service.observation import Role, Value
from function_app.domain.service.protocol import promote
from function_app.domain.service.steps import SendFence


def everybody_serves(look: Look) -> Decision:
    """The next step towards every member serving that no operator has drained.

    | a member                                     | then                                                             |
    |----------------------------------------------|------------------------------------------------------------------|
    | drained, and serves at the record's epoch    | a newer epoch: an agent takes no FENCE at the one it serves at   |
    | not drained, and stands by at that epoch     | a newer epoch, for the same reason                               |
    | either, while another one is unreachable     | held: a peer that serves at a newer epoch makes that one stand   |
    |                                              | by, and no PROMOTE would reach it                                |
    | drained, and has not acknowledged            | FENCE                                                            |
    | not drained, and does not serve              | PROMOTE                                                          |
    """
    record = look.record
    drained = [name for name in look.members if is_drained(look, name)]
    wanted = [name for name in look.members if name not in drained]
    fences = _fences(look, drained)
    if _needs_newer_epoch(look, fences, wanted):
        if unheard := _unheard(look, wanted):
            why = (
                f"a member that was drained, or is back, needs a newer epoch: {', '.join(unheard)} would stand by at it"
            )
            return Decision(record, held=(why,))
        why = "a member was drained, or is back, at this epoch: it needs a newer one"
        return Decision(replace(record, epoch=record.epoch + 1, may_serve=frozenset(look.members)), because=(why,))
    if not record.may_serve.issuperset(wanted):
        return Decision(replace(record, may_serve=record.may_serve.union(wanted)))
    effects = fences + tuple(effect for name in wanted for effect in promote(look, name))
    if effects:
        return Decision(record, effects, because=tuple(f"{e.member}: {type(e).__name__}" for e in effects))
    held = _missing(look, wanted)
    return Decision(record, held=held, settled=not held)


def _fences(look: Look, drained: list[str]) -> tuple[SendFence, ...]:
    late = [name for name in sorted(drained) if look.role(name) is not None and not look.acked(name)]
    return tuple(fence for name in late if (fence := SendFence(name, look.record.epoch)) not in look.observed.tried)


def _needs_newer_epoch(look: Look, fences: tuple[SendFence, ...], wanted: list[str]) -> bool:
    """Agents take no FENCE at the epoch they serve at, and no PROMOTE at the one they acknowledged a FENCE at."""
    serving = (look.record.epoch, Role.SERVING)
    fenced_while_serving = any(look.role(fence.member) == serving for fence in fences)
    return fenced_while_serving or any(look.acked(name) for name in wanted)


def _unheard(look: Look, wanted: list[str]) -> list[str]:
    """Members that may serve, and that no command reaches now; not those whose probe the load balancer sees fail, nor those
    that no pool lists."""
    silent = [name for name in wanted if look.role(name) is None and not has_failed(look, name)]
    return [name for name in silent if look.probed(name) is not Value.BAD]


def _missing(look: Look, wanted: list[str]) -> tuple[str, ...]:
    """Why not every member serves, and whether fewer do than `minHealthy`."""
    healthy = [name for name in wanted if look.serves(name) and not has_failed(look, name)]
    held = tuple(judge(look, name).because for name in wanted if name not in healthy)
    least = look.service.min_healthy or 1
    if len(healthy) < least:
        return (f"only {len(healthy)} of at least {least} members are healthy", *held)
    return held

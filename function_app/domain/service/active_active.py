"""active-active: every fit member serves. Exclusivity is not promised; the load balancer's probe decides who gets flows."""

from collections.abc import Iterator
from dataclasses import replace as with_changes

from msgspec.structs import replace

from function_app.domain.service.alarms import alarms
from function_app.domain.service.decision import Decision
from function_app.domain.service.election import is_drained, is_known_out, unable
from function_app.domain.service.health import has_failed, judge
from function_app.domain.service.look import LEAP_MAX, Look
from function_app.domain.service.observation import Role, Value
from function_app.domain.service.protocol import lift, promote
from function_app.domain.service.record import Phase
from function_app.domain.service.steps import SendFence


def everybody_serves(look: Look) -> Decision:
    """The next step towards every member serving that no operator has drained.

    | a member                                       | then                                                           |
    |------------------------------------------------|----------------------------------------------------------------|
    | not drained, and stands by at the record's     | a higher number (`Record.seq`): an agent takes no older one    |
    | epoch by a command that is no older            |                                                                |
    | drained, and has not acknowledged              | FENCE                                                          |
    | not drained, and does not serve                | PROMOTE                                                        |
    | not drained, answers, and may be Down by us    | its Down is taken back                                         |

    Before that the record forgets the holder and the operation of an active-passive service that this one was: if it becomes one
    again, it is learned who serves, and the others are fenced at a newer epoch.
    The epoch stays as it is: a member that serves would stand by where a peer serves at a newer one, until a PROMOTE reaches it.
    """
    record = look.record
    if record.target is not None or record.phase is not Phase.STABLE:
        left = replace(record, phase=Phase.STABLE, target=None, operation=None, tallies={}, admitted={})
        return Decision(left, because=("every member serves now: no one is the holder any more",))
    drained = [name for name in look.members if is_drained(look, name)]
    wanted = [name for name in look.members if name not in drained]
    seq = max(_least_numbers(look, wanted), default=0)
    if seq > record.seq:
        why = "a member that should serve stands by at this number: it needs a higher one"
        return Decision(replace(record, seq=seq + seq % 2), because=(why,))
    if not record.may_serve.issuperset(wanted):
        return Decision(replace(record, may_serve=record.may_serve.union(wanted)))
    return _ordered(look, drained, wanted)


def _ordered(look: Look, drained: list[str], wanted: list[str]) -> Decision:
    """What the record permits already."""
    record = look.record
    effects = _fences(look, drained) + tuple(effect for name in wanted for effect in promote(look, name))
    lifting = _taken_back(look, wanted)
    if lifting.effects or lifting.record != record:
        return with_changes(lifting, effects=lifting.effects + effects)
    if effects:
        return Decision(record, effects, because=tuple(f"{e.member}: {type(e).__name__}" for e in effects))
    held = lifting.held + _missing(look, wanted)
    return Decision(record, held=held, alarms=tuple(alarms(look, None)), settled=not held)


def _taken_back(look: Look, wanted: list[str]) -> Decision:
    """The next step of lifting members that are Down by us, from before every member served; held where one cannot be."""
    answering = [name for name in wanted if look.role(name) is not None]
    liftings = [lifting for name in answering if (lifting := lift(look, name)) is not None]
    due = (lifting for lifting in liftings if lifting.effects or lifting.record != look.record)
    return next(due, Decision(look.record, held=tuple(why for lifting in liftings for why in lifting.held)))


def _fences(look: Look, drained: list[str]) -> tuple[SendFence, ...]:
    record = look.record
    late = [name for name in sorted(drained) if look.role(name) is not None and not look.acked(name)]
    fences = (SendFence(name, record.epoch, record.seq + 1) for name in late)
    return tuple(fence for fence in fences if fence not in look.observed.tried)


def _least_numbers(look: Look, wanted: list[str]) -> Iterator[int]:
    """What PROMOTE must have at least, by what each member was commanded last at the record's epoch: more than the FENCE of one
    that is to serve, and no less than the PROMOTE of one that does, as the record may have been lost since. A claim counts up
    to a leap, so that no single agent uses the numbers up."""
    for name in look.members:
        mine = look.observed.service(name, look.service.key)
        if mine is None or mine.epoch != look.record.epoch or mine.seq > look.record.seq + LEAP_MAX:
            continue
        if mine.role is Role.SERVING:
            yield mine.seq
        elif name in wanted:
            yield mine.seq + 1


def _gets_flows(look: Look, member: str) -> bool:
    is_out = look.probed(member) is Value.BAD or is_known_out(look, member)
    return look.serves(member) and not has_failed(look, member) and not is_out


def _why_missing(look: Look, member: str) -> str:
    backend = look.backend(member)
    if why := unable(look, member):
        return why
    if backend is not None and look.probed(member) is Value.BAD:
        return f"{member}: the load balancer's probe of it fails ({backend.reason})"
    return judge(look, member).because


def _missing(look: Look, wanted: list[str]) -> tuple[str, ...]:
    """Why not every member serves, and whether fewer do than `minHealthy`."""
    healthy = [name for name in wanted if _gets_flows(look, name)]
    held = tuple(_why_missing(look, name) for name in wanted if name not in healthy)
    least = look.service.min_healthy or 1
    if len(healthy) < least:
        return (f"only {len(healthy)} of at least {least} members are healthy", *held)
    return held

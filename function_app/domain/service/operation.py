"""An operation that is under way: no member is granted yet (fencing), or the target may serve (granted)."""

from dataclasses import replace as with_changes

from msgspec.structs import replace

from function_app.domain.service.confirm import counted_anew, is_probe_news, may_predate
from function_app.domain.service.decision import Decision
from function_app.domain.service.election import elect, is_down_by_operator, is_last_choice, set_back, why_not
from function_app.domain.service.failover import failover
from function_app.domain.service.health import has_failed, judge
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.look import Look
from function_app.domain.service.observation import Role, Value
from function_app.domain.service.patience import patience_is_over, with_serving_seen
from function_app.domain.service.protocol import back, lift, open_operation, promote, undone, without_fences
from function_app.domain.service.record import Kind, Phase
from function_app.domain.service.steps import REFUSED, SendPromote

ADMITTED_LOOKS = 2
"""How often the probe of a member that should not serve must succeed before it counts: health shows a change late."""


def go_on(look: Look, target: str) -> Decision:
    """The next step of the operation, in either phase."""
    if look.record.phase is Phase.FENCING:
        return _fence(look.with_record(without_fences(look.record, undone(look))), target)
    return _grant(look, target)


def fence_again(look: Look, holder: str) -> Decision | None:
    """A fence is a belief about a pool that others write too: each reading confirms it, or it is made anew; so with a
    member to which nothing was granted and which the load balancer admits at two looks (safety.md section 2b)."""
    gone = undone(look)
    loose = {name: why for name in look.members if (why := _gets_flows(look, name))}
    if not gone and not loose:
        return None
    doubted = look.with_record(without_fences(look.record, gone))
    doubted = doubted.with_record(replace(doubted.record, may_serve=doubted.record.may_serve | loose.keys()))
    failing = failover(doubted, holder)
    if failing is not None and failing.record.epoch != look.record.epoch:
        return failing
    loosed = {*gone, *loose}
    if other := _serves_instead(doubted, holder, loosed):
        why = f"{other} gets new flows, and {holder} gets none: {judge(look, holder).because}"
        return open_operation(doubted, other, Kind.FAILOVER, why)
    lifted = [f"adminState of {name} is no longer Down" for name in gone]
    return open_operation(doubted, holder, Kind.RENEW, "; ".join([*lifted, *loose.values()]))


def _serves_instead(look: Look, holder: str, loosed: set[str]) -> str | None:
    """Which of these, without an agent, serves in place of a holder that is known to serve and gets none now: to fence
    it for such a holder would leave none. At a single look, as that has to choose between the two of them anyway."""
    if not is_probe_news(look) or look.probed(holder) is not Value.BAD or may_predate(look, holder):
        return None
    if not all(map(look.is_appliance, loosed)):
        return None
    is_sure = look.lacks_a_pool(holder)
    able = [name for name in look.members if name in loosed and _takes_flows(look, name, is_sure)]
    return able[0] if able else None


def _takes_flows(look: Look, member: str, is_sure: bool) -> bool:
    """Whether new flows come to it, by the load balancer's probe; where a pool lacks the holder, unless it fails."""
    if look.lacks_a_pool(member) or is_down_by_operator(look, member):
        return False
    return look.is_admitted(member) or (is_sure and look.probed(member) is Value.UNKNOWN)


def _gets_flows(look: Look, member: str) -> str | None:
    """Why a member beside the holder gets new flows, or would, so that it must be fenced; None where it does not."""
    record = look.record
    if member == record.holder or member in record.fenced:
        return None
    if look.is_appliance(member):
        fenced = kind_of(look.service).has_fence(look.service)
        return f"{member} has no agent, and its adminState is not Down by us" if fenced else None
    count = record.admitted.get(member)
    is_lasting = count is not None and count.bad >= ADMITTED_LOOKS
    return f"the load balancer admits {member}, whose agent does not answer" if is_lasting else None


def _fence(look: Look, target: str) -> Decision:
    """No member is granted yet: another target if this one failed, else what is still missing for the proof."""
    if look.record.is_shared:
        return kind_of(look.service).prove(look, target)
    if has_failed(look, target) or (look.role(target) is None and target not in look.record.may_serve):
        return _other_target(look, f"{target} failed before it was granted")
    if look.role(target) is None and look.kind not in (Kind.BACK, Kind.RENEW):
        # It may be serving, and only we cannot reach it: no other member is fenced for it then, for a while.
        return _waited_for(look, target, judge(look, target).because)
    return kind_of(look.service).prove(look, target)


def _other_target(look: Look, why: str) -> Decision:
    if look.kind is Kind.SWITCHOVER:
        return back(look, why)
    other = elect(look, without=None)  # the target is not fit
    if other is None:
        return Decision(look.record, held=("no member is fit to serve", *why_not(look)))
    return open_operation(look, other, Kind.NEXT, why)


def _grant(look: Look, target: str) -> Decision:
    """Steps 4-6: lift the target, promote it, confirm it. A target that fails meanwhile is followed by the next one."""
    promoting = promote(look, target)
    record = counted_anew(look, target)
    look = look.with_record(record)
    if failing := failover(look, target):
        going_on = failing.effects or failing.record != record
        return failing if going_on else _waited_for(look, target, *failing.held)
    if look.role(target) == (record.epoch, Role.STANDBY):
        return renewed(look, target)
    lifting = lift(look, target)
    if lifting is not None and (lifting.effects or lifting.record != record):
        return with_changes(lifting, effects=lifting.effects + promoting)
    held = lifting.held if lifting else ()
    if promoting:
        return Decision(record, promoting, held)
    if look.role(target) != (record.epoch, Role.SERVING):
        return _not_serving_yet(look, target, held)
    if held:
        return _waited_for(look, target, *held)
    return kind_of(look.service).confirm(look.with_record(with_serving_seen(look)), target)


def renewed(look: Look, holder: str) -> Decision:
    """The holder was promoted at this epoch and now stands by at it (its disk was lost or moved): it needs a newer one."""
    return open_operation(look, holder, Kind.RENEW, f"{holder} lost its role at epoch {look.record.epoch}")


def _not_serving_yet(look: Look, target: str, held: tuple[str, ...]) -> Decision:
    """A refusal makes it the last choice, and is not waited for while another member is a better one (safety.md section 4)."""
    failed = [why for effect, why in look.observed.tried.items() if isinstance(effect, SendPromote)]
    why = f"{target} does not serve yet: {'; '.join(failed) or judge(look, target).because}"
    if any(what.startswith(REFUSED) for what in failed):
        look = set_back(look, target)
        other = elect(look, without=target)
        serves = look.serves(target) or look.is_admitted(target)
        if other is not None and not is_last_choice(look, other) and not serves:
            return _followed(look, other, why)
    if look.kind is Kind.SWITCHOVER and failed:
        return back(look, why)
    return _waited_for(look, target, *held, why)


def _waited_for(look: Look, target: str, *held: str) -> Decision:
    """Held until patience is over; then the next member follows, unless the target serves, whoever cannot reach it."""
    other = elect(look, without=target)
    if other is None or not patience_is_over(look) or _still_serves(look, target, other):
        return Decision(look.record, held=held)
    return _followed(look, other, held[-1])


def _followed(look: Look, other: str, why: str) -> Decision:
    return back(look, why) if look.kind is Kind.SWITCHOVER else open_operation(look, other, Kind.NEXT, why)


def _still_serves(look: Look, member: str, other: str) -> bool:
    """Whether the load balancer's probe succeeds, or its agent reports so, at whichever epoch: but for one that gets no new
    flows, as its probe fails or no pool lists it, while another member is more than a last choice."""
    fails = look.probed(member) is Value.BAD and not is_last_choice(look, other)
    return look.is_admitted(member) or (look.serves(member) and not fails)

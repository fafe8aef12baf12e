"""Whose status the next step of a fast pass depends on: those are waited for, and the others join once they have answered.

An agent that accepts a connection and never answers would otherwise add `observeFast` to every failover beside it. What no
status of such a member could change is decided without it, and it is `NotAwaited` then: never silent, never failed.
"""

from function_app.domain.service.election import elect
from function_app.domain.service.health import HealthRow, Verdict, judge
from function_app.domain.service.look import Look
from function_app.domain.service.observation import AgentStatus
from function_app.domain.service.record import Kind, Phase
from function_app.domain.topology.model import Mode


def needed(look: Look) -> frozenset[str]:
    """Those of the agents of this look whose status its next step depends on. Everyone, wherever that is not certain.

    | the record                                              | needed                                                   |
    |---------------------------------------------------------|----------------------------------------------------------|
    | stable, and its holder's agent says fatal               | the holder, whoever may be serving, the member that      |
    |                                                         | would follow, and each that could be a better choice     |
    | fencing, by a failover that this look opened, with a    | the target, and whoever may be serving                   |
    | target that is fit, while nothing has failed            |                                                          |
    | granted, as above                                       | the target                                               |
    | any other: learning, left, found under way; and every   | everyone                                                 |
    | service that is ranked, active-active, without an agent |                                                          |
    """
    everyone = frozenset(look.observed.agents)
    target = look.record.target
    if target is None or not _is_exclusive_by_agents(look):
        return everyone
    if look.record.phase is Phase.STABLE:
        return _to_replace(look, target) or everyone
    if not _is_opened_by_this_look(look) or judge(look, target).verdict is not Verdict.HEALTHY:
        return everyone
    return frozenset({target}) | (_may_serve(look) if look.record.phase is Phase.FENCING else frozenset())


def _is_exclusive_by_agents(look: Look) -> bool:
    """Whether one member alone serves, fenced by its agent or the load balancer, by a record that can be acted on. What a member
    without an agent is said to be rests on every agent that watches it."""
    service, record = look.service, look.record
    if service.load_balancer is None or service.mode is Mode.ACTIVE_ACTIVE or any(map(look.is_appliance, look.members)):
        return False
    return record.phase is not Phase.LEARN and record.leaving is None and record.too_new is None


def _to_replace(look: Look, holder: str) -> frozenset[str]:
    """Of a holder whose agent says fatal, which no other source outweighs; empty for one that may stay, or that no member
    follows."""
    if judge(look, holder).row is not HealthRow.FATAL or look.is_unconfirmed(holder):
        return frozenset()
    other = elect(look, without=holder)
    if other is None:
        return frozenset()
    better = {name for name in look.members if _could_precede(look, name, other, holder)}
    return frozenset({holder, other} | better) | _may_serve(look)


def _could_precede(look: Look, member: str, other: str, holder: str) -> bool:
    """Whether a member that is not known yet would be chosen in place of `other` if its agent said the best that one can."""
    if not look.observed.is_not_awaited(member):
        return False
    return elect(look.with_status(member, AgentStatus("", look.at, {}, unseen=True)), without=holder) != other


def _is_opened_by_this_look(look: Look) -> bool:
    """Whether it is a failover that began with these readings, and nothing has failed since, after which another member might be
    chosen. Who serves beside one that is found under way is less certain: the pass that began it may have died."""
    operation = look.operation
    if operation is None or look.observed.tried:
        return False
    return operation.kind == Kind.FAILOVER and operation.started == look.at and not operation.learned


def _may_serve(look: Look) -> frozenset[str]:
    """Everyone that the grant needs a proof of (R2), and each member that the load balancer was seen to admit unexpectedly."""
    record = look.record
    return (record.may_serve - record.fenced.keys()) | record.admitted.keys()

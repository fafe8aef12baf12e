"""What operators may order for a service: one form for each verb, and what it does to the record. Pure.

A form is what the HTTP body holds, what the command line offers as arguments and options, and what `obey` is given: the
verb is its tag, bounds and defaults stand in its fields, and `decide` says what it does. A further verb is a form here, its
lines in README.md and docs/architecture.md, and its tests. Orders are for one service; none is for a whole topology.

An order is a compare-and-swap write on the same path as everything else; it is refused at once, with the reason, rather
than kept for later. What it opens is fenced and proven like any other operation.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, get_args

from msgspec import Meta, Struct
from msgspec.structs import fields, replace

from function_app.domain.base.addresses import dotted_decimal
from function_app.domain.base.errors import BadInput, NotThere, among
from function_app.domain.base.moments import moment
from function_app.domain.service.decision import Decision
from function_app.domain.service.election import (
    elect,
    is_drained,
    is_known_out,
    is_surely_down_by_operator,
    is_unreached,
    why_not,
)
from function_app.domain.service.guards import Draining, Touch, is_paused, refuse
from function_app.domain.service.health import has_failed, judge
from function_app.domain.service.learn import behind
from function_app.domain.service.leaving import come_back, forget, release, retire, under_way
from function_app.domain.service.look import Look
from function_app.domain.service.protocol import if_off, open_operation, unproven
from function_app.domain.service.record import Drain, Kind, Leaving, Pause, Phase
from function_app.domain.service.rehearsal import rehearse
from function_app.domain.topology.model import Mode
from function_app.domain.topology.shapes import convert

MINUTES = 60.0
"""How long a pause or a drain lasts unless the order says otherwise: one that was forgotten must end by itself."""
MINUTES_MAX = 30 * 24 * 60
BY_MAX = 100
OPERATOR = "an operator"
PACED = frozenset({Kind.SWITCHOVER, Kind.BACK, Kind.FORCED})
"""Moves after which the next one by order waits."""

type Minutes = Annotated[float, Meta(gt=0, le=MINUTES_MAX, description="how long, in minutes")]


class _Form(Struct, frozen=True, kw_only=True):
    """`by` is who orders it, for the history. `expect`: the member that the operator saw serve, as it may have moved since."""

    reads_pool: ClassVar[bool] = False
    """Whether it is decided on with a reading of the load balancer."""

    by: str = OPERATOR
    expect: (
        Annotated[str, Meta(min_length=1, description="refuse it unless this member serves at that moment")] | None
    ) = None

    def unsafe(self) -> str:
        """Why it can make things worse, where it can: it takes the operator's word in place of a proof or a reading, or ends that
        a service is looked after. Empty where what it does is proven, bounded, and undone by another order."""
        return ""

    def decide(self, look: Look) -> Decision:
        """What the order changes; `held` alone (with the record as it was) refuses it."""
        raise NotImplementedError


class PauseOrder(_Form, frozen=True, kw_only=True, tag="pause"):
    """Do nothing to a service until the pause ends."""

    minutes: Minutes = MINUTES
    reason: Annotated[str, Meta(description="why, for whoever reads the status")] = ""

    def decide(self, look: Look) -> Decision:
        if look.record.is_shared:
            return _refused(look, f"{under_way(look)}: paused now, both would go on; order it again then")
        pause = Pause(until=_until(look, self.minutes), by=self.by, reason=self.reason)
        return Decision(replace(look.record, pause=pause), because=(f"paused by {self.by}",))


class ResumeOrder(_Form, frozen=True, kw_only=True, tag="resume"):
    """End a pause; else manage a service again that was retired or released."""

    def decide(self, look: Look) -> Decision:
        if look.record.leaving is not None and not is_paused(look):
            return come_back(look.with_record(replace(look.record, pause=None)), self.by)
        if look.record.pause is None:
            return _refused(look, "it is not paused")
        left = look.record.leaving
        also = f": the pause is over, and it stays {left.how}; `resume` it once more to manage it" if left else ""
        return Decision(replace(look.record, pause=None), because=(f"resumed by {self.by}{also}",))


class SwitchoverOrder(_Form, frozen=True, kw_only=True, tag="switchover"):
    """Move a service to a ready member, by acknowledgement only; back to the old holder if the member refuses."""

    reads_pool = True

    to: Annotated[str, Meta(min_length=1, description="the member that is to serve")]

    def decide(self, look: Look) -> Decision:
        why = _immovable(look) or _unsuitable(look, self.to) or _needs_failover(look) or _out_of_reach(look, self.to)
        if why := why or _too_soon(look):
            return _refused(look, why)
        return open_operation(look, self.to, Kind.SWITCHOVER, f"ordered by {self.by}")


class FailoverOrder(_Form, frozen=True, kw_only=True, tag="failover"):
    """Move a service away from its holder: skips evidence, never fencing."""

    to: Annotated[str, Meta(min_length=1, description="the member that is to serve; the best one otherwise")] | None = (
        None
    )

    def unsafe(self) -> str:
        return "`to` goes before what the load balancer shows of that member" if self.to else ""

    def decide(self, look: Look) -> Decision:
        if why := _immovable(look):
            return _refused(look, why)
        target = self.to or elect(look, without=look.record.target)
        if target is None:
            lacks = _lacks_a_proof(look)
            return _refused(look, lacks) if lacks else _refused(look, "no other member is fit to serve", *why_not(look))
        if why := _unsuitable(look, target) or _is_under_way(look, target) or (None if self.to else _too_soon(look)):
            return _refused(look, why)
        if self.to is None and is_known_out(look, target):
            out = "by the last reading of the load balancer (Down by an operator, in no pool, or the probe gets no answer of it)"
            return _refused(look, f"{target} gets no new flows {out}: name it with `to` if you know better")
        return open_operation(look, target, Kind.FORCED, f"ordered by {self.by}")


class DrainOrder(_Form, frozen=True, kw_only=True, tag="drain"):
    """Keep a member from serving until the drain ends; if it serves, another one takes over first."""

    member: Annotated[str, Meta(min_length=1)]
    minutes: Minutes = MINUTES

    def decide(self, look: Look) -> Decision:
        if self.member not in look.members:
            return _refused(look, f"{self.member} is no member{among(self.member, look.members)}")
        if refusals := refuse(Draining(self.member), look):
            return _refused(look, *map(str, refusals))
        if self.member == look.record.holder and (why := _too_soon(look)):
            return _refused(look, why)
        drains = {name: drain for name, drain in look.record.drains.items() if look.at < drain.until}
        drains[self.member] = Drain(until=_until(look, self.minutes), by=self.by)
        return Decision(replace(look.record, drains=drains), because=(f"{self.member} is drained by {self.by}",))


class UndrainOrder(_Form, frozen=True, kw_only=True, tag="undrain"):
    """End a drain."""

    member: Annotated[str, Meta(min_length=1)]

    def decide(self, look: Look) -> Decision:
        if self.member not in look.record.drains:
            return _refused(look, f"{self.member} is not drained")
        drains = {name: drain for name, drain in look.record.drains.items() if name != self.member}
        return Decision(replace(look.record, drains=drains), because=(f"{self.member} is undrained by {self.by}",))


class RehearseOrder(_Form, frozen=True, kw_only=True, tag="rehearse"):
    """Try a standby's fence: adminState Down, proof, None. Without a member the last by priority that can be spared."""

    member: Annotated[str, Meta(min_length=1)] | None = None

    def decide(self, look: Look) -> Decision:
        return rehearse(look, self.member, self.by)


class ForgetOrder(_Form, frozen=True, kw_only=True, tag="forget"):
    """Take a member off the record: proven Down, absent from the pool, standing by, or gone by your word."""

    reads_pool = True

    member: Annotated[str, Meta(min_length=1)]
    gone: (
        Annotated[
            str,
            Meta(
                min_length=1, description="why it does not serve (deallocated, powered off): taken in place of a proof"
            ),
        ]
        | None
    ) = None

    def unsafe(self) -> str:
        return "`gone` is your word in place of a proof: if it still serves, two will" if self.gone else ""

    def decide(self, look: Look) -> Decision:
        return forget(look, self.member, self.gone, self.by)


class RetireOrder(_Form, frozen=True, kw_only=True, tag="retire"):
    """End a service: every member is fenced and announces nothing. It then may leave the document."""

    reads_pool = True

    def unsafe(self) -> str:
        return "no member serves after it"

    def decide(self, look: Look) -> Decision:
        if look.record.leaving is not None:
            return _refused(look, _left(look.record.leaving))
        if elsewhere := refuse(Touch(), look):
            return _refused(look, *map(str, elsewhere))
        return retire(look, self.by)


class ReleaseOrder(_Form, frozen=True, kw_only=True, tag="release"):
    """Stop managing a service: roles stay as they are. It then may leave the document."""

    despite: (
        Annotated[
            str, Meta(min_length=1, description="why it is released in the middle of an operation that cannot end")
        ]
        | None
    ) = None

    def unsafe(self) -> str:
        return "nothing fails over after it"

    def decide(self, look: Look) -> Decision:
        leaving = look.record.leaving
        if leaving is not None and leaving.done:
            return _refused(look, _left(leaving))
        return release(look, self.by, self.despite)


type Order = (
    PauseOrder
    | ResumeOrder
    | SwitchoverOrder
    | FailoverOrder
    | DrainOrder
    | UndrainOrder
    | RehearseOrder
    | ForgetOrder
    | RetireOrder
    | ReleaseOrder
)
OF_LEAVING = (PauseOrder, ResumeOrder, ForgetOrder, RetireOrder, ReleaseOrder)
"""What may be ordered of a service that is retired or released."""

VERBS: Mapping[str, type[Order]] = {str(form.__struct_config__.tag): form for form in get_args(Order.__value__)}
"""Every form, by its verb."""


def verb_of(order: Order) -> str:
    return str(order.__struct_config__.tag)


def order_from(verb: str, given: Any) -> Order:
    """The order that a verb and the object that came with it make; a key of the verb's that is null counts as left out.

    Raises BadInput, which says where, why, and what the verb takes.
    """
    form = VERBS.get(verb)
    if form is None:
        raise NotThere.of("{verb}", f"{verb!r} is none of {', '.join(VERBS)}")
    if not isinstance(given, dict):
        raise BadInput.of("$", "must be a JSON object")
    values = {key: value for key, value in given.items() if value is not None}
    _check_keys(verb, form, given)
    _check_texts(values)
    by = values.get("by") or OPERATOR
    values["by"] = by[:BY_MAX] if isinstance(by, str) else by
    order, problems = convert(values, form, dotted_decimal)
    if order is None:
        raise BadInput(problems)
    return order


def _check_keys(verb: str, form: type[Order], given: Mapping[str, Any]) -> None:
    """Raises BadInput for a key that the verb does not take, null or not, and for one that it needs and that is missing."""
    taken = sorted(field.name for field in fields(form))
    for key in given:
        if key not in taken:
            raise BadInput.of(f"$.{key}", f"{verb} takes {', '.join(taken)}")
    for field in fields(form):
        if field.required and given.get(field.name) is None:
            raise BadInput.of(f"$.{field.name}", "is missing")


def _check_texts(values: Mapping[str, Any]) -> None:
    """Raises BadInput for a text that no document can hold (half a surrogate pair), or no terminal
    should be sent later on (control characters)."""
    for key, value in values.items():
        try:
            str(value).encode()
        except UnicodeEncodeError as error:
            raise BadInput.of(f"$.{key}", f"is no text: {error}") from error
        if isinstance(value, str) and any(map(_is_control, value)):
            raise BadInput.of(
                f"$.{key}", "has a control character (a line break, an escape): write it as one plain line"
            )


def _is_control(char: str) -> bool:
    """C0, DEL or C1 (ISO 6429)."""
    return ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0


def obey(look: Look, order: Order) -> Decision:
    """What the order changes; `held` alone (with the record as it was) refuses it."""
    if look.record.too_new:
        return _refused(look, look.record.too_new)
    if look.record.leaving is not None and not isinstance(order, OF_LEAVING):
        return _refused(look, _left(look.record.leaving))
    if order.expect is not None and look.record.holder != order.expect:
        serves = f"{look.record.holder} serves" if look.record.holder else "no member is known to serve"
        return _refused(look, f"{serves}, and {order.expect} was expected to: look at the status, and order it again")
    return order.decide(look)


def _until(look: Look, minutes: float) -> datetime:
    return look.now + timedelta(minutes=minutes)


def _immovable(look: Look) -> str | None:
    """Why nothing can be moved now, whoever orders it."""
    if look.service.mode is Mode.ACTIVE_ACTIVE:
        return "every member of an active-active service serves: `drain` one instead"
    if look.record.phase is Phase.LEARN:
        return "it is learning who serves: nothing is moved before that is known"
    why = behind(look)
    return f"{why}: it is learned again first who serves" if why else None


def _too_soon(look: Look) -> str | None:
    """Orders that move a service are paced, as each move costs flows: within `spacingStep` of the last planned or ordered one
    the next waits. Not for a holder that failed or is silent, and not for one who names the member to serve with `failover`."""
    last, holder = look.operation, look.record.holder
    if last is None or last.kind not in PACED or holder is None:
        return None
    since = last.granted_for(look.now)
    if since is None or since >= look.timing.spacing_step:
        return None
    if look.status(holder) is None or has_failed(look, holder):
        return None
    again = moment(look.now + look.timing.spacing_step - since + timedelta(seconds=1, microseconds=-1))
    moved = f"{holder} was promoted {since.total_seconds():.0f} s ago ({last.kind})"
    return f"{moved}: the next move from {again}, or a `failover` that names the member with `to` if it cannot wait"


def _is_under_way(look: Look, target: str) -> str | None:
    """A failover to it that waits for a proof would only begin anew, and its reason be lost; a switchover becomes one."""
    is_planned = look.kind is Kind.SWITCHOVER
    return _lacks_a_proof(look) if target == look.record.target and not is_planned else None


def _lacks_a_proof(look: Look) -> str | None:
    """The move that is under way and cannot go on yet, and what an operator can do about it; None where there is none."""
    record, operation = look.record, look.operation
    missing = unproven(look) if record.phase is Phase.FENCING and record.target is not None else []
    if not missing or operation is None:
        return None
    since = f"a move to {record.target} is under way since {moment(operation.started)}"
    which = " and ".join(missing)
    return f"{since}: no proof yet that {which} does not serve. {if_off(look, *missing)}"


def _unsuitable(look: Look, target: str) -> str | None:
    """Why this member cannot be made to serve."""
    if target not in look.members:
        return f"{target} is no member{among(target, look.members)}"
    if target == look.record.holder:
        return f"{target} serves already"
    if is_drained(look, target):
        drain = look.record.drains[target]
        return f"{target} is drained until {moment(drain.until)} by {drain.by}: `undrain` it first"
    return judge(look, target).because if look.role(target) is None or has_failed(look, target) else None


def _out_of_reach(look: Look, target: str) -> str | None:
    """Why it would get no new flows, by a reading of this very look: where there is none, the order is the operator's."""
    if is_unreached(look, target):
        return f"{judge(look, target).because}: `failover` to it if you know better"
    if look.is_unlisted(target):
        return f"no pool lists {target}: it would get no new flows (a change of the last minute may not be shown yet)"
    if is_surely_down_by_operator(look, target):
        return f"{target}: an operator set its adminState to Down: it would get no new flows"
    return None


def _left(leaving: Leaving) -> str:
    return f"it is {leaving.how} by {leaving.by}"


def _needs_failover(look: Look) -> str | None:
    """Why a switchover, which is proven by acknowledgement only, is not possible now."""
    record = look.record
    if record.phase is not Phase.STABLE:
        return f"an operation is under way: {look.operation.reason if look.operation else ''}"
    if record.holder and look.role(record.holder) is None:
        return f"{record.holder} does not answer, and a switchover needs its acknowledgement"
    return None


def _refused(look: Look, *why: str) -> Decision:
    return Decision(look.record, held=why)

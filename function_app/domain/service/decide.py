"""The decision for one service: what the record should say next, which effects that permits, what is held and why.

    decide(look) -> Decision(record, effects, held, because, alarms)

One step per call. The caller writes `record` by compare-and-swap BEFORE it performs `effects`, adds what came of them
to `observed`, and calls again; a step is over when it is no longer decided. The steps are in `protocol`; which one is due
is said in `operation` and `rest`:

    learn ──▶ fencing ──▶ granted ──▶ stable          R1 may_serve += target is durable before PROMOTE exists
      ▲          │  ▲        │          │             R2 a grant needs a proof for every other may_serve
      └─ epoch above ours    └─ failed ─┘             R3 F1 is an acknowledgement at the record's epoch, noted by CAS
                                                      R4 F2 is our own write of this operation, seen in both planes
                                                      R6 believe less before permitting more: fenced -= j, then None

Outside `learn` and `fencing`, |may_serve minus fenced| is at most 1: at most one member is eligible. No clock is used
for that; time only spaces, expires what operators said, and ends patience.
"""

from dataclasses import replace as with_changes

from msgspec.structs import replace

from function_app.domain.service.active_active import everybody_serves
from function_app.domain.service.confirm import with_probes
from function_app.domain.service.decision import Decision
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.learn import behind, learn, relearn
from function_app.domain.service.leaving import leave
from function_app.domain.service.look import Look
from function_app.domain.service.observation import BalancerReading
from function_app.domain.service.operation import fence_again, go_on
from function_app.domain.service.outward import next_outward, outward_alarms
from function_app.domain.service.patience import with_patience
from function_app.domain.service.protocol import once_more
from function_app.domain.service.record import Phase, Record
from function_app.domain.service.referents import noted
from function_app.domain.service.rest import keep
from function_app.domain.topology.model import Mode

OVERTAKEN_MAX = 1
"""How often in a row a record is behind that was lost or put back."""


def decide(look: Look) -> Decision:
    """See the module. `look.at` is the only time that is used.

    | the record                                     | then                                        |
    |------------------------------------------------|---------------------------------------------|
    | a newer version wrote it                       | only observed                               |
    | an operator retired or released the service    | `leave`                                     |
    | it cannot explain what was observed            | learn again (`learn.behind`)                |
    | learn                                          | look until enough was seen                  |
    | any other phase, active-active                 | every fit member serves                     |
    | no member is named in it                       | learn again: it was active-active before    |
    | fencing: an operation, no member granted yet   | `operation.go_on`                           |
    | granted: the target may serve                  | the same                                    |
    | stable                                         | `rest.keep`                                 |
    """
    given = look.record
    if given.too_new:
        return Decision(given, held=(given.too_new,))
    if given.leaving is not None:
        return leave(look)
    next_hop = kind_of(look.service)
    look = look.with_record(_named(look))
    look = look.with_record(with_probes(look))
    look = look.with_record(next_hop.noted(look))
    if given.phase is not Phase.LEARN and (why := behind(look)):
        look = look.with_record(replace(look.record, overtaken=once_more(look, look.record.overtaken)))
        return _with_rival(look, relearn(look, why))
    decision = with_patience(look, _due(look, freshly_in_doubt=look.record.tallies != given.tallies))
    return _with_rival(look, _with_outward(look, next_hop.announce(look, decision)))


def _with_rival(look: Look, decision: Decision) -> Decision:
    """With the alarm that another app commands the same agents: a record that was lost or put back is behind once."""
    row = look.record.overtaken
    if row is None or row.count <= OVERTAKEN_MAX or look.at - row.last > look.timing.spacing_forget:
        return decision
    alarm = (
        f"{row.count} times in a row agents obeyed commands of ours that this record knows nothing of: another app has our "
        "signing key and a storage of its own, and each learns again after the other (or the record is put back again and again)"
    )
    return with_changes(decision, alarms=(*decision.alarms, alarm))


def _named(look: Look) -> Record:
    """The record with what its names stand for, and what is wrong with the load balancer."""
    record, reading = look.record, look.observed.balancer
    if isinstance(reading, BalancerReading):
        record = replace(record, flaws=reading.flaws)
    elif look.observed.contested is not None:
        record = replace(record, flaws=look.observed.contested)
    if look.named is None:
        return record
    return replace(record, about=noted(record.about, look.named, record.believed))


def _due(look: Look, freshly_in_doubt: bool) -> Decision:
    """The step that is due in the record's phase."""
    if look.record.phase is Phase.LEARN:
        return learn(look)
    if look.service.mode is Mode.ACTIVE_ACTIVE:
        return everybody_serves(look)
    target = look.record.target
    if target is None:  # every member served until the document made it active-passive
        return relearn(look, "the record names no member that is to serve")
    if look.record.phase is not Phase.FENCING and (again := fence_again(look, target)):
        return again
    if look.record.phase is Phase.STABLE:
        return keep(look, target, freshly_in_doubt)
    return go_on(look, target)


def _with_outward(look: Look, decision: Decision) -> Decision:
    """What on-premises neighbours receive comes last: only at rest, and only where nothing else is to be done."""
    record = decision.record
    if record.phase is not Phase.STABLE or record != look.record or decision.effects:
        return decision
    numbered, effects = next_outward(look.with_record(record))
    return with_changes(
        decision,
        record=numbered if effects else record,
        effects=effects,
        alarms=decision.alarms + outward_alarms(look),
        settled=decision.settled and not effects,
    )

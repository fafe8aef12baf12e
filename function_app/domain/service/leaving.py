"""What leaves: a member that is forgotten, a service that is retired or released (safety.md section 2b). Pure.

    forget    an operator's word that a member is no part of the service any more, with a proof that it admits nothing
    retire    no member serves any more: every agent that answers stands by and announces nothing, and behind a load balancer
              every member is Down, proven, whether it answers or not: the pool may outlive the service in the document
    release   roles stay as they are, the adminState of members without an agent is put back, and nothing more is done

A service that left stays so, whatever the document says, until it is resumed: then it is learned anew who serves. An
app of an older version would not know, and bring it back: such a record has a schema that it only observes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace as with_changes

from msgspec.structs import replace

from function_app.domain.base.errors import Problem
from function_app.domain.service.advertise import next_advertisements
from function_app.domain.service.decision import Decision
from function_app.domain.service.guards import is_paused
from function_app.domain.service.learn import relearn
from function_app.domain.service.look import Look
from function_app.domain.service.observation import BalancerReading, Role
from function_app.domain.service.outward import next_outward
from function_app.domain.service.protocol import acks_of, lift, proven_fences, undone, with_fences, without_fences
from function_app.domain.service.record import SCHEMA, SCHEMA_WITHOUT_LEAVING, Leaving, Phase, Record
from function_app.domain.service.referents import moved, referents_of
from function_app.domain.service.steps import FenceByBalancer, SendAdvertise, SendFence, SendOutward
from function_app.domain.topology.model import Service, Topology

ENDS = "`forget` a member that does not serve; else `retire` or `release` the service first, and `resume` it afterwards"

WITHOUT_PROOF = "where that cannot be had, `release` the service: it is as it is then"


def forget(look: Look, member: str, gone: str | None, by: str) -> Decision:
    """The record without the member; `held` alone refuses. `gone` is the operator's word that it serves no more."""
    record = look.record
    if member not in record.believed:
        return Decision(record, held=(f"nothing is on record of {member}",))
    if member in look.members and member == record.holder and not _means_another(look, member):
        return Decision(record, held=(f"{member} serves: another member takes over first",))
    if _comes_back(look, member):
        way_out = "`pause` the service, forget it, `apply` the document without it, `resume`"
        return Decision(record, held=(f"{member} has no agent and is in the document, and is fenced again: {way_out}",))
    why = f"gone, by the word of {by}: {gone}" if gone else _admits_nothing(look, member)
    if why is None:
        missing = f"no proof that {member} admits nothing: {_missing_proof(look, member)}"
        return Decision(
            record, held=(f"{missing}; where it is certainly off (deallocated, powered off), say so in `gone`",)
        )
    left = _without(record, member)
    if member == record.target:
        left = relearn(look.with_record(left), why).record
    return Decision(left, because=(f"{member} is forgotten, ordered by {by}: {why}",))


def _comes_back(look: Look, member: str) -> bool:
    """Whether the next look would put a member on record again: one without an agent answers its probe whenever it is well,
    so while the document has it, it may serve."""
    kept = look.is_appliance(member) and member in look.members and not _means_another(look, member)
    return kept and not is_paused(look) and not _is_absent(look, member)


def _without(record: Record, member: str) -> Record:
    rank = record.rank
    if rank is not None:
        announcers = {name: announcer for name, announcer in rank.announcers.items() if name != member}
        rank = replace(rank, announcers=announcers)
    owed = {name: epoch for name, epoch in record.owed.items() if name != member}
    acks = {name: ack for name, ack in record.acks.items() if name != member}
    unfenced = without_fences(record, [member])
    return replace(unfenced, may_serve=record.may_serve - {member}, owed=owed, acks=acks, rank=rank)


def _admits_nothing(look: Look, member: str) -> str | None:
    """What proves it, by this look: F1, F2, or that no address of the pool but those of members is not Down."""
    record, reading = look.record, look.observed.balancer
    if look.acked(member) and not _means_another(look, member):
        return f"it acknowledged epoch {record.epoch}"
    if not isinstance(reading, BalancerReading):
        return None
    fence = record.fenced.get(member)
    if fence is not None and not reading.contradicts(member, fence.address):
        return "it is fenced at the load balancer"
    return "it is not in the pool, or Down there" if _gets_nothing(look, member) else None


def _means_another(look: Look, member: str) -> bool:
    """Whether the document means another address, or another pool, by its name: what answers there is not what may serve."""
    return look.named is not None and any(moved(look.record.about, look.named, {member}))


def _is_absent(look: Look, member: str) -> bool:
    """Whether this look shows a pool that holds no address of a member of this name, and no other pool that does."""
    reading = look.observed.balancer
    if not isinstance(reading, BalancerReading) or member in reading.backends.keys() | reading.elsewhere:
        return False
    return reading.complete


def _gets_nothing(look: Look, member: str) -> bool:
    """Whether this look proves that no address admits it."""
    reading = look.observed.balancer
    return isinstance(reading, BalancerReading) and _is_absent(look, member) and reading.hides(member) is None


def _missing_proof(look: Look, member: str) -> str:
    reading = look.observed.balancer
    if not isinstance(reading, BalancerReading):
        return reading or "it does not acknowledge, and there is no load balancer that could fence it"
    if member in reading.backends:
        return "it is in the pool, and does not acknowledge"
    if member in reading.elsewhere:
        return "it may get new flows from another pool of the load balancer, and does not acknowledge"
    return "the pool holds addresses that are no member's and not Down, or that are not known"


def retire(look: Look, by: str) -> Decision:
    """Begins to fence every member, at an epoch that no older command has."""
    record = look.record
    epoch = max(record.epoch, look.newest_epoch()) + 1
    retired = replace(
        record,
        schema=SCHEMA,
        epoch=epoch,
        seq=0,
        phase=Phase.FENCING,
        target=None,
        may_serve=record.may_serve | frozenset(look.members),
        fenced={},
        acks={},
        operation=None,
        learning=None,
        stalled=None,
        tallies={},
        admitted={},
        leaving=Leaving(how="retired", by=by, at=look.at, done=False),
    )
    return Decision(retired, because=(f"retired by {by}: every member is fenced at epoch {epoch}",))


def release(look: Look, by: str, despite: str | None) -> Decision:
    """Nothing is done from now on, whatever is seen, but that the adminState of appliances is put back. In the middle of an
    operation only by the operator's word: roles stay as they are then, too."""
    if despite is None and (what := under_way(look)):
        why = "released now, it would stay so: order it again once that is over; where it cannot end, say why in `despite`"
        return Decision(look.record, held=(f"{what}: {why}",))
    leaving = Leaving(how="released", by=by, at=look.at, done=not _held_down(look))
    return Decision(replace(look.record, schema=SCHEMA, leaving=leaving), because=(f"released by {by}",))


def _held_down(look: Look) -> list[str]:
    """Appliances that get no new flows because we say so: what an agent holds back itself stays as it is."""
    return sorted(name for name in look.record.owed if look.is_appliance(name))


def under_way(look: Look) -> str | None:
    """What an operation has done so far that must not last; None where one member serves alone, or the service leaves already."""
    record, operation = look.record, look.operation
    if record.leaving is not None or operation is None:
        return None
    if record.is_shared:
        return f"two members may serve until the load balancer has {record.target} up, or one of them fails"
    granted = record.phase is Phase.GRANTED and look.role(record.target or "") != (record.epoch, Role.SERVING)
    return f"no member may serve yet: {operation.reason}" if granted or record.phase is Phase.FENCING else None


def come_back(look: Look, by: str) -> Decision:
    """A service that left is managed again: nothing is believed, and who serves is learned. What we set to Down is taken
    back where the document still means the same pool; in another one it stays. Who may have served when it was released still
    may: one that is in the document no more holds the service until it is forgotten."""
    record = look.record
    named, about = look.named, record.about
    elsewhere = named is not None and about is not None and named.pools.isdisjoint(about.pools)
    known = record.may_serve.union(look.members)
    owed = {name: epoch for name, epoch in record.owed.items() if name in known and not elsewhere}
    record = replace(record, schema=SCHEMA_WITHOUT_LEAVING, leaving=None, owed=owed, flaws=(), about=look.named)
    learned = relearn(look.with_record(record), f"resumed by {by}").record
    return Decision(learned, because=(f"resumed by {by}: who serves is learned first",))


def leave(look: Look) -> Decision:
    """The next step of a service that leaves; none once it has left."""
    leaving = look.record.leaving
    if leaving is None or leaving.done:
        return Decision(look.record, held=(f"it is {leaving.how} by {leaving.by}",) if leaving else ())
    if leaving.how == "released":
        return _put_back(look, leaving)
    if look.newest_epoch() > look.record.epoch:
        return retire(look, leaving.by)
    look = look.with_record(_noted(look))
    fences = _fences(look)
    if fences:
        return Decision(look.record, fences, because=("every member is fenced",))
    due = next(_due_at_balancer(look), None)
    if due is not None:
        owing = replace(look.record, owed={due: look.record.epoch, **look.record.owed})
        effect = FenceByBalancer(due, owing.epoch, wary=due in look.record.owed)
        if effect not in look.observed.tried:
            return Decision(owing, (effect,), because=(f"{due} is set to Down",))
        return Decision(owing, held=(f"{due} is not proven Down: {look.observed.tried[effect]}; {WITHOUT_PROOF}",))
    if silent := _silent(look):
        return Decision(
            look.record, held=tuple(f"{name} does not answer, and may still serve; {WITHOUT_PROOF}" for name in silent)
        )
    return _withdrawn(look, leaving)


def _put_back(look: Look, leaving: Leaving) -> Decision:
    """One at a time, in the end all of them get new flows: which one was to have them is the operator's business now."""
    for name in _held_down(look):
        if lifting := lift(look, name):
            return with_changes(lifting, held=tuple(f"{why}{_if_gone(look, name)}" for why in lifting.held))
    return Decision(replace(look.record, leaving=replace(leaving, done=True)), because=(f"released by {leaving.by}",))


def _if_gone(look: Look, member: str) -> str:
    """The end of a sentence: the way out, where what is to be put back is not there."""
    return f"; no pool lists it: `forget` {member}, and the release ends" if look.is_unlisted(member) else ""


def _noted(look: Look) -> Record:
    """The record with the proofs of this look: those that it undoes, and those of an older epoch, count no more."""
    record = without_fences(look.record, undone(look))
    acked = {name for name in look.members if look.acked(name)}
    record = with_fences(record, proven_fences(look, list(look.members)))
    return replace(record, acks=record.acks | acks_of(look, acked))


def _fences(look: Look) -> tuple[SendFence, ...]:
    epoch = look.record.epoch
    due = [name for name in look.members if look.obeys(name) and not look.acked(name)]
    return tuple(fence for name in due if (fence := SendFence(name, epoch)) not in look.observed.tried)


def _due_at_balancer(look: Look) -> Iterator[str]:
    """Members, one at a time: two writes of one pool would supersede each other. One that the pool does not list is not due."""
    if look.service.load_balancer is None:
        return
    for name in look.members:
        if name not in look.record.fenced and not _is_absent(look, name):
            yield name


def _silent(look: Look) -> list[str]:
    """Who is proven by nothing: neither F1, F2 nor the pool; of a ranked service also announcers that do not answer."""
    record = look.record
    unproven = record.may_serve - record.acks.keys() - record.fenced.keys()
    silent = {name for name in unproven if not _gets_nothing(look, name)}
    if look.service.naming is not None:
        silent |= {name for name in look.service.announcers if look.status(name) is None}
    return sorted(silent)


def _withdrawn(look: Look, leaving: Leaving) -> Decision:
    """Routes last: nothing is admitted any more where they lead."""
    record, routes = next_advertisements(look, ())
    record, outward = next_outward(look.without_outward().with_record(record))
    if routes or outward:
        return Decision(record, (*routes, *outward), because=("nothing is announced any more",))
    announcing = (SendAdvertise, SendOutward)
    tried = [(effect, why) for effect, why in look.observed.tried.items() if isinstance(effect, announcing)]
    if tried:
        return Decision(record, held=tuple(f"{effect.member} still announces: {why}" for effect, why in tried))
    done = replace(
        record, phase=Phase.LEARN, may_serve=frozenset(), fenced={}, acks={}, leaving=replace(leaving, done=True)
    )
    return Decision(done, because=(f"retired by {leaving.by}: no member serves it any more",))


def departures(old: Topology, new: Topology, records: Mapping[str, Record]) -> Iterator[Problem]:
    """What a document may not take away, or mean something else by: of `records` (by `Service.key`), what may serve.

    The document before stays in force until the verbs of above have ended it.
    """
    successors = {service.key: (i, service) for i, service in enumerate(new.services)}
    for service in old.services:
        record = records.get(service.key)
        believed = _at_stake(record) if record is not None else frozenset[str]()
        if record is None or not believed:
            continue
        if service.key not in successors:
            rule = f"service {service.name!r} leaves while {', '.join(sorted(believed))} may serve"
            way_out = _not_left_yet(record) or "`retire` or `release` it first, or keep it as `formerly`"
            yield Problem("$.services", f"{rule}: {way_out}")
            continue
        i, successor = successors[service.key]
        yield from _members_that_leave(successor, record, f"$.services[{i}].members", old.appliances)
        known = record.about or referents_of(old, service)
        for what in moved(known, referents_of(new, successor), believed):
            yield Problem(f"$.services[{i}]", f"{what}: {_not_left_yet(record) or ENDS}")


def _not_left_yet(record: Record) -> str | None:
    """What the end of a service that leaves waits for, and the way out; None where it does not leave, or has left."""
    leaving = record.leaving
    if leaving is None or leaving.done:
        return None
    once = f"apply this again once the status says that it is {leaving.how}"
    if leaving.how == "retired":
        first = "each of them is proven Down, or to stand by, first"
        return f"it is being retired, and {first}: {once}. {WITHOUT_PROOF.capitalize()}"
    down = ", ".join(sorted(record.owed))
    gone = "one that no pool lists any more is to be forgotten (`forget`)"
    return f"it is being released, and our adminState Down of {down} is still to be taken back: {once}; {gone}"


def _at_stake(record: Record) -> frozenset[str]:
    """Who may serve, and who is about to be granted it: a pass that knows the document before may be at that."""
    coming = record.target if record.phase is Phase.FENCING and record.leaving is None else None
    return record.believed | {coming} if coming else record.believed


def _members_that_leave(service: Service, record: Record, path: str, appliances: frozenset[str]) -> Iterator[Problem]:
    for name in sorted(_at_stake(record) - set(service.names)):
        ends = "another member takes over, then `forget` it"
        ends += ", in a `pause` that lasts until this is applied: it has no agent" if name in appliances else ""
        rule = f"{name} leaves while it may serve, or is Down by us: {_not_left_yet(record) or ends}"
        if name not in record.believed:
            rule = f"{name} leaves while it is about to serve: apply this again once that operation has ended"
        yield Problem(path, rule)

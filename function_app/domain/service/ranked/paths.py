"""Fencing by outranking, for services whose next hop is a member's own address (safety.md section 3).

The Route Server prefers the shortest AS path, and equal ones are used side by side (ECMP). So whoever is to serve is
named by a path that is shorter than any that may name another member, and no two announcers ever have equal ones:

    rest    the one that leads at four (three prepends: headroom for three failovers), every other longer, all distinct
    change  intend (durable) -> command -> acknowledged; the new path is shorter than whatever a command once sent may
            still put on the wire, and its announcer has a session with every instance that any announcer may have one with
    back    to rest once everybody who answers has acknowledged and the wait is over: first the others, then the lead

    self    each member announces itself          member    one or two announcers name the address of the holder

A command may arrive at any time until a newer one is acknowledged, for agents accept only a higher (epoch, seq); and
what was announced before stays at an instance until the UPDATE after it arrives, or the session ends. Hence `Rank` keeps,
for each announcer, every order since the last one that has `landed`: acknowledged, and the BGP hold time ago. An
acknowledgement is the agent's signed "accepted" to that command, not its status: `advertised` there is durable before
it is on the wire.

A length is that of the whole AS path as the Route Server sees it; it is ours to set only for prefixes that the
announcer originates (1 + prepends). Not here: whether to move at all (`failover`), and how it is sent.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address

from msgspec import Struct
from msgspec.structs import replace

from function_app.domain.base.azure_limits import ROUTE_SERVER_INSTANCES
from function_app.domain.topology.model import Naming

LENGTH_AT_REST = 4
LENGTH_MAX = 17  # the agent protocol takes at most 16 prepends


class Path(Struct, frozen=True):
    """What is announced: the AS path's whole length, and the member whose address is the next hop."""

    length: int
    next_hop: str

    @property
    def prepend(self) -> int:
        return self.length - 1


ANYTHING = Path(1, "")
"""Of an announcer whose orders are lost: as short as can be, and naming no member that is known."""


class PathOrder(Struct, frozen=True):
    """A path, and the turn at which it was ordered: agents accept only a higher (epoch, seq)."""

    epoch: int
    seq: int
    path: Path

    @property
    def turn(self) -> tuple[int, int]:
        return self.epoch, self.seq


class Announcer(Struct, frozen=True):
    """Every order that an instance may still have or get, oldest first; `acked` is the `seq` of the last acknowledged.

    A path that is ordered again only counts with its newest turn, so there are never more than there are paths.
    """

    orders: tuple[PathOrder, ...] = ()
    acked: int = 0
    acked_at: datetime | None = None
    hold: timedelta | None = None
    """The hold time that its agent last reported; the document's counts where it reports none."""

    @property
    def latest(self) -> PathOrder:
        return self.orders[-1]

    @property
    def current(self) -> tuple[PathOrder, ...]:
        """What it announces, or may still receive: the acknowledged order and all later ones."""
        return tuple(order for order in self.orders if order.seq >= self.acked)

    @property
    def landed(self) -> bool:
        """No instance has anything older of it than what it acknowledged."""
        return len(self.current) == len(self.orders)

    @property
    def settled(self) -> bool:
        """It has acknowledged the latest order: this is what it announces, and nothing else is to come."""
        return self.acked == self.latest.seq

    @property
    def at_rest(self) -> bool:
        return self.settled and self.landed


class Rank(Struct, frozen=True, kw_only=True):
    """Part of the service's record. An announcer that is not in `announcers` was never sent an order."""

    seq: int = 0
    announcers: dict[str, Announcer] = {}
    changed: datetime | None = None
    """When the last order was written, or first acknowledged."""
    gone: dict[str, datetime] = {}
    """Announcers that no Route Server shows a session with, and since when."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Which announcers are declared, which of them answer, and which of those have a session with every live instance.

    Leave out of `answering` whoever did not obey in this pass: another announcer may then lead.
    """

    announcers: frozenset[str]
    answering: frozenset[str]
    on_every: frozenset[str]
    gone: frozenset[str] = frozenset()
    """Those that no Route Server has shown a session with for a hold time: no instance has a path of theirs."""
    unfit: frozenset[str] = frozenset()
    """Those that failed, by their own word."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The paths to order, by announcer: `intend` first, then send `unacknowledged`. Both may be empty: it is so already."""

    paths: Mapping[str, Path] = field(default_factory=dict)
    held: tuple[str, ...] = ()


# --- what the record says --------------------------------------------------------------------------------------------


def intend(rank: Rank, epoch: int, paths: Mapping[str, Path], at: datetime) -> Rank:
    """What must be durable before any of these commands exists (as R1). One seq for all of them, never used before."""
    if not paths:
        return rank
    seq = rank.seq + 1
    announcers = dict(rank.announcers)
    for name, path in paths.items():
        before = announcers.get(name, Announcer())
        others = tuple(order for order in before.orders if order.path != path)
        announcers[name] = replace(before, orders=(*others, PathOrder(epoch, seq, path)))
    return replace(rank, seq=seq, announcers=announcers, changed=at)


def acknowledged(rank: Rank, announcer: str, turn: tuple[int, int], at: datetime) -> Rank:
    """Notes that no command before this (epoch, seq) can have an effect any more. Older news changes nothing.

    An acknowledgement of an order that was never given is `learn`'s business and no news here.
    """
    before = rank.announcers.get(announcer)
    if before is None or before.acked >= turn[1] or turn > before.latest.turn:
        return rank
    now = replace(before, acked=turn[1], acked_at=at)
    return replace(rank, announcers={**rank.announcers, announcer: now}, changed=at)


def held_for(rank: Rank, reported: Mapping[str, timedelta]) -> Rank:
    """Notes the hold times that announcers report."""
    known = {n: replace(rank.announcers[n], hold=hold) for n, hold in reported.items() if n in rank.announcers}
    return replace(rank, announcers=rank.announcers | known)


def landed(rank: Rank, at: datetime, hold_time: timedelta) -> Rank:
    """Forgets what can no longer be at any instance: what was replaced by an order acknowledged a hold time ago. That is the
    negotiated one where an agent reported it, else `hold_time`.

    An acknowledgement says that the UPDATE was handed to the sessions. Within the hold time it has arrived or the
    instance, which received no KEEPALIVE behind it either, has dropped the session and all its paths.
    """
    done = {
        n: replace(a, orders=a.current)
        for n, a in rank.announcers.items()
        if not a.landed and a.acked_at is not None and at - a.acked_at >= (a.hold or hold_time)
    }
    return replace(rank, announcers=rank.announcers | done)


def parted(rank: Rank, connected: Mapping[str, bool], at: datetime) -> Rank:
    """Notes which announcers no Route Server shows a session with, and which have one again; unknown changes nothing."""
    gone = {n: rank.gone.get(n, at) for n, shown in connected.items() if not shown}
    kept = {n: since for n, since in rank.gone.items() if n not in connected}
    return replace(rank, gone=kept | gone)


def gone_for(rank: Rank, announcer: str, at: datetime) -> timedelta:
    """How long no Route Server has shown a session with it; zero while one does, and where that is not known."""
    since = rank.gone.get(announcer, at)
    return max(at - since, timedelta(0))


def without_unknown(rank: Rank, gone: frozenset[str]) -> Rank:
    """Without what these announcers may announce where their orders are lost: no instance has had a path of theirs for a
    hold time. One that comes back is known by what it reports then (`reported_anew`)."""
    announcers = dict(rank.announcers)
    for name in gone & announcers.keys():
        known = tuple(order for order in announcers[name].orders if order.path != ANYTHING)
        announcers[name] = replace(announcers[name], orders=known)
    return replace(rank, announcers={name: one for name, one in announcers.items() if one.orders})


def reported_anew(rank: Rank, reported: Mapping[str, PathOrder]) -> Rank:
    """With the order that an announcer reports which this rank knows nothing of: it may announce that, so it counts."""
    new = {n: Announcer((order,), acked=order.seq) for n, order in reported.items() if n not in rank.announcers}
    seq = max((rank.seq, *(order.seq for order in reported.values())))
    return replace(rank, announcers=rank.announcers | new, seq=seq if new else rank.seq)


def learned(announcers: Collection[str], reported: Mapping[str, PathOrder]) -> Rank:
    """The rank when the record is lost: what announcers say they were last ordered; of the others nothing is known.

    Only after `learn` has waited longer than a command lives, or one of the lost record's could still arrive. A status
    without `advertised` says nothing (the speaker may have been left running): leave it out of `reported`.
    """
    known = {n: Announcer((reported[n],), acked=reported[n].seq) for n in announcers if n in reported}
    unknown = {n: Announcer((PathOrder(0, 0, ANYTHING),), acked=-1) for n in announcers if n not in reported}
    return Rank(seq=max((o.seq for o in reported.values()), default=0), announcers=known | unknown)


def unacknowledged(rank: Rank) -> Mapping[str, PathOrder]:
    """The command to send (again) to each announcer: always its latest, never an older one."""
    return {n: a.latest for n, a in rank.announcers.items() if not a.settled and a.latest.path != ANYTHING}


def best_possible(rank: Rank, announcer: str, target: str) -> int | None:
    """The shortest length at which `announcer` may announce any other next hop than `target`; None if it may not."""
    before = rank.announcers.get(announcer, Announcer())
    return min((o.path.length for o in before.orders if o.path.next_hop != target), default=None)


def leading(rank: Rank, target: str) -> str | None:
    """The announcer that proves it: `target` is what the best path names, whatever is still to arrive.

    It has acknowledged, and whatever it may announce since names `target` and is shorter than all that names another.
    """
    return next(iter(_proven(rank, target)), None)


def damped_for(rank: Rank, at: datetime, window: timedelta) -> timedelta:
    """How long a move that is not urgent has still to wait; zero when it need not. Never used for a dead holder."""
    return max(rank.changed + window - at, timedelta(0)) if rank.changed else timedelta(0)


type Sessions = Mapping[IPv4Address, bool]
"""By Route Server instance, whether an announcer's session with it is Established."""


def live_instances(reported: Mapping[str, Sessions | None]) -> frozenset[IPv4Address]:
    """The instances that may have a path of an announcer: only those have a best path, and count for exclusivity.

    `reported`: by announcer; None where its sessions are not known. Then it may have one with every instance.
    """
    known = [sessions for sessions in reported.values() if sessions is not None]
    surely_all = len(known) < len(reported)
    return frozenset(i for sessions in known for i, is_up in sessions.items() if is_up or surely_all)


def on_every_live(sessions: Sessions, live: frozenset[IPv4Address]) -> bool:
    """Whether an announcer that peers with both instances has its session with each of them that is live."""
    up = {instance for instance, is_up in sessions.items() if is_up}
    return len(sessions) >= ROUTE_SERVER_INSTANCES and bool(up) and sessions.keys() & live <= up


# --- what to order ---------------------------------------------------------------------------------------------------


def outrank(naming: Naming, rank: Rank, target: str, reach: Reach) -> Proposal:
    """What makes the best path name `target` and keeps it so; called again, it proposes only what is still missing.

    Done when `leading` says so. Held, with the reason, where no announcer is on every live instance or has the headroom;
    then the hold time decides. The others follow only then: on an instance that the lead has lost, one of theirs wins.
    """
    lead = _safe_lead(rank, target, reach) or _under_way(naming, rank, target, reach)
    first = Proposal() if lead is not None else _choose_lead(naming, rank, target, reach)
    if _may_have_any(rank, reach):
        return first
    paths = dict(first.paths) if not first.held else _make_room(naming, rank, target, reach)
    for name in sorted(reach.answering - {lead, *paths}, key=lambda n: (n != target, n)):
        is_known = name in rank.announcers or name in reach.on_every
        path = _follow(naming, rank, name, target, paths) if is_known else None
        if path is not None:
            paths[name] = path
    return Proposal(paths, first.held)


def normalise(rank: Rank, holder: str, reach: Reach, at: datetime, window: timedelta) -> Proposal:
    """One move back towards rest: the others' lengths first, and the lead's once these have landed.

    `window` is the damping window. A silent announcer stays where it may be, and the lead below it.
    """
    lead = leading(rank, holder)
    if lead is None or lead not in reach.on_every:
        return Proposal()
    paths = _others_at_rest(rank, lead, reach) or _lead_at_rest(rank, lead, holder)
    if not paths:
        return Proposal()
    busy = sorted(n for n in reach.answering & rank.announcers.keys() if not rank.announcers[n].at_rest)
    if busy:
        return Proposal(held=(f"the last path of {', '.join(busy)} is not acknowledged, or may not have arrived",))
    if left := damped_for(rank, at, window):
        return Proposal(held=(f"AS paths return to rest in {left.total_seconds():.0f} s: the damping window",))
    return Proposal(paths)


def _others_at_rest(rank: Rank, lead: str, reach: Reach) -> dict[str, Path]:
    """Longer paths for those that follow and are not at rest yet."""
    others = sorted(reach.answering & rank.announcers.keys() - {lead})
    latest = {name: rank.announcers[name].latest.path for name in others}
    return _longer(rank, _at_most(latest, LENGTH_AT_REST), LENGTH_AT_REST)


def _lead_at_rest(rank: Rank, lead: str, holder: str) -> dict[str, Path]:
    """The lead's own longer path, where there is room for one below all others."""
    length = _longest_below(rank, lead, _bound(rank, lead, holder), LENGTH_AT_REST)
    return {lead: Path(length, holder)} if length > rank.announcers[lead].latest.path.length else {}


def _proven(rank: Rank, target: str) -> list[str]:
    """All that `leading` may give, the shortest first."""
    acknowledged = [name for name, announcer in rank.announcers.items() if announcer.acked > 0]
    naming_it = [name for name in acknowledged if _names_only(rank.announcers[name], target)]
    shortest = [name for name in naming_it if _own(rank, name) < _bound(rank, name, target)]
    return sorted(shortest, key=lambda name: (_own(rank, name), name))


def _may_have_any(rank: Rank, reach: Reach) -> bool:
    """Whether one that is silent may announce any length: whatever another one is sent may be the same, used beside it."""
    silent = rank.announcers.keys() - reach.answering
    return any(order.path == ANYTHING for name in silent for order in rank.announcers[name].orders)


def _names_only(announcer: Announcer, target: str) -> bool:
    """Whether every path that may be on the wire names the target."""
    return all(order.path.next_hop == target for order in announcer.current)


def _safe_lead(rank: Rank, target: str, reach: Reach) -> str | None:
    """One that leads, and whose UPDATE is not lost on its way: it is still there, or the UPDATE has landed."""
    return next((n for n in _proven(rank, target) if n in reach.on_every or rank.announcers[n].landed), None)


def _bound(rank: Rank, lead: str, target: str) -> int:
    """What a path of `lead` that names `target` must be shorter than."""
    possible = (best_possible(rank, n, target) for n in rank.announcers if n != lead)
    return min((length for length in possible if length is not None), default=LENGTH_MAX + 1)


def _longest_below(rank: Rank, lead: str, bound: int, most: int) -> int:
    """The longest length, at most `most`, that is shorter than `bound` and not another announcer's; 0 if there is none."""
    taken = {o.path.length for n, a in rank.announcers.items() if n != lead for o in a.orders}
    return next((n for n in range(min(bound - 1, most), 0, -1) if n not in taken), 0)


def _free(rank: Rank, least: int, also: Mapping[str, Path]) -> int | None:
    """The shortest length beyond `least` that is no announcer's, now or in `also`: equal ones never, whomever they name."""
    taken = {o.path.length for a in rank.announcers.values() for o in a.orders}
    taken |= {path.length for path in also.values()}
    return next((n for n in range(least + 1, LENGTH_MAX + 1) if n not in taken), None)


def _under_way(naming: Naming, rank: Rank, target: str, reach: Reach) -> str | None:
    """An announcer that was ordered already to do what is wanted, and still can."""
    for name in _could_lead(naming, target, reach):
        latest = rank.announcers[name].latest.path if name in rank.announcers else ANYTHING
        if latest.next_hop == target and latest.length < _bound(rank, name, target):
            return name
    return None


def _could_lead(naming: Naming, target: str, reach: Reach) -> Iterable[str]:
    able = sorted(reach.on_every & reach.answering & reach.announcers)
    return [n for n in able if naming is Naming.MEMBER or n == target]


def _choose_lead(naming: Naming, rank: Rank, target: str, reach: Reach) -> Proposal:
    """Who leads at which length: the announcer that needs the least headroom. None lengthens its path without need."""
    able = _could_lead(naming, target, reach)
    if not able:
        who = target if naming is Naming.SELF else "no announcer that answers"
        is_not = "is not" if naming is Naming.SELF else "is"
        return Proposal(held=(f"{who} {is_not} Established with every live Route Server instance",))
    chosen = [(_longest_below(rank, n, _bound(rank, n, target), _own(rank, n)), n) for n in able]
    length, lead = max(chosen, key=lambda c: c[0])
    if length == 0:
        return Proposal(held=(_no_headroom(rank, lead, target),))
    return Proposal({lead: Path(length, target)})


def _make_room(naming: Naming, rank: Rank, target: str, reach: Reach) -> dict[str, Path]:
    """Where there is no headroom: longer paths for announcers that answer and are in the way of one that could lead.

    The target is the next hop as soon as these arrive, and proven to be once they have landed. Where a silent member of
    kind `self` would be the next hop instead, the target's own path is made shorter than that one's first; where no such
    length is left yet, others are lengthened only if they are unfit, which the silent one need not be.
    """
    able = set(_could_lead(naming, target, reach))
    if not able:
        return {}
    own = _own(rank, target) if naming is Naming.SELF else LENGTH_AT_REST
    others = {n: a for n, a in rank.announcers.items() if n not in able and a.latest.path.next_hop != target}
    in_the_way = _at_most({n: others[n].latest.path for n in sorted(others.keys() & reach.answering)}, own)
    longer = _longer(rank, in_the_way, max(own, LENGTH_AT_REST))
    silent = _shortest(rank, others.keys() - reach.answering - reach.gone)
    if naming is Naming.MEMBER or silent > own:
        return longer
    shorter = _shorter(rank, target, silent)
    if shorter is None and in_the_way.keys() <= reach.unfit:
        return longer
    return shorter or {}


def _shortest(rank: Rank, names: Collection[str]) -> int:
    """The shortest length that an instance may have of these."""
    return min((order.path.length for name in names for order in rank.announcers[name].orders), default=LENGTH_MAX)


def _shorter(rank: Rank, target: str, bound: int) -> dict[str, Path] | None:
    """The target at the longest free length below `bound`; None where others take all of them, nothing where there is none,
    or where it was ordered already."""
    newest = rank.announcers.get(target, Announcer()).orders[-1:]
    if bound == 1 or any(order.path != ANYTHING and order.path.length < bound for order in newest):
        return {}
    length = _longest_below(rank, target, bound, LENGTH_MAX)
    return {target: Path(length, target)} if length else None


def _at_most(paths: Mapping[str, Path], length: int) -> dict[str, Path]:
    """Those that are known, and no longer than that."""
    return {name: path for name, path in paths.items() if path.length <= length and path != ANYTHING}


def _longer(rank: Rank, paths: Mapping[str, Path], least: int) -> dict[str, Path]:
    """The same next hops at free lengths beyond `least`, for as many as there are any."""
    found: dict[str, Path] = {}
    for name, path in paths.items():
        length = _free(rank, least, found)
        if length is not None:
            found[name] = replace(path, length=length)
    return found


def _own(rank: Rank, name: str) -> int:
    """The longest length that it announces or may still receive; where that is not known, as at rest."""
    orders = rank.announcers.get(name, Announcer()).current
    return max((o.path.length for o in orders if o.path != ANYTHING), default=LENGTH_AT_REST)


def _no_headroom(rank: Rank, lead: str, target: str) -> str:
    unknown = sorted(n for n, a in rank.announcers.items() if n != lead and a.orders[0].path == ANYTHING)
    if unknown:
        return f"no headroom: it is not known what {', '.join(unknown)} may announce"
    bound = _bound(rank, lead, target)
    nearest = sorted(n for n in rank.announcers if n != lead and best_possible(rank, n, target) == bound)
    return f"no headroom: {', '.join(nearest)} may announce another next hop with an AS path of {bound}"


def _follow(naming: Naming, rank: Rank, name: str, target: str, also: Mapping[str, Path]) -> Path | None:
    """What an announcer that does not lead should be sent, if anything; never a path that could win against the lead's."""
    named = name if naming is Naming.SELF else target
    known = rank.announcers.get(name)
    leads = leading(rank, target) is not None
    if known is None and not leads:
        return None
    if known is None or known.latest.path == ANYTHING:
        # Beyond the lead's in `self`; in `member` it names the same.
        least = max(LENGTH_AT_REST, _own(rank, target)) if naming is Naming.SELF else LENGTH_AT_REST
        length = _free(rank, least, also)
        return Path(length, named) if length is not None else None
    return Path(_own(rank, name), named) if leads and known.latest.path.next_hop != named else None

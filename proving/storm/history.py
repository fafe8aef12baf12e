"""One history: a plan makes a world, passes run over it, faults befall it, laws are checked; then it heals and must live.

Liveness, each law with what it demands once all is well: L1 one verified holder, L3 operations end by their deadline,
L4 every fence is released, L6 learning ends; L2 and L8 another holder in time where the holder fails at last. The bounds are
those that the product computes from the configuration (`function_app.domain.service.bounds`). L5 is a law of quiet histories
and kept by `checks`.
"""

from dataclasses import dataclass
from datetime import timedelta

from hopkeeper_agent.role import Role, ServiceState, Turn

from function_app.domain.service.advertise import wanted as advertised
from function_app.domain.service.bounds import Detection, Probe, WithAgent, worst
from function_app.domain.service.guards import spacing_after
from function_app.domain.service.observation import AdminState, joined
from function_app.domain.service.outward import wanted_outward
from function_app.domain.service.record import Fence, Operation, Phase, Record
from function_app.domain.service.record import Kind as RecordKind
from function_app.domain.topology.model import Mode
from proving.storm.bugs import Bugs
from proving.storm.checks import Violation
from proving.storm.edits import Edits
from proving.storm.faults import Plan
from proving.storm.injector import Injector
from proving.storm.paths import PATHS
from proving.storm.places import EPOCH, place
from proving.storm.pure import repeated
from proving.storm.world import World

RELEASE_SECONDS = 300.0
"""L4: from healing, or from the end of learning, until every fence is released."""
REWRITTEN_SECONDS = 300.0
"""S1 after somebody else's write: the next look (a sweep), and a fence that may have to be tried twice."""
PATIENCE_SECONDS = 30.0
"""On top of a bound: a sweep may just have gone, a wake-up may be redelivered."""
CALM_SECONDS = 5.0
"""A state of rest must last this long to count."""
WATCH_SECONDS = 60.0
"""How often an operator looks for a Down that is nobody's, after the record was lost."""
FIRST_EPOCH = 3


@dataclass(frozen=True, slots=True)
class Result:
    """How a history went: `violation` of a safety law, or `not_live` with the law and what was seen."""

    plan: Plan
    events: int
    violation: Violation | None
    not_live: Violation | None
    counted: tuple[str, ...]
    """Kinds of the requests that crash points may be put at, until it healed."""
    openings: int
    story: tuple[str, ...] = ()

    @property
    def law(self) -> str | None:
        """The first law that was broken."""
        broken = self.violation or self.not_live
        return broken.law if broken else None


class History:
    """See the module. Made, run once, thrown away."""

    injects: type[Injector] = Injector

    def __init__(self, plan: Plan, bugs: Bugs | None = None, trace: bool = False) -> None:
        """`trace` keeps the history's lines and what the product files for people."""
        self.plan = plan
        self.world = world = self._new_world(bugs or Bugs())
        if trace:
            world.story = []
            world.documents.filed = {}
        if plan.preempt:
            world.let_return()
        world.leg_seconds = plan.leg_seconds
        world.tokens_expire = plan.tokens_expire
        for balancer in world.balancers:
            balancer.write_seconds, balancer.spread_seconds = plan.write_seconds, plan.spread_seconds
            balancer.keeps_etag, balancer.lag = plan.keeps_etag, plan.health_seconds
            balancer.read_seconds = plan.read_seconds
        world.checks.quiet = plan.quiet
        if plan.profile == "edits":
            world.edits = Edits(world, plan.members, plan.pace, plan.shape)
        self.injector = self.injects(world)
        self._begin()

    def _new_world(self, bugs: Bugs) -> World:
        plan = self.plan
        return World(plan.seed, place(plan.members, plan.pace, plan.handover, plan.shape), bugs)

    def _begin(self) -> None:
        world, plan = self.world, self.plan
        for _ in range(plan.hosts):
            world.add_host()
        if plan.begins == "stable":
            self._know(world.service.names[0])
        world.gossip.begin()
        for balancer in world.balancers:
            balancer.begin()
        world.timeline.after(world.draw() * 5.0, world.sweep)
        for fault in plan.faults + plan.lasting:
            world.timeline.after(fault.at, self.injector.do, fault)
        if plan.points:
            world.mishaps.at_points({point.k: (point.mishap, point.seconds) for point in plan.points})
        elif plan.profile == "exhaustive":
            world.mishaps.at_points({})
        world.timeline.after(plan.heal_at * 0.5, repeated, world)

    def _know(self, holder: str) -> None:
        """The holder serves, everybody has acknowledged it, and the record says so."""
        world, everybody = self.world, self.world.service.mode is Mode.ACTIVE_ACTIVE
        for name in sorted(set(world.service.names) - world.bare):
            agent, serving = world.agents[name], everybody or name == holder
            turn = Turn(FIRST_EPOCH, 0 if serving else 1)
            agent.state = agent.durable = ServiceState(turn, Role.SERVING if serving else Role.STANDBY)
            agent.settle()
        operation = Operation(
            id=f"fw-{FIRST_EPOCH}",
            kind="adopt",
            reason="",
            started=EPOCH,
            deadline=EPOCH + timedelta(seconds=120),
            confirmed=True,
        )
        record = Record(
            service=world.service.name,
            epoch=FIRST_EPOCH,
            phase=Phase.STABLE,
            target=None if everybody else holder,
            may_serve=frozenset(world.service.names if everybody else {holder} | world.bare),
            fenced=self._down(world.bare - {holder}),
            owed=dict.fromkeys(sorted(world.bare - {holder}), FIRST_EPOCH),
            operation=None if everybody else operation,
        )
        world.documents.begin(record)
        world.checks.began(record)

    def _down(self, members: frozenset[str]) -> dict[str, Fence]:
        """They are Down by us, proven."""
        for balancer in self.world.balancers:
            balancer.meddled.clear()
        places = {name: joined([b.fenced(name) for b in self.world.balancers]) for name in sorted(members)}
        return {name: Fence(epoch=FIRST_EPOCH, etag="", address=place) for name, place in places.items()}

    # --- running

    def run(self) -> Result:
        """To its end, or to the first violation."""
        world, checks = self.world, self.world.checks
        self._until(self.plan.heal_at)
        counted, not_live = tuple(world.mishaps.counted), None
        if checks.violation is None:
            self.injector.heal(self.plan.lasting)
            world.timeline.after(WATCH_SECONDS, self._take_back)
            not_live = self._lives_on() if self.plan.lasting else self._settles()
        if checks.violation is None and not_live is None and self.plan.last_crash:
            not_live = self._fails_over()
        self.close()
        return Result(
            plan=self.plan,
            events=world.timeline.happened,
            violation=checks.violation,
            not_live=not_live if checks.violation is None else None,
            counted=counted,
            openings=checks.openings,
            story=tuple(world.story or ()),
        )

    def close(self) -> None:
        """Ends what still runs: a suspended pass must not outlive its world."""
        self.world.hosts_stay_down = True
        for host in self.world.hosts:
            for stray in host.loop.strays:
                self.world.checks.broken("crash", f"a task died of {stray!r} and nobody asked", stray)
            host.kill()

    def _until(self, end: float) -> None:
        """Events up to `end`, the laws checked after each; stops at a violation."""
        world, step = self.world, self.world.timeline.step
        checks = world.checks
        while step(end):
            if world.dirty:
                checks.look()
            if checks.violation is not None:
                return

    def _settles(self) -> Violation | None:
        """All is at rest within the longest bound, or within the time that fences take to be released."""
        timing = self.world.topology.timing
        bound = worst(timing, Probe()) + timing.learn_for + timing.sweep
        return self._comes_to_rest(max(bound.total_seconds(), RELEASE_SECONDS) + PATIENCE_SECONDS)

    def _comes_to_rest(self, within: float) -> Violation | None:
        """Runs until all is at rest and stays so; what is missing, and whose law that is, after `within` seconds."""
        world = self.world
        began = world.timeline.now
        ends = began + within
        while world.timeline.now < ends and world.checks.violation is None:
            self._until(min(world.timeline.now + CALM_SECONDS, ends))
            if late := self._overdue(began):
                return late
            if self._missing() is None:
                self._until(world.timeline.now + CALM_SECONDS)
                if self._missing() is None:
                    return None
        law, missing = self._missing() or ("L1", "it does not stay at rest")
        return Violation(law, world.timeline.now - began, missing)

    def _lives_on(self) -> Violation | None:
        """L7: whatever lasts, new flows reach somebody within the bound, and go on doing so. S1 without an excuse: after
        somebody else's write of the pool they reach one member alone, within the next look and a fence."""
        world, timing = self.world, self.world.topology.timing
        patience = timing.operation_deadline * (len(world.agents) + 1)
        bound = (worst(timing, Probe()) + timing.learn_for + patience).total_seconds() + PATIENCE_SECONDS
        began = world.timeline.now
        while world.checks.violation is None and not self._admitted():
            if world.timeline.now > began + bound:
                return Violation(
                    "L7", world.timeline.now - began, f"nobody is admitted {bound:.0f} s after the rest healed"
                )
            self._until(world.timeline.now + CALM_SECONDS)
        self._until(world.timeline.now + RELEASE_SECONDS)
        if world.checks.violation is None and not self._admitted():
            return Violation("L7", world.timeline.now - began, "nobody is admitted any more")
        if world.checks.violation is None and len(admitted := self._admitted()) > 1:
            return Violation("S1", world.timeline.now - began, f"{admitted} are still admitted")
        if self.plan.rewritten:
            for balancer in world.balancers:
                balancer.foreign_membership(set(balancer.names))
                balancer.foreign_write(dict.fromkeys(balancer.names, AdminState.NONE))
            self._until(world.timeline.now + REWRITTEN_SECONDS)
            if world.checks.violation is None and len(admitted := self._admitted()) != 1:
                said = f"{admitted} are admitted {REWRITTEN_SECONDS:.0f} s after the pool was written by somebody else"
                return Violation("S1", world.timeline.now - began, said)
        return None

    def _admitted(self) -> list[str]:
        """Members that get new flows and take them."""
        world = self.world
        return [agent.name for agent in world.agents.values() if agent.will and world.admits(agent.name)]

    def _overdue(self, healed: float) -> Violation | None:
        """L3: an operation that was opened once all was well is over by its deadline, and a look more."""
        record, now = self.world.documents.record, self.world.timeline.now
        if record is None or record.operation is None or record.phase not in (Phase.FENCING, Phase.GRANTED):
            return None
        started = (record.operation.started - EPOCH).total_seconds()
        late = now - (record.operation.deadline - EPOCH).total_seconds()
        patience = self.world.topology.timing.sweep.total_seconds() + PATIENCE_SECONDS
        if started < healed or late < patience:
            return None
        return Violation("L3", now, f"{record.operation.id} is {record.phase} {late:.0f} s after its deadline")

    def _missing(self) -> tuple[str, str] | None:
        """What keeps the service from being at rest, and whose law that is: one verified holder, nothing fenced or owed."""
        world, record = self.world, self.world.documents.record
        if record is None:
            return "L6", "there is no record"
        if record.phase is not Phase.STABLE:
            return "L6" if record.phase is Phase.LEARN else "L1", f"the record is {record.phase}"
        will = [agent.name for agent in world.agents.values() if agent.will]
        down = world.bare - {record.target}
        everybody = world.service.mode is Mode.ACTIVE_ACTIVE
        due = frozenset(world.service.names) if everybody else world.bare.union({record.target or ""})
        if set(will) != due:
            return "L1", f"{will} answer 200, the record's holder is {record.target}"
        if record.may_serve != due or not record.fenced.keys() == record.owed.keys() == down:
            held = f"may_serve {sorted(record.may_serve)}, fenced {sorted(record.fenced)}, owed {sorted(record.owed)}"
            return "L4", held
        return self._not_in_effect()

    def _not_in_effect(self) -> tuple[str, str] | None:
        """The same of what the record does not hold: the data plane, and what is announced, also on-premises."""
        world = self.world
        data = ((name, balancer.data[name]) for balancer in world.balancers for name in balancer.names)
        if wrong := [name for name, state in data if state is not self._state_at_rest(name)]:
            return "L4", f"adminState of {wrong} is not what it should be at rest"
        wanted = wanted_outward(world.service)
        lacking = [name for name in world.service.names if world.agents[name].outward != wanted]
        declared = advertised(world.service, world.frontend)
        lacking += [name for name in world.service.names if world.agents[name].advertised != declared]
        return ("L1", f"{lacking} do not announce what is declared") if lacking else None

    def _state_at_rest(self, name: str) -> AdminState:
        record = self.world.documents.record
        fenced = record is not None and name in record.fenced
        return AdminState.DOWN if fenced else AdminState.NONE

    def _take_back(self) -> None:
        """Where the record was lost, nothing shows that a Down was ours, nor of a member without an agent whose it is. An
        operator does what the status says: takes all back where a member serves, else one, a fit one if there is any."""
        world, record = self.world, self.world.documents.record
        self.world.timeline.after(WATCH_SECONDS, self._take_back)
        if not (world.checks.record_lost or world.bare) or record is None or record.phase is Phase.FENCING:
            return
        down = {n for balancer in world.balancers for n in balancer.names if balancer.control[n] is AdminState.DOWN}
        strange = sorted(down - record.owed.keys())
        if record.phase is Phase.LEARN:
            strange = self._first_fit(strange)
        for balancer in world.balancers if strange else ():
            balancer.foreign_write(dict.fromkeys(strange, AdminState.NONE))

    def _first_fit(self, members: list[str]) -> list[str]:
        """One of them, unless somebody is admitted."""
        agents = self.world.agents
        fit = [name for name in members if agents[name].talks and not agents[name].fatal]
        return [] if self._admitted() else (fit or members)[:1]

    def _bound_of(self, holder: str) -> timedelta:
        """Of the path over which it fails. Without an agent nothing but the probe shows that, and only Down fences."""
        path = PATHS["alone"] if holder in self.world.bare else PATHS[self.plan.last]
        return path.bound(self.world.topology.timing, WithAgent.SOME if self.world.bare else WithAgent.ALL)

    def _befall(self, holder: str, moments: tuple[float, ...]) -> None:
        other = min(set(self.world.service.names) - {holder})
        for fault in PATHS[self.plan.last].befalls(holder, other):
            for after in set(moments):
                self.world.timeline.after(after, self.injector.do, fault)

    def _orders_again_after(self) -> float:
        """Seconds: an order that is refused for a pool that is shown as it was is given again once it is shown as it is."""
        ordered = PATHS[self.plan.last].detection is Detection.ORDERED
        return max((balancer.read_seconds for balancer in self.world.balancers), default=0.0) if ordered else 0.0

    def _needs_the_probe(self, holder: str) -> bool:
        return PATHS[self.plan.last].detection is Detection.PROBE or holder in self.world.bare

    def _fails_over(self) -> Violation | None:
        """L2 and L8: the holder fails once all is at rest; another one is admitted within the bound of that very path."""
        world, record = self.world, self.world.documents.record
        if record is None or record.target is None or record.operation is None:
            return Violation("L2", 0.0, "there is no holder to fail over from")
        self._until(max(_pause_over(record), world.timeline.now))
        began, holder = world.timeline.now, record.target
        if self._needs_the_probe(holder) and not _probe_is_believed(record.operation):
            return None
        spaced = spacing_after(record.spacing, world.topology.timing) if record.spacing else timedelta(0)
        again = self._orders_again_after()
        bound = (self._bound_of(holder) + spaced).total_seconds() + again
        world.checks.suspect(holder, bound + 60.0)
        self._befall(holder, (0.0, again))
        while world.timeline.now < began + bound and world.checks.violation is None:
            self._until(min(world.timeline.now + 1.0, began + bound))
            if self._admitted() not in ([], [holder]):
                return None
        law = "L2" if self.plan.last == "silent" else "L8"
        return Violation(
            law, bound, f"no other member is admitted {bound:.0f} s after {holder} failed ({self.plan.last})"
        )


def _pause_over(record: Record) -> float:
    """When a pause ends that was ordered of a host that stood still until all was well; long ago where there is none."""
    return (record.pause.until - EPOCH).total_seconds() if record.pause is not None else 0.0


def _probe_is_believed(last: Operation) -> bool:
    """Whether a failing probe alone moves the holder: one that was not seen to rise is given more looks, and a move on the
    probe alone is not followed by another one (ADR 8)."""
    return last.confirmed and last.kind != RecordKind.PROBE

"""One ranked history: as any other, but that flows follow best paths, and that lengths return to rest in the end."""

from datetime import timedelta
from ipaddress import IPv4Network

from hopkeeper_agent import role as rules
from msgspec.structs import replace

from function_app.domain.service.bounds import ranked_bounds
from function_app.domain.service.guards import spacing_after
from function_app.domain.service.ranked.paths import ANYTHING, LENGTH_AT_REST, Announcer, Path, PathOrder, Rank
from function_app.domain.topology.model import Naming
from proving.storm.bugs import Bugs
from proving.storm.checks import Violation
from proving.storm.faults import Fault, Kind
from proving.storm.history import CALM_SECONDS, FIRST_EPOCH, PATIENCE_SECONDS, History
from proving.storm.paths import FOR_EVER
from proving.storm.places import EPOCH
from proving.storm.ranked.injector import RankedInjector
from proving.storm.ranked.place import ranked_place
from proving.storm.ranked.world import RankedWorld


class RankedHistory(History):
    """See the module."""

    world: RankedWorld
    injects = RankedInjector

    def _new_world(self, bugs: Bugs) -> RankedWorld:
        plan = self.plan
        return RankedWorld(plan.seed, ranked_place(plan.members, plan.injectors, plan.pace, plan.shape), bugs)

    def _begin(self) -> None:
        super()._begin()
        self.world.route_server.begin()

    def _know(self, holder: str) -> None:
        """As the base, and every announcer has acknowledged its path at rest a hold time ago."""
        super()._know(holder)
        world = self.world
        paths = {
            name: Path(LENGTH_AT_REST + i, name if world.service.naming is Naming.SELF else holder)
            for i, name in enumerate(world.service.announcers)
        }
        world.checks.ordered.update(paths)
        for name, path in paths.items():
            agent = world.agents[name]
            address = world.topology.speaker(path.next_hop).address
            mine = tuple(rules.Advertisement(IPv4Network(p), address, path.prepend) for p in world.service.prefixes)
            advertised = rules.Advertised(rules.Turn(FIRST_EPOCH, 1), mine)
            agent.state = agent.durable = replace_state(agent.state, advertised)
        known = {n: Announcer((PathOrder(FIRST_EPOCH, 1, p),), acked=1, acked_at=EPOCH) for n, p in paths.items()}
        record = world.documents.record
        assert record is not None
        world.documents.begin(replace(record, rank=Rank(seq=1, announcers=known)))

    # --- liveness

    def _bound(self) -> float:
        timing = self.world.topology.timing
        worst = max(bound.total for bound in ranked_bounds(timing))
        return (worst + timing.learn_for + timing.sweep + timing.operation_deadline).total_seconds() + PATIENCE_SECONDS

    def _settles(self) -> Violation | None:
        """L1 within the bound of the kind; the rest within the hold times and damping windows that rest takes."""
        timing = self.world.topology.timing
        if late := self._reached_within(self._bound(), "L1"):
            return late
        rest = 4 * (timing.bgp_hold + timing.damping + timing.sweep)
        return self._comes_to_rest(rest.total_seconds() + PATIENCE_SECONDS)

    def _reached_within(self, bound: float, law: str) -> Violation | None:
        world = self.world
        began = world.timeline.now
        while world.checks.violation is None and not self._admitted():
            if world.timeline.now > began + bound:
                hops = world.route_server.next_hops()
                return Violation(law, world.timeline.now - began, f"best paths name {hops} {bound:.0f} s after healing")
            self._until(world.timeline.now + CALM_SECONDS)
        return None

    def _lives_on(self) -> Violation | None:
        """L7: whatever lasts, new flows reach a member that forwards them within the bound, a hold time where there is no
        headroom, and go on doing so."""
        world, timing = self.world, self.world.topology.timing
        patience = timing.operation_deadline * (len(world.agents) + 1) + 2 * timing.bgp_hold
        bound = self._bound() + patience.total_seconds()
        late = self._reached_within(bound, "L7") or self._stays()
        if late is None and self._next_one_fails():
            late = self._reached_within(bound, "L7") or self._stays()
        return late if late is None or late.law != "L7" or not self._is_unknown() else None

    def _is_unknown(self) -> bool:
        """Whether it is not known what one may announce that reports no order and can accept none: then none can be proven
        to lead, until an operator ends its sessions (safety.md section 3)."""
        record, broken = self.world.documents.record, {f.who for f in self.plan.lasting if f.kind is Kind.DISK_BROKEN}
        known = record.rank.announcers if record is not None and record.rank is not None else {}
        return any(order.path == ANYTHING for name in broken & known.keys() for order in known[name].orders)

    def _stays(self) -> Violation | None:
        world, began = self.world, self.world.timeline.now
        self._until(began + world.topology.timing.bgp_hold.total_seconds() + PATIENCE_SECONDS)
        if world.checks.violation is None and not self._admitted():
            return Violation("L7", world.timeline.now - began, f"best paths name {world.route_server.next_hops()}")
        return None

    def _next_one_fails(self) -> bool:
        """The member that is reached says that it is unfit, where another one is left that could serve."""
        world, afflicted = self.world, {fault.who for fault in self.plan.lasting}
        reached = self._admitted()
        left = [name for name in world.service.names if name not in afflicted and name not in reached]
        announcing = [
            name for name in world.service.announcers if name in left or world.service.naming is not Naming.SELF
        ]
        if not (reached and left and announcing) or reached[0] in afflicted:
            return False
        self.injector.do(Fault(world.timeline.now, Kind.FATAL, reached[0], FOR_EVER))
        return True

    def _take_back(self) -> None:
        """There is no adminState to be owed."""

    def _admitted(self) -> list[str]:
        return self.world.reached()

    def _not_in_effect(self) -> tuple[str, str] | None:
        """Both instances name the holder, and lengths are back at rest."""
        world, record = self.world, self.world.documents.record
        hops = world.route_server.next_hops()
        if record is None or hops != [{record.target} for _ in world.route_server.all]:
            return "L1", f"best paths name {hops}, and the holder is {record.target if record else None}"
        short = {n: r for n, r in world.route_server.routes.items() if r.length < LENGTH_AT_REST}
        if short:
            return "L4", f"AS paths are not back at rest: {short}"
        moving = {n: a for n, a in record.rank.announcers.items() if not a.at_rest} if record.rank else {}
        if moving:
            return "L4", f"what was announced before may still be there: {moving}"
        return None

    def _fails_over(self) -> Violation | None:
        """L2: the holder dies once all is at rest; best paths name another one within the bound of the kind."""
        world, record = self.world, self.world.documents.record
        if record is None or record.target is None:
            return Violation("L2", 0.0, "there is no holder to fail over from")
        timing = world.topology.timing
        spaced = spacing_after(record.spacing, timing) if record.spacing else timedelta(0)
        bound = (max(bound.total for bound in ranked_bounds(timing)) + spaced).total_seconds()
        world.checks.suspect(record.target, bound + 60.0)
        world.agents[record.target].crash()
        late = self._reached_within(bound, "L2")
        return Violation("L2", late.at, f"{late.text}: {record.target} died") if late else None


def replace_state(state: rules.ServiceState, advertised: rules.Advertised) -> rules.ServiceState:
    return rules.ServiceState(state.turn, state.role, advertised, state.outward)

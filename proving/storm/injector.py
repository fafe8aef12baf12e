"""Does faults to the world, undoes them when their time is over, and heals everything at the end."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from function_app.domain.service.observation import AdminState
from function_app.domain.service.orders import order_from
from function_app.reconcile.store import keys
from proving.storm.balancer import Balancer
from proving.storm.calls import Mishap
from proving.storm.faults import Fault, Kind
from proving.storm.mishaps import Armed
from proving.storm.nva import Hang, Nva

if TYPE_CHECKING:
    from proving.storm.world import World

SCHEMA_TO_COME = 99
OF_ALL = (Kind.UNPROBED_ALL, Kind.FLAP_ALL)
"""Kinds that befall every member, whoever is drawn."""


class Injector:
    """One method a kind of fault, looked up in a table; each says for how long it is a reason to move the service."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._heals = 0
        one = world.balancers[0]
        self._nominal = (one.write_seconds, one.spread_seconds, one.lag)

    def do(self, fault: Fault) -> None:
        """The fault happens now."""
        self._world.say("! %s", fault)
        METHODS[fault.kind](self, fault)
        self._world.dirty = True

    def _later(self, seconds: float, undo: Callable[[], object]) -> None:
        self._world.timeline.after(seconds, self._over, self._heals, undo)

    def _over(self, heals: int, undo: Callable[[], object]) -> None:
        """What healed meanwhile is not undone again: the same may have come anew."""
        if heals == self._heals:
            undo()

    def _names(self, fault: Fault) -> list[str]:
        return [fault.who] if fault.who and fault.kind not in OF_ALL else list(self._world.agents)

    def _some(self, fault: Fault) -> tuple[Balancer, ...]:
        """The load balancers that it befalls: where there are two, either or both of them."""
        balancers, value = self._world.balancers, fault.value
        return balancers if value < 0.5 else (balancers[int(value * 4.0) % len(balancers)],)

    # --- appliances

    def _crash(self, fault: Fault) -> None:
        agent = self._world.agents[fault.who]
        self._world.checks.suspect(fault.who, fault.seconds + 30.0)
        agent.crash()
        lost = {"": 0, "restart": 0, "lost": -1}.get(fault.how, 1 + int(fault.value))
        agent.rekeyed = agent.rekeyed or fault.how == "rekeyed"
        self._later(fault.seconds, lambda: agent.start(lost, boots=fault.how != "restart"))

    def _tear(self, fault: Fault) -> None:
        agent = self._world.agents[fault.who]
        agent.tears = True
        agent.outage_seconds = fault.seconds

    def _hang(self, fault: Fault) -> None:
        agent = self._world.agents[fault.who]
        if agent.up:
            self._world.checks.suspect(fault.who, fault.seconds)
            agent.hang(Hang.ALL if fault.how == "all" else Hang.COMMANDS)
            self._later(fault.seconds, agent.wake)

    def _fatal(self, fault: Fault) -> None:
        self._world.checks.suspect(fault.who, fault.seconds)
        self._say_fatal(fault.who, ("forwarding: off",))
        self._later(fault.seconds, partial(self._say_fatal, fault.who, ()))

    def _say_fatal(self, name: str, fatal: tuple[str, ...]) -> None:
        agent = self._world.agents[name]
        agent.fatal = fatal
        agent.settle()
        self._world.gossip.tell(agent)
        self._world.report(agent, f"fatal: {fatal}" if fatal else "cleared: forwarding")

    def _sessions(self, fault: Fault) -> None:
        for name in self._names(fault):
            self._say_sessions(name, False)
            self._later(fault.seconds, partial(self._say_sessions, name, True))

    def _say_sessions(self, name: str, up: bool) -> None:
        agent = self._world.agents[name]
        agent.sessions = up
        self._world.report(agent, f"session {'up' if up else 'down'}")

    def _disk(self, fault: Fault) -> None:
        agent = self._world.agents[fault.who]
        if fault.kind is Kind.DISK_BROKEN:
            # It refuses every role: a member that was to serve again is passed over for it.
            self._world.checks.suspect(fault.who, fault.seconds)
            agent.disk_broken = True
        else:
            agent.disk_seconds = fault.value
        self._later(fault.seconds, agent.mend_disk)

    def _agent_clock(self, fault: Fault) -> None:
        if self._world.tokens_expire:  # an agent of version 1 may refuse PROMOTE for it, and is passed over then
            self._world.checks.suspect(fault.who, fault.seconds)
        self._set_clock(fault.who, fault.value)
        self._later(fault.seconds, partial(self._set_clock, fault.who, 0.0))

    def _set_clock(self, name: str, off: float) -> None:
        self._world.agents[name].clock = off

    def _reboot_all(self, fault: Fault) -> None:
        for name in self._world.agents:
            self._crash(replace(fault, who=name))

    def _refuses(self, fault: Fault) -> None:
        agent = self._world.agents[fault.who]
        if self._world.service.naming is not None:
            # Without another path it is passed over, or given up.
            self._world.checks.suspect(fault.who, fault.seconds)
        agent.refuses = True
        self._later(fault.seconds, partial(setattr, agent, "refuses", False))

    def _maintenance(self, fault: Fault) -> None:
        agent = self._world.agents[fault.who]
        self._world.checks.suspect(fault.who, fault.seconds + 60.0)
        agent.maintenance = "Reboot"
        self._world.report(agent, "maintenance: Reboot")
        self._later(fault.seconds, partial(self._maintained, agent))

    def _maintained(self, agent: Nva) -> None:
        agent.maintenance = None
        self._world.report(agent, "maintenance is over")

    # --- network

    def _cut(self, fault: Fault) -> None:
        for name in self._names(fault):
            self._world.checks.suspect(name, 0.0 if self._world.checks.quiet else fault.seconds)
            ways = [self._world.cut_in] if fault.how == "in" else [self._world.cut_out]
            if fault.how == "both" or not fault.how:
                ways = [self._world.cut_in, self._world.cut_out]
            for way in ways:
                way.add(name)
                self._later(fault.seconds, partial(way.discard, name))

    def _cut_all(self, fault: Fault) -> None:
        self._cut(replace(fault, who=""))

    def _loss(self, fault: Fault) -> None:
        self._world.mishaps.lose("agent.", fault.value)
        self._later(fault.seconds, partial(self._world.mishaps.lose, "agent.", 0.0))

    def _split(self, fault: Fault) -> None:
        others = [name for name in self._world.agents if name != fault.who]
        pairs = {(fault.who, other) for other in others} if fault.how != "deaf" else set()
        pairs |= {(other, fault.who) for other in others} if fault.how != "mute" else set()
        if not self._world.checks.quiet:
            for name in self._world.agents:
                self._world.checks.suspect(name, fault.seconds)
        gossip = self._world.gossip
        gossip.cut |= pairs
        gossip.relink()
        self._later(fault.seconds, partial(self._join, pairs))

    def _join(self, pairs: set[tuple[str, str]]) -> None:
        self._world.gossip.cut -= pairs
        self._world.gossip.relink()

    # --- load balancer

    def _unprobed(self, fault: Fault) -> None:
        for balancer, name in product(self._some(fault), self._names(fault)):
            self._world.checks.suspect(name, fault.seconds + 30.0)
            self._set_probed(balancer, name, False)
            self._later(fault.seconds, partial(self._set_probed, balancer, name, True))

    def _set_probed(self, balancer: Balancer, name: str, probed: bool) -> None:
        balancer.unprobed = balancer.unprobed - {name} if probed else balancer.unprobed | {name}
        if name in balancer.names:
            balancer.answers_changed(name)

    def _balancer(self, fault: Fault) -> None:
        for name in self._world.agents if fault.kind is Kind.LAG else ():
            self._world.checks.suspect(name, fault.seconds + 30.0)
        for name in self._world.agents if fault.kind is Kind.SILENT else ():
            self._world.checks.taken_out(name, fault.seconds)
        for balancer in self._world.balancers:
            self._change(balancer, fault)
        self._later(fault.seconds, partial(self._balancer_well, fault.kind))

    def _change(self, balancer: Balancer, fault: Fault) -> None:
        match fault.kind:
            case Kind.LAG:
                balancer.lag = max(fault.value, self._nominal[2])
            case Kind.SILENT:
                balancer.silent = True
            case Kind.SPREAD:
                balancer.spread_seconds = (fault.value / 3.0, fault.value)
            case Kind.SLOW_WRITES:
                balancer.write_seconds = (fault.value / 3.0, fault.value)
            case _:
                balancer.busy = True

    def _balancer_well(self, kind: Kind | None = None) -> None:
        for balancer in self._world.balancers:
            self._is_well(balancer, kind)

    def _is_well(self, balancer: Balancer, kind: Kind | None) -> None:
        if kind in (None, Kind.LAG):
            balancer.lag = self._nominal[2]
        if kind in (None, Kind.SILENT):
            balancer.silent = False
        if kind in (None, Kind.SLOW_WRITES):
            balancer.write_seconds = self._nominal[0]
        if kind in (None, Kind.SPREAD):
            balancer.spread_seconds = self._nominal[1]
        if kind in (None, Kind.ARM_BUSY):
            balancer.busy = False

    def _outage(self, fault: Fault) -> None:
        arm, storage = fault.kind is not Kind.STORAGE_DOWN, fault.kind is not Kind.ARM_DOWN
        self._set_outage(arm, storage, True)
        self._later(fault.seconds, partial(self._set_outage, arm, storage, False))

    def _set_outage(self, arm: bool, storage: bool, down: bool) -> None:
        if arm:
            self._world.route_server.down = down
            for balancer in self._world.balancers:
                balancer.down = down
        if storage:
            self._world.documents.down = down

    def _foreign(self, fault: Fault) -> None:
        states = {
            Kind.FOREIGN_NONE: AdminState.NONE,
            Kind.FOREIGN_DOWN: AdminState.DOWN,
            Kind.FOREIGN_UP: AdminState.UP,
        }
        for balancer in self._some(fault) if fault.kind is Kind.FOREIGN_SAME else ():
            balancer.foreign_write(dict(balancer.control))
        if fault.kind is Kind.FOREIGN_SAME:
            return
        self._world.checks.suspect(fault.who, fault.seconds + 30.0)
        if fault.kind is Kind.FOREIGN_DOWN:
            self._world.checks.taken_out(fault.who, fault.seconds)
        for balancer in self._some(fault):
            balancer.foreign_write({fault.who: states[fault.kind]})
            if fault.kind is not Kind.FOREIGN_NONE:
                self._later(fault.seconds, partial(self._foreign_over, balancer, fault.who, states[fault.kind]))

    def _foreign_over(self, balancer: Balancer, name: str, state: AdminState) -> None:
        """Whoever took the member out puts it back, unless somebody else did in between."""
        if name in balancer.foreign and balancer.control[name] is state:
            balancer.foreign_write({name: AdminState.NONE})

    def _foreign_pool(self, fault: Fault) -> None:
        for name in self._world.agents:
            self._world.checks.suspect(name, fault.seconds + 30.0)
            self._world.checks.taken_out(name, fault.seconds)  # health says nothing of whom no pool lists
        for balancer in self._some(fault):
            balancer.foreign_membership({fault.who} if fault.who else set())
            self._later(fault.seconds, partial(self._foreign_pool_over, balancer))

    def _foreign_pool_over(self, balancer: Balancer) -> None:
        balancer.foreign_membership(set(balancer.names))

    def _foreign_out(self, fault: Fault) -> None:
        self._world.checks.suspect(fault.who, fault.seconds + 30.0)
        self._world.checks.taken_out(fault.who, fault.seconds)
        for balancer in self._some(fault):
            balancer.foreign_membership(balancer.members - {fault.who})
            self._later(fault.seconds, partial(self._foreign_in, balancer, fault.who))

    def _foreign_in(self, balancer: Balancer, name: str) -> None:
        balancer.foreign_membership(balancer.members | {name})

    # --- documents

    def _record(self, fault: Fault) -> None:
        documents = self._world.documents
        body = documents.body()
        if fault.kind is Kind.TOUCH:
            documents.touch()
            return
        if fault.kind is Kind.ROLL_BACK:
            versions = documents.versions
            if not versions:
                return
            documents.overwrite(versions[int(fault.value * len(versions)) % len(versions)])
        else:
            documents.overwrite(None if fault.kind is Kind.DELETE or body is None else body[: len(body) // 2])
        self._world.checks.record_replaced(lawless=fault.kind is Kind.ROLL_BACK)

    def _newer(self, fault: Fault) -> None:
        """A newer release writes the record and is rolled back; in between this one may only observe."""
        record = self._world.documents.record
        if record is not None:
            before = record.schema
            self._world.documents.overwrite(msgspec.json.encode(replace(record, schema=SCHEMA_TO_COME)))
            self._later(fault.seconds, partial(self._newer_over, before))

    def _newer_over(self, schema: int) -> None:
        record = self._world.documents.record
        if record is not None and record.schema == SCHEMA_TO_COME:
            self._world.documents.overwrite(msgspec.json.encode(replace(record, schema=schema)))

    def _lease(self, fault: Fault) -> None:
        key = {"asked": keys.turn_asked, "due": keys.turn_due}.get(fault.how or "", keys.turn_lease)
        self._world.documents.forget(key(self._world.topology.name))

    # --- wake-ups and hosts

    def _wake(self, fault: Fault) -> None:
        if fault.kind is Kind.WAKE_FLOOD:
            for _ in range(10):
                self._world.wake(self._world.draw())
            return
        self._world.wake_ups_lost = fault.value
        self._later(fault.seconds, self._wake_well)

    def _wake_well(self) -> None:
        self._world.wake_ups_lost = 0.0

    def _host_of(self, fault: Fault) -> int:
        return int(fault.value * len(self._world.hosts)) % len(self._world.hosts)

    def _kill(self, fault: Fault) -> None:
        self._world.hosts[self._host_of(fault)].kill()

    def _kill_all(self, fault: Fault) -> None:
        self._world.hosts_stay_down = True
        for host in list(self._world.hosts):
            host.kill()
        self._later(fault.seconds, self._hosts_back)

    def _hosts_back(self) -> None:
        self._world.hosts_stay_down = False
        for index in range(len(self._world.hosts)):
            self._world.restart_host(index)

    def _pause(self, fault: Fault) -> None:
        host = self._world.hosts[self._host_of(fault)]
        if host.alive:
            host.pause(fault.seconds)

    def _clock(self, fault: Fault) -> None:
        host = self._world.hosts[int(fault.seconds) % len(self._world.hosts)]
        if fault.kind is Kind.CLOCK:
            host.offset += fault.value
        else:
            host.drift = fault.value

    def _mishap(self, fault: Fault) -> None:
        self._world.mishaps.arm(Armed(fault.where, Mishap(fault.how), fault.seconds))

    # --- Route Server

    def _route_server(self, fault: Fault) -> None:
        server = self._world.route_server
        match fault.kind:
            case Kind.RS_DOWN:
                server.down = True
            case Kind.RS_BUSY:
                server.busy = True
            case _:
                server.lose_instance()
        self._later(fault.seconds, server.well)

    def _peering(self, fault: Fault) -> None:
        server = self._world.route_server
        match fault.kind:
            case Kind.RS_FAIL:
                server.fail(fault.who)
            case Kind.RS_GONE:
                server.lose(fault.who)
            case _:
                server.fill()

    # --- operators

    def _order(self, fault: Fault) -> None:
        """An operator's verb, by whichever host answers; one that is refused or lost is not repeated."""
        self.order(fault.how, fault.who, fault.seconds, lambda done: None)

    def order(self, verb: str, member: str, seconds: float, over: Callable[[bool], None]) -> None:
        world = self._world
        said: dict[str, object] = {"by": "storm"}
        if verb in ("switchover", "failover"):
            said["to"] = member
        if verb in ("drain", "undrain", "rehearse", "forget"):
            said["member"] = member
        if verb in ("pause", "drain"):
            said["minutes"] = seconds / 60.0
        if verb == "drain":
            world.checks.suspect(member, seconds + 60.0)
        host = world.any_host()
        if host is None:
            over(False)
            return
        if verb in ("forget", "retire", "release"):
            # What was Down by us is an operator's business then, as where the record was lost.
            world.checks.record_lost = True
            world.checks.forgotten |= {member} if verb == "forget" else set()
        order = order_from(verb, said)
        host.run(lambda ports: world.obey(ports, order), over)

    def _edit(self, fault: Fault) -> None:
        """The document changes, and is as it was again after a while; that is `apply` or by hand as well."""
        edits = self._world.edits
        if edits is not None:
            by_hand = fault.where == "hand"
            edits.edit(fault.how, fault.who, by_hand)
            self._later(fault.seconds, partial(edits.edit, "", "", by_hand))

    # --- the end

    def heal(self, lasting: tuple[Fault, ...] = ()) -> None:
        """Everything is well again and stays so, but for faults that last; messages on their way still come, however late."""
        world = self._world
        world.say("! everything heals")
        self._heals += 1
        world.mishaps.clear()
        world.wake_ups_lost = 0.0
        self._set_outage(True, True, False)
        self._balancer_well()
        for balancer in world.balancers:
            _put_right(balancer)
        world.route_server.well()
        world.cut_in.clear()
        world.cut_out.clear()
        world.gossip.cut.clear()
        for agent in world.agents.values():
            agent.tears, agent.fatal, agent.sessions, agent.maintenance = False, (), True, None
            agent.refuses = agent.rekeyed = False
            agent.clock = 0.0
            agent.mend_disk()
            agent.wake()
            agent.start()
            agent.settle()
        world.gossip.relink()
        self._hosts_back()
        for host in world.hosts:
            host.offset = host.drift = 0.0
            host.resume()
        record = world.documents.record
        if record is not None and record.schema == SCHEMA_TO_COME:
            self._newer_over(1)
        self._orders_over()
        for fault in lasting:
            self.do(fault)
        for agent in world.agents.values():
            world.report(agent, "all is well")
        world.wake(0.0)

    def _orders_over(self) -> None:
        """Operators take back what they said, until it is taken."""
        world, record = self._world, self._world.documents.record
        # An earlier edit or order may still come, from a host that was paused.
        world.timeline.after(5.0, self._orders_over)
        if world.edits is not None:
            world.edits.put_back()
        if record is None:
            return
        stopped = record.pause is not None or record.leaving is not None
        verb, member = ("resume", "") if stopped else ("undrain", min(record.drains, default=""))
        if stopped or record.drains:
            self.order(verb, member, 0.0, lambda done: None)


def _put_right(balancer: Balancer) -> None:
    """Its probe reaches every member, and what others wrote of the pool is taken back."""
    balancer.unprobed = set()
    balancer.foreign_membership(set(balancer.names))
    foreign, control = balancer.foreign, balancer.control
    strange = {n: AdminState.NONE for n in control if n in foreign and control[n] is not AdminState.NONE}
    if strange:
        balancer.foreign_write(strange)


METHODS: Mapping[Kind, Callable[[Injector, Fault], object]] = {
    Kind.CRASH: Injector._crash,
    Kind.TEAR: Injector._tear,
    Kind.HANG: Injector._hang,
    Kind.FATAL: Injector._fatal,
    Kind.SESSIONS: Injector._sessions,
    Kind.DISK_BROKEN: Injector._disk,
    Kind.DISK_SLOW: Injector._disk,
    Kind.AGENT_CLOCK: Injector._agent_clock,
    Kind.REBOOT_ALL: Injector._reboot_all,
    Kind.REFUSES: Injector._refuses,
    Kind.MAINTENANCE: Injector._maintenance,
    Kind.CUT: Injector._cut,
    Kind.CUT_ALL: Injector._cut_all,
    Kind.LOSS: Injector._loss,
    Kind.SPLIT: Injector._split,
    Kind.UNPROBED: Injector._unprobed,
    Kind.UNPROBED_ALL: Injector._unprobed,
    Kind.LAG: Injector._balancer,
    Kind.SILENT: Injector._balancer,
    Kind.SPREAD: Injector._balancer,
    Kind.SLOW_WRITES: Injector._balancer,
    Kind.ARM_DOWN: Injector._outage,
    Kind.ARM_BUSY: Injector._balancer,
    Kind.OUTAGE: Injector._outage,
    Kind.FOREIGN_NONE: Injector._foreign,
    Kind.FOREIGN_DOWN: Injector._foreign,
    Kind.FOREIGN_UP: Injector._foreign,
    Kind.FOREIGN_SAME: Injector._foreign,
    Kind.FOREIGN_POOL: Injector._foreign_pool,
    Kind.FOREIGN_OUT: Injector._foreign_out,
    Kind.STORAGE_DOWN: Injector._outage,
    Kind.TOUCH: Injector._record,
    Kind.DELETE: Injector._record,
    Kind.TRUNCATE: Injector._record,
    Kind.ROLL_BACK: Injector._record,
    Kind.NEWER: Injector._newer,
    Kind.LEASE: Injector._lease,
    Kind.WAKE_LOST: Injector._wake,
    Kind.WAKE_FLOOD: Injector._wake,
    Kind.KILL: Injector._kill,
    Kind.KILL_ALL: Injector._kill_all,
    Kind.PAUSE: Injector._pause,
    Kind.CLOCK: Injector._clock,
    Kind.DRIFT: Injector._clock,
    Kind.MISHAP: Injector._mishap,
    Kind.RS_DOWN: Injector._route_server,
    Kind.RS_BUSY: Injector._route_server,
    Kind.RS_DEAF: Injector._route_server,
    Kind.RS_FAIL: Injector._peering,
    Kind.RS_GONE: Injector._peering,
    Kind.RS_FOREIGN: Injector._peering,
    Kind.FLAP_ALL: Injector._sessions,
    Kind.ORDER: Injector._order,
    Kind.EDIT: Injector._edit,
}

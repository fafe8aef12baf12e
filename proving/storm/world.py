"""The simulated world of one history: NVAs, their gossip, a load balancer, documents, a Route Server, function hosts.

It knows nothing of why things happen: faults are applied by `injector`, laws are kept by `checks`.
"""

import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from ipaddress import IPv4Network

from msgspec.structs import replace

from function_app.domain.service.orders import Order
from function_app.domain.service.referents import referents_of
from function_app.domain.topology.model import Topology
from function_app.reconcile.operate import operate
from function_app.reconcile.passes.fast import fast_pass
from function_app.reconcile.passes.slow import slow_pass
from function_app.reconcile.ports import Ports
from function_app.reconcile.store import keys
from function_app.reconcile.store.topologies import InForce
from proving.storm.balancer import Balancer
from proving.storm.bugs import Bugs
from proving.storm.checks import Checks
from proving.storm.documents import Documents
from proving.storm.edits import Edits
from proving.storm.gossip import Gossip
from proving.storm.hosts import Host
from proving.storm.loop import Timeline
from proving.storm.mishaps import Mishaps
from proving.storm.nva import Bare, Nva
from proving.storm.places import EPOCH, FRONTEND
from proving.storm.ports import make_ports
from proving.storm.route_server import INSTANCES, RouteServer

REPORT_TRIES_MAX = 12
EXPIRED_SECONDS, AHEAD_SECONDS = 35.0, 5.0
"""A report is refused whose time is this much before the host's, or after it (`adapters.agents.jws`)."""
REDELIVERIES_MAX = 5
REDELIVERY_SECONDS = 30.0
"""Until a wake-up whose pass failed, or whose host died, is seen again."""


def _misread(topology: Topology) -> Topology:
    """With another prefix of its service."""
    service = replace(topology.services[0], prefixes=(IPv4Network("10.99.0.0/16"),))
    return replace(topology, services=(service,))


class World:
    """See the module. `dirty` says that something a law is about may have changed since the laws were checked."""

    def __init__(self, seed: int, topology: Topology, bugs: Bugs) -> None:
        self._random = random.Random(seed)  # noqa: S311  # histories must be repeatable, not secret
        self.draw = self._random.random
        self.bugs = bugs
        self.timeline = Timeline()
        self.topology = topology
        self.service = topology.services[0]
        self.named = referents_of(topology, self.service)
        self.in_force = InForce(_misread(topology) if bugs.misreads_prefixes else topology, "g1")
        self.epoch = EPOCH
        self.frontend = FRONTEND
        self.session_views = {up: dict.fromkeys(INSTANCES, up) for up in (True, False)}
        self.dirty = True
        self.leg_seconds = (0.002, 0.02)
        self.tokens_expire = True
        self.wake_ups_lost = 0.0
        """The chance that a wake-up is lost."""
        self.mishaps = Mishaps(self._random)
        self.checks = Checks(self)
        self.bare = topology.appliances
        """Members without an agent."""
        names = sorted(topology.commanded | self.bare)
        self.agents = {name: Bare(self, name) if name in self.bare else Nva(self, name) for name in names}
        timing = topology.timing
        self.gossip = Gossip(self, timing.gossip_period.total_seconds(), timing.gossip_fall)
        pools = [pool.backend_pool for pool in spec.pools] if (spec := self.service.load_balancer) else [""]
        self.balancers = tuple(Balancer(self, pool) for pool in pools)
        self.documents = Documents(self, keys.record(topology.name, self.service.name))
        self.route_server = RouteServer(self, topology)
        self.cut_in: set[str] = set()
        """Members whose agent the app's packets do not reach."""
        self.cut_out: set[str] = set()
        """Members whose agent's packets do not reach the app."""
        self.hosts: list[Host] = []
        self.hosts_stay_down = False
        self.story: list[str] | None = None
        self.edits: Edits | None = None
        """Where the document changes."""

    def let_return(self) -> None:
        """The document says `preempt: ready`, soon after the last move."""
        failover = replace(self.service.failover, preempt="ready", return_after=timedelta(seconds=20))
        self.service = replace(self.service, failover=failover)
        self.topology = replace(self.topology, services=(self.service,))
        self.in_force = InForce(self.topology, "g2")

    def now(self) -> datetime:
        """The true time."""
        return self.epoch + timedelta(seconds=self.timeline.now)

    def leg(self) -> float:
        """How long one message takes, in seconds."""
        low, high = self.leg_seconds
        return low + (high - low) * self.draw()

    def say(self, text: str, *values: object) -> None:
        """A line of the story, where one is being told."""
        if self.story is not None:
            self.story.append(f"{self.timeline.now:9.3f}  {text % values}")

    # --- what parts of the world tell it

    def changed(self, agent: Nva) -> None:
        self.dirty = True
        for balancer in self.balancers if agent.name in self.service.names else ():
            balancer.answers_changed(agent.name)

    def lets_pass(self, name: str) -> bool:
        """Whether adminState keeps new flows from the member at no load balancer that lists it, or not at every one."""
        return any(n == name for balancer in self.balancers for n in balancer.passed)

    def admits(self, name: str) -> bool:
        """Whether any load balancer gives new flows to the member."""
        return any(balancer.admits(name) for balancer in self.balancers)

    @property
    def meddled(self) -> set[str]:
        """Members whose adminState may be somebody else's in the data plane of any load balancer (`Balancer.meddled`)."""
        return {name for balancer in self.balancers for name in balancer.meddled}

    def report(self, agent: Nva, reason: str) -> None:
        """The agent tells the app, again and again until a pass has answered, for a minute at most."""
        if agent.name not in self.bare:
            self.timeline.after(self.leg(), self._report, agent, agent.boot, reason, 0)

    def _report(self, agent: Nva, boot: int, reason: str, tries: int) -> None:
        if agent.boot != boot or not agent.up or tries >= REPORT_TRIES_MAX:
            return

        def over(done: bool) -> None:
            if not done:
                self.timeline.after(min(0.2 * 2.0**tries, 5.0), self._report, agent, boot, reason, tries + 1)

        host = self.any_host() if agent.talks and agent.name not in self.cut_out else None
        if host is None:
            over(False)
        elif not -EXPIRED_SECONDS < agent.clock - host.ahead < AHEAD_SECONDS:
            over(True)  # refused as not fresh: the agent gives that report up
        else:
            trigger = f"report of {agent.name}: {reason}"
            host.run(lambda ports: self.over_document(ports, lambda it: fast_pass(ports, it, trigger)), over)

    def wake(self, after: float) -> None:
        """A message in the queue, visible after a while; seen again until a pass has dealt with it."""
        if not self.draw() < self.wake_ups_lost:
            self.timeline.after(after, self._woken, 0)

    def _woken(self, tries: int) -> None:
        def over(done: bool) -> None:
            if not done and tries < REDELIVERIES_MAX:
                self.timeline.after(REDELIVERY_SECONDS, self._woken, tries + 1)

        host = self.any_host()
        if host is None:
            over(False)
        else:
            host.run(lambda ports: self.over_document(ports, lambda it: slow_pass(ports, it, "wake-up")), over)

    async def over_document(self, ports: Ports, work: Callable[[InForce], Awaitable[object]]) -> None:
        """A pass, or an order, over the document that is in force for it."""
        await work(self.in_force if self.edits is None else await self.edits.in_force(ports))

    async def obey(self, ports: Ports, order: Order) -> None:
        """An order for the service, if the document in force has it."""

        async def work(in_force: InForce) -> None:
            for service in in_force.topology.services:
                if service.key == self.service.key:
                    await operate(ports, in_force, service, order)

        await self.over_document(ports, work)

    def sweep(self) -> None:
        """The timer, for ever."""
        self.wake(0.0)
        self.timeline.after(self.topology.timing.sweep.total_seconds(), self.sweep)

    # --- hosts

    def any_host(self) -> Host | None:
        """One that takes work; a paused one takes it too, and does it later."""
        alive = [host for host in self.hosts if host.alive]
        return alive[int(self.draw() * len(alive))] if alive else None

    def add_host(self) -> None:
        self.hosts.append(self._host(f"host-{len(self.hosts)}"))

    def _host(self, name: str) -> Host:
        host = Host(self, name)
        host.ports = make_ports(host)
        return host

    def host_died(self, host: Host) -> None:
        """The platform starts another one in its place."""
        if not self.hosts_stay_down:
            self.timeline.after(1.0 + 20.0 * self.draw(), self.restart_host, self.hosts.index(host))

    def restart_host(self, index: int) -> None:
        old = self.hosts[index]
        if not old.alive:
            self.hosts[index] = fresh = self._host(old.name)
            fresh.offset, fresh.drift = old.offset, old.drift

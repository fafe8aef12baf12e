"""Two services on the same machines, each with a pool, a role and a record of its own: what they share is the machines."""

import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import msgspec

from function_app.domain.base.errors import Transient
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.service.observation import AdminState, AgentReading, AgentStatus, BalancerReading
from function_app.domain.service.orders import Order
from function_app.domain.service.record import Phase, Record
from function_app.domain.topology.document import from_plain
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import RouteServer, Service, Speaker, Topology
from function_app.reconcile.operate import operate
from function_app.reconcile.passes.fast import fast_pass
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.passes.slow import slow_pass
from function_app.reconcile.ports import AgentCommand, CommandAnswer, PoolView, Ports
from function_app.reconcile.store import keys
from function_app.reconcile.store.topologies import InForce
from tests.builders import SUB, document
from tests.fakes import FakeAdminStates, FakeClock, FakeDocuments, FakeWorld, make_ports

LOOKS_MAX = 40


def two_services(members: int, same_holder: bool) -> Topology:
    """`fw` and `vpn` on the same members, behind a load balancer each; the best member of both is the same one, or not."""
    doc = document(members)
    first = doc["services"][0]
    pool = first["nextHop"]["loadBalancer"] | {"id": f"{SUB}/loadBalancers/other"}
    order = first["members"] if same_holder else [m | {"priority": 300 - m["priority"]} for m in first["members"]]
    second = first | {"name": "vpn", "prefixes": ["10.9.0.0/16"], "nextHop": {"loadBalancer": pool}, "members": order}
    return from_plain(doc | {"services": [first, second]}, Place())


class Machines:
    """Agents, LoadBalancers, AdminStates and LearnedRoutes over a `FakeWorld` for each service; machines fail in all of them."""

    def __init__(self, topology: Topology) -> None:
        self.worlds = {service.name: FakeWorld(topology) for service in topology.services}
        self._states = {name: FakeAdminStates(world) for name, world in self.worlds.items()}

    def kill(self, name: str) -> None:
        for world in self.worlds.values():
            world.kill(name)

    def revive(self, name: str) -> None:
        for world in self.worlds.values():
            world.revive(name)

    def warm(self) -> None:
        pass

    async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading:
        seen = {name: world._status(speaker.name) for name, world in self.worlds.items()}
        roles = {name: each.services[name] for name, each in seen.items() if isinstance(each, AgentStatus)}
        one = next(iter(seen.values()))
        return replace(one, services=roles) if isinstance(one, AgentStatus) else one

    async def command(
        self, topology: str, speaker: Speaker, service: str, command: AgentCommand, timeout: timedelta
    ) -> CommandAnswer:
        answer = await self.worlds[service].command(topology, speaker, service, command, timeout)
        return replace(answer, reading=await self.status(topology, speaker, timeout))

    async def read(self, service: Service, speakers: Mapping[str, Speaker], timeout: timedelta) -> BalancerReading:
        return await self.worlds[service.name].read(service, speakers, timeout)

    async def ask(self, server: RouteServer, peering: str) -> str:
        return peering

    async def fetch(self, token: str) -> tuple[LearnedRoute, ...] | None:
        learned = [await world.fetch(token) or () for world in self.worlds.values()]
        return tuple(route for each in learned for route in each)

    async def look(self, service: Service, speaker: Speaker) -> PoolView:
        return await self._states[service.name].look(service, speaker)

    async def set(self, service: Service, speaker: Speaker, state: AdminState, etag: str) -> PoolView:
        return await self._states[service.name].set(service, speaker, state, etag)

    async def bump(self, service: Service, etag: str) -> None:
        await self._states[service.name].bump(service, etag)

    async def health_reason(self, service: Service, speaker: Speaker) -> str | None:
        return await self._states[service.name].health_reason(service, speaker)


class Several:
    """Two services, their machines, and the passes over them."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.topology = two_services(members=self.draw.choice([2, 3]), same_holder=self.draw.random() < 0.5)
        self.machines = Machines(self.topology)
        self.documents, self.clock = FakeDocuments(), FakeClock()
        surroundings = make_ports(FakeWorld(self.topology), self.documents, self.clock)
        its = self.machines
        self.ports: Ports = replace(surroundings, agents=its, load_balancers=its, admin_states=its, learned_routes=its)

    @property
    def in_force(self) -> InForce:
        return InForce(self.topology, "g1")

    def record(self, service: str) -> Record | None:
        stored = self.documents.stored.get(keys.record("hub", service))
        return msgspec.json.decode(stored.body, type=Record) if stored else None

    def at_rest(self, service: str) -> Record:
        record = self.record(service)
        assert record is not None
        assert record.phase is Phase.STABLE
        return record

    def standing(self, service: str) -> tuple[object, ...]:
        """Everything of a service that a fault of another one must leave as it is; what was observed of probes is not."""
        world, record = (
            self.machines.worlds[service],
            msgspec.structs.replace(self.at_rest(service), probe_down=frozenset()),
        )
        roles = {n: (a.epoch, a.role, len(a.obeyed)) for n, a in world.agents.items()}
        return record, roles, dict(world.admin), len(world.balancer_writes)

    async def pass_over(self) -> None:
        """A slow or a fast one; storage may fail it."""
        self.clock.at += timedelta(seconds=1)
        with suppress(Transient):
            await self.draw.choice([slow_pass, fast_pass])(self.ports, self.in_force, "test")

    async def order(self, service: str, order: Order) -> None:
        self.clock.at += timedelta(seconds=1)
        found = next(s for s in self.topology.services if s.name == service)
        with suppress(Transient):
            await operate(self.ports, self.in_force, found, order)

    async def settle(self) -> None:
        """Slow passes until one has nothing left to do."""
        for _ in range(LOOKS_MAX):
            self.clock.at += timedelta(seconds=1)
            outcome = await slow_pass(self.ports, self.in_force, "test")
            if outcome.ending is Ending.CONVERGED:
                return
        raise AssertionError(f"not settled: {outcome}")

    def hold_laws(self) -> None:
        """S1, S2 and S3 of each service; where there is no record everyone may serve."""
        for service, world in self.machines.worlds.items():
            assert world.two_serving == 0, f"S1 of {service}"
            record = self.record(service)
            if record is None:
                continue
            if record.phase in (Phase.STABLE, Phase.GRANTED):
                assert len(record.may_serve - record.fenced.keys()) <= 1, f"S2 of {service}"
            assert set(world.eligible()) <= record.may_serve, f"S3 of {service}"

"""A topology in a world in memory, and the passes over it."""

import json
from datetime import timedelta
from typing import Any

import msgspec

from function_app.domain.service.observation import Observed
from function_app.domain.service.record import Record
from function_app.domain.topology.model import Topology
from function_app.reconcile.observe import Sight
from function_app.reconcile.passes.fast import fast_pass
from function_app.reconcile.passes.outcome import Ending, Outcome, Pace
from function_app.reconcile.passes.service import ServicePass
from function_app.reconcile.passes.slow import slow_pass
from function_app.reconcile.ports import Ports
from function_app.reconcile.store.topologies import InForce
from tests.builders import topology
from tests.fakes import FakeClock, FakeDocuments, FakeWorld, make_ports


class Scene:
    """A topology in a world, and the passes over it."""

    def __init__(
        self,
        members: int = 2,
        desired: Topology | None = None,
        world: FakeWorld | None = None,
        documents: FakeDocuments | None = None,
        **changes: Any,
    ) -> None:
        self.topology = desired or (world.topology if world else topology(members, **changes))
        self.world = world or FakeWorld(self.topology)
        self.documents = documents or FakeDocuments()
        self.clock = FakeClock()
        self.ports: Ports = make_ports(self.world, self.documents, self.clock)

    async def slow(self) -> Outcome:
        self.clock.at += timedelta(seconds=1)
        return await slow_pass(self.ports, InForce(self.topology, "g1"), "test")

    async def fast(self) -> Outcome:
        self.clock.at += timedelta(seconds=1)
        return await fast_pass(self.ports, InForce(self.topology, "g1"), "test")

    async def decide_on(self, seen: Observed) -> Outcome:
        """One pass that has seen this, whenever that was."""

        async def watch(again: bool) -> Sight:
            return Sight(seen)

        service_pass = ServicePass(
            self.ports, self.topology, self.topology.services[0], Pace.FAST, "test", self.clock.at
        )
        return await service_pass.run(watch)

    async def settle(self) -> Outcome:
        """Slow passes until one has nothing left to do."""
        for _ in range(20):
            outcome = await self.slow()
            if outcome.ending is Ending.CONVERGED:
                return outcome
        raise AssertionError(f"not settled: {outcome}")

    async def fail_over(self) -> None:
        """Settles; then the holder's data path dies, and a fast pass moves the service."""
        await self.settle()
        self.world.agents["nva-a"].fatal = ("data-path: no echo",)
        await self.fast()
        assert self.serving() == ["nva-b"]

    @property
    def record(self) -> Record:
        return msgspec.json.decode(self.documents.stored["records/hub/fw.json"].body, type=Record)

    def serving(self) -> list[str]:
        return self.world.eligible()


def as_json(document: object) -> Any:
    """What a program reads of a document."""
    return json.loads(msgspec.json.encode(document))

"""Cases 1 and 2: from a fatal report at the host until the standby's agent has taken PROMOTE."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from datetime import timedelta

from msgspec.structs import replace

from function_app import settings, wiring
from function_app.domain.service.observation import AgentStatus
from function_app.domain.service.steps import SendFence, SendPromote
from function_app.domain.topology.model import Topology
from function_app.reconcile.ports import Ports
from function_app.reconcile.store.records import Records
from lab.stack import NVAS, TOPOLOGY
from proving.bench.samples import Case
from proving.bench.stage import BenchStack
from proving.bench.still import closed
from tools.processes import ToolError

SECONDS = timedelta(seconds=5)
BYSTANDER, FLOOR = "nva-c", "floor"


async def reaction(storage: str, samples: int, bystander: bool = False) -> AsyncIterator[Case]:
    """`bystander`: beside a third NVA whose command port accepts and never answers. Raises ToolError."""
    case = Case(f"reaction F1, {storage}" + (", a bystander never answers" if bystander else ""))
    async with BenchStack.at_rest(storage, (*NVAS, BYSTANDER) if bystander else NVAS) as stack:
        if bystander:
            await stack.mute(BYSTANDER)
        product = wiring.build(settings.from_environment({**os.environ, **stack.app_environment()}))
        floor = Floor(product.ports, (await product.topologies.in_force(TOPOLOGY)).topology)
        try:
            for number in range(samples + 1):
                await _move(stack, floor, case, NVAS[::-1] if number % 2 else NVAS)
        finally:
            await closed(product.ports)
    del case.ours[0], case.floor[0]  # which warmed up
    yield case


async def _move(stack: BenchStack, floor: "Floor", case: Case, names: tuple[str, ...]) -> None:
    """From one to another; then, with everything at rest, the floor back."""
    holder, standby = names
    report = await stack.break_path(holder)
    await asyncio.sleep(random.random() * 0.05)  # noqa: S311 - only keeps samples from being in step
    began = time.time()
    code, answer = await stack.ask_app("POST", "/reports", report)
    if code != 200:
        raise ToolError(f"the report: {code} {answer}")
    case.ours.append(await stack.promoted(standby, began))
    await stack.repair(holder, report=True)
    await stack.serves(standby)
    case.floor.append(await stack.promoted(holder, await floor.move(standby, holder)))


class Floor:
    """What no failover can do without, with the product's own clients: load record, CAS, FENCE, CAS, PROMOTE.

    It moves a service of its own, which the app does not know, between the same agents.
    """

    def __init__(self, ports: Ports, topology: Topology) -> None:
        self._ports, self._topology = ports, topology
        self._service = replace(topology.services[0], name=FLOOR)
        self._records = Records(ports.documents)
        self._epoch = 0

    async def move(self, holder: str, target: str) -> float:
        """When it began (Unix time)."""
        topology, agents = self._topology, self._ports.agents
        before, after = topology.speaker(holder), topology.speaker(target)
        await agents.status(topology.name, before, SECONDS)  # as warm as the app's, which has just looked at both
        boot = await agents.status(topology.name, after, SECONDS)
        assert isinstance(boot, AgentStatus)
        self._epoch += 1
        began = time.time()
        held = await self._records.load(topology, self._service, self._ports.clock.now())
        record = replace(held.record, epoch=self._epoch, target=target)
        held = await self._records.save(topology, record, held.etag)
        fenced = await agents.command(topology.name, before, FLOOR, SendFence(holder, self._epoch), SECONDS)
        await self._records.save(topology, replace(record, may_serve=frozenset({target})), held.etag)
        promote = SendPromote(target, self._epoch, boot.boot_id)
        promoted = await agents.command(topology.name, after, FLOOR, promote, SECONDS)
        if refused := fenced.refused or promoted.refused:
            raise ToolError(f"the floor: {refused}")
        return began

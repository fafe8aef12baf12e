"""The stack as chaos sees it: one look at everything without asking the app, and the kill -9 of its host."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lab.stack import NVAS, PROBE, SERVICE, TOPOLOGY, Stack
from proving.chaos.steps import ORDER, Fault, Role, Sight, Step, not_converged, reached
from proving.chaos.watch import Place, Watch
from simulator.seeds import HubSeed
from tools.processes import Program, ToolError

WITHIN = 60.0
"""Seconds in which everything must have come to rest after a kill, and any step before it must be seen."""
API = "2024-05-01"
LOOK = 0.004
"""Seconds between two looks at files: the steps of a failover by acknowledgement are milliseconds apart."""
ASK = 0.02
"""Seconds between two questions to the simulator."""
PROBE_SCALE = 2.0
"""A probe of 2.5 s x 2 where agents stall and restart: the stack's own, twenty times as fast as Azure's, would see it."""
SWEEP = "*/2 * * * * *"
"""The app's own looks, every other second: what no report wakes is not waited for."""


class ChaosStack(Stack):
    """The stack with a topology whose failovers are not spaced: they come one after the other here."""

    service_name = SERVICE
    """What the operator's document calls the service; agents and the record know it as `SERVICE` all the time."""
    left: str | None = None
    """A member that the document does not have."""

    def probes(self) -> dict[str, Place]:
        """Where a watch probes each NVA."""
        return {name: (self.nva_address(name), PROBE, f"/probe/{SERVICE}") for name in NVAS}

    def topology(self) -> dict[str, Any]:
        document = super().topology()
        timing = {**document["timing"], "spacingStep": "PT0.1S", "spacingMax": "PT0.2S"}
        (service,) = document["services"]
        members = [member for member in service["members"] if member["speaker"] != self.left]
        named = {"name": self.service_name, "members": members}
        if self.service_name != SERVICE:
            named["formerly"] = SERVICE
        return {**document, "timing": timing, "services": [{**service, **named}]}


@dataclass
class Stage:
    """The stack, the watch over its probes, and the host that is killed."""

    stack: ChaosStack
    watch: Watch
    host: Program
    _ignored: int = 0
    """Requests to the simulator up to this number belong to an earlier fault."""
    _read_at: float = 0.0
    _down: frozenset[str] = frozenset()
    _up: frozenset[str] = frozenset()
    _writes: int = 0

    @classmethod
    async def over(cls, stack: ChaosStack, watch: Watch) -> Self:
        """Once the stack is up."""
        await stack.up()
        return cls(stack, watch, next(p for p in stack.programs.started if p.name.startswith("host-")))

    @property
    def record(self) -> Path:
        return self.stack.storage / "records" / TOPOLOGY / f"{SERVICE}.json"

    async def sight(self) -> Sight:
        """Everything that can be seen without a request to the app."""
        if time.monotonic() - self._read_at > ASK:
            (self._down, self._up), self._writes = await self._ask_backends(), await self._ask_writes()
            self._read_at = time.monotonic()
        answering = frozenset(self.watch.answering)
        return Sight(_read(self.record), self._roles(), self._down, answering, self._writes, self._up)

    def _roles(self) -> dict[str, Role]:
        return {n: role for n in NVAS if (role := _durable(self.stack.directory / n / "state" / "state.json"))}

    async def _ask_backends(self) -> tuple[frozenset[str], frozenset[str]]:
        """Which members are Down in the data plane, and which the load balancer's probe has up."""
        plane = await self.stack.tell_simulator("GET", "/simulator/dataplane/loadBalancers/lb-nva")
        names = {self.stack.nva_address(name): name for name in NVAS}
        backends = [backend for pool in plane["pools"] for backend in pool["backends"]]
        down = frozenset(names[b["ip"]] for b in backends if b["admin_state"] == "Down")
        return down, frozenset(names[b["ip"]] for b in backends if b["probed_up"])

    async def _ask_writes(self) -> int:
        answer = await self.stack.tell_simulator("GET", f"/simulator/requests?since={self._ignored}")
        return sum(_writes_pool(one) for one in answer["requests"])

    async def forget_requests(self) -> None:
        """From here on, `pool_writes` counts anew."""
        answer = await self.stack.tell_simulator("GET", "/simulator/requests")
        self._ignored = max((one["number"] for one in answer["requests"]), default=0)
        self._read_at = 0.0

    async def until(self, what: str, holds: Callable[[Sight], bool]) -> Sight:
        """The first look for which `holds`. Raises ToolError after WITHIN."""
        end = time.monotonic() + WITHIN
        sight = await self.sight()
        while not holds(sight):
            if time.monotonic() > end:
                raise ToolError(f"not within {WITHIN:g} s: {what}; the last look: {sight}")
            await asyncio.sleep(LOOK)
            sight = await self.sight()
        return sight

    async def at_rest(self) -> Sight:
        """One serving member, a record at rest. Raises ToolError."""
        return await self.until("everything at rest", lambda sight: not not_converged(sight, set(NVAS)))

    async def taken_over(self, fault: Fault) -> Sight:
        """The other one serves, verified, whether or not the old holder is there. Raises ToolError."""

        def holds(sight: Sight) -> bool:
            moved = sight.epoch > fault.epoch and sight.target != fault.holder
            return moved and sight.phase == "stable" and sight.answering == {sight.target}

        return await self.until(f"another one takes over from {fault.holder}", holds)

    async def kill_nva(self, name: str) -> None:
        """kill -9 of everything on it; in a thread, or the probes would not be watched meanwhile."""
        await asyncio.to_thread(self.stack.kill_nva, name)

    def agent(self, name: str) -> Program:
        """The program that runs there now; it leads a process group of its own."""
        return next(one for one in reversed(self.stack.programs.started) if one.name == f"{name}-agent")

    async def apply(self, service_name: str = SERVICE, left: str | None = None) -> None:
        """The operator's document, with another name of the service, or without a member; until it is in force."""
        self.stack.service_name, self.stack.left = service_name, left
        await asyncio.to_thread(self.stack.apply)
        wanted = (service_name, sorted({*NVAS} - {left}))
        end = time.monotonic() + WITHIN
        while (found := _named(await self.stack.status())) != wanted:
            if time.monotonic() > end:
                raise ToolError(f"not within {WITHIN:g} s: {wanted} is in force; the status shows {found}")
            await asyncio.sleep(ASK)

    async def order(self, verb: str, **said: str) -> None:
        """An order about the service. Raises ToolError where it is refused."""
        path = f"/topologies/{TOPOLOGY}/services/{self.stack.service_name}/{verb}"
        code, answer = await self.stack.ask_app("POST", path, {"by": "chaos", **said})
        if code >= 300:
            raise ToolError(f"{verb} {said}: {code} {answer}")

    async def lift_as_another_writer(self) -> None:
        """Puts the whole pool as it is, without any `adminState`, as infrastructure code does that knows nothing of it."""
        url = f"{self.stack.simulator_url}{HubSeed(backends=()).load_balancer_id}/backendAddressPools/nvas?api-version={API}"
        session = self.stack.session
        assert session is not None
        token = f"{self.stack.simulator_url}/msi/token?api-version=2019-08-01&resource=https://management.azure.com/"
        async with session.get(token, headers={"X-IDENTITY-HEADER": "lab"}) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
        async with session.get(url, headers=headers) as answer:
            pool = await answer.json()
        for address in pool["properties"]["loadBalancerBackendAddresses"]:
            address["properties"].pop("adminState", None)
        async with session.put(url, headers=headers, json=pool) as answer:
            if answer.status >= 300:
                raise ToolError(f"another writer's PUT of the pool: {answer.status} {await answer.text()}")

    async def kill_host(self) -> None:
        """kill -9 of the host's process group, and of whatever else it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.host.process.pid, signal.SIGKILL)
        await asyncio.to_thread(self.stack.programs.kill, "host")

    async def start_host(self) -> None:
        """As the platform would: at once, at the same address."""
        self.host = await self.stack.start_host(port=int(self.stack.host_url.rsplit(":", 1)[1]))

    async def kill_at(self, step: Step, fault: Fault) -> Step:
        """Kills the host as soon as `step` (or one beyond it) is reached; gives the one that was."""

        def arrived(sight: Sight) -> bool:
            there = reached(sight, fault)
            return there is not None and ORDER.index(there) >= ORDER.index(step)

        sight = await self.until(f"'{step}' is reached", arrived)
        await self.kill_host()
        there = reached(sight, fault)
        assert there is not None
        return there


def keep_logs(logs: Path, folder: Path) -> str:
    """Copies them there before the stack is removed; gives the sentence that says so."""
    folder.mkdir(parents=True, exist_ok=True)
    for log in logs.glob("*.log"):
        (folder / log.name).write_bytes(log.read_bytes())
    return f"the logs are in {folder}"


def _named(status: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What a status calls the one service, and its members."""
    (service,) = status["services"]
    return service["service"], sorted(member["name"] for member in service["members"])


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return document


def _durable(path: Path) -> Role | None:
    state = (_read(path) or {}).get("services", {}).get(SERVICE)
    return Role(int(state["epoch"]), str(state["role"])) if state else None


def _writes_pool(request: dict[str, Any]) -> bool:
    path = str(request["path"]).lower()
    return request["method"] == "PUT" and "/backendaddresspools/" in path and request["status"] < 300

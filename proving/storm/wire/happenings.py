"""Does faults to the world on the wire, each for its time, and heals everything at the end."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from function_app.domain.base.errors import Superseded
from function_app.reconcile.store import keys
from function_app.reconcile.use_cases import UseCases
from proving.storm.faults import Fault, Kind
from proving.storm.wire.place import SERVICE, TOPOLOGY
from proving.storm.wire.ways import Mode
from proving.storm.wire.world import POOL
from simulator.faults import Faults
from simulator.resources import parse_path

if TYPE_CHECKING:
    from proving.storm.wire.world import World

ARM_FAULTS = ("refuse", "hang", "lose_reply")
WAYS = {"both": Mode.MUTE, "in": Mode.REFUSED, "out": Mode.LOSES_REPLY}


class Happenings:
    """One method a kind of fault; each returns when the fault is over."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._taken_down: set[str] = set()
        """Members that an operator has taken out of the pool."""
        self._table: dict[Kind, Callable[[Fault], Awaitable[None]]] = {
            Kind.ARM_DOWN: self._arm,
            Kind.ARM_BUSY: self._arm,
            Kind.SPREAD: self._arm,
            Kind.SLOW_WRITES: self._arm,
            Kind.LAG: self._arm,
            Kind.SILENT: self._arm,
            Kind.FOREIGN_NONE: self._foreign,
            Kind.FOREIGN_DOWN: self._foreign,
            Kind.FOREIGN_SAME: self._foreign,
            Kind.CRASH: self._crash,
            Kind.REBOOT_ALL: self._crash,
            Kind.FATAL: self._fatal,
            Kind.DISK_BROKEN: self._disk,
            Kind.CUT: self._cut,
            Kind.CUT_ALL: self._cut,
            Kind.SPLIT: self._split,
            Kind.KILL: self._kill,
            Kind.KILL_ALL: self._kill_all,
            Kind.WAKE_FLOOD: self._flood,
            Kind.TOUCH: self._touch,
            Kind.ORDER: self._order,
        }

    async def do(self, fault: Fault) -> None:
        """Waits for its time, does it, and undoes it when it is over."""
        await asyncio.sleep(max(fault.at - self._world.checks.now(), 0.0))
        self._world.say("! %s", fault)
        await self._table[fault.kind](fault)

    async def heal(self) -> None:
        """Nothing is wrong any more; what an operator took down is taken back by `take_back`."""
        world = self._world
        world.say("everything heals")
        await world.tell_azure(**asdict(Faults(noop_keeps_etag=world.plan.keeps_etag)))
        for nva in world.nvas.values():
            nva.cut(Mode.OPEN)
            nva.isolate(False)
            nva.disk_broken = False
            self._forward(nva.name, True)
        world.revive_hosts()
        await asyncio.gather(*(nva.start() for nva in world.nvas.values()))

    def take_back(self) -> None:
        """The operator lifts whom he took down, but leaves alone what the app has to lift itself."""
        record = self._world.checks.record
        owed = record.owed if record is not None else {}
        back = {name for name in self._taken_down if name not in owed}
        self._taken_down -= back
        for name in sorted(back):
            if self._world.checks.control[name] == "Down":
                self._write({name: "None"})

    # --- Azure

    async def _arm(self, fault: Fault) -> None:
        during: dict[str, object]
        after: dict[str, object]
        match fault.kind:
            case Kind.ARM_DOWN:
                during, after = {"arm": fault.how}, {"arm": "ok"}
            case Kind.ARM_BUSY:
                during, after = {"arm": "throttle", "arm_retry_after": 1}, {"arm": "ok"}
            case Kind.LAG:
                during, after = {"health_stale": True}, {"health_stale": False}
            case Kind.SILENT:
                during, after = {"health_empty": True}, {"health_empty": False}
            case _:
                name = "propagation" if fault.kind is Kind.SPREAD else "pool_write_seconds"
                during, after = {name: fault.value}, {name: asdict(Faults())[name]}
        await self._world.tell_azure(**during)
        await asyncio.sleep(fault.seconds)
        await self._world.tell_azure(**after)

    async def _foreign(self, fault: Fault) -> None:
        states = {Kind.FOREIGN_NONE: "None", Kind.FOREIGN_DOWN: "Down"}
        if fault.kind is Kind.FOREIGN_SAME and fault.how == "tag":
            self._tag(f"{fault.at}")
        else:
            self._write({fault.who: states[fault.kind]} if fault.kind in states else {})
        if fault.kind is Kind.FOREIGN_DOWN:
            self._taken_down.add(fault.who)
            await asyncio.sleep(fault.seconds)
            self.take_back()

    def _write(self, states: dict[str, str]) -> None:
        """Somebody reads the pool, changes it and writes it, without a condition."""
        world = self._world
        pool = next(p for p in world.balancer["properties"]["backendAddressPools"] if p["name"] == POOL)
        body = {"properties": deepcopy(pool["properties"])}
        for address in body["properties"]["loadBalancerBackendAddresses"]:
            name = world.place.name_of(address["properties"]["ipAddress"])
            if name in states:
                address["properties"]["adminState"] = states[name]
        path = parse_path(f"{world.place.seed.load_balancer_id}/backendAddressPools/{POOL}")
        assert path is not None
        world.azure.world.load_balancers.put_pool(path, body, None)
        world.checks.foreign_write(str(world.balancer["etag"]))

    def _tag(self, text: str) -> None:
        """Somebody changes a tag: another etag, and nothing else."""
        world = self._world
        path = parse_path(world.place.seed.load_balancer_id)
        assert path is not None
        world.azure.world.load_balancers.patch(path, {"tags": {"cost-centre": text}}, None)
        world.checks.foreign_write(str(world.balancer["etag"]))

    # --- appliances and the network

    async def _crash(self, fault: Fault) -> None:
        every = self._world.nvas.values()
        found = [self._world.nvas[fault.who]] if fault.kind is Kind.CRASH else list(every)
        await asyncio.gather(*(nva.end() for nva in found))
        await asyncio.sleep(fault.seconds)
        await asyncio.gather(*(nva.start() for nva in found))

    async def _fatal(self, fault: Fault) -> None:
        self._forward(fault.who, False)
        await asyncio.sleep(fault.seconds)
        self._forward(fault.who, True)

    async def _disk(self, fault: Fault) -> None:
        nva = self._world.nvas[fault.who]
        nva.disk_broken = True
        await asyncio.sleep(fault.seconds)
        nva.disk_broken = False

    def _forward(self, name: str, forwards: bool) -> None:
        self._world.place.forwarding(name).write_text("1\n" if forwards else "0\n")

    async def _cut(self, fault: Fault) -> None:
        found = [self._world.nvas[fault.who]] if fault.kind is Kind.CUT else list(self._world.nvas.values())
        for nva in found:
            nva.cut(WAYS[fault.how])
        await asyncio.sleep(fault.seconds)
        for nva in found:
            nva.cut(Mode.OPEN)

    async def _split(self, fault: Fault) -> None:
        nva = self._world.nvas[fault.who]
        nva.isolate(True)
        await asyncio.sleep(fault.seconds)
        nva.isolate(False)

    # --- hosts, documents, operators

    async def _kill(self, fault: Fault) -> None:
        await self._world.kill_host()

    async def _kill_all(self, fault: Fault) -> None:
        await self._world.kill_hosts()
        await asyncio.sleep(fault.seconds)
        self._world.revive_hosts()

    async def _flood(self, fault: Fault) -> None:
        for _ in range(10):
            self._world.wake()

    async def _touch(self, fault: Fault) -> None:
        """The record's etag changes, and nothing else."""
        if self._world.hosts:
            documents = self._world.hosts[0].app.ports.documents
            stored = await documents.load(keys.record(TOPOLOGY, SERVICE))
            if stored is not None:
                try:
                    await documents.save(keys.record(TOPOLOGY, SERVICE), stored.body, stored.etag)
                except Superseded:
                    return  # somebody else was faster: it has changed

    async def _order(self, fault: Fault) -> None:
        minutes = max(fault.seconds, 0.1) / 60.0
        orders: dict[str, tuple[str, dict[str, object]]] = {
            "switchover": ("switchover", {"to": fault.who}),
            "failover": ("failover", {}),
            "failover to": ("failover", {"to": fault.who}),
            "drain": ("drain", {"member": fault.who, "minutes": minutes}),
            "undrain": ("undrain", {"member": fault.who}),
            "pause": ("pause", {"minutes": minutes}),
            "resume": ("resume", {}),
        }
        verb, said = orders[fault.how]
        if self._world.hosts:
            self._world.draw.choice(self._world.hosts).run(partial(_ordered, verb, said))


async def _ordered(verb: str, said: Mapping[str, object], app: UseCases) -> None:
    await app.order(TOPOLOGY, SERVICE, verb, said)

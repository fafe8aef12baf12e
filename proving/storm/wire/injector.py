"""Injects faults into the world on the wire, each for its time, and heals everything at the end."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from function_app.reconcile.store import keys
from lab.kit.network import Way
from lab.kit.virtual import virtual_loop
from proving.storm.faults import Fault, Kind
from proving.storm.wire.place import POOL, SERVICE, TOPOLOGY
from simulator.faults import Faults
from simulator.resources import ResourcePath, parse_path

if TYPE_CHECKING:
    from proving.storm.wire.world import World

WAYS = {"both": Way.MUTE, "in": Way.REFUSED, "out": Way.LOSES_REPLY}


class Injector:
    """One method a kind of fault; each returns when the fault is over."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._stage = world.stage
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

    async def inject(self, fault: Fault) -> None:
        """Waits for its time, does it, and undoes it when it is over."""
        await asyncio.sleep(max(fault.at - self._world.checks.now(), 0.0))
        self._world.say("!", str(fault))
        await self._table[fault.kind](fault)

    async def heal(self) -> None:
        """Nothing is wrong any more; what an operator took down is taken back by `take_back`."""
        self._world.say("!", "everything heals")
        self._stage.world.set_faults(asdict(Faults(noop_keeps_etag=self._world.plan.keeps_etag)))
        for name, nva in self._stage.nvas.items():
            nva.disk.is_broken = False
            nva.forward(True)
            if nva.is_up:
                self._stage.hear_again(name)
        self._world.revive_hosts()
        await asyncio.gather(*(self._world.boot(name) for name in self._world.names))

    def take_back(self) -> None:
        """The operator lifts the members that he took down, but not those that the app has to lift itself."""
        record = self._world.checks.record
        owed = record.owed if record is not None else {}
        back = {name for name in self._taken_down if name not in owed}
        self._taken_down -= back
        for name in sorted(back):
            if self._world.checks.control[name] == "Down":
                self._write({name: "None"})

    # --- Azure

    async def _arm(self, fault: Fault) -> None:
        during: dict[str, Any]
        match fault.kind:
            case Kind.ARM_DOWN:
                during = {"arm": fault.how}
            case Kind.ARM_BUSY:
                during = {"arm": "throttle", "arm_retry_after": 1}
            case Kind.LAG:
                during = {"health_stale": True}
            case Kind.SILENT:
                during = {"health_empty": True}
            case _:
                during = {"propagation" if fault.kind is Kind.SPREAD else "pool_write_seconds": fault.value}
        self._stage.world.set_faults(during)
        await asyncio.sleep(fault.seconds)
        usual = asdict(Faults())
        self._stage.world.set_faults({name: usual[name] for name in during})

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
        """An operator reads the pool, changes it and writes it, without a condition."""
        world = self._world
        pool = next(p for p in world.balancer["properties"]["backendAddressPools"] if p["name"] == POOL)
        body = {"properties": deepcopy(pool["properties"])}
        for address in body["properties"]["loadBalancerBackendAddresses"]:
            name = world.name_of(address["properties"]["ipAddress"])
            if name in states:
                address["properties"]["adminState"] = states[name]
        path = self._path(f"/backendAddressPools/{POOL}")
        self._stage.world.load_balancers.put_pool(path, body, None)
        world.checks.foreign_write(str(world.balancer["etag"]))

    def _tag(self, text: str) -> None:
        """An operator changes a tag: another etag, and nothing else."""
        self._stage.world.load_balancers.patch(self._path(), {"tags": {"cost-centre": text}}, None)
        self._world.checks.foreign_write(str(self._world.balancer["etag"]))

    def _path(self, below: str = "") -> ResourcePath:
        path = parse_path(self._world.balancer_id + below)
        assert path is not None
        return path

    # --- appliances and the network

    async def _crash(self, fault: Fault) -> None:
        names = [fault.who] if fault.kind is Kind.CRASH else self._world.names
        await asyncio.gather(*(self._world.crash(name) for name in names))
        await asyncio.sleep(fault.seconds)
        await asyncio.gather(*(self._world.boot(name) for name in names))

    async def _fatal(self, fault: Fault) -> None:
        self._stage.nvas[fault.who].forward(False)
        await asyncio.sleep(fault.seconds)
        self._stage.nvas[fault.who].forward(True)

    async def _disk(self, fault: Fault) -> None:
        disk = self._stage.nvas[fault.who].disk
        disk.is_broken = True
        await asyncio.sleep(fault.seconds)
        disk.is_broken = False

    async def _cut(self, fault: Fault) -> None:
        """The app's way to it."""
        names = [fault.who] if fault.kind is Kind.CUT else self._world.names
        for name in names:
            virtual_loop().network.turn(self._stage.nvas[name].address, WAYS[fault.how])
        await asyncio.sleep(fault.seconds)
        for name in names:
            virtual_loop().network.turn(self._stage.nvas[name].address, Way.OPEN)

    async def _split(self, fault: Fault) -> None:
        self._stage.isolate(fault.who)
        await asyncio.sleep(fault.seconds)
        if self._stage.nvas[fault.who].is_up:
            self._stage.join_again(fault.who)

    # --- hosts, documents, operators

    async def _kill(self, fault: Fault) -> None:
        await self._world.kill_host()

    async def _kill_all(self, fault: Fault) -> None:
        await self._world.kill_hosts()
        await asyncio.sleep(fault.seconds)
        self._world.revive_hosts()

    async def _flood(self, fault: Fault) -> None:
        for _ in range(10):
            self._stage.wake(TOPOLOGY)

    async def _touch(self, fault: Fault) -> None:
        """The record's etag changes, and nothing else."""
        documents, name = self._stage.documents, keys.record(TOPOLOGY, SERVICE)
        stored = await documents.load(name)
        if stored is not None:
            await documents.save(name, stored.body, stored.etag)

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
        if self._stage.hosts:
            host = self._stage.choose(self._stage.hosts)
            host.run(lambda: host.app.order(TOPOLOGY, SERVICE, verb, said))

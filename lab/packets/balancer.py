"""The internal load balancer of a world: the simulated Resource Manager that configures it, and the one that forwards.

Both are the programs that the demo runs; the forwarding one stands on its own node and holds the VIP, so what the
workload sends to the VIP by way of it arrives there.
"""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from lab.packets.eligibility import changes
from lab.packets.fabric import ADDRESSES, BALANCER, INSTANCES, MGMT, NVAS, VIP
from lab.packets.lab import WITHIN, Lab
from lab.packets.prober import PORT
from simulator.seeds import HubSeed, Probe, hub_seed
from tools.processes import ToolError

NAME = "lb-nva"


class Balancer:
    """Azure's own speed: a pool write takes 3 s, the health action 1 s."""

    def __init__(self, lab: Lab, probe: Probe, extra: Iterable[Mapping[str, Any]] = ()) -> None:
        self._lab = lab
        self._extra = tuple(extra)
        self.seed = HubSeed(
            backends=tuple((node, str(ADDRESSES[node])) for node in NVAS),
            instances=(str(ADDRESSES[INSTANCES[0]]), str(ADDRESSES[INSTANCES[1]])),
            load_balancer=NAME,
            frontend=str(ADDRESSES[BALANCER]),
            probe=probe,
        )
        self.url = ""
        self.session: aiohttp.ClientSession | None = None

    @property
    def ca_file(self) -> Path:
        return self._lab.directory / "simulator" / "ca.pem"

    async def start(self) -> None:
        """Raises ToolError."""
        await self.start_simulator()
        await self.start_forwarding()

    async def start_simulator(self) -> None:
        document = hub_seed(self.seed)
        document["resources"] += self._extra
        seed = self._lab.directory / "seed.json"
        seed.write_text(json.dumps(document))
        argv = [sys.executable, "-m", "simulator", "--port", "0", "--seed", str(seed)]
        program = self._lab.start("simulator", MGMT, [*argv, "--state", str(self._lab.directory / "simulator")])
        self.url = await program.ready()
        context = ssl.create_default_context(cafile=str(self.ca_file))
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), trust_env=False)

    async def start_forwarding(self) -> None:
        """The simulator listens on 127.0.0.1 and its certificate says so: two relays bring it to the balancer's node."""
        port = self.url.rsplit(":", 1)[1]
        here, there = f"{ADDRESSES[MGMT]}:{port}", f"127.0.0.1:{port}"
        relays = [
            self._lab.start_python("relay", MGMT, ["--listen", here, "--to", there]),
            self._lab.start_python("relay", BALANCER, ["--listen", there, "--to", here]),
        ]
        await asyncio.gather(*(relay.ready() for relay in relays))
        self._lab.fabric.hold_vip(BALANCER)
        argv = [sys.executable, "-m", "tools.load_balancer", "--simulator", self.url, "--ca", str(self.ca_file)]
        frontend = ["--name", NAME, "--frontend", str(VIP), "--port", str(PORT)]
        self._forwarding = self._lab.start("load-balancer", BALANCER, [*argv, *frontend])
        await self._forwarding.ready()

    async def close(self) -> None:
        if self.session is not None:
            await self.session.close()

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The simulator's own API. Raises ToolError."""
        assert self.session is not None
        async with self.session.request(method, self.url + path, json=body) as response:
            answer = await response.json(content_type=None)
        if response.status >= 400:
            raise ToolError(f"{method} {path}: {response.status} {answer}")
        return answer

    async def backends(self) -> dict[str, Mapping[str, Any]]:
        """What the data plane has of every backend, by node."""
        plane = await self.ask("GET", f"/simulator/dataplane/loadBalancers/{NAME}")
        return {backend["name"]: backend for pool in plane["pools"] for backend in pool["backends"]}

    def admitted(self, since: float) -> list[tuple[float, tuple[str, ...]]]:
        """The backends that it admitted at `since` (of the monotonic clock), and each change in seconds after, by its own log."""
        names = {str(ADDRESSES[node]): node for node in NVAS}
        began = time.time() - (time.monotonic() - since)
        found = [(at - began, who) for at, who in changes(self._forwarding.log.read_text().splitlines(), names)]
        before = [who for after, who in found if after <= 0.0][-1:]
        return [*((0.0, who) for who in before), *((round(after, 3), who) for after, who in found if after > 0.0)]

    async def calls(self, since: float) -> list[tuple[float, float, str]]:
        """The requests that Resource Manager has answered: seconds after `since`, how long each took, and which it was."""
        began = time.time() - (time.monotonic() - since)
        requests = (await self.ask("GET", "/simulator/requests"))["requests"]
        found = [(datetime.fromisoformat(one["time"]).timestamp() - began, one) for one in requests]
        return [
            (
                round(after, 2),
                round(one["seconds"], 2),
                f"{one['method']} {one['path'].rsplit('/', 3)[-1]} {one['status']}",
            )
            for after, one in found
            if after > 0
        ]

    async def probed_up(self, nodes: Iterable[str]) -> None:
        """Waits until exactly these are up by probe and none is administratively down."""
        wanted = set(nodes)
        for _ in range(int(WITHIN / 0.2)):
            found = await self.backends()
            up = {name for name, backend in found.items() if backend["probed_up"]}
            if up == wanted and all(backend["admin_state"] == "None" for backend in found.values()):
                return
            await asyncio.sleep(0.2)
        raise ToolError(f"the load balancer's probe does not find {sorted(wanted)} up, and them alone: {found}")

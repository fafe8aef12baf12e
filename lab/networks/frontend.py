"""The internal load balancer of a world: a node that forwards to the members whose agents answer its probe.

Its part here is that packets follow the role: it probes over HTTP, five times a second and once is enough, and routes. Azure
probes every 5 s at best, twice, and keeps old flows where they were; `tools.load_balancer` plays that, and `make lab`
measures it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from ipaddress import IPv4Address, IPv4Network

import aiohttp

from lab.networks.network import Network
from lab.packets.agents import PROBE
from lab.packets.fabric import BALANCER

EVERY = 0.2
LIMIT = aiohttp.ClientTimeout(total=1.0)


class Frontend:
    """`behind` by name; what is sent to `prefix` by way of the node goes on to one of those that answer for `service`."""

    def __init__(self, network: Network, prefix: IPv4Network, service: str, behind: Mapping[str, IPv4Address]) -> None:
        self._network = network
        self._prefix = prefix
        self._service = service
        self._behind = behind
        self._now: frozenset[str] = frozenset()
        self._pinned: frozenset[str] = frozenset()

    @property
    def passes_to(self) -> frozenset[str]:
        """Names."""
        return self._now

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def pin(self, *names: str) -> None:
        """Everything goes to these, whatever the probe says; without a name the probe decides again, from the next look on."""
        self._pinned = frozenset(names)
        self._pass_to(self._pinned)

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=LIMIT, trust_env=False) as client:
            while True:
                answers = await asyncio.gather(*(self._answers(client, address) for address in self._behind.values()))
                if not self._pinned:
                    self._pass_to(frozenset(name for name, up in zip(self._behind, answers, strict=True) if up))
                await asyncio.sleep(EVERY)

    async def _answers(self, client: aiohttp.ClientSession, address: IPv4Address) -> bool:
        try:
            async with client.get(f"http://{address}:{PROBE}/probe/{self._service}") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _pass_to(self, names: frozenset[str]) -> None:
        """Where no member answers, everything stays as it was."""
        if names and names != self._now:
            hops = (part for name in sorted(names) for part in ("nexthop", "via", str(self._behind[name])))
            self._network.fabric.inside(BALANCER, "ip", "route", "replace", str(self._prefix), *hops)
            self._now = names

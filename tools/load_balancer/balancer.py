"""The load balancer put together: it follows the simulator's control API, probes, reports and forwards."""

import asyncio
import contextlib
import logging
import ssl
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import quote

import aiohttp

from tools.load_balancer.balancing import Configuration, Flow, decode, eligible, pick
from tools.load_balancer.forwarding import Client, Forwarder
from tools.load_balancer.probing import Prober

log = logging.getLogger(__name__)

LOOK_EVERY = timedelta(milliseconds=75)
REPORT_EVERY = timedelta(seconds=1)
ASK_WITHIN = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Options:
    """`ca` is the certificate authority of an https simulator. A port of 0 takes any free one."""

    simulator: str
    ca: Path | None
    name: str
    frontend: IPv4Address
    port: int
    probe_scale: float


class LoadBalancer:
    def __init__(self, options: Options) -> None:
        """Listens at once. Raises OSError when the frontend or the authority's file cannot be used."""
        self._url = f"{options.simulator.rstrip('/')}/simulator/dataplane/loadBalancers/{quote(options.name)}"
        self._tls = ssl.create_default_context(cafile=options.ca) if options.ca is not None else True
        self._configuration = Configuration()
        self._eligible: tuple[IPv4Address, ...] = ()
        self._reachable = True
        self._news = asyncio.Event()
        self._prober = Prober(options.probe_scale, self._changed)
        self._forwarder = Forwarder(options.frontend, options.port, self._pick, self._keeps)
        self.address = self._forwarder.address

    async def serve(self) -> None:
        """Work until cancelled."""
        # The simulator is reached directly: what the environment says about proxies is for the world outside.
        timeout = aiohttp.ClientTimeout(total=ASK_WITHIN.total_seconds())
        try:
            async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session, asyncio.TaskGroup() as group:
                group.create_task(self._follow(session))
                group.create_task(self._report(session))
        finally:
            await self._prober.stop()
            self._forwarder.close()

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        while True:
            try:
                async with session.get(self._url, ssl=self._tls) as answer:
                    answer.raise_for_status()
                    found = decode(await answer.json())
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as unreadable:
                self._note(f"keeping its last word: {unreadable!r}")
            else:
                self._note(None)
                if found != self._configuration:
                    self._configuration = found
                    await self._prober.follow(found)
                    self._changed()
            self._forwarder.expire()
            await asyncio.sleep(LOOK_EVERY.total_seconds())

    async def _report(self, session: aiohttp.ClientSession) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), REPORT_EVERY.total_seconds())
            self._news.clear()
            results = {
                str(ip): {"up": probed.up is True, "reason": probed.reason()}
                for ip, probed in sorted(self._prober.probed.items())
                if probed.last is not None
            }
            if not results:
                continue
            # A report that is lost is made up for by the next, a second later.
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.put(f"{self._url}/probes", json={"results": results}, ssl=self._tls) as answer:
                    answer.raise_for_status()

    def _changed(self) -> None:
        found = eligible(self._configuration, self._prober.probed)
        if found != self._eligible:
            log.info("eligible backends: %s", ", ".join(map(str, found)) or "none")
        self._eligible = found
        self._news.set()

    def _pick(self, client: Client) -> IPv4Address | None:
        return pick(Flow(client, self.address), self._eligible)

    def _keeps(self, backend: IPv4Address) -> bool:
        """Azure moves UDP flows off a backend whose probe fails. Of adminState Down its pages contradict each other;
        here a fenced backend loses its flows, too: the lab's clients never change their port."""
        return backend in self._eligible

    def _note(self, trouble: str | None) -> None:
        if (trouble is None) != self._reachable:
            self._reachable = trouble is None
            log.warning("the simulator %s", "answers again" if trouble is None else f"does not answer, {trouble}")

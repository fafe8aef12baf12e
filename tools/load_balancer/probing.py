"""Probes backends for real, at the configured interval divided by a scale; what the results mean is `balancing.py`'s."""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv4Address

from tools.load_balancer.balancing import Configuration, Probe, Probed, Protocol, Reason

log = logging.getLogger(__name__)


class Prober:
    """One loop a backend. `changed` is called whenever a backend's state or reason changes."""

    def __init__(self, scale: float, changed: Callable[[], None]) -> None:
        self._scale = scale
        self._changed = changed
        self._loops: dict[IPv4Address, asyncio.Task[None]] = {}
        self._probe: Probe | None = None
        self.probed: dict[IPv4Address, Probed] = {}

    async def follow(self, configuration: Configuration) -> None:
        """Probe exactly these backends from now on. Another probe begins anew; a backend that left is forgotten."""
        wanted = configuration.addresses() if configuration.probe is not None else frozenset()
        stale = set(self._loops) if configuration.probe != self._probe else set(self._loops) - wanted
        await self._end(stale)
        self._probe = configuration.probe
        if configuration.probe is None:
            return
        for ip in sorted(wanted - set(self._loops)):
            self._loops[ip] = asyncio.create_task(self._serve(ip, configuration.probe))

    async def stop(self) -> None:
        await self._end(set(self._loops))

    async def _end(self, addresses: set[IPv4Address]) -> None:
        loops = [self._loops.pop(ip) for ip in addresses]
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        for ip in addresses:
            self.probed.pop(ip, None)

    async def _serve(self, ip: IPv4Address, probe: Probe) -> None:
        clock = asyncio.get_running_loop().time
        interval = probe.interval / self._scale
        due = clock() + random.random() * interval.total_seconds()  # noqa: S311 - each backend is probed at times of its own
        await asyncio.sleep(due - clock())
        while True:
            result = await probe_once(ip, probe, interval)
            before = self.probed.get(ip, Probed())
            self.probed[ip] = now = before.after(result, probe.threshold)
            if now.up != before.up:
                log.info("backend %s is %s: %s", ip, "up" if now.up else "down", result)
            if (now.up, now.reason()) != (before.up, before.reason()):
                self._changed()
            # A probe that took its whole interval is followed by the next at once, not by two.
            due = max(due + interval.total_seconds(), clock())
            await asyncio.sleep(due - clock())


async def probe_once(ip: IPv4Address, probe: Probe, limit: timedelta) -> Reason:
    """One probe on a connection of its own. Anything but 200 within `limit` is a failure; redirects are not followed."""
    connected = False
    try:
        async with asyncio.timeout(limit.total_seconds()):
            _, writer = reader_writer = await asyncio.open_connection(str(ip), probe.port)
            connected = True
            try:
                return Reason.SUCCESS if probe.protocol is Protocol.TCP else await _http(ip, probe, reader_writer)
            finally:
                writer.close()
    except TimeoutError:
        return Reason.HTTP_NO_RESPONSE if connected else Reason.TCP_TIMEOUT
    except OSError:
        return Reason.HTTP_UNREACHABLE if connected else Reason.TCP_TIMEOUT


async def _http(ip: IPv4Address, probe: Probe, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> Reason:
    """The status line is all a probe looks at."""
    reader, writer = connection
    request = f"GET {probe.path} HTTP/1.1\r\nHost: {ip}:{probe.port}\r\nUser-Agent: Load Balancer Agent\r\n"
    writer.write(f"{request}Connection: close\r\n\r\n".encode())
    await writer.drain()
    try:
        line = await reader.readline()
    except ValueError:  # a line without end
        return Reason.HTTP_UNREACHABLE
    parts = line.split(maxsplit=2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/"):
        return Reason.HTTP_UNREACHABLE
    return Reason.SUCCESS if parts[1] == b"200" else Reason.HTTP_STATUS

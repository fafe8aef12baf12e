"""Both probes, requested in turn all the time, and whether they ever answered 200 together.

Two probes are not simultaneous. They count as both serving only where one member answered 200, then the other, then
the first one again, each requested after the answer before it, and the first one answered nothing else in between: it
answered 200 before and after the other's 200.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

PAUSE = 0.01
"""Seconds between two requests: each of two members is probed every 20 ms or so."""
PATIENCE = 0.2
"""Seconds that a probe may take to answer."""

type Place = tuple[str, int, str]
"""Address, port and path of a probe."""


@dataclass
class Overlaps:
    """Finds members that answered 200 together. Answers are given to `answer` in the order of requests and replies."""

    _since: dict[str, set[str]] = field(default_factory=dict)
    """Of each member whose last answer was 200: who has answered 200 since."""

    def answer(self, member: str, serving: bool) -> tuple[str, ...]:
        """Who answered 200 between this 200 of `member` and the one before it, with nothing else in between."""
        found = tuple(sorted(self._since.get(member, ()))) if serving else ()
        self._since.pop(member, None)
        if serving:
            for others in self._since.values():
                others.add(member)
            self._since[member] = set()
        return found


@dataclass
class Watch:
    """Probes until stopped. `both` holds (time.time(), member, others) of every overlap, `answers` counts the replies."""

    places: Mapping[str, Place]
    both: list[tuple[float, str, tuple[str, ...]]] = field(default_factory=list)
    answers: int = 0
    answering: set[str] = field(default_factory=set)
    _overlaps: Overlaps = field(default_factory=Overlaps)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Raises what the watching died of, if it did."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        while True:
            for member, place in self.places.items():
                serving = await answers_200(place)
                self.answers += 1
                (self.answering.add if serving else self.answering.discard)(member)
                if others := self._overlaps.answer(member, serving):
                    self.both.append((time.time(), member, others))
                await asyncio.sleep(PAUSE)


async def answers_200(place: Place) -> bool:
    """One probe as the load balancer sends it: HTTP GET, no keep-alive."""
    address, port, path = place
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False

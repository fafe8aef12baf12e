"""Posting to other people's addresses with bounded retries, and a record of how that went.

What is posted and when is `event_grid.py`'s and `webhooks.py`'s.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from simulator.clock import Pace
from simulator.resources import Json

ANSWER_SECONDS = 30.0  # Event Grid waits this long for an answer; not scaled, the receiver is real


@dataclass(frozen=True, slots=True)
class Retry:
    """`waits` between attempts in Azure's seconds; `gives_up(status)` for an answer that is not worth another."""

    waits: tuple[float, ...]
    gives_up: Callable[[int], bool]


@dataclass(slots=True)
class Delivery:
    """One post. `state` is pending, delivered or dead; `attempts` has a status or what went wrong for each try."""

    url: str
    headers: dict[str, str]
    body: Any
    state: str = "pending"
    reason: str | None = None
    attempts: list[int | str] = field(default_factory=list)
    answer: Any = None

    def described(self) -> Json:
        return {
            "url": self.url,
            "state": self.state,
            "reason": self.reason,
            "attempts": self.attempts,
            "headers": self.headers,
            "body": self.body,
        }


class Courier:
    """Carries deliveries in the background; `close` drops what is under way."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def carry(self, delivery: Delivery, retry: Retry) -> None:
        """Post until it is accepted, refused for good, or the waits are used up."""
        for number in range(len(retry.waits) + 1):
            if number:
                await asyncio.sleep(self._pace.scaled(retry.waits[number - 1]).total_seconds())
            status = await self._post(delivery, number)
            if status is not None and 200 <= status < 300:
                delivery.state = "delivered"
                return
            if status is not None and retry.gives_up(status):
                delivery.state, delivery.reason = "dead", f"refused with {status}"
                return
        delivery.state, delivery.reason = "dead", f"not accepted in {len(retry.waits) + 1} attempts"

    async def _post(self, delivery: Delivery, number: int) -> int | None:
        if self._session is None:
            raise RuntimeError("the courier is not open")
        headers = {**delivery.headers, "aeg-delivery-count": str(number)}
        try:
            async with self._session.post(delivery.url, data=json.dumps(delivery.body), headers=headers) as response:
                text = await response.text()
                delivery.attempts.append(response.status)
                delivery.answer = _parsed(text)
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            delivery.attempts.append(type(error).__name__)
            return None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

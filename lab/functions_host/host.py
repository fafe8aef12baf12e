"""The host put together: an indexed app, its triggers started, one HTTP listener, and an orderly end."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from lab.functions_host import keys, settings
from lab.functions_host.admin import Admin, ByHand
from lab.functions_host.event_grid import EventGridWebhook
from lab.functions_host.front import Front
from lab.functions_host.functions import Function
from lab.functions_host.http_functions import HttpFunctions, route
from lab.functions_host.invoker import Invoker
from lab.functions_host.messages import TypedData
from lab.functions_host.queue_listener import POISON_SUFFIX, QueueListener
from lab.functions_host.queues import Received
from lab.functions_host.stores import Stores
from lab.functions_host.timers import Timer
from lab.functions_host.worker import Worker, stop_threads

STOP_GRACE = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class Options:
    """`state` holds the timers' status. A port of 0 takes any free one."""

    root: Path
    port: int
    keys: Path
    state: Path


class Host:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._worker = Worker(options.root)
        self._loops: list[asyncio.Task[None]] = []
        self._listeners: list[QueueListener] = []
        self._front: Front | None = None
        self._stores: Stores | None = None
        self.functions: list[Function] = []
        self.url = ""
        self.routes: dict[str, str] = {}  # the address of each HTTP function, its template as it is written

    async def start(self) -> None:
        """Index the app, listen, start its triggers. Raises HostError, with what to do about it."""
        root, state = self._options.root, self._options.state / "timers"
        host_json = settings.host_json(root / "host.json", os.environ)
        held_keys = keys.load(self._options.keys)
        self.functions = await self._worker.index()
        self._stores = stores = Stores(os.environ, host_json)
        invoker = Invoker(self._worker, stores)
        timers = {one.name: Timer(one, state, invoker.fire) for one in self._of("timerTrigger")}
        for function in self._of("queueTrigger"):
            queue, poison = stores.queue(function.trigger), stores.queue(function.trigger, POISON_SUFFIX)
            process = partial(invoker.process, function)
            name = function.trigger.text("queueName")
            self._listeners.append(QueueListener(name, queue, poison, host_json.queues, process))
        http = HttpFunctions(self._of("httpTrigger"), host_json.route_prefix, held_keys, invoker)
        webhook = EventGridWebhook(self._of("eventGridTrigger"), held_keys, invoker)
        admin = Admin(self.functions, self._by_hand(invoker, timers), held_keys)
        self._front = Front(http, webhook, admin, STOP_GRACE)
        self.url = await self._front.start(self._options.port)
        prefix = f"/{host_json.route_prefix}" if host_json.route_prefix else ""
        self.routes = {one.name: f"{self.url}{prefix}/{route(one).template}" for one in self._of("httpTrigger")}
        serving = [timer.serve() for timer in timers.values()] + [one.serve() for one in self._listeners]
        self._loops = [asyncio.create_task(loop) for loop in serving]

    async def stop(self) -> list[str]:
        """Take nothing new, let what runs end within STOP_GRACE; returns the names of functions still running."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        drains = [asyncio.create_task(listener.drain()) for listener in self._listeners]
        closing = [asyncio.create_task(self._front.stop())] if self._front is not None else []
        left = await self._worker.drain(STOP_GRACE)
        # The front's own patience with requests is the same grace; what it still waits for then is in `left`.
        if closing and not left:
            await asyncio.wait(closing)
        if drains:
            await asyncio.wait(drains, timeout=0 if left else STOP_GRACE.total_seconds())
        stop_threads(wait=not left)
        if self._stores is not None:
            await self._stores.close()
        return left

    async def failed_loop(self) -> None:
        """Return only by raising what made a trigger's loop end: none ever ends by itself."""
        if not self._loops:
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(self._loops, return_when=asyncio.FIRST_COMPLETED)
        for loop in done:
            loop.result()

    def _of(self, kind: str) -> list[Function]:
        return [function for function in self.functions if function.trigger.kind == kind and not function.disabled]

    def _by_hand(self, invoker: Invoker, timers: Mapping[str, Timer]) -> dict[str, ByHand]:
        """Every function but the HTTP ones, by its name in lower case."""

        async def timer(function: Function, _text: str) -> None:
            await invoker.fire(function, timers[function.name].payload())

        async def event(function: Function, text: str) -> None:
            await invoker.fire(function, TypedData(json=text))

        async def message(function: Function, text: str) -> None:
            now = datetime.now(UTC)
            await invoker.process(function, Received("by-hand", text, 1, "", now, now, now))

        ways = (("timerTrigger", timer), ("eventGridTrigger", event), ("queueTrigger", message))
        return {one.name.lower(): partial(way, one) for kind, way in ways for one in self._of(kind)}

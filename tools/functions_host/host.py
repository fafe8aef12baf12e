"""The host put together: an indexed app, its triggers started, one HTTP listener, and an end without warning."""

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from tools.functions_host import keys, settings
from tools.functions_host.admin import Admin, ByHand, Served
from tools.functions_host.errors import ConfigurationError
from tools.functions_host.event_grid import EventGridWebhook
from tools.functions_host.front import Front
from tools.functions_host.functions import Function
from tools.functions_host.http_functions import HttpFunctions, route
from tools.functions_host.invoker import Invoker
from tools.functions_host.messages import TypedData
from tools.functions_host.queue_listener import POISON_SUFFIX, QueueListener
from tools.functions_host.queues import Received
from tools.functions_host.sign_in import SignIn
from tools.functions_host.stores import Stores
from tools.functions_host.timer_lock import PERIOD
from tools.functions_host.timers import Timer
from tools.functions_host.worker import Worker

NEVER = datetime.max.replace(tzinfo=UTC)  # of a message run by hand
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """`state` holds the timers' status. A port of 0 takes any free one. `placeholder`: enter the app as the platform does.
    `sign_in`: the platform's authentication is on, for these tokens. `timer_lock`: how long a dead host keeps its timers."""

    root: Path
    port: int
    keys: Path
    state: Path
    placeholder: bool = False
    sign_in: SignIn | None = None
    timer_lock: timedelta = PERIOD


class Host:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._worker: Worker | None = None
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
        self._worker = worker = Worker(root, placeholder=self._options.placeholder, limit=host_json.function_timeout)
        self.functions = await worker.index()
        held_keys.give_each_its_own(function.name for function in self.functions)
        self._stores = stores = Stores(os.environ, host_json)
        invoker = Invoker(worker, stores)
        timers = {
            one.name: Timer(one, state, invoker.fire, self._options.timer_lock) for one in self._of("timerTrigger")
        }
        for function in self._of("queueTrigger"):
            queue, poison = stores.queue(function.trigger), stores.queue(function.trigger, POISON_SUFFIX)
            process = partial(invoker.process, function)
            name = function.trigger.text("queueName")
            self._listeners.append(QueueListener(name, queue, poison, host_json.queues, process))
        self._demand_bundle(host_json.bundle)
        http = HttpFunctions(self._of("httpTrigger"), host_json.route_prefix, held_keys, invoker)
        webhook = EventGridWebhook(self._of("eventGridTrigger"), held_keys, invoker)
        prefix = f"/{host_json.route_prefix}" if host_json.route_prefix else ""
        urls = {one.name: f"{prefix}/{route(one).template}" for one in self._of("httpTrigger")}
        served = Served(self.functions, self._by_hand(invoker, timers), urls, root, host_json.bundle)
        admin = Admin(served, held_keys)
        self._front = Front(http, webhook, admin, self._options.sign_in)
        self.url = await self._front.start(self._options.port)
        self.routes = {name: f"{self.url}{path}" for name, path in urls.items()}
        serving = [timer.serve() for timer in timers.values()] + [one.serve() for one in self._listeners]
        self._loops = [asyncio.create_task(loop) for loop in (*serving, worker.keep())]

    async def stop(self) -> list[str]:
        """Take nothing new and kill the worker, as the platform does; returns the names of the functions it cut off."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        # What is being processed is given up: its messages stay hidden until their time is over, as after the real end.
        for task in [task for listener in self._listeners for task in listener.running]:
            task.cancel()
        if self._front is not None:
            await self._front.stop()
        left = await self._worker.stop() if self._worker is not None else []
        if self._stores is not None:
            await self._stores.close()
        return left

    async def failed_loop(self) -> None:
        """Return only by raising what made a trigger's loop end, or ended the worker for good: none ever ends by itself."""
        done, _ = await asyncio.wait(self._loops, return_when=asyncio.FIRST_COMPLETED)
        for loop in done:
            loop.result()

    def _demand_bundle(self, bundle: str) -> None:
        """On the platform these triggers are in error without it, and the rest serves."""
        lacking = [one.name for kind in ("queueTrigger", "eventGridTrigger") for one in self._of(kind)]
        if lacking and not bundle:
            raise ConfigurationError(
                f"host.json has no extensionBundle, which the triggers of {', '.join(lacking)} are from"
            )

    def _of(self, kind: str) -> list[Function]:
        return [function for function in self.functions if function.trigger.kind == kind and not function.disabled]

    def _by_hand(self, invoker: Invoker, timers: Mapping[str, Timer]) -> dict[str, ByHand]:
        """Every function by its name in lower case. An HTTP function is accepted and never runs, as on the platform; nor
        does one whose event or message is not given."""

        async def timer(function: Function, _text: str | None) -> None:
            await invoker.fire(function, timers[function.name].payload())

        async def event(function: Function, text: str | None) -> None:
            if text is not None:
                await invoker.fire(function, TypedData(json=text))

        async def message(function: Function, text: str | None) -> None:
            now = datetime.now(UTC)
            if text is not None:
                await invoker.process(function, Received("", text, 0, "", now, NEVER, NEVER))

        async def http(_function: Function, _text: str | None) -> None:
            log.error(
                "an HTTP function cannot be run by hand, here as on the platform: it was accepted and did not run"
            )

        ways = (("timerTrigger", timer), ("eventGridTrigger", event), ("queueTrigger", message), ("httpTrigger", http))
        return {one.name.lower(): partial(way, one) for kind, way in ways for one in self._of(kind)}

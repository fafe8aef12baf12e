"""Function hosts: where passes run. A host can be killed at any request, paused and resumed, and its clock may be off."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from function_app.domain.base.errors import HopkeeperError, Unavailable
from function_app.domain.service.record import Record
from function_app.reconcile.ports import Ports
from proving.storm.calls import Call, Killed, Mishap
from proving.storm.loop import InstanceLoop

if TYPE_CHECKING:
    from proving.storm.world import World


class Trace:
    """What one pass last knew the record to be, and when it looked and asked for the peerings; the checks compare its
    effects with that."""

    __slots__ = ("asked", "listed", "looked", "record")

    def __init__(self) -> None:
        self.record: Record | None = None
        self.looked = 0.0
        self.asked = False
        """Whether it asked an agent."""
        self.listed = 0.0


TRACE: ContextVar[Trace] = ContextVar("trace")


class Host:
    """One process of the Function App, with a loop of its own."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.loop = InstanceLoop(world.timeline)  # type: ignore[abstract]  # asyncio's own class is not, only its stub
        self.waiting: dict[asyncio.Future[Any], None] = {}
        self.held: list[tuple[Callable[[Any], None], Any]] = []
        self.ports: Ports
        self.offset = 0.0
        self.drift = 0.0
        self._pauses = 0
        self._under_way: dict[Callable[[bool], None], None] = {}

    def now(self) -> datetime:
        seconds = self.world.timeline.now * (1.0 + self.drift) + self.offset
        return self.world.epoch + timedelta(seconds=seconds)

    @property
    def ahead(self) -> float:
        """By how many seconds its clock is ahead of the true time."""
        return (self.now() - self.world.now()).total_seconds()

    # --- requests

    def ask(
        self,
        kind: str,
        timeout: float,
        refusal: Callable[[], object],
        effect: Callable[..., object],
        *arguments: Any,
    ) -> "asyncio.Future[Any]":
        """Sends a request. `effect(call, *arguments)` happens when it arrives. Raises Killed in a dead host."""
        if not self.alive:
            raise Killed
        world = self.world
        future = self.loop.create_future()
        self.waiting[future] = None
        call = Call(self, future, world.timeline.now + timeout, refusal)
        delay = world.leg()
        if world.mishaps.armed:
            found = world.mishaps.meet(kind)
            if found is not None:
                self._befall(call, found[0], found[1], delay, (effect, arguments))
                return future
        world.timeline.after(delay, effect, call, *arguments)
        return future

    def _befall(
        self,
        call: Call,
        mishap: Mishap,
        seconds: float,
        delay: float,
        what: tuple[Callable[..., object], tuple[Any, ...]],
    ) -> None:
        call.mishap, call.seconds = mishap, seconds
        effect, arguments = what
        timeline = self.world.timeline
        match mishap:
            case Mishap.KILL_BEFORE:
                self.kill()
                return
            case Mishap.LOSE:
                call.expire()
                return
            case Mishap.BUSY:
                refused = call.refusal()
                if isinstance(refused, Unavailable):
                    refused = Unavailable("429: too many requests", timedelta(seconds=seconds))
                call.answer(refused)
                return
            case Mishap.DELAY:
                delay += seconds
                if timeline.now + delay >= call.deadline:
                    call.expire()
            case Mishap.DOUBLE:
                timeline.after(delay + seconds, effect, call.again(), *arguments)
            case Mishap.PAUSE:
                self.pause(seconds)
                self.held.append((self._leave, (call, call.deadline - timeline.now, delay, what)))
                return
        timeline.after(delay, effect, call, *arguments)

    def _leave(self, request: tuple[Call, float, float, tuple[Callable[..., object], tuple[Any, ...]]]) -> None:
        """A request that its host stopped at leaves once it goes on."""
        call, lasts, delay, (effect, arguments) = request
        call.deadline = self.world.timeline.now + lasts
        self.world.timeline.after(delay, effect, call, *arguments)

    # --- life

    def run(self, work: Callable[[Ports], Awaitable[object]], over: Callable[[bool], None]) -> None:
        """Starts a pass. `over(done)` is called once: done, or it failed, or the host died in it."""
        if not self.alive:
            over(False)
            return
        self._under_way[over] = None
        self.loop.create_task(self._run(work, over))
        self.loop.run_ready()

    async def _run(self, work: Callable[[Ports], Awaitable[object]], over: Callable[[bool], None]) -> None:
        TRACE.set(Trace())
        done = False
        try:
            await work(self.ports)
            done = True
        except HopkeeperError:
            pass
        except BaseException as error:
            if self.alive:
                self.world.checks.broken("crash", f"a pass died of {error!r}", error)
        if self.alive:
            del self._under_way[over]
            over(done)

    def kill(self) -> None:
        """Everything that runs here ends at once, without another word to the world."""
        if not self.alive:
            return
        self.alive = False
        self.world.say("host %s dies", self.name)
        if self.loop.is_running():
            self.world.timeline.after(0.0, self._unwind)
        else:
            self._unwind()

    def _unwind(self) -> None:
        self.loop.paused = False
        self.held.clear()
        waiting, self.waiting = self.waiting, {}
        for future in waiting:
            if not future.done():
                future.set_exception(Killed())
        self.loop.run_ready()
        under_way, self._under_way = self._under_way, {}
        for over in under_way:
            over(False)
        self.world.host_died(self)

    def pause(self, seconds: float) -> None:
        """Nothing runs here for a while; what is delivered meanwhile waits."""
        self._pauses += 1
        self.loop.paused = True
        self.world.say("host %s stops for %.0f s", self.name, seconds)
        self.world.timeline.after(seconds, self.resume, self._pauses)

    def resume(self, pause: int | None = None) -> None:
        """Goes on; with a number, only if that pause is still the latest."""
        if not self.alive or not self.loop.paused or pause not in (None, self._pauses):
            return
        self.loop.paused = False
        self.world.say("host %s goes on", self.name)
        self.loop.run_ready()
        held, self.held = self.held, []
        for deliver, value in held:
            deliver(value)

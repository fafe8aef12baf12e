"""One request of one host to the world: when it arrives, what comes back, and everything that may go wrong between.

A request leaves, arrives (its effect happens), is answered, and the answer is delivered. Each leg takes its own time,
and the caller gives up at its deadline whatever happens later: an effect may come ten minutes after its caller left.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proving.storm.hosts import Host


class Killed(BaseException):
    """The host died here. Not an Exception: nothing in the product may survive it."""


class Mishap(StrEnum):
    """What befalls one request."""

    KILL_BEFORE = "kill-before"  # the host dies as it asks: nothing was sent
    KILL_AFTER = "kill-after"  # the effect happens, the host dies before the answer
    KILL_REPLY = "kill-reply"  # the host dies with the answer in its hands
    LOSE = "lose"  # the request is lost
    LOSE_REPLY = "lose-reply"  # the effect happens, the answer is lost
    DELAY = "delay"  # the request arrives `seconds` late, whether its caller still waits or not
    DELAY_REPLY = "delay-reply"  # the answer takes `seconds` longer
    DOUBLE = "double"  # the request arrives once more, `seconds` later
    PAUSE = "pause"  # the host stops for `seconds` as it asks; the request leaves when it goes on
    BUSY = "busy"  # answered 429 or 5xx, with nothing done


class Call:
    """See the module. `refusal` makes what the caller gets when no answer comes."""

    __slots__ = ("_done", "_future", "_host", "deadline", "mishap", "mute", "refusal", "seconds")

    def __init__(
        self, host: "Host", future: "asyncio.Future[Any]", deadline: float, refusal: Callable[[], object]
    ) -> None:
        self._host = host
        self._future = future
        self.refusal = refusal
        """Makes what the caller gets where nothing answers: an error, or a reading that says so."""
        self._done = False
        self.deadline = deadline
        self.mishap: Mishap | None = None
        self.seconds = 0.0
        self.mute = False
        """A second arrival of a doubled request: its effect counts, its answer goes nowhere."""

    def answer(self, value: object, after: float = 0.0) -> None:
        """Sends `value` back; an exception is raised at the caller."""
        if self.mute or self._done:
            return
        host = self._host
        world = host.world
        mishap = self.mishap
        after += world.leg()
        if mishap is not None:
            if mishap is Mishap.KILL_AFTER:
                world.timeline.after(0.0, host.kill)
                return
            if mishap is Mishap.LOSE_REPLY:
                self.expire()
                return
            if mishap is Mishap.DELAY_REPLY:
                after += self.seconds
        if world.timeline.now + after > self.deadline:
            self.expire()
            return
        self._done = True
        world.timeline.after(after, self.deliver, value)

    def expire(self) -> None:
        """Nobody will answer in time: the caller gives up at its deadline."""
        if self.mute or self._done:
            return
        self._done = True
        timeline = self._host.world.timeline
        timeline.after(max(self.deadline - timeline.now, 0.0), self._give_up)

    def again(self) -> "Call":
        """The second arrival of a doubled request."""
        other = Call(self._host, self._future, self.deadline, self.refusal)
        other.mute = True
        return other

    def _give_up(self) -> None:
        self.deliver(self.refusal())

    def deliver(self, value: object) -> None:
        """The caller has its answer, unless its host is dead; a paused one gets it later."""
        host, future = self._host, self._future
        if future.done():
            return
        if host.loop.paused:
            host.held.append((self.deliver, value))
            return
        if self.mishap is Mishap.KILL_REPLY:
            host.kill()
            return
        host.waiting.pop(future, None)
        if isinstance(value, BaseException):
            future.set_exception(value)
        else:
            future.set_result(value)
        host.loop.run_ready()

"""The queue listener's rules, on a virtual clock over a queue in memory."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lab.kit.virtual import VirtualLoop
from tools.functions_host.errors import HostError
from tools.functions_host.queue_listener import HOLD, QueueListener
from tools.functions_host.queues import Received
from tools.functions_host.settings import QueueSettings

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def on_virtual_time[T](story: Callable[[], Coroutine[None, None, T]]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story())


class MemoryQueue:
    """Messages with the moment they become visible, in the loop's time; `looks` are the moments it was polled."""

    def __init__(self, *bodies: str, dequeue_count: int = 0) -> None:
        numbers = itertools.count()
        self.held = {str(next(numbers)): (0.0, _message(body, dequeue_count)) for body in bodies}
        self.sent: list[str] = []
        self.looks: list[float] = []
        self.extensions: list[float] = []

    async def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        self.sent.append(body)

    async def receive(self, limit: int, visibility: timedelta) -> list[Received]:
        now = asyncio.get_running_loop().time()
        self.looks.append(now)
        visible = [key for key, (due, _) in self.held.items() if due <= now][:limit]
        taken = []
        for key in visible:
            message = self.held[key][1]
            message = replace(message, receipt=key, dequeue_count=message.dequeue_count + 1)
            self.held[key] = (now + visibility.total_seconds(), message)
            taken.append(message)
        return taken

    async def extend(self, message: Received, visibility: timedelta) -> Received | None:
        now = asyncio.get_running_loop().time()
        self.extensions.append(now)
        self.held[message.receipt] = (now + visibility.total_seconds(), message)
        return message

    async def delete(self, message: Received) -> bool:
        return self.held.pop(message.receipt, None) is not None

    async def close(self) -> None:
        return None


class Work:
    """Takes `seconds` for each message, failing for bodies in `bad`. Remembers what it saw, and how much at once."""

    def __init__(self, seconds: float = 0.0, bad: frozenset[str] = frozenset()) -> None:
        self._seconds = seconds
        self._bad = bad
        self.seen: list[tuple[str, int]] = []
        self.running = 0
        self.most_running = 0

    async def __call__(self, message: Received) -> None:
        self.seen.append((message.body, message.dequeue_count))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(self._seconds)
        self.running -= 1
        if message.body in self._bad:
            raise HostError(message.body)


def _message(body: str, dequeue_count: int) -> Received:
    return Received(body, body, dequeue_count, "", EPOCH, EPOCH, EPOCH)


def serve_for(seconds: float, listener: Callable[[], QueueListener]) -> None:
    async def story() -> None:
        made = listener()
        serving = asyncio.create_task(made.serve())
        await asyncio.sleep(seconds)
        serving.cancel()
        while made.running:
            await asyncio.wait(set(made.running))

    on_virtual_time(story)


def test_a_processed_message_is_deleted() -> None:
    queue, work = MemoryQueue("a", "b"), Work()
    serve_for(10, lambda: QueueListener("q", queue, MemoryQueue(), QueueSettings(), work))
    assert sorted(work.seen) == [("a", 1), ("b", 1)]
    assert queue.held == {}


def test_a_message_is_hidden_again_while_it_is_being_processed() -> None:
    queue, work = MemoryQueue("long"), Work(seconds=3 * HOLD.total_seconds())
    serve_for(3.5 * HOLD.total_seconds(), lambda: QueueListener("q", queue, MemoryQueue(), QueueSettings(), work))
    assert work.seen == [("long", 1)], "no other receiver could take it"
    assert len(queue.extensions) >= 5
    assert queue.held == {}


def test_a_failed_message_waits_for_the_visibility_timeout_before_its_next_attempt() -> None:
    settings = QueueSettings(visibility_timeout=timedelta(seconds=30), dequeue_max=2, poll_max=timedelta(seconds=1))
    queue, poison, work = MemoryQueue("bad"), MemoryQueue(), Work(bad=frozenset({"bad"}))
    serve_for(25, lambda: QueueListener("q", queue, poison, settings, work))
    assert (work.seen, poison.sent) == ([("bad", 1)], [])


def test_after_the_last_attempt_a_message_is_in_the_poison_queue_only() -> None:
    settings = QueueSettings(dequeue_max=2, poll_max=timedelta(seconds=1))
    queue, poison, work = MemoryQueue("bad", "good"), MemoryQueue(), Work(bad=frozenset({"bad"}))
    serve_for(30, lambda: QueueListener("q", queue, poison, settings, work))
    assert [entry for entry in work.seen if entry[0] == "bad"] == [("bad", 1), ("bad", 2)]
    assert (poison.sent, queue.held) == (["bad"], {})


def test_a_message_whose_attempts_killed_the_host_is_buried_unprocessed() -> None:
    queue, poison, work = MemoryQueue("killer", dequeue_count=5), MemoryQueue(), Work()
    serve_for(10, lambda: QueueListener("q", queue, poison, QueueSettings(dequeue_max=5), work))
    assert (work.seen, poison.sent, queue.held) == ([], ["killer"], {})


def test_a_message_that_cannot_be_decoded_is_buried_unprocessed() -> None:
    queue, poison, work = MemoryQueue("raw"), MemoryQueue(), Work()
    queue.held["0"] = (0.0, replace(_message("raw", 0), readable=False))
    serve_for(10, lambda: QueueListener("q", queue, poison, QueueSettings(), work))
    assert (work.seen, poison.sent) == ([], ["raw"])


@pytest.mark.parametrize(("batch", "threshold", "most"), [(1, 0, 1), (4, 2, 6), (16, 8, 24)])
def test_at_most_batch_size_and_threshold_run_together(batch: int, threshold: int, most: int) -> None:
    settings = QueueSettings(batch_size=batch, new_batch_threshold=threshold)
    queue, work = MemoryQueue(*(str(number) for number in range(40))), Work(seconds=1)
    serve_for(100, lambda: QueueListener("q", queue, MemoryQueue(), settings, work))
    assert len(work.seen) == 40
    assert batch <= work.most_running <= most


def test_an_empty_queue_is_polled_less_and_less_often_up_to_the_limit() -> None:
    queue = MemoryQueue()
    settings = QueueSettings(poll_max=timedelta(seconds=2))
    serve_for(60, lambda: QueueListener("q", queue, MemoryQueue(), settings, Work()))
    gaps = [round(later - earlier, 3) for earlier, later in itertools.pairwise(queue.looks)]
    assert gaps[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert set(gaps[6:]) == {2.0}


class Unreachable(MemoryQueue):
    async def receive(self, limit: int, visibility: timedelta) -> list[Received]:
        if len(self.looks) < 3:
            self.looks.append(asyncio.get_running_loop().time())
            raise OSError("connection refused")
        return await super().receive(limit, visibility)


def test_a_store_that_cannot_be_reached_is_tried_again() -> None:
    queue, work = Unreachable("a"), Work()
    serve_for(30, lambda: QueueListener("q", queue, MemoryQueue(), QueueSettings(), work))
    assert work.seen == [("a", 1)]

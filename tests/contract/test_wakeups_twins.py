"""One suite for both queues of wake-ups: what the app sends is what the Functions host of the lab reads, and when."""

import asyncio
import json
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from function_app.adapters.clock import SystemClock
from function_app.adapters.storage.queue import WakeUpsInDirectory, WakeUpsOverQueue
from function_app.domain.base.errors import Unavailable
from function_app.reconcile.ports import WakeUps
from tests.azurite import Azurite, running_azurite
from tools.functions_host.queues import DirectoryQueue, Queue, Received
from tools.functions_host.settings import MessageEncoding
from tools.functions_host.storage_queue import StorageQueue

TWINS = ["directory", "storage queue"]
NOW = timedelta(0)
VISIBILITY = timedelta(seconds=30)


@dataclass(frozen=True)
class Twin:
    """The app's side, which sends, and the host's side, which receives."""

    wake_ups: WakeUps
    host: Queue


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with running_azurite() as running:
        yield running


@pytest.fixture(params=TWINS)
async def twin(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Twin]:
    queue = f"wakeups-{uuid.uuid4().hex}"
    if request.param == "directory":
        yield Twin(WakeUpsInDirectory(tmp_path, queue, SystemClock()), DirectoryQueue(tmp_path, queue))
        return
    azurite: Azurite = request.getfixturevalue("azurite")
    over_queue = WakeUpsOverQueue.from_connection_string(azurite.connection_string, queue)
    host = StorageQueue(azurite.connection_string, queue, MessageEncoding.BASE64)
    yield Twin(over_queue, host)
    await over_queue.close()
    await host.close()


@pytest.fixture(params=TWINS)
async def broken(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[WakeUps]:
    """Wake-ups whose storage cannot be had."""
    if request.param == "directory":
        (tmp_path / "queues").write_text("not a directory")
        yield WakeUpsInDirectory(tmp_path, "wakeups", SystemClock())
        return
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/devstoreaccount1"
        over_queue = WakeUpsOverQueue.from_connection_string(Azurite(url, url).connection_string, "wakeups")
        yield over_queue
        await over_queue.close()


async def received(host: Queue, until: Callable[[list[Received]], bool]) -> list[Received]:
    """Everything the host got, until it is enough; waits ten seconds at most."""
    messages: list[Received] = []
    async with asyncio.timeout(10):
        while not until(messages):
            batch = await host.receive(32, VISIBILITY)
            messages += batch
            if not batch:
                await asyncio.sleep(0.02)
    return messages


async def test_wake_up_names_its_topology_in_json(twin: Twin) -> None:
    await twin.wake_ups.send("hub-uksouth", NOW)

    (message,) = await received(twin.host, lambda messages: len(messages) == 1)

    assert json.loads(message.body) == {"topology": "hub-uksouth"}
    assert message.dequeue_count == 1
    assert timedelta(days=6, hours=23) < message.expires - message.inserted <= timedelta(days=7)
    assert await twin.host.delete(message)


async def test_wake_up_is_visible_after_its_delay_and_not_before(twin: Twin) -> None:
    started = time.monotonic()
    await twin.wake_ups.send("hub", timedelta(seconds=1))

    assert await twin.host.receive(32, VISIBILITY) == []

    await received(twin.host, lambda messages: len(messages) == 1)
    # Storage Queue counts whole seconds of its own clock, which may be just about to turn.
    assert 0.95 <= time.monotonic() - started <= 3


async def test_delay_of_zero_or_less_is_visible_at_once(twin: Twin) -> None:
    await twin.wake_ups.send("hub", timedelta(seconds=-5))
    await twin.wake_ups.send("hub", NOW)

    assert len(await twin.host.receive(32, VISIBILITY)) == 2


async def test_delay_beyond_what_the_queue_allows_is_cut(twin: Twin) -> None:
    """Storage Queue refuses a message that would expire before it is visible."""
    await twin.wake_ups.send("hub", timedelta(days=30))

    assert await twin.host.receive(32, VISIBILITY) == []


async def test_of_many_senders_no_wake_up_is_lost(twin: Twin) -> None:
    names = [f"hub-{i}" for i in range(20)]

    sends: list[Awaitable[None]] = [twin.wake_ups.send(name, NOW) for name in names]
    await asyncio.gather(*sends)

    messages = await received(twin.host, lambda messages: len(messages) == len(names))
    assert sorted(json.loads(message.body)["topology"] for message in messages) == sorted(names)


async def test_storage_that_cannot_be_had_is_unavailable(broken: WakeUps) -> None:
    with pytest.raises(Unavailable) as raised:
        await broken.send("hub", NOW)

    assert raised.value.retry_after > timedelta(0)

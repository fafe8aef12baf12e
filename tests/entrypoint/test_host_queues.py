"""Queue triggers of the lab's host, as a process over both twins: outputs, attempts, the poison queue."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.azurite import running_azurite
from tests.entrypoint.apps.serving import SAMPLE, WAIT_SECONDS, RunningHost, serving
from tools.functions_host.queues import DirectoryQueue, Queue
from tools.functions_host.settings import MessageEncoding
from tools.functions_host.storage_queue import StorageQueue


@pytest.fixture(scope="module", params=["directory", "azurite"])
def storage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "directory":
        yield f"directory:{tmp_path_factory.mktemp('storage')}"
    else:
        with running_azurite() as azurite:
            yield azurite.connection_string


@pytest.fixture(scope="module")
def host(storage: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    with serving(SAMPLE, tmp_path_factory.mktemp("queues"), storage=storage) as running:
        yield running


@pytest.fixture
async def poison(storage: str) -> AsyncIterator[Queue]:
    queue: Queue
    if storage.startswith("directory:"):
        queue = DirectoryQueue(Path(storage.removeprefix("directory:")), "work-poison")
    else:
        queue = StorageQueue(storage, "work-poison", MessageEncoding.BASE64)
    yield queue
    await queue.close()


async def test_an_output_list_becomes_messages_and_each_runs_the_trigger(host: RunningHost) -> None:
    bodies = {"a", "b", "ü"}
    assert (await host.ask("POST", "/api/work", json=sorted(bodies))).status == 202
    entries = await host.journal_until("on_work", lambda seen: bodies <= {entry["body"] for entry in seen})
    mine = [entry for entry in entries if entry["body"] in bodies]
    assert len(mine) == 3, "a processed message is gone"
    assert all(entry["dequeue_count"] == 1 and entry["id"] and entry["inserted"] for entry in mine)


async def test_a_returned_value_goes_to_the_return_bindings_queue(host: RunningHost) -> None:
    await host.ask("POST", "/api/work", json=["chain"])
    await host.journal_until("on_done", lambda seen: "chain done" in {entry["body"] for entry in seen})


async def test_a_failing_message_is_tried_to_the_limit_and_goes_to_the_poison_queue(
    host: RunningHost, poison: Queue
) -> None:
    await host.ask("POST", "/api/work", json=["fail me"])
    async with asyncio.timeout(WAIT_SECONDS):
        while not (buried := await poison.receive(1, timedelta(hours=1))):  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(0.05)
    assert buried[0].body == "fail me"
    attempts = [entry for entry in await host.journal("on_work") if entry["body"] == "fail me"]
    assert [entry["dequeue_count"] for entry in attempts] == [1, 2, 3], "host.json says maxDequeueCount 3"

"""What the host needs of a queue, over both twins: the local directory and Azure Queue Storage (Azurite)."""

import asyncio
import itertools
import json
import logging
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.azurite import running_azurite
from tools.functions_host.queues import DirectoryQueue, Queue, Received
from tools.functions_host.settings import MessageEncoding
from tools.functions_host.storage_queue import StorageQueue

NOW = timedelta(0)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def connection() -> Iterator[str]:
    with running_azurite() as azurite:
        yield azurite.connection_string


@pytest.fixture(params=["directory", "azurite"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Queue, Queue]]:
    """Two clients of one new queue."""
    name = f"q-{uuid.uuid4().hex}"
    one: Queue
    other: Queue
    if request.param == "directory":
        one, other = DirectoryQueue(tmp_path, name), DirectoryQueue(tmp_path, name)
    else:
        connection = request.getfixturevalue("connection")
        one, other = (StorageQueue(connection, name, MessageEncoding.BASE64) for _ in range(2))
    yield one, other
    await one.close()
    await other.close()


async def until_received(queue: Queue) -> Received:
    async with asyncio.timeout(10):
        while not (received := await queue.receive(1, HOUR)):  # noqa: ASYNC110 - a queue has no event to wait for
            await asyncio.sleep(0.02)
    return received[0]


async def test_what_is_sent_is_received_by_another_client(pair: tuple[Queue, Queue]) -> None:
    sender, receiver = pair
    await sender.send('{"topology": "hüb"}')
    (message,) = await receiver.receive(16, HOUR)
    assert (message.body, message.dequeue_count, message.readable) == ('{"topology": "hüb"}', 1, True)
    now = datetime.now(UTC)
    assert now - timedelta(minutes=1) < message.inserted <= now + timedelta(seconds=1)
    assert message.expires > now + timedelta(days=6)
    assert now < message.next_visible <= now + HOUR + timedelta(seconds=1)


async def test_receiving_from_a_queue_that_is_not_there_gives_nothing(pair: tuple[Queue, Queue]) -> None:
    assert await pair[0].receive(16, HOUR) == []


async def test_a_received_message_is_hidden_from_others(pair: tuple[Queue, Queue]) -> None:
    await pair[0].send("one")
    assert len(await pair[0].receive(16, HOUR)) == 1
    assert await pair[1].receive(16, HOUR) == []


async def test_no_more_than_the_limit_is_received(pair: tuple[Queue, Queue]) -> None:
    for number in range(5):
        await pair[0].send(str(number))
    first, second = await pair[0].receive(3, HOUR), await pair[1].receive(3, HOUR)
    assert (len(first), len(second)) == (3, 2)
    assert {message.body for message in first + second} == set("01234")


async def test_a_released_message_comes_again_with_a_higher_count(pair: tuple[Queue, Queue]) -> None:
    await pair[0].send("again")
    (first,) = await pair[0].receive(1, HOUR)
    assert await pair[0].extend(first, NOW) is not None
    second = await until_received(pair[1])
    assert (second.id, second.body, second.dequeue_count) == (first.id, "again", 2)


async def test_a_deleted_message_never_comes_again(pair: tuple[Queue, Queue]) -> None:
    await pair[0].send("once")
    (message,) = await pair[0].receive(1, HOUR)
    assert await pair[0].delete(message) is True
    assert await pair[0].delete(message) is False
    assert await pair[1].receive(1, HOUR) == []


async def test_extending_keeps_the_message_and_its_old_receipt_is_void(pair: tuple[Queue, Queue]) -> None:
    await pair[0].send("long")
    (message,) = await pair[0].receive(1, timedelta(minutes=1))
    held = await pair[0].extend(message, HOUR)
    assert held is not None
    assert held.next_visible > message.next_visible
    assert held.dequeue_count == message.dequeue_count
    assert await pair[0].extend(message, HOUR) is None
    assert await pair[0].delete(message) is False
    assert await pair[0].delete(held) is True


async def test_a_message_taken_over_by_another_is_lost_to_the_first(pair: tuple[Queue, Queue]) -> None:
    await pair[0].send("mine")
    (first,) = await pair[0].receive(1, timedelta(seconds=1))
    second = await until_received(pair[1])
    assert second.id == first.id
    assert await pair[0].delete(first) is False
    assert await pair[1].delete(second) is True


async def test_a_delayed_message_is_not_visible_yet(pair: tuple[Queue, Queue]) -> None:
    await pair[0].send("later", delay=HOUR)
    assert await pair[0].receive(1, HOUR) == []


async def test_a_delayed_message_becomes_visible(pair: tuple[Queue, Queue]) -> None:
    await pair[0].send("soon", delay=timedelta(seconds=1))
    assert (await until_received(pair[1])).body == "soon"


async def test_of_many_receivers_one_gets_each_message(pair: tuple[Queue, Queue]) -> None:
    for number in range(12):
        await pair[0].send(str(number))
    batches = await asyncio.gather(*(queue.receive(4, HOUR) for queue in pair * 6))
    bodies = sorted(int(message.body) for message in itertools.chain(*batches))
    assert bodies == sorted(set(bodies)), "no message was received twice"
    left = await pair[0].receive(12, HOUR)
    assert len(bodies) + len(left) == 12


async def test_azure_text_that_is_not_encoded_is_marked_unreadable(connection: str) -> None:
    name = f"q-{uuid.uuid4().hex}"
    plain, encoded = (
        StorageQueue(connection, name, encoding) for encoding in (MessageEncoding.NONE, MessageEncoding.BASE64)
    )
    await plain.send("not base64!")
    (message,) = await encoded.receive(1, HOUR)
    assert (message.body, message.readable) == ("not base64!", False)
    await plain.close()
    await encoded.close()


async def test_the_directory_format_is_as_the_apps_own_sender_writes_it(tmp_path: Path) -> None:
    queue = DirectoryQueue(tmp_path, "wakeups")
    before = int(datetime.now(UTC).timestamp() * 1000)
    await queue.send("text", delay=timedelta(seconds=5))
    (file,) = (tmp_path / "queues" / "wakeups").iterdir()
    due, identity, count, suffix = file.name.split(".")
    assert (len(due), len(identity), count, suffix) == (15, 32, "0", "msg")
    assert before + 5000 <= int(due) <= before + 6000
    document = json.loads(file.read_text())
    assert set(document) == {"body", "inserted", "expires"}
    assert document["body"] == "text"
    assert datetime.fromisoformat(document["inserted"]).tzinfo is not None


async def test_a_message_written_by_hand_is_received(tmp_path: Path) -> None:
    directory = tmp_path / "queues" / "wakeups"
    directory.mkdir(parents=True)
    identity = uuid.uuid4().hex
    document = {"body": "hand", "inserted": "2026-01-01T00:00:00+00:00", "expires": "2999-01-01T00:00:00+00:00"}
    (directory / f"{0:015d}.{identity}.2.msg").write_text(json.dumps(document))
    (message,) = await DirectoryQueue(tmp_path, "wakeups").receive(1, HOUR)
    assert (message.id, message.body, message.dequeue_count) == (identity, "hand", 3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (f"{0:015d}.{'a' * 32}.0.msg", "{torn"),
        (f"{0:015d}.{'a' * 32}.0.msg", '{"body": "x"}'),
        (f"{0:015d}.{'a' * 32}.0.msg", "[]"),
        (f"{0:015d}.{'a' * 32}.0.msg", '{"body": "x", "inserted": "2026-01-01", "expires": "2999-01-01"}'),
        ("notes.txt", "hello"),
    ],
)
async def test_torn_and_foreign_files_are_left_alone_and_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: str
) -> None:
    directory = tmp_path / "queues" / "wakeups"
    directory.mkdir(parents=True)
    (directory / name).write_text(content)
    queue = DirectoryQueue(tmp_path, "wakeups")
    await queue.send("good")
    with caplog.at_level(logging.WARNING):
        assert [message.body for message in await queue.receive(5, HOUR)] == ["good"]
        assert await queue.receive(5, HOUR) == []
    assert [name in record.getMessage() for record in caplog.records] == [True]
    assert (directory / name).read_text() == content


async def test_a_message_past_its_expiry_is_dropped(tmp_path: Path) -> None:
    directory = tmp_path / "queues" / "wakeups"
    directory.mkdir(parents=True)
    document = {"body": "old", "inserted": "2020-01-01T00:00:00+00:00", "expires": "2020-01-08T00:00:00+00:00"}
    (directory / f"{0:015d}.{uuid.uuid4().hex}.0.msg").write_text(json.dumps(document))
    assert await DirectoryQueue(tmp_path, "wakeups").receive(1, HOUR) == []
    assert list(directory.iterdir()) == []

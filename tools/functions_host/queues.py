"""Queues as the host needs them: the port, and the twin over a local directory. The Azure twin is `storage_queue.py`.

The directory format (its other writer is the app's own sender):

    PATH/queues/{queue}/{due_ms:015d}.{id}.{dequeue_count}.msg

`due_ms` is the Unix time in ms from which the message is visible, `id` a UUID in hex. The file holds
{"body": str, "inserted": ISO-8601, "expires": ISO-8601}. Every change is a rename, and whoever's rename succeeds owns
the message: any number of processes may send and receive.
"""

import asyncio
import json
import logging
import re
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

log = logging.getLogger(__name__)

TIME_TO_LIVE = timedelta(days=7)  # Azure's default
_NAME = re.compile(r"(?P<due>\d{15})\.(?P<id>[0-9a-f]{32})\.(?P<count>\d+)\.msg")


@dataclass(frozen=True, slots=True)
class Received:
    """A message this process holds until `next_visible`. `receipt` is what the queue wants back with it.

    `readable` is False when its encoding is not the one that host.json names; `body` is then the text as it came.
    """

    id: str
    body: str
    dequeue_count: int
    receipt: str
    inserted: datetime
    expires: datetime
    next_visible: datetime
    readable: bool = True


class Queue(Protocol):
    """All raise OSError or the SDK's AzureError when the store cannot be reached."""

    async def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        """Put a message, visible after `delay`. The queue is created when it is missing."""

    async def receive(self, limit: int, visibility: timedelta) -> list[Received]:
        """At most `limit` visible messages, hidden from others for `visibility`; their dequeue count has risen."""

    async def extend(self, message: Received, visibility: timedelta) -> Received | None:
        """Hide it for `visibility` from now: to keep it, or (with 0) to give it back. None: it was no longer ours."""

    async def delete(self, message: Received) -> bool:
        """False: it was no longer ours, another receiver will process it too."""

    async def close(self) -> None: ...


class DirectoryQueue:
    """File operations are short and local; they run in a thread so that a slow disk delays no other task."""

    def __init__(self, path: Path, queue: str) -> None:
        self._directory = path / "queues" / queue
        self._warned: set[str] = set()

    async def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        await asyncio.to_thread(self._send, body, delay)

    async def receive(self, limit: int, visibility: timedelta) -> list[Received]:
        return await asyncio.to_thread(self._receive, limit, visibility)

    async def extend(self, message: Received, visibility: timedelta) -> Received | None:
        return await asyncio.to_thread(self._extend, message, visibility)

    async def delete(self, message: Received) -> bool:
        return await asyncio.to_thread(self._delete, message)

    async def close(self) -> None:
        return None

    def _send(self, body: str, delay: timedelta) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        now, identity = datetime.now(UTC), uuid.uuid4().hex
        document = {"body": body, "inserted": now.isoformat(), "expires": (now + TIME_TO_LIVE).isoformat()}
        draft = self._directory / f".tmp-{identity}"
        draft.write_text(json.dumps(document))
        draft.rename(self._directory / _file_name(now + delay, identity, 0))

    def _receive(self, limit: int, visibility: timedelta) -> list[Received]:
        self._directory.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC)
        received: list[Received] = []
        for file in sorted(entry for entry in self._directory.iterdir() if not entry.name.startswith(".tmp-")):
            found = _NAME.fullmatch(file.name)
            if found is None:
                self._warn(file, "not a message's name")
                continue
            if int(found["due"]) > _milliseconds(now) or len(received) == limit:
                continue
            if (message := self._take(file, found, now, visibility)) is not None:
                received.append(message)
        return received

    def _take(self, file: Path, name: re.Match[str], now: datetime, visibility: timedelta) -> Received | None:
        try:
            text = file.read_text()
        except FileNotFoundError:
            return None  # another receiver was quicker
        try:
            document = json.loads(text)
            body = document["body"]
            inserted, expires = (datetime.fromisoformat(document[key]) for key in ("inserted", "expires"))
            expired = expires <= now
        except (ValueError, KeyError, TypeError) as torn:
            self._warn(file, f"not a message: {torn!r}")
            return None
        if expired:
            file.unlink(missing_ok=True)
            return None
        due, count = now + visibility, int(name["count"]) + 1
        receipt = _file_name(due, name["id"], count)
        if not self._rename(file.name, receipt):
            return None
        return Received(name["id"], body, count, receipt, inserted, expires, due)

    def _extend(self, message: Received, visibility: timedelta) -> Received | None:
        due = datetime.now(UTC) + visibility
        receipt = _file_name(due, message.id, message.dequeue_count)
        if not self._rename(message.receipt, receipt):
            return None
        return replace(message, receipt=receipt, next_visible=due)

    def _delete(self, message: Received) -> bool:
        try:
            (self._directory / message.receipt).unlink()
        except FileNotFoundError:
            return False
        return True

    def _rename(self, old: str, new: str) -> bool:
        try:
            (self._directory / old).rename(self._directory / new)
        except FileNotFoundError:
            return False
        return True

    def _warn(self, file: Path, why: str) -> None:
        if file.name not in self._warned:
            self._warned.add(file.name)
            log.warning("queue directory %s: %s is ignored, %s", self._directory, file.name, why)


def _file_name(due: datetime, identity: str, dequeue_count: int) -> str:
    return f"{_milliseconds(due):015d}.{identity}.{dequeue_count}.msg"


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)

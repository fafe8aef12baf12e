"""Wake-ups: messages that name a topology, visible after a delay, for the queue trigger to read.

One twin over Storage Queue, one over a local directory that the lab's Functions host reads:

    PATH/queues/{queue}/{due_ms:015d}.{id}.{dequeue_count}.msg

`due_ms` is the Unix time in ms from which the message is visible, `id` a UUID in hex. The file holds
{"body": str, "inserted": ISO-8601, "expires": ISO-8601} and appears by a rename. Reading is not here: the platform does it.
"""

import asyncio
import importlib
import json
import math
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from function_app.adapters.storage.client import CLIENT_OPTIONS, LateClient, Loaded
from function_app.domain.base.errors import Unavailable
from function_app.reconcile.ports import Clock

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.queue.aio import QueueClient

TIME_TO_LIVE = timedelta(days=7)
"""Storage Queue's default."""
DELAY_MAX = timedelta(days=6)
"""A message must become visible before it expires; the sweep looks at every topology far sooner anyway."""


def _body(topology: str) -> str:
    return json.dumps({"topology": topology})


def _delay(after: timedelta) -> timedelta:
    return min(max(after, timedelta(0)), DELAY_MAX)


class WakeUpsOverQueue:
    """Wake-ups in a Storage Queue, which is created when it turns out to be missing.

    The text is base64, which host.json's `extensions.queues.messageEncoding` expects by default. Delays are whole
    seconds there, rounded up. A message that is sent twice costs one look more.
    """

    def __init__(
        self,
        queue: str,
        make_client: Callable[[Any, Any], "QueueClient"],
        identity: Callable[[], "AsyncTokenCredential"] | None = None,
    ) -> None:
        """`make_client` gets the module azure.storage.queue.aio and what `identity` makes; both run in a thread."""
        self._name = queue
        self._queue = LateClient(
            "Queue", "azure.storage.queue.aio", make_client, lambda client: client.create_queue(), identity
        )

    @classmethod
    def from_connection_string(cls, connection: str, queue: str) -> "WakeUpsOverQueue":
        """For Azurite, and for accounts that still allow shared keys."""

        def make_client(sdk: Any, _: object) -> "QueueClient":
            client: QueueClient = sdk.QueueClient.from_connection_string(connection, queue, **_client_options())
            return client

        return cls(queue, make_client)

    @classmethod
    def from_identity(
        cls, account_url: str, credential: Callable[[], "AsyncTokenCredential"], queue: str
    ) -> "WakeUpsOverQueue":
        """`account_url` like https://{account}.queue.core.windows.net; `credential` is called once, in a thread; what it makes
        is closed with the client."""

        def make_client(sdk: Any, identity: Any) -> "QueueClient":
            client: QueueClient = sdk.QueueClient(account_url, queue, credential=identity, **_client_options())
            return client

        return cls(queue, make_client, credential)

    async def send(self, topology: str, after: timedelta) -> None:
        seconds = math.ceil(_delay(after).total_seconds())

        async def send(sdk: Loaded["QueueClient"]) -> None:
            await sdk.client.send_message(
                _body(topology), visibility_timeout=seconds, time_to_live=int(TIME_TO_LIVE.total_seconds())
            )

        await self._queue.call(f"send a wake-up to queue {self._name!r}", send)

    async def close(self) -> None:
        await self._queue.close()


def _client_options() -> dict[str, Any]:
    encode = importlib.import_module("azure.storage.queue").TextBase64EncodePolicy()
    return {**CLIENT_OPTIONS, "message_encode_policy": encode}


class WakeUpsInDirectory:
    """Wake-ups as files under `path`/queues/`queue`, created on first use; the text is plain."""

    def __init__(self, path: Path, queue: str, clock: Clock) -> None:
        self._directory = path / "queues" / queue
        self._clock = clock

    async def send(self, topology: str, after: timedelta) -> None:
        now = self._clock.now()
        delay = _delay(after)
        # Rounded up, so that it is never visible too early; without a delay it is visible at once.
        due_ms = (math.ceil if delay else math.floor)((now + delay).timestamp() * 1000)
        message = {
            "body": _body(topology),
            "inserted": now.isoformat(),
            "expires": (now + TIME_TO_LIVE).isoformat(),
        }
        try:
            await asyncio.to_thread(self._write, due_ms, json.dumps(message))
        except OSError as error:
            raise Unavailable(f"cannot send a wake-up to {self._directory}: {error.strerror or error}") from error

    def _write(self, due_ms: int, text: str) -> None:
        # Not synced to the disk: the sweep makes up for a wake-up that is lost in a power cut.
        self._directory.mkdir(parents=True, exist_ok=True)
        identity = uuid.uuid4().hex
        draft = self._directory / f".tmp-{identity}"
        draft.write_text(text, encoding="utf-8")
        draft.rename(self._directory / f"{due_ms:015d}.{identity}.0.msg")

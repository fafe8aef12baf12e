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

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError

from function_app.adapters import connecting
from function_app.adapters.storage.account import CALL_TIMEOUT, CONNECT_TIMEOUT, READ_TIMEOUT
from function_app.domain.base.errors import BadInput, Unavailable
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
    seconds there, rounded up. A message that is sent twice costs one look more. Nothing connects, and no connection string is
    read, before the first message; the SDK is imported then, in a thread, and the client made there.
    """

    def __init__(
        self,
        queue: str,
        make_client: Callable[[Any, Any], "QueueClient"],
        identity: Callable[[], "AsyncTokenCredential"] | None = None,
    ) -> None:
        """`make_client` gets the module azure.storage.queue.aio and what `identity` makes; both run in a thread."""
        self._name = queue
        self._make_client = make_client
        self._make_identity = identity
        self._client: QueueClient | None = None
        self._identity: AsyncTokenCredential | None = None
        self._loading = asyncio.Lock()

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
        lasts = int(TIME_TO_LIVE.total_seconds())
        async with self._loading:
            if self._client is None:
                self._client = await asyncio.to_thread(self._load)
        client = self._client
        try:
            async with asyncio.timeout(CALL_TIMEOUT.total_seconds()):
                try:
                    await client.send_message(_body(topology), visibility_timeout=seconds, time_to_live=lasts)
                except ResourceNotFoundError as error:
                    if _code(error) != "QueueNotFound":
                        raise
                    await _create(client)
                    await client.send_message(_body(topology), visibility_timeout=seconds, time_to_live=lasts)
        except (AzureError, TimeoutError, OSError) as error:
            why = _code(error) or connecting.why(error)
            raise Unavailable(f"cannot send a wake-up to queue {self._name!r}: {why}") from error

    async def close(self) -> None:
        client, self._client, identity, self._identity = self._client, None, self._identity, None
        if client is not None:
            await client.close()
        if identity is not None:
            await identity.close()

    def _load(self) -> "QueueClient":
        sdk = importlib.import_module("azure.storage.queue.aio")
        self._identity = None if self._make_identity is None else self._make_identity()
        try:
            return self._make_client(sdk, self._identity)
        except ValueError as error:
            raise BadInput.of("storage account", str(error)) from error


async def _create(client: "QueueClient") -> None:
    # Only when missing: an identity with rights on the place alone may not create one.
    try:
        await client.create_queue()
    except ResourceExistsError as error:
        if _code(error) != "QueueAlreadyExists":
            raise


def _code(error: BaseException) -> str:
    """Storage's error code, which the SDK gives as an enum member or as a string; empty where there is none."""
    given = getattr(error, "error_code", None)
    return str(getattr(given, "value", given) or "")


def _client_options() -> dict[str, Any]:
    """One quick retry, for a stale connection; when to try again after that is for the caller to decide."""
    return {
        "retry_total": 1,
        "initial_backoff": 0,
        "increment_base": 0,
        "random_jitter_range": 0,
        "connection_timeout": CONNECT_TIMEOUT.total_seconds(),
        "read_timeout": READ_TIMEOUT.total_seconds(),
        "use_env_settings": False,  # no proxy of the environment: it would be shown our token
        "message_encode_policy": importlib.import_module("azure.storage.queue").TextBase64EncodePolicy(),
    }


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

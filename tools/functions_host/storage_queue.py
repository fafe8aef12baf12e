"""The queue port over Azure Queue Storage, or Azurite, with the encoding that host.json names.

Imported only when a connection string is used: the SDK takes half a second to load.
"""

import base64
import binascii
import contextlib
from dataclasses import replace
from datetime import datetime, timedelta

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from tools.functions_host.queues import Received
from tools.functions_host.settings import MessageEncoding

RECEIVE_MAX = 32  # the service's own limit for one call


class StorageQueue:
    def __init__(self, connection: str, queue: str, encoding: MessageEncoding) -> None:
        self._client = QueueClient.from_connection_string(connection, queue)
        self._encoding = encoding

    async def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        content = self._encode(body)
        try:
            await self._client.send_message(content, visibility_timeout=_seconds(delay))
        except ResourceNotFoundError:
            await self._create()
            await self._client.send_message(content, visibility_timeout=_seconds(delay))

    async def receive(self, limit: int, visibility: timedelta) -> list[Received]:
        limit = min(limit, RECEIVE_MAX)
        pages = self._client.receive_messages(
            messages_per_page=limit, max_messages=limit, visibility_timeout=_seconds(visibility)
        )
        try:
            return [self._received(message) async for message in pages]
        except ResourceNotFoundError:
            await self._create()
            return []

    async def extend(self, message: Received, visibility: timedelta) -> Received | None:
        try:
            held = await self._client.update_message(
                message.id, pop_receipt=message.receipt, visibility_timeout=_seconds(visibility)
            )
        except HttpResponseError as refused:
            if _is_lost(refused):
                return None
            raise
        return replace(message, receipt=held.pop_receipt or "", next_visible=_known(held.next_visible_on))

    async def delete(self, message: Received) -> bool:
        try:
            await self._client.delete_message(message.id, pop_receipt=message.receipt)
        except HttpResponseError as refused:
            if _is_lost(refused):
                return False
            raise
        return True

    async def close(self) -> None:
        await self._client.close()

    async def _create(self) -> None:
        with contextlib.suppress(ResourceExistsError):  # another client made it first
            await self._client.create_queue()

    def _encode(self, body: str) -> str:
        return base64.b64encode(body.encode()).decode() if self._encoding is MessageEncoding.BASE64 else body

    def _decode(self, content: str) -> str | None:
        if self._encoding is MessageEncoding.NONE:
            return content
        try:
            return base64.b64decode(content, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None

    def _received(self, message: QueueMessage) -> Received:
        body = self._decode(message.content)
        return Received(
            id=message.id,
            body=message.content if body is None else body,
            readable=body is not None,
            dequeue_count=message.dequeue_count or 0,
            receipt=message.pop_receipt or "",
            inserted=_known(message.inserted_on),
            expires=_known(message.expires_on),
            next_visible=_known(message.next_visible_on),
        )


def _is_lost(refused: HttpResponseError) -> bool:
    """404: the message is gone; 400 with PopReceiptMismatch: another receiver has it."""
    return isinstance(refused, ResourceNotFoundError) or getattr(refused, "error_code", None) == "PopReceiptMismatch"


def _known(moment: datetime | None) -> datetime:
    """The SDK's types allow None; the service always says."""
    if moment is None:
        raise ValueError("the queue service left out a message's time")
    return moment


def _seconds(span: timedelta) -> int:
    """Whole seconds, rounded up: the service knows no smaller unit."""
    return -int(-span.total_seconds() // 1)

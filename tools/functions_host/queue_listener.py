"""One queue trigger: poll, process in parallel, delete, give back, or move to the poison queue.

Source of the rules: the Storage Queues extension's listener and host.json's `extensions.queues`. The store is behind
`queues.Queue`; what processing means is the caller's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from azure.core.exceptions import AzureError

from tools.functions_host.errors import HostError
from tools.functions_host.queues import Queue, Received
from tools.functions_host.settings import QueueSettings

log = logging.getLogger(__name__)

HOLD = timedelta(minutes=10)  # how long a message being processed is hidden; the extension's own value
POLL_MIN = timedelta(milliseconds=100)
POISON_SUFFIX = "-poison"

type Process = Callable[[Received], Awaitable[None]]


class QueueListener:
    def __init__(self, name: str, queue: Queue, poison: Queue, settings: QueueSettings, process: Process) -> None:
        """`name` is for the log. `process` raises HostError when the message was not processed."""
        self._name = name
        self._queue = queue
        self._poison = poison
        self._settings = settings
        self._process = process
        self.running: set[asyncio.Task[None]] = set()  # one for each message that is being processed

    async def serve(self) -> None:
        """Poll until cancelled: at once while there is work, less and less often while the queue is empty."""
        pause = POLL_MIN
        while True:
            if len(self.running) > self._settings.new_batch_threshold:
                await asyncio.wait(self.running, return_when=asyncio.FIRST_COMPLETED)
                continue
            if await self.poll():
                pause = POLL_MIN
            else:
                await asyncio.sleep(pause.total_seconds())
                pause = min(pause * 2, max(self._settings.poll_max, POLL_MIN))

    async def poll(self) -> int:
        """Take one batch and start processing it; returns its size, also 0 when the store cannot be reached."""
        try:
            batch = await self._queue.receive(self._settings.batch_size, HOLD)
        except (OSError, AzureError) as unreachable:
            log.error("queue %s cannot be read: %s", self._name, unreachable)
            return 0
        for message in batch:
            task = asyncio.create_task(self._handle(message))
            self.running.add(task)
            task.add_done_callback(self.running.discard)
        return len(batch)

    async def _handle(self, message: Received) -> None:
        try:
            # More than the limit already: earlier attempts took the whole host down with them.
            if not message.readable or message.dequeue_count > self._settings.dequeue_max:
                await self._bury(message)
                return
            message, failure = await self._hold_while_processing(message)
            if failure is None:
                await self._queue.delete(message)
            elif message.dequeue_count >= self._settings.dequeue_max:
                await self._bury(message)
            else:
                log.warning("queue %s: attempt %d of message %s failed", self._name, message.dequeue_count, message.id)
                await self._queue.extend(message, self._settings.visibility_timeout)
        except (OSError, AzureError) as unreachable:
            log.error("queue %s: message %s comes back later: %s", self._name, message.id, unreachable)

    async def _hold_while_processing(self, message: Received) -> tuple[Received, HostError | None]:
        """Process, hiding the message again whenever half of its time is over."""
        processing = asyncio.ensure_future(self._process(message))
        while True:
            done, _ = await asyncio.wait({processing}, timeout=HOLD.total_seconds() / 2)
            if done:
                break
            message = await self._queue.extend(message, HOLD) or message
        try:
            processing.result()
        except HostError as failure:
            return message, failure
        return message, None

    async def _bury(self, message: Received) -> None:
        log.error(
            "queue %s: message %s goes to the poison queue after %d attempts%s",
            self._name,
            message.id,
            message.dequeue_count,
            "" if message.readable else ": it is not encoded as host.json says",
        )
        # Sent first: a crash between the two leaves it in both queues, never in none.
        await self._poison.send(message.body)
        await self._queue.delete(message)

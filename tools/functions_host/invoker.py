"""Runs one function for a trigger and delivers its outputs: the step that every trigger shares."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from azure.core.exceptions import AzureError

from tools.functions_host import messages
from tools.functions_host.errors import FunctionFailedError
from tools.functions_host.functions import Function
from tools.functions_host.messages import TypedData
from tools.functions_host.queues import Received
from tools.functions_host.stores import Stores
from tools.functions_host.worker import Worker


class Invoker:
    def __init__(self, worker: Worker, stores: Stores) -> None:
        self._worker = worker
        self._stores = stores

    async def run(
        self,
        function: Function,
        data: Any,
        metadata: Mapping[str, Any] | None = None,
    ) -> Any:
        """Invoke over a TypedData and send the queue outputs; gives back the return value.

        Raises FunctionFailedError, also when an output could not be sent: the platform counts that as a failed run.
        """
        outcome = await self._worker.invoke(function, data, metadata or {})
        for output in function.outputs:
            value = outcome.returned if output.name == "$return" else outcome.outputs.get(output.name)
            if output.kind != "queue" or value is None:
                continue
            try:
                queue = self._stores.queue(output)
                for text in _texts(value):
                    await queue.send(text)
            except (OSError, AzureError) as unreachable:
                raise FunctionFailedError(function.name, f"output {output.name}: {unreachable}", "") from unreachable
        return outcome.returned

    async def fire(self, function: Function, data: Any) -> None:
        """`run` for triggers that have no use for a return value."""
        await self.run(function, data)

    async def process(self, function: Function, message: Received) -> None:
        """A queue message as the worker knows it: its text, and the service's facts about it as trigger metadata."""
        text = TypedData(string=message.body)
        metadata = {
            "QueueTrigger": text,
            "DequeueCount": messages.as_json(message.dequeue_count),
            "InsertionTime": messages.as_json(message.inserted.isoformat()),
            "ExpirationTime": messages.as_json(message.expires.isoformat()),
            "NextVisibleTime": messages.as_json(message.next_visible.isoformat()),
        }
        if message.id:  # one run by hand has none
            metadata |= {"Id": TypedData(string=message.id), "PopReceipt": TypedData(string=message.receipt)}
        await self.run(function, text, metadata)


def _texts(value: Any) -> Iterator[str]:
    """One text a message: a list is many messages, anything structured goes as its JSON."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            yield item
        elif isinstance(item, bytes):
            yield item.decode()
        else:
            yield json.dumps(item)

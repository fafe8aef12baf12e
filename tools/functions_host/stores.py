"""Which queue a binding means: by its connection's value, a local directory or a storage account."""

from collections.abc import Mapping
from pathlib import Path

from tools.functions_host.functions import Binding
from tools.functions_host.queues import DirectoryQueue, Queue
from tools.functions_host.settings import DIRECTORY_SCHEME, HostJson, connection


class Stores:
    """Opens each queue once and closes them all."""

    def __init__(self, settings: Mapping[str, str], host_json: HostJson) -> None:
        self._settings = settings
        self._host_json = host_json
        self._open: dict[tuple[str, str], Queue] = {}

    def queue(self, binding: Binding, suffix: str = "") -> Queue:
        """The queue that `binding` names, or its companion. Raises ConfigurationError without its connection."""
        value = connection(binding.text("connection"), self._settings)
        key = (value, binding.text("queueName").lower() + suffix)
        if key not in self._open:
            self._open[key] = self._opened(*key)
        return self._open[key]

    async def close(self) -> None:
        for queue in self._open.values():
            await queue.close()

    def _opened(self, value: str, name: str) -> Queue:
        if value.startswith(DIRECTORY_SCHEME):
            return DirectoryQueue(Path(value.removeprefix(DIRECTORY_SCHEME)).absolute(), name)
        # Half a second of imports that a host over a directory does without.
        from tools.functions_host.storage_queue import StorageQueue  # noqa: PLC0415

        return StorageQueue(value, name, self._host_json.queues.encoding)

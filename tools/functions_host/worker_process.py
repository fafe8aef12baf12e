"""The worker as a process: what the platform's proxy worker (Python 3.13 and later) does around Microsoft's libraries.

    python worker_process.py SOCKET LOG_LEVEL [LIBRARIES]

SOCKET is the inherited descriptor that leads to the host, LIBRARIES a directory with the worker's own where Python was started
without any (-S).

The real libraries do the work; this chooses between them and hands the messages over, as proxy_worker/dispatcher.py of
Azure/azure-functions-python-worker does, in the same order. Not Azure's: the socket in place of gRPC, logs on stderr in
place of RpcLog, and one check more (`_checked`).
"""

import asyncio
import importlib
import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_PROJECT = str(Path(__file__).resolve().parents[2])
if __name__ == "__main__":
    sys.path[0] = _PROJECT  # only until what follows is imported: the app must find nothing there
    sys.path += sys.argv[3:]

from tools.functions_host import logs, protocol  # noqa: E402 - see above
from tools.functions_host.protocol import PROTOS  # noqa: E402

SCRIPT_SETTING = "PYTHON_SCRIPT_FILE_NAME"
SCRIPT_DEFAULT = "function_app.py"
DEPENDENCIES = ".python_packages/lib/site-packages"  # where a build puts an app's packages, below its root
V1, V2 = "azure_functions_runtime_v1", "azure_functions_runtime"
ADDRESS = "127.0.0.1"


class Proxy:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._library: Any = None
        self._running: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Answer until the host is gone."""
        protocol.write(self._writer, PROTOS.StreamingMessage(start_stream=PROTOS.StartStream(worker_id="lab")))
        while (message := await protocol.read(reader)) is not None:
            task = asyncio.create_task(self._answer(message))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _answer(self, message: Any) -> None:
        kind = message.WhichOneof("content")
        match kind:
            case "worker_init_request":
                directory = message.worker_init_request.function_app_directory
                if "CONTAINER_NAME" in os.environ:
                    importlib.import_module(V2)
                if os.environ.get("WEBSITE_PLACEHOLDER_MODE") != "1":
                    prefer_packages_of(directory)
                answer = await self._enter(directory, kind, message)
                self._say(worker_init_response=_checked(answer, directory))
            case "function_environment_reload_request":
                directory = message.function_environment_reload_request.function_app_directory
                prefer_packages_of(directory)
                answer = await self._enter(directory, kind, message)
                self._say(function_environment_reload_response=_checked(answer, directory))
            case "functions_metadata_request":
                self._say(function_metadata_response=await self._ask(kind, message))
            case "function_load_request":
                self._say(function_load_response=await self._ask(kind, message))
            case "invocation_request":
                self._say(invocation_response=await self._ask(kind, message))
            case "worker_status_request":
                self._say(worker_status_response=PROTOS.WorkerStatusResponse())

    async def _enter(self, directory: str, kind: str, message: Any) -> Any:
        """Choose the library, with the environment as it is *before* the message, and let it enter the app."""
        script = Path(directory, os.environ.get(SCRIPT_SETTING, SCRIPT_DEFAULT))
        self._library = importlib.import_module(V2 if script.exists() else V1)
        self._library.start_threadpool_executor()
        return await self._ask(kind, message, {"protos": PROTOS, "host": ADDRESS})

    async def _ask(self, kind: str, message: Any, properties: dict[str, Any] | None = None) -> Any:
        """One call of the library, which takes the classes of its messages and the host's address when it enters only."""
        return await getattr(self._library, kind)(SimpleNamespace(request=message, properties=properties or {}))

    def _say(self, **answer: Any) -> None:
        protocol.write(self._writer, PROTOS.StreamingMessage(**answer))


def prefer_packages_of(directory: str) -> None:
    """The platform's order: the app's packages first, the worker's next, the app's own files last."""
    first = str(Path(directory, DEPENDENCIES))
    sys.path[:] = [first, *(entry for entry in sys.path if entry not in (first, directory)), directory]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()


def _checked(answer: Any, directory: str) -> Any:
    """The library imports the script's stem; one of that name elsewhere would be taken, without a word on the platform."""
    script = Path(directory, os.environ.get(SCRIPT_SETTING, SCRIPT_DEFAULT))  # by now with the app's settings
    module = sys.modules.get(script.stem)
    origin = getattr(module, "__file__", None)
    if module is None or not script.exists() or (origin and Path(origin).resolve() == script.resolve()):
        return answer
    said = PROTOS.RpcException(message=f"module {script.stem} came from {origin}, not from {script}")
    return type(answer)(result=PROTOS.StatusResult(status=PROTOS.StatusResult.Failure, exception=said))


async def serve(descriptor: int) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    await Proxy(writer).serve(reader)


def main(descriptor: int, level: str) -> None:
    logs.configure(level)
    # Nothing of this project is on the app's path, neither by this file's place nor by an editable installation.
    sys.path.remove(_PROJECT)
    sys.meta_path[:] = [one for one in sys.meta_path if not getattr(one, "__module__", "").startswith("__editable__")]
    asyncio.run(serve(descriptor))
    os._exit(0)  # the host is gone: what still runs is not waited for


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

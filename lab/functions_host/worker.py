"""The production worker's library, driven in this process: index an app, invoke its functions.

`azure-functions-runtime` is what the platform's Python worker (3.13 and later) runs; here its entry points are called
directly instead of over gRPC. The library keeps the app in module globals: one worker a process.
"""

import asyncio
import importlib
import logging
import os
import secrets
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime

from lab.functions_host import functions, messages
from lab.functions_host.errors import FunctionFailedError, IndexingError
from lab.functions_host.functions import Function
from lab.functions_host.messages import StatusResult, TypedData

log = logging.getLogger(__name__)

SCRIPT_SETTING = "PYTHON_SCRIPT_FILE_NAME"
SCRIPT_DEFAULT = "function_app.py"
DEPENDENCIES = ".python_packages/lib/site-packages"  # where a build puts an app's packages, below its root
_HERE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one invocation gave: its return value and its outputs by binding name, as plain Python values."""

    returned: Any
    outputs: Mapping[str, Any]


class Worker:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._running: dict[asyncio.Task[Any], str] = {}

    async def index(self) -> list[Function]:
        """Load the app and return its functions in the order the app declares them.

        Raises IndexingError with the worker's own message when the app cannot be loaded, and when it has no function:
        the library reports that as a success.
        """
        enter_app(self._root)
        runtime.start_threadpool_executor()
        fields = SimpleNamespace(capabilities={}, function_app_directory=str(self._root))
        _succeeded(await runtime.worker_init_request(messages.request("127.0.0.1", worker_init_request=fields)))
        request = messages.request("127.0.0.1", functions_metadata_request=SimpleNamespace())
        found = _succeeded(await runtime.functions_metadata_request(request)).function_metadata_results
        if not found:
            raise IndexingError(self._nothing_found())
        self._check_origin()
        return [await self._load(metadata) for metadata in found]

    async def invoke(
        self, function: Function, data: TypedData, metadata: Mapping[str, TypedData], trace_parent: str | None = None
    ) -> Outcome:
        """Run `function` once. Raises FunctionFailedError when it raises, or returns what its bindings cannot carry.

        Cancelling this call gives up waiting; the function itself is never interrupted.
        """
        invocation = str(uuid.uuid4())
        trace = SimpleNamespace(trace_parent=trace_parent or _new_trace(), trace_state="", attributes={})
        request = messages.request(
            "127.0.0.1",
            invocation_request=SimpleNamespace(
                invocation_id=invocation,
                function_id=function.id,
                trigger_metadata=metadata,
                input_data=[messages.ParameterBinding(name=function.trigger.name, data=data)],
                trace_context=trace,
                retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
            ),
        )
        run = asyncio.ensure_future(runtime.invocation_request(request))
        self._running[run] = function.name
        run.add_done_callback(self._running.pop)
        response = await asyncio.shield(run)
        if response.result.status != StatusResult.Success:
            raised = response.result.exception
            log.error("%s failed, invocation %s: %s\n%s", function.name, invocation, raised.message, raised.stack_trace)
            raise FunctionFailedError(function.name, raised.message, raised.stack_trace)
        log.debug("%s succeeded, invocation %s", function.name, invocation)
        outputs = {output.name: messages.plain(output.data) for output in response.output_data}
        return Outcome(messages.plain(response.return_value), outputs)

    async def drain(self, limit: timedelta) -> list[str]:
        """Wait until nothing runs any more, at most for `limit`; returns the names of what still runs then."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=limit.total_seconds())
        return sorted(self._running.values())

    async def _load(self, metadata: Any) -> Function:
        fields = SimpleNamespace(function_id=metadata.function_id, metadata=metadata)
        _succeeded(await runtime.function_load_request(messages.request("127.0.0.1", function_load_request=fields)))
        return functions.parse(metadata.function_id, metadata.name, metadata.raw_bindings, os.environ)

    def _nothing_found(self) -> str:
        script = self._root / _script()
        if not script.exists():
            return f"0 functions found: {script} does not exist (the setting {SCRIPT_SETTING} names the file)"
        return f"0 functions found in {script}"

    def _check_origin(self) -> None:
        """The library imports the script's stem: a package or module of that name elsewhere would be taken silently."""
        stem = Path(_script()).stem
        origin = getattr(sys.modules.get(stem), "__file__", None)
        if origin is None or Path(origin).resolve() != (self._root / _script()).resolve():
            raise IndexingError(f"module {stem} came from {origin}, not from {self._root / _script()}")


def enter_app(root: Path) -> None:
    """Make this process the app's: its root first on the path, then its packages, the working directory in it.

    `python -m` put the directory it was started in first, which is this project's when the host is started from there;
    a file that an app's package forgot must not be found there, nor through an editable install of the project.
    """
    first = [str(root), str(root / DEPENDENCIES)]
    sys.path[:] = first + [entry for entry in sys.path if entry not in first and Path(entry or ".").resolve() != _HERE]
    sys.meta_path[:] = [one for one in sys.meta_path if not getattr(one, "__module__", "").startswith("__editable__")]
    importlib.invalidate_caches()
    os.chdir(root)


def stop_threads(*, wait: bool) -> None:
    """Stop the threads that run synchronous functions; without `wait`, whatever still runs is left behind."""
    if wait:
        runtime.stop_threadpool_executor()
    elif (executor := runtime.get_threadpool_executor()) is not None:
        executor.shutdown(wait=False, cancel_futures=True)


def _succeeded(response: Any) -> Any:
    if response.result.status == StatusResult.Success:
        return response
    raised = response.result.exception
    raise IndexingError(f"the worker could not load the app: {raised.message}\n{raised.stack_trace}".rstrip())


def _script() -> str:
    return os.environ.get(SCRIPT_SETTING, SCRIPT_DEFAULT)


def _new_trace() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"

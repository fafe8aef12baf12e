"""The worker as the host keeps it: entered by one of two doors, sent requests, killed, and replaced when it ends.

What happens when, and after how long, is the platform host's (4.1037), as recorded; `channel.py` is one process of it.
"""

import asyncio
import contextlib
import logging
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tools.functions_host import environments, functions, messages
from tools.functions_host.channel import Channel
from tools.functions_host.errors import FunctionFailedError, IndexingError, WorkerGoneError
from tools.functions_host.functions import Function
from tools.functions_host.protocol import PROTOS, load_request
from tools.functions_host.worker_process import DEPENDENCIES, SCRIPT_DEFAULT, SCRIPT_SETTING
from tools.release import platform

log = logging.getLogger(__name__)

HOST_VERSION = "4.1037.0.0"
STANDBY = r"functions\standby\wwwroot"  # one folder: the platform's own slip
KILL_AFTER = timedelta(seconds=2)  # what a run over functionTimeout still gets, unannounced
DEATHS_MAX = 3
DEATHS_FORGOTTEN = timedelta(minutes=30)
SECOND_DEATH_PAUSE = timedelta(seconds=10)  # from the start of the one before


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one invocation gave: its return value and its outputs by binding name, as plain Python values."""

    returned: Any
    outputs: Mapping[str, Any]


class Worker:
    def __init__(self, root: Path, *, placeholder: bool = False, limit: timedelta | None = None) -> None:
        """`placeholder`: enter as on the platform, by specialising one. `limit` is functionTimeout, None for none."""
        self._root = root
        self._placeholder = placeholder
        self._limit = limit
        self._channel: Channel | None = None
        self._ready = asyncio.Event()
        self._found: list[Any] = []
        self._running: dict[str, str] = {}  # function by invocation
        self._overdue: set[Channel] = set()
        self._deaths: list[float] = []
        self._started = 0.0

    async def index(self) -> list[Function]:
        """Load the app and return its functions in the order the app declares them.

        Raises IndexingError with the worker's own message when the app cannot be loaded, and when it has no function:
        the platform runs on with none, and says so nowhere.
        """
        with _as_indexing_error():
            channel = await (self._specialised() if self._placeholder else self._begun())
            found = await self._functions_in(channel, self._root)
            self._found = list(found.function_metadata_results)
            if not self._found:
                channel.kill()
                raise IndexingError(self._nothing_found(found.use_default_metadata_indexing))
            await self._load(channel)
        self._serve_by(channel)
        return [functions.parse(one, os.environ) for one in self._found]

    async def invoke(self, function: Function, data: Any, metadata: Mapping[str, Any]) -> Outcome:
        """Run `function` once over a TypedData. Raises FunctionFailedError when it raises, returns what its bindings cannot
        carry, runs longer than functionTimeout, or loses its worker.

        Cancelling this call gives up waiting; the function itself is never interrupted.
        """
        await self._ready.wait()
        channel, invocation = self._channel, str(uuid.uuid4())
        assert channel is not None
        request = PROTOS.InvocationRequest(
            invocation_id=invocation,
            function_id=function.id,
            trigger_metadata=metadata,
            input_data=[PROTOS.ParameterBinding(name=function.trigger.name, data=data)],
            trace_context=PROTOS.RpcTraceContext(),  # empty without Application Insights
        )
        self._running[invocation] = function.name
        run = asyncio.ensure_future(channel.ask(invocation_request=request))
        run.add_done_callback(lambda _: self._running.pop(invocation, None))
        run.add_done_callback(_forgotten)
        try:
            response = await self._within_limit(channel, function, run)
        except WorkerGoneError as gone:
            raise FunctionFailedError(function.name, str(gone), "") from gone
        if response.result.status != PROTOS.StatusResult.Success:
            raised = response.result.exception
            log.error("%s failed, invocation %s: %s\n%s", function.name, invocation, raised.message, raised.stack_trace)
            raise FunctionFailedError(function.name, raised.message, raised.stack_trace)
        log.debug("%s succeeded, invocation %s", function.name, invocation)
        outputs = {output.name: messages.plain(output.data) for output in response.output_data}
        return Outcome(messages.plain(response.return_value), outputs)

    async def keep(self) -> None:
        """Replace the worker whenever it ends. Returns never; raises WorkerGoneError at the third death within half an hour
        and IndexingError when a new one cannot be entered: then the host ends."""
        while True:
            assert self._channel is not None
            await self._channel.gone.wait()
            self._ready.clear()
            if self._channel in self._overdue:
                self._overdue.discard(self._channel)
            else:
                await self._count_death()
            with _as_indexing_error():
                channel = await self._begun()
                await self._load(channel)
            self._serve_by(channel)

    async def stop(self) -> list[str]:
        """SIGKILL: a worker gets no warning. Returns the names of the functions that were cut off."""
        left = sorted(self._running.values())
        if self._channel is not None:
            self._channel.kill()
            await self._channel.ended()
        return left

    async def _begun(self) -> Channel:
        """A worker with all settings in its environment."""
        channel = await self._start(environments.ordinary(os.environ, self._root), self._root)
        _succeeded(await channel.ask(worker_init_request=self._init(self._root)))
        return channel

    async def _specialised(self) -> Channel:
        """A worker that waited as a placeholder, in another folder and without any app setting, and was then given the app's."""
        with tempfile.TemporaryDirectory(prefix="hopkeeper-standby-") as folder:
            standby = Path(folder, STANDBY)
            standby.mkdir()
            channel = await self._start(environments.placeholder(os.environ, self._root, standby), standby)
            _succeeded(await channel.ask(worker_init_request=self._init(standby)))
            await self._functions_in(channel, standby)
            message = PROTOS.FunctionEnvironmentReloadRequest(
                environment_variables=environments.assigned(os.environ, self._root),
                function_app_directory=str(self._root),
            )
            _succeeded(await channel.ask(function_environment_reload_request=message))
        return channel

    async def _start(self, environment: Mapping[str, str], folder: Path) -> Channel:
        self._started = time.monotonic()
        level = logging.getLevelName(log.getEffectiveLevel())
        # A package that brings its libraries must do with them, and with the worker's own: not with this environment's.
        libraries = platform.worker() if (self._root / DEPENDENCIES).is_dir() else None
        return await Channel.start(environment, folder, level, libraries)

    def _init(self, directory: Path) -> Any:
        return PROTOS.WorkerInitRequest(
            host_version=HOST_VERSION, capabilities={"MultiStream": "10"}, function_app_directory=str(directory)
        )

    async def _functions_in(self, channel: Channel, directory: Path) -> Any:
        request = PROTOS.FunctionsMetadataRequest(function_app_directory=str(directory))
        return _succeeded(await channel.ask(functions_metadata_request=request))

    async def _load(self, channel: Channel) -> None:
        """All at once, sorted by name, and no more of the metadata than the platform gives back."""
        requests = [
            channel.ask(function_load_request=load_request(one))
            for one in sorted(self._found, key=lambda one: one.name)
        ]
        for answer in await asyncio.gather(*requests):
            _succeeded(answer)

    def _serve_by(self, channel: Channel) -> None:
        self._channel = channel
        self._ready.set()

    async def _within_limit(self, channel: Channel, function: Function, run: asyncio.Future[Any]) -> Any:
        seconds = self._limit.total_seconds() if self._limit else None
        if (await asyncio.wait({run}, timeout=seconds))[0]:
            return run.result()
        log.error(
            "%s ran longer than functionTimeout (%s): its worker is killed, with everything else in it: %s",
            function.name,
            self._limit,
            ", ".join(sorted(self._running.values())),
        )
        await asyncio.wait({run}, timeout=KILL_AFTER.total_seconds())
        self._overdue.add(channel)
        channel.kill()
        await channel.gone.wait()
        raise FunctionFailedError(function.name, f"timed out after {self._limit}", "")

    async def _count_death(self) -> None:
        now = time.monotonic()
        self._deaths = [one for one in self._deaths if now - one < DEATHS_FORGOTTEN.total_seconds()] + [now]
        log.error("the worker process ended (death %d of %d)", len(self._deaths), DEATHS_MAX)
        if len(self._deaths) >= DEATHS_MAX:
            raise WorkerGoneError(f"the worker ended {DEATHS_MAX} times: the host ends too, as the platform's does")
        if len(self._deaths) > 1:
            await asyncio.sleep(max(0.0, self._started + SECOND_DEATH_PAUSE.total_seconds() - now))

    def _nothing_found(self, by_v1: bool) -> str:
        script = self._root / os.environ.get(SCRIPT_SETTING, SCRIPT_DEFAULT)
        if not script.exists():
            return f"0 functions found: {script} does not exist (the setting {SCRIPT_SETTING} names the file)"
        if by_v1:
            return (
                f"0 functions found: there is no {self._root / SCRIPT_DEFAULT}, for which the platform's worker looks before it"
                f" knows {SCRIPT_SETTING}; put a file of that name beside host.json (a comment is enough)"
            )
        return f"0 functions found in {script}"


@contextlib.contextmanager
def _as_indexing_error() -> Iterator[None]:
    try:
        yield
    except WorkerGoneError as gone:
        raise IndexingError(f"the worker could not load the app: {gone}") from gone


def _forgotten(run: asyncio.Future[Any]) -> None:
    """Marks a request to a dead worker as seen: its caller may wait no longer, and asyncio warns of unread exceptions."""
    if not run.cancelled():
        run.exception()


def _succeeded(response: Any) -> Any:
    if response.result.status == PROTOS.StatusResult.Success:
        return response
    raised = response.result.exception
    raise IndexingError(f"the worker could not load the app: {raised.message}\n{raised.stack_trace}".rstrip())

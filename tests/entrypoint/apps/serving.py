"""Runs the lab's Functions host as a process over an app, for tests, and talks to it."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

REPOSITORY = Path(__file__).parents[3]
SAMPLE = Path(__file__).parent / "sample"
WAIT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class RunningHost:
    """`log` is the file its stderr goes to."""

    process: subprocess.Popen[str]
    url: str
    keys: Mapping[str, Any]
    log: Path

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        async with aiohttp.ClientSession() as session, session.request(method, self.url + path, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def journal(self, function: str) -> list[dict[str, Any]]:
        entries = (await self.ask("GET", "/api/journal")).json()
        return [entry for entry in entries if entry["function"] == function]

    async def journal_until(
        self, function: str, enough: Callable[[list[dict[str, Any]]], bool]
    ) -> list[dict[str, Any]]:
        """The function's entries once they are `enough`; fails after WAIT_SECONDS with what there was."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not enough(entries := await self.journal(function)):  # noqa: ASYNC110 - another process has no event to wait for
                await asyncio.sleep(0.03)
        return entries

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)


@contextlib.contextmanager
def serving(
    root: Path, scratch: Path, *, storage: str | None = None, arguments: Sequence[str] = (), **settings: str
) -> Iterator[RunningHost]:
    """The host over `root`, ready. `scratch` gets its log, and its storage unless `storage` names another."""
    log, key_file = scratch / "host.log", scratch / "keys.json"
    environment = (
        clean_environment() | {"AzureWebJobsStorage": storage or f"directory:{scratch / 'storage'}"} | settings
    )
    command = [sys.executable, "-m", "tools.functions_host", "--root", str(root), "--port", "0"]
    command += ["--keys", str(key_file), "--state", str(scratch / "state"), *arguments]
    with log.open("a") as stderr:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("ready http://127.0.0.1:"), log.read_text()
        keys = json.loads(key_file.read_text())
        yield RunningHost(process, first.split()[1], keys, log)
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_SECONDS)


def clean_environment() -> dict[str, str]:
    """This process's environment without settings that would win over an app's own."""
    return {name: value for name, value in os.environ.items() if name != "PYTHON_SCRIPT_FILE_NAME"}


def fails(root: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    """Run a host that cannot start; its exit status and what it said on stderr."""
    command = [sys.executable, "-m", "tools.functions_host", "--root", str(root), "--port", "0", *arguments]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=clean_environment() | settings, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stderr

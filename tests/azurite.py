"""Starts Azurite (npm package `azurite`) on free loopback ports, or skips the test that wants it.

`make` installs it into build/node. Data lives in memory and is gone with the process. Not for anything but tests.
"""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.kit.azurite import ACCOUNT, ARGV, AZURITE, KEY, LISTENING, connection_string

START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Azurite:
    """`blob_url` and `queue_url` end with the account's name, as endpoints in a connection string do."""

    blob_url: str
    queue_url: str
    account: str = ACCOUNT
    key: str = KEY

    @property
    def connection_string(self) -> str:
        return connection_string(self.blob_url, self.queue_url)


@contextlib.contextmanager
def running_azurite() -> Iterator[Azurite]:
    """Azurite for as long as the context lasts. Skips, naming what is missing, without Node or the package."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed: the suites over Azurite did not run")
    if not AZURITE.exists():
        pytest.skip(f"Azurite is not installed ({AZURITE} is missing; make installs it): its suites did not run")
    with tempfile.TemporaryDirectory() as directory:
        # The API version check is off: the SDK is always newer than what Azurite knows.
        command = list(ARGV)
        for service in ("blob", "queue", "table"):
            command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", "0"]
        process = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            urls = _listening(process)
            yield Azurite(f"{urls['Blob']}/{ACCOUNT}", f"{urls['Queue']}/{ACCOUNT}")
        finally:
            process.terminate()
            process.communicate(timeout=START_SECONDS)


def _listening(process: subprocess.Popen[str]) -> dict[str, str]:
    """Where each service listens, read from the program's own words; it has said so or ended."""
    urls: dict[str, str] = {}
    said: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        if (found := LISTENING.search(line)) is not None:
            urls[found[1]] = found[2]
        if len(urls) == 3:
            return urls
    raise RuntimeError(f"Azurite did not start: {''.join(said)}")

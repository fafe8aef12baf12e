"""`make host` as a newcomer runs it: what serves, and what the command line needs beside it."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest


def _status(place: Path) -> str:
    command = f". {place}/env && hopkeeper status hub-lab"
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False).stdout


@pytest.mark.timeout(300)
async def test_a_newcomer_sees_a_service_that_is_served_from_the_command_line_beside_it(tmp_path: Path) -> None:
    serve = [sys.executable, "-m", "lab.serve", "--port", "0", "--place", str(tmp_path)]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(serve, stdout=log, stderr=log) as serving:
        try:
            async with asyncio.timeout(240):
                while not (tmp_path / "env").exists() or "nva-a serves since" not in _status(tmp_path):
                    assert serving.poll() is None, (tmp_path / "log").read_text()
                    await asyncio.sleep(0.5)
        finally:
            serving.terminate()

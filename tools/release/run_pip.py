"""pip, as what is handed out is fetched and built with it: with nothing but Python, for whoever wants a wheel has no more."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.processes import ToolError

PINNED = Path(__file__).with_name("pins")
"""What pip may fetch for each artefact, with digests; written by `make pins`."""
QUIET = ("--quiet", "--disable-pip-version-check", "--no-input")


def run_pip(failing: str, verb: str, *arguments: str, **how: Any) -> None:
    """Runs pip; `how` is for subprocess.run. Raises ToolError with the words `failing` and pip's own."""
    command = [sys.executable, "-m", "pip", verb, *QUIET, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **how)
    if done.returncode != 0:
        raise ToolError(f"{failing}:\n{done.stderr.strip()}")

"""What a worker finds in its environment at each door, from the host's own: pure.

Source: the environments recorded of the platform's host (tests/entrypoint/recorded/worker.json).
"""

from collections.abc import Mapping
from pathlib import Path

from tools.processes import MARK

# Of the machine, not of the app: a placeholder has them before it knows whose it will be.
MACHINE = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", MARK)
# Of the shell that started the host; the platform's message does not hold them.
SHELL = ("PWD", "OLDPWD", "PYTHONPATH")
THREADS = {"PYTHON_THREADPOOL_THREAD_COUNT": "1000"}


def placeholder(host: Mapping[str, str], root: Path, standby: Path) -> dict[str, str]:
    """Before the app is assigned: the machine's and the platform's, and no app setting."""
    platform = {
        "AzureWebJobsScriptRoot": str(root),
        "CONTAINER_NAME": "lab",
        "FUNCTIONS_APPLICATION_DIRECTORY": str(standby),
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "INITIALIZED_FROM_PLACEHOLDER": "True",
        "WEBSITE_PLACEHOLDER_MODE": "1",
    }
    return {name: host[name] for name in MACHINE if name in host} | platform | THREADS


def assigned(host: Mapping[str, str], root: Path) -> dict[str, str]:
    """What the reload message holds: all of the host's with the app's settings, but for what is empty."""
    platform = {
        "CONTAINER_NAME": "lab",
        "FUNCTIONS_APPLICATION_DIRECTORY": str(root),
        "INITIALIZED_FROM_PLACEHOLDER": "True",
        "WEBSITE_CONTAINER_READY": "1",
        "WEBSITE_PLACEHOLDER_MODE": "0",
    }
    return {name: value for name, value in host.items() if value and name not in SHELL} | platform


def ordinary(host: Mapping[str, str], root: Path) -> dict[str, str]:
    """As Core Tools start a worker, and the platform one that follows a dead one: all settings are there from the start."""
    kept = {name: value for name, value in host.items() if name not in SHELL}
    return THREADS | kept | {"FUNCTIONS_APPLICATION_DIRECTORY": str(root)}

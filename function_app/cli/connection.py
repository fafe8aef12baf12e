"""Runs what a command requests, and closes what that opened."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from function_app.cli.app import App, Direct
from function_app.cli.ends import run


def reach[T](work: Callable[[App], Coroutine[Any, Any, T]], file: Path | None = None) -> T:
    """`file` is what is said to be wrong, where it is."""
    return run(work(Direct()), file)

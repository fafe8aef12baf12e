"""Runs patches: each in a copy of the tree, against the tests that it names.

A patch that no longer applies, does not import, or whose tests fail without it is an error and never a success.
"""

import queue
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from proving.mutants.patch import DoesNotApplyError, Patch
from proving.mutants.workspace import RunError, Workspace

TREE = Path(__file__).resolve().parents[2]

type Say = Callable[["Result"], None]
type Workspaces = queue.SimpleQueue[Workspace]


@dataclass(frozen=True, slots=True)
class Result:
    """`killer` is the test that noticed; `error` says why nothing can be said of this patch."""

    patch: Patch
    killer: str | None
    seconds: float
    error: str | None = None

    @property
    def killed(self) -> bool:
        return self.killer is not None and self.error is None


def run(chosen: Sequence[Patch], jobs: int, say: Say) -> tuple[Result, ...]:
    """Every patch's result, in order; `say` is called with each as it comes. `jobs` copies work side by side."""
    with _workspaces(jobs) as spare, ThreadPoolExecutor(jobs) as threads:
        red = _red(chosen, spare)

        def one(patch: Patch) -> Result:
            workspace = spare.get()
            try:
                result = _try(patch, workspace, red)
            finally:
                spare.put(workspace)
            say(result)
            return result

        return tuple(threads.map(one, chosen))


@contextmanager
def _workspaces(jobs: int) -> Iterator[Workspaces]:
    with ExitStack() as stack:
        spare: Workspaces = queue.SimpleQueue()
        for _ in range(jobs):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hopkeeper-mutants-"))
            spare.put(Workspace.copied(TREE, Path(folder) / "tree"))
        yield spare


def _red(chosen: Sequence[Patch], spare: Workspaces) -> tuple[str, ...]:
    """The tests that fail although nothing is changed. Raises RunError."""
    workspace = spare.get()
    try:
        killers = sorted({killer for patch in chosen for killer in patch.killers})
        return workspace.test(killers, stop_at_first=False).failed
    finally:
        spare.put(workspace)


def _try(patch: Patch, workspace: Workspace, red: Sequence[str]) -> Result:
    started = time.monotonic()
    killer: str | None = None
    error: str | None = None
    unusable = [test for test in red if any(test.startswith(killer) for killer in patch.killers)]
    try:
        if unusable:
            raise RunError(f"its tests fail without it: {', '.join(unusable)}")
        with workspace.patched(patch):
            killer = workspace.test(patch.killers, loads=patch.modules).killer
    except (DoesNotApplyError, SyntaxError, RunError) as problem:
        error = str(problem)
    return Result(patch, killer, round(time.monotonic() - started, 1), error)


def faults(chosen: Sequence[Patch], tree: Path = TREE) -> Iterator[str]:
    """What keeps patches from being run: code that is gone, there twice or no Python, and tests that are not there."""
    tests: dict[str, str] = {}
    for patch in chosen:
        try:
            patch.applied(tree)
        except (DoesNotApplyError, SyntaxError) as error:
            yield str(error) if isinstance(error, DoesNotApplyError) else f"{patch.name}: {error}"
        for killer in patch.killers:
            file, _, test = killer.partition("::")
            if file not in tests:
                tests[file] = (tree / file).read_text() if (tree / file).exists() else ""
            if not tests[file] or (test and f"def {test.partition('[')[0]}(" not in tests[file]):
                yield f"{patch.name}: there is no test {killer}"

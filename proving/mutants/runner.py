"""Runs mutants: each in a copy of the tree, against the tests that it names; a search tries others on a survivor.

A mutant that no longer applies, does not import, or whose tests fail without it is an error and never a success.
"""

import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from proving.mutants.mutant import DoesNotApplyError, Mutant
from proving.mutants.workspace import RunError, Workspace

TREE = Path(__file__).resolve().parents[2]
QUICK = (
    "tests/unit",
    "tests/contract/test_adapters_azure_load_balancer.py",
    "tests/contract/test_adapters_azure_load_balancer_shapes.py",
    "tests/contract/test_agent_commands.py",
    "tests/contract/test_agent_gossip.py",
    "tests/contract/test_app_speaks_the_contract.py",
    "tests/contract/test_app_speaks_to_the_agent.py",
    "tests/contract/test_app_speaks_to_unruly_agents.py",
    "tests/contract/test_documents_twins.py",
)
"""Tried after the named killers: everything of the unit and contract tests that says something about these rules."""
STORMS = (("directed", 300), ("random", 300))
"""Tried last: (profile, seeds)."""

type Say = Callable[["Result"], None]


@dataclass(frozen=True, slots=True)
class Result:
    """`killer` is the test or storm that noticed; `error` why nothing can be said of this mutant."""

    mutant: Mutant
    killer: str | None
    seconds: float
    error: str | None = None

    @property
    def killed(self) -> bool:
        return self.killer is not None and self.error is None


@dataclass(frozen=True, slots=True)
class Plan:
    """How many copies work side by side, and whether a killer is searched for a survivor: minutes for each."""

    jobs: int = 2
    search: bool = False


def run(mutants: Sequence[Mutant], plan: Plan, say: Say) -> tuple[Result, ...]:
    """Every mutant's result, in order; `say` is told each as it comes."""
    with _workspaces(plan.jobs) as spare, ThreadPoolExecutor(plan.jobs) as threads:
        red = _red(mutants, spare)
        quick = _Quick(plan.search)

        def one(mutant: Mutant) -> Result:
            workspace = spare.get()
            try:
                result = _try(mutant, workspace, red, quick)
            finally:
                spare.put(workspace)
            say(result)
            return result

        return tuple(threads.map(one, mutants))


@contextmanager
def _workspaces(jobs: int) -> Iterator["queue.SimpleQueue[Workspace]"]:
    with ExitStack() as stack:
        spare: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
        for _ in range(jobs):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hopkeeper-mutants-"))
            spare.put(Workspace.copied(TREE, Path(folder) / "tree"))
        yield spare


def _red(mutants: Sequence[Mutant], spare: "queue.SimpleQueue[Workspace]") -> tuple[str, ...]:
    """The killers that fail although nothing is mutated. Raises RunError."""
    workspace = spare.get()
    try:
        killers = sorted({killer for mutant in mutants for killer in mutant.killers})
        return workspace.test(killers, stop_at_first=False).failed
    finally:
        spare.put(workspace)


class _Quick:
    """The tests beyond the named killers, which must not fail by themselves either: asked once, when first needed."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._lock = threading.Lock()
        self._red: tuple[str, ...] | None = None

    def green(self, workspace: Workspace) -> bool:
        """Whether they may be used. Raises RunError where they fail without a mutant. Call it before mutating."""
        if not self._wanted:
            return False
        with self._lock:
            if self._red is None:
                self._red = workspace.test(QUICK, stop_at_first=False).failed
        if self._red:
            raise RunError(f"tests fail without any mutant: {', '.join(self._red)}")
        return True


def _try(mutant: Mutant, workspace: Workspace, red: Sequence[str], quick: _Quick) -> Result:
    started = time.monotonic()

    def result(killer: str | None, error: str | None = None) -> Result:
        return Result(mutant, killer, round(time.monotonic() - started, 1), error)

    unusable = [test for test in red if any(test.startswith(killer) for killer in mutant.killers)]
    if unusable:
        return result(None, f"its killers fail without it: {', '.join(unusable)}")
    try:
        with workspace.mutated(mutant):
            seen = workspace.test(mutant.killers, loads=mutant.module)
        if seen.killer is not None or not quick.green(workspace):
            return result(seen.killer)
        with workspace.mutated(mutant):
            return result(_beyond(workspace))
    except (DoesNotApplyError, SyntaxError, RunError) as error:
        return result(None, str(error))


def _beyond(workspace: Workspace) -> str | None:
    seen = workspace.test(QUICK)
    if seen.killer is None and (workspace.root / "lab" / "storm" / "__main__.py").exists():
        for profile, seeds in STORMS:
            seen = workspace.storm(profile, seeds)
            if seen.killer is not None:
                break
    return seen.killer

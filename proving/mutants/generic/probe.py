"""Runs the tests of one module against its mutants, in processes that are forked from one that has imported them.

| the mutant changes | the process is forked | and then |
|---|---|---|
| a function's body | when all tests are collected | puts the changed code into the living function, runs the tests |
| a table, a default, a class | before the product is imported | imports the changed source in place of the file |

Nothing is written to the tree. A process of its own (`python -m proving.mutants.generic.probe MODULE FILE`): it forks, and
has no threads. FILE takes a line for each mutant, so that a run that was ended goes on where it was.

A mutant whose process ends without a word may have been noticed, or starved by what ran beside it: with `--alone` those are
tried once more, which is for a time when nothing else runs.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from proving.mutants.generic.answers import NO_END
from proving.mutants.generic.mutations import Key, Mutant, mutants_of
from proving.mutants.generic.settings import TEXTS, TREE, dotted, paths_of_tests, source_of

CPU_SECONDS = 20
"""Of one mutant's tests: those that run on have no end."""
WALL_SECONDS = 90
OF_THE_TREE = frozenset(
    {"function_app", "tests", "simulator", "proving", "lab", "tools", "hopkeeper_agent", "__main__"}
)
ARGUMENTS = ("-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore:Module already imported")


class Watch:
    """A pytest plugin: the first test that fails, how long each takes, and what to do once all have passed."""

    def __init__(self, then: Callable[[pytest.Session], None] | None = None) -> None:
        self.failed: str | None = None
        self.seconds: dict[str, float] = {}
        self._then = then

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if self._then is None:
            return None
        _run(session, session.items)
        if not session.testsfailed:
            self._then(session)
        return True


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a mutant's source under the name of its module."""

    def __init__(self, module: str, source: str) -> None:
        self._name, self._path, self._source = dotted(module), str(source_of(module)), source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, self._path, "exec"), module.__dict__)  # noqa: S102


class Probe:
    """One module, and the file that takes what comes of its mutants."""

    def __init__(self, module: str, results: Path) -> None:
        self._module = module
        self._results = results
        self._tests = list(paths_of_tests(module))
        self._killers: list[str] = []

    def run(self, alone: bool) -> int:
        """0 once every mutant has been tried, or `alone` every one without an end again; 2 where the tests fail without
        one."""
        seen = results_in(self._results)
        mutants = mutants_of(source_of(self._module).read_text(), TEXTS)
        pending = [m for m in mutants if (seen.get(m.key) == NO_END if alone else m.key not in seen)]
        return self._try(pending) if pending else 0

    def _try(self, pending: Sequence[Mutant]) -> int:
        outside = [m for m in pending if not m.function]
        inside = [m for m in pending if m.function]
        watch = Watch(lambda session: outside.extend(self._swap(session, watch, inside)))
        code = pytest.main([*ARGUMENTS, *self._tests], plugins=[watch])
        if code or not watch.seconds:
            print(
                f"{self._module}: without a mutant {watch.failed or 'pytest'} fails ({code})",
                file=sys.stderr,
                flush=True,
            )
            return 2
        # What pytest and the tests brought in stays imported; the product and the tests are imported anew by each fork.
        for name in [name for name in sys.modules if name.partition(".")[0] in OF_THE_TREE - {"proving", "__main__"}]:
            del sys.modules[name]
        for mutant in outside:
            self._keep(mutant, in_a_fork(partial(self._imported, mutant)))
        return 0

    def _imported(self, mutant: Mutant) -> dict[str, Any]:
        sys.meta_path.insert(0, Changed(self._module, mutant.source))
        watch = Watch()
        code = pytest.main([*ARGUMENTS, "-x", *self._tests], plugins=[watch])
        return {"by": watch.failed or (f"pytest ends with {int(code)}" if code else None)}

    def _swap(self, session: pytest.Session, watch: Watch, mutants: Sequence[Mutant]) -> list[Mutant]:
        """Tries each in a fork of this process. Returns those that the body of a function does not show."""
        living = sys.modules[dotted(self._module)]
        path = str(source_of(self._module))
        rest: list[Mutant] = []
        for mutant in mutants:
            function = _function(living, mutant.function)
            code = _code(compile(mutant.source, path, "exec"), mutant.function)
            if function is None or code is None or _same(function.__code__, code):
                rest.append(mutant)
                continue
            self._keep(mutant, in_a_fork(partial(self._swapped, session, watch, (function, code))))
        return rest

    def _swapped(self, session: pytest.Session, watch: Watch, change: tuple[FunctionType, CodeType]) -> dict[str, Any]:
        change[0].__code__ = change[1]
        # What noticed a mutant before goes first, then the quickest.
        turns = {name: turn for turn, name in enumerate(self._killers)}
        items = sorted(session.items, key=lambda i: (turns.get(i.nodeid, len(turns)), watch.seconds.get(i.nodeid, 0.0)))
        return {"by": _run(session, items)}

    def _keep(self, mutant: Mutant, seen: dict[str, Any] | None) -> None:
        by = seen["by"] if seen is not None else NO_END
        if isinstance(by, str) and by != NO_END:
            self._killers = [by, *(k for k in self._killers if k != by)][:20]
        with self._results.open("a") as lines:
            lines.write(json.dumps({"key": mutant.key, "by": by}) + "\n")


def results_in(file: Path) -> dict[Key, str | None]:
    """By a mutant's key, what noticed it; the last line of a mutant counts. It is what `Seen` says."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return {tuple(row["key"]): row["by"] for row in rows}


def _run(session: pytest.Session, items: Sequence[pytest.Item]) -> str | None:
    """The first test that fails."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return item.nodeid
    return None


def in_a_fork(work: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """What a child says; None where it ended without a word, or had to be ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _silence()
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
            os.write(writing, json.dumps(work()).encode())
        finally:
            os._exit(0)  # also where the work raises: the child must not go on as its parent
    os.close(writing)
    said, ends = b"", time.monotonic() + WALL_SECONDS
    while select.select([reading], [], [], max(0.0, ends - time.monotonic()))[0]:
        part = os.read(reading, 1 << 16)
        if not part:
            break
        said += part
    os.close(reading)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        return dict(json.loads(said))
    except ValueError:
        return None


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _function(module: ModuleType, qualified: str) -> FunctionType | None:
    """The living function of a name such as `Timing.look_lasts`."""
    found: object = module
    for name in qualified.split("."):
        found = vars(found).get(name)
    match found:
        case property(fget=inner) | staticmethod(__func__=inner) | classmethod(__func__=inner):
            found = inner
        case cached_property(func=inner):
            found = inner
    return found if isinstance(found, FunctionType) else None


def _code(module: CodeType, qualified: str) -> CodeType | None:
    for constant in module.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == qualified:
                return constant
            if qualified.startswith(f"{constant.co_qualname}.") or constant.co_name.startswith("<generic"):
                return _code(constant, qualified)
    return None


def _same(one: CodeType, other: CodeType) -> bool:
    """Whether two functions do the same, wherever they stand."""
    if (one.co_code, one.co_names, one.co_varnames) != (other.co_code, other.co_names, other.co_varnames):
        return False
    if len(one.co_consts) != len(other.co_consts):
        return False
    pairs = zip(one.co_consts, other.co_consts, strict=True)
    return all(
        _same(a, b) if isinstance(a, CodeType) and isinstance(b, CodeType) else (a, type(a)) == (b, type(b))
        for a, b in pairs
    )


if __name__ == "__main__":
    os.chdir(TREE)
    sys.exit(Probe(sys.argv[1], Path(sys.argv[2])).run(alone="--alone" in sys.argv[3:]))

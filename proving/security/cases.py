"""The table of cases: cases.toml. A case names the tests that prove it, or is open and says why."""

import ast
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

FILE = Path(__file__).with_name("cases.toml")
ATTACKS = 14
"""Kinds of attack, as the head of cases.toml lists them."""


class Verdict(StrEnum):
    """What is known of a case. `UNPROVEN`: a test of it was left out, or is not there."""

    HOLDS = "holds"
    FAILS = "fails"
    UNPROVEN = "unproven"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Case:
    """`tests` are ids of pytest, without parameters; `open` says why there is none."""

    name: str
    says: str
    tests: tuple[str, ...] = ()
    open: str = ""


def cases(text: str) -> tuple[Case, ...]:
    """Raises ValueError for a case that is named twice, or has not either tests or a reason to be open."""
    found = [Case(**{**each, "tests": tuple(each.get("tests", ()))}) for each in tomllib.loads(text)["case"]]
    for number, case in enumerate(found):
        if bool(case.tests) == bool(case.open):
            raise ValueError(f"{case.name}: it names tests, or says why it is open")
        if case.name in {other.name for other in found[:number]}:
            raise ValueError(f"{case.name}: it is there twice")
    return tuple(found)


def without_a_case(found: Iterable[Case]) -> list[str]:
    """The kinds of attack of which there is no case."""
    kinds = {case.name.partition(".")[0] for case in found}
    return [kind for kind in (f"attack {number}" for number in range(1, ATTACKS + 1)) if kind not in kinds]


def missing(found: Iterable[Case], tree: Path) -> list[str]:
    """Tests that cases name and that are not there."""
    named = sorted({test for case in found for test in case.tests})
    there = {file: _tests(tree / file) for file in {test.partition("::")[0] for test in named}}
    return [test for test in named if test.partition("::")[2] not in there[test.partition("::")[0]]]


def _tests(file: Path) -> frozenset[str]:
    """The functions of a module, without importing it."""
    body = ast.parse(file.read_text()).body if file.exists() else []
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def outcome(test: str, seen: Mapping[str, str]) -> str:
    """Of a test with all its parameters: the worst of what was seen, "missing" if nothing was."""
    found = {said for name, said in seen.items() if name.partition("[")[0] == test}
    return next((worst for worst in ("failed", "skipped", "passed") if worst in found), "missing")


def judged(case: Case, seen: Mapping[str, str]) -> Verdict:
    """By what was seen of its tests."""
    said = {outcome(test, seen) for test in case.tests}
    if case.open:
        return Verdict.OPEN
    if "failed" in said:
        return Verdict.FAILS
    return Verdict.HOLDS if said == {"passed"} else Verdict.UNPROVEN


def report(found: Iterable[Case], seen: Mapping[str, str]) -> Iterator[dict[str, object]]:
    """One object a case, for build/security.json."""
    for case in found:
        about: dict[str, object] = {"case": case.name, "says": case.says, "verdict": judged(case, seen)}
        yield about | (
            {"why": case.open} if case.open else {"tests": {test: outcome(test, seen) for test in case.tests}}
        )

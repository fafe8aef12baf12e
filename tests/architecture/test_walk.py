"""The walk of docs/architecture.md: every step names a function of the product, and a report enters them in that order."""

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADING = "\n## One report, step by step\n"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
STEP = re.compile(r"^(\d+)\. (.+(?:\n  +.+)*)", re.MULTILINE)
STEPS_MAX = 15

type Entered = list[tuple[str, str]]


def steps() -> list[str]:
    return [words for _, words in STEP.findall(PAGE.partition(HEADING)[2].partition("\n## ")[0])]


def function(step: str) -> tuple[str, str] | None:
    """Module and qualified name of the function that a step begins with; None where it is no function of the product."""
    found = re.match(r"`([\w.]+)`", step)
    words = found[1].split(".") if found else []
    for package in ("function_app", "hopkeeper_agent"):
        for cut in range(len(words) - 1, 0, -1):
            module, rest = ".".join((package, *words[:cut])), words[cut:]
            try:
                it: object = import_module(module)
            except ModuleNotFoundError:
                continue
            for name in rest:
                it = getattr(it, name, None)
            # A decorated trigger is an object of the library's: what is entered is the function in it.
            if callable(it) or (it is not None and rest == ["on_report"]):
                return module, ".".join(rest)
    return None


def not_entered(wanted: list[tuple[str, str]], entered: Entered) -> tuple[str, str] | None:
    """The first of these that is not entered after the ones before it."""
    rest = iter(entered)
    return next((each for each in wanted if not any(each == there for there in rest)), None)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Entered:
    """What a report of a failed data path enters, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.architecture.walk", str(tmp_path_factory.mktemp("walk"))],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return [(module, name) for module, name in json.loads(ran.stdout)]


def test_the_walk_is_short_and_each_step_is_one_sentence() -> None:
    assert 10 <= len(steps()) <= STEPS_MAX
    assert [step for step in steps() if len(re.findall(r"[.!?](?:\s|$)", step)) != 1] == []


def test_each_step_names_a_function_that_exists() -> None:
    assert [step for step in steps() if function(step) is None] == []


def test_a_report_enters_the_functions_in_the_order_of_the_walk(played: Entered) -> None:
    assert not_entered([found for step in steps() if (found := function(step))], played) is None


def test_the_trigger_is_entered_once_and_the_app_writes_before_it_commands(played: Entered) -> None:
    report = ("function_app.triggers.agent_reports", "on_report")
    assert report in played
    saved = played.index(("function_app.reconcile.store.records", "Records.save"))
    fenced = played.index(("hopkeeper_agent.role", "fence"))
    assert saved < fenced


@pytest.mark.parametrize(
    "step", ["`domain.service.decide.decides` decides.", "`nowhere.run` runs.", "Nothing is named."]
)
def test_a_step_that_names_no_function_is_found(step: str) -> None:
    assert function(step) is None


def test_a_step_that_is_entered_too_early_is_found() -> None:
    one, two = ("function_app.a", "one"), ("function_app.b", "two")
    assert not_entered([one, two], [one, two]) is None
    assert not_entered([one, two], [two, one]) == two

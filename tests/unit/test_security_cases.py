"""No known attack is without a case, and every test that a case names is there."""

from pathlib import Path

import pytest

from proving.security.cases import FILE, Case, Verdict, cases, judged, missing, report, without_a_case

TREE = Path(__file__).resolve().parents[2]
CASES = cases(FILE.read_text())


def test_no_kind_of_attack_is_without_a_case() -> None:
    assert without_a_case(CASES) == []
    assert without_a_case(case for case in CASES if not case.name.startswith("attack 1.")) == ["attack 1"]


def test_every_test_that_a_case_names_is_there() -> None:
    assert missing(CASES, TREE) == []
    gone = ("tests/nowhere.py::test_a", "tests/unit/test_security_cases.py::test_a")
    assert missing([Case("a", "b", gone)], TREE) == list(gone)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[[case]]\nname = "a"\nsays = "b"', "a: it names tests, or says why it is open"),
        ('[[case]]\nname = "a"\nsays = "b"\ntests = ["t"]\nopen = "c"', "a: it names tests, or"),
        (2 * '[[case]]\nname = "a"\nsays = "b"\nopen = "c"\n', "a: it is there twice"),
    ],
)
def test_a_case_is_named_once_and_proven_or_open(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        cases(text)


def test_a_case_holds_where_each_test_passed_with_all_its_parameters() -> None:
    case = Case("a", "b", ("t.py::one", "t.py::two"))
    passed = {"t.py::one[1]": "passed", "t.py::one[2]": "passed", "t.py::two": "passed"}
    assert judged(case, passed) is Verdict.HOLDS
    assert judged(case, passed | {"t.py::one[2]": "failed"}) is Verdict.FAILS
    assert judged(case, passed | {"t.py::two": "skipped"}) is Verdict.UNPROVEN
    assert judged(case, {"t.py::one": "passed"}) is Verdict.UNPROVEN
    assert judged(Case("a", "b", open="c"), {}) is Verdict.OPEN


def test_the_report_has_each_case_with_its_verdict_and_its_tests_or_its_reason() -> None:
    found = [Case("a", "b", ("t.py::one",)), Case("c", "d", open="e")]
    assert list(report(found, {"t.py::one": "failed"})) == [
        {"case": "a", "says": "b", "verdict": "fails", "tests": {"t.py::one": "failed"}},
        {"case": "c", "says": "d", "verdict": "open", "why": "e"},
    ]

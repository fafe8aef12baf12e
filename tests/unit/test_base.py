"""What everything else stands on: errors, refusals and what they read as."""

from datetime import timedelta

from function_app.domain.base.errors import BadInput, Problem, Transient, Unavailable
from function_app.domain.base.refusal import Refusal, guard_name, refusals


def test_a_problem_names_its_path_and_the_rule() -> None:
    problems = (Problem("$.a", "must be b"), Problem("$.c", "must be d"))
    error = BadInput(problems)
    assert str(problems[0]) == "$.a: must be b"
    assert str(error) == "$.a: must be b; $.c: must be d"
    assert error.problems == problems
    assert BadInput.of("$.a", "must be b").problems == problems[:1]


def test_what_may_help_later_says_when_five_seconds_unless_it_knows_better() -> None:
    assert Transient("busy").retry_after == timedelta(seconds=5)
    assert Unavailable("busy", timedelta(seconds=7)).retry_after == timedelta(seconds=7)
    assert str(Unavailable("busy")) == "busy"


def _at_most_eight(step: int, context: int) -> str | None:
    return None if step <= context else f"{step} are more than {context}"


def _not_yet(step: int, context: int) -> tuple[str, timedelta] | None:
    return None if step == 0 else ("wait", timedelta(seconds=step))


def test_a_refusal_is_named_for_its_guard_and_says_how_long_to_wait_where_that_helps() -> None:
    assert guard_name(_at_most_eight) == "at most eight"
    assert refusals((_at_most_eight, _not_yet), 9, 8) == (
        Refusal("at most eight", "9 are more than 8", None),
        Refusal("not yet", "wait", timedelta(seconds=9)),
    )
    assert refusals((_at_most_eight, _not_yet), 3, 8) == (Refusal("not yet", "wait", timedelta(seconds=3)),)
    assert refusals((_at_most_eight, _not_yet), 0, 8) == ()
    assert Refusal("at most eight", "9 are more than 8").wait is None
    assert str(Refusal("at most eight", "9 are more than 8")) == "at most eight: 9 are more than 8"

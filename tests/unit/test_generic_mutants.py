"""Which mutants are made of a module, how one that survives is named, and that none is left without an answer."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proving.mutants.generic.answers import FILE, NO_END, answers, as_entry, verdict
from proving.mutants.generic.mutations import mutants_of
from proving.mutants.generic.probe import in_a_fork, results_in
from proving.mutants.generic.settings import TESTS, TEXTS, TREE, modules, paths_of_tests, source_of

SOURCE = '''"""A module."""

MOST = 8


class Pool:
    @property
    def full(self) -> bool:
        return self.size >= MOST


def law(pool):
    if pool.closed:
        yield Problem("$.pool", "the pool is closed")
'''


TWICE = """def ends(one, other):
    if one:
        return True
    if other:
        return True
    return False
"""


def made(source: str = SOURCE) -> set[tuple[str, str, str]]:
    """Function, what it was, what it becomes; each of these once."""
    keys = [mutant.key for mutant in mutants_of(source, TEXTS)]
    assert [occurrence for *_, occurrence in keys] == [1] * len(keys)
    return {(function, was, becomes) for function, was, becomes, _ in keys}


def test_tables_properties_and_conditions_are_mutated_and_texts_for_people_are_not() -> None:
    assert made() == {
        ("", "MOST = 8", "MOST = 9"),
        ("Pool.full", "return self.size >= MOST", "return self.size > MOST"),
        ("law", "if pool.closed:", "if not pool.closed:"),
        (
            "law",
            'yield Problem("$.pool", "the pool is closed")',
            'yield Problem("XX$.poolXX", "the pool is closed")',
        ),
        ("law", 'yield Problem("$.pool", "the pool is closed")', 'yield Problem(None, "the pool is closed")'),
    }


def test_a_mutant_is_the_whole_module_with_one_change() -> None:
    (changed,) = [m.source for m in mutants_of(SOURCE, TEXTS) if m.function == "Pool.full"]
    assert changed == SOURCE.replace(">=", ">")


def test_a_mutant_keeps_its_name_where_lines_move() -> None:
    assert made() == made(SOURCE.replace("MOST = 8\n", "MOST = 8\n\n\n# more lines\n"))


def test_the_same_change_at_two_places_is_two_mutants_of_which_the_second_says_so() -> None:
    changed = [m for m in mutants_of(TWICE, TEXTS) if (m.was, m.becomes) == ("return True", "return False")]
    assert [m.key for m in changed] == [("ends", "return True", "return False", number) for number in (1, 2)]
    assert [m.source.splitlines()[2:5:2] for m in changed] == [
        ["        return False", "        return True"],
        ["        return True", "        return False"],
    ]


def test_no_mutant_is_made_twice_or_passed_over() -> None:
    mutants = mutants_of(TWICE, TEXTS)
    assert len({m.source for m in mutants}) == len({m.key for m in mutants}) == len(mutants)


def test_every_module_of_the_domain_has_tests_that_are_there() -> None:
    assert [path for module in modules() for path in paths_of_tests(module) if not (TREE / path).exists()] == []
    assert [key for key in TESTS if not any(f"{module}/".startswith(f"{key}/") for module in modules())] == []


def test_every_answer_names_a_mutant_that_can_be_made() -> None:
    known = answers(FILE.read_text())
    every = {
        (m, *mutant.key) for m in {name[0] for name in known} for mutant in mutants_of(source_of(m).read_text(), TEXTS)
    }
    assert [name for name in known if name not in every] == []


def test_a_survivor_without_an_answer_is_named_and_so_is_an_answer_without_a_survivor() -> None:
    mutants = mutants_of(SOURCE, TEXTS)
    alive = [m.key for m in mutants if m.function == "law"]
    seen = {m.key: None if m.key in alive else "tests/t.py::test" for m in mutants}
    known = {("m", *alive[0]): "it says the same", ("m", "gone", "a", "b", 1): "so", ("other", *alive[1]): "so"}
    found = verdict("m", mutants, seen, known)
    assert found.answered == (("m", *alive[0]),)
    assert found.unanswered == tuple(("m", *key) for key in alive[1:])
    assert found.idle == (("m", "gone", "a", "b", 1),)
    assert found.rate == 2 / 4


def test_an_answer_gives_a_reason() -> None:
    for occurrence in (1, 2):
        name = ("m", "law", 'a = "x"', "a = 1\nb = 2", occurrence)
        with pytest.raises(ValueError, match="no reason"):
            answers(as_entry(name))
        assert answers(as_entry(name) + 'equivalent = "it says the same"\n') == {name: "it says the same"}


def test_an_answer_without_a_number_is_about_the_first_place() -> None:
    assert "occurrence" not in as_entry(("m", "law", "a", "b", 1))


def killed() -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still there")


def broken() -> dict[str, Any]:
    raise MemoryError


@pytest.mark.parametrize("work", [killed, broken])
def test_a_process_that_ends_without_a_word_says_nothing_and_never_goes_on_as_its_parent(
    work: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    assert in_a_fork(lambda: {"by": "tests/t.py::test"}) == {"by": "tests/t.py::test"}
    assert in_a_fork(work) is None
    (tmp_path / str(os.getpid())).touch()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_mutant_without_an_end_is_counted_apart_from_those_that_a_test_noticed() -> None:
    mutants = mutants_of(TWICE, TEXTS)
    seen = {m.key: "tests/t.py::test" for m in mutants} | {mutants[0].key: NO_END}
    found = verdict("m", mutants, seen, {})
    assert (found.noticed, found.endless, found.unanswered, found.rate) == (len(mutants) - 1, 1, (), 1.0)


def test_what_came_of_a_second_try_takes_the_place_of_the_first(tmp_path: Path) -> None:
    file, key = tmp_path / "results.jsonl", ["law", "a", "b", 1]
    file.write_text("".join(json.dumps({"key": key, "by": by}) + "\n" for by in (NO_END, None)))
    assert results_in(file) == {tuple(key): None}

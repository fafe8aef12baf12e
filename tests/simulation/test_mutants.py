"""The list of mutants follows the code, and one mutant of every rule is killed. `make mutants` runs them all."""

import ast

import pytest

from function_app.domain.base.refusal import guard_name
from function_app.domain.peerings import guards as of_peerings
from function_app.domain.service import guards as of_services
from proving.mutants.mutant import DoesNotApplyError, Mutant
from proving.mutants.named import MUTANTS
from proving.mutants.named.guards import NAMES
from proving.mutants.runner import TREE
from proving.mutants.workspace import Workspace

OF_EACH_RULE = {
    "R1": "the grant does not note the target",
    "R2": "silence is a proof",
    "R3": "an acknowledgement of the epoch before counts",
    "R4": "Down that is found is a proof",
    "R5": "the record is read again before the look",
    "R6": "a fence is still believed while it is lifted",
    "R7": "an agent does not compare epochs",
}


def named(name: str) -> Mutant:
    (found,) = (mutant for mutant in MUTANTS if mutant.name == name)
    return found


def test_there_are_at_least_sixty_each_with_a_name_of_its_own() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) >= 60
    assert len(set(names)) == len(names)


def test_every_mutant_changes_the_code_as_it_is_and_leaves_it_python() -> None:
    wrong = []
    for mutant in MUTANTS:
        try:
            compile(mutant.applied((TREE / mutant.file).read_text()), mutant.file, "exec")
        except (DoesNotApplyError, SyntaxError) as error:
            wrong.append(str(error))
    assert wrong == []


def test_every_killer_is_a_test_of_this_tree() -> None:
    tests: dict[str, set[str]] = {}
    missing = []
    for killer in sorted({killer for mutant in MUTANTS for killer in mutant.killers}):
        file, _, test = killer.partition("::")
        if file not in tests:
            nodes = ast.walk(ast.parse((TREE / file).read_text()))
            tests[file] = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        if test and test.partition("[")[0] not in tests[file]:
            missing.append(killer)
    assert missing == []


def test_every_guard_and_every_rule_has_its_mutant() -> None:
    assert set(NAMES) == {guard_name(guard) for guard in (*of_services.GUARDS, *of_peerings.GUARDS)}
    assert {named(f"guard dropped: {name}").rule for name in NAMES} == {f"guard: {name}" for name in NAMES}
    assert all(named(name).rule.startswith(f"{rule}:") for rule, name in OF_EACH_RULE.items())


def test_a_mutant_whose_code_is_gone_or_there_twice_does_not_apply() -> None:
    mutant = Mutant("m", "R1", "f.py", "a = 1\n", "a = 2\n", ())
    assert mutant.applied("a = 1\n") == "a = 2\n"
    for text in ("b = 1\n", "a = 1\na = 1\n"):
        with pytest.raises(DoesNotApplyError):
            mutant.applied(text)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace.copied(TREE, tmp_path_factory.mktemp("mutants") / "tree")


def test_the_killers_pass_without_a_mutant(workspace: Workspace) -> None:
    killers = sorted({killer for name in OF_EACH_RULE.values() for killer in named(name).killers})
    assert workspace.test(killers, stop_at_first=False).failed == ()


@pytest.mark.parametrize("rule", OF_EACH_RULE)
def test_one_mutant_of_each_rule_is_killed(workspace: Workspace, rule: str) -> None:
    mutant = named(OF_EACH_RULE[rule])
    with workspace.mutated(mutant):
        seen = workspace.test(mutant.killers, loads=mutant.module)
    assert seen.killer is not None
    assert mutant.applied((workspace.root / mutant.file).read_text()), "the copy is as it was"

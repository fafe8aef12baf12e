"""The patches of `proving/mutants/protocol` fit today's code, and one of every rule is noticed. `make mutants` runs them all."""

from pathlib import Path

import pytest

from function_app.domain.base.refusal import guard_name
from function_app.domain.networks import guards as of_networks
from function_app.domain.peerings import guards as of_peerings
from function_app.domain.service import guards as of_services
from proving.mutants.patch import DoesNotApplyError, Patch, patches, read
from proving.mutants.runner import TREE, faults
from proving.mutants.workspace import Workspace

PATCHES = {patch.name: patch for patch in patches()}

OF_EACH_RULE = {
    "R1": "the-grant-does-not-note-the-target",
    "R2": "silence-is-a-proof",
    "R3": "an-acknowledgement-of-the-epoch-before-counts",
    "R4": "down-that-is-found-is-a-proof",
    "R5": "the-record-is-read-again-before-the-look",
    "R6": "a-fence-is-still-believed-while-it-is-lifted",
    "R7": "an-agent-does-not-compare-epochs",
}


def test_every_patch_fits_the_code_as_it_is_and_names_tests_that_are_there() -> None:
    assert list(faults(tuple(PATCHES.values()))) == []


def test_every_rule_of_the_protocol_has_its_patches() -> None:
    rules = [patch.rule.partition(":")[0] for patch in PATCHES.values()]
    assert all(rules.count(rule) >= 3 for rule in OF_EACH_RULE)
    assert all(PATCHES[name].rule.startswith(f"{rule}:") for rule, name in OF_EACH_RULE.items())


def test_every_guard_has_a_patch_that_drops_it() -> None:
    dropped = {patch.rule for patch in PATCHES.values() if "guard" in patch.rule.partition(":")[0].split()}
    guards = (*of_services.GUARDS, *of_peerings.GUARDS)
    names = {f"guard: {guard_name(guard)}" for guard in guards}
    assert dropped == names | {f"guard of networks: {guard_name(guard)}" for guard in of_networks.GUARDS}


HEAD = "Rule: R1: so\nTest: tests/t.py::test\n\n--- a/f.py\n+++ b/f.py\n"


def test_a_patch_whose_code_is_gone_or_there_twice_or_in_the_middle_of_a_line_does_not_apply(tmp_path: Path) -> None:
    patch = read("m", HEAD + "@@\n-a = 1\n+a = 2\n@@\n b = 1\n+c = 1\n")
    (tmp_path / "f.py").write_text("a = 1\nb = 1\n")
    assert patch.applied(tmp_path) == {"f.py": "a = 2\nb = 1\nc = 1\n"}
    for text in ("b = 1\n", "a = 1\na = 1\nb = 1\n", "aa = 1\nb = 1\n"):
        (tmp_path / "f.py").write_text(text)
        with pytest.raises(DoesNotApplyError):
            patch.applied(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        HEAD + "@@\n a = 1\n",
        HEAD.replace("Rule", "Law") + "@@\n-a\n+b\n",
        HEAD.replace("Test: tests/t.py::test\n", "") + "@@\n-a\n+b\n",
    ],
    ids=["no hunk", "no change", "no rule", "no test"],
)
def test_a_patch_without_a_rule_a_test_or_a_change_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="m: "):
        read("m", text)


def test_a_patch_that_fits_nothing_is_reported_with_its_name_and_the_reason(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("b = 1\n")
    patch = read("m", HEAD + "@@\n-a = 1\n+a = 2\n")
    assert list(faults([patch], tmp_path)) == [
        "m: f.py holds this 0 times, not once:\na = 1\n",
        "m: there is no test tests/t.py::test",
    ]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace.copied(TREE, tmp_path_factory.mktemp("mutants") / "tree")


def test_the_tests_that_patches_name_pass_without_one(workspace: Workspace) -> None:
    killers = sorted({killer for name in OF_EACH_RULE.values() for killer in PATCHES[name].killers})
    assert workspace.test(killers, stop_at_first=False).failed == ()


@pytest.mark.parametrize("rule", OF_EACH_RULE)
def test_one_patch_of_each_rule_is_noticed(workspace: Workspace, rule: str) -> None:
    patch: Patch = PATCHES[OF_EACH_RULE[rule]]
    with workspace.patched(patch):
        seen = workspace.test(patch.killers, loads=patch.modules)
    assert seen.killer is not None
    assert patch.applied(workspace.root), "the copy is as it was"

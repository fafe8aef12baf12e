"""The Spin model of docs/model: a small size of it, and that what its README maps to the code is still there."""

import pkgutil
import re

import pytest

from proving.model.protocol import CHECKS, FENCE, HOLDS, MODELS, QUICK, WAIT, Check, missing, spin

README = (MODELS / "README.md").read_text()


@pytest.mark.parametrize("check", QUICK, ids=lambda c: c.name)
def test_the_model_holds_and_its_mutants_do_not(check: Check) -> None:
    if missing():
        pytest.skip(f"no {' and no '.join(missing())} here")
    checked = spin(check)
    assert checked.result == check.expected
    assert checked.states > 10


def _mapped() -> list[str]:
    """Every name of the code in the README's mapping, dotted."""
    table = README.split("## Which line is which rule")[1].split("\n## ")[0]
    return sorted(set(re.findall(r"`((?:function_app|hopkeeper_agent)\.[\w.]+)`", table)))


def test_the_mapping_names_code_of_both_sides() -> None:
    assert {name.split(".")[0] for name in _mapped()} == {"function_app", "hopkeeper_agent"}
    assert len(_mapped()) > 15


@pytest.mark.parametrize("name", _mapped())
def test_what_the_mapping_names_is_in_the_code(name: str) -> None:
    assert callable(pkgutil.resolve_name(name))


def test_every_mutant_of_the_model_is_checked_and_explained() -> None:
    in_model = {name for model in (FENCE, WAIT) for name in re.findall(r"MUT_[A-Z]+", (MODELS / model).read_text())}
    checked = {check.name for check in CHECKS if check.expected != HOLDS and check.name.startswith("MUT_")}
    not_killed = {"MUT_RECHECKFIRST"}  # the README says why
    assert in_model - not_killed == checked
    assert [name for name in sorted(in_model) if f"`{name.removeprefix('MUT_')}`" not in README] == []

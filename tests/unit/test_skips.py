"""What is left out of a run is reported, and fails the run unless it is on the list and true."""

from collections.abc import Mapping

import pytest

pytest_plugins = ["pytester"]

LISTED = """
from tests.skips import Named, Skips

TABLE = {"no sun": Named("it is night", lambda: True), "no moon": Named("it is new", lambda: False)}

def pytest_configure(config):
    config.pluginmanager.register(Skips(config, strict=STRICT, named=TABLE), "skips")
"""
UNNAMED = {
    "a skip": "def test_x(): pytest.skip('no bird')",
    "a mark": "@pytest.mark.skip('no bird')\ndef test_x(): pass",
    "a condition": "@pytest.mark.skipif(True, reason='no bird')\ndef test_x(): pass",
    "a fixture's skip": "@pytest.fixture\ndef bird(): pytest.skip('no bird')\ndef test_x(bird): pass",
    "a whole file": "pytest.skip('no bird', allow_module_level=True)\ndef test_x(): pass",
    "an import": "pytest.importorskip('no_such_module')\ndef test_x(): pass",
    "a failure that is expected": "@pytest.mark.xfail(reason='no bird')\ndef test_x(): assert False",
    "a failure that did not come": "@pytest.mark.xfail(reason='no bird')\ndef test_x(): pass",
    "no parameters": "@pytest.mark.parametrize('x', [])\ndef test_x(x): pass",
    "a name inside of a reason": "def test_x(): pytest.skip('there is no sun')",
}
RUNS = {"alone": (), "in workers": ("-n", "2")}


def run(pytester: pytest.Pytester, files: Mapping[str, str], *options: str, strict: bool = True) -> tuple[int, str]:
    """One run over these files and another that passes; its exit status, and what it printed."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest(LISTED.replace("STRICT", str(strict)))
    sources = {f"test_{name.replace(' ', '_')}": f"import pytest\n{text}\n" for name, text in files.items()}
    pytester.makepyfile(**sources, test_more="def test_y(): pass\n")
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)
    return int(done.ret), done.stdout.str()


def test_a_run_that_left_nothing_out_says_so_and_passes(pytester: pytest.Pytester) -> None:
    status, said = run(pytester, {"it": "def test_x(): pass"})
    assert (status, "skipped: nothing" in said) == (0, True), said


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_what_no_name_excuses_fails_the_run_whatever_left_it_out(
    pytester: pytest.Pytester, options: tuple[str, ...]
) -> None:
    files = UNNAMED | {"deselected": "def test_x(): pass", "true": "def test_x(): pytest.skip('no sun: at all')"}
    status, said = run(pytester, files, "--deselect", "test_deselected.py", *options)
    assert status == pytest.ExitCode.TESTS_FAILED, said
    assert f"error: left out for no reason that is named in tests/skips.py: {len(UNNAMED) + 1}" in said
    assert f"skipped: {len(UNNAMED) + 2}\n" in said
    assert [name for name in files if f"    test_{name.replace(' ', '_')}.py: 1\n" not in said] == []
    assert "  deselected (not a named reason)\n    test_deselected.py: 1\n" in said
    assert "  no sun: at all (it is night)\n    test_true.py: 1\n" in said


def test_a_name_that_is_true_passes(pytester: pytest.Pytester) -> None:
    status, said = run(pytester, {"it": "def test_x(): pytest.skip('no sun')"})
    assert status == 0, said


@pytest.mark.parametrize("strict", [True, False])
def test_a_name_that_is_not_true_fails_every_run(pytester: pytest.Pytester, strict: bool) -> None:
    status, said = run(pytester, {"it": "def test_x(): pytest.skip('no moon')"}, strict=strict)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "error: test_it.py::test_x says 'no moon', and that is not so" in said


def test_a_developers_run_reports_and_passes(pytester: pytest.Pytester) -> None:
    status, said = run(pytester, {"it": UNNAMED["a skip"]}, strict=False)
    assert (status, "  no bird (not a named reason)\n" in said) == (0, True), said


@pytest.mark.parametrize(("options", "status"), [((), 0), (("--no-skips",), 1)])
def test_this_projects_runs_are_held_to_the_list_when_the_option_is_given(
    pytester: pytest.Pytester, options: tuple[str, ...], status: int
) -> None:
    pytester.makepyfile(test_it="import pytest\ndef test_x(): pytest.skip('no bird')\n")
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "tests.conftest", *options)
    assert done.ret == status
    assert "no bird" in done.stdout.str()

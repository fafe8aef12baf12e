"""The simulator's command line, and what its distribution says that it needs."""

import ast
import json
import socket
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from simulator.__main__ import main
from simulator.clients import environment, exports
from simulator.seeds import HubSeed, example, hub_seed

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "simulator"
PROJECT = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]


def imported(file: Path) -> set[str]:
    """The first part of every module that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def test_the_distribution_needs_what_the_simulator_imports_and_nothing_else() -> None:
    modules = {name for file in SOURCE.rglob("*.py") for name in imported(file)}
    known = packages_distributions()
    needed = {canonicalize_name(known[name][0]) for name in modules - set(sys.stdlib_module_names) - {"simulator"}}
    assert needed == {canonicalize_name(Requirement(one).name) for one in PROJECT["dependencies"]}


def test_the_distribution_has_the_project_s_version() -> None:
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (PROJECT["version"], PROJECT["license"]) == (whole["version"], whole["license"])


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    file = tmp_path / "seed.json"
    file.write_text(json.dumps(hub_seed(HubSeed(backends=()))))
    return file


def test_init_prints_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    assert json.loads(capsys.readouterr().out) == example()


def test_a_seed_that_cannot_be_used_ends_with_2_and_all_that_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"resources": [1, 2]}')
    assert main(["serve", "--seed", str(bad)]) == 2
    said = f"error: {bad}: resources[0]: must be an object\nerror: {bad}: resources[1]: must be an object\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pace", "0"], "error: --pace 0.0: must be above 0; 20 is twenty times faster than Azure\n"),
        (["--bgp"], "error: --bgp: the seed's part bgp says what peers announce; have one of the two\n"),
    ],
)
def test_what_cannot_be_served_ends_with_2_and_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    file = tmp_path / "seed.json"
    file.write_text(json.dumps(example()))
    assert main(["serve", "--seed", str(file), *arguments]) == 2
    assert capsys.readouterr().err == said


def test_a_port_that_is_taken_is_named(seed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--seed", str(seed), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: 127.0.0.1:{port} cannot be used: ")
    assert said.endswith("; without a port a free one is taken\n")


def test_a_shell_that_reads_env_finds_the_simulator_and_leaves_its_own_azure_alone(tmp_path: Path) -> None:
    certificate = tmp_path / "it's" / "ca.pem"
    wanted = environment("https://127.0.0.1:1", tmp_path, certificate, "a-subscription")
    (tmp_path / "env").write_text(exports(wanted))
    script = f". {tmp_path}/env && {sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    shell = subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, check=True)
    assert wanted.items() <= json.loads(shell.stdout).items()
    assert wanted["AZURE_CONFIG_DIR"].startswith(str(tmp_path))
    assert {wanted[name] for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")} == {str(certificate)}

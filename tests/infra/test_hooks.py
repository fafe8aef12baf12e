"""The hooks of azure.yaml, run: a key once, in the vault and nowhere else; its public half given; nothing said that is not so."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from function_app.reconcile import deployed
from tests.infra.compiler import ROOT
from tests.infra.deployer import Deployer

HOOKS: dict[str, Any] = yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]
SCRIPTS = sorted((ROOT / "infra" / "hooks").glob("*.sh"))
FUNCTIONS = re.findall(r'(?m)^functions="([\w ]+)"', (ROOT / "infra" / "hooks" / "postdeploy.sh").read_text())[
    0
].split()
UP = ("preprovision", "postprovision", "postdeploy")
# SC2154: variables come from azd (test_azd.py). SC2250: braces. SC2310, SC2312: a status that a condition or a pipe hides;
# each is looked at by what it printed, and fails below.
NOT_CHECKED = ("SC2154", "SC2250", "SC2310", "SC2312")
# What stood in azure.yaml until it was found out: azd refuses the value, and prints it.
FORMERLY = """azd env set HOPKEEPER_SIGNING_KEY \\
  "$(openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt)"
"""


@pytest.fixture
def machine(tmp_path: Path) -> Deployer:
    return Deployer(ROOT, tmp_path, FUNCTIONS)


def up(machine: Deployer) -> int:
    """`azd up`, as far as hooks go: the first that fails ends it."""
    for hook in UP:
        if code := machine.run(HOOKS[hook]["run"]).returncode:
            return code
    return 0


def private(machine: Deployer) -> str:
    return str(machine.azure()["secrets"]["signing-key"]["properties"]["value"])


def public_of(key: str) -> str:
    return subprocess.run(["openssl", "pkey", "-pubout"], input=key, capture_output=True, text=True, check=True).stdout


def test_the_hook_requires_the_functions_that_check_app_requires() -> None:
    assert sorted(FUNCTIONS) == sorted(deployed.FUNCTIONS)


@pytest.mark.parametrize("name", ["private", "value", "public"])
def test_a_variable_of_the_same_name_in_the_environment_does_not_carry_the_key(machine: Deployer, name: str) -> None:
    machine.environment = {**machine.environment, name: "mine"}
    assert up(machine) == 0, machine.said
    assert machine.traces(private(machine)) == []


def test_the_first_deployment_makes_a_key_and_gives_its_public_half(machine: Deployer) -> None:
    assert up(machine) == 0, machine.said
    key = private(machine)
    assert key.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert key.endswith("-----END PRIVATE KEY-----\n")
    assert (machine.home / ".azure" / "test" / "app.pub").read_text() == public_of(key)
    assert machine.environment["HOPKEEPER_PUBLIC_KEY"] == public_of(key).rstrip("\n")
    assert ".azure/test/app.pub" in machine.said


def test_the_private_half_is_in_no_output_no_argument_no_environment_and_no_file(machine: Deployer) -> None:
    assert up(machine) == 0, machine.said
    assert machine.traces(private(machine)) == []


def test_the_twins_show_what_azd_did_with_the_key_formerly(machine: Deployer) -> None:
    assert machine.run(FORMERLY).returncode != 0
    assert "bad flag syntax: -----BEGIN PRIVATE KEY-----" in machine.said
    leaked = re.findall(r"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", machine.said, re.DOTALL)[0]
    assert machine.traces(leaked) == ["said", "at ['azd', 'env', 'set']"]


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        ('azd env set NAME "$V"', False),
        ('azd env set NAME="$V"', True),
        ('azd env set -- NAME "$V"', True),
        ('azd env set NAME "$V" --file', False),
    ],
)
def test_a_value_that_begins_with_a_dash_is_a_flag_to_azd(machine: Deployer, line: str, passes: bool) -> None:
    assert (machine.run(f"V=-----BEGIN\n{line}").returncode == 0) is passes


def test_a_later_deployment_makes_no_key_and_gives_the_same_public_half(machine: Deployer) -> None:
    """From another machine too, where nothing of the first one's files is."""
    assert up(machine) == 0
    first, file = private(machine), machine.home / ".azure" / "test" / "app.pub"
    given = file.read_text()
    file.unlink()
    machine.environment = {key: value for key, value in machine.environment.items() if key != "HOPKEEPER_PUBLIC_KEY"}
    assert up(machine) == 0
    assert (private(machine), file.read_text()) == (first, given)
    assert machine.environment["HOPKEEPER_PUBLIC_KEY"] == given.rstrip("\n")
    assert sum("genpkey" in call for call in machine.calls("openssl")) == 1


def test_a_key_that_was_made_elsewhere_is_left_alone(machine: Deployer) -> None:
    """By the template's parameter, or by a rotation: `az keyvault secret set` gives neither tag nor content type."""
    theirs = {"properties": {"value": "theirs"}}
    machine.change(secrets={"signing-key": theirs})
    assert up(machine) == 0
    assert machine.azure()["secrets"] == {"signing-key": theirs}
    assert "made elsewhere" in machine.said
    assert not (machine.home / ".azure" / "test" / "app.pub").exists()


CALLS = [
    "az account show",
    "az provider register",
    "az rest --method get --url /subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-hopkeeper/"
    "providers/Microsoft.KeyVault",
    "openssl genpkey",
    "openssl pkey",
    "az rest --method put",
    "az rest --method post",
    "azd env set -- HOPKEEPER_PUBLIC_KEY",
    "az functionapp function list",
    "azd env set HOPKEEPER_IS_DEPLOYED",
    "azd provision",
    "HOPKEEPER_SIGNING_KEY?",
]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_ends_it_and_a_second_run_finishes_it(machine: Deployer, call: str) -> None:
    machine.change(fails=call)
    assert up(machine) != 0
    assert any(call in each for each in machine.calls())
    kept = machine.azure()["secrets"]
    traces = machine.traces(private(machine)) if kept else []
    machine.change(fails=None)
    assert up(machine) == 0, machine.said
    assert kept in ({}, machine.azure()["secrets"])
    assert (traces, machine.traces(private(machine))) == ([], [])
    assert (machine.home / ".azure" / "test" / "app.pub").read_text() == public_of(private(machine))
    assert machine.environment["HOPKEEPER_IS_DEPLOYED"] == machine.azure()["deployed"] == "true"


def test_every_call_of_the_hooks_is_one_that_fails_above(machine: Deployer) -> None:
    assert up(machine) == 0
    assert [call for call in machine.calls() if not any(each in call for each in CALLS)] == []


def test_a_deployment_happens_in_the_order_that_azure_needs(machine: Deployer) -> None:
    assert up(machine) == 0
    order = [
        "Microsoft.App",
        "method put",
        "method post",
        "functionapp",
        "HOPKEEPER_IS_DEPLOYED",
        "azd provision",
        "SIGNING_KEY?",
    ]
    calls = machine.calls("az")
    found = [next(i for i, call in enumerate(calls) if each in call) for each in order]
    assert found == sorted(found)
    assert "--wait" in calls[found[0]]


def test_what_calls_the_app_is_made_once_and_anew_after_azd_down(machine: Deployer) -> None:
    assert (up(machine), up(machine)) == (0, 0)
    assert machine.calls("azd provision") == ["azd provision --no-prompt"]
    assert machine.run(HOOKS["postdown"]["run"]).returncode == 0
    assert machine.environment["HOPKEEPER_IS_DEPLOYED"] == "false"


def test_an_app_without_its_functions_is_no_deployment(machine: Deployer) -> None:
    """State Running and 200 at its root is what the platform says of it all the same."""
    machine.change(functions=FUNCTIONS[1:])
    assert up(machine) != 0
    assert f"does not have these of its functions: {FUNCTIONS[0]}. " in machine.said
    assert "make package" in machine.said
    assert "HOPKEEPER_IS_DEPLOYED" not in machine.environment
    assert machine.calls("azd provision") == []
    assert machine.azure()["reads"] == len(machine.calls("sleep")) + 1 == 20


def test_an_app_that_cannot_read_its_key_is_no_deployment(machine: Deployer) -> None:
    machine.change(status="AccessToKeyVaultDenied")
    assert up(machine) != 0
    assert "cannot read its signing key from kv-hopkeeper: 'AccessToKeyVaultDenied'" in machine.said


@pytest.mark.parametrize("tool", ["az", "openssl"])
def test_a_tool_that_is_not_there_is_named_before_anything_is_made(machine: Deployer, tool: str) -> None:
    machine.remove(tool)
    assert up(machine) != 0
    assert f"error: {tool} is not on the PATH" in machine.said
    assert machine.calls() == []


def test_the_hooks_are_plain_sh() -> None:
    assert len(SCRIPTS) == 3
    program = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    assert program, "make setup installs shellcheck"
    done = subprocess.run(
        [program, "--shell=sh", "--enable=all", f"--exclude={','.join(NOT_CHECKED)}", *SCRIPTS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout

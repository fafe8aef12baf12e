"""azure.yaml and its hooks name a template, a service, a package and outputs that are there."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.compiler import INFRA, ROOT, Snapshot, at
from tests.infra.deployments import FIRST, snapshot
from tools.release import package

# Set by azd itself: "Azure Developer CLI environment variables".
OF_AZD = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_PRINCIPAL_ID"}
# Set for whoever installs agents: `azd env get-value`.
FOR_PEOPLE = {"HOPKEEPER_PUBLIC_KEY"}
SHELL_NAME = re.compile(r"\$\{?([A-Z][A-Z_]+)")


def azure_yaml() -> str:
    return (ROOT / "azure.yaml").read_text()


def scripts() -> dict[str, str]:
    """The text of each hook's script, by the path by which azure.yaml calls it."""
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "infra" / "hooks").glob("*.sh")}


def inputs() -> set[str]:
    """The environment that main.bicepparam reads."""
    return set(re.findall(r"readEnvironmentVariable\(\s*'(\w+)'", (INFRA / "main.bicepparam").read_text()))


def problems(content: str, its: Snapshot, called: Mapping[str, str]) -> list[str]:
    document: dict[str, Any] = yaml.safe_load(content)
    template = ROOT / document["infra"]["path"] / f"{document['infra']['module']}.bicep"
    found = [] if template.is_file() else [f"no template {template.relative_to(ROOT)}"]
    tags = {at(resource, "tags.azd-service-name") for resource in its.made}
    for name, service in document["services"].items():
        found += [] if name in tags else [f"no resource is tagged as service {name}"]
        found += [] if (ROOT / Path(service["project"]) / "host.json").is_file() else [f"{name} has no host.json"]
        # framework_service_python.go of azure-dev: the directory that is zipped is project joined with dist.
        deployed = (ROOT / service["project"] / service["dist"]).resolve()
        found += (
            [] if deployed == ROOT / package.FOLDER else [f"{name} deploys {service['dist']}, not {package.FOLDER}"]
        )
    return found + [line for hook, step in document["hooks"].items() for line in _hook(hook, step, its, called)]


def _hook(hook: str, step: Mapping[str, str], its: Snapshot, called: Mapping[str, str]) -> list[str]:
    outputs = set(its.outputs)
    names = re.findall(r"(?m)^sh (\S+)$", step["run"])
    found = [f"{hook} runs {name}, which is not there" for name in names if name not in called]
    text = "\n".join([step["run"], *(called.get(name, "") for name in names)])
    used = set(SHELL_NAME.findall(text))
    given = set(re.findall(r"azd env set (?:-- )?(\w+)", text)) - FOR_PEOPLE
    found += [f"{hook} uses {each}, which nothing gives" for each in sorted(used - outputs - inputs() - OF_AZD)]
    return found + [f"{hook} sets {each}, which nothing reads" for each in sorted(given - inputs())]


def test_azd_finds_its_template_its_service_and_its_outputs() -> None:
    assert problems(azure_yaml(), snapshot(FIRST), scripts()) == []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("infra/hooks/postdeploy.sh", "infra/hooks/afterwards.sh", "runs infra/hooks/afterwards.sh"),
        ("dist: build/package", "dist: build", "app deploys build, not build/package"),
        ("  app:\n", "  api:\n", "tagged as service api"),
        ("module: main", "module: app", "no template infra/bicep/app.bicep"),
        ("azd env set HOPKEEPER_IS_DEPLOYED", "azd env set HOPKEEPER_DEPLOYED", "sets HOPKEEPER_DEPLOYED"),
        ("project: .", "project: infra", "app has no host.json"),
    ],
)
def test_what_azd_would_not_find_is_named(old: str, new: str, named: str) -> None:
    assert old in azure_yaml()
    assert any(named in problem for problem in problems(azure_yaml().replace(old, new), snapshot(FIRST), scripts()))


def test_an_output_that_is_renamed_is_missed() -> None:
    its = snapshot(FIRST)
    renamed = replace(its, outputs={name: value for name, value in its.outputs.items() if name != "KEY_VAULT_NAME"})
    missed = [
        "postdeploy uses KEY_VAULT_NAME, which nothing gives",
        "postprovision uses KEY_VAULT_NAME, which nothing gives",
    ]
    assert sorted(problems(azure_yaml(), renamed, scripts())) == missed


def test_a_variable_that_a_script_makes_up_is_missed() -> None:
    wrong = {name: text.replace("$FUNCTION_APP_URI", "$FUNCTION_APP_URL") for name, text in scripts().items()}
    assert problems(azure_yaml(), snapshot(FIRST), wrong) == ["postdeploy uses FUNCTION_APP_URL, which nothing gives"]


def test_no_secret_is_read_from_where_azd_keeps_values_in_plain_text() -> None:
    secrets = set(re.findall(r"(?m)^@secure\(\)\nparam (\w+)", (INFRA / "main.bicep").read_text()))
    assert secrets == {"signingKey"}
    assert not secrets & set(re.findall(r"(?m)^param (\w+)", (INFRA / "main.bicepparam").read_text()))


# `azd env set NAME VALUE` takes flags anywhere before `--`: a value that is not written out may begin with a dash, and then
# azd refuses and prints it (deployer.py has the source). NAME=VALUE and what follows `--` are safe.
UNSAFE = re.compile(r"azd env set (?!-- )\w+ [\"']?[$-][^\n]*")


def instructions() -> dict[str, str]:
    """Every text that has commands for an operator, or for a shell."""
    patterns = ("azure.yaml", "*.md", "infra/hooks/*", "infra/**/*.md", "docs/**/*.md", "nva_agent/*.md")
    paths = [path for pattern in patterns for path in ROOT.glob(pattern)]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


def test_no_value_that_may_begin_with_a_dash_is_handed_to_azd_as_if_it_could_not() -> None:
    assert {name: found for name, text in instructions().items() if (found := UNSAFE.findall(text))} == {}


@pytest.mark.parametrize(
    ("line", "safe"),
    [
        ('azd env set HOPKEEPER_SIGNING_KEY "$(openssl ecparam -name prime256v1 -genkey -noout)"', False),
        ('azd env set HOPKEEPER_SIGNING_KEY "$(cat app.key)"', False),
        ("azd env set NAME $VALUE", False),
        ("azd env set NAME -----BEGIN", False),
        ('azd env set -- NAME "$VALUE"', True),
        ('azd env set NAME="$VALUE"', True),
        ("azd env set HOPKEEPER_IS_DEPLOYED true", True),
    ],
)
def test_a_line_that_hands_a_value_to_azd_is_judged_safe_or_not(line: str, safe: bool) -> None:
    assert (UNSAFE.search(line) is None) is safe

"""azure.yaml names a template, a service and outputs that are there."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.bicep_text import INFRA, ROOT, files, parsed

# Set by azd itself: "Azure Developer CLI environment variables".
OF_AZD = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_PRINCIPAL_ID"}
SHELL_NAME = re.compile(r"\$\{?([A-Z][A-Z_]+)")


def azure_yaml() -> str:
    return (ROOT / "azure.yaml").read_text()


def inputs() -> set[str]:
    """The environment that main.bicepparam reads."""
    return set(re.findall(r"readEnvironmentVariable\('(\w+)'", (INFRA / "main.bicepparam").read_text()))


def problems(content: str, texts: Mapping[str, str]) -> list[str]:
    document: dict[str, Any] = yaml.safe_load(content)
    sources = parsed(texts)
    outputs = {each.name for each in sources["main.bicep"].outputs()}
    template = ROOT / document["infra"]["path"] / f"{document['infra']['module']}.bicep"
    found = [] if template.is_file() else [f"no template {template.relative_to(ROOT)}"]
    tags = {
        value
        for source in sources.values()
        for resource in source.resources()
        for value in resource.values.get("tags.azd-service-name", ())
    }
    for name, service in document["services"].items():
        found += [] if name in tags else [f"no resource is tagged as service {name}"]
        found += [] if (ROOT / Path(service["project"]) / "host.json").is_file() else [f"{name} has no host.json"]
    for hook, step in document["hooks"].items():
        used = set(SHELL_NAME.findall(step["run"]))
        given = set(re.findall(r"azd env set (\w+)", step["run"]))
        found += [f"{hook} uses {each}, which nothing gives" for each in sorted(used - outputs - inputs() - OF_AZD)]
        found += [f"{hook} sets {each}, which nothing reads" for each in sorted(given - inputs())]
    return found


def test_azd_finds_its_template_its_service_and_its_outputs() -> None:
    assert problems(azure_yaml(), files()) == []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("$FUNCTION_APP_URI", "$FUNCTION_APP_URL", "uses FUNCTION_APP_URL"),
        ("  app:\n", "  api:\n", "tagged as service api"),
        ("module: main", "module: app", "no template infra/bicep/app.bicep"),
        ("azd env set HOPKEEPER_IS_DEPLOYED", "azd env set HOPKEEPER_DEPLOYED", "sets HOPKEEPER_DEPLOYED"),
        ("project: .", "project: infra", "app has no host.json"),
    ],
)
def test_what_azd_would_not_find_is_named(old: str, new: str, named: str) -> None:
    assert old in azure_yaml()
    assert any(named in problem for problem in problems(azure_yaml().replace(old, new), files()))


def test_an_output_that_is_renamed_is_missed() -> None:
    texts = files()
    renamed = texts | {"main.bicep": texts["main.bicep"].replace("output KEY_VAULT_NAME", "output VAULT_NAME")}
    assert problems(azure_yaml(), renamed) == ["preprovision uses KEY_VAULT_NAME, which nothing gives"]

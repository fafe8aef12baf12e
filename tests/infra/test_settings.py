"""Every app setting that the code reads is set by Bicep, and every one that is set is read by somebody."""

import json
import re
from collections.abc import Mapping

import pytest

from tests.infra.bicep_text import ROOT, files, parsed, planted

# Read by settings.py, and rightly not set in Azure.
NOT_SET = {
    "AzureWebJobsStorage": "holds a key or names a directory: Azure has __accountName and the identity",
    "HOPKEEPER_CA_FILE": "Azure's endpoints are checked against the system's authorities",
    "HOPKEEPER_ALLOW_LOOPBACK": "for a lab on one machine",
    "IDENTITY_ENDPOINT": "set by the platform where there is a managed identity",
}
# Set by Bicep and read by the platform, not by our code. Names from "App settings reference for Azure Functions".
READ_BY_THE_PLATFORM = {
    "PYTHON_SCRIPT_FILE_NAME",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
}
QUOTED = re.compile(r"""["'%](AzureWebJobsStorage(?:__\w+)?|HOPKEEPER_[A-Z_]+|IDENTITY_ENDPOINT)["'%]""")


def read_by(code: Mapping[str, str]) -> set[str]:
    return {name for content in code.values() for name in QUOTED.findall(content)}


def code() -> dict[str, str]:
    """Settings are read in settings.py, and named in the bindings of triggers."""
    paths = [ROOT / "function_app" / "settings.py", *(ROOT / "function_app" / "triggers").glob("*.py")]
    return {path.name: path.read_text() for path in paths}


def settings(texts: Mapping[str, str]) -> dict[str, str]:
    """What main.bicep sets, as text of the value by name."""
    (app,) = (module for module in parsed(texts)["main.bicep"].modules() if module.symbol == "app")
    prefix = "params.settings."
    return {path.removeprefix(prefix): value for path, (value,) in app.values.items() if path.startswith(prefix)}


def problems(texts: Mapping[str, str], sources: Mapping[str, str]) -> list[str]:
    given, read = set(settings(texts)), read_by(sources)
    return [
        *(f"{name} is read and not set" for name in sorted(read - given - set(NOT_SET))),
        *(f"{name} is set and nobody reads it" for name in sorted(given - read - READ_BY_THE_PLATFORM)),
        *(f"{name} must not be set: {NOT_SET[name]}" for name in sorted(given & set(NOT_SET))),
        *(f"{name} is no longer read: drop its exception" for name in sorted(set(NOT_SET) - read)),
    ]


def test_settings_are_set_where_they_are_read_and_nowhere_else() -> None:
    assert problems(files(), code()) == []


def test_a_setting_that_is_forgotten_or_left_over_is_named() -> None:
    forgotten = planted(
        "main.bicep", "      HOPKEEPER_METRICS_ENDPOINT: 'https", "      HOPKEEPER_METRIC_ENDPOINT: 'https"
    )
    assert problems(forgotten, code()) == [
        "HOPKEEPER_METRICS_ENDPOINT is read and not set",
        "HOPKEEPER_METRIC_ENDPOINT is set and nobody reads it",
    ]


def test_a_setting_that_the_code_begins_to_read_is_named() -> None:
    assert problems(files(), code() | {"new.py": 'optional("HOPKEEPER_NOVELTY")'}) == [
        "HOPKEEPER_NOVELTY is read and not set"
    ]


def test_a_storage_key_is_refused() -> None:
    keyed = planted("main.bicep", "AzureWebJobsStorage__accountName:", "AzureWebJobsStorage:")
    assert any("AzureWebJobsStorage must not be set" in problem for problem in problems(keyed, code()))


def test_the_worker_is_told_the_root_file_as_on_one_machine() -> None:
    local = json.loads((ROOT / "local.settings.json").read_text())["Values"]
    assert settings(files())["PYTHON_SCRIPT_FILE_NAME"] == local["PYTHON_SCRIPT_FILE_NAME"] == "main.py"
    assert (ROOT / "main.py").is_file()


def test_the_signing_key_is_a_reference_and_no_value() -> None:
    assert settings(files())["HOPKEEPER_SIGNING_KEY"].startswith("@Microsoft.KeyVault(SecretUri=")


REQUIRED_VALUES = {
    ("modules/storage.bicep", "account", "properties.allowSharedKeyAccess"): "false",
    ("modules/storage.bicep", "account", "properties.allowBlobPublicAccess"): "false",
    ("modules/storage.bicep", "blobs", "properties.isVersioningEnabled"): "true",
    ("modules/storage.bicep", "blobs", "properties.deleteRetentionPolicy.enabled"): "true",
    ("modules/key-vault.bicep", "vault", "properties.enableRbacAuthorization"): "true",
    ("modules/function-app.bicep", "app", "properties.httpsOnly"): "true",
    ("modules/function-app.bicep", "app", "properties.functionAppConfig.runtime.version"): "3.13",
    ("modules/function-app.bicep", "app", "properties.siteConfig.ipSecurityRestrictionsDefaultAction"): "Deny",
    (
        "modules/function-app.bicep",
        "app",
        "properties.functionAppConfig.scaleAndConcurrency.alwaysReady[].name",
    ): "http",
    ("modules/function-app.bicep", "noPasswords", "properties.allow"): "false",
    ("modules/network.bicep", "app", "properties.delegations[].properties.serviceName"): "Microsoft.App/environments",
    ("modules/monitoring.bicep", "insights", "properties.DisableLocalAuth"): "true",
    ("modules/published-events.bicep", "topic", "properties.disableLocalAuth"): "true",
}


def unsafe(texts: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Where a value that keeps the app keyless, private or recoverable is another one."""
    sources = parsed(texts)
    found = {
        (name, resource.symbol, path): values
        for name, source in sources.items()
        for resource in source.resources()
        for path, values in resource.values.items()
    }
    return [where for where, value in REQUIRED_VALUES.items() if found.get(where) != (value,)]


def test_the_app_is_keyless_private_and_recoverable() -> None:
    assert unsafe(files()) == []


@pytest.mark.parametrize("where", REQUIRED_VALUES, ids="-".join)
def test_a_value_that_opens_it_is_named(where: tuple[str, str, str]) -> None:
    name, symbol, path = where
    last, value = path.rpartition(".")[2], REQUIRED_VALUES[where]
    content = files()[name]
    start = content.index(f"resource {symbol} ")
    spoilt = re.sub(rf"({last}: '?){re.escape(value)}", r"\1other", content[start:])
    assert where in unsafe(files() | {name: content[:start] + spoilt})

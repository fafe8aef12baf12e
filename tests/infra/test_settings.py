"""Every app setting that the code reads is set, every one that is set is read, and nothing is set that opens the
app or that its plan refuses."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from function_app.reconcile.store import keys
from tests.infra.compiler import ROOT, Snapshot, at, evaluated
from tests.infra.deployments import AZD, DEPLOYMENTS, FIRST, MAIN, PRIVATE, app_settings, snapshot

SITE, SETTINGS = "Microsoft.Web/sites", "Microsoft.Web/sites/config"
# Read by settings.py, and rightly not set in Azure.
NOT_SET = {
    "AzureWebJobsStorage": "holds a key or names a directory: Azure has the identity",
    "AzureWebJobsStorage__accountName": "means an account of the public cloud: the endpoints are set in full",
    "HOPKEEPER_CA_FILE": "Azure's endpoints are checked against the system's authorities",
    "HOPKEEPER_ALLOW_LOOPBACK": "for a lab on one machine",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "one is spoken, which is the default",
    "IDENTITY_ENDPOINT": "set by the platform where there is a managed identity",
    "WEBSITE_AUTH_ENABLED": "set by the platform, and believed because nothing else sets it",
}
# Set by Bicep and read by the platform, not by our code. Names from "App settings reference for Azure Functions".
READ_BY_THE_PLATFORM = {
    "PYTHON_SCRIPT_FILE_NAME",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__tableServiceUri",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
}
QUOTED = re.compile(
    r"""["'%](AzureWebJobsStorage(?:__\w+)?|HOPKEEPER_[A-Z_]+|OTEL_[A-Z_]+|IDENTITY_ENDPOINT|WEBSITE_AUTH_ENABLED)["'%]"""
)


def code() -> dict[str, str]:
    """Settings are read in settings.py, and named in the bindings of triggers."""
    paths = [ROOT / "function_app" / "settings.py", *(ROOT / "function_app" / "triggers").glob("*.py")]
    return {path.name: path.read_text() for path in paths}


def problems(its: Snapshot, sources: Mapping[str, str]) -> list[str]:
    given, read = set(app_settings(its)), {name for content in sources.values() for name in QUOTED.findall(content)}
    return [
        *(f"{name} is read and not set" for name in sorted(read - given - set(NOT_SET))),
        *(f"{name} is set and not read" for name in sorted(given - read - READ_BY_THE_PLATFORM)),
        *(f"{name} must not be set: {NOT_SET[name]}" for name in sorted(given & set(NOT_SET))),
        *(f"{name} is no longer read: drop its exception" for name in sorted(set(NOT_SET) - read)),
    ]


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_settings_are_set_where_they_are_read_and_nowhere_else(deployment: str) -> None:
    assert problems(snapshot(deployment), code()) == []


def test_a_setting_that_is_forgotten_left_over_or_holds_a_key_is_named() -> None:
    its = snapshot(FIRST)
    assert problems(its.replaced("HOPKEEPER_METRICS_ENDPOINT", "HOPKEEPER_METRIC_ENDPOINT"), code()) == [
        "HOPKEEPER_METRICS_ENDPOINT is read and not set",
        "HOPKEEPER_METRIC_ENDPOINT is set and not read",
    ]
    assert problems(its, code() | {"new.py": 'optional("HOPKEEPER_NOVELTY")'}) == [
        "HOPKEEPER_NOVELTY is read and not set"
    ]
    keyed = its.spoilt(SETTINGS, "properties.AzureWebJobsStorage", "AccountKey=")
    assert [problem.split(":")[0] for problem in problems(keyed, code())] == ["AzureWebJobsStorage must not be set"]


def test_the_worker_is_given_the_root_file_as_on_one_machine() -> None:
    local = json.loads((ROOT / "local.settings.json").read_text())["Values"]
    given = app_settings(snapshot(FIRST)).get("PYTHON_SCRIPT_FILE_NAME")
    assert given == local.get("PYTHON_SCRIPT_FILE_NAME")
    assert (ROOT / (given or "function_app.py")).is_file()


def test_the_signing_key_is_a_reference_and_no_value() -> None:
    assert "@Microsoft.KeyVault(SecretUri=" in app_settings(snapshot(FIRST))["HOPKEEPER_SIGNING_KEY"]


PUBLIC_HOSTS = re.compile(r"windows\.net|azure\.com|azure\.net|loganalytics\.io|azurewebsites\.net")


def of_the_public_cloud(its: Snapshot) -> list[str]:
    """Addresses and names that exist in the public cloud only."""
    values = {f"setting {name}": value for name, value in app_settings(its).items()}
    values |= {f"zone {zone['name']}": zone["name"] for zone in its.resources("Microsoft.Network/privateDnsZones")}
    return [name for name, value in values.items() if PUBLIC_HOSTS.search(value)]


def test_another_cloud_is_given_no_address_of_the_public_one() -> None:
    assert of_the_public_cloud(evaluated(MAIN, AZD | PRIVATE, cloud="AzureChinaCloud")) == []
    assert len(of_the_public_cloud(snapshot("first, private"))) > 5


# --- what must hold of a resource, wherever it is made

VERSION = ".".join((ROOT / ".python-version").read_text().split(".")[:2]).strip()
POLICIES, RULES = "Microsoft.Storage/storageAccounts/managementPolicies", "properties.policy.rules"
REQUIRED: Mapping[tuple[str, str], Any] = {
    ("Microsoft.Storage/storageAccounts", "properties.allowSharedKeyAccess"): False,
    ("Microsoft.Storage/storageAccounts", "properties.allowBlobPublicAccess"): False,
    ("Microsoft.Storage/storageAccounts", "properties.minimumTlsVersion"): "TLS1_2",
    ("Microsoft.Storage/storageAccounts/blobServices", "properties.isVersioningEnabled"): True,
    ("Microsoft.Storage/storageAccounts/blobServices", "properties.deleteRetentionPolicy.enabled"): True,
    (POLICIES, f"{RULES}.0.definition.filters"): {"blobTypes": ["blockBlob"]},
    (POLICIES, f"{RULES}.0.definition.actions"): {"version": {"delete": {"daysAfterCreationGreaterThan": 30}}},
    (POLICIES, f"{RULES}.1.definition.filters.prefixMatch"): [f"hopkeeper/{keys.HISTORY}"],
    (POLICIES, f"{RULES}.1.definition.actions"): {"baseBlob": {"delete": {"daysAfterModificationGreaterThan": 400}}},
    ("Microsoft.KeyVault/vaults", "properties.enableRbacAuthorization"): True,
    ("Microsoft.KeyVault/vaults", "properties.enablePurgeProtection"): True,
    (SITE, "properties.httpsOnly"): True,
    (SITE, "properties.functionAppConfig.runtime.version"): VERSION,
    (SITE, "properties.siteConfig.ipSecurityRestrictionsDefaultAction"): "Deny",
    (SITE, "properties.siteConfig.scmIpSecurityRestrictionsUseMain"): True,
    (SITE, "properties.functionAppConfig.scaleAndConcurrency.alwaysReady.0.name"): "http",
    (f"{SITE}/basicPublishingCredentialsPolicies", "properties.allow"): False,
    ("Microsoft.Insights/components", "properties.DisableLocalAuth"): True,
    ("Microsoft.EventGrid/topics", "properties.disableLocalAuth"): True,
}


def unsafe(its: Snapshot) -> list[tuple[str, str]]:
    """Where a value that keeps the app keyless, private, recoverable or quick is another one."""
    wrong = [
        (type_, path)
        for (type_, path), value in REQUIRED.items()
        if any(at(resource, path) != value for resource in its.resources(type_))
    ]
    ways = {each["name"].split("/")[-1] for each in its.resources(f"{SITE}/basicPublishingCredentialsPolicies")}
    at_a_time = at(
        its.one(SITE), "properties.functionAppConfig.scaleAndConcurrency.triggers.http.perInstanceConcurrency", 1
    )
    wrong += [] if ways == {"ftp", "scm"} else [("passwords", "taken")]
    # Without it an instance serves one request at a time: a report waits for whatever else is served ("HTTP concurrency").
    return wrong + ([] if at_a_time > 1 else [(SITE, "perInstanceConcurrency")])


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_the_app_is_keyless_recoverable_and_closed_but_to_those_it_knows(deployment: str) -> None:
    assert unsafe(snapshot(deployment)) == []


@pytest.mark.parametrize("where", REQUIRED, ids="-".join)
def test_a_value_that_opens_it_is_named(where: tuple[str, str]) -> None:
    assert unsafe(snapshot(FIRST).spoilt(*where, "other")) == [where]


def test_passwords_and_one_request_at_a_time_are_named() -> None:
    its = snapshot(FIRST)
    assert unsafe(its.without(f"{SITE}/basicPublishingCredentialsPolicies", "/ftp")) == [("passwords", "taken")]
    alone = its.spoilt(SITE, "properties.functionAppConfig.scaleAndConcurrency.triggers")
    assert unsafe(alone) == [(SITE, "perInstanceConcurrency")]


# --- what the type takes and the plan refuses
# ARM 51021: "The following list of 2 site configuration properties (Site.SiteConfig.FtpsState, Site.SiteConfig.LinuxFxVersion)
# for Flex Consumption sites is invalid. Please remove or rename them before retrying" (seen 2025-05-29, in a public issue).
# The names: that message, and "Flex Consumption plan deprecations" in "App settings reference for Azure Functions".
FLEX_REFUSES = {
    "alwaysOn", "containerSize", "ftpsState", "functionAppScaleLimit", "isReserved", "isXenon", "javaVersion",
    "linuxFxVersion", "netFrameworkVersion", "nodeVersion", "phpVersion", "powerShellVersion", "preWarmedInstanceCount",
    "pythonVersion", "use32BitWorkerProcess", "windowsFxVersion",
}  # fmt: skip
FLEX_REFUSES_SETTINGS = {
    "ENABLE_ORYX_BUILD", "FUNCTIONS_EXTENSION_VERSION", "FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY", "FUNCTIONS_WORKER_PROCESS_COUNT", "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
    "SCM_DO_BUILD_DURING_DEPLOYMENT", "TZ", "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING", "WEBSITE_CONTENTOVERVNET",
    "WEBSITE_CONTENTSHARE", "WEBSITE_DNS_SERVER", "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT", "WEBSITE_NODE_DEFAULT_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE", "WEBSITE_SKIP_CONTENTSHARE_VALIDATION", "WEBSITE_TIME_ZONE", "WEBSITE_VNET_ROUTE_ALL",
}  # fmt: skip


def refused_by_the_plan(its: Snapshot) -> set[str]:
    plans = {plan["id"]: at(plan, "sku.tier") for plan in its.resources("Microsoft.Web/serverfarms")}
    found: set[str] = set()
    for site in its.resources(SITE):
        if plans[site["properties"]["serverFarmId"]] == "FlexConsumption":
            found |= set(at(site, "properties.siteConfig", {})) & FLEX_REFUSES
            found |= set(app_settings(its)) & FLEX_REFUSES_SETTINGS
    return found


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_nothing_is_set_that_the_plan_refuses(deployment: str) -> None:
    assert refused_by_the_plan(snapshot(deployment)) == set()


def test_what_the_plan_refuses_is_named() -> None:
    its = snapshot(FIRST).spoilt(SITE, "properties.siteConfig.ftpsState", "Disabled")
    assert refused_by_the_plan(its.spoilt(SETTINGS, "properties.TZ", "UTC")) == {"ftpsState", "TZ"}

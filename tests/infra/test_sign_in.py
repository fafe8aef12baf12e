"""The platform's authentication and our setting are one decision, and the registration has the roles that the code compares."""

import json
import re
from typing import Any
from uuid import UUID

import pytest

from function_app.triggers.caller import AppRole
from lab.issuer import CLIENT_ID, TENANT
from tests.infra.compiler import ROOT, Snapshot, at, evaluated
from tests.infra.deployments import AZD, DEPLOYMENTS, ENTRA, EVERYTHING, FIRST, MAIN, PUBLIC, app_settings, snapshot

CONFIG = "Microsoft.Web/sites/config"
FILES = ROOT / "infra" / "entra"


def authentication(its: Snapshot) -> dict[str, Any]:
    (found,) = (each for each in its.resources(CONFIG) if each["name"].endswith("/authsettingsV2"))
    return dict(found["properties"])


def provider(its: Snapshot) -> Any:
    return at(authentication(its), "identityProviders.azureActiveDirectory", {})


def faults(its: Snapshot) -> list[str]:
    """What would let the wrong callers in, or keep keys out."""
    found, client_id = authentication(its), app_settings(its)["HOPKEEPER_ENTRA_CLIENT_ID"]
    is_on = at(found, "platform.enabled")
    listed = [] if is_on is bool(client_id) else ["our setting and the platform differ"]
    action = at(found, "globalValidation.unauthenticatedClientAction")
    listed += [] if action == "AllowAnonymous" else ["keys do not reach the app"]
    listed += ["a path whose headers may pass"] if at(found, "globalValidation.excludedPaths") else []
    if is_on:
        audiences = at(provider(its), "validation.allowedAudiences")
        ours = (at(provider(its), "registration.clientId"), audiences) == (client_id, [client_id, f"api://{client_id}"])
        listed += [] if ours else ["tokens of another registration"]
        listed += [] if set(found["identityProviders"]) == {"azureActiveDirectory"} else ["another provider"]
    return listed


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_authentication_is_on_exactly_where_our_setting_says_so_and_keys_reach_the_app(deployment: str) -> None:
    assert faults(snapshot(deployment)) == []


SPOILT = [
    ("properties.platform.enabled", False, "our setting and the platform differ"),
    ("properties.HOPKEEPER_ENTRA_CLIENT_ID", "", "our setting and the platform differ"),
    ("properties.globalValidation.unauthenticatedClientAction", "Return401", "keys do not reach the app"),
    ("properties.globalValidation.excludedPaths", ["/api/alerts"], "a path whose headers may pass"),
    ("properties.identityProviders.azureActiveDirectory.registration.clientId", "x", "tokens of another registration"),
    ("properties.identityProviders.azureActiveDirectory.validation", {}, "tokens of another registration"),
    ("properties.identityProviders.github", {"enabled": True}, "another provider"),
]


@pytest.mark.parametrize(("path", "value", "named"), SPOILT, ids=[each[0] for each in SPOILT])
def test_what_would_open_it_is_named(path: str, value: Any, named: str) -> None:
    assert named in faults(snapshot(EVERYTHING).spoilt(CONFIG, path, value))


def test_without_a_registration_it_is_off_and_no_function_takes_tokens() -> None:
    its = snapshot(FIRST)
    assert (at(authentication(its), "platform.enabled"), provider(its)) == (False, {})
    assert app_settings(its)["HOPKEEPER_ENTRA_CLIENT_ID"] == ""


def test_tokens_are_those_of_the_tenant_that_is_named_or_of_the_subscriptions() -> None:
    issuer = "registration.openIdIssuer"
    assert at(provider(snapshot(EVERYTHING)), issuer) == f"https://login.microsoftonline.com/{TENANT}/v2.0"
    own = evaluated(MAIN, AZD | PUBLIC | {"HOPKEEPER_ENTRA_CLIENT_ID": CLIENT_ID})
    assert at(provider(own), issuer) == "https://login.microsoftonline.com/33333333-3333-3333-3333-333333333333/v2.0"
    china = evaluated(MAIN, AZD | PUBLIC | ENTRA, cloud="AzureChinaCloud")
    assert at(provider(china), issuer) == f"https://login.chinacloudapi.cn/{TENANT}/v2.0"


# --- the registration


def test_the_registrations_roles_are_those_that_the_code_compares_for_users_and_applications() -> None:
    roles = json.loads((FILES / "roles.json").read_text())
    assert [role["value"] for role in roles] == list(AppRole)
    assert len({UUID(role["id"]) for role in roles}) == len(roles)
    assert all(role["isEnabled"] and set(role["allowedMemberTypes"]) == {"User", "Application"} for role in roles)


def test_the_command_line_of_azure_may_request_the_scope_that_there_is_and_tokens_are_of_version_2() -> None:
    api = json.loads((FILES / "scope.json").read_text())["api"]
    (client,) = json.loads((FILES / "az-cli.json").read_text())["api"]["preAuthorizedApplications"]
    assert [scope["id"] for scope in api["oauth2PermissionScopes"]] == client["delegatedPermissionIds"]
    assert api["requestedAccessTokenVersion"] == 2


def test_the_guide_names_every_role_and_every_file_of_the_registration() -> None:
    chapter = (ROOT / "docs" / "operating.md").read_text().partition("\n### Who may\n")[2].partition("\n### ")[0]
    assert {role for role in AppRole if f"| `{role}` |" in chapter} == set(AppRole)
    assert set(re.findall(r"infra/entra/([\w.-]+)", chapter)) == {path.name for path in FILES.iterdir()}

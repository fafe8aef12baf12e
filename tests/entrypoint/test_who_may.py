"""Who may what, over the real stack: every endpoint that the app has, by every role, by keys, and with headers that are forged.

The endpoints are read from the app's own list, so that a new one is in the matrix. Requests name a topology that is not there
and send no body: who may is answered 2xx, 400 or 404, and nothing is changed.
"""

import asyncio
import base64
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
import pytest_asyncio

import main
from function_app.triggers.caller import AppRole
from function_app.triggers.described import SURFACES
from lab import keys
from lab.issuer import CLIENT_ID, Issuer
from lab.stack import SERVICE, TOPOLOGY, Stack
from tests.entrypoint.alone import app_alone
from tests.functions import functions

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDPOINTS = {one.name: one.endpoint for each in SURFACES for one in each.served}
REACHED = (200, 202, 400, 404)
PERMITTED_TO = {
    "read": {"read", "operate", "operate-unsafe"},
    "alert": {"alert"},
    "report": {"report"},
    "operate": {"operate", "operate-unsafe"},
    "operate-unsafe": {"operate-unsafe"},
}
"""Written out once more: which roles open an endpoint of a role."""
ISSUER = Issuer()
ENTRA = {"HOPKEEPER_ENTRA_CLIENT_ID": CLIENT_ID}
HERE = f"/topologies/{TOPOLOGY}/services/{SERVICE}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[Stack]:
    """With the platform's authentication, for tokens of the lab's issuer."""
    async with app_alone(ENTRA, ISSUER) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unguarded() -> AsyncIterator[Stack]:
    """Our setting is there, and the platform's authentication is off: headers pass as callers wrote them."""
    async with app_alone(ENTRA) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    body: Any

    @property
    def message(self) -> str:
        return str(self.body["error"]["message"])


def bearer(*roles: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {ISSUER.token(roles)}"}


def forged(role: str) -> dict[str, str]:
    """What a caller would write who knows how the platform writes it."""
    claims = [{"typ": "aud", "val": CLIENT_ID}, {"typ": "roles", "val": role}]
    principal = {"auth_typ": "aad", "claims": claims, "name_typ": "name", "role_typ": "roles"}
    return {
        "X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps(principal).encode()).decode(),
        "X-MS-CLIENT-PRINCIPAL-ID": "1",
        "X-MS-CLIENT-PRINCIPAL-NAME": "root",
        "X-MS-CLIENT-PRINCIPAL-IDP": "aad",
    }


async def called(stack: Stack, method: str, path: str, headers: Any, body: str | None = None, **more: Any) -> Said:
    assert stack.session is not None
    url = f"{stack.host_url}/api{path}"
    async with stack.session.request(method, url, headers=headers, data=body, **more) as response:
        text = await response.text()
        is_json = response.content_type == "application/json"
        return Said(response.status, json.loads(text) if is_json else text)


async def tried(stack: Stack, name: str, headers: Any, root: str = "/entra") -> Said:
    endpoint = ENDPOINTS[name]
    path = re.sub(r"\{\w+\??\}", "nowhere", endpoint.route).replace(
        "nowhere/services/nowhere/nowhere", "nowhere/services/x/pause"
    )
    return await called(stack, endpoint.method, f"{root}/{path}", headers)


# --- the matrix


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_an_endpoint_opens_to_the_roles_that_permit_it_and_to_no_other(stack: Stack, name: str) -> None:
    answers = {role: await tried(stack, name, bearer(role)) for role in AppRole}
    assert {role for role, said in answers.items() if said.code in REACHED} == PERMITTED_TO[ENDPOINTS[name].role]
    for role, said in answers.items():
        if role not in PERMITTED_TO[ENDPOINTS[name].role]:
            assert (said.code, f"has not the role {ENDPOINTS[name].role} " in said.message) == (403, True)


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_an_endpoint_is_closed_to_who_shows_nothing_and_to_who_has_no_role(stack: Stack, name: str) -> None:
    stranger, guest = await tried(stack, name, {}), await tried(stack, name, bearer())
    assert (stranger.code, "sign in at" in stranger.message) == (401, True)
    assert (guest.code, "permitted: none" in guest.message) == (403, True)


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_a_forged_header_is_removed_where_the_platform_authenticates(stack: Stack, name: str) -> None:
    assert (await tried(stack, name, forged("operate-unsafe"))).code == 401
    assert (await tried(stack, name, forged("operate-unsafe") | bearer())).code == 403
    assert (await tried(stack, name, forged("operate-unsafe"), "")).code == 401


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_a_forged_header_counts_for_nothing_where_the_platform_does_not(unguarded: Stack, name: str) -> None:
    said = await tried(unguarded, name, forged("operate-unsafe"))
    assert (said.code, "authentication is off" in said.message) == (401, True)
    assert (await tried(unguarded, name, forged("operate-unsafe") | bearer("operate-unsafe"))).code == 401
    assert (await tried(unguarded, name, forged("operate-unsafe"), "")).code == 401


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_keys_open_what_they_did_beside_tokens_and_a_key_opens_nothing_below_entra(
    stack: Stack, name: str
) -> None:
    own = {"x-functions-key": keys.of_function(stack.keys, name)}
    assert (await tried(stack, name, own, "")).code in REACHED
    assert (await tried(stack, name, own)).code == 401
    assert (await tried(stack, name, {"x-functions-key": stack.keys["master"]})).code == 401


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_a_token_opens_nothing_that_wants_a_key(stack: Stack, name: str) -> None:
    assert (await tried(stack, name, bearer(*AppRole), "")).code == 401


async def test_every_http_function_but_the_page_wants_a_key_or_is_in_the_matrix() -> None:
    bindings = {name: one.get_trigger().get_dict_repr() for name, one in functions().items()}
    levels = {name: each["authLevel"] for name, each in bindings.items() if each["type"] == "httpTrigger"}
    opened = {f"entra_{name}": func.AuthLevel.ANONYMOUS for name in ENDPOINTS} | {"page": func.AuthLevel.ANONYMOUS}
    assert levels == opened | dict.fromkeys(ENDPOINTS, func.AuthLevel.FUNCTION)


# --- tokens


@pytest.mark.parametrize(
    "claims", [{"exp": 1}, {"aud": "api://other"}, {"iss": "https://sts.windows.net/other/"}, {"aud": None}], ids=str
)
async def test_a_token_that_is_not_of_now_or_not_for_this_app_is_refused_by_the_platform(
    stack: Stack, claims: Any
) -> None:
    wrong = {"Authorization": f"Bearer {ISSUER.token(['operate-unsafe'], **claims)}"}
    assert (await tried(stack, "status", wrong)).code == 401


async def test_another_issuers_token_is_none(stack: Stack) -> None:
    assert (await tried(stack, "status", {"Authorization": f"Bearer {Issuer().token(['read'])}"})).code == 401


async def test_an_applications_token_has_roles_as_a_users_has(stack: Stack) -> None:
    shown = {"Authorization": f"bearer {ISSUER.app_token(['alert'])}"}
    assert (await tried(stack, "on_alert", shown)).code == 202
    assert (await tried(stack, "status", shown)).code == 403


# --- what can make things worse

WORSE = [
    ("POST", f"{HERE}/failover", '{"to": "nva-b"}'),
    ("POST", f"{HERE}/forget", '{"member": "nva-a", "gone": "off"}'),
    ("POST", f"{HERE}/retire", None),
    ("POST", f"{HERE}/release", None),
    ("PUT", "/topologies/nowhere?anyway=true", "name: ["),
    ("DELETE", "/topologies/nowhere?anyway=true", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WORSE)
async def test_what_can_make_things_worse_wants_a_role_of_its_own_and_is_not_done(
    stack: Stack, method: str, path: str, body: str | None
) -> None:
    said = await called(stack, method, f"/entra{path}", bearer("operate"), body)
    assert (said.code, "operate-unsafe" in said.message) == (403, True)
    # With it the request is judged: the stack learns still, so that an order may be refused.
    assert (await called(stack, method, f"/entra{path}", bearer("operate-unsafe"), body)).code in (200, 400, 404, 409)


async def test_what_is_bounded_needs_no_more_than_operate(stack: Stack) -> None:
    said = await called(stack, "POST", f"/entra{HERE}/failover", bearer("operate"), "{}")
    assert (said.code, said.body["outcome"]) == (409, "refused")
    assert (await called(stack, "PUT", "/entra/topologies/nowhere", bearer("operate"), "name: [")).code == 400


# --- who it was


async def test_the_history_names_who_signed_in_whatever_the_body_says(stack: Stack) -> None:
    taken = await called(stack, "POST", f"/entra{HERE}/pause", bearer("operate"), '{"by": "root", "minutes": 5}')
    assert taken.code == 200
    status = (await called(stack, "GET", f"/entra/status/{TOPOLOGY}", bearer("read"))).body
    assert status["services"][0]["paused"]["by"] == "ana@example.com"
    assert (await called(stack, "POST", f"/entra{HERE}/resume", bearer("operate"))).code == 200


# --- a browser's session


async def test_a_session_reads_and_changes_only_from_the_apps_own_page(stack: Stack) -> None:
    session = {"cookies": {"AppServiceAuthSession": ISSUER.token(["operate"])}}
    assert (await called(stack, "GET", "/entra/status", {}, **session)).code == 200
    own = {"Origin": stack.host_url}
    order = ("POST", f"/entra{HERE}/pause")
    for elsewhere in ({}, {"Origin": "https://evil.example"}, own, own | {"Sec-Fetch-Site": "same-site"}):
        assert (await called(stack, *order, elsewhere, **session)).code == 403
    assert (await called(stack, *order, own | {"Sec-Fetch-Site": "same-origin"}, **session)).code == 200


# --- the command line


async def test_the_command_line_shows_the_token_of_az_login_and_reads_which_role_is_missing(
    stack: Stack, tmp_path: Path
) -> None:
    az = tmp_path / "az"
    token = {
        "accessToken": ISSUER.token(["operate"]),
        "expiresOn": "2099-01-01 00:00:00.000000",
        "expires_on": 4070908800,
    }
    az.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(token)}\nEND\n")
    az.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "HOPKEEPER_APP": stack.host_url,
        "HOPKEEPER_AUDIENCE": f"api://{CLIENT_ID}",
    }

    async def hopkeeper(*words: str) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "function_app.cli", *words),
            cwd=Path(main.__file__).parent,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        return process.returncode, out.decode(), error.decode()

    code, out, error = await hopkeeper("get", TOPOLOGY)
    assert (code, out, error) == (0, (stack.storage / "topologies" / f"{TOPOLOGY}.yaml").read_text(), "")
    code, out, error = await hopkeeper("retire", TOPOLOGY, SERVICE)
    assert (code, out) == (2, "")
    assert (
        "ana@example.com has not the role operate-unsafe of this app, and is needed, as no member serves after it"
        in error
    )

"""The platform's authentication as the lab's host plays it: what becomes of the headers that only the platform may set."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.issuer import CLIENT_ID, Issuer
from tests.entrypoint.apps.serving import SAMPLE, RunningHost, fails, serving

ISSUER = Issuer()
FORGED = {
    "X-MS-CLIENT-PRINCIPAL": "forged",
    "x-ms-client-principal-id": "1",
    "X-Ms-Client-Principal-Name": "root",
    "X-MS-CLIENT-PRINCIPAL-IDP": "aad",
    "X-MS-TOKEN-AAD-ID-TOKEN": "forged",
}


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    scratch = tmp_path_factory.mktemp("on")
    with serving(SAMPLE, scratch, arguments=["--sign-in", str(ISSUER.written(scratch))]) as running:
        yield running


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    """Whatever its settings say of themselves."""
    with serving(SAMPLE, tmp_path_factory.mktemp("off"), WEBSITE_AUTH_ENABLED="True") as running:
        yield running


async def seen(host: RunningHost, headers: Any) -> dict[str, str]:
    """What the function finds of the platform's headers."""
    answer = await host.ask("GET", "/api/hello", headers=headers)
    found = answer.json()["headers"]
    return {name: value for name, value in found.items() if name.startswith(("x-ms-client-", "x-ms-token-"))}


async def test_headers_that_a_caller_wrote_pass_where_the_platform_does_not_authenticate(off: RunningHost) -> None:
    assert await seen(off, FORGED) == {name.lower(): value for name, value in FORGED.items()}


async def test_they_are_removed_where_it_does(on: RunningHost) -> None:
    assert await seen(on, FORGED) == {}


async def test_a_token_of_the_issuer_becomes_the_principal_and_is_passed_on_itself(on: RunningHost) -> None:
    token = ISSUER.token(["read", "alert"])
    found = await seen(on, FORGED | {"Authorization": f"Bearer {token}"})
    principal = json.loads(base64.b64decode(found["x-ms-client-principal"]))
    assert [claim["val"] for claim in principal["claims"] if claim["typ"] == "roles"] == ["read", "alert"]
    assert {"typ": "aud", "val": CLIENT_ID} in principal["claims"]
    assert (principal["auth_typ"], found["x-ms-client-principal-name"]) == ("aad", "ana@example.com")
    headers = {"Authorization": f"Bearer {token}"}
    assert (await on.ask("GET", "/api/hello", headers=headers)).json()["headers"]["authorization"] == f"Bearer {token}"


async def test_a_token_that_is_none_of_the_issuers_is_refused_and_none_at_all_is_let_through(on: RunningHost) -> None:
    for wrong in ("x", Issuer().token(["read"]), ISSUER.token(["read"], exp=1), ISSUER.token(["read"], aud="api://x")):
        assert (await on.ask("GET", "/api/hello", headers={"Authorization": f"Bearer {wrong}"})).status == 401
    assert (await on.ask("GET", "/api/hello")).status == 200
    assert (await on.ask("GET", "/api/hello", headers={"Authorization": "Basic eA=="})).status == 200


async def test_a_session_changes_nothing_from_another_site(on: RunningHost) -> None:
    session = {"Cookie": f"AppServiceAuthSession={ISSUER.token(['read'])}"}
    assert "x-ms-client-principal" in await seen(on, session)
    for page, status in (({}, 403), ({"Origin": "https://evil.example"}, 403), ({"Referer": f"{on.url}/api/"}, 200)):
        assert (await on.ask("POST", "/api/echo", headers=session | page, data=b"x")).status == status
    assert await seen(on, {"Cookie": "AppServiceAuthSession=over"}) == {}


async def test_who_signs_out_has_no_session_any_more_and_goes_nowhere_else(on: RunningHost) -> None:
    for to, goes in (("/api/", "/api/"), ("https://evil.example", "/")):
        out = await on.ask("GET", "/.auth/logout", params={"post_logout_redirect_uri": to}, allow_redirects=False)
        assert (out.status, out.headers["Location"]) == (302, goes)
        assert 'AppServiceAuthSession=""' in out.headers["Set-Cookie"]


def test_a_file_that_names_no_issuer_is_named(tmp_path: Path) -> None:
    (tmp_path / "sign-in.json").write_text("{}")
    code, said = fails(SAMPLE, "--sign-in", str(tmp_path / "sign-in.json"))
    assert code == 1
    assert "sign-in.json: 'issuer'" in said

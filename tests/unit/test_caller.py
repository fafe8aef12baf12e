"""Who may: what is believed of who calls, and which role permits what."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from function_app.domain.base.errors import NotAuthentic, NotPermitted
from function_app.domain.service.orders import VERBS, order_from
from function_app.settings import SignIn, sign_in
from function_app.triggers.caller import CONTAINED, KEY_HOLDER, ROLE_CLAIMS, AppRole, signed_in

CLIENT = "11111111-2222-3333-4444-555555555555"
OPEN = SignIn(CLIENT)
AUD = {"typ": "aud", "val": CLIENT}
TOKEN = {"Authorization": "Bearer it"}


def principal(*roles: str, typ: str = "roles", **other: Any) -> str:
    claims = [AUD, *({"typ": typ, "val": role} for role in roles)]
    return encoded({"auth_typ": "aad", "claims": claims, "name_typ": "name", "role_typ": ROLE_CLAIMS[1]} | other)


def encoded(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def headers(header: str, **more: str) -> Any:
    """As a function reads them."""
    sent = {"X-MS-CLIENT-PRINCIPAL": header, **more}
    return func.HttpRequest("GET", "http://app/api", headers=sent, body=b"").headers


# --- which role permits what

PERMITS = {
    "read": {"read"},
    "alert": {"alert"},
    "report": {"report"},
    "operate": {"read", "operate"},
    "operate-unsafe": {"read", "operate", "operate-unsafe"},
}


@pytest.mark.parametrize("role", AppRole)
def test_a_role_permits_itself_and_what_it_contains_and_nothing_else(role: AppRole) -> None:
    assert signed_in("GET", headers(principal(role)), OPEN).permits == PERMITS[role]


def test_what_a_role_contains_needs_no_second_step() -> None:
    for contained in CONTAINED.values():
        for role in contained:
            assert CONTAINED.get(role, frozenset()) <= contained


@pytest.mark.parametrize("role", AppRole)
def test_a_role_that_is_missing_is_named_with_why_and_with_what_there_is(role: AppRole) -> None:
    caller = signed_in("GET", headers(principal()), OPEN)
    with pytest.raises(NotPermitted, match=rf"role {role} of this app, and is needed, as so \(permitted: none\)"):
        caller.require(role, "so")


def test_roles_add_up() -> None:
    assert signed_in("GET", headers(principal("alert", "read")), OPEN).permits == {"alert", "read"}


def test_a_function_key_says_no_more_than_that_it_opened_its_function() -> None:
    for role in AppRole:
        KEY_HOLDER.require(role)
    assert KEY_HOLDER.name == ""


# --- what a principal must be


@pytest.mark.parametrize("typ", ROLE_CLAIMS)
def test_a_role_is_read_under_either_name_of_its_claim(typ: str) -> None:
    assert signed_in("GET", headers(principal("read", typ=typ)), OPEN).permits == {"read"}


@pytest.mark.parametrize("typ", ["role", "Roles", "groups", "scp", "wids", "name"])
def test_no_other_claim_is_a_role(typ: str) -> None:
    assert signed_in("GET", headers(principal("read", typ=typ)), OPEN).permits == frozenset()


@pytest.mark.parametrize("role", ["Read", "READ", "read ", "read,operate", '["read"]', "*", "operate_unsafe", ""])
def test_what_is_no_role_of_ours_by_the_letter_permits_nothing(role: str) -> None:
    assert signed_in("GET", headers(principal(role)), OPEN).permits == frozenset()


MALFORMED = {
    "no base64": "%%%",
    "no padding": encoded({"auth_typ": "aad", "claims": []})[:-2],
    "two headers, joined": f"{principal('read')},{principal('read')}",
    "no JSON": base64.b64encode(b"principal").decode(),
    "no UTF-8": base64.b64encode(b'{"auth_typ":"\xff"}').decode(),
    "no object": encoded(["read"]),
    "no claims": encoded({"auth_typ": "aad"}),
    "claims that are none": encoded({"auth_typ": "aad", "claims": ["roles"]}),
    "a value that is no text": encoded({"auth_typ": "aad", "claims": [AUD, {"typ": "roles", "val": ["read"]}]}),
    "of Static Web Apps": encoded({"identityProvider": "aad", "userRoles": ["read"]}),
    "nested without end": base64.b64encode(b"[" * 20_000).decode(),
}


@pytest.mark.parametrize("header", MALFORMED.values(), ids=MALFORMED)
def test_a_principal_that_cannot_be_read_is_of_no_one(header: str) -> None:
    with pytest.raises(NotAuthentic, match="cannot be read"):
        signed_in("GET", headers(header), OPEN)


FOREIGN = {
    "another provider": principal("read", auth_typ="github"),
    "no audience": principal("read", claims=[{"typ": "roles", "val": "read"}]),
    "another audience": principal("read", claims=[{"typ": "aud", "val": "api://other"}]),
}


@pytest.mark.parametrize("header", FOREIGN.values(), ids=FOREIGN)
def test_a_token_for_something_else_is_not_taken(header: str) -> None:
    with pytest.raises(NotAuthentic, match=f"not one of Entra ID for api://{CLIENT}"):
        signed_in("GET", headers(header), OPEN)


@pytest.mark.parametrize("audience", [CLIENT, f"api://{CLIENT}", CLIENT.upper()])
def test_the_audience_is_the_registration_or_its_uri(audience: str) -> None:
    given = principal(claims=[{"typ": "aud", "val": audience}, {"typ": "roles", "val": "read"}])
    assert signed_in("GET", headers(given), OPEN).permits == {"read"}


NAMES = {
    "a user": ({"preferred_username": "ana@example.com", "name": "Ana", "azp": "cli"}, "ana@example.com"),
    "a user of a version 1 token": (
        {"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "ana@old", "appid": "cli"},
        "ana@old",
    ),
    "an application": ({"azp": "an-app", "idtyp": "app"}, "an-app"),
    "an application of a version 1 token": ({"appid": "an-app"}, "an-app"),
    "neither": ({}, ""),
}


@pytest.mark.parametrize(("claims", "name"), NAMES.values(), ids=NAMES)
def test_a_user_has_a_name_and_an_application_its_id_and_roles_are_those_of_either(
    claims: dict[str, str], name: str
) -> None:
    listed = [AUD, {"typ": "roles", "val": "report"}, *({"typ": typ, "val": val} for typ, val in claims.items())]
    caller = signed_in("GET", headers(principal(claims=listed)), OPEN)
    assert (caller.name, caller.permits) == (name, {"report"})


# --- where it is believed

SET = {"HOPKEEPER_ENTRA_CLIENT_ID": CLIENT}
ON = {"WEBSITE_AUTH_ENABLED": "True"}
CLOSED = {
    "neither": ({}, "HOPKEEPER_ENTRA_CLIENT_ID is not set"),
    "the platform's alone": (ON, "HOPKEEPER_ENTRA_CLIENT_ID is not set"),
    "ours alone": (SET, "the platform's authentication is off"),
    "the platform says no": (SET | {"WEBSITE_AUTH_ENABLED": "False"}, "the platform's authentication is off"),
    "the platform says something": (SET | {"WEBSITE_AUTH_ENABLED": "1"}, "the platform's authentication is off"),
    "a client id that is none": (ON | {"HOPKEEPER_ENTRA_CLIENT_ID": "hopkeeper"}, "is no client id"),
    "a client id with more": (ON | {"HOPKEEPER_ENTRA_CLIENT_ID": f"{CLIENT}/x"}, "is no client id"),
}


@pytest.mark.parametrize(("environment", "why"), CLOSED.values(), ids=CLOSED)
def test_a_header_counts_for_nothing_unless_our_setting_and_the_platform_agree(
    environment: dict[str, str], why: str
) -> None:
    with pytest.raises(NotAuthentic, match=why):
        signed_in("GET", headers(principal("operate-unsafe"), **TOKEN), sign_in(environment))


@pytest.mark.parametrize("said", ["True", "true", " TRUE "])
def test_where_both_say_so_it_is_believed(said: str) -> None:
    given = sign_in({"HOPKEEPER_ENTRA_CLIENT_ID": f" {CLIENT.upper()} ", "WEBSITE_AUTH_ENABLED": said})
    assert given == OPEN
    assert signed_in("GET", headers(principal("read")), given).permits == {"read"}


def test_who_shows_nothing_reads_where_to_sign_in_and_for_which_audience() -> None:
    with pytest.raises(NotAuthentic, match=rf"/\.auth/login/aad.*api://{CLIENT}.*function key"):
        signed_in("GET", headers(""), OPEN)


# --- whose page it was


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_session_changes_something_from_the_apps_own_page_alone(method: str, site: str) -> None:
    with pytest.raises(NotPermitted, match="own page"):
        signed_in(method, headers(principal("operate"), **{"Sec-Fetch-Site": site}), OPEN)
    assert signed_in(method, headers(principal("operate"), **{"Sec-Fetch-Site": "same-origin"}), OPEN).permits
    assert signed_in(method, headers(principal("operate"), **TOKEN), OPEN).permits
    assert signed_in("GET", headers(principal("operate"), **{"Sec-Fetch-Site": site}), OPEN).permits


# --- which orders can make things worse

UNSAFE = [
    ("failover", {"to": "nva-b"}),
    ("forget", {"member": "nva-a", "gone": "deallocated"}),
    ("retire", {}),
    ("release", {}),
    ("release", {"despite": "it never ends"}),
]
BOUNDED = [
    ("pause", {"minutes": 5}),
    ("resume", {}),
    ("switchover", {"to": "nva-b"}),
    ("failover", {}),
    ("drain", {"member": "nva-a"}),
    ("undrain", {"member": "nva-a"}),
    ("rehearse", {"member": "nva-a"}),
    ("forget", {"member": "nva-a"}),
]


@pytest.mark.parametrize(("verb", "said"), UNSAFE)
def test_an_order_that_takes_a_word_for_a_proof_or_ends_the_care_says_why_it_is_unsafe(verb: str, said: Any) -> None:
    assert order_from(verb, said).unsafe()


@pytest.mark.parametrize(("verb", "said"), BOUNDED)
def test_an_order_that_is_proven_and_can_be_undone_is_not(verb: str, said: Any) -> None:
    assert order_from(verb, said).unsafe() == ""


def test_the_operating_guide_lists_them() -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "operating.md").read_text()
    table = guide.partition("| wants `operate-unsafe` | because |\n")[2].partition("\n\n")[0]
    listed = [re.findall(r"`([^`]+)`", line.split(" | ")[0]) for line in table.splitlines()[1:]]
    orders = [words for words in listed if words[0] in VERBS]
    assert sorted(orders) == sorted(
        [verb, *set(said) & {"to", "gone"}] for verb, said in UNSAFE if "despite" not in said
    )
    assert [words for words in listed if words not in orders] == [
        ["PUT topologies/{topology}?anyway=true"],
        ["DELETE topologies/{topology}"],
    ]


def test_every_verb_is_judged() -> None:
    assert {verb for verb, _ in (*UNSAFE, *BOUNDED)} == set(VERBS)

"""Who calls over HTTP, and whether they may. Pure.

A function key is checked by the platform's host before the function runs, and opens that function alone. A token of Entra ID, or
the session of a browser, is checked by the platform's authentication, which removes what the caller sent of
`X-MS-CLIENT-PRINCIPAL` and puts its own there; with that authentication off the header is whatever the caller wrote. So it is
believed only where both our setting and the platform say that it is on, for our own registration, and its roles are compared
here (ADR 18).
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from function_app.domain.base.errors import NotAuthentic, NotPermitted
from function_app.settings import SignIn

HEADER = "x-ms-client-principal"
PROVIDER = "aad"
ROLE_CLAIMS = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
"""As the token names it, and as some of the platform's mappings do."""
NAME_CLAIMS = (
    "preferred_username",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
    "name",
    "azp",
    "appid",
    "http://schemas.microsoft.com/identity/claims/objectidentifier",
)
"""Of a user, then of an application; the first that is there."""
BY_KEY = "a function key opens the same without `entra/` in the path"


class AppRole(StrEnum):
    """An application role of the registration in Entra ID (infra/entra/roles.json)."""

    READ = "read"
    ALERT = "alert"
    REPORT = "report"
    OPERATE = "operate"
    OPERATE_UNSAFE = "operate-unsafe"


CONTAINED: Mapping[AppRole, frozenset[AppRole]] = {
    AppRole.OPERATE: frozenset({AppRole.READ}),
    AppRole.OPERATE_UNSAFE: frozenset({AppRole.READ, AppRole.OPERATE}),
}
"""What a role permits besides what is its own."""


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` is empty where it is not known. `permits`: every role, those contained in others too."""

    name: str
    permits: frozenset[AppRole]

    def require(self, role: AppRole, why: str = "") -> None:
        """Raises NotPermitted, which names the role that is missing."""
        if role not in self.permits:
            has = ", ".join(sorted(self.permits)) or "none"
            for_what = f", and is needed, as {why}" if why else ""
            raise NotPermitted(
                f"{self.name or 'the caller'} has not the role {role} of this app{for_what} (permitted: {has}): assign it in "
                "Entra ID, to the enterprise application, and sign in again"
            )


KEY_HOLDER = Caller("", frozenset(AppRole))
"""Who was let in by a function key: it opened that function, and nothing says which key it was."""


class _Claim(msgspec.Struct, frozen=True):
    typ: str
    val: str


class _Principal(msgspec.Struct, frozen=True):
    auth_typ: str
    claims: tuple[_Claim, ...]

    def values(self, *types: str) -> list[str]:
        """In the order of the types."""
        return [claim.val for typ in types for claim in self.claims if claim.typ == typ]


def signed_in(method: str, headers: Mapping[str, str], sign_in: SignIn) -> Caller:
    """Who the platform says that it is. Raises NotAuthentic where it says nothing that can be believed, and NotPermitted for what
    a page of another site may have sent with its reader's session. `headers` ignore case."""
    if why := sign_in.closed:
        raise NotAuthentic(f"this app takes no tokens of Entra ID: {why}; {BY_KEY}")
    principal = _principal(headers.get(HEADER, ""), sign_in.client_id)
    if method != "GET" and not headers.get("authorization") and headers.get("sec-fetch-site") != "same-origin":
        raise NotPermitted(
            "a browser's session may change something from this app's own page alone, and this did not come from it: use the "
            "page of GET /api/, or send the token itself"
        )
    held = {role for role in AppRole if role in principal.values(*ROLE_CLAIMS)}
    name = next(iter(principal.values(*NAME_CLAIMS)), "")
    return Caller(name, frozenset(held.union(*(CONTAINED.get(role, frozenset()) for role in held))))


def _principal(given: str, client_id: str) -> _Principal:
    """Raises NotAuthentic."""
    if not given:
        raise NotAuthentic(
            f"neither a token nor a session: sign in at /.auth/login/aad, or send `Authorization: Bearer` with a token for "
            f"api://{client_id}; {BY_KEY}"
        )
    try:
        read = msgspec.json.decode(base64.b64decode(given, validate=True), type=_Principal)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise NotAuthentic(f"the platform's header {HEADER} cannot be read") from error
    audiences = {audience.lower() for audience in read.values("aud")}
    if read.auth_typ != PROVIDER or not audiences & {client_id, f"api://{client_id}"}:
        raise NotAuthentic(f"the token is not one of Entra ID for api://{client_id}")
    return read

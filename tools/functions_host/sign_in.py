"""What the platform's authentication does in front of an app, with the tokens of one issuer that a file names.

Source: "Work with user identities in Azure App Service authentication" (headers, and that no caller can set them),
"Authentication and authorization in Azure App Service" (unauthenticated requests allowed: a token that is none of ours is
refused, none at all is let through), and what others found: a change that a session's cookie alone authorises is refused unless
`Referer` or `Origin` is the site's own ("Cross-site request forgery detected", 403.60). Without it headers pass as they came.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from aiohttp import web
from multidict import CIMultiDict

from tools.functions_host.errors import ConfigurationError

COOKIE = "AppServiceAuthSession"
OURS = ("x-ms-client-principal", "x-ms-token-")
"""How the names of the headers begin that only the platform may set."""
ROLE_CLAIM = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
MAPPED = {
    "oid": "http://schemas.microsoft.com/identity/claims/objectidentifier",
    "tid": "http://schemas.microsoft.com/identity/claims/tenantid",
    "sub": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier",
}
SAFE = ("GET", "HEAD", "OPTIONS")

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class SignIn:
    """Whose tokens are taken: `key` is the issuer's public key (PEM, RSA)."""

    issuer: str
    audiences: tuple[str, ...]
    key: str

    def claims(self, token: str) -> Mapping[str, Any] | None:
        """None for a token that is not of the issuer, not for this app, or not of this time."""
        try:
            found: dict[str, Any] = jwt.decode(
                token, self.key, algorithms=["RS256"], audience=list(self.audiences), issuer=self.issuer
            )
        except jwt.InvalidTokenError:
            return None
        return found

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/.auth/logout":
            return _signed_out(request.query.get("post_logout_redirect_uri", "/"))
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        has_token = scheme.lower() == "bearer"
        claims = self.claims(bearer if has_token else request.cookies.get(COOKIE, ""))
        if has_token and claims is None:
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        if not has_token and claims is not None and not _is_own_page(request):
            return web.Response(status=403)
        headers = CIMultiDict(
            (name, value) for name, value in request.headers.items() if not name.lower().startswith(OURS)
        )
        headers.update({} if claims is None else _identity(claims))
        return await handler(request.clone(headers=headers))


def load(file: Path) -> SignIn:
    """Shape: {"issuer": URL, "audiences": [TEXT], "key": PEM}. Raises ConfigurationError."""
    try:
        document = json.loads(file.read_text())
        return SignIn(document["issuer"], tuple(document["audiences"]), document["key"])
    except (OSError, ValueError, LookupError, TypeError) as wrong:
        raise ConfigurationError(f"sign-in file {file}: {wrong}") from wrong


def _identity(claims: Mapping[str, Any]) -> dict[str, str]:
    listed = [
        {"typ": MAPPED.get(name, name), "val": str(one)}
        for name, value in claims.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    principal = {"auth_typ": "aad", "claims": listed, "name_typ": MAPPED["sub"], "role_typ": ROLE_CLAIM}
    return {
        "X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps(principal).encode()).decode(),
        "X-MS-CLIENT-PRINCIPAL-ID": str(claims.get("oid", "")),
        "X-MS-CLIENT-PRINCIPAL-NAME": str(claims.get("preferred_username", "")),
        "X-MS-CLIENT-PRINCIPAL-IDP": "aad",
    }


def _is_own_page(request: web.Request) -> bool:
    """Whether it changes nothing, or comes from a page of this site."""
    if request.method in SAFE:
        return True
    page = request.headers.get("Origin") or request.headers.get("Referer", "")
    return urlsplit(page).netloc == request.host


def _signed_out(to: str) -> web.Response:
    answer = web.Response(status=302, headers={"Location": to if to.startswith("/") else "/"})
    answer.del_cookie(COOKIE)
    return answer

"""Tokens as App Service's managed identity endpoint and Entra ID hand them out.

They have the form of a JWT without a valid signature: the simulator trusts every caller that shows one. What it refuses is
no token, one that is none, one that has expired, and one for another audience.
"""

import base64
import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from simulator.state import ArmError
from simulator.wire import Reply, Request

LIFETIME_SECONDS = 24 * 3600
TENANT = "00000000-0000-0000-0000-000000000001"


MANAGEMENT = frozenset({"https://management.azure.com", "https://management.core.windows.net"})


def check(request: Request, now: datetime, audiences: frozenset[str] | None = None) -> None:
    """Whether a request shows a token, for one of these audiences or the server itself. Raises ArmError."""
    header = request.headers.get("authorization", "")
    if not header:
        raise _unauthorized(
            request, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
        )
    claims = _claims(header)
    if claims is None:
        raise _unauthorized(request, "InvalidAuthenticationToken", "The access token is invalid.")
    expires, audience = claims
    if expires <= now.timestamp():
        at, present = (
            moment.strftime("%m/%d/%Y %I:%M:%S %p") for moment in (datetime.fromtimestamp(expires, UTC), now)
        )
        words = f"The access token expiry UTC time '{at}' is earlier than current UTC time '{present}'."
        raise _unauthorized(request, "ExpiredAuthenticationToken", words)
    if audiences is not None and audience not in audiences and audience != request.base_url:
        allowed = ",".join(f"'{one}'" for one in sorted(audiences))
        words = (
            f"The access token has been obtained for wrong audience or resource '{audience}'. "
            f"It should exactly match with one of the allowed audiences {allowed}."
        )
        raise _unauthorized(request, "InvalidAuthenticationTokenAudience", words)


@lru_cache(maxsize=256)
def _claims(header: str) -> tuple[int, str] | None:
    """When the token of an Authorization header expires, and its audience; None for what is no bearer token."""
    scheme, _, value = header.partition(" ")
    parts = value.split(".")
    if scheme.lower() != "bearer" or len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return int(claims["exp"]), str(claims["aud"]).rstrip("/")
    except (ValueError, KeyError, TypeError):
        return None


def _unauthorized(request: Request, code: str, message: str) -> ArmError:
    error = ArmError(401, code, message)
    why = "because of missing 'Authorization' header" if code == "AuthenticationFailed" else f": {message}"
    error.headers["WWW-Authenticate"] = (
        f'Bearer authorization_uri="{request.base_url}/{TENANT}", error="invalid_token", '
        f'error_description="The authentication failed {why}."'
    )
    return error


def managed_identity(request: Request, now: datetime) -> Reply:
    """GET /msi/token?resource=…&api-version=2019-08-01 with X-IDENTITY-HEADER."""
    if not request.headers.get("x-identity-header"):
        return Reply(401, {"statusCode": 401, "message": "X-IDENTITY-HEADER is missing."})
    resource = request.query.get("resource")
    if not resource:
        return Reply(400, {"statusCode": 400, "message": "resource is missing."})
    expires = int(now.timestamp()) + LIFETIME_SECONDS
    return _json(
        {
            "access_token": token(resource, now, request.base_url),
            "expires_on": str(expires),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": TENANT,
        }
    )


def openid_configuration(request: Request, tenant: str) -> Reply:
    base = f"{request.base_url}/{tenant}"
    return _json(
        {
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "tenant_region_scope": None,
        }
    )


def endpoints(request: Request) -> Reply:
    """GET /metadata/endpoints, from which `az cloud register` and other clients learn where everything is: here."""
    base = request.base_url
    return _json(
        {
            "portal": base,
            "authentication": {
                "loginEndpoint": base,
                "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
                "tenant": "common",
                "identityProvider": "AAD",
            },
            "graph": base,
            "graphAudience": base,
            "microsoftGraphResourceId": base,
            "gallery": base,
            "batch": base,
            "media": base,
            "sqlManagement": base,
            "vmImageAliasDoc": base,
            "activeDirectoryDataLake": base,
            "resourceManager": base,
            "logAnalyticsResourceId": base,
            "name": "Simulator",
            "suffixes": {
                "storage": "core.windows.net",
                "keyVaultDns": "vault.azure.net",
                "acrLoginServer": "azurecr.io",
            },
        }
    )


def token_endpoint(request: Request, now: datetime) -> Reply:
    """POST /{tenant}/oauth2/v2.0/token, whatever the grant."""
    return _json(
        {
            "token_type": "Bearer",
            "expires_in": LIFETIME_SECONDS,
            "ext_expires_in": LIFETIME_SECONDS,
            "access_token": token("https://management.azure.com/", now, request.base_url),
        }
    )


def token(audience: str, now: datetime, issuer: str) -> str:
    issued = int(now.timestamp())
    claims = {
        "aud": audience,
        "iss": f"{issuer}/{TENANT}/",
        "iat": issued,
        "nbf": issued,
        "exp": issued + LIFETIME_SECONDS,
        "appid": TENANT,
        "oid": TENANT,
        "tid": TENANT,
    }
    return ".".join((_part({"alg": "RS256", "typ": "JWT"}), _part(claims), base64.urlsafe_b64encode(b"none").decode()))


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _json(body: Any) -> Reply:
    return Reply(200, body, {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"})

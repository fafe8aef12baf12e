"""Tokens as App Service's managed identity endpoint and Entra ID hand them out.

They have the form of a JWT without a valid signature: the simulator trusts every caller.
"""

import base64
import json
from datetime import datetime
from typing import Any

from simulator.wire import Reply, Request

LIFETIME_SECONDS = 24 * 3600
TENANT = "00000000-0000-0000-0000-000000000001"


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

"""A credential for the Azure SDKs that every simulated Azure believes."""

from typing import Any

from azure.core.credentials import AccessToken

EXPIRES_ON = 4_000_000_000
"""Seconds since 1970, far away: the SDK compares it with the machine's clock, which virtual time knows nothing of."""


class Credential:
    """One token for every scope."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken("simulated", EXPIRES_ON)

    async def close(self) -> None: ...

    async def __aenter__(self) -> "Credential":
        return self

    async def __aexit__(self, *_: object) -> None: ...

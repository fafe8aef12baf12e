"""A credential for the Azure SDKs that hands out the simulated Azure's own tokens, without asking it for them."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from azure.core.credentials import AccessToken

from simulator.identity import LIFETIME_SECONDS, token

EXPIRES_ON = 4_000_000_000
"""Seconds since 1970, far away: the SDK compares it with the machine's clock, which virtual time knows nothing of."""


@cache
def token_for(audience: str) -> str:
    """One that the simulated Azure takes whatever its clock says."""
    issued = datetime.fromtimestamp(EXPIRES_ON - LIFETIME_SECONDS, UTC)
    return token(audience, issued, "https://login.example")


class Credential:
    """A token for every scope."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken(token_for(scopes[0].removesuffix("/.default")), EXPIRES_ON)

    async def close(self) -> None: ...

    async def __aenter__(self) -> "Credential":
        return self

    async def __aexit__(self, *_: object) -> None: ...


def authorization(audience: str = "https://management.azure.com") -> dict[str, str]:
    """What a request without an SDK shows, by the header's name."""
    return {"authorization": f"Bearer {token_for(audience)}"}

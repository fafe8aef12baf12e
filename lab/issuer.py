"""An issuer of tokens in place of Entra ID, for the lab's Functions host: what it signs the host takes, and nothing else."""

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID = "11111111-2222-3333-4444-555555555555"
TENANT = "99999999-8888-7777-6666-555555555555"
ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
HOUR = 3600


@dataclass(frozen=True, slots=True)
class Issuer:
    """Of version 2.0 tokens for the registration `CLIENT_ID`."""

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def token(self, roles: Sequence[str], **claims: Any) -> str:
        """A user's, with these application roles; other claims replace those that it would have, and None takes one away."""
        now = int(time.time())
        stated: dict[str, Any] = {
            "iss": ISSUER,
            "aud": CLIENT_ID,
            "iat": now,
            "nbf": now - 5,
            "exp": now + HOUR,
            "oid": "aaaaaaaa-0000-0000-0000-000000000001",
            "sub": secrets.token_urlsafe(16),
            "tid": TENANT,
            "preferred_username": "ana@example.com",
            "roles": list(roles),
            "ver": "2.0",
        }
        kept = {name: value for name, value in (stated | claims).items() if value is not None}
        return jwt.encode(kept, self.key, algorithm="RS256")

    def app_token(self, roles: Sequence[str]) -> str:
        """Of an application or a managed identity, which has no name but its id."""
        return self.token(roles, preferred_username=None, azp="bbbbbbbb-0000-0000-0000-000000000002", idtyp="app")

    def written(self, directory: Path) -> Path:
        """The file that the lab's host is given."""
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        public = self.key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()
        file = directory / "sign-in.json"
        document = {"issuer": ISSUER, "audiences": [CLIENT_ID, f"api://{CLIENT_ID}"], "key": public}
        file.write_text(json.dumps(document))
        return file

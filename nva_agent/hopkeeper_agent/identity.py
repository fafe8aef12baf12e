"""Who this agent is, and the messages that it signs under that name."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from hopkeeper_agent.clock import Clock
from hopkeeper_agent.decoding import Key, satisfying
from hopkeeper_agent.jws import Signer
from hopkeeper_agent.messages import is_name

APP = "hopkeeper"
"""The app as issuer and as audience."""

TOKEN_SECONDS = 30
"""How long a message to the app is valid."""

Name = Annotated[str, satisfying("lower-case letters, digits and dashes, at most 63", is_name)]


@dataclass(frozen=True, slots=True)
class Identity:
    """The agent's name in a topology, and that topology's name."""

    agent: Annotated[Name, Key("name")]
    topology: Name


def claims(identity: Identity, issued_seconds: float) -> dict[str, Any]:
    """The registered claims (RFC 7519, section 4.1) of a message to the app, issued at seconds since 1970."""
    return {
        "iss": identity.agent,
        "aud": APP,
        "sub": identity.topology,
        "iat": issued_seconds,
        "exp": issued_seconds + TOKEN_SECONDS,
        "jti": uuid.uuid4().hex,
    }


@dataclass(frozen=True, slots=True)
class Issuer:
    """Signs messages as one agent."""

    identity: Identity
    signer: Signer
    clock: Clock

    def to_app(self, typ: str, content: Mapping[str, Any]) -> str:
        """A signed message (compact JWS) of type `typ` for the app, with `content` beside the registered claims."""
        return self.signer.sign(typ, {**claims(self.identity, self.clock.wall()), **content})

    def to_peers(self, typ: str, content: Mapping[str, Any]) -> str:
        """A signed message for every peer: without audience, expiry and id, which peers replace by boot id and counter."""
        registered = claims(self.identity, self.clock.wall())
        return self.signer.sign(typ, {name: registered[name] for name in ("iss", "sub", "iat")} | dict(content))

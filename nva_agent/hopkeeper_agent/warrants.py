"""The app's role commands as proof of an epoch: an epoch is the app's word, whoever repeats it (safety.md finding 16).

An agent keeps the token of the command that gave it its role, and shows it to peers and to the app. To them it is evidence
and no command, and it does not expire: epochs only rise, so an old one proves less and never something false.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from hopkeeper_agent.identity import APP
from hopkeeper_agent.jws import Unauthentic, verify
from hopkeeper_agent.messages import COMMAND, Malformed, decode_command, is_name
from hopkeeper_agent.role import Fence, Promote, Role

WARRANT_MAX_BYTES = 1400
"""One datagram without fragments. A role command has about 600 bytes; a longer one proves nothing to peers."""

SERVICES_MAX = 64
"""So many services are kept of what peers show, of each peer and in all."""


@dataclass(frozen=True, slots=True)
class Warrant:
    """That the app gave `member` this role in a service at an epoch, and the token that says so."""

    member: str
    service: str
    epoch: int
    role: Role
    token: str


def commanded(token: bytes, keys: Mapping[str, EllipticCurvePublicKey], topology: str) -> dict[str, Any]:
    """The claims of a command of the app in this topology, to whichever agent. Raises Unauthentic."""
    claims = verify(token, COMMAND, keys)
    for name, expected in (("iss", APP), ("sub", topology)):
        if claims.get(name) != expected:
            raise Unauthentic(f"wrong {name}")
    return claims


def read_warrant(token: bytes, keys: Mapping[str, EllipticCurvePublicKey], topology: str) -> Warrant:
    """What the token of a role command proves. Raises Unauthentic, or Malformed for every other command."""
    claims = commanded(token, keys, topology)
    command, member = decode_command(claims.get("command")), claims.get("aud")
    if not isinstance(command, Fence | Promote) or not is_name(member):
        raise Malformed("warrant: not a role command")
    role = Role.SERVING if isinstance(command, Promote) else Role.STANDBY
    return Warrant(member, command.service, command.turn.epoch, role, token.decode("ascii"))

"""The command endpoint: authenticates a command, has the agent carry it out, signs the reply.

200 (accepted) and 409 (refused) are signed. Other answers are not, and name only the rule that was broken.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from hopkeeper_agent.identity import Identity, Issuer
from hopkeeper_agent.jws import Ring, Unauthentic
from hopkeeper_agent.messages import REPLY, Malformed, decode_command
from hopkeeper_agent.role import Command, Fence, Promote
from hopkeeper_agent.warrants import WARRANT_MAX_BYTES, commanded

log = logging.getLogger(__name__)

PATH = "/v1/command"
BODY_MAX_BYTES = 64 * 1024
BODY_SECONDS = 5.0
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Commanded(Protocol):
    """The agent as the command endpoint sees it."""

    async def obey(self, command: Command) -> str | None:
        """Carry the command out; None when it is accepted, else why it is refused."""

    def status(self) -> dict[str, Any]:
        """The status object for the reply."""


@dataclass(frozen=True, slots=True)
class Authentic:
    """An authentic command, and its token's id."""

    jti: str
    command: Command


def authenticate(token: bytes, keys: Mapping[str, EllipticCurvePublicKey], identity: Identity) -> Authentic:
    """Return the command that a token carries for this agent.

    Its age decides nothing, as a clock may be wrong: (epoch, seq) and the boot make an old command have no effect (`role`).
    Raises Unauthentic (signature, issuer, topology, agent) or Malformed (shape).
    """
    claims = commanded(token, keys, identity.topology)
    if claims.get("aud") != identity.agent:
        raise Unauthentic("wrong aud")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= 64:
        raise Malformed("jti: not a text of 1 to 64 characters")
    command = decode_command(claims.get("command"))
    if isinstance(command, Fence | Promote) and len(token) <= WARRANT_MAX_BYTES:
        command = replace(command, warrant=token.decode("ascii"))
    return Authentic(jti, command)


class CommandEndpoint:
    """Handles POST /v1/command. `handle` raises nothing that a request could cause."""

    def __init__(self, ring: Ring, issuer: Issuer, agent: Commanded) -> None:
        self._ring = ring
        self._issuer = issuer
        self._agent = agent

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.path != PATH:
            return _error(404, "not found")
        if request.method != "POST":
            return _error(405, "only POST")
        if "Content-Encoding" in request.headers:
            return _error(415, "encoded bodies are not taken")
        try:
            async with asyncio.timeout(BODY_SECONDS):
                token = await _body(request)
        except TimeoutError:
            return _error(408, "too slow")
        if token is None:
            return _error(413, "too large")
        try:
            authentic = authenticate(token, self._ring.current(), self._issuer.identity)
        except Unauthentic as error:
            log.warning("command not authentic", extra={"why": str(error), "remote": request.remote})
            return _error(401, str(error))
        except Malformed as error:
            log.warning("command malformed", extra={"why": str(error), "remote": request.remote})
            return _error(400, str(error))
        return await self._answer(authentic, _trace(request.headers.get("traceparent", "")))

    async def _answer(self, authentic: Authentic, trace: str) -> web.Response:
        reason = await self._agent.obey(authentic.command)
        kind = type(authentic.command).__name__.lower()
        log.info(
            "command answered",
            extra={
                "command": kind,
                "jti": authentic.jti,
                "trace": trace,
                "taken": reason is None,
                "why": reason or "the app's",
            },
        )
        reply = {
            "in_reply_to": authentic.jti,
            "accepted": reason is None,
            "reason": reason,
            "status": self._agent.status(),
        }
        return web.Response(
            status=200 if reason is None else 409,
            text=self._issuer.to_app(REPLY, reply),
            content_type="application/jose",
        )


async def _body(request: web.BaseRequest) -> bytes | None:
    # Counted while it arrives: a declared length may be wrong, and a chunked body declares none.
    if (request.content_length or 0) > BODY_MAX_BYTES:
        return None
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            return None
    return bytes(body)


def _trace(traceparent: str) -> str:
    """The id of the app's trace (W3C Trace Context), for the log alone: it is not signed. Empty where there is none."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else ""


def _error(status: int, rule: str) -> web.Response:
    response = web.json_response({"error": rule}, status=status)
    # No second request on this connection.
    response.force_close()
    return response

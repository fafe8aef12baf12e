"""The command endpoint: authenticates a command, has it obeyed, signs the answer.

200 accepted and 409 refused are signed; 401, 400 and 413 are not, and say no more than the rule that was broken.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from hopkeeper_agent.jws import Signer, Unauthentic, verify
from hopkeeper_agent.messages import APP, COMMAND, REPLY, TOKEN_SECONDS, Malformed, decode_command, seconds
from hopkeeper_agent.role import Command, Fence

log = logging.getLogger(__name__)

PATH = "/v1/command"
BODY_MAX_BYTES = 64 * 1024
BODY_SECONDS = 5.0
# The app's clock and ours may differ by this much; only FENCE is taken whatever the clocks say.
LEEWAY_SECONDS = 5.0
AGE_MAX_SECONDS = TOKEN_SECONDS + LEEWAY_SECONDS


class Ring(Protocol):
    """The app's public keys."""

    def current(self) -> Mapping[str, EllipticCurvePublicKey]:
        """By kid, as they stand now."""


@dataclass(frozen=True, slots=True)
class Order:
    """An authentic command and its token's id."""

    jti: str
    command: Command


@dataclass(frozen=True, slots=True)
class Addressee:
    """Who a command must be meant for."""

    agent: str
    topology: str


def authenticate(
    token: bytes, keys: Mapping[str, EllipticCurvePublicKey], addressee: Addressee, now_seconds: float
) -> Order:
    """Return the command a token carries; raises Unauthentic or Malformed. `now_seconds` is seconds since 1970."""
    claims = verify(token, COMMAND, keys)
    for name, expected in (("iss", APP), ("sub", addressee.topology), ("aud", addressee.agent)):
        if claims.get(name) != expected:
            raise Unauthentic(f"wrong {name}")
    try:
        issued, expires = seconds(claims.get("iat"), "iat"), seconds(claims.get("exp"), "exp")
    except Malformed as error:
        raise Unauthentic("no time of issue and expiry") from error
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= 64:
        raise Malformed("jti: not a text of 1 to 64 characters")
    command = decode_command(claims.get("command"))
    fresh = now_seconds < expires + LEEWAY_SECONDS and now_seconds <= issued + AGE_MAX_SECONDS
    if not fresh and not isinstance(command, Fence):
        raise Unauthentic("expired")
    return Order(jti, command)


class CommandEndpoint:
    """Handles POST /v1/command."""

    def __init__(
        self,
        ring: Ring,
        signer: Signer,
        addressee: Addressee,
        obey: Callable[[Command], Awaitable[str | None]],
        status: Callable[[], dict[str, Any]],
        now_seconds: Callable[[], float],
    ) -> None:
        self._ring = ring
        self._signer = signer
        self._addressee = addressee
        self._obey = obey
        self._status = status
        self._now = now_seconds

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
            order = authenticate(token, self._ring.current(), self._addressee, self._now())
        except Unauthentic as error:
            log.warning("command not authentic", extra={"rule": str(error), "remote": request.remote})
            return _error(401, str(error))
        except Malformed as error:
            log.warning("command malformed", extra={"rule": str(error), "remote": request.remote})
            return _error(400, str(error))
        return await self._answer(order)

    async def _answer(self, order: Order) -> web.Response:
        reason = await self._obey(order.command)
        log.info(
            "command answered",
            extra={"command": type(order.command).__name__.lower(), "jti": order.jti, "refused": reason},
        )
        issued = self._now()
        claims = {
            "iss": self._addressee.agent,
            "aud": APP,
            "sub": self._addressee.topology,
            "iat": issued,
            "exp": issued + TOKEN_SECONDS,
            "jti": uuid.uuid4().hex,
            "in_reply_to": order.jti,
            "accepted": reason is None,
            "reason": reason,
            "status": self._status(),
        }
        return web.Response(
            status=200 if reason is None else 409,
            text=self._signer.sign(REPLY, claims),
            content_type="application/jose",
        )


async def _body(request: web.BaseRequest) -> bytes | None:
    # Counted while it comes: a declared length may lie and a chunked body declares none.
    if (request.content_length or 0) > BODY_MAX_BYTES:
        return None
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            return None
    return bytes(body)


def _error(status: int, rule: str) -> web.Response:
    response = web.json_response({"error": rule}, status=status)
    # Whoever sent this gets no second request on the same connection.
    response.force_close()
    return response

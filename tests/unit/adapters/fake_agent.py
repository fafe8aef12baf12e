"""An agent made for tests: key material, a TLS endpoint whose answers a test bends, tokens of every wrong kind."""

import asyncio
import json
import ssl
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from function_app.adapters.agents.jws import AppKey, key_id
from function_app.domain.topology.model import Agent, Speaker

BOOT = "0" * 31 + "1"


def private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def certificate_pem(key: Any, name: str, sign_with: Any = None) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
    )
    return builder.sign(sign_with or key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@dataclass
class Identity:
    """A key and the self-signed certificate over it."""

    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.certificate = certificate_pem(self.key, self.name)

    def sign(self, claims: dict[str, Any], **headers: Any) -> str:
        header = {"typ": "hopkeeper-reply", "kid": key_id(self.key.public_key())} | headers
        return jwt.PyJWS().encode(json.dumps(claims).encode(), self.key, algorithm="ES256", headers=header)

    def server_tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as directory:
            chain = Path(directory) / "chain.pem"
            chain.write_text(private_pem(self.key) + self.certificate)
            context.load_cert_chain(chain)
        return context


def app_key() -> AppKey:
    return AppKey.from_pem(private_pem(ec.generate_private_key(ec.SECP256R1())))


def status_object(agent: str = "nva-a", topology: str = "hub", **changes: Any) -> dict[str, Any]:
    """STATUS of an agent that serves `fw` at epoch 3."""
    return {
        "agent": agent,
        "topology": topology,
        "version": "0.1.0",
        "boot_id": BOOT,
        "time": "2026-01-01T03:00:00+00:00",
        "services": {
            "fw": {
                "epoch": 3,
                "seq": 0,
                "role": "serving",
                "answering": True,
                "durable": True,
                "advertised": {
                    "epoch": 3,
                    "seq": 1,
                    "advertisements": [{"prefix": "0.0.0.0/0", "next_hop": "10.0.1.100", "prepend": 0}],
                },
            }
        },
        "fatal": [],
        "checks": {"data-path": {"value": "ok", "detail": "", "age_seconds": 0.2}},
        "peers": {"nva-b": {"gossip": "ok", "probe": "unknown", "age_seconds": 0.05}},
        "sessions": {
            "10.0.2.4": {"state": "established", "since": "2026-01-01T02:00:00+00:00"},
            "10.0.2.5": {"state": "unknown", "since": None},
        },
    } | changes


def registered(agent: str = "nva-a", now: float | None = None, **changes: Any) -> dict[str, Any]:
    """The registered claims of a message from an agent to the app."""
    issued = time.time() if now is None else now
    claims = {
        "iss": agent,
        "aud": "hopkeeper",
        "sub": "hub",
        "iat": issued,
        "exp": issued + 30,
        "jti": uuid.uuid4().hex,
    }
    return claims | changes


type Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class FakeAgent:
    """Answers every command; a test bends `respond`, `claims` or `headers` to see what the app makes of it."""

    identity: Identity
    accepted: bool = True
    claims: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    signer: Identity | None = None
    respond: Handler | None = None
    commands: list[dict[str, Any]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.connections.add(request.transport)
        token = await request.text()
        payload = jwt.PyJWS().decode_complete(token, options={"verify_signature": False})["payload"]
        self.commands.append(json.loads(payload))
        if self.respond is not None:
            return await self.respond(request)
        return self.reply()

    def reply(self) -> web.Response:
        claims = registered(self.identity.name) | {
            "in_reply_to": self.commands[-1]["jti"],
            "accepted": self.accepted,
            "reason": None if self.accepted else "epoch 2 seq 0 is lower than epoch 3 seq 0, already accepted",
            "status": status_object(self.identity.name),
        }
        token = (self.signer or self.identity).sign(claims | self.claims, **self.headers)
        return web.Response(status=200 if self.accepted else 409, text=token, content_type="application/jose")

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Speaker]:
        """Gives the speaker as the topology has it."""
        server = web.Server(self.handle)
        listener = await asyncio.get_running_loop().create_server(
            server, "127.0.0.1", 0, ssl=tls or self.identity.server_tls()
        )
        try:
            yield speaker(listener.sockets[0].getsockname()[1], self.identity.certificate, self.identity.name)
        finally:
            listener.close()
            await server.shutdown(timeout=0.1)


def speaker(port: int, certificate: str | None, name: str = "nva-a") -> Speaker:
    return Speaker(
        name=name,
        address=IPv4Address("127.0.0.1"),
        asn=65001,
        peers_with=(),
        agent=Agent(port=port, certificate=certificate),
    )


@dataclass
class SetClock:
    """A clock that shows what it is set to."""

    time: datetime

    def now(self) -> datetime:
        return self.time

    async def sleep(self, duration: timedelta) -> None:
        raise AssertionError("nothing here waits")

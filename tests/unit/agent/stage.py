"""Builders for the agent's tests: an app that signs commands, agents with real keys and files, and waiting with a limit.

Not a fixture module: whatever is made here is closed by the test or by the fixture that made it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hopkeeper_agent import config
from hopkeeper_agent.agent import BOOT_WINDOW_SECONDS, Agent
from hopkeeper_agent.enroll import enroll
from hopkeeper_agent.jws import Signer, certificate_key, key_id, verify

from lab.kit.agent_toml import AgentFile, Listen, table

TOPOLOGY = "hub-uksouth"
SERVICE = "egress-firewall"
COMMAND_TYPE = "hopkeeper-command"

_hosts = itertools.count(1)


def fresh_address() -> str:
    """A loopback address that no other test of this run uses."""
    number = next(_hosts)
    return f"127.{100 + os.getpid() % 100}.{number // 250}.{1 + number % 250}"


def new_signer() -> Signer:
    """A signer with a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Signer.from_pem(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def public_pem(signer: Signer) -> str:
    """The signer's public key."""
    return signer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def claims(command: Mapping[str, Any], agent: str = "nva-a", **overrides: Any) -> dict[str, Any]:
    """Claims of a command as the app makes them now."""
    now = time.time()
    made = {
        "iss": "hopkeeper",
        "sub": TOPOLOGY,
        "aud": agent,
        "iat": now,
        "exp": now + 30,
        "jti": uuid.uuid4().hex,
        "command": dict(command),
    }
    return {**made, **overrides}


def fence(epoch: int, seq: int = 1, service: str = SERVICE) -> dict[str, Any]:
    """A FENCE."""
    return {"kind": "fence", "service": service, "epoch": epoch, "seq": seq}


def promote(epoch: int, boot_id: str, seq: int = 1, service: str = SERVICE) -> dict[str, Any]:
    """A PROMOTE."""
    return {"kind": "promote", "service": service, "epoch": epoch, "seq": seq, "boot_id": boot_id}


def advertise(epoch: int, routes: Sequence[tuple[str, str, int]], seq: int = 1) -> dict[str, Any]:
    """An ADVERTISE of (prefix, next hop, prepend)."""
    listed = [{"prefix": prefix, "next_hop": next_hop, "prepend": prepend} for prefix, next_hop, prepend in routes]
    return {"kind": "advertise", "service": SERVICE, "epoch": epoch, "seq": seq, "advertisements": listed}


def outward(epoch: int, prefixes: Sequence[str], standby_prepend: int | None = 3, seq: int = 1) -> dict[str, Any]:
    """An OUTWARD: what on-premises neighbours are sent, by the role."""
    fields = {"prefixes": list(prefixes), "standby_prepend": standby_prepend}
    return {"kind": "outward", "service": SERVICE, "epoch": epoch, "seq": seq, **fields}


@dataclass
class Member:
    """An enrolled agent on disk: its configuration can be started any number of times."""

    name: str
    folder: Path
    app: Signer
    address: str = field(default_factory=fresh_address)
    machine: str = "machine-1"
    extra: str = ""
    period_seconds: float = 0.1
    role: str = "member"
    witness: Path | None = None
    probe_also: str = ""
    """A further address of the machine at which it is probed."""

    def __post_init__(self) -> None:
        enroll(self.folder, self.name)
        (self.folder / "app.pub").write_text(public_pem(self.app))

    @property
    def certificate(self) -> str:
        return (self.folder / "agent.crt").read_text()

    def toml(self) -> str:
        file = AgentFile(
            name=self.name,
            topology=TOPOLOGY,
            address=self.address,
            home=self.folder,
            app_keys=self.folder / "app.pub",
            listen=Listen(8443, 8080, 8444),
            agent=(("machine", self.machine), ("role", self.role), ("witness", self.witness)),
        )
        text = file.text(table("[gossip]", period_seconds=self.period_seconds), self.extra)
        also = f'probe_also = ["{self.probe_also}"]\n' if self.probe_also else ""
        return text.replace("[listen]\n", f"[listen]\n{also}")

    def back_up(self, to: Path) -> None:
        """Its state directory, as a snapshot has it; of the socket in it nothing is left."""
        shutil.copytree(self.folder / "state", to, ignore=shutil.ignore_patterns("*.sock"))

    def knows(self, *others: Member) -> None:
        """Enrol peers."""
        for other in others:
            self.extra += f"""
[[peers]]
name = "{other.name}"
address = "{other.address}"
certificate = "{other.folder}/agent.crt"
"""

    @asynccontextmanager
    async def running(self, boot_window_seconds: float = BOOT_WINDOW_SECONDS) -> AsyncIterator[Agent]:
        """The agent, started; closed at the end."""
        agent = Agent(config.decode(self.toml()), boot_window_seconds)
        try:
            await agent.start()
            yield agent
        finally:
            await agent.close()

    async def post(self, body: str | bytes, **headers: str) -> tuple[int, str]:
        """Send a request body to the command endpoint as the app does; returns status and body."""
        context = ssl.create_default_context(cadata=self.certificate)
        context.check_hostname = False
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"https://{self.address}:8443/v1/command", data=body, ssl=context, headers=headers) as response,
        ):
            return response.status, await response.text()

    async def send(self, command: Mapping[str, Any], **overrides: Any) -> tuple[int, dict[str, Any]]:
        """Send a signed command; returns the status and the verified claims of the reply."""
        token = self.app.sign(COMMAND_TYPE, claims(command, self.name, **overrides))
        status, body = await self.post(token)
        return status, self.verified(body, "hopkeeper-reply")

    def verified(self, token: str, typ: str) -> dict[str, Any]:
        """Claims of a token that this agent signed."""
        key = certificate_key(self.certificate.encode())
        return verify(token, typ, {key_id(key): key})

    async def probe(self, service: str = SERVICE, address: str = "") -> int:
        """The probe's status for a service, at its own address unless another is given."""
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://{address or self.address}:8080/probe/{service}") as response,
        ):
            return response.status


async def until(condition: Callable[[], bool], limit_seconds: float = 5.0) -> float:
    """Wait until the condition holds; returns how long it took, fails after the limit."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit_seconds, "condition did not come true in time"
        await asyncio.sleep(0.01)
    return time.monotonic() - began

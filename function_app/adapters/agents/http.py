"""The agents on the NVAs over HTTPS: signed commands out, verified replies in.

An agent without a valid reply is a reading (`Unreachable`), never an error. `messages` has the shapes, `jws` the
signatures, `reports` what agents send unrequested. No message is sent to a host name, through a proxy or after a redirect:
only to the literal address and port of the topology, over TLS that trusts the enrolled certificate alone (safety.md
section 8).
"""

import asyncio
import errno
import uuid
from dataclasses import dataclass
from datetime import timedelta

import aiohttp
import msgspec

from function_app.adapters.agents.jws import LIFETIME, AgentCertificate, AppKey, ExpectedClaims, enrolled
from function_app.adapters.agents.messages import (
    APP,
    COMMAND,
    REPLY,
    ReplyClaims,
    Signed,
    decode_reply,
    decode_status,
    encode_command,
    encode_status_query,
    plain,
)
from function_app.domain.base.errors import BadInput, NotAuthentic
from function_app.domain.service.observation import AgentReading, AgentStatus, Unreachable
from function_app.domain.topology.model import Speaker
from function_app.reconcile.ports import AgentCommand, Clock, CommandAnswer
from function_app.reconcile.trace import traceparent

REPLY_SIZE_MAX = 256 * 1024
"""Bytes of a reply: a status with a thousand prefixes fits."""
KEEP_ALIVE = timedelta(seconds=8)
"""Shorter than the agent's own 10 s, so that a connection is seldom closed just as it is used."""
ATTEMPTS = 2
"""An idle connection may have been closed by the agent: one more attempt, on a new connection."""

_NO_ROUTE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL})


class AgentsUnsigned:
    """Without a signing key: whatever would reach an agent raises BadInput, so that none is taken for unreachable."""

    async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading:
        raise _no_key()

    async def command(
        self, topology: str, speaker: Speaker, service: str, command: AgentCommand, timeout: timedelta
    ) -> CommandAnswer:
        raise _no_key()


def _no_key() -> BadInput:
    return BadInput.of("HOPKEEPER_SIGNING_KEY", "must be set: agents take only what is signed")


class AgentsOverHttp:
    """Agents at the addresses of the topology. Nothing connects before the first request; `close` when done."""

    def __init__(self, key: AppKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading:
        message = _Message(topology, speaker, encode_status_query())
        answer = await self._send(message, timeout)
        if isinstance(answer, _VerifiedReply) and not answer.reply.accepted:
            return Unreachable(f"it refused to report its status: {plain(answer.reply.reason or 'no reason given')}")
        return answer.status if isinstance(answer, _VerifiedReply) else answer

    async def command(
        self, topology: str, speaker: Speaker, service: str, command: AgentCommand, timeout: timedelta
    ) -> CommandAnswer:
        answer = await self._send(_Message(topology, speaker, encode_command(service, command)), timeout)
        if isinstance(answer, Unreachable):
            return CommandAnswer(answer)
        if answer.reply.accepted:
            return CommandAnswer(answer.status)
        return CommandAnswer(answer.status, refused=plain(answer.reply.reason or "") or "no reason given")

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _send(self, message: "_Message", timeout: timedelta) -> "_VerifiedReply | Unreachable":
        """One signed message and its verified reply, or why there is none."""
        if message.speaker.agent is None:
            return Unreachable("no agent is configured for it")
        if message.speaker.agent.certificate is None:
            return Unreachable("no certificate is enrolled for it")
        try:
            certificate = enrolled(message.speaker.agent.certificate)
        except BadInput as error:
            return Unreachable(f"its enrolled certificate cannot be used: {error}")
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await self._exchange(message, message.speaker.agent.port, certificate)
        except TimeoutError:
            return Unreachable(f"no answer within {timeout.total_seconds():g} s")
        except NotAuthentic as error:
            return Unreachable(f"its answer is not authentic: {error}")
        except BadInput as error:
            return Unreachable(f"its answer is malformed: {error}")
        except _NoReply as error:
            return Unreachable(str(error))
        except aiohttp.ClientConnectorCertificateError:
            return Unreachable("its TLS certificate is not the enrolled one")
        except aiohttp.ClientConnectorSSLError:
            return Unreachable("TLS failed")
        except aiohttp.ClientConnectorError as error:
            return Unreachable(_connecting(error.errno))
        except (aiohttp.ClientError, OSError):
            return Unreachable("the connection broke")

    async def _exchange(self, message: "_Message", port: int, certificate: AgentCertificate) -> "_VerifiedReply":
        for attempt in range(1, ATTEMPTS + 1):
            jti = uuid.uuid4().hex
            try:
                text = await self._post(message, jti, port, certificate)
                return message.answer(text, jti, certificate, self._key.signed)
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("a loop of at least one attempt returns or raises")

    async def _post(self, message: "_Message", jti: str, port: int, certificate: AgentCertificate) -> str:
        """The body of a signed reply (200 accepted, 409 refused). Raises _NoReply or aiohttp's errors."""
        issued = self._clock.now().timestamp()
        token = self._key.sign(
            COMMAND,
            {
                "iss": APP,
                "sub": message.topology,
                "aud": message.speaker.name,
                "iat": issued,
                "exp": issued + LIFETIME.total_seconds(),
                "jti": jti,
                "command": message.command,
            },
        )
        posted = self._client().post(
            f"https://{message.speaker.agent_address}:{port}/v1/command",
            data=token.encode("ascii"),
            headers={"Content-Type": "application/jose", "Accept-Encoding": "identity", **_traced()},
            ssl=certificate.tls,
            allow_redirects=False,
        )
        async with posted as response:
            body = await _bounded(response)
            if response.status in (200, 409):
                return body.decode("latin-1")  # a JWS is ASCII; whatever else it is does not verify
            raise _NoReply(_unsigned(response.status, body))

    def _client(self) -> aiohttp.ClientSession:
        # Made on first use: a session belongs to the event loop that runs then.
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                # No limit: every caller has a timeout, and one agent that hangs must not hold up the others.
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=KEEP_ALIVE.total_seconds(), use_dns_cache=False
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def _traced() -> dict[str, str]:
    return {"traceparent": traceparent()} if traceparent() else {}


class _NoReply(Exception):
    """An HTTP answer that is no reply of an agent; the message says why, in few constant words."""


@dataclass(frozen=True, slots=True)
class _VerifiedReply:
    reply: ReplyClaims
    status: AgentStatus


@dataclass(frozen=True, slots=True)
class _Message:
    """One command for one agent, and what its reply must be."""

    topology: str
    speaker: Speaker
    command: dict[str, object]

    def answer(self, text: str, jti: str, certificate: AgentCertificate, signed: Signed) -> _VerifiedReply:
        """Raises NotAuthentic or BadInput. `signed` reads the commands of ours that the agent shows.

        No clock decides: `in_reply_to` proves that the reply is fresh.
        """
        expected = ExpectedClaims(
            REPLY,
            issuer=self.speaker.name,
            audience=APP,
            subject=self.topology,
            now=None,
        )
        reply = decode_reply(certificate.verify(text, expected, REPLY_SIZE_MAX))
        if reply.in_reply_to != jti:
            raise NotAuthentic("it answers another message")
        return _VerifiedReply(reply, decode_status(reply.status, self.topology, self.speaker.name, signed))


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > REPLY_SIZE_MAX:
            response.close()
            raise _NoReply(f"its answer is larger than {REPLY_SIZE_MAX // 1024} KiB")
    return bytes(body)


class _Error(msgspec.Struct, frozen=True):
    error: str


def _unsigned(status: int, body: bytes) -> str:
    try:
        rule = plain(msgspec.json.decode(body, type=_Error).error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        rule = ""
    return f"its answer is HTTP {status}" + (f": {rule}" if rule else "")


def _connecting(number: int | None) -> str:
    if number == errno.ECONNREFUSED:
        return "the connection was refused"
    return "there is no route to it" if number in _NO_ROUTE else "the connection failed"

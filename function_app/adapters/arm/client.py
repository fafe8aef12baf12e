"""What the Azure adapters share: the cloud, our identity in it, its clients, and how its errors are translated.

Nothing connects at import or construction, and no SDK is imported before its first use (the management SDK takes 0.5 s
warm and 3 s cold), which is in a thread, so that the fast path goes on. Storage, which the fast path needs, is apart.

| azure-core reports                                          | raised      | retry after                |
|-------------------------------------------------------------|-------------|----------------------------|
| 412, or an operation that another one superseded            | Superseded  | Retry-After, else 5 s      |
| 409 with a code of `BUSY`                                   | Unavailable | Retry-After, else 5 s      |
| any other 409: another write came first                     | Superseded  | Retry-After, else 5 s      |
| 408, 429, 5xx, an operation that failed                     | Unavailable | Retry-After, else 5 s      |
| 404: the id names nothing, or nothing yet                   | Missing     | Retry-After, else 60 s     |
| 400, 401, 403, ...: time alone does not cure it             | Unavailable | Retry-After, else 60 s     |
| no connection, no answer in time, an answer that is no JSON | Unavailable | 5 s                        |

An answer whose JSON has an unexpected shape is Unavailable too, for 60 s and with its trace in the log: one resource's odd
answer never ends the pass over the others.
"""

import asyncio
import importlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, Self, cast, runtime_checkable

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from function_app.adapters import connecting
from function_app.adapters.arm.document import MESSAGE_MAX
from function_app.domain.base.errors import BadInput, Missing, Superseded, Transient, Unavailable

if TYPE_CHECKING:
    import aiohttp
    from azure.core.credentials_async import AsyncTokenCredential

log = logging.getLogger("hopkeeper.azure")

type CredentialFactory = Callable[[], AsyncTokenCredential]

NETWORK_SDK = "azure.mgmt.network.aio"
IDENTITY_SDK = "azure.identity.aio"

SOON = timedelta(seconds=5)
LATER = timedelta(seconds=60)
RETRY_AFTER_MAX = timedelta(hours=1)  # whatever a server sends: the sweep looks again sooner anyway
DIGITS_MAX = 9  # of a wait that a server sends

# Codes of a 409 that mean busy: the resource accepts the same write later (azure-facts.md section 6).
BUSY = ("anotheroperationinprogress", "retryableerror", "hubbgpconnectionparenthub")
# Codes of an operation that was accepted and then lost to a later write.
SUPERSEDED = ("canceledandsuperseded", "operationpreempted")


@dataclass(frozen=True, slots=True)
class Cloud:
    """Which Azure, and our identity there. `timeout` bounds one request; `ca_file` replaces the system's trust anchors."""

    credential: CredentialFactory
    endpoint: str = "https://management.azure.com"
    scopes: tuple[str, ...] = ("https://management.azure.com/.default",)
    ca_file: str | None = None
    timeout: timedelta = timedelta(seconds=8)

    @property
    def options(self) -> dict[str, Any]:
        """Client options: no retries, as azure-core would sleep inside the call; no redirects; no proxy of the environment."""
        seconds = self.timeout.total_seconds()
        return {
            "retry_total": 0,
            "connection_timeout": seconds,
            "read_timeout": seconds,
            "permit_redirects": False,
            "use_env_settings": False,
        }


def managed_identity(client_id: str | None) -> CredentialFactory:
    """The function app's own identity, or the user-assigned one with this client id. No proxy of the environment is shown the
    secret that opens it."""

    def make() -> "AsyncTokenCredential":
        made = _identity().ManagedIdentityCredential(client_id=client_id, use_env_settings=False)
        return cast("AsyncTokenCredential", made)

    return make


def default_credential() -> CredentialFactory:
    """Whatever azure-identity finds: for people at their own machine."""

    def make() -> "AsyncTokenCredential":
        return cast("AsyncTokenCredential", _identity().DefaultAzureCredential())

    return make


def _identity() -> Any:
    return importlib.import_module(IDENTITY_SDK)


@runtime_checkable
class Closable(Protocol):
    async def close(self) -> None: ...


class Azure:
    """The clients of one cloud: each made at its first use, cached, and closed together."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._credential: AsyncTokenCredential | None = None
        self._clients: dict[tuple[str, str], Closable] = {}
        self._making = asyncio.Lock()
        self._warming: asyncio.Task[ModuleType] | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Client options, for `make` alone: the cloud's, and connections that all clients share."""
        transport = importlib.import_module("azure.core.pipeline.transport").AioHttpTransport
        given = self.cloud.options  # its timeouts are the transport's: azure-core takes them from there
        return {**given, "transport": transport(session=self._session, session_owner=False, **given)}

    def warm(self) -> None:
        """Begins to import the management SDK in a thread, once; a failure shows at the first call."""
        if self._warming is None:
            self._warming = asyncio.get_running_loop().create_task(_imported(NETWORK_SDK))

    async def network(self, subscription: str) -> Any:
        """The `NetworkManagementClient` of a subscription (its operations are untyped coroutines)."""

        def make(sdk: ModuleType, credential: "AsyncTokenCredential") -> Closable:
            arm: dict[str, Any] = {"base_url": self.cloud.endpoint, "credential_scopes": list(self.cloud.scopes)}
            return cast(Closable, sdk.NetworkManagementClient(credential, subscription, **arm, **self.options))

        return await self.client(NETWORK_SDK, subscription.casefold(), make)

    async def client(self, sdk: str, key: str, make: Callable[[ModuleType, "AsyncTokenCredential"], Closable]) -> Any:
        """The client of an SDK that `make` makes, in a thread like the import before it: both take a while."""
        async with self._making:
            if (sdk, key) not in self._clients:
                module = await _imported(sdk)
                if self._credential is None:
                    self._credential = await asyncio.to_thread(self.cloud.credential)
                if self._session is None:
                    self._session = await self._connections()
                self._clients[sdk, key] = await asyncio.to_thread(make, module, self._credential)
            return self._clients[sdk, key]

    async def _connections(self) -> "aiohttp.ClientSession":
        """With trust anchors that are read once: azure-core, given a file of them, reads it for each request, and finds no
        connection of the last one (its `_build_ssl_config`). The rest is as azure-core makes a session."""
        http = await _imported("aiohttp")
        try:
            trusted = await asyncio.to_thread(ssl.create_default_context, cafile=self.cloud.ca_file)
        except OSError as error:
            why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            raise Unavailable(f"the authorities in {self.cloud.ca_file} cannot be used: {why}", LATER) from error
        return cast(
            "aiohttp.ClientSession",
            http.ClientSession(
                connector=http.TCPConnector(ssl=trusted),
                cookie_jar=http.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            ),
        )

    async def close(self) -> None:
        """Closes every client and the credential; a later call makes new ones."""
        if self._warming is not None:
            await asyncio.gather(self._warming, return_exceptions=True)
        clients, self._clients = self._clients, {}
        credential, self._credential, self._warming = self._credential, None, None
        for client in clients.values():
            await client.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        if credential is not None:
            await credential.close()


async def _imported(module: str) -> ModuleType:
    return await asyncio.to_thread(importlib.import_module, module)


@dataclass(frozen=True, slots=True)
class ResourceId:
    """A resource id by its parts, as the management SDK wants them."""

    subscription: str
    group: str
    name: str

    @classmethod
    def parse(cls, text: str, kind: str) -> Self:
        """`/subscriptions/{s}/resourceGroups/{g}/providers/{kind}/{name}`, without case. Raises BadInput."""
        match text.split("/"):
            case ["", subscriptions, subscription, groups, group, providers, namespace, type_, name] if (
                f"{subscriptions}/{groups}/{providers}/{namespace}/{type_}".casefold()
                == f"subscriptions/resourceGroups/providers/{kind}".casefold()
            ):
                return cls(subscription, group, name)
        raise BadInput.of("id", f"{text!r} is not the id of a {kind}")


@asynccontextmanager
async def calling(what: str, timeout: timedelta) -> AsyncIterator[None]:
    """Bounds what is inside by `timeout`, the calls and the reading of their answers, and translates what they raise.

    The reading of an answer belongs inside: an unexpected shape is Unavailable as well. Raises Unavailable or
    Superseded.
    """
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            yield
    except AzureError as error:
        raise translated(what, error) from error
    except TimeoutError as error:
        raise Unavailable(f"{what}: not done within {timeout.total_seconds():g} s", SOON) from error
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        log.warning("%s: the answer cannot be read", what, exc_info=error)
        why = f"the answer cannot be read: {type(error).__name__}: {error}"
        raise Unavailable(f"{what}: {why}"[:MESSAGE_MAX], LATER) from error


def translated(what: str, error: AzureError) -> Transient:
    """The table above for one error of azure-core. `what`: what was tried, and where."""
    if not isinstance(error, HttpResponseError) or error.status_code is None:
        return Unavailable(f"{what}: {_unanswered(error)[:MESSAGE_MAX]}", SOON)
    status, code = error.status_code, error_code(error)
    refusal = f"{status} {code}" if code else str(status)
    message, wait = f"{what}: {refusal}: {_words(error)}", retry_after(error)
    if _is_lost(status, code.casefold()):
        return Superseded(message, wait or SOON)
    if status == 404:
        return Missing(message, wait or LATER)
    return Unavailable(message, wait or (SOON if _may_pass(status) else LATER))


def _unanswered(error: AzureError) -> str:
    """Where no answer came at all."""
    if isinstance(error, ClientAuthenticationError):
        return connecting.login(str(error.message))
    return connecting.why(error) if error.__cause__ is not None else _words(error)


def _is_lost(status: int, code: str) -> bool:
    """Whether another write came first."""
    return status == 412 or code.startswith(SUPERSEDED) or (status == 409 and not code.startswith(BUSY))


def _may_pass(status: int) -> bool:
    """Whether time alone may cure it: busy, throttled, a server's fault, or an operation that failed (2xx)."""
    return status in (408, 409, 429) or status >= 500 or status < 400


def error_code(error: HttpResponseError) -> str:
    """ARM's `error.code`, empty where there is none."""
    return str(getattr(error.error, "code", None) or "")


def retry_after(error: HttpResponseError) -> timedelta | None:
    """The wait that the response names: Retry-After in seconds or as a date, or Azure's headers in milliseconds."""
    answered: Any = error.response
    headers = {
        name.casefold(): str(value) for name, value in (answered.headers if answered is not None else {}).items()
    }
    if (plain := headers.get("retry-after")) is not None:
        return _duration(plain)
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (milliseconds := headers.get(name, "")).isdecimal():
            return _bounded(timedelta(milliseconds=int(milliseconds[:DIGITS_MAX])))
    return None


def _duration(text: str) -> timedelta | None:
    if text.strip().isdecimal():
        return _bounded(timedelta(seconds=int(text.strip()[:DIGITS_MAX])))
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return _bounded(date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC))


def _bounded(wait: timedelta) -> timedelta:
    return max(timedelta(0), min(wait, RETRY_AFTER_MAX))


def _words(error: AzureError) -> str:
    message = getattr(getattr(error, "error", None), "message", None) or error.message or type(error).__name__
    return " ".join(str(message).split())[:MESSAGE_MAX]

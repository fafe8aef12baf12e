"""What documents and wake-ups share in Azure: a client that is made late, and a place that is created when it is missing."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol

from function_app.adapters import connecting
from function_app.domain.base.errors import BadInput, Unavailable

# One quick retry inside a call, for a stale connection; when to try again after that is for the caller to decide.
CLIENT_OPTIONS: dict[str, Any] = {
    "retry_total": 1,
    "initial_backoff": 0,
    "increment_base": 0,
    "random_jitter_range": 0,
    "connection_timeout": 2,
    "read_timeout": 5,
    "use_env_settings": False,  # no proxy of the environment: it would be shown our token
}
CALL_TIMEOUT = timedelta(seconds=10)
"""For one document or message, retry included: a pass that waits longer for its record should start again."""


class _Closable(Protocol):
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Loaded[Client]:
    """What there is once the SDK is imported: its errors (azure.core.exceptions), the client made with it, and the identity of
    that client, which closes with it; None where a connection string has the key."""

    errors: Any
    client: Client
    identity: _Closable | None


class LateClient[Client: _Closable]:
    """That of one container or queue. Nothing connects, and no connection string is read, before the first call.

    The SDK (half a second to import) is loaded in a thread then, and the client made there.
    """

    def __init__(
        self,
        kind: Literal["Container", "Queue"],
        sdk: str,
        make_client: Callable[[Any, Any], Client],
        create: Callable[[Client], Awaitable[object]],
        identity: Callable[[], _Closable] | None,
    ) -> None:
        """`kind` as Storage's error codes name it; `make_client` gets the module `sdk` and what `identity` makes, in a thread."""
        self._kind = kind
        self._sdk = sdk
        self._make_client = make_client
        self._create = create
        self._identity = identity
        self._loaded: Loaded[Client] | None = None
        self._loading = asyncio.Lock()

    async def call[T](self, what: str, call: Callable[[Loaded[Client]], Awaitable[T]]) -> T:
        """The result of one call, made again after the place was created if it was missing; `what` names it in errors.

        Raises Unavailable, BadInput for a connection string that cannot be parsed, and what `call` itself raises.
        """
        loaded = await self._load()
        try:
            async with asyncio.timeout(CALL_TIMEOUT.total_seconds()):
                try:
                    return await call(loaded)
                except loaded.errors.ResourceNotFoundError as error:
                    if storage_code(error) != f"{self._kind}NotFound":
                        raise
                await self._create_missing(loaded)
                return await call(loaded)
        except (loaded.errors.AzureError, TimeoutError, OSError) as error:
            raise Unavailable(f"cannot {what}: {storage_code(error) or _words(loaded, error)}") from error

    async def close(self) -> None:
        if self._loaded is not None:
            loaded, self._loaded = self._loaded, None
            await loaded.client.close()
            if loaded.identity is not None:
                await loaded.identity.close()

    async def _create_missing(self, loaded: Loaded[Client]) -> None:
        # Only when missing: an identity with rights on the place alone may not create one.
        try:
            await self._create(loaded.client)
        except loaded.errors.ResourceExistsError as error:
            if storage_code(error) != f"{self._kind}AlreadyExists":
                raise

    async def _load(self) -> Loaded[Client]:
        async with self._loading:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(self._import)
            return self._loaded

    def _import(self) -> Loaded[Client]:
        sdk = importlib.import_module(self._sdk)
        errors = importlib.import_module("azure.core.exceptions")
        identity = None if self._identity is None else self._identity()
        try:
            return Loaded(errors, self._make_client(sdk, identity), identity)
        except ValueError as error:
            raise BadInput.of("storage account", str(error)) from error


def _words(loaded: Loaded[Any], error: BaseException) -> str:
    """Where Storage itself gave no code: no answer came, or no identity was found to ask with."""
    if isinstance(error, loaded.errors.ClientAuthenticationError):
        return connecting.login(str(error))
    return " ".join(connecting.why(error).split())


def storage_code(error: BaseException) -> str:
    """Storage's error code, which the SDK gives as an enum member or as a string; empty where there is none."""
    given = getattr(error, "error_code", None)
    return str(getattr(given, "value", given) or "")

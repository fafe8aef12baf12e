"""Documents in Blob Storage: a key is a blob's name, compare-and-swap is If-Match and If-None-Match.

The SDK (half a second to import) is loaded in a thread when it is first needed. A write whose answer was lost may have
happened: it raises Unavailable, or Superseded after the retry; the caller reads again in both cases.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from function_app.adapters.storage.names import check_key, check_prefix, is_key
from function_app.domain.base.errors import BadInput, Superseded, Unavailable
from function_app.reconcile.ports import Stored

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.blob.aio import ContainerClient

# One quick retry inside a call, for a stale connection; when to try again after that is for the caller to decide.
CLIENT_OPTIONS: dict[str, Any] = {
    "retry_total": 1,
    "initial_backoff": 0,
    "increment_base": 0,
    "random_jitter_range": 0,
    "connection_timeout": 2,
    "read_timeout": 5,
}
CALL_TIMEOUT = timedelta(seconds=10)
"""For one document, retry included: a pass that waits longer for its record should start again."""

_CONTENT_TYPES = {".json": "application/json", ".yaml": "application/yaml"}
_LOST = frozenset({"ConditionNotMet", "TargetConditionNotMet", "BlobAlreadyExists"})


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The SDK once it is imported, and the client made with it."""

    blob: Any
    core: Any
    errors: Any
    container: "ContainerClient"


class DocumentsInBlobs:
    """Documents in one container, which is created when it turns out to be missing.

    Nothing connects, and no connection string is read, before the first use. A connection string that cannot be parsed
    is BadInput then.
    """

    def __init__(self, container: str, make_client: Callable[[Any], "ContainerClient"]) -> None:
        """`make_client` gets the module azure.storage.blob.aio and runs in a thread."""
        self._name = container
        self._make_client = make_client
        self._loaded: _Loaded | None = None
        self._loading = asyncio.Lock()

    @classmethod
    def from_connection_string(cls, connection: str, container: str) -> "DocumentsInBlobs":
        """For Azurite, and for accounts that still allow shared keys."""

        def make_client(blob: Any) -> "ContainerClient":
            client: ContainerClient = blob.ContainerClient.from_connection_string(
                connection, container, **CLIENT_OPTIONS
            )
            return client

        return cls(container, make_client)

    @classmethod
    def from_identity(
        cls, account_url: str, credential: Callable[[], "AsyncTokenCredential"], container: str
    ) -> "DocumentsInBlobs":
        """`account_url` like https://{account}.blob.core.windows.net; `credential` is called once, in a thread.

        The credential is closed by its maker: adapters share one.
        """

        def make_client(blob: Any) -> "ContainerClient":
            client: ContainerClient = blob.ContainerClient(
                account_url, container, credential=credential(), **CLIENT_OPTIONS
            )
            return client

        return cls(container, make_client)

    async def load(self, key: str) -> Stored | None:
        check_key(key)

        async def download(sdk: _Loaded) -> Stored | None:
            try:
                blob = await sdk.container.download_blob(key)
                return Stored(await blob.readall(), blob.properties.etag)
            except sdk.errors.ResourceNotFoundError as error:
                if _code(error) == "ContainerNotFound":
                    raise
                return None

        return await self._call(f"load {key!r}", download)

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        check_key(key)

        if etag == "":
            raise Superseded(f"document {key!r} never had an empty etag")  # the SDK raises ValueError for it

        async def upload(sdk: _Loaded) -> str:
            unchanged = sdk.core.MatchConditions.IfNotModified
            condition = {"overwrite": True, "etag": etag, "match_condition": unchanged} if etag is not None else {}
            try:
                return await _upload(sdk, key, body, condition)
            except sdk.errors.HttpResponseError as error:
                # A deleted blob does not match an etag either; Azure answers 404 or 412, by version.
                if _code(error) in _LOST or (etag is not None and _code(error) == "BlobNotFound"):
                    raise Superseded(f"document {key!r} changed since it was read") from error
                raise

        return await self._call(f"save {key!r}", upload)

    async def put(self, key: str, body: bytes) -> None:
        check_key(key)
        await self._call(f"put {key!r}", lambda sdk: _upload(sdk, key, body, {"overwrite": True}))

    async def keys(self, prefix: str) -> tuple[str, ...]:
        check_prefix(prefix)

        async def names(sdk: _Loaded) -> tuple[str, ...]:
            listed = sdk.container.list_blob_names(name_starts_with=prefix or None)
            return tuple(sorted([name async for name in listed if is_key(name)]))

        return await self._call(f"list {prefix!r}", names)

    async def close(self) -> None:
        if self._loaded is not None:
            loaded, self._loaded = self._loaded, None
            await loaded.container.close()

    async def _call[T](self, what: str, call: Callable[[_Loaded], Awaitable[T]]) -> T:
        """Runs one call against the container, creating it if it is missing. Raises Unavailable, Superseded, BadInput."""
        sdk = await self._sdk()
        try:
            async with asyncio.timeout(CALL_TIMEOUT.total_seconds()):
                try:
                    return await call(sdk)
                except sdk.errors.ResourceNotFoundError as error:
                    if _code(error) != "ContainerNotFound":
                        raise
                await self._create_container(sdk)
                return await call(sdk)
        except (sdk.errors.AzureError, TimeoutError, OSError) as error:
            why = _code(error) or type(error).__name__
            raise Unavailable(f"cannot {what} in container {self._name!r}: {why}") from error

    async def _create_container(self, sdk: _Loaded) -> None:
        # Only when missing: an identity with rights on the container alone may not create one.
        try:
            await sdk.container.create_container()
        except sdk.errors.ResourceExistsError as error:
            if _code(error) != "ContainerAlreadyExists":
                raise

    async def _sdk(self) -> _Loaded:
        async with self._loading:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(self._load_sdk)
            return self._loaded

    def _load_sdk(self) -> _Loaded:
        blob = importlib.import_module("azure.storage.blob.aio")
        core = importlib.import_module("azure.core")
        errors = importlib.import_module("azure.core.exceptions")
        try:
            return _Loaded(blob, core, errors, self._make_client(blob))
        except ValueError as error:
            raise BadInput.of("storage account", str(error)) from error


async def _upload(sdk: _Loaded, key: str, body: bytes, condition: dict[str, Any]) -> str:
    content_type = _CONTENT_TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")
    settings = importlib.import_module("azure.storage.blob").ContentSettings(content_type=content_type)
    written = await sdk.container.get_blob_client(key).upload_blob(body, content_settings=settings, **condition)
    etag: str = written["etag"]
    return etag


def _code(error: BaseException) -> str:
    """Storage's error code, which the SDK gives as an enum member or as a string."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")

"""Documents in Blob Storage: a key is a blob's name, compare-and-swap is If-Match and If-None-Match.

A write whose answer was lost may have happened: it raises Unavailable, or Superseded after the retry; the caller reads
again in both cases.
"""

import importlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from function_app.adapters.storage.client import CLIENT_OPTIONS, LateClient, Loaded, storage_code
from function_app.adapters.storage.names import check_key, check_prefix, is_key
from function_app.domain.base.errors import Superseded
from function_app.reconcile.ports import Stored

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.blob.aio import ContainerClient

_CONTENT_TYPES = {".json": "application/json", ".yaml": "application/yaml"}
_LOST = frozenset({"ConditionNotMet", "TargetConditionNotMet", "BlobAlreadyExists"})

type _Blobs = Loaded["ContainerClient"]


class DocumentsInBlobs:
    """Documents in one container, which is created when it turns out to be missing.

    Every method raises Unavailable, and BadInput where the connection string cannot be parsed.
    """

    def __init__(
        self,
        container: str,
        make_client: Callable[[Any, Any], "ContainerClient"],
        identity: Callable[[], "AsyncTokenCredential"] | None = None,
    ) -> None:
        """`make_client` gets the module azure.storage.blob.aio and what `identity` makes; both run in a thread."""
        self._name = container
        self._container = LateClient(
            "Container", "azure.storage.blob.aio", make_client, lambda client: client.create_container(), identity
        )

    @classmethod
    def from_connection_string(cls, connection: str, container: str) -> "DocumentsInBlobs":
        """For Azurite, and for accounts that still allow shared keys."""

        def make_client(blob: Any, _: object) -> "ContainerClient":
            client: ContainerClient = blob.ContainerClient.from_connection_string(
                connection, container, **CLIENT_OPTIONS
            )
            return client

        return cls(container, make_client)

    @classmethod
    def from_identity(
        cls, account_url: str, credential: Callable[[], "AsyncTokenCredential"], container: str
    ) -> "DocumentsInBlobs":
        """`account_url` like https://{account}.blob.core.windows.net; `credential` is called once, in a thread; what it makes
        is closed with the client."""

        def make_client(blob: Any, identity: Any) -> "ContainerClient":
            client: ContainerClient = blob.ContainerClient(
                account_url, container, credential=identity, **CLIENT_OPTIONS
            )
            return client

        return cls(container, make_client, credential)

    async def load(self, key: str) -> Stored | None:
        check_key(key)

        async def download(sdk: _Blobs) -> Stored | None:
            try:
                blob = await sdk.client.download_blob(key)
                return Stored(await blob.readall(), blob.properties.etag)
            except sdk.errors.ResourceNotFoundError as error:
                if storage_code(error) == "ContainerNotFound":
                    raise
                return None

        return await self._call(f"load {key!r}", download)

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        check_key(key)

        if etag == "":
            raise Superseded(f"document {key!r} never had an empty etag")  # the SDK raises ValueError for it

        async def upload(sdk: _Blobs) -> str:
            unchanged = importlib.import_module("azure.core").MatchConditions.IfNotModified
            condition = {"overwrite": True, "etag": etag, "match_condition": unchanged} if etag is not None else {}
            try:
                return await _upload(sdk, key, body, condition)
            except sdk.errors.HttpResponseError as error:
                # A deleted blob does not match an etag either; Azure answers 404 or 412, by version.
                if storage_code(error) in _LOST or (etag is not None and storage_code(error) == "BlobNotFound"):
                    raise Superseded(f"document {key!r} changed since it was read") from error
                raise

        return await self._call(f"save {key!r}", upload)

    async def put(self, key: str, body: bytes) -> None:
        check_key(key)
        await self._call(f"put {key!r}", lambda sdk: _upload(sdk, key, body, {"overwrite": True}))

    async def remove(self, key: str, etag: str) -> None:
        check_key(key)

        async def delete(sdk: _Blobs) -> None:
            unchanged = importlib.import_module("azure.core").MatchConditions.IfNotModified
            try:
                await sdk.client.delete_blob(key, etag=etag, match_condition=unchanged)
            except sdk.errors.HttpResponseError as error:
                if storage_code(error) in _LOST or storage_code(error) == "BlobNotFound":
                    raise Superseded(f"document {key!r} changed since it was read") from error
                raise

        await self._call(f"remove {key!r}", delete)

    async def keys(self, prefix: str) -> tuple[str, ...]:
        check_prefix(prefix)

        async def names(sdk: _Blobs) -> tuple[str, ...]:
            listed = sdk.client.list_blob_names(name_starts_with=prefix or None)
            return tuple(sorted([name async for name in listed if is_key(name)]))

        return await self._call(f"list {prefix!r}", names)

    async def below(self, folder: str) -> tuple[str, ...]:
        check_prefix(folder)

        async def names(sdk: _Blobs) -> tuple[str, ...]:
            listed = sdk.client.walk_blobs(name_starts_with=folder or None, delimiter="/")
            return tuple(sorted([found.name async for found in listed if is_key(found.name.removesuffix("/"))]))

        return await self._call(f"list {folder!r}", names)

    async def versions(self, prefix: str) -> Mapping[str, str]:
        check_prefix(prefix)

        async def etags(sdk: _Blobs) -> Mapping[str, str]:
            listed = sdk.client.list_blobs(name_starts_with=prefix or None)
            return {blob.name: blob.etag async for blob in listed if is_key(blob.name)}

        return await self._call(f"list {prefix!r}", etags)

    async def close(self) -> None:
        await self._container.close()

    async def _call[T](self, what: str, call: Callable[[_Blobs], Awaitable[T]]) -> T:
        return await self._container.call(f"{what} in container {self._name!r}", call)


async def _upload(sdk: _Blobs, key: str, body: bytes, condition: dict[str, Any]) -> str:
    content_type = _CONTENT_TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")
    settings = importlib.import_module("azure.storage.blob").ContentSettings(content_type=content_type)
    written = await sdk.client.get_blob_client(key).upload_blob(body, content_settings=settings, **condition)
    etag: str = written["etag"]
    return etag

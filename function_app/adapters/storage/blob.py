"""Documents in Blob Storage: a key is a blob's name, compare-and-swap is If-Match and If-None-Match.

Over the Blob service's REST API and one kept session, for documents are on the way of every failover (docs/adr/0020). No proxy of
the environment is used, no redirect is followed, and what is no answer of Blob Storage is taken for none.

A write whose answer was lost may have happened: it raises Unavailable, or Superseded after the retry; the caller reads
again in both cases.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from email.utils import formatdate
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote
from xml.etree import ElementTree

import aiohttp
from azure.core.exceptions import AzureError

from function_app.adapters import connecting
from function_app.adapters.storage.account import CALL_TIMEOUT, CONNECT_TIMEOUT, READ_TIMEOUT, Account, Request
from function_app.adapters.storage.names import check_key, check_prefix, is_key
from function_app.domain.base.errors import Superseded, Unavailable
from function_app.reconcile.ports import Stored

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

VERSION = "2021-12-02"
"""Of the Blob service: it has everything that is used here."""
RETRY_AFTER = timedelta(seconds=5)
RETRY_AFTER_MAX = timedelta(minutes=5)  # whatever Azure sends: the sweep looks again sooner anyway

_TIMEOUT = aiohttp.ClientTimeout(
    total=None, sock_connect=CONNECT_TIMEOUT.total_seconds(), sock_read=READ_TIMEOUT.total_seconds()
)
_CONTENT_TYPES = {".json": "application/json", ".yaml": "application/yaml"}
# A deleted blob does not match an etag either; Azure answers 404 or 412, by version.
_LOST = frozenset({"ConditionNotMet", "TargetConditionNotMet", "BlobAlreadyExists", "BlobNotFound"})
_MAY_PASS = frozenset({408, 500, 502, 503, 504})


class DocumentsInBlobs:
    """Documents in one container, which is created when it turns out to be missing. Nothing connects, and no connection string is
    read, before the first call.

    Every method raises Unavailable, and BadInput where the account cannot be as it was written down.
    """

    def __init__(self, container: str, account: Callable[[], Account]) -> None:
        self._name = container
        self._make_account = account
        self._account: Account | None = None
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_connection_string(cls, connection: str, container: str) -> "DocumentsInBlobs":
        """For Azurite, and for accounts that still allow shared keys."""
        return cls(container, lambda: Account.of_connection_string(connection))

    @classmethod
    def from_identity(
        cls, account_url: str, credential: Callable[[], "AsyncTokenCredential"], container: str
    ) -> "DocumentsInBlobs":
        """`account_url` like https://{account}.blob.core.windows.net; `credential` is called once, in a thread; what it makes
        is closed with the client."""
        return cls(container, lambda: Account(account_url, identity=credential))

    async def load(self, key: str) -> Stored | None:
        check_key(key)
        async with self._calling(f"load {key!r}"):
            answer = await self._answer(Request("GET", f"{self._name}/{key}"))
            if (answer.status, answer.code) == (404, "BlobNotFound"):
                return None
            return Stored(answer.body, answer.etag(200))

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        check_key(key)
        async with self._calling(f"save {key!r}"):
            return await self._write(key, body, _only_if(key, etag))

    async def put(self, key: str, body: bytes) -> None:
        check_key(key)
        async with self._calling(f"put {key!r}"):
            await self._write(key, body, {})

    async def remove(self, key: str, etag: str) -> None:
        check_key(key)
        async with self._calling(f"remove {key!r}"):
            answer = await self._answer(Request("DELETE", f"{self._name}/{key}", headers=_only_if(key, etag)))
            if answer.code in _LOST:
                raise Superseded(f"document {key!r} changed since it was read")
            answer.must_be(202)

    async def keys(self, prefix: str) -> tuple[str, ...]:
        return tuple(sorted(await self.versions(prefix)))

    async def below(self, folder: str) -> tuple[str, ...]:
        found = await self._listed(folder, delimiter="/")
        return tuple(sorted(name for name in found if is_key(name.removesuffix("/"))))

    async def versions(self, prefix: str) -> Mapping[str, str]:
        return {key: etag for key, etag in (await self._listed(prefix)).items() if is_key(key)}

    async def _listed(self, prefix: str, delimiter: str = "") -> Mapping[str, str]:
        """The blobs whose names start with `prefix`, with their etags; those with a `delimiter` after it by what is before that,
        once, without an etag."""
        check_prefix(prefix)
        query = {"restype": "container", "comp": "list", "prefix": prefix, "delimiter": delimiter}
        listed = dict[str, str]()
        async with self._calling(f"list {prefix!r}"):
            while True:
                answer = await self._answer(Request("GET", self._name, query={k: v for k, v in query.items() if v}))
                answer.must_be(200)
                page, query["marker"] = _page(answer.body)
                listed |= page
                if not query["marker"]:
                    return listed

    async def close(self) -> None:
        session, self._session, account, self._account = self._session, None, self._account, None
        if session is not None:
            await session.close()
        if account is not None:
            await account.close()

    async def _write(self, key: str, body: bytes, condition: Mapping[str, str]) -> str:
        headers = {
            "content-length": str(len(body)),
            "content-type": _CONTENT_TYPES.get(PurePosixPath(key).suffix, "application/octet-stream"),
            "x-ms-blob-type": "BlockBlob",
            **condition,
        }
        answer = await self._answer(Request("PUT", f"{self._name}/{key}", headers=headers, body=body))
        if condition and answer.code in _LOST:
            raise Superseded(f"document {key!r} changed since it was read")
        return answer.etag(201)

    @asynccontextmanager
    async def _calling(self, what: str) -> AsyncIterator[None]:
        """Bounds what is inside, and raises Unavailable for whatever ends it."""
        cannot = f"cannot {what} in container {self._name!r}"
        try:
            async with asyncio.timeout(CALL_TIMEOUT.total_seconds()):
                yield
        except _Refused as error:
            raise Unavailable(f"{cannot}: {error}", error.retry_after) from error
        except (AzureError, aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{cannot}: {connecting.why(error)}") from error
        except (ElementTree.ParseError, LookupError, ValueError) as error:
            raise Unavailable(f"{cannot}: the answer cannot be read: {error}") from error

    async def _answer(self, request: Request) -> "_Answer":
        """To a second request where the container was missing; whether it is a good one is for the caller."""
        answer = await self._requested(request)
        if (answer.status, answer.code) != (404, "ContainerNotFound"):
            return answer
        # Only when missing: an identity with rights on the place alone may not create one.
        made = await self._requested(Request("PUT", self._name, {"restype": "container"}, {"content-length": "0"}))
        if (made.status, made.code) != (409, "ContainerAlreadyExists"):
            made.must_be(201)
        return await self._requested(request)

    async def _requested(self, request: Request) -> "_Answer":
        """The answer, requested once more at once where a connection was stale, Azure has a trouble that may pass, or a token was
        of no use; when to try again after that is for the callers of this module to decide."""
        if self._account is None:
            self._account = self._make_account()
        try:
            answer = await self._exchange(self._account, request)
        except (aiohttp.ClientError, OSError):
            return await self._exchange(self._account, request)
        if answer.status == 401:
            again = self._account.renewed(answer.headers.get("www-authenticate", ""))
        else:
            again = answer.status in _MAY_PASS and "retry-after" not in answer.headers
        return await self._exchange(self._account, request) if again else answer

    async def _exchange(self, account: Account, request: Request) -> "_Answer":
        if self._session is None:  # made here, for it belongs to the event loop that runs now
            self._session = aiohttp.ClientSession(
                timeout=_TIMEOUT,
                headers={"accept-encoding": "identity"},
                skip_auto_headers=("content-type",),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,  # a proxy would be shown our token
            )
        headers = {**request.headers, "x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION}
        headers |= await account.authorization(replace(request, headers=headers))
        sent = self._session.request(
            request.method, account.url_of(request), headers=headers, data=request.body, allow_redirects=False
        )
        async with sent as response:
            return _Answer(response.status, response.headers, await response.read())


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Storage's own word for an error."""
        return self.headers.get("x-ms-error-code", "")[:80]

    def must_be(self, status: int) -> None:
        if self.status != status:
            raise _Refused(self)

    def etag(self, status: int) -> str:
        self.must_be(status)
        if not (etag := self.headers.get("etag", "")):
            raise _Refused(self)
        return etag


class _Refused(Exception):
    """An answer that is not the one that was hoped for."""

    def __init__(self, answer: _Answer) -> None:
        super().__init__(answer.code or f"HTTP {answer.status}, which is no answer of Blob Storage")
        seconds = answer.headers.get("retry-after", "")[:9]
        self.retry_after = min(timedelta(seconds=int(seconds)), RETRY_AFTER_MAX) if seconds.isdecimal() else RETRY_AFTER


def _only_if(key: str, etag: str | None) -> dict[str, str]:
    """The condition of a write. Raises Superseded for what no stored document can have as its etag."""
    if etag is None:
        return {"if-none-match": "*"}
    if not (etag and etag.isascii() and etag.isprintable()):
        raise Superseded(f"document {key!r} never had the etag {etag!r}")
    return {"if-match": etag}


def _page(body: bytes) -> tuple[dict[str, str], str]:
    """The blobs of one page with their etags, what stands for several without one, and the marker of the next. Raises ParseError,
    LookupError or ValueError."""
    root = ElementTree.fromstring(body)  # noqa: S314 - of our own account, and expat itself bounds what entities become
    blobs = root.find("Blobs")
    if root.tag != "EnumerationResults" or blobs is None:
        raise ValueError(f"a list of blobs does not begin with <{root.tag}>")
    versions = dict[str, str]()
    for each in blobs:
        name, etag = each.find("Name"), each.findtext("Properties/Etag") or ""
        if name is None or not name.text or (each.tag != "BlobPrefix" and not etag):
            raise ValueError("a blob has no name or no etag")
        # What XML cannot hold is percent-encoded.
        versions[unquote(name.text) if name.get("Encoded") == "true" else name.text] = etag
    return versions, root.findtext("NextMarker") or ""

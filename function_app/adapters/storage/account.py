"""A storage account: how long one waits for it, where its blobs are, and how a request shows that we may.

| how it is named                  | a request carries                                                        |
|----------------------------------|--------------------------------------------------------------------------|
| a connection string with a key   | `Authorization: SharedKey`, made here                                    |
| one with `SharedAccessSignature` | that, in its query                                                       |
| a URL                            | `Authorization: Bearer`, a token that azure-identity keeps and refreshes |
"""

import asyncio
import base64
import binascii
import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from yarl import URL

from function_app.domain.base.errors import BadInput

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential

CONNECT_TIMEOUT = timedelta(seconds=2)
READ_TIMEOUT = timedelta(seconds=5)
CALL_TIMEOUT = timedelta(seconds=10)
"""For one document or message, retry included: a pass that waits longer for its record should start again."""

SCOPE = "https://storage.azure.com/.default"
EARLY = timedelta(minutes=5)
"""This close to a token's end one is requested at each call; azure-identity gives the old one while no newer is to be had."""
# What stands for it in a connection string: the published account of the emulators.
EMULATOR = {
    "accountname": "devstoreaccount1",
    "accountkey": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "blobendpoint": "http://127.0.0.1:10000/devstoreaccount1",
}

_SIGNED = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date"),
    *("if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)
_TENANT = re.compile(r'authorization_uri="?https://[^/\s",]+/([\w.-]+)')
_ENCRYPTED_OR_HERE = re.compile(r"https://|http://127\.0\.0\.1[:/]")


@dataclass(frozen=True, slots=True)
class Request:
    """What is requested, not encoded: a container, or a blob in it. Names of headers are in lower case."""

    method: str
    name: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


class Account:
    """The account at `url`, the endpoint of its blobs: the emulator's ends with the account's name. `key` has a name and what is
    signed with; `identity` is called once, in a thread, at the first request, and what it makes closes with this."""

    def __init__(
        self,
        url: str,
        *,
        key: tuple[str, bytes] | None = None,
        shared_access: str = "",
        identity: Callable[[], "AsyncTokenCredential"] | None = None,
    ) -> None:
        """Raises BadInput where a token would be sent for everyone to read."""
        if identity is not None and not _ENCRYPTED_OR_HERE.match(url):
            raise _unusable(f"a token is sent over https alone, not to {url!r}")
        self._url, self._key, self._shared_access, self._identity = url.rstrip("/"), key, shared_access, identity
        self._credential: AsyncTokenCredential | None = None
        self._token: AccessToken | None = None
        self._tenant: str | None = None
        self._requesting = asyncio.Lock()

    @classmethod
    def of_connection_string(cls, text: str) -> "Account":
        """Raises BadInput."""
        said = _said(text)
        name, key, shared = (said.get(each, "") for each in ("accountname", "accountkey", "sharedaccesssignature"))
        if name and key:
            return cls(_blobs(said), key=(name, _decoded(key)))
        if not shared:
            raise _unusable("the connection string has neither AccountName with AccountKey nor SharedAccessSignature")
        return cls(_blobs(said), shared_access=shared.removeprefix("?"))

    def url_of(self, request: Request) -> URL:
        query = "&".join(filter(None, (urlencode(request.query, quote_via=quote), self._shared_access)))
        return URL(f"{self._url}/{quote(request.name)}?{query}", encoded=True)

    async def authorization(self, request: Request) -> dict[str, str]:
        """Headers. Raises errors of azure-core where there is no identity."""
        if self._key is not None:
            account, key = self._key
            text = string_to_sign(account, self.url_of(request).raw_path, request)
            signature = base64.b64encode(hmac.digest(key, text.encode(), "sha256")).decode()
            return {"authorization": f"SharedKey {account}:{signature}"}
        if self._identity is None:
            return {}
        async with self._requesting:
            if self._credential is None:
                self._credential = await asyncio.to_thread(self._identity)
            if self._token is None or self._token.expires_on - time.time() < EARLY.total_seconds():
                self._token = await self._credential.get_token(SCOPE, tenant_id=self._tenant)
            return {"authorization": f"Bearer {self._token.token}"}

    def renewed(self, challenge: str) -> bool:
        """Whether another token is shown from now on, after an answer 401 with this `WWW-Authenticate`: it names the account's
        tenant, which need not be the one that a person is logged in to."""
        found = _TENANT.search(challenge)
        self._tenant, self._token = found[1] if found else None, None
        return self._identity is not None

    async def close(self) -> None:
        if self._credential is not None:
            await self._credential.close()


def string_to_sign(account: str, path: str, request: Request) -> str:
    """What the key is applied to: "Authorize with Shared Key" in Microsoft's reference, from version 2015-02-21 on. `path` is the
    URL's, encoded. A length of zero is left out."""
    headers = {name: value for name, value in request.headers.items() if (name, value) != ("content-length", "0")}
    return "\n".join(
        (
            request.method,
            *(headers.get(name, "") for name in _SIGNED),
            *(f"{name}:{value}" for name, value in sorted(headers.items()) if name.startswith("x-ms-")),
            f"/{account}{path}",
            *(f"{name}:{value}" for name, value in sorted(request.query.items())),
        )
    )


def _said(text: str) -> dict[str, str]:
    """What a connection string says, by names in lower case: Azure reads them without it."""
    pairs = [pair.partition("=") for pair in text.strip().strip(";").split(";")]
    if not all(separator for _, separator, _ in pairs):
        raise _unusable("a connection string consists of NAME=VALUE, separated by semicolons")
    said = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return EMULATOR if said.get("usedevelopmentstorage") == "true" else said


def _blobs(said: Mapping[str, str]) -> str:
    """The endpoint: as it is said, or by the account's name."""
    scheme, suffix = said.get("defaultendpointsprotocol", "https"), said.get("endpointsuffix", "core.windows.net")
    url = said.get("blobendpoint") or ("accountname" in said and f"{scheme}://{said['accountname']}.blob.{suffix}")
    if not url or not urlsplit(url).hostname or urlsplit(url).query:
        raise _unusable("the connection string has neither AccountName nor a BlobEndpoint that is a URL")
    return url


def _decoded(key: str) -> bytes:
    try:
        return base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise _unusable(f"AccountKey in the connection string is not base64: {error}") from error


def _unusable(rule: str) -> BadInput:
    return BadInput.of("storage account", rule)

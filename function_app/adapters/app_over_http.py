"""What a running app knows and takes, over its HTTP API: for the command line only.

| the app answers                                   | raised           |
|---------------------------------------------------|------------------|
| nothing, something that is not of Hopkeeper, 503  | Unavailable      |
| 400; 404; 409; 412, with an error of Hopkeeper    | BadInput; NotThere; NotNow, CannotWork with findings; Changed |
| 401; 403                                          | NotAuthentic; NotPermitted |
| a document that this version cannot read          | Unusable         |

An order that is refused (409) is an answer.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import UNSET

from function_app.adapters import connecting
from function_app.domain.base.errors import (
    BadInput,
    Changed,
    HopkeeperError,
    NotAuthentic,
    NotNow,
    NotPermitted,
    NotThere,
    Problem,
    Unavailable,
    Unusable,
)
from function_app.domain.preflight.rule import LintFinding, Severity
from function_app.reconcile.changes import CannotWork
from function_app.reconcile.documents.error import ErrorAnswer, ErrorDetail
from function_app.reconcile.documents.evidence import Evidence
from function_app.reconcile.documents.findings import Preflight, PreflightFinding
from function_app.reconcile.documents.history import Explanation, History
from function_app.reconcile.documents.outcome import OutcomeAnswer
from function_app.reconcile.documents.plan import Plan
from function_app.reconcile.documents.status import Overview, Status
from function_app.reconcile.documents.topologies import Applied
from function_app.reconcile.store.topologies import Expects, Written

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

TIMEOUT = aiohttp.ClientTimeout(total=240, sock_connect=10)
"""The platform's front end waits for 230 s."""
KEY_HEADER = "x-functions-key"
YAML: Mapping[str, str] = {"Content-Type": "text/yaml"}
SHOWN_MOST = 200
REFUSALS: Mapping[int, type[BadInput]] = {400: BadInput, 404: NotThere, 409: NotNow}
STRANGERS: Mapping[int, type[NotAuthentic | NotPermitted]] = {401: NotAuthentic, 403: NotPermitted}


class Pass(Protocol):
    """What shows the app who is calling. `root`: where its paths begin for it."""

    @property
    def root(self) -> str: ...

    async def headers(self) -> dict[str, str]:
        """Raises NotAuthentic where there is nothing to show."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FunctionKey:
    """One key that opens the functions that are called."""

    key: str
    root = "/api"

    async def headers(self) -> dict[str, str]:
        return {KEY_HEADER: self.key}

    async def close(self) -> None:
        """There is nothing to close."""


class AzLogin:
    """The token of who is logged in with `az login`, for an audience as the app's registration names it."""

    root = "/api/entra"

    def __init__(self, audience: str) -> None:
        self._scope = f"{audience.rstrip('/')}/.default"
        self._credential: AsyncTokenCredential | None = None

    async def headers(self) -> dict[str, str]:
        identity = importlib.import_module("azure.identity.aio")
        errors = importlib.import_module("azure.core.exceptions")
        self._credential = self._credential or identity.AzureCliCredential()
        try:
            token = await self._credential.get_token(self._scope)
        except errors.ClientAuthenticationError as error:
            raise NotAuthentic(f"no token of az login for {self._scope}: {error}") from error
        return {"Authorization": f"Bearer {token.token}"}

    async def close(self) -> None:
        if self._credential is not None:
            await self._credential.close()


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered, and to what."""

    requested: str
    code: int
    body: bytes
    etag: str

    def read[T](self, kind: type[T]) -> T:
        """Raises Unusable."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unusable(
                f"{self.requested}: the answer cannot be read: {error}; is it Hopkeeper, and of this version?"
            ) from error

    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class AppOverHttp:
    """A running app at `url`, which ends before `/api`."""

    def __init__(self, url: str, entry: Pass) -> None:
        self._url, self._entry = url.rstrip("/"), entry
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        await self._entry.close()
        if self._session is not None:
            await self._session.close()

    # --- questions

    async def overview(self) -> Overview:
        return (await self._asked("GET", "/status")).read(Overview)

    async def status(self, topology: str) -> Status:
        return (await self._asked("GET", f"/status/{_part(topology)}")).read(Status)

    async def history(self, topology: str, service: str, most: int) -> History:
        return (await self._asked("GET", f"{_service(topology, service)}/history", most=str(most))).read(History)

    async def explain(self, topology: str, service: str, at: datetime | None) -> Explanation:
        moment = {} if at is None else {"at": at.isoformat()}
        return (await self._asked("GET", f"{_service(topology, service)}/explain", **moment)).read(Explanation)

    async def plan(self, topology: str) -> Plan:
        return (await self._asked("GET", f"{_topology(topology)}/plan")).read(Plan)

    async def plan_of(self, text: str) -> Plan:
        return (await self._asked("POST", "/plan", text)).read(Plan)

    async def verify(self, topology: str, fresh: bool) -> Evidence:
        fresh_ = {"fresh": "true"} if fresh else {}
        return (await self._asked("GET", f"{_topology(topology)}/verify", **fresh_)).read(Evidence)

    async def lint(self, text: str) -> Preflight:
        return (await self._asked("POST", "/lint", text, azure="true")).read(Preflight)

    async def document(self, topology: str, previous: bool = False) -> Written:
        before = {"previous": "true"} if previous else {}
        reply = await self._asked("GET", _topology(topology), **before)
        return Written(reply.text(), reply.etag)

    # --- changes

    async def put(self, topology: str, text: str, expects: Expects, anyway: bool) -> Applied:
        """Raises Unusable where what is expected has no etag: the app gave one with the document."""
        if "" in expects.etags:
            raise Unusable(
                f"the document of topology {topology!r} came without its ETag, which a proxy before {self._url} left out: "
                "nothing was written, as another one could have come meanwhile; --app with an address past the proxy, or --direct"
            )
        reply = await self._request("PUT", _topology(topology), text, _anyway(anyway), {**YAML, **_expected(expects)})
        return self._good(reply).read(Applied)

    async def remove(self, topology: str, anyway: bool) -> None:
        self._good(await self._request("DELETE", _topology(topology), None, _anyway(anyway)))

    async def order(self, topology: str, service: str, verb: str, said: Mapping[str, Any]) -> OutcomeAnswer:
        path, body = f"{_service(topology, service)}/{_part(verb)}", msgspec.json.encode(said).decode()
        reply = await self._request("POST", path, body, {}, {"Content-Type": "application/json"})
        if reply.code == 409:
            return reply.read(OutcomeAnswer)
        return self._good(reply).read(OutcomeAnswer)

    async def look(self, topology: str) -> OutcomeAnswer:
        return (await self._asked("POST", f"/reconcile/{_part(topology)}", "")).read(OutcomeAnswer)

    # --- requests

    async def _asked(self, method: str, path: str, body: str | None = None, **query: str) -> Reply:
        return self._good(await self._request(method, path, body, query))

    async def _request(
        self, method: str, path: str, body: str | None, query: Mapping[str, str], about: Mapping[str, str] = YAML
    ) -> Reply:
        """`about` is the headers of a body."""
        url = f"{self._url}{self._entry.root}{path}"
        headers = await self._entry.headers() | ({} if body is None else {**about})
        data = None if body is None else body.encode()
        self._session = self._session or aiohttp.ClientSession(timeout=TIMEOUT, trust_env=True)
        try:
            async with self._session.request(
                method, url, params=query, data=data, headers=headers, allow_redirects=False
            ) as answer:
                etag = answer.headers.get("ETag", "")
                return Reply(f"{method} {url}", answer.status, await answer.read(), etag)
        except TimeoutError as error:
            raise self._silent(method, path, "no answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._silent(method, path, connecting.why(error)) from error

    def _silent(self, method: str, path: str, why: str) -> Unavailable:
        return Unavailable(
            f"the app at {self._url} does not answer {method} {self._entry.root}{path}: {why}; where it is dead, --direct goes "
            "over storage and ARM in its place, with az login and AzureWebJobsStorage__accountName, and HOPKEEPER_SIGNING_KEY "
            "for what reaches agents"
        )

    def _good(self, reply: Reply) -> Reply:
        """Raises what the table says."""
        if reply.code < 300:
            return reply
        try:
            detail = msgspec.json.decode(reply.body, type=ErrorAnswer).error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if reply.code in STRANGERS:
                raise STRANGERS[reply.code](
                    f"{reply.requested}: {reply.code}: the app does not take this key or token for it, or its access "
                    "restrictions do not admit this machine"
                ) from error
            said = " ".join(reply.text()[:SHOWN_MOST].split())
            raise Unavailable(f"{reply.requested}: {reply.code}, not of Hopkeeper: {said}") from error
        raise _refusal(reply, detail)


def _refusal(reply: Reply, detail: ErrorDetail) -> HopkeeperError:
    said = ": ".join((detail.message, *detail.causes))
    if reply.code == 409 and detail.findings:
        return CannotWork(tuple(map(_finding, detail.findings)))
    problems = tuple(
        Problem(wrong.path, wrong.rule, None if wrong.line is UNSET else wrong.line) for wrong in detail.problems
    )
    kind = REFUSALS.get(reply.code)
    if kind is not None:
        return kind(problems or (Problem("$", said),))
    if reply.code == 412:
        return Changed(said)
    if reply.code in STRANGERS:
        return STRANGERS[reply.code](f"{reply.requested}: {reply.code}: {said}")
    return Unavailable(f"{reply.requested}: {reply.code}: {said}")


def _finding(found: PreflightFinding) -> LintFinding:
    return LintFinding(found.rule, Severity(found.severity), found.path, found.what, found.do, found.reference)


def _anyway(anyway: bool) -> dict[str, str]:
    return {"anyway": "true"} if anyway else {}


def _expected(expects: Expects) -> dict[str, str]:
    if expects.nothing:
        return {"If-None-Match": "*"}
    return {"If-Match": ", ".join(f'"{etag}"' for etag in sorted(expects.etags))} if expects.etags else {}


def _part(name: str) -> str:
    return quote(name, safe="")


def _topology(name: str) -> str:
    return f"/topologies/{_part(name)}"


def _service(topology: str, service: str) -> str:
    return f"{_topology(topology)}/services/{_part(service)}"

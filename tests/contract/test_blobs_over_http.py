"""What Blob Storage, or whatever stands in its place, may answer to the client of documents, and how that shows whose it is."""

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from xml.sax.saxutils import escape

import pytest
from aiohttp import web
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from function_app.adapters.storage.account import SCOPE, Account, Request, string_to_sign
from function_app.adapters.storage.blob import DocumentsInBlobs
from function_app.domain.base.errors import BadInput, Superseded, Transient, Unavailable

type Scripted = web.StreamResponse | Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

KEY = base64.b64encode(b"key").decode()
OTHER_ETAG = '"0x1"'


@dataclass
class Storage:
    """Answers as written down, one after the other, and keeps what came: method, path and query, headers, body."""

    url: str = ""
    answers: list[Scripted] = field(default_factory=list)
    came: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.came.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        answer = self.answers.pop(0)
        return await answer(request) if callable(answer) else answer

    @property
    def requested(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path, _, _ in self.came]

    @property
    def shown(self) -> list[str]:
        return [headers["Authorization"] for _, _, headers, _ in self.came]


@contextlib.asynccontextmanager
async def serving(*answers: Scripted) -> AsyncIterator[Storage]:
    storage = Storage(answers=list(answers))
    runner = web.ServerRunner(web.Server(storage.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    storage.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield storage
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def blobs_of(storage: Storage) -> AsyncIterator[DocumentsInBlobs]:
    text = f"AccountName=a;AccountKey={KEY};BlobEndpoint={storage.url}/a"
    documents = DocumentsInBlobs.from_connection_string(text, "docs")
    try:
        yield documents
    finally:
        await documents.close()


def refusal(status: int, code: str = "", **headers: str) -> web.Response:
    named = {"x-ms-error-code": code} if code else {}
    return web.Response(status=status, headers=named | {name.replace("_", "-"): text for name, text in headers.items()})


def stored(body: bytes, etag: str = OTHER_ETAG) -> web.Response:
    return web.Response(body=body, headers={"ETag": etag})


def written(etag: str = OTHER_ETAG) -> web.Response:
    return web.Response(status=201, headers={"ETag": etag})


async def cut(request: web.BaseRequest) -> web.StreamResponse:
    """The connection ends in the middle of the body."""
    response = web.StreamResponse(headers={"Content-Length": "100", "ETag": OTHER_ETAG})
    await response.prepare(request)
    await response.write(b"the first half")
    assert request.transport is not None
    request.transport.close()
    return response


def page(names: list[str], marker: str = "") -> web.Response:
    blobs = "".join(
        f"<Blob><Name>{escape(name)}</Name><Properties><Etag>0x{number}</Etag></Properties></Blob>"
        for number, name in enumerate(names)
    )
    return listed(f"<Blobs>{blobs}</Blobs><NextMarker>{escape(marker)}</NextMarker>")


def listed(inside: str) -> web.Response:
    head = '\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="docs">'
    return web.Response(text=f"{head}{inside}</EnumerationResults>", content_type="application/xml")


async def test_a_container_that_is_missing_is_created_and_the_write_made_again() -> None:
    async with serving(refusal(404, "ContainerNotFound"), written(), written('"0x2"')) as storage:
        async with blobs_of(storage) as documents:
            assert await documents.save("fw.json", b"1", None) == '"0x2"'
        path = "/a/docs/fw.json"
        assert storage.requested == [("PUT", path), ("PUT", "/a/docs?restype=container"), ("PUT", path)]
        assert [body for *_, body in storage.came] == [b"1", b"", b"1"]


async def test_a_container_that_another_one_created_meanwhile_is_there() -> None:
    missing, there = refusal(404, "ContainerNotFound"), refusal(409, "ContainerAlreadyExists")
    async with serving(missing, there, stored(b"1")) as storage, blobs_of(storage) as documents:
        found = await documents.load("fw.json")
    assert found is not None
    assert found.body == b"1"


async def test_a_container_that_may_not_be_created_says_why() -> None:
    async with (
        serving(refusal(404, "ContainerNotFound"), refusal(403, "AuthorizationPermissionMismatch")) as storage,
        blobs_of(storage) as documents,
    ):
        with pytest.raises(
            Unavailable, match=r"^cannot load 'a' in container 'docs': AuthorizationPermissionMismatch$"
        ):
            await documents.load("a")


@pytest.mark.parametrize(
    ("status", "code"), [(412, "ConditionNotMet"), (409, "BlobAlreadyExists"), (404, "BlobNotFound")]
)
async def test_a_conditional_write_that_lost_is_superseded(status: int, code: str) -> None:
    async with serving(*(refusal(status, code) for _ in range(4))) as storage, blobs_of(storage) as documents:
        for attempt in (documents.save("a", b"", None), documents.save("a", b"", '"1"'), documents.remove("a", '"1"')):
            with pytest.raises(Superseded):
                await attempt
        with pytest.raises(Unavailable, match=code):
            await documents.put("a", b"")
        conditions = [(h.get("If-Match"), h.get("If-None-Match")) for _, _, h, _ in storage.came]
        assert conditions == [(None, "*"), ('"1"', None), ('"1"', None), (None, None)]


@pytest.mark.parametrize("etag", ["", 'a"\r\nx-ms-lease-id: 1', "ä"])
async def test_an_etag_that_no_document_ever_had_is_superseded_without_a_request(etag: str) -> None:
    async with serving() as storage, blobs_of(storage) as documents:
        for attempt in (documents.save("a", b"", etag), documents.remove("a", etag)):
            with pytest.raises(Superseded):
                await attempt
        assert storage.came == []


ODD = [
    refusal(409, "ContainerBeingDeleted"),
    refusal(412, "LeaseIdMissing"),
    refusal(304),
    refusal(200),
    refusal(206, ETag=OTHER_ETAG),
    refusal(404),
    refusal(404, "ResourceNotFound"),
    refusal(400, "InvalidHeaderValue"),
]


@pytest.mark.parametrize("odd", range(len(ODD)))
async def test_an_answer_that_is_none_of_those_that_fit_is_unavailable_and_says_which(odd: int) -> None:
    """Above all no document is taken for absent because of it."""
    status, code = ODD[odd].status, ODD[odd].headers.get("x-ms-error-code")
    answer = refusal(status, code or "", **({"ETag": OTHER_ETAG} if status == 206 else {}))
    async with serving(answer) as storage, blobs_of(storage) as documents:
        with pytest.raises(Unavailable, match=code or f"HTTP {status}, which is no answer of Blob Storage"):
            await documents.load("a")


async def test_a_write_that_is_answered_without_an_etag_is_unavailable() -> None:
    async with serving(refusal(201), refusal(200, ETag="x")) as storage, blobs_of(storage) as documents:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await documents.save("a", b"", None)
    async with serving(refusal(200)) as storage, blobs_of(storage) as documents:
        with pytest.raises(Unavailable):
            await documents.remove("a", '"1"')


async def test_a_trouble_that_may_pass_is_requested_once_more_and_no_more() -> None:
    async with serving(refusal(503, "ServerBusy"), stored(b"1")) as storage, blobs_of(storage) as documents:
        assert await documents.load("a") is not None
    async with serving(*(refusal(500, "InternalError") for _ in range(3))) as storage, blobs_of(storage) as documents:
        with pytest.raises(Unavailable, match=r": InternalError$"):
            await documents.load("a")
        assert len(storage.came) == 2


@pytest.mark.parametrize(
    ("said", "waits"), [("7", 7), ("86400", 300), ("Wed, 21 Oct 2026 07:28:00 GMT", 5), ("-1", 5), ("9" * 5000, 300)]
)
async def test_who_is_to_come_back_later_does(said: str, waits: int) -> None:
    async with serving(refusal(503, "ServerBusy", Retry_After=said)) as storage, blobs_of(storage) as documents:
        with pytest.raises(Unavailable) as raised:
            await documents.load("a")
        assert raised.value.retry_after == timedelta(seconds=waits)
        assert len(storage.came) == 1


async def test_a_body_that_is_cut_is_read_again_and_never_taken_for_the_document() -> None:
    async with serving(cut, stored(b"whole")) as storage, blobs_of(storage) as documents:
        found = await documents.load("a")
        assert found is not None
        assert found.body == b"whole"
    async with serving(cut, cut, stored(b"whole")) as storage, blobs_of(storage) as documents:
        with pytest.raises(Unavailable):
            await documents.load("a")
        assert len(storage.came) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><p>sign in<br></html>",
        b"<html/>",
        b"\xff\xfe",
        b'<?xml version="1.0" encoding="klingon"?><EnumerationResults><Blobs/></EnumerationResults>',
        b"<EnumerationResults><NextMarker/></EnumerationResults>",
        b"<EnumerationResults><Blobs><Blob><Name>a</Name>",
        b"<EnumerationResults><Blobs><Blob><Name>a</Name></Blob></Blobs></EnumerationResults>",
        b"<EnumerationResults><Blobs><Blob><Properties><Etag>1</Etag></Properties></Blob></Blobs></EnumerationResults>",
    ],
)
async def test_an_answer_that_is_no_list_of_blobs_is_unavailable_not_an_empty_list(body: bytes) -> None:
    answers = [web.Response(body=body) for _ in range(2)]
    async with serving(*answers) as storage, blobs_of(storage) as documents:
        for attempt in (documents.keys(""), documents.versions("topologies/")):
            with pytest.raises(Unavailable, match="cannot be read"):
                await attempt


async def test_a_list_goes_on_until_there_is_no_next_page() -> None:
    names = [f"history/{number:05d}.json" for number in range(5_001)]
    marker = "2!92!MDAw&=+ %/ä?"
    async with serving(page(names[:5000], marker), page(names[5000:])) as storage, blobs_of(storage) as documents:
        assert await documents.keys("history/") == tuple(names)
        head = "/a/docs?restype=container&comp=list&prefix=history%2F"
        following = f"{head}&marker=2%2192%21MDAw%26%3D%2B%20%25%2F%C3%A4%3F"
        assert storage.requested == [("GET", head), ("GET", following)]


async def test_a_page_that_cannot_be_had_ends_the_list_without_half_of_it() -> None:
    async with serving(page(["a"], "next"), refusal(403, "AuthorizationFailure")) as storage, blobs_of(storage) as docs:
        with pytest.raises(Unavailable, match="AuthorizationFailure"):
            await docs.keys("")


async def test_names_that_are_no_keys_of_ours_are_left_out_also_those_that_xml_cannot_hold() -> None:
    encoded = '<Blob><Name Encoded="true">a%EF%BF%BE</Name><Properties><Etag>1</Etag></Properties></Blob>'
    plain = "<Blob><Name>a%20b</Name><Properties><Etag>2</Etag></Properties></Blob>"
    hidden = "<Blob><Name>.lock</Name><Properties><Etag>3</Etag></Properties></Blob>"
    async with serving(listed(f"<Blobs>{encoded}{plain}{hidden}</Blobs>")) as storage, blobs_of(storage) as documents:
        assert await documents.versions("") == {"a%20b": "2"}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async with serving(stored(b"of another one")) as other:
        to = refusal(status, Location=f"{other.url}/a/docs/a")
        async with serving(to) as storage, blobs_of(storage) as documents:
            with pytest.raises(Unavailable, match=f"HTTP {status}"):
                await documents.load("a")
        assert other.came == []


async def test_after_a_close_nothing_is_open_and_a_later_call_connects_anew() -> None:
    async with serving(stored(b"1"), stored(b"2")) as storage, blobs_of(storage) as documents:
        await documents.close()
        for body in (b"1", b"2"):
            found = await documents.load("a")
            assert found is not None
            assert found.body == body
            await documents.close()
            await documents.close()


async def test_requests_go_over_one_connection() -> None:
    ports = set[int]()

    async def noting(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return stored(b"1")

    async with serving(noting, noting, noting) as storage, blobs_of(storage) as documents:
        for key in "abc":
            await documents.load(key)
    assert len(ports) == 1


# Whose request it is


@dataclass
class Identity:
    """Gives the tokens that are written down, one after the other, and keeps for which tenant."""

    tokens: list[AccessToken]
    tenants: list[str | None] = field(default_factory=list)
    closed: int = 0

    async def get_token(self, *scopes: str, tenant_id: str | None = None, **_: object) -> AccessToken:
        assert scopes == (SCOPE,)
        self.tenants.append(tenant_id)
        await asyncio.sleep(0)
        if not self.tokens:
            raise ClientAuthenticationError("no identity\n here")
        return self.tokens.pop(0)

    async def close(self) -> None:
        self.closed += 1


def token(name: str, lasts: float = 3600) -> AccessToken:
    return AccessToken(name, int(time.time() + lasts))


CHALLENGE = "Bearer authorization_uri=https://login.microsoftonline.com/{}/oauth2/authorize resource_id=https://storage.azure.com"


async def test_one_token_is_shown_until_shortly_before_its_end() -> None:
    identity = Identity([token("soon over", 60), token("second")])
    async with serving(*(stored(b"1") for _ in range(4))) as storage:
        documents = DocumentsInBlobs.from_identity(storage.url, lambda: identity, "docs")
        await documents.load("a")
        await asyncio.gather(*(documents.load("a") for _ in range(3)))
        await documents.close()
    assert storage.shown == ["Bearer soon over"] + 3 * ["Bearer second"]
    assert identity.closed == 1


@pytest.mark.parametrize(
    ("challenge", "tenants"), [(CHALLENGE.format("of-the-account"), [None, "of-the-account"]), ("", [None, None])]
)
async def test_a_token_that_is_refused_is_replaced_once_by_one_of_the_accounts_tenant(
    challenge: str, tenants: list[str | None]
) -> None:
    refused = [refusal(401, "InvalidAuthenticationInfo", WWW_Authenticate=challenge) for _ in range(3)]
    identity = Identity([token("old"), token("new"), token("newest")])
    async with serving(refused[0], written(), *refused[1:]) as storage:
        documents = DocumentsInBlobs.from_identity(storage.url, lambda: identity, "docs")
        await documents.put("a", b"body")
        assert storage.shown == ["Bearer old", "Bearer new"]
        assert [body for *_, body in storage.came] == [b"body", b"body"]
        assert identity.tenants == tenants
        with pytest.raises(Unavailable, match="InvalidAuthenticationInfo"):
            await documents.load("a")
        assert storage.shown[2:] == ["Bearer new", "Bearer newest"]
        await documents.close()


async def test_without_an_identity_nothing_is_requested_and_it_says_why() -> None:
    async with serving() as storage:
        documents = DocumentsInBlobs.from_identity(storage.url, lambda: Identity([]), "docs")
        with pytest.raises(Unavailable, match=r"^cannot load 'a' in container 'docs': no identity here$"):
            await documents.load("a")
        await documents.close()


async def test_no_token_is_sent_for_everyone_to_read() -> None:
    for url in ("http://account.blob.core.windows.net", "http://127.0.0.1.example.net", "ftp://127.0.0.1"):
        documents = DocumentsInBlobs.from_identity(url, lambda: Identity([token("t")]), "docs")
        with pytest.raises(BadInput, match="https"):
            await documents.load("a")


def test_what_is_signed_is_the_string_that_microsoft_publishes() -> None:
    """Of "Authorize with Shared Key"; its key is not published."""
    headers = {"content-length": "0", "x-ms-version": "2015-02-21", "x-ms-date": "Fri, 26 Jun 2015 23:39:12 GMT"}
    request = Request("PUT", "mycontainer", {"timeout": "30", "restype": "container"}, headers)
    assert string_to_sign("myaccount", "/mycontainer", request) == (
        "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
        "/myaccount/mycontainer\nrestype:container\ntimeout:30"
    )


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (f"AccountName=a;AccountKey={KEY}", "https://a.blob.core.windows.net/c"),
        (
            f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn;",
            "https://a.blob.core.chinacloudapi.cn/c",
        ),
        (f"accountname=a;ACCOUNTKEY={KEY};BlobEndpoint=http://10.0.0.4:10000/a/;", "http://10.0.0.4:10000/a/c"),
        (
            "BlobEndpoint=https://a.z1.blob.storage.azure.net;SharedAccessSignature=?sv=1&sig=a%2Bb%3D",
            "https://a.z1.blob.storage.azure.net/c?sv=1&sig=a%2Bb%3D",
        ),
        ("UseDevelopmentStorage=true", "http://127.0.0.1:10000/devstoreaccount1/c"),
    ],
)
def test_connection_strings_as_azure_gives_them(text: str, url: str) -> None:
    assert str(Account.of_connection_string(text).url_of(Request("GET", "c"))) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "nonsense",
        f"AccountKey={KEY}",
        "AccountName=a",
        "AccountName=a;AccountKey=",
        "AccountName=a;AccountKey=no base64!",
        f"AccountName=a;AccountKey={KEY};BlobEndpoint=a.blob.core.windows.net",
        f"AccountName=a;AccountKey={KEY};BlobEndpoint=https://a.blob.core.windows.net?sv=1",
        "BlobEndpoint=https://a.blob.core.windows.net",
    ],
)
async def test_connection_strings_that_name_no_account_are_bad_input_at_the_first_call_without_the_key(
    text: str,
) -> None:
    documents = DocumentsInBlobs.from_connection_string(text, "docs")
    with pytest.raises(BadInput) as raised:
        await documents.load("a")
    assert KEY not in str(raised.value)
    await documents.close()


# Answers that are lost


class Losing:
    """One document in a storage that keeps If-Match and If-None-Match, and loses the next answers, or requests, that it is to."""

    def __init__(self) -> None:
        self.body, self.version = b"old", 1
        self.lose: list[str] = []

    @property
    def etag(self) -> str:
        return f'"{self.version}"'

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        lost = self.lose.pop(0) if self.lose else ""
        response = refusal(500) if lost == "request" else await self._take(request)
        if lost:
            assert request.transport is not None
            request.transport.close()
        return response

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            return stored(self.body, self.etag) if self.version else refusal(404, "BlobNotFound")
        if request.headers.get("If-None-Match") and self.version:
            return refusal(409, "BlobAlreadyExists")
        if request.headers.get("If-Match", self.etag) != self.etag:
            return refusal(412, "ConditionNotMet")
        if request.method == "DELETE":
            self.version = 0
            return refusal(202)
        self.body, self.version = await request.read(), self.version + 1
        return written(self.etag)


SAID, UNSAID, NOT_DONE = (b"new", '"2"', '"2"'), (b"new", '"2"', None), (b"old", '"1"', None)
"""What is stored afterwards, and the etag that was given: None where an error says that it is open whether it happened."""


@pytest.mark.parametrize("warm", [0, 1])
@pytest.mark.parametrize(
    ("lose", "ends"),
    [
        ([], {SAID}),
        (["request"], {SAID}),
        (["answer"], {UNSAID}),
        (["answer", "answer"], {UNSAID}),
        (["answer", "request"], {UNSAID}),
        (["request", "answer"], {UNSAID}),
        (["request", "request"], {SAID, NOT_DONE}),
        (9 * ["answer"], {UNSAID}),
        (9 * ["request"], {NOT_DONE}),
    ],
)
async def test_a_write_whose_answer_is_lost_is_made_once_at_most_and_said_to_be_done_only_where_it_was(
    lose: list[str], ends: set[object], warm: int
) -> None:
    losing, etag = Losing(), None
    async with serving(*(losing.answer for _ in range(99))) as storage, blobs_of(storage) as documents:
        for _ in range(warm):  # a connection that was kept
            await documents.load("a")
        losing.lose = list(lose)
        with contextlib.suppress(Transient):
            etag = await documents.save("a", b"new", '"1"')
        assert len(storage.came) <= 4 + warm  # two tries, of which aiohttp makes each twice where a connection ends
        losing.lose = []
        found = await documents.load("a")
        assert found is not None
        assert (found.body, found.etag, etag) in ends


@pytest.mark.parametrize("lose", ["answer", "request"])
async def test_a_removal_whose_answer_was_lost_is_superseded_or_done(lose: str) -> None:
    losing = Losing()
    async with serving(*(losing.answer for _ in range(99))) as storage, blobs_of(storage) as documents:
        losing.lose = [lose]
        with contextlib.suppress(Superseded):
            await documents.remove("a", '"1"')
        assert await documents.load("a") is None

"""One suite for both homes of documents: Blob Storage (Azurite) and a local directory keep the same promises."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from function_app.adapters.storage.blob import DocumentsInBlobs
from function_app.adapters.storage.local import DocumentsInDirectory
from function_app.domain.base.errors import BadInput, Superseded, Unavailable
from function_app.reconcile.ports import Documents
from tests.azurite import Azurite, running_azurite

TWINS = ["directory", "blobs"]


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with running_azurite() as running:
        yield running


@pytest.fixture(params=TWINS)
async def documents(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Documents]:
    if request.param == "directory":
        yield DocumentsInDirectory(tmp_path / "documents")
        return
    azurite: Azurite = request.getfixturevalue("azurite")
    blobs = DocumentsInBlobs.from_connection_string(azurite.connection_string, f"test-{uuid.uuid4().hex}")
    yield blobs
    await blobs.close()


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that is bound, so that no other process listens on it, and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(params=TWINS)
async def broken(request: pytest.FixtureRequest, tmp_path: Path, deaf_port: int) -> AsyncIterator[Documents]:
    """Documents whose storage cannot be had."""
    if request.param == "directory":
        (tmp_path / "file").write_text("not a directory")
        yield DocumentsInDirectory(tmp_path / "file" / "documents")
        return
    url = f"http://127.0.0.1:{deaf_port}/devstoreaccount1"
    blobs = DocumentsInBlobs.from_connection_string(Azurite(url, url).connection_string, "test")
    yield blobs
    await blobs.close()


async def test_a_version_is_another_one_after_every_write_and_the_same_until_then(documents: Documents) -> None:
    first = await documents.save("topologies/hub.yaml", b"a", None)
    await documents.put("topologies/other.yaml", b"a")
    await documents.put("good/hub.yaml", b"a")
    before = await documents.versions("topologies/")
    assert await documents.versions("topologies/") == before
    assert sorted(before) == ["topologies/hub.yaml", "topologies/other.yaml"]
    await documents.save("topologies/hub.yaml", b"a", first)
    after = await documents.versions("topologies/")
    assert [key for key in before if after[key] != before[key]] == ["topologies/hub.yaml"]


async def test_absent_document_is_none(documents: Documents) -> None:
    assert await documents.load("records/hub/fw.json") is None
    await documents.put("records/hub/other.json", b"{}")
    assert await documents.load("records/hub/fw.json") is None


async def test_saved_document_is_loaded_with_the_etag_that_save_gave(documents: Documents) -> None:
    etag = await documents.save("records/fw.json", b'{"epoch":1}', None)

    stored = await documents.load("records/fw.json")

    assert stored is not None
    assert (stored.body, stored.etag) == (b'{"epoch":1}', etag)


async def test_save_without_etag_only_creates(documents: Documents) -> None:
    await documents.save("fw.json", b"first", None)

    with pytest.raises(Superseded):
        await documents.save("fw.json", b"second", None)

    stored = await documents.load("fw.json")
    assert stored is not None
    assert stored.body == b"first"


async def test_stale_etag_is_superseded_and_the_newest_goes_through(documents: Documents) -> None:
    first = await documents.save("fw.json", b"1", None)
    second = await documents.save("fw.json", b"2", first)

    with pytest.raises(Superseded):
        await documents.save("fw.json", b"3", first)

    third = await documents.save("fw.json", b"3", second)
    stored = await documents.load("fw.json")
    assert stored is not None
    assert (stored.body, stored.etag) == (b"3", third)
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("etag", ['"0x8D4BCC2E4835CD0"', "nonsense", ""])
async def test_etag_of_a_document_that_is_not_there_is_superseded(documents: Documents, etag: str) -> None:
    await documents.put("other.json", b"the container exists")

    with pytest.raises(Superseded):
        await documents.save("fw.json", b"1", etag)

    assert await documents.load("fw.json") is None


async def test_equal_content_still_changes_the_etag(documents: Documents) -> None:
    """Else a writer that was overtaken twice would believe that nothing had happened."""
    etags = [await documents.save("fw.json", b"same", None)]
    for _ in range(20):
        etags.append(await documents.save("fw.json", b"same", etags[-1]))

    assert len(set(etags)) == len(etags)
    with pytest.raises(Superseded):
        await documents.save("fw.json", b"same", etags[-2])


async def test_put_overwrites_whatever_is_there_and_supersedes_who_read_before(documents: Documents) -> None:
    etag = await documents.save("status/hub.json", b"1", None)

    await documents.put("status/hub.json", b"2")

    with pytest.raises(Superseded):
        await documents.save("status/hub.json", b"3", etag)
    await documents.put("status/new.json", b"4")
    stored = [await documents.load(f"status/{name}.json") for name in ("hub", "new")]
    assert [document.body for document in stored if document] == [b"2", b"4"]


async def test_a_document_is_taken_away_by_who_read_it_last(documents: Documents) -> None:
    first = await documents.save("topologies/hub.yaml", b"1", None)
    etag = await documents.save("topologies/hub.yaml", b"2", first)

    with pytest.raises(Superseded):
        await documents.remove("topologies/hub.yaml", first)
    await documents.remove("topologies/hub.yaml", etag)

    assert (await documents.load("topologies/hub.yaml"), await documents.keys("")) == (None, ())
    for never in ("topologies/hub.yaml", "topologies/other.yaml"):
        with pytest.raises(Superseded):
            await documents.remove(never, etag)
    await documents.save("topologies/hub.yaml", b"3", None)


async def test_keys_are_those_with_the_prefix_sorted(documents: Documents) -> None:
    keys = ["topologies/hub.yaml", "topologies/hub-2.yaml", "records/hub/fw.json", "records/hub/a.json", "z.json"]
    for key in keys:
        await documents.put(key, b"x")

    assert await documents.keys("") == tuple(sorted(keys))
    assert await documents.keys("topologies/") == ("topologies/hub-2.yaml", "topologies/hub.yaml")
    assert await documents.keys("topologies/hub.") == ("topologies/hub.yaml",)
    assert await documents.keys("rec") == ("records/hub/a.json", "records/hub/fw.json")
    assert await documents.keys("records/hub/fw.json") == ("records/hub/fw.json",)
    assert await documents.keys("none/at/all/") == ()


async def test_a_folder_lists_what_is_directly_below_it_and_folders_end_with_a_slash(documents: Documents) -> None:
    for key in (
        "history/hub/fw/20260102/a.json",
        "history/hub/fw/20260102/b.json",
        "history/hub/fw/z.json",
        "history/x/y",
    ):
        await documents.put(key, b"x")

    assert await documents.below("history/hub/fw/") == ("history/hub/fw/20260102/", "history/hub/fw/z.json")
    assert await documents.below("history/hub/fw/20260102/") == (
        "history/hub/fw/20260102/a.json",
        "history/hub/fw/20260102/b.json",
    )
    assert await documents.below("history/") == ("history/hub/", "history/x/")
    assert await documents.below("history/hub/fwd/") == ()


async def test_keys_of_an_empty_store_are_none(documents: Documents) -> None:
    assert await documents.keys("topologies/") == ()


async def test_of_twenty_conditional_writes_at_once_one_wins(documents: Documents) -> None:
    etag = await documents.save("fw.json", b"start", None)

    bodies = [f"writer {i}".encode() for i in range(20)]
    results = await asyncio.gather(*(documents.save("fw.json", body, etag) for body in bodies), return_exceptions=True)

    winners = [body for body, result in zip(bodies, results, strict=True) if isinstance(result, str)]
    losers = [result for result in results if isinstance(result, Superseded)]
    assert (len(winners), len(losers)) == (1, 19)
    stored = await documents.load("fw.json")
    assert stored is not None
    assert (stored.body, stored.etag) == (winners[0], next(r for r in results if isinstance(r, str)))


async def test_of_twenty_creators_at_once_one_wins(documents: Documents) -> None:
    """Also where the container or directory is not there yet: all of them may try to make it."""
    results = await asyncio.gather(
        *(documents.save("records/fw.json", b"x", None) for _ in range(20)), return_exceptions=True
    )

    assert sorted(type(result).__name__ for result in results) == ["Superseded"] * 19 + ["str"]


async def test_nothing_is_lost_between_writers_that_read_change_and_save(documents: Documents) -> None:
    await documents.save("count.json", b"0", None)

    async def add_ten() -> None:
        added = 0
        while added < 10:
            stored = await documents.load("count.json")
            assert stored is not None
            try:
                await documents.save("count.json", str(int(stored.body) + 1).encode(), stored.etag)
            except Superseded:
                continue
            added += 1

    await asyncio.gather(*(add_ten() for _ in range(4)))

    stored = await documents.load("count.json")
    assert stored is not None
    assert stored.body == b"40"


@pytest.mark.parametrize(
    "key",
    [
        "with space/and+plus.json",
        "percent%2Fencoded%20.json",
        "question?mark=1&a.json",
        "hash#tag.json",
        "ümläut/日本.json",
        "UPPER/lower.JSON",
        "colon:at@tilde~.json",
        "2026-01-01T03:00:00.123456+00:00.json",
        "no-extension",
        "quote'double\"star*.json",
        "/".join(["deep"] * 20) + "/x.json",
        "x" * 240,
    ],
)
async def test_odd_keys_are_kept_apart_and_come_back_as_they_were(documents: Documents, key: str) -> None:
    etag = await documents.save(key, key.encode(), None)

    stored = await documents.load(key)

    assert stored is not None
    assert (stored.body, stored.etag) == (key.encode(), etag)
    assert await documents.keys("") == (key,)
    await documents.save(key, b"again", etag)


async def test_keys_differ_by_case(documents: Documents) -> None:
    await documents.put("Hub.json", b"1")

    assert await documents.load("hub.json") is None


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../outside.json",
        "records/../../outside.json",
        "records/./fw.json",
        "records//fw.json",
        "records/",
        ".hidden",
        "records/.lock",
        "records\\fw.json",
        "records/fw.json\n",
        "nul\0.json",
        "dot-at-the-end.",
        "lone\udc80.json",
        "x" * 241,
        "x/" * 512 + "x",
    ],
)
async def test_keys_that_could_lead_elsewhere_are_bad_input(documents: Documents, key: str) -> None:
    with pytest.raises(BadInput):
        await documents.load(key)
    with pytest.raises(BadInput):
        await documents.save(key, b"x", None)
    with pytest.raises(BadInput):
        await documents.put(key, b"x")
    assert await documents.keys("") == ()


@pytest.mark.parametrize("prefix", ["../", "/", ".", "records//"])
async def test_prefixes_that_no_key_can_have_are_bad_input(documents: Documents, prefix: str) -> None:
    with pytest.raises(BadInput):
        await documents.keys(prefix)


@pytest.mark.parametrize("body", [b"", b"\0\xff\r\n", b"x" * 300_000])
async def test_bodies_come_back_byte_by_byte(documents: Documents, body: bytes) -> None:
    await documents.put("body.bin", body)

    stored = await documents.load("body.bin")

    assert stored is not None
    assert stored.body == body


async def test_storage_that_cannot_be_had_is_unavailable(broken: Documents) -> None:
    for attempt in (
        broken.load("fw.json"),
        broken.save("fw.json", b"x", None),
        broken.save("fw.json", b"x", "etag"),
        broken.put("fw.json", b"x"),
        broken.remove("fw.json", "etag"),
        broken.keys(""),
        broken.below("history/"),
    ):
        with pytest.raises(Unavailable) as raised:
            await attempt
        assert raised.value.retry_after.total_seconds() > 0

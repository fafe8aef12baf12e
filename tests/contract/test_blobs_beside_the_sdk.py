"""The app's own client of Blob Storage beside Microsoft's: the same calls end alike, and each reads what the other wrote.

Over Azurite. The SDK is no part of the app (ADR 20); here it is the independent client.
"""

import json
import os
import random
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.rest import HttpRequest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy
from azure.storage.blob.aio import ContainerClient
from cryptography.hazmat.primitives.asymmetric import ec

from function_app.adapters.storage.account import Account, Request
from function_app.adapters.storage.blob import VERSION, DocumentsInBlobs
from function_app.domain.base.errors import Superseded, Unavailable
from function_app.reconcile.ports import Documents, Stored
from tests.azurite import Azurite, running_azurite
from tests.unit.adapters.fake_agent import private_pem

ROOT = Path(__file__).resolve().parents[2]
ODD = ("a.json", "ümläut/日本 &=+%2F.yaml", "quote'double\"star*~!$(),;@.txt", "query?restype=container&comp=list#x")
PREFIXES = ("", "a", "ümläut/日", "ümläut/日本 &=+%2F", "query?restype=container&comp=l", "quote'", "none")


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with running_azurite() as running:
        yield running


@dataclass
class OverSdk:
    """The port's promises, kept with the SDK."""

    client: ContainerClient

    async def load(self, key: str) -> Stored | None:
        try:
            blob = await self.client.download_blob(key)
            return Stored(await blob.readall(), blob.properties.etag)
        except ResourceNotFoundError:
            return None

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        unchanged = {"etag": etag, "match_condition": MatchConditions.IfNotModified, "overwrite": True}
        try:
            written = await self.client.upload_blob(key, body, **(unchanged if etag is not None else {}))
        except (ResourceModifiedError, ResourceExistsError, ResourceNotFoundError) as error:
            raise Superseded(key) from error
        etag = (await written.get_blob_properties()).etag
        assert etag is not None
        return etag

    async def put(self, key: str, body: bytes) -> None:
        await self.client.upload_blob(key, body, overwrite=True)

    async def remove(self, key: str, etag: str) -> None:
        try:
            await self.client.delete_blob(key, etag=etag, match_condition=MatchConditions.IfNotModified)
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise Superseded(key) from error

    async def keys(self, prefix: str) -> tuple[str, ...]:
        return tuple(sorted([name async for name in self.client.list_blob_names(name_starts_with=prefix or None)]))

    async def below(self, folder: str) -> tuple[str, ...]:
        found = self.client.walk_blobs(name_starts_with=folder or None, delimiter="/")
        return tuple(sorted([each.name async for each in found]))

    async def versions(self, prefix: str) -> dict[str, str]:
        return {b.name: b.etag async for b in self.client.list_blobs(name_starts_with=prefix or None)}


@dataclass
class Both:
    ours: DocumentsInBlobs
    sdk: OverSdk


@pytest.fixture
async def both(azurite: Azurite) -> AsyncIterator[Both]:
    """Over one container."""
    name = f"test-{uuid.uuid4().hex}"
    async with ContainerClient.from_connection_string(azurite.connection_string, name) as client:
        await client.create_container()
        ours = DocumentsInBlobs.from_connection_string(azurite.connection_string, name)
        yield Both(ours, OverSdk(client))
        await ours.close()


@pytest.mark.parametrize("key", ODD)
@pytest.mark.parametrize("body", [b"", b"\0\xff", b"x" * 100_000])
async def test_each_reads_what_the_other_wrote(both: Both, key: str, body: bytes) -> None:
    etag = await both.ours.save(key, body, None)
    assert await both.sdk.load(key) == Stored(body, etag)
    properties = await both.sdk.client.get_blob_client(key).get_blob_properties()
    kinds = {".json": "application/json", ".yaml": "application/yaml"}
    assert properties.content_settings.content_type == kinds.get(Path(key).suffix, "application/octet-stream")
    assert str(properties.blob_type) == "BlobType.BLOCKBLOB"
    etag = await both.sdk.save(key, body + b"again", etag)
    assert await both.ours.load(key) == Stored(body + b"again", etag)
    await both.ours.remove(key, etag)
    assert await both.sdk.load(key) is None


async def test_lists_are_the_same(both: Both) -> None:
    for key in ODD:
        await both.ours.put(key, b"1")
    for prefix in PREFIXES:
        assert await both.ours.keys(prefix) == await both.sdk.keys(prefix)
        assert await both.ours.versions(prefix) == await both.sdk.versions(prefix)
    for folder in {"", *(prefix for prefix in PREFIXES if prefix.endswith("/"))}:
        assert await both.ours.below(folder) == await both.sdk.below(folder)


@pytest.mark.parametrize("seed", range(6))
async def test_the_same_calls_have_the_same_results(azurite: Azurite, both: Both, seed: int) -> None:
    """Sixty at random over few keys, in a container each, which the app's own client finds missing; etags by how many writes they
    are old."""
    own = DocumentsInBlobs.from_connection_string(azurite.connection_string, f"test-{uuid.uuid4().hex}")
    picked = [random.Random(f"{seed}/{number}") for number in range(60)]
    results = [await _played(documents, picked) for documents in (own, both.sdk)]
    assert results[0] == results[1]
    await own.close()


async def _played(documents: Documents, picked: list[random.Random]) -> list[object]:
    etags: dict[str, list[str]] = {key: ['"0x8D4BCC2E4835CD0"'] for key in ODD}
    results: list[object] = []
    for number, chosen in enumerate(picked):
        state = chosen.getstate()
        results.append(await _one(documents, chosen, etags, f"body {number}".encode()))
        chosen.setstate(state)  # the same for who plays next
    return results


async def _one(documents: Documents, chosen: random.Random, etags: dict[str, list[str]], body: bytes) -> object:
    key, known = (picked := chosen.choice(ODD)), etags[picked]
    etag = known[-min(chosen.choice((1, 1, 1, 2, 3)), len(known))]
    try:
        match chosen.choice(("load", "save", "save", "create", "put", "remove", "keys")):
            case "load":
                found = await documents.load(key)
                if found is not None:
                    known.append(found.etag)
                return found.body if found is not None else None
            case "save":
                known.append(await documents.save(key, body, etag))
            case "create":
                known.append(await documents.save(key, body, None))
            case "put":
                await documents.put(key, body)
            case "remove":
                await documents.remove(key, etag)
            case _:
                return await documents.keys(chosen.choice(PREFIXES))
    except Superseded:
        return "superseded"
    return "done"


async def test_a_shared_access_signature_opens_what_it_is_for_and_nothing_else(azurite: Azurite, both: Both) -> None:
    name = both.sdk.client.container_name

    def signed(**may: bool) -> str:
        until = datetime.now(UTC) + timedelta(hours=1)
        permission = ContainerSasPermissions(**may)
        return generate_container_sas(azurite.account, name, azurite.key, permission=permission, expiry=until)

    def over(signature: str) -> DocumentsInBlobs:
        text = f"BlobEndpoint={azurite.blob_url};SharedAccessSignature={signature}"
        return DocumentsInBlobs.from_connection_string(text, name)

    writer, reader = over(signed(read=True, write=True, list=True, delete=True)), over(signed(read=True))
    etag = await writer.save(ODD[1], b"1", None)
    assert await writer.keys("ümläut/") == (ODD[1],)
    assert await reader.load(ODD[1]) == Stored(b"1", etag)
    with pytest.raises(Unavailable, match="Authorization"):
        await reader.put(ODD[1], b"2")
    await writer.remove(ODD[1], etag)
    await writer.close()
    await reader.close()


async def test_a_wrong_key_is_refused_by_storage_and_said_in_its_words(azurite: Azurite, both: Both) -> None:
    wrong = azurite.connection_string.replace(azurite.key, azurite.key.swapcase())
    ours = DocumentsInBlobs.from_connection_string(wrong, both.sdk.client.container_name)
    async with ContainerClient.from_connection_string(wrong, both.sdk.client.container_name) as client:
        with pytest.raises(HttpResponseError) as theirs:
            await client.get_container_properties()
    with pytest.raises(Unavailable) as raised:
        await ours.load("a")
    assert str(raised.value).endswith(f": {theirs.value.response.headers['x-ms-error-code']}")
    await ours.close()


@pytest.mark.parametrize("key", ODD)
async def test_the_signature_is_the_one_that_the_sdk_makes(azurite: Azurite, key: str) -> None:
    account = Account.of_connection_string(azurite.connection_string)
    headers = {
        "content-length": "5",
        "content-type": "application/json",
        "if-match": '"0x1"',
        "x-ms-blob-type": "BlockBlob",
        "x-ms-date": "Fri, 26 Jun 2015 23:39:12 GMT",
        "x-ms-version": VERSION,
    }
    for request in (
        Request("PUT", f"docs/{key}", {}, headers, b"12345"),
        Request("GET", "docs", {"prefix": key}, headers),
    ):
        made = HttpRequest(request.method, str(account.url_of(request)), headers=dict(headers))
        SharedKeyCredentialPolicy(azurite.account, azurite.key).on_request(PipelineRequest(made, PipelineContext(None)))
        assert (await account.authorization(request))["authorization"] == made.headers["Authorization"]


LOADED = """
import asyncio, json, sys
import main
from dataclasses import replace
from function_app import settings, wiring
from tests.unit.reconcile.scene import Scene

async def promotion():
    scene = Scene()
    documents = wiring.build(settings.from_environment()).ports.documents
    scene.ports = replace(scene.ports, documents=documents)
    await scene.fail_over()
    keys = await documents.keys("records/")
    await documents.close()
    return keys

kept = asyncio.run(promotion())
print(json.dumps([list(kept), [name for name in sys.modules if name.startswith("azure.")]]))
"""


def test_a_promotion_over_blobs_imports_no_sdk_of_azure_but_the_core_of_them(azurite: Azurite) -> None:
    given: dict[str, Any] = {
        "AzureWebJobsStorage": azurite.connection_string,
        "HOPKEEPER_SIGNING_KEY": private_pem(ec.generate_private_key(ec.SECP256R1())),
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, env=given, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    kept, loaded = json.loads(done.stdout)
    assert kept == ["records/hub/fw.json"]
    assert {".".join(name.split(".")[:2]) for name in loaded} == {"azure.core", "azure.functions"}

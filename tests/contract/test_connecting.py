"""What is said where there is no answer: of real sockets that are not there, by the libraries that request something of them."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from function_app.adapters import connecting
from function_app.adapters.arm.client import translated
from function_app.adapters.storage.blob import DocumentsInBlobs
from function_app.domain.base.errors import Unavailable

NOT_LOGGED_IN = (
    "DefaultAzureCredential failed to retrieve a token from the included credentials.\nAttempted credentials:\n"
    "\tEnvironmentCredential: EnvironmentCredential authentication unavailable.\nVisit https://aka.ms/azsdk/python.\n"
    "\tAzureCliCredential: Please run 'az login' to set up an account\n\tAzurePowerShellCredential: PowerShell is not installed"
)
"""As azure-identity 1.x writes it, shortened."""


@dataclass
class Identity:
    """An identity that counts how often it was closed."""

    closed: int = 0

    async def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken("token", 2**31)

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def deaf_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def _error_of(url: str) -> BaseException:
    async with aiohttp.ClientSession() as session:
        try:
            await session.get(url)
        except aiohttp.ClientError as error:
            return error
    raise AssertionError(f"{url} answers")


async def test_a_connection_that_failed_is_said_without_objects_of_a_library(deaf_port: int) -> None:
    refused = await _error_of(f"https://127.0.0.1:{deaf_port}/")
    assert connecting.why(refused) == f"127.0.0.1:{deaf_port}: the connection was refused"
    assert connecting.why(await _error_of("https://hub.invalid/")) == "there is no host hub.invalid"
    assert connecting.why(TimeoutError()) == "no answer in time"
    assert connecting.why(ValueError("odd")) == "odd"


async def test_a_storage_that_does_not_answer_is_named_and_leaves_nothing_open(deaf_port: int) -> None:
    identity = Identity()
    blobs = DocumentsInBlobs.from_identity(f"https://127.0.0.1:{deaf_port}", lambda: identity, "hopkeeper")
    with pytest.raises(Unavailable, match=f"container 'hopkeeper': 127.0.0.1:{deaf_port}: the connection was refused"):
        await blobs.keys("topologies/")
    await blobs.close()
    assert identity.closed == 1


def test_of_all_identities_that_were_tried_a_person_reads_of_az_login() -> None:
    said = str(translated("reading rs-hub", ClientAuthenticationError(NOT_LOGGED_IN)))
    assert said == (
        "reading rs-hub: no login to Azure, az login makes one (Please run 'az login' to set up an account)"
    )
    assert connecting.login("ManagedIdentityCredential: no\n answer") == "ManagedIdentityCredential: no answer"

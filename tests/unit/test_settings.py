"""What the environment must hold, and what is said of what it lacks."""

import pytest

from function_app.domain.base.errors import BadInput
from function_app.settings import from_environment

KEY = {"HOPKEEPER_SIGNING_KEY": "a key"}
BLOBS = {"AzureWebJobsStorage__blobServiceUri": "https://st.blob.core.usgovcloudapi.net/"}
QUEUES = {"AzureWebJobsStorage__queueServiceUri": "https://st.queue.core.usgovcloudapi.net/"}


def test_the_accounts_endpoints_are_taken_as_they_are_in_every_cloud() -> None:
    storage = from_environment(KEY | BLOBS | QUEUES).storage
    assert (storage.blobs, storage.queues) == (
        "https://st.blob.core.usgovcloudapi.net",
        "https://st.queue.core.usgovcloudapi.net",
    )


def test_an_accounts_name_stands_for_its_endpoints_in_the_public_cloud() -> None:
    storage = from_environment(KEY | {"AzureWebJobsStorage__accountName": "st"}).storage
    assert (storage.blobs, storage.queues) == (
        "https://st.blob.core.windows.net",
        "https://st.queue.core.windows.net",
    )


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "must be set"),
        (BLOBS, "go together"),
        (QUEUES, "go together"),
        (BLOBS | {"AzureWebJobsStorage__queueServiceUri": "http://st"}, "must be an https URL"),
    ],
)
def test_storage_that_is_not_or_half_named_is_refused(given: dict[str, str], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        from_environment(KEY | given)

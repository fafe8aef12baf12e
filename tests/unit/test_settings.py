"""What the environment must hold, and what is said of what it lacks."""

import pytest

from function_app.domain.base.errors import BadInput
from function_app.settings import Otlp, from_environment

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


COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example:4318/"}
REST = KEY | BLOBS | QUEUES


def test_without_a_collector_there_is_no_telemetry_whatever_else_is_set() -> None:
    given = from_environment(REST | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": " "})
    assert given.otlp == Otlp()


def test_a_collector_is_taken_with_its_headers() -> None:
    given = from_environment(REST | COLLECTOR | {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20a%3D, x=1"})
    assert given.otlp == Otlp("https://collector.example:4318", (("authorization", "Basic a="), ("x", "1")))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"},
            "OTEL_EXPORTER_OTLP_ENDPOINT: must be an http or https URL",
        ),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL: must be http/json"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "token"}, "OTEL_EXPORTER_OTLP_HEADERS: must be name=value"),
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": "@Microsoft.KeyVault(x)"},
            "OTEL_EXPORTER_OTLP_HEADERS: its Key Vault reference",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://10.0.0.4:4318", "OTEL_EXPORTER_OTLP_HEADERS": "token=secret"},
            "OTEL_EXPORTER_OTLP_HEADERS: are sent over https only",
        ),
    ],
)
def test_a_collector_that_cannot_be_used_closes_telemetry_alone_and_shows_no_secret(
    given: dict[str, str], named: str
) -> None:
    otlp = from_environment(REST | COLLECTOR | given).otlp
    assert (otlp.endpoint, otlp.closed.startswith(named), "secret" in otlp.closed) == ("", True, False)

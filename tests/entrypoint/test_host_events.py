"""The Event Grid webhook of the lab's host: handshakes, both schemas, batches, refusals."""

import io
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.entrypoint.apps.serving import SAMPLE, Answer, RunningHost, serving

NOTIFICATION = {"aeg-event-type": "Notification"}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    with serving(SAMPLE, tmp_path_factory.mktemp("events")) as running:
        yield running


def event(**changes: Any) -> dict[str, Any]:
    made = {
        "id": str(uuid.uuid4()),
        "topic": "/subscriptions/s",
        "subject": "/subscriptions/s/resourceGroups/g",
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2026-01-01T00:00:00.1234567Z",
        "data": {"status": "Succeeded"},
        "dataVersion": "2",
    }
    return made | changes


def cloud_event(**changes: Any) -> dict[str, Any]:
    made = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/subscriptions/s", "type": "t", "data": {"a": 1}}
    return made | changes


async def post(host: RunningHost, body: Any, function: str = "on_event", **options: Any) -> Answer:
    given = {"headers": NOTIFICATION, "code": host.keys["system"]["eventgrid_extension"]} | options
    data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
    query = {"functionName": function, "code": given["code"]}
    return await host.ask("POST", "/runtime/webhooks/EventGrid", params=query, data=data, headers=given["headers"])


async def test_events_of_a_batch_reach_the_function_one_by_one(host: RunningHost) -> None:
    batch = [event(), event()]
    assert (await post(host, batch)).status == 202
    seen = {entry["id"]: entry for entry in await host.journal("on_event")}
    for sent in batch:
        assert seen[sent["id"]]["type"] == "EventGridEvent"
        assert seen[sent["id"]]["data"] == {"status": "Succeeded"}


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: [one]], ids=["single", "batch"])
async def test_cloud_events_come_single_or_in_batches(host: RunningHost, wrap: Any) -> None:
    sent = cloud_event()
    headers = NOTIFICATION | {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    assert (await post(host, wrap(sent), "on_cloud_event", headers=headers)).status == 202
    assert sent["id"] in {entry["id"] for entry in await host.journal("on_cloud_event")}


async def test_the_payload_decides_the_type_whatever_the_annotation(host: RunningHost) -> None:
    answer = await post(host, [event()], "on_cloud_event")
    assert answer.status == 500
    assert "'EventGridEvent' object has no attribute 'source'" in host.log.read_text()


async def test_one_failing_event_fails_the_batch_after_all_were_tried(host: RunningHost) -> None:
    batch = [event(subject="fail"), event()]
    answer = await post(host, batch)
    assert (answer.status, answer.body) == (500, b"Exception while executing function: Functions.on_event")
    seen = {entry["id"] for entry in await host.journal("on_event")}
    assert {sent["id"] for sent in batch} <= seen


async def test_the_validation_handshake_returns_the_code_and_runs_nothing(host: RunningHost) -> None:
    before = len(await host.journal("on_event"))
    validation = event(eventType="Microsoft.EventGrid.SubscriptionValidationEvent", data={"validationCode": "512d38b6"})
    answer = await post(host, [validation], headers={"aeg-event-type": "SubscriptionValidation"})
    assert (answer.status, answer.json()) == (200, {"validationResponse": "512d38b6"})
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert len(await host.journal("on_event")) == before


async def test_a_validation_without_its_code_is_500(host: RunningHost) -> None:
    answer = await post(host, [event()], headers={"aeg-event-type": "SubscriptionValidation"})
    assert (answer.status, answer.body) == (500, b"")


async def test_options_allows_event_grid_whatever_the_origin(host: RunningHost) -> None:
    query = {"functionName": "on_cloud_event", "code": host.keys["system"]["eventgrid_extension"]}
    headers = {"WebHook-Request-Origin": "elsewhere.example", "WebHook-Request-Rate": "120"}
    answer = await host.ask("OPTIONS", "/runtime/webhooks/EventGrid", params=query, headers=headers)
    assert (answer.status, answer.headers["WebHook-Allowed-Origin"]) == (200, "eventgrid.azure.net")
    assert "WebHook-Allowed-Rate" not in answer.headers


@pytest.mark.parametrize("body", [b"{", b"3", b'["x"]', b"", b"null"])
async def test_a_body_that_is_no_event_is_500_without_a_word(host: RunningHost, body: bytes) -> None:
    answer = await post(host, body)
    assert (answer.status, answer.body) == (500, b"")


async def test_an_empty_batch_is_accepted(host: RunningHost) -> None:
    assert (await post(host, [])).status == 202


async def test_a_delivery_that_does_not_say_what_it_is_is_400(host: RunningHost) -> None:
    assert (await post(host, [event()], headers={})).status == 400


@pytest.mark.parametrize("function", ["unknown", "hello", "ON_EVENT", ""])
async def test_only_a_function_of_exactly_this_name_with_an_event_grid_trigger_is_found(
    host: RunningHost, function: str
) -> None:
    assert (await post(host, [event()], function)).status == 404


async def test_only_the_system_key_or_the_master_key_opens_the_webhook(host: RunningHost) -> None:
    assert (await post(host, [event()], code="wrong")).status == 401
    assert (await post(host, [event()], code=host.keys["functions"]["default"])).status == 403
    assert (await post(host, [event()], code=host.keys["master"])).status == 202


async def test_the_webhook_ignores_the_case_of_its_extension(host: RunningHost) -> None:
    query = {"functionName": "on_event", "code": host.keys["system"]["eventgrid_extension"]}
    path = "/runtime/webhooks/eventgrid"
    answer = await host.ask("POST", path, params=query, json=[event()], headers=NOTIFICATION)
    assert answer.status == 202


async def test_the_end_of_a_subscription_is_acknowledged(host: RunningHost) -> None:
    assert (await post(host, [], headers={"aeg-event-type": "Unsubscribe"})).status == 202

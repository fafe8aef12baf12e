"""The real app in the worker's own library, over the simulator: what every trigger answers, and what it never does."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from function_app.reconcile import deployed
from lab import keys
from lab.stack import NVAS, SERVICE, TOPOLOGY, Stack
from tests.entrypoint.alone import app_alone

in_stack = pytest.mark.asyncio(loop_scope="module")

SAMPLES = Path(__file__).resolve().parents[1] / "fixtures"
KINDS = {"on_resource_event": "eventGridTrigger", "sweep": "timerTrigger", "on_wakeup": "queueTrigger"}
FUNCTIONS = {name: KINDS.get(name, "httpTrigger") for name in deployed.FUNCTIONS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[Stack]:
    """Simulator and app without NVAs, and a sweep that never comes."""
    async with app_alone() as made:
        yield made


def _documents(stack: Stack) -> dict[str, bytes]:
    """Everything durable that decides anything: topologies and records."""
    folders = ("topologies", "good", "records")
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in sorted((stack.storage / folder).rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


async def _writes(stack: Stack) -> list[str]:
    log = await stack.tell_simulator("GET", "/simulator/requests")
    return [f"{r['method']} {r['path']}" for r in log["requests"] if r["method"] in ("PUT", "DELETE", "PATCH")]


@in_stack
async def test_the_worker_indexes_exactly_our_functions(stack: Stack) -> None:
    assert stack.session is not None
    headers = {"x-functions-key": stack.keys["master"]}
    async with stack.session.get(f"{stack.host_url}/admin/functions", headers=headers) as response:
        found = await response.json()
    kinds = {
        f["name"]: next(b["type"] for b in f["config"]["bindings"] if b["type"].endswith("Trigger")) for f in found
    }
    assert kinds == FUNCTIONS


@in_stack
@pytest.mark.parametrize("path", ["/status", f"/status/{TOPOLOGY}"])
async def test_the_status_answers_with_and_without_a_topology(stack: Stack, path: str) -> None:
    code, body = await stack.ask_app("GET", path)
    assert code == 200
    assert TOPOLOGY in json.dumps(body)


@in_stack
async def test_an_unknown_topology_is_not_found_and_that_is_said(stack: Stack) -> None:
    code, body = await stack.ask_app("GET", "/status/nowhere")
    assert (code, body) == (
        404,
        {
            "error": {
                "message": "$.name: there is no topology 'nowhere'",
                "problems": [{"path": "$.name", "rule": "there is no topology 'nowhere'"}],
                "causes": [],
            },
            "schema": "hopkeeper/error/1",
        },
    )


@in_stack
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/status"), ("POST", "/reconcile"), ("POST", "/alerts"), ("POST", "/reports")]
)
async def test_nothing_answers_without_a_key(stack: Stack, method: str, path: str) -> None:
    assert stack.session is not None
    async with stack.session.request(method, f"{stack.host_url}/api{path}") as response:
        assert response.status == 401


@in_stack
async def test_a_dry_run_answers_the_plan_and_its_reasons_and_writes_nothing(stack: Stack) -> None:
    before, written = _documents(stack), await _writes(stack)
    code, body = await stack.ask_app("POST", f"/reconcile/{TOPOLOGY}?dry_run=true")
    assert code == 200
    assert [s["step"] for s in body["peerings"][0]["steps"]] == ["CreatePeering", "CreatePeering"]
    assert body["services"][0]["service"] == SERVICE
    assert "learning" in body["services"][0]["held"][0]
    code, everything = await stack.ask_app("POST", "/reconcile?dry_run=true")
    assert (code, everything["schema"], len(everything["plans"])) == (200, "hopkeeper/plans/1", 1)
    assert (_documents(stack), await _writes(stack)) == (before, written)


@in_stack
@pytest.mark.parametrize(
    ("method", "path", "rule"),
    [
        ("POST", f"/reconcile/{TOPOLOGY}?dryrun=true", "is none of dry_run"),
        ("GET", "/status?topology=x", "is none of any: there are none"),
        ("POST", f"/topologies/{TOPOLOGY}/services/{SERVICE}/pause?minutes=5", "is none of any: there are none"),
    ],
)
async def test_a_parameter_that_is_misspelt_does_nothing_and_is_named(
    stack: Stack, method: str, path: str, rule: str
) -> None:
    """`?dryrun=true` made a real pass."""
    before = _documents(stack)
    code, body = await stack.ask_app(method, path)
    assert (code, body["error"]["problems"][0]["rule"]) == (400, rule)
    assert body["error"]["problems"][0]["path"] == f"?{path.partition('?')[2].partition('=')[0]}"
    assert _documents(stack) == before


@in_stack
async def test_a_dry_run_that_is_neither_true_nor_false_is_refused(stack: Stack) -> None:
    code, body = await stack.ask_app("POST", f"/reconcile/{TOPOLOGY}?dry_run=maybe")
    assert code == 400
    assert body["error"]["problems"][0]["path"] == "?dry_run"


UNREAD_ALERTS = [
    (b"", "$: the body is not JSON"),
    (b'{"schemaId": NaN}', "the body is not JSON: JSON is malformed: invalid character (byte 13)"),
    (b"\xff", "$: the body is not UTF-8"),
    (b'{"x": "' + b"y" * (1 << 20) + b'"}', "at most 1048576 are read"),
    (b"[" * 30_000, "$: the body is not JSON"),
]


@in_stack
@pytest.mark.parametrize(("body", "why"), UNREAD_ALERTS, ids=[why for _, why in UNREAD_ALERTS])
async def test_an_alert_that_cannot_be_read_is_accepted_and_says_why_for_a_400_would_never_be_repeated(
    stack: Stack, body: bytes, why: str
) -> None:
    code, answer = await _post(stack, body)
    assert (code, answer["woken"]) == (202, [])
    assert why in answer["unread"][0]


HALF_READ: dict[str, Callable[[str], bytes]] = {
    "not a number": lambda one: f'{{"value": NaN, "id": "{one}"}}'.encode(),
    "half a surrogate pair": lambda one: rb'{"name": "\ud800", "id": "' + one.encode() + b'"}',
    "a comma too many": lambda one: f'{{"ids": ["{one}",]}}'.encode(),
    "UTF-16": lambda one: json.dumps([one]).encode("utf-16"),
    "UTF-16 without a mark": lambda one: json.dumps([one]).encode("utf-16-be"),
    "one byte wrong": lambda one: b'{"name": "\xff", "id": "' + one.encode() + b'"}',
    "JSON in JSON, cut off": lambda one: json.dumps([json.dumps({"id": one.replace("/", "\\/")})])[:-1].encode(),
    "nested too deeply": lambda one: b"[" * 30_000 + json.dumps(one).encode(),
    "too long": lambda one: json.dumps([one, "y" * (1 << 20)]).encode(),
}


@in_stack
@pytest.mark.parametrize("written", HALF_READ.values(), ids=HALF_READ.keys())
async def test_an_alert_that_is_no_json_wakes_for_the_ids_that_can_be_read_in_it(
    stack: Stack, written: Callable[[str], bytes]
) -> None:
    balancer = stack.topology()["services"][0]["nextHop"]["loadBalancer"]["id"]
    code, answer = await _post(stack, written(balancer))
    assert (code, answer["woken"], len(answer["unread"])) == (202, [TOPOLOGY], 1)


@in_stack
@pytest.mark.parametrize("body", ["[]", "{}", "null", '{"schemaId": "azureMonitorCommonAlertSchema", "data": []}'])
async def test_an_alert_that_names_no_resource_wakes_no_topology(stack: Stack, body: str) -> None:
    assert await stack.ask_app("POST", "/alerts", body) == (202, {"woken": []})


@in_stack
async def test_an_alert_may_be_long_and_begin_with_a_byte_order_mark(stack: Stack) -> None:
    balancer = stack.topology()["services"][0]["nextHop"]["loadBalancer"]["id"]
    alert = _alert(balancer) | {"SearchResults": "y" * 70_000}
    assert await _post(stack, b"\xef\xbb\xbf" + json.dumps(alert).encode()) == (202, {"woken": [TOPOLOGY]})


@in_stack
async def test_an_alert_is_to_be_repeated_while_storage_does_not_answer(stack: Stack) -> None:
    """503: an action group repeats that, and no 500."""
    balancer = stack.topology()["services"][0]["nextHop"]["loadBalancer"]["id"]
    turns = stack.storage / "turns" / TOPOLOGY
    turns.mkdir(parents=True, exist_ok=True)
    aside = turns.rename(stack.storage / "aside")
    turns.write_text("not a directory")
    try:
        code, _ = await stack.ask_app("POST", "/alerts", _alert(balancer))
    finally:
        turns.unlink()
        aside.rename(turns)
    assert code == 503


async def _post(stack: Stack, body: bytes) -> tuple[int, Any]:
    """An alert of exactly these bytes."""
    assert stack.session is not None
    url, key = f"{stack.host_url}/api/alerts", {"x-functions-key": keys.of_function(stack.keys, "on_alert")}
    async with stack.session.post(url, data=io.BytesIO(body), headers=key) as response:
        return response.status, await response.json()


def _alert(*targets: str) -> dict[str, Any]:
    return {"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": {"alertTargetIDs": list(targets)}}}


@in_stack
async def test_an_alert_wakes_the_topology_that_names_the_resource_however_it_is_spelled(stack: Stack) -> None:
    balancer = stack.topology()["services"][0]["nextHop"]["loadBalancer"]["id"]
    code, body = await stack.ask_app("POST", "/alerts", _alert(balancer.upper()))
    assert (code, body) == (202, {"woken": [TOPOLOGY]})


@in_stack
async def test_an_alert_about_a_resource_of_no_topology_wakes_none(stack: Stack) -> None:
    balancer = stack.topology()["services"][0]["nextHop"]["loadBalancer"]["id"]
    code, body = await stack.ask_app("POST", "/alerts", _alert(balancer + "-2", "/subscriptions/x"))
    assert (code, body) == (202, {"woken": []})


ORDERS = [
    ("explode", "{}", 404, "none of pause"),
    ("pause", '{"minutes": -1}', 400, "must be more than 0, is -1"),
    ("pause", "[]", 400, "must be a JSON object"),
    ("pause", "{", 400, "the body is not JSON"),
    ("switchover", '{"to": "nva-b"}', 409, "learning who serves"),
    ("resume", "", 409, "not paused"),
]


@in_stack
@pytest.mark.parametrize(("verb", "body", "code", "rule"), ORDERS, ids=[f"{o[0]} {o[1]}" for o in ORDERS])
async def test_an_order_is_taken_or_refused_with_the_reason(
    stack: Stack, verb: str, body: str, code: int, rule: str
) -> None:
    answered, reply = await stack.ask_app("POST", f"/topologies/{TOPOLOGY}/services/{SERVICE}/{verb}", body)
    assert answered == code
    assert rule in json.dumps(reply)


@in_stack
@pytest.mark.parametrize(
    ("path", "code"),
    [("/reports", 400), ("/alerts", 202), (f"/topologies/{TOPOLOGY}/services/{SERVICE}/pause", 400)],
)
async def test_a_body_in_chunks_is_not_taken_and_what_to_send_instead_is_said(
    stack: Stack, path: str, code: int
) -> None:
    """The platform's host passes none of it on: the report or the order would be an empty one. No alert is answered 400."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"minutes": 5}'

    assert stack.session is not None
    headers = {"x-functions-key": keys.of_path(stack.keys, "POST", path)}
    async with stack.session.post(f"{stack.host_url}/api{path}", data=chunks(), headers=headers) as response:
        assert (response.status, "Content-Length" in await response.text()) == (code, True)


@in_stack
async def test_a_pause_is_taken_shown_and_ended(stack: Stack) -> None:
    path = f"/topologies/{TOPOLOGY}/services/{SERVICE}"
    code, _ = await stack.ask_app("POST", f"{path}/pause", {"minutes": 5, "by": "ann"})
    assert code == 200
    _, status = await stack.ask_app("GET", f"/status/{TOPOLOGY}")
    assert status["services"][0]["paused"]["by"] == "ann"

    async def refused_by_name() -> bool:
        code, reply = await stack.ask_app("POST", f"/reconcile/{TOPOLOGY}")  # "pending" where another pass is running
        return (code, reply["outcome"]) == (200, "paused") and "by ann" in json.dumps(reply["reasons"])

    await _until(refused_by_name)
    code, _ = await stack.ask_app("POST", f"{path}/resume")
    assert code == 200


@in_stack
async def test_an_order_for_a_service_that_is_not_there_is_not_found(stack: Stack) -> None:
    code, reply = await stack.ask_app("POST", f"/topologies/{TOPOLOGY}/services/nothing/pause")
    assert (code, reply["error"]["problems"][0]["path"]) == (404, "service")


@in_stack
async def test_a_resource_event_below_our_route_server_makes_a_look(stack: Stack) -> None:
    hub = stack.topology()["routeServers"][0]["id"]
    event = {
        "id": "1",
        "topic": "/subscriptions/x",
        "subject": f"{hub}/bgpConnections/by-hand".replace("resourceGroups", "resourcegroups"),
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2026-01-01T03:00:00Z",
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": {"operationName": "Microsoft.Network/virtualHubs/bgpConnections/write"},
    }
    before = await stack.tell_simulator("GET", "/simulator/requests")
    assert await stack.send_event([event]) in (200, 202)

    async def looked() -> bool:
        log = await stack.tell_simulator("GET", "/simulator/requests")
        return any(r["path"].endswith("/bgpConnections") for r in log["requests"][len(before["requests"]) :])

    await _until(looked)


@in_stack
@pytest.mark.parametrize("subject", [None, 7, ["x"], {"id": "x"}, "", "/SUBSCRIPTIONS/x"])
@pytest.mark.parametrize("data", [None, 7, "x", ["x", None], {"authorization": {"scope": 7}}])
async def test_an_event_of_any_shape_is_taken_for_a_failure_would_repeat_the_batch(
    stack: Stack, subject: Any, data: Any
) -> None:
    event = {"id": "1", "topic": "/subscriptions/x", "subject": subject, "eventType": "x", "data": data}
    event |= {"eventTime": "2026-01-01T03:00:00Z", "dataVersion": "2", "metadataVersion": "1"}
    assert await stack.send_event([event]) in (200, 202)


@in_stack
async def test_a_report_signed_by_no_enrolled_agent_is_refused_and_changes_nothing(stack: Stack) -> None:
    before = _documents(stack)
    forged = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJudmEtYSIsInN1YiI6Imh1Yi1sYWIifQ."
    code, body = await stack.ask_app("POST", "/reports", forged)
    assert code in (400, 401)
    assert body["error"]
    assert _documents(stack) == before


@in_stack
@pytest.mark.parametrize("kind", ["alerts", "eventgrid"])
async def test_every_published_sample_is_answered_wakes_no_topology_and_changes_nothing(
    stack: Stack, kind: str
) -> None:
    samples = sorted((SAMPLES / kind).glob("*.json"))
    assert samples
    # Without agents the service is learned for as long as that takes, and each look is counted: not while it is paused.
    code, _ = await stack.ask_app("POST", f"/topologies/{TOPOLOGY}/services/{SERVICE}/pause", {"minutes": 5})
    assert code == 200
    await _until(lambda: _at_rest(stack))
    before, written = _documents(stack), await _writes(stack)
    for sample in samples:
        content = json.loads(sample.read_text())
        if kind == "eventgrid":
            assert await stack.send_event(content) in (200, 202), sample.name
            continue
        code, body = await stack.ask_app("POST", "/alerts", content)
        assert (code, body) == (202, {"woken": []}), (sample.name, body)
    assert (_documents(stack), await _writes(stack)) == (before, written)
    code, _ = await stack.ask_app("POST", f"/topologies/{TOPOLOGY}/services/{SERVICE}/resume")
    assert code == 200


@in_stack
async def test_a_broken_topology_leaves_the_last_good_one_in_force_and_says_why(stack: Stack) -> None:
    document = stack.storage / "topologies" / f"{TOPOLOGY}.yaml"
    good = document.read_text()
    try:
        document.write_text(good.replace("asn: 65001", "asn: 65515", 1))
        code, body = await stack.ask_app("GET", f"/status/{TOPOLOGY}")
        assert code == 200
        assert body["problems"] == [
            "$.speakers[0].asn: ASN 65515 is reserved by Azure or IANA: take one of 64512 to 65534 but 65515 and 65517 to 65520"
        ]
        code, plan = await stack.ask_app("POST", f"/reconcile/{TOPOLOGY}?dry_run=true")
        assert (code, plan["problems"]) == (200, body["problems"])
    finally:
        document.write_text(good)


async def _at_rest(stack: Stack) -> bool:
    """Both peerings are there, and one more pass changes nothing but says that it is paused: earlier tests' work is over."""
    before, written = _documents(stack), await _writes(stack)
    _, ended = await stack.ask_app("POST", f"/reconcile/{TOPOLOGY}")
    made = {each for each in written if each.startswith("PUT ") and "/bgpConnections/" in each}
    unchanged = (_documents(stack), await _writes(stack)) == (before, written)
    return unchanged and ended["outcome"] == "paused" and len(made) == len(NVAS)


async def _until(holds: Any, within: float = 15.0) -> None:
    end = time.monotonic() + within
    while not await holds():
        assert time.monotonic() < end, "not within the limit"
        await asyncio.sleep(0.05)

"""The simulator as a server: events and alerts it posts, its control API, and its command line."""

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid.aio import EventGridPublisherClient

from lab.kit.credential import authorization
from simulator.seeds import HubSeed, hub_seed
from simulator.server import Simulator, SimulatorConfig

WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
FACTOR = 400.0
PEERING = f"{WANTED.route_server_id}/bgpConnections/hopkeeper-a"
VERSION = "?api-version=2025-05-01"
BODY = {"properties": {"peerIp": "10.0.1.4", "peerAsn": 65001}}


class Receiver:
    """A subscriber that answers the handshake and then with `statuses`, keeping what it got."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.got: list[tuple[dict[str, str], Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((headers, body))
        if headers.get("aeg-event-type") == "SubscriptionValidation":
            return web.json_response({"validationResponse": body[0]["data"]["validationCode"]})
        return web.Response(status=self._statuses.pop(0) if self._statuses else 200)

    @property
    def notified(self) -> list[dict[str, Any]]:
        return [body[0] for headers, body in self.got if headers.get("aeg-event-type") == "Notification"]


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in programs that set no event
            await asyncio.sleep(0.01)


def speaking(sim: Simulator) -> aiohttp.ClientSession:
    """A client with a token."""
    return aiohttp.ClientSession(sim.url, headers=authorization())


def simulator(**options: Any) -> Simulator:
    return Simulator(SimulatorConfig(hub_seed(WANTED), time_factor=FACTOR, tls=False, **options))


async def test_a_write_and_a_delete_are_posted_to_a_validated_subscriber() -> None:
    receiver = Receiver()
    async with (
        listening(receiver) as url,
        simulator(event_subscribers=(url,)) as sim,
        speaking(sim) as session,
    ):
        await session.put(PEERING + VERSION, json=BODY)
        await until(lambda: len(receiver.notified) == 1)
        await session.delete(PEERING + VERSION)
        await until(lambda: len(receiver.notified) == 2)
    assert receiver.got[0][0]["aeg-event-type"] == "SubscriptionValidation"
    written, deleted = receiver.notified
    assert written["eventType"] == "Microsoft.Resources.ResourceWriteSuccess"
    assert written["subject"] == PEERING
    assert written["data"]["operationName"] == "Microsoft.Network/virtualHubs/bgpConnections/write"
    assert deleted["eventType"] == "Microsoft.Resources.ResourceDeleteSuccess"


async def test_a_failed_delivery_is_repeated_until_it_is_accepted() -> None:
    receiver = Receiver(503, 500, 202)
    async with (
        listening(receiver) as url,
        simulator(event_subscribers=(url,)) as sim,
        speaking(sim) as session,
    ):
        await session.put(PEERING + VERSION, json=BODY)
        await until(lambda: len(receiver.notified) == 3)
        await until(lambda: sim.event_grid.deliveries[0].state == "delivered")
        assert sim.event_grid.deliveries[0].attempts == [503, 500, 202]
    assert len({event["id"] for event in receiver.notified}) == 1


@pytest.mark.parametrize("status", [400, 401, 413])
async def test_a_refused_event_is_dead_lettered_at_once(status: int) -> None:
    receiver = Receiver(status)
    async with (
        listening(receiver) as url,
        simulator(event_subscribers=(url,)) as sim,
        speaking(sim) as session,
    ):
        await session.put(PEERING + VERSION, json=BODY)
        await until(lambda: bool(sim.event_grid.deliveries) and sim.event_grid.deliveries[0].state == "dead")
        events = await (await session.get("/simulator/events")).json()
    assert [(one["reason"], one["attempts"]) for one in events["deadLettered"]] == [
        (f"refused with {status}", [status])
    ]


async def test_an_event_may_come_more_than_once() -> None:
    receiver = Receiver()
    async with (
        listening(receiver) as url,
        simulator(event_subscribers=(url,)) as sim,
        speaking(sim) as session,
    ):
        await session.post("/simulator/faults", json={"event_copies": 3})
        await session.put(PEERING + VERSION, json=BODY)
        await until(lambda: len(receiver.notified) == 3)


async def test_a_metric_alert_is_posted_and_later_resolved() -> None:
    receiver = Receiver(503)
    probes = f"/simulator/dataplane/loadBalancers/{WANTED.load_balancer}/probes"
    async with (
        listening(receiver) as url,
        simulator(alert_webhooks=(url,)) as sim,
        speaking(sim) as session,
    ):
        await session.put(probes, json={"results": {"10.0.1.4": {"up": False}}})
        await until(lambda: len(receiver.got) == 2)  # the first is answered 503 and repeated
        await session.put(probes, json={"results": {"10.0.1.4": {"up": True}, "10.0.1.5": {"up": True}}})
        await until(lambda: len(receiver.got) == 3)
    conditions = [body["data"]["essentials"]["monitorCondition"] for _, body in receiver.got]
    assert conditions == ["Fired", "Fired", "Resolved"]
    assert receiver.got[0][1]["schemaId"] == "azureMonitorCommonAlertSchema"


async def test_the_data_plane_is_read_and_probes_are_reported() -> None:
    path = f"/simulator/dataplane/loadBalancers/{WANTED.load_balancer}"
    async with simulator() as sim, speaking(sim) as session:
        before = await (await session.get(path)).json()
        reported = {"results": {"10.0.1.4": {"up": False, "reason": "Down_Probe_HttpStatus"}}}
        after = await (await session.put(f"{path}/probes", json=reported)).json()
    assert before["frontend"] == WANTED.frontend
    assert (before["probe"]["port"], before["probe"]["requestPath"]) == (WANTED.probe.port, WANTED.probe.path)
    assert before["rules"] == [
        {
            "name": "all-ports",
            "pool": "nvas",
            "protocol": "All",
            "frontendPort": 0,
            "backendPort": 0,
            "probe": "agent",
        }
    ]
    assert [backend["probed_up"] for backend in before["pools"][0]["backends"]] == [None, None]
    assert after["pools"][0]["backends"][0] == {
        "name": "nva-a",
        "ip": "10.0.1.4",
        "admin_state": "None",
        "probed_up": False,
        "reason": "Down_Probe_HttpStatusCodeError",
    }
    assert after["version"] > before["version"]


async def test_requests_are_counted_and_control_is_not() -> None:
    async with simulator() as sim, speaking(sim) as session:
        await session.get("/simulator/world")
        await session.get(PEERING + VERSION)
        found = (await (await session.get("/simulator/requests")).json())["requests"]
        newer = (await (await session.get("/simulator/requests?since=1")).json())["requests"]
    assert [(one["method"], one["path"], one["status"]) for one in found] == [("GET", PEERING, 404)]
    assert newer == []


async def test_routes_can_be_set_without_bgp() -> None:
    given = {
        "instance": WANTED.instances[0],
        "peer": "10.0.1.4",
        "routes": [{"network": "0.0.0.0/0", "nextHop": "10.0.1.100", "asPath": [65001]}],
    }
    async with simulator() as sim, speaking(sim) as session:
        await session.put("/simulator/bgp/routes", json=given)
        first = (await (await session.get("/simulator/bgp")).json())["instances"][0]
        await session.put("/simulator/bgp/routes", json={**given, "routes": []})
        second = (await (await session.get("/simulator/bgp")).json())["instances"][0]
    assert [(route["network"], route["nextHop"], route["asPath"]) for route in first["routes"]] == [
        ("0.0.0.0/0", "10.0.1.100", [65001])
    ]
    assert second["routes"] == []
    assert second["counts"] == [{"peer": "10.0.1.4", "network": "0.0.0.0/0", "updates": 1, "withdrawals": 1}]


async def test_a_resource_can_be_put_from_nowhere_without_an_event() -> None:
    foreign = {"id": f"{WANTED.route_server_id}/bgpConnections/theirs", "properties": dict(BODY["properties"])}
    async with simulator() as sim, speaking(sim) as session:
        assert (await session.put("/simulator/resources", json=foreign)).status == 200
        read = await (await session.get(str(foreign["id"]) + VERSION)).json()
        world = await (await session.get("/simulator/world")).json()
        events = await (await session.get("/simulator/events")).json()
    assert read["properties"]["provisioningState"] == "Succeeded"
    assert [peer["peerIp"] for peer in world["peerings"]] == ["10.0.1.4"]
    assert events["published"] == []


async def test_another_client_can_use_up_the_tokens() -> None:
    async with simulator() as sim, speaking(sim) as session:
        await session.get(PEERING + VERSION)
        sim.world.throttle.drain(WANTED.subscription, "writes", sim.world.now + timedelta(hours=1))
        refused = await session.put(PEERING + VERSION, json=BODY)
        assert refused.status == 429
        assert 3590 <= int(refused.headers["Retry-After"]) <= 3601
        assert (await session.get(PEERING + VERSION)).status == 404


async def test_a_health_event_can_be_noted() -> None:
    query = {"query": "ALBHealthEvent | project HealthEventType, Severity, FrontendIP", "timespan": "PT5M"}
    event = {"loadBalancer": WANTED.load_balancer, "type": "DataPathAvailabilityWarning"}
    async with simulator() as sim, speaking(sim) as session:
        await session.post("/simulator/healthEvents", json=event)
        found = await (await session.post("/v1/workspaces/any/query", json=query)).json()
    assert found["tables"][0]["rows"] == [["DataPathAvailabilityWarning", "Warning", WANTED.frontend]]


async def test_monitor_can_be_down_while_the_management_api_is_not() -> None:
    async with simulator() as sim, speaking(sim) as session:
        await session.post("/simulator/faults", json={"monitor": "refuse"})
        assert (await session.post("/v1/workspaces/any/query", json={})).status == 503
        batch = f"/subscriptions/{WANTED.subscription}/metrics:getBatch"
        assert (await session.post(batch, json={})).status == 503
        assert (await session.get(WANTED.route_server_id + VERSION)).status == 200


BALANCER = f"/simulator/dataplane/loadBalancers/{WANTED.load_balancer}"
ROUTE = {"network": "0.0.0.0/0", "nextHop": "10.0.1.100"}
ENDS = {"instance": WANTED.instances[0], "peer": "10.0.1.4"}
STATES = "ok, refuse, throttle, hang, lose_reply"


@pytest.mark.parametrize(
    ("call", "body", "said"),
    [
        ("POST /simulator/faults", {"arm": "perhaps"}, f"arm cannot be 'perhaps', only {STATES}"),
        ("POST /simulator/faults", {"propagation": -1}, "propagation cannot be -1, only a number from 0 on"),
        ("POST /simulator/faults", {"null_routes": 1}, "null_routes cannot be 1, only true or false"),
        ("POST /simulator/faults", [], "the body must be a JSON object"),
        ("GET /simulator/dataplane/loadBalancers/lb", None, "no load balancer is called 'lb'; there is lb-nva"),
        (f"PUT {BALANCER}/probes", {"result": {}}, "'result' is not a key of the body; there is results"),
        (f"PUT {BALANCER}/probes", {}, "the body lacks 'results'"),
        (f"PUT {BALANCER}/probes", {"results": {"10.0.1.4": {"up": 1}}}, "up cannot be 1, only true or false"),
        (
            f"PUT {BALANCER}/probes",
            {"results": {"10.0.1.4": {"up": True, "why": ""}}},
            "'why' is not a key of the result of 10.0.1.4; there is up, reason",
        ),
        (
            f"PUT {BALANCER}/probes?probe=p",
            {"results": {}},
            "lb-nva has no probe that is called 'p'; there is agent",
        ),
        ("POST /simulator/events/subscribers", {}, "the body lacks 'url'"),
        (
            "PUT /simulator/bgp/routes",
            {**ENDS, "instance": "10.0.0.9"},
            "'10.0.0.9' is not an instance of a Route Server; there is 10.0.0.4, 10.0.0.5",
        ),
        (
            "PUT /simulator/bgp/routes",
            {**ENDS, "routes": [{**ROUTE, "aspath": []}]},
            "'aspath' is not a key of a route; there is network, nextHop, asPath",
        ),
        ("PUT /simulator/bgp/routes", {**ENDS, "established": "no"}, "established cannot be 'no', only true or false"),
        ("POST /simulator/bgp/instances/10.0.0.4", {"running": False}, "the simulator runs without BGP"),
        ("PUT /simulator/resources", {}, "the body lacks 'id'"),
        (
            "POST /simulator/throttle",
            {"subscription": "s", "kind": "write"},
            "'write' is not a kind of requests; there is reads, writes, deletes",
        ),
        ("POST /simulator/healthEvents", {"loadBalancer": "lb-nva"}, "the body lacks 'type'"),
    ],
)
async def test_what_the_control_api_does_not_know_is_400_with_what_there_is(call: str, body: Any, said: str) -> None:
    method, path = call.split(" ")
    async with simulator() as sim, speaking(sim) as session:
        answer = await session.request(method, path, json=body)
        assert (answer.status, (await answer.json())["error"]) == (400, said)


async def test_a_path_that_the_control_api_does_not_have_is_404_with_those_that_it_has() -> None:
    async with simulator() as sim, speaking(sim) as session:
        answer = await session.post("/simulator/world")
        found = await answer.json()
    assert (answer.status, found["error"]) == (404, "nothing at POST /simulator/world")
    assert "GET /simulator/world" in found["there"]


async def test_a_hanging_request_does_not_keep_the_simulator_from_ending() -> None:
    async with simulator() as sim, speaking(sim) as session:
        await session.post("/simulator/faults", json={"arm": "hang"})
        waiting = asyncio.create_task(session.get(PEERING + VERSION))
        await asyncio.wait([waiting], timeout=0.1)
        assert not waiting.done()
    with pytest.raises(aiohttp.ClientError):
        await asyncio.wait_for(waiting, 5)


async def test_az_finds_where_to_log_in_and_gets_a_token() -> None:
    async with simulator() as sim, speaking(sim) as session:
        found = await (await session.get("/my-tenant/v2.0/.well-known/openid-configuration")).json()
        token = await (await session.post(found["token_endpoint"], data={"grant_type": "client_credentials"})).json()
        subscriptions = await (await session.get("/subscriptions?api-version=2022-12-01")).json()
    assert token["token_type"] == "Bearer"
    assert token["access_token"].count(".") == 2
    assert [one["subscriptionId"] for one in subscriptions["value"]] == [WANTED.subscription]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/topics/hopkeeper/api/events", {"Content-Type": "text/plain"}, 400),
        ("GET", "/msi/token", {}, 401),
        ("GET", "/msi/token", {"X-IDENTITY-HEADER": "x"}, 400),
        ("GET", WANTED.route_server_id + VERSION, {"Authorization": ""}, 401),
        ("POST", "/v1/workspaces/any/query", {"Authorization": ""}, 401),
        ("POST", f"/subscriptions/{WANTED.subscription}/metrics:getBatch", {"Authorization": ""}, 401),
    ],
)
async def test_a_refusal_says_that_it_is_json(method: str, path: str, headers: dict[str, str], status: int) -> None:
    async with simulator() as sim, speaking(sim) as session:
        answer = await session.request(method, path, headers=headers)
        assert (answer.status, answer.content_type) == (status, "application/json")
        assert await answer.json()


async def test_a_publisher_reads_why_its_event_is_refused() -> None:
    event = CloudEvent(source="/hopkeeper", type="Hopkeeper.Promoted")
    event.id = ""
    async with (
        simulator() as sim,
        EventGridPublisherClient(f"{sim.url}/topics/t/api/events", AzureKeyCredential("k"), retry_total=0) as client,
    ):
        with pytest.raises(HttpResponseError, match="a CloudEvent without id"):
            await client.send([event])


async def test_the_command_line_serves_over_tls_and_ends_on_sigterm(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps(hub_seed(WANTED)))
    arguments = ("-m", "simulator", "--seed", str(seed), "--state", str(tmp_path), "--time-factor", "40")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2], env=dict(os.environ)
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().split()
        assert line[0] == "ready"
        assert line[1].startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(line[1], connector=connector) as session:
            world = await (await session.get("/simulator/world")).json()
        assert world["timeFactor"] == 40
    finally:
        process.send_signal(signal.SIGTERM)
        _, status = await asyncio.wait_for(asyncio.gather(process.communicate(), process.wait()), 10)
    assert status == 0

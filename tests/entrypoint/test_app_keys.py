"""Whose key opens what: each party of the stack has the key that it has in Azure, and it opens nothing else."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from lab import keys
from lab.stack import NVAS, SERVICE, TOPOLOGY, Stack

CALLS = {
    "on_report": ("POST", "/api/reports"),
    "on_alert": ("POST", "/api/alerts"),
    "order": ("POST", f"/api/topologies/{TOPOLOGY}/services/{SERVICE}/explode"),
    "reconcile": ("POST", f"/api/reconcile/{TOPOLOGY}?dry_run=true"),
    "status": ("GET", "/api/status"),
    "topologies": ("GET", "/api/topologies"),
    "topology": ("GET", f"/api/topologies/{TOPOLOGY}"),
    "history": ("GET", f"/api/topologies/{TOPOLOGY}/services/{SERVICE}/history"),
    "explain": ("GET", f"/api/topologies/{TOPOLOGY}/services/{SERVICE}/explain"),
    "plan": ("GET", f"/api/topologies/{TOPOLOGY}/plan"),
    "verify": ("GET", f"/api/topologies/{TOPOLOGY}/verify?fresh=x"),
    "events": ("GET", f"/api/topologies/{TOPOLOGY}/events"),
    "openapi": ("GET", "/api/openapi.json"),
    "diff": ("POST", f"/api/topologies/{TOPOLOGY}/diff"),
    "plan_document": ("POST", "/api/plan"),
    "lint_document": ("POST", "/api/lint?azure=false"),
    "apply": ("PUT", f"/api/topologies/{TOPOLOGY}"),
    "remove": ("DELETE", f"/api/topologies/{TOPOLOGY}"),
    "lint": ("GET", f"/api/topologies/{TOPOLOGY}/lint"),
    "Event Grid's webhook": ("POST", "/runtime/webhooks/EventGrid?functionName=on_resource_event"),
    "the platform's API": ("GET", "/admin/functions"),
}
"""One call of everything that wants a key."""
CLOSED = (401, 403)  # a key that is none; a good one of another kind, at the platform's own doors


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[Stack]:
    """Simulator and app without NVAs, and a sweep that never comes."""
    async with Stack.make() as made:
        made.sweep = "0 0 0 1 1 *"
        await made.up(with_nvas=False)
        yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


def _code(url: str) -> str:
    return parse_qs(urlsplit(url).query)["code"][0]


def _held(stack: Stack) -> dict[str, str]:
    """By party the key that it was handed."""
    operator = {f"operator: {name}": keys.of_function(stack.keys, name) for name in sorted(keys.OPERATING)}
    return {
        "agent": (stack.directory / "report.key").read_text(),
        "action group": _code(stack.alert_webhook),
        "Event Grid": _code(stack.event_webhook),
        "administrator": stack.keys["master"],
        "operator: reads": keys.of_role(stack.keys, keys.READ),
        "operator: everything": keys.of_role(stack.keys, keys.OPERATE),
        **operator,
    }


async def _opened(stack: Stack, key: str) -> set[str]:
    assert stack.session is not None
    found = set()
    for name, (method, path) in CALLS.items():
        headers = {"x-functions-key": key}
        async with stack.session.request(method, stack.host_url + path, headers=headers) as response:
            if response.status not in CLOSED:
                found.add(name)
    return found


async def test_each_partys_key_opens_what_it_calls_and_nothing_else(stack: Stack) -> None:
    opened = {party: await _opened(stack, key) for party, key in _held(stack).items()}
    assert opened == {
        "agent": {"on_report"},
        "action group": {"on_alert"},
        "Event Grid": {"Event Grid's webhook"},
        "administrator": set(CALLS),
        "operator: reads": set(keys.READING),
        "operator: everything": set(keys.OPERATING),
        **{f"operator: {name}": {name} for name in keys.OPERATING},
    }


async def test_the_key_that_opens_every_function_is_the_hosts_alone(stack: Stack) -> None:
    wide = json.loads((stack.directory / "keys.json").read_text())["functions"]["default"]
    assert await _opened(stack, wide) == set(CALLS) - {"Event Grid's webhook", "the platform's API"}
    assert wide not in json.dumps(stack.keys) + json.dumps(_held(stack)) + json.dumps(stack.app_environment())
    files = [path for path in stack.directory.rglob("*") if path.is_file() and path.name != "keys.json"]
    assert [path for path in files if wide.encode() in path.read_bytes()] == []


async def test_an_alert_that_fires_in_azure_is_taken_with_the_key_of_its_function(stack: Stack) -> None:
    backends = {stack.nva_address(name): {"up": False} for name in NVAS}
    await stack.tell_simulator("PUT", "/simulator/dataplane/loadBalancers/lb-nva/probes", {"results": backends})
    end = time.monotonic() + 30
    while not (posted := (await stack.tell_simulator("GET", "/simulator/events"))["alertDeliveries"]):
        assert time.monotonic() < end, "no alert was posted"
        await asyncio.sleep(0.1)
    while posted[0]["state"] == "pending":
        assert time.monotonic() < end, posted
        await asyncio.sleep(0.1)
        posted = (await stack.tell_simulator("GET", "/simulator/events"))["alertDeliveries"]
    assert (posted[0]["state"], posted[0]["url"]) == ("delivered", stack.alert_webhook)

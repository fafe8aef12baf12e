"""Answers of ARM in another shape than the SDK or we read: unavailable, with which it was, and never a fault of the pass."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.load_balancer import AdminStatesOverArm, LoadBalancersOverArm
from function_app.adapters.arm.route_server import RouteServersOverArm
from function_app.adapters.arm.scale_sets import ScaleSetsOverArm
from function_app.adapters.arm.surroundings import SurroundingsOverArm
from function_app.domain.base.errors import Unavailable
from tests.contract.adapters_azure import NVA_A, SERVER, SPEAKERS, fake_arm, service
from tests.contract.test_adapters_azure_scale_sets import FLEET

PROBED = timedelta(seconds=5)

READS: dict[str, Callable[[Azure], Awaitable[Any]]] = {
    "reading Route Server rs-hub": lambda azure: RouteServersOverArm(azure).read(SERVER),
    "listing the instances of scale set fleet": lambda azure: ScaleSetsOverArm(azure).instances(FLEET),
    "reading the load balancer of fw": lambda azure: LoadBalancersOverArm(azure).read(service(), SPEAKERS, PROBED),
    "reading nva-a in the pool of fw": lambda azure: AdminStatesOverArm(azure).look(service(), NVA_A),
    "reading the load balancer of fw, for preflight": lambda azure: SurroundingsOverArm(azure).balancer(service()),
}
POOL = {"name": "nvas", "etag": '"1"', "properties": {"loadBalancerBackendAddresses": [None]}}
RULES = {"name": "lb", "etag": '"1"', "properties": {"loadBalancingRules": [None], "backendAddressPools": [POOL]}}
LISTS: dict[str, Any] = {
    "a null among the rows": {"value": [None]},
    "a null for the list": {"value": None},
    "an AS that is no number": {"value": [{"name": "x", "properties": {"peerIp": "10.9.9.9", "peerAsn": "1.1"}}]},
    "properties that are a text": {"value": [{"name": "x", "properties": "none"}]},
    "no list at all": {},
    "a list under another name": {"items": []},
    "an error for an answer": {"error": {"code": "Busy", "message": "later"}},
    "an object for the list": {"value": {}},
    "a second page without one": {"value": [], "nextLink": "/second"},
}


async def complaint(directory: Path, what: str, body: Callable[[str], Any]) -> str:
    """Of the answer that `body` gives to a path, why it is none."""

    async def answer(request: web.Request) -> web.Response:
        found = body(request.path)
        if isinstance(found, dict) and "nextLink" in found:
            found = found | {"nextLink": str(request.url.with_path(found["nextLink"]))}
        return web.json_response(found)

    async with fake_arm(answer, directory) as azure:
        with pytest.raises(Unavailable, match=f"^{what.partition(',')[0]}: the answer cannot be read") as caught:
            await READS[what](azure)
    return str(caught.value)


@pytest.mark.parametrize("odd", [*LISTS, "a list for the Route Server"])
async def test_a_list_of_peerings_is_whole_or_is_not(tmp_path: Path, odd: str) -> None:
    def body(path: str) -> Any:
        if path.endswith("/bgpConnections"):
            return LISTS.get(odd, {"value": []})
        return [] if odd not in LISTS else {} if path == "/second" else {"name": "rs-hub", "properties": {}}

    await complaint(tmp_path, "reading Route Server rs-hub", body)


@pytest.mark.parametrize("odd", [odd for odd in LISTS if odd != "an AS that is no number"])
async def test_a_list_of_instances_is_whole_or_is_not(tmp_path: Path, odd: str) -> None:
    """An empty one says that all are gone, and their peerings with them."""
    await complaint(
        tmp_path, "listing the instances of scale set fleet", lambda path: {} if path == "/second" else LISTS[odd]
    )


@pytest.mark.parametrize(
    ("pool", "balancer", "named"),
    [
        ([None], {}, r"\$.properties.loadBalancerBackendAddresses\[0\] is null"),
        (["x"], {}, "x"),
        ([], {"loadBalancingRules": [None]}, r"\$.properties.loadBalancingRules\[0\] is null"),
        ([], {"frontendIPConfigurations": [{"name": "fe", "properties": "odd"}]}, "the properties of fe are 'odd'"),
        ([], {"loadBalancingRules": 7}, "loadBalancingRules is no list: 7"),
        ([], {"backendAddressPools": {"name": "nvas"}}, "backendAddressPools is no list: {'name': 'nvas'}"),
        (7, {}, "loadBalancerBackendAddresses is no list: 7"),
    ],
)
async def test_what_of_a_load_balancer_cannot_be_read_is_named(
    tmp_path: Path, pool: Any, balancer: dict[str, Any], named: str
) -> None:
    listed = {"name": "nvas", "etag": '"1"', "properties": {"loadBalancerBackendAddresses": pool}}
    document = {"name": "lb", "etag": '"1"', "properties": balancer}

    def body(path: str) -> Any:
        return listed if "/backendAddressPools/" in path else document

    assert re.search(named, await complaint(tmp_path, "reading the load balancer of fw", body))


@pytest.mark.parametrize("what", list(READS))
@pytest.mark.parametrize("odd", [LISTS["a null among the rows"], []], ids=["a null row", "a list for an object"])
async def test_whatever_is_read_an_odd_answer_is_none(tmp_path: Path, what: str, odd: Any) -> None:
    def body(path: str) -> Any:
        if path.endswith(("/bgpConnections", "/networkInterfaces")):
            return odd
        if not odd:
            return odd
        return POOL if "/backendAddressPools/" in path else RULES

    await complaint(tmp_path, what, body)

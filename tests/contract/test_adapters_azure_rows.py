"""Rows of ARM's long answers: one that cannot be read is named and never voids the others, and an answer of which
nothing can be read is dropped, said, and requested again in its time.

The advertised rows are a public capture of a Route Server (fabferri/az-pattern, route-server/basic-rs-frr-cloud-init):
every key that ARM gave is there, and no `sourcePeer`.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from function_app.adapters.arm import effective_routes, learned_routes
from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.effective_routes import EffectiveRoutesOverArm
from function_app.adapters.arm.learned_routes import AdvertisedRoutesOverArm, LearnedRoutesOverArm
from function_app.domain.base.errors import Unusable
from function_app.domain.routes.effective import EffectiveRoute
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.reconcile.documents.evidence import evidence_document
from function_app.reconcile.routes.evidence import gather_evidence
from function_app.views.evidence import learned as listed
from function_app.views.evidence import table
from tests.builders import NOW, SUB, document, text
from tests.contract.adapters_azure import SERVER, fake_arm, refusal
from tests.fakes import FakeQuestions
from tests.unit.reconcile.scene import Scene

NAME = "hopkeeper-hub_nva-a"
NIC = f"{SUB}/networkInterfaces/nva-a-nic"
CAPTURED = {
    "RouteServiceRole_IN_0": [
        {
            "asPath": "65515",
            "localAddress": "10.10.1.5",
            "network": "10.10.0.0/16",
            "nextHop": "10.10.1.5",
            "origin": "Igp",
            "weight": 0,
        }
    ],
    "RouteServiceRole_IN_1": [
        {
            "asPath": "65515",
            "localAddress": "10.10.1.4",
            "network": "10.10.0.0/16",
            "nextHop": "10.10.1.4",
            "origin": "Igp",
            "weight": 0,
        }
    ],
}
ROW = {
    "localAddress": "10.0.2.4",
    "network": "0.0.0.0/0",
    "nextHop": "10.0.1.100",
    "sourcePeer": "10.0.1.4",
    "origin": "EBgp",
    "asPath": "65001-65001",
    "weight": 32768,
}
OTHER = ROW | {"network": "10.9.0.0/16"}
EFFECTIVE = {
    "name": None,
    "disableBgpRoutePropagation": False,
    "source": "VirtualNetworkGateway",
    "state": "Active",
    "addressPrefix": ["0.0.0.0/0"],
    "nextHopIpAddress": ["10.0.1.100"],
    "nextHopType": "VirtualNetworkGateway",
}


class Arm:
    """Takes every request, and answers each with `body`; counts them."""

    def __init__(self, body: Any) -> None:
        self.body = body
        self.posts: list[str] = []
        self.gets: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            self.posts.append(request.path)
            where = str(request.url.with_path(f"/subscriptions/s/operationResults/{len(self.posts)}"))
            return web.json_response(None, status=202, headers={"Location": where})
        self.gets.append(request.path)
        if isinstance(self.body, web.Response):
            return web.Response(
                status=self.body.status, body=self.body.body, content_type="application/json", charset="utf-8"
            )
        return web.json_response(self.body)


async def answered(tmp_path: Path, body: Any, adapter: Callable[[Azure], Any] = LearnedRoutesOverArm) -> Any:
    async with fake_arm(Arm(body).answer, tmp_path) as azure:
        routes = adapter(azure)
        token = await (routes.ask(NIC) if adapter is EffectiveRoutesOverArm else routes.ask(SERVER, NAME))
        return await routes.fetch(token)


def read(found: Any) -> list[Any]:
    return [each for each in found if isinstance(each, LearnedRoute | EffectiveRoute)]


def said(found: Any) -> list[str]:
    return [each.said for each in found if not isinstance(each, LearnedRoute | EffectiveRoute)]


# --- one row ----------------------------------------------------------------------------------------------------------


async def test_advertised_routes_as_a_real_route_server_answers_them_are_read(tmp_path: Path) -> None:
    found = await answered(tmp_path, CAPTURED, AdvertisedRoutesOverArm)
    assert [(str(r.instance), str(r.network), str(r.next_hop), r.as_path, r.source_peer) for r in found] == [
        (own, "10.10.0.0/16", own, (65515,), None) for own in ("10.10.1.5", "10.10.1.4")
    ]


ODD: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("AS_SET", {"asPath": "65001-{65002,65003}"}, {"as_path": (65001, frozenset({65002, 65003}))}, ""),
    ("spaces", {"asPath": "65001 65001"}, {"as_path": (65001, 65001)}, ""),
    ("spaces in a set", {"asPath": "65001 {65002 65003}"}, {"as_path": (65001, frozenset({65002, 65003}))}, ""),
    ("a path of one, as a number", {"asPath": 65001}, {"as_path": (65001,)}, ""),
    ("empty path", {"asPath": ""}, {"as_path": ()}, ""),
    ("null path", {"asPath": None}, {"as_path": None}, ""),
    ("no path", {"asPath": "x"}, {"as_path": None}, "asPath of 0.0.0.0/0: 'x' is no AS number"),
    ("broken set", {"asPath": "65001-{65002"}, {"as_path": None}, "asPath of 0.0.0.0/0"),
    ("null next hop", {"nextHop": None}, {"next_hop": None}, ""),
    ("empty next hop", {"nextHop": ""}, {"next_hop": None}, ""),
    ("IPv6 next hop", {"nextHop": "fd00::1"}, {"next_hop": None}, "nextHop of 0.0.0.0/0"),
    ("null peer", {"sourcePeer": None}, {"source_peer": None}, ""),
    ("empty peer", {"sourcePeer": ""}, {"source_peer": None}, ""),
    ("no peer", {"sourcePeer": ["x"]}, {"source_peer": None}, "sourcePeer of 0.0.0.0/0"),
    ("host bits", {"network": "10.0.0.5/24"}, {"network": IPv4Network("10.0.0.0/24")}, ""),
]


@pytest.mark.parametrize(("change", "wanted", "named"), [o[1:] for o in ODD], ids=[o[0] for o in ODD])
async def test_a_row_counts_with_what_of_it_can_be_read(
    tmp_path: Path, change: dict[str, Any], wanted: dict[str, Any], named: str
) -> None:
    found = await answered(tmp_path, {"RouteServiceRole_IN_0": [ROW | change, OTHER], "RouteServiceRole_IN_1": None})
    route = LearnedRoute(
        IPv4Address("10.0.2.4"),
        IPv4Network("0.0.0.0/0"),
        IPv4Address("10.0.1.100"),
        (65001, 65001),
        IPv4Address("10.0.1.4"),
    )
    assert read(found) == [replace(route, **wanted), replace(route, network=IPv4Network("10.9.0.0/16"))]
    assert len(said(found)) == bool(named)
    assert all(named in each for each in said(found))


UNREADABLE: list[Any] = [
    None, 7, "x", [], {}, ROW | {"network": None}, ROW | {"network": "x"}, ROW | {"localAddress": ""},
    ROW | {"localAddress": "fd00::4"}, {k: v for k, v in ROW.items() if k != "localAddress"},
]  # fmt: skip


@pytest.mark.parametrize("row", UNREADABLE, ids=str)
async def test_a_row_that_cannot_be_read_is_named_and_the_others_count(tmp_path: Path, row: Any) -> None:
    found = await answered(tmp_path, {"RouteServiceRole_IN_0": [row, OTHER], "RouteServiceRole_IN_1": [OTHER]})
    assert len(read(found)) == 2
    assert len(said(found)) == 1
    assert len(said(found)[0]) <= 160


async def test_a_role_that_is_no_list_is_named(tmp_path: Path) -> None:
    found = await answered(tmp_path, {"RouteServiceRole_IN_0": "none", "RouteServiceRole_IN_1": [OTHER]})
    assert (len(read(found)), said(found)) == (1, ["RouteServiceRole_IN_0: none"])


async def test_ipv6_is_left_out_for_a_topology_has_none(tmp_path: Path) -> None:
    found = await answered(tmp_path, {"RouteServiceRole_IN_0": [ROW | {"network": "fd00::/8"}, OTHER]})
    assert (len(read(found)), said(found)) == (1, [])
    rows = [EFFECTIVE | {"addressPrefix": ["fd00::/8", "10.9.0.0/16"], "nextHopIpAddress": ["fd00::1", "10.0.1.9"]}]
    (route,) = await answered(tmp_path, {"value": rows}, EffectiveRoutesOverArm)
    assert (str(route.network), route.next_hops) == ("10.9.0.0/16", (IPv4Address("10.0.1.9"),))


@pytest.mark.parametrize("name", EFFECTIVE)
@pytest.mark.parametrize("how", ["missing", "null", "empty"])
async def test_an_effective_route_may_lack_any_key_and_the_others_count(tmp_path: Path, name: str, how: str) -> None:
    changed = {k: v for k, v in EFFECTIVE.items() if k != name}
    if how != "missing":
        changed[name] = None if how == "null" else [] if isinstance(EFFECTIVE[name], list) else ""
    found = await answered(tmp_path, {"value": [changed, None, EFFECTIVE]}, EffectiveRoutesOverArm)
    assert read(found)[-1].next_hops == (IPv4Address("10.0.1.100"),)
    assert all(route.active for route in read(found))
    assert said(found) == ["None"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["10.0.0.0/8", "10.0.0.4", "::"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*ROW, *EFFECTIVE, "value"]), inner),
    max_leaves=20,
)


@given(JSON)
@settings(suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("reader", [learned_routes.routes, effective_routes._routes])
def test_whatever_arm_answers_is_read_or_named_or_of_no_use(reader: Callable[[object], Any], body: Any) -> None:
    """And never Transient: to keep the token would read the same again."""
    with suppress(Unusable):
        for each in reader(body):
            assert read([each]) or said([each])


# --- a whole answer ---------------------------------------------------------------------------------------------------

USELESS: list[tuple[str, Any]] = [
    ("no object", ["x"]),
    ("null", None),
    ("not one row", {"RouteServiceRole_IN_0": [{}, None]}),
    ("no JSON", web.Response(body=b"<html>")),
    ("failed", {"status": "Failed", "error": {"code": "InternalServerError", "message": "sorry"}}),
]


@asynccontextmanager
async def scene_over(arm: Arm, tmp_path: Path) -> AsyncIterator[Scene]:
    """A topology at rest with one speaker's learned routes to ask for over ARM."""
    async with fake_arm(arm.answer, tmp_path) as azure:
        scene = Scene(desired=decode(text(document(1)), Place()))
        scene.ports = replace(
            scene.ports, learned_routes=LearnedRoutesOverArm(azure), advertised_routes=AdvertisedRoutesOverArm(azure)
        )
        yield scene


@pytest.mark.parametrize("body", [u[1] for u in USELESS], ids=[u[0] for u in USELESS])
async def test_an_answer_that_is_of_no_use_is_read_once_and_requested_again_in_its_time(
    tmp_path: Path, body: Any
) -> None:
    arm = Arm(body)
    async with scene_over(arm, tmp_path) as scene:
        for _ in range(12):
            await scene.slow()
        assert (len(arm.posts), len(arm.gets)) == (2, 2), "one question about learned routes, one about advertised ones"
        routes = json.loads(scene.documents.stored["status/hub.json"].body)["routes"]
        assert [each.partition(":")[0] for each in routes["trouble"]] == ["advertised rs/nva-a", "learned rs/nva-a"]
        scene.clock.at += scene.topology.timing.verify_every
        for _ in range(12):
            await scene.slow()
        assert (len(arm.posts), len(arm.gets)) == (4, 4)


async def test_a_question_that_arm_refuses_to_tell_of_is_given_up_when_a_good_answer_would_be_old(
    tmp_path: Path,
) -> None:
    """403, throttled for ever, ...: time may cure it, but the token is not kept beyond what an answer is good for."""
    arm = Arm(refusal(403, "AuthorizationFailed"))
    async with scene_over(arm, tmp_path) as scene:
        for _ in range(4):
            await scene.slow()
        posted = len(arm.posts)
        scene.clock.at += scene.topology.timing.verify_every
        for _ in range(4):
            await scene.slow()
        assert len(arm.posts) > posted


async def test_what_cannot_be_read_is_named_and_what_can_is_sound(tmp_path: Path) -> None:
    """By the rule of ADR 15: what a skipped row hides of the topology is missed by itself."""
    good = [ROW | {"localAddress": address, "asPath": "65001"} for address in ("10.0.2.4", "10.0.2.5")]
    arm = Arm({"RouteServiceRole_IN_0": [*good, None], "RouteServiceRole_IN_1": None})
    async with scene_over(arm, tmp_path) as scene:
        scene.ports = replace(scene.ports, advertised_routes=FakeQuestions())
        await scene.settle()
        scene.clock.at += scene.topology.timing.verify_every * 2
        evidence = await gather_evidence(scene.ports, scene.topology, fresh=True)
        assert evidence.sound
        line = "  learned rs/nva-a: 1 of its rows and values could not be read, the first: None"
        assert line in list(table(evidence_document("hub", evidence, NOW), NOW))
        del good[1]["nextHop"], good[1]["sourcePeer"], good[1]["asPath"]
        arm.body = {"RouteServiceRole_IN_0": good}
        scene.clock.at += scene.topology.timing.verify_every * 2
        evidence = await gather_evidence(scene.ports, scene.topology, fresh=True)
        assert [f.sentence for f in evidence.findings] == [
            "0.0.0.0/0 from nva-a on rs has no next hop that could be read, so not 10.0.1.100 for certain "
            "(instance 10.0.2.5)"
        ]
        assert [line.split() for line in listed(evidence_document("hub", evidence, NOW))][-1] == [
            "10.0.2.5",
            "0.0.0.0/0",
            "rs/nva-a",
        ]
        arm.body = {"RouteServiceRole_IN_0": good[:1]}
        scene.clock.at += scene.topology.timing.verify_every * 2
        evidence = await gather_evidence(scene.ports, scene.topology, fresh=True)
        assert not evidence.sound

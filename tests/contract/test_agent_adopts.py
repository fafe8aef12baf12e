"""An agent that is commanded to announce what the operator's own BIRD or FRR announces already: taken over where it stands.

The operator's configuration is the field's: one session with each instance, a network of his own, its next hop set on the
way out. What counts is what the instances see: no session that ends, no withdrawal, and no other route than the one they
have, until something else is commanded.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hopkeeper_agent.agent import Agent
from hopkeeper_agent.speakers.bird import RECONFIGURED
from hopkeeper_agent.speakers.bird_text import answer, is_whole
from hopkeeper_agent.speakers.control_socket import ControlSocket

from tests.contract.test_agent_daemons import LONG, OWN, Site, path, received, states
from tests.unit.agent.bgp_wire import Route, WirePeer
from tests.unit.agent.daemons import MISSING, RealBird, RealFrr, real_daemon
from tests.unit.agent.stage import SERVICE, Member, advertise, fresh_address, new_signer, until

PREFIX = "192.168.0.0/16"
FRONTEND = "10.0.1.100"
AS_IT_WAS = {PREFIX: Route(FRONTEND, path(0))}
SETTLED = 0.6
"""Seconds after which nothing more comes of an order: FRR batches for a second after a session came up, else for 50 ms."""

BIRDS_OWN = f"""
protocol static mine {{ ipv4; route {PREFIX} blackhole; }}
filter own_out {{
    if proto = "mine" then {{ bgp_next_hop = {FRONTEND}; accept; }}
    reject;
}}
"""
BIRD_TAKEN_OVER = f"""
protocol static mine {{ ipv4; route {PREFIX} blackhole; }}
protocol pipe hopkeeper_above {{
    table hopkeeper4; peer table master4; import none;
    export filter {{ preference = 210; accept; }};
}}
filter own_out {{
    if proto = "hopkeeper_routes" then {{ bgp_next_hop = bgp_next_hop; accept; }}
    if proto = "mine" then {{ bgp_next_hop = {FRONTEND}; accept; }}
    reject;
}}
"""
MINE = re.compile(r"(?m)^protocol static mine .*\n|^ +if proto = .mine. .*\n")


def frr(site: Site, network: str, neighbour: str = "") -> None:
    """His `network` statement, and what he adds to a neighbour."""
    assert isinstance(site.daemon, RealFrr)
    lines = f"route-map own permit 10\n set ip next-hop {FRONTEND}\nrouter bgp {OWN}\n address-family ipv4 unicast\n"
    lines += network + "".join(f"  neighbor {peer} {neighbour}\n" for peer in site.instances if neighbour)
    site.daemon.write(lines)


def bird(site: Site, own: str) -> None:
    """His part around `own`: the sessions export the main table, and the agent's file is there only where it is used."""
    assert isinstance(site.daemon, RealBird)
    site.daemon.write()
    text = site.daemon.configuration.read_text().replace("        table hopkeeper4;\n", "")
    include = re.search(r"(?m)^include .*\n", text)
    assert include is not None
    head = include[0] if "hopkeeper" in own else ""
    text = text.replace(include[0], f"{head}{own}").replace("export filter hopkeeper_export;", "export filter own_out;")
    site.daemon.configuration.write_text(text)


async def edited(site: Site, own: str) -> None:
    """As he edits bird.conf and runs `birdc configure`."""
    bird(site, own)
    line = await ControlSocket.open(site.daemon.folder / "ctl")
    await line.greeting(is_whole)
    said = answer(await line.ask(b"configure\n", is_whole))
    line.close()
    assert said.code in RECONFIGURED, said.lines


@pytest.fixture(params=["frr", "frr-outbound", "bird"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    kind = request.param.split("-")[0]
    if (missing := MISSING[kind]) is not None:
        pytest.skip(missing)
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    instances = [fresh_address(), fresh_address()]
    with real_daemon(kind, member.address, instances) as daemon:
        member.extra = daemon.speaker()
        found = Site(member, daemon, instances)
        match request.param:
            case "frr":
                frr(found, f"  network {PREFIX} route-map own\n")
            case "frr-outbound":
                frr(found, f"  network {PREFIX}\n", "route-map own out")
            case _:
                bird(found, BIRDS_OWN)
        yield found


@asynccontextmanager
async def announcing(site: Site) -> AsyncIterator[tuple[Agent, list[WirePeer]]]:
    """His daemon has announced the network to both; the agent runs beside it, and nothing was commanded yet."""
    async with site.peers() as peers:
        site.daemon.start()
        await until(lambda: all(peer.routes() == AS_IT_WAS for peer in peers), LONG)
        async with site.member.running() as agent:
            await until(lambda: states(agent) == ["established"] * 2, LONG)
            yield agent, peers


def changes(peer: WirePeer) -> list[tuple[dict[str, Route], tuple[str, ...]]]:
    """What came that is not just the route as it was, once more: a Route Server's best path stays where it is then."""
    return [update for update in received(peer) if update != (AS_IT_WAS, ())]


async def test_beside_an_agent_that_was_commanded_nothing_all_stays_as_it_is(site: Site) -> None:
    async with announcing(site) as (_, peers):
        if site.daemon.kind == "bird":
            await edited(site, BIRD_TAKEN_OVER)
        await asyncio.sleep(SETTLED)
        for peer in peers:
            assert (changes(peer), peer.routes(), peer.sessions) == ([], AS_IT_WAS, 1)


async def test_what_is_announced_already_is_taken_over_without_any_change(site: Site) -> None:
    # The whole configuration is compared once in 25 readings: what was missing at the start is an alarm until then.
    site.member.extra = site.member.extra.replace("asn = 65001", "asn = 65001\npoll_seconds = 0.04", 1)
    async with announcing(site) as (agent, peers):
        if site.daemon.kind == "bird":
            await edited(site, BIRD_TAKEN_OVER)
        assert (await site.member.send(advertise(1, [(PREFIX, FRONTEND, 0)])))[1]["reason"] is None
        await asyncio.sleep(SETTLED)
        if site.daemon.kind == "bird":
            await edited(site, MINE.sub("", BIRD_TAKEN_OVER))
            await asyncio.sleep(SETTLED)
        for peer in peers:
            assert (changes(peer), peer.routes(), peer.sessions) == ([], AS_IT_WAS, 1)
        await until(lambda: site.found(agent) == {}, LONG)


@pytest.mark.parametrize("site", ["frr", "bird"], indirect=True)
async def test_what_was_taken_over_is_the_agents_and_the_next_order_is_one_update_in_place(site: Site) -> None:
    async with announcing(site) as (_, peers):
        if site.daemon.kind == "bird":
            await edited(site, BIRD_TAKEN_OVER)
        assert (await site.member.send(advertise(1, [(PREFIX, FRONTEND, 0)])))[1]["reason"] is None
        assert (await site.member.send(advertise(2, [(PREFIX, "10.0.1.101", 2)])))[1]["reason"] is None
        expected = {PREFIX: Route("10.0.1.101", path(2))}
        await until(lambda: all(peer.routes() == expected for peer in peers))
        for peer in peers:
            assert (changes(peer), peer.sessions) == ([(expected, ())], 1)


@pytest.mark.parametrize("site", ["frr-outbound"], indirect=True)
async def test_what_his_policy_changes_on_the_way_out_is_reported_and_stays_as_it_was(site: Site) -> None:
    async with announcing(site) as (_, peers):
        reply = (await site.member.send(advertise(1, [(PREFIX, "10.0.1.101", 0)])))[1]
        assert reply["accepted"] is False
        assert f"as ordered but next hop {FRONTEND}" in reply["reason"]
        for peer in peers:
            assert (changes(peer), peer.routes(), peer.sessions) == ([], AS_IT_WAS, 1)


DEFAULT = "0.0.0.0/0"


@pytest.mark.parametrize("site", ["frr"], indirect=True)
async def test_a_withdrawal_that_his_default_originate_undoes_is_refused_as_often_as_it_is_ordered(site: Site) -> None:
    frr(site, f"  network {PREFIX} route-map own\n", "default-originate")
    async with site.peers() as peers:
        site.daemon.start()
        await until(lambda: all(DEFAULT in peer.routes() for peer in peers), LONG)
        async with site.member.running() as agent:
            await until(lambda: states(agent) == ["established"] * 2, LONG)
            await site.member.send(advertise(1, [(DEFAULT, FRONTEND, 0)]))
            await refused_twice(site, agent, DEFAULT)
            assert all(DEFAULT in peer.routes() for peer in peers)


@pytest.mark.parametrize("site", ["bird"], indirect=True)
async def test_a_withdrawal_that_his_static_route_undoes_is_refused_until_he_removes_it(site: Site) -> None:
    async with announcing(site) as (agent, peers):
        await edited(site, BIRD_TAKEN_OVER)
        assert (await site.member.send(advertise(1, [(PREFIX, FRONTEND, 0)])))[1]["reason"] is None
        await refused_twice(site, agent)
        assert [peer.routes() for peer in peers] == [AS_IT_WAS] * 2
        await edited(site, MINE.sub("", BIRD_TAKEN_OVER))
        assert (await site.member.send(advertise(2, [])))[1]["reason"] is None
        assert "unsent" not in agent.status()["services"][SERVICE]
        assert [peer.routes() for peer in peers] == [{}, {}]


async def refused_twice(site: Site, agent: Agent, prefix: str = PREFIX) -> None:
    """Ordered again it is refused again: nothing of ours is left in the daemon then. The report says what is sent."""
    for _ in range(2):
        reply = (await site.member.send(advertise(2, [])))[1]
        assert reply["accepted"] is False
        assert f"{prefix} is withdrawn and still sent to" in reply["reason"]
    status = agent.status()
    assert status["services"][SERVICE]["unsent"] in reply["reason"]
    for session in status["sessions"].values():
        assert [item["prefix"] for item in session["sent"]] == [prefix]


@pytest.mark.parametrize("site", ["frr-outbound"], indirect=True)
async def test_an_order_that_is_refused_is_reported_as_not_sent(site: Site) -> None:
    async with announcing(site) as (agent, _):
        await site.member.send(advertise(1, [(PREFIX, "10.0.1.101", 0)]))
        mine = agent.status()["services"][SERVICE]
        assert [item["next_hop"] for item in mine["advertised"]["advertisements"]] == ["10.0.1.101"]
        assert f"as ordered but next hop {FRONTEND}" in mine["unsent"]


@pytest.mark.parametrize("site", ["frr-outbound"], indirect=True)
async def test_a_withdrawal_is_acknowledged_once_it_is_sent_whatever_his_policy_made_of_the_route(site: Site) -> None:
    async with announcing(site) as (_, peers):
        await site.member.send(advertise(1, [(PREFIX, "10.0.1.101", 2)]))
        assert (await site.member.send(advertise(2, [])))[1]["reason"] is None
        assert [peer.routes() for peer in peers] == [{}, {}]


@pytest.mark.parametrize("site", ["frr"], indirect=True)
async def test_an_aggregate_of_his_own_beside_it_stays_and_is_no_reason_to_refuse(site: Site) -> None:
    frr(
        site,
        f"  network {PREFIX} route-map own\n  network 10.20.1.0/24 route-map own\n  aggregate-address 10.20.0.0/16\n",
    )
    async with site.peers() as peers:
        site.daemon.start()
        await until(lambda: all(len(peer.routes()) == 3 for peer in peers), LONG)
        before = [peer.routes() for peer in peers]
        async with site.member.running() as agent:
            await until(lambda: states(agent) == ["established"] * 2, LONG)
            assert (await site.member.send(advertise(1, [(PREFIX, FRONTEND, 0)])))[1]["reason"] is None
            await asyncio.sleep(SETTLED)
            assert [peer.routes() for peer in peers] == before
            assert (states(agent), site.found(agent)) == (["established"] * 2, {})

"""An agent beside a real ExaBGP, BIRD or FRR, both instances of a Route Server, and a router on-premises: the routes of each.

A change of role is one UPDATE on-premises and none to the Route Server; an order for one group never reaches the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hopkeeper_agent.agent import Agent

from tests.contract.test_agent_exabgp import processes_ended
from tests.unit.agent.bgp_wire import PORT, Route, WirePeer, wire_peer
from tests.unit.agent.daemons import MISSING, PREMISES, RealBird, RealFrr, neighbour_tables, real_daemon
from tests.unit.agent.stage import Member, advertise, fence, fresh_address, new_signer, outward, promote, until

DEFAULT, VNET, SPOKE = "0.0.0.0/0", "10.0.0.0/16", "10.4.0.0/16"
OWN = 65001
LONG = 15.0


@dataclass
class Site:
    """A member, what speaks for it, two instances of a Route Server and a router on-premises."""

    kind: str
    member: Member
    daemon: RealBird | RealFrr | None
    instances: list[str]
    premises: str

    @asynccontextmanager
    async def peers(self) -> AsyncIterator[tuple[list[WirePeer], WirePeer]]:
        first, second = (wire_peer(address) for address in self.instances)
        async with first as one, second as other, wire_peer(self.premises, PREMISES) as router:
            yield [one, other], router


@pytest.fixture(params=["exabgp", "bird", "frr"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    kind: str = request.param
    if (missing := MISSING[kind]) is not None:
        pytest.skip(missing)
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    instances, premises = [fresh_address(), fresh_address()], fresh_address()
    with ExitStack() as stack:
        if kind == "exabgp":
            member.extra = f"""
[speaker]
kind = "exabgp"
address = "{member.address}"
asn = {OWN}
port = {PORT}
hold_time = 30
{neighbour_tables(instances, [premises])}
"""
            stack.enter_context(processes_ended(member))
            yield Site(kind, member, None, instances, premises)
            return
        daemon = stack.enter_context(real_daemon(kind, member.address, instances, (premises,)))
        if isinstance(daemon, RealFrr):
            # What the outbound route-maps hold back after bgpd's start, they hold back for so long.
            daemon.write("bgp route-map delay-timer 1\n")
        member.extra = daemon.speaker()
        yield Site(kind, member, daemon, instances, premises)


@asynccontextmanager
async def speaking(site: Site) -> AsyncIterator[tuple[Agent, list[WirePeer], WirePeer]]:
    """All running, every session up for long enough that FRR batches nothing."""
    async with site.peers() as (servers, router):
        if site.daemon is not None:
            site.daemon.start()
        async with site.member.running() as agent:
            await until(lambda: states(agent) == ["established"] * 3, LONG)
            await obeyed(site, advertise(0, [("192.0.2.0/24", "10.0.1.4", 0)]))
            await obeyed(site, outward(0, ["198.51.100.0/24"]))
            await until(lambda: all(peer.routes() for peer in [*servers, router]), LONG)
            await obeyed(site, advertise(0, [], 2))
            await obeyed(site, outward(0, [], None, 2))
            await until(lambda: not any(peer.routes() for peer in [*servers, router]), LONG)
            for peer in [*servers, router]:
                peer.forget()
            yield agent, servers, router


def states(agent: Agent) -> list[str]:
    status = agent.status()
    return [s["state"] for s in (status["sessions"] | status["outward_sessions"]).values()]


async def obeyed(site: Site, command: dict[str, Any]) -> None:
    status, reply = await site.member.send(command)
    assert (status, reply["reason"]) == (200, None)


def received(peer: WirePeer) -> list[tuple[dict[str, Route], tuple[str, ...]]]:
    return [(update.announced, update.withdrawn) for update in peer.updates]


def path(site: Site, *prefixes: str, prepend: int) -> dict[str, Route]:
    return dict.fromkeys(prefixes, Route(site.member.address, (OWN,) * (1 + prepend)))


async def test_a_change_of_role_is_one_update_on_premises_and_none_to_route_servers(site: Site) -> None:
    async with speaking(site) as (agent, servers, router):
        await obeyed(site, outward(1, [VNET]))
        await until(lambda: len(router.updates) == 1)
        await obeyed(site, promote(1, agent.duties.boot_id))
        await until(lambda: len(router.updates) == 2)
        await obeyed(site, fence(2))
        await until(lambda: len(router.updates) == 3)
        assert received(router) == [(path(site, VNET, prepend=prepend), ()) for prepend in (3, 0, 3)]
        # Only what changed.
        await obeyed(site, outward(2, [VNET, SPOKE]))
        await until(lambda: len(router.updates) == 4)
        assert received(router)[3] == (path(site, SPOKE, prepend=3), ())
        await until(lambda: _outward_sent(agent, site) == [(prefix, 3) for prefix in (VNET, SPOKE)], LONG)
        # A standby that withholds is not there, and comes back with its role.
        await obeyed(site, outward(2, [VNET], None, 2))
        await until(lambda: router.routes() == {})
        await obeyed(site, promote(3, agent.duties.boot_id))
        await until(lambda: router.routes() == path(site, VNET, prepend=0))
        # What would come of all that late comes before this.
        await obeyed(site, advertise(3, [(DEFAULT, "10.0.1.100", 0)]))
        await until(lambda: all(peer.updates for peer in servers))
        assert [received(peer) for peer in servers] == [[({DEFAULT: Route("10.0.1.100", (OWN,))}, ())]] * 2
        assert router.routes() == path(site, VNET, prepend=0)
        bad = {name: check["detail"] for name, check in agent.status()["checks"].items() if check["value"] == "bad"}
        assert bad == {}


def _outward_sent(agent: Agent, site: Site) -> list[tuple[str, int]]:
    sent = agent.status()["outward_sessions"][site.premises].get("sent", [])
    assert {item["next_hop"] for item in sent} <= {site.member.address}
    return [(item["prefix"], item["prepend"]) for item in sent]


async def test_an_agents_restart_sends_nothing_again_to_anybody(site: Site) -> None:
    async with site.peers() as (servers, router):
        if site.daemon is not None:
            site.daemon.start()
        async with site.member.running() as agent:
            await until(lambda: states(agent) == ["established"] * 3, LONG)
            await obeyed(site, advertise(1, [(DEFAULT, "10.0.1.100", 0)]))
            await obeyed(site, outward(1, [VNET]))
            await obeyed(site, promote(1, agent.duties.boot_id))
            await until(lambda: router.routes() == path(site, VNET, prepend=0), LONG)
            await until(lambda: all(DEFAULT in peer.routes() for peer in servers), LONG)
        for peer in [*servers, router]:
            peer.forget()
        async with site.member.running() as agent:
            await until(lambda: states(agent) == ["established"] * 3, LONG)
            await obeyed(site, fence(2))
            await until(lambda: bool(router.updates), LONG)
        assert received(router) == [(path(site, VNET, prepend=3), ())]
        assert [received(peer) for peer in servers] == [[], []]
        assert [peer.sessions for peer in [*servers, router]] == [1, 1, 1]


async def test_frr_without_outbound_policies_is_sent_nothing_for_on_premises(tmp_path: Path) -> None:
    """A Route Server would be sent the prefixes that are for on-premises."""
    if (missing := MISSING["frr"]) is not None:
        pytest.skip(missing)
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    instances, premises = [fresh_address(), fresh_address()], fresh_address()
    with real_daemon("frr", member.address, instances, (premises,)) as daemon:
        assert isinstance(daemon, RealFrr)
        daemon.write(
            "bgp route-map delay-timer 1\n", without=("  neighbor 10.0.0.36 route-map to-route-servers out\n",)
        )
        member.extra = daemon.speaker()
        site = Site("frr", member, daemon, instances, premises)
        async with site.peers() as (servers, router):
            daemon.start()
            async with member.running() as agent:
                await until(lambda: states(agent) == ["established"] * 3, LONG)
                await obeyed(site, outward(1, [VNET]))
                await obeyed(site, advertise(1, [(DEFAULT, "10.0.1.100", 0)]))
                await until(lambda: all(DEFAULT in peer.routes() for peer in servers), LONG)
                await until(lambda: agent.status()["checks"]["speaker-outward"]["value"] == "bad", LONG)
                checks = agent.status()["checks"]
                assert f"{instances[0]} has no outbound route-map" in checks["speaker-outward"]["detail"]
                assert not any(VNET in update.announced for peer in [*servers, router] for update in peer.updates)

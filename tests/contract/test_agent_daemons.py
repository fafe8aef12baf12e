"""An agent beside a real BIRD or FRR that the operator configured, and two instances that count every UPDATE on the wire."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hopkeeper_agent.agent import Agent

from tests.unit.agent.bgp_wire import HOLD_SECONDS, Route, WirePeer, wire_peer
from tests.unit.agent.daemons import MISSING, RealBird, RealFrr, real_daemon
from tests.unit.agent.stage import Member, advertise, fresh_address, new_signer, until

DEFAULT, VIP = "0.0.0.0/0", "100.64.0.1/32"
SETTLING = "192.0.2.0/24"
OWN = 65001
LONG = 15.0


def path(prepend: int) -> tuple[int, ...]:
    return (OWN,) * (1 + prepend)


@dataclass
class Site:
    """A member, the operator's daemon beside it, and the addresses of the instances."""

    member: Member
    daemon: RealBird | RealFrr
    instances: list[str]

    @asynccontextmanager
    async def peers(self) -> AsyncIterator[list[WirePeer]]:
        async with wire_peer(self.instances[0]) as first, wire_peer(self.instances[1]) as second:
            yield [first, second]

    def found(self, agent: Agent) -> dict[str, str]:
        """The details of checks that are bad."""
        return {name: check["detail"] for name, check in agent.status()["checks"].items() if check["value"] == "bad"}


@pytest.fixture(params=["bird", "frr"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if (missing := MISSING[request.param]) is not None:
        pytest.skip(missing)
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    instances = [fresh_address(), fresh_address()]
    with real_daemon(request.param, member.address, instances) as daemon:
        member.extra = daemon.speaker()
        yield Site(member, daemon, instances)


@asynccontextmanager
async def speaking(site: Site) -> AsyncIterator[tuple[Agent, list[WirePeer]]]:
    """All running, both sessions up for long enough that FRR batches nothing."""
    async with site.peers() as peers:
        site.daemon.start()
        async with site.member.running() as agent:
            await until(lambda: states(agent) == ["established"] * 2, LONG)
            await settled(site, agent)
            if site.daemon.kind == "frr":
                await until(lambda: all(({}, (SETTLING,)) in received(peer) for peer in peers))
            yield agent, peers


async def settled(site: Site, agent: Agent) -> None:
    """FRR holds back everything for a second after a session came up (coalesce-time)."""
    if site.daemon.kind == "frr":
        status, reply = await site.member.send(advertise(0, [(SETTLING, "10.0.1.4", 0)]))
        assert (status, reply["reason"]) == (200, None)
        assert (await site.member.send(advertise(0, [], 2)))[0] == 200


def states(agent: Agent) -> list[str]:
    return [session["state"] for session in agent.status()["sessions"].values()]


def received(peer: WirePeer) -> list[tuple[dict[str, Route], tuple[str, ...]]]:
    return [(update.announced, update.withdrawn) for update in peer.updates]


async def test_each_order_is_exactly_one_update_on_each_session_and_never_a_withdrawal(site: Site) -> None:
    """FRR deals with changed route-maps once more after `bgp route-map delay-timer`: nothing may come of that."""
    if isinstance(site.daemon, RealFrr):
        site.daemon.write("bgp route-map delay-timer 1\n")
    orders = [("10.0.1.100", 0), ("10.0.1.101", 0), ("10.0.1.101", 3), ("10.0.1.4", 16), ("10.0.1.4", 0)]
    async with speaking(site) as (_, peers):
        for peer in peers:
            peer.forget()
        for seq, (next_hop, prepend) in enumerate(orders):
            status, reply = await site.member.send(advertise(1, [(DEFAULT, next_hop, prepend)], seq))
            assert (status, reply["reason"]) == (200, None)
        await until(lambda: all(len(peer.updates) >= len(orders) for peer in peers))
        if site.daemon.kind == "frr":
            await asyncio.sleep(1.5)
        for peer in peers:
            assert received(peer) == [({DEFAULT: Route(next_hop, path(prepend))}, ()) for next_hop, prepend in orders]


async def test_an_acknowledged_advertisement_is_on_the_wire_already(site: Site) -> None:
    async with speaking(site) as (_, peers):
        for seq in range(5):
            assert (await site.member.send(advertise(1, [(VIP, f"10.0.1.{seq + 1}", 0)], seq)))[0] == 200
            # Of this very process: what the kernel has for us is read in the next turn of the loop.
            hop = f"10.0.1.{seq + 1}"
            await until(
                lambda hop=hop: all(VIP in (r := peer.routes()) and r[VIP].next_hop == hop for peer in peers), 0.25
            )  # type: ignore[misc]


async def test_an_order_that_comes_back_after_tidying_up_is_one_update_too(site: Site) -> None:
    """FRR's route-maps that nothing uses are removed, and a later order may want one of them again."""
    site.member.extra = site.member.extra.replace("asn = 65001", "asn = 65001\npoll_seconds = 0.02", 1)
    async with speaking(site) as (_, peers):
        for peer in peers:
            peer.forget()
        hops = ["10.0.1.100", "10.0.1.101"] * 5
        for seq, hop in enumerate(hops):
            assert (await site.member.send(advertise(1, [(VIP, hop, 0)], seq)))[1]["reason"] is None
            await asyncio.sleep(0.3)
        for peer in peers:
            assert received(peer) == [({VIP: Route(hop, path(0))}, ()) for hop in hops]


async def test_only_what_changed_is_sent_and_withdrawn(site: Site) -> None:
    async with speaking(site) as (_, peers):
        both = [(DEFAULT, "10.0.1.100", 0), (VIP, "10.0.1.4", 1)]
        await site.member.send(advertise(1, both, 1))
        await until(lambda: all(len(peer.routes()) == 2 for peer in peers))
        for peer in peers:
            peer.forget()
        await site.member.send(advertise(1, [both[0], (VIP, "10.0.1.4", 3)], 2))
        await site.member.send(advertise(1, [both[0]], 3))
        await until(lambda: all(len(peer.updates) >= 2 for peer in peers))
        for peer in peers:
            assert received(peer) == [({VIP: Route("10.0.1.4", path(3))}, ()), ({}, (VIP,))]


async def test_the_status_reports_what_was_sent_and_since_when_the_sessions_are_up(site: Site) -> None:
    async with speaking(site) as (agent, _):
        await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 2)]))
        for session in agent.status()["sessions"].values():
            assert session["sent"] == [{"prefix": DEFAULT, "next_hop": "10.0.1.100", "prepend": 2}]
            assert session["since"] is not None
        await until(
            lambda: all(session.get("hold_time") == HOLD_SECONDS for session in agent.status()["sessions"].values())
        )
        assert site.found(agent) == {}
        assert agent.status()["checks"]["speaker"]["value"] == "ok"


async def test_a_killed_daemon_is_reported_at_once_and_announces_again_when_it_is_back(site: Site) -> None:
    async with speaking(site) as (agent, peers):
        assert (await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 1)])))[0] == 200
        site.daemon.kill()
        await until(lambda: states(agent) == ["down"] * 2, 0.2)
        assert [reason.split(":")[0] for reason in agent.status()["fatal"]] == ["speaker"]
        assert (await site.member.send(advertise(1, [(DEFAULT, "10.0.1.101", 1)], 2)))[1]["accepted"] is False
        site.daemon.start()
        await until(lambda: all(peer.routes() == {DEFAULT: Route("10.0.1.101", path(1))} for peer in peers), LONG)
        await until(lambda: agent.status()["fatal"] == [])


async def test_a_frozen_daemon_is_not_believed_to_have_announced(site: Site) -> None:
    async with speaking(site) as (_, peers):
        site.daemon.signal(signal.SIGSTOP)
        status, reply = await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 0)]))
        assert (status, reply["accepted"]) == (409, False)
        assert "does not answer" in reply["reason"]
        site.daemon.signal(signal.SIGCONT)
        await until(lambda: all(DEFAULT in peer.routes() for peer in peers), LONG)
        assert (await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 0)])))[0] == 200


async def test_a_session_that_comes_back_gets_the_routes_again(site: Site) -> None:
    async with speaking(site) as (agent, peers):
        await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 0)]))
        peers[0].cut()
        await until(lambda: states(agent).count("down") == 1)
        await until(lambda: states(agent).count("down") == 0, LONG)
        await until(lambda: peers[0].routes() == {DEFAULT: Route("10.0.1.100", path(0))})
        assert (peers[0].sessions, peers[1].sessions) == (2, 1)


async def test_an_agents_restart_flaps_no_session_and_sends_nothing_again(site: Site) -> None:
    async with site.peers() as peers:
        site.daemon.start()
        async with site.member.running() as agent:
            await until(lambda: states(agent) == ["established"] * 2, LONG)
            assert (await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 0)])))[0] == 200
            await until(lambda: all(DEFAULT in peer.routes() for peer in peers))
        for peer in peers:
            peer.forget()
        async with site.member.running() as agent:
            await until(lambda: states(agent) == ["established"] * 2)
            assert (await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 0)])))[0] == 200
            assert (await site.member.send(advertise(2, [(DEFAULT, "10.0.1.101", 0)])))[0] == 200
        for peer in peers:
            assert (received(peer), peer.sessions) == ([({DEFAULT: Route("10.0.1.101", path(0))}, ())], 1)


async def test_a_neighbour_the_daemon_does_not_know_is_reported(site: Site) -> None:
    stranger = fresh_address()
    site.member.extra += f'[[speaker.neighbors]]\naddress = "{stranger}"\nasn = 65515\n'
    async with site.peers():
        site.daemon.start()
        async with site.member.running() as agent:
            await until(lambda: stranger in site.found(agent).get("speaker-neighbours", ""))
            assert agent.status()["sessions"][stranger]["state"] == "down"


async def test_what_the_operator_configured_stays(site: Site) -> None:
    mine = "192.0.2.0/24"
    if isinstance(site.daemon, RealBird):
        site.daemon.write(f"protocol static mine {{ ipv4 {{ table hopkeeper4; }}; route {mine} unreachable; }}\n")
        text = site.daemon.configuration.read_text()
        site.daemon.configuration.write_text(text.replace("export filter hopkeeper_export;", "export all;"))
    else:
        site.daemon.write(f"router bgp {OWN}\n address-family ipv4 unicast\n  network {mine}\n")
    async with site.peers() as peers:
        site.daemon.start()
        async with site.member.running() as agent:
            await until(lambda: states(agent) == ["established"] * 2, LONG)
            assert (await site.member.send(advertise(1, [(VIP, "10.0.1.100", 0)])))[1]["reason"] is None
            await until(lambda: all(peer.routes().keys() == {VIP, mine} for peer in peers))
            assert (await site.member.send(advertise(2, [])))[1]["reason"] is None
            await until(lambda: all(peer.routes().keys() == {mine} for peer in peers))
            assert [session["sent"] for session in agent.status()["sessions"].values()] == [[], []]
    for peer in peers:
        assert not any(mine in update.withdrawn for update in peer.updates)


async def test_communities_of_the_configuration_are_carried(site: Site) -> None:
    site.member.extra = site.member.extra.replace(
        "asn = 65001", 'asn = 65001\ncommunities = ["65001:100", "65001:7"]', 1
    )
    async with site.peers() as peers:
        site.daemon.start()
        async with site.member.running() as agent:
            await until(lambda: states(agent) == ["established"] * 2, LONG)
            assert (await site.member.send(advertise(1, [(VIP, "10.0.1.100", 1)])))[1]["reason"] is None
            expected = {VIP: Route("10.0.1.100", path(1), ("65001:7", "65001:100"))}
            await until(lambda: all(peer.routes() == expected for peer in peers))
        for peer in peers:
            peer.forget()
        async with site.member.running() as agent:
            await until(lambda: states(agent) == ["established"] * 2, LONG)
            # Read back, they are what was ordered: nothing is sent again.
            assert (await site.member.send(advertise(2, [(VIP, "10.0.1.100", 1)])))[1]["reason"] is None
            assert site.found(agent) == {}
            assert not any(peer.updates for peer in peers)


async def test_an_order_beyond_the_budget_is_sent_in_batches_or_refused(site: Site) -> None:
    prefixes = [f"10.9.{number}.0/24" for number in range(6)]
    first, second = ([(prefix, f"10.0.1.{hop}", 0) for prefix in prefixes] for hop in (100, 101))
    site.member.extra = site.member.extra.replace("asn = 65001", "asn = 65001\nprefix_budget = 9", 1)
    async with speaking(site) as (_, peers):
        assert (await site.member.send(advertise(1, first)))[1]["reason"] is None
        await until(lambda: all(len(peer.routes()) == 6 for peer in peers))
        for peer in peers:
            peer.forget()
        assert (await site.member.send(advertise(2, second)))[1]["reason"] is None
        await until(lambda: all(len(peer.routes()) == 6 for peer in peers))
        for peer in peers:
            assert [(len(update.announced), update.withdrawn) for update in peer.updates] == [(3, ()), (3, ())]
    site.member.extra = site.member.extra.replace("prefix_budget = 9", 'prefix_budget = 9\nover_budget = "refuse"', 1)
    async with site.member.running():
        reply = (await site.member.send(advertise(3, first)))[1]
        assert reply["reason"] == "speaker: 6 prefixes held and 6 to send, 9 allowed at once"


async def test_frr_with_settings_that_would_fail_us_is_reported(tmp_path: Path) -> None:
    async with odd_frr(tmp_path, " bgp graceful-restart-disable\n", " no bgp network import-check\n") as (site, agent):
        await until(lambda: {"speaker-graceful-restart", "speaker-import-check"} <= site.found(agent).keys())


async def test_frr_that_would_replace_the_next_hop_is_reported_and_not_believed(tmp_path: Path) -> None:
    lines = [f"  neighbor {address} attribute-unchanged next-hop\n" for address in ("10.0.0.36", "10.0.0.37")]
    async with odd_frr(tmp_path, *lines) as (site, agent):
        await until(lambda: "speaker-next-hop" in site.found(agent))
        reply = (await site.member.send(advertise(1, [(VIP, "10.0.1.100", 0)])))[1]
        assert "as ordered but next hop" in reply["reason"]


@asynccontextmanager
async def odd_frr(tmp_path: Path, *without: str) -> AsyncIterator[tuple[Site, Agent]]:
    if (missing := MISSING["frr"]) is not None:
        pytest.skip(missing)
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    site_addresses = [fresh_address(), fresh_address()]
    with real_daemon("frr", member.address, site_addresses) as daemon:
        assert isinstance(daemon, RealFrr)
        daemon.write(without=without)
        member.extra = daemon.speaker()
        site = Site(member, daemon, site_addresses)
        async with site.peers():
            daemon.start()
            async with member.running() as agent:
                await until(lambda: states(agent) == ["established"] * 2, LONG)
                yield site, agent


async def test_a_bird_configuration_that_does_not_parse_changes_nothing_and_is_reported(tmp_path: Path) -> None:
    if (missing := MISSING["bird"]) is not None:
        pytest.skip(missing)
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    addresses = [fresh_address(), fresh_address()]
    with real_daemon("bird", member.address, addresses) as daemon:
        assert isinstance(daemon, RealBird)
        member.extra = daemon.speaker().replace("asn = 65001", "asn = 65001\npoll_seconds = 0.04", 1)
        site = Site(member, daemon, addresses)
        async with speaking(site) as (agent, peers):
            assert (await member.send(advertise(1, [(VIP, "10.0.1.100", 0)])))[0] == 200
            ours = daemon.include.read_text()
            await asyncio.sleep(0.05)  # a file's time of change lags behind the clock by some milliseconds
            with daemon.configuration.open("a") as file:
                file.write("protocol bogus {}\n")
            reply = (await member.send(advertise(2, [(VIP, "10.0.1.101", 0)])))[1]
            assert reply["reason"].startswith("speaker: BIRD does not take its configuration")
            assert daemon.include.read_text() == ours
            assert all(peer.routes()[VIP].next_hop == "10.0.1.100" for peer in peers)
            await until(lambda: "speaker-configuration" in site.found(agent), LONG)
            assert "speaker-edited" in site.found(agent)
            daemon.write()
            await until(lambda: all(peer.routes()[VIP].next_hop == "10.0.1.101" for peer in peers), LONG)


async def test_bird_with_graceful_restart_is_reported(tmp_path: Path) -> None:
    if (missing := MISSING["bird"]) is not None:
        pytest.skip(missing)
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    addresses = [fresh_address(), fresh_address()]
    with real_daemon("bird", member.address, addresses) as daemon:
        assert isinstance(daemon, RealBird)
        member.extra = daemon.speaker()
        daemon.write()
        text = daemon.configuration.read_text()
        daemon.configuration.write_text(text.replace("    graceful restart off;", "    graceful restart on;"))
        site = Site(member, daemon, addresses)
        async with site.peers():
            daemon.start()
            async with member.running() as agent:
                await until(lambda: "speaker-graceful-restart" in site.found(agent), LONG)

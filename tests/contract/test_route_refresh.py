"""A Route Server may ask for everything again (RFC 2918), and a new network peering makes it do so.

Of a speaker that does not offer route refresh it ends the session instead (azure-facts.md section 2).
So whatever we run or render offers it, answers with what it announces, and the session stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.test_agent_exabgp import processes_ended
from tests.contract.test_render_daemons import (
    acknowledged,
    announced,
    beside_an_agent,
    four_instances,
    on_the_wire,
    rendered,
    running_exabgp,
)
from tests.unit.agent.bgp_wire import ASN, PORT, WirePeer, wire_peer
from tests.unit.agent.daemons import MISSING
from tests.unit.agent.stage import Member, advertise, fresh_address, new_signer, until

ROUTE_REFRESH, ENHANCED_ROUTE_REFRESH = 2, 70
DEFAULT, FRONTEND = "0.0.0.0/0", "10.0.1.100"
LONG = 15.0
INSTANCES = (fresh_address(), fresh_address())


async def says_it_again(peer: WirePeer) -> None:
    """Every route once more, each in one announcement, nothing withdrawn, on the session that was there."""
    assert ROUTE_REFRESH in peer.capabilities
    routes, sessions = peer.routes(), peer.sessions
    assert routes, "nothing could be said again"
    peer.forget()
    peer.refresh()
    await until(lambda: peer.routes() == routes, LONG)
    prefixes = [prefix for update in peer.updates for prefix in update.announced]
    assert sorted(prefixes) == sorted(routes)
    assert not any(update.withdrawn for update in peer.updates)
    assert (peer.up, peer.sessions) == (True, sessions)


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    """Speaks through the ExaBGP that the agent brings along, with two instances."""
    made = Member("nva-a", tmp_path / "nva-a", new_signer())
    neighbours = "".join(f'[[speaker.neighbors]]\naddress = "{each}"\nasn = {ASN}\n' for each in INSTANCES)
    made.extra = f"""
[speaker]
kind = "exabgp"
address = "{made.address}"
asn = 65001
port = {PORT}
hold_time = 30
{neighbours}
"""
    with processes_ended(made):
        yield made


async def test_the_agent_s_exabgp_offers_it_and_says_its_routes_again(member: Member) -> None:
    first, second = map(wire_peer, INSTANCES)
    async with first as one, second as other, member.running() as agent:
        await until(lambda: {s["state"] for s in agent.status()["sessions"].values()} == {"established"}, LONG)
        _, reply = await member.send(advertise(1, [(DEFAULT, FRONTEND, 0)]))
        assert reply["reason"] is None
        for peer in (one, other):
            assert ENHANCED_ROUTE_REFRESH in peer.capabilities
            # An acknowledgement is the speaker's; its UPDATE may still be on the way.
            await until(lambda peer=peer: DEFAULT in peer.routes())  # type: ignore[misc]
            await says_it_again(peer)
            peer.forget()
        # What is ordered afterwards is acknowledged as ever, and is one UPDATE.
        _, reply = await member.send(advertise(1, [(DEFAULT, FRONTEND, 2)], 2))
        assert reply["reason"] is None
        for peer in (one, other):
            await until(lambda peer=peer: len(peer.updates) == 1)  # type: ignore[misc]
            assert peer.updates[0].announced[DEFAULT].path == (65001,) * 3


async def test_a_rendered_exabgp_offers_it_and_says_its_routes_again(tmp_path: Path) -> None:
    address = fresh_address()
    async with four_instances() as peers:
        with running_exabgp(tmp_path, rendered("exabgp", address, [peer.address for peer in peers])):
            await until(lambda: all(peer.routes() == on_the_wire(address) for peer in peers), LONG)
            for peer in peers:
                assert ENHANCED_ROUTE_REFRESH in peer.capabilities
                await says_it_again(peer)


@pytest.mark.parametrize("kind", ["bird", "frr"])
async def test_bird_and_frr_offer_it_by_themselves(kind: str, tmp_path: Path) -> None:
    if (missing := MISSING[kind]) is not None:
        pytest.skip(missing)
    async with four_instances() as peers, beside_an_agent(kind, tmp_path, peers) as member:
        await acknowledged(member, announced(member.address))
        await until(lambda: all(peer.routes() == on_the_wire(member.address) for peer in peers))
        for peer in peers:
            await says_it_again(peer)

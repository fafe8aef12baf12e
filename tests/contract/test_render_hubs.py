"""A rendered hub speaker and a rendered relay do what they say, on the wire of every instance and every client.

BIRD and FRR run exactly the rendered text, moved to loopback. Next hops stay addresses of the topology, since FRR takes
none of loopback from a peer.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.render import render
from tests.contract.test_render_daemons import BIRD_ON_LOOPBACK
from tests.unit.agent.bgp_wire import PORT, Route, WirePeer, wire_peer
from tests.unit.agent.daemons import MISSING, RealBird, RealFrr, real_daemon
from tests.unit.agent.stage import fresh_address, until
from tests.unit.test_render import RELAYING, TEN, pair

LONG = 15.0
AZURE, HUB = 65515, 65000
NETWORK, BRANCH = "10.13.0.0/16", "192.168.0.0/16"


@dataclass
class Moved:
    """A topology's text, and which of its addresses speak where on loopback."""

    text: str
    addresses: dict[str, str]

    def loopback(self, daemon: RealBird | RealFrr, own: str) -> str:
        """The text with every session moved; next hops in policies and on routes stay as they are."""
        text = self.text
        if isinstance(daemon, RealBird):
            text = text.replace("log syslog", "log stderr").replace("multihop;", f"multihop; {BIRD_ON_LOOPBACK}")
            text = text.replace(f"local {own} as", f"local {self.addresses[own]} port {PORT} as")
            for here, there in self.addresses.items():
                text = text.replace(f"neighbor {here} as", f"neighbor {there} port {PORT} as")
                text = text.replace(f"from = {here} then", f"from = {there} then")
            return text
        for here, there in self.addresses.items():
            text = text.replace(f"update-source {here}\n", f"update-source {there}\n")
            text = text.replace(f"neighbor {here} ", f"neighbor {there} ")
            text = text.replace(f"hopkeeper-client-{here} ", f"hopkeeper-client-{there} ")
        here_too = rf"\1\n neighbor \2 port {PORT}\n neighbor \2 timers connect 1"
        return re.sub(r"( neighbor (\S+) remote-as \d+)", here_too, text)


@asynccontextmanager
async def on_the_wire(
    kind: str, moved: Moved, own: str, asns: dict[str, int], announces: dict[str, dict[str, Route]]
) -> AsyncIterator[dict[str, WirePeer]]:
    """The daemon as rendered, its neighbours played on the wire, and all sessions up; neighbours by real address."""
    if (missing := MISSING[kind]) is not None:
        pytest.skip(missing)
    async with AsyncExitStack() as stack:
        peers = {
            address: await stack.enter_async_context(wire_peer(moved.addresses[address], asn, announces.get(address)))
            for address, asn in asns.items()
        }
        with real_daemon(kind, moved.addresses[own], [peer.address for peer in peers.values()]) as daemon:
            daemon.configuration.write_text(moved.loopback(daemon, own))
            if isinstance(daemon, RealBird):
                daemon.include.touch()
            daemon.start()
            await until(lambda: all(peer.up for peer in peers.values()), LONG)
            yield peers


def rendered(document: str, speaker: str, vendor: str, instances: dict[str, str]) -> str:
    given = {name: pair(text) for name, text in instances.items()}
    return render(decode(document, Place()), speaker, vendor, given, {})


def hub(kind: str) -> tuple[Moved, dict[str, int]]:
    text = rendered(TEN, "hub-a", kind, {"rs": "10.13.76.4,10.13.76.5"})
    asns = {"10.13.76.4": AZURE, "10.13.76.5": AZURE} | {f"10.13.76.{n}": 65000 + n for n in range(100, 110)}
    return Moved(text, {address: fresh_address() for address in ("10.13.76.84", *asns)}), asns


@pytest.mark.parametrize("kind", ["bird", "frr"])
async def test_a_hub_passes_on_clients_with_their_next_hop_and_its_own_with_its_own(kind: str) -> None:
    moved, asns = hub(kind)
    clients = {f"10.13.76.{n}": (f"100.0.0.{n}/32", 65000 + n) for n in range(100, 110)}
    announces = {address: {prefix: Route(address, (asn,))} for address, (prefix, asn) in clients.items()}
    announces["10.13.76.4"] = {
        NETWORK: Route("10.13.76.4", (AZURE,)),
        "100.0.0.105/32": Route("10.13.76.105", (AZURE, 65001)),
    }
    wanted = {prefix: Route(address, (HUB, asn)) for address, (prefix, asn) in clients.items()}
    wanted["100.0.0.200/32"] = Route("10.13.76.84", (HUB,))
    async with on_the_wire(kind, moved, "10.13.76.84", asns, announces) as peers:
        first, second = peers["10.13.76.4"], peers["10.13.76.5"]
        await until(lambda: first.routes() == second.routes() == wanted, LONG)

        # Clients get the networks' routes and nothing of each other.
        passed = {NETWORK: Route("10.13.76.4", (HUB, AZURE))}
        await until(lambda: all(peers[client].routes() == passed for client in clients), LONG)

        # Neither another client's prefix nor a path by way of another AS is a client's.
        rogue = peers["10.13.76.100"]
        rogue.tell("100.0.0.101/32", Route("10.13.76.100", (65100,)))
        rogue.tell("100.0.0.100/32", Route("10.13.76.100", (65100, 65001)))
        left = {prefix: route for prefix, route in wanted.items() if prefix != "100.0.0.100/32"}
        await until(lambda: first.routes() == second.routes() == left, LONG)

        # Prepended it is the client's all the same; and it goes with the client's session.
        rogue.tell("100.0.0.100/32", Route("10.13.76.100", (65100, 65100)))
        back = left | {"100.0.0.100/32": Route("10.13.76.100", (HUB, 65100, 65100))}
        await until(lambda: first.routes() == second.routes() == back, LONG)
        rogue.announces.clear()
        rogue.cut()
        await until(lambda: first.routes() == second.routes() == left, LONG)


@pytest.mark.parametrize("kind", ["bird", "frr"])
async def test_a_relay_takes_65515_out_keeps_the_length_and_passes_only_what_is_named(kind: str) -> None:
    instances = {"rs-hub": "10.1.0.4,10.1.0.5", "rs-spoke": "10.20.0.4,10.20.0.5"}
    asns = {str(address): AZURE for text in instances.values() for address in pair(text)}
    moved = Moved(rendered(RELAYING, "nva", kind, instances), {a: fresh_address() for a in ("10.1.1.4", *asns)})
    announces = {
        "10.1.0.4": {
            BRANCH: Route("10.1.0.4", (AZURE, AZURE, 12076)),
            "10.1.0.0/16": Route("10.1.0.4", (AZURE,)),
            "10.99.0.0/16": Route("10.1.0.4", (AZURE,)),  # not named
            "10.20.0.0/16": Route("10.1.0.4", (AZURE, 65002)),  # another NVA's relay, from where it does not belong
        },
    }
    own = {"10.77.0.0/24": Route("10.1.1.4", (65001,))}
    down = {
        BRANCH: Route("10.1.1.4", (65001, 65001, 65001, 12076)),
        "10.1.0.0/16": Route("10.1.1.4", (65001, 65001)),
    }
    async with on_the_wire(kind, moved, "10.1.1.4", asns, announces) as peers:
        spoke = [peers["10.20.0.4"], peers["10.20.0.5"]]
        await until(lambda: all(peer.routes() == own | down for peer in spoke), LONG)
        await until(lambda: all(peers[a].routes() == own for a in ("10.1.0.4", "10.1.0.5")), LONG)
        up = {"10.20.0.0/16": Route("10.1.1.4", (65001, 65001))}
        peers["10.20.0.5"].tell("10.20.0.0/16", Route("10.20.0.5", (AZURE,)))
        # What went down is not taken back from another instance below: it would go round.
        peers["10.20.0.5"].tell(BRANCH, Route("10.20.0.5", (AZURE, 65002)))
        await until(lambda: all(peers[a].routes() == own | up for a in ("10.1.0.4", "10.1.0.5")), LONG)
        assert all(peer.routes() == own | down for peer in spoke)

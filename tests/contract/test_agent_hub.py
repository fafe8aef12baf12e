"""An agent on a hub speaker: its clients' routes reach both instances of the Route Server, next hop unchanged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hopkeeper_agent import config, loading
from hopkeeper_agent.agent import Agent

from tests.contract.test_agent_exabgp import processes_ended
from tests.contract.test_render_daemons import ORDERS_MOST
from tests.contract.test_render_hubs import Moved, rendered
from tests.unit.agent.bgp_wire import ASN, PORT, Route, WirePeer, wire_peer
from tests.unit.agent.daemons import MISSING, real_daemon
from tests.unit.agent.stage import Member, advertise, fresh_address, new_signer, until
from tests.unit.test_render import INCLUDE, MIXED

LONG = 15.0
HUB = 65001
OWN, FIRST, SECOND, VIP = "100.0.0.200/32", "100.0.0.100/32", "100.0.0.101/32", "0.0.0.0/0"


@dataclass
class Site:
    """A hub speaker's agent, both instances, and two clients of ASN 65100 and 65101."""

    member: Member
    instances: list[WirePeer]
    clients: list[WirePeer]

    def agree(self, wanted: dict[str, Route]) -> bool:
        return all(peer.routes() == wanted for peer in self.instances)

    def client_tables(self) -> str:
        prefixes = ([FIRST, VIP], [SECOND, VIP])
        return "".join(
            f'[[speaker.clients]]\naddress = "{peer.address}"\nasn = {peer.asn}\nprefixes = {allowed}\n'
            for peer, allowed in zip(self.clients, prefixes, strict=True)
        ).replace("'", '"')

    def neighbour_tables(self) -> str:
        return "".join(f'[[speaker.neighbors]]\naddress = "{p.address}"\nasn = {ASN}\n' for p in self.instances)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Member]:
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    with processes_ended(member):
        yield member


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Member]:
    member = Member("nva-b", tmp_path / "nva-b", new_signer())
    with processes_ended(member):
        yield member


@asynccontextmanager
async def site(member: Member) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        instances = [await stack.enter_async_context(wire_peer(fresh_address())) for _ in range(2)]
        clients = [await stack.enter_async_context(wire_peer(fresh_address(), 65100 + n)) for n in range(2)]
        yield Site(member, instances, clients)


async def all_up(here: Site) -> None:
    await until(lambda: all(peer.up for peer in (*here.instances, *here.clients)), LONG)


def found(agent: Agent, name: str) -> str:
    return str(agent.status()["checks"].get(name, {}).get("value"))


async def test_exabgp_passes_clients_on_and_takes_them_back_with_their_sessions(embedded: Member) -> None:
    async with site(embedded) as here:
        first, second = here.clients
        member = here.member
        member.extra = f"""
[speaker]
kind = "exabgp"
address = "{member.address}"
asn = {HUB}
port = {PORT}
hold_time = 30
announces = ["{OWN}"]
{here.neighbour_tables()}
{here.client_tables()}
"""
        hop = "10.13.76.100"
        first.announces[FIRST] = Route(hop, (65100,))
        second.announces[SECOND] = Route("10.13.76.101", (65101, 65101))
        second.announces[FIRST] = Route("10.13.76.101", (65101,))  # not its own
        own = {OWN: Route(member.address, (HUB,))}
        passed = {
            FIRST: Route(hop, (HUB, 65100)),
            SECOND: Route("10.13.76.101", (HUB, 65101, 65101)),
        }
        async with member.running() as agent:
            await all_up(here)
            await until(lambda: here.agree(own | passed), LONG)
            await until(lambda: found(agent, "speaker-clients") == "ok", LONG)

            # The agent's own order goes before a client's route of the same prefix, and nothing goes to clients.
            first.tell(VIP, Route(hop, (65100,)))
            await until(lambda: here.agree(own | passed | {VIP: Route(hop, (HUB, 65100))}), LONG)
            assert (await member.send(advertise(1, [(VIP, "10.0.1.100", 1)])))[1]["reason"] is None
            await until(lambda: here.agree(own | passed | {VIP: Route("10.0.1.100", (HUB, HUB))}), LONG)
            sent = [{"prefix": VIP, "next_hop": "10.0.1.100", "prepend": 1}]
            assert [session["sent"] for session in agent.status()["sessions"].values()] == [sent, sent]
            assert (await member.send(advertise(2, [])))[1]["reason"] is None
            await until(lambda: here.agree(own | passed | {VIP: Route(hop, (HUB, 65100))}), LONG)
            assert not any(VIP in update.withdrawn for peer in here.instances for update in peer.updates)
            assert not any(client.updates for client in here.clients)

            first.announces.clear()
            first.cut()
            left = {SECOND: passed[SECOND]}
            await until(lambda: here.agree(own | left), LONG)

            # An instance that was away gets all of it again.
            instance = here.instances[0]
            instance.cut()
            await until(lambda: instance.sessions == 2 and here.agree(own | left), LONG)

        # ExaBGP goes on without an agent.
        second.take_back(SECOND)
        await until(lambda: here.agree(own), LONG)

        # A later agent takes the running one over.
        sessions = [peer.sessions for peer in here.instances]
        async with member.running() as agent:
            await until(lambda: found(agent, "speaker-clients") == "ok", LONG)
            second.tell(SECOND, Route("10.13.76.101", (65101,)))
            await until(lambda: here.agree(own | {SECOND: Route("10.13.76.101", (HUB, 65101))}), LONG)
        assert sessions == [peer.sessions for peer in here.instances]


async def test_a_client_with_an_agent_opens_the_session_itself(embedded: Member, client: Member) -> None:
    """An agent's ExaBGP listens on no port, except on a hub speaker with a client that opens its session."""
    hop = Route(client.address, (HUB, 65100))
    async with wire_peer(fresh_address()) as server:
        neighbour = '[[speaker.neighbors]]\naddress = "{}"\nasn = {}\n'
        speaker = '[speaker]\nkind = "exabgp"\naddress = "{}"\nasn = {}\nport = 1790\n'
        client_table = f'address = "{client.address}"\nasn = 65100\nprefixes = ["{FIRST}"]\nlisten = true\n'
        embedded.extra = speaker.format(embedded.address, HUB) + neighbour.format(server.address, ASN)
        embedded.extra += f"[[speaker.clients]]\n{client_table}"
        client.extra = speaker.format(client.address, 65100) + f'announces = ["{FIRST}"]\n'
        client.extra += neighbour.format(embedded.address, HUB)
        async with embedded.running(), client.running():
            await until(lambda: server.routes() == {FIRST: hop}, LONG)
        ended = loading.process(config.decode(client.toml()))
        assert ended is not None
        await ended.end()
        await until(lambda: server.routes() == {}, LONG)


async def test_exabgp_relays_what_is_named_with_our_asn_in_the_place_of_65515(embedded: Member) -> None:
    async with AsyncExitStack() as stack:
        hub = [await stack.enter_async_context(wire_peer(fresh_address())) for _ in range(2)]
        spoke = [await stack.enter_async_context(wire_peer(fresh_address())) for _ in range(2)]
        named = [[peer.address for peer in peers] for peers in (hub, spoke)]
        down, up = (
            f"[[speaker.relays]]\nfrom = {sources}\nto = {targets}\nprefixes = ['{prefix}']\n"
            for (sources, targets), prefix in ((named, "192.168.0.0/16"), (named[::-1], "10.20.0.0/16"))
        )
        here = Site(embedded, hub + spoke, [])
        embedded.extra = f"""
[speaker]
kind = "exabgp"
address = "{embedded.address}"
asn = {HUB}
port = {PORT}
as_override = true
{here.neighbour_tables()}
{down}{up}
"""
        hub[0].announces["192.168.0.0/16"] = Route("10.1.0.4", (ASN, ASN, 12076))
        hub[0].announces["10.99.0.0/16"] = Route("10.1.0.4", (ASN,))
        spoke[1].announces["10.20.0.0/16"] = Route("10.20.0.5", (ASN,))
        spoke[1].announces["192.168.0.0/16"] = Route("10.20.0.5", (ASN, 65002))
        below = {"192.168.0.0/16": Route(embedded.address, (HUB, HUB, HUB, 12076))}
        above = {"10.20.0.0/16": Route(embedded.address, (HUB, HUB))}
        async with embedded.running():
            await until(lambda: all(peer.routes() == below for peer in spoke), LONG)
            await until(lambda: all(peer.routes() == above for peer in hub), LONG)
            hub[0].announces.clear()
            hub[0].cut()
            await until(lambda: all(peer.routes() == {} for peer in spoke), LONG)


@pytest.mark.parametrize("kind", ["bird", "frr"])
async def test_a_daemon_of_the_operators_passes_on_what_the_agents_configuration_says_of_clients(
    kind: str, tmp_path: Path
) -> None:
    if (missing := MISSING[kind]) is not None:
        pytest.skip(missing)
    text = rendered(MIXED, "both", kind, {"rs-hub": "10.0.2.4,10.0.2.5"})
    moved = Moved(text, {a: fresh_address() for a in ("10.0.1.4", "10.0.2.4", "10.0.2.5", "10.0.1.5", "10.0.1.6")})
    own, *others = moved.addresses.values()
    async with AsyncExitStack() as stack:
        instances = [await stack.enter_async_context(wire_peer(address)) for address in others[:2]]
        clients = [await stack.enter_async_context(wire_peer(address, 65002)) for address in others[2:]]
        behind, silent = clients
        here = Site(Member("both", tmp_path / "both", new_signer(), address=own), instances, clients)
        daemon = stack.enter_context(real_daemon(kind, own, [peer.address for peer in instances]))
        daemon.configuration.write_text(
            moved.loopback(daemon, "10.0.1.4").replace(INCLUDE, str(daemon.folder / "hopkeeper.conf"))
        )

        def configure(first: str, second: str) -> None:
            clients = zip((behind, silent), (first, second), strict=True)
            here.member.extra = daemon.speaker() + "".join(
                f'[[speaker.clients]]\naddress = "{peer.address}"\nasn = 65002\nprefixes = [{allowed}]\n'
                for peer, allowed in clients
            )

        configure('"10.8.0.0/24", "10.9.0.0/24"', "")
        for prefix in ("10.8.0.0/24", "10.9.0.0/24"):
            behind.announces[prefix] = Route("10.0.1.5", (65002,))
        silent.announces["10.7.0.0/24"] = Route("10.0.1.6", (65002,))
        of = {prefix: Route("10.0.1.5", (HUB, 65002)) for prefix in ("10.8.0.0/24", "10.9.0.0/24")}
        async with here.member.running() as agent:
            if kind == "bird":
                # As on a machine: the file that is included must exist before BIRD starts.
                await until((daemon.folder / "hopkeeper.conf").exists, LONG)
            daemon.start()
            await all_up(here)
            await until(lambda: here.agree(of), LONG)
            await until(lambda: found(agent, "speaker-clients") == "ok", LONG)
            await ordered(here.member, [(VIP, "10.0.1.100", 0)])
            of[VIP] = Route("10.0.1.100", (HUB,))
            await until(lambda: here.agree(of), LONG)

        configure('"10.8.0.0/24"', '"10.7.0.0/24"')
        async with here.member.running() as agent:
            del of["10.9.0.0/24"]
            of["10.7.0.0/24"] = Route("10.0.1.6", (HUB, 65002))
            await until(lambda: here.agree(of), LONG)
            await until(lambda: found(agent, "speaker-configuration") == "ok", LONG)
            assert all(peer.sessions == 1 for peer in (*instances, *clients))

            # A daemon that starts anew begins with what the operator wrote.
            daemon.kill()
            daemon.start()
            await until(lambda: all(peer.sessions == 2 for peer in (*instances, *clients)) and here.agree(of), LONG)


async def ordered(member: Member, routes: list[tuple[str, str, int]]) -> None:
    """FRR holds back everything for some seconds after its start: the order may be given again."""
    for _ in range(ORDERS_MOST):
        _, reply = await member.send(advertise(1, routes))
        if reply["reason"] is None:
            return
    raise AssertionError(reply)

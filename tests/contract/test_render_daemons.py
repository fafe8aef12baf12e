"""A rendered configuration does what it says, on the wire of every instance: BIRD and FRR beside an agent, ExaBGP alone."""

import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.render import render
from tests.unit.agent.bgp_wire import ASN, PORT, Route, WirePeer, wire_peer
from tests.unit.agent.daemons import MISSING, RealBird, RealFrr, real_daemon
from tests.unit.agent.stage import Member, advertise, fresh_address, new_signer, until
from tests.unit.test_render import INCLUDE, SEVERAL, without_agents

LONG = 15.0
ORDERS_MOST = 5
BIRD_ON_LOOPBACK = "strict bind yes; connect delay time 1; connect retry time 1; error wait time 1, 2;"
GRACEFUL_RESTART = 64
FRONTEND, HOLDER = "10.0.1.100", "10.0.1.6"


def announced(address: str) -> list[tuple[str, str, int]]:
    """What nva-a of `SEVERAL` announces at rest, behind each kind of next hop: prefix, next hop, prepends."""
    own = [(prefix, address, 4) for prefix in ("172.16.0.0/12", "192.168.0.0/16")]
    return [("0.0.0.0/0", FRONTEND, 0), ("100.64.0.1/32", HOLDER, 3), *own]


def on_the_wire(address: str) -> dict[str, Route]:
    return {prefix: Route(hop, (65001,) * (1 + prepends)) for prefix, hop, prepends in announced(address)}


def rendered(vendor: str, address: str, instances: list[str], bare: bool = False) -> str:
    """`SEVERAL` with speaker and Route Servers moved to loopback; the holder of the VIP only has to be a next hop."""
    document = SEVERAL.replace("10.0.0.0/8", "127.0.0.0/8, 10.0.0.0/8").replace("10.0.1.4", address)
    first, second, third, fourth = map(IPv4Address, instances)
    given = {"rs-hub": (first, second), "rs-spoke": (third, fourth)}
    topology = decode(document, Place(allow_loopback=True))
    topology = without_agents(topology) if bare else topology
    return render(topology, "nva-a", vendor, given, {"egress": IPv4Address(FRONTEND)})


def on_loopback(daemon: RealBird | RealFrr, text: str) -> str:
    """What a daemon without root needs besides: the port of the other side, and no long waits."""
    if isinstance(daemon, RealBird):
        text = text.replace(INCLUDE, str(daemon.include)).replace("log syslog", "log stderr")
        text = text.replace("multihop;", f"multihop; {BIRD_ON_LOOPBACK}").replace(
            " as 65001;", f" port {PORT} as 65001;"
        )
        return text.replace(f" as {ASN};", f" port {PORT} as {ASN};")
    for peer in daemon.neighbours:
        more = "".join(f"\n neighbor {peer} {words}" for words in (f"port {PORT}", "timers connect 1"))
        text = text.replace(f"neighbor {peer} remote-as {ASN}", f"neighbor {peer} remote-as {ASN}{more}")
    return text


@asynccontextmanager
async def four_instances() -> AsyncIterator[list[WirePeer]]:
    async with AsyncExitStack() as stack:
        addresses = sorted((fresh_address() for _ in range(4)), key=IPv4Address)
        yield [await stack.enter_async_context(wire_peer(address)) for address in addresses]


@asynccontextmanager
async def beside_an_agent(kind: str, folder: Path, peers: list[WirePeer]) -> AsyncIterator[Member]:
    """The daemon as it was rendered, an agent beside it, and all sessions up."""
    member = Member("nva-a", folder / "nva-a", new_signer())
    instances = [peer.address for peer in peers]
    with real_daemon(kind, member.address, instances) as daemon:
        daemon.configuration.write_text(on_loopback(daemon, rendered(kind, member.address, instances)))
        member.extra = daemon.speaker()
        daemon.start()
        async with member.running() as agent:
            await until(lambda: {s["state"] for s in agent.status()["sessions"].values()} == {"established"}, LONG)
            yield member


async def acknowledged(member: Member, wanted: list[tuple[str, str, int]]) -> None:
    """FRR holds back everything for a second after a session came up (coalesce-time): the order may be given again."""
    for _ in range(ORDERS_MOST):
        status, reply = await member.send(advertise(1, wanted))
        if (status, reply["reason"]) == (200, None):
            return
    raise AssertionError(f"not acknowledged: {status} {reply}")


@contextmanager
def running_exabgp(folder: Path, text: str) -> Iterator[None]:
    configuration = folder / "exabgp.conf"
    configuration.write_text(text.replace("adj-rib-in", f"connect {PORT};\n    adj-rib-in"))
    settings = {"exabgp.daemon.drop": "false", "exabgp.tcp.port": str(PORT), "exabgp.api.cli": "false"}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("exabgp"), "server", configuration],
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["bird", "frr"])
async def test_every_instance_gets_what_the_agent_announces_and_no_prefix_of_no_service(
    kind: str, tmp_path: Path
) -> None:
    if (missing := MISSING[kind]) is not None:
        pytest.skip(missing)
    async with four_instances() as peers, beside_an_agent(kind, tmp_path, peers) as member:
        wanted, routes = announced(member.address), on_the_wire(member.address)
        await acknowledged(member, wanted)
        await until(lambda: all(peer.routes() == routes for peer in peers))
        assert all(GRACEFUL_RESTART not in peer.capabilities for peer in peers)

        _, reply = await member.send(advertise(1, [*wanted, ("198.51.100.0/24", FRONTEND, 0)], 2))
        assert reply["reason"] is not None, "a prefix of no service was acknowledged"
        assert all(peer.routes() == routes for peer in peers)


async def test_exabgp_alone_announces_every_service_at_rest_to_every_instance(tmp_path: Path) -> None:
    address = fresh_address()
    async with four_instances() as peers:
        with running_exabgp(tmp_path, rendered("exabgp", address, [peer.address for peer in peers])):
            await until(lambda: all(peer.routes() == on_the_wire(address) for peer in peers), LONG)
            assert all(GRACEFUL_RESTART not in peer.capabilities for peer in peers)


@pytest.mark.parametrize(("kind", "vendor"), [("frr", "frr"), ("frr", "opnsense-frr"), ("bird", "bird")])
async def test_a_daemon_without_an_agent_announces_every_service_at_rest_to_every_instance(
    kind: str, vendor: str
) -> None:
    if (missing := MISSING[kind]) is not None:
        pytest.skip(missing)
    address = fresh_address()
    async with four_instances() as peers:
        instances = [peer.address for peer in peers]
        with real_daemon(kind, address, instances) as daemon:
            daemon.configuration.write_text(on_loopback(daemon, rendered(vendor, address, instances, bare=True)))
            daemon.start()
            await until(lambda: all(peer.routes() == on_the_wire(address) for peer in peers), LONG)
            assert all(GRACEFUL_RESTART not in peer.capabilities for peer in peers)

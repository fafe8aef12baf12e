"""`hopkeeper verify` as an operator runs it: the real command, the real SDK, over the simulator.

The case is the published one, ten NVAs behind two hub speakers ("beyond eight peers").
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from function_app.adapters.storage.local import DocumentsInDirectory
from function_app.domain.topology.laws import Place
from function_app.reconcile.store.topologies import Topologies
from simulator.seeds import HubSeed, hub_seed
from simulator.server import Simulator, SimulatorConfig

ROOT = Path(__file__).parents[2]
INSTANCES = ("10.13.76.4", "10.13.76.5")
HUBS = {"hub-1": "10.13.76.84", "hub-2": "10.13.76.85"}
NVAS = range(100, 110)
DIRECT = "direct: over storage and ARM; --app URL uses a running app"
SEED = HubSeed(backends=(), route_server="rs", instances=INSTANCES)


def document() -> dict[str, Any]:
    hubs = [
        {"name": n, "address": a, "asn": 65000, "role": "hub", "peersWith": ["rs"], "interface": nic(n)}
        for n, a in HUBS.items()
    ]
    nvas = [
        {
            "name": f"nva-{n}",
            "address": f"10.13.76.{n}",
            "asn": 65000 + n,
            "peersWith": list(HUBS),
            "announces": [f"100.0.0.{n}/32"],
        }
        for n in NVAS
    ]
    return {
        "schema": "hopkeeper/v1",
        "name": "ten",
        "networks": ["10.13.76.0/24"],
        "routeServers": [{"name": "rs", "id": SEED.route_server_id, "branchToBranch": False}],
        "speakers": [*hubs, *nvas],
        "timing": {"doubtPoll": "PT0.3S", "verifyEvery": "PT60S"},
    }


def nic(name: str) -> str:
    return f"{SEED.network_scope}/networkInterfaces/{name}-nic"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    seed = hub_seed(SEED)
    for name, address in HUBS.items():
        facts = {"peerIp": address, "peerAsn": 65000}
        seed["resources"].append(
            {"id": f"{SEED.route_server_id}/bgpConnections/hopkeeper-ten_{name}", "properties": facts}
        )
        seed["resources"].append({"id": nic(name), "location": "uksouth"})
    async with Simulator(SimulatorConfig(seed, time_factor=100)) as running:
        for instance in map(IPv4Address, INSTANCES):
            for address in HUBS.values():
                running.world.bgp.up(instance, IPv4Address(address))
        for n in NVAS:
            announced(running, n, f"10.13.76.{n}", HUBS.values())
        yield running


def announced(sim: Simulator, n: int, next_hop: str, hubs: Any) -> None:
    """What the hubs pass on of one NVA, to both instances."""
    for instance in map(IPv4Address, INSTANCES):
        for hub in map(IPv4Address, hubs):
            network, path = IPv4Network(f"100.0.0.{n}/32"), (65000, 65000 + n)
            sim.world.bgp.announced((instance, hub), [network], IPv4Address(next_hop), path)


@pytest.fixture
async def environment(sim: Simulator, tmp_path: Path) -> dict[str, str]:
    """What a deployment sets; the topology is in force."""
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "app.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    await Topologies(DocumentsInDirectory(tmp_path / "storage"), Place()).apply(yaml.safe_dump(document()))
    return {
        **os.environ,
        "AzureWebJobsStorage": f"directory:{tmp_path / 'storage'}",
        "HOPKEEPER_SIGNING_KEY": f"file:{tmp_path / 'app.key'}",
        "HOPKEEPER_ARM_ENDPOINT": sim.url,
        "HOPKEEPER_CA_FILE": str(sim.ca_path),
        "IDENTITY_ENDPOINT": f"{sim.url}/msi/token",
        "IDENTITY_HEADER": "lab",
        "SSL_CERT_FILE": str(sim.ca_path),
    }


async def hopkeeper(environment: dict[str, str], *words: str, mixed: bool = False) -> tuple[int | None, list[str]]:
    """`mixed`: something on standard output and something on standard error are both expected, and shown in this order."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "function_app.cli", *words),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    lines = error.decode().splitlines()
    said = [line for line in lines if line != DIRECT]
    assert len(lines) - len(said) <= 1, "it says once that it goes over storage and ARM"
    assert mixed or not (out and said), "what is left open complains at the end"
    return process.returncode, [*out.decode().splitlines(), *said]


async def test_ten_nvas_behind_two_hubs_are_verified_and_each_fault_is_a_row(
    sim: Simulator, environment: dict[str, str]
) -> None:
    status, lines = await hopkeeper(environment, "verify", "ten", "--routes")
    assert [line.split() for line in lines[1:-3]] == [
        [instance, f"100.0.0.{n}/32", f"10.13.76.{n}", f"65000-{65000 + n}", address, f"rs/{hub}"]
        for instance in INSTANCES
        for hub, address in HUBS.items()
        for n in NVAS
    ]
    assert (status, lines[-3]) == (0, "0 wrong, 0 to know; everything was answered"), lines
    assert lines[-1] == "6 of 60 write tokens spent in the last 60 s"

    announced(sim, 104, HUBS["hub-2"], [HUBS["hub-2"]])
    for instance in map(IPv4Address, INSTANCES):
        sim.world.bgp.withdrawn((instance, IPv4Address(HUBS["hub-1"])), [IPv4Network("100.0.0.107/32")])
    status, lines = await hopkeeper(environment, "verify", "ten", "--fresh")
    assert status == 1
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["wrong", "rs", "hub-lacks-client"],
        ["wrong", "rs", "hub-next-hop"],
        ["wrong", "rs", "one-hub"],
    ]
    assert lines[4] == "3 wrong, 0 to know; everything was answered"
    assert not any(r.method in ("PUT", "DELETE") for r in sim.requests)


async def test_a_topology_that_is_not_there_is_bad_input(environment: dict[str, str]) -> None:
    status, lines = await hopkeeper(environment, "verify", "eleven")
    assert status == 2
    assert "eleven" in lines[0]

"""A dual-homed spoke with ExpressRoute, end to end over the simulated ARM: peerings, flags and what relays bring.

A Route Server in the spoke and one in the hub, and an NVA that passes the spoke's prefix up and on-premises' down.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.effective_routes import EffectiveRoutesOverArm
from function_app.adapters.arm.learned_routes import AdvertisedRoutesOverArm, LearnedRoutesOverArm
from function_app.adapters.arm.network_flags import NetworkFlagsOverArm
from function_app.adapters.arm.route_server import RouteServersOverArm
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.passes.slow import slow_pass
from function_app.reconcile.store.topologies import InForce
from simulator.seeds import HubSeed, hub_seed
from simulator.server import Simulator, SimulatorConfig
from tests.builders import text
from tests.contract.adapters_azure import azure_at, until
from tests.fakes import FakeClock, FakeDocuments, FakeWorld, make_ports

SPOKE = HubSeed(backends=(), route_server="rs-spoke", instances=("10.1.0.4", "10.1.0.5"))
HUB = HubSeed(backends=(), route_server="rs-hub", instances=("10.0.0.4", "10.0.0.5"))
PEERING = f"{HUB.network_scope}/virtualNetworks/vnet-spoke/virtualNetworkPeerings/to-hub"
NVA = IPv4Address("10.0.1.4")
UP, DOWN = "10.1.0.0/16", "172.16.0.0/12"


def topology(as_override: bool) -> Topology:
    relays = [
        {"from": "rs-spoke", "to": "rs-hub", "prefixes": [UP]},
        {"from": "rs-hub", "to": "rs-spoke", "prefixes": [DOWN]},
    ]
    servers = ["rs-spoke", "rs-hub"]
    nva: dict[str, Any] = {"name": "nva-1", "address": str(NVA), "asn": 65001, "peersWith": servers, "relays": relays}
    return decode(
        text(
            {
                "schema": "hopkeeper/v1",
                "name": "dual",
                "networks": ["10.0.0.0/15"],
                "routeServers": [
                    {"name": "rs-spoke", "id": SPOKE.route_server_id},
                    {
                        "name": "rs-hub",
                        "id": HUB.route_server_id,
                        "branchToBranch": True,
                        "routingPreference": "ASPath",
                        "owned": True,
                    },
                ],
                "speakers": [nva | {"asOverride": as_override}],
                "networkPeerings": [{"name": "spoke-to-hub", "id": PEERING, "useRemoteGateways": False, "owned": True}],
            }
        ),
        Place(),
    )


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    seed = hub_seed(SPOKE)
    seed["resources"] += hub_seed(HUB)["resources"][:1]
    remote = {"id": f"{HUB.network_scope}/virtualNetworks/vnet-hub"}
    facts = {"useRemoteGateways": True, "remoteVirtualNetwork": remote, "allowForwardedTraffic": True}
    seed["resources"].append({"id": PEERING, "location": "uksouth", "properties": facts})
    seed["vnetPrefixes"] = {SPOKE.route_server_id: [UP], HUB.route_server_id: [DOWN]}
    async with Simulator(SimulatorConfig(seed, time_factor=400)) as running:
        yield running


@pytest.fixture
async def azure(sim: Simulator) -> AsyncIterator[Azure]:
    async with azure_at(sim.url, sim.ca_path) as clients:
        yield clients


class Spoke:
    """Slow passes over the simulated ARM, each when nothing is under way there any more."""

    def __init__(self, sim: Simulator, azure: Azure, desired: Topology) -> None:
        self.sim, self.desired = sim, desired
        self.documents, self.clock = FakeDocuments(), FakeClock()
        self.ports = replace(
            make_ports(FakeWorld(desired), self.documents, self.clock),
            route_servers=RouteServersOverArm(azure),
            learned_routes=LearnedRoutesOverArm(azure),
            advertised_routes=AdvertisedRoutesOverArm(azure),
            effective_routes=EffectiveRoutesOverArm(azure),
            network_flags=NetworkFlagsOverArm(azure),
        )

    async def slow(self) -> list[str]:
        """One pass; the writes that it made."""
        before = len(self.sim.requests)
        self.clock.at += self.desired.timing.doubt_poll
        self.outcome = await slow_pass(self.ports, InForce(self.desired, "g1"), "test")
        writes = [r.path.rpartition("/")[2] for r in list(self.sim.requests)[before:] if r.method in ("PUT", "DELETE")]
        await until(lambda: all(o.status != "InProgress" for o in self.sim.world.state.operations.values()))
        return writes

    async def settle(self) -> list[list[str]]:
        """Passes until one has nothing left to do and every request for routes was sent and answered since; all their writes."""
        writes, began = [], self.clock.at
        for _ in range(12):
            writes.append(await self.slow())
            answers = [at and datetime.fromisoformat(at) for at in self.seen["routes"]["answers"].values()]
            if self.outcome.ending is Ending.CONVERGED and all(at and at > began for at in answers):
                return [made for made in writes if made]
        raise AssertionError(f"not settled: {self.outcome}")

    @property
    def seen(self) -> dict[str, Any]:
        seen: dict[str, Any] = json.loads(self.documents.stored["status/dual.json"].body)
        return seen

    def findings(self) -> list[tuple[str, str]]:
        return [(f["kind"], f["where"]) for part in ("routes", "networks") for f in self.seen[part]["findings"]]


async def test_peerings_come_first_then_flags_one_write_a_pass_and_drops_are_predicted_before(
    sim: Simulator, azure: Azure
) -> None:
    spoke = Spoke(sim, azure, topology(as_override=False))
    name = "hopkeeper-dual_nva-1"
    assert await spoke.settle() == [[name, name], ["to-hub"], ["rs-hub"]]  # one write at a time per Route Server
    assert sim.world.state.resources.get(PEERING)["properties"]["useRemoteGateways"] is False  # type: ignore[index]
    hub = sim.world.state.resources.get(HUB.route_server_id)
    assert hub is not None
    assert hub["properties"]["allowBranchToBranchTraffic"] is True
    assert hub["properties"]["hubRoutingPreference"] == "ASPath"
    assert spoke.findings() == [("dropped", "rs-hub"), ("dropped", "rs-spoke")]


async def test_with_override_what_a_relay_brings_is_found_when_it_is_missing_looped_or_right(
    sim: Simulator, azure: Azure
) -> None:
    spoke = Spoke(sim, azure, topology(as_override=True))
    await spoke.settle()
    assert spoke.findings() == [("missing", "rs-spoke"), ("missing", "rs-hub")]
    for middle, wanted in ((65515, [("loop", "rs-spoke")]), (65001, [])):
        relayed(sim, HUB, UP, (65001, 65001))
        relayed(sim, SPOKE, DOWN, (65001, middle, 12076))
        spoke.clock.at += spoke.desired.timing.verify_every
        await spoke.settle()
        assert spoke.findings() == wanted
    assert spoke.seen["routes"]["verified"] is True


def relayed(sim: Simulator, to: HubSeed, prefix: str, path: tuple[int, ...]) -> None:
    for instance in map(IPv4Address, to.instances):
        sim.world.bgp.up(instance, NVA)
        sim.world.bgp.announced((instance, NVA), [IPv4Network(prefix)], NVA, path)

"""`hopkeeper init`: the first topology of what is in the simulated Azure, through the real adapters.

Each document is taken as it is, lint has no error of it, and a plan over the same Azure has nothing to do.
"""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from function_app import wiring
from function_app.adapters.arm.client import Azure
from function_app.adapters.storage.local import DocumentsInDirectory
from function_app.adapters.storage.queue import WakeUpsInDirectory
from function_app.domain.base.errors import BadInput, Unavailable
from function_app.domain.preflight.rule import Severity
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from function_app.reconcile.inventory import take_inventory
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import UseCases
from function_app.settings import Settings, StorageSettings
from function_app.views.first_topology import first_topology
from simulator.seeds import HubSeed, Probe, hub_seed, load_balancer
from simulator.server import Simulator, SimulatorConfig
from tests.contract.adapters_azure import HurriedClock, azure_at
from tests.contract.test_verify_command import hopkeeper

PAIR = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
ALONE = HubSeed(backends=())
FRONTEND = IPv4Address(PAIR.frontend)
DEFAULT = "0.0.0.0/0"
FACTOR = 100
RECORDINGS = Path(__file__).parents[1] / "fixtures" / "recordings"
EMPTY_GROUP = f"/subscriptions/{PAIR.subscription}/resourceGroups/rg-empty"


def seeded(seed: HubSeed, peers: Iterable[tuple[str, str, int]], *more: dict[str, Any]) -> dict[str, Any]:
    """The seed with a peering for each name, address and AS, and more resources."""
    made = hub_seed(seed)
    for name, address, asn in peers:
        facts = {"peerIp": address, "peerAsn": asn}
        made["resources"].append({"id": f"{seed.route_server_id}/bgpConnections/{name}", "properties": facts})
    made["resources"] += more
    return made


@dataclass(frozen=True)
class Brownfield:
    """A simulated Azure that is not managed yet, and what an operator has at hand."""

    sim: Simulator
    azure: Azure
    directory: Path

    def learned(self, peer: str, prefixes: Sequence[str], next_hop: str, path: tuple[int, ...]) -> None:
        """What both instances learned from a peer."""
        for instance in map(IPv4Address, ALONE.instances):
            self.sim.world.bgp.up(instance, IPv4Address(peer))
            networks = [IPv4Network(prefix) for prefix in prefixes]
            self.sim.world.bgp.announced((instance, IPv4Address(peer)), networks, IPv4Address(next_hop), path)

    async def init(self, resource: str = PAIR.route_server_id, *groups: str) -> str:
        sources = wiring.sources_over(self.azure, HurriedClock(FACTOR))
        text = first_topology(await take_inventory(sources, resource, groups))
        assert {r.method for r in self.sim.requests} <= {"GET", "POST"}
        assert all(r.path.endswith("/learnedRoutes") for r in self.sim.requests if r.method == "POST")
        return text

    async def checked(self, text: str) -> Topology:
        """The document as `check` takes it; `lint` has no error of it, and `plan` has nothing to do."""
        topology = decode(text, Place())
        use_cases = await self.use_cases()
        errors = [f for f in (await use_cases.lint(topology)).findings if f.severity is Severity.ERROR]
        assert errors == []
        await use_cases.apply(text)
        plan = await use_cases.plan(topology.name)
        assert [(p.steps, p.refused) for p in plan.peerings] == [((), ())]
        assert (plan.networks.steps, plan.networks.refused, plan.services) == ((), (), ())
        return topology

    async def use_cases(self) -> UseCases:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        settings = Settings(storage=StorageSettings(directory=self.directory), signing_key=pem)
        clock, documents = HurriedClock(FACTOR), DocumentsInDirectory(self.directory)
        wake_ups = WakeUpsInDirectory(self.directory, "wake-ups", clock)
        ports = wiring.ports_over(settings, self.azure, clock, documents, wake_ups)
        return UseCases(ports, Topologies(documents, Place()))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@asynccontextmanager
async def brownfield(seed: dict[str, Any], directory: Path) -> AsyncIterator[Brownfield]:
    async with (
        Simulator(SimulatorConfig(seed, time_factor=FACTOR)) as sim,
        azure_at(sim.url, sim.ca_path) as azure,
    ):
        yield Brownfield(sim, azure, directory)


def of_the_pair(seed: HubSeed = PAIR) -> list[tuple[str, str, int]]:
    return [("FortiGate_A", "10.0.1.4", 65001), ("to-fw.b", "10.0.1.5", 65001)]


def with_services(text: str) -> str:
    """The document once an operator uses its services: without `# `, and their prefixes in no `announces`."""
    written, _, commented = text.partition("# services:\n")
    plain = "services:\n" + "".join(line.removeprefix("# ") for line in commented.splitlines(keepends=True))
    kept = [line for line in written.splitlines(keepends=True) if DEFAULT not in line and "announces:" not in line]
    return "".join(kept) + plain


async def test_a_pair_behind_a_load_balancer_keeps_its_peerings_and_could_be_one_service(directory: Path) -> None:
    async with brownfield(seeded(PAIR, of_the_pair()), directory) as there:
        for _, address, asn in of_the_pair():
            there.learned(address, [DEFAULT], str(FRONTEND), (asn,))
        text = await there.init()
        topology = await there.checked(text)
        use_cases = await there.use_cases()
        assert (await use_cases.verify(topology.name)).sound
        await use_cases.apply(with_services(text))
        with_service = await use_cases.plan(topology.name)
    assert [(p.steps, p.refused) for p in with_service.peerings] == [((), ())]
    assert [(s.next, s.effects) for s in with_service.services] == [("learn", ())]
    assert topology.route_servers[0].adopt == {"fortigate-a": "FortiGate_A", "to-fw-b": "to-fw.b"}
    assert [(s.name, s.agent, s.announces) for s in topology.speakers] == [
        ("fortigate-a", None, (IPv4Network(DEFAULT),)),
        ("to-fw-b", None, (IPv4Network(DEFAULT),)),
    ]
    assert "nextHop: {address: 10.0.1.100}}  # frontend fe of lb-nva" in text
    (service,) = decode(with_services(text), Place()).services
    assert service.names == ("fortigate-a", "to-fw-b")
    assert service.load_balancer is not None
    assert (service.load_balancer.frontend, service.load_balancer.backend_pool) == ("fe", "nvas")
    assert service.prefixes == (IPv4Network(DEFAULT),)


async def test_a_pair_whose_next_hop_is_itself_could_be_a_self_service_once_it_has_agents(directory: Path) -> None:
    peers = [("a", "10.0.2.4", 65001), ("b", "10.0.2.5", 65001)]
    async with brownfield(seeded(ALONE, peers), directory) as there:
        for _, address, asn in peers:
            there.learned(address, [DEFAULT, "10.9.0.0/16"], address, (asn, asn))
        text = await there.init()
        topology = await there.checked(text)
    assert [s.announces for s in topology.speakers] == [(IPv4Network(DEFAULT), IPv4Network("10.9.0.0/16"))] * 2
    assert all(own.next_hop is None for s in topology.speakers for own in s.own)
    assert "#       self: {}" in text
    with pytest.raises(BadInput, match="has no agent"):
        decode(with_services(text).replace("      - 10.9.0.0/16\n", ""), Place())


async def test_a_hub_with_eight_peers_has_eight_speakers_and_no_service(directory: Path) -> None:
    peers = [(f"sdwan{n}", f"10.0.2.{n}", 65000 + n) for n in range(10, 18)]
    async with brownfield(seeded(ALONE, peers), directory) as there:
        for n, (_, address, asn) in enumerate(peers):
            there.learned(address, [f"10.{100 + n}.0.0/16"], address, (asn,))
            there.learned(address, ["172.16.0.0/12"], address, (asn, 65400))
        text = await there.init(ALONE.route_server_id.rpartition("/providers/")[0])
        topology = await there.checked(text)
    assert [len(s.announces) for s in topology.speakers] == [1] * 8
    assert text.count("It passes 1 prefixes of other ASs on, such as 172.16.0.0/12 by") == 8
    assert "# No service of what was read:" in text


async def test_a_route_server_without_peers_is_an_error_that_says_so(directory: Path) -> None:
    async with brownfield(seeded(PAIR, []), directory) as there:
        with pytest.raises(BadInput, match=r"rs-hub: nothing to write down: .*it has no peering"):
            await there.init()


async def test_an_address_of_the_pool_that_no_peer_has_is_named(directory: Path) -> None:
    seed = HubSeed(backends=(*PAIR.backends, ("old-fw", "10.0.1.9")))
    async with brownfield(seeded(seed, of_the_pair()), directory) as there:
        there.learned("10.0.1.4", [DEFAULT], str(FRONTEND), (65001,))
        text = await there.init()
        await there.checked(text)
    assert "# # 10.0.1.9 is in the pool and no speaker here" in text
    assert "# # to-fw-b does not announce 0.0.0.0/0 with this next hop" in text


async def test_members_of_a_pool_of_interfaces_are_found_by_their_interface(directory: Path) -> None:
    fleet = f"{PAIR.network_scope.replace('Microsoft.Network', 'Microsoft.Compute')}/virtualMachineScaleSets/fleet"
    machine = f"{fleet}/virtualMachines/0"
    interfaces = {
        "10.0.1.4": f"{PAIR.network_scope}/networkInterfaces/nva-a-nic",
        "10.0.1.5": f"{machine}/networkInterfaces/nic",
    }
    pool = [
        {
            "name": f"n{address}",
            "properties": {
                "ipAddress": address,
                "networkInterfaceIPConfiguration": {"id": f"{own}/ipConfigurations/ipconfig1"},
            },
        }
        for address, own in interfaces.items()
    ]
    own = f"{PAIR.network_scope}/loadBalancers/lb-nics"
    balancer = load_balancer(own, ("fe", "10.0.1.200"), ("nics", pool), ("agent", Probe()))
    async with brownfield(seeded(PAIR, of_the_pair(), balancer), directory) as there:
        shown = there.sim.world.state.resources.get(own)
        assert shown is not None
        for item in shown["properties"]["backendAddressPools"][0]["properties"]["loadBalancerBackendAddresses"]:
            del item["properties"]["ipAddress"]
        there.sim.world.scale_sets.add(fleet, "0", "10.0.1.5")
        for _, address, asn in of_the_pair():
            there.learned(address, [DEFAULT], "10.0.1.200", (asn,))
        text = await there.init()
        await there.checked(text)
    assert "backendPool: nics" in text
    assert "members: [{speaker: fortigate-a}, {speaker: to-fw-b}]" in text


ONLY_THE_ROUTE_SERVER = [
    {
        "scope": f"/subscriptions/{PAIR.subscription}",
        "actions": ["Microsoft.Network/virtualHubs/*", "Microsoft.Network/locations/*"],
    }
]
GROUP = PAIR.route_server_id.partition("/providers/")[0]


async def test_load_balancers_that_may_not_be_read_are_a_comment_that_names_the_right(directory: Path) -> None:
    seed = seeded(PAIR, of_the_pair())
    async with brownfield(seed | {"permissions": ONLY_THE_ROUTE_SERVER}, directory) as there:
        for _, address, asn in of_the_pair():
            there.learned(address, [DEFAULT], str(FRONTEND), (asn,))
        text = await there.init()
    topology = decode(text, Place())
    assert [s.announces for s in topology.speakers] == [(IPv4Network(DEFAULT),)] * 2
    head = unwrapped(text.partition("schema:")[0])
    assert f"members of them: {GROUP}: listing the load balancers of rg-hub: 403 AuthorizationFailed" in head
    assert "'Microsoft.Network/loadBalancers/read'" in head
    assert "# No service of what was read" in text


async def test_a_group_that_was_named_and_may_not_be_read_is_an_error(directory: Path) -> None:
    seed = seeded(PAIR, of_the_pair())
    async with brownfield(seed | {"permissions": ONLY_THE_ROUTE_SERVER}, directory) as there:
        with pytest.raises(Unavailable, match=r"listing the load balancers of rg-hub: 403 AuthorizationFailed.*read"):
            await there.init(PAIR.route_server_id, f"{GROUP.replace('resourceGroups', 'ResourceGroups')}/")


def unwrapped(text: str) -> str:
    return " ".join(line.lstrip("# ") for line in text.splitlines())


@pytest.mark.parametrize(
    "own", ["networkInterfaces/gone", "virtualMachineScaleSets/gone/virtualMachines/0/networkInterfaces/n"]
)
async def test_an_interface_of_a_pool_that_is_gone_is_a_comment_and_the_rest_is_written(
    own: str, directory: Path
) -> None:
    """Of the load balancer that matters, and of another one that has nothing to do with it."""
    gone = [{"id": f"{PAIR.network_scope}/{own}/ipConfigurations/ipconfig1"}]
    other = load_balancer(
        f"{PAIR.network_scope}/loadBalancers/lb-other", ("fe", "10.0.9.9"), ("old", []), ("p", Probe())
    )
    other["properties"]["backendAddressPools"][0]["properties"] = {"backendIPConfigurations": gone}
    seed = seeded(PAIR, of_the_pair(), other)
    async with brownfield(seed, directory) as there:
        shown = there.sim.world.state.resources.get(PAIR.load_balancer_id)
        assert shown is not None
        addresses = shown["properties"]["backendAddressPools"][0]["properties"]["loadBalancerBackendAddresses"]
        facts = {"networkInterfaceIPConfiguration": gone[0], "adminState": "None"}
        addresses.append({"name": "gone", "properties": facts})
        for _, address, asn in of_the_pair():
            there.learned(address, [DEFAULT], str(FRONTEND), (asn,))
        text = await there.init()
        await there.checked(text)
    assert "members: [{speaker: fortigate-a}, {speaker: to-fw-b}]" in text
    head = text.partition("schema:")[0]
    assert head.count("Could not be read") == 1
    shown_as = f"{PAIR.network_scope}/{own}/ipconfigurations/ipconfig1".casefold()
    assert f"{shown_as} is in the pool, and could not be read: whether it is a speaker here" in unwrapped(text)


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ("rs-hub", "is neither the id of a Route Server"),
        (PAIR.load_balancer_id, "is neither the id of a Route Server"),
        (f"{PAIR.route_server_id}x", "rg-hub has no Route Server rs-hubx; it has .*/rs-hub, .*/rs-two"),
        (
            PAIR.route_server_id.rpartition("/providers/")[0],
            "rg-hub has several: name one; it has .*/rs-hub, .*/rs-two",
        ),
        (EMPTY_GROUP, "rg-empty has no Route Server; it has none"),
        (f"{EMPTY_GROUP}x", "404 ResourceGroupNotFound: Resource group 'rg-emptyx' could not be found"),
    ],
)
async def test_what_is_not_one_route_server_is_refused_by_name(resource: str, said: str, directory: Path) -> None:
    two = {"id": f"{PAIR.network_scope}/virtualHubs/rs-two", "properties": {}}
    seed = {**seeded(PAIR, of_the_pair(), two), "resourceGroups": [EMPTY_GROUP]}
    async with brownfield(seed, directory) as there:
        with pytest.raises((BadInput, Unavailable), match=said):
            await there.init(resource)


async def test_names_that_no_document_takes_are_changed_and_the_connections_are_named_as_they_are(
    directory: Path,
) -> None:
    names = ["123", "null", "FortiGate_A", "fortigate-a", "rs-hub", "Hopkeeper-RS-Hub_fw-a", "a." * 40]
    peers = [(name, f"10.0.2.{n}", 65010) for n, name in enumerate(names, 4)]
    async with brownfield(seeded(ALONE, peers), directory) as there:
        topology = await there.checked(await there.init())
    found = {str(s.address): s.name for s in topology.speakers}
    assert [found[address] for _, address, _ in peers] == [
        *("nva-123", "nva-null", "fortigate-a-2", "fortigate-a", "rs-hub-2", "fw-a"),
        "a-a-a-a-a-a-a-a-a-a-a-a-a-a-a",
    ]
    assert set(topology.route_servers[0].adopt.values()) == {*names} - {"Hopkeeper-RS-Hub_fw-a"}


async def test_peerings_that_could_not_be_taken_over_are_left_out_and_named(directory: Path) -> None:
    """One that is being written is taken over: a write in progress counts as done."""
    peers = [*of_the_pair(), ("hopkeeper-other_x", "10.0.2.11", 65012), ("broken", "10.0.2.12", 65013)]
    async with brownfield(seeded(PAIR, peers), directory) as there:
        fresh = there.sim.world.state.resources.get(f"{PAIR.route_server_id}/bgpConnections/to-fw.b")
        assert fresh is not None
        fresh["properties"]["provisioningState"] = "Updating"
        broken = there.sim.world.state.resources.get(f"{PAIR.route_server_id}/bgpConnections/broken")
        assert broken is not None
        broken["properties"]["provisioningState"] = "Failed"
        text = await there.init()
        fresh["properties"]["provisioningState"] = "Succeeded"
        topology = await there.checked(text)
    assert [s.name for s in topology.speakers] == ["fortigate-a", "to-fw-b"]
    assert "peering 'hopkeeper-other_x' (10.0.2.11, AS 65012): its name is that of another topology" in text
    assert "peering 'broken' (10.0.2.12, AS 65013): it is Failed" in text
    assert "# What it announces could not be read, or not all of it: its peering is Updating" in text


async def test_a_public_load_balancer_with_odd_names_and_one_with_two_frontends_are_said(directory: Path) -> None:
    """Beside them an address of IPv6, a next hop of another group, one that is another peer, and a peer without routes."""
    public = load_balancer(
        f"{PAIR.network_scope}/loadBalancers/plb",
        ("pub", ""),
        (
            "out: side",
            [{"name": n, "properties": {"ipAddress": a}} for n, a in (("a", "10.0.1.4"), ("six", "fd00::4"))],
        ),
        ("123", Probe()),
    )
    public["tags"] = {"env": "prod # x"}
    peers = [*of_the_pair(), ("sdwan", "10.0.2.9", 65010), ("quiet", "10.0.2.10", 65011)]
    async with brownfield(seeded(PAIR, peers, public), directory) as there:
        balancer = there.sim.world.state.resources.get(PAIR.load_balancer_id)
        assert balancer is not None
        facts = balancer["properties"]
        facts["frontendIPConfigurations"].append({"name": "fe2", "properties": {"privateIPAddress": "10.0.1.101"}})
        second = {**facts["loadBalancingRules"][0]["properties"], "frontendIPConfiguration": {"id": "/fe2"}}
        facts["loadBalancingRules"].append({"name": "second", "properties": second})
        for _, address, asn in of_the_pair():
            there.learned(address, [DEFAULT], str(FRONTEND), (asn,))
            there.learned(address, ["10.50.0.0/16"], "10.0.1.101", (asn,))
        there.learned("10.0.2.9", ["10.60.0.0/16"], "10.0.1.4", (65010,))
        there.learned("10.0.2.9", ["10.61.0.0/16"], "10.77.0.4", (65010,))
        text = await there.init()
        await there.checked(text)
    assert text.count("# # several frontends send to pool nvas, which can have one service") == 2
    assert 'backendPool: "out: side"\n#             probe: "123"' in text
    assert "# # to-fw-b: not in pool out: side of plb, unless by an address that `addresses` has to name there" in text
    assert "10.60.0.0/16, nextHop: {address: 10.0.1.4}}  # fortigate-a" in text
    assert "10.61.0.0/16, nextHop: {address: 10.77.0.4}}  # of nothing that was read" in text


async def test_routes_that_may_not_be_read_are_a_comment(directory: Path) -> None:
    seed = seeded(PAIR, of_the_pair())
    seed["permissions"] = [{"scope": f"/subscriptions/{PAIR.subscription}", "actions": ["*/read"]}]
    async with brownfield(seed, directory) as there:
        text = await there.init()
        await there.checked(text)
    assert text.count("# What it announces could not be read, or not all of it: requesting") == 2


# --- recorded resources (tests/fixtures/SOURCES.md) ------------------------------------------------------------------------


def recorded(name: str) -> Any:
    return json.loads((RECORDINGS / f"{name}.json").read_text())


RECORDED = HubSeed(
    backends=(), route_server="ps1737", subscription="8c992d64-fce9-426d-b278-85642dfeab03", group="ps1636"
)
INTERNAL = recorded("LoadBalancerTest.test_internal")


async def test_a_recorded_peering_without_routes_keeps_its_name(directory: Path) -> None:
    (peering,) = [
        each["body"]
        for each in recorded("route-server-peer")
        if each["method"] == "GET" and "Succeeded" in json.dumps(each["body"]) and "peerIp" in json.dumps(each["body"])
    ]
    seed = hub_seed(RECORDED)
    seed["resources"].append(peering)
    async with brownfield(seed, directory) as there:
        topology = await there.checked(await there.init(RECORDED.route_server_id))
    (speaker,) = topology.speakers
    assert topology.route_servers[0].adopt == {speaker.name: "ps9050"}
    assert (str(speaker.address), speaker.asn, speaker.own) == ("192.168.1.5", 20000, ())


async def test_recorded_load_balancers_are_read_and_no_service_is_made_of_a_rule_without_a_probe(
    directory: Path,
) -> None:
    """The rule of the recorded internal one has none; its pool shows network interfaces alone, the recorded public ones no
    private address. The interface itself was not recorded."""
    nic = next(iter(INTERNAL["properties"]["backendAddressPools"]))["properties"]["backendIPConfigurations"][0]["id"]
    configuration = {"id": nic, "properties": {"privateIPAddress": "10.240.255.5"}}
    others = recorded("LoadBalancerTest.test_find_by_name")[0]["body"]["value"]
    more = [{"id": nic.partition("/ipConfigurations/")[0], "properties": {"ipConfigurations": [configuration]}}]
    async with brownfield(
        seeded(RECORDED, [("master", "10.240.255.5", 65001)], INTERNAL, *others, *more), directory
    ) as there:
        there.learned("10.240.255.5", ["10.7.0.0/16"], "10.240.255.15", (65001,))
        groups = {each["id"].partition("/providers/")[0] for each in (INTERNAL, *others)}
        text = await there.init(RECORDED.route_server_id, *groups)
        await there.checked(text)
    whose = "frontend k8s-master-internal-lbfrontend-c02b7042 of k8s-master-internal-lb-C02B7042"
    assert f"10.7.0.0/16, nextHop: {{address: 10.240.255.15}}}}  # {whose}" in text
    assert "# No service of what was read:" in text


async def test_a_recorded_internal_load_balancer_with_a_probed_rule_gives_a_service(directory: Path) -> None:
    balancer = deepcopy(INTERNAL)
    facts = balancer["properties"]
    facts["loadBalancingRules"][0]["properties"]["probe"] = {"id": facts["probes"][0]["id"]}
    nic = facts["backendAddressPools"][0]["properties"]["backendIPConfigurations"][0]["id"]
    interface = {
        "id": nic.partition("/ipConfigurations/")[0],
        "properties": {"ipConfigurations": [{"id": nic, "properties": {"privateIPAddress": "10.240.255.5"}}]},
    }
    async with brownfield(
        seeded(RECORDED, [("master", "10.240.255.5", 65001)], balancer, interface), directory
    ) as there:
        there.learned("10.240.255.5", [DEFAULT], "10.240.255.15", (65001,))
        text = await there.init(RECORDED.route_server_id, INTERNAL["id"].partition("/providers/")[0])
        await there.checked(text)
    (service,) = decode(with_services(text), Place()).services
    assert service.load_balancer is not None
    assert (service.load_balancer.probe, service.names) == ("tcpHTTPSProbe", ("master",))


async def test_a_recorded_network_interface_shows_who_is_in_a_pool(directory: Path) -> None:
    nic = recorded("NetworkInterfaceTest.test_find_by_default_routes")[0]["body"]["value"][0]
    own = f"{RECORDED.network_scope}/loadBalancers/lb"
    (configuration,) = nic["properties"]["ipConfigurations"]
    balancer = load_balancer(own, ("fe", "10.1.0.100"), ("nics", []), ("probe", Probe()))
    balancer["properties"]["backendAddressPools"][0]["properties"] = {
        "backendIPConfigurations": [{"id": configuration["id"]}]
    }
    async with brownfield(seeded(RECORDED, [("fw", "10.1.0.4", 65001)], nic, balancer), directory) as there:
        there.learned("10.1.0.4", [DEFAULT], "10.1.0.100", (65001,))
        text = await there.init(RECORDED.route_server_id)
        await there.checked(text)
    assert "# 10.1.0.4 is in the pool" not in text
    assert "members: [{speaker: fw}]" in text


async def test_a_recorded_hub_of_a_virtual_wan_is_no_route_server(directory: Path) -> None:
    hub = next(each["body"] for each in recorded("virtual-hub") if each["method"] == "PATCH")
    async with brownfield({"resources": [hub]}, directory) as there:
        with pytest.raises(BadInput, match="rgname has no Route Server virtualhubx76dc116f; it has none"):
            await there.init(hub["id"])


async def test_the_command_writes_a_file_that_check_lint_and_plan_take(tmp_path: Path) -> None:
    async with brownfield(seeded(PAIR, of_the_pair()), tmp_path / "storage") as there:
        for _, address, asn in of_the_pair():
            there.learned(address, [DEFAULT], str(FRONTEND), (asn,))
        arm = {
            "HOPKEEPER_ARM_ENDPOINT": there.sim.url,
            "HOPKEEPER_CA_FILE": str(there.sim.ca_path),
            "IDENTITY_ENDPOINT": f"{there.sim.url}/msi/token",
            "IDENTITY_HEADER": "lab",
            "SSL_CERT_FILE": str(there.sim.ca_path),
        }
        file = tmp_path / "first.yaml"
        words = ("init", PAIR.route_server_id, "--out", str(file))
        assert (await hopkeeper(arm, *words))[0] == 0
        before = file.read_text()
        status, said = await hopkeeper(arm, *words)
        assert status == 2
        assert "is there already: nothing was written" in said[-1]
        assert file.read_text() == before
        assert (await hopkeeper(arm, "check", str(file)))[0] == 0
        status, said = await hopkeeper(arm, "init", "rs-hub")
        assert status == 2
        await there.checked(before)

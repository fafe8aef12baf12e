"""What stopping a machine does in the simulated Azure to its BGP sessions and to its load balancer's probes."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from simulator.clock import VirtualClock
from simulator.data_plane import probed
from simulator.machines import VERBS
from simulator.resources import Json
from simulator.seeds import HubSeed, Probe, hub_seed
from simulator.world import World

WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")), probe=Probe(interval_seconds=5, threshold=2))
PEER = IPv4Address("10.0.1.4")
INSTANCES = tuple(map(IPv4Address, WANTED.instances))
COMPUTE = WANTED.network_scope.replace("Microsoft.Network", "Microsoft.Compute")
STOPPED = ("deallocate", "poweroff")


class Azure:
    """Two members that announce and answer probes."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.world = World(self.clock, hub_seed(WANTED, alert_threshold=None))
        for name, address in WANTED.backends:
            identifier = f"{WANTED.route_server_id}/bgpConnections/{name}"
            self.world.adopt({"id": identifier, "properties": {"peerIp": address, "peerAsn": 65001}})
            for instance in INSTANCES:
                self.announce(instance, IPv4Address(address))
        up = {address: probed(True, None) for _, address in WANTED.backends}
        self.world.data_plane.report(WANTED.load_balancer, up)

    def announce(self, instance: IPv4Address, peer: IPv4Address) -> None:
        self.world.bgp.up(instance, peer)
        self.world.bgp.announced((instance, peer), [IPv4Network("0.0.0.0/0")], peer, (65001,))

    def machine(self) -> Json:
        document = self.world.state.resources.get(f"{COMPUTE}/virtualMachines/nva-a")
        assert document is not None
        return document

    def begin(self, verb: str) -> None:
        self.world.machines.begin(self.machine(), VERBS[verb])

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.world.settle()

    def up(self) -> list[str]:
        rule = self.world.state.resources.get(WANTED.load_balancer_id)
        assert rule is not None
        health = self.world.data_plane.health(WANTED.load_balancer_id, rule["properties"]["loadBalancingRules"][0])
        return [row["ipAddress"] for row in health["loadBalancerBackendAddresses"] if row["state"] == "Up"]

    def power(self) -> str:
        return self.world.machines.power(self.machine())

    def sessions(self) -> list[bool]:
        return [self.world.bgp.is_established(instance, PEER) for instance in INSTANCES]


@pytest.fixture
def azure() -> Azure:
    return Azure()


@pytest.mark.parametrize("verb", STOPPED)
def test_a_machine_that_is_stopped_loses_its_sessions_and_routes_at_once(azure: Azure, verb: str) -> None:
    azure.begin(verb)
    assert azure.sessions() == [False, False]
    assert [azure.world.bgp.routes(instance, PEER) for instance in INSTANCES] == [[], []]
    assert PEER not in {peer.address for peer in azure.world.route_servers.peers()}


@pytest.mark.parametrize("verb", STOPPED)
def test_a_machine_that_is_stopped_is_found_down_after_as_many_probes_as_it_takes(azure: Azure, verb: str) -> None:
    azure.begin(verb)
    azure.after(9)
    assert azure.up() == ["10.0.1.4", "10.0.1.5"]
    azure.after(1)
    assert azure.up() == ["10.0.1.5"]


def test_a_machine_that_is_off_is_down_whoever_reports_that_it_answered(azure: Azure) -> None:
    azure.begin("deallocate")
    azure.after(10)
    azure.world.data_plane.report(WANTED.load_balancer, {"10.0.1.4": probed(True, None)})
    assert azure.up() == ["10.0.1.5"]


def test_a_machine_that_is_started_answers_probes_and_may_peer_again_once_it_runs(azure: Azure) -> None:
    azure.begin("deallocate")
    azure.after(60)
    assert azure.power() == "deallocated"
    azure.begin("start")
    assert azure.power() == "starting"
    azure.after(19)
    assert azure.up() == ["10.0.1.5"]
    azure.after(1)
    assert azure.power() == "running"
    assert PEER in {peer.address for peer in azure.world.route_servers.peers()}
    assert azure.sessions() == [False, False]  # its speaker opens them
    azure.after(10)
    assert azure.up() == ["10.0.1.4", "10.0.1.5"]


def test_a_restart_interrupts_a_machine_that_runs_and_a_start_does_not(azure: Azure) -> None:
    azure.begin("start")
    assert azure.sessions() == [True, True]
    azure.begin("restart")
    assert azure.sessions() == [False, False]
    azure.after(29)
    assert azure.up() == ["10.0.1.5"]
    azure.after(30)
    assert azure.power() == "running"
    assert azure.up() == ["10.0.1.4", "10.0.1.5"]


def test_a_machine_that_is_deleted_is_off_for_good(azure: Azure) -> None:
    azure.world.remove(azure.machine()["id"])
    assert azure.sessions() == [False, False]
    azure.after(10)
    assert azure.up() == ["10.0.1.5"]

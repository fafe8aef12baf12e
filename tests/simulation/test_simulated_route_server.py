"""Peerings of the simulated Route Server on virtual time, through its wire format."""

import json
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from lab.kit.credential import authorization
from simulator import arm
from simulator.clock import VirtualClock
from simulator.seeds import HubSeed, hub_seed
from simulator.wire import Reply, Request
from simulator.world import World

WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
INSTANCES = tuple(IPv4Address(address) for address in WANTED.instances)
HOST = "https://arm.example"


class Azure:
    """A world on virtual time that is talked to as ARM."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.world = World(self.clock, hub_seed(WANTED, alert_threshold=None))

    def call(self, method: str, url: str, body: Any = None, **headers: str) -> Reply:
        path, _, _ = url.removeprefix(HOST).partition("?")
        content = b"" if body is None else json.dumps(body).encode()
        named = authorization() | {name.replace("_", "-").lower(): value for name, value in headers.items()}
        return arm.answer(self.world, Request(method, path, {"api-version": "2025-05-01"}, named, content, HOST))

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.world.settle()

    def put_peering(self, name: str, address: str, asn: int = 65001) -> Reply:
        return self.call("PUT", peering(name), {"properties": {"peerIp": address, "peerAsn": asn}})


def peering(name: str) -> str:
    return f"{WANTED.route_server_id}/bgpConnections/{name}"


def code(reply: Reply) -> str:
    return str(reply.body["error"]["code"])


@pytest.fixture
def azure() -> Azure:
    return Azure()


def test_a_peering_takes_eighty_seconds(azure: Azure) -> None:
    assert azure.put_peering("a", "10.0.1.4").status == 201
    azure.pass_seconds(79.9)
    assert azure.call("GET", peering("a")).body["properties"]["provisioningState"] == "Updating"
    azure.pass_seconds(0.1)
    assert azure.call("GET", peering("a")).body["properties"]["provisioningState"] == "Succeeded"


def test_the_same_put_again_is_answered_without_an_operation(azure: Azure) -> None:
    azure.put_peering("a", "10.0.1.4")
    azure.pass_seconds(80)
    again = azure.put_peering("a", "10.0.1.4")
    assert again.status == 200
    assert "Azure-AsyncOperation" not in again.headers


def test_connection_state_is_what_the_world_says_and_no_write_changes_it(azure: Azure) -> None:
    """Read-only in the specification; no recording of a Route Server has it."""
    azure.put_peering("a", "10.0.1.4")
    azure.pass_seconds(80)
    seen = azure.call("GET", peering("a")).body["properties"]
    assert "connectionState" not in seen
    seen["connectionState"] = "NotConnected"
    azure.call("PUT", peering("a"), {"properties": {**seen, "connectionState": "Connected"}})
    assert azure.call("GET", peering("a")).body["properties"]["connectionState"] == "NotConnected"


@pytest.mark.parametrize(("address", "asn"), [("10.0.1.5", 65001), ("10.0.1.4", 65002)])
def test_address_and_asn_cannot_be_changed_in_place(azure: Azure, address: str, asn: int) -> None:
    azure.put_peering("a", "10.0.1.4")
    azure.pass_seconds(80)
    assert azure.put_peering("a", address, asn).status == 400
    assert azure.call("GET", peering("a")).body["properties"]["peerIp"] == "10.0.1.4"


@pytest.mark.parametrize(
    ("busy", "status", "expected"),
    [("conflict", 409, "AnotherOperationInProgress"), ("throttle", 429, "RetryableErrorDueToAnotherOperation")],
)
def test_one_write_at_a_time_on_a_route_server(azure: Azure, busy: str, status: int, expected: str) -> None:
    azure.world.set_faults({"busy": busy})
    azure.put_peering("a", "10.0.1.4")
    refused = azure.put_peering("b", "10.0.1.5")
    assert (refused.status, code(refused)) == (status, expected)
    assert azure.call("DELETE", peering("a")).status == status
    azure.pass_seconds(80)
    assert azure.put_peering("b", "10.0.1.5").status == 201


def test_a_ninth_peer_is_refused_whatever_state_the_others_are_in(azure: Azure) -> None:
    for number in range(8):
        assert azure.put_peering(f"p{number}", f"10.0.2.{number + 1}").status == 201
        azure.pass_seconds(80)
    assert azure.put_peering("p8", "10.0.2.99").status == 400
    azure.call("DELETE", peering("p0"))
    azure.world.set_faults({"busy": "conflict"})
    assert azure.put_peering("p8", "10.0.2.99").status == 409
    azure.pass_seconds(80)
    assert azure.put_peering("p8", "10.0.2.99").status == 201


def test_a_peering_that_is_not_there_is_deleted_with_204(azure: Azure) -> None:
    assert azure.call("DELETE", peering("nobody")).status == 204


@pytest.mark.parametrize("asn", [65515, 8074, 64500, 0, 65536])
def test_reserved_and_four_byte_asns_are_refused(azure: Azure, asn: int) -> None:
    assert azure.put_peering("a", "10.0.1.4", asn).status == 400


@pytest.mark.parametrize("address", [str(INSTANCES[0]), "168.63.129.16", "169.254.1.1"])
def test_an_address_that_is_azure_s_own_is_no_peer(azure: Azure, address: str) -> None:
    assert azure.put_peering("a", address).status == 400


def test_two_peerings_cannot_have_one_address(azure: Azure) -> None:
    azure.put_peering("a", "10.0.1.4")
    azure.pass_seconds(80)
    assert azure.put_peering("b", "10.0.1.4").status == 400


def test_a_route_server_whose_routing_is_not_provisioned_takes_no_peer(azure: Azure) -> None:
    hub = azure.world.state.resources.get(WANTED.route_server_id)
    assert hub is not None
    hub["properties"]["routingState"] = "Provisioning"
    refused = azure.put_peering("a", "10.0.1.4")
    assert code(refused) == "HubBgpConnectionParentHubMustHaveProvisionedRoutingState"


def test_a_failed_write_leaves_a_failed_peering_that_still_counts(azure: Azure) -> None:
    azure.world.set_faults({"writes": "fail"})
    url = azure.put_peering("a", "10.0.1.4").headers["Azure-AsyncOperation"]
    azure.pass_seconds(80)
    assert azure.call("GET", url).body["status"] == "Failed"
    assert azure.call("GET", peering("a")).body["properties"]["provisioningState"] == "Failed"
    assert azure.world.route_servers.peers() == []
    assert len(azure.world.route_servers.peerings(WANTED.route_server_id)) == 1


def test_a_peer_speaks_only_while_its_peering_has_succeeded(azure: Azure) -> None:
    azure.put_peering("a", "10.0.1.4")
    assert azure.world.route_servers.peers() == []
    azure.pass_seconds(80)
    (peer,) = azure.world.route_servers.peers()
    assert (peer.address, peer.instances) == (IPv4Address("10.0.1.4"), INSTANCES)
    azure.call("DELETE", peering("a"))
    assert azure.world.route_servers.peers() == []


def routes(azure: Azure, name: str, kind: str = "learnedRoutes") -> dict[str, Any]:
    url = azure.call("POST", f"{peering(name)}/{kind}").headers["Location"]
    assert azure.call("GET", url).status == 202
    azure.pass_seconds(10)
    answer = azure.call("GET", url)
    assert answer.status == 200
    assert isinstance(answer.body, dict)
    return answer.body


def learn(azure: Azure, peer: str, *as_path: int) -> None:
    for instance in INSTANCES:
        ends = (instance, IPv4Address(peer))
        azure.world.bgp.up(*ends)
        azure.world.bgp.announced(ends, [IPv4Network("0.0.0.0/0")], IPv4Address("10.0.1.100"), as_path)


def test_either_role_may_carry_either_instance(azure: Azure) -> None:
    azure.put_peering("a", "10.0.1.4")
    azure.pass_seconds(80)
    learn(azure, "10.0.1.4", 65001)
    seen = [routes(azure, "a")["RouteServiceRole_IN_0"][0]["localAddress"] for _ in range(2)]
    assert sorted(seen) == [str(instance) for instance in INSTANCES]


def test_a_learned_route_is_answered_as_recorded(azure: Azure) -> None:
    azure.put_peering("a", "10.0.1.4")
    azure.pass_seconds(80)
    learn(azure, "10.0.1.4", 65001, 65001)
    assert routes(azure, "a")["RouteServiceRole_IN_0"] == [
        {
            "localAddress": WANTED.instances[0],
            "network": "0.0.0.0/0",
            "nextHop": "10.0.1.100",
            "sourcePeer": "10.0.1.4",
            "origin": "EBgp",
            "asPath": "65001-65001",
            "weight": 32768,
        }
    ]


def test_a_lost_session_takes_its_routes_with_it(azure: Azure) -> None:
    azure.put_peering("a", "10.0.1.4")
    azure.pass_seconds(80)
    learn(azure, "10.0.1.4", 65001)
    azure.world.bgp.down(INSTANCES[0], IPv4Address("10.0.1.4"))
    found = [route["localAddress"] for role in routes(azure, "a").values() for route in role]
    assert found == [str(INSTANCES[1])]


def test_an_instance_without_routes_can_be_null(azure: Azure) -> None:
    azure.put_peering("a", "10.0.1.4")
    azure.pass_seconds(80)
    assert routes(azure, "a") == {"RouteServiceRole_IN_0": [], "RouteServiceRole_IN_1": []}
    azure.world.set_faults({"null_routes": True})
    assert routes(azure, "a") == {"RouteServiceRole_IN_0": None, "RouteServiceRole_IN_1": None}


def test_what_one_peer_announces_is_advertised_to_the_other(azure: Azure) -> None:
    azure.put_peering("a", "10.0.1.4")
    azure.pass_seconds(80)
    azure.put_peering("b", "10.0.1.5", 65002)
    azure.pass_seconds(80)
    learn(azure, "10.0.1.4", 65001)
    azure.world.bgp.up(INSTANCES[0], IPv4Address("10.0.1.5"))
    rows = routes(azure, "b", "advertisedRoutes")["RouteServiceRole_IN_0"]
    assert {(row["network"], row["asPath"], row["weight"]) for row in rows} == {
        ("10.0.0.0/16", "65515", 0),
        ("0.0.0.0/0", "65515-65001", 0),
    }


def test_ids_are_compared_without_case(azure: Azure) -> None:
    azure.put_peering("a", "10.0.1.4")
    shouted = peering("a").upper().replace("/SUBSCRIPTIONS/", "/subscriptions/")
    assert azure.call("GET", shouted).body["name"] == "a"


def test_reads_run_dry_and_fill_again(azure: Azure) -> None:
    left = [azure.call("GET", WANTED.route_server_id) for _ in range(251)]
    assert [reply.headers["x-ms-ratelimit-remaining-subscription-reads"] for reply in left[:2]] == ["249", "248"]
    assert [reply.status for reply in left[-2:]] == [200, 429]
    assert left[-1].headers["Retry-After"] == "1"
    azure.pass_seconds(1)
    assert azure.call("GET", WANTED.route_server_id).headers["x-ms-ratelimit-remaining-subscription-reads"] == "24"

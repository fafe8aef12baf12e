"""Preflight at the edges of its rules: the value that is still good beside the first that is not, and one after another."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import msgspec
import pytest

from function_app.domain.preflight import egress
from function_app.domain.preflight.facts import AppSubnetFacts, ArmFacts, Rehearsed, RouteFacts
from function_app.domain.preflight.rule import Fault, LintFinding, Need, Severity
from function_app.domain.preflight.summary import LACKING
from function_app.domain.service.balancer import AddressFacts, PoolFacts
from tests.builders import NOW, SUB
from tests.unit.preflight_world import INSTANCES, World
from tests.unit.test_preflight import foreign, second_pool

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
POOL = "$.services[0].nextHop.loadBalancer.backendPool"


def found(world: World, rule: str) -> list[LintFinding]:
    return [finding for finding in world.report().findings if finding.rule == rule]


def places(world: World, rule: str) -> list[tuple[Severity, str]]:
    return [(finding.severity, finding.path) for finding in found(world, rule)]


def test_every_need_can_be_judged() -> None:
    assert set(LACKING) == set(Need)


# --- the load balancer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "threshold", "late"), [(5, 2, False), (10, 1, False), (11, 1, True), (6, 2, True)]
)
def test_a_probe_may_take_ten_seconds(interval: int, threshold: int, late: bool) -> None:
    world = World.clean()
    world.probe(interval_seconds=interval, threshold=threshold)
    assert bool(found(world, "probe-timing")) is late


def test_a_service_is_judged_although_the_one_before_it_has_no_such_probe_or_pool() -> None:
    world = World.clean()
    for service in ("fw", "transit"):
        seen = world.facts.arm.balancers[service] if world.facts.arm else None
        assert seen is not None
        slow = msgspec.structs.replace(seen.probes[0], interval_seconds=15, path="/elsewhere")
        world.balancer(service, probes=(slow,), pools=seen.pools if service == "fw" else ())
    world.probe(name="gone")
    world.balancer("fw", pools=())
    world.rule("transit", probe=None)
    assert [path for _, path in places(world, "probe")] == [
        "$.services[0].nextHop.loadBalancer.probe",
        "$.services[1].nextHop.loadBalancer.probe",
    ]
    assert [path for _, path in places(world, "probe-timing")] == ["$.services[1].nextHop.loadBalancer.probe"]
    assert [path for _, path in places(world, "probed-rules")] == ["$.services[1].nextHop.loadBalancer.probe"]
    assert [path for _, path in places(world, "members-in-pool")] == [
        "$.services[0].nextHop.loadBalancer.backendPool",
        "$.services[1].nextHop.loadBalancer.backendPool",
    ]


@pytest.mark.parametrize(
    ("port", "wrong"),
    [
        (22, "its port is 22, where standbys answer as well"),
        (179, "its port is 179, where standbys answer as well"),
        (8443, "its port is 8443, where standbys answer as well"),
        (9000, None),
    ],
)
def test_where_no_agent_says_its_probe_port_any_will_do_at_which_no_standby_answers(
    port: int, wrong: str | None
) -> None:
    world = World.clean()
    for name in ("nva-a", "nva-b"):
        world.speaker(name)["agent"] = {"port": 8443}
    world.probe(port=port)
    assert [finding.what for finding in found(world, "probe")] == (
        [f"probe hopkeeper is not the agent's: {wrong}"] if wrong else []
    )


def test_a_member_without_an_address_in_the_pool_is_found_by_the_name_of_its_backend() -> None:
    world = World.clean()
    first, _ = world.addresses()
    world.service("fw")["members"][1]["backend"] = "NIC-B"
    world.pool(first, AddressFacts(name="nic-b"))
    assert found(world, "members-in-pool") == []
    world.pool(first, AddressFacts(name="nic-b", ip=IPv4Address("10.0.1.77")))
    missing, stranger = found(world, "members-in-pool")
    assert missing.what.startswith("nva-b (10.0.1.5) is not in pool")
    assert stranger.what.startswith("nic-b (10.0.1.77) is in pool")
    world.pool(first, AddressFacts(name="nic-c"), AddressFacts(name="nic-b"))
    assert found(world, "members-in-pool") == []


def test_an_address_of_the_pool_that_is_no_members_is_named_where_the_pool_shows_its_ip() -> None:
    world = World.clean()
    world.pool(*world.addresses(), AddressFacts(name="old", ip=IPv4Address("10.0.1.66")))
    (stranger,) = found(world, "members-in-pool")
    assert stranger.what == "old (10.0.1.66) is in pool nvas, and no member"
    assert stranger.severity == "error"
    world = World.clean()
    world.pool(*world.addresses(), AddressFacts(name="old", ip=IPv4Address("10.0.1.66"), is_down=True))
    (harmless,) = found(world, "members-in-pool")
    assert harmless.severity == "info"
    world = World.clean()
    world.pool(*world.addresses(), AddressFacts(name="old", interface="/nics/old/ipconfigurations/one"))
    assert found(world, "members-in-pool") == []


def test_a_backend_s_name_is_no_other_address_s() -> None:
    world = World.clean()
    second_pool(world)
    world.service("fw")["members"][1]["backend"] = "there"
    (rule, ssh) = world.facts.arm.balancers["fw"].rules if world.facts.arm else ()
    there = PoolFacts(name="nvas", addresses=world.addresses())
    hidden = PoolFacts(name="admin", addresses=(AddressFacts(name="elsewhere"), AddressFacts(name="")))
    world.balancer(pools=(there, hidden), rules=(rule, ssh))
    assert found(world, "one-pool") == []
    named = PoolFacts(name="admin", addresses=(AddressFacts(name="There"),))
    world.balancer(pools=(there, named), rules=(rule, ssh))
    assert found(world, "one-pool") == []


def test_the_one_member_that_is_in_a_second_pool_is_named() -> None:
    world = World.clean()
    second_pool(world)
    also = ["nva-a is also in pool admin"]
    assert [finding.what for finding in found(world, "one-pool")] == also
    world.balancer(pools=(PoolFacts(name="admin", addresses=world.addresses()[:1]),))
    assert [finding.what for finding in found(world, "one-pool")] == also


def test_a_member_is_in_a_second_pool_by_the_interface_of_the_backend_that_has_its_name() -> None:
    world = World.clean()
    second_pool(world)
    first, *_ = world.addresses()
    world.service("fw")["members"][1]["backend"] = "NIC-B"
    hidden = tuple(AddressFacts(name=f"nic-{x}", interface=f"/{x}/ipconfigurations/one") for x in "cb")
    (rule, ssh) = world.facts.arm.balancers["fw"].rules if world.facts.arm else ()
    pools = (PoolFacts(name="nvas", addresses=(first, *hidden)), PoolFacts(name="admin", addresses=hidden[1:]))
    world.balancer(pools=pools, rules=(rule, ssh))
    assert [finding.what for finding in found(world, "one-pool")] == ["nva-b is also in pool admin"]


def test_only_an_active_active_service_needs_its_clients_kept_together() -> None:
    world = World.clean()
    world.rule("fw", distribution="Default")
    world.service("fw").pop("snat")
    assert found(world, "distribution") == []
    for kept_together in ("SourceIP", "SourceIPProtocol"):
        world.rule("transit", distribution=kept_together)
        assert found(world, "distribution") == []
    world.rule("transit", distribution="Default")
    assert len(found(world, "distribution")) == 1
    world.service("transit")["snat"] = True
    assert found(world, "distribution") == []


def test_only_a_service_that_has_one_holder_and_a_load_balancer_is_rehearsed() -> None:
    world = World.clean()
    world.facts = replace(world.facts, rehearsals=dict.fromkeys(("fw", "transit", "vpn")))
    assert places(world, "rehearsal") == [(WARNING, "$.services[0]")]
    failed = Rehearsed(member="nva-b", at=NOW, seconds=60, failed="403")
    passed = Rehearsed(member="nva-b", at=NOW, seconds=6)
    world.service("transit")["mode"] = "active-passive"
    world.facts = replace(world.facts, rehearsals={"fw": passed, "transit": failed})
    assert places(world, "rehearsal") == [(WARNING, "$.services[1]")]
    assert found(world, "rehearsal")[0].what.endswith("the rehearsal on nva-b failed: 403")
    world.facts = replace(world.facts, rehearsals={"transit": failed})
    assert places(world, "rehearsal") == [(WARNING, "$.services[1]")]


# --- routes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "late"), [(30, False), (31, True)])
def test_a_dead_announcer_attracts_traffic_for_thirty_seconds_at_most(seconds: int, late: bool) -> None:
    world = World.clean()
    world.doc["timing"]["bgpHold"] = f"PT{seconds}S"
    assert [finding.what for finding in found(world, "hold-time")] == (
        ["the path of a dead announcer of vpn attracts traffic for 31 s"] if late else []
    )


def test_a_hold_time_that_an_agent_reports_is_the_documents() -> None:
    world = World.clean()
    world.doc["timing"]["bgpHold"] = "PT30S"
    agents = {n: replace(a, hold_time=timedelta(seconds=30)) for n, a in world.facts.agents.items()}
    world.facts = replace(world.facts, agents=agents)
    assert found(world, "hold-time") == []
    world.facts = replace(
        world.facts, agents=agents | {"nva-a": replace(agents["nva-a"], hold_time=timedelta(seconds=90))}
    )
    assert [f.what for f in found(world, "hold-time")] == ["nva-a reports a hold time of 90 s, bgpHold says 30 s"]


@pytest.mark.parametrize(("seconds", "late"), [(180, False), (181, True)])
def test_where_every_path_names_a_frontend_the_hold_time_is_what_a_route_server_offers(
    seconds: int, late: bool
) -> None:
    world = World.clean()
    world.doc["services"].pop()
    world.doc["timing"]["bgpHold"] = f"PT{seconds}S"
    assert [finding.what for finding in found(world, "hold-time")] == (
        ["181 s is longer than a Route Server offers"] if late else []
    )


def test_a_speaker_that_announces_for_itself_has_a_path_that_outlives_it() -> None:
    world = World.clean()
    world.doc["services"].pop()
    world.speaker("ws1")["announces"] = ["192.168.0.0/16"]
    world.doc["timing"]["bgpHold"] = "PT60S"
    assert [f.what for f in found(world, "hold-time")] == [
        "the path of a dead announcer of ws1 attracts traffic for 60 s"
    ]


def test_one_member_that_announces_alone_is_named_where_it_stands() -> None:
    world = World.clean()
    world.service("vpn")["members"].pop()
    assert places(world, "two-advertisers") == [(WARNING, "$.services[2].members")]


def test_a_prefix_inside_a_network_that_only_azure_knows_is_found() -> None:
    world = World.clean()
    world.interface("nva-a", network=(IPv4Network("192.168.0.0/15"),))
    (inside,) = found(world, "prefix-in-network")
    assert inside.what == "192.168.0.0/16 lies inside 192.168.0.0/15, a network of the topology"


@pytest.mark.parametrize(
    ("speaker", "announces", "expected"),
    [("nva-a", [], True), ("nva-c", [], False), ("nva-c", ["0.0.0.0/0"], True), ("ws1", [], False)],
)
def test_only_who_carries_the_default_route_can_learn_its_own(
    speaker: str, announces: list[str], expected: bool
) -> None:
    world = World.clean()
    if announces:
        world.service("fw")["prefixes"] = ["10.200.0.0/16"]
    world.speaker(speaker)["announces"] = announces
    world.interface(speaker, default_route=False)
    assert bool(found(world, "default-route-udr")) is expected
    world.interface(speaker, propagates=False)
    assert found(world, "default-route-udr") == []


@pytest.mark.parametrize(
    ("prefixes", "severity"),
    [(["192.168.0.0/16"], ERROR), (["192.168.0.1/32"], WARNING), (["192.168.0.1/32", "192.168.1.0/24"], ERROR)],
)
def test_who_announces_single_addresses_may_be_their_end_and_need_not_forward(
    prefixes: list[str], severity: Severity
) -> None:
    world = World.clean()
    world.service("vpn")["prefixes"] = prefixes
    world.interface("ws2", forwards=False)
    assert places(world, "ip-forwarding") == [(severity, "$.speakers[5].interface")]


def test_who_is_no_member_need_not_forward() -> None:
    world = World.clean()
    world.service("vpn")["members"].pop()
    world.interface("ws2", forwards=False)
    assert found(world, "ip-forwarding") == []


def test_a_session_is_judged_with_every_route_server_that_is_known() -> None:
    world = World.clean()
    world.speaker("nva-a")["peersWith"] = ["rs", "rs-far"]
    near, far = INSTANCES["rs"], INSTANCES["rs-far"]
    world.agent("nva-a", sessions={near[0]: True, near[1]: True, far[0]: False})
    assert [(f.severity, f.what) for f in found(world, "both-instances")] == [
        (ERROR, "nva-a has no session with 10.9.2.5 of rs-far")
    ]
    readings = dict(world.facts.route_servers)
    readings["rs"] = replace(readings["rs"], instances=near[:1])
    world.facts = replace(world.facts, route_servers=readings)
    world.agent("nva-a", sessions={far[0]: False, far[1]: True})
    assert [(f.severity, f.what) for f in found(world, "both-instances")] == [
        (WARNING, "nva-a is not Established with 10.9.2.4 of rs-far")
    ]
    world.facts = replace(World.clean().facts, agents={"ws2": world.facts.agents["nva-a"]})
    assert [f.path for f in found(world, "both-instances")] == ["$.speakers[5].peersWith"]


def test_only_peerings_of_others_take_room_from_ours() -> None:
    world = World.clean()
    (own,) = [p for p in world.facts.route_servers["rs"].peerings if p.address == IPv4Address("10.0.1.4")]
    others = foreign(3)
    world.doc["routeServers"][0]["adopt"] = {"nva-a": others[0].name.upper()}
    moved = replace(others[1], address=own.address)
    gone = replace(others[2], name="hopkeeper-hub_gone")
    world.peerings("rs", others[0], moved, gone)
    assert found(world, "peer-budget") == []
    world.peerings("rs", *foreign(5)[3:])
    (over,) = found(world, "peer-budget")
    assert over.what == "7 peerings of this topology and 2 of others (theirs-3, theirs-4) are more than the 8 of rs"


def test_a_full_route_server_of_ours_alone_names_no_others() -> None:
    world = World.clean()
    world.doc["timing"]["peersMax"] = 7
    (full,) = found(world, "peer-budget")
    assert full.what == "7 peerings of this topology take all 7 of rs"


def test_a_speaker_without_peers_announces_to_none() -> None:
    world = World.clean()
    watch = {"name": "watch", "address": "10.0.1.30", "asn": 65030, "role": "witness", "peersWith": []}
    world.doc["speakers"].append(watch | {"agent": {"port": 8443}})
    world.doc["timing"]["prefixesPerPeer"] = 1
    assert "$.speakers[7]" not in {path for _, path in places(world, "prefix-budget")}


def test_a_hub_sends_its_own_prefixes_its_services_and_its_clients() -> None:
    world = World.clean()
    world.speaker("relay")["role"] = "hub"
    world.speaker("relay")["announces"] = ["100.70.0.0/24"]
    world.speaker("ws1")["peersWith"] = ["rs", "relay"]
    world.doc["timing"]["prefixesPerPeer"] = 2
    assert next(f.what for f in found(world, "prefix-budget")) == (
        "relay announces 3 prefixes, a Route Server takes 2 from a peer"
    )


@pytest.mark.parametrize(
    ("hop", "prefixes", "severity"),
    [
        ({"member": {"announcers": ["ws1", "ws2"]}}, ["192.168.0.1/32"], INFO),
        ({"member": {"announcers": ["ws1", "ws2"]}}, ["192.168.0.1/32", "192.168.1.0/24"], WARNING),
        ({"self": {}}, ["192.168.0.1/32"], WARNING),
    ],
    ids=["a floating address", "and a network behind it", "at whoever holds it"],
)
def test_a_floating_address_answers_by_itself(hop: dict[str, Any], prefixes: list[str], severity: Severity) -> None:
    world = World.clean()
    world.service("vpn").update(nextHop=hop, prefixes=prefixes)
    world.service("vpn").pop("snat")
    assert places(world, "symmetric-return") == [(severity, "$.services[2]")]


# --- agents ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "off"), [(2.0, False), (2.1, True), (-2.1, True)])
def test_a_clock_may_be_two_seconds_off(seconds: float, off: bool) -> None:
    world = World.clean()
    world.agent("nva-b", offset=timedelta(seconds=seconds))
    assert bool(found(world, "clock-offset")) is off


@pytest.mark.parametrize(
    ("version", "old"),
    [("0.1.0", False), ("0.0.10", True), ("0.1", True), ("0.1.0.1", False), ("0.1.0-dev", False), ("1", False)],
)
def test_a_version_is_compared_number_by_number(version: str, old: bool) -> None:
    world = World.clean()
    world.agent("nva-b", version=version)
    assert bool(found(world, "agent-version")) is old


# --- what is not known ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", ["region", "peerings"])
def test_a_route_server_is_known_by_its_region_and_its_peerings_together(known: str) -> None:
    world = World.clean()
    if known == "region":
        world.facts = replace(world.facts, route_servers={})
    else:
        world.arm(locations={})
    gaps = {gap.rule: gap.of for gap in world.report().unjudged}
    assert gaps == dict.fromkeys(("same-region", "both-instances", "peer-budget"), ("rs", "rs-far"))


def test_what_was_not_read_of_azure_is_none_or_not_there() -> None:
    subnet, seen = AppSubnetFacts(id="app"), ArmFacts(at=NOW)
    assert (subnet.table, subnet.routes, subnet.propagates, subnet.nat_gateway) == (None, (), True, False)
    assert (seen.app_subnet, seen.app_subnet_unset, seen.denied) == (None, False, ())


def test_a_fault_is_as_severe_as_its_rule_unless_it_says_otherwise() -> None:
    assert [severity.value for severity in Severity] == ["error", "warning", "info"]
    assert Fault("$", "it is wrong", "mend it").severity is None


# --- the app's own way out -------------------------------------------------------------------------------------------


def test_what_is_wrong_with_the_app_s_subnet_is_reported_of_the_whole_document_or_of_who_announces() -> None:
    world = World.clean()
    world.speaker("ws1")["announces"] = ["0.0.0.0/1"]
    out = RouteFacts(name="out", to="0.0.0.0/0", next_hop="VirtualAppliance", address=IPv4Address("10.0.1.4"))
    lost = RouteFacts(name="lost", to="AzureCloud", next_hop="VnetLocal")
    drop = RouteFacts(name="drop", to="AzureResourceManager", next_hop="None")
    world.subnet(out, lost, drop, RouteFacts(name="arm", to="AzureResourceManager.x", next_hop="Internet"))
    said = found(world, "app-egress")
    assert {finding.path for finding in said} == {"$", "$.speakers[4].announces"}
    whats = " / ".join(finding.what for finding in said)
    assert "takes AzureCloud and leads it to VnetLocal, which is no way out to Azure by itself" in whats
    assert "takes AzureResourceManager and drops it" in whats


def test_the_remedy_names_the_route_table_of_the_subnet_s_own_group() -> None:
    world = World.clean()
    world.subnet(table=None)
    (missing,) = found(world, "app-egress")
    assert missing.path == "$.services[0].prefixes"
    assert f"-g {SUB.split('/')[4]} --route-table-name rt-hopkeeper" in missing.do
    elsewhere = SUB.replace("/resourceGroups/hub/", "/resourceGroups/tables/")
    world.subnet(table=f"{elsewhere}/routeTables/app")
    (missing,) = found(world, "app-egress")
    assert "-g tables --route-table-name app" in missing.do
    world.subnet(nat_gateway=False)
    exits = [finding for finding in found(world, "app-egress") if "NAT gateway" in finding.what]
    assert f"-g {SUB.split('/')[4]} -n pip-hopkeeper" in exits[0].do


def test_a_setting_that_is_missing_is_reported_of_everything_that_is_announced_wide() -> None:
    world = World.clean()
    world.arm(app_subnet=None, app_subnet_unset=True)
    (unset,) = found(world, "app-egress")
    assert (unset.severity, unset.path) == (WARNING, "$.services[0].prefixes")
    assert egress.SETTING == "HOPKEEPER_APP_SUBNET_ID"


# --- what is left -----------------------------------------------------------------------------------------------------


def test_what_is_left_when_a_member_is_lost_is_said_of_each_service() -> None:
    world = World.clean()
    world.facts = replace(world.facts, silent=frozenset({"nva-a"}))
    world.agent("nva-d", fatal=("disk: full", "route: gone"))
    assert [(finding.path, finding.what) for finding in found(world, "redundancy")] == [
        ("$.services[0].members", "nva-a does not answer: the next failure is an outage"),
        ("$.services[1].members", "nva-d is not fit (disk: full; route: gone): the next failure is an outage"),
    ]


def test_of_three_members_two_are_left() -> None:
    world = World.clean()
    world.service("vpn")["members"].append({"speaker": "nva-a"})
    world.agent("ws1", fatal=("disk: full",))
    assert [finding.what for finding in found(world, "redundancy")] == [
        "ws1 is not fit (disk: full): nva-a, ws2 are left"
    ]


def test_where_no_agent_answers_redundancy_is_not_judged() -> None:
    world = World.clean()
    world.facts = replace(world.facts, agents={})
    assert found(world, "redundancy") == []
    assert Need.ANY_AGENT in {gap.need for gap in world.report().unjudged}


def test_each_alarm_of_an_agent_is_a_finding() -> None:
    world = World.clean()
    world.agent("nva-b", alarms=("speaker-import-check: on", "speaker-next-hop: replaced"))
    assert [finding.what for finding in found(world, "agent-alarm")] == [
        "the agent of nva-b reports speaker-import-check: on",
        "the agent of nva-b reports speaker-next-hop: replaced",
    ]


def test_two_hub_speakers_a_client_s_own_session_or_no_client_leave_nothing_to_one_hub() -> None:
    world = World.clean()
    hub: dict[str, Any] = {"role": "hub", "asn": 65000, "peersWith": ["rs-far"]}
    behind = {"name": "behind", "address": "10.0.1.85", "asn": 65085, "peersWith": ["hub-1"]}
    world.doc["speakers"] += [{"name": "hub-1", "address": "10.0.1.84", **hub}, behind]
    assert [f.what for f in found(world, "one-hub")] == [
        "hub-1 is the only hub speaker of rs-far: with it goes all that behind announce"
    ]
    behind["peersWith"] = ["hub-1", "rs-far"]
    assert found(world, "one-hub") == []
    behind["peersWith"] = ["hub-1"]
    world.doc["speakers"].append({"name": "hub-2", "address": "10.0.1.86", **hub})
    assert found(world, "one-hub") == []


def test_a_network_with_one_peering_may_use_the_gateways_of_its_hub() -> None:
    world = World.clean()
    peering = {"name": "up", "id": f"{SUB}/virtualNetworks/spoke/virtualNetworkPeerings/up", "useRemoteGateways": True}
    other = {"name": "far", "id": f"{SUB}/virtualNetworks/far/virtualNetworkPeerings/up", "useRemoteGateways": True}
    world.doc["networkPeerings"] = [peering, other]
    assert found(world, "remote-gateways") == []


def test_while_an_agent_is_unknown_who_watches_a_member_is_unknown() -> None:
    world = World.clean()
    agents = {name: replace(agent, peers=frozenset[str]()) for name, agent in world.facts.agents.items()}
    world.facts = replace(world.facts, agents=agents)
    assert len(found(world, "watched")) == 6
    del agents["ws1"]
    assert [f.what for f in found(world, "watched")] == ["no agent watches ws1"]


def test_an_agent_that_answers_needs_no_certificate_to_be_found_missing() -> None:
    world = World.clean()
    del world.speaker("nva-a")["agent"]["certificate"]
    assert found(world, "certificate") == []

"""Flags of network peerings and Route Servers: what differs, what is repaired, and what keeps a repair away."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from function_app.domain.base.errors import BadInput
from function_app.domain.networks.flags import Flag, NetworkPeeringReading, RepairFlags, plan
from function_app.domain.networks.guards import GUARDS, FlagContext, refuse
from function_app.domain.peerings.model import Peering, Provisioning, RouteServerReading
from function_app.domain.routes.findings import FindingKind
from function_app.domain.service.record import Pause, Phase
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import NetworkPeering, RouteServer, Topology
from tests.builders import NOW, SUB, document, ranked, ranked_document, stable, text, topology
from tests.fakes import INSTANCES

SPOKE = f"{SUB}/virtualNetworks/spoke/virtualNetworkPeerings/to-hub"


def desired(owned: bool = True, **flags: Any) -> Topology:
    """A spoke's peering that must not use remote gateways, and a Route Server that exchanges routes."""
    doc = document()
    doc["networkPeerings"] = [{"name": "spoke-to-hub", "id": SPOKE, "owned": owned, "useRemoteGateways": False} | flags]
    doc["routeServers"][0] |= {"branchToBranch": True, "routingPreference": "ASPath", "owned": owned}
    return decode(text(doc), Place())


def peering(remote: bool = False, state: str = "Connected", settled: bool = True) -> NetworkPeeringReading:
    flags = {Flag.USE_REMOTE_GATEWAYS: remote, Flag.ALLOW_GATEWAY_TRANSIT: True, Flag.ALLOW_FORWARDED_TRAFFIC: True}
    return NetworkPeeringReading(flags, state, settled)


def server(exchanges: bool | None = True, preference: str | None = "ASPath", **changes: Any) -> RouteServerReading:
    values: dict[str, Any] = {"branch_to_branch": exchanges, "routing_preference": preference}
    return RouteServerReading(INSTANCES, **({"peerings": ()} | values | changes))


def test_what_is_as_written_needs_nothing() -> None:
    wanted = plan(desired(), {"spoke-to-hub": peering()}, {"rs": server()})
    assert (wanted.findings, wanted.steps) == ((), ())


def test_a_flag_that_is_not_in_the_topology_is_not_managed() -> None:
    doc = document()
    doc["routeServers"][0]["owned"] = True
    assert plan(decode(text(doc), Place()), {}, {"rs": server(exchanges=True)}).findings == ()


def test_a_flag_is_spelled_as_in_the_topology_document() -> None:
    spelled = {field.encode_name for shape in (NetworkPeering, RouteServer) for field in structs.fields(shape)}
    assert len(Flag) == 5
    assert {flag.value for flag in Flag} <= spelled


def test_what_could_not_be_read_is_not_judged() -> None:
    assert plan(desired(), {}, {}).findings == ()
    assert plan(desired(), {}, {"rs": server(None, None)}).findings == ()


@pytest.mark.parametrize("owned", [True, False])
def test_a_difference_is_reported_and_repaired_only_where_it_is_owned(owned: bool) -> None:
    wanted = plan(desired(owned), {"spoke-to-hub": peering(remote=True)}, {"rs": server(False, "ExpressRoute")})
    assert [f.kind for f in wanted.findings] == [FindingKind.NETWORK_FLAG] * 3
    ending = "" if owned else ": put it right, or set `owned` on spoke-to-hub to have it repaired"
    assert wanted.findings[0].sentence == (
        f"useRemoteGateways of network peering spoke-to-hub is true, the topology says false{ending}"
    )
    preference = wanted.findings[2].sentence
    assert preference.startswith("routingPreference of Route Server rs is ExpressRoute, the topology says ASPath")
    repaired = [(step.target.name, step.flags) for step in wanted.steps]
    assert repaired == (
        [
            ("spoke-to-hub", ((Flag.USE_REMOTE_GATEWAYS, False),)),
            ("rs", ((Flag.BRANCH_TO_BRANCH, True), (Flag.ROUTING_PREFERENCE, "ASPath"))),
        ]
        if owned
        else []
    )


def test_a_peering_that_is_not_connected_is_reported() -> None:
    [finding] = plan(desired(), {"spoke-to-hub": peering(state="Disconnected")}, {}).findings
    assert finding.kind is FindingKind.NETWORK_STATE
    assert finding.sentence.startswith("network peering spoke-to-hub is Disconnected")


@pytest.mark.parametrize(
    ("exchanges", "preference", "noted"),
    [
        (True, "ExpressRoute", True),
        (True, "VpnGateway", True),
        (True, "ASPath", False),
        (False, "ExpressRoute", False),
        (True, None, False),
    ],
)
def test_a_gateway_that_outranks_every_as_path_is_something_to_know(
    exchanges: bool, preference: str | None, noted: bool
) -> None:
    found = plan(ranked(), {}, {"rs": server(exchanges, preference)}).findings
    assert [(f.kind, f.wrong) for f in found] == ([(FindingKind.GATEWAY_PREFERRED, False)] if noted else [])
    assert all(f.sentence.startswith(f"rs exchanges routes with gateways and prefers {preference}") for f in found)
    assert plan(topology(), {}, {"rs": server(exchanges, preference)}).findings == ()


def test_a_peering_that_could_not_be_read_hides_no_other() -> None:
    doc = document()
    doc["networkPeerings"] = [
        {"name": name, "id": f"{SPOKE}-{name}", "owned": True, "useRemoteGateways": False} for name in ("one", "two")
    ]
    found = plan(decode(text(doc), Place()), {"two": peering(remote=True, state="Initiated")}, {})
    assert [(f.kind, f.where) for f in found.findings] == [
        (FindingKind.NETWORK_STATE, "two"),
        (FindingKind.NETWORK_FLAG, "two"),
    ]
    assert [step.why for step in found.steps] == ["useRemoteGateways is true, not false"]


def test_a_difference_says_of_what_it_is() -> None:
    found = plan(desired(), {}, {"rs": server(False)})
    assert found.findings[0].sentence == "branchToBranch of Route Server rs is false, the topology says true"
    assert [step.why for step in found.steps] == ["branchToBranch is false, not true"]


def relaying(to: str) -> Topology:
    """A speaker relays from one Route Server to another, and nothing here is ranked."""
    doc = document()
    doc["routeServers"].append({"name": "far", "id": f"{SUB}/virtualHubs/far"})
    relay = {"from": "far" if to == "rs" else "rs", "to": to, "prefixes": ["10.9.0.0/16"]}
    doc["speakers"].append(
        {"name": "relay", "address": "10.0.1.9", "asn": 65009, "peersWith": ["rs", "far"], "relays": [relay]}
    )
    return decode(text(doc), Place())


def test_a_gateway_outranks_what_is_relayed_to_its_route_server_and_to_no_other() -> None:
    gateway = {"rs": server(True, "ExpressRoute")}
    assert [(f.kind, f.where) for f in plan(relaying("rs"), {}, gateway).findings] == [
        (FindingKind.GATEWAY_PREFERRED, "rs")
    ]
    assert plan(relaying("far"), {}, gateway).findings == ()


def test_a_gateway_of_a_route_server_that_no_ranked_announcer_peers_with_outranks_nothing() -> None:
    doc = ranked_document()
    doc["routeServers"].append({"name": "far", "id": f"{SUB}/virtualHubs/far"})
    assert plan(decode(text(doc), Place()), {}, {"far": server(True, "ExpressRoute")}).findings == ()


# --- guards ----------------------------------------------------------------------------------------------------------

CALM = FlagContext(
    at=NOW,
    records={"fw": stable()},
    servers={"rs": server()},
    stepped=frozenset(),
    peerings={"spoke-to-hub": peering(remote=True)},
    repaired={},
    every=timedelta(minutes=5),
)
UPDATING = Peering("foreign", None, None, Provisioning.UPDATING)
PAUSED = stable(pause=Pause(until=NOW + timedelta(minutes=1), by="ops"))


def step(owned: bool = True) -> RepairFlags:
    return RepairFlags(desired(owned).network_peerings[0], ((Flag.USE_REMOTE_GATEWAYS, False),), "it is true")


def test_a_calm_look_permits_a_repair() -> None:
    assert refuse(step(), CALM) == ()
    assert len(GUARDS) == 5


@pytest.mark.parametrize(
    ("change", "guard"),
    [
        ({"records": {"fw": stable(phase=Phase.FENCING)}}, "no operation is open"),
        ({"records": {"fw": stable(phase=Phase.GRANTED)}}, "no operation is open"),
        ({"records": {"fw": stable(phase=Phase.LEARN)}}, "no operation is open"),
        ({"records": {"fw": PAUSED}}, "nothing is paused"),
        ({"stepped": frozenset({"rs"})}, "one write at a time"),
        ({"servers": {"rs": server(provisioned=False)}}, "one write at a time"),
        ({"servers": {"rs": server(peerings=(UPDATING,))}}, "one write at a time"),
        ({"peerings": {"other": peering(settled=False)}}, "one write at a time"),
        ({"repaired": {"spoke-to-hub": NOW - timedelta(minutes=4)}}, "not again so soon"),
        ({"repaired": {"spoke-to-hub": NOW}}, "not again so soon"),
    ],
)
def test_each_guard_keeps_a_repair_away(change: dict[str, Any], guard: str) -> None:
    values = {name: getattr(CALM, name) for name in FlagContext.__slots__} | change
    assert [refusal.guard for refusal in refuse(step(), FlagContext(**values))] == [guard]


def test_what_is_not_owned_is_never_written() -> None:
    assert [refusal.guard for refusal in refuse(step(owned=False), CALM)] == ["owned only"]


@pytest.mark.parametrize("at", [NOW - timedelta(minutes=5), NOW + timedelta(minutes=1)])
def test_a_repair_of_long_ago_or_of_a_wrong_clock_is_no_reason_to_wait(at: Any) -> None:
    values = {name: getattr(CALM, name) for name in FlagContext.__slots__} | {"repaired": {"spoke-to-hub": at}}
    assert refuse(step(), FlagContext(**values)) == ()


def test_a_pause_that_is_over_is_none() -> None:
    over = structs.replace(PAUSED, pause=Pause(until=NOW, by="ops"))
    values = {name: getattr(CALM, name) for name in FlagContext.__slots__} | {"records": {"fw": over}}
    assert refuse(step(), FlagContext(**values)) == ()


# --- laws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"id": f"{SUB}/virtualNetworks/spoke"},
            "$.networkPeerings[0].id: its id ends in Microsoft.Network/virtualNetworks/{network}/virtualNetworkPeerings/{name}",
        ),
        ({"name": "rs"}, "$.networkPeerings[0].name: the name 'rs' is taken: names are unique"),
    ],
)
def test_a_network_peering_has_its_own_name_and_the_id_of_one(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadInput) as refused:
        desired(**change)
    assert [str(p) for p in refused.value.problems] == [problem]


def test_an_interface_is_one_of_a_machine_of_its_own() -> None:
    doc = document()
    doc["speakers"][1]["interface"] = f"{SUB}/loadBalancers/nic"
    with pytest.raises(BadInput) as refused:
        decode(text(doc), Place())
    assert [p.path for p in refused.value.problems] == ["$.speakers[1].interface"]
    doc["speakers"][1]["interface"] = f"{SUB}/networkInterfaces/nic"
    assert decode(text(doc), Place()).speakers[1].interface is not None

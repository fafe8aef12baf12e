"""What of an existing Route Server becomes a speaker, under which name, and what it announces by itself."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from function_app.domain.brownfield.candidates import PoolBehind, candidates
from function_app.domain.brownfield.inventory import BalancerFound, Inventory
from function_app.domain.brownfield.peers import Originated, name_from, peers_of
from function_app.domain.peerings.model import Peering, Provisioning, RouteServerReading
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.service.balancer import AddressFacts, FlowFacts, PoolFacts, RuleFacts
from function_app.views.first_topology import first_topology

INSTANCES = (IPv4Address("10.0.2.4"), IPv4Address("10.0.2.5"))
DEFAULT = IPv4Network("0.0.0.0/0")
OWN, OTHER, FRONTEND = IPv4Address("10.0.1.4"), IPv4Address("10.0.1.5"), IPv4Address("10.0.1.100")


def peering(name: str = "fw-1", address: IPv4Address | None = OWN, asn: int | None = 65001, **more: str) -> Peering:
    return Peering(name, address, asn, Provisioning(more.get("state", "Succeeded")))


def found(*peerings: Peering, rows: tuple[LearnedRoute, ...] = ()) -> Inventory:
    reading = RouteServerReading(INSTANCES, peerings)
    return Inventory("/x/virtualHubs/rs", reading, (), {each.name: rows for each in peerings}, {}, {})


def row(next_hop: IPv4Address | None = OWN, path: tuple[int, ...] = (65001,), instance: int = 0) -> LearnedRoute:
    return LearnedRoute(INSTANCES[instance], DEFAULT, next_hop, path)


@pytest.mark.parametrize(
    ("text", "taken", "name"),
    [
        ("FW 1", (), "fw-1"),
        ("fw-1", ("fw-1",), "fw-1-2"),
        ("fw-1", ("fw-1", "fw-1-2"), "fw-1-3"),
        ("123", (), "nva-123"),
        ("null", (), "nva-null"),
        ("-", (), "nva"),
        ("a" * 40, (), "a" * 30),
    ],
)
def test_a_name_is_as_near_to_that_of_azure_as_a_document_takes(text: str, taken: tuple[str, ...], name: str) -> None:
    assert name_from(text, taken) == name


@pytest.mark.parametrize(
    ("each", "why"),
    [
        (peering(state="Failed"), "it is Failed: mend or remove it first"),
        (peering(address=None), "its address is none that a speaker may have"),
        (peering(address=IPv4Address("168.63.129.16")), "its address is none that a speaker may have"),
        (peering(asn=65515), "its AS number is none that a speaker may have"),
        (peering(name="hopkeeper-other_nva-a"), "its name is that of another topology of Hopkeeper's"),
    ],
)
def test_a_peering_that_cannot_be_a_speaker_is_left_out_and_why_is_said(each: Peering, why: str) -> None:
    peers, left_out = peers_of(found(each), "hub")
    assert peers == ()
    assert left_out[0].endswith(why)


@pytest.mark.parametrize(
    ("rows", "announces"),
    [
        ((row(), row(instance=1)), (Originated(DEFAULT),)),
        ((row(FRONTEND), row(FRONTEND, instance=1)), (Originated(DEFAULT, FRONTEND),)),
        ((row(path=(65001, 65001)),), (Originated(DEFAULT),)),
        ((row(path=(65001, 65010)),), ()),
        ((row(OWN), row(OTHER, instance=1)), ()),
    ],
    ids=["itself", "a frontend", "prepended", "passed on", "two next hops"],
)
def test_what_a_peer_originates_is_written_down_with_its_next_hop_and_nothing_else(
    rows: tuple[LearnedRoute, ...], announces: tuple[Originated, ...]
) -> None:
    ((peer,), _) = peers_of(found(peering(), rows=rows), "hub")
    assert peer.announces == announces
    assert bool(peer.remarks) is (not announces)


def test_two_peers_that_announce_the_same_themselves_could_be_a_service_and_one_alone_could_not() -> None:
    rows = (LearnedRoute(INSTANCES[0], DEFAULT, None, (65001,)),)
    pair = found(peering(), peering("fw-2", OTHER), rows=rows)
    peers, _ = peers_of(pair, "hub")
    (could,) = candidates(pair, peers)
    assert (could.members, could.prefixes, could.pools) == (("fw-1", "fw-2"), (DEFAULT,), ())
    assert candidates(pair, peers[:1]) == ()


def test_names_of_a_load_balancer_in_two_spellings_are_one_candidate_and_one_probe() -> None:
    both = [("Fe", "NVAs", "Agent"), ("fe", "nvas", "agent"), ("FE", "nvAs", "AGENT")]
    rules = tuple(
        RuleFacts(
            name=f"r{i}",
            protocol="All",
            frontend=frontend,
            frontend_port=0,
            backend_port=0,
            pools=(pool, pool.upper()),
            probe=probe,
        )
        for i, (frontend, pool, probe) in enumerate(both)
    )
    pool = PoolFacts(name="nvas", addresses=(AddressFacts(name="a", ip=OWN),))
    balancer = BalancerFound("/x/loadBalancers/lb", {"fe": FRONTEND}, FlowFacts(rules=rules, pools=(pool,)))
    there = replace(found(peering(), rows=(row(FRONTEND),)), balancers=(balancer,))
    (candidate,) = candidates(there, peers_of(there, "t")[0])
    assert (candidate.frontend, candidate.pools) == ("Fe", (PoolBehind("/x/loadBalancers/lb", "NVAs", "Agent"),))
    assert candidate.remarks == ()


def between(pool: str, name: str = "all", frontend: str = "fe") -> RuleFacts:
    return RuleFacts(
        name=name, protocol="All", frontend=frontend, frontend_port=0, backend_port=0, pools=(pool,), probe="agent"
    )


def test_pools_that_one_frontend_sends_to_are_said_to_be_one_service_at_most() -> None:
    """Both would announce the same prefixes, which no document may say."""
    pools = tuple(PoolFacts(name=name, addresses=(AddressFacts(name="a", ip=OWN),)) for name in ("nvas", "others"))
    rules = (between("nvas"), between("others", "second"), between("nvas", "third", "fe-2"))
    frontends = {"fe": FRONTEND, "fe-2": OTHER}
    balancer = BalancerFound("/x/loadBalancers/lb", frontends, FlowFacts(rules=rules, pools=pools))
    there = replace(found(peering(), rows=(row(FRONTEND),)), balancers=(balancer,))
    remarks = [" ".join(each.remarks) for each in candidates(there, peers_of(there, "t")[0])]
    assert ["frontend fe also sends to pool others: a prefix has one service" in each for each in remarks] == [
        True,
        False,
        False,
    ]
    assert "frontend fe also sends to pool nvas: a prefix has one service" in remarks[1]


def test_an_address_that_gets_new_flows_dead_or_alive_is_said() -> None:
    pool = PoolFacts(name="nvas", addresses=(AddressFacts(name="a", ip=OWN, is_up=True),))
    balancer = BalancerFound(
        "/x/loadBalancers/lb", {"fe": FRONTEND}, FlowFacts(rules=(between("nvas"),), pools=(pool,))
    )
    there = replace(found(peering(), rows=(row(FRONTEND),)), balancers=(balancer,))
    (candidate,) = candidates(there, peers_of(there, "t")[0])
    assert candidate.remarks == (
        "fw-1 has adminState Up: it gets new flows, dead or alive, and no failover holds: set it to None",
    )


def test_ids_that_azure_spells_in_capitals_are_written_as_a_document_takes_them() -> None:
    rules, pool = (between("nvas"),), PoolFacts(name="nvas", addresses=(AddressFacts(name="a", ip=OWN),))
    group = "/SUBSCRIPTIONS/S-1/RESOURCEGROUPS/RG-Hub/PROVIDERS/MICROSOFT.NETWORK"
    balancer = BalancerFound(f"{group}/LOADBALANCERS/LB-1", {"fe": FRONTEND}, FlowFacts(rules=rules, pools=(pool,)))
    there = replace(found(peering(), rows=(row(FRONTEND),)), id=f"{group}/VIRTUALHUBS/RS", balancers=(balancer,))
    text = first_topology(there)
    named = "/subscriptions/S-1/resourceGroups/RG-Hub/providers/Microsoft.Network"
    assert [line.split("id: ")[1] for line in text.splitlines() if "    id: " in line] == [
        f"{named}/virtualHubs/RS",
        f"{named}/loadBalancers/LB-1",
    ]


def test_peers_behind_a_frontend_that_none_announces_yet_could_be_a_service_once_prefixes_are_written() -> None:
    rule = between("nvas")
    pool = PoolFacts(name="nvas", addresses=(AddressFacts(name="a", ip=OWN), AddressFacts(name="b", ip=OTHER)))
    balancer = BalancerFound("/x/loadBalancers/lb", {"fe": FRONTEND}, FlowFacts(rules=(rule,), pools=(pool,)))
    there = replace(found(peering()), balancers=(balancer,))
    (candidate,) = candidates(there, peers_of(there, "t")[0])
    assert (candidate.members, candidate.prefixes, candidate.frontend) == (("fw-1",), (), "fe")
    assert candidate.remarks == (
        f"none of them announces anything with {FRONTEND} as next hop: write the prefixes that they are to announce",
        f"{OTHER} is in the pool and no speaker here: it gets new flows whoever serves",
    )

"""Preflight: a clean world gives no finding, and each planted fault gives exactly its own."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hopkeeper_agent import __version__

from function_app.domain.base.errors import BadInput
from function_app.domain.base.timing import CLOCK_LEEWAY
from function_app.domain.peerings.model import Peering, Provisioning
from function_app.domain.preflight.agents import AGENT_VERSION, CLOCK_OFFSET_MAX
from function_app.domain.preflight.facts import Denied, Facts, Rehearsed
from function_app.domain.preflight.rule import Need, Severity
from function_app.domain.preflight.summary import LAW, LAW_REFERENCE, RULES, broken, lint
from function_app.domain.service.balancer import AddressFacts, PoolFacts, RuleFacts
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from tests.builders import NOW, SUB, document, text
from tests.unit.preflight_world import INSTANCES, World

ROOT = Path(__file__).resolve().parents[2]

type Plant = Callable[[World], object]
type Seen = tuple[str, Severity, str]

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
COMPUTE = SUB.replace("Microsoft.Network", "Microsoft.Compute/virtualMachines")
BALANCER = "$.services[0].nextHop.loadBalancer"


def foreign(count: int) -> tuple[Peering, ...]:
    return tuple(
        Peering(f"theirs-{i}", IPv4Address(f"10.0.7.{i}"), 65300 + i, Provisioning.UPDATING) for i in range(count)
    )


def sessions(world: World, speaker: str, **instances: bool | None) -> None:
    first, second = INSTANCES["rs"]
    wanted = {first: instances.get("first", True), second: instances.get("second", True)}
    world.agent(speaker, sessions={address: up for address, up in wanted.items() if up is not None})


def only_one_announces(world: World) -> None:
    world.service("vpn")["nextHop"] = {"member": {"announcers": ["ws1"]}}


def second_pool(world: World) -> None:
    (rule,) = world.facts.arm.balancers["fw"].rules if world.facts.arm else ()
    there = PoolFacts(name="nvas", addresses=world.addresses())
    other = PoolFacts(name="admin", addresses=world.addresses()[:1])
    ssh = RuleFacts(
        name="ssh",
        protocol="Tcp",
        frontend="fe",
        frontend_port=22,
        backend_port=22,
        pools=("admin",),
        probe="hopkeeper",
    )
    world.balancer(pools=(there, other), rules=(rule, ssh))


def announce(world: World, count: int) -> None:
    world.speaker("relay")["relays"][0]["prefixes"] = [f"100.64.{i}.0/24" for i in range(count)]
    world.doc["timing"]["prefixesPerPeer"] = 20


def without_a_certificate(world: World) -> None:
    del world.speaker("nva-a")["agent"]["certificate"]
    world.facts = replace(world.facts, agents={})


def unwatched(world: World, member: str) -> None:
    for name, agent in world.facts.agents.items():
        world.agent(name, peers=agent.peers - {member})


def one_hub(world: World) -> None:
    more: dict[str, Any] = {"address": "10.0.1.84", "asn": 65000, "role": "hub", "peersWith": ["rs-far"]}
    world.doc["speakers"] += [
        {"name": "hub-1", **more},
        {"name": "behind", "address": "10.0.1.85", "asn": 65085, "peersWith": ["hub-1"]},
    ]


def other_machine(world: World) -> None:
    world.speaker("nva-a")["vm"] = f"{COMPUTE}/nva-a"
    world.speaker("nva-b")["vm"] = f"{COMPUTE}/NVA-B"
    world.interface("nva-a", machine=f"{COMPUTE}/nva-b")
    world.interface("nva-b", machine=f"{COMPUTE}/nva-b")


def unwatched_appliances(world: World) -> None:
    world.doc["services"] = [world.service("fw")]
    for name in ("nva-a", "nva-b"):
        del world.speaker(name)["agent"]
    world.doc["timing"]["silence"] = "PT0S"


def to_hub(number: int, remote: bool) -> dict[str, Any]:
    network = f"{SUB}/virtualNetworks/spoke"
    peering = {"name": f"to-hub-{number}", "id": f"{network}/virtualNetworkPeerings/to-hub-{number}"}
    return peering | {"useRemoteGateways": remote}


FAULTS: dict[str, tuple[Plant, Seen]] = {
    "the load balancer is in another region": (
        lambda w: w.balancer(location="ukwest"),
        ("same-region", ERROR, f"{BALANCER}.id"),
    ),
    "the probe is not there": (lambda w: w.probe(name="other"), ("probe", ERROR, f"{BALANCER}.probe")),
    "the probe is a TCP probe": (
        lambda w: w.probe(protocol="Tcp", path=None),
        ("probe", ERROR, f"{BALANCER}.probe"),
    ),
    "the probe requests another path": (lambda w: w.probe(path="/healthz"), ("probe", ERROR, f"{BALANCER}.probe")),
    "the probe knocks at SSH": (lambda w: w.probe(port=22), ("probe", ERROR, f"{BALANCER}.probe")),
    "the probe knocks at the commands' port": (lambda w: w.probe(port=8443), ("probe", ERROR, f"{BALANCER}.probe")),
    "the probe knocks at another port than the agent's": (
        lambda w: w.probe(port=9000),
        ("probe", ERROR, f"{BALANCER}.probe"),
    ),
    "the probe's interval is long": (
        lambda w: w.probe(interval_seconds=15),
        ("probe-timing", WARNING, f"{BALANCER}.probe"),
    ),
    "the probe's threshold is high": (
        lambda w: w.probe(threshold=3),
        ("probe-timing", WARNING, f"{BALANCER}.probe"),
    ),
    "all are up when all are down": (
        lambda w: w.probe(no_healthy_backends="AllProbedUp"),
        ("all-probed-up", ERROR, f"{BALANCER}.probe"),
    ),
    "a member is not in the pool": (
        lambda w: w.pool(w.addresses()[0]),
        ("members-in-pool", ERROR, f"{BALANCER}.backendPool"),
    ),
    "a member is in a second pool": (second_pool, ("one-pool", ERROR, f"{BALANCER}.backendPool")),
    "the rule is for one port": (
        lambda w: w.rule(protocol="Tcp", frontend_port=443, backend_port=443),
        ("all-ports-rule", ERROR, BALANCER),
    ),
    "the rule is of another frontend": (lambda w: w.rule(frontend="other"), ("all-ports-rule", ERROR, BALANCER)),
    "there is no rule": (lambda w: w.balancer(rules=()), ("all-ports-rule", ERROR, BALANCER)),
    "the rule has no probe": (lambda w: w.rule(probe=None), ("probed-rules", ERROR, f"{BALANCER}.probe")),
    "an active-active service spreads a client's flows": (
        lambda w: w.rule("transit", distribution="Default"),
        ("distribution", WARNING, "$.services[1].nextHop.loadBalancer"),
    ),
    "the fence was never rehearsed": (lambda w: w.rehearsed(None), ("rehearsal", WARNING, "$.services[0]")),
    "the rehearsal failed": (
        lambda w: w.rehearsed(Rehearsed(member="nva-b", at=NOW, seconds=60, failed="403")),
        ("rehearsal", WARNING, "$.services[0]"),
    ),
    "a member peers with one instance": (
        lambda w: sessions(w, "nva-b", second=None),
        ("both-instances", ERROR, "$.speakers[1].peersWith"),
    ),
    "a session is down": (
        lambda w: sessions(w, "nva-b", second=False),
        ("both-instances", WARNING, "$.speakers[1].peersWith"),
    ),
    "others take the slots": (lambda w: w.peerings("rs", *foreign(2)), ("peer-budget", ERROR, "$.routeServers[0]")),
    "all slots are taken": (lambda w: w.peerings("rs", *foreign(1)), ("peer-budget", INFO, "$.routeServers[0]")),
    "too many prefixes for one peer": (lambda w: announce(w, 21), ("prefix-budget", ERROR, "$.speakers[6]")),
    "more prefixes than one UPDATE may change": (
        lambda w: announce(w, 11),
        ("prefix-budget", WARNING, "$.speakers[6]"),
    ),
    "one injector announces alone": (
        only_one_announces,
        ("two-advertisers", WARNING, "$.services[2].nextHop.member.announcers"),
    ),
    "the hold time is long": (
        lambda w: w.doc["timing"].update(bgpHold="PT180S"),
        ("hold-time", WARNING, "$.timing.bgpHold"),
    ),
    "a relay keeps 65515 in the path": (
        lambda w: w.speaker("relay").pop("asOverride"),
        ("as-override", ERROR, "$.speakers[6].asOverride"),
    ),
    "the published VIP lies inside the network": (
        lambda w: w.service("vpn").update(prefixes=["10.0.15.15/32"]),
        ("prefix-in-network", WARNING, "$.services[2].prefixes"),
    ),
    "a service announces the network itself": (
        lambda w: w.service("vpn").update(prefixes=["10.0.0.0/16"]),
        ("prefix-in-network", WARNING, "$.services[2].prefixes"),
    ),
    "the firewall's subnet learns its own default route": (
        lambda w: w.interface("nva-a", default_route=False),
        ("default-route-udr", WARNING, "$.speakers[0].interface"),
    ),
    "an interface does not forward": (
        lambda w: w.interface("nva-c", forwards=False),
        ("ip-forwarding", ERROR, "$.speakers[2].interface"),
    ),
    "nothing says how traffic returns": (
        lambda w: w.service("fw").pop("snat"),
        ("symmetric-return", WARNING, "$.services[0]"),
    ),
    "a read is refused": (
        lambda w: w.arm(denied=(Denied(action="Microsoft.Network/loadBalancers/read", resource="ilb"),)),
        ("permission", ERROR, "$"),
    ),
    "the app's subnet takes the members' default route": (
        lambda w: w.subnet(),
        ("app-egress", ERROR, "$.services[0].prefixes"),
    ),
    "a certificate is missing": (
        without_a_certificate,
        ("certificate", WARNING, "$.speakers[0].agent.certificate"),
    ),
    "a member is no agent's peer": (
        lambda w: unwatched(w, "nva-b"),
        ("watched", WARNING, "$.speakers[1].agent"),
    ),
    "one hub speaker carries a client": (
        one_hub,
        ("one-hub", WARNING, "$.speakers[7]"),
    ),
    "a dual-homed network uses a hub's gateways": (
        lambda w: w.doc.update(networkPeerings=[to_hub(1, False), to_hub(2, True)]),
        ("remote-gateways", ERROR, "$.networkPeerings[1].useRemoteGateways"),
    ),
    "a clock is off": (
        lambda w: w.agent("nva-a", offset=timedelta(seconds=-3)),
        ("clock-offset", WARNING, "$.speakers[0].agent"),
    ),
    "an agent that is no member's does not answer": (
        lambda w: w.silence("relay"),
        ("answers", WARNING, "$.speakers[6].agent"),
    ),
    "a member is not fit": (
        lambda w: w.agent("nva-b", fatal=("data-path: no echo",)),
        ("redundancy", WARNING, "$.services[0].members"),
    ),
    "a speaker would restart gracefully": (
        lambda w: w.agent("nva-a", alarms=("speaker-graceful-restart: on for 10.0.2.4",)),
        ("agent-alarm", WARNING, "$.speakers[0].agent"),
    ),
    "a load balancer is not there": (
        lambda w: w.arm(missing={f"{SUB}/loadBalancers/fw".casefold(): "404"}),
        ("not-found", ERROR, f"{BALANCER}.id"),
    ),
    "a Route Server is not there": (
        lambda w: w.arm(missing={f"{SUB}/virtualHubs/rs-far".casefold(): "404"}),
        ("not-found", ERROR, "$.routeServers[1].id"),
    ),
    "an interface is not there": (
        lambda w: w.arm(missing={f"{SUB}/networkInterfaces/nva-b-nic".casefold(): "404"}),
        ("not-found", ERROR, "$.speakers[1].interface"),
    ),
    "an interface is another machine's": (
        other_machine,
        ("not-found", ERROR, "$.speakers[0].vm"),
    ),
    "a next hop of its own is outside the networks": (
        lambda w: w.speaker("relay").update(
            announces=[
                {"prefix": "10.8.0.0/16", "nextHop": {"address": "10.0.1.99"}},
                {"prefix": "10.7.0.0/16", "nextHop": {"address": "10.1.1.99"}},
            ]
        ),
        ("own-next-hop", WARNING, "$.speakers[6].announces[1].nextHop.address"),
    ),
    "nothing watches an appliance whose silence is believed at once": (
        unwatched_appliances,
        ("silence-watched", WARNING, "$.timing.silence"),
    ),
    "two members have one priority": (
        lambda w: w.service("fw")["members"][1].update(priority=200),
        ("equal-priority", INFO, "$.services[0].members"),
    ),
    "an agent is old": (
        lambda w: w.agent("nva-a", version="0.0.9"),
        ("agent-version", WARNING, "$.speakers[0].agent"),
    ),
}


def test_a_clean_world_gives_no_finding_and_leaves_nothing_unjudged() -> None:
    report = World.clean().report()
    assert report.findings == ()
    assert report.unjudged == ()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_gives_exactly_its_own_finding(name: str) -> None:
    plant, (rule, severity, path) = FAULTS[name]
    world = World.clean()
    plant(world)
    findings = world.report().findings
    assert [(f.rule, f.severity, f.path) for f in findings] == [(rule, severity, path)]
    assert findings[0].what
    assert findings[0].do
    assert findings[0].reference == next(r.reference for r in RULES if r.name == rule)


def test_every_rule_has_a_fault_that_only_it_finds() -> None:
    assert {rule for _, (rule, _, _) in FAULTS.values()} == {rule.name for rule in RULES}


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (lambda w: w.speaker("nva-a").update(asn=65515), "$.speakers[0].asn"),
        (lambda w: w.service("fw").update(prefixes=["2001:db8::/32"]), "$.services[0].prefixes[0]"),
    ],
    ids=["a reserved ASN", "IPv6"],
)
def test_a_broken_law_is_an_error_like_any_other(spoil: Plant, path: str) -> None:
    world = World.clean()
    spoil(world)
    with pytest.raises(BadInput) as caught:
        _ = world.topology
    report = broken(caught.value.problems)
    assert [(f.rule, f.severity, f.path, f.reference) for f in report.findings] == [(LAW, ERROR, path, LAW_REFERENCE)]
    assert report.findings[0].what == caught.value.problems[0].rule
    assert report.findings[0].do.startswith("mend the document")
    assert report.errors == 1


def test_what_is_unknown_is_never_a_finding_but_named() -> None:
    world = World.clean()
    report = lint(world.topology, Facts())
    assert report.findings == ()
    needing = {rule.name for rule in RULES if rule.needs != (Need.DOCUMENT,)}
    assert {gap.rule for gap in report.unjudged} == needing
    assert {gap.of for gap in report.unjudged if gap.rule == "probe"} == {("fw", "transit")}


def test_what_is_not_there_is_named_with_its_id_and_what_was_not_read_with_its_reason() -> None:
    world = World.clean()
    fw = f"{SUB}/loadBalancers/fw"
    spread = world.facts.arm.balancers if world.facts.arm else {}
    world.arm(balancers={"transit": spread["transit"]}, missing={fw.casefold(): "reading fw: 404"})
    report = world.report()
    assert [f.what for f in report.findings] == [f"not found: check the id {fw}"]
    assert {(gap.of, gap.why) for gap in report.unjudged} == {(("fw",), ("reading fw: 404",))}
    world.arm(missing={}, unread={fw.casefold(): "reading fw: not done within 8 s"})
    report = world.report()
    assert report.findings == ()
    assert {(gap.of, gap.why) for gap in report.unjudged} == {(("fw",), ("reading fw: not done within 8 s",))}


def test_a_fault_of_one_is_found_although_the_others_are_unknown() -> None:
    world = World.clean()
    world.agent("nva-a", offset=timedelta(seconds=4))
    world.facts = Facts(agents={"nva-a": world.facts.agents["nva-a"]})
    report = world.report()
    assert [f.rule for f in report.findings] == ["clock-offset"]
    assert ("clock-offset", ("nva-b", "nva-c", "nva-d", "ws1", "ws2")) in {(g.rule, g.of) for g in report.unjudged}


def test_a_pool_that_shows_no_address_may_hold_the_member() -> None:
    world = World.clean()
    hidden = AddressFacts(name="one", interface="/subscriptions/0/networkinterfaces/one/ipconfigurations/x")
    world.pool(world.addresses()[0], hidden)
    assert world.report().findings == ()
    world.pool(
        AddressFacts(name="one", interface=f"{world.speaker('nva-b')['interface']}/ipConfigurations/x".casefold())
    )
    (missing,) = world.report().findings
    assert missing.what.startswith("nva-a ")


def test_slots_by_priority_make_too_many_peers_a_warning() -> None:
    world = World.clean()
    world.doc["routeServers"][0]["slots"] = "byPriority"
    world.peerings("rs", *foreign(2))
    assert [(f.rule, f.severity) for f in world.report().findings] == [("peer-budget", WARNING)]


def test_a_hub_s_budget_counts_what_its_clients_announce() -> None:
    world = World.clean()
    world.speaker("relay")["role"] = "hub"
    world.speaker("ws1")["peersWith"] = ["rs", "relay"]
    world.speaker("ws1")["announces"] = [f"100.64.{i}.0/24" for i in range(11)]
    world.doc["timing"]["prefixesPerPeer"] = 22
    found = {(f.rule, f.path) for f in world.report().findings}
    assert ("prefix-budget", "$.speakers[6]") in found


@pytest.mark.parametrize(("count", "severity"), [(2000, None), (2001, WARNING), (4000, WARNING), (4001, ERROR)])
def test_of_the_4000_prefixes_that_a_peer_may_send_half_can_be_changed_at_once(
    count: int, severity: Severity | None
) -> None:
    """Azure's limits page; a lab saw the session end where the next hop of 2,001 prefixes changed."""
    doc = document(services=[])
    doc["speakers"][0]["announces"] = [f"172.{16 + i // 256}.{i % 256}.0/24" for i in range(count)]
    found = [f for f in lint(decode(text(doc), Place()), Facts()).findings if f.rule == "prefix-budget"]
    assert [f.severity for f in found] == ([severity] if severity else [])
    if severity is WARNING:
        assert f"beside {count} a change of more than {4000 - count} at once ends the session" in found[0].do


def test_a_version_or_a_clock_that_says_nothing_gives_no_finding() -> None:
    world = World.clean()
    world.agent("nva-a", version="built-by-hand")
    assert world.report().findings == ()


def test_findings_come_most_serious_first() -> None:
    world = World.clean()
    world.service("fw").pop("snat")
    world.peerings("rs", *foreign(1))
    world.probe(port=179)
    assert [f.severity for f in world.report().findings] == [ERROR, WARNING, INFO]


def test_the_numbers_are_those_of_the_agent_and_the_contract() -> None:
    assert __version__ == AGENT_VERSION
    assert CLOCK_OFFSET_MAX < CLOCK_LEEWAY


def test_the_documented_rules_are_the_real_ones() -> None:
    page = (ROOT / "docs" / "preflight.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \| ([^|]+) \| [^|]+ \| ([^|]+) \|$", page, re.M)
    real = [(r.name, r.severity.value, ", ".join(r.needs), r.reference) for r in RULES]
    assert [(name, severity, needs.strip(), reference.strip()) for name, severity, needs, reference in rows] == [
        (LAW, "error", "document", LAW_REFERENCE),
        *real,
    ]


@pytest.mark.parametrize(
    ("role", "what"), [("router", "it can never be commanded"), ("witness", "no report of this witness counts")]
)
def test_without_a_certificate_it_is_said_what_fails(role: str, what: str) -> None:
    world = World.clean()
    agent = {"port": 8443}
    spare = {"name": "spare", "address": "10.0.1.90", "asn": 65090, "peersWith": [], "role": role, "agent": agent}
    if role == "witness":
        world.doc["speakers"].append(spare)
    else:
        del world.speaker("nva-a")["agent"]["certificate"]
    world.facts = replace(world.facts, agents={})
    found = next(f for f in world.report().findings if f.rule == "certificate")
    assert what in found.what

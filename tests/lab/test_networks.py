"""The networks lab: its pure parts, and the ten NVAs over two hubs in real namespaces where there may be any."""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hopkeeper_agent import config as agent_config

from function_app.domain.topology.model import Neighbour
from function_app.render import Vendor, render
from function_app.render.vendors import PASSES_NOTHING_ON
from lab.kit.agent_toml import neighbours
from lab.networks import brownfield, hub_agent, hubs, instances, outward, rendered, report, scale_set, verified
from lab.networks.__main__ import PROGRAMS
from lab.networks.agents import Agents
from lab.networks.cases import CASES, EXAMPLES, topology
from lab.networks.daemons import DAEMONS
from lab.networks.findings import Findings
from lab.networks.learned import Peer, Row, differences, rows, up_since
from lab.networks.network import Network
from lab.networks.pings import EVERY, Phase, counted
from lab.networks.rendered import RenderedCase
from lab.packets import namespaces

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = IPv4Address("10.13.76.4")
PEERS = (
    Peer("hub-a", IPv4Address("10.13.76.84"), 65000),
    Peer("hub-b", IPv4Address("10.13.76.85"), 65000),
    Peer("gw", IPv4Address("10.13.76.200"), 65515),
)

# --- what was learned

ROUTES = """\
1007-Table master4:
 100.0.0.100/32       unicast [hub_a 14:00:00.000 from 10.13.76.84] * (100/?) [AS65100i]
1008-	Type: BGP univ
1012-	BGP.origin: IGP
	BGP.as_path: 65000 65100
	BGP.next_hop: 10.13.76.100
                     unicast [hub_b 14:00:01.000 from 10.13.76.85] (100/?) [AS65100i]
	BGP.as_path: 65000 65100
	BGP.next_hop: 10.13.76.100
 192.168.0.0/16       unicast [gw 14:00:01.000] (100/?) [AS65300i]
	BGP.as_path: 12076 65300
	BGP.next_hop: 10.13.76.200
"""


def test_a_route_has_the_form_of_azures() -> None:
    first, *_ = rows(INSTANCE, ROUTES.splitlines(), PEERS)
    assert first.as_document() == {
        "localAddress": "10.13.76.4",
        "network": "100.0.0.100/32",
        "nextHop": "10.13.76.100",
        "sourcePeer": "10.13.76.84",
        "origin": "EBgp",
        "asPath": "65000-65100",
        "weight": 32768,
    }


def test_what_comes_from_the_own_as_is_ibgp() -> None:
    *_, last = rows(INSTANCE, ROUTES.splitlines(), PEERS)
    assert (last.origin, last.as_path) == ("IBgp", "12076-65300")


def test_the_published_table_has_each_prefix_from_each_hub_on_each_instance() -> None:
    table = hubs.published(hubs.TEN)
    assert len(table) == len(set(table)) == 10 * 2 * 2
    assert {str(row.next_hop) for row in table if str(row.network) == "100.0.0.107/32"} == {"10.13.76.107"}
    assert {row.as_path for row in table if str(row.network) == "100.0.0.109/32"} == {"65000-65109"}


@pytest.mark.parametrize(
    "changed",
    [
        {"next_hop": IPv4Address("10.13.76.84")},
        {"as_path": "65000-65000-65100"},
        {"source_peer": IPv4Address("10.13.76.100")},
        {"origin": "IBgp"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_row_that_differs_in_anything_is_missing_and_not_expected(changed: dict[str, object]) -> None:
    table = hubs.published(hubs.TEN)
    found = (replace(table[0], **changed), *table[1:])  # type: ignore[arg-type]
    missing, extra = differences(table, found)
    assert missing.startswith("missing: 10.13.76.4 100.0.0.100/32 10.13.76.100 10.13.76.84")
    assert extra.startswith("not expected: 10.13.76.4 100.0.0.100/32")


def test_a_row_too_few_and_a_row_twice_are_differences() -> None:
    table = hubs.published(hubs.TEN)
    assert differences(table, table) == ()
    assert [line.split(":")[0] for line in differences(table, table[1:])] == ["missing"]
    assert [line.split(":")[0] for line in differences(table, (*table, table[3]))] == ["twice"]


PROTOCOLS = """\
2002-Name       Proto      Table      State  Since         Info
1002-network    Static     master4    up     19:14:03.123
 nva_a      BGP        ---        up     19:14:05.456  Established
 nva_b      BGP        ---        start  19:14:06.789  Connect
0000
"""


def test_a_session_is_listed_with_its_beginning_and_one_that_is_not_up_is_left_out() -> None:
    assert up_since(PROTOCOLS.splitlines()) == {"nva_a": "19:14:05.456"}


# --- packets

PING = """\
PING 100.0.0.100 (100.0.0.100) 56(84) bytes of data.
64 bytes from 100.0.0.100: icmp_seq=1 ttl=64 time=0.05 ms
64 bytes from 100.0.0.100: icmp_seq=2 ttl=64 time=0.05 ms
64 bytes from 100.0.0.100: icmp_seq=5 ttl=64 time=0.05 ms
64 bytes from 100.0.0.100: icmp_seq=7 ttl=64 time=0.05 ms

--- 100.0.0.100 ping statistics ---
{total} packets transmitted, 4 received, 50% packet loss, time 350ms
"""


def test_packets_without_an_answer_are_lost_and_the_longest_run_of_them_is_the_outage() -> None:
    found = counted(PING.format(total=7).splitlines())
    assert (found.sent, found.lost, found.longest) == (7, 3, 2)


def test_a_last_packet_that_may_be_on_its_way_is_not_lost_and_two_are() -> None:
    assert counted(PING.format(total=8).splitlines()).lost == 3
    assert counted(PING.format(total=9).splitlines()).lost == 4


def test_a_ping_that_broke_off_is_no_evidence() -> None:
    with pytest.raises(ValueError, match="no total"):
        counted(PING.splitlines()[:4])


def test_an_address_that_never_answered_fails_the_phase_whatever_was_counted() -> None:
    quiet = counted(["1 packets transmitted, 0 received"])
    findings = Findings()
    findings.nothing_lost(Phase("at rest", 1.0, {INSTANCE: quiet}))
    assert findings.checks[0].wrong == ("nothing answers at 10.13.76.4",)
    assert not findings.passed


def test_the_outage_is_that_of_the_address_that_fared_worst() -> None:
    worse, better = PING.format(total=7).splitlines(), ["2 packets transmitted, 0 received"]
    counts = {INSTANCE: counted(worse), PEERS[0].address: counted(better)}
    phase = Phase("killed", 1.0, counts)
    assert (phase.lost, phase.outage) == (3 + 1, 2 * EVERY)


def test_a_case_that_checked_nothing_has_not_passed() -> None:
    assert not Findings().passed


# --- the cases


def test_every_example_is_played() -> None:
    assert set(EXAMPLES.values()) == {path.stem for path in (ROOT / "examples").glob("*.yaml")}
    assert set(EXAMPLES) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_played_on_its_example(name: str) -> None:
    case = CASES[name]
    plan = case.plan(topology(case))
    assert {server.name for server in plan.servers} == {server.name for server in plan.topology.route_servers}
    assert len(set(plan.addresses.values())) == len(plan.addresses)
    assert max(map(len, plan.addresses)) <= 13, "an interface of the switch has the node's name, and 15 letters at most"


@pytest.mark.parametrize("name", CASES)
def test_every_speaker_of_a_case_is_rendered_for_every_vendor_that_can_say_it(name: str) -> None:
    case = CASES[name]
    plan = case.plan(topology(case))
    for speaker in (s for s in plan.topology.speakers if s.peers_with):
        passes_on = speaker.role == "hub" or speaker.relays
        for vendor in (each for each in Vendor if not passes_on or each not in PASSES_NOTHING_ON):
            text = render(plan.topology, speaker.name, vendor, plan.instances(speaker.name), plan.frontends)
            assert str(speaker.asn) in text
            assert all(str(a) in text for pair in plan.instances(speaker.name).values() for a in pair)


def test_an_instance_keeps_next_hops_and_passes_on_what_it_learned() -> None:
    text = instances.configuration(INSTANCE, IPv4Network("10.13.76.0/24"), PEERS, 180)
    assert "protocol bgp hub_a {\n  local 10.13.76.4 as 65515; neighbor 10.13.76.84 as 65000; multihop;" in text
    assert "next hop" not in text
    assert text.count('ipv4 { import all; export where source = RTS_BGP || proto = "network"; };') == len(PEERS)


def test_a_gateways_path_is_written_from_its_far_end() -> None:
    server = instances.Instances("rs", (INSTANCE, PEERS[0].address), IPv4Network("10.13.76.0/24"))
    text = instances.gateway(PEERS[2].address, IPv4Network("192.168.0.0/16"), (12076, 65300), server)
    assert text.count("bgp_path.prepend(65300); bgp_path.prepend(12076); accept;") == 2


def test_an_exabgp_hubs_agent_has_the_clients_that_were_rendered_for_it() -> None:
    case = CASES["ten-nvas-two-hubs"]
    plan = case.plan(topology(case))
    text = render(plan.topology, "hub-a", "exabgp", plan.instances("hub-a"))
    last = plan.topology.speaker("nva-109")
    home, instances_ = Path("/hub"), plan.instances("hub-a")["rs"]
    tables = neighbours(instances_), hub_agent.clients(text, [last.address])
    agent = hub_agent.configuration(plan.topology.speaker("hub-a"), "ten", home, 180, *tables)
    speaker = tomllib.loads(agent)["speaker"]
    assert [neighbour["address"] for neighbour in speaker["neighbors"]] == ["10.13.76.4", "10.13.76.5"]
    assert [(c["address"], c["asn"], c["prefixes"]) for c in speaker["clients"]] == [
        (f"10.13.76.{n}", 65000 + n, [f"100.0.0.{n}/32"]) for n in hubs.TEN
    ]
    assert [c.get("listen", False) for c in speaker["clients"]] == [False] * 9 + [True]


def test_the_products_verification_agrees_with_the_published_table_and_sees_a_hub_that_draws_packets_to_itself() -> (
    None
):
    case = CASES["ten-nvas-two-hubs"]
    plan = case.plan(topology(case))
    (server,) = plan.servers
    table = hubs.published(hubs.TEN)
    assert verified.findings(plan.topology, server, table) == ()
    drawn = (replace(table[0], next_hop=table[0].source_peer), *table[1:])
    (found,) = verified.complaints(verified.findings(plan.topology, server, drawn))
    assert found.startswith("hub-next-hop: 100.0.0.100/32 from hub-a on rs has next hop 10.13.76.84")


@pytest.mark.parametrize("case", [rendered.ACTIVE_PASSIVE_FRONTEND, rendered.AS_PATH, rendered.INJECTOR])
def test_the_products_verification_agrees_with_what_stands_here_of_a_plain_example(case: RenderedCase) -> None:
    plan = case.plan(topology(case))
    table, now = case.expected(plan.topology), case.standing(plan.topology)
    assert len(table) == 2 * len(case.announced)
    assert verified.complaints(verified.findings(plan.topology, case.server, table, now)) == []
    other = (replace(table[0], next_hop=INSTANCE), *table[1:])
    (found,) = verified.complaints(verified.findings(plan.topology, case.server, other, now))
    assert found.startswith("next-hop: ")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 0, "b": 3}, {"a": 3, "b": 0}, {"a": (2, 0), "b": (2, 0)}),
        ({"a": 3, "b": 0}, {"a": None, "b": 0}, {"a": (0, 2), "b": (0, 0)}),
        ({"a": None, "b": 0}, {"a": 0, "b": None}, {"a": (2, 0), "b": (0, 2)}),
    ],
    ids=["prepend", "withhold", "withheld"],
)
def test_an_nva_that_changes_its_announcement_sends_one_update_a_prefix_and_no_other_nva_any(
    before: outward.Prepends, after: outward.Prepends, expected: dict[str, tuple[int, int]]
) -> None:
    assert outward.updates(before, after, 2) == expected


@pytest.mark.parametrize("vendor", ["exabgp", "bird", "frr"])
def test_an_agent_of_the_lab_speaks_with_both_instances_and_on_premises_apart(vendor: str, tmp_path: Path) -> None:
    case = CASES["outward-symmetry"]
    plan = case.plan(topology(case))
    (service,) = plan.topology.services
    assert service.outward is not None
    agents = Agents(Network(plan, tmp_path))
    text = agents.configuration(plan.topology.speaker("nva-b"), vendor, service.outward.neighbours)
    decoded = agent_config.decode(text)
    assert decoded.speaker is not None
    found = decoded.speaker.settings.neighbours
    assert [(str(n.address), n.toward) for n in found] == [
        ("10.0.0.36", "route-servers"),
        ("10.0.0.37", "route-servers"),
        ("192.168.100.1", "outward"),
    ]


def test_a_bird_announces_on_premises_what_stands_in_the_agents_table_for_it() -> None:
    text = outward.on_premises_part(INSTANCE, 65001, Neighbour(address=PEERS[0].address, asn=64600))
    assert "neighbor 10.13.76.84 as 64600" in text
    assert "table hopkeeper_outward4; import none; export filter hopkeeper_outward_export;" in text


def test_a_route_server_peers_with_the_instances_that_are_listed_and_with_the_firewalls() -> None:
    declared = topology(CASES["scale-set"])
    listed = scale_set.listed(declared, ["router-0", "router-2"])
    assert [(s.name, str(s.address), s.asn) for s in listed.peered_with("rs-hub")] == [
        ("nva-a", "10.0.1.4", 65001),
        ("nva-b", "10.0.1.5", 65001),
        ("router-0", "10.0.3.4", 65010),
        ("router-2", "10.0.3.6", 65010),
    ]


def test_the_walk_from_what_you_have_is_played_step_by_step_as_its_document_has_it() -> None:
    text = (ROOT / "docs" / "from-what-you-have.md").read_text()
    assert tuple(re.findall(r"(?m)^## (\d.*)$", text)) == brownfield.STEPS
    for part in (
        brownfield.INCLUDE + brownfield.PIPE,
        brownfield.CLAUSE,
        str(brownfield.BEYOND),
        str(brownfield.FRONTEND),
    ):
        assert part in text


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({}, "rs-0 has lost nva_a"),
        ({("rs-0", "nva_a"): ("10:00:03.000", 1, 0)}, "rs-0 has another session with nva_a, since 10:00:03.000"),
        ({("rs-0", "nva_a"): ("10:00:00.001", 2, 0)}, "nva_a sent rs-0 1 other routes and 0 withdrawals"),
        ({("rs-0", "nva_a"): ("10:00:00.000", 1, 1)}, "nva_a sent rs-0 0 other routes and 1 withdrawals"),
    ],
    ids=["lost", "reset", "changed", "withdrawn"],
)
def test_whatever_damping_could_count_is_named(now: dict[tuple[str, str], tuple[str, int, int]], said: str) -> None:
    before = brownfield.Counted({("rs-0", "nva_a"): ("10:00:00.000", 1, 0)}, 1)
    assert brownfield.disturbed(before, before) == []
    assert brownfield.disturbed(before, brownfield.Counted(now, 1)) == [said]


# --- the report


def test_a_case_is_reported_with_its_table_and_what_is_wrong() -> None:
    row = Row(INSTANCE, IPv4Network("100.0.0.200/32"), PEERS[0].address, PEERS[0].address, "65000")
    findings = Findings(rows={"rs": (row,)})
    findings.equal("something", 1, 2)
    text = report.text(
        {
            "case": "nva-as-hub",
            "example": "nva-as-hub",
            "title": "t",
            "vendors": {"hub-a": "frr"},
            **findings.as_document(),
        }
    )
    assert "| 10.13.76.4   | 100.0.0.200/32 | 10.13.76.84 | 10.13.76.84 | EBgp   | 65000  | 32768  |" in text
    assert "NOT  something\n       expected 1, found 2" in text


def test_the_documented_table_is_the_published_one() -> None:
    table = report.table([row.as_document() for row in hubs.published(hubs.TEN)])
    assert table in (ROOT / "docs" / "networks.md").read_text()


# --- for real


def _played(case: str, tmp_path: Path) -> dict[str, Any]:
    lacking = (*namespaces.missing(PROGRAMS), *(d.missing for d in DAEMONS.values() if d.missing is not None))
    if lacking:
        pytest.skip(f"the networks lab needs {', '.join(lacking)}")
    out = tmp_path / "networks.json"
    argv = [sys.executable, "-m", "lab.networks", case, "--quick", "--out", str(out)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads(out.read_text())["cases"]
    return dict(found)


def test_two_nvas_that_run_already_are_taken_over_without_a_lost_packet_or_a_changed_path(tmp_path: Path) -> None:
    case = _played("from-what-you-have", tmp_path)
    assert case["vendors"] == {"nva-a": "bird", "nva-b": "frr"}
    assert [(phase["phase"], phase["lost"]) for phase in case["phases"]] == [(step, 0) for step in brownfield.STEPS]
    assert all(phase["sent"] > 0 for phase in case["phases"])


def test_ten_nvas_over_two_hubs_learn_the_published_table_and_lose_nothing_with_a_hub(tmp_path: Path) -> None:
    case = _played("ten-nvas-two-hubs", tmp_path)
    assert case["rows"]["rs"] == [row.as_document() for row in hubs.published(hubs.TEN)]
    assert (case["vendors"]["hub-a"], case["vendors"]["hub-b"]) == ("frr", "bird")
    assert case["killed"] == ["kill -9: hub-a (frr)"]
    assert [phase["lost"] for phase in case["phases"]] == [0, 0, 0]
    assert all(phase["sent"] > 0 for phase in case["phases"])

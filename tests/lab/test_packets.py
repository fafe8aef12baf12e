"""The packet lab: its pure parts, and one tiny run in real namespaces where there may be any."""

import json
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lab.packets import namespaces, report, route_servers
from lab.packets.eligibility import Span, both, spans, two_eligible
from lab.packets.faults import FAULTS
from lab.packets.hopkeeper import at_rest
from lab.packets.mechanisms import BY_NAME, ON_REQUEST
from lab.packets.programmer import Learned
from lab.packets.readings import Arrival as Seen
from lab.packets.readings import Reply, arrivals_gap, longest_gap, lost, moves, replies, spread, two_serving
from lab.packets.route_servers import Announced, LearnedRoute, SessionCount, Timers
from lab.packets.series import described, names
from lab.packets.watcher import choose

ROOT = Path(__file__).resolve().parents[2]
EVERY = 0.005


def served(*numbers: int, server: str = "nva1") -> list[Reply]:
    """Replies to packets sent every 5 ms, each back a millisecond later."""
    return [Reply(n, n * EVERY, n * EVERY + 0.001, server) for n in numbers]


# --- readings


def test_the_outage_is_the_longest_time_between_two_answered_packets_as_they_were_sent() -> None:
    gap = longest_gap([*served(0, 1, 2), *served(40, 41, server="nva2")], 0, 1)
    assert gap is not None
    assert (round(gap.seconds, 6), gap.lost) == (0.19, 37)


def test_a_gap_before_the_time_in_question_is_not_counted() -> None:
    gap = longest_gap(served(0, 100, 101, 103), 0.5, 1)
    assert gap is not None
    assert gap.lost == 1


def test_fewer_than_two_answers_have_no_gap() -> None:
    assert longest_gap(served(5), 0, 1) is None


def test_lost_packets_are_counted_between_the_first_and_the_last_answer() -> None:
    assert lost(served(3, 4, 7, 9), 0, 1) == 3
    assert lost([], 0, 1) == 0


def test_replies_that_overtake_each_other_are_read_in_the_order_they_were_sent() -> None:
    overtaken = [*served(2, server="nva2"), *served(1)]
    assert moves(overtaken) == 1
    assert two_serving(overtaken, "nva1", "nva2") == 0


def test_a_packet_of_the_old_holder_after_one_of_the_new_is_two_serving() -> None:
    both = [*served(1, 2, 5), *served(3, 4, 6, server="nva2")]
    assert two_serving(both, "nva1", "nva2") == 1
    assert two_serving(served(1, 2), "nva1", "nva2") == 0


def test_a_line_that_is_not_yet_whole_is_left_out() -> None:
    assert [r.number for r in replies(["1 0.0 0.1 nva1\n", "2 0.005 0.1"])] == [1]


def test_the_client_sees_the_gap_on_the_way_there() -> None:
    assert arrivals_gap([Seen(1, 0.1, "nva1"), Seen(2, 0.4, "nva1"), Seen(3, 0.5, "nva2")], 0, 1) == pytest.approx(0.3)


def test_a_spread_names_median_and_ends() -> None:
    found = spread([3.0, 1.0, 2.0, 10.0])
    assert found is not None
    assert (found.runs, found.median, found.least, found.most) == (4, 2.5, 1.0, 10.0)
    assert spread([]) is None


# --- who was eligible


def test_a_span_holds_only_what_is_certain() -> None:
    samples = [(0.0, False), (1.0, True), (2.0, True), (3.0, False), (4.0, True), (5.0, True)]
    assert spans(samples) == [Span(1.0, 2.0), Span(4.0, 5.0)]


def test_a_member_that_is_administratively_down_is_not_eligible_whatever_its_agent_says() -> None:
    answering, admitted = [Span(0.0, 10.0)], [Span(0.0, 3.0), Span(8.0, 10.0)]
    assert both(answering, admitted) == [Span(0.0, 3.0), Span(8.0, 10.0)]


def test_two_members_eligible_at_the_same_time_are_found_and_one_after_the_other_are_not() -> None:
    old, soon, late = [Span(0.0, 2.0)], [Span(1.9, 5.0)], [Span(2.0, 5.0)]
    assert two_eligible({"nva1": old, "nva2": soon}) == [Span(1.9, 2.0)]
    assert two_eligible({"nva1": old, "nva2": late}) == []


# --- what the workload is programmed with


def test_the_programmer_uses_what_both_instances_have_learned() -> None:
    learned = Learned()
    assert learned.read("rs1", "100.64.0.1 via 10.10.0.4 dev eth0 proto bird metric 32 \n") == "100.64.0.1/32"
    learned.read("rs2", "100.64.0.1 via 10.10.0.5 dev eth0 proto bird metric 32 \n")
    assert learned.hops("100.64.0.1/32") == {"10.10.0.4", "10.10.0.5"}
    learned.read("rs1", "Deleted 100.64.0.1 via 10.10.0.4 dev eth0 proto bird metric 32 \n")
    assert learned.hops("100.64.0.1/32") == {"10.10.0.5"}


def test_equal_paths_of_one_instance_are_all_used() -> None:
    learned = Learned()
    hops = r"\	nexthop via 10.10.0.4 dev eth0 weight 1 \	nexthop via 10.10.0.5 dev eth0 weight 1"
    learned.read("rs1", f"100.64.0.1 proto bird metric 32 {hops}\n")
    assert learned.hops("100.64.0.1/32") == {"10.10.0.4", "10.10.0.5"}


def test_routes_that_are_not_from_bgp_are_left_out() -> None:
    assert Learned().read("rs1", "10.10.0.0/16 dev eth0 proto kernel scope link src 10.10.1.4 \n") is None


# --- Route Server


PROTOCOLS = """\
2002-BIRD 2.0.12 ready.
1002-nva1       BGP        ---        up     14:00:00.000  Established
1006-  BGP state:          Established
     Channel ipv4
       Route change stats:     received   rejected   filtered    ignored   accepted
         Import updates:              3          0          0          1          2
         Import withdraws:            1          0        ---          0          1
1002-nva2       BGP        ---        start  14:00:00.000  Connect
1006-  BGP state:          Connect
"""


def test_birds_counters_are_read_by_peer() -> None:
    found = route_servers.counts(PROTOCOLS.splitlines())
    assert found == {"nva1": SessionCount(True, 3, 1, 2), "nva2": SessionCount(False, 0, 0)}


ROUTES = """\
1007-Table master4:
 100.64.0.1/32        unicast [nva1 14:00:00.000 from 10.10.0.4] * (100) [AS65001i]
1008-	Type: BGP univ
1012-	BGP.origin: IGP
	BGP.as_path: 65001 65001
	BGP.next_hop: 10.10.0.100
                     unicast [nva2 14:00:01.000 from 10.10.0.5] (100) [AS65002i]
	BGP.as_path: 65002
	BGP.next_hop: 10.10.0.5
"""


def test_learned_routes_keep_the_next_hop_as_received() -> None:
    assert route_servers.routes(ROUTES.splitlines()) == (
        LearnedRoute("nva1", "100.64.0.1/32", "10.10.0.100", (65001, 65001)),
        LearnedRoute("nva2", "100.64.0.1/32", "10.10.0.5", (65002,)),
    )


def test_no_route_server_keeps_a_dead_peers_routes() -> None:
    text = route_servers.configuration("rs1", {"nva1": 65001}, Timers(9, 3))
    assert "graceful restart off; long lived graceful restart off;" in text
    assert "hold time 9; keepalive time 3;" in text


def test_an_appliance_announces_the_frontend_by_its_own_configuration() -> None:
    text = route_servers.announcer(
        "nva1", 65001, Announced("100.64.0.1/32", next_hop=IPv4Address("10.10.0.100")), Timers()
    )
    assert text.count("bgp_next_hop = 10.10.0.100; accept;") == 2
    assert "bgp_next_hop" not in route_servers.announcer("nva1", 65001, Announced("100.64.0.1/32"), Timers())


# --- rest


def status(**service: object) -> dict[str, object]:
    whole = {"phase": "stable", "holder": "nva1", "mayServe": ["nva1"], "owed": []}
    last = {"members": {"watch": {"ready": True}}, "routes": {"verified": True}}
    return {"services": [whole | service], "lastLook": last}


def test_at_rest_one_member_serves_and_nothing_is_owed() -> None:
    assert at_rest(status(), ["watch"], (), 0)
    assert not at_rest(status(mayServe=["nva1", "nva2"]), ["watch"], (), 0)
    assert not at_rest(status(holder=None, mayServe=[]), ["watch"], (), 0)
    assert not at_rest(status(owed=["nva2"]), ["watch"], (), 0)
    assert not at_rest(status(), ["watch", "nva1"], (), 0)


def test_members_without_an_agent_rest_fenced() -> None:
    bare = ("nva1", "nva2")
    assert at_rest(status(mayServe=["nva1", "nva2"], owed=["nva2"]), ["watch"], bare, 1)
    assert not at_rest(status(mayServe=["nva1", "nva2"]), ["watch"], bare, 1)


# --- contenders and their series


def test_the_watcher_moves_after_one_failure_and_fails_back_at_once() -> None:
    primary, secondary = 0, 1
    assert choose(primary, (True, True)) == primary
    assert choose(primary, (False, True)) == secondary
    assert choose(secondary, (True, True)) == primary
    assert choose(secondary, (False, False)) == secondary


def test_every_contender_plays_faults_that_there_are() -> None:
    for name, make in BY_NAME.items():
        contender = make()
        assert contender.name == name
        assert {*contender.faults, *contender.once} <= set(FAULTS)
        assert set(contender.once) <= set(contender.faults)


def test_what_takes_minutes_is_played_only_on_request() -> None:
    assert set(BY_NAME) >= ON_REQUEST
    assert not ON_REQUEST & set(names([]))
    assert names(["watcher", "bgp-9"]) == ["bgp-9", "watcher"]


# --- the report


def run(contender: str, fault: str, seconds: float, **more: object) -> dict[str, object]:
    return {"contender": contender, "fault": fault, "outage_seconds": seconds, "two_serving_packets": 0, **more}


RUNS = [
    run("bgp-9", "silent", 6.0, updates={"rs1 nva2": {"updates": 1, "withdrawals": 0}}),
    run("bgp-9", "silent", 8.0),
    run("ours-lb", "silent", 14.0, two_eligible=1),
]
TITLES = {"bgp-9": "BGP <timers>", "ours-lb": "Hopkeeper"}


def test_a_row_has_the_spread_and_every_run() -> None:
    row = report.rows(RUNS, TITLES)[0]
    assert (row.contender, row.fault, row.spread.median, row.seconds) == ("bgp-9", "silent", 7.0, (6.0, 8.0))
    assert (row.updates_most, row.withdrawals) == (1, 0)


def test_hold_180_is_computed_from_hold_9_and_says_so() -> None:
    computed = report.rows(RUNS, TITLES)[1]
    assert (computed.computed, computed.spread.median) == (True, 140.0)
    assert "computed" in computed.title


def test_two_serving_is_counted_from_the_packets_and_from_the_contenders_own_watch() -> None:
    assert report.rows(RUNS, TITLES)[2].two_serving == 1


def test_the_table_has_a_line_for_every_row() -> None:
    lines = report.table(report.rows(RUNS, TITLES)).splitlines()
    assert lines[2] == "| BGP <timers> | silent | 2 | 7.00 s | 6.00 s | 8.00 s | 0 |"
    assert len(lines) == 2 + 3


def test_the_chart_is_well_formed_and_has_a_bar_for_every_row() -> None:
    root = ElementTree.fromstring(report.chart(report.rows(RUNS, TITLES), "on <this> machine"))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}rect")) == 1 + 3
    assert len(root.findall(f"{space}circle")) == 2 + 2 + 1
    assert "on <this> machine" in [text.text for text in root.findall(f"{space}text")]


def test_a_run_is_described_in_a_line() -> None:
    assert described(run("bgp-9", "silent", 6.0)) == "bgp-9, silent: 6.000 s without packets"
    loss = {"contender": "watcher", "fault": "loss", "false_failovers": 30, "minutes": 1.0}
    assert described(loss) == "watcher: 30 false failovers in 1.0 min with 10 % loss"


# --- for real


def test_packets_move_to_the_other_nva_when_one_is_killed_and_nothing_is_left_behind(tmp_path: Path) -> None:
    if lacking := namespaces.missing():
        pytest.skip(f"the packet lab needs {', '.join(lacking)}")
    out, svg = tmp_path / "lab.json", tmp_path / "lab.svg"
    argv = [sys.executable, "-m", "lab.packets", "--runs", "1", "--only", "bgp-9", "--faults", "killed", "--loss", "0"]
    done = subprocess.run(
        [*argv, "--out", str(out), "--svg", str(svg)], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    played = json.loads(out.read_text())
    assert played["failures"] == {}
    (only,) = played["runs"]
    assert (only["victim"], only["after"]) == ("nva1", "nva2")
    assert 0 < only["outage_seconds"] < 9, "a killed daemon is noticed long before the hold time"
    assert only["two_serving_packets"] == 0
    assert only["programmed"][-1]["hops"] == ["10.10.0.5"]
    assert svg.read_text().startswith("<svg")
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    assert "nva1" not in listed

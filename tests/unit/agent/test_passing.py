"""Which client's route an ExaBGP hub speaker passes on, and in which commands, without a process."""

from __future__ import annotations

import json
from typing import Any

from hopkeeper_agent.speakers.exabgp_helper import Memory
from hopkeeper_agent.speakers.passing import Passing

ARGUMENTS = [
    "self=65000=10.0.1.4=",
    "to=10.0.0.4+10.0.0.5",
    "client=10.0.1.100=65100=100.0.0.100/32+10.9.0.0/16",
    "client=10.0.1.101=65101=10.9.0.0/16",
    "client=10.0.1.99=65099=10.9.0.0/16",
    "client=10.0.1.102=65102=",
]
RELAYING = [
    "self=65001=10.1.1.4=override",
    "to=10.1.0.4+10.1.0.5+10.20.0.4+10.20.0.5",
    "relay=10.1.0.4+10.1.0.5=10.20.0.4+10.20.0.5=192.168.0.0/16+10.1.0.0/16",
    "relay=10.20.0.4+10.20.0.5=10.1.0.4+10.1.0.5=10.20.0.0/16",
]
SPOKE = "neighbor 10.20.0.4 , neighbor 10.20.0.5"
BOTH = "neighbor 10.0.0.4 , neighbor 10.0.0.5"
PREFIX, SHARED = "100.0.0.100/32", "10.9.0.0/16"
PASSED = "next-hop 10.0.1.100 as-path [ 65000 65100 ]"
OWN = "next-hop 10.0.1.4 as-path [ 65000 ]"


class Hub:
    """The helper's memory of a hub speaker, spoken to as ExaBGP does."""

    def __init__(self, *established: str, arguments: list[str] = ARGUMENTS) -> None:
        self.memory = Memory(1, "f", passing=Passing.from_arguments(arguments))
        self.reported: list[dict[str, Any]] = []
        for peer in established:
            self.state(peer, "up")

    def feed(self, peer: str, **neighbor: object) -> list[str]:
        """Returns the commands that became due; `told` is what the agent is sent."""
        kind = neighbor.pop("type")
        line = json.dumps({"type": kind, "neighbor": {"address": {"peer": peer}, **neighbor}})
        self.reported = self.memory.feed_exabgp(line)
        due, self.memory.due = self.memory.due, []
        return due

    def state(self, peer: str, state: str) -> list[str]:
        return self.feed(peer, type="state", state=state)

    def update(
        self, peer: str, prefix: str, path: list[int] | None, direction: str = "receive", element: str = "as-sequence"
    ) -> list[str]:
        """`path` is None for a withdrawal; the next hop is the first client's or, sent, that of the given route."""
        update: dict[str, object] = {"withdraw": {"ipv4 unicast": [{"nlri": prefix}]}}
        if path is not None:
            hop = peer if direction == "receive" else "10.0.1.100" if len(set(path)) > 1 else "10.0.1.4"
            segment = {"0": {"element": element, "value": path}}
            update = {"attribute": {"as-path": segment}, "announce": {"ipv4 unicast": {hop: [{"nlri": prefix}]}}}
        return self.feed(peer, type="update", direction=direction, message={"update": update})

    def spoilt(self, peer: str, prefix: str, asn: int, next_hop: str | None = None, **more: str) -> list[str]:
        """An UPDATE that announces, with another next hop or an attribute that cannot be used."""
        attributes = {"as-path": {"0": {"element": "as-sequence", "value": [asn]}}, **more}
        update = {"attribute": attributes, "announce": {"ipv4 unicast": {next_hop or peer: [{"nlri": prefix}]}}}
        return self.feed(peer, type="update", direction="receive", message={"update": update})

    def order(self, prefix: str, route: str | None) -> list[str]:
        return self.memory.feed_agent(json.dumps({"id": 1, "changes": [[prefix, route]]}))


def test_a_clients_route_is_announced_to_the_route_server_with_its_next_hop_and_withdrawn_with_it() -> None:
    hub = Hub()
    assert hub.update("10.0.1.100", PREFIX, [65100]) == [f"{BOTH} announce route {PREFIX} {PASSED}"]
    assert hub.update("10.0.1.100", PREFIX, [65100]) == []
    assert hub.update("10.0.1.100", PREFIX, None) == [f"{BOTH} withdraw route {PREFIX} {PASSED}"]


def test_a_clients_prepending_is_passed_on() -> None:
    longer = "next-hop 10.0.1.100 as-path [ 65000 65100 65100 ]"
    assert Hub().update("10.0.1.100", PREFIX, [65100, 65100]) == [f"{BOTH} announce route {PREFIX} {longer}"]


def test_only_a_clients_own_prefixes_with_its_own_asn_are_passed_on() -> None:
    hub = Hub()
    assert hub.update("10.0.1.100", "100.0.0.101/32", [65100]) == []
    assert hub.update("10.0.1.100", PREFIX, [65100, 65001]) == []
    assert hub.update("10.0.1.100", PREFIX, []) == []
    assert hub.update("10.0.1.100", PREFIX, [65100], element="as-set") == []
    assert hub.update("10.0.1.102", PREFIX, [65102]) == []
    assert hub.update("10.0.0.4", PREFIX, [65515]) == []


def test_a_route_that_leads_nowhere_or_must_be_treated_as_withdrawn_or_fills_its_path_is_not_passed_on() -> None:
    longest = [65100] * 254
    assert Hub().update("10.0.1.100", PREFIX, [*longest, 65100]) == []
    assert len(Hub().update("10.0.1.100", PREFIX, longest)) == 1
    for changes in ({"next_hop": "0.0.0.0"}, {"next_hop": "null"}, {"error": "treat-as-withdraw due to community"}):
        hub = Hub()
        assert hub.update("10.0.1.100", PREFIX, [65100]) == [f"{BOTH} announce route {PREFIX} {PASSED}"]
        assert hub.spoilt("10.0.1.100", PREFIX, 65100, **changes) == [f"{BOTH} withdraw route {PREFIX} {PASSED}"]
    discarded = Hub().spoilt("10.0.1.100", PREFIX, 65100, error="discard due to aggregator")
    assert discarded == [f"{BOTH} announce route {PREFIX} {PASSED}"]


def test_a_route_that_turns_foreign_is_withdrawn() -> None:
    hub = Hub()
    hub.update("10.0.1.100", PREFIX, [65100])
    assert hub.update("10.0.1.100", PREFIX, [65100, 65001]) == [f"{BOTH} withdraw route {PREFIX} {PASSED}"]


def test_the_routes_go_with_the_clients_session() -> None:
    hub = Hub()
    hub.state("10.0.1.100", "up")
    hub.update("10.0.1.100", PREFIX, [65100])
    assert hub.state("10.0.1.100", "down") == [f"{BOTH} withdraw route {PREFIX} {PASSED}"]
    assert hub.reported[0]["session"][:2] == ["10.0.1.100", "down"]


def test_of_several_clients_the_shortest_path_counts_and_then_the_lowest_address() -> None:
    hub = Hub()
    hub.update("10.0.1.101", SHARED, [65101])
    assert hub.update("10.0.1.100", SHARED, [65100, 65100]) == []
    assert hub.update("10.0.1.100", SHARED, [65100]) == [
        f"{BOTH} announce route {SHARED} next-hop 10.0.1.100 as-path [ 65000 65100 ]"
    ]
    assert hub.update("10.0.1.99", SHARED, [65099]) == [
        f"{BOTH} announce route {SHARED} next-hop 10.0.1.99 as-path [ 65000 65099 ]"
    ]
    assert hub.update("10.0.1.99", SHARED, None) == [f"{BOTH} announce route {SHARED} {PASSED}"]


def test_a_change_waits_until_the_one_before_is_sent_to_every_established_neighbour() -> None:
    """Changes of one prefix that pile up inside ExaBGP may be sent in the wrong order."""
    hub = Hub("10.0.0.4", "10.0.0.5")
    assert len(hub.update("10.0.1.100", PREFIX, [65100])) == 1
    assert hub.update("10.0.1.100", PREFIX, None) == []
    assert hub.update("10.0.0.4", PREFIX, [65000, 65100], "send") == []
    assert hub.update("10.0.0.5", PREFIX, [65000, 65100], "send") == [f"{BOTH} withdraw route {PREFIX} {PASSED}"]


def test_a_neighbour_that_is_lost_is_not_waited_for() -> None:
    hub = Hub("10.0.0.4", "10.0.0.5")
    hub.update("10.0.1.100", PREFIX, [65100])
    hub.update("10.0.1.100", PREFIX, None)
    hub.update("10.0.0.4", PREFIX, [65000, 65100], "send")
    assert hub.state("10.0.0.5", "down") == [f"{BOTH} withdraw route {PREFIX} {PASSED}"]


def test_what_the_agent_orders_goes_before_a_clients_route_and_is_replaced_by_it_in_place() -> None:
    hub = Hub()
    hub.update("10.0.1.100", SHARED, [65100])
    assert hub.order(SHARED, OWN) == [f"{BOTH} announce route {SHARED} {OWN}"]
    assert hub.update("10.0.1.101", SHARED, [65101]) == []
    assert hub.order(SHARED, None) == [f"{BOTH} announce route {SHARED} {PASSED}"]
    hub.update("10.0.1.100", SHARED, None)
    hub.update("10.0.1.101", SHARED, None)
    hub.order(SHARED, OWN)
    for answer in ("done",) * 9:
        hub.memory.feed_exabgp(answer)
    assert hub.order(SHARED, None) == [f"{BOTH} withdraw route {SHARED} {OWN}"]


def test_the_agent_hears_of_its_own_routes_only() -> None:
    hub = Hub("10.0.0.4")
    hub.order(SHARED, OWN)
    hub.update("10.0.0.4", SHARED, [65000], "send")
    assert hub.reported == [{"sent": ["10.0.0.4", {SHARED: OWN}]}]
    hub.update("10.0.0.4", SHARED, [65000, 65100], "send")
    assert hub.reported == [{"sent": ["10.0.0.4", {SHARED: None}]}]
    assert hub.memory.sent["10.0.0.4"] == {}


def test_an_answer_without_an_order_is_not_reported_and_a_refused_route_is_tried_again() -> None:
    hub = Hub()
    hub.update("10.0.1.100", PREFIX, [65100])
    hub.order(SHARED, OWN)
    assert hub.memory.feed_exabgp("error") == []
    assert hub.memory.feed_exabgp("done") == [{"answered": 1, "refused": []}]
    assert hub.update("10.0.1.100", PREFIX, [65100]) == [f"{BOTH} announce route {PREFIX} {PASSED}"]


def test_without_clients_there_is_nothing_to_pass() -> None:
    assert Passing.from_arguments([]) is None


def test_what_is_relayed_leaves_with_our_next_hop_and_our_asn_in_the_place_of_65515_at_the_same_length() -> None:
    hub = Hub(arguments=RELAYING)
    route = "next-hop 10.1.1.4 as-path [ 65001 65001 65001 12076 ]"
    due = hub.update("10.1.0.4", "192.168.0.0/16", [65515, 65515, 12076])
    assert due == [f"{SPOKE} announce route 192.168.0.0/16 {route}"]
    assert hub.update("10.1.0.5", "192.168.0.0/16", [65515, 65515, 12076]) == []
    assert hub.state("10.1.0.4", "down") == []
    assert hub.update("10.1.0.5", "192.168.0.0/16", None) == [f"{SPOKE} withdraw route 192.168.0.0/16 {route}"]


def test_only_what_is_named_is_relayed_and_only_from_where_it_comes() -> None:
    """With AS override nothing of BGP's own guard against loops is left."""
    hub = Hub(arguments=RELAYING)
    assert hub.update("10.1.0.4", "10.99.0.0/16", [65515]) == []
    assert hub.update("10.20.0.4", "192.168.0.0/16", [65515]) == []
    assert hub.update("10.1.0.4", "192.168.0.0/16", [65515, 65001, 12076]) == []


def test_without_override_a_relayed_path_keeps_65515() -> None:
    hub = Hub(arguments=[RELAYING[0].removesuffix("override"), *RELAYING[1:]])
    assert hub.update("10.1.0.4", "10.1.0.0/16", [65515]) == [
        f"{SPOKE} announce route 10.1.0.0/16 next-hop 10.1.1.4 as-path [ 65001 65515 ]"
    ]


def test_a_relayed_route_is_not_reported_as_the_agents_own() -> None:
    """With AS override there may be nothing but our ASN in its path."""
    hub = Hub(arguments=RELAYING)
    hub.update("10.1.0.4", "10.1.0.0/16", [65515])
    hub.update("10.20.0.4", "10.1.0.0/16", [65001, 65001], "send")
    assert hub.reported == [{"sent": ["10.20.0.4", {"10.1.0.0/16": None}]}]


def test_what_is_for_on_premises_goes_there_alone_and_clients_have_no_part_in_it() -> None:
    hub = Hub()
    hub.update("10.0.1.100", SHARED, [65100])
    order = {"id": 1, "neighbors": ["192.168.100.1"], "changes": [[f"outward {SHARED}", OWN]]}
    assert hub.memory.feed_agent(json.dumps(order)) == [f"neighbor 192.168.100.1 announce route {SHARED} {OWN}"]
    hub.memory.feed_exabgp("done")
    hub.memory.feed_exabgp("done")
    order["changes"] = [[f"outward {SHARED}", None]]
    assert hub.memory.feed_agent(json.dumps(order)) == [f"neighbor 192.168.100.1 withdraw route {SHARED} {OWN}"]


def test_a_prefix_that_is_relayed_may_be_announced_on_premises_by_order() -> None:
    hub = Hub(arguments=RELAYING)
    hub.update("192.168.100.1", "10.20.0.0/16", [65001], "send")
    assert hub.reported[0]["sent"][1]["10.20.0.0/16"] is not None

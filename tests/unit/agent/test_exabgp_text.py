"""ExaBGP's configuration, commands and answers, without a process."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers.exabgp_configuration import (
    BgpSettings,
    environment,
    fingerprint,
    passing_arguments,
    render,
    route,
)
from hopkeeper_agent.speakers.exabgp_helper import Memory, sent_routes
from hopkeeper_agent.speakers.passing import Passing
from hopkeeper_agent.speakers.settings import BgpNeighbour, Client

ADDRESS = IPv4Address("10.0.1.4")
BOTH = (BgpNeighbour(IPv4Address("10.0.0.36"), 65515), BgpNeighbour(IPv4Address("10.0.0.37"), 65515))
SETTINGS = BgpSettings(asn=65001, address=ADDRESS, neighbours=BOTH)
ANNOUNCED = "next-hop 10.0.1.100 as-path [ 65001 ]"


def event(**neighbor: object) -> str:
    """A line of ExaBGP 5.0's JSON encoder, as seen from a running one."""
    return json.dumps(
        {"exabgp": "5.0.0", "type": neighbor.pop("type"), "neighbor": {"address": {"peer": "10.0.0.36"}, **neighbor}}
    )


def test_prepending_repeats_the_own_asn() -> None:
    item = Advertisement(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.100"), 2)
    assert route(item, 65001) == "next-hop 10.0.1.100 as-path [ 65001 65001 65001 ]"


def test_both_instances_are_neighbours_of_one_process() -> None:
    text = render(SETTINGS, ["python", "helper"])
    assert text.count("process hopkeeper {") == 1
    assert [line for line in text.splitlines() if line.startswith("neighbor ")] == [
        "neighbor 10.0.0.36 {",
        "neighbor 10.0.0.37 {",
    ]
    assert text.count("graceful-restart disable;") == 2


def test_another_setting_is_another_fingerprint() -> None:
    other = replace(SETTINGS, port=1790)
    assert fingerprint(SETTINGS, "x") != fingerprint(other, "x")
    assert fingerprint(SETTINGS, "x") == fingerprint(BgpSettings(asn=65001, address=ADDRESS, neighbours=BOTH), "x")
    assert environment(other)["exabgp.tcp.port"] == "1790"


def test_a_request_is_answered_once_exabgp_has_answered_all_of_it() -> None:
    memory = Memory(1, "f")
    commands = memory.feed_agent(
        json.dumps({"id": 4, "changes": [["0.0.0.0/0", ANNOUNCED], ["10.9.0.0/16", ANNOUNCED]]})
    )
    assert commands == [f"announce route 0.0.0.0/0 {ANNOUNCED}", f"announce route 10.9.0.0/16 {ANNOUNCED}"]
    assert memory.feed_exabgp("done") == []
    assert memory.feed_exabgp("error") == [{"answered": 4, "refused": ["10.9.0.0/16"]}]
    assert memory.hello()["hello"]["routes"] == {"0.0.0.0/0": ANNOUNCED}


def test_a_group_is_known_by_its_neighbours_and_kept_apart_from_the_other() -> None:
    memory = Memory(1, "f")
    changes = [["10.0.0.0/16", ANNOUNCED]], [["outward 10.0.0.0/16", "next-hop 10.0.1.4 as-path [ 65001 ]"]]
    inward = memory.feed_agent(json.dumps({"id": 1, "neighbors": ["10.0.0.36", "10.0.0.37"], "changes": changes[0]}))
    outward = memory.feed_agent(json.dumps({"id": 2, "neighbors": ["192.168.100.1"], "changes": changes[1]}))
    assert inward == [f"neighbor 10.0.0.36 , neighbor 10.0.0.37 announce route 10.0.0.0/16 {ANNOUNCED}"]
    assert outward == ["neighbor 192.168.100.1 announce route 10.0.0.0/16 next-hop 10.0.1.4 as-path [ 65001 ]"]
    assert [line for _ in range(2) for line in memory.feed_exabgp("done")] == [
        {"answered": number, "refused": []} for number in (1, 2)
    ]
    gone = memory.feed_agent('{"id": 3, "neighbors": ["192.168.100.1"], "changes": [["outward 10.0.0.0/16", null]]}')
    assert gone == ["neighbor 192.168.100.1 withdraw route 10.0.0.0/16 next-hop 10.0.1.4 as-path [ 65001 ]"]
    memory.feed_exabgp("done")
    assert memory.routes == {"10.0.0.0/16": ANNOUNCED}


def test_a_hub_that_speaks_with_on_premises_passes_clients_routes_to_route_servers_alone() -> None:
    premises = BgpNeighbour(IPv4Address("192.168.100.1"), 64600, Toward.OUTWARD)
    client = Client(IPv4Address("10.0.1.5"), 65002, (IPv4Network("10.9.0.0/16"),))
    settings = replace(
        SETTINGS, neighbours=(*BOTH, premises), clients=(client,), announces=(IPv4Network("10.8.0.0/16"),)
    )
    assert passing_arguments(settings)[1:] == ["to=10.0.0.36+10.0.0.37", "client=10.0.1.5=65002=10.9.0.0/16"]
    text = render(settings, ["python", "helper"])
    assert text.count("route 10.8.0.0/16 next-hop 10.0.1.4") == len(BOTH)
    memory = Memory(1, "f", passing=Passing.from_arguments(passing_arguments(settings)))
    for peer in ("10.0.0.36", "10.0.0.37", "192.168.100.1", "10.0.1.5"):
        memory.feed_exabgp(event(type="state", state="up", address={"peer": peer}))
    path = {"0": {"element": "as-sequence", "value": [65002]}}
    update = {"attribute": {"as-path": path}, "announce": {"ipv4 unicast": {"10.0.1.5": [{"nlri": "10.9.0.0/16"}]}}}
    client_address = {"peer": "10.0.1.5"}
    memory.feed_exabgp(event(type="update", direction="receive", address=client_address, message={"update": update}))
    passed = "route 10.9.0.0/16 next-hop 10.0.1.5 as-path [ 65001 65002 ]"
    assert memory.due == [f"neighbor 10.0.0.36 , neighbor 10.0.0.37 announce {passed}"]
    # Whoever hears nothing of it is not waited for.
    as_path = {"0": {"element": "as-sequence", "value": [65001, 65002]}}
    sent = {**update, "attribute": {"as-path": as_path}}
    for peer in ("10.0.0.36", "10.0.0.37"):
        memory.feed_exabgp(event(type="update", direction="send", address={"peer": peer}, message={"update": sent}))
    gone = {"withdraw": {"ipv4 unicast": [{"nlri": "10.9.0.0/16"}]}}
    memory.feed_exabgp(event(type="update", direction="receive", address=client_address, message={"update": gone}))
    assert memory.due[1:] == [f"neighbor 10.0.0.36 , neighbor 10.0.0.37 withdraw {passed}"]


def test_a_neighbour_that_changes_its_group_means_another_exabgp() -> None:
    """One that runs without groups has announced everything to all neighbours."""
    premises = BgpNeighbour(IPv4Address("192.168.100.1"), 64600)
    texts = [
        render(replace(SETTINGS, neighbours=(*BOTH, neighbour)), ["python", "helper"])
        for neighbour in (premises, replace(premises, toward=Toward.OUTWARD))
    ]
    assert fingerprint(SETTINGS, texts[0]) != fingerprint(SETTINGS, texts[1])


def test_a_withdrawal_names_the_route_in_force() -> None:
    memory = Memory(1, "f", routes={"0.0.0.0/0": ANNOUNCED})
    assert memory.feed_agent('{"id": 1, "changes": [["0.0.0.0/0", null]]}') == [f"withdraw route 0.0.0.0/0 {ANNOUNCED}"]
    assert memory.feed_exabgp("done") == [{"answered": 1, "refused": []}]
    assert memory.routes == {}


def test_a_request_without_changes_is_a_sign_of_life() -> None:
    memory = Memory(1, "f")
    assert memory.feed_agent('{"id": 9, "changes": []}') == ["# alive"]
    assert memory.feed_exabgp("done") == [{"answered": 9, "refused": []}]


def test_a_session_is_reported_when_it_turns_and_not_for_every_failed_attempt() -> None:
    memory = Memory(1, "f")
    reported = [
        memory.feed_exabgp(event(type="state", state=state)) for state in ("connected", "down", "connected", "down")
    ]
    assert [len(lines) for lines in reported] == [0, 1, 0, 0]
    up = memory.feed_exabgp(event(type="state", state="up"))
    assert up[0]["session"][:2] == ["10.0.0.36", "established"]


def test_what_was_sent_reads_like_what_was_ordered() -> None:
    path = {"0": {"element": "as-sequence", "value": [65001, 65001]}}
    update = {
        "attribute": {"origin": "igp", "as-path": path},
        "announce": {"ipv4 unicast": {"10.0.1.100": [{"nlri": "0.0.0.0/0"}]}},
        "withdraw": {"ipv4 unicast": [{"nlri": "10.9.0.0/16"}]},
    }
    expected = {"0.0.0.0/0": "next-hop 10.0.1.100 as-path [ 65001 65001 ]", "10.9.0.0/16": None}
    assert sent_routes(update) == expected
    memory = Memory(1, "f")
    lines = memory.feed_exabgp(event(type="update", direction="send", message={"update": update}))
    assert lines == [{"sent": ["10.0.0.36", expected]}]


def test_what_the_helper_does_not_know_it_lets_pass() -> None:
    memory = Memory(1, "f")
    for line in ("", "shutdown", "[]", "{}", '{"neighbor": 5}', "done", event(type="notification")):
        assert memory.feed_exabgp(line) == []

"""What BIRD 2.0.12 and FRR 8.4.4 print, as recorded from running ones, and what is understood of it."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hopkeeper_agent.role import Advertisement, Toward
from hopkeeper_agent.speakers import bird_text, frr_text
from hopkeeper_agent.speakers.bird import Bird, BirdSettings
from hopkeeper_agent.speakers.daemon import DaemonRefused
from hopkeeper_agent.speakers.frr_text import Running, Style
from hopkeeper_agent.speakers.settings import BgpNeighbour, Client

NOW = datetime(2026, 11, 21, 14, 31, 6).astimezone()
VIP = IPv4Network("100.64.0.1/32")
STYLE = Style(65001)

BIRD_PROTOCOLS = b"""\
2002-Name       Proto      Table      State  Since         Info
1002-hopkeeper_routes Static     hopkeeper4 up     14:31:01.934  
1006-  Channel ipv4
     State:          UP
     Table:          hopkeeper4
 
1002-rs0        BGP        ---        up     14:31:02.892  Established   
1006-  BGP state:          Established
     Neighbor address: 10.0.0.36
     Neighbor AS:      65515
     Hold timer:       152.304/180
     Local capabilities
       Multiprotocol
         AF announced: ipv4
       Graceful restart
         Restart time: 120
         AF supported: ipv4
         AF preserved:
     Neighbor capabilities
       Multiprotocol
         AF announced: ipv4
   Channel ipv4
     State:          UP
     Table:          hopkeeper4
     Routes:         0 imported, 1 exported, 0 preferred
 
1002-rs1        BGP        ---        start  2026-11-19    Active        Socket: Connection closed
1006-  BGP state:          Active
     Neighbor address: 10.0.0.37
     Local capabilities
       Graceful restart
   Channel ipv4
     State:          DOWN
     Table:          hopkeeper4
 
0000 
"""

BIRD_ROUTES = b"""\
1007-Table hopkeeper4:
 100.64.0.1/32        unreachable [hopkeeper_routes 14:31:05.920] * (200)
1008-\tType: static univ
1012-\tBGP.as_path: 65001 65001
 \tBGP.next_hop: 10.0.1.102
 \tBGP.community: (65001,7) (65001,100)
1007-0.0.0.0/0            unreachable [hopkeeper_routes 14:31:05.920] * (200)
1008-\tType: static univ
1012-\tBGP.next_hop: 10.0.1.4
0000 
"""

FRR_RUNNING = """\
router bgp 65001
 no bgp network import-check
 neighbor 10.0.0.36 remote-as 65515
 !
 address-family ipv4 unicast
  network 192.0.2.0/24
  network 100.64.0.1/32 route-map hopkeeper-10.0.1.101-1
  network 10.9.0.0/16 route-map mine
 exit-address-family
exit
!
router bgp 65001 vrf red
 address-family ipv4 unicast
  network 198.51.100.0/24 route-map hopkeeper-10.0.1.101-1
 exit-address-family
exit
!
route-map hopkeeper-10.0.1.101-1 permit 10
 set ip next-hop 10.0.1.101
 set tag 4242
 set as-path prepend 65001
exit
!
route-map mine permit 10
exit
"""

BIRD_TWO_ROUTES = b"""1007-Table master4:
 100.64.0.1/32        unreachable [hopkeeper_routes 14:31:02] * (210)
1008-\tType: static univ
1012-\tBGP.next_hop: 10.0.1.102
1007-                     blackhole [mine 14:31:02] (200)
1008-\tType: static univ
1012-\tBGP.next_hop: 10.0.1.100
 \tBGP.as_path: 65001
0000 
"""


def test_bird_shows_the_sessions_and_who_restarts_gracefully() -> None:
    first, second = bird_text.protocols(bird_text.answer(BIRD_PROTOCOLS).lines, NOW)
    assert (first.name, first.neighbour, first.established) == ("rs0", IPv4Address("10.0.0.36"), True)
    assert (first.exported, first.table, first.restarts_gracefully) == (1, "hopkeeper4", True)
    assert first.since == NOW.replace(second=2, microsecond=892000)
    assert (second.established, second.restarts_gracefully) == (False, False)
    assert (first.hold_seconds, second.hold_seconds) == (180, None)
    assert second.since == datetime(2026, 11, 19).astimezone()


def test_bird_shows_routes_with_their_attributes() -> None:
    lines = bird_text.answer(BIRD_ROUTES).lines
    default = IPv4Network("0.0.0.0/0")
    vip = Advertisement(VIP, IPv4Address("10.0.1.102"), 2)
    assert bird_text.sent(lines) == {VIP: vip, default: Advertisement(default, IPv4Address("10.0.1.4"), 0)}
    assert bird_text.prefixes(lines) == {VIP, default}
    assert bird_text.routes(lines, ["65001:100", "65001:7"]) == {VIP: vip}


def test_of_several_routes_of_a_prefix_the_first_is_what_bird_sends() -> None:
    lines = bird_text.answer(BIRD_TWO_ROUTES).lines
    assert bird_text.sent(lines) == {VIP: Advertisement(VIP, IPv4Address("10.0.1.102"), 0)}


def test_a_route_without_a_next_hop_leaves_with_birds_own() -> None:
    lines = bird_text.answer(BIRD_TWO_ROUTES.replace(b"BGP.next_hop", b"BGP.med")).lines
    assert bird_text.sent(lines) == {VIP: Advertisement(VIP, IPv4Address("0.0.0.0"), 0)}


def test_a_time_without_a_date_that_is_still_to_come_was_yesterday() -> None:
    late = BIRD_PROTOCOLS.replace(b"14:31:02.892", b"23:59:59.000")
    first, _ = bird_text.protocols(bird_text.answer(late).lines, NOW)
    assert first.since == NOW.replace(hour=23, minute=59, second=59) - timedelta(days=1)


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        (b"0003 Reconfigured\n", True),
        (b"0002-Reading\n", False),
        (b"0003 Reconf", False),
        (b"", False),
        (b" 0003 x\n", False),
    ],
)
def test_an_answer_of_bird_ends_with_a_code_and_a_blank(said: bytes, whole: bool) -> None:
    assert bird_text.is_whole(said) is whole


@pytest.mark.parametrize(("code", "failed"), [(b"0003 Reconfigured\n", False), (b"8002 syntax error\n", True)])
def test_bird_says_by_the_code_whether_it_failed(code: bytes, failed: bool) -> None:
    assert bird_text.answer(code).failed is failed


def test_frr_shows_what_is_ours_and_what_is_not() -> None:
    running = frr_text.parse_running(FRR_RUNNING, 65001)
    assert running.networks == {
        IPv4Network("192.0.2.0/24"): None,
        VIP: "hopkeeper-10.0.1.101-1",
        IPv4Network("10.9.0.0/16"): "mine",
    }
    assert set(running.maps) == {"hopkeeper-10.0.1.101-1"}
    assert (running.has_instance, running.checks_imports) == (True, False)
    item = STYLE.item(VIP, "hopkeeper-10.0.1.101-1")
    assert item == Advertisement(VIP, IPv4Address("10.0.1.101"), 1)
    assert frr_text.is_intact(running, item, STYLE)


@pytest.mark.parametrize(
    ("printed", "edited", "is_unread"),
    [
        (
            "2026-11-21 14:31:06.810",
            0.8107,
            False,
        ),  # Linux gives a file's time in finer steps than BIRD prints, since 6.13
        ("2026-11-21 14:31:06.810", 0.8112, True),
        ("2026-11-21 14:31:06", 0.999, False),
        ("2026-11-21 14:31:06", 1.001, True),
        ("21 Nov 14:31", 3600.0, False),
    ],
)
def test_a_file_that_bird_read_as_soon_as_it_was_written_is_not_one_that_it_has_not_read(
    printed: str, edited: float, is_unread: bool
) -> None:
    status = ["BIRD 2.0.12", f"Last reconfiguration on {printed}", "Daemon is up and running"]
    assert bird_text.was_read_before(NOW + timedelta(seconds=edited), status) is is_unread


def test_a_route_map_that_was_edited_by_hand_is_made_anew() -> None:
    running = frr_text.parse_running(FRR_RUNNING.replace("next-hop 10.0.1.101", "next-hop 10.6.6.6"), 65001)
    item = Advertisement(VIP, IPv4Address("10.0.1.101"), 1)
    assert not frr_text.is_intact(running, item, STYLE)
    typed = frr_text.commands(running, {}, {VIP: item}, STYLE)
    assert typed[:2] == ["no route-map hopkeeper-10.0.1.101-1", "route-map hopkeeper-10.0.1.101-1 permit 10"]


def test_a_replacement_is_one_network_statement_and_no_withdrawal() -> None:
    running = frr_text.parse_running(FRR_RUNNING, 65001)
    held = {VIP: Advertisement(VIP, IPv4Address("10.0.1.101"), 1)}
    typed = frr_text.commands(running, held, {VIP: Advertisement(VIP, IPv4Address("10.0.1.102"), 0)}, STYLE)
    assert typed == [
        "route-map hopkeeper-10.0.1.102-0 permit 10",
        "set ip next-hop 10.0.1.102",
        "set tag 4242",
        "exit",
        "router bgp 65001",
        "address-family ipv4 unicast",
        "network 100.64.0.1/32 route-map hopkeeper-10.0.1.102-0",
        "exit",
        "exit",
    ]


def test_nothing_is_typed_when_nothing_changes() -> None:
    held = {VIP: Advertisement(VIP, IPv4Address("10.0.1.101"), 1)}
    assert frr_text.commands(Running(), held, held, STYLE) == []


def test_other_communities_are_another_name() -> None:
    item = Advertisement(VIP, IPv4Address("10.0.1.101"), 1)
    assert Style(65001, ("65001:7",)).item(VIP, STYLE.name(item)) is None
    assert STYLE.item(VIP, "hopkeeper-bogus") is None


def test_what_is_outward_has_a_name_and_a_tag_of_its_own() -> None:
    item = Advertisement(VIP, IPv4Address("10.0.1.4"), 3, Toward.OUTWARD)
    assert STYLE.name(item) == "hopkeeper-outward-10.0.1.4-3"
    assert STYLE.item(VIP, STYLE.name(item)) == item
    assert STYLE.body(item)[1] == "set tag 4243"


@pytest.mark.parametrize(
    ("policies", "everything"),
    [
        ({}, True),
        ({"outgoingUpdateAsPathFilterList": "own-routes"}, True),
        ({"routeMapForOutgoingAdvertisements": "to-premises"}, False),
        ({"outgoingUpdatePrefixFilterList": "to-premises"}, False),
        ({"outgoingUpdateNetworkFilterList": "10"}, False),
    ],
)
def test_frr_announces_everything_to_everybody_without_an_outbound_policy(
    policies: dict[str, str], everything: bool
) -> None:
    assert frr_text.sends_everything({"addressFamilyInfo": {"ipv4Unicast": policies}}) is everything


@pytest.mark.parametrize(("greeting", "refused"), [("BIRD 1.6.8", True), ("BIRD 2.0.12", False), ("BIRD 3.1.0", False)])
async def test_bird_1_is_refused_by_its_name_and_not_for_what_it_cannot_read(
    greeting: str, refused: bool, tmp_path: Path
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"0001 {greeting} ready.\n".encode())
        await reader.read()
        writer.close()

    settings = BirdSettings(65001, control=tmp_path / "bird.ctl", include=tmp_path / "hopkeeper.conf")
    bird = Bird(settings)
    async with await asyncio.start_unix_server(greet, settings.control):
        if refused:
            with pytest.raises(DaemonRefused, match=r"BIRD 1\.6\.8 is not supported"):
                await bird.connect()
        else:
            await bird.connect()
        bird.close()


async def test_a_file_from_before_there_were_outward_neighbours_gets_their_names(tmp_path: Path) -> None:
    """Without them a bird.conf that refers to them would not parse."""
    premises = BgpNeighbour(IPv4Address("192.168.100.1"), 64600, Toward.OUTWARD)
    include = tmp_path / "hopkeeper.conf"
    routes = {VIP: Advertisement(VIP, IPv4Address("10.0.1.100"), 0)}
    include.write_text(bird_text.render(routes, 65001, ()))
    settings = BirdSettings(65001, (premises,), control=tmp_path / "no.ctl", include=include)
    for _ in range(2):
        with pytest.raises(OSError, match="No such file"):
            await Bird(settings).connect()
        assert include.read_text() == bird_text.render(routes, 65001, (), tuple(Toward))


@pytest.mark.parametrize(
    ("neighbour", "graceful"),
    [
        ({"gracefulRestartInfo": {"localGrMode": "Disable*"}}, False),
        ({"gracefulRestartInfo": {"localGrMode": "Helper*"}}, True),
        (
            {
                "neighborCapabilities": {"gracefulRestartCapability": "advertisedAndReceived"},
                "gracefulRestartInfo": {"localGrMode": "Disable*"},
            },
            True,
        ),
    ],
    ids=["off", "on", "off, and the session is older"],
)
def test_graceful_restart_counts_as_configured_and_as_offered(neighbour: dict[str, object], graceful: bool) -> None:
    assert frr_text.restarts_gracefully(neighbour) is graceful


def test_frr_shows_sessions_and_what_was_sent() -> None:
    address, other = IPv4Address("10.0.0.36"), IPv4Address("10.0.0.37")
    peer = {"state": "Established", "peerUptimeEstablishedEpoch": 1795271542, "pfxSnt": 3, "outq": 1}
    found = frr_text.peers(
        json.dumps({"peers": {str(address): peer, str(other): {"state": "Active"}}}), [address, other]
    )
    assert (found[address].established, found[address].exported, found[address].idle) == (True, 3, False)
    assert (found[other].established, found[other].since) == (False, None)
    assert frr_text.peers("", [address]) == {}
    routes = {"100.64.0.1/32": {"nextHop": "10.0.1.102", "path": "65001 65001"}}
    assert frr_text.sent(json.dumps({"advertisedRoutes": routes})) == {
        VIP: Advertisement(VIP, IPv4Address("10.0.1.102"), 2)
    }


def test_an_aggregate_that_frr_shows_without_a_next_hop_is_understood() -> None:
    """As FRR 8.4 shows `aggregate-address 10.20.0.0/16`: bgpd announces its own address."""
    routes = {"10.20.0.0/16": {"nextHopGlobal": "::", "metric": 0, "weight": 32768, "path": "", "bgpOriginCode": "i"}}
    network = IPv4Network("10.20.0.0/16")
    assert frr_text.sent(json.dumps({"advertisedRoutes": routes})) == {
        network: Advertisement(network, IPv4Address(0), 0)
    }


ONE = Client(IPv4Address("10.0.1.5"), 65002, (IPv4Network("10.8.0.0/24"),))
OTHER = Client(IPv4Address("10.0.1.6"), 65003, (IPv4Network("10.9.0.0/24"),))


def running_with(clients: list[Client]) -> frr_text.Running:
    """bgpd numbers the lines that it is given."""
    typed = frr_text.client_commands(frr_text.Running(), clients)
    numbered = [re.sub(r" (permit|deny) ", rf" seq {5 * n} \1 ", line) for n, line in enumerate(typed, 1)]
    return frr_text.parse_running("\n".join(numbered), 65001)


def test_lists_of_clients_that_are_right_are_left_alone() -> None:
    assert frr_text.client_commands(running_with([ONE, OTHER]), [ONE, OTHER]) == []


def test_new_lines_come_before_old_ones_go_and_no_list_is_ever_gone() -> None:
    moved = replace(ONE, prefixes=(IPv4Network("10.7.0.0/24"),))
    typed = frr_text.client_commands(running_with([ONE]), [moved])
    assert typed == [
        "ip prefix-list hopkeeper-client-10.0.1.5 permit 10.7.0.0/24",
        "ip prefix-list hopkeeper-clients permit 10.7.0.0/24",
        "no ip prefix-list hopkeeper-client-10.0.1.5 seq 10 permit 10.8.0.0/24",
        "no ip prefix-list hopkeeper-clients seq 20 permit 10.8.0.0/24",
    ]


def test_a_client_that_is_gone_loses_its_lists_and_one_without_prefixes_may_announce_nothing() -> None:
    typed = frr_text.client_commands(running_with([ONE, OTHER]), [replace(ONE, prefixes=())])
    assert "ip prefix-list hopkeeper-client-10.0.1.5 deny any" in typed
    assert "ip prefix-list hopkeeper-clients deny any" in typed
    assert any(line.startswith("no bgp as-path access-list hopkeeper-client-10.0.1.6 ") for line in typed)


def test_without_clients_lists_of_that_name_are_left_alone() -> None:
    assert frr_text.client_commands(running_with([ONE]), []) == []


def test_birds_file_takes_other_clients_and_keeps_all_else() -> None:
    route = Advertisement(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.100"), 2)
    plain = bird_text.render({route.prefix: route}, 65001, ())
    first = bird_text.with_clients(plain, [ONE])
    assert "from = 10.0.1.5 then" in first
    assert bird_text.with_clients(first, [OTHER]) == bird_text.render({route.prefix: route}, 65001, (), clients=[OTHER])
    assert bird_text.with_clients(first, []) == plain


@pytest.mark.parametrize(
    ("neighbour", "seconds"),
    [
        ({"bgpState": "Established", "bgpTimerHoldTimeMsecs": 30000}, 30),
        ({"bgpState": "Active", "bgpTimerHoldTimeMsecs": 180000}, None),
        ({"bgpState": "Established"}, None),
        ({}, None),
    ],
)
def test_frr_shows_the_negotiated_hold_time_of_a_session_that_is_up(
    neighbour: dict[str, object], seconds: int | None
) -> None:
    assert frr_text.hold_seconds(neighbour) == seconds

"""Gossip and probe readings by counting and age, and which heartbeats count."""

from __future__ import annotations

import pytest
from hopkeeper_agent.peers import PeerWatch, Reading, Tempo

A, B = "a" * 32, "b" * 32


def watch() -> PeerWatch:
    return PeerWatch(Tempo(0.1, 3), started=100.0)


def test_a_peer_without_any_heartbeat_is_unknown_until_a_window_has_passed() -> None:
    peer = watch()
    assert peer.gossip(100.25) is Reading.UNKNOWN
    assert peer.gossip(100.35) is Reading.BAD
    assert peer.age_seconds(100.35) == pytest.approx(0.35)  # since our own start


def test_silence_of_a_window_is_bad_and_one_heartbeat_ends_it() -> None:
    peer = watch()
    peer.receive(A, 1, True, 200.0)
    assert peer.gossip(200.25) is Reading.OK
    assert peer.gossip(200.35) is Reading.BAD
    peer.receive(A, 2, True, 200.4)
    assert peer.gossip(200.5) is Reading.OK


def test_gossip_alone_does_not_make_a_peer_failed() -> None:
    peer = watch()
    peer.receive(A, 1, True, 200.0)
    assert not peer.failed(300.0)
    for _ in range(3):
        peer.probe_silent()
    assert peer.failed(300.0)


def test_one_answer_of_the_probe_starts_the_count_anew() -> None:
    peer = watch()
    for silent in (True, True, False, True, True):
        if silent:
            peer.probe_silent()
        else:
            peer.probe_answered()
    assert peer.probe() is Reading.OK


def test_an_untried_probe_is_unknown() -> None:
    assert watch().probe() is Reading.UNKNOWN


def test_a_heartbeat_ends_what_the_probe_said_before() -> None:
    peer = watch()
    for _ in range(3):
        peer.probe_silent()
    peer.receive(A, 1, True, 200.0)
    assert peer.probe() is Reading.UNKNOWN


def test_a_repeated_or_older_heartbeat_does_not_count() -> None:
    peer = watch()
    assert peer.receive(A, 7, True, 200.0)
    assert not peer.receive(A, 7, True, 200.1)
    assert not peer.receive(A, 6, True, 200.1)
    assert peer.receive(A, 8, True, 200.1)


def test_a_new_boot_counts_and_the_boot_it_replaced_never_again() -> None:
    peer = watch()
    peer.receive(A, 700, True, 200.0)
    assert peer.receive(B, 1, True, 200.1)
    assert not peer.receive(A, 701, True, 200.2)


def test_a_heartbeat_that_answers_nothing_recent_is_no_life_and_replaces_no_boot() -> None:
    """What was recorded before either side restarted: neither silences the live peer nor keeps a dead one alive."""
    peer = watch()
    assert not peer.receive(B, 9, False, 199.0)
    assert peer.last_heard is None
    peer.receive(A, 1, True, 200.0)
    assert not peer.receive(B, 10, False, 200.1)
    assert peer.receive(A, 2, True, 200.2)
    assert not peer.receive(A, 3, False, 201.0)
    assert peer.gossip(201.0) is Reading.BAD


def test_a_peer_is_answered_with_the_boot_that_counts_and_the_last_that_introduced_itself() -> None:
    peer = watch()
    assert peer.echo() == {}
    peer.receive(A, 3, False, 200.0)
    assert peer.echo() == {A: 3}
    peer.receive(A, 4, True, 200.1)
    assert peer.echo() == {A: 4}
    peer.receive(B, 1, False, 200.2)
    assert peer.echo() == {A: 4, B: 1}


def test_a_peer_that_announced_its_restart_is_not_bad_meanwhile_and_its_probe_port_is_not_tried() -> None:
    peer = watch()
    peer.receive(A, 1, True, 200.0, 5.0)
    assert peer.gossip(200.2) is Reading.OK
    assert (peer.gossip(204.9), peer.suspect(204.9)) == (Reading.UNKNOWN, False)
    assert (peer.gossip(205.1), peer.suspect(205.1)) == (Reading.BAD, True)
    peer.receive(B, 1, True, 206.0, 1e9)
    assert (peer.gossip(215.9), peer.gossip(216.1)) == (Reading.UNKNOWN, Reading.BAD)


def test_the_excuse_ends_with_the_first_heartbeat_after_the_restart_and_a_recording_is_none() -> None:
    peer = watch()
    peer.receive(A, 1, True, 200.0, 5.0)
    peer.receive(B, 1, True, 201.0)
    assert peer.gossip(201.4) is Reading.BAD
    peer.receive(B, 2, False, 201.4, 5.0)
    assert peer.gossip(201.5) is Reading.BAD


def test_the_probe_port_is_tried_from_the_first_overdue_heartbeat() -> None:
    watch = PeerWatch(Tempo(0.1, 3), 0.0)
    assert not watch.suspect(0.29)
    assert watch.suspect(0.31)
    watch.receive("a" * 32, 1, True, 10.0)
    assert not watch.suspect(10.14)
    assert watch.suspect(10.16)
    assert watch.gossip(10.16) is Reading.OK

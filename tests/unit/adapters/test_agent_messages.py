"""JSON from and to agents, strictly: what a status may look like, and what becomes of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from function_app.adapters.agents.messages import COMMAND, decode_reply, decode_status, encode_command, plain
from function_app.domain.base.errors import BadInput
from function_app.domain.service.observation import AgentService, AgentStatus, PeerView, Role, Value
from function_app.domain.service.steps import (
    Advertisement,
    OutwardRoutes,
    SendAdvertise,
    SendFence,
    SendOutward,
    SendPromote,
)
from function_app.reconcile.ports import AgentCommand
from tests.unit.adapters.fake_agent import BOOT, app_key, status_object

KEY = app_key()


def test_status_becomes_a_reading() -> None:
    advertised = (Advertisement(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.100"), 0),)

    assert decode_status(status_object(fatal=["data-path: no echo"]), "hub", "nva-a") == AgentStatus(
        boot_id=BOOT,
        clock=datetime(2026, 1, 1, 3, 0, tzinfo=UTC),
        services={
            "fw": AgentService(3, 0, Role.SERVING, answering=True, advertised=advertised, advertised_turn=(3, 1))
        },
        fatal=("data-path: no echo",),
        peers={"nva-b": PeerView(Value.OK, Value.UNKNOWN, timedelta(seconds=0.05))},
        sessions={IPv4Address("10.0.2.4"): True, IPv4Address("10.0.2.5"): False},
        version="0.1.0",
    )


@pytest.mark.parametrize(
    ("changes", "unseen"),
    [
        ({"sessions": {}, "checks": {"speaker": {"value": "unknown", "detail": "not seen here"}}}, True),
        ({"sessions": {}}, False),
        ({"sessions": {}, "checks": {"speaker": {"value": "ok"}}}, False),
        ({"checks": {"speaker": {"value": "unknown", "detail": "not reached yet"}}}, False),
    ],
    ids=["said to be unknown", "no speaker", "seen, and none", "a daemon that is not read yet"],
)
def test_sessions_that_an_agent_does_not_see_are_not_taken_for_none(changes: dict[str, Any], unseen: bool) -> None:
    assert decode_status(status_object(**changes), "hub", "nva-a").unseen is unseen


@pytest.mark.parametrize(("seconds", "age"), [(None, None), (7, timedelta(seconds=7)), (1e15, timedelta(days=1))])
def test_the_age_of_a_peer_s_last_heartbeat_is_read_up_to_a_day(seconds: float | None, age: timedelta | None) -> None:
    raw = status_object(peers={"nva-b": {"gossip": "bad", "probe": "bad", "age_seconds": seconds}})

    assert decode_status(raw, "hub", "nva-a").peers["nva-b"].age == age


def test_service_that_announces_nothing_yet_has_no_advertisements() -> None:
    raw = status_object()
    raw["services"]["fw"]["advertised"] = None

    assert decode_status(raw, "hub", "nva-a").services["fw"].advertised is None


def test_checks_in_spite_of_which_a_holder_answers_are_lines() -> None:
    assert decode_status(status_object(excused=["echo: no\nreply"]), "hub", "nva-a").excused == ("echo: no reply",)
    assert decode_status(status_object(), "hub", "nva-a").excused == ()


def test_what_the_platform_announces_is_one_line() -> None:
    raw = status_object(maintenance={"kind": "reboot", "not_before": "2026-01-01T03:15:00+00:00", "event": "e1"})

    assert decode_status(raw, "hub", "nva-a").maintenance == "reboot not before 2026-01-01 03:15:00Z"
    assert decode_status(status_object(), "hub", "nva-a").maintenance is None


def test_keys_of_a_newer_agent_are_ignored() -> None:
    raw = status_object(mood="fine")
    raw["services"]["fw"]["colour"] = "blue"

    assert decode_status(raw, "hub", "nva-a").services["fw"].epoch == 3


def _shown(command: dict[str, Any], topology: str = "hub") -> str:
    return KEY.sign(COMMAND, {"sub": topology, "command": command})


FENCE_9 = {"kind": "fence", "service": "fw", "epoch": 9, "seq": 1}


@pytest.mark.parametrize(
    ("token", "warranted"),
    [
        (_shown(FENCE_9), 9),
        (_shown(FENCE_9, topology="other"), 0),
        (_shown(FENCE_9 | {"service": "other"}), 0),
        (_shown({"kind": "status"}), 0),
        (KEY.sign("hopkeeper-reply", {"sub": "hub", "command": FENCE_9}), 0),
        (app_key().sign(COMMAND, {"sub": "hub", "command": FENCE_9}), 0),
        (KEY.sign(COMMAND, {"sub": "hub", "command": 9}), 0),
        ("", 0),
        ("a.b.c", 0),
    ],
)
def test_an_epoch_is_warranted_by_our_own_command_for_that_service_and_topology(token: str, warranted: int) -> None:
    for name in ("warrant", "heard_warrant"):
        raw = status_object()
        raw["services"]["fw"] |= {"warrant": _shown(FENCE_9 | {"epoch": 4}), name: token}
        least = 4 if name == "heard_warrant" else 0
        for _ in range(2):  # also where the token was verified before
            shown = decode_status(raw, "hub", "nva-a", KEY.signed).services["fw"].warranted
            assert shown == max(warranted, least)
        assert decode_status(raw, "hub", "nva-a").services["fw"].warranted == 0


def _set(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(raw: dict[str, Any]) -> None:
        for key in path[:-1]:
            raw = raw[key]
        raw[path[-1]] = to

    return change


def _advertise(**values: Any) -> Callable[[dict[str, Any]], None]:
    one = {"prefix": "0.0.0.0/0", "next_hop": "10.0.1.100", "prepend": 0} | values
    return _set("services", "fw", "advertised", to={"epoch": 1, "seq": 1, "advertisements": [one]})


@pytest.mark.parametrize(
    "change",
    [
        _set("agent", to="nva-b"),
        _set("topology", to="elsewhere"),
        _set("boot_id", to="short"),
        _set("boot_id", to=None),
        _set("time", to="2026-01-01T03:00:00"),
        _set("time", to=1767236400),
        _set("services", to=[]),
        _set("services", "fw", to=None),
        _set("services", "fw", "epoch", to=-1),
        _set("services", "fw", "epoch", to=3.5),
        _set("services", "fw", "epoch", to="3"),
        _set("services", "fw", "epoch", to=True),
        _set("services", "fw", "epoch", to=2**53),
        _set("services", "fw", "role", to="active"),
        _set("services", "fw", "answering", to="yes"),
        _set("services", "fw", "durable", to=1),
        _set("fatal", to="one text"),
        _set("fatal", to=[1]),
        _set("peers", "nva-b", "gossip", to="fine"),
        _set("sessions", "10.0.2.4", "state", to="up"),
        _set("sessions", "rs-0", to={"state": "down", "since": None}),
        _set("sessions", "167772676", to={"state": "down", "since": None}),
        _set("sessions", "010.0.2.4", to={"state": "down", "since": None}),
        _advertise(prefix="10.0.0.1/8"),
        _advertise(prefix="0.0.0.0"),
        _advertise(prefix="0.0.0.0/33"),
        _advertise(prefix="0.0.0.0/0.0.0.0"),
        _advertise(prefix="::/0"),
        _advertise(prefix=0),
        _advertise(next_hop="10.0.1"),
        _advertise(next_hop="frontend"),
        _advertise(next_hop=167772516),
        _advertise(prepend=-1),
    ],
)
def test_status_of_a_wrong_shape_is_bad_input(change: Callable[[dict[str, Any]], None]) -> None:
    raw = status_object()
    change(raw)

    with pytest.raises(BadInput):
        decode_status(raw, "hub", "nva-a")


@pytest.mark.parametrize("key", sorted(status_object().keys() - {"checks"}))
def test_status_without_one_of_its_parts_is_bad_input(key: str) -> None:
    raw = status_object()
    del raw[key]

    with pytest.raises(BadInput, match=key):
        decode_status(raw, "hub", "nva-a")


@pytest.mark.parametrize("changes", [{"accepted": "yes"}, {"in_reply_to": 1}, {"status": None}, {"reason": 3}])
def test_reply_of_a_wrong_shape_is_bad_input(changes: dict[str, Any]) -> None:
    claims = {"in_reply_to": "x", "accepted": True, "reason": None, "status": {}} | changes

    with pytest.raises(BadInput):
        decode_reply(claims)


def test_agents_own_words_become_one_short_printable_line() -> None:
    raw = status_object(fatal=["disk\nERROR forged\x1b[31m line\u2028end", "x" * 300])

    first, second = decode_status(raw, "hub", "nva-a").fatal

    assert first == "disk ERROR forged [31m line end"
    assert second == "x" * 200 + "…"
    assert plain("  short ") == "short"


@pytest.mark.parametrize(
    ("command", "encoded"),
    [
        (SendFence("nva-a", 4), {"kind": "fence", "service": "fw", "epoch": 4, "seq": 1}),
        (SendFence("nva-a", 4, 3), {"kind": "fence", "service": "fw", "epoch": 4, "seq": 3}),
        (
            SendPromote("nva-a", 4, BOOT, 2),
            {"kind": "promote", "service": "fw", "epoch": 4, "seq": 2, "boot_id": BOOT},
        ),
        (
            SendPromote("nva-a", 4, BOOT),
            {"kind": "promote", "service": "fw", "epoch": 4, "seq": 0, "boot_id": BOOT},
        ),
        (
            SendAdvertise("nva-a", 4, 7, (Advertisement(IPv4Network("10.1.0.0/16"), IPv4Address("10.0.1.100"), 2),)),
            {
                "kind": "advertise",
                "service": "fw",
                "epoch": 4,
                "seq": 7,
                "advertisements": [{"prefix": "10.1.0.0/16", "next_hop": "10.0.1.100", "prepend": 2}],
            },
        ),
        (
            SendOutward("nva-a", 4, 2, OutwardRoutes((IPv4Network("10.1.0.0/16"),))),
            {
                "kind": "outward",
                "service": "fw",
                "epoch": 4,
                "seq": 2,
                "prefixes": ["10.1.0.0/16"],
                "standby_prepend": None,
            },
        ),
    ],
)
def test_commands_are_encoded(command: AgentCommand, encoded: dict[str, Any]) -> None:
    assert encode_command("fw", command) == encoded


def test_fence_outranks_a_promotion_of_the_same_epoch() -> None:
    fence, promote = encode_command("fw", SendFence("a", 4)), encode_command("fw", SendPromote("a", 4, BOOT))

    assert (fence["epoch"], fence["seq"]) > (promote["epoch"], promote["seq"])


def test_the_longest_hold_time_of_its_sessions_counts() -> None:
    raw = status_object()
    assert decode_status(raw, "hub", "nva-a").hold_time is None
    for address, seconds in (("10.0.2.4", 180), ("10.0.2.5", 240)):
        raw["sessions"][address]["hold_time"] = seconds
    assert decode_status(raw, "hub", "nva-a").hold_time == timedelta(seconds=240)
    raw["sessions"]["10.0.2.4"]["hold_time"] = 65536
    with pytest.raises(BadInput, match="hold_time"):
        decode_status(raw, "hub", "nva-a")


def test_a_session_whose_state_is_not_known_is_not_established() -> None:
    raw = status_object()
    raw["sessions"]["10.0.2.4"]["state"] = "unknown"
    assert not any(decode_status(raw, "hub", "nva-a").sessions.values())


def test_checks_that_fail_and_are_not_fatal_are_alarms() -> None:
    bad = {"value": "bad", "detail": "on", "age_seconds": 1.0}
    checks = {
        "speaker-graceful-restart": bad,
        "route": {**bad, "detail": ""},
        "data-path": bad,
        "shared": bad,
        "disk": {**bad, "value": "ok"},
        "new": {**bad, "value": "unknown"},
    }
    raw = status_object(fatal=["data-path: no echo"], excused=["shared: no echo"], checks=checks)
    assert decode_status(raw, "hub", "nva-a").alarms == ("route", "speaker-graceful-restart: on")

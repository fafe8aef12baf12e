"""Words and defaults that are stored or published: what an older release wrote, or leaves out, is read as it was meant."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import msgspec
import pytest

from function_app.domain.service.balancer import AddressFacts, ProbeFacts, RuleFacts
from function_app.domain.service.health import Verdict
from function_app.domain.service.observation import (
    AdminState,
    AgentService,
    AgentStatus,
    Backend,
    Observed,
    Role,
    Value,
)
from function_app.domain.service.record import (
    Advertised,
    Fence,
    Kind,
    Learning,
    Operation,
    Pause,
    Phase,
    Record,
    Spacing,
    Tally,
    unknown,
)
from function_app.domain.service.steps import NOTHING_OUTWARD, Advertisement, FenceByBalancer, OutwardRoutes
from tests.builders import NOW

AT = "2026-01-01T03:00:00Z"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (Phase, ["learn", "stable", "fencing", "granted"]),
        (
            Kind,
            [
                "adopt",
                "failover",
                "failover on the probe alone",
                "next candidate",
                "renew",
                "switchover",
                "back to the old holder",
                "failover by hand",
            ],
        ),
        (Value, ["ok", "bad", "unknown"]),
        (Role, ["serving", "standby"]),
        (Verdict, ["healthy", "failed", "unknown"]),
        (AdminState, ["None", "Up", "Down"]),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else "",
)
def test_a_word_that_is_stored_or_sent_stays_as_it_is(words: type[StrEnum], expected: list[str]) -> None:
    """Records, reports, the status document, and Azure's `adminState`."""
    assert [word.value for word in words] == expected


STORED: list[tuple[type, dict[str, Any], dict[str, Any]]] = [
    (
        Record,
        {"service": "fw"},
        {
            "schema": 1,
            "epoch": 0,
            "seq": 0,
            "phase": "learn",
            "target": None,
            "may_serve": [],
            "fenced": {},
            "owed": {},
            "acks": {},
            "operation": None,
            "learning": None,
            "tallies": {},
            "probe_down": [],
            "advertised": {"seq": 0, "digest": ""},
            "outward": {"seq": 0, "digest": ""},
            "spacing": None,
            "overtaken": None,
            "pause": None,
            "drains": {},
            "ready_since": {},
            "leaving": None,
            "rehearsal": None,
            "stalled": None,
            "admitted": {},
            "refused": {},
            "last_choices": [],
            "noticed_within": None,
            "flaws": (),
            "about": None,
            "rank": None,
        },
    ),
    (
        Operation,
        {"id": "fw-4", "kind": "renew", "reason": "", "started": AT, "deadline": AT},
        {
            "attempt": 0,
            "previous": None,
            "granted": None,
            "confirmed": False,
            "sharing": False,
            "served": False,
            "learned": False,
            "trace": "",
        },
    ),
    (Learning, {"since": AT}, {"rounds": 0, "last": None}),
    (Tally, {"at": AT}, {"bad": 0, "good": 0}),
    (Spacing, {"last": AT}, {"count": 0}),
    (Pause, {"until": AT, "by": "ann"}, {"reason": ""}),
    (Advertised, {}, {"seq": 0, "digest": ""}),
    (Fence, {"epoch": 4, "etag": "e"}, {"address": ""}),
]


@pytest.mark.parametrize(("form", "stored", "read"), STORED, ids=[form.__name__ for form, _, _ in STORED])
def test_what_a_record_leaves_out_is_read_as_nothing_known(
    form: type, stored: dict[str, Any], read: dict[str, Any]
) -> None:
    assert msgspec.to_builtins(msgspec.convert(stored, form)) == stored | read


def test_where_no_record_can_be_believed_learning_begins_now() -> None:
    record = unknown("fw", frozenset({"nva-a"}), NOW)
    assert record == Record(service="fw", may_serve=frozenset({"nva-a"}), learning=Learning(since=NOW, rounds=0))


PREFIX, ADDRESS = IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.100")


@pytest.mark.parametrize(
    ("short", "full"),
    [
        (
            AgentService(4, 1, Role.SERVING, answering=True),
            AgentService(4, 1, Role.SERVING, True, None, 0, (0, 0), NOTHING_OUTWARD, (0, 0), True),
        ),
        (AgentStatus("boot", NOW, {}), AgentStatus("boot", NOW, {}, (), {}, {}, "", None, None, {})),
        (Backend(AdminState.NONE), Backend(AdminState.NONE, None)),
        (Observed(NOW, {}), Observed(NOW, {}, None, None, {}, {}, frozenset(), {}, {}, None, {}, {})),
        (Advertisement(PREFIX, ADDRESS), Advertisement(PREFIX, ADDRESS, 0)),
        (OutwardRoutes(), OutwardRoutes((), None)),
        (AddressFacts(name="a"), AddressFacts(name="a", ip=None, interface=None)),
        (
            ProbeFacts(name="p", protocol="Http", port=80, interval_seconds=5, threshold=2),
            ProbeFacts(
                name="p",
                protocol="Http",
                port=80,
                path=None,
                interval_seconds=5,
                threshold=2,
                no_healthy_backends=None,
            ),
        ),
        (
            RuleFacts(name="r", protocol="Tcp", frontend="fe", frontend_port=80, backend_port=80, pools=()),
            RuleFacts(
                name="r",
                protocol="Tcp",
                frontend="fe",
                frontend_port=80,
                backend_port=80,
                pools=(),
                probe=None,
                distribution="Default",
            ),
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_a_reading_leaves_out_is_nothing_seen(short: object, full: object) -> None:
    assert short == full


def test_a_fence_is_wary_of_no_earlier_lift_and_beside_no_operators_down_unless_it_says_so() -> None:
    fence = FenceByBalancer("nva-a", 4)
    assert (fence.wary, fence.beside_operator) == (False, False)

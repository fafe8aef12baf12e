"""Every duration and count: what is derived from them, and the laws between them."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from function_app.domain.base.timing import COUNT_MAX, Timing, broken_laws, msgspec_name

TOPOLOGY = Path(__file__).resolve().parents[2] / "docs" / "topology.md"


def s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def broken(**settings: Any) -> list[str]:
    return [str(problem) for problem in broken_laws(replace(Timing(), **settings))]


def test_the_defaults_keep_the_laws() -> None:
    assert broken() == []


def test_the_documented_defaults_are_the_real_ones() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", TOPOLOGY.read_text().split("## `timing`")[1], re.M)
    fields = {msgspec_name(f.name): f.default for f in msgspec.structs.fields(Timing)}
    documented = {name: msgspec.convert(value, type(fields[name]), strict=False) for name, value in rows}
    assert documented == fields


def test_no_setting_is_taken_that_is_not_known() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `sweeps`"):
        msgspec.convert({"sweeps": "PT1S"}, Timing)


def test_what_is_derived_from_the_settings() -> None:
    timing = Timing()
    assert timing.look_lasts == s(10)  # observeSlow 8 s + commandTimeout 2 s
    assert timing.verify_looks == 12  # operationDeadline 120 s / doubtPoll 10 s
    assert timing.slow_pass_lease == s(16)  # twice observeSlow
    assert timing.dead_member_timeout == s(0.3)  # 3 x 0.1 s


def test_a_new_holder_is_left_at_least_one_look() -> None:
    assert replace(Timing(), operation_deadline=s(9)).verify_looks == 1


def test_only_whole_looks_are_counted() -> None:
    assert replace(Timing(), operation_deadline=s(29)).verify_looks == 2


POSITIVE = [
    "gossip_period", "sweep", "observe_fast", "observe_slow", "command_timeout", "doubt_poll", "fence_timeout",
    "operation_deadline", "verify_every", "check_period", "spacing_forget", "bgp_hold", "peering_swap",
    "peering_delete_spacing",
]  # fmt: skip
AT_LEAST_ONE = [
    "gossip_fall", "learn_rounds", "load_balancer_fall", "load_balancer_rise", "prefixes_per_peer", "check_fall",
    "verify_budget",
]  # fmt: skip


@pytest.mark.parametrize("name", POSITIVE)
def test_a_duration_is_longer_than_zero(name: str) -> None:
    rule = f"$.timing.{msgspec_name(name)}: must be longer than zero"
    assert rule in broken(**{name: s(0)})
    assert rule not in broken(**{name: timedelta(microseconds=1)})


@pytest.mark.parametrize("name", AT_LEAST_ONE)
def test_a_count_is_at_least_one_and_no_slip_of_the_hand(name: str) -> None:
    path = f"$.timing.{msgspec_name(name)}"
    assert broken(**{name: 0}) == [f"{path}: must be at least 1"]
    assert broken(**{name: 1}) == []
    assert broken(**{name: 10**20}) == [f"{path}: must be at most {COUNT_MAX}"]


@pytest.mark.parametrize("name", POSITIVE)
def test_a_duration_is_no_slip_of_the_hand(name: str) -> None:
    for much in (timedelta(days=31), timedelta.max, timedelta.min):
        assert broken(**{name: much}) == [f"$.timing.{msgspec_name(name)}: must be at most P30D"]


BETWEEN: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("a Route Server takes one peer to eight", {"peers_max": 1}, {"peers_max": 0}, "$.timing.peersMax: a Route Server"),
    ("and no ninth", {"peers_max": 8}, {"peers_max": 9}, "$.timing.peersMax: a Route Server takes at most 8 peers"),
    (
        "gossip ends within a command's timeout",
        {"command_timeout": s(0.3)},
        {"command_timeout": s(0.299)},
        "$.timing.gossipFall: gossipFall x gossipPeriod must not be longer than commandTimeout",
    ),
    (
        "and within a look",
        {"observe_fast": s(0.3)},
        {"observe_fast": s(0.299)},
        "$.timing.observeFast: must not be shorter than gossipFall x gossipPeriod",
    ),
    (
        "the first wait is no longer than the longest",
        {"spacing_max": s(10)},
        {"spacing_max": s(9)},
        "$.timing.spacingMax: must not be shorter than spacingStep",
    ),
    (
        "a slow look may take as long as a fast one",
        {"observe_slow": s(1)},
        {"observe_slow": s(0.9)},
        "$.timing.observeSlow: must not be shorter than observeFast",
    ),
    (
        "a fence outlasts its settling",
        {"fence_settle": s(59)},
        {"fence_settle": s(60)},
        "$.timing.fenceTimeout: must be longer than fenceSettle",
    ),
    (
        "an operation covers a command and a fence",
        {"operation_deadline": s(62)},
        {"operation_deadline": s(61)},
        "$.timing.operationDeadline: must cover commandTimeout and fenceTimeout",
    ),
]


@pytest.mark.parametrize(("good", "bad", "rule"), [row[1:] for row in BETWEEN], ids=[row[0] for row in BETWEEN])
def test_settings_fit_each_other(good: dict[str, Any], bad: dict[str, Any], rule: str) -> None:
    assert broken(**good) == []
    (found,) = broken(**bad)
    assert found.startswith(rule)


def test_a_field_is_spelled_in_the_document_as_msgspec_renames_it() -> None:
    assert msgspec_name("sweep") == "sweep"
    assert msgspec_name("load_balancer_fall") == "loadBalancerFall"

"""A document with many faults: all of them at once, each with its line, what stands there, and what may."""

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from function_app.cli import main
from function_app.domain.base.errors import BadInput, Problem
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.shapes import FAULTS_MOST
from tests.builders import document, text

MESSY = """\
schema: hopkeeper/v1
name: hub
network: [10.0.0.0/16]
routeServers:
  - name: rs
    id: ABC
speakers:
  - {name: nva-a, address: 10.0.1.4, asn: 65001, peersWith: [rs], role: route-reflector}
  - {name: nva-b, address: 10.0.1.500, asn: "65001", peersWith: rs}
services:
  - name: fw
    mode: active/passive
    members: [nva-a, {speaker: nva-c, priority: 70000}]
    prefixes: []
    nextHop: {loadBalancer: {id: XX, frontend: f, probe: tcp}}
    failover: {preempt: true}
timing: {sweep: 30s, bgpHold: 3 min, verifyEvery: soon}
"""

FOUND = [
    (1, "$.networks: is missing"),
    (3, "$.network: no such key: did you mean networks? (there are schema, name, networks, routeServers, speakers, scaleSets, "),
    (6, "$.routeServers[0].id: 'ABC' is not an Azure resource id: /subscriptions/…/resourceGroups/…/providers/…/NAME"),
    (8, "$.speakers[0].role: 'route-reflector' is none of hub, router, witness"),
    (9, "$.speakers[1].address: "),
    (9, "$.speakers[1].asn: '65001' is not a whole number"),
    (9, "$.speakers[1].peersWith: 'rs' is not a list"),
    (12, "$.services[0].mode: 'active/passive' is none of active-passive, active-active: did you mean active-passive?"),
    (13, "$.services[0].members[0]: 'nva-a' is not a mapping (speaker, priority, "),
    (13, "$.services[0].members[1].priority: must be at most 65535, is 70000"),
    (14, "$.services[0].prefixes: needs at least 1, has 0"),
    (15, "$.services[0].nextHop.loadBalancer.backendPool: is missing"),
    (15, "$.services[0].nextHop.loadBalancer.id: 'XX' is not an Azure resource id"),
    (16, "$.services[0].failover.preempt: true is none of never, ready"),
    (17, "$.timing.bgpHold: '3 min' is no duration: write PT3M"),
    (17, "$.timing.sweep: '30s' is no duration: write PT30S"),
    (17, "$.timing.verifyEvery: 'soon' is no duration: PT30S is half a minute"),
]  # fmt: skip


def test_every_fault_in_the_shape_is_named_at_once_with_its_line_and_what_may_stand_there() -> None:
    with pytest.raises(BadInput) as caught:
        decode(MESSY, Place())
    found = sorted((problem.line, str(problem)) for problem in caught.value.problems)
    assert len(found) == len(FOUND), found
    for (line, said), (expected_line, expected) in zip(found, FOUND, strict=True):
        assert (line, said[: len(expected)]) == (expected_line, expected)


def test_laws_name_lines_too_and_in_the_order_of_the_document() -> None:
    doc = document()
    doc["speakers"][1]["asn"], doc["speakers"][0]["address"] = 65515, "10.9.9.9"
    with pytest.raises(BadInput) as caught:
        decode(written := text(doc), Place())
    lines = [written.splitlines()[(problem.line or 0) - 1] for problem in caught.value.problems]
    assert [line.strip().removeprefix("- ") for line in lines] == ["address: 10.9.9.9", "asn: 65515"]


def test_the_command_line_shows_lines_and_does_not_say_that_nothing_was_written(tmp_path: Path) -> None:
    (tmp_path / "messy.yaml").write_text(MESSY)
    shown = CliRunner().invoke(main, ["check", str(tmp_path / "messy.yaml")])
    assert shown.exit_code == 2
    assert shown.output.splitlines()[:2] == [
        f"{tmp_path / 'messy.yaml'} cannot be used: 17 faults",
        "  line 1, $.networks: is missing",
    ]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (text(document()).encode("utf-16"), "$: UTF-16, as PowerShell's > writes it: save it as UTF-8"),
        (b"name: \xff", "$: not UTF-8: invalid start byte"),
    ],
)
def test_what_is_not_utf_8_is_named_as_what_it_is(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "hub.yaml").write_bytes(raw)
    shown = CliRunner().invoke(main, ["check", str(tmp_path / "hub.yaml")])
    assert (shown.exit_code, shown.output.splitlines()[1].strip()) == (2, said)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text(text(document()), encoding="utf-8-sig")
    assert CliRunner().invoke(main, ["check", str(tmp_path / "hub.yaml")]).exit_code == 0


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("1: x", "$: one of its keys is not text"),
        ("'a.b': 1", "$.a.b: no such key (there are schema, "),
        ("'x[0]': 1", "$.x[0]: no such key (there are schema, "),
        ("'': 1", "$.: no such key (there are schema, "),
        ("routeServers: [{name: rs, adopt: {nva-a: 5}}]", "$.routeServers[0].adopt: one of its values is not text"),
        (
            "routeServers: [{name: rs, adopt: {NVA: x}}]",
            "$.routeServers[0].adopt: one of its keys is not text, or not as it",
        ),
        ("networks: [[[]]]", "$.networks[0]: Expected an IPv4 network in dotted decimal, got [[]]"),
    ],
)
def test_keys_and_values_that_no_document_has_are_named_too(written: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        decode(written, Place())
    assert any(str(problem).startswith(said) for problem in caught.value.problems), caught.value


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, each in inner for place in places(each, (*at, key)))]


WHERE = [place for place in places(document()) if place]
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
    st.just([[1]]),
    st.just({"x": {"y": 1}}),
)


def put(document: Any, place: tuple[Any, ...], value: Any) -> None:
    """There, unless what was put in before is in its way."""
    for step in place[:-1]:
        document = document[step]
    document[place[-1]] = value


def faults(document: Any) -> tuple[Problem, ...]:
    try:
        decode(yaml.safe_dump(document), Place())
    except BadInput as error:
        return error.problems
    return ()


@settings(max_examples=150, deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(WHERE), ANYTHING), min_size=1, max_size=6))
def test_whatever_stands_anywhere_is_decoded_or_named_in_words_and_never_more_than_a_hundred(
    changes: list[tuple[tuple[Any, ...], Any]],
) -> None:
    doc: Any = copy.deepcopy(document())
    for place, value in changes:
        with contextlib.suppress(TypeError, KeyError, IndexError):
            put(doc, place, value)
    found = faults(doc)
    assert len(found) <= FAULTS_MOST
    assert not [str(problem) for problem in found if "Expected `" in problem.rule or "Object " in problem.rule]

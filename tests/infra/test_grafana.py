"""The dashboard shows what is measured: every metric, and no other, under the names that Prometheus makes of them."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from function_app.reconcile.telemetry import COMMANDS, INSTRUMENTS, SPANS, Instrument
from tests.architecture.test_lists import rows
from tests.infra.compiler import ROOT

DASHBOARD = json.loads((ROOT / "infra" / "grafana" / "hopkeeper.json").read_text())
OPERATING = (ROOT / "docs" / "operating.md").read_text()
SERIES = re.compile(r"\bhopkeeper(?:_[a-z]+)+(?=[{\[,)\s])")
SUFFIXES = ("_bucket", "_count", "_sum")
OF = ("topology", "service", "member", "phase", "pace", "outcome", "command", "succeeded")
"""Attributes that measures carry."""


def prometheus(instrument: Instrument) -> str:
    """As "OTLP Metric points to Prometheus" has it: dots become underscores, seconds a suffix, a unit in braces none; a counter
    ends with `_total`."""
    name = instrument.name.replace(".", "_") + ("_seconds" if instrument.unit == "s" else "")
    return f"{name}_total" if instrument.kind == "counter" else name


def expressions(dashboard: Any) -> Iterator[str]:
    match dashboard:
        case dict():
            for key, inner in dashboard.items():
                if key in ("expr", "query") and isinstance(inner, str):
                    yield inner
                else:
                    yield from expressions(inner)
        case list():
            for inner in dashboard:
                yield from expressions(inner)


def shown(dashboard: Any) -> set[str]:
    """The metrics that it draws or lists, without what a histogram adds; labels left out."""
    found = {name for each in expressions(dashboard) for name in SERIES.findall(each)}
    for suffix in SUFFIXES:
        found = {name.removesuffix(suffix) for name in found}
    return found - {f"hopkeeper_{name}" for name in OF}


def test_every_metric_is_shown_and_every_one_that_is_shown_is_measured() -> None:
    assert shown(DASHBOARD) == {prometheus(each) for each in INSTRUMENTS}


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("hopkeeper.service.epoch", "hopkeeper_service_epoch"),
        ("hopkeeper.service.held", "hopkeeper_service_held_seconds_total"),
        ("hopkeeper.pass.duration", "hopkeeper_pass_duration_seconds"),
    ],
)
def test_a_name_is_what_prometheus_makes_of_it(name: str, made: str) -> None:
    assert prometheus(next(each for each in INSTRUMENTS if each.name == name)) == made


def test_a_metric_that_is_not_measured_is_found() -> None:
    wrong = {"panels": [{"targets": [{"expr": "max(hopkeeper_service_leader{hopkeeper_topology=~'hub'})"}]}]}
    assert shown(wrong) == {"hopkeeper_service_leader"}


def test_every_panel_says_what_it_shows_in_which_unit_and_stands_beside_the_others() -> None:
    places = []
    for panel in DASHBOARD["panels"]:
        assert panel["title"], panel
        assert panel["description"], panel
        assert panel["fieldConfig"]["defaults"]["unit"], panel
        assert panel["datasource"]["uid"] == "${source}"
        at = panel["gridPos"]
        places += [(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
    assert len(places) == len(set(places))
    assert {x for x, _ in places} == set(range(24))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def table(head: str) -> list[list[str]]:
    """The rows of the table of telemetry that begins so."""
    text = OPERATING.partition("\n## Watch it with OpenTelemetry\n")[2].partition(f"\n{head}")[2]
    return rows(f"\n## here\n{head}{text}", "here")


def test_the_documents_list_every_metric_with_its_unit_and_kind() -> None:
    assert [tuple(row) for row in table("| metric |")] == [
        (f"`{each.name}`", each.unit, each.kind, each.says) for each in INSTRUMENTS
    ]


def test_the_documents_list_every_span() -> None:
    listed = {name for row in table("| span |") for name in re.findall(r"`(\w+)`", row[0])}
    assert set(SPANS) <= listed
    assert listed - set(SPANS) <= COMMANDS

"""What is written and typed for each daemon, as it was looked over and as real daemons take it (the contract tests)."""

from __future__ import annotations

import pytest

from tests.unit.agent.golden_cases import CASES, SPEAKERS, golden


@pytest.mark.parametrize("kind", SPEAKERS)
@pytest.mark.parametrize("name", CASES)
def test_a_golden_configuration_is_what_is_rendered(kind: str, name: str) -> None:
    assert SPEAKERS[kind](CASES[name]) == golden(kind, name).read_text()


@pytest.mark.parametrize("kind", ["bird", "frr"])
def test_every_name_is_ours(kind: str) -> None:
    """Whatever is defined carries our prefix, so that nothing of the operator's can be meant."""
    owners = {
        "bird": ("ipv4 table ", "filter ", "protocol static ", "function "),
        "frr": ("route-map ", "ip prefix-list ", "bgp as-path access-list "),
    }[kind]
    for name in CASES:
        for line in golden(kind, name).read_text().splitlines():
            for owner in owners:
                if line.startswith(owner):
                    assert line.removeprefix(owner).startswith("hopkeeper"), line

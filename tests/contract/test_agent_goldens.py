"""The golden configurations are taken by the real daemons, inside the operator's golden configuration."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.agent.daemons import BGPD, MISSING
from tests.unit.agent.golden_cases import CASES, GOLDENS, golden


def checked(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=30, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@pytest.mark.skipif(MISSING["bird"] is not None, reason=str(MISSING["bird"]))
@pytest.mark.parametrize("name", CASES)
def test_bird_takes_a_golden_configuration(name: str, tmp_path: Path) -> None:
    operator = (GOLDENS / "bird" / CASES[name].operator).read_text()
    (tmp_path / "bird.conf").write_text(
        operator.replace("/var/lib/hopkeeper-speaker/bird.conf", str(golden("bird", name)))
    )
    checked("bird", "-p", "-c", tmp_path / "bird.conf")


@pytest.mark.skipif(MISSING["frr"] is not None, reason=str(MISSING["frr"]))
@pytest.mark.parametrize("name", CASES)
def test_frr_takes_a_golden_configuration(name: str, tmp_path: Path) -> None:
    text = (GOLDENS / "frr" / CASES[name].operator).read_text() + golden("frr", name).read_text()
    (tmp_path / "bgpd.conf").write_text(text)
    assert "config line" not in checked(BGPD, "-S", "-Z", "-C", "-f", tmp_path / "bgpd.conf")


@pytest.mark.skipif(MISSING["frr"] is not None, reason=str(MISSING["frr"]))
def test_frr_does_not_take_what_it_does_not_know(tmp_path: Path) -> None:
    """The check above can fail."""
    (tmp_path / "bgpd.conf").write_text("router bgp 65001\n bgp bogus\n")
    assert "config line 2" in checked(BGPD, "-S", "-Z", "-C", "-f", tmp_path / "bgpd.conf")


@pytest.mark.parametrize("name", CASES)
def test_exabgp_takes_a_golden_command(name: str, tmp_path: Path) -> None:
    routes = re.sub(r"(?m)^(neighbor .*)?announce route", "route", golden("exabgp", name).read_text()).replace(
        "\n", ";\n"
    )
    (tmp_path / "exabgp.conf").write_text(
        "neighbor 10.0.0.36 { router-id 10.0.1.4; local-address 10.0.1.4; local-as 65001; peer-as 65515;\n"
        f"static {{\n{routes}}}\n}}\n"
    )
    said = checked(Path(sys.executable).with_name("exabgp"), "validate", "-v", "-r", tmp_path / "exabgp.conf")
    assert said.count("next-hop") >= len(CASES[name].routes) + len(CASES[name].outward)

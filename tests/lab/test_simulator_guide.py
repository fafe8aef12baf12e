"""docs/simulator.md, word for word: its commands and its Python against the wheel, in an environment with nothing else."""

import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from email import message_from_bytes
from enum import StrEnum
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from simulator import clients
from simulator.control import ROUTES
from simulator.faults import Faults
from simulator.seed_file import PARTS, read
from simulator.template import Scope
from tests.machines import built_wheel, environment, machine, pip_install
from tests.pages import walk
from tools.release import simulator

ROOT = Path(__file__).resolve().parents[2]
AZ = ROOT / "build" / "az" / "bin"
PAGE = (ROOT / "docs" / "simulator.md").read_text()
FAULTS = "Faults, and the rest by HTTP"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(tmp_path_factory.mktemp("wheel"), simulator.SOURCE)


def needed(wheel: Path) -> set[str]:
    """What its metadata says that it needs, without extras."""
    with zipfile.ZipFile(wheel) as content:
        name = next(name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        said = message_from_bytes(content.read(name)).get_all("Requires-Dist", [])
    wanted = [Requirement(one) for one in said]
    return {one.name.lower() for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})}


def test_the_wheel_holds_the_simulator_its_page_and_its_command_and_nothing_of_the_product(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        found = content.namelist()
        points = next(name for name in found if name.endswith("entry_points.txt"))
        assert b"hopkeeper-simulator = simulator.__main__:main" in content.read(points)
    assert {name.split("/")[0] for name in found if ".dist-info" not in name} == {"simulator"}
    files = {f"simulator/{path.name}" for form in ("*.py", "*.j2") for path in simulator.SOURCE.glob(form)}
    assert files == {name for name in found if name.startswith("simulator/")}


@pytest.mark.timeout(300)
def test_the_page_of_the_simulator_works_word_for_word_with_az_and_the_sdk(wheel: Path, tmp_path: Path) -> None:
    if not (AZ / "az").exists():
        pytest.skip("Azure's command line is not installed (make az installs it): the page was not tried")
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed (make tools installs it): the page was not tried")
    python = machine(tmp_path / "machine", *needed(wheel))
    pip_install(python, wheel)
    own = environment()
    env = {**own, "PATH": f"{python.parent}:{AZ}:{own['PATH']}", "HOME": str(tmp_path)}
    walk(PAGE, tmp_path, env, least=8, before="trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT")


def test_the_page_signs_in_as_the_command_says_and_installs_what_make_builds(wheel: Path) -> None:
    for command in clients.register("$ARM"):
        assert command.replace(clients.TENANT, "$AZURE_TENANT_ID") in PAGE.splitlines()
    assert {"make simulator", "simulator-env/bin/pip install build/hopkeeper_simulator-*.whl"} <= set(PAGE.splitlines())
    assert wheel.match("hopkeeper_simulator-*.whl")


def cells(heading: str, head: str) -> Iterator[tuple[str, str]]:
    """The first two cells of each row of the table below a heading that begins with this word."""
    text = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = text.partition(f"\n| {head} |")[2].partition("\n\n")[0]
    yield from re.findall(r"^\| `([^`]+)` \| (.*?) \|", table, re.MULTILINE)


def test_the_page_has_every_part_of_a_seed() -> None:
    assert {name for name, _ in cells("Seeds", "part")} == set(PARTS)


def test_the_smallest_seed_of_the_page_is_a_route_server_that_peerings_can_be_made_on(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(PAGE.partition("```json\n")[2].partition("```")[0])
    (hub,) = read([seed], Scope("00000000-0000-0000-0000-000000000001", "rg"))["resources"]
    assert (hub["kind"], hub["properties"]["routingState"]) == ("RouteServer", "Provisioned")


def test_the_smallest_load_balancer_of_the_page_has_what_its_rule_names(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(PAGE.split("```json\n")[2].partition("```")[0])
    (balancer,) = read([seed], Scope("00000000-0000-0000-0000-000000000001", "rg"))["resources"]
    assert [len(balancer["properties"][part]) for part in ("backendAddressPools", "probes", "loadBalancingRules")] == [
        1,
        1,
        1,
    ]


def test_the_page_has_every_fault_with_its_usual_value() -> None:
    usual = asdict(Faults())
    listed = dict(cells(FAULTS, "fault"))
    assert set(listed) == set(usual)
    for name, value in usual.items():
        said = listed[name].split(",")[0].strip("`")
        shown = (
            str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
        )
        assert said in (shown, "as `arm")
        if isinstance(value, StrEnum) and said == shown:
            assert re.findall(r"`(\w+)`", listed[name]) == list(type(value))


def test_the_page_has_every_request_of_the_control_api() -> None:
    assert [name for name, _ in cells(FAULTS, "request")] != []
    assert {name for name, _ in cells(FAULTS, "request")} == {f"{method} {path}" for method, path, _ in ROUTES}

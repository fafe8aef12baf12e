"""The app's bill of materials: the pinned closure and nothing else, as CycloneDX writes it down."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from tools.processes import ToolError
from tools.release import agent, package, wheels
from tools.release.libraries import Libraries
from tools.release.materials import closure, document, licences, pins, requirements, write

ROOT = Path(__file__).resolve().parents[2]
A_PACKAGE_SHA256 = "c0cd5ccfdb563a59366e33e73001b78fdb8cca5a6c48e2f90fffcde44b81f1f6"


class Described(Distribution):
    """A library that says of itself what it is given."""

    def __init__(self, metadata: str) -> None:
        self._metadata = metadata

    def read_text(self, filename: str) -> str | None:
        return self._metadata if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


def installed() -> Libraries:
    """This environment's, with made-up wheels, for those that the app needs."""
    needed = closure(requirements((ROOT / "requirements.txt").read_text()), pins(ROOT), distribution)
    folder = Path(str(distribution("msgspec").locate_file("")))
    return Libraries(folder, {name: hashlib.sha256(name.encode()).hexdigest() for name in needed})


def library(name: str, *lines: str, version: str = "1.0") -> Described:
    return Described("\n".join([f"Name: {name}", f"Version: {version}", *lines]) + "\n")


def finding(*libraries: Described) -> Callable[[str], Distribution]:
    by_name: dict[str, Described] = {canonicalize_name(one.metadata["Name"]): one for one in libraries}

    def find(name: str) -> Distribution:
        if name not in by_name:
            raise PackageNotFoundError(name)
        return by_name[name]

    return find


def names(*libraries: Described, direct: str = "app") -> list[str]:
    pins: dict[str, str] = {canonicalize_name(one.metadata["Name"]): "1.0" for one in libraries}
    return list(closure(requirements(direct), pins, finding(*libraries)))


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    package = tmp_path_factory.mktemp("bill") / "hopkeeper.zip"
    package.write_bytes(b"a package")
    assert write(ROOT, package, package.with_suffix(".sbom.json"), installed()) > 10
    made: dict[str, Any] = json.loads(package.with_suffix(".sbom.json").read_text())
    return made


def test_it_has_the_shape_of_cyclonedx(bill: dict[str, Any]) -> None:
    schema = JsonStrictValidator(SchemaVersion.V1_6)
    assert schema.validate_str(json.dumps(bill)) is None
    assert schema.validate_str(json.dumps(bill | {"components": [{"name": "no type"}]})) is not None


def test_every_reference_in_it_leads_somewhere_and_every_part_is_reached(bill: dict[str, Any]) -> None:
    app = bill["metadata"]["component"]["bom-ref"]
    parts = [app, *(one["bom-ref"] for one in bill["components"])]
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert len(parts) == len(set(parts))
    assert set(needs) == set(parts)
    reached, due = set(), [app]
    while due:
        one = due.pop()
        reached.add(one)
        due += [each for each in needs[one] if each not in reached]
    assert reached == set(parts)


def test_it_holds_what_is_pinned_for_the_app_and_no_tool_of_the_developers(bill: dict[str, Any]) -> None:
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    found = {one["name"]: one["version"] for one in bill["components"]}
    for one in requirements((ROOT / "requirements.txt").read_text()):
        assert str(one.specifier) == f"=={found[canonicalize_name(one.name)]}"
    assert {canonicalize_name(name): version for name, version in pinned.items()}.items() >= found.items()
    assert {"azure-core", "msal", "cffi"} <= set(found)
    assert not {"pytest", "ruff", "mypy", "exabgp", "jinja2", "click"} & set(found)


def pinned(file: Path) -> dict[str, str]:
    """The version of each library in a file of pins; a line without a digest is none."""
    lines = re.findall(r"(?m)^(\S+)==(\S+) --hash=sha256:[0-9a-f]{64}$", file.read_text())
    return dict(lines)


def test_what_is_fetched_is_pinned_with_its_digest_in_the_versions_of_the_constraints() -> None:
    """As `make pins` writes it; each of these lines is all that pip takes."""
    needed = closure(requirements((ROOT / "requirements.txt").read_text()), pins(ROOT), distribution)
    assert pinned(package.PINS) == {name: one.version for name, one in needed.items()}
    assert pinned(agent.PINS) == {name: pins(ROOT)[name] for name in agent.BUNDLED}
    assert list(pinned(wheels.PINS)) == ["setuptools"]


def test_every_library_says_under_which_licence_it_comes(bill: dict[str, Any]) -> None:
    listed = licences(bill)
    assert [line.partition(" ")[0] for line in listed] == [one["name"] for one in bill["components"]]
    assert "msgspec 0.22.0: BSD-3-Clause" in listed
    silent = {"name": "part", "version": "1.0"}
    with pytest.raises(ToolError, match="no licence is named by part"):
        licences({"components": [*bill["components"], silent]})


def test_it_names_the_package_that_it_is_of_and_is_the_same_for_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"a package")
    (tmp_path / "b.zip").write_bytes(b"another")
    one, same, other = (document(ROOT, tmp_path / name, installed()) for name in ("a.zip", "a.zip", "b.zip"))
    assert one == same
    assert one["serialNumber"] != other["serialNumber"]
    assert one["metadata"]["component"]["hashes"][0]["content"] == A_PACKAGE_SHA256


def test_it_names_the_wheel_that_each_library_came_in(bill: dict[str, Any]) -> None:
    listed = {one["name"]: one["hashes"][0]["content"] for one in bill["components"]}
    assert listed == installed().wheels


def test_a_library_in_the_package_that_nothing_needs_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"a package")
    more = replace(installed(), wheels={**installed().wheels, "pytest": "0" * 64})
    with pytest.raises(ToolError, match="nothing needs it: pytest"):
        document(ROOT, tmp_path / "a.zip", more)


def test_what_is_needed_through_others_and_extras_is_in_it() -> None:
    app = library("app", "Requires-Dist: Middle_Part[fast]>=1")
    middle = library(
        "middle-part", "Provides-Extra: fast", 'Requires-Dist: quick; extra == "fast"', "Requires-Dist: low"
    )
    found = closure(
        requirements("app  # the one\n-c constraints.txt\n"),
        dict.fromkeys(("app", "middle-part", "quick", "low"), "1.0"),
        finding(app, middle, library("quick"), library("low", "Requires-Dist: app")),
    )
    assert {name: one.needs for name, one in found.items()} == {
        "app": ("middle-part",),
        "low": ("app",),
        "middle-part": ("low", "quick"),
        "quick": (),
    }


def test_an_extra_that_is_required_later_is_followed_too() -> None:
    app = library("app", "Requires-Dist: part[more]", "Requires-Dist: second")
    second = library("second", "Requires-Dist: part")
    part = library("part", 'Requires-Dist: extra-part; extra == "more"')
    for direct in ("app\nsecond", "second\napp"):
        assert "extra-part" in names(app, second, part, library("extra-part"), direct=direct)


@pytest.mark.parametrize(
    "marker", ["sys_platform == 'win32'", "python_version < '3.13'", "extra == 'test'", "os_name == 'nt'"]
)
def test_what_only_another_platform_or_extra_needs_is_not_in_it(marker: str) -> None:
    assert names(library("app", f"Requires-Dist: other; {marker}")) == ["app"]


def test_a_library_that_is_not_there_not_pinned_or_of_another_version_is_an_error() -> None:
    app = library("app")
    with pytest.raises(ToolError, match="app is needed and is not there"):
        closure(requirements("app"), {"app": "1.0"}, finding())
    with pytest.raises(ToolError, match=r"not in constraints\.txt"):
        closure(requirements("app"), {}, finding(app))
    with pytest.raises(ToolError, match=r"1\.0 is there, constraints\.txt says 1\.1"):
        closure(requirements("app"), {"app": "1.1"}, finding(app))

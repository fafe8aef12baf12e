"""The JSON Schema of the topology document: it follows from the types, takes what is taken, and the reference says the same."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from contracts.generate_schemas import TOPOLOGY
from function_app.cli import main
from function_app.domain.base.timing import Timing
from function_app.domain.topology import model
from function_app.views.first_topology import first_topology
from function_app.views.topology_schema import EXAMPLES, schema_text
from tests.builders import document
from tests.unit.test_brownfield import found, peering

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "topology.md"
SCHEMA = json.loads(TOPOLOGY.read_text())
DOCUMENTS = (*sorted((ROOT / "examples").glob("*.yaml")), ROOT / "infra" / "bicep" / "lab" / "topology.yaml")
EDITOR = re.compile(r"# yaml-language-server: \$schema=(\S+)")
TABLES = {
    "routeServers": "RouteServer",
    "speakers": "Speaker",
    "networkPeerings": "NetworkPeering",
    "scaleSets": "ScaleSet",
    "services": "Service",
    "alsoBehind": "BackendPool",
    "outward": "Outward",
    "timing": "Timing",
}
"""Which definition the first table below a heading describes."""


def validator(definition: str = "Topology") -> Draft202012Validator:
    whole = {**SCHEMA, "$ref": f"#/$defs/{definition}"}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_the_schema_follows_from_the_types_and_is_printed() -> None:
    assert TOPOLOGY.read_text() == schema_text(), "run python -m contracts.generate_schemas"
    Draft202012Validator.check_schema(SCHEMA)
    assert CliRunner().invoke(main, ["schema"]).output == schema_text()


def test_everything_that_may_be_written_is_described() -> None:
    bare = [
        f"{name}.{key}"
        for name, definition in SCHEMA["$defs"].items()
        for key, value in definition.get("properties", {}).items()
        if not value.get("description")
    ]
    assert bare == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_an_example_fits_the_schema_and_its_first_line_tells_an_editor_so(path: Path) -> None:
    text = path.read_text()
    validator().validate(yaml.safe_load(text))
    named = EDITOR.fullmatch(text.splitlines()[0])
    assert named is not None
    assert (path.parent / named[1]).resolve() == TOPOLOGY


def test_what_init_writes_fits_the_schema_and_its_first_line_tells_an_editor_so() -> None:
    text = first_topology(replace(found(peering()), id=EXAMPLES["RouteServer"]["id"]))
    validator().validate(yaml.safe_load(text))
    written = EDITOR.fullmatch(text.splitlines()[0])
    assert written is not None
    assert f"`hopkeeper schema > {written[1]}`" in " ".join(text.replace("\n#", "").split())


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_an_editor_offers_is_taken(name: str) -> None:
    kind = Timing if name == "Timing" else getattr(model, name)
    for example in SCHEMA["$defs"][name]["examples"]:
        validator(name).validate(example)
        if name != "Speaker":
            msgspec.convert(example, kind, dec_hook=lambda kind, value: kind(value))


def spoilt(change: str) -> Any:
    value = json.loads(json.dumps(document()))
    match change:
        case "an unknown key":
            value["routeservers"] = []
        case "a missing key":
            del value["speakers"][0]["asn"]
        case "a number as text":
            value["speakers"][0]["asn"] = "65001"
        case "a prefix without length":
            value["services"][0]["prefixes"] = ["10.0.0.0"]
        case "a name in capitals":
            value["name"] = "HUB"
        case "another word":
            value["services"][0]["mode"] = "active/passive"
        case "no address":
            value["speakers"][0]["address"] = "nva-a"
    return value


def test_the_document_that_is_spoilt_below_fits() -> None:
    validator().validate(spoilt("nothing"))


@pytest.mark.parametrize(
    "change",
    [
        "an unknown key",
        "a missing key",
        "a number as text",
        "a prefix without length",
        "a name in capitals",
        "another word",
        "no address",
    ],
)
def test_what_has_a_wrong_shape_does_not_fit(change: str) -> None:
    assert not validator().is_valid(spoilt(change))


def rows(heading: str) -> list[tuple[str, str]]:
    """Each key of the first table below a heading, with what stands in the second column."""
    below = re.split(rf"^##+ `{heading}`$", REFERENCE.read_text(), maxsplit=1, flags=re.M)[1]
    table = re.findall(r"(?:^\|.*\n)+", below, re.M)[0]
    cells = [row.split("|") for row in table.splitlines()[2:]]
    return [(key, row[2].strip()) for row in cells for key in re.findall(r"`(\w+)`", row[1])]


@pytest.mark.parametrize(("heading", "name"), TABLES.items())
def test_the_reference_has_every_key_with_its_default_and_whether_it_is_required(heading: str, name: str) -> None:
    definition = SCHEMA["$defs"][name]
    found = rows(heading)
    assert sorted(key for key, _ in found) == sorted(definition["properties"])
    assert {key for key, default in found if default == "required"} == set(definition.get("required", ()))
    for key, default in found:
        if default.startswith("`") and name != "Timing":
            value = definition["properties"][key]["default"]
            assert default == f"`{value if isinstance(value, str) else json.dumps(value)}`", key

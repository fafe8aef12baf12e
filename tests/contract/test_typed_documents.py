"""The documents that Hopkeeper gives to programs, against `contracts/documents`: schemas, examples, and what is really given."""

import json
import re
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from msgspec.structs import fields

from contracts.generate_schemas import DOCUMENTS, FOLDER, schema
from function_app.cli import main
from function_app.domain.topology.laws import Place
from function_app.reconcile import documents
from function_app.reconcile.documents.findings import preflight_document
from function_app.reconcile.documents.history import History
from function_app.reconcile.documents.outcome import Outcomes, outcome_document
from function_app.reconcile.documents.part import Part
from function_app.reconcile.documents.plan import Plans
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import UseCases
from tests.builders import document, text
from tests.unit.reconcile.scene import Scene, as_json

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((FOLDER / "examples").glob("*.json"))


def document_of(example: Path) -> str:
    """The document that an example's name begins with: `history-entry-...` is no `history`."""
    return max((name for name in DOCUMENTS if example.name.startswith(f"{name}-")), key=len)


def validate(name: str, value: Any) -> None:
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(json.loads((FOLDER / f"{name}.schema.json").read_text()), format_checker=checker).validate(
        value
    )


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_schema_follows_from_the_type_and_has_an_example(name: str) -> None:
    committed = (FOLDER / f"{name}.schema.json").read_bytes()
    assert committed == schema(name), "run python -m contracts.generate_schemas"
    Draft202012Validator.check_schema(json.loads(committed))
    assert any(document_of(example) == name for example in EXAMPLES)


def test_every_document_has_a_name_a_version_and_a_schema() -> None:
    """A document is what is no part of another one."""
    for module in iter_modules(documents.__path__, f"{documents.__name__}."):
        import_module(module.name)
    parts = Part.__subclasses__()
    inside = " ".join(str(field.type) for part in parts for field in fields(part))
    alone = {part for part in parts if not re.search(rf"\b{re.escape(part.__module__)}\.{part.__name__}\b", inside)}
    assert {part.__name__ for part in alone - set(DOCUMENTS.values())} == set()
    for name, kind in DOCUMENTS.items():
        assert re.fullmatch(rf"hopkeeper/{name}/\d+", {field.name: field.default for field in fields(kind)}["schema"])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_fits_its_schema_and_is_all_that_the_type_holds(example: Path) -> None:
    name, value = document_of(example), json.loads(example.read_text())
    validate(name, value)
    assert value["schema"].startswith(f"hopkeeper/{name}/")
    assert as_json(msgspec.json.decode(example.read_bytes(), type=DOCUMENTS[name])) == value


def test_the_bounds_of_every_example_fit_their_schema_and_their_parts_are_all_of_the_time() -> None:
    for file in sorted((ROOT / "examples").glob("*.yaml")):
        done = CliRunner().invoke(main, ["bounds", str(file), "--json"])
        given = json.loads(done.output)
        validate("bounds", given)
        assert bool(given["paths"]) == ("services:" in file.read_text())
        for path in given["paths"]:
            assert sum(part["seconds"] for part in path["parts"]) == pytest.approx(path["seconds"])


async def test_what_the_app_gives_fits_the_schemas() -> None:
    scene = Scene()
    app = UseCases(scene.ports, Topologies(scene.documents, Place()))
    topology = await app.apply(text(document()))
    validate("plans", as_json(Plans(plans=(await app.plan("hub"),))))
    validate("overview", as_json(await app.overview()))
    await scene.settle()
    await app.wake_all()
    scene.world.kill("nva-a")
    scene.world.arm_up = False
    scene.clock.at += timedelta(seconds=1)
    held = outcome_document("hub", await app.look_at_once("hub", "test"))
    validate("outcome", as_json(held))
    validate("outcomes", as_json(Outcomes(outcomes=(held, held))))
    await scene.slow()
    validate("look", json.loads(scene.documents.stored["status/hub.json"].body))
    validate("status", as_json(await app.status("hub")))
    validate("overview", as_json(await app.overview()))
    validate("plan", as_json(await app.plan("hub")))
    validate("explanation", as_json(await app.explain("hub", "fw")))
    validate("preflight", as_json(preflight_document(await app.lint(topology))))
    validate("topologies", as_json(await app.listed()))
    validate("evidence", as_json(await app.verify("hub")))
    entries = await app.history("hub", "fw")
    validate("history", as_json(History(topology="hub", service="fw", entries=entries)))
    validate("events", as_json(await app.changed_since("hub", "", timedelta(0))))
    stored = [found.body for key, found in scene.documents.stored.items() if key.startswith("history/")]
    for body in stored:
        validate("history-entry", json.loads(body))
    assert stored

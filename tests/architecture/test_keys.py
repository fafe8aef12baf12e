"""Every storage key is built in one place, and is spelled as the documents that are stored already."""

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from function_app.reconcile.store import keys

TREE = Path(__file__).resolve().parents[2]
PRODUCT = TREE / "function_app"
KEYS = PRODUCT / "reconcile" / "store" / "keys.py"
AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)

SPELLED = {
    keys.topology("hub"): "topologies/hub.yaml",
    keys.last_good("hub"): "good/hub.yaml",
    keys.previous("hub"): "previous/hub.yaml",
    keys.record("hub", "fw"): "records/hub/fw.json",
    keys.history_entry("hub", "fw", AT, "fast"): "history/hub/fw/20260102/20260102T030405.000678Z-fast.json",
    keys.status("hub"): "status/hub.json",
    keys.preflight("hub"): "preflight/hub.json",
    keys.rehearsal("hub", "fw"): "rehearsals/hub/fw.json",
    keys.peering_deletes("hub", "rs"): "peerings/hub/rs.json",
    keys.network_repairs("hub"): "networks/hub.json",
    keys.route_operations("hub"): "routes/hub.json",
    keys.turn_lease("hub"): "turns/hub/lease",
    keys.turn_asked("hub"): "turns/hub/asked",
    keys.turn_due("hub"): "turns/hub/due",
    keys.fence_lease("hub", "fw", "nva-a"): "fences/hub/fw/nva-a",
    keys.SWEEP: "sweep.json",
}
FOLDERS = tuple(sorted({key.partition("/")[0] + "/" for key in SPELLED if "/" in key}))


def test_keys_are_spelled_as_those_that_are_stored_already() -> None:
    assert list(SPELLED) == list(SPELLED.values())


def test_what_is_taken_apart_is_what_was_built() -> None:
    assert keys.topology_name(keys.topology("hub-2")) == "hub-2"
    assert keys.topology_name("topologies/notes.txt") is None
    assert keys.stamp_of(keys.history_entry("hub", "fw", AT, "slow")) == keys.stamp(AT)


def test_no_other_module_of_the_app_builds_a_key() -> None:
    modules = (file for file in sorted(PRODUCT.rglob("*.py")) if file != KEYS)
    built = [f"{file.relative_to(TREE)}:{found}" for file in modules for found in built_in(file.read_text())]
    assert built == []


@pytest.mark.parametrize(
    "code",
    [
        'key = f"records/{name}"',
        'key = "records/hub/" + name',
        'key = "records/{}".format(name)',
        'key = "/".join(("records", name))',
        'key = "%s/%s" % ("records/hub", name)',
        'await documents.load("sweep.json")',
    ],
)
def test_a_key_is_found_however_it_is_built(code: str) -> None:
    assert len(list(built_in(code))) == 1


@pytest.mark.parametrize(
    "code",
    ['"""records/hub is a document."""', '@blueprint.route(route="status/{topology?}")\ndef f(): ...', 'x = "record"'],
)
def test_what_is_no_key_is_left_alone(code: str) -> None:
    assert list(built_in(code)) == []


def built_in(code: str) -> Iterator[str]:
    """Line and text of everything that begins as a key does, but what only says so (docstrings) and routes of HTTP."""
    tree = ast.parse(code)
    aside = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    aside |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "route"}
    for node in ast.walk(tree):
        text = _beginning(node)
        if id(node) not in aside and (text.startswith(FOLDERS) or text == keys.SWEEP):
            yield f"{node.lineno}: {text}"  # type: ignore[attr-defined]


def _beginning(node: ast.AST) -> str:
    """A text, or the first part, with its stroke, of what is joined by strokes; else ""."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Call(func=ast.Attribute(value=ast.Constant(value="/"), attr="join"), args=[parts]):
            return next((f"{_beginning(part)}/" for part in getattr(parts, "elts", ())), "")
    return ""

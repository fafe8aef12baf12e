"""Every storage key is built in one place, and is spelled as the documents that are stored already."""

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from function_app.reconcile.store import keys

TREE = Path(__file__).resolve().parents[2]
PRODUCT = TREE / "function_app"
KEYS = PRODUCT / "reconcile" / "store" / "keys.py"
AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)

SPELLED = {
    keys.topology("hub"): "topologies/hub.yaml",
    keys.last_good("hub"): "good/hub.yaml",
    keys.record("hub", "fw"): "records/hub/fw.json",
    keys.history_entry("hub", "fw", AT, "fast"): "history/hub/fw/20260102T030405.000678Z-fast.json",
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
    built = [
        f"{file.relative_to(TREE)}:{line}: {text}"
        for file in sorted(PRODUCT.rglob("*.py"))
        if file != KEYS
        for line, text in _beginnings(ast.parse(file.read_text()))
        if text.startswith(FOLDERS) or text == keys.SWEEP
    ]
    assert built == []


def _beginnings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """How every f-string begins, and every text that is only a folder's or a document's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            yield node.lineno, str(node.values[0].value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in (*FOLDERS, keys.SWEEP):
            yield node.lineno, node.value

"""The data of others that tests read: what it was derived from, and where that came from."""

import json
from fnmatch import fnmatch
from pathlib import Path

from tests.fixtures.derive import derived
from tests.skips import shared

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_each_excerpt_is_what_its_source_gives() -> None:
    found = derived(shared("fixtures"))
    here = {str(path.relative_to(FIXTURES)): json.loads(path.read_text()) for path in FIXTURES.rglob("*.json")}
    assert found.keys() == here.keys()
    assert [path for path, document in found.items() if document != here[path]] == []


def test_each_excerpt_has_a_line_that_names_its_origin_and_its_licence() -> None:
    rows = [line.split(" | ") for line in (FIXTURES / "SOURCES.md").read_text().splitlines() if line.startswith("| `")]
    named = {files.strip("| `"): licence for files, _, licence in rows}
    assert all("MIT" in licence or "Apache-2.0" in licence or "CC BY 4.0" in licence for licence in named.values())
    files = [str(path.relative_to(FIXTURES)) for path in FIXTURES.rglob("*.json")]
    assert [file for file in files if sum(fnmatch(file, pattern) for pattern in named) != 1] == []

"""What the status says to a person."""

import json
from pathlib import Path

import msgspec

from function_app.reconcile.documents.status import Status
from function_app.views.status import status_lines

EXAMPLE = Path(__file__).resolve().parents[2] / "contracts/documents/examples/status-stable.json"


def test_wrong_routes_name_the_command_that_shows_them() -> None:
    document = json.loads(EXAMPLE.read_text())
    document["lastLook"]["routes"] |= {"verified": False, "wrong": 2}
    lines = list(status_lines(msgspec.convert(document, Status)))
    assert f"routes: 2 wrong (`hopkeeper verify {document['topology']}`)" in lines

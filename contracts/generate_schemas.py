"""Writes the schemas of what Hopkeeper gives to programs, its OpenAPI document, and the schema of the topology that an operator
gives it: `python -m contracts.generate_schemas`.

They follow from the types in `function_app/reconcile/documents` and `function_app/domain/topology/model.py`; tests compare them
with what is committed.
"""

from pathlib import Path

import msgspec

from function_app.reconcile.documents.bounds import Bounds
from function_app.reconcile.documents.error import ErrorAnswer
from function_app.reconcile.documents.event import Event
from function_app.reconcile.documents.events import Events
from function_app.reconcile.documents.evidence import Evidence
from function_app.reconcile.documents.findings import Preflight
from function_app.reconcile.documents.history import Entry, Explanation, History
from function_app.reconcile.documents.look import LastLook
from function_app.reconcile.documents.outcome import OutcomeAnswer, Outcomes
from function_app.reconcile.documents.part import Part
from function_app.reconcile.documents.plan import Plan, Plans
from function_app.reconcile.documents.status import Overview, Status
from function_app.reconcile.documents.topologies import Applied, TopologyList
from function_app.triggers.described import document
from function_app.views.topology_schema import schema_text
from proving.gameday.document import GameDay

OPENAPI = Path(__file__).parent / "openapi.json"
FOLDER = Path(__file__).parent / "documents"
TOPOLOGY = Path(__file__).parent / "topology.schema.json"
DOCUMENTS: dict[str, type[Part]] = {
    "applied": Applied,
    "bounds": Bounds,
    "error": ErrorAnswer,
    "events": Events,
    "evidence": Evidence,
    "event": Event,
    "explanation": Explanation,
    "gameday": GameDay,
    "history": History,
    "history-entry": Entry,
    "look": LastLook,
    "outcome": OutcomeAnswer,
    "outcomes": Outcomes,
    "overview": Overview,
    "plan": Plan,
    "plans": Plans,
    "preflight": Preflight,
    "status": Status,
    "topologies": TopologyList,
}


def schema(name: str) -> bytes:
    """The JSON Schema (draft 2020-12) of a document. Its own `schema` is required, though it is read without."""
    kind = DOCUMENTS[name]
    made = msgspec.json.schema(kind)
    own = made["$defs"][kind.__name__]
    own["required"] = ["schema", *own["required"]]
    version = own["properties"]["schema"]["default"].rpartition("/")[2]
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:hopkeeper:document:{name}:{version}",
    }
    return msgspec.json.format(msgspec.json.encode({**head, **made}), indent=2) + b"\n"


def openapi() -> bytes:
    """The OpenAPI document of the app's HTTP surface."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


if __name__ == "__main__":
    OPENAPI.write_bytes(openapi())
    for each in DOCUMENTS:
        (FOLDER / f"{each}.schema.json").write_bytes(schema(each))
    TOPOLOGY.write_text(schema_text())

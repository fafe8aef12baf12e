"""Topology documents as programs list them, and what came of a change of one."""

from typing import Literal

from function_app.reconcile.documents.findings import PreflightFinding
from function_app.reconcile.documents.part import Part


class TopologyListed(Part, frozen=True, kw_only=True):
    """`etag` is that of the document in force, which a change of it names in `If-Match`; where none is usable, of the one that
    was stored last, null where that is gone. `problems` say why the document that was stored last is not in force."""

    topology: str
    usable: bool
    etag: str | None
    problems: tuple[str, ...]


class TopologyList(Part, frozen=True, kw_only=True):
    """Every topology that there is."""

    schema: Literal["hopkeeper/topologies/1"] = "hopkeeper/topologies/1"
    topologies: tuple[TopologyListed, ...]


class Applied(Part, frozen=True, kw_only=True):
    """A document that is in force now: its `etag`, the unified diff from the one before it (of all of it where there was none),
    and what preflight finds in the document itself."""

    schema: Literal["hopkeeper/applied/1"] = "hopkeeper/applied/1"
    topology: str
    etag: str
    difference: str
    findings: tuple[PreflightFinding, ...]

"""What a failover may take at worst, as programs read it."""

from collections.abc import Sequence
from typing import Literal

from msgspec import UNSET, UnsetType

from function_app.domain.service.bounds import Bound, FencedBy
from function_app.reconcile.documents.part import Part


class PartOfPath(Part, frozen=True, kw_only=True):
    """One thing that is waited for."""

    what: str
    seconds: float


class Path(Part, frozen=True, kw_only=True):
    """How a failure is found and the old holder fenced, and the parts of that in order, of which `seconds` is the sum. Behind a
    load balancer: for how long at most it admits two members, and none."""

    detection: str
    fence: str
    seconds: float
    parts: tuple[PartOfPath, ...]
    two_admitted_seconds: float | UnsetType = UNSET
    none_admitted_seconds: float | UnsetType = UNSET


class Bounds(Part, frozen=True, kw_only=True):
    """The paths that are possible with a document, the shortest first."""

    schema: Literal["hopkeeper/bounds/1"] = "hopkeeper/bounds/1"
    topology: str
    paths: tuple[Path, ...]


def bounds_document(topology: str, bounds: Sequence[Bound]) -> Bounds:
    return Bounds(topology=topology, paths=tuple(map(_path, bounds)))


def _path(bound: Bound) -> Path:
    ranked = bound.fence is FencedBy.OUTRANKED
    gap = bound.total if bound.gap is None else bound.gap
    return Path(
        detection=bound.detection,
        fence=bound.fence,
        seconds=bound.total.total_seconds(),
        parts=tuple(PartOfPath(what=what, seconds=part.total_seconds()) for what, part in bound.parts),
        two_admitted_seconds=UNSET if ranked else bound.overlap.total_seconds(),
        none_admitted_seconds=UNSET if ranked else gap.total_seconds(),
    )

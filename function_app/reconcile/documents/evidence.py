"""What `verify` found: routes, hubs and network flags against what the topology implies, each answer with its age."""

from datetime import datetime
from typing import Literal

from function_app.domain.routes import reading
from function_app.domain.routes.as_paths import written
from function_app.reconcile.documents.findings import Finding, finding
from function_app.reconcile.documents.look import WriteTokens
from function_app.reconcile.documents.part import Part
from function_app.reconcile.routes import evidence


class LearnedRoute(Part, frozen=True, kw_only=True):
    """A route as an instance of a Route Server (`instance`, its address) learned it. What Azure does not say is null."""

    instance: str
    network: str
    next_hop: str | None
    as_path: str | None
    source_peer: str | None


class Evidence(Part, frozen=True, kw_only=True):
    """`sound`: everything was answered, and nothing is wrong. `asOf`: when the oldest answer was requested, null while one is
    missing; `taken`: when this was put together. `unanswered` names questions without an answer, `trouble` says why something
    could not be read. `learned` gives the routes by `{routeServer}/{speaker}`."""

    schema: Literal["hopkeeper/evidence/1"] = "hopkeeper/evidence/1"
    topology: str
    taken: datetime
    as_of: datetime | None
    sound: bool
    findings: tuple[Finding, ...]
    unanswered: tuple[str, ...]
    trouble: tuple[str, ...]
    learned: dict[str, tuple[LearnedRoute, ...]]
    cost: WriteTokens


def evidence_document(topology: str, found: evidence.Evidence, taken: datetime) -> Evidence:
    """`taken`: when it was gathered."""
    cost, verification = found.verification.cost, found.verification
    return Evidence(
        topology=topology,
        taken=taken,
        as_of=verification.as_of,
        sound=found.sound,
        findings=tuple(map(finding, found.findings)),
        unanswered=found.unanswered,
        trouble=tuple(dict.fromkeys((*found.unread, *verification.trouble))),
        learned={where: tuple(map(_route, routes)) for where, routes in verification.learned.items()},
        cost=WriteTokens(write_tokens=cost.spent, budget=cost.most, per_seconds=cost.per.total_seconds()),
    )


def _route(row: reading.LearnedRoute) -> LearnedRoute:
    return LearnedRoute(
        instance=str(row.instance),
        network=str(row.network),
        next_hop=_text(row.next_hop),
        as_path=None if row.as_path is None else written(row.as_path),
        source_peer=_text(row.source_peer),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)

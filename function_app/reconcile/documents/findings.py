"""Findings as programs read them: of routes and networks, and of preflight."""

from typing import Literal

from function_app.domain.preflight import summary as preflight
from function_app.domain.preflight.rule import LintFinding as PreflightFault
from function_app.domain.routes import findings as routes
from function_app.reconcile.documents.part import Part


class Finding(Part, frozen=True, kw_only=True):
    """One difference between routes or network flags and what the topology implies.

    `kind` is one of `domain.routes.findings.FindingKind`, `where` the Route Server, network peering or interface it was
    found at, `prefix` in CIDR notation. `wrong` is false for what is only worth knowing.
    """

    kind: str
    wrong: bool
    where: str
    speaker: str | None
    service: str | None
    prefix: str | None
    sentence: str


class PreflightFinding(Part, frozen=True, kw_only=True):
    """One thing that would keep the topology from working: where in the document, what is wrong, and what to do."""

    rule: str
    severity: str
    path: str
    what: str
    do: str
    reference: str


class Unjudged(Part, frozen=True, kw_only=True):
    """A rule that could not be judged: the kind of fact that it needs, of which parts that is unknown, and why, part by part."""

    rule: str
    needs: str
    of: tuple[str, ...]
    why: tuple[str, ...] = ()


class Preflight(Part, frozen=True, kw_only=True):
    """The report of `hopkeeper lint --json`: findings with the most serious first."""

    schema: Literal["hopkeeper/preflight/1"] = "hopkeeper/preflight/1"
    findings: tuple[PreflightFinding, ...]
    unjudged: tuple[Unjudged, ...]


def finding(found: routes.RouteFinding) -> Finding:
    return Finding(
        kind=found.kind,
        wrong=found.wrong,
        where=found.where,
        speaker=found.speaker,
        service=found.service,
        prefix=str(found.prefix) if found.prefix is not None else None,
        sentence=found.sentence,
    )


def preflight_finding(fault: PreflightFault) -> PreflightFinding:
    return PreflightFinding(
        rule=fault.rule,
        severity=fault.severity,
        path=fault.path,
        what=fault.what,
        do=fault.do,
        reference=fault.reference,
    )


def preflight_document(report: preflight.Report) -> Preflight:
    return Preflight(
        findings=tuple(map(preflight_finding, report.findings)),
        unjudged=tuple(Unjudged(rule=u.rule, needs=u.need, of=u.of, why=u.why) for u in report.unjudged),
    )

"""The preflight report for people: aligned lines, and at the end what could not be judged."""

from itertools import zip_longest

from function_app.domain.preflight.rule import Severity
from function_app.reconcile.documents.findings import Preflight, PreflightFinding


def report_lines(report: Preflight) -> tuple[str, ...]:
    """One finding in two lines: what and where, then what to do and where to read on."""
    rule = max((len(f.rule) for f in report.findings), default=0)
    severity = max(map(len, Severity))
    found = [line for f in report.findings for line in _lines(f, severity, rule)]
    counts = ", ".join(f"{sum(f.severity == s for f in report.findings)} {s}" for s in Severity)
    return (*found, *_unjudged(report), f"{counts}" if report.findings else "nothing found")


def _lines(finding: PreflightFinding, severity: int, rule: int) -> tuple[str, str]:
    margin = " " * (severity + rule + 4)
    return (
        f"{finding.severity:<{severity}}  {finding.rule:<{rule}}  {finding.path}: {finding.what}",
        f"{margin}{finding.do} (see: {finding.reference})",
    )


def _unjudged(report: Preflight) -> tuple[str, ...]:
    """By what is unknown, and why: the rules that wait for it."""
    rules: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for gap in report.unjudged:
        of = dict(zip_longest(gap.of, gap.why, fillvalue="an older app gives no reason"))
        for why in dict.fromkeys(of.values()):
            names = tuple(name for name in of if of[name] == why)
            rules.setdefault((gap.needs, why, names), []).append(gap.rule)
    return tuple(
        f"not judged, {need} of {', '.join(of)} unknown: {why} ({', '.join(names)})"
        for (need, why, of), names in rules.items()
    )

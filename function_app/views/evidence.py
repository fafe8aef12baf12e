"""Evidence as a person reads it on a terminal: findings as a table, then how old they are and what asking cost."""

from collections.abc import Iterator
from datetime import datetime

from function_app.reconcile.evidence import Evidence

HEADINGS = ("", "WHERE", "KIND", "WHAT")


def table(evidence: Evidence, now: datetime) -> Iterator[str]:
    """Lines, the wrong ones first; `now` only makes ages of times."""
    rows = [("wrong" if f.wrong else "note", f.where, str(f.kind), f.sentence) for f in evidence.findings]
    if rows:
        widths = [max(len(row[i]) for row in (HEADINGS, *rows)) for i in range(3)]
        for row in (HEADINGS, *rows):
            yield "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]])
    wrong = sum(f.wrong for f in evidence.findings)
    answered = "everything was answered" if not evidence.unanswered else "not everything was answered:"
    yield f"{wrong} wrong, {len(rows) - wrong} to know; {answered}"
    for question in evidence.unanswered:
        yield f"  not answered: {question}"
    for reason in (*evidence.unread, *evidence.verification.trouble):
        yield f"  {reason}"
    as_of = evidence.verification.as_of
    if as_of is not None:
        yield f"the oldest answer is {max(0, round((now - as_of).total_seconds()))} s old"
    cost = evidence.verification.cost
    yield f"{cost.spent} of {cost.most} write tokens spent in the last {cost.per.total_seconds():.0f} s"

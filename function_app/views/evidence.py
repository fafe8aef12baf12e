"""Evidence as a person reads it on a terminal: findings as a table, then how old they are and what asking cost."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

from function_app.reconcile.documents.evidence import Evidence

HEADINGS = ("", "WHERE", "KIND", "WHAT")
LEARNED = ("LOCAL ADDRESS", "NETWORK", "NEXT HOP", "AS PATH", "SOURCE PEER", "PEERING")


def learned(evidence: Evidence) -> Iterator[str]:
    """The learned routes themselves, as Azure lists them: by instance, prefix and the peer they came from. What Azure
    does not say of one is left empty."""
    rows = [
        (r.instance, r.network, r.next_hop or "", r.as_path or "", r.source_peer or "", where)
        for where, routes in evidence.learned.items()
        for r in dict.fromkeys(routes)
    ]
    yield from _columns((LEARNED, *sorted(rows, key=lambda row: (IPv4Address(row[0]), row[5], IPv4Network(row[1])))))


def table(evidence: Evidence, now: datetime) -> Iterator[str]:
    """Lines, the wrong ones first; `now` only makes ages of times."""
    rows = [("wrong" if f.wrong else "note", f.where, f.kind, f.sentence) for f in evidence.findings]
    if rows:
        yield from _columns((HEADINGS, *rows))
    wrong = sum(f.wrong for f in evidence.findings)
    is_whole = not evidence.unanswered and not evidence.trouble
    answered = "everything was answered" if is_whole else "not everything was answered:"
    yield f"{wrong} wrong, {len(rows) - wrong} to know; {answered}"
    for question in evidence.unanswered:
        yield f"  not answered: {question}"
    for reason in evidence.trouble:
        yield f"  {reason}"
    as_of = evidence.as_of
    if as_of is not None:
        yield f"the oldest answer is {max(0, round((now - as_of).total_seconds()))} s old"
    cost = evidence.cost
    yield f"{cost.write_tokens} of {cost.budget} write tokens spent in the last {cost.per_seconds:.0f} s"


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

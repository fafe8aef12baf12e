"""The series as a table, a document and a bar chart. Pure: runs in, text out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from math import log10
from typing import Any

from lab.packets.readings import Spread, spread

SCALED = {"bgp-9": ("BGP timers alone, hold 180 s (computed: 20 x hold 9 s)", 20.0)}
"""Computed from a measured contender: keepalive is a third of hold, so an outage scales with hold. It ends when the slower
of the two instances gives the dead NVA up: until then the workload uses both next hops."""


@dataclass(frozen=True, slots=True)
class Row:
    """One contender under one fault. `seconds` are the runs', in the order they were played."""

    contender: str
    title: str
    fault: str
    spread: Spread
    seconds: tuple[float, ...]
    two_serving: int
    updates_most: int | None
    withdrawals: int
    computed: bool = False


def rows(runs: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> list[Row]:
    """One for each contender and fault, the contenders in the order of `titles`."""
    found: list[Row] = []
    for name, title in titles.items():
        own = [run for run in runs if run["contender"] == name and "outage_seconds" in run]
        for fault in dict.fromkeys(str(run["fault"]) for run in own):
            row = _row(name, title, fault, [run for run in own if run["fault"] == fault])
            found.append(row)
            if name in SCALED and fault == "silent":
                found.append(_scaled(row))
    return found


def _row(name: str, title: str, fault: str, runs: Sequence[Mapping[str, Any]]) -> Row:
    seconds = tuple(float(run["outage_seconds"]) for run in runs)
    of_all = spread(seconds)
    assert of_all is not None  # a row stands for at least one run
    counted = [count for run in runs for count in run.get("updates", {}).values()]
    return Row(
        contender=name,
        title=title,
        fault=fault,
        spread=of_all,
        seconds=seconds,
        two_serving=sum(int(run["two_serving_packets"]) + int(run.get("two_eligible", 0)) for run in runs),
        updates_most=max((count["updates"] for count in counted), default=None),
        withdrawals=sum(count["withdrawals"] for count in counted),
    )


def _scaled(row: Row) -> Row:
    title, factor = SCALED[row.contender]
    seconds = tuple(second * factor for second in row.seconds)
    of_all = spread(seconds)
    assert of_all is not None
    return Row(f"{row.contender}-scaled", title, row.fault, of_all, seconds, 0, None, 0, computed=True)


def document(
    head: Mapping[str, Any], found: Sequence[Row], failures: Mapping[str, str], runs: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """lab.json; `head` has its `date`, `machine` and `order`."""
    return {**head, "rows": [asdict(row) for row in found], "failures": dict(failures), "runs": list(runs)}


def table(found: Sequence[Row]) -> str:
    """For a terminal or a Markdown page."""
    lines = ["| mechanism | fault | runs | median | min | max | two serving |", "|---|---|--:|--:|--:|--:|--:|"]
    for row in found:
        s = row.spread
        cells = [row.title, row.fault, str(s.runs), *(seconds(x) for x in (s.median, s.least, s.most))]
        lines.append(f"| {' | '.join(cells)} | {'' if row.computed else row.two_serving} |")
    return "\n".join(lines) + "\n"


def seconds(value: float) -> str:
    """Three digits that mean something, with the unit."""
    return f"{value:.3f} s" if value < 1 else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


# --- the chart

_RIGHT, _TOP, _STEP, _WIDTH, _LETTER = 80, 64, 24, 460, 6.4
_LEAST, _MOST = 0.01, 300.0
_TICKS = (0.01, 0.1, 1, 10, 100)
_OURS, _THEIRS, _COMPUTED = "#1f6f5c", "#8a97a6", "#c9d0d8"
_INK, _PALE, _LINE = "#1b1f24", "#5b6570", "#e3e7eb"


@dataclass(frozen=True, slots=True)
class _Scale:
    """Seconds on a logarithmic axis that begins `left` pixels from the edge."""

    left: float

    def x(self, value: float) -> float:
        within = min(max(value, _LEAST), _MOST)
        return self.left + _WIDTH * (log10(within) - log10(_LEAST)) / (log10(_MOST) - log10(_LEAST))


def chart(found: Sequence[Row], subtitle: str) -> str:
    """Bars of the medians on a logarithmic scale, a line from the least to the most, a dot for every run. SVG."""
    scale = _Scale(30 + _LETTER * max((len(_label(row)) for row in found), default=0))
    height, width = _TOP + _STEP * len(found) + 40, scale.left + _WIDTH + _RIGHT
    body = "".join(_bar(scale, _TOP + i * _STEP, row) for i, row in enumerate(found))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" font-family="system-ui, sans-serif" font-size="12">\n'
        f'<rect width="{width:.0f}" height="{height}" fill="#ffffff"/>\n'
        f'<text x="16" y="24" font-size="15" font-weight="600" fill="{_INK}">Seconds without packets</text>\n'
        f'<text x="16" y="43" fill="{_PALE}">{escape(subtitle)}</text>\n'
        f"{_axis(scale, height)}{body}</svg>\n"
    )


def _label(row: Row) -> str:
    return f"{row.title}: {row.fault}"


def _axis(scale: _Scale, height: int) -> str:
    bottom = height - 30
    return "".join(
        f'<line x1="{scale.x(tick):.1f}" y1="{_TOP - 6}" x2="{scale.x(tick):.1f}" y2="{bottom}" stroke="{_LINE}"/>\n'
        f'<text x="{scale.x(tick):.1f}" y="{bottom + 16}" text-anchor="middle" fill="{_PALE}">{tick:g} s</text>\n'
        for tick in _TICKS
    )


def _bar(scale: _Scale, top: int, row: Row) -> str:
    middle, s = top + _STEP // 2 - 2, row.spread
    colour = _COMPUTED if row.computed else _OURS if row.contender.startswith("ours") else _THEIRS
    dots = "".join(
        f'<circle cx="{scale.x(second):.1f}" cy="{middle}" r="2" fill="{_INK}" fill-opacity="0.45"/>'
        for second in row.seconds
    )
    return (
        f'<text x="{scale.left - 10:.1f}" y="{middle + 4}" text-anchor="end" fill="{_INK}">{escape(_label(row))}</text>\n'
        f'<rect x="{scale.left:.1f}" y="{top + 3}" width="{scale.x(s.median) - scale.left:.1f}" height="{_STEP - 10}" '
        f'fill="{colour}" rx="2"/>\n'
        f'<line x1="{scale.x(s.least):.1f}" y1="{middle}" x2="{scale.x(s.most):.1f}" y2="{middle}" '
        f'stroke="{_INK}"/>{dots}\n'
        f'<text x="{scale.x(s.most) + 8:.1f}" y="{middle + 4}" fill="{_INK}">{seconds(s.median)}</text>\n'
    )

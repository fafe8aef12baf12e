"""A game day for people: lines for a terminal, and one page that needs nothing but itself."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from proving.gameday.document import Change, Course, Flow, GameDay, Played, is_well

WIDTH = 640.0
"""Of a timeline, in the units of its drawing."""
TICK_SECONDS = 60
HEAD = ("fault", "flow", "served by", "and then", "over after", "without", "bound", "lost", "without", "two", "verdict")


def lines(day: GameDay) -> Iterator[str]:
    yield from _aligned([HEAD, *(row for played in day.played for row in _rows(played))])
    for each in day.not_simulated:
        yield f"not simulated: {each.fault}: {each.why}"
    guesses = [pace.what for pace in day.paces if pace.sure == "open"]
    yield f"guesses of the simulated Azure: {'; '.join(guesses)}"
    wrong = [played.fault for played in day.played if not is_well(played)]
    yield f"{len(day.played)} faults, seed {day.seed}: " + (
        f"not as published: {', '.join(wrong)}" if wrong else "as published"
    )


def _rows(played: Played) -> Iterator[Sequence[str]]:
    for flow in played.flows:
        on, off = flow.with_hopkeeper, flow.without
        limit = f"{flow.limit.seconds:g}" if flow.limit else "-"
        figures = (over(on), over(off), limit, f"{on.lost:.1f}", f"{off.lost:.1f}", f"{on.two:.1f}")
        yield (played.fault, flow.flow, names(flow.before), names(flow.with_hopkeeper.after), *figures, flow.verdict)
    if not played.flows:
        verdict = played.broken_law or "nothing is lost, nothing moves"
        yield (played.fault, *("",) * (len(HEAD) - 2), verdict)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD) - 1)]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()


def over(course: Course) -> str:
    return "never" if course.over is None else f"{course.over:.1f}"


def names(found: Sequence[str]) -> str:
    return ", ".join(found) or "no member"


def page(day: GameDay) -> str:
    """One HTML document, the same for the same game day."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(over=over, names=names, is_well=is_well, bars=bars, ticks=ticks, words=words, at=_at)
    return environment.get_template("report.html.j2").render(day=day, width=WIDTH)


def bars(course: Course, seconds: float) -> Iterator[tuple[float, float, str, str]]:
    """(where it begins, how wide it is, its class, its words) of each stretch of a timeline."""
    ends = [*(change.since for change in course.changes[1:]), seconds]
    for change, end in zip(course.changes, ends, strict=True):
        left, right = _at(change.since, seconds), _at(end, seconds)
        yield left, round(right - left, 1), _kind(change), f"{change.since:g} to {end:g} s: {_state(change)}"


def ticks(seconds: float) -> Iterator[tuple[float, str]]:
    for second in range(0, int(seconds) + 1, TICK_SECONDS):
        yield _at(second, seconds), f"{second} s"


def words(flow: Flow, course: Course) -> str:
    """What a timeline shows, for those who do not see it."""
    shown = "; ".join(f"from {change.since:g} s {_state(change)}" for change in course.changes)
    return f"{flow.flow}: {shown}"


def _at(second: float, seconds: float) -> float:
    return round(min(second, seconds) / seconds * WIDTH, 1)


def _kind(change: Change) -> str:
    if change.lost >= 1:
        return "lost"
    if change.lost:
        return "part"
    return "two" if len(change.reached) > 1 else "served"


def _state(change: Change) -> str:
    if change.lost >= 1:
        return f"all new flows are lost ({names(change.reached)})"
    served = f"served by {names(change.reached)}"
    return f"{change.lost:.0%} of new flows are lost, {served}" if change.lost else served

"""What the two runs of a fault come to, flow by flow, against the published bound and against doing nothing."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from function_app.domain.service.bounds import Bound
from function_app.domain.topology.model import Mode, Topology
from proving.gameday.document import Change, Course, Flow, Limit, Played, Published, Verdict
from proving.gameday.faults import Fault, Kind, named, published
from proving.gameday.flows import Moment
from proving.gameday.run import Run, run

ACTING = 3
"""The last parts of a bound: the fence and its proof, the promotion, and until the load balancer sees the new holder."""
ACTING_RANKED = 2
EXACT_SECONDS = 0.3
"""How exact a measure is: two looks, and a moment."""
NEVER = float("inf")


def played(topology: Topology, file: Path, name: str, seed: int) -> Played:
    """Plays a fault with Hopkeeper and without it. Raises NotAtRest."""
    faults = named(topology, name)
    on, off = (run(file, name, seed, with_app) for with_app in (True, False))
    return Played(
        fault=name,
        says="; then ".join(fault.says for fault in faults),
        seconds=on.seconds,
        flows=tuple(_flows(topology, faults, on, off)),
        events=tuple(Published(at=at, kind=e.kind, subject=e.subject, reasons=e.reasons) for at, e in on.events),
        broken_law=on.broken_law,
    )


def _flows(topology: Topology, faults: tuple[Fault, ...], on: Run, off: Run) -> Iterator[Flow]:
    for flow, moments in on.courses.items():
        before = moments[0][1].reached
        with_app = _course(topology, flow, moments, on.seconds)
        without = _course(topology, flow, off.courses[flow], off.seconds)
        if all(c.lost == 0 and all(each.reached == before for each in c.changes) for c in (with_app, without)):
            continue
        bound = _bound(topology, faults, flow, before)
        limit = _limit(bound, faults[-1]) if bound is not None else None
        verdict = "law broken" if on.broken_law else judged(with_app, without, limit)
        yield Flow(
            flow=flow, before=before, with_hopkeeper=with_app, without=without, limit=limit, verdict=verdict
        )  # fmt: skip


def judged(on: Course, off: Course, limit: Limit | None) -> Verdict:
    """Late: over later than published, or, where nothing is, than without Hopkeeper. Costly: more lost than without and what
    acting may cost, or two admitted for longer than published."""
    latest = limit.seconds if limit is not None else _over(off)
    if _over(on) > latest + EXACT_SECONDS:
        return "late"
    may = limit.acting if limit is not None else 0.0
    two = limit.two if limit is not None and limit.two is not None else NEVER
    if on.lost > off.lost + may + EXACT_SECONDS or on.two > two + EXACT_SECONDS:
        return "costly"
    return "within" if limit is not None else "as without"


def _over(course: Course) -> float:
    return NEVER if course.over is None else course.over


def _bound(topology: Topology, faults: tuple[Fault, ...], flow: str, before: tuple[str, ...]) -> Bound | None:
    """Of a pair none is published: what keeps the next member, Azure or the app from acting is not bounded."""
    service = next((s for s in topology.services if s.name == flow), None)
    (fault, *more) = faults
    if service is None or more or len(before) != 1 or fault.kind is None:
        return None
    return published(fault.kind, fault.where, before[0], service, topology)


def _limit(bound: Bound, fault: Fault) -> Limit:
    acting = bound.parts[-(ACTING if len(bound.parts) > ACTING + 1 else ACTING_RANKED) :]
    return Limit(
        detection=bound.detection.value,
        fence=bound.fence.value,
        seconds=bound.total.total_seconds(),
        acting=sum((part for _, part in acting), timedelta(0)).total_seconds(),
        # a machine that goes on may still acknowledge, and then the load balancer goes by its last probes
        two=None if fault.kind is Kind.FREEZE else bound.overlap.total_seconds(),
    )


def _course(topology: Topology, flow: str, moments: tuple[tuple[float, Moment], ...], seconds: float) -> Course:
    exclusive = any(s.name == flow and s.mode is Mode.ACTIVE_PASSIVE for s in topology.services)
    ends = [*(since for since, _ in moments[1:]), seconds]
    lost = two = 0.0
    over: float | None = 0.0
    for (since, moment), end in zip(moments, ends, strict=True):
        lost += moment.lost * (end - since)
        two += (end - since) if exclusive and len(moment.reached) > 1 else 0.0
        if moment.lost:
            over = end
    last = moments[-1][1]
    return Course(
        lost=round(lost, 1),
        over=None if last.lost else over,
        two=round(two, 1),
        after=last.reached,
        changes=tuple(
            Change(since=since, lost=round(moment.lost, 2), reached=moment.reached) for since, moment in moments
        ),
    )
